//! Topics of SNS, over which alarms of CloudWatch come: the first that is confirmed is the only one, and each report acts once (contract,
//! section 14).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::Actor;
use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{
    Alert, AlertState, ConfirmTopic, IntegrationKind, ReceiveAlert, ReceiveFromTopic, Received, RotateIntegrationToken,
};
use support::monitor::{Monitor, alert, trigger, waits};
use support::{valid, word};

const TOPIC: &str = "arn:aws:sns:eu-west-1:1:alarms";
const OTHER: &str = "arn:aws:sns:eu-west-1:1:others";

fn reported(id: &str, alert: Alert) -> Alert {
    Alert { report: Some(id.to_owned()), ..alert }
}

/// Receives an alarm from a topic: what became of it, or `foreign`.
fn from(monitor: &mut Monitor, topic: &str, alert: Option<Alert>) -> &'static str {
    let receive = ReceiveFromTopic::new(monitor.token.clone(), valid(topic), alert);
    monitor.harbour.run(receive, &Actor::Anybody).unwrap().map_or("foreign", Received::as_str)
}

#[test]
fn the_first_topic_is_the_only_one() {
    let mut monitor = Monitor::of(support::Harbour::new(), IntegrationKind::CloudWatch, waits(0, 0));
    let alarm = || Some(trigger("disk", Severity::High));
    assert_eq!(from(&mut monitor, TOPIC, alarm()), "foreign", "none was confirmed");
    let confirm = |monitor: &mut Monitor, topic: &str| {
        let confirm = ConfirmTopic::new(monitor.token.clone(), valid(topic));
        monitor.harbour.run(confirm, &Actor::Anybody).unwrap()
    };
    assert!(confirm(&mut monitor, TOPIC) && confirm(&mut monitor, TOPIC) && !confirm(&mut monitor, OTHER));
    assert_eq!(from(&mut monitor, OTHER, alarm()), "foreign");
    assert_eq!(from(&mut monitor, TOPIC, None), "nothing");
    assert_eq!(from(&mut monitor, TOPIC, alarm()), "opened");
    // An alarm that comes from no topic is none.
    let plain = ReceiveAlert::new(monitor.token.clone(), IntegrationKind::CloudWatch, trigger("cpu", Severity::High));
    assert_eq!(word(&monitor.harbour.run(plain, &Actor::Anybody)), "invalid_api_key");
    let ada = monitor.harbour.ada;
    monitor.token = monitor.harbour.run(RotateIntegrationToken::new(monitor.id), &ada).unwrap().token;
    assert_eq!(from(&mut monitor, TOPIC, alarm()), "foreign", "a new token confirms anew");
    assert!(confirm(&mut monitor, OTHER));
    assert_eq!(from(&mut monitor, OTHER, alarm()), "counted");
}

#[test]
fn a_report_acts_once() {
    let mut monitor = Monitor::of(support::Harbour::new(), IntegrationKind::CloudWatch, waits(0, 0));
    let confirm = ConfirmTopic::new(monitor.token.clone(), valid(TOPIC));
    assert!(monitor.harbour.run(confirm, &Actor::Anybody).unwrap());
    let over = || alert("disk", AlertState::Resolved);
    let fires = || trigger("disk", Severity::High);
    for (id, alarm, expected) in [
        ("1", fires(), "opened"),
        ("1", fires(), "repeated"),
        ("2", over(), "over"),
        ("1", fires(), "repeated"),
        ("2", over(), "repeated"),
        ("3", fires(), "opened"),
        ("2", over(), "repeated"),
        ("3", fires(), "repeated"),
        ("4", over(), "over"),
    ] {
        assert_eq!(from(&mut monitor, TOPIC, Some(reported(id, alarm))), expected, "{id}");
    }
    // Of a key that changes often, the last sixteen are remembered.
    for number in 5..=20 {
        let id = number.to_string();
        let alarm = if number % 2 == 1 { fires() } else { over() };
        let expected = if number % 2 == 1 { "opened" } else { "over" };
        assert_eq!(from(&mut monitor, TOPIC, Some(reported(&id, alarm))), expected, "{id}");
        assert_eq!(from(&mut monitor, TOPIC, Some(reported("4", over()))) == "repeated", number < 20, "{id}");
    }
}

/// What is over before its incident was opened is forgotten, but not that its reports have acted.
#[test]
fn a_report_acts_once_though_its_signal_is_forgotten() {
    let mut monitor = Monitor::of(support::Harbour::new(), IntegrationKind::CloudWatch, waits(60, 0));
    let confirm = ConfirmTopic::new(monitor.token.clone(), valid(TOPIC));
    assert!(monitor.harbour.run(confirm, &Actor::Anybody).unwrap());
    let over = || alert("disk", AlertState::Resolved);
    let fires = || trigger("disk", Severity::High);
    for (id, alarm, expected) in [
        ("1", fires(), "waits"),
        ("2", over(), "over"),
        ("1", fires(), "repeated"),
        ("2", over(), "repeated"),
        ("3", over(), "nothing"),
        ("4", fires(), "waits"),
        ("1", fires(), "repeated"),
        ("5", over(), "over"),
        ("4", fires(), "repeated"),
        ("6", fires(), "waits"),
    ] {
        assert_eq!(from(&mut monitor, TOPIC, Some(reported(id, alarm))), expected, "{id}");
    }
    // It begins anew: neither the count nor what was reported before goes on.
    monitor.check(&[(60, "tick", "ok", "1 high: disk 1")]);
    assert_eq!(monitor.signals(monitor.incident(1).id).len(), 1);
}
