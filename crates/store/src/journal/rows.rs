//! [`Rows`]: the changes of a commit as bytes, as they stand in the journal.
//!
//! For each change in ascending order of keys: the length of the key (4 bytes), the length of the value plus one, or 0 when the
//! row is deleted (4 bytes), the key, the value. Numbers are big endian.

use std::fmt;

use crate::backend::{Batch, RowMap};

/// The changes of a commit: for each key a value to put, or `None` to delete. Ascending by key, each key once.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Rows(Vec<u8>);

impl Rows {
    /// The changes as they stand in the journal; `None` when a key or a value is longer than 4 GiB.
    pub(crate) fn encode(rows: &RowMap) -> Option<Self> {
        let size = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| 8 + key.len() + value.as_ref().map_or(0, Vec::len);
        let mut bytes = Vec::with_capacity(rows.iter().map(size).sum());
        for (key, value) in rows {
            let length = match value {
                Some(value) => u32::try_from(value.len()).ok()?.checked_add(1)?,
                None => 0,
            };
            bytes.extend_from_slice(&u32::try_from(key.len()).ok()?.to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value.as_deref().unwrap_or_default());
        }
        Some(Self(bytes))
    }

    /// The changes of a batch; `None` when a key or a value is longer than 4 GiB.
    #[must_use]
    pub fn of(batch: &Batch) -> Option<Self> {
        Self::encode(&batch.rows)
    }

    /// The changes that these bytes hold; `None` when they are not what [`Rows`] writes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let rows = Self(bytes);
        let (mut changes, mut last) = (Changes(&rows.0), None);
        for (key, _) in changes.by_ref() {
            if last.is_some_and(|last| last >= key) {
                return None;
            }
            last = Some(key);
        }
        let whole = changes.0.is_empty();
        whole.then_some(rows)
    }

    /// The bytes as they stand in the journal.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes as values of their own, ascending by key.
    pub fn owned(&self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
        self.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)))
    }

    /// The changes, ascending by key.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        Changes(&self.0)
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({} in {} bytes)", self.iter().count(), self.0.len())
    }
}

/// Takes changes from bytes; ends at the first that is not whole.
struct Changes<'a>(&'a [u8]);

impl<'a> Iterator for Changes<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = self.0.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*key)).ok()?)?;
        let (value, rest) = match u32::from_be_bytes(*value).checked_sub(1) {
            Some(length) => {
                let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(value), rest)
            }
            None => (None, rest),
        };
        self.0 = rest;
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let batch = Batch::from([
            (b"a".to_vec(), Some(b"1".to_vec())),
            (b"b".to_vec(), None),
            (b"c".to_vec(), Some(Vec::new())),
            (Vec::new(), Some(vec![0; 5_000])),
        ]);
        let rows = Rows::of(&batch).unwrap();
        let back: Batch = rows.owned().collect();
        assert_eq!(back, batch);
        assert_eq!(Rows::from_bytes(rows.as_bytes().to_vec()), Some(rows));
    }

    #[test]
    fn other_bytes_are_refused() {
        let rows = Rows::of(&Batch::from([(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), None)])).unwrap();
        let bytes = rows.as_bytes();
        for cut in 1..bytes.len() {
            // Cut between two changes, what is left is whole.
            assert_eq!(Rows::from_bytes(bytes[..cut].to_vec()).is_some(), cut == 10, "{cut}");
        }
        let twice = [bytes, bytes].concat();
        assert_eq!(Rows::from_bytes(twice), None, "keys ascend");
        assert_eq!(Rows::from_bytes(vec![255; 64]), None);
    }
}
