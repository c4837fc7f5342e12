//! The [`View`]: the rows as they were at one moment; and a scan of what it sees.

use std::collections::VecDeque;
use std::iter::Peekable;

use super::{Changed, Versions};
use crate::backend::{BackendError, Pair, Scan};
use crate::commit::cache::Decoded;
use crate::commit::overlay::Source;
use crate::journal::Head;

/// The rows as they were at one moment, while commits go on.
pub(crate) struct View<'a> {
    pub(super) versions: &'a Versions,
    pub(super) head: Head,
    /// Whether it is counted among the views for which older values are kept.
    pub(super) counted: bool,
    /// Whether what is decoded through it is kept in the cache. The writer would only change it again.
    pub(super) remembers: bool,
}

impl View<'_> {
    /// The last commit that the view sees.
    pub(crate) const fn head(&self) -> Head {
        self.head
    }
}

impl Source for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.versions.get(self.head.position.number, key)
    }

    fn scan<'s>(&'s self, start: &[u8], end: &[u8]) -> Scan<'s> {
        if start >= end {
            return Box::new(std::iter::empty());
        }
        let (versions, number) = (self.versions, self.head.position.number);
        Box::new(Scanning { versions, number, next: start.to_vec(), end: end.to_vec(), part: None })
    }

    fn remembered(&self, key: &[u8]) -> Option<Decoded> {
        self.versions.remembered(self.head.position.number, key)
    }

    fn remember(&self, key: &[u8], decoded: Decoded, row: usize) {
        if self.remembers {
            self.versions.remember(self.head.position.number, key, decoded, row);
        }
    }

    fn is_lost(&self) -> bool {
        self.versions.is_lost(self.head.position.number)
    }

    fn size_on_disk(&self) -> Option<u64> {
        self.versions.size_on_disk()
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if self.counted {
            self.versions.release(self.head);
        }
    }
}

/// A scan of what a view sees, in parts: the versions of some rows, which are read first, and the backend up to the last of them.
struct Scanning<'a> {
    versions: &'a Versions,
    number: u64,
    /// The key from which to go on.
    next: Vec<u8>,
    end: Vec<u8>,
    part: Option<Part<'a>>,
}

struct Part<'a> {
    versions: VecDeque<Changed>,
    backend: Peekable<Scan<'a>>,
    /// The key up to which the versions are all that there are.
    end: Vec<u8>,
}

impl Scanning<'_> {
    /// The next row of the present part, which may turn out not to exist; `None` at its end.
    fn step(&mut self) -> Option<Result<Changed, BackendError>> {
        let Self { versions, number, next, end, part } = self;
        let part = part.get_or_insert_with(|| {
            let (first, upper) = versions.versions(*number, next, end);
            Part { versions: first, backend: versions.backend.scan(next, &upper).peekable(), end: upper }
        });
        let version = part.versions.front().map(|(key, _)| key.as_slice());
        let row = match part.backend.peek() {
            Some(Ok((key, _))) => Some(key.as_slice()),
            // A scan ends at the first row that cannot be read.
            Some(Err(_)) => return part.backend.next().and_then(Result::err).map(Err),
            None => None,
        };
        let first = [version, row].into_iter().flatten().min();
        if versions.is_overtaken(*number) {
            // What was kept comes before what the backend holds, and so does a row that it does not hold any more.
            let upper = match (first, version) {
                (Some(first), version) if version == Some(first) => first.to_vec(),
                (Some(first), _) => [first, &[0][..]].concat(),
                (None, _) => part.end.clone(),
            };
            let kept = versions.first_kept(*number, next, &upper);
            if let Err(why) = versions.check_not_lost(*number) {
                return Some(Err(why));
            }
            if let Some(kept) = kept {
                if row == Some(kept.0.as_slice()) {
                    part.backend.next();
                }
                return Some(Ok(kept));
            }
        }
        match (version, row) {
            (None, None) => None,
            (Some(version), row) if row.is_none_or(|row| version <= row) => {
                if row == Some(version) {
                    part.backend.next();
                }
                part.versions.pop_front().map(Ok)
            }
            _ => part.backend.next().map(|pair| pair.map(|(key, value)| (key, Some(value)))),
        }
    }
}

impl Iterator for Scanning<'_> {
    type Item = Result<Pair, BackendError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.end {
            match self.step() {
                Some(Ok((key, value))) => {
                    self.next.clear();
                    self.next.extend_from_slice(&key);
                    self.next.push(0);
                    if let Some(value) = value {
                        return Some(Ok((key, value)));
                    }
                }
                Some(Err(error)) => {
                    self.next.clone_from(&self.end);
                    return Some(Err(error));
                }
                None => self.next = self.part.take().map_or_else(|| self.end.clone(), |part| part.end),
            }
        }
        None
    }
}
