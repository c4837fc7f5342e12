//! What raw sled does with the same bytes in the same groups.
//!
//! An engine whose writes are recorded does the work once. Then raw sled is given the same: everything that was there before,
//! and then, against the clock, each group that the engine wrote, and a flush and `fdatasync` where the engine had one.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use dogwatch_store::Engine;
use dogwatch_store::backend::{Backend, BackendError, Batch, Scan, SledBackend, SledOptions};

use super::ours::Ours;
use super::work::{Rate, Work, round};
use super::{Failure, ROUNDS, known};

/// What was asked of a backend.
enum Call {
    Apply(Batch),
    MakeDurable,
}

/// Keeps what an engine asks of its backend.
struct Recording {
    inner: SledBackend,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Recording {
    fn record(&self, call: Call) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

impl Backend for Recording {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.inner.get(key)
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a> {
        self.inner.scan(start, end)
    }

    fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
        self.record(Call::Apply(batch.clone()));
        self.inner.apply(batch)
    }

    fn make_durable(&self) -> Result<(), BackendError> {
        self.record(Call::MakeDurable);
        self.inner.make_durable()
    }

    fn seal(&self, commits: u64) -> Result<(), BackendError> {
        self.inner.seal(commits)
    }

    fn sealed(&self) -> Result<Option<u64>, BackendError> {
        self.inner.sealed()
    }
}

/// sled and nothing else.
struct Raw {
    db: sled::Db,
    log: File,
}

impl Raw {
    fn open(folder: &Path) -> Result<Self, Failure> {
        let db = sled::open(folder)?;
        Ok(Self { db, log: File::open(folder.join("db"))? })
    }

    fn replay(&self, calls: Vec<Call>) -> Result<(), Failure> {
        for call in calls {
            match call {
                Call::Apply(rows) => {
                    let mut batch = sled::Batch::default();
                    for (key, value) in rows {
                        match value {
                            Some(value) => batch.insert(key, value),
                            None => batch.remove(key),
                        }
                    }
                    self.db.apply_batch(batch)?;
                }
                Call::MakeDurable => {
                    self.db.flush()?;
                    self.log.sync_data()?;
                }
            }
        }
        Ok(())
    }
}

/// One round of the engine and one of raw sled: calls per second of each, and how many calls were a group.
fn once(work: Work, callers: usize, incidents: usize) -> Result<(f64, f64, f64), Failure> {
    let scratch = tempfile::tempdir()?;
    let calls = Arc::<Mutex<Vec<Call>>>::default();
    let taken = || std::mem::take(&mut *calls.lock().unwrap_or_else(PoisonError::into_inner));
    let inner = SledBackend::open(&scratch.path().join("dogwatch"), &SledOptions::default())?;
    let ours = Ours::on(Engine::builder().with_backend(Recording { inner, calls: Arc::clone(&calls) })?)?;
    let known = known(&ours, incidents)?;
    let fresh = work.fresh(&ours, callers)?;
    let before = taken();
    let Rate { per_second, calls: done, .. } = round(&ours, work, callers, &known, fresh)?;
    drop(ours);
    let during = taken();
    let groups = during.iter().filter(|call| matches!(call, Call::MakeDurable)).count();
    let raw = Raw::open(&scratch.path().join("sled"))?;
    raw.replay(before)?;
    let began = Instant::now();
    raw.replay(during)?;
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
