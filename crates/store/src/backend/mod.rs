//! The seam between the engine and what keeps its bytes.
//!
//! A [`Backend`] is an ordered map of bytes with atomic batches. Nothing above it may assume more than this trait says, and
//! every implementation passes the same conformance suite (`tests/backends.rs`).

mod memory;
mod sled;
mod watchdog;

use std::collections::BTreeMap;
use std::fmt;

pub use self::memory::MemoryBackend;
pub(crate) use self::sled::folder_size;
pub use self::sled::{SledBackend, SledOptions};

/// Changes that happen together: a value to put, or `None` to delete.
pub type Batch = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Pairs in ascending order of keys.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<Pair, BackendError>> + 'a>;

/// Where bytes are kept.
///
/// The engine never calls [`Backend::apply`] and [`Backend::make_durable`] from two threads at once; the others it does.
pub trait Backend: Send + Sync + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError>;

    /// The pairs with `start <= key < end`, in ascending order of keys. An inverted range is empty. The cost is that of the
    /// pairs taken, not of the range.
    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a>;

    /// Applies all changes of a batch, or none. A crash later may undo whole batches, the last ones first, until
    /// [`Backend::make_durable`] has returned.
    ///
    /// # Errors
    /// When the storage fails; whether the changes happened is then unknown.
    fn apply(&self, batch: &Batch) -> Result<(), BackendError>;

    /// Returns when every batch applied so far will survive a crash of the process and a loss of power.
    ///
    /// # Errors
    /// When the storage fails; what is durable is then unknown.
    fn make_durable(&self) -> Result<(), BackendError>;

    /// Notes, outside of what it keeps in order, how many commits it holds. It is called when all of them are durable.
    ///
    /// # Errors
    /// When the note cannot be written.
    fn seal(&self, commits: u64) -> Result<(), BackendError> {
        let _ = commits;
        Ok(())
    }

    /// What was noted last; `None` when nothing was, or the backend keeps no such note.
    ///
    /// # Errors
    /// When the note cannot be read.
    fn sealed(&self) -> Result<Option<u64>, BackendError> {
        Ok(None)
    }

    /// How many bytes it takes on disk; `None` when it is not on disk.
    fn size_on_disk(&self) -> Option<u64> {
        None
    }
}

/// A failure of the storage under the engine.
#[derive(Debug)]
pub struct BackendError {
    doing: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl BackendError {
    /// A failure while doing something: "reading", "applying a batch".
    #[must_use]
    pub fn new(doing: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { doing, source: source.into() }
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "storage failed while {}: {}", self.doing, self.source)
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
