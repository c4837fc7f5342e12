//! How a run meets what is stored: which policy is attached, along which layers a run goes, and whom a layer reaches now
//! (contract, sections 6 and 9).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::run::{Chain, Reach};
use super::{Escalation, Input, Output, Policy, PolicyLayer, Run, RunLayer, Target, by_position, find};
use crate::command::Context;
use crate::error::Error;
use crate::id::{PolicyId, ScheduleId, UserId};
use crate::oncall;
use crate::time::Timestamp;
use crate::world::{Change, World, Write};

/// What a run did at its start or with an input.
pub(crate) struct Step {
    /// The escalation of the incident afterwards.
    pub(crate) escalation: Escalation,
    /// What the run did, in order.
    pub(crate) outputs: Vec<Output>,
}

/// The policy for a new incident: the one that is named, else the one with a layer that targets the schedule; several: smallest
/// position of such a layer, then oldest policy (contract, section 6). Code: `not_found` for a named one.
pub(crate) fn attached(
    world: &dyn World,
    named: Option<PolicyId>,
    schedule: Option<ScheduleId>,
) -> Result<Option<Policy>, Error> {
    if let Some(id) = named {
        return find(world, id).map(Some);
    }
    let Some(schedule) = schedule else { return Ok(None) };
    match world.policy_for_schedule(schedule)? {
        Some(id) => Ok(Some(world.policy(id)?.ok_or_else(|| Error::broken("a policy layer without its policy"))?)),
        None => Ok(None),
    }
}

/// Starts a run of a policy on its present revision, which is in use from then on.
pub(crate) fn begin(cx: &mut Context<'_>, policy: Policy) -> Result<Step, Error> {
    let mut lookups = Lookups::at(cx.now);
    lookups.keep(&policy, cx.world.policy_layers(policy.id)?);
    let (id, revision) = (policy.id, policy.revision);
    if !policy.in_use {
        let used = Policy { in_use: true, ..policy.clone() };
        cx.write(Write::Policy(Change::edited(policy, used)));
    }
    let mut chain = LiveChain { world: cx.world, policy: id, revision, lookups: &mut lookups };
    let (run, outputs) = Run::start(cx.now, &mut chain)?;
    Ok(Step { escalation: Escalation { policy_id: id, revision, run }, outputs })
}

/// Gives an input to the run of an incident.
pub(crate) fn step(world: &dyn World, before: Escalation, input: Input, lookups: &mut Lookups) -> Result<Step, Error> {
    let Escalation { policy_id: policy, revision, run } = before;
    let now = lookups.now;
    let (run, outputs) = run.step(input, now, &mut LiveChain { world, policy, revision, lookups })?;
    Ok(Step { escalation: Escalation { run, ..before }, outputs })
}

/// What has been looked up for one instant: the layers of revisions, and whom each reaches then.
///
/// Many runs that are due at once go along the same few layers. While they fire, nothing changes that is looked up here.
#[derive(Debug)]
pub struct Lookups {
    now: Timestamp,
    revisions: BTreeMap<(PolicyId, u32), Vec<Rung>>,
}

/// A layer of a revision.
#[derive(Debug)]
struct Rung {
    layer: RunLayer,
    target: Target,
    /// Whom it reaches at the instant of the lookups; `None` until that is asked for.
    users: Option<Vec<UserId>>,
}

impl Lookups {
    /// Lookups for an instant, with nothing looked up yet.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self { now, revisions: BTreeMap::new() }
    }

    /// The instant for which they are.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Goes on to another instant with the same layers: whom they reach is looked up again.
    pub(super) fn go_on_to(&mut self, now: Timestamp) {
        self.now = now;
        self.revisions.values_mut().flatten().for_each(|rung| rung.users = None);
    }

    /// Adds the layers of a policy's present revision, so that they are not looked up.
    pub(super) fn keep(&mut self, policy: &Policy, layers: Vec<PolicyLayer>) {
        self.revisions.insert((policy.id, policy.revision), rungs(layers));
    }

    /// The layers of a revision, by position, looked up if they have not been.
    fn rungs(&mut self, world: &dyn World, policy: PolicyId, revision: u32) -> Result<&mut [Rung], Error> {
        Ok(match self.revisions.entry((policy, revision)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(rungs(layers_of(world, policy, revision)?)),
        })
    }
}

/// Layers by position, before it is known whom they reach.
fn rungs(layers: Vec<PolicyLayer>) -> Vec<Rung> {
    let rung = |layer: PolicyLayer| Rung {
        layer: RunLayer { id: layer.id, position: layer.position.get(), ack_timeout: layer.ack_timeout },
        target: layer.target,
        users: None,
    };
    by_position(layers).into_iter().map(rung).collect()
}

/// The layers of a policy as they were in a revision, in any order.
fn layers_of(world: &dyn World, policy: PolicyId, revision: u32) -> Result<Vec<PolicyLayer>, Error> {
    let now = world.policy(policy)?.ok_or_else(|| Error::broken("a run without its policy"))?.revision;
    if now == revision {
        return world.policy_layers(policy);
    }
    Ok(world.past_policy_layers(policy, Some(revision))?.into_iter().map(|past| past.layer).collect())
}

/// The layers of one revision, read when they are first asked for; whom they reach is looked up at the instant of the lookups.
pub(super) struct LiveChain<'a> {
    pub(super) world: &'a dyn World,
    pub(super) policy: PolicyId,
    pub(super) revision: u32,
    pub(super) lookups: &'a mut Lookups,
}

impl Chain for LiveChain<'_> {
    fn above(&mut self, position: u32) -> Result<Option<Reach>, Error> {
        let now = self.lookups.now;
        let rungs = self.lookups.rungs(self.world, self.policy, self.revision)?;
        let Some(next) = rungs.iter_mut().find(|rung| rung.layer.position > position) else { return Ok(None) };
        let users = match &next.users {
            Some(users) => users.clone(),
            None => next.users.insert(reach(self.world, &next.target, now)?).clone(),
        };
        Ok(Some(Reach { layer: next.layer, users }))
    }
}

/// Whom a target reaches at an instant: members only, each once.
fn reach(world: &dyn World, target: &Target, now: Timestamp) -> Result<Vec<UserId>, Error> {
    let users = match target {
        Target::Users(users) => users.as_slice().to_vec(),
        Target::Schedule(id) => match world.schedule(*id)? {
            Some(schedule) => {
                let on_call = oncall::roster(world, &schedule, now)?.on_call(now);
                on_call.paging_targets.into_iter().map(|target| target.user_id).collect()
            }
            // A run keeps its layers when the policy lets go of a schedule, which may then be deleted.
            None => Vec::new(),
        },
    };
    let mut members = Vec::with_capacity(users.len());
    for user in users {
        if world.is_member(user)? {
            members.push(user);
        }
    }
    Ok(members)
}
