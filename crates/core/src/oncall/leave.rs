//! What happens on call when a member leaves the organization (contract, section 4): they leave every rotation, and their
//! overrides end.

use std::collections::BTreeMap;

use super::layers::revise;
use super::{Override, overrides};
use crate::command::Context;
use crate::error::Error;
use crate::id::{ScheduleId, UserId};
use crate::world::{Change, Write};

/// Takes a member out of every rotation, and ends their running and future overrides: from now on or, when the clock has jumped
/// back, from the last change of each schedule on, so that the past stays true.
pub(crate) fn leave_schedules(cx: &mut Context<'_>, user: UserId) -> Result<(), Error> {
    let mut schedules: BTreeMap<ScheduleId, Vec<Override>> = BTreeMap::new();
    for id in cx.world.rotations_of(user)? {
        schedules.entry(id).or_default();
    }
    for one in cx.world.overrides_of(user, cx.now)? {
        schedules.entry(one.schedule_id).or_default().push(one);
    }
    for (id, overrides) in schedules {
        // What is left of a deleted schedule goes with it.
        let Some(before) = cx.world.schedule(id)? else { continue };
        let mut after = before.clone();
        let now = after.begin_change(cx.now);
        for layer in cx.world.layers(id)? {
            let mut input = layer.rotation.settings();
            if input.participants.contains(&user) {
                input.participants = input.participants.iter().copied().filter(|other| *other != user).collect();
                revise(cx, &layer, layer.name.clone(), input, now);
            }
        }
        for one in overrides.into_iter().filter(|one| now < one.ends_at) {
            overrides::end(cx, one, now);
        }
        if after != before {
            cx.write(Write::Schedule(Box::new(Change::edited(before, after))));
        }
    }
    Ok(())
}
