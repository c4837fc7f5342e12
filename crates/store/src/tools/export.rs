//! Exports: all entities of a store as lines of JSON, except those with secrets in plain text.
//!
//! The first line holds the version, the last the number of entities, so that a truncated export is noticed. The entities
//! are in the order of their keys, and each is written in one way only: the same content gives the same bytes.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::{Counter, Progress, ToolError, damaged, rows};
use crate::commit::snapshot::Snapshot;
use crate::format;
use crate::record::Corrupt;
use crate::rooms::AnyLine;
use crate::rooms::json;

/// The version of the format of exports.
pub(super) const VERSION: u32 = 1;

/// The first and the last line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Frame {
    Export {
        version: u32,
        /// The instant of delivery up to which notifications may have been dropped.
        #[serde(with = "json::time::maybe")]
        delivered_dropped_until: Option<i64>,
    },
    End {
        things: u64,
    },
}

pub(super) fn export(snapshot: &Snapshot<'_>, out: &mut dyn Write, progress: Progress<'_>) -> Result<u64, ToolError> {
    let dropped_key = format::dropped_key();
    let dropped = snapshot.get(&dropped_key)?;
    let dropped = dropped.map(|value| format::dropped_until(&value)).transpose();
    let dropped = dropped.map_err(|why| damaged(&dropped_key, why))?;
    let mut out = std::io::BufWriter::new(out);
    let begin = Frame::Export { version: VERSION, delivered_dropped_until: dropped.map(|at| at.as_millis()) };
    write(&mut out, &begin)?;
    let mut counter = Counter::new(progress);
    let mut things = 0_u64;
    for pair in rows(snapshot) {
        let (key, value) = pair?;
        let read = |key: &[u8]| snapshot.read(key);
        let whole = |line: Option<AnyLine>| -> Result<Option<AnyLine>, Corrupt> {
            let Some(mut line) = line.filter(|line| !line.is_secret()) else { return Ok(None) };
            line.gather(&read)?;
            Ok(Some(line))
        };
        if let Some(line) = AnyLine::read(&key, &value, &read).and_then(whole).map_err(|why| damaged(&key, why))? {
            write(&mut out, &line)?;
            things = things.saturating_add(1);
        }
        counter.step();
    }
    write(&mut out, &Frame::End { things })?;
    out.flush()?;
    Ok(things.saturating_add(2))
}

fn write(out: &mut impl Write, line: &impl Serialize) -> Result<(), ToolError> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}
