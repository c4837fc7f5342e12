//! The tools that read or write a store as a whole: verify, export, import, backup, compact, statistics.
//!
//! Each tool reads a [`Snapshot`]: of a store in use ([`Engine`]) it sees the durable state of one moment while commits go
//! on, and of a store that is not in use ([`ReadOnly`]) all rows. No tool changes a row of the store that it reads. A store
//! that is being written (`Building`) cannot be opened before it is complete.

#[cfg(feature = "export")]
mod changes;
mod copy;
#[cfg(feature = "export")]
mod export;
#[cfg(feature = "export")]
mod import;
mod increment;
mod pages;
mod shared;
mod stats;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_core::caller::first_admin;
use dogwatch_core::organization::Organization;
use dogwatch_core::text::Name;
use dogwatch_core::world::State;
use dogwatch_core::{Actor, OrgId, Query, Timestamp, ask};

pub use copy::Copied;
#[cfg(feature = "export")]
pub use import::import;
pub use increment::{Increment, Restored, Until, restore};
pub use shared::backup_shared;
pub use stats::{Stats, TableStats};
pub use verify::{Finding, Report};

pub(crate) use pages::{Page, Side};
pub(crate) use verify::Verifier;

use crate::backend::{Backend, BackendError, Batch, Pair, RowMap, SledBackend, SledOptions};
use crate::builder::closed;
use crate::clock::{Clock, SystemClock};
#[cfg(feature = "export")]
use crate::commit::bookmarks::Bookmark;
use crate::commit::overlay::Overlay;
use crate::commit::snapshot::Snapshot;
use crate::engine::Engine;
use crate::error::{Error, OpenError};
use crate::format::{self, Made};
#[cfg(feature = "export")]
use crate::journal::Journal;
use crate::journal::{FolderJournal, Head, Position};
#[cfg(feature = "export")]
use crate::record::{Corrupt, hex};
use crate::view::StoreView;

/// Why a tool failed. The store that it reads is unchanged; the store that it was writing is removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The store, or the one to be written, cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage cannot be read or written.
    #[error(transparent)]
    Storage(#[from] BackendError),
    /// The export, or the folder to be written, cannot be read or written.
    #[error("cannot read or write: {0}")]
    Io(#[from] io::Error),
    /// The folder to be written is not empty.
    #[error("`{}` is not empty; name a folder that does not exist yet", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The shared store to be filled holds something already.
    #[error("the shared store is not empty; name another database or schema")]
    NotEmptyStore,
    /// A record is not what was written.
    #[error("the record at key {key} is damaged: {why}; `verify` tells more")]
    Damaged {
        /// The key of the record, in hexadecimal digits.
        key: String,
        /// The problem.
        why: String,
    },
    /// A line of the import is not a line of an export, or is not allowed at its place.
    #[error("line {line}: {problem}")]
    Line {
        /// The number of the line, from 1.
        line: u64,
        /// The problem.
        problem: String,
    },
    /// The journal has forgotten commits after this position, or never had a commit there.
    #[error("the journal has no commits from position {from} on: it has forgotten them, or is another")]
    Forgotten {
        /// The position after which commits were wanted.
        from: Position,
    },
    /// The folder holds something else than a backup of this store.
    #[error("`{}` is not a backup of this store that can be gone on with; name another folder", path.display())]
    NotABackup {
        /// The folder.
        path: PathBuf,
    },
    /// A moment other than the last was asked of a store that is not an incremental backup.
    #[error("`{}` is not an incremental backup: only its last moment can be restored", path.display())]
    NotIncremental {
        /// The folder.
        path: PathBuf,
    },
    /// The backup does not hold the moment as of which it was to be restored.
    #[error("the backup holds no such moment: it goes from position {first} to {last}")]
    NoSuchMoment {
        /// The position at which the backup was begun.
        first: Position,
        /// The position of its last commit.
        last: Position,
    },
    /// The engine refused, or has failed.
    #[error(transparent)]
    Engine(Error),
    /// The imported entities are not consistent with one another.
    #[error("what was read does not fit together: {0}")]
    Unfit(Finding),
}

#[cfg(feature = "export")]
pub(crate) fn damaged(key: &[u8], why: Corrupt) -> ToolError {
    if why == Corrupt::Unread {
        return BackendError::new("reading a record", why.to_string()).into();
    }
    ToolError::Damaged { key: hex(key), why: why.to_string() }
}

/// Called with the number of rows or lines that are done, after every 1,000.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

/// Counts the rows or lines that are done, and reports the number after every 1,000.
struct Counter<'a> {
    done: u64,
    progress: Progress<'a>,
}

impl<'a> Counter<'a> {
    fn new(progress: Progress<'a>) -> Self {
        Self { done: 0, progress }
    }

    fn step(&mut self) {
        self.done = self.done.saturating_add(1);
        if self.done.is_multiple_of(1_000) {
            (self.progress)(self.done);
        }
    }
}

/// A store that is opened for reading only: no commands, no upgrade of the format, no writer.
///
/// Like an [`Engine`], it locks the folder. An engine has the same queries and tools, for a store in use.
///
/// ```
/// use dogwatch_store::{Engine, ReadOnly};
/// # let parent = tempfile::tempdir()?;
/// # let folder = parent.path().join("data");
/// drop(Engine::open(&folder)?);
/// let store = ReadOnly::open(&folder)?;
/// assert!(store.verify(&mut |_| ()).is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReadOnly {
    // The journal is dropped before the backend, which holds the lock of the folder.
    #[cfg_attr(not(feature = "export"), allow(dead_code, reason = "only exports of changes read it later"))]
    journal: Option<FolderJournal>,
    backend: SledBackend,
    /// The rows that the backend lacks: those that the journal has, and in a store of an older format those of new indexes. They
    /// are laid over the backend.
    lacking: RowMap,
    head: Head,
}

impl ReadOnly {
    /// Opens the store in a folder that holds one.
    ///
    /// # Errors
    /// [`OpenError`] when the folder is in use, holds no store, one that has lost its end, or one of a newer format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let options = SledOptions { create: false, ..SledOptions::default() };
        let backend = SledBackend::open(path.as_ref(), &options)?;
        let mut lacking = format::lacking(&backend)?;
        // The journal of a shared store is elsewhere; a copy can be looked at all the same.
        let is_copy = format::copy_of(&backend)?.is_some();
        let journal = match !is_copy && format::known(&backend)?.has_journal() {
            true => Some(FolderJournal::open(path.as_ref())?),
            false => None,
        };
        let head = match &journal {
            None if is_copy => format::head(&backend)?,
            Some(journal) => format::catch_up(&backend, journal, |commit| {
                lacking.extend(commit.rows.owned());
                Ok(())
            })?,
            None => closed(&backend)?,
        };
        format::index_commits(&backend, &mut lacking)?;
        Ok(Self { journal, backend, lacking, head })
    }

    fn snapshot(&self) -> Snapshot<'_> {
        Snapshot::still(&self.backend, self.lacking.clone(), self.head)
    }

    /// Nobody has the journal forget anything.
    #[cfg(feature = "export")]
    fn keep(&self, _: Position) -> Option<Bookmark> {
        None
    }

    #[cfg(feature = "export")]
    fn journal(&self) -> Option<&dyn Journal> {
        self.journal.as_ref().map(|journal| journal as &dyn Journal)
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// The last commit that the store holds.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The bookmarks in the journal: see [`Engine::bookmarks`].
    ///
    /// # Errors
    /// `internal_error` when the store cannot be read.
    pub fn bookmarks(&self) -> Result<Vec<(Name, Position)>, Error> {
        Ok(self.read(|state| state.bookmarks())?)
    }

    fn read<R>(&self, read: impl FnOnce(&StoreView<'_>) -> R) -> R {
        read(&StoreView::new(Overlay::new(&self.backend, &self.lacking)))
    }

    /// Answers a query.
    ///
    /// # Errors
    /// Those of the query.
    pub fn query<Q: Query>(&self, query: &Q, actor: &Actor) -> Result<Q::Reply, Error> {
        Ok(self.read(|state| ask(query, actor, state))?)
    }

    /// All organizations of the store, oldest first: see [`Engine::organizations`].
    ///
    /// # Errors
    /// `internal_error` when the store cannot be read.
    pub fn organizations(&self) -> Result<Vec<Organization>, Error> {
        Ok(self.read(|state| state.organizations())?)
    }

    /// The admin of an organization who joined first: see [`Engine::first_admin`].
    ///
    /// # Errors
    /// `not_found` when there is no such organization; `internal_error` when the store cannot be read.
    pub fn first_admin(&self, org: OrgId) -> Result<Actor, Error> {
        Ok(self.read(|state| first_admin(org, state))?)
    }
}

/// All rows except those of removed tables, and the head.
fn rows<'s>(snapshot: &'s Snapshot<'_>) -> impl Iterator<Item = Result<Pair, BackendError>> + use<'s> {
    let older = format::may_hold_gone(|key| snapshot.get(key).ok().flatten());
    let hidden = move |key: &[u8]| format::is_head(key) || (older && format::is_gone(key));
    snapshot.all().filter(move |pair| !pair.as_ref().is_ok_and(|(key, _)| hidden(key)))
}

macro_rules! tools {
    ($($holder:ty),*) => {$(
        impl $holder {
            /// Checks every row: whether it is what was written, whether every index agrees with its record both ways, and
            /// whether entities are consistent with one another. The report has no findings when all of that holds.
            pub fn verify(&self, progress: Progress<'_>) -> Report {
                verify::verify(&self.snapshot(), progress)
            }

            /// Writes all entities as lines of JSON, except those with secrets in plain text, and gives the number of lines.
            /// The same content always gives the same bytes. [`import`] reads them. Needs the feature `export`.
            ///
            /// # Errors
            /// [`ToolError`] when a record is damaged, or something cannot be read or written.
            #[cfg(feature = "export")]
            pub fn export(&self, out: &mut dyn io::Write, progress: Progress<'_>) -> Result<u64, ToolError> {
                export::export(&self.snapshot(), out, progress)
            }

            /// Writes the changes of the commits after a position, as far as the journal holds them, as lines of JSON: `position`,
            /// `at`, `actor`, `organization`, `what` (`created`, `changed`, `deleted`) and `entity`, which is as in an export, without the
            /// hashes of secrets. Gives the position of the last commit. Needs the feature `export`. See [`Engine::follow`].
            ///
            /// # Errors
            /// [`ToolError::Forgotten`] when the journal does not reach back to the position; and when a record is damaged, or
            /// something cannot be read or written.
            #[cfg(feature = "export")]
            pub fn changes(
                &self,
                from: Position,
                out: &mut dyn io::Write,
                progress: Progress<'_>,
            ) -> Result<Position, ToolError> {
                let _kept = self.keep(from);
                changes::changes(self.journal(), &self.snapshot(), from, out, progress)
            }

            /// Writes a copy of the store into a folder that does not exist yet, or is empty.
            ///
            /// # Errors
            /// [`ToolError`] when the folder is not empty, or something cannot be read or written.
            pub fn backup(&self, folder: impl AsRef<Path>, progress: Progress<'_>) -> Result<Copied, ToolError> {
                copy::copy(&self.snapshot(), folder.as_ref(), false, self.now(), Made::Store, progress).map(|(copied, _)| copied)
            }

            /// Writes a copy of the store as a backup does, but slower, so that the copy takes less of the disk.
            ///
            /// # Errors
            /// As for a backup.
            pub fn compact(&self, folder: impl AsRef<Path>, progress: Progress<'_>) -> Result<Copied, ToolError> {
                copy::copy(&self.snapshot(), folder.as_ref(), true, self.now(), Made::Store, progress).map(|(copied, _)| copied)
            }

            /// Counts the rows and bytes of each table.
            ///
            /// # Errors
            /// [`ToolError`] when the store cannot be read.
            pub fn stats(&self) -> Result<Stats, ToolError> {
                stats::stats(&self.snapshot())
            }
        }
    )*};
}

tools!(Engine, ReadOnly);

/// A folder in which a store is being written. It cannot be opened before it is finished; it is removed when dropped before.
struct Building {
    folder: PathBuf,
    backend: Option<SledBackend>,
    batch: Batch,
    /// The bytes of the keys and values that were written.
    bytes: u64,
    /// Whether the store is written slower, so that it takes less of the disk.
    small: bool,
}

/// The number of rows in one batch.
const ROWS: usize = 1_000;
/// The longest wait after each batch for sled to free the parts of its log that are dead, if the log is too large.
const PAUSE: Duration = Duration::from_millis(100);

impl Building {
    fn begin(folder: &Path, small: bool) -> Result<Self, ToolError> {
        if folder.exists() && std::fs::read_dir(folder)?.next().is_some() {
            return Err(ToolError::NotEmpty { path: folder.to_path_buf() });
        }
        let backend = SledBackend::open(folder, &SledOptions::default())?;
        let building =
            Self { folder: folder.to_path_buf(), backend: Some(backend), batch: Batch::new(), bytes: 0, small };
        let backend = building.backend()?;
        format::begin(backend)?;
        backend.make_durable()?;
        Ok(building)
    }

    fn backend(&self) -> Result<&SledBackend, BackendError> {
        self.backend.as_ref().ok_or_else(|| BackendError::new("writing a new store", "it is finished"))
    }

    #[cfg(feature = "export")]
    fn holds(&self, key: &[u8]) -> Result<bool, BackendError> {
        Ok(self.batch.rows.contains_key(key) || self.backend()?.get(key)?.is_some())
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), BackendError> {
        self.change(key, Some(value))
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), BackendError> {
        self.batch.extend([(key, value)]);
        if self.batch.len() >= ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), BackendError> {
        let batch = std::mem::take(&mut self.batch);
        let sizes = batch.iter().map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len));
        self.bytes = self.bytes.saturating_add(u64::try_from(sizes.sum::<usize>()).unwrap_or(0));
        let backend = self.backend()?;
        backend.apply(&batch)?;
        let began = Instant::now();
        // The log may be half as large again as its keys and values. At full speed it would become larger.
        let most = self.bytes.saturating_mul(3) / 2;
        while self.small && backend.size_on_disk().is_some_and(|size| size > most) && began.elapsed() < PAUSE {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Completes what is made, which is at a head as it was at an instant: from here on it can be opened. Gives the salt of its
    /// journal.
    fn finish(mut self, head: &Head, at: Timestamp, made: Made) -> Result<[u8; 8], ToolError> {
        self.flush()?;
        let backend = self.backend()?;
        backend.make_durable()?;
        let salt = FolderJournal::create(&self.folder, *head, at)?.salt();
        format::finish(backend, head, made)?;
        self.backend = None;
        Ok(salt.unwrap_or_default())
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if self.backend.take().is_some() {
            // The store is incomplete. If it cannot be removed, opening it fails with `OpenError::Unfinished`.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
