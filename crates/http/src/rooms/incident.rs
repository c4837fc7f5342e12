//! Incidents, updates and audit trails (contract, sections 6 and 10): the routes, and the shapes of their replies.

use dogwatch_store::Engine;
use dogwatch_store::rules;
use dogwatch_store::rules::id::{ComponentId, IncidentId, PolicyId, ScheduleId, UpdateId};
use dogwatch_store::rules::incident::{
    AcknowledgeIncident, AuditCursor, ChangeStatus, CreateIncident, Cursor, EditIncident, GetIncident, GetUpdate,
    HandOffIncident, IncidentFilter, ListAuditEvents, ListIncidents, ListLimit, ListUpdates, Owner, PostUpdate,
    RedactUpdate, SetComponents, UpdateCursor,
};
use dogwatch_store::rules::outbox::ListPages;
use dogwatch_store::rules::text::{IncidentDescription, ResolutionNote, Title, UpdateBody};
use dogwatch_store::rules::{Actor, Problem, Timestamp, UserId};
use serde_json::Value;
use utoipa::ToSchema;

use crate::input::{Input, Kind, LONGEST_LIST};
use crate::route::{Route, Text, action, command, command_with_text, get, patch, post, put, query};
use crate::shape::shown;

const SEVERITY: Kind = Kind::Word(rules::incident::Severity::WORDS);
const STATUS: Kind = Kind::Word(rules::incident::Status::WORDS);
const VISIBILITY: Kind = Kind::Word(rules::incident::UpdateVisibility::WORDS);

fn incident(input: &mut Input) -> Option<IncidentId> {
    input.path("id", Kind::Id(""), IncidentId::parse)
}

pub(super) fn limit(text: &str) -> Result<ListLimit, Problem> {
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
                let component_ids = input.may_list("componentIds", LONGEST_LIST, Kind::Id(""), ComponentId::parse);
                Some(Ok(CreateIncident {
                    title: title?,
                    severity: severity?,
                    description: description?,
                    owner: Owner::of(owner_id?, owner_schedule_id?),
                    escalation_policy_id: escalation_policy_id?,
                    component_ids: component_ids?.unwrap_or_default(),
                }))
            },
            shown::<Incident, _>,
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
            shown::<IncidentList, _>,
        ),
        query(
            get("/incidents/{id}", "getIncident", "One incident with its history and the end of its audit trail"),
            |input| Some(Ok(GetIncident { id: incident(input)? })),
            shown::<IncidentDetail, _>,
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
            shown::<Incident, _>,
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
            shown::<Incident, _>,
        ),
        command_with_text(
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
            shown::<Update, _>,
            Text { field: "body", look: body_now },
        ),
        query(
            get("/incidents/{id}/updates", "listUpdates", "The updates of an incident, oldest first").long(),
            |input| {
                let id = incident(input);
                let limit = input.query("limit", Kind::Number(1, 100), limit);
                let cursor = input.query("cursor", Kind::Opaque, str::parse::<UpdateCursor>);
                Some(Ok(ListUpdates { incident_id: id?, limit: limit?, cursor: cursor? }))
            },
            shown::<UpdateList, _>,
        ),
        query(
            get("/incidents/{id}/audit", "listAuditEvents", "The audit trail of an incident, oldest first").long(),
            |input| {
                let id = incident(input);
                let limit = input.query("limit", Kind::Number(1, 100), limit);
                let cursor = input.query("cursor", Kind::Opaque, str::parse::<AuditCursor>);
                Some(Ok(ListAuditEvents { incident_id: id?, limit: limit?.unwrap_or_default(), cursor: cursor? }))
            },
            shown::<AuditEventList, _>,
        ),
        query(
            get("/incidents/{id}/pages", "listPages", "Who was paged, and what became of it").long(),
            |input| Some(Ok(ListPages::new(incident(input)?))),
            shown::<PageList, _>,
        ),
        action(
            post("/incidents/{id}/updates/{updateId}/redact", "redactUpdate", "Take back what an update says"),
            |input| {
                let incident = incident(input);
                let update = input.path("updateId", Kind::Id(""), UpdateId::parse);
                Some(Ok(RedactUpdate { incident_id: incident?, update_id: update? }))
            },
            shown::<Update, _>,
        ),
        command(
            put("/incidents/{id}/components", "setComponents", "Replace the affected components"),
            |input| {
                let id = incident(input);
                let component_ids = input.list("componentIds", LONGEST_LIST, Kind::Id(""), ComponentId::parse);
                Some(Ok(SetComponents { id: id?, component_ids: component_ids? }))
            },
            shown::<Incident, _>,
        ),
        action(
            post("/incidents/{id}/acknowledge", "acknowledgeIncident", "Acknowledge: escalation stops"),
            |input| Some(Ok(AcknowledgeIncident::new(incident(input)?))),
            shown::<Incident, _>,
        ),
        action(
            post("/incidents/{id}/handoff", "handOffIncident", "Hand an incident to somebody"),
            |input| {
                let id = incident(input);
                let target = input.need("targetUserId", Kind::Id("user_"), UserId::parse);
                Some(Ok(HandOffIncident { id: id?, target_user_id: target? }))
            },
            shown::<Incident, _>,
        ),
    ]
}

/// The body of an update as it is now; none when it is redacted.
fn body_now(engine: &Engine, actor: &Actor, update: &Value) -> Option<String> {
    let id = |name: &str| update.get(name).and_then(Value::as_str);
    let (incident, update) = (IncidentId::parse(id("incidentId")?).ok()?, UpdateId::parse(id("id")?).ok()?);
    let found = engine.query(&GetUpdate::new(incident, update), actor).ok()?;
    found.body.map(|body| body.as_str().to_owned())
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
struct ComponentRef {
    id: String,
    name: String,
}

/// An incident.
// Lists are full of them, so a value is written straight into the reply instead of into a string of its own.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Incident {
    id: String,
    org_id: String,
    sequential_id: u64,
    title: String,
    description: Option<String>,
    severity: String,
    status: String,
    owner_id: Option<String>,
    escalation_policy_id: Option<String>,
    affected_components: Vec<ComponentRef>,
    #[schema(format = DateTime)]
    acknowledged_at: Option<String>,
    acknowledged_by: Option<String>,
    current_layer_position: Option<u32>,
    #[schema(format = DateTime)]
    next_escalation_at: Option<String>,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(format = DateTime)]
    resolved_at: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentList {
    incidents: Vec<Incident>,
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct StatusHistoryEntry {
    id: String,
    status: String,
    #[schema(format = DateTime)]
    changed_at: String,
    resolution_note: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct AuditEvent {
    id: String,
    event: String,
    #[schema(format = DateTime)]
    at: String,
    actor_id: Option<String>,
    #[schema(value_type = Object)]
    details: serde_json::Value,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentDetail {
    #[serde(flatten)]
    incident: Incident,
    status_history: Vec<StatusHistoryEntry>,
    audit_trail: Vec<AuditEvent>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
struct ActorRef {
    id: String,
    name: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
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

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateList {
    updates: Vec<Update>,
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditEventList {
    events: Vec<AuditEvent>,
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
pub(crate) struct PageList {
    pages: Vec<Page>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct Page {
    id: String,
    incident_id: String,
    user_id: String,
    reason: String,
    #[schema(format = DateTime)]
    created_at: String,
    deliveries: Vec<Delivery>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct Delivery {
    id: String,
    page_id: String,
    contact_method_id: String,
    kind: String,
    state: String,
    #[schema(format = DateTime)]
    due_at: String,
    attempts: u32,
    last_error: Option<String>,
    #[schema(format = DateTime)]
    delivered_at: Option<String>,
}
