//! A signal that threads wait for and tasks await: something has changed, look again.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Counts how often it was raised. Whoever looks first at the count, then at the world, and then waits for another count,
/// misses nothing.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    raised: Condvar,
}

#[derive(Default)]
struct State {
    count: u64,
    wakers: Vec<Waker>,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everybody who waits.
    pub(crate) fn raise(&self) {
        let mut state = self.lock();
        state.count = state.count.wrapping_add(1);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.raised.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How often it was raised.
    pub(crate) fn count(&self) -> u64 {
        self.lock().count
    }

    /// Blocks until the count is another one than that, or so much time has passed.
    pub(crate) fn wait(&self, seen: u64, most: Duration) {
        let same = |state: &mut State| state.count == seen;
        drop(self.raised.wait_timeout_while(self.lock(), most, same));
    }

    /// Has a task woken the next time it is raised.
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
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn what_was_raised_before_the_wait_is_not_missed() {
        let signal = Signal::default();
        let seen = signal.count();
        signal.raise();
        // It would block for ever otherwise.
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
