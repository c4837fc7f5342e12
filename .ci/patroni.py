"""What `.ci/patroni` does: databases that fail over by themselves, servers that share them, faults of machines, networks and clocks, and a look at what
is there in the end."""
import collections
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import time
import urllib.request

from peers import SCRATCH, check, environment, wait_for
from servers import CA, Load, Server, agree, equal_in_the_end, found_at, leader, paged_once, run, sql, started, tool

NET, PG_BIN, TLS, VENV = os.environ["NET"], os.environ["PG_BIN"], os.environ["PG_CERTIFICATES"], os.environ["VENV"]
ROUNDS = int(os.environ.get("DOGWATCH_ROUNDS", "1"))
# Runs a command as the user of PostgreSQL, in whose stead it then is.
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
# How long a fault lasts after somebody leads again, and how long whoever is stopped is: longer than Patroni waits for a primary.
HOLD, STOPPED = 8, 35
# Where the machines are that `.ci/patroni` has made.
DATABASES = [f"10.77.0.{11 + number}" for number in range(3)]
SERVERS = [f"10.77.0.{21 + number}" for number in range(3)]
# How far the clocks of the servers are off, in seconds: less than keeps one from leading.
CLOCKS = [0.8, -0.8, 0]


class Machine:
    """A machine on the bridge."""

    def __init__(self, name, address):
        self.name, self.address, self.namespace = name, address, f"{NET}-{name}"
        self.inside = ["ip", "netns", "exec", self.namespace]

    def send(self, which):
        """Sends a signal to all that runs on it."""
        listed = subprocess.run(["ip", "netns", "pids", self.namespace], stdout=subprocess.PIPE, text=True).stdout
        for pid in listed.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), which)

    def pause(self):
        self.send(signal.SIGSTOP)

    def go_on(self):
        self.send(signal.SIGCONT)

    def hear_nothing_of(self, others):
        """What the others send does not arrive, and nobody says so."""
        for other in others:
            run(*self.inside, "iptables", "-A", "INPUT", "-s", other.address, "-j", "DROP")

    def hear(self):
        run(*self.inside, "iptables", "-F", "INPUT")


class Database(Machine):
    """A machine with a PostgreSQL, its Patroni, and an etcd."""

    def __init__(self, number):
        super().__init__(f"db{number + 1}", DATABASES[number])
        self.folder = SCRATCH / self.name
        self.folder.mkdir()
        shutil.chown(self.folder, "postgres")
        self.settings = self.folder / "patroni.json"
        user = {"username": "dogwatch"}
        # JSON is YAML.
        self.settings.write_text(json.dumps({
            "scope": "dogwatch", "name": self.name,
            "restapi": {"listen": f"{self.address}:8008", "connect_address": f"{self.address}:8008"},
            "etcd3": {"hosts": [f"{host}:2379" for host in DATABASES]},
            "bootstrap": {
                "dcs": {
                    "ttl": 20, "loop_wait": 2, "retry_timeout": 3, "synchronous_mode": "quorum", "synchronous_mode_strict": True,
                    "maximum_lag_on_failover": 1 << 30,
                    "postgresql": {"use_pg_rewind": True, "parameters": {"wal_log_hints": "on", "max_connections": 100}},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}],
            },
            "postgresql": {
                "listen": f"{self.address},127.0.0.1:5432", "connect_address": f"{self.address}:5432", "bin_dir": PG_BIN,
                "data_dir": str(self.folder / "data"), "pgpass": str(self.folder / "pgpass"),
                "authentication": {"superuser": user, "replication": user, "rewind": user},
                "pg_hba": ["host all all all trust", "host replication all all trust"],
                "parameters": {
                    "unix_socket_directories": "", "shared_buffers": "64MB", "ssl": "on",
                    "ssl_cert_file": f"{TLS}/server.crt", "ssl_key_file": f"{TLS}/server.key",
                },
            },
        }))

    def start(self):
        peers = ",".join(f"db{number + 1}=http://{host}:2380" for number, host in enumerate(DATABASES))
        here = f"http://{self.address}"
        self.begin("etcd", "etcd", "--name", self.name, "--data-dir", self.folder / "etcd", "--initial-cluster", peers,
                   "--listen-peer-urls", f"{here}:2380", "--initial-advertise-peer-urls", f"{here}:2380",
                   "--listen-client-urls", f"{here}:2379", "--advertise-client-urls", f"{here}:2379",
                   "--heartbeat-interval", "200", "--election-timeout", "2000")
        self.begin("patroni", f"{VENV}/bin/patroni", self.settings)

    def begin(self, log, *command):
        with open(SCRATCH / f"{self.name}-{log}.log", "a") as out:
            subprocess.Popen(list(map(str, [*self.inside, *AS_POSTGRES, *command])), env=environment(), cwd=self.folder, stdout=out,
                             stderr=out, stdin=subprocess.DEVNULL)

    def kill(self):
        """Its machine is lost."""
        self.send(signal.SIGKILL)

    def asks(self, path, body=None, seconds=3):
        """What its Patroni says to a question, or to a command, if anything."""
        request = urllib.request.Request(f"http://{self.address}:8008{path}", data=body and json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"}, method="POST" if body else "GET")
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None


class Place(Server):
    """A server on a machine of its own, with a clock of its own."""

    def __init__(self, number, store):
        name, address = f"server{number + 1}", SERVERS[number]
        self.machine, self.off = Machine(name, address), CLOCKS[number]
        self.clock = SCRATCH / f"{name}.clock"
        self.turn_clock(0)
        super().__init__(name, store, host=address, inside=self.machine.inside, trusted=",".join(SERVERS),
                         LD_PRELOAD=os.environ["CLOCKS_OFF"], FAKETIME_TIMESTAMP_FILE=str(self.clock), FAKETIME_DONT_FAKE_MONOTONIC="1",
                         FAKETIME_CACHE_DURATION="1")

    def turn_clock(self, by):
        """Lets its clock be off by so many seconds more than usually, after a second at most."""
        # One never reads half of it.
        new = self.clock.with_suffix(".new")
        new.write_text(f"{self.off + by:+.1f}s\n")
        new.rename(self.clock)


def primary(databases, besides=None):
    """The database that takes writes, as its Patroni says."""
    return next((one for one in databases if one is not besides and one.asks("/primary")), None)


def is_well(databases):
    """Whether all databases run, and a standby is waited for."""
    leads = primary(databases)
    members = json.loads((leads and leads.asks("/cluster")) or '{"members": []}')["members"]
    fine = [one for one in members if one["state"] in ("running", "streaming")]
    return len(fine) == len(databases) and any(one["role"] in ("sync_standby", "quorum_standby") for one in fine)


def part(these, those):
    """Parts some machines from others."""
    for one in these:
        one.hear_nothing_of(those)
    for one in those:
        one.hear_nothing_of(these)
    return lambda: [one.hear() for one in (*these, *those)]


def faults(servers, databases):
    """What can happen: by name, what it does, who may not lead afterwards, and whether another database must. What a fault gives ends it."""
    def others(of, all_of_them):
        return [one for one in all_of_them if one is not of]

    def killed(server, _):
        server.kill()
        return server.start

    def paused(server, _):
        server.pause()
        return server.go_on

    def primary_killed(_, database):
        database.kill()
        return database.start

    def primary_paused(_, database):
        database.pause()
        return database.go_on

    def both_killed(server, database):
        server.kill()
        database.kill()
        return lambda: (server.start(), database.start())

    def both_paused(server, database):
        server.pause()
        database.pause()
        return lambda: (server.go_on(), database.go_on())

    def switched_over(_, database):
        done = database.asks("/switchover", {"leader": database.name}, 60)
        check(done, "Patroni refuses a switchover")
        return lambda: None

    def parted_from_databases(server, _):
        return part([server.machine], databases)

    def deaf_to_databases(server, _):
        # What it says arrives, the answers do not: a connection of which it knows only half.
        server.machine.hear_nothing_of(databases)
        return server.machine.hear

    def primary_parted(_, database):
        return part([database], [*others(database, databases), *(server.machine for server in servers)])

    def primary_parted_from_databases(_, database):
        # The servers reach it still.
        return part([database], others(database, databases))

    def both_parted(server, database):
        rest = [*others(database, databases), *(one.machine for one in others(server, servers))]
        return part([server.machine, database], rest)

    def parted_from_servers(server, _):
        return part([server.machine], [one.machine for one in others(server, servers)])

    def clock_wrong(server, _):
        server.turn_clock(10)
        return lambda: server.turn_clock(0)

    # Another server must lead, another database must.
    return [
        (killed, True, False), (paused, True, False), (primary_killed, False, True), (clock_wrong, True, False), (primary_paused, False, True),
        (both_killed, True, True), (switched_over, False, True), (parted_from_databases, True, False), (both_paused, True, True),
        (deaf_to_databases, True, False), (primary_parted, False, True), (parted_from_servers, False, False),
        (primary_parted_from_databases, False, True), (both_parted, True, True),
    ]


def trouble(servers, databases):
    """Lets the faults happen, in another order each round. Gives the name of each, and how long nobody led."""
    every = faults(servers, databases)
    random.shuffle(every)
    for fault, another_leads, another_database in every:
        server = wait_for("a leader before a fault", lambda: leader(servers), 90)
        database = wait_for("a primary before a fault", lambda: primary(databases), 60)
        began = time.monotonic()
        mend = fault(server, database)
        if another_database:
            wait_for(f"another primary: {fault.__name__}", lambda: primary(databases, database), 120)
        wait_for(f"a leader: {fault.__name__}", lambda: writes(servers, server if another_leads else None), 120)
        took = time.monotonic() - began
        print(f"{fault.__name__}: {took:.1f} s", flush=True)
        yield fault.__name__, took
        # What is stopped goes on when all others believe that it is gone.
        time.sleep(max(HOLD, STOPPED - took if "paused" in fault.__name__ else 0))
        mend()
        wait_for(f"all databases: {fault.__name__}", lambda: is_well(databases), 180)
        wait_for(f"all servers: {fault.__name__}",
                 lambda: leader(servers) and all(one.ready().startswith(("leader", "follower")) for one in servers), 120)


def writes(servers, besides):
    """Whether somebody leads who can write."""
    leads = leader(servers, besides)
    if not leads:
        return False
    try:
        return leads.ask("POST", "/v1/components", {"name": f"Part {time.monotonic_ns()}"}).status == 201
    except (OSError, http.client.HTTPException):
        return False


def main():
    databases = [Database(number) for number in range(3)]
    for database in databases:
        database.start()
    first = wait_for("a primary", lambda: primary(databases), 90)
    wait_for("all databases", lambda: is_well(databases), 120)
    sql("CREATE DATABASE cluster", f"postgres://dogwatch@{first.address}/postgres")
    store = f"postgres://dogwatch@{','.join(DATABASES)}/cluster?target_session_attrs=read-write&sslmode=require"
    servers = [Place(number, store) for number in range(3)]
    started(servers)
    load, times = Load(servers), collections.defaultdict(list)
    for _ in range(ROUNDS):
        for name, took in trouble(servers, databases):
            times[name].append(took)
    there, count = load.end()
    found, ids = found_at(servers[0])
    agree(found, there)
    aside = [folder for server in servers for folder in server.data.glob("lost-*")]
    check(not aside, f"copies were put aside though nothing was lost: {aside}")
    sent = paged_once(servers[0], ids)
    equal_in_the_end(servers, store)
    status = json.loads(tool("cluster", "status", "--store", store, "--store-ca", CA))
    check(status["synchronous"] >= 1, f"{status}")
    longest = ", ".join(f"{name} {max(took):.0f} s" for name, took in times.items())
    print(f"{len(databases)} databases, {len(servers)} servers: {count['ok']} answered, {count['no']} refused, {count['unknown']} not known at first;"
          f" {len(found)} there, each once, {sent} mails by then, none for a second page; until a command was taken again, at most: {longest}")


main()
