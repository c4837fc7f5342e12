"""What `.ci/mail` does: a mail server that is not ours, and a night with it."""
import os
import re
import threading
import time
import urllib.request
import warnings

warnings.filterwarnings("ignore", category=DeprecationWarning)
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

import peers
from peers import SCRATCH, Program, check, free_port, read_mail, text_of, tls

# How long the mail server is down, in seconds.
OUTAGE = float(os.environ.get("DOGWATCH_OUTAGE", "5"))


class Mailbox:
    """Takes mail, or answers what it is told to."""

    def __init__(self):
        self.mails, self.answers, self.seen = [], {}, []
        self.lock = threading.Lock()

    async def handle_RCPT(self, server, session, envelope, address, options):
        with self.lock:
            self.seen.append((address, session.ssl is not None, session.authenticated))
            answers = self.answers.get(address, [])
            if answers:
                return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = read_mail(envelope.content)
        with self.lock:
            self.mails.append((envelope.rcpt_tos[0], message))
        return "250 OK"

    def of(self, address):
        with self.lock:
            return [message for to, message in self.mails if to == address]


def wait_for(what, find, seconds=60):
    return peers.wait_for(what, find, seconds)


def start_server(mailbox, port):
    def authenticator(server, session, envelope, mechanism, data):
        fits = isinstance(data, LoginPassword) and (data.login, data.password) == (b"pager", b"s3cret!")
        return AuthResult(success=fits, handled=False)

    controller = Controller(
        mailbox, hostname="127.0.0.1", port=port, tls_context=tls(), require_starttls=True,
        auth_required=True, authenticator=authenticator,
    )
    controller.start()
    return controller


class Dogwatch(Program):
    """The program with a mail server."""

    def __init__(self, port, password="s3cret!"):
        super().__init__()
        url = f"smtp://pager:{password.replace('!', '%21')}@localhost:{port}?tls=required"
        self.serve("--mail-from", "Zahlstelle Süd <oncall@example.com>", DOGWATCH_SMTP_URL=url)


def main():
    mailbox = Mailbox()
    port = free_port()
    server = start_server(mailbox, port)
    dogwatch = Dogwatch(port)
    me = dogwatch.admin

    # Somebody joins by mail.
    dogwatch.call("POST", "/v1/team/members/invite", {"emailAddress": "ben@example.com", "role": "org:member"})
    letter = wait_for("the invitation", lambda: mailbox.of("ben@example.com"))[0]
    link = re.search(r"http://\S+/join/\S+", text_of(letter)).group()
    secrets = [link.split("/join/")[1]]
    form = urllib.request.urlopen(link, data=b"first=Ben&last=Marlow", timeout=20)
    page = form.read().decode()
    ben_key = re.search(r"<code>(\S+)</code>", page).group(1)
    check(form.status == 200 and ben_key.startswith("scl_live_"), "an invitation does not lead to a key")
    team = dogwatch.call("GET", "/v1/team/members")
    ben = next(member["id"] for member in team["members"] if member["email"] == "ben@example.com")

    # Two layers: the admin, whose mailbox is full at first, then Ben.
    policy = dogwatch.call("POST", "/v1/escalation/policies", {"name": "Nacht"})["id"]
    for position, user in [(1, me), (2, ben)]:
        layer = {"position": position, "ackTimeoutMinutes": 1, "target": {"type": "users", "userIds": [user]}}
        dogwatch.call("POST", f"/v1/escalation/policies/{policy}/layers", layer)
    mailbox.answers["admin@example.com"] = ["451 4.7.1 greylisted, come back later"]
    title = "Zahlung „über“ 🔥 & <b>Kasse</b>"
    incident = dogwatch.call("POST", "/v1/incidents", {
        "title": title, "severity": "critical", "ownerId": me, "escalationPolicyId": policy,
        "description": "Erste Zeile\nzweite <script>alert(1)</script>"})["id"]
    first = wait_for("the page, after it was refused once", lambda: mailbox.of("admin@example.com"))[0]
    check(all(secure and signed for _, secure, signed in mailbox.seen), "mail went out without TLS or sign-in")

    # As a mail program sees it.
    check(first["Subject"] == f"[#1] {title}", f"the subject is {first['Subject']!r}")
    check(first["From"].addresses[0].display_name == "Zahlstelle Süd", f"it is from {first['From']}")
    check(first.get_content_type() == "multipart/alternative", "it is not multipart/alternative")
    check([part.get_content_type() for part in first.iter_parts()] == ["text/plain", "text/html"], "text comes first")
    for name, value in [("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "All"), ("Importance", "high"),
                        ("References", f"<{incident}@example.com>"), ("In-Reply-To", f"<{incident}@example.com>")]:
        check(first[name] == value, f"{name} is {first[name]!r}")
    check(first["Message-ID"].endswith("@example.com>") and first["Date"], "it has no Message-ID or date")
    html = first.get_body(("html",)).get_content()
    check("<script>" not in html and "<b>Kasse" not in html and "Zahlung" in html, "the title is not escaped")
    check("zweite" in text_of(first) and title in text_of(first), "the text lacks something")

    # The mail server has it a moment before its answer is noted.
    def delivered():
        pages = dogwatch.call("GET", f"/v1/incidents/{incident}/pages")["pages"]
        return [one for one in pages[0]["deliveries"] if one["state"] == "delivered"]
    delivery = wait_for("that the page is noted as delivered", delivered)[0]
    check((delivery["state"], delivery["attempts"]) == ("delivered", 2), f"the delivery is {delivery}")
    check("451" in (delivery["lastError"] or ""), f"the reason is {delivery['lastError']!r}")

    # The mail server goes away, the second layer's time comes, the program is killed and started again, and the server comes back.
    server.stop()
    wait_for("the second layer", lambda: len(dogwatch.call("GET", f"/v1/incidents/{incident}/pages")["pages"]) == 2, 120)
    time.sleep(3)
    dogwatch.kill()
    dogwatch = Dogwatch(port)
    others = [f"Unterdessen {number}" for number in range(5)]
    for other in others:
        time.sleep(OUTAGE / len(others))
        made = dogwatch.call("POST", "/v1/incidents", {"title": other, "severity": "high", "ownerId": me})["id"]
        dogwatch.call("POST", f"/v1/incidents/{made}/handoff", {"targetUserId": ben})
    check(len(mailbox.of("ben@example.com")) == 1, "mail came from nowhere")
    server = start_server(mailbox, port)
    # Tries are at most five minutes apart.
    second = wait_for("the page of the second layer", lambda: mailbox.of("ben@example.com")[1:], 400)[0]
    came = lambda: [message["Subject"].split("] ")[1] for message in mailbox.of("ben@example.com")[2:]]
    wait_for("the pages of the outage", lambda: len(came()) >= len(others), 60)
    check(came() == others, f"the pages of the outage came as {came()}")
    check(second["Message-ID"] != first["Message-ID"], "two pages have one id")
    check(second["References"] == first["References"] and second["Subject"] == first["Subject"], "they are no thread")

    # A tap. The link names the address at which the first process listened.
    link = re.search(r"http://\S+(/p/\S+)", text_of(second)).group(1)
    secrets.append(link.split("/p/")[1])
    looked = urllib.request.urlopen(dogwatch.address + link, timeout=20).read().decode()
    check("Acknowledge</button>" in looked, "the page has no button")
    tapped = urllib.request.urlopen(dogwatch.address + link, data=b"", timeout=20).read().decode()
    check("Acknowledged by you" in tapped, "the tap did nothing")
    shown = dogwatch.call("GET", f"/v1/incidents/{incident}")
    check((shown["acknowledgedBy"], shown["nextEscalationAt"]) == (ben, None), "the incident is not acknowledged by Ben")
    events = [(event["event"], event["details"].get("via")) for event in shown["auditTrail"]]
    for expected in [("page_delivered", None), ("incident_acknowledged", "link")]:
        check(expected in events, f"{expected} is not in {events}")
    check(sum(event == "page_delivered" for event, _ in events) == 2, f"each page is delivered once: {events}")
    print("a night:", ", ".join(event for event, _ in events))

    # An address that is refused for good, and a password that is wrong: the one has failed, the other waits for the operator.
    mailbox.answers["admin@example.com"] = ["550 5.1.1 no such mailbox"]
    dogwatch.call("POST", f"/v1/incidents/{incident}/handoff", {"targetUserId": me})
    trail = lambda: [event["event"] for event in dogwatch.call("GET", f"/v1/incidents/{incident}")["auditTrail"]]
    wait_for("the failure", lambda: "page_undeliverable" in trail())
    check("page_failed" in trail(), "it is undeliverable, and did not fail")
    dogwatch.stop()
    dogwatch = Dogwatch(port, password="wrong")
    before = len(mailbox.of("admin@example.com"))
    dogwatch.call("POST", f"/v1/incidents/{incident}/handoff", {"targetUserId": me})
    last = lambda: dogwatch.call("GET", f"/v1/incidents/{incident}/pages")["pages"][-1]["deliveries"][0]
    wait_for("the first try", lambda: last()["lastError"])
    check(last()["state"] == "waiting" and "535" in last()["lastError"], f"a wrong password gives {last()}")
    dogwatch.stop()
    dogwatch = Dogwatch(port)
    wait_for("the page, once the password is right", lambda: len(mailbox.of("admin@example.com")) > before, 200)
    dogwatch.stop()
    server.stop()
    log = (SCRATCH / "log").read_text()
    for secret in ["s3cret", *secrets]:
        check(secret not in log, f"the log has a secret: {[line for line in log.splitlines() if secret in line]}")
    print(f"{len(mailbox.mails)} mails, none lost, none twice")
    ids = [message["Message-ID"] for _, message in mailbox.mails]
    check(len(ids) == len(set(ids)), "a mail came twice")


main()
