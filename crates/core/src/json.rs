//! The contract's JSON (feature `serde`): values as text, and the shapes that are not just their fields.
//!
//! Whatever is shown serializes as the contract says. Values, and what is shown field by field, deserialize, too; requests do
//! not: serde stops at the first field that does not fit, where the contract names all of them.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use crate::contact::ContactMethodKind;
use crate::escalation::{AckTimeout, Position, Target};
use crate::id::{
    ApiKeyId, AuditEventId, ComponentId, ContactMethodId, IncidentId, IntegrationId, InvitationId, MaintenanceId,
    NotificationId, OrgAuditId, OrgId, OverrideId, PageId, PolicyId, PolicyLayerId, RotationLayerId, ScheduleId,
    StatusEntryId, StatusPageId, UpdateId, UserId, WebhookId,
};
use crate::incident::{
    AcknowledgedVia, AuditCursor, AuditEvent, Author, Cursor, EditedField, Event, EventName, ListLimit, Severity,
    Status, UpdateCursor, UpdateVisibility,
};
use crate::integration::{IntegrationKind, Received, SeverityOutcome, SignalCursor};
use crate::oncall::{HandoffTime, OnCallAt, RotationType};
use crate::org_audit::{OrgAuditAction, OrgAuditCursor};
use crate::outbox::{DeliveryState, Notification, NotificationKind, PageReason};
use crate::secret::Secret;
use crate::status_page::{ComponentStatus, Date, MaintenanceState, Uptime};
use crate::team::{InvitationView, Role};
use crate::text::{
    AlertSource, DedupKey, Description, EmailAddress, ExternalId, GroupLabel, HttpUrl, IdempotencyKey,
    IncidentDescription, Name, OrgName, PersonName, PolicyName, Reason, ResolutionNote, ScheduleName, Slug, Summary,
    Title, UpdateBody,
};
use crate::time::Timestamp;
use crate::webhook::{WebhookDeliveryKind, WebhookEvents};
use crate::zone::Zone;

/// Implements both directions for types that are one text, by `Display` and `FromStr`.
macro_rules! as_text {
    ($($type:ty),* $(,)?) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

as_text! {
    ApiKeyId, AuditEventId, ComponentId, ContactMethodId, IncidentId, InvitationId, NotificationId, OrgAuditId, OrgId, OverrideId, PageId, PolicyId,
    PolicyLayerId, RotationLayerId, ScheduleId, StatusEntryId, UpdateId, UserId, WebhookId,
    MaintenanceId, StatusPageId, IntegrationId, Author, ComponentStatus, MaintenanceState, Slug,
    Description, EmailAddress, ExternalId, GroupLabel, HttpUrl, IdempotencyKey, IncidentDescription, Name, OrgName, PersonName,
    PolicyName, Reason, ResolutionNote, ScheduleName, Title, UpdateBody,
    AcknowledgedVia, AuditCursor, ContactMethodKind, DeliveryState, Cursor, EditedField, OrgAuditAction, OrgAuditCursor, HandoffTime, NotificationKind, PageReason, Role, RotationType, Severity, Status, Timestamp,
    UpdateCursor, UpdateVisibility, EventName, WebhookDeliveryKind,
    AlertSource, DedupKey, Summary, IntegrationKind, Received, SeverityOutcome, SignalCursor,
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&Cow::<str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Implements both directions for types that are one number.
macro_rules! as_number {
    ($($type:ty: $get:expr, $new:expr;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $get(*self).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $new(i64::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }
    )*};
}

as_number! {
    AckTimeout: AckTimeout::minutes, AckTimeout::from_minutes;
    Position: Position::get, Position::new;
    ListLimit: ListLimit::get, ListLimit::new;
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A number from 0 to 1.
impl Serialize for Uptime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.millionths()) / 1_000_000.0)
    }
}

/// Shows the secret of a new API key. Secrets do not serialize by themselves.
pub(crate) fn reveal<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.reveal())
}

/// `{"type": "schedule", "scheduleId"}` or `{"type": "users", "userIds"}`.
impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            Self::Schedule(id) => {
                map.serialize_entry("type", "schedule")?;
                map.serialize_entry("scheduleId", id)?;
            }
            Self::Users(users) => {
                map.serialize_entry("type", "users")?;
                map.serialize_entry("userIds", users.as_slice())?;
            }
        }
        map.end()
    }
}

impl Serialize for InvitationView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Invitation", 5)?;
        fields.serialize_field("id", &self.id)?;
        fields.serialize_field("emailAddress", &self.email_address)?;
        fields.serialize_field("role", &self.role)?;
        fields.serialize_field("status", Self::STATUS)?;
        fields.serialize_field("createdAt", &self.created_at)?;
        fields.end()
    }
}

impl Serialize for OnCallAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("OnCallAt", 6)?;
        fields.serialize_field("scheduleId", &self.schedule_id)?;
        fields.serialize_field("at", &self.at)?;
        fields.serialize_field("owner", &self.on_call.owner)?;
        fields.serialize_field("pagingTargets", &self.on_call.paging_targets)?;
        fields.serialize_field("currentOncall", &self.current_oncall())?;
        fields.serialize_field("nextChangeAt", &self.next_change_at)?;
        fields.end()
    }
}

impl Serialize for Notification {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Notification", 9)?;
        fields.serialize_field("id", &self.id)?;
        fields.serialize_field("orgId", &self.org_id)?;
        fields.serialize_field("incidentId", &self.incident())?;
        fields.serialize_field("userId", &self.user())?;
        fields.serialize_field("kind", &self.message.kind())?;
        fields.serialize_field("reason", &self.reason())?;
        fields.serialize_field("createdAt", &self.created_at)?;
        fields.serialize_field("attempts", &self.attempts)?;
        fields.serialize_field("deliveredAt", &self.delivered_at())?;
        fields.end()
    }
}

/// `{id, event, at, actorId, details}` (contract, section 10).
impl Serialize for AuditEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("AuditEvent", 5)?;
        fields.serialize_field("id", &self.id)?;
        fields.serialize_field("event", self.event.as_str())?;
        fields.serialize_field("at", &self.at())?;
        fields.serialize_field("actorId", &self.actor_id)?;
        fields.serialize_field("details", &Details(&self.event))?;
        fields.end()
    }
}

/// The names, or `["*"]`.
impl Serialize for WebhookEvents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

/// The details of an event, without its name.
struct Details<'a>(&'a Event);

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.0 {
            Event::IncidentCreated { severity, owner_id, policy_id } => {
                map.serialize_entry("severity", severity)?;
                map.serialize_entry("ownerId", owner_id)?;
                map.serialize_entry("escalationPolicyId", policy_id)?;
            }
            Event::IncidentEdited { fields } => map.serialize_entry("fields", fields)?,
            Event::StatusChanged { from, to } => {
                map.serialize_entry("from", from)?;
                map.serialize_entry("to", to)?;
            }
            Event::UpdatePosted { update_id, visibility } => {
                map.serialize_entry("updateId", update_id)?;
                map.serialize_entry("visibility", visibility)?;
            }
            Event::UpdateRedacted { update_id } => map.serialize_entry("updateId", update_id)?,
            Event::ComponentsChanged { added, removed } => {
                map.serialize_entry("added", added)?;
                map.serialize_entry("removed", removed)?;
            }
            Event::LayerPaged { layer_id, position, user_ids } => {
                map.serialize_entry("layerId", layer_id)?;
                map.serialize_entry("position", position)?;
                map.serialize_entry("userIds", user_ids)?;
            }
            Event::LayerSkipped { layer_id, position } | Event::LayerTimedOut { layer_id, position } => {
                map.serialize_entry("layerId", layer_id)?;
                map.serialize_entry("position", position)?;
            }
            Event::IncidentHandedOff { previous_owner_id, new_owner_id } => {
                map.serialize_entry("previousOwnerId", previous_owner_id)?;
                map.serialize_entry("newOwnerId", new_owner_id)?;
            }
            Event::PageUndeliverable { page_id, user_id, reason, paged_at } => {
                map.serialize_entry("pageId", page_id)?;
                map.serialize_entry("userId", user_id)?;
                map.serialize_entry("reason", reason)?;
                map.serialize_entry("pagedAt", paged_at)?;
            }
            Event::PageDelivered { page_id, user_id, contact_method_id, kind } => {
                map.serialize_entry("pageId", page_id)?;
                map.serialize_entry("userId", user_id)?;
                map.serialize_entry("contactMethodId", contact_method_id)?;
                map.serialize_entry("kind", kind)?;
            }
            Event::PageFailed { page_id, user_id, contact_method_id, kind, reason } => {
                map.serialize_entry("pageId", page_id)?;
                map.serialize_entry("userId", user_id)?;
                map.serialize_entry("contactMethodId", contact_method_id)?;
                map.serialize_entry("kind", kind)?;
                map.serialize_entry("reason", reason)?;
            }
            Event::EscalationExhausted | Event::EscalationStopped | Event::IncidentAcknowledged { via: None } => {}
            Event::IncidentAcknowledged { via: Some(via) } => map.serialize_entry("via", via)?,
        }
        map.end()
    }
}
