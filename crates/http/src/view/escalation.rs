//! Escalation policies and their layers.

use dogwatch_store::rules;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{all, maybe, text, texts};

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyLayer {
    id: String,
    policy_id: String,
    position: u32,
    ack_timeout_minutes: u16,
    /// `{"type": "schedule", "scheduleId"}` or `{"type": "users", "userIds"}`.
    #[schema(value_type = Object)]
    target: Value,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<rules::escalation::PolicyLayerView> for PolicyLayer {
    fn from(layer: rules::escalation::PolicyLayerView) -> Self {
        Self {
            id: text(&layer.id),
            policy_id: text(&layer.policy_id),
            position: layer.position.get(),
            ack_timeout_minutes: layer.ack_timeout.minutes(),
            target: match &layer.target {
                rules::escalation::Target::Schedule(id) => json!({ "type": "schedule", "scheduleId": text(id) }),
                rules::escalation::Target::Users(users) => {
                    json!({ "type": "users", "userIds": texts(users.as_slice()) })
                }
            },
            created_at: text(&layer.created_at),
            updated_at: text(&layer.updated_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
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
    /// By position; only of one policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<PolicyLayer>>,
}

impl Policy {
    pub(crate) fn with_layers(policy: rules::escalation::PolicyView) -> Self {
        Self { layers: Some(all(policy.layers.clone())), ..Self::from(policy) }
    }
}

impl From<rules::escalation::PolicyView> for Policy {
    fn from(policy: rules::escalation::PolicyView) -> Self {
        Self {
            id: text(&policy.id),
            org_id: text(&policy.org_id),
            name: text(&policy.name),
            description: maybe(policy.description.as_ref()),
            created_by: text(&policy.created_by),
            created_at: text(&policy.created_at),
            updated_at: text(&policy.updated_at),
            layers: None,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreviewedLayer {
    layer_id: String,
    position: u32,
    #[schema(format = DateTime)]
    fires_at: String,
    targets: Vec<String>,
    skipped: bool,
}

impl From<rules::escalation::PreviewedLayer> for PreviewedLayer {
    fn from(layer: rules::escalation::PreviewedLayer) -> Self {
        Self {
            layer_id: text(&layer.layer_id),
            position: layer.position,
            fires_at: text(&layer.fires_at),
            targets: texts(&layer.targets),
            skipped: layer.skipped,
        }
    }
}
