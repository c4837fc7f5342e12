//! What anybody sees of a published page: one model, of which every form of a page is made.
//!
//! What is in it is all that is public: titles, severities and statuses of incidents that affect a shown component, public updates, and
//! that and when the status changed. Nothing is read of anything else. Everything is bounded; what is left out is said.

use std::collections::{BTreeMap, BTreeSet};

use super::days::{Date, ShownDay, boundaries, days};
use super::{ComponentStatus, Maintenance, MaintenanceState, StatusPage};
use crate::caller::ByAnybody;
use crate::code::Code;
use crate::command::{GlobalView, Query, seal};
use crate::component::ComponentRef;
use crate::error::Error;
use crate::id::{ComponentId, Id, IncidentId, MaintenanceId, StatusPageId};
use crate::incident::{Incident, IncidentUpdate, Severity, Status};
use crate::text::{Description, GroupLabel, Name, Slug, Title, UpdateBody};
use crate::time::Timestamp;
use crate::world::World;
use crate::zone::Zone;

seal!(ShowStatusPage);

/// The most unresolved incidents that are shown.
const MOST_OPEN: usize = 50;
/// The most resolved incidents that are shown.
const MOST_RESOLVED: usize = 200;
/// The most public updates of one incident that are shown.
const MOST_UPDATES: usize = 50;
/// The most bytes of their texts, of all incidents.
const MOST_BYTES: usize = 512 << 10;
/// The most changes of one component's status in 90 days that are looked at. Of one with more, the days before are not known.
const MOST_CHANGES: usize = 5_000;
/// As [`MOST_CHANGES`], of all components of a page.
const MOST_CHANGES_OF_ALL: usize = 50_000;
/// The most components that incidents and maintenances name, all together.
const MOST_NAMED: usize = 5_000;

/// A published status page, as anybody sees it (contract, section 13). Codes: `not_found` (no published page has the slug).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowStatusPage {
    /// What stands for the page in addresses.
    pub slug: Slug,
    /// The instant for which it is shown: now.
    pub at: Timestamp,
}

impl ShowStatusPage {
    /// The question for the page with this slug.
    #[must_use]
    pub const fn new(slug: Slug, at: Timestamp) -> Self {
        Self { slug, at }
    }
}

/// The reply to [`ShowStatusPage`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct PublicPage {
    /// The page.
    pub page: ShownPage,
    /// The status of all components together.
    pub banner: ComponentStatus,
    /// The components, in the order of the page.
    pub components: Vec<ShownComponent>,
    /// The unresolved incidents, newest first.
    pub incidents: Vec<ShownIncident>,
    /// The maintenances: under way and to come, the next first; then those of the last 90 days, the last first.
    pub maintenances: Vec<ShownMaintenance>,
    /// The incidents that were resolved in the last 90 days, by the day on which they were, newest first. Days without any are left out.
    pub history: Vec<ShownHistoryDay>,
    /// Whether something is left out, because it is too much: more than 50 unresolved and 200 resolved incidents, more than 50 public
    /// updates of one, 512 KiB of their texts, or 5,000 names of components with incidents and maintenances.
    pub truncated: bool,
}

/// The page itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct ShownPage {
    /// The page's id.
    pub id: StatusPageId,
    /// Its name.
    pub name: Name,
    /// What stands for it in addresses.
    pub slug: Slug,
    /// The time zone of its days.
    #[cfg_attr(feature = "serde", serde(rename = "timezone"))]
    pub zone: Zone,
    /// When what it shows last changed.
    pub updated_at: Timestamp,
}

/// A component on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct ShownComponent {
    /// The component's id.
    pub id: ComponentId,
    /// Its name.
    pub name: Name,
    /// What it is.
    pub description: Option<Description>,
    /// The heading under which it is shown with others.
    pub group_label: Option<GroupLabel>,
    /// How it is.
    pub status: ComponentStatus,
    /// How it was on the last 90 days, oldest first.
    pub days: Vec<ShownDay>,
    /// When it was created.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub created_at: Timestamp,
    /// Since when it has its status.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub since: Timestamp,
}

/// An incident on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct ShownIncident {
    /// The incident's id.
    pub id: IncidentId,
    /// What is wrong.
    pub title: Title,
    /// How bad it is.
    pub severity: Severity,
    /// The stage of its lifecycle.
    pub status: Status,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was resolved; `None` while it is open.
    pub resolved_at: Option<Timestamp>,
    /// The shown components that it affects, in the order of the page.
    pub components: Vec<ComponentRef>,
    /// Its public updates, and the changes of its status, newest first. The last is that it was opened.
    pub updates: Vec<ShownUpdate>,
}

impl ShownIncident {
    /// When something public last happened to it: an update, a change of its status, or that an update was redacted.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        let times = self.updates.iter().map(|update| update.redacted_at.unwrap_or(update.posted_at));
        times.max().unwrap_or(self.created_at)
    }
}

/// A public update of an incident, or a change of its status that nothing public was said about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct ShownUpdate {
    /// The id of the update, or of the entry of the status history.
    pub id: String,
    /// The status that the incident had from then on, if that changed.
    pub status_change: Option<Status>,
    /// What was said; `None` for a change of the status alone, and when it was redacted.
    pub body: Option<UpdateBody>,
    /// Whether what was said has been removed.
    pub redacted: bool,
    /// When it was removed.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub redacted_at: Option<Timestamp>,
    /// When it was posted.
    pub posted_at: Timestamp,
}

/// A maintenance on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct ShownMaintenance {
    /// The maintenance's id.
    pub id: MaintenanceId,
    /// What is done.
    pub title: Title,
    /// What is done, at length.
    pub description: Option<Description>,
    /// How far it has come.
    pub state: MaintenanceState,
    /// The shown components that are worked on, in the order of the page.
    pub components: Vec<ComponentRef>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// When it was announced.
    pub created_at: Timestamp,
    /// When it was last changed, began or ended.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub updated_at: Timestamp,
}

/// A day on which incidents were resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct ShownHistoryDay {
    /// The day, in the zone of the page.
    pub date: Date,
    /// The incidents, the latest resolved first.
    pub incidents: Vec<ShownIncident>,
}

impl Query for ShowStatusPage {
    type Caller = ByAnybody;
    type Reply = PublicPage;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByAnybody, view: &GlobalView<'_>) -> Result<PublicPage, Error> {
        let unknown = || Error::refused(Code::NotFound, "no published status page has this slug");
        let (org, id) = view.global.status_page_at(&self.slug)?.ok_or_else(unknown)?;
        let world = view.world(org);
        let page = world.status_page(id)?.filter(|page| page.published).ok_or_else(unknown)?;
        Reading { world: &*world, at: self.at, page, names: BTreeMap::new(), bytes: 0, named: 0, truncated: false }
            .read()
    }
}

/// A page while what it shows is read.
struct Reading<'a> {
    world: &'a dyn World,
    at: Timestamp,
    page: StatusPage,
    /// The names of the shown components.
    names: BTreeMap<ComponentId, Name>,
    /// The bytes of the texts so far.
    bytes: usize,
    /// How many components incidents and maintenances have named so far.
    named: usize,
    truncated: bool,
}

impl Reading<'_> {
    fn read(mut self) -> Result<PublicPage, Error> {
        let boundaries = boundaries(&self.page.zone, self.at);
        let since = boundaries.first().copied().unwrap_or(self.at);
        let components = self.components(&boundaries, since)?;
        let incidents = self.incidents()?;
        let history = self.history(since)?;
        let maintenances = self.maintenances(since)?;
        let incident_times = incidents.iter().chain(history.iter().flat_map(|day| &day.incidents));
        let times = incident_times.map(ShownIncident::updated_at).chain(components.iter().map(|it| it.since));
        let times = times.chain(maintenances.iter().map(|it| it.updated_at));
        let updated_at = times.chain([self.page.updated_at]).max().unwrap_or(self.page.updated_at);
        let StatusPage { id, name, slug, zone, .. } = self.page;
        Ok(PublicPage {
            page: ShownPage { id, name, slug, zone, updated_at },
            banner: ComponentStatus::of_all(components.iter().map(|component| component.status)),
            components,
            incidents,
            maintenances,
            history,
            truncated: self.truncated,
        })
    }

    fn components(&mut self, boundaries: &[Timestamp], since: Timestamp) -> Result<Vec<ShownComponent>, Error> {
        let mut shown = Vec::with_capacity(self.page.component_ids.len());
        let mut left = MOST_CHANGES_OF_ALL;
        for id in &self.page.component_ids {
            let component = self.world.component(*id)?;
            let component = component.ok_or_else(|| Error::broken("a status page shows an unknown component"))?;
            // The first of them is the present one.
            let most = MOST_CHANGES.min(left).max(1);
            let changes = self.world.status_changes(self.page.id, *id, Some(since), most)?;
            left = left.saturating_sub(changes.len());
            let last = changes.first();
            self.names.insert(*id, component.name.clone());
            shown.push(ShownComponent {
                id: *id,
                name: component.name,
                description: component.description,
                group_label: component.group_label,
                status: last.and_then(|last| last.status).unwrap_or(ComponentStatus::Operational),
                days: days(&changes, boundaries, &self.page.zone, self.at),
                created_at: component.created_at,
                since: last.map_or(self.page.created_at, |last| last.at),
            });
        }
        Ok(shown)
    }

    /// At most so many of a list that may hold one more, which says that there are more.
    fn cut<T>(&mut self, mut found: Vec<T>, most: usize) -> Vec<T> {
        self.truncated |= found.len() > most;
        found.truncate(most);
        found
    }

    fn incidents(&mut self) -> Result<Vec<ShownIncident>, Error> {
        let open = self.world.open_affecting(&self.page.component_ids, MOST_OPEN + 1)?;
        self.cut(open, MOST_OPEN).iter().map(|incident| self.incident(incident)).collect()
    }

    fn history(&mut self, since: Timestamp) -> Result<Vec<ShownHistoryDay>, Error> {
        let resolved = self.world.resolved_affecting(&self.page.component_ids, since, MOST_RESOLVED + 1)?;
        let mut history: Vec<ShownHistoryDay> = Vec::new();
        for incident in self.cut(resolved, MOST_RESOLVED) {
            let shown = self.incident(&incident)?;
            let date = Date::of(shown.resolved_at.unwrap_or(shown.created_at), &self.page.zone);
            match history.last_mut().filter(|day| day.date == date) {
                Some(day) => day.incidents.push(shown),
                None => history.push(ShownHistoryDay { date, incidents: vec![shown] }),
            }
        }
        Ok(history)
    }

    fn incident(&mut self, incident: &Incident) -> Result<ShownIncident, Error> {
        Ok(ShownIncident {
            id: incident.id,
            title: incident.title.clone(),
            severity: incident.severity,
            status: incident.status,
            created_at: incident.created_at(),
            resolved_at: incident.resolved_at(),
            components: self.shown(&incident.component_ids),
            updates: self.updates(incident)?,
        })
    }

    /// The components of a list that the page shows, in its order.
    fn shown(&mut self, components: &[ComponentId]) -> Vec<ComponentRef> {
        let wanted: BTreeSet<_> = components.iter().collect();
        let named = self.page.component_ids.iter().filter(|id| wanted.contains(id));
        let all: Vec<_> =
            named.filter_map(|id| Some(ComponentRef { id: *id, name: self.names.get(id)?.clone() })).collect();
        let all = self.cut(all, MOST_NAMED.saturating_sub(self.named));
        self.named += all.len();
        all
    }

    fn updates(&mut self, incident: &Incident) -> Result<Vec<ShownUpdate>, Error> {
        let most = if self.bytes < MOST_BYTES { MOST_UPDATES } else { 0 };
        let public = self.world.public_updates(incident.id, most + 1)?;
        let mut public = self.cut(public, most);
        let text = |update: &IncidentUpdate| update.body.as_ref().map_or(0, |body| body.as_str().len());
        let fits = public.iter().take_while(|update| {
            self.bytes = self.bytes.saturating_add(text(update));
            self.bytes <= MOST_BYTES
        });
        let fits = fits.count();
        public = self.cut(public, fits);
        let said = |id| public.iter().any(|update| Some(update.id) == id);
        let bare = incident.history.iter().filter(|entry| !said(entry.update_id)).map(|entry| {
            let update = ShownUpdate {
                id: entry.id.to_string(),
                status_change: Some(entry.status),
                body: None,
                redacted: false,
                redacted_at: None,
                posted_at: entry.changed_at,
            };
            (entry.id.to_bytes(), update)
        });
        // The ids of the parts of an incident ascend in the order in which they came, whatever the clock did.
        let mut updates: BTreeMap<_, _> = bare.collect();
        updates.extend(public.iter().map(|update| {
            let shown = ShownUpdate {
                id: update.id.to_string(),
                status_change: update.status_change,
                body: update.body.clone(),
                redacted: update.redacted.is_some(),
                redacted_at: update.redacted.map(|(at, _)| at),
                posted_at: update.posted_at(),
            };
            (update.id.to_bytes(), shown)
        }));
        Ok(updates.into_values().rev().collect())
    }

    fn maintenances(&mut self, since: Timestamp) -> Result<Vec<ShownMaintenance>, Error> {
        let all = self.world.maintenances(self.page.id)?;
        let is_over = |it: &Maintenance| it.state == MaintenanceState::Over;
        let (mut over, mut coming): (Vec<_>, Vec<_>) = all.into_iter().partition(is_over);
        coming.sort_by_key(|it| (it.starts_at, it.id));
        over.retain(|it| it.ends_at >= since);
        over.sort_by_key(|it| std::cmp::Reverse((it.ends_at, it.id)));
        let show = |it: Maintenance| ShownMaintenance {
            updated_at: it.updated_at,
            components: self.shown(&it.component_ids),
            id: it.id,
            title: it.title,
            description: it.description,
            state: it.state,
            starts_at: it.starts_at,
            ends_at: it.ends_at,
            created_at: it.created_at,
        };
        Ok(coming.into_iter().chain(over).map(show).collect())
    }
}
