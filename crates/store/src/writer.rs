//! The one thread that writes.
//!
//! It takes all commands that have queued up, decides each against the committed state plus the changes of those before it,
//! applies all changes as one batch, makes it durable once, and only then answers. A refused command leaves nothing in the
//! batch, and is answered with the others: what refused it may be a change that is not durable yet.
//!
//! Between applying a batch and its durability, readers must not see it. What it overwrites is laid over the backend for
//! them, under a lock that is held only while the batch is applied: see [`Shared::read`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use dogwatch_core::{Actor, Command, Error as Refusal, IdSource, Root, Timestamp, decide};

use crate::backend::{Backend, BackendError, Batch};
use crate::clock::Clock;
use crate::error::Error;
use crate::overlay::Overlay;
use crate::pending::{Pending, Promise, pending};
use crate::queue::Queue;
use crate::records::Patch;
use crate::world::StoreView;

/// How many commands one batch holds at most.
const LARGEST_BATCH: usize = 1_024;

/// What callers, readers and the writer share.
pub(crate) struct Shared {
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) queue: Queue<Box<dyn Job>>,
    /// What the batch in flight overwrites.
    overwritten: RwLock<Batch>,
    poisoned: AtomicBool,
}

impl Shared {
    pub(crate) fn new(backend: Box<dyn Backend>, clock: Box<dyn Clock>, queue_capacity: usize) -> Self {
        Self {
            backend,
            clock,
            queue: Queue::new(queue_capacity),
            overwritten: RwLock::new(Batch::new()),
            poisoned: AtomicBool::new(false),
        }
    }

    /// Reads durable state: of every batch all or nothing, for as long as `read` runs.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&dyn Root) -> R) -> R {
        let overwritten = self.overwritten.read().unwrap_or_else(PoisonError::into_inner);
        read(&StoreView::new(Overlay::new(&*self.backend, &overwritten)))
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }
}

/// How the batch of a command ended.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    Durable,
    Unknown,
    Poisoned,
}

/// A command in the queue, whatever its type.
pub(crate) trait Job: Send {
    /// Decides it, once. A refusal leaves the patch empty.
    fn decide(&mut self, root: &dyn Root, now: Timestamp, ids: &mut IdSource) -> Patch;
    /// Answers the caller.
    fn answer(self: Box<Self>, fate: Fate);
}

struct Submission<C: Command> {
    actor: Actor,
    command: Option<C>,
    decided: Result<C::Reply, Error>,
    promise: Promise<C::Reply>,
}

/// A command for the queue, and the caller's end of it.
pub(crate) fn submission<C: Command>(command: C, actor: Actor) -> (Box<dyn Job>, Pending<C::Reply>) {
    let (promise, pending) = pending();
    let submission = Submission { actor, command: Some(command), decided: Err(Error::OutcomeUnknown), promise };
    (Box::new(submission), pending)
}

impl<C: Command> Submission<C> {
    fn try_decide(&mut self, root: &dyn Root, now: Timestamp, ids: &mut IdSource) -> Result<Patch, Refusal> {
        let command = self.command.take().ok_or_else(|| Refusal::broken("a command is decided once"))?;
        let decision = decide(command, &self.actor, root, now, ids)?;
        let mut patch = Patch::default();
        for write in &decision.writes {
            patch.add(write).map_err(|why| Refusal::broken(format!("a change cannot be stored: {why}")))?;
        }
        self.decided = Ok(decision.reply);
        Ok(patch)
    }
}

impl<C: Command> Job for Submission<C> {
    fn decide(&mut self, root: &dyn Root, now: Timestamp, ids: &mut IdSource) -> Patch {
        // A defect in one rule must not take the engine down: the command fails, the others go on.
        let decided = catch_unwind(AssertUnwindSafe(|| self.try_decide(root, now, ids)));
        let decided = decided.unwrap_or_else(|_| Err(Refusal::broken("a rule panicked")));
        decided.unwrap_or_else(|error| {
            self.decided = Err(error.into());
            Patch::default()
        })
    }

    fn answer(self: Box<Self>, fate: Fate) {
        self.promise.answer(match fate {
            Fate::Durable => self.decided,
            Fate::Unknown => Err(Error::OutcomeUnknown),
            Fate::Poisoned => Err(Error::Poisoned),
        });
    }
}

/// The writer's loop; it ends when the queue is closed and empty.
pub(crate) fn run(shared: &Arc<Shared>, mut ids: IdSource) {
    while let Some(jobs) = shared.queue.take(LARGEST_BATCH) {
        commit(shared, jobs, &mut ids);
    }
}

fn commit(shared: &Shared, mut jobs: Vec<Box<dyn Job>>, ids: &mut IdSource) {
    let fate = if shared.is_poisoned() {
        Fate::Poisoned
    } else {
        let now = shared.clock.now();
        let mut patch = Patch::default();
        for job in &mut jobs {
            let root = StoreView::new(Overlay::new(&*shared.backend, &patch.after));
            let change = job.decide(&root, now, ids);
            patch.extend(change);
        }
        match store(shared, patch) {
            Ok(()) => Fate::Durable,
            Err(_) => {
                shared.poisoned.store(true, Ordering::Release);
                Fate::Unknown
            }
        }
    };
    jobs.into_iter().for_each(|job| job.answer(fate));
}

/// Applies a batch and makes it durable. After an error readers keep seeing what was durable before.
fn store(shared: &Shared, patch: Patch) -> Result<(), BackendError> {
    if patch.after.is_empty() {
        return Ok(());
    }
    {
        let mut overwritten = shared.overwritten.write().unwrap_or_else(PoisonError::into_inner);
        *overwritten = patch.before;
        shared.backend.apply(&patch.after)?;
    }
    shared.backend.make_durable()?;
    shared.overwritten.write().unwrap_or_else(PoisonError::into_inner).clear();
    Ok(())
}
