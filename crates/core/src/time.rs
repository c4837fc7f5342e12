//! Instants: milliseconds since 1970, UTC, in the years 1970 to 9999 (contract, section 1).
//!
//! Nothing here asks what time it is: now is always an argument. Calendar arithmetic comes from jiff; its types stay inside.
//! Local time and time zones are in [`crate::zone`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil;

use crate::validation::Problem;

/// An instant with a resolution of one millisecond.
///
/// ```
/// use dogwatch_core::Timestamp;
/// let t: Timestamp = "2026-04-07T12:00:00.0009+02:00".parse().unwrap();
/// assert_eq!(t.to_string(), "2026-04-07T10:00:00.000Z");
/// assert_eq!(t.as_millis(), 1_775_556_000_000);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant: 1970-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(0);
    /// The last instant: 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The instant that lies `millis` milliseconds after 1970-01-01T00:00:00Z; `None` outside of the years 1970 to 9999.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Option<Self> {
        if millis < Self::MIN.0 || millis > Self::MAX.0 { None } else { Some(Self(millis)) }
    }

    /// As [`Timestamp::from_millis`], but an instant outside of the range becomes the nearest one inside.
    #[must_use]
    pub fn clamped(millis: i64) -> Self {
        Self(millis.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The instant that lies `span` later, cut to the millisecond; never later than [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::clamped(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time that has passed since `earlier`; zero if `earlier` is later than this instant.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339 with any offset; finer than a millisecond is cut off, a leap second counts as the second before it.
    ///
    /// # Errors
    /// A [`Problem`] when the text is not RFC 3339 or the instant lies outside of the years 1970 to 9999.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let millis = rfc3339(text).ok_or_else(|| Problem::new("timestamp", "must be an RFC 3339 timestamp"))?;
        Self::from_millis(millis).ok_or_else(|| Problem::new("timestamp", "must lie in the years 1970 to 9999"))
    }

    /// Reads the beginning of a range: a timestamp, or a date for the first millisecond of that UTC day.
    ///
    /// # Errors
    /// As [`Timestamp::parse`].
    pub fn parse_range_start(text: &str) -> Result<Self, Problem> {
        Self::parse_bound(text, 0)
    }

    /// Reads the inclusive end of a range: a timestamp, or a date for the last millisecond of that UTC day.
    ///
    /// # Errors
    /// As [`Timestamp::parse`].
    pub fn parse_range_end(text: &str) -> Result<Self, Problem> {
        Self::parse_bound(text, MILLIS_PER_DAY - 1)
    }

    fn parse_bound(text: &str, into_day: i64) -> Result<Self, Problem> {
        let mut cursor = Rest(text.as_bytes());
        let Some(day) = date(&mut cursor).filter(|_| cursor.0.is_empty()) else {
            return Self::parse(text).map_err(|problem| {
                if text.contains([':', 'T', 't']) {
                    problem
                } else {
                    Problem::new("timestamp", "must be a date or an RFC 3339 timestamp")
                }
            });
        };
        let midnight = millis_at(civil::DateTime::from_parts(day, civil::Time::midnight()), 0);
        midnight
            .and_then(|millis| Self::from_millis(millis.saturating_add(into_day)))
            .ok_or_else(|| Problem::new("timestamp", "must lie in the years 1970 to 9999"))
    }
}

const MILLIS_PER_DAY: i64 = 86_400_000;

/// A text while it is read: the bytes that are left.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn byte(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| wanted(**first))?;
        self.0 = rest;
        Some(*first)
    }

    fn digit(&mut self) -> Option<i64> {
        self.byte(|b| b.is_ascii_digit()).map(|b| i64::from(b) - i64::from(b'0'))
    }

    fn number<T: TryFrom<i64>>(&mut self, digits: u32) -> Option<T> {
        let mut value = 0;
        for _ in 0..digits {
            value = value * 10 + self.digit()?;
        }
        T::try_from(value).ok()
    }

    fn sign(&mut self, wanted: u8) -> Option<()> {
        self.byte(|b| b == wanted).map(|_| ())
    }
}

/// Reads `YYYY-MM-DD`.
fn date(cursor: &mut Rest<'_>) -> Option<civil::Date> {
    let year = cursor.number(4)?;
    cursor.sign(b'-')?;
    let month = cursor.number(2)?;
    cursor.sign(b'-')?;
    let day = cursor.number(2)?;
    civil::Date::new(year, month, day).ok()
}

/// Milliseconds since 1970 of `<date>T<time><offset>`; `None` when the text is anything else.
fn rfc3339(text: &str) -> Option<i64> {
    let mut cursor = Rest(text.as_bytes());
    let day = date(&mut cursor)?;
    cursor.byte(|b| b == b'T' || b == b't')?;
    let hour = cursor.number(2)?;
    cursor.sign(b':')?;
    let minute = cursor.number(2)?;
    cursor.sign(b':')?;
    let second: i8 = cursor.number(2)?;
    let mut millis = 0;
    if cursor.sign(b'.').is_some() {
        let mut scale = 100;
        millis += cursor.digit()? * scale;
        while let Some(digit) = cursor.digit() {
            scale /= 10;
            millis += digit * scale;
        }
    }
    let offset_minutes = match cursor.byte(|b| matches!(b, b'Z' | b'z' | b'+' | b'-'))? {
        sign @ (b'+' | b'-') => {
            let hours: i64 = cursor.number(2).filter(|h| *h < 24)?;
            cursor.sign(b':')?;
            let minutes: i64 = cursor.number(2).filter(|m| *m < 60)?;
            let offset = hours * 60 + minutes;
            if sign == b'-' { -offset } else { offset }
        }
        _ => 0,
    };
    if !cursor.0.is_empty() {
        return None;
    }
    // A leap second is written :60. It can only stand at 23:59 UTC, and counts as the second before it.
    let leap = second == 60;
    let time = civil::Time::new(hour, minute, if leap { 59 } else { second }, 0).ok()?;
    let whole = millis_at(civil::DateTime::from_parts(day, time), offset_minutes)?;
    if leap && whole.rem_euclid(MILLIS_PER_DAY) != MILLIS_PER_DAY - 1_000 {
        return None;
    }
    Some(whole + millis)
}

/// The date from which instants are counted.
const EPOCH: civil::Date = civil::date(1970, 1, 1);

fn millis_at(local: civil::DateTime, offset_minutes: i64) -> Option<i64> {
    let since_epoch = local.duration_since(civil::DateTime::from_parts(EPOCH, civil::Time::midnight()));
    since_epoch.as_secs().checked_sub(offset_minutes * 60)?.checked_mul(1_000)
}

impl FromStr for Timestamp {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self, Problem> {
        Self::parse(text)
    }
}

impl Timestamp {
    /// The day and the minute in UTC, for people to read.
    ///
    /// ```
    /// # use dogwatch_core::Timestamp;
    /// let at: Timestamp = "2026-05-01T03:04:59.999Z".parse()?;
    /// assert_eq!(at.minute(), "2026-05-01 03:04 UTC");
    /// # Ok::<(), dogwatch_core::Problem>(())
    /// ```
    #[must_use]
    pub fn minute(self) -> String {
        let text = self.to_string();
        let (day, time) = text.split_once('T').unwrap_or((&text, ""));
        format!("{day} {} UTC", time.get(..5).unwrap_or(time))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Replies are full of instants. Digits into a template is several times faster than a calendar and padding.
        let (days, millis) = (self.0 / MILLIS_PER_DAY, self.0 % MILLIS_PER_DAY);
        let (year, month, day) = civil_date(days);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        digits(text.get_mut(0..4), year);
        digits(text.get_mut(5..7), month);
        digits(text.get_mut(8..10), day);
        digits(text.get_mut(11..13), millis / 3_600_000);
        digits(text.get_mut(14..16), millis / 60_000 % 60);
        digits(text.get_mut(17..19), millis / 1_000 % 60);
        digits(text.get_mut(20..23), millis % 1_000);
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Year, month and day of the day that lies `days` days after 1970-01-01.
///
/// It counts years from 1 March, so that a leap day is the last of its year, and in cycles of 400 years, which have 146,097
/// days each.
pub(crate) const fn civil_date(days: i64) -> (i64, i64, i64) {
    const CYCLE: i64 = 146_097;
    /// The days from 1 March of the year 0 to 1970-01-01.
    const TO_1970: i64 = 719_468;
    let days = days + TO_1970;
    let (cycle, day_of_cycle) = (days / CYCLE, days % CYCLE);
    // Every 4 years have a day more, every 100 none, and the last of a cycle has it again.
    let leaps = day_of_cycle / 1_460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
    let year_of_cycle = (day_of_cycle - leaps) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // From March on, five months have 153 days, and that repeats.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, into_next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year_of_cycle + into_next, month, day)
}

/// Writes a number into these bytes in decimal, with leading zeros.
fn digits(field: Option<&mut [u8]>, mut number: i64) {
    for digit in field.unwrap_or_default().iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        Timestamp::parse(text).ok().map(|t| t.to_string())
    }

    #[test]
    fn accepted() {
        let cases = [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("2026-04-07T10:00:00.5Z", "2026-04-07T10:00:00.500Z"),
            ("2026-04-07T10:00:00.999999999999Z", "2026-04-07T10:00:00.999Z"),
            ("2026-04-07t10:00:00z", "2026-04-07T10:00:00.000Z"),
            ("2026-04-07T10:00:00-00:00", "2026-04-07T10:00:00.000Z"),
            ("2026-04-07T00:15:00+05:45", "2026-04-06T18:30:00.000Z"),
            ("2024-02-29T23:59:59-23:59", "2024-03-01T23:58:59.000Z"),
            ("1969-12-31T23:30:00-01:00", "1970-01-01T00:30:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z"),
            ("2017-01-01T00:59:60.25+01:00", "2016-12-31T23:59:59.250Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    /// Every day from the first to the last.
    #[test]
    fn the_calendar_agrees_with_jiffs() {
        let mut date = EPOCH;
        for day in 0..=Timestamp::MAX.as_millis() / MILLIS_PER_DAY {
            let expected = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
            assert_eq!(civil_date(day), expected);
            date = date.tomorrow().unwrap_or(date);
        }
        assert_eq!(date, civil::date(9999, 12, 31));
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "2026-04-07",
            "2026-04-07T10:00:00",
            "2026-04-07 10:00:00Z",
            "2026-04-07T10:00Z",
            "2026-04-07T10:00:00.Z",
            "2026-04-07T10:00:00,5Z",
            "2026-04-07T24:00:00Z",
            "2026-04-07T10:60:00Z",
            "2026-04-07T10:00:60Z",
            "2026-04-07T10:00:61Z",
            "2026-02-29T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "2026-04-00T10:00:00Z",
            "2026-04-07T10:00:00+24:00",
            "2026-04-07T10:00:00+0100",
            "2026-04-07T10:00:00+01",
            "2026-04-07T10:00:00Z ",
            " 2026-04-07T10:00:00Z",
            "+2026-04-07T10:00:00Z",
            "2026-04-07T10:00:00[UTC]",
            "２026-04-07T10:00:00Z",
            "1969-12-31T23:59:59.999Z",
            "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "0000-01-01T00:00:00Z",
        ] {
            assert_eq!(shown(text), None, "{text:?}");
        }
    }

    #[test]
    fn range_bounds() {
        let start = |t| Timestamp::parse_range_start(t).ok().map(|t| t.to_string());
        let end = |t| Timestamp::parse_range_end(t).ok().map(|t| t.to_string());
        assert_eq!(start("2026-04-07").as_deref(), Some("2026-04-07T00:00:00.000Z"));
        assert_eq!(end("2026-04-07").as_deref(), Some("2026-04-07T23:59:59.999Z"));
        assert_eq!(end("9999-12-31").as_deref(), Some("9999-12-31T23:59:59.999Z"));
        assert_eq!(end("2026-04-07T10:00:00Z").as_deref(), Some("2026-04-07T10:00:00.000Z"));
        for text in ["", "yesterday", "2026-02-30", "1969-12-31", "2026-4-7", "2026-04-07T"] {
            assert_eq!(start(text), None, "{text:?}");
            assert_eq!(end(text), None, "{text:?}");
        }
    }
}
