//! The engine awaited by an executor that is not its own: queries, claims, opening; what a future that is dropped leaves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use dogwatch_core::component::{CreateComponent, ListComponents};
use dogwatch_core::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_core::incident::{CreateIncident, GetIncident, HandOffIncident, ListIncidents, Severity};
use dogwatch_core::{Actor, Code, Timestamp};
use dogwatch_store::{Clock, Engine, ManualClock, OpenError, SystemClock};
use dogwatch_testkit::fixture::organization;
use support::{Gated, block_on};

#[test]
fn a_night_without_blocking() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let engine = Engine::open_in_background(folder.path().join("data")).await.unwrap();
        let created = organization(&engine);
        let (ada, owner) = (created.actor(), created.admin.member.id);
        let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
        let id = engine.submit(open, &ada).unwrap().await.unwrap().id;
        engine.submit(HandOffIncident::new(id, owner), &ada).unwrap().await.unwrap();
        let shown = engine.submit_query(GetIncident::new(id), &ada).unwrap().await.unwrap();
        assert_eq!(shown.incident.id, id);
        let refused = engine.submit_query(ListIncidents::default(), &Actor::Anybody).unwrap().await;
        assert_eq!(refused.unwrap_err().code(), Code::NotAuthorized);

        let lease = Duration::from_secs(60);
        engine.notifications().await.unwrap();
        let claimed = engine.submit_claim(10, lease).unwrap().await.unwrap();
        assert_eq!(engine.submit_give_back(&[claimed[0].receipt()], Duration::ZERO).unwrap().await.unwrap(), 1);
        let again = engine.submit_claim(10, lease).unwrap().await.unwrap();
        assert_eq!(engine.submit_confirm(&[again[0].receipt()]).unwrap().await.unwrap(), 1);
    });
    // The engine is closed, with its threads: the folder can be opened.
    let again = Engine::open_in_background(folder.path().join("data")).wait().unwrap();
    let refused = Engine::open_in_background(folder.path().join("data")).wait();
    assert!(matches!(refused, Err(OpenError::InUse { .. })));
    drop(again);
}

#[test]
fn many_queries_at_once() {
    let engine = Engine::in_memory().unwrap();
    let ada = organization(&engine).actor();
    engine.execute(CreateComponent::new("API".parse().unwrap()), &ada).unwrap();
    let asked: Vec<_> = (0..1_000).map(|_| engine.submit_query(ListComponents, &ada).unwrap()).collect();
    drop(engine);
    // Those that were submitted are answered, also after the last handle is gone.
    assert!(asked.into_iter().all(|pending| pending.wait().unwrap().len() == 1));
}

/// Nobody would read the answer, and others wait.
#[test]
fn a_query_whose_future_is_dropped_while_it_waits_is_not_answered() {
    let engine = Engine::in_memory().unwrap();
    let ada = organization(&engine).actor();
    // At most four threads answer queries: all of them are held up.
    let (go, going) = mpsc::channel::<()>();
    let going = Arc::new(Mutex::new(going));
    let held: Vec<_> = (0..4)
        .map(|_| {
            let going = Arc::clone(&going);
            let then = move |reply: Result<_, _>| {
                let _ = going.lock().unwrap().recv();
                reply
            };
            engine.submit_query_then(ListComponents, &ada, then).unwrap()
        })
        .collect();
    let answered = Arc::new(AtomicU32::new(0));
    let ask = || {
        let answered = Arc::clone(&answered);
        let then = move |reply: Result<_, _>| {
            answered.fetch_add(1, Ordering::SeqCst);
            reply
        };
        engine.submit_query_then(ListComponents, &ada, then).unwrap()
    };
    let (first, second, last) = (ask(), ask(), ask());
    drop((first, second));
    drop(go);
    assert!(last.wait().is_ok());
    held.into_iter().for_each(|held| assert!(held.wait().is_ok()));
    assert_eq!(answered.load(Ordering::SeqCst), 1);
}

#[test]
fn a_command_whose_future_is_dropped_happens() {
    let backend = Gated::default();
    let engine = backend.open(Engine::builder());
    let ada = organization(&engine).actor();
    let closed = backend.close();
    let late = engine.submit(CreateComponent::new("API".parse().unwrap()), &ada).unwrap();
    let late = late.wait_timeout(Duration::from_millis(5)).expect_err("the disk hangs");
    drop(engine.submit(CreateComponent::new("Web".parse().unwrap()), &ada).unwrap());
    assert_eq!(engine.query(&ListComponents, &ada).unwrap().len(), 0);
    drop(closed);
    assert_eq!(late.wait().unwrap().name.as_str(), "API");
    engine.execute(CreateComponent::new("App".parse().unwrap()), &ada).unwrap();
    assert_eq!(engine.query(&ListComponents, &ada).unwrap().len(), 3);
    let quick = engine.submit(CreateComponent::new("Last".parse().unwrap()), &ada).unwrap();
    assert!(quick.wait_timeout(Duration::from_secs(60)).unwrap().is_ok());
}

#[test]
fn time_passes_only_on_a_clock_that_can_be_set() {
    let engine = Engine::in_memory().unwrap();
    assert_eq!(engine.run_until(Timestamp::MAX).unwrap_err().code(), Code::Internal);
    let clock = ManualClock::at(SystemClock.now());
    let engine = Engine::builder().clock(clock.clone()).in_memory().unwrap();
    let before = clock.now();
    engine.run_until(Timestamp::MIN).unwrap();
    assert_eq!(clock.now(), before, "time does not run backwards");
}

/// A run that is overdue goes one layer on, as with a tick that comes late; the next timeout counts from then.
#[test]
fn what_is_overdue_fires_once() {
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let engine = Engine::builder().clock(clock.clone()).in_memory().unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let night = engine.execute(CreatePolicy::new("Night".parse().unwrap()), &ada).unwrap().id;
    for position in [1, 2, 3] {
        let (position, wait) = (Position::new(position).unwrap(), AckTimeout::from_minutes(30).unwrap());
        engine.execute(AddPolicyLayer::new(night, position, wait, Target::user(owner)), &ada).unwrap();
    }
    let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
    engine.execute(CreateIncident { escalation_policy_id: Some(night), ..open }, &ada).unwrap();
    clock.advance(Duration::from_secs(6 * 3_600));
    assert_eq!(engine.run_until(clock.now()).unwrap().fired, 1);
    assert_eq!(engine.next_deadline().unwrap(), Some(clock.now().plus(Duration::from_secs(30 * 60))));
}
