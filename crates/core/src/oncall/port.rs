//! How the rules read schedules.

use super::{Override, PastOrder, PastRotation, RotationLayer, Schedule};
use crate::error::Error;
use crate::id::{ScheduleId, UserId};
use crate::text::ScheduleName;
use crate::time::Timestamp;

/// The schedules of one organization, their layers and overrides, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait OnCallPort {
    /// The schedule with this id.
    fn schedule(&self, id: ScheduleId) -> Result<Option<Schedule>, Error> {
        let _ = id;
        Ok(None)
    }
    /// The schedule that has this name now.
    fn schedule_named(&self, name: &ScheduleName) -> Result<Option<ScheduleId>, Error> {
        let _ = name;
        Ok(None)
    }
    /// All schedules, by name.
    fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        Ok(Vec::new())
    }
    /// The layers of a schedule as they are now, in any order.
    fn layers(&self, schedule: ScheduleId) -> Result<Vec<RotationLayer>, Error> {
        let _ = schedule;
        Ok(Vec::new())
    }
    /// The rotations that layers of a schedule had, also removed layers, and that ended later than `after`.
    fn past_rotations(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<PastRotation>, Error> {
        let _ = (schedule, after);
        Ok(Vec::new())
    }
    /// The orders in which the layers of a schedule were, and that ended later than `after`.
    fn past_orders(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<PastOrder>, Error> {
        let _ = (schedule, after);
        Ok(Vec::new())
    }
    /// The overrides of a schedule that end later than `after`.
    fn overrides(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<Override>, Error> {
        let _ = (schedule, after);
        Ok(Vec::new())
    }
    /// The schedules with a layer of which the user is a participant now; one may be listed several times.
    fn rotations_of(&self, user: UserId) -> Result<Vec<ScheduleId>, Error> {
        let _ = user;
        Ok(Vec::new())
    }
    /// The overrides that put the user on call and end later than `after`.
    fn overrides_of(&self, user: UserId, after: Timestamp) -> Result<Vec<Override>, Error> {
        let _ = (user, after);
        Ok(Vec::new())
    }
}
