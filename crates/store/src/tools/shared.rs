//! Into a store that several servers share, and out of it: a store in a folder is pushed there, and a shared store is copied into a folder
//! that stands for itself.

use std::path::Path;

use super::{Building, Copied, Counter, Progress, ReadOnly, ToolError, rows};
use crate::backend::BackendError;
use crate::clock::{Clock, SystemClock};
use crate::cluster::{FillError, SharedJournal};
use crate::error::OpenError;
use crate::format::{self, Made};

impl ReadOnly {
    /// Fills a shared store that holds nothing with the rows of this one, which goes on there from its last commit. Gives the number of rows.
    ///
    /// # Errors
    /// [`ToolError::NotEmptyStore`] when there is a store already; [`OpenError::Unfinished`] when an upgrade of this one is unfinished; and
    /// when something cannot be read or written. Nothing is there then.
    pub fn push(&self, journal: &dyn SharedJournal, progress: Progress<'_>) -> Result<u64, ToolError> {
        let snapshot = self.snapshot();
        if !format::is_whole(|key| snapshot.get(key).ok().flatten()) {
            return Err(OpenError::Unfinished.into());
        }
        let mut counter = Counter::new(progress);
        let mut pairs = rows(&snapshot)
            .filter(|pair| pair.as_ref().map_or(true, |(key, _)| format::is_shared(key)))
            .inspect(|_| counter.step());
        journal.fill(&self.head, &mut pairs).map_err(|why| match why {
            FillError::NotEmpty => ToolError::NotEmptyStore,
            FillError::Storage(why) => ToolError::Storage(why),
        })?;
        drop(pairs);
        Ok(counter.done)
    }
}

/// Writes a copy of a shared store into a folder that does not exist yet, or is empty: a store of its own, which an engine can open.
///
/// # Errors
/// [`ToolError`] when the folder is not empty, or something cannot be read or written; [`OpenError::NewerFormat`].
pub fn backup_shared(
    journal: &dyn SharedJournal,
    folder: impl AsRef<Path>,
    progress: Progress<'_>,
) -> Result<Copied, ToolError> {
    let folder = folder.as_ref();
    let mut building = Building::begin(folder, false)?;
    let mut counter = Counter::new(progress);
    let (mut found, mut whole) = (None, true);
    let head = journal.copy(&mut |(key, value)| {
        counter.step();
        if format::is_format(&key) {
            found = Some(format::shown(|_| Some(value.clone())));
        } else if format::is_mark(&key) {
            // Bookmarks are not copied; another mark is one of an upgrade under way.
            whole &= !format::is_upgrading(&key);
        } else {
            building.put(key, value)?;
        }
        Ok(())
    })?;
    let made = match found {
        Some(format::NEWEST) => Made::Store,
        Some(found) if found > format::NEWEST => {
            return Err(OpenError::NewerFormat { found, known: format::NEWEST }.into());
        }
        Some(older) => Made::Older(older),
        None => return Err(BackendError::new("copying the shared store", "there is no store in it yet").into()),
    };
    if !whole {
        return Err(OpenError::Unfinished.into());
    }
    building.finish(&head, SystemClock.now(), made)?;
    Ok(Copied { rows: counter.done, bytes_before: None, bytes_after: crate::backend::folder_size(folder).ok() })
}
