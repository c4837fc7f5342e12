//! The [`Queue`] between callers and the writer: bounded, first in, first out.
//!
//! The writer waits here for two events: that work comes in, and that the batch before is stored. While a batch is being
//! stored, new work could not be stored yet, so the writer is woken for several items at once.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The waiting items. When the queue is full, pushing fails at once instead of letting memory grow.
pub(crate) struct Queue<T> {
    state: Mutex<Waiting<T>>,
    filled: Condvar,
    capacity: usize,
}

/// What happens to an item when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// The item is refused.
    Refuse,
    /// The item is taken all the same: users on call must be paged under overload, too.
    Take,
}

struct Waiting<T> {
    items: VecDeque<T>,
    closed: bool,
    /// Whether a batch is being stored.
    storing: bool,
    /// Whether the writer has taken items that it has not stored or handed on.
    busy: bool,
    /// Whether somebody works without the queue: see [`Queue::begin_alone`].
    alone: bool,
}

/// The number of items from which on the writer is woken while a batch is being stored.
const TOGETHER: usize = 8;

impl<T> Waiting<T> {
    /// Whether enough items wait for the writer to be woken.
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
        let state = Waiting { items: VecDeque::new(), closed: false, storing: false, busy: false, alone: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; `false` when the queue is closed, or full and the item is one to [refuse](WhenFull::Refuse).
    pub(crate) fn push(&self, item: T, when_full: WhenFull) -> bool {
        let mut state = self.lock();
        let full = when_full == WhenFull::Refuse && state.items.len() >= self.capacity;
        if state.closed || full {
            return false;
        }
        state.items.push_back(item);
        let wake = state.has_work() && !state.alone;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        true
    }

    /// The number of items that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Waits for items and takes up to `most` of them; `None` once the queue is closed and empty.
    pub(crate) fn take(&self, most: usize) -> Option<Vec<T>> {
        let waiting = |state: &mut Waiting<T>| state.alone || (!state.has_work() && !state.closed);
        let mut state = self.lock();
        state.busy = false;
        let mut state = self.filled.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner);
        let items = state.take(most);
        state.busy = !items.is_empty();
        Some(items).filter(|items| !items.is_empty())
    }

    /// Takes up to `most` items; while a batch is being stored, waits for some. The flag is `true` when no batch is being
    /// stored any more, so that what has been taken can be stored next.
    pub(crate) fn take_while_storing(&self, most: usize) -> (Vec<T>, bool) {
        let waiting = |state: &mut Waiting<T>| state.storing && (most == 0 || !state.has_work());
        let mut state = self.filled.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        (state.take(most), !state.storing)
    }

    /// Begins to work without the queue, if no items wait, none are being worked on, and no batch is being stored. Until
    /// [`Queue::end_alone`], items wait. So what is done in between has its place in the order like an item.
    pub(crate) fn begin_alone(&self) -> bool {
        let mut state = self.lock();
        let free = state.items.is_empty() && !(state.closed || state.storing || state.busy || state.alone);
        state.alone |= free;
        free
    }

    /// Ends what [`Queue::begin_alone`] began.
    pub(crate) fn end_alone(&self) {
        let mut state = self.lock();
        state.alone = false;
        let wake = state.has_work() || state.closed;
        drop(state);
        if wake {
            self.filled.notify_all();
        }
    }

    /// Notes that a batch is being stored from here on.
    pub(crate) fn storing(&self) {
        self.lock().storing = true;
    }

    /// Notes that the batch is stored, and wakes the writer.
    pub(crate) fn stored(&self) {
        self.lock().storing = false;
        self.filled.notify_one();
    }

    /// Closes the queue: no more items can be added; those that wait can still be taken.
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
            // Without room for items, it waits until the batch is stored, although an item waits.
            let waiting = [scope.spawn(|| queue.take_while_storing(0))];
            queue.stored();
            waiting.map(|waiting| waiting.join().unwrap())
        });
        assert_eq!(stored, [(vec![], true)]);
        assert_eq!(queue.take_while_storing(99), (vec![7], true));
        assert_eq!(queue.take_while_storing(99), (vec![], true), "nothing to wait for");
    }

    #[test]
    fn alone_only_when_there_is_nothing_else() {
        let queue = Queue::new(100);
        let tried = || {
            let begun = queue.begin_alone();
            if begun {
                queue.end_alone();
            }
            begun
        };
        assert!(tried());
        push(&queue, 1);
        assert!(!tried(), "an item waits");
        assert_eq!(queue.take(9), Some(vec![1]));
        assert!(!tried(), "it is being worked on");
        queue.storing();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| queue.take(9));
            queue.stored();
            // The writer waits for more.
            while !queue.begin_alone() {
                std::thread::yield_now();
            }
            assert!(!queue.begin_alone(), "somebody does already");
            push(&queue, 2);
            std::thread::sleep(std::time::Duration::from_millis(5));
            assert_eq!(queue.len(), 1, "it waits");
            queue.end_alone();
            assert_eq!(writer.join().unwrap(), Some(vec![2]));
        });
        queue.close();
        assert!(!tried());
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
