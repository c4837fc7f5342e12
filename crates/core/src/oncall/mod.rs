//! On-call schedules: rotation layers, overrides, and who is on call (contract, sections 7 and 8).
//!
//! A schedule has a time zone and rotation layers in an order. Each layer is a rotation: participants take turns of a number of
//! days, which begin at a handoff time. The participant of the first active layer owns the schedule; the participants of all
//! active layers are paged. An override puts one member in the owner's stead for a stretch of time. Commands:
//!
//! - [`CreateSchedule`], [`EditSchedule`] and [`DeleteSchedule`];
//! - [`AddRotationLayer`], [`EditRotationLayer`], [`OrderRotationLayers`] and [`RemoveRotationLayer`];
//! - [`CreateOverride`] and [`DeleteOverride`].
//!
//! Queries: [`ResolveOnCall`] for an instant, [`ShiftsOnCall`] for a range, [`OnCallNow`] over all schedules; [`GetSchedule`],
//! [`ListSchedules`] and [`ListOverrides`] for what is stored.
//!
//! One resolver answers every question: a [`Roster`] holds all that is needed for a stretch of time and is a pure function of
//! the instant. The past stays true because an edit never changes a rotation that has held: it ends that rotation now and
//! begins a new one ([`PastRotation`], [`PastOrder`]).
//!
//! The arithmetic of turns is in [`Rotation`]; how a schedule is paged is in [`crate::escalation`].

mod commands;
mod layers;
mod leave;
mod model;
mod overrides;
mod port;
mod query;
mod roster;
mod rotation;

pub use commands::{CreateSchedule, DeleteSchedule, EditSchedule};
pub use layers::{AddRotationLayer, EditRotationLayer, LayerSettings, OrderRotationLayers, RemoveRotationLayer};
pub use model::{
    HandoffTime, Override, PastOrder, PastRotation, RotationLayer, RotationLength, RotationType, Schedule,
};
pub use overrides::{CreateOverride, DeleteOverride};
pub use port::{OnCallPort, Past, Remains};
pub use query::{
    GetSchedule, ListOverrides, ListSchedules, OnCallAt, OnCallNow, ResolveOnCall, RotationLayerView, ScheduleOnCall,
    ScheduleView, ShiftsOnCall,
};
pub use roster::{FinalShift, Gap, LayerShifts, OnCall, OnCallTarget, Roster, Shifts, Standing};
use roster::{LOOK_AHEAD, NextChange};
pub use rotation::{Phase, Rotation, RotationSettings, Shift};

pub(crate) use commands::clear;
pub(crate) use leave::leave_schedules;
use leave::{Leaving, find_to_change, layers_now, schedule_to_change};

use std::time::Duration;

use crate::error::Error;
use crate::id::ScheduleId;
use crate::removal::RemovalPort;
use crate::time::Timestamp;

/// The schedule with this id. Code: `not_found`.
fn find(world: &(impl OnCallPort + ?Sized), id: ScheduleId) -> Result<Schedule, Error> {
    world.schedule(id)?.ok_or_else(|| Error::not_found("schedule"))
}

/// Who is on call in a schedule at an instant.
pub(crate) fn roster<W>(world: &W, schedule: &Schedule, at: Timestamp) -> Result<Roster, Error>
where
    W: OnCallPort + RemovalPort + ?Sized,
{
    roster_of(world, schedule, Past::at(at), &Leaving::of(world)?)
}

/// Who is on call in a schedule in a part of its past, and after that as far as it is known.
fn roster_of(
    world: &(impl OnCallPort + ?Sized),
    schedule: &Schedule,
    past: Past,
    leaving: &Leaving,
) -> Result<Roster, Error> {
    let mut rotations = world.past_rotations(schedule.id, past)?;
    let orders = world.past_orders(schedule.id, past)?;
    let overrides = leaving.overrides(schedule, world.overrides(schedule.id, past.after)?);
    let known = past.known_until(&rotations, &orders);
    let layers = leaving.layers(schedule, world.layers(schedule.id)?, &mut rotations);
    Ok(Roster::new(schedule, layers, rotations, orders, overrides).known_until(known))
}

/// Who is on call in a schedule at an instant: as it was found before, unless something has changed since.
fn on_call(
    world: &(impl OnCallPort + ?Sized),
    schedule: &Schedule,
    at: Timestamp,
    leaving: &Leaving,
) -> Result<OnCall, Error> {
    // What was may be asked for once; what is will be asked for again. What somebody leaves in parts is not kept.
    if at < schedule.changed_at || !leaving.is_empty() {
        return Ok(roster_of(world, schedule, Past::at(at), leaving)?.on_call(at));
    }
    if let Some(known) = world.standing(schedule.id)?.filter(|known| known.holds(at)) {
        return Ok(known.on_call);
    }
    let standing = roster_of(world, schedule, Past::after(at), leaving)?.standing(at);
    world.keep_standing(schedule.id, &standing);
    Ok(standing.on_call)
}

/// How far it is looked first for what changes next: 8 days, and 8 edits of each layer. Then 8 times as far, again and again.
const FIRST_LOOK: Duration = Duration::from_secs(8 * 24 * 60 * 60);
const FIRST_EDITS: usize = 8;
const FARTHER: u32 = 8;

/// Who is on call in a schedule at an instant, and when that changes: see [`Roster::next_change`].
fn on_call_and_next_change<W>(
    world: &W,
    schedule: &Schedule,
    at: Timestamp,
) -> Result<(OnCall, Option<Timestamp>), Error>
where
    W: OnCallPort + RemovalPort + ?Sized,
{
    let leaving = Leaving::of(world)?;
    let mut look = FIRST_LOOK;
    // Nothing has ended after the last edit.
    let mut past = if at < schedule.changed_at {
        Past { after: at, before: at.plus(look), most: FIRST_EDITS }
    } else {
        Past::after(at)
    };
    let mut roster = roster_of(world, schedule, past, &leaving)?;
    let now = roster.on_call(at);
    let (mut at, mut left) = (at, LOOK_AHEAD);
    loop {
        match roster.look_for_change(&now, at, &mut left) {
            NextChange::At(change) => return Ok((now, Some(change))),
            NextChange::Never => return Ok((now, None)),
            NextChange::Unknown(from) => {
                at = Timestamp::clamped(from.as_millis().saturating_sub(1));
                look = look.saturating_mul(FARTHER);
                let most = past.most.saturating_mul(usize::try_from(FARTHER).unwrap_or(usize::MAX));
                past = Past { after: at, before: at.plus(look), most };
                roster = roster_of(world, schedule, past, &leaving)?;
            }
        }
    }
}
