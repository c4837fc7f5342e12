//! What monitoring systems send, read as [`Alert`]s of the rules (contract, section 14): pure functions from bytes to alerts, or to a
//! [`Refusal`].
//!
//! Real senders are odd: they send times of the year 1, labels that are numbers, texts of any length. None of that loses an alert. Only what
//! decides which alert it is, and what becomes of it, is read strictly.
//!
//! - [`pagerduty`]: an event of PagerDuty's Events API, version 2.
//! - [`alertmanager`]: the webhook of Prometheus' Alertmanager, version 4, and of Grafana.
//! - [`generic`]: a small JSON of our own.

mod alertmanager;
mod generic;
mod pagerduty;
mod text;

pub use alertmanager::alertmanager;
pub use generic::generic;
pub use pagerduty::{PagerDutyEvent, pagerduty};

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

/// Reads JSON, also such as is not quite UTF-8.
fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let read = match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_str(&String::from_utf8_lossy(body)),
    };
    read.map_err(|error| Refusal::one(format!("the body cannot be read, at line {}", error.line())))
}
