//! The [`Versions`] of rows: what commits have made of them that the backend does not hold yet, and what it held before for
//! whoever still looks at an earlier moment.
//!
//! The writer enters the rows of a commit under its number when they are decided. When the commit is durable in the journal it is
//! published: from then on new views see it. The applier brings published commits into the backend, many at once, and takes
//! their rows out of here.
//!
//! A [`View`] is a moment: the number of a commit. It sees of each row the newest version up to that number, and of a row that
//! has none here, what the backend holds. When the applier is about to overwrite something that a view still needs, it keeps the
//! older value here first. So a commit never waits for a view, a view never for a commit, and both see whole commits.
//!
//! Why a view that finds no version of a row may then read the backend: all versions up to its number that are not here are in
//! the backend. If the backend already holds a later one, the value before was kept, before the backend was changed; so it is
//! looked for last.

use std::collections::{BTreeMap, VecDeque};
use std::iter::Peekable;
use std::ops::Bound::{Excluded, Included};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::backend::{Backend, BackendError, Batch, Pair, RowMap, Scan};
use crate::commit::overlay::Source;
use crate::format;
use crate::journal::{Commit, Head, Journal};

/// The most bytes of rows that are brought into the backend at once, if they are of more than one commit.
const MOST: usize = 4 << 20;
/// The bytes of rows that may wait for the backend. When there are more, the writer waits, and commands queue up.
const FULL: usize = 64 << 20;
/// The number of rows that are put in or taken out while readers wait.
const STEP: usize = 64;
/// The number of rows that are brought into the backend in one batch.
const SLICE: usize = 32;
/// How often the applier looks whether earlier views have ended, 200 µs apart, before it keeps rows for them.
const PATIENCE: u32 = 5;
/// The number of rows with versions that a scan looks at at a time.
const AT_ONCE: usize = 32;

/// When published commits are brought into the backend: after a while, or when they are many, whichever is first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkpoints {
    /// How long a published commit waits for others that are brought in with it.
    pub(crate) after: Duration,
    /// The bytes of their rows from which on they are many.
    pub(crate) bytes: usize,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { after: Duration::from_millis(100), bytes: 1 << 20 }
    }
}

/// A value that a row has from a commit on; `None` when it does not exist.
struct Version {
    number: u64,
    value: Option<Vec<u8>>,
}

/// A value that a row had before a commit.
struct Kept {
    until: u64,
    value: Option<Vec<u8>>,
}

#[derive(Default)]
struct Held {
    /// The rows of commits that the backend lacks, each with its versions in ascending order.
    ahead: BTreeMap<Vec<u8>, Vec<Version>>,
    /// For views of earlier moments, what rows held that the backend has overwritten, in ascending order.
    kept: BTreeMap<Vec<u8>, Vec<Kept>>,
}

impl Held {
    /// The version of a row for a view.
    fn version(versions: &[Version], number: u64) -> Option<&Version> {
        versions.iter().rev().find(|version| version.number <= number)
    }

    fn kept(kept: &[Kept], number: u64) -> Option<&Kept> {
        kept.iter().find(|kept| kept.until > number)
    }
}

/// A commit that is published and not in the backend.
struct Waiting {
    head: Head,
    bytes: usize,
    since: Instant,
}

/// The present moment, and the views of it and of earlier ones.
struct Views {
    /// The head of the last published commit.
    head: Head,
    /// The views that there are, by number in ascending order, and how many of each. There are few different ones.
    counts: VecDeque<(u64, usize)>,
}

/// What waits for the applier.
struct Moment {
    /// The published commits that the backend lacks, oldest first.
    waiting: VecDeque<Waiting>,
    /// The bytes of their rows.
    bytes: usize,
    /// The number of the last commit whose rows are entered.
    entered: u64,
    /// The number of the commit up to which somebody waits for the backend to hold all.
    wanted: u64,
    /// Whether no more commits come.
    closing: bool,
    /// Whether the applier has ended.
    ended: bool,
}

/// The rows of a store: its backend, and the versions that are not in it.
pub(crate) struct Versions {
    backend: Box<dyn Backend>,
    checkpoints: Checkpoints,
    held: RwLock<Held>,
    /// The number of rows in `held`: nobody looks into it while there are none.
    size: AtomicUsize,
    /// The number of the oldest view when what was kept for older ones was let go of last.
    let_go_before: AtomicU64,
    views: Mutex<Views>,
    moment: Mutex<Moment>,
    /// Signalled when a commit is published, and when one is in the backend.
    moved: Condvar,
    /// Signalled when the rows of a commit are entered.
    entered: Condvar,
    /// The number of the commit up to which the backend has been changed, or is being.
    applying: AtomicU64,
}

impl Versions {
    /// The rows of a backend that holds all commits up to a head.
    pub(crate) fn new(backend: Box<dyn Backend>, head: Head, checkpoints: Checkpoints) -> Self {
        Self {
            backend,
            checkpoints,
            held: RwLock::default(),
            size: AtomicUsize::new(0),
            let_go_before: AtomicU64::new(0),
            views: Mutex::new(Views { head, counts: VecDeque::new() }),
            moment: Mutex::new(Moment {
                waiting: VecDeque::new(),
                bytes: 0,
                entered: head.position.number,
                wanted: 0,
                closing: false,
                ended: false,
            }),
            moved: Condvar::new(),
            entered: Condvar::new(),
            applying: AtomicU64::new(head.position.number),
        }
    }

    fn moment(&self) -> MutexGuard<'_, Moment> {
        self.moment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn views(&self) -> MutexGuard<'_, Views> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the rows of a commit that is not published yet.
    pub(crate) fn enter(&self, number: u64, rows: RowMap) {
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut held = self.change();
            for (key, value) in rows.by_ref().take(STEP) {
                held.ahead.entry(key).or_default().push(Version { number, value });
            }
            self.count(&held);
        }
        self.moment().entered = number;
        self.entered.notify_all();
    }

    /// Enters and publishes a commit that the backend lacks, read from the journal.
    pub(crate) fn replay(&self, commit: &Commit) {
        let rows = commit.rows.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
        self.enter(commit.head.position.number, rows);
        self.publish(commit.head, commit.rows.as_bytes().len());
    }

    /// Publishes a commit that is durable, whose rows take so many bytes. They are being entered, or have been.
    pub(crate) fn publish(&self, head: Head, bytes: usize) {
        let entering = |moment: &mut Moment| moment.entered < head.position.number;
        let mut moment = self.entered.wait_while(self.moment(), entering).unwrap_or_else(PoisonError::into_inner);
        self.views().head = head;
        moment.bytes = moment.bytes.saturating_add(bytes);
        moment.waiting.push_back(Waiting { head, bytes, since: Instant::now() });
        // The applier is woken by the first of several commits, and by the one that makes them many.
        let wake = moment.waiting.len() == 1 || moment.bytes >= self.many();
        drop(moment);
        if wake {
            self.moved.notify_all();
        }
    }

    /// Counts the rows that are held, for those who look only if there are some.
    fn count(&self, held: &Held) {
        self.size.store(held.ahead.len().saturating_add(held.kept.len()), Ordering::SeqCst);
    }

    /// A view of all that is published.
    pub(crate) fn view(&self) -> View<'_> {
        View { versions: self, head: self.hold(), counted: true }
    }

    /// The present moment, whose rows are kept until [`Versions::release`].
    pub(crate) fn hold(&self) -> Head {
        let mut views = self.views();
        let head = views.head;
        match views.counts.back_mut() {
            Some((number, count)) if *number == head.position.number => *count = count.saturating_add(1),
            _ => views.counts.push_back((head.position.number, 1)),
        }
        head
    }

    /// Lets go of a moment that was held.
    pub(crate) fn release(&self, head: Head) {
        let number = head.position.number;
        let mut views = self.views();
        if let Some((_, count)) = views.counts.iter_mut().find(|(view, _)| *view == number) {
            *count = count.saturating_sub(1);
        }
        let before = views.counts.len();
        views.counts.retain(|(_, count)| *count > 0);
        let gone = views.counts.len() < before;
        drop(views);
        if gone && self.is_overtaken(number) {
            self.let_go();
        }
    }

    /// A view of a moment for which no rows need to be kept: one that is held elsewhere, or that of the writer, which sees its own
    /// commits before they are published, and without which no later commit comes into being.
    pub(crate) const fn view_of(&self, head: Head) -> View<'_> {
        View { versions: self, head, counted: false }
    }

    /// The head of the last published commit.
    pub(crate) fn head(&self) -> Head {
        self.views().head
    }

    /// The bytes of rows from which on commits are brought into the backend: before the writer has to wait, whatever was asked for.
    fn many(&self) -> usize {
        self.checkpoints.bytes.min(FULL)
    }

    /// Waits while too much waits for the backend; `false` when the applier has ended.
    pub(crate) fn wait_for_room(&self) -> bool {
        let waiting = |moment: &mut Moment| moment.bytes > FULL && !moment.ended;
        let moment = self.moved.wait_while(self.moment(), waiting).unwrap_or_else(PoisonError::into_inner);
        !moment.ended
    }

    pub(crate) fn size_on_disk(&self) -> Option<u64> {
        self.backend.size_on_disk()
    }

    fn get(&self, number: u64, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        if self.size.load(Ordering::SeqCst) > 0
            && let Some(version) = self.held().ahead.get(key).and_then(|versions| Held::version(versions, number))
        {
            return Ok(version.value.clone());
        }
        let value = self.backend.get(key)?;
        if self.is_overtaken(number)
            && let Some(kept) = self.held().kept.get(key).and_then(|kept| Held::kept(kept, number))
        {
            return Ok(kept.value.clone());
        }
        Ok(value)
    }

    /// Whether the backend has been changed, or is being, beyond a commit.
    fn is_overtaken(&self, number: u64) -> bool {
        number < self.applying.load(Ordering::SeqCst)
    }

    /// The versions of some rows from `start` on, for a view, and the key up to which those are all.
    fn versions(&self, number: u64, start: &[u8], end: &[u8]) -> (VecDeque<Changed>, Vec<u8>) {
        let mut versions = VecDeque::new();
        if self.size.load(Ordering::SeqCst) == 0 {
            return (versions, end.to_vec());
        }
        let held = self.held();
        for (looked, (key, of_row)) in held.ahead.range::<[u8], _>((Included(start), Excluded(end))).enumerate() {
            // Rows that the view does not see count, too: there may be many.
            if looked == AT_ONCE {
                return (versions, key.clone());
            }
            let Some(version) = Held::version(of_row, number) else { continue };
            versions.push_back((key.clone(), version.value.clone()));
        }
        (versions, end.to_vec())
    }

    /// The first row with `start <= key < end` of which a view sees what was kept for it.
    fn first_kept(&self, number: u64, start: &[u8], end: &[u8]) -> Option<Changed> {
        let held = self.held();
        let mut range = held.kept.range::<[u8], _>((Included(start), Excluded(end)));
        range.find_map(|(key, kept)| Some((key.clone(), Held::kept(kept, number)?.value.clone())))
    }
}

/// The applier's part: bringing published commits into the backend.
impl Versions {
    /// Brings commits into the backend and lets the journal forget them, until [`Versions::close`] and nothing is left.
    pub(crate) fn apply_all(&self, journal: &dyn Journal) -> Result<(), BackendError> {
        while let Some((head, bytes)) = self.wait_for_commits() {
            self.apply(head)?;
            journal.forget(head.position)?;
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
    /// It goes in small batches, because sled lets nobody read while it takes one in. After a crash in between, the backend still
    /// says the head before, so all is brought in again from the journal: rows are whole values, and may be written twice.
    fn apply(&self, head: Head) -> Result<(), BackendError> {
        let number = head.position.number;
        let rows = self.newest(number);
        // New views are of this moment or a later one: the earlier ones are those that there are now.
        let views = self.views_before(number);
        self.applying.store(number, Ordering::SeqCst);
        self.keep(&rows, &views, number)?;
        let keys: Vec<Vec<u8>> = rows.keys().cloned().collect();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let began = Instant::now();
            self.backend.apply(&rows.by_ref().take(SLICE).collect())?;
            self.pause(began.elapsed());
        }
        self.backend.apply(&Batch::from([format::position(&head)?]))?;
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
            std::thread::sleep(pause / 100);
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
            std::thread::sleep(Duration::from_micros(200));
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
            let mut held = self.change();
            let held = &mut *held;
            let Some(versions) = held.ahead.get(key) else { continue };
            let kept = held.kept.entry(key.clone()).or_default();
            // What views of moments before that see was kept already.
            let mut from = kept.last().map_or(0, |kept| kept.until);
            for version in versions.iter().filter(|version| version.number <= number) {
                if views.iter().any(|view| (from..version.number).contains(view)) {
                    kept.push(Kept { until: version.number, value });
                }
                (from, value) = (version.number, version.value.clone());
            }
            if kept.is_empty() {
                held.kept.remove(key);
            }
        }
        self.count(&self.held());
        Ok(())
    }

    /// Lets go of what was kept for views that are gone.
    fn let_go(&self) {
        let oldest = {
            let views = self.views();
            // Without a view, the next one is of the present moment or of a later one.
            views.counts.front().map_or(views.head.position.number, |(number, _)| *number)
        };
        if self.let_go_before.swap(oldest, Ordering::SeqCst) == oldest {
            return;
        }
        let mut start = Some(Vec::new());
        while let Some(from) = start.take() {
            let mut held = self.change();
            let keys: Vec<_> = held.kept.range(from..).take(STEP).map(|(key, _)| key.clone()).collect();
            for key in &keys {
                if let Some(kept) = held.kept.get_mut(key) {
                    kept.retain(|kept| kept.until > oldest);
                    if kept.is_empty() {
                        held.kept.remove(key);
                    }
                }
            }
            self.count(&held);
            start = keys.last().filter(|_| keys.len() == STEP).map(|last| [last, &[0][..]].concat());
        }
    }
}

/// The rows as they were at one moment, while commits go on.
pub(crate) struct View<'a> {
    versions: &'a Versions,
    head: Head,
    /// Whether it is counted among the views for which older values are kept.
    counted: bool,
}

impl View<'_> {
    /// The last commit that the view sees.
    pub(crate) const fn head(&self) -> Head {
        self.head
    }
}

impl Source for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.versions.get(self.head.position.number, key)
    }

    fn scan<'s>(&'s self, start: &[u8], end: &[u8]) -> Scan<'s> {
        if start >= end {
            return Box::new(std::iter::empty());
        }
        let (versions, number) = (self.versions, self.head.position.number);
        Box::new(Scanning { versions, number, next: start.to_vec(), end: end.to_vec(), part: None })
    }

    fn size_on_disk(&self) -> Option<u64> {
        self.versions.size_on_disk()
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if self.counted {
            self.versions.release(self.head);
        }
    }
}

/// A row and what a view sees of it.
type Changed = (Vec<u8>, Option<Vec<u8>>);

/// A scan of what a view sees, in parts: the versions of some rows, which are read first, and the backend up to the last of them.
struct Scanning<'a> {
    versions: &'a Versions,
    number: u64,
    /// The key from which to go on.
    next: Vec<u8>,
    end: Vec<u8>,
    part: Option<Part<'a>>,
}

struct Part<'a> {
    versions: VecDeque<Changed>,
    backend: Peekable<Scan<'a>>,
    /// The key up to which the versions are all that there are.
    end: Vec<u8>,
}

impl Scanning<'_> {
    /// The next row of the present part, which may turn out not to exist; `None` at its end.
    fn step(&mut self) -> Option<Result<Changed, BackendError>> {
        let Self { versions, number, next, end, part } = self;
        let part = part.get_or_insert_with(|| {
            let (first, upper) = versions.versions(*number, next, end);
            Part { versions: first, backend: versions.backend.scan(next, &upper).peekable(), end: upper }
        });
        let version = part.versions.front().map(|(key, _)| key.as_slice());
        let row = match part.backend.peek() {
            Some(Ok((key, _))) => Some(key.as_slice()),
            // A scan ends at the first row that cannot be read.
            Some(Err(_)) => return part.backend.next().and_then(Result::err).map(Err),
            None => None,
        };
        let first = [version, row].into_iter().flatten().min();
        if versions.is_overtaken(*number) {
            // What was kept comes before what the backend holds, and so does a row that it does not hold any more.
            let upper = match (first, version) {
                (Some(first), version) if version == Some(first) => first.to_vec(),
                (Some(first), _) => [first, &[0][..]].concat(),
                (None, _) => part.end.clone(),
            };
            if let Some(kept) = versions.first_kept(*number, next, &upper) {
                if row == Some(kept.0.as_slice()) {
                    part.backend.next();
                }
                return Some(Ok(kept));
            }
        }
        match (version, row) {
            (None, None) => None,
            (Some(version), row) if row.is_none_or(|row| version <= row) => {
                if row == Some(version) {
                    part.backend.next();
                }
                part.versions.pop_front().map(Ok)
            }
            _ => part.backend.next().map(|pair| pair.map(|(key, value)| (key, Some(value)))),
        }
    }
}

impl Iterator for Scanning<'_> {
    type Item = Result<Pair, BackendError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.end {
            match self.step() {
                Some(Ok((key, value))) => {
                    self.next.clear();
                    self.next.extend_from_slice(&key);
                    self.next.push(0);
                    if let Some(value) = value {
                        return Some(Ok((key, value)));
                    }
                }
                Some(Err(error)) => {
                    self.next.clone_from(&self.end);
                    return Some(Err(error));
                }
                None => self.next = self.part.take().map_or_else(|| self.end.clone(), |part| part.end),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;
    use crate::journal::Position;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;

    fn head(number: u64) -> Head {
        Head { position: Position { term: 0, number }, ..Head::default() }
    }

    fn versions() -> Versions {
        Versions::new(Box::new(MemoryBackend::new()), head(0), Checkpoints::default())
    }

    fn key(key: u8) -> Vec<u8> {
        vec![b'k', key]
    }

    type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

    /// All rows that a view sees, but the head that the backend has come to.
    fn seen(view: &View<'_>) -> Rows {
        view.scan(b"k", b"l").map(Result::unwrap).collect()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Commit(Vec<(u8, Option<u8>)>),
        /// So many of the commits that wait are brought into the backend.
        Apply(usize),
        View,
        Drop(prop::sample::Index),
        /// A scan begins, and takes so many rows.
        Scan(prop::sample::Index, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let change = (0..60_u8, proptest::option::of(any::<u8>()));
        let step = prop_oneof![
            4 => prop::collection::vec(change, 1..40).prop_map(Step::Commit),
            3 => (1..4_usize).prop_map(Step::Apply),
            2 => Just(Step::View),
            1 => any::<prop::sample::Index>().prop_map(Step::Drop),
            2 => (any::<prop::sample::Index>(), 0..50_usize).prop_map(|(view, taken)| Step::Scan(view, taken)),
        ];
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// The model is a map for each view. Whatever is committed and brought into the backend meanwhile, a view sees its own map:
        /// row by row, in a list, and in a list that began before.
        #[test]
        fn a_view_sees_its_moment(steps in steps()) {
            let (versions, mut now, mut number, mut applied) = (versions(), Rows::new(), 0, 0);
            let mut views: Vec<(View<'_>, Rows)> = Vec::new();
            for step in steps {
                match step {
                    Step::Commit(changes) => {
                        let rows: RowMap = changes.into_iter().map(|(k, value)| (key(k), value.map(|it| vec![it]))).collect();
                        for (key, value) in rows.clone() {
                            match value {
                                Some(value) => drop(now.insert(key, value)),
                                None => drop(now.remove(&key)),
                            }
                        }
                        let before = versions.view();
                        let seen_before = seen(&before);
                        number += 1;
                        versions.enter(number, rows);
                        prop_assert_eq!(seen(&versions.view()), seen_before, "not published yet");
                        prop_assert_eq!(&seen(&versions.view_of(head(number))), &now, "the writer sees it");
                        versions.publish(head(number), 1);
                    }
                    Step::Apply(commits) => {
                        applied = number.min(applied + u64::try_from(commits).unwrap());
                        versions.apply(head(applied)).unwrap();
                    }
                    Step::View => views.push((versions.view(), now.clone())),
                    Step::Drop(index) if !views.is_empty() => drop(views.swap_remove(index.index(views.len()))),
                    Step::Scan(index, taken) if !views.is_empty() => {
                        let (view, expected) = &views[index.index(views.len())];
                        let mut scan = view.scan(b"k", b"l");
                        let mut rows: Vec<_> = scan.by_ref().take(taken).map(Result::unwrap).collect();
                        applied = number;
                        versions.apply(head(applied)).unwrap();
                        rows.extend(scan.map(Result::unwrap));
                        prop_assert_eq!(rows, expected.clone().into_iter().collect::<Vec<_>>());
                    }
                    Step::Drop(_) | Step::Scan(..) => {}
                }
                for (view, expected) in &views {
                    prop_assert_eq!(&seen(view), expected);
                    for k in 0..60 {
                        prop_assert_eq!(view.get(&key(k)).unwrap(), expected.get(&key(k)).cloned());
                    }
                }
                prop_assert_eq!(&seen(&versions.view()), &now);
            }
            views.clear();
            versions.apply(head(number)).unwrap();
            prop_assert_eq!(versions.size.load(Ordering::SeqCst), 0, "nothing is kept when nobody looks");
        }
    }

    /// What is kept for one view is one value a row, however often the row changes.
    #[test]
    fn a_long_view_costs_one_value_a_row() {
        let versions = versions();
        let commit = |number: u64| {
            versions.enter(number, (0..100).map(|k| (key(k), Some(number.to_be_bytes().to_vec()))).collect());
            versions.publish(head(number), 1);
            versions.apply(head(number)).unwrap();
        };
        commit(1);
        let view = versions.view();
        (2..50).for_each(commit);
        let later = versions.view();
        (50..60).for_each(commit);
        assert!(versions.held().kept.values().all(|kept| kept.len() == 2), "one for each view");
        assert!(seen(&view).values().all(|value| *value == 1_u64.to_be_bytes()));
        assert!(seen(&later).values().all(|value| *value == 49_u64.to_be_bytes()));
        drop(view);
        assert!(versions.held().kept.values().all(|kept| kept.len() == 1));
        drop(later);
        assert_eq!(versions.size.load(Ordering::SeqCst), 0);
    }

    /// Each commit writes its number into all rows, and every tenth deletes all. Readers, an applier and a writer at once: a
    /// reader finds one number in all rows, the same however often it looks, and never an earlier one than before.
    #[test]
    fn many_at_once() {
        let (versions, stop) = (versions(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..=3_000_u64 {
                    let value = (number % 10 != 0).then(|| number.to_be_bytes().to_vec());
                    versions.enter(number, (0..100).map(|k| (key(k), value.clone())).collect());
                    versions.publish(head(number), 1);
                    // The applier must not fall behind for good: there would be nothing for it to overtake.
                    while number > versions.applying.load(Ordering::SeqCst) + 20 {
                        std::thread::yield_now();
                    }
                }
                stop.store(true, Ordering::SeqCst);
            });
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    versions.apply(versions.head()).unwrap();
                }
            });
            for reader in 0..3_u8 {
                let (versions, stop) = (&versions, &stop);
                scope.spawn(move || {
                    let mut last = 0;
                    while !stop.load(Ordering::SeqCst) {
                        let view = versions.view();
                        let number = view.head().position.number;
                        assert!(number >= last, "{number} after {last}");
                        last = number;
                        let expected = (number % 10 != 0).then(|| number.to_be_bytes().to_vec());
                        for _ in 0..=reader {
                            let rows = seen(&view);
                            if number > 0 {
                                assert_eq!(rows.len(), if expected.is_some() { 100 } else { 0 }, "at {number}");
                                assert!(rows.values().all(|value| Some(value) == expected.as_ref()), "at {number}");
                                assert_eq!(view.get(&key(50)).unwrap(), expected, "at {number}");
                            }
                        }
                    }
                });
            }
        });
    }
}
