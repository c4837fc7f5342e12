//! What looks at a store as a whole: verifying, exporting and importing, copying, counting.
//!
//! All of it reads a [`Snapshot`], so on a store in use it sees one moment while commits go on, and on a store that nobody
//! uses ([`ReadOnly`]) simply what is there. Nothing here changes the store it reads.

mod copy;
mod export;
mod import;
mod pages;
mod stats;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_core::caller::first_admin;
use dogwatch_core::organization::Organization;
use dogwatch_core::world::State;
use dogwatch_core::{Actor, OrgId, Query, ask};

pub use copy::Copied;
pub use import::import;
pub use stats::{Stats, TableStats};
pub use verify::{Finding, Report};

pub(crate) use pages::Page;
pub(crate) use verify::Verifier;

use crate::backend::{Backend, BackendError, Batch, Pair, RowMap, SledBackend, SledOptions};
use crate::commit::overlay::Overlay;
use crate::commit::snapshot::Snapshot;
use crate::engine::Engine;
use crate::error::{Error, OpenError};
use crate::format;
use crate::record::Corrupt;
use crate::rooms::json::hex;
use crate::view::StoreView;

/// Why a tool could not do its work. What it reads is as it was; of what it writes nothing is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The store, or the one to be written, cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage cannot be read or written.
    #[error(transparent)]
    Storage(#[from] BackendError),
    /// What is exported cannot be written, or what is imported cannot be read.
    #[error("cannot read or write: {0}")]
    Io(#[from] io::Error),
    /// The folder to be written holds something.
    #[error("`{}` is not empty; name a folder that does not exist yet", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A record is not what was written.
    #[error("the record at key {key} is damaged: {why}; `verify` tells more")]
    Damaged {
        /// The key, in hexadecimal digits.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A line of what is imported is not one of an export.
    #[error("line {line}: {problem}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// What was imported does not fit together.
    #[error("what was read does not fit together: {0}")]
    Unfit(Finding),
}

fn damaged(key: &[u8], why: Corrupt) -> ToolError {
    ToolError::Damaged { key: hex(key), why: why.to_string() }
}

/// Tells how many rows or lines are done, every thousand or so.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

/// Counts, and tells every thousand.
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

/// A store that is only looked at: no command, no migration, no writer.
///
/// It has the folder to itself like an [`Engine`]; what an engine offers of this, it offers while it works.
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
    backend: SledBackend,
    /// What a store of an older format lacks.
    lacking: RowMap,
}

impl ReadOnly {
    /// Opens the store in a folder that holds one.
    ///
    /// # Errors
    /// [`OpenError`] when the folder is in use, holds no store, one that has lost its end, or one of a newer format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let options = SledOptions { create: false, ..SledOptions::default() };
        let backend = SledBackend::open(path.as_ref(), &options)?;
        format::known(&backend)?;
        format::commits(&backend)?;
        let lacking = format::lacking(&backend)?;
        Ok(Self { backend, lacking })
    }

    fn snapshot(&self) -> Snapshot<'_> {
        Snapshot::still(&self.backend, self.lacking.clone())
    }

    fn read<R>(&self, read: impl FnOnce(&StoreView<'_>) -> R) -> R {
        read(&StoreView::new(Overlay::new(&self.backend, &self.lacking)))
    }

    /// Answers a query.
    ///
    /// # Errors
    /// Those of the query.
    pub fn query<Q: Query>(&self, query: &Q, actor: &Actor) -> Result<Q::Reply, Error> {
        Ok(self.read(|root| ask(query, actor, root))?)
    }

    /// See [`Engine::organizations`].
    ///
    /// # Errors
    /// `internal_error` when the store cannot be read.
    pub fn organizations(&self) -> Result<Vec<Organization>, Error> {
        Ok(self.read(|root| root.organizations())?)
    }

    /// See [`Engine::first_admin`].
    ///
    /// # Errors
    /// `not_found` when there is no such organization.
    pub fn first_admin(&self, org: OrgId) -> Result<Actor, Error> {
        Ok(self.read(|root| first_admin(org, root))?)
    }
}

/// All rows, but those of tables that are no more.
fn rows<'s>(snapshot: &'s Snapshot<'_>) -> impl Iterator<Item = Result<Pair, BackendError>> + use<'s> {
    let older = format::may_hold_gone(|key| snapshot.read(key));
    snapshot.all().filter(move |pair| !older || !pair.as_ref().is_ok_and(|(key, _)| format::is_gone(key)))
}

macro_rules! tools {
    ($($holder:ty),*) => {$(
        impl $holder {
            /// Looks at every row: whether it is what was written, whether every index agrees with its record both ways,
            /// and whether what must fit together does. A report without findings says that all does.
            pub fn verify(&self, progress: Progress<'_>) -> Report {
                verify::verify(&self.snapshot(), progress)
            }

            /// Writes everything as lines of JSON, but for secrets in plain text, and gives the number of lines. The same
            /// content always gives the same bytes. [`import`] reads it.
            ///
            /// # Errors
            /// [`ToolError`] when a record is damaged, or something cannot be read or written.
            pub fn export(&self, out: &mut dyn io::Write, progress: Progress<'_>) -> Result<u64, ToolError> {
                export::export(&self.snapshot(), out, progress)
            }

            /// Writes a copy of the store into a folder that does not exist yet, or is empty.
            ///
            /// # Errors
            /// [`ToolError`] when the folder is not empty, or something cannot be read or written.
            pub fn backup(&self, folder: impl AsRef<Path>, progress: Progress<'_>) -> Result<Copied, ToolError> {
                copy::copy(&self.snapshot(), folder.as_ref(), false, progress)
            }

            /// As a backup, but slower, so that the copy takes less of the disk.
            ///
            /// # Errors
            /// As for a backup.
            pub fn compact(&self, folder: impl AsRef<Path>, progress: Progress<'_>) -> Result<Copied, ToolError> {
                copy::copy(&self.snapshot(), folder.as_ref(), true, progress)
            }

            /// Counts what there is, table by table.
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

/// A folder in which a store is being written that is nothing until it is whole.
struct Building {
    folder: PathBuf,
    backend: Option<SledBackend>,
    batch: Batch,
    /// How many bytes of keys and values it holds.
    bytes: u64,
    /// Whether it shall be small rather than soon there.
    small: bool,
}

/// How many rows are applied at once.
const ROWS: usize = 1_000;
/// How long sled gets after each of these to give back what its log no longer needs, if it takes too much of the disk.
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

    fn holds(&self, key: &[u8]) -> Result<bool, BackendError> {
        Ok(self.batch.rows.contains_key(key) || self.backend()?.get(key)?.is_some())
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), BackendError> {
        self.batch.extend([(key, Some(value))]);
        if self.batch.len() >= ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), BackendError> {
        let batch = std::mem::take(&mut self.batch);
        let sizes = batch.iter().map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len));
        self.bytes = self.bytes.saturating_add(u64::try_from(sizes.sum::<usize>()).unwrap_or(0));
        let backend = self.backend()?;
        backend.apply(&batch)?;
        let began = Instant::now();
        // Written at full speed, a store would take half as much again.
        let most = self.bytes.saturating_mul(3) / 2;
        while self.small && backend.size_on_disk().is_some_and(|size| size > most) && began.elapsed() < PAUSE {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Makes it a store: from here on it can be opened.
    fn finish(mut self) -> Result<(), ToolError> {
        self.flush()?;
        let backend = self.backend()?;
        backend.make_durable()?;
        format::finish(backend)?;
        backend.seal(format::commits(backend)?)?;
        self.backend = None;
        Ok(())
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if self.backend.take().is_some() {
            // It never became a store. What cannot be removed is refused by name when it is opened.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
