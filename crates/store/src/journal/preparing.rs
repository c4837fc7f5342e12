//! The files of segments, and the thread that prepares the next one while the present one fills ([`Preparing`]).

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::segment::{self, BLOCK, Header};
use crate::backend::{private_file, sync_folder};

/// The size of the first segment, in bytes.
pub(super) const FIRST: u64 = 1 << 20;
/// The largest size that segments grow to by themselves, in bytes. A commit that needs more gets a segment of its own size.
const LARGEST: u64 = 16 << 20;
/// The number of unused segments that are kept to be used again; more are removed.
const SPARE: usize = 2;

/// A file for a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) number: u64,
    pub(super) size: u64,
}

impl Slot {
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{:08}.log", self.number))
    }
}

/// Removes the header of a segment that holds no records, and before it the front of what an earlier use of the file left: a file
/// without a header that holds a record has lost it.
pub(super) fn wipe(file: &mut File) -> io::Result<()> {
    // In this order: a loss of power in between leaves a segment that was prepared, and not one that has lost its header.
    for block in [BLOCK, 0] {
        segment::write_at(file, block, &[0; segment::BLOCK_BYTES])?;
        file.sync_data()?;
    }
    Ok(())
}

/// Writes a file for a segment to its full size, and its header, durably.
pub(super) fn prepare(folder: &Path, slot: &Slot, sequence: u64) -> io::Result<(File, Header)> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut salt = [0; 8];
    getrandom::fill(&mut salt).map_err(io::Error::other)?;
    let header = Header { sequence, salt };
    let path = slot.path(folder);
    let new = !path.exists();
    let mut file = private_file(OpenOptions::new().create(true).truncate(false).read(true).write(true)).open(path)?;
    if new {
        let mut left = slot.size;
        while left > 0 {
            let piece = ZEROS.get(..usize::try_from(left).unwrap_or(ZEROS.len())).unwrap_or(&ZEROS);
            segment::write_at(&mut file, slot.size.saturating_sub(left), piece)?;
            left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(left).max(1));
        }
    }
    // Of a file that is used again, the new header takes the place of the old one: its records have another salt.
    segment::write_at(&mut file, 0, &header.block())?;
    file.sync_all()?;
    if new {
        sync_folder(folder)?;
    }
    Ok((file, header))
}

/// As [`prepare`]; when the disk has no room for a segment of that size, one that is as small as is wanted.
fn prepare_or_smaller(folder: &Path, slot: &Slot, sequence: u64, wanted: u64) -> (Slot, io::Result<(File, Header)>) {
    let smaller = Slot { size: wanted.next_multiple_of(BLOCK).max(FIRST), ..slot.clone() };
    let mut last = io::Error::from(io::ErrorKind::StorageFull);
    for slot in [slot, &smaller] {
        match prepare(folder, slot, sequence) {
            Ok(prepared) => return (slot.clone(), Ok(prepared)),
            Err(error) => last = error,
        }
        // What was written of it takes room that may be what is missing. One that comes back after a loss of power would be a
        // second segment with this number.
        let _ = fs::remove_file(slot.path(folder)).and_then(|()| sync_folder(folder));
    }
    (smaller, Err(last))
}

/// A segment that is ready to take records.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) slot: Slot,
    pub(super) header: Header,
    pub(super) file: File,
}

/// What the thread that prepares segments is to do, and has done.
#[derive(Debug, Default)]
struct Wants {
    /// The size that is wanted of the next segment, in bytes.
    wanted: Option<u64>,
    ready: Option<Result<Prepared, io::Error>>,
    /// Segments whose commits are forgotten, oldest first.
    free: VecDeque<Slot>,
    next_slot: u64,
    next_sequence: u64,
    /// The size of the largest segment, no more than [`LARGEST`].
    largest: u64,
    /// Whether there are more unused segments than are kept.
    surplus: bool,
    stop: bool,
}

#[derive(Debug)]
pub(super) struct Preparing {
    wants: Mutex<Wants>,
    changed: Condvar,
}

impl Preparing {
    /// Nothing is prepared, and `free` is there to be used again, the oldest first. `largest` is the size of the largest segment.
    pub(super) fn new(free: VecDeque<Slot>, next_slot: u64, next_sequence: u64, largest: u64) -> Self {
        let wants = Wants { free, next_slot, next_sequence, largest: largest.min(LARGEST), ..Wants::default() };
        Self { wants: Mutex::new(wants), changed: Condvar::new() }
    }

    /// Has [`Preparing::run`] return.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Wants> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the next segment prepared, unless it is.
    pub(super) fn want(&self) {
        let mut wants = self.lock();
        if wants.ready.is_none() && wants.wanted.is_none() {
            wants.wanted = Some(0);
            self.changed.notify_all();
        }
    }

    /// Takes the next segment, which has at least `size` bytes; waits for it.
    pub(super) fn take(&self, size: u64) -> io::Result<Prepared> {
        // One that failed may have failed long ago, and one that is under way may fail of what was long ago: it is tried again.
        let mut before = {
            let mut wants = self.lock();
            wants.ready.take_if(|ready| ready.is_err());
            wants.wanted.is_some()
        };
        loop {
            let mut wants = self.lock();
            if wants.ready.is_none() && wants.wanted.is_none_or(|wanted| wanted < size) {
                wants.wanted = Some(size);
                self.changed.notify_all();
            }
            let waiting = |wants: &mut Wants| wants.ready.is_none() && !wants.stop;
            let mut wants = self.changed.wait_while(wants, waiting).unwrap_or_else(PoisonError::into_inner);
            match wants.ready.take() {
                Some(Ok(prepared)) if prepared.slot.size >= size => return Ok(prepared),
                // The one that was prepared is too small for this commit: another takes its place in the sequence.
                Some(Ok(mut prepared)) => match wipe(&mut prepared.file) {
                    Ok(()) => {
                        wants.free.push_front(prepared.slot);
                        wants.next_sequence = prepared.header.sequence;
                    }
                    Err(error) => {
                        wants.ready = Some(Ok(prepared));
                        return Err(error);
                    }
                },
                Some(Err(_)) if before => before = false,
                Some(Err(error)) => return Err(error),
                None => return Err(io::Error::other("the journal is being closed")),
            }
        }
    }

    /// Takes segments back. Those that are too many to be kept are removed.
    pub(super) fn free(&self, slots: Vec<Slot>) {
        let mut wants = self.lock();
        wants.free.extend(slots);
        wants.surplus = wants.free.len() > SPARE;
        drop(wants);
        self.changed.notify_all();
    }

    /// Removes what is too much, the oldest first, so that what is left has no gap.
    fn remove_surplus(&self, folder: &Path) {
        loop {
            let mut wants = self.lock();
            let surplus = if wants.free.len() > SPARE { wants.free.pop_front() } else { None };
            let Some(slot) = surplus else {
                wants.surplus = false;
                return;
            };
            drop(wants);
            // The removal is durable before a later segment is used again: one that comes back after a loss of power would leave a gap
            // behind it.
            let removed = fs::remove_file(slot.path(folder)).and_then(|()| sync_folder(folder));
            if removed.is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound) {
                // It is kept, and tried again when the next ones are freed.
                let mut wants = self.lock();
                wants.free.push_front(slot);
                wants.surplus = false;
                return;
            }
        }
    }

    /// Prepares segments as they are wanted, and removes those that are too many.
    pub(super) fn run(&self, folder: &Path) {
        loop {
            let waiting = |wants: &mut Wants| wants.wanted.is_none() && !wants.surplus && !wants.stop;
            let mut wants = self.changed.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
            if wants.stop {
                return;
            }
            let Some(wanted) = wants.wanted else {
                drop(wants);
                self.remove_surplus(folder);
                continue;
            };
            let slot = match wants.free.front() {
                Some(slot) if slot.size >= wanted => wants.free.pop_front(),
                _ => None,
            };
            let slot = slot.unwrap_or_else(|| {
                let size = wants.largest.saturating_mul(2).min(LARGEST).max(wanted.next_multiple_of(BLOCK));
                let number = wants.next_slot;
                wants.next_slot = number.saturating_add(1);
                wants.largest = wants.largest.max(size.min(LARGEST));
                Slot { number, size }
            });
            let sequence = wants.next_sequence;
            drop(wants);
            let (slot, prepared) = prepare_or_smaller(folder, &slot, sequence, wanted);
            let mut wants = self.lock();
            wants.wanted = None;
            wants.ready = Some(match prepared {
                Ok((file, header)) => {
                    wants.next_sequence = sequence.saturating_add(1);
                    Ok(Prepared { slot, header, file })
                }
                Err(error) => Err(error),
            });
            self.changed.notify_all();
        }
    }
}
