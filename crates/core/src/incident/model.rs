//! An incident, an update of one and a step of its status history, as they are stored.

use std::fmt;
use std::str::FromStr;

use super::{AuditEvent, Status};
use crate::escalation::Escalation;
use crate::id::{ComponentId, Id, IncidentId, IntegrationId, OrgId, PolicyId, StatusEntryId, UpdateId, UserId};
use crate::text::{IncidentDescription, Title, UpdateBody};
use crate::time::Timestamp;
use crate::validation::Problem;
use crate::words::words;

words! {
    /// The severity of an incident, worst first (contract, section 6).
    ///
    /// ```
    /// use dogwatch_core::incident::Severity;
    /// assert_eq!("critical".parse::<Severity>().unwrap(), Severity::Critical);
    /// assert!(Severity::Critical < Severity::Low);
    /// ```
    Severity, "severity", "must be `critical`, `high`, `medium` or `low`" {
        /// `critical`: on a status page, a major outage of the affected components (contract, section 13).
        Critical = "critical",
        /// `high`: on a status page, a partial outage.
        High = "high",
        /// `medium`: on a status page, degraded.
        Medium = "medium",
        /// `low`: on a status page, degraded.
        Low = "low",
    }
}

/// Whoever does something to an incident: a member, or an integration (contract, section 14). It is written as its id.
///
/// ```
/// use dogwatch_core::incident::Author;
/// let text = "int_0190a8f3b4c07d2e8f1a2b3c4d5e6f70";
/// let author: Author = text.parse()?;
/// assert!(matches!(author, Author::Integration(_)) && author.to_string() == text && author.user().is_none());
/// # Ok::<(), dogwatch_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Author {
    /// A member.
    User(UserId),
    /// An integration.
    Integration(IntegrationId),
}

impl Author {
    /// The member, if it is one.
    #[must_use]
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(id),
            Self::Integration(_) => None,
        }
    }

    /// The integration, if it is one.
    #[must_use]
    pub const fn integration(self) -> Option<IntegrationId> {
        match self {
            Self::User(_) => None,
            Self::Integration(id) => Some(id),
        }
    }
}

impl From<UserId> for Author {
    fn from(id: UserId) -> Self {
        Self::User(id)
    }
}

impl From<IntegrationId> for Author {
    fn from(id: IntegrationId) -> Self {
        Self::Integration(id)
    }
}

impl PartialEq<UserId> for Author {
    fn eq(&self, id: &UserId) -> bool {
        self.user() == Some(*id)
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Integration(id) => id.fmt(f),
        }
    }
}

impl FromStr for Author {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match IntegrationId::parse(text) {
            Ok(id) => Ok(Self::Integration(id)),
            Err(_) => UserId::parse(text).map(Self::User),
        }
    }
}

/// One step of an incident's status history, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusEntry {
    /// The step's id: `sh_` and 32 hexadecimal digits.
    pub id: StatusEntryId,
    /// The status that the incident had from this step on.
    pub status: Status,
    /// When the incident got this status.
    pub changed_at: Timestamp,
    /// The update that changed it; `None` for the first step.
    pub update_id: Option<UpdateId>,
}

/// An incident as it is stored. What callers get is an [`IncidentView`](super::IncidentView).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The incident's id, which carries its `createdAt`.
    pub id: IncidentId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// 1, 2, 3 … in the order of creation within the organization, without holes.
    pub sequential_id: u64,
    /// What is wrong, in 1–100 characters.
    pub title: Title,
    /// What is wrong, at length: at most 10,000 characters.
    pub description: Option<IncidentDescription>,
    /// How bad it is.
    pub severity: Severity,
    /// The stage of its lifecycle.
    pub status: Status,
    /// The user who is responsible; `None` when nobody was on call at its creation.
    pub owner_id: Option<UserId>,
    /// The escalation policy attached to it, and the run of that policy; `None` without a policy.
    pub escalation: Option<Escalation>,
    /// The affected components, in the order given, at most 100, none twice.
    pub component_ids: Vec<ComponentId>,
    /// When it was acknowledged, and by whom; a handoff clears it, and an alert that is worse than the incident was.
    pub acknowledged: Option<(Timestamp, Author)>,
    /// When it was handed off the last time; `None` if it never was.
    pub handed_off_at: Option<Timestamp>,
    /// When a worse alert cleared its acknowledgement the last time: nobody needs the pages of before.
    pub worsened_at: Option<Timestamp>,
    /// Who created it.
    pub created_by: Author,
    /// When anything last happened to it; updates and redactions count.
    pub updated_at: Timestamp,
    /// Its status history, oldest first: at least one step, at most four.
    pub history: Vec<StatusEntry>,
    /// How many updates it has, status changes included. From 10,000 on, only one that changes the status can be posted.
    pub updates: u32,
    /// The bytes of the id that was last given to a part of it: an update, a step of its history, an event. The next is
    /// greater.
    pub last_part: [u8; 16],
    /// The latest events of its audit trail, oldest first. When they become many, they move out into an
    /// [`AuditEntry`](super::AuditEntry).
    pub recent_events: Vec<AuditEvent>,
    /// Whether events may have moved out, so that the audit trail begins with those.
    pub has_earlier_events: bool,
}

impl Incident {
    /// When it was created: the instant that its id carries.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.id.made_at()
    }

    /// When it was resolved; `None` while it is open.
    #[must_use]
    pub fn resolved_at(&self) -> Option<Timestamp> {
        self.history.iter().find(|entry| entry.status == Status::Resolved).map(|entry| entry.changed_at)
    }

    /// The escalation policy attached to it, if any.
    #[must_use]
    pub fn policy(&self) -> Option<PolicyId> {
        self.escalation.map(|escalation| escalation.policy_id)
    }

    /// When the next layer of its run fires; `None` when its run does not wait.
    #[must_use]
    pub fn next_escalation_at(&self) -> Option<Timestamp> {
        self.escalation.and_then(|escalation| escalation.run.due())
    }

    /// Whether its events are few enough to stay in it: at most 8, which with its components name at most 64 ids. That bounds
    /// the size of its record.
    pub(super) fn holds_its_events(&self) -> bool {
        let named = self.recent_events.iter().map(|event| event.event.named()).sum::<usize>();
        let named = named.saturating_add(self.component_ids.len());
        self.recent_events.is_empty() || self.recent_events.len() <= RECENT_EVENTS && named <= NAMED
    }

    /// Whether its lifecycle has ended.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.status == Status::Resolved
    }
}

/// The most events that stay in an incident.
const RECENT_EVENTS: usize = 8;
/// The most ids of components and users that an incident names, while it has events in it.
const NAMED: usize = 64;

/// An update of an incident as it is stored. What callers get is an [`UpdateView`](super::UpdateView).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentUpdate {
    /// The update's id, which carries its `postedAt`.
    pub id: UpdateId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The incident that it is about.
    pub incident_id: IncidentId,
    /// Its text: 1–10,000 characters; `None` when it only changes the status, and for good once it is redacted.
    pub body: Option<UpdateBody>,
    /// The status to which it moved the incident, if it did.
    pub status_change: Option<Status>,
    /// Who may read it.
    pub visibility: UpdateVisibility,
    /// Who posted it.
    pub posted_by: Author,
    /// When it was redacted, and by whom.
    pub redacted: Option<(Timestamp, UserId)>,
}

impl IncidentUpdate {
    /// When it was posted: the instant that its id carries.
    #[must_use]
    pub fn posted_at(&self) -> Timestamp {
        self.id.made_at()
    }
}

words! {
    /// The readers of an update (contract, section 6).
    UpdateVisibility, "visibility", "must be `internal` or `public`" {
        /// `internal`: members of the organization only.
        Internal = "internal",
        /// `public`: also whoever reads a status page that shows an affected component.
        Public = "public",
    }
}
