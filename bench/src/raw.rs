//! sled and nothing else.

use std::fs::File;
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
