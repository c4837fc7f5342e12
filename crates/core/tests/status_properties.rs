//! Section 13 of the contract, for any order of events: how components are, and how they were, compared with a second opinion that
//! keeps nothing but a list of causes and a log.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use dogwatch_core::Timestamp;
use dogwatch_core::component::EditComponent;
use dogwatch_core::id::{ComponentId, IncidentId, MaintenanceId, StatusPageId};
use dogwatch_core::incident::{ChangeStatus, EditIncident, SetComponents, Severity, Status};
use dogwatch_core::status_page::{
    ComponentStatus, CreateStatusPage, DeleteMaintenance, DeleteStatusPage, EditMaintenance, EditStatusPage,
    MaintenanceState, StatusOverride,
};
use dogwatch_core::{Patch, status_page::CreateMaintenance};
use dogwatch_testkit::cases;
use proptest::prelude::*;
use proptest::sample::subsequence;
use support::pier::Pier;
use support::{valid, word};

const MINUTE: i64 = 60_000;
/// With days of 23 and 25 hours, also such that begin at one o'clock, and such whose midnight occurs twice.
const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "America/Santiago", "America/Havana", "Asia/Kathmandu"];
const SLUGS: [&str; 2] = ["first", "second"];

/// Components are numbered 0 to 2, pages 0 and 1; other numbers are taken modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    Open(Severity, Vec<usize>),
    MoveOn(usize),
    Severity(usize, Severity),
    Tags(usize, Vec<usize>),
    Show(usize, Vec<usize>),
    Overrides(usize, Vec<(usize, ComponentStatus)>),
    Announce(usize, Vec<usize>, i64, i64),
    Move(usize, usize, i64, i64),
    Extend(usize, usize, i64),
    Parts(usize, usize, Vec<usize>),
    Delete(usize, usize),
    Zone(usize, usize),
    Anew(usize, Vec<usize>),
    Rename(usize),
    Pass(i64),
    Tick,
}

fn steps() -> impl Strategy<Value = Step> {
    let some = || subsequence(vec![0, 1, 2], 0..=3).prop_shuffle();
    let severity = || (0..Severity::ALL.len()).prop_map(|n| Severity::ALL[n]);
    let status = || (0..ComponentStatus::ALL.len()).prop_map(|n| ComponentStatus::ALL[n]);
    let overrides = proptest::collection::btree_map(0_usize..3, status(), 0..3);
    let soon = || -30_i64..120;
    let pass = prop_oneof![
        4 => (0..90_i64).prop_map(|minutes| minutes * MINUTE),
        4 => 0..30 * 60 * MINUTE,
        1 => 0..3_i64,
        1 => (0..20_i64).prop_map(|days| days * 24 * 60 * MINUTE),
        2 => -(180 * MINUTE)..0,
    ];
    prop_oneof![
        4 => (severity(), some()).prop_map(|(severity, tags)| Step::Open(severity, tags)),
        4 => any::<usize>().prop_map(Step::MoveOn),
        2 => (any::<usize>(), severity()).prop_map(|(n, severity)| Step::Severity(n, severity)),
        2 => (any::<usize>(), some()).prop_map(|(n, tags)| Step::Tags(n, tags)),
        2 => (0_usize..2, some()).prop_map(|(page, shown)| Step::Show(page, shown)),
        2 => (0_usize..2, overrides).prop_map(|(page, map)| Step::Overrides(page, map.into_iter().collect())),
        4 => (0_usize..2, some(), soon(), 1_i64..90).prop_map(|(page, ids, from, long)| Step::Announce(page, ids, from, long)),
        2 => (0_usize..2, any::<usize>(), soon(), 1_i64..90).prop_map(|(page, n, from, long)| Step::Move(page, n, from, long)),
        1 => (0_usize..2, any::<usize>(), -5_i64..90).prop_map(|(page, n, ends)| Step::Extend(page, n, ends)),
        1 => (0_usize..2, any::<usize>(), some()).prop_map(|(page, n, ids)| Step::Parts(page, n, ids)),
        2 => (0_usize..2, any::<usize>()).prop_map(|(page, n)| Step::Delete(page, n)),
        1 => (0_usize..2, 0..ZONES.len()).prop_map(|(page, zone)| Step::Zone(page, zone)),
        1 => (0_usize..2, some()).prop_map(|(page, shown)| Step::Anew(page, shown)),
        1 => (0_usize..3).prop_map(Step::Rename),
        8 => pass.prop_map(Step::Pass),
        4 => Just(Step::Tick),
    ]
}

#[derive(Debug, Clone)]
struct Works {
    id: MaintenanceId,
    parts: Vec<usize>,
    starts: i64,
    ends: i64,
    state: MaintenanceState,
}

impl Works {
    /// What a tick makes of it.
    fn go_on(&mut self, now: i64) {
        if self.ends <= now {
            self.state = MaintenanceState::Over;
        } else if self.state == MaintenanceState::Scheduled && self.starts <= now {
            self.state = MaintenanceState::UnderWay;
        }
    }
}

#[derive(Debug, Clone)]
struct Page {
    id: StatusPageId,
    zone: Tz,
    shown: Vec<usize>,
    overrides: BTreeMap<usize, ComponentStatus>,
    works: Vec<Works>,
    /// From when on each component had which status.
    log: BTreeMap<usize, Vec<(i64, Option<ComponentStatus>)>>,
}

#[derive(Debug, Clone)]
struct Trouble {
    id: IncidentId,
    severity: Severity,
    status: Status,
    tags: Vec<usize>,
}

/// The second opinion, beside what it is about.
struct Both {
    pier: Pier,
    all: [ComponentId; 3],
    troubles: Vec<Trouble>,
    pages: Vec<Page>,
    latest: i64,
}

impl Both {
    fn new() -> Self {
        let pier = Pier::since("2026-03-20T15:00:00Z");
        let all = [pier.api, pier.web, pier.mail];
        let mut both = Self { pier, all, troubles: Vec::new(), pages: Vec::new(), latest: 0 };
        for n in 0..2 {
            let page = both.page(n, &[0, 1]);
            both.pages.push(page);
        }
        both
    }

    fn now(&self) -> i64 {
        self.pier.now().as_millis()
    }

    fn ids(&self, numbers: &[usize]) -> Vec<ComponentId> {
        numbers.iter().map(|n| self.all[*n]).collect()
    }

    fn page(&mut self, n: usize, shown: &[usize]) -> Page {
        let create = CreateStatusPage {
            published: true,
            component_ids: self.ids(shown),
            timezone: ZONES[n].to_owned(),
            ..CreateStatusPage::new(valid("Harbour status"), valid(SLUGS[n]))
        };
        let (id, shown) = (self.pier.run(create).unwrap().id, shown.to_vec());
        let (overrides, works, log) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Page { id, zone: ZONES[n].parse().unwrap(), shown, overrides, works, log }
    }

    fn run<C: dogwatch_core::Command>(&mut self, command: C, expected: &str) -> Option<C::Reply> {
        let outcome = self.pier.run(command);
        assert_eq!(word(&outcome), expected);
        outcome.ok()
    }

    fn tick(&mut self) {
        let now = self.now();
        self.pier.tick();
        self.pages.iter_mut().flat_map(|page| &mut page.works).for_each(|works| works.go_on(now));
    }

    fn trouble(&self, n: usize) -> Option<usize> {
        let open: Vec<_> = (0..self.troubles.len()).filter(|i| self.troubles[*i].status != Status::Resolved).collect();
        if open.is_empty() { None } else { Some(open[n % open.len()]) }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open(severity, tags) => {
                let id = self.pier.open(severity.as_str(), &self.ids(&tags));
                self.troubles.push(Trouble { id, severity, status: Status::Investigating, tags });
            }
            Step::MoveOn(n) => {
                let Some(n) = self.trouble(n) else { return };
                let trouble = &mut self.troubles[n];
                let next = Status::ALL.into_iter().find(|status| *status > trouble.status).unwrap();
                trouble.status = next;
                let change = ChangeStatus::new(trouble.id, next);
                self.run(change, "ok");
            }
            Step::Severity(n, severity) => {
                let Some(n) = self.trouble(n) else { return };
                self.troubles[n].severity = severity;
                let edit = EditIncident { severity: Some(severity), ..EditIncident::new(self.troubles[n].id) };
                self.run(edit, "ok");
            }
            Step::Tags(n, tags) => {
                let Some(n) = self.trouble(n) else { return };
                self.run(SetComponents::new(self.troubles[n].id, self.ids(&tags)), "ok");
                self.troubles[n].tags = tags;
            }
            Step::Show(page, shown) => {
                let component_ids = Some(self.ids(&shown));
                self.run(EditStatusPage { component_ids, ..EditStatusPage::new(self.pages[page].id) }, "ok");
                self.pages[page].overrides.retain(|n, _| shown.contains(n));
                self.pages[page].shown = shown;
            }
            Step::Overrides(page, overrides) => {
                let one = |(n, status): &(usize, _)| StatusOverride { component_id: self.all[*n], status: *status };
                let told = overrides.iter().map(one).collect();
                let fits = overrides.iter().all(|(n, _)| self.pages[page].shown.contains(n));
                let edit = EditStatusPage { overrides: Some(told), ..EditStatusPage::new(self.pages[page].id) };
                self.run(edit, if fits { "ok" } else { "validation_error" });
                if fits {
                    self.pages[page].overrides = overrides.into_iter().collect();
                }
            }
            Step::Announce(page, parts, from, long) => self.announce(page, &parts, from, long),
            Step::Move(page, n, from, long) => {
                let (starts, ends) = (self.now() + from * MINUTE, self.now() + (from + long) * MINUTE);
                self.edit(page, n, Some(starts), Some(ends), None);
            }
            Step::Extend(page, n, by) => self.edit(page, n, None, Some(self.now() + by * MINUTE), None),
            Step::Parts(page, n, parts) => self.edit(page, n, None, None, Some(parts)),
            Step::Delete(page, n) => {
                let works = &mut self.pages[page].works;
                if works.is_empty() {
                    return;
                }
                let n = n % works.len();
                let id = works[n].id;
                if works[n].state == MaintenanceState::UnderWay {
                    works[n].state = MaintenanceState::Over;
                } else {
                    works.remove(n);
                }
                self.run(DeleteMaintenance::new(self.pages[page].id, id), "ok");
            }
            Step::Zone(page, zone) => {
                let timezone = Some(ZONES[zone].to_owned());
                self.run(EditStatusPage { timezone, ..EditStatusPage::new(self.pages[page].id) }, "ok");
                self.pages[page].zone = ZONES[zone].parse().unwrap();
            }
            Step::Anew(page, shown) => {
                self.run(DeleteStatusPage::new(self.pages[page].id), "ok");
                self.pages[page] = self.page(page, &shown);
            }
            Step::Rename(n) => {
                let name = Some(valid(&format!("Part {n} at {}", self.now())));
                let (description, group_label) = (Patch::Keep, Patch::Keep);
                self.run(EditComponent { id: self.all[n], name, description, group_label }, "ok");
            }
            Step::Pass(by) => self.pier.harbour.now = Timestamp::clamped(self.now() + by),
            Step::Tick => self.tick(),
        }
    }

    fn announce(&mut self, page: usize, parts: &[usize], from: i64, long: i64) {
        let now = self.now();
        let (starts, ends) = (now + from * MINUTE, now + (from + long) * MINUTE);
        let expected = match parts {
            [] => "validation_error",
            parts if parts.iter().any(|n| !self.pages[page].shown.contains(n)) => "invalid_component_id",
            _ if ends <= now => "validation_error",
            _ => "ok",
        };
        let create = CreateMaintenance {
            starts_at: Timestamp::clamped(starts),
            ends_at: Timestamp::clamped(ends),
            ..self.pier.maintenance(self.pages[page].id, &self.ids(parts), 0, 1)
        };
        if let Some(made) = self.run(create, expected) {
            // One whose beginning has come begins; whether at once or by a tick is the same to whoever ticks now.
            let state = if starts < now { MaintenanceState::UnderWay } else { MaintenanceState::Scheduled };
            assert_eq!(made.starts_at.as_millis(), starts.max(now));
            let (id, parts, starts) = (made.id, parts.to_vec(), starts.max(now));
            self.pages[page].works.push(Works { id, parts, starts, ends, state });
            self.tick();
        }
    }

    /// Changes a maintenance, after a tick: the contract does not say what an edit makes of one that waits for its tick.
    fn edit(&mut self, page: usize, n: usize, starts: Option<i64>, ends: Option<i64>, parts: Option<Vec<usize>>) {
        self.tick();
        self.compare_now();
        let now = self.now();
        let Page { id, works, shown, .. } = &self.pages[page];
        if works.is_empty() {
            return;
        }
        let n = n % works.len();
        let old = works[n].clone();
        if parts.as_ref() == Some(&old.parts) {
            return;
        }
        let (from, to) = (starts.unwrap_or(old.starts), ends.unwrap_or(old.ends));
        let begun = old.state == MaintenanceState::UnderWay;
        let expected = match &parts {
            _ if old.state == MaintenanceState::Over => "validation_error",
            _ if begun && starts.is_some_and(|starts| starts != old.starts) => "validation_error",
            _ if ends.is_some() && to <= now => "validation_error",
            _ if to <= from => "validation_error",
            Some(parts) if parts.is_empty() => "validation_error",
            Some(parts) if parts.iter().any(|n| !shown.contains(n)) => "invalid_component_id",
            _ => "ok",
        };
        let component_ids = parts.as_ref().map(|parts| self.ids(parts));
        let (starts_at, ends_at) = (starts.map(Timestamp::clamped), ends.map(Timestamp::clamped));
        let edit = EditMaintenance { starts_at, ends_at, component_ids, ..EditMaintenance::new(*id, old.id) };
        if self.run(edit, expected).is_some() {
            let works = &mut self.pages[page].works[n];
            works.starts = if starts.is_some() && !begun { from.max(now) } else { from };
            (works.ends, works.parts) = (to, parts.unwrap_or(old.parts));
            self.tick();
        }
    }

    /// What the contract says that each component is, from nothing but the causes.
    fn status(&self, page: &Page, n: usize) -> Option<ComponentStatus> {
        if !page.shown.contains(&n) {
            return None;
        }
        if let Some(status) = page.overrides.get(&n) {
            return Some(*status);
        }
        if page.works.iter().any(|works| works.state == MaintenanceState::UnderWay && works.parts.contains(&n)) {
            return Some(ComponentStatus::Maintenance);
        }
        let open = self.troubles.iter().filter(|it| it.status != Status::Resolved && it.tags.contains(&n));
        let levels: BTreeSet<_> = open.map(|it| it.severity.as_str()).collect();
        Some(match levels {
            levels if levels.contains("critical") => ComponentStatus::MajorOutage,
            levels if levels.contains("high") => ComponentStatus::PartialOutage,
            levels if !levels.is_empty() => ComponentStatus::Degraded,
            _ => ComponentStatus::Operational,
        })
    }

    /// Keeps the log, and compares the statuses of now and the banner.
    fn compare_now(&mut self) {
        let now = self.now();
        for (at, slug) in SLUGS.into_iter().enumerate() {
            for n in 0..self.all.len() {
                let status = self.status(&self.pages[at], n);
                let log = self.pages[at].log.entry(n).or_default();
                if log.last().map_or(status.is_some(), |(_, last)| *last != status) {
                    let since = log.last().map_or(now, |(last, _)| now.max(*last));
                    log.push((since, status));
                    self.latest = self.latest.max(since);
                }
            }
            let page = &self.pages[at];
            let seen = self.pier.look(slug).unwrap();
            let statuses: Vec<_> = seen.components.iter().map(|it| (it.id, it.status)).collect();
            let expected: Vec<_> = page.shown.iter().map(|n| (self.all[*n], self.status(page, *n).unwrap())).collect();
            assert_eq!(statuses, expected, "page {at} at {}", self.pier.now());
            let worst =
                expected.iter().map(|(_, status)| *status).filter(|it| *it != ComponentStatus::Maintenance).max();
            let maintained = expected.iter().any(|(_, status)| *status == ComponentStatus::Maintenance);
            let banner = match worst.unwrap_or(ComponentStatus::Operational) {
                ComponentStatus::Operational if maintained => ComponentStatus::Maintenance,
                worst => worst,
            };
            assert_eq!(seen.banner, banner, "page {at} at {}", self.pier.now());
        }
    }

    /// Compares the days with the log, as they are when the clock is not behind it.
    fn compare_days(&mut self) {
        let now = self.pier.now();
        self.pier.harbour.now = Timestamp::clamped(now.as_millis().max(self.latest));
        for (at, page) in self.pages.iter().enumerate() {
            let (zone, seen) = (page.zone, self.pier.look(SLUGS[at]).unwrap());
            let today = zone.timestamp_millis_opt(self.now()).unwrap().date_naive();
            for (component, n) in seen.components.iter().zip(&page.shown) {
                assert_eq!(component.days.len(), 90);
                for (back, day) in component.days.iter().rev().enumerate() {
                    let date = today.checked_sub_days(Days::new(u64::try_from(back).unwrap())).unwrap();
                    assert_eq!(day.date.to_string(), date.to_string());
                    let (worst, uptime) = naive_day(&page.log[n], date, zone, self.now());
                    assert_eq!(day.worst, worst, "{date} of {n} on {at}: {:?}", page.log[n]);
                    let millionths = day.uptime.map(|uptime| f64::from(uptime.millionths()) / 1e6);
                    let near = millionths.zip(uptime).map_or(millionths == uptime, |(a, b)| (a - b).abs() < 1.000_1e-6);
                    assert!(near, "{date} of {n} on {at}: {millionths:?} but {uptime:?} by {:?}", page.log[n]);
                }
            }
        }
        self.pier.harbour.now = now;
    }
}

/// The first instant of a day.
fn beginning(date: NaiveDate, zone: Tz) -> i64 {
    let at = |time: NaiveDateTime| match zone.from_local_datetime(&time) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at),
        LocalResult::None => None,
    };
    let midnight = date.and_hms_opt(0, 0, 0).unwrap();
    let first: DateTime<Tz> = at(midnight).or_else(|| at(date.and_hms_opt(1, 0, 0).unwrap())).unwrap();
    first.timestamp_millis()
}

/// The worst status and the uptime of a day, by a log.
fn naive_day(
    log: &[(i64, Option<ComponentStatus>)],
    date: NaiveDate,
    zone: Tz,
    now: i64,
) -> (Option<ComponentStatus>, Option<f64>) {
    let (from, to) = (beginning(date, zone), beginning(date.succ_opt().unwrap(), zone));
    let (mut worst, mut lost) = (None, 0);
    for (place, (since, status)) in log.iter().enumerate() {
        let next = log.get(place + 1).map(|(next, _)| *next);
        // What is so now is so for a moment, at least; what was so for no time at all was not so.
        let (start, end) = ((*since).max(from), next.unwrap_or(now + 1).min(to));
        let Some(status) = status.filter(|_| start < end) else { continue };
        worst = worst.max(Some(status));
        let length = end.min(now) - start;
        lost += match status {
            ComponentStatus::MajorOutage => 10 * length,
            ComponentStatus::PartialOutage => 3 * length,
            _ => 0,
        };
    }
    let float = |millis: i64| f64::from(i32::try_from(millis).unwrap());
    (worst, worst.map(|_| 1.0 - float(lost) / 10.0 / float(to - from)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(150)))]

    #[test]
    fn any_order_of_events_gives_what_the_causes_and_the_log_say(
        steps in proptest::collection::vec(steps(), 1..60),
    ) {
        let mut both = Both::new();
        both.compare_now();
        for (place, step) in steps.into_iter().enumerate() {
            both.step(step);
            both.compare_now();
            if place % 8 == 0 {
                both.compare_days();
            }
        }
        both.compare_days();
    }
}
