//! The [`Cluster`]: this server's place among the others, as the program sees it.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::run::Runner;
use super::{ClusterOptions, Server, SharedJournal, copy};
use crate::backend::SledOptions;
use crate::builder::EngineBuilder;
use crate::engine::Engine;
use crate::error::OpenError;
use crate::signal::Signal;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a server does at present.
#[derive(Debug, Clone)]
pub enum Role {
    /// It leads: the engine takes commands. Tick it, and deliver what is in its outbox.
    Leads {
        /// The engine, for as long as the term lasts. Drop all handles of it when the role changes.
        engine: Engine,
        /// The term.
        term: u64,
    },
    /// Another server leads.
    Follows {
        /// The leader.
        leader: Server,
        /// The copy, which answers queries and refuses commands; `None` while it cannot answer. Drop all handles of it when it changes.
        engine: Option<Engine>,
    },
    /// Nobody leads, as far as this server can tell.
    Nobody {
        /// As of [`Role::Follows`].
        engine: Option<Engine>,
    },
}

impl Default for Role {
    /// What a server does at first.
    fn default() -> Self {
        Self::Nobody { engine: None }
    }
}

impl Role {
    /// The engine that answers queries, if there is one.
    #[must_use]
    pub const fn engine(&self) -> Option<&Engine> {
        match self {
            Self::Leads { engine, .. } => Some(engine),
            Self::Follows { engine, .. } | Self::Nobody { engine } => engine.as_ref(),
        }
    }

    /// Whether two roles are the same, with the same engine.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let same_engine = match (self.engine(), other.engine()) {
            (Some(one), Some(other)) => one.is(other),
            (None, None) => true,
            _ => false,
        };
        same_engine
            && match (self, other) {
                (Self::Leads { term: one, .. }, Self::Leads { term: other, .. }) => one == other,
                (Self::Follows { leader: one, .. }, Self::Follows { leader: other, .. }) => one == other,
                (Self::Nobody { .. }, Self::Nobody { .. }) => true,
                _ => false,
            }
    }
}

/// An instant that can be compared with the present: neither a stop of the machine nor a clock that is set back makes less time pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(Instant, SystemTime);

impl Moment {
    pub(super) fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed().max(self.1.elapsed().unwrap_or_default())
    }
}

/// Until when a server may believe that what it shows is the present.
#[derive(Debug, Clone, Copy)]
struct Belief {
    since: Moment,
    lasts: Duration,
}

/// What the thread of a cluster and its handles share.
#[derive(Default)]
pub(super) struct Place {
    role: Mutex<Role>,
    belief: Mutex<Option<Belief>>,
    trouble: Mutex<Option<String>>,
    /// Raised when the role changes.
    changed: Signal,
    /// Raised when the thread is to stop.
    pub(super) stop: Signal,
    stopping: AtomicBool,
    /// It is not to lead any more.
    retired: AtomicBool,
    terms: AtomicU64,
    lost: AtomicU64,
}

impl Place {
    pub(super) fn set(&self, role: Role) {
        let mut held = self.role.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is(&role) || matches!(role, Role::Leads { .. }) && self.is_retired() {
            return;
        }
        if matches!(role, Role::Leads { .. }) {
            self.terms.fetch_add(1, Ordering::Relaxed);
        }
        let before = std::mem::replace(&mut *held, role);
        drop(held);
        self.changed.raise();
        // It may be the last handle of an engine, which closes it.
        drop(before);
    }

    pub(super) fn role(&self) -> Role {
        self.role.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that what this server shows was the present at a moment, and may be believed to be for a while after it.
    pub(super) fn believe(&self, since: Moment, lasts: Duration) {
        *self.belief.lock().unwrap_or_else(PoisonError::into_inner) = Some(Belief { since, lasts });
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what keeps this server from its work; `None` when nothing does. Gives whether that is new.
    pub(super) fn set_trouble(&self, why: Option<String>) -> bool {
        let mut trouble = self.trouble();
        let new = *trouble != why && why.is_some();
        *trouble = why;
        new
    }

    pub(super) fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.stopping.store(true, Ordering::Release);
        self.stop.raise();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn retire(&self) {
        // A campaign may be won at this moment: the role is set before or not at all.
        let held = self.role.lock().unwrap_or_else(PoisonError::into_inner);
        self.retired.store(true, Ordering::Release);
        drop(held);
        self.stop.raise();
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire) || self.is_stopping()
    }
}

/// A server's place in a cluster: a thread that follows the leader, and campaigns when there is none. Dropping it, or
/// [`Cluster::stop`], ends the thread, and the term if this server leads.
///
/// ```
/// use dogwatch_store::cluster::{Cluster, ClusterOptions, MemorySharedJournal, Role, Server};
/// use dogwatch_store::Engine;
/// use std::sync::Arc;
/// use std::time::Duration;
/// # let parent = tempfile::tempdir()?;
/// # let folder = parent.path().join("copy");
/// let journal = Arc::new(MemorySharedJournal::new([7; 16], 20_000));
/// let options = ClusterOptions::new(Server::new("a", "http://10.0.0.7:8080"));
/// let cluster = Cluster::join(&folder, journal, options, Engine::builder)?;
/// let mut seen = 0;
/// while !matches!(cluster.role(), Role::Leads { .. }) {
///     seen = cluster.wait_for_change(seen, Duration::from_secs(5));
/// }
/// cluster.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cluster {
    place: Arc<Place>,
    thread: Option<JoinHandle<()>>,
}

impl Cluster {
    /// Takes part in the cluster of a shared journal, with a copy of the store in a folder of this server's own. `builder` gives the settings of
    /// each engine. It returns at once: the role is [`Role::Nobody`] at first.
    ///
    /// # Errors
    /// [`OpenError`] when the folder cannot be used: `InUse`, `Io`, `NotAStore`; `NotACopy` when it holds a store of its own.
    pub fn join(
        folder: impl AsRef<Path>,
        journal: Arc<dyn SharedJournal>,
        options: ClusterOptions,
        builder: impl Fn() -> EngineBuilder + Send + 'static,
    ) -> Result<Self, OpenError> {
        let folder = folder.as_ref().to_path_buf();
        let sled = SledOptions { cache_bytes: options.cache_bytes, ..SledOptions::default() };
        copy::check(&folder, &sled)?;
        let place = Arc::new(Place::default());
        let runner = Runner { folder, journal, options, sled, builder: Box::new(builder), place: Arc::clone(&place) };
        let run = move || runner.run();
        let thread =
            thread::Builder::new().name("dogwatch-cluster".to_owned()).spawn(run).map_err(OpenError::Thread)?;
        Ok(Self { place, thread: Some(thread) })
    }

    /// What this server does at present.
    #[must_use]
    pub fn role(&self) -> Role {
        self.place.role()
    }

    /// How often the role has changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.place.changed.count()
    }

    /// Waits until the role has changed more often than `seen`, for `most` at the longest. Gives how often it has.
    #[must_use]
    pub fn wait_for_change(&self, seen: u64, most: Duration) -> u64 {
        if self.place.changed.count() == seen {
            self.place.changed.wait(seen, most);
        }
        self.place.changed.count()
    }

    /// For how long this server has not been sure that what it shows is the present: `None` while it is. What a follower shows may be a
    /// moment old all the same. The longest duration when it has never been sure.
    #[must_use]
    pub fn stale(&self) -> Option<Duration> {
        let belief = *self.place.belief.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(belief) = belief else { return Some(Duration::MAX) };
        let elapsed = belief.since.elapsed();
        (elapsed > belief.lasts).then_some(elapsed)
    }

    /// What keeps this server from following or leading, for whoever operates it; `None` when nothing does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.place.trouble().clone()
    }

    /// How many terms this server has led in, and how many copies it has put aside because the shared journal had lost commits.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.place.terms.load(Ordering::Relaxed), self.place.lost())
    }

    /// Ends this server's term if it leads, so that another one takes over, and lets it lead no more: it follows until it is stopped. For one that is
    /// about to stop, and passes on until then what it is asked.
    pub fn retire(&self) {
        self.place.retire();
    }

    /// Stops following. If this server leads, its term ends, so that another one takes over at once. Blocks until all that was answered is in
    /// the copy.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.place.end();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread leaves the lease to end by itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("role", &self.role()).finish_non_exhaustive()
    }
}
