"""What `.ci/slack` does: a Slack workspace that is not ours, its members, and what they see and press."""
import collections
import json
import logging
import re
import secrets
import time
import urllib.parse

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.signature import SignatureVerifier

import peers
from peers import SCRATCH, SPARE, Handler, Program, Server, Trap, check, mails_in

TOKEN, SIGNING_SECRET = f"xoxb-{secrets.token_hex(16)}", secrets.token_hex(16)
# What `docs/operating.md` says that an app of Slack is given.
SCOPES = ["users:read", "users:read.email", "chat:write"]
PUBLIC = "https://oncall.example.com"
# As somebody writes it who wants more to be read into it.
TITLE = "Kasse <!here> & <https://evil.example/|Gewinn> *steht* @here 🔥"
# Marks of Slack that name somebody, or a channel.
MENTION = re.compile(r"<(?:[@#]|!(?!date\^))[^>]*>")
LARGEST = 64 * 1024

Call = collections.namedtuple("Call", "method who arguments answer at")
Person = collections.namedtuple("Person", "email user channel")


def wait_for(what, find, *more, **named):
    def looked():
        check(not Slack.problems, "; ".join(Slack.problems))
        return find()

    return peers.wait_for(what, looked, *more, **named)


class Unread(logging.Handler):
    """Notes what Slack's library skips because it does not know it; Slack itself refuses that."""
    lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


for name in ["slack_sdk.models", "slack_sdk.models.blocks.blocks", "slack_sdk.models.blocks.block_elements", "slack_sdk.models.blocks.basic_components"]:
    logger = logging.getLogger(name)
    logger.addHandler(Unread())
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def objects(tree):
    """Every JSON object in it, the outer ones first."""
    if isinstance(tree, dict):
        yield tree
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []:
        yield from objects(value)


def texts(blocks):
    return [one for one in objects(blocks) if one.get("type") in ("plain_text", "mrkdwn")]


def buttons(blocks):
    return [one for one in objects(blocks) if one.get("type") == "button"]


def misfits(blocks):
    """What Slack's documentation, or its library, does not allow in these blocks."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return ["blocks are no list of objects"]
    found = [] if len(blocks) <= 50 else [f"there are {len(blocks)} blocks"]
    del Unread.lines[:]
    try:
        for block in Block.parse_all(json.loads(json.dumps(blocks))):
            if block is None:
                found.append("Slack's library does not know a block")
            else:
                block.validate_json()
                block.to_dict()
    except (SlackObjectFormationError, TypeError, ValueError) as why:
        found.append(f"Slack's library refuses a block: {why}")
    found += Unread.lines

    def text(of, what, most, kinds=("plain_text", "mrkdwn")):
        if not isinstance(of, dict) or of.get("type") not in kinds or not isinstance(of.get("text"), str):
            found.append(f"{what} is {of}")
        elif not 1 <= len(of["text"]) <= most:
            found.append(f"{what} has {len(of['text'])} characters, of {most}")
        elif set(of) - {"type", "text", "emoji" if of["type"] == "plain_text" else "verbatim"}:
            found.append(f"{what} has {sorted(of)}")

    for block in blocks:
        kind, elements = block.get("type"), block.get("elements", [])
        if kind == "header":
            text(block.get("text"), "a header", 150, ["plain_text"])
        elif kind == "section":
            fields = block.get("fields", [])
            if "text" in block or not fields:
                text(block.get("text"), "the text of a section", 3_000)
            if len(fields) > 10:
                found.append(f"a section has {len(fields)} fields")
            for field in fields:
                text(field, "a field", 2_000)
        elif kind == "context":
            if not 1 <= len(elements) <= 10:
                found.append(f"a context has {len(elements)} elements")
            for element in elements:
                if element.get("type") != "image":
                    text(element, "the text of a context", 3_000)
        elif kind == "actions":
            if not 1 <= len(elements) <= 25:
                found.append(f"actions has {len(elements)} elements")
            ids = [element.get("action_id") for element in elements if "action_id" in element]
            if len(ids) != len(set(ids)):
                found.append("actions has one action_id twice")
    for button in buttons(blocks):
        text(button.get("text"), "the text of a button", 75, ["plain_text"])
        for name, most in [("value", 2_000), ("action_id", 255), ("url", 3_000)]:
            if name in button and not (isinstance(button[name], str) and 1 <= len(button[name]) <= most):
                found.append(f"{name} of a button is {button[name]!r}")
        if button.get("style", "primary") not in ("primary", "danger"):
            found.append(f"a button has the style {button['style']}")
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(ids) != len(set(ids)) or any(not 1 <= len(id) <= 255 for id in ids):
        found.append(f"the blocks have the ids {ids}")
    return found


def seen(text):
    """What people see of a text object; in `mrkdwn`, marks are gone."""
    content = text["text"]
    if text["type"] == "mrkdwn":
        content = re.sub(r"<([^>|]*)\|?([^>]*)>", lambda match: match[2] or match[1], content)
        for mark in "*_~`":
            content = re.sub(rf"(?<!\w){re.escape(mark)}(\S(?:.*?\S)?){re.escape(mark)}(?!\w)", r"\1", content)
    return content.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def reads_more(text, blocks):
    """What Slack makes out of the texts of a message that nobody but their author wanted: mentions, and links to elsewhere."""
    for content in [text] + [one["text"] for one in texts(blocks) if one["type"] == "mrkdwn"]:
        for mark in re.findall(r"<[^>]*>", content):
            if MENTION.match(mark) or not mark.startswith((f"<{PUBLIC}/", "<!date^")):
                yield f"{mark} in {content[:100]!r}"
        if re.search(r"&(?!(amp|lt|gt);)", content):
            yield f"a bare & in {content[:100]!r}"
    for one in texts(blocks):
        # Where it is not `verbatim`, Slack looks for links and names that nobody marked.
        if one["type"] == "mrkdwn" and not one.get("verbatim"):
            found = re.search(r"@(here|channel|everyone)\b|https?://(?!oncall\.example\.com/)\S+", re.sub("<[^>]*>", "", one["text"]))
            if found:
                yield f"{found[0]} in {one['text'][:100]!r}"


class Message:
    """A message in the workspace, and what it was before."""

    def __init__(self, person, ts):
        self.person, self.ts, self.versions = person, ts, []

    @property
    def text(self):
        return self.versions[-1][0]

    @property
    def blocks(self):
        return self.versions[-1][1]

    def seen(self):
        """What is seen of it: its blocks, or its text where it has none."""
        return "\n".join(map(seen, texts(self.blocks) or [{"type": "mrkdwn", "text": self.text}]))

    def acts(self):
        """The buttons that come back to the program, and those that only open a page."""
        all = buttons(self.blocks)
        return [one for one in all if "url" not in one], [one for one in all if "url" in one]


class Api(Handler):
    def do_POST(self):
        at, url = time.monotonic(), urllib.parse.urlsplit(self.path)
        body = self.read()
        kind = self.headers.get("Content-Type", "")
        if self.server.is_secret_in(f"{self.path}\n{body.decode(errors='replace')}"):
            Slack.problems.append(f"a secret is in a request to {url.path}, outside of its head")
        if url.path.startswith("/api/"):
            status, headers, answer = self.server.api(url.path[5:], self.command, url.query, kind, body, self.headers.get("Authorization", ""), at)
        elif url.path.startswith("/actions/"):
            if self.server.is_secret_in(str(self.headers)):
                Slack.problems.append("the response_url got a secret")
            self.server.replies.append((url.path, json.loads(body)))
            status, headers, answer = 200, {}, b"ok"
        else:
            Slack.problems.append(f"somebody asks for {self.path}")
            status, headers, answer = 404, {}, b""
        if isinstance(answer, dict):
            headers, answer = {"Content-Type": "application/json; charset=utf-8", **headers}, json.dumps(answer).encode()
        self.answer(status, headers, answer)

    do_GET = do_POST


class Slack(Server):
    """The workspace. Each method does what Slack's documentation says, unless it is told to do something else."""
    # What no request of the program may be like.
    problems = []

    def __init__(self):
        super().__init__(Api)
        self.people, self.calls, self.messages, self.replies = {}, [], [], []
        # What is answered next to (address, method).
        self.answers = collections.defaultdict(list)
        self.serve()

    def is_secret_in(self, text):
        return TOKEN in text or SIGNING_SECRET in text

    def join(self, address):
        number = len(self.people)
        self.people[address] = Person(address, f"U0DOGWATCH{number}", f"D0DOGWATCH{number}")

    def api(self, method, verb, query, kind, body, authorization, at):
        kind, _, rest = kind.partition(";")
        arguments, warning = dict(urllib.parse.parse_qsl(query)), None
        if kind == "application/json":
            # Slack does not read JSON for its older methods, and answers as if nothing had been sent.
            if method != "users.lookupByEmail":
                try:
                    arguments |= json.loads(body)
                except (ValueError, TypeError):
                    return 200, {}, {"ok": False, "error": "invalid_json"}
            warning = None if "charset" in rest.lower() else "missing_charset"
        elif kind == "application/x-www-form-urlencoded":
            arguments |= dict(urllib.parse.parse_qsl(body.decode()))
        elif verb == "POST" and body:
            return 200, {}, {"ok": False, "error": "invalid_post_type"}
        if isinstance(arguments.get("blocks"), str):
            try:
                arguments["blocks"] = json.loads(arguments["blocks"])
            except ValueError:
                return 200, {}, {"ok": False, "error": "invalid_blocks_format"}
        with self.lock:
            named = [arguments.get(name) for name in ("email", "channel", "users")]
            who = next((one for one in self.people.values() if set(one) & {name for name in named if isinstance(name, str)}), None)
            key, answer = (who.email if who else arguments.get("email"), method), None
            told = self.answers[key] or self.answers[key[0], "*"]
            if not authorization:
                answer = {"ok": False, "error": "not_authed"}
            elif authorization != f"Bearer {TOKEN}":
                answer = {"ok": False, "error": "invalid_auth"}
            elif told:
                status, headers, answer = told.pop(0)
                self.calls.append(Call(method, key[0], arguments, answer, at))
                return status, headers, answer
            else:
                answer = self.METHODS.get(method, lambda *_: {"ok": False, "error": "unknown_method"})(self, arguments, who)
            if warning and answer["ok"]:
                answer |= {"warning": warning, "response_metadata": {"warnings": [warning]}}
            self.calls.append(Call(method, key[0], arguments, answer, at))
        if not answer["ok"] and answer["error"] not in ("users_not_found", "user_not_found", "channel_not_found"):
            Slack.problems.append(f"{method} with {kind or 'a query'} gives {answer}: {json.dumps(arguments)[:3_000]}")
        # What it was asked for is done, but nobody has been told.
        self.wait(*key)
        return 200, {}, answer

    def look_up(self, arguments, _):
        if not arguments.get("email"):
            return {"ok": False, "error": "invalid_arguments", "response_metadata": {"messages": ["[ERROR] missing required field: email"]}}
        person = next((one for one in self.people.values() if one.email.lower() == arguments["email"].lower()), None)
        if not person:
            return {"ok": False, "error": "users_not_found"}
        profile = {"real_name": "Egon Spengler", "display_name": "spengler", "email": person.email, "team": "T012AB3C4"}
        return {"ok": True, "user": {"id": person.user, "team_id": "T012AB3C4", "name": "spengler", "deleted": False, "tz": "Europe/Berlin",
                                     "profile": profile, "is_admin": False, "is_bot": False, "updated": 1502138686}}

    def open(self, arguments, who):
        if "im:write" not in SCOPES:
            return {"ok": False, "error": "missing_scope", "needed": "im:write", "provided": ",".join(SCOPES)}
        return {"ok": True, "channel": {"id": who.channel}} if who else {"ok": False, "error": "user_not_found"}

    def content(self, arguments, before=("", [])):
        """Text and blocks of a message, or what Slack does not like about them."""
        text, blocks = arguments.get("text"), arguments.get("blocks")
        if not text and not blocks:
            return "no_text", []
        if len(text or "") > 40_000:
            return "msg_too_long", []
        found = misfits(blocks or [])
        if found:
            return "invalid_blocks", found
        if arguments.get("parse", "none") != "none" or arguments.get("link_names") or set(arguments) & {"attachments", "markdown_text", "token"}:
            Slack.problems.append(f"a message has {sorted(arguments)}")
        # Without blocks, those that are there stay.
        blocks = before[1] if blocks is None else blocks
        if blocks and not text:
            Slack.problems.append("a message has blocks and no text, so that a notification shows nothing")
        for what in reads_more(text or "", blocks):
            Slack.problems.append(f"a message says more than it should: {what}")
        for number, block in enumerate(blocks):
            block.setdefault("block_id", f"b{secrets.token_hex(2)}")
            for button in buttons(block):
                button.setdefault("action_id", f"a{secrets.token_hex(2)}")
        return None, (text or "", blocks)

    def post(self, arguments, who):
        # Somebody's user id leads to their direct messages with the app.
        if not who or arguments.get("channel") not in (who.user, who.channel):
            return {"ok": False, "error": "channel_not_found"}
        error, content = self.content(arguments)
        if error:
            return {"ok": False, "error": error, "errors": content, "response_metadata": {"messages": content}}
        message = Message(who, f"{int(time.time())}.{len(self.messages):06}")
        message.versions.append(content)
        self.messages.append(message)
        return {"ok": True, "channel": who.channel, "ts": message.ts, "message": self.shown(message)}

    def update(self, arguments, who):
        # Here it must be the channel's own id.
        if not who or arguments.get("channel") != who.channel:
            Slack.problems.append(f"chat.update with the channel {arguments.get('channel')!r}, which must be the id of a direct message (D…)")
            return {"ok": False, "error": "channel_not_found"}
        message = next((one for one in self.messages if (one.person, one.ts) == (who, arguments.get("ts"))), None)
        if not message:
            return {"ok": False, "error": "message_not_found"}
        error, content = self.content(arguments, message.versions[-1])
        if error:
            return {"ok": False, "error": error, "errors": content, "response_metadata": {"messages": content}}
        message.versions.append(content)
        return {"ok": True, "channel": who.channel, "ts": message.ts, "text": message.text, "message": self.shown(message)}

    METHODS = {"users.lookupByEmail": look_up, "conversations.open": open, "chat.postMessage": post, "chat.update": update}

    def shown(self, message):
        return {"type": "message", "subtype": "bot_message", "ts": message.ts, "bot_id": "B0DOGWATCH", "app_id": "A0DOGWATCH", "text": message.text,
                "blocks": message.blocks}

    def of(self, address, part=""):
        """The messages to somebody that show this."""
        with self.lock:
            return [message for message in self.messages if message.person.email == address and part in message.seen()]

    def to(self, address, method):
        with self.lock:
            return [call for call in self.calls if (call.who, call.method) == (address, method)]

    def pressed(self, message, button, **changes):
        """The payload of Slack when somebody presses a button of theirs; `changes` are those of somebody else."""
        person, action = message.person, {name: button[name] for name in ("action_id", "block_id", "text", "value", "style", "url") if name in button}
        action["block_id"] = next(block["block_id"] for block in message.blocks + message.versions[0][1] if any(one is button for one in objects(block)))
        action |= {"type": "button", "action_ts": f"{time.time():.6f}"} | changes
        return {
            "type": "block_actions", "team": {"id": "T012AB3C4", "domain": "harbour"}, "api_app_id": "A0DOGWATCH", "token": "Shh_its_a_seekrit",
            "user": {"id": person.user, "username": "spengler", "name": "spengler", "team_id": "T012AB3C4"}, "enterprise": None,
            "is_enterprise_install": False, "container": {"type": "message", "message_ts": message.ts, "channel_id": person.channel, "is_ephemeral": False},
            "trigger_id": "12466734323.1395872398.0db61d5b", "channel": {"id": person.channel, "name": "directmessage"},
            "message": self.shown(message), "state": {"values": {}}, "response_url": self.url(f"/actions/T012AB3C4/{secrets.token_hex(6)}/x"),
            "actions": [action],
        }


class Dogwatch(Program):
    """The program, and its API."""
    all, answers = [], []

    def __init__(self, name, slack, trap, **settings):
        super().__init__(SCRATCH / f"data-{name}", SCRATCH / f"log-{name}")
        self.name, self.slack, self.trap, self.mails = name, slack, trap, SCRATCH / f"mail-{name}"
        Dogwatch.all.append(self)
        self.start(**settings)

    def start(self, in_files=False, can_sign=True, links="act"):
        arguments, environment = [], {}
        for name, secret in [("slack-token", TOKEN)] + [("slack-signing-secret", SIGNING_SECRET)] * can_sign:
            if in_files:
                (SCRATCH / name).write_text(f"{secret}\n")
                arguments += [f"--{name}-file", SCRATCH / name]
            else:
                environment[f"DOGWATCH_{name.replace('-', '_').upper()}"] = secret
        # Nothing goes over a proxy, whatever the environment says.
        self.serve("--mail-folder", self.mails, "--links", links, "--public-url", PUBLIC, "--slack-api", self.slack.url("/api"),
                   "--allow-internal", "localhost", *arguments, trap=self.trap, **environment)

    def request(self, method, path, body=None, **headers):
        answer = super().request(method, path, body, **headers)
        Dogwatch.answers.append((method, path, f"{answer.headers}{answer.body.decode()}"))
        return answer

    def interact(self, body, secret=SIGNING_SECRET, age=0, signed=None, **headers):
        """What Slack sends when a button is pressed; `signed` is what the signature is for, if that is something else."""
        timestamp = str(int(time.time()) - age)
        signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=signed or body)
        headers = {"X_Slack_Request_Timestamp": timestamp, "X_Slack_Signature": signature, "User_Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
                   "Content_Type": "application/x-www-form-urlencoded", **headers}
        began = time.monotonic()
        answer = self.request("POST", "/slack/interactive", body, **{name: value for name, value in headers.items() if value is not None})
        # Slack tells people that it failed when it takes longer.
        check(time.monotonic() - began < 3, f"a press is answered after {time.monotonic() - began:.1f} s")
        return answer

    def incident(self, title, **fields):
        return self.call("POST", "/v1/incidents", {"title": title, "severity": "critical", "ownerId": self.admin, **fields})["id"]

    def page(self, title, member):
        """An incident that is handed to somebody, so that they are paged."""
        incident = self.incident(title)
        self.call("POST", f"/v1/incidents/{incident}/handoff", {"targetUserId": member.id})
        return incident

    def shown(self, incident):
        return self.call("GET", f"/v1/incidents/{incident}")

    def events(self, incident, name):
        return [event for event in self.shown(incident)["auditTrail"] if event["event"] == name]

    def deliveries(self, incident):
        pages = self.call("GET", f"/v1/incidents/{incident}/pages")["pages"]
        return [delivery for page in pages for delivery in page["deliveries"]]

    def why(self, incident):
        """What can be said when something did not come."""
        calls = [(call.method, call.who, str(call.answer)[:100]) for call in self.slack.calls[-5:]]
        return f"; deliveries: {self.deliveries(incident)}; last calls: {calls}; handshakes that failed: {self.slack.refusals[-3:]}"

    def mail(self, address):
        return [text for to, text in mails_in(self.mails) if to == address]


class Member:
    """Somebody of the organization, who is in the workspace, too."""

    def __init__(self, dogwatch, name, last="Marlow"):
        self.dogwatch, self.slack, self.email = dogwatch, dogwatch.slack, f"{name.lower()}@example.com"
        self.name, self.last = name, last
        self.slack.join(self.email)
        dogwatch.call("POST", "/v1/team/members/invite", {"emailAddress": self.email, "role": "org:member"})

    def accept(self):
        links = lambda: [found for mail in self.dogwatch.mail(self.email) for found in re.findall(r"/join/(\S+)", mail)]
        token = wait_for("an invitation", links)[0]
        body = {"token": token, "firstName": self.name, "lastName": self.last}
        joined = self.dogwatch.call("POST", "/v1/invitations/accept", body)
        self.id, self.key = joined["member"]["id"], joined["apiKey"]["secret"]

    def add(self):
        self.before = len(self.slack.of(self.email))
        answer = self.dogwatch.ask("POST", "/v1/contact-methods", {"name": "Slack", "kind": "slack"}, self.key)
        check(answer.status == 201, f"to add Slack gives {answer.status}: {answer.body}")
        self.method = answer.body["data"]
        got = {name: self.method.get(name, "nothing") for name in ["userId", "kind", "name", "address", "verified"]}
        fits = {"userId": self.id, "kind": "slack", "name": "Slack", "address": None, "verified": False}
        check(got == fits, f"a new contact method is {self.method}")

    def verify(self, others=()):
        codes = lambda: [code for message in self.slack.of(self.email)[self.before:] for code in re.findall(r"(?<!\d)\d{6}(?!\d)", message.seen())]
        code = wait_for(f"a code for {self.email}", codes, otherwise=lambda: f"; last calls: {self.slack.calls[-3:]}")[0]
        message = self.slack.of(self.email)[self.before]
        check(code in message.text, f"a notification does not show the code: {message.text!r}")
        check(message.acts()[0] == [], "a code comes with a button that acts")
        route, wrong = f"/v1/contact-methods/{self.method['id']}/verify", f"{(int(code) + 1) % 1_000_000:06}"
        refused = self.dogwatch.ask("POST", route, {"code": wrong}, self.key)
        check((refused.status, refused.body["code"]) == (400, "invalid_code"), f"a wrong code gives {refused}")
        check(self.dogwatch.call("POST", route, {"code": code}, self.key)["verified"], "the right code verifies nothing")
        rules = [{"contactMethodId": id, "delayMinutes": 0} for id in [self.method["id"], *others]]
        self.dogwatch.call("PUT", "/v1/notification-rules", {"rules": rules}, self.key)

    def methods(self):
        listed = self.dogwatch.call("GET", "/v1/contact-methods", key=self.key)
        return listed if isinstance(listed, list) else next(iter(listed.values()))

    def waits_for(self, incident, title, seconds=20):
        """The message of a page."""
        messages = wait_for(f"the page of `{title}` to {self.email}", lambda: self.slack.of(self.email, title), seconds,
                            lambda: self.dogwatch.why(incident))
        return messages[-1]


def form(payload):
    return urllib.parse.urlencode({"payload": payload if isinstance(payload, str) else json.dumps(payload)}).encode()


def is_page(message, title):
    """Whether a message is a page that somebody can act on; gives its button."""
    check(title in message.seen(), f"a page shows {message.seen()!r}")
    act, look = message.acts()
    check(len(act) == 1 and len(look) == 1, f"a page has the buttons {act + look}")
    check(look[0]["url"].startswith(f"{PUBLIC}/p/"), f"a page's link is {look[0]['url']}")
    check("cknowledge" in act[0]["text"]["text"] and act[0].get("value"), f"the button is {act[0]}")
    return act[0]


def changes(dogwatch, message, incident, word):
    """Waits until a message says what became of its incident, and nobody can act on it."""
    fits = lambda: word in message.seen().lower() and not message.acts()[0]
    wait_for(f"a message that says `{word}`", fits, 10, lambda: f"; it says {message.seen()!r}, buttons {message.acts()}{dogwatch.why(incident)}")
    check(word in message.text.lower(), f"the text of a message that says `{word}` is {message.text!r}")


def is_open(dogwatch, incident, what):
    shown = dogwatch.shown(incident)
    events = [event for event in shown["auditTrail"] if event["event"] == "incident_acknowledged"]
    check((shown["acknowledgedAt"], events) == (None, []), f"{what} acknowledges")


def methods(dogwatch, ben):
    """What cannot be a contact method, and a test of one that is."""
    for address in ["ben@example.com", "https://example.com/", "U0DOGWATCH1", ""]:
        answer = dogwatch.ask("POST", "/v1/contact-methods", {"name": "Slack", "kind": "slack", "address": address}, ben.key)
        paths = [field["path"] for field in answer.body.get("fields", [])]
        check((answer.status, paths) == (422, ["/address"]), f"Slack with the address {address!r} gives {answer.status}: {answer.body}")
    kinds = [(one["kind"], one["address"], one["verified"]) for one in ben.methods()]
    check(("slack", None, True) in kinds and len(kinds) == 2, f"the contact methods are {kinds}")
    before = len(ben.slack.of(ben.email))
    dogwatch.call("POST", f"/v1/contact-methods/{ben.method['id']}/test", key=ben.key)
    message = wait_for("a test", lambda: ben.slack.of(ben.email)[before:])[0]
    check(message.acts()[0] == [], "a test has a button that acts")


def a_page(dogwatch, slack, ben):
    """It arrives, says what it must and no more, and its button acknowledges."""
    policy = dogwatch.call("POST", "/v1/escalation/policies", {"name": "Night"})["id"]
    target = {"type": "users", "userIds": [ben.id]}
    dogwatch.call("POST", f"/v1/escalation/policies/{policy}/layers", {"position": 1, "ackTimeoutMinutes": 30, "target": target})
    description = "<!everyone> *und* @channel\nhttps://evil.example/ <#C012345> & <@U0DOGWATCH0>"
    incident = dogwatch.incident(TITLE, escalationPolicyId=policy, description=description)
    message = ben.waits_for(incident, TITLE)
    button = is_page(message, TITLE)
    wait_for("the note that it was delivered", lambda: dogwatch.events(incident, "page_delivered"))
    details = dogwatch.events(incident, "page_delivered")[0]["details"]
    check((details["kind"], details["contactMethodId"]) == ("slack", ben.method["id"]), f"page_delivered has {details}")

    # To open the link sends a payload, too; it does nothing.
    opened = dogwatch.interact(form(slack.pressed(message, message.acts()[1][0])))
    check(opened.status == 200, f"to open the link gives {opened.status}")
    is_open(dogwatch, incident, "to open the link")
    pressed = form(slack.pressed(message, button))
    answer = dogwatch.interact(pressed)
    check(answer.status == 200, f"a press gives {answer.status}: {answer.body}")
    shown = dogwatch.shown(incident)
    check(shown["acknowledgedBy"] == ben.id, f"after a press it is acknowledged by {shown['acknowledgedBy']}")
    event = dogwatch.events(incident, "incident_acknowledged")[0]
    check((event["actorId"], event["details"].get("via")) == (ben.id, "slack"), f"the trail has {event}")
    changes(dogwatch, message, incident, "acknowledged")
    check(TITLE in message.seen(), f"after a press the message shows {message.seen()!r}")
    # Slack sends it again when the first answer was lost.
    check(dogwatch.interact(pressed).status == 200, "a second press is refused")
    check(len(dogwatch.events(incident, "incident_acknowledged")) == 1, "a second press acknowledges again")
    check(len(slack.of(ben.email, TITLE)) == 1, "a page came twice")

    # As long as they may be, of what is longest when it is escaped.
    for title, text in [("&" * 100, "<&>🔥" * 2_500), ("🔥" * 100, "a" * 10_000)]:
        incident = dogwatch.incident(title, escalationPolicyId=policy, description=text)
        message = ben.waits_for(incident, title[:70])
        is_page(message, title[:70])
        dogwatch.call("POST", f"/v1/incidents/{incident}/acknowledge")
        changes(dogwatch, message, incident, "acknowledged")


def over_the_api(dogwatch, slack, ben, cora):
    """Whatever else becomes of an incident is seen in its messages."""
    incident = dogwatch.page("Over the API", ben)
    message = ben.waits_for(incident, "Over the API")
    is_page(message, "Over the API")
    dogwatch.call("POST", f"/v1/incidents/{incident}/acknowledge", key=cora.key)
    changes(dogwatch, message, incident, "acknowledged")
    for status in ["identified", "monitoring", "resolved"]:
        dogwatch.call("PATCH", f"/v1/incidents/{incident}/status", {"status": status})
    changes(dogwatch, message, incident, "resolved")

    incident = dogwatch.page("Handed off", ben)
    message = ben.waits_for(incident, "Handed off")
    dogwatch.call("POST", f"/v1/incidents/{incident}/handoff", {"targetUserId": cora.id}, key=ben.key)
    new = cora.waits_for(incident, "Handed off")
    is_page(new, "Handed off")
    wait_for("the change of a message whose incident was handed off", lambda: len(message.versions) > 1 and not message.acts()[0], 10,
             lambda: f"; it says {message.seen()!r}, buttons {message.acts()}{dogwatch.why(incident)}")
    check(len(slack.of(ben.email, "Handed off")) == 1 and len(new.versions) == 1, "a handoff sends, or changes, something else")
    check(message.text != message.versions[0][0], f"after a handoff the message of the former owner still says {message.text!r}")
    # The button of the new owner works, and both messages show it.
    check(dogwatch.interact(form(slack.pressed(new, new.acts()[0][0]))).status == 200, "the new owner's button is refused")
    check(dogwatch.shown(incident)["acknowledgedBy"] == cora.id, "the new owner's button does nothing")
    changes(dogwatch, new, incident, "acknowledged")

    # One that is acknowledged while Slack is being told of it.
    slack.hold(ben.email, "chat.postMessage")
    incident = dogwatch.page("While it is sent", ben)
    message = ben.waits_for(incident, "While it is sent")
    dogwatch.call("POST", f"/v1/incidents/{incident}/acknowledge")
    time.sleep(0.3)
    slack.let_go(ben.email, "chat.postMessage")
    changes(dogwatch, message, incident, "acknowledged")


def bad_presses(dogwatch, slack, cora, dan):
    """Nobody but Slack can press a button, and a button that is not ours does nothing."""
    incident = dogwatch.page("Forged", cora)
    message = cora.waits_for(incident, "Forged")
    button = is_page(message, "Forged")
    good = form(slack.pressed(message, button))
    signed = SignatureVerifier(SIGNING_SECRET).generate_signature
    at = lambda age: str(int(time.time()) - age)
    now = at(0)
    unsigned = [
        ("a signature with another secret", dogwatch.interact(good, secret=secrets.token_hex(16))),
        ("no signature", dogwatch.interact(good, X_Slack_Signature=None)),
        ("no timestamp", dogwatch.interact(good, X_Slack_Request_Timestamp=None)),
        ("neither", dogwatch.interact(good, X_Slack_Request_Timestamp=None, X_Slack_Signature=None)),
        ("a timestamp of 301 s ago", dogwatch.interact(good, age=301)),
        ("a timestamp of a day ago", dogwatch.interact(good, age=86_400)),
        ("another timestamp", dogwatch.interact(good, X_Slack_Request_Timestamp=at(-2))),
        ("an old request with a new timestamp", dogwatch.interact(good, X_Slack_Request_Timestamp=now,
                                                                  X_Slack_Signature=signed(timestamp=at(600), body=good))),
        ("a timestamp that is no number", dogwatch.interact(good, X_Slack_Request_Timestamp="now", X_Slack_Signature=signed(timestamp="now", body=good))),
        ("half a signature", dogwatch.interact(good, X_Slack_Request_Timestamp=now, X_Slack_Signature=signed(timestamp=now, body=good)[:34])),
        ("an empty signature", dogwatch.interact(good, X_Slack_Signature="v0=")),
        ("a signature of another version", dogwatch.interact(good, X_Slack_Request_Timestamp=now,
                                                             X_Slack_Signature=signed(timestamp=now, body=good).replace("v0=", "v1="))),
        ("a changed body", dogwatch.interact(good + b"&a=b", signed=good)),
        ("another body", dogwatch.interact(good, signed=form(slack.pressed(message, message.acts()[1][0])))),
        ("an empty body", dogwatch.interact(b"", X_Slack_Signature=None)),
    ]
    for what, answer in unsigned:
        check(answer.status == 401, f"{what} gives {answer.status}: {answer.body[:200]}")
    is_open(dogwatch, incident, "what Slack did not sign")

    value = button["value"]
    middle = len(value) // 2
    payload = slack.pressed(message, button)
    forged = [slack.pressed(message, button, value=wrong) for wrong in [
        value[:-1], value[:middle], value[1:], f"{value}A", value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1:],
        value.swapcase(), "A" * 2_000, "ü", " ", "",
    ]]
    strange = [
        "{", "", "null", "[]", "\"payload\"", "[" * 7_000, {}, {**payload, "actions": []}, {**payload, "actions": None},
        {**payload, "actions": [{}]}, slack.pressed(message, button, value=None), slack.pressed(message, button, value=7), {"type": "block_actions"},
    ]
    for number, one in enumerate([*forged, *strange, None]):
        body = good.replace(b"payload=", b"other=") if one is None else form(one)
        what = f"payload {json.dumps(one)[:60]} (value {one['actions'][0].get('value')!r})" if number < len(forged) else f"payload {json.dumps(one)[:60]}"
        answer = dogwatch.interact(body)
        # Slack shows whoever pressed it any other status than 200.
        expected = 404 if number < len(forged) else 200
        check(answer.status == expected and not answer.body, f"{what} gives {answer.status}: {answer.body[:200]}")
        is_open(dogwatch, incident, what)

    # As large as it may be, and one byte larger.
    pad = lambda size: (good + b"&pad=").ljust(size, b"a")
    for size in [LARGEST + 1, 200_000]:
        answer = dogwatch.interact(pad(size))
        check(answer.status == 413, f"{size} bytes give {answer.status}")
    is_open(dogwatch, incident, "a body that is too large")
    check(len(message.versions) == 1, "a message changes for nothing")
    answer = dogwatch.interact(pad(LARGEST), age=290)
    check(answer.status == 200, f"{LARGEST} bytes, signed 290 s ago, give {answer.status}: {answer.body[:200]}")
    check(dogwatch.shown(incident)["acknowledgedBy"] == cora.id, "64 KiB, signed 290 s ago, do not acknowledge")

    # Somebody who is no member any more.
    incident = dogwatch.page("Of somebody who left", dan)
    message = dan.waits_for(incident, "Of somebody who left")
    payload = form(slack.pressed(message, is_page(message, "Of somebody who left")))
    dogwatch.call("DELETE", f"/v1/team/members/{dan.id}")
    answer = dogwatch.interact(payload)
    check(answer.status == 404, f"a button of somebody who left gives {answer.status}: {answer.body[:200]}")
    is_open(dogwatch, incident, "a button of somebody who left")


# What Slack answers when it does not send, what is said of it then, and when it is tried again, in seconds.
REFUSALS = {
    "Fay": ((429, {"Retry-After": "7"}, {"ok": False, "error": "ratelimited"}), "chat.postMessage", "", 7),
    "Gus": ((200, {}, {"ok": False, "error": "internal_error"}), "chat.postMessage", "internal_error", 5),
    "Hal": ((503, {"Content-Type": "text/html"}, b"<h1>Service Unavailable</h1>"), "chat.postMessage", "503", 5),
    "Jon": ((200, {}, {"ok": False, "error": "invalid_auth"}), "*", "invalid_auth", 5),
    "Kim": ((200, {"Content-Type": "text/html"}, b"<p>" * 30_000), "chat.postMessage", "", 5),
}


def refused(dogwatch, slack, members):
    """Pages that Slack refuses for now; gives what is then to be waited for."""
    incidents = {}
    for member in members:
        answer, method, _, _ = REFUSALS[member.name]
        slack.answers[member.email, method].append(answer)
        incidents[member] = dogwatch.page(f"Refused to {member.name}", member)

    def arrive():
        for member, incident in incidents.items():
            answer, method, reason, least = REFUSALS[member.name]
            title = f"Refused to {member.name}"
            member.waits_for(incident, title)
            check(len(slack.of(member.email, title)) == 1, f"{member.name} was paged twice")
            calls = [call for call in slack.calls if call.who == member.email]
            first = next(number for number, call in enumerate(calls) if call.answer == answer[2])
            gap = calls[first + 1].at - calls[first].at
            check(least - 0.01 <= gap <= least * 1.1 + SPARE, f"{answer[:2]} is tried again after {gap:.2f} s in place of {least} s")
            slacks = lambda: [one for one in dogwatch.deliveries(incident) if one["kind"] == "slack"]
            wait_for("a delivery", lambda: slacks()[0]["state"] == "delivered", otherwise=lambda: dogwatch.why(incident))
            delivery = slacks()[0]
            check(delivery["attempts"] == 2 and reason in (delivery["lastError"] or ""), f"after {answer[:2]} the delivery is {delivery}")
            check(not dogwatch.events(incident, "page_failed"), f"{answer[:2]} says page_failed")
    return incidents, arrive


def goes_on(dogwatch, slack, incidents, ben, fay):
    """While Slack refuses one, everybody else is served, and so is their mail."""
    incident = dogwatch.page("Meanwhile", ben)
    message = ben.waits_for(incident, "Meanwhile", 6)
    dogwatch.call("POST", f"/v1/incidents/{incident}/acknowledge")
    changes(dogwatch, message, incident, "acknowledged")
    title = f"Refused to {fay.name}"
    wait_for("a mail, while Slack refuses", lambda: any(title in mail for mail in dogwatch.mail(fay.email)), 6)
    first = next(call for call in slack.to(fay.email, "chat.postMessage") if call.answer == REFUSALS["Fay"][0][2])
    if time.monotonic() - first.at < 7:
        states = {one["kind"]: one["state"] for one in dogwatch.deliveries(incidents[fay])}
        check(states == {"slack": "waiting", "email": "delivered"}, f"while Slack refuses, the deliveries are {states}")


def moved(dogwatch, slack, ida):
    """A redirect is not followed; gives what is then to be looked at."""
    slack.answers[ida.email, "chat.postMessage"] += [(307, {"Location": slack.url("/elsewhere")}, b"")] * 20
    incident = dogwatch.page("Elsewhere", ida)

    def stays():
        delivery = dogwatch.deliveries(incident)[0]
        check(delivery["state"] in ("waiting", "failed") and "307" in (delivery["lastError"] or ""), f"a redirect gives {delivery}")
    return stays


def gone(dogwatch, slack, erin):
    """Somebody who has left the workspace: nothing is tried again."""
    del slack.people[erin.email]
    incident = dogwatch.page("Nobody there", erin)
    wait_for("page_failed", lambda: dogwatch.events(incident, "page_failed"), 10, lambda: dogwatch.why(incident))
    delivery = dogwatch.deliveries(incident)[0]
    check((delivery["state"], delivery["attempts"]) == ("failed", 1) and "not_found" in delivery["lastError"], f"somebody who is not there: {delivery}")
    details = dogwatch.events(incident, "page_failed")[0]["details"]
    check(details["kind"] == "slack" and "not_found" in details["reason"], f"page_failed has {details}")
    wait_for("page_undeliverable", lambda: dogwatch.events(incident, "page_undeliverable"))


def refused_change(dogwatch, slack, lea):
    """A change that Slack refuses for now; gives what is then to be waited for."""
    incident = dogwatch.page("Changed later", lea)
    message = lea.waits_for(incident, "Changed later")
    slack.answers[lea.email, "chat.update"].append((429, {"Retry-After": "6"}, {"ok": False, "error": "ratelimited"}))
    dogwatch.call("POST", f"/v1/incidents/{incident}/acknowledge")
    wait_for("the first try of a change", lambda: slack.to(lea.email, "chat.update"), otherwise=lambda: dogwatch.why(incident))

    def arrives():
        wait_for("a change that Slack refused", lambda: not message.acts()[0], 15, lambda: dogwatch.why(incident))
        changes(dogwatch, message, incident, "acknowledged")
        first, second = (call.at for call in slack.to(lea.email, "chat.update"))
        check(6 - 0.01 <= second - first <= 6 * 1.1 + SPARE, f"a change is tried again after {second - first:.2f} s in place of 6 s")
        # One that Slack never takes must not hold up what people are waiting for.
        never = dogwatch.page("Never changed", lea)
        lea.waits_for(never, "Never changed")
        slack.answers[lea.email, "chat.update"] += [(200, {}, {"ok": False, "error": "edit_window_closed"})] * 100
        dogwatch.call("POST", f"/v1/incidents/{never}/acknowledge")
        wait_for("the try of a change", lambda: len(slack.to(lea.email, "chat.update")) > 2)
        lea.waits_for(dogwatch.page("Behind a change", lea), "Behind a change", 10)
    return arrives


def hold_and_kill(dogwatch, slack, mia):
    """The program is killed while Slack answers; gives what is then to be waited for."""
    slack.hold(mia.email, "chat.postMessage")
    incident = dogwatch.page("Killed", mia)
    first = wait_for("the request that is held", lambda: slack.of(mia.email, "Killed"), otherwise=lambda: dogwatch.why(incident))[0]
    dogwatch.kill()
    slack.let_go(mia.email, "chat.postMessage")
    dogwatch.start(in_files=True)

    def arrives():
        second = wait_for("the page after a kill", lambda: slack.of(mia.email, "Killed")[1:], 90, lambda: dogwatch.why(incident))[-1]
        wait_for("its delivery", lambda: dogwatch.deliveries(incident)[0]["state"] == "delivered", otherwise=lambda: dogwatch.why(incident))
        # The program does not know of the first message, but its button is as good.
        answer = dogwatch.interact(form(slack.pressed(first, is_page(first, "Killed"))))
        check(answer.status == 200 and dogwatch.shown(incident)["acknowledgedBy"] == mia.id, "the button of a page before a kill does nothing")
        changes(dogwatch, second, incident, "acknowledged")
    return arrives


def another(slack, trap):
    """An operator without the signing secret, and one who wants no links that act."""
    dogwatch = Dogwatch("other", slack, trap, can_sign=False)
    admin = Member.__new__(Member)
    admin.dogwatch, admin.slack, admin.email, admin.key, admin.id, admin.name = dogwatch, slack, "admin@example.com", dogwatch.key, dogwatch.admin, "Ada"
    admin.add()
    admin.verify()
    incident = dogwatch.page("Unsigned", admin)
    message = admin.waits_for(incident, "Unsigned")
    check(len(message.acts()[1]) == 1, f"without the signing secret a page has {message.acts()}")
    body = form(slack.pressed(message, (message.acts()[0] or message.acts()[1])[0]))
    for answer in [dogwatch.interact(body), dogwatch.request("GET", "/slack/interactive"), dogwatch.interact(b"a" * (LARGEST + 1))]:
        check(answer.status == 404, f"without the signing secret /slack/interactive gives {answer.status}")
    is_open(dogwatch, incident, "a press without the signing secret")
    dogwatch.stop()
    dogwatch.start(links="view")
    incident = dogwatch.page("Only to be seen", admin)
    message = admin.waits_for(incident, "Only to be seen")
    check((message.acts()[0], len(message.acts()[1])) == ([], 1), f"with `--links view` a page has {message.acts()}")
    dogwatch.stop()


def secrets_stay(members, dogwatches):
    """The operator's secrets, and what buttons and links carry, are nowhere."""
    tokens = set()
    for message in dogwatches[0].slack.messages:
        for button in buttons([version[1] for version in message.versions]):
            tokens |= {button.get("value"), button.get("url", "").split("/p/")[-1]} - {None, ""}
    forms = {form.encode() for form in [TOKEN, SIGNING_SECRET, *tokens, *(member.key for member in members)] if len(form) > 15}
    files = [path for dogwatch in dogwatches for path in [dogwatch.log, *dogwatch.data.glob("**/*")]]
    for path in files:
        if path.is_file() and path.name != "first-api-key":
            content = path.read_bytes()
            check(not any(form in content for form in forms), f"a secret is in {path.relative_to(SCRATCH)}")
    for method, path, text in Dogwatch.answers:
        check(not dogwatches[0].slack.is_secret_in(text), f"a secret is in the answer to {method} {path}")
    for path in SCRATCH.glob("mail-*/*"):
        check(not dogwatches[0].slack.is_secret_in(path.read_text(errors="replace")), "a secret is in a mail")


def night(slack, trap):
    began = time.monotonic()
    slack.join("admin@example.com")
    dogwatch = Dogwatch("first", slack, trap)
    # Names are text, too.
    ben, cora = Member(dogwatch, "Ben", "<@U0DOGWATCH0> & Söhne"), Member(dogwatch, "Cora", "<!channel>")
    dan, erin, ida, lea, mia = (Member(dogwatch, name) for name in ["Dan", "Erin", "Ida", "Lea", "Mia"])
    unlucky = [Member(dogwatch, name) for name in REFUSALS]
    members = [ben, cora, dan, erin, ida, lea, mia, *unlucky]
    for member in members:
        member.accept()
        member.add()
    for member in members:
        # Fay gets mail, too.
        member.verify([one["id"] for one in member.methods() if one["kind"] == "email"] if member.name == "Fay" else [])
    # What was held comes when the one who had claimed it is known to be gone. Others do not wait for it.
    arrives = hold_and_kill(dogwatch, slack, mia)
    incidents, arrive = refused(dogwatch, slack, unlucky)
    goes_on(dogwatch, slack, incidents, ben, unlucky[0])
    stays, changed = moved(dogwatch, slack, ida), refused_change(dogwatch, slack, lea)
    methods(dogwatch, ben)
    a_page(dogwatch, slack, ben)
    over_the_api(dogwatch, slack, ben, cora)
    gone(dogwatch, slack, erin)
    bad_presses(dogwatch, slack, cora, dan)
    for _, said in slack.replies:
        fits = said.get("response_type", "ephemeral") == "ephemeral" and not said.get("replace_original") and said.get("text")
        check(fits, f"the response_url is told {said}")
    another(slack, trap)
    arrive()
    stays()
    changed()
    arrives()
    for route in ["/metrics", "/readyz", "/healthz", "/openapi.json"]:
        dogwatch.request("GET", route)
    dogwatch.stop()
    secrets_stay(members, Dogwatch.all)
    check(not slack.problems, "; ".join(slack.problems))
    check(trap.caught == 0, "a proxy was used")
    for one in Dogwatch.all:
        check("panicked" not in one.log.read_text(), "something panicked; the log says where")
    changed = sum(len(message.versions) - 1 for message in slack.messages)
    print(f"{len(slack.messages)} messages to {len(members) + 1} people, changed {changed} times: as Slack wants them, none lost, "
          f"no button obeyed that was not pressed; {time.monotonic() - began:.0f} s")


def main():
    slack, trap = Slack(), Trap()
    try:
        night(slack, trap)
    finally:
        for dogwatch in Dogwatch.all:
            if dogwatch.process and dogwatch.process.poll() is None:
                dogwatch.kill()


main()
