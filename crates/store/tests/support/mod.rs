//! What tests of the engine share: a backend that can be held up and made to fail, an executor, and what a child that may
//! be killed says.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{BufRead, Write};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use dogwatch_core::Actor;
use dogwatch_core::incident::{ListIncidents, ListLimit};
use dogwatch_store::Engine;
use dogwatch_store::backend::{Backend, BackendError, Batch, MemoryBackend, Scan};

/// A backend with a gate in front of `make_durable`, and a switch that makes it fail.
#[derive(Clone, Default)]
pub(crate) struct Gated {
    pub(crate) inner: MemoryBackend,
    pub(crate) state: Arc<Gate>,
}

#[derive(Default)]
pub(crate) struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
    batches: AtomicUsize,
    pub(crate) fail_apply: AtomicBool,
    pub(crate) fail_durable: AtomicBool,
    pub(crate) panic_durable: AtomicBool,
}

impl Gated {
    /// Closes the gate until the guard is dropped, so that a test that fails does not leave the writer waiting.
    #[must_use]
    pub(crate) fn close(&self) -> Closed {
        *self.state.closed.lock().unwrap() = true;
        Closed(Arc::clone(&self.state))
    }

    pub(crate) fn until_waiting(&self) {
        while self.state.waiting.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
    }

    pub(crate) fn batches(&self) -> usize {
        self.state.batches.load(Ordering::SeqCst)
    }
}

pub(crate) struct Closed(Arc<Gate>);

impl Drop for Closed {
    fn drop(&mut self) {
        *self.0.closed.lock().unwrap() = false;
        self.0.opened.notify_all();
    }
}

impl Backend for Gated {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.inner.get(key)
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a> {
        self.inner.scan(start, end)
    }

    fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
        if self.state.fail_apply.load(Ordering::SeqCst) {
            return Err(BackendError::new("applying a batch", "the disk is gone"));
        }
        self.state.batches.fetch_add(1, Ordering::SeqCst);
        self.inner.apply(batch)
    }

    fn make_durable(&self) -> Result<(), BackendError> {
        self.state.waiting.fetch_add(1, Ordering::SeqCst);
        let closed = self.state.closed.lock().unwrap();
        drop(self.state.opened.wait_while(closed, |closed| *closed).unwrap());
        self.state.waiting.fetch_sub(1, Ordering::SeqCst);
        assert!(!self.state.panic_durable.load(Ordering::SeqCst), "on purpose");
        if self.state.fail_durable.load(Ordering::SeqCst) {
            return Err(BackendError::new("syncing", "the disk is gone"));
        }
        self.inner.make_durable()
    }
}

/// The smallest executor there is.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// The child says that an incident was acknowledged.
pub(crate) fn acknowledge(number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {number}").unwrap();
    out.flush().unwrap();
}

/// What a child said was acknowledged.
pub(crate) fn acknowledged(out: impl BufRead) -> BTreeSet<u64> {
    // The last line may be cut in half by a kill; a half line has no number, or a shorter one that exists too. The first may
    // stand behind what the test harness says.
    let lines = out.lines().map_while(Result::ok);
    lines.filter_map(|line| line.rsplit_once("ack ")?.1.parse().ok()).collect()
}

/// The numbers of all incidents.
pub(crate) fn numbers(engine: &Engine, actor: &Actor) -> BTreeSet<u64> {
    let mut query = ListIncidents { limit: ListLimit::MAX, ..Default::default() };
    let mut numbers = BTreeSet::new();
    loop {
        let page = engine.query(&query, actor).unwrap();
        numbers.extend(page.incidents.iter().map(|incident| incident.sequential_id));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return numbers,
        }
    }
}
