//! Incremental backups: a copy of the store, and after it the commits since, in the copy's own journal; and restoring one as it was at
//! any moment since the copy.
//!
//! A backup has the form of a store, and a mark with which no engine opens it: its rows stay as they were copied. Each time the
//! backup is brought up to date, the commits that it lacks are read from the journal of the store and appended to that of the copy. A
//! bookmark in the store, under a name that belongs to this backup, has the journal keep them until then.

use std::path::Path;

use dogwatch_core::Timestamp;
use dogwatch_core::text::Name;

use super::{Building, Counter, Progress, ToolError, copy};
use crate::backend::{Backend, SledBackend, SledOptions};
use crate::engine::Engine;
use crate::error::Error;
use crate::format::{self, Copied, Made};
use crate::journal::{AppendError, FolderJournal, Gap, Head, Journal, Position, commits_after};
use crate::record::hex;
use crate::rooms::FORMAT;

/// The bytes of rows that are read from the journal at once.
const READ_AT_ONCE: usize = 4 << 20;

/// What an incremental backup has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Increment {
    /// The number of rows that were copied, if the backup was begun; else `None`.
    pub rows: Option<u64>,
    /// The number of commits that were appended.
    pub commits: u64,
    /// The position of the last commit that the backup has.
    pub position: Position,
}

/// The moment as of which a backup is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// All that the backup has.
    Last,
    /// Up to a commit.
    Position(Position),
    /// Up to the last commit before the first that is later than this instant.
    Time(Timestamp),
}

/// What was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The number of rows of the copy with which the backup began.
    pub rows: u64,
    /// The number of commits after it.
    pub commits: u64,
    /// The position of the last commit that the new store has.
    pub position: Position,
    /// The instant of that commit; `None` when it is one that the copy had already.
    pub at: Option<Timestamp>,
}

impl Engine {
    /// Begins a backup in a folder that does not exist yet, or is empty; or brings up to date one that was begun there: then only
    /// the commits since are written. [`restore`] makes a store of it as it was at any moment since it was begun; no engine opens the
    /// backup itself.
    ///
    /// The backup has a bookmark in this store ([`Engine::bookmarks`]), named `backup` and a number. Remove it when the backup
    /// is given up.
    ///
    /// # Errors
    /// [`ToolError`]: `Forgotten` when the journal has forgotten commits that the backup lacks: begin another one, in
    /// another folder. `NotABackup` when the folder holds something else than a backup of this store.
    pub fn backup_increment(&self, folder: impl AsRef<Path>, progress: Progress<'_>) -> Result<Increment, ToolError> {
        let folder = folder.as_ref();
        let begun = folder.exists() && std::fs::read_dir(folder)?.next().is_some();
        if begun { self.append_to(folder, progress) } else { self.begin_backup(folder, progress) }
    }

    fn begin_backup(&self, folder: &Path, progress: Progress<'_>) -> Result<Increment, ToolError> {
        // Until it has a bookmark of its own, this one keeps the journal for it.
        let kept = self.keep(self.head().position);
        let snapshot = self.snapshot();
        let head = snapshot.head();
        let (copied, salt) = copy::copy(&snapshot, folder, false, self.now(), Made::Backup, progress)?;
        self.bookmark(&name(salt)?, head.position).map_err(refused)?;
        drop(kept);
        Ok(Increment { rows: Some(copied.rows), commits: 0, position: head.position })
    }

    fn append_to(&self, folder: &Path, progress: Progress<'_>) -> Result<Increment, ToolError> {
        let backup = Backup::open(folder)?;
        // Rows of two formats are not mixed.
        if (backup.format, backup.copied) != (FORMAT, Copied::Increments) {
            return Err(ToolError::NotABackup { path: folder.to_path_buf() });
        }
        let mut head = backup.journal.last()?;
        let last = self.head();
        let (journal, mut counter) = (&*self.shared().journal, Counter::new(progress));
        for commit in commits_after(journal, head, READ_AT_ONCE) {
            let commit = commit.map_err(|gap| match gap {
                Gap::Forgotten => ToolError::Forgotten { from: head.position },
                gap => unreadable(gap, folder),
            })?;
            if commit.head.position.number > last.position.number {
                break;
            }
            let appended = backup.journal.append(commit.head.position.term, &commit.before, commit.at, &commit.rows);
            head = appended.map_err(|why| match why {
                AppendError::Deposed => ToolError::NotABackup { path: folder.to_path_buf() },
                AppendError::NotAppended(why) | AppendError::Unknown(why) => why.into(),
            })?;
            counter.step();
        }
        if journal.head_at(head.position)? != Some(head) {
            return Err(ToolError::NotABackup { path: folder.to_path_buf() });
        }
        self.bookmark(&name(backup.journal.salt().unwrap_or_default())?, head.position).map_err(refused)?;
        Ok(Increment { rows: None, commits: counter.done, position: head.position })
    }
}

fn refused(why: Error) -> ToolError {
    ToolError::Engine(why)
}

/// What it means that the commits after a backup's head cannot be read on.
fn unreadable(gap: Gap, folder: &Path) -> ToolError {
    match gap {
        Gap::Storage(why) => why.into(),
        Gap::Forgotten | Gap::Elsewhere => ToolError::NotABackup { path: folder.to_path_buf() },
    }
}

/// The name of the bookmark of the backup whose journal has this salt.
fn name(salt: [u8; 8]) -> Result<Name, ToolError> {
    Name::new(format!("backup {}", hex(&salt))).map_err(|why| refused(why.into()))
}

/// A backup, or a store that nobody has open.
struct Backup {
    format: u32,
    copied: Copied,
    // The journal is dropped before the backend, which holds the lock of the folder.
    journal: FolderJournal,
    backend: SledBackend,
}

impl Backup {
    fn open(folder: &Path) -> Result<Self, ToolError> {
        let options = SledOptions { create: false, ..SledOptions::default() };
        let backend = SledBackend::open(folder, &options)?;
        let (format, copied) = format::restorable(&backend)?;
        Ok(Self { format, copied, journal: FolderJournal::open(folder)?, backend })
    }
}

/// Makes a store of an incremental backup, in a folder that does not exist yet or is empty, as it was at a moment since the backup
/// was begun. The backup stays as it is. Of a store that nobody has open, it makes a copy of the last moment.
///
/// # Errors
/// [`ToolError`]: `NoSuchMoment` when the backup does not reach back to the moment, or has no commit at the position;
/// `NotIncremental` when a moment other than the last is asked of a store; `NotEmpty`; and whatever goes wrong when something is read or written.
pub fn restore(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    until: Until,
    progress: Progress<'_>,
) -> Result<Restored, ToolError> {
    let Backup { format, copied, journal, backend } = Backup::open(from.as_ref())?;
    // An engine brings rows up to date, and when it is killed, later rows may stand beside an earlier head.
    if copied == Copied::Store && until != Until::Last {
        return Err(ToolError::NotIncremental { path: from.as_ref().to_path_buf() });
    }
    let begun = format::head(&backend)?;
    let wanted = |head: &Head, at: Timestamp| match until {
        Until::Last => true,
        Until::Position(position) => head.position <= position,
        Until::Time(time) => at <= time,
    };
    let mut building = Building::begin(to.as_ref(), false)?;
    let mut counter = Counter::new(progress);
    for pair in backend.scan(&[], &[0xFF]) {
        let (key, value) = pair?;
        if !format::is_mark(&key) {
            building.change(key, Some(value))?;
        }
        counter.step();
    }
    let (rows, mut head, mut last) = (counter.done, begun, None);
    for commit in commits_after(&journal, begun, READ_AT_ONCE) {
        let commit = commit.map_err(|gap| unreadable(gap, from.as_ref()))?;
        if !wanted(&commit.head, commit.at) {
            break;
        }
        for (key, value) in commit.rows.owned().filter(|(key, _)| !format::is_mark(key)) {
            building.change(key, value)?;
        }
        (head, last) = (commit.head, Some(commit.at));
        counter.step();
    }
    let reached = match until {
        Until::Last => true,
        Until::Position(position) => head.position == position,
        Until::Time(time) => last.is_some() || journal.begun()?.is_some_and(|at| at <= time),
    };
    if !reached {
        return Err(ToolError::NoSuchMoment { first: begun.position, last: journal.last()?.position });
    }
    let at = last.or(journal.begun()?).unwrap_or(Timestamp::MIN);
    building.finish(&head, at, if format == FORMAT { Made::Store } else { Made::Older(format) })?;
    Ok(Restored { rows, commits: counter.done.saturating_sub(rows), position: head.position, at: last })
}
