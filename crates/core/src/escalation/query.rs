//! Queries about policies, and about whom one would page (contract, section 9).

use super::begin::{LiveChain, Lookups};
use super::layers::forget_leaving;
use super::{AckTimeout, Input, Output, Policy, PolicyLayer, Position, Run, Target, by_position, find};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::error::Error;
use crate::id::{OrgId, PolicyId, PolicyLayerId, UserId};
use crate::text::{Description, PolicyName};
use crate::time::Timestamp;

seal!(GetPolicy, ListPolicies, PreviewPolicy);

/// A policy layer as callers see it (contract, section 9).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct PolicyLayerView {
    /// The layer's id.
    pub id: PolicyLayerId,
    /// The policy that it is a layer of.
    pub policy_id: PolicyId,
    /// Its position, 1–2,147,483,647; layers fire in ascending order.
    pub position: Position,
    /// Minutes that it waits for somebody to acknowledge before the next layer fires, 1–10,080.
    #[cfg_attr(feature = "serde", serde(rename = "ackTimeoutMinutes"))]
    pub ack_timeout: AckTimeout,
    /// Whom it pages.
    pub target: Target,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed; at first, when it was created.
    pub updated_at: Timestamp,
}

impl From<&PolicyLayer> for PolicyLayerView {
    fn from(layer: &PolicyLayer) -> Self {
        Self {
            id: layer.id,
            policy_id: layer.policy_id,
            position: layer.position,
            ack_timeout: layer.ack_timeout,
            target: layer.target.clone(),
            created_at: layer.created_at,
            updated_at: layer.updated_at,
        }
    }
}

/// A policy as callers see it (contract, section 9).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct PolicyView {
    /// The policy's id.
    pub id: PolicyId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its name: 1–255 characters, unique among the policies of the organization.
    pub name: PolicyName,
    /// What it is for: at most 1,000 characters.
    pub description: Option<Description>,
    /// The user who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its own fields were last changed.
    pub updated_at: Timestamp,
    /// Its layers, by position. Only in the reply to [`GetPolicy`].
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub layers: Option<Vec<PolicyLayerView>>,
}

impl PolicyView {
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            id: policy.id,
            org_id: policy.org_id,
            name: policy.name.clone(),
            description: policy.description.clone(),
            created_by: policy.created_by,
            created_at: policy.created_at,
            updated_at: policy.updated_at,
            layers: None,
        }
    }
}

/// One policy with its layers (contract, section 9). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetPolicy {
    /// The policy to look at.
    pub id: PolicyId,
}

impl GetPolicy {
    /// The question for this policy.
    #[must_use]
    pub const fn new(id: PolicyId) -> Self {
        Self { id }
    }
}

impl Query for GetPolicy {
    type Caller = ByMember;
    type Reply = PolicyView;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<PolicyView, Error> {
        let policy = find(view.world, self.id)?;
        let mut layers = by_position(view.world.policy_layers(self.id)?);
        forget_leaving(view.world, &mut layers)?;
        let layers = Some(layers.iter().map(PolicyLayerView::from).collect());
        Ok(PolicyView { layers, ..PolicyView::of(&policy) })
    }
}

/// All policies, by name, without their layers (contract, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPolicies;

impl Query for ListPolicies {
    type Caller = ByMember;
    type Reply = Vec<PolicyView>;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<PolicyView>, Error> {
        Ok(view.world.policies()?.iter().map(PolicyView::of).collect())
    }
}

/// Who would be paged, and when, if an incident opened at an instant and nobody acknowledged (contract, section 9). Codes:
/// `not_found`.
///
/// A run answers, just as for an incident: on the layers as they are now, and on who is on call at each firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviewPolicy {
    /// The policy to look at.
    pub id: PolicyId,
    /// The instant at which the incident would open.
    pub at: Timestamp,
}

/// The reply to [`PreviewPolicy`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct Preview {
    /// The layers, by position.
    pub layers: Vec<PreviewedLayer>,
    /// When the timeout of the last layer passes and escalation stops; at once, if no layer reaches anybody.
    pub exhausted_at: Timestamp,
}

/// One layer of a [`Preview`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct PreviewedLayer {
    /// The layer's id.
    pub layer_id: PolicyLayerId,
    /// Its position, 1–2,147,483,647.
    pub position: u32,
    /// When it fires, or is skipped.
    pub fires_at: Timestamp,
    /// The users who are paged; empty when it is skipped.
    pub targets: Vec<UserId>,
    /// Whether it reaches nobody, so that the next one fires at once.
    pub skipped: bool,
}

impl PreviewPolicy {
    /// Whom this policy would page, if an incident opened at that instant.
    #[must_use]
    pub const fn new(id: PolicyId, at: Timestamp) -> Self {
        Self { id, at }
    }
}

impl Query for PreviewPolicy {
    type Caller = ByMember;
    type Reply = Preview;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Preview, Error> {
        let policy = find(view.world, self.id)?;
        let mut lookups = Lookups::at(self.at);
        lookups.keep(&policy, view.world.policy_layers(self.id)?);
        let mut chain =
            LiveChain { world: view.world, policy: self.id, revision: policy.revision, lookups: &mut lookups };
        let mut now = self.at;
        let (mut run, mut outputs) = Run::start(now, &mut chain)?;
        let mut shown = Vec::new();
        loop {
            shown.extend(outputs.into_iter().filter_map(|output| previewed(output, now)));
            let Some(due) = run.due() else { break };
            now = due;
            chain.lookups.go_on_to(now);
            (run, outputs) = run.step(Input::Tick, now, &mut chain)?;
        }
        Ok(Preview { layers: shown, exhausted_at: now })
    }
}

/// The row of the preview that an output of the run gives, if any.
fn previewed(output: Output, fires_at: Timestamp) -> Option<PreviewedLayer> {
    let (layer, targets) = match output {
        Output::Paged(layer, users) => (layer, users),
        Output::Skipped(layer) => (layer, Vec::new()),
        Output::TimedOut(_) | Output::Exhausted | Output::Stopped => return None,
    };
    let skipped = targets.is_empty();
    Some(PreviewedLayer { layer_id: layer.id, position: layer.position, fires_at, targets, skipped })
}
