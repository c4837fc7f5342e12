//! Where a run meets the world: which policy is attached, which layers a run goes along, whom a layer reaches now.

use super::{Chain, Escalation, Input, Output, Policy, PolicyLayer, Reach, Run, RunLayer, Target, by_position, find};
use crate::command::Context;
use crate::error::Error;
use crate::id::{PolicyId, ScheduleId, UserId};
use crate::oncall;
use crate::organization::active_member;
use crate::time::Timestamp;
use crate::world::{Change, World, Write};

/// What an input came to.
pub(crate) struct Step {
    /// The escalation afterwards.
    pub(crate) escalation: Escalation,
    /// What the run did.
    pub(crate) outputs: Vec<Output>,
}

/// The policy for a new incident: the one that was named, else the one whose layer targets the schedule (contract,
/// section 6). Code: `not_found` for a named one.
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

/// Starts a run of a policy on the layers it has now.
pub(crate) fn begin(cx: &mut Context<'_>, policy: Policy) -> Result<Step, Error> {
    let layers = Some(by_position(cx.world.policy_layers(policy.id)?));
    let (id, revision) = (policy.id, policy.revision);
    if !policy.in_use {
        let used = Policy { in_use: true, ..policy.clone() };
        cx.write(Write::Policy(Change::edited(policy, used)));
    }
    let mut chain = LiveChain { world: cx.world, now: cx.now, policy: id, revision, layers };
    let (run, outputs) = Run::start(cx.now, &mut chain)?;
    Ok(Step { escalation: Escalation { policy: id, revision, run }, outputs })
}

/// Gives an input to the run of an incident.
pub(crate) fn step(world: &dyn World, before: Escalation, input: Input, now: Timestamp) -> Result<Step, Error> {
    let Escalation { policy, revision, run } = before;
    let mut chain = LiveChain { world, now, policy, revision, layers: None };
    let (run, outputs) = run.step(input, now, &mut chain)?;
    Ok(Step { escalation: Escalation { run, ..before }, outputs })
}

/// The layers of one revision, read when they are first asked for; whom they reach is looked up live.
pub(super) struct LiveChain<'a> {
    pub(super) world: &'a dyn World,
    pub(super) now: Timestamp,
    pub(super) policy: PolicyId,
    pub(super) revision: u32,
    pub(super) layers: Option<Vec<PolicyLayer>>,
}

impl LiveChain<'_> {
    fn layers(&mut self) -> Result<&[PolicyLayer], Error> {
        if self.layers.is_none() {
            let policy = self.world.policy(self.policy)?;
            let policy = policy.ok_or_else(|| Error::broken("a run without its policy"))?;
            let layers = if policy.revision == self.revision || sabotaged!(SnapshotIsLive) {
                self.world.policy_layers(self.policy)?
            } else {
                let past = self.world.past_policy_layers(self.policy, Some(self.revision))?;
                past.into_iter().map(|past| past.layer).collect()
            };
            self.layers = Some(by_position(layers));
        }
        Ok(self.layers.as_deref().unwrap_or_default())
    }
}

impl Chain for LiveChain<'_> {
    fn above(&mut self, position: u32) -> Result<Option<Reach>, Error> {
        let (world, now) = (self.world, self.now);
        let Some(next) = self.layers()?.iter().find(|layer| layer.position.get() > position) else { return Ok(None) };
        let users = reach(world, &next.target, now)?;
        let layer = RunLayer { id: next.id, position: next.position.get(), timeout: next.timeout };
        Ok(Some(Reach { layer, users }))
    }
}

/// Whom a target reaches at an instant: members only, each once.
fn reach(world: &dyn World, target: &Target, now: Timestamp) -> Result<Vec<UserId>, Error> {
    let users = match target {
        Target::Users(users) => users.clone(),
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
        if active_member(world, user)?.is_some() || sabotaged!(FormerMembersArePaged) {
            members.push(user);
        }
    }
    Ok(members)
}
