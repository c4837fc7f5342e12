//! What happens on call when a member leaves the organization (contract, section 4): they leave every rotation, and their
//! overrides end.
//!
//! Somebody may be in thousands of layers, which they leave in parts ([`crate::removal`]). In between, whoever asks finds the schedules as
//! they will be then ([`Leaving`]): nobody who has left is on call.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::layers::{keep, revised};
use super::{OnCallPort, Override, PastRotation, RotationLayer, Schedule, find, overrides};
use crate::command::Context;
use crate::error::Error;
use crate::id::{ScheduleId, UserId};
use crate::removal::RemovalPort;
use crate::time::Timestamp;
use crate::world::{Change, World, Write};

/// Takes somebody who left at `since` out of rotations, and ends their running and future overrides: from then on or, when a schedule
/// has changed later, from its last change on, so that the past stays true. Gives how many more may change of about `most` layers and
/// overrides; `None` when some are left.
pub(crate) fn leave_schedules(
    cx: &mut Context<'_>,
    user: UserId,
    since: Timestamp,
    most: usize,
) -> Result<Option<usize>, Error> {
    // One more says that some are left.
    let mut rotations = cx.world.rotations_of(user, most.saturating_add(1))?;
    let mut overrides = overrides_to_end(cx.world, user, since, most.saturating_add(1))?;
    let is_all = rotations.len().saturating_add(overrides.len()) <= most;
    rotations.truncate(most);
    overrides.truncate(most.saturating_sub(rotations.len()));

    let overrides = overrides.into_iter().map(|one| one.schedule_id);
    let schedules: BTreeSet<ScheduleId> = rotations.into_iter().chain(overrides).collect();
    let leaving = Leaving::of(cx.world)?.and(user, since);
    let mut room = most;
    for id in schedules {
        // A schedule is left as a whole.
        if room == 0 {
            return Ok(None);
        }
        if let Some(schedule) = cx.world.schedule(id)? {
            let layers = cx.world.layers(id)?;
            room = room.saturating_sub(leaving.leave(cx, schedule, layers)?.changes);
        }
    }
    Ok(is_all.then_some(room))
}

/// The schedule with this id and its layers, to be changed: whoever leaves the organization is out of it first, so that what was until then
/// stays as it was. Code: `not_found`.
pub(super) fn find_to_change(cx: &mut Context<'_>, id: ScheduleId) -> Result<(Schedule, Vec<RotationLayer>), Error> {
    let (schedule, layers) = (find(cx.world, id)?, cx.world.layers(id)?);
    let Left { schedule, layers, .. } = Leaving::of(cx.world)?.leave(cx, schedule, layers)?;
    Ok((schedule, layers))
}

/// As [`find_to_change`], for whoever needs no layers; and who leaves.
pub(super) fn schedule_to_change(cx: &mut Context<'_>, id: ScheduleId) -> Result<(Schedule, Leaving), Error> {
    let (schedule, leaving) = (find(cx.world, id)?, Leaving::of(cx.world)?);
    if leaving.is_empty() {
        return Ok((schedule, leaving));
    }
    let layers = cx.world.layers(id)?;
    Ok((leaving.leave(cx, schedule, layers)?.schedule, leaving))
}

/// The first `most` overrides of somebody that are not over when they leave. What is left of a deleted schedule goes with it.
fn overrides_to_end(world: &dyn World, user: UserId, since: Timestamp, most: usize) -> Result<Vec<Override>, Error> {
    let mut changes: BTreeMap<ScheduleId, Option<Timestamp>> = BTreeMap::new();
    let mut read = most;
    loop {
        let overrides = world.overrides_of(user, since, read)?;
        let is_all = overrides.len() < read;
        let mut found = Vec::new();
        for one in overrides {
            let change = match changes.entry(one.schedule_id) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => {
                    let schedule = world.schedule(one.schedule_id)?;
                    *unknown.insert(schedule.map(|schedule| since.max(schedule.changed_at)))
                }
            };
            if change.is_some_and(|now| now < one.ends_at) {
                found.push(one);
            }
        }
        if is_all || found.len() >= most {
            found.truncate(most);
            return Ok(found);
        }
        // When the clock was set back, some that are over look as if they were not.
        read = read.saturating_mul(2);
    }
}

/// A schedule that some have left.
struct Left {
    schedule: Schedule,
    layers: Vec<RotationLayer>,
    /// How many layers and overrides have changed.
    changes: usize,
}

/// A layer that somebody leaves at `since`, from `now` on, and what it was; `None` when they are no participant.
fn without(
    layer: &RotationLayer,
    user: UserId,
    since: Timestamp,
    now: Timestamp,
) -> Option<(RotationLayer, Option<PastRotation>)> {
    let mut settings = layer.rotation.settings();
    let is_there = settings.participants.contains(&user);
    settings.participants = settings.participants.iter().copied().filter(|other| *other != user).collect();
    is_there.then(|| {
        let (after, past) = revised(layer, settings, now);
        (RotationLayer { updated_at: since.max(layer.updated_at), ..after }, past)
    })
}

/// Those who have left the organization, and are not out of all rotations yet, in the order in which they left.
#[derive(Debug, Default)]
pub(super) struct Leaving(Vec<(Timestamp, UserId)>);

impl Leaving {
    pub(super) fn of(world: &(impl RemovalPort + ?Sized)) -> Result<Self, Error> {
        let leaving = world.leaving()?.into_iter().filter_map(|it| Some((it.since, it.what.member()?)));
        let mut leaving: Vec<_> = leaving.collect();
        leaving.sort_unstable();
        Ok(Self(leaving))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// And somebody else, who may be one of them.
    fn and(mut self, user: UserId, since: Timestamp) -> Self {
        self.0.push((since, user));
        self.0.sort_unstable();
        self.0.dedup();
        self
    }

    /// Has all of them leave a schedule.
    fn leave(&self, cx: &mut Context<'_>, before: Schedule, layers: Vec<RotationLayer>) -> Result<Left, Error> {
        let mut left = Left { schedule: before.clone(), layers, changes: 0 };
        for &(since, user) in &self.0 {
            let now = since.max(left.schedule.changed_at);
            let changes = left.changes;
            for layer in &mut left.layers {
                if let Some((after, past)) = without(layer, user, since, now) {
                    keep(cx, past);
                    cx.write(Write::RotationLayer(Box::new(Change::edited(layer.clone(), after.clone()))));
                    *layer = after;
                    left.changes = left.changes.saturating_add(1);
                }
            }
            for one in cx.world.overrides(before.id, now)?.into_iter().filter(|one| one.user_id == user) {
                overrides::end(cx, one, now);
                left.changes = left.changes.saturating_add(1);
            }
            if left.changes > changes {
                left.schedule.begin_change(since);
            }
        }
        if left.schedule != before {
            cx.write(Write::Schedule(Box::new(Change::edited(before, left.schedule.clone()))));
        }
        Ok(left)
    }

    /// The layers of a schedule as they are once everybody is out of them. What each was before goes to `past`.
    pub(super) fn layers(
        &self,
        schedule: &Schedule,
        layers: Vec<RotationLayer>,
        past: &mut Vec<PastRotation>,
    ) -> Vec<RotationLayer> {
        let leave = |mut layer: RotationLayer| {
            for &(since, user) in &self.0 {
                if let Some((after, was)) = without(&layer, user, since, since.max(schedule.changed_at)) {
                    past.extend(was);
                    layer = after;
                }
            }
            layer
        };
        layers.into_iter().map(leave).collect()
    }

    /// The overrides of a schedule as they are once those of everybody have ended.
    pub(super) fn overrides(&self, schedule: &Schedule, overrides: Vec<Override>) -> Vec<Override> {
        let end = |mut one: Override| {
            if let Some(&(since, _)) = self.0.iter().find(|(_, user)| *user == one.user_id) {
                one.ends_at = one.ends_at.min(since.max(schedule.changed_at));
            }
            (one.starts_at < one.ends_at).then_some(one)
        };
        overrides.into_iter().filter_map(end).collect()
    }
}

/// The layers of a schedule as callers see them.
pub(super) fn layers_now<W>(world: &W, schedule: &Schedule) -> Result<Vec<RotationLayer>, Error>
where
    W: OnCallPort + RemovalPort + ?Sized,
{
    Ok(Leaving::of(world)?.layers(schedule, world.layers(schedule.id)?, &mut Vec::new()))
}
