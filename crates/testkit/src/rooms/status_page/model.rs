//! The model of status pages and maintenances (contract, section 13).
//!
//! What a component's status is follows, after every step, from what is in the lists; when it differs from the last one that was noted,
//! it is noted with the instant. What a page shows of days is counted from these notes.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZoneDatabase;

use crate::model::{Expected, Millis, Overdue, Waits, ensure};
use crate::render;
use crate::rooms::Org;
use crate::rooms::incident::{Incident, RESOLVED, SEVERITIES, STATUSES};

/// The statuses of a component, the worst last.
pub(crate) const COMPONENT_STATUSES: [&str; 5] =
    ["operational", "maintenance", "degraded", "partial_outage", "major_outage"];
const OPERATIONAL: usize = 0;
const MAINTENANCE: usize = 1;
/// The status of a component that an unresolved incident of each severity tags.
const OF_SEVERITY: [usize; 4] = [4, 3, 2, 2];

/// Time zones of pages; the last is none.
pub(crate) const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Mars/Olympus"];
/// Slugs, few enough that organizations want the same.
pub(crate) const SLUGS: [&str; 4] = ["status", "shop-1", "a-b-c", "007"];

const MONTH: Millis = 30 * 86_400_000;

/// A status page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct PageModel {
    pub id: String,
    pub name: String,
    pub slug: usize,
    pub published: bool,
    pub zone: usize,
    pub components: Vec<usize>,
    /// The statuses that are set by hand, by component.
    pub overrides: BTreeMap<usize, usize>,
    pub created: Millis,
    pub updated: Millis,
    pub deleted: bool,
    /// What the status of each component was, from which instant on, oldest first; `None` while the page did not show it.
    pub history: BTreeMap<usize, Vec<(Millis, Option<usize>)>>,
}

/// How far a maintenance has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the contract")]
pub enum Phase {
    Scheduled,
    UnderWay,
    Over,
    /// Deleted, forgotten, or of a page that was deleted.
    Gone,
}

/// A maintenance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct MaintenanceModel {
    pub id: String,
    pub page: usize,
    pub title: String,
    pub description: Option<String>,
    pub components: Vec<usize>,
    pub starts: Millis,
    pub ends: Millis,
    pub created: Millis,
    pub phase: Phase,
}

impl MaintenanceModel {
    /// When it begins or ends by the next tick; `None` when it does neither any more.
    #[must_use]
    pub fn due(&self) -> Option<Millis> {
        match self.phase {
            Phase::Scheduled => Some(self.starts),
            Phase::UnderWay => Some(self.ends),
            Phase::Over | Phase::Gone => None,
        }
    }
}

/// Component ids as text, each with its place in the organization's list if it is there.
pub(crate) type Ids = Vec<(String, Option<usize>)>;

/// What a page shall have; `None` is not given, which on creation cannot be.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub(crate) struct PageInput {
    pub name: Option<String>,
    pub slug: Option<usize>,
    pub published: Option<bool>,
    pub zone: Option<usize>,
    pub components: Option<Ids>,
    pub overrides: Option<Vec<(String, usize)>>,
}

/// What a maintenance shall have; `None` is not given.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub(crate) struct MaintenanceInput {
    pub title: Option<String>,
    pub description: Option<Option<String>>,
    pub components: Option<Ids>,
    pub starts: Option<Millis>,
    pub ends: Option<Millis>,
}

fn span_fits(starts: Millis, ends: Millis) -> Expected<()> {
    ensure(starts < ends && ends - starts <= MONTH, "validation_error")
}

/// Overrides must be of components that are shown, and each is given once.
fn overrides_fit(overrides: &[(String, usize)], shown: &[String]) -> Expected<()> {
    for (place, (id, _)) in overrides.iter().enumerate() {
        ensure(shown.contains(id), "validation_error")?;
        ensure(!overrides[..place].iter().any(|(earlier, _)| earlier == id), "validation_error")?;
    }
    Ok(())
}

impl Org {
    /// The page at this place, if it is there.
    pub(super) fn page_here(&self, index: Option<usize>) -> Expected<usize> {
        index.filter(|index| !self.pages[*index].deleted).ok_or("not_found")
    }

    /// The components that a page has shown, by their ids, with the statuses that are set for some.
    fn by_hand(&self, overrides: &[(String, usize)]) -> BTreeMap<usize, usize> {
        let place = |id: &String| self.components.iter().position(|component| component.id == *id);
        overrides.iter().map(|(id, status)| (place(id).unwrap(), *status)).collect()
    }

    fn ids_of(&self, components: &[usize]) -> Vec<String> {
        components.iter().map(|component| self.components[*component].id.clone()).collect()
    }

    /// Creates a page and gives its place; its id is learnt later. `free` says whether nobody has the slug.
    pub(super) fn create_page(&mut self, actor: usize, now: Millis, new: &PageInput, free: bool) -> Expected<usize> {
        self.admin(actor)?;
        let (components, overrides) = (new.components.as_ref().unwrap(), new.overrides.as_ref().unwrap());
        let ids: Vec<_> = components.iter().map(|(id, _)| id.clone()).collect();
        overrides_fit(overrides, &ids)?;
        let components = self.component_set(components)?;
        let zone = new.zone.filter(|zone| *zone < ZONES.len() - 1).ok_or("invalid_timezone")?;
        ensure(free, "name_conflict")?;
        ensure(self.pages.iter().filter(|page| !page.deleted).count() < 20, "limit_reached")?;
        self.pages.push(PageModel {
            id: String::new(),
            name: new.name.clone().unwrap(),
            slug: new.slug.unwrap(),
            published: new.published.unwrap(),
            zone,
            components,
            overrides: self.by_hand(overrides),
            created: now,
            updated: now,
            deleted: false,
            history: BTreeMap::new(),
        });
        Ok(self.pages.len() - 1)
    }

    /// Changes a page and gives its place. `free` says whether no other page has the slug.
    pub(super) fn edit_page_settings(
        &mut self,
        actor: usize,
        now: Millis,
        index: Option<usize>,
        new: &PageInput,
        free: bool,
    ) -> Expected<usize> {
        self.admin(actor)?;
        // What is wrong with the request alone is said before the page is looked up.
        if let Some(overrides) = &new.overrides {
            let named: Vec<_> = overrides.iter().map(|(id, _)| id.clone()).collect();
            let given = new.components.as_ref().map(|all| all.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>());
            overrides_fit(overrides, given.as_ref().unwrap_or(&named))?;
        }
        let index = self.page_here(index)?;
        let mut after = self.pages[index].clone();
        let ids = match &new.components {
            Some(components) => components.iter().map(|(id, _)| id.clone()).collect(),
            None => self.ids_of(&after.components),
        };
        if let Some(overrides) = &new.overrides {
            overrides_fit(overrides, &ids)?;
        }
        if let Some(components) = &new.components {
            after.components = self.component_set(components)?;
        }
        after.overrides = match &new.overrides {
            Some(overrides) => self.by_hand(overrides),
            None => after.overrides.into_iter().filter(|(it, _)| after.components.contains(it)).collect(),
        };
        ensure(new.zone.is_none_or(|zone| zone < ZONES.len() - 1), "invalid_timezone")?;
        ensure(free, "name_conflict")?;
        after.zone = new.zone.unwrap_or(after.zone);
        after.slug = new.slug.unwrap_or(after.slug);
        after.name = new.name.clone().unwrap_or(after.name);
        after.published = new.published.unwrap_or(after.published);
        if after != self.pages[index] {
            after.updated = after.updated.max(now);
            self.pages[index] = after;
        }
        Ok(index)
    }

    /// Deletes a page and its maintenances.
    pub(super) fn delete_page(&mut self, actor: usize, index: Option<usize>) -> Expected<()> {
        self.admin(actor)?;
        let index = self.page_here(index)?;
        self.pages[index].deleted = true;
        self.maintenances.iter_mut().filter(|one| one.page == index).for_each(|one| one.phase = Phase::Gone);
        Ok(())
    }

    /// The components of a maintenance: each once, all shown by the page.
    fn worked_on(&self, page: usize, components: &Ids) -> Expected<Vec<usize>> {
        for (n, (id, _)) in components.iter().enumerate() {
            ensure(!components[..n].iter().any(|(earlier, _)| earlier == id), "duplicate_component_id")?;
        }
        let shown = |index: Option<usize>| index.filter(|index| self.pages[page].components.contains(index));
        components.iter().map(|(_, index)| shown(*index).ok_or("invalid_component_id")).collect()
    }

    /// Announces a maintenance and gives its place; its id is learnt later.
    pub(super) fn announce(
        &mut self,
        actor: usize,
        now: Millis,
        page: Option<usize>,
        new: &MaintenanceInput,
    ) -> Expected<usize> {
        self.admin(actor)?;
        let (starts, ends, components) = (new.starts.unwrap(), new.ends.unwrap(), new.components.as_ref().unwrap());
        span_fits(starts, ends)?;
        ensure(!components.is_empty(), "validation_error")?;
        let page = self.page_here(page)?;
        let components = self.worked_on(page, components)?;
        ensure(ends > now, "validation_error")?;
        let waits = |one: &&MaintenanceModel| one.page == page && one.due().is_some();
        ensure(self.maintenances.iter().filter(waits).count() < 100, "limit_reached")?;
        self.maintenances.push(MaintenanceModel {
            id: String::new(),
            page,
            title: new.title.clone().unwrap(),
            description: new.description.clone().unwrap(),
            components,
            starts: starts.max(now),
            ends,
            created: now,
            phase: if starts <= now { Phase::UnderWay } else { Phase::Scheduled },
        });
        Ok(self.maintenances.len() - 1)
    }

    /// The maintenance at a place, if this page has it.
    pub(super) fn maintenance_here(&self, page: Option<usize>, index: Option<usize>) -> Expected<usize> {
        let page = self.page_here(page)?;
        let of_page = |one: &MaintenanceModel| one.phase != Phase::Gone && one.page == page;
        index.filter(|index| of_page(&self.maintenances[*index])).ok_or("not_found")
    }

    /// Changes a maintenance and gives its place.
    pub(super) fn change_maintenance(
        &mut self,
        actor: usize,
        now: Millis,
        (page, index): (Option<usize>, Option<usize>),
        new: &MaintenanceInput,
    ) -> Expected<usize> {
        self.admin(actor)?;
        // What is wrong with the request alone is said before anything is looked up.
        ensure(new.components.as_ref().is_none_or(|components| !components.is_empty()), "validation_error")?;
        if let (Some(starts), Some(ends)) = (new.starts, new.ends) {
            span_fits(starts, ends)?;
        }
        let index = self.maintenance_here(page, index)?;
        let before = self.maintenances[index].clone();
        ensure(before.phase != Phase::Over, "validation_error")?;
        let mut after = before.clone();
        if let Some(starts) = new.starts.filter(|starts| *starts != before.starts) {
            ensure(before.phase == Phase::Scheduled, "validation_error")?;
            after.starts = starts.max(now);
        }
        after.ends = new.ends.unwrap_or(before.ends);
        span_fits(after.starts, after.ends)?;
        ensure(after.ends == before.ends || now < after.ends, "validation_error")?;
        if let Some(components) = &new.components {
            after.components = self.worked_on(before.page, components)?;
        }
        after.title = new.title.clone().unwrap_or(after.title);
        after.description = new.description.clone().unwrap_or(after.description);
        // One that should be over already never begins.
        if after != before && after.phase == Phase::Scheduled && after.starts <= now && now < after.ends {
            after.phase = Phase::UnderWay;
        }
        self.maintenances[index] = after;
        Ok(index)
    }

    /// Deletes a maintenance, or ends it.
    pub(super) fn withdraw_maintenance(
        &mut self,
        actor: usize,
        now: Millis,
        (page, index): (Option<usize>, Option<usize>),
    ) -> Expected<()> {
        self.admin(actor)?;
        let index = self.maintenance_here(page, index)?;
        let one = &mut self.maintenances[index];
        if one.phase == Phase::UnderWay {
            // It ends neither before it began, nor later than it would have.
            one.ends = now.max(one.starts).min(one.ends);
            self.end_maintenance(index);
        } else {
            one.phase = Phase::Gone;
        }
        Ok(())
    }

    /// Has a maintenance be over; of those of its page, the last 100 are kept.
    fn end_maintenance(&mut self, index: usize) {
        self.maintenances[index].phase = Phase::Over;
        let page = self.maintenances[index].page;
        let over = |one: &MaintenanceModel| one.page == page && one.phase == Phase::Over;
        let others = self.maintenances.iter().enumerate().filter(|(place, one)| *place != index && over(one));
        let mut others: Vec<_> = others.map(|(place, one)| (one.ends, one.id.clone(), place)).collect();
        others.sort();
        let many = others.len().saturating_sub(99);
        for (.., place) in others.into_iter().take(many) {
            self.maintenances[place].phase = Phase::Gone;
        }
    }

    /// The maintenances that begin or end by a tick.
    #[must_use]
    pub(crate) fn overdue_maintenances(&self, now: Millis) -> Vec<Overdue> {
        let due = |(index, one): (usize, &MaintenanceModel)| {
            let due = one.due().filter(|due| *due <= now)?;
            let which = format!("{} {}", self.pages[one.page].id, one.id);
            Some((due, (3, which), Waits::Maintenance(index)))
        };
        self.maintenances.iter().enumerate().filter_map(due).collect()
    }

    /// A maintenance that is due begins, or is over, perhaps without having begun.
    pub(crate) fn let_maintenance_go_on(&mut self, index: usize, now: Millis) {
        if self.maintenances[index].ends <= now {
            self.end_maintenance(index);
        } else {
            self.maintenances[index].phase = Phase::UnderWay;
        }
        self.follow_statuses(now);
    }

    /// The status of a component that a page shows: the first that applies.
    fn status_on(&self, page: usize, component: usize) -> usize {
        if let Some(by_hand) = self.pages[page].overrides.get(&component) {
            return *by_hand;
        }
        let works = |one: &MaintenanceModel| one.page == page && one.phase == Phase::UnderWay;
        if self.maintenances.iter().any(|one| works(one) && one.components.contains(&component)) {
            return MAINTENANCE;
        }
        let tags = |one: &&Incident| one.status != RESOLVED && one.components.contains(&component);
        let worst = self.incidents.iter().filter(tags).map(|one| OF_SEVERITY[one.severity]).max();
        worst.unwrap_or(OPERATIONAL)
    }

    /// Notes the statuses that have changed. Notes do not run backwards: of several at one instant, the last counts.
    pub(crate) fn follow_statuses(&mut self, now: Millis) {
        for page in 0..self.pages.len() {
            if self.pages[page].deleted {
                continue;
            }
            for component in 0..self.components.len() {
                let shown = self.pages[page].components.contains(&component);
                let status = shown.then(|| self.status_on(page, component));
                let history = self.pages[page].history.entry(component).or_default();
                if history.last().and_then(|(_, last)| *last) == status {
                    continue;
                }
                match history.last_mut() {
                    Some(last) if now <= last.0 => last.1 = status,
                    _ => history.push((now, status)),
                }
            }
        }
    }

    /// Whether a published page shows at least one of the components.
    pub(crate) fn has_public_surface(&self, components: &[usize]) -> bool {
        let published = self.pages.iter().filter(|page| page.published && !page.deleted);
        published.flat_map(|page| &page.components).any(|shown| components.contains(shown))
    }

    /// Whether a page shows a component, published or not.
    pub(crate) fn is_on_a_page(&self, component: usize) -> bool {
        self.pages.iter().any(|page| !page.deleted && page.components.contains(&component))
    }

    /// The components of a list that a page shows, in its order.
    fn shown_of(&self, page: &PageModel, components: &[usize]) -> String {
        let shown = page.components.iter().filter(|it| components.contains(it)).map(|it| &self.components[*it]);
        shown.map(|component| format!("{}:{:?},", component.id, component.name)).collect()
    }

    /// What a page shows of an incident: nothing internal, nobody, and its updates newest first.
    fn shown_incident(&self, page: &PageModel, incident: &Incident) -> String {
        // Where it came among the updates, when, and the text. The opening came before all of them.
        let mut updates = Vec::new();
        let status_text = |status: Option<usize>| status.map(|status| STATUSES[status]);
        for (status, at, update) in &incident.history {
            if update.is_none_or(|update| !incident.updates[update].public) {
                let place = update.map_or(0, |update| update + 1);
                updates.push((place, *at, format!("sh {:?} none false", status_text(Some(*status)))));
            }
        }
        for (place, update) in incident.updates.iter().enumerate().filter(|(_, update)| update.public) {
            let (body, redacted) = (render::maybe(update.body.as_deref()), update.redacted.is_some());
            let text = format!("{} {:?} {body} {redacted}", update.id, status_text(update.status));
            updates.push((place + 1, update.at, text));
        }
        updates.sort();
        updates.reverse();
        let updates = updates.into_iter().map(|(_, at, text)| format!("\n    {at} {text}")).collect::<String>();
        format!(
            "  {} {:?} {} {} {} {:?} {}{updates}\n",
            incident.id,
            incident.title,
            SEVERITIES[incident.severity],
            STATUSES[incident.status],
            incident.created,
            incident.history.get(RESOLVED).map(|(_, at, _)| *at),
            self.shown_of(page, &incident.components),
        )
    }

    /// The text that the public page must render to, but for the days of its components.
    pub(super) fn shown_public(&self, index: usize, now: Millis) -> String {
        let page = &self.pages[index];
        let mut text = format!("{} {:?} {} {}\n", page.id, page.name, SLUGS[page.slug], ZONES[page.zone]);
        let statuses: Vec<_> = page.components.iter().map(|component| self.status_on(index, *component)).collect();
        let bad = statuses.iter().copied().filter(|status| *status != MAINTENANCE).max().unwrap_or(OPERATIONAL);
        let maintenance = bad == OPERATIONAL && statuses.contains(&MAINTENANCE);
        let banner = if maintenance { MAINTENANCE } else { bad };
        text += &format!("banner {}\n", COMPONENT_STATUSES[banner]);
        for (component, status) in page.components.iter().zip(statuses) {
            let component = &self.components[*component];
            let (description, label) = (component.description.as_deref(), component.label.as_deref());
            text += &format!("{} {:?} {} ", component.id, component.name, render::maybe(description));
            text += &format!("{} {}\n", render::maybe(label), COMPONENT_STATUSES[status]);
        }
        let tagged = |one: &&Incident| one.components.iter().any(|it| page.components.contains(it));
        let mut incidents: Vec<_> = self.incidents.iter().filter(tagged).collect();
        incidents.sort_by_key(|one| std::cmp::Reverse((one.created, one.id.clone())));
        let open = incidents.iter().filter(|one| one.status != RESOLVED);
        let (mut open, mut truncated) = (open.copied().collect::<Vec<_>>(), false);
        truncated |= open.len() > 50;
        open.truncate(50);
        text += "open\n";
        open.iter().for_each(|one| text += &self.shown_incident(page, one));
        let starts = days_in(ZONES[page.zone], now);
        let since = starts[0].1;
        let resolved = incidents.iter().filter_map(|one| Some((one.history.get(RESOLVED)?.1, one.id.clone(), *one)));
        let mut resolved: Vec<_> = resolved.filter(|(at, ..)| *at >= since).collect();
        resolved.sort_by(|a, b| (b.0, &b.1).cmp(&(a.0, &a.1)));
        truncated |= resolved.len() > 200;
        resolved.truncate(200);
        let mut last = None;
        for (at, _, incident) in resolved {
            let date = date_of(page.zone, at);
            if last.replace(date) != Some(date) {
                text += &format!("on {date}\n");
            }
            text += &self.shown_incident(page, incident);
        }
        text += &self.shown_maintenances(index, since);
        text + &format!("truncated {truncated}\n")
    }

    fn shown_maintenances(&self, page: usize, since: Millis) -> String {
        let of_page: Vec<_> = self.maintenances.iter().filter(|one| one.page == page).collect();
        let mut coming: Vec<_> = of_page.iter().filter(|one| one.due().is_some()).collect();
        coming.sort_by_key(|one| (one.starts, one.id.clone()));
        let mut over: Vec<_> = of_page.iter().filter(|one| one.phase == Phase::Over && one.ends >= since).collect();
        over.sort_by_key(|one| std::cmp::Reverse((one.ends, one.id.clone())));
        let mut text = String::new();
        for one in coming.into_iter().chain(over) {
            let state = match one.phase {
                Phase::Scheduled => "scheduled",
                Phase::UnderWay => "under_way",
                Phase::Over | Phase::Gone => "over",
            };
            let components = self.shown_of(&self.pages[page], &one.components);
            text += &format!("{state} {}{components}\n", self.shown_maintenance(one, false));
        }
        text
    }

    /// The text of a maintenance; its components are left out where those of its page are shown.
    pub(super) fn shown_maintenance(&self, one: &MaintenanceModel, components: bool) -> String {
        let ids = if components { self.ids_of(&one.components).join(" ") } else { String::new() };
        let description = render::maybe(one.description.as_deref());
        format!("{} {:?} {description} {} {} {} {ids}", one.id, one.title, one.starts, one.ends, one.created)
    }

    /// The text that a page must render to for members.
    pub(super) fn shown_page(&self, page: &PageModel) -> String {
        let overrides = page.components.iter().filter_map(|it| Some((*it, *page.overrides.get(it)?)));
        let overrides = overrides.map(|(it, status)| (self.components[it].id.clone(), COMPONENT_STATUSES[status]));
        format!(
            "{} of {} {:?} {} {} {} {:?} {:?} {} {}",
            page.id,
            self.id,
            page.name,
            SLUGS[page.slug],
            page.published,
            ZONES[page.zone],
            self.ids_of(&page.components),
            overrides.collect::<Vec<_>>(),
            page.created,
            page.updated,
        )
    }

    /// What a page must show of the days of a component: the date, the worst status, and the uptime.
    pub(super) fn shown_days(&self, page: usize, component: usize, now: Millis) -> Vec<(String, Option<(usize, f64)>)> {
        let page = &self.pages[page];
        let history = page.history.get(&component).map(Vec::as_slice).unwrap_or_default();
        let starts = days_in(ZONES[page.zone], now);
        let day = |pair: &[(Date, Millis)]| {
            let (begins, ends) = (pair[0].1, pair[1].1);
            let (mut worst, mut down) = (None, 0.0);
            for (place, (from, status)) in history.iter().enumerate() {
                // The last one holds until now, this instant included; when the clock has jumped back, from now on.
                let from = *from.min(&now);
                let to = history.get(place + 1).map_or(now + 1, |(next, _)| *next.min(&now));
                let Some(status) = status.filter(|_| from < to && from < ends && begins < to) else { continue };
                worst = worst.max(Some(status));
                let length = (to.min(ends).min(now) - from.max(begins)).max(0);
                let share = [0.0, 0.0, 0.0, 0.3, 1.0][status];
                down += f64::from(u32::try_from(length).unwrap()) * share;
            }
            let whole = f64::from(u32::try_from(ends - begins).unwrap());
            (pair[0].0.to_string(), worst.map(|worst| (worst, 1.0 - down / whole)))
        };
        starts.windows(2).map(day).collect()
    }
}

fn date_of(zone: usize, at: Millis) -> Date {
    let zone = TimeZoneDatabase::bundled().get(ZONES[zone]).unwrap();
    zone.to_datetime(jiff::Timestamp::from_millisecond(at).unwrap()).date()
}

/// The last 90 days in a zone, today last, and tomorrow: each with the instant at which it begins.
pub(crate) fn days_in(zone: &str, now: Millis) -> Vec<(Date, Millis)> {
    let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
    let today = zone.to_datetime(jiff::Timestamp::from_millisecond(now).unwrap()).date();
    let (mut date, mut days) = (today.tomorrow().unwrap(), Vec::new());
    for _ in 0..=90 {
        let begins = zone.to_ambiguous_timestamp(date.to_datetime(Time::midnight())).compatible().unwrap();
        days.push((date, begins.as_millisecond()));
        date = date.yesterday().unwrap();
    }
    days.reverse();
    days
}
