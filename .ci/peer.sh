# What the checks with peers that are not ours have in common; they read this file.

# Installs packages of Debian, unless there is this command; services in them are not started. Checks that run side by side take turns.
need() {
    local command="$1"
    shift
    command -v "$command" > /dev/null && return
    mkdir -p target/tools
    (
        flock 9
        # Debian's packages ask this one whether a service may start.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap 'rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' > "$policy"
            chmod +x "$policy"
        fi
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" > /dev/null
    ) 9> target/tools/lock
}

# Makes a folder with packages of npm, unless it is there; the folder is `tools` then.
npm_tools() {
    tools="target/tools/npm-$(printf '%s\n' "$@" | sha256sum | head -c 12)"
    [ -e "$tools/installed" ] && return
    mkdir -p "$tools"
    npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix "$tools" "$@"
    touch "$tools/installed"
}

# Makes an environment of Python with packages of PyPI, unless it is there; its folder is `venv` then.
pip_tools() {
    venv="target/tools/pip-$(printf '%s\n' "$@" | sha256sum | head -c 12)"
    [ -e "$venv/installed" ] && return
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
    touch "$venv/installed"
}

# Builds the program, and makes a folder that is removed at the end: `program` and `scratch` then.
prepare() {
    cargo build --locked --quiet --release -p dogwatch-cli
    program="${CARGO_TARGET_DIR:-target}/release/dogwatch"
    scratch="$(mktemp -d)"
    # shellcheck disable=SC2064 # The folder of now.
    trap "rm -rf '$scratch'" EXIT
}

# Makes a certificate for `localhost`, and for what is given: `key.pem` and `certificate.pem` in `scratch`.
certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName="$(IFS=,; echo "DNS:localhost${*:+,$*}")" -addext basicConstraints=critical,CA:FALSE \
        -keyout "$scratch/key.pem" -out "$scratch/certificate.pem" 2> /dev/null
}

# Runs the check `.ci/NAME.py` with a package of PyPI, and a certificate for `localhost`, which it gets as `key.pem` and `certificate.pem`
# in its folder. Installs openssl if it is missing.
peer() {
    local name="$1" package="$2" version="$3"
    need openssl openssl
    prepare
    pip_tools "$package==$version"
    certificate
    # Whom the client trusts is what the operating system says; for this run that is our certificate.
    SSL_CERT_FILE="$scratch/certificate.pem" PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" ".ci/$name.py" "$program" "$scratch"
}
