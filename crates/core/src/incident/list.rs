//! What a list of incidents may be asked for: filter, limit, and the cursor with which it goes on (contract, section 6).

use std::str::FromStr;

use super::{Incident, Severity, Status};
use crate::cursor::cursors;
use crate::id::{AuditEventId, IncidentId, UpdateId};
use crate::time::Timestamp;
use crate::validation::Problem;

/// The incidents to list: those that pass every filter given. None given means all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IncidentFilter {
    /// Only incidents with this status.
    pub status: Option<Status>,
    /// Only incidents with this severity.
    pub severity: Option<Severity>,
    /// Only incidents created at this instant or later; see [`Timestamp::parse_range_start`].
    pub from: Option<Timestamp>,
    /// Only incidents created at this instant or earlier; see [`Timestamp::parse_range_end`].
    pub to: Option<Timestamp>,
}

impl IncidentFilter {
    /// Whether an incident passes the filter.
    #[must_use]
    pub fn admits(&self, incident: &Incident) -> bool {
        let created = incident.created_at();
        self.status.is_none_or(|status| status == incident.status)
            && self.severity.is_none_or(|severity| severity == incident.severity)
            && self.from.is_none_or(|from| from <= created)
            && self.to.is_none_or(|to| created <= to)
    }
}

/// The most incidents of one reply: 1–100, by default 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListLimit(u8);

impl ListLimit {
    /// The greatest limit, 100.
    pub const MAX: Self = Self(100);

    /// A limit of 1–100.
    ///
    /// # Errors
    /// A [`Problem`] for any other number.
    pub fn new(limit: i64) -> Result<Self, Problem> {
        let limit = u8::try_from(limit).ok().filter(|limit| (1..=Self::MAX.0).contains(limit));
        limit.map(Self).ok_or_else(|| Problem::new("limit", "must be a number from 1 to 100"))
    }

    /// The limit as a number, 1–100.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for ListLimit {
    fn default() -> Self {
        Self(20)
    }
}

impl FromStr for ListLimit {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        // Digits only: no sign, no white space.
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        Self::new(if digits { text.parse().unwrap_or(0) } else { 0 })
    }
}

cursors! {
    /// Where a list of incidents goes on: the `nextCursor` of one reply is the `cursor` of the next query. Opaque: what it looks
    /// like may change, what it does may not.
    ///
    /// It stays valid while incidents are added, and when the incident it was made from no longer passes the filter.
    Cursor(IncidentId) = "inc1_";
    /// Where the list of an incident's updates goes on. Opaque, like [`Cursor`].
    UpdateCursor(UpdateId) = "upd1_";
    /// Where the list of an incident's audit events goes on. Opaque, like [`Cursor`].
    AuditCursor(AuditEventId) = "aud1_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        for (text, expected) in [("1", Some(1)), ("20", Some(20)), ("100", Some(100)), ("007", Some(7))] {
            assert_eq!(text.parse::<ListLimit>().ok().map(ListLimit::get), expected, "{text}");
        }
        for text in ["", "0", "101", "-1", "+1", " 1", "1.0", "ten", "99999999999999999999"] {
            assert!(text.parse::<ListLimit>().is_err(), "{text:?}");
        }
        assert_eq!(ListLimit::default().get(), 20);
    }

    #[test]
    fn cursors_round_trip_and_refuse_the_rest() {
        let id = IncidentId::parse("0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f70").unwrap();
        let text = Cursor::behind(id).to_string();
        assert_eq!(text.parse::<Cursor>().unwrap().last_seen(), id);
        for text in
            ["", "inc1_", "inc1_0190", &text.to_uppercase(), &format!("{text}0"), "0190a8f3b4c07d2e8f1a2b3c4d5e6f70"]
        {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
    }
}
