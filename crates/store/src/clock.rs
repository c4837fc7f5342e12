//! The clock from which the engine takes the present instant: the [`Clock`] trait, the system's clock, and one for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dogwatch_core::Timestamp;

/// A source of the present instant. It may jump in either direction: the rules allow for that (contract, section 9).
pub trait Clock: Send + Sync + 'static {
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

/// A clock that shows what it was set to. Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use dogwatch_store::rules::Timestamp;
/// use dogwatch_store::{Clock, ManualClock};
/// let clock = ManualClock::at(Timestamp::parse("2026-04-07T10:00:00Z").unwrap());
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().to_string(), "2026-04-07T10:01:30.000Z");
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows this instant.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.as_millis())))
    }

    /// Sets the clock to this instant, earlier or later.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Moves the clock forward by a span.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::clamped(self.0.load(Ordering::SeqCst))
    }
}
