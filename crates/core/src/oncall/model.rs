//! What a schedule is, with its layers and overrides, as they are stored.

use std::fmt;
use std::str::FromStr;

use super::Rotation;
use crate::id::{OrgId, OverrideId, RotationLayerId, ScheduleId, UserId};
use crate::text::{Description, Reason, ScheduleName};
use crate::time::Timestamp;
use crate::validation::Problem;
use crate::words::words;
use crate::zone::Zone;

/// The longest range of shifts, and the longest override, in days.
pub(super) const LONGEST_RANGE_DAYS: i64 = 366;
pub(super) const MILLIS_PER_DAY: i64 = 86_400_000;

/// The local time at which turns begin: `HH:MM`.
///
/// ```
/// use dogwatch_core::oncall::HandoffTime;
/// assert_eq!("09:30".parse::<HandoffTime>().unwrap().to_string(), "09:30");
/// assert!("24:00".parse::<HandoffTime>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandoffTime(u16);

impl HandoffTime {
    /// So many minutes after midnight, on a clock that shows no change.
    ///
    /// # Errors
    /// A [`Problem`] from 24 hours on.
    pub fn from_minutes(minutes: u16) -> Result<Self, Problem> {
        if minutes < 1_440 { Ok(Self(minutes)) } else { Err(Problem::new("must be a time from 00:00 to 23:59")) }
    }

    /// Minutes after midnight.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

impl FromStr for HandoffTime {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        let problem = || Problem::new("must be a time as `HH:MM`");
        let two_digits = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits).ok_or_else(problem)
        };
        let (hour, minute) = text.split_once(':').ok_or_else(problem)?;
        let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
        if minute > 59 { Err(problem()) } else { Self::from_minutes(hour * 60 + minute) }
    }
}

impl fmt::Display for HandoffTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

words! {
    /// How rotations are spoken of.
    RotationType, "must be `daily`, `weekly` or `custom`" {
        /// `daily`: turns of one day.
        Daily = "daily",
        /// `weekly`: turns of seven days.
        Weekly = "weekly",
        /// `custom`: turns of 1–366 days.
        Custom = "custom",
    }
}

/// How long a turn is: a type and a number of days that goes with it.
///
/// ```
/// use dogwatch_core::oncall::{RotationLength, RotationType};
/// assert_eq!(RotationLength::new(RotationType::Weekly, 7).unwrap(), RotationLength::WEEKLY);
/// assert!(RotationLength::new(RotationType::Daily, 2).is_err());
/// assert!(RotationLength::new(RotationType::Custom, 367).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RotationLength {
    kind: RotationType,
    days: u16,
}

impl RotationLength {
    /// Turns of one day.
    pub const DAILY: Self = Self { kind: RotationType::Daily, days: 1 };
    /// Turns of a week.
    pub const WEEKLY: Self = Self { kind: RotationType::Weekly, days: 7 };

    /// `daily` takes 1 day, `weekly` 7, `custom` 1–366.
    ///
    /// # Errors
    /// A [`Problem`] of the number of days.
    pub fn new(kind: RotationType, days: i64) -> Result<Self, Problem> {
        let problem = match kind {
            RotationType::Daily if days != 1 => "must be 1 for a daily rotation",
            RotationType::Weekly if days != 7 => "must be 7 for a weekly rotation",
            RotationType::Custom if !(1..=366).contains(&days) => "must be a number from 1 to 366",
            _ => return Ok(Self { kind, days: u16::try_from(days).unwrap_or(1) }),
        };
        Err(Problem::new(problem))
    }

    /// The number of days, if it is one that some type takes.
    ///
    /// # Errors
    /// A [`Problem`] unless it is a number from 1 to 366.
    pub fn check_days(days: i64) -> Result<i64, Problem> {
        if (1..=366).contains(&days) { Ok(days) } else { Err(Problem::new("must be a number from 1 to 366")) }
    }

    /// The type.
    #[must_use]
    pub const fn kind(self) -> RotationType {
        self.kind
    }

    /// The number of days.
    #[must_use]
    pub const fn days(self) -> u16 {
        self.days
    }
}

/// An on-call schedule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Names the schedule.
    pub id: ScheduleId,
    /// The organization.
    pub org_id: OrgId,
    /// Unique among the schedules of the organization.
    pub name: ScheduleName,
    /// What it is for.
    pub description: Option<Description>,
    /// In which zone its dates and handoff times are meant.
    pub zone: Zone,
    /// Who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its own fields were last changed.
    pub updated_at: Timestamp,
    /// The layers, by position.
    pub order: Vec<RotationLayerId>,
    /// Since when they stand in this order.
    pub order_since: Timestamp,
    /// When anything about who is on call was last changed; nothing of it happens earlier, whatever the clock says.
    pub changed_at: Timestamp,
    /// How many overrides were ever created.
    pub overrides: u64,
}

/// A rotation layer as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationLayer {
    /// Names the layer.
    pub id: RotationLayerId,
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// The organization.
    pub org_id: OrgId,
    /// Unique among the layers of the schedule.
    pub name: ScheduleName,
    /// What holds now.
    pub rotation: Rotation,
    /// Since when.
    pub since: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What held for a layer once. It never changes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRotation {
    /// The organization.
    pub org_id: OrgId,
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// The layer, which may be gone.
    pub layer_id: RotationLayerId,
    /// From this instant on …
    pub since: Timestamp,
    /// … until just before this one.
    pub until: Timestamp,
    /// What held.
    pub rotation: Rotation,
}

/// In which order layers stood once. It never changes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastOrder {
    /// The organization.
    pub org_id: OrgId,
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// From this instant on …
    pub since: Timestamp,
    /// … until just before this one.
    pub until: Timestamp,
    /// The layers, by position.
    pub order: Vec<RotationLayerId>,
}

/// Somebody who stands in, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Names the override.
    pub id: OverrideId,
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// The organization.
    pub org_id: OrgId,
    /// 1, 2, 3 … in the order of creation within the schedule; of several at once the last wins.
    pub number: u64,
    /// Who stands in.
    pub user_id: UserId,
    /// From this instant on …
    pub starts_at: Timestamp,
    /// … until just before this one.
    pub ends_at: Timestamp,
    /// Why.
    pub reason: Option<Reason>,
    /// Who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Override {
    /// Whether it holds at an instant.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.starts_at <= at && at < self.ends_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handoff_times() {
        for text in ["00:00", "09:05", "23:59"] {
            assert_eq!(text.parse::<HandoffTime>().unwrap().to_string(), text);
        }
        for text in ["", "9:00", "24:00", "12:60", "12:5", "12-00", "+1:00", "12:00:00", " 12:00", "１2:00"] {
            assert!(text.parse::<HandoffTime>().is_err(), "{text:?}");
        }
        assert!(HandoffTime::from_minutes(1_440).is_err());
    }

    #[test]
    fn lengths() {
        for (kind, days, valid) in [
            (RotationType::Daily, 1, true),
            (RotationType::Daily, 2, false),
            (RotationType::Weekly, 7, true),
            (RotationType::Weekly, 1, false),
            (RotationType::Custom, 0, false),
            (RotationType::Custom, 1, true),
            (RotationType::Custom, 366, true),
            (RotationType::Custom, 367, false),
            (RotationType::Custom, -1, false),
        ] {
            assert_eq!(RotationLength::new(kind, days).is_ok(), valid, "{kind} {days}");
        }
    }
}
