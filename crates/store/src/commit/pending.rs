//! The answer to a submitted command: the caller's end ([`Pending`]), which is a future and can also be waited for by a
//! thread, and the engine's end ([`Promise`]).

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dogwatch_core::Error as Refusal;

use crate::error::Error;
use crate::sync::{Arc, Condvar, Mutex, PoisonError};

crate::sync::thread_local! {
    /// Whether this is a thread on which answers are made: were it to wait for one, nobody would make it.
    static MAKES_ANSWERS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is a thread on which answers are made.
pub(crate) fn makes_answers() -> bool {
    MAKES_ANSWERS.with(Cell::get)
}

/// Refuses a thread on which answers are made, before it asks for one and waits.
pub(crate) fn may_wait() -> Result<(), Error> {
    if makes_answers() {
        return Err(Refusal::broken("a thread of the engine waited for the engine, which waits for it").into());
    }
    Ok(())
}

/// From here on this thread is refused when it waits for an answer: it makes them.
pub(crate) fn never_wait_here() {
    MAKES_ANSWERS.with(|makes| makes.set(true));
}

/// Makes answers on this thread meanwhile, which is refused when it waits for another one.
pub(crate) fn never_wait_within<R>(make: impl FnOnce() -> R) -> R {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            MAKES_ANSWERS.with(|makes| makes.set(self.0));
        }
    }
    let _back = Back(MAKES_ANSWERS.with(|makes| makes.replace(true)));
    make()
}

enum Slot<R> {
    Waiting(Option<Waker>),
    Answered(Result<R, Error>),
    Taken,
}

struct Answered<R> {
    slot: Mutex<Slot<R>>,
    answered: Condvar,
}

/// The pending answer to a submitted command.
///
/// It can be waited for ([`Pending::wait`]) or awaited: it is a [`Future`] that needs no particular executor. The command
/// happens whether or not anybody waits for its answer: dropping it, as a time-out of an executor does, takes nothing back. Whoever
/// does not wait for the answer does not know the outcome; the command may still happen.
///
/// ```
/// use dogwatch_store::rules::Actor;
/// use dogwatch_store::rules::organization::CreateOrganization;
/// use dogwatch_store::Engine;
/// # let engine = Engine::in_memory()?;
/// # let create = |name: &str| Ok::<_, dogwatch_store::rules::Problem>(CreateOrganization::new(name.parse()?, "ada@example.com".parse()?, "Ada".parse()?, "Byron".parse()?));
/// // Both are submitted before either is waited for; one sync of the disk may do for both.
/// let first = engine.submit(create("Harbour")?, &Actor::Operator)?;
/// let second = engine.submit(create("Quay")?, &Actor::Operator)?;
/// first.wait()?;
/// second.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the answer says whether the command happened"]
pub struct Pending<R> {
    shared: Arc<Answered<R>>,
}

/// The engine's end of an answer: it answers once, and with `outcome_unknown` when it is dropped unanswered.
pub(crate) struct Promise<R> {
    shared: Option<Arc<Answered<R>>>,
}

pub(crate) fn pending<R>() -> (Promise<R>, Pending<R>) {
    let shared = Arc::new(Answered { slot: Mutex::new(Slot::Waiting(None)), answered: Condvar::new() });
    (Promise { shared: Some(Arc::clone(&shared)) }, Pending { shared })
}

impl<R> Promise<R> {
    /// Whether anybody holds the other end.
    pub(crate) fn is_awaited(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| Arc::strong_count(shared) > 1)
    }

    pub(crate) fn answer(mut self, answer: Result<R, Error>) {
        self.fulfil(answer);
    }

    fn fulfil(&mut self, answer: Result<R, Error>) {
        let Some(shared) = self.shared.take() else { return };
        let mut slot = shared.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *slot, Slot::Answered(answer));
        drop(slot);
        shared.answered.notify_one();
        if let Slot::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        self.fulfil(Err(Error::OutcomeUnknown));
    }
}

impl<R> Pending<R> {
    /// Blocks until the command is decided and durable.
    ///
    /// # Errors
    /// Those of the command; `outcome_unknown` when storage failed during the commit; `internal_error` on a thread of the
    /// engine, such as inside of a [transaction](crate::Engine::transact), which would wait for itself.
    pub fn wait(self) -> Result<R, Error> {
        may_wait()?;
        let slot = self.shared.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |slot: &mut Slot<R>| matches!(slot, Slot::Waiting(_));
        let mut slot = self.shared.answered.wait_while(slot, waiting).unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Taken) {
            Slot::Answered(answer) => answer,
            // The future was polled to its end before it was waited for: the answer was taken.
            Slot::Waiting(_) | Slot::Taken => Err(Error::OutcomeUnknown),
        }
    }
}

impl<R> Pending<R> {
    /// Blocks as [`Pending::wait`] does, for `most` at the longest; gives the pending answer back when it has not come by then.
    ///
    /// The command is not taken back: it may still happen. So a time-out says nothing about the outcome, and whoever stops waiting
    /// should look before trying again, or submit under an idempotency key ([`Engine::submit_once`](crate::Engine::submit_once)).
    ///
    /// # Errors
    /// The pending answer itself, when it has not come. With the answer, as [`Pending::wait`].
    pub fn wait_timeout(self, most: Duration) -> Result<Result<R, Error>, Self> {
        if !MAKES_ANSWERS.with(Cell::get) {
            let slot = self.shared.slot.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = |slot: &mut Slot<R>| matches!(slot, Slot::Waiting(_));
            let waited = self.shared.answered.wait_timeout_while(slot, most, waiting);
            let (slot, late) = waited.unwrap_or_else(PoisonError::into_inner);
            drop(slot);
            if late.timed_out() {
                return Err(self);
            }
        }
        Ok(self.wait())
    }
}

impl<R> Future for Pending<R> {
    type Output = Result<R, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let mut slot = self.shared.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Taken) {
            Slot::Answered(answer) => Poll::Ready(answer),
            Slot::Waiting(before) => {
                *slot = Slot::Waiting(Some(waker));
                drop(slot);
                // Dropped after the lock: a waker may hold the last handle of the engine, whose drop waits for this answer.
                drop(before);
                Poll::Pending
            }
            Slot::Taken => Poll::Ready(Err(Error::OutcomeUnknown)),
        }
    }
}

impl<R> std::fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::{AtomicUsize, Ordering};
    use crate::sync::thread;
    use std::task::Wake;

    #[test]
    fn waits_for_an_answer_from_another_thread() {
        let (promise, pending) = pending();
        let thread = thread::spawn(move || pending.wait());
        promise.answer(Ok(7));
        assert_eq!(thread.join().unwrap().unwrap(), 7);
    }

    #[test]
    fn an_abandoned_promise_says_that_the_outcome_is_unknown() {
        let (promise, pending) = pending::<()>();
        drop(promise);
        assert!(matches!(pending.wait(), Err(Error::OutcomeUnknown)));
    }

    #[test]
    fn wakes_whoever_polled_last() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (promise, mut pending) = pending();
        let (first, last) = (Arc::new(Count(AtomicUsize::new(0))), Arc::new(Count(AtomicUsize::new(0))));
        for count in [&first, &last] {
            let waker = Waker::from(Arc::clone(count));
            assert!(Pin::new(&mut pending).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        promise.answer(Ok(1));
        assert_eq!((first.0.load(Ordering::SeqCst), last.0.load(Ordering::SeqCst)), (0, 1));
        let answer = Pin::new(&mut pending).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answer, Poll::Ready(Ok(1))));
    }
}
