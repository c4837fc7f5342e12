//! What monitoring systems send (contract, section 14): routes outside `/v1`, with a token in place of an API key.
//!
//! [`dogwatch_intake`] reads the bytes, and answers have the sender's own shape. An answer is given when all of a request is durable. What
//! fails for a while is answered with a status after which the sender tries again, never with one after which it gives up: what is
//! repeated counts, and does no harm.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use dogwatch_intake::{Alert, Refusal};
use dogwatch_store::rules::integration::{IntegrationKind, Received};
use dogwatch_store::rules::{Code, Secret};
use dogwatch_store::{Engine, Error as EngineError, Pending};
use serde_json::json;

use crate::api::{ANSWER_TIME, Api, collect, first_half};
use crate::error::Failure;
use crate::gate::Held;
use crate::topics;

/// The largest event of PagerDuty's API, in bytes.
const LARGEST_EVENT: usize = 512 << 10;
/// The largest body of others, in bytes.
const LARGEST: usize = 4 << 20;

/// The routes.
pub(crate) fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/integrations/pagerduty/v2/enqueue", post(pagerduty).fallback(wrong_method))
        .route("/integrations/pagerduty/v2/change/enqueue", post(change).fallback(wrong_method))
        .route("/integrations/alertmanager/{token}", post(alertmanager).fallback(wrong_method))
        .route("/integrations/generic/{token}", post(generic).fallback(wrong_method))
        .route("/integrations/cloudwatch/{token}", post(topics::cloudwatch).fallback(wrong_method))
        .route("/integrations/heartbeat/{token}", get(beat).post(beat).fallback(wrong_method))
        .with_state(api)
}

async fn wrong_method() -> Response<Body> {
    plain(StatusCode::METHOD_NOT_ALLOWED, "the route does not take this method\n")
}

/// The token in a path. What cannot be one, as it is no UTF-8, is one that nobody has: the answer has the sender's shape.
pub(crate) struct Token(pub(crate) Secret);

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(Secret::new(path.map(|Path(token)| token).unwrap_or_default())))
    }
}

/// Why nothing came in.
pub(crate) enum NotReceived {
    /// The sender is wrong: repeating does not help.
    Refused(Refusal),
    /// Anything else.
    Failed(Failure),
}

impl From<Failure> for NotReceived {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Refusal> for NotReceived {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<EngineError> for NotReceived {
    fn from(error: EngineError) -> Self {
        Self::Failed(error.into())
    }
}

/// Whether somebody who asks again may be answered otherwise.
const fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::TooManyRequests
            | Code::RequestTimeout
            | Code::Overloaded
            | Code::Unavailable
            | Code::OutcomeUnknown
            | Code::Internal
    )
}

/// A request over an integration, but for its body.
pub(crate) struct Incoming {
    pub(crate) api: Arc<Api>,
    head: Parts,
    held: Held,
}

impl Incoming {
    /// Lets a request in, unless too much has come from its address.
    pub(crate) fn of(api: Arc<Api>, request: Request) -> Result<(Self, Body), NotReceived> {
        let (head, body) = request.into_parts();
        let incoming = Self { api, head, held: Held::of_stranger() };
        incoming.api.gate.pass_stranger(incoming.address())?;
        Ok((incoming, body))
    }

    fn address(&self) -> Option<std::net::IpAddr> {
        let peer = self.head.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        peer.map(|peer| self.api.proxies.client(peer, &self.head.headers))
    }

    /// Checks that an integration of a kind has the token, and that not too much has come over it. Wrong tokens are slowed like wrong keys.
    pub(crate) fn admit(&mut self, token: &Secret, kind: IntegrationKind) -> Result<(), NotReceived> {
        let known = || self.api.engine.organization_receiving(token, kind).map(drop).map_err(Failure::from);
        self.api.gate.presented(self.address(), known)?;
        // What is read from here on is not that of a stranger.
        if self.held.is_empty() {
            self.held = Held::default();
        }
        self.count(token)
    }

    /// Counts something that comes over the integration with a token.
    fn count(&self, token: &Secret) -> Result<(), NotReceived> {
        Ok(self.api.gate.count(u128::from_be_bytes(first_half(&token.hash().to_bytes())))?)
    }

    /// Reads the body, of so many bytes at most, and what it says.
    pub(crate) async fn read<T, E>(
        &mut self,
        body: Body,
        most: usize,
        read: impl FnOnce(&[u8]) -> Result<T, E> + Send + 'static,
    ) -> Result<T, NotReceived>
    where
        T: Send + 'static,
        E: Into<NotReceived> + Send + 'static,
    {
        let body = collect(&self.api.gate, &self.head.headers, body, most, &mut self.held).await?;
        self.api.gate.alerts.read(body.len(), move || read(&body)).await?.map_err(Into::into)
    }

    /// Receives alerts, commit after commit, and counts what becomes of them.
    async fn receive(
        &self,
        token: &Secret,
        kind: IntegrationKind,
        alerts: Vec<Alert>,
    ) -> Result<Vec<Received>, NotReceived> {
        let mut all = Vec::with_capacity(alerts.len());
        let mut alerts = alerts.into_iter().peekable();
        while alerts.peek().is_some() {
            if !all.is_empty() {
                // Each commit counts as a request.
                self.count(token)?;
            }
            let some = alerts.by_ref().take(Engine::MOST_ALERTS).collect();
            all.extend(self.wait(self.api.engine.submit_alerts(token, kind, some)?, kind).await?);
        }
        Ok(all)
    }

    /// The answer of the engine, which only a disk that hangs keeps waiting for long.
    pub(crate) async fn answer<T>(&self, pending: Pending<T>) -> Result<T, NotReceived> {
        let late = |_| Failure::new(Code::OutcomeUnknown, "the answer did not come in time");
        Ok(tokio::time::timeout(ANSWER_TIME, pending).await.map_err(late)??)
    }

    async fn wait(&self, pending: Pending<Vec<Received>>, kind: IntegrationKind) -> Result<Vec<Received>, NotReceived> {
        let received = self.answer(pending).await?;
        received.iter().for_each(|outcome| self.api.metrics.count_alert(kind, *outcome));
        Ok(received)
    }
}

/// Makes the answer to what was not received. It comes late when somebody guesses tokens.
pub(crate) async fn not_received(
    why: NotReceived,
    answer: impl FnOnce(&NotReceived) -> Response<Body>,
) -> Response<Body> {
    if let NotReceived::Failed(failure) = &why {
        if let Some(delay) = failure.delay {
            tokio::time::sleep(delay).await;
        }
        if failure.code == Code::Internal {
            tracing::error!(message = failure.message, "an alert could not be received");
        }
    }
    let mut response = answer(&why);
    if let NotReceived::Failed(failure) = &why
        && let Some(after) = failure.retry_after()
    {
        response.headers_mut().insert(header::RETRY_AFTER, after.into());
    }
    response
}

pub(crate) fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // A cache that answered for us would swallow beats.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn as_json(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = plain(status, body.to_string());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn pagerduty(State(api): State<Arc<Api>>, request: Request) -> Response<Body> {
    match received_event(api, request).await {
        Ok(dedup_key) => {
            let body = json!({ "status": "success", "message": "Event processed", "dedup_key": dedup_key });
            as_json(StatusCode::ACCEPTED, &body)
        }
        Err(why) => not_received(why, not_an_event).await,
    }
}

/// Receives an event of PagerDuty's API; gives its key.
async fn received_event(api: Arc<Api>, request: Request) -> Result<String, NotReceived> {
    const KIND: IntegrationKind = IntegrationKind::PagerDuty;
    let (mut incoming, body) = Incoming::of(api, request)?;
    let mut event = incoming.read(body, LARGEST_EVENT, dogwatch_intake::pagerduty).await?;
    incoming.admit(&event.routing_key, KIND)?;
    if event.alert.key.is_empty() {
        event.alert.key = uuid::Uuid::new_v4().simple().to_string();
    }
    let key = event.alert.key.clone();
    incoming.receive(&event.routing_key, KIND, vec![event.alert]).await?;
    Ok(key)
}

/// Changes are accepted and dropped, whatever they say: nothing of them is read.
async fn change(State(api): State<Arc<Api>>, request: Request) -> Response<Body> {
    match Incoming::of(api, request) {
        Ok(_) => as_json(StatusCode::ACCEPTED, &json!({ "status": "success", "message": "Change event processed" })),
        Err(why) => not_received(why, not_an_event).await,
    }
}

/// The answer to what is no event, as PagerDuty's clients know it.
fn not_an_event(why: &NotReceived) -> Response<Body> {
    let invalid = |status, errors: &[String]| {
        as_json(status, &json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors }))
    };
    match why {
        NotReceived::Refused(refusal) => invalid(StatusCode::BAD_REQUEST, &refusal.errors),
        NotReceived::Failed(failure) => match failure.code {
            Code::InvalidApiKey => invalid(StatusCode::BAD_REQUEST, &["'routing_key' is not known".to_owned()]),
            Code::TooManyRequests => {
                let errors = [failure.message.as_str()];
                let body =
                    json!({ "status": "throttle exceeded", "message": "Requests come too fast", "errors": errors });
                as_json(StatusCode::TOO_MANY_REQUESTS, &body)
            }
            code if passes(code) => {
                let errors = [failure.message.as_str()];
                let body = json!({ "status": "unavailable", "message": "Try again later", "errors": errors });
                as_json(StatusCode::SERVICE_UNAVAILABLE, &body)
            }
            code => invalid(status_of(code), std::slice::from_ref(&failure.message)),
        },
    }
}

fn status_of(code: Code) -> StatusCode {
    StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::BAD_REQUEST)
}

/// The status of the answer to what was not received, for senders that try again after 503 only.
pub(crate) fn patiently(why: &NotReceived) -> StatusCode {
    match why {
        NotReceived::Refused(_) => StatusCode::BAD_REQUEST,
        NotReceived::Failed(failure) => match failure.code {
            Code::InvalidApiKey => StatusCode::NOT_FOUND,
            code if passes(code) => StatusCode::SERVICE_UNAVAILABLE,
            code => status_of(code),
        },
    }
}

/// What is said of it, a sentence for each thing that is wrong.
pub(crate) fn sentences(why: &NotReceived) -> Vec<String> {
    match why {
        NotReceived::Refused(refusal) => refusal.errors.clone(),
        NotReceived::Failed(failure) => vec![failure.message.clone()],
    }
}

async fn alertmanager(State(api): State<Arc<Api>>, Token(token): Token, request: Request) -> Response<Body> {
    const KIND: IntegrationKind = IntegrationKind::Alertmanager;
    let received = async {
        let (mut incoming, body) = Incoming::of(api, request)?;
        incoming.admit(&token, KIND)?;
        let alerts = incoming.read(body, LARGEST, dogwatch_intake::alertmanager).await?;
        incoming.receive(&token, KIND, alerts).await
    };
    match received.await {
        Ok(_) => plain(StatusCode::OK, "received\n"),
        Err(why) => not_received(why, |why| plain(patiently(why), sentences(why).join("\n") + "\n")).await,
    }
}

async fn generic(State(api): State<Arc<Api>>, Token(token): Token, request: Request) -> Response<Body> {
    const KIND: IntegrationKind = IntegrationKind::Generic;
    let received = async {
        let (mut incoming, body) = Incoming::of(api, request)?;
        incoming.admit(&token, KIND)?;
        let alert = incoming.read(body, LARGEST, dogwatch_intake::generic).await?;
        incoming.receive(&token, KIND, vec![alert]).await
    };
    match received.await {
        Ok(received) => {
            let outcome = received.first().map(|outcome| outcome.as_str());
            as_json(StatusCode::ACCEPTED, &json!({ "status": "accepted", "outcome": outcome }))
        }
        Err(why) => {
            not_received(why, |why| as_json(patiently(why), &json!({ "status": "refused", "errors": sentences(why) })))
                .await
        }
    }
}

async fn beat(State(api): State<Arc<Api>>, Token(token): Token, request: Request) -> Response<Body> {
    const KIND: IntegrationKind = IntegrationKind::Heartbeat;
    let received = async {
        // What the body says does not matter.
        let (mut incoming, _) = Incoming::of(api, request)?;
        incoming.admit(&token, KIND)?;
        incoming.wait(incoming.api.engine.submit_beat(&token)?, KIND).await
    };
    match received.await {
        Ok(_) => plain(StatusCode::OK, "alive\n"),
        Err(why) => not_received(why, |why| plain(patiently(why), sentences(why).join("\n") + "\n")).await,
    }
}
