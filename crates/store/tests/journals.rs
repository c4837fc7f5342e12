//! One suite for every journal: what the engine relies on, and nothing more. And what only the journal in a folder can suffer:
//! torn records, rot, a kill at any moment.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use dogwatch_core::Timestamp;
use dogwatch_store::backend::Batch;
use dogwatch_store::journal::{
    AppendError, Commit, Digest, FolderJournal, Head, Journal, MemoryJournal, Position, Reading, Rows,
};
use proptest::prelude::*;

const BLOCK: u64 = 4_096;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

/// Rows that say which commit they are of, with about so many bytes.
fn rows(number: u64, size: usize) -> Rows {
    let value = Some(vec![u8::try_from(number % 251).unwrap(); size]);
    Rows::of(&Batch::from([(number.to_be_bytes().to_vec(), value), (b"gone".to_vec(), None)])).unwrap()
}

/// A head that no journal of these tests comes to by itself.
fn somewhere() -> Head {
    Head { position: Position { term: 3, number: 41 }, digest: Digest([9; 16]) }
}

/// Appends the next commit.
fn append(journal: &dyn Journal, size: usize) -> Commit {
    let before = journal.last().unwrap();
    let (number, term) = (before.position.number + 1, before.position.term);
    let (rows, at) = (rows(number, size), at(i64::try_from(number).unwrap()));
    let head = journal.append(term, &before, at, &rows).unwrap();
    assert_eq!(journal.last().unwrap(), head);
    Commit { before, head, at, rows }
}

/// All commits after a head, read in small parts.
fn read(journal: &dyn Journal, mut from: Head) -> Vec<Commit> {
    let mut all = Vec::new();
    loop {
        match journal.read(&from, 10_000).unwrap() {
            Reading::Commits(part) if part.is_empty() => return all,
            Reading::Commits(part) => {
                from = part.last().unwrap().head;
                all.extend(part);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Runs a check on a fresh journal of each kind, which begins after a head.
fn on_each(head: Head, check: impl Fn(&dyn Journal)) {
    check(&MemoryJournal::after(head));
    let folder = tempfile::tempdir().unwrap();
    check(&FolderJournal::create(folder.path(), head, at(0)).unwrap());
}

#[test]
fn a_new_journal_is_at_its_head() {
    for head in [Head::default(), somewhere()] {
        on_each(head, |journal| {
            assert_eq!(journal.last().unwrap(), head);
            assert_eq!(journal.read(&head, 1).unwrap(), Reading::Commits(vec![]));
        });
    }
}

#[test]
fn commits_are_read_as_they_were_appended() {
    on_each(somewhere(), |journal| {
        let sizes = [0, 1, 100, 4_000, 4_096, 30_000, 2 << 20, 5];
        let commits: Vec<_> = sizes.iter().map(|size| append(journal, *size)).collect();
        assert_eq!(read(journal, somewhere()), commits);
        for (n, commit) in commits.iter().enumerate() {
            assert_eq!(read(journal, commit.head), commits[n + 1..]);
        }
        let Reading::Commits(part) = journal.read(&commits[1].head, 1).unwrap() else { panic!("they are there") };
        assert_eq!(part, commits[2..3], "at least one");
    });
}

#[test]
fn the_digest_depends_on_all_that_came_before() {
    let of = |sizes: &[usize]| {
        let journal = MemoryJournal::default();
        let digests: Vec<_> = sizes.iter().map(|size| append(&journal, *size).head.digest).collect();
        *digests.last().unwrap()
    };
    assert_eq!(of(&[1, 2, 3]), of(&[1, 2, 3]));
    assert_ne!(of(&[1, 2, 3]), of(&[9, 2, 3]));
    on_each(Head::default(), |journal| {
        let head = [1, 2, 3].map(|size| append(journal, size)).last().unwrap().head;
        assert_eq!(head.digest, of(&[1, 2, 3]), "each journal has the same");
    });
}

#[test]
fn only_one_commit_follows_another() {
    on_each(Head::default(), |journal| {
        let first = append(journal, 10);
        let late = journal.append(0, &Head::default(), at(5), &rows(1, 3));
        assert!(matches!(late, Err(AppendError::Deposed)));
        let forged = Head { digest: Digest([1; 16]), ..first.head };
        assert!(matches!(journal.append(0, &forged, at(5), &rows(2, 3)), Err(AppendError::Deposed)));
        let later = journal.append(7, &first.head, at(5), &rows(2, 3)).unwrap();
        assert_eq!(later.position, Position { term: 7, number: 2 });
        assert!(matches!(journal.append(6, &later, at(5), &rows(3, 3)), Err(AppendError::Deposed)), "terms never fall");
        assert_eq!(read(journal, first.head).len(), 1);
    });
}

#[test]
fn a_reader_of_another_history_is_told() {
    on_each(somewhere(), |journal| {
        let commits: Vec<_> = (0..4).map(|_| append(journal, 10)).collect();
        let forged = |head: Head| Head { digest: Digest([7; 16]), ..head };
        assert_eq!(journal.read(&forged(commits[1].head), 9).unwrap(), Reading::Elsewhere);
        assert_eq!(journal.read(&forged(commits[3].head), 9).unwrap(), Reading::Elsewhere);
        let beyond = commits[3].head.after(3, at(1), &rows(1, 1));
        assert_eq!(journal.read(&beyond, 9).unwrap(), Reading::Elsewhere, "it has seen more than there is");
        assert_eq!(journal.read(&Head::default(), 9).unwrap(), Reading::Forgotten, "it lacks what came before");
    });
}

#[test]
fn what_is_not_forgotten_stays() {
    on_each(Head::default(), |journal| {
        let mut commits = Vec::new();
        for round in 0..40_u64 {
            commits.extend((0..10).map(|_| append(journal, 40_000)));
            let number = round * 10;
            journal.forget(Position { term: 0, number }).unwrap();
            let from = number.checked_sub(1).map_or(Head::default(), |n| commits[usize::try_from(n).unwrap()].head);
            assert_eq!(read(journal, from), commits[usize::try_from(number).unwrap()..]);
        }
        journal.forget(journal.last().unwrap().position).unwrap();
        append(journal, 1);
    });
}

/// The files of a journal, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn forgetting_gives_the_disk_back() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FolderJournal::create(folder.path(), Head::default(), at(0)).unwrap();
    let mut most = 0;
    for _ in 0..1_000 {
        let last = append(&journal, 40_000);
        journal.forget(last.head.position).unwrap();
        most = most.max(journal.size().unwrap());
    }
    // They are removed behind, by another thread.
    assert!(most <= 64 << 20, "{most}");
    for _ in 0..1_000 {
        if files(folder.path()).len() <= 4 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(files(folder.path()).len() <= 4);
    drop(journal);
    append(&FolderJournal::open(folder.path()).unwrap(), 10);
}

#[test]
fn a_small_store_has_a_small_journal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FolderJournal::create(folder.path(), Head::default(), at(0)).unwrap();
    (0..100).for_each(|_| drop(append(&journal, 200)));
    assert_eq!(journal.size().unwrap(), 1 << 20);
}

#[test]
fn it_goes_on_where_it_was_left() {
    let folder = tempfile::tempdir().unwrap();
    drop(FolderJournal::create(folder.path(), somewhere(), at(0)).unwrap());
    let mut commits = Vec::new();
    for round in 0..60 {
        let journal = FolderJournal::open(folder.path()).unwrap();
        assert_eq!(read(&journal, somewhere()), commits, "{round}");
        // Sizes for which the next segment is prepared, is not, is too small.
        let sizes = [10, 600_000, 50, 3_000_000, 100];
        commits.extend(sizes[..round % 6].iter().map(|size| append(&journal, *size)));
    }
}

#[test]
fn a_folder_without_a_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(FolderJournal::open(folder.path()).is_err());
    fs::create_dir(folder.path().join("journal")).unwrap();
    assert!(FolderJournal::open(folder.path()).is_err());
}

/// A journal of three commits, of one, three and one blocks, and then a change of its bytes; says how many commits are found when
/// it is opened, or why it is refused.
fn after(change: impl Fn(&mut Vec<u8>)) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    let journal = FolderJournal::create(folder.path(), Head::default(), at(0)).unwrap();
    let commits: Vec<_> = [100, 9_000, 100].iter().map(|size| append(&journal, *size)).collect();
    drop(journal);
    let file = files(folder.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    change(&mut bytes);
    fs::write(&file, bytes).unwrap();
    let journal = FolderJournal::open(folder.path()).map_err(|error| error.to_string())?;
    let found = read(&journal, Head::default());
    assert_eq!(found, commits[..found.len()]);
    // It takes more, and keeps it.
    append(&journal, 20_000);
    drop(journal);
    assert_eq!(read(&FolderJournal::open(folder.path()).unwrap(), Head::default()).len(), found.len() + 1);
    Ok(found.len())
}

/// The decision at opening. The header is block 0, the start block 1, the commits are blocks 2, 3 to 5, and 6.
#[test]
fn torn_or_rotten() {
    fn zero(blocks: std::ops::Range<usize>) -> impl Fn(&mut Vec<u8>) {
        move |bytes| bytes[blocks.start * 4_096..blocks.end * 4_096].fill(0)
    }
    fn flip(byte: usize) -> impl Fn(&mut Vec<u8>) {
        move |bytes| bytes[byte] ^= 0x20
    }
    let block = 4_096;
    assert_eq!(after(|_| ()), Ok(3), "nothing happened");
    // The last record is torn, or was never written: it was not acknowledged.
    assert_eq!(after(zero(6..7)), Ok(2));
    assert_eq!(after(zero(3..7)), Ok(1));
    assert_eq!(after(flip(6 * block + 90)), Ok(2));
    assert_eq!(after(flip(6 * block + 5)), Ok(2), "its length");
    // A record with others behind it is damaged.
    for (what, change) in [("all of it", zero(2..3)), ("its first block", zero(3..4)), ("its last", zero(5..6))] {
        let why = after(change).unwrap_err();
        assert!(why.contains("damaged"), "{what}: {why}");
    }
    for byte in
        [2 * block, 2 * block + 4, 2 * block + 9, 2 * block + 25, 2 * block + 70, 4 * block + 7, 5 * block + 900]
    {
        let why = after(flip(byte)).unwrap_err();
        assert!(why.contains("damaged"), "byte {byte}: {why}");
    }
    // The header, and the record that says where the journal begins.
    assert!(after(zero(0..1)).unwrap_err().contains("header"));
    assert!(after(flip(20)).unwrap_err().contains("header"));
    assert!(after(zero(1..2)).unwrap_err().contains("damaged"));
    // What stands behind the end of a record is not looked at.
    assert_eq!(after(flip(2 * block + 4_000)), Ok(3));
    // A piece of the journal at another place.
    assert!(after(|bytes| bytes.copy_within(2 * block..3 * block, 7 * block)).unwrap_err().contains("does not follow"));
    assert!(after(|bytes| bytes.copy_within(2 * block..3 * block, 9 * block)).unwrap_err().contains("damaged"));
}

/// A record that was torn and found so is gone: blocks of the next one, torn as well, do not make it whole, even if they are the
/// same.
#[test]
fn what_was_torn_stays_gone() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FolderJournal::create(folder.path(), Head::default(), at(0)).unwrap();
    let first = append(&journal, 10);
    let torn = append(&journal, 10_000);
    drop(journal);
    let path = &files(folder.path())[0];
    let whole = fs::read(path).unwrap();
    // The header, the start, the first commit; then three blocks, of which the second is lost.
    let lose = |block: u64| {
        OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[0; 4_096], block * BLOCK).unwrap();
    };
    lose(4);
    let journal = FolderJournal::open(folder.path()).unwrap();
    assert_eq!(journal.last().unwrap(), first.head);
    drop(journal);
    // The lost block comes back.
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(&whole[4 * 4_096..5 * 4_096], 4 * BLOCK).unwrap();
    let journal = FolderJournal::open(folder.path()).unwrap();
    assert_ne!(journal.last().unwrap(), torn.head);
    assert_eq!(journal.last().unwrap(), first.head);
}

#[test]
fn a_missing_segment_is_noticed() {
    let fill = |folder: &Path| {
        let journal = FolderJournal::create(folder, Head::default(), at(0)).unwrap();
        (0..10).for_each(|_| drop(append(&journal, 600_000)));
    };
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let count = files(folder.path()).len();
    assert!(count >= 3, "{count}");
    for missing in 0..count {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        fs::remove_file(&files(folder.path())[missing]).unwrap();
        match FolderJournal::open(folder.path()) {
            // Without the first, whoever lacks its commits is told.
            Ok(journal) if missing == 0 => {
                assert_eq!(journal.read(&Head::default(), 1).unwrap(), Reading::Forgotten);
            }
            // Without the last, whoever has seen its commits is told; or it was prepared, and empty.
            Ok(journal) => {
                assert_eq!(missing, files(folder.path()).len(), "{:?}", journal.last());
            }
            Err(error) => assert!(error.to_string().contains("missing"), "{error}"),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Forget(prop::sample::Index),
    Reopen,
    /// The last record is written only in part: of each of its blocks a bit says whether it got to the disk; then it is opened
    /// again.
    Tear(usize, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![0..300_usize, 0..20_000_usize, Just(700_000)];
    let step = prop_oneof![
        6 => size.clone().prop_map(Step::Append),
        1 => any::<prop::sample::Index>().prop_map(Step::Forget),
        1 => Just(Step::Reopen),
        2 => (size, any::<u8>()).prop_map(|(size, kept)| Step::Tear(size, kept)),
    ];
    prop::collection::vec(step, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(dogwatch_testkit::cases(60)))]

    /// A list of commits is the model. What was acknowledged is read; what was torn is there as a whole or not at all.
    #[test]
    fn like_a_list(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Some(FolderJournal::create(folder.path(), Head::default(), at(0)).unwrap());
        let (mut commits, mut forgotten): (Vec<Commit>, usize) = (Vec::new(), 0);
        for step in steps {
            let open = journal.as_ref().unwrap();
            match step {
                Step::Append(size) => commits.push(append(open, size)),
                Step::Forget(index) if !commits.is_empty() => {
                    forgotten = forgotten.max(index.index(commits.len()));
                    open.forget(commits[forgotten].head.position).unwrap();
                }
                Step::Forget(_) => {}
                Step::Reopen => {
                    drop(journal.take());
                    journal = Some(FolderJournal::open(folder.path()).unwrap());
                }
                Step::Tear(size, kept) => {
                    // A segment that is not needed any more may go at any moment.
                    let found = files(folder.path()).into_iter().filter_map(|file| Some((fs::read(&file).ok()?, file)));
                    let before: Vec<_> = found.collect();
                    let torn = append(open, size);
                    drop(journal.take());
                    let mut lost = 0;
                    for (bytes, path) in before {
                        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
                        let written = fs::read(&path).unwrap();
                        for block in (0..u64::try_from(bytes.len()).unwrap() / BLOCK).skip(1) {
                            let place = usize::try_from(block * BLOCK).unwrap();
                            let old = &bytes[place..place + 4_096];
                            if old != &written[place..place + 4_096] && kept >> (block % 8) & 1 == 0 {
                                file.write_all_at(old, block * BLOCK).unwrap();
                                lost += 1;
                            }
                        }
                    }
                    let open = FolderJournal::open(folder.path()).unwrap();
                    if open.last().unwrap() == torn.head {
                        commits.push(torn);
                    } else {
                        prop_assert!(lost > 0, "nothing was torn, and it is gone");
                    }
                    journal = Some(open);
                }
            }
            let open = journal.as_ref().unwrap();
            prop_assert_eq!(open.last().unwrap(), commits.last().map_or(Head::default(), |commit| commit.head));
            if let Some(first) = commits.get(forgotten) {
                prop_assert_eq!(&read(open, first.head), &commits[forgotten + 1..]);
            }
        }
    }

    /// The body of the fuzz target, on bytes of proptest's making.
    #[test]
    fn operations_made_from_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        dogwatch_testkit::targets::journal(&bytes);
    }
}
