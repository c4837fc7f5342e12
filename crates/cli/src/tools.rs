//! Tools for the operator of a store: verify, export, import, backup, compact, stats.
//!
//! What programs read goes to standard output, progress to standard error, and only when that is a terminal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::time::{Duration, Instant};

use dogwatch_store::journal::{NotAPosition, Position};
use dogwatch_store::rules::text::Name;
use dogwatch_store::rules::{Error as Refusal, Problem, Timestamp};
use dogwatch_store::{Engine, Progress, ReadOnly, Until, import as read_export, restore as restore_backup};
use serde_json::json;

use crate::cli::{BackupArgs, ChangesArgs, CopyArgs, ExportArgs, ImportArgs, RestoreArgs, VerifyArgs};
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
pub(crate) fn backup(args: &BackupArgs) -> Result<(), Failure> {
    let BackupArgs { copy: CopyArgs { data, to }, incremental } = args;
    if *incremental {
        let engine = Engine::open_existing(data)?;
        let added = told("rows and commits copied", |progress| engine.backup_increment(to, progress))?;
        let position = added.position.to_string();
        return print(&json!({ "rows": added.rows, "commits": added.commits, "position": position }));
    }
    let copied = told("rows copied", |progress| ReadOnly::open(data)?.backup(to, progress))?;
    print(&json!({ "rows": copied.rows, "bytes": copied.bytes_after }))
}

/// `dogwatch restore`
pub(crate) fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    let until = match args.at.as_deref() {
        None => Until::Last,
        Some(text) => match text.parse::<Timestamp>() {
            Ok(time) => Until::Time(time),
            Err(_) => Until::Position(position("--at", text)?),
        },
    };
    let restored = told("rows and commits read", |progress| restore_backup(&args.from, &args.to, until, progress))?;
    print(&json!({
        "rows": restored.rows, "commits": restored.commits, "position": restored.position.to_string(),
        "at": restored.at.map(|at| at.to_string()),
    }))
}

/// `dogwatch changes`
pub(crate) fn changes(args: &ChangesArgs) -> Result<(), Failure> {
    let from = args.from.as_deref().map(|text| position("--from", text)).transpose()?;
    let out = &mut io::stdout().lock();
    let Some(name) = &args.bookmark else {
        let from = from.unwrap_or_default();
        return Ok(ReadOnly::open(&args.data)?.changes(from, out, &mut |_| ()).map(|_| ())?);
    };
    let name: Name = name.parse().map_err(|why: Problem| Refusal::invalid("--bookmark", why.to_string()))?;
    let engine = Engine::open_existing(&args.data)?;
    let kept = engine.bookmarks()?.into_iter().find(|(other, _)| *other == name).map(|(_, position)| position);
    // A new bookmark begins now: the journal may have forgotten what was before.
    let from = from.or(kept).unwrap_or_else(|| engine.head().position);
    let last = engine.changes(from, out, &mut |_| ())?;
    if kept == Some(last) { Ok(()) } else { Ok(engine.bookmark(&name, last)?) }
}

/// Reads the position that an argument gives.
fn position(argument: &'static str, text: &str) -> Result<Position, Failure> {
    text.parse().map_err(|why: NotAPosition| Refusal::invalid(argument, why.to_string()).into())
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
