//! A disk that can fail ([`SimulatedDisk`]): a backend and a journal in memory that keep apart what was made durable, fail when they
//! are told to, and forget on a restart what was not durable.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use dogwatch_core::Timestamp;
use dogwatch_store::backend::{Backend, BackendError, Batch, Pair, Scan};
use dogwatch_store::journal::{AppendError, Head, Journal, MemoryJournal, Position, Reading, Rows};

/// What a fault does to an operation of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails; those after it work.
    Fail,
    /// The operation and all after it fail, until [`SimulatedDisk::restart`]: the process was killed there.
    Die,
}

#[derive(Debug, Default)]
struct DiskState {
    /// The rows that survive a restart.
    durable: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The rows that the process sees.
    visible: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Batches that are visible but not durable, oldest first.
    volatile: Vec<Batch>,
    journal: MemoryJournal,
    /// The number of the last commit that survives a restart.
    appended: u64,
    /// The next fault: the number of operations that work before it, its kind, and whether the operation takes effect all the
    /// same.
    fault: Option<(u64, Fault, bool)>,
    dead: bool,
    /// Reports everything as durable, and keeps nothing: a broken engine's disk, to see that the auditor notices.
    lies: bool,
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<DiskState>>);

fn put(map: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: &Batch) {
    for (key, value) in batch.iter() {
        match value {
            Some(value) => map.insert(key.to_vec(), value.to_vec()),
            None => map.remove(key),
        };
    }
}

impl DiskState {
    /// Whether the next operation takes effect, and what it reports.
    fn next(&mut self) -> (bool, Result<(), BackendError>) {
        let failure = || Err(BackendError::new("simulating", "a fault"));
        if self.dead {
            return (false, failure());
        }
        match &mut self.fault {
            None => (true, Ok(())),
            Some((left @ 1.., ..)) => {
                *left -= 1;
                (true, Ok(()))
            }
            Some((_, fault, takes_effect)) => {
                let takes_effect = *takes_effect;
                self.dead = *fault == Fault::Die;
                self.fault = None;
                (takes_effect, failure())
            }
        }
    }
}

impl SimulatedDisk {
    /// A disk that reports rows as durable and never keeps them.
    #[must_use]
    pub fn lying() -> Self {
        let disk = Self::default();
        disk.lock().lies = true;
        disk
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().unwrap()
    }

    /// Has a fault happen after this many operations that work.
    pub fn fault_in(&self, operations: u64, fault: Fault, takes_effect: bool) {
        self.lock().fault = Some((operations, fault, takes_effect));
    }

    /// Takes back a fault that has not happened; true when there was none left.
    pub fn calm(&self) -> bool {
        self.lock().fault.take().is_none()
    }

    /// Replaces the process by another one. Of the batches that were not durable, the first `kept` survive.
    pub fn restart(&self, kept: usize) {
        let mut state = self.lock();
        let volatile = std::mem::take(&mut state.volatile);
        for batch in volatile.iter().take(kept) {
            put(&mut state.durable, batch);
        }
        state.visible = state.durable.clone();
        state.journal.lose_after(state.appended);
        state.dead = false;
        state.fault = None;
    }
}

impl Backend for SimulatedDisk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        let mut state = self.lock();
        state.next().1?;
        Ok(state.visible.get(key).cloned())
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a> {
        let mut state = self.lock();
        if let Err(error) = state.next().1 {
            return Box::new(std::iter::once(Err(error)));
        }
        drop(state);
        let end = end.to_vec();
        let mut from = Bound::Included(start.to_vec());
        let inverted = start >= end.as_slice();
        // One pair at a time, so that a scan that is given up early costs only the pairs that were taken.
        let next = move || -> Option<Result<Pair, BackendError>> {
            if inverted {
                return None;
            }
            let state = self.lock();
            let range = (from.clone(), Bound::Excluded(end.clone()));
            if matches!(&from, Bound::Excluded(from) if *from >= end) {
                return None;
            }
            let (key, value) = state.visible.range(range).next()?;
            from = Bound::Excluded(key.clone());
            Some(Ok((key.clone(), value.clone())))
        };
        Box::new(std::iter::from_fn(next))
    }

    fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
        let mut state = self.lock();
        let (takes_effect, result) = state.next();
        if takes_effect {
            put(&mut state.visible, batch);
            state.volatile.push(batch.clone());
        }
        result
    }

    fn write(&self, batch: &Batch) -> Result<(), BackendError> {
        let row = |(key, value): (&[u8], Option<&[u8]>)| (key.to_vec(), value.map(<[u8]>::to_vec));
        batch.iter().map(row).try_for_each(|row| self.apply(&Batch::from([row])))
    }

    fn make_durable(&self) -> Result<(), BackendError> {
        let mut state = self.lock();
        let (takes_effect, result) = state.next();
        if takes_effect && !state.lies {
            for batch in std::mem::take(&mut state.volatile) {
                put(&mut state.durable, &batch);
            }
        }
        result
    }
}

impl Journal for SimulatedDisk {
    fn last(&self) -> Result<Head, BackendError> {
        self.lock().journal.last()
    }

    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        let mut state = self.lock();
        let (takes_effect, result) = state.next();
        if !takes_effect {
            let why = result.err().unwrap_or_else(|| BackendError::new("simulating", "a fault"));
            return Err(AppendError::Unknown(why));
        }
        let head = state.journal.append(term, after, at, rows)?;
        if !state.lies {
            state.appended = head.position.number;
        }
        result.map(|()| head).map_err(AppendError::Unknown)
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        self.lock().journal.read(from, most)
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        self.lock().journal.head_at(position)
    }

    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError> {
        self.lock().journal.kept_for(from, up_to)
    }

    fn size(&self) -> Result<u64, BackendError> {
        self.lock().journal.size()
    }

    fn forget(&self, up_to: Position) -> Result<(), BackendError> {
        let mut state = self.lock();
        state.next().1?;
        // A disk that lies has not kept what it may forget.
        if state.lies { Ok(()) } else { state.journal.forget(up_to) }
    }
}
