"""What `.ci/failover` does: servers on a PostgreSQL with a standby that takes over, with and without waiting for it."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from peers import SCRATCH, check, free_port, wait_for
from servers import CA, Load, Server, agree, found_at, leader, run, sql, started, tool

AS_POSTGRES, PG_BIN = os.environ["AS_POSTGRES"].split(), pathlib.Path(os.environ["PG_BIN"])
CERTIFICATE = os.environ["PG_CERTIFICATES"]


def as_postgres(*command):
    run(*AS_POSTGRES, *command)


def children(pid):
    """The processes that a process has started, with what they call themselves."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True).stdout
    return [(int(line.split(None, 1)[0]), line.split(None, 1)[1]) for line in listed.splitlines()]


class Postgres:
    """A PostgreSQL in a folder."""

    def __init__(self, folder):
        self.data = folder
        self.port = free_port()

    def url(self):
        return f"postgres://dogwatch@127.0.0.1:{self.port}/postgres"

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1,::1 -c unix_socket_directories= -c ssl=on"
        options += f" -c ssl_cert_file={CERTIFICATE}/server.crt -c ssl_key_file={CERTIFICATE}/server.key"
        as_postgres(PG_BIN / "pg_ctl", "-D", self.data, "-l", f"{self.data}.log", "-w", "-o", options, "start")

    def pid(self):
        return int(subprocess.run(["cat", f"{self.data}/postmaster.pid"], stdout=subprocess.PIPE, text=True).stdout.split()[0])

    def lose(self):
        """Its machine is gone."""
        pid = self.pid()
        everything = [pid, *(child for child, _ in children(pid))]
        for one in everything:
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def stop(self):
        subprocess.run([*AS_POSTGRES, PG_BIN / "pg_ctl", "-D", self.data, "-m", "immediate", "stop"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


def pair(folder):
    """A primary and its standby."""
    primary, standby = Postgres(folder / "primary"), Postgres(folder / "standby")
    as_postgres(PG_BIN / "initdb", "-D", primary.data, "-U", "dogwatch", "-A", "trust", "-E", "UTF8", "--locale=C")
    primary.start()
    as_postgres(PG_BIN / "pg_basebackup", "-d", f"host=127.0.0.1 port={primary.port} user=dogwatch", "-D", standby.data, "-X", "stream", "-c", "fast")
    follow = f"primary_conninfo = 'host=127.0.0.1 port={primary.port} user=dogwatch application_name=standby'\n"
    as_postgres("bash", "-c", f'printf %s "$1" >> {standby.data}/postgresql.auto.conf && touch {standby.data}/standby.signal', "-", follow)
    standby.start()
    return primary, standby


def night(name, folder, waits):
    """Load, the loss of the primary, and load on its standby. Gives what was answered, what is there, and the servers."""
    pg_folder = folder / "pg"
    pg_folder.mkdir(parents=True)
    shutil.chown(pg_folder, "postgres") if AS_POSTGRES else None
    primary, standby = pair(pg_folder)
    servers = []
    try:
        if waits:
            sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'", primary.url())
            sql("SELECT pg_reload_conf()", primary.url())
        sql(f"CREATE DATABASE {name}", primary.url())
        store = f"postgres://dogwatch@localhost:{primary.port},localhost:{standby.port}/{name}?sslmode=require"
        servers = [Server(which, store, folder) for which in "ab"]
        started(servers)
        load = Load(servers)
        time.sleep(5)
        if not waits:
            # What the primary acknowledges from now on, nobody else has.
            sender = [pid for pid, args in children(primary.pid()) if "walsender" in args]
            check(sender, "nobody sends to the standby")
            for pid in sender:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(2)
        status = json.loads(tool("cluster", "status", "--store", store, "--store-ca", CA))
        check(status["synchronous"] == (1 if waits else 0), f"{status}")
        began = time.monotonic()
        primary.lose()
        time.sleep(1)
        as_postgres(PG_BIN / "pg_ctl", "-D", standby.data, "-w", "promote")
        moment = time.monotonic()
        wait_for("a leader on the standby", lambda: leader(servers) and time.monotonic() > moment + 1, 90)
        took = time.monotonic() - began
        time.sleep(6)
        there, count = load.end()
        found, _ = found_at(servers[0])
        lost = sum(server.put_aside() for server in servers)
        print(f"{name}: {count['ok']} answered, {count['no']} refused, {count['unknown']} not known at first; {len(found)} there;"
              f" {lost} copies put aside; a leader again after {took:.1f} s", flush=True)
        return there, found, lost, servers
    finally:
        for server in servers:
            if server.process and server.process.poll() is None:
                server.stop()
        for one in (primary, standby):
            one.stop()


def main():
    there, found, lost, _ = night("waits", SCRATCH / "waits", True)
    agree(found, there)
    check(lost == 0, "a copy was put aside though nothing was lost")

    # Without waiting, what the standby did not have is lost: that must be noticed, and can be looked at.
    there, found, lost, servers = night("hurries", SCRATCH / "hurries", False)
    missing = {title for title, number in there.items() if found.get(title) != number}
    check(missing, "nothing was lost, so nothing is shown")
    check(lost >= 1, "commits were lost, and nobody noticed")
    check(any("lost" in server.log.read_text() for server in servers), "no log says that commits were lost")
    aside = [folder for server in servers for folder in server.data.glob("lost-*")]
    text = "".join(tool("export", "--data", folder) for folder in aside)
    unseen = {title for title in missing if f'"{title}"' not in text}
    check(not unseen, f"lost, and in no copy that was put aside: {sorted(unseen)[:10]}")
    print(f"with a standby that is waited for, nothing was lost; without, {len(missing)} were, which {len(aside)} copies hold")


main()
