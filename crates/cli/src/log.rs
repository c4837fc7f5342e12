//! The log of `dogwatch serve`: lines on stderr, which a thread of its own writes.
//!
//! Nobody waits for it. When whoever reads stderr is slow, up to 16,384 lines wait; those beyond are dropped and counted. A
//! request is answered whether or not its line was written. When nobody reads stderr any more, nothing is written.
//!
//! The first line is written at once, and those that come in the next milliseconds together: waking a thread for each would cost more than
//! all the rest.

use std::io::{self, IsTerminal, Write, stderr};
use std::thread::sleep;
use std::time::Duration;

use crate::cli::LogFormat;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt;

/// The most lines that wait to be written.
const MOST_LINES: usize = 16_384;

/// How long lines wait for others to be written with.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// The most bytes that are written at once.
const GATHERED: usize = 64 << 10;

/// Writes many lines at once. It is flushed when no more lines wait.
struct Gathering<W> {
    lines: Vec<u8>,
    out: W,
}

impl<W: Write> Gathering<W> {
    /// Writes what there is. What cannot be written is dropped: there is nobody to tell.
    fn pass_on(&mut self) {
        let _ = self.out.write_all(&self.lines).and_then(|()| self.out.flush());
        self.lines.clear();
    }
}

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.extend_from_slice(line);
        if self.lines.len() >= GATHERED {
            self.pass_on();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on();
        sleep(GATHERED_FOR);
        Ok(())
    }
}

/// The log, for as long as it is kept. Dropping it writes what waits, for a second at most.
pub(crate) struct Log {
    _writes: WorkerGuard,
    dropped: ErrorCounter,
}

impl Log {
    /// Begins to log the lines that a filter lets pass. When the process has a subscriber already, that one goes on logging.
    pub(crate) fn start(filter: Targets, format: LogFormat) -> Self {
        let gathering = Gathering { lines: Vec::with_capacity(GATHERED), out: stderr() };
        let (writer, guard) =
            NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MOST_LINES).finish(gathering);
        let dropped = writer.error_counter();
        let lines = layer().with_writer(writer);
        let lines = match format {
            LogFormat::Text => lines.with_ansi(stderr().is_terminal()).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        };
        let _ = registry().with(lines.with_filter(filter)).try_init();
        // What panics says so in the log: writing to stderr could block.
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked")));
        Self { _writes: guard, dropped }
    }

    /// Reads the number of lines that were dropped.
    pub(crate) fn dropped(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let dropped = self.dropped.clone();
        move || u64::try_from(dropped.dropped_lines()).unwrap_or(u64::MAX)
    }
}
