//! The [`Engine`]: opening it ([`EngineBuilder`]), and the calls that carry every command and query.
//!
//! All clones of an engine share its threads: the writer, the storer and the applier. When the last clone is dropped, the queue is
//! closed, the writer finishes what was submitted, and the applier brings all commits into the backend.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use dogwatch_core::caller::{Caller, authenticate, external_actor, first_admin};
use dogwatch_core::organization::Organization;
use dogwatch_core::outbox::DeliveryPort;
use dogwatch_core::text::ExternalId;
use dogwatch_core::ticks::TickPort;
use dogwatch_core::world::State;
use dogwatch_core::{Actor, Command, IdSource, OrgId, Query, Secret, Timestamp, ask};

use crate::backend::{Backend, MemoryBackend, SledBackend, SledOptions};
use crate::clock::{Clock, SystemClock};
use crate::commit::applier::Applier;
use crate::commit::overlay::Overlay;
use crate::commit::pending::{self, Pending, pending};
use crate::commit::queue::WhenFull;
use crate::commit::snapshot::Snapshot;
use crate::commit::storer::Storer;
use crate::commit::versions::{Checkpoints, Versions};
use crate::commit::writer::{self, Order, Settings, Shared, Work};
use crate::error::{Error, OpenError};
use crate::format;
use crate::journal::{FolderJournal, Head, Journal, MemoryJournal, Position};
use crate::readers::Readers;
use crate::signal::Signal;
use crate::trace;
use crate::view::StoreView;

/// The engine: incident response in one folder.
///
/// It is a cheap handle: clones are the same engine, and it can be used from any number of threads. Tickers, deliveries, futures,
/// routers and metrics hold clones. Dropping the last one blocks until all submitted commands are finished; then the folder is
/// free.
///
/// ```
/// use dogwatch_store::rules::{Actor, Code};
/// use dogwatch_store::rules::incident::{CreateIncident, GetIncident, Severity};
/// use dogwatch_store::rules::organization::CreateOrganization;
/// use dogwatch_store::Engine;
///
/// let engine = Engine::in_memory()?;
/// let created = engine.execute(
///     CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?, "Ada".parse()?, "Byron".parse()?),
///     &Actor::Operator,
/// )?;
/// // The secret is what a client presents; the engine keeps only its hash.
/// let ada = engine.authenticate(&created.admin.api_key.secret)?;
///
/// let owner = created.admin.member.id;
/// let incident = engine.execute(CreateIncident::new("Checkout is down".parse()?, Severity::Critical, owner), &ada)?;
/// let detail = engine.query(&GetIncident { id: incident.id }, &ada)?;
/// assert_eq!(detail.incident, incident);
/// assert_eq!(detail.audit_trail.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// The threads that the writer waits for when it ends.
    behind: [ThreadId; 2],
    readers: Readers,
}

impl Engine {
    /// Opens the store in a folder, creating it if it does not exist.
    ///
    /// # Errors
    /// [`OpenError`]: `InUse`, `Io` and `Backend` when the folder is in use or cannot be read or written; `NotAStore` when it holds
    /// something else, and nothing is changed then; `NewerFormat`, `Unfinished`, `Lost` and `Corrupt` for a store that cannot be
    /// gone on with; `Randomness` and `Thread` when the system gives no seed or no thread.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder().open(path)
    }

    /// Opens the store in a folder that must hold one already.
    ///
    /// # Errors
    /// [`OpenError::NoStore`] when there is none; nothing is created. Else as [`Engine::open`].
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let mut builder = Self::builder();
        builder.sled.create = false;
        builder.open(path)
    }

    /// As [`Engine::open`], on a thread of its own: the engine can be awaited, without blocking the executor, or waited for.
    ///
    /// Dropping the future does not stop the opening; the engine is closed again when it is open.
    pub fn open_in_background(path: impl AsRef<Path>) -> Opening {
        Self::builder().open_in_background(path)
    }

    /// Opens an engine that keeps all rows in memory, for tests.
    ///
    /// # Errors
    /// [`OpenError::Randomness`] when the system gives no seed, [`OpenError::Thread`] when no thread can be started.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::builder().in_memory()
    }

    /// Builds an engine with settings other than the defaults: clock, seed, queue capacity, how long delivered notifications are
    /// kept, whether a store is created or upgraded, cache, backend.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Executes a command. Blocks until it is decided and durable, or refused.
    ///
    /// # Errors
    /// Those of the command; `overloaded` when the queue is full; `outcome_unknown` when storage failed.
    pub fn execute<C: Command>(&self, command: C, actor: &Actor) -> Result<C::Reply, Error> {
        pending::may_wait()?;
        match writer::alone(&self.inner.shared, Order { actor: *actor, command }) {
            Ok(answer) => answer,
            Err(order) => self.hand_in(order, WhenFull::Refuse)?.wait(),
        }
    }

    /// Submits a command and returns at once. The answer can be waited for or awaited.
    ///
    /// # Errors
    /// `overloaded` when the queue is full; `outcome_unknown` when storage failed earlier. Everything else comes with the answer.
    pub fn submit<C: Command>(&self, command: C, actor: &Actor) -> Result<Pending<C::Reply>, Error> {
        self.hand_in(Order { actor: *actor, command }, WhenFull::Refuse)
    }

    /// Answers a query from durable state, without waiting for commands that are not durable yet.
    ///
    /// # Errors
    /// Those of the query.
    pub fn query<Q: Query>(&self, query: &Q, actor: &Actor) -> Result<Q::Reply, Error> {
        trace::query::<Q, _>(actor, || Ok(self.inner.shared.read(|state| ask(query, actor, state))?))
    }

    /// The present moment, for several queries that are to agree with one another: none sees a commit that another does not.
    ///
    /// It holds up nobody, for as long as it is kept. Meanwhile, what commits overwrite is kept in memory for it.
    ///
    /// ```
    /// use dogwatch_store::Engine;
    /// use dogwatch_store::rules::component::{CreateComponent, ListComponents};
    /// # use dogwatch_store::rules::{Actor, organization::CreateOrganization};
    /// # let engine = Engine::in_memory()?;
    /// # let created = engine.execute(CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?,
    /// #     "Ada".parse()?, "Byron".parse()?), &Actor::Operator)?;
    /// # let ada = created.actor();
    /// let before = engine.view();
    /// engine.execute(CreateComponent::new("Checkout".parse()?), &ada)?;
    /// assert_eq!(before.query(&ListComponents, &ada)?.len(), 0);
    /// assert_eq!(engine.view().query(&ListComponents, &ada)?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn view(&self) -> View {
        View { head: self.inner.shared.versions.hold(), shared: Arc::clone(&self.inner.shared) }
    }

    /// Finds the actor that an API key belongs to, at the engine's present instant.
    ///
    /// # Errors
    /// `invalid_api_key` when the key is unknown, revoked or expired, or its user is no longer a member; `internal_error` when
    /// the store cannot be read.
    pub fn authenticate(&self, key: &Secret) -> Result<Actor, Error> {
        let now = self.now();
        Ok(self.inner.shared.read(|state| authenticate(key, state, now))?)
    }

    /// The member whom your program knows by its own names: the external ids of an organization and of a member in it.
    ///
    /// # Errors
    /// `not_found` when there is no such organization, or no such member in it; `internal_error` when the store cannot be read.
    pub fn actor(&self, organization: &ExternalId, member: &ExternalId) -> Result<Actor, Error> {
        Ok(self.inner.shared.read(|state| external_actor(organization, member, state))?)
    }

    /// Checks that an actor is a caller of some kind, and changes nothing: `engine.admit::<ByAdmin>(&actor)`.
    ///
    /// # Errors
    /// [`Caller::CODES`]: `invalid_api_key` when the user is no longer a member, `not_authorized` when the role is too low. And
    /// `internal_error` when the store cannot be read.
    pub fn admit<C: Caller>(&self, actor: &Actor) -> Result<C, Error> {
        Ok(self.inner.shared.read(|state| C::admit(actor, state))?)
    }

    /// All organizations of the store, oldest first. It takes no actor: it is for the operator of the store.
    ///
    /// # Errors
    /// `internal_error` when the store cannot be read.
    pub fn organizations(&self) -> Result<Vec<Organization>, Error> {
        Ok(self.inner.shared.read(|state| state.organizations())?)
    }

    /// The admin of an organization who joined first, as an actor for tools that the operator of the store runs.
    ///
    /// # Errors
    /// `not_found` when there is no such organization, or it has no admin; `internal_error` when the store cannot be read.
    pub fn first_admin(&self, org: OrgId) -> Result<Actor, Error> {
        Ok(self.inner.shared.read(|state| first_admin(org, state))?)
    }

    /// Whether the engine takes commands; `false` once storage has failed during a commit.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.is_poisoned()
    }

    /// The present length of the command queue and the work done since opening, for monitoring.
    #[must_use]
    pub fn load(&self) -> Load {
        self.inner.shared.load()
    }

    /// The last commit: its position, and its digest, which tells two histories apart.
    #[must_use]
    pub fn head(&self) -> Head {
        self.inner.shared.versions.head()
    }

    /// The number of commits that the store holds, which grows whenever durable state changes. Queries between two equal
    /// readings of it answer the same, unless they depend on the time.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.inner.shared.revision()
    }

    /// Brings all that is committed from the journal into the backend, and blocks until it is durable there. It happens by itself
    /// ([`EngineBuilder::checkpoint_after`]), and when the engine is closed.
    ///
    /// # Errors
    /// `outcome_unknown` ([`Error::Poisoned`]) when storage has failed. What was answered is in the journal all the same.
    pub fn checkpoint(&self) -> Result<(), Error> {
        if self.inner.shared.versions.checkpoint() { Ok(()) } else { Err(Error::Poisoned) }
    }

    /// The number of escalation runs that wait for their next layer, and the number of inboxes (one for each recipient) that
    /// hold notifications. Each is counted up to `most`.
    ///
    /// # Errors
    /// `internal_error` when the store cannot be read.
    pub fn pending(&self, most: usize) -> Result<(usize, usize), Error> {
        Ok(self.inner.shared.read(|state| {
            let timers = state.timers_due(Timestamp::MAX, None, most)?.len();
            Ok::<_, dogwatch_core::Error>((timers, state.ready_inboxes(Timestamp::MAX, None, most)?.len()))
        })?)
    }

    /// The present instant on the engine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.shared.clock.now()
    }
}

impl Engine {
    /// Has the writer do a piece of work, even when the command queue is full, and waits for its answer.
    pub(crate) fn carry_out<W: Work>(&self, work: W) -> Result<W::Reply, Error> {
        pending::may_wait()?;
        self.hand_in(work, WhenFull::Take)?.wait()
    }

    /// Queues a piece of work for the writer and returns at once. `when_full` says what happens when the queue is full.
    pub(crate) fn hand_in<W: Work>(&self, work: W, when_full: WhenFull) -> Result<Pending<W::Reply>, Error> {
        if self.is_poisoned() {
            return Err(Error::Poisoned);
        }
        let (job, pending) = writer::submission(work);
        let refused = if when_full == WhenFull::Refuse { Error::Overloaded } else { Error::Poisoned };
        if self.inner.shared.queue.push(job, when_full) { Ok(pending) } else { Err(refused) }
    }

    /// Reads durable state. No batch becomes visible while `read` runs.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&StoreView<'_>) -> R) -> R {
        self.inner.shared.read(read)
    }

    #[cfg(feature = "export")]
    pub(crate) fn journal(&self) -> Option<&dyn Journal> {
        Some(&*self.inner.shared.journal)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn readers(&self) -> (&Arc<Shared>, &Readers) {
        (&self.inner.shared, &self.inner.readers)
    }

    pub(crate) fn snapshot(&self) -> Snapshot<'_> {
        self.inner.shared.snapshot()
    }

    pub(crate) fn deadlines(&self) -> &Signal {
        &self.inner.shared.deadlines
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.inner.shared.is_poisoned()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.inner.shared.clock
    }

    pub(crate) fn real_time_until(&self, at: Timestamp) -> Duration {
        self.inner.shared.clock.real_time_until(at)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("poisoned", &self.inner.shared.is_poisoned()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.readers.end();
        self.shared.queue.close();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // When a waker holds the last handle, it is dropped in a thread of the engine, which cannot wait for its own end.
        let here = thread::current().id();
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != here && !self.behind.contains(&here)) {
            // When the writer panicked, every caller was answered already: nothing is left to report here.
            let _ = writer.join();
        }
    }
}

/// A moment of an engine: see [`Engine::view`]. It does not keep the engine open; it answers from the same rows after the engine is
/// closed, but keeps the folder in use.
pub struct View {
    shared: Arc<Shared>,
    head: Head,
}

impl View {
    /// Answers a query as it was at this moment. What depends on the time is answered for the time that the query names.
    ///
    /// # Errors
    /// Those of the query.
    pub fn query<Q: Query>(&self, query: &Q, actor: &Actor) -> Result<Q::Reply, Error> {
        let view = self.shared.versions.view_of(self.head);
        trace::query::<Q, _>(actor, || Ok(ask(query, actor, &StoreView::new(Overlay::plain(&view)))?))
    }

    /// The last commit that this moment holds.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.shared.versions.release(self.head);
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("head", &self.head).finish_non_exhaustive()
    }
}

/// An engine that is being opened: see [`Engine::open_in_background`].
#[must_use = "the engine is closed again if nobody takes it"]
#[derive(Debug)]
pub struct Opening(Result<Pending<Result<Engine, OpenError>>, Option<OpenError>>);

impl Opening {
    /// Blocks until the engine is open.
    ///
    /// # Errors
    /// Those of [`Engine::open`].
    pub fn wait(self) -> Result<Engine, OpenError> {
        match self.0 {
            Ok(pending) => pending.wait().unwrap_or_else(|_| Err(opening_ended())),
            Err(why) => Err(why.unwrap_or_else(opening_ended)),
        }
    }
}

impl Future for Opening {
    type Output = Result<Engine, OpenError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(pending) => Pin::new(pending).poll(cx).map(|opened| opened.unwrap_or_else(|_| Err(opening_ended()))),
            Err(why) => Poll::Ready(Err(why.take().unwrap_or_else(opening_ended))),
        }
    }
}

/// The thread that opens has ended without an answer, by a panic, or its answer was taken before.
fn opening_ended() -> OpenError {
    OpenError::Thread(std::io::Error::other("the thread that opens the store has ended"))
}

/// The work of an engine, waiting and done: see [`Engine::load`]. Ticks, claims, confirmations and the like count as
/// commands, a transaction as one, and commands that were refused count, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// The commands that wait for the writer.
    pub queued: u64,
    /// The batches that were finished since the engine was opened.
    pub batches: u64,
    /// The commands in those batches.
    pub commands: u64,
}

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
    sled: SledOptions,
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
        let versions = Versions::new(backend, head, self.settings.checkpoints, self.settings.cache);
        lacking.into_iter().for_each(|commit| versions.replay(&commit));
        let readers = Readers::new(self.settings.queue_capacity);
        let shared = Arc::new(Shared::new(versions, journal, self.settings, IdSource::from_seed(seed)));
        let bookmarks = shared.read(|state| state.bookmarks());
        let bookmarks = || bookmarks.map_err(|why| OpenError::Corrupt(why.to_string()));
        shared.bookmarks.set_named(bookmarks)?;
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
            // They end in this order, when the writer has.
            let _applier = applier;
            let storer = storer;
            writer::run(&writers, &storer);
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
