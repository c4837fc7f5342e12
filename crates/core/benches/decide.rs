//! One status decision: validation, rules, reply, changes, audit events; from a world in memory.
//!
//! The other lines say what it is made of. Reach: a decision in under a microsecond.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::hint::black_box;

use dogwatch_core::incident::{ChangeStatus, CreateIncident, PostUpdate, Severity, Status};
use dogwatch_core::memory::MemoryState;
use dogwatch_core::{Actor, IdSource, Timestamp, decide};
use dogwatch_testkit::fixture::create_organization;
use dogwatch_testkit::measure::{line, seconds_per_call, shown};

const ROUNDS: usize = 9;

fn main() {
    let mut world = MemoryState::new();
    let mut ids = IdSource::from_seed([1; 32]);
    let now = Timestamp::parse("2026-04-07T10:00:00Z").unwrap();
    let created = world.execute(create_organization(), &Actor::Operator, now, &mut ids).unwrap();
    let ada = created.actor();
    let open = CreateIncident {
        description: Some("All card payments fail since 10:00.".parse().unwrap()),
        ..CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, created.admin.member.id)
    };
    let incidents: Vec<_> = (0..1_000).map(|_| world.execute(open.clone(), &ada, now, &mut ids).unwrap().id).collect();
    let id = incidents[500];

    println!("\none decision in core, among 1,000 incidents in memory (median of {ROUNDS} rounds)\n");
    let status = seconds_per_call(ROUNDS, || {
        let command = ChangeStatus::new(black_box(id), Status::Identified);
        black_box(decide(command, &ada, &world, now, &mut ids).unwrap());
    });
    line("change of status", &shown(status), &format!("{:.2} of the 1 µs allowed", status / 1e-6));
    let refused = seconds_per_call(ROUNDS, || {
        let command = ChangeStatus::new(black_box(id), Status::Resolved);
        black_box(decide(command, &ada, &world, now, &mut ids).unwrap_err());
    });
    line("change of status, refused", &shown(refused), &format!("{:.2} of the one that succeeds", refused / status));
    let body: dogwatch_core::text::UpdateBody = "We found the cause.".parse().unwrap();
    let update = seconds_per_call(ROUNDS, || {
        let command = PostUpdate::internal(black_box(id), body.clone());
        black_box(decide(command, &ada, &world, now, &mut ids).unwrap());
    });
    line("update", &shown(update), &format!("{:.2} of a change of status", update / status));
    let create = seconds_per_call(ROUNDS, || {
        black_box(decide(open.clone(), &ada, &world, now, &mut ids).unwrap());
    });
    line("new incident", &shown(create), &format!("{:.2} of a change of status", create / status));
}
