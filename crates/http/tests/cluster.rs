//! Two servers on one store: who answers what (contract, section 15).
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use dogwatch_http::{Neighbours, Settings, Standing, router, serve_latest, unavailable};
use dogwatch_store::cluster::{Campaign, Cluster, ClusterOptions, MemorySharedJournal, Role, Server, SharedJournal};
use dogwatch_store::rules::integration::{CreateIntegration, Heartbeat, IntegrationKind, Settings as Watch};
use dogwatch_store::rules::{Actor, Timestamp};
use dogwatch_store::{Clock, Engine, EngineBuilder, SystemClock};
use dogwatch_testkit::fixture::organization;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceExt;

const LEASE: Duration = Duration::from_millis(600);

/// A server of the cluster.
struct Node {
    address: String,
    cluster: Arc<Cluster>,
}

impl Node {
    async fn start(
        folder: &Path,
        name: &str,
        journal: &MemorySharedJournal,
        builder: impl Fn() -> EngineBuilder + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut options = ClusterOptions::new(Server::new(name, address.clone()));
        options.lease = LEASE;
        options.cache_bytes = 4 << 20;
        let joined = Cluster::join(folder.join(name), Arc::new(journal.clone()), options, builder);
        let cluster = Arc::new(joined.unwrap());
        let (standing, stale) = (Arc::clone(&cluster), Arc::clone(&cluster));
        let neighbours = Neighbours::new(
            name,
            move || Standing::from(&standing.role()),
            move || stale.stale(),
            Arc::new(AtomicBool::new(false)),
        );
        let neighbours = neighbours.unwrap();
        let (latest, routers) = watch::channel(neighbours.around(unavailable()));
        let kept = Arc::clone(&cluster);
        tokio::spawn(async move {
            let mut seen = u64::MAX;
            loop {
                let now = kept.changes();
                if now != seen {
                    seen = now;
                    let present = kept.role().engine().map_or_else(unavailable, |engine| router(engine.clone()));
                    drop(latest.send_replace(neighbours.around(present)));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        tokio::spawn(serve_latest(listener, routers, Settings::default(), std::future::pending()));
        Self { address, cluster }
    }

    fn engine(&self) -> Option<Engine> {
        match self.cluster.role() {
            Role::Leads { engine, .. } => Some(engine),
            _ => None,
        }
    }

    async fn ask(&self, method: &str, path: &str, key: &str, body: Value, more: &[(&str, &str)]) -> Answer {
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.address));
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        let (head, body) = client.request(request.body(body).unwrap()).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, text }
    }

    async fn get(&self, path: &str, key: &str) -> Answer {
        self.ask("GET", path, key, Value::Null, &[]).await
    }

    async fn add(&self, key: &str, name: &str) -> Answer {
        self.ask("POST", "/v1/components", key, json!({ "name": name }), &[]).await
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap();
        body["code"].as_str().unwrap().to_owned()
    }

    fn stale(&self) -> Option<u64> {
        self.headers.get("dogwatch-stale").map(|seconds| seconds.to_str().unwrap().parse().unwrap())
    }
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A clock that can be put off, with which a server does not begin to lead.
#[derive(Clone, Default)]
struct Off(Arc<AtomicBool>);

impl Off {
    fn put(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn builder(&self) -> impl Fn() -> EngineBuilder + Send + 'static {
        let clock = self.clone();
        move || Engine::builder().clock(clock.clone())
    }
}

impl Clock for Off {
    fn now(&self) -> Timestamp {
        let off = if self.0.load(Ordering::Relaxed) { 3_600 } else { 0 };
        SystemClock.now().plus(Duration::from_secs(off))
    }
}

struct Two {
    _folder: tempfile::TempDir,
    clock_of_leader: Off,
    journal: MemorySharedJournal,
    leader: Node,
    follower: Node,
    key: String,
    admin: Actor,
}

/// One that leads, and one that follows and never leads.
async fn two() -> Two {
    let (folder, journal) = (tempfile::tempdir().unwrap(), MemorySharedJournal::new([7; 16], 20_000));
    let (clock_of_leader, clock_of_follower) = (Off::default(), Off::default());
    clock_of_follower.put();
    let leader = Node::start(folder.path(), "a", &journal, clock_of_leader.builder()).await;
    let engine = until("it leads", || leader.engine()).await;
    let made = organization(&engine);
    let (key, admin) = (made.admin.api_key.secret.reveal().to_owned(), made.actor());
    drop(engine);
    let follower = Node::start(folder.path(), "b", &journal, clock_of_follower.builder()).await;
    until("it follows", || matches!(follower.cluster.role(), Role::Follows { engine: Some(_), .. }).then_some(()))
        .await;
    // A role is there a while before the API over its engine is.
    for node in [&leader, &follower] {
        let began = Instant::now();
        while node.get("/openapi.json", "").await.status != 200 {
            assert!(began.elapsed() < Duration::from_secs(30), "its API is there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Two { _folder: folder, clock_of_leader, journal, leader, follower, key, admin }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_passes_on() {
    let Two { leader, follower, key, admin, .. } = &two().await;
    let made = follower.add(key, "Checkout").await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(made.headers.contains_key("x-request-id"));
    // What was answered through one is shown by each, and is not called old.
    for node in [leader, follower] {
        let shown = node.get("/v1/components", key).await;
        assert!(shown.status == 200 && shown.text.contains("Checkout"), "{}", shown.text);
        assert_eq!(shown.stale(), None);
    }
    // Refusals come from the leader: who is not known, and what does not fit.
    assert_eq!(follower.get("/v1/components", "dw_nobody").await.status, 401);
    let unfit = follower.add(key, "").await;
    assert_eq!(unfit.status, 422, "{unfit:?}");
    assert_eq!(follower.get("/v1/none", key).await.status, 404);
    // A body without a length is passed on as it comes; one that is too large is refused as the leader does.
    let long = json!({ "name": "x".repeat(2 << 20) });
    assert_eq!(follower.ask("POST", "/v1/components", key, long, &[]).await.code(), "payload_too_large");
    // The same request again is the same, whichever server gets it.
    let once = [("idempotency-key", "once")];
    let body = json!({ "name": "Search" });
    let first = follower.ask("POST", "/v1/components", key, body.clone(), &once).await;
    let again = leader.ask("POST", "/v1/components", key, body, &once).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert!(again.headers.contains_key("idempotency-replayed"));
    // Alerts come in through each; a heartbeat is no question, though it may be a GET.
    let beats = Heartbeat::new(3_600, 0).unwrap();
    let settings = Watch { heartbeat: Some(beats), ..Watch::default() };
    let create = CreateIntegration { name: "Backup".parse().unwrap(), kind: IntegrationKind::Heartbeat, settings };
    let token = leader.engine().unwrap().execute(create, admin).unwrap().token;
    let beat = follower.get(&format!("/integrations/heartbeat/{}", token.reveal()), "").await;
    assert_eq!((beat.status, beat.text.as_str()), (200, "alive\n"));
    // Each says what it does.
    assert_eq!(leader.get("/readyz", "").await.text, "leader: ready\n");
    let ready = follower.get("/readyz", "").await;
    assert_eq!((ready.status, ready.text), (200, format!("follower: {} leads\n", leader.address)));
    assert_eq!(follower.get("/healthz", "").await.text, "alive\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_leads_questions_are_answered() {
    let Two { journal, leader, follower, key, clock_of_leader, .. } = &two().await;
    assert_eq!(leader.add(key, "Checkout").await.status, 201);
    until("it has it", || (follower.cluster.role().engine()?.head() == leader.engine()?.head()).then_some(())).await;
    clock_of_leader.put();
    journal.depose().unwrap();
    for node in [leader, follower] {
        until("nobody leads", || matches!(node.cluster.role(), Role::Nobody { engine: Some(_) }).then_some(())).await;
    }
    // The routers follow within a moment.
    tokio::time::sleep(Duration::from_millis(200)).await;
    for node in [leader, follower] {
        let shown = node.get("/v1/components", key).await;
        assert!(shown.status == 200 && shown.text.contains("Checkout"), "{shown:?}");
        assert!(shown.stale().is_some_and(|seconds| seconds < 30), "{shown:?}");
        assert_eq!(node.get("/v1/components", "dw_nobody").await.status, 401);
        let refused = node.add(key, "Search").await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"));
        assert!(refused.headers.contains_key("retry-after"));
        // A monitor gets an answer after which it tries again.
        assert_eq!(node.get("/integrations/heartbeat/x", "").await.status, 503);
        let ready = node.get("/readyz", "").await;
        assert!(ready.status == 503 && ready.text.starts_with("nobody leads"), "{ready:?}");
    }
    let names = |node: &Node| node.cluster.role().engine().unwrap().head();
    assert_eq!(names(leader), names(follower), "nothing has happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_be_reached() {
    let Two { journal, leader, follower, key, clock_of_leader, .. } = &two().await;
    clock_of_leader.put();
    journal.depose().unwrap();
    // Somebody leads of whom nobody listens, and then the follower itself, as far as others are told.
    for (name, address) in [("ghost", "http://127.0.0.1:9"), ("mirror", leader.address.as_str())] {
        let ghost = Server::new(name, address);
        let seen = journal.leadership().unwrap().term;
        let won = journal.campaign(&ghost, seen, Duration::from_secs(60)).unwrap();
        assert!(matches!(won, Campaign::Won { .. }), "{name}");
        let follows = |node: &Node| match node.cluster.role() {
            Role::Follows { leader, engine: Some(_) } if leader == ghost => Some(()),
            _ => None,
        };
        until("it follows the ghost", || follows(follower)).await;
        until("it follows the ghost", || follows(leader)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let refused = follower.add(key, "Search").await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"), "{name}");
        let asked = follower.get("/v1/components", key).await;
        assert_eq!((asked.status, asked.code().as_str()), (503, "unavailable"), "{name}");
        journal.depose().unwrap();
    }
    // A second hop is refused by whoever does not lead.
    let hop = follower.ask("GET", "/v1/components", key, Value::Null, &[("dogwatch-forwarded", "c")]).await;
    assert_eq!((hop.status, hop.code().as_str()), (503, "unavailable"));
}

/// A leader that could not renew its lead: another one may lead by now.
#[tokio::test]
async fn a_leader_that_is_not_sure() {
    let asked = |stale: Option<Duration>, method: &'static str, path: &'static str| async move {
        let draining = Arc::new(AtomicBool::new(false));
        let neighbours = Neighbours::new("a", || Standing::Leads, move || stale, draining).unwrap();
        let inner = axum::Router::new().fallback(|| async { "answered\n" });
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let (head, body) = neighbours.around(inner).oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, text }
    };
    let long = Some(Duration::from_secs(12));
    for (stale, method, path, status, seconds) in [
        (None, "GET", "/v1/x", 200, None),
        (None, "POST", "/v1/x", 200, None),
        (None, "GET", "/readyz", 200, None),
        (long, "GET", "/v1/x", 200, Some(12)),
        (long, "POST", "/v1/x", 503, None),
        (long, "GET", "/integrations/heartbeat/x", 503, None),
        (long, "GET", "/readyz", 503, None),
        (long, "GET", "/healthz", 200, None),
    ] {
        let answer = asked(stale, method, path).await;
        assert_eq!((answer.status, answer.stale()), (status, seconds), "{stale:?} {method} {path}: {answer:?}");
    }
}
