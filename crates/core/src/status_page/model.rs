//! Status pages, maintenances and the statuses of components, as they are stored.

use crate::id::{ComponentId, MaintenanceId, OrgId, StatusPageId};
use crate::incident::Severity;
use crate::text::{Description, Name, Slug, Title};
use crate::time::Timestamp;
use crate::words::words;
use crate::zone::Zone;

words! {
    /// How a component is, on a status page (contract, section 13).
    ///
    /// ```
    /// use dogwatch_core::incident::Severity;
    /// use dogwatch_core::status_page::ComponentStatus;
    /// assert_eq!(ComponentStatus::of_severity(Severity::High), ComponentStatus::PartialOutage);
    /// assert!(ComponentStatus::MajorOutage > ComponentStatus::Degraded);
    /// ```
    ComponentStatus, "component status", "must be `operational`, `maintenance`, `degraded`, `partial_outage` or `major_outage`" {
        /// `operational`: it works.
        Operational = "operational",
        /// `maintenance`: it is being worked on, as announced.
        Maintenance = "maintenance",
        /// `degraded`: it works, but not as it should.
        Degraded = "degraded",
        /// `partial_outage`: it does not work for some.
        PartialOutage = "partial_outage",
        /// `major_outage`: it does not work.
        MajorOutage = "major_outage",
    }
}

impl ComponentStatus {
    /// The status of a component that an unresolved incident with this severity affects.
    #[must_use]
    pub const fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self::MajorOutage,
            Severity::High => Self::PartialOutage,
            Severity::Medium | Severity::Low => Self::Degraded,
        }
    }

    /// The status of all components together, the banner of a page: the worst of them. A maintenance counts only when nothing is worse
    /// than that.
    #[must_use]
    pub fn of_all(components: impl IntoIterator<Item = Self>) -> Self {
        components.into_iter().max().unwrap_or(Self::Operational)
    }
}

/// A status that is set by hand for a component on a page, whatever else is the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct StatusOverride {
    /// The component, which the page shows.
    pub component_id: ComponentId,
    /// The status that it has.
    pub status: ComponentStatus,
}

/// A status page as it is stored, and as members see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct StatusPage {
    /// The page's id.
    pub id: StatusPageId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its name: 1–100 characters.
    pub name: Name,
    /// What stands for it in addresses: unique over all organizations.
    pub slug: Slug,
    /// Whether anybody can see it.
    pub published: bool,
    /// The time zone of its days.
    #[cfg_attr(feature = "serde", serde(rename = "timezone"))]
    pub zone: Zone,
    /// The components that it shows, in this order: at most 200, none twice.
    pub component_ids: Vec<ComponentId>,
    /// The statuses that are set by hand, in the order of the components.
    pub overrides: Vec<StatusOverride>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed; at first, when it was created.
    pub updated_at: Timestamp,
}

impl StatusPage {
    /// The most components that a page shows.
    pub const MOST_COMPONENTS: usize = 200;

    /// The status that is set by hand for a component.
    #[must_use]
    pub fn status_override(&self, component: ComponentId) -> Option<ComponentStatus> {
        self.overrides.iter().find(|one| one.component_id == component).map(|one| one.status)
    }

    /// Whether it shows a component.
    #[must_use]
    pub fn shows(&self, component: ComponentId) -> bool {
        self.component_ids.contains(&component)
    }
}

words! {
    /// How far a maintenance has come. The ticks of the engine move it on.
    MaintenanceState, "maintenance state", "must be `scheduled`, `under_way` or `over`" {
        /// `scheduled`: it has not begun.
        Scheduled = "scheduled",
        /// `under_way`: it has begun, and its components are in maintenance.
        UnderWay = "under_way",
        /// `over`: it does not change any more.
        Over = "over",
    }
}

/// A maintenance as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// The maintenance's id.
    pub id: MaintenanceId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The page that announces it.
    pub status_page_id: StatusPageId,
    /// What is done, in 1–100 characters.
    pub title: Title,
    /// What is done, at length: at most 1,000 characters.
    pub description: Option<Description>,
    /// The components that are worked on: 1–200, none twice. Those that the page does not show any more are not concerned.
    pub component_ids: Vec<ComponentId>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends: after its beginning, at most 30 days later.
    pub ends_at: Timestamp,
    /// When it was announced.
    pub created_at: Timestamp,
    /// When it was last changed, began or ended; at first, when it was announced.
    pub updated_at: Timestamp,
    /// How far it has come.
    pub state: MaintenanceState,
}

impl Maintenance {
    /// When it goes on to its next state; `None` when it is over.
    #[must_use]
    pub const fn due(&self) -> Option<Timestamp> {
        match self.state {
            MaintenanceState::Scheduled => Some(self.starts_at),
            MaintenanceState::UnderWay => Some(self.ends_at),
            MaintenanceState::Over => None,
        }
    }

    /// Whether its components are in maintenance.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.state == MaintenanceState::UnderWay
    }
}

/// A maintenance as members see it (contract, section 13).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct MaintenanceView {
    /// The maintenance's id.
    pub id: MaintenanceId,
    /// The page that announces it.
    pub status_page_id: StatusPageId,
    /// What is done.
    pub title: Title,
    /// What is done, at length.
    pub description: Option<Description>,
    /// The components that are worked on.
    pub component_ids: Vec<ComponentId>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// When it was announced.
    pub created_at: Timestamp,
}

impl From<&Maintenance> for MaintenanceView {
    fn from(it: &Maintenance) -> Self {
        Self {
            id: it.id,
            status_page_id: it.status_page_id,
            title: it.title.clone(),
            description: it.description.clone(),
            component_ids: it.component_ids.clone(),
            starts_at: it.starts_at,
            ends_at: it.ends_at,
            created_at: it.created_at,
        }
    }
}

/// A component on a page has another status from an instant on. It is kept for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusChange {
    /// The organization of the page.
    pub org_id: OrgId,
    /// The page.
    pub status_page_id: StatusPageId,
    /// The component.
    pub component_id: ComponentId,
    /// From when on. Of several changes at one instant, the last counts.
    pub at: Timestamp,
    /// How the component is since; `None` when the page does not show it any more.
    pub status: Option<ComponentStatus>,
}
