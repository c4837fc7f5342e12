//! The function that the fuzz target of the router calls. Not part of the public API.
//!
//! Whatever the request, the response must be one of the contract: enveloped JSON with a request id, and never a 5xx. The routes of
//! monitoring systems are in `intake.rs`.

mod intake;

use std::sync::{Mutex, OnceLock, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use dogwatch_store::Engine;
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::{Actor, Problem};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::{RouterBuilder, rooms};

/// A router and its engine, the API key of an admin, ids to fill paths with (of a user, of a key, and one that nobody has), and the
/// tokens of integrations of all kinds.
struct Fixture {
    engine: Engine,
    router: Router,
    key: String,
    ids: [String; 3],
    tokens: Vec<String>,
    /// The method and path of each route that is tried.
    routes: Vec<(String, &'static str)>,
    runtime: tokio::runtime::Runtime,
}

fn fixture() -> Result<Fixture, String> {
    let engine = Engine::in_memory().map_err(|error| error.to_string())?;
    let valid = |problem: Problem| problem.to_string();
    let create = CreateOrganization::new(
        "Harbour".parse().map_err(valid)?,
        "ada@example.com".parse().map_err(valid)?,
        "Ada".parse().map_err(valid)?,
        "Byron".parse().map_err(valid)?,
    );
    let created = engine.execute(create, &Actor::Operator).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(Fixture {
        tokens: intake::integrations(&engine, &created.actor())?,
        router: RouterBuilder::new(engine.clone()).fetch(intake::fetch).build(),
        engine,
        key: created.admin.api_key.secret.reveal().to_owned(),
        ids: [
            created.admin.member.id.to_string(),
            created.admin.api_key.key.id.to_string(),
            "01900000-0000-7000-8000-000000000000".to_owned(),
        ],
        // Routes that could take the caller's own access away are left out: they would leave nothing to try.
        routes: rooms::table()
            .iter()
            .filter(|route| !matches!(route.id, "revokeApiKey" | "removeMember"))
            .map(|route| (route.method.to_string(), route.path))
            .collect(),
        runtime: runtime.map_err(|error| error.to_string())?,
    })
}

impl Fixture {
    /// The answer to a request: status, media type and body.
    fn answer(&self, request: Request<Body>) -> Result<(u16, String, Bytes), String> {
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            Ok((parts.status.as_u16(), kind.unwrap_or_default().to_owned(), bytes))
        })
    }
}

/// Sends one request over an integration.
fn sent(fixture: &Fixture, choice: (u8, u8, u8), parts: (&[u8], &[u8])) -> Result<(), String> {
    let Some((sent, request)) = intake::Sent::new(&fixture.tokens, choice, parts) else { return Ok(()) };
    let before = fixture.engine.revision();
    let (status, kind, body) = fixture.answer(request)?;
    sent.judge(status, &kind, &body, fixture.engine.revision() != before)
}

/// Sends one request: the first byte picks a route, the second fills its path, the third says whether it is one of monitoring systems,
/// whether there is a query and which headers there are, the fourth splits the rest into query and body.
///
/// # Errors
/// What is wrong with the answer.
pub fn request(data: &[u8]) -> Result<(), String> {
    static FIXTURE: OnceLock<Result<Fixture, String>> = OnceLock::new();
    static ALONE: Mutex<()> = Mutex::new(());
    let fixture = FIXTURE.get_or_init(fixture).as_ref().map_err(String::clone)?;
    // What a request changes is told from what another one does beside it.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let [route, ids, headers, split, rest @ ..] = data else { return Ok(()) };
    if headers & 16 != 0 {
        let parts = rest.split_at(usize::from(*split).min(rest.len()));
        return sent(fixture, (*route, *ids, *headers), parts);
    }
    let Some((method, path)) = fixture.routes.get(usize::from(*route) % fixture.routes.len()) else { return Ok(()) };
    let (query, body) = rest.split_at(usize::from(*split).min(rest.len()));
    let mut filled = String::from("/v1");
    for (place, part) in path.split('/').skip(1).enumerate() {
        let id = fixture.ids.get(usize::from(ids >> place) % 4);
        let given: String = form_urlencoded::byte_serialize(query).collect();
        let part = if part.starts_with('{') { id.map_or(given.as_str(), String::as_str) } else { part };
        filled.push('/');
        filled.push_str(part);
    }
    if headers & 1 == 0 {
        filled.push('?');
        filled.extend(query.iter().map(|byte| char::from(byte & 0x7F)).filter(|c| c.is_ascii_graphic() && *c != '#'));
    }
    let mut request = Request::builder().method(method.as_str()).uri(&filled);
    if headers & 2 == 0 {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", fixture.key));
    }
    if headers & 4 == 0 {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if headers & 8 != 0 {
        request = request.header("idempotency-key", format!("key-{split}"));
    }
    // A path that is not a valid URI cannot be requested.
    let Ok(request) = request.body(Body::from(body.to_vec())) else { return Ok(()) };
    let (status, _, bytes) = fixture.answer(request)?;
    let answer: Value = serde_json::from_slice(&bytes).map_err(|error| format!("{method} {filled}: {error}"))?;
    let enveloped = answer.get("requestId").is_some() && (status >= 400 || answer.get("data").is_some());
    if status >= 500 || !enveloped { Err(format!("{method} {filled}: {status} {answer}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    /// Requests of senders, with `TOKEN` for a token: the path by its place, and a body that is right.
    const RIGHT: [(u8, &str); 8] = [
        (
            0,
            r#"{"routing_key":"TOKEN","event_action":"trigger","payload":{"summary":"Full","source":"db1","severity":"info"}}"#,
        ),
        (0, r#"{"routing_key":"TOKEN","event_action":"resolve","dedup_key":"disk"}"#),
        (1, r#"{"routing_key":"TOKEN","payload":{"summary":"Deployed"}}"#),
        (
            2,
            r#"{"version":"4","groupKey":"g","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"Disk"},"fingerprint":"f"}]}"#,
        ),
        (
            3,
            r#"{"key":"disk","state":"firing","title":"Disk full","severity":"low","description":"d","url":"https://example.com"}"#,
        ),
        (3, r#"{"key":"disk","state":"resolved"}"#),
        (4, ""),
        (
            5,
            r#"{"Type":"Notification","MessageId":"m","TopicArn":"arn:aws:sns:eu-west-1:1:a","Message":"{}","Timestamp":"2026-01-01T00:00:00.000Z","SignatureVersion":"2","Signature":"AAAA","SigningCertURL":"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"}"#,
        ),
    ];

    fn request(choice: [u8; 4], rest: &[u8]) {
        super::request(&[&choice, rest].concat()).unwrap();
    }

    /// The committed seeds, and a request to each route with each combination of headers.
    #[test]
    fn seeds() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/requests");
        for seed in std::fs::read_dir(folder).unwrap() {
            super::request(&std::fs::read(seed.unwrap().path()).unwrap()).unwrap();
        }
        for route in 0..=60 {
            for headers in 0..16 {
                request([route, 0b10_0100, headers, 4], b"a=1\xFF{}");
            }
        }
    }

    /// What senders may send, with each method and each token; then with a few bytes that are others, fewer or more.
    #[test]
    fn senders() {
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random >> 16).unwrap_or_default() % below
        };
        for (route, body) in RIGHT {
            for token in 0..8 {
                for headers in 0..16 {
                    request([route, token, 16 + headers, 3], &[b"a\xFF/", body.as_bytes()].concat());
                }
            }
            let away = body.replace("eu-west-1", "eu-west-2");
            request([route, 0, 31, 0], away.as_bytes());
            for _ in 0..dogwatch_testkit::cases(400) {
                let mut odd = body.as_bytes().to_vec();
                for _ in 0..=next(3) {
                    let place = next(odd.len() + 1);
                    match next(4) {
                        0 => odd.insert(place, b"\"{}[]:,\\0\xFF"[next(10)]),
                        1 => odd.truncate(place),
                        2 if place < odd.len() => drop(odd.remove(place)),
                        _ if place < odd.len() => odd[place] = u8::try_from(next(256)).unwrap_or_default(),
                        _ => odd.extend_from_within(place / 2..),
                    }
                }
                request([route, u8::try_from(next(8)).unwrap_or_default(), 31, 0], &odd);
            }
        }
    }

    /// Each route can succeed: else `senders` would show little.
    #[test]
    fn what_is_right_is_taken() {
        let fixture = super::fixture().unwrap();
        for (route, body) in RIGHT {
            let (sent, request) =
                super::intake::Sent::new(&fixture.tokens, (route, 0, 15), (b"", body.as_bytes())).unwrap();
            let before = fixture.engine.revision();
            let (status, kind, answer) = fixture.answer(request).unwrap();
            // Nobody here can sign what SNS sends; a change is dropped.
            let (expected, changes) =
                [(202, true), (202, false), (200, true), (202, true), (200, true), (400, false)][usize::from(route)];
            let changed = fixture.engine.revision() != before;
            sent.judge(status, &kind, &answer, changed).unwrap();
            let known = body.contains("trigger") || body.contains("firing") || body.is_empty();
            assert_eq!((status, changed), (expected, changes && (known || body.contains("resolved"))), "{body}");
        }
    }
}
