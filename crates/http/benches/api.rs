//! Requests per second over loopback, beside a bare axum server that answers the same JSON from memory, behind the same
//! server and the same envelope.
//!
//! Reach: reads at least 0.6 of the bare server; durable POSTs at 64 connections at least 5 times those at one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use dogwatch_http::{Settings, router, serve};
use dogwatch_store::Engine;
use dogwatch_store::rules::incident::{CreateIncident, Severity};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{line, median};
use tower_http::catch_panic::CatchPanicLayer;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_millis(800);

/// Serves a router on a thread of its own, for as long as the benchmark lasts.
fn served(router: Router) -> SocketAddr {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        runtime.block_on(serve(listener, router, Settings::default(), std::future::pending())).unwrap();
    });
    address
}

/// Where a request says which it is, so that no two are the same.
const NUMBER: &str = "00000000";

/// One connection that sends the same request again and again, but for its number.
fn requests(address: SocketAddr, request: &str, first: u32, until: Instant) -> u64 {
    let number = request.find(NUMBER);
    let mut request = request.as_bytes().to_vec();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut count, mut head, mut body) = (0, String::new(), Vec::new());
    while Instant::now() < until {
        if let Some(at) = number {
            let number = format!("{:08x}", u64::from(first) + count);
            request[at..at + NUMBER.len()].copy_from_slice(number.as_bytes());
        }
        stream.write_all(&request).unwrap();
        let mut length = 0;
        head.clear();
        loop {
            let start = head.len();
            reader.read_line(&mut head).unwrap();
            let line = head.get(start..).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        assert!(head.starts_with("HTTP/1.1 20"), "{head}");
        body.resize(length, 0);
        reader.read_exact(&mut body).unwrap();
        count += 1;
    }
    count
}

/// Requests per second over so many connections.
fn rate(address: SocketAddr, request: &str, connections: usize) -> f64 {
    let request: Arc<str> = request.into();
    let began = Instant::now();
    let until = began + TIME;
    let threads: Vec<_> = (0..connections)
        .map(|thread| {
            let (request, first) = (Arc::clone(&request), u32::try_from(thread << 24).unwrap());
            thread::spawn(move || requests(address, &request, first, until))
        })
        .collect();
    let count: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    f64::from(u32::try_from(count).unwrap()) / began.elapsed().as_secs_f64()
}

/// A server that has its answer ready.
fn bare(body: String) -> Router {
    let body: Arc<str> = body.into();
    let answer = move || {
        let body = Arc::clone(&body);
        async move {
            let id = uuid::Uuid::new_v4().to_string();
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (header::HeaderName::from_static("x-request-id"), HeaderValue::from_str(&id).unwrap()),
            ];
            (headers, body.to_string()).into_response()
        }
    };
    Router::new()
        .route("/v1/incidents", get(answer.clone()).post(answer.clone()))
        .route("/v1/incidents/{id}", get(answer))
        .layer(CatchPanicLayer::new())
}

/// The body of one answer.
fn body(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let open = || CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
    let ids: Vec<_> = (0..200).map(|_| engine.execute(open(), &ada).unwrap().id).collect();
    let key = created.admin.api_key.secret.reveal();
    let server = served(router(engine));
    let request = |method: &str, path: &str, body: &str| {
        let content = if body.is_empty() {
            String::new()
        } else {
            format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
        };
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{content}\r\n{body}")
    };
    println!("\nrequests per second over loopback (median of {ROUNDS} rounds of {TIME:?})\n");
    let post = request(
        "POST",
        "/v1/incidents",
        &format!("{{\"title\":\"Checkout is down\",\"severity\":\"high\",\"ownerId\":\"{owner}\"}}"),
    );
    for (what, request) in [
        ("GET one incident", request("GET", &format!("/v1/incidents/{}", ids[100]), "")),
        ("GET a page of 20", request("GET", "/v1/incidents", "")),
        ("GET another page of 20 each time", request("GET", &format!("/v1/incidents?unknown={NUMBER}"), "")),
    ] {
        let bare = served(bare(body(server, &request)));
        for connections in [1, 16, 64] {
            let rounds: Vec<_> =
                (0..ROUNDS).map(|_| (rate(server, &request, connections), rate(bare, &request, connections))).collect();
            let ours = median(rounds.iter().map(|(ours, _)| *ours).collect());
            let theirs = median(rounds.iter().map(|(_, theirs)| *theirs).collect());
            line(
                &format!("{what}, {connections} connections"),
                &format!("{ours:.0}/s"),
                &format!("{:.2} of a bare server ({theirs:.0}/s)", ours / theirs),
            );
        }
    }
    let mut alone = 0.0;
    for connections in [1, 16, 64] {
        let ours = median((0..ROUNDS).map(|_| rate(server, &post, connections)).collect());
        alone = if connections == 1 { ours } else { alone };
        line(
            &format!("POST an incident, {connections} connections"),
            &format!("{ours:.0}/s"),
            &format!("{:.1} x one connection", ours / alone),
        );
    }
}
