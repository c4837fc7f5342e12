//! A disk that loses its power, and one that fails: nothing that was acknowledged is lost.
//!
//! The tests start themselves again as a child behind a library that stands between it and the disk
//! (`shim/disk.rs`). It keeps what was synced and nothing else, or lets the N-th call fail. The child prints what was
//! acknowledged; the parent looks for it in what is left.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its child prints"
)]

mod support;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fs, thread};

use dogwatch_core::incident::{CreateIncident, ListIncidents, ListLimit, Severity};
use dogwatch_core::{Actor, Code, Timestamp, UserId};
use dogwatch_store::backend::{Backend, Batch, SledBackend, SledOptions};
use dogwatch_store::journal::{AppendError, FolderJournal, Head, Journal, Reading, Rows};
use dogwatch_store::{Engine, Error};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::simulation::Random;
use dogwatch_testkit::times;
use support::{acknowledge, acknowledged, numbers};

const CHILD: &str = "DISK_CHILD";

/// The library, built once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/disk.rs");
        // Tests of this file may run in several processes: each builds its own.
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("libdisk-{}.so", std::process::id()));
        let done = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition", "2024", "--crate-type", "cdylib", "-C", "opt-level=1", "-D", "warnings", "-o"])
            .args([&built, &source])
            .status()
            .unwrap();
        assert!(done.success(), "the library does not build");
        built
    })
}

fn admin(engine: &Engine) -> (Actor, UserId) {
    let ada = engine.first_admin(engine.organizations().unwrap()[0].id).unwrap();
    let Actor::Member { user_id: user, .. } = ada else { panic!("{ada:?}") };
    (ada, user)
}

/// Opens an incident and says its number.
fn open_incident(engine: &Engine, (ada, user): (Actor, UserId)) -> Result<u64, Error> {
    let description = "All card payments fail. Support sees about forty tickets. ".repeat(30);
    let open = CreateIncident {
        description: Some(description.parse().unwrap()),
        ..CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, user)
    };
    let number = engine.execute(open, &ada)?.sequential_id;
    acknowledge(number);
    Ok(number)
}

/// Everything fits together, and everything that was acknowledged is there; else says what is not.
fn intact(folder: &Path, acknowledged: &BTreeSet<u64>) -> Result<(), String> {
    let engine = Engine::open(folder).map_err(|error| format!("it does not open: {error}"))?;
    let report = engine.verify(&mut |_| ());
    if !report.is_clean() {
        return Err(format!("{report:#?}"));
    }
    if acknowledged.is_empty() {
        return Ok(());
    }
    let found = numbers(&engine, &admin(&engine).0);
    match acknowledged.difference(&found).count() {
        0 => Ok(()),
        lost => Err(format!("{lost} of {} acknowledged are lost", acknowledged.len())),
    }
}

/// The child, if it is one.
#[test]
fn child() {
    let Ok(folder) = env::var("DISK_FOLDER") else { return };
    match env::var(CHILD).as_deref() {
        Ok("write") => write_for_ever(Path::new(&folder)),
        Ok("endure") => endure(Path::new(&folder)),
        Ok("read on") => read_on(Path::new(&folder)),
        Ok("overwrite") => overwrite(Path::new(&folder)),
        Ok("fill") => fill(Path::new(&folder)),
        other => panic!("{other:?}"),
    }
}

fn write_for_ever(folder: &Path) {
    let engine = Engine::open(folder).unwrap();
    let ada = admin(&engine);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    open_incident(&engine, ada).unwrap();
                }
            });
        }
    });
}

fn spawn(script: &str, folder: &Path, settings: &[(&str, &str)]) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .envs(settings.iter().copied())
        .env(CHILD, script)
        .env("DISK_FOLDER", folder)
        .env("LD_PRELOAD", shim())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets a child end, which must succeed and say something; gives the line in which it does.
fn said(script: &str, folder: &Path, settings: &[(&str, &str)], something: &str) -> String {
    let Output { status, stdout, stderr } = spawn(script, folder, settings).wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let line = stdout.lines().find(|line| line.contains(something));
    assert!(status.success() && line.is_some(), "{stdout}\n{stderr}");
    line.unwrap_or_default().to_owned()
}

/// Begins the record of what survives with what is there.
fn prime(folder: &Path, shadow: &Path) {
    fs::create_dir_all(shadow).unwrap();
    for (list, within) in LISTS {
        let mut names = String::new();
        for entry in
            fs::read_dir(folder.join(within)).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file())
        {
            let ino = entry.metadata().unwrap().ino();
            fs::copy(entry.path(), shadow.join(ino.to_string())).unwrap();
            names += &format!("{ino} {within}{}\n", entry.file_name().to_str().unwrap());
        }
        fs::write(shadow.join(list), names).unwrap();
    }
}

/// The lists of names that the library keeps, each with what stands before its names.
const LISTS: [(&str, &str); 2] = [("names", ""), ("journal.names", "journal/")];

/// What is on the disk after the cut: what was synced and, block by block, perhaps what was written since.
fn after_the_cut(folder: &Path, shadow: &Path, left: &Path, torn: bool, random: &mut Random) {
    const BLOCK: usize = 4_096;
    fs::create_dir_all(left.join("journal")).unwrap();
    let names: String = LISTS.iter().map(|(list, _)| fs::read_to_string(shadow.join(list)).unwrap()).collect();
    for line in names.lines() {
        let (ino, name) = line.split_once(' ').unwrap();
        let mut bytes = fs::read(shadow.join(ino)).unwrap_or_default();
        let written = fs::read(folder.join(name)).unwrap_or_default();
        if torn && fs::metadata(folder.join(name)).is_ok_and(|file| file.ino().to_string() == ino) {
            bytes.resize(bytes.len().max(written.len()), 0);
            for (block, written) in bytes.chunks_mut(BLOCK).zip(written.chunks(BLOCK)) {
                if random.below(2) == 0 {
                    block[..written.len()].copy_from_slice(written);
                }
            }
        }
        fs::write(left.join(name), bytes).unwrap();
    }
}

/// Lets the child run for a while and kills it; gives what it acknowledged. A while is so many commands, which may be none, and a
/// moment: on a slow machine as on a fast one it is cut while it opens the store, and while it writes.
fn cut_short(child: &mut Child, commands: u64, random: &mut Random) -> BTreeSet<u64> {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    for _ in 0..commands {
        out.read_line(&mut said).unwrap();
    }
    let rest = thread::spawn(move || acknowledged(out));
    thread::sleep(Duration::from_millis(random.below(40)));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut all = acknowledged(said.as_bytes());
    all.extend(rest.join().unwrap());
    all
}

/// Cuts the power so many times, every fifth time after up to `long` commands, which are at least 800; gives how much was
/// acknowledged, or what was lost.
fn cut_power(cuts: u64, long: u64, settings: &[(&str, &str)]) -> Result<usize, String> {
    let scratch = tempfile::tempdir().unwrap();
    let mut folder = scratch.path().join("store-0");
    drop(organization(&Engine::open(&folder).unwrap()));
    let mut random = Random::from_seed(20_261_123);
    let mut all = BTreeSet::new();
    for cut in 0..cuts {
        let (shadow, left) = (scratch.path().join("shadow"), scratch.path().join(format!("store-{}", cut + 1)));
        prime(&folder, &shadow);
        let settings = [settings, &[("DISK_SHADOW", shadow.to_str().unwrap())]].concat();
        let mut child = spawn("write", &folder, &settings);
        // Some run for so long that the journal forgets commits, and writes over them.
        let commands = if cut % 5 == 4 { long - 800 + random.below(800) } else { random.below(40) };
        all.extend(cut_short(&mut child, commands, &mut random));
        after_the_cut(&folder, &shadow, &left, cut % 2 == 1, &mut random);
        intact(&left, &all).map_err(|error| format!("after cut {cut}: {error}"))?;
        fs::remove_dir_all(&folder).unwrap();
        fs::remove_dir_all(&shadow).unwrap();
        folder = left;
    }
    Ok(all.len())
}

#[test]
fn every_acknowledged_command_survives_a_loss_of_power() {
    if env::var(CHILD).is_ok() {
        return;
    }
    let cuts = times("DOGWATCH_CUTS", 20);
    let acknowledged = cut_power(cuts, 1_500, &[]).unwrap();
    println!("{cuts} cuts, {acknowledged} acknowledged, none lost");
    assert!(acknowledged > 0, "the child never got to write");
}

/// Without our sync of the journal, or of the log of sled, the same test fails: what is not synced does not survive.
#[test]
fn without_our_sync_it_would_be_lost() {
    if env::var(CHILD).is_ok() {
        return;
    }
    for file in [".log", "/db"] {
        // So many that the journal has used its segments again: while it has commits that sled lacks, they are not lost.
        let lost = cut_power(10, 5_000, &[("DISK_LIES", file)]).unwrap_err();
        assert!(lost.contains("lost") || lost.contains("does not open"), "{lost}");
    }
}

/// How long the child tries to go on after a fault.
const COMMANDS: usize = 10;

/// Opens, writes, and goes on when something fails, as a program should: opens again, once there is room.
fn endure(folder: &Path) {
    std::panic::set_hook(Box::new(|panic| {
        // sled's own panics are caught, and errors like any other.
        let sleds = panic.location().is_some_and(|place| place.file().contains("/sled-0.34"));
        drop(writeln!(std::io::stderr(), "{} {panic}", if sleds { "sled" } else { "PANIC" }));
    }));
    let room = || {
        if let Some(room) = env::var_os("DISK_FAIL_UNTIL") {
            fs::write(room, "room").unwrap();
        }
    };
    let open = || {
        Engine::open(folder).unwrap_or_else(|error| {
            println!("refused: {error}");
            room();
            Engine::open(folder).unwrap_or_else(|error| panic!("it does not open once the fault is over: {error}"))
        })
    };
    let mut engine = open();
    if engine.organizations().unwrap().is_empty() {
        let create = dogwatch_testkit::fixture::create_organization;
        if engine.execute(create(), &Actor::Operator).is_err() {
            drop(engine);
            room();
            engine = open();
            if engine.organizations().unwrap().is_empty() {
                engine.execute(create(), &Actor::Operator).unwrap();
            }
        }
    }
    let ada = admin(&engine);
    let mut known = numbers(&engine, &ada.0);
    for _ in 0..COMMANDS {
        match open_incident(&engine, ada) {
            Ok(number) => assert!(known.insert(number)),
            Err(error @ (Error::OutcomeUnknown | Error::Poisoned)) => {
                // Later commands are refused, reads go on with what was durable, and opening again tells the truth.
                assert!(!engine.is_writable());
                assert!(matches!(open_incident(&engine, ada), Err(Error::Poisoned)));
                reads_go_on(&engine, &ada.0, &known);
                drop(engine);
                room();
                engine = open();
                let found = numbers(&engine, &ada.0);
                // A fault between two commands, while the backend takes over what the journal has, refuses the next one outright.
                let may_have_happened = usize::from(matches!(error, Error::OutcomeUnknown));
                assert!(
                    known.is_subset(&found) && found.len() <= known.len() + may_have_happened,
                    "{known:?} {found:?}"
                );
                known = found;
            }
            Err(error) => panic!("{error}"),
        }
    }
    drop(engine);
    room();
    let engine = open();
    assert!(engine.verify(&mut |_| ()).is_clean());
    if open_incident(&engine, ada).is_err() {
        // The one fault of this run came last.
        drop(engine);
        open_incident(&open(), ada).unwrap();
    }
    println!("endured");
}

/// Nobody is shown anything but what was durable. Where sled would have to tidy up before it can answer, it says so.
fn reads_go_on(engine: &Engine, ada: &Actor, known: &BTreeSet<u64>) {
    match engine.query(&ListIncidents { limit: ListLimit::MAX, ..Default::default() }, ada) {
        Ok(page) => {
            let shown: BTreeSet<_> = page.incidents.iter().map(|incident| incident.sequential_id).collect();
            assert_eq!(&shown, known);
            println!("read");
        }
        Err(error) => {
            assert_eq!(error.code(), Code::Internal, "{error}");
            println!("unread {error}");
        }
    }
}

/// Lets the N-th call fail, for N = 1, 2, 3 … until a run passes without a fault; gives how many there were.
fn every_fault(settings: &[(&str, &str)], until: bool) -> u64 {
    let (mut read, mut unread) = (0, 0);
    for fail_at in 1.. {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
        let (folder, told, at, room) = (path("store"), path("told"), fail_at.to_string(), path("room"));
        let mut all = settings.to_vec();
        all.extend([("DISK_FAIL_AT", at.as_str()), ("DISK_TOLD", &told)]);
        if until {
            all.push(("DISK_FAIL_UNTIL", &room));
        }
        let Output { status, stdout, stderr } = spawn("endure", Path::new(&folder), &all).wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        let fault = fs::read_to_string(&told).unwrap_or_default();
        let context = format!("{fault}\n{stdout}\n{stderr}");
        assert!(status.success() && stdout.contains("endured"), "{context}");
        assert!(!stderr.contains("PANIC"), "{context}");
        if let Err(error) = intact(Path::new(&folder), &acknowledged(stdout.as_bytes())) {
            panic!("{error}\n{context}");
        }
        read += stdout.lines().filter(|line| *line == "read").count();
        unread += stdout.lines().filter(|line| line.starts_with("unread")).count();
        if fault.is_empty() {
            println!("after {read} failed commits reads went on, after {unread} they did not");
            // A batch's first write may fail before the batch is tidied up; see `what_was_applied_can_be_read_though_the_disk_fails`.
            assert!(unread < read, "reads go on");
            return fail_at - 1;
        }
    }
    0
}

#[test]
fn every_call_may_fail_once() {
    if env::var(CHILD).is_ok() {
        return;
    }
    let faults = every_fault(&[("DISK_ERROR", "5")], false);
    println!("{faults} faults, nothing lost");
    assert!(faults > 20);
}

/// The disk is full from some call on, and there is room again later.
#[test]
fn the_disk_may_be_full_from_any_call_on() {
    if env::var(CHILD).is_ok() {
        return;
    }
    let faults = every_fault(&[("DISK_ERROR", "28")], true);
    println!("{faults} times full, nothing lost");
    assert!(faults > 20);
}

/// Where it is said that the disk fails.
const BROKEN: &str = "DISK_FAIL_WHILE";

/// Batches are applied, the disk fails, and all that was ever applied can be read.
fn read_on(folder: &Path) {
    let broken = PathBuf::from(env::var_os(BROKEN).unwrap());
    let mut random = Random::from_seed(1);
    let mut kept = BTreeMap::new();
    for _ in 0..60 {
        let backend = SledBackend::open(folder, &SledOptions::default()).unwrap();
        for _ in 0..4 {
            let size = 1 + random.below(20);
            let pairs = (0..size).map(|_| (random.below(1 << 40).to_be_bytes().to_vec(), Some(vec![7; 100])));
            let batch: Batch = pairs.collect();
            backend.apply(&batch).unwrap();
            kept.extend(batch);
        }
        backend.make_durable().unwrap();
        let key = random.below(1 << 40).to_be_bytes().to_vec();
        let last = Batch::from([(key.clone(), Some(Vec::new()))]);
        backend.apply(&last).unwrap();
        kept.extend(last);
        fs::write(&broken, "").unwrap();
        assert!(backend.make_durable().is_err());
        for (key, value) in &kept {
            assert_eq!(&backend.get(key).unwrap(), value);
        }
        let shown: Result<BTreeMap<_, _>, _> =
            backend.scan(&[], &[255]).map(|pair| pair.map(|(k, v)| (k, Some(v)))).collect();
        assert!(kept == shown.unwrap());
        drop(backend);
        fs::remove_file(&broken).unwrap();
        // Whether the last one became durable nobody was told.
        if SledBackend::open(folder, &SledOptions::default()).unwrap().get(&key).unwrap().is_none() {
            kept.remove(&key);
        }
    }
    println!("read on");
}

#[test]
fn what_was_applied_can_be_read_though_the_disk_fails() {
    if env::var(CHILD).is_ok() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let broken = scratch.path().join("broken");
    let settings = [("DISK_ERROR", "5"), (BROKEN, broken.to_str().unwrap())];
    said("read on", &scratch.path().join("store"), &settings, "read on");
}

/// Where it is said how much room there is.
const ROOM: &str = "DISK_ROOM";

/// The first segment of a journal, and the unit in which it is written, in bytes.
const SEGMENT: usize = 1 << 20;
const BLOCK: usize = 4_096;
/// The bytes of a record besides its rows, and of the one row that it has besides the value.
const BESIDES: usize = 84 + ROW;
const ROW: usize = 9;

fn rows(record: usize) -> Rows {
    Rows::of(&Batch::from([(b"k".to_vec(), Some(vec![7; record - BESIDES]))])).unwrap()
}

/// A journal whose first segment has so many bytes left, a full disk with room for so many, and a commit whose record has so many. It
/// is there, or it is known not to be; and when there is room again, the journal goes on. Gives whether it was there.
fn full_with(scratch: &Path, left: usize, room: usize, record: usize) -> bool {
    let said = PathBuf::from(env::var_os(ROOM).unwrap());
    let at = Timestamp::from_millis(1_790_000_000_000).unwrap();
    let context = format!("{left} left, room for {room}, a record of {record}");
    let journal = FolderJournal::create(scratch, Head::default(), at).unwrap();
    // The header, the first record, and one that leaves so many bytes. Nothing can be prepared while that is written.
    fs::write(&said, "0").unwrap();
    let filling = rows(SEGMENT - 2 * BLOCK - left);
    let mut last = journal.append(0, &Head::default(), at, &filling).unwrap();
    fs::write(&said, room.to_string()).unwrap();
    let there = match journal.append(0, &last, at, &rows(record)) {
        Ok(head) => {
            last = head;
            true
        }
        Err(AppendError::NotAppended(_)) => false,
        Err(error) => panic!("{context}: {error}"),
    };
    // As after a crash with the disk still full, and then in the same process, or another, with room.
    let again = |journal: &FolderJournal, last: &mut Head| {
        assert_eq!(journal.last().unwrap(), *last, "{context}");
        *last = journal.append(0, last, at, &rows(record)).unwrap_or_else(|error| panic!("{context}: {error}"));
    };
    if record.is_multiple_of(2) {
        fs::remove_file(&said).unwrap();
        again(&journal, &mut last);
    }
    drop(journal);
    let journal = FolderJournal::open(scratch).unwrap_or_else(|error| panic!("{context}: {error}"));
    drop(fs::remove_file(&said));
    again(&journal, &mut last);
    let Reading::Commits(all) = journal.read(&Head::default(), usize::MAX).unwrap() else { panic!("{context}") };
    assert_eq!(all.last().map(|commit| commit.head), Some(last), "{context}");
    assert_eq!(all.len(), 2 + usize::from(there) + usize::from(record.is_multiple_of(2)), "{context}");
    there
}

fn fill(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    // All at the ends of blocks, and of those in between one in so many.
    let step = usize::try_from(times("DOGWATCH_BYTES_APART", 64)).unwrap();
    let looked_at = |byte: usize| (byte + 8) % BLOCK <= 16 || byte.is_multiple_of(step);
    let (mut there, mut not) = (0, 0);
    let mut count = |was_there: bool| if was_there { there += 1 } else { not += 1 };
    for left in [0, BLOCK, 2 * BLOCK] {
        for record in (BESIDES..=left + BLOCK).filter(|record| looked_at(*record)) {
            let was_there = full_with(folder, left, 0, record);
            assert_eq!(was_there, record.next_multiple_of(BLOCK) <= left, "{left} left, a record of {record}");
            count(was_there);
        }
    }
    // The next segment is cut at its end.
    for room in (2 * SEGMENT - BLOCK - 8..=2 * SEGMENT + 8).filter(|room| looked_at(*room)) {
        count(full_with(folder, 0, room, BESIDES + 1));
    }
    println!("filled: {there} were there, {not} were not");
}

#[test]
fn the_disk_may_be_full_at_any_byte_of_a_segments_end() {
    if env::var(CHILD).is_ok() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let room = scratch.path().join("room");
    let settings = [(ROOM, room.to_str().unwrap())];
    println!("{}", said("fill", &scratch.path().join("store"), &settings, "filled"));
}

/// How many batches are applied before they are made durable: about a mebibyte, as much as an engine brings in at once.
const UNSYNCED: u64 = 20;

fn number_in(value: Option<Vec<u8>>) -> u64 {
    value.map_or(0, |value| u64::from_be_bytes(value[..8].try_into().unwrap()))
}

/// Overwrites rows for ever. Each row says which batch wrote it; now and then all are made durable, and that is said.
fn overwrite(folder: &Path) {
    let backend = SledBackend::open(folder, &SledOptions::default()).unwrap();
    let from = number_in(backend.get(b"number").unwrap()) + 1;
    let mut random = Random::from_seed(from);
    for number in from.. {
        let rows = (0..200).map(|_| {
            let filling = vec![7; 100 + usize::try_from(random.below(300)).unwrap()];
            let value = [&number.to_be_bytes()[..], &filling].concat();
            (random.below(20_000).to_be_bytes().to_vec(), Some(value))
        });
        let number_row = (b"number".to_vec(), Some(number.to_be_bytes().to_vec()));
        backend.apply(&rows.chain([number_row]).collect()).unwrap();
        if number % UNSYNCED == 0 {
            backend.make_durable().unwrap();
            acknowledge(number);
        }
    }
}

/// What sled was told to make durable is there after a loss of power, also when of what was written since any block got to the disk:
/// it writes over old segments of its log all the time. What is there besides is the batches after that, in order.
#[test]
fn sled_keeps_what_was_made_durable() {
    if env::var(CHILD).is_ok() {
        return;
    }
    let cuts = times("DOGWATCH_CUTS", 20) / 2;
    let scratch = tempfile::tempdir().unwrap();
    let mut folder = scratch.path().join("store-0");
    drop(SledBackend::open(&folder, &SledOptions::default()).unwrap());
    fs::create_dir(folder.join("journal")).unwrap();
    let (mut random, mut best) = (Random::from_seed(20_261_124), 0);
    for cut in 0..cuts {
        let (shadow, left) = (scratch.path().join("shadow"), scratch.path().join(format!("store-{}", cut + 1)));
        prime(&folder, &shadow);
        let mut child = spawn("overwrite", &folder, &[("DISK_SHADOW", shadow.to_str().unwrap())]);
        let all = cut_short(&mut child, 2 + random.below(40), &mut random);
        best = all.last().copied().unwrap_or(best).max(best);
        after_the_cut(&folder, &shadow, &left, true, &mut random);
        let backend = SledBackend::open(&left, &SledOptions::default()).unwrap();
        let number = number_in(backend.get(b"number").unwrap());
        assert!(number >= best, "after cut {cut}: batch {best} was made durable, and {number} is the last");
        let rows = backend.scan(&[0], b"n").map(|row| number_in(Some(row.unwrap().1)));
        assert!(rows.max().unwrap_or(0) <= number, "after cut {cut}");
        drop(backend);
        best = number;
        fs::remove_dir_all(&folder).unwrap();
        fs::remove_dir_all(&shadow).unwrap();
        folder = left;
    }
    println!("{cuts} cuts, {best} batches, none lost");
}
