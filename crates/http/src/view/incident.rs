//! Components, incidents and what happened to them.

use dogwatch_store::rules;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Shown, all, maybe, text, texts};

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Component {
    id: String,
    org_id: String,
    name: String,
    description: Option<String>,
    group_label: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<rules::component::Component> for Component {
    fn from(component: rules::component::Component) -> Self {
        Self {
            id: text(&component.id),
            org_id: text(&component.org_id),
            name: text(&component.name),
            description: maybe(component.description.as_ref()),
            group_label: maybe(component.group_label.as_ref()),
            created_at: text(&component.created_at),
            updated_at: text(&component.updated_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ComponentRef {
    #[schema(value_type = String)]
    id: Shown<rules::id::ComponentId>,
    #[schema(value_type = String)]
    name: Shown<rules::text::Name>,
}

/// An incident. Pages are full of them, so no value gets a string of its own on its way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Incident {
    #[schema(value_type = String)]
    id: Shown<rules::id::IncidentId>,
    #[schema(value_type = String)]
    org_id: Shown<rules::OrgId>,
    sequential_id: u64,
    #[schema(value_type = String)]
    title: Shown<rules::text::Title>,
    #[schema(value_type = Option<String>)]
    description: Option<Shown<rules::text::IncidentDescription>>,
    #[schema(value_type = String)]
    severity: Shown<rules::incident::Severity>,
    #[schema(value_type = String)]
    status: Shown<rules::incident::Status>,
    #[schema(value_type = Option<String>)]
    owner_id: Option<Shown<rules::UserId>>,
    #[schema(value_type = Option<String>)]
    escalation_policy_id: Option<Shown<rules::id::PolicyId>>,
    affected_components: Vec<ComponentRef>,
    #[schema(value_type = Option<String>, format = DateTime)]
    acknowledged_at: Option<Shown<rules::Timestamp>>,
    #[schema(value_type = Option<String>)]
    acknowledged_by: Option<Shown<rules::UserId>>,
    current_layer_position: Option<u32>,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_escalation_at: Option<Shown<rules::Timestamp>>,
    #[schema(value_type = String)]
    created_by: Shown<rules::UserId>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Shown<rules::Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Shown<rules::Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<Shown<rules::Timestamp>>,
}

impl From<rules::incident::IncidentView> for Incident {
    fn from(view: rules::incident::IncidentView) -> Self {
        let component = |component: rules::component::ComponentRef| ComponentRef {
            id: Shown(component.id),
            name: Shown(component.name),
        };
        Self {
            id: Shown(view.id),
            org_id: Shown(view.org_id),
            sequential_id: view.sequential_id,
            title: Shown(view.title),
            description: view.description.map(Shown),
            severity: Shown(view.severity),
            status: Shown(view.status),
            owner_id: view.owner_id.map(Shown),
            escalation_policy_id: view.escalation_policy_id.map(Shown),
            affected_components: view.affected_components.into_iter().map(component).collect(),
            acknowledged_at: view.acknowledged_at.map(Shown),
            acknowledged_by: view.acknowledged_by.map(Shown),
            current_layer_position: view.current_layer_position,
            next_escalation_at: view.next_escalation_at.map(Shown),
            created_by: Shown(view.created_by),
            created_at: Shown(view.created_at),
            updated_at: Shown(view.updated_at),
            resolved_at: view.resolved_at.map(Shown),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentList {
    incidents: Vec<Incident>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Shown<rules::incident::Cursor>>,
}

impl From<rules::incident::IncidentList> for IncidentList {
    fn from(page: rules::incident::IncidentList) -> Self {
        Self { incidents: all(page.incidents), next_cursor: page.next_cursor.map(Shown) }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StatusHistoryEntry {
    id: String,
    status: String,
    #[schema(format = DateTime)]
    changed_at: String,
    resolution_note: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditEvent {
    id: String,
    event: String,
    #[schema(format = DateTime)]
    at: String,
    actor_id: Option<String>,
    #[schema(value_type = Object)]
    details: Value,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentDetail {
    #[serde(flatten)]
    incident: Incident,
    status_history: Vec<StatusHistoryEntry>,
    audit_trail: Vec<AuditEvent>,
}

impl From<rules::incident::IncidentDetail> for IncidentDetail {
    fn from(detail: rules::incident::IncidentDetail) -> Self {
        let step = |entry: &rules::incident::StatusHistoryEntry| StatusHistoryEntry {
            id: text(&entry.id),
            status: text(&entry.status),
            changed_at: text(&entry.changed_at),
            resolution_note: maybe(entry.resolution_note.as_ref()),
        };
        let event = |event: &rules::incident::AuditEvent| AuditEvent {
            id: text(&event.id),
            event: event.event.as_str().to_owned(),
            at: text(&event.at()),
            actor_id: maybe(event.actor_id.as_ref()),
            details: details(&event.event),
        };
        Self {
            status_history: detail.status_history.iter().map(step).collect(),
            audit_trail: detail.audit_trail.iter().map(event).collect(),
            incident: detail.incident.into(),
        }
    }
}

fn details(event: &rules::incident::Event) -> Value {
    use rules::incident::Event;
    match event {
        Event::IncidentCreated { severity, owner_id: owner, policy_id: policy } => json!({
            "severity": severity.as_str(), "ownerId": maybe(owner.as_ref()), "escalationPolicyId": maybe(policy.as_ref()),
        }),
        Event::IncidentEdited { fields } => {
            json!({ "fields": fields.iter().map(|field| field.as_str()).collect::<Vec<_>>() })
        }
        Event::StatusChanged { from, to } => json!({ "from": from.as_str(), "to": to.as_str() }),
        Event::UpdatePosted { update_id: update, visibility } => {
            json!({ "updateId": text(update), "visibility": visibility.as_str() })
        }
        Event::UpdateRedacted { update_id: update } => json!({ "updateId": text(update) }),
        Event::ComponentsChanged { added, removed } => json!({ "added": texts(added), "removed": texts(removed) }),
        Event::LayerPaged { layer_id: layer, position, user_ids: users } => {
            json!({ "layerId": text(layer), "position": position, "userIds": texts(users) })
        }
        Event::LayerSkipped { layer_id: layer, position } | Event::LayerTimedOut { layer_id: layer, position } => {
            json!({ "layerId": text(layer), "position": position })
        }
        Event::IncidentHandedOff { previous_owner_id: previous, new_owner_id: new } => {
            json!({ "previousOwnerId": maybe(previous.as_ref()), "newOwnerId": text(new) })
        }
        Event::EscalationExhausted | Event::EscalationStopped | Event::IncidentAcknowledged => json!({}),
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ActorRef {
    id: String,
    name: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Update {
    id: String,
    incident_id: String,
    body: Option<String>,
    status_change: Option<String>,
    visibility: String,
    posted_by: ActorRef,
    #[schema(format = DateTime)]
    posted_at: String,
    #[schema(format = DateTime)]
    redacted_at: Option<String>,
    redacted_by: Option<String>,
}

impl From<rules::incident::UpdateView> for Update {
    fn from(update: rules::incident::UpdateView) -> Self {
        Self {
            id: text(&update.id),
            incident_id: text(&update.incident_id),
            body: maybe(update.body.as_ref()),
            status_change: maybe(update.status_change.as_ref()),
            visibility: text(&update.visibility),
            posted_by: ActorRef { id: text(&update.posted_by.id), name: update.posted_by.name },
            posted_at: text(&update.posted_at),
            redacted_at: maybe(update.redacted_at.as_ref()),
            redacted_by: maybe(update.redacted_by.as_ref()),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Updates {
    updates: Vec<Update>,
}

impl From<Vec<rules::incident::UpdateView>> for Updates {
    fn from(updates: Vec<rules::incident::UpdateView>) -> Self {
        Self { updates: all(updates) }
    }
}
