//! The [`Signal`]: wakes the threads and the async tasks that wait for a new deadline or a new notification.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A counter of how often it was raised. A waiter that reads the count, then the state, and then waits for another count,
/// misses no change.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<Raised>,
    raised: Condvar,
}

#[derive(Default)]
struct Raised {
    count: u64,
    wakers: Vec<Waker>,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, Raised> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Increments the count and wakes every waiting thread and task.
    pub(crate) fn raise(&self) {
        let mut state = self.lock();
        state.count = state.count.wrapping_add(1);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.raised.notify_all();
        for waker in wakers {
            // A waker is somebody else's code: when it panics, the others are woken all the same.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    /// The number of times that the signal was raised, modulo 2^64.
    pub(crate) fn count(&self) -> u64 {
        self.lock().count
    }

    /// Blocks until the count differs from `seen`, or until `most` has passed.
    pub(crate) fn wait(&self, seen: u64, most: Duration) {
        let same = |state: &mut Raised| state.count == seen;
        drop(self.raised.wait_timeout_while(self.lock(), most, same));
    }

    /// Has a task woken once, the next time that the signal is raised.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut state = self.lock();
        if !state.wakers.iter().any(|other| other.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, thread};

    #[test]
    fn what_was_raised_before_the_wait_is_not_missed() {
        let signal = Signal::default();
        let seen = signal.count();
        signal.raise();
        // If the raise were missed, this would block for ever.
        signal.wait(seen, Duration::MAX);
    }

    #[test]
    fn wakes_every_thread() {
        let signal = Arc::new(Signal::default());
        let seen = signal.count();
        let wait = |signal: Arc<Signal>| thread::spawn(move || signal.wait(seen, Duration::MAX));
        let threads: Vec<_> = (0..3).map(|_| wait(Arc::clone(&signal))).collect();
        signal.raise();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn gives_up_after_a_while() {
        let signal = Signal::default();
        signal.wait(signal.count(), Duration::from_millis(1));
    }
}
