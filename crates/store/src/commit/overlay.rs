//! The [`Overlay`]: a backend with changes laid over it that are not in it. The writer and all readers read through it.
//!
//! The writer sees the changes of the commands before in its batch, and those of the batch that is being stored. Readers see
//! the before images of the batch in flight, so that they see all of that batch once it is durable, and nothing of it before.

use std::collections::btree_map;
use std::iter::Peekable;
use std::ops::Bound;

use crate::backend::{Backend, BackendError, Pair, RowMap, Scan};

/// A backend with one or two batches laid over it.
#[derive(Clone, Copy)]
pub(crate) struct Overlay<'a> {
    base: &'a dyn Backend,
    patch: &'a RowMap,
    /// An older batch, between the patch and the backend.
    below: Option<&'a RowMap>,
    /// Rows that were read from the backend before.
    known: Option<&'a RowMap>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a dyn Backend, patch: &'a RowMap) -> Self {
        Self { base, patch, below: None, known: None }
    }

    /// The same overlay with another batch between the first and the backend.
    pub(crate) fn over(self, below: &'a RowMap) -> Self {
        Self { below: Some(below).filter(|below| !below.is_empty()), ..self }
    }

    /// The same overlay with rows that were read before. They must not have changed since, other than in the two batches.
    pub(crate) fn knowing(self, known: &'a RowMap) -> Self {
        Self { known: Some(known), ..self }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        match self.patch.get(key).or_else(|| self.below?.get(key)) {
            Some(patched) => Ok(patched.clone()),
            None => match self.known.and_then(|known| known.get(key)) {
                Some(known) => Ok(known.clone()),
                None => self.base.get(key),
            },
        }
    }

    /// The pairs with `start <= key < end`, ascending.
    pub(crate) fn scan(&self, start: &[u8], end: &[u8]) -> Merged<'a> {
        let inverted = start >= end;
        let range = |patch: &'a RowMap| match inverted {
            true => btree_map::Range::default(),
            false => patch.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end))),
        };
        let base = self.base.scan(start, end);
        let base = match self.below.map(range) {
            Some(below) if below.clone().next().is_some() => Box::new(Merged::new(base, below)),
            _ => base,
        };
        Merged::new(base, range(self.patch))
    }
}

/// A scan of the backend and a range of a patch as one ascending sequence; where both have a key, the patch counts.
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

    /// An older and a newer batch, laid over a backend one above the other, show the same rows as the two merged into one.
    #[test]
    fn two_batches_show_what_one_would() {
        let backend = MemoryBackend::new();
        backend.apply(&Batch::from([pair("b", Some("1")), pair("d", Some("2")), pair("f", Some("3"))])).unwrap();
        let values = [None, Some(None), Some(Some("x")), Some(Some("y"))];
        for (n, key) in (0..1 << 12).flat_map(|n: usize| ["b", "c"].map(|key| (n, key))) {
            let at = |digit: usize| values[n >> (2 * digit) & 3];
            let batch = |digits: [(&str, usize); 3]| -> RowMap {
                digits.iter().filter_map(|(key, digit)| Some(pair(key, at(*digit)?))).collect()
            };
            let (below, above) = (batch([("b", 0), ("c", 1), ("d", 2)]), batch([("b", 3), ("c", 4), ("d", 5)]));
            let mut both = below.clone();
            both.extend(above.clone());
            let (two, one) = (Overlay::new(&backend, &above).over(&below), Overlay::new(&backend, &both));
            let scan = |overlay: &Overlay<'_>| -> Vec<Pair> { overlay.scan(b"a", b"z").map(Result::unwrap).collect() };
            assert_eq!(scan(&two), scan(&one), "{below:?} {above:?}");
            assert_eq!(two.get(key.as_bytes()).unwrap(), one.get(key.as_bytes()).unwrap());
        }
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
