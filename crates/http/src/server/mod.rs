//! Serving a router over HTTP/1.1, and over HTTP/2 in TLS: [`serve`], with the limits in [`Settings`].
//!
//! A connection beyond the limit gets a 503 with `Retry-After` before anything of it is read (contract, section 2). A server
//! that is told to stop accepts no further connection and finishes the requests under way.

mod lent;
mod seats;
#[cfg(feature = "tls")]
mod tls;
mod turn;
mod wire;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, Response, Uri, Version, header};
use dogwatch_store::rules::Code;
use hyper::body::Incoming;
use hyper::server::conn::http1;
#[cfg(feature = "tls")]
use hyper::server::conn::http2;
use hyper::service::service_fn;
#[cfg(feature = "tls")]
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::{Service, ServiceExt};

use crate::api::{failed, new_id};
use crate::error::Failure;
use crate::proxy::TrustedProxies;
use lent::lend;
use seats::Seats;
pub(crate) use seats::place;
#[cfg(feature = "tls")]
pub use tls::Certificates;
use turn::pay_for_request;
use wire::Wire;

/// The most bytes of a request's head.
const LARGEST_HEAD: usize = 64 << 10;
/// The most headers of a request.
const MOST_HEADERS: usize = 100;
/// The most requests at once on one connection of HTTP/2.
#[cfg(feature = "tls")]
const MOST_STREAMS: u32 = 100;
/// The most connections that are being told that there is no seat.
const TURNED_AWAY: usize = 256;

/// Limits of a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The most connections at once; 1,024 by default. Those beyond the limit are answered with 503 `overloaded`.
    pub connections: usize,
    /// The most of them from one address, or from one /64 of IPv6; 256 by default. Behind a proxy, all come from its address.
    pub connections_per_address: usize,
    /// Proxies, whose connections are not counted for their addresses.
    pub trusted_proxies: TrustedProxies,
    /// How long a client may take to send its headers, and how long a connection may be idle; 10 s by default.
    pub header_time: Duration,
    /// How long a client may read nothing of a response; 30 s by default.
    pub write_time: Duration,
    /// How long requests under way may take to finish when the server stops; 10 s by default.
    pub drain_time: Duration,
    /// The certificate with which TLS is served, HTTP/2 included; without one, HTTP/1.1 is served in plain.
    #[cfg(feature = "tls")]
    pub tls: Option<Certificates>,
    /// Counts the connections for which there was no seat.
    pub turned_away: Arc<AtomicU64>,
}

impl Default for Settings {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self {
            connections: 1_024,
            connections_per_address: 256,
            trusted_proxies: TrustedProxies::default(),
            header_time: ten,
            write_time: Duration::from_secs(30),
            drain_time: ten,
            #[cfg(feature = "tls")]
            tls: None,
            turned_away: Arc::default(),
        }
    }
}

impl Settings {
    #[cfg(feature = "tls")]
    const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self, reason = "with the feature, the settings say it")]
    const fn is_tls(&self) -> bool {
        false
    }
}

/// Serves a router until `stop` completes, then finishes the requests under way; those that are not finished after
/// [`Settings::drain_time`] are left behind. Each request has the client's address in the extension [`ConnectInfo`].
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = dogwatch_store::Engine::open("dogwatch-data")?;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// let mut settings = dogwatch_http::Settings::default();
/// settings.connections = 200;
/// let stop = std::future::pending(); // complete it to stop
/// dogwatch_http::serve(listener, dogwatch_http::router(engine), settings, stop).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// None at present: a connection that cannot be accepted is waited out, since that passes.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (_same, router) = watch::channel(router);
    serve_latest(listener, router, settings, stop).await
}

/// As [`serve`], with a router that may change: each request is answered by the latest. So a program opens its store again after a
/// failure, without closing connections.
///
/// # Errors
/// As for [`serve`].
pub async fn serve_latest(
    listener: TcpListener,
    router: watch::Receiver<Router>,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let seats = Seats::new(settings.connections, settings.connections_per_address);
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let (stops, stopping) = watch::channel(false);
    let serving = Arc::new(Serving { settings, router, stopping });
    let settings = &serving.settings;
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // The connection is gone already, or there are too many open files: the next one may do better.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let serving = Arc::clone(&serving);
        let Some(seat) = seats.take(address.ip(), settings.trusted_proxies.trusts(address.ip())) else {
            settings.turned_away.fetch_add(1, Ordering::Relaxed);
            if let Ok(one) = Arc::clone(&turned_away).try_acquire_owned() {
                tokio::spawn(async move {
                    turn_away(stream, &serving.settings).await;
                    drop(one);
                });
            }
            continue;
        };
        tokio::spawn(async move {
            serving.connection(stream, address).await;
            drop(seat);
        });
    }
    drop(listener);
    let _ = stops.send(true);
    let _ = tokio::time::timeout(settings.drain_time, seats.all_free()).await;
    Ok(())
}

/// Tells a client that there is no seat. In TLS there is no word before the handshake: its connection is only closed.
async fn turn_away(stream: TcpStream, settings: &Settings) {
    if settings.is_tls() {
        return;
    }
    let mut wire = Wire::new(stream, settings.write_time);
    wire.refuse(Code::Overloaded, "there are too many connections").await;
    wire.close().await;
}

/// What the connections of a server have in common.
struct Serving {
    settings: Settings,
    router: watch::Receiver<Router>,
    stopping: watch::Receiver<bool>,
}

impl Serving {
    /// Answers the requests of one connection.
    async fn connection(&self, stream: TcpStream, address: SocketAddr) {
        // Responses are small, and clients wait for them.
        let _ = stream.set_nodelay(true);
        #[cfg(feature = "tls")]
        if let Some(certificates) = &self.settings.tls {
            let shaken = tokio::time::timeout(self.settings.header_time, certificates.accept(stream)).await;
            // Whoever does not get through it has been told why by TLS.
            let Ok(Ok(stream)) = shaken else { return };
            return match tls::is_http2(&stream) {
                true => self.http2(Wire::new(stream, self.settings.write_time), address).await,
                false => self.http1(Wire::new(stream, self.settings.write_time), address).await,
            };
        }
        self.http1(Wire::new(stream, self.settings.write_time), address).await;
    }

    /// What answers a request.
    fn service(&self, address: SocketAddr) -> impl Fn(Request<Incoming>) -> Answering + use<> {
        let router = self.router.clone();
        move |request| {
            let mut router = router.borrow().clone();
            Box::pin(async move {
                pay_for_request().await;
                if let Some((code, problem)) = unfit(request.uri(), request.version(), request.headers()) {
                    return Ok(refused(code, problem));
                }
                let (head, body) = request.into_parts();
                let (body, lender) = lend(body);
                let mut request = Request::from_parts(head, Body::new(body));
                request.extensions_mut().insert(ConnectInfo(address));
                let is_http1 = request.version() < Version::HTTP_2;
                let mut answer = match ServiceExt::<Request<Body>>::ready(&mut router).await {
                    Ok(router) => router.call(request).await,
                    Err(never) => match never {},
                };
                if let (true, true, Ok(answer)) = (lender.take_back(), is_http1, &mut answer) {
                    answer.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
                }
                answer
            })
        }
    }

    /// Answers the requests of one connection, one after another.
    async fn http1<S: wire::Socket>(&self, wire: Wire<S>, address: SocketAddr) {
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.settings.header_time)
            .max_headers(MOST_HEADERS)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(wire), service_fn(self.service(address)));
        let (mut stopping, mut told) = (self.stopping.clone(), false);
        let ended = loop {
            tokio::select! {
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
                _ = stopping.wait_for(|stop| *stop), if !told => {
                    told = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        let mut wire = connection.into_parts().io.into_inner();
        match ended {
            // The client went away, or reads nothing.
            Err(error) if !error.is_parse() && !error.is_timeout() => {}
            ended => {
                if let Some(code) = wire.refused(ended.is_err_and(|error| error.is_timeout())) {
                    wire.refuse(code, code.row().meaning).await;
                }
                wire.close().await;
            }
        }
    }

    /// Answers the requests of one connection, several at a time. One on which nothing is asked for a while is closed, and what its client
    /// does not read then is lost.
    #[cfg(feature = "tls")]
    async fn http2<S: wire::Socket>(&self, wire: Wire<S>, address: SocketAddr) {
        let (begun, under_way) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let answer = self.service(address);
        let service = {
            let (begun, under_way) = (Arc::clone(&begun), Arc::clone(&under_way));
            move |request| {
                begun.fetch_add(1, Ordering::Relaxed);
                under_way.fetch_add(1, Ordering::Relaxed);
                let (answer, under_way) = (answer(request), Arc::clone(&under_way));
                async move {
                    let answered = answer.await;
                    under_way.fetch_sub(1, Ordering::Relaxed);
                    answered
                }
            }
        };
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(self.settings.header_time))
            .keep_alive_timeout(self.settings.header_time)
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX))
            .serve_connection(TokioIo::new(wire), service_fn(service));
        let mut connection = std::pin::pin!(connection);
        let (mut stopping, mut told, mut seen) = (self.stopping.clone(), false, 0);
        let mut look = tokio::time::Instant::now() + self.settings.header_time;
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = stopping.wait_for(|stop| *stop), if !told => {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = tokio::time::sleep_until(look) => {
                    let now = begun.load(Ordering::Relaxed);
                    let idle = now == seen && under_way.load(Ordering::Relaxed) == 0;
                    seen = now;
                    match (idle, told) {
                        (true, true) => return,
                        (true, false) => {
                            told = true;
                            connection.as_mut().graceful_shutdown();
                            look += self.settings.write_time;
                        }
                        (false, _) => look += self.settings.header_time,
                    }
                }
            }
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// What is wrong with a head that the HTTP layer lets pass: it is larger than may be, or ambiguous, so that two parties that read it
/// could take it for different requests.
fn unfit(uri: &Uri, version: Version, headers: &HeaderMap) -> Option<(Code, &'static str)> {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    if path > LARGEST_HEAD {
        return Some((Code::UriTooLong, "the path and query are longer than 64 KiB"));
    }
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum();
    if path.saturating_add(size) > LARGEST_HEAD {
        return Some((Code::HeadersTooLarge, "the head is larger than 64 KiB"));
    }
    malformed(version, headers).map(|problem| (Code::MalformedRequest, problem))
}

fn malformed(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return Some("the header `Host` must be there once");
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        _ => Some("the only `Transfer-Encoding` is `chunked`, once"),
    }
}

/// The answer to a head that is unfit, after which the connection is closed: what follows may be anything.
fn refused(code: Code, problem: &str) -> Response<Body> {
    let mut response = failed(&Failure::new(code, problem), &new_id());
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}
