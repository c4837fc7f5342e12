//! What raw sled and a bare file do with the same bytes in the same groups.
//!
//! An engine whose commits are recorded does the work once. Then raw sled is given the same: everything that was there before, and
//! then, against the clock, each group that the engine committed, and a flush and `fdatasync` after each. And a file that was
//! filled with zeros before is given the bytes of each group, and an `fdatasync` after each.

use std::time::Instant;

use dogwatch_store::Engine;
use dogwatch_store::backend::{SledBackend, SledOptions};
use dogwatch_store::journal::{FolderJournal, Head, Rows};
use dogwatch_testkit::recorder::Recorder;

use super::ours::Ours;
use super::raw::{Raw, ZeroFilled};
use super::work::{Rate, Work, round};
use super::{Failure, ROUNDS, known};

fn replay(raw: &Raw, commits: &[Rows]) -> Result<(), Failure> {
    commits.iter().try_for_each(|rows| raw.apply(rows.owned().collect()).and_then(|()| raw.make_durable()))
}

/// One round of the engine, of raw sled and of the file, in calls per second; and how many calls were a group.
struct Once {
    ours: f64,
    sled: f64,
    file: f64,
    group: f64,
}

fn once(work: Work, callers: usize, incidents: usize) -> Result<Once, Failure> {
    let scratch = tempfile::tempdir()?;
    let folder = scratch.path().join("dogwatch");
    let backend = SledBackend::open(&folder, &SledOptions::default())?;
    let (recorder, recording) =
        Recorder::on(FolderJournal::create(&folder, Head::default(), dogwatch_store::rules::Timestamp::MIN)?);
    let ours = Ours::on(Engine::builder().with_storage(backend, recorder)?)?;
    let known = known(&ours, incidents)?;
    let fresh = work.fresh(&ours, callers)?;
    let before = recording.take();
    let Rate { per_second, calls: done, .. } = round(&ours, work, callers, &known, fresh)?;
    drop(ours);
    let during = recording.take();
    let per_second_of = |began: Instant| done as f64 / began.elapsed().as_secs_f64();
    let raw = Raw::open(&scratch.path().join("sled"))?;
    replay(&raw, &before)?;
    let began = Instant::now();
    replay(&raw, &during)?;
    let sled = per_second_of(began);
    let mut file =
        ZeroFilled::new(&scratch.path().join("file"), during.iter().map(|rows| rows.as_bytes().len()).sum())?;
    let began = Instant::now();
    during.iter().try_for_each(|rows| file.append(rows.as_bytes()))?;
    Ok(Once { ours: per_second, sled, file: per_second_of(began), group: done as f64 / during.len() as f64 })
}

/// Prints how near the engine comes to raw sled, and to a bare file.
pub(crate) fn compare(what: &str, work: Work, callers: usize, incidents: usize) -> Result<(), Failure> {
    let rounds: Result<Vec<_>, Failure> = (0..ROUNDS).map(|_| once(work, callers, incidents)).collect();
    let mut rounds = rounds?;
    rounds.sort_by(|a, b| (a.ours / a.file).total_cmp(&(b.ours / b.file)));
    let Once { ours, sled, file, group } = rounds[ROUNDS / 2];
    println!(
        "{what:<24} {callers:>7}  {ours:>9.0} {sled:>9.0} {file:>9.0} {group:>9.1}  {:.2} x  {:.2} x",
        ours / sled,
        ours / file
    );
    Ok(())
}
