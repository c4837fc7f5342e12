//! Section 14 of the contract: storms of alerts, and heartbeats.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use dogwatch_core::Timestamp;
use dogwatch_core::incident::{Author, Severity, Status};
use dogwatch_core::integration::{
    DeleteIntegration, EditIntegration, GetIntegration, Heartbeat, IntegrationKind, RotateIntegrationToken, Settings,
    Severities, SeverityOutcome,
};
use support::monitor::{Monitor, waits};
use support::{Harbour, valid};

/// The title and the severity of an incident, and how many signals it has.
fn sum(monitor: &Monitor, number: usize) -> (String, Severity, usize) {
    let incident = monitor.incident(number);
    (incident.title.to_string(), incident.severity, monitor.signals(incident.id).len())
}

/// Sixty new ones, `from` on.
fn sixty(monitor: &mut Monitor, from: usize, outcome: &str) {
    for n in from..from + 60 {
        assert_eq!(monitor.fire(&format!("k{n}"), Severity::Medium), outcome, "{n}");
    }
}

/// Every signal is in one incident, and is the only one with its key among those that fire.
fn keys(monitor: &Monitor) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for incident in monitor.incidents() {
        for signal in monitor.signals(incident.id) {
            let twice = found.insert(signal.dedup_key.to_string(), signal.count);
            assert_eq!(twice, None, "{}", signal.dedup_key);
        }
    }
    found
}

#[test]
fn the_sixty_first_is_a_storm() {
    let mut monitor = Monitor::new(waits(0, 300));
    sixty(&mut monitor, 0, "opened");
    assert_eq!(monitor.incidents().len(), 60);
    assert_eq!(monitor.fire("k60", Severity::Low), "opened");
    assert_eq!(sum(&monitor, 61), ("Alert storm: Monitor".to_owned(), Severity::Low, 1));
    assert_eq!(monitor.fire("k61", Severity::High), "joined");
    assert_eq!(monitor.fire("web:k62", Severity::Medium), "joined");
    assert_eq!(monitor.fire("web:k63", Severity::Medium), "joined");
    assert_eq!(sum(&monitor, 61), ("Alert storm: Monitor".to_owned(), Severity::High, 4));
    // What was there before counts as always, and so does what is in the storm.
    assert_eq!(monitor.fire("k5", Severity::Low), "counted");
    assert_eq!(monitor.fire("k60", Severity::Critical), "counted");
    assert_eq!(sum(&monitor, 61), ("Alert storm: Monitor".to_owned(), Severity::Critical, 4));
    assert_eq!(monitor.incidents().len(), 61);
    let counts = keys(&monitor);
    assert_eq!((counts.len(), counts["k5"], counts["k60"], counts["k61"]), (64, 2, 2, 1));
    let storm = monitor.incident(61);
    assert_eq!(storm.created_by, Author::Integration(monitor.id));
}

#[test]
fn a_group_that_is_open_takes_its_own_in_a_storm() {
    let mut monitor = Monitor::new(waits(0, 300));
    sixty(&mut monitor, 0, "opened");
    monitor.at(599);
    assert_eq!(monitor.fire("k60", Severity::Low), "opened");
    monitor.at(600);
    assert_eq!(monitor.fire("k61", Severity::Low), "joined", "the storm has begun");
    let mut monitor = Monitor::new(waits(0, 300));
    monitor.fire("web:first", Severity::Low);
    for n in 1..=60 {
        assert_eq!(monitor.fire(&format!("k{n}"), Severity::Low), "opened", "{n}");
    }
    assert_eq!(monitor.incidents().len(), 61);
    assert_eq!(sum(&monitor, 61).0, "Alert storm: Monitor");
    assert_eq!(monitor.fire("web:second", Severity::Low), "joined");
    assert_eq!((sum(&monitor, 1).2, sum(&monitor, 61).2), (2, 1));
}

/// Every signal of a storm is over, one after the other: then it is resolved.
#[test]
fn the_end_of_a_storm() {
    let mut monitor = Monitor::new(waits(0, 300));
    sixty(&mut monitor, 0, "opened");
    for key in ["a", "b", "c"] {
        monitor.fire(key, Severity::High);
    }
    monitor.at(10);
    assert_eq!((monitor.over("a"), monitor.over("b")), ("over", "over"));
    monitor.at(400);
    monitor.tick();
    assert_eq!(monitor.incident(61).status, Status::Investigating);
    assert_eq!(monitor.over("c"), "over");
    monitor.at(700);
    monitor.tick();
    assert_eq!(monitor.incident(61).status, Status::Resolved);
    assert_eq!(monitor.incidents().len(), 61);
    assert!(monitor.incidents().iter().take(60).all(|it| it.status == Status::Investigating));
}

/// It lasts until no new one has come for ten minutes, however long that takes; then each opens its own again.
#[test]
fn ten_quiet_minutes_end_it() {
    let mut monitor = Monitor::new(waits(0, 300));
    sixty(&mut monitor, 0, "opened");
    for (second, key, outcome) in [
        (0, "a", "opened"),
        (599, "b", "joined"),
        (1_198, "c", "joined"),
        (1_797, "d", "joined"),
        // What is known already does not keep it going.
        (2_000, "a", "counted"),
        (2_398, "e", "opened"),
        (2_399, "f", "opened"),
        (2_400, "b", "counted"),
    ] {
        monitor.at(second);
        monitor.tick();
        assert_eq!(monitor.fire(key, Severity::High), outcome, "{second}");
    }
    assert_eq!(monitor.incidents().len(), 63);
    assert_eq!((sum(&monitor, 61).2, sum(&monitor, 62).0), (4, "e".to_owned()));
    assert_eq!(keys(&monitor).len(), 66);
}

/// Sixty are no storm, however often, if ten minutes lie between.
#[test]
fn sixty_every_ten_minutes() {
    let mut monitor = Monitor::new(waits(0, 300));
    for round in 0..3 {
        monitor.at(i64::try_from(round).unwrap() * 601);
        sixty(&mut monitor, round * 60, "opened");
    }
    assert_eq!(monitor.incidents().len(), 180);
    assert!(monitor.incidents().iter().all(|it| !it.title.as_str().contains("storm")));
}

/// Slowly, over hours: never more than sixty-one incidents in any ten minutes.
#[test]
fn at_most_sixty_one_in_ten_minutes() {
    for (step, number) in [(1, 1_500), (9, 400), (11, 200)] {
        let mut monitor = Monitor::new(waits(0, 300));
        for n in 0..number {
            monitor.at(n * step);
            monitor.tick();
            monitor.fire(&format!("k{n}"), Severity::High);
        }
        at_most_sixty_one(&monitor);
        assert_eq!(keys(&monitor).len(), usize::try_from(number).unwrap(), "every {step} s");
    }
}

fn at_most_sixty_one(monitor: &Monitor) {
    let opened: Vec<_> = monitor.incidents().iter().map(|it| it.created_at.as_millis()).collect();
    for (n, at) in opened.iter().enumerate() {
        let within = opened[n..].iter().take_while(|later| **later < at + 600_000).count();
        assert!(within <= 61, "{within} within ten minutes of {}", monitor.second(Timestamp::clamped(*at)));
    }
}

#[test]
fn ten_thousand_at_once() {
    let mut monitor = Monitor::new(waits(0, 300));
    for n in 0..10_000 {
        let outcome = monitor.fire(&format!("k{n}"), Severity::ALL[n % 4]);
        assert!(["opened", "joined"].contains(&outcome), "{n}: {outcome}");
    }
    assert_eq!(monitor.incidents().len(), 61);
    assert_eq!(sum(&monitor, 61), ("Alert storm: Monitor".to_owned(), Severity::Critical, 9_940));
    let counts = keys(&monitor);
    assert!(counts.len() == 10_000 && counts.values().all(|count| *count == 1));
}

/// One alert that comes and goes all the time, resolved at once, is a storm like any other.
#[test]
fn flapping_is_no_way_around_it() {
    let mut monitor = Monitor::new(waits(0, 0));
    for second in 0..300 {
        monitor.at(second);
        assert_ne!(monitor.fire("disk", Severity::High), "dropped");
        monitor.over("disk");
    }
    at_most_sixty_one(&monitor);
}

/// The storm may be resolved before its ten minutes are quiet: what comes then belongs to it all the same.
#[test]
fn a_storm_that_is_resolved_while_it_lasts() {
    let mut monitor = Monitor::new(waits(0, 60));
    sixty(&mut monitor, 0, "opened");
    for second in (0..600).step_by(90) {
        monitor.at(second);
        monitor.tick();
        monitor.fire("disk", Severity::High);
        monitor.over("disk");
        monitor.at(second + 60);
        monitor.tick();
    }
    at_most_sixty_one(&monitor);
}

/// What waits for a pause counts, also when it is forgotten; the storm waits, too.
#[test]
fn a_storm_of_what_waits() {
    let mut monitor = Monitor::new(waits(60, 300));
    sixty(&mut monitor, 0, "waits");
    assert_eq!(monitor.fire("a", Severity::Low), "waits");
    assert_eq!(monitor.fire("b", Severity::High), "waits");
    assert_eq!(monitor.over("k0"), "over");
    assert_eq!(monitor.incidents().len(), 0);
    monitor.at(60);
    monitor.tick();
    assert_eq!(monitor.incidents().len(), 60);
    let storms = monitor.incidents().into_iter().filter(|it| it.title.as_str() == "Alert storm: Monitor");
    let storms: Vec<_> = storms.map(|it| (it.severity, monitor.signals(it.id).len())).collect();
    assert_eq!(storms, [(Severity::High, 2)]);
    assert_eq!(monitor.fire("c", Severity::Low), "joined");
    assert_eq!(keys(&monitor).len(), 62);
}

#[test]
fn a_storm_is_called_as_its_integration_is_then() {
    let mut monitor = Monitor::new(waits(0, 300));
    let (ada, long) = (monitor.harbour.ada, "n".repeat(100));
    sixty(&mut monitor, 0, "opened");
    let edit = EditIntegration { name: Some(valid(&long)), ..EditIntegration::new(monitor.id) };
    monitor.harbour.run(edit, &ada).unwrap();
    monitor.fire("a", Severity::Low);
    let title = monitor.incident(61).title.to_string();
    assert!(title.starts_with("Alert storm: nnn") && title.ends_with("n…"), "{title}");
    assert_eq!(title.chars().count(), 100);
}

/// Storms are of one integration each.
#[test]
fn a_storm_elsewhere() {
    let mut monitor = Monitor::new(waits(0, 300));
    sixty(&mut monitor, 0, "opened");
    monitor.fire("a", Severity::Low);
    let (ada, harbour) = (monitor.harbour.ada, &mut monitor.harbour);
    let create = dogwatch_core::integration::CreateIntegration::new(valid("Other"), IntegrationKind::Generic);
    monitor.token = harbour.run(create, &ada).unwrap().token;
    assert_eq!(monitor.fire("a", Severity::Low), "opened");
    assert_eq!(sum(&monitor, 62).0, "a");
}

/// A heartbeat every minute, with ten seconds of grace.
fn heart(mut settings: Settings) -> Monitor {
    settings.heartbeat = Some(Heartbeat::new(60, 10).unwrap());
    Monitor::of(Harbour::new(), IntegrationKind::Heartbeat, settings)
}

fn last_beat(monitor: &Monitor) -> Option<Timestamp> {
    monitor.harbour.ask(&GetIntegration::new(monitor.id), &monitor.harbour.ben).unwrap().last_signal_at
}

#[test]
fn alive_silent_and_alive_again() {
    let drop = SeverityOutcome::Drop;
    let severities = Severities { critical: drop, high: drop, medium: drop, low: drop };
    let mut monitor = heart(Settings { severities, ..waits(0, 30) });
    monitor.at(1_000_000);
    monitor.tick();
    assert_eq!((monitor.shown(), last_beat(&monitor)), (String::new(), None), "the first is waited for without an end");
    monitor.began = monitor.harbour.now;
    for (second, act, incidents) in [
        (0, "beat", 0),
        (69, "tick", 0),
        (69, "beat", 0),
        (138, "tick", 0),
        (139, "tick", 1),
        (200, "tick", 1),
        (5_000, "tick", 1),
    ] {
        monitor.at(second);
        assert_eq!(monitor.act(act), "ok");
        assert_eq!(monitor.incidents().len(), incidents, "{second}: {act}");
    }
    let incident = monitor.incident(1);
    assert_eq!((incident.title.as_str(), incident.severity), ("Monitor is silent", Severity::High));
    assert_eq!(incident.created_by, Author::Integration(monitor.id));
    assert_eq!(monitor.signals(incident.id).len(), 1);
    assert_eq!(monitor.signals(incident.id)[0].count, 1);
    // Alive again: it is resolved after the quiet time, unless it is silent again before.
    for (second, act, status) in [
        (5_010, "beat", Status::Investigating),
        (5_039, "tick", Status::Investigating),
        (5_040, "tick", Status::Resolved),
        (5_079, "tick", Status::Resolved),
    ] {
        monitor.at(second);
        assert_eq!(monitor.act(act), "ok");
        assert_eq!(monitor.incident(1).status, status, "{second}");
    }
    monitor.at(5_080);
    monitor.tick();
    assert_eq!(monitor.incidents().len(), 2, "silent again");
}

#[test]
fn beats_are_remembered_to_the_millisecond() {
    let mut monitor = heart(Settings::default());
    for millis in [0, 1, 59_999, 60_001, 61_234] {
        monitor.harbour.now = Timestamp::clamped(monitor.began.as_millis() + millis);
        monitor.beat();
        assert_eq!(last_beat(&monitor), Some(monitor.harbour.now));
    }
    monitor.harbour.now = Timestamp::clamped(monitor.began.as_millis() + 61_234 + 69_999);
    monitor.tick();
    assert_eq!(monitor.incidents().len(), 0);
    monitor.harbour.now = Timestamp::clamped(monitor.began.as_millis() + 61_234 + 70_000);
    monitor.tick();
    assert_eq!(monitor.incidents().len(), 1);
}

#[test]
fn silent_with_a_long_name() {
    let mut monitor = heart(waits(0, 300));
    let ada = monitor.harbour.ada;
    monitor.beat();
    // It is called as its integration is when it is noticed.
    let edit = EditIntegration { name: Some(valid(&"n".repeat(100))), ..EditIntegration::new(monitor.id) };
    monitor.harbour.run(edit, &ada).unwrap();
    monitor.at(70);
    monitor.tick();
    let title = monitor.incident(1).title.to_string();
    assert!(title.starts_with("nnn") && title.ends_with('…') && title.chars().count() == 100, "{title}");
}

#[test]
fn silent_again_while_quiet() {
    let mut monitor = heart(waits(0, 300));
    monitor.beat();
    for (second, act) in [(70, "tick"), (80, "beat"), (150, "tick"), (160, "beat"), (165, "beat")] {
        monitor.at(second);
        assert_eq!(monitor.act(act), "ok");
    }
    let incident = monitor.incident(1);
    assert_eq!((monitor.incidents().len(), incident.status), (1, Status::Investigating));
    assert_eq!(monitor.signals(incident.id)[0].count, 2);
}

/// Somebody resolves it while it is silent: it is said once more only after it has been alive.
#[test]
fn silence_that_somebody_has_resolved() {
    let mut monitor = heart(waits(0, 300));
    monitor.beat();
    for (second, act, incidents) in [
        (70, "tick", 1),
        (80, "ada resolves 1", 1),
        (500, "tick", 1),
        (600, "beat", 1),
        (669, "tick", 1),
        (670, "tick", 2),
        (680, "beat", 2),
    ] {
        monitor.at(second);
        assert_eq!(monitor.act(act), "ok");
        assert_eq!(monitor.incidents().len(), incidents, "{second}: {act}");
    }
    // Without its integration it is resolved all the same, and it is not silent any more.
    let ada = monitor.harbour.ada;
    monitor.harbour.run(DeleteIntegration::new(monitor.id), &ada).unwrap();
    monitor.at(980);
    monitor.tick();
    assert_eq!((monitor.incident(2).status, monitor.incidents().len()), (Status::Resolved, 2));
}

#[test]
fn a_pause_before_silence_is_an_incident() {
    let mut monitor = heart(waits(20, 0));
    monitor.beat();
    for (second, act, incidents) in
        [(70, "tick", 0), (80, "beat", 0), (100, "tick", 0), (150, "tick", 0), (169, "tick", 0), (170, "tick", 1)]
    {
        monitor.at(second);
        assert_eq!(monitor.act(act), "ok");
        assert_eq!(monitor.incidents().len(), incidents, "{second}");
    }
    monitor.at(180);
    monitor.beat();
    assert_eq!(monitor.incident(1).status, Status::Resolved, "at once");
}

/// A beat that is waited for is missed by the new period.
#[test]
fn another_period() {
    // The new period and grace at second 30, and the seconds at which it is not yet silent, and silent.
    for (period, grace, alive, silent) in [
        (Some(120), None, 129, 130),
        (None, Some(0), 59, 60),
        (Some(30), Some(5), 34, 35),
        // Missed already: the next tick says so.
        (Some(10), Some(0), 29, 30),
        (Some(2_678_400), Some(86_400), 2_764_799, 2_764_800),
    ] {
        let mut monitor = heart(waits(0, 300));
        let ada = monitor.harbour.ada;
        monitor.beat();
        monitor.at(30);
        let edit = EditIntegration { period_seconds: period, grace_seconds: grace, ..EditIntegration::new(monitor.id) };
        if alive < 30 {
            monitor.tick();
            assert_eq!(monitor.incidents().len(), 0);
        }
        monitor.harbour.run(edit, &ada).unwrap();
        if alive > 30 {
            monitor.at(alive);
            monitor.tick();
            assert_eq!(monitor.incidents().len(), 0, "{period:?} {grace:?}");
        }
        monitor.at(silent);
        monitor.tick();
        assert_eq!(monitor.incidents().len(), 1, "{period:?} {grace:?}");
    }
    // The first one is still waited for without an end, and what is silent is not silent twice.
    let mut monitor = heart(waits(0, 300));
    let ada = monitor.harbour.ada;
    let edit = EditIntegration { period_seconds: Some(1), ..EditIntegration::new(monitor.id) };
    monitor.harbour.run(edit.clone(), &ada).unwrap();
    monitor.at(500);
    monitor.tick();
    assert_eq!(monitor.incidents().len(), 0);
    monitor.beat();
    monitor.at(511);
    monitor.tick();
    monitor.harbour.run(EditIntegration { period_seconds: Some(5), ..edit }, &ada).unwrap();
    monitor.at(600);
    monitor.tick();
    assert_eq!(monitor.signals(monitor.incident(1).id)[0].count, 1);
}

#[test]
fn a_heartbeat_that_is_deleted_or_has_another_token() {
    let mut monitor = heart(waits(0, 300));
    let ada = monitor.harbour.ada;
    monitor.beat();
    let old = monitor.token.clone();
    monitor.at(60);
    monitor.token = monitor.harbour.run(RotateIntegrationToken::new(monitor.id), &ada).unwrap().token;
    monitor.beat();
    monitor.at(129);
    monitor.tick();
    assert_eq!(monitor.incidents().len(), 0, "the wait goes on");
    let new = std::mem::replace(&mut monitor.token, old);
    assert_eq!(monitor.beat(), "invalid_api_key");
    monitor.token = new;
    monitor.harbour.run(DeleteIntegration::new(monitor.id), &ada).unwrap();
    assert_eq!(monitor.beat(), "invalid_api_key");
    monitor.at(100_000);
    monitor.tick();
    assert_eq!(monitor.incidents().len(), 0, "nobody waits for it any more");
}

/// What a heartbeat understands is being alive, and nothing else does.
#[test]
fn alerts_do_not_beat_and_beats_are_no_alerts() {
    let mut monitor = heart(waits(0, 300));
    monitor.kind = IntegrationKind::Generic;
    assert_eq!(monitor.fire("disk", Severity::High), "invalid_api_key");
    for kind in [IntegrationKind::Generic, IntegrationKind::Alertmanager, IntegrationKind::PagerDuty] {
        let mut monitor = Monitor::of(Harbour::new(), kind, Settings::default());
        assert_eq!(monitor.beat(), "invalid_api_key", "{kind}");
    }
}

#[test]
fn a_heartbeat_understands_no_alerts() {
    let mut monitor = heart(waits(0, 300));
    assert_eq!(monitor.kind, IntegrationKind::Heartbeat);
    assert_eq!(monitor.fire("disk", Severity::High), "invalid_api_key");
}

/// A storm much later is another incident, also when that of the first is still open; and one acknowledgement takes no storm.
#[test]
fn a_later_storm() {
    let mut monitor = Monitor::of(support::Harbour::new(), IntegrationKind::PagerDuty, waits(0, 60));
    let storm = |monitor: &mut Monitor, second: i64, name: &str| {
        monitor.at(second);
        for number in 0..70 {
            monitor.fire(&format!("{name}{number}"), Severity::High);
        }
        monitor.incidents().iter().filter(|it| it.title.as_str().starts_with("Alert storm")).count()
    };
    assert_eq!(storm(&mut monitor, 0, "first"), 1);
    assert_eq!(monitor.act("first65 seen"), "nothing");
    assert_eq!(monitor.act("first5 seen"), "acknowledged");
    assert_eq!(storm(&mut monitor, 599, "still"), 1, "the first has not ended");
    assert_eq!(storm(&mut monitor, 599 + 600, "later"), 2);
    assert_eq!((monitor.act("first65 seen"), monitor.act("later65 seen")), ("nothing", "nothing"));
    assert_eq!(storm(&mut monitor, 86_400, "last"), 3);
}
