//! The engine: opening it, and the few calls that everything goes through.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use dogwatch_core::caller::{Caller, authenticate, first_admin};
use dogwatch_core::organization::Organization;
use dogwatch_core::outbox::DeliveryPort;
use dogwatch_core::ticks::TickPort;
use dogwatch_core::world::State;
use dogwatch_core::{Actor, Command, IdSource, OrgId, Query, Secret, Timestamp, ask};

use crate::backend::{Backend, MemoryBackend, SledBackend, SledOptions};
use crate::clock::{Clock, SystemClock};
use crate::commit::pending::Pending;
use crate::commit::queue::WhenFull;
use crate::commit::snapshot::Snapshot;
use crate::commit::storer::Storer;
use crate::commit::writer::{self, Order, Settings, Shared, Work};
use crate::error::{Error, OpenError};
use crate::format;
use crate::signal::Signal;
use crate::view::StoreView;

/// Incident response in one folder.
///
/// An engine is a cheap handle: clones are the same engine, and it can be used from any number of threads. When the last
/// clone is dropped, everything that was submitted is finished first.
///
/// ```
/// use dogwatch_store::rules::{Actor, Code};
/// use dogwatch_store::rules::incident::{CreateIncident, GetIncident, Severity};
/// use dogwatch_store::rules::organization::CreateOrganization;
/// use dogwatch_store::Engine;
///
/// let engine = Engine::in_memory()?;
/// let created = engine.execute(
///     CreateOrganization {
///         name: "Harbour".parse()?,
///         admin_email: "ada@example.com".parse()?,
///         first_name: "Ada".parse()?,
///         last_name: "Byron".parse()?,
///     },
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
    storer: ThreadId,
}

impl Engine {
    /// Opens the store in a folder, creating it if it does not exist.
    ///
    /// # Errors
    /// [`OpenError`] when the folder is in use, cannot be read or written, or holds something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder().open(path)
    }

    /// Opens the store in a folder that holds one.
    ///
    /// # Errors
    /// [`OpenError::NoStore`] when there is none; nothing is created. Else as [`Engine::open`].
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let mut builder = Self::builder();
        builder.sled.create = false;
        builder.open(path)
    }

    /// An engine that keeps everything in memory, for tests.
    ///
    /// # Errors
    /// [`OpenError::Randomness`] when the system gives no seed, [`OpenError::Thread`] when no thread can be started.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::builder().in_memory()
    }

    /// An engine with a clock, seed or queue of one's own.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Carries out a command. Blocks until it is decided and durable, or refused.
    ///
    /// # Errors
    /// Those of the command; `overloaded` when the queue is full; `outcome_unknown` when storage failed.
    pub fn execute<C: Command>(&self, command: C, actor: &Actor) -> Result<C::Reply, Error> {
        self.submit(command, actor)?.wait()
    }

    /// Hands in a command and returns at once. The answer can be waited for or awaited.
    ///
    /// # Errors
    /// `overloaded` when the queue is full. Everything else comes with the answer.
    pub fn submit<C: Command>(&self, command: C, actor: &Actor) -> Result<Pending<C::Reply>, Error> {
        self.hand_in(Order { actor: *actor, command }, WhenFull::Refuse)
    }

    /// Answers a query from durable state, without waiting for commands under way.
    ///
    /// # Errors
    /// Those of the query.
    pub fn query<Q: Query>(&self, query: &Q, actor: &Actor) -> Result<Q::Reply, Error> {
        Ok(self.inner.shared.read(|root| ask(query, actor, root))?)
    }

    /// Finds out who presents an API key.
    ///
    /// # Errors
    /// `invalid_api_key` when the key is unknown, revoked or expired, or its user is no longer a member.
    pub fn authenticate(&self, key: &Secret) -> Result<Actor, Error> {
        let now = self.now();
        Ok(self.inner.shared.read(|root| authenticate(key, root, now))?)
    }

    /// Checks that an actor is what a kind of caller must be, without doing anything: `engine.admit::<ByAdmin>(&actor)`.
    ///
    /// # Errors
    /// [`Caller::CODES`]: `invalid_api_key` when the user is no longer a member, `not_authorized` when the role is too low.
    pub fn admit<C: Caller>(&self, actor: &Actor) -> Result<C, Error> {
        Ok(self.inner.shared.read(|state| C::admit(actor, state))?)
    }

    /// All organizations of the store, oldest first. For whoever operates the store: it takes no actor.
    ///
    /// # Errors
    /// `internal_error` when the store cannot be read.
    pub fn organizations(&self) -> Result<Vec<Organization>, Error> {
        Ok(self.inner.shared.read(|root| root.organizations())?)
    }

    /// An admin of an organization, for tools of whoever operates the store: the one who joined first.
    ///
    /// # Errors
    /// `not_found` when there is no such organization.
    pub fn first_admin(&self, org: OrgId) -> Result<Actor, Error> {
        Ok(self.inner.shared.read(|root| first_admin(org, root))?)
    }

    /// Whether it takes commands: not after storage has failed.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.is_poisoned()
    }

    /// How much there is to do and how much was done, for whoever watches.
    #[must_use]
    pub fn load(&self) -> Load {
        self.inner.shared.load()
    }

    /// A number that grows whenever durable state changes. Queries between two equal readings of it answer the same, unless
    /// they depend on the time. It is the number of commits that the store holds.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.inner.shared.revision()
    }

    /// How many runs wait, and how many lines of notifications: each counted up to `most`.
    ///
    /// # Errors
    /// `internal_error` when the store cannot be read.
    pub fn pending(&self, most: usize) -> Result<(usize, usize), Error> {
        Ok(self.inner.shared.read(|root| {
            let timers = root.timers_due(Timestamp::MAX, None, most)?.len();
            Ok::<_, dogwatch_core::Error>((timers, root.ready_inboxes(Timestamp::MAX, None, most)?.len()))
        })?)
    }

    /// What time it is for this engine.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.shared.clock.now()
    }
}

impl Engine {
    /// Has the writer do something, even when the command queue is full.
    pub(crate) fn carry_out<W: Work>(&self, work: W) -> Result<W::Reply, Error> {
        self.hand_in(work, WhenFull::Take)?.wait()
    }

    /// As [`Engine::carry_out`], without waiting.
    pub(crate) fn hand_in<W: Work>(&self, work: W, when_full: WhenFull) -> Result<Pending<W::Reply>, Error> {
        if self.is_poisoned() {
            return Err(Error::Poisoned);
        }
        let (job, pending) = writer::submission(work);
        let refused = if when_full == WhenFull::Refuse { Error::Overloaded } else { Error::Poisoned };
        if self.inner.shared.queue.push(job, when_full) { Ok(pending) } else { Err(refused) }
    }

    /// Reads durable state.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&StoreView<'_>) -> R) -> R {
        self.inner.shared.read(read)
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
        self.shared.queue.close();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle may go in a thread of the engine, when a waker holds one: it cannot wait for its own end.
        let here = thread::current().id();
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != here && self.storer != here) {
            // A panic of the writer has already answered every caller; there is nothing to add here.
            let _ = writer.join();
        }
        if !self.shared.is_poisoned() {
            // A note that cannot be written is missed by nobody but a later check: the older one stays.
            let _ = self.shared.backend.seal(self.shared.commits.load(Ordering::Relaxed));
        }
    }
}

/// See [`Engine::load`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// How many commands wait for the writer.
    pub queued: u64,
    /// How many batches were committed since the engine was opened.
    pub batches: u64,
    /// How many commands were in them.
    pub commands: u64,
}

/// How an engine is opened when the defaults will not do.
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
}

/// For how long delivered notifications are kept, if nobody says otherwise: 30 days.
const KEEP_DELIVERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Default for EngineBuilder {
    fn default() -> Self {
        let clock = Box::new(SystemClock);
        let settings = Settings { clock, queue_capacity: 4_096, keep_delivered: KEEP_DELIVERED };
        Self { settings, seed: None, sled: SledOptions::default() }
    }
}

impl EngineBuilder {
    /// The clock to use instead of the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Box::new(clock);
        self
    }

    /// The seed of ids and secrets, instead of one from the operating system.
    ///
    /// For tests only: who knows the seed knows the secrets. Opening a store again needs another seed, or ids repeat.
    pub fn id_seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many commands may wait before the next is refused with `overloaded`; 4,096 by default. Those of the batch that is
    /// being put together, 1,024 at most, do not count.
    pub fn queue_capacity(mut self, commands: usize) -> Self {
        self.settings.queue_capacity = commands;
        self
    }

    /// For how long notifications are kept once they are delivered; 30 days by default. Each confirmation drops a few that
    /// are older.
    pub fn keep_delivered(mut self, span: Duration) -> Self {
        self.settings.keep_delivered = span;
        self
    }

    /// How the store on disk is opened.
    pub fn sled_options(mut self, options: SledOptions) -> Self {
        self.sled = options;
        self
    }

    /// Opens the store in a folder, creating it if it does not exist.
    ///
    /// # Errors
    /// See [`Engine::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Engine, OpenError> {
        let backend = SledBackend::open(path.as_ref(), &self.sled)?;
        self.with_backend(backend)
    }

    /// Opens an engine that keeps everything in memory.
    ///
    /// # Errors
    /// See [`Engine::in_memory`].
    pub fn in_memory(self) -> Result<Engine, OpenError> {
        self.with_backend(MemoryBackend::new())
    }

    /// Opens an engine on a backend of one's own.
    ///
    /// # Errors
    /// See [`Engine::open`].
    pub fn with_backend(self, backend: impl Backend) -> Result<Engine, OpenError> {
        format::check(&backend)?;
        let mut seed = [0; 32];
        match self.seed {
            Some(given) => seed = given,
            None => getrandom::fill(&mut seed).map_err(|error| OpenError::Randomness(error.to_string()))?,
        }
        let commits = format::commits(&backend)?;
        let shared = Arc::new(Shared::new(Box::new(backend), self.settings, commits));
        let writers = Arc::clone(&shared);
        let storer = Storer::start(Arc::clone(&shared)).map_err(OpenError::Thread)?;
        let storer_id = storer.thread_id();
        let run = move || writer::run(&writers, &storer, IdSource::from_seed(seed));
        let writer = thread::Builder::new().name("dogwatch-writer".to_owned()).spawn(run).map_err(OpenError::Thread)?;
        Ok(Engine { inner: Arc::new(Inner { shared, writer: Mutex::new(Some(writer)), storer: storer_id }) })
    }
}
