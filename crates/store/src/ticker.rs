//! The [`Ticker`]: a thread that calls [`Engine::tick`] when an escalation run is due.
//!
//! It sleeps until the next timer is due or the next lease of a notification ends, 10 seconds at most, and is woken when a
//! commit sets an earlier deadline. It ends by itself only when storage fails.

use dogwatch_core::Timestamp;
use dogwatch_core::outbox::DeliveryPort;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::commit::pending;
use crate::engine::Engine;
use crate::error::{Error, OpenError};

/// The longest sleep. It bounds how late a clock that was set forward is noticed.
const LONGEST_NAP: Duration = Duration::from_secs(10);
/// The wait before a failed tick or read is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A running ticker: see [`Engine::start_ticker`]. It stops when it is dropped, which blocks until a tick that is under way is
/// finished. It holds a clone of the engine.
#[must_use = "the ticker stops when it is dropped"]
#[derive(Debug)]
pub struct Ticker {
    engine: Engine,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Engine {
    /// Starts a thread that calls [`Engine::tick`] whenever a run is due, until the ticker is stopped or dropped.
    ///
    /// It sleeps until the next deadline and wakes when an earlier one appears. A clock that is set forward is noticed
    /// within ten seconds. One ticker is enough; more do no harm.
    ///
    /// # Errors
    /// [`OpenError::Thread`] when the thread cannot be started.
    pub fn start_ticker(&self) -> Result<Ticker, OpenError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (self.clone(), Arc::clone(&stop));
        let run = move || run(&engine, &stopped);
        let thread = thread::Builder::new().name("dogwatch-ticker".to_owned()).spawn(run).map_err(OpenError::Thread)?;
        Ok(Ticker { engine: self.clone(), stop, thread: Some(thread) })
    }
}

impl Ticker {
    /// Stops the ticker; a tick that is under way is finished first.
    ///
    /// # Errors
    /// What made the ticker end by itself: storage that failed.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    /// Whether the ticker still runs. It ends by itself only when storage fails and the engine must be opened again.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.stop.store(true, Ordering::Release);
        self.engine.deadlines().raise();
        // The thread waits for the engine now and then: one of the engine's threads must not wait for it.
        if pending::makes_answers() {
            return Ok(());
        }
        thread.join().unwrap_or(Err(Error::OutcomeUnknown))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // The error with which the thread ended is given by `stop` only.
        let _ = self.end();
    }
}

fn run(engine: &Engine, stop: &AtomicBool) -> Result<(), Error> {
    let mut lease_end = None;
    loop {
        // The count is read before the deadlines: a commit in between then cuts the sleep short.
        let seen = engine.deadlines().count();
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        match turn(engine, &mut lease_end) {
            Ok(nap) => engine.deadlines().wait(seen, nap),
            Err(error) if error.ends_engine() => return Err(error),
            Err(_) => engine.deadlines().wait(seen, RETRY),
        }
    }
}

/// Fires the runs that are due, wakes those who wait for notifications when a lease has ended, and gives how long to sleep.
fn turn(engine: &Engine, lease_end: &mut Option<Timestamp>) -> Result<Duration, Error> {
    let now = engine.now();
    if lease_end.take_if(|end| *end <= now).is_some() {
        engine.deadlines().raise();
    }
    *lease_end = engine.read(|state| state.next_ready(now))?;
    if engine.next_deadline()?.is_some_and(|due| due <= now) {
        let ticked = engine.tick(now)?;
        // What goes on in parts does not wait for what cannot go on.
        if ticked.failed > 0 && ticked.fired == 0 {
            return Ok(RETRY);
        }
    }
    let nap = |at| engine.real_time_until(at);
    let deadlines = [engine.next_deadline()?, *lease_end];
    Ok(deadlines.into_iter().flatten().map(nap).fold(LONGEST_NAP, Duration::min))
}
