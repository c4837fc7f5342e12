//! The [`Watchdog`]: a thread that wakes sled when it waits for a write that has failed.
//!
//! When a write of sled's log fails in one of its threads, the threads that wait for the log may not be told, and wait for
//! ever: ours in `flush`, and sled's own flushing thread, without which the database cannot be closed. But any further
//! `flush` that finds the failure wakes all of them. So while one flush takes longer than usual, another is begun beside
//! it: if the disk is only slow, it waits with the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The interval of the checks. A flush that is under way at two checks in a row takes longer than usual.
const LOOK: Duration = Duration::from_millis(500);

/// The most flushes that are begun beside one that takes long: when they wait, too, the disk is only slow.
const MOST_NUDGES: usize = 4;

#[derive(Debug)]
pub(super) struct Watchdog {
    shared: Arc<Watched>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Watched {
    /// The flushes that were begun plus those that have ended: odd while one is under way.
    flushes: AtomicU64,
    stop: AtomicBool,
}

impl Watchdog {
    pub(super) fn start(db: ::sled::Db) -> std::io::Result<Self> {
        let shared = Arc::new(Watched::default());
        let run = {
            let shared = Arc::clone(&shared);
            move || watch(&shared, &db)
        };
        let thread = thread::Builder::new().name("dogwatch-watchdog".to_owned()).spawn(run)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Makes a call that flushes, under the eyes of the watchdog.
    pub(super) fn watched<R>(&self, flush: impl FnOnce() -> R) -> R {
        self.shared.flushes.fetch_add(1, Ordering::AcqRel);
        let outcome = flush();
        self.shared.flushes.fetch_add(1, Ordering::AcqRel);
        outcome
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread does not panic, and if it did, nothing would be left to do.
            let _ = thread.join();
        }
    }
}

fn watch(shared: &Watched, db: &::sled::Db) {
    let (mut last, mut nudges) = (0, Vec::new());
    while !shared.stop.load(Ordering::Acquire) {
        thread::park_timeout(LOOK);
        let now = shared.flushes.load(Ordering::Acquire);
        nudges.retain(|nudge: &JoinHandle<()>| !nudge.is_finished());
        if now % 2 == 1 && now == last && nudges.len() < MOST_NUDGES {
            let db = db.clone();
            // The flush may have to wait, too. If no thread can be started for it, the next check tries again.
            nudges.extend(thread::Builder::new().name("dogwatch-nudge".to_owned()).spawn(move || drop(db.flush())));
        }
        last = now;
    }
}
