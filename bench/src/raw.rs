//! sled and nothing else, and a file and nothing else.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use dogwatch_store::backend::Batch;

use super::Failure;

pub(crate) struct Raw {
    db: sled::Db,
    log: File,
}

impl Raw {
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let db = sled::open(folder)?;
        Ok(Self { db, log: File::open(folder.join("db"))? })
    }

    pub(crate) fn apply(&self, rows: Batch) -> Result<(), Failure> {
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        Ok(self.db.apply_batch(batch)?)
    }

    pub(crate) fn make_durable(&self) -> Result<(), Failure> {
        self.db.flush()?;
        Ok(self.log.sync_data()?)
    }
}

/// A file that was filled with zeros before it is written.
pub(crate) struct ZeroFilled(File);

impl ZeroFilled {
    pub(crate) fn new(path: &Path, bytes: usize) -> Result<Self, Failure> {
        let mut file = OpenOptions::new().create_new(true).write(true).open(path)?;
        let zeros = vec![0; 1 << 20];
        (0..=bytes / zeros.len()).try_for_each(|_| file.write_all(&zeros))?;
        file.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self(file))
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes)?;
        Ok(self.0.sync_data()?)
    }
}
