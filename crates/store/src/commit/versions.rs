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
use std::ops::Bound::{Excluded, Included};
use std::sync::atomic::{AtomicU64, Ordering};
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
/// How often the applier looks whether earlier views have ended, 200 µs apart, before it keeps rows for them.
const PATIENCE: u32 = 5;
/// The numbers of rows that a scan reads at a time: few at first, for a list that is given up early.
const CHUNKS: [usize; 3] = [16, 64, 256];

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

struct Moment {
    /// The head of the last published commit.
    head: Head,
    /// The views that there are: by their number, how many.
    views: BTreeMap<u64, usize>,
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
        let (views, waiting) = (BTreeMap::new(), VecDeque::new());
        Self {
            backend,
            checkpoints,
            held: RwLock::default(),
            moment: Mutex::new(Moment {
                head,
                views,
                waiting,
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
        moment.head = head;
        moment.bytes = moment.bytes.saturating_add(bytes);
        moment.waiting.push_back(Waiting { head, bytes, since: Instant::now() });
        // The applier is woken by the first of several commits, and by the one that makes them many.
        let wake = moment.waiting.len() == 1 || moment.bytes >= self.checkpoints.bytes;
        drop(moment);
        if wake {
            self.moved.notify_all();
        }
    }

    /// A view of all that is published.
    pub(crate) fn view(&self) -> View<'_> {
        let mut moment = self.moment();
        let head = moment.head;
        let views = moment.views.entry(head.position.number).or_default();
        *views = views.saturating_add(1);
        drop(moment);
        View { versions: self, head, counted: true }
    }

    /// The view of the writer, which sees its own commits before they are published. No commit that it does not see is brought
    /// into the backend while it looks.
    pub(crate) const fn writers_view(&self, head: Head) -> View<'_> {
        View { versions: self, head, counted: false }
    }

    /// The head of the last published commit.
    pub(crate) fn head(&self) -> Head {
        self.moment().head
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
        if let Some(version) = self.held().ahead.get(key).and_then(|versions| Held::version(versions, number)) {
            return Ok(version.value.clone());
        }
        let value = self.backend.get(key)?;
        if number < self.applying.load(Ordering::SeqCst)
            && let Some(kept) = self.held().kept.get(key).and_then(|kept| Held::kept(kept, number))
        {
            return Ok(kept.value.clone());
        }
        Ok(value)
    }

    /// Some pairs with `start <= key < end`, and the key from which to go on.
    fn chunk(
        &self,
        number: u64,
        start: &[u8],
        end: &[u8],
        most: usize,
    ) -> (Vec<Result<Pair, BackendError>>, Option<Vec<u8>>) {
        let mut upper = end.to_vec();
        let mut over: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        {
            let held = self.held();
            for (key, versions) in held.ahead.range::<[u8], _>((Included(start), Excluded(end))) {
                let Some(version) = Held::version(versions, number) else { continue };
                if over.len() == most {
                    upper = key.clone();
                    break;
                }
                over.push((key.clone(), version.value.clone()));
            }
        }
        let base: Vec<_> = self.backend.scan(start, &upper).take(most).collect();
        if base.len() == most
            && let Some(Ok((last, _))) = base.last()
        {
            upper = [last, &[0][..]].concat();
        }
        let mut kept = Vec::new();
        if number < self.applying.load(Ordering::SeqCst) && start < upper.as_slice() {
            let held = self.held();
            let range = held.kept.range::<[u8], _>((Included(start), Excluded(upper.as_slice())));
            let older = range.filter_map(|(key, kept)| Some((key.clone(), Held::kept(kept, number)?.value.clone())));
            kept.extend(older);
        }
        let next = (upper.as_slice() < end).then(|| upper.clone());
        if over.is_empty() && kept.is_empty() {
            return (base, next);
        }
        let mut failed = None;
        let mut rows = RowMap::new();
        for pair in base {
            match pair {
                Ok((key, value)) => drop(rows.insert(key, Some(value))),
                Err(error) => failed = Some(error),
            }
        }
        rows.extend(kept);
        rows.extend(over.into_iter().filter(|(key, _)| *key < upper));
        let pairs = rows.into_iter().filter_map(|(key, value)| Some(Ok((key, value?))));
        (pairs.chain(failed.map(Err)).collect(), next)
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
        let number = moment.head.position.number;
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
            if moment.closing || wanted || moment.bytes >= self.checkpoints.bytes || left.is_zero() {
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
    fn apply(&self, head: Head) -> Result<(), BackendError> {
        let number = head.position.number;
        let mut rows = self.newest(number);
        // New views are of this moment or a later one: the earlier ones are those that there are now.
        let views = self.views_before(number);
        self.applying.store(number, Ordering::SeqCst);
        self.keep(&rows, &views, number)?;
        let keys: Vec<Vec<u8>> = rows.keys().cloned().collect();
        rows.extend([format::position(&head)?]);
        self.backend.apply(&Batch { rows })?;
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
        }
        self.let_go();
        Ok(())
    }

    /// The numbers of the views of moments before a commit. Most are of queries that end in a moment: those are waited for.
    fn views_before(&self, number: u64) -> Vec<u64> {
        let mut views = Vec::new();
        for _ in 0..PATIENCE {
            views = self.moment().views.range(..number).map(|(number, _)| *number).collect();
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
            let (mut from, kept) = (0, held.kept.entry(key.clone()).or_default());
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
        Ok(())
    }

    /// Lets go of what was kept for views that are gone.
    fn let_go(&self) {
        let oldest = self.moment().views.keys().next().copied().unwrap_or(u64::MAX);
        if !self.held().kept.is_empty() {
            self.change().kept.retain(|_, kept| {
                kept.retain(|kept| kept.until > oldest);
                !kept.is_empty()
            });
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
        let mut next = (start < end).then(|| start.to_vec());
        let (end, mut chunks) = (end.to_vec(), CHUNKS.iter());
        let mut most = 0;
        let chunks = std::iter::from_fn(move || {
            most = chunks.next().copied().unwrap_or(most);
            let (pairs, on) = self.versions.chunk(self.head.position.number, &next.take()?, &end, most);
            // A scan ends at the first pair that cannot be read.
            next = on.filter(|_| pairs.iter().all(Result::is_ok));
            Some(pairs)
        });
        Box::new(chunks.flatten())
    }

    fn size_on_disk(&self) -> Option<u64> {
        self.versions.size_on_disk()
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let number = self.head.position.number;
        let mut moment = self.versions.moment();
        let mut last = false;
        if let Some(views) = moment.views.get_mut(&number) {
            *views = views.saturating_sub(1);
            last = *views == 0;
        }
        if last {
            moment.views.remove(&number);
        }
        drop(moment);
        if last && number < self.versions.applying.load(Ordering::SeqCst) {
            self.versions.let_go();
        }
    }
}
