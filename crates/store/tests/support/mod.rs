//! What tests of the engine share: a journal that can be held up and made to fail, an executor, and what a child that may
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
use std::time::Duration;

use dogwatch_core::incident::{ListIncidents, ListLimit};
use dogwatch_core::{Actor, Timestamp};
use dogwatch_store::backend::{BackendError, MemoryBackend};
use dogwatch_store::journal::{AppendError, Head, Journal, MemoryJournal, Position, Reading, Rows};
use dogwatch_store::{Engine, EngineBuilder};

/// A journal with a gate in front of its sync, and switches that make it fail; and a backend to go with it.
#[derive(Clone, Default)]
pub(crate) struct Gated {
    pub(crate) inner: MemoryBackend,
    journal: MemoryJournal,
    pub(crate) state: Arc<Gate>,
}

#[derive(Default)]
pub(crate) struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
    batches: AtomicUsize,
    /// Nothing is written.
    pub(crate) fail_write: AtomicBool,
    /// What is written is there, and nobody is told.
    pub(crate) fail_sync: AtomicBool,
    pub(crate) panic_sync: AtomicBool,
    /// Every write takes 50 ms.
    pub(crate) slow: AtomicBool,
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

impl Gated {
    /// Opens an engine on it.
    pub(crate) fn open(&self, builder: EngineBuilder) -> Engine {
        builder.with_storage(self.inner.clone(), self.clone()).unwrap()
    }
}

impl Journal for Gated {
    fn last(&self) -> Result<Head, BackendError> {
        self.journal.last()
    }

    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        let gone = || AppendError::Unknown(BackendError::new("syncing", "the disk is gone"));
        if self.state.fail_write.load(Ordering::SeqCst) {
            return Err(gone());
        }
        self.state.batches.fetch_add(1, Ordering::SeqCst);
        self.state.waiting.fetch_add(1, Ordering::SeqCst);
        let closed = self.state.closed.lock().unwrap();
        drop(self.state.opened.wait_while(closed, |closed| *closed).unwrap());
        self.state.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.state.slow.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(50));
        }
        assert!(!self.state.panic_sync.load(Ordering::SeqCst), "on purpose");
        let head = self.journal.append(term, after, at, rows)?;
        if self.state.fail_sync.load(Ordering::SeqCst) { Err(gone()) } else { Ok(head) }
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        self.journal.read(from, most)
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        self.journal.head_at(position)
    }

    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError> {
        self.journal.kept_for(from, up_to)
    }

    fn size(&self) -> Result<u64, BackendError> {
        self.journal.size()
    }

    fn forget(&self, up_to: Position) -> Result<(), BackendError> {
        self.journal.forget(up_to)
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
