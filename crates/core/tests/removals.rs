//! Removals that take more than one decision: a schedule with a long past.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use dogwatch_core::id::{RotationLayerId, ScheduleId};
use dogwatch_core::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, DeleteSchedule, EditRotationLayer, GetSchedule, LayerSettings,
    ListSchedules, OnCallNow, RotationLength, RotationType,
};
use dogwatch_core::removal::Removed;
use dogwatch_core::team::RemoveMember;
use dogwatch_core::ticks::{TickPort, Waiting};
use dogwatch_core::{Actor, Code, Timestamp, UserId};
use support::{Harbour, valid, word};

fn user(actor: Actor) -> UserId {
    let Actor::Member { user_id, .. } = actor else { panic!("{actor:?}") };
    user_id
}

fn schedule(harbour: &mut Harbour, name: &str) -> ScheduleId {
    let ada = harbour.ada;
    harbour.run(CreateSchedule::new(valid(name), "Europe/Lisbon"), &ada).unwrap().id
}

fn layer(harbour: &mut Harbour, schedule: ScheduleId, name: &str, users: Vec<UserId>) -> RotationLayerId {
    let length = RotationLength::new(RotationType::Daily, 1).unwrap();
    let settings = LayerSettings::new(length, valid("09:00"), harbour.now, users);
    let ada = harbour.ada;
    harbour.run(AddRotationLayer { schedule_id: schedule, name: valid(name), settings }, &ada).unwrap().id
}

/// What waits for a removal, and when the first timer is due.
fn removals(harbour: &Harbour) -> Vec<Removed> {
    let due = harbour.world.timers_due(Timestamp::MAX, None, usize::MAX).unwrap();
    let removed = due.into_iter().map(|timer| match timer.waiting {
        Waiting::Removal(what) => what,
        other => panic!("{other:?}"),
    });
    removed.collect()
}

/// Lets the ticks do the rest, and gives how many parts there were.
fn finish(harbour: &mut Harbour) -> usize {
    let mut parts = 0;
    while !removals(harbour).is_empty() {
        assert_eq!(harbour.world.tick(harbour.now, &mut harbour.ids).unwrap(), 1);
        parts += 1;
        assert!(parts < 50, "it comes to an end");
    }
    parts
}

#[test]
fn a_schedule_with_a_long_past() {
    let mut harbour = Harbour::new();
    let (ada, ben, cleo) = (harbour.ada, user(harbour.ben), user(harbour.cleo));
    let id = schedule(&mut harbour, "Night");
    let edited = layer(&mut harbour, id, "Layer", vec![ben, cleo]);
    for number in 0..230_i64 {
        harbour.advance(60);
        let days = 1 + number % 2;
        let kind = if days == 1 { RotationType::Daily } else { RotationType::Custom };
        let edit = EditRotationLayer {
            rotation_type: Some(kind),
            rotation_length_days: Some(days),
            ..EditRotationLayer::new(id, edited)
        };
        harbour.run(edit, &ada).unwrap();
        let (from, to) = (harbour.now, harbour.now.plus(Duration::from_secs(30)));
        harbour.run(CreateOverride::new(id, ben, from, to), &ada).unwrap();
    }
    harbour.run(DeleteSchedule { id }, &ada).unwrap();
    assert_eq!(removals(&harbour), [Removed::Schedule(id)]);
    assert_eq!(word(&harbour.ask(&GetSchedule { id }, &ada)), "not_found");
    assert!(
        harbour.ask(&ListSchedules, &ada).unwrap().is_empty()
            && harbour.ask(&OnCallNow { at: harbour.now }, &ada).unwrap().is_empty()
    );
    // Its name is free, and whoever was in it may go, though overrides of it are left.
    schedule(&mut harbour, "Night");
    harbour.run(RemoveMember::new(ben), &ada).unwrap();
    assert_eq!(removals(&harbour), [Removed::Schedule(id)]);
    // 460 entities in all, of which 100 are gone with it.
    assert_eq!(finish(&mut harbour), 4);
    let removed = harbour.run_unchanged(DeleteSchedule { id }, &ada).unwrap_err();
    assert_eq!(removed.code(), Code::NotFound);
}
