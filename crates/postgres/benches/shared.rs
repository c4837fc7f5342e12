//! New incidents through the leader of a store in PostgreSQL, beside a store in one folder: one caller, and 64. How long another server takes to take over
//! after a clean stop, and to join a store that has much in it.
//!
//! `DOGWATCH_TEST_POSTGRES` is the URL of a server on which databases may be made, as for the tests. `DOGWATCH_INCIDENTS` says how many incidents there
//! are when another server joins; 100,000 by default.
//!
//! Reach, with one PostgreSQL: 8,000 a second with 64 callers, 1.5 ms with one; a clean take-over within 2 s.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_postgres::{PostgresJournal, Settings};
use dogwatch_store::Engine;
use dogwatch_store::cluster::{Cluster, ClusterOptions, Role, Server, SharedJournal};
use dogwatch_store::rules::incident::{CreateIncident, Severity};
use dogwatch_store::rules::organization::OrganizationCreated;
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{line, resident, shown};
use dogwatch_testkit::times;
use tokio_postgres::NoTls;

const TIME: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
/// How many commands wait at once while a store is filled.
const AHEAD: usize = 2_000;

/// The URL of a database of its own.
fn database() -> String {
    const NAME: &str = "dogwatch_bench";
    let server = std::env::var("DOGWATCH_TEST_POSTGRES").expect("DOGWATCH_TEST_POSTGRES is the URL of a server");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&format!("{server}?sslmode=disable"), NoTls).await.unwrap();
        tokio::spawn(connection);
        for statement in [format!("DROP DATABASE IF EXISTS {NAME} WITH (FORCE)"), format!("CREATE DATABASE {NAME}")] {
            client.batch_execute(&statement).await.unwrap();
        }
    });
    format!("{}?sslmode=disable", server.replace("/postgres", &format!("/{NAME}")))
}

fn join(folder: &Path, name: &str, url: &str) -> Cluster {
    let journal: Arc<dyn SharedJournal> = Arc::new(PostgresJournal::connect(Settings::new(url).unwrap()).unwrap());
    let options = ClusterOptions::new(Server::new(name, format!("http://{name}.example")));
    Cluster::join(folder.join(name), journal, options, Engine::builder).unwrap()
}

/// Seconds until something holds.
fn until<T>(began: Instant, mut look: impl FnMut() -> Option<T>) -> (f64, T) {
    loop {
        if let Some(found) = look() {
            return (began.elapsed().as_secs_f64(), found);
        }
        assert!(began.elapsed() < Duration::from_secs(600), "it does not come");
        thread::sleep(Duration::from_millis(1));
    }
}

fn leads(cluster: &Cluster) -> Option<Engine> {
    match cluster.role() {
        Role::Leads { engine, .. } => Some(engine),
        _ => None,
    }
}

fn incident(created: &OrganizationCreated) -> CreateIncident {
    CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, created.admin.member.id)
}

/// New incidents a second from so many callers.
fn rate(engine: &Engine, created: &OrganizationCreated, callers: usize) -> f64 {
    let began = Instant::now();
    let done: usize = thread::scope(|scope| {
        let call = || {
            let mut done = 0_usize;
            while began.elapsed() < TIME {
                engine.execute(incident(created), &created.actor()).unwrap();
                done += 1;
            }
            done
        };
        let calling: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        calling.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    done as f64 / began.elapsed().as_secs_f64()
}

fn best(rounds: impl Iterator<Item = f64>) -> f64 {
    rounds.fold(0.0, f64::max)
}

fn main() {
    let url = database();
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let one = join(scratch.path(), "one", &url);
    let (_, engine) = until(Instant::now(), || leads(&one));
    let created = organization(&engine);
    let folder = Engine::open(scratch.path().join("folder")).unwrap();
    let created_in_folder = organization(&folder);
    println!("\nnew incidents, durable, a second (the best of {ROUNDS})\n");
    for callers in [1, 64] {
        let rounds: Vec<_> = (0..ROUNDS)
            .map(|_| (rate(&folder, &created_in_folder, callers), rate(&engine, &created, callers)))
            .collect();
        let (alone, shared) = (best(rounds.iter().map(|round| round.0)), best(rounds.iter().map(|round| round.1)));
        line(&format!("one folder, {callers} callers"), &format!("{alone:.0}"), "");
        let beside = format!("{:.2} of the folder; each waits {}", shared / alone, shown(callers as f64 / shared));
        line(&format!("the leader over PostgreSQL, {callers} callers"), &format!("{shared:.0}"), &beside);
    }

    let wanted = times("DOGWATCH_INCIDENTS", 100_000_usize);
    for _ in 0..wanted.div_ceil(AHEAD) {
        let pending: Vec<_> =
            (0..AHEAD).map(|_| engine.submit(incident(&created), &created.actor()).unwrap()).collect();
        pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    }
    let began = Instant::now();
    let other = join(scratch.path(), "other", &url);
    let shows = |engine: &Engine| other.role().engine().is_some_and(|copy| copy.head() == engine.head());
    let (took, ()) = until(began, || shows(&engine).then_some(()));
    println!();
    line(&format!("another server joins, {wanted} incidents and those of before"), &shown(took), &resident());
    drop(engine);
    let began = Instant::now();
    one.stop();
    let (took, _) = until(began, || leads(&other));
    line("it leads after the leader was stopped", &shown(took), "of 2 s allowed");
}
