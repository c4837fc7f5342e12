//! Components and incidents (contract, sections 5 and 6).

use dogwatch_store::rules::component::{CreateComponent, DeleteComponent, EditComponent, GetComponent, ListComponents};
use dogwatch_store::rules::id::{ComponentId, IncidentId, PolicyId, ScheduleId, UpdateId};
use dogwatch_store::rules::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, Cursor, EditIncident, GetIncident, HandOffIncident,
    IncidentFilter, ListIncidents, ListLimit, ListUpdates, PostUpdate, RedactUpdate, SetComponents,
};
use dogwatch_store::rules::{Problem, Timestamp, UserId};

use crate::input::{Input, Kind};
use crate::route::{Route, action, command, delete, get, list, patch, post, put, query};
use crate::view::{Component, Deleted, Incident, IncidentDetail, IncidentList, Update, Updates, all};

const SEVERITY: Kind = Kind::Word(&["critical", "high", "medium", "low"]);
const STATUS: Kind = Kind::Word(&["investigating", "identified", "monitoring", "resolved"]);
const VISIBILITY: Kind = Kind::Word(&["internal", "public"]);

fn incident(input: &mut Input) -> Option<IncidentId> {
    input.path("id", Kind::Id(""), IncidentId::parse)
}

fn component(input: &mut Input) -> Option<ComponentId> {
    input.path("id", Kind::Id(""), ComponentId::parse)
}

fn limit(text: &str) -> Result<ListLimit, Problem> {
    // Anything that is no number is out of range as well.
    ListLimit::new(text.parse().unwrap_or(0))
}

pub(super) fn routes() -> Vec<Route> {
    let mut routes = components();
    routes.extend(incidents());
    routes.extend(changes());
    routes
}

fn components() -> Vec<Route> {
    vec![
        list(
            get("/components", "listComponents", "Components, by name"),
            |_| Some(Ok(ListComponents)),
            all::<_, Component>,
        ),
        command(
            post("/components", "createComponent", "Create a component"),
            |input| {
                let name = input.need("name", Kind::Name(1, 100), str::parse);
                let description = input.may("description", Kind::Text(0, 1_000), str::parse);
                let group_label = input.may("groupLabel", Kind::Text(0, 100), str::parse);
                Some(Ok(CreateComponent { name: name?, description: description?, group_label: group_label? }))
            },
            Component::from,
        ),
        query(
            get("/components/{id}", "getComponent", "One component"),
            |input| Some(Ok(GetComponent { id: component(input)? })),
            Component::from,
        ),
        command(
            patch("/components/{id}", "editComponent", "Change a component"),
            |input| {
                let id = component(input);
                let name = input.edit("name", Kind::Name(1, 100), str::parse);
                let description = input.patch("description", Kind::Text(0, 1_000), str::parse);
                let group_label = input.patch("groupLabel", Kind::Text(0, 100), str::parse);
                Some(Ok(EditComponent { id: id?, name: name?, description: description?, group_label: group_label? }))
            },
            Component::from,
        ),
        command(
            delete("/components/{id}", "deleteComponent", "Delete a component"),
            |input| Some(Ok(DeleteComponent { id: component(input)? })),
            Deleted::of,
        ),
    ]
}

fn incidents() -> Vec<Route> {
    vec![
        command(
            post("/incidents", "createIncident", "Open an incident"),
            |input| {
                let title = input.need("title", Kind::Name(1, 100), str::parse);
                let severity = input.need("severity", SEVERITY, str::parse);
                let description = input.may("description", Kind::Text(0, 10_000), str::parse);
                let owner_id = input.may("ownerId", Kind::Id("user_"), UserId::parse);
                let owner_schedule_id = input.may("ownerScheduleId", Kind::Id(""), ScheduleId::parse);
                let escalation_policy_id = input.may("escalationPolicyId", Kind::Id(""), PolicyId::parse);
                let component_ids = input.may_list("componentIds", Kind::Id(""), ComponentId::parse);
                Some(Ok(CreateIncident {
                    title: title?,
                    severity: severity?,
                    description: description?,
                    owner_id: owner_id?,
                    owner_schedule_id: owner_schedule_id?,
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
                let title = input.edit("title", Kind::Name(1, 100), str::parse);
                let description = input.patch("description", Kind::Text(0, 10_000), str::parse);
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
                let note = input.may("resolutionNote", Kind::Text(0, 10_000), str::parse);
                let rule = status.zip(note.as_ref()).map(|(to, note)| ChangeStatus::check_note(to, note.as_ref()));
                input.rule("resolutionNote", rule);
                Some(ChangeStatus::new(id?, status?, note?))
            },
            Incident::from,
        ),
        command(
            post("/incidents/{id}/updates", "postUpdate", "Post an update"),
            |input| {
                let id = incident(input);
                let body = input.may("body", Kind::Text(1, 10_000), str::parse);
                let status_change = input.may("statusChange", STATUS, str::parse);
                let visibility = input.need("visibility", VISIBILITY, str::parse);
                let given = body.as_ref().map(Option::as_ref);
                let content = given.zip(status_change).map(|(body, status)| PostUpdate::check_content(body, status));
                let public = given.zip(visibility).map(|(body, visibility)| PostUpdate::check_public(body, visibility));
                input.rule("body", content.filter(Result::is_err).or(public));
                Some(PostUpdate::new(id?, body?, status_change?, visibility?))
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
