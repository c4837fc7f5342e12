//! Escalation in the engine: ticks, the ticker, the outbox, and waiting for it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_core::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_core::id::{IncidentId, PolicyId};
use dogwatch_core::incident::{AcknowledgeIncident, CreateIncident, GetIncident, IncidentView, Severity};
use dogwatch_core::organization::OrganizationCreated;
use dogwatch_core::outbox::{ListNotifications, Message};
use dogwatch_core::team::{AcceptInvitation, InviteMember, Role};
use dogwatch_core::{Actor, Timestamp};
use dogwatch_store::backend::{Backend, Batch, MemoryBackend};
use dogwatch_store::{Clock, Engine, Error, ManualClock, SystemClock};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::simulation::{Fault, SimulatedDisk};
use support::{Gated, block_on};

const BEGINNING: i64 = 1_775_556_000_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::clamped(BEGINNING + minutes * 60_000)
}

/// A policy whose layers all page Ada, with these timeouts in minutes.
fn policy(engine: &Engine, created: &OrganizationCreated, timeouts: &[i64]) -> PolicyId {
    let ada = created.actor();
    let listed = engine.query(&dogwatch_core::escalation::ListPolicies, &ada).unwrap().len();
    let create = CreatePolicy { name: format!("policy {listed}").parse().unwrap(), description: None };
    let policy = engine.execute(create, &ada).unwrap().id;
    for (position, minutes) in (1..).zip(timeouts) {
        let add = AddPolicyLayer {
            policy_id: policy,
            position: Position::new(position).unwrap(),
            ack_timeout: AckTimeout::from_minutes(*minutes).unwrap(),
            target: Target::users(vec![created.admin.member.id]).unwrap(),
        };
        engine.execute(add, &ada).unwrap();
    }
    policy
}

fn open(engine: &Engine, created: &OrganizationCreated, policy: PolicyId) -> IncidentView {
    let open = CreateIncident {
        escalation_policy_id: Some(policy),
        ..CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, created.admin.member.id)
    };
    engine.execute(open, &created.actor()).unwrap()
}

fn layer_of(engine: &Engine, actor: &Actor, id: IncidentId) -> Option<u32> {
    engine.query(&GetIncident { id }, actor).unwrap().incident.current_layer_position
}

/// Waits for something that another thread brings about.
fn until(mut what: impl FnMut() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never came");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A clock on which an hour takes a second.
#[derive(Clone)]
struct Hurried(Instant);

impl Clock for Hurried {
    fn now(&self) -> Timestamp {
        at(0).plus(self.0.elapsed() * 3_600)
    }

    fn real_time_until(&self, at: Timestamp) -> Duration {
        at.since(self.now()) / 3_600
    }
}

#[test]
fn a_ticker_fires_what_is_due_and_sleeps_in_between() {
    let engine = Engine::builder().clock(Hurried(Instant::now())).in_memory().unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    let (slow, fast) = (policy(&engine, &created, &[10_000, 60]), policy(&engine, &created, &[10, 10_000]));
    let ticker = engine.start_ticker().unwrap();
    let slow = open(&engine, &created, slow).id;
    // The ticker sleeps until the slow one is due; an earlier timer wakes it.
    let fast = open(&engine, &created, fast).id;
    until(|| layer_of(&engine, &ada, fast) == Some(2));
    assert_eq!(layer_of(&engine, &ada, slow), Some(1));
    assert!(ticker.is_running());
    ticker.stop().unwrap();
}

#[test]
fn a_ticker_stops_at_once_and_when_it_is_dropped() {
    let engine = Engine::in_memory().unwrap();
    let created = organization(&engine);
    let policy = policy(&engine, &created, &[10_000]);
    open(&engine, &created, policy);
    let began = Instant::now();
    engine.start_ticker().unwrap().stop().unwrap();
    drop(engine.start_ticker().unwrap());
    // It would sleep ten seconds otherwise.
    assert!(began.elapsed() < Duration::from_secs(9));
}

#[test]
fn a_ticker_ends_when_storage_fails_and_says_so() {
    let backend = Gated::default();
    let engine = backend.open(Engine::builder().clock(Hurried(Instant::now())));
    let created = organization(&engine);
    let policy = policy(&engine, &created, &[20]);
    open(&engine, &created, policy);
    backend.state.fail_sync.store(true, std::sync::atomic::Ordering::SeqCst);
    let ticker = engine.start_ticker().unwrap();
    until(|| !ticker.is_running());
    assert!(matches!(ticker.stop(), Err(Error::OutcomeUnknown)));
    assert!(matches!(engine.wait_for_notifications(Duration::ZERO), Err(Error::Poisoned)));
    assert!(matches!(engine.tick(at(99)), Err(Error::Poisoned)));
}

#[test]
fn after_a_restart_what_is_overdue_fires_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(at(0));
    let open_store = || Engine::builder().clock(clock.clone()).open(folder.path()).unwrap();
    let engine = open_store();
    let created = organization(&engine);
    let policy = policy(&engine, &created, &[5, 5, 5]);
    let ids: Vec<_> = (0..3).map(|_| open(&engine, &created, policy).id).collect();
    engine.execute(AcknowledgeIncident::new(ids[1]), &created.actor()).unwrap();
    drop(engine);

    clock.set(at(600));
    let engine = open_store();
    assert_eq!(engine.next_deadline().unwrap(), Some(at(5)));
    let fired = |minute| engine.tick(at(minute)).unwrap().fired;
    assert_eq!((fired(600), fired(600), fired(5), fired(604)), (2, 0, 0, 0));
    let layers: Vec<_> = ids.iter().map(|id| layer_of(&engine, &created.actor(), *id)).collect();
    assert_eq!(layers, [Some(2), Some(1), Some(2)]);
    assert_eq!(engine.next_deadline().unwrap(), Some(at(605)));
    assert_eq!((fired(605), fired(610), fired(9_999)), (2, 2, 0), "the third layers, then exhaustion");
    assert_eq!(engine.next_deadline().unwrap(), None);
}

#[test]
fn a_tick_of_many_chunks_fires_each_once() {
    let engine = Engine::builder().clock(ManualClock::at(at(0))).in_memory().unwrap();
    let created = organization(&engine);
    let policy = policy(&engine, &created, &[5, 5]);
    let mut opened = Vec::new();
    for _ in 0..2_500 {
        opened.push(open(&engine, &created, policy).id);
    }
    assert_eq!(engine.tick(at(5)).unwrap().fired, 2_500);
    assert_eq!(engine.tick(at(5)).unwrap().fired, 0);
    assert!(opened.iter().all(|id| layer_of(&engine, &created.actor(), *id) == Some(2)));
    assert_eq!(engine.claim(5_000, Duration::from_secs(60)).unwrap().len(), 1, "one of a user at a time");
}

/// Readers see nothing of a large batch before all of it is durable.
#[test]
fn readers_see_a_large_tick_whole_or_not_at_all() {
    let backend = Gated::default();
    let engine = backend.open(Engine::builder().clock(ManualClock::at(at(0))));
    let created = organization(&engine);
    let policy = policy(&engine, &created, &[5, 5]);
    let opened: Vec<_> = (0..600).map(|_| open(&engine, &created, policy).id).collect();
    let closed = backend.close();
    let ticking = thread::spawn({
        let engine = engine.clone();
        move || engine.tick(at(5)).unwrap().fired
    });
    backend.until_waiting();
    let layers = |expected| opened.iter().all(|id| layer_of(&engine, &created.actor(), *id) == Some(expected));
    assert!(layers(1));
    assert_eq!(engine.next_deadline().unwrap(), Some(at(5)));
    drop(closed);
    assert_eq!(ticking.join().unwrap(), 600);
    assert!(layers(2));
}

/// Killed anywhere in a large tick: it is one commit, so all of it happened or nothing, and each run fires once in the end.
#[test]
fn a_kill_in_a_large_tick_loses_and_repeats_nothing() {
    let open_store = |disk: &SimulatedDisk, seed: u8| {
        let clock = ManualClock::at(at(0));
        let builder = Engine::builder().clock(clock).id_seed([seed; 32]).checkpoint_after(Duration::MAX, usize::MAX);
        builder.with_storage(disk.clone(), disk.clone()).unwrap()
    };
    let (mut all, mut none) = (0, 0);
    for n in (0..1_200).step_by(40).chain((0..16).map(|n| 1_200 + n)) {
        let disk = SimulatedDisk::default();
        let engine = open_store(&disk, 1);
        let created = organization(&engine);
        let policy = policy(&engine, &created, &[5, 5]);
        let opened: Vec<_> = (0..250).map(|_| open(&engine, &created, policy).id).collect();
        if n % 3 == 0 {
            engine.checkpoint().unwrap();
        }
        disk.fault_in(n, Fault::Die, n % 2 == 0);
        let first = engine.tick(at(5));
        // What is killed while it is brought into the backend happened, too.
        let _ = engine.checkpoint();
        drop(engine);
        disk.restart(usize::try_from(n % 3).unwrap());
        let engine = open_store(&disk, 2);
        let survived = opened.iter().filter(|id| layer_of(&engine, &created.actor(), **id) == Some(2)).count();
        match survived {
            0 => none += 1,
            250 => all += 1,
            part => panic!("{part} of a tick happened"),
        }
        assert!(first.is_err() || first.unwrap().fired == survived, "acknowledged is durable");
        assert_eq!(engine.tick(at(6)).unwrap().fired, opened.len() - survived);
        let paged = |id: &IncidentId| {
            let trail = engine.query(&GetIncident { id: *id }, &created.actor()).unwrap().audit_trail;
            trail.iter().filter(|event| event.event.as_str() == "layer_paged").count()
        };
        assert!(opened.iter().all(|id| paged(id) == 2));
        let last = ListNotifications { after: 499, ..ListNotifications::new(created.admin.member.id) };
        assert_eq!(engine.query(&last, &created.actor()).unwrap().len(), 1, "two pages each, and not one more");
    }
    assert!(all > 0 && none > 0, "{all} and {none}");
}

/// A record that cannot be read must not keep the others from being paged.
#[test]
fn one_that_cannot_fire_does_not_stop_the_others() {
    let backend = MemoryBackend::new();
    let clock = ManualClock::at(at(0));
    let engine = Engine::builder().clock(clock.clone()).with_backend(backend.clone()).unwrap();
    let created = organization(&engine);
    let policy = policy(&engine, &created, &[5, 5]);
    let (first, second) = (open(&engine, &created, policy).id, open(&engine, &created, policy).id);
    engine.checkpoint().unwrap();
    // Incidents are stored newest first: the last record is that of the first.
    let (key, _) = backend.scan(b"I", b"J").last().unwrap().unwrap();
    backend.apply(&Batch::from([(key, Some(vec![1, 2, 3, 4, 5, 6]))])).unwrap();
    let ticked = engine.tick(at(5)).unwrap();
    assert_eq!((ticked.fired, ticked.failed), (1, 1));
    assert_eq!(layer_of(&engine, &created.actor(), second), Some(2));
    assert!(engine.query(&GetIncident { id: first }, &created.actor()).is_err());
    assert_eq!(engine.next_deadline().unwrap(), Some(at(5)), "it stays due");
    // The ticker tries again, but not all the time.
    clock.set(at(6));
    let ticker = engine.start_ticker().unwrap();
    thread::sleep(Duration::from_millis(50));
    ticker.stop().unwrap();
    assert_eq!(layer_of(&engine, &created.actor(), second), Some(2));
}

#[test]
fn pages_go_out_when_the_queue_is_full() {
    let backend = Gated::default();
    let engine = backend.open(Engine::builder().clock(ManualClock::at(at(0))).queue_capacity(2));
    let created = organization(&engine);
    let policy = policy(&engine, &created, &[5, 5]);
    let id = open(&engine, &created, policy).id;
    let closed = backend.close();
    let ada = created.actor();
    let another = || CreateIncident::new("Another".parse().unwrap(), Severity::Low, created.admin.member.id);
    let first = engine.submit(another(), &ada).unwrap();
    backend.until_waiting();
    let waiting: Vec<_> = (0..2).map(|_| engine.submit(another(), &ada).unwrap()).collect();
    assert!(matches!(engine.execute(another(), &ada), Err(Error::Overloaded)));
    let ticking = thread::spawn({
        let engine = engine.clone();
        move || engine.tick(at(5)).unwrap().fired
    });
    drop(closed);
    assert_eq!(ticking.join().unwrap(), 1);
    first.wait().unwrap();
    waiting.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    assert_eq!(layer_of(&engine, &ada, id), Some(2));
}

/// Waits at most so long; gives whether there is a notification to claim then.
fn ready(engine: &Engine, most: Duration) -> bool {
    engine.wait_for_notifications(most).unwrap();
    pin!(engine.notifications()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn waiting_for_notifications() {
    let engine = Engine::in_memory().unwrap();
    let created = organization(&engine);
    let policy = policy(&engine, &created, &[5]);
    assert!(!ready(&engine, Duration::from_millis(1)));
    let waiting = thread::spawn({
        let engine = engine.clone();
        move || ready(&engine, Duration::from_secs(30))
    });
    open(&engine, &created, policy);
    assert!(waiting.join().unwrap(), "a new one wakes");
    assert!(ready(&engine, Duration::ZERO), "one that is there needs no waiting");
    // Held under a lease it is not there; it comes back when the lease is over, without any commit.
    let lease = Duration::from_millis(200);
    let claimed = engine.claim(10, lease).unwrap();
    assert_eq!(claimed.len(), 1);
    assert!(!ready(&engine, Duration::ZERO));
    assert!(ready(&engine, Duration::from_secs(30)));
    let again = engine.claim(10, Duration::from_secs(60)).unwrap();
    assert_eq!((again[0].id, again[0].attempts), (claimed[0].id, 2));
    assert_eq!(engine.confirm(&[again[0].receipt(), claimed[0].receipt()]).unwrap(), 1);
    assert!(!ready(&engine, Duration::from_millis(1)));
}

#[test]
fn awaiting_notifications() {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    let engine = Engine::in_memory().unwrap();
    let created = organization(&engine);
    let policy = policy(&engine, &created, &[5]);
    let mut pending = std::pin::pin!(engine.notifications());
    let waker = Waker::from(Arc::new(Nobody));
    assert!(matches!(pending.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
    let waiting = thread::spawn({
        let engine = engine.clone();
        move || block_on(engine.notifications())
    });
    open(&engine, &created, policy);
    waiting.join().unwrap().unwrap();
    // While a ticker runs, the end of a lease wakes, too.
    let ticker = engine.start_ticker().unwrap();
    engine.claim(10, Duration::from_millis(100)).unwrap();
    block_on(engine.notifications()).unwrap();
    assert_eq!(engine.claim(10, Duration::from_secs(60)).unwrap()[0].attempts, 2);
    ticker.stop().unwrap();
}

#[test]
fn claims_survive_a_restart() {
    let backend = MemoryBackend::new();
    let clock = ManualClock::at(SystemClock.now());
    let open_store = || Engine::builder().clock(clock.clone()).with_backend(backend.clone()).unwrap();
    let engine = open_store();
    let created = organization(&engine);
    let policy = policy(&engine, &created, &[5]);
    open(&engine, &created, policy);
    let claimed = engine.claim(10, Duration::from_secs(60)).unwrap();
    drop(engine);
    let engine = open_store();
    assert!(engine.claim(10, Duration::from_secs(60)).unwrap().is_empty(), "still held");
    assert_eq!(engine.give_back(&[claimed[0].receipt()], Duration::ZERO).unwrap(), 1);
    let again = engine.claim(10, Duration::from_secs(60)).unwrap();
    assert_eq!((again[0].id, again[0].attempts), (claimed[0].id, 2));
    assert_eq!(engine.confirm(&[again[0].receipt()]).unwrap(), 1);
    drop(engine);
    clock.advance(Duration::from_secs(3_600));
    assert!(open_store().claim(10, Duration::from_secs(60)).unwrap().is_empty(), "delivered for good");
}

/// The token waits in the outbox, over a restart too, and is nowhere once it is delivered.
#[test]
fn an_invitation_travels_in_its_notification() {
    let backend = MemoryBackend::new();
    let clock = ManualClock::at(SystemClock.now());
    let open_store = || Engine::builder().clock(clock.clone()).with_backend(backend.clone()).unwrap();
    let engine = open_store();
    let created = organization(&engine);
    let invite = InviteMember { email_address: "dora@example.com".parse().unwrap(), role: Role::Member };
    let token = engine.execute(invite, &created.actor()).unwrap().token;
    assert!(ready(&engine, Duration::ZERO));
    drop(engine);

    let on_disk = |text: &str| {
        let rows = backend.scan(&[], &[0xFF]).map(Result::unwrap);
        rows.filter(|(_, value)| value.windows(text.len()).any(|part| part == text.as_bytes())).count()
    };
    assert_eq!(on_disk(token.reveal()), 1);
    let engine = open_store();
    let claimed = engine.claim(10, Duration::from_secs(60)).unwrap();
    let Message::Invitation { email, token: carried } = &claimed[0].message else { panic!("{claimed:?}") };
    assert_eq!((email.as_str(), carried.as_ref()), ("dora@example.com", Some(&token)));
    assert_eq!((claimed[0].user(), claimed[0].message.kind().as_str()), (None, "invitation"));
    assert!(!format!("{claimed:?}").contains(token.reveal()));
    assert_eq!(engine.confirm(&[claimed[0].receipt()]).unwrap(), 1);
    engine.checkpoint().unwrap();
    assert_eq!(on_disk(token.reveal()), 0);
    assert!(!ready(&engine, Duration::ZERO));
    let accept = AcceptInvitation { token, first_name: "Dora".parse().unwrap(), last_name: "Quay".parse().unwrap() };
    assert_eq!(engine.execute(accept, &Actor::Anybody).unwrap().member.email.as_str(), "dora@example.com");
}
