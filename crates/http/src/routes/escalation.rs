//! Escalation policies (contract, section 9).

use dogwatch_store::rules::UserId;
use dogwatch_store::rules::escalation::{
    AckTimeout, AddPolicyLayer, CreatePolicy, DeletePolicy, EditPolicy, EditPolicyLayer, GetPolicy, ListPolicies,
    OrderPolicyLayers, Position, PreviewPolicy, RemovePolicyLayer, Target,
};
use dogwatch_store::rules::id::{PolicyId, PolicyLayerId, ScheduleId};
use serde_json::{Map, Value};

use crate::error::Field;
use crate::input::{Input, Kind, time};
use crate::route::{Route, command, command_list, delete, get, list, patch, post, put, query};
use crate::view::{Deleted, Policy, PolicyLayer, PreviewedLayer, all};

const NAME: Kind = Kind::Name(1, 255);
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
            all::<_, Policy>,
        ),
        command(
            post("/escalation/policies", "createPolicy", "Create an escalation policy"),
            |input| {
                let name = input.need("name", NAME, str::parse);
                let description = input.may("description", Kind::Text(0, 1_000), str::parse);
                Some(Ok(CreatePolicy { name: name?, description: description? }))
            },
            Policy::from,
        ),
        query(
            get(PATH, "getPolicy", "One policy with its layers"),
            |input| Some(Ok(GetPolicy { id: policy(input)? })),
            Policy::with_layers,
        ),
        command(
            patch(PATH, "editPolicy", "Change a policy"),
            |input| {
                let id = policy(input);
                let name = input.edit("name", NAME, str::parse);
                let description = input.patch("description", Kind::Text(0, 1_000), str::parse);
                Some(Ok(EditPolicy { id: id?, name: name?, description: description? }))
            },
            Policy::from,
        ),
        command(
            delete(PATH, "deletePolicy", "Delete a policy"),
            |input| Some(Ok(DeletePolicy { id: policy(input)? })),
            Deleted::of,
        ),
        list(
            get("/escalation/policies/{id}/preview", "previewPolicy", "Who would be paged, and when"),
            |input| {
                let id = policy(input);
                let at = input.query("at", Kind::Time, time);
                Some(Ok(PreviewPolicy { id: id?, at: at?.unwrap_or_else(|| input.now()) }))
            },
            |preview| all::<_, PreviewedLayer>(preview.layers),
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
            PolicyLayer::from,
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
            PolicyLayer::from,
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
                let layer_ids = input.list("layerIds", Kind::Id(""), PolicyLayerId::parse);
                Some(Ok(OrderPolicyLayers { policy_id: policy?, layer_ids: layer_ids? }))
            },
            all::<_, PolicyLayer>,
        ),
    ]
}

/// Reads `{"type": "schedule", "scheduleId"}` or `{"type": "users", "userIds"}`.
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
