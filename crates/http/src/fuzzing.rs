//! The function that the fuzz target of the router calls. Not part of the public API.
//!
//! Whatever the request, the response must be one of the contract: enveloped JSON with a request id, and never a 5xx.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use dogwatch_store::Engine;
use dogwatch_store::rules::organization::CreateOrganization;
use dogwatch_store::rules::{Actor, Problem};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::rooms;

/// A router, the API key of an admin, and ids to fill paths with: of a user, of a key, and one that nobody has.
struct Fixture {
    router: Router,
    key: String,
    ids: [String; 3],
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
        router: crate::router(engine),
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

/// Sends one request: the first byte picks a route, the second fills its path, the third says whether there is a query and
/// which headers there are, the fourth splits the rest into query and body.
///
/// # Errors
/// What is wrong with the answer.
pub fn request(data: &[u8]) -> Result<(), String> {
    static FIXTURE: OnceLock<Result<Fixture, String>> = OnceLock::new();
    let fixture = FIXTURE.get_or_init(fixture).as_ref().map_err(String::clone)?;
    let [route, ids, headers, split, rest @ ..] = data else { return Ok(()) };
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
    let answered = fixture.runtime.block_on(async {
        let response = fixture.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok::<_, String>((parts.status.as_u16(), bytes))
    });
    let (status, bytes) = answered?;
    let answer: Value = serde_json::from_slice(&bytes).map_err(|error| format!("{method} {filled}: {error}"))?;
    let enveloped = answer.get("requestId").is_some() && (status >= 400 || answer.get("data").is_some());
    if status >= 500 || !enveloped { Err(format!("{method} {filled}: {status} {answer}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    /// The committed seeds, and a request to each route with each combination of headers.
    #[test]
    fn seeds() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/requests");
        for seed in std::fs::read_dir(folder).unwrap() {
            super::request(&std::fs::read(seed.unwrap().path()).unwrap()).unwrap();
        }
        for route in 0..=60 {
            for headers in 0..16 {
                super::request(&[route, 0b10_0100, headers, 4, b'a', b'=', b'1', 0xFF, b'{', b'}']).unwrap();
            }
        }
    }
}
