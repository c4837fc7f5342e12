//! The order of checks (contract, section 2) and the envelope, in one place for every route.
//!
//! Unknown route, wrong method, authentication, role, body size and media type, schema; then the engine looks up the resources
//! and applies its rules. Every response of the API carries a request id, in its body, its header, and the log.

use std::any::Any;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, OriginalUri, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::any;
use bytes::BytesMut;
use dogwatch_store::rules::caller::CallerKind;
use dogwatch_store::rules::id::{ApiKeyId, Id};
use dogwatch_store::rules::link::MasterKey;
use dogwatch_store::rules::text::IdempotencyKey;
use dogwatch_store::rules::{Actor, Code, Secret};
use dogwatch_store::{By, Engine, Once};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::field::display;

use crate::error::{Failure, Field};
use crate::gate::{Caller, Gate, Held, Limits};
use crate::input::Input;
use crate::intake;
use crate::json::{self, NotRead};
use crate::metrics::Metrics;
use crate::openapi::Document;
use crate::proxy::TrustedProxies;
use crate::replies::Replies;
use crate::rooms;
use crate::route::{Call, Reply, Route};
use crate::topics::{Fetch, Fetched};

/// The largest request body, in bytes: 1 MiB. A larger one is a 413.
const LARGEST_BODY: usize = 1 << 20;
/// The largest body of a request without authentication: 16 KiB.
const LARGEST_OF_ANYBODY: usize = 16 << 10;
/// The bytes up to which a reply gets a tag; what changes often and is long is not worth one.
const LONGEST_TAGGED: usize = 256 << 10;
/// The bytes from which on a reply is compressed, for clients that ask for it.
const SHORTEST_COMPRESSED: u16 = 1_024;
/// How long a request body may take to arrive; a slower one is a `request_timeout`.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How long the engine may take to answer, before the request fails with `outcome_unknown`; only a disk that hangs takes that
/// long.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(60);
const REQUEST_ID: &str = "x-request-id";

/// Says who sends a request, in place of API keys.
type Identify = Box<dyn Fn(&Parts) -> Option<Actor> + Send + Sync>;

/// The state that all handlers share.
pub(crate) struct Api {
    pub(crate) engine: Engine,
    pub(crate) metrics: Metrics,
    replies: Replies,
    identify: Option<Identify>,
    document: Document,
    pub(crate) gate: Gate,
    pub(crate) fetched: Fetched,
    key: Option<Arc<MasterKey>>,
    query_time: Duration,
    draining: Arc<AtomicBool>,
    pub(crate) proxies: TrustedProxies,
    notice: &'static str,
}

/// All routes of the Scaling API under `/v1`, and `/healthz`, `/readyz`, `/metrics`, `/openapi.json` beside it.
///
/// It is an ordinary router: nest it in your own app, or serve it with [`serve`](crate::serve()). It has a fallback of its own, so
/// `Router::merge` with another that has one panics.
///
/// ```
/// use dogwatch_store::Engine;
/// let engine = Engine::in_memory()?;
/// let app: axum::Router = axum::Router::new().nest("/incidents-api", dogwatch_http::router(engine));
/// # Ok::<(), dogwatch_store::OpenError>(())
/// ```
pub fn router(engine: Engine) -> Router {
    RouterBuilder::new(engine).build()
}

/// As [`router`], for a program that knows its users: `identify` says who sends a request, in place of API keys.
///
/// It gets the head of each request to a route that needs a member, and gives the actor, or `None` for a request that is
/// refused with 401 `missing_authorization_header`. It runs on the executor and must not block. The URI that it
/// sees is the path below `/v1`; the whole one is in the extension `OriginalUri`. `/healthz`, `/readyz`, `/metrics`,
/// `/openapi.json` and accepting an invitation are not asked about: put a layer of your own before them. What the actor may do is checked as for any other: somebody who is no
/// member (any more) is refused.
///
/// ```
/// use dogwatch_store::Engine;
/// use dogwatch_store::rules::text::ExternalId;
/// # let engine = Engine::in_memory()?;
/// let known = engine.clone();
/// let api = dogwatch_http::router_as(engine, move |request| {
///     // A layer of the program has checked who it is, and says so in a header that clients cannot set.
///     let name = |header: &str| ExternalId::new(request.headers.get(header)?.to_str().ok()?).ok();
///     known.actor(&name("x-tenant")?, &name("x-user")?).ok()
/// });
/// # Ok::<(), dogwatch_store::OpenError>(())
/// ```
pub fn router_as(engine: Engine, identify: impl Fn(&Parts) -> Option<Actor> + Send + Sync + 'static) -> Router {
    RouterBuilder::new(engine).identify(identify).build()
}

/// Builds the router with settings other than the defaults: see [`router`].
#[must_use]
pub struct RouterBuilder {
    engine: Engine,
    identify: Option<Identify>,
    metrics: Option<Metrics>,
    limits: Limits,
    draining: Arc<AtomicBool>,
    proxies: TrustedProxies,
    origins: Vec<HeaderValue>,
    notice: &'static str,
    pages: Option<Router>,
    key: Option<Arc<MasterKey>>,
    fetch: Option<Fetch>,
}

impl std::fmt::Debug for RouterBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouterBuilder").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl RouterBuilder {
    /// The defaults: requests are authenticated by API keys, and counted in metrics of their own.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            identify: None,
            metrics: None,
            limits: Limits::new(),
            draining: Arc::default(),
            proxies: TrustedProxies::default(),
            origins: Vec::new(),
            notice: "",
            pages: None,
            key: None,
            fetch: None,
        }
    }

    /// Sets the proxies whose word counts on where a request comes from; by default there are none.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Sets the origins of web pages whose scripts may call the API (CORS); by default there are none.
    pub fn cors(mut self, origins: Vec<HeaderValue>) -> Self {
        self.origins = origins;
        self
    }

    /// Sets a router beside the API, such as pages for people: it has the same limit on requests of one address, request ids, log and
    /// metrics. It must have no fallback of its own.
    pub fn beside(mut self, pages: Router) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Sets the key from which the secrets of webhooks are derived, which is the one with which they are signed. Without one, the answers that
    /// show a secret say `null`.
    pub fn master_key(mut self, key: MasterKey) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Sets how what SNS says is fetched, over HTTPS: the certificates with which it signs, and the confirmation of a subscription. Without it, no
    /// alarm of CloudWatch is received. It is called on a thread that may block; the error is for the log. Only hosts of SNS are asked for.
    pub fn fetch(mut self, fetch: impl Fn(&str) -> Result<Vec<u8>, String> + Send + Sync + 'static) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Sets what `/readyz` says besides that the API is ready: something that an operator should mend; by default nothing.
    pub fn notice(mut self, notice: &'static str) -> Self {
        self.notice = notice;
        self
    }

    /// Sets where your program says that it is about to stop: then `/readyz` answers 503, and all else as before.
    pub fn draining(mut self, draining: Arc<AtomicBool>) -> Self {
        self.draining = draining;
        self
    }

    /// Sets how much callers may ask for; by default, there is a limit on the memory of bodies only.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets who sends a request, in place of API keys: see [`router_as`].
    pub fn identify(mut self, identify: impl Fn(&Parts) -> Option<Actor> + Send + Sync + 'static) -> Self {
        self.identify = Some(Box::new(identify));
        self
    }

    /// Sets the metrics in which requests are counted, which your program can gather into a registry of its own.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// The router.
    pub fn build(self) -> Router {
        let metrics = self.metrics.unwrap_or_else(|| Metrics::new(&self.engine));
        let table = rooms::table();
        let document = Document::new(&table, self.identify.is_none());
        let (engine, identify, gate) = (self.engine, self.identify, Gate::new(&self.limits));
        let (draining, proxies, replies, notice) = (self.draining, self.proxies, Replies::default(), self.notice);
        let query_time = self.limits.query_time;
        let (key, fetched) = (self.key, Fetched::new(self.fetch));
        let api = Api {
            engine,
            metrics,
            replies,
            identify,
            document,
            gate,
            fetched,
            key,
            query_time,
            draining,
            proxies,
            notice,
        };
        let api = Arc::new(api);
        let intake =
            intake::routes(Arc::clone(&api)).layer(from_fn_with_state(Arc::clone(&api), noted)).layer(caught());
        let mut router = routes(table, &api).merge(intake);
        if let Some(pages) = self.pages {
            router = router.merge(pages.layer(from_fn_with_state(api, around)));
        }
        let router = router.layer(CompressionLayer::new().compress_when(SizeAbove::new(SHORTEST_COMPRESSED)));
        if self.origins.is_empty() { router } else { router.layer(cors(self.origins)) }
    }
}

/// A router for the while in which there is no engine: `/healthz` says that the process is alive, and everything else is answered
/// with 503 `unavailable`, and has not happened.
pub fn unavailable() -> Router {
    let plain = |response: fn() -> Response<Body>| any(move || std::future::ready(with_id(response(), &new_id())));
    Router::new()
        .route("/healthz", plain(|| Response::new(Body::from("alive\n"))))
        .route("/readyz", plain(|| not_ready("the store is being opened\n")))
        .fallback(|| {
            let failure = Failure::new(Code::Unavailable, "the store is being opened; try again");
            std::future::ready(failed(&failure, &new_id()))
        })
}

/// What browsers are told about scripts of pages elsewhere.
fn cors(origins: Vec<HeaderValue>) -> CorsLayer {
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(names(&["authorization", "content-type", "idempotency-key", "if-none-match"]))
        .expose_headers(names(&[REQUEST_ID, "idempotency-replayed", "retry-after", "etag"]))
        .max_age(Duration::from_secs(600))
}

fn routes(table: Vec<Route>, api: &Arc<Api>) -> Router {
    let mut paths: Vec<(&'static str, Vec<Route>)> = Vec::new();
    for route in table {
        match paths.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, routes)) => routes.push(route),
            None => paths.push((route.path, vec![route])),
        }
    }
    let mut v1 = Router::new();
    for (path, routes) in paths {
        let (api, routes) = (Arc::clone(api), Arc::new(routes));
        v1 = v1.route(path, any(move |request: Request| handle(Arc::clone(&api), Arc::clone(&routes), path, request)));
    }
    let unknown = {
        let api = Arc::clone(api);
        move |request: Request| {
            let id = new_id();
            let response = failed(&Failure::new(Code::NotFound, "there is no such route"), &id);
            api.metrics.count(request.method(), "unknown", response.status(), Duration::ZERO);
            tracing::info!(request_id = %id, method = %request.method(), route = "unknown", status = 404, "request");
            std::future::ready(response)
        }
    };
    let plain = |path: &'static str, answer: fn(&Api, &str) -> Response<Body>| {
        let api = Arc::clone(api);
        let handler = any(move |method: Method, OriginalUri(uri): OriginalUri| {
            let response = match method {
                // The path under which the router is nested, if it is.
                Method::GET | Method::HEAD => answer(&api, uri.path().strip_suffix(path).unwrap_or_default()),
                _ => failed(&wrong_method("GET"), &new_id()),
            };
            std::future::ready(with_id(response, &new_id()))
        });
        Router::new().route(path, handler)
    };
    Router::new()
        .nest("/v1", v1)
        .merge(plain("/healthz", |_, _| Response::new(Body::from("alive\n"))))
        .merge(plain("/readyz", ready))
        .merge(plain("/metrics", |api, _| api.metrics.render()))
        .merge(plain("/openapi.json", |api, at| typed("application/json", api.document.at(at))))
        .fallback(unknown)
        .layer(caught())
}

/// What answers in place of a request that has panicked.
type OnPanic = fn(Box<dyn Any + Send>) -> Response<Body>;

/// A request that panics is answered.
fn caught() -> CatchPanicLayer<OnPanic> {
    CatchPanicLayer::custom(|_| {
        let id = new_id();
        tracing::error!(request_id = %id, "a request panicked");
        failed(&Failure::internal(), &id)
    })
}

/// What `/readyz` says of a server that is about to stop.
pub(crate) const STOPPING: &str = "stopping\n";

/// What `/readyz` says of a server that cannot carry out requests.
pub(crate) fn not_ready(text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn ready(api: &Api, _: &str) -> Response<Body> {
    if api.draining.load(Ordering::Acquire) {
        return not_ready(STOPPING);
    }
    if api.engine.is_writable() {
        let failed = api.engine.load().failed_timers;
        return Response::new(Body::from(match failed {
            0 if api.notice.is_empty() => "ready\n".to_owned(),
            0 => format!("ready, but {}\n", api.notice),
            failed => format!("ready, but escalation runs could not go on {failed} times: see the log\n"),
        }));
    }
    not_ready("storage has failed: reads are answered, and nothing is written\n")
}

fn typed(media: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

pub(crate) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn with_id(mut response: Response<Body>, id: &str) -> Response<Body> {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().entry(REQUEST_ID).or_insert(id);
    }
    response
}

fn wrong_method(allow: &str) -> Failure {
    let failure = Failure::new(Code::MethodNotAllowed, "the route does not take this method");
    Failure { allow: Some(allow.to_owned()), ..failure }
}

/// A failure as a response, with its headers.
pub(crate) fn failed(failure: &Failure, id: &str) -> Response<Body> {
    let body = identified(failure.body().to_string().as_bytes(), id);
    let mut response = respond(failure.status(), body.into(), id);
    failure.headers(&mut response);
    response
}

fn respond(status: u16, body: Bytes, id: &str) -> Response<Body> {
    let mut response = typed("application/json", body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    with_id(response, id)
}

/// The JSON of a failure with its request id added.
pub(crate) fn identified(json: &[u8], id: &str) -> Vec<u8> {
    let fields = json.strip_suffix(b"}").unwrap_or(json);
    [fields, b",\"requestId\":\"", id.as_bytes(), b"\"}"].concat()
}

/// Answers, counts and logs one request to a path that exists.
async fn handle(api: Arc<Api>, routes: Arc<Vec<Route>>, path: &'static str, request: Request) -> Response<Body> {
    let (began, id, method) = (Instant::now(), new_id(), request.method().clone());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let address = peer.map(|peer| api.proxies.client(peer, request.headers()));
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let trace = request.headers().get("traceparent").cloned();
    let mut asker = None;
    let mut response = match answer(&api, &routes, request, address, &mut asker).await {
        Ok(reply) => replied(&reply, &id, method == Method::GET || method == Method::HEAD, known.as_ref()),
        Err(failure) => {
            if let Some(delay) = failure.delay {
                tokio::time::sleep(delay).await;
            }
            failed(&failure, &id)
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let took = began.elapsed();
    api.metrics.count(&method, path, response.status(), took);
    let status = response.status().as_u16();
    let (organization, user, key) = match asker {
        Some((Actor::Member { org_id, user_id }, key)) => {
            (Some(display(org_id)), Some(display(user_id)), key.map(display))
        }
        _ => (None, None, None),
    };
    // Of what a client sends, only what is plain goes into the log.
    let trace = trace.as_ref().and_then(|it| it.to_str().ok()).filter(|it| it.len() <= 64).map(display);
    tracing::info!(
        request_id = %id, %method, route = path, status, took_us = took.as_micros(), organization, user, key,
        address = address.map(display), traceparent = trace, "request"
    );
    response
}

/// What a request beside the API has in common with those of it: see [`RouterBuilder::beside`].
async fn around(api: State<Arc<Api>>, request: Request, next: Next) -> Response<Body> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let address = peer.map(|peer| api.proxies.client(peer, request.headers()));
    let passed = api.gate.pass_stranger(address);
    let answer = async |request, id: &str| match passed {
        Ok(()) => next.run(request).await,
        Err(failure) => failed(&failure, id),
    };
    note(api, request, answer).await
}

/// As [`around`], for what says by itself that too much has come from an address.
async fn noted(api: State<Arc<Api>>, request: Request, next: Next) -> Response<Body> {
    note(api, request, async |request, _: &str| next.run(request).await).await
}

/// Counts and logs a request that is not of the API.
async fn note(
    State(api): State<Arc<Api>>,
    request: Request,
    answer: impl AsyncFnOnce(Request, &str) -> Response<Body>,
) -> Response<Body> {
    let (began, id, method) = (Instant::now(), new_id(), request.method().clone());
    let path = request.extensions().get::<MatchedPath>().map_or("unknown".to_owned(), |path| path.as_str().to_owned());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let address = peer.map(|peer| api.proxies.client(peer, request.headers()));
    let response = with_id(answer(request, &id).await, &id);
    let took = began.elapsed();
    api.metrics.count(&method, &path, response.status(), took);
    let status = response.status().as_u16();
    tracing::info!(
        request_id = %id, %method, route = path, status, took_us = took.as_micros(), address = address.map(display), "request"
    );
    response
}

/// Whether a client knows a reply already, by the tags in its header `If-None-Match`.
fn is_known(tags: &HeaderValue, tag: &str) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tags.to_str().is_ok_and(|tags| tags.trim() == "*" || tags.split(',').any(|it| plain(it) == plain(tag)))
}

fn replied(reply: &Reply, id: &str, is_get: bool, known: Option<&HeaderValue>) -> Response<Body> {
    // The envelope differs each time, so the tag is weak.
    let tag = (is_get && reply.status == 200 && reply.json.len() <= LONGEST_TAGGED).then(|| {
        let mut hash = DefaultHasher::new();
        hash.write(&reply.json);
        format!("W/\"{:016x}\"", hash.finish())
    });
    if let Some(tag) = tag.as_deref().filter(|tag| known.is_some_and(|tags| is_known(tags, tag))) {
        let mut response = with_id(Response::new(Body::empty()), id);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().extend(HeaderValue::from_str(tag).ok().map(|tag| (header::ETAG, tag)));
        return response;
    }
    let body = if reply.status >= 400 {
        identified(&reply.json, id)
    } else {
        [b"{\"data\":", &reply.json[..], b",\"requestId\":\"", id.as_bytes(), b"\"}"].concat()
    };
    let mut response = respond(reply.status, body.into(), id);
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    if reply.again {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}

async fn answer(
    api: &Api,
    routes: &[Route],
    request: Request,
    address: Option<IpAddr>,
    asker: &mut Option<(Actor, Option<ApiKeyId>)>,
) -> Result<Reply, Failure> {
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let Some(route) = routes.iter().find(|route| route.method == *method) else {
        let methods: Vec<_> = routes.iter().map(|route| route.method.as_str()).collect();
        return Err(wrong_method(&methods.join(", ")));
    };
    let (parts, body) = request.into_parts();
    let caller = api.gate.pass(address, || authenticated(api, route.caller, &parts))?;
    let Caller { actor, by, key } = caller;
    *asker = Some((actor, key));
    let request = Request::from_parts(parts, body);
    // Authentication by an API key has shown already that the caller is a member.
    if route.caller != CallerKind::Member || api.identify.is_some() {
        (route.admit)(&api.engine, &actor)?;
    }

    let asked = match actor {
        Actor::Member { org_id: org, .. } if route.repeats => {
            request.uri().path_and_query().map(|path| (org, path.as_str().to_owned()))
        }
        _ => None,
    };
    // The revision is read before the query: a kept reply is never older than the revision it is kept under.
    let revision = api.engine.revision();
    if let Some(json) = asked.as_ref().and_then(|asked| api.replies.find(asked, revision)) {
        return Ok(Reply { status: route.status, json, again: false });
    }
    let reply = run(api, route, actor, by, request).await?;
    if let Some(asked) = asked {
        api.replies.keep(asked, revision, reply.json.clone());
    }
    Ok(reply)
}

/// Reads the request of an admitted caller, and has the engine answer it.
async fn run(api: &Api, route: &Route, actor: Actor, by: By, request: Request) -> Result<Reply, Failure> {
    let (mut parts, body) = request.into_parts();
    let takes_body = !matches!(route.method, Method::GET | Method::DELETE);
    let known = route.caller != CallerKind::Anybody;
    let most = if known { LARGEST_BODY } else { LARGEST_OF_ANYBODY };
    // What the body takes is counted until the request is answered.
    let mut held = Held::default();
    let bytes = if takes_body { read_body(api, &parts.headers, body, most, &mut held).await? } else { Bytes::new() };
    let length = bytes.len();
    // Strangers have nothing recorded.
    let repeats = route.method == Method::POST && known;
    let once = if repeats { once(&parts, &bytes, &actor, api.identify.is_some())? } else { None };
    let params = RawPathParams::from_request_parts(&mut parts, &()).await;
    let params = params.map_err(|_| invalid("path", "must be UTF-8"))?;
    let path: HashMap<_, _> = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let query = parts.uri.query().unwrap_or_default();
    if percent_decode_str(query).decode_utf8().is_err() {
        return Err(invalid("query", "must be UTF-8"));
    }
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let (engine, key, run) = (api.engine.clone(), api.key.clone(), Arc::clone(&route.run));
    let read = move || {
        let input = Input::new(path, query, object(&bytes)?, engine.now());
        Ok::<_, Failure>(run(Call { engine, actor, by, input, key, once }))
    };
    let answering = api.gate.aside.read(length, read).await??;
    // A question changes nothing: that it was not answered is all that there is to know.
    let (most, code) =
        if route.long { (api.query_time, Code::Overloaded) } else { (ANSWER_TIME, Code::OutcomeUnknown) };
    let late = |_| Failure::new(code, "the answer did not come in time");
    tokio::time::timeout(most, answering).await.map_err(late)?
}

/// The API key that a request presents in its header `Authorization`.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The actor who sent the request, found by its API key or by what the embedding program says; anybody, where the route needs none.
fn authenticated(api: &Api, caller: CallerKind, parts: &Parts) -> Result<Caller, Failure> {
    if caller == CallerKind::Anybody {
        return Ok(Caller::of(Actor::Anybody));
    }
    if let Some(identify) = &api.identify {
        let unknown = || Failure::new(Code::MissingAuthorizationHeader, "nobody is signed in");
        return identify(parts).map(Caller::of).ok_or_else(unknown);
    }
    let Some(key) = presented(&parts.headers) else {
        let message = "the header `Authorization: Bearer …` is missing";
        return Err(Failure::new(Code::MissingAuthorizationHeader, message));
    };
    let key = Secret::new(key);
    let holder = api.engine.key_holder(&key)?;
    let actor = holder.actor();
    Ok(Caller { actor, by: By::ApiKey { key, actor }, key: Some(holder.key) })
}

pub(crate) fn first_half(hash: &[u8]) -> [u8; 16] {
    hash.first_chunk::<16>().copied().unwrap_or_default()
}

/// The idempotency key of a request, with its scope and the request's fingerprint; `None` without the header `Idempotency-Key`.
fn once(parts: &Parts, body: &Bytes, actor: &Actor, identified: bool) -> Result<Option<Once>, Failure> {
    let mut values = parts.headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().map(IdempotencyKey::new).filter(|_| values.next().is_none());
    let Some(Ok(key)) = key else {
        return Err(invalid("header.Idempotency-Key", "must be 1 to 255 visible ASCII characters"));
    };
    let mut hash = Sha256::new();
    // The path is that below `/v1`: nested routers see it without the prefix of the outer ones.
    for part in [parts.method.as_str(), parts.uri.path(), parts.uri.query().unwrap_or_default()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(body);
    let fingerprint: [u8; 32] = hash.finalize().into();
    // Callers are told apart by their API key; without one, by who they are, or else by what they send.
    let scope = match actor {
        Actor::Member { user_id, .. } if identified => Some(user_id.to_bytes()),
        _ if identified => None,
        _ => presented(&parts.headers).map(|key| first_half(&Sha256::digest(key.as_bytes()))),
    };
    Ok(Some(Once { scope: scope.unwrap_or_else(|| first_half(&fingerprint)), key, fingerprint }))
}

fn invalid(path: &str, problem: &str) -> Failure {
    Failure::invalid(vec![Field { path: path.to_owned(), problem: problem.to_owned() }])
}

/// Reads a body, and checks its size (413).
pub(crate) async fn collect(
    gate: &Gate,
    headers: &HeaderMap,
    mut body: Body,
    most: usize,
    held: &mut Held,
) -> Result<Bytes, Failure> {
    let too_large = || Failure::new(Code::PayloadTooLarge, format!("the body is larger than {} KiB", most >> 10));
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let read = async {
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Failure::new(Code::RequestTimeout, "the body did not arrive"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len().saturating_add(data.len()) > most {
                return Err(too_large());
            }
            gate.hold(held, data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    };
    let late = |_| Failure::new(Code::RequestTimeout, "the body did not arrive in time");
    tokio::time::timeout(BODY_TIME, read).await.map_err(late)?
}

/// Reads a body, and checks its size (413) first, then its media type (415).
async fn read_body(api: &Api, headers: &HeaderMap, body: Body, most: usize, held: &mut Held) -> Result<Bytes, Failure> {
    let bytes = collect(&api.gate, headers, body, most, held).await?;
    if bytes.is_empty() {
        return Ok(bytes);
    }
    let all = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
    let unsupported = |message| Err(Failure::new(Code::UnsupportedMediaType, message));
    if !all(header::CONTENT_ENCODING).all(|coding| coding.trim().eq_ignore_ascii_case("identity")) {
        return unsupported("the body must not be encoded");
    }
    let mut media = all(header::CONTENT_TYPE);
    match (media.next(), media.next()) {
        (Some(media), None) if is_json(media) => Ok(bytes),
        _ => unsupported("the body must be `application/json`, in UTF-8"),
    }
}

/// Whether a media type is JSON in UTF-8.
fn is_json(media: &str) -> bool {
    let mut parts = media.split(';').map(str::trim);
    let utf_8 = |part: &str| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) && parts.all(utf_8)
}

/// The fields of a JSON body; none when the body is empty.
fn object(bytes: &Bytes) -> Result<Map<String, Value>, Failure> {
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    match json::read(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(invalid("", "must be a JSON object")),
        Err(NotRead::Json(problem)) => Err(invalid("", problem)),
        Err(NotRead::Twice(place)) => Err(invalid(&place, "must be there once")),
    }
}
