//! The interface between the engine and where it keeps rows: the [`Backend`] trait, the [`Batch`] that it applies, and the two
//! implementations ([`SledBackend`] on disk, [`MemoryBackend`]).
//!
//! A [`Backend`] is an ordered map of bytes with atomic batches. The code above it may assume no more than this trait says,
//! and every implementation passes the same conformance suite (`tests/backends.rs`).

mod memory;
mod sled;
mod watchdog;

use std::collections::BTreeMap;
use std::fmt;

pub use self::memory::MemoryBackend;
pub use self::sled::{SledBackend, SledOptions};
pub(crate) use self::sled::{folder_size, private_file, sync_folder};

/// Rows by key: a value, or `None` for a row that does not exist.
pub(crate) type RowMap = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Changes that are applied atomically: for each key a value to put, or `None` to delete. Ascending by key, each key once; of
/// two changes to one key the later counts.
///
/// ```
/// use dogwatch_store::backend::Batch;
/// let batch = Batch::from([(b"b".to_vec(), None), (b"a".to_vec(), Some(b"1".to_vec()))]);
/// let changes: Vec<_> = batch.iter().collect();
/// assert_eq!(changes, [(&b"a"[..], Some(&b"1"[..])), (&b"b"[..], None)]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub(crate) rows: RowMap,
}

impl Batch {
    /// A batch without changes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of rows that change.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The changes, ascending by key: a key, and the value to put or `None`.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.rows.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }
}

impl<const N: usize> From<[(Vec<u8>, Option<Vec<u8>>); N]> for Batch {
    fn from(changes: [(Vec<u8>, Option<Vec<u8>>); N]) -> Self {
        changes.into_iter().collect()
    }
}

impl FromIterator<(Vec<u8>, Option<Vec<u8>>)> for Batch {
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>>(changes: I) -> Self {
        Self { rows: changes.into_iter().collect() }
    }
}

/// The changes of a [`Batch`] by value, ascending by key.
#[derive(Debug)]
pub struct Changes(std::collections::btree_map::IntoIter<Vec<u8>, Option<Vec<u8>>>);

impl Iterator for Changes {
    type Item = (Vec<u8>, Option<Vec<u8>>);
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl IntoIterator for Batch {
    type Item = (Vec<u8>, Option<Vec<u8>>);
    type IntoIter = Changes;
    fn into_iter(self) -> Changes {
        Changes(self.rows.into_iter())
    }
}

impl Extend<(Vec<u8>, Option<Vec<u8>>)> for Batch {
    fn extend<I: IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>>(&mut self, changes: I) {
        self.rows.extend(changes);
    }
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Pairs in ascending order of keys.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<Pair, BackendError>> + 'a>;

/// Where an engine keeps rows: an ordered map of bytes.
///
/// A commit is durable in the [`Journal`](crate::journal::Journal). It is brought into the backend later, with others, and must
/// be durable there before the journal forgets it.
///
/// The engine never calls [`Backend::apply`], [`Backend::write`] and [`Backend::make_durable`] from two threads at once; it does so
/// with the other methods.
pub trait Backend: Send + Sync + 'static {
    /// The value of a key; `None` when there is no such row.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError>;

    /// The pairs with `start <= key < end`, in ascending order of keys. An inverted range is empty. The cost depends on the
    /// number of pairs taken, not on the size of the range.
    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a>;

    /// Applies all changes of a batch, or none. Until [`Backend::make_durable`] has returned, a crash may undo whole batches,
    /// the last ones first.
    ///
    /// # Errors
    /// When the storage fails; whether the changes happened is then unknown.
    fn apply(&self, batch: &Batch) -> Result<(), BackendError>;

    /// Makes all changes of a batch one after another, in ascending order of keys, so that readers never wait for all of them. A crash
    /// may leave the first ones without the others; those that were made before are kept then. The default applies them as a whole.
    ///
    /// # Errors
    /// As [`Backend::apply`].
    fn write(&self, batch: &Batch) -> Result<(), BackendError> {
        self.apply(batch)
    }

    /// Returns when everything applied and written so far will survive a crash of the process and a loss of power.
    ///
    /// # Errors
    /// When the storage fails; what is durable is then unknown.
    fn make_durable(&self) -> Result<(), BackendError>;

    /// The bytes that the storage takes on disk; `None` when it is not on disk, or its size cannot be read.
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
    /// A failure of an operation, which `doing` names: "reading", "applying a batch".
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
