//! The [`Desk`] at which a task is done: where it finds the store, and where it prints.
//!
//! A task is done by the program that was called, which opens the store; or, when a server has the store open, by the server, at
//! whose desk the engine is the server's and what is printed goes over the socket (`socket.rs`).

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use dogwatch_store::{Engine, Progress};

use crate::failure::Failure;

/// Where a task finds the store, and where it prints.
pub(crate) struct Desk {
    /// The engine that has the store open already.
    served: Option<Engine>,
    /// For programs: lines of JSON.
    pub(crate) out: Box<dyn Write>,
    /// For people: text with colours, which are left out where nobody sees them.
    pub(crate) drawing: Box<dyn Write>,
    /// Told how much is done, and of what.
    progress: Box<dyn FnMut(u64, &'static str)>,
    /// Waits until whoever gave the task has what was printed.
    confirm: Box<dyn FnMut() -> io::Result<()>>,
}

impl Desk {
    /// That of the program that was called.
    pub(crate) fn own() -> Self {
        let mut teller = Teller::default();
        let progress = Box::new(move |done, what: &str| teller.tell(done, what));
        let (out, drawing) = (Box::new(io::stdout()), Box::new(anstream::stdout()));
        Self { served: None, out, drawing, progress, confirm: Box::new(|| Ok(())) }
    }

    /// That of a server, for somebody else.
    pub(crate) fn served(
        engine: Engine,
        out: Box<dyn Write>,
        drawing: Box<dyn Write>,
        progress: Box<dyn FnMut(u64, &'static str)>,
        confirm: Box<dyn FnMut() -> io::Result<()>>,
    ) -> Self {
        Self { served: Some(engine), out, drawing, progress, confirm }
    }

    /// The engine that has the store open already.
    pub(crate) fn engine_in_use(&self) -> Option<Engine> {
        self.served.clone()
    }

    /// The engine on a store that exists.
    pub(crate) fn engine(&self, data: &Path) -> Result<Engine, Failure> {
        self.served.clone().map_or_else(|| Ok(Engine::open_existing(data)?), Ok)
    }

    /// The engine on a store, which is made if it does not exist.
    pub(crate) fn engine_or_new(&self, data: &Path) -> Result<Engine, Failure> {
        self.served.clone().map_or_else(|| Ok(Engine::open(data)?), Ok)
    }

    /// Does what may take long, and tells how far it has come: a number, and `what` is counted.
    pub(crate) fn told<R>(&mut self, what: &'static str, work: impl FnOnce(&mut dyn Write, Progress<'_>) -> R) -> R {
        let Self { out, progress, .. } = self;
        work(out, &mut |done| progress(done, what))
    }

    /// Makes sure that what was printed has come to where it belongs.
    pub(crate) fn confirmed(&mut self) -> io::Result<()> {
        self.out.flush()?;
        (self.confirm)()
    }

    /// Prints one line of JSON, for programs.
    pub(crate) fn print(&mut self, line: &serde_json::Value) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{line}")?)
    }
}

/// Shows progress on standard error, at most every 500 ms and only on a terminal.
#[derive(Default)]
pub(crate) struct Teller {
    last: Option<Instant>,
    shown: bool,
}

impl Teller {
    pub(crate) fn tell(&mut self, done: u64, what: &str) {
        let last = *self.last.get_or_insert_with(Instant::now);
        if last.elapsed() > Duration::from_millis(500) && io::stderr().is_terminal() {
            // Progress that cannot be shown is not worth an error.
            let _ = write!(anstream::stderr().lock(), "\r{done} {what}");
            self.last = Some(Instant::now());
            self.shown = true;
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if self.shown {
            let _ = writeln!(anstream::stderr());
        }
    }
}
