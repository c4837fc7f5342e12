//! Section 14 of the contract: what alerts do to incidents. Each story is a table of what happens.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::escalation::Target;
use dogwatch_core::incident::{Author, Event, HandOffIncident, ListLimit, Severity, Status, UpdateVisibility};
use dogwatch_core::integration::{IntegrationKind, ListSignals, Settings, Severities, SeverityOutcome};
use dogwatch_core::oncall::CreateOverride;
use dogwatch_core::world::{Change, State, Write};
use std::time::Duration;
use support::monitor::{Monitor, firing, waits};
use support::{Harbour, policy_layer, user, word};

/// A monitor whose alerts page Ben for five minutes, then Cleo for ten.
fn paging(mut settings: Settings) -> Monitor {
    let mut harbour = Harbour::new();
    let (ada, policy) = (harbour.ada, harbour.policy("Night"));
    for (position, minutes, who) in [(1, 5, harbour.ben), (2, 10, harbour.cleo)] {
        let target = Target::users(vec![user(&who)]).unwrap();
        harbour.run(policy_layer(policy, position, minutes, target), &ada).unwrap();
    }
    settings.escalation_policy_id = Some(policy);
    Monitor::of(harbour, IntegrationKind::Generic, settings)
}

#[test]
fn the_first_opens_and_more_of_the_same_count() {
    let mut monitor = paging(Settings::default());
    monitor.check(&[
        (0, "disk medium", "opened", "1 medium: disk 1"),
        (10, "disk medium", "counted", "1 medium: disk 2"),
        (20, "disk critical", "counted", "1 critical: disk 3"),
        (30, "disk low", "counted", "1 critical: disk 4"),
        (40, "cpu low", "opened", "1 critical: disk 4; 2 low: cpu 1"),
    ]);
    assert_eq!(monitor.pages(), "1 ben 0; 2 ben 40");
    let incident = monitor.incident(1);
    assert_eq!(incident.created_by, Author::Integration(monitor.id));
    assert_eq!((incident.owner_id, incident.status), (None, Status::Investigating));
    let signal = &monitor.signals(incident.id)[0];
    assert_eq!(signal.severity, Severity::Critical, "the worst that it had");
    assert_eq!((monitor.second(signal.first_at), monitor.second(signal.last_at)), (0, 30));
    assert_eq!(monitor.notes(incident.id), [""; 0]);
    // Whatever is in the trail of such an incident, the integration has done it.
    let trail = monitor.harbour.detail(incident.id).audit_trail;
    let mut events = trail.iter().filter(|event| !matches!(event.event, Event::LayerPaged { .. }));
    assert!(events.all(|event| event.actor_id == Some(Author::Integration(monitor.id))), "{trail:?}");
    assert!(monitor.harbour.trail(incident.id).starts_with("incident_created layer_paged incident_edited"));
}

#[test]
fn the_last_report_is_shown() {
    let mut monitor = Monitor::new(Settings::default());
    for (title, summary, source) in [("Disk", "/var at 90 %", "db1"), ("Disk, still", "/var at 99 %", "db2")] {
        let mut firing = firing(Severity::High, title);
        (firing.summary, firing.source) = (summary.to_owned(), source.to_owned());
        let state = dogwatch_core::integration::AlertState::Firing(Box::new(firing));
        monitor.receive(support::monitor::alert("disk", state));
    }
    let incident = monitor.incident(1);
    assert_eq!(incident.title.as_str(), "Disk");
    let signals = monitor.signals(incident.id);
    assert_eq!((signals[0].summary.as_str(), signals[0].source.as_str()), ("/var at 99 %", "db2"));
}

#[test]
fn a_group_is_one_incident() {
    let mut monitor = paging(Settings::default());
    monitor.check(&[
        (0, "web:disk low", "opened", "1 low: disk 1"),
        (1, "web:cpu low", "joined", "1 low: disk 1, cpu 1"),
        (2, "db:mail low", "opened", "1 low: disk 1, cpu 1; 2 low: mail 1"),
        (3, "web:net high", "joined", "1 high: disk 1, cpu 1, net 1; 2 low: mail 1"),
        // A key is one signal, whatever group is named with it later, or none.
        (4, "db:cpu low", "counted", "1 high: disk 1, cpu 2, net 1; 2 low: mail 1"),
        (5, "cpu over", "over", "1 high: disk 1, cpu 2 over, net 1; 2 low: mail 1"),
        (6, "web:disk over", "over", "1 high: disk 1 over, cpu 2 over, net 1; 2 low: mail 1"),
        (999, "tick", "ok", "1 high: disk 1 over, cpu 2 over, net 1; 2 low: mail 1"),
        (1_000, "web:net over", "over", "1 high: disk 1 over, cpu 2 over, net 1 over; 2 low: mail 1"),
        (1_299, "tick", "ok", "1 high: disk 1 over, cpu 2 over, net 1 over; 2 low: mail 1"),
        (1_300, "tick", "ok", "1 high resolved: disk 1 over, cpu 2 over, net 1 over; 2 low: mail 1"),
    ]);
    assert_eq!(monitor.pages(), "1 ben 0; 1 cleo 999; 2 ben 2; 2 cleo 999");
    assert_eq!(monitor.notes(monitor.incident(1).id), [""; 0], "nobody had taken it");
}

/// An alert without a group is one by itself, also where a group has its name.
#[test]
fn by_itself() {
    Monitor::new(Settings::default()).check(&[
        (0, "disk low", "opened", "1 low: disk 1"),
        (1, "disk:cpu low", "opened", "1 low: disk 1; 2 low: cpu 1"),
    ]);
}

#[test]
fn somebody_has_taken_it() {
    let mut monitor = paging(Settings::default());
    monitor.check(&[
        (0, "web:disk low", "opened", "1 low: disk 1"),
        (300, "tick", "ok", "1 low: disk 1"),
        (310, "ada takes 1", "ok", "1 low taken: disk 1"),
        (320, "web:cpu low", "joined", "1 low taken: disk 1, cpu 1"),
        // The same keys only raise it.
        (330, "web:cpu medium", "counted", "1 medium taken: disk 1, cpu 2"),
        (340, "web:net medium", "joined", "1 medium taken: disk 1, cpu 2, net 1"),
        (350, "web:mail high", "joined", "1 high: disk 1, cpu 2, net 1, mail 1"),
        (360, "web:dns critical", "joined", "1 critical: disk 1, cpu 2, net 1, mail 1, dns 1"),
        (950, "tick", "ok", "1 critical: disk 1, cpu 2, net 1, mail 1, dns 1"),
    ]);
    assert_eq!(monitor.pages(), "1 ben 0; 1 cleo 300; 1 cleo 350", "the current layer again, and only once");
    let incident = monitor.incident(1);
    let notes = monitor.updates(incident.id);
    let at: Vec<_> = notes.iter().map(|note| monitor.second(note.posted_at)).collect();
    assert_eq!(at, [320, 340, 350]);
    assert!(notes.iter().all(|note| note.visibility == UpdateVisibility::Internal && note.status_change.is_none()));
    assert!(notes.iter().all(|note| note.posted_by.id == Author::Integration(monitor.id)));
    assert!(notes.iter().all(|note| note.posted_by.name == "Monitor"));
    assert_eq!(
        monitor.harbour.trail(incident.id),
        "incident_created layer_paged layer_timed_out layer_paged incident_acknowledged escalation_stopped \
         update_posted incident_edited update_posted update_posted incident_edited layer_paged incident_edited \
         layer_timed_out escalation_exhausted"
    );
}

/// The timer of the layer that is paged again runs as if it had just fired.
#[test]
fn paged_again_the_run_goes_on() {
    let mut monitor = paging(Settings::default());
    monitor.check(&[
        (0, "web:disk low", "opened", "1 low: disk 1"),
        (10, "ada takes 1", "ok", "1 low taken: disk 1"),
        (20, "web:cpu high", "joined", "1 high: disk 1, cpu 1"),
    ]);
    let next = monitor.incident(1).next_escalation_at.unwrap();
    assert_eq!(monitor.second(next), 320);
    monitor.check(&[
        (319, "tick", "ok", "1 high: disk 1, cpu 1"),
        (320, "tick", "ok", "1 high: disk 1, cpu 1"),
        (330, "ben takes 1", "ok", "1 high taken: disk 1, cpu 1"),
        (340, "web:net critical", "joined", "1 critical: disk 1, cpu 1, net 1"),
    ]);
    assert_eq!(monitor.pages(), "1 ben 0; 1 ben 20; 1 cleo 320; 1 cleo 340");
    // Handed off, it is not acknowledged any more: what is new says nothing.
    let (id, ben, ada) = (monitor.incident(1).id, user(&monitor.harbour.ben), monitor.harbour.ada);
    let before = monitor.notes(id).len();
    monitor.harbour.run(HandOffIncident { id, target_user_id: ben }, &ada).unwrap();
    monitor.check(&[(350, "web:dns low", "joined", "1 critical: disk 1, cpu 1, net 1, dns 1")]);
    assert_eq!(monitor.notes(id).len(), before);
}

/// Without a policy there is nobody to page, and the acknowledgement is cleared all the same.
#[test]
fn taken_without_a_policy() {
    let mut monitor = Monitor::new(Settings::default());
    monitor.check(&[
        (0, "web:disk low", "opened", "1 low: disk 1"),
        (1, "ada takes 1", "ok", "1 low taken: disk 1"),
        (2, "web:cpu low", "joined", "1 low taken: disk 1, cpu 1"),
        (3, "web:net high", "joined", "1 high: disk 1, cpu 1, net 1"),
    ]);
    assert_eq!(monitor.notes(monitor.incident(1).id).len(), 2);
}

#[test]
fn its_sender_says_that_somebody_has_taken_it() {
    let mut monitor = paging(Settings::default());
    monitor.check(&[
        (0, "disk seen", "nothing", ""),
        (0, "web:disk low", "opened", "1 low: disk 1"),
        (1, "web:cpu low", "joined", "1 low: disk 1, cpu 1"),
        (2, "net seen", "nothing", "1 low: disk 1, cpu 1"),
        (3, "web:cpu over", "over", "1 low: disk 1, cpu 1 over"),
        (4, "web:cpu seen", "nothing", "1 low: disk 1, cpu 1 over"),
        (5, "web:disk seen", "acknowledged", "1 low taken: disk 1, cpu 1 over"),
        (400, "tick", "ok", "1 low taken: disk 1, cpu 1 over"),
    ]);
    let incident = monitor.incident(1);
    assert_eq!(incident.acknowledged_by, Some(Author::Integration(monitor.id)));
    assert_eq!(monitor.second(incident.acknowledged_at.unwrap()), 5);
    assert_eq!(
        monitor.harbour.trail(incident.id),
        "incident_created layer_paged incident_acknowledged escalation_stopped"
    );
    assert_eq!(monitor.pages(), "1 ben 0");
    // Again, it changes nothing.
    let before = monitor.incident(1);
    monitor.at(410);
    monitor.act("disk seen");
    assert_eq!(monitor.incident(1), before);
}

#[test]
fn resolved_after_a_quiet_time() {
    let mut monitor = paging(waits(0, 60));
    monitor.check(&[
        (0, "disk high", "opened", "1 high: disk 1"),
        (5, "nothing over", "nothing", "1 high: disk 1"),
        (10, "disk over", "over", "1 high: disk 1 over"),
        // Said again, it has been over since then.
        (30, "disk over", "nothing", "1 high: disk 1 over"),
        (69, "tick", "ok", "1 high: disk 1 over"),
        (70, "tick", "ok", "1 high resolved: disk 1 over"),
        (70, "tick", "ok", "1 high resolved: disk 1 over"),
        (71, "disk over", "nothing", "1 high resolved: disk 1 over"),
        (72, "disk seen", "nothing", "1 high resolved: disk 1 over"),
        (80, "disk low", "opened", "1 high resolved: disk 1 over; 2 low: disk 1"),
    ]);
    assert_eq!(monitor.pages(), "1 ben 0; 2 ben 80");
    let detail = monitor.harbour.detail(monitor.incident(1).id);
    let steps: Vec<_> = detail.status_history.iter().map(|step| step.status).collect();
    assert_eq!(steps, [Status::Investigating, Status::Identified, Status::Monitoring, Status::Resolved]);
    assert_eq!(monitor.second(detail.incident.resolved_at.unwrap()), 70);
    let me = Some(Author::Integration(monitor.id));
    let resolving = detail.audit_trail.iter().filter(|event| {
        matches!(event.event, Event::StatusChanged { .. } | Event::UpdatePosted { .. } | Event::EscalationStopped)
    });
    assert_eq!(resolving.clone().count(), 7);
    assert!(resolving.clone().all(|event| event.actor_id == me), "{resolving:?}");
    let updates = monitor.updates(detail.incident.id);
    assert!(updates.iter().all(|update| Some(update.posted_by.id) == me));
    assert!(updates.iter().all(|update| update.visibility == UpdateVisibility::Internal));
    let bodies: Vec<_> = updates.iter().map(|update| update.body.is_some()).collect();
    assert_eq!(bodies, [false, false, true], "the last says so");
    let note = detail.status_history[3].resolution_note.as_ref().unwrap();
    assert_eq!(Some(note), updates[2].body.as_ref());
    assert!(["60", "1 min", "a minute", "one minute"].iter().any(|said| note.as_str().contains(said)), "{note}");
}

#[test]
fn from_wherever_somebody_has_brought_it() {
    let mut monitor = Monitor::new(waits(0, 60));
    monitor.check(&[(0, "disk high", "opened", "1 high: disk 1")]);
    let (id, ben) = (monitor.incident(1).id, monitor.harbour.ben);
    monitor.harbour.run(dogwatch_core::incident::ChangeStatus::new(id, Status::Identified), &ben).unwrap();
    monitor.check(&[
        (10, "disk over", "over", "1 high: disk 1 over"),
        (20, "ben takes 1", "ok", "1 high taken: disk 1 over"),
        (70, "tick", "ok", "1 high resolved: disk 1 over"),
    ]);
    assert_eq!(monitor.harbour.detail(id).status_history.len(), 4);
}

#[test]
fn flapping_goes_on() {
    let mut monitor = paging(waits(0, 60));
    monitor.check(&[
        (0, "disk high", "opened", "1 high: disk 1"),
        (10, "disk over", "over", "1 high: disk 1 over"),
        (69, "disk high", "counted", "1 high: disk 2"),
        (70, "tick", "ok", "1 high: disk 2"),
        (80, "disk over", "over", "1 high: disk 2 over"),
        (90, "disk critical", "counted", "1 critical: disk 3"),
        (100, "disk over", "over", "1 critical: disk 3 over"),
        (159, "tick", "ok", "1 critical: disk 3 over"),
        (160, "tick", "ok", "1 critical resolved: disk 3 over"),
    ]);
    assert_eq!(monitor.pages(), "1 ben 0");
    // Another of the group keeps it open, too.
    let mut monitor = Monitor::new(waits(0, 60));
    monitor.check(&[
        (0, "web:disk high", "opened", "1 high: disk 1"),
        (10, "web:disk over", "over", "1 high: disk 1 over"),
        (20, "web:cpu low", "joined", "1 high: disk 1 over, cpu 1"),
        (70, "tick", "ok", "1 high: disk 1 over, cpu 1"),
        (80, "web:cpu over", "over", "1 high: disk 1 over, cpu 1 over"),
        (140, "tick", "ok", "1 high resolved: disk 1 over, cpu 1 over"),
    ]);
}

#[test]
fn at_once() {
    let mut monitor = paging(waits(0, 0));
    monitor.check(&[
        (0, "web:disk high", "opened", "1 high: disk 1"),
        (1, "web:cpu high", "joined", "1 high: disk 1, cpu 1"),
        (2, "web:disk over", "over", "1 high: disk 1 over, cpu 1"),
        (3, "web:cpu over", "over", "1 high resolved: disk 1 over, cpu 1 over"),
        (4, "web:disk high", "opened", "1 high resolved: disk 1 over, cpu 1 over; 2 high: disk 1"),
    ]);
}

#[test]
fn somebody_else_resolves_it() {
    let mut monitor = paging(waits(0, 60));
    monitor.check(&[
        (0, "web:disk high", "opened", "1 high: disk 1"),
        (1, "web:cpu high", "joined", "1 high: disk 1, cpu 1"),
        (2, "ada resolves 1", "ok", "1 high resolved: disk 1, cpu 1"),
        (3, "web:disk seen", "nothing", "1 high resolved: disk 1, cpu 1"),
        (4, "web:cpu low", "opened", "1 high resolved: disk 1, cpu 1; 2 low: cpu 1"),
        (5, "web:disk low", "joined", "1 high resolved: disk 1, cpu 1; 2 low: cpu 1, disk 1"),
        (6, "web:cpu over", "over", "1 high resolved: disk 1, cpu 1; 2 low: cpu 1 over, disk 1"),
        (7, "web:disk over", "over", "1 high resolved: disk 1, cpu 1; 2 low: cpu 1 over, disk 1 over"),
        (67, "tick", "ok", "1 high resolved: disk 1, cpu 1; 2 low resolved: cpu 1 over, disk 1 over"),
    ]);
    assert_eq!(monitor.pages(), "1 ben 0; 2 ben 4");
    // What is over after that is an end of the signal only, and what was quiet already is not resolved twice.
    let mut monitor = Monitor::new(waits(0, 60));
    monitor
        .check(&[(0, "disk high", "opened", "1 high: disk 1"), (1, "ada resolves 1", "ok", "1 high resolved: disk 1")]);
    let resolved = monitor.harbour.detail(monitor.incident(1).id);
    monitor.check(&[
        (2, "disk over", "over", "1 high resolved: disk 1 over"),
        (2, "disk over", "nothing", "1 high resolved: disk 1 over"),
        (90, "tick", "ok", "1 high resolved: disk 1 over"),
        (91, "disk high", "opened", "1 high resolved: disk 1 over; 2 high: disk 1"),
        (92, "disk over", "over", "1 high resolved: disk 1 over; 2 high: disk 1 over"),
        (93, "ada resolves 2", "ok", "1 high resolved: disk 1 over; 2 high resolved: disk 1 over"),
        (200, "tick", "ok", "1 high resolved: disk 1 over; 2 high resolved: disk 1 over"),
    ]);
    assert_eq!(monitor.harbour.detail(resolved.incident.id), resolved);
    let detail = monitor.harbour.detail(monitor.incident(2).id);
    assert_eq!((detail.status_history.len(), monitor.second(detail.incident.resolved_at.unwrap())), (4, 93));
}

/// What is new is what came last, also where the clock has jumped back since the incident before.
#[test]
fn the_clock_jumps_back() {
    let mut monitor = paging(waits(0, 0));
    monitor.check(&[
        (10, "disk high", "opened", "1 high: disk 1"),
        (9, "disk over", "over", "1 high resolved: disk 1 over"),
        (9, "disk high", "opened", "1 high resolved: disk 1 over; 2 high: disk 1"),
        (9, "disk high", "counted", "1 high resolved: disk 1 over; 2 high: disk 2"),
        (9, "disk over", "over", "1 high resolved: disk 1 over; 2 high resolved: disk 2 over"),
    ]);
    assert_eq!(monitor.pages(), "1 ben 10; 2 ben 9");
    let mut monitor = paging(waits(0, 60));
    monitor.check(&[
        (10, "web:disk high", "opened", "1 high: disk 1"),
        (10, "ada resolves 1", "ok", "1 high resolved: disk 1"),
        (9, "web:disk high", "opened", "1 high resolved: disk 1; 2 high: disk 1"),
        // The second time of the disk is not before its first, so the processor comes before it.
        (9, "web:cpu high", "joined", "1 high resolved: disk 1; 2 high: cpu 1, disk 1"),
        (9, "web:disk over", "over", "1 high resolved: disk 1; 2 high: cpu 1, disk 1 over"),
    ]);
}

#[test]
fn what_is_dropped() {
    let severities = Severities { low: SeverityOutcome::Drop, ..Severities::ALL };
    let mut monitor = Monitor::new(Settings { severities, ..waits(0, 60) });
    monitor.check(&[
        (0, "web:disk low", "dropped", ""),
        (1, "web:disk over", "nothing", ""),
        (2, "web:disk high", "opened", "1 high: disk 1"),
        (3, "web:cpu low", "dropped", "1 high: disk 1"),
        (4, "web:disk low", "counted", "1 high: disk 2"),
        (5, "web:disk over", "over", "1 high: disk 2 over"),
        (65, "tick", "ok", "1 high resolved: disk 2 over"),
        (66, "web:disk low", "dropped", "1 high resolved: disk 2 over"),
    ]);
    // Everything: nothing is ever opened.
    let drop = SeverityOutcome::Drop;
    let severities = Severities { critical: drop, high: drop, medium: drop, low: drop };
    let mut monitor = Monitor::new(Settings { severities, ..waits(60, 60) });
    for severity in ["critical", "high", "medium", "low"] {
        monitor.check(&[(0, &format!("disk {severity}"), "dropped", "")]);
    }
    monitor.check(&[(60, "tick", "ok", "")]);
}

#[test]
fn who_owns_it_and_who_is_paged() {
    // Whether the schedule is named and has somebody on call, and whether a policy is named: the owner, and who is paged.
    for (scheduled, on_call, named, owner, paged) in [
        (false, false, false, None, ""),
        (false, false, true, None, "1 cleo 0"),
        (true, false, false, None, ""),
        (true, true, false, Some("ben"), "1 ben 0"),
        (true, false, true, None, "1 cleo 0"),
        (true, true, true, Some("ben"), "1 cleo 0"),
    ] {
        let mut harbour = Harbour::new();
        let (ada, night) = (harbour.ada, harbour.schedule("Night"));
        let (of_schedule, other) = (harbour.policy("Of the schedule"), harbour.policy("Other"));
        harbour.run(policy_layer(of_schedule, 1, 5, Target::Schedule(night)), &ada).unwrap();
        let cleo = Target::users(vec![user(&harbour.cleo)]).unwrap();
        harbour.run(policy_layer(other, 1, 5, cleo), &ada).unwrap();
        if on_call {
            let (ben, now) = (user(&harbour.ben), harbour.now);
            harbour.run(CreateOverride::new(night, ben, now, now.plus(Duration::from_secs(900))), &ada).unwrap();
        }
        let component = harbour.component("API");
        let settings = Settings {
            component_id: Some(component),
            owner_schedule_id: scheduled.then_some(night),
            escalation_policy_id: named.then_some(other),
            ..Settings::default()
        };
        let mut monitor = Monitor::of(harbour, IntegrationKind::Alertmanager, settings);
        assert_eq!(monitor.fire("disk", Severity::High), "opened");
        let incident = monitor.incident(1);
        let case = format!("{scheduled} {on_call} {named}");
        assert_eq!(incident.owner_id, owner.map(|name| user(&monitor.actor(name))), "{case}");
        assert_eq!(monitor.pages(), paged, "{case}");
        let policy = if named { Some(other) } else { scheduled.then_some(of_schedule) };
        assert_eq!(incident.escalation_policy_id, policy, "{case}");
        assert_eq!(incident.affected_components.iter().map(|it| it.id).collect::<Vec<_>>(), [component]);
    }
}

#[test]
fn signals_page_by_page() {
    let mut monitor = Monitor::new(Settings::default());
    let keys: Vec<_> = (0..45).map(|n| format!("k{n}")).collect();
    for key in &keys {
        monitor.fire(&format!("web:{key}"), Severity::High);
        monitor.harbour.advance(1);
    }
    let (id, ben) = (monitor.incident(1).id, monitor.harbour.ben);
    let (mut seen, mut cursor, mut lengths) = (Vec::new(), None, Vec::new());
    loop {
        let list = monitor.harbour.ask(&ListSignals { cursor, ..ListSignals::new(id) }, &ben).unwrap();
        lengths.push(list.signals.len());
        seen.extend(list.signals.into_iter().map(|signal| signal.dedup_key.to_string()));
        cursor = list.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, lengths), (keys, vec![20, 20, 5]));
    for limit in [15, 45, 46] {
        let query = ListSignals { limit: ListLimit::new(limit).unwrap(), ..ListSignals::new(id) };
        let list = monitor.harbour.ask(&query, &ben).unwrap();
        assert_eq!(list.signals.len(), usize::try_from(limit).unwrap().min(45));
        assert_eq!(list.next_cursor.is_some(), limit < 45, "{limit}");
    }
    let by_hand = monitor.harbour.incident();
    assert_eq!(monitor.signals(by_hand), []);
    let unknown = dogwatch_core::id::Id::from_bytes([9; 16]);
    assert_eq!(word(&monitor.harbour.ask(&ListSignals::new(unknown), &ben)), "not_found");
}

/// An incident that is full of updates takes new signals, a higher severity and its end all the same.
#[test]
fn ten_thousand_updates_stop_no_alert() {
    let mut monitor = paging(waits(0, 0));
    monitor.check(&[(0, "web:disk low", "opened", "1 low: disk 1"), (1, "ada takes 1", "ok", "1 low taken: disk 1")]);
    let id = monitor.incident(1).id;
    let stored = monitor.harbour.world.world(monitor.harbour.org).incident(id).unwrap().unwrap();
    let mut full = stored.clone();
    full.updates = 10_000;
    monitor.harbour.world.apply(vec![Write::Incident(Box::new(Change::edited(stored, full)))]);
    monitor.check(&[
        (2, "web:cpu low", "joined", "1 low taken: disk 1, cpu 1"),
        (3, "web:net high", "joined", "1 high: disk 1, cpu 1, net 1"),
        (4, "web:cpu over", "over", "1 high: disk 1, cpu 1 over, net 1"),
        (5, "web:net over", "over", "1 high: disk 1, cpu 1 over, net 1 over"),
        (6, "web:disk over", "over", "1 high resolved: disk 1 over, cpu 1 over, net 1 over"),
    ]);
    assert_eq!(monitor.pages(), "1 ben 0; 1 ben 3");
}

/// Pages of before an acknowledgement stay superseded when a worse alert clears it: only what is paged again is sent.
#[test]
fn old_pages_stay_superseded() {
    let mut monitor = paging(waits(0, 60));
    monitor.check(&[
        (0, "web:disk low", "opened", "1 low: disk 1"),
        (1, "ada takes 1", "ok", "1 low taken: disk 1"),
        (2, "web:cpu critical", "joined", "1 critical: disk 1, cpu 1"),
    ]);
    assert_eq!(monitor.pages(), "1 ben 0; 1 ben 2");
    let (harbour, lease) = (&mut monitor.harbour, std::time::Duration::from_secs(60));
    let mut sent = Vec::new();
    loop {
        let claimed = harbour.world.claim(10, lease, harbour.now, &mut harbour.ids).unwrap();
        let pages: Vec<_> = claimed.iter().filter(|one| one.incident().is_some()).collect();
        if claimed.is_empty() {
            break;
        }
        sent.extend(pages.iter().map(|one| one.created_at));
        for one in &claimed {
            assert!(harbour.world.confirm(&one.receipt(), None, harbour.now, &mut harbour.ids).unwrap());
        }
    }
    assert_eq!(sent, [harbour.now], "the page of before nobody needs");
}
