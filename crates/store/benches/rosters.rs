//! Who is on call in a thousand schedules of twenty layers, and what holds up everybody else: a member of all of them leaves, and
//! a schedule goes that was edited 15,000 times.
//!
//! Reach: the answer in 15 ms; no other command waits for more than 50 ms.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_core::component::CreateComponent;
use dogwatch_core::id::{RotationLayerId, ScheduleId};
use dogwatch_core::oncall::{
    AddRotationLayer, CreateSchedule, DeleteSchedule, EditRotationLayer, HandoffTime, LayerSettings, OnCallNow,
    RotationLength, RotationType,
};
use dogwatch_core::team::{AddMember, RemoveMember, Role};
use dogwatch_core::{Actor, UserId};
use dogwatch_store::{Engine, ManualClock};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{line, seconds_per_call, shown};

const SCHEDULES: usize = 1_000;
const LAYERS: usize = 20;
const EDITS: u16 = 15_000;

/// What one takes until it is answered, and until the ticks have done all of it, and how long the slowest of the commands waits that somebody
/// else gives meanwhile, one after another.
fn beside(engine: &Engine, ada: &Actor, name: &str, work: impl FnOnce()) -> [Duration; 3] {
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        let other = threads.spawn(|| {
            let (mut slowest, mut number) = (Duration::ZERO, 0_u32);
            while !done.load(Ordering::SeqCst) && number < 2_400 {
                number += 1;
                let create = CreateComponent::new(format!("{name} {number}").parse().unwrap());
                let began = Instant::now();
                engine.execute(create, ada).unwrap();
                slowest = slowest.max(began.elapsed());
                thread::sleep(Duration::from_millis(1));
            }
            slowest
        });
        thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        work();
        let took = began.elapsed();
        while engine.next_deadline().unwrap().is_some() {
            thread::sleep(Duration::from_millis(1));
        }
        let all = began.elapsed();
        done.store(true, Ordering::SeqCst);
        [took, all, other.join().unwrap()]
    })
}

fn settings(engine: &Engine, people: &[UserId]) -> LayerSettings {
    let length = RotationLength::new(RotationType::Daily, 1).unwrap();
    LayerSettings::new(length, HandoffTime::from_minutes(540).unwrap(), engine.now(), people.to_vec())
}

fn add_schedule(
    engine: &Engine,
    ada: &Actor,
    name: &str,
    layers: usize,
    people: &[UserId],
) -> (ScheduleId, Vec<RotationLayerId>) {
    let create = CreateSchedule::new(name.parse().unwrap(), "America/New_York");
    let id = engine.execute(create, ada).unwrap().id;
    let add = |layer: usize| {
        let name = format!("Layer {layer}").parse().unwrap();
        engine.submit(AddRotationLayer::new(id, name, settings(engine, people)), ada).unwrap()
    };
    let added: Vec<_> = (0..layers).map(add).collect();
    (id, added.into_iter().map(|layer| layer.wait().unwrap().id).collect())
}

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clock = ManualClock::at("2026-01-05T09:30:00Z".parse().unwrap());
    let engine = Engine::builder().clock(clock.clone()).open(folder.path()).unwrap();
    let created = organization(&engine);
    let ada = created.actor();
    let mut people = vec![created.admin.member.id];
    for number in 0..4 {
        let (org, email) = (created.organization.id, format!("user{number}@example.com").parse().unwrap());
        let add = AddMember::new(org, email, "Bo".parse().unwrap(), "Li".parse().unwrap(), Role::Member);
        people.push(engine.execute(add, &Actor::Operator).unwrap().member.id);
    }
    let schedules: Vec<_> =
        (1..SCHEDULES).map(|number| add_schedule(&engine, &ada, &format!("S{number}"), LAYERS, &people)).collect();
    let (edited, layers) = add_schedule(&engine, &ada, "Edited", LAYERS, &people);
    // Everything is in the past, as it is when nobody has edited anything today.
    clock.advance(Duration::from_secs(86_400));

    let began = Instant::now();
    black_box(engine.query(&OnCallNow::new(engine.now()), &ada).unwrap());
    let first = began.elapsed().as_secs_f64();
    line("oncall/now, 1,000 schedules of 20 layers, first", &shown(first), "");
    let again = seconds_per_call(5, || drop(black_box(engine.query(&OnCallNow::new(engine.now()), &ada).unwrap())));
    line("oncall/now, again", &shown(again), "");
    // One turn after another: every schedule has changed.
    let began = Instant::now();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(86_400));
        black_box(engine.query(&OnCallNow::new(engine.now()), &ada).unwrap());
    }
    line("oncall/now, after a handoff in all of them", &shown(began.elapsed().as_secs_f64() / 5.0), "");

    for number in 0..EDITS {
        clock.advance(Duration::from_secs(60));
        let layer = layers.get(usize::from(number) % LAYERS).copied().unwrap();
        let handoff_time = Some(HandoffTime::from_minutes(number % 84 * 17).unwrap());
        let edit = EditRotationLayer { handoff_time, ..EditRotationLayer::new(edited, layer) };
        drop(engine.submit(edit, &ada).unwrap().wait().unwrap());
    }
    let _ticker = engine.start_ticker().unwrap();
    let waited = |[took, all, slowest]: [Duration; 3]| {
        let [took, all, slowest] = [took, all, slowest].map(|it| shown(it.as_secs_f64()));
        (took, format!("all of it after {all}; others waited {slowest}"))
    };
    let (took, more) = waited(beside(&engine, &ada, "a", || {
        engine.execute(DeleteSchedule::new(edited), &ada).unwrap();
    }));
    line("deletes a schedule with 15,000 edits", &took, &more);
    let last = people.last().copied().unwrap();
    let (took, more) = waited(beside(&engine, &ada, "b", || {
        engine.execute(RemoveMember::new(last), &ada).unwrap();
    }));
    line("removes a member of 19,980 layers", &took, &more);
    drop(schedules);
}
