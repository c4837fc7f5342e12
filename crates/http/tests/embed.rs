//! The API inside of another program: nested, with that program's own users and its own metrics.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use dogwatch_http::{Metrics, RouterBuilder, router_as};
use dogwatch_store::Engine;
use dogwatch_store::rules::Actor;
use dogwatch_store::rules::organization::EnsureOrganization;
use dogwatch_store::rules::team::{EnsureMember, RemoveMember};
use dogwatch_store::rules::text::ExternalId;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

fn external(text: &str) -> ExternalId {
    text.parse().unwrap()
}

/// A host with one organization `t1` and its members `ada`, an admin, and `ben`.
fn host() -> (Engine, Router) {
    let engine = Engine::in_memory().unwrap();
    engine.execute(EnsureOrganization::new(external("t1"), "Harbour".parse().unwrap()), &Actor::Operator).unwrap();
    let member = |name: &str| {
        let email = format!("{name}@example.com").parse().unwrap();
        EnsureMember::new(external("t1"), external(name), email, name.parse().unwrap(), "x".parse().unwrap())
    };
    engine.execute(member("ada").admin(), &Actor::Operator).unwrap();
    engine.execute(member("ben"), &Actor::Operator).unwrap();
    let known = engine.clone();
    let api = router_as(engine.clone(), move |request| match request.headers.get("x-user")?.to_str().ok()? {
        "the operator" => Some(Actor::Operator),
        user => known.actor(&external("t1"), &ExternalId::new(user).ok()?).ok(),
    });
    (engine, Router::new().nest("/tools/incidents", api))
}

async fn call(app: &Router, method: &str, path: &str, user: &str, body: Value) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(format!("/tools/incidents{path}"));
    if !user.is_empty() {
        request = request.header("x-user", user);
    }
    if let Some(key) = body.get("once").and_then(Value::as_str) {
        request = request.header("idempotency-key", key);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = request.header("content-type", "application/json").body(body).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let (status, bytes) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_host_says_who_it_is() {
    let (engine, app) = host();
    let ada = engine.actor(&external("t1"), &external("ada")).unwrap();
    let ben = engine.actor(&external("t1"), &external("ben")).unwrap();
    let Actor::Member { user_id: ben, .. } = ben else { panic!("a member") };
    let open = |once: &str| json!({ "title": "Down", "severity": "high", "ownerId": ben.to_string(), "once": once });
    let (status, made) = call(&app, "POST", "/v1/incidents", "ben", open("a")).await;
    assert_eq!((status, &made["data"]["createdBy"]), (StatusCode::CREATED, &json!(ben.to_string())));
    // An idempotency key belongs to its user, also without API keys.
    assert_eq!(call(&app, "POST", "/v1/incidents", "ben", open("a")).await.1["data"], made["data"]);
    assert_eq!(call(&app, "POST", "/v1/incidents", "ada", open("a")).await.1["data"]["sequentialId"], 2);

    for (method, path, user, status, code) in [
        ("GET", "/v1/incidents", "", 401, "missing_authorization_header"),
        ("GET", "/v1/incidents", "nobody", 401, "missing_authorization_header"),
        ("GET", "/v1/team/members", "ben", 401, "not_authorized"),
        ("GET", "/v1/incidents", "the operator", 401, "not_authorized"),
    ] {
        let (got, body) = call(&app, method, path, user, Value::Null).await;
        assert_eq!((got.as_u16(), body["code"].as_str().unwrap()), (status, code), "{path} as {user:?}");
    }
    let (_, team) = call(&app, "GET", "/v1/team/members", "ada", Value::Null).await;
    let mut ids: Vec<_> =
        team["data"]["members"].as_array().unwrap().iter().map(|it| it["externalId"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    assert_eq!(ids, ["ada", "ben"]);

    // Who has been removed is refused, also by what was answered before.
    assert_eq!(call(&app, "GET", "/v1/incidents", "ben", Value::Null).await.0, StatusCode::OK);
    engine.execute(RemoveMember::new(ben), &ada).unwrap();
    assert_eq!(call(&app, "GET", "/v1/incidents", "ben", Value::Null).await.0, StatusCode::UNAUTHORIZED);
}

/// The document says where the API is, and how one is known there.
#[tokio::test]
async fn the_document_follows_the_nesting() {
    let (engine, app) = host();
    let (_, nested) = call(&app, "GET", "/openapi.json", "", Value::Null).await;
    assert_eq!(nested["servers"], json!([{ "url": "/tools/incidents" }]));
    assert_eq!((&nested["security"], &nested["components"]["securitySchemes"]), (&json!([]), &json!({})));

    let own = dogwatch_http::router(engine);
    let response = own.oneshot(Request::get("/openapi.json").body(Body::empty()).unwrap()).await.unwrap();
    let own: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!((&own["servers"], &own["paths"]), (&json!([{ "url": "/" }]), &nested["paths"]));
    assert_eq!(own["security"], json!([{ "apiKey": [] }]));
}

#[tokio::test]
async fn metrics_in_the_registry_of_the_host() {
    let engine = Engine::in_memory().unwrap();
    let metrics = Metrics::new(&engine);
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(metrics.clone()));
    let app = Router::new().nest("/tools/incidents", RouterBuilder::new(engine).metrics(metrics).build());
    call(&app, "GET", "/v1/incidents", "", Value::Null).await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "dogwatch_http_requests_total{method=\"GET\",route=\"/incidents\",status=\"401\"} 1",
        "dogwatch_http_request_seconds_count{route=\"/incidents\"} 1",
        "dogwatch_writable 1",
        "# TYPE dogwatch_pending_timers gauge",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
    }
}
