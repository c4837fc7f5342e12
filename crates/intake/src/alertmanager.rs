//! The webhook of Prometheus' Alertmanager, version 4, and of Grafana, which sends the same with more.

use dogwatch_core::incident::Severity;
use dogwatch_core::integration::AlertKey;
use dogwatch_core::integration::{Alert, AlertState, Firing};
use dogwatch_core::text::Title;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use std::fmt;

use crate::text::{Paragraphs, Text, Texts, shortened};
use crate::{LONGEST_KEY, Refusal, json};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    group_key: Text,
    status: Text,
    common_annotations: Texts,
    #[serde(rename = "externalURL")]
    external_url: Text,
    alerts: Option<Alerts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Sent {
    status: Text,
    labels: Texts,
    annotations: Texts,
    #[serde(rename = "generatorURL")]
    generator_url: Text,
    fingerprint: Text,
}

/// The alerts of a request: 10,000 at most.
#[derive(Debug)]
struct Alerts(Vec<Sent>);

struct SomeAlerts;

impl<'de> Visitor<'de> for SomeAlerts {
    type Value = Alerts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST} alerts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Alerts, A::Error> {
        let mut alerts = Vec::new();
        while let Some(alert) = items.next_element()? {
            if alerts.len() == MOST {
                return Err(A::Error::invalid_length(MOST.saturating_add(1), &self));
            }
            alerts.push(alert);
        }
        Ok(Alerts(alerts))
    }
}

impl<'de> Deserialize<'de> for Alerts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SomeAlerts)
    }
}

/// The most alerts of a request.
const MOST: usize = 10_000;
/// The longest URL that is told, in characters.
const LONGEST_URL: usize = 2_000;

/// Reads the alerts of a notification of Alertmanager, in their order: each is a signal of the group that its `groupKey` names.
///
/// ```
/// let body = br#"{"version": "4", "groupKey": "{}:{alertname=\"Disk\"}", "status": "firing", "alerts": [
///     {"status": "firing", "labels": {"alertname": "Disk", "severity": "critical"}, "fingerprint": "7ad0fbb3ee4d1f4a"}]}"#;
/// let alerts = dogwatch_intake::alertmanager(body).unwrap();
/// assert_eq!(alerts[0].key, "7ad0fbb3ee4d1f4a");
/// ```
///
/// # Errors
/// A [`Refusal`]: no JSON object, or none with a list of at most 10,000 alerts.
pub fn alertmanager(body: &[u8]) -> Result<Vec<Alert>, Refusal> {
    let request: Request = json(body)?;
    let Some(alerts) = &request.alerts else { return Err(Refusal::one("`alerts` is missing")) };
    // What all alerts have in common is told with each, so it is made short once.
    let shared = Shared {
        group: request.group_key.said().map(group),
        title: request.common_annotations.first_said(&["summary"]).map(|text| shortened(text, Title::MAX)),
        url: shortened(&request.external_url.0, LONGEST_URL),
        status: request.status.said(),
    };
    Ok(alerts.0.iter().map(|sent| alert(&shared, sent)).collect())
}

/// What all alerts of a request have in common.
struct Shared<'a> {
    group: Option<String>,
    title: Option<String>,
    url: String,
    status: Option<&'a str>,
}

/// The key of a group: of one that is too long, its hash.
fn group(key: &str) -> String {
    if key.len() <= LONGEST_KEY {
        return key.to_owned();
    }
    let bytes = AlertKey::of(key).to_bytes();
    format!("sha256:{:032x}", u128::from_be_bytes(bytes))
}

/// The severity that a label stands for.
fn severity(word: &str) -> Severity {
    match word.trim().to_ascii_lowercase().as_str() {
        "critical" => Severity::Critical,
        "error" | "high" | "major" => Severity::High,
        "warning" | "medium" => Severity::Medium,
        _ => Severity::Low,
    }
}

fn alert(shared: &Shared<'_>, sent: &Sent) -> Alert {
    // Without a fingerprint, what tells alerts apart is their labels.
    let key = sent.fingerprint.said().map_or_else(|| in_line(&sent.labels), str::to_owned);
    let state = match sent.status.said().or(shared.status) {
        Some(status) if status.eq_ignore_ascii_case("resolved") => AlertState::Resolved,
        _ => AlertState::Firing(Box::new(firing(shared, sent))),
    };
    Alert { key, group: shared.group.clone(), state, report: None }
}

/// Labels in one line.
fn in_line(labels: &Texts) -> String {
    labels.lines().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(", ")
}

fn firing(shared: &Shared<'_>, sent: &Sent) -> Firing {
    const SUMMARY: [&str; 4] = ["summary", "title", "description", "message"];
    let (labels, annotations) = (&sent.labels, &sent.annotations);
    let name = labels.first_said(&["alertname"]);
    let summary = annotations.first_said(&SUMMARY).or(name);
    let summary = summary.map_or_else(|| in_line(labels), str::to_owned);
    // What all alerts of the group have in common is the better title of their incident.
    let title = shared.title.as_deref().or(annotations.first_said(&["summary", "title"])).or(name);
    let title = title.map_or_else(|| summary.clone(), str::to_owned);
    let mut description = Paragraphs::default();
    description.paragraph(&summary);
    let more = ["description", "message"].iter().filter_map(|name| annotations.first_said(&[name]));
    more.filter(|text| *text != summary).for_each(|text| description.paragraph(text));
    description.lines(labels.lines());
    description.lines([("generator", sent.generator_url.0.as_str()), ("Alertmanager", shared.url.as_str())]);
    Firing {
        severity: severity(labels.first_said(&["severity"]).unwrap_or_default()),
        title,
        summary,
        source: labels.first_said(&["instance", "job"]).unwrap_or_default().to_owned(),
        description: description.finish(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::{Value, json};

    fn read(body: &Value) -> Vec<Alert> {
        alertmanager(body.to_string().as_bytes()).unwrap()
    }

    fn fired(alert: &Alert) -> &Firing {
        match &alert.state {
            AlertState::Firing(firing) => firing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_group() {
        let alerts = read(&json!({
            "version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": "firing", "receiver": "r", "groupLabels": {"alertname": "Disk"},
            "commonLabels": {}, "commonAnnotations": {"summary": "Disks are full"}, "externalURL": "http://am",
            "alerts": [
                {"status": "firing", "labels": {"alertname": "Disk", "instance": "db1", "severity": "warning", "shard": 7},
                 "annotations": {"summary": "db1 is full", "description": "0 bytes free"}, "startsAt": "2026-01-01T00:00:00Z",
                 "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prom", "fingerprint": "f1"},
                {"status": "resolved", "labels": {"alertname": "Disk"}, "fingerprint": "f2"},
                {"labels": {"b": "2", "a": "1"}, "annotations": null},
            ],
        }));
        let shape: Vec<_> = alerts.iter().map(|it| (it.key.as_str(), it.group.as_deref())).collect();
        assert_eq!(shape, [("f1", Some("g")), ("f2", Some("g")), ("a=1, b=2", Some("g"))]);
        let first = fired(&alerts[0]);
        assert_eq!(
            (first.severity, first.title.as_str(), first.source.as_str()),
            (Severity::Medium, "Disks are full", "db1")
        );
        assert_eq!(first.summary, "db1 is full");
        let expected = "db1 is full\n\n0 bytes free\n\nalertname: Disk\ninstance: db1\nseverity: warning\nshard: 7\n\n\
                        generator: http://prom\nAlertmanager: http://am";
        assert_eq!(first.description, expected);
        assert_eq!(alerts[1].state, AlertState::Resolved);
        assert_eq!((fired(&alerts[2]).severity, fired(&alerts[2]).summary.as_str()), (Severity::Low, "a=1, b=2"));
    }

    #[test]
    fn severities() {
        for (word, expected) in [
            ("critical", Severity::Critical),
            ("Critical", Severity::Critical),
            ("error", Severity::High),
            ("high", Severity::High),
            ("major", Severity::High),
            ("warning", Severity::Medium),
            ("medium", Severity::Medium),
            ("info", Severity::Low),
            ("page", Severity::Low),
            ("", Severity::Low),
        ] {
            let alerts = read(&json!({"alerts": [{"labels": {"severity": word}}]}));
            assert_eq!(fired(&alerts[0]).severity, expected, "{word}");
        }
    }

    #[test]
    fn what_is_refused() {
        for body in ["", "null", "{}", r#"{"alerts": null}"#, r#"{"alerts": {}}"#, r#"{"alerts": [5]}"#] {
            assert!(alertmanager(body.as_bytes()).is_err(), "{body}");
        }
        assert_eq!(read(&json!({"alerts": []})), []);
        // Odd maps, and half of a character, lose no alert.
        let odd = br#"{"alerts": [{"labels": [], "annotations": {"summary": "Disk \ud83d full"}}]}"#;
        assert_eq!(fired(&alertmanager(odd).unwrap()[0]).summary, "Disk \u{FFFD} full");
        let many = format!("{{\"alerts\": [{}]}}", vec!["{}"; 10_001].join(","));
        assert!(alertmanager(many.as_bytes()).is_err());
        // A long group key is told apart by its hash.
        let long = |end: &str| read(&json!({"groupKey": "g".repeat(5_000) + end, "alerts": [{}]}))[0].group.clone();
        assert!(long("a") != long("b") && long("a").unwrap().len() < 100);
        // An alert of which nothing is known is one, too.
        assert_eq!(read(&json!({"alerts": [{}]})).len(), 1);
        let not_utf_8 = b"{\"alerts\": [{\"labels\": {\"alertname\": \"caf\xE9\"}}]}";
        assert_eq!(fired(&alertmanager(not_utf_8).unwrap()[0]).summary, "caf\u{FFFD}");
    }
}
