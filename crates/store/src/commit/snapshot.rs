//! The [`Snapshot`]: the rows of a store at one moment, for the tools that read all of it.

use crate::backend::{BackendError, Pair, RowMap};
use crate::commit::overlay::{Overlay, Source};
use crate::commit::versions::View;
use crate::journal::Head;
use crate::record::Corrupt;
use crate::table::end_of;

/// The rows of a store at one moment.
pub(crate) struct Snapshot<'a> {
    base: Box<dyn Source + 'a>,
    over: RowMap,
    head: Head,
}

impl<'a> Snapshot<'a> {
    /// What a view sees.
    pub(crate) fn of(view: View<'a>) -> Self {
        let head = view.head();
        Self { base: Box::new(view), over: RowMap::new(), head }
    }

    /// The rows of a store that nobody changes, with some laid over, up to a commit.
    pub(crate) fn still(base: &'a impl Source, over: RowMap, head: Head) -> Self {
        Self { base: Box::new(Still(base)), over, head }
    }

    /// The last commit that the snapshot sees.
    pub(crate) const fn head(&self) -> Head {
        self.head
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        Overlay::new(&*self.base, &self.over).get(key)
    }

    /// The pairs with `start <= key < end`, ascending.
    pub(crate) fn scan<'s>(
        &'s self,
        start: &[u8],
        end: &[u8],
    ) -> impl Iterator<Item = Result<Pair, BackendError>> + use<'s, 'a> {
        Overlay::new(&*self.base, &self.over).scan(start, end)
    }

    /// The pairs whose keys begin with a prefix, ascending.
    pub(crate) fn under<'s>(&'s self, prefix: &[u8]) -> impl Iterator<Item = Result<Pair, BackendError>> + use<'s, 'a> {
        self.scan(prefix, &end_of(prefix))
    }

    /// The bytes that the store takes on disk, overwritten rows included; `None` when it is not on disk.
    pub(crate) fn size_on_disk(&self) -> Option<u64> {
        self.base.size_on_disk()
    }

    /// All pairs, ascending.
    pub(crate) fn all<'s>(&'s self) -> impl Iterator<Item = Result<Pair, BackendError>> + use<'s, 'a> {
        self.under(&[])
    }

    /// Whether it was held for too long, so that what it says may be wrong.
    pub(crate) fn is_lost(&self) -> bool {
        self.base.is_lost()
    }

    /// The value of a key, for whoever reads a record that it belongs to.
    pub(crate) fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Corrupt> {
        self.get(key).map_err(|_| Corrupt::Unread)
    }
}

/// A source that is held elsewhere.
struct Still<'a, S>(&'a S);

impl<S: Source> Source for Still<'_, S> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.0.get(key)
    }

    fn scan<'s>(&'s self, start: &[u8], end: &[u8]) -> crate::backend::Scan<'s> {
        self.0.scan(start, end)
    }

    fn size_on_disk(&self) -> Option<u64> {
        self.0.size_on_disk()
    }
}
