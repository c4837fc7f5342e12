"""What `.ci/cluster` does with servers that share a store: load from outside, faults, and a look at what is there in the end."""
import collections
import hashlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error

from peers import PROGRAM, SCRATCH, Program, check, read_mail, wait_for

SERVERS = int(os.environ.get("DOGWATCH_SERVERS", "2"))
ROUNDS = int(os.environ.get("DOGWATCH_ROUNDS", "1"))
CLIENTS = 4
LEASE = 3
MAILS = SCRATCH / "mails"
CA = str(SCRATCH / "certificate.pem")
PG_CTL, PG_URL = os.environ["PG_CTL"].split(), os.environ["PG_URL"]


def database(name):
    sql(f"CREATE DATABASE {name}")
    return PG_URL.replace("/postgres", f"/{name}") + "?sslmode=require"


def sql(statement, url=PG_URL):
    subprocess.run(["psql", "-q", "-X", url, "-c", statement], check=True, stdout=subprocess.DEVNULL)


def tool(*arguments):
    """A command of the program; gives what it prints."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(done.returncode == 0, f"{arguments} fails: {done.stderr}")
    return done.stdout


class Server(Program):
    """A server of the cluster."""

    def __init__(self, name, store):
        super().__init__(SCRATCH / name, SCRATCH / f"{name}.log")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.name, self.store, self.address = name, store, f"http://127.0.0.1:{self.port}"

    def start(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DOGWATCH_")}
        command = [PROGRAM, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", "--store", self.store,
                   "--store-ca", CA, "--advertise", self.address, "--name", self.name, "--lease", LEASE,
                   "--mail-folder", MAILS, "--rate-per-address", "off", "--rate-per-key", "off",
                   "--trusted-proxy", "127.0.0.1", "--log-filter", "warn"]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(list(map(str, command)), env=environment, stdout=log, stderr=log)

    def ready(self):
        try:
            return self.request("GET", "/readyz").body.decode()
        except OSError:
            return ""

    def send(self, which):
        self.process.send_signal(which)


def leader(servers, besides=None):
    """The server that says that it leads."""
    return next((server for server in servers if server is not besides and server.ready().startswith("leader")), None)


class Client(threading.Thread):
    """Opens incidents, one after another, at whichever server, and notes what was answered."""

    def __init__(self, number, servers, key, body):
        super().__init__(daemon=True)
        self.number, self.servers, self.key, self.body = number, servers, key, body
        self.history, self.end, self.random = {}, threading.Event(), random.Random(number)

    def run(self):
        count = 0
        while not self.end.is_set():
            count += 1
            title = f"{self.number}-{count}"
            self.history[title] = self.create(self.random.choice(self.servers), title)
            # Whoever is refused does not ask again at once.
            time.sleep(0.03 if self.history[title][0] == "ok" else 0.2)

    def create(self, server, title):
        """What became of it: `ok` with its number, `no`, or `unknown`."""
        try:
            answer = server.ask("POST", "/v1/incidents", {**self.body, "title": title}, key=self.key, Idempotency_Key=title)
        except urllib.error.URLError as why:
            return ("no" if isinstance(why.reason, ConnectionRefusedError) else "unknown", str(why))
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as why:
            return ("unknown", str(why))
        if answer.status == 201:
            return ("ok", answer.body["data"]["sequentialId"])
        code = answer.body.get("code")
        check(code in ("unavailable", "overloaded", "outcome_unknown"), f"{title}: {answer}")
        return ("unknown" if code == "outcome_unknown" else "no", code)


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
            sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dogwatch'")
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
    MAILS.mkdir()
    store = database("cluster")
    servers = [Server(name, store) for name in "abcdefgh"[:SERVERS]]
    first = servers[0]
    first.start()
    key_file = first.data / "first-api-key"
    wait_for("the first key", lambda: key_file.exists() and key_file.read_text().strip())
    key = key_file.read_text().strip()
    for server in servers:
        server.key = key
    # One with another master key would make links that do not work.
    second = servers[1]
    second.start()
    check(second.process.wait(30) != 0, "a server with another master key was let in")
    for server in servers[1:]:
        server.data.mkdir(exist_ok=True)
        shutil.copy(first.data / "master.key", server.data / "master.key")
        server.start()
    for server in servers:
        wait_for(f"{server.name} is ready", lambda: server.ready().startswith(("leader", "follower")), 60)
    me = first.call("GET", "/v1/team/members")["members"][0]["id"]
    policy = first.call("POST", "/v1/escalation/policies", {"name": "Night"})["id"]
    layer = {"position": 1, "ackTimeoutMinutes": 60, "target": {"type": "users", "userIds": [me]}}
    first.call("POST", f"/v1/escalation/policies/{policy}/layers", layer)

    body = {"severity": "critical", "ownerId": me, "escalationPolicyId": policy}
    clients = [Client(number, servers, key, body) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    times = collections.defaultdict(list)
    for _ in range(ROUNDS):
        for name, took in faults(servers, store):
            times[name].append(took)
    for client in clients:
        client.end.set()
    for client in clients:
        client.join()

    # What is not known is asked again under its key, until it is there; and everything is there once, under its number.
    wait_for("a leader in the end", lambda: leader(servers), 60)
    history = {title: done for client in clients for title, done in client.history.items()}
    count = collections.Counter(done for done, _ in history.values())
    for title in [title for title, (done, _) in history.items() if done == "unknown"]:
        history[title] = wait_for(f"{title} again", lambda: (done := clients[0].create(random.choice(servers), title))[0] == "ok" and done)
    found, ids, cursor = {}, {}, ""
    while cursor is not None:
        page = first.call("GET", f"/v1/incidents?limit=100{cursor and '&cursor=' + cursor}")
        for incident in page["incidents"]:
            check(incident["title"] not in found, f"{incident['title']} is there twice")
            found[incident["title"]], ids[incident["title"]] = incident["sequentialId"], incident["id"]
        cursor = page["nextCursor"]
    there = {title: number for title, (done, number) in history.items() if done == "ok"}
    check(found == there, f"answered and there differ: {sorted(set(found.items()) ^ set(there.items()))[:10]}")
    check(sorted(found.values()) == list(range(1, len(found) + 1)), "numbers are missing")

    # Each was paged once. A mail may come twice, as one and the same; what a server had claimed that was killed comes later.
    for incident in random.sample(sorted(ids.values()), min(len(ids), 300)):
        pages = first.call("GET", f"/v1/incidents/{incident}/pages")["pages"]
        check(len(pages) == 1, f"{incident} has {len(pages)} pages")
    sent = collections.defaultdict(set)
    for path in MAILS.glob("*.eml"):
        mail = read_mail(path.read_bytes())
        sent[mail["Subject"]].add(mail["Message-ID"])
    twice = [subject for subject, messages in sent.items() if len(messages) > 1]
    check(sent and not twice, f"paged twice: {twice[:10]}")

    # The database, what is copied out of it, and each server's copy hold the same.
    def exports():
        folder = SCRATCH / f"backup-{time.monotonic_ns()}"
        tool("backup", "--store", store, "--store-ca", CA, folder)
        texts = [tool("export", "--data", data) for data in [folder, *(server.data for server in servers)]]
        return folder if len({hashlib.sha256(text.encode()).digest() for text in texts}) == 1 else None
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
