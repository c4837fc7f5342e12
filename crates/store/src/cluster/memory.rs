//! The [`MemorySharedJournal`]: a shared journal in memory, for servers in one process: tests, and trying things out.

use std::collections::BTreeMap;
use std::time::Duration;

use dogwatch_core::Timestamp;

use super::{Campaign, FillError, Leadership, Server, SharedJournal};
use crate::backend::{BackendError, Pair};
use crate::clock::{Clock, SystemClock};
use crate::journal::{AppendError, Head, Journal, Kept, Position, Reading, Rows};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A shared journal in memory. Clones are the same journal, each for a server of its own.
#[derive(Clone)]
pub struct MemorySharedJournal {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
struct State {
    identity: [u8; 16],
    /// All rows after the last commit.
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    commits: Kept,
    /// How many commits are kept.
    keep: usize,
    term: u64,
    leader: Option<Server>,
    /// When the lease is over, on the journal's clock.
    expires: Timestamp,
    key: Option<[u8; 16]>,
}

impl MemorySharedJournal {
    /// An empty journal with this identity, which keeps so many commits.
    #[must_use]
    pub fn new(identity: [u8; 16], keep: usize) -> Self {
        Self::with_clock(identity, keep, SystemClock)
    }

    /// As [`MemorySharedJournal::new`], with a clock of its own for leases.
    #[must_use]
    pub fn with_clock(identity: [u8; 16], keep: usize, clock: impl Clock) -> Self {
        let state = State {
            identity,
            rows: BTreeMap::new(),
            commits: Kept::default(),
            keep: keep.max(1),
            term: 0,
            leader: None,
            expires: Timestamp::MIN,
            key: None,
        };
        Self { state: Arc::new(Mutex::new(state)), clock: Arc::new(clock) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A journal of its own that holds what this one does now, as a backup does, or a replica that is behind.
    #[must_use]
    pub fn backup(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.lock().clone())), clock: Arc::clone(&self.clock) }
    }

    /// Takes the journal back to what another one holds: what was committed since a backup is lost, as it is when a replica that was behind
    /// takes over.
    pub fn restore(&self, backup: &Self) {
        let state = backup.lock().clone();
        *self.lock() = state;
    }

    /// All rows as they are now, ascending by key.
    #[must_use]
    pub fn rows(&self) -> Vec<Pair> {
        self.lock().rows.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl std::fmt::Debug for MemorySharedJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("MemorySharedJournal")
            .field("head", &state.commits.last())
            .field("term", &state.term)
            .finish_non_exhaustive()
    }
}

impl Journal for MemorySharedJournal {
    fn last(&self) -> Result<Head, BackendError> {
        Ok(self.lock().commits.last())
    }

    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        let mut state = self.lock();
        if state.term != term || state.commits.last() != *after {
            return Err(AppendError::Deposed);
        }
        for (key, value) in rows.owned() {
            match value {
                Some(value) => drop(state.rows.insert(key, value)),
                None => drop(state.rows.remove(&key)),
            }
        }
        let head = state.commits.append(term, at, rows);
        let beyond = state.commits.len().saturating_sub(state.keep);
        state.commits.forget(beyond);
        Ok(head)
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        Ok(self.lock().commits.read(from, most))
    }

    fn forget(&self, _: Position) -> Result<(), BackendError> {
        Ok(())
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        Ok(self.lock().commits.head_at(position))
    }

    fn kept_for(&self, from: Position, _: Position) -> Result<Option<u64>, BackendError> {
        Ok(self.lock().commits.reaches(from).then_some(0))
    }

    fn size(&self) -> Result<u64, BackendError> {
        Ok(self.lock().commits.bytes(|_| true))
    }
}

impl SharedJournal for MemorySharedJournal {
    fn identity(&self) -> Result<[u8; 16], BackendError> {
        Ok(self.lock().identity)
    }

    fn leadership(&self) -> Result<Leadership, BackendError> {
        let (state, now) = (self.lock(), self.clock.now());
        Ok(Leadership {
            head: state.commits.last(),
            term: state.term,
            leader: state.leader.clone(),
            left: state.expires.since(now),
            now,
        })
    }

    fn campaign(&self, server: &Server, seen: u64, lease: Duration) -> Result<Campaign, BackendError> {
        let (mut state, now) = (self.lock(), self.clock.now());
        if state.term != seen || state.expires > now {
            return Ok(Campaign::Lost);
        }
        state.term = state.term.saturating_add(1);
        state.leader = Some(server.clone());
        state.expires = now.plus(lease);
        Ok(Campaign::Won { term: state.term, head: state.commits.last() })
    }

    fn renew(&self, term: u64, lease: Duration) -> Result<Option<Head>, BackendError> {
        let (mut state, now) = (self.lock(), self.clock.now());
        if state.term != term {
            return Ok(None);
        }
        state.expires = now.plus(lease);
        Ok(Some(state.commits.last()))
    }

    fn resign(&self, term: u64) -> Result<(), BackendError> {
        let (mut state, now) = (self.lock(), self.clock.now());
        if state.term == term {
            (state.leader, state.expires) = (None, now);
        }
        Ok(())
    }

    fn depose(&self) -> Result<(), BackendError> {
        let (mut state, now) = (self.lock(), self.clock.now());
        state.term = state.term.saturating_add(1);
        (state.leader, state.expires) = (None, now);
        Ok(())
    }

    fn copy(&self, take: &mut dyn FnMut(Pair) -> Result<(), BackendError>) -> Result<Head, BackendError> {
        let (rows, head) = {
            let state = self.lock();
            (state.rows.clone(), state.commits.last())
        };
        rows.into_iter().try_for_each(take)?;
        Ok(head)
    }

    fn fill(&self, head: &Head, rows: &mut dyn Iterator<Item = Result<Pair, BackendError>>) -> Result<(), FillError> {
        let rows = rows.collect::<Result<BTreeMap<_, _>, _>>()?;
        let mut state = self.lock();
        if state.commits.last() != Head::default() || !state.rows.is_empty() {
            return Err(FillError::NotEmpty);
        }
        (state.rows, state.commits) = (rows, Kept::after(*head));
        state.term = state.term.max(head.position.term);
        Ok(())
    }

    fn agree_on_key(&self, fingerprint: &[u8; 16]) -> Result<bool, BackendError> {
        Ok(*self.lock().key.get_or_insert(*fingerprint) == *fingerprint)
    }
}
