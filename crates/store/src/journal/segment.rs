//! The bytes of a segment: one file of the journal, with a header and records.
//!
//! A segment is written in blocks of 4 KiB. The first holds the header. Each record begins a block, and its last block is filled
//! with zeros, so a block that is durable is never written again: a loss of power cannot tear what was acknowledged. The file is
//! written to its full size, with zeros, before it takes records, so that a sync has only bytes to write.
//!
//! The header says the segment's sequence number and its salt, 8 random bytes which stand in each of its records: what an
//! earlier use of the same file has left is not taken for a record.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use dogwatch_core::Timestamp;

use super::{Commit, Digest, Head, Position, Rows};

/// The unit in which a segment is written, in bytes. Disks write no less at once, and no record shares one with another.
pub(super) const BLOCK: u64 = 4_096;
pub(super) const BLOCK_BYTES: usize = 4_096;
/// The bytes of a record before its rows.
const FRONT: usize = 80;
/// The longest rows of a record, in bytes (1 GiB): whatever says more is not a record.
const LONGEST: u64 = 1 << 30;

const MAGIC: &[u8; 16] = b"dogwatch journal";
const VERSION: u8 = 1;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of the segment: the records of a segment follow those of the one before.
    pub(super) sequence: u64,
    pub(super) salt: [u8; 8],
}

impl Header {
    /// The block that holds the header.
    pub(super) fn block(self) -> Vec<u8> {
        let mut block = [&MAGIC[..], &[VERSION, 0, 0, 0], &self.sequence.to_be_bytes(), &self.salt].concat();
        block.extend_from_slice(&crc32fast::hash(&block).to_be_bytes());
        pad(&mut block);
        block
    }

    /// Reads the header of a file; `None` when it has none.
    pub(super) fn read(file: &mut File) -> io::Result<Option<Self>> {
        let mut bytes = [0; 40];
        if !read_at(file, 0, &mut bytes)? {
            return Ok(None);
        }
        let (said, sum) = bytes.split_at(36);
        if crc32fast::hash(said).to_be_bytes() != sum || said.get(..17) != Some(&[&MAGIC[..], &[VERSION]].concat()) {
            return Ok(None);
        }
        let mut fields = Fields(said.get(20..).unwrap_or_default());
        Ok(fields.number().and_then(|sequence| Some(Self { sequence, salt: fields.take()? })))
    }
}

/// What a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// The first record of a new journal: the head of the store that it belongs to, and when it was begun.
    Start(Head, Timestamp),
    Commit(Commit),
}

impl Record {
    /// The head after this record.
    pub(super) const fn head(&self) -> Head {
        match self {
            Self::Start(head, _) => *head,
            Self::Commit(commit) => commit.head,
        }
    }

    /// The head from which on the commits are there, if this is the first record that is left.
    pub(super) const fn before(&self) -> Head {
        match self {
            Self::Start(head, _) => *head,
            Self::Commit(commit) => commit.before,
        }
    }
}

const START: u8 = 1;
const COMMIT: u8 = 2;

/// Writes the blocks of a record into a buffer, which is emptied first. `None` when the rows are longer than 1 GiB.
pub(super) fn encode(
    buffer: &mut Vec<u8>,
    salt: [u8; 8],
    before: Option<&Head>,
    head: &Head,
    at: Timestamp,
    rows: &Rows,
) -> Option<()> {
    let length = u32::try_from(rows.as_bytes().len()).ok().filter(|length| u64::from(*length) <= LONGEST)?;
    let kind = if before.is_some() { COMMIT } else { START };
    let before = before.copied().unwrap_or_default();
    buffer.clear();
    buffer.extend_from_slice(&[b'd', b'w', VERSION, kind]);
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(&salt);
    buffer.extend_from_slice(&head.position.term.to_be_bytes());
    buffer.extend_from_slice(&head.position.number.to_be_bytes());
    buffer.extend_from_slice(&at.as_millis().to_be_bytes());
    buffer.extend_from_slice(&before.position.term.to_be_bytes());
    buffer.extend_from_slice(&before.digest.0);
    buffer.extend_from_slice(&head.digest.0);
    buffer.extend_from_slice(rows.as_bytes());
    buffer.extend_from_slice(&crc32fast::hash(buffer).to_be_bytes());
    pad(buffer);
    Some(())
}

/// The blocks, in bytes, of a record with so many bytes of rows.
pub(super) fn blocks(rows: u64) -> u64 {
    rows.saturating_add(FRONT as u64 + 4).div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// The front of a record, which has not been checked against its checksum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Front {
    kind: u8,
    length: u32,
    head: Head,
    at: i64,
    before: Head,
}

impl Front {
    /// The head that the record makes.
    pub(super) const fn head(&self) -> Head {
        self.head
    }

    pub(super) const fn number(&self) -> u64 {
        self.head.position.number
    }

    /// The blocks of the record, in bytes.
    pub(super) fn blocks(&self) -> u64 {
        blocks(u64::from(self.length))
    }

    fn parse(bytes: &[u8], salt: [u8; 8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let [b'd', b'w', VERSION, kind @ (START | COMMIT)] = fields.take::<4>()? else { return None };
        let length = u32::from_be_bytes(fields.take()?);
        if u64::from(length) > LONGEST || fields.take::<8>()? != salt {
            return None;
        }
        let (term, number, at) = (fields.number()?, fields.number()?, i64::from_be_bytes(fields.take()?));
        let (term_before, digest_before) = (fields.number()?, Digest(fields.take()?));
        let head = Head { position: Position { term, number }, digest: Digest(fields.take()?) };
        let position = Position { term: term_before, number: number.saturating_sub(1) };
        Some(Self { kind, length, head, at, before: Head { position, digest: digest_before } })
    }
}

/// Reads what stands where a record would begin; `None` when it is not the front of one of this segment.
pub(super) fn front(file: &mut File, salt: [u8; 8], offset: u64) -> io::Result<Option<Front>> {
    let mut bytes = [0; FRONT];
    Ok(if read_at(file, offset, &mut bytes)? { Front::parse(&bytes, salt) } else { None })
}

/// Reads the record at an offset, and where the next begins; `None` when there is no whole record of this segment.
pub(super) fn record(file: &mut File, salt: [u8; 8], offset: u64) -> io::Result<Option<(Record, u64)>> {
    let Some(front) = front(file, salt, offset)? else { return Ok(None) };
    let length = usize::try_from(front.length).unwrap_or(usize::MAX);
    // The length may be damaged: no more than the file holds is allocated.
    if offset.saturating_add(front.blocks()) > file.metadata()?.len() {
        return Ok(None);
    }
    let mut bytes = vec![0; FRONT.saturating_add(length).saturating_add(4)];
    if !read_at(file, offset, &mut bytes)? {
        return Ok(None);
    }
    let sum = bytes.split_off(bytes.len().saturating_sub(4));
    if crc32fast::hash(&bytes).to_be_bytes() != *sum.as_slice() {
        return Ok(None);
    }
    let next = offset.saturating_add(front.blocks());
    if front.kind == START {
        return Ok(Timestamp::from_millis(front.at).map(|at| (Record::Start(front.head, at), next)));
    }
    let mut made = || {
        let at = Timestamp::from_millis(front.at)?;
        let rows = Rows::from_bytes(bytes.split_off(FRONT))?;
        let whole = front.before.after(front.head.position.term, at, &rows) == front.head;
        whole.then_some(Commit { before: front.before, head: front.head, at, rows })
    };
    Ok(made().map(|commit| (Record::Commit(commit), next)))
}

/// Whether what stands at an offset looks like the front of a record of any segment.
pub(super) fn looks_like_record(file: &mut File, offset: u64) -> io::Result<bool> {
    let mut bytes = [0; 3];
    Ok(read_at(file, offset, &mut bytes)? && bytes == [b'd', b'w', VERSION])
}

/// Whether a whole record of this segment begins anywhere from an offset on.
pub(super) fn any_record_from(file: &mut File, salt: [u8; 8], offset: u64) -> io::Result<bool> {
    let end = file.metadata()?.len();
    let mut offset = offset;
    while offset < end {
        if record(file, salt, offset)?.is_some() {
            return Ok(true);
        }
        offset = offset.saturating_add(BLOCK);
    }
    Ok(false)
}

/// Whether rows are no longer than those of a record may be.
pub(super) fn fits(rows: &Rows) -> bool {
    u64::try_from(rows.as_bytes().len()).is_ok_and(|length| length <= LONGEST)
}

/// Reads what stands between two offsets, and writes the same again.
pub(super) fn write_again(file: &mut File, from: u64, to: u64) -> io::Result<()> {
    let length = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
    let mut bytes = vec![0; length];
    if read_at(file, from, &mut bytes)? { write_at(file, from, &bytes) } else { Ok(()) }
}

/// Fills the block at an offset with zeros, if there is one and it is not.
pub(super) fn wipe_front(file: &mut File, offset: u64) -> io::Result<()> {
    let mut block = [0; BLOCK_BYTES];
    if read_at(file, offset, &mut block)? && block != [0; BLOCK_BYTES] {
        write_at(file, offset, &[0; BLOCK_BYTES])?;
    }
    Ok(())
}

/// Writes at an offset.
pub(super) fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// Reads at an offset; `false` when the file ends before.
fn read_at(file: &mut File, offset: u64, bytes: &mut [u8]) -> io::Result<bool> {
    file.seek(SeekFrom::Start(offset))?;
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
}

/// Takes numbers and bytes from the front of a slice.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take()?))
    }
}
