//! The copy of a shared store in a server's folder: opened where it was left, made anew when it is of no use, and put aside when it
//! holds commits that the shared journal has lost.
//!
//! A copy is a store without a journal of its own, with a mark that says of which shared store it is. It need not be durable: after a crash it
//! is at an earlier commit, and reads on from there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::backend::{Backend, BackendError, Batch, SledBackend, SledOptions};
use crate::cluster::SharedJournal;
use crate::cluster::role::Place;
use crate::error::OpenError;
use crate::format;
use crate::journal::{Head, Reading};
use crate::sync::Arc;
use crate::trace;

/// The bytes of rows that are read from the journal at once.
pub(super) const READ_AT_ONCE: usize = 4 << 20;
/// The bytes of rows that are written into a new copy at once.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// A copy that is as far as the journal was a moment ago.
pub(super) struct Copy {
    pub(super) backend: SledBackend,
    pub(super) head: Head,
    /// Whether this version can answer questions from it, which it cannot while there is nothing in it, or it waits for an upgrade.
    pub(super) answers: bool,
}

/// What is wrong with a copy.
enum Useless {
    /// It was never finished, or the journal has forgotten what it lacks.
    Behind,
    /// It holds commits that the journal does not hold.
    Elsewhere,
}

/// Refuses a folder that cannot hold a copy, because it is in use, or holds something else.
pub(super) fn check(folder: &Path, options: &SledOptions) -> Result<(), OpenError> {
    let backend = SledBackend::open(folder, options)?;
    let is_copy = format::is_unfinished(&backend)? || format::copy_of(&backend)?.is_some();
    if is_copy || is_empty(&backend)? { Ok(()) } else { Err(OpenError::NotACopy) }
}

fn is_empty(backend: &SledBackend) -> Result<bool, OpenError> {
    Ok(backend.scan(&[], &[0xFF]).next().transpose()?.is_none())
}

impl Copy {
    /// Brings the copy up to date again.
    pub(super) fn read_on(self, journal: &Arc<dyn SharedJournal>) -> Result<Self, OpenError> {
        up_to_date(self.backend, journal)
    }
}

/// Opens the copy in a folder, and brings it up to date. It is made anew when it is of no use.
pub(super) fn open(
    folder: &Path,
    options: &SledOptions,
    journal: &Arc<dyn SharedJournal>,
    place: &Place,
) -> Result<Copy, OpenError> {
    let identity = journal.identity()?;
    let backend = SledBackend::open(folder, options)?;
    match look(&backend, &identity, journal)? {
        Ok(()) => return up_to_date(backend, journal),
        Err(Useless::Behind) => {
            drop(backend);
            SledBackend::start_anew(folder).map_err(|source| failed(folder, source))?;
        }
        Err(Useless::Elsewhere) => {
            let found = format::head(&backend)?.position;
            let known = journal.leadership()?.head.position;
            drop(backend);
            let aside = put_aside(folder, found.number).map_err(|source| failed(folder, source))?;
            trace::commits_lost(found, known, &aside);
            place.count_lost();
        }
    }
    let backend = SledBackend::open(folder, options)?;
    make(&backend, &identity, journal, place)?;
    up_to_date(backend, journal)
}

fn failed(folder: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: folder.to_path_buf(), doing: "making the copy anew", source }
}

/// Whether a copy can be gone on with.
fn look(
    backend: &SledBackend,
    identity: &[u8; 16],
    journal: &Arc<dyn SharedJournal>,
) -> Result<Result<(), Useless>, OpenError> {
    if format::is_unfinished(backend)? {
        return Ok(Err(Useless::Behind));
    }
    match format::copy_of(backend)? {
        Some(of) if of == *identity => {}
        Some(_) => return Ok(Err(Useless::Elsewhere)),
        // A store of its own would be lost.
        None if !is_empty(backend)? => return Err(OpenError::NotACopy),
        None => return Ok(Err(Useless::Behind)),
    }
    Ok(match journal.read(&format::head(backend)?, 1)? {
        Reading::Commits(_) => match format::incoming_of(backend)? {
            // Some rows may be of commits that the journal has lost since.
            Some(incoming) if journal.head_at(incoming.position)? != Some(incoming) => Err(Useless::Elsewhere),
            _ => Ok(()),
        },
        Reading::Forgotten => Err(Useless::Behind),
        Reading::Elsewhere => Err(Useless::Elsewhere),
    })
}

/// Fills an empty backend with all rows of the journal. It stops when the server is to stop: what is unfinished is made anew next time.
fn make(
    backend: &SledBackend,
    identity: &[u8; 16],
    journal: &Arc<dyn SharedJournal>,
    place: &Place,
) -> Result<(), OpenError> {
    format::begin(backend)?;
    let (mut batch, mut bytes) = (Batch::new(), 0_usize);
    let head = journal.copy(&mut |(key, value)| {
        bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
        batch.rows.insert(key, Some(value));
        if bytes >= WRITTEN_AT_ONCE {
            if place.is_stopping() {
                return Err(BackendError::new("copying the shared store", "this server stops"));
            }
            backend.write(&std::mem::take(&mut batch))?;
            bytes = 0;
        }
        Ok(())
    })?;
    backend.write(&batch)?;
    Ok(format::finish_copy(backend, &head, identity)?)
}

/// Brings a copy to the last commit of the journal.
fn up_to_date(backend: SledBackend, journal: &Arc<dyn SharedJournal>) -> Result<Copy, OpenError> {
    let mut head = format::head(&backend)?;
    loop {
        match journal.read(&head, READ_AT_ONCE)? {
            Reading::Commits(commits) if commits.is_empty() => break,
            Reading::Commits(commits) => {
                // A row that several of them have changed is written once.
                let mut rows: Batch = commits.iter().flat_map(|commit| commit.rows.owned()).collect();
                head = commits.last().map_or(head, |last| last.head);
                rows.extend([format::position(&head)?, format::nothing_incoming()]);
                backend.apply(&rows)?;
            }
            // It was there a moment ago.
            Reading::Forgotten | Reading::Elsewhere => {
                let why = "the journal has forgotten what the copy lacks while it was read";
                return Err(BackendError::new("reading commits", why).into());
            }
        }
    }
    backend.make_durable()?;
    let answers = format::is_present(&backend)?;
    Ok(Copy { backend, head, answers })
}

/// Moves a copy to a folder of its own within its folder, where it can be looked at: `lost-NUMBER`, after the last commit that it holds.
/// A crash in between leaves it where it was, or in both.
fn put_aside(folder: &Path, number: u64) -> io::Result<PathBuf> {
    let mut aside = folder.join(format!("lost-{number}"));
    let mut again = 1_u32;
    while aside.exists() {
        again = again.saturating_add(1);
        aside = folder.join(format!("lost-{number}-{again}"));
    }
    let part = folder.join("lost.tmp");
    let _ = fs::remove_dir_all(&part);
    fs::create_dir(&part)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if SledBackend::is_its_file(&entry.file_name()) && entry.file_type()?.is_file() {
            fs::hard_link(entry.path(), part.join(entry.file_name()))?;
        }
    }
    crate::backend::sync_folder(&part)?;
    fs::rename(&part, &aside)?;
    SledBackend::start_anew(folder)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Campaign, MemorySharedJournal, Server};
    use crate::journal::{Journal, Rows};
    use dogwatch_core::Timestamp;
    use std::time::Duration;

    fn rows(key: &[u8], value: &[u8]) -> Rows {
        Rows::of(&Batch::from([(key.to_vec(), Some(value.to_vec()))])).unwrap()
    }

    /// A server that is to stop does not finish a copy, which it begins again next time.
    #[test]
    fn a_stop_within_a_copy() {
        let memory = MemorySharedJournal::new([7; 16], 100);
        let journal: Arc<dyn SharedJournal> = Arc::new(memory.clone());
        let lease = Duration::from_secs(60);
        let Campaign::Won { term, mut head } = memory.campaign(&Server::new("a", "http://a"), 0, lease).unwrap() else {
            panic!("nobody led")
        };
        let large = vec![1; WRITTEN_AT_ONCE / 2];
        for key in [b"z1", b"z2", b"z3", b"z4", b"z5"] {
            head = memory.append(term, &head, Timestamp::MIN, &rows(key, &large)).unwrap();
        }
        let scratch = tempfile::tempdir().unwrap();
        let (folder, options) = (scratch.path().join("copy"), SledOptions::default());
        let stopping = Place::default();
        stopping.end();
        let stopped = open(&folder, &options, &journal, &stopping).err().unwrap();
        assert!(stopped.to_string().contains("stops"), "{stopped}");
        let copy = open(&folder, &options, &journal, &Place::default()).unwrap();
        assert_eq!(copy.head, head);
        assert_eq!(copy.backend.get(b"z5").unwrap(), Some(large));
    }

    /// A server is killed while it brings commits into its copy, and the journal loses them meanwhile: what the copy has of them is not taken for what is.
    #[test]
    fn a_crash_within_commits_that_are_lost() {
        let memory = MemorySharedJournal::new([7; 16], 100);
        let journal: Arc<dyn SharedJournal> = Arc::new(memory.clone());
        let lease = Duration::from_secs(60);
        let Campaign::Won { term, head } = memory.campaign(&Server::new("a", "http://a"), 0, lease).unwrap() else {
            panic!("nobody led")
        };
        let first = memory.append(term, &head, Timestamp::MIN, &rows(b"z1", b"one")).unwrap();
        for lost in [false, true] {
            let scratch = tempfile::tempdir().unwrap();
            let (folder, options) = (scratch.path().join("copy"), SledOptions::default());
            let place = Place::default();
            let open = || open(&folder, &options, &journal, &place).unwrap();
            assert_eq!(open().head, first);
            // The next commit has two rows, and the server ends after the first of them.
            let backup = memory.backup();
            let batch = [(b"z1".to_vec(), Some(b"two".to_vec())), (b"z2".to_vec(), Some(b"two".to_vec()))];
            let both = Rows::of(&Batch::from(batch)).unwrap();
            let second = memory.append(term, &first, Timestamp::MIN, &both).unwrap();
            {
                let backend = SledBackend::open(&folder, &options).unwrap();
                backend.write(&Batch::from([format::incoming(&second).unwrap()])).unwrap();
                backend.write(&Batch::from([(b"z2".to_vec(), Some(b"two".to_vec()))])).unwrap();
                backend.make_durable().unwrap();
            }
            let other = if lost {
                memory.restore(&backup);
                memory.append(term, &first, Timestamp::MIN, &rows(b"z3", b"other")).unwrap()
            } else {
                second
            };
            let copy = open();
            assert_eq!(copy.head, other);
            let has = |key: &[u8]| copy.backend.get(key).unwrap();
            let expected = |text: &[u8]| Some(text.to_vec());
            let found = [has(b"z1"), has(b"z2"), has(b"z3")];
            if lost {
                assert_eq!(found, [expected(b"one"), None, expected(b"other")]);
            } else {
                assert_eq!(found, [expected(b"two"), expected(b"two"), None]);
            }
            assert_eq!(place.lost(), u64::from(lost), "it was put aside");
            assert_eq!(format::incoming_of(&copy.backend).unwrap(), None);
            memory.restore(&backup);
        }
    }
}
