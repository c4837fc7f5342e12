//! The table `Meta`: the rows with which a store describes itself, the check of its format at opening, and the upgrade from
//! older formats.
//!
//! `Meta` holds the format, the number of commits, and the marks of a store that is being written or upgraded. Each commit
//! increments the number of commits. When a store is closed, that number is noted outside of the database
//! ([`Backend::seal`]): a store that holds fewer when it is opened has lost some ([`OpenError::Lost`]).

use bincode::{Decode, Encode};
use dogwatch_core::Timestamp;

use crate::backend::{Backend, BackendError, Batch, RowMap};
use crate::error::OpenError;
use crate::record::{Corrupt, Stored, decode, encode};
use crate::rooms::{AnyEntity, FORMAT, RowChange, api_key, timestamp};
use crate::table::{Table, end_of};

impl Table {
    /// The description of the store itself: its format, its commits, and its marks.
    pub(crate) const META: Self = Self::new(0x00, "Meta");
}

/// The tables that this module declares.
pub(crate) const TABLES: &[Table] = &[Table::META];

#[derive(Debug, Encode, Decode)]
struct FormatV1 {
    format: u32,
}

impl Stored for FormatV1 {
    const VERSION: u8 = 1;
}

/// The number of commits that a store holds.
#[derive(Debug, Encode, Decode)]
struct CommitsV1 {
    commits: u64,
}

impl Stored for CommitsV1 {
    const VERSION: u8 = 1;
}

/// The instant of delivery up to which notifications may have been dropped, in milliseconds since 1970.
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

/// The key of the mark of an unfinished upgrade: it exists while rows of removed tables are being dropped and rows of new
/// indexes are being written.
fn upgrading_key() -> Vec<u8> {
    Table::META.key(&[b"dropping"])
}

/// The tags of removed tables: incidents by status, and incidents by severity.
const GONE: [u8; 2] = [b'S', b'V'];
/// Formats before this one have the removed tables.
const GONE_SINCE: u32 = 4;
/// Formats before this one have no index of API keys by user.
const KEYS_BY_USER_SINCE: u32 = 6;
/// The largest number of rows that are dropped in one batch, or of API keys that are indexed in one.
const CHUNK: usize = 1_000;

/// Whether a row holds the format or a mark of an unfinished store. A copy of the store writes its own instead.
pub(crate) fn is_mark(key: &[u8]) -> bool {
    key.first() == Some(&(Table::META.tag()))
        && [format_key(), unfinished_key(), upgrading_key()].iter().any(|mark| mark == key)
}

/// Whether a row belongs to a removed table.
pub(crate) fn is_gone(key: &[u8]) -> bool {
    key.first().is_some_and(|tag| GONE.contains(tag))
}

/// The format that a store says it has; 0 when it says nothing that can be read.
pub(crate) fn shown(read: impl Fn(&[u8]) -> Option<Vec<u8>>) -> u32 {
    let row = read(&format_key()).and_then(|value| decode::<FormatV1>(&format_key(), &value).ok());
    row.map_or(0, |row| row.format)
}

/// Whether a store may hold rows of removed tables: it has not been opened for writing since, or its upgrade is unfinished.
pub(crate) fn may_hold_gone(read: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    let format = read(&format_key()).and_then(|value| decode::<FormatV1>(&format_key(), &value).ok());
    format.is_some_and(|row| row.format < GONE_SINCE) || read(&upgrading_key()).is_some()
}

/// The index rows that a store of an older format lacks, for a reader that does not upgrade it.
pub(crate) fn lacking(backend: &dyn Backend) -> Result<RowMap, OpenError> {
    let lacks = format(backend)?.is_some_and(|format| format < KEYS_BY_USER_SINCE);
    let upgrading = backend.get(&upgrading_key())?.is_some();
    if lacks || upgrading {
        keys_by_user(backend, &Table::API_KEY.key(&[]), usize::MAX).map(|(rows, _)| rows)
    } else {
        Ok(RowMap::new())
    }
}

/// The index rows of at most `most` API keys from the key `start` on, and the key from which to continue.
fn keys_by_user(backend: &dyn Backend, start: &[u8], most: usize) -> Result<(RowMap, Option<Vec<u8>>), OpenError> {
    let mut rows = RowMap::new();
    for (read, pair) in backend.scan(start, &end_of(&Table::API_KEY.key(&[]))).enumerate() {
        let (key, value) = pair?;
        if read == most {
            return Ok((rows, Some(key)));
        }
        // A damaged record is left to `verify`; it is not a reason to refuse the store.
        if let Ok(Some(AnyEntity::ApiKey(it))) = AnyEntity::read(&key, &value, &|_| None) {
            rows.insert(api_key::api_key_by_user(it.org_id, it.user_id, it.id), Some(Vec::new()));
        }
    }
    Ok((rows, None))
}

fn commits_key() -> Vec<u8> {
    Table::META.key(&[b"commits"])
}

/// The key of the instant of delivery up to which notifications may have been dropped.
pub(crate) fn dropped_key() -> Vec<u8> {
    Table::META.key(&[b"dropped"])
}

/// The change that sets the instant under [`dropped_key`]; `before` is the value that the row holds.
pub(crate) fn dropped(at: Timestamp, before: Option<Vec<u8>>) -> Result<RowChange, Corrupt> {
    let key = dropped_key();
    let after = encode(&key, &DroppedV1 { delivered_at: at.as_millis() })?;
    Ok(RowChange { key, before, after: Some(after) })
}

/// Decodes the instant that [`dropped`] wrote.
pub(crate) fn dropped_until(value: &[u8]) -> Result<Timestamp, Corrupt> {
    let row: DroppedV1 = decode(&dropped_key(), value)?;
    timestamp(row.delivered_at)
}

/// The change that increments the number of commits from `commits`.
pub(crate) fn count(commits: u64) -> Result<RowChange, Corrupt> {
    let key = commits_key();
    let value = |commits| encode(&key, &CommitsV1 { commits });
    let before = if commits == 0 { None } else { Some(value(commits)?) };
    Ok(RowChange { before, after: Some(value(commits.saturating_add(1))?), key })
}

/// The number of commits that a store holds; [`OpenError::Lost`] when its seal says that it held more.
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

/// Marks a store that is being written as a whole, so that an incomplete one is not taken for a store.
pub(crate) fn begin(backend: &dyn Backend) -> Result<(), OpenError> {
    put(backend, unfinished_key(), &FormatV1 { format: FORMAT })
}

/// Ends what [`begin`] began: removes the mark and writes the format, after which the store can be opened.
pub(crate) fn finish(backend: &dyn Backend) -> Result<(), OpenError> {
    backend.apply(&Batch::from([(unfinished_key(), None)]))?;
    write(backend)
}

/// Checks the format of a store that is only read; [`OpenError::NotAStore`] when there is none.
pub(crate) fn known(backend: &dyn Backend) -> Result<(), OpenError> {
    format(backend)?.map(drop).ok_or(OpenError::NotAStore)
}

/// The format of a store, which this version can read; `None` when there is no row of it.
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

/// Checks the format of a store. It makes an empty backend a store, and upgrades a store of an older format, or refuses it.
///
/// Formats add tables and new versions of records (`FORMAT.md` lists them). Older records are read in their version, and
/// written in the newest when they change. The rows of removed tables are dropped, and those of new indexes are written; an
/// upgrade that was interrupted is finished at the next opening.
pub(crate) fn check(backend: &dyn Backend, upgrades: bool) -> Result<(), OpenError> {
    match format(backend)? {
        Some(FORMAT) => {}
        Some(found) if !upgrades => return Err(OpenError::OlderFormat { found, known: FORMAT }),
        Some(_) => {
            // A store that has lost commits stays as it is, so that the version that wrote it can still look at it.
            commits(backend)?;
            // The format is marked before any row changes, so that no older version opens a store that is half upgraded.
            let mark = |key: Vec<u8>| row(key, &FormatV1 { format: FORMAT });
            backend.apply(&Batch::from([mark(format_key())?, mark(upgrading_key())?]))?;
            backend.make_durable()?;
        }
        None if backend.scan(&[], &[0xFF]).next().transpose()?.is_some() => return Err(OpenError::NotAStore),
        None => return write(backend),
    }
    if backend.get(&upgrading_key())?.is_none() {
        return Ok(());
    }
    if upgrades { upgrade(backend) } else { Err(OpenError::OlderFormat { found: FORMAT, known: FORMAT }) }
}

/// Writes the rows of new indexes, drops those of removed tables, and removes the mark of the upgrade.
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
        check(&backend, true).unwrap();
        check(&backend, true).unwrap();
    }

    #[test]
    fn foreign_data_is_refused() {
        let backend = MemoryBackend::new();
        put(&backend, b"hello", b"world".to_vec());
        assert!(matches!(check(&backend, true), Err(OpenError::NotAStore)));
    }

    #[test]
    fn an_older_format_becomes_this_one() {
        let backend = MemoryBackend::new();
        let key = format_key();
        put(&backend, &key, encode(&key, &FormatV1 { format: 1 }).unwrap());
        check(&backend, true).unwrap();
        let found: FormatV1 = decode(&key, &backend.get(&key).unwrap().unwrap()).unwrap();
        assert_eq!(found.format, FORMAT);
    }

    /// A backend that was closed with a thousand commits.
    struct Sealed(MemoryBackend);

    impl Backend for Sealed {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
            self.0.get(key)
        }
        fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> crate::backend::Scan<'a> {
            self.0.scan(start, end)
        }
        fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
            self.0.apply(batch)
        }
        fn make_durable(&self) -> Result<(), BackendError> {
            self.0.make_durable()
        }
        fn sealed(&self) -> Result<Option<u64>, BackendError> {
            Ok(Some(1_000))
        }
    }

    /// The version that wrote it can still look at it.
    #[test]
    fn a_store_that_has_lost_commits_is_not_upgraded() {
        let backend = Sealed(MemoryBackend::new());
        let key = format_key();
        put(&backend.0, &key, encode(&key, &FormatV1 { format: 5 }).unwrap());
        assert!(matches!(check(&backend, true), Err(OpenError::Lost { found: 0, sealed: 1_000 })));
        let found: FormatV1 = decode(&key, &backend.get(&key).unwrap().unwrap()).unwrap();
        assert_eq!(found.format, 5);
    }

    /// A backend that fails once it has applied `left` batches.
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

    /// Wherever an upgrade is interrupted, the next opening keeps all other rows, and drops all of the removed tables.
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
            let done = check(&failing, true).is_ok();
            let left = |tag: u8| inner.scan(&[tag], &[tag + 1]).count();
            assert_eq!(may_hold_gone(|key| inner.get(key).unwrap()), !done, "after {batches} batches");
            check(&inner, true).unwrap();
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

    /// Wherever an upgrade is interrupted, the next opening ends with an index row for each key; and a store that is only read
    /// shows all of them before.
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
            let done = check(&failing, true).is_ok();
            assert_eq!(lacking(&inner).unwrap().len(), if done { 0 } else { many.into() }, "after {batches} batches");
            check(&inner, true).unwrap();
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
        let error = check(&backend, true).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the store has format {}, but this version knows formats up to {FORMAT}; use a newer version",
                FORMAT + 1
            )
        );
    }

    #[test]
    fn a_damaged_format_is_not_taken_for_an_empty_store() {
        let backend = MemoryBackend::new();
        check(&backend, true).unwrap();
        put(&backend, &format_key(), vec![1, 2, 3]);
        assert!(matches!(check(&backend, true), Err(OpenError::NotAStore)));
    }
}
