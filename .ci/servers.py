"""Servers that share a store, clients that open incidents at them, and a look at what became of each: for `.ci/cluster`, `.ci/failover` and
`.ci/patroni`."""
import collections
import hashlib
import http.client
import json
import random
import signal
import shutil
import subprocess
import threading
import time
import urllib.error

from peers import PROGRAM, SCRATCH, Program, check, environment, free_port, read_mail, wait_for

CLIENTS = 4
LEASE = 3
CA = str(SCRATCH / "certificate.pem")


def sql(statement, url):
    subprocess.run(["psql", "-q", "-X", url, "-c", statement], check=True, stdout=subprocess.DEVNULL)


def run(*command):
    """A command of somebody else's program, which must succeed."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode == 0, f"{command} fails: {done.stdout}")


def tried(*arguments):
    """A command of the program, when it is done."""
    return subprocess.run([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def tool(*arguments):
    """A command of the program, which must succeed; gives what it prints."""
    done = tried(*arguments)
    check(done.returncode == 0, f"{arguments} fails: {done.stderr}")
    return done.stdout


class Server(Program):
    """A server of the cluster, on this machine, or on one that is reached by the command `inside`."""

    def __init__(self, name, store, folder=SCRATCH, host="127.0.0.1", inside=(), trusted="127.0.0.1", **variables):
        super().__init__(folder / name, folder / f"{name}.log")
        self.host, self.port = host, free_port()
        self.mails = folder / "mails"
        self.name, self.store, self.address = name, store, f"http://{host}:{self.port}"
        self.inside, self.trusted, self.variables = inside, trusted, variables

    def start(self, sends=True):
        """Starts it; it sends mail unless it is told not to."""
        command = [*self.inside, PROGRAM, "serve", "--data", self.data, "--listen", f"{self.host}:{self.port}", "--store", self.store,
                   "--store-ca", CA, "--advertise", self.address, "--name", self.name, "--lease", LEASE,
                   "--rate-per-address", "off", "--rate-per-key", "off",
                   "--trusted-proxy", self.trusted, "--log-filter", "warn", *(["--mail-folder", self.mails] if sends else [])]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(list(map(str, command)), env=environment() | self.variables, stdout=log, stderr=log)

    def ready(self):
        try:
            return self.request("GET", "/readyz").body.decode()
        except OSError:
            return ""

    def send(self, which):
        self.process.send_signal(which)

    def pause(self):
        self.send(signal.SIGSTOP)

    def go_on(self):
        self.send(signal.SIGCONT)

    def put_aside(self):
        """How many copies it has put aside since it was started."""
        lines = self.request("GET", "/metrics").body.decode().splitlines()
        return sum(int(line.split()[-1]) for line in lines if line.startswith("dogwatch_copies_put_aside_total"))


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


def started(servers):
    """Starts servers on a new store, with the same master key."""
    first = servers[0]
    first.mails.mkdir(parents=True)
    first.start()
    key_file = first.data / "first-api-key"
    wait_for("the first key", lambda: key_file.exists() and key_file.read_text().strip(), 60)
    for server in servers:
        server.key = key_file.read_text().strip()
    # One with another master key would make links that do not work.
    second = servers[1]
    second.start()
    check(second.process.wait(30) != 0, "a server with another master key was let in")
    for server in servers[1:]:
        server.data.mkdir(exist_ok=True)
        shutil.copy(first.data / "master.key", server.data / "master.key")
        server.start()
    all_ready(servers)


def all_ready(servers):
    for server in servers:
        wait_for(f"{server.name} is ready", lambda: server.ready().startswith(("leader", "follower")), 60)


def incident_of(server):
    """What the clients ask for: an incident that pages the admin."""
    me = server.call("GET", "/v1/team/members")["members"][0]["id"]
    policy = server.call("POST", "/v1/escalation/policies", {"name": "Night"})["id"]
    layer = {"position": 1, "ackTimeoutMinutes": 60, "target": {"type": "users", "userIds": [me]}}
    server.call("POST", f"/v1/escalation/policies/{policy}/layers", layer)
    return {"severity": "critical", "ownerId": me, "escalationPolicyId": policy}


class Load:
    """Clients at work."""

    def __init__(self, servers):
        self.servers = servers
        body = incident_of(servers[0])
        self.clients = [Client(number, servers, servers[0].key, body) for number in range(CLIENTS)]
        for client in self.clients:
            client.start()

    def end(self):
        """Ends them. What is not known is asked again under its key, until it is there. Gives what was answered with what number, and how often which."""
        for client in self.clients:
            client.end.set()
        for client in self.clients:
            client.join()
        wait_for("a leader in the end", lambda: leader(self.servers), 60)
        history = {title: done for client in self.clients for title, done in client.history.items()}
        count = collections.Counter(done for done, _ in history.values())
        again = self.clients[0].create
        for title in [title for title, (done, _) in history.items() if done == "unknown"]:
            history[title] = wait_for(
                f"{title} again", lambda: (done := again(random.choice(self.servers), title))[0] == "ok" and done)
        return {title: number for title, (done, number) in history.items() if done == "ok"}, count


def found_at(server):
    """The incidents that there are: their numbers and their ids."""
    numbers, ids, cursor = {}, {}, ""
    while cursor is not None:
        page = server.call("GET", f"/v1/incidents?limit=100{cursor and '&cursor=' + cursor}")
        for incident in page["incidents"]:
            check(incident["title"] not in numbers, f"{incident['title']} is there twice")
            numbers[incident["title"]], ids[incident["title"]] = incident["sequentialId"], incident["id"]
        cursor = page["nextCursor"]
    check(sorted(numbers.values()) == list(range(1, len(numbers) + 1)), "numbers are missing")
    return numbers, ids


def agree(found, there):
    """What is there must be what was answered."""
    check(found == there, f"answered and there differ: {sorted(set(found.items()) ^ set(there.items()))[:10]}")


def paged_once(server, ids):
    """Looks at what was paged of incidents: once each, though a mail may come twice, as one and the same, and what a server had claimed that was
    killed comes later. Gives how many mails have come."""
    for incident in random.sample(sorted(ids.values()), min(len(ids), 300)):
        pages = server.call("GET", f"/v1/incidents/{incident}/pages")["pages"]
        check(len(pages) == 1, f"{incident} has {len(pages)} pages")
    # What one was sending that is gone is sent again when its claim ends, after 20 s.
    wait_for("a mail", lambda: any(server.mails.glob("*.eml")), 30)
    sent = collections.defaultdict(set)
    for path in server.mails.glob("*.eml"):
        mail = read_mail(path.read_bytes())
        sent[mail["Subject"]].add(mail["Message-ID"])
    twice = [subject for subject, messages in sent.items() if len(messages) > 1]
    check(not twice, f"paged twice: {twice[:10]}")
    return len(sent)


def equal_in_the_end(servers, store):
    """Looks whether the database and each server's copy hold the same, once nothing changes any more: mail that is left waits. Ends the servers.
    Gives the folder that the database was copied to."""
    for server in servers:
        server.stop()
    for server in servers:
        server.start(sends=False)
    all_ready(servers)

    differ = []

    def exports():
        folder = SCRATCH / f"backup-{time.monotonic_ns()}"
        tool("backup", "--store", store, "--store-ca", CA, folder)
        texts = [tried("export", "--data", data) for data in [folder, *(server.data for server in servers)]]
        # A copy is opened anew for a moment when the role of its server changes, and follows a moment later.
        equal = len({hashlib.sha256(text.stdout.encode()).digest() for text in texts}) == 1
        if equal and all(text.returncode == 0 for text in texts):
            return folder
        lines = [set(text.stdout.splitlines()) for text in texts]
        differ[:] = [(text.returncode, text.stderr[-300:], sorted(some ^ lines[0])[:4]) for text, some in zip(texts, lines)]
        return None
    # While the machine is busy, and a server finds its place, this takes a while.
    backup = wait_for("copies that are equal", exports, 180, lambda: f": {differ}; {[server.ready() for server in servers]}")
    tool("verify", "--data", backup)
    for server in servers:
        server.stop()
    for server in servers:
        tool("verify", "--data", server.data)
    return backup
