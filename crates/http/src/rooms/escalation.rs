//! Escalation policies and their layers (contract, section 9): the routes, and the shapes of their replies.

use dogwatch_store::rules::UserId;
use dogwatch_store::rules::escalation::{
    AckTimeout, AddPolicyLayer, CreatePolicy, DeletePolicy, EditPolicy, EditPolicyLayer, GetPolicy, ListPolicies,
    OrderPolicyLayers, Position, PreviewPolicy, RemovePolicyLayer, Target, TargetUsers,
};
use dogwatch_store::rules::id::{PolicyId, PolicyLayerId, ScheduleId};
use dogwatch_store::rules::text::{Description, PolicyName};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::Field;
use crate::input::{Input, Kind, LONGEST_LIST, time};
use crate::route::{Route, command, command_list, delete, get, list, patch, post, put, query};
use crate::shape::{Deleted, each, shown};

const NAME: Kind = Kind::text::<PolicyName>();
const POSITION: Kind = Kind::Number(1, 2_147_483_647);
const TIMEOUT: Kind = Kind::Number(1, 10_080);

fn policy(input: &mut Input) -> Option<PolicyId> {
    input.path("id", Kind::Id(""), PolicyId::parse)
}

fn layer(input: &mut Input) -> Option<PolicyLayerId> {
    input.path("layerId", Kind::Id(""), PolicyLayerId::parse)
}

pub(super) fn routes() -> Vec<Route> {
    let mut routes = policies();
    routes.extend(layers());
    routes
}

fn policies() -> Vec<Route> {
    const PATH: &str = "/escalation/policies/{id}";
    vec![
        list(
            get("/escalation/policies", "listPolicies", "Escalation policies, by name"),
            |_| Some(Ok(ListPolicies)),
            each::<Policy, _>,
        ),
        command(
            post("/escalation/policies", "createPolicy", "Create an escalation policy"),
            |input| {
                let name = input.need("name", NAME, str::parse);
                let description = input.may("description", Kind::text::<Description>(), str::parse);
                Some(Ok(CreatePolicy { name: name?, description: description? }))
            },
            shown::<Policy, _>,
        ),
        query(
            get(PATH, "getPolicy", "One policy with its layers"),
            |input| Some(Ok(GetPolicy { id: policy(input)? })),
            shown::<Policy, _>,
        ),
        command(
            patch(PATH, "editPolicy", "Change a policy"),
            |input| {
                let id = policy(input);
                let name = input.edit("name", NAME, str::parse);
                let description = input.patch("description", Kind::text::<Description>(), str::parse);
                Some(Ok(EditPolicy { id: id?, name: name?, description: description? }))
            },
            shown::<Policy, _>,
        ),
        command(
            delete(PATH, "deletePolicy", "Delete a policy"),
            |input| Some(Ok(DeletePolicy { id: policy(input)? })),
            Deleted::of,
        ),
        list(
            get("/escalation/policies/{id}/preview", "previewPolicy", "Who would be paged, and when").long(),
            |input| {
                let id = policy(input);
                let at = input.query("at", Kind::Time, time);
                Some(Ok(PreviewPolicy { id: id?, at: at?.unwrap_or_else(|| input.now()) }))
            },
            |preview| each::<PreviewedLayer, _>(preview.layers),
        ),
    ]
}

fn layers() -> Vec<Route> {
    const PATH: &str = "/escalation/policies/{id}/layers/{layerId}";
    vec![
        command(
            post("/escalation/policies/{id}/layers", "addPolicyLayer", "Add a policy layer"),
            |input| {
                let policy = policy(input);
                let position = input.number("position", POSITION, Position::new);
                let ack_timeout = input.number("ackTimeoutMinutes", TIMEOUT, AckTimeout::from_minutes);
                let target = input.object("target", Kind::Target, target);
                Some(Ok(AddPolicyLayer {
                    policy_id: policy?,
                    position: position?,
                    ack_timeout: ack_timeout?,
                    target: target?,
                }))
            },
            shown::<PolicyLayer, _>,
        ),
        command(
            patch(PATH, "editPolicyLayer", "Change a policy layer"),
            |input| {
                let (policy, layer) = (policy(input), layer(input));
                let position = input.edit_number("position", POSITION, Position::new);
                let ack_timeout = input.edit_number("ackTimeoutMinutes", TIMEOUT, AckTimeout::from_minutes);
                let target = input.edit_object("target", Kind::Target, target);
                Some(Ok(EditPolicyLayer {
                    policy_id: policy?,
                    layer_id: layer?,
                    position: position?,
                    ack_timeout: ack_timeout?,
                    target: target?,
                }))
            },
            shown::<PolicyLayer, _>,
        ),
        command(
            delete(PATH, "removePolicyLayer", "Remove a policy layer"),
            |input| {
                let (policy, layer) = (policy(input), layer(input));
                Some(Ok(RemovePolicyLayer { policy_id: policy?, layer_id: layer? }))
            },
            Deleted::of,
        ),
        command_list(
            put("/escalation/policies/{id}/layers/order", "orderPolicyLayers", "Order the policy layers"),
            |input| {
                let policy = policy(input);
                let layer_ids = input.list("layerIds", LONGEST_LIST, Kind::Id(""), PolicyLayerId::parse);
                Some(Ok(OrderPolicyLayers { policy_id: policy?, layer_ids: layer_ids? }))
            },
            each::<PolicyLayer, _>,
        ),
    ]
}

/// Reads the target of a policy layer: `{"type": "schedule", "scheduleId"}` or `{"type": "users", "userIds"}`.
fn target(value: &Map<String, Value>) -> Result<Target, Vec<Field>> {
    let problem = |path: &str, problem: &str| Field { path: path.to_owned(), problem: problem.to_owned() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match value.get("type").and_then(Value::as_str) {
        Some("schedule") => {
            let id = ScheduleId::parse(&value.get("scheduleId").map(text).unwrap_or_default());
            id.map(Target::Schedule).map_err(|why| vec![problem("/target/scheduleId", &why.to_string())])
        }
        Some("users") => {
            let Some(items) = value.get("userIds").and_then(Value::as_array) else {
                return Err(vec![problem("/target/userIds", "must be an array")]);
            };
            if items.len() > TargetUsers::MAX {
                return Err(vec![problem("/target/userIds", &format!("must have at most {} items", TargetUsers::MAX))]);
            }
            let (mut users, mut problems) = (Vec::new(), Vec::new());
            for (place, item) in items.iter().enumerate() {
                match UserId::parse(&text(item)) {
                    Ok(user) => users.push(user),
                    Err(why) => problems.push(problem(&format!("/target/userIds/{place}"), &why.to_string())),
                }
            }
            if !problems.is_empty() {
                return Err(problems);
            }
            Target::users(users).map_err(|why| vec![problem("/target/userIds", &why.to_string())])
        }
        _ => Err(vec![problem("/target/type", "must be `schedule` or `users`")]),
    }
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyLayer {
    id: String,
    policy_id: String,
    position: u32,
    ack_timeout_minutes: u16,
    /// `{"type": "schedule", "scheduleId"}` or `{"type": "users", "userIds"}`.
    #[schema(value_type = Object)]
    target: serde_json::Value,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Policy {
    id: String,
    org_id: String,
    name: String,
    description: Option<String>,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// By position. Only in the reply of one policy, not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<PolicyLayer>>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreviewedLayer {
    layer_id: String,
    position: u32,
    #[schema(format = DateTime)]
    fires_at: String,
    targets: Vec<String>,
    skipped: bool,
}
