//! [`Rows`]: the changes of a commit as bytes, as they stand in the journal.
//!
//! For each change in ascending order of keys: a mark (2 bytes), the length of the key (2 bytes), the length of the value plus one,
//! or 0 when the row is deleted (4 bytes), the key, the value. Numbers are big endian. The lowest bit of the mark says that the row
//! is of a new entity, the others who changed it: 0 for nobody in particular, else the number of an author, from 1.
//!
//! If there are authors, they stand in front, as a change with the mark `FF FF`, their number (2 bytes) and 0 (4 bytes); each takes
//! 33 bytes: 1 for the operator, 2 for anybody, 3 for a member; then the organization and the user, or zeros.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Peekable;

use dogwatch_core::id::Id;
use dogwatch_core::{Actor, OrgId, UserId};

use crate::backend::{Batch, RowMap};

/// The mark in front of the authors.
const AUTHORS: u16 = u16::MAX;
/// The bytes of an author.
const AUTHOR: usize = 33;
/// The most authors of a commit. A row by one more is by nobody in particular.
const MOST_AUTHORS: usize = 0x7FFE;

/// The changes of a commit: for each key a value to put, or `None` to delete. Ascending by key, each key once.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Rows(Vec<u8>);

/// The change of a row, and what the commit says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The key of the row.
    pub key: &'a [u8],
    /// The value that it has from here on; `None` when it is deleted.
    pub value: Option<&'a [u8]>,
    /// Whether it is a row of an entity that this commit creates.
    pub created: bool,
    /// Who changed it; `None` for the engine itself, and where nobody noted it down.
    pub author: Option<Actor>,
}

/// What is said of the rows of a commit while it is assembled.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    authors: Vec<Actor>,
    of_rows: BTreeMap<Vec<u8>, u16>,
}

impl Marks {
    /// The mark of a row that an author changes.
    pub(crate) fn mark(&mut self, author: Option<Actor>, created: bool) -> u16 {
        let number = author.map_or(0, |author| match self.authors.iter().rposition(|other| *other == author) {
            Some(place) => place.saturating_add(1),
            None if self.authors.len() == MOST_AUTHORS => 0,
            None => {
                self.authors.push(author);
                self.authors.len()
            }
        });
        u16::try_from(number).unwrap_or(0) << 1 | u16::from(created)
    }

    /// Sets the mark of a row, and gives the one that it had. A row that was new in this commit stays new.
    pub(crate) fn set(&mut self, key: &[u8], mark: u16) -> Option<u16> {
        match self.of_rows.get_mut(key) {
            Some(before) => Some(std::mem::replace(before, mark | (*before & 1))),
            None => self.of_rows.insert(key.to_vec(), mark),
        }
    }

    /// Puts the mark back that a row had.
    pub(crate) fn put_back(&mut self, key: &[u8], mark: Option<u16>) {
        match mark {
            Some(mark) => self.of_rows.insert(key.to_vec(), mark),
            None => self.of_rows.remove(key),
        };
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let Ok(count @ 1..) = u16::try_from(self.authors.len()) else { return };
        bytes.extend_from_slice(&AUTHORS.to_be_bytes());
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for author in &self.authors {
            let (kind, org, user) = match author {
                Actor::Operator => (1, [0; 16], [0; 16]),
                Actor::Anybody => (2, [0; 16], [0; 16]),
                Actor::Member { org_id, user_id } => (3, org_id.to_bytes(), user_id.to_bytes()),
            };
            bytes.push(kind);
            bytes.extend_from_slice(&org);
            bytes.extend_from_slice(&user);
        }
    }
}

impl Rows {
    /// The changes as they stand in the journal; `None` when a key is longer than 64 KiB, or a value longer than 4 GiB.
    pub(crate) fn encode(rows: &RowMap, marks: &Marks) -> Option<Self> {
        let size = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| 8 + key.len() + value.as_ref().map_or(0, Vec::len);
        let mut bytes = Vec::with_capacity(rows.iter().map(size).sum::<usize>() + 8 + AUTHOR * marks.authors.len());
        if rows.is_empty() {
            return Some(Self(bytes));
        }
        marks.encode(&mut bytes);
        let mut of_rows = marks.of_rows.iter().peekable();
        for (key, value) in rows {
            let length = match value {
                Some(value) => u32::try_from(value.len()).ok()?.checked_add(1)?,
                None => 0,
            };
            bytes.extend_from_slice(&mark_of(&mut of_rows, key).to_be_bytes());
            bytes.extend_from_slice(&u16::try_from(key.len()).ok()?.to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value.as_deref().unwrap_or_default());
        }
        Some(Self(bytes))
    }

    /// The changes of a batch, by nobody in particular; `None` when a key is longer than 64 KiB, or a value longer than 4 GiB.
    #[must_use]
    pub fn of(batch: &Batch) -> Option<Self> {
        Self::encode(&batch.rows, &Marks::default())
    }

    /// The changes that these bytes hold; `None` when they are not what [`Rows`] writes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let rows = Self(bytes);
        let (mut changes, mut last) = (Changes::of(&rows.0)?, None);
        let authors = changes.authors.len() / AUTHOR;
        for (mark, key, _) in changes.by_ref() {
            if last.is_some_and(|last| last >= key) || usize::from(mark >> 1) > authors {
                return None;
            }
            last = Some(key);
        }
        let whole = changes.rest.is_empty() && changes.authors.chunks(AUTHOR).all(|author| actor(author).is_some());
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
        Changes::of(&self.0).into_iter().flatten().map(|(_, key, value)| (key, value))
    }

    /// The changes with what the commit says of them, ascending by key.
    pub fn marked(&self) -> impl Iterator<Item = Row<'_>> {
        Changes::of(&self.0).into_iter().flat_map(|changes| {
            let authors = changes.authors;
            changes.map(move |(mark, key, value)| {
                let author = usize::from(mark >> 1).checked_sub(1).and_then(|place| authors.chunks(AUTHOR).nth(place));
                Row { key, value, created: mark & 1 == 1, author: author.and_then(actor) }
            })
        })
    }
}

/// The mark of a row; the marks are in the order of keys, as the rows are.
fn mark_of<'a>(marks: &mut Peekable<impl Iterator<Item = (&'a Vec<u8>, &'a u16)>>, key: &[u8]) -> u16 {
    while marks.next_if(|(marked, _)| marked.as_slice() < key).is_some() {}
    marks.next_if(|(marked, _)| marked.as_slice() == key).map_or(0, |(_, mark)| *mark)
}

/// Reads an author.
fn actor(bytes: &[u8]) -> Option<Actor> {
    let (kind, rest) = bytes.split_first()?;
    let (org, user) = rest.split_first_chunk::<16>()?;
    let user = user.first_chunk::<16>()?;
    match kind {
        1 => Some(Actor::Operator),
        2 => Some(Actor::Anybody),
        3 => Some(Actor::member(OrgId::from_bytes(*org), UserId::from_bytes(*user))),
        _ => None,
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({} in {} bytes)", self.iter().count(), self.0.len())
    }
}

/// Takes changes from bytes; ends at the first that is not whole.
struct Changes<'a> {
    authors: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Changes<'a> {
    /// The changes that bytes hold; `None` when their authors are not whole.
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let Some(rest) = bytes.strip_prefix(&AUTHORS.to_be_bytes()) else {
            return Some(Self { authors: &[], rest: bytes });
        };
        let (count, rest) = rest.split_first_chunk::<2>()?;
        let (zero, rest) = rest.split_first_chunk::<4>()?;
        let size = usize::from(u16::from_be_bytes(*count)).checked_mul(AUTHOR)?;
        let (authors, rest) = rest.split_at_checked(size)?;
        (*zero == [0; 4] && size > 0).then_some(Self { authors, rest })
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = (u16, &'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (mark, rest) = self.rest.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*key)))?;
        let (value, rest) = match u32::from_be_bytes(*value).checked_sub(1) {
            Some(length) => {
                let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(value), rest)
            }
            None => (None, rest),
        };
        self.rest = rest;
        Some((u16::from_be_bytes(*mark), key, value))
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
    fn who_changed_what() {
        let ada = Actor::member(OrgId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let (key, value) = (|key: &str| key.as_bytes().to_vec(), Some(b"1".to_vec()));
        let rows: RowMap = ["a", "b", "c", "d"].map(|it| (key(it), value.clone())).into_iter().collect();
        let mut marks = Marks::default();
        for (of, author, created) in [
            ("a", Some(ada), true),
            ("c", Some(Actor::Operator), false),
            ("d", None, true),
            // Somebody else changes what is new in the same commit.
            ("a", Some(Actor::Anybody), false),
            // A row that is not in the commit in the end.
            ("bb", Some(ada), false),
        ] {
            let mark = marks.mark(author, created);
            marks.set(of.as_bytes(), mark);
        }
        let rows = Rows::encode(&rows, &marks).unwrap();
        let back = Rows::from_bytes(rows.as_bytes().to_vec()).unwrap();
        let shown: Vec<_> = back.marked().map(|row| (row.key[0], row.author, row.created)).collect();
        let expected = [
            (b'a', Some(Actor::Anybody), true),
            (b'b', None, false),
            (b'c', Some(Actor::Operator), false),
            (b'd', None, true),
        ];
        assert_eq!(shown, expected);
        assert_eq!(back.iter().count(), 4);
    }

    #[test]
    fn a_mark_names_an_author_who_is_there() {
        let row = |mark: u16| [&mark.to_be_bytes()[..], &[0, 1, 0, 0, 0, 0, b'a']].concat();
        assert!(Rows::from_bytes(row(1)).is_some());
        assert!(Rows::from_bytes(row(2)).is_none());
        let author = [&[0xFF, 0xFF, 0, 1, 0, 0, 0, 0, 1][..], &[0; 32]].concat();
        assert!(Rows::from_bytes([author.clone(), row(2)].concat()).is_some());
        assert!(Rows::from_bytes([author.clone(), row(4)].concat()).is_none());
        let unknown = [&author[..8], &[4], &author[9..]].concat();
        assert!(Rows::from_bytes([unknown, row(2)].concat()).is_none());
        assert!(Rows::from_bytes(author[..40].to_vec()).is_none());
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
