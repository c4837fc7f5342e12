//! What rules see of schedules.

use super::{Override, PastOrder, PastRotation, RotationLayer, Schedule};
use crate::error::Error;
use crate::id::{ScheduleId, UserId};
use crate::text::ScheduleName;
use crate::time::Timestamp;

/// Schedules, their layers and overrides of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The cost of each is that of its answer,
/// however much else there is.
pub trait OnCallPort {
    /// A schedule.
    fn schedule(&self, id: ScheduleId) -> Result<Option<Schedule>, Error>;
    /// The schedule that has this name now.
    fn schedule_named(&self, name: &ScheduleName) -> Result<Option<ScheduleId>, Error>;
    /// The schedules, by name.
    fn schedules(&self) -> Result<Vec<Schedule>, Error>;
    /// The layers of a schedule as they are now, in any order.
    fn layers(&self, schedule: ScheduleId) -> Result<Vec<RotationLayer>, Error>;
    /// What held for the layers of a schedule and ended after `after`.
    fn past_rotations(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<PastRotation>, Error>;
    /// The orders in which the layers of a schedule stood, and which ended after `after`.
    fn past_orders(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<PastOrder>, Error>;
    /// The overrides of a schedule that end after `after`.
    fn overrides(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<Override>, Error>;
    /// The schedules with a layer in which the user takes part now; one may appear several times.
    fn rotations_of(&self, user: UserId) -> Result<Vec<ScheduleId>, Error>;
    /// The overrides by the user that end after `after`.
    fn overrides_of(&self, user: UserId, after: Timestamp) -> Result<Vec<Override>, Error>;
}
