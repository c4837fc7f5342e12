//! The test of the simulation: with a known bug put in, the auditor must complain.
//!
//! A bug is in for the whole process, so this file has one test.
#![allow(clippy::panic, clippy::print_stdout, reason = "a test fails by panicking, and tells what was noticed")]

use dogwatch_core::sabotage::{Bug, put_in};
use dogwatch_testkit::simulation::{SimulatedDisk, simulate};

/// Within how many nights a bug must be noticed.
const NIGHTS: u64 = 30;

fn noticed(disk: impl Fn() -> SimulatedDisk) -> Option<(u64, String)> {
    noticed_within(NIGHTS, disk)
}

fn noticed_within(nights: u64, disk: impl Fn() -> SimulatedDisk) -> Option<(u64, String)> {
    (1..=nights).find_map(|seed| simulate(seed, disk()).err().map(|complaint| (seed, complaint)))
}

#[test]
fn every_known_bug_is_noticed() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        put_in(Some(bug));
        match noticed(SimulatedDisk::default) {
            Some((seed, complaint)) => {
                let complaint = complaint.lines().next().unwrap_or_default();
                println!("{bug:?}, seed {seed}: {}", complaint.get(..160).unwrap_or(complaint));
            }
            None => missed.push(bug),
        }
    }
    put_in(None);
    assert!(missed.is_empty(), "not noticed: {missed:?}");
    let (seed, complaint) = noticed(SimulatedDisk::lying).unwrap_or_else(|| panic!("a lying disk was not noticed"));
    println!("lying disk, seed {seed}: {}", complaint.lines().next().unwrap_or_default());
    assert_eq!(noticed_within(3, SimulatedDisk::default), None, "without a bug there is nothing to complain about");
}
