//! The queue between callers and the writer: bounded, first in, first out.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Waiting items. When it is full, pushing fails at once instead of letting memory grow.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    capacity: usize,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State { items: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; `false` when the queue is full or closed.
    pub(crate) fn push(&self, item: T) -> bool {
        let mut state = self.lock();
        if state.closed || state.items.len() >= self.capacity {
            return false;
        }
        state.items.push_back(item);
        drop(state);
        self.filled.notify_one();
        true
    }

    /// Adds an item even when the queue is full; `false` when it is closed.
    pub(crate) fn push_always(&self, item: T) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.items.push_back(item);
        drop(state);
        self.filled.notify_one();
        true
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Waits for items and takes up to `most` of them; `None` once the queue is closed and empty.
    pub(crate) fn take(&self, most: usize) -> Option<Vec<T>> {
        let waiting = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let mut state = self.filled.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        if state.items.is_empty() {
            return None;
        }
        let count = state.items.len().min(most);
        Some(state.items.drain(..count).collect())
    }

    /// Takes no more items; those that wait can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_in_order_and_drained_after_closing() {
        let queue = Queue::new(3);
        assert!(queue.push(1) && queue.push(2) && queue.push(3));
        assert!(!queue.push(4));
        assert!(queue.push_always(4));
        assert_eq!(queue.take(2), Some(vec![1, 2]));
        assert!(queue.push(5));
        queue.close();
        assert!(!queue.push(6) && !queue.push_always(6));
        assert_eq!(queue.take(9), Some(vec![3, 4, 5]));
        assert_eq!(queue.take(9), None);
    }
}
