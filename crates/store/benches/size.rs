//! How much disk a busy month takes: 1,000 incidents a day with ten updates each, beside the bytes that users wrote.
//!
//! Reach: at most 4 times what users wrote.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::time::Duration;

use dogwatch_core::incident::{ChangeStatus, CreateIncident, PostUpdate, Severity, Status};
use dogwatch_core::{Actor, Timestamp, UserId};
use dogwatch_store::{Engine, ManualClock};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::line;

const DAYS: u64 = 30;
const INCIDENTS_A_DAY: usize = 1_000;
const UPDATES: usize = 10;

/// Words as people write them: what is said is longer than what it is about.
fn said(number: usize) -> String {
    let what =
        ["Looking into it", "Payments fail at the gateway", "The provider confirms", "Rolling back", "Recovering"];
    let detail = "about a third of all requests are affected, mostly in the south; we watch the queue and will be back";
    format!("{} ({number}): {detail} at half past the hour.", what[number % what.len()])
}

/// A day: all incidents are opened, updated and resolved. Gives the bytes that users wrote.
fn day(engine: &Engine, ada: &Actor, owner: UserId, day: u64) -> usize {
    let mut bytes = 0;
    let mut ids = Vec::new();
    for number in 0..INCIDENTS_A_DAY {
        let (title, description) = (format!("Checkout is down in region {number}"), said(number));
        bytes += title.len() + description.len();
        let open = CreateIncident {
            description: Some(description.parse().unwrap()),
            ..CreateIncident::new(title.parse().unwrap(), Severity::ALL[number % 4], owner)
        };
        ids.push(engine.submit(open, ada).unwrap());
    }
    let ids: Vec<_> = ids.into_iter().map(|pending| pending.wait().unwrap().id).collect();
    for round in 0..UPDATES {
        let steps = [Status::Identified, Status::Monitoring, Status::Resolved];
        let step = (round + 3).checked_sub(UPDATES).map(|step| steps[step]);
        let mut pending = Vec::new();
        for (number, id) in ids.iter().enumerate() {
            let body = said(usize::try_from(day).unwrap() + number + round);
            bytes += body.len();
            let update = PostUpdate { status_change: step, ..PostUpdate::internal(*id, body.parse().unwrap()) };
            pending.push(engine.submit(update, ada).unwrap());
        }
        pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    }
    // Each command by itself is refused on a resolved incident: the day is over.
    assert!(engine.execute(ChangeStatus::new(ids[0], Status::Resolved), ada).is_err());
    bytes
}

fn main() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clock = ManualClock::at("2026-04-01T08:00:00Z".parse::<Timestamp>().unwrap());
    let data = scratch.path().join("data");
    let engine = Engine::builder().clock(clock.clone()).open(&data).unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let mut written = 0;
    for number in 0..DAYS {
        written += day(&engine, &ada, owner, number);
        clock.advance(Duration::from_secs(24 * 60 * 60));
    }
    println!("\ndisk after a month: {} incidents, {UPDATES} updates each\n", DAYS * 1_000);
    let mebibytes = |bytes: u64| format!("{:.1} MiB", f64::from(u32::try_from(bytes >> 10).unwrap()) / 1_024.0);
    let written = u64::try_from(written).unwrap();
    let times = |bytes: u64| {
        format!(
            "{:.2} x what users wrote",
            f64::from(u32::try_from(bytes >> 10).unwrap()) / f64::from(u32::try_from(written >> 10).unwrap())
        )
    };
    let stats = engine.stats().unwrap();
    let rows: u64 = stats.tables.iter().map(|table| table.key_bytes + table.value_bytes).sum();
    let size = || engine.stats().unwrap().bytes_on_disk.unwrap();
    let quick = size();
    let copied = engine.compact(scratch.path().join("compact"), &mut |_| ()).unwrap();
    let compacted = copied.bytes_after.unwrap();
    line("what users wrote", &mebibytes(written), "");
    line("keys and values of all rows", &mebibytes(rows), &times(rows));
    line("on disk", &mebibytes(quick), &times(quick));
    line("on disk, compacted", &mebibytes(compacted), &times(compacted));
    for table in &stats.tables {
        let bytes = table.key_bytes + table.value_bytes;
        if bytes * 50 > rows {
            line(&format!("  table {}", table.name), &mebibytes(bytes), &format!("{} rows", table.rows));
        }
    }
}
