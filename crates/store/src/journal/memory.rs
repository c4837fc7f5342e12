//! The journal in memory, for tests and for engines that keep nothing on disk.

use std::collections::VecDeque;

use dogwatch_core::Timestamp;

use super::{AppendError, Commit, Head, Journal, Position, Reading, Rows};
use crate::backend::BackendError;
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps commits in memory. Clones are the same journal.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<Kept>>);

/// Commits in memory, of which the earliest may be forgotten.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    /// The head before the first commit that is kept.
    before: Head,
    commits: VecDeque<Commit>,
}

impl Kept {
    /// None, after a head.
    pub(crate) fn after(before: Head) -> Self {
        Self { before, commits: VecDeque::new() }
    }

    pub(crate) fn last(&self) -> Head {
        self.commits.back().map_or(self.before, |commit| commit.head)
    }

    /// Appends a commit after the last. Gives the head that it makes.
    pub(crate) fn append(&mut self, term: u64, at: Timestamp, rows: &Rows) -> Head {
        let before = self.last();
        let head = before.after(term, at, rows);
        self.commits.push_back(Commit { before, head, at, rows: rows.clone() });
        head
    }

    /// Forgets the earliest commits.
    pub(crate) fn forget(&mut self, count: usize) {
        if let Some(last) = self.commits.drain(..count.min(self.commits.len())).next_back() {
            self.before = last.head;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.commits.len()
    }

    pub(crate) fn read(&self, from: &Head, most: usize) -> Reading {
        if from.position.number < self.before.position.number {
            return Reading::Forgotten;
        }
        let Some(next) = self.commits.iter().position(|commit| commit.before == *from) else {
            return if self.last() == *from { Reading::Commits(Vec::new()) } else { Reading::Elsewhere };
        };
        let mut bytes = 0_usize;
        let taken = self.commits.iter().skip(next).take_while(|commit| {
            let fits = bytes < most.max(1);
            bytes = bytes.saturating_add(commit.rows.as_bytes().len().max(1));
            fits
        });
        Reading::Commits(taken.cloned().collect())
    }

    pub(crate) fn head_at(&self, position: Position) -> Option<Head> {
        let mut heads = std::iter::once(self.before).chain(self.commits.iter().map(|commit| commit.head));
        heads.find(|head| head.position == position)
    }

    /// Whether all commits after a position are kept.
    pub(crate) fn reaches(&self, from: Position) -> bool {
        self.before.position.number <= from.number
    }

    /// The bytes of the rows of some commits.
    pub(crate) fn bytes(&self, of: impl Fn(&Commit) -> bool) -> u64 {
        let bytes: usize =
            self.commits.iter().filter(|commit| of(commit)).map(|commit| commit.rows.as_bytes().len()).sum();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl MemoryJournal {
    /// An empty journal after a head.
    #[must_use]
    pub fn after(head: Head) -> Self {
        Self(Arc::new(Mutex::new(Kept::after(head))))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the last commits, as a crash does with those that were not durable; keeps those up to a number.
    pub fn lose_after(&self, number: u64) {
        self.lock().commits.retain(|commit| commit.head.position.number <= number);
    }
}

impl Journal for MemoryJournal {
    fn last(&self) -> Result<Head, BackendError> {
        Ok(self.lock().last())
    }

    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        let mut kept = self.lock();
        if kept.last() != *after || term < after.position.term {
            return Err(AppendError::Deposed);
        }
        Ok(kept.append(term, at, rows))
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        Ok(self.lock().read(from, most))
    }

    fn forget(&self, up_to: Position) -> Result<(), BackendError> {
        let mut kept = self.lock();
        let gone = kept.commits.iter().take_while(|commit| commit.head.position.number <= up_to.number).count();
        kept.forget(gone);
        Ok(())
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        Ok(self.lock().head_at(position))
    }

    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError> {
        let kept = self.lock();
        let lacking = from.number.saturating_add(1)..=up_to.number;
        let bytes = kept.bytes(|commit| lacking.contains(&commit.head.position.number));
        Ok(kept.reaches(from).then_some(bytes))
    }

    fn size(&self) -> Result<u64, BackendError> {
        Ok(self.lock().bytes(|_| true))
    }
}
