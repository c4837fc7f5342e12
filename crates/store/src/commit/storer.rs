//! The [`Storer`]: the thread that stores what the writer has decided.
//!
//! It takes batches in the order in which they were decided, and parts of a large one while the rest is still being decided.
//! The before images of a part are laid over the backend for readers before it is applied. At the end of a batch all of it
//! is made durable and shown to readers, and only then all its callers are answered.
//!
//! Meanwhile the writer decides the next batch, against what this one will have changed. That batch waits until all callers
//! are answered: so at most one batch is hidden from readers, and callers who submit again at once are in the next.
//!
//! A command that comes alone after one that came alone is stored by the writer itself: there is nothing else to decide, and
//! its caller does not wait for another thread to wake up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};

use crate::backend::{BackendError, Batch, RowMap};
use crate::commit::pending;
use crate::commit::writer::{Fate, Job, Shared};
use crate::trace;

/// A part of a batch: the rows that change, and their before images.
pub(crate) struct Part {
    pub(crate) before: RowMap,
    pub(crate) rows: Arc<Batch>,
}

/// The end of a batch: its last part, and the callers to answer.
pub(crate) struct BatchEnd {
    /// The last part of the batch, or why it cannot be stored.
    pub(crate) part: Result<Part, BackendError>,
    /// The number of commits that the store holds with this batch.
    pub(crate) commits: u64,
    /// Whether the batch sets a timer, or the instant at which an inbox becomes ready to be claimed from.
    pub(crate) moves_deadlines: bool,
    /// The pieces of work whose callers are to be answered.
    pub(crate) jobs: Vec<Box<dyn Job>>,
}

enum Step {
    Part(Part),
    End(BatchEnd),
}

/// The writer's handle of the storer's thread. When it is dropped, the thread finishes its steps and ends.
pub(crate) struct Storer {
    steps: Option<Sender<Step>>,
    thread: Option<JoinHandle<()>>,
    id: ThreadId,
}

impl Storer {
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let (steps, incoming) = channel();
        let run = move || run(&shared, &incoming);
        let thread = thread::Builder::new().name("dogwatch-storer".to_owned()).spawn(run)?;
        let id = thread.thread().id();
        Ok(Self { steps: Some(steps), thread: Some(thread), id })
    }

    pub(crate) const fn thread_id(&self) -> ThreadId {
        self.id
    }

    /// Has a part of a batch applied; more of the batch follows.
    pub(crate) fn part(&self, part: Part) {
        self.send(Step::Part(part));
    }

    /// Has a batch stored and its callers answered. `false` when the thread has ended: then the callers get
    /// `outcome_unknown`.
    pub(crate) fn end(&self, end: BatchEnd) -> bool {
        self.send(Step::End(end))
    }

    fn send(&self, step: Step) -> bool {
        self.steps.as_ref().is_some_and(|steps| steps.send(step).is_ok())
    }
}

impl Drop for Storer {
    fn drop(&mut self) {
        self.steps = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already poisoned the engine.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, steps: &Receiver<Step>) {
    pending::never_wait_here();
    let _ended = Ended(shared);
    let mut applied = Ok(());
    for step in steps {
        match step {
            Step::Part(part) => applied = applied.and_then(|()| apply(shared, part)),
            Step::End(end) => {
                finish(shared, std::mem::replace(&mut applied, Ok(())), end);
                shared.queue.stored();
            }
        }
    }
}

/// Stores a batch in the calling thread, while no other is being stored. The thread survives a backend that panics.
pub(crate) fn store_here(shared: &Shared, end: BatchEnd) {
    if catch_unwind(AssertUnwindSafe(|| finish(shared, Ok(()), end))).is_err() {
        give_up(shared);
    }
}

/// Poisons the engine after a panic of the backend, and wakes all who wait for deadlines.
fn give_up(shared: &Shared) {
    shared.poison();
    shared.deadlines.raise();
}

/// Tells the queue when the storer's thread ends, even by a panic, so that the writer does not wait for it.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            give_up(self.0);
        }
        self.0.queue.stored();
    }
}

fn apply(shared: &Shared, part: Part) -> Result<(), BackendError> {
    if shared.is_poisoned() {
        return Ok(());
    }
    shared.covered.write().unwrap_or_else(PoisonError::into_inner).cover(part.before);
    shared.backend.apply(&part.rows)
}

fn finish(shared: &Shared, applied: Result<(), BackendError>, end: BatchEnd) {
    let BatchEnd { part, commits, moves_deadlines, jobs } = end;
    let fate = if shared.is_poisoned() {
        Fate::Poisoned
    } else {
        let stored = || applied.and(part).and_then(|part| make_durable(shared, part, commits));
        match trace::commit(jobs.len(), stored) {
            Ok(()) => {
                shared.count_batch(jobs.len());
                Fate::Durable
            }
            Err(_) => {
                shared.poison();
                Fate::Unknown
            }
        }
    };
    if moves_deadlines || matches!(fate, Fate::Unknown) {
        shared.deadlines.raise();
    }
    for job in jobs {
        // The waker of a caller may panic; the other callers are answered all the same.
        let _ = catch_unwind(AssertUnwindSafe(|| job.answer(fate)));
    }
}

/// Applies the last part of a batch, makes all of the batch durable, and shows it to readers. After an error they keep seeing
/// what was durable before.
// Invariant [durable-first]: durable, then shown to readers, then counted; the callers are answered after that.
fn make_durable(shared: &Shared, part: Part, commits: u64) -> Result<(), BackendError> {
    if part.rows.is_empty() {
        return Ok(());
    }
    apply(shared, part)?;
    shared.backend.make_durable()?;
    shared.covered.write().unwrap_or_else(PoisonError::into_inner).uncover();
    // The number changes after readers see the batch, and before callers are answered: a caller who then reads the number
    // must not find the one from before the batch.
    shared.commits.store(commits, Ordering::Release);
    Ok(())
}
