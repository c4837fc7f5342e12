//! What a store says about itself: that it is one, in which format, and how many commits it holds.
//!
//! Each commit counts itself. When a store is closed, that number is noted outside of it ([`Backend::seal`]): a store that
//! holds fewer when it is opened has lost some.

use bincode::{Decode, Encode};
use dogwatch_core::Timestamp;

use crate::backend::{Backend, BackendError, Batch};
use crate::error::OpenError;
use crate::keys::Table;
use crate::record::{Corrupt, Stored, decode, encode};
use crate::records::{RowChange, timestamp};

/// The format that this version writes. It changes when a store written by this version could be misread by an older one.
pub(crate) const FORMAT: u32 = 3;

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
    Table::Meta.key(&[b"format"])
}

fn unfinished_key() -> Vec<u8> {
    Table::Meta.key(&[b"unfinished"])
}

/// Whether a row says that a store is one, or not yet one.
pub(crate) fn is_mark(key: &[u8]) -> bool {
    key == format_key() || key == unfinished_key()
}

fn commits_key() -> Vec<u8> {
    Table::Meta.key(&[b"commits"])
}

/// Where it stands up to when delivered notifications have been dropped.
pub(crate) fn dropped_key() -> Vec<u8> {
    Table::Meta.key(&[b"dropped"])
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
/// Formats add tables and new versions of records (`FORMAT.md` lists them); older ones are read as they are, and written anew
/// when they change.
pub(crate) fn check(backend: &dyn Backend) -> Result<(), OpenError> {
    match format(backend)? {
        Some(FORMAT) => return Ok(()),
        Some(_) => {}
        None if backend.scan(&[], &[0xFF]).next().transpose()?.is_some() => return Err(OpenError::NotAStore),
        None => {}
    }
    write(backend)
}

fn write(backend: &dyn Backend) -> Result<(), OpenError> {
    put(backend, format_key(), &FormatV1 { format: FORMAT })
}

fn put<T: Stored>(backend: &dyn Backend, key: Vec<u8>, record: &T) -> Result<(), OpenError> {
    let value = encode(&key, record);
    let value = value.map_err(|why| BackendError::new("writing the format", why.to_string()))?;
    backend.apply(&Batch::from([(key, Some(value))]))?;
    backend.make_durable()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;

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

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let backend = MemoryBackend::new();
        let key = format_key();
        let value = encode(&key, &FormatV1 { format: FORMAT + 1 }).unwrap();
        put(&backend, &key, value);
        let error = check(&backend).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the store has format 4, but this version knows formats up to 3; use a newer version"
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
