//! What happens on call when a member leaves the organization (contract, section 4): they leave every rotation, and their
//! overrides end.

use std::collections::BTreeSet;

use super::layers::revise;
use super::{find, overrides};
use crate::command::Context;
use crate::error::Error;
use crate::id::{ScheduleId, UserId};
use crate::world::{Change, Write};

/// Takes a member out of every rotation, and ends their running and future overrides: from now on or, when the clock has jumped
/// back, from the last change of each schedule on, so that the past stays true.
pub(crate) fn leave_schedules(cx: &mut Context<'_>, user: UserId) -> Result<(), Error> {
    let overrides = cx.world.overrides_of(user, cx.now)?;
    let mut schedules: BTreeSet<ScheduleId> = cx.world.rotations_of(user)?.into_iter().collect();
    schedules.extend(overrides.iter().map(|one| one.schedule_id));
    for id in schedules {
        let before = find(cx.world, id)?;
        let mut after = before.clone();
        let now = after.begin_change(cx.now);
        for layer in cx.world.layers(id)? {
            let mut input = layer.rotation.settings();
            if input.participants.contains(&user) {
                input.participants = input.participants.iter().copied().filter(|other| *other != user).collect();
                revise(cx, &layer, layer.name.clone(), input, now);
            }
        }
        for one in overrides.iter().filter(|one| one.schedule_id == id && now < one.ends_at) {
            overrides::end(cx, one.clone(), now);
        }
        if after != before {
            cx.write(Write::Schedule(Box::new(Change::edited(before, after))));
        }
    }
    Ok(())
}
