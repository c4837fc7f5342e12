//! The writer: the one thread that decides commands and other pieces of [`Work`].
//!
//! It takes all work that has queued up and decides each piece against the committed state plus the changes of those before
//! it. All changes are one batch, which the [`Storer`] makes durable before any caller is answered; meanwhile the next batch
//! is decided. A refused command leaves no change in the batch, and is answered with the others: it may have been refused
//! because of a change that is not durable yet.
//!
//! A caller who waits for its command, while there is nothing else to do, decides and stores it in its own thread ([`alone`]): it
//! takes the writer's [`Desk`] meanwhile, and nobody has to be woken.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use dogwatch_core::caller::authenticate;
use dogwatch_core::{Actor, Command, Error as Refusal, IdSource, Secret, Timestamp, decide};

use crate::clock::Clock;
use crate::commit::assembly::{Ahead, Assembly};
use crate::commit::bookmarks::Bookmarks;
use crate::commit::overlay::Overlay;
use crate::commit::pending::{self, Pending, Promise, pending};
use crate::commit::queue::{Lane, Queue};
use crate::commit::snapshot::Snapshot;
use crate::commit::storer::Storer;
use crate::commit::versions::{Checkpoints, Versions};
use crate::engine::Load;
use crate::error::{Error, StorageFailure};
use crate::journal::{AppendError, Commit, Journal};
use crate::signal::Signal;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use crate::trace;
use crate::view::StoreView;

/// Why storage counts as failed when the writer panicked: only a caller's clock or value can make it.
const PANICKED: &str = "the writer panicked, of the clock or of a value of a caller";
/// The largest number of pieces of work in one batch.
const LARGEST_BATCH: usize = 1_024;
/// The bytes of changed rows from which on nothing is added to a batch (4 MiB). One transaction may go beyond.
const LARGEST_BYTES: usize = 4 << 20;

/// The settings of an engine that do not depend on where it keeps things.
pub(crate) struct Settings {
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) queue_capacity: usize,
    pub(crate) keep_delivered: Duration,
    pub(crate) checkpoints: Checkpoints,
    /// The bytes of the journal that bookmarks may keep.
    pub(crate) follower_quota: u64,
    /// The bytes that decoded entities may take.
    pub(crate) cache: usize,
    /// The term in which commits are made, if it is not that of the last one; and whether any are.
    pub(crate) term: u64,
    pub(crate) leads: bool,
}

/// The state that callers, readers, the writer and the storer share.
pub(crate) struct Shared {
    // The journal is dropped before the backend, which holds the lock of the folder.
    pub(crate) journal: Box<dyn Journal>,
    pub(crate) versions: Versions,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) queue: Queue<Box<dyn Job>>,
    desk: Mutex<Desk>,
    /// Raised when a timer is set or a notification can be claimed, and when the engine is poisoned.
    pub(crate) deadlines: Signal,
    /// Raised when a commit is published, and when no more will be.
    pub(crate) published: Signal,
    pub(crate) bookmarks: Arc<Bookmarks>,
    /// How long notifications are kept after their delivery.
    pub(crate) keep_delivered: Duration,
    /// The number of commits that the store holds, counting those that readers see.
    pub(crate) commits: AtomicU64,
    /// The term in which commits are made.
    term: AtomicU64,
    /// Whether commits are made: `false` while the engine follows another server.
    leads: AtomicBool,
    /// Whether another server leads now, which has ended the term of this engine.
    deposed: AtomicBool,
    poisoned: AtomicBool,
    /// Why it is.
    pub(crate) failure: OnceLock<StorageFailure>,
    /// Whether the writer has ended.
    ended: AtomicBool,
    batches: AtomicU64,
    commands: AtomicU64,
    failed_timers: AtomicU64,
    pub(crate) times: Times,
}

/// How long things took, all together.
#[derive(Default)]
pub(crate) struct Times {
    /// Commands, from when they were handed in until they were decided.
    pub(crate) queue: Total,
    /// Commits, while the journal made them durable.
    pub(crate) commit: Total,
}

/// A sum of durations.
#[derive(Default)]
pub(crate) struct Total(AtomicU64);

impl Total {
    pub(crate) fn add(&self, took: Duration) {
        self.0.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// What whoever decides needs: the source of ids, and what the last batch has left.
struct Desk {
    ids: IdSource,
    ahead: Ahead,
}

impl Shared {
    pub(crate) fn new(versions: Versions, journal: Box<dyn Journal>, settings: Settings, ids: IdSource) -> Self {
        let desk = Desk { ids, ahead: Ahead { head: versions.head(), single: false } };
        let last = versions.head().position;
        let commits = AtomicU64::new(last.number);
        Self {
            journal,
            versions,
            clock: settings.clock,
            queue: Queue::new(settings.queue_capacity),
            desk: Mutex::new(desk),
            deadlines: Signal::default(),
            published: Signal::default(),
            bookmarks: Arc::new(Bookmarks::new(settings.follower_quota)),
            keep_delivered: settings.keep_delivered,
            commits,
            term: AtomicU64::new(settings.term.max(last.term)),
            leads: AtomicBool::new(settings.leads),
            deposed: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            failure: OnceLock::new(),
            ended: AtomicBool::new(false),
            batches: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            failed_timers: AtomicU64::new(0),
            times: Times::default(),
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads durable state at one moment: all of every batch up to it, and nothing of those after it.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&StoreView<'_>) -> R) -> R {
        read(&StoreView::new(Overlay::plain(&self.versions.view())))
    }

    /// The present durable state, for long reading: it does not hold up commits.
    pub(crate) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot::of(self.versions.view())
    }

    pub(crate) fn load(&self) -> Load {
        let (batches, commands) = (self.batches.load(Ordering::Relaxed), self.commands.load(Ordering::Relaxed));
        let (cache_hits, cache_misses) = self.versions.looked_up();
        Load {
            queued: u64::try_from(self.queue.len()).unwrap_or(u64::MAX),
            batches,
            commands,
            failed_timers: self.failed_timers.load(Ordering::Relaxed),
            queue_time: self.times.queue.get(),
            commit_time: self.times.commit.get(),
            cache_hits,
            cache_misses,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// The term in which commits are made.
    pub(crate) fn term(&self) -> u64 {
        self.term.load(Ordering::Acquire)
    }

    /// What becomes of commands that are not decided any more.
    pub(crate) fn fate(&self) -> Fate {
        if self.is_deposed() { Fate::Deposed } else { Fate::Poisoned }
    }

    /// Whether commands are taken.
    pub(crate) fn is_writable(&self) -> bool {
        self.leads.load(Ordering::Acquire) && !self.is_poisoned()
    }

    /// Why commands are not taken.
    pub(crate) fn refusal(&self) -> Error {
        let leads = self.leads.load(Ordering::Acquire) && !self.is_deposed();
        if leads { Error::Poisoned } else { Error::NotLeading }
    }

    /// Takes over a commit of the leader, which this engine follows; `false` when the backend takes in no more.
    pub(crate) fn replay(&self, commit: &Commit) -> bool {
        if !self.versions.wait_for_room() {
            return false;
        }
        self.versions.replay(commit);
        self.commits.store(commit.head.position.number, Ordering::Release);
        self.published.raise();
        true
    }

    /// Has an engine that has followed take commands from here on, in a term of its own.
    pub(crate) fn lead(&self, term: u64) {
        let mut desk = self.desk();
        desk.ahead = Ahead { head: self.versions.head(), single: false };
        self.term.store(term, Ordering::Release);
        self.leads.store(true, Ordering::Release);
        drop(desk);
        self.deadlines.raise();
    }

    /// Ends the term of this engine, because another one has begun: from here on nothing is written.
    pub(crate) fn depose(&self) {
        self.deposed.store(true, Ordering::Release);
        self.poison(&AppendError::Deposed);
        self.deadlines.raise();
    }

    pub(crate) fn is_deposed(&self) -> bool {
        self.deposed.load(Ordering::Acquire)
    }

    /// Poisons the engine because storage has failed: from here on nothing is written. The first cause is kept and logged.
    pub(crate) fn poison(&self, cause: &dyn std::fmt::Display) {
        let at = catch_unwind(AssertUnwindSafe(|| self.clock.now())).unwrap_or(Timestamp::MIN);
        if self.failure.set(StorageFailure { at, cause: cause.to_string() }).is_ok() {
            if self.is_deposed() {
                trace::deposed(self.term());
            } else {
                trace::storage_failed(cause);
            }
        }
        self.poisoned.store(true, Ordering::Release);
        self.published.raise();
    }

    /// Whether more commits may come.
    pub(crate) fn goes_on(&self) -> bool {
        !self.is_poisoned() && !self.ended.load(Ordering::Acquire)
    }

    /// Notes that no more commits come.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.published.raise();
    }

    pub(crate) fn timer_failed(&self) {
        self.failed_timers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a batch that is durable, and the pieces of work in it.
    pub(crate) fn count_batch(&self, commands: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.commands.fetch_add(u64::try_from(commands).unwrap_or(0), Ordering::Relaxed);
    }
}

/// The outcome of the batch of a piece of work.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    Durable,
    Unknown,
    Poisoned,
    Deposed,
}

/// A piece of work for the writer: a command, a tick, a claim, a confirmation.
pub(crate) trait Work: Send + 'static {
    type Reply: Send + 'static;

    /// Where it waits. What is nobody's command comes first.
    fn lane(&self) -> Lane {
        Lane::First
    }

    /// Does the work. Changes that it has added to the batch when it fails stay there: work that must be atomic adds once, at
    /// its end.
    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Self::Reply, Error>;
}

/// Who gives a command.
#[derive(Debug, Clone)]
pub enum By {
    /// Somebody whom the program knows.
    Actor(Actor),
    /// Whoever holds this API key, as long as they do when the command is decided: a key that has been revoked meanwhile does not act.
    ApiKey {
        /// The key.
        key: Secret,
        /// Its holder, as [`Engine::authenticate`](crate::Engine::authenticate) gave it.
        actor: Actor,
    },
}

impl By {
    pub(crate) fn admitted(&self, batch: &Assembly<'_>) -> Result<Actor, Refusal> {
        match self {
            Self::Actor(actor) => Ok(*actor),
            Self::ApiKey { key, .. } => authenticate(key, &batch.state(), batch.now),
        }
    }

    pub(crate) const fn lane(&self) -> Lane {
        match self {
            Self::Actor(actor) | Self::ApiKey { actor, .. } => lane_of(actor),
        }
    }
}

impl From<&Actor> for By {
    fn from(actor: &Actor) -> Self {
        Self::Actor(*actor)
    }
}

/// Where the commands of an actor wait: with those of their organization.
pub(crate) const fn lane_of(actor: &Actor) -> Lane {
    match actor {
        Actor::Member { org_id, .. } => Lane::Of(Some(*org_id)),
        Actor::Operator | Actor::Anybody => Lane::Of(None),
    }
}

/// A command and who gives it.
pub(crate) struct Order<C> {
    pub(crate) by: By,
    pub(crate) command: C,
}

impl<C: Command> Work for Order<C> {
    type Reply = C::Reply;

    fn lane(&self) -> Lane {
        self.by.lane()
    }

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<C::Reply, Error> {
        let actor = self.by.admitted(batch)?;
        batch.acts(Some(actor));
        trace::command::<C, _>(&actor, || {
            let decision = decide(self.command, &actor, &batch.state(), batch.now, ids)?;
            batch.add(&decision.writes)?;
            Ok(decision.reply)
        })
    }
}

/// A piece of work in the queue, of any type of [`Work`].
pub(crate) trait Job: Send {
    /// Does the work; a second call does nothing.
    fn run(&mut self, batch: &mut Assembly<'_>, ids: &mut IdSource);
    /// Answers the caller, once the outcome of the batch is known.
    fn answer(self: Box<Self>, fate: Fate);
}

struct Submission<W: Work> {
    work: Option<W>,
    since: Instant,
    done: Result<W::Reply, Error>,
    promise: Promise<W::Reply>,
}

/// Makes of a piece of work the job for the queue, and the pending answer for the caller.
pub(crate) fn submission<W: Work>(work: W) -> (Box<dyn Job>, Pending<W::Reply>) {
    let (promise, pending) = pending();
    (
        Box::new(Submission { work: Some(work), since: Instant::now(), done: Err(Error::OutcomeUnknown), promise }),
        pending,
    )
}

impl<W: Work> Job for Submission<W> {
    fn run(&mut self, batch: &mut Assembly<'_>, ids: &mut IdSource) {
        let Some(work) = self.work.take() else { return };
        batch.waited(self.since);
        // A defect in one rule must not take the engine down: the command fails, the others go on.
        let done = catch_unwind(AssertUnwindSafe(|| work.run(batch, ids)));
        self.done = done.unwrap_or_else(|payload| {
            // It is somebody else's value, and may panic when it is dropped.
            std::mem::forget(payload);
            Err(Refusal::broken("a rule panicked").into())
        });
    }

    fn answer(self: Box<Self>, fate: Fate) {
        self.promise.answer(match fate {
            Fate::Durable => self.done,
            Fate::Unknown => Err(Error::OutcomeUnknown),
            Fate::Poisoned => Err(Error::Poisoned),
            Fate::Deposed => Err(Error::NotLeading),
        });
    }
}

/// When the writer's thread ends by a panic, of the clock or of a caller's value, nobody is left waiting for it.
struct Panicked<'a>(&'a Shared);

impl Drop for Panicked<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison(&PANICKED);
            self.0.queue.close();
            while let Some(jobs) = self.0.queue.take(LARGEST_BATCH) {
                jobs.into_iter().for_each(|job| answer(job, Fate::Poisoned));
            }
            self.0.deadlines.raise();
        }
    }
}

/// Answers a caller, whose waker may panic: the others are answered all the same.
pub(crate) fn answer(job: Box<dyn Job>, fate: Fate) {
    let _ = catch_unwind(AssertUnwindSafe(|| job.answer(fate)));
}

/// Somebody who decides without the queue, until it is dropped.
struct Alone<'a>(&'a Shared);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.queue.end_alone();
    }
}

/// Does a piece of work in the calling thread, which waits for it anyway, and gives the answer. The work comes back when there is
/// other work, which comes first, or when it would have to wait.
pub(crate) fn alone<W: Work>(shared: &Shared, work: W) -> Result<Result<W::Reply, Error>, W> {
    if !shared.is_writable() || !shared.queue.begin_alone() {
        return Err(work);
    }
    let alone = Alone(shared);
    if !shared.versions.has_room() {
        return Err(work);
    }
    let (mut job, pending) = submission(work);
    let decide = move || {
        let mut desk = shared.desk();
        let Desk { ids, ahead } = &mut *desk;
        let mut batch = Assembly::new(shared, *ahead);
        job.run(&mut batch, ids);
        *ahead = batch.store(vec![job], None);
    };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| pending::never_wait_within(decide))) {
        // Of the clock, or of a value of the caller. It is somebody else's value, and may panic when it is dropped.
        std::mem::forget(payload);
        shared.poison(&PANICKED);
        shared.deadlines.raise();
    }
    drop(alone);
    Ok(pending.wait())
}

/// Notes, when it is dropped, that no more commits come.
pub(crate) struct End(pub(crate) Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The writer's loop; it ends when the queue is closed and empty.
pub(crate) fn run(shared: &Shared, storer: &Storer) {
    pending::never_wait_here();
    let _panicked = Panicked(shared);
    // What has been taken from the queue and did not fit into the batch.
    let mut taken: VecDeque<Box<dyn Job>> = VecDeque::new();
    loop {
        if taken.is_empty() {
            match shared.queue.take(LARGEST_BATCH) {
                Some(first) => taken.extend(first),
                None => return,
            }
        }
        if shared.is_poisoned() || !shared.versions.wait_for_room() {
            taken.drain(..).for_each(|job| answer(job, shared.fate()));
            continue;
        }
        let mut desk = shared.desk();
        let Desk { ids, ahead } = &mut *desk;
        let mut batch = Assembly::new(shared, *ahead);
        let mut jobs: Vec<Box<dyn Job>> = Vec::new();
        let mut free = false;
        loop {
            while batch.bytes() < LARGEST_BYTES
                && let Some(mut job) = taken.pop_front()
            {
                // A transaction may have taken a while.
                batch.look_at_clock();
                batch.acts(None);
                job.run(&mut batch, ids);
                jobs.push(job);
            }
            if free {
                break;
            }
            // Work that comes in while the batch before this one is being stored joins this one, if it fits.
            let room = LARGEST_BATCH.saturating_sub(jobs.len());
            let room = if taken.is_empty() && batch.bytes() < LARGEST_BYTES { room } else { 0 };
            let more;
            (more, free) = shared.queue.take_while_storing(room);
            taken.extend(more);
        }
        *ahead = batch.store(jobs, Some(storer));
    }
}
