//! The [`EngineBuilder`]: the settings with which an engine is opened, and what opening one does.

use std::path::Path;
use std::time::Duration;

use dogwatch_core::{IdSource, Timestamp};

use crate::backend::{Backend, MemoryBackend, SledBackend, SledOptions};
use crate::clock::{Clock, SystemClock};
use crate::cluster::SharedJournal;
use crate::commit::applier::Applier;
use crate::commit::pending::pending;
use crate::commit::storer::Storer;
use crate::commit::versions::{Checkpoints, Versions};
use crate::commit::writer::{self, End, Settings, Shared};
use crate::engine::{Engine, Inner, Opening};
use crate::error::OpenError;
use crate::format;
use crate::journal::{FolderJournal, Head, Journal, MemoryJournal, Position};
use crate::readers::Readers;
use crate::sync::{Arc, Mutex, thread};

/// The settings with which an engine is opened: see [`Engine::builder`].
///
/// ```
/// use dogwatch_store::rules::Timestamp;
/// use dogwatch_store::{Engine, ManualClock};
/// let clock = ManualClock::at(Timestamp::parse("2026-04-07T10:00:00Z").unwrap());
/// let engine = Engine::builder().clock(clock.clone()).id_seed([7; 32]).in_memory()?;
/// assert_eq!(engine.now().to_string(), "2026-04-07T10:00:00.000Z");
/// # Ok::<(), dogwatch_store::OpenError>(())
/// ```
#[must_use]
pub struct EngineBuilder {
    settings: Settings,
    seed: Option<[u8; 32]>,
    pub(crate) sled: SledOptions,
    upgrade: bool,
}

/// The default for how long delivered notifications are kept: 30 days.
const KEEP_DELIVERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The default for how much of the journal followers and bookmarks keep: 1 GiB.
const FOLLOWER_QUOTA: u64 = 1 << 30;

/// The default for how much memory decoded entities take: 16 MiB.
const CACHE: usize = 16 << 20;

impl Default for EngineBuilder {
    fn default() -> Self {
        let clock = Box::new(SystemClock);
        let checkpoints = Checkpoints::default();
        let settings = Settings {
            clock,
            queue_capacity: 4_096,
            keep_delivered: KEEP_DELIVERED,
            checkpoints,
            follower_quota: FOLLOWER_QUOTA,
            cache: CACHE,
            term: 0,
            leads: true,
        };
        Self { settings, seed: None, sled: SledOptions::default(), upgrade: true }
    }
}

impl EngineBuilder {
    /// Sets the clock to use instead of the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Box::new(clock);
        self
    }

    /// Sets the seed from which ids and secrets are generated, instead of one from the operating system.
    ///
    /// For tests only: a known seed makes secrets known. Opening a store again needs another seed, or ids repeat.
    pub fn id_seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the number of commands that may wait before the next is refused with `overloaded`; 4,096 by default. Those of the
    /// batch that is being assembled, 1,024 at most, do not count.
    pub fn queue_capacity(mut self, commands: usize) -> Self {
        self.settings.queue_capacity = commands;
        self
    }

    /// Sets how long notifications are kept after their delivery; 30 days by default. Each confirmation drops up to two that
    /// are older.
    pub fn keep_delivered(mut self, span: Duration) -> Self {
        self.settings.keep_delivered = span;
        self
    }

    /// Sets when commits, which are durable in the journal, are brought from there into the backend: when the oldest has waited for
    /// `after`, 100 ms by default, or when their rows take `bytes` bytes, 1 MiB by default. The longer they wait, the more of them
    /// are brought in together, and the more has to be read when the store is opened after a crash. See [`Engine::checkpoint`].
    pub fn checkpoint_after(mut self, after: Duration, bytes: usize) -> Self {
        self.settings.checkpoints = Checkpoints { after, bytes };
        self
    }

    /// Sets how many bytes of the journal are kept for followers and bookmarks that are behind ([`Engine::follow`],
    /// [`Engine::bookmark`]); 1 GiB by default. When there are more, they are forgotten, and whoever needs them gets [`FollowError::Forgotten`].
    ///
    /// [`FollowError::Forgotten`]: crate::FollowError::Forgotten
    pub fn follower_quota(mut self, bytes: u64) -> Self {
        self.settings.follower_quota = bytes;
        self
    }

    /// Sets about how many bytes of memory are used for entities that queries have decoded, so that they need not be decoded again;
    /// 16 MiB by default, and none with 0.
    pub fn entity_cache(mut self, bytes: usize) -> Self {
        self.settings.cache = bytes;
        self
    }

    /// Sets how the store on disk is opened: cache size, and whether a missing store is created.
    pub fn sled_options(mut self, options: SledOptions) -> Self {
        self.sled = options;
        self
    }

    /// Sets whether a store of an older format is upgraded when it is opened; it is by default. After an upgrade, older versions
    /// refuse the store. If not, opening fails with [`OpenError::OlderFormat`], and nothing is changed.
    pub fn upgrade(mut self, upgrade: bool) -> Self {
        self.upgrade = upgrade;
        self
    }

    /// Opens the store in a folder, creating it if it does not exist.
    ///
    /// # Errors
    /// See [`Engine::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Engine, OpenError> {
        let path = path.as_ref();
        let backend = SledBackend::open(path, &self.sled)?;
        let found = format::look(&backend, self.upgrade)?;
        let journal = if found.has_journal() {
            FolderJournal::open(path)?
        } else {
            let head = closed(&backend)?;
            // An upgrade that was interrupted may have appended its first commit.
            let begun =
                head.position.number.saturating_add(u64::from(found == format::Found::Older { journal: false }));
            match FolderJournal::left(path)? {
                Some(last) if last.number > begun => {
                    return Err(OpenError::Lost { found: head.position, known: last });
                }
                _ => FolderJournal::create(path, head, self.settings.clock.now())?,
            }
        };
        format::prepare(found, &backend, &journal, self.settings.clock.now())?;
        // If the seal cannot be removed, it stays, and nothing reads it.
        let _ = backend.unseal();
        self.start(backend, journal)
    }

    /// As [`EngineBuilder::open`], on a thread of its own: see [`Engine::open_in_background`].
    pub fn open_in_background(self, path: impl AsRef<Path>) -> Opening {
        let path = path.as_ref().to_path_buf();
        let (promise, pending) = pending();
        let open = move || promise.answer(Ok(self.open(path)));
        match thread::Builder::new().name("dogwatch-opening".to_owned()).spawn(open) {
            Ok(_) => Opening(Ok(pending)),
            Err(why) => Opening(Err(Some(OpenError::Thread(why)))),
        }
    }

    /// Opens an engine that keeps all rows in memory.
    ///
    /// # Errors
    /// See [`Engine::in_memory`].
    pub fn in_memory(self) -> Result<Engine, OpenError> {
        self.with_backend(MemoryBackend::new())
    }

    /// Opens an engine that keeps rows in the given backend, and its journal in memory: what was committed since they were
    /// brought into the backend does not survive the process. When the engine is closed, the backend has all.
    ///
    /// # Errors
    /// See [`Engine::open`].
    pub fn with_backend(self, backend: impl Backend) -> Result<Engine, OpenError> {
        let journal = MemoryJournal::after(format::head(&backend)?);
        self.with_storage(backend, journal)
    }

    /// Opens an engine on the given backend and journal, which belong together: the journal goes on from where the backend is, or
    /// from earlier.
    ///
    /// # Errors
    /// See [`Engine::open`]; [`OpenError::Lost`] when they do not belong together.
    pub fn with_storage(self, backend: impl Backend, journal: impl Journal) -> Result<Engine, OpenError> {
        let found = format::look(&backend, self.upgrade)?;
        format::prepare(found, &backend, &journal, self.settings.clock.now())?;
        self.start(backend, journal)
    }

    /// The present instant of the clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// Opens an engine on the copy of a shared store, which follows the leader: it answers queries, and takes no commands.
    pub(crate) fn follow_copy(
        mut self,
        copy: SledBackend,
        journal: Arc<dyn SharedJournal>,
    ) -> Result<Engine, OpenError> {
        self.settings.leads = false;
        self.start(copy, journal)
    }

    /// Opens an engine on the copy of a shared store in a term of its own. The store is made, or upgraded, by the first commits of the
    /// term.
    pub(crate) fn lead_copy(
        mut self,
        copy: SledBackend,
        journal: Arc<dyn SharedJournal>,
        term: u64,
    ) -> Result<Engine, OpenError> {
        let found = format::look_at_copy(&copy, self.upgrade)?;
        format::prepare_shared(found, &copy, &journal, term, self.settings.clock.now())?;
        self.settings.term = term;
        self.start(copy, journal)
    }

    fn start(self, backend: impl Backend, journal: impl Journal) -> Result<Engine, OpenError> {
        let mut seed = [0; 32];
        match self.seed {
            Some(given) => seed = given,
            None => getrandom::fill(&mut seed).map_err(|error| OpenError::Randomness(error.to_string()))?,
        }
        let (backend, journal) = (Box::new(backend), Box::new(journal));
        let mut lacking = Vec::new();
        let head = format::head(&*backend)?;
        format::catch_up(&*backend, &*journal, |commit| {
            lacking.push(commit);
            Ok(())
        })?;
        let is_copy = format::copy_of(&*backend)?.is_some();
        let versions = Versions::new(backend, head, self.settings.checkpoints, self.settings.cache).of_copy(is_copy);
        lacking.into_iter().for_each(|commit| versions.replay(&commit));
        let readers = Readers::new(self.settings.queue_capacity);
        let shared = Arc::new(Shared::new(versions, journal, self.settings, IdSource::from_seed(seed)));
        let bookmarks = shared.read(|state| state.bookmarks());
        let bookmarks = || bookmarks.map_err(|why| OpenError::Corrupt(why.to_string()));
        shared.bookmarks.set_named(&*shared.journal, bookmarks)?;
        let waiting = Arc::downgrade(&shared);
        shared.clock.when_set(Box::new(move || {
            waiting.upgrade().is_some_and(|shared| {
                shared.deadlines.raise();
                true
            })
        }));
        let writers = Arc::clone(&shared);
        let storer = Storer::start(Arc::clone(&shared)).map_err(OpenError::Thread)?;
        let applier = Applier::start(Arc::clone(&shared)).map_err(OpenError::Thread)?;
        let behind = [storer.thread_id(), applier.thread_id()];
        let run = move || {
            // When the writer has ended, so do these, the last first: what is stored then is published before the end is told.
            let _applier = applier;
            let end = End(writers);
            let storer = storer;
            writer::run(&end.0, &storer);
        };
        let writer = thread::Builder::new().name("dogwatch-writer".to_owned()).spawn(run).map_err(OpenError::Thread)?;
        Ok(Engine { inner: Arc::new(Inner { shared, writer: Mutex::new(Some(writer)), behind, readers }) })
    }
}

/// The head at which a store of a format before 8 was closed. One that holds less has lost commits, and stays as it is: the
/// version that wrote it can still look at it.
pub(crate) fn closed(backend: &SledBackend) -> Result<Head, OpenError> {
    let head = format::head(backend)?;
    match backend.sealed()? {
        Some(sealed) if head.position.number < sealed => {
            Err(OpenError::Lost { found: head.position, known: Position { term: 0, number: sealed } })
        }
        _ => Ok(head),
    }
}
