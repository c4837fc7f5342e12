//! The [`Snapshot`]: the rows of a store as they were at one moment, while commits go on.
//!
//! Before a batch is applied, its before images are laid over the backend for readers, until the batch is durable: see
//! [`Covered`]. A [`Snapshot`] keeps all before images for as long as it lives, so its readers see the durable state of the
//! moment at which it began. It is read in chunks; a commit waits for one chunk at most. It costs the memory of the rows
//! that are overwritten meanwhile.

use std::sync::{Arc, PoisonError, RwLock, Weak};

use crate::backend::{Backend, BackendError, Pair, RowMap};
use crate::commit::overlay::Overlay;
use crate::table::end_of;

/// The number of rows that are read at a time.
const CHUNK: usize = 256;

/// The rows that readers are shown in place of those in the backend.
#[derive(Default)]
pub(crate) struct Covered {
    /// The before images of the batch in flight; empty when there is none.
    in_flight: RowMap,
    /// For each snapshot, the before images of the rows that have been overwritten since it began.
    snapshots: Vec<Weak<RwLock<RowMap>>>,
}

impl Covered {
    /// The before images of the batch in flight; empty when there is none.
    pub(crate) const fn in_flight(&self) -> &RowMap {
        &self.in_flight
    }

    /// Adds the before images of rows that are about to be overwritten. One that is there already is older, and stays.
    pub(crate) fn cover(&mut self, mut held: RowMap) {
        self.snapshots.retain(|kept| kept.strong_count() > 0);
        for kept in self.snapshots.iter().filter_map(Weak::upgrade) {
            let mut kept = kept.write().unwrap_or_else(PoisonError::into_inner);
            for (key, value) in &held {
                kept.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        held.append(&mut self.in_flight);
        self.in_flight = held;
    }

    /// Ends the covering of the batch in flight, because it is durable.
    pub(crate) fn uncover(&mut self) {
        self.in_flight.clear();
    }

    /// Begins a snapshot of the present durable state.
    pub(crate) fn snapshot<'a>(&mut self, base: &'a dyn Backend) -> Snapshot<'a> {
        let kept = Arc::new(RwLock::new(self.in_flight.clone()));
        self.snapshots.push(Arc::downgrade(&kept));
        Snapshot { base, kept }
    }
}

/// The rows of a backend as they were at one moment.
pub(crate) struct Snapshot<'a> {
    base: &'a dyn Backend,
    kept: Arc<RwLock<RowMap>>,
}

impl<'a> Snapshot<'a> {
    /// The snapshot of a backend to which nobody writes, with some rows laid over it.
    pub(crate) fn still(base: &'a dyn Backend, over: RowMap) -> Self {
        Self { base, kept: Arc::new(RwLock::new(over)) }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        Overlay::new(self.base, &kept).get(key)
    }

    /// The pairs with `start <= key < end`, ascending.
    pub(crate) fn scan<'s>(
        &'s self,
        start: &[u8],
        end: &[u8],
    ) -> impl Iterator<Item = Result<Pair, BackendError>> + use<'s, 'a> {
        let (mut next, end) = (Some(start.to_vec()), end.to_vec());
        let chunks = std::iter::from_fn(move || {
            let chunk = self.chunk(&next.take()?, &end);
            next = match chunk.last() {
                Some(Ok((key, _))) if chunk.len() == CHUNK => Some([key, &[0][..]].concat()),
                _ => None,
            };
            Some(chunk)
        });
        chunks.flatten()
    }

    /// The pairs whose keys begin with a prefix, ascending.
    pub(crate) fn under<'s>(&'s self, prefix: &[u8]) -> impl Iterator<Item = Result<Pair, BackendError>> + use<'s, 'a> {
        self.scan(prefix, &end_of(prefix))
    }

    /// The bytes that the backend takes on disk, overwritten rows included; `None` when it is not on disk.
    pub(crate) fn size_on_disk(&self) -> Option<u64> {
        self.base.size_on_disk()
    }

    /// All pairs, ascending.
    pub(crate) fn all<'s>(&'s self) -> impl Iterator<Item = Result<Pair, BackendError>> + use<'s, 'a> {
        self.under(&[])
    }

    /// The value of a key; `None` also when it cannot be read.
    pub(crate) fn read(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key).ok().flatten()
    }

    fn chunk(&self, start: &[u8], end: &[u8]) -> Vec<Result<Pair, BackendError>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        Overlay::new(self.base, &kept).scan(start, end).take(CHUNK).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Batch, MemoryBackend};

    fn batch(changes: &[(u16, Option<u8>)]) -> Batch {
        changes.iter().map(|(key, value)| (key.to_be_bytes().to_vec(), value.map(|value| vec![value]))).collect()
    }

    fn shown(snapshot: &Snapshot<'_>) -> Vec<(u16, u8)> {
        let pair = |(key, value): Pair| (u16::from_be_bytes(key.try_into().unwrap()), value[0]);
        snapshot.all().map(|it| pair(it.unwrap())).collect()
    }

    /// Rows that are written, overwritten and deleted after the beginning do not show, before and after they are durable.
    #[test]
    fn a_snapshot_stands_still() {
        let backend = MemoryBackend::new();
        let many: Vec<_> = (0..1_000).map(|key| (key * 2, Some(1))).collect();
        backend.apply(&batch(&many)).unwrap();
        let mut covered = Covered::default();
        // A batch is in flight when the snapshot begins.
        covered.cover(batch(&[(0, Some(1)), (1, None)]).rows);
        backend.apply(&batch(&[(0, Some(2)), (1, Some(2))])).unwrap();
        let snapshot = covered.snapshot(&backend);
        covered.uncover();
        let expected: Vec<_> = (0..1_000).map(|key| (key * 2, 1)).collect();
        assert_eq!(shown(&snapshot), expected);
        for (held, change) in [
            ([(600, Some(1)), (601, None)], [(600, None), (601, Some(3))]),
            ([(600, None), (601, Some(3))], [(600, Some(4)), (601, None)]),
            ([(510, Some(1)), (511, None)], [(510, Some(5)), (511, Some(5))]),
        ] {
            covered.cover(batch(&held).rows);
            assert_eq!(shown(&snapshot), expected);
            backend.apply(&batch(&change)).unwrap();
            assert_eq!(shown(&snapshot), expected);
            assert_eq!(snapshot.get(&600_u16.to_be_bytes()).unwrap(), Some(vec![1]));
            assert_eq!(snapshot.get(&601_u16.to_be_bytes()).unwrap(), None);
            covered.uncover();
            assert_eq!(shown(&snapshot), expected);
        }
        drop(snapshot);
        covered.cover(RowMap::new());
        assert!(covered.snapshots.is_empty(), "nothing is kept for a snapshot that is gone");
    }
}
