//! The log of `dogwatch serve`: lines on stderr, which a thread of its own writes.
//!
//! Nobody waits for it. When whoever reads stderr is slow, lines of up to 4 MiB wait; those beyond are dropped and counted. A
//! request is answered whether or not its line was written. When nobody reads stderr any more, nothing is written.
//!
//! The first line is written at once, and those that come in the next milliseconds together: waking a thread for each would cost more than
//! all the rest. So would to pass each on by itself: they are put behind one another where they wait.

use std::fmt;
use std::io::{self, IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, sleep};
use std::time::Duration;

use crate::cli::LogFormat;
use dogwatch_store::{Clock as _, SystemClock};
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt;

/// The most bytes of lines that wait to be written.
const MOST_WAITING: usize = 4 << 20;
/// How long lines wait for others to be written with.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// How long the end of the log waits for lines to be written.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Lines that wait to be written.
#[derive(Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    /// There is a first line, or the end of the log.
    came: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Whether the log has ended.
    ended: bool,
}

/// What a line is written to: each is one call.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.waiting();
        if waiting.lines.len().saturating_add(line.len()) > MOST_WAITING {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.came.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the lines that wait into `lines`, once there are some. Whether there may be more later.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let nothing = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.ended;
        let waiting = self.came.wait_while(self.waiting(), nothing);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        lines.clear();
        std::mem::swap(&mut waiting.lines, lines);
        !waiting.ended
    }

    /// Writes lines until the log ends. What cannot be written is dropped: there is nobody to tell.
    fn write_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let goes_on = self.take(&mut lines);
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            if !goes_on {
                return;
            }
            sleep(GATHERED_FOR);
        }
    }
}

/// The time of a line, as it is in answers: in UTC, to the millisecond.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        write!(line, "{}", SystemClock.now())
    }
}

/// Writes a field as it is in a line without colours. The layer itself would do it through the colours that it leaves out, which costs more
/// than all that it writes.
fn write_field(line: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    // Where a line of another library comes from is written already.
    if field.name().starts_with("log.") {
        return Ok(());
    }
    if field.name() != "message" {
        line.write_str(field.name())?;
        line.write_char('=')?;
    }
    write!(line, "{value:?}")
}

/// The log, for as long as it is kept. Dropping it writes what waits, for a second at most.
pub(crate) struct Log {
    lines: Arc<Lines>,
    /// Says that all lines are written.
    written: Receiver<()>,
}

impl Log {
    /// Begins to log the lines that a filter lets pass. When the process has a subscriber already, that one goes on logging.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub(crate) fn start(filter: Targets, format: LogFormat) -> io::Result<Self> {
        let lines = Arc::new(Lines::default());
        let (say, written) = channel();
        let to_write = Arc::clone(&lines);
        let write = move || {
            to_write.write_to(stderr());
            let _ = say.send(());
        };
        Builder::new().name("dogwatch-log".to_owned()).spawn(write)?;
        let log = Self { lines: Arc::clone(&lines), written };
        let lines = layer().with_timer(Clock).with_writer(lines);
        let lines = match format {
            LogFormat::Text if stderr().is_terminal() => lines.boxed(),
            LogFormat::Text => lines.with_ansi(false).fmt_fields(debug_fn(write_field).delimited(" ")).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        };
        let _ = registry().with(filter).with(lines).try_init();
        // What panics says so in the log: writing to stderr could block.
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked")));
        Ok(log)
    }

    /// Reads the number of lines that were dropped.
    pub(crate) fn dropped(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let lines = Arc::clone(&self.lines);
        move || lines.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.waiting().ended = true;
        self.lines.came.notify_one();
        // Whoever reads stderr may never read on.
        let _ = self.written.recv_timeout(LAST_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_in_order_and_those_that_find_no_room_are_counted() {
        let lines = Lines::default();
        let line = [b'x'; 1 << 10];
        (0..5_000).for_each(|_| (&lines).write_all(&line).unwrap());
        assert_eq!(lines.dropped.load(Ordering::Relaxed), 5_000 - 4_096);
        let mut taken = Vec::new();
        assert!(lines.take(&mut taken));
        assert_eq!(taken.len(), MOST_WAITING);
        (&lines).write_all(b"first\n").unwrap();
        (&lines).write_all(b"second\n").unwrap();
        lines.waiting().ended = true;
        let mut out = Vec::new();
        lines.write_to(&mut out);
        assert_eq!(out, b"first\nsecond\n");
    }
}
