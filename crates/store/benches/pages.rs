//! A page of 20 under every kind of filter, of ten thousand and of a million incidents in one organization.
//!
//! Reach: the page of the million within twice the page of the ten thousand.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dogwatch_core::incident::{ChangeStatus, CreateIncident, Cursor, IncidentFilter, ListIncidents, Severity, Status};
use dogwatch_core::{Actor, Timestamp};
use dogwatch_store::{Engine, ManualClock};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{line, resident, seconds_per_call, shown};

const ROUNDS: usize = 7;
const BEGINNING: i64 = 1_775_556_000_000;
/// Between one incident and the next.
const STEP: i64 = 10_000;
/// How many commands wait at once while a store is filled.
const AHEAD: u32 = 2_000;

fn at(incident: u32) -> Timestamp {
    Timestamp::from_millis(BEGINNING + i64::from(incident) * STEP).unwrap()
}

/// A store of so many incidents: all severities alike; one in 50 identified, one in 500 resolved.
fn filled(folder: &Path, incidents: u32) -> (Engine, Actor) {
    let clock = ManualClock::at(at(0));
    let engine = Engine::builder().clock(clock.clone()).open(folder).unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let severities = Severity::ALL.into_iter().cycle();
    let numbered: Vec<_> = (0..incidents).zip(severities).collect();
    for chunk in numbered.chunks(usize::try_from(AHEAD).unwrap()) {
        clock.set(at(chunk.first().unwrap().0));
        let open = |severity| CreateIncident {
            description: Some("All card payments fail. Support sees about forty tickets.".parse().unwrap()),
            ..CreateIncident::new("Checkout is down".parse().unwrap(), severity, owner)
        };
        let pending: Vec<_> = chunk.iter().map(|(n, s)| (n, engine.submit(open(*s), &ada).unwrap())).collect();
        let mut moves = Vec::new();
        for (n, pending) in pending {
            let id = pending.wait().unwrap().id;
            let last = if n % 500 == 0 { Some(Status::Resolved) } else { (n % 50 == 0).then_some(Status::Identified) };
            let steps = Status::ALL.into_iter().filter(|step| *step != Status::Investigating && Some(*step) <= last);
            moves.extend(steps.map(|step| engine.submit(ChangeStatus::new(id, step), &ada).unwrap()));
        }
        moves.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    }
    (engine, ada)
}

fn main() {
    if let Some(folder) = std::env::var_os(OPEN) {
        return open_and_read(Path::new(&folder));
    }
    if let Some(folder) = std::env::var_os(DIE) {
        return write_and_die(Path::new(&folder));
    }
    let (few, many) = (10_000, 1_000_000);
    let open = |incidents| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let began = Instant::now();
        let (engine, ada) = filled(folder.path(), incidents);
        println!("{incidents} incidents written in {}", shown(began.elapsed().as_secs_f64()));
        (folder, engine, ada)
    };
    let small = open(few);
    let large = open(many);

    let status = |status| IncidentFilter { status: Some(status), ..Default::default() };
    let severity = |severity| IncidentFilter { severity: Some(severity), ..Default::default() };
    let filters = [
        ("no filter", IncidentFilter::default()),
        ("status investigating", status(Status::Investigating)),
        ("status resolved (one in 500)", status(Status::Resolved)),
        ("severity low", severity(Severity::Low)),
        ("resolved and critical", IncidentFilter { severity: Some(Severity::Critical), ..status(Status::Resolved) }),
        ("investigating and low", IncidentFilter { severity: Some(Severity::Low), ..status(Status::Investigating) }),
        ("from and to", IncidentFilter { from: Some(at(2_000)), to: Some(at(6_000)), ..Default::default() }),
        (
            "from, to, status, severity",
            IncidentFilter {
                from: Some(at(2_000)),
                to: Some(at(8_000)),
                severity: Some(Severity::Low),
                ..status(Status::Investigating)
            },
        ),
    ];
    println!("\na page of 20 of {few} and of {many} incidents (median of {ROUNDS} rounds)\n");
    let page = |store: &(tempfile::TempDir, Engine, Actor), filter: IncidentFilter, cursor: Option<Cursor>| {
        let query = ListIncidents { filter, cursor, ..Default::default() };
        let (_, engine, ada) = store;
        seconds_per_call(ROUNDS, || drop(black_box(engine.query(&query, ada).unwrap())))
    };
    let mut worst: f64 = 0.0;
    let mut compare = |what: &str, few: f64, many: f64| {
        worst = worst.max(many / few);
        line(what, &shown(many), &format!("{:.2} x the same of ten thousand ({})", many / few, shown(few)));
    };
    for (what, filter) in filters {
        compare(what, page(&small, filter, None), page(&large, filter, None));
    }
    // A cursor deep inside: the page behind the 100th.
    let deep = |store: &(tempfile::TempDir, Engine, Actor)| {
        let (_, engine, ada) = store;
        let mut query = ListIncidents::default();
        for _ in 0..100 {
            query.cursor = engine.query(&query, ada).unwrap().next_cursor;
        }
        query.cursor
    };
    let (few, many) = (deep(&small), deep(&large));
    compare(
        "the page behind the 100th",
        page(&small, IncidentFilter::default(), few),
        page(&large, IncidentFilter::default(), many),
    );
    println!("\nworst ratio {worst:.2}, of 2 allowed");
    let (folder, engine, _) = large;
    drop(engine);
    // What was written since the last opening is read again; then sled has a summary of it.
    println!("\nopening a store of a million, in a process of its own");
    let child = |what| Command::new(std::env::current_exe().unwrap()).env(what, folder.path()).status().unwrap();
    for time in ["first", "second"] {
        println!("for the {time} time");
        assert!(child(OPEN).success());
    }
    println!("after a kill");
    assert!(!child(DIE).success());
    assert!(child(OPEN).success());
}

/// In the child: the store in which to write and die.
const DIE: &str = "PAGES_DIE";

/// Writes as much as may wait for the backend, nearly, and ends as if it were killed.
fn write_and_die(folder: &Path) {
    let engine = Engine::builder().checkpoint_after(Duration::MAX, usize::MAX).open(folder).unwrap();
    let ada = engine.first_admin(engine.organizations().unwrap()[0].id).unwrap();
    let Actor::Member { user_id: owner, .. } = ada else { return };
    let mut incidents = 0;
    for _ in 0..150 {
        let open = || CreateIncident::new("Checkout is down".parse().unwrap(), Severity::Low, owner);
        let pending: Vec<_> = (0..1_000).map(|_| engine.submit(open(), &ada).unwrap()).collect();
        incidents += pending.into_iter().map(|one| one.wait().unwrap()).collect::<Vec<_>>().len();
    }
    line("incidents that only the journal has", &incidents.to_string(), "");
    std::process::abort();
}

/// In the child: the store to open.
const OPEN: &str = "PAGES_OPEN";

/// Opens a store, answers, reads on for a while; says how long the first answer took and how much memory there is.
fn open_and_read(folder: &Path) {
    let began = Instant::now();
    let engine = Engine::open(folder).unwrap();
    let ada = engine.first_admin(engine.organizations().unwrap()[0].id).unwrap();
    let mut query = ListIncidents::default();
    assert_eq!(engine.query(&query, &ada).unwrap().incidents.len(), 20);
    line("to the first answer", &shown(began.elapsed().as_secs_f64()), "");
    line("memory then", &resident(), "");
    for _ in 0..50_000 {
        query.cursor = engine.query(&query, &ada).unwrap().next_cursor;
    }
    line("memory after all pages were read", &resident(), "");
}
