//! Who is on call: at an instant, however far from the beginning; over a year; with many layers.
//!
//! Reach: an instant in under 0.4 µs at any distance; a year of one daily rotation in under 60 µs; a year of eight layers
//! with three overrides in under 500 µs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::hint::black_box;

use dogwatch_core::id::Id;
use dogwatch_core::id::{OverrideId, RotationLayerId, ScheduleId};
use dogwatch_core::oncall::{
    Override, Phase, Roster, Rotation, RotationLayer, RotationLength, RotationSettings, Schedule,
};
use dogwatch_core::{Timestamp, UserId, Zone};
use dogwatch_testkit::measure::{line, seconds_per_call, shown};

const ROUNDS: usize = 9;
const DAY: i64 = 86_400_000;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn later(from: Timestamp, days: i64) -> Timestamp {
    Timestamp::from_millis(from.as_millis() + days * DAY).unwrap()
}

fn roster(layers: u8, overrides: u8) -> Roster {
    let from = at("2026-01-01T12:00:00Z");
    let zone = Zone::new("America/New_York").unwrap();
    let layer = |n: u8| {
        let input = RotationSettings {
            zone: zone.clone(),
            length: RotationLength::DAILY,
            handoff: "09:00".parse().unwrap(),
            effective_from: from,
            effective_until: None,
            participants: (0..5).map(|person| UserId::from_bytes([n * 5 + person; 16])).collect(),
        };
        RotationLayer {
            id: RotationLayerId::from_bytes([n; 16]),
            schedule_id: ScheduleId::from_bytes([1; 16]),
            org_id: Id::from_bytes([1; 16]),
            name: "layer".parse().unwrap(),
            rotation: Rotation::new(input, Phase::default()),
            since: Timestamp::MIN,
            created_at: from,
            updated_at: from,
        }
    };
    let layers: Vec<_> = (0..layers).map(layer).collect();
    let schedule = Schedule {
        id: ScheduleId::from_bytes([1; 16]),
        org_id: Id::from_bytes([1; 16]),
        name: "night".parse().unwrap(),
        description: None,
        zone,
        created_by: UserId::from_bytes([1; 16]),
        created_at: from,
        updated_at: from,
        order: layers.iter().map(|layer| layer.id).collect(),
        order_since: Timestamp::MIN,
        changed_at: from,
        overrides: u64::from(overrides),
    };
    let one = |n: u8| Override {
        id: OverrideId::from_bytes([n; 16]),
        schedule_id: schedule.id,
        org_id: schedule.org_id,
        number: u64::from(n),
        user_id: UserId::from_bytes([200 + n; 16]),
        starts_at: later(from, 50 + 90 * i64::from(n)),
        ends_at: later(from, 57 + 90 * i64::from(n)),
        reason: None,
        created_by: UserId::from_bytes([1; 16]),
        created_at: from,
    };
    let overrides = (0..overrides).map(one).collect();
    Roster::new(&schedule, layers, Vec::new(), Vec::new(), overrides)
}

fn main() {
    let from = at("2026-01-01T12:00:00Z");
    let one = roster(1, 0);
    println!("\na daily rotation of five in America/New_York (median of {ROUNDS} rounds)\n");
    let mut nearest = None;
    for (what, days) in [("1 day", 1), ("1 year", 365), ("50 years", 18_262)] {
        let mut hour = 0;
        let time = seconds_per_call(ROUNDS, || {
            // Every hour of two days, so that no one answer can be learnt by heart.
            hour = (hour + 1) % 48;
            let instant = Timestamp::from_millis(from.as_millis() + days * DAY + hour * 3_600_000).unwrap();
            black_box(one.owner(black_box(instant)));
        });
        let nearest = *nearest.get_or_insert(time);
        let comparison = format!("{:.2} of the 0.4 µs allowed, {:.2} x that at 1 day", time / 0.4e-6, time / nearest);
        line(&format!("owner at an instant, {what} after its start"), &shown(time), &comparison);
    }
    let year = later(from, 365);
    let time = seconds_per_call(ROUNDS, || drop(black_box(one.shifts(from, year))));
    line("one year of the schedule", &shown(time), &format!("{:.2} of the 60 µs allowed", time / 60e-6));
    let many = roster(8, 3);
    let time = seconds_per_call(ROUNDS, || drop(black_box(many.shifts(from, year))));
    line("one year, 8 layers and 3 overrides", &shown(time), &format!("{:.2} of the 500 µs allowed", time / 500e-6));
    let time = seconds_per_call(ROUNDS, || drop(black_box(Zone::new(black_box("America/New_York")).unwrap())));
    line("a zone by its name", &shown(time), "");
}
