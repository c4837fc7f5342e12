//! A backend seen through changes that are not in it: one read path for the writer and for readers.
//!
//! The writer looks through what the commands before it in the batch want to write. Readers look through what the batch in
//! flight is overwriting, so that they see it whole once it is durable, and nothing of it before.

use std::collections::btree_map;
use std::iter::Peekable;
use std::ops::Bound;

use crate::backend::{Backend, BackendError, Batch, Pair, Scan};

/// A backend with a batch laid over it.
#[derive(Clone, Copy)]
pub(crate) struct Overlay<'a> {
    base: &'a dyn Backend,
    patch: &'a Batch,
    /// What was read of the backend already.
    known: Option<&'a Batch>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a dyn Backend, patch: &'a Batch) -> Self {
        Self { base, patch, known: None }
    }

    /// The same, with rows that were read before and have not changed since but through the patch.
    pub(crate) fn knowing(self, known: &'a Batch) -> Self {
        Self { known: Some(known), ..self }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        match self.patch.get(key) {
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
        let range = (Bound::Included(start), if inverted { Bound::Included(start) } else { Bound::Excluded(end) });
        let patch = if inverted { btree_map::Range::default() } else { self.patch.range::<[u8], _>(range) };
        Merged { base: self.base.scan(start, end).peekable(), patch: patch.peekable() }
    }
}

/// Two ascending sequences as one; where both have a key, the patch wins.
pub(crate) struct Merged<'a> {
    base: Peekable<Scan<'a>>,
    patch: Peekable<btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>>,
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
    use crate::backend::MemoryBackend;

    fn pair(key: &str, value: Option<&str>) -> (Vec<u8>, Option<Vec<u8>>) {
        (key.into(), value.map(Into::into))
    }

    fn shown(base: &[(&str, &str)], patch: &[(&str, Option<&str>)], start: &str, end: &str) -> String {
        let backend = MemoryBackend::new();
        backend.apply(&base.iter().map(|(k, v)| pair(k, Some(v))).collect()).unwrap();
        let patch: Batch = patch.iter().map(|(k, v)| pair(k, *v)).collect();
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
