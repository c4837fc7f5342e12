//! Status pages and maintenances through the router: every endpoint, and every code.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::{Answer, Server, request};

const NONE: &str = "01900000-0000-7000-8000-000000000000";

/// The data of an answer with this status and this code.
fn ok(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.body);
    answer.assert_enveloped();
    answer.body["data"].clone()
}

async fn component(server: &Server, name: &str) -> String {
    let made = server.call("POST", "/components", json!({ "name": name })).await;
    ok(&made, 201, "")["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn pages() {
    let server = Server::new().await;
    let (api, web) = (component(&server, "API of all").await, component(&server, "Web").await);
    let by_hand = |id: &str, status: &str| json!([{ "componentId": id, "status": status }]);
    for (body, path) in [
        (json!({ "slug": "acme" }), "/name"),
        (json!({ "name": "Acme" }), "/slug"),
        (json!({ "name": "Acme", "slug": "Acme" }), "/slug"),
        (json!({ "name": "Acme", "slug": "ac" }), "/slug"),
        (json!({ "name": "Acme", "slug": "-acme" }), "/slug"),
        (json!({ "name": "Acme", "slug": "acme", "published": null }), "/published"),
        (json!({ "name": "Acme", "slug": "acme", "componentIds": null }), "/componentIds"),
        (json!({ "name": "Acme", "slug": "acme", "componentIds": ["x"] }), "/componentIds/0"),
        (json!({ "name": "Acme", "slug": "acme", "componentIds": vec![NONE; 201] }), "/componentIds"),
        (json!({ "name": "Acme", "slug": "acme", "overrides": {} }), "/overrides"),
        (json!({ "name": "Acme", "slug": "acme", "overrides": [1] }), "/overrides/0"),
        (json!({ "name": "Acme", "slug": "acme", "overrides": by_hand(&api, "up") }), "/overrides/0/status"),
        (json!({ "name": "Acme", "slug": "acme", "overrides": by_hand("x", "degraded") }), "/overrides/0/componentId"),
        (json!({ "name": "Acme", "slug": "acme", "overrides": by_hand(&api, "degraded") }), "/overrides/0/componentId"),
    ] {
        let refused = server.call("POST", "/status-pages", body).await;
        assert_eq!((refused.status, &refused.body["fields"][0]["path"]), (422, &json!(path)), "{}", refused.body);
    }
    for (body, status, code) in [
        (json!({ "name": "Acme", "slug": "acme", "componentIds": [NONE] }), 400, "invalid_component_id"),
        (json!({ "name": "Acme", "slug": "acme", "componentIds": [api, api] }), 400, "duplicate_component_id"),
        (json!({ "name": "Acme", "slug": "acme", "timezone": "Berlin" }), 400, "invalid_timezone"),
    ] {
        ok(&server.call("POST", "/status-pages", body).await, status, code);
    }
    let new =
        json!({ "name": "Acme", "slug": "acme", "componentIds": [web, api], "overrides": by_hand(&api, "degraded") });
    let made = ok(&server.call("POST", "/status-pages", new.clone()).await, 201, "");
    assert_eq!(
        (
            &made["name"],
            &made["slug"],
            &made["published"],
            &made["timezone"],
            &made["componentIds"],
            &made["overrides"]
        ),
        (&json!("Acme"), &json!("acme"), &json!(false), &json!("UTC"), &json!([web, api]), &by_hand(&api, "degraded"))
    );
    assert_eq!(made["createdAt"], made["updatedAt"]);
    ok(&server.call("POST", "/status-pages", new).await, 409, "name_conflict");
    let path = format!("/status-pages/{}", made["id"].as_str().unwrap());
    assert_eq!(ok(&server.call("GET", &path, Value::Null).await, 200, ""), made);
    assert_eq!(ok(&server.call("GET", "/status-pages", Value::Null).await, 200, ""), json!([made]));
    let edit = json!({ "published": true, "timezone": "Asia/Tokyo", "componentIds": [web], "slug": "acme-2" });
    let edited = ok(&server.call("PATCH", &path, edit).await, 200, "");
    assert_eq!(
        (&edited["published"], &edited["timezone"], &edited["overrides"], &edited["slug"], &edited["name"]),
        (&json!(true), &json!("Asia/Tokyo"), &json!([]), &json!("acme-2"), &json!("Acme"))
    );
    ok(&server.call("PATCH", &path, json!({ "name": null })).await, 422, "");
    ok(&server.call("DELETE", &format!("/components/{web}"), Value::Null).await, 400, "component_in_use");
    ok(&server.call("GET", &format!("/status-pages/{NONE}"), Value::Null).await, 404, "not_found");
    ok(&server.call("PATCH", &format!("/status-pages/{NONE}"), json!({})).await, 404, "not_found");

    // A public update needs the page.
    let open = json!({ "title": "Slow", "severity": "low", "ownerId": server.ada, "componentIds": [web] });
    let incident = ok(&server.call("POST", "/incidents", open).await, 201, "");
    let updates = format!("/incidents/{}/updates", incident["id"].as_str().unwrap());
    let update = json!({ "body": "We know.", "visibility": "public" });
    ok(&server.call("POST", &updates, update.clone()).await, 201, "");
    ok(&server.call("PATCH", &path, json!({ "published": false })).await, 200, "");
    ok(&server.call("POST", &updates, update).await, 400, "no_public_surface");

    // Members look, and change nothing.
    for (method, path, status, code) in [
        ("GET", "/v1/status-pages".to_owned(), 200, ""),
        ("GET", format!("/v1{path}"), 200, ""),
        ("GET", format!("/v1{path}/maintenances"), 200, ""),
        ("DELETE", format!("/v1{path}"), 401, "not_authorized"),
        ("POST", "/v1/status-pages".to_owned(), 401, "not_authorized"),
        ("PATCH", format!("/v1{path}"), 401, "not_authorized"),
    ] {
        ok(&request(&server.router, method, &path, Some(&server.member_key), Value::Null).await, status, code);
    }
    let kinds = |audit: &Value| -> Vec<String> {
        let entries = audit["entries"].as_array().unwrap();
        entries
            .iter()
            .map(|it| format!("{} {}", it["target"]["kind"].as_str().unwrap(), it["action"].as_str().unwrap()))
            .collect()
    };
    let audit = ok(&server.call("GET", "/audit?limit=3", Value::Null).await, 200, "");
    assert_eq!(kinds(&audit), ["statusPage changed", "statusPage changed", "statusPage created"]);
    ok(&server.call("DELETE", &path, Value::Null).await, 200, "");
    ok(&server.call("GET", &path, Value::Null).await, 404, "not_found");
    let again = json!({ "name": "Acme", "slug": "acme-2" });
    ok(&server.call("POST", "/status-pages", again).await, 201, "");
}

#[tokio::test]
async fn maintenances() {
    let server = Server::new().await;
    let (api, web) = (component(&server, "API of all").await, component(&server, "Web").await);
    let page = json!({ "name": "Acme", "slug": "acme", "componentIds": [api] });
    let page = ok(&server.call("POST", "/status-pages", page).await, 201, "")["id"].as_str().unwrap().to_owned();
    let path = format!("/status-pages/{page}/maintenances");
    // The clock of the server stands at nine.
    let with = |components: Value, from: &str, to: &str| json!({ "title": "New database", "componentIds": components, "startsAt": from, "endsAt": to });
    let (ten, noon) = ("2026-04-07T10:00:00Z", "2026-04-07T12:00:00Z");
    for (body, at) in [
        (with(json!([]), ten, noon), "/componentIds"),
        (with(json!([api]), noon, ten), "/endsAt"),
        (with(json!([api]), ten, ten), "/endsAt"),
        (with(json!([api]), ten, "2026-05-07T10:00:00.001Z"), "/endsAt"),
        (with(json!([api]), "2026-04-07T07:00:00Z", "2026-04-07T09:00:00Z"), "/endsAt"),
        (json!({ "componentIds": [api], "startsAt": ten, "endsAt": noon }), "/title"),
        (json!({ "title": "x", "startsAt": ten, "endsAt": noon }), "/componentIds"),
        (json!({ "title": "x", "componentIds": [api], "endsAt": noon }), "/startsAt"),
    ] {
        let refused = server.call("POST", &path, body).await;
        assert_eq!((refused.status, &refused.body["fields"][0]["path"]), (422, &json!(at)), "{}", refused.body);
    }
    ok(&server.call("POST", &path, with(json!([api, api]), ten, noon)).await, 400, "duplicate_component_id");
    ok(&server.call("POST", &path, with(json!([web]), ten, noon)).await, 400, "invalid_component_id");
    let nowhere = format!("/status-pages/{NONE}/maintenances");
    ok(&server.call("POST", &nowhere, with(json!([api]), ten, noon)).await, 404, "not_found");
    ok(&server.call("GET", &nowhere, Value::Null).await, 404, "not_found");

    let made = ok(&server.call("POST", &path, with(json!([api]), ten, noon)).await, 201, "");
    assert_eq!(
        (&made["statusPageId"], &made["description"], &made["startsAt"], &made["endsAt"]),
        (&json!(page), &Value::Null, &json!("2026-04-07T10:00:00.000Z"), &json!("2026-04-07T12:00:00.000Z"))
    );
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    assert_eq!(ok(&server.call("GET", &one, Value::Null).await, 200, ""), made);
    assert_eq!(ok(&server.call("GET", &path, Value::Null).await, 200, ""), json!([made]));
    let edited = ok(
        &server.call("PATCH", &one, json!({ "description": "Faster.", "startsAt": "2026-04-07T08:00:00Z" })).await,
        200,
        "",
    );
    assert_eq!((&edited["description"], &edited["startsAt"]), (&json!("Faster."), &json!("2026-04-07T09:00:00.000Z")));
    let refused = server.call("PATCH", &one, json!({ "startsAt": ten })).await;
    assert_eq!((refused.status, &refused.body["fields"][0]["path"]), (422, &json!("/startsAt")), "it has begun");
    ok(&server.call("PATCH", &one, json!({ "componentIds": [] })).await, 422, "");
    ok(&server.call("PATCH", &one, json!({ "componentIds": [web] })).await, 400, "invalid_component_id");
    ok(&server.call("PATCH", &format!("{path}/{NONE}"), json!({})).await, 404, "not_found");
    assert_eq!(ok(&server.call("DELETE", &one, Value::Null).await, 200, "")["deleted"], json!(true));
    let over = ok(&server.call("GET", &one, Value::Null).await, 200, "");
    assert_eq!(over["endsAt"], "2026-04-07T09:00:00.000Z", "it ended");
    ok(&server.call("PATCH", &one, json!({ "title": "x" })).await, 422, "");
    ok(&server.call("DELETE", &one, Value::Null).await, 200, "");
    ok(&server.call("GET", &one, Value::Null).await, 404, "not_found");
    let refused = request(&server.router, "POST", &format!("/v1{path}"), Some(&server.member_key), Value::Null).await;
    ok(&refused, 401, "not_authorized");
}
