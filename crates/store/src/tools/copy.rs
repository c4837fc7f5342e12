//! Copies of a store, row by row, into a fresh folder: a backup while commits go on, and a compaction.

use std::path::Path;

use super::{Building, Counter, Progress, ToolError, rows};
use crate::commit::snapshot::Snapshot;
use crate::format;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// How many rows.
    pub rows: u64,
    /// How many bytes the folder of the copied store takes; `None` when it is not on disk.
    pub bytes_before: Option<u64>,
    /// How many bytes the copy takes.
    pub bytes_after: Option<u64>,
}

pub(super) fn copy(
    from: &Snapshot<'_>,
    folder: &Path,
    small: bool,
    progress: Progress<'_>,
) -> Result<Copied, ToolError> {
    let bytes_before = from.size_on_disk();
    let mut building = Building::begin(folder, small)?;
    let mut counter = Counter::new(progress);
    for pair in rows(from) {
        let (key, value) = pair?;
        // What says that it is a store comes last.
        if !format::is_mark(&key) {
            building.put(key, value)?;
        }
        counter.step();
    }
    building.finish()?;
    let bytes_after = crate::backend::folder_size(folder).ok();
    Ok(Copied { rows: counter.done, bytes_before, bytes_after })
}
