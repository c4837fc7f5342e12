//! How the rules read schedules.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Override, PastOrder, PastRotation, RotationLayer, Schedule, Standing};
use crate::error::Error;
use crate::id::{RotationLayerId, ScheduleId, UserId};
use crate::text::ScheduleName;
use crate::time::Timestamp;

/// Which part of what a schedule was is asked for. What held at an instant is a part that does not grow with later edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// What ended later than this,
    pub after: Timestamp,
    /// and began before this; with [`Timestamp::MAX`], whenever it began.
    pub before: Timestamp,
    /// Of each layer, and of the orders, only so many: the earliest.
    pub most: usize,
}

impl Past {
    /// All that ended later than an instant.
    #[must_use]
    pub const fn after(after: Timestamp) -> Self {
        Self { after, before: Timestamp::MAX, most: usize::MAX }
    }

    /// What held at an instant.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self { after: at, before: at.plus(Duration::from_millis(1)), most: usize::MAX }
    }

    /// Of what something was, by when it ended, that which is asked for.
    #[must_use]
    pub fn pick_orders(self, ascending: impl Iterator<Item = PastOrder>) -> Vec<PastOrder> {
        ascending.filter(|past| self.holds(past.since, past.until)).take(self.most).collect()
    }

    /// Of the rotations of several layers, by when they ended, those that are asked for.
    #[must_use]
    pub fn pick_rotations(self, ascending: impl Iterator<Item = PastRotation>) -> Vec<PastRotation> {
        let mut picked: BTreeMap<RotationLayerId, usize> = BTreeMap::new();
        let asked = ascending.filter(|past| self.holds(past.since, past.until)).filter(|past| {
            let count = picked.entry(past.layer_id).or_default();
            *count = count.saturating_add(1);
            *count <= self.most
        });
        asked.collect()
    }

    /// Until when nothing is missing that is not the present, after these were picked.
    pub(super) fn known_until(self, rotations: &[PastRotation], orders: &[PastOrder]) -> Timestamp {
        let mut ends: BTreeMap<RotationLayerId, (usize, Timestamp)> = BTreeMap::new();
        for past in rotations {
            let (count, last) = ends.entry(past.layer_id).or_insert((0, past.until));
            (*count, *last) = (count.saturating_add(1), past.until.max(*last));
        }
        let last_order = orders.iter().map(|past| past.until).max().unwrap_or(Timestamp::MAX);
        let cut = ends.into_values().chain([(orders.len(), last_order)]).filter(|(count, _)| *count >= self.most);
        cut.map(|(_, last)| last).chain([self.before]).min().unwrap_or(self.before)
    }

    /// Whether what held between two instants is asked for, if it is among the earliest.
    fn holds(self, since: Timestamp, until: Timestamp) -> bool {
        until > self.after && since < self.before
    }
}

/// Some of what is kept of what a schedule was, and of its overrides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remains {
    /// Rotations that its layers had.
    pub rotations: Vec<PastRotation>,
    /// Orders in which its layers were.
    pub orders: Vec<PastOrder>,
    /// Its overrides.
    pub overrides: Vec<Override>,
}

impl Remains {
    /// Those of a schedule, of which all are read.
    pub(crate) fn first_of_all(
        world: &(impl OnCallPort + ?Sized),
        schedule: ScheduleId,
        most: usize,
    ) -> Result<Self, Error> {
        let remains = Self {
            rotations: world.past_rotations(schedule, Past::after(Timestamp::MIN))?,
            orders: world.past_orders(schedule, Past::after(Timestamp::MIN))?,
            overrides: world.overrides(schedule, Timestamp::MIN)?,
        };
        Ok(remains.cut(most))
    }

    /// How many there are in all.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rotations.len().saturating_add(self.orders.len()).saturating_add(self.overrides.len())
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As many of them as are asked for.
    #[must_use]
    pub fn cut(mut self, most: usize) -> Self {
        self.rotations.truncate(most);
        self.orders.truncate(most.saturating_sub(self.rotations.len()));
        self.overrides.truncate(most.saturating_sub(self.rotations.len()).saturating_sub(self.orders.len()));
        self
    }
}

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
    /// The rotations that layers of a schedule had, also removed layers. See [`Past::pick_rotations`].
    fn past_rotations(&self, schedule: ScheduleId, past: Past) -> Result<Vec<PastRotation>, Error> {
        let _ = (schedule, past);
        Ok(Vec::new())
    }
    /// The orders in which the layers of a schedule were. See [`Past::pick_orders`].
    fn past_orders(&self, schedule: ScheduleId, past: Past) -> Result<Vec<PastOrder>, Error> {
        let _ = (schedule, past);
        Ok(Vec::new())
    }
    /// The overrides of a schedule that end later than `after`.
    fn overrides(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<Override>, Error> {
        let _ = (schedule, after);
        Ok(Vec::new())
    }
    /// What is kept of what a schedule was, also of one that was deleted, and its overrides: `most` of all that, or all when there is less.
    fn remains(&self, schedule: ScheduleId, most: usize) -> Result<Remains, Error> {
        Remains::first_of_all(self, schedule, most)
    }
    /// What was kept last with [`OnCallPort::keep_standing`] of a schedule, if nothing of it has changed since: neither the schedule,
    /// nor a layer, an override, or what they were.
    ///
    /// Whoever cannot tell says that there is none: then it is computed.
    fn standing(&self, schedule: ScheduleId) -> Result<Option<Standing>, Error> {
        let _ = schedule;
        Ok(None)
    }
    /// Keeps who is on call in a schedule, as it follows from what is read here, for whoever asks next. It need not be kept.
    fn keep_standing(&self, schedule: ScheduleId, standing: &Standing) {
        let _ = (schedule, standing);
    }
    /// The schedules of the layers of which the user is a participant now, one for each, at most `most`.
    fn rotations_of(&self, user: UserId, most: usize) -> Result<Vec<ScheduleId>, Error> {
        let _ = (user, most);
        Ok(Vec::new())
    }
    /// The overrides that put the user on call and end later than `after`, at most `most`.
    fn overrides_of(&self, user: UserId, after: Timestamp, most: usize) -> Result<Vec<Override>, Error> {
        let _ = (user, after, most);
        Ok(Vec::new())
    }
}
