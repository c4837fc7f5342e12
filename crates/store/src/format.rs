//! What a store says about itself: that it is one, and in which format.

use bincode::{Decode, Encode};

use crate::backend::{Backend, BackendError, Batch};
use crate::error::OpenError;
use crate::keys::Table;
use crate::record::{Stored, decode, encode};

/// The format that this version writes. It changes when a store written by this version could be misread by an older one.
pub(crate) const FORMAT: u32 = 3;

#[derive(Debug, Encode, Decode)]
struct FormatV1 {
    format: u32,
}

impl Stored for FormatV1 {
    const VERSION: u8 = 1;
}

/// Checks the format of a store; makes an empty one a store, and one of an older format one of this.
///
/// Formats add tables and new versions of records (`FORMAT.md` lists them); older ones are read as they are, and written anew
/// when they change.
pub(crate) fn check(backend: &dyn Backend) -> Result<(), OpenError> {
    let key = Table::Meta.key(&[b"format"]);
    if let Some(value) = backend.get(&key)? {
        let found: FormatV1 = decode(&key, &value).map_err(|_| OpenError::NotAStore)?;
        return match found.format {
            FORMAT => Ok(()),
            older if older < FORMAT => write(backend, key),
            newer => Err(OpenError::NewerFormat { found: newer, known: FORMAT }),
        };
    }
    if backend.scan(&[], &[0xFF]).next().transpose()?.is_some() {
        return Err(OpenError::NotAStore);
    }
    write(backend, key)
}

fn write(backend: &dyn Backend, key: Vec<u8>) -> Result<(), OpenError> {
    let value = encode(&key, &FormatV1 { format: FORMAT });
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
        let key = Table::Meta.key(&[b"format"]);
        put(&backend, &key, encode(&key, &FormatV1 { format: 1 }).unwrap());
        check(&backend).unwrap();
        let found: FormatV1 = decode(&key, &backend.get(&key).unwrap().unwrap()).unwrap();
        assert_eq!(found.format, FORMAT);
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let backend = MemoryBackend::new();
        let key = Table::Meta.key(&[b"format"]);
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
        put(&backend, &Table::Meta.key(&[b"format"]), vec![1, 2, 3]);
        assert!(matches!(check(&backend), Err(OpenError::NotAStore)));
    }
}
