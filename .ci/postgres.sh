# A PostgreSQL of Debian in a folder of its own, for checks that need one; they read `.ci/peer.sh` before this file.

# Finds the newest PostgreSQL: `pg_bin`, and `as_postgres`, with which its commands do not run as root, which it refuses. The certificate in `scratch`
# is where it can read it: `server.key` and `server.crt` in the folder `pg_tls`.
find_postgres() {
    need pg_ctlcluster postgresql postgresql-client
    # shellcheck disable=SC2012 # Folders of versions.
    pg_bin="$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)"
    as_postgres=()
    if [ "$(id -u)" = 0 ]; then
        chmod 755 "$scratch"
        as_postgres=(runuser -u postgres --)
    fi
    pg_tls="$scratch/tls"
    install -d "$pg_tls"
    install -m 600 "$scratch/key.pem" "$pg_tls/server.key"
    install -m 644 "$scratch/certificate.pem" "$pg_tls/server.crt"
    [ "$(id -u)" != 0 ] || chown -R postgres "$pg_tls"
}

# Starts a server below the folder `scratch`, which it stops at the end: `pg_port` and `pg_url` then. It listens on loopback, speaks TLS with the
# certificate in `scratch`, keeps what it writes there, and does not start as root, which PostgreSQL refuses.
start_postgres() {
    find_postgres
    pg_data="$scratch/postgres"
    mkdir -p "$pg_data"
    [ "$(id -u)" != 0 ] || chown postgres "$pg_data"
    chmod 700 "$pg_data"
    "${as_postgres[@]}" "$pg_bin/initdb" -D "$pg_data" -U dogwatch -A trust -E UTF8 --locale=C > /dev/null
    pg_port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    "${as_postgres[@]}" "$pg_bin/pg_ctl" -D "$pg_data" -l "$pg_data/log" -w -o "-p $pg_port -c listen_addresses=127.0.0.1,::1 \
        -c unix_socket_directories= -c ssl=on -c ssl_cert_file=$pg_tls/server.crt -c ssl_key_file=$pg_tls/server.key \
        -c shared_buffers=128MB -c max_connections=200" start > /dev/null
    # shellcheck disable=SC2064 # The folders of now.
    trap "stop_postgres; rm -rf '$scratch'" EXIT
    pg_url="postgres://dogwatch@localhost:$pg_port/postgres"
}

stop_postgres() {
    "${as_postgres[@]}" "$pg_bin/pg_ctl" -D "$pg_data" -m immediate -w stop > /dev/null || true
}
