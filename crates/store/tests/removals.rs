//! A schedule that is deleted in parts: each tick deletes one, also after the store was opened again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use dogwatch_core::oncall::{CreateOverride, CreateSchedule, DeleteSchedule, ListSchedules};
use dogwatch_store::{Engine, ManualClock, Transaction};
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
