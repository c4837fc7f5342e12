//! Serving a router over HTTP/1.1: [`serve`], with the limits in [`Settings`].
//!
//! A connection beyond the limit gets a 503 with `Retry-After` before anything of it is read (contract, section 2). A server
//! that is told to stop accepts no further connection and finishes the requests under way.

mod seats;
mod wire;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
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
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower::{Service, ServiceExt};

use crate::api::{failed, new_id};
use crate::error::Failure;
pub(crate) use seats::place;
use seats::{Seat, Seats};
use wire::Wire;

/// The most bytes of a request's head.
const LARGEST_HEAD: usize = 64 << 10;
/// The most headers of a request.
const MOST_HEADERS: usize = 100;
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
    /// How long a client may take to send its headers, and how long a connection may be idle; 10 s by default.
    pub header_time: Duration,
    /// How long a client may read nothing of a response; 30 s by default.
    pub write_time: Duration,
    /// How long requests under way may take to finish when the server stops; 10 s by default.
    pub drain_time: Duration,
    /// Counts the connections for which there was no seat.
    pub turned_away: Arc<AtomicU64>,
}

impl Default for Settings {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self {
            connections: 1_024,
            connections_per_address: 256,
            header_time: ten,
            write_time: Duration::from_secs(30),
            drain_time: ten,
            turned_away: Arc::default(),
        }
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
        let wire = Wire::new(stream, settings.write_time);
        let Some(seat) = seats.take(address.ip()) else {
            settings.turned_away.fetch_add(1, Ordering::Relaxed);
            if let Ok(one) = Arc::clone(&turned_away).try_acquire_owned() {
                tokio::spawn(async move {
                    turn_away(wire).await;
                    drop(one);
                });
            }
            continue;
        };
        tokio::spawn(connection(wire, address, router.clone(), settings.header_time, stopping.clone(), seat));
    }
    drop(listener);
    let _ = stops.send(true);
    let _ = tokio::time::timeout(settings.drain_time, seats.all_free()).await;
    Ok(())
}

async fn turn_away(mut wire: Wire) {
    wire.refuse(Code::Overloaded, "there are too many connections").await;
    wire.close().await;
}

/// Answers the requests of one connection, one after another.
async fn connection(
    wire: Wire,
    address: SocketAddr,
    router: watch::Receiver<Router>,
    header_time: Duration,
    mut stopping: watch::Receiver<bool>,
    seat: Seat,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut router = router.borrow().clone();
        Box::pin(async move {
            if let Some((code, problem)) = unfit(request.uri(), request.version(), request.headers()) {
                return Ok::<_, Infallible>(refused(code, problem));
            }
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            match ServiceExt::<Request<Body>>::ready(&mut router).await {
                Ok(router) => router.call(request).await,
                Err(never) => match never {},
            }
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_time)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(wire), service);
    let mut told = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
            _ = stopping.wait_for(|stop| *stop), if !told => {
                told = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
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
    drop(seat);
}

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
    if hosts > 1 || (hosts == 0 && version >= Version::HTTP_11) {
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
