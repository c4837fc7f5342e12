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
pub use port::OnCallPort;
pub use query::{
    GetSchedule, ListOverrides, ListSchedules, OnCallAt, OnCallNow, ResolveOnCall, RotationLayerView, ScheduleOnCall,
    ScheduleView, ShiftsOnCall,
};
pub use roster::{FinalShift, Gap, LayerShifts, OnCall, OnCallTarget, Roster, Shifts};
pub use rotation::{Phase, Rotation, RotationSettings, Shift};

pub(crate) use leave::leave_schedules;

use crate::error::Error;
use crate::id::ScheduleId;
use crate::time::Timestamp;

/// The schedule with this id. Code: `not_found`.
fn find(world: &(impl OnCallPort + ?Sized), id: ScheduleId) -> Result<Schedule, Error> {
    world.schedule(id)?.ok_or_else(|| Error::not_found("schedule"))
}

/// Who is on call in a schedule from an instant on: its layers, with what held and ended later than that.
pub(crate) fn roster(
    world: &(impl OnCallPort + ?Sized),
    schedule: &Schedule,
    from: Timestamp,
) -> Result<Roster, Error> {
    let past = world.past_rotations(schedule.id, from)?;
    let orders = world.past_orders(schedule.id, from)?;
    let overrides = world.overrides(schedule.id, from)?;
    Ok(Roster::new(schedule, world.layers(schedule.id)?, past, orders, overrides))
}
