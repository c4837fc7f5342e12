//! The [`Journal`]: the log of commits, in which a commit becomes durable.
//!
//! A commit is the rows that a group of commands changes. It has a [`Position`], and a [`Digest`] that depends on it and on all
//! commits before it. A commit is appended after exactly the one against which it was decided ([`Head`]), in one call: it is in
//! the journal as a whole, durably, or not at all. What stands in the [`Backend`](crate::backend::Backend) follows behind, and
//! is brought up to date from the journal after a crash. When the backend holds commits durably, the journal may forget them.
//!
//! Every implementation passes the same conformance suite (`tests/journals.rs`).

mod folder;
mod memory;
mod preparing;
mod rows;
mod segment;

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

use dogwatch_core::Timestamp;

pub use folder::FolderJournal;
pub(crate) use memory::Kept;
pub use memory::MemoryJournal;
pub(crate) use rows::Marks;
pub use rows::{Row, Rows};

use crate::backend::BackendError;
use crate::sync::Arc;

/// The place of a commit in a history: commits are numbered from 1 without gaps, and terms never fall. A store in one folder
/// stays in term 0; on several machines, a term is the time for which one of them leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The term in which the commit was made.
    pub term: u64,
    /// The number of the commit; 0 before the first.
    pub number: u64,
}

/// Why a text is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the number of a commit, as in `12`, or its term and number, as in `0/12`")]
pub struct NotAPosition;

/// Reads `0/12`, as it is shown, and `12` for the same.
impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (term, number) = text.split_once('/').unwrap_or(("0", text));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let read = |text: &str| text.parse().ok().filter(|_| digits(text)).ok_or(NotAPosition);
        Ok(Self { term: read(term)?, number: read(number)? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.number)
    }
}

/// The digest of a commit and, through the digest before it, of all commits before: the first 16 bytes of a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub [u8; 16]);

/// The end of a history: the position of its last commit, and the digest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Head {
    /// The position of the last commit.
    pub position: Position,
    /// The digest of the last commit; zeros before the first.
    pub digest: Digest,
}

impl Head {
    /// The head after a commit of these rows at an instant, made in a term.
    #[must_use]
    pub fn after(&self, term: u64, at: Timestamp, rows: &Rows) -> Self {
        let position = Position { term, number: self.position.number.saturating_add(1) };
        let mut hash = Sha256::new();
        hash.update(self.digest.0);
        hash.update(position.term.to_be_bytes());
        hash.update(position.number.to_be_bytes());
        hash.update(at.as_millis().to_be_bytes());
        hash.update(rows.as_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(hash.finalize().split_at(16).0);
        Self { position, digest: Digest(digest) }
    }
}

/// A commit as the journal holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The head that the commit was appended after.
    pub before: Head,
    /// The head that it made: its position and its digest.
    pub head: Head,
    /// The instant at which it was decided, on the engine's clock.
    pub at: Timestamp,
    /// The rows that it changes.
    pub rows: Rows,
}

/// Why a commit was not appended, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Another commit stands in its place, or another term has begun. It is not in the journal and never will be.
    #[error("another commit was appended first")]
    Deposed,
    /// It is not in the journal and never will be.
    #[error("the commit was not appended: {0}")]
    NotAppended(BackendError),
    /// It may be in the journal. After this, the journal takes no more commits.
    #[error("the commit may have been appended: {0}")]
    Unknown(BackendError),
}

/// What a journal gives to whoever reads on from a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The next commits, oldest first; none when the reader has them all.
    Commits(Vec<Commit>),
    /// The journal has forgotten commits that the reader lacks.
    Forgotten,
    /// The reader's head is not in this history: the reader has seen commits that the journal does not hold, or others.
    Elsewhere,
}

/// Why the commits after a head cannot all be read.
#[derive(Debug)]
pub(crate) enum Gap {
    /// The journal has forgotten some.
    Forgotten,
    /// The head is not in this history.
    Elsewhere,
    /// The journal cannot be read, or is damaged.
    Storage(BackendError),
}

/// The commits after a head, oldest first, until the reader has them all. About `most` bytes of rows are read at a time. After an
/// error there is nothing more to ask for.
pub(crate) fn commits_after(
    journal: &dyn Journal,
    mut head: Head,
    most: usize,
) -> impl Iterator<Item = Result<Commit, Gap>> {
    let mut read = Vec::new().into_iter();
    std::iter::from_fn(move || {
        if read.len() == 0 {
            match journal.read(&head, most) {
                Ok(Reading::Commits(commits)) => read = commits.into_iter(),
                Ok(Reading::Forgotten) => return Some(Err(Gap::Forgotten)),
                Ok(Reading::Elsewhere) => return Some(Err(Gap::Elsewhere)),
                Err(why) => return Some(Err(Gap::Storage(why))),
            }
        }
        let next: Commit = read.next()?;
        head = next.head;
        Some(Ok(next))
    })
}

impl<J: Journal + ?Sized> Journal for Arc<J> {
    fn last(&self) -> Result<Head, BackendError> {
        (**self).last()
    }

    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        (**self).append(term, after, at, rows)
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        (**self).read(from, most)
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        (**self).head_at(position)
    }

    fn forget(&self, up_to: Position) -> Result<(), BackendError> {
        (**self).forget(up_to)
    }

    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError> {
        (**self).kept_for(from, up_to)
    }

    fn size(&self) -> Result<u64, BackendError> {
        (**self).size()
    }
}

/// A durable log of commits.
///
/// The engine calls [`Journal::append`] from one thread at a time.
pub trait Journal: Send + Sync + 'static {
    /// The head of the last commit that the journal holds, or held before it forgot all.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn last(&self) -> Result<Head, BackendError>;

    /// Appends a commit after the last, which must be `after`, and returns when it is durable. It is whole or not there at
    /// all, also after a crash.
    ///
    /// # Errors
    /// [`AppendError`], whose variants say whether the commit may be in the journal.
    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError>;

    /// The commits after a head, oldest first: at least one if there are any, and about `most` bytes of rows.
    ///
    /// # Errors
    /// When the journal cannot be read, or is damaged.
    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError>;

    /// The head at a position from which the journal can be read on; `None` when it has forgotten what follows, or has no commit at
    /// that position.
    ///
    /// # Errors
    /// When the journal cannot be read, or is damaged.
    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError>;

    /// Allows the journal to forget the commits up to a position. It may keep them.
    ///
    /// # Errors
    /// When the journal cannot be written; nothing is forgotten then.
    fn forget(&self, up_to: Position) -> Result<(), BackendError>;

    /// The bytes that the journal keeps only for a reader who has read up to `from`, where it may forget what is up to `up_to`; `None` when
    /// it has forgotten what this reader lacks.
    ///
    /// # Errors
    /// When it cannot be told.
    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError>;

    /// The bytes that the journal takes, on disk or in memory.
    ///
    /// # Errors
    /// When it cannot be told.
    fn size(&self) -> Result<u64, BackendError>;
}
