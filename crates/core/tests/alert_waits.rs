//! Section 14 of the contract: alerts that wait for a pause, the text of alerts, and edits while something waits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::component::DeleteComponent;
use dogwatch_core::escalation::{DeletePolicy, Target};
use dogwatch_core::incident::{Author, IncidentView, Severity};
use dogwatch_core::integration::{
    AlertState, DeleteIntegration, EditIntegration, Firing, IntegrationKind, Settings, Severities, SeverityOutcome,
};
use dogwatch_core::oncall::DeleteSchedule;
use dogwatch_core::{Patch, Timestamp};
use support::monitor::{Monitor, alert, firing, waits};
use support::{Harbour, policy_layer, user, valid, word};

#[test]
fn a_pause() {
    let mut monitor = Monitor::new(waits(30, 60));
    monitor.check(&[
        (0, "web:disk low", "waits", ""),
        (10, "web:cpu high", "waits", ""),
        (15, "web:disk medium", "counted", ""),
        (20, "web:cpu over", "over", ""),
        (29, "tick", "ok", ""),
        // What was over before is forgotten, but for its severity.
        (30, "tick", "ok", "1 high: disk 2"),
        (30, "tick", "ok", "1 high: disk 2"),
        (31, "web:net low", "joined", "1 high: disk 2, net 1"),
        (32, "web:disk over", "over", "1 high: disk 2 over, net 1"),
        (33, "web:net over", "over", "1 high: disk 2 over, net 1 over"),
        (93, "tick", "ok", "1 high resolved: disk 2 over, net 1 over"),
        // After that, it waits again.
        (94, "web:disk low", "waits", "1 high resolved: disk 2 over, net 1 over"),
    ]);
    let incident = monitor.incident(1);
    assert_eq!((incident.title.as_str(), incident.created_by), ("disk", Author::Integration(monitor.id)));
    assert_eq!((monitor.second(incident.created_at), incident.acknowledged_at), (30, None));
    let signals = monitor.signals(incident.id);
    let times: Vec<_> =
        signals.iter().map(|it| (monitor.second(it.first_at), monitor.second(it.last_at.max(it.first_at)))).collect();
    assert_eq!(times[0].0, 0, "{times:?}");
    let created = &monitor.harbour.detail(incident.id).audit_trail[0];
    assert_eq!(created.actor_id, Some(Author::Integration(monitor.id)));
}

#[test]
fn over_before() {
    let mut monitor = Monitor::new(waits(30, 60));
    monitor.check(&[
        (0, "web:disk critical", "waits", ""),
        (10, "web:cpu low", "waits", ""),
        (20, "web:disk over", "over", ""),
        (25, "web:cpu over", "over", ""),
        (26, "web:cpu over", "nothing", ""),
        (30, "tick", "ok", ""),
        // Forgotten: it begins anew, and neither the count nor the severity goes on.
        (40, "web:cpu low", "waits", ""),
        (55, "tick", "ok", ""),
        (69, "tick", "ok", ""),
        (70, "tick", "ok", "1 low: cpu 1"),
    ]);
    assert_eq!(monitor.incident(1).title.as_str(), "cpu");
    // Flapping within the pause: one that has come again waits from then on.
    let mut monitor = Monitor::new(waits(30, 60));
    monitor.check(&[
        (0, "disk high", "waits", ""),
        (10, "disk over", "over", ""),
        (20, "disk high", "waits", ""),
        (30, "tick", "ok", ""),
        (50, "tick", "ok", "1 high: disk 1"),
    ]);
}

#[test]
fn one_of_several_goes_and_comes_back_while_it_waits() {
    let mut monitor = Monitor::new(waits(30, 60));
    monitor.check(&[
        (0, "web:disk medium", "waits", ""),
        (1, "web:cpu low", "waits", ""),
        (2, "web:disk over", "over", ""),
        (3, "web:disk high", "waits", ""),
        (4, "web:cpu over", "over", ""),
        (30, "tick", "ok", "1 high: disk 1"),
    ]);
}

/// What waits has no incident to acknowledge; nothing is lost by trying.
#[test]
fn seen_while_it_waits() {
    let mut monitor = Monitor::new(waits(30, 60));
    monitor.check(&[
        (0, "disk high", "waits", ""),
        (10, "disk seen", "nothing", ""),
        (30, "tick", "ok", "1 high: disk 1"),
        (31, "disk seen", "acknowledged", "1 high taken: disk 1"),
    ]);
}

#[test]
fn what_is_dropped_neither_waits_nor_ends_a_wait() {
    let severities = Severities { low: SeverityOutcome::Drop, ..Severities::ALL };
    let mut monitor = Monitor::new(Settings { severities, ..waits(30, 60) });
    monitor.check(&[
        (0, "web:disk low", "dropped", ""),
        (5, "web:cpu high", "waits", ""),
        (6, "web:disk low", "dropped", ""),
        (7, "web:cpu low", "counted", ""),
        (30, "tick", "ok", ""),
        (35, "tick", "ok", "1 high: cpu 2"),
    ]);
}

/// Everything overdue happens on the first tick, each thing once.
#[test]
fn after_a_long_stop() {
    let mut monitor = Monitor::new(waits(30, 60));
    monitor.check(&[
        (0, "disk high", "waits", ""),
        (5_000, "tick", "ok", "1 high: disk 1"),
        (5_001, "disk over", "over", "1 high: disk 1 over"),
        (5_002, "cpu high", "waits", "1 high: disk 1 over"),
        (9_000, "tick", "ok", "1 high resolved: disk 1 over; 2 high: cpu 1"),
        (9_000, "tick", "ok", "1 high resolved: disk 1 over; 2 high: cpu 1"),
    ]);
    // A tick with a clock that has jumped back does nothing yet.
    let mut monitor = Monitor::new(waits(30, 60));
    monitor.check(&[
        (100, "disk high", "waits", ""),
        (50, "tick", "ok", ""),
        (129, "tick", "ok", ""),
        (130, "tick", "ok", "1 high: disk 1"),
        (110, "disk over", "over", "1 high: disk 1 over"),
        (169, "tick", "ok", "1 high: disk 1 over"),
        (170, "tick", "ok", "1 high resolved: disk 1 over"),
    ]);
    let incident = monitor.incident(1);
    assert!(incident.resolved_at.unwrap() >= incident.created_at);
}

/// Waits that have begun end when they would have; what comes later has the new ones.
#[test]
fn edits_hold_for_what_comes_later() {
    let mut monitor = Monitor::new(waits(30, 60));
    let (ada, id) = (monitor.harbour.ada, monitor.id);
    let drop = Severities { medium: SeverityOutcome::Drop, ..Severities::ALL };
    monitor.check(&[
        (0, "disk high", "waits", ""),
        (30, "tick", "ok", "1 high: disk 1"),
        (31, "cpu medium", "waits", "1 high: disk 1"),
        (32, "disk over", "over", "1 high: disk 1 over"),
    ]);
    let component = monitor.harbour.component("API");
    let edit = EditIntegration {
        name: Some(valid("Other")),
        component_id: Patch::Set(component),
        severities: drop.into(),
        pause_seconds: Some(0),
        resolve_after_seconds: Some(10),
        ..EditIntegration::new(id)
    };
    monitor.harbour.run(edit, &ada).unwrap();
    monitor.check(&[
        (33, "net high", "opened", "1 high: disk 1 over; 2 high: net 1"),
        (34, "dns medium", "dropped", "1 high: disk 1 over; 2 high: net 1"),
        (35, "net over", "over", "1 high: disk 1 over; 2 high: net 1 over"),
        (45, "tick", "ok", "1 high: disk 1 over; 2 high resolved: net 1 over"),
        (60, "tick", "ok", "1 high: disk 1 over; 2 high resolved: net 1 over"),
        (61, "tick", "ok", "1 high: disk 1 over; 2 high resolved: net 1 over; 3 medium: cpu 1"),
        (91, "tick", "ok", "1 high: disk 1 over; 2 high resolved: net 1 over; 3 medium: cpu 1"),
        (92, "tick", "ok", "1 high resolved: disk 1 over; 2 high resolved: net 1 over; 3 medium: cpu 1"),
    ]);
    let components = |incident: IncidentView| incident.affected_components.len();
    // What waited while it was edited has what is named when its incident is opened.
    let of = [1, 2, 3].map(|number| components(monitor.incident(number)));
    assert_eq!(of, [0, 1, 1]);
}

/// A deleted integration receives nothing, but its groups go on by themselves; whatever it named may be gone by then.
#[test]
fn deleted_while_something_waits() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, user(&harbour.ben));
    let (component, night, policy) = (harbour.component("API"), harbour.schedule("Night"), harbour.policy("Night"));
    harbour.run(policy_layer(policy, 1, 5, Target::users(vec![ben]).unwrap()), &ada).unwrap();
    let settings = Settings {
        component_id: Some(component),
        owner_schedule_id: Some(night),
        escalation_policy_id: Some(policy),
        ..waits(30, 60)
    };
    let mut monitor = Monitor::of(harbour, IntegrationKind::Generic, settings);
    monitor.check(&[
        (0, "disk high", "waits", ""),
        (30, "tick", "ok", "1 high: disk 1"),
        (31, "cpu low", "waits", "1 high: disk 1"),
        (32, "disk over", "over", "1 high: disk 1 over"),
    ]);
    monitor.resolve_by_hand(monitor.incident(1).id);
    monitor.check(&[(33, "net high", "waits", "1 high resolved: disk 1 over")]);
    monitor.harbour.run(DeleteIntegration::new(monitor.id), &ada).unwrap();
    monitor.harbour.run(DeleteComponent { id: component }, &ada).unwrap();
    monitor.harbour.run(DeletePolicy { id: policy }, &ada).unwrap();
    monitor.harbour.run(DeleteSchedule { id: night }, &ada).unwrap();
    monitor.check(&[
        (34, "dns high", "invalid_api_key", "1 high resolved: disk 1 over"),
        (34, "cpu over", "invalid_api_key", "1 high resolved: disk 1 over"),
        (63, "tick", "ok", "1 high resolved: disk 1 over; 2 low: cpu 1; 3 high: net 1"),
    ]);
    let incident = monitor.incident(2);
    assert_eq!(incident.created_by, Author::Integration(monitor.id));
    assert_eq!((incident.owner_id, incident.escalation_policy_id), (None, None));
    // Somebody has to resolve it, as nothing more comes in.
    monitor.check(&[(
        64,
        "ada resolves 2",
        "ok",
        "1 high resolved: disk 1 over; 2 low resolved: cpu 1; 3 high: net 1",
    )]);
    assert_eq!(word(&monitor.harbour.run(DeleteIntegration::new(monitor.id), &ada)), "not_found");
    // One that is quiet when its integration goes is resolved.
    let mut monitor = Monitor::new(waits(0, 60));
    monitor.check(&[(0, "disk high", "opened", "1 high: disk 1"), (1, "disk over", "over", "1 high: disk 1 over")]);
    monitor.harbour.run(DeleteIntegration::new(monitor.id), &ada).unwrap();
    monitor.check(&[(61, "tick", "ok", "1 high resolved: disk 1 over")]);
    let last = monitor.updates(monitor.incident(1).id).pop().unwrap();
    assert_eq!((last.posted_by.name.as_str(), last.posted_by.id), ("Monitor", Author::Integration(monitor.id)));
}

/// The incident that these words open.
fn opened_by(said: Firing) -> (Monitor, IncidentView) {
    let mut monitor = Monitor::new(Settings::default());
    assert_eq!(monitor.receive(alert("key", AlertState::Firing(Box::new(said)))), "opened");
    let incident = monitor.incident(1);
    (monitor, incident)
}

#[test]
fn titles_are_made_to_fit() {
    let long = "x".repeat(10_000);
    let (cut, full) = (format!("{}…", "x".repeat(99)), "x".repeat(100));
    let emoji = format!("{}…", "\u{1F525}".repeat(99));
    for (title, summary, expected) in [
        ("Disk full", "/var", "Disk full"),
        ("Disk\u{7}full\r\nat\tdb1\u{0}!", "", "Disk full  at db1 !"),
        (&long, "", &*cut),
        (&full, "", &full),
        (&"\u{1F525}".repeat(10_000), "", &emoji),
        ("", "/var is full", "/var is full"),
        (" \t\n ", "/var is full", "/var is full"),
        ("\u{200B}\u{FEFF}", "/var is full", "/var is full"),
        ("", &long, &cut),
        ("Größe ≥ 90 %", "", "Größe ≥ 90 %"),
    ] {
        let (_, incident) = opened_by(Firing { summary: summary.to_owned(), ..firing(Severity::High, title) });
        assert_eq!(incident.title.as_str(), expected, "{title:.40}, {summary:.40}");
    }
    // Without any text that is seen there is a title all the same.
    for nothing in ["", " ", "\n", "\u{200B}", "\u{0}\u{7}", &" ".repeat(10_000)] {
        let said = Firing {
            severity: Severity::Low,
            title: nothing.to_owned(),
            summary: nothing.to_owned(),
            source: nothing.to_owned(),
            description: nothing.to_owned(),
        };
        let (monitor, incident) = opened_by(said);
        assert!(incident.title.as_str().chars().any(char::is_alphanumeric), "{nothing:.9?}");
        assert_eq!(monitor.signals(incident.id).len(), 1);
    }
    // What is seen stands behind what a title can hold: then there is at least the sign that something was cut.
    for blank in [" ", "\u{200B}", "\u{7}"] {
        let (_, incident) = opened_by(firing(Severity::Low, &format!("{}Disk", blank.repeat(500))));
        assert!(incident.title.as_str().chars().any(|c| c.is_alphanumeric() || c == '…'), "{:?}", incident.title);
    }
}

#[test]
fn other_texts_are_made_to_fit() {
    let said = Firing {
        severity: Severity::High,
        title: "Disk".to_owned(),
        summary: format!("a\nb{}", "s".repeat(2_000)),
        source: format!("a\tb{}", "\u{1F525}".repeat(2_000)),
        description: format!("a\nb\u{7}c\t{}", "d".repeat(20_000)),
    };
    let (monitor, incident) = opened_by(said);
    let description = incident.description.unwrap();
    assert!(description.as_str().starts_with("a\nb c\td"), "line breaks and tabs stay");
    assert!(description.as_str().ends_with("d…"));
    assert_eq!(description.as_str().chars().count(), 10_000);
    let signal = &monitor.signals(incident.id)[0];
    assert_eq!(signal.summary.as_str(), format!("a b{}…", "s".repeat(1_020)));
    assert_eq!(signal.source.as_str(), format!("a b{}…", "\u{1F525}".repeat(251)));
}

/// The title is cut, so the whole of it is in the description.
#[test]
fn the_whole_text_is_in_the_description() {
    let title = (0..100).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
    let (_, incident) = opened_by(firing(Severity::High, &title));
    assert_eq!(incident.description.map(|it| it.as_str().contains(&title)), Some(true), "of a long title");
    let said = Firing { description: "See the runbook.".to_owned(), ..firing(Severity::High, &title) };
    let (_, incident) = opened_by(said);
    let description = incident.description.unwrap();
    assert!(description.as_str().contains(&title) && description.as_str().contains("See the runbook."));
}

/// Keys are compared as they were sent, however long they are; shown they are made to fit.
#[test]
fn keys_of_any_form() {
    let same = "k".repeat(300);
    let keys = [
        String::new(),
        " ".to_owned(),
        "\n".to_owned(),
        "\u{0}".to_owned(),
        "a".to_owned(),
        "A".to_owned(),
        " a".to_owned(),
        format!("{same}1"),
        format!("{same}2"),
        "\u{1F525}".repeat(10_000),
    ];
    let mut monitor = Monitor::new(Settings::default());
    for round in 0..2 {
        for key in &keys {
            let state = AlertState::Firing(Box::new(firing(Severity::High, "Disk")));
            let alert = dogwatch_core::integration::Alert { key: key.clone(), group: None, state, report: None };
            assert_eq!(monitor.receive(alert), if round == 0 { "opened" } else { "counted" }, "{key:.20?}");
        }
    }
    let incidents = monitor.incidents();
    assert_eq!(incidents.len(), keys.len());
    let shown: Vec<_> = incidents.iter().map(|it| monitor.signals(it.id).remove(0)).collect();
    assert!(shown.iter().all(|signal| signal.count == 2 && signal.dedup_key.as_str().chars().count() <= 255));
    assert_eq!(shown[7].dedup_key.as_str(), format!("{}…", "k".repeat(254)));
}

/// Right to the minute, also of what is dropped: something has come in.
#[test]
fn when_something_last_came_in() {
    let mut monitor = Monitor::new(Settings::default());
    let last = |monitor: &Monitor| {
        let query = dogwatch_core::integration::GetIntegration::new(monitor.id);
        monitor.harbour.ask(&query, &monitor.harbour.ben).unwrap().last_signal_at
    };
    assert_eq!(last(&monitor), None);
    for second in [0, 1, 59, 60, 61, 150, 5_000, 5_059, 5_061] {
        monitor.at(second);
        monitor.fire("disk", Severity::High);
        let (seen, now): (Timestamp, _) = (last(&monitor).unwrap(), monitor.harbour.now);
        assert!(seen <= now && now.as_millis() - seen.as_millis() <= 60_000, "{second}: {seen}");
    }
}
