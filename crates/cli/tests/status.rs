//! Status pages through the program: `dogwatch status`, and what `serve` has of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dogwatch_store::rules::component::CreateComponent;
use dogwatch_store::rules::incident::{ChangeStatus, CreateIncident, PostUpdate, Severity, Status};
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::status_page::{CreateMaintenance, CreateStatusPage, EditStatusPage};
use dogwatch_store::rules::{Actor, Timestamp};
use dogwatch_store::{Engine, ManualClock};
use serde_json::{Value, json};
use support::Server;

fn dogwatch(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_dogwatch")).args(args).output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// A page with two components and something of everything.
fn harbour(folder: &Path) {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let clock = ManualClock::at(at("2026-04-01T08:00:00Z"));
    let engine = Engine::builder().clock(clock.clone()).open(folder).unwrap();
    let create = CreateOrganization::new(
        "Harbour".parse().unwrap(),
        "ada@example.com".parse().unwrap(),
        "Ada".parse().unwrap(),
        "Byron".parse().unwrap(),
    );
    let created = engine.execute(create, &Actor::Operator).unwrap();
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let component = |name: &str| engine.execute(CreateComponent::new(name.parse().unwrap()), &ada).unwrap().id;
    let (checkout, search) = (component("Checkout"), component("Search"));
    let page = CreateStatusPage {
        published: true,
        timezone: "Europe/Berlin".to_owned(),
        component_ids: vec![checkout, search],
        ..CreateStatusPage::new("Harbour".parse().unwrap(), "harbour".parse().unwrap())
    };
    let page = engine.execute(page, &ada).unwrap().id;
    let open = |title: &str, severity| {
        let open = CreateIncident::new(title.parse().unwrap(), severity, owner);
        engine.execute(CreateIncident { component_ids: vec![checkout], ..open }, &ada).unwrap().id
    };
    clock.set(at("2026-04-05T08:00:00Z"));
    let past = open("Payments fail", Severity::High);
    clock.advance(Duration::from_secs(3_600));
    for status in [Status::Identified, Status::Monitoring, Status::Resolved] {
        engine.execute(ChangeStatus::new(past, status), &ada).unwrap();
    }
    clock.set(at("2026-04-07T08:00:00Z"));
    let now = open("Checkout is down", Severity::Critical);
    engine.execute(PostUpdate::public(now, "We are on it.\nMore soon.".parse().unwrap()), &ada).unwrap();
    let maintenance = CreateMaintenance {
        status_page_id: page,
        title: "New database".parse().unwrap(),
        description: None,
        component_ids: vec![search],
        starts_at: at("2026-04-08T20:00:00Z"),
        ends_at: at("2026-04-08T21:00:00Z"),
    };
    engine.execute(maintenance, &ada).unwrap();
    let draft = EditStatusPage::new(page);
    engine.execute(draft, &ada).unwrap();
}

const PICTURE: &str = "
  Harbour  major outage
  days and times of Europe/Berlin

  Checkout  major outage
                                                       ....+.#  91.48 % up
  Search  operational
                                                       .......  100 % up

  New database  maintenance, scheduled
  Wed 08 Apr 22:00 to Wed 08 Apr 23:00  Search

  Checkout is down  critical, investigating  Checkout
  Tue 07 Apr 10:00  We are on it.
                    More soon.
  Tue 07 Apr 10:00  [investigating]

  2026-04-05

  Payments fail  high, resolved  Checkout
  Sun 05 Apr 11:00  [resolved]
  Sun 05 Apr 11:00  [monitoring]
  Sun 05 Apr 11:00  [identified]
  Sun 05 Apr 10:00  [investigating]

";

#[test]
fn a_page_in_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    harbour(folder.path());
    let data = folder.path().to_str().unwrap();
    // Fourteen hours of a major outage, and one of a partial one, in seven days.
    let drawn = dogwatch(&["status", "--data", data, "--slug", "harbour", "--at", "2026-04-07T21:59:59.999Z"]);
    assert_eq!(drawn, (true, PICTURE.to_owned()), "{}", drawn.1);
    for (args, code) in [
        (["--slug", "nowhere"], "not_found"),
        (["--slug", "Harbour"], "validation_error"),
        (["--slug", "x"], "validation_error"),
    ] {
        let (fits, said) = dogwatch(&[&["status", "--data", data], &args[..]].concat());
        assert!(!fits && said.contains(code), "{said}");
    }
    // A server that has the store open draws it, too.
    let server = Server::start(folder.path(), &[]);
    let beside = dogwatch(&["status", "--data", data, "--slug", "harbour", "--at", "2026-04-07T21:59:59.999Z"]);
    assert_eq!(beside, drawn);
    drop(server);
}

#[test]
fn pages_have_names_colours_and_logos_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("dogwatch.toml"));
    let logo = folder.path().join("logo.svg");
    std::fs::write(&logo, "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    let settings = format!(
        "[status_pages]\n\"status.example.com\" = \"acme\"\n[status_colors]\nacme = \"#0b5fff\"\n[status_logos]\nacme = \"{}\"\n",
        logo.display()
    );
    std::fs::write(&file, settings).unwrap();
    let server = Server::start(&data, &["--config", file.to_str().unwrap()]);
    let (key, admin) = (server.key(), server.admin());
    let post = |path: &str, body: Value| {
        let (status, answer) = server.request("POST", path, &key, Some(&body));
        assert_eq!(status, 201, "{answer}");
        answer["data"].clone()
    };
    let component = post("/v1/components", json!({ "name": "Checkout" }));
    let page = json!({ "name": "Acme", "slug": "acme", "published": true, "componentIds": [component["id"]] });
    post("/v1/status-pages", page);
    let asked = |host: &str, path: &str| {
        server.raw(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes())
    };
    let is = |answer: &str, status: u16| answer.starts_with(&format!("HTTP/1.1 {status} "));
    let own = asked("status.example.com", "/");
    assert!(is(&own, 200) && own.contains("All systems operational") && own.contains("/status/acme/logo"), "{own}");
    assert!(asked("status.example.com", "/status/acme/style.css").contains("--accent: #0b5fff"));
    assert!(is(&asked("status.example.com", "/status/acme/logo"), 200));
    assert!(is(&asked("status.example.com", "/v1/incidents"), 404), "the API is not under that name");
    assert!(is(&asked("other.example.com", "/status/acme"), 200));
    assert!(is(&asked("other.example.com", "/v1/incidents"), 401));
    // With the incident, the page says so.
    let open = json!({ "title": "Down", "severity": "critical", "ownerId": admin, "componentIds": [component["id"]] });
    let incident = post("/v1/incidents", open);
    let update = json!({ "body": "We know.", "visibility": "public" });
    post(&format!("/v1/incidents/{}/updates", incident["id"].as_str().unwrap()), update);
    std::thread::sleep(Duration::from_millis(300));
    let page = asked("status.example.com", "/index.json");
    assert!(page.contains("\"banner\":\"major_outage\"") && page.contains("We know."), "{page}");
    server.alive();
}

#[test]
fn settings_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("logo.txt");
    std::fs::write(&text, "no picture").unwrap();
    let logo = format!("acme={}", text.display());
    for (args, problem) in [
        (["--status-pages", "acme"], "status.example.com=SLUG"),
        (["--status-pages", "status.example.com:80=acme"], "without a port"),
        (["--status-pages", "status.example.com=A"], "slug must be"),
        (["--status-pages", "status.example.com=acme,Status.example.com=other"], "must be given once"),
        (["--status-colors", "acme=red"], "must be like `#0b5fff`"),
        (["--status-colors", "acme=#ffee00"], "contrast below 4.5"),
        (["--status-logos", &logo], "must be a PNG or an SVG"),
        (["--status-logos", "acme=/nowhere/logo.png"], "/nowhere/logo.png"),
    ] {
        let (fits, said) = dogwatch(&[&["config", "check"], &args[..]].concat());
        assert!(!fits && said.contains(problem), "{args:?}: {said}");
    }
}
