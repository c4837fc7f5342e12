//! PagerDuty's Events API, version 2: what its many clients send.

use dogwatch_core::Secret;
use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{Alert, AlertState, Firing};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::text::{Paragraphs, Text};
use crate::{LONGEST_KEY, Refusal, json};

/// The length of a routing key.
const ROUTING_KEY: usize = 32;

/// An event of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagerDutyEvent {
    /// The token of the integration.
    pub routing_key: Secret,
    /// The alert. Its key is empty when the client leaves it to us to make one: for a trigger only.
    pub alert: Alert,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    routing_key: Text,
    event_action: Text,
    dedup_key: Text,
    payload: Option<Payload>,
    images: Links,
    links: Links,
    client: Text,
    client_url: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload {
    summary: Text,
    source: Text,
    severity: Text,
    component: Text,
    group: Text,
    class: Text,
    custom_details: Value,
}

/// Links: objects with a place, or places alone; of anything else nothing.
#[derive(Debug, Default)]
struct Links(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Links {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Many clients send each field, also when there is nothing in it.
        let seen = |text: &Value| text.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let said = |link: &Value, name: &str| link.get(name).and_then(seen);
        let link = |link: &Value| {
            let place = seen(link).or_else(|| said(link, "href")).or_else(|| said(link, "src"))?;
            Some((said(link, "text").unwrap_or_else(|| "link".to_owned()), place))
        };
        Ok(match Value::deserialize(deserializer)? {
            Value::Array(links) => Self(links.iter().filter_map(link).collect()),
            _ => Self::default(),
        })
    }
}

/// Reads an event of PagerDuty's Events API, version 2. Times are not read.
///
/// ```
/// let event = br#"{"routing_key": "R0123456789012345678901234567890", "event_action": "trigger", "dedup_key": "disk/db1",
///     "payload": {"summary": "Disk full", "source": "db1", "severity": "critical", "timestamp": "0001-01-01T00:00:00Z"}}"#;
/// let event = dogwatch_intake::pagerduty(event).unwrap();
/// assert_eq!(event.alert.key, "disk/db1");
/// ```
///
/// # Errors
/// A [`Refusal`]: no JSON object, no routing key of 32 characters, an action that there is not, a key of more than 255 characters or none
/// for an action that needs one, a trigger without a payload.
pub fn pagerduty(body: &[u8]) -> Result<PagerDutyEvent, Refusal> {
    let request: Request = json(body)?;
    let mut errors = Vec::new();
    if request.routing_key.0.chars().count() != ROUTING_KEY {
        errors.push(format!("'routing_key' must have {ROUTING_KEY} characters"));
    }
    if request.dedup_key.0.chars().count() > LONGEST_KEY {
        errors.push(format!("'dedup_key' must have at most {LONGEST_KEY} characters"));
    }
    let state = match request.event_action.0.as_str() {
        "trigger" => match &request.payload {
            Some(payload) => Some(AlertState::Firing(Box::new(firing(&request, payload)))),
            None => {
                errors.push("'payload' is missing".to_owned());
                None
            }
        },
        "acknowledge" => Some(AlertState::Acknowledged),
        "resolve" => Some(AlertState::Resolved),
        _ => {
            errors.push("'event_action' must be 'trigger', 'acknowledge' or 'resolve'".to_owned());
            None
        }
    };
    let key = request.dedup_key.0;
    if key.is_empty() && matches!(state, Some(AlertState::Acknowledged | AlertState::Resolved)) {
        errors.push("'dedup_key' is missing".to_owned());
    }
    match state {
        Some(state) if errors.is_empty() => Ok(PagerDutyEvent {
            routing_key: Secret::new(request.routing_key.0),
            alert: Alert { key, group: None, state, report: None },
        }),
        _ => Err(Refusal { errors }),
    }
}

/// The severity that a word stands for; one that there is not is `high`.
fn severity(word: &str) -> Severity {
    match word.trim().to_ascii_lowercase().as_str() {
        "critical" => Severity::Critical,
        "warning" => Severity::Medium,
        "info" => Severity::Low,
        _ => Severity::High,
    }
}

fn firing(request: &Request, payload: &Payload) -> Firing {
    let mut description = Paragraphs::default();
    description.paragraph(&payload.summary.0);
    let lines = [
        ("source", &payload.source),
        ("component", &payload.component),
        ("group", &payload.group),
        ("class", &payload.class),
    ];
    description.lines(lines.map(|(name, text)| (name, text.0.as_str())));
    match &payload.custom_details {
        Value::Object(details) => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let lines: Vec<_> = details.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
            description.lines(lines.iter().map(|(name, text)| (*name, text.as_str())));
        }
        Value::Null => {}
        Value::String(text) => description.paragraph(text),
        other => description.paragraph(&other.to_string()),
    }
    let links = request.links.0.iter().chain(&request.images.0);
    description.lines(links.map(|(text, place)| (text.as_str(), place.as_str())));
    description.lines([("client", request.client.0.as_str()), ("client url", request.client_url.0.as_str())]);
    Firing {
        severity: severity(&payload.severity.0),
        title: payload.summary.0.clone(),
        summary: payload.summary.0.clone(),
        source: payload.source.0.clone(),
        description: description.finish(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::json;

    const KEY: &str = "R0123456789012345678901234567890";

    fn read(event: &Value) -> PagerDutyEvent {
        pagerduty(event.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_trigger() {
        let event = read(&json!({
            "routing_key": KEY, "event_action": "trigger", "dedup_key": "k", "client": "Monitor", "client_url": "https://m",
            "payload": {
                "summary": "Disk full", "source": "db1", "severity": "warning", "timestamp": "2026-01-01T00:00:00.000+0000",
                "component": "postgres", "group": "prod", "class": "disk",
                "custom_details": {"free": 0, "mount": "/var", "more": {"a": [1]}},
            },
            "links": [{"href": "https://l", "text": "Graph"}], "images": [{"src": "https://i", "href": null, "alt": "x"}],
        }));
        let AlertState::Firing(firing) = event.alert.state else { panic!("it fires") };
        assert_eq!((event.routing_key.reveal(), event.alert.key.as_str(), event.alert.group), (KEY, "k", None));
        assert_eq!(
            (firing.severity, firing.title.as_str(), firing.source.as_str()),
            (Severity::Medium, "Disk full", "db1")
        );
        let expected = "Disk full\n\nsource: db1\ncomponent: postgres\ngroup: prod\nclass: disk\n\nfree: 0\nmore: {\"a\":[1]}\n\
                        mount: /var\n\nGraph: https://l\nlink: https://i\n\nclient: Monitor\nclient url: https://m";
        assert_eq!(firing.description, expected);
    }

    /// Odd links lose no alert.
    #[test]
    fn odd_links() {
        for (links, expected) in [
            (json!(["https://l"]), "link: https://l"),
            (json!({}), ""),
            (json!("https://l"), ""),
            (json!([{"href": 5}, null, {"src": "https://i", "text": "Graph"}]), "Graph: https://i"),
            // Clients in Go and templates send each field, also when there is nothing in it.
            (
                json!([{"href": "", "text": ""}, {"href": "", "text": "Graph"}, {"src": "", "alt": "", "href": ""}, ""]),
                "",
            ),
            (json!([{"href": "https://l", "text": ""}]), "link: https://l"),
            (json!([{"href": "https://l", "text": " "}]), "link: https://l"),
            (json!([{"src": "https://i", "alt": "", "href": ""}]), "link: https://i"),
            (json!([{"src": "", "alt": "", "href": "https://l"}]), "link: https://l"),
            (json!(["", "https://l"]), "link: https://l"),
        ] {
            let event = json!({"routing_key": KEY, "event_action": "trigger", "payload": {}, "links": links});
            let AlertState::Firing(firing) = read(&event).alert.state else { panic!("it fires") };
            assert_eq!(firing.description, expected, "{links}");
        }
    }

    #[test]
    fn severities() {
        for (word, expected) in [
            (json!("critical"), Severity::Critical),
            (json!("error"), Severity::High),
            (json!("warning"), Severity::Medium),
            (json!("info"), Severity::Low),
            (json!("CRITICAL"), Severity::Critical),
            (json!("sev2"), Severity::High),
            (json!(null), Severity::High),
            (json!(3), Severity::High),
        ] {
            let event = read(&json!({"routing_key": KEY, "event_action": "trigger", "payload": {"severity": word}}));
            let AlertState::Firing(firing) = event.alert.state else { panic!("it fires") };
            assert_eq!(firing.severity, expected, "{word}");
            assert_eq!(event.alert.key, "", "one is to be made");
        }
    }

    #[test]
    fn what_is_refused() {
        let long = "k".repeat(256);
        for (event, errors) in [
            (json!([]), 2),
            (json!({}), 2),
            (json!({"routing_key": "short", "event_action": "resolve", "dedup_key": "k"}), 1),
            (json!({"routing_key": KEY, "event_action": "resolve"}), 1),
            (json!({"routing_key": KEY, "event_action": "acknowledge"}), 1),
            (json!({"routing_key": KEY, "event_action": "trigger"}), 1),
            (json!({"routing_key": KEY, "event_action": "Trigger", "payload": {}}), 1),
            (json!({"routing_key": KEY, "event_action": "resolve", "dedup_key": long}), 1),
            (json!({"routing_key": KEY, "event_action": "trigger", "payload": "text"}), 1),
        ] {
            assert_eq!(pagerduty(event.to_string().as_bytes()).unwrap_err().errors.len(), errors, "{event}");
        }
        let longest = json!({"routing_key": KEY, "event_action": "resolve", "dedup_key": "é".repeat(255)});
        assert_eq!(read(&longest).alert.state, AlertState::Resolved);
    }
}
