//! The [`Bookmarks`] in the journal: how far each reader has come, and so from where on it must keep commits.
//!
//! A follower has a bookmark for as long as it lives. A bookmark with a name outlives the process: it is a row of the store
//! ([`crate::format::bookmark`]), and is entered here when the store is opened. All bookmarks together keep no more of the journal
//! than the quota: the one that is furthest behind is given up, and whoever comes for what it kept is told.

use std::collections::BTreeMap;

use dogwatch_core::text::Name;

use crate::backend::BackendError;
use crate::journal::{Journal, Position};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError};
use crate::trace;

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

    /// Sets the bookmarks with names to those that are read while nobody else sets them. One of which the journal has
    /// forgotten commits keeps nothing.
    pub(crate) fn set_named<E>(
        &self,
        journal: &dyn Journal,
        read: impl FnOnce() -> Result<Vec<(Name, Position)>, E>,
    ) -> Result<(), E> {
        let mut held = self.lock();
        let named = read()?;
        held.read.retain(|reader, _| matches!(reader, Reader::Follower(_)));
        // Where it cannot be told, it is kept.
        let has = |read: Position| !matches!(journal.kept_for(read, read), Ok(None));
        let named = named.into_iter().filter(|(_, read)| has(*read));
        held.read.extend(named.map(|(name, read)| (Reader::Named(name), read)));
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
        // Whoever puts a bookmark meanwhile waits, and then sees what the journal still has.
        let mut held = self.lock();
        loop {
            let oldest = held.read.values().min().copied().filter(|oldest| *oldest < up_to);
            let Some(oldest) = oldest else { return journal.forget(up_to) };
            if journal.kept_for(oldest, up_to)?.is_some_and(|bytes| bytes <= self.quota) {
                return journal.forget(oldest);
            }
            trace::bookmark_given_up(oldest);
            held.read.retain(|_, read| *read != oldest);
        }
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
        // One that was given up may have caught up.
        self.bookmarks.lock().read.insert(Reader::Follower(self.number), read);
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

    fn at(number: u64) -> Position {
        Position { term: 0, number }
    }

    fn set(bookmarks: &Bookmarks, journal: &MemoryJournal, read: &[u64]) {
        let name = |number| Name::new(format!("copy {number}")).unwrap();
        let named = read.iter().map(|number| (name(number), at(*number))).collect();
        bookmarks.set_named(journal, || Ok::<_, BackendError>(named)).unwrap();
    }

    /// How many of ten commits, of 19 bytes each, are left when all may be forgotten.
    fn left(bookmarks: &Arc<Bookmarks>, journal: &MemoryJournal) -> usize {
        let rows = Rows::of(&Batch::from([(b"a".to_vec(), Some(vec![0; 10]))])).unwrap();
        while journal.last().unwrap().position.number < 10 {
            journal.append(0, &journal.last().unwrap(), Timestamp::MIN, &rows).unwrap();
        }
        bookmarks.forget(journal, journal.last().unwrap().position).unwrap();
        let from = (0..=10).find_map(|number| journal.head_at(Position { term: 0, number }).unwrap()).unwrap();
        match journal.read(&from, usize::MAX).unwrap() {
            Reading::Commits(commits) => commits.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_slowest_has_not_read_is_kept_up_to_the_quota() {
        let bookmarks = Arc::new(Bookmarks::new(100));
        for (named, follower, kept) in [
            (&[][..], None, 0),
            (&[7], None, 3),
            (&[7], Some(6), 4),
            (&[7], Some(9), 3),
            (&[9, 7], None, 3),
            (&[10], None, 0),
            // Eight are over the quota. Who keeps less than that goes on.
            (&[2], None, 0),
            (&[2, 7], None, 3),
            (&[2, 3, 8], Some(6), 4),
        ] {
            let journal = MemoryJournal::default();
            set(&bookmarks, &journal, named);
            let follower = follower.map(|number| bookmarks.put(at(number)));
            assert_eq!(left(&bookmarks, &journal), kept, "{named:?} {follower:?}");
        }
    }

    #[test]
    fn what_was_given_up_keeps_nothing_until_it_has_caught_up() {
        let (bookmarks, journal) = (Arc::new(Bookmarks::new(100)), MemoryJournal::default());
        set(&bookmarks, &journal, &[2, 8]);
        let follower = bookmarks.put(at(1));
        assert_eq!(left(&bookmarks, &journal), 2);
        // The row of the bookmark is still there, and read again when another one moves.
        set(&bookmarks, &journal, &[2, 10]);
        assert_eq!(left(&bookmarks, &journal), 0);
        let journal = MemoryJournal::default();
        follower.has_read(at(9));
        assert_eq!(left(&bookmarks, &journal), 1);
    }
}
