//! What a store says about itself: that it is one, in which format, and how many commits it holds.
//!
//! Each commit counts itself. When a store is closed, that number is noted outside of it ([`Backend::seal`]): a store that
//! holds fewer when it is opened has lost some.

use bincode::{Decode, Encode};
use dogwatch_core::Timestamp;

use crate::backend::{Backend, BackendError, Batch, RowMap};
use crate::error::OpenError;
use crate::record::{Corrupt, Stored, decode, encode};
use crate::rooms::{AnyEntity, FORMAT, RowChange, api_key, timestamp};
use crate::table::{Table, end_of};

impl Table {
    /// What the store is.
    pub(crate) const META: Self = Self::new(0x00, "Meta");
}

/// The tables of what a store says about itself.
pub(crate) const TABLES: &[Table] = &[Table::META];

#[derive(Debug, Encode, Decode)]
struct FormatV1 {
    format: u32,
}

impl Stored for FormatV1 {
    const VERSION: u8 = 1;
}

/// How many commits a store holds.
#[derive(Debug, Encode, Decode)]
struct CommitsV1 {
    commits: u64,
}

impl Stored for CommitsV1 {
    const VERSION: u8 = 1;
}

/// Up to when delivered notifications have been dropped.
#[derive(Debug, Encode, Decode)]
struct DroppedV1 {
    delivered_at: i64,
}

impl Stored for DroppedV1 {
    const VERSION: u8 = 1;
}

fn format_key() -> Vec<u8> {
    Table::META.key(&[b"format"])
}

fn unfinished_key() -> Vec<u8> {
    Table::META.key(&[b"unfinished"])
}

/// There while a store of an older format is being made one of this: rows of tables that are no more are dropped, rows of
/// tables that are new are written.
fn upgrading_key() -> Vec<u8> {
    Table::META.key(&[b"dropping"])
}

/// The tables that are no more: incidents by status, and by severity.
const GONE: [u8; 2] = [b'S', b'V'];
/// Formats before this one have these tables.
const GONE_SINCE: u32 = 4;
/// Formats before this one have no index of API keys by user.
const KEYS_BY_USER_SINCE: u32 = 6;
/// How many rows are dropped or written at once.
const CHUNK: usize = 1_000;

/// Whether a row says what state the store is in, which a copy of it says by itself.
pub(crate) fn is_mark(key: &[u8]) -> bool {
    key.first() == Some(&(Table::META.tag()))
        && [format_key(), unfinished_key(), upgrading_key()].iter().any(|mark| mark == key)
}

/// Whether a row belongs to a table that is no more.
pub(crate) fn is_gone(key: &[u8]) -> bool {
    key.first().is_some_and(|tag| GONE.contains(tag))
}

/// Whether a store may hold rows of tables that are no more: nobody has opened it to write since, or it was not finished.
pub(crate) fn may_hold_gone(read: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    let format = read(&format_key()).and_then(|value| decode::<FormatV1>(&format_key(), &value).ok());
    format.is_some_and(|row| row.format < GONE_SINCE) || read(&upgrading_key()).is_some()
}

/// The rows that a store of an older format lacks, for whoever only looks at it.
pub(crate) fn lacking(backend: &dyn Backend) -> Result<RowMap, OpenError> {
    let lacks = format(backend)?.is_some_and(|format| format < KEYS_BY_USER_SINCE);
    let upgrading = backend.get(&upgrading_key())?.is_some();
    if lacks || upgrading {
        keys_by_user(backend, &Table::API_KEY.key(&[]), usize::MAX).map(|(rows, _)| rows)
    } else {
        Ok(RowMap::new())
    }
}

/// The index rows of so many API keys from a key on, and where to go on.
fn keys_by_user(backend: &dyn Backend, start: &[u8], most: usize) -> Result<(RowMap, Option<Vec<u8>>), OpenError> {
    let mut rows = RowMap::new();
    for (read, pair) in backend.scan(start, &end_of(&Table::API_KEY.key(&[]))).enumerate() {
        let (key, value) = pair?;
        if read == most {
            return Ok((rows, Some(key)));
        }
        // What is damaged, `verify` tells; it is not a reason to refuse the store.
        if let Ok(Some(AnyEntity::ApiKey(it))) = AnyEntity::read(&key, &value, &|_| None) {
            rows.insert(api_key::api_key_by_user(it.org_id, it.user_id, it.id), Some(Vec::new()));
        }
    }
    Ok((rows, None))
}

fn commits_key() -> Vec<u8> {
    Table::META.key(&[b"commits"])
}

/// Where it stands up to when delivered notifications have been dropped.
pub(crate) fn dropped_key() -> Vec<u8> {
    Table::META.key(&[b"dropped"])
}

/// The row of that instant.
pub(crate) fn dropped(at: Timestamp, before: Option<Vec<u8>>) -> Result<RowChange, Corrupt> {
    let key = dropped_key();
    let after = encode(&key, &DroppedV1 { delivered_at: at.as_millis() })?;
    Ok(RowChange { key, before, after: Some(after) })
}

/// The instant that [`dropped`] wrote.
pub(crate) fn dropped_until(value: &[u8]) -> Result<Timestamp, Corrupt> {
    let row: DroppedV1 = decode(&dropped_key(), value)?;
    timestamp(row.delivered_at)
}

/// The row that counts one more commit.
pub(crate) fn count(commits: u64) -> Result<RowChange, Corrupt> {
    let key = commits_key();
    let value = |commits| encode(&key, &CommitsV1 { commits });
    let before = if commits == 0 { None } else { Some(value(commits)?) };
    Ok(RowChange { before, after: Some(value(commits.saturating_add(1))?), key })
}

/// How many commits a store holds; [`OpenError::Lost`] when it held more once.
pub(crate) fn commits(backend: &dyn Backend) -> Result<u64, OpenError> {
    let key = commits_key();
    let commits = match backend.get(&key)? {
        Some(value) => decode::<CommitsV1>(&key, &value).map_err(|why| OpenError::Corrupt(why.to_string()))?.commits,
        None => 0,
    };
    match backend.sealed()? {
        Some(sealed) if commits < sealed => Err(OpenError::Lost { found: commits, sealed }),
        _ => Ok(commits),
    }
}

/// Marks a store that is being written as a whole, so that nobody takes a half of it for one.
pub(crate) fn begin(backend: &dyn Backend) -> Result<(), OpenError> {
    put(backend, unfinished_key(), &FormatV1 { format: FORMAT })
}

/// Makes what was written since [`begin`] a store.
pub(crate) fn finish(backend: &dyn Backend) -> Result<(), OpenError> {
    backend.apply(&Batch::from([(unfinished_key(), None)]))?;
    write(backend)
}

/// Checks the format of a store that is only looked at.
pub(crate) fn known(backend: &dyn Backend) -> Result<(), OpenError> {
    format(backend)?.map(drop).ok_or(OpenError::NotAStore)
}

/// The format of a store, if it is one: one that this version can read.
fn format(backend: &dyn Backend) -> Result<Option<u32>, OpenError> {
    if backend.get(&unfinished_key())?.is_some() {
        return Err(OpenError::Unfinished);
    }
    let key = format_key();
    let Some(value) = backend.get(&key)? else { return Ok(None) };
    let found = decode::<FormatV1>(&key, &value).map_err(|_| OpenError::NotAStore)?.format;
    if found > FORMAT {
        return Err(OpenError::NewerFormat { found, known: FORMAT });
    }
    Ok(Some(found))
}

/// Checks the format of a store; makes an empty one a store, and one of an older format one of this.
///
/// Formats add tables and new versions of records (`FORMAT.md` lists them); older records are read as they are, and written
/// anew when they change. The rows of tables that are no more are dropped, those of indexes that are new are written; what
/// interrupts that, the next opening finishes.
pub(crate) fn check(backend: &dyn Backend) -> Result<(), OpenError> {
    match format(backend)? {
        Some(FORMAT) => {}
        Some(_) => {
            // Before anything changes, so that no older version takes what is left for all there is.
            let mark = |key: Vec<u8>| row(key, &FormatV1 { format: FORMAT });
            backend.apply(&Batch::from([mark(format_key())?, mark(upgrading_key())?]))?;
            backend.make_durable()?;
        }
        None if backend.scan(&[], &[0xFF]).next().transpose()?.is_some() => return Err(OpenError::NotAStore),
        None => return write(backend),
    }
    if backend.get(&upgrading_key())?.is_some() { upgrade(backend) } else { Ok(()) }
}

/// Writes the rows of tables that are new, and drops those of tables that are no more.
fn upgrade(backend: &dyn Backend) -> Result<(), OpenError> {
    let mut next = Some(Table::API_KEY.key(&[]));
    while let Some(start) = next {
        let (rows, go_on) = keys_by_user(backend, &start, CHUNK)?;
        if !rows.is_empty() {
            backend.apply(&Batch { rows })?;
            backend.make_durable()?;
        }
        next = go_on;
    }
    for tag in GONE {
        loop {
            let rows = backend.scan(&[tag], &end_of(&[tag])).take(CHUNK);
            let rows = rows.map(|pair| pair.map(|(key, _)| (key, None))).collect::<Result<Batch, _>>()?;
            if rows.is_empty() {
                break;
            }
            backend.apply(&rows)?;
            backend.make_durable()?;
        }
    }
    backend.apply(&Batch::from([(upgrading_key(), None)]))?;
    Ok(backend.make_durable()?)
}

fn write(backend: &dyn Backend) -> Result<(), OpenError> {
    put(backend, format_key(), &FormatV1 { format: FORMAT })
}

fn row<T: Stored>(key: Vec<u8>, record: &T) -> Result<(Vec<u8>, Option<Vec<u8>>), BackendError> {
    let value = encode(&key, record).map_err(|why| BackendError::new("writing the format", why.to_string()))?;
    Ok((key, Some(value)))
}

fn put<T: Stored>(backend: &dyn Backend, key: Vec<u8>, record: &T) -> Result<(), OpenError> {
    backend.apply(&Batch::from([row(key, record)?]))?;
    backend.make_durable()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;
    use crate::rooms::{Entity, Rows};
    use dogwatch_core::api_key::ApiKey;
    use dogwatch_core::id::ApiKeyId;
    use dogwatch_core::id::Id;
    use dogwatch_core::secret::SecretHash;
    use dogwatch_core::text::Name;
    use dogwatch_core::{OrgId, UserId};
    use std::sync::atomic::Ordering::Relaxed;

    fn put(backend: &MemoryBackend, key: &[u8], value: Vec<u8>) {
        backend.apply(&Batch::from([(key.to_vec(), Some(value))])).unwrap();
    }

    #[test]
    fn an_empty_store_becomes_one_and_stays_one() {
        let backend = MemoryBackend::new();
        check(&backend).unwrap();
        check(&backend).unwrap();
    }

    #[test]
    fn foreign_data_is_refused() {
        let backend = MemoryBackend::new();
        put(&backend, b"hello", b"world".to_vec());
        assert!(matches!(check(&backend), Err(OpenError::NotAStore)));
    }

    #[test]
    fn an_older_format_becomes_this_one() {
        let backend = MemoryBackend::new();
        let key = format_key();
        put(&backend, &key, encode(&key, &FormatV1 { format: 1 }).unwrap());
        check(&backend).unwrap();
        let found: FormatV1 = decode(&key, &backend.get(&key).unwrap().unwrap()).unwrap();
        assert_eq!(found.format, FORMAT);
    }

    /// A backend that fails after so many batches.
    struct Failing {
        inner: MemoryBackend,
        left: std::sync::atomic::AtomicUsize,
    }

    impl Backend for Failing {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
            self.inner.get(key)
        }
        fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> crate::backend::Scan<'a> {
            self.inner.scan(start, end)
        }
        fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
            let took = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            took.map_err(|_| BackendError::new("applying a batch", "the power is gone"))?;
            self.inner.apply(batch)
        }
        fn make_durable(&self) -> Result<(), BackendError> {
            self.inner.make_durable()
        }
    }

    /// Wherever it is interrupted, the next opening leaves what is to stay, and nothing of the tables that are no more.
    #[test]
    fn tables_that_are_no_more_are_dropped() {
        for batches in 0.. {
            let inner = MemoryBackend::new();
            put(&inner, &format_key(), encode(&format_key(), &FormatV1 { format: 3 }).unwrap());
            let numbers = 0..2 * u16::try_from(CHUNK).unwrap();
            for (tag, number) in [b'S', b'V', b'X'].into_iter().flat_map(|tag| numbers.clone().map(move |n| (tag, n))) {
                put(&inner, &[&[tag][..], &number.to_be_bytes()].concat(), Vec::new());
            }
            assert!(may_hold_gone(|key| inner.get(key).unwrap()));
            let failing = Failing { inner: inner.clone(), left: batches.into() };
            let done = check(&failing).is_ok();
            let left = |tag: u8| inner.scan(&[tag], &[tag + 1]).count();
            assert_eq!(may_hold_gone(|key| inner.get(key).unwrap()), !done, "after {batches} batches");
            check(&inner).unwrap();
            assert_eq!((left(b'S'), left(b'V'), left(b'X')), (0, 0, numbers.len()), "after {batches} batches");
            assert!(!may_hold_gone(|key| inner.get(key).unwrap()));
            if done {
                assert_eq!(batches, 6, "one to begin, two for each table, one to end");
                return;
            }
        }
    }

    fn api_key(number: u16) -> ApiKey {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        ApiKey {
            id: ApiKeyId::from_bytes(*bytes.first_chunk().unwrap()),
            org_id: OrgId::from_bytes([1; 16]),
            user_id: UserId::from_bytes([2; 16]),
            name: Name::new("a key").unwrap(),
            created_at: Timestamp::MIN,
            expires_at: None,
            last_four: "abcd".to_owned(),
            hash: SecretHash::from_bytes(bytes),
        }
    }

    /// Wherever it is interrupted, the next opening ends with an index row for each key; and whoever only looks sees all of them
    /// before.
    #[test]
    fn keys_of_older_formats_are_indexed_by_user() {
        let many = u16::try_from(CHUNK).unwrap() + 10;
        let index = Table::API_KEY_BY_USER.key(&[]);
        for batches in 0.. {
            let inner = MemoryBackend::new();
            put(&inner, &format_key(), encode(&format_key(), &FormatV1 { format: 5 }).unwrap());
            for number in 0..many {
                let mut rows = Rows::default();
                api_key(number).rows(&mut rows).unwrap();
                let older = rows.into_pairs().filter(|(key, _)| Table::of_key(key) != Some(Table::API_KEY_BY_USER));
                inner.apply(&older.map(|(key, value)| (key, Some(value))).collect::<Batch>()).unwrap();
            }
            let failing = Failing { inner: inner.clone(), left: batches.into() };
            let done = check(&failing).is_ok();
            assert_eq!(lacking(&inner).unwrap().len(), if done { 0 } else { many.into() }, "after {batches} batches");
            check(&inner).unwrap();
            assert_eq!(inner.scan(&index, &end_of(&index)).count(), usize::from(many), "after {batches} batches");
            if done {
                assert_eq!(batches, 4, "one to begin, two of keys, one to end");
                return;
            }
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let backend = MemoryBackend::new();
        let key = format_key();
        let value = encode(&key, &FormatV1 { format: FORMAT + 1 }).unwrap();
        put(&backend, &key, value);
        let error = check(&backend).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the store has format 7, but this version knows formats up to 6; use a newer version"
        );
    }

    #[test]
    fn a_damaged_format_is_not_taken_for_an_empty_store() {
        let backend = MemoryBackend::new();
        check(&backend).unwrap();
        put(&backend, &format_key(), vec![1, 2, 3]);
        assert!(matches!(check(&backend), Err(OpenError::NotAStore)));
    }
}
