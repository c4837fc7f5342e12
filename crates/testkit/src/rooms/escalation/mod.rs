//! Schedules as far as escalation needs them, policies, runs and the outbox: the operations, and both sides of each; the model
//! is in [`model`].

pub(crate) mod model;

use dogwatch_core::escalation::{
    AckTimeout, AddPolicyLayer, CreatePolicy, DeletePolicy, EditPolicy, EditPolicyLayer, GetPolicy, ListPolicies,
    OrderPolicyLayers, PolicyView, Position, PreviewPolicy, RemovePolicyLayer, Target,
};
use dogwatch_core::id::{Id, PolicyLayerId};
use dogwatch_core::incident::{AcknowledgeIncident, HandOffIncident};
use dogwatch_core::oncall::{CreateOverride, CreateSchedule, DeleteSchedule};
use dogwatch_core::outbox::{ListNotifications, ListPages, Notification, Retried};
use dogwatch_core::{Actor, Patch, Timestamp};
use std::time::Duration;

use arbitrary::{Result, Unstructured};

use crate::fixture::valid;
use crate::model::Millis;
use crate::ops::{Pick, name, pick};
use crate::render;
use crate::rooms::integration::IntegrationModel;
use crate::rooms::status_page::MaintenanceModel;
use crate::run::{Claimed, Run, agree, millis};

pub(crate) use model::{
    Content, NewLayer, NotificationModel, Policy, RecipientModel, Schedule, Target as LayerTargetModel,
};

/// An operation on schedules, policies, runs and the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum EscalationOp {
    CreateSchedule {
        name: String,
    },
    DeleteSchedule {
        schedule: Pick,
    },
    StandIn {
        schedule: Pick,
        user: Pick,
        minutes: i64,
    },
    CreatePolicy {
        name: String,
    },
    RenamePolicy {
        policy: Pick,
        name: String,
    },
    DeletePolicy {
        policy: Pick,
    },
    AddLayer {
        policy: Pick,
        position: u32,
        minutes: i64,
        target: LayerTarget,
    },
    EditLayer {
        policy: Pick,
        layer: usize,
        position: Option<u32>,
        minutes: Option<i64>,
        target: Option<LayerTarget>,
    },
    RemoveLayer {
        policy: Pick,
        layer: usize,
    },
    OrderLayers {
        policy: Pick,
        by: usize,
    },
    Preview {
        policy: Pick,
        in_minutes: i64,
    },
    Acknowledge {
        incident: Pick,
    },
    HandOff {
        incident: Pick,
        target: Pick,
    },
    /// A tick for the instant this many minutes from now.
    Tick {
        in_minutes: i64,
    },
    Claim {
        limit: usize,
        seconds: u64,
    },
    /// Confirms the claim at this place, counted from the latest one.
    Confirm {
        claim: usize,
    },
    GiveBack {
        claim: usize,
        seconds: u64,
    },
    Retry {
        claim: usize,
        seconds: u64,
    },
    Fail {
        claim: usize,
    },
}

/// The target that a policy layer shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the two targets of the contract")]
pub enum LayerTarget {
    Schedule(Pick),
    Users(Vec<Pick>),
}

pub(crate) fn operation(source: &mut Unstructured<'_>, org: usize) -> Result<EscalationOp> {
    let seconds = [0, 1, 30, 60, 3_600];
    Ok(match source.int_in_range(0..=32)? {
        0 => EscalationOp::CreateSchedule { name: name(source)? },
        1 => EscalationOp::DeleteSchedule { schedule: pick(source, org)? },
        2..=4 => EscalationOp::StandIn {
            schedule: pick(source, org)?,
            user: pick(source, org)?,
            minutes: *source.choose(&[1, 5, 7, 60, 1_440])?,
        },
        5 | 6 => EscalationOp::CreatePolicy { name: name(source)? },
        7 => EscalationOp::RenamePolicy { policy: pick(source, org)?, name: name(source)? },
        8 => EscalationOp::DeletePolicy { policy: pick(source, org)? },
        9..=12 => EscalationOp::AddLayer {
            policy: pick(source, org)?,
            position: source.int_in_range(1..=4)?,
            minutes: source.int_in_range(1..=10)?,
            target: target(source, org)?,
        },
        13 => EscalationOp::EditLayer {
            policy: pick(source, org)?,
            layer: source.int_in_range(0..=4)?,
            position: if source.arbitrary()? { Some(source.int_in_range(1..=4)?) } else { None },
            minutes: if source.arbitrary()? { Some(source.int_in_range(1..=10)?) } else { None },
            target: if source.arbitrary()? { Some(target(source, org)?) } else { None },
        },
        14 => EscalationOp::RemoveLayer { policy: pick(source, org)?, layer: source.int_in_range(0..=4)? },
        15 => EscalationOp::OrderLayers { policy: pick(source, org)?, by: source.int_in_range(0..=3)? },
        16 => EscalationOp::Preview { policy: pick(source, org)?, in_minutes: source.int_in_range(-5..=20)? },
        17 | 18 => EscalationOp::Acknowledge { incident: pick(source, org)? },
        19 | 20 => EscalationOp::HandOff { incident: pick(source, org)?, target: pick(source, org)? },
        21..=24 => EscalationOp::Tick { in_minutes: *source.choose(&[0, 0, 1, 5, 10, 60, -1])? },
        25 | 26 => EscalationOp::Claim { limit: source.int_in_range(0..=4)?, seconds: *source.choose(&seconds)? },
        27 | 28 => EscalationOp::Confirm { claim: source.int_in_range(0..=3)? },
        29 => EscalationOp::Fail { claim: source.int_in_range(0..=3)? },
        30 | 31 => EscalationOp::Retry { claim: source.int_in_range(0..=3)?, seconds: *source.choose(&seconds)? },
        _ => EscalationOp::GiveBack { claim: source.int_in_range(0..=3)?, seconds: *source.choose(&seconds)? },
    })
}

fn target(source: &mut Unstructured<'_>, org: usize) -> Result<LayerTarget> {
    if source.ratio(1_u8, 3)? {
        return Ok(LayerTarget::Schedule(pick(source, org)?));
    }
    let count = source.int_in_range(1..=3)?;
    Ok(LayerTarget::Users((0..count).map(|_| pick(source, org)).collect::<Result<_>>()?))
}

impl Run<'_> {
    pub(crate) fn escalation(&mut self, op: &EscalationOp, org: usize, me: usize, actor: &Actor) {
        match op {
            EscalationOp::CreateSchedule { .. }
            | EscalationOp::DeleteSchedule { .. }
            | EscalationOp::StandIn { .. } => self.schedule_op(op, org, me, actor),
            EscalationOp::Acknowledge { .. } | EscalationOp::HandOff { .. } => self.respond(op, org, me, actor),
            EscalationOp::Tick { in_minutes } => self.tick(*in_minutes),
            EscalationOp::Claim { limit, seconds } => self.claim(*limit, Duration::from_secs(*seconds)),
            EscalationOp::Confirm { claim } => self.confirm(*claim),
            EscalationOp::GiveBack { claim, seconds } => self.give_back(*claim, *seconds),
            EscalationOp::Retry { claim, seconds } => self.retry(*claim, *seconds),
            EscalationOp::Fail { claim } => self.fail(*claim),
            EscalationOp::Preview { policy, in_minutes } => {
                let (id, index) = self.policy(*policy, org);
                let at = self.now() + in_minutes * 60_000;
                let expected = self.orgs[org].preview(me, index, at);
                let got = self.subject().query(&PreviewPolicy { id, at: Timestamp::clamped(at) }, actor);
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
                if let Some((made, index)) = agree(self.subject().execute(command, actor), expected, op) {
                    self.orgs[org].schedules[index].id = made.id.to_string();
                }
            }
            EscalationOp::DeleteSchedule { schedule } => {
                let (id, index) = self.schedule(*schedule, org);
                let expected = self.orgs[org].delete_schedule(me, index);
                agree(self.subject().execute(DeleteSchedule { id }, actor), expected, op);
            }
            EscalationOp::StandIn { schedule, user, minutes } => {
                let (id, index) = self.schedule(*schedule, org);
                let (user, who) = self.user(*user, org);
                let span = minutes * 60_000;
                let expected = self.orgs[org].stand_in(me, now, index, who, span);
                let (from, to) = (Timestamp::clamped(now), Timestamp::clamped(now + span));
                let command = CreateOverride::new(id, valid(&user), from, to);
                agree(self.subject().execute(command, actor), expected, op);
            }
            other => panic!("not on schedules: {other:?}"),
        }
    }

    /// A target as the engine and as the model know it; the model's is `None` where a part of it is not in the organization.
    fn target(&self, target: &LayerTarget, org: usize) -> Option<(Target, Option<LayerTargetModel>)> {
        match target {
            LayerTarget::Schedule(pick) => {
                let (id, index) = self.schedule(*pick, org);
                Some((Target::Schedule(id), index.map(LayerTargetModel::Schedule)))
            }
            LayerTarget::Users(picks) => {
                let users: Vec<_> = picks.iter().map(|pick| self.user(*pick, org)).collect();
                // A target that names a user twice is refused before it gets to a command.
                let made = Target::users(users.iter().map(|(id, _)| valid(id)).collect()).ok()?;
                let here: Option<Vec<_>> = users.iter().map(|(_, index)| *index).collect();
                Some((made, here.map(LayerTargetModel::Users)))
            }
        }
    }

    /// The id and the place of a policy's layer, if there is one at this place; else an id that nobody made.
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
                agree(self.subject().execute(command, actor), expected, op).map(|(made, index)| {
                    self.orgs[org].policies[index].id = made.id.to_string();
                    index
                })
            }
            EscalationOp::RenamePolicy { policy, name } => {
                let (id, index) = self.policy(*policy, org);
                let expected = self.orgs[org].rename_policy(me, index, name);
                let command = EditPolicy { id, name: Some(valid(name)), description: Patch::Keep };
                agree(self.subject().execute(command, actor), expected, op).map(|(_, index)| index)
            }
            EscalationOp::DeletePolicy { policy } => {
                let (id, index) = self.policy(*policy, org);
                let expected = self.orgs[org].delete_policy(me, index);
                agree(self.subject().execute(DeletePolicy { id }, actor), expected, op);
                None
            }
            EscalationOp::RemoveLayer { policy, layer } => {
                let (policy, index) = self.policy(*policy, org);
                let (layer, place) = self.layer(org, index, *layer);
                let expected = self.orgs[org].remove_layer(me, index, place);
                let command = RemovePolicyLayer { policy_id: policy, layer_id: layer };
                agree(self.subject().execute(command, actor), expected, op).map(|(_, index)| index)
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
                agree(self.subject().execute(command, actor), expected, op).map(|(_, index)| index)
            }
            _ => self.layer_op(op, org, me, actor),
        };
        if let Some(index) = changed {
            let id = valid(&self.orgs[org].policies[index].id);
            let policy = self.subject().query(&GetPolicy { id }, actor).unwrap();
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
                let (made, (index, place)) = agree(self.subject().execute(command, actor), expected, op)?;
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
                agree(self.subject().execute(command, actor), expected, op).map(|(_, index)| index)
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
                agree(self.subject().execute(AcknowledgeIncident::new(id), actor), expected, op)
            }
            EscalationOp::HandOff { incident, target } => {
                let (id, index) = self.incident(*incident, org);
                let (user, who) = self.user(*target, org);
                let expected = self.orgs[org].hand_off(me, now, index, who);
                agree(self.subject().execute(HandOffIncident { id, target_user_id: valid(&user) }, actor), expected, op)
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
        self.tick_at(self.now() + in_minutes * 60_000);
    }

    /// A tick: what is due goes on, the earliest first; what something before it has ended does not go on any more.
    pub(crate) fn tick_at(&mut self, now: Millis) {
        let mut overdue = Vec::new();
        for (org, model) in self.orgs.iter().enumerate() {
            let all = [model.overdue(now), model.overdue_alerts(now), model.overdue_maintenances(now)].concat();
            overdue.extend(all.into_iter().map(|(due, which, what)| (due, model.id.clone(), which, org, what)));
        }
        overdue.sort();
        let ticked = self.subject().tick(Timestamp::clamped(now)).unwrap();
        let (mut fired, mut changed) = (0, Vec::new());
        for (.., org, what) in overdue {
            let model = &mut self.orgs[org];
            if !model.is_due(what, now) {
                continue;
            }
            fired += 1;
            changed.extend(model.go_on(what, now).map(|incident| (org, incident)));
            model.tell_webhooks(now);
            model.follow_statuses(now);
        }
        assert_eq!((ticked.fired, ticked.failed), (fired, 0));
        changed.sort_unstable();
        changed.dedup();
        (0..2).for_each(|org| self.learn_alerted(org));
        for (org, index) in changed {
            self.compare_incident(org, &self.admin(org), index);
        }
    }

    /// An admin of the organization, who may see everything.
    pub(crate) fn admin(&self, org: usize) -> Actor {
        let admin = self.orgs[org].members.iter().position(|member| !member.removed && member.admin);
        self.actor(org, admin.expect("every organization has an admin, always"))
    }

    fn claim(&mut self, limit: usize, lease: Duration) {
        let now = self.now();
        let mut due = Vec::new();
        for (org, model) in self.orgs.iter().enumerate() {
            let later = model.fall_due(now).into_iter();
            due.extend(later.map(|(due, at, index)| (due, model.id.clone(), at, index, org)));
        }
        due.sort();
        due.into_iter().for_each(|(.., index, org)| self.orgs[org].put_in(index, now));
        let claimed = self.subject().claim(limit, lease).unwrap();
        let mut got = claimed.iter();
        let mut count = 0;
        // One transport after the other: what fails over one makes events for the last.
        for transport in 0..5 {
            self.claim_over(transport, (limit, lease), &mut count, &mut got);
        }
        assert_eq!(got.next(), None);
    }

    fn claim_over<'a>(
        &mut self,
        transport: usize,
        (limit, lease): (usize, Duration),
        count: &mut usize,
        got: &mut impl Iterator<Item = &'a Notification>,
    ) {
        let now = self.now();
        let mut inboxes = Vec::new();
        for (org, model) in self.orgs.iter().enumerate() {
            let ready = model.claimable(now).into_iter().filter(|(over, ..)| *over == transport);
            inboxes.extend(ready.map(|(_, ready, id, recipient)| (ready, model.id.clone(), id, org, recipient)));
        }
        inboxes.sort();
        for (.., org, recipient) in inboxes {
            if *count == limit {
                break;
            }
            let model = &mut self.orgs[org];
            // One whose contact method is gone has failed, and what is behind it waits for the next claim.
            if let Some(first) = model.first_notification(recipient).filter(|_| model.is_gone(recipient)) {
                model.fail(first, "the contact method was removed", now);
                model.tell_webhooks(now);
                continue;
            }
            // What nobody needs any more leaves the inbox.
            while let Some(first) = model.first_notification(recipient) {
                if !model.is_superseded(&model.notifications[first]) {
                    break;
                }
                (model.notifications[first].done, model.notifications[first].state) = (true, "superseded");
                model.ready.insert(recipient, now);
            }
            let Some(notification) = model.first_notification(recipient) else { continue };
            *count += 1;
            model.notifications[notification].attempts += 1;
            model.ready.insert(recipient, now + Millis::try_from(lease.as_millis()).unwrap());
            let got = got.next().expect("one that can be claimed was not");
            assert_eq!(render::notification(got), model.shown_notification(&model.notifications[notification]));
            let attempt = model.notifications[notification].attempts;
            self.learn_code(org, recipient, &got.message);
            self.learn_event(org, notification, got, &self.admin(org));
            let place = self.orgs[org].notifications[notification].place;
            self.claims.push(Claimed { receipt: got.receipt(), org, notification, attempt, place });
        }
    }

    fn confirm(&mut self, claim: usize) {
        let Some(claim) = self.claims.iter().rev().nth(claim) else { return };
        let (now, receipt, org) = (self.now(), claim.receipt, claim.org);
        let model = &mut self.orgs[org];
        let notification = &mut model.notifications[claim.notification];
        // What has left the inbox to come back later has another place.
        let fresh = !notification.done && notification.place == claim.place;
        notification.done |= fresh;
        // What is sent over Slack can be changed.
        let over_slack =
            matches!(notification.recipient, RecipientModel::Method(_, method) if model.contacts[method].address == 3);
        let sent_as = over_slack.then_some("D0/1.5");
        let mut incident = None;
        let mut late = false;
        if fresh {
            late = over_slack && model.is_superseded(&model.notifications[claim.notification]);
            let notification = &mut model.notifications[claim.notification];
            notification.editable = over_slack && matches!(notification.content, Content::Page(..));
            notification.state = "delivered";
            model.ready.insert(notification.recipient, now);
            if let (Some(user), Content::Page(_, index)) = (notification.recipient.user(), notification.content) {
                let details = format!(" for {}", model.members[user].id);
                model.incidents[index].happened("page_delivered", now, None, details);
                incident = Some(index);
            }
        }
        if late {
            self.orgs[org].edit_page(claim.notification, now);
        }
        assert_eq!(self.subject().confirm(receipt, sent_as).unwrap(), usize::from(fresh));
        if let Some(index) = incident {
            self.compare_incident(org, &self.admin(org), index);
        }
    }

    /// The claim at this place, counted from the latest one, and whether it still holds.
    fn held(&self, claim: usize) -> Option<(Claimed, bool)> {
        let claim = *self.claims.iter().rev().nth(claim)?;
        let model = &self.orgs[claim.org];
        let one = &model.notifications[claim.notification];
        let same = one.attempts == claim.attempt && one.place == claim.place;
        let held = !one.done && same && self.now() < model.ready[&one.recipient];
        Some((claim, held))
    }

    fn give_back(&mut self, claim: usize, seconds: u64) {
        let Some((claim, held)) = self.held(claim) else { return };
        let (now, after) = (self.now(), Duration::from_secs(seconds));
        if held {
            let model = &mut self.orgs[claim.org];
            let recipient = model.notifications[claim.notification].recipient;
            model.ready.insert(recipient, now + Millis::try_from(after.as_millis()).unwrap());
        }
        assert_eq!(self.subject().give_back(claim.receipt, after).unwrap(), usize::from(held));
    }

    fn retry(&mut self, claim: usize, seconds: u64) {
        let Some((claim, held)) = self.held(claim) else { return };
        let (now, asked) = (self.now(), Duration::from_secs(seconds));
        let mut expected = Retried::NotHeld;
        if held {
            let asked = Millis::try_from(asked.as_millis()).unwrap();
            let again = self.orgs[claim.org].retry(claim.notification, "busy", asked, now);
            expected = again.map_or(Retried::Failed, |at| Retried::At(Timestamp::clamped(at)));
        }
        assert_eq!(self.subject().retry(claim.receipt, "busy", Some(asked)).unwrap(), expected);
        self.compare_paged(claim);
    }

    fn fail(&mut self, claim: usize) {
        let Some((claim, held)) = self.held(claim) else { return };
        let now = self.now();
        if held {
            self.orgs[claim.org].fail(claim.notification, &format!("no such {}", "x".repeat(92)), now);
        }
        let reason = format!("no\nsuch {}", "x".repeat(200));
        assert_eq!(self.subject().fail(claim.receipt, &reason).unwrap(), usize::from(held));
        self.compare_paged(claim);
    }

    /// Compares the incident of a page that was claimed.
    fn compare_paged(&self, claim: Claimed) {
        if let Content::Page(_, index) = self.orgs[claim.org].notifications[claim.notification].content {
            self.compare_incident(claim.org, &self.admin(claim.org), index);
        }
    }

    pub(crate) fn compare_deadline(&self) {
        let runs = self.orgs.iter().flat_map(|org| &org.incidents).filter_map(|one| one.run.as_ref()?.due);
        let maintenances = self.orgs.iter().flat_map(|org| &org.maintenances).filter_map(MaintenanceModel::due);
        let alerts = self.orgs.iter().flat_map(|org| &org.integrations).filter_map(IntegrationModel::due);
        let due = runs.chain(maintenances).chain(alerts).min();
        assert_eq!(self.subject().next_deadline().unwrap().map(millis), due);
    }

    /// Compares the inboxes of all members with the model's.
    pub(crate) fn compare_pages(&self) {
        for (org, model) in self.orgs.iter().enumerate() {
            let admin = self.admin(org);
            for (index, member) in model.members.iter().enumerate() {
                let recipient = RecipientModel::Member(index);
                let waits = |one: &&NotificationModel| one.recipient == recipient && !one.done && one.place.is_some();
                let mut waiting: Vec<_> = model.notifications.iter().filter(waits).collect();
                waiting.sort_by_key(|one| one.place);
                let expected: Vec<_> = waiting.into_iter().map(|one| model.shown_notification(one)).collect();
                let mut query = ListNotifications::new(valid(&member.id));
                let mut got = Vec::new();
                // At most a hundred at a time.
                loop {
                    let some = self.subject().query(&query, &admin).unwrap();
                    let Some(last) = some.last() else { break };
                    query.after = last.number;
                    got.extend(some.iter().map(render::notification));
                }
                assert_eq!(got, expected);
            }
            for (index, incident) in model.incidents.iter().enumerate() {
                let got = self.subject().query(&ListPages::new(valid(&incident.id)), &admin).unwrap();
                assert_eq!(render::pages(&got.pages), model.shown_pages(index), "of {}", incident.id);
            }
        }
    }

    pub(crate) fn compare_policies(&self, org: usize, actor: &Actor) {
        let model = &self.orgs[org];
        let mut expected: Vec<_> = model.policies.iter().filter(|policy| !policy.deleted).collect();
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        let listed = self.subject().query(&ListPolicies, actor).unwrap();
        assert_eq!(listed.len(), expected.len());
        for (policy, expected) in listed.iter().zip(expected) {
            let policy = self.subject().query(&GetPolicy { id: policy.id }, actor).unwrap();
            assert_eq!(shown(&policy), expected.shown(model));
        }
        self.compare_pages();
        self.compare_contacts(org, actor);
    }
}

fn shown(policy: &PolicyView) -> String {
    let target = |target: &Target| match target {
        Target::Schedule(id) => id.to_string(),
        Target::Users(users) => users.as_slice().iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let layers = policy.layers.iter().flatten().map(|layer| {
        let (position, minutes) = (layer.position.get(), layer.ack_timeout.minutes());
        format!("{} at {position} for {minutes} pages {}; ", layer.id, target(&layer.target))
    });
    format!("{} {:?}: {}", policy.id, policy.name.as_str(), layers.collect::<String>())
}
