//! Incidents, updates and audit trails (contract, sections 6 and 10): the routes, and the shapes of their replies.

use dogwatch_store::rules;
use dogwatch_store::rules::id::{ComponentId, IncidentId, PolicyId, ScheduleId, UpdateId};
use dogwatch_store::rules::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, Cursor, EditIncident, GetIncident, HandOffIncident,
    IncidentFilter, ListIncidents, ListLimit, ListUpdates, Owner, PostUpdate, RedactUpdate, SetComponents,
};
use dogwatch_store::rules::text::{IncidentDescription, ResolutionNote, Title, UpdateBody};
use dogwatch_store::rules::{Problem, Timestamp, UserId};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::input::{Input, Kind};
use crate::route::{Route, action, command, get, patch, post, put, query};
use crate::shape::{Shown, all, maybe, text, texts};

const SEVERITY: Kind = Kind::Word(rules::incident::Severity::WORDS);
const STATUS: Kind = Kind::Word(rules::incident::Status::WORDS);
const VISIBILITY: Kind = Kind::Word(rules::incident::UpdateVisibility::WORDS);

fn incident(input: &mut Input) -> Option<IncidentId> {
    input.path("id", Kind::Id(""), IncidentId::parse)
}

fn limit(text: &str) -> Result<ListLimit, Problem> {
    // A text that is not a number is out of range (1–100) as well.
    ListLimit::new(text.parse().unwrap_or(0))
}

pub(super) fn routes() -> Vec<Route> {
    let mut routes = incidents();
    routes.extend(changes());
    routes
}

fn incidents() -> Vec<Route> {
    vec![
        command(
            post("/incidents", "createIncident", "Open an incident"),
            |input| {
                let title = input.need("title", Kind::text::<Title>(), str::parse);
                let severity = input.need("severity", SEVERITY, str::parse);
                let description = input.may("description", Kind::text::<IncidentDescription>(), str::parse);
                let owner_id = input.may("ownerId", Kind::Id("user_"), UserId::parse);
                let owner_schedule_id = input.may("ownerScheduleId", Kind::Id(""), ScheduleId::parse);
                let escalation_policy_id = input.may("escalationPolicyId", Kind::Id(""), PolicyId::parse);
                let component_ids = input.may_list("componentIds", Kind::Id(""), ComponentId::parse);
                Some(Ok(CreateIncident {
                    title: title?,
                    severity: severity?,
                    description: description?,
                    owner: Owner::of(owner_id?, owner_schedule_id?),
                    escalation_policy_id: escalation_policy_id?,
                    component_ids: component_ids?.unwrap_or_default(),
                }))
            },
            Incident::from,
        ),
        query(
            get("/incidents", "listIncidents", "Incidents, newest first").repeats(),
            |input| {
                let status = input.query("status", STATUS, str::parse);
                let severity = input.query("severity", SEVERITY, str::parse);
                let from = input.query("from", Kind::DateOrTime, Timestamp::parse_range_start);
                let to = input.query("to", Kind::DateOrTime, Timestamp::parse_range_end);
                let limit = input.query("limit", Kind::Number(1, 100), limit);
                let cursor = input.query("cursor", Kind::Opaque, str::parse::<Cursor>);
                let filter = IncidentFilter { status: status?, severity: severity?, from: from?, to: to? };
                Some(Ok(ListIncidents { filter, limit: limit?.unwrap_or_default(), cursor: cursor? }))
            },
            IncidentList::from,
        ),
        query(
            get("/incidents/{id}", "getIncident", "One incident with its history and audit trail"),
            |input| Some(Ok(GetIncident { id: incident(input)? })),
            IncidentDetail::from,
        ),
        command(
            patch("/incidents/{id}", "editIncident", "Change title, description or severity"),
            |input| {
                let id = incident(input);
                let title = input.edit("title", Kind::text::<Title>(), str::parse);
                let description = input.patch("description", Kind::text::<IncidentDescription>(), str::parse);
                let severity = input.edit("severity", SEVERITY, str::parse);
                Some(Ok(EditIncident { id: id?, title: title?, description: description?, severity: severity? }))
            },
            Incident::from,
        ),
    ]
}

fn changes() -> Vec<Route> {
    vec![
        command(
            patch("/incidents/{id}/status", "changeStatus", "Move an incident one step forward"),
            |input| {
                let id = incident(input);
                let status = input.need("status", STATUS, str::parse);
                let note = input.may("resolutionNote", Kind::text::<ResolutionNote>(), str::parse);
                let rule = status.zip(note.as_ref()).map(|(to, note)| ChangeStatus::check_note(to, note.as_ref()));
                input.rule("resolutionNote", rule);
                Some(Ok(ChangeStatus { id: id?, status: status?, note: note? }))
            },
            Incident::from,
        ),
        command(
            post("/incidents/{id}/updates", "postUpdate", "Post an update"),
            |input| {
                let id = incident(input);
                let body = input.may("body", Kind::text::<UpdateBody>(), str::parse);
                let status_change = input.may("statusChange", STATUS, str::parse);
                let visibility = input.need("visibility", VISIBILITY, str::parse);
                let given = body.as_ref().map(Option::as_ref);
                let content = given.zip(status_change).map(|(body, status)| PostUpdate::check_content(body, status));
                let public = given.zip(visibility).map(|(body, visibility)| PostUpdate::check_public(body, visibility));
                input.rule("body", content.filter(Result::is_err).or(public));
                Some(Ok(PostUpdate { id: id?, body: body?, status_change: status_change?, visibility: visibility? }))
            },
            Update::from,
        ),
        query(
            get("/incidents/{id}/updates", "listUpdates", "The updates of an incident, oldest first"),
            |input| Some(Ok(ListUpdates { incident_id: incident(input)? })),
            Updates::from,
        ),
        action(
            post("/incidents/{id}/updates/{updateId}/redact", "redactUpdate", "Take back what an update says"),
            |input| {
                let incident = incident(input);
                let update = input.path("updateId", Kind::Id(""), UpdateId::parse);
                Some(Ok(RedactUpdate { incident_id: incident?, update_id: update? }))
            },
            Update::from,
        ),
        command(
            put("/incidents/{id}/components", "setComponents", "Replace the affected components"),
            |input| {
                let id = incident(input);
                let component_ids = input.list("componentIds", Kind::Id(""), ComponentId::parse);
                Some(Ok(SetComponents { id: id?, component_ids: component_ids? }))
            },
            Incident::from,
        ),
        action(
            post("/incidents/{id}/acknowledge", "acknowledgeIncident", "Acknowledge: escalation stops"),
            |input| Some(Ok(AcknowledgeIncident { id: incident(input)? })),
            Incident::from,
        ),
        action(
            post("/incidents/{id}/handoff", "handOffIncident", "Hand an incident to somebody"),
            |input| {
                let id = incident(input);
                let target = input.need("targetUserId", Kind::Id("user_"), UserId::parse);
                Some(Ok(HandOffIncident { id: id?, target_user_id: target? }))
            },
            Incident::from,
        ),
    ]
}

#[derive(Debug, Serialize, ToSchema)]
struct ComponentRef {
    #[schema(value_type = String)]
    id: Shown<rules::id::ComponentId>,
    #[schema(value_type = String)]
    name: Shown<rules::text::Name>,
}

/// An incident.
// Lists are full of them, so a value is written straight into the reply instead of into a string of its own.
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
        Event::PageUndeliverable { page_id, user_id, reason, paged_at } => {
            json!({ "pageId": text(page_id), "userId": text(user_id), "reason": text(reason), "pagedAt": text(paged_at) })
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
