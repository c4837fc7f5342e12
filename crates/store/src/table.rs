//! The [`Table`]s of the store, and how keys are built: a table's tag (1 byte), mostly the organization, then the other
//! parts, with numbers and ids in big-endian order.
//!
//! Each module of [`crate::rooms`] declares its tables. Every list of the contract is one ascending scan, or a merge of a
//! few. Where the newest comes first, the id is written with its bits inverted: an id begins with the millisecond of its
//! creation, so newer ids sort first. `FORMAT.md` describes every table.

use dogwatch_core::id::Id;
use dogwatch_core::secret::SecretHash;
use dogwatch_core::{OrgId, Timestamp};
use std::fmt;

use crate::rooms;

/// A table: the rows whose keys begin with one tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Table {
    tag: u8,
    name: &'static str,
}

/// Shows the name of the table, as in `FORMAT.md`.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Table {
    /// A table with a tag of its own, the first byte of each of its keys.
    pub(crate) const fn new(tag: u8, name: &'static str) -> Self {
        Self { tag, name }
    }

    /// The tag: the first byte of every key of the table.
    pub(crate) const fn tag(self) -> u8 {
        self.tag
    }

    /// All tables of the present format.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        rooms::TABLES.iter().copied().flatten().copied()
    }

    /// The table that a key belongs to, by its tag.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        let tag = *key.first()?;
        Self::all().find(|table| table.tag == tag)
    }

    /// A key of this table: the tag and these parts.
    pub(crate) fn key(self, parts: &[&[u8]]) -> Vec<u8> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
        let mut key = Vec::with_capacity(length);
        key.push(self.tag);
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    /// A key of this table in an organization: the tag, the organization's id, and these parts.
    pub(crate) fn of(self, org: OrgId, parts: &[&[u8]]) -> Vec<u8> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + 17;
        let mut key = Vec::with_capacity(length);
        key.push(self.tag);
        key.extend_from_slice(&org.to_bytes());
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    /// The key of an organization's row, or the prefix of its rows, with this id.
    pub(crate) fn record(self, org: OrgId, id: impl Id) -> Vec<u8> {
        self.of(org, &[&id.to_bytes()])
    }

    /// The key of a row under the hash of a secret. It holds no organization.
    pub(crate) fn hashed(self, hash: SecretHash) -> Vec<u8> {
        self.key(&[&hash.to_bytes()])
    }
}

/// The exclusive end of the range of keys that begin with a prefix.
pub(crate) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // Only a prefix of nothing but 0xFF gets here, and no tag is 0xFF.
    vec![0xFF; prefix.len() + 1]
}

/// An instant as a part of a key: milliseconds since 1970, 8 bytes, so that later ones sort behind.
pub(crate) fn instant(at: Timestamp) -> [u8; 8] {
    at.as_millis().to_be_bytes()
}

/// Reads the instant that [`instant`] wrote, and gives what is behind it.
pub(crate) fn take_instant(key: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (at, rest) = key.split_first_chunk::<8>()?;
    Some((Timestamp::from_millis(i64::from_be_bytes(*at))?, rest))
}

/// Reads a key of a table that is sorted by time over all organizations: its instant and the two ids behind it.
pub(crate) fn by_time<A: Id, B: Id>(key: &[u8]) -> Option<(Timestamp, A, B)> {
    let (at, rest) = take_instant(key.get(1..)?)?;
    let (first, second) = rest.split_first_chunk::<16>()?;
    Some((at, A::from_bytes(*first), B::from_bytes(*second.first_chunk::<16>()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_differ() {
        let mut tags: Vec<_> = Table::all().map(Table::tag).collect();
        let count = tags.len();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), count);
    }

    #[test]
    fn every_table_is_documented() {
        let format = include_str!("../FORMAT.md");
        for table in Table::all() {
            let tag = match table.tag() {
                0 => "`00`".to_owned(),
                other => format!("`{}`", char::from(other)),
            };
            let line = format.lines().find(|line| line.starts_with(&format!("| {tag} |")));
            assert!(
                line.is_some_and(|line| line.contains(&format!("{table:?}"))),
                "{table:?} has no line in FORMAT.md"
            );
        }
    }

    #[test]
    fn ends() {
        for (prefix, end) in [
            (&b"ab"[..], &b"ac"[..]),
            (b"a\xFF", b"b"),
            (b"a\xFF\xFF", b"b"),
            (b"\x00", b"\x01"),
            (b"\xFF", b"\xFF\xFF"),
        ] {
            assert_eq!(end_of(prefix), end, "{prefix:?}");
        }
    }
}
