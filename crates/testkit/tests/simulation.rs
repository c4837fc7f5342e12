//! A few simulated nights; `cargo run --release -p dogwatch-testkit --example simulate` runs as many as one likes.
#![allow(clippy::panic, clippy::print_stdout, reason = "a test fails by panicking, and tells what was noticed")]

use dogwatch_testkit::simulation::{Report, SimulatedDisk, repeat, simulate};

/// How many nights a normal test run has.
const NIGHTS: u64 = 12;

#[test]
fn nights_without_a_complaint() {
    let mut total = Report::default();
    for seed in 1_000_000..1_000_000 + NIGHTS {
        match simulate(seed, SimulatedDisk::default()) {
            Ok(report) => total.add(&report),
            Err(complaint) => panic!("{complaint}\n\nrepeat it with\n  {}", repeat(seed)),
        }
    }
    // It would prove nothing if nothing had happened.
    assert!(total.kills > 0 && total.faults > 0 && total.unknown > 0 && total.races > 0, "{total:?}");
    assert!(total.fired > 500 && total.pages > 1_000 && total.claims > 300 && total.statuses > 300, "{total:?}");
    assert!(total.alerts > 2_000 && total.alerted > 500 && total.storms > 0, "{total:?}");
    assert!(total.refused > 200 && total.changes > 200, "{total:?}");
}

#[test]
fn a_seed_fixes_everything() {
    for seed in [3, 4] {
        assert_eq!(simulate(seed, SimulatedDisk::default()), simulate(seed, SimulatedDisk::default()));
    }
    assert_ne!(simulate(3, SimulatedDisk::default()), simulate(4, SimulatedDisk::default()));
}

/// A simulation that never complains proves nothing unless it can: a disk that says "synced" and is not must be noticed. That
/// wrong rules are noticed too, `.ci/sabotage` shows.
#[test]
fn a_lying_disk_is_noticed() {
    let complaint = (1..=NIGHTS).find_map(|seed| simulate(seed, SimulatedDisk::lying()).err());
    println!("{}", complaint.unwrap_or_else(|| panic!("not noticed within {NIGHTS} nights")));
}
