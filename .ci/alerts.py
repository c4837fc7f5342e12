"""What `.ci/alerts` does: monitoring systems that are not ours, and the incidents that their alerts become."""
import datetime
import http.client
import http.server
import json
import logging
import random
import re
import shlex
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
import warnings
from signal import SIGKILL, SIGTERM, signal as on_signal

warnings.filterwarnings("ignore", message='The package "pdpyras" is deprecated')
import pagerduty
import pdpyras

# Both tell of every try that is refused.
logging.disable()

from peers import PROGRAM, SCRATCH, SPARE, Program, check, mails_in, stop_with, wait_for

# How long it is quiet before an incident is resolved, in seconds; and of a heartbeat, how often it comes and how much later it may.
QUIET, PERIOD, GRACE = 2, 2, 1
# How many alerts come at once.
MANY = 500
# What an integration and a signal have, and nothing else.
INTEGRATION = {
    "id", "orgId", "name", "kind", "componentId", "ownerScheduleId", "escalationPolicyId", "severities", "pauseSeconds", "resolveAfterSeconds",
    "periodSeconds", "graceSeconds", "createdAt", "lastSignalAt"}
SIGNAL = {"dedupKey", "incidentId", "severity", "summary", "source", "firstAt", "lastAt", "count", "resolvedAt"}
# The label `severity`, and what is made of it: of a webhook of Alertmanager, and of PagerDuty's events.
BY_WEBHOOK = {"critical": "critical", "error": "high", "high": "high", "warning": "medium", "info": "low"}
BY_EVENT = {"critical": "critical", "error": "high", "warning": "medium", "info": "low"}
WORST = ["critical", "high", "medium", "low"]
ENQUEUE = "/integrations/pagerduty/v2/enqueue"


def instant(text):
    """An instant of our API, in seconds since 1970."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def free_port():
    """A port that nobody has, and that nobody gets who asks for any."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Plain(http.server.ThreadingHTTPServer):
    """A server without TLS."""
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler, port=0):
        super().__init__(("127.0.0.1", port), handler)
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_):
        pass  # Whoever was killed does not read its answer.

    def close(self):
        self.shutdown()
        self.server_close()


class Quiet(http.server.BaseHTTPRequestHandler):
    """A connection to it, of one request."""

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Metrics(Quiet):
    def do_GET(self):
        with self.server.lock:
            checks = [(*labels, int(fails)) for labels, fails in self.server.checks.items()]
        lines = [f'check_failing{{cluster="{cluster}",host="{host}",level="{level}"}} {fails}' for cluster, host, level, fails in checks]
        self.answer(200, "\n".join(["# TYPE check_failing gauge", *lines, ""]).encode())


class Passage(Quiet):
    """Where the program was: refuses with 503, or passes on what comes; what is to be cut off is handed to who cuts."""

    def do_POST(self):
        server, body = self.server, self.rfile.read(int(self.headers["Content-Length"]))
        with server.lock:
            server.seen.append((self.path, body))
            strike = server.strike if server.strike and server.strikes_at(self.path, body) else None
            if strike:
                server.strike = server.to = None
            to = server.to
        if strike:
            strike(self.path, body, self.headers)
            self.close_connection = True
        elif to:
            self.answer(*pass_on(to, self.path, body, self.headers))
        else:
            self.answer(503)


def pass_on(to, path, body, headers, before_answer=None):
    connection = http.client.HTTPConnection("127.0.0.1", to, timeout=20)
    connection.request("POST", path, body, {name: headers[name] for name in ["Content-Type", "User-Agent"] if headers[name]})
    if before_answer:
        return before_answer()
    answer = connection.getresponse()
    return answer.status, answer.read()


class Stand(Plain):
    """Stands at a port of the program."""

    def __init__(self, port, to=None):
        self.seen, self.to, self.strike, self.strikes_at = [], to, None, None
        super().__init__(Passage, port)


class Dogwatch(Program):
    """The program, and its API."""

    def __init__(self):
        super().__init__()
        self.port, self.mails, self.tokens = free_port(), SCRATCH / "mail", []
        trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=SCRATCH / "certificate.pem"))
        self.open = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted).open

    def start(self, *arguments, port=None):
        self.serve("--mail-folder", self.mails, *arguments, port=port or self.port)
        # The certificate is for this name.
        self.address = self.address.replace("https://127.0.0.1", "https://localhost")

    def tool(self, *arguments):
        """What a command prints."""
        ran = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=60)
        told = f"{ran.stdout[-500:]}{ran.stderr[-500:]}"
        check(ran.returncode == 0, f"`dogwatch {shlex.join(map(str, arguments))}` ends with {ran.returncode}: {told}")
        return ran.stdout

    def everything(self, path, name, limit=100):
        """A list that is read page by page."""
        found, cursor = [], ""
        while True:
            page = self.call("GET", f"{path}?limit={limit}{cursor}")
            check(len(page[name]) <= limit, f"{path}?limit={limit} gives {len(page[name])}")
            found += page[name]
            if page["nextCursor"] is None:
                return found
            check(len(page[name]) == limit, f"{path} has a page of {len(page[name])} in the middle")
            cursor = f"&cursor={page['nextCursor']}"

    def incidents(self):
        """All of them, oldest first."""
        return self.everything("/v1/incidents", "incidents")[::-1]

    def signals(self, incident, limit=100):
        found = self.everything(f"/v1/incidents/{incident['id']}/signals", "signals", limit)
        for signal in found:
            check(set(signal) == SIGNAL and signal["incidentId"] == incident["id"], f"a signal of incident {incident['sequentialId']} is {signal}")
        keys = [signal["dedupKey"] for signal in found]
        check(len(keys) == len(set(keys)), f"incident {incident['sequentialId']} has a signal twice: {keys}")
        times = [signal["firstAt"] for signal in found]
        check(times == sorted(times), f"the signals of incident {incident['sequentialId']} are not oldest first")
        return found

    def shown(self, incident):
        return self.call("GET", f"/v1/incidents/{incident['id']}")

    def updates(self, incident):
        return self.everything(f"/v1/incidents/{incident['id']}/updates", "updates")

    def pages(self, incident):
        return self.call("GET", f"/v1/incidents/{incident['id']}/pages")["pages"]

    def mails_about(self, incident):
        return [to for to, text in mails_in(self.mails) if text.startswith(f"[#{incident['sequentialId']}] ")]


class Integration:
    """An integration that the program's command adds, while the server runs."""
    all = []

    def __init__(self, dogwatch, kind, name, *options, quiet=QUIET):
        self.dogwatch, self.kind, self.name = dogwatch, kind, name
        url = f"http://127.0.0.1:{dogwatch.port}"
        self.resolve_after = quiet
        printed = dogwatch.tool("integration", "add", "--data", dogwatch.data, "--kind", kind, "--name", name, "--resolve-after", quiet,
                                "--url", url, *options)
        first, self.snippet = printed.split("\n", 1)
        made = json.loads(first)
        self.id, self.token = made["integrationId"], made["token"]
        check(re.fullmatch(r"int_[0-9a-f]{32}", self.id), f"the id of an integration is {self.id}")
        check(re.fullmatch(r"[A-Za-z0-9]{32}", self.token), "the token of an integration is not 32 letters and digits")
        self.path = {"pagerduty": ENQUEUE}.get(kind, f"/integrations/{kind}/{self.token}")
        check(url + self.path in self.snippet, f"what is printed for {name} does not name {url + self.path.replace(self.token, '…')}")
        dogwatch.tokens.append(self.token)
        Integration.all.append(self)

    def shown(self):
        shown = self.dogwatch.call("GET", f"/v1/integrations/{self.id}")
        check(set(shown) == INTEGRATION, f"an integration is shown with {sorted(shown)}")
        return shown

    def incidents(self):
        return [incident for incident in self.dogwatch.incidents() if incident["createdBy"] == self.id]

    def with_key(self, *keys):
        """Its incidents with a signal of one of these keys."""
        return [one for one in self.incidents() if {signal["dedupKey"] for signal in self.dogwatch.signals(one)} & set(keys)]

    def wait(self, number, what, find, seconds=30):
        """Waits for as many incidents, and that there are not more."""
        found = wait_for(what, lambda: len(found := find()) >= number and found, seconds, self.why)
        check(len(found) == number, f"there are {len(found)} incidents in place of {number}: {what}; {titles(found)}")
        return found[-1]

    def why(self):
        return f"; {self.name} was last heard of at {self.shown()['lastSignalAt']}, and has the incidents {titles(self.incidents())}"

    def curl(self, *changes):
        """Runs the command that was printed for it, with changes; returns the status and the body."""
        commands = [line for line in self.snippet.splitlines() if line.startswith("curl ")]
        check(len(commands) == 1, f"for {self.name} {len(commands)} commands were printed")
        command = commands[0]
        for old, new in changes:
            check(old in command, f"{old} is not in what was printed for {self.name}")
            command = command.replace(old, new)
        ran = subprocess.run(["bash", "-c", command + r" -m 20 -w '\n%{http_code}'"], capture_output=True, text=True, timeout=60)
        body, _, status = ran.stdout.rpartition("\n")
        check(ran.returncode == 0, f"`{command}` ends with {ran.returncode}: {ran.stdout} {ran.stderr}")
        return int(status), body

    def is_resolved(self, incident, late=SPARE, seconds=30):
        """Waits until it is resolved: by the integration, step by step, when it was quiet for long enough."""
        dogwatch, what = self.dogwatch, f"incident {incident['sequentialId']} of {self.name}"
        shown = wait_for(f"the end of {what}", lambda: (now := dogwatch.shown(incident))["status"] == "resolved" and now, seconds,
                         lambda: f"; its signals: {dogwatch.signals(incident)[:5]}")
        history = [entry["status"] for entry in shown["statusHistory"]]
        check(history == ["investigating", "identified", "monitoring", "resolved"], f"{what} was {history}")
        updates = dogwatch.updates(incident)
        last = updates[-1]
        check(last["statusChange"] == "resolved" and last["body"] and last["postedBy"] == {"id": self.id, "name": self.name},
              f"the last update of {what} is {last}")
        changes = [event for event in shown["auditTrail"] if event["event"] == "status_changed"]
        check([event["actorId"] for event in changes] == [self.id] * 3, f"the status of {what} was changed by others: {changes}")
        signals = dogwatch.signals(incident)
        check(all(signal["resolvedAt"] for signal in signals), f"{what} is resolved, and a signal of it is not")
        quiet = instant(shown["resolvedAt"]) - max(instant(signal["resolvedAt"]) for signal in signals)
        check(self.resolve_after <= quiet + 0.0015, f"{what} was resolved after {quiet:.3f} s in place of {self.resolve_after}")
        check(quiet <= self.resolve_after + late, f"{what} was resolved {quiet - self.resolve_after:.3f} s late")
        return shown


def titles(incidents):
    return [(one["sequentialId"], one["title"], one["severity"], one["status"]) for one in incidents]


class Monitoring:
    """Prometheus and Alertmanager, with an exporter whose checks fail when they shall."""

    def __init__(self, webhook, pager):
        self.folder = SCRATCH / "monitoring"
        self.folder.mkdir()
        self.exporter = Plain(Metrics)
        self.exporter.checks = {}
        self.alertmanager, self.processes = f"http://127.0.0.1:{free_port()}", []
        self.open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        # What was printed, as one file: the receivers of both, under names of their own.
        first = webhook.snippet.replace("name: dogwatch", "name: by-webhook")
        head, second = pager.snippet.replace("name: dogwatch", "name: by-events").split("receivers:\n")
        check("by-webhook" in first and "by-events" in second, f"no receiver of Alertmanager is printed: {first}, {second}")
        self.write("alertmanager.yml", first.rstrip() + "\n" + second.rstrip() + """
route:
  receiver: by-webhook
  group_by: [alertname, cluster]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 2s
  routes:
    - receiver: by-webhook
      continue: true
    - receiver: by-events
""")
        self.write("rules.yml", """
groups:
  - name: checks
    rules:
      - alert: CheckFailing
        # That the machine was too busy for a scrape or two is no change.
        expr: last_over_time(check_failing[6s]) == 1
        labels:
          severity: '{{ $labels.level }}'
        annotations:
          summary: 'A check of {{ $labels.host }} in {{ $labels.cluster }} fails'
""")
        self.write("prometheus.yml", f"""
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - static_configs:
        - targets: ['{self.alertmanager.removeprefix("http://")}']
scrape_configs:
  - job_name: checks
    static_configs:
      - targets: ['127.0.0.1:{self.exporter.server_port}']
""")

    def write(self, name, content):
        (self.folder / name).write_text(content)

    def start(self):
        self.run("prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alertmanager", "--cluster.listen-address=",
                 f"--web.listen-address={self.alertmanager.removeprefix('http://')}")
        self.run("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus",
                 f"--web.listen-address=127.0.0.1:{free_port()}")
        wait_for("Alertmanager", self.is_ready, 30, lambda: self.logs(1000))

    def run(self, name, *arguments):
        with open(self.folder / f"{name}.log", "w") as log:
            self.processes.append(subprocess.Popen([name, *arguments], cwd=self.folder, stdout=log, stderr=log))

    def is_ready(self):
        for process in self.processes:
            check(process.poll() is None, f"{process.args[0]} ends: {self.logs(1000)}")
        try:
            return self.open(f"{self.alertmanager}/-/ready", timeout=5).status == 200
        except OSError:
            return False

    def logs(self, length):
        return "".join(f"\n{log.name}:\n{log.read_text()[-length:]}" for log in sorted(self.folder.glob("*.log")))

    def close(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        self.exporter.close()

    def fingerprints(self, cluster):
        """What Alertmanager has of a cluster now: by host."""
        with self.open(f"{self.alertmanager}/api/v2/alerts", timeout=20) as answer:
            alerts = json.load(answer)
        return {alert["labels"]["host"]: alert["fingerprint"] for alert in alerts if alert["labels"]["cluster"] == cluster}

    def fire(self, cluster, hosts):
        with self.exporter.lock:
            self.exporter.checks |= {(cluster, host, level): True for host, level in hosts.items()}

    def heal(self, cluster, hosts):
        with self.exporter.lock:
            self.exporter.checks |= {check: False for check in self.exporter.checks if check[0] == cluster and (not hosts or check[1] in hosts)}

    def failing(self, cluster):
        with self.exporter.lock:
            return {host for (there, host, _), fails in self.exporter.checks.items() if fails and there == cluster}


class Group:
    """A cluster whose checks fail, and its incidents: by the webhook, and by PagerDuty's events."""
    all = []

    def __init__(self, monitoring, webhook, pager, cluster):
        self.monitoring, self.webhook, self.pager, self.cluster, self.keys = monitoring, webhook, pager, cluster, {}
        # How often it was opened.
        self.number = 0
        Group.all.append(self)

    def fire(self, **hosts):
        self.monitoring.fire(self.cluster, hosts)
        failing = self.monitoring.failing(self.cluster)
        arrived = lambda: set(found := self.monitoring.fingerprints(self.cluster)) >= failing and found
        self.keys |= wait_for(f"what Prometheus says to Alertmanager of {self.cluster}", arrived, 30, lambda: self.monitoring.logs(1000))

    def heal(self, *hosts):
        """These are well, or all."""
        self.monitoring.heal(self.cluster, hosts)

    def by_webhook(self):
        return self.webhook.with_key(*self.keys.values())

    def by_events(self):
        return [incident for incident in self.pager.incidents() if self.cluster in incident["title"]]

    def opens(self):
        """Waits for one more incident of each, and returns them."""
        self.number += 1
        what = f"incident {self.number} of {self.cluster}"
        return self.webhook.wait(self.number, f"{what}, by the webhook", self.by_webhook), \
            self.pager.wait(self.number, f"{what}, by events", self.by_events)

    def has(self, incident, hosts):
        """Waits until the incident of the webhook has a signal for each of these, with their severities."""
        dogwatch = self.webhook.dogwatch
        expected = {self.keys[host]: BY_WEBHOOK[level] for host, level in hosts.items()}
        signals = lambda: {signal["dedupKey"]: signal["severity"] for signal in dogwatch.signals(incident)}
        wait_for(f"a signal for each of {len(hosts)} alerts of {self.cluster}", lambda: len(signals()) >= len(expected), 30,
                 lambda: f"; there are {len(signals())}")
        found = signals()
        check(found == expected, f"the signals of {self.cluster} are {found} in place of {expected}")
        worst = min(expected.values(), key=WORST.index)
        shown = dogwatch.shown(incident)
        check(shown["severity"] == worst, f"the incident of {self.cluster} has the severity {shown['severity']} in place of {worst}")
        return shown


def somebody_on_call(dogwatch):
    """A schedule with Ben, and a policy that pages it. The admin, who is not on call, is paged by nobody."""
    dogwatch.call("POST", "/v1/team/members/invite", {"emailAddress": "ben@example.com", "role": "org:member"})
    link = lambda: [found for to, text in mails_in(dogwatch.mails) if to == "ben@example.com" for found in re.findall(r"/join/(\S+)", text)]
    token = wait_for("the invitation", link)[0]
    joined = dogwatch.call("POST", "/v1/invitations/accept", {"token": token, "firstName": "Ben", "lastName": "Marlow"}, status=201)
    ben = joined["member"]["id"]
    refusal = dogwatch.ask("POST", "/v1/integrations", {"name": "Ben's", "kind": "generic"}, joined["apiKey"]["secret"])
    check((refusal.status, refusal.body["code"]) == (401, "not_authorized"), f"a member who adds an integration gets {refusal}")
    schedule = dogwatch.call("POST", "/v1/oncall/schedules", {"name": "Night", "timezone": "UTC"})["id"]
    dogwatch.call("POST", f"/v1/oncall/schedules/{schedule}/layers", {
        "name": "Weeks", "rotationType": "weekly", "rotationLengthDays": 7, "handoffTime": "09:00", "effectiveFrom": "2026-01-05T00:00:00Z",
        "participantIds": [ben]})
    policy = dogwatch.call("POST", "/v1/escalation/policies", {"name": "Page the night"})["id"]
    target = {"type": "schedule", "scheduleId": schedule}
    dogwatch.call("POST", f"/v1/escalation/policies/{policy}/layers", {"position": 1, "ackTimeoutMinutes": 60, "target": target})
    return ben, schedule, policy


def is_paged(dogwatch, incident, ben, times=1):
    """Waits for the pages of an incident; there are no others."""
    about = f"incident {incident['sequentialId']}"
    wait_for(f"a mail about {about}", lambda: len(dogwatch.mails_about(incident)) >= times,
             otherwise=lambda: f"; its pages: {dogwatch.pages(incident)}")
    check([page["userId"] for page in dogwatch.pages(incident)] == [ben] * times, f"{about} has the pages {dogwatch.pages(incident)}")
    mails = dogwatch.mails_about(incident)
    check(mails == ["ben@example.com"] * times, f"mails about {about} went to {mails}")


def tests(dogwatch, integrations):
    """`dogwatch integration test` as it is run after an integration was added."""
    incidents = []
    for one in integrations:
        printed = dogwatch.tool("integration", "test", "--kind", one.kind, "--token", one.token, "--url", dogwatch.address)
        requests = [json.loads(line) for line in printed.splitlines()]
        check(all({"sent", "status", "answer"} <= set(request) for request in requests), f"a test of {one.kind} prints {printed}")
        check(all(200 <= request["status"] < 300 for request in requests), f"a test of {one.kind} gets {printed}")
        check(len(requests) == (1 if one.kind == "heartbeat" else 2), f"a test of {one.kind} sends {len(requests)} requests")
        check(one.shown()["lastSignalAt"], f"{one.name} was tested, and heard of nothing")
        if one.kind != "heartbeat":
            incidents.append((one, one.wait(1, f"the incident of a test of {one.name}", one.incidents)))
    for one, incident in incidents:
        one.is_resolved(incident)


def alerts(dogwatch, group, other, ben, schedule, policy):
    """Alerts of two groups: they fire, are repeated, get worse, and end."""
    webhook, pager = group.webhook, group.pager
    # A group of several, and one of one.
    several = {"one": "warning", "two": "error", "three": "critical"}
    group.fire(**several)
    other.fire(solo="info")
    incident, event = group.opens()
    single, single_event = other.opens()
    shown = group.has(incident, several)
    check(shown["title"] and shown["createdBy"] == webhook.id, f"an incident of a group is {shown}")
    check((shown["ownerId"], shown["escalationPolicyId"]) == (ben, policy), f"an incident of a schedule is {shown}")
    other.has(single, {"solo": "info"})
    for found, severity in [(event, "high"), (single_event, "low")]:
        check(len(dogwatch.signals(found)) == 1, f"a group is {dogwatch.signals(found)} by events")
        check(found["severity"] == severity, f"a group has the severity {found['severity']} by events, in place of {severity}")
        check((found["ownerId"], dogwatch.pages(found)) == (None, []), f"without a schedule, an incident is {found}")
    is_paged(dogwatch, incident, ben)
    is_paged(dogwatch, single, ben)

    # Repeated, they count.
    counts = lambda: [signal["count"] for one in [incident, event, single, single_event] for signal in dogwatch.signals(one)]
    wait_for("the third report of each", lambda: min(counts()) >= 3, 30, lambda: f"; they were reported {counts()} times")
    check([len(one.by_webhook()) for one in [group, other]] == [1, 1] and [len(one.by_events()) for one in [group, other]] == [1, 1],
          f"what is repeated opens incidents: {titles(dogwatch.incidents())}")
    is_paged(dogwatch, incident, ben)
    check(dogwatch.shown(incident)["status"] == "investigating", "what is repeated changes the status")

    # One of several ends, longer ago than it takes to resolve an incident.
    group.heal("two")
    over = lambda: {signal["dedupKey"]: bool(signal["resolvedAt"]) for signal in dogwatch.signals(incident)}
    ended = lambda: wait_for("the end of one of several", lambda: over() == {key: host == "two" for host, key in group.keys.items()}, 30,
                             lambda: f"; its signals: {dogwatch.signals(incident)}")
    ended()
    since = time.monotonic()

    # Meanwhile the other is acknowledged, and gets worse: first by something that is not, then by something that is.
    dogwatch.call("POST", f"/v1/incidents/{single['id']}/acknowledge")
    before = len(dogwatch.updates(single))
    other.fire(second="info")
    shown = other.has(single, {"solo": "info", "second": "info"})
    check(shown["acknowledgedAt"], "a signal that is not worse clears an acknowledgement")
    updates = dogwatch.updates(single)[before:]
    check([(update["visibility"], update["postedBy"]["id"]) for update in updates] == [("internal", webhook.id)], f"a new signal posts {updates}")
    is_paged(dogwatch, single, ben)
    other.fire(third="critical")
    shown = other.has(single, {"solo": "info", "second": "info", "third": "critical"})
    check((shown["acknowledgedAt"], shown["acknowledgedBy"]) == (None, None), "a worse signal leaves an acknowledgement")
    is_paged(dogwatch, single, ben, times=2)
    wait_for("a higher severity by events", lambda: dogwatch.shown(single_event)["severity"] == "high")

    time.sleep(max(0, since + QUIET + 1.5 - time.monotonic()))
    for one in [incident, event]:
        check(dogwatch.shown(one)["status"] == "investigating", f"{one['title']} is over when one of several is")
    ended()

    # All end; and it begins again.
    group.heal()
    other.heal("solo", "second")
    webhook.is_resolved(incident)
    pager.is_resolved(event)
    is_paged(dogwatch, incident, ben)
    check(dogwatch.shown(single)["status"] == "investigating", "an incident is over when others are")
    group.fire(one="warning")
    again, event = group.opens()
    check(again["id"] != incident["id"] and group.has(again, {"one": "warning"})["severity"] == "medium", f"what fires again is {again}")
    is_paged(dogwatch, again, ben)
    return again, event, single, single_event


def restarted(dogwatch, group, incident, event):
    """The program stops and starts between the beginning and the end."""
    dogwatch.stop()
    dogwatch.start()
    group.heal()
    group.webhook.is_resolved(incident)
    group.pager.is_resolved(event)


def killed(dogwatch, groups):
    """The program is killed while it stores alerts: at once, a little later, and when it has said that it has them."""
    dogwatch.stop()
    port = free_port()
    stand = Stand(dogwatch.port)
    ends = []
    for group, delay in zip(groups, [0, 0.003, 0.01, None]):
        dogwatch.start(port=port)
        answers, struck = [], []

        def strike(path, body, headers):
            struck.extend(alert["fingerprint"] for alert in json.loads(body)["alerts"])
            if delay is None:
                answers.append(pass_on(port, path, body, headers)[0])
            else:
                pass_on(port, path, body, headers, lambda: time.sleep(delay))
            dogwatch.process.kill()

        with stand.lock:
            stand.strikes_at = lambda path, body: path == group.webhook.path and group.cluster.encode() in body
            stand.to, stand.strike = port, strike
        hosts = {f"host{number}": "high" for number in range(40)}
        group.fire(**hosts)
        wait_for("the kill", lambda: dogwatch.process.poll() is not None, 30,
                 lambda: f"; Alertmanager sent {[path for path, _ in stand.seen[-5:]]}")
        check(dogwatch.process.wait() == -SIGKILL, f"the program ended by itself, with {dogwatch.process.returncode}")
        if delay is None:
            check(answers == [200], f"alerts were answered with {answers}")
        dogwatch.start(port=port)
        # Nobody has sent them again by now: the one at its port refuses.
        stored = group.by_webhook()
        check(len(stored) <= 1, f"after a kill there are {titles(stored)}")
        ends.append(len(stored))
        keys = {signal["dedupKey"] for one in stored for signal in dogwatch.signals(one)}
        check(delay is not None or keys == set(struck), f"of {len(struck)} alerts that were answered with 200, {len(keys)} are there")
        with stand.lock:
            stand.to = port
        incident, event = group.opens()
        group.has(incident, hosts)
        if stored:
            check(incident["id"] == stored[0]["id"], "what was stored is forgotten")
        check(len(dogwatch.pages(incident)) == 1, f"after a kill there are the pages {dogwatch.pages(incident)}")
        # A second time, they count.
        counted = lambda: [signal["count"] for signal in dogwatch.signals(incident)]
        wait_for("the alerts again", lambda: min(counted()) >= 2, 30, lambda: f"; they were reported {counted()} times")
        check([one["id"] for one in group.by_webhook()] == [incident["id"]], f"there are {titles(group.by_webhook())}")
        check([one["id"] for one in group.by_events()] == [event["id"]], f"there are {titles(group.by_events())}")
        with stand.lock:
            stand.to = None
        dogwatch.stop()
    stand.close()
    dogwatch.start()
    print(f"killed {len(ends)} times while it stored alerts; {sum(ends)} times they were there before they came again")


def busy(dogwatch, group, ended, incident, event, heartbeat):
    """Somebody else answers with 503 for a while: what fires, ends or falls silent meanwhile is not lost."""
    # It was silent since it was heard of last, and is now from when the program is gone.
    silences = len(heartbeat.incidents())
    heartbeat.curl()
    last = instant(heartbeat.shown()["lastSignalAt"])
    dogwatch.stop()
    stand = Stand(dogwatch.port)
    # What ends meanwhile, and what begins.
    ended.heal()
    hosts = {"one": "critical", "two": "critical"}
    group.fire(**hosts)
    tried = lambda path, text: sum(path == there and text.encode() in body for there, body in list(stand.seen))
    counts = lambda: [tried(path, cluster) for path in [group.webhook.path, ENQUEUE] for cluster in [group.cluster, ended.cluster]]
    wait_for("tries while nobody takes them", lambda: min(counts()) >= 2, 30, lambda: f"; there were {counts()}")
    time.sleep(max(0, last + PERIOD + GRACE + 0.5 - time.time()))
    stand.close()
    started = time.time()
    dogwatch.start()
    silent = heartbeat.wait(silences + 1, "the incident of a heartbeat that fell silent", heartbeat.incidents)
    late = instant(silent["createdAt"]) - started
    check(0 <= late <= SPARE, f"a heartbeat that fell silent is noticed {late:.3f} s after the start")
    check(heartbeat.curl()[0] == 200, "a beat is refused")
    heartbeat.is_resolved(silent)
    opened, opened_event = group.opens()
    group.has(opened, hosts)
    check(opened_event["severity"] == "critical", f"by events, the severity is {opened_event['severity']}")
    ended.webhook.is_resolved(incident)
    ended.pager.is_resolved(event)
    print(f"503 {len(stand.seen)} times: nothing is lost")


def many(dogwatch, group, ben):
    """Many alerts at once are one incident and one page."""
    levels = ["info", "warning", "error"]
    hosts = {f"host{number}": levels[number % 3] for number in range(MANY)}
    group.fire(**hosts)
    incident, event = group.opens()
    group.has(incident, hosts)
    first = dogwatch.call("GET", f"/v1/incidents/{incident['id']}/signals")["signals"]
    check(first == dogwatch.signals(incident)[:20], f"without a limit, there are {len(first)} signals")
    keys = lambda limit: [signal["dedupKey"] for signal in dogwatch.signals(incident, limit)]
    check(keys(37) == keys(100), "read in other pages, the signals are others")
    is_paged(dogwatch, incident, ben)
    check(event["severity"] == "high" and len(dogwatch.signals(event)) == 1, f"by events, it is {event}")
    group.heal()
    group.webhook.is_resolved(incident)
    group.pager.is_resolved(event)
    check(len(group.by_webhook()) == 1 and len(group.by_events()) == 1, "there is another incident of many alerts")
    is_paged(dogwatch, incident, ben)


def is_invalid(answer, what):
    """PagerDuty's answer to an event that is not valid."""
    check(answer.status_code == 400, f"{what} gets {answer.status_code}: {answer.text}")
    body = answer.json()
    check(body.get("status") == "invalid event" and isinstance(body.get("message"), str), f"{what} gets {body}")
    errors = body.get("errors")
    check(errors and isinstance(errors, list) and all(isinstance(error, str) for error in errors), f"{what} gets {body}")


def refused(what, call, error):
    """The error of a client of PagerDuty's."""
    try:
        call()
    except error as refusal:
        return refusal.response
    stop_with(f"{what} is taken")


def a_client(dogwatch, integration, client, name):
    """Either client of PagerDuty's: an alert from its beginning to its end."""
    with_key = lambda key: lambda: integration.with_key(key)
    # The severities, and keys that are made for them.
    made = {severity: client.trigger(f"{name} {severity}", "db1.example.com", severity=severity) for severity in BY_EVENT}
    check(len(set(made.values())) == 4 and all(made.values()), f"the keys that were made are {made}")
    for severity, key in made.items():
        incident = integration.wait(1, f"the incident of {severity}, by {name}", with_key(key))
        check(incident["severity"] == BY_EVENT[severity] and incident["title"] == f"{name} {severity}", f"{severity} is {incident}")
        signal, = dogwatch.signals(incident)
        check((signal["summary"], signal["source"], signal["count"]) == (f"{name} {severity}", "db1.example.com", 1), f"a signal is {signal}")
        check(client.resolve(key) == key, "another key comes back")
    # One key: twice, worse, acknowledged, over and not over, over.
    key = f"{name}/disk/db1"
    told = client.trigger(f"{name}: the disk is full", "db1", dedup_key=key, severity="warning", custom_details={"free": "0 %"},
                          links=[{"href": "https://example.com/runbook", "text": "Runbook"}], images=[{"src": "https://example.com/graph.png"}])
    check(told == key, f"the key {key} comes back as {told}")
    incident = integration.wait(1, f"the incident of {key}", with_key(key))
    check(incident["severity"] == "medium", f"a warning is {incident['severity']}")
    client.trigger(f"{name}: the disk is still full", "db1", dedup_key=key, severity="critical")
    signal, = dogwatch.signals(incident)
    told = (signal["count"], signal["severity"], signal["summary"])
    check(told == (2, "critical", f"{name}: the disk is still full"), f"a second time it is {signal}")
    shown = dogwatch.shown(incident)
    check((shown["severity"], shown["acknowledgedAt"]) == ("critical", None), f"a second time the incident is {shown}")
    check(client.acknowledge(key) == key, "another key comes back")
    shown = dogwatch.shown(incident)
    check(shown["acknowledgedAt"] and shown["acknowledgedBy"] == integration.id, f"it is acknowledged by {shown['acknowledgedBy']}")
    client.resolve(key)
    client.trigger(f"{name}: the disk is full again", "db1", dedup_key=key)
    going_on = time.monotonic()
    # Nobody knows these.
    number = len(dogwatch.incidents())
    for action in [client.acknowledge, client.resolve]:
        check(action(f"{name}/nothing") == f"{name}/nothing", "another key comes back")
    check(len(dogwatch.incidents()) == number, "an incident opens for what was never triggered")
    # What is no event, and whose key is nobody's.
    event = {"event_action": "trigger", "payload": {"summary": "x", "source": "y", "severity": "info"}}
    for what, body in [("nothing", {}), ("no action", {"payload": event["payload"]}), ("another action", {**event, "event_action": "explode"}),
                       ("no payload", {"event_action": "trigger"}), ("a key of 256", {**event, "dedup_key": "x" * 256}),
                       ("the end of no key", {"event_action": "resolve"}), ("a payload that is none", {**event, "payload": "x"})]:
        is_invalid(client.post("/v2/enqueue", json=body), what)
    is_invalid(client.post("/v2/enqueue", **{"data" if name == "pdpyras" else "content": b"{"}), "what is no JSON")
    check(len(dogwatch.incidents()) == number, "an incident opens for an event that was refused")
    for severity, key_made in made.items():
        integration.is_resolved(integration.wait(1, f"the incident of {severity}", with_key(key_made)))
    time.sleep(max(0, going_on + QUIET + 1 - time.monotonic()))
    check(dogwatch.shown(incident)["status"] == "investigating", "what goes on within the quiet time is resolved")
    check([one["id"] for one in integration.with_key(key)] == [incident["id"]], "what goes on within the quiet time is another incident")
    client.resolve(key)
    integration.is_resolved(incident)


def clients(dogwatch, integration, generic):
    """PagerDuty's clients, the old one without TLS, the new one with it."""
    def old(key, kind=pdpyras.EventsAPISession):
        session = kind(key)
        session.url, session.sleep_timer = f"{dogwatch.address}/integrations/pagerduty", 0.1
        return session

    def new(key):
        trusted = ssl.create_default_context(cafile=SCRATCH / "certificate.pem")
        client = pagerduty.EventsApiV2Client(key, base_url=f"{dogwatch.address}/integrations/pagerduty", verify=trusted)
        client.sleep_timer = 0.1
        return client

    a_client(dogwatch, integration, old(integration.token), "pdpyras")
    number = len(dogwatch.incidents())
    old(integration.token, pdpyras.ChangeEventsAPISession).submit("Deployed", "ci")
    for token in ["x" * 32, "short", generic.token]:
        is_invalid(refused("a key of nobody", lambda: old(token).trigger("x", "y"), pdpyras.PDClientError), "a key of nobody")

    dogwatch.stop()
    secure = ["--tls-cert", SCRATCH / "certificate.pem", "--tls-key", SCRATCH / "key.pem"]
    dogwatch.start(*secure)
    # Without a time, this version of it fails by itself.
    new(integration.token).submit("Deployed", "ci", timestamp="2026-04-07T10:00:00Z")
    for token in ["x" * 32, generic.token]:
        is_invalid(refused("a key of nobody", lambda: new(token).trigger("x", "y"), pagerduty.Error), "a key of nobody")
    check(len(dogwatch.incidents()) == number, "an incident opens for a change, or by a key of nobody")
    a_client(dogwatch, integration, new(integration.token), "pagerduty")
    dogwatch.stop()


def throttled(dogwatch, integration, webhook):
    """More than is taken from one key: PagerDuty's clients get 429 and come again, Alertmanager 503."""
    dogwatch.start("--rate-per-key", "2/4")
    session = pdpyras.EventsAPISession(integration.token)
    session.url, session.sleep_timer = f"{dogwatch.address}/integrations/pagerduty", 0.01
    session.retry[429] = 1
    taken = []

    def trigger(name):
        taken.append(session.trigger("Too much", "db1", dedup_key=name))

    def until_refused():
        for number in range(50):
            trigger(f"throttled/{number}")

    answer = refused("50 events at once, of 4", until_refused, pdpyras.PDClientError)
    check(answer.status_code == 429, f"over the rate, PagerDuty's client gets {answer.status_code}: {answer.text}")
    check(len(taken) >= 4, f"{len(taken)} events were taken of the 4 that may come at once")
    # Left to itself, it comes again until it is taken.
    del session.retry[429]
    session.sleep_timer = 0.3
    for number in range(3):
        trigger(f"throttled/again/{number}")
    alert = {"version": "4", "status": "resolved", "groupKey": "throttled", "alerts": []}
    statuses = [dogwatch.request("POST", webhook.path, json.dumps(alert).encode(), Content_Type="application/json").status for _ in range(12)]
    check(set(statuses) == {200, 503}, f"over the rate, Alertmanager gets {statuses}")
    dogwatch.stop()
    dogwatch.start()
    for key in taken:
        integration.wait(1, f"what was taken as {key}", lambda: integration.with_key(key))
    session.url = f"{dogwatch.address}/integrations/pagerduty"
    for key in taken:
        session.resolve(key)
    print(f"over the rate: {answer.status_code} {answer.text}, and 503 for Alertmanager")


def by_curl(dogwatch, generic, ben):
    """The command that was printed; and what it must not do."""
    before = len(generic.incidents())
    for number in range(3):
        status, body = generic.curl()
        check(status == 202 and json.loads(body)["status"] == "accepted" and json.loads(body)["outcome"], f"the command gets {status} {body}")
    incident = generic.wait(before + 1, "the incident of the command", generic.incidents)
    check((incident["title"], incident["severity"], incident["ownerId"]) == ("Disk full on db1", "high", ben), f"the command opens {incident}")
    signal, = dogwatch.signals(incident)
    check((signal["dedupKey"], signal["count"]) == ("disk/db1", 3), f"the signal of the command is {signal}")
    is_paged(dogwatch, incident, ben)
    for what, path, body, status in [
        ("a token of nobody", f"/integrations/generic/{'x' * 32}", b'{"key": "a", "state": "firing"}', 404),
        ("a token of another kind", f"/integrations/alertmanager/{generic.token}", b"{}", 404),
        ("a token of another kind", f"/integrations/heartbeat/{generic.token}", b"", 404),
        ("what is no JSON", generic.path, b"key=a", 400),
    ]:
        answer = dogwatch.request("POST", path, body, Content_Type="application/json")
        check(answer.status == status, f"{what} gets {answer.status}: {answer.body}")
    check(len(generic.incidents()) == before + 1, "an incident opens for what was refused")
    status, body = generic.curl(('"firing"', '"resolved"'))
    check(status == 202, f"the end gets {status} {body}")
    generic.is_resolved(incident)
    is_paged(dogwatch, incident, ben)


def heartbeats(dogwatch, heartbeat):
    """Beats that come, for longer than they may be silent, and then no more; returns what is to be looked at later."""
    for method in ["GET", "POST", "HEAD"]:
        status = dogwatch.request(method, heartbeat.path).status
        check(status == 200, f"a beat by {method} gets {status}")
    beats = [time.monotonic()]
    while beats[-1] < beats[0] + PERIOD + GRACE + 1:
        time.sleep(0.5)
        status, body = heartbeat.curl()
        check(status == 200, f"a beat gets {status} {body}")
        beats.append(time.monotonic())
    last, before = instant(heartbeat.shown()["lastSignalAt"]), heartbeat.incidents()
    steady = max(later - earlier for earlier, later in zip(beats, beats[1:])) < PERIOD
    check(abs(last - time.time()) < SPARE, f"a heartbeat was last heard of at {last}, which is {time.time()}")
    check(not before or not steady, f"while it beats, there are {titles(before)}")

    def silent():
        incident = heartbeat.wait(len(before) + 1, "the incident of a silent heartbeat", heartbeat.incidents)
        check((incident["title"], incident["severity"]) == (f"{heartbeat.name} is silent", "high"), f"a silent heartbeat is {incident}")
        late = instant(incident["createdAt"]) - last - PERIOD - GRACE
        check(-0.0015 <= late <= SPARE, f"a silent heartbeat is noticed {late:.3f} s late")
        check(heartbeat.curl()[0] == 200, "a beat is refused")
        ended = heartbeat.is_resolved(incident)
        lasted = instant(ended["resolvedAt"]) - instant(ended["createdAt"])
        print(f"a silent heartbeat is noticed {late:.3f} s late, and was silent for {lasted:.1f} s more")
    return silent


def night(dogwatch):
    began = time.monotonic()
    ran = lambda what: print(f"{time.monotonic() - began:5.1f} s: {what}", flush=True)
    dogwatch.start()
    ben, schedule, policy = somebody_on_call(dogwatch)
    webhook = Integration(dogwatch, "alertmanager", "Prometheus", "--schedule", "Night")
    pager = Integration(dogwatch, "pagerduty", "Alertmanager's events")
    events = Integration(dogwatch, "pagerduty", "Events of programs")
    generic = Integration(dogwatch, "generic", "Scripts", "--schedule", "Night")
    heartbeat = Integration(dogwatch, "heartbeat", "Backup", "--period", PERIOD, "--grace", GRACE, quiet=1)
    # Not waited for before it comes.
    unheard = Integration(dogwatch, "heartbeat", "Unheard", "--period", 1, quiet=1)
    tested = [Integration(dogwatch, kind, f"Tested {kind}", *options) for kind, *options in [
        ["alertmanager"], ["pagerduty"], ["generic"], ["heartbeat", "--period", 3600]]]
    listed = [json.loads(line) for line in dogwatch.tool("integration", "list", "--data", dogwatch.data).splitlines()]
    known = [(one.id, one.kind, one.name) for one in Integration.all]
    check([(one["integrationId"], one["kind"], one["name"]) for one in listed] == known, f"listed are {listed}")
    for one in [webhook, generic]:
        check(one.shown()["ownerScheduleId"] == schedule, f"an integration with a schedule is {one.shown()}")

    monitoring = Monitoring(webhook, pager)
    try:
        monitoring.start()
        ran("started")
        tests(dogwatch, tested)
        ran("integrations are tested")
        group = lambda cluster: Group(monitoring, webhook, pager, cluster)
        first, second = group("walrus"), group("heron")
        silent = heartbeats(dogwatch, heartbeat)
        again, event, single, single_event = alerts(dogwatch, first, second, ben, schedule, policy)
        ran("alerts fire, are repeated, end, and fire again")
        silent()
        by_curl(dogwatch, generic, ben)
        ran("curl")
        restarted(dogwatch, first, again, event)
        ran("stopped and started between the beginning and the end")
        many(dogwatch, group("lemming"), ben)
        ran(f"{MANY} at once")
        killed(dogwatch, [group(cluster) for cluster in ["otter", "badger", "lynx", "marten"]])
        ran("killed while alerts are stored")
        busy(dogwatch, group("stork"), second, single, single_event, heartbeat)
        ran("503 for a while")
        for one in Group.all:
            one.heal()
        refusals = [line for line in monitoring.logs(10**9).splitlines() if re.search(r"status code 4\d\d", line)]
        check(not refusals, f"Alertmanager was refused: {refusals[:3]}")
        for one in Group.all:
            webhook.is_resolved(one.by_webhook()[-1])
            pager.is_resolved(one.by_events()[-1])
        ran("all are over")
    except BaseException:
        print(monitoring.logs(2000), flush=True)
        raise
    finally:
        monitoring.close()
    clients(dogwatch, events, generic)
    ran("PagerDuty's clients")
    throttled(dogwatch, events, webhook)
    ran("more than is taken from one key")

    check(not unheard.incidents() and unheard.shown()["lastSignalAt"] is None, f"a heartbeat that never came has {titles(unheard.incidents())}")
    incidents = dogwatch.incidents()
    numbers = sorted(one["sequentialId"] for one in incidents)
    check(numbers == list(range(1, len(incidents) + 1)), f"the incidents have the numbers {numbers}")
    # What a program had claimed that was killed is held for minutes, and what is behind it waits: nobody waits for it here.
    paged, waiting = 0, 0
    for one in incidents:
        pages = dogwatch.pages(one)
        # The one that was acknowledged, and got worse.
        times = 0 if not one["ownerId"] else 2 if one["id"] == single["id"] else 1
        check([page["userId"] for page in pages] == [ben] * times, f"incident {one['sequentialId']} has the pages {pages}")
        states = [delivery["state"] for page in pages for delivery in page["deliveries"]]
        check(set(states) <= {"delivered", "waiting", "superseded"}, f"incident {one['sequentialId']} has the pages {pages}")
        check(states.count("delivered") <= len(dogwatch.mails_about(one)), f"a mail about incident {one['sequentialId']} is missing")
        paged, waiting = paged + times, waiting + states.count("waiting")
    strangers = [one for one in incidents if one["createdBy"] not in {known.id for known in Integration.all}]
    check(not strangers, f"nobody knows who opened {titles(strangers)}")
    signals = [signal for one in incidents for signal in dogwatch.signals(one)]
    mailed = [to for to, text in mails_in(dogwatch.mails) if text.startswith("[#")]
    check(set(mailed) == {"ben@example.com"}, f"mails went to {set(mailed)}")
    dogwatch.stop()
    dogwatch.tool("verify", "--data", dogwatch.data)
    # Tokens that were handed out are nowhere.
    for path in [SCRATCH / "log", *SCRATCH.glob("mail/*"), *SCRATCH.glob("data/**/*")]:
        if path.is_file():
            content = path.read_bytes()
            check(not any(token.encode() in content for token in dogwatch.tokens), f"a token is in {path.relative_to(SCRATCH)}")
    check("panicked" not in (SCRATCH / "log").read_text(), "something panicked; the log says where")
    print(f"{len(mailed)} mails, and {waiting} pages that wait for what was claimed when the program was killed")
    reports = sum(signal["count"] for signal in signals)
    print(f"{len(signals)} alerts of {len(Integration.all)} integrations, reported {reports} times: {len(incidents)} incidents, {paged} pages, "
          f"none lost, none twice; {time.monotonic() - began:.0f} s")


def main():
    on_signal(SIGTERM, lambda *_: stop_with("stopped"))
    dogwatch = Dogwatch()
    try:
        night(dogwatch)
    except BaseException:
        if dogwatch.log.exists():
            # Without what was looked at.
            lines = [line for line in dogwatch.log.read_text().splitlines() if "method=GET" not in line]
            print("\n".join(["the log of the server:", *lines[-20:]]), flush=True)
        raise
    finally:
        if dogwatch.process and dogwatch.process.poll() is None:
            dogwatch.kill()


main()
