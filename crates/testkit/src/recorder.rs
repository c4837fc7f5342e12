//! What an engine writes, for whoever writes the same without an engine.

use std::sync::{Arc, Mutex, PoisonError};

use dogwatch_core::{CreateIncident, OrganizationCreated, Severity};
use dogwatch_store::Engine;
use dogwatch_store::backend::{Backend, BackendError, Batch, MemoryBackend, Scan};

use crate::fixture::organization;

/// Keeps the batches that an engine writes.
#[derive(Debug, Clone, Default)]
struct Recorder {
    inner: MemoryBackend,
    batches: Arc<Mutex<Vec<Batch>>>,
}

impl Backend for Recorder {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.inner.get(key)
    }
    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a> {
        self.inner.scan(start, end)
    }
    fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(batch.clone());
        self.inner.apply(batch)
    }
    fn make_durable(&self) -> Result<(), BackendError> {
        self.inner.make_durable()
    }
}

/// The command that benchmarks of writing give.
#[must_use]
pub fn incident(created: &OrganizationCreated) -> CreateIncident {
    CreateIncident {
        description: Some("All card payments fail since 10:00. Support sees about forty tickets.".parse().unwrap()),
        ..CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, created.admin.member.id)
    }
}

/// What so many of these write, a batch each.
#[must_use]
pub fn recorded(count: usize) -> Vec<Batch> {
    let recorder = Recorder::default();
    let engine = Engine::builder().with_backend(recorder.clone()).unwrap();
    let created = organization(&engine);
    let before = recorder.batches.lock().unwrap().len();
    (0..count).for_each(|_| drop(engine.execute(incident(&created), &created.actor()).unwrap()));
    drop(engine);
    recorder.batches.lock().unwrap().split_off(before)
}

/// How many bytes of keys and values a batch holds.
#[must_use]
pub fn size(batch: &Batch) -> usize {
    batch.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
}
