//! What a request may ask for, and how: bodies, lists, repetition, rates (contract, sections 2, 3, 6 and 12).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use dogwatch_http::{Limits, Rate, RouterBuilder};
use serde_json::{Value, json};
use support::{Answer, Server, request, send};

mod support;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    server.raw("POST", path, headers, body.as_bytes().to_vec()).await
}

fn paths(answer: &Answer) -> Vec<&str> {
    answer.body["fields"].as_array().unwrap().iter().map(|field| field["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn problems_are_cut_and_long_lists_are_one() {
    let server = Server::new().await;
    for (items, problems, truncated) in [(99, 99, false), (100, 100, false), (101, 100, true), (1_000, 100, true)] {
        let ids = json!({ "componentIds": vec![5; items] });
        let answer = server.call("PUT", "/incidents/{incident}/components", ids).await;
        assert_eq!((answer.status, paths(&answer).len()), (422, problems));
        assert_eq!(answer.body.get("truncated"), truncated.then_some(&Value::Bool(true)), "{items}");
    }
    for (method, path, body) in [
        ("PUT", "/incidents/{incident}/components", json!({ "componentIds": vec![5; 1_001] })),
        ("POST", "/oncall/schedules/{schedule}/layers", json!({ "participantIds": vec!["x"; 51] })),
        (
            "POST",
            "/escalation/policies/{policy}/layers",
            json!({ "target": { "type": "users", "userIds": vec![5; 51] } }),
        ),
    ] {
        let answer = server.call(method, path, body).await;
        let of_list = paths(&answer).into_iter().filter(|path| path.contains("Ids")).count();
        assert_eq!((answer.status, of_list), (422, 1), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn ambiguity_is_refused() {
    let server = Server::new().await;
    for (query, path) in [
        ("limit=1&limit=1", "query.limit"),
        ("limit=1&status=resolved&limit=2", "query.limit"),
        ("x=1&x=2", "query.x"),
        ("status=%FF", "query"),
    ] {
        let answer = server.call("GET", &format!("/incidents?{query}"), Value::Null).await;
        assert_eq!((answer.status, paths(&answer)), (422, vec![path]), "{query}");
    }
    for (body, path) in [
        (r#"{"name":"a","name":"a"}"#, "/name"),
        (r#"{"name":"a","other":{"x":1,"x":2}}"#, "/other/x"),
        (r#"{"name":"a""#, ""),
    ] {
        let answer = post(&server, "/v1/components", &[JSON], body).await;
        assert_eq!((answer.status, paths(&answer)), (422, vec![path]), "{body}");
    }
    let deep = format!("{{\"name\":\"deep\",\"ignored\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let answer = post(&server, "/v1/components", &[JSON], &deep).await;
    assert_eq!(answer.body["fields"][0]["problem"], "must be nested at most 127 levels deep");
    let body = r#"{"name":"media"}"#;
    for (headers, status) in [
        (&[JSON, ("content-encoding", "gzip")][..], 415),
        (&[JSON, ("content-encoding", "identity")], 201),
        (&[("content-type", "application/json; charset=utf-16")], 415),
        (&[("content-type", "application/json; charset=\"UTF-8\"")], 409),
        (&[JSON, JSON], 415),
        (&[("content-type", "application/jsonx")], 415),
        (&[], 415),
    ] {
        assert_eq!(post(&server, "/v1/components", headers, body).await.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn strangers_send_little_and_record_nothing() {
    let server = Server::new().await;
    let accept = |token: &str, more: usize| {
        json!({ "token": token, "firstName": "Cy", "lastName": "X", "more": "x".repeat(more) }).to_string()
    };
    let before = server.engine.head();
    let headers = [JSON, ("idempotency-key", "mine")];
    let wrong = post(&server, "/v1/invitations/accept", &headers, &accept("nobody", 0)).await;
    assert_eq!((wrong.status, server.engine.head()), (404, before), "nothing is written");
    let large = post(&server, "/v1/invitations/accept", &headers, &accept("nobody", 20_000)).await;
    assert_eq!((large.status, large.code().as_str()), (413, "payload_too_large"));
    assert_eq!(post(&server, "/v1/components", &[JSON], &accept("x", 20_000)).await.status, 422, "a member may");
    let (first, again) = (
        post(&server, "/v1/invitations/accept", &headers, &accept(&server.token, 0)).await,
        post(&server, "/v1/invitations/accept", &headers, &accept(&server.token, 0)).await,
    );
    assert_eq!((first.status, again.status), (201, 404), "a key without a caller means nothing");
}

#[tokio::test]
async fn what_does_not_fit_may_be_corrected() {
    let server = Server::new().await;
    let headers = [JSON, ("idempotency-key", "one")];
    assert_eq!(post(&server, "/v1/components", &headers, "{}").await.status, 422);
    let made = post(&server, "/v1/components", &headers, r#"{"name":"Corrected"}"#).await;
    assert_eq!((made.status, made.header("idempotency-replayed")), (201, ""));
    let again = post(&server, "/v1/components", &headers, r#"{"name":"Corrected"}"#).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
    let twice = [JSON, ("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(paths(&post(&server, "/v1/components", &twice, "{}").await), ["header.Idempotency-Key"]);
}

#[tokio::test]
async fn a_repeated_answer_has_no_text_that_was_taken_back() {
    let server = Server::new().await;
    let path = server.fill("/v1/incidents/{incident}/updates");
    let headers = [JSON, ("idempotency-key", "news")];
    let body = r#"{"body":"the password is hunter2","visibility":"internal"}"#;
    let first = post(&server, &path, &headers, body).await;
    let again = post(&server, &path, &headers, body).await;
    assert_eq!((first.status, again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(first.body["data"], again.body["data"]);
    let update = first.body["data"]["id"].as_str().unwrap();
    let redacted = post(&server, &format!("{path}/{update}/redact"), &[], "").await;
    assert_eq!(redacted.status, 200);
    let later = post(&server, &path, &headers, body).await;
    assert_eq!((later.status, &later.body["data"]["body"]), (201, &Value::Null));
    let mut export = Vec::new();
    server.engine.checkpoint().unwrap();
    for pair in dogwatch_store::backend::Backend::scan(server.disk(), &[], &[0xFF]) {
        export.extend(pair.unwrap().1);
    }
    assert!(!String::from_utf8_lossy(&export).contains("hunter2"), "no row has it");
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let server = Server::new().await;
    let path = server.fill("/v1/incidents/{incident}");
    for number in 0..230 {
        let update = json!({ "body": format!("update {number}"), "visibility": "internal" });
        let posted = request(&server.router, "POST", &format!("{path}/updates"), Some(&server.key), update).await;
        assert_eq!(posted.status, 201);
    }
    let get = async |path: String| {
        request(&server.router, "GET", &path, Some(&server.key), Value::Null).await.body["data"].clone()
    };
    for (list, field, limit, page) in [
        ("updates", "updates", "", 1_000),
        ("updates", "updates", "limit=100", 100),
        ("audit", "events", "", 20),
        ("audit", "events", "limit=7", 7),
    ] {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let found = get(format!("{path}/{list}?{limit}{cursor}")).await;
            let items = found[field].as_array().unwrap();
            all.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match found["nextCursor"].as_str() {
                Some(next) => {
                    assert_eq!(items.len(), page);
                    cursor = format!("&cursor={next}");
                }
                None => break,
            }
        }
        assert!(all.is_sorted() && all.len() > 230, "{list} {limit}: {}", all.len());
        if list == "audit" {
            let shown = get(path.clone()).await["auditTrail"].as_array().unwrap().clone();
            let shown: Vec<_> = shown.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(shown, all[all.len() - 200..], "the end of it");
        }
    }
    for query in ["limit=0", "limit=101", "cursor=x", "cursor=inc1_00000000000000000000000000000000"] {
        for list in ["updates", "audit"] {
            let answer = server.call("GET", &format!("/incidents/{{incident}}/{list}?{query}"), Value::Null).await;
            assert_eq!(answer.status, 422, "{list} {query}");
        }
    }
}

/// A request from an address.
async fn from(router: &Router, address: &str, key: &str) -> Answer {
    let mut request =
        Request::get("/v1/components").header("authorization", format!("Bearer {key}")).body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address.parse().unwrap(), 5)));
    send(router, request).await
}

#[tokio::test]
async fn rates() {
    let server = Server::new().await;
    let with = |limits| RouterBuilder::new(server.engine.clone()).limits(limits).build();
    let mut limits = Limits::default();
    limits.per_key = Some(Rate::new(1, 3));
    let router = with(limits);
    for status in [200, 200, 200, 429, 429] {
        let answer = from(&router, "10.0.0.1", &server.key).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("retry-after"), if status == 429 { "1" } else { "" });
        answer.assert_enveloped();
    }
    assert_eq!(from(&router, "10.0.0.1", &server.member_key).await.status, 200, "others go on");

    let mut limits = Limits::default();
    limits.per_address = Some(Rate::new(1, 2));
    let router = with(limits);
    for (address, status) in [("10.0.0.1", 200), ("10.0.0.1", 200), ("10.0.0.1", 429), ("10.0.0.2", 200)] {
        assert_eq!(from(&router, address, &server.key).await.status, status, "{address}");
    }

    // Whoever guesses is slowed down; whoever has a key is not.
    let mut limits = Limits::default();
    limits.wrong_keys = Some(Rate::new(1, 3));
    let router = with(limits);
    for (address, key, status) in [
        ("10.0.0.1", "scl_live_guess", 401),
        ("10.0.0.1", &*server.key, 200),
        ("10.0.0.1", "scl_live_guess", 401),
        ("10.0.0.1", "scl_live_guess", 401),
        ("10.0.0.1", "scl_live_guess", 429),
        ("10.0.0.1", &*server.key, 200),
        ("10.0.0.2", "scl_live_guess", 401),
    ] {
        assert_eq!(from(&router, address, key).await.status, status, "{address} {key}");
    }
}

#[tokio::test]
async fn a_reply_that_is_known_is_not_sent_again() {
    let server = Server::new().await;
    let get = async |path: &str, tags: &str| server.raw("GET", path, &[("if-none-match", tags)], Vec::new()).await;
    let list = "/v1/components";
    let first = get(list, "\"other\"").await;
    let tag = first.header("etag").to_owned();
    assert_eq!((first.status, first.header("cache-control")), (200, "no-store"));
    assert!(tag.starts_with("W/\"") && tag.len() == 20, "{tag}");
    for tags in [&*tag, tag.trim_start_matches("W/"), "*", &format!("\"x\", {tag}")] {
        let known = get(list, tags).await;
        assert_eq!((known.status, known.header("etag"), &known.body), (304, &*tag, &Value::Null), "{tags}");
    }
    assert_eq!(server.call("POST", "/components", json!({ "name": "One more" })).await.status, 201);
    assert_eq!(get(list, &tag).await.status, 200, "it has changed");
    let failed = get("/v1/components/x", "*").await;
    assert_eq!((failed.status, failed.header("etag"), failed.header("cache-control")), (422, "", "no-store"));
}

#[tokio::test]
async fn scripts_of_pages_elsewhere() {
    let server = Server::new().await;
    let router =
        RouterBuilder::new(server.engine.clone()).cors(vec!["https://status.example".parse().unwrap()]).build();
    let ask = async |method: &str, origin: &str, more: (&str, &str)| {
        let request = Request::builder().method(method).uri("/v1/components").header("origin", origin);
        let key = format!("Bearer {}", server.key);
        send(&router, request.header("authorization", key).header(more.0, more.1).body(Body::empty()).unwrap()).await
    };
    let preflight = ("access-control-request-method", "POST");
    let allowed = ask("OPTIONS", "https://status.example", preflight).await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, "https://status.example"));
    assert!(allowed.header("access-control-allow-headers").contains("idempotency-key"));
    let other = ask("OPTIONS", "https://elsewhere.example", preflight).await;
    assert_eq!(other.header("access-control-allow-origin"), "");
    let answer = ask("GET", "https://status.example", ("x-y", "z")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "https://status.example"));
    assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
    // Without origins nothing is said.
    let plain =
        server.raw("OPTIONS", "/v1/components", &[("origin", "https://status.example"), preflight], Vec::new()).await;
    assert_eq!((plain.status, plain.header("access-control-allow-origin")), (405, ""));
}

#[tokio::test]
async fn limits_behind_a_proxy_are_those_of_its_clients() {
    let server = Server::new().await;
    let mut limits = Limits::default();
    limits.per_address = Some(Rate::new(1, 1));
    let proxies = "10.0.0.0/8".parse().unwrap();
    let router = RouterBuilder::new(server.engine.clone()).limits(limits).trusted_proxies(proxies).build();
    for (peer, client, status) in [
        ("10.0.0.1", "203.0.113.5", 200),
        ("10.0.0.1", "203.0.113.6", 200),
        ("10.0.0.2", "203.0.113.5", 429),
        ("192.0.2.1", "203.0.113.7", 200),
        ("192.0.2.1", "203.0.113.8", 429),
    ] {
        let request = Request::get("/v1/components").header("authorization", format!("Bearer {}", server.key));
        let mut request = request.header("x-forwarded-for", client).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 5)));
        assert_eq!(send(&router, request).await.status, status, "{client} by {peer}");
    }
}

#[tokio::test]
async fn who_changed_what() {
    let server = Server::new().await;
    let member = request(&server.router, "GET", "/v1/audit", Some(&server.member_key), Value::Null).await;
    assert_eq!((member.status, member.code().as_str()), (401, "not_authorized"));
    let made = server.call("POST", "/components", json!({ "name": "Ledger", "description": "first" })).await;
    let path = format!("/components/{}", made.body["data"]["id"].as_str().unwrap());
    assert_eq!(server.call("PATCH", &path, json!({ "description": "second" })).await.status, 200);
    assert_eq!(server.call("PATCH", &path, json!({ "description": "second" })).await.status, 200, "changes nothing");
    assert_eq!(server.call("DELETE", &path, Value::Null).await.status, 200);
    let key = server.call("POST", "/api-keys", json!({ "name": "CI" })).await.body["data"].clone();
    let audit = server.call("GET", "/audit?limit=4", Value::Null).await.body["data"].clone();
    let told: Vec<_> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let at = |side: &str, field: &str| entry[side][field].as_str().unwrap_or("-").to_owned();
            assert_eq!(entry["actorId"], server.ada, "{entry}");
            let (action, kind) = (entry["action"].as_str().unwrap(), entry["target"]["kind"].as_str().unwrap());
            format!("{action} {kind} {} {}", at("before", "description"), at("after", "description"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "created apiKey - -",
            "deleted component second -",
            "changed component first second",
            "created component - first"
        ]
    );
    assert_eq!(audit["entries"][0]["target"]["id"], key["id"]);
    let all = server.call("GET", "/audit?limit=100", Value::Null).await.body.to_string();
    assert!(!all.contains(key["secret"].as_str().unwrap()) && !all.contains("hash") && !all.contains("token"), "{all}");
    // Incidents use policies and count overrides: that is no change of a setting.
    let before = server.call("GET", "/audit?limit=1", Value::Null).await.body["data"]["entries"].clone();
    let open =
        json!({ "title": "x", "severity": "low", "ownerId": server.ada, "escalationPolicyId": server.id("policy") });
    assert_eq!(server.call("POST", "/incidents", open).await.status, 201);
    assert_eq!(server.call("GET", "/audit?limit=1", Value::Null).await.body["data"]["entries"], before);
    assert_eq!(server.call("GET", "/audit?limit=0", Value::Null).await.status, 422);
    assert_eq!(server.call("GET", "/audit?cursor=x", Value::Null).await.status, 422);
}
