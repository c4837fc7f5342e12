//! What a server of a cluster does with requests while it does not lead (contract, section 15).
//!
//! Everything that needs the leader is passed on to it, with the caller's own credentials and over one hop. While nobody leads, questions are answered from
//! the copy, which may be old and says so; everything else is refused, and has not happened.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri, Version, header};
use axum::middleware::{Next, from_fn_with_state};
use dogwatch_store::cluster::Role;
use dogwatch_store::rules::Code;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;

use crate::api::{ANSWER_TIME, STOPPING, failed, new_id, not_ready};
use crate::error::Failure;
use crate::proxy::TrustedProxies;

/// Says which server has passed a request on.
const FORWARDED: HeaderName = HeaderName::from_static("dogwatch-forwarded");
/// Says for how many seconds it has not been sure that an answer is the present.
const STALE: HeaderName = HeaderName::from_static("dogwatch-stale");
/// Where proxies note who asks.
const NOTED: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How long connecting to the leader may take.
const CONNECTING: Duration = Duration::from_secs(2);
/// How long a connection to the leader is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(5);
/// How often it is looked whether the leader that is waited for still leads.
const LOOK: Duration = Duration::from_millis(250);
/// The most requests that wait for an answer of the leader at once.
const MOST: usize = 1_024;
/// How long after a warning that a server is not trusted the next one may come.
const WARNINGS: Duration = Duration::from_secs(60);
/// The most bytes of what `/readyz` says.
const SHORT: usize = 1 << 10;

/// What a server of a cluster does at present.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It leads.
    Leads,
    /// Another server leads.
    Follows {
        /// Where that is reached, such as `http://10.0.0.7:8080`.
        leader: String,
    },
    /// Nobody leads, as far as this server can tell.
    Nobody,
}

impl From<&Role> for Standing {
    fn from(role: &Role) -> Self {
        match role {
            Role::Leads { .. } => Self::Leads,
            Role::Follows { leader, .. } => Self::Follows { leader: leader.address.clone() },
            Role::Nobody { .. } => Self::Nobody,
        }
    }
}

type Connector = HttpsConnector<HttpConnector>;

/// How a server of a cluster passes requests on: put it [`around`](Neighbours::around) its router.
///
/// `/healthz`, `/readyz`, `/metrics`, `/openapi.json` and status pages are answered by each server itself.
#[derive(Clone)]
pub struct Neighbours {
    shared: Arc<Shared>,
    /// Those whose word for whom they ask counts; not known if absent.
    proxies: Option<Arc<TrustedProxies>>,
}

struct Shared {
    name: HeaderValue,
    standing: Box<dyn Fn() -> Standing + Send + Sync>,
    stale: Box<dyn Fn() -> Option<Duration> + Send + Sync>,
    client: Client<Connector, Body>,
    waiting: Semaphore,
    draining: Arc<AtomicBool>,
    forwarded: AtomicU64,
    /// When it was said last that a server is not trusted.
    warned: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Neighbours").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Neighbours {
    /// For the server of this name, which must be visible ASCII. `standing` says what it does at present, `stale` for how long it has not been sure
    /// that what it shows is the present, and `draining` that it is about to stop. Leaders with TLS are trusted as the operating system says;
    /// where it trusts nobody, which is logged, only those without TLS are reached.
    ///
    /// # Errors
    /// When the name cannot stand in a header.
    pub fn new(
        name: &str,
        standing: impl Fn() -> Standing + Send + Sync + 'static,
        stale: impl Fn() -> Option<Duration> + Send + Sync + 'static,
        draining: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        let name = HeaderValue::from_str(name).map_err(std::io::Error::other)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECTING));
        tcp.set_keepalive(Some(IDLE));
        let trusting = HttpsConnectorBuilder::new().with_native_roots().unwrap_or_else(|why| {
            tracing::warn!(%why, "no certificates of the operating system: a leader is reached by http:// only");
            let nobody = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
            HttpsConnectorBuilder::new().with_tls_config(nobody.with_no_client_auth())
        });
        let connector = trusting.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        let shared = Shared {
            name,
            standing: Box::new(standing),
            stale: Box::new(stale),
            client,
            waiting: Semaphore::new(MOST),
            draining,
            forwarded: AtomicU64::new(0),
            warned: Mutex::new(None),
        };
        Ok(Self { shared: Arc::new(shared), proxies: None })
    }

    /// Logs, once a minute at most, who passes requests on and is not among those whose word for whom they ask counts.
    #[must_use]
    pub fn trusting(self, proxies: TrustedProxies) -> Self {
        Self { proxies: Some(Arc::new(proxies)), ..self }
    }

    /// How many requests were passed on.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.shared.forwarded.load(Ordering::Relaxed)
    }

    /// A router that answers requests itself when it may, and has the leader answer them otherwise.
    pub fn around(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), pass))
    }
}

/// Whether every server answers such a request itself.
fn is_own(path: &str) -> bool {
    matches!(path, "/healthz" | "/metrics" | "/openapi.json" | "/status") || path.starts_with("/status/")
}

/// Whether a request only asks.
fn is_question(method: &Method, path: &str) -> bool {
    // A heartbeat may come as a GET.
    matches!(*method, Method::GET | Method::HEAD) && !path.starts_with("/integrations/")
}

async fn pass(
    State(Neighbours { shared, proxies }): State<Neighbours>,
    request: Request,
    next: Next,
) -> Response<Body> {
    if let (Some(by), Some(proxies)) = (request.headers().get(FORWARDED), proxies) {
        shared.warn_of(by, &request, &proxies);
    }
    let path = request.uri().path();
    if is_own(path) {
        return next.run(request).await;
    }
    if path == "/readyz" {
        return shared.ready(request, next).await;
    }
    let question = is_question(request.method(), path);
    match (shared.standing)() {
        Standing::Leads => match (shared.stale)() {
            None => next.run(request).await,
            Some(stale) if question => marked(next.run(request).await, stale),
            // Another one may lead by now: also what changes nothing would be answered from what was.
            Some(_) => refused(Code::Unavailable, "this server could not renew its lead in time; nothing has happened"),
        },
        _ if request.headers().contains_key(FORWARDED) => {
            refused(Code::Unavailable, "the server that another one takes for the leader does not lead")
        }
        Standing::Follows { leader } => shared.forward(&leader, request, question).await,
        Standing::Nobody if question => {
            let stale = (shared.stale)().unwrap_or_default();
            marked(next.run(request).await, stale)
        }
        Standing::Nobody => refused(Code::Unavailable, "no server leads at present; nothing has happened"),
    }
}

fn refused(code: Code, why: &str) -> Response<Body> {
    failed(&Failure::new(code, why), &new_id())
}

/// The answer with the word that it may be old.
fn marked(mut response: Response<Body>, stale: Duration) -> Response<Body> {
    // A server that has never seen the present cannot say for how long.
    let seconds = stale.as_secs().min(u64::from(u32::MAX));
    response.headers_mut().insert(STALE, seconds.into());
    response
}

impl Shared {
    /// Says that a server that has passed a request on is taken for the client.
    fn warn_of(&self, by: &HeaderValue, request: &Request, proxies: &TrustedProxies) {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
        let Some(peer) = peer.filter(|peer| !proxies.trusts(*peer)) else { return };
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|before| before.elapsed() >= WARNINGS) {
            *warned = Some(Instant::now());
            let by: String = by.to_str().unwrap_or_default().chars().take(64).collect();
            tracing::warn!(%peer, by, "what another server passes on counts as its own: it is not among the trusted proxies");
        }
    }

    async fn ready(&self, request: Request, next: Next) -> Response<Body> {
        if self.draining.load(Ordering::Acquire) {
            return not_ready(STOPPING);
        }
        match (self.standing)() {
            Standing::Leads if (self.stale)().is_some() => {
                not_ready("nobody leads, perhaps: this server could not renew its lead in time\n")
            }
            Standing::Leads => {
                let (head, body) = next.run(request).await.into_parts();
                let text = Limited::new(body, SHORT).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                Response::from_parts(head, Body::from([b"leader: ", &text[..]].concat()))
            }
            Standing::Follows { leader } => Response::new(Body::from(format!("follower: {leader} leads\n"))),
            Standing::Nobody => not_ready("nobody leads: questions are answered from a copy\n"),
        }
    }

    /// Has the leader answer a request.
    async fn forward(&self, leader: &str, request: Request, question: bool) -> Response<Body> {
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return refused(Code::Overloaded, "too many requests wait for the leader");
        };
        let began = Instant::now();
        let method = request.method().clone();
        let Some(request) = self.readdressed(leader, request) else {
            return refused(Code::NotFound, "there is no such route");
        };
        self.forwarded.fetch_add(1, Ordering::Relaxed);
        let answered = self.answered(leader, request).await;
        let response = match answered {
            Ok(answer) => {
                let (mut head, body) = answer.into_parts();
                without_hop(&mut head.headers);
                head.version = Version::HTTP_11;
                Response::from_parts(head, Body::new(body))
            }
            Err(Lost::NotSent) => refused(Code::Unavailable, "the leader cannot be reached; nothing has happened"),
            Err(Lost::Sent) if question => refused(Code::Unavailable, "the leader did not answer"),
            Err(Lost::Sent) => refused(Code::OutcomeUnknown, "the leader did not answer"),
        };
        let (status, took) = (response.status().as_u16(), began.elapsed());
        tracing::info!(%method, leader, status, took_us = took.as_micros(), "forwarded");
        response
    }

    /// The request as it is sent to the leader.
    fn readdressed(&self, leader: &str, request: Request) -> Option<Request> {
        let (mut head, body) = request.into_parts();
        // What is no path would become a part of the leader's name.
        let path = head.uri.path_and_query().map(|path| path.as_str()).filter(|path| path.starts_with('/'))?;
        let uri: Uri = format!("{}{path}", leader.trim_end_matches('/')).parse().ok()?;
        if !head.headers.contains_key(header::HOST)
            && let Some(host) = head.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok())
        {
            // HTTP/2 has it elsewhere.
            head.headers.insert(header::HOST, host);
        }
        let has_body = head.headers.contains_key(header::TRANSFER_ENCODING)
            || head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
            || head.version == Version::HTTP_2;
        without_hop(&mut head.headers);
        head.headers.insert(FORWARDED, self.name.clone());
        if let Some(ConnectInfo(peer)) = head.extensions.get::<ConnectInfo<SocketAddr>>()
            && let Ok(peer) = HeaderValue::from_str(&peer.ip().to_canonical().to_string())
        {
            // Whoever trusts this server reads it from the end.
            head.headers.append(NOTED, peer);
        }
        head.uri = uri;
        head.version = Version::HTTP_11;
        head.extensions.clear();
        Some(Request::from_parts(head, if has_body { body } else { Body::empty() }))
    }

    /// The leader's answer; it is not waited for any more when another server leads.
    async fn answered(&self, leader: &str, request: Request) -> Result<Response<Incoming>, Lost> {
        let still = async {
            let began = Instant::now();
            while began.elapsed() < ANSWER_TIME
                && matches!((self.standing)(), Standing::Follows { leader: now } if now == leader)
            {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            biased;
            answered = self.client.request(request) => answered.map_err(|why| lost(&why)),
            () = still => Err(Lost::Sent),
        }
    }
}

/// Why there is no answer of the leader.
enum Lost {
    /// Nothing was sent.
    NotSent,
    /// It may have been received.
    Sent,
}

fn lost(why: &ClientError) -> Lost {
    if why.is_connect() { Lost::NotSent } else { Lost::Sent }
}

/// Takes out what concerns one connection only.
fn without_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let always = [
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        HeaderName::from_static("keep-alive"),
    ];
    for name in named.iter().chain(&always) {
        headers.remove(name);
    }
}
