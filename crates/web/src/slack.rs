//! What Slack sends when somebody presses a button of a page (`/slack/interactive`): it acknowledges the incident as the member to whom the
//! page went.
//!
//! A request counts only with Slack's signature over its very bytes, five minutes old at most. The button carries the token of the link in
//! the page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use dogwatch_store::rules::incident::{AcknowledgeIncident, AcknowledgedVia};
use dogwatch_store::rules::link::{PageLink, SlackSignature};
use dogwatch_store::rules::{Actor, Code};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::Site;

/// The most bytes of a request: it holds the message whose button was pressed.
const LONGEST: usize = 64 << 10;
/// The action of the button that acknowledges.
const ACKNOWLEDGE: &str = "acknowledge";

pub(crate) async fn interactive(State(site): State<Arc<Site>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LONGEST).collect().await else {
        return status_only(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let body = body.to_bytes();
    if !is_signed(&site, &head.headers, &body) {
        tracing::warn!("a request of Slack without a signature that holds");
        return status_only(StatusCode::UNAUTHORIZED);
    }
    let Some(token) = token(&body) else {
        // Slack tells of other buttons, too, such as one that opens a link.
        return status_only(StatusCode::OK);
    };
    // Slack shows who pressed it that another status is none of success. The message changes by itself.
    let done = acknowledge(&site, &token).await;
    status_only(done.err().unwrap_or(StatusCode::OK))
}

/// Whether a request has a signature of Slack that holds now.
fn is_signed(site: &Site, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(secret), Some(timestamp), Some(signature)) =
        (&site.settings.slack_signing_secret, text("x-slack-request-timestamp"), text("x-slack-signature"))
    else {
        return false;
    };
    SlackSignature { timestamp, signature }.holds(secret, body, site.engine.now())
}

/// The token of the button that acknowledges, if that was pressed.
pub(crate) fn token(body: &[u8]) -> Option<String> {
    let (_, payload) = form_urlencoded::parse(body).find(|(name, _)| name == "payload")?;
    let payload: Value = serde_json::from_str(&payload).ok()?;
    let actions = payload.get("actions")?.as_array()?;
    let pressed = actions.iter().find(|action| action.get("action_id").and_then(Value::as_str) == Some(ACKNOWLEDGE))?;
    pressed.get("value")?.as_str().map(str::to_owned)
}

/// Acknowledges the incident of a page; else, the status of the answer.
async fn acknowledge(site: &Site, token: &str) -> Result<(), StatusCode> {
    let link = PageLink::read(token, &site.settings.key, site.engine.now()).ok_or(StatusCode::NOT_FOUND)?;
    if !site.settings.acknowledge {
        return Err(StatusCode::FORBIDDEN);
    }
    let mut command = AcknowledgeIncident::new(link.incident_id);
    command.via = Some(AcknowledgedVia::Slack);
    let done = site.execute(command, &Actor::member(link.org_id, link.user_id)).await;
    done.map(drop).map_err(|error| match error.code() {
        Code::NotFound | Code::NotAuthorized | Code::InvalidApiKey => StatusCode::NOT_FOUND,
        _ => {
            tracing::error!(%error, "a button in Slack cannot acknowledge");
            StatusCode::SERVICE_UNAVAILABLE
        }
    })
}

fn status_only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
