//! The clock from which the engine takes the present instant: the [`Clock`] trait, the system's clock, and one for tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dogwatch_core::Timestamp;

use crate::sync::atomic::{AtomicI64, Ordering};
use crate::sync::{Arc, Mutex, PoisonError};

/// A source of the present instant. It may jump in either direction: the rules allow for that (contract, section 9).
pub trait Clock: Send + Sync + 'static {
    /// Sets the clock, if it can be set; `false` if not.
    fn set_to(&self, _now: Timestamp) -> bool {
        false
    }

    /// Tells the clock whom to call when it was set, so that whoever sleeps until an instant looks at it again: a clock that runs
    /// by itself need not. The call gives `false` once nobody is interested any more.
    fn when_set(&self, _wake: Box<dyn Fn() -> bool + Send + Sync>) {}

    /// The present instant.
    fn now(&self) -> Timestamp;

    /// The real time to wait until the clock shows an instant. Override it for a clock that does not run at the speed of
    /// real time.
    fn real_time_until(&self, at: Timestamp) -> Duration {
        at.since(self.now())
    }
}

/// The clock of the operating system, in UTC. Before 1970 it shows the beginning of 1970.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp::clamped(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that shows what it was set to. Clones are the same clock. To set it wakes the tickers, deliveries and waits of the
/// engines that it is the clock of.
///
/// ```
/// use std::time::Duration;
/// use dogwatch_store::rules::Timestamp;
/// use dogwatch_store::{Clock, ManualClock};
/// let clock = ManualClock::at(Timestamp::parse("2026-04-07T10:00:00Z").unwrap());
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().to_string(), "2026-04-07T10:01:30.000Z");
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Manual>);

struct Manual {
    millis: AtomicI64,
    wake: Mutex<Vec<Arc<dyn Fn() -> bool + Send + Sync>>>,
}

impl std::fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

impl ManualClock {
    /// A clock that shows this instant.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Manual { millis: AtomicI64::new(now.as_millis()), wake: Mutex::default() }))
    }

    /// Sets the clock to this instant, earlier or later.
    pub fn set(&self, now: Timestamp) {
        self.0.millis.store(now.as_millis(), Ordering::SeqCst);
        self.wake();
    }

    /// Wakes whoever sleeps until an instant.
    fn wake(&self) {
        let wakes = || self.0.wake.lock().unwrap_or_else(PoisonError::into_inner);
        // Called without the lock: whoever is woken may set the clock.
        let called = wakes().clone();
        let gone: Vec<_> = called.into_iter().filter(|wake| !wake()).collect();
        wakes().retain(|wake| !gone.iter().any(|gone| Arc::ptr_eq(gone, wake)));
    }

    /// Moves the clock forward by a span.
    pub fn advance(&self, by: Duration) {
        let later = |now| Some(Timestamp::clamped(now).plus(by).as_millis());
        // The closure always gives a value, so this cannot fail.
        let _ = self.0.millis.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
        self.wake();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::clamped(self.0.millis.load(Ordering::SeqCst))
    }

    fn set_to(&self, now: Timestamp) -> bool {
        self.set(now);
        true
    }

    fn when_set(&self, wake: Box<dyn Fn() -> bool + Send + Sync>) {
        self.0.wake.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::from(wake));
    }
}
