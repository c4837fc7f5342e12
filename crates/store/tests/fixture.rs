//! Stores that the first version of each format wrote: every later version must open them and find the same in them.
//!
//! `fixtures/format-3` is such a store, `fixtures/format-3.jsonl` its export. A later format adds its own; these stay.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use dogwatch_core::incident::{CreateIncident, ListIncidents, Severity};
use dogwatch_store::{Engine, ManualClock, OpenError, ReadOnly};
use dogwatch_testkit::fixture::everything;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn export(store: &ReadOnly) -> String {
    let mut lines = Vec::new();
    store.export(&mut lines, &mut |_| ()).unwrap();
    String::from_utf8(lines).unwrap()
}

/// Writes the fixture of a new format: `DOGWATCH_WRITE_FIXTURE=format-7 cargo test -p dogwatch-store --test fixture`.
#[test]
fn write() {
    let Ok(name) = std::env::var("DOGWATCH_WRITE_FIXTURE") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let builder = Engine::builder().clock(clock.clone()).id_seed([26; 32]);
    let engine = builder.open(scratch.path().join("data")).unwrap();
    everything(&engine, &clock);
    let to = fixtures().join(&name);
    engine.backup(&to, &mut |_| ()).unwrap();
    let store = ReadOnly::open(&to).unwrap();
    fs::write(fixtures().join(format!("{name}.jsonl")), export(&store)).unwrap();
    drop(store);
    fs::remove_file(to.join("dogwatch.lock")).unwrap();
    // sled fills the rest of its segment with zeros.
    let log = fs::read(to.join("db")).unwrap();
    let length = log.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    fs::write(to.join("db"), &log[..length]).unwrap();
}

/// A copy of a fixture.
fn copied(name: &str) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixtures().join(name)).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() {
            fs::copy(&file, scratch.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    scratch
}

#[test]
fn every_format_is_read_and_worked_with() {
    let names = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.ends_with(".jsonl")).collect();
    names.sort();
    assert!(names.len() >= 4, "{names:?}");
    for name in &names {
        let folder = copied(name);
        let exported = fs::read_to_string(fixtures().join(format!("{name}.jsonl"))).unwrap();
        let store = ReadOnly::open(folder.path()).unwrap();
        assert_eq!(store.verify(&mut |_| ()).findings, [], "{name}");
        assert_eq!(export(&store), exported, "{name}");
        let copy = tempfile::tempdir().unwrap();
        store.backup(copy.path(), &mut |_| ()).unwrap();
        drop(store);
        let store = ReadOnly::open(copy.path()).unwrap();
        assert_eq!(store.verify(&mut |_| ()).findings, [], "a copy of {name}");
        assert_eq!(export(&store), exported, "a copy of {name}");

        // Whoever does not want an upgrade is refused, and nothing is changed.
        let format: u32 = name.trim_start_matches("format-").parse().unwrap();
        let kept = Engine::builder().upgrade(false).open(folder.path());
        match kept {
            Err(OpenError::OlderFormat { found, .. }) => assert_eq!(found, format),
            other => assert!(other.is_ok() && *name == names[names.len() - 1], "{name}"),
        }
        assert_eq!(ReadOnly::open(folder.path()).unwrap().stats().unwrap().format, format);

        let engine = Engine::open_existing(folder.path()).unwrap();
        assert!(engine.stats().unwrap().format >= format);
        let org = engine.organizations().unwrap().first().unwrap().id;
        let ada = engine.first_admin(org).unwrap();
        let listed = engine.query(&ListIncidents::default(), &ada).unwrap().incidents;
        let owner = listed.first().unwrap().created_by;
        let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
        assert_eq!(engine.execute(open, &ada).unwrap().sequential_id, u64::try_from(listed.len()).unwrap() + 1);
        assert_eq!(engine.verify(&mut |_| ()).findings, [], "{name}, worked with");
    }
}
