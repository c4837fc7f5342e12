//! Tools for the operator of a store: verify, export, import, backup, compact, stats.
//!
//! A store that a server has open is read at one moment, while the server goes on. What programs read goes to standard output,
//! progress to standard error, and only when that is a terminal.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use dogwatch_store::journal::{NotAPosition, Position};
use dogwatch_store::rules::text::Name;
use dogwatch_store::rules::{Error as Refusal, Problem, Timestamp};
use dogwatch_store::{ReadOnly, Until, import as read_export, restore as restore_backup};
use serde_json::json;

use crate::cli::{BackupArgs, ChangesArgs, CopyArgs, ExportArgs, ImportArgs, RestoreArgs, VerifyArgs};
use crate::desk::Desk;
use crate::failure::Failure;

/// Does something with a store that is not changed by it: with the engine that has it open already, or opened for reading only.
macro_rules! with_store {
    ($desk:expr, $data:expr, |$store:ident| $work:expr) => {
        match $desk.engine_in_use() {
            Some($store) => $work,
            None => {
                let $store = ReadOnly::open($data)?;
                $work
            }
        }
    };
}

/// `dogwatch verify`
pub(crate) fn verify(args: &VerifyArgs, desk: &mut Desk) -> Result<(), Failure> {
    let report =
        with_store!(desk, &args.data, |store| desk.told("rows verified", |_, progress| store.verify(progress)));
    for finding in &report.findings {
        desk.print(&json!({ "table": finding.table, "key": finding.key, "problem": finding.what }))?;
    }
    desk.print(&json!({ "rows": report.rows, "things": report.things, "findings": report.found }))?;
    match report.found {
        0 => Ok(()),
        _ if report.rows == 0 && report.findings.iter().all(|finding| finding.table.is_empty()) => Err(Failure::Unread),
        found => Err(Failure::Findings(found)),
    }
}

/// `dogwatch export`
pub(crate) fn export(args: &ExportArgs, desk: &mut Desk) -> Result<(), Failure> {
    with_store!(desk, &args.data, |store| match &args.to {
        None => {
            desk.told("rows exported", |out, progress| store.export(out, progress))?;
        }
        Some(path) => {
            let mut file = File::create_new(path).map_err(Failure::file(path))?;
            desk.told("rows exported", |_, progress| store.export(&mut file, progress))?;
            file.sync_all().map_err(Failure::file(path))?;
        }
    });
    Ok(())
}

/// `dogwatch import`
pub(crate) fn import(args: &ImportArgs) -> Result<(), Failure> {
    let mut input: Box<dyn BufRead> = match &args.from {
        None => Box::new(io::stdin().lock()),
        Some(path) => Box::new(BufReader::new(File::open(path).map_err(Failure::file(path))?)),
    };
    let mut desk = Desk::own();
    let things = desk.told("things imported", |_, progress| read_export(&mut *input, &args.data, progress))?;
    desk.print(&json!({ "things": things }))
}

/// `dogwatch backup`
pub(crate) fn backup(args: &BackupArgs, desk: &mut Desk) -> Result<(), Failure> {
    let BackupArgs { copy: CopyArgs { data, to }, incremental } = args;
    if *incremental {
        let engine = desk.engine(data)?;
        let added = desk.told("rows and commits copied", |_, progress| engine.backup_increment(to, progress))?;
        let position = added.position.to_string();
        return desk.print(&json!({ "rows": added.rows, "commits": added.commits, "position": position }));
    }
    let copied = with_store!(desk, data, |store| desk.told("rows copied", |_, progress| store.backup(to, progress))?);
    desk.print(&json!({ "rows": copied.rows, "bytes": copied.bytes_after }))
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
    let mut desk = Desk::own();
    let restored =
        desk.told("rows and commits read", |_, progress| restore_backup(&args.from, &args.to, until, progress))?;
    desk.print(&json!({
        "rows": restored.rows, "commits": restored.commits, "position": restored.position.to_string(),
        "at": restored.at.map(|at| at.to_string()),
    }))
}

/// `dogwatch changes`
pub(crate) fn changes(args: &ChangesArgs, desk: &mut Desk) -> Result<(), Failure> {
    let from = args.from.as_deref().map(|text| position("--from", text)).transpose()?;
    let Some(name) = &args.bookmark else {
        let from = from.unwrap_or_default();
        let _last = with_store!(desk, &args.data, |store| store.changes(from, &mut desk.out, &mut |_| ())?);
        return Ok(());
    };
    let name: Name = name.parse().map_err(|why: Problem| Refusal::invalid("--bookmark", why.to_string()))?;
    let engine = desk.engine(&args.data)?;
    let kept = engine.bookmarks()?.into_iter().find(|(other, _)| *other == name).map(|(_, position)| position);
    // A new bookmark begins now: the journal may have forgotten what was before.
    let from = from.or(kept).unwrap_or_else(|| engine.head().position);
    let last = engine.changes(from, &mut desk.out, &mut |_| ())?;
    // What was not heard is said again at the next call.
    desk.confirmed()?;
    if kept == Some(last) { Ok(()) } else { Ok(engine.bookmark(&name, last)?) }
}

/// Reads the position that an argument gives.
fn position(argument: &'static str, text: &str) -> Result<Position, Failure> {
    text.parse().map_err(|why: NotAPosition| Refusal::invalid(argument, why.to_string()).into())
}

/// `dogwatch compact`
pub(crate) fn compact(args: &CopyArgs, desk: &mut Desk) -> Result<(), Failure> {
    let copied = with_store!(desk, &args.data, |store| {
        desk.told("rows rewritten", |_, progress| store.compact(&args.to, progress))?
    });
    let won = copied.bytes_before.zip(copied.bytes_after).map(|(before, after)| before.saturating_sub(after));
    desk.print(&json!({
        "rows": copied.rows, "bytesBefore": copied.bytes_before, "bytesAfter": copied.bytes_after, "bytesWon": won,
    }))
}

/// `dogwatch stats`
pub(crate) fn stats(args: &VerifyArgs, desk: &mut Desk) -> Result<(), Failure> {
    let stats = with_store!(desk, &args.data, |store| store.stats()?);
    for table in &stats.tables {
        desk.print(&json!({
            "table": table.name, "rows": table.rows, "keyBytes": table.key_bytes, "valueBytes": table.value_bytes,
        }))?;
    }
    let shown = |at: Option<Timestamp>| at.map(|at| at.to_string());
    desk.print(&json!({
        "format": stats.format,
        "bytesOnDisk": stats.bytes_on_disk,
        "oldestIncident": shown(stats.oldest_incident),
        "newestIncident": shown(stats.newest_incident),
    }))
}
