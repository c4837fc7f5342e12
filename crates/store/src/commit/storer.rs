//! The [`Storer`]: the thread that appends to the journal what the writer has decided.
//!
//! It takes batches in the order in which they were decided. A batch is appended, which makes it durable; published, so that
//! readers see it; and only then all its callers are answered.
//!
//! Meanwhile the writer decides the next batch, against what this one will have changed. That batch waits until all callers
//! are answered, so that callers who submit again at once are in it.
//!
//! A command that comes alone after one that came alone is stored by the writer itself: there is nothing else to decide, and
//! its caller does not wait for another thread to wake up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use dogwatch_core::Timestamp;

use crate::commit::pending;
use crate::commit::writer::{Fate, Job, Shared};
use crate::journal::{AppendError, Head, Rows};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::sync::mpsc::{Receiver, Sender, channel};
use crate::sync::thread::{self, JoinHandle, ThreadId};
use crate::trace;

/// A batch that is decided: what is appended, and the callers to answer.
pub(crate) struct Decided {
    /// The head before the batch, and the head that it makes: the same when it changes nothing.
    pub(crate) before: Head,
    pub(crate) head: Head,
    /// The instant at which it was decided.
    pub(crate) at: Timestamp,
    /// The rows that change.
    pub(crate) rows: Rows,
    /// Whether the batch sets a timer, or the instant at which an inbox becomes ready to be claimed from.
    pub(crate) moves_deadlines: bool,
    /// The pieces of work whose callers are to be answered.
    pub(crate) jobs: Vec<Box<dyn Job>>,
}

/// The writer's handle of the storer's thread. When it is dropped, the thread finishes its steps and ends.
pub(crate) struct Storer {
    batches: Option<Sender<Decided>>,
    thread: Option<JoinHandle<()>>,
    id: ThreadId,
}

impl Storer {
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let (batches, incoming) = channel();
        let run = move || run(&shared, &incoming);
        let thread = thread::Builder::new().name("dogwatch-storer".to_owned()).spawn(run)?;
        let id = thread.thread().id();
        Ok(Self { batches: Some(batches), thread: Some(thread), id })
    }

    pub(crate) const fn thread_id(&self) -> ThreadId {
        self.id
    }

    /// Has a batch stored and its callers answered. `false` when the thread has ended: then the callers get
    /// `outcome_unknown`.
    pub(crate) fn store(&self, batch: Decided) -> bool {
        self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok())
    }
}

impl Drop for Storer {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already poisoned the engine.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, batches: &Receiver<Decided>) {
    pending::never_wait_here();
    let _ended = Ended(shared);
    for batch in batches {
        finish(shared, batch);
        shared.queue.stored();
    }
}

/// Stores a batch in the calling thread, while no other is being stored. The thread survives a journal that panics.
pub(crate) fn store_here(shared: &Shared, batch: Decided) {
    if catch_unwind(AssertUnwindSafe(|| finish(shared, batch))).is_err() {
        give_up(shared);
    }
}

/// Poisons the engine after a panic of the journal, and wakes all who wait for deadlines.
fn give_up(shared: &Shared) {
    shared.poison(&"the journal panicked while a commit was appended");
    shared.deadlines.raise();
}

/// Tells the queue when the storer's thread ends, even by a panic, so that the writer does not wait for it.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            give_up(self.0);
        }
        self.0.queue.stored();
    }
}

/// Appends a batch, publishes it, and answers its callers. After an error, readers keep seeing what was durable before.
// Invariant [durable-first]: durable, then published to readers, then counted; the callers are answered after that.
fn finish(shared: &Shared, batch: Decided) {
    let Decided { before, head, at, rows, moves_deadlines, jobs } = batch;
    let fate = if shared.is_poisoned() {
        shared.fate()
    } else if rows.is_empty() {
        Fate::Durable
    } else {
        let began = Instant::now();
        let appended = trace::commit(jobs.len(), || shared.journal.append(head.position.term, &before, at, &rows));
        shared.times.commit.add(began.elapsed());
        match appended {
            Ok(appended) if appended == head => {
                shared.versions.publish(head, rows.as_bytes().len());
                // The number changes after readers see the batch, and before callers are answered: a caller who then reads the
                // number must not find the one from before the batch.
                shared.commits.store(head.position.number, Ordering::Release);
                shared.published.raise();
                Fate::Durable
            }
            Ok(_) => {
                shared.poison(&"the journal holds another commit than the one that was appended");
                Fate::Unknown
            }
            Err(AppendError::Deposed) => {
                shared.depose();
                Fate::Deposed
            }
            Err(why) => {
                shared.poison(&why);
                if matches!(why, AppendError::Unknown(_)) { Fate::Unknown } else { Fate::Poisoned }
            }
        }
    };
    if matches!(fate, Fate::Durable) {
        shared.count_batch(jobs.len());
    }
    if moves_deadlines || !matches!(fate, Fate::Durable) {
        shared.deadlines.raise();
    }
    for job in jobs {
        // The waker of a caller may panic; the other callers are answered all the same.
        let _ = catch_unwind(AssertUnwindSafe(|| job.answer(fate)));
    }
}
