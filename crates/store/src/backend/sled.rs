//! The backend on disk: sled 0.34, with what it leaves undone made good.
//!
//! sled's `flush` writes the log but never calls fsync, so [`Backend::make_durable`] does that through a file handle of
//! its own. A kill at the wrong moment leaves a torn `snap.*.generating` file that would make every later open fail, so those
//! are removed first, under a lock of our own: a file that another process is just writing must not go. Large values would
//! go to files that are never synced, so the store above keeps values small. See `FORMAT.md`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{Backend, BackendError, Batch, Scan};
use crate::error::OpenError;

/// How a store on disk is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SledOptions {
    /// Bytes of memory for the cache of pages; 64 MiB by default.
    pub cache_bytes: u64,
    /// Whether a store that does not exist is created; it is by default.
    pub create: bool,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, create: true }
    }
}

/// Keeps everything in one folder.
#[derive(Debug)]
pub struct SledBackend {
    // Dropped in this order: the database lets go of its files before the lock does.
    db: ::sled::Db,
    log: File,
    _lock: File,
}

impl SledBackend {
    /// Opens the folder, creating it if it does not exist and [`SledOptions::create`] says so.
    ///
    /// # Errors
    /// [`OpenError`] when another handle has the folder open, or it cannot be read or written.
    pub fn open(path: &Path, options: &SledOptions) -> Result<Self, OpenError> {
        let failed = |doing| move |source| OpenError::Io { path: path.to_path_buf(), doing, source };
        if !options.create && !path.join("conf").exists() {
            return Err(OpenError::NoStore { path: path.to_path_buf() });
        }
        fs::create_dir_all(path).map_err(failed("creating the folder"))?;
        let lock = lock(path)?;
        if is_foreign(path) {
            return Err(OpenError::NotAStore);
        }
        remove_torn_snapshots(path).map_err(failed("removing unfinished snapshots"))?;
        let db = open_database(path, options)?;
        let log = File::open(path.join("db")).map_err(failed("opening the log"))?;
        log.sync_all().map_err(failed("syncing the log"))?;
        sync_folder(path).map_err(failed("syncing the folder"))?;
        if let Some(parent) = path.canonicalize().ok().as_deref().and_then(Path::parent) {
            sync_folder(parent).map_err(failed("syncing the parent folder"))?;
        }
        Ok(Self { db, log, _lock: lock })
    }
}

/// How long to wait for threads of a handle that was just dropped to let go of the log.
const LINGERING: Duration = Duration::from_secs(10);

/// Opens sled's database. A handle that was just dropped may hold its lock a little longer than ours: that one is waited
/// for, since nobody else can hold it while we hold ours.
fn open_database(path: &Path, options: &SledOptions) -> Result<::sled::Db, OpenError> {
    // Its flushing thread is also the one that collects garbage.
    let config = ::sled::Config::new().path(path).cache_capacity(options.cache_bytes).flush_every_ms(Some(500));
    let began = Instant::now();
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(::sled::Error::Io(error)) if is_lock(&error) && began.elapsed() < LINGERING => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(OpenError::Backend(BackendError::new("opening the database", error))),
        }
    }
}

/// sled reports a lock that is held with words only.
fn is_lock(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other && error.to_string().contains("could not acquire lock")
}

/// The lock that says a folder is in use; it ends with the process.
fn lock(path: &Path) -> Result<File, OpenError> {
    let file = path.join("dogwatch.lock");
    let failed = |source| OpenError::Io { path: path.to_path_buf(), doing: "locking the folder", source };
    let handle = OpenOptions::new().create(true).truncate(false).write(true).open(file).map_err(failed)?;
    match handle.try_lock() {
        Ok(()) => Ok(handle),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Whether the log is somebody else's file: sled would overwrite it. Its own has its settings beside it.
fn is_foreign(path: &Path) -> bool {
    let has_log = fs::metadata(path.join("db")).is_ok_and(|log| log.len() > 0);
    has_log && !path.join("conf").exists()
}

fn remove_torn_snapshots(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let torn = name.to_str().is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating"));
        if torn {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn sync_folder(path: &Path) -> io::Result<()> {
    // Only Unix lets a folder be opened and synced; elsewhere its entries are durable with the files.
    if cfg!(unix) { File::open(PathBuf::from(path))?.sync_all() } else { Ok(()) }
}

impl Backend for SledBackend {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        let value = self.db.get(key).map_err(|e| BackendError::new("reading", e))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a> {
        if start >= end {
            return Box::new(std::iter::empty());
        }
        let pairs = self.db.range(start..end);
        Box::new(pairs.map(|pair| match pair {
            Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
            Err(e) => Err(BackendError::new("scanning", e)),
        }))
    }

    fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
        let mut changes = ::sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => changes.insert(key.as_slice(), value.as_slice()),
                None => changes.remove(key.as_slice()),
            }
        }
        self.db.apply_batch(changes).map_err(|e| BackendError::new("applying a batch", e))
    }

    fn make_durable(&self) -> Result<(), BackendError> {
        self.db.flush().map_err(|e| BackendError::new("writing the log", e))?;
        self.log.sync_data().map_err(|e| BackendError::new("syncing the log", e))
    }
}
