//! Bodies of real senders, with the fields, the types and the habits that their sources have, and the alerts that are read from them. In the tests of
//! `dogwatch-http` the same bodies come over the routes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use dogwatch_intake::{Alert, AlertState, alertmanager, generic, pagerduty};
use serde_json::{Map, Value, json};

/// An alert in the words of the table.
fn shown(alert: &Alert) -> Value {
    let mut shown = Map::from_iter([("key".to_owned(), json!(alert.key))]);
    shown.extend(alert.group.iter().map(|group| ("group".to_owned(), json!(group))));
    match &alert.state {
        AlertState::Resolved => shown.extend([("state".to_owned(), json!("resolved"))]),
        AlertState::Acknowledged => shown.extend([("state".to_owned(), json!("acknowledged"))]),
        AlertState::Firing(firing) => {
            // The table says a summary only where it is another text than the title.
            let summary = Some(&firing.summary).filter(|summary| **summary != firing.title);
            shown.extend(summary.map(|summary| ("summary".to_owned(), json!(summary))));
            shown.extend([
                ("severity".to_owned(), json!(firing.severity.as_str())),
                ("title".to_owned(), json!(firing.title)),
                ("source".to_owned(), json!(firing.source)),
                ("description".to_owned(), json!(firing.description.lines().collect::<Vec<_>>())),
            ]);
        }
    }
    shown.into()
}

#[test]
fn bodies_of_real_senders() {
    for table in [include_str!("senders/pagerduty.json"), include_str!("senders/webhooks.json")] {
        let senders: Vec<Value> = serde_json::from_str(table).unwrap();
        for (sender, step) in
            senders.iter().flat_map(|it| it["steps"].as_array().unwrap().iter().map(move |step| (it, step)))
        {
            let body = step["body"].to_string();
            let read = match sender["route"].as_str().unwrap() {
                "pagerduty" => pagerduty(body.as_bytes()).map(|event| vec![event.alert]),
                "alertmanager" => alertmanager(body.as_bytes()),
                _ => generic(body.as_bytes()).map(|alert| vec![alert]),
            };
            let read: Vec<Value> = read.unwrap().iter().map(shown).collect();
            assert_eq!(Value::from(read), step["alerts"], "{}: {}", sender["sender"], step["what"]);
        }
    }
}
