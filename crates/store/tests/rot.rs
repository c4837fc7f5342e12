//! Damage to a closed store: flipped bits and cut files. Opening or verifying reports it, or the data is right.
//!
//! Each damaged copy is looked at by a child, so that a crash would be seen as one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, its child prints"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use dogwatch_core::incident::{CreateIncident, Severity};
use dogwatch_store::{Engine, ManualClock, ReadOnly};
use dogwatch_testkit::fixture::everything;
use dogwatch_testkit::simulation::Random;
use dogwatch_testkit::times;

const FOLDER: &str = "ROT_FOLDER";

/// The child: opens, verifies, exports; says what came of it.
#[test]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let store = match ReadOnly::open(&folder) {
        Ok(store) => store,
        Err(error) => return println!("REFUSED {error}"),
    };
    let report = store.verify(&mut |_| ());
    if !report.is_clean() {
        return println!("FOUND {}", report.findings.first().unwrap());
    }
    let mut export = Vec::new();
    match store.export(&mut export, &mut |_| ()) {
        Ok(_) => {
            fs::write(Path::new(&folder).join("export"), export).unwrap();
            println!("CLEAN");
        }
        Err(error) => println!("FOUND {error}"),
    }
}

/// A place among so many.
fn below(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.below(u64::try_from(end).unwrap())).unwrap()
}

/// Files of the store that hold something of it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let in_folder =
        |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let paths = in_folder(folder).into_iter().chain(in_folder(&folder.join("journal")));
    let mut files: Vec<_> = paths.filter(|path| path.is_file() && fs::metadata(path).unwrap().len() > 0).collect();
    files.retain(|path| !path.ends_with("dogwatch.lock"));
    files.sort();
    files
}

/// Damages a file; says how.
fn damage(path: &Path, random: &mut Random) -> String {
    let mut bytes = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let said = if below(random, 4) == 0 {
        // Most of the log is empty behind its end.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
        let length = below(random, end);
        bytes.truncate(length);
        format!("{name} cut to {length} bytes")
    } else {
        let full: Vec<usize> = (0..bytes.len()).filter(|place| bytes.get(*place) != Some(&0)).collect();
        let flips = 1 + below(random, 4);
        let mut places = Vec::new();
        for _ in 0..flips {
            let anywhere = below(random, 8) == 0;
            let place = below(random, if anywhere { bytes.len() } else { full.len() });
            let place = if anywhere { place } else { *full.get(place).unwrap() };
            let bit = below(random, 8);
            *bytes.get_mut(place).unwrap() ^= 1 << bit;
            places.push(format!("{place}.{bit}"));
        }
        format!("{name} with flipped {}", places.join(", "))
    };
    fs::write(path, bytes).unwrap();
    said
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, to).unwrap();
        }
    }
}

#[test]
fn damage_is_reported_or_does_not_matter() {
    if env::var(FOLDER).is_ok() {
        return;
    }
    let rounds: u64 = times("DOGWATCH_ROT", 150);
    let scratch = tempfile::tempdir().unwrap();
    let original = scratch.path().join("original");
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let engine = Engine::builder().clock(clock.clone()).open(&original).unwrap();
    let created = everything(&engine, &clock);
    let open = || CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, created.admin.member.id);
    (0..300).for_each(|_| drop(engine.execute(open(), &created.actor()).unwrap()));
    let mut expected = Vec::new();
    engine.export(&mut expected, &mut |_| ()).unwrap();
    drop(engine);
    // Opened and closed once more, so that sled has its snapshot.
    drop(Engine::open(&original).unwrap());

    let mut random = Random::from_seed(20_261_123);
    let (mut refused, mut found, mut clean) = (0, 0, 0);
    for round in 0..rounds {
        let folder = scratch.path().join("damaged");
        copy(&original, &folder);
        let files = files(&folder);
        // Half of the damage goes to the log.
        let file = if round % 2 == 0 {
            folder.join("db")
        } else {
            files.get(below(&mut random, files.len())).unwrap().clone()
        };
        let how = damage(&file, &mut random);
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(FOLDER, &folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let context = || format!("{how}: {:?}\n{said}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}", context());
        if said.contains("REFUSED ") {
            refused += 1;
        } else if said.contains("FOUND ") {
            found += 1;
        } else {
            assert!(said.contains("CLEAN"), "{}", context());
            let export = fs::read(folder.join("export")).unwrap();
            assert!(export == expected, "wrong data: {}", context());
            clean += 1;
        }
        fs::remove_dir_all(&folder).unwrap();
    }
    println!("{rounds} damaged stores: {refused} refused, {found} found by verify, {clean} with the right data");
    assert!(refused > 0);
}
