//! A small JSON of our own, for whoever writes a sender: `{key, state, title, severity, description, url}`.

use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{Alert, AlertState, Firing};
use serde::Deserialize;

use crate::text::{Paragraphs, Text};
use crate::{LONGEST_KEY, Refusal, json};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    key: Text,
    state: Text,
    title: Text,
    severity: Text,
    description: Text,
    url: Text,
}

/// Reads an alert of a sender that was written for dogwatch.
///
/// ```
/// use dogwatch_intake::AlertState;
/// let alert = dogwatch_intake::generic(br#"{"key": "disk/db1", "state": "firing", "title": "Disk full"}"#).unwrap();
/// assert_eq!(alert.key, "disk/db1");
/// assert!(matches!(alert.state, AlertState::Firing(firing) if firing.title == "Disk full"));
/// ```
///
/// # Errors
/// A [`Refusal`]: no JSON object, no key or one of more than 255 characters, a state other than `firing` and `resolved`, a severity that
/// there is not.
pub fn generic(body: &[u8]) -> Result<Alert, Refusal> {
    let request: Request = json(body)?;
    let mut errors = Vec::new();
    let key = request.key.0.clone();
    if key.is_empty() || key.chars().count() > LONGEST_KEY {
        errors.push(format!("`key` must be 1 to {LONGEST_KEY} characters"));
    }
    let severity = match request.severity.said() {
        None => Severity::High,
        Some(word) => word.parse().unwrap_or_else(|_| {
            errors.push("`severity` must be `critical`, `high`, `medium` or `low`".to_owned());
            Severity::High
        }),
    };
    let firing = || {
        let mut description = Paragraphs::default();
        description.paragraph(&request.description.0);
        description.lines([("url", request.url.0.as_str())]);
        let title = request.title.said().unwrap_or(&key).to_owned();
        let (summary, description) = (title.clone(), description.finish());
        Firing { severity, title, summary, source: String::new(), description }
    };
    let state = match request.state.0.as_str() {
        "firing" => Some(AlertState::Firing(Box::new(firing()))),
        "resolved" => Some(AlertState::Resolved),
        _ => {
            errors.push("`state` must be `firing` or `resolved`".to_owned());
            None
        }
    };
    match state {
        Some(state) if errors.is_empty() => Ok(Alert { key, group: None, state, report: None }),
        _ => Err(Refusal { errors }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    fn firing(body: &str) -> Firing {
        match generic(body.as_bytes()).unwrap().state {
            AlertState::Firing(firing) => *firing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_read() {
        let all = r#"{"key": "k", "state": "firing", "title": "T", "severity": "low", "description": "D", "url": "https://u"}"#;
        let read = firing(all);
        assert_eq!((read.severity, read.title.as_str(), read.summary.as_str()), (Severity::Low, "T", "T"));
        assert_eq!(read.description, "D\n\nurl: https://u");
        let least = firing(r#"{"key": 7, "state": "firing", "more": [1, {"a": null}]}"#);
        assert_eq!((least.severity, least.title.as_str(), least.description.as_str()), (Severity::High, "7", ""));
        let over = generic(br#"{"key": "k", "state": "resolved"}"#).unwrap();
        assert_eq!((over.key.as_str(), over.state), ("k", AlertState::Resolved));
    }

    #[test]
    fn what_is_refused() {
        let long = format!(r#"{{"key": "{}", "state": "firing"}}"#, "k".repeat(256));
        for (body, errors) in [
            ("", 1),
            ("[]", 2),
            ("{}", 2),
            (r#"{"key": "k"}"#, 1),
            (r#"{"key": "k", "state": "Firing"}"#, 1),
            (r#"{"key": "", "state": "firing"}"#, 1),
            (r#"{"key": ["k"], "state": "firing"}"#, 1),
            (r#"{"key": "k", "state": "firing", "severity": "sev1"}"#, 1),
            (long.as_str(), 1),
        ] {
            assert_eq!(generic(body.as_bytes()).unwrap_err().errors.len(), errors, "{body}");
        }
    }
}
