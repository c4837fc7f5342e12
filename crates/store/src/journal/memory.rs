//! The journal in memory, for tests and for engines that keep nothing on disk.

use dogwatch_core::Timestamp;

use super::{AppendError, Commit, Head, Journal, Position, Reading, Rows};
use crate::backend::BackendError;
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps commits in memory. Clones are the same journal.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// The head before the first commit that is kept.
    before: Head,
    commits: Vec<Commit>,
}

impl Kept {
    fn last(&self) -> Head {
        self.commits.last().map_or(self.before, |commit| commit.head)
    }
}

impl MemoryJournal {
    /// An empty journal after a head.
    #[must_use]
    pub fn after(head: Head) -> Self {
        Self(Arc::new(Mutex::new(Kept { before: head, commits: Vec::new() })))
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
        let head = after.after(term, at, rows);
        kept.commits.push(Commit { before: *after, head, at, rows: rows.clone() });
        Ok(head)
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        let kept = self.lock();
        if from.position.number < kept.before.position.number {
            return Ok(Reading::Forgotten);
        }
        let next = kept.commits.iter().position(|commit| commit.before == *from);
        let Some(next) = next else {
            return Ok(if kept.last() == *from { Reading::Commits(Vec::new()) } else { Reading::Elsewhere });
        };
        let mut bytes = 0_usize;
        let taken = kept.commits.iter().skip(next).take_while(|commit| {
            let fits = bytes < most.max(1);
            bytes = bytes.saturating_add(commit.rows.as_bytes().len().max(1));
            fits
        });
        Ok(Reading::Commits(taken.cloned().collect()))
    }

    fn forget(&self, up_to: Position) -> Result<(), BackendError> {
        let mut kept = self.lock();
        let gone = kept.commits.iter().take_while(|commit| commit.head.position.number <= up_to.number).count();
        let last = kept.commits.drain(..gone).next_back();
        if let Some(last) = last {
            kept.before = last.head;
        }
        Ok(())
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        let kept = self.lock();
        let heads = std::iter::once(kept.before).chain(kept.commits.iter().map(|commit| commit.head));
        Ok(heads.into_iter().find(|head| head.position == position))
    }

    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError> {
        let kept = self.lock();
        let lacking = from.number.saturating_add(1)..=up_to.number;
        let commits = kept.commits.iter().filter(|commit| lacking.contains(&commit.head.position.number));
        let bytes: usize = commits.map(|commit| commit.rows.as_bytes().len()).sum();
        let reaches = kept.before.position.number <= from.number;
        Ok(reaches.then_some(u64::try_from(bytes).unwrap_or(u64::MAX)))
    }

    fn size(&self) -> Result<u64, BackendError> {
        let bytes: usize = self.lock().commits.iter().map(|commit| commit.rows.as_bytes().len()).sum();
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}
