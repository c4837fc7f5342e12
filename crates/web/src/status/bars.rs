//! The bars of a component: its last 90 days as one small picture, and the words for whoever does not see it.
//!
//! A day is three wide, with one between two. The worse a day was, the taller its bar, so that it can be told without its colour.
//! Neighbouring days without trouble are one line with gaps, so a quiet component takes a few bytes.

use std::fmt::Write as _;

use dogwatch_store::rules::status_page::{ComponentStatus, ShownDay, Uptime};

use super::html::{self, Sign};

/// The height of the picture.
const HEIGHT: u32 = 28;

/// The bars of one component.
pub(super) struct Bars {
    /// The width of the picture.
    pub(super) width: usize,
    pub(super) height: u32,
    /// For each status that occurs: its class, and the path of its bars.
    pub(super) paths: Vec<(&'static str, String)>,
    /// The first of the days, for people.
    pub(super) from: String,
    /// The picture in words.
    pub(super) words: String,
    /// The days on which it was not operational, the latest first.
    pub(super) bad: Vec<BadDay>,
    /// The mean of the days on which it was shown.
    pub(super) uptime: Option<Uptime>,
}

/// A day on which a component was not operational.
pub(super) struct BadDay {
    pub(super) shown: String,
    pub(super) status: Sign,
    pub(super) uptime: Uptime,
}

/// The class of the bars of a status, and how far below the top they begin.
const fn bar(status: Option<ComponentStatus>) -> (&'static str, u32) {
    match status {
        None => ("n", 24),
        Some(ComponentStatus::Operational) => ("o", 12),
        Some(ComponentStatus::Maintenance) => ("w", 8),
        Some(ComponentStatus::Degraded) => ("d", 6),
        Some(ComponentStatus::PartialOutage) => ("p", 3),
        Some(ComponentStatus::MajorOutage) => ("m", 0),
    }
}

impl BadDay {
    /// Whether some of it counts as not up.
    pub(super) fn was_down(&self) -> bool {
        self.uptime != Uptime::ALL
    }
}

impl Bars {
    pub(super) fn of(name: &str, days: &[ShownDay]) -> Self {
        let mut paths: Vec<(&'static str, String)> = Vec::new();
        let mut at = 0;
        while let Some(rest) = days.get(at..).filter(|rest| !rest.is_empty()) {
            let worst = rest.first().and_then(|day| day.worst);
            let run = rest.iter().take_while(|day| day.worst == worst).count();
            let (class, top) = bar(worst);
            let place = paths.iter().position(|(other, _)| *other == class).unwrap_or_else(|| {
                paths.push((class, String::new()));
                paths.len() - 1
            });
            if let Some((_, path)) = paths.get_mut(place) {
                // One line through the middle of the bars; its dashes are the days.
                let middle = (top + HEIGHT) / 2;
                let _ = write!(path, "M{} {middle}h{}", at * 4, run * 4 - 1);
            }
            at += run;
        }
        let bad = |day: &ShownDay| {
            let status = day.worst.filter(|status| *status != ComponentStatus::Operational)?;
            Some(BadDay { shown: html::day(day.date), status: Sign(status), uptime: day.uptime? })
        };
        let bad: Vec<_> = days.iter().rev().filter_map(bad).collect();
        let known = days.iter().filter(|day| day.worst.is_some()).count();
        let words = match bad.len() {
            0 => format!("{name}: operational on all {known} days shown"),
            count => format!("{name}: {count} of {known} days not operational, listed below"),
        };
        let uptime = Uptime::mean(days.iter().filter_map(|day| day.uptime));
        let from = days.first().map_or_else(String::new, |day| html::day(day.date));
        Self { width: (days.len() * 4).saturating_sub(1), height: HEIGHT, paths, from, words, bad, uptime }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests panic when they fail")]
    use super::*;
    use dogwatch_store::rules::status_page::Date;

    fn days(statuses: &[Option<ComponentStatus>]) -> Vec<ShownDay> {
        let day = |(at, worst): (usize, &Option<ComponentStatus>)| ShownDay {
            date: Date { year: 2026, month: 4, day: u8::try_from(at + 1).unwrap() },
            worst: *worst,
            uptime: worst.map(|_| Uptime::ALL),
        };
        statuses.iter().enumerate().map(day).collect()
    }

    #[test]
    fn neighbours_are_one_line() {
        use ComponentStatus::{MajorOutage, Operational};
        let (up, down) = (Some(Operational), Some(MajorOutage));
        let bars = Bars::of("API", &days(&[None, up, up, down, up]));
        let paths: Vec<_> = bars.paths.iter().map(|(class, path)| (*class, path.as_str())).collect();
        assert_eq!(paths, [("n", "M0 26h3"), ("o", "M4 20h7M16 20h3"), ("m", "M12 14h3")]);
        assert_eq!(bars.width, 19);
        assert_eq!(bars.words, "API: 1 of 4 days not operational, listed below");
        assert_eq!(bars.bad.iter().map(|day| day.shown.as_str()).collect::<Vec<_>>(), ["4 Apr"]);
    }

    #[test]
    fn the_worse_the_taller() {
        let tops: Vec<_> = ComponentStatus::ALL.iter().map(|status| bar(Some(*status)).1).collect();
        assert!(tops.windows(2).all(|pair| pair[0] > pair[1]), "{tops:?}");
    }

    #[test]
    fn no_days_are_no_bars() {
        let bars = Bars::of("API", &[]);
        assert!(bars.paths.is_empty() && bars.uptime.is_none() && bars.width == 0);
    }
}
