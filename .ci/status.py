"""What programs that read the pages of others make of status pages: an exporter for Prometheus, and a reader of feeds."""
import calendar
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.request

import feedparser
from prometheus_client.parser import text_string_to_metric_families

from peers import SCRATCH, check

ADDRESS, VENV = sys.argv[1], pathlib.Path(sys.argv[3]).resolve()
EXPECTED = json.loads((SCRATCH / "expected.json").read_text())
PUBLIC, SECRET, PAGES = EXPECTED["public"], EXPECTED["secret"], EXPECTED["pages"]
IMPACTS = {"critical": "critical", "high": "major", "medium": "minor", "low": "minor"}


def api(path):
    request = urllib.request.Request(ADDRESS + path, headers={"Authorization": f"Bearer {EXPECTED['key']}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)["data"]


def seconds(text):
    """An instant of our API, in seconds since 1970."""
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def exporter():
    """The exporter reads the summary of each page, and writes what it tells Prometheus into a file."""
    folder = SCRATCH / "exporter"
    folder.mkdir()
    services = {slug: {"name": slug, "url": f"{ADDRESS}/status/{slug}/api/v2/summary.json"} for slug in PAGES}
    (folder / "services.json").write_text(json.dumps(services))
    environment = os.environ | {
        "RUN_MODE": "once", "SERVICES_JSON_PATH": str(folder / "services.json"), "METRICS_TEXTFILE_PATH": str(folder / "metrics.prom"),
    }
    ran = subprocess.run([VENV / "bin/statuspage-prometheus-exporter"], env=environment, cwd=folder, capture_output=True, text=True, timeout=60)
    check(ran.returncode == 0, f"the exporter ends with {ran.returncode}: {ran.stderr[-800:]}")
    told = {}
    for family in text_string_to_metric_families((folder / "metrics.prom").read_text()):
        for sample in family.samples:
            labels = dict(sample.labels)
            told.setdefault((sample.name, labels.pop("service_name", None)), []).append((labels, sample.value))
    for slug, page in PAGES.items():
        statuses = page["components"]
        check(told["statuspage_probe_check", slug] == [({}, 1)], f"the exporter cannot read {slug}: {ran.stderr[-800:]}")
        # It is up when nothing is going on, and all components are.
        unresolved = {id: one for id, one in page["incidents"].items() if not one["resolved"]}
        up = not unresolved and all(status == "operational" for status in statuses.values())
        check(told["statuspage_service_status", slug] == [({}, int(up))], f"the exporter says of {slug} {told['statuspage_service_status', slug]}")
        found = {labels["component_name"]: value for labels, value in told.get(("statuspage_component_status", slug), [])}
        expected = {name: int(status == "operational") for name, status in statuses.items()}
        check(found == expected, f"the exporter says of the components of {slug} {found}")
        # Where there are none, it tells of one that is called so, with 0.
        active = {kind: [it for it, value in told.get((f"statuspage_{kind}_info", slug), []) if value] for kind in ["incident", "maintenance"]}
        found = {(it["incident_id"], it["incident_name"], it["impact"], it["shortlink"]) for it in active["incident"]}
        expected = {(id, one["title"], IMPACTS[one["severity"]], f"{PUBLIC}/status/{slug}#i-{id[-8:]}") for id, one in unresolved.items()}
        check(found == expected, f"the exporter says of the incidents of {slug} {found}")
        found = {(it["maintenance_id"], it["maintenance_name"]) for it in active["maintenance"]}
        expected = {(id, one["title"]) for id, one in page["maintenances"].items() if one["state"] != "over"}
        check(found == expected, f"the exporter says of the maintenances of {slug} {found}")


def feeds():
    for slug, page in PAGES.items():
        url = f"{ADDRESS}/status/{slug}/feed.atom"
        feed = feedparser.parse(url)
        check(not feed.bozo, f"the feed of {slug} is not sound: {feed.get('bozo_exception')}")
        check(feed.version == "atom10" and feed.status == 200, f"the feed of {slug} is {feed.version}, with {feed.status}")
        check(feed.feed.title == page["name"], f"the feed of {slug} is called {feed.feed.title}")
        check(feed.feed.link == f"{PUBLIC}/status/{slug}", f"the feed of {slug} leads to {feed.feed.link}")
        again = feedparser.parse(url, etag=feed.etag)
        check(again.status == 304, f"the feed of {slug} is sent again to who has it: {again.status}")
        entries = {entry.id.removeprefix("urn:uuid:"): entry for entry in feed.entries}
        expected = set(page["incidents"]) | set(page["maintenances"])
        check(set(entries) == expected and len(feed.entries) == len(expected), f"the feed of {slug} has {sorted(entries)} in place of {sorted(expected)}")
        check(all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", entry.id) for entry in feed.entries), "an entry has an odd id")
        times = [entry.updated_parsed for entry in feed.entries]
        check(times == sorted(times, reverse=True), f"the feed of {slug} is not in order")
        for id, incident in page["incidents"].items():
            entry, detail = entries[id], api(f"/v1/incidents/{id}")
            check(entry.title.split(": ", 1) == [detail["status"].capitalize(), incident["title"]], f"an entry is called {entry.title}")
            check(entry.link == f"{PUBLIC}/status/{slug}#i-{id[-8:]}", f"an entry leads to {entry.link}")
            check(calendar.timegm(entry.published_parsed) == seconds(detail["createdAt"]), f"{entry.title} is published {entry.published}")
            updates = api(f"/v1/incidents/{id}/updates?limit=100")["updates"]
            # What is only for us is no change here, unless the status changed with it.
            shown = [one for one in updates if one["visibility"] == "public" or one["statusChange"]]
            changes = [one["postedAt"] for one in shown] + [one["changedAt"] for one in detail["statusHistory"]]
            check(calendar.timegm(entry.updated_parsed) == max(map(seconds, changes)), f"{entry.title} is updated {entry.updated}")
            content = entry.content[0]
            check(content.type == "text/plain" and SECRET not in content.value, f"{entry.title} says {content.type}, {content.value}")
            for one in shown:
                said = "This update was removed." if one["redactedAt"] else one["body"] if one["visibility"] == "public" else None
                check(not said or said in content.value, f"{entry.title} does not say {said}")
        for id, maintenance in page["maintenances"].items():
            check(entries[id].title == f"Maintenance: {maintenance['title']}", f"an entry is called {entries[id].title}")
            check(entries[id].link == f"{PUBLIC}/status/{slug}#m-{id[-8:]}", f"an entry leads to {entries[id].link}")


exporter()
feeds()
