//! Serving a router over HTTP/1.1: [`serve`], with the limits in [`Settings`].
//!
//! A connection beyond the limit gets a 503 with `Retry-After` before anything of it is read (contract, section 2). A server
//! that is told to stop accepts no further connection and finishes the requests under way.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use dogwatch_store::rules::Code;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::{Service, ServiceExt};

use crate::api::{identified, new_id};
use crate::error::Failure;

/// Limits of a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The most connections at once; 1,024 by default. Those beyond the limit are answered with 503 `overloaded`.
    pub connections: usize,
    /// How long a client may take to send its headers, and how long a connection may be idle; 10 s by default.
    pub header_time: Duration,
    /// How long requests under way may take to finish when the server stops; 10 s by default.
    pub drain_time: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { connections: 1_024, header_time: ten, drain_time: ten }
    }
}

/// The whole response to a connection beyond the limit: 503 `overloaded`. Nothing of the connection is read.
fn overloaded() -> Vec<u8> {
    let (id, failure) = (new_id(), Failure::new(Code::Overloaded, "there are too many connections"));
    let body = identified(failure.body().to_string().as_bytes(), &id);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nx-request-id: {id}\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &body].concat()
}

/// Serves a router until `stop` completes, then finishes the requests under way; those that are not finished after
/// [`Settings::drain_time`] are left behind.
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
    let seats = Arc::new(Semaphore::new(settings.connections));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // The connection is gone already, or there are too many open files: the next one may do better.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            tokio::spawn(turn_away(stream));
            continue;
        };
        // Responses are small, and clients wait for them.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut router = router.clone();
            async move {
                let router = ServiceExt::<hyper::Request<Body>>::ready(&mut router).await?;
                router.call(request.map(Body::new)).await
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_time)
            .max_headers(100)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // The client went away, or did not speak HTTP: nothing to do.
            let _ = connection.await;
            drop(seat);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(settings.drain_time, graceful.shutdown()).await;
    Ok(())
}

async fn turn_away(mut stream: TcpStream) {
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&overloaded())).await;
}
