//! A schedule that is deleted in parts, and a member who leaves in parts: each tick does one, also after the store was opened again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use dogwatch_core::escalation::{
    AckTimeout, AddPolicyLayer, CreatePolicy, EditPolicyLayer, GetPolicy, Position, Target, TargetUsers,
};
use dogwatch_core::id::{PolicyId, ScheduleId};
use dogwatch_core::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, DeleteSchedule, EditRotationLayer, GetSchedule, HandoffTime,
    LayerSettings, ListOverrides, ListSchedules, OnCallNow, RotationLength, RotationType,
};
use dogwatch_core::team::{AddMember, RemoveMember, Role};
use dogwatch_core::{Actor, UserId};
use dogwatch_store::{Engine, ManualClock, ReadOnly, Transaction, import};
use dogwatch_testkit::fixture::organization;

#[test]
fn each_tick_deletes_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let open = || Engine::builder().clock(clock.clone()).open(folder.path()).unwrap();
    let engine = open();
    let created = organization(&engine);
    let (ada, me, now) = (created.actor(), created.admin.member.id, engine.now());
    let add = |name: &str, overrides: usize| {
        let create = CreateSchedule::new(name.parse().unwrap(), "Europe/Lisbon");
        let schedule = engine.execute(create, &ada).unwrap().id;
        let many = move |transaction: &mut Transaction<'_, '_>| {
            for _ in 0..overrides {
                transaction.execute(CreateOverride::new(schedule, me, now, now.plus(Duration::from_secs(60))))?;
            }
            Ok(())
        };
        engine.transact(&ada, many).unwrap();
        schedule
    };
    let (long, longer, short) = (add("Long", 210), add("Longer", 330), add("Short", 99));
    for schedule in [short, long, longer] {
        engine.execute(DeleteSchedule::new(schedule), &ada).unwrap();
    }
    assert!(engine.query(&ListSchedules, &ada).unwrap().is_empty());
    assert_eq!(engine.next_deadline().unwrap(), Some(now), "two of them are not finished");
    assert!(engine.verify(&mut |_| ()).is_clean());
    // One part of one of them, whichever way a tick is asked for.
    assert!(engine.submit_tick(now).unwrap().wait().unwrap().more);
    assert_eq!(engine.tick(now).unwrap().fired, 1);
    drop(engine);
    let engine = open();
    let mut parts = 2;
    while engine.next_deadline().unwrap().is_some() {
        assert_eq!(engine.tick(now).unwrap().fired, 1);
        assert!(engine.verify(&mut |_| ()).is_clean());
        parts += 1;
    }
    // 110 and 230 were left.
    assert_eq!(parts, 2 + 3);
    assert_eq!(engine.tick(now).unwrap().fired, 0);
    let left = engine.stats().unwrap().tables;
    let overrides: Vec<_> = left.iter().filter(|table| table.name.starts_with("Override") && table.rows > 0).collect();
    assert!(overrides.is_empty(), "{overrides:?}");
}

/// Somebody in 140 layers and 70 overrides of seven schedules, and in 45 layers of three policies.
struct Busy {
    ada: Actor,
    ben: UserId,
    schedules: Vec<ScheduleId>,
    policies: Vec<PolicyId>,
}

fn busy(engine: &Engine) -> Busy {
    let created = organization(engine);
    let (ada, me, now) = (created.actor(), created.admin.member.id, engine.now());
    let (email, first, last) = ("ben@example.com", "Ben", "Marlow");
    let text = |text: &str| text.parse().unwrap();
    let add = AddMember::new(created.organization.id, email.parse().unwrap(), text(first), text(last), Role::Member);
    let ben = engine.execute(add, &Actor::Operator).unwrap().member.id;
    let mut schedules = Vec::new();
    for number in 0..7 {
        let create = CreateSchedule::new(format!("S{number}").parse().unwrap(), "Europe/Lisbon");
        let schedule = engine.execute(create, &ada).unwrap().id;
        for layer in 0..20 {
            let length = RotationLength::new(RotationType::Daily, 1).unwrap();
            let settings = LayerSettings::new(length, HandoffTime::from_minutes(540).unwrap(), now, vec![ben, me]);
            let name = format!("L{layer}").parse().unwrap();
            engine.execute(AddRotationLayer::new(schedule, name, settings), &ada).unwrap();
        }
        for _ in 0..10 {
            let create = CreateOverride::new(schedule, ben, now, now.plus(Duration::from_secs(600)));
            engine.execute(create, &ada).unwrap();
        }
        schedules.push(schedule);
    }
    let mut policies = Vec::new();
    for number in 0..3 {
        let policy = engine.execute(CreatePolicy::new(format!("P{number}").parse().unwrap()), &ada).unwrap().id;
        for position in 1..=15 {
            let target = Target::Users(TargetUsers::new(vec![ben, me]).unwrap());
            let (position, timeout) = (Position::new(position).unwrap(), AckTimeout::from_minutes(5).unwrap());
            engine.execute(AddPolicyLayer::new(policy, position, timeout, target), &ada).unwrap();
        }
        policies.push(policy);
    }
    Busy { ada, ben, schedules, policies }
}

#[test]
fn a_member_leaves_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let open = || Engine::builder().clock(clock.clone()).open(folder.path().join("data")).unwrap();
    let engine = open();
    let Busy { ada, ben, schedules, policies } = busy(&engine);
    let answers = |engine: &Engine| {
        let mut all: Vec<String> = Vec::new();
        for &id in &schedules {
            all.push(format!("{:?}", engine.query(&GetSchedule::new(id), &ada).unwrap()));
            all.push(format!("{:?}", engine.query(&ListOverrides::new(id), &ada).unwrap()));
        }
        // Twice: what is on call is remembered.
        for _ in 0..2 {
            all.push(format!("{:?}", engine.query(&OnCallNow::new(engine.now()), &ada).unwrap()));
        }
        for &id in &policies {
            let layers = engine.query(&GetPolicy::new(id), &ada).unwrap().layers.unwrap();
            all.push(format!("{:?}", layers.iter().map(|layer| &layer.target).collect::<Vec<_>>()));
        }
        assert!(engine.verify(&mut |_| ()).is_clean());
        all
    };
    clock.advance(Duration::from_secs(60));
    let before = answers(&engine);
    engine.execute(RemoveMember::new(ben), &ada).unwrap();
    let after = answers(&engine);
    assert_ne!(before, after);
    let on_call_or_paged = &after[2 * schedules.len()..];
    assert!(on_call_or_paged.iter().all(|answer| !answer.contains(&format!("{ben:?}"))), "{on_call_or_paged:?}");
    drop(engine);

    // What is exported in between goes on where it is brought in.
    let store = ReadOnly::open(folder.path().join("data")).unwrap();
    let (mut lines, mut again) = (Vec::new(), Vec::new());
    store.export(&mut lines, &mut |_| ()).unwrap();
    drop(store);
    import(&mut lines.as_slice(), folder.path().join("imported"), &mut |_| ()).unwrap();
    ReadOnly::open(folder.path().join("imported")).unwrap().export(&mut again, &mut |_| ()).unwrap();
    assert_eq!(String::from_utf8(lines).unwrap(), String::from_utf8(again).unwrap());

    let imported = Engine::builder().clock(clock.clone()).open(folder.path().join("imported")).unwrap();
    for engine in [open(), imported] {
        let mut parts = 0;
        while engine.next_deadline().unwrap().is_some() {
            assert_eq!(answers(&engine), after, "after {parts} parts");
            assert_eq!(engine.tick(engine.now()).unwrap().fired, 1);
            parts += 1;
        }
        // 255 in all, of which 100 were left at once.
        assert_eq!(parts, 2);
        assert_eq!(answers(&engine), after);
        let tables = engine.stats().unwrap().tables;
        let of_ben = ["RotationByUser", "PolicyByUser", "Removal"];
        let rows = |name: &str| tables.iter().find(|table| table.name == name).map_or(0, |table| table.rows);
        assert_eq!(of_ben.map(rows), [140, 45, 0], "those of Ada");
    }
}

/// What changes a schedule in between takes whoever leaves out of it, too, in the same commit.
#[test]
fn a_schedule_is_changed_while_a_member_leaves() {
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let engine = Engine::builder().clock(clock.clone()).in_memory().unwrap();
    let Busy { ada, ben, schedules, policies } = busy(&engine);
    clock.advance(Duration::from_secs(60));
    engine.execute(RemoveMember::new(ben), &ada).unwrap();
    clock.advance(Duration::from_secs(1));
    for id in &schedules {
        let layers = engine.query(&GetSchedule::new(*id), &ada).unwrap().layers.unwrap();
        let handoff_time = Some(HandoffTime::from_minutes(600).unwrap());
        let edit = EditRotationLayer { handoff_time, ..EditRotationLayer::new(*id, layers[3].id) };
        engine.execute(edit, &ada).unwrap();
        assert!(engine.verify(&mut |_| ()).is_clean());
    }
    for id in &policies {
        let layers = engine.query(&GetPolicy::new(*id), &ada).unwrap().layers.unwrap();
        let ack_timeout = Some(AckTimeout::from_minutes(9).unwrap());
        engine.execute(EditPolicyLayer { ack_timeout, ..EditPolicyLayer::new(*id, layers[0].id) }, &ada).unwrap();
    }
    let tables = engine.stats().unwrap().tables;
    let rows = |name: &str| tables.iter().find(|table| table.name == name).map_or(0, |table| table.rows);
    assert_eq!(["RotationByUser", "PolicyByUser", "Removal"].map(rows), [140, 45, 1], "those of Ada");
    engine.tick(engine.now()).unwrap();
    assert_eq!(engine.next_deadline().unwrap(), None);
    assert!(engine.verify(&mut |_| ()).is_clean());
}
