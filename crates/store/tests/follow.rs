//! Followers, bookmarks, and backups that are brought up to date: what happened, in order, without a gap and without secrets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use dogwatch_core::api_key::{CreateApiKey, RevokeApiKey};
use dogwatch_core::component::{CreateComponent, EditComponent, GetComponent};
use dogwatch_core::incident::{
    ChangeStatus, CreateIncident, EditIncident, GetIncident, ListIncidents, PostUpdate, RedactUpdate, Severity, Status,
};
use dogwatch_core::organization::OrganizationCreated;
use dogwatch_core::team::{InviteMember, Role};
use dogwatch_core::text::Name;
use dogwatch_core::{Actor, Code, Patch};
use dogwatch_store::backend::{Backend, BackendError, Batch, MemoryBackend, Scan};
use dogwatch_store::journal::Position;
use dogwatch_store::{
    Change, Engine, FollowError, Follower, Gone, ManualClock, OpenError, ReadOnly, Subject, ToolError, Until, What,
    restore,
};
use dogwatch_testkit::fixture::{everything, organization};
use support::block_on;

mod support;

fn begin() -> (Engine, OrganizationCreated, Follower) {
    let engine = Engine::in_memory().unwrap();
    let created = organization(&engine);
    let follower = engine.follow(engine.head().position).unwrap();
    (engine, created, follower)
}

fn incident(created: &OrganizationCreated) -> CreateIncident {
    CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, created.admin.member.id)
}

/// A change in a few words.
fn told(change: &Change) -> String {
    let what = match &change.what {
        What::Created(subject) => format!("created {}", subject_told(subject)),
        What::Changed(subject) => format!("changed {}", subject_told(subject)),
        What::Deleted(Gone::ApiKey(_)) => "deleted key".to_owned(),
        What::Deleted(Gone::Invitation(_)) => "deleted invitation".to_owned(),
        What::Deleted(other) => format!("deleted {other:?}"),
    };
    let by = match change.actor {
        Some(Actor::Member { .. }) => "member",
        Some(Actor::Operator) => "operator",
        Some(Actor::Anybody) => "anybody",
        None => "engine",
    };
    format!("{what} by {by}")
}

fn subject_told(subject: &Subject) -> String {
    match subject {
        Subject::Organization(it) => format!("organization {}", it.name),
        Subject::Member(it) => format!("member {}", it.first_name),
        Subject::Invitation(it) => format!("invitation {}", it.email_address),
        Subject::ApiKey(it) => format!("key {}", it.name),
        Subject::Component(it) => format!("component {}", it.name),
        Subject::Incident(it) => format!("incident {} {}", it.title, it.status.as_str()),
        Subject::Update(it) => format!("update {}", it.body.as_ref().map_or("-", |body| body.as_str())),
        other => format!("{other:?}"),
    }
}

/// What a follower tells of all that has happened, with a bar between commits.
fn all(follower: &mut Follower) -> String {
    let mut commits = Vec::new();
    while let Some(changes) = follower.next_changes_within(Duration::ZERO).unwrap() {
        assert!(changes.iter().all(|change| change.position == follower.position()));
        commits.push(changes.iter().map(told).collect::<Vec<_>>().join(", "));
    }
    commits.join(" | ")
}

#[test]
fn who_did_what() {
    let (engine, created, mut follower) = begin();
    let ada = created.actor();
    let id = engine.execute(incident(&created), &ada).unwrap().id;
    assert_eq!(all(&mut follower), "created incident Checkout is down investigating by member");
    engine.execute(ChangeStatus::new(id, Status::Identified), &ada).unwrap();
    assert_eq!(
        all(&mut follower),
        "changed incident Checkout is down identified by member, created update - by member"
    );
    let name = || Name::new("laptop").unwrap();
    let key = engine.execute(CreateApiKey { name: name(), expires_at: None }, &ada).unwrap().key.id;
    engine.execute(RevokeApiKey { id: key }, &ada).unwrap();
    assert_eq!(all(&mut follower), "created key laptop by member | deleted key by member");
    // Nothing is told of what was refused, and what is all in one commit is told as it is after it.
    assert!(engine.execute(RevokeApiKey { id: key }, &ada).is_err());
    let both = engine.transact(&ada, move |tx| {
        let made = tx.execute(CreateApiKey { name: name(), expires_at: None })?;
        tx.execute(RevokeApiKey { id: made.key.id })?;
        let component = tx.execute(CreateComponent::new("Checkout".parse()?))?;
        Ok(component.id)
    });
    both.unwrap();
    assert_eq!(all(&mut follower), "created component Checkout by member");
}

#[test]
fn what_the_engine_does_by_itself_has_no_actor() {
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let engine = Engine::builder().clock(clock.clone()).in_memory().unwrap();
    let mut follower = engine.follow(engine.head().position).unwrap();
    drop(everything(&engine, &clock));
    engine.tick("2026-05-07T10:00:00Z".parse().unwrap()).unwrap();
    let mut actors = Vec::new();
    while let Some(changes) = follower.next_changes_within(Duration::ZERO).unwrap() {
        actors.extend(changes.into_iter().map(|change| change.actor));
    }
    assert!(actors.contains(&None) && actors.contains(&Some(Actor::Operator)), "{actors:?}");
}

#[test]
fn a_follower_waits_and_is_told_of_the_end() {
    let (engine, created, mut follower) = begin();
    let ada = created.actor();
    let waiting = thread::spawn(move || {
        let first = follower.next_changes().map(|changes| changes.len());
        let second = block_on(follower.changes()).map(|changes| changes.len());
        (first, second, follower.next_changes(), block_on(follower.changes()))
    });
    engine.execute(CreateComponent::new("Checkout".parse().unwrap()), &ada).unwrap();
    engine.execute(CreateComponent::new("Search".parse().unwrap()), &ada).unwrap();
    drop(engine);
    let (first, second, third, fourth) = waiting.join().unwrap();
    assert_eq!((first.unwrap(), second.unwrap()), (1, 1));
    assert!(matches!((third, fourth), (Err(FollowError::Ended), Err(FollowError::Ended))));
}

/// What is on its way when the engine is closed is told before the end.
#[test]
fn all_is_told_before_the_end() {
    let gated = support::Gated::default();
    let engine = gated.open(Engine::builder());
    let created = organization(&engine);
    let mut follower = engine.follow(engine.head().position).unwrap();
    let component = |name: &str| CreateComponent::new(name.parse().unwrap());
    let gate = gated.close();
    let first = engine.submit(component("Checkout"), &created.actor()).unwrap();
    gated.until_waiting();
    // These two are one batch, which another thread stores.
    let others = ["Search", "Basket"].map(|name| engine.submit(component(name), &created.actor()).unwrap());
    let closing = thread::spawn(move || drop(engine));
    gated.state.slow.store(true, Ordering::SeqCst);
    drop(gate);
    let mut told = 0;
    let end = loop {
        match follower.next_changes() {
            Ok(changes) => told += changes.len(),
            Err(end) => break end,
        }
    };
    assert!(matches!(end, FollowError::Ended), "{end:?}");
    assert_eq!(told, 3);
    first.wait().unwrap();
    others.into_iter().for_each(|other| drop(other.wait().unwrap()));
    closing.join().unwrap();
}

/// A change of a long text is told even when nothing else of the entity changes, the clock included; and nobody reads the old text.
#[test]
fn a_text_may_change_within_a_millisecond() {
    let engine = Engine::builder().clock(ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap())).in_memory().unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    // Of two bytes a letter, so that it is long.
    let text = |letter: &str| letter.repeat(1_000).parse().unwrap();
    let described =
        CreateComponent { description: Some(text("ä")), ..CreateComponent::new("Checkout".parse().unwrap()) };
    let id = engine.execute(described, &ada).unwrap().id;
    let read = || engine.query(&GetComponent { id }, &ada).unwrap().description;
    assert_eq!(read(), Some(text("ä")));
    let mut follower = engine.follow(engine.head().position).unwrap();
    for letter in ["ö", "ü"] {
        engine
            .execute(EditComponent { description: Patch::Set(text(letter)), ..EditComponent::new(id) }, &ada)
            .unwrap();
        assert_eq!(read(), Some(text(letter)));
    }
    engine.checkpoint().unwrap();
    assert_eq!(read(), Some(text("ü")));
    for _ in 0..2 {
        let changes = follower.next_changes_within(Duration::ZERO).unwrap().expect("it is told");
        let What::Changed(Subject::Component(it)) = &changes[0].what else { panic!("{changes:?}") };
        assert!([Some(text("ö")), Some(text("ü"))].contains(&it.description));
    }
}

/// What cannot be read is an error, and not taken for what is gone.
#[test]
fn a_row_that_cannot_be_read() {
    let backend = Unreadable::default();
    let engine = Engine::builder().with_backend(backend.clone()).unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    let begun = engine.head().position;
    let long = Some("long ".repeat(1_000).parse().unwrap());
    let id = engine.execute(CreateIncident { description: long, ..incident(&created) }, &ada).unwrap().id;
    let title = Some("Search is down".parse().unwrap());
    engine.execute(EditIncident { title, ..EditIncident::new(id) }, &ada).unwrap();
    let mut follower = engine.follow(engine.head().position).unwrap();
    engine.bookmark(&Name::new("all").unwrap(), begun).unwrap();
    let title = Some("Basket is down".parse().unwrap());
    engine.execute(EditIncident { title, ..EditIncident::new(id) }, &ada).unwrap();
    engine.checkpoint().unwrap();
    backend.fails.store(true, Ordering::SeqCst);
    let told = follower.next_changes_within(Duration::ZERO);
    assert!(matches!(told, Err(FollowError::Storage(_))), "{told:?}");
    let told = engine.changes(follower.position(), &mut Vec::new(), &mut |_| ());
    assert!(matches!(told, Err(ToolError::Storage(_))), "{told:?}");
    backend.fails.store(false, Ordering::SeqCst);
    let told = follower.next_changes().unwrap();
    assert!(matches!(&told[0].what, What::Changed(Subject::Incident(it)) if it.title.as_str() == "Basket is down"));
}

/// What storage cannot read is not said to be damaged: the same row can be read later.
#[test]
fn a_text_that_cannot_be_read_is_not_damaged() {
    let backend = Unreadable { only: Some(b'x'), ..Unreadable::default() };
    let engine = Engine::builder().with_backend(backend.clone()).unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    let long = Some("long ".repeat(1_000).parse().unwrap());
    let id = engine.execute(CreateIncident { description: long, ..incident(&created) }, &ada).unwrap().id;
    engine.checkpoint().unwrap();
    backend.fails.store(true, Ordering::SeqCst);
    let why = format!("{:?}", engine.query(&GetIncident { id }, &ada).unwrap_err());
    assert!(why.contains("unreadable") && why.contains("storage failed") && !why.contains("corrupt"), "{why}");
    let why = engine.export(&mut Vec::new(), &mut |_| ()).unwrap_err();
    assert!(matches!(why, ToolError::Storage(_)), "{why}");
    backend.fails.store(false, Ordering::SeqCst);
    assert!(engine.query(&GetIncident { id }, &ada).is_ok());
}

/// A backend of which no row can be read while it fails, or only those of one table cannot.
#[derive(Clone, Default)]
struct Unreadable {
    inner: MemoryBackend,
    fails: Arc<AtomicBool>,
    only: Option<u8>,
}

impl Unreadable {
    fn look(&self, key: &[u8]) -> Result<(), BackendError> {
        let meant = self.only.is_none_or(|tag| key.first() == Some(&tag));
        if meant && self.fails.load(Ordering::SeqCst) {
            Err(BackendError::new("reading", "on purpose"))
        } else {
            Ok(())
        }
    }
}

impl Backend for Unreadable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.look(key)?;
        self.inner.get(key)
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a> {
        match self.look(start) {
            Ok(()) => self.inner.scan(start, end),
            Err(why) => Box::new(std::iter::once(Err(why))),
        }
    }

    fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
        self.inner.apply(batch)
    }

    fn make_durable(&self) -> Result<(), BackendError> {
        self.inner.make_durable()
    }
}

#[test]
fn long_texts_are_whole_and_what_was_redacted_stays_so() {
    let (engine, created, mut follower) = begin();
    let ada = created.actor();
    let long = "long ".repeat(1_000);
    let open = CreateIncident { description: Some(long.parse().unwrap()), ..incident(&created) };
    let id = engine.execute(open, &ada).unwrap().id;
    engine
        .execute(EditIncident { title: Some("Search is down".parse().unwrap()), ..EditIncident::new(id) }, &ada)
        .unwrap();
    for title in ["Checkout is down", "Search is down"] {
        let changes = follower.next_changes().unwrap();
        let (What::Created(Subject::Incident(it)) | What::Changed(Subject::Incident(it))) = &changes[0].what else {
            panic!("{changes:?}")
        };
        // The first has been changed since, so it is given as it is now.
        assert!(it.title.as_str() == title || it.title.as_str() == "Search is down");
        assert_eq!(it.description.as_ref().map(|text| text.as_str()), Some(long.as_str()));
    }
    let secret = "a secret, ".repeat(200);
    let update = engine.execute(PostUpdate::internal(id, secret.parse().unwrap()), &ada).unwrap().id;
    engine.execute(RedactUpdate { incident_id: id, update_id: update }, &ada).unwrap();
    let told = all(&mut follower);
    assert!(!told.contains("a secret"), "{told}");
    assert_eq!(told.matches("update -").count(), 2, "{told}");
}

#[test]
fn lines_hold_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    let invited = InviteMember::new("ben@example.com".parse().unwrap(), Role::Member);
    let token = engine.execute(invited, &ada).unwrap().token;
    let mut lines = Vec::new();
    let last = engine.changes(Position::default(), &mut lines, &mut |_| ()).unwrap();
    assert_eq!(last, engine.head().position);
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.contains(r#""type":"apiKey""#) && lines.contains(r#""type":"invitation""#), "{lines}");
    for secret in [&created.admin.api_key.secret, &token] {
        let hash: String = secret.hash().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!lines.contains(secret.reveal()) && !lines.contains(&hash), "{lines}");
    }
    assert_eq!(lines.matches("leftOut").count(), 2, "{lines}");
}

/// Fills the journal so far that it has forgotten what came first, if nobody has it kept.
fn fill(engine: &Engine, created: &OrganizationCreated) {
    let ada = created.actor();
    for _ in 0..700 {
        engine.execute(incident(created), &ada).unwrap();
    }
    engine.checkpoint().unwrap();
}

#[test]
fn the_journal_keeps_what_a_bookmark_needs() {
    let folder = tempfile::tempdir().unwrap();
    let name = Name::new("copy").unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    let (created, begun) = (organization(&engine), engine.head().position);
    engine.bookmark(&name, begun).unwrap();
    fill(&engine, &created);
    drop(engine);
    // It holds through a restart, also one that has only few bytes to keep.
    let engine = Engine::open(folder.path()).unwrap();
    fill(&engine, &created);
    assert_eq!(engine.bookmarks().unwrap(), [(name.clone(), begun)]);
    let mut follower = engine.follow(begun).unwrap();
    let mut count = 0;
    while let Some(changes) = follower.next_changes_within(Duration::ZERO).unwrap() {
        count += changes.len();
    }
    assert_eq!(count, 1_400);
    drop(follower);
    engine.remove_bookmark(&name).unwrap();
    fill(&engine, &created);
    assert!(matches!(engine.follow(begun), Err(FollowError::Forgotten { from }) if from == begun));
    assert_eq!(engine.bookmark(&name, begun).unwrap_err().code(), Code::NotFound);
    let mut lines = Vec::new();
    let told = engine.changes(begun, &mut lines, &mut |_| ()).unwrap_err();
    assert!(matches!(told, ToolError::Forgotten { from } if from == begun));
    drop(engine);
    // The quota is stronger than a bookmark, and than a follower.
    let engine = Engine::builder().follower_quota(1).open(folder.path()).unwrap();
    let begun = engine.head().position;
    engine.bookmark(&name, begun).unwrap();
    let mut follower = engine.follow(begun).unwrap();
    fill(&engine, &created);
    fill(&engine, &created);
    assert!(matches!(follower.next_changes(), Err(FollowError::Forgotten { .. })));
}

#[test]
fn there_are_few_bookmarks() {
    let (engine, _, _follower) = begin();
    let name = |number: usize| Name::new(format!("copy {number}")).unwrap();
    let here = engine.head().position;
    (0..16).for_each(|number| engine.bookmark(&name(number), here).unwrap());
    assert_eq!(engine.bookmark(&name(16), here).unwrap_err().code(), Code::LimitReached);
    engine.bookmark(&name(7), engine.head().position).unwrap();
    engine.remove_bookmark(&name(16)).unwrap();
    engine.remove_bookmark(&name(0)).unwrap();
    engine.bookmark(&name(16), here).unwrap();
}

/// A backup is brought up to date while writes go on, and is restored as it was at each of those moments.
#[test]
fn backups_that_are_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let engine = Engine::open(at("data")).unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    let over = AtomicBool::new(false);
    let mut moments = Vec::new();
    thread::scope(|scope| {
        let writes = || {
            while !over.load(Ordering::Relaxed) {
                engine.execute(incident(&created), &ada).unwrap();
            }
        };
        (0..2).for_each(|_| drop(scope.spawn(writes)));
        for round in 0..4 {
            let backup = engine.backup_increment(at("backup"), &mut |_| ()).unwrap();
            assert_eq!(backup.rows.is_some(), round == 0);
            moments.push(backup.position);
            thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Ordering::Relaxed);
    });
    for (round, moment) in moments.iter().enumerate() {
        let to = at(&format!("restored {round}"));
        let restored = restore(at("backup"), &to, Until::Position(*moment), &mut |_| ()).unwrap();
        assert_eq!(restored.position, *moment);
        let store = ReadOnly::open(&to).unwrap();
        assert_eq!((store.head().position, store.verify(&mut |_| ()).findings), (*moment, vec![]));
    }
    // Nobody works with the backup itself: an engine would bring its rows up to date, and earlier moments would be gone.
    assert!(matches!(Engine::open(at("backup")), Err(OpenError::IncrementalBackup)));
    assert!(matches!(ReadOnly::open(at("backup")), Err(OpenError::IncrementalBackup)));
    assert_eq!(restore(at("backup"), at("last"), Until::Last, &mut |_| ()).unwrap().position, moments[3]);
    // A store whose writer was killed may hold rows of a later moment than its head: only its last moment can be restored.
    let refused = restore(at("last"), at("none"), Until::Position(moments[3]), &mut |_| ());
    assert!(matches!(refused, Err(ToolError::NotIncremental { .. })), "{refused:?}");
    assert_eq!(restore(at("last"), at("again"), Until::Last, &mut |_| ()).unwrap().position, moments[3]);
    let (_, why) = (engine.backup(at("plain"), &mut |_| ()), engine.backup_increment(at("plain"), &mut |_| ()));
    assert!(matches!(why, Err(ToolError::NotABackup { .. })), "{why:?}");
    let restored = ReadOnly::open(at("restored 3")).unwrap();
    assert!(restored.bookmarks().unwrap().is_empty(), "a bookmark belongs to the journal that it is in");
    let too_late = Position { term: 0, number: moments[3].number + 1 };
    let refused = restore(at("backup"), at("none"), Until::Position(too_late), &mut |_| ());
    assert!(
        matches!(refused, Err(ToolError::NoSuchMoment { first, last }) if first == moments[0] && last == moments[3])
    );
    assert!(!at("none").exists(), "nothing is left of it");
    let refused = restore(at("backup"), at("none"), Until::Time("2020-01-01T00:00:00Z".parse().unwrap()), &mut |_| ());
    assert!(matches!(refused, Err(ToolError::NoSuchMoment { .. })));

    // Another store's backup is not gone on with; and one whose next commits are forgotten is not, either.
    let other = Engine::open(at("other")).unwrap();
    drop(organization(&other));
    let refused = other.backup_increment(at("backup"), &mut |_| ());
    assert!(matches!(refused, Err(ToolError::NotABackup { .. } | ToolError::Forgotten { .. })), "{refused:?}");
    let names = engine.bookmarks().unwrap();
    assert_eq!(names.len(), 1);
    engine.remove_bookmark(&names[0].0).unwrap();
    fill(&engine, &created);
    fill(&engine, &created);
    fill(&engine, &created);
    let refused = engine.backup_increment(at("backup"), &mut |_| ());
    assert!(matches!(refused, Err(ToolError::Forgotten { from }) if from == moments[3]), "{refused:?}");
}

#[test]
fn restored_as_of_an_instant() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let engine = Engine::builder().clock(clock.clone()).open(at("data")).unwrap();
    let created = organization(&engine);
    engine.backup_increment(at("backup"), &mut |_| ()).unwrap();
    for minute in 1..=3 {
        clock.set(format!("2026-04-07T10:0{minute}:00Z").parse().unwrap());
        engine.execute(incident(&created), &created.actor()).unwrap();
    }
    engine.backup_increment(at("backup"), &mut |_| ()).unwrap();
    for (time, incidents) in [
        ("2026-04-07T10:00:00Z", Some(0)),
        ("2026-04-07T10:00:59Z", Some(0)),
        ("2026-04-07T10:01:00Z", Some(1)),
        ("2026-04-07T10:02:30Z", Some(2)),
        ("2027-01-01T00:00:00Z", Some(3)),
        ("2026-04-07T09:59:59Z", None),
    ] {
        let to = at(time);
        let restored = restore(at("backup"), &to, Until::Time(time.parse().unwrap()), &mut |_| ());
        let Some(incidents) = incidents else {
            assert!(matches!(restored, Err(ToolError::NoSuchMoment { .. })), "{time}");
            continue;
        };
        restored.unwrap();
        let store = Engine::open(&to).unwrap();
        let held = store.query(&ListIncidents::default(), &created.actor()).unwrap().incidents;
        assert_eq!(held.len(), incidents, "{time}");
        store.execute(incident(&created), &created.actor()).unwrap();
    }
}
