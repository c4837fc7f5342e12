//! The [`Assembly`]: a batch while the writer assembles it.
//!
//! Each piece of work sees what the work before it has decided, also in the batch that is still being stored. When it is
//! complete, the batch is one commit.

use std::time::{Duration, Instant};

use dogwatch_core::world::Write;
use dogwatch_core::{Actor, Error as Refusal, Timestamp};

use crate::backend::RowMap;
use crate::commit::overlay::{Overlay, Source};
use crate::commit::storer::{self, Decided, Storer};
use crate::commit::versions::View;
use crate::commit::writer::{Fate, Job, Shared, answer};
use crate::error::Error;
use crate::journal::{Head, Marks, Rows};
use crate::rooms::{RowChange, followed, row_changes};
use crate::table::{Table, end_of};
use crate::view::StoreView;

/// What the batches before this one leave for it.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    /// The head of the last batch, which may still be on its way into the journal.
    pub(crate) head: Head,
    /// Whether the batch before was a single piece of work.
    pub(crate) single: bool,
}

/// A batch while the writer assembles it.
pub(crate) struct Assembly<'a> {
    shared: &'a Shared,
    ahead: Ahead,
    /// All rows with the changes of the batches before this one.
    base: View<'a>,
    /// The instant at which the present group of work was taken from the queue, on the engine's clock.
    pub(crate) now: Timestamp,
    /// All changes of the batch so far, and about how many bytes they take.
    after: RowMap,
    bytes: usize,
    /// Who is acting, and what is noted of the changes: who made them, and whether they are of new entities.
    actor: Option<Actor>,
    marks: Marks,
    /// The rows that were read ahead.
    known: RowMap,
    /// While several decisions are all or nothing: what each change since then has replaced in the batch, in order.
    savepoint: Option<Vec<Replaced>>,
}

/// The key of a row, the change of it that the batch had before (`None` when it had none), and its mark.
type Replaced = (Vec<u8>, Option<Option<Vec<u8>>>, Option<u16>);

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
        for (key, before, mark) in savepoint.into_iter().rev() {
            self.0.marks.put_back(&key, mark);
            match before {
                Some(change) => self.0.after.insert(key, change),
                None => self.0.after.remove(&key),
            };
        }
    }
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(shared: &'a Shared, ahead: Ahead) -> Self {
        let (after, known) = (RowMap::new(), RowMap::new());
        let base = shared.versions.view_of(ahead.head);
        Self {
            shared,
            ahead,
            base,
            now: shared.clock.now(),
            after,
            bytes: 0,
            actor: None,
            marks: Marks::default(),
            known,
            savepoint: None,
        }
    }

    /// Says who acts from here on; `None` for the engine itself.
    pub(crate) fn acts(&mut self, actor: Option<Actor>) {
        self.actor = actor;
    }

    /// Reads the clock again, because more work has been taken from the queue.
    pub(crate) fn look_at_clock(&mut self) {
        self.now = self.shared.clock.now();
    }

    /// The state of the store with all changes of the batch so far.
    pub(crate) fn state(&self) -> StoreView<'_> {
        StoreView::new(Overlay::new(&self.base, &self.after).knowing(&self.known))
    }

    /// Reads rows that will be needed one after another.
    pub(crate) fn read_ahead(&mut self, keys: impl Iterator<Item = Vec<u8>>) {
        // A read that fails is tried again, and reported, where the row is needed.
        self.known = keys.filter_map(|key| self.base.get(&key).ok().map(|value| (key, value))).collect();
    }

    /// About how many bytes the changes of the batch take so far.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts how long a piece of work has waited until it was decided.
    pub(crate) fn waited(&self, since: Instant) {
        self.shared.times.queue.add(since.elapsed());
    }

    /// Counts an escalation run that could not go on.
    pub(crate) fn timer_failed(&self) {
        self.shared.timer_failed();
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
    pub(crate) fn add_with(&mut self, writes: &[Write], others: Vec<RowChange>) -> Result<(), Refusal> {
        let (mut changes, mut created) = (Vec::new(), Vec::new());
        for write in writes {
            let new = row_changes(write, &mut changes)
                .map_err(|why| Refusal::broken(format!("a change cannot be stored: {why}")))?;
            created.resize(changes.len(), new);
        }
        for (change, new) in changes.into_iter().zip(created) {
            let mark = followed(&change.0).then(|| self.marks.mark(self.actor, new));
            self.change(change, mark);
        }
        others.into_iter().for_each(|change| self.change(change, None));
        Ok(())
    }

    /// Does several decisions, of which all changes are added or, after an error or a panic, none.
    pub(crate) fn all_or_nothing<R>(
        &mut self,
        decisions: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.savepoint = Some(Vec::new());
        let open = Open(self);
        let done = decisions(&mut *open.0)?;
        open.keep();
        Ok(done)
    }

    fn change(&mut self, (key, value): RowChange, mark: Option<u16>) {
        self.bytes = self.bytes.saturating_add(key.len()).saturating_add(value.as_ref().map_or(0, Vec::len));
        let marked = mark.and_then(|mark| self.marks.set(&key, mark));
        match &mut self.savepoint {
            Some(replaced) => {
                let before = self.after.insert(key.clone(), value);
                replaced.push((key, before, marked));
            }
            None => drop(self.after.insert(key, value)),
        }
    }

    /// Hands the batch to the storer, which makes it durable and answers the jobs, and enters its rows for the batches after it.
    /// A batch of one job after another of one job is stored here instead, so that its caller does not wait for another thread
    /// to wake up, and so is every batch without a storer. Gives what the next batch needs to know of this one.
    pub(crate) fn store(self, jobs: Vec<Box<dyn Job>>, storer: Option<&Storer>) -> Ahead {
        let moves_deadlines = self.moves_deadlines();
        let Self { shared, ahead, now: at, after, marks, .. } = self;
        let before = ahead.head;
        let Some(rows) = Rows::encode(&after, &marks) else {
            // No row is anywhere near that long. If one were, the batch would not have happened.
            jobs.into_iter().for_each(|job| answer(job, Fate::Poisoned));
            return ahead;
        };
        let head = if after.is_empty() { before } else { before.after(shared.term(), at, &rows) };
        let single = jobs.len() == 1;
        let storer = storer.filter(|_| !(single && ahead.single && shared.queue.len() == 0));
        let batch = Decided { before, head, at, rows, moves_deadlines, jobs };
        let Some(storer) = storer else {
            shared.versions.enter(head.position.number, after);
            storer::store_here(shared, batch);
            return Ahead { head, single };
        };
        shared.queue.storing();
        if !storer.store(batch) {
            shared.queue.stored();
        }
        shared.versions.enter(head.position.number, after);
        Ahead { head, single }
    }

    /// Whether the batch sets a timer, or the instant at which an inbox becomes ready to be claimed from, or a notification is due.
    fn moves_deadlines(&self) -> bool {
        let sets = |table: Table| {
            let start = table.key(&[]);
            self.after.range(start.clone()..end_of(&start)).any(|(_, value)| value.is_some())
        };
        [Table::TIMER, Table::READY, Table::READY_OVER, Table::LATER].into_iter().any(sets)
    }
}
