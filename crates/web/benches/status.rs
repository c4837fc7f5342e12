//! A status page with 30 components over 90 days, 5 unresolved and 200 resolved incidents: how long it takes to read and render, and
//! how many requests a second it answers beside a bare axum server with the same bytes. Then 500 connections ask for it 2,000 times
//! a second while an incident is updated every second, and the API is asked beside it.
//!
//! Reach: read and rendered in 3 ms; 0.8 of the bare server; at most 60 KB of HTML with its style; incidents elsewhere change nothing
//! (`DOGWATCH_BENCH_INCIDENTS` of them, 100,000 by default); under load no error, and a p99 of the API below 3 times that without.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use dogwatch_http::{RouterBuilder, Settings, serve};
use dogwatch_store::rules::component::CreateComponent;
use dogwatch_store::rules::id::{ComponentId, IncidentId};
use dogwatch_store::rules::incident::{ChangeStatus, CreateIncident, PostUpdate, Severity, Status};
use dogwatch_store::rules::status_page::{CreateStatusPage, ShowStatusPage};
use dogwatch_store::rules::{Actor, UserId};
use dogwatch_store::{Engine, ManualClock};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{line, median, percentile, seconds_per_call, shown};
use dogwatch_web::{StatusSettings, status_pages};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_millis(800);
const LOAD: Duration = Duration::from_secs(5);

struct Harbour {
    engine: Engine,
    clock: ManualClock,
    ada: Actor,
    owner: UserId,
    components: Vec<ComponentId>,
}

impl Harbour {
    fn open(&self, title: &str, components: Vec<ComponentId>) -> IncidentId {
        let severity = Severity::ALL[title.len() % 4];
        let open = CreateIncident {
            component_ids: components,
            ..CreateIncident::new(title.parse().unwrap(), severity, self.owner)
        };
        self.engine.execute(open, &self.ada).unwrap().id
    }

    fn say(&self, id: IncidentId, text: &str) {
        self.engine.execute(PostUpdate::public(id, text.parse().unwrap()), &self.ada).unwrap();
    }

    fn resolve(&self, id: IncidentId) {
        for status in [Status::Identified, Status::Monitoring, Status::Resolved] {
            self.engine.execute(ChangeStatus::new(id, status), &self.ada).unwrap();
        }
    }
}

/// A page with 90 days behind it.
fn harbour() -> (Harbour, String) {
    let clock = ManualClock::at("2026-01-05T08:00:00Z".parse().unwrap());
    let engine = Engine::builder().clock(clock.clone()).in_memory().unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let component = |n: usize| {
        let label = ["Shop", "Harbour office", "Signals"][n % 3];
        let create = CreateComponent {
            group_label: Some(label.parse().unwrap()),
            ..CreateComponent::new(format!("Component {n}").parse().unwrap())
        };
        engine.execute(create, &ada).unwrap().id
    };
    let components: Vec<_> = (0..30).map(component).collect();
    let page = CreateStatusPage {
        published: true,
        component_ids: components.clone(),
        ..CreateStatusPage::new("Harbour".parse().unwrap(), "harbour".parse().unwrap())
    };
    engine.execute(page, &ada).unwrap();
    let key = created.admin.api_key.secret.reveal().to_owned();
    (Harbour { engine, clock, ada, owner, components }, key)
}

/// 200 incidents over 90 days that are resolved, and 5 that are not.
fn fill(harbour: &Harbour) {
    let pass = |minutes: u64| {
        harbour.clock.set(harbour.engine.now().plus(Duration::from_secs(60 * minutes)));
    };
    for n in 0..200 {
        let id = harbour.open(&format!("Something is slow, no. {n}"), vec![harbour.components[n % 30]]);
        pass(40);
        harbour.resolve(id);
        pass(600);
    }
    for n in 0..5 {
        let id =
            harbour.open(&format!("Checkout is down, no. {n}"), vec![harbour.components[n], harbour.components[n + 7]]);
        for update in 0..4 {
            pass(5);
            harbour
                .say(id, &format!("We are looking into it, for the {update}. time. Card payments fail in some shops."));
        }
    }
}

/// Serves a router on a thread of its own, for as long as the benchmark lasts.
fn served(router: Router) -> SocketAddr {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let mut settings = Settings::default();
    settings.connections_per_address = 1_000;
    thread::spawn(move || runtime.block_on(serve(listener, router, settings, std::future::pending())).unwrap());
    address
}

/// A connection that asks again and again.
struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    request: String,
}

impl Client {
    fn new(address: SocketAddr, path: &str, key: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n");
        Self { stream, reader, request }
    }

    /// Asks once; whether the answer is a 200.
    fn ask(&mut self) -> bool {
        self.stream.write_all(self.request.as_bytes()).unwrap();
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let start = head.len();
            self.reader.read_line(&mut head).unwrap();
            let line = &head[start..];
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).unwrap();
        head.starts_with("HTTP/1.1 200")
    }
}

/// Requests per second over so many connections.
fn rate(address: SocketAddr, path: &str, connections: usize) -> f64 {
    let began = Instant::now();
    let asks = |_| {
        let mut client = Client::new(address, path, "");
        thread::spawn(move || {
            let mut count = 0_u32;
            while began.elapsed() < TIME {
                assert!(client.ask());
                count += 1;
            }
            count
        })
    };
    let threads: Vec<_> = (0..connections).map(asks).collect();
    let count: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    f64::from(count) / began.elapsed().as_secs_f64()
}

/// The times of questions to the API, one after another for a while: the 99th percentile.
fn p99(address: SocketAddr, path: &str, key: &str) -> f64 {
    let mut client = Client::new(address, path, key);
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < LOAD {
        let asked = Instant::now();
        assert!(client.ask());
        times.push(asked.elapsed().as_secs_f64());
        thread::sleep(Duration::from_millis(2));
    }
    times.sort_by(f64::total_cmp);
    percentile(&times, 99)
}

fn main() {
    let (harbour, key) = harbour();
    fill(&harbour);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = |path: &str| {
        // A new router has kept nothing: the page is read and rendered.
        let router = status_pages(harbour.engine.clone(), StatusSettings::default());
        let request = Request::get(path).body(Body::empty()).unwrap();
        let body =
            runtime.block_on(async { router.oneshot(request).await.unwrap().into_body().collect().await.unwrap() });
        body.to_bytes()
    };
    println!("\n30 components, 90 days, 5 unresolved and 200 resolved incidents (medians of {ROUNDS} rounds)\n");
    let (html, style) = (text("/status/harbour"), text("/status/harbour/style.css"));
    line("HTML and its style", &format!("{} KB", (html.len() + style.len()) / 1_000), "reach: 60 KB");
    let read = || {
        let query = ShowStatusPage::new("harbour".parse().unwrap(), harbour.engine.now());
        let page = harbour.engine.query(&query, &Actor::Anybody).unwrap();
        assert_eq!((page.components.len(), page.incidents.len()), (30, 5));
    };
    line("read", &shown(seconds_per_call(ROUNDS, read)), "");
    let alone = seconds_per_call(ROUNDS, || drop(text("/status/harbour")));
    line("read and rendered", &shown(alone), "reach: 3 ms");
    let elsewhere =
        std::env::var("DOGWATCH_BENCH_INCIDENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    for n in 0..elsewhere {
        harbour.open(&format!("Elsewhere {n}"), Vec::new());
    }
    let beside = seconds_per_call(ROUNDS, || drop(text("/status/harbour")));
    line(&format!("the same, beside {elsewhere} other incidents"), &shown(beside), &format!("{:.2} x", beside / alone));

    let pages = || status_pages(harbour.engine.clone(), StatusSettings::default());
    let site = served(RouterBuilder::new(harbour.engine.clone()).beside(pages()).build());
    let bare = served(Router::new().route("/status/harbour", axum::routing::get(move || async move { html.clone() })));
    for connections in [1, 16, 64] {
        let round = |_| (rate(site, "/status/harbour", connections), rate(bare, "/status/harbour", connections));
        let rounds: Vec<_> = (0..ROUNDS).map(round).collect();
        let ours = median(rounds.iter().map(|(ours, _)| *ours).collect());
        let theirs = median(rounds.iter().map(|(_, theirs)| *theirs).collect());
        let beside = format!("{:.2} of a bare server ({theirs:.0}/s); reach: 0.8", ours / theirs);
        line(&format!("{connections} connections"), &format!("{ours:.0}/s"), &beside);
    }
    under_load(&harbour, site, &key);
}

/// 500 connections, 2,000 requests a second, and an update a second.
fn under_load(harbour: &Harbour, site: SocketAddr, key: &str) {
    let id = harbour.open("Checkout is down again", vec![harbour.components[0]]);
    let path = format!("/v1/incidents/{id}");
    let idle = p99(site, &path, key);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..500_u64)
        .map(|n| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let mut client = Client::new(site, "/status/harbour", "");
            thread::spawn(move || {
                thread::sleep(Duration::from_micros(500 * n));
                while !stop.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    assert!(client.ask(), "a reader gets an error");
                    answered.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(250).saturating_sub(asked.elapsed()));
                }
            })
        })
        .collect();
    let (engine, ada, quiet) = (harbour.engine.clone(), harbour.ada, Arc::clone(&stop));
    let writer = thread::spawn(move || {
        while !quiet.load(Ordering::Relaxed) {
            engine.execute(PostUpdate::public(id, "Still down.".parse().unwrap()), &ada).unwrap();
            thread::sleep(Duration::from_secs(1));
        }
    });
    thread::sleep(Duration::from_millis(500));
    let (began, before) = (Instant::now(), answered.load(Ordering::Relaxed));
    let busy = p99(site, &path, key);
    let each = (answered.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    writer.join().unwrap();
    line("500 connections while an incident is updated", &format!("{each:.0}/s"), "no error");
    line(
        "p99 of an API read beside them",
        &shown(busy),
        &format!("{:.1} x idle ({}); reach: 3", busy / idle, shown(idle)),
    );
}
