//! Queries about schedules, and about who is on call (contract, sections 7 and 8).

use super::model::{LONGEST_RANGE_DAYS, MILLIS_PER_DAY};
use super::{
    HandoffTime, Leaving, OnCall, Override, Past, RotationLayer, RotationLength, Schedule, Shifts, find, layers_now,
    on_call, on_call_and_next_change, roster_of,
};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::error::Error;
use crate::id::{OrgId, RotationLayerId, ScheduleId, UserId};
use crate::text::{Description, ScheduleName};
use crate::time::Timestamp;
use crate::validation::Problem;
use crate::zone::Zone;

seal!(GetSchedule, ListSchedules, ListOverrides, ResolveOnCall, ShiftsOnCall, OnCallNow);

/// A rotation layer as callers see it (contract, section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct RotationLayerView {
    /// The layer's id.
    pub id: RotationLayerId,
    /// The schedule that it is a layer of.
    pub schedule_id: ScheduleId,
    /// Its name: 1–255 characters, unique among the layers of the schedule.
    pub name: ScheduleName,
    /// 0, 1, 2 … within the schedule, without holes; the active layer with the lowest position gives the owner.
    pub position: usize,
    /// The length of a turn: type and number of days.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub length: RotationLength,
    /// The local time at which turns begin.
    pub handoff_time: HandoffTime,
    /// The first instant at which it holds.
    pub effective_from: Timestamp,
    /// The first instant at which it does not hold any more; `None`: it holds for good.
    pub effective_until: Option<Timestamp>,
    /// Who takes turns, in order: 1–50, repeats allowed. Empty when all of them have left the organization.
    pub participant_ids: Vec<UserId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed; at first, when it was created.
    pub updated_at: Timestamp,
}

impl RotationLayerView {
    pub(super) fn of(schedule: &Schedule, layer: &RotationLayer) -> Self {
        let input = layer.rotation.settings();
        Self {
            id: layer.id,
            schedule_id: layer.schedule_id,
            name: layer.name.clone(),
            position: schedule.order.iter().position(|id| *id == layer.id).unwrap_or(schedule.order.len()),
            length: input.length,
            handoff_time: input.handoff,
            effective_from: input.effective_from,
            effective_until: input.effective_until,
            participant_ids: input.participants.to_vec(),
            created_at: layer.created_at,
            updated_at: layer.updated_at,
        }
    }

    /// The views of all layers of a schedule, by position.
    pub(super) fn all(schedule: &Schedule, layers: &[RotationLayer]) -> Vec<Self> {
        let mut views: Vec<_> = layers.iter().map(|layer| Self::of(schedule, layer)).collect();
        views.sort_by_key(|view| view.position);
        views
    }
}

/// A schedule as callers see it (contract, section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct ScheduleView {
    /// The schedule's id.
    pub id: ScheduleId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its name: 1–255 characters, unique among the schedules of the organization.
    pub name: ScheduleName,
    /// What it is for: at most 1,000 characters.
    pub description: Option<Description>,
    /// The time zone of its dates and handoff times.
    pub timezone: Zone,
    /// The user who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its own fields were last changed.
    pub updated_at: Timestamp,
    /// Its layers, by position. Only in the reply to [`GetSchedule`].
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub layers: Option<Vec<RotationLayerView>>,
}

impl ScheduleView {
    pub(super) fn of(schedule: &Schedule) -> Self {
        Self {
            id: schedule.id,
            org_id: schedule.org_id,
            name: schedule.name.clone(),
            description: schedule.description.clone(),
            timezone: schedule.zone.clone(),
            created_by: schedule.created_by,
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
            layers: None,
        }
    }
}

/// One schedule with its layers (contract, section 7). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetSchedule {
    /// The schedule to look at.
    pub id: ScheduleId,
}

impl GetSchedule {
    /// The question for this schedule.
    #[must_use]
    pub const fn new(id: ScheduleId) -> Self {
        Self { id }
    }
}

impl Query for GetSchedule {
    type Caller = ByMember;
    type Reply = ScheduleView;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<ScheduleView, Error> {
        let schedule = find(view.world, self.id)?;
        let layers = Some(RotationLayerView::all(&schedule, &layers_now(view.world, &schedule)?));
        Ok(ScheduleView { layers, ..ScheduleView::of(&schedule) })
    }
}

/// All schedules, by name, without their layers (contract, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListSchedules;

impl Query for ListSchedules {
    type Caller = ByMember;
    type Reply = Vec<ScheduleView>;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<ScheduleView>, Error> {
        Ok(view.world.schedules()?.iter().map(ScheduleView::of).collect())
    }
}

/// All overrides of a schedule, past ones included, by beginning and then by creation (contract, section 7). Codes:
/// `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListOverrides {
    /// The schedule whose overrides to list.
    pub schedule_id: ScheduleId,
}

impl ListOverrides {
    /// The question for the overrides of this schedule.
    #[must_use]
    pub const fn new(schedule_id: ScheduleId) -> Self {
        Self { schedule_id }
    }
}

impl Query for ListOverrides {
    type Caller = ByMember;
    type Reply = Vec<Override>;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<Override>, Error> {
        let schedule = find(view.world, self.schedule_id)?;
        let overrides = view.world.overrides(self.schedule_id, Timestamp::MIN)?;
        let mut overrides = Leaving::of(view.world)?.overrides(&schedule, overrides);
        overrides.sort_by_key(|one| (one.starts_at, one.number));
        Ok(overrides)
    }
}

/// Who is on call in a schedule at an instant, and when that changes (contract, section 8). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolveOnCall {
    /// The schedule to ask about.
    pub schedule_id: ScheduleId,
    /// The instant to ask about, in the past, now or in the future.
    pub at: Timestamp,
}

/// The reply to [`ResolveOnCall`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnCallAt {
    /// The schedule that was asked about.
    pub schedule_id: ScheduleId,
    /// The instant that was asked about.
    pub at: Timestamp,
    /// The owner and everybody else on call.
    pub on_call: OnCall,
    /// The first instant after `at` at which `on_call` is different; see [`Roster::next_change`](super::Roster::next_change).
    pub next_change_at: Option<Timestamp>,
}

impl OnCallAt {
    /// The user id of the owner: `currentOncall` in replies.
    #[must_use]
    pub fn current_oncall(&self) -> Option<UserId> {
        self.on_call.owner.map(|owner| owner.user_id)
    }
}

impl ResolveOnCall {
    /// Who is on call in this schedule at that instant.
    #[must_use]
    pub const fn new(schedule_id: ScheduleId, at: Timestamp) -> Self {
        Self { schedule_id, at }
    }
}

impl Query for ResolveOnCall {
    type Caller = ByMember;
    type Reply = OnCallAt;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<OnCallAt, Error> {
        let schedule = find(view.world, self.schedule_id)?;
        let (on_call, next_change_at) = on_call_and_next_change(view.world, &schedule, self.at)?;
        Ok(OnCallAt { schedule_id: self.schedule_id, at: self.at, on_call, next_change_at })
    }
}

/// Who is on call in a schedule over a range, cut to it (contract, section 8). Codes: `validation_error` (the range ends before
/// it begins, or is longer than 366 days), `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShiftsOnCall {
    /// The schedule to ask about.
    pub schedule_id: ScheduleId,
    /// The first instant of the range.
    pub from: Timestamp,
    /// The end of the range: `from` or later, by 366 days at most.
    pub to: Timestamp,
}

impl ShiftsOnCall {
    /// The shifts of this schedule between two instants.
    #[must_use]
    pub const fn new(schedule_id: ScheduleId, from: Timestamp, to: Timestamp) -> Self {
        Self { schedule_id, from, to }
    }

    /// Checks both ends of the range together.
    ///
    /// # Errors
    /// A [`Problem`] of `to` unless it is `from` or later, by 366 days at most.
    pub fn check_range(from: Timestamp, to: Timestamp) -> Result<(), Problem> {
        let length = to.as_millis() - from.as_millis();
        if length < 0 {
            return Err(Problem::new("to", "must not be earlier than `from`"));
        }
        if length > LONGEST_RANGE_DAYS * MILLIS_PER_DAY {
            return Err(Problem::new("to", "must be at most 366 days after `from`"));
        }
        Ok(())
    }
}

impl Query for ShiftsOnCall {
    type Caller = ByMember;
    type Reply = Shifts;
    const CODES: &'static [Code] = &[Code::Validation, Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Shifts, Error> {
        Self::check_range(self.from, self.to)?;
        let schedule = find(view.world, self.schedule_id)?;
        let past = Past { before: self.to, ..Past::after(self.from) };
        Ok(roster_of(view.world, &schedule, past, &Leaving::of(view.world)?)?.shifts(self.from, self.to))
    }
}

/// Who is on call in every schedule, by the names of the schedules (contract, section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnCallNow {
    /// The present instant: there is no clock here to ask.
    pub at: Timestamp,
}

/// One schedule of the reply to [`OnCallNow`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct ScheduleOnCall {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// The schedule's name.
    pub name: ScheduleName,
    /// The owner and everybody else on call.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub on_call: OnCall,
}

impl OnCallNow {
    /// Who is on call at this instant.
    #[must_use]
    pub const fn new(at: Timestamp) -> Self {
        Self { at }
    }
}

impl Query for OnCallNow {
    type Caller = ByMember;
    type Reply = Vec<ScheduleOnCall>;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<ScheduleOnCall>, Error> {
        let leaving = Leaving::of(view.world)?;
        let row = |schedule: Schedule| {
            let on_call = on_call(view.world, &schedule, self.at, &leaving)?;
            Ok(ScheduleOnCall { schedule_id: schedule.id, name: schedule.name, on_call })
        };
        view.world.schedules()?.into_iter().map(row).collect()
    }
}
