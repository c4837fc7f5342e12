//! What the auditor knows of status pages: the status of each component follows from what else is seen, and what was seen of the past
//! stays as it was.

use std::collections::BTreeMap;
use std::time::Duration;

use dogwatch_core::id::{ComponentId, IncidentId, MaintenanceId, StatusPageId};
use dogwatch_core::incident::{IncidentView, Severity};
use dogwatch_core::status_page::{
    ComponentStatus, ListStatusPages, MaintenanceState, PublicPage, ShowStatusPage, ShownComponent, ShownDay,
    StatusPage,
};
use dogwatch_core::{Actor, Timestamp};
use dogwatch_store::Engine;

use super::auditor::ensure;
use super::{Complaint, Instants};
use crate::rooms::status_page::days_in;

/// What an incident does to components.
#[derive(Debug)]
struct Tags {
    severity: Severity,
    components: Vec<ComponentId>,
    resolved: bool,
}

/// How far a maintenance had come when it was last seen, when it begins, and when it ends.
type Seen = (MaintenanceState, Timestamp, Timestamp);

/// The statuses that a component of a page was seen to have, from when on; `None` while the page did not show it.
type Statuses = Vec<(Timestamp, Option<ComponentStatus>)>;

/// The status pages of a night, all of them published, as they were last seen.
#[derive(Debug, Default)]
pub struct Pages {
    tags: BTreeMap<IncidentId, Tags>,
    maintenances: BTreeMap<MaintenanceId, Seen>,
    seen: BTreeMap<(StatusPageId, ComponentId), Statuses>,
    /// What a page has said of days that were over.
    past: BTreeMap<(StatusPageId, ComponentId), Vec<ShownDay>>,
    /// The components that pages show.
    shown: Vec<ComponentId>,
    /// How often a component was seen to have another status.
    pub changes: u64,
}

impl Pages {
    /// Takes note of an incident as it is shown.
    pub fn note(&mut self, incident: &IncidentView) {
        let components = incident.affected_components.iter().map(|component| component.id).collect();
        let resolved = incident.resolved_at.is_some();
        self.tags.insert(incident.id, Tags { severity: incident.severity, components, resolved });
    }

    /// Whether a page shows a component that an incident tags.
    #[must_use]
    pub fn is_public(&self, incident: IncidentId) -> bool {
        self.tags.get(&incident).is_some_and(|tags| tags.components.iter().any(|it| self.shown.contains(it)))
    }

    /// The maintenances that begin or end by a tick for an instant.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<MaintenanceId> {
        self.deadlines().filter(|(due, _)| *due <= now).map(|(_, id)| id).collect()
    }

    /// When maintenances begin or end.
    pub fn deadlines(&self) -> impl Iterator<Item = (Timestamp, MaintenanceId)> {
        self.maintenances.iter().filter_map(|(id, (state, starts, ends))| match state {
            MaintenanceState::Scheduled => Some((*starts, *id)),
            MaintenanceState::UnderWay => Some((*ends, *id)),
            MaintenanceState::Over => None,
        })
    }

    /// Audits all pages; with `all`, also what they say of long ago.
    pub fn audit(&mut self, engine: &Engine, admin: &Actor, instants: Instants, all: bool) -> Result<(), Complaint> {
        let pages = engine.query(&ListStatusPages, admin).map_err(|error| error.to_string())?;
        let mut maintenances = BTreeMap::new();
        self.shown.clear();
        for page in pages {
            let show = ShowStatusPage::new(page.slug.clone(), instants.now);
            let shown = engine.query(&show, &Actor::Anybody).map_err(|error| error.to_string())?;
            let seen = shown.maintenances.iter().map(|it| (it.id, (it.state, it.starts_at, it.ends_at)));
            maintenances.extend(seen);
            self.shown.extend(&page.component_ids);
            let audited = self.audit_page(&page, &shown, instants, all);
            audited.map_err(|complaint| format!("page {}: {complaint}\n{instants:?}", page.slug))?;
        }
        self.follow_maintenances(maintenances, instants)
    }

    /// Maintenances begin and end, and never the other way round; one under way does not vanish, and one that is over stays as it is.
    fn follow_maintenances(&mut self, now: BTreeMap<MaintenanceId, Seen>, instants: Instants) -> Result<(), Complaint> {
        for (id, before) in &self.maintenances {
            let after = now.get(id);
            ensure!(after.is_some() || before.0 != MaintenanceState::UnderWay, "{id} was under way, and is gone");
            let Some(after) = after else { continue };
            let over = before.0 == MaintenanceState::Over;
            ensure!(order(before.0) <= order(after.0) && (!over || before == after), "{id} was {before:?}: {after:?}");
            let begun = before.0 == MaintenanceState::UnderWay;
            ensure!(!begun || before.1 == after.1, "{id} began at {}, and later at {}", before.1, after.1);
        }
        for (id, (state, starts, _)) in &now {
            let latest = instants.tick.map_or(instants.now, |tick| tick.max(instants.now));
            ensure!(*state != MaintenanceState::UnderWay || *starts <= latest, "{id} is under way before {starts}");
        }
        self.maintenances = now;
        Ok(())
    }

    fn audit_page(
        &mut self,
        page: &StatusPage,
        shown: &PublicPage,
        instants: Instants,
        all: bool,
    ) -> Result<(), Complaint> {
        let ids: Vec<_> = shown.components.iter().map(|component| component.id).collect();
        ensure!(ids == page.component_ids, "it shows {ids:?}, and should {:?}", page.component_ids);
        let begins: Vec<_> = days_in(page.zone.name(), instants.now.as_millis()).into_iter().map(|it| it.1).collect();
        for component in &shown.components {
            let status = self.status(page, shown, component.id);
            let (id, got) = (component.id, component.status);
            ensure!(got == status, "{id} is {got}, and should be {status}");
            self.follow(page, component, instants)?;
            self.audit_days((page.id, component), &begins, instants.now, all)?;
        }
        let worst = |maintenance: bool| {
            let counted = shown.components.iter().map(|it| it.status);
            counted.filter(|it| maintenance || *it != ComponentStatus::Maintenance).max()
        };
        let banner = worst(false).filter(|it| *it != ComponentStatus::Operational).or(worst(true));
        let banner = banner.unwrap_or(ComponentStatus::Operational);
        ensure!(shown.banner == banner, "the banner is {}, and should be {banner}", shown.banner);
        let tagging = |tags: &Tags| tags.components.iter().any(|id| page.shows(*id));
        let open = self.tags.iter().filter(|(_, tags)| !tags.resolved && tagging(tags));
        let open: Vec<_> = open.map(|(id, _)| *id).rev().take(50).collect();
        let got: Vec<_> = shown.incidents.iter().map(|incident| incident.id).collect();
        ensure!(got == open, "it shows the incidents {got:?}, and should {open:?}");
        // What the page does not show any more goes on without it.
        for (key, seen) in &mut self.seen {
            if key.0 == page.id && !page.shows(key.1) && seen.last().is_some_and(|(_, last)| last.is_some()) {
                let last = seen.last().map_or(instants.now, |(at, _)| *at);
                add(seen, instants.now.max(last), None);
            }
        }
        Ok(())
    }

    /// The status of a component: the first that applies.
    fn status(&self, page: &StatusPage, shown: &PublicPage, component: ComponentId) -> ComponentStatus {
        if let Some(one) = page.overrides.iter().find(|one| one.component_id == component) {
            return one.status;
        }
        let mut under_way = shown.maintenances.iter().filter(|it| it.state == MaintenanceState::UnderWay);
        if under_way.any(|it| it.components.iter().any(|it| it.id == component)) {
            return ComponentStatus::Maintenance;
        }
        let open = self.tags.values().filter(|tags| !tags.resolved && tags.components.contains(&component));
        let worst = open.map(|tags| match tags.severity {
            Severity::Critical => ComponentStatus::MajorOutage,
            Severity::High => ComponentStatus::PartialOutage,
            Severity::Medium | Severity::Low => ComponentStatus::Degraded,
        });
        worst.max().unwrap_or(ComponentStatus::Operational)
    }

    /// A status that is another than before is so since the instant of the step, or since that of the last change when that is later.
    fn follow(&mut self, page: &StatusPage, component: &ShownComponent, instants: Instants) -> Result<(), Complaint> {
        let seen = self.seen.entry((page.id, component.id)).or_default();
        let (status, since, id) = (Some(component.status), component.since, component.id);
        if let Some((last, before)) = seen.last().copied() {
            if (last, before) == (since, status) {
                return Ok(());
            }
            ensure!(last <= since, "{id} was {before:?} since {last}, and is {status:?} since {since}");
            let instant = |at: Timestamp| since == at.max(last);
            let of_step = instant(instants.now) || instants.tick.is_some_and(instant);
            ensure!(of_step, "{id} is {status:?} since {since}, of which nobody has seen anything");
            self.changes += u64::from(before != status);
        }
        add(seen, since, status);
        Ok(())
    }

    /// The days, which begin at these instants, are as they follow from what was seen, and those that were over stay as they were.
    fn audit_days(
        &mut self,
        (page, component): (StatusPageId, &ShownComponent),
        begins: &[i64],
        now: Timestamp,
        all: bool,
    ) -> Result<(), Complaint> {
        let key = (page, component.id);
        let days = &component.days;
        ensure!(days.len() == 90 && begins.len() == 91, "{} days", days.len());
        // A tick may come late, and be for an instant of yesterday.
        let settled = now.as_millis() - i64::try_from(Duration::from_secs(3_600).as_millis()).unwrap();
        let over = days.iter().zip(&begins[1..]).take_while(|(_, ends)| **ends <= settled).map(|(day, _)| *day);
        let over: Vec<_> = over.collect();
        let before = self.past.insert(key, over).unwrap_or_default();
        for day in before {
            let now = days.iter().find(|it| it.date == day.date);
            ensure!(now.is_none_or(|now| *now == day), "{} was {day:?}, and is {now:?}", component.id);
        }
        let seen = self.seen.get(&key).map(Vec::as_slice).unwrap_or_default();
        for (place, pair) in begins.windows(2).enumerate().skip(if all { 0 } else { 88 }) {
            let (begins, ends) = (pair[0], pair[1]);
            let (mut worst, mut down) = (None, 0);
            for (n, (from, status)) in seen.iter().enumerate() {
                let from = from.as_millis();
                let to = seen.get(n + 1).map_or(now.as_millis().max(from) + 1, |(next, _)| next.as_millis());
                let Some(status) = status.filter(|_| from < ends && begins < to) else { continue };
                worst = worst.max(Some(status));
                let length = (to.min(ends).min(now.as_millis()) - from.max(begins)).max(0);
                let tenths = match status {
                    ComponentStatus::MajorOutage => 10,
                    ComponentStatus::PartialOutage => 3,
                    _ => 0,
                };
                down += length * tenths;
            }
            let day = days[place];
            ensure!(day.worst == worst, "{} was {:?} at worst on {}: {worst:?}", component.id, day.worst, day.date);
            let up = worst.map(|_| 1_000_000 - down * 100_000 / (ends - begins));
            let apart = day.uptime.zip(up).map_or(0, |(got, up)| (i64::from(got.millionths()) - up).abs());
            let both = day.uptime.is_some() == up.is_some();
            ensure!(both && apart <= 1, "{} was up {:?} on {}, and not {up:?}", component.id, day.uptime, day.date);
        }
        Ok(())
    }
}

/// Adds a status to those that were seen. Of several at one instant, the last counts.
fn add(seen: &mut Statuses, at: Timestamp, status: Option<ComponentStatus>) {
    seen.pop_if(|(last, _)| *last == at);
    seen.push((at, status));
}

const fn order(state: MaintenanceState) -> u8 {
    match state {
        MaintenanceState::Scheduled => 0,
        MaintenanceState::UnderWay => 1,
        MaintenanceState::Over => 2,
    }
}
