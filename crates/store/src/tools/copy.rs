//! Copies of a store, row by row, into an empty folder: backup and compaction, also while commits go on.
//!
//! All rows are copied except the format, the head and the marks (see [`crate::format`]): a complete copy gets its own. It has the
//! head of the moment that was copied, and an empty journal after it.

use std::path::Path;

use dogwatch_core::Timestamp;

use super::{Building, Counter, Progress, ToolError, rows};
use crate::commit::snapshot::Snapshot;
use crate::format::{self, Made};

/// The result of a backup or a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The number of rows that were read.
    pub rows: u64,
    /// The bytes that the folder of the copied store takes; `None` when the store is not on disk.
    pub bytes_before: Option<u64>,
    /// The bytes that the folder of the copy takes; `None` when its size cannot be read.
    pub bytes_after: Option<u64>,
}

/// Copies all rows, and makes something of them. Gives the salt of its journal, too.
pub(super) fn copy(
    from: &Snapshot<'_>,
    folder: &Path,
    small: bool,
    at: Timestamp,
    made: Made,
    progress: Progress<'_>,
) -> Result<(Copied, [u8; 8]), ToolError> {
    let bytes_before = from.size_on_disk();
    let mut building = Building::begin(folder, small)?;
    let mut counter = Counter::new(progress);
    for pair in rows(from) {
        let (key, value) = pair?;
        // The row that makes the copy a store is written last, when the building is finished.
        if !format::is_mark(&key) {
            building.put(key, value)?;
        }
        counter.step();
    }
    let salt = building.finish(&from.head(), at, made)?;
    let bytes_after = crate::backend::folder_size(folder).ok();
    Ok((Copied { rows: counter.done, bytes_before, bytes_after }, salt))
}
