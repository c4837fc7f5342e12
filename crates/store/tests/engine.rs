//! The engine itself: group commit, waiting and awaiting, overload, failure of the storage, what readers see.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use dogwatch_core::api_key::RevokeApiKey;
use dogwatch_core::component::{CreateComponent, DeleteComponent, ListComponents};
use dogwatch_core::incident::{
    ChangeStatus, CreateIncident, EditIncident, GetIncident, IncidentView, ListIncidents, ListLimit, ListUpdates,
    PostUpdate, RedactUpdate, Severity, Status,
};
use dogwatch_core::organization::OrganizationCreated;
use dogwatch_core::{Actor, Code, Patch};
use dogwatch_store::backend::{Backend, MemoryBackend};
use dogwatch_store::fuzzing::in_the_writer;
use dogwatch_store::{Answer, By, Engine, Error, Once, OpenError};
use dogwatch_testkit::fixture::organization;
use support::{Gated, block_on};

fn incident(created: &OrganizationCreated) -> CreateIncident {
    CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, created.admin.member.id)
}

fn component(name: &str) -> CreateComponent {
    CreateComponent { name: name.parse().unwrap(), description: None, group_label: None }
}

/// An engine on a journal that can be held up, with an organization.
fn gated() -> (Gated, Engine, OrganizationCreated, Actor) {
    let backend = Gated::default();
    let engine = backend.open(Engine::builder());
    let created = organization(&engine);
    let ada = created.actor();
    (backend, engine, created, ada)
}

/// Has two commands stored as one batch. So the next command does not come alone after one that came alone: it is stored in a
/// thread of its own, and what comes meanwhile is decided.
fn two_at_once(backend: &Gated, engine: &Engine, actor: &Actor) {
    let closed = backend.close();
    let first = engine.submit(component("first"), actor).unwrap();
    backend.until_waiting();
    let two = ["second", "third"].map(|name| engine.submit(component(name), actor).unwrap());
    drop(closed);
    first.wait().unwrap();
    two.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
}

fn listed(engine: &Engine, actor: &Actor) -> Vec<IncidentView> {
    engine.query(&ListIncidents { limit: ListLimit::MAX, ..Default::default() }, actor).unwrap().incidents
}

#[test]
fn what_queues_up_during_a_commit_is_one_batch() {
    let (backend, engine, created, ada) = gated();
    let closed = backend.close();
    let before = backend.batches();
    let first = engine.submit(incident(&created), &ada).unwrap();
    backend.until_waiting();
    let rest: Vec<_> = (0..50).map(|_| engine.submit(incident(&created), &ada).unwrap()).collect();
    drop(closed);
    assert_eq!(first.wait().unwrap().sequential_id, 1);
    let numbers: Vec<_> = rest.into_iter().map(|pending| pending.wait().unwrap().sequential_id).collect();
    assert_eq!(numbers, (2..=51).collect::<Vec<u64>>(), "in the order of submission, each on top of the last");
    assert_eq!(backend.batches() - before, 2);
}

#[test]
fn a_refused_command_leaves_nothing_in_its_batch() {
    let (backend, engine, _, ada) = gated();
    let closed = backend.close();
    let first = engine.submit(component("zero"), &ada).unwrap();
    backend.until_waiting();
    let names = ["a", "b", "a", "c", "b"];
    let rest: Vec<_> = names.iter().map(|name| engine.submit(component(name), &ada).unwrap()).collect();
    drop(closed);
    first.wait().unwrap();
    let outcomes: Vec<_> = rest.into_iter().map(|pending| pending.wait().map_err(|error| error.code()).err()).collect();
    let conflict = Some(Code::NameConflict);
    assert_eq!(outcomes, [None, None, conflict, None, conflict]);
    let names: Vec<_> = engine.query(&ListComponents, &ada).unwrap().into_iter().map(|c| c.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c", "zero"]);
}

#[test]
fn readers_see_a_batch_only_once_it_is_durable_and_then_whole() {
    let (backend, engine, created, ada) = gated();
    let open = engine.execute(incident(&created), &ada).unwrap();
    let closed = backend.close();
    let moved = engine.submit(ChangeStatus::new(open.id, Status::Identified), &ada).unwrap();
    backend.until_waiting();
    let seen = engine.query(&GetIncident { id: open.id }, &ada).unwrap();
    assert_eq!(
        (seen.incident.status, seen.status_history.len(), seen.audit_trail.len()),
        (Status::Investigating, 1, 1)
    );
    assert_eq!(listed(&engine, &ada), std::slice::from_ref(&open));
    drop(closed);
    let moved = moved.wait().unwrap();
    let seen = engine.query(&GetIncident { id: open.id }, &ada).unwrap();
    assert_eq!((seen.status_history.len(), seen.audit_trail.len()), (2, 3));
    assert_eq!(seen.incident, moved);
}

#[test]
fn a_component_is_free_once_its_incidents_are_resolved() {
    let engine = Engine::in_memory().unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    let id = engine.execute(component("API"), &ada).unwrap().id;
    let tagged = CreateIncident { component_ids: vec![id], ..incident(&created) };
    let open = engine.execute(tagged, &ada).unwrap();
    for to in [Status::Identified, Status::Monitoring, Status::Resolved] {
        assert_eq!(
            engine.execute(DeleteComponent { id }, &ada).unwrap_err().code(),
            Code::ComponentInUse,
            "before {to}"
        );
        engine.execute(ChangeStatus::new(open.id, to), &ada).unwrap();
    }
    engine.execute(DeleteComponent { id }, &ada).unwrap();
    let shown = engine.query(&GetIncident { id: open.id }, &ada).unwrap().incident.affected_components;
    assert_eq!(shown.iter().map(|component| component.name.as_str()).collect::<Vec<_>>(), ["API"]);
}

/// The longest texts are kept in pieces. Taking one back leaves no piece behind.
#[test]
fn long_texts_come_back_whole_and_go_without_a_trace() {
    let backend = MemoryBackend::new();
    let engine = Engine::builder().with_backend(backend.clone()).unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    let holds = |needle: &str| {
        engine.checkpoint().unwrap();
        let pairs = backend.scan(&[], &[0xFF]).map(Result::unwrap).collect::<Vec<_>>();
        assert!(pairs.iter().all(|(_, value)| value.len() <= 4_096), "values stay small");
        pairs.iter().any(|(_, value)| value.windows(needle.len()).any(|window| window == needle.as_bytes()))
    };
    for (unit, count) in [("a", 1_024), ("a", 1_025), ("é", 5_000), ("🦀", 10_000), ("日本\n", 3_333)] {
        let text = unit.repeat(count);
        let open = CreateIncident { description: Some(text.parse().unwrap()), ..incident(&created) };
        let id = engine.execute(open, &ada).unwrap().id;
        let posted = engine.execute(PostUpdate::internal(id, text.parse().unwrap()), &ada).unwrap();
        assert_eq!(posted.body.unwrap().as_str(), text);
        let detail = engine.query(&GetIncident { id }, &ada).unwrap();
        assert_eq!(detail.incident.description.unwrap().as_str(), text);
        assert_eq!(engine.query(&ListUpdates::new(id), &ada).unwrap().updates[0].body.as_ref().unwrap().as_str(), text);
        let needle = unit.repeat(20);
        assert!(holds(&needle));
        engine.execute(RedactUpdate { incident_id: id, update_id: posted.id }, &ada).unwrap();
        let clear = EditIncident { description: Patch::Set("short".parse().unwrap()), ..EditIncident::new(id) };
        engine.execute(clear, &ada).unwrap();
        assert!(!holds(&needle), "{unit}");
    }
}

#[test]
fn a_full_queue_refuses_at_once_and_recovers() {
    let backend = Gated::default();
    let engine = backend.open(Engine::builder().queue_capacity(3));
    let created = organization(&engine);
    let ada = created.actor();
    let closed = backend.close();
    let first = engine.submit(incident(&created), &ada).unwrap();
    backend.until_waiting();
    let waiting: Vec<_> = (0..3).map(|_| engine.submit(incident(&created), &ada).unwrap()).collect();
    let refused = engine.execute(incident(&created), &ada).unwrap_err();
    assert!(matches!(refused, Error::Overloaded));
    assert_eq!((refused.code(), refused.http_status()), (Code::Overloaded, 503));
    drop(closed);
    first.wait().unwrap();
    waiting.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    assert_eq!(engine.execute(incident(&created), &ada).unwrap().sequential_id, 5, "the refused one used no number");
}

#[test]
fn after_a_storage_error_the_outcome_is_unknown_and_reads_go_on() {
    for (fail_write, alone) in [(true, true), (true, false), (false, true), (false, false)] {
        let (backend, engine, created, ada) = gated();
        let before = engine.execute(incident(&created), &ada).unwrap();
        if !alone {
            two_at_once(&backend, &engine, &ada);
        }
        backend.state.fail_write.store(fail_write, Ordering::SeqCst);
        backend.state.fail_sync.store(!fail_write, Ordering::SeqCst);
        let failed = engine.execute(incident(&created), &ada).unwrap_err();
        assert!(matches!(failed, Error::OutcomeUnknown));
        assert_eq!((failed.code(), failed.http_status()), (Code::OutcomeUnknown, 500));

        backend.state.fail_write.store(false, Ordering::SeqCst);
        backend.state.fail_sync.store(false, Ordering::SeqCst);
        assert!(matches!(engine.execute(incident(&created), &ada), Err(Error::Poisoned)));
        assert_eq!(listed(&engine, &ada), std::slice::from_ref(&before), "what was durable before");

        drop(engine);
        let engine = backend.open(Engine::builder());
        let found = listed(&engine, &ada).len();
        assert_eq!(found, if fail_write { 1 } else { 2 }, "reopening tells which of the two it was");
        assert_eq!(engine.execute(incident(&created), &ada).unwrap().sequential_id, u64::try_from(found).unwrap() + 1);
    }
}

/// Waits until everything that was submitted is decided, behind a batch that is being stored.
fn until_decided(engine: &Engine) {
    // While a batch is being stored, fewer than eight are left to wait.
    while engine.load().queued >= 8 {
        thread::yield_now();
    }
}

/// What is decided while a batch is being stored sees all of that batch: single rows, and lists of rows.
#[test]
fn a_batch_sees_the_one_that_is_being_stored() {
    let (backend, engine, created, ada) = gated();
    let api = engine.execute(component("API"), &ada).unwrap().id;
    two_at_once(&backend, &engine, &ada);
    let closed = backend.close();
    let tagged = engine.submit(CreateIncident { component_ids: vec![api], ..incident(&created) }, &ada).unwrap();
    backend.until_waiting();
    let delete = engine.submit(DeleteComponent { id: api }, &ada).unwrap();
    let more: Vec<_> = (0..31).map(|_| engine.submit(incident(&created), &ada).unwrap()).collect();
    until_decided(&engine);
    assert_eq!(listed(&engine, &ada), [], "nobody is shown anything yet");
    drop(closed);
    assert_eq!(tagged.wait().unwrap().sequential_id, 1);
    assert_eq!(delete.wait().unwrap_err().code(), Code::ComponentInUse);
    let numbers: Vec<_> = more.into_iter().map(|pending| pending.wait().unwrap().sequential_id).collect();
    assert_eq!(numbers, (2..=32).collect::<Vec<u64>>());
    assert!(engine.verify(&mut |_| ()).is_clean());
}

/// What was decided on top of a batch that could not be stored is not stored, and whoever asked for it is told so.
#[test]
fn nothing_is_stored_on_top_of_what_failed() {
    let (backend, engine, created, ada) = gated();
    two_at_once(&backend, &engine, &ada);
    let closed = backend.close();
    let first = engine.submit(incident(&created), &ada).unwrap();
    backend.until_waiting();
    let rest: Vec<_> = (0..32).map(|_| engine.submit(incident(&created), &ada).unwrap()).collect();
    until_decided(&engine);
    backend.state.fail_sync.store(true, Ordering::SeqCst);
    drop(closed);
    assert!(matches!(first.wait(), Err(Error::OutcomeUnknown)));
    rest.into_iter().for_each(|pending| assert!(matches!(pending.wait(), Err(Error::Poisoned))));
    backend.state.fail_sync.store(false, Ordering::SeqCst);
    drop(engine);
    let engine = backend.open(Engine::builder());
    assert_eq!(listed(&engine, &ada).len(), 1, "the first was appended, and happens to be there");
    assert!(engine.verify(&mut |_| ()).is_clean());
}

/// A key that is revoked while a command of it waits does not act any more; who is known to the program does.
#[test]
fn an_api_key_is_looked_at_where_its_command_is_decided() {
    let (backend, engine, created, ada) = gated();
    let key = created.admin.api_key.secret.clone();
    let by = || By::ApiKey { key: key.clone(), actor: ada };
    engine.submit(component("before"), by()).unwrap().wait().unwrap();
    let closed = backend.close();
    let first = engine.submit(component("stored"), &ada).unwrap();
    backend.until_waiting();
    let revoked = engine.submit(RevokeApiKey { id: created.admin.api_key.key.id }, &ada).unwrap();
    let once = Once { scope: [1; 16], key: "once".parse().unwrap(), fingerprint: [2; 32] };
    let answer = |_| (Answer { status: 201, body: Vec::new() }, Answer { status: 201, body: Vec::new() });
    let (late, late_once) = (
        engine.submit(component("late"), by()).unwrap(),
        engine.submit_once(component("late once"), by(), once, answer).unwrap(),
    );
    let known = engine.submit(component("known"), &ada).unwrap();
    drop(closed);
    first.wait().unwrap();
    revoked.wait().unwrap();
    assert_eq!(late.wait().unwrap_err().code(), Code::InvalidApiKey);
    assert_eq!(late_once.wait().unwrap_err().code(), Code::InvalidApiKey);
    known.wait().unwrap();
    let names: Vec<_> =
        engine.query(&ListComponents, &ada).unwrap().into_iter().map(|it| it.name.to_string()).collect();
    assert_eq!(names, ["before", "known", "stored"]);
}

/// A journal panics, in whichever thread it is called: that is a failure like any other.
#[test]
fn a_journal_that_panics_does_not_leave_anybody_waiting() {
    for alone in [true, false] {
        let (backend, engine, created, ada) = gated();
        if !alone {
            two_at_once(&backend, &engine, &ada);
        }
        backend.state.panic_sync.store(true, Ordering::SeqCst);
        assert!(matches!(engine.execute(incident(&created), &ada), Err(Error::OutcomeUnknown)));
        backend.state.panic_sync.store(false, Ordering::SeqCst);
        // Whose command it was is told while the panic goes on, a little before the engine takes no more.
        while engine.is_writable() {
            thread::yield_now();
        }
        assert!(matches!(engine.execute(incident(&created), &ada), Err(Error::Poisoned)));
        assert_eq!(listed(&engine, &ada), [], "what was not durable is not shown");
    }
}

/// Somebody's waker panics: the others are answered, and the engine goes on.
#[test]
fn a_waker_that_panics_harms_nobody() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let (backend, engine, created, ada) = gated();
    let closed = backend.close();
    let mut pending: Vec<_> = (0..3).map(|_| engine.submit(incident(&created), &ada).unwrap()).collect();
    let mut first = pin!(pending.remove(0));
    let waker = Waker::from(Arc::new(Panics));
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(closed);
    pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    assert_eq!(block_on(first).unwrap().sequential_id, 1);
    assert_eq!(engine.execute(incident(&created), &ada).unwrap().sequential_id, 4);
}

/// The last handle of an engine goes with a waker: in the thread that answers, whichever that is, or in one
/// that waits with another waker.
#[test]
fn the_last_handle_may_go_with_a_waker() {
    struct Holds(Mutex<Option<Engine>>, AtomicBool);
    impl Wake for Holds {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            self.1.store(true, Ordering::SeqCst);
        }
    }
    for (woken, alone) in [(true, true), (true, false), (false, true), (false, false)] {
        let (backend, engine, created, ada) = gated();
        if !alone {
            two_at_once(&backend, &engine, &ada);
        }
        let closed = backend.close();
        let mut pending = pin!(engine.submit(incident(&created), &ada).unwrap());
        backend.until_waiting();
        let holds = Arc::new(Holds(Mutex::new(Some(engine)), AtomicBool::new(false)));
        assert!(pending.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&holds)))).is_pending());
        if woken {
            drop(closed);
            while !holds.1.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        } else {
            drop(holds);
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                drop(closed);
            });
        }
        assert_eq!(block_on(pending).unwrap().sequential_id, 1);
        let engine = backend.open(Engine::builder());
        assert_eq!(listed(&engine, &ada).len(), 1);
    }
}

#[test]
fn commands_can_be_awaited_without_an_executor_of_ours() {
    let engine = Engine::in_memory().unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    let number = block_on(async {
        engine.submit(incident(&created), &ada)?.await?;
        engine.submit(incident(&created), &ada)?.await.map(|incident| incident.sequential_id)
    });
    assert_eq!(number.unwrap(), 2);
}

#[test]
fn submitted_commands_happen_even_if_nobody_waits() {
    let backend = MemoryBackend::new();
    let engine = Engine::builder().with_backend(backend.clone()).unwrap();
    let created = organization(&engine);
    for _ in 0..20 {
        drop(engine.submit(incident(&created), &created.actor()).unwrap());
    }
    drop(engine);
    let engine = Engine::builder().with_backend(backend).unwrap();
    assert_eq!(listed(&engine, &created.actor()).len(), 20, "closing finishes what was submitted");
}

#[test]
fn a_defect_in_one_rule_does_not_take_the_engine_down() {
    let engine = Engine::in_memory().unwrap();
    let created = organization(&engine);
    let panics = in_the_writer(&engine, || panic!("a defect in a rule")).unwrap();
    let failed = panics.wait().unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert_eq!(engine.execute(incident(&created), &created.actor()).unwrap().sequential_id, 1);
}

#[test]
fn sixteen_threads_leave_no_holes() {
    let engine = Engine::in_memory().unwrap();
    let created = organization(&engine);
    let mut numbers = thread::scope(|scope| {
        let create = || (0..50).map(|_| engine.execute(incident(&created), &created.actor()).unwrap().sequential_id);
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(move || create().collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=800).collect::<Vec<u64>>());
}

#[test]
fn one_folder_one_engine() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    let second = Engine::open(folder.path()).unwrap_err();
    assert!(matches!(second, OpenError::InUse { .. }));
    assert!(second.to_string().contains("is in use"), "{second}");
    drop(engine);
    Engine::open(folder.path()).unwrap();
}

#[test]
fn a_torn_snapshot_does_not_keep_a_folder_from_opening() {
    let folder = tempfile::tempdir().unwrap();
    let created = organization(&Engine::open(folder.path()).unwrap());
    let torn = folder.path().join("snap.FFFFFFFFFFFFFFFF.generating");
    std::fs::write(&torn, b"").unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    assert!(!torn.exists());
    assert_eq!(engine.organizations().unwrap(), [created.organization]);
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("db");
    std::fs::write(&db, b"somebody's notes").unwrap();
    assert!(Engine::open(folder.path()).is_err());
    assert_eq!(std::fs::read(&db).unwrap(), b"somebody's notes");
}

/// A folder that holds something else is refused before anything is written into it.
#[test]
fn a_folder_with_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let listed = || {
        let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    std::fs::write(folder.path().join("thesis.tex"), "not a store").unwrap();
    assert!(matches!(Engine::open(folder.path()), Err(OpenError::NotAStore)));
    assert_eq!(listed(), ["thesis.tex"]);
    // The root of a new file system is empty but for this.
    std::fs::remove_file(folder.path().join("thesis.tex")).unwrap();
    std::fs::create_dir(folder.path().join("lost+found")).unwrap();
    drop(Engine::open(folder.path()).unwrap());
    // Files beside a store are nobody's business.
    std::fs::write(folder.path().join("README"), "what this is").unwrap();
    drop(Engine::open(folder.path()).unwrap());
}

/// A moment stays as it was, whatever is committed and brought into the backend meanwhile, and does not hold anything up.
#[test]
fn a_view_is_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::builder().checkpoint_after(Duration::ZERO, 0).open(folder.path()).unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    let list = ListIncidents { limit: ListLimit::MAX, ..Default::default() };
    let mut views = Vec::new();
    for number in 0..60_u64 {
        let view = engine.view();
        assert_eq!(view.head().position.number, engine.revision());
        let opened = engine.execute(incident(&created), &ada).unwrap();
        let (id, to) = (opened.id, Status::Identified);
        engine.execute(ChangeStatus::new(id, to), &ada).unwrap();
        assert!(view.query(&GetIncident { id }, &ada).is_err());
        if number % 7 == 0 {
            engine.checkpoint().unwrap();
        }
        views.push((view, engine.view(), number));
    }
    for (before, after, number) in &views {
        assert_eq!(u64::try_from(before.query(&list, &ada).unwrap().incidents.len()).unwrap(), *number);
        let shown = after.query(&list, &ada).unwrap().incidents;
        assert_eq!(u64::try_from(shown.len()).unwrap(), number + 1);
        assert!(shown.iter().all(|incident| incident.status == Status::Identified));
    }
    // A view outlives the engine, and then the folder is free.
    drop(engine);
    assert!(matches!(Engine::open(folder.path()), Err(OpenError::InUse { .. })));
    assert_eq!(views.last().unwrap().1.query(&list, &ada).unwrap().incidents.len(), 60);
    drop(views);
    assert_eq!(listed(&Engine::open(folder.path()).unwrap(), &ada).len(), 60);
}
