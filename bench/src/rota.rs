//! Whose turn it is, as one would write it by hand: days between two local dates, modulo the participants.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::Failure;

pub(crate) const ZONE: &str = "America/New_York";
pub(crate) const PARTICIPANTS: usize = 5;
/// Since the first of January 2026, at nine.
pub(crate) const FIRST_DAY: (i16, i8, i8) = (2026, 1, 1);
pub(crate) const HANDOFF_HOUR: i8 = 9;

/// The position of whoever is on call at an instant, given in milliseconds since 1970.
pub(crate) fn turn(zone: &str, length_days: i64, participants: usize, now: i64) -> Result<usize, Failure> {
    let local = Timestamp::from_millisecond(now)?.to_zoned(TimeZone::get(zone)?).datetime();
    let handoff = Time::new(HANDOFF_HOUR, 0, 0, 0)?;
    let day = if local.time() < handoff { local.date().yesterday()? } else { local.date() };
    let first = Date::new(FIRST_DAY.0, FIRST_DAY.1, FIRST_DAY.2)?;
    let days = i64::from(day.since(first)?.get_days());
    Ok(usize::try_from(days.div_euclid(length_days))? % participants)
}
