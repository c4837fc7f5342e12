//! The backend in memory: a sorted map behind a lock, for tests, simulation and documentation. Nothing of it is on disk.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{Backend, BackendError, Batch, Pair, Scan};

use crate::sync::{Arc, PoisonError, RwLock};

/// Keeps all rows in memory. Clones share the same rows, so an engine can be closed and opened again on them.
#[derive(Debug, Clone, Default)]
pub struct MemoryBackend {
    map: Arc<RwLock<BTreeMap<Vec<u8>, Vec<u8>>>>,
}

/// The number of pairs that a scan copies at a time, so that it neither holds the lock nor copies many pairs in vain.
const CHUNK: usize = 32;

impl MemoryBackend {
    /// An empty backend.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn chunk(&self, start: Bound<Vec<u8>>, end: &[u8]) -> Vec<Pair> {
        let inverted = match &start {
            Bound::Included(start) | Bound::Excluded(start) => start.as_slice() >= end,
            Bound::Unbounded => false,
        };
        if inverted {
            return Vec::new();
        }
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let range = map.range((start, Bound::Excluded(end.to_vec())));
        range.take(CHUNK).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl Backend for MemoryBackend {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        Ok(self.map.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a> {
        let end = end.to_vec();
        let mut next = Some(Bound::Included(start.to_vec()));
        let chunks = std::iter::from_fn(move || {
            let chunk = self.chunk(next.take()?, &end);
            if chunk.len() == CHUNK {
                next = chunk.last().map(|(key, _)| Bound::Excluded(key.clone()));
            }
            Some(chunk)
        });
        Box::new(chunks.flatten().map(Ok))
    }

    fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in batch.iter() {
            match value {
                Some(value) => map.insert(key.to_vec(), value.to_vec()),
                None => map.remove(key),
            };
        }
        Ok(())
    }

    fn make_durable(&self) -> Result<(), BackendError> {
        Ok(())
    }
}
