//! The queue between callers and the writer: bounded, first in, first out.
//!
//! The writer waits here for two things: for work, and for the batch before to be stored. While one is being stored there is
//! no hurry, so it is woken for several items at once.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Waiting items. When it is full, pushing fails at once instead of letting memory grow.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    capacity: usize,
}

/// What happens to an item when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// It is refused.
    Refuse,
    /// It is taken all the same: who is on call must be paged under overload, too.
    Take,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
    /// Whether a batch is being stored.
    storing: bool,
}

/// For how many items the writer is woken while a batch is being stored.
const TOGETHER: usize = 8;

impl<T> State<T> {
    /// Whether there is something for the writer to do.
    fn has_work(&self) -> bool {
        self.items.len() >= if self.storing { TOGETHER } else { 1 }
    }

    fn take(&mut self, most: usize) -> Vec<T> {
        let count = self.items.len().min(most);
        self.items.drain(..count).collect()
    }
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State { items: VecDeque::new(), closed: false, storing: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; `false` when the queue is full or closed. What passes the bound is taken although it is full.
    pub(crate) fn push(&self, item: T, when_full: WhenFull) -> bool {
        let mut state = self.lock();
        let full = when_full == WhenFull::Refuse && state.items.len() >= self.capacity;
        if state.closed || full {
            return false;
        }
        state.items.push_back(item);
        let wake = state.has_work();
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        true
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Waits for items and takes up to `most` of them; `None` once the queue is closed and empty.
    pub(crate) fn take(&self, most: usize) -> Option<Vec<T>> {
        let waiting = |state: &mut State<T>| !state.has_work() && !state.closed;
        let mut state = self.filled.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        Some(state.take(most)).filter(|items| !items.is_empty())
    }

    /// Takes up to `most` items, and waits for some while a batch is being stored. Says whether none is any more: then it is
    /// time to store what has been taken.
    pub(crate) fn take_while_storing(&self, most: usize) -> (Vec<T>, bool) {
        let waiting = |state: &mut State<T>| state.storing && (most == 0 || !state.has_work());
        let mut state = self.filled.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        (state.take(most), !state.storing)
    }

    /// A batch is being stored from here on.
    pub(crate) fn storing(&self) {
        self.lock().storing = true;
    }

    /// The batch is stored.
    pub(crate) fn stored(&self) {
        self.lock().storing = false;
        self.filled.notify_one();
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

    fn push<T>(queue: &Queue<T>, item: T) -> bool {
        queue.push(item, WhenFull::Refuse)
    }

    #[test]
    fn bounded_in_order_and_drained_after_closing() {
        let queue = Queue::new(3);
        assert!(push(&queue, 1) && push(&queue, 2) && push(&queue, 3));
        assert!(!push(&queue, 4));
        assert!(queue.push(4, WhenFull::Take));
        assert_eq!(queue.take(2), Some(vec![1, 2]));
        assert!(push(&queue, 5));
        queue.close();
        assert!(!push(&queue, 6) && !queue.push(6, WhenFull::Take));
        assert_eq!(queue.take(9), Some(vec![3, 4, 5]));
        assert_eq!(queue.take(9), None);
    }

    #[test]
    fn while_a_batch_is_being_stored_several_are_taken_together() {
        let queue = Queue::new(100);
        queue.storing();
        (0..TOGETHER).for_each(|n| assert!(push(&queue, n)));
        assert_eq!(queue.take_while_storing(3), (vec![0, 1, 2], false));
        push(&queue, TOGETHER);
        push(&queue, TOGETHER + 1);
        push(&queue, TOGETHER + 2);
        assert_eq!(queue.take_while_storing(99).0.len(), TOGETHER);
        push(&queue, 7);
        let stored = std::thread::scope(|scope| {
            // Neither room for none nor one item is enough: it waits for the end.
            let waiting = [scope.spawn(|| queue.take_while_storing(0))];
            queue.stored();
            waiting.map(|waiting| waiting.join().unwrap())
        });
        assert_eq!(stored, [(vec![], true)]);
        assert_eq!(queue.take_while_storing(99), (vec![7], true));
        assert_eq!(queue.take_while_storing(99), (vec![], true), "nothing to wait for");
    }

    #[test]
    fn closing_does_not_wait_for_more() {
        let queue = Queue::new(100);
        queue.storing();
        push(&queue, 1);
        queue.close();
        assert_eq!(queue.take(9), Some(vec![1]));
        assert_eq!(queue.take(9), None);
    }
}
