//! A schedule with its layers, their past and its overrides, as they are stored.

use std::fmt;
use std::str::FromStr;

use super::Rotation;
use crate::id::{OrgId, OverrideId, RotationLayerId, ScheduleId, UserId};
use crate::text::{Description, Reason, ScheduleName};
use crate::time::Timestamp;
use crate::validation::Problem;
use crate::words::words;
use crate::zone::Zone;

/// The longest range of shifts, and the longest override: 366 days.
pub(super) const LONGEST_RANGE_DAYS: i64 = 366;
pub(super) const MILLIS_PER_DAY: i64 = 86_400_000;

/// The local time at which turns begin: `HH:MM`, 00:00–23:59 (contract, section 7).
///
/// ```
/// use dogwatch_core::oncall::HandoffTime;
/// assert_eq!("09:30".parse::<HandoffTime>().unwrap().to_string(), "09:30");
/// assert!("24:00".parse::<HandoffTime>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandoffTime(u16);

impl HandoffTime {
    /// The time that lies `minutes` minutes after midnight, 0–1,439, on a day without a change of the clocks.
    ///
    /// # Errors
    /// A [`Problem`] for 1,440 and more.
    pub fn from_minutes(minutes: u16) -> Result<Self, Problem> {
        if minutes < 1_440 {
            Ok(Self(minutes))
        } else {
            Err(Problem::new("handoff time", "must be a time from 00:00 to 23:59"))
        }
    }

    /// Minutes after midnight, 0–1,439.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

impl FromStr for HandoffTime {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        let problem = || Problem::new("handoff time", "must be a time as `HH:MM`");
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
    /// The type of a rotation: how long each participant's turn is.
    RotationType, "rotation type", "must be `daily`, `weekly` or `custom`" {
        /// `daily`: turns of one day.
        Daily = "daily",
        /// `weekly`: turns of seven days.
        Weekly = "weekly",
        /// `custom`: turns of 1–366 days.
        Custom = "custom",
    }
}

/// The length of a turn: a type, and a number of days that the type takes (contract, section 7).
///
/// ```
/// use dogwatch_core::oncall::{RotationLength, RotationType};
/// assert_eq!(RotationLength::new(RotationType::Weekly, 7).unwrap(), RotationLength::WEEKLY);
/// assert!(RotationLength::new(RotationType::Daily, 2).is_err());
/// assert!(RotationLength::new(RotationType::Custom, 367).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct RotationLength {
    #[cfg_attr(feature = "serde", serde(rename = "rotationType"))]
    kind: RotationType,
    #[cfg_attr(feature = "serde", serde(rename = "rotationLengthDays"))]
    days: u16,
}

impl RotationLength {
    /// Turns of one day, of the type `daily`.
    pub const DAILY: Self = Self { kind: RotationType::Daily, days: 1 };
    /// Turns of seven days, of the type `weekly`.
    pub const WEEKLY: Self = Self { kind: RotationType::Weekly, days: 7 };

    /// A length of `days` days: `daily` takes 1, `weekly` 7, `custom` 1–366.
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
        Err(Problem::new("rotation length", problem))
    }

    /// Checks a number of days without its type: 1–366.
    ///
    /// # Errors
    /// A [`Problem`] for any other number.
    pub fn check_days(days: i64) -> Result<i64, Problem> {
        if (1..=366).contains(&days) {
            Ok(days)
        } else {
            Err(Problem::new("rotation length", "must be a number from 1 to 366"))
        }
    }

    /// The type of the rotation.
    #[must_use]
    pub const fn kind(self) -> RotationType {
        self.kind
    }

    /// The days of a turn, 1–366.
    #[must_use]
    pub const fn days(self) -> u16 {
        self.days
    }
}

/// An on-call schedule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The schedule's id.
    pub id: ScheduleId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its name: 1–255 characters, unique among the schedules of the organization.
    pub name: ScheduleName,
    /// What it is for: at most 1,000 characters.
    pub description: Option<Description>,
    /// The time zone of its dates and handoff times.
    pub zone: Zone,
    /// The user who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its own fields were last changed.
    pub updated_at: Timestamp,
    /// Its layers, by position: the index in this list.
    pub order: Vec<RotationLayerId>,
    /// The instant from which on they are in this order; [`Timestamp::MIN`] until the first layer is added.
    pub order_since: Timestamp,
    /// When its zone, its layers, their order or its overrides were last changed. When the clock jumps back, the next change
    /// happens at this instant.
    pub changed_at: Timestamp,
    /// How many overrides were ever created: the [`Override::number`] of the last one.
    pub overrides: u64,
}

/// A rotation layer as it is stored. Its position is in [`Schedule::order`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationLayer {
    /// The layer's id.
    pub id: RotationLayerId,
    /// The schedule that it is a layer of.
    pub schedule_id: ScheduleId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its name: 1–255 characters, unique among the layers of the schedule.
    pub name: ScheduleName,
    /// Its present rotation: whose turn it is, from the last change of its settings on.
    pub rotation: Rotation,
    /// The instant from which on this rotation is the layer's; [`Timestamp::MIN`] until its settings are first changed.
    pub since: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed; at first, when it was created.
    pub updated_at: Timestamp,
}

/// The rotation that a layer had until a change of its settings, or until its removal. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRotation {
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The schedule of the layer.
    pub schedule_id: ScheduleId,
    /// The layer, which may have been removed.
    pub layer_id: RotationLayerId,
    /// The first instant at which the layer had it; [`Timestamp::MIN`] for its first rotation.
    pub since: Timestamp,
    /// The first instant at which it had it no more.
    pub until: Timestamp,
    /// The rotation.
    pub rotation: Rotation,
}

/// The order in which a schedule's layers were until it changed. It stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastOrder {
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// The first instant at which the layers were in this order.
    pub since: Timestamp,
    /// The first instant at which they were not any more.
    pub until: Timestamp,
    /// The layers, by position; some may have been removed.
    pub order: Vec<RotationLayerId>,
}

/// An override as it is stored: a stretch of time in which a member is on call in the owner's stead (contract, section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct Override {
    /// The override's id.
    pub id: OverrideId,
    /// The schedule that it overrides.
    pub schedule_id: ScheduleId,
    /// The organization that it belongs to.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub org_id: OrgId,
    /// 1, 2, 3 … in the order of creation within the schedule. Of several at once, the greatest number wins.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub number: u64,
    /// The user who is on call.
    pub user_id: UserId,
    /// The first instant at which it holds.
    pub starts_at: Timestamp,
    /// The first instant at which it does not hold any more, at most 366 days after the `startsAt` that was sent.
    pub ends_at: Timestamp,
    /// The reason for it: at most 255 characters.
    pub reason: Option<Reason>,
    /// The user who created it.
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
