//! The [`Rates`]: how many requests a caller may make in a while.
//!
//! Each caller has a bucket of tokens, which fills at a steady rate up to a number; a request takes one. What is kept of a bucket is
//! the instant at which it would be full again, and buckets that are full are forgotten, so memory is bounded by who calls often.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most callers of whom something is kept. Beyond that, those whose buckets fill up first are forgotten.
const MOST_CALLERS: usize = 65_536;

/// How often a caller may do something: so many times at once, and then so many times a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number of times a second in the long run.
    pub per_second: u32,
    /// The number of times at once, after a pause.
    pub burst: u32,
}

impl Rate {
    /// A rate.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }

    /// What one token takes to come.
    fn token(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// The buckets of callers of one kind.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    rate: Rate,
    /// When the bucket of each is full again.
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq + Copy> Rates<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, full_at: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Instant>> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a token from a caller's bucket. The error is how long to wait for the next.
    pub(crate) fn take(&self, caller: K, now: Instant) -> Result<(), Duration> {
        let mut full_at = self.lock();
        let full = full_at.get(&caller).copied().unwrap_or(now).max(now);
        let after = full + self.rate.token();
        let most = self.rate.token() * self.rate.burst.max(1);
        let wait = after.duration_since(now).saturating_sub(most);
        if !wait.is_zero() {
            return Err(wait);
        }
        if full_at.len() >= MOST_CALLERS && !full_at.contains_key(&caller) {
            forget(&mut full_at, now);
        }
        full_at.insert(caller, after);
        Ok(())
    }
}

/// Forgets the buckets that are full, and if that is not enough, the half that is nearest to it.
fn forget<K: Hash + Eq + Copy>(full_at: &mut HashMap<K, Instant>, now: Instant) {
    full_at.retain(|_, full| *full > now);
    if full_at.len() < MOST_CALLERS {
        return;
    }
    let mut instants: Vec<_> = full_at.values().copied().collect();
    let half = instants.len() / 2;
    let (_, median, _) = instants.select_nth_unstable(half);
    let median = *median;
    full_at.retain(|_, full| *full > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_steady_rate() {
        let rates = Rates::new(Rate::new(10, 3));
        let begun = Instant::now();
        let at = |millis: u64| begun + Duration::from_millis(millis);
        for (millis, caller, expected) in [
            (0, 'a', Ok(())),
            (0, 'a', Ok(())),
            (0, 'a', Ok(())),
            (0, 'a', Err(100)),
            (50, 'a', Err(50)),
            (50, 'b', Ok(())),
            (100, 'a', Ok(())),
            (100, 'a', Err(100)),
            (10_000, 'a', Ok(())),
            (10_000, 'a', Ok(())),
            (10_000, 'a', Ok(())),
            (10_000, 'a', Err(100)),
        ] {
            let taken = rates.take(caller, at(millis)).map_err(|wait| wait.as_millis());
            assert_eq!(taken, expected, "{caller} at {millis}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let rates = Rates::new(Rate::new(1, 10));
        let begun = Instant::now();
        for caller in 0..200_000_u32 {
            rates.take(caller, begun).unwrap();
        }
        assert!(rates.lock().len() <= MOST_CALLERS);
        // Who calls most is remembered.
        for _ in 0..10 {
            let _ = rates.take(u32::MAX, begun);
        }
        (200_000..300_000).for_each(|caller| rates.take(caller, begun).unwrap());
        assert!(rates.take(u32::MAX, begun).is_err());
    }
}
