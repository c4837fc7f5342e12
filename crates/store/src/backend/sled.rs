//! The backend on disk ([`SledBackend`]): sled 0.34, with workarounds for what it does not guarantee.
//!
//! sled's `flush` writes the log but never calls fsync, so [`Backend::make_durable`] does that through a file handle of
//! its own. A kill at the wrong moment leaves a torn `snap.*.generating` file that would make every later open fail, so those
//! are removed first, under a lock of our own: a file that another process is writing must not be removed. Large values would
//! be put into files that are never synced, so the store above keeps values small. See `FORMAT.md`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::watchdog::Watchdog;
use super::{Backend, BackendError, Batch, Scan};
use crate::error::OpenError;

/// How a store on disk is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SledOptions {
    /// Bytes of memory for sled's cache of tree nodes; 64 MiB by default.
    pub cache_bytes: u64,
    /// Whether a store that does not exist is created; it is by default.
    pub create: bool,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, create: true }
    }
}

/// Keeps all rows in one folder, with sled.
#[derive(Debug)]
pub struct SledBackend {
    // The fields are dropped in this order: the database closes its files before the lock is released.
    watchdog: Watchdog,
    db: Database,
    log: File,
    path: PathBuf,
    _lock: File,
}

impl SledBackend {
    /// Opens the folder, creating it if it does not exist and [`SledOptions::create`] says so.
    ///
    /// # Errors
    /// [`OpenError`] when another handle has the folder open, it holds something else, or cannot be read or written.
    pub fn open(path: &Path, options: &SledOptions) -> Result<Self, OpenError> {
        let failed = |doing| move |source| OpenError::Io { path: path.to_path_buf(), doing, source };
        if !options.create && !path.join("conf").exists() {
            return Err(OpenError::NoStore { path: path.to_path_buf() });
        }
        // Looked at before anything is written, so that somebody else's folder stays as it is.
        if holds_something_else(path).map_err(failed("looking at the folder"))? {
            return Err(OpenError::NotAStore);
        }
        create_folder(path).map_err(failed("creating the folder"))?;
        let lock = lock(path)?;
        let creating = begin_creation(path).map_err(failed("creating the database"))?;
        if is_foreign(path) {
            return Err(OpenError::NotAStore);
        }
        remove_leftovers(path).map_err(failed("removing unfinished files"))?;
        let db = Database(Some(open_database(path, options)?));
        let log = File::open(path.join("db")).map_err(failed("opening the log"))?;
        log.sync_all().map_err(failed("syncing the log"))?;
        sync_folder(path).map_err(failed("syncing the folder"))?;
        if creating {
            for name in ["db", "conf"] {
                make_private(&path.join(name)).map_err(failed("setting permissions"))?;
            }
            // From here on the folder holds a complete database, which sled can open.
            fs::remove_file(path.join(CREATING)).map_err(failed("creating the database"))?;
            sync_folder(path).map_err(failed("syncing the folder"))?;
        }
        let watchdog = Watchdog::start(db.handle()?.clone()).map_err(OpenError::Thread)?;
        Ok(Self { watchdog, db, log, path: path.to_path_buf(), _lock: lock })
    }
}

impl SledBackend {
    /// Calls the database. `doing` names the operation for the error; a panic of sled is an error, too.
    fn with<R>(
        &self,
        doing: &'static str,
        call: impl FnOnce(&::sled::Db) -> Result<R, ::sled::Error>,
    ) -> Result<R, BackendError> {
        let db = self.db.handle()?;
        caught(doing, || call(db))?.map_err(|error| BackendError::new(doing, error))
    }

    fn flush(&self) -> Result<(), BackendError> {
        self.watchdog.watched(|| self.with("writing the log", |db| db.flush().map(|_| ())))
    }
}

impl SledBackend {
    /// The number of commits at which a store of a format before 8 was closed; `None` when it does not say.
    pub(crate) fn sealed(&self) -> Result<Option<u64>, BackendError> {
        let failed = |e: io::Error| BackendError::new("reading the seal", e);
        let bytes = match fs::read(self.path.join(SEAL)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let sealed = std::str::from_utf8(&bytes).ok().and_then(|text| {
            let (said, sum) = text.strip_suffix('\n')?.split_once(' ')?;
            (sum == format!("{:08x}", crc32fast::hash(said.as_bytes()))).then(|| said.parse().ok())?
        });
        sealed.map(Some).ok_or_else(|| {
            let why = "`dogwatch.seal` is damaged, so nobody can say whether commits are missing; look with `verify`, then \
                       remove it";
            BackendError::new("reading the seal", why)
        })
    }

    /// Removes what [`SledBackend::sealed`] reads: the journal says it now.
    pub(crate) fn unseal(&self) -> io::Result<()> {
        match fs::remove_file(self.path.join(SEAL)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for SledBackend {
    fn drop(&mut self) {
        // After a write that failed unnoticed, sled's own thread waits for ever, and closing waits for that thread. A flush
        // wakes it. A failure is ignored: what it concerns was not acknowledged.
        let _ = self.flush();
    }
}

/// Has folders that are made be for their owner only, where the system knows that.
fn private(builder: &mut fs::DirBuilder) -> &mut fs::DirBuilder {
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(builder, 0o700);
    builder
}

/// Has a file that is made be for its owner only, where the system knows that.
pub(crate) fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes a file one that only its owner reads and writes, where the system knows that.
fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}

/// sled's database, which panics on being closed when its last sync fails.
#[derive(Debug)]
struct Database(Option<::sled::Db>);

impl Database {
    fn handle(&self) -> Result<&::sled::Db, BackendError> {
        self.0.as_ref().ok_or_else(|| BackendError::new("using the database", "it is closed"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let db = self.0.take();
        let _ = caught("closing the database", || drop(db));
    }
}

/// How long to wait for the threads of a handle that was just dropped to release their lock of the log.
const LINGERING: Duration = Duration::from_secs(10);

/// Opens sled's database. A handle that was just dropped may hold sled's lock a little longer than ours: its release is waited
/// for, since no other process can hold it while we hold ours.
fn open_database(path: &Path, options: &SledOptions) -> Result<::sled::Db, OpenError> {
    // sled's flushing thread is also the one that collects garbage, so it must run.
    let config = ::sled::Config::new().path(path).cache_capacity(options.cache_bytes).flush_every_ms(Some(500));
    let config = config.segment_size(segment_size(path));
    let began = Instant::now();
    loop {
        match caught("opening the database", || config.open())? {
            Ok(db) => return Ok(db),
            Err(::sled::Error::Io(error)) if is_lock(&error) && began.elapsed() < LINGERING => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(OpenError::Backend(BackendError::new("opening the database", error))),
        }
    }
}

/// The size of the log's segments in a new store, in bytes. sled rewrites a segment when half of it is dead. In large segments
/// live data is spread more evenly, so less is rewritten and the file stays smaller; see `BENCHMARKS.md`.
const SEGMENT: usize = 8 << 20;

/// The size of a store's segments, in bytes: that with which it was created (in `conf`), else [`SEGMENT`].
fn segment_size(path: &Path) -> usize {
    // If `conf` exists and cannot be read, sled reports what is wrong with it.
    let conf = fs::read(path.join("conf")).unwrap_or_default();
    let conf = String::from_utf8_lossy(&conf);
    let size = conf.lines().find_map(|line| line.strip_prefix("segment_size: ")?.trim().parse().ok());
    size.filter(|size: &usize| size.is_power_of_two() && (256..=16 << 20).contains(size)).unwrap_or(SEGMENT)
}

/// Makes a panic an error: sled panics over some kinds of damage.
fn caught<T>(doing: &'static str, call: impl FnOnce() -> T) -> Result<T, BackendError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        BackendError::new(doing, format!("the database gave up: {said}"))
    })
}

/// Whether an error of sled is that its lock is held. Only its text says so.
fn is_lock(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other && error.to_string().contains("could not acquire lock")
}

/// The seal of formats before 8: the file that holds the number of commits at the last closing; and the file to which it was
/// written first.
const SEAL: &str = "dogwatch.seal";
const NEW_SEAL: &str = "dogwatch.seal.new";
/// The file that exists while the database is being created.
const CREATING: &str = "dogwatch.creating";

impl SledBackend {
    /// Has the next opening of a folder begin with an empty database. The folder must not be in use.
    pub(crate) fn start_anew(path: &Path) -> io::Result<()> {
        File::create(path.join(CREATING))?.sync_all()?;
        sync_folder(path)
    }

    /// Whether a file of this name is the database's.
    pub(crate) fn is_its_file(name: &std::ffi::OsStr) -> bool {
        name.to_str().is_some_and(|name| ["db", "conf"].contains(&name) || name.starts_with("snap."))
    }
}

/// Takes the lock of a folder, which is released when the handle is dropped or the process ends.
fn lock(path: &Path) -> Result<File, OpenError> {
    let file = path.join("dogwatch.lock");
    let failed = |source| OpenError::Io { path: path.to_path_buf(), doing: "locking the folder", source };
    let mut handle = private_file(OpenOptions::new().create(true).truncate(false).read(true).write(true))
        .open(file)
        .map_err(failed)?;
    match handle.try_lock() {
        Ok(()) => {
            // The process is named for those who are refused. Nothing else reads it, so it need not be durable.
            handle.set_len(0).map_err(failed)?;
            write!(handle, "process {}", std::process::id()).map_err(failed)?;
            Ok(handle)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let known = handle.read_to_string(&mut holder).is_ok_and(|length| length > 0);
            let holder = if known { holder } else { "another process".to_owned() };
            Err(OpenError::InUse { path: path.to_path_buf(), holder })
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Whether a folder without a store holds files that are not ours. A new file system has `lost+found`.
fn holds_something_else(path: &Path) -> io::Result<bool> {
    let own = |name: &str| {
        ["dogwatch.lock", "lost+found", "blobs", "db", SEAL, NEW_SEAL, crate::secrets::FILE].contains(&name)
    };
    if path.join("conf").exists() || path.join(CREATING).exists() || !path.exists() {
        return Ok(false);
    }
    for entry in fs::read_dir(path)? {
        if !entry?.file_name().to_str().is_some_and(own) {
            // Unless another process is just creating a store here.
            return Ok(!path.join("conf").exists() && !path.join(CREATING).exists());
        }
    }
    Ok(false)
}

/// Whether `db` is a file of another program, which sled would overwrite. A log of sled has its settings (`conf`) beside it.
fn is_foreign(path: &Path) -> bool {
    let has_log = fs::metadata(path.join("db")).is_ok_and(|log| log.len() > 0);
    has_log && !path.join("conf").exists()
}

/// Creates a folder and those above it that are missing, durably.
fn create_folder(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    // A folder that is there keeps its permissions; one that is made is for its owner only.
    let mut made = fs::DirBuilder::new();
    private(&mut made).recursive(true).create(path)?;
    for folder in missing {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Marks a folder without a database until it has one: sled does not open a database whose creation it did not finish.
/// Where the mark is found, no row was ever written: the files are removed for a new start. Gives whether a database is to be
/// created.
fn begin_creation(path: &Path) -> io::Result<bool> {
    let mark = path.join(CREATING);
    if mark.exists() {
        remove(path, |name| ["blobs", "db", "conf"].contains(&name) || name.starts_with("snap."))?;
        return Ok(true);
    }
    if path.join("db").exists() || path.join("conf").exists() {
        return Ok(false);
    }
    File::create(&mark)?.sync_all()?;
    sync_folder(path)?;
    Ok(true)
}

/// Removes the files that a kill or a failure left half written: sled's snapshots, and a new seal.
fn remove_leftovers(path: &Path) -> io::Result<()> {
    remove(path, |name| name.starts_with("snap.") && name.ends_with(".generating") || name == NEW_SEAL)
}

/// Removes the files and folders in a folder whose names satisfy `such`.
fn remove(path: &Path, such: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&such) {
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
        }
    }
    Ok(())
}

/// The bytes of all files in a folder and in the folders within it.
pub(crate) fn folder_size(path: &Path) -> io::Result<u64> {
    let mut bytes = 0_u64;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let size = entry.metadata().and_then(|metadata| match metadata.is_dir() {
            true => folder_size(&entry.path()),
            false => Ok(metadata.len()),
        });
        bytes = bytes.saturating_add(match size {
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            size => size?,
        });
    }
    Ok(bytes)
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    // Only Unix lets a folder be opened and synced; elsewhere its entries are taken to be durable with the files.
    if cfg!(unix) { File::open(PathBuf::from(path))?.sync_all() } else { Ok(()) }
}

impl Backend for SledBackend {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        Ok(self.with("reading", |db| db.get(key))?.map(|value| value.to_vec()))
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a> {
        if start >= end {
            return Box::new(std::iter::empty());
        }
        let mut pairs = match self.with("scanning", |db| Ok(db.range(start..end))) {
            Ok(pairs) => pairs,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        let mut over = false;
        Box::new(std::iter::from_fn(move || {
            if over {
                return None;
            }
            let pair = caught("scanning", || pairs.next()).map(Option::transpose);
            let pair = pair.and_then(|pair| pair.map_err(|error| BackendError::new("scanning", error)));
            // A scan ends at the first pair that cannot be read.
            over = !matches!(pair, Ok(Some(_)));
            pair.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec()))).transpose()
        }))
    }

    fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
        let mut changes = ::sled::Batch::default();
        for (key, value) in batch.iter() {
            match value {
                Some(value) => changes.insert(key, value),
                None => changes.remove(key),
            }
        }
        self.with("applying a batch", |db| {
            db.apply_batch(changes)?;
            // sled splits a node that has become too large when it is next read or written, and after a failure of the disk it
            // cannot: so each changed key is read here, while it can.
            batch.iter().try_for_each(|(key, _)| db.get(key).map(|_| ()))
        })
    }

    fn write(&self, batch: &Batch) -> Result<(), BackendError> {
        // sled lets nobody read while it applies a batch, and its thread may lose the processor meanwhile.
        self.with("writing rows", |db| {
            batch.iter().try_for_each(|(key, value)| match value {
                Some(value) => db.insert(key, value).map(|_| ()),
                None => db.remove(key).map(|_| ()),
            })
        })
    }

    fn make_durable(&self) -> Result<(), BackendError> {
        self.flush()?;
        self.log.sync_data().map_err(|error| BackendError::new("syncing the log", error))
    }

    fn size_on_disk(&self) -> Option<u64> {
        folder_size(&self.path).ok()
    }
}
