//! Imports: a new store from an export.
//!
//! Each entity is validated by the rules for its values, and writes its own rows. That no two write the same row, and that
//! all entities are consistent (as `verify` checks), is checked before the store can be opened. If anything is wrong, the
//! folder is removed.

use std::fmt::Display;
use std::io::BufRead;
use std::path::Path;

use super::export::{Frame, VERSION};
use super::{Building, Counter, Progress, ToolError, verify};
use crate::backend::RowMap;
use crate::clock::{Clock, SystemClock};
use crate::commit::snapshot::Snapshot;
use crate::format::{self, Made};
use crate::journal::Head;
use crate::rooms::AnyLine;
use dogwatch_core::Timestamp;

/// Makes a store of an export, in a folder that does not exist yet or is empty. Gives the number of entities.
///
/// # Errors
/// [`ToolError`]: the folder is not empty, a line is not one of an export or repeats another, the end is missing, what was
/// read does not fit together, or something cannot be read or written.
pub fn import(input: &mut dyn BufRead, folder: impl AsRef<Path>, progress: Progress<'_>) -> Result<u64, ToolError> {
    let mut building = Building::begin(folder.as_ref(), false)?;
    let mut counter = Counter::new(progress);
    let mut lines = Lines { input, number: 0, text: String::new() };
    let Some(first) = lines.next()? else { return Err(lines.wrong("an export does not begin with nothing")) };
    match serde_json::from_str(first) {
        Ok(Frame::Export { version: VERSION, delivered_dropped_until }) => {
            if let Some(until) = delivered_dropped_until {
                let (key, value) = format::dropped(Timestamp::clamped(until)).map_err(|why| lines.wrong(why))?;
                building.put(key, value.unwrap_or_default())?;
            }
        }
        Ok(Frame::Export { version, .. }) => {
            return Err(lines.wrong(format!("an export of version {version}; this program reads version {VERSION}")));
        }
        _ => return Err(lines.wrong("this is not an export")),
    }
    loop {
        let Some(line) = lines.next()? else { return Err(lines.wrong("the end of the export is missing")) };
        if let Ok(Frame::End { things }) = serde_json::from_str(line) {
            if things != counter.done {
                return Err(lines.wrong(format!("{things} things were exported, but {} are here", counter.done)));
            }
            break;
        }
        let thing: Result<AnyLine, _> = serde_json::from_str(line);
        let thing = thing.map_err(|error| lines.wrong(error))?;
        let rows = thing.rows(&|_| Ok(None)).map_err(|why| lines.wrong(why))?;
        for (key, value) in rows.into_pairs() {
            if building.holds(&key)? {
                return Err(lines.wrong("it says again what a line before it said"));
            }
            building.put(key, value)?;
        }
        counter.step();
    }
    if lines.next()?.is_some() {
        return Err(lines.wrong("there is something behind the end"));
    }
    building.flush()?;
    let report = verify::verify(&Snapshot::still(building.backend()?, RowMap::new(), Head::default()), &mut |_| ());
    match report.findings.into_iter().next() {
        Some(finding) => Err(ToolError::Unfit(finding)),
        None => building.finish(&Head::default(), SystemClock.now(), Made::Store).map(|_| counter.done),
    }
}

/// The longest line, in bytes (8 MiB). A recorded answer, the largest entity in an export, stays below it.
const LONGEST_LINE: u64 = 8 << 20;

struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: u64,
    text: String,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<&str>, ToolError> {
        self.number = self.number.saturating_add(1);
        self.text.clear();
        let read = std::io::Read::take(&mut *self.input, LONGEST_LINE).read_line(&mut self.text);
        if read.map_err(|error| self.wrong(error))? == 0 {
            return Ok(None);
        }
        Ok(Some(self.text.trim_end_matches('\n')))
    }

    fn wrong(&self, problem: impl Display) -> ToolError {
        ToolError::Line { line: self.number, problem: problem.to_string() }
    }
}
