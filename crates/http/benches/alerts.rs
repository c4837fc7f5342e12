//! Alerts over HTTP, durable: how many a second from 64 connections, of keys that fire already and of new ones; and how long they take at
//! 1,000 a second while 400 other commands a second run beside.
//!
//! Reach: 5,000 a second from 64 connections; a 99th percentile under 20 ms at 1,000 a second; an alert that only counts costs one row.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_http::{Settings, router, serve};
use dogwatch_store::Engine;
use dogwatch_store::rules::incident::{CreateIncident, Severity};
use dogwatch_store::rules::integration::{CreateIntegration, IntegrationKind};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{line, percentile, shown};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: usize = 64;
const TIME: Duration = Duration::from_secs(3);

/// One connection of a sender.
struct Sender {
    stream: BufReader<TcpStream>,
    path: String,
}

impl Sender {
    fn new(address: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), path: path.to_owned() }
    }

    /// Sends an alert of a key, and waits until it is durable.
    fn fire(&mut self, key: &str) {
        let body = format!(r#"{{"key":"{key}","state":"firing","title":"Disk full on {key}","severity":"high"}}"#);
        let request = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", self.path, body.len());
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let start = head.len();
            self.stream.read_line(&mut head).unwrap();
            let last = head.get(start..).unwrap();
            if let Some(value) = last.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if last == "\r\n" {
                break;
            }
        }
        assert!(head.starts_with("HTTP/1.1 202"), "{head}");
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).unwrap();
    }
}

/// Alerts a second from many connections; `key` gives the key of each.
fn rate(address: SocketAddr, path: &str, key: impl Fn(usize, u64) -> String + Sync) -> f64 {
    let (began, key) = (Instant::now(), &key);
    let count: u64 = thread::scope(|scope| {
        let sender = |number| {
            scope.spawn(move || {
                let (mut sender, mut count) = (Sender::new(address, path), 0);
                while began.elapsed() < TIME {
                    sender.fire(&key(number, count));
                    count += 1;
                }
                count
            })
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(sender).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    count as f64 / began.elapsed().as_secs_f64()
}

/// How long each alert takes, at so many a second, beside commands of others.
fn latencies(address: SocketAddr, path: &str, a_second: u32, others: impl Fn() + Sync) -> Vec<f64> {
    const SENDERS: u32 = 16;
    let done = AtomicBool::new(false);
    let (every, began, done) = (Duration::from_secs(1) * SENDERS / a_second, Instant::now(), &done);
    thread::scope(|scope| {
        let beside = scope.spawn(|| {
            for turn in 0_u32.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                others();
                thread::sleep((began + Duration::from_micros(2_500) * turn).saturating_duration_since(Instant::now()));
            }
        });
        let sender = |number: u32| {
            scope.spawn(move || {
                let (mut sender, mut took) = (Sender::new(address, path), Vec::new());
                for turn in 0_u32.. {
                    let due = began + every * turn + every / SENDERS * number;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    if began.elapsed() > TIME {
                        return took;
                    }
                    sender.fire(&format!("host{}", turn % 500));
                    // What had to wait for an earlier one waited, too.
                    took.push(due.elapsed().as_secs_f64());
                }
                took
            })
        };
        let threads: Vec<_> = (0..SENDERS).map(sender).collect();
        let all = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        beside.join().unwrap();
        all
    })
}

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let add = |name: &str| {
        let create = CreateIntegration::new(name.parse().unwrap(), IntegrationKind::Generic);
        let token = engine.execute(create, &ada).unwrap().token;
        format!("/integrations/generic/{}", token.reveal())
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(engine.clone());
    thread::spawn(move || {
        runtime.block_on(serve(listener, app, Settings::default(), std::future::pending())).unwrap();
    });
    println!("\nalerts over HTTP, durable, from {CONNECTIONS} connections for {TIME:?}\n");

    let path = add("the same");
    let rows = engine.load();
    let same = rate(address, &path, |number, _| format!("host{number}"));
    line("alerts that count", &format!("{same:.0}/s"), "goal: 5,000/s");
    let after = engine.load();
    let (alerts, batches) = (after.commands - rows.commands, after.batches - rows.batches);
    line("commands in a commit", &format!("{:.1}", alerts as f64 / batches.max(1) as f64), "");
    let new = rate(address, &add("new"), |number, count| format!("{number}/{count}"));
    line("new alerts, in a storm", &format!("{new:.0}/s"), "");

    let path = add("steady");
    let command = || {
        let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
        engine.execute(open, &ada).unwrap();
    };
    let mut took = latencies(address, &path, 1_000, command);
    took.sort_by(f64::total_cmp);
    let (half, most) = (percentile(&took, 50), percentile(&took, 99));
    line(
        "1,000 a second beside 400 new incidents a second",
        &shown(most),
        &format!("99th percentile; median {}", shown(half)),
    );
}
