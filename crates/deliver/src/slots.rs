//! How many more messages each channel takes at the moment, so that no more is claimed than can be sent: what is not claimed waits in the
//! outbox, in its order, and a channel whose server is slow keeps no other waiting.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The slots of some channels, by their number.
pub(crate) struct Slots {
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    free: Vec<usize>,
    /// Grows with each slot that becomes free.
    freed: u64,
}

impl Slots {
    /// Slots of `channels` channels, each with `each`.
    pub(crate) fn new(channels: usize, each: usize) -> Self {
        Self { state: Mutex::new(State { free: vec![each; channels], freed: 0 }), freed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many slots of each channel are free, and a number for [`Slots::wait`].
    pub(crate) fn free(&self) -> (Vec<usize>, u64) {
        let state = self.state();
        (state.free.clone(), state.freed)
    }

    /// Takes a slot of a channel.
    pub(crate) fn take(&self, channel: usize) {
        if let Some(free) = self.state().free.get_mut(channel) {
            *free = free.saturating_sub(1);
        }
    }

    /// Gives a slot of a channel back.
    pub(crate) fn give(&self, channel: usize) {
        let mut state = self.state();
        if let Some(free) = state.free.get_mut(channel) {
            *free = free.saturating_add(1);
        }
        state.freed = state.freed.wrapping_add(1);
        drop(state);
        self.freed.notify_all();
    }

    /// Waits until a slot becomes free that was not when [`Slots::free`] gave this number, or until `most` has passed.
    pub(crate) fn wait(&self, seen: u64, most: Duration) {
        let waited = self.freed.wait_timeout_while(self.state(), most, |state| state.freed == seen);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
