//! Durable commands per second, beside raw sled that writes the same bytes.
//!
//! The command is the creation of an incident. (a) is raw sled with one durable flush per command, (b) raw sled without any
//! flush: what it costs just to hand the bytes to sled. Reach: with 64 callers at least 5 times (a), and half of (b).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::path::Path;
use std::thread;
use std::time::Instant;

use dogwatch_store::Engine;
use dogwatch_store::backend::{Backend, Batch, SledBackend, SledOptions};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{line, median, shown};
use dogwatch_testkit::recorder::{incident, recorded, size};

const ROUNDS: usize = 5;

fn raw(folder: &Path, batches: &[Batch], durable: bool) -> f64 {
    let backend = SledBackend::open(folder, &SledOptions::default()).unwrap();
    let began = Instant::now();
    for batch in batches {
        backend.apply(batch).unwrap();
        if durable {
            backend.make_durable().unwrap();
        }
    }
    count(batches.len()) / began.elapsed().as_secs_f64()
}

fn engine(folder: &Path, callers: usize, commands: usize) -> f64 {
    let engine = Engine::open(folder).unwrap();
    let created = organization(&engine);
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                for _ in 0..commands / callers {
                    engine.execute(incident(&created), &created.actor()).unwrap();
                }
            });
        }
    });
    count(commands / callers * callers) / began.elapsed().as_secs_f64()
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap())
}

/// The median rate over fresh folders on the disk of the build.
fn rate(measure: impl Fn(&Path) -> f64) -> f64 {
    let round = |_| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        measure(folder.path())
    };
    median((0..ROUNDS).map(round).collect())
}

fn main() {
    let batches = recorded(20_000);
    let rows: usize = batches.iter().map(Batch::len).sum::<usize>() / batches.len();
    let bytes: usize = batches.iter().map(size).sum::<usize>() / batches.len();
    println!("\ncreating incidents: {rows} rows, {bytes} bytes each (median of {ROUNDS} rounds)\n");

    let a = rate(|folder| raw(folder, &batches[..500], true));
    line("(a) raw sled, one durable flush per command", &format!("{a:.0}/s"), &format!("{} each", shown(1.0 / a)));
    let b = rate(|folder| raw(folder, &batches, false));
    line("(b) raw sled, no flush", &format!("{b:.0}/s"), &format!("{} each", shown(1.0 / b)));
    for (callers, commands) in [(1, 500), (8, 4_000), (64, 40_000)] {
        let rate = rate(|folder| engine(folder, callers, commands));
        let comparison = format!("{:.1} x (a)   {:.2} x (b)", rate / a, rate / b);
        line(&format!("dogwatch, durable, {callers} callers"), &format!("{rate:.0}/s"), &comparison);
    }
}
