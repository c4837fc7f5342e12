//! The journal in a folder: segments that are written to their full size before they are needed, and used again.
//!
//! A commit is one write and one sync into a file that already has all its blocks, so the disk has nothing else to note down. A
//! thread of its own prepares the next segment while the present one fills: it takes one whose commits are forgotten, or makes a
//! new file, twice as large as the largest so far. So a full disk is noticed before a commit is written, not while.
//!
//! After a crash, the record that was being written may be torn: it was never acknowledged, and what is read ends before it. If
//! a whole record stands behind a damaged one, that one was acknowledged: the journal is damaged, and opening it fails. It is
//! never guessed.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use dogwatch_core::Timestamp;

use super::preparing::{FIRST, Prepared, Preparing, Slot, prepare, wipe};
use super::segment::{self, BLOCK, Header, Record};
use super::{AppendError, Head, Journal, Position, Reading, Rows};
use crate::backend::{BackendError, sync_folder};

/// The buffer that is kept from one record to the next, in bytes.
const LARGE_RECORD: usize = 1 << 20;

/// The folder of the journal within that of the store.
const FOLDER: &str = "journal";

/// Keeps commits in the folder `journal` of a store's folder.
#[derive(Debug)]
pub struct FolderJournal {
    folder: PathBuf,
    state: Mutex<State>,
    preparing: Arc<Preparing>,
    thread: Option<JoinHandle<()>>,
    /// Where readers have come to lately, the latest last.
    places: Mutex<VecDeque<Place>>,
}

/// Where the commit after a head stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    after: Head,
    header: Header,
    offset: u64,
}

/// The number of places that are remembered. A reader without one looks from the beginning of a segment.
const PLACES: usize = 16;

/// The journal as far as it is written.
#[derive(Debug)]
struct State {
    /// The segments that hold records, oldest first; the last is being written.
    used: VecDeque<Used>,
    /// The last of them, open for writing, and where its next record begins.
    file: File,
    offset: u64,
    last: Head,
    /// The record that is being written.
    buffer: Vec<u8>,
    /// Whether a write or a sync has failed. Nothing is written after that: what a file holds that failed once, nobody knows.
    failed: bool,
}

/// A segment that holds records.
#[derive(Debug, Clone)]
struct Used {
    slot: Slot,
    header: Header,
    /// The head before its first commit.
    before: Head,
    /// The number of its last commit.
    last: u64,
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> BackendError {
    move |error| BackendError::new(doing, error)
}

fn damaged(why: String) -> BackendError {
    BackendError::new("reading the journal", why)
}

impl FolderJournal {
    /// Begins a new journal in a store's folder, after a head, at an instant. What was there before is removed.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(store: &Path, head: Head, at: Timestamp) -> Result<Self, BackendError> {
        let folder = store.join(FOLDER);
        let begin = || -> io::Result<Self> {
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::create_dir(&folder)?;
            let slot = Slot { number: 1, size: FIRST };
            let (mut file, header) = prepare(&folder, &slot, 1)?;
            let mut buffer = Vec::new();
            segment::encode(&mut buffer, header.salt, None, &head, at, &Rows::default()).ok_or(io::ErrorKind::Other)?;
            segment::write_at(&mut file, BLOCK, &buffer)?;
            file.sync_all()?;
            sync_folder(&folder)?;
            sync_folder(store)?;
            let offset = BLOCK.saturating_add(segment::blocks(0));
            let used = VecDeque::from([Used { slot, header, before: head, last: head.position.number }]);
            let state = State { used, file, offset, last: head, buffer, failed: false };
            Self::start(folder.clone(), state, VecDeque::new(), 2, 2)
        };
        begin().map_err(failed("creating the journal"))
    }

    /// The last commit of a journal that stands in a folder whose rows know of none; `None` when there is none, or its creation was
    /// interrupted.
    pub(crate) fn left(store: &Path) -> Result<Option<Position>, BackendError> {
        let folder = store.join(FOLDER);
        if !folder.exists() {
            return Ok(None);
        }
        match Found::look(&folder) {
            Ok(found) => Ok(found.used.back().map(|_| found.last.position)),
            Err(error) => {
                let files = fs::read_dir(&folder).map_err(failed("reading the journal"))?.count();
                if files > 1 { Err(error) } else { Ok(None) }
            }
        }
    }

    /// The instant at which the journal was begun, if it has forgotten nothing since.
    pub(crate) fn begun(&self) -> Result<Option<Timestamp>, BackendError> {
        let oldest = self.lock().used.front().cloned();
        let Some(Used { slot, header, .. }) = oldest else { return Ok(None) };
        let read = || segment::record(&mut File::open(slot.path(&self.folder))?, header.salt, BLOCK);
        let first = read().map_err(failed("reading the journal"))?;
        Ok(first.and_then(|(record, _)| if let Record::Start(_, at) = record { Some(at) } else { None }))
    }

    /// A number by which to know the journal: the salt of its oldest segment.
    pub(crate) fn salt(&self) -> Option<[u8; 8]> {
        self.lock().used.front().map(|used| used.header.salt)
    }

    /// Opens the journal in a store's folder.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or commits that it held are damaged or missing.
    pub fn open(store: &Path) -> Result<Self, BackendError> {
        let folder = store.join(FOLDER);
        let found = Found::look(&folder)?;
        let Found { used, mut free, last, last_at, offset, next_slot, next_sequence } = found;
        let Some(active) = used.back() else { return Err(damaged("it holds no record".to_owned())) };
        let path = active.slot.path(&folder);
        let open = || -> io::Result<Self> {
            // What was prepared and not used is prepared again, with the next number. What was not even prepared is removed.
            for slot in &free {
                if slot.size < FIRST {
                    fs::remove_file(slot.path(&folder))?;
                } else {
                    wipe(&mut OpenOptions::new().write(true).open(slot.path(&folder))?)?;
                }
            }
            free.retain(|slot| slot.size >= FIRST);
            let mut file = OpenOptions::new().read(true).write(true).open(path)?;
            // The last record may not have been synced, or its sync may have failed: then it is in memory, and taken for written.
            // So it is written again. From here on it is there.
            segment::write_again(&mut file, last_at, offset)?;
            // What a torn record has left is wiped: blocks of the next one, torn too, could make it whole.
            segment::wipe_front(&mut file, offset)?;
            file.sync_all()?;
            sync_folder(&folder)?;
            let state = State { file, offset, last, buffer: Vec::new(), failed: false, used };
            Self::start(folder.clone(), state, free, next_slot, next_sequence)
        };
        open().map_err(failed("opening the journal"))
    }

    fn start(
        folder: PathBuf,
        state: State,
        free: VecDeque<Slot>,
        next_slot: u64,
        next_sequence: u64,
    ) -> io::Result<Self> {
        let largest = state.used.iter().map(|used| used.slot.size).max().unwrap_or(FIRST);
        let preparing = Arc::new(Preparing::new(free, next_slot, next_sequence, largest));
        let run = {
            let (preparing, folder) = (Arc::clone(&preparing), folder.clone());
            move || preparing.run(&folder)
        };
        let thread = thread::Builder::new().name("dogwatch-journal".to_owned()).spawn(run)?;
        Ok(Self { folder, state: Mutex::new(state), preparing, thread: Some(thread), places: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segments that hold records, and the last head.
    fn written(&self) -> (VecDeque<Used>, Head) {
        let state = self.lock();
        (state.used.clone(), state.last)
    }

    fn places(&self) -> MutexGuard<'_, VecDeque<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it means that a record which was there cannot be read: it may have been forgotten meanwhile, and written over.
    fn unreadable(&self, used: &Used) -> Result<Reading, BackendError> {
        if self.lock().used.iter().any(|other| other.header == used.header) {
            return Err(damaged(format!("a commit up to {} is damaged", used.last)));
        }
        Ok(Reading::Forgotten)
    }

    /// Goes on in the next segment, which has room for a record of `size` bytes.
    fn next_segment(&self, state: &mut State, size: u64) -> io::Result<()> {
        let Prepared { slot, header, file } = self.preparing.take(size.saturating_add(BLOCK))?;
        state.file = file;
        state.offset = BLOCK;
        state.used.push_back(Used { slot, header, before: state.last, last: state.last.position.number });
        Ok(())
    }
}

impl Drop for FolderJournal {
    fn drop(&mut self) {
        self.preparing.stop();
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did, nothing would be left to do.
            let _ = thread.join();
        }
    }
}

impl Journal for FolderJournal {
    fn last(&self) -> Result<Head, BackendError> {
        Ok(self.lock().last)
    }

    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.failed {
            let why = "a write has failed before, so nothing is written until it is opened again";
            return Err(AppendError::NotAppended(BackendError::new("writing the journal", why)));
        }
        if state.last != *after || term < after.position.term {
            return Err(AppendError::Deposed);
        }
        if !segment::fits(rows) {
            return Err(AppendError::NotAppended(BackendError::new("writing the journal", "the commit is too large")));
        }
        let size = segment::blocks(u64::try_from(rows.as_bytes().len()).unwrap_or(u64::MAX));
        let not = |error| AppendError::NotAppended(BackendError::new("preparing the journal", error));
        let end = |state: &State| state.used.back().map_or(0, |used| used.slot.size);
        if state.offset.saturating_add(size) > end(state) {
            self.next_segment(state, size).map_err(not)?;
        }
        let head = after.after(term, at, rows);
        let Some(active) = state.used.back_mut() else { return Err(not(io::ErrorKind::Other.into())) };
        segment::encode(&mut state.buffer, active.header.salt, Some(after), &head, at, rows)
            .ok_or_else(|| not(io::ErrorKind::FileTooLarge.into()))?;
        let written = segment::write_at(&mut state.file, state.offset, &state.buffer);
        if let Err(error) = written.and_then(|()| state.file.sync_data()) {
            state.failed = true;
            return Err(AppendError::Unknown(BackendError::new("writing the journal", error)));
        }
        active.last = head.position.number;
        state.offset = state.offset.saturating_add(size);
        state.last = head;
        // A large record leaves its buffer no larger than usual ones need.
        state.buffer.clear();
        state.buffer.shrink_to(LARGE_RECORD);
        if state.offset > end(state) / 2 {
            self.preparing.want();
        }
        Ok(head)
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        let (used, last) = self.written();
        if used.front().is_none_or(|oldest| from.position.number < oldest.before.position.number) {
            return Ok(Reading::Forgotten);
        }
        if from.position.number >= last.position.number {
            return Ok(if *from == last { Reading::Commits(Vec::new()) } else { Reading::Elsewhere });
        }
        let (mut head, mut commits, mut bytes) = (*from, Vec::new(), 0_usize);
        for used in used.iter().filter(|used| used.last > from.position.number) {
            if bytes >= most.max(1) {
                break;
            }
            let mut file = match File::open(used.slot.path(&self.folder)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return self.unreadable(used),
                Err(error) => return Err(failed("reading the journal")(error)),
            };
            let place = self.places().iter().find(|it| it.after == head && it.header == used.header).copied();
            let mut offset = place.map_or(BLOCK, |place| place.offset);
            while bytes < most.max(1) && head.position.number < used.last {
                let front =
                    segment::front(&mut file, used.header.salt, offset).map_err(failed("reading the journal"))?;
                let Some(front) = front else { return self.unreadable(used) };
                if front.number() <= head.position.number {
                    offset = offset.saturating_add(front.blocks());
                    continue;
                }
                let read =
                    segment::record(&mut file, used.header.salt, offset).map_err(failed("reading the journal"))?;
                let Some((Record::Commit(commit), next)) = read else { return self.unreadable(used) };
                if commit.before != head {
                    return Ok(Reading::Elsewhere);
                }
                bytes = bytes.saturating_add(commit.rows.as_bytes().len().max(1));
                (head, offset) = (commit.head, next);
                commits.push(commit);
            }
            let mut places = self.places();
            // Where this reader began, another may be.
            places.retain(|place| place.after != head);
            places.push_back(Place { after: head, header: used.header, offset });
            if places.len() > PLACES {
                places.pop_front();
            }
        }
        Ok(Reading::Commits(commits))
    }

    fn forget(&self, up_to: Position) -> Result<(), BackendError> {
        let mut state = self.lock();
        let mut free = Vec::new();
        while state.used.len() > 1 && state.used.front().is_some_and(|oldest| oldest.last <= up_to.number) {
            free.extend(state.used.pop_front().map(|used| used.slot));
        }
        drop(state);
        if free.is_empty() {
            return Ok(());
        }
        self.preparing.free(free);
        Ok(())
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        let (used, last) = self.written();
        if position == last.position {
            return Ok(Some(last));
        }
        for used in used.iter().filter(|used| used.before.position <= position && position.number < used.last) {
            if used.before.position == position {
                return Ok(Some(used.before));
            }
            let mut file = match File::open(used.slot.path(&self.folder)) {
                Ok(file) => file,
                // It has been forgotten meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed("reading the journal")(error)),
            };
            let mut offset = BLOCK;
            let mut next = |offset| segment::front(&mut file, used.header.salt, offset);
            while let Some(front) = next(offset).map_err(failed("reading the journal"))? {
                let head = front.head();
                if head.position.number >= position.number {
                    return Ok(Some(head).filter(|head| head.position == position));
                }
                offset = offset.saturating_add(front.blocks());
            }
        }
        Ok(None)
    }

    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError> {
        let state = self.lock();
        if state.used.front().is_none_or(|oldest| from.number < oldest.before.position.number) {
            return Ok(None);
        }
        // The last one is being written, and stays anyway.
        let written = state.used.iter().rev().skip(1);
        let kept = written.filter(|used| from.number < used.last && used.last <= up_to.number);
        Ok(Some(kept.map(|used| used.slot.size).sum()))
    }

    fn size(&self) -> Result<u64, BackendError> {
        crate::backend::folder_size(&self.folder).map_err(failed("reading the journal"))
    }
}

/// What is found in the folder when it is opened.
struct Found {
    used: VecDeque<Used>,
    free: VecDeque<Slot>,
    last: Head,
    /// Where the last record begins, and where the next one will.
    last_at: u64,
    offset: u64,
    next_slot: u64,
    next_sequence: u64,
}

impl Found {
    /// Reads all headers and all records, and decides where the journal ends.
    fn look(folder: &Path) -> Result<Self, BackendError> {
        let reading = failed("reading the journal");
        let (mut segments, mut nameless) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(folder).map_err(&reading)? {
            let name = entry.map_err(&reading)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok());
            let Some(number) = number else { continue };
            let mut file = File::open(folder.join(&name)).map_err(&reading)?;
            let slot = Slot { number, size: file.metadata().map_err(&reading)?.len() };
            match Header::read(&mut file).map_err(&reading)? {
                Some(header) => segments.push((header, slot, file)),
                None => nameless.push((slot, file)),
            }
        }
        segments.sort_by_key(|(header, ..)| header.sequence);
        let next_slot =
            segments.iter().map(|(_, slot, _)| slot.number).chain(nameless.iter().map(|(slot, _)| slot.number));
        let next_slot = next_slot.max().unwrap_or(0).saturating_add(1);
        let mut found = Self {
            used: VecDeque::new(),
            free: VecDeque::new(),
            last: Head::default(),
            last_at: BLOCK,
            offset: BLOCK,
            next_slot,
            next_sequence: 1,
        };
        let mut sequence = None;
        for (header, slot, mut file) in segments {
            if sequence.is_some_and(|before: u64| before.saturating_add(1) != header.sequence) {
                return Err(damaged(format!("the segment before the one with number {} is missing", header.sequence)));
            }
            sequence = Some(header.sequence);
            found.segment(header, slot, &mut file)?;
        }
        for (slot, mut file) in nameless {
            // A file whose header is being written holds no record yet; one that does has lost its header.
            if segment::looks_like_record(&mut file, BLOCK).map_err(&reading)? {
                return Err(damaged(format!("`{:08}.log` has lost its header", slot.number)));
            }
            found.free.push_back(slot);
        }
        Ok(found)
    }

    /// Reads the records of the next segment.
    fn segment(&mut self, header: Header, slot: Slot, file: &mut File) -> Result<(), BackendError> {
        let reading = failed("reading the journal");
        let (mut offset, mut first) = (BLOCK, None);
        while let Some((record, next)) = segment::record(file, header.salt, offset).map_err(&reading)? {
            let follows = if first.is_none() && self.used.is_empty() {
                true
            } else {
                matches!(&record, Record::Commit(commit) if commit.before == self.last)
            };
            if !follows {
                let number = record.head().position.number;
                return Err(damaged(format!("commit {number} does not follow commit {}", self.last.position.number)));
            }
            first.get_or_insert_with(|| record.before());
            self.last = record.head();
            self.last_at = offset;
            offset = next;
        }
        // Behind the record that was being written there is none: it is written only when the one before is durable.
        if segment::any_record_from(file, header.salt, offset.saturating_add(BLOCK)).map_err(&reading)? {
            let last = self.last.position.number;
            return Err(damaged(format!("the commit after {last} is damaged, and there are others after it")));
        }
        match first {
            Some(before) => {
                if !self.free.is_empty() {
                    return Err(damaged(format!(
                        "the segment before the one with number {} is empty",
                        header.sequence
                    )));
                }
                self.offset = offset;
                self.next_sequence = header.sequence.saturating_add(1);
                self.used.push_back(Used { slot, header, before, last: self.last.position.number });
            }
            None => self.free.push_back(slot),
        }
        Ok(())
    }
}
