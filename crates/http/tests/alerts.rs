//! Alerts in, through the router: integrations under `/v1`, and the routes of those who send (contract, section 14).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dogwatch_http::{Limits, Rate, RouterBuilder};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use support::{Answer, Server, request, send, text};

/// A request of a sender: no key, and a media type of its own.
async fn sent(router: &Router, method: &str, path: &str, body: impl Into<Body>) -> Answer {
    let request = Request::builder().method(method).uri(path).header("content-type", "text/plain");
    send(router, request.body(body.into()).unwrap()).await
}

async fn posted(router: &Router, path: &str, body: &Value) -> Answer {
    sent(router, "POST", path, body.to_string()).await
}

impl Server {
    /// The token and the id of a new integration.
    async fn integration(&self, kind: &str, more: Value) -> (String, String) {
        let mut body = json!({ "name": format!("A {kind}"), "kind": kind });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.call("POST", "/integrations", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let field = |name: &str| made.body["data"][name].as_str().unwrap().to_owned();
        (field("token"), field("id"))
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body["data"].clone()
    }

    /// The incidents that an integration has opened, newest first.
    async fn opened_by(&self, integration: &str) -> Vec<Value> {
        let all = self.get("/incidents?limit=100").await;
        let of = |it: &&Value| it["createdBy"] == *integration;
        all["incidents"].as_array().unwrap().iter().filter(of).cloned().collect()
    }
}

/// A token that is not even text is one that nobody has.
#[tokio::test]
async fn a_token_that_is_no_text() {
    let server = Server::new().await;
    for kind in ["alertmanager", "generic", "heartbeat", "cloudwatch"] {
        let refused = posted(&server.router, &format!("/integrations/{kind}/%FF"), &json!({})).await;
        let unknown = posted(&server.router, &format!("/integrations/{kind}/unknown"), &json!({})).await;
        assert_eq!((refused.status, &refused.body), (404, &unknown.body), "{kind}");
    }
}

#[tokio::test]
async fn an_integration_from_its_beginning_to_its_end() {
    let server = Server::new().await;
    let none = "01900000-0000-7000-8000-000000000000";
    for (body, paths) in [
        (json!({}), &["/name", "/kind"][..]),
        (json!({ "name": "x", "kind": "email" }), &["/kind"]),
        (json!({ "name": "x", "kind": "generic", "pauseSeconds": 3_601 }), &["/pauseSeconds"]),
        (json!({ "name": "x", "kind": "generic", "resolveAfterSeconds": -1 }), &["/resolveAfterSeconds"]),
        (json!({ "name": "x", "kind": "generic", "pauseSeconds": "1" }), &["/pauseSeconds"]),
        (json!({ "name": "x", "kind": "generic", "severities": { "low": "page" } }), &["/severities/low"]),
        (json!({ "name": "x", "kind": "generic", "severities": "drop" }), &["/severities"]),
        (json!({ "name": "x", "kind": "generic", "periodSeconds": 60 }), &["/periodSeconds"]),
        (json!({ "name": "x", "kind": "generic", "graceSeconds": 60 }), &["/periodSeconds"]),
        (json!({ "name": "x", "kind": "heartbeat" }), &["/periodSeconds"]),
        (json!({ "name": "x", "kind": "heartbeat", "graceSeconds": 5 }), &["/periodSeconds"]),
        (json!({ "name": "x", "kind": "heartbeat", "periodSeconds": 0 }), &["/periodSeconds"]),
        (json!({ "name": "x", "kind": "heartbeat", "periodSeconds": 1, "graceSeconds": 86_401 }), &["/graceSeconds"]),
        (
            json!({ "name": "x", "kind": "generic", "componentId": 5, "ownerScheduleId": "y" }),
            &["/componentId", "/ownerScheduleId"],
        ),
    ] {
        let refused = server.call("POST", "/integrations", body.clone()).await;
        let fields: Vec<_> =
            refused.body["fields"].as_array().into_iter().flatten().map(|it| it["path"].as_str().unwrap()).collect();
        assert_eq!((refused.status, fields.as_slice()), (422, paths), "{body}: {}", refused.body);
    }
    for (body, status, code) in [
        (json!({ "name": "x", "kind": "generic", "componentId": none }), 400, "invalid_component_id"),
        (json!({ "name": "x", "kind": "generic", "ownerScheduleId": none }), 404, "not_found"),
        (json!({ "name": "x", "kind": "generic", "escalationPolicyId": none }), 404, "not_found"),
    ] {
        let refused = server.call("POST", "/integrations", body).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{}", refused.body);
    }

    let new = json!({ "name": "Disks", "kind": "generic", "severities": { "low": "drop" }, "ownerScheduleId": server.id("schedule") });
    let headers = [("idempotency-key", "once"), ("content-type", "application/json")];
    let made = server.raw("POST", "/v1/integrations", &headers, new.to_string().into_bytes()).await;
    made.assert_enveloped();
    let token = made.body["data"]["token"].as_str().unwrap().to_owned();
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
    let again = server.raw("POST", "/v1/integrations", &headers, new.to_string().into_bytes()).await;
    assert_eq!((&again.body["data"]["id"], &again.body["data"]["token"]), (&made.body["data"]["id"], &Value::Null));
    let id = made.body["data"]["id"].as_str().unwrap();
    assert!(id.starts_with("int_"), "{id}");

    let path = format!("/integrations/{id}");
    let seen = server.get(&path).await;
    let expected = json!({
        "id": id, "orgId": seen["orgId"], "name": "Disks", "kind": "generic", "componentId": null,
        "ownerScheduleId": server.id("schedule"), "escalationPolicyId": null,
        "severities": { "critical": "incident", "high": "incident", "medium": "incident", "low": "drop" },
        "pauseSeconds": 0, "resolveAfterSeconds": 300, "periodSeconds": null, "graceSeconds": null,
        "createdAt": "2026-04-07T09:00:00.000Z", "lastSignalAt": null,
    });
    assert_eq!(seen, expected);
    assert_eq!(server.get("/integrations").await, json!([expected]));
    let taken = server.call("POST", "/integrations", json!({ "name": "Disks", "kind": "pagerduty" })).await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "name_conflict"));
    let edit = json!({ "name": "All disks", "pauseSeconds": 60, "ownerScheduleId": null, "severities": { "high": "drop" }, "componentId": server.id("component") });
    let edited = server.call("PATCH", &path, edit).await;
    let field = |name: &str| edited.body["data"][name].clone();
    assert_eq!(
        (field("name"), field("pauseSeconds"), field("ownerScheduleId")),
        (json!("All disks"), json!(60), Value::Null)
    );
    assert_eq!(
        (field("severities")["high"].clone(), field("severities")["low"].clone(), field("componentId")),
        (json!("drop"), json!("drop"), json!(server.id("component")))
    );
    let beats = server.call("PATCH", &path, json!({ "periodSeconds": 5 })).await;
    assert_eq!((beats.status, &beats.body["fields"][0]["path"]), (422, &json!("/periodSeconds")), "{}", beats.body);

    let rotated = server.call("POST", &format!("{path}/rotate-token"), Value::Null).await;
    assert_eq!(rotated.status, 200, "{}", rotated.body);
    let fresh = rotated.body["data"]["token"].as_str().unwrap().to_owned();
    let firing = json!({ "key": "k", "state": "resolved" });
    assert_eq!(posted(&server.router, &format!("/integrations/generic/{token}"), &firing).await.status, 404);
    assert_eq!(posted(&server.router, &format!("/integrations/generic/{fresh}"), &firing).await.status, 202);

    for (method, path) in [
        ("POST", "/integrations".to_owned()),
        ("PATCH", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/rotate-token")),
    ] {
        let body = if path == "/integrations" { json!({ "name": "x", "kind": "generic" }) } else { Value::Null };
        let refused = request(&server.router, method, &format!("/v1{path}"), Some(&server.member_key), body).await;
        assert_eq!((refused.status, refused.code().as_str()), (401, "not_authorized"), "{method} {path}");
    }
    let looked = request(&server.router, "GET", &format!("/v1{path}"), Some(&server.member_key), Value::Null).await;
    assert_eq!(looked.status, 200);
    let in_use = server.call("DELETE", "/components/{component}", Value::Null).await;
    assert_eq!(in_use.code(), "component_in_use");

    let deleted = server.call("DELETE", &path, Value::Null).await;
    assert_eq!(deleted.body["data"], json!({ "id": id, "deleted": true }));
    for (method, path) in [("GET", path.clone()), ("PATCH", path.clone()), ("DELETE", path.clone())] {
        let body = if method == "PATCH" { json!({}) } else { Value::Null };
        let gone = server.call(method, &path, body).await;
        assert_eq!((gone.status, gone.code().as_str()), (404, "not_found"), "{method}");
    }
    assert_eq!(server.get("/integrations").await, json!([]));
    assert_eq!(posted(&server.router, &format!("/integrations/generic/{fresh}"), &firing).await.status, 404);
}

fn event(key: &str, action: &str, dedup_key: impl Into<Value>) -> Value {
    let dedup_key = dedup_key.into();
    let payload = json!({ "summary": "Disk full", "source": "db1", "severity": "error", "timestamp": "not a time" });
    json!({ "routing_key": key, "event_action": action, "dedup_key": dedup_key, "payload": payload })
}

#[tokio::test]
async fn events_of_pagerduty() {
    const PATH: &str = "/integrations/pagerduty/v2/enqueue";
    let server = Server::new().await;
    let (token, id) = server.integration("pagerduty", json!({ "resolveAfterSeconds": 0 })).await;
    let post = async |body: Value| posted(&server.router, PATH, &body).await;

    let fired = post(event(&token, "trigger", "disk/db1")).await;
    let success = |key: &Value| json!({ "status": "success", "message": "Event processed", "dedup_key": key });
    assert_eq!((fired.status, fired.body), (202, success(&json!("disk/db1"))));
    let opened = server.opened_by(&id).await;
    assert_eq!(opened.len(), 1);
    let (incident, path) = (&opened[0], format!("/incidents/{}", opened[0]["id"].as_str().unwrap()));
    assert_eq!(
        (&incident["title"], &incident["severity"], &incident["ownerId"]),
        (&json!("Disk full"), &json!("high"), &Value::Null)
    );

    let made = post(event(&token, "trigger", Value::Null)).await;
    let key = made.body["dedup_key"].clone();
    assert_eq!((made.status, key.as_str().unwrap().len()), (202, 32));
    assert_eq!(server.opened_by(&id).await.len(), 2, "a key that is made is new");

    assert_eq!(post(event(&token, "acknowledge", "disk/db1")).await.status, 202);
    assert_eq!(server.get(&path).await["acknowledgedBy"], json!(id));
    assert_eq!(post(event(&token, "trigger", "disk/db1")).await.status, 202);
    let signals = server.get(&format!("{path}/signals")).await;
    let signal = json!({
        "dedupKey": "disk/db1", "incidentId": incident["id"], "severity": "high", "summary": "Disk full", "source": "db1",
        "firstAt": "2026-04-07T09:00:00.000Z", "lastAt": "2026-04-07T09:00:00.000Z", "count": 2, "resolvedAt": null,
    });
    assert_eq!(signals, json!({ "signals": [signal], "nextCursor": null }));
    assert_eq!(post(event(&token, "resolve", "disk/db1")).await.status, 202);
    let resolved = server.get(&path).await;
    assert_eq!(resolved["status"], "resolved");
    let updates = server.get(&format!("{path}/updates")).await;
    let updates = updates.as_array().or(updates["updates"].as_array()).unwrap();
    let last = updates.last().unwrap();
    assert_eq!(last["postedBy"], json!({ "id": id, "name": "A pagerduty" }));
    assert!(last["body"].as_str().unwrap().starts_with("Resolved by A pagerduty after 0 min"), "{last}");
    for action in ["resolve", "acknowledge"] {
        assert_eq!(post(event(&token, action, "unknown")).await.status, 202, "accepted and dropped");
    }

    let unknown = event("R0000000000000000000000000000000", "trigger", "k");
    for (body, what) in [
        (json!({}).to_string(), "no fields"),
        ("not JSON".to_owned(), "no JSON"),
        (String::new(), "nothing"),
        (unknown.to_string(), "an unknown key"),
        (event(&token, "explode", "k").to_string(), "an action that there is not"),
        (event(&token, "resolve", Value::Null).to_string(), "no key"),
        (event(&token, "trigger", "k".repeat(256)).to_string(), "a key that is too long"),
    ] {
        let refused = sent(&server.router, "POST", PATH, body).await;
        assert_eq!(
            (refused.status, &refused.body["status"]),
            (400, &json!("invalid event")),
            "{what}: {}",
            refused.body
        );
        assert!(
            refused.body["message"].is_string() && !refused.body["errors"].as_array().unwrap().is_empty(),
            "{what}"
        );
    }
    let large =
        json!({ "routing_key": token, "event_action": "trigger", "payload": { "summary": "x".repeat(600_000) } });
    assert_eq!(post(large).await.status, 413);
    assert_eq!(sent(&server.router, "GET", PATH, Body::empty()).await.status, 405);
    let change = post_change(&server.router).await;
    assert_eq!((change.status, &change.body["status"]), (202, &json!("success")));
    let (other, _) = server.integration("alertmanager", json!({})).await;
    assert_eq!(post(event(&other, "trigger", "k")).await.status, 400, "of another kind");
}

async fn post_change(router: &Router) -> Answer {
    posted(router, "/integrations/pagerduty/v2/change/enqueue", &json!({ "routing_key": "x", "payload": {} })).await
}

fn notification(alerts: &[Value]) -> Value {
    json!({ "version": "4", "groupKey": "{}:{alertname=\"Disk\"}", "status": "firing", "receiver": "dogwatch", "alerts": alerts })
}

fn alert(name: &str, status: &str, severity: &str) -> Value {
    let labels = json!({ "alertname": "Disk", "instance": name, "severity": severity });
    json!({ "status": status, "labels": labels, "annotations": { "summary": format!("{name} is full") },
        "startsAt": "2026-04-07T09:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": format!("f-{name}") })
}

#[tokio::test]
async fn notifications_of_alertmanager() {
    let server = Server::new().await;
    let (token, id) = server
        .integration("alertmanager", json!({ "resolveAfterSeconds": 0, "componentId": server.id("component") }))
        .await;
    let path = format!("/integrations/alertmanager/{token}");
    let post = async |body: Value| posted(&server.router, &path, &body).await.status;
    assert_eq!(post(notification(&[alert("db1", "firing", "warning"), alert("db2", "firing", "critical")])).await, 200);
    let opened = server.opened_by(&id).await;
    assert_eq!(opened.len(), 1, "one incident for each group");
    let incident = format!("/incidents/{}", opened[0]["id"].as_str().unwrap());
    assert_eq!((&opened[0]["title"], &opened[0]["severity"]), (&json!("db1 is full"), &json!("critical")));
    assert_eq!(opened[0]["affectedComponents"][0]["id"], json!(server.id("component")));
    assert_eq!(
        post(notification(&[alert("db1", "resolved", "warning"), alert("db2", "firing", "critical")])).await,
        200
    );
    assert_eq!(server.get(&incident).await["status"], "investigating");
    // More than one commit takes, and more than one answer shows.
    let many: Vec<_> = (0..450).map(|n| alert(&format!("node{n}"), "firing", "warning")).collect();
    assert_eq!(post(notification(&many)).await, 200);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = server.get(&format!("{incident}/signals?limit=100{cursor}")).await;
        seen.extend(answer["signals"].as_array().unwrap().iter().map(|it| it["dedupKey"].as_str().unwrap().to_owned()));
        let Some(next) = answer["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((seen.len(), seen[0].as_str(), seen[451].as_str()), (452, "f-db1", "f-node449"));
    let over: Vec<_> = (0..450).map(|n| alert(&format!("node{n}"), "resolved", "warning")).collect();
    assert_eq!(post(notification(&over)).await, 200);
    assert_eq!(server.get(&incident).await["status"], "investigating", "db2 still fires");
    assert_eq!(post(notification(&[alert("db2", "resolved", "critical")])).await, 200);
    assert_eq!(server.get(&incident).await["status"], "resolved");

    for (body, status) in [("{}", 400), ("", 400), ("[1]", 400), (r#"{"alerts": []}"#, 200)] {
        assert_eq!(sent(&server.router, "POST", &path, body).await.status, status, "{body}");
    }
    let unknown = posted(&server.router, "/integrations/alertmanager/xyz", &notification(&[])).await;
    assert_eq!(unknown.status, 404);
    let large = format!("{{\"alerts\": [], \"x\": \"{}\"}}", "x".repeat(5 << 20));
    assert_eq!(sent(&server.router, "POST", &path, large).await.status, 413);
    let metrics = text(&server.router, "/metrics").await;
    let counted = r#"dogwatch_alerts_total{kind="alertmanager",outcome="opened"} 1"#;
    assert!(metrics.contains(counted) && !metrics.contains(&token), "{metrics}");
}

#[tokio::test]
async fn our_own_json_and_heartbeats() {
    let server = Server::new().await;
    let (token, id) = server.integration("generic", json!({ "severities": { "low": "drop" } })).await;
    let path = format!("/integrations/generic/{token}");
    for (body, status, outcome) in [
        (json!({ "key": "k", "state": "firing", "title": "T" }), 202, "opened"),
        (json!({ "key": "k", "state": "firing", "severity": "critical" }), 202, "counted"),
        (json!({ "key": "l", "state": "firing", "severity": "low" }), 202, "dropped"),
        (json!({ "key": "k", "state": "resolved" }), 202, "over"),
        (json!({ "key": "l", "state": "resolved" }), 202, "nothing"),
    ] {
        let answer = posted(&server.router, &path, &body).await;
        assert_eq!(
            (answer.status, &answer.body),
            (status, &json!({ "status": "accepted", "outcome": outcome })),
            "{body}"
        );
    }
    let refused = posted(&server.router, &path, &json!({ "key": "k" })).await;
    assert_eq!((refused.status, &refused.body["status"]), (400, &json!("refused")));
    assert_eq!(server.opened_by(&id).await[0]["severity"], "critical");

    let (token, id) = server.integration("heartbeat", json!({ "periodSeconds": 60, "graceSeconds": 5 })).await;
    let path = format!("/integrations/heartbeat/{token}");
    for method in ["GET", "HEAD", "POST"] {
        assert_eq!(sent(&server.router, method, &path, Body::empty()).await.status, 200, "{method}");
    }
    assert_eq!(sent(&server.router, "PUT", &path, Body::empty()).await.status, 405);
    let beaten = server.engine.now();
    assert_eq!(server.get(&format!("/integrations/{id}")).await["lastSignalAt"], json!(beaten.to_string()));
    assert_eq!(server.engine.next_deadline().unwrap(), Some(beaten.plus(Duration::from_secs(65))));
    server.engine.run_until(beaten.plus(Duration::from_secs(64))).unwrap();
    assert!(server.opened_by(&id).await.is_empty());
    server.engine.run_until(beaten.plus(Duration::from_secs(65))).unwrap();
    let opened = server.opened_by(&id).await;
    assert_eq!((&opened[0]["title"], &opened[0]["severity"]), (&json!("A heartbeat is silent"), &json!("high")));
    assert_eq!(sent(&server.router, "POST", &path, "anything").await.status, 200);
    server.engine.run_until(server.engine.now().plus(Duration::from_secs(300))).unwrap();
    let states: Vec<_> = server.opened_by(&id).await.iter().map(|it| it["status"].clone()).collect();
    assert_eq!(states, ["investigating"], "it was silent again before the quiet time was over");
    assert_eq!(sent(&server.router, "POST", &path, "").await.status, 200);
    server.call("PATCH", &format!("/integrations/{id}"), json!({ "periodSeconds": 1_000 })).await;
    server.engine.run_until(server.engine.now().plus(Duration::from_secs(300))).unwrap();
    assert_eq!(server.opened_by(&id).await[0]["status"], "resolved");
}

/// Whoever asks too often, and a server that cannot write: a sender is told to try again, in words that it knows.
#[tokio::test]
async fn later_and_never_in_vain() {
    let server = Server::new().await;
    let (pagerduty, _) = server.integration("pagerduty", json!({})).await;
    let (alertmanager, _) = server.integration("alertmanager", json!({})).await;
    let (generic, _) = server.integration("generic", json!({})).await;
    let (heartbeat, _) = server.integration("heartbeat", json!({ "periodSeconds": 60 })).await;
    let requests = [
        ("/integrations/pagerduty/v2/enqueue".to_owned(), event(&pagerduty, "trigger", "k"), 429),
        (format!("/integrations/alertmanager/{alertmanager}"), notification(&[alert("db1", "firing", "low")]), 503),
        (format!("/integrations/generic/{generic}"), json!({ "key": "k", "state": "firing" }), 503),
        (format!("/integrations/heartbeat/{heartbeat}"), json!({}), 503),
    ];

    let mut limits = Limits::default();
    limits.per_key = Some(Rate::new(1, 1));
    let slow = RouterBuilder::new(server.engine.clone()).limits(limits).build();
    for (path, body, status) in &requests {
        assert!(posted(&slow, path, body).await.status < 300, "{path}");
        let often = posted(&slow, path, body).await;
        assert_eq!((often.status, often.header("retry-after").is_empty()), (*status, false), "{path}: {}", often.body);
    }

    let broken = server.engine_with_a_failing_disk();
    for (path, body, _) in &requests {
        let failed = posted(&broken, path, body).await;
        assert_eq!(failed.status, 503, "{path}: {}", failed.body);
    }

    let mut limits = Limits::default();
    limits.bodies = 8 << 10;
    let small = RouterBuilder::new(server.engine.clone()).limits(limits).build();
    let long = json!({ "key": "k", "state": "firing", "description": "x".repeat(20_000) });
    assert_eq!(posted(&small, &format!("/integrations/generic/{generic}"), &long).await.status, 503);
}

/// A router for the while in which there is no engine tells senders to come back, too.
#[tokio::test]
async fn while_there_is_no_engine() {
    let router = dogwatch_http::unavailable();
    for path in ["/integrations/pagerduty/v2/enqueue", "/integrations/alertmanager/x", "/integrations/heartbeat/x"] {
        assert_eq!(posted(&router, path, &json!({})).await.status, 503, "{path}");
    }
}

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:alarms";
const PLACE: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123.pem";
const CONFIRM: &str = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t";

/// A message that SNS would have signed with the key that lies beside the tests of the reader.
fn of_sns(kind: &str, id: &str, topic: &str, text: &str) -> Value {
    let mut message = json!({ "Type": kind, "MessageId": id, "TopicArn": topic, "Message": text, "SignatureVersion": "2",
        "Timestamp": "2026-04-07T10:00:00.000Z", "SigningCertURL": PLACE });
    let mut names = vec!["Message", "MessageId", "Timestamp", "TopicArn", "Type"];
    if kind != "Notification" {
        (message["SubscribeURL"], message["Token"]) = (CONFIRM.into(), "t".into());
        names = vec!["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
    }
    let text: String = names.iter().map(|name| format!("{name}\n{}\n", message[*name].as_str().unwrap())).collect();
    let key = RsaKeyPair::from_pkcs8(include_bytes!("../../intake/tests/sns/key.pk8")).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    message["Signature"] = STANDARD.encode(signature).into();
    message
}

fn alarm(id: &str, topic: &str, old: &str, new: &str) -> Value {
    let text = json!({ "AlarmName": "Queue too long", "AlarmArn": "arn:aws:cloudwatch:eu-west-1:1:alarm:q", "OldStateValue": old,
        "NewStateValue": new, "NewStateReason": "Threshold crossed" });
    of_sns("Notification", id, topic, &text.to_string())
}

#[tokio::test]
async fn alarms_of_cloudwatch() {
    let server = Server::new().await;
    let (token, id) = server.integration("cloudwatch", json!({ "resolveAfterSeconds": 0 })).await;
    let path = format!("/integrations/cloudwatch/{token}");
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let asks = Arc::clone(&asked);
    let fetch = move |url: &str| {
        asks.lock().unwrap().push(url.to_owned());
        Ok(include_bytes!("../../intake/tests/sns/certificate.pem").to_vec())
    };
    let router = RouterBuilder::new(server.engine.clone()).fetch(fetch).build();
    let post = async |body: &Value| posted(&router, &path, body).await.status;
    // Nothing is received before a topic was confirmed, and then only from that.
    assert_eq!(post(&alarm("m0", TOPIC, "OK", "ALARM")).await, 400);
    let others = "arn:aws:sns:eu-west-1:123456789012:others";
    assert_eq!(post(&of_sns("SubscriptionConfirmation", "m1", TOPIC, "subscribe")).await, 200);
    assert_eq!(post(&of_sns("SubscriptionConfirmation", "m1", TOPIC, "subscribe")).await, 200, "SNS may ask again");
    assert_eq!(post(&of_sns("SubscriptionConfirmation", "m2", others, "subscribe")).await, 400);
    assert_eq!(post(&alarm("m3", others, "OK", "ALARM")).await, 400);
    assert!(server.opened_by(&id).await.is_empty());
    for (message, incidents, newest) in [
        (alarm("m4", TOPIC, "OK", "ALARM"), 1, "investigating"),
        (alarm("m5", TOPIC, "OK", "INSUFFICIENT_DATA"), 1, "investigating"),
        (alarm("m6", TOPIC, "ALARM", "OK"), 1, "resolved"),
        // What came before does not act again.
        (alarm("m4", TOPIC, "OK", "ALARM"), 1, "resolved"),
        (alarm("m6", TOPIC, "ALARM", "OK"), 1, "resolved"),
        (alarm("m7", TOPIC, "OK", "ALARM"), 2, "investigating"),
        (alarm("m6", TOPIC, "ALARM", "OK"), 2, "investigating"),
        (of_sns("UnsubscribeConfirmation", "m8", TOPIC, "gone"), 2, "investigating"),
    ] {
        assert_eq!(post(&message).await, 200, "{message}");
        let opened = server.opened_by(&id).await;
        assert_eq!((opened.len(), opened[0]["status"].as_str().unwrap()), (incidents, newest), "{message}");
    }
    let opened = server.opened_by(&id).await;
    assert_eq!((&opened[0]["title"], &opened[0]["severity"]), (&json!("Queue too long"), &json!("high")));
    // A certificate is fetched once, and nothing else but confirmations.
    assert_eq!(*asked.lock().unwrap(), [PLACE, CONFIRM, CONFIRM]);
    let mut forged = alarm("m9", TOPIC, "OK", "ALARM");
    forged["Message"] = "{}".into();
    assert_eq!(post(&forged).await, 400);
    assert_eq!(posted(&router, "/integrations/cloudwatch/unknown", &forged).await.status, 404);
    assert_eq!(post(&json!({})).await, 400);
    // A program that fetches nothing says that it cannot, and SNS tries again.
    assert_eq!(posted(&server.router, &path, &alarm("m9", TOPIC, "OK", "ALARM")).await.status, 503);
    // A new token takes another topic.
    let rotated = server.call("POST", &format!("/integrations/{id}/rotate-token"), Value::Null).await;
    let path = format!("/integrations/cloudwatch/{}", rotated.body["data"]["token"].as_str().unwrap());
    assert_eq!(
        posted(&router, &path, &of_sns("SubscriptionConfirmation", "m2", others, "subscribe")).await.status,
        200
    );
}

/// Bodies of real senders, each sender over an integration of its own: the answer is one that it takes for success, and the incidents go on as it says.
#[tokio::test]
async fn bodies_of_real_senders() {
    let server = Server::new().await;
    for table in [
        include_str!("../../intake/tests/senders/pagerduty.json"),
        include_str!("../../intake/tests/senders/webhooks.json"),
    ] {
        for sender in serde_json::from_str::<Vec<Value>>(table).unwrap() {
            let (route, name) = (sender["route"].as_str().unwrap(), &sender["sender"]);
            let (token, id) = server.integration(route, json!({ "name": name, "resolveAfterSeconds": 0 })).await;
            let path = match route {
                "pagerduty" => "/integrations/pagerduty/v2/enqueue".to_owned(),
                _ => format!("/integrations/{route}/{token}"),
            };
            for step in sender["steps"].as_array().unwrap() {
                let (mut body, what) = (step["body"].clone(), &step["what"]);
                if route == "pagerduty" {
                    body["routing_key"] = token.as_str().into();
                }
                let answer = request(&server.router, "POST", &path, None, body).await;
                let success = sender["success"][0].as_u64().unwrap()..=sender["success"][1].as_u64().unwrap();
                assert!(success.contains(&answer.status.into()), "{name}: {what}: {} {}", answer.status, answer.body);
                if route == "pagerduty" {
                    // Zabbix wants the status; whoever sent no key reads the one that was made.
                    let (key, sent) = (&answer.body["dedup_key"], &step["alerts"][0]["key"]);
                    assert_eq!(answer.body["status"], "success", "{name}: {what}");
                    assert!(key == sent || *sent == "" && key.as_str().unwrap().len() == 32, "{name}: {what}: {key}");
                }
                let state = |it: &Value| {
                    let seen = it["status"] != "resolved" && !it["acknowledgedAt"].is_null();
                    if seen { json!("acknowledged") } else { it["status"].clone() }
                };
                let incidents: Vec<_> = server.opened_by(&id).await.iter().map(state).collect();
                assert_eq!(Value::from(incidents), step["incidents"], "{name}: {what}");
            }
        }
    }
}
