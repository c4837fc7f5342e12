//! How a component was, day by day: the worst status of a day, and its uptime (contract, section 13).

use std::fmt;

use super::{ComponentStatus, StatusChange};
use crate::time::Timestamp;
use crate::zone::Zone;

/// The days that a page shows, today included.
pub(super) const DAYS: i32 = 90;

/// A day of the calendar. Shown as `2026-04-07`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// The year, 1970–9999.
    pub year: i16,
    /// The month, 1–12.
    pub month: u8,
    /// The day of the month, 1–31.
    pub day: u8,
}

impl Date {
    /// The day that an instant is in.
    #[must_use]
    pub fn of(at: Timestamp, zone: &Zone) -> Self {
        let local = zone.local_time(at);
        Self { year: local.year, month: local.month, day: local.day }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// The part of a day in which a component was up: 1 minus the seconds of a major outage and 0.3 of those of a partial one, over the
/// seconds of the day. In millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uptime(u32);

impl Uptime {
    /// All of it.
    pub const ALL: Self = Self(1_000_000);

    /// The uptime of a day that is `length` milliseconds long, with so many tenths of milliseconds of outage in it.
    fn of(tenths_down: i64, length: i64) -> Self {
        let (down, length) = (i128::from(tenths_down), i128::from(length.max(1)));
        // Rounded to the nearest millionth, but only what was always up is up all of the time.
        let lost = ((down * 100_000 + length / 2) / length).max(i128::from(down > 0));
        Self(u32::try_from(1_000_000 - lost).unwrap_or(0))
    }

    /// Millionths of the day.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// The mean of several days; `None` of none.
    #[must_use]
    pub fn mean(days: impl IntoIterator<Item = Self>) -> Option<Self> {
        let (sum, count) =
            days.into_iter().fold((0_u64, 0_u64), |(sum, count), day| (sum + u64::from(day.0), count + 1));
        u32::try_from(sum.checked_div(count)?).ok().map(Self)
    }
}

/// In percent, cut to two places, so that 100 % is said only of what was always up: `99.98`.
impl fmt::Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(10_000) {
            return write!(f, "{}", self.0 / 10_000);
        }
        write!(f, "{}.{:02}", self.0 / 10_000, self.0 % 10_000 / 100)
    }
}

/// A day of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ShownDay {
    /// The day, in the zone of the page.
    pub date: Date,
    /// The worst status that it had on that day; `None` when the page did not show it.
    pub worst: Option<ComponentStatus>,
    /// The part of the day in which it was up; time in which the page did not show it, or that is still to come, counts as up. `None`
    /// when the page did not show it on that day.
    pub uptime: Option<Uptime>,
}

/// The beginnings of the last 90 days in a zone, today last, and behind them the end of today. Fewer days near 1970.
pub(super) fn boundaries(zone: &Zone, now: Timestamp) -> Vec<Timestamp> {
    let start = |after: i32| zone.start_of_day(now, after);
    let mut all: Vec<_> = (1 - DAYS..=0).filter_map(start).collect();
    all.push(start(1).unwrap_or(Timestamp::MAX));
    all
}

/// The days between boundaries, oldest first. `changes` are of one component, newest first.
pub(super) fn days(changes: &[StatusChange], boundaries: &[Timestamp], zone: &Zone, now: Timestamp) -> Vec<ShownDay> {
    let mut until = i64::MAX;
    // From the newest to the oldest: from when to when it had which status. The present one holds now, too.
    let mut spans = Vec::with_capacity(changes.len());
    for change in changes {
        // When the clock has jumped back, what was written last lies in the future; it holds now.
        let from = change.at.min(now).as_millis();
        let to = until.min(now.as_millis().saturating_add(1));
        spans.extend(change.status.filter(|_| from < to).map(|status| (from, to, status)));
        until = from;
    }
    spans.reverse();
    let mut spans = &spans[..];
    let day = |pair: &[Timestamp]| {
        let [start, end] = pair else { return None };
        let (start_ms, end_ms) = (start.as_millis(), end.as_millis());
        while let [(_, to, _), rest @ ..] = spans
            && *to <= start_ms
        {
            spans = rest;
        }
        let (mut worst, mut tenths) = (None, 0_i64);
        for (from, to, status) in spans.iter().take_while(|(from, ..)| *from < end_ms) {
            let length = (*to).min(end_ms).min(now.as_millis()).saturating_sub((*from).max(start_ms)).max(0);
            tenths = tenths.saturating_add(length.saturating_mul(tenths_down(*status)));
            worst = worst.max(Some(*status));
        }
        let uptime = worst.map(|_| Uptime::of(tenths, end_ms.saturating_sub(start_ms)));
        Some(ShownDay { date: Date::of(*start, zone), worst, uptime })
    };
    boundaries.windows(2).filter_map(day).collect()
}

/// How many tenths of a second of outage a second of a status is.
const fn tenths_down(status: ComponentStatus) -> i64 {
    match status {
        ComponentStatus::MajorOutage => 10,
        ComponentStatus::PartialOutage => 3,
        ComponentStatus::Degraded | ComponentStatus::Maintenance | ComponentStatus::Operational => 0,
    }
}
