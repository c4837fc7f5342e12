//! The [`MemorySharedJournal`]: a shared journal in memory, for servers in one process: tests, and trying things out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dogwatch_core::Timestamp;

use super::{Campaign, FillError, Leadership, Server, SharedJournal};
use crate::backend::{BackendError, Pair};
use crate::clock::{Clock, SystemClock};
use crate::journal::{AppendError, Commit, Head, Journal, Position, Reading, Rows};
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
    /// The head before the first commit that is kept, and the commits that are.
    before: Head,
    commits: VecDeque<Commit>,
    /// How many are kept.
    keep: usize,
    term: u64,
    leader: Option<Server>,
    /// When the lease is over, on the journal's clock.
    expires: Timestamp,
    key: Option<[u8; 16]>,
}

impl State {
    fn head(&self) -> Head {
        self.commits.back().map_or(self.before, |commit| commit.head)
    }

    fn trim(&mut self) {
        while self.commits.len() > self.keep
            && let Some(oldest) = self.commits.pop_front()
        {
            self.before = oldest.head;
        }
    }
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
            before: Head::default(),
            commits: VecDeque::new(),
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
            .field("head", &state.head())
            .field("term", &state.term)
            .finish_non_exhaustive()
    }
}

impl Journal for MemorySharedJournal {
    fn last(&self) -> Result<Head, BackendError> {
        Ok(self.lock().head())
    }

    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        let mut state = self.lock();
        if state.term != term || state.head() != *after {
            return Err(AppendError::Deposed);
        }
        let head = after.after(term, at, rows);
        for (key, value) in rows.owned() {
            match value {
                Some(value) => drop(state.rows.insert(key, value)),
                None => drop(state.rows.remove(&key)),
            }
        }
        state.commits.push_back(Commit { before: *after, head, at, rows: rows.clone() });
        state.trim();
        Ok(head)
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        let state = self.lock();
        if from.position.number < state.before.position.number {
            return Ok(Reading::Forgotten);
        }
        if state.head() == *from {
            return Ok(Reading::Commits(Vec::new()));
        }
        let Some(next) = state.commits.iter().position(|commit| commit.before == *from) else {
            return Ok(Reading::Elsewhere);
        };
        let mut bytes = 0_usize;
        let taken = state.commits.iter().skip(next).take_while(|commit| {
            let fits = bytes < most.max(1);
            bytes = bytes.saturating_add(commit.rows.as_bytes().len().max(1));
            fits
        });
        Ok(Reading::Commits(taken.cloned().collect()))
    }

    fn forget(&self, _: Position) -> Result<(), BackendError> {
        Ok(())
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        let state = self.lock();
        let mut heads = std::iter::once(state.before).chain(state.commits.iter().map(|commit| commit.head));
        Ok(heads.find(|head| head.position == position))
    }

    fn kept_for(&self, from: Position, _: Position) -> Result<Option<u64>, BackendError> {
        Ok((self.lock().before.position.number <= from.number).then_some(0))
    }

    fn size(&self) -> Result<u64, BackendError> {
        let bytes: usize = self.lock().commits.iter().map(|commit| commit.rows.as_bytes().len()).sum();
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

impl SharedJournal for MemorySharedJournal {
    fn identity(&self) -> Result<[u8; 16], BackendError> {
        Ok(self.lock().identity)
    }

    fn leadership(&self) -> Result<Leadership, BackendError> {
        let (state, now) = (self.lock(), self.clock.now());
        Ok(Leadership {
            head: state.head(),
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
        Ok(Campaign::Won { term: state.term, head: state.head() })
    }

    fn renew(&self, term: u64, lease: Duration) -> Result<Option<Head>, BackendError> {
        let (mut state, now) = (self.lock(), self.clock.now());
        if state.term != term {
            return Ok(None);
        }
        state.expires = now.plus(lease);
        Ok(Some(state.head()))
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
            (state.rows.clone(), state.head())
        };
        rows.into_iter().try_for_each(take)?;
        Ok(head)
    }

    fn fill(&self, head: &Head, rows: &mut dyn Iterator<Item = Result<Pair, BackendError>>) -> Result<(), FillError> {
        let rows = rows.collect::<Result<BTreeMap<_, _>, _>>()?;
        let mut state = self.lock();
        if state.head() != Head::default() || !state.rows.is_empty() {
            return Err(FillError::NotEmpty);
        }
        (state.rows, state.before) = (rows, *head);
        state.term = state.term.max(head.position.term);
        Ok(())
    }

    fn agree_on_key(&self, fingerprint: &[u8; 16]) -> Result<bool, BackendError> {
        Ok(*self.lock().key.get_or_insert(*fingerprint) == *fingerprint)
    }
}
