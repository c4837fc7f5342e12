//! The [`Engine`]: the calls that carry every command and query.
//!
//! All clones of an engine share its threads: the writer, the storer and the applier. When the last clone is dropped, the queue is
//! closed, the writer finishes what was submitted, and the applier brings all commits into the backend.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use dogwatch_core::api_key::KeyHolder;
use dogwatch_core::caller::{Caller, authenticate, external_actor, first_admin, key_holder};
use dogwatch_core::organization::Organization;
use dogwatch_core::outbox::DeliveryPort;
use dogwatch_core::outbox::Transport;
use dogwatch_core::text::ExternalId;
use dogwatch_core::ticks::TickPort;
use dogwatch_core::world::State;
use dogwatch_core::{Actor, Command, OrgId, Query, Secret, Timestamp, ask};

use crate::builder::EngineBuilder;
use crate::clock::Clock;
use crate::commit::bookmarks::Bookmark;
use crate::commit::overlay::{Overlay, Source as _};
use crate::commit::pending::{self, Pending};
use crate::commit::queue::Lane;
use crate::commit::snapshot::Snapshot;
use crate::commit::writer::{self, By, Order, Shared, Work};
use crate::error::{Error, OpenError, StorageFailure};
use crate::format;
#[cfg(feature = "export")]
use crate::journal::Journal;
use crate::journal::{Head, Position};
use crate::readers::Readers;
use crate::signal::Signal;
use crate::sync::thread::{self, JoinHandle, ThreadId};
use crate::sync::{Arc, Mutex, PoisonError, Weak};
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
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: Mutex<Option<JoinHandle<()>>>,
    /// The threads that the writer waits for when it ends.
    pub(crate) behind: [ThreadId; 2],
    pub(crate) readers: Readers,
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
    /// Those of the command; `overloaded` when the queue is full; `unavailable` or, when it is not known whether it happened, `outcome_unknown` when storage failed.
    pub fn execute<C: Command>(&self, command: C, actor: &Actor) -> Result<C::Reply, Error> {
        pending::may_wait()?;
        match writer::alone(&self.inner.shared, Order { by: actor.into(), command }) {
            Ok(answer) => answer,
            Err(order) => self.hand_in(order)?.wait(),
        }
    }

    /// Submits a command and returns at once. The answer can be waited for or awaited. It is given by an actor, or by whoever holds an
    /// API key when it is decided ([`By`]).
    ///
    /// # Errors
    /// `overloaded` when the queue is full; `unavailable` when storage failed earlier. Everything else comes with the answer.
    pub fn submit<C: Command>(&self, command: C, by: impl Into<By>) -> Result<Pending<C::Reply>, Error> {
        self.hand_in(Order { by: by.into(), command })
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
    /// It holds up nobody, for as long as it is kept. Meanwhile, what commits overwrite is kept in memory for it, up to 256 MiB for all
    /// views together: then the earliest is lost, and its queries fail with `internal_error`.
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

    /// As [`Engine::authenticate`], and which key it is.
    ///
    /// # Errors
    /// As [`Engine::authenticate`].
    pub fn key_holder(&self, key: &Secret) -> Result<KeyHolder, Error> {
        let now = self.now();
        Ok(self.inner.shared.read(|state| key_holder(key, state, now))?)
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

    /// Whether the engine takes commands; `false` once storage has failed during a commit, and when another server leads.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.inner.shared.is_writable()
    }

    /// Why the engine takes no commands any more; `None` while it does. Queries are answered all the same. Drop the engine and open it
    /// again to go on.
    #[must_use]
    pub fn failure(&self) -> Option<StorageFailure> {
        self.inner.shared.failure.get().cloned()
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

    /// The bytes that the journal takes, on disk or in memory; `None` when it cannot be told.
    #[must_use]
    pub fn journal_size(&self) -> Option<u64> {
        self.inner.shared.journal.size().ok()
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
    /// `unavailable` when storage has failed. What was answered is in the journal all the same.
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
            let mut inboxes = 0_usize;
            for transport in Transport::ALL {
                let most = most.saturating_sub(inboxes);
                inboxes = inboxes.saturating_add(state.ready_inboxes(transport, Timestamp::MAX, None, most)?.len());
            }
            Ok::<_, dogwatch_core::Error>((timers, inboxes))
        })?)
    }

    /// Since when a notification waits that can be claimed, of those that wait the longest; `None` when none does.
    ///
    /// # Errors
    /// `internal_error` when the store cannot be read.
    pub fn oldest_ready(&self) -> Result<Option<Timestamp>, Error> {
        let now = self.now();
        let first = self.inner.shared.read(|state| state.first_ready(now).collect::<Result<Vec<_>, _>>())?;
        Ok(first.into_iter().map(|inbox| inbox.ready_at).min())
    }

    /// The present instant on the engine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.shared.clock.now()
    }
}

impl Engine {
    /// Has the writer do a piece of work, and waits for its answer.
    pub(crate) fn carry_out<W: Work>(&self, work: W) -> Result<W::Reply, Error> {
        pending::may_wait()?;
        self.hand_in(work)?.wait()
    }

    /// Queues a piece of work for the writer, in its lane, and returns at once.
    pub(crate) fn hand_in<W: Work>(&self, work: W) -> Result<Pending<W::Reply>, Error> {
        self.takes_commands()?;
        let lane = work.lane();
        let (job, pending) = writer::submission(work);
        let refused = if lane == Lane::First { self.inner.shared.refusal() } else { Error::Overloaded };
        if self.inner.shared.queue.push(job, lane) { Ok(pending) } else { Err(refused) }
    }

    /// Reads durable state. No batch becomes visible while `read` runs.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&StoreView<'_>) -> R) -> R {
        self.inner.shared.read(read)
    }

    /// Has the journal keep what follows a position until what is given is dropped.
    pub(crate) fn keep(&self, from: Position) -> Bookmark {
        self.inner.shared.bookmarks.put(from)
    }

    #[cfg(feature = "export")]
    pub(crate) fn journal(&self) -> Option<&dyn Journal> {
        Some(&*self.inner.shared.journal)
    }

    /// Whether this and another handle are of the same engine.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Whether the rows have the format that this version writes.
    pub(crate) fn has_present_format(&self) -> bool {
        let view = self.inner.shared.versions.view();
        format::is_present_in(|key| view.get(key).ok().flatten())
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

    /// Refuses what would be written when nothing is.
    pub(crate) fn takes_commands(&self) -> Result<(), Error> {
        if self.inner.shared.is_writable() { Ok(()) } else { Err(self.inner.shared.refusal()) }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.inner.shared.clock
    }

    pub(crate) fn real_time_until(&self, at: Timestamp) -> Duration {
        self.inner.shared.clock.real_time_until(at)
    }
}

/// A handle that does not keep an engine open: see [`Engine::downgrade`]. The default is a handle of none.
#[derive(Clone, Default)]
pub struct WeakEngine(Weak<Inner>);

impl WeakEngine {
    /// The engine, if it is still open.
    #[must_use]
    pub fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(|inner| Engine { inner })
    }
}

impl std::fmt::Debug for WeakEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WeakEngine")
    }
}

impl Engine {
    /// A handle that does not keep the engine open, for what only looks at it now and then.
    ///
    /// ```
    /// let engine = dogwatch_store::Engine::in_memory()?;
    /// let weak = engine.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(engine);
    /// assert!(weak.upgrade().is_none());
    /// # Ok::<(), dogwatch_store::OpenError>(())
    /// ```
    #[must_use]
    pub fn downgrade(&self) -> WeakEngine {
        WeakEngine(Arc::downgrade(&self.inner))
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
pub struct Opening(pub(crate) Result<Pending<Result<Engine, OpenError>>, Option<OpenError>>);

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
#[non_exhaustive]
pub struct Load {
    /// The commands that wait for the writer.
    pub queued: u64,
    /// The batches that were finished since the engine was opened.
    pub batches: u64,
    /// The commands in those batches.
    pub commands: u64,
    /// How often an escalation run that was due could not go on, since its records are damaged; each of them is logged.
    pub failed_timers: u64,
    /// How long the commands waited until they were decided, all together.
    pub queue_time: Duration,
    /// How long the journal took to make the batches durable, all together.
    pub commit_time: Duration,
    /// How often a query found an entity decoded.
    pub cache_hits: u64,
    /// How often it had to decode one.
    pub cache_misses: u64,
}
