"""What `.ci/cluster` does with servers that share a store: load from outside, faults, and a look at what is there in the end."""
import collections
import json
import os
import signal
import socket
import subprocess
import time

from peers import SCRATCH, check, wait_for
from servers import CA, LEASE, Load, Server, agree, equal_in_the_end, found_at, leader, paged_once, sql, started, tool, tried

SERVERS = int(os.environ.get("DOGWATCH_SERVERS", "2"))
# How often the lead goes from one to the other while commands look at both.
CHANGES = 25
ROUNDS = int(os.environ.get("DOGWATCH_ROUNDS", "1"))
PG_CTL, PG_URL = os.environ["PG_CTL"].split(), os.environ["PG_URL"]


def database(name):
    sql(f"CREATE DATABASE {name}", PG_URL)
    return PG_URL.replace("/postgres", f"/{name}") + "?sslmode=require"


def faults(servers, store):
    """Faults one after another; each ends with somebody who leads. Gives how long nobody did."""
    def killed(who):
        who.kill()
        return lambda: who.start()

    def paused(who):
        who.pause()
        return lambda: who.go_on()

    def stopped(who):
        # A request that does not come to its end keeps it from its own, and nobody from leading.
        slow = socket.create_connection((who.host, who.port))
        slow.sendall(f"POST /v1/incidents HTTP/1.1\r\nHost: it\r\nAuthorization: Bearer {who.key}\r\nContent-Type: application/json\r\n"
                     "Content-Length: 100\r\n\r\n{".encode())
        time.sleep(0.2)
        who.send(signal.SIGTERM)

        def mend():
            check(who.process.poll() is None, "it ended before a request did")
            slow.close()
            who.stop()
            who.start()
        return mend

    def cut_off(_):
        for _ in range(10):
            sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dogwatch'", PG_URL)
            time.sleep(0.1)
        return lambda: None

    def restarted(_):
        subprocess.run([*PG_CTL, "-m", "immediate", "-w", "restart", "-l", str(SCRATCH / "postgres" / "log")], check=True,
                       stdout=subprocess.DEVNULL)
        return lambda: None

    def stepped_down(_):
        tool("cluster", "step-down", "--store", store, "--store-ca", CA)
        return lambda: None

    for fault, another in [(killed, True), (paused, True), (cut_off, False), (stopped, True), (restarted, False), (stepped_down, True)]:
        who = wait_for(f"a leader before one is {fault.__name__}", lambda: leader(servers), 60)
        began = time.monotonic()
        mend = fault(who)
        wait_for(f"a leader after one was {fault.__name__}", lambda: leader(servers, who if another else None), 60)
        yield fault.__name__, time.monotonic() - began
        time.sleep(LEASE / 2)
        mend()
        time.sleep(LEASE)


def roles_change(servers, store):
    """Whatever a server becomes, commands on its folder are done by it, at once or a moment later."""
    def looked_at():
        for server in servers:
            wait_for(f"`stats` of {server.name}", lambda: tried("stats", "--data", server.data).returncode == 0, 60,
                     lambda: f": {tried('stats', '--data', server.data).stderr}; {server.ready()}")

    for _ in range(CHANGES):
        before = wait_for("a leader", lambda: leader(servers), 60)
        tool("cluster", "step-down", "--store", store, "--store-ca", CA)
        looked_at()
        wait_for("another leader", lambda: leader(servers, before), 60)
        looked_at()


def main():
    store = database("cluster")
    servers = [Server(name, store) for name in "abcdefgh"[:SERVERS]]
    started(servers)
    load, times = Load(servers), collections.defaultdict(list)
    for _ in range(ROUNDS):
        for name, took in faults(servers, store):
            times[name].append(took)
    there, count = load.end()
    found, ids = found_at(servers[0])
    agree(found, there)

    sent = paged_once(servers[0], ids)
    roles_change(servers, store)
    backup = equal_in_the_end(servers, store)

    # It is a folder again, and goes into another database.
    other = database("other")
    pushed = json.loads(tool("push", "--data", backup, "--store", other, "--store-ca", CA))
    status = json.loads(tool("cluster", "status", "--store", other, "--store-ca", CA))
    check(status["leader"] is None and status["position"] == pushed["position"], f"{pushed} {status}")
    longest = ", ".join(f"{name} {max(took):.1f} s" for name, took in times.items())
    print(f"{len(servers)} servers: {count['ok']} answered, {count['no']} refused, {count['unknown']} not known at first; {len(found)} there, each once,"
          f" {sent} mails by then, none for a second page; until somebody led, at most: {longest}")


main()
