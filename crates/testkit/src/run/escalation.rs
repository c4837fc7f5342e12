//! Operations on schedules, policies, runs and the outbox.

use std::time::Duration;

use dogwatch_core::escalation::{
    AckTimeout, AddPolicyLayer, CreatePolicy, DeletePolicy, EditPolicy, EditPolicyLayer, GetPolicy, ListPolicies,
    OrderPolicyLayers, PolicyView, Position, PreviewPolicy, RemovePolicyLayer, Target,
};
use dogwatch_core::id::Id;
use dogwatch_core::id::PolicyLayerId;
use dogwatch_core::incident::{AcknowledgeIncident, HandOffIncident};
use dogwatch_core::oncall::{CreateOverride, CreateSchedule, DeleteSchedule};
use dogwatch_core::outbox::ListNotifications;
use dogwatch_core::{Actor, Patch, Timestamp};

use super::{Claimed, Run, agree, millis, valid};
use crate::model::{self, Millis, NewLayer};
use crate::ops::{EscalationOp, LayerTarget};
use crate::render;

impl Run<'_> {
    pub(super) fn escalation(&mut self, op: &EscalationOp, org: usize, me: usize, actor: &Actor) {
        match op {
            EscalationOp::CreateSchedule { .. }
            | EscalationOp::DeleteSchedule { .. }
            | EscalationOp::StandIn { .. } => self.schedule_op(op, org, me, actor),
            EscalationOp::Acknowledge { .. } | EscalationOp::HandOff { .. } => self.respond(op, org, me, actor),
            EscalationOp::Tick { in_minutes } => self.tick(*in_minutes),
            EscalationOp::Claim { limit, seconds } => self.claim(*limit, Duration::from_secs(*seconds)),
            EscalationOp::Confirm { claim } => self.confirm(*claim),
            EscalationOp::GiveBack { claim, seconds } => self.give_back(*claim, *seconds),
            EscalationOp::Preview { policy, in_minutes } => {
                let (id, index) = self.policy(*policy, org);
                let at = self.now() + in_minutes * 60_000;
                let expected = self.orgs[org].preview(me, index, at);
                let got = self.engine().query(&PreviewPolicy { id, at: Timestamp::clamped(at) }, actor);
                if let Some((preview, expected)) = agree(got, expected, op) {
                    let mut text = String::new();
                    for layer in &preview.layers {
                        assert_eq!(layer.skipped, layer.targets.is_empty());
                        let users: Vec<_> = layer.targets.iter().map(ToString::to_string).collect();
                        let at = millis(layer.fires_at);
                        text += &format!("{} {} {at} {}; ", layer.layer_id, layer.position, users.join(" "));
                    }
                    assert_eq!(format!("{text}end {}", millis(preview.exhausted_at)), expected);
                }
            }
            _ => self.policy_op(op, org, me, actor),
        }
        self.compare_deadline();
        self.compare_pages();
    }

    fn schedule_op(&mut self, op: &EscalationOp, org: usize, me: usize, actor: &Actor) {
        let now = self.now();
        match op {
            EscalationOp::CreateSchedule { name } => {
                let expected = self.orgs[org].create_schedule(me, now, name);
                let command = CreateSchedule { name: valid(name), description: None, timezone: "UTC".to_owned() };
                if let Some((made, index)) = agree(self.engine().execute(command, actor), expected, op) {
                    self.orgs[org].schedules[index].id = made.id.to_string();
                }
            }
            EscalationOp::DeleteSchedule { schedule } => {
                let (id, index) = self.schedule(*schedule, org);
                let expected = self.orgs[org].delete_schedule(me, index);
                agree(self.engine().execute(DeleteSchedule { id }, actor), expected, op);
            }
            EscalationOp::StandIn { schedule, user, minutes } => {
                let (id, index) = self.schedule(*schedule, org);
                let (user, who) = self.user(*user, org);
                let span = minutes * 60_000;
                let expected = self.orgs[org].stand_in(me, now, index, who, span);
                let (from, to) = (Timestamp::clamped(now), Timestamp::clamped(now + span));
                let command = CreateOverride::new(id, valid(&user), from, to, None).unwrap();
                agree(self.engine().execute(command, actor), expected, op);
            }
            other => panic!("not on schedules: {other:?}"),
        }
    }

    /// A target as the engine and as the model know it; `None` where something of it is not here.
    fn target(&self, target: &LayerTarget, org: usize) -> Option<(Target, Option<model::Target>)> {
        match target {
            LayerTarget::Schedule(pick) => {
                let (id, index) = self.schedule(*pick, org);
                Some((Target::Schedule(id), index.map(model::Target::Schedule)))
            }
            LayerTarget::Users(picks) => {
                let users: Vec<_> = picks.iter().map(|pick| self.user(*pick, org)).collect();
                // A user twice is refused before it gets to a command.
                let made = Target::users(users.iter().map(|(id, _)| valid(id)).collect()).ok()?;
                let here: Option<Vec<_>> = users.iter().map(|(_, index)| *index).collect();
                Some((made, here.map(model::Target::Users)))
            }
        }
    }

    /// The layer of a policy at a place, or one that nobody made.
    fn layer(&self, org: usize, policy: Option<usize>, layer: usize) -> (PolicyLayerId, Option<usize>) {
        let layers = policy.map(|policy| self.orgs[org].policies[policy].layers.as_slice()).unwrap_or_default();
        let unknown = (PolicyLayerId::from_bytes([0xEE; 16]), None);
        layers.get(layer).map_or(unknown, |found| (valid(&found.id), Some(layer)))
    }

    fn policy_op(&mut self, op: &EscalationOp, org: usize, me: usize, actor: &Actor) {
        let now = self.now();
        let changed = match op {
            EscalationOp::CreatePolicy { name } => {
                let expected = self.orgs[org].create_policy(me, now, name);
                let command = CreatePolicy { name: valid(name), description: None };
                agree(self.engine().execute(command, actor), expected, op).map(|(made, index)| {
                    self.orgs[org].policies[index].id = made.id.to_string();
                    index
                })
            }
            EscalationOp::RenamePolicy { policy, name } => {
                let (id, index) = self.policy(*policy, org);
                let expected = self.orgs[org].rename_policy(me, index, name);
                let command = EditPolicy { id, name: Some(valid(name)), description: Patch::Keep };
                agree(self.engine().execute(command, actor), expected, op).map(|(_, index)| index)
            }
            EscalationOp::DeletePolicy { policy } => {
                let (id, index) = self.policy(*policy, org);
                let expected = self.orgs[org].delete_policy(me, index);
                agree(self.engine().execute(DeletePolicy { id }, actor), expected, op);
                None
            }
            EscalationOp::RemoveLayer { policy, layer } => {
                let (policy, index) = self.policy(*policy, org);
                let (layer, place) = self.layer(org, index, *layer);
                let expected = self.orgs[org].remove_layer(me, index, place);
                let command = RemovePolicyLayer { policy_id: policy, layer_id: layer };
                agree(self.engine().execute(command, actor), expected, op).map(|(_, index)| index)
            }
            EscalationOp::OrderLayers { policy, by } => {
                let (policy, index) = self.policy(*policy, org);
                let layers = index.map(|index| self.orgs[org].policies[index].layers.as_slice()).unwrap_or_default();
                let mut layer_ids: Vec<_> = layers.iter().map(|layer| valid(&layer.id)).collect();
                if !layer_ids.is_empty() {
                    let by = by % layer_ids.len();
                    layer_ids.rotate_left(by);
                }
                let expected = self.orgs[org].order_layers(me, index, *by);
                let command = OrderPolicyLayers { policy_id: policy, layer_ids };
                agree(self.engine().execute(command, actor), expected, op).map(|(_, index)| index)
            }
            _ => self.layer_op(op, org, me, actor),
        };
        if let Some(index) = changed {
            let id = valid(&self.orgs[org].policies[index].id);
            let policy = self.engine().query(&GetPolicy { id }, actor).unwrap();
            assert_eq!(shown(&policy), self.orgs[org].policies[index].shown(&self.orgs[org]), "{op:?}");
        }
    }

    fn layer_op(&mut self, op: &EscalationOp, org: usize, me: usize, actor: &Actor) -> Option<usize> {
        let at = |position: u32| Position::new(i64::from(position)).unwrap();
        let timeout = |minutes: i64| AckTimeout::from_minutes(minutes).unwrap();
        match op {
            EscalationOp::AddLayer { policy, position, minutes, target } => {
                let (policy, index) = self.policy(*policy, org);
                let (target, here) = self.target(target, org)?;
                let new = NewLayer { position: Some(*position), minutes: Some(*minutes), target: Some(here) };
                let expected = self.orgs[org].add_layer(me, index, new);
                let command = AddPolicyLayer {
                    policy_id: policy,
                    position: at(*position),
                    ack_timeout: timeout(*minutes),
                    target,
                };
                let (made, (index, place)) = agree(self.engine().execute(command, actor), expected, op)?;
                self.orgs[org].policies[index].layers[place].id = made.id.to_string();
                Some(index)
            }
            EscalationOp::EditLayer { policy, layer, position, minutes, target } => {
                let (policy, index) = self.policy(*policy, org);
                let (layer, place) = self.layer(org, index, *layer);
                let target = match target {
                    Some(target) => Some(self.target(target, org)?),
                    None => None,
                };
                let here = target.as_ref().map(|(_, here)| here.clone());
                let new = NewLayer { position: *position, minutes: *minutes, target: here };
                let expected = self.orgs[org].edit_layer(me, (index, place), new);
                let command = EditPolicyLayer {
                    policy_id: policy,
                    layer_id: layer,
                    position: position.map(at),
                    ack_timeout: minutes.map(timeout),
                    target: target.map(|(target, _)| target),
                };
                agree(self.engine().execute(command, actor), expected, op).map(|(_, index)| index)
            }
            other => panic!("not on layers: {other:?}"),
        }
    }

    fn respond(&mut self, op: &EscalationOp, org: usize, me: usize, actor: &Actor) {
        let now = self.now();
        let changed = match op {
            EscalationOp::Acknowledge { incident } => {
                let (id, index) = self.incident(*incident, org);
                let expected = self.orgs[org].acknowledge(me, now, index);
                agree(self.engine().execute(AcknowledgeIncident { id }, actor), expected, op)
            }
            EscalationOp::HandOff { incident, target } => {
                let (id, index) = self.incident(*incident, org);
                let (user, who) = self.user(*target, org);
                let expected = self.orgs[org].hand_off(me, now, index, who);
                agree(self.engine().execute(HandOffIncident { id, target_user_id: valid(&user) }, actor), expected, op)
            }
            other => panic!("not a response: {other:?}"),
        };
        if let Some((view, index)) = changed {
            let model = &self.orgs[org];
            assert_eq!(render::incident(&view), model.incidents[index].shown(model), "{op:?}");
            self.compare_incident(org, actor, index);
        }
    }

    fn tick(&mut self, in_minutes: i64) {
        let now = self.now() + in_minutes * 60_000;
        let mut overdue = Vec::new();
        for (org, model) in self.orgs.iter().enumerate() {
            let due = model.overdue(now).into_iter();
            overdue.extend(due.map(|(due, incident, index)| (due, model.id.clone(), incident, org, index)));
        }
        overdue.sort();
        let ticked = self.engine().tick(Timestamp::clamped(now)).unwrap();
        assert_eq!((ticked.fired, ticked.failed), (overdue.len(), 0));
        for (_, _, _, org, index) in overdue {
            self.orgs[org].time_out(index, now);
            let admin = self.admin(org);
            self.compare_incident(org, &admin, index);
        }
    }

    /// A member who may look at everything.
    fn admin(&self, org: usize) -> Actor {
        let admin = self.orgs[org].members.iter().position(|member| !member.removed && member.admin);
        self.actor(org, admin.expect("every organization has an admin, always"))
    }

    fn claim(&mut self, limit: usize, lease: Duration) {
        let now = self.now();
        let mut lines = Vec::new();
        for (org, model) in self.orgs.iter().enumerate() {
            let ready = model.claimable(now).into_iter();
            lines.extend(ready.map(|(ready, id, line)| (ready, model.id.clone(), id, org, line)));
        }
        lines.sort();
        lines.truncate(limit);
        let claimed = self.engine().claim(limit, lease).unwrap();
        assert_eq!(claimed.len(), lines.len());
        for (got, (_, _, _, org, line)) in claimed.iter().zip(lines) {
            let model = &mut self.orgs[org];
            let letter = model.first_letter(line).unwrap();
            model.letters[letter].attempts += 1;
            model.ready.insert(line, now + Millis::try_from(lease.as_millis()).unwrap());
            assert_eq!(render::notification(got), model.shown_letter(&model.letters[letter]));
            let attempt = model.letters[letter].attempts;
            self.claims.push(Claimed { receipt: got.receipt(), org, letter, attempt });
        }
    }

    fn confirm(&mut self, claim: usize) {
        let Some(claim) = self.claims.iter().rev().nth(claim) else { return };
        let now = self.now();
        let model = &mut self.orgs[claim.org];
        let letter = &mut model.letters[claim.letter];
        let fresh = !std::mem::replace(&mut letter.done, true);
        if fresh {
            model.ready.insert(letter.line, now);
        }
        assert_eq!(self.engine.as_ref().unwrap().confirm(&[claim.receipt]).unwrap(), usize::from(fresh));
    }

    fn give_back(&mut self, claim: usize, seconds: u64) {
        let Some(claim) = self.claims.iter().rev().nth(claim) else { return };
        let now = self.now();
        let model = &mut self.orgs[claim.org];
        let letter = &model.letters[claim.letter];
        let held = !letter.done && letter.attempts == claim.attempt && now < model.ready[&letter.line];
        let after = Duration::from_secs(seconds);
        if held {
            model.ready.insert(letter.line, now + Millis::try_from(after.as_millis()).unwrap());
        }
        let engine = self.engine.as_ref().unwrap();
        assert_eq!(engine.give_back(&[claim.receipt], after).unwrap(), usize::from(held));
    }

    pub(super) fn compare_deadline(&self) {
        let due = self.orgs.iter().flat_map(|org| &org.incidents).filter_map(|one| one.run.as_ref()?.due).min();
        assert_eq!(self.engine().next_deadline().unwrap().map(millis), due);
    }

    /// Compares every line of the outbox.
    fn compare_pages(&self) {
        for (org, model) in self.orgs.iter().enumerate() {
            let admin = self.admin(org);
            for (index, member) in model.members.iter().enumerate() {
                let line = model::Line::Member(index);
                let waiting = model.letters.iter().filter(|letter| letter.line == line && !letter.done);
                let expected: Vec<_> = waiting.map(|letter| model.shown_letter(letter)).collect();
                let got = self.engine().query(&ListNotifications::of(valid(&member.id)), &admin).unwrap();
                assert_eq!(got.iter().map(render::notification).collect::<Vec<_>>(), expected);
            }
        }
    }

    pub(super) fn compare_policies(&self, org: usize, actor: &Actor) {
        let model = &self.orgs[org];
        let mut expected: Vec<_> = model.policies.iter().filter(|policy| !policy.deleted).collect();
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        let listed = self.engine().query(&ListPolicies, actor).unwrap();
        assert_eq!(listed.len(), expected.len());
        for (policy, expected) in listed.iter().zip(expected) {
            let policy = self.engine().query(&GetPolicy { id: policy.id }, actor).unwrap();
            assert_eq!(shown(&policy), expected.shown(model));
        }
        self.compare_pages();
    }
}

fn shown(policy: &PolicyView) -> String {
    let target = |target: &Target| match target {
        Target::Schedule(id) => id.to_string(),
        Target::Users(users) => users.as_slice().iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let layers = policy.layers.iter().map(|layer| {
        let (position, minutes) = (layer.position.get(), layer.ack_timeout.minutes());
        format!("{} at {position} for {minutes} pages {}; ", layer.id, target(&layer.target))
    });
    format!("{} {:?}: {}", policy.id, policy.name.as_str(), layers.collect::<String>())
}
