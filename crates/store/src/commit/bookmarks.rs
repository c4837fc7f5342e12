//! The [`Bookmarks`] in the journal: how far each reader has come, and so from where on it must keep commits.
//!
//! A follower has a bookmark for as long as it lives. A bookmark with a name outlives the process: it is a row of the store
//! ([`crate::format::bookmark`]), and is entered here when the store is opened. All bookmarks together keep no more of the journal
//! than the quota; when it is used up, the journal forgets what it may, and whoever comes for it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dogwatch_core::text::Name;

use crate::backend::BackendError;
use crate::journal::{Journal, Position};

/// Whose bookmark it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Reader {
    /// A follower, by a number of its own.
    Follower(u64),
    /// Whoever goes by a name.
    Named(Name),
}

/// How far readers of the journal have come.
#[derive(Debug)]
pub(crate) struct Bookmarks {
    held: Mutex<Held>,
    /// The bytes of the journal that bookmarks may keep.
    quota: u64,
}

#[derive(Debug, Default)]
struct Held {
    /// The last commit that each has read.
    read: BTreeMap<Reader, Position>,
    next: u64,
}

impl Bookmarks {
    pub(crate) fn new(quota: u64) -> Self {
        Self { held: Mutex::default(), quota }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the bookmarks with names to those that are read while nobody else sets them.
    pub(crate) fn set_named<E>(&self, read: impl FnOnce() -> Result<Vec<(Name, Position)>, E>) -> Result<(), E> {
        let mut held = self.lock();
        let named = read()?;
        held.read.retain(|reader, _| matches!(reader, Reader::Follower(_)));
        held.read.extend(named.into_iter().map(|(name, read)| (Reader::Named(name), read)));
        Ok(())
    }

    /// A bookmark of somebody who has read everything up to a position.
    pub(crate) fn put(self: &Arc<Self>, read: Position) -> Bookmark {
        let mut held = self.lock();
        let number = held.next;
        held.next = number.wrapping_add(1);
        held.read.insert(Reader::Follower(number), read);
        Bookmark { bookmarks: Arc::clone(self), number }
    }

    /// Has the journal forget commits that are durable elsewhere up to a position, as far as all have read them.
    pub(crate) fn forget(&self, journal: &dyn Journal, up_to: Position) -> Result<(), BackendError> {
        let oldest = self.lock().read.values().min().copied();
        let Some(oldest) = oldest.filter(|oldest| *oldest < up_to) else { return journal.forget(up_to) };
        journal.forget(oldest)?;
        if journal.size()? <= self.quota {
            return Ok(());
        }
        // Whoever is behind is told when it comes to read on.
        self.lock().read.retain(|_, read| *read >= up_to);
        journal.forget(up_to)
    }
}

/// The bookmark of somebody who reads on; dropping it removes it.
#[derive(Debug)]
pub(crate) struct Bookmark {
    bookmarks: Arc<Bookmarks>,
    number: u64,
}

impl Bookmark {
    /// Notes that commits up to a position are not needed any more.
    pub(crate) fn has_read(&self, read: Position) {
        if let Some(held) = self.bookmarks.lock().read.get_mut(&Reader::Follower(self.number)) {
            *held = read;
        }
    }
}

impl Drop for Bookmark {
    fn drop(&mut self) {
        self.bookmarks.lock().read.remove(&Reader::Follower(self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Batch;
    use crate::journal::{MemoryJournal, Reading, Rows};
    use dogwatch_core::Timestamp;

    /// How many of ten commits, of 19 bytes each, are left when all may be forgotten.
    fn left(bookmarks: &Arc<Bookmarks>) -> usize {
        let journal = MemoryJournal::default();
        let rows = Rows::of(&Batch::from([(b"a".to_vec(), Some(vec![0; 10]))])).unwrap();
        for _ in 0..10 {
            journal.append(0, &journal.last().unwrap(), Timestamp::MIN, &rows).unwrap();
        }
        bookmarks.forget(&journal, journal.last().unwrap().position).unwrap();
        let from = (0..=10).find_map(|number| journal.head_at(Position { term: 0, number }).unwrap()).unwrap();
        match journal.read(&from, usize::MAX).unwrap() {
            Reading::Commits(commits) => commits.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_slowest_has_not_read_is_kept_up_to_the_quota() {
        let at = |number| Position { term: 0, number };
        let set = |bookmarks: &Bookmarks, read: Option<u64>| {
            let named = read.map(|number| (Name::new("copy").unwrap(), at(number)));
            bookmarks.set_named(|| Ok::<_, ()>(named.into_iter().collect())).unwrap();
        };
        let bookmarks = Arc::new(Bookmarks::new(100));
        assert_eq!(left(&bookmarks), 0, "nobody reads");
        set(&bookmarks, Some(7));
        assert_eq!(left(&bookmarks), 3);
        let follower = bookmarks.put(at(6));
        assert_eq!(left(&bookmarks), 4);
        follower.has_read(at(9));
        assert_eq!(left(&bookmarks), 3);
        drop(follower);
        set(&bookmarks, None);
        assert_eq!(left(&bookmarks), 0);
        set(&bookmarks, Some(2));
        assert_eq!(left(&bookmarks), 0, "eight of them are over the quota");
        assert_eq!(bookmarks.lock().read.len(), 0, "and the bookmark is gone");
    }
}
