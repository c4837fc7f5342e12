//! The journal in a folder under operations made from bytes: appends, readers, crashes and damage.
//!
//! A list of commits is the model. After every operation the journal must be at its last commit, and give exactly
//! those that it may not have forgotten. What a crash has torn is there whole or not at all, and the list follows;
//! damage of what was acknowledged must be refused at opening, and then the run is over. To damage a record, its place
//! is found by what `FORMAT.md` says.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arbitrary::{Result, Unstructured};
use dogwatch_core::Timestamp;
use dogwatch_store::backend::Batch;
use dogwatch_store::journal::{AppendError, Commit, Digest, FolderJournal, Head, Journal, Position, Reading, Rows};

/// The most operations of one run.
const LONGEST: usize = 40;
/// The most bytes of rows that one run appends, but for small commits after that. It is enough for three segments.
const MOST_BYTES: usize = 4 << 20;
/// About as many bytes are read at once when all is read.
const PART: usize = 1 << 18;

/// The unit in which segments are written.
const BLOCK: u64 = 4_096;
const BLOCK_BYTES: usize = 4_096;
/// The bytes of a record before its rows, and those around them.
const FRONT: usize = 80;
const AROUND: usize = FRONT + 4;

/// Runs a sequence of operations made from bytes; panics at the first difference.
pub fn run(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok(mut test) = JournalTest::begin(&mut source) else { return };
    for _ in 0..LONGEST {
        if source.is_empty() {
            break;
        }
        match test.step(&mut source) {
            Ok(true) => test.compare(),
            Ok(false) => return,
            Err(_) => break,
        }
    }
    test.reopen();
    test.compare();
}

/// What is appended next.
struct Draft {
    term: u64,
    at: Timestamp,
    rows: Rows,
}

struct JournalTest {
    /// `None` while its files are damaged. It is closed before its folder is removed.
    journal: Option<FolderJournal>,
    folder: Scratch,
    /// The head that the journal was created after.
    base: Head,
    /// All commits, also the forgotten ones.
    commits: Vec<Commit>,
    /// The number of commits that the journal may have forgotten.
    forgotten: usize,
    /// The number of drafts so far, which stands in their rows.
    drafts: usize,
    /// The bytes of rows that were appended.
    appended: usize,
}

impl JournalTest {
    fn begin(source: &mut Unstructured<'_>) -> Result<Self> {
        let elsewhere = Head { position: Position { term: 3, number: 41 }, digest: Digest([9; 16]) };
        let base = *source.choose(&[Head::default(), elsewhere])?;
        let folder = Scratch::new();
        let journal = Some(FolderJournal::create(&folder.0, base, Timestamp::MIN).unwrap());
        Ok(Self { journal, folder, base, commits: Vec::new(), forgotten: 0, drafts: 0, appended: 0 })
    }

    /// Carries out the next operation; says whether the run goes on.
    fn step(&mut self, source: &mut Unstructured<'_>) -> Result<bool> {
        match source.int_in_range(0..=29_u8)? {
            0..=10 => {
                let draft = self.draft(source)?;
                self.append(draft);
            }
            11 => self.append_elsewhere(source)?,
            12 | 13 => self.read_on(source, self.forgotten..=self.commits.len())?,
            14 => self.read_on(source, 0..=self.forgotten)?,
            15 => self.read_elsewhere(source)?,
            16 | 17 => self.head_at(source)?,
            18 | 19 => self.forget(source)?,
            20 | 21 => self.reopen(),
            22..=25 => self.tear(source)?,
            26 | 27 => self.garbage(source)?,
            28 => return self.rot(source),
            _ => return self.repeat(source),
        }
        Ok(true)
    }

    /// The journal is where the model is, and gives all that it may not have forgotten.
    fn compare(&self) {
        assert_eq!(self.open().last().unwrap(), self.last());
        let mut count = self.forgotten;
        loop {
            match self.read(count, PART) {
                0 => break,
                read => count += read,
            }
        }
        assert_eq!(count, self.commits.len());
    }

    fn open(&self) -> &FolderJournal {
        self.journal.as_ref().unwrap()
    }

    /// The head after so many commits.
    fn head(&self, count: usize) -> Head {
        count.checked_sub(1).map_or(self.base, |place| self.commits[place].head)
    }

    fn last(&self) -> Head {
        self.head(self.commits.len())
    }

    /// What could be appended. Some of it ends where a block ends, and some needs another segment.
    fn draft(&mut self, source: &mut Unstructured<'_>) -> Result<Draft> {
        let length = match source.int_in_range(0..=9_u8)? {
            0..=3 => source.int_in_range(0..=300_usize)?,
            4 => 0,
            5 | 6 => {
                let blocks = source.int_in_range(1..=3_usize)?;
                blocks * BLOCK_BYTES - AROUND - 2 + source.int_in_range(0..=4_usize)?
            }
            7 | 8 => source.int_in_range(0..=20_000_usize)?,
            _ => source.int_in_range(200_000..=1_300_000_usize)?,
        };
        let length = if self.appended + length > MOST_BYTES { length % 300 } else { length };
        let rises = if source.ratio(7_u8, 8)? { 0 } else { source.int_in_range(1..=3_u64)? };
        let at = Timestamp::clamped(*source.choose(&[0, 1, 1_700_000_000_000, i64::MAX])?);
        self.drafts += 1;
        Ok(Draft { term: self.last().position.term + rises, at, rows: self.rows(length) })
    }

    /// Rows of so many bytes, unless it is less than two changes take.
    fn rows(&self, length: usize) -> Rows {
        if length == 0 {
            return Rows::default();
        }
        let of = |value: Vec<u8>| {
            let changes = [(self.drafts.to_be_bytes().to_vec(), Some(value)), (b"gone".to_vec(), None)];
            Rows::of(&Batch::from(changes)).unwrap()
        };
        let mut value = vec![0; length.saturating_sub(of(Vec::new()).as_bytes().len())];
        for (n, piece) in value.chunks_mut(1_000).enumerate() {
            piece.fill(u8::try_from((self.drafts + n) % 251).unwrap());
        }
        of(value)
    }

    fn append(&mut self, draft: Draft) {
        let before = self.last();
        let Draft { term, at, rows } = draft;
        let head = self.open().append(term, &before, at, &rows).unwrap();
        assert_eq!(head, before.after(term, at, &rows));
        self.appended += rows.as_bytes().len();
        self.commits.push(Commit { before, head, at, rows });
    }

    /// A commit after another head than the last, or of a term that is over, is refused.
    fn append_elsewhere(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let draft = self.draft(source)?;
        let last = self.last();
        let (term, after) = match source.int_in_range(0..=3_u8)? {
            0 => (draft.term, self.head(source.int_in_range(0..=self.commits.len())?)),
            1 => (last.position.term.saturating_sub(1), last),
            _ => (draft.term, self.foreign(source)?),
        };
        if after == last && term >= last.position.term {
            return Ok(());
        }
        let refused = self.open().append(term, &after, draft.at, &draft.rows);
        assert!(matches!(refused, Err(AppendError::Deposed)), "in term {term} after {after:?}: {refused:?}");
        Ok(())
    }

    /// A head that is not in this history.
    fn foreign(&self, source: &mut Unstructured<'_>) -> Result<Head> {
        let mut head = self.head(source.int_in_range(0..=self.commits.len())?);
        match source.int_in_range(0..=4_u8)? {
            0 => flip(source, &mut head.digest.0)?,
            1 => head.position.term += 1,
            2 => head.position.number += 1,
            3 => head.position.number = head.position.number.checked_sub(1).unwrap_or(7),
            _ => head = self.last().after(head.position.term, Timestamp::MIN, &Rows::default()),
        }
        Ok(head)
    }

    /// Reads on from the head after so many commits; gives the number of commits that were read.
    fn read(&self, count: usize, most: usize) -> usize {
        let part = match self.open().read(&self.head(count), most).unwrap() {
            Reading::Commits(part) => part,
            Reading::Forgotten if count < self.forgotten => return 0,
            other => panic!("after {count} of {} commits: {other:?}", self.commits.len()),
        };
        let rest = &self.commits[count..];
        assert_eq!(part, rest[..part.len().min(rest.len())]);
        assert!(!part.is_empty() || rest.is_empty(), "there are commits after {count}, and none was read");
        let before_last: usize = part.iter().rev().skip(1).map(|commit| commit.rows.as_bytes().len()).sum();
        assert!(before_last <= most.saturating_mul(2), "{before_last} bytes and one more commit are not about {most}");
        part.len()
    }

    /// Reads on from the head after one of these numbers of commits.
    fn read_on(&self, source: &mut Unstructured<'_>, counts: RangeInclusive<usize>) -> Result<()> {
        let count = source.int_in_range(counts)?;
        let most = *source.choose(&[0, 1, 500, 10_000, 1 << 20, usize::MAX])?;
        self.read(count, most);
        Ok(())
    }

    /// A reader from elsewhere is told, or that what comes after its position is forgotten.
    fn read_elsewhere(&self, source: &mut Unstructured<'_>) -> Result<()> {
        let from = self.foreign(source)?;
        let early = from.position.number < self.head(self.forgotten).position.number;
        match self.open().read(&from, source.int_in_range(0..=2_000_usize)?).unwrap() {
            Reading::Elsewhere => {}
            Reading::Forgotten if early => {}
            other => panic!("from {from:?}: {other:?}"),
        }
        Ok(())
    }

    /// Finds the head at a position. That before the first commit may be found or not: it is not that of a commit.
    fn head_at(&self, source: &mut Unstructured<'_>) -> Result<()> {
        let position = if source.ratio(3_u8, 4)? {
            self.head(source.int_in_range(0..=self.commits.len())?).position
        } else {
            self.foreign(source)?.position
        };
        let known = (0..=self.commits.len()).find(|count| self.head(*count).position == position);
        match (self.open().head_at(position).unwrap(), known) {
            (Some(head), Some(count)) => {
                assert_eq!(head, self.head(count));
                let read = self.open().read(&head, 1).unwrap();
                assert!(matches!(read, Reading::Commits(_)), "it can be read on from {head:?}: {read:?}");
            }
            (None, Some(count)) => assert!(count < self.forgotten || count == 0, "{position} is not found"),
            (found, None) => assert_eq!(found, None, "at {position}"),
        }
        Ok(())
    }

    fn forget(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let count = source.int_in_range(0..=self.commits.len())?;
        self.open().forget(self.head(count).position).unwrap();
        self.forgotten = self.forgotten.max(count);
        Ok(())
    }

    fn reopen(&mut self) {
        self.journal = None;
        self.journal = Some(FolderJournal::open(&self.folder.0).unwrap());
    }

    /// Closes the journal, and finds the records that it holds, oldest first.
    fn close(&mut self) -> Vec<Record> {
        self.journal = None;
        let mut found = Vec::new();
        for entry in fs::read_dir(self.folder.0.join("journal")).unwrap() {
            let path = entry.unwrap().path();
            let mut file = File::open(&path).unwrap();
            let size = file.metadata().unwrap().len();
            let header = read_at(&mut file, 0, 36);
            if !header.starts_with(b"dogwatch journal") {
                continue;
            }
            let (sequence, salt) = (number(&header[20..28]), &header[28..36]);
            let (mut offset, mut last) = (BLOCK, None);
            while offset + BLOCK <= size {
                let front = read_at(&mut file, offset, FRONT);
                let number = number(&front[24..32]);
                // What was torn before, or stands here from an earlier use, is no commit of the model.
                if !front.starts_with(b"dw\x01") || front[8..16] != *salt || !self.holds(number, &front[64..80]) {
                    break;
                }
                // Nor is a damaged copy of one before.
                if last.replace(number).is_some_and(|last| last + 1 != number) {
                    break;
                }
                let length = AROUND + usize::try_from(u32::from_be_bytes(front[4..8].try_into().unwrap())).unwrap();
                let record = Record { path: path.clone(), sequence, offset, length, number };
                offset = record.end();
                found.push(record);
            }
        }
        found.sort_by_key(|record| (record.sequence, record.offset));
        for pair in found.windows(2) {
            assert_eq!(pair[0].number + 1, pair[1].number, "there is no gap");
        }
        assert_eq!(found.last().map(|record| record.number), Some(self.last().position.number));
        found
    }

    /// Whether a commit, or the head before the first, has this number and this digest.
    fn holds(&self, number: u64, digest: &[u8]) -> bool {
        let count = number.checked_sub(self.base.position.number).and_then(|count| usize::try_from(count).ok());
        count.is_some_and(|count| count <= self.commits.len() && self.head(count).digest.0 == *digest)
    }

    /// A crash while a commit is appended: its record is on the disk in part. It is there whole, or not at all.
    fn tear(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let draft = self.draft(source)?;
        self.append(draft);
        let records = self.close();
        let torn = &records[records.len() - 1];
        let written = torn.blocks();
        let mut bytes = written.clone();
        for _ in 0..source.int_in_range(1..=3_u8)? {
            damage(source, &mut bytes)?;
        }
        write_at(&torn.path, torn.offset, &bytes);
        self.reopen();
        if self.open().last().unwrap() != self.last() {
            assert!(bytes != written, "nothing was torn, and it is gone");
            self.commits.pop();
        }
        Ok(())
    }

    /// What stands behind the last record, and is no whole record of the segment, changes nothing.
    fn garbage(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let records = self.close();
        let last = &records[records.len() - 1];
        let offset = last.end() + BLOCK * source.int_in_range(0..=3_u64)?;
        let room = fs::metadata(&last.path).unwrap().len().saturating_sub(offset);
        let mut bytes = if source.ratio(1_u8, 2)? {
            let mut bytes = one_like(source, &records, last)?.bytes();
            flip(source, &mut bytes)?;
            bytes
        } else {
            let length = source.int_in_range(1..=9_000_usize)?;
            let most = source.len().min(16);
            source.bytes(most)?.iter().copied().cycle().take(length).collect()
        };
        bytes.truncate(usize::try_from(room).unwrap());
        if !bytes.is_empty() {
            write_at(&last.path, offset, &bytes);
        }
        self.reopen();
        Ok(())
    }

    /// A record with others behind it is damaged.
    fn rot(&mut self, source: &mut Unstructured<'_>) -> Result<bool> {
        let records = self.close();
        let before_last = &records[..records.len() - 1];
        if before_last.is_empty() {
            self.reopen();
            return Ok(true);
        }
        let rotten = source.choose(before_last)?;
        let mut bytes = rotten.bytes();
        flip(source, &mut bytes)?;
        write_at(&rotten.path, rotten.offset, &bytes);
        self.refused();
        Ok(false)
    }

    /// A whole record of the segment stands behind the end, as if those before it were gone.
    fn repeat(&mut self, source: &mut Unstructured<'_>) -> Result<bool> {
        let records = self.close();
        let last = &records[records.len() - 1];
        let repeated = one_like(source, &records, last)?;
        let offset = last.end() + BLOCK * source.int_in_range(1..=3_u64)?;
        let bytes = repeated.blocks();
        if offset + u64::try_from(bytes.len()).unwrap() > fs::metadata(&last.path).unwrap().len() {
            self.reopen();
            return Ok(true);
        }
        write_at(&last.path, offset, &bytes);
        self.refused();
        Ok(false)
    }

    fn refused(&self) {
        let opened = FolderJournal::open(&self.folder.0);
        assert!(opened.is_err(), "it is damaged, and was opened at {:?}", opened.map(|journal| journal.last()));
    }
}

/// A record in a file, as `FORMAT.md` describes it.
struct Record {
    path: PathBuf,
    /// The sequence number of its segment.
    sequence: u64,
    offset: u64,
    /// Its bytes, without the zeros that fill its last block.
    length: usize,
    number: u64,
}

impl Record {
    /// Where the next record begins.
    fn end(&self) -> u64 {
        self.offset + u64::try_from(self.length.next_multiple_of(BLOCK_BYTES)).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        read_at(&mut File::open(&self.path).unwrap(), self.offset, self.length)
    }

    fn blocks(&self) -> Vec<u8> {
        read_at(&mut File::open(&self.path).unwrap(), self.offset, self.length.next_multiple_of(BLOCK_BYTES))
    }
}

/// A record of the same segment.
fn one_like<'a>(source: &mut Unstructured<'_>, records: &'a [Record], one: &Record) -> Result<&'a Record> {
    let first = records.iter().position(|record| record.sequence == one.sequence).unwrap();
    source.choose(&records[first..])
}

/// Zeros, other bytes or another bit somewhere in the blocks of a record.
fn damage(source: &mut Unstructured<'_>, bytes: &mut [u8]) -> Result<()> {
    match source.int_in_range(0..=3_u8)? {
        // Some blocks did not get to the disk.
        0 => {
            let kept: u8 = source.arbitrary()?;
            for (n, block) in bytes.chunks_mut(BLOCK_BYTES).enumerate() {
                if kept >> (n % 8) & 1 == 0 {
                    block.fill(0);
                }
            }
        }
        1 => {
            let from = place(source, bytes.len())?;
            bytes[from..].fill(0);
        }
        2 => flip(source, bytes)?,
        _ => {
            let from = place(source, bytes.len())?;
            let to = bytes.len().min(from + source.int_in_range(1..=600_usize)?);
            bytes[from..to].fill(source.arbitrary()?);
        }
    }
    Ok(())
}

/// Changes a byte.
fn flip(source: &mut Unstructured<'_>, bytes: &mut [u8]) -> Result<()> {
    let place = place(source, bytes.len())?;
    bytes[place] ^= source.int_in_range(1..=255_u8)?;
    Ok(())
}

/// A place among so many bytes: in the front of a record as often as anywhere.
fn place(source: &mut Unstructured<'_>, length: usize) -> Result<usize> {
    let most = if source.ratio(1_u8, 2)? { length.min(FRONT) } else { length };
    source.int_in_range(0..=most - 1)
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

fn read_at(file: &mut File, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut bytes).unwrap();
    bytes
}

fn write_at(path: &Path, offset: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
}

/// A folder of its own, in memory where the system has a place for that; it is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        loop {
            let made = MADE.fetch_add(1, Ordering::Relaxed);
            let folder = parent.join(format!("dogwatch-journal-{}-{made}", std::process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => return Self(folder),
                // Another process with this id has left it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", folder.display()),
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}
