//! The audit trail: what happened to an incident, when, and who did it (contract, section 10). Events are only ever added.

use crate::contact::ContactMethodKind;

use super::{Author, Severity, Status, UpdateVisibility};
use crate::id::{
    AuditEventId, ComponentId, ContactMethodId, Id, IncidentId, OrgId, PageId, PolicyId, PolicyLayerId, UpdateId,
    UserId,
};
use crate::outbox::PageReason;
use crate::time::Timestamp;
use crate::words::words;

/// One event of an audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// The event's id, which carries the instant at which it happened.
    pub id: AuditEventId,
    /// Who did it; `None` where time was the actor.
    pub actor_id: Option<Author>,
    /// What happened, with its details.
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
    /// A field of an incident that an edit changed.
    EditedField, "field", "must be `title`, `description` or `severity`" {
        /// `title`.
        Title = "title",
        /// `description`.
        Description = "description",
        /// `severity`.
        Severity = "severity",
    }
}

words! {
    /// What an incident was acknowledged with, other than the API.
    AcknowledgedVia, "way of acknowledging", "must be `link` or `slack`" {
        /// `link`: the link in a page.
        Link = "link",
        /// `slack`: the button of a page in Slack.
        Slack = "slack",
    }
}

words! {
    /// The name of an event of an audit trail.
    EventName, "name of an event", "must be the name of an audit event" {
        /// `incident_created`: the incident was opened.
        IncidentCreated = "incident_created",
        /// `incident_edited`: title, description or severity changed.
        IncidentEdited = "incident_edited",
        /// `status_changed`: the incident moved a step forward.
        StatusChanged = "status_changed",
        /// `update_posted`: an update was posted.
        UpdatePosted = "update_posted",
        /// `update_redacted`: the body of an update was removed.
        UpdateRedacted = "update_redacted",
        /// `components_changed`: the set of affected components changed.
        ComponentsChanged = "components_changed",
        /// `layer_paged`: a layer of the policy fired.
        LayerPaged = "layer_paged",
        /// `layer_skipped`: a layer reached nobody.
        LayerSkipped = "layer_skipped",
        /// `layer_timed_out`: nobody acknowledged in time.
        LayerTimedOut = "layer_timed_out",
        /// `escalation_exhausted`: there was no further layer to page.
        EscalationExhausted = "escalation_exhausted",
        /// `escalation_stopped`: a run that waited was stopped.
        EscalationStopped = "escalation_stopped",
        /// `incident_acknowledged`: somebody acknowledged the incident.
        IncidentAcknowledged = "incident_acknowledged",
        /// `incident_handed_off`: the incident got another owner.
        IncidentHandedOff = "incident_handed_off",
        /// `page_undeliverable`: a page has reached nobody.
        PageUndeliverable = "page_undeliverable",
        /// `page_delivered`: a page was sent.
        PageDelivered = "page_delivered",
        /// `page_failed`: a page could not be sent.
        PageFailed = "page_failed",
    }
}

/// What happened, with its details. Details never hold the text of an update: a redaction need not reach into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `incident_created`: the incident was opened.
    IncidentCreated {
        /// The severity that it was opened with.
        severity: Severity,
        /// The first owner, if any.
        owner_id: Option<UserId>,
        /// The escalation policy attached to it, if any.
        policy_id: Option<PolicyId>,
    },
    /// `incident_edited`: title, description or severity changed.
    IncidentEdited {
        /// The fields that changed, in the order `title`, `description`, `severity`.
        fields: Vec<EditedField>,
    },
    /// `status_changed`: the incident moved a step forward.
    StatusChanged {
        /// The status until then.
        from: Status,
        /// The status from then on.
        to: Status,
    },
    /// `update_posted`: an update was posted, also by a change of the status.
    UpdatePosted {
        /// The update.
        update_id: UpdateId,
        /// Who may read the update.
        visibility: UpdateVisibility,
    },
    /// `update_redacted`: the body of an update was removed.
    UpdateRedacted {
        /// The update.
        update_id: UpdateId,
    },
    /// `components_changed`: the set of affected components changed.
    ComponentsChanged {
        /// The components that it did not affect before.
        added: Vec<ComponentId>,
        /// The components that it does not affect any more.
        removed: Vec<ComponentId>,
    },
    /// `layer_paged`: a layer of the policy fired.
    LayerPaged {
        /// The layer of the policy.
        layer_id: PolicyLayerId,
        /// The position that the layer had when the run started.
        position: u32,
        /// The users who were paged.
        user_ids: Vec<UserId>,
    },
    /// `layer_skipped`: a layer reached nobody, so the next one fired at once.
    LayerSkipped {
        /// The layer of the policy.
        layer_id: PolicyLayerId,
        /// The position that the layer had when the run started.
        position: u32,
    },
    /// `layer_timed_out`: nobody acknowledged within the timeout of a layer.
    LayerTimedOut {
        /// The layer of the policy.
        layer_id: PolicyLayerId,
        /// The position that the layer had when the run started.
        position: u32,
    },
    /// `escalation_exhausted`: there was no further layer to page.
    EscalationExhausted,
    /// `escalation_stopped`: by an acknowledgement or a resolution, while it was waiting.
    EscalationStopped,
    /// `incident_acknowledged`: somebody acknowledged the incident.
    IncidentAcknowledged {
        /// What it was acknowledged with, where that is not the API.
        via: Option<AcknowledgedVia>,
    },
    /// `incident_handed_off`: the incident got another owner, or the same again.
    IncidentHandedOff {
        /// The owner until then, if any.
        previous_owner_id: Option<UserId>,
        /// The owner from then on.
        new_owner_id: UserId,
    },
    /// `page_undeliverable`: a page has reached nobody, and will not: no delivery of it is left.
    PageUndeliverable {
        /// The page.
        page_id: PageId,
        /// The user who was to be paged.
        user_id: UserId,
        /// The reason for the page.
        reason: PageReason,
        /// When the page was written.
        paged_at: Timestamp,
    },
    /// `page_delivered`: a page was sent over a contact method.
    PageDelivered {
        /// The page.
        page_id: PageId,
        /// The user who was paged.
        user_id: UserId,
        /// The contact method.
        contact_method_id: ContactMethodId,
        /// The kind of that.
        kind: ContactMethodKind,
    },
    /// `page_failed`: a page could not be sent over a contact method, and is not tried there any more.
    PageFailed {
        /// The page.
        page_id: PageId,
        /// The user who was to be paged.
        user_id: UserId,
        /// The contact method.
        contact_method_id: ContactMethodId,
        /// The kind of that.
        kind: ContactMethodKind,
        /// Why: at most 100 characters.
        reason: String,
    },
}

/// The bytes of an id.
const ID_LENGTH: usize = 16;

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
            | Self::IncidentAcknowledged { .. }
            | Self::IncidentHandedOff { .. }
            | Self::PageUndeliverable { .. }
            | Self::PageDelivered { .. } => 0,
            // A text counts as the ids that take as much.
            Self::PageFailed { reason, .. } => reason.len().div_ceil(ID_LENGTH),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> EventName {
        match self {
            Self::IncidentCreated { .. } => EventName::IncidentCreated,
            Self::IncidentEdited { .. } => EventName::IncidentEdited,
            Self::StatusChanged { .. } => EventName::StatusChanged,
            Self::UpdatePosted { .. } => EventName::UpdatePosted,
            Self::UpdateRedacted { .. } => EventName::UpdateRedacted,
            Self::ComponentsChanged { .. } => EventName::ComponentsChanged,
            Self::LayerPaged { .. } => EventName::LayerPaged,
            Self::LayerSkipped { .. } => EventName::LayerSkipped,
            Self::LayerTimedOut { .. } => EventName::LayerTimedOut,
            Self::EscalationExhausted => EventName::EscalationExhausted,
            Self::EscalationStopped => EventName::EscalationStopped,
            Self::IncidentAcknowledged { .. } => EventName::IncidentAcknowledged,
            Self::IncidentHandedOff { .. } => EventName::IncidentHandedOff,
            Self::PageUndeliverable { .. } => EventName::PageUndeliverable,
            Self::PageDelivered { .. } => EventName::PageDelivered,
            Self::PageFailed { .. } => EventName::PageFailed,
        }
    }

    /// The field `event` of the audit trail: its name as text.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.name().as_str()
    }
}

/// Events that move out of an incident into a record of their own; at least one. An audit trail is the events that have moved
/// out, and then those that are still in the incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The organization of the incident.
    pub org_id: OrgId,
    /// The incident.
    pub incident_id: IncidentId,
    /// The events, oldest first.
    pub events: Vec<AuditEvent>,
}
