//! Schedules that were edited often: what was on call stays so, and to ask about it costs the same however many edits came later.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dogwatch_core::id::{RotationLayerId, ScheduleId};
use dogwatch_core::oncall::{
    AddRotationLayer, CreateSchedule, EditRotationLayer, HandoffTime, LayerSettings, OnCall, OrderRotationLayers,
    RemoveRotationLayer, ResolveOnCall, RotationLength, RotationType, ShiftsOnCall,
};
use dogwatch_core::team::{AddMember, Role};
use dogwatch_core::{Actor, Timestamp, UserId};
use dogwatch_store::backend::{Backend, BackendError, Batch, MemoryBackend, Scan};
use dogwatch_store::{Engine, ManualClock};
use dogwatch_testkit::fixture::organization;

/// A backend that counts the rows that are read.
#[derive(Clone, Default)]
struct Counting {
    inner: MemoryBackend,
    read: Arc<AtomicU64>,
}

impl Backend for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.inner.get(key)
    }

    fn scan<'a>(&'a self, start: &[u8], end: &[u8]) -> Scan<'a> {
        Box::new(self.inner.scan(start, end).inspect(|_| {
            self.read.fetch_add(1, Ordering::SeqCst);
        }))
    }

    fn apply(&self, batch: &Batch) -> Result<(), BackendError> {
        self.inner.apply(batch)
    }

    fn make_durable(&self) -> Result<(), BackendError> {
        self.inner.make_durable()
    }
}

struct Edited {
    engine: Engine,
    clock: ManualClock,
    ada: Actor,
    schedule: ScheduleId,
    people: Vec<UserId>,
    layers: Vec<RotationLayerId>,
    edits: usize,
}

impl Edited {
    fn begin(backend: Counting) -> Self {
        let clock = ManualClock::at("2026-01-05T09:30:00Z".parse().unwrap());
        let engine = Engine::builder().clock(clock.clone()).id_seed([5; 32]).with_backend(backend).unwrap();
        let created = organization(&engine);
        let mut people = vec![created.admin.member.id];
        for name in ["ben", "cleo", "dan"] {
            let email = format!("{name}@example.com").parse().unwrap();
            let add = AddMember::new(
                created.organization.id,
                email,
                name.parse().unwrap(),
                "Bo".parse().unwrap(),
                Role::Member,
            );
            people.push(engine.execute(add, &Actor::Operator).unwrap().member.id);
        }
        let ada = created.actor();
        let create = CreateSchedule::new("Primary".parse().unwrap(), "America/New_York");
        let schedule = engine.execute(create, &ada).unwrap().id;
        let mut all = Self { engine, clock, ada, schedule, people, layers: Vec::new(), edits: 0 };
        (0..3).for_each(|_| all.add());
        all
    }

    fn add(&mut self) {
        self.edits += 1;
        let settings = LayerSettings {
            length: RotationLength::new(RotationType::Daily, 1).unwrap(),
            handoff_time: HandoffTime::from_minutes(540).unwrap(),
            effective_from: self.engine.now(),
            effective_until: None,
            participant_ids: self.people.clone(),
        };
        let add = AddRotationLayer::new(self.schedule, format!("Layer {}", self.edits).parse().unwrap(), settings);
        self.layers.push(self.engine.execute(add, &self.ada).unwrap().id);
    }

    /// Another edit, a little later.
    fn edit(&mut self) {
        self.edits += 1;
        self.clock.advance(Duration::from_secs(3_600 + 60 * (self.edits as u64 % 7)));
        let layer = self.layers[self.edits % self.layers.len()];
        match self.edits % 20 {
            0 => {
                self.engine.execute(RemoveRotationLayer::new(self.schedule, layer), &self.ada).unwrap();
                self.layers.retain(|other| *other != layer);
                self.add();
            }
            10 => {
                self.layers.rotate_left(1);
                let order = OrderRotationLayers::new(self.schedule, self.layers.clone());
                self.engine.execute(order, &self.ada).unwrap();
            }
            _ => {
                self.people.rotate_left(1);
                let edit = EditRotationLayer {
                    participant_ids: Some(self.people.clone()),
                    handoff_time: Some(
                        HandoffTime::from_minutes(u16::try_from(self.edits * 17 % 1_440).unwrap()).unwrap(),
                    ),
                    ..EditRotationLayer::new(self.schedule, layer)
                };
                self.engine.execute(edit, &self.ada).unwrap();
            }
        }
    }

    fn at(&self, at: Timestamp) -> (OnCall, Option<Timestamp>) {
        let found = self.engine.query(&ResolveOnCall::new(self.schedule, at), &self.ada).unwrap();
        (found.on_call, found.next_change_at)
    }
}

#[test]
fn what_was_on_call_stays_so_however_often_the_schedule_is_edited() {
    let mut all = Edited::begin(Counting::default());
    let mut then = Vec::new();
    for _ in 0..400 {
        then.push((all.engine.now(), all.at(all.engine.now()).0));
        all.edit();
    }
    let (first, last) = (then[0].0, then[then.len() - 1].0);
    let shifts = all.engine.query(&ShiftsOnCall::new(all.schedule, first, last), &all.ada).unwrap();
    for (at, expected) in &then {
        let (found, next) = all.at(*at);
        assert_eq!(found, *expected, "at {at}");
        let owner = shifts.final_shifts.iter().find(|shift| shift.starts_at <= *at && *at < shift.ends_at);
        assert_eq!(owner.map(|shift| shift.target), found.owner.filter(|_| *at < last), "shifts at {at}");
        // Nothing changes before it is said to, and then it does.
        let next = next.unwrap();
        assert_ne!(all.at(next).0, found, "after {at}");
        let just_before = Timestamp::from_millis(next.as_millis() - 1).unwrap();
        assert_eq!(all.at(just_before).0, found, "after {at}");
        for (other, on_call) in then.iter().filter(|(other, _)| at < other && *other < next) {
            assert_eq!(*on_call, found, "between {at} and {next}, at {other}");
        }
        // A range that ends before later edits, and begins in the middle of earlier ones.
        let to = at.plus(Duration::from_secs(7_200)).min(last);
        let part = all.engine.query(&ShiftsOnCall::new(all.schedule, *at, to), &all.ada).unwrap();
        let cut: Vec<_> = shifts
            .final_shifts
            .iter()
            .map(|shift| (shift.target, shift.starts_at.max(*at), shift.ends_at.min(to)))
            .filter(|(_, from, to)| from < to)
            .collect();
        let part: Vec<_> = part.final_shifts.iter().map(|it| (it.target, it.starts_at, it.ends_at)).collect();
        assert_eq!(part, cut, "from {at}");
    }
    assert!(all.engine.verify(&mut |_| ()).is_clean());
}

#[test]
fn an_instant_of_the_past_costs_what_held_then() {
    let backend = Counting::default();
    let mut all = Edited::begin(backend.clone());
    (0..100).for_each(|_| all.edit());
    let (from, at) = (all.engine.now(), all.engine.now().plus(Duration::from_secs(60)));
    let cost = |all: &Edited| {
        all.engine.checkpoint().unwrap();
        let before = backend.read.load(Ordering::SeqCst);
        all.at(at);
        all.engine.query(&ShiftsOnCall::new(all.schedule, from, at), &all.ada).unwrap();
        backend.read.load(Ordering::SeqCst) - before
    };
    // More than are read by their ends.
    (0..200).for_each(|_| all.edit());
    let few = cost(&all);
    (0..2_000).for_each(|_| all.edit());
    let many = cost(&all);
    // Each twentieth edit removes a layer, at which there is one look more: three rows, for each of the questions and each time that
    // one looks farther.
    assert!(many <= few + 2_000 / 20 * 3 * 4, "{few} rows after 200 edits, {many} after 2,200");
}
