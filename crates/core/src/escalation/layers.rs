//! Policy layers: adding, changing, ordering, removing (contract, section 9). Runs keep the layers that they started on.

use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::id::{PolicyId, PolicyLayerId, UserId};
use crate::membership::are_members;
use crate::world::{Change, World, Write};
use crate::{checks, limits};
use std::collections::{BTreeMap, BTreeSet};

use super::query::PolicyLayerView;
use super::{AckTimeout, PastPolicyLayer, Policy, PolicyLayer, Position, Target, by_position, find};

seal!(AddPolicyLayer, EditPolicyLayer, RemovePolicyLayer, OrderPolicyLayers);

/// Adds a layer to a policy (contract, section 9). At a taken position it moves that layer, and those directly behind it, one
/// back.
///
/// Codes, in the order of the checks: `not_found`, `invalid_target`, `limit_reached` (20 layers), `validation_error` (the
/// layers behind cannot move back any further).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddPolicyLayer {
    /// The policy to which it is added.
    pub policy_id: PolicyId,
    /// Its position, 1–2,147,483,647.
    pub position: Position,
    /// Minutes that it waits for somebody to acknowledge before the next layer fires, 1–10,080.
    pub ack_timeout: AckTimeout,
    /// Whom it pages: a schedule, or 1–50 users.
    pub target: Target,
}

impl AddPolicyLayer {
    /// A layer of this policy: its position, how long it waits, and whom it pages.
    #[must_use]
    pub const fn new(policy_id: PolicyId, position: Position, ack_timeout: AckTimeout, target: Target) -> Self {
        Self { policy_id, position, ack_timeout, target }
    }
}

impl Command for AddPolicyLayer {
    type Caller = ByMember;
    type Reply = PolicyLayerView;
    const CODES: &'static [Code] = &[Code::NotFound, Code::InvalidTarget, Code::LimitReached, Code::Validation];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<PolicyLayerView, Error> {
        let policy = find(cx.world, self.policy_id)?;
        check_target(cx.world, &self.target)?;
        let before = cx.world.policy_layers(self.policy_id)?;
        checks::room_for_one(before.len(), limits::POLICY_LAYERS, "policy layers")?;
        let mut after = before.clone();
        make_room(&mut after, self.position)?;
        let layer = PolicyLayer {
            id: cx.ids.fresh(cx.now),
            policy_id: policy.id,
            org_id: policy.org_id,
            position: self.position,
            ack_timeout: self.ack_timeout,
            target: self.target,
            created_at: cx.now,
            updated_at: cx.now,
        };
        after.push(layer.clone());
        replace(cx, policy, &before, after)?;
        Ok(PolicyLayerView::from(&layer))
    }
}

/// Changes a layer (contract, section 9). Moving it to a taken position makes room there as adding does.
///
/// Codes, in the order of the checks: `not_found` (policy, then layer), `invalid_target`, `validation_error`. Changing nothing
/// succeeds and writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditPolicyLayer {
    /// The policy of the layer.
    pub policy_id: PolicyId,
    /// The layer to change.
    pub layer_id: PolicyLayerId,
    /// Its new position, 1–2,147,483,647; `None` keeps the old one.
    pub position: Option<Position>,
    /// Its new timeout: minutes until the next layer fires, 1–10,080; `None` keeps the old one.
    pub ack_timeout: Option<AckTimeout>,
    /// Its new target: a schedule, or 1–50 users; `None` keeps the old one.
    pub target: Option<Target>,
}

impl EditPolicyLayer {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(policy: PolicyId, layer: PolicyLayerId) -> Self {
        Self { policy_id: policy, layer_id: layer, position: None, ack_timeout: None, target: None }
    }
}

impl Command for EditPolicyLayer {
    type Caller = ByMember;
    type Reply = PolicyLayerView;
    const CODES: &'static [Code] = &[Code::NotFound, Code::InvalidTarget, Code::Validation];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<PolicyLayerView, Error> {
        let policy = find(cx.world, self.policy_id)?;
        let before = cx.world.policy_layers(self.policy_id)?;
        let mut edited = find_layer(&before, self.layer_id)?.clone();
        if let Some(target) = self.target {
            check_target(cx.world, &target)?;
            edited.target = target;
        }
        edited.ack_timeout = self.ack_timeout.unwrap_or(edited.ack_timeout);
        let position = self.position.unwrap_or(edited.position);
        let mut after: Vec<_> = before.iter().filter(|layer| layer.id != self.layer_id).cloned().collect();
        if position != edited.position {
            make_room(&mut after, position)?;
            edited.position = position;
        }
        after.push(edited);
        let after = replace(cx, policy, &before, after)?;
        Ok(PolicyLayerView::from(find_layer(&after, self.layer_id)?))
    }
}

/// Removes a layer from a policy (contract, section 9). Runs under way keep it. Codes: `not_found` (policy, then layer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovePolicyLayer {
    /// The policy of the layer.
    pub policy_id: PolicyId,
    /// The layer to remove.
    pub layer_id: PolicyLayerId,
}

impl RemovePolicyLayer {
    /// The removal of this layer.
    #[must_use]
    pub const fn new(policy_id: PolicyId, layer_id: PolicyLayerId) -> Self {
        Self { policy_id, layer_id }
    }
}

impl Command for RemovePolicyLayer {
    type Caller = ByMember;
    type Reply = PolicyLayerId;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<PolicyLayerId, Error> {
        let policy = find(cx.world, self.policy_id)?;
        let before = cx.world.policy_layers(self.policy_id)?;
        find_layer(&before, self.layer_id)?;
        let after = before.iter().filter(|layer| layer.id != self.layer_id).cloned().collect();
        replace(cx, policy, &before, after)?;
        Ok(self.layer_id)
    }
}

/// Puts the layers of a policy in another order, at positions 1 to n (contract, section 9). Codes, in the order of the checks:
/// `not_found`, `validation_error` (every layer is listed once).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderPolicyLayers {
    /// The policy of the layers.
    pub policy_id: PolicyId,
    /// All its layers, each once, in the order in which they fire.
    pub layer_ids: Vec<PolicyLayerId>,
}

impl OrderPolicyLayers {
    /// This order of all layers of the policy.
    #[must_use]
    pub const fn new(policy_id: PolicyId, layer_ids: Vec<PolicyLayerId>) -> Self {
        Self { policy_id, layer_ids }
    }
}

impl Command for OrderPolicyLayers {
    type Caller = ByMember;
    type Reply = Vec<PolicyLayerView>;
    const CODES: &'static [Code] = &[Code::NotFound, Code::Validation];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<Vec<PolicyLayerView>, Error> {
        let policy = find(cx.world, self.policy_id)?;
        let before = cx.world.policy_layers(self.policy_id)?;
        let (old, new): (BTreeSet<_>, BTreeSet<_>) =
            (before.iter().map(|layer| &layer.id).collect(), self.layer_ids.iter().collect());
        if old != new || self.layer_ids.len() != before.len() {
            return Err(Error::invalid("layerIds", "must hold every layer of the policy once"));
        }
        let positions = (1_i64..).map(Position::new);
        let mut after = Vec::with_capacity(before.len());
        for (id, position) in self.layer_ids.iter().zip(positions) {
            let position = position.map_err(|problem| Error::broken(problem.to_string()))?;
            after.push(PolicyLayer { position, ..find_layer(&before, *id)?.clone() });
        }
        let after = replace(cx, policy, &before, after)?;
        Ok(after.iter().map(PolicyLayerView::from).collect())
    }
}

/// Takes a member out of policy layers, from now on (contract, section 4): of about `most`. Whether they are in no others.
pub(crate) fn leave_policies(cx: &mut Context<'_>, user: UserId, most: usize) -> Result<bool, Error> {
    let policies = cx.world.policies_of(user, most.saturating_add(1))?;
    let is_all = policies.len() <= most;
    let mut room = most;
    for id in policies.into_iter().take(most).collect::<BTreeSet<_>>() {
        // All layers of a policy that is in use are kept as they were.
        if room == 0 {
            return Ok(false);
        }
        let policy = find(cx.world, id)?;
        let before = cx.world.policy_layers(id)?;
        let mut after = before.clone();
        leave(user, &mut after);
        room = room.saturating_sub(after.len());
        replace(cx, policy, &before, after)?;
    }
    Ok(is_all)
}

/// Takes those out of layers who have left the organization, and are not out of all of them yet.
pub(super) fn forget_leaving(world: &dyn World, layers: &mut [PolicyLayer]) -> Result<(), Error> {
    let leaving = world.leaving()?.into_iter().filter_map(|removal| removal.what.member());
    leaving.for_each(|user| leave(user, layers));
    Ok(())
}

/// Takes somebody out of layers.
fn leave(user: UserId, layers: &mut [PolicyLayer]) {
    for layer in layers {
        if let Target::Users(users) = &mut layer.target {
            users.leave(user);
        }
    }
}

/// Replaces the layers of a policy and gives them by position. A revision on which a run has started is kept.
fn replace(
    cx: &mut Context<'_>,
    policy: Policy,
    before: &[PolicyLayer],
    mut after: Vec<PolicyLayer>,
) -> Result<Vec<PolicyLayer>, Error> {
    forget_leaving(cx.world, &mut after)?;
    let mut old: BTreeMap<_, _> = before.iter().map(|layer| (layer.id, layer)).collect();
    let mut changes = Vec::new();
    for layer in &mut after {
        let held = old.remove(&layer.id);
        if held != Some(&*layer) {
            layer.updated_at = cx.now.max(layer.updated_at);
            changes.push(Change { before: held.cloned(), after: Some(layer.clone()) });
        }
    }
    changes.extend(old.into_values().map(|layer| Change::gone(layer.clone())));
    if changes.is_empty() {
        return Ok(by_position(after));
    }
    if policy.in_use {
        for layer in before {
            let past = PastPolicyLayer { revision: policy.revision, layer: layer.clone() };
            cx.write(Write::PastPolicyLayer(Change::created(past)));
        }
        let revision =
            policy.revision.checked_add(1).ok_or_else(|| Error::broken("a policy has too many revisions"))?;
        let edited = Policy { revision, in_use: false, ..policy.clone() };
        cx.write(Write::Policy(Change::edited(policy, edited)));
    }
    changes.into_iter().for_each(|change| cx.write(Write::PolicyLayer(change)));
    Ok(by_position(after))
}

/// Moves the layer at a position, and those directly behind it, one back, if there is one.
fn make_room(layers: &mut [PolicyLayer], position: Position) -> Result<(), Error> {
    let taken: BTreeSet<_> = layers.iter().map(|layer| layer.position).collect();
    let mut free = position;
    while taken.contains(&free) {
        free = free.next().ok_or_else(|| Error::invalid("position", "leaves no room behind it"))?;
    }
    for layer in layers.iter_mut().filter(|layer| (position..free).contains(&layer.position)) {
        layer.position = layer.position.next().unwrap_or(Position::MAX);
    }
    Ok(())
}

/// The layer of a policy with this id. Code: `not_found`.
fn find_layer(layers: &[PolicyLayer], id: PolicyLayerId) -> Result<&PolicyLayer, Error> {
    layers.iter().find(|layer| layer.id == id).ok_or_else(|| Error::not_found("policy layer"))
}

/// Refuses, with `invalid_target`, a schedule that does not exist and users who are not members.
fn check_target(world: &dyn World, target: &Target) -> Result<(), Error> {
    match target {
        Target::Schedule(id) if world.schedule(*id)?.is_none() => {
            Err(Error::refused(Code::InvalidTarget, format!("no schedule has the id `{id}`")))
        }
        Target::Schedule(_) => Ok(()),
        Target::Users(users) => are_members(world, users.as_slice(), Code::InvalidTarget),
    }
}
