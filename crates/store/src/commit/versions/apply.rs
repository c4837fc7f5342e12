//! The applier's part of [`Versions`]: bringing published commits into the backend, and keeping what it overwrites for views of
//! earlier moments.

use std::time::{Duration, Instant};

use super::{FULL, Held, Kept, Moment, STEP, Versions};
use crate::backend::{BackendError, Batch, RowMap};
use crate::commit::bookmarks::Bookmarks;
use crate::format;
use crate::journal::{Head, Journal};
use crate::sync::PoisonError;
use crate::sync::atomic::Ordering;

/// The most bytes of rows that are brought into the backend between two syncs of it, if they are of more than one commit. The more
/// it is, the likelier sled is to write over what was durable before it has synced a copy (`FORMAT.md`).
const MOST: usize = 1 << 20;
/// The number of rows after which the applier pauses.
const SLICE: usize = 32;
/// How often the applier looks whether earlier views have ended, 200 µs apart, before it keeps rows for them.
const PATIENCE: u32 = 5;

impl Versions {
    /// Brings commits into the backend and lets the journal forget them if nobody bookmarks them, until [`Versions::close`] and nothing is left.
    pub(crate) fn apply_all(&self, journal: &dyn Journal, bookmarks: &Bookmarks) -> Result<(), BackendError> {
        while let Some((head, bytes)) = self.wait_for_commits() {
            self.apply(head)?;
            bookmarks.forget(journal, head.position)?;
            let mut moment = self.moment();
            moment.waiting.retain(|waiting| waiting.head.position > head.position);
            moment.bytes = moment.bytes.saturating_sub(bytes);
            drop(moment);
            self.moved.notify_all();
        }
        Ok(())
    }

    /// Has all that is published brought into the backend, and waits for it; `false` when the applier has ended before.
    pub(crate) fn checkpoint(&self) -> bool {
        let mut moment = self.moment();
        let number = self.head().position.number;
        moment.wanted = moment.wanted.max(number);
        self.moved.notify_all();
        let lacking =
            |moment: &Moment| moment.waiting.front().is_some_and(|oldest| oldest.head.position.number <= number);
        let waiting = |moment: &mut Moment| lacking(moment) && !moment.ended;
        let moment = self.moved.wait_while(moment, waiting).unwrap_or_else(PoisonError::into_inner);
        !lacking(&moment)
    }

    /// Has all that is published brought into the backend; no more will come.
    pub(crate) fn close(&self) {
        self.moment().closing = true;
        self.moved.notify_all();
    }

    /// Notes that nothing is brought into the backend any more.
    pub(crate) fn end(&self) {
        self.moment().ended = true;
        self.moved.notify_all();
    }

    /// Waits for commits to bring into the backend: many, or some that have waited for long. Gives the head of the last of them
    /// and the bytes of their rows; `None` at the end.
    fn wait_for_commits(&self) -> Option<(Head, usize)> {
        let mut moment = self.moment();
        loop {
            let Some(oldest) = moment.waiting.front() else {
                if moment.closing {
                    return None;
                }
                moment = self.moved.wait(moment).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = self.checkpoints.after.saturating_sub(oldest.since.elapsed());
            let wanted = oldest.head.position.number <= moment.wanted;
            if moment.closing || wanted || moment.bytes >= self.many() || left.is_zero() {
                break;
            }
            moment = self.moved.wait_timeout(moment, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut taken = (moment.waiting.front()?.head, 0_usize);
        for waiting in &moment.waiting {
            if taken.1 > 0 && taken.1.saturating_add(waiting.bytes) > MOST {
                break;
            }
            taken = (waiting.head, taken.1.saturating_add(waiting.bytes));
        }
        Some(taken)
    }

    /// Brings all versions up to a commit into the backend, durably.
    ///
    /// It goes row by row, because sled lets nobody read while it takes in a batch. After a crash in between, the backend still
    /// says the head before, so all is brought in again from the journal: rows are whole values, and may be written twice.
    pub(in crate::commit) fn apply(&self, head: Head) -> Result<(), BackendError> {
        let number = head.position.number;
        let rows = self.newest(number);
        // New views are of this moment or a later one: the earlier ones are those that there are now.
        let views = self.views_before(number);
        self.applying.store(number, Ordering::SeqCst);
        self.keep(&rows, &views, number)?;
        let keys: Vec<Vec<u8>> = rows.keys().cloned().collect();
        if self.is_copy {
            // A shared journal may lose commits: then a crash in between must not leave some rows of theirs unnoticed.
            self.backend.write(&Batch::from([format::incoming(&head)?]))?;
        }
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let began = Instant::now();
            self.backend.write(&rows.by_ref().take(SLICE).collect())?;
            self.pause(began.elapsed());
        }
        let mut end = Batch::from([format::position(&head)?]);
        if self.is_copy {
            end.extend([format::nothing_incoming()]);
        }
        self.backend.apply(&end)?;
        self.backend.make_durable()?;
        for keys in keys.chunks(STEP) {
            let mut held = self.change();
            for key in keys {
                if let Some(versions) = held.ahead.get_mut(key) {
                    versions.retain(|version| version.number > number);
                    if versions.is_empty() {
                        held.ahead.remove(key);
                    }
                }
            }
            self.count(&held);
        }
        self.let_go();
        Ok(())
    }

    /// Leaves the processor to those who wait for answers, for as long as it was used before, and for less the more waits for the
    /// backend: from half of what may wait on, for no time.
    fn pause(&self, used: Duration) {
        let (waiting, closing) = {
            let moment = self.moment();
            (moment.bytes, moment.closing)
        };
        let left = (FULL / 2).saturating_sub(waiting) / (FULL / 200);
        if !closing && let Some(pause) = used.checked_mul(u32::try_from(left).unwrap_or(0)) {
            crate::sync::thread::sleep(pause / 100);
        }
    }

    /// The numbers of the views of moments before a commit. Most are of queries that end in a moment: those are waited for.
    fn views_before(&self, number: u64) -> Vec<u64> {
        let mut views = Vec::new();
        for _ in 0..PATIENCE {
            views = self.views().counts.iter().map(|(view, _)| *view).filter(|view| *view < number).collect();
            if views.is_empty() {
                break;
            }
            crate::sync::thread::sleep(Duration::from_micros(200));
        }
        views
    }

    /// Of each row, the newest version up to a commit.
    fn newest(&self, number: u64) -> RowMap {
        let (mut rows, mut start) = (RowMap::new(), Vec::new());
        loop {
            let held = self.held();
            let mut range = held.ahead.range(start..);
            for (key, versions) in range.by_ref().take(STEP) {
                if let Some(version) = Held::version(versions, number) {
                    rows.insert(key.clone(), version.value.clone());
                }
            }
            match range.next() {
                Some((key, _)) => start = key.clone(),
                None => return rows,
            }
        }
    }

    /// Keeps what views of earlier moments see of rows that are about to be overwritten.
    fn keep(&self, rows: &RowMap, views: &[u64], number: u64) -> Result<(), BackendError> {
        if views.is_empty() {
            return Ok(());
        }
        for key in rows.keys() {
            let mut value = self.backend.get(key)?;
            let mut guard = self.change();
            let held = &mut *guard;
            let Some(versions) = held.ahead.get(key) else { continue };
            let kept = held.kept.entry(key.clone()).or_default();
            // What views of moments before that see was kept already.
            let mut from = kept.last().map_or(0, |kept| kept.until);
            for version in versions.iter().filter(|version| version.number <= number) {
                if views.iter().any(|view| (from..version.number).contains(view) && !self.is_lost(*view)) {
                    let one = Kept { until: version.number, value };
                    held.kept_bytes = held.kept_bytes.saturating_add(one.bytes(key));
                    kept.push(one);
                }
                (from, value) = (version.number, version.value.clone());
            }
            if kept.is_empty() {
                held.kept.remove(key);
            }
            let too_much = held.kept_bytes > self.most_kept;
            drop(guard);
            if too_much {
                self.lose_earliest(number);
            }
        }
        self.count(&self.held());
        Ok(())
    }

    /// Gives up the views of the earliest moment before a commit, so that nothing need be kept for them.
    fn lose_earliest(&self, number: u64) {
        let earliest = self.views().counts.iter().map(|(view, _)| *view).find(|view| !self.is_lost(*view));
        if let Some(earliest) = earliest.filter(|earliest| *earliest < number) {
            self.lost_before.store(earliest.saturating_add(1), Ordering::SeqCst);
            // Somebody else may be letting go up to the same view, and not be done.
            self.let_go_before.store(u64::MAX, Ordering::SeqCst);
            self.let_go();
        }
    }

    /// Lets go of what was kept for views that are gone.
    pub(super) fn let_go(&self) {
        let oldest = {
            let views = self.views();
            // Without a view, the next one is of the present moment or of a later one.
            let oldest = views.counts.iter().map(|(number, _)| *number).find(|number| !self.is_lost(*number));
            oldest.unwrap_or(views.head.position.number)
        };
        if self.let_go_before.swap(oldest, Ordering::SeqCst) == oldest {
            return;
        }
        let mut start = Some(Vec::new());
        while let Some(from) = start.take() {
            let mut held = self.change();
            let held = &mut *held;
            let keys: Vec<_> = held.kept.range(from..).take(STEP).map(|(key, _)| key.clone()).collect();
            for key in &keys {
                if let Some(kept) = held.kept.get_mut(key) {
                    let gone = kept.iter().filter(|kept| kept.until <= oldest).map(|kept| kept.bytes(key));
                    held.kept_bytes = held.kept_bytes.saturating_sub(gone.sum());
                    kept.retain(|kept| kept.until > oldest);
                    if kept.is_empty() {
                        held.kept.remove(key);
                    }
                }
            }
            self.count(held);
            start = keys.last().filter(|_| keys.len() == STEP).map(|last| [last, &[0][..]].concat());
        }
    }
}
