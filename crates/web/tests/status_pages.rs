//! Status pages over HTTP: what each form says, what none ever says, and how they are cached.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests panic when they fail")]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use dogwatch_store::rules::component::CreateComponent;
use dogwatch_store::rules::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_store::rules::id::{ComponentId, IncidentId, StatusPageId};
use dogwatch_store::rules::incident::{
    ChangeStatus, CreateIncident, EditIncident, PostUpdate, RedactUpdate, SetComponents, Severity, Status,
};
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::status_page::{CreateMaintenance, CreateStatusPage, EditStatusPage};
use dogwatch_store::rules::team::{AddMember, Role};
use dogwatch_store::rules::text::{Description, GroupLabel, IncidentDescription, ResolutionNote, Title, UpdateBody};
use dogwatch_store::rules::{Actor, Patch, Timestamp, UserId};
use dogwatch_store::{Engine, ManualClock};
use dogwatch_web::{Accent, Logo, Look, StatusSettings, by_host, status_pages};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

const SLUG: &str = "harbour";
/// The documents in the shape of Atlassian Statuspage.
const ATLASSIAN: [&str; 8] = [
    "summary.json",
    "status.json",
    "components.json",
    "incidents.json",
    "incidents/unresolved.json",
    "scheduled-maintenances.json",
    "scheduled-maintenances/upcoming.json",
    "scheduled-maintenances/active.json",
];

/// An organization with a page.
struct Harbour {
    engine: Engine,
    clock: ManualClock,
    ada: Actor,
    owner: UserId,
    checkout: ComponentId,
    search: ComponentId,
    page: StatusPageId,
}

impl Harbour {
    fn new() -> Self {
        let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
        let engine = Engine::builder().clock(clock.clone()).in_memory().unwrap();
        let create = CreateOrganization::new(
            "SECRET-org".parse().unwrap(),
            "secret-mail@example.com".parse().unwrap(),
            "SECRET-first".parse().unwrap(),
            "SECRET-last".parse().unwrap(),
        );
        let created = engine.execute(create, &Actor::Operator).unwrap();
        let (ada, owner) = (created.actor(), created.admin.member.id);
        let component = |name: &str, label: Option<&str>| {
            let label = label.map(|label| GroupLabel::new(label).unwrap());
            let create = CreateComponent { group_label: label, ..CreateComponent::new(name.parse().unwrap()) };
            engine.execute(create, &ada).unwrap().id
        };
        let (checkout, search) = (component("Checkout", Some("Shop")), component("Search", None));
        component("SECRET-component", Some("SECRET-label"));
        let create = CreateStatusPage {
            published: true,
            component_ids: vec![checkout, search],
            ..CreateStatusPage::new("Harbour".parse().unwrap(), SLUG.parse().unwrap())
        };
        let page = engine.execute(create, &ada).unwrap().id;
        Self { engine, clock, ada, owner, checkout, search, page }
    }

    fn incident(&self, title: &str, severity: Severity, components: &[ComponentId]) -> IncidentId {
        let open = CreateIncident {
            component_ids: components.to_vec(),
            ..CreateIncident::new(Title::new(title).unwrap(), severity, self.owner)
        };
        self.engine.execute(open, &self.ada).unwrap().id
    }

    fn resolve(&self, id: IncidentId) {
        for status in [Status::Identified, Status::Monitoring, Status::Resolved] {
            self.engine.execute(ChangeStatus::new(id, status), &self.ada).unwrap();
        }
    }

    fn wait(&self, seconds: u64) {
        let now = self.engine.now().plus(Duration::from_secs(seconds));
        self.clock.set(now);
        self.engine.tick(now).unwrap();
    }

    fn router(&self) -> Router {
        status_pages(self.engine.clone(), StatusSettings::default())
    }

    async fn text(&self, path: &str) -> String {
        let (status, _, body) = ask(&self.router(), path, &[]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        body
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }
}

/// Every address of a page.
fn addresses(slug: &str) -> Vec<String> {
    let own = ["", ".json", "/feed.atom", "/badge.svg", "/icon.svg"].map(|rest| format!("/status/{slug}{rest}"));
    own.into_iter().chain(ATLASSIAN.map(|name| format!("/status/{slug}/api/v2/{name}"))).collect()
}

async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> (StatusCode, header::HeaderMap, String) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_form_says_the_same() {
    let harbour = Harbour::new();
    harbour.incident("Checkout is down", Severity::Critical, &[harbour.checkout]);
    let ours = harbour.json("/status/harbour.json").await;
    assert_eq!(ours["banner"], "major_outage");
    let statuses: Vec<_> = ours["components"].as_array().unwrap().iter().map(|it| &it["status"]).collect();
    assert_eq!(statuses, ["major_outage", "operational"]);
    assert_eq!(ours["components"][0]["days"].as_array().unwrap().len(), 90);
    let summary = harbour.json("/status/harbour/api/v2/summary.json").await;
    assert_eq!(summary["status"]["indicator"], "critical");
    assert_eq!(summary["components"], harbour.json("/status/harbour/api/v2/components.json").await["components"]);
    assert_eq!(summary["incidents"][0]["name"], "Checkout is down");
    assert_eq!(summary["incidents"][0]["components"][0]["status"], "major_outage");
    let html = harbour.text("/status/harbour").await;
    assert!(html.contains("<strong>Major outage</strong>") && html.contains("Checkout is down"), "{html}");
    assert!(harbour.text("/status/harbour/badge.svg").await.contains("Major outage"));
    assert!(harbour.text("/status/harbour/feed.atom").await.contains("Investigating: Checkout is down"));
}

/// Marked secrets are in every field that is not public; none of them is in any byte that anybody gets.
#[tokio::test]
async fn nothing_internal_shows() {
    let harbour = Harbour::new();
    let (engine, ada) = (&harbour.engine, &harbour.ada);
    let org = engine.organizations().unwrap()[0].id;
    let add = AddMember::new(
        org,
        "secret-ben@example.com".parse().unwrap(),
        "SECRET-ben".parse().unwrap(),
        "SECRET-name".parse().unwrap(),
        Role::Member,
    );
    let ben = engine.execute(add, &Actor::Operator).unwrap();
    let policy = engine.execute(CreatePolicy::new("SECRET-policy".parse().unwrap()), ada).unwrap().id;
    let layer = AddPolicyLayer::new(
        policy,
        Position::new(1).unwrap(),
        AckTimeout::from_minutes(5).unwrap(),
        Target::user(harbour.owner),
    );
    engine.execute(layer, ada).unwrap();
    let open = CreateIncident {
        description: Some(IncidentDescription::new("SECRET-description").unwrap()),
        escalation_policy_id: Some(policy),
        component_ids: vec![harbour.checkout],
        ..CreateIncident::new(Title::new("Checkout is down").unwrap(), Severity::High, ben.member.id)
    };
    let incident = engine.execute(open, ada).unwrap();
    let body = |text: &str| UpdateBody::new(text).unwrap();
    engine.execute(PostUpdate::internal(incident.id, body("SECRET-update")), ada).unwrap();
    let internal = PostUpdate::internal(incident.id, body("SECRET-step")).with_status(Status::Identified);
    engine.execute(internal, ada).unwrap();
    engine.execute(PostUpdate::public(incident.id, body("We are on it")), ada).unwrap();
    let slip = engine.execute(PostUpdate::public(incident.id, body("SECRET-slip")), ada).unwrap();
    let redact = RedactUpdate { incident_id: incident.id, update_id: slip.id };
    engine.execute(redact, ada).unwrap();
    // Another one is resolved with a note, one affects what is not shown, one affects nothing.
    let past = harbour.incident("Search was slow", Severity::Low, &[harbour.search]);
    engine.execute(ChangeStatus::new(past, Status::Identified), ada).unwrap();
    engine.execute(ChangeStatus::new(past, Status::Monitoring), ada).unwrap();
    engine.execute(ChangeStatus::resolve(past, ResolutionNote::new("SECRET-note").unwrap()), ada).unwrap();
    harbour.incident("SECRET-untagged", Severity::Critical, &[]);
    let all = engine.query(&dogwatch_store::rules::component::ListComponents, ada).unwrap();
    let hidden = all.iter().find(|it| it.name.as_str() == "SECRET-component").unwrap().id;
    harbour.incident("SECRET-elsewhere", Severity::Critical, &[hidden]);
    let draft = CreateStatusPage {
        component_ids: vec![harbour.checkout],
        ..CreateStatusPage::new("SECRET-page".parse().unwrap(), "secret-page".parse().unwrap())
    };
    engine.execute(draft, ada).unwrap();

    let (users, ids) =
        ([harbour.owner.to_string(), ben.member.id.to_string()], [policy.to_string(), slip.id.to_string()]);
    for address in addresses(SLUG) {
        let text = harbour.text(&address).await;
        assert!(!text.to_lowercase().contains("secret"), "{address}: {text}");
        assert!(!text.contains("org_") && !text.contains("user_"), "{address}: {text}");
        assert!(users.iter().chain(&ids[..1]).all(|id| !text.contains(id.as_str())), "{address}: {text}");
    }
    let html = harbour.text("/status/harbour").await;
    for expected in ["We are on it", "This update was removed.", "Search was slow", "3 earlier updates"] {
        assert!(html.contains(expected), "{expected}: {html}");
    }
}

#[tokio::test]
async fn pages_that_are_not_there_cannot_be_told_from_one_another() {
    let harbour = Harbour::new();
    let publish = |published| EditStatusPage { published: Some(published), ..EditStatusPage::new(harbour.page) };
    harbour.engine.execute(publish(false), &harbour.ada).unwrap();
    for (here, nowhere) in addresses(SLUG).iter().zip(addresses("nowhere")) {
        let (router, other) = (harbour.router(), harbour.router());
        let (status, _, unpublished) = ask(&router, here, &[]).await;
        let (unknown_status, headers, unknown) = ask(&other, &nowhere, &[]).await;
        assert_eq!((status, unpublished), (StatusCode::NOT_FOUND, unknown), "{here}");
        assert_eq!(unknown_status, StatusCode::NOT_FOUND);
        assert!(!headers.contains_key(header::ETAG));
    }
    for odd in ["/status/a", "/status/Harbour", "/status/har%20bour", "/status/harbour.xml", "/status/%FF"] {
        let status = ask(&harbour.router(), odd, &[]).await.0;
        assert!([StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST].contains(&status), "{odd}: {status}");
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let harbour = Harbour::new();
    let router = harbour.router();
    for address in addresses(SLUG) {
        let (status, headers, body) = ask(&router, &address, &[]).await;
        let tag = headers[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[header::CACHE_CONTROL], "max-age=15, stale-while-revalidate=60, stale-if-error=86400");
        let strong = tag.strip_prefix("W/").unwrap().to_owned();
        for known in [tag.clone(), strong, format!("\"other\", {tag}"), "*".to_owned()] {
            let (status, headers, body) = ask(&router, &address, &[("if-none-match", &known)]).await;
            assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{address} {known}");
            assert_eq!(headers[header::ETAG], tag.as_str());
        }
        let (status, _, again) = ask(&router, &address, &[("if-none-match", "\"other\"")]).await;
        assert_eq!((status, again), (StatusCode::OK, body), "{address}");
    }
}

/// A page that is asked for all the time shows a change within a second.
#[tokio::test]
async fn a_change_shows_soon() {
    let harbour = Harbour::new();
    let router = harbour.router();
    let (_, headers, _) = ask(&router, "/status/harbour", &[]).await;
    harbour.incident("Checkout is down", Severity::Critical, &[harbour.checkout]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (_, later, html) = ask(&router, "/status/harbour", &[]).await;
    assert!(html.contains("Checkout is down"));
    assert_ne!(headers[header::ETAG], later[header::ETAG]);
    // An unpublished one is gone as soon.
    let hide = EditStatusPage { published: Some(false), ..EditStatusPage::new(harbour.page) };
    harbour.engine.execute(hide, &harbour.ada).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ask(&router, "/status/harbour", &[]).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn headers() {
    let harbour = Harbour::new();
    let policy =
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *";
    for (address, media_type, csp, origin) in [
        ("", "text/html; charset=utf-8", Some(policy), false),
        (".json", "application/json", None, true),
        ("/feed.atom", "application/atom+xml; charset=utf-8", None, true),
        ("/api/v2/summary.json", "application/json", None, true),
    ] {
        let (_, headers, _) = ask(&harbour.router(), &format!("/status/harbour{address}"), &[]).await;
        assert_eq!(headers[header::CONTENT_TYPE], media_type);
        assert_eq!(headers.get(header::CONTENT_SECURITY_POLICY).map(|it| it.to_str().unwrap()), csp);
        assert_eq!(headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), origin, "{address}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}

/// Texts of people are texts in every form.
#[tokio::test]
async fn texts_are_escaped() {
    let harbour = Harbour::new();
    let nasty = "</title><script>alert(\"1\")</script>&amp;'<!--]]>";
    let id = harbour.incident(nasty, Severity::High, &[harbour.checkout]);
    let body =
        UpdateBody::new(format!("{nasty}\nsee https://example.com/a?b=c&d=\"e\" and javascript:alert(1)")).unwrap();
    harbour.engine.execute(PostUpdate::public(id, body), &harbour.ada).unwrap();
    for address in ["/status/harbour", "/status/harbour/feed.atom", "/status/harbour/badge.svg"] {
        let text = harbour.text(address).await;
        assert!(!text.contains("<script>") && !text.contains("alert(\"1\")"), "{address}: {text}");
    }
    let html = harbour.text("/status/harbour").await;
    assert!(
        html.contains("href=\"https://example.com/a?b=c&#38;d=\"") && !html.contains("href=\"javascript"),
        "{html}"
    );
    assert_eq!(harbour.json("/status/harbour.json").await["incidents"][0]["title"], nasty);
}

#[tokio::test]
async fn an_incident_moves_into_the_history() {
    let harbour = Harbour::new();
    let id = harbour.incident("Checkout is down", Severity::High, &[harbour.checkout, harbour.search]);
    harbour.wait(3_600);
    harbour.engine.execute(SetComponents::new(id, vec![harbour.checkout]), &harbour.ada).unwrap();
    let edit = EditIncident { severity: Some(Severity::Low), description: Patch::Keep, ..EditIncident::new(id) };
    harbour.engine.execute(edit, &harbour.ada).unwrap();
    harbour.resolve(id);
    let page = harbour.json("/status/harbour.json").await;
    assert_eq!((&page["banner"], page["incidents"].as_array().unwrap().len()), (&Value::from("operational"), 0));
    assert_eq!(page["history"][0]["date"], "2026-04-07");
    let past = &page["history"][0]["incidents"][0];
    let steps: Vec<_> =
        past["updates"].as_array().unwrap().iter().map(|it| it["statusChange"].as_str().unwrap()).collect();
    assert_eq!(steps, ["resolved", "monitoring", "identified", "investigating"]);
    // An hour of a partial outage.
    for component in page["components"].as_array().unwrap() {
        let today = &component["days"][89];
        assert_eq!((&today["date"], &today["worst"]), (&Value::from("2026-04-07"), &Value::from("partial_outage")));
        assert_eq!(today["uptime"], 0.9875);
        assert_eq!(component["days"][88]["worst"], Value::Null);
    }
    let unresolved = harbour.json("/status/harbour/api/v2/incidents/unresolved.json").await;
    assert_eq!(unresolved["incidents"].as_array().unwrap().len(), 0);
    let all = harbour.json("/status/harbour/api/v2/incidents.json").await;
    assert_eq!(
        (&all["incidents"][0]["status"], &all["incidents"][0]["impact"]),
        (&Value::from("resolved"), &Value::from("minor"))
    );
    assert_eq!(all["incidents"][0]["resolved_at"], past["resolvedAt"]);
}

#[tokio::test]
async fn maintenances() {
    let harbour = Harbour::new();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let create = CreateMaintenance {
        status_page_id: harbour.page,
        title: Title::new("New database").unwrap(),
        description: Some(Description::new("It is faster.").unwrap()),
        component_ids: vec![harbour.search],
        starts_at: at("2026-04-07T11:00:00Z"),
        ends_at: at("2026-04-07T12:00:00Z"),
    };
    harbour.engine.execute(create, &harbour.ada).unwrap();
    let lists =
        ["scheduled-maintenances.json", "scheduled-maintenances/upcoming.json", "scheduled-maintenances/active.json"];
    for (wait, counts, banner, state, status) in [
        (0, [1, 1, 0], "operational", "scheduled", "scheduled"),
        (3_600, [1, 0, 1], "maintenance", "under_way", "in_progress"),
        (3_600, [1, 0, 0], "operational", "over", "completed"),
    ] {
        harbour.wait(wait);
        let page = harbour.json("/status/harbour.json").await;
        assert_eq!((&page["banner"], &page["maintenances"][0]["state"]), (&banner.into(), &state.into()));
        for (list, count) in lists.iter().zip(counts) {
            let list = harbour.json(&format!("/status/harbour/api/v2/{list}")).await;
            let all = list["scheduled_maintenances"].as_array().unwrap();
            assert_eq!(all.len(), count);
            assert!(all.iter().all(|it| it["status"] == status));
        }
        let html = harbour.text("/status/harbour").await;
        assert!(html.contains("New database"));
        assert_eq!(html.contains("<h2>Maintenance</h2>"), state != "over", "what is over is history: {state}");
    }
}

#[tokio::test]
async fn a_page_under_a_name_of_its_own() {
    let harbour = Harbour::new();
    let site = harbour.router().route("/v1/secret", axum::routing::get(|| async { "the API" }));
    let hosts = [("status.example.com".to_owned(), SLUG.parse().unwrap())].into();
    let router = by_host(site, hosts);
    for (host, path, status) in [
        ("status.example.com", "/", 200),
        ("Status.Example.com:8443", "/feed.atom", 200),
        ("status.example.com", "/api/v2/summary.json", 200),
        ("status.example.com", "/status/harbour/style.css", 200),
        ("status.example.com", "/v1/secret", 404),
        ("other.example.com", "/v1/secret", 200),
        ("other.example.com", "/", 404),
        ("other.example.com", "/status/harbour", 200),
    ] {
        assert_eq!(ask(&router, path, &[("host", host)]).await.0.as_u16(), status, "{host}{path}");
    }
}

#[tokio::test]
async fn a_page_has_a_colour_and_a_logo() {
    let harbour = Harbour::new();
    let mut look = Look::default();
    look.accent = Some(Accent::new("#0b5fff").unwrap());
    look.logo = Some(Logo::new(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec()).unwrap());
    let mut settings = StatusSettings::default();
    settings.looks.insert(SLUG.parse().unwrap(), look);
    let router = status_pages(harbour.engine.clone(), settings);
    assert!(ask(&router, "/status/harbour/style.css", &[]).await.2.contains("--accent: #0b5fff"));
    assert!(!ask(&router, "/status/other/style.css", &[]).await.2.contains("#0b5fff"));
    let (status, headers, _) = ask(&router, "/status/harbour/logo", &[]).await;
    assert_eq!((status, headers[header::CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "image/svg+xml"));
    assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("sandbox"));
    assert_eq!(ask(&router, "/status/other/logo", &[]).await.0, StatusCode::NOT_FOUND);
    assert!(ask(&router, "/status/harbour", &[]).await.2.contains("<img src=\"/status/harbour/logo\" alt=\"\">"));
}

/// Whoever takes gzip gets what was compressed once; both are the same page.
#[tokio::test]
async fn compressed_or_not() {
    let harbour = Harbour::new();
    let router = harbour.router();
    let ask = async |encodings: &str| {
        let request = Request::get("/status/harbour").header("accept-encoding", encodings).body(Body::empty()).unwrap();
        let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
        let encoding = parts.headers.get(header::CONTENT_ENCODING).map(|it| it.to_str().unwrap().to_owned());
        assert_eq!(parts.headers[header::VARY], "accept-encoding");
        (encoding, parts.headers[header::ETAG].clone(), body.collect().await.unwrap().to_bytes())
    };
    let (none, tag, plain) = ask("identity").await;
    assert_eq!(none, None);
    for (encodings, gzip) in [
        ("gzip", true),
        ("br, GZIP;q=0.5", true),
        ("gzip;q=0", false),
        ("gzip;q=0.0, br", false),
        ("br", false),
        ("", false),
    ] {
        let (encoding, same, bytes) = ask(encodings).await;
        assert_eq!((encoding.as_deref(), &same), (gzip.then_some("gzip"), &tag), "{encodings}");
        if gzip {
            let mut unpacked = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut unpacked).unwrap();
            assert_eq!(unpacked, plain);
        } else {
            assert_eq!(bytes, plain);
        }
    }
}

/// Characters that are none are not in what others parse.
#[tokio::test]
async fn noncharacters() {
    let harbour = Harbour::new();
    harbour.incident("Down \u{FFFF}\u{FDD0}\u{1FFFE}", Severity::High, &[harbour.checkout]);
    for address in ["/status/harbour", "/status/harbour/feed.atom"] {
        assert!(harbour.text(address).await.contains("Down \u{FFFD}\u{FFFD}\u{FFFD}"), "{address}");
    }
    let page = harbour.json("/status/harbour.json").await;
    assert_eq!(page["incidents"][0]["title"], "Down \u{FFFF}\u{FDD0}\u{1FFFE}");
}

/// A stylesheet is kept for long only under the address that names it; a logo is shown with its page.
#[tokio::test]
async fn what_stands_beside_a_page() {
    let harbour = Harbour::new();
    let html = harbour.text("/status/harbour").await;
    let (_, rest) = html.split_once("/style.css?v=").unwrap();
    let (version, _) = rest.split_once('"').unwrap();
    for (query, caching) in
        [(format!("?v={version}"), "immutable"), ("?v=other".to_owned(), "stale"), (String::new(), "stale")]
    {
        let (_, headers, _) = ask(&harbour.router(), &format!("/status/harbour/style.css{query}"), &[]).await;
        assert!(headers[header::CACHE_CONTROL].to_str().unwrap().contains(caching), "{query}");
    }
    let mut look = Look::default();
    look.logo = Some(Logo::new(b"<svg/>".to_vec()).unwrap());
    let mut settings = StatusSettings::default();
    settings.looks.insert(SLUG.parse().unwrap(), look);
    let hide = EditStatusPage { published: Some(false), ..EditStatusPage::new(harbour.page) };
    harbour.engine.execute(hide, &harbour.ada).unwrap();
    let router = status_pages(harbour.engine.clone(), settings);
    assert_eq!(ask(&router, "/status/harbour/logo", &[]).await.0, StatusCode::NOT_FOUND);
}

/// However many ask at once, all get the page; slugs that are made up leave nothing behind that changes that.
#[tokio::test(flavor = "multi_thread")]
async fn many_ask_at_once() {
    let harbour = Harbour::new();
    let router = harbour.router();
    let asks: Vec<_> = (0..200)
        .map(|n| {
            let router = router.clone();
            let path = if n % 2 == 0 { "/status/harbour".to_owned() } else { format!("/status/made-up-{n}") };
            tokio::spawn(async move { (n, ask(&router, &path, &[]).await.0) })
        })
        .collect();
    for one in asks {
        let (n, status) = one.await.unwrap();
        assert_eq!(status, if n % 2 == 0 { StatusCode::OK } else { StatusCode::NOT_FOUND });
    }
}
