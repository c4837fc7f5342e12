//! The webhook of Prometheus' Alertmanager, version 4, and of Grafana, which sends the same with more.

use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{Alert, AlertState, Firing};
use serde::Deserialize;

use crate::text::{Paragraphs, Text, Texts, first_said};
use crate::{Refusal, json};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    group_key: Text,
    status: Text,
    common_annotations: Option<Texts>,
    #[serde(rename = "externalURL")]
    external_url: Text,
    alerts: Option<Vec<Sent>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Sent {
    status: Text,
    labels: Option<Texts>,
    annotations: Option<Texts>,
    #[serde(rename = "generatorURL")]
    generator_url: Text,
    fingerprint: Text,
}

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
/// A [`Refusal`]: no JSON object, or none with a list of alerts.
pub fn alertmanager(body: &[u8]) -> Result<Vec<Alert>, Refusal> {
    let request: Request = json(body)?;
    let Some(alerts) = &request.alerts else { return Err(Refusal::one("`alerts` is missing")) };
    Ok(alerts.iter().map(|sent| alert(&request, sent)).collect())
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

fn alert(request: &Request, sent: &Sent) -> Alert {
    let none = Texts::new();
    let labels = sent.labels.as_ref().unwrap_or(&none);
    // Without a fingerprint, what tells alerts apart is their labels.
    let key = sent.fingerprint.said().map_or_else(|| in_line(labels), str::to_owned);
    let status = sent.status.said().or_else(|| request.status.said());
    let state = match status {
        Some(status) if status.eq_ignore_ascii_case("resolved") => AlertState::Resolved,
        _ => AlertState::Firing(Box::new(firing(request, sent, labels))),
    };
    Alert { key, group: request.group_key.said().map(str::to_owned), state, report: None }
}

/// Labels in one line.
fn in_line(labels: &Texts) -> String {
    let label = |(name, text): (&String, &Text)| format!("{name}={}", text.0);
    labels.iter().map(label).collect::<Vec<_>>().join(", ")
}

fn firing(request: &Request, sent: &Sent, labels: &Texts) -> Firing {
    const SUMMARY: [&str; 4] = ["summary", "title", "description", "message"];
    let none = Texts::new();
    let annotations = sent.annotations.as_ref().unwrap_or(&none);
    let common = request.common_annotations.as_ref().unwrap_or(&none);
    let name = first_said(labels, &["alertname"]);
    let summary = first_said(annotations, &SUMMARY).or(name);
    let summary = summary.map_or_else(|| in_line(labels), str::to_owned);
    // What all alerts of the group have in common is the better title of their incident.
    let title = first_said(common, &["summary"]).or(first_said(annotations, &["summary", "title"])).or(name);
    let title = title.map_or_else(|| summary.clone(), str::to_owned);
    let mut description = Paragraphs::default();
    description.paragraph(&summary);
    let more = ["description", "message"].iter().filter_map(|name| annotations.get(*name)?.said());
    more.filter(|text| *text != summary).for_each(|text| description.paragraph(text));
    description.lines(labels.iter().map(|(name, text)| (name.as_str(), text.0.as_str())));
    let places = [("generator", &sent.generator_url), ("Alertmanager", &request.external_url)];
    description.lines(places.map(|(name, text)| (name, text.0.as_str())));
    Firing {
        severity: severity(first_said(labels, &["severity"]).unwrap_or_default()),
        title,
        summary,
        source: first_said(labels, &["instance", "job"]).unwrap_or_default().to_owned(),
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
        for body in ["", "null", "{}", r#"{"alerts": null}"#, r#"{"alerts": {}}"#, r#"{"alerts": [{"labels": []}]}"#] {
            assert!(alertmanager(body.as_bytes()).is_err(), "{body}");
        }
        assert_eq!(read(&json!({"alerts": []})), []);
        // An alert of which nothing is known is one, too.
        assert_eq!(read(&json!({"alerts": [{}]})).len(), 1);
        let not_utf_8 = b"{\"alerts\": [{\"labels\": {\"alertname\": \"caf\xE9\"}}]}";
        assert_eq!(fired(&alertmanager(not_utf_8).unwrap()[0]).summary, "caf\u{FFFD}");
    }
}
