//! A recorder of what an engine writes ([`Recorder`]), for benchmarks and tests that write the same rows without an engine.

use std::sync::{Arc, Mutex, PoisonError};

use dogwatch_core::incident::{CreateIncident, Severity};
use dogwatch_core::organization::OrganizationCreated;
use dogwatch_store::Engine;
use dogwatch_store::backend::{Backend, BackendError, Batch, MemoryBackend, Scan};

use crate::fixture::organization;

/// A call that an engine makes to its backend when it writes.
#[derive(Debug)]
pub enum Call {
    /// A batch of rows is applied.
    Apply(Batch),
    /// What was applied is made durable.
    MakeDurable,
}

/// The recorded calls, oldest first. Clones share one recording.
#[derive(Debug, Clone, Default)]
pub struct Recording(Arc<Mutex<Vec<Call>>>);

impl Recording {
    fn add(&self, call: Call) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// Takes the calls since the beginning, or since this was called last.
    #[must_use]
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A backend that records every call that an engine makes to it when it writes, and passes all calls on to another backend.
#[derive(Debug)]
pub struct Recorder<B> {
    inner: B,
    recording: Recording,
}

impl<B> Recorder<B> {
    /// A recorder that passes all calls on to `inner`, and its recording.
    #[must_use]
    pub fn on(inner: B) -> (Self, Recording) {
        let recording = Recording::default();
        (Self { inner, recording: recording.clone() }, recording)
    }
}

impl<B: Backend> Backend for Recorder<B> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.inner.get(key)
    }
    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a> {
        self.inner.scan(start, end)
    }
    fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
        self.recording.add(Call::Apply(batch.clone()));
        self.inner.apply(batch)
    }
    fn make_durable(&self) -> Result<(), BackendError> {
        self.recording.add(Call::MakeDurable);
        self.inner.make_durable()
    }
    fn seal(&self, commits: u64) -> Result<(), BackendError> {
        self.inner.seal(commits)
    }
    fn sealed(&self) -> Result<Option<u64>, BackendError> {
        self.inner.sealed()
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
    let (recorder, recording) = Recorder::on(MemoryBackend::new());
    let engine = Engine::builder().with_backend(recorder).unwrap();
    let created = organization(&engine);
    drop(recording.take());
    (0..count).for_each(|_| drop(engine.execute(incident(&created), &created.actor()).unwrap()));
    drop(engine);
    let applied = |call| match call {
        Call::Apply(batch) => Some(batch),
        Call::MakeDurable => None,
    };
    recording.take().into_iter().filter_map(applied).collect()
}

/// How many bytes of keys and values a batch holds.
#[must_use]
pub fn size(batch: &Batch) -> usize {
    batch.iter().map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len)).sum()
}
