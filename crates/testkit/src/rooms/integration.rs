//! Alerts in: something of them for stores that have something in every table. What is tried of them at random is in
//! `store/tests/alerts.rs`, since the rules in memory are the model there.

use std::time::Duration;

use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{
    Alert, AlertState, CreateIntegration, DeleteIntegration, Firing, Heartbeat, IntegrationKind, Settings,
};
use dogwatch_core::{Actor, Secret};
use dogwatch_store::Engine;

use crate::fixture::{did, valid};

/// An alert that fires.
#[must_use]
pub fn firing(key: &str, group: Option<&str>, severity: Severity, summary: &str) -> Alert {
    let (title, source) = (format!("{key} is in trouble"), "monitor".to_owned());
    let firing = Firing { severity, title, summary: summary.to_owned(), source, description: summary.to_owned() };
    Alert {
        key: key.to_owned(),
        group: group.map(str::to_owned),
        state: AlertState::Firing(Box::new(firing)),
        report: None,
    }
}

/// An alert that is over.
#[must_use]
pub fn over(key: &str) -> Alert {
    Alert { key: key.to_owned(), group: None, state: AlertState::Resolved, report: None }
}

pub(super) fn fill(engine: &Engine, admin: &Actor) {
    let kind = IntegrationKind::Alertmanager;
    let add = |name: &str, kind, settings| did(engine, CreateIntegration { name: valid(name), kind, settings }, admin);
    let at_once = Settings { resolve_after_seconds: 0, ..Settings::default() };
    let receive = |token: &Secret, alerts| engine.submit_alerts(token, kind, alerts).unwrap().wait().unwrap();
    let token = add("Prometheus", kind, Settings::default()).token;
    let long = "The disk is full, and so is the one beside it. ".repeat(20);
    let alerts = vec![
        firing("db1", Some("disk"), Severity::High, &long),
        firing("db2", Some("disk"), Severity::Critical, "db2"),
        over("db2"),
        firing("db1", Some("disk"), Severity::Low, &long),
        firing("load", None, Severity::Low, "load"),
        over("load"),
    ];
    receive(&token, alerts);
    // One whose incident waits to be opened, and one whose incident is resolved.
    let pausing = Settings { pause_seconds: 600, ..Settings::default() };
    receive(&add("Slow", kind, pausing).token, vec![firing("queue", None, Severity::Medium, &long)]);
    let gone = add("Gone", kind, at_once);
    receive(&gone.token, vec![firing("old", None, Severity::High, "old"), over("old")]);
    did(engine, DeleteIntegration::new(gone.integration.setting.id), admin);
    let beats = Heartbeat::new(i64::from(u16::MAX), 60).unwrap();
    let heartbeat = Settings { heartbeat: Some(beats), ..Settings::default() };
    let token = add("Backup", IntegrationKind::Heartbeat, heartbeat).token;
    engine.submit_beat(&token).unwrap().wait().unwrap();
    debug_assert!(engine.next_deadline().unwrap().is_some_and(|due| due < engine.now().plus(Duration::from_secs(700))));
}
