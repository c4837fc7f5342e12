//! Tools for the operator of a store: verify, export, import, backup, compact, stats.
//!
//! What programs read goes to standard output, progress to standard error, and only when that is a terminal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::time::{Duration, Instant};

use dogwatch_store::rules::Timestamp;
use dogwatch_store::{Progress, ReadOnly, import as read_export};
use serde_json::json;

use crate::cli::{CopyArgs, ExportArgs, ImportArgs, VerifyArgs};
use crate::failure::Failure;
use crate::look::print;

/// Shows the progress of a tool on standard error, at most every 500 ms and only on a terminal.
struct Teller {
    what: &'static str,
    last: Instant,
    shown: bool,
}

impl Teller {
    fn tell(&mut self, done: u64) {
        let stderr = anstream::stderr();
        if self.last.elapsed() > Duration::from_millis(500) && io::stderr().is_terminal() {
            // Progress that cannot be shown is not worth an error.
            let _ = write!(stderr.lock(), "\r{done} {}", self.what);
            self.last = Instant::now();
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

/// Runs a tool that may take long, and shows its progress: a number, and `what` is counted.
fn told<R>(what: &'static str, work: impl FnOnce(Progress<'_>) -> R) -> R {
    let mut teller = Teller { what, last: Instant::now(), shown: false };
    work(&mut |done| teller.tell(done))
}

/// `dogwatch verify`
pub(crate) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let store = ReadOnly::open(&args.data)?;
    let report = told("rows verified", |progress| store.verify(progress));
    for finding in &report.findings {
        print(&json!({ "table": finding.table, "key": finding.key, "problem": finding.what }))?;
    }
    print(&json!({ "rows": report.rows, "things": report.things, "findings": report.found }))?;
    if report.is_clean() { Ok(()) } else { Err(Failure::Findings(report.found)) }
}

/// `dogwatch export`
pub(crate) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let store = ReadOnly::open(&args.data)?;
    match &args.to {
        None => told("rows exported", |progress| store.export(&mut io::stdout().lock(), progress))?,
        Some(path) => {
            let mut file = File::create_new(path).map_err(Failure::file(path))?;
            let lines = told("rows exported", |progress| store.export(&mut file, progress))?;
            file.sync_all().map_err(Failure::file(path))?;
            lines
        }
    };
    Ok(())
}

/// `dogwatch import`
pub(crate) fn import(args: &ImportArgs) -> Result<(), Failure> {
    let mut input: Box<dyn BufRead> = match &args.from {
        None => Box::new(io::stdin().lock()),
        Some(path) => Box::new(BufReader::new(File::open(path).map_err(Failure::file(path))?)),
    };
    let things = told("things imported", |progress| read_export(&mut *input, &args.data, progress))?;
    print(&json!({ "things": things }))
}

/// `dogwatch backup`
pub(crate) fn backup(args: &CopyArgs) -> Result<(), Failure> {
    let store = ReadOnly::open(&args.data)?;
    let copied = told("rows copied", |progress| store.backup(&args.to, progress))?;
    print(&json!({ "rows": copied.rows, "bytes": copied.bytes_after }))
}

/// `dogwatch compact`
pub(crate) fn compact(args: &CopyArgs) -> Result<(), Failure> {
    let store = ReadOnly::open(&args.data)?;
    let copied = told("rows rewritten", |progress| store.compact(&args.to, progress))?;
    let won = copied.bytes_before.zip(copied.bytes_after).map(|(before, after)| before.saturating_sub(after));
    print(&json!({
        "rows": copied.rows, "bytesBefore": copied.bytes_before, "bytesAfter": copied.bytes_after, "bytesWon": won,
    }))
}

/// `dogwatch stats`
pub(crate) fn stats(args: &VerifyArgs) -> Result<(), Failure> {
    let stats = ReadOnly::open(&args.data)?.stats()?;
    for table in &stats.tables {
        print(&json!({
            "table": table.name, "rows": table.rows, "keyBytes": table.key_bytes, "valueBytes": table.value_bytes,
        }))?;
    }
    let shown = |at: Option<Timestamp>| at.map(|at| at.to_string());
    print(&json!({
        "format": stats.format,
        "bytesOnDisk": stats.bytes_on_disk,
        "oldestIncident": shown(stats.oldest_incident),
        "newestIncident": shown(stats.newest_incident),
    }))
}
