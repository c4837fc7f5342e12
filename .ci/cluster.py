"""What `.ci/cluster` does with servers that share a store: load from outside, faults, and a look at what is there in the end."""
import collections
import hashlib
import json
import os
import random
import signal
import subprocess
import time

from peers import SCRATCH, check, read_mail, wait_for
from servers import CA, LEASE, Load, all_ready, found_at, leader, sql, started, tool, tried

SERVERS = int(os.environ.get("DOGWATCH_SERVERS", "2"))
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
        who.send(signal.SIGSTOP)
        return lambda: who.send(signal.SIGCONT)

    def stopped(who):
        who.stop()
        return lambda: who.start()

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


def main():
    store = database("cluster")
    servers = started("abcdefgh"[:SERVERS], store)
    load, times = Load(servers), collections.defaultdict(list)
    for _ in range(ROUNDS):
        for name, took in faults(servers, store):
            times[name].append(took)
    there, count = load.end()
    found, ids = found_at(servers[0])
    check(found == there, f"answered and there differ: {sorted(set(found.items()) ^ set(there.items()))[:10]}")

    # Each was paged once. A mail may come twice, as one and the same; what a server had claimed that was killed comes later.
    for incident in random.sample(sorted(ids.values()), min(len(ids), 300)):
        pages = servers[0].call("GET", f"/v1/incidents/{incident}/pages")["pages"]
        check(len(pages) == 1, f"{incident} has {len(pages)} pages")
    sent = collections.defaultdict(set)
    for path in servers[0].mails.glob("*.eml"):
        mail = read_mail(path.read_bytes())
        sent[mail["Subject"]].add(mail["Message-ID"])
    twice = [subject for subject, messages in sent.items() if len(messages) > 1]
    check(sent and not twice, f"paged twice: {twice[:10]}")

    # The database, what is copied out of it, and each server's copy hold the same, once nothing changes any more: mail that is left waits.
    for server in servers:
        server.stop()
    for server in servers:
        server.start(sends=False)
    all_ready(servers)

    def exports():
        folder = SCRATCH / f"backup-{time.monotonic_ns()}"
        tool("backup", "--store", store, "--store-ca", CA, folder)
        texts = [tried("export", "--data", data) for data in [folder, *(server.data for server in servers)]]
        # A copy is opened anew for a moment when the role of its server changes, and follows a moment later.
        equal = len({hashlib.sha256(text.stdout.encode()).digest() for text in texts}) == 1
        return folder if equal and all(text.returncode == 0 for text in texts) else None
    backup = wait_for("copies that are equal", exports, 60)
    tool("verify", "--data", backup)
    for server in servers:
        server.stop()
    for server in servers:
        tool("verify", "--data", server.data)

    # It is a folder again, and goes into another database.
    other = database("other")
    pushed = json.loads(tool("push", "--data", backup, "--store", other, "--store-ca", CA))
    status = json.loads(tool("cluster", "status", "--store", other, "--store-ca", CA))
    check(status["leader"] is None and status["position"] == pushed["position"], f"{pushed} {status}")
    longest = ", ".join(f"{name} {max(took):.1f} s" for name, took in times.items())
    print(f"{len(servers)} servers: {count['ok']} answered, {count['no']} refused, {count['unknown']} not known at first; {len(found)} there, each once,"
          f" {len(sent)} mails by then, none for a second page; until somebody led, at most: {longest}")


main()
