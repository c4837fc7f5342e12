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
use serde_json::{Value, json};

use crate::Site;

/// The most bytes of a request: it holds the message whose button was pressed.
const LONGEST: usize = 64 << 10;
/// The action of the button that acknowledges.
const ACKNOWLEDGE: &str = "acknowledge";

pub(crate) async fn interactive(State(site): State<Arc<Site>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LONGEST).collect().await else {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, &Value::Null);
    };
    let body = body.to_bytes();
    if !is_signed(&site, &head.headers, &body) {
        tracing::warn!("a request of Slack without a signature that holds");
        return answer(StatusCode::UNAUTHORIZED, &Value::Null);
    }
    let Some(token) = token(&body) else {
        // Slack tells of other buttons, too, such as one that opens a link.
        return answer(StatusCode::OK, &Value::Null);
    };
    match acknowledge(&site, &token).await {
        // The message changes by itself.
        Ok(()) => answer(StatusCode::OK, &Value::Null),
        Err(what) => {
            let said = json!({ "response_type": "ephemeral", "replace_original": false, "text": what });
            answer(StatusCode::OK, &said)
        }
    }
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

/// Acknowledges the incident of a page; else, what to tell the member.
async fn acknowledge(site: &Site, token: &str) -> Result<(), &'static str> {
    let gone = "This button does not work any more.";
    let link = PageLink::read(token, &site.settings.key, site.engine.now()).ok_or(gone)?;
    if !site.settings.acknowledge {
        return Err("Incidents are not acknowledged from here.");
    }
    let mut command = AcknowledgeIncident::new(link.incident_id);
    command.via = Some(AcknowledgedVia::Slack);
    let done = site.execute(command, &Actor::member(link.org_id, link.user_id)).await;
    done.map(drop).map_err(|error| match error.code() {
        Code::NotFound | Code::NotAuthorized | Code::InvalidApiKey => gone,
        _ => {
            tracing::error!(%error, "a button in Slack cannot acknowledge");
            "That did not work. Press it again in a moment."
        }
    })
}

fn answer(status: StatusCode, json: &Value) -> Response<Body> {
    let body = if json.is_null() { Body::empty() } else { Body::from(json.to_string()) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
