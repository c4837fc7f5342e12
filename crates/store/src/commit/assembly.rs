//! The [`Assembly`]: a batch while the writer assembles it.
//!
//! Each piece of work sees what the work before it has decided, also in the batch that is still being stored. A small batch
//! is handed to the [`Storer`] as a whole. Of a large one, parts are applied while the rest is still being decided, since
//! applying is most of its cost. A part ends between two decisions, so a crash in the middle keeps whole decisions, the
//! first ones.

use std::sync::Arc;
use std::time::Duration;

use dogwatch_core::world::Write;
use dogwatch_core::{Error as Refusal, Timestamp};

use crate::backend::{BackendError, Batch, RowMap};
use crate::commit::overlay::Overlay;
use crate::commit::storer::{self, BatchEnd, Part, Storer};
use crate::commit::writer::{Job, Shared};
use crate::error::Error;
use crate::format;
use crate::rooms::{RowChange, row_changes};
use crate::table::{Table, end_of};
use crate::view::StoreView;

/// The number of changed rows from which on a part of a batch is applied while the rest is decided.
const PART: usize = 500;

/// Before images: the keys of changes, and the value before each, `None` for a row that did not exist.
type BeforeImages = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What the batches before this one leave for it: the rows that may not be in the backend yet, and the number of commits.
#[derive(Default)]
pub(crate) struct Ahead {
    /// All changes of the batch that may still be on its way into the backend; empty when none is.
    pub(crate) in_flight: Arc<Batch>,
    /// The number of commits that the store holds with that batch.
    pub(crate) commits: u64,
    /// Whether the batch before was a single piece of work.
    pub(crate) single: bool,
}

/// A batch while the writer assembles it.
pub(crate) struct Assembly<'a> {
    shared: &'a Shared,
    storer: &'a Storer,
    ahead: Ahead,
    /// The instant at which the present group of work was taken from the queue, on the engine's clock.
    pub(crate) now: Timestamp,
    /// All changes of the batch so far.
    after: RowMap,
    /// The before images of the changes that have not been handed to the storer yet.
    part: BeforeImages,
    /// The rows that were read ahead.
    known: RowMap,
    /// Whether a part of the batch has been handed to the storer.
    in_parts: bool,
    /// While several decisions are all or nothing: what it takes to undo them.
    savepoint: Option<Savepoint>,
}

/// The key of a row, and the change of it that the batch had before: `None` when it had none.
type Replaced = (Vec<u8>, Option<Option<Vec<u8>>>);

/// What it takes to go back to an earlier moment of a batch.
struct Savepoint {
    /// The number of changes that had not been handed to the storer then.
    part: usize,
    /// What each change since then has replaced in the batch, in order.
    replaced: Vec<Replaced>,
}

/// A batch with a savepoint, to which it goes back unless the guard is [kept](Open::keep), also when a decision panics.
struct Open<'a, 'b>(&'a mut Assembly<'b>);

impl Open<'_, '_> {
    fn keep(self) {
        self.0.savepoint = None;
    }
}

impl Drop for Open<'_, '_> {
    fn drop(&mut self) {
        let Some(savepoint) = self.0.savepoint.take() else { return };
        self.0.part.truncate(savepoint.part);
        for (key, before) in savepoint.replaced.into_iter().rev() {
            match before {
                Some(change) => self.0.after.insert(key, change),
                None => self.0.after.remove(&key),
            };
        }
    }
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(shared: &'a Shared, storer: &'a Storer, ahead: Ahead) -> Self {
        let (after, known) = (RowMap::new(), RowMap::new());
        Self {
            shared,
            storer,
            ahead,
            now: shared.clock.now(),
            after,
            part: Vec::new(),
            known,
            in_parts: false,
            savepoint: None,
        }
    }

    /// Reads the clock again, because more work has been taken from the queue.
    pub(crate) fn look_at_clock(&mut self) {
        self.now = self.shared.clock.now();
    }

    /// The state of the store with all changes of the batch so far.
    pub(crate) fn state(&self) -> StoreView<'_> {
        let ahead = Overlay::new(&*self.shared.backend, &self.after).over(&self.ahead.in_flight.rows);
        StoreView::new(ahead.knowing(&self.known))
    }

    /// Reads rows that will be needed, before the storer is busy with the same parts of the backend.
    pub(crate) fn read_ahead(&mut self, keys: impl Iterator<Item = Vec<u8>>) {
        let backend = &self.shared.backend;
        // A read that fails is tried again, and reported, where the row is needed.
        self.known = keys.filter_map(|key| backend.get(&key).ok().map(|value| (key, value))).collect();
    }

    pub(crate) fn keep_delivered(&self) -> Duration {
        self.shared.keep_delivered
    }

    /// Adds the changes of one decision: all of them, or none.
    pub(crate) fn add(&mut self, writes: &[Write]) -> Result<(), Refusal> {
        self.add_with(writes, Vec::new())
    }

    /// As [`Assembly::add`], with changes of rows that the rules do not know of.
    // Invariant [whole-or-not]: nothing is kept of a decision before all of its rows are known.
    pub(crate) fn add_with(&mut self, writes: &[Write], mut changes: Vec<RowChange>) -> Result<(), Refusal> {
        for write in writes {
            row_changes(write, &mut changes)
                .map_err(|why| Refusal::broken(format!("a change cannot be stored: {why}")))?;
        }
        changes.into_iter().for_each(|change| self.change(change));
        if self.savepoint.is_none() {
            self.hand_over();
        }
        Ok(())
    }

    /// Does several decisions, of which all changes are added or, after an error or a panic, none.
    pub(crate) fn all_or_nothing<R>(
        &mut self,
        decisions: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.savepoint = Some(Savepoint { part: self.part.len(), replaced: Vec::new() });
        let open = Open(self);
        let done = decisions(&mut *open.0)?;
        open.keep();
        self.hand_over();
        Ok(done)
    }

    /// Hands a part of the batch to the storer, if enough rows have changed for one.
    fn hand_over(&mut self) {
        if self.part.len() >= PART {
            self.in_parts = true;
            let part = self.take_part();
            self.storer.part(part);
        }
    }

    fn change(&mut self, change: RowChange) {
        self.part.push((change.key.clone(), change.before));
        match &mut self.savepoint {
            Some(savepoint) => {
                let replaced = self.after.insert(change.key.clone(), change.after);
                savepoint.replaced.push((change.key, replaced));
            }
            None => drop(self.after.insert(change.key, change.after)),
        }
    }

    /// Takes the before images of the rows that have not been handed to the storer yet.
    fn take_before_images(&mut self) -> RowMap {
        // Of several changes to one row, the first holds the value before the part.
        std::mem::take(&mut self.part).into_iter().rev().collect()
    }

    /// Takes the changes that have not been handed to the storer yet.
    fn take_part(&mut self) -> Part {
        let before = self.take_before_images();
        let changed = |key: &Vec<u8>| Some((key.clone(), self.after.get(key)?.clone()));
        Part { rows: Arc::new(before.keys().filter_map(changed).collect()), before }
    }

    /// Hands the rest of the batch to the storer, which makes all of it durable and answers the jobs. A batch of one job after
    /// another of one job is stored here instead, so that its caller does not wait for another thread to wake up. Gives what
    /// the next batch needs to know of this one.
    pub(crate) fn store(mut self, jobs: Vec<Box<dyn Job>>) -> Ahead {
        let mut commits = self.ahead.commits;
        let mut counted = Ok(());
        if !self.after.is_empty() {
            let number = format::count(commits).map_err(|why| BackendError::new("counting commits", why.to_string()));
            counted = number.map(|number| self.change(number));
            commits = commits.saturating_add(1);
        }
        let moves_deadlines = self.moves_deadlines();
        let (part, in_flight) = if self.in_parts {
            (self.take_part(), Arc::new(Batch { rows: self.after }))
        } else {
            let (before, rows) = (self.take_before_images(), Arc::new(Batch { rows: self.after }));
            (Part { before, rows: Arc::clone(&rows) }, rows)
        };
        let single = jobs.len() == 1;
        let end = BatchEnd { part: counted.map(|()| part), commits, moves_deadlines, jobs };
        if single && self.ahead.single && !self.in_parts && self.shared.queue.len() == 0 {
            storer::store_here(self.shared, end);
            return Ahead { in_flight: Arc::default(), commits, single };
        }
        self.shared.queue.storing();
        if !self.storer.end(end) {
            self.shared.queue.stored();
        }
        Ahead { in_flight, commits, single }
    }

    /// Whether the batch sets a timer, or the instant at which an inbox becomes ready to be claimed from.
    fn moves_deadlines(&self) -> bool {
        let sets = |table: Table| {
            let start = table.key(&[]);
            self.after.range(start.clone()..end_of(&start)).any(|(_, value)| value.is_some())
        };
        sets(Table::TIMER) || sets(Table::READY)
    }
}
