//! Creating, changing and deleting schedules (contract, section 7).

use super::layers::revise;
use super::query::ScheduleView;
use super::{Schedule, find, find_to_change};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::id::ScheduleId;
use crate::integration::{Named, refers};
use crate::patch::Patch;
use crate::removal::{self, AT_ONCE, Removed};
use crate::text::{Description, ScheduleName};
use crate::time::Timestamp;
use crate::world::{Change, Write};
use crate::zone::Zone;
use crate::{checks, limits};

seal!(CreateSchedule, EditSchedule, DeleteSchedule);

/// Creates a schedule, without layers (contract, section 7). Codes, in the order of the checks: `invalid_timezone`,
/// `name_conflict`, `limit_reached`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSchedule {
    /// Its name: 1–255 characters, unique among the schedules of the organization.
    pub name: ScheduleName,
    /// What it is for: at most 1,000 characters.
    pub description: Option<Description>,
    /// Its time zone: an IANA name, spelled exactly; see [`Zone::new`].
    pub timezone: String,
}

impl CreateSchedule {
    /// A schedule with a name and a time zone, an IANA name such as `Europe/Berlin`.
    #[must_use]
    pub fn new(name: ScheduleName, timezone: impl Into<String>) -> Self {
        Self { name, description: None, timezone: timezone.into() }
    }
}

impl Command for CreateSchedule {
    type Caller = ByMember;
    type Reply = ScheduleView;
    const CODES: &'static [Code] = &[Code::InvalidTimezone, Code::NameConflict, Code::LimitReached];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<ScheduleView, Error> {
        let zone = Zone::of_place(&self.timezone)?;
        checks::name_is_free(cx.world.schedule_named(&self.name)?, None, "schedule", &self.name)?;
        cx.count(|counts| checks::one_more(&mut counts.schedules, limits::SCHEDULES, "schedules"))?;
        let schedule = Schedule {
            id: cx.ids.fresh(cx.now),
            org_id: cx.world.org_id(),
            name: self.name,
            description: self.description,
            zone,
            created_by: by.user_id,
            created_at: cx.now,
            updated_at: cx.now,
            order: Vec::new(),
            order_since: Timestamp::MIN,
            changed_at: cx.now,
            overrides: 0,
        };
        cx.write(Write::Schedule(Box::new(Change::created(schedule.clone()))));
        Ok(ScheduleView::of(&schedule))
    }
}

/// Changes a schedule (contract, section 7). A new zone takes effect now. Codes, in the order of the checks: `not_found`,
/// `invalid_timezone`, `name_conflict`. Changing nothing succeeds and writes nothing, unless somebody is
/// leaving (contract, section 4).
///
/// A full replace (`PUT`) is an edit that sets every field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditSchedule {
    /// The schedule to change.
    pub id: ScheduleId,
    /// Its new name: 1–255 characters, unique among the schedules of the organization; `None` keeps the old one.
    pub name: Option<ScheduleName>,
    /// What it is for: at most 1,000 characters.
    pub description: Patch<Description>,
    /// Its new time zone: an IANA name, spelled exactly; `None` keeps the old one.
    pub timezone: Option<String>,
}

impl EditSchedule {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(id: ScheduleId) -> Self {
        Self { id, name: None, description: Patch::Keep, timezone: None }
    }
}

impl Command for EditSchedule {
    type Caller = ByMember;
    type Reply = ScheduleView;
    const CODES: &'static [Code] = &[Code::NotFound, Code::InvalidTimezone, Code::NameConflict];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<ScheduleView, Error> {
        let (before, mut layers) = find_to_change(cx, self.id)?;
        let zone = self.timezone.map_or_else(|| Ok(before.zone.clone()), |name| Zone::of_place(&name))?;
        let mut after = before.clone();
        if let Some(name) = self.name {
            checks::name_is_free(cx.world.schedule_named(&name)?, Some(self.id), "schedule", &name)?;
            after.name = name;
        }
        after.description = self.description.apply(after.description);
        after.zone = zone;
        if after != before {
            after.updated_at = cx.now.max(before.updated_at);
        }
        if after.zone != before.zone {
            let now = after.begin_change(cx.now);
            for layer in &mut layers {
                let mut input = layer.rotation.settings();
                input.zone = after.zone.clone();
                *layer = revise(cx, layer, layer.name.clone(), input, now);
            }
        }
        if after != before {
            cx.write(Write::Schedule(Box::new(Change::edited(before, after.clone()))));
        }
        Ok(ScheduleView::of(&after))
    }
}

impl Schedule {
    /// Begins a change of who is on call; gives its instant: now or, when the clock has jumped back, that of the last change.
    pub(super) fn begin_change(&mut self, now: Timestamp) -> Timestamp {
        self.changed_at = self.changed_at.max(now);
        self.changed_at
    }
}

/// Deletes a schedule with its layers, their past and its overrides (contract, section 7). Codes, in the order of the checks:
/// `not_found`, `schedule_in_use` (a policy layer targets it, or an integration names it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteSchedule {
    /// The schedule to delete.
    pub id: ScheduleId,
}

impl DeleteSchedule {
    /// The deletion of this schedule.
    #[must_use]
    pub const fn new(id: ScheduleId) -> Self {
        Self { id }
    }
}

impl Command for DeleteSchedule {
    type Caller = ByMember;
    type Reply = ScheduleId;
    const CODES: &'static [Code] = &[Code::NotFound, Code::ScheduleInUse];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<ScheduleId, Error> {
        let schedule = find(cx.world, self.id)?;
        if cx.world.policy_for_schedule(self.id)?.is_some() {
            return Err(Error::refused(Code::ScheduleInUse, "a policy layer targets the schedule"));
        }
        if refers(cx.world, &Named::Schedule(self.id))? {
            return Err(Error::refused(Code::ScheduleInUse, "an integration names the schedule"));
        }
        for layer in cx.world.layers(self.id)? {
            cx.write(Write::RotationLayer(Box::new(Change::gone(layer))));
        }
        if !clear(cx, self.id)? {
            removal::begin(cx, Removed::Schedule(self.id), by.user_id);
        }
        cx.count(|counts| {
            counts.schedules = counts.schedules.saturating_sub(1);
            Ok(())
        })?;
        cx.write(Write::Schedule(Box::new(Change::gone(schedule))));
        Ok(self.id)
    }
}

/// Deletes what a schedule was, and its overrides, or as much of that as one decision may change. Gives whether nothing is left.
pub(crate) fn clear(cx: &mut Context<'_>, id: ScheduleId) -> Result<bool, Error> {
    let remains = cx.world.remains(id, AT_ONCE)?;
    let is_done = remains.len() < AT_ONCE;
    for past in remains.rotations {
        cx.write(Write::PastRotation(Box::new(Change::gone(past))));
    }
    for past in remains.orders {
        cx.write(Write::PastOrder(Change::gone(past)));
    }
    for one in remains.overrides {
        cx.write(Write::Override(Box::new(Change::gone(one))));
    }
    Ok(is_done)
}
