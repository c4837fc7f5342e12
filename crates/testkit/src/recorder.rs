//! A recorder of what an engine commits ([`Recorder`]), for benchmarks and tests that write the same rows without an engine.

use std::sync::{Arc, Mutex, PoisonError};

use dogwatch_core::Timestamp;
use dogwatch_core::incident::{CreateIncident, Severity};
use dogwatch_core::organization::OrganizationCreated;
use dogwatch_store::Engine;
use dogwatch_store::backend::{BackendError, Batch, MemoryBackend};
use dogwatch_store::journal::{AppendError, Head, Journal, MemoryJournal, Position, Reading, Rows};

use crate::fixture::organization;

/// The rows of commits, oldest first. Clones share one recording.
#[derive(Debug, Clone, Default)]
pub struct Recording(Arc<Mutex<Vec<Rows>>>);

impl Recording {
    /// Takes the commits since the beginning, or since this was called last.
    #[must_use]
    pub fn take(&self) -> Vec<Rows> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A journal that records the rows of every commit, and passes all calls on to another journal.
#[derive(Debug)]
pub struct Recorder<J> {
    inner: J,
    recording: Recording,
}

impl<J> Recorder<J> {
    /// A recorder that passes all calls on to `inner`, and its recording.
    #[must_use]
    pub fn on(inner: J) -> (Self, Recording) {
        let recording = Recording::default();
        (Self { inner, recording: recording.clone() }, recording)
    }
}

impl<J: Journal> Journal for Recorder<J> {
    fn last(&self) -> Result<Head, BackendError> {
        self.inner.last()
    }
    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        self.recording.0.lock().unwrap_or_else(PoisonError::into_inner).push(rows.clone());
        self.inner.append(term, after, at, rows)
    }
    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        self.inner.read(from, most)
    }
    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        self.inner.head_at(position)
    }
    fn forget(&self, up_to: Position) -> Result<(), BackendError> {
        self.inner.forget(up_to)
    }
    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError> {
        self.inner.kept_for(from, up_to)
    }

    fn size(&self) -> Result<u64, BackendError> {
        self.inner.size()
    }
}

/// The command that benchmarks of writing execute: it opens an incident with a description.
#[must_use]
pub fn incident(created: &OrganizationCreated) -> CreateIncident {
    CreateIncident {
        description: Some("All card payments fail since 10:00. Support sees about forty tickets.".parse().unwrap()),
        ..CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, created.admin.member.id)
    }
}

/// The batches that `count` commands of [`incident`] write, one batch for each.
#[must_use]
pub fn recorded(count: usize) -> Vec<Batch> {
    let (recorder, recording) = Recorder::on(MemoryJournal::default());
    let engine = Engine::builder().with_storage(MemoryBackend::new(), recorder).unwrap();
    let created = organization(&engine);
    drop(recording.take());
    (0..count).for_each(|_| drop(engine.execute(incident(&created), &created.actor()).unwrap()));
    drop(engine);
    recording.take().iter().map(|rows| rows.owned().collect()).collect()
}

/// How many bytes of keys and values a batch holds.
#[must_use]
pub fn size(batch: &Batch) -> usize {
    batch.iter().map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len)).sum()
}
