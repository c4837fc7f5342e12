//! What monitoring systems send, read as [`Alert`]s of the rules (contract, section 14): pure functions from bytes to alerts, or to a
//! [`Refusal`].
//!
//! Real senders are odd: they send times of the year 1, labels that are numbers, texts of any length. None of that loses an alert. Only what
//! decides which alert it is, and what becomes of it, is read strictly.
//!
//! - [`pagerduty`]: an event of PagerDuty's Events API, version 2.
//! - [`alertmanager`]: the webhook of Prometheus' Alertmanager, version 4, and of Grafana.
//! - [`generic`]: a small JSON of our own.
//! - [`sns`]: messages of Amazon SNS, with alarms of CloudWatch in them, and their signatures.

mod alertmanager;
mod generic;
mod pagerduty;
mod sns;
mod text;

pub use alertmanager::alertmanager;
pub use generic::generic;
pub use pagerduty::{PagerDutyEvent, pagerduty};
pub use sns::{SnsKind, SnsMessage, sns};

#[doc(no_inline)]
pub use dogwatch_core::integration::{Alert, AlertState, Firing};

use std::fmt;

use serde::de::DeserializeOwned;

/// Why a request is refused: nothing of it happens. Repeating it does not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, a sentence each; at least one. They repeat nothing of the request.
    pub errors: Vec<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.errors.join("; "))
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    fn one(error: impl Into<String>) -> Self {
        Self { errors: vec![error.into()] }
    }
}

/// The longest key of an alert that a sender may name, in characters.
const LONGEST_KEY: usize = 255;

/// JSON with a replacement for each half of a character (`\ud83d` alone); `None` when there is none.
fn whole_characters(json: &str) -> Option<String> {
    /// The halves of which a first and a second one are a character.
    fn half(escape: &str) -> Option<(bool, &str)> {
        let digits = escape.strip_prefix("\\u")?.get(..4)?;
        let unit = u16::from_str_radix(digits, 16).ok()?;
        let first = (0xD800..0xDC00).contains(&unit);
        (first || (0xDC00..0xE000).contains(&unit)).then(|| (first, escape.get(6..).unwrap_or_default()))
    }
    let (mut whole, mut rest, mut replaced) = (String::with_capacity(json.len()), json, false);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at_checked(at)?;
        whole.push_str(before);
        let length = match half(escape) {
            Some((true, behind)) if half(behind).is_some_and(|(first, _)| !first) => 12,
            Some(_) => {
                whole.push_str("\\ufffd");
                replaced = true;
                rest = escape.get(6..)?;
                continue;
            }
            // Any other escape, of which a backslash may be the second character.
            None => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        let (kept, behind) = escape.split_at_checked(length)?;
        whole.push_str(kept);
        rest = behind;
    }
    whole.push_str(rest);
    replaced.then_some(whole)
}

/// Reads JSON, also such as is not quite UTF-8, or has half of a character in a text that was cut.
fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let text = String::from_utf8_lossy(body);
    let read = serde_json::from_str(&text);
    let read = read.or_else(|why| whole_characters(&text).map_or(Err(why), |text| serde_json::from_str(&text)));
    read.map_err(|error| Refusal::one(format!("the body cannot be read, at line {}", error.line())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn halves_of_characters() {
        for (json, expected) in [
            (r#""a""#, None),
            (r#""\ud83d\ude00""#, None),
            (r#""\\ud83d""#, None),
            (r#""\ud83d""#, Some(r#""\ufffd""#)),
            (r#""\ude00\ud83d""#, Some(r#""\ufffd\ufffd""#)),
            (r#""\ud83d\ud83d\ude00é\n""#, Some(r#""\ufffd\ud83d\ude00é\n""#)),
            (r#""\ud83"#, None),
            ("\\", None),
        ] {
            assert_eq!(whole_characters(json).as_deref(), expected, "{json}");
        }
    }
}
