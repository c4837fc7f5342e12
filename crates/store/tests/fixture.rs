//! Stores that the first version of each format wrote: every later version must open them and find the same in them.
//!
//! `fixtures/format-3` is such a store, `fixtures/format-3.jsonl` its export. A later format adds its own; these stay.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dogwatch_core::Actor;
use dogwatch_core::component::ListComponents;
use dogwatch_core::incident::{CreateIncident, IncidentView, ListIncidents, Severity};
use dogwatch_core::status_page::{ComponentStatus, CreateStatusPage, ShowStatusPage};
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
    // As after a kill: all commits are in the journal, and sled has none of them.
    let engine = builder.checkpoint_after(Duration::MAX, usize::MAX).open(scratch.path().join("data")).unwrap();
    everything(&engine, &clock);
    let to = fixtures().join(&name);
    fs::create_dir(&to).unwrap();
    fill(&scratch.path().join("data"), &to);
    drop(engine);
    let store = ReadOnly::open(&to).unwrap();
    fs::write(fixtures().join(format!("{name}.jsonl")), export(&store)).unwrap();
    drop(store);
    fs::remove_file(to.join("dogwatch.lock")).unwrap();
    // sled fills the rest of its segment with zeros, and so does the journal.
    for name in ["db", "journal/00000001.log"] {
        let bytes = fs::read(to.join(name)).unwrap();
        let length = (bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1).next_multiple_of(4_096);
        fs::write(to.join(name), &bytes[..length.min(bytes.len())]).unwrap();
    }
}

/// Copies all files of a folder.
fn fill(from: &Path, to: &Path) {
    for path in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir(&to).unwrap();
            fill(&path, &to);
        } else {
            fs::copy(&path, to).unwrap();
        }
    }
}

/// A copy of a fixture.
fn copied(name: &str) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    fill(&fixtures().join(name), scratch.path());
    scratch
}

/// A page finds by components what incidents there are, also those that an older version has written: it had no index that says so.
fn pages_find_incidents(engine: &Engine, ada: &Actor, listed: &[IncidentView], name: &str) {
    let components = engine.query(&ListComponents, ada).unwrap();
    let mut page = CreateStatusPage::new("Upgraded".parse().unwrap(), "upgraded".parse().unwrap());
    (page.published, page.component_ids) = (true, components.iter().map(|component| component.id).collect());
    engine.execute(page, ada).unwrap();
    // All fixtures were written on the same day.
    let at = "2026-04-08T10:00:00Z".parse().unwrap();
    let shown = engine.query(&ShowStatusPage::new("upgraded".parse().unwrap(), at), &Actor::Anybody).unwrap();
    let tagged = |resolved| {
        let tagged = listed.iter().filter(|one| !one.affected_components.is_empty());
        tagged.filter(|one| one.resolved_at.is_some() == resolved).map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(shown.incidents.iter().map(|one| one.id).collect::<Vec<_>>(), tagged(false), "{name}");
    let history = shown.history.iter().flat_map(|day| &day.incidents);
    assert_eq!(history.map(|one| one.id).collect::<Vec<_>>(), tagged(true), "{name}");
    assert_eq!((tagged(false).is_empty(), tagged(true).is_empty()), (false, false), "{name}");
    assert_eq!(shown.banner, ComponentStatus::MajorOutage, "{name}");
}

#[test]
fn every_format_is_read_and_worked_with() {
    let names = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.ends_with(".jsonl")).collect();
    names.sort_by_key(|name| name.trim_start_matches("format-").parse::<u32>().unwrap());
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
        assert_eq!(engine.verify(&mut |_| ()).findings, [], "{name}, brought up to date");
        assert!(engine.stats().unwrap().format >= format);
        let org = engine.organizations().unwrap().first().unwrap().id;
        let ada = engine.first_admin(org).unwrap();
        let listed = engine.query(&ListIncidents::default(), &ada).unwrap().incidents;
        pages_find_incidents(&engine, &ada, &listed, name);
        let owner = listed.first().unwrap().created_by.user().unwrap();
        let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
        assert_eq!(engine.execute(open, &ada).unwrap().sequential_id, u64::try_from(listed.len()).unwrap() + 1);
        assert_eq!(engine.verify(&mut |_| ()).findings, [], "{name}, worked with");
    }
}
