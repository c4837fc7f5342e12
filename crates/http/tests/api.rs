//! Every endpoint and every code, through the router.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use axum::http::StatusCode;
use dogwatch_store::rules::id::WebhookId;
use dogwatch_store::rules::link::MasterKey;
use dogwatch_store::rules::outbox::Message;
use dogwatch_store::rules::webhook::WebhookSecret;
use dogwatch_store::rules::{Actor, Code, Secret};
use serde_json::{Value, json};
use support::{Answer, Server, request};

/// Fills a path: `{inc}` and the like are ids that the server knows, `{none}` one that nobody made.
struct Case(&'static str, &'static str, Value, u16, &'static str);

fn cases(server: &Server) -> Vec<Case> {
    let (ada, ben) = (server.ada.clone(), server.ben.clone());
    let none = "01900000-0000-7000-8000-000000000000";
    let nobody = "user_01900000000070008000000000000000";
    let schedule = server.id("schedule");
    let layer = json!({ "name": "daily", "rotationType": "daily", "rotationLengthDays": 1, "handoffTime": "09:00",
        "effectiveFrom": "2026-04-01T00:00:00Z", "participantIds": [ben] });
    let with = |field: &str, value: Value| {
        let mut layer = layer.clone();
        layer[field] = value;
        layer
    };
    vec![
        Case("GET", "/team/members", Value::Null, 200, ""),
        Case("POST", "/team/members/invite", json!({ "emailAddress": "x@example.com", "role": "org:member" }), 201, ""),
        Case(
            "POST",
            "/team/members/invite",
            json!({ "emailAddress": "X@example.com", "role": "org:member" }),
            409,
            "name_conflict",
        ),
        Case("POST", "/team/members/invite", json!({ "emailAddress": "x" }), 422, ""),
        Case("PATCH", "/team/members/{ben}/role", json!({ "role": "org:member" }), 200, ""),
        Case("PATCH", "/team/members/{ada}/role", json!({ "role": "org:admin" }), 400, "cannot_change_own_role"),
        Case("DELETE", "/team/members/{ada}", Value::Null, 400, "cannot_remove_self"),
        Case("DELETE", "/team/members/{nobody}", Value::Null, 404, "not_found"),
        Case("DELETE", "/team/members/invitations/{invitation}", Value::Null, 200, ""),
        Case(
            "POST",
            "/invitations/accept",
            json!({ "token": "x", "firstName": "X", "lastName": "Y" }),
            404,
            "not_found",
        ),
        Case("GET", "/api-keys", Value::Null, 200, ""),
        Case("GET", "/audit", Value::Null, 200, ""),
        Case("POST", "/api-keys", json!({ "name": "another" }), 201, ""),
        Case("DELETE", "/api-keys/{key}", Value::Null, 200, ""),
        Case("GET", "/components", Value::Null, 200, ""),
        Case("POST", "/components", json!({ "name": "API", "groupLabel": null }), 201, ""),
        Case("POST", "/components", json!({ "name": "API" }), 409, "name_conflict"),
        Case("GET", "/components/{component}", Value::Null, 200, ""),
        Case("PATCH", "/components/{component}", json!({ "description": "what it is" }), 200, ""),
        Case("DELETE", "/components/{component}", Value::Null, 400, "component_in_use"),
        Case("POST", "/incidents", json!({ "title": "x", "severity": "low" }), 400, "owner_required"),
        Case(
            "POST",
            "/incidents",
            json!({ "title": "x", "severity": "low", "ownerId": nobody }),
            400,
            "invalid_target_user",
        ),
        Case(
            "POST",
            "/incidents",
            json!({ "title": "x", "severity": "low", "ownerId": ada, "escalationPolicyId": none }),
            404,
            "not_found",
        ),
        Case(
            "POST",
            "/incidents",
            json!({ "title": "x", "severity": "low", "ownerId": ada, "componentIds": [none, none] }),
            400,
            "duplicate_component_id",
        ),
        Case(
            "POST",
            "/incidents",
            json!({ "title": "x", "severity": "low", "ownerId": ada, "componentIds": [none] }),
            400,
            "invalid_component_id",
        ),
        Case("POST", "/incidents", json!({ "title": "x", "severity": "low", "ownerScheduleId": schedule }), 201, ""),
        Case("POST", "/incidents", json!({ "title": 5, "severity": "bad" }), 422, ""),
        Case("GET", "/incidents", Value::Null, 200, ""),
        Case(
            "GET",
            "/incidents?status=investigating&severity=high&from=2026-04-01&to=2030-01-01&limit=1",
            Value::Null,
            200,
            "",
        ),
        Case("GET", "/incidents?limit=0&cursor=x&from=yesterday", Value::Null, 422, ""),
        Case("GET", "/incidents/{incident}", Value::Null, 200, ""),
        Case("GET", "/incidents/{none}", Value::Null, 404, "not_found"),
        Case("GET", "/incidents/17", Value::Null, 422, ""),
        Case("PATCH", "/incidents/{incident}", json!({ "title": "Checkout is slow", "unknown": true }), 200, ""),
        Case("PATCH", "/incidents/{incident}", json!({ "title": null }), 422, ""),
        Case("PATCH", "/incidents/{resolved}", json!({ "title": "x" }), 400, "incident_resolved"),
        Case(
            "PATCH",
            "/incidents/{incident}/status",
            json!({ "status": "resolved" }),
            400,
            "invalid_status_transition",
        ),
        Case(
            "PATCH",
            "/incidents/{incident}/status",
            json!({ "status": "identified", "resolutionNote": "x" }),
            422,
            "",
        ),
        Case("PATCH", "/incidents/{incident}/status", json!({ "status": "identified" }), 200, ""),
        Case("POST", "/incidents/{incident}/updates", json!({ "body": "news", "visibility": "internal" }), 201, ""),
        Case(
            "POST",
            "/incidents/{incident}/updates",
            json!({ "body": "news", "visibility": "public" }),
            400,
            "no_public_surface",
        ),
        Case("POST", "/incidents/{incident}/updates", json!({ "visibility": "internal" }), 422, ""),
        Case("GET", "/incidents/{incident}/updates", Value::Null, 200, ""),
        Case("GET", "/incidents/{incident}/audit", Value::Null, 200, ""),
        Case("GET", "/incidents/{incident}/pages", Value::Null, 200, ""),
        Case("POST", "/incidents/{incident}/updates/{update}/redact", Value::Null, 200, ""),
        Case("PUT", "/incidents/{incident}/components", json!({ "componentIds": [] }), 200, ""),
        Case("POST", "/incidents/{incident}/acknowledge", Value::Null, 200, ""),
        Case("POST", "/incidents/{incident}/handoff", json!({ "targetUserId": ben }), 200, ""),
        Case("POST", "/incidents/{incident}/handoff", json!({}), 422, ""),
        Case("GET", "/oncall/schedules", Value::Null, 200, ""),
        Case("POST", "/oncall/schedules", json!({ "name": "Day", "timezone": "Europe/Berlin" }), 201, ""),
        Case("POST", "/oncall/schedules", json!({ "name": "Noon", "timezone": "Berlin" }), 400, "invalid_timezone"),
        Case("GET", "/oncall/schedules/{schedule}", Value::Null, 200, ""),
        Case("PATCH", "/oncall/schedules/{schedule}", json!({ "timezone": "Asia/Tokyo" }), 200, ""),
        Case("PUT", "/oncall/schedules/{schedule}", json!({ "name": "Night", "timezone": "UTC" }), 200, ""),
        Case("PUT", "/oncall/schedules/{schedule}", json!({ "name": "Night" }), 422, ""),
        Case("DELETE", "/oncall/schedules/{schedule}", Value::Null, 400, "schedule_in_use"),
        Case("POST", "/oncall/schedules/{schedule}/layers", layer.clone(), 201, ""),
        Case(
            "POST",
            "/oncall/schedules/{schedule}/layers",
            with("participantIds", json!([nobody])),
            409,
            "name_conflict",
        ),
        Case(
            "POST",
            "/oncall/schedules/{schedule}/layers",
            {
                let mut l = with("participantIds", json!([nobody]));
                l["name"] = json!("n");
                l
            },
            400,
            "invalid_participant",
        ),
        Case("POST", "/oncall/schedules/{schedule}/layers", with("rotationLengthDays", json!(2)), 422, ""),
        Case("PATCH", "/oncall/schedules/{schedule}/layers/{layer}", json!({ "handoffTime": "10:00" }), 200, ""),
        Case("PATCH", "/oncall/schedules/{schedule}/layers/{layer}", json!({ "participantIds": null }), 422, ""),
        Case("PUT", "/oncall/schedules/{schedule}/layers/{layer}", with("name", json!("first")), 200, ""),
        Case("PUT", "/oncall/schedules/{schedule}/layers/order", json!({ "layerIds": [] }), 422, ""),
        Case("DELETE", "/oncall/schedules/{schedule}/layers/{layer}", Value::Null, 200, ""),
        Case("GET", "/oncall/schedules/{schedule}/overrides", Value::Null, 200, ""),
        Case(
            "POST",
            "/oncall/schedules/{schedule}/overrides",
            json!({ "userId": ben, "startsAt": "2026-04-07T10:00:00Z", "endsAt": "2026-04-08T10:00:00Z" }),
            201,
            "",
        ),
        Case(
            "POST",
            "/oncall/schedules/{schedule}/overrides",
            json!({ "userId": ben, "startsAt": "2026-04-07T10:00:00Z", "endsAt": "2026-04-07T10:00:00Z" }),
            422,
            "",
        ),
        Case("DELETE", "/oncall/schedules/{schedule}/overrides/{override}", Value::Null, 200, ""),
        Case("GET", "/oncall/schedules/{schedule}/resolve?at=2026-04-07T10:00:00Z", Value::Null, 200, ""),
        Case(
            "GET",
            "/oncall/schedules/{schedule}/shifts?from=2026-04-07T10:00:00Z&to=2026-04-08T10:00:00Z",
            Value::Null,
            200,
            "",
        ),
        Case(
            "GET",
            "/oncall/schedules/{schedule}/shifts?from=2026-04-07T10:00:00Z&to=2028-04-08T10:00:00Z",
            Value::Null,
            422,
            "",
        ),
        Case("GET", "/oncall/now", Value::Null, 200, ""),
        Case("GET", "/escalation/policies", Value::Null, 200, ""),
        Case("POST", "/escalation/policies", json!({ "name": "Day" }), 201, ""),
        Case("GET", "/escalation/policies/{policy}", Value::Null, 200, ""),
        Case("PATCH", "/escalation/policies/{policy}", json!({ "description": "for the night" }), 200, ""),
        Case("DELETE", "/escalation/policies/{policy}", Value::Null, 400, "policy_in_use"),
        Case(
            "POST",
            "/escalation/policies/{policy}/layers",
            json!({ "position": 2, "ackTimeoutMinutes": 5, "target": { "type": "users", "userIds": [ben] } }),
            201,
            "",
        ),
        Case(
            "POST",
            "/escalation/policies/{policy}/layers",
            json!({ "position": 2, "ackTimeoutMinutes": 5, "target": { "type": "schedule", "scheduleId": none } }),
            400,
            "invalid_target",
        ),
        Case(
            "POST",
            "/escalation/policies/{policy}/layers",
            json!({ "position": 0, "ackTimeoutMinutes": 0, "target": { "type": "x" } }),
            422,
            "",
        ),
        Case("PATCH", "/escalation/policies/{policy}/layers/{policyLayer}", json!({ "ackTimeoutMinutes": 7 }), 200, ""),
        Case("PUT", "/escalation/policies/{policy}/layers/order", json!({ "layerIds": [] }), 422, ""),
        Case("GET", "/escalation/policies/{policy}/preview?at=2026-04-07T10:00:00Z", Value::Null, 200, ""),
        Case("DELETE", "/escalation/policies/{policy}/layers/{policyLayer}", Value::Null, 200, ""),
        Case("DELETE", "/team/members/{ben}", Value::Null, 200, ""),
    ]
}

/// All cases, in order, on one server; every route of the document has one that succeeds.
#[tokio::test]
async fn every_endpoint() {
    let server = Server::new().await;
    let document = server.document().await;
    let mut seen = BTreeSet::new();
    for Case(method, path, body, status, code) in cases(&server) {
        let answer = server.call(method, path, body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {path} {body}: {}", answer.body);
        answer.assert_enveloped();
        let (template, operation) = document_entry(&document, method, path);
        assert!(
            operation["responses"][status.to_string()].is_object(),
            "{method} {template} does not document {status}"
        );
        if status < 300 {
            seen.insert(format!("{method} {template}"));
        }
    }
    // The layers' orders need ids that only the replies tell.
    for (policy, id) in [("/escalation/policies/{policy}", "policyLayers"), ("/oncall/schedules/{schedule}", "layers")]
    {
        let shown = server.call("GET", policy, Value::Null).await;
        let ids: Vec<_> =
            shown.body["data"]["layers"].as_array().unwrap().iter().map(|layer| layer["id"].clone()).collect();
        let ordered = server.call("PUT", &format!("{policy}/layers/order"), json!({ "layerIds": ids })).await;
        assert_eq!(ordered.status, 200, "{id}: {}", ordered.body);
        seen.insert(format!("PUT {}", document_entry(&document, "PUT", &format!("{policy}/layers/order")).0));
    }
    let all: BTreeSet<_> = operations(&document).map(|(method, path)| format!("{method} {path}")).collect();
    // These have a test of their own, or need what the cases above have used up.
    let elsewhere: BTreeSet<_> = [
        "DELETE /v1/components/{id}",
        "DELETE /v1/escalation/policies/{id}",
        "DELETE /v1/oncall/schedules/{id}",
        "POST /v1/invitations/accept",
        "GET /v1/contact-methods",
        "POST /v1/contact-methods",
        "PATCH /v1/contact-methods/{id}",
        "DELETE /v1/contact-methods/{id}",
        "POST /v1/contact-methods/{id}/verify",
        "POST /v1/contact-methods/{id}/test",
        "GET /v1/notification-rules",
        "PUT /v1/notification-rules",
        "GET /v1/webhooks",
        "POST /v1/webhooks",
        "GET /v1/webhooks/{id}",
        "PATCH /v1/webhooks/{id}",
        "DELETE /v1/webhooks/{id}",
        "POST /v1/webhooks/{id}/rotate-secret",
        "POST /v1/webhooks/{id}/test",
        "POST /v1/webhooks/{id}/enable",
        "GET /v1/webhooks/{id}/deliveries",
        "GET /v1/status-pages",
        "POST /v1/status-pages",
        "GET /v1/status-pages/{id}",
        "PATCH /v1/status-pages/{id}",
        "DELETE /v1/status-pages/{id}",
        "GET /v1/status-pages/{id}/maintenances",
        "POST /v1/status-pages/{id}/maintenances",
        "GET /v1/status-pages/{id}/maintenances/{maintenanceId}",
        "PATCH /v1/status-pages/{id}/maintenances/{maintenanceId}",
        "DELETE /v1/status-pages/{id}/maintenances/{maintenanceId}",
        "GET /v1/integrations",
        "POST /v1/integrations",
        "GET /v1/integrations/{id}",
        "PATCH /v1/integrations/{id}",
        "DELETE /v1/integrations/{id}",
        "POST /v1/integrations/{id}/rotate-token",
        "GET /v1/incidents/{id}/signals",
    ]
    .map(str::to_owned)
    .into();
    let missing: Vec<_> = all.difference(&seen).filter(|route| !elsewhere.contains(*route)).collect();
    assert!(missing.is_empty(), "no case succeeds: {missing:?}");
}

fn operations(document: &Value) -> impl Iterator<Item = (String, String)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
    })
}

/// The path of the document that a case's path is one of, and its operation.
fn document_entry(document: &Value, method: &str, path: &str) -> (String, Value) {
    let path = path.split('?').next().unwrap();
    let fits = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) =
            (template.split('/').skip(2).collect(), path.split('/').skip(1).collect());
        template.len() == path.len()
            && template
                .iter()
                .zip(&path)
                .all(|(t, p)| t == p || (t.starts_with('{') && *p != "order" && *p != "invitations"))
    };
    let paths = document["paths"].as_object().unwrap();
    let mut found: Vec<_> = paths.keys().filter(|template| fits(template)).collect();
    // A path of fixed words comes before one with parameters.
    found.sort_by_key(|template| template.matches('{').count());
    let template = found.first().unwrap_or_else(|| panic!("{path} is not documented"));
    (template.to_string(), paths[*template][method.to_lowercase()].clone())
}

/// What the table above leaves out: deletions of what nothing uses any more, and an invitation that is accepted.
#[tokio::test]
async fn what_nothing_uses_can_go() {
    let server = Server::new().await;
    for (create, body, path) in [
        ("/components", json!({ "name": "Free" }), "/components"),
        ("/oncall/schedules", json!({ "name": "Free", "timezone": "UTC" }), "/oncall/schedules"),
        ("/escalation/policies", json!({ "name": "Free" }), "/escalation/policies"),
    ] {
        let id = server.call("POST", create, body).await.body["data"]["id"].as_str().unwrap().to_owned();
        let gone = server.call("DELETE", &format!("{path}/{id}"), Value::Null).await;
        assert_eq!((gone.status, &gone.body["data"]), (200, &json!({ "id": id, "deleted": true })));
    }
    let accept = json!({ "token": server.token, "firstName": "Dora", "lastName": "Quay" });
    let joined = request(&server.router, "POST", "/v1/invitations/accept", None, accept).await;
    assert_eq!(joined.status, 201, "{}", joined.body);
    let secret = joined.body["data"]["apiKey"]["secret"].as_str().unwrap();
    let seen = request(&server.router, "GET", "/v1/oncall/now", Some(secret), Value::Null).await;
    assert_eq!(seen.status, 200, "the new member's key works");
    let refused = request(&server.router, "GET", "/v1/team/members", Some(secret), Value::Null).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "not_authorized"));
}

/// A webhook from its beginning to its end. Its secret is shown once, and follows from the key.
#[tokio::test]
async fn webhooks() {
    let mut server = Server::new().await;
    let key = MasterKey::from_bytes([7; 32]);
    server.router = dogwatch_http::RouterBuilder::new(server.engine.clone()).master_key(key.clone()).build();
    let ok = |answer: &Answer, status: u16, code: &str| {
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.body);
        answer.assert_enveloped();
        answer.body["data"].clone()
    };
    let url = "https://hooks.example.com/";
    for (body, path) in [
        (json!({ "name": "x" }), "/url"),
        (json!({ "url": url }), "/name"),
        (json!({ "name": "x", "url": "http://example.com/" }), "/url"),
        (json!({ "name": "x", "url": url, "events": [] }), "/events"),
        (json!({ "name": "x", "url": url, "events": null }), "/events"),
        (json!({ "name": "x", "url": url, "events": ["incident_closed"] }), "/events"),
        (json!({ "name": "x", "url": url, "events": ["*", "page_failed"] }), "/events"),
        (json!({ "name": "x", "url": url, "includeInternal": "yes" }), "/includeInternal"),
    ] {
        let refused = server.call("POST", "/webhooks", body).await;
        assert_eq!((refused.status, &refused.body["fields"][0]["path"]), (422, &json!(path)), "{}", refused.body);
    }
    let new = json!({ "name": "All", "url": url });
    let headers = [("idempotency-key", "once"), ("content-type", "application/json")];
    let made = ok(&server.raw("POST", "/v1/webhooks", &headers, new.to_string().into_bytes()).await, 201, "");
    let id: WebhookId = made["id"].as_str().unwrap().parse().unwrap();
    let secret = |generation| json!(WebhookSecret::of(&key, id, generation).to_text().reveal());
    assert_eq!(made["secret"], secret(0));
    assert_eq!(
        (&made["events"], &made["includeInternal"], &made["disabledAt"]),
        (&json!(["*"]), &json!(false), &Value::Null)
    );
    let again = ok(&server.raw("POST", "/v1/webhooks", &headers, new.to_string().into_bytes()).await, 201, "");
    assert_eq!((&again["id"], &again["secret"]), (&made["id"], &Value::Null), "it is shown once");
    let path = format!("/webhooks/{id}");
    let seen = ok(&server.call("GET", &path, Value::Null).await, 200, "");
    assert!(seen.get("secret").is_none() && seen.get("generation").is_none(), "{seen}");
    assert_eq!(ok(&server.call("GET", "/webhooks", Value::Null).await, 200, ""), json!([seen]));
    let edit = json!({ "name": "Some", "events": ["incident_created"], "includeInternal": true });
    let edited = ok(&server.call("PATCH", &path, edit).await, 200, "");
    assert_eq!(
        (&edited["name"], &edited["events"], &edited["url"]),
        (&json!("Some"), &json!(["incident_created"]), &json!(url))
    );
    let rotated = ok(&server.call("POST", &format!("{path}/rotate-secret"), Value::Null).await, 200, "");
    assert_eq!(rotated["secret"], secret(1));
    ok(&server.call("POST", &format!("{path}/test"), Value::Null).await, 200, "");
    let often = server.call("POST", &format!("{path}/test"), Value::Null).await;
    ok(&often, 429, "too_many_requests");
    assert_eq!(ok(&server.call("POST", &format!("{path}/enable"), Value::Null).await, 200, ""), edited);
    let open = json!({ "title": "Checkout is down", "severity": "high", "ownerId": server.ada });
    let incident = ok(&server.call("POST", "/incidents", open).await, 201, "");
    let deliveries = ok(&server.call("GET", &format!("{path}/deliveries"), Value::Null).await, 200, "");
    assert_eq!(deliveries.as_array().unwrap().len(), 2);
    let (event, test) = (&deliveries[0], &deliveries[1]);
    assert_eq!(
        (&event["type"], &event["incidentId"], &event["state"]),
        (&json!("event"), &incident["id"], &json!("waiting"))
    );
    assert_eq!((&test["type"], &test["eventId"], &test["attempts"]), (&json!("test"), &Value::Null, &json!(0)));
    for (method, path) in [("GET", path.clone()), ("POST", format!("{path}/enable")), ("DELETE", path.clone())] {
        let refused =
            request(&server.router, method, &format!("/v1{path}"), Some(&server.member_key), Value::Null).await;
        ok(&refused, 401, "not_authorized");
    }
    ok(&server.call("DELETE", &path, Value::Null).await, 200, "");
    ok(&server.call("GET", &path, Value::Null).await, 404, "not_found");
}

/// A contact method from its beginning to its end, and the rules that name it.
#[tokio::test]
async fn contact_methods() {
    let server = Server::new().await;
    let ok = |answer: &Answer, status: u16, code: &str| {
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.body);
        answer.assert_enveloped();
        answer.body["data"].clone()
    };
    let listed = ok(&server.call("GET", "/contact-methods", Value::Null).await, 200, "");
    let built_in = listed[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (&listed[0]["kind"], &listed[0]["name"], &listed[0]["verified"]),
        (&json!("email"), &json!("E-mail"), &json!(true))
    );
    for (body, path) in [
        (json!({ "name": "x", "kind": "webhook", "address": "http://example.com/x" }), "/address"),
        (json!({ "name": "x", "kind": "webhook", "address": "https://a b" }), "/address"),
        (json!({ "name": "x", "kind": "ntfy", "address": "https://ntfy.sh" }), "/address"),
        (json!({ "name": "x", "kind": "ntfy", "address": "https://ntfy.sh/x?auth=y" }), "/address"),
        (json!({ "name": "x", "kind": "email", "address": "nobody" }), "/address"),
        (json!({ "name": "x", "kind": "pigeon", "address": "roof" }), "/kind"),
        (json!({ "name": "x", "kind": "email" }), "/address"),
    ] {
        let refused = server.call("POST", "/contact-methods", body).await;
        assert_eq!((refused.status, &refused.body["fields"][0]["path"]), (422, &json!(path)), "{}", refused.body);
    }
    let new = json!({ "name": "Phone", "kind": "ntfy", "address": "https://ntfy.example.com/ada" });
    let added = ok(&server.call("POST", "/contact-methods", new).await, 201, "");
    let id = added["id"].as_str().unwrap().to_owned();
    assert_eq!((&added["verified"], &added["address"]), (&json!(false), &json!("https://ntfy.example.com/ada")));
    let path = format!("/contact-methods/{id}");
    let rules = |id: &str, delay: i64| json!({ "rules": [{ "contactMethodId": id, "delayMinutes": delay }] });
    ok(&server.call("PUT", "/notification-rules", rules(&id, 5)).await, 400, "invalid_contact_method");
    ok(&server.call("POST", &format!("{path}/test"), Value::Null).await, 400, "invalid_contact_method");

    // The code travels in the outbox.
    let claimed = server.engine.claim(100, std::time::Duration::from_secs(60)).unwrap();
    let code = claimed.iter().find_map(|one| match &one.message {
        Message::Code { code } => Some(code.as_ref().unwrap().reveal().to_owned()),
        _ => None,
    });
    let code = code.unwrap();
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()));
    let wrong = if code == "000000" { "000001" } else { "000000" };
    ok(&server.call("POST", &format!("{path}/verify"), json!({ "code": wrong })).await, 400, "invalid_code");
    let verified = ok(&server.call("POST", &format!("{path}/verify"), json!({ "code": code })).await, 200, "");
    assert_eq!(verified["verified"], true);

    ok(&server.call("POST", &format!("{path}/test"), Value::Null).await, 200, "");
    let none = "/contact-methods/01900000-0000-7000-8000-000000000000/test";
    ok(&server.call("POST", none, Value::Null).await, 404, "not_found");
    let verify = format!("/contact-methods/{built_in}/verify");
    ok(&server.call("POST", &verify, json!({ "code": "x" })).await, 200, "");
    let again = server.call("POST", &format!("{path}/test"), Value::Null).await;
    ok(&again, 429, "too_many_requests");
    assert_eq!(again.header("retry-after"), "60");
    ok(&server.call("POST", &format!("/contact-methods/{built_in}/test"), Value::Null).await, 200, "");
    let renamed = ok(&server.call("PATCH", &path, json!({ "name": "Pager" })).await, 200, "");
    assert_eq!(renamed["name"], "Pager");

    assert_eq!(ok(&server.call("GET", "/notification-rules", Value::Null).await, 200, ""), json!({ "rules": [] }));
    let set = ok(&server.call("PUT", "/notification-rules", rules(&id, 5)).await, 200, "");
    assert_eq!(
        (&set, &ok(&server.call("GET", "/notification-rules", Value::Null).await, 200, "")),
        (&rules(&id, 5), &set)
    );
    for (body, path) in [
        (rules(&id, 1_441), "/rules/0/delayMinutes"),
        (rules("x", 0), "/rules/0/contactMethodId"),
        (json!({ "rules": [1] }), "/rules/0"),
        (json!({ "rules": "x" }), "/rules"),
        (json!({}), "/rules"),
        (json!({ "rules": vec![set["rules"][0].clone(); 2] }), "/rules"),
        (json!({ "rules": vec![set["rules"][0].clone(); 21] }), "/rules"),
    ] {
        let refused = server.call("PUT", "/notification-rules", body).await;
        assert_eq!((refused.status, &refused.body["fields"][0]["path"]), (422, &json!(path)), "{}", refused.body);
    }

    ok(
        &server.call("DELETE", &format!("/contact-methods/{built_in}"), Value::Null).await,
        400,
        "invalid_contact_method",
    );
    ok(&server.call("DELETE", &path, Value::Null).await, 200, "");
    ok(&server.call("DELETE", &path, Value::Null).await, 404, "not_found");
    assert_eq!(ok(&server.call("GET", "/notification-rules", Value::Null).await, 200, ""), json!({ "rules": [] }));
    // Of others only an admin hears.
    let of_ben = server.fill("/contact-methods?userId={ben}");
    assert_eq!(ok(&server.call("GET", &of_ben, Value::Null).await, 200, "").as_array().unwrap().len(), 1);
    let of_ada = server.fill("/v1/contact-methods?userId={ada}");
    ok(&request(&server.router, "GET", &of_ada, Some(&server.member_key), Value::Null).await, 401, "not_authorized");
}

/// Each code of core's table has a case somewhere: here those that the endpoints' cases do not have.
#[tokio::test]
async fn every_code() {
    let server = Server::new().await;
    let mut seen: BTreeSet<String> = cases(&server).iter().map(|case| case.4.to_owned()).collect();
    let mut note = |answer: &Answer, status: u16, code: &str| {
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.body);
        answer.assert_enveloped();
        seen.insert(code.to_owned());
    };
    let nothing = Value::Null;
    let anonymous = request(&server.router, "GET", "/v1/incidents", None, nothing.clone()).await;
    note(&anonymous, 401, "missing_authorization_header");
    let stranger = request(&server.router, "GET", "/v1/incidents", Some("scl_live_nobody"), nothing.clone()).await;
    note(&stranger, 401, "invalid_api_key");
    let member = request(&server.router, "GET", "/v1/team/members", Some(&server.member_key), nothing.clone()).await;
    note(&member, 401, "not_authorized");
    // The role comes before the schema, the route and the method before everything.
    let schema = request(&server.router, "POST", "/v1/team/members/invite", Some(&server.member_key), json!({})).await;
    note(&schema, 401, "not_authorized");
    let first = request(&server.router, "PUT", "/v1/team/members/invite", None, json!({})).await;
    assert_eq!(first.status, 405);
    let method = server.call("PUT", "/incidents", nothing.clone()).await;
    note(&method, 405, "method_not_allowed");
    assert_eq!(method.header("allow"), "POST, GET");
    let media = server.raw("POST", "/v1/incidents", &[("content-type", "text/plain")], b"x".to_vec()).await;
    note(&media, 415, "unsupported_media_type");
    let large =
        server.raw("POST", "/v1/incidents", &[("content-type", "application/json")], vec![b' '; (1 << 20) + 1]).await;
    note(&large, 413, "payload_too_large");
    let json = [("content-type", "application/json"), ("idempotency-key", "one")];
    let first = server.raw("POST", "/v1/components", &json, br#"{"name":"Once"}"#.to_vec()).await;
    let again = server.raw("POST", "/v1/components", &json, br#"{"name":"Once"}"#.to_vec()).await;
    assert_eq!((first.status, &first.body["data"]), (201, &again.body["data"]));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_ne!(first.body["requestId"], again.body["requestId"]);
    let other = server.raw("POST", "/v1/components", &json, br#"{"name":"Other"}"#.to_vec()).await;
    note(&other, 409, "idempotency_conflict");
    let bad = server.raw("POST", "/v1/components", &[json[0], ("idempotency-key", "two words")], b"{}".to_vec()).await;
    assert_eq!(bad.status, 422);
    let update = server.call("GET", "/incidents/{incident}/updates", nothing.clone()).await;
    let update = update.body["data"]["updates"][0]["id"].as_str().unwrap().to_owned();
    let path = server.fill(&format!("/v1/incidents/{{incident}}/updates/{update}/redact"));
    let redact = request(&server.router, "POST", &path, Some(&server.member_key), nothing.clone()).await;
    note(&redact, 403, "redaction_not_permitted");
    for n in 0..21 {
        let layer = json!({ "position": n + 10, "ackTimeoutMinutes": 5, "target": { "type": "users", "userIds": [server.ben] } });
        let added = server.call("POST", "/escalation/policies/{policy}/layers", layer).await;
        if added.status != 201 {
            note(&added, 400, "limit_reached");
            break;
        }
    }
    // A queue without room, a record that is damaged, a disk that fails.
    let component = json!({ "name": "One more" });
    let full = Server::with(|builder| builder.queue_capacity(0)).await;
    let refused = request(&full.router, "POST", "/v1/components", Some(&full.key), component.clone()).await;
    note(&refused, 503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    let damaged = server.engine_with_damage();
    let answer =
        request(&damaged, "GET", &server.fill("/v1/incidents/{incident}"), Some(&server.key), nothing.clone()).await;
    note(&answer, 500, "internal_error");
    assert!(!answer.body.to_string().contains("corrupt"), "what is inside stays inside: {}", answer.body);
    let failing = server.engine_with_a_failing_disk();
    for (status, code) in [(500, "outcome_unknown"), (503, "unavailable"), (503, "unavailable")] {
        let answer = request(&failing, "POST", "/v1/components", Some(&server.key), component.clone()).await;
        note(&answer, status, code);
        assert_eq!(answer.header("retry-after"), if status == 503 { "1" } else { "" });
    }
    let (ready, _) = support::status_and_text(&failing, "/readyz").await;
    assert_eq!(ready, StatusCode::SERVICE_UNAVAILABLE);
    // These are of the server and its limits: `tests/bounds.rs` here, and `tests/hostile.rs` of the program.
    for code in ["malformed_request", "request_timeout", "uri_too_long", "headers_too_large", "too_many_requests"] {
        assert!(seen.insert(code.to_owned()));
    }
    // And these of contact methods.
    for code in ["invalid_contact_method", "invalid_code"] {
        assert!(seen.insert(code.to_owned()));
    }
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !seen.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

#[tokio::test]
async fn bodies_that_are_no_objects() {
    let server = Server::new().await;
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 8] =
        [b"[]", b"5", b"{", b"\xFF\xFE", deep.as_bytes(), b"{\"title\":\"\xC3\x28\"}", b"null", b"\"x\""];
    for body in bodies {
        let answer = server.raw("POST", "/v1/incidents", &[("content-type", "application/json")], body.to_vec()).await;
        assert_eq!(answer.status, 422, "{:?}", body.get(..20));
        answer.assert_enveloped();
        assert_eq!(answer.body["fields"][0]["path"], "");
    }
}

#[tokio::test]
async fn secrets_never_come_back() {
    let server = Server::new().await;
    let headers = [("content-type", "application/json"), ("idempotency-key", "a key")];
    let headers = [headers[0], ("idempotency-key", "a-key")];
    let first = server.raw("POST", "/v1/api-keys", &headers, br#"{"name":"CI"}"#.to_vec()).await;
    assert!(first.body["data"]["secret"].as_str().unwrap().starts_with("scl_live_"));
    let again = server.raw("POST", "/v1/api-keys", &headers, br#"{"name":"CI"}"#.to_vec()).await;
    assert_eq!((again.status, &again.body["data"]["secret"]), (201, &Value::Null), "a secret is shown once");
    for path in ["/api-keys", "/team/members", "/incidents/{incident}"] {
        let text = server.call("GET", path, Value::Null).await.body.to_string();
        assert!(!text.contains("scl_"), "{path}: {text}");
    }
    let invited = server
        .call("POST", "/team/members/invite", json!({ "emailAddress": "y@example.com", "role": "org:admin" }))
        .await;
    assert!(!invited.body.to_string().contains("token"));
    for path in ["/metrics", "/openapi.json"] {
        let text = support::text(&server.router, path).await;
        assert!(!text.contains(&server.key), "{path}");
    }
}

/// Another organization's ids come to exactly what ids come to that nobody made.
#[tokio::test]
async fn two_organizations() {
    let ours = Server::new().await;
    let theirs = ours.another().await;
    for Case(method, path, body, _, _) in cases(&ours) {
        if !path.contains('{') {
            continue;
        }
        let (with_theirs, with_nobodys) = (theirs.fill(path), ours.fill_with_nobodys(path));
        let seen = request(&ours.router, method, &format!("/v1{with_theirs}"), Some(&ours.key), body.clone()).await;
        let expected =
            request(&ours.router, method, &format!("/v1{with_nobodys}"), Some(&ours.key), body.clone()).await;
        let shown = |answer: &Answer| {
            (answer.status, answer.code(), answer.body["message"].clone(), answer.body["fields"].clone())
        };
        assert_eq!(shown(&seen), shown(&expected), "{method} {path}");
        assert!(seen.status >= 400, "{method} {path}");
    }
}

/// A reply that is given again is never an old one, nor another organization's.
#[tokio::test]
async fn replies_given_again_are_fresh() {
    let ours = Server::new().await;
    let theirs = ours.another().await;
    let list = "/incidents?status=investigating";
    for server in [&ours, &theirs] {
        let (first, again) = (server.call("GET", list, Value::Null).await, server.call("GET", list, Value::Null).await);
        assert_eq!(first.body["data"], again.body["data"]);
        assert_ne!(first.body["requestId"], again.body["requestId"]);
        assert_eq!(first.body["data"]["incidents"][0]["id"], server.fill("{incident}").as_str());
        again.assert_enveloped();
    }
    let changes = [
        ("PATCH", "/incidents/{incident}", json!({ "title": "Basket is down" })),
        ("PATCH", "/components/{component}", json!({ "name": "Basket" })),
        ("POST", "/incidents/{incident}/acknowledge", Value::Null),
        ("PATCH", "/incidents/{incident}/status", json!({ "status": "identified" })),
    ];
    let mut last = ours.call("GET", list, Value::Null).await.body["data"].clone();
    for (method, path, body) in changes {
        assert_eq!(ours.call(method, path, body).await.status, 200, "{path}");
        let now = ours.call("GET", list, Value::Null).await.body["data"].clone();
        assert_ne!(now, last, "{method} {path}");
        last = now;
    }
    let asks = || request(&ours.router, "GET", "/v1/incidents", Some(&ours.member_key), Value::Null);
    assert_eq!(asks().await.status, 200);
    let cleo = ours.engine.authenticate(&Secret::new(ours.member_key.as_str())).unwrap();
    let Actor::Member { user_id: user, .. } = cleo else { panic!("{cleo:?}") };
    assert_eq!(ours.call("DELETE", &format!("/team/members/{user}"), Value::Null).await.status, 200);
    assert_eq!(asks().await.code(), "invalid_api_key");
}

#[tokio::test]
async fn beside_the_api() {
    let server = Server::new().await;
    for (path, status, content) in [
        ("/healthz", 200, "alive"),
        ("/readyz", 200, "ready"),
        ("/metrics", 200, "dogwatch_writable 1\n"),
        ("/openapi.json", 200, "\"openapi\":\"3.1.0\""),
    ] {
        let (got, text) = support::status_and_text(&server.router, path).await;
        assert_eq!(got, StatusCode::from_u16(status).unwrap());
        assert!(text.contains(content), "{path}: {text}");
    }
    let unknown = request(&server.router, "GET", "/v2/incidents", Some(&server.key), Value::Null).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
}

/// Every offending field is named, whatever else is wrong: those of the path and of the body, those that are wrong by
/// themselves, and those that do not go together. All of it comes before anything is looked up.
#[tokio::test]
async fn every_offending_field_is_named() {
    let server = Server::new().await;
    let layers = "/oncall/schedules/{none}/layers";
    let layer = "/oncall/schedules/{none}/layers/{none}";
    let weekly = json!({ "name": "x", "rotationType": "weekly", "rotationLengthDays": 8, "handoffTime": "25:00",
        "effectiveFrom": "2026-04-02T00:00:00Z", "effectiveUntil": "2026-04-01T00:00:00Z", "participantIds": [] });
    let with = |field: &str, value: Value| {
        let mut body = weekly.clone();
        body[field] = value;
        body
    };
    let of_weekly = "/handoffTime /rotationLengthDays /effectiveUntil /participantIds";
    let updates = "/incidents/{none}/updates";
    let policy = "/escalation/policies/{none}/layers";
    let one = json!({ "position": 0, "ackTimeoutMinutes": 5 });
    let target = |target: Value| json!({ "position": 1, "ackTimeoutMinutes": 5, "target": target });
    for (method, path, body, expected) in [
        ("POST", layers, weekly.clone(), of_weekly),
        ("PUT", layer, weekly.clone(), of_weekly),
        ("PATCH", layer, weekly.clone(), of_weekly),
        ("POST", layers, with("name", json!("")), &format!("/name {of_weekly}")),
        ("POST", "/oncall/schedules/x/layers", weekly.clone(), &format!("path.id {of_weekly}")),
        ("PATCH", "/oncall/schedules/{none}/layers/x", weekly.clone(), &format!("path.layerId {of_weekly}")),
        (
            "POST",
            layers,
            with("rotationLengthDays", json!(400)),
            "/rotationLengthDays /handoffTime /effectiveUntil /participantIds",
        ),
        ("PATCH", layer, json!({ "rotationLengthDays": 0 }), "/rotationLengthDays"),
        (
            "PUT",
            layer,
            with("participantIds", json!(["x"])),
            "/handoffTime /participantIds/0 /rotationLengthDays /effectiveUntil",
        ),
        (
            "POST",
            "/oncall/schedules/x/overrides",
            json!({ "userId": "x", "startsAt": "2026-04-02T00:00:00Z", "endsAt": "2026-04-01T00:00:00Z" }),
            "path.id /userId /endsAt",
        ),
        (
            "GET",
            "/oncall/schedules/x/shifts?from=2026-04-02T00:00:00Z&to=2026-04-01T00:00:00Z",
            Value::Null,
            "path.id query.to",
        ),
        (
            "PATCH",
            "/incidents/x/status",
            json!({ "status": "identified", "resolutionNote": "x" }),
            "path.id /resolutionNote",
        ),
        ("POST", updates, json!({}), "/visibility /body"),
        ("POST", updates, json!({ "visibility": "nobody" }), "/visibility /body"),
        ("POST", updates, json!({ "statusChange": "x", "visibility": "public" }), "/statusChange /body"),
        ("POST", "/incidents/x/updates", json!({ "visibility": "public" }), "path.id /body"),
        ("POST", policy, one, "/position /target"),
        ("POST", policy, target(Value::Null), "/target"),
        ("POST", policy, target(json!("users")), "/target"),
        ("POST", policy, target(json!({})), "/target/type"),
        (
            "POST",
            policy,
            target(json!({ "type": "users", "userIds": ["x", server.ben, "y"] })),
            "/target/userIds/0 /target/userIds/2",
        ),
        ("PATCH", "/escalation/policies/{none}/layers/{none}", json!({ "target": null }), "/target"),
        ("PUT", "/oncall/schedules/{schedule}/layers/order", json!({ "layerIds": [] }), "/layerIds"),
    ] {
        let answer = server.call(method, path, body.clone()).await;
        assert_eq!(answer.status, 422, "{method} {path} {body}: {}", answer.body);
        let fields = answer.body["fields"].as_array().unwrap();
        let paths: Vec<_> = fields.iter().map(|field| field["path"].as_str().unwrap()).collect();
        assert_eq!(paths.join(" "), expected, "{method} {path} {body}");
    }
    // What only the stored layer tells is told once it has been looked up.
    let unknown = server.call("PATCH", layer, json!({ "rotationType": "weekly" })).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
}

/// Once the reply said `US/Eastern`, and GET still said `America/New_York`.
#[tokio::test]
async fn a_zone_is_answered_as_it_is_stored() {
    let server = Server::new().await;
    for zone in ["America/New_York", "US/Eastern"] {
        let edited = server.call("PATCH", "/oncall/schedules/{schedule}", json!({ "timezone": zone })).await;
        let shown = server.call("GET", "/oncall/schedules/{schedule}", Value::Null).await;
        assert_eq!((&edited.body["data"]["timezone"], &shown.body["data"]["timezone"]), (&json!(zone), &json!(zone)));
    }
}
