//! Overrides: a member is on call in the owner's stead for a stretch of time (contract, section 7).

use super::model::{LONGEST_RANGE_DAYS, MILLIS_PER_DAY};
use super::{Leaving, Override, Schedule, schedule_to_change};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::id::{OverrideId, ScheduleId, UserId};
use crate::membership::are_members;
use crate::text::Reason;
use crate::time::Timestamp;
use crate::validation::Problem;
use crate::world::{Change, Write};
use crate::{checks, limits};

seal!(CreateOverride, DeleteOverride);

/// Puts a member on call in the owner's stead for a stretch of time (contract, section 7). A beginning before now is set to
/// now: the past stays true.
///
/// Codes, in the order of the checks: `validation_error` (it ends before it begins, or later than 366 days after), `not_found`,
/// `invalid_participant`, `validation_error` (it would be over already), `limit_reached` (500 that are not yet over).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOverride {
    /// The schedule that is overridden.
    pub schedule_id: ScheduleId,
    /// The member who is on call instead.
    pub user_id: UserId,
    /// The first instant at which it holds. In the past, it holds from now on.
    pub starts_at: Timestamp,
    /// The first instant at which it does not hold any more: after its beginning, at most 366 days later.
    pub ends_at: Timestamp,
    /// Why: at most 255 characters.
    pub reason: Option<Reason>,
}

impl CreateOverride {
    /// An override without a reason. Of several at once, the one created last wins.
    #[must_use]
    pub const fn new(schedule_id: ScheduleId, user_id: UserId, starts_at: Timestamp, ends_at: Timestamp) -> Self {
        Self { schedule_id, user_id, starts_at, ends_at, reason: None }
    }

    /// Checks beginning and end together.
    ///
    /// # Errors
    /// A [`Problem`] of `endsAt` unless it is later than `startsAt`, by 366 days at most.
    pub fn check_span(starts_at: Timestamp, ends_at: Timestamp) -> Result<(), Problem> {
        let length = ends_at.as_millis() - starts_at.as_millis();
        if length <= 0 {
            return Err(Problem::new("endsAt", "must be later than `startsAt`"));
        }
        if length > LONGEST_RANGE_DAYS * MILLIS_PER_DAY {
            return Err(Problem::new("endsAt", "must be at most 366 days after `startsAt`"));
        }
        Ok(())
    }
}

impl Command for CreateOverride {
    type Caller = ByMember;
    type Reply = Override;
    const CODES: &'static [Code] = &[Code::Validation, Code::NotFound, Code::InvalidParticipant, Code::LimitReached];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<Override, Error> {
        Self::check_span(self.starts_at, self.ends_at)?;
        let (before, leaving) = schedule_to_change(cx, self.schedule_id)?;
        are_members(cx.world, [&self.user_id], Code::InvalidParticipant)?;
        let mut after = before.clone();
        let now = after.begin_change(cx.now);
        let starts_at = self.starts_at.max(now);
        if self.ends_at <= starts_at {
            return Err(Error::invalid("endsAt", "must be later than now"));
        }
        let running = not_over(cx, &leaving, &before, now)?.len();
        checks::room_for_one(running, limits::OVERRIDES, "overrides")?;

        after.overrides += 1;
        let made = Override {
            id: cx.ids.fresh(cx.now),
            schedule_id: self.schedule_id,
            org_id: after.org_id,
            number: after.overrides,
            user_id: self.user_id,
            starts_at,
            ends_at: self.ends_at,
            reason: self.reason,
            created_by: by.user_id,
            created_at: cx.now,
        };
        cx.write(Write::Schedule(Box::new(Change::edited(before, after))));
        cx.write(Write::Override(Box::new(Change::created(made.clone()))));
        Ok(made)
    }
}

/// Deletes an override that is not over: one that has begun ends now, another never begins (contract, section 7). Codes:
/// `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteOverride {
    /// The schedule of the override.
    pub schedule_id: ScheduleId,
    /// The override to delete.
    pub id: OverrideId,
}

impl DeleteOverride {
    /// The deletion of this override.
    #[must_use]
    pub const fn new(schedule_id: ScheduleId, id: OverrideId) -> Self {
        Self { schedule_id, id }
    }
}

impl Command for DeleteOverride {
    type Caller = ByMember;
    type Reply = OverrideId;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<OverrideId, Error> {
        let (before, leaving) = schedule_to_change(cx, self.schedule_id)?;
        let mut after = before.clone();
        let now = after.begin_change(cx.now);
        let found = not_over(cx, &leaving, &before, now)?.into_iter().find(|one| one.id == self.id);
        let found = found.ok_or_else(|| Error::not_found("override"))?;
        end(cx, found, now);
        if after != before {
            cx.write(Write::Schedule(Box::new(Change::edited(before, after))));
        }
        Ok(self.id)
    }
}

/// The overrides of a schedule that are not over, without those of whoever leaves.
fn not_over(cx: &Context<'_>, leaving: &Leaving, schedule: &Schedule, now: Timestamp) -> Result<Vec<Override>, Error> {
    let mut overrides = leaving.overrides(schedule, cx.world.overrides(schedule.id, now)?);
    overrides.retain(|one| now < one.ends_at);
    Ok(overrides)
}

/// Ends an override that is not over: one that has begun is cut short, another is deleted.
pub(super) fn end(cx: &mut Context<'_>, one: Override, now: Timestamp) {
    let change = if one.starts_at < now {
        let ended = Override { ends_at: now, ..one.clone() };
        Change::edited(one, ended)
    } else {
        Change::gone(one)
    };
    cx.write(Write::Override(Box::new(change)));
}
