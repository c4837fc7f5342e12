//! What the journal still holds, as lines of JSON: the changes of each commit, as followers get them.

use std::io::{self, Write};

use super::{Counter, Progress, ToolError};
use crate::changes;
use crate::commit::snapshot::Snapshot;
use crate::journal::{Gap, Journal, Position, commits_after};

/// The bytes of rows that are read from the journal at once.
const READ_AT_ONCE: usize = 1 << 20;

/// Writes the changes of the commits after a position, up to that of the snapshot. Gives the position of the last commit.
pub(super) fn changes(
    journal: Option<&dyn Journal>,
    snapshot: &Snapshot<'_>,
    from: Position,
    out: &mut dyn Write,
    progress: Progress<'_>,
) -> Result<Position, ToolError> {
    let forgotten = || ToolError::Forgotten { from };
    let journal = journal.ok_or_else(forgotten)?;
    let mut head = journal.head_at(from)?.ok_or_else(forgotten)?;
    let mut out = io::BufWriter::new(out);
    let mut counter = Counter::new(progress);
    for commit in commits_after(journal, head, READ_AT_ONCE) {
        let commit = commit.map_err(|gap| match gap {
            Gap::Storage(why) => why.into(),
            Gap::Forgotten | Gap::Elsewhere => forgotten(),
        })?;
        if commit.head.position.number > snapshot.head().position.number {
            break;
        }
        changes::write(&commit, &|key| snapshot.get(key), &mut out)?;
        head = commit.head;
        counter.step();
    }
    out.flush()?;
    Ok(head.position)
}
