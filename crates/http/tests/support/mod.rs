//! A router with an organization behind it, and requests to it without a socket.
#![allow(dead_code, reason = "each test file uses its own part")]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use dogwatch_store::backend::{Backend, BackendError, MemoryBackend};
use dogwatch_store::journal::{AppendError, Head, Journal, MemoryJournal, Position, Reading, Rows};
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::team::{AddMember, InviteMember, Joined, Role};
use dogwatch_store::rules::{Actor, Timestamp};
use dogwatch_store::{Engine, EngineBuilder, ManualClock};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::collections::HashMap;
use tower::ServiceExt;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> String {
        self.body["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// One body for success, one for failure; the same request id in body and header.
    pub(crate) fn assert_enveloped(&self) {
        let id = self.body["requestId"].as_str().unwrap_or_else(|| panic!("no request id: {}", self.body));
        assert_eq!((id, id.len()), (self.header("x-request-id"), 36));
        assert_eq!(self.header("content-type"), "application/json");
        let mut names: Vec<_> = self.body.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        if self.status < 300 {
            assert_eq!(names, ["data", "requestId"]);
            return;
        }
        assert_eq!(self.body["statusCode"], self.status);
        let fields = if self.status == 422 { &["fields"][..] } else { &[] };
        let mut expected = [&["code", "message", "requestId", "statusCode", "type"], fields].concat();
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert!(self.status != 422 || !self.body["fields"].as_array().unwrap().is_empty(), "{}", self.body);
    }
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

pub(crate) async fn request(router: &Router, method: &str, path: &str, key: Option<&str>, body: Value) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let body = if body.is_null() {
        Body::empty()
    } else {
        request = request.header("content-type", "application/json");
        Body::from(body.to_string())
    };
    send(router, request.body(body).unwrap()).await
}

pub(crate) async fn status_and_text(router: &Router, path: &str) -> (StatusCode, String) {
    let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

pub(crate) async fn text(router: &Router, path: &str) -> String {
    status_and_text(router, path).await.1
}

/// An organization with one of each thing, behind a router.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) router: Router,
    pub(crate) key: String,
    pub(crate) member_key: String,
    pub(crate) ada: String,
    pub(crate) ben: String,
    /// Of an invitation that nobody has accepted.
    pub(crate) token: String,
    ids: HashMap<String, String>,
    disk: MemoryBackend,
}

/// A journal that cannot be written.
struct FailingSync(MemoryJournal);

impl Journal for FailingSync {
    fn last(&self) -> Result<Head, BackendError> {
        self.0.last()
    }

    fn append(&self, _: u64, _: &Head, _: Timestamp, _: &Rows) -> Result<Head, AppendError> {
        Err(AppendError::Unknown(BackendError::new("syncing", "the disk is gone")))
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        self.0.read(from, most)
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        self.0.head_at(position)
    }

    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError> {
        self.0.kept_for(from, up_to)
    }

    fn size(&self) -> Result<u64, BackendError> {
        self.0.size()
    }

    fn forget(&self, up_to: Position) -> Result<(), BackendError> {
        self.0.forget(up_to)
    }
}

impl Server {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// A server whose engine is opened anew, in another way, once everything is there.
    pub(crate) async fn with(open: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let disk = MemoryBackend::new();
        let clock = ManualClock::at("2026-04-07T09:00:00Z".parse::<Timestamp>().unwrap());
        let engine = Engine::builder().clock(clock.clone()).with_backend(disk.clone()).unwrap();
        let mut server = Self::on(disk.clone(), engine.clone(), dogwatch_http::router(engine)).await;
        server.engine = open(Engine::builder().clock(clock)).with_backend(disk).unwrap();
        server.router = dogwatch_http::router(server.engine.clone());
        server
    }

    /// The same data, with every incident's record overwritten.
    pub(crate) fn engine_with_damage(&self) -> Router {
        let (rows, disk) = (self.rows(), MemoryBackend::new());
        let rows = rows.scan(&[], &[0xFF]).map(Result::unwrap);
        let damaged = |(key, value): (Vec<u8>, Vec<u8>)| {
            let value = if key.first() == Some(&b'I') { vec![1; 12] } else { value };
            (key, Some(value))
        };
        disk.apply(&rows.map(damaged).collect()).unwrap();
        dogwatch_http::router(Engine::builder().with_backend(disk).unwrap())
    }

    /// The same data, on a disk that cannot be synced.
    pub(crate) fn engine_with_a_failing_disk(&self) -> Router {
        let disk = self.rows();
        // An engine that does nothing says where the store is.
        let head = Engine::builder().with_backend(disk.clone()).unwrap().head();
        let engine = Engine::builder().with_storage(disk, FailingSync(MemoryJournal::after(head))).unwrap();
        dogwatch_http::router(engine)
    }

    /// Where the engine keeps its rows.
    pub(crate) const fn disk(&self) -> &MemoryBackend {
        &self.disk
    }

    /// A copy of all rows.
    fn rows(&self) -> MemoryBackend {
        self.engine.checkpoint().unwrap();
        let disk = MemoryBackend::new();
        disk.apply(&self.disk.scan(&[], &[0xFF]).map(Result::unwrap).map(|(key, value)| (key, Some(value))).collect())
            .unwrap();
        disk
    }

    /// Another organization on the same server.
    pub(crate) async fn another(&self) -> Self {
        Self::on(self.disk.clone(), self.engine.clone(), self.router.clone()).await
    }

    async fn on(disk: MemoryBackend, engine: Engine, router: Router) -> Self {
        let create = CreateOrganization::new(
            "Harbour".parse().unwrap(),
            "ada@example.com".parse().unwrap(),
            "Ada".parse().unwrap(),
            "Byron".parse().unwrap(),
        );
        let created = engine.execute(create, &Actor::Operator).unwrap();
        let org = created.organization.id;
        let join = |email: &str| -> Joined {
            let add = AddMember::new(
                org,
                email.parse().unwrap(),
                "Some".parse().unwrap(),
                "Body".parse().unwrap(),
                Role::Member,
            );
            engine.execute(add, &Actor::Operator).unwrap()
        };
        let (ben, cleo) = (join("ben@example.com"), join("cleo@example.com"));
        let invite = InviteMember { email_address: "dora@example.com".parse().unwrap(), role: Role::Member };
        let sent = engine.execute(invite, &created.actor()).unwrap();
        let mut server = Self {
            router,
            key: created.admin.api_key.secret.reveal().to_owned(),
            member_key: cleo.api_key.secret.reveal().to_owned(),
            ada: created.admin.member.id.to_string(),
            ben: ben.member.id.to_string(),
            token: sent.token.reveal().to_owned(),
            ids: HashMap::new(),
            disk,
            engine,
        };
        server.remember("ada", server.ada.clone());
        server.remember("ben", server.ben.clone());
        server.remember("key", ben.api_key.key.id.to_string());
        server.remember("nobody", "user_01900000000070008000000000000000".to_owned());
        server.remember("none", "01900000-0000-7000-8000-000000000000".to_owned());
        server.furnish().await;
        server
    }

    /// One of each thing.
    async fn furnish(&mut self) {
        let invite = json!({ "emailAddress": "eve@example.com", "role": "org:member" });
        self.make("invitation", "/team/members/invite", invite).await;
        self.make("component", "/components", json!({ "name": "Checkout" })).await;
        self.make("schedule", "/oncall/schedules", json!({ "name": "Night", "timezone": "UTC" })).await;
        let layer = json!({ "name": "first", "rotationType": "daily", "rotationLengthDays": 1, "handoffTime": "09:00",
            "effectiveFrom": "2026-04-01T00:00:00Z", "participantIds": [self.ben] });
        self.make("layer", "/oncall/schedules/{schedule}/layers", layer).await;
        let stand_in =
            json!({ "userId": self.ada, "startsAt": "2026-05-01T00:00:00Z", "endsAt": "2026-05-02T00:00:00Z" });
        self.make("override", "/oncall/schedules/{schedule}/overrides", stand_in).await;
        self.make("policy", "/escalation/policies", json!({ "name": "Night" })).await;
        let target = |schedule: &str| json!({ "type": "schedule", "scheduleId": schedule });
        for (name, position) in [("kept", 1), ("policyLayer", 3)] {
            let layer = json!({ "position": position, "ackTimeoutMinutes": 5, "target": target(&self.id("schedule")) });
            self.make(name, "/escalation/policies/{policy}/layers", layer).await;
        }
        let open = json!({ "title": "Checkout is down", "severity": "high", "ownerId": self.ada,
            "componentIds": [self.id("component")], "escalationPolicyId": self.id("policy") });
        self.make("incident", "/incidents", open.clone()).await;
        let news = json!({ "body": "Looking.", "visibility": "internal" });
        self.make("update", "/incidents/{incident}/updates", news).await;
        let plain = json!({ "title": "Over", "severity": "low", "ownerId": self.ada });
        self.make("resolved", "/incidents", plain).await;
        for status in ["identified", "monitoring", "resolved"] {
            let step = self.call("PATCH", "/incidents/{resolved}/status", json!({ "status": status })).await;
            assert_eq!(step.status, 200, "{}", step.body);
        }
    }

    async fn make(&mut self, name: &str, path: &str, body: Value) {
        let made = self.call("POST", path, body).await;
        assert_eq!(made.status, 201, "{path}: {}", made.body);
        let id = made.body["data"]["id"].as_str().unwrap().to_owned();
        self.remember(name, id);
    }

    fn remember(&mut self, name: &str, id: String) {
        self.ids.insert(name.to_owned(), id);
    }

    pub(crate) fn id(&self, name: &str) -> String {
        self.ids[name].clone()
    }

    /// A path with this organization's ids.
    pub(crate) fn fill(&self, path: &str) -> String {
        self.ids.iter().fold(path.to_owned(), |path, (name, id)| path.replace(&format!("{{{name}}}"), id))
    }

    /// A path with ids that nobody made.
    pub(crate) fn fill_with_nobodys(&self, path: &str) -> String {
        self.ids.iter().fold(path.to_owned(), |path, (name, id)| {
            let prefix = id.split_once('_').map(|(prefix, _)| format!("{prefix}_01900000000070008000000000000000"));
            let nobodys = prefix.unwrap_or_else(|| "01900000-0000-7000-8000-000000000000".to_owned());
            path.replace(&format!("{{{name}}}"), &nobodys)
        })
    }

    /// A call as the admin.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        request(&self.router, method, &format!("/v1{}", self.fill(path)), Some(&self.key), body).await
    }

    /// A call as the admin with a body of any bytes.
    pub(crate) async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", self.key));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(&self.router, request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn document(&self) -> Value {
        serde_json::from_str(&text(&self.router, "/openapi.json").await).unwrap()
    }
}
