//! Statistics of a store ([`Stats`]): the rows and bytes of each table, the size on disk, and the span of the incidents.

use dogwatch_core::Timestamp;
use dogwatch_core::id::Id;

use super::{ToolError, rows};
use crate::commit::snapshot::Snapshot;
use crate::format;
use crate::rooms::incident;
use crate::table::Table;

/// The statistics of a store: see [`Engine::stats`](crate::Engine::stats).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The format of the store (`FORMAT.md`), before any upgrade.
    pub format: u32,
    /// The tables that have rows, in the order of their tags.
    pub tables: Vec<TableStats>,
    /// The bytes that the folder takes on disk; `None` when the store is not on disk.
    pub bytes_on_disk: Option<u64>,
    /// The instant at which the oldest incident was created; `None` when there is none.
    pub oldest_incident: Option<Timestamp>,
    /// The instant at which the newest incident was created; `None` when there is none.
    pub newest_incident: Option<Timestamp>,
}

/// The statistics of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStats {
    /// The name of the table, as in `FORMAT.md`; `unknown` for rows with an unknown tag.
    pub name: String,
    /// The number of rows.
    pub rows: u64,
    /// The bytes of all keys.
    pub key_bytes: u64,
    /// The bytes of all values.
    pub value_bytes: u64,
}

pub(super) fn stats(snapshot: &Snapshot<'_>) -> Result<Stats, ToolError> {
    let mut tables: Vec<TableStats> = Vec::new();
    let (mut oldest, mut newest) = (None::<Timestamp>, None::<Timestamp>);
    for pair in rows(snapshot) {
        let (key, value) = pair?;
        let table = Table::of_key(&key);
        let name = table.map_or_else(|| "unknown".to_owned(), |table| format!("{table:?}"));
        if tables.last().is_none_or(|last| last.name != name) {
            tables.push(TableStats { name, rows: 0, key_bytes: 0, value_bytes: 0 });
        }
        if let Some(last) = tables.last_mut() {
            last.rows = last.rows.saturating_add(1);
            last.key_bytes = last.key_bytes.saturating_add(u64::try_from(key.len()).unwrap_or(0));
            last.value_bytes = last.value_bytes.saturating_add(u64::try_from(value.len()).unwrap_or(0));
        }
        if let Some(id) = incident::incident_at_end(&key).filter(|_| table == Some(Table::INCIDENT)) {
            oldest = Some(oldest.map_or(id.made_at(), |at| at.min(id.made_at())));
            newest = Some(newest.map_or(id.made_at(), |at| at.max(id.made_at())));
        }
    }
    let bytes_on_disk = snapshot.size_on_disk();
    let format = format::shown(|key| snapshot.get(key).ok().flatten());
    Ok(Stats { format, tables, bytes_on_disk, oldest_incident: oldest, newest_incident: newest })
}
