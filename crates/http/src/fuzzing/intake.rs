//! The routes of monitoring systems: whatever is sent, the answer has the sender's shape, and a refusal leaves nothing behind.

use axum::body::Body;
use axum::http::{Method, Request, header};
use dogwatch_store::Engine;
use dogwatch_store::rules::Actor;
use dogwatch_store::rules::integration::{CreateIntegration, Heartbeat, IntegrationKind, Settings};
use serde_json::Value;

/// The routes. Where a path ends with `/`, a token follows; the others take one in the body, or none.
const PATHS: [(&str, Option<IntegrationKind>); 6] = [
    ("pagerduty/v2/enqueue", Some(IntegrationKind::PagerDuty)),
    ("pagerduty/v2/change/enqueue", None),
    ("alertmanager/", Some(IntegrationKind::Alertmanager)),
    ("generic/", Some(IntegrationKind::Generic)),
    ("heartbeat/", Some(IntegrationKind::Heartbeat)),
    ("cloudwatch/", Some(IntegrationKind::CloudWatch)),
];

/// What stands for a token in a body.
const TOKEN: &[u8] = b"TOKEN";

/// Integrations of all kinds, and their tokens in the order of the kinds.
pub(super) fn integrations(engine: &Engine, admin: &Actor) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    for kind in IntegrationKind::ALL {
        let beats = Heartbeat::new(60, 0).map_err(|problem| problem.to_string())?;
        let heartbeat = Some(beats).filter(|_| kind == IntegrationKind::Heartbeat);
        let settings = Settings { heartbeat, ..Settings::default() };
        let name = kind.as_str().parse().map_err(|_| "no name".to_owned())?;
        let create = CreateIntegration { name, kind, settings };
        let made = engine.execute(create, admin).map_err(|error| error.to_string())?;
        tokens.push(made.token.reveal().to_owned());
    }
    Ok(tokens)
}

/// What a certificate's place gives: mostly something that is none.
pub(super) fn fetch(url: &str) -> Result<Vec<u8>, String> {
    if url.contains("eu-west-2") { Err("it is away".to_owned()) } else { Ok(b"no certificate".to_vec()) }
}

/// A request of a sender.
#[derive(Debug)]
pub(super) struct Sent {
    path: &'static str,
    method: Method,
    /// Whether the integration of this kind has the token that is presented.
    known: bool,
    uri: String,
}

impl Sent {
    /// Makes a request: `route` picks the path, `with` the token, `headers` method and media type. In the body, `TOKEN` is the token.
    pub(super) fn new(
        tokens: &[String],
        (route, with, headers): (u8, u8, u8),
        (given, body): (&[u8], &[u8]),
    ) -> Option<(Self, Request<Body>)> {
        let (path, kind) = *PATHS.get(usize::from(route) % PATHS.len())?;
        let place = IntegrationKind::ALL.iter().position(|other| Some(*other) == kind).unwrap_or(0);
        let own = tokens.get(place)?;
        let token = match with % 8 {
            // One of another kind, one that nobody has, and anything.
            1 => tokens.get((place + 1) % tokens.len())?.clone(),
            2 => "0".repeat(32),
            3 => form_urlencoded::byte_serialize(given).collect(),
            _ => own.clone(),
        };
        let method = match headers & 15 {
            0 => Method::GET,
            1 => Method::HEAD,
            2 => Method::PUT,
            3 => Method::DELETE,
            _ => Method::POST,
        };
        let mut uri = format!("/integrations/{path}");
        if path.ends_with('/') {
            uri.push_str(&token);
        }
        let sent = Self { path, known: token == *own, uri: uri.clone(), method: method.clone() };
        let mut request = Request::builder().method(method).uri(uri);
        if headers & 32 == 0 {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        // A path that is not a valid URI cannot be requested.
        Some((sent, request.body(Body::from(replaced(body, token.as_bytes()))).ok()?))
    }

    /// Checks the answer; `changed` says whether anything is stored of the request.
    pub(super) fn judge(&self, status: u16, kind: &str, body: &[u8], changed: bool) -> Result<(), String> {
        let beat = self.path == "heartbeat/";
        let right = if beat {
            [Method::GET, Method::HEAD, Method::POST].contains(&self.method)
        } else {
            self.method == Method::POST
        };
        let event = self.path.starts_with("pagerduty");
        let change = self.path.contains("change");
        let allowed: &[u16] = match self.path {
            // Without a token there is no such route, whatever the method.
            _ if self.path.ends_with('/') && self.uri.ends_with('/') => &[404],
            _ if !right => &[405],
            _ if change => &[202],
            "pagerduty/v2/enqueue" if self.known => &[202, 400, 413],
            "pagerduty/v2/enqueue" => &[400, 413],
            _ if !self.known => &[404],
            _ if beat => &[200],
            "alertmanager/" => &[200, 400, 413],
            "generic/" => &[202, 400, 413],
            // The certificate cannot be fetched, or it is none.
            _ => &[400, 413, 503],
        };
        let text = String::from_utf8_lossy(body);
        let wrong = |what: &str| Err(format!("{what}: {self:?} {status} {kind} {text}"));
        if !allowed.contains(&status) {
            return wrong("not such a status");
        }
        if changed && status >= 400 {
            return wrong("refused, and something is stored");
        }
        // What the router itself answers has no shape of a sender.
        if self.method == Method::HEAD || (self.path.ends_with('/') && self.uri.ends_with('/')) {
            return Ok(());
        }
        if !right || !(event || self.path == "generic/") {
            let plain = kind.starts_with("text/plain") && text.ends_with('\n') && text.len() > 1;
            return if plain { Ok(()) } else { wrong("not plain text") };
        }
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return wrong("not JSON") };
        let is = |name: &str, value: &str| answer.get(name).and_then(Value::as_str) == Some(value);
        let says = |name: &str| answer.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        let reasons = answer.get("errors").and_then(Value::as_array).is_some_and(|errors| {
            !errors.is_empty() && errors.iter().all(|error| error.as_str().is_some_and(|error| !error.is_empty()))
        });
        let shaped = match (event, status) {
            (true, 202) => is("status", "success") && says("message") && (change || says("dedup_key")),
            (true, _) => is("status", "invalid event") && says("message") && reasons,
            (false, 202) => is("status", "accepted") && says("outcome"),
            (false, _) => is("status", "refused") && reasons,
        };
        if shaped && kind == "application/json" { Ok(()) } else { wrong("not the shape of the sender") }
    }
}

/// The bytes with a token wherever `TOKEN` stands.
fn replaced(body: &[u8], token: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(first) = rest.first() {
        match rest.strip_prefix(TOKEN) {
            Some(behind) => {
                filled.extend_from_slice(token);
                rest = behind;
            }
            None => {
                filled.push(*first);
                rest = rest.get(1..).unwrap_or_default();
            }
        }
    }
    filled
}
