//! Verifying, exporting, importing, copying: on stores with something of everything in them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use dogwatch_core::Actor;
use dogwatch_core::incident::{ChangeStatus, CreateIncident, ListIncidents, Severity, Status};
use dogwatch_core::team::{InviteMember, Role};
use dogwatch_core::text::IdempotencyKey;
use dogwatch_store::backend::{Backend, Batch, MemoryBackend};
use dogwatch_store::{Answer, Engine, ManualClock, Once, OpenError, ReadOnly, Report, ToolError, import};
use dogwatch_testkit::fixture::{everything, organization};

fn rows(backend: &MemoryBackend) -> BTreeMap<Vec<u8>, Vec<u8>> {
    backend.scan(&[], &[0xFF]).map(Result::unwrap).collect()
}

/// Rows of all tables but that in which the store describes itself: of each table some, since each is tried with a look at all of them.
fn some_of_all_tables(backend: &MemoryBackend) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut tried: BTreeMap<u8, usize> = BTreeMap::new();
    let all = rows(backend).into_iter().filter(|(key, _)| key[0] != 0);
    all.filter(|(key, _)| {
        let count = tried.entry(key[0]).or_default();
        *count += 1;
        *count <= 20
    })
    .collect()
}

fn change(backend: &MemoryBackend, key: &[u8], value: Option<Vec<u8>>) {
    backend.apply(&Batch::from([(key.to_vec(), value)])).unwrap();
}

fn verified(engine: &Engine) -> Report {
    engine.verify(&mut |_| ())
}

/// An engine in memory with something of everything.
fn full() -> (MemoryBackend, Engine) {
    let backend = MemoryBackend::new();
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let engine = Engine::builder().clock(clock.clone()).with_backend(backend.clone()).unwrap();
    everything(&engine, &clock);
    // All rows are in the backend, where these tests look at them and change them.
    engine.checkpoint().unwrap();
    (backend, engine)
}

fn exported(engine: &Engine) -> String {
    let mut out = Vec::new();
    engine.export(&mut out, &mut |_| ()).unwrap();
    String::from_utf8(out).unwrap()
}

/// The tables in which a row can be missing without anybody knowing: nothing else says that it was there. Of audit trails it
/// is some events, of what was delivered the invitations, of contact methods those that no rule names, and webhooks; of status pages
/// how components were; of integrations the beats of one that never missed any.
const UNNOTICED: [u8; 11] = *b"coqhzHfFJ0%";

#[test]
fn every_missing_row_is_noticed() {
    let (backend, engine) = full();
    assert_eq!(verified(&engine).findings, []);
    let mut unnoticed = BTreeSet::new();
    let mut tables = BTreeSet::new();
    for (key, value) in some_of_all_tables(&backend) {
        tables.insert(key[0]);
        change(&backend, &key, None);
        if verified(&engine).is_clean() {
            unnoticed.insert(key[0]);
        }
        change(&backend, &key, Some(value));
    }
    let unexpected: String =
        unnoticed.iter().filter(|tag| !UNNOTICED.contains(tag)).map(|tag| char::from(*tag)).collect();
    assert_eq!(unexpected, "", "tables in which a missing row is not noticed");
    // Every table but that of format 1 leftovers is in the fixture, so that the test says something.
    let missing: String = ALL_TAGS.chars().filter(|tag| !tables.contains(&u8::try_from(*tag).unwrap())).collect();
    assert_eq!(missing, "", "tables of which the fixture has nothing");
    assert_eq!(verified(&engine).findings, []);
}

const ALL_TAGS: &str = "OKTtmMeiacnIXuhxdDlpYovrwPNLqgGEZybRskQzHBfFjJ1234567890@!#%&+*=-";

#[test]
fn every_changed_row_is_noticed() {
    let (backend, engine) = full();
    for (key, value) in some_of_all_tables(&backend) {
        let mut wrong = value.clone();
        match wrong.len() {
            0 => wrong.push(7),
            length => wrong[length / 2] ^= 0x10,
        }
        change(&backend, &key, Some(wrong));
        let report = verified(&engine);
        assert!(!report.is_clean(), "{key:02x?}");
        assert!(report.findings.iter().all(|finding| !finding.what.is_empty()));
        change(&backend, &key, Some(value));
    }
    assert_eq!(verified(&engine).findings, []);
}

#[test]
fn every_stray_row_is_noticed() {
    let (backend, engine) = full();
    for (key, value) in some_of_all_tables(&backend) {
        for place in [5, key.len() - 1] {
            let mut stray = key.clone();
            stray[place] ^= 1;
            change(&backend, &stray, Some(value.clone()));
            let report = verified(&engine);
            assert!(!report.is_clean(), "{stray:02x?}");
            change(&backend, &stray, None);
        }
    }
    // The second is of a table of older formats, and this store is of the newest.
    for key in [b"?", b"S"] {
        change(&backend, key, Some(Vec::new()));
        assert_eq!(verified(&engine).findings[0].what, "there is no such table");
        change(&backend, key, None);
    }
}

#[test]
fn an_export_has_no_secret_and_comes_back() {
    let (_, engine) = full();
    let ada = engine.first_admin(engine.organizations().unwrap()[0].id).unwrap();
    let invite = InviteMember { email_address: "zoe@example.com".parse().unwrap(), role: Role::Member };
    let token = engine.execute(invite, &ada).unwrap().token;
    let text = exported(&engine);
    assert!(text.contains("zoe@example.com") && !text.contains(token.reveal()) && !text.contains("scl_"));

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut told = 0;
    let things = import(&mut text.as_bytes(), &data, &mut |_| told += 1).unwrap();
    assert_eq!(things, u64::try_from(text.lines().count() - 2).unwrap());
    let imported = Engine::open_existing(&data).unwrap();
    assert_eq!(exported(&imported), text);
    // Keys and tokens work: their hashes came along.
    let accept = dogwatch_core::team::AcceptInvitation {
        token,
        first_name: "Zoe".parse().unwrap(),
        last_name: "Quay".parse().unwrap(),
    };
    imported.execute(accept, &Actor::Anybody).unwrap();
    assert!(verified(&imported).is_clean());
}

#[test]
fn what_is_no_export_leaves_nothing() {
    let (_, engine) = full();
    let text = exported(&engine);
    let lines: Vec<&str> = text.lines().collect();
    let without = |place: usize| {
        let mut lines = lines.clone();
        lines.remove(place);
        lines.join("\n")
    };
    let incident = lines.iter().position(|line| line.contains("\"type\":\"incident\"")).unwrap();
    let doubled = [&lines[..=incident], &lines[incident..]].concat().join("\n");
    let title = text.replacen("\"title\":\"", "\"title\":\"\\u0007", 1);
    for (what, text, says) in [
        ("nothing", String::new(), "line 1: an export does not begin with nothing"),
        ("something else", "hello\n".to_owned(), "line 1: this is not an export"),
        ("a newer version", text.replacen("\"version\":1", "\"version\":2", 1), "line 1: an export of version 2"),
        ("a cut", lines[..incident].join("\n"), "the end of the export is missing"),
        ("a line less", without(incident), "things were exported, but"),
        ("a line twice", doubled, "it says again what a line before it said"),
        ("a title that is none", title, "impossible value"),
        ("an unknown word", text.replacen("\"investigating\"", "\"lost\"", 1), "is not what must stand here"),
        ("something behind the end", format!("{text}x\n"), "there is something behind the end"),
        ("another count", text.replacen("\"apiKeys\":", "\"apiKeys\":1", 1), "does not fit together"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let error = import(&mut text.as_bytes(), &data, &mut |_| ()).unwrap_err().to_string();
        assert!(error.contains(says), "{what}: {error}");
        assert!(!data.exists(), "{what}");
    }
}

/// An incident that takes its audit trail for shorter than it is does not show what has moved out of it.
#[test]
fn earlier_events_that_an_incident_does_not_know_of_are_noticed() {
    let exported = exported(&full().1);
    let incident = |line: &str| Some(line.split_once("\"incident\":\"")?.1.split_once('"')?.0.to_owned());
    let moved = exported.lines().find(|line| line.starts_with("{\"type\":\"audit\"")).and_then(incident).unwrap();
    let id = format!("\"id\":\"{moved}\",");
    let forgetful = format!("{id}\"hasEarlierEvents\":false,");
    let forgetful = exported.replacen(&id, &forgetful, 1);
    assert_ne!(forgetful, exported);
    let scratch = tempfile::tempdir().unwrap();
    match import(&mut forgetful.as_bytes(), scratch.path().join("data"), &mut |_| ()) {
        Err(ToolError::Unfit(finding)) => {
            assert_eq!(finding.what, "it does not know of earlier events that are there");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_empty_folders_are_written() {
    let (_, engine) = full();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter"), "dear").unwrap();
    assert!(matches!(engine.backup(folder.path(), &mut |_| ()), Err(ToolError::NotEmpty { .. })));
    let text = exported(&engine);
    assert!(matches!(import(&mut text.as_bytes(), folder.path(), &mut |_| ()), Err(ToolError::NotEmpty { .. })));
    assert_eq!(std::fs::read_to_string(folder.path().join("letter")).unwrap(), "dear");
}

/// A backup is of one moment, whatever is written meanwhile: incident numbers without holes, and everything that belongs to
/// them.
#[test]
fn a_backup_while_writes_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path().join("data")).unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let over = AtomicBool::new(false);
    let stop = Stop(&over);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
                    let id = engine.execute(open, &ada).unwrap().id;
                    engine.execute(ChangeStatus::new(id, Status::Identified), &ada).unwrap();
                }
            });
        }
        let mut last = 0;
        for round in 0..6 {
            let copy = folder.path().join(round.to_string());
            let before = count(&engine, &ada);
            engine.backup(&copy, &mut |_| ()).unwrap();
            let live = verified(&engine);
            assert_eq!(live.findings, [], "a store in use");
            let store = ReadOnly::open(&copy).unwrap();
            assert_eq!(store.verify(&mut |_| ()).findings, []);
            let held = store.query(&ListIncidents::default(), &ada).unwrap();
            let newest = held.incidents.iter().map(|incident| incident.sequential_id).max().unwrap_or(0);
            assert!(newest >= before && newest >= last, "what was durable when it began is in it");
            last = newest;
        }
        drop(stop);
    });
}

/// Ends the writers also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn count(engine: &Engine, ada: &Actor) -> u64 {
    let page = engine.query(&ListIncidents::default(), ada).unwrap();
    page.incidents.iter().map(|incident| incident.sequential_id).max().unwrap_or(0)
}

/// Whatever ended a backup or an import, what is there is not taken for a store.
#[test]
fn an_unfinished_store_is_refused() {
    let (backend, engine) = full();
    drop(engine);
    let format: Vec<u8> = [&[0][..], b"format"].concat();
    let kept = rows(&backend)[&format].clone();
    change(&backend, &[&[0][..], b"unfinished"].concat(), Some(kept));
    let error = Engine::builder().with_backend(backend).unwrap_err();
    assert!(matches!(error, OpenError::Unfinished), "{error}");
}

fn replace(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).unwrap();
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// The rows and the journal of a store are put together from two of its copies, and from two stores.
#[test]
fn a_store_without_its_last_commits_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [data, old, other] = ["data", "old", "other"].map(|name| folder.path().join(name));
    let engine = Engine::open(&data).unwrap();
    let ada = organization(&engine).actor();
    engine.backup(&old, &mut |_| ()).unwrap();
    let invite = InviteMember { email_address: "zoe@example.com".parse().unwrap(), role: Role::Member };
    engine.execute(invite, &ada).unwrap();
    let head = engine.head();
    assert_eq!((head.position.number, engine.revision()), (2, 2));
    drop(engine);
    let journal = |store: &Path| store.join("journal");
    let refused = |store: &Path, found: u64, known: u64| {
        for error in [Engine::open(store).unwrap_err(), ReadOnly::open(store).unwrap_err()] {
            match error {
                OpenError::Lost { found: rows, known: last } => assert_eq!((rows.number, last.number), (found, known)),
                other => panic!("{other}"),
            }
        }
    };
    // The journal of the copy is behind the rows.
    let newer = folder.path().join("newer");
    replace_all(&data, &newer);
    replace(&journal(&old), &journal(&newer));
    refused(&newer, 2, 1);
    // The journal of another store.
    let engine = Engine::open(&other).unwrap();
    let zoe = organization(&engine).actor();
    engine.execute(InviteMember { email_address: "y@example.com".parse().unwrap(), role: Role::Member }, &zoe).unwrap();
    drop(engine);
    replace(&journal(&other), &journal(&newer));
    refused(&newer, 2, 2);
    // The rows are behind, and the journal has what they lack: it is all there.
    replace(&journal(&data), &journal(&old));
    assert_eq!(Engine::open(&old).unwrap().head(), head);
    // No journal at all.
    std::fs::remove_dir_all(journal(&old)).unwrap();
    assert!(Engine::open(&old).unwrap_err().to_string().contains("journal"));
    // No rows at all: the journal stays as it is, since it shows that there were some.
    for entry in std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        std::fs::remove_file(entry).unwrap();
    }
    std::fs::write(data.join("dogwatch.creating"), "").unwrap();
    for _ in 0..2 {
        match Engine::open(&data).unwrap_err() {
            OpenError::Lost { found, known } => assert_eq!((found.number, known.number), (0, 2)),
            other => panic!("{other}"),
        }
    }
    // A folder of that name that is somebody else's.
    let foreign = folder.path().join("foreign");
    std::fs::create_dir_all(foreign.join("journal")).unwrap();
    std::fs::write(foreign.join("journal/monday.txt"), "rain").unwrap();
    assert!(matches!(Engine::open(&foreign).unwrap_err(), OpenError::NotAStore));
    assert!(foreign.join("journal/monday.txt").exists());
}

/// A copy of a store's folder.
fn replace_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("journal")).unwrap();
    replace(&from.join("journal"), &to.join("journal"));
    for file in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

#[test]
fn who_has_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let _engine = Engine::open(folder.path()).unwrap();
    let said = Engine::open(folder.path()).unwrap_err().to_string();
    assert!(said.contains(&format!("is in use by process {}", std::process::id())), "{said}");
}

/// Delivered notifications go when their time is up, a few with each confirmation, and nobody misses them.
#[test]
fn delivered_notifications_are_dropped() {
    let backend = MemoryBackend::new();
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let day = Duration::from_secs(24 * 60 * 60);
    let builder = || Engine::builder().clock(clock.clone()).keep_delivered(day);
    let engine = builder().with_backend(backend.clone()).unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
    let incident = engine.execute(open, &ada).unwrap().id;
    let delivered = || {
        engine.checkpoint().unwrap();
        rows(&backend).keys().filter(|key| key[0] == b'z').count()
    };
    let page = || {
        engine.execute(dogwatch_core::incident::HandOffIncident { id: incident, target_user_id: owner }, &ada).unwrap();
        let claimed = engine.claim(1, day).unwrap();
        assert_eq!(engine.confirm(&[claimed[0].receipt()]).unwrap(), 1);
    };
    (0..10).for_each(|_| page());
    assert_eq!(delivered(), 10);
    clock.advance(day);
    page();
    assert_eq!(delivered(), 11, "exactly a day is not more than a day");
    clock.advance(Duration::from_millis(1));
    page();
    assert_eq!(delivered(), 10);
    (0..5).for_each(|_| page());
    assert_eq!(delivered(), 7);
    assert_eq!(verified(&engine).findings, []);
    // What is missing although its time is not up is noticed.
    let last = rows(&backend).into_iter().rfind(|(key, _)| key[0] == b'z').unwrap();
    change(&backend, &last.0, None);
    let findings = verified(&engine).findings;
    assert!(findings.iter().any(|it| it.what.contains("but there is no notification")), "{findings:?}");
}

/// Progress is told, and counts are right.
#[test]
fn counting() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let open = || CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
    let pending: Vec<_> = (0..1_200).map(|_| engine.submit(open(), &ada).unwrap()).collect();
    pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    let stats = engine.stats().unwrap();
    let table = stats.tables.iter().find(|table| table.name == "Incident").unwrap();
    assert_eq!((table.rows, table.key_bytes), (1_200, 1_200 * 33));
    assert!(stats.bytes_on_disk.unwrap() > 0 && stats.oldest_incident <= stats.newest_incident);
    let mut told = Vec::new();
    let report = engine.verify(&mut |rows| told.push(rows));
    assert_eq!(told.len(), usize::try_from(report.rows / 1_000).unwrap());
    assert!(told.len() > 1 && told.is_sorted());
}

#[test]
fn idempotent_answers_are_exported() {
    let folder = tempfile::tempdir().unwrap();
    let (_, engine) = full();
    let ada = engine.first_admin(engine.organizations().unwrap()[0].id).unwrap();
    let invite = || InviteMember { email_address: "zoe@example.com".parse().unwrap(), role: Role::Member };
    let once = || Once { scope: [3; 16], key: IdempotencyKey::new("a-key").unwrap(), fingerprint: [4; 32] };
    // Longer than a row.
    let answer = Answer { status: 201, body: vec![0xAB; 9_000] };
    let recorded = answer.clone();
    let render = move |_: Result<_, _>| (recorded.clone(), recorded);
    assert!(!engine.submit_once(invite(), &ada, once(), render.clone()).unwrap().wait().unwrap().again);
    assert!(verified(&engine).is_clean());
    let data = folder.path().join("data");
    import(&mut exported(&engine).as_bytes(), &data, &mut |_| ()).unwrap();
    let clock = ManualClock::at(engine.now());
    let imported = Engine::builder().clock(clock).open(&data as &Path).unwrap();
    let again = imported.submit_once(invite(), &ada, once(), render).unwrap().wait().unwrap();
    assert_eq!((again.again, again.answer), (true, answer));
}
