//! Status pages to try the rules on.

use dogwatch_core::id::{ComponentId, IncidentId, MaintenanceId, StatusPageId};
use dogwatch_core::incident::{ChangeStatus, CreateIncident, Severity, Status};
use dogwatch_core::status_page::{
    ComponentStatus, CreateMaintenance, CreateStatusPage, EditStatusPage, ListMaintenances, MaintenanceView,
    PublicPage, ShowStatusPage, ShownComponent, ShownDay, StatusOverride, StatusPage,
};
use dogwatch_core::{Actor, Command, Error, Timestamp};

use super::{Harbour, user, valid};

/// An organization with three components, whose admin has status pages.
#[derive(Clone)]
pub(crate) struct Pier {
    pub(crate) harbour: Harbour,
    pub(crate) api: ComponentId,
    pub(crate) web: ComponentId,
    pub(crate) mail: ComponentId,
}

pub(crate) fn minutes(from: Timestamp, minutes: i64) -> Timestamp {
    Timestamp::clamped(from.as_millis() + minutes * 60_000)
}

pub(crate) fn set(component_id: ComponentId, status: &str) -> StatusOverride {
    StatusOverride { component_id, status: valid(status) }
}

impl Pier {
    /// The clock shows 2026-04-07T10:00:00Z.
    pub(crate) fn new() -> Self {
        Self::since("2026-04-07T10:00:00Z")
    }

    pub(crate) fn since(now: &str) -> Self {
        let mut harbour = Harbour::since(now);
        let (api, web, mail) = (harbour.component("API"), harbour.component("Web"), harbour.component("Mail"));
        Self { harbour, api, web, mail }
    }

    /// As the admin.
    pub(crate) fn run<C: Command>(&mut self, command: C) -> Result<C::Reply, Error> {
        let ada = self.harbour.ada;
        self.harbour.run(command, &ada)
    }

    /// As the admin, a command that must leave everything as it was.
    pub(crate) fn run_unchanged<C: Command>(&mut self, command: C) -> Result<C::Reply, Error> {
        let ada = self.harbour.ada;
        self.harbour.run_unchanged(command, &ada)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.harbour.now
    }

    pub(crate) fn clock(&mut self, now: &str) {
        self.harbour.now = valid(now);
    }

    /// Lets so many minutes pass, or turns the clock back. Nothing is ticked.
    pub(crate) fn pass(&mut self, by: i64) {
        self.harbour.now = minutes(self.harbour.now, by);
    }

    pub(crate) fn tick(&mut self) -> usize {
        self.harbour.world.tick(self.harbour.now, &mut self.harbour.ids).unwrap()
    }

    /// A published page with these components.
    pub(crate) fn publish(&mut self, slug: &str, components: &[ComponentId]) -> StatusPageId {
        let create = CreateStatusPage {
            published: true,
            component_ids: components.to_vec(),
            ..CreateStatusPage::new(valid("Harbour status"), valid(slug))
        };
        self.run(create).unwrap().id
    }

    /// A published page with the API and the web site under the slug `harbour`.
    pub(crate) fn usual(&mut self) -> StatusPageId {
        self.publish("harbour", &[self.api, self.web])
    }

    pub(crate) fn components(&mut self, page: StatusPageId, components: &[ComponentId]) -> StatusPage {
        self.run(EditStatusPage { component_ids: Some(components.to_vec()), ..EditStatusPage::new(page) }).unwrap()
    }

    pub(crate) fn overrides(&mut self, page: StatusPageId, overrides: &[(ComponentId, &str)]) {
        let overrides = overrides.iter().map(|(id, status)| set(*id, status)).collect();
        self.run(EditStatusPage { overrides: Some(overrides), ..EditStatusPage::new(page) }).unwrap();
    }

    pub(crate) fn open(&mut self, severity: &str, components: &[ComponentId]) -> IncidentId {
        let ben = self.harbour.ben;
        let open = CreateIncident {
            component_ids: components.to_vec(),
            ..CreateIncident::new(valid("Checkout is down"), valid::<Severity>(severity), user(&ben))
        };
        self.harbour.run(open, &ben).unwrap().id
    }

    /// Moves an incident on, step by step, to a status.
    pub(crate) fn reach(&mut self, id: IncidentId, status: Status) {
        let now = self.harbour.detail(id).incident.status;
        for to in Status::ALL.into_iter().filter(|to| *to > now && *to <= status) {
            self.run(ChangeStatus::new(id, to)).unwrap();
        }
    }

    pub(crate) fn resolve(&mut self, id: IncidentId) {
        self.reach(id, Status::Resolved);
    }

    /// The announcement of a maintenance that begins and ends in so many minutes.
    pub(crate) fn maintenance(
        &self,
        page: StatusPageId,
        components: &[ComponentId],
        starts: i64,
        ends: i64,
    ) -> CreateMaintenance {
        CreateMaintenance {
            status_page_id: page,
            title: valid("New pumps"),
            description: None,
            component_ids: components.to_vec(),
            starts_at: minutes(self.now(), starts),
            ends_at: minutes(self.now(), ends),
        }
    }

    pub(crate) fn announce(
        &mut self,
        page: StatusPageId,
        components: &[ComponentId],
        starts: i64,
        ends: i64,
    ) -> MaintenanceId {
        self.run(self.maintenance(page, components, starts, ends)).unwrap().id
    }

    pub(crate) fn announced(&self, page: StatusPageId) -> Vec<MaintenanceView> {
        self.harbour.ask(&ListMaintenances::new(page), &self.harbour.ben).unwrap()
    }

    pub(crate) fn look(&self, slug: &str) -> Result<PublicPage, Error> {
        self.harbour.ask(&ShowStatusPage::new(valid(slug), self.harbour.now), &Actor::Anybody)
    }

    /// The page with the slug `harbour`.
    pub(crate) fn show(&self) -> PublicPage {
        self.look("harbour").unwrap()
    }

    /// The statuses of the components of the page with the slug `harbour`, and its banner.
    pub(crate) fn statuses(&self) -> String {
        statuses(&self.show())
    }

    pub(crate) fn shown(&self, id: ComponentId) -> ShownComponent {
        self.show().components.into_iter().find(|component| component.id == id).unwrap()
    }

    /// A day of a component of the page with the slug `harbour`.
    pub(crate) fn day(&self, id: ComponentId, date: &str) -> ShownDay {
        self.shown(id).days.into_iter().find(|day| day.date.to_string() == date).unwrap()
    }

    /// The worst status and the uptime of a day, in millionths.
    pub(crate) fn told(&self, id: ComponentId, date: &str) -> String {
        let day = self.day(id, date);
        match (day.worst, day.uptime) {
            (None, None) => "not shown".to_owned(),
            (Some(worst), Some(uptime)) => format!("{worst} {}", uptime.millionths()),
            _ => "half a day".to_owned(),
        }
    }
}

pub(crate) fn statuses(page: &PublicPage) -> String {
    let each: Vec<_> = page.components.iter().map(|component| component.status.as_str()).collect();
    format!("{} | {}", each.join(" "), page.banner)
}

/// The statuses in the order of the contract, from the best to the worst but for `maintenance`.
pub(crate) const STATUSES: [ComponentStatus; 5] = [
    ComponentStatus::Maintenance,
    ComponentStatus::Operational,
    ComponentStatus::Degraded,
    ComponentStatus::PartialOutage,
    ComponentStatus::MajorOutage,
];
