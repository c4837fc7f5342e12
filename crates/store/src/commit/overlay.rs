//! The [`Overlay`]: rows with changes laid over them. The writer looks through one at what the commands before in its batch have
//! changed.

use std::collections::btree_map;
use std::iter::Peekable;
use std::ops::Bound;

use crate::backend::{Backend, BackendError, Pair, RowMap, Scan};
use crate::commit::cache::Decoded;

/// Where rows are read: a backend, or a view of one moment.
pub(crate) trait Source {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError>;

    /// The pairs with `start <= key < end`, ascending.
    fn scan<'s>(&'s self, start: &[u8], end: &[u8]) -> Scan<'s>;

    /// The entity that was decoded from a row, if it is known.
    fn remembered(&self, key: &[u8]) -> Option<Decoded> {
        let _ = key;
        None
    }

    /// Makes the entity known that was decoded from a row of so many bytes.
    fn remember(&self, key: &[u8], decoded: Decoded, row: usize) {
        let _ = (key, decoded, row);
    }

    /// Whether it is of a moment that is given up, so that what was read may be wrong.
    fn is_lost(&self) -> bool {
        false
    }

    /// The bytes that the rows take on disk; `None` when they are not on disk.
    fn size_on_disk(&self) -> Option<u64>;
}

impl<B: Backend> Source for B {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        Backend::get(self, key)
    }

    fn scan<'s>(&'s self, start: &[u8], end: &[u8]) -> Scan<'s> {
        Backend::scan(self, start, end)
    }

    fn size_on_disk(&self) -> Option<u64> {
        Backend::size_on_disk(self)
    }
}

/// No change.
static NOTHING: RowMap = RowMap::new();

/// Rows with changes laid over them.
#[derive(Clone, Copy)]
pub(crate) struct Overlay<'a> {
    base: &'a dyn Source,
    patch: &'a RowMap,
    /// Rows that were read before.
    known: Option<&'a RowMap>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a dyn Source, patch: &'a RowMap) -> Self {
        Self { base, patch, known: None }
    }

    /// The rows as they are.
    pub(crate) fn plain(base: &'a dyn Source) -> Self {
        Self::new(base, &NOTHING)
    }

    /// The same overlay with rows that were read before. They must not have changed since, other than in the patch.
    pub(crate) fn knowing(self, known: &'a RowMap) -> Self {
        Self { known: Some(known), ..self }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        match self.patch.get(key).or_else(|| self.known?.get(key)) {
            Some(known) => Ok(known.clone()),
            None => self.base.get(key),
        }
    }

    /// The entity that was decoded from a row, if it is known and the row is not changed here.
    pub(crate) fn remembered(&self, key: &[u8]) -> Option<Decoded> {
        let changed = !self.patch.is_empty() && self.patch.contains_key(key);
        if changed { None } else { self.base.remembered(key) }
    }

    /// What was made of several rows, if it is known and nothing at all is changed here.
    pub(crate) fn remembered_alone(&self, key: &[u8]) -> Option<Decoded> {
        if self.patch.is_empty() { self.base.remembered(key) } else { None }
    }

    /// Makes the entity known that was decoded from a row of so many bytes, unless the row is changed here.
    pub(crate) fn remember(&self, key: &[u8], decoded: Decoded, row: usize) {
        if self.patch.is_empty() {
            self.base.remember(key, decoded, row);
        }
    }

    /// The pairs with `start <= key < end`, ascending.
    pub(crate) fn scan(&self, start: &[u8], end: &[u8]) -> Merged<'a> {
        let range = match start >= end {
            true => btree_map::Range::default(),
            false => self.patch.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end))),
        };
        Merged::new(self.base.scan(start, end), range)
    }
}

/// A scan and a range of a patch as one ascending sequence; where both have a key, the patch counts.
pub(crate) struct Merged<'a> {
    base: Peekable<Scan<'a>>,
    patch: Peekable<btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>>,
}

impl<'a> Merged<'a> {
    fn new(base: Scan<'a>, patch: btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>) -> Self {
        Self { base: base.peekable(), patch: patch.peekable() }
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Pair, BackendError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let patch_is_next = match (self.base.peek(), self.patch.peek()) {
                (_, None) | (Some(Err(_)), _) => false,
                (None, Some(_)) => true,
                (Some(Ok((base, _))), Some((patch, _))) => {
                    if base == *patch {
                        self.base.next();
                        continue;
                    }
                    *patch < base
                }
            };
            if !patch_is_next {
                return self.base.next();
            }
            if let Some((key, Some(value))) = self.patch.next() {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Batch, MemoryBackend};

    fn pair(key: &str, value: Option<&str>) -> (Vec<u8>, Option<Vec<u8>>) {
        (key.into(), value.map(Into::into))
    }

    fn shown(base: &[(&str, &str)], patch: &[(&str, Option<&str>)], start: &str, end: &str) -> String {
        let backend = MemoryBackend::new();
        backend.apply(&base.iter().map(|(k, v)| pair(k, Some(v))).collect::<Batch>()).unwrap();
        let patch: RowMap = patch.iter().map(|(k, v)| pair(k, *v)).collect();
        let overlay = Overlay::new(&backend, &patch);
        let scanned: Vec<Pair> = overlay.scan(start.as_bytes(), end.as_bytes()).map(Result::unwrap).collect();
        for (key, value) in &scanned {
            assert_eq!(overlay.get(key).unwrap().as_ref(), Some(value));
        }
        let shown = |(k, v): Pair| format!("{}={}", String::from_utf8(k).unwrap(), String::from_utf8(v).unwrap());
        scanned.into_iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn merges() {
        let base = [("b", "1"), ("d", "2"), ("f", "3")];
        for (patch, start, end, expected) in [
            (&[][..], "a", "z", "b=1 d=2 f=3"),
            (&[("a", Some("x")), ("e", Some("y")), ("z", Some("w"))], "a", "z", "a=x b=1 d=2 e=y f=3"),
            (&[("b", None), ("d", Some("x")), ("f", None)], "a", "z", "d=x"),
            (&[("b", None), ("d", None), ("f", None)], "a", "z", ""),
            (&[("a", None), ("c", None), ("g", None)], "a", "z", "b=1 d=2 f=3"),
            (&[("c", Some("x"))], "c", "f", "c=x d=2"),
            (&[("c", Some("x"))], "f", "c", ""),
            (&[("c", Some("x"))], "c", "c", ""),
        ] {
            assert_eq!(shown(&base, patch, start, end), expected, "{patch:?} {start}..{end}");
        }
    }
}
