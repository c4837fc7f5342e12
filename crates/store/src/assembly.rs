//! A batch while it is put together, and on its way into the backend.
//!
//! Each piece of work sees what the work before it has decided. A small batch is applied at once, when all is decided. Of a
//! large one, parts go to a thread that applies them while the rest is still being decided: that is most of what a large
//! batch costs. A part ends between two decisions, so a crash in the middle keeps whole decisions, the first ones.
//!
//! Before a part is applied, what it overwrites is laid over the backend for readers, until all of the batch is durable.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dogwatch_core::{Error as Refusal, Timestamp, Write};

use crate::backend::{BackendError, Batch};
use crate::format;
use crate::overlay::Overlay;
use crate::records::{RowChange, row_changes};
use crate::world::StoreView;
use crate::writer::Shared;

/// From how many rows on a part of a batch is applied while the rest is decided.
const PART: usize = 500;

/// The thread that applies parts.
pub(crate) struct Applier {
    parts: Option<Sender<Batch>>,
    done: Receiver<Result<(), BackendError>>,
    thread: Option<JoinHandle<()>>,
}

impl Applier {
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let (parts, incoming) = channel::<Batch>();
        let (report, done) = channel();
        let run = move || {
            for part in incoming {
                if report.send(shared.backend.apply(&part)).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("dogwatch-applier".to_owned()).spawn(run)?;
        Ok(Self { parts: Some(parts), done, thread: Some(thread) })
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        self.parts = None;
        if let Some(thread) = self.thread.take() {
            // A panic of it has already failed the batch it was working on.
            let _ = thread.join();
        }
    }
}

/// Keys and what they held, `None` for nothing.
type Held = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A batch while it is put together.
pub(crate) struct Assembly<'a> {
    shared: &'a Shared,
    applier: &'a Applier,
    /// What the engine's clock showed when the batch began.
    pub(crate) now: Timestamp,
    /// All changes so far.
    after: Batch,
    /// What the backend has not been given yet: the keys of changes, and what they held before.
    part: Held,
    /// Rows that were read ahead.
    known: Batch,
    /// How many parts the applier has been given.
    given: usize,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(shared: &'a Shared, applier: &'a Applier) -> Self {
        let now = shared.clock.now();
        Self { shared, applier, now, after: Batch::new(), part: Vec::new(), known: Batch::new(), given: 0 }
    }

    /// The world with everything that is in the batch so far.
    pub(crate) fn root(&self) -> StoreView<'_> {
        StoreView::new(Overlay::new(&*self.shared.backend, &self.after).knowing(&self.known))
    }

    /// Reads rows that will be needed, before the applier is busy with the same pages.
    pub(crate) fn read_ahead(&mut self, keys: impl Iterator<Item = Vec<u8>>) {
        let backend = &self.shared.backend;
        // A read that fails is tried again, and reported, where the row is needed.
        self.known = keys.filter_map(|key| backend.get(&key).ok().map(|value| (key, value))).collect();
    }

    pub(crate) fn keep_delivered(&self) -> Duration {
        self.shared.keep_delivered
    }

    /// All changes so far.
    pub(crate) fn changes(&self) -> &Batch {
        &self.after
    }

    /// Adds the changes of one decision: all of them, or none.
    pub(crate) fn add(&mut self, writes: &[Write]) -> Result<(), Refusal> {
        self.add_with(writes, Vec::new())
    }

    /// As [`Assembly::add`], with rows of the store's own.
    pub(crate) fn add_with(&mut self, writes: &[Write], mut changes: Vec<RowChange>) -> Result<(), Refusal> {
        for write in writes {
            row_changes(write, &mut changes)
                .map_err(|why| Refusal::broken(format!("a change cannot be stored: {why}")))?;
        }
        changes.into_iter().for_each(|change| self.change(change));
        if self.part.len() >= PART {
            self.hand_over();
        }
        Ok(())
    }

    fn change(&mut self, change: RowChange) {
        self.part.push((change.key.clone(), change.before));
        self.after.insert(change.key, change.after);
    }

    /// Gives a part to the applier. If that is gone, [`Assembly::store`] notices.
    fn hand_over(&mut self) {
        let changed = |(key, _): &(Vec<u8>, _)| Some((key.clone(), self.after.get(key)?.clone()));
        let part = self.part.iter().filter_map(changed).collect();
        self.cover();
        self.given += 1;
        if let Some(parts) = &self.applier.parts {
            // The applier answers for each part, or is found to be gone.
            let _ = parts.send(part);
        }
    }

    /// Lays what a part overwrites over the backend, for readers.
    fn cover(&mut self) {
        // Of several changes to one row, the first knows what was there.
        let held = std::mem::take(&mut self.part).into_iter().rev().collect();
        self.shared.covered.write().unwrap_or_else(PoisonError::into_inner).cover(held);
    }

    /// Applies what has not been applied and makes all of it durable. After an error readers keep seeing what was durable
    /// before.
    pub(crate) fn store(mut self) -> Result<(), BackendError> {
        if self.after.is_empty() {
            return Ok(());
        }
        let commits = self.shared.commits.load(Ordering::Relaxed);
        let number = format::count(commits).map_err(|why| BackendError::new("counting commits", why.to_string()))?;
        self.change(number);
        if self.given == 0 {
            self.cover();
            self.shared.backend.apply(&self.after)?;
        } else {
            self.hand_over();
            self.wait_for_parts()?;
        }
        self.shared.backend.make_durable()?;
        self.shared.covered.write().unwrap_or_else(PoisonError::into_inner).uncover();
        // Now that readers see it, and before anybody is answered: who then asks again must not be shown what was before.
        self.shared.commits.store(commits.saturating_add(1), Ordering::Release);
        Ok(())
    }

    /// Waits until the applier has answered for every part.
    fn wait_for_parts(&self) -> Result<(), BackendError> {
        let mut outcome = Ok(());
        for _ in 0..self.given {
            let gone = |_| Err(BackendError::new("applying a part of a batch", "the applying thread is gone"));
            outcome = outcome.and(self.applier.done.recv().unwrap_or_else(gone));
        }
        outcome
    }
}
