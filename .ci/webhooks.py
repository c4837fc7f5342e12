"""What `.ci/webhooks` does: receivers that are not ours, and what they get."""
import base64
import collections
import json
import re
import time

from standardwebhooks import Webhook, WebhookVerificationError

from peers import SCRATCH, SPARE, Handler, Program, Server, Trap, check, mails_in, wait_for

# What each resource has, and nothing else.
HOOK = {"id", "name", "url", "events", "includeInternal", "createdAt", "disabledAt", "disabledReason"}
DELIVERY = {"id", "type", "eventId", "incidentId", "state", "createdAt", "attempts", "lastError", "deliveredAt"}
INCIDENT = {"id", "sequentialId", "title", "severity", "status", "ownerId", "createdAt", "updatedAt", "acknowledgedAt", "resolvedAt"}
# A filter for those that shall get nothing.
NEVER = ["escalation_exhausted"]
# A body is under 20 KB, and an update's text in it is cut here.
LARGEST, CUT = 20_000, 4_000

Arrival = collections.namedtuple("Arrival", "path method headers body at clock")


class Endpoint(Handler):
    def do_POST(self):
        at, clock, server, path = time.monotonic(), time.time(), self.server, self.path
        body = self.read()
        headers = {name.lower(): value for name, value in self.headers.items()}
        with server.lock:
            if server.open[path]:
                server.overlaps.append(path)
            server.open[path] += 1
            server.arrivals.append(Arrival(path, self.command, headers, body, at, clock))
        server.wait(path)
        with server.lock:
            answers = server.answers.get(path)
            status, headers = answers.pop(0) if answers else (204, {})
            server.open[path] -= 1
        self.answer(status, headers)

    do_GET = do_HEAD = do_PUT = do_POST


class Receiver(Server):
    """Takes what comes to any path with 204, or answers what it is told to, or holds it."""

    def __init__(self):
        super().__init__(Endpoint)
        self.arrivals, self.overlaps, self.answers, self.open = [], [], {}, collections.Counter()
        self.serve()

    def at(self, path):
        with self.lock:
            return [arrival for arrival in self.arrivals if arrival.path == path]


class Dogwatch(Program):
    """The program, and its API."""

    def __init__(self, trap):
        super().__init__()
        self.trap, self.incidents, self.mails = trap, 0, SCRATCH / "mail"
        self.start()

    def start(self):
        # No webhook goes over a proxy, whatever the environment says.
        self.serve("--mail-folder", self.mails, "--allow-internal", "localhost", trap=self.trap)

    def refuses(self, method, path, body, status, kind, code, key=None):
        answer = self.ask(method, path, body, key)
        got = (answer.status, answer.body.get("type"), answer.body.get("code"))
        check(got == (status, kind, code), f"{method} {path} with {body} gives {answer.status}: {answer.body}")
        return answer

    def incident(self, title="Checkout is down", **fields):
        self.incidents += 1
        return self.call("POST", "/v1/incidents", {"title": title, "severity": "high", "ownerId": self.admin, **fields})["id"]

    def update(self, incident, text):
        return self.call("POST", f"/v1/incidents/{incident}/updates", {"body": text, "visibility": "internal"})["id"]

    def acknowledge(self, incident):
        self.call("POST", f"/v1/incidents/{incident}/acknowledge")

    def trail(self, incident):
        return self.call("GET", f"/v1/incidents/{incident}/audit?limit=100")["events"]

    def listed(self, path):
        """A list: under `data`, or under the one name there."""
        data = self.call("GET", path)
        return data if isinstance(data, list) else next(value for value in data.values() if isinstance(value, list))

    def mail(self):
        return mails_in(self.mails)


def is_signed(arrival, secret):
    try:
        Webhook(secret).verify(arrival.body, arrival.headers)
    except WebhookVerificationError:
        return False
    return True


class Hook:
    """A webhook, and what came to its path."""
    # Those that are there; and the secrets that were handed out for each path.
    all, given = [], collections.defaultdict(set)

    def __init__(self, dogwatch, receiver, path, **fields):
        self.dogwatch, self.receiver, self.path = dogwatch, receiver, path
        self.name = f"Receiver {path[1:]}"
        made = dogwatch.call("POST", "/v1/webhooks", {"name": self.name, "url": receiver.url(path), **fields}, status=201)
        self.id, self.internal, self.route = made["id"], made["includeInternal"], f"/v1/webhooks/{made['id']}"
        # Whoever signs now: the secret, and the one before.
        self.secrets, self.first = [made["secret"]], made
        Hook.all.append(self)
        Hook.given[path].add(made["secret"])

    def shown(self):
        return self.dogwatch.call("GET", self.route, status=200)

    def deliveries(self):
        return self.dogwatch.listed(f"{self.route}/deliveries")

    def rotate(self, **headers):
        secret = self.dogwatch.call("POST", f"{self.route}/rotate-secret", **headers)["secret"]
        Hook.given[self.path].add(secret)
        return secret

    def delete(self):
        gone = self.dogwatch.call("DELETE", self.route, status=200)
        check(gone == {"id": self.id, "deleted": True}, f"a deleted webhook gives {gone}")
        Hook.all.remove(self)

    def arrivals(self, incident=None):
        arrivals = self.receiver.at(self.path)
        if incident is None:
            return arrivals
        return [arrival for arrival in arrivals if json.loads(arrival.body)["data"].get("incident", {}).get("id") == incident]

    def why(self):
        """What can be said when something did not come."""
        states = [(delivery["type"], delivery["state"], delivery["attempts"], delivery["lastError"]) for delivery in self.deliveries()[:5]]
        return f"; its newest deliveries: {states}; handshakes that failed: {self.receiver.refusals[-3:]}"

    def wait(self, count, what, incident=None, seconds=20):
        return wait_for(what, lambda: len(found := self.arrivals(incident)) >= count and found, seconds, self.why)

    def read(self, arrival):
        """The body of a request that is as the standard wants it."""
        what = f"a request to {self.path}"
        check(arrival.method == "POST", f"{what} came as {arrival.method}")
        check(arrival.headers.get("content-type", "").startswith("application/json"), f"{what} says it is not JSON")
        for secret in self.secrets:
            check(is_signed(arrival, secret), f"{what} does not verify: {arrival.headers}, {arrival.body[:300]}")
        signatures = arrival.headers["webhook-signature"].split(" ")
        check(len(signatures) == len(self.secrets), f"{what} has the signatures {signatures}")
        late = arrival.clock - int(arrival.headers["webhook-timestamp"])
        check(-1 <= late <= 5, f"{what} says that it was sent {late} s before it came, but it is the time of the try that counts")
        check(len(arrival.body) < LARGEST, f"{what} has {len(arrival.body)} bytes")
        return json.loads(arrival.body)

    def follows(self, incident, tries=None):
        """Waits for all that happened to an incident, and compares it with its audit trail; `tries`: how often each came, unless once."""
        trail = self.dogwatch.trail(incident)
        updates = {update["id"]: update for update in self.dogwatch.call("GET", f"/v1/incidents/{incident}/updates")["updates"]}
        shown = self.dogwatch.call("GET", f"/v1/incidents/{incident}")
        expected = [event for event in trail for _ in range((tries or {}).get(event["event"], 1))]
        arrivals = self.wait(len(expected), f"what happened to incident {shown['sequentialId']}, at {self.path},", incident)
        names, ids = {event["id"]: event["event"] for event in trail}, [arrival.headers["webhook-id"] for arrival in arrivals]
        came = [names.get(id, id) for id in ids]
        check(ids == [event["id"] for event in expected], f"{self.path} got {came} in place of {[event['event'] for event in expected]}")
        for arrival, event in zip(arrivals, expected):
            body, what = self.read(arrival), f"a {event['event']} at {self.path}"
            check(set(body) == {"type", "timestamp", "data"}, f"{what} has {sorted(body)}")
            check((body["type"], body["timestamp"]) == (event["event"], event["at"]), f"{what} is {body['type']} of {body['timestamp']}")
            data = dict(body["data"])
            about = data.pop("incident")
            check(data.pop("event") == event, f"{what} has {body['data']['event']}, and the audit trail {event}")
            check(set(about) == INCIDENT, f"{what} has an incident with {sorted(about)}")
            for same in ["id", "sequentialId", "severity", "ownerId", "createdAt"]:
                check(about[same] == shown[same], f"{what} has {same} = {about[same]}")
            if event["event"] == "update_posted":
                self.compare(data.pop("update", None), event, updates, what)
            check(not data, f"{what} has {sorted(data)} beside the incident and the event")
        # The last was sent when all had happened.
        last = {name: shown[name] for name in INCIDENT}
        check(about == last, f"the last event of incident {shown['sequentialId']} has {about}, which is {last}")
        return arrivals

    def compare(self, told, event, updates, what):
        check(told and set(told) == {"id", "visibility", "statusChange", "body", "truncated"}, f"{what} has the update {told}")
        check(told["id"] == event["details"]["updateId"], f"{what} has update {told['id']}")
        update = updates[told["id"]]
        for same in ["visibility", "statusChange"]:
            check(told[same] == update[same], f"{what} has {same} = {told[same]}")
        text = update["body"] if self.internal or update["visibility"] != "internal" else None
        if text is None:
            check(told["body"] is None, f"{what} has the text of an update that is internal or was redacted")
        else:
            check(told["body"] == text[:CUT], f"{what} has another text: {told['body'] and told['body'][:50]!r}")
            check(told["truncated"] is (len(text) > CUT), f"{what} has truncated = {told['truncated']}, of {len(text)} characters")


def an_incident(dogwatch, everything, inside, created):
    """From the first event to the last, at three webhooks: nothing is left out, nothing internal gets out."""
    for hook in [everything, inside, created]:
        secret = hook.first["secret"]
        check(secret.startswith("whsec_") and len(base64.b64decode(secret[6:], validate=True)) == 32, "a secret is not `whsec_` and 32 bytes")
        check(set(hook.first) == HOOK | {"secret"}, f"a new webhook has {sorted(hook.first)}")
        shown = hook.shown()
        check(set(shown) == HOOK and "whsec_" not in json.dumps(shown), f"a webhook is shown with {sorted(shown)}")
        check(shown == {name: hook.first[name] for name in HOOK}, f"a webhook is shown as {shown}")
    check((everything.first["events"], everything.first["includeInternal"]) == (["*"], False), f"by default it is {everything.first}")
    listed = dogwatch.listed("/v1/webhooks")
    check({hook["id"] for hook in listed} == {hook.id for hook in Hook.all}, f"the list has {listed}")
    check("whsec_" not in json.dumps(listed), "the list has secrets")

    policy = dogwatch.call("POST", "/v1/escalation/policies", {"name": "Night"})["id"]
    target = {"type": "users", "userIds": [dogwatch.admin]}
    dogwatch.call("POST", f"/v1/escalation/policies/{policy}/layers", {"position": 1, "ackTimeoutMinutes": 30, "target": target})
    # As long as they may be: four bytes each.
    incident = dogwatch.incident("🔥" * 100, description="🔥" * 10_000, escalationPolicyId=policy)
    names = lambda: [event["event"] for event in dogwatch.trail(incident)]
    wait_for("the page", lambda: "page_delivered" in names())
    marker = "only-for-us-7319"
    dogwatch.update(incident, f"{marker} „Zahlung“ <b>\"steht\"</b>\n\tzweite Zeile")
    dogwatch.update(incident, marker + "🔥" * (10_000 - len(marker)))
    dogwatch.update(incident, "\"" * CUT)
    dogwatch.call("PATCH", f"/v1/incidents/{incident}", {"title": "Checkout \u2028 steht", "description": "🔥" * 9_999})
    dogwatch.acknowledge(incident)
    for status in ["identified", "monitoring"]:
        dogwatch.call("PATCH", f"/v1/incidents/{incident}/status", {"status": status})
    dogwatch.call("PATCH", f"/v1/incidents/{incident}/status", {"status": "resolved", "resolutionNote": f"{marker}: the end"})
    for name in ["incident_created", "layer_paged", "update_posted", "incident_edited", "incident_acknowledged", "status_changed"]:
        check(name in names(), f"{name} is not in {names()}")

    everything.follows(incident)
    told = inside.follows(incident)
    check(not any(marker.encode() in arrival.body for arrival in everything.arrivals()), "an internal text got out")
    check(sum(marker.encode() in arrival.body for arrival in told) == 3, "an internal text is missing where it is wanted")
    # A filter: nothing else is even written down for it.
    wait_for("the one event of a filter", lambda: [hook["state"] for hook in created.deliveries()] == ["delivered"], otherwise=created.why)
    check([json.loads(arrival.body)["type"] for arrival in created.arrivals()] == ["incident_created"], "a filter lets others through")
    changed = dogwatch.call("PATCH", created.route, {"events": ["incident_acknowledged", "update_redacted"]}, status=200)
    check(changed["events"] == ["incident_acknowledged", "update_redacted"] and changed["name"] == created.name, f"changed, it is {changed}")
    incident = dogwatch.incident()
    dogwatch.acknowledge(incident)
    wait_for("the event of a filter that was changed", lambda: len(created.arrivals()) == 2, otherwise=created.why)
    check(json.loads(created.arrivals()[1].body)["type"] == "incident_acknowledged", "a filter that was changed is the old one")
    everything.follows(incident)


def rotation(dogwatch, hook, other):
    """The secret, and the one before; never a third."""
    first, second = hook.secrets[0], hook.rotate()
    hook.secrets = [second, first]
    arrival = hook.follows(dogwatch.incident())[-1]
    wrong = "whsec_" + base64.b64encode(bytes(32)).decode()
    check(not is_signed(arrival, wrong) and not is_signed(arrival, other.secrets[0]), "it verifies with a secret that is not its own")
    third = hook.rotate(Idempotency_Key="third")
    again = dogwatch.ask("POST", f"{hook.route}/rotate-secret", Idempotency_Key="third")
    check(again.headers.get("Idempotency-Replayed") == "true" and again.body["data"]["secret"] is None, f"a repeated rotation gives {again.body}")
    hook.secrets = [third, second]
    arrival = hook.follows(dogwatch.incident())[-1]
    check(not is_signed(arrival, first), "a secret signs that was replaced twice")
    check(len({first, second, third}) == 3 and "whsec_" not in json.dumps(hook.shown()), "a secret is used twice, or shown")


def hold_and_kill(dogwatch, receiver, hook):
    """The program is killed while a request is held; returns what is then to be waited for."""
    receiver.hold(hook.path)
    incidents = [dogwatch.incident() for _ in range(3)]
    for incident in incidents[:2]:
        dogwatch.acknowledge(incident)
    hook.wait(1, "the request that is held")
    time.sleep(0.5)
    check(len(hook.arrivals()) == 1, "an event does not wait for the one in front")
    for other in Hook.all:
        if other is not hook:
            # What has arrived is written down as such before the program is killed, so that it does not come twice.
            calm = lambda: not any(delivery["state"] == "waiting" for delivery in other.deliveries())
            wait_for(f"the end of what waits for {other.path}", calm, 5, other.why)
    dogwatch.kill()
    receiver.let_go(hook.path)
    dogwatch.start()
    dogwatch.acknowledge(incidents[2])

    def arrives():
        wanted = [event["id"] for incident in incidents for event in dogwatch.trail(incident) if event["event"] == "incident_acknowledged"]
        came = lambda: [arrival.headers["webhook-id"] for arrival in hook.arrivals()]
        wait_for("what was held when the program was killed", lambda: wanted[2] in came(), 75, hook.why)
        # What is acknowledged later comes behind them.
        ids = came()[:4]
        check(ids == [wanted[0], *wanted], f"after a kill the events {wanted} came as {ids}")
        for arrival in hook.arrivals():
            hook.read(arrival)
    return arrives


def refusals_for_now(dogwatch, receiver, hooks):
    """What is refused comes again, and what is behind it waits; texts that were redacted meanwhile are not sent."""
    elsewhere = {"Location": receiver.url("/elsewhere")}
    answers = {"/busy": (503, {}), "/throttled": (429, {"Retry-After": "7"}), "/moved": (307, elsewhere), "/denied": (404, {})}
    for hook in hooks:
        receiver.answers[hook.path] = [answers[hook.path]]
    incident = dogwatch.incident()
    secret = "taken-back-4471"
    update = dogwatch.update(incident, secret)
    dogwatch.call("POST", f"/v1/incidents/{incident}/updates/{update}/redact")
    dogwatch.acknowledge(incident)
    for hook in hooks:
        arrivals = hook.follows(incident, tries={"incident_created": 2})
        check(not any(secret.encode() in arrival.body for arrival in arrivals), "a text was sent that had been redacted")
        gap, least = arrivals[1].at - arrivals[0].at, 7 if hook.path == "/throttled" else 5
        check(least - 0.01 <= gap <= least * 1.1 + SPARE, f"{hook.path} was tried again after {gap:.2f} s in place of {least} s")
        wait_for("the deliveries", lambda: {one["state"] for one in hook.deliveries()} == {"delivered"}, otherwise=hook.why)
        check([one["attempts"] for one in hook.deliveries()] == [1] * (len(arrivals) - 2) + [2], f"{hook.path} has {hook.deliveries()}")
        hook.delete()
    check(not receiver.at("/elsewhere"), "a redirect was followed")
    dogwatch.refuses("GET", hooks[0].route, None, 404, "invalid_request_error", "not_found")


def gone(dogwatch, receiver, hook, witness):
    """410 ends it: what waits is left, what happens is not written down, the admins get a mail; and it can be begun anew."""
    receiver.hold(hook.path)
    before = dogwatch.incident()
    dogwatch.acknowledge(before)
    hook.wait(1, "the event that finds nobody")
    receiver.answers[hook.path] = [(410, {})]
    receiver.let_go(hook.path)
    shown = wait_for("the end of a webhook after a 410", lambda: (now := hook.shown())["disabledAt"] and now, otherwise=hook.why)
    check(shown["disabledReason"], "it does not say why it is disabled")
    states = lambda: [one["state"] for one in hook.deliveries()]
    wait_for("the end of what waits, after a 410", lambda: states() == ["superseded", "failed"], otherwise=hook.why)
    check(hook.deliveries()[1]["lastError"], "what got a 410 does not say so")
    about = lambda: [(to, text) for to, text in dogwatch.mail() if hook.name in text]
    wait_for(f"a mail that names `{hook.name}`", about)
    meanwhile = dogwatch.incident()
    witness.follows(meanwhile)
    sent = dogwatch.ask("POST", f"{hook.route}/test")
    check(sent.status in (200, 201), f"a test of a disabled webhook gives {sent.status}: {sent.body}")
    test = hook.wait(2, "a test of a disabled webhook")[1]
    check(hook.read(test)["type"] == "test" and hook.shown()["disabledAt"], "a test of a disabled webhook enables it, or is none")
    check(meanwhile not in [one["incidentId"] for one in hook.deliveries()], "something is written down for a disabled webhook")
    dogwatch.call("POST", f"{hook.route}/enable", status=200)
    shown = hook.shown()
    check((shown["disabledAt"], shown["disabledReason"]) == (None, None), f"an enabled webhook is {shown}")
    after = dogwatch.incident()
    hook.follows(after)
    came = [arrival for arrival in hook.arrivals() if arrival is not test]
    check(len(came) == 2 and not hook.arrivals(meanwhile), f"a webhook that was enabled again got {len(came)} events")
    mails = about()
    check([to for to, _ in mails] == ["admin@example.com"], f"the mails went to {[to for to, _ in mails]}")


def tests(dogwatch, receiver, hook, hook_gone, hook_busy):
    """A test is signed as events are, is tried once, at most one a minute, and disables none."""
    receiver.answers[hook_gone.path], receiver.answers[hook_busy.path] = [(410, {})], [(503, {})]
    for one, state in [(hook, "delivered"), (hook_gone, "failed"), (hook_busy, "failed")]:
        dogwatch.call("POST", f"{one.route}/test")
        body = one.read(one.wait(1, "a test")[0])
        check(set(body) == {"type", "timestamp", "data"} and (body["type"], body["data"]) == ("test", {}), f"a test is {body}")
        wait_for(f"a test that is {state}", lambda: [sent["state"] for sent in one.deliveries()] == [state], otherwise=one.why)
        delivery = one.deliveries()[0]
        got = tuple(delivery[name] for name in ["type", "eventId", "incidentId", "attempts"])
        check(got == ("test", None, None, 1) and set(delivery) == DELIVERY, f"the delivery of a test is {delivery}")
        check(one.shown()["disabledAt"] is None, f"a test disabled {one.path}")
    again = dogwatch.refuses("POST", f"{hook.route}/test", None, 429, "invalid_request_error", "too_many_requests")
    check(1 <= int(again.headers.get("Retry-After", 0)) <= 60, f"a second test says Retry-After: {again.headers.get('Retry-After')}")
    ids = {one.arrivals()[0].headers["webhook-id"] for one in [hook, hook_gone, hook_busy]}
    check(len(ids) == 3, "tests share an id")


def many(dogwatch, hook):
    """More events than are listed: all of them come in order, and the last hundred are listed."""
    incidents = [dogwatch.incident() for _ in range(105)]
    arrivals = hook.wait(105, "the last of many events", seconds=40)
    check([hook.read(arrival)["data"]["incident"]["id"] for arrival in arrivals] == incidents, "many events came in another order")
    wait_for("the last of many deliveries", lambda: hook.deliveries()[0]["state"] == "delivered", otherwise=hook.why)
    deliveries = hook.deliveries()
    check([one["incidentId"] for one in deliveries] == incidents[:4:-1], f"{len(deliveries)} deliveries are listed, or not the newest first")
    events = [arrival.headers["webhook-id"] for arrival in arrivals]
    check([one["eventId"] for one in deliveries] == events[:4:-1], "a delivery names another event")
    for one in deliveries:
        got = tuple(one[name] for name in ["type", "state", "attempts", "lastError"])
        check(set(one) == DELIVERY and got == ("event", "delivered", 1, None) and one["deliveredAt"], f"a delivery is {one}")


def bad_requests(dogwatch, receiver):
    """What is refused, and for which field."""
    fits = {"name": "Receiver", "url": receiver.url("/nobody"), "events": NEVER}
    for field, value in [
        ("url", receiver.url("/nobody").replace("https:", "http:")), ("url", "ftp://localhost/"), ("url", "https://user@localhost/"),
        ("url", "https://localhost/#part"), ("url", "https://localhost/ü"), ("url", "https://localhost/" + "a" * 2_000), ("url", None),
        ("name", ""), ("name", "a" * 101), ("name", "a\u0007"), ("events", []), ("events", ["*", *NEVER]), ("events", NEVER * 2),
        ("events", ["incident_lost"]), ("events", "*"), ("includeInternal", "yes"),
    ]:
        answer = dogwatch.refuses("POST", "/v1/webhooks", {**fits, field: value}, 422, "validation_error", "")
        paths = [problem["path"] for problem in answer.body["fields"]]
        check(paths and all(path == f"/{field}" or path.startswith(f"/{field}/") for path in paths), f"{field} = {value!r} gives {paths}")
    # The fiftieth is taken, and no more.
    room = 50 - len(dogwatch.listed("/v1/webhooks"))
    made = [dogwatch.call("POST", "/v1/webhooks", fits, status=201)["id"] for _ in range(room)]
    dogwatch.refuses("POST", "/v1/webhooks", fits, 400, "invalid_request_error", "limit_reached")
    for id in made:
        dogwatch.call("DELETE", f"/v1/webhooks/{id}", status=200)
    # Made twice with one key it is one, and its secret is shown once.
    first, second = (dogwatch.ask("POST", "/v1/webhooks", fits, Idempotency_Key="one") for _ in range(2))
    secret = first.body["data"].pop("secret")
    check(secret and second.body["data"].pop("secret", "") is None, "a repeated request shows the secret, or leaves it out")
    check((second.status, second.body["data"]) == (201, first.body["data"]), f"a repeated request gives {second.body}")
    dogwatch.call("DELETE", f"/v1/webhooks/{first.body['data']['id']}", status=200)
    Hook.given["/nobody"].add(secret)


def inside_the_network(dogwatch, trap):
    """The loopback is reached by the name that is allowed, and in no other way; returns what is then to be waited for."""
    routes = []
    for host in ["127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]"]:
        hook = {"name": "Inside", "url": f"https://{host}:{trap.port}/", "events": ["incident_created"]}
        routes.append(f"/v1/webhooks/{dogwatch.call('POST', '/v1/webhooks', hook, status=201)['id']}")
    dogwatch.incident()

    def never_connects():
        for route in routes:
            tried = lambda: [one for one in dogwatch.listed(f"{route}/deliveries") if one["lastError"]]
            states = {one["state"] for one in wait_for("a try that is refused", tried)}
            check("delivered" not in states, f"a webhook inside of the network has deliveries that are {states}")
            dogwatch.call("DELETE", route, status=200)
        check(trap.caught == 0, "something was connected to that is not allowed, or a proxy was used")
    return never_connects


def a_member(dogwatch, receiver, hook):
    """Whoever is no admin may do nothing with webhooks. Returns their key."""
    dogwatch.call("POST", "/v1/team/members/invite", {"emailAddress": "ben@example.com", "role": "org:member"})
    link = lambda: [found for to, text in dogwatch.mail() if to == "ben@example.com" for found in re.findall(r"/join/(\S+)", text)]
    token = wait_for("the invitation", link)[0]
    joined = dogwatch.call("POST", "/v1/invitations/accept", {"token": token, "firstName": "Ben", "lastName": "Marlow"}, status=201)
    key = joined["apiKey"]["secret"]
    before = (dogwatch.listed("/v1/webhooks"), len(hook.arrivals()))
    new = {"name": "Ben's", "url": receiver.url("/ben")}
    for method, route, body in [
        ("GET", "/v1/webhooks", None), ("POST", "/v1/webhooks", new), ("GET", hook.route, None), ("PATCH", hook.route, {"name": "Ben's"}),
        ("DELETE", hook.route, None), ("POST", f"{hook.route}/rotate-secret", None), ("POST", f"{hook.route}/test", None),
        ("POST", f"{hook.route}/enable", None), ("GET", f"{hook.route}/deliveries", None),
    ]:
        dogwatch.refuses(method, route, body, 401, "not_authorized_error", "not_authorized", key)
        dogwatch.refuses(method, route, body, 401, "not_authorized_error", "invalid_api_key", "scl_live_" + "x" * 32)
    check(before == (dogwatch.listed("/v1/webhooks"), len(hook.arrivals())), "what was refused to a member has happened")
    return key


def night(dogwatch, receiver, trap):
    began = time.monotonic()
    hook = lambda path, **fields: Hook(dogwatch, receiver, path, **fields)
    everything, inside, created = hook("/everything"), hook("/inside", includeInternal=True), hook("/created", events=["incident_created"])
    an_incident(dogwatch, everything, inside, created)
    created.delete()
    rotation(dogwatch, everything, inside)
    key = a_member(dogwatch, receiver, everything)
    arrives = hold_and_kill(dogwatch, receiver, hook("/held", events=["incident_acknowledged"]))
    # What was held comes when the one who had claimed it is known to be gone. Other receivers do not wait for it.
    waiting = [hook(path, events=NEVER) for path in ["/tested", "/tested-gone", "/tested-busy"]]
    tests(dogwatch, receiver, *waiting)
    never_connects = inside_the_network(dogwatch, trap)
    refusals_for_now(dogwatch, receiver, [hook(path, includeInternal=True) for path in ["/busy", "/throttled", "/moved", "/denied"]])
    never_connects()
    gone(dogwatch, receiver, hook("/gone", events=["incident_created", "incident_acknowledged"]), everything)
    many(dogwatch, hook("/many", events=["incident_created"]))
    bad_requests(dogwatch, receiver)
    check([len(one.arrivals()) for one in waiting] == [1, 1, 1], "a test was tried again")
    arrives()

    # Whoever gets everything got all of it, once, and in order.
    last = everything.follows(dogwatch.incident())[-1]
    arrivals = everything.arrivals()
    check(arrivals[-1] is last, "there is something behind the last event")
    ids, times = [arrival.headers["webhook-id"] for arrival in arrivals], [json.loads(arrival.body)["timestamp"] for arrival in arrivals]
    check(len(ids) == len(set(ids)), "an event came twice that was taken")
    check(times == sorted(times), "events of several incidents came in another order than they happened")
    told = {json.loads(arrival.body)["data"]["incident"]["id"] for arrival in arrivals}
    check(len(told) == dogwatch.incidents, f"it was told of {len(told)} incidents in place of {dogwatch.incidents}")
    for arrival in receiver.arrivals:
        fits = any(is_signed(arrival, secret) for secret in Hook.given[arrival.path])
        check(fits, f"a request to {arrival.path} verifies with no secret: {arrival.headers}, {arrival.body[:300]}")
    check(not receiver.overlaps, f"two requests were under way at once to {set(receiver.overlaps)}")
    dogwatch.stop()
    check(trap.caught == 0, "something was connected to that is not allowed, or a proxy was used")

    # Secrets that were handed out are nowhere.
    forms = {form for given in Hook.given.values() for secret in given for form in [secret[6:].encode(), base64.b64decode(secret[6:])]}
    forms |= {dogwatch.key.encode(), key.encode()}
    for path in [SCRATCH / "log", *SCRATCH.glob("mail/*"), *SCRATCH.glob("data/**/*")]:
        if path.is_file() and path.name != "first-api-key":
            content = path.read_bytes()
            check(not any(form in content for form in forms), f"a secret is in {path.relative_to(SCRATCH)}")
    check("panicked" not in (SCRATCH / "log").read_text(), "something panicked; the log says where")
    paths = len({arrival.path for arrival in receiver.arrivals})
    print(f"{len(receiver.arrivals)} requests to {paths} receivers, of {dogwatch.incidents} incidents: each verified, in order, none lost, "
          f"none taken twice; {time.monotonic() - began:.0f} s")


def main():
    receiver, trap = Receiver(), Trap()
    dogwatch = Dogwatch(trap)
    try:
        night(dogwatch, receiver, trap)
    finally:
        if dogwatch.process.poll() is None:
            dogwatch.kill()


main()
