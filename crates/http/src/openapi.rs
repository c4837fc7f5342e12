//! The OpenAPI 3.1 document, served at `/openapi.json`. It is made from the table of routes: each route itself says what it
//! reads, what it replies, and with which codes it refuses.

use std::collections::BTreeMap;

use axum::http::Method;
use dogwatch_store::rules::Code;
use dogwatch_store::rules::caller::CallerKind;
use serde_json::{Map, Value, json};

use crate::route::Route;

/// The codes that every route may answer.
const SHARED: &[Code] = &[
    Code::Validation,
    Code::MalformedRequest,
    Code::UriTooLong,
    Code::HeadersTooLarge,
    Code::TooManyRequests,
    Code::Internal,
    Code::Overloaded,
    Code::Unavailable,
    Code::OutcomeUnknown,
];

/// The document, but for the path under which the router is nested.
pub(crate) struct Document {
    before: String,
    after: String,
}

/// What stands in the document for the path; no text of it holds this.
const PLACE: &str = "{server}";

impl Document {
    /// The document for a table of routes, with or without API keys.
    pub(crate) fn new(table: &[Route], keys: bool) -> Self {
        let whole = document(table, keys).to_string();
        let (before, after) = whole.split_once(PLACE).unwrap_or((&whole, ""));
        Self { before: before.to_owned(), after: after.to_owned() }
    }

    /// The document of a router that is nested at a path: empty when it is not.
    pub(crate) fn at(&self, path: &str) -> String {
        let path = if path.is_empty() { "/" } else { path };
        // A path has no character that JSON escapes, but for a backslash or a quotation mark that a lenient client sends.
        [&self.before, path.replace(['"', '\\'], "").as_str(), &self.after].concat()
    }
}

fn document(table: &[Route], keys: bool) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut schemas = Map::new();
    schemas.insert("Error".to_owned(), error_schema());
    for route in table {
        for (name, schema) in &route.reply.1 {
            schemas.insert(name.clone(), serde_json::to_value(schema).unwrap_or_default());
        }
        let path = paths.entry(format!("/v1{}", route.path)).or_default();
        path.insert(route.method.as_str().to_lowercase(), operation(route));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "dogwatch",
            "description": "Incidents, on-call schedules, escalation policies and the team of an organization.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": PLACE }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": if keys { json!({ "apiKey": { "type": "http", "scheme": "bearer" } }) } else { json!({}) },
        },
        "security": if keys { json!([{ "apiKey": [] }]) } else { json!([]) },
    })
}

fn operation(route: &Route) -> Value {
    let parameter = |place: &'static str| move |(name, kind): &(&'static str, crate::input::Kind)| json!({ "name": name, "in": place, "required": place == "path", "schema": kind.schema() });
    let mut parameters: Vec<_> = route.described.path.iter().map(parameter("path")).collect();
    parameters.extend(route.described.query.iter().map(parameter("query")));
    if route.method == Method::POST {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" });
        parameters.push(json!({ "name": "Idempotency-Key", "in": "header", "required": false, "schema": schema }));
    }
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses(route),
    });
    if let Some(operation) = operation.as_object_mut() {
        if !route.described.body.is_empty() {
            let (properties, required) = (&route.described.body, &route.described.required);
            let schema = json!({ "type": "object", "properties": properties, "required": required });
            let body =
                json!({ "required": !required.is_empty(), "content": { "application/json": { "schema": schema } } });
            operation.insert("requestBody".to_owned(), body);
        }
        if route.caller == CallerKind::Anybody {
            operation.insert("security".to_owned(), json!([]));
        }
    }
    operation
}

fn responses(route: &Route) -> Value {
    let reply = serde_json::to_value(&route.reply.0).unwrap_or_default();
    let envelope = json!({
        "type": "object",
        "required": ["data", "requestId"],
        "properties": { "data": reply, "requestId": { "type": "string", "format": "uuid" } },
    });
    let success = json!({ "description": "success", "content": { "application/json": { "schema": envelope } } });
    let mut responses = Map::from_iter([(route.status.to_string(), success)]);
    let mut codes: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in route.codes.iter().chain(SHARED).copied().chain(by_shape(route)) {
        let of_status = codes.entry(code.http_status()).or_default();
        if !of_status.contains(&code) {
            of_status.push(code);
        }
    }
    for (status, codes) in codes {
        let words: Vec<_> = codes.iter().map(ToString::to_string).collect();
        let schema = json!({ "$ref": "#/components/schemas/Error" });
        let content = json!({ "application/json": { "schema": schema } });
        responses.insert(status.to_string(), json!({ "description": words.join(", "), "content": content }));
    }
    Value::Object(responses)
}

/// The codes that follow from the method and the caller of a route.
fn by_shape(route: &Route) -> impl Iterator<Item = Code> + use<> {
    let takes_body = !matches!(route.method, Method::GET | Method::DELETE);
    let codes = &[Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::RequestTimeout];
    let body: &[Code] = if takes_body { codes } else { &[] };
    let anybody = route.caller == CallerKind::Anybody;
    let once: &[Code] = if route.method == Method::POST && !anybody { &[Code::IdempotencyConflict] } else { &[] };
    let known: &[Code] = if anybody { &[] } else { &[Code::MissingAuthorizationHeader] };
    body.iter().chain(once).chain(known).copied()
}

fn error_schema() -> Value {
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "required": ["statusCode", "type", "code", "requestId", "message"],
        "properties": {
            "statusCode": { "type": "integer" },
            "type": { "type": "string", "enum": [
                "not_authorized_error", "invalid_request_error", "validation_error", "internal_error",
            ] },
            "code": { "type": "string", "enum": codes },
            "requestId": { "type": "string", "format": "uuid" },
            "message": { "type": "string" },
            "fields": { "type": "array", "items": {
                "type": "object",
                "required": ["path", "problem"],
                "properties": { "path": { "type": "string" }, "problem": { "type": "string" } },
            } },
            "truncated": { "type": "boolean" },
        },
    })
}
