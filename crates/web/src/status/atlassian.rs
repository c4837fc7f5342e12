//! The JSON of Atlassian Statuspage (version 2), which tools that watch the pages of others read.
//!
//! All of its documents are made of the same parts, so that they cannot disagree: the components of the summary are those of the list, and
//! the indicator is the banner.

use std::collections::BTreeSet;

use dogwatch_store::rules::component::ComponentRef;
use dogwatch_store::rules::incident::{Severity, Status};
use dogwatch_store::rules::status_page::{
    ComponentStatus, MaintenanceState, PublicPage, ShownComponent, ShownIncident, ShownMaintenance,
};
use dogwatch_store::rules::text::Description;
use serde_json::{Map, Value, json};

use super::html::{anchor, banner, said};

/// The documents that there are.
pub(super) const FORMS: [Form; 8] = [
    Form::Summary,
    Form::Status,
    Form::Components,
    Form::Incidents,
    Form::Unresolved,
    Form::Maintenances,
    Form::Upcoming,
    Form::Active,
];

/// A document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Summary,
    Status,
    Components,
    Incidents,
    Unresolved,
    Maintenances,
    Upcoming,
    Active,
}

impl Form {
    /// Its address under that of the page and `/api/v2/`.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Summary => "summary.json",
            Self::Status => "status.json",
            Self::Components => "components.json",
            Self::Incidents => "incidents.json",
            Self::Unresolved => "incidents/unresolved.json",
            Self::Maintenances => "scheduled-maintenances.json",
            Self::Upcoming => "scheduled-maintenances/upcoming.json",
            Self::Active => "scheduled-maintenances/active.json",
        }
    }

    /// The document about a page. `public_url` stands before the address of the page.
    pub(super) fn of(self, page: &PublicPage, public_url: &str) -> Value {
        let told = Told { page, url: format!("{public_url}/status/{}", page.page.slug) };
        let unresolved = || page.incidents.iter().map(|it| told.incident(it)).collect::<Value>();
        let maintenances = |states: &[MaintenanceState]| {
            let some = page.maintenances.iter().filter(|it| states.contains(&it.state));
            some.map(|it| told.maintenance(it)).collect::<Value>()
        };
        let mut document = Map::new();
        document.insert("page".to_owned(), told.page());
        let mut add = |name: &str, part: Value| drop(document.insert(name.to_owned(), part));
        match self {
            Self::Summary => {
                add("status", told.status());
                add("components", told.components());
                add("incidents", unresolved());
                let coming = [MaintenanceState::Scheduled, MaintenanceState::UnderWay];
                add("scheduled_maintenances", maintenances(&coming));
            }
            Self::Status => add("status", told.status()),
            Self::Components => add("components", told.components()),
            Self::Incidents => {
                let resolved = page.history.iter().flat_map(|day| &day.incidents);
                add("incidents", page.incidents.iter().chain(resolved).map(|it| told.incident(it)).collect());
            }
            Self::Unresolved => add("incidents", unresolved()),
            Self::Maintenances => add("scheduled_maintenances", maintenances(&MaintenanceState::ALL)),
            Self::Upcoming => add("scheduled_maintenances", maintenances(&[MaintenanceState::Scheduled])),
            Self::Active => add("scheduled_maintenances", maintenances(&[MaintenanceState::UnderWay])),
        }
        Value::Object(document)
    }
}

/// A page while it is told.
struct Told<'a> {
    page: &'a PublicPage,
    url: String,
}

const fn word(status: ComponentStatus) -> &'static str {
    match status {
        ComponentStatus::Operational => "operational",
        ComponentStatus::Maintenance => "under_maintenance",
        ComponentStatus::Degraded => "degraded_performance",
        ComponentStatus::PartialOutage => "partial_outage",
        ComponentStatus::MajorOutage => "major_outage",
    }
}

const fn impact(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "major",
        Severity::Medium | Severity::Low => "minor",
    }
}

impl Told<'_> {
    fn page(&self) -> Value {
        let page = &self.page.page;
        json!({
            "id": page.id, "name": page.name, "url": self.url, "time_zone": page.zone.name(), "updated_at": page.updated_at,
        })
    }

    fn status(&self) -> Value {
        let indicator = match self.page.banner {
            ComponentStatus::Operational => "none",
            ComponentStatus::Maintenance => "maintenance",
            ComponentStatus::Degraded => "minor",
            ComponentStatus::PartialOutage => "major",
            ComponentStatus::MajorOutage => "critical",
        };
        json!({ "indicator": indicator, "description": banner(self.page.banner) })
    }

    fn component(&self, component: &ShownComponent, position: usize, description: Option<&Description>) -> Value {
        json!({
            "id": component.id, "name": component.name, "status": word(component.status),
            "created_at": component.created_at, "updated_at": component.since, "position": position,
            "description": description, "showcase": true, "start_date": null, "group_id": null,
            "page_id": self.page.page.id, "group": false, "only_show_if_degraded": false,
        })
    }

    /// All components, in the order of the page. Headings are not told: they have no status of their own.
    fn components(&self) -> Value {
        let all = self.page.components.iter().zip(1..);
        all.map(|(it, position)| self.component(it, position, it.description.as_ref())).collect()
    }

    fn affected(&self, components: &[ComponentRef]) -> Value {
        let all = self.page.components.iter().zip(1..);
        let wanted: BTreeSet<_> = components.iter().map(|it| it.id).collect();
        let affected = all.filter(|(component, _)| wanted.contains(&component.id));
        // Descriptions are told once, with all components.
        affected.map(|(component, position)| self.component(component, position, None)).collect()
    }

    fn incident(&self, incident: &ShownIncident) -> Value {
        let since = |status| {
            let change = incident.updates.iter().find(|update| update.status_change == Some(status));
            change.map(|update| update.posted_at)
        };
        let mut status = Status::Investigating;
        let mut updates: Vec<Value> = Vec::with_capacity(incident.updates.len());
        for update in incident.updates.iter().rev() {
            status = update.status_change.unwrap_or(status);
            updates.push(json!({
                "id": update.id, "status": status, "body": said(update), "incident_id": incident.id,
                "created_at": update.posted_at, "updated_at": update.posted_at, "display_at": update.posted_at,
                "affected_components": null, "deliver_notifications": false,
            }));
        }
        updates.reverse();
        json!({
            "id": incident.id, "name": incident.title, "status": incident.status, "impact": impact(incident.severity),
            "created_at": incident.created_at, "updated_at": incident.updated_at(), "started_at": incident.created_at,
            "monitoring_at": since(Status::Monitoring), "resolved_at": incident.resolved_at,
            "shortlink": format!("{}#i-{}", self.url, anchor(incident.id)), "page_id": self.page.page.id,
            "incident_updates": updates, "components": self.affected(&incident.components),
        })
    }

    fn maintenance(&self, it: &ShownMaintenance) -> Value {
        let status = match it.state {
            MaintenanceState::Scheduled => "scheduled",
            MaintenanceState::UnderWay => "in_progress",
            MaintenanceState::Over => "completed",
        };
        let begun = it.state != MaintenanceState::Scheduled;
        let body = it.description.as_ref().map_or("", |text| text.as_str());
        json!({
            "id": it.id, "name": it.title, "status": status, "impact": "maintenance", "created_at": it.created_at,
            "updated_at": it.updated_at, "started_at": begun.then_some(it.starts_at), "monitoring_at": null,
            "resolved_at": (it.state == MaintenanceState::Over).then_some(it.ends_at),
            "scheduled_for": it.starts_at, "scheduled_until": it.ends_at,
            "shortlink": format!("{}#m-{}", self.url, anchor(it.id)), "page_id": self.page.page.id,
            "incident_updates": [{
                "id": it.id, "status": status, "body": body, "incident_id": it.id, "created_at": it.created_at,
                "updated_at": it.updated_at, "display_at": it.created_at, "affected_components": null,
                "deliver_notifications": false,
            }],
            "components": self.affected(&it.components),
        })
    }
}
