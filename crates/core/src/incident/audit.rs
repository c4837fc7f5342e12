//! The audit trail: what happened to an incident, when, and who did it (contract, section 10). Append-only.

use super::{Severity, Status, UpdateVisibility};
use crate::id::{AuditEventId, ComponentId, Id, IncidentId, OrgId, PolicyId, PolicyLayerId, UpdateId, UserId};
use crate::time::Timestamp;
use crate::words::words;

/// One event of an audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Names the event and carries its instant.
    pub id: AuditEventId,
    /// Who did it; `None` where time was the actor.
    pub actor_id: Option<UserId>,
    /// What happened.
    pub event: Event,
}

impl AuditEvent {
    /// When it happened: the instant that its id carries.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.id.made_at()
    }
}

words! {
    /// A field that an edit changed.
    EditedField, "must be `title`, `description` or `severity`" {
        /// `title`.
        Title = "title",
        /// `description`.
        Description = "description",
        /// `severity`.
        Severity = "severity",
    }
}

/// What happened, with its details. Details never hold the text of an update: a redaction need not reach into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `incident_created`.
    IncidentCreated {
        /// How bad it was said to be.
        severity: Severity,
        /// The first owner.
        owner_id: Option<UserId>,
        /// The attached policy.
        policy_id: Option<PolicyId>,
    },
    /// `incident_edited`.
    IncidentEdited {
        /// What changed, in the order of the fields.
        fields: Vec<EditedField>,
    },
    /// `status_changed`.
    StatusChanged {
        /// The status until then.
        from: Status,
        /// The status from then on.
        to: Status,
    },
    /// `update_posted`.
    UpdatePosted {
        /// The update.
        update_id: UpdateId,
        /// Who may read it.
        visibility: UpdateVisibility,
    },
    /// `update_redacted`.
    UpdateRedacted {
        /// The update.
        update_id: UpdateId,
    },
    /// `components_changed`.
    ComponentsChanged {
        /// Newly tagged.
        added: Vec<ComponentId>,
        /// No longer tagged.
        removed: Vec<ComponentId>,
    },
    /// `layer_paged`.
    LayerPaged {
        /// The layer of the policy.
        layer_id: PolicyLayerId,
        /// Where it stood when the run started.
        position: u32,
        /// Who was paged.
        user_ids: Vec<UserId>,
    },
    /// `layer_skipped`: it reached nobody.
    LayerSkipped {
        /// The layer of the policy.
        layer_id: PolicyLayerId,
        /// Where it stood when the run started.
        position: u32,
    },
    /// `layer_timed_out`: nobody acknowledged in time.
    LayerTimedOut {
        /// The layer of the policy.
        layer_id: PolicyLayerId,
        /// Where it stood when the run started.
        position: u32,
    },
    /// `escalation_exhausted`: there was no further layer to page.
    EscalationExhausted,
    /// `escalation_stopped`: by an acknowledgement or a resolution, while it was waiting.
    EscalationStopped,
    /// `incident_acknowledged`.
    IncidentAcknowledged,
    /// `incident_handed_off`.
    IncidentHandedOff {
        /// The owner until then.
        previous_owner_id: Option<UserId>,
        /// The owner from then on.
        new_owner_id: UserId,
    },
}

impl Event {
    /// How many ids of components and users it lists.
    pub(super) const fn named(&self) -> usize {
        match self {
            Self::ComponentsChanged { added, removed } => added.len().saturating_add(removed.len()),
            Self::LayerPaged { user_ids: users, .. } => users.len(),
            Self::IncidentCreated { .. }
            | Self::IncidentEdited { .. }
            | Self::StatusChanged { .. }
            | Self::UpdatePosted { .. }
            | Self::UpdateRedacted { .. }
            | Self::LayerSkipped { .. }
            | Self::LayerTimedOut { .. }
            | Self::EscalationExhausted
            | Self::EscalationStopped
            | Self::IncidentAcknowledged
            | Self::IncidentHandedOff { .. } => 0,
        }
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::IncidentCreated { .. } => "incident_created",
            Self::IncidentEdited { .. } => "incident_edited",
            Self::StatusChanged { .. } => "status_changed",
            Self::UpdatePosted { .. } => "update_posted",
            Self::UpdateRedacted { .. } => "update_redacted",
            Self::ComponentsChanged { .. } => "components_changed",
            Self::LayerPaged { .. } => "layer_paged",
            Self::LayerSkipped { .. } => "layer_skipped",
            Self::LayerTimedOut { .. } => "layer_timed_out",
            Self::EscalationExhausted => "escalation_exhausted",
            Self::EscalationStopped => "escalation_stopped",
            Self::IncidentAcknowledged => "incident_acknowledged",
            Self::IncidentHandedOff { .. } => "incident_handed_off",
        }
    }
}

/// Events that move out of an incident; at least one. Its audit trail is what has moved out, and then what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The organization of the incident.
    pub org_id: OrgId,
    /// The incident.
    pub incident_id: IncidentId,
    /// What happened, in order.
    pub events: Vec<AuditEvent>,
}
