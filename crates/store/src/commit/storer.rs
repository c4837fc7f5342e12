//! The thread that stores what the writer has decided.
//!
//! It takes batches in the order in which they were decided, and of a large one parts while the rest is still being
//! decided. What a part overwrites is laid over the backend for readers before it is applied. At the end of a batch all of it
//! is made durable, is shown to readers, and only then everybody is answered.
//!
//! While it does so, the writer decides the next batch, against what this one will have changed. That batch waits until
//! everybody is answered: so readers are kept from one batch at a time, and callers who ask again at once are in the next.
//!
//! A command that comes alone after one that came alone is stored by the writer itself: there is nothing else to decide, and its
//! caller is spared the time in which another thread wakes up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};

use crate::backend::{BackendError, Batch, RowMap};
use crate::commit::writer::{Fate, Job, Shared};

/// Rows that change, and what they held before.
pub(crate) struct Part {
    pub(crate) before: RowMap,
    pub(crate) rows: Arc<Batch>,
}

/// The end of a batch.
pub(crate) struct BatchEnd {
    /// What has not been stored of it yet, unless it cannot be.
    pub(crate) part: Result<Part, BackendError>,
    /// How many commits the store holds with it.
    pub(crate) commits: u64,
    /// Whether it sets a timer or readies a notification.
    pub(crate) moves_deadlines: bool,
    /// Whom to answer.
    pub(crate) jobs: Vec<Box<dyn Job>>,
}

enum Step {
    Part(Part),
    End(BatchEnd),
}

/// The writer's end of it.
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

    /// Has a part of a batch applied; more of it follows.
    pub(crate) fn part(&self, part: Part) {
        self.send(Step::Part(part));
    }

    /// Has a batch stored and answered. `false` when the thread is gone: then all who wait are told that the outcome is
    /// unknown.
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
            // A panic of it has already poisoned the engine.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, steps: &Receiver<Step>) {
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

/// Stores a batch in the thread that calls, while there is none on its way. The thread survives a backend that panics.
pub(crate) fn store_here(shared: &Shared, end: BatchEnd) {
    if catch_unwind(AssertUnwindSafe(|| finish(shared, Ok(()), end))).is_err() {
        give_up(shared);
    }
}

/// A backend has panicked.
fn give_up(shared: &Shared) {
    shared.poison();
    shared.deadlines.raise();
}

/// However the thread ends, the writer does not wait for it.
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
        match applied.and(part).and_then(|part| make_durable(shared, part, commits)) {
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
        // What waits for the answer may panic when it is woken; the others are answered all the same.
        let _ = catch_unwind(AssertUnwindSafe(|| job.answer(fate)));
    }
}

/// Applies the last part of a batch, makes all of it durable, and shows it to readers. After an error they keep seeing what
/// was durable before.
fn make_durable(shared: &Shared, part: Part, commits: u64) -> Result<(), BackendError> {
    if part.rows.is_empty() {
        return Ok(());
    }
    apply(shared, part)?;
    shared.backend.make_durable()?;
    shared.covered.write().unwrap_or_else(PoisonError::into_inner).uncover();
    // Now that readers see it, and before anybody is answered: who then asks again must not be shown what was before.
    shared.commits.store(commits, Ordering::Release);
    Ok(())
}
