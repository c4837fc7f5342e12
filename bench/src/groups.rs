//! What raw sled does with the same bytes in the same groups.
//!
//! An engine whose writes are recorded does the work once. Then raw sled is given the same: everything that was there before,
//! and then, against the clock, each group that the engine wrote, and a flush and `fdatasync` where the engine had one.

use std::time::Instant;

use dogwatch_store::Engine;
use dogwatch_store::backend::{SledBackend, SledOptions};
use dogwatch_testkit::recorder::{Call, Recorder};

use super::ours::Ours;
use super::raw::Raw;
use super::work::{Rate, Work, round};
use super::{Failure, ROUNDS, known};

fn replay(raw: &Raw, calls: Vec<Call>) -> Result<(), Failure> {
    calls.into_iter().try_for_each(|call| match call {
        Call::Apply(rows) => raw.apply(rows),
        Call::MakeDurable => raw.make_durable(),
    })
}

/// One round of the engine and one of raw sled: calls per second of each, and how many calls were a group.
fn once(work: Work, callers: usize, incidents: usize) -> Result<(f64, f64, f64), Failure> {
    let scratch = tempfile::tempdir()?;
    let (recorder, recording) =
        Recorder::on(SledBackend::open(&scratch.path().join("dogwatch"), &SledOptions::default())?);
    let ours = Ours::on(Engine::builder().with_backend(recorder)?)?;
    let known = known(&ours, incidents)?;
    let fresh = work.fresh(&ours, callers)?;
    let before = recording.take();
    let Rate { per_second, calls: done, .. } = round(&ours, work, callers, &known, fresh)?;
    drop(ours);
    let during = recording.take();
    let groups = during.iter().filter(|call| matches!(call, Call::MakeDurable)).count();
    let raw = Raw::open(&scratch.path().join("sled"))?;
    replay(&raw, before)?;
    let began = Instant::now();
    replay(&raw, during)?;
    Ok((per_second, done as f64 / began.elapsed().as_secs_f64(), done as f64 / groups as f64))
}

/// Prints how near the engine comes to raw sled.
pub(crate) fn compare(what: &str, work: Work, callers: usize, incidents: usize) -> Result<(), Failure> {
    let rounds: Result<Vec<_>, Failure> = (0..ROUNDS).map(|_| once(work, callers, incidents)).collect();
    let mut rounds = rounds?;
    rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (ours, raw, group) = rounds[ROUNDS / 2];
    println!("{what:<24} {callers:>7}  {ours:>9.0} {raw:>9.0} {group:>9.1}  {:.2} x", ours / raw);
    Ok(())
}
