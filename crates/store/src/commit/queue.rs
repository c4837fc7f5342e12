//! The [`Queue`] between callers and the writer: bounded, and fair.
//!
//! What time and delivery do comes first: users on call must be paged under overload, too. Then the organizations take turns, each with
//! what it handed in first. So one that hands in thousands of commands keeps the others waiting no longer than for one of them; nor
//! does it fill the queue: an eighth of the room is left for others.
//!
//! The writer waits here for two events: that work comes in, and that the batch before is stored. While a batch is being
//! stored, new work could not be stored yet, so the writer is woken for several items at once.

use dogwatch_core::OrgId;
use std::collections::{BTreeMap, VecDeque};

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The waiting items. When the queue is full, pushing fails at once instead of letting memory grow.
pub(crate) struct Queue<T> {
    state: Mutex<Waiting<T>>,
    filled: Condvar,
    capacity: usize,
}

/// Where an item waits, and what happens when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// It comes before all others, and is taken also when the queue is full.
    First,
    /// It waits with the others of an organization, or with those of none. When the queue is full, it is refused.
    Of(Option<OrgId>),
}

struct Waiting<T> {
    first: VecDeque<T>,
    /// What waits for each organization; none of them is empty.
    lanes: BTreeMap<Option<OrgId>, VecDeque<T>>,
    /// Those organizations, in the order of their turns.
    turns: VecDeque<Option<OrgId>>,
    /// The number of all items.
    len: usize,
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
        self.len >= if self.storing { TOGETHER } else { 1 }
    }

    fn put(&mut self, item: T, lane: Lane) {
        self.len = self.len.saturating_add(1);
        match lane {
            Lane::First => self.first.push_back(item),
            Lane::Of(organization) => {
                let items = self.lanes.entry(organization).or_default();
                if items.is_empty() {
                    self.turns.push_back(organization);
                }
                items.push_back(item);
            }
        }
    }

    fn take(&mut self, most: usize) -> Vec<T> {
        let mut taken = Vec::with_capacity(self.len.min(most));
        while taken.len() < most
            && let Some(item) = self.first.pop_front().or_else(|| self.next_turn())
        {
            taken.push(item);
        }
        self.len = self.len.saturating_sub(taken.len());
        taken
    }

    /// The next item of the organization whose turn it is.
    fn next_turn(&mut self) -> Option<T> {
        let organization = self.turns.pop_front()?;
        let items = self.lanes.get_mut(&organization)?;
        let item = items.pop_front();
        if items.is_empty() {
            self.lanes.remove(&organization);
        } else {
            self.turns.push_back(organization);
        }
        item
    }
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = Waiting {
            first: VecDeque::new(),
            lanes: BTreeMap::new(),
            turns: VecDeque::new(),
            len: 0,
            closed: false,
            storing: false,
            busy: false,
            alone: false,
        };
        Self { state: Mutex::new(state), filled: Condvar::new(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item; `false` when the queue is closed, or there is no room for it in its lane.
    pub(crate) fn push(&self, item: T, lane: Lane) -> bool {
        let mut state = self.lock();
        let full = match lane {
            Lane::First => false,
            Lane::Of(organization) => {
                let waiting = state.lanes.get(&organization).map_or(0, VecDeque::len);
                state.len >= self.capacity || waiting >= self.capacity.saturating_sub(self.capacity / 8)
            }
        };
        if state.closed || full {
            return false;
        }
        state.put(item, lane);
        let wake = state.has_work() && !state.alone;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        true
    }

    /// The number of items that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().len
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
        let free = state.len == 0 && !(state.closed || state.storing || state.busy || state.alone);
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
    use dogwatch_core::id::Id;

    fn push<T>(queue: &Queue<T>, item: T) -> bool {
        queue.push(item, Lane::Of(None))
    }

    #[test]
    fn organizations_take_turns_behind_what_comes_first() {
        let queue = Queue::new(16);
        let of = |organization: u8| Lane::Of(Some(OrgId::from_bytes([organization; 16])));
        let pushed: Vec<_> = (0..20).filter(|n| queue.push(*n, of(1))).collect();
        assert_eq!(pushed.len(), 14, "an eighth is left for others");
        assert!(queue.push(100, of(2)) && queue.push(101, of(2)) && !queue.push(200, of(3)), "it is full");
        assert!(queue.push(300, Lane::First) && queue.push(301, Lane::First));
        assert_eq!(queue.len(), 18);
        assert_eq!(queue.take(7), Some(vec![300, 301, 0, 100, 1, 101, 2]));
        assert!(queue.push(400, of(4)));
        assert_eq!(queue.take(3), Some(vec![3, 400, 4]));
        assert_eq!(queue.take(99), Some((5..14).collect()));
        assert_eq!(queue.len(), 0);
        assert!(queue.lock().lanes.is_empty() && queue.lock().turns.is_empty());
    }

    #[test]
    fn bounded_in_order_and_drained_after_closing() {
        let queue = Queue::new(3);
        assert!(push(&queue, 1) && push(&queue, 2) && push(&queue, 3));
        assert!(!push(&queue, 4));
        assert!(queue.push(0, Lane::First));
        assert_eq!(queue.take(3), Some(vec![0, 1, 2]));
        assert!(push(&queue, 5));
        queue.close();
        assert!(!push(&queue, 6) && !queue.push(6, Lane::First));
        assert_eq!(queue.take(9), Some(vec![3, 5]));
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
        let stored = crate::sync::thread::scope(|scope| {
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
        crate::sync::thread::scope(|scope| {
            let writer = scope.spawn(|| queue.take(9));
            queue.stored();
            // The writer waits for more.
            while !queue.begin_alone() {
                crate::sync::thread::yield_now();
            }
            assert!(!queue.begin_alone(), "somebody does already");
            push(&queue, 2);
            crate::sync::thread::sleep(std::time::Duration::from_millis(5));
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
