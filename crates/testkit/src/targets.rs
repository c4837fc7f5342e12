//! The bodies of the fuzz targets, which panic at the first failure. A plain test runs them over the committed seeds, too.

use std::path::Path;

use dogwatch_store::backend::MemoryBackend;
use dogwatch_store::{Engine, ManualClock};

use crate::{alerts as intake, journal, oncall, ops, parsers, run};

/// A sequence of operations against the model, restarts included.
pub fn commands(data: &[u8]) {
    let backend = MemoryBackend::new();
    let mut open =
        |clock: ManualClock, seed| Engine::builder().clock(clock).id_seed(seed).with_backend(backend.clone()).unwrap();
    run::run(&ops::steps(data), &mut open);
}

/// As [`commands`], on the rules alone: no engine, no thread, no disk.
pub fn rules(data: &[u8]) {
    run::run_rules(&ops::steps(data));
}

/// A schedule under random edits against the naive oracle.
pub fn schedules(data: &[u8]) {
    oncall::run(data);
}

/// A journal in a folder under appends, crashes and damage, against a list of commits.
pub fn journal(data: &[u8]) {
    journal::run(data);
}

/// Every record decoder: the first byte says which one, the rest is the payload.
#[cfg(feature = "internals")]
pub fn records(data: &[u8]) {
    if let Some((kind, payload)) = data.split_first() {
        dogwatch_store::fuzzing::check(*kind, payload).unwrap();
    }
}

/// What senders of alerts may send: the first byte says which, the rest is the body.
pub fn alerts(data: &[u8]) {
    intake::check(data);
}

/// Every parser of text, ids, words and timestamps.
pub fn parsers(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        parsers::check(text);
    }
}

/// Runs a target over the files of a folder; gives the number of files.
pub fn replay(folder: &Path, target: impl Fn(&[u8])) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        target(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    count
}
