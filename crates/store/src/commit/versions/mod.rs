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
//! What is kept for views is bounded. When it becomes more, the view of the earliest moment is lost: whoever reads on in it is told so.
//!
//! Why a view that finds no version of a row may then read the backend: all versions up to its number that are not here are in
//! the backend. If the backend already holds a later one, the value before was kept, before the backend was changed; so it is
//! looked for last.

mod apply;
mod view;

#[cfg(test)]
pub(in crate::commit) mod tests;

pub(crate) use view::View;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Included};
use std::time::{Duration, Instant};

use crate::backend::{Backend, BackendError, RowMap};
use crate::commit::cache::{Cache, Decoded};
use crate::journal::{Commit, Head};
use crate::rooms::{cached_under, made_of};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::table::end_of;

/// The bytes of rows that may wait for the backend. When there are more, the writer waits, and commands queue up.
const FULL: usize = 64 << 20;
/// The bytes of rows that may be kept for views of earlier moments. When there are more, the earliest view is lost.
const MOST_KEPT: usize = 256 << 20;
/// About how many bytes a row takes that is kept, besides its key and its value.
const BESIDES: usize = 100;
/// The number of rows that are put in or taken out while readers wait.
const STEP: usize = 64;

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
    /// The bytes of what is kept.
    kept_bytes: usize,
}

impl Kept {
    fn bytes(&self, key: &[u8]) -> usize {
        let value = self.value.as_ref().map_or(0, Vec::len);
        key.len().saturating_add(value).saturating_add(BESIDES)
    }
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

/// A row and what a view sees of it.
type Changed = (Vec<u8>, Option<Vec<u8>>);

/// The rows of a store: its backend, and the versions that are not in it.
pub(crate) struct Versions {
    backend: Box<dyn Backend>,
    checkpoints: Checkpoints,
    cache: Cache,
    held: RwLock<Held>,
    /// The number of rows in `held`: nobody looks into it while there are none.
    size: AtomicUsize,
    /// The bytes that may be kept.
    most_kept: usize,
    /// Views of moments before that of this number are lost.
    lost_before: AtomicU64,
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
    /// Whether the backend is a copy of a shared store: then it says what is being brought into it.
    is_copy: bool,
}

impl Versions {
    /// The rows of a backend that holds all commits up to a head.
    pub(crate) fn new(backend: Box<dyn Backend>, head: Head, checkpoints: Checkpoints, cache: usize) -> Self {
        Self {
            backend,
            checkpoints,
            cache: Cache::new(cache),
            held: RwLock::default(),
            size: AtomicUsize::new(0),
            most_kept: MOST_KEPT,
            lost_before: AtomicU64::new(0),
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
            is_copy: false,
        }
    }

    /// The same, over the copy of a shared store, whose journal may lose commits.
    pub(crate) fn of_copy(self, is_copy: bool) -> Self {
        Self { is_copy, ..self }
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
            let mut decoded = Vec::new();
            let mut held = self.change();
            for (key, value) in rows.by_ref().take(STEP) {
                if let Some(cached) = cached_under(&key) {
                    decoded.push(cached.into_owned());
                }
                held.ahead.entry(key).or_default().push(Version { number, value });
            }
            self.count(&held);
            drop(held);
            decoded.iter().for_each(|key| self.cache.remove(key));
        }
        self.moment().entered = number;
        self.entered.notify_all();
    }

    /// Enters and publishes a commit that the backend lacks, read from the journal.
    pub(crate) fn replay(&self, commit: &Commit) {
        self.enter(commit.head.position.number, commit.rows.owned().collect());
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
        View { versions: self, head: self.hold(), counted: true, remembers: true }
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
        View { versions: self, head, counted: false, remembers: false }
    }

    /// The head of the last published commit.
    pub(crate) fn head(&self) -> Head {
        self.views().head
    }

    /// The bytes of rows from which on commits are brought into the backend: before the writer has to wait, whatever was asked for.
    fn many(&self) -> usize {
        self.checkpoints.bytes.min(FULL)
    }

    /// Whether nobody has to wait in [`Versions::wait_for_room`].
    pub(crate) fn has_room(&self) -> bool {
        let moment = self.moment();
        moment.bytes <= FULL && !moment.ended
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
        if self.is_overtaken(number) {
            let kept =
                self.held().kept.get(key).and_then(|kept| Held::kept(kept, number)).map(|kept| kept.value.clone());
            self.check_not_lost(number)?;
            return Ok(kept.unwrap_or(value));
        }
        Ok(value)
    }

    /// Whether the views of a moment are lost.
    fn is_lost(&self, number: u64) -> bool {
        number < self.lost_before.load(Ordering::SeqCst)
    }

    /// Refuses a view that is lost. It is asked after something was read: what is lost may be read wrongly.
    fn check_not_lost(&self, number: u64) -> Result<(), BackendError> {
        if self.is_lost(number) {
            let why = "the view was held for too long: what has changed since takes too much memory";
            return Err(BackendError::new("reading an earlier moment", why));
        }
        Ok(())
    }

    /// The entity that was decoded from a row as a view sees it, if it is there.
    fn remembered(&self, number: u64, key: &[u8]) -> Option<Decoded> {
        self.cache.get(key, number)
    }

    /// How often an entity was found decoded, and how often not.
    pub(crate) fn looked_up(&self) -> (u64, u64) {
        self.cache.looked_up()
    }

    /// Keeps what was made of rows of so many bytes as a view sees them, unless a later commit may have changed one.
    // A later commit has its rows in `ahead` before it removes the entries of the cache, and until after it is in `applying`. So
    // either it is seen here, or it removes what is added here.
    fn remember(&self, number: u64, key: &[u8], decoded: Decoded, row: usize) {
        self.cache.put(key, number, decoded, row, || {
            let held = self.held();
            let later = |prefix: Vec<u8>| {
                let mut rows = held.ahead.range::<[u8], _>((Included(&prefix[..]), Excluded(&end_of(&prefix)[..])));
                rows.any(|(_, of_row)| of_row.last().is_some_and(|last| last.number > number))
            };
            !made_of(key).into_iter().any(later) && !self.is_overtaken(number)
        });
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
