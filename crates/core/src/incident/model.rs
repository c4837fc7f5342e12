//! What an incident is, and an update of one, as they are stored.

use super::{AuditEvent, Status};
use crate::escalation::Escalation;
use crate::id::{ComponentId, Id, IncidentId, OrgId, PolicyId, StatusEntryId, UpdateId, UserId};
use crate::text::{IncidentDescription, Title, UpdateBody};
use crate::time::Timestamp;
use crate::words::words;

words! {
    /// How bad an incident is, worst first.
    ///
    /// ```
    /// use dogwatch_core::incident::Severity;
    /// assert_eq!("critical".parse::<Severity>().unwrap(), Severity::Critical);
    /// assert!(Severity::Critical < Severity::Low);
    /// ```
    Severity, "must be `critical`, `high`, `medium` or `low`" {
        /// `critical`.
        Critical = "critical",
        /// `high`.
        High = "high",
        /// `medium`.
        Medium = "medium",
        /// `low`.
        Low = "low",
    }
}

/// One step of an incident's status history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusEntry {
    /// Names the step.
    pub id: StatusEntryId,
    /// The status from here on.
    pub status: Status,
    /// When it began.
    pub changed_at: Timestamp,
    /// The update that changed it; none for the first step.
    pub update_id: Option<UpdateId>,
}

/// An incident as it is stored. What callers get is an [`IncidentView`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Names the incident and carries its `createdAt`.
    pub id: IncidentId,
    /// The organization.
    pub org_id: OrgId,
    /// 1, 2, 3 … within the organization, without holes.
    pub sequential_id: u64,
    /// What is wrong, in one line.
    pub title: Title,
    /// What is wrong, at length.
    pub description: Option<IncidentDescription>,
    /// How bad it is.
    pub severity: Severity,
    /// Where in its lifecycle it is.
    pub status: Status,
    /// Who is responsible.
    pub owner_id: Option<UserId>,
    /// The escalation policy attached to it, and its run.
    pub escalation: Option<Escalation>,
    /// The affected components, in the order given, none twice.
    pub component_ids: Vec<ComponentId>,
    /// When and by whom it was acknowledged.
    pub acknowledged: Option<(Timestamp, UserId)>,
    /// Who created it.
    pub created_by: UserId,
    /// When it last changed in any way.
    pub updated_at: Timestamp,
    /// The steps of its status so far: at least one, at most four.
    pub history: Vec<StatusEntry>,
    /// How many updates it has.
    pub updates: u32,
    /// The bytes of the id that was last given to a part of it.
    pub last_part: [u8; 16],
    /// The end of its audit trail, oldest first. When it grows long, it moves out into an [`AuditEntry`].
    pub recent_events: Vec<AuditEvent>,
    /// Whether earlier events may have moved out.
    pub has_earlier_events: bool,
}

impl Incident {
    /// When it was created: the instant that its id carries.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.id.made_at()
    }

    /// When it was resolved.
    #[must_use]
    pub fn resolved_at(&self) -> Option<Timestamp> {
        self.history.iter().find(|entry| entry.status == Status::Resolved).map(|entry| entry.changed_at)
    }

    /// The escalation policy attached to it.
    #[must_use]
    pub fn policy(&self) -> Option<PolicyId> {
        self.escalation.map(|escalation| escalation.policy_id)
    }

    /// When the next layer of its run fires.
    #[must_use]
    pub fn next_escalation_at(&self) -> Option<Timestamp> {
        self.escalation.and_then(|escalation| escalation.run.due())
    }

    /// Whether its events are few enough to stay in it. So that its size is bounded, ids that it names count, too.
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

/// How many events stay in an incident at most.
const RECENT_EVENTS: usize = 8;
/// How many ids of components and users an incident with events in it names at most.
const NAMED: usize = 64;

/// An update of an incident as it is stored. What callers get is an [`UpdateView`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentUpdate {
    /// Names the update and carries its `postedAt`.
    pub id: UpdateId,
    /// The organization.
    pub org_id: OrgId,
    /// The incident.
    pub incident_id: IncidentId,
    /// What it says; gone for good once redacted.
    pub body: Option<UpdateBody>,
    /// The status to which it moved the incident.
    pub status_change: Option<Status>,
    /// Who may read it.
    pub visibility: UpdateVisibility,
    /// Who posted it.
    pub posted_by: UserId,
    /// When and by whom it was redacted.
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
    /// Who may read an update.
    UpdateVisibility, "must be `internal` or `public`" {
        /// `internal`: members only.
        Internal = "internal",
        /// `public`: also the status page.
        Public = "public",
    }
}
