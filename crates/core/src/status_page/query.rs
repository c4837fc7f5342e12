//! Queries of members about status pages and maintenances.

use super::commands::find as find_page;
use super::maintenances::find;
use super::{MaintenanceView, StatusPage};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::error::Error;
use crate::id::{MaintenanceId, StatusPageId};

seal!(GetStatusPage, ListStatusPages, GetMaintenance, ListMaintenances);

/// One status page (contract, section 13). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetStatusPage {
    /// The page to look at.
    pub id: StatusPageId,
}

impl GetStatusPage {
    /// The question for this page.
    #[must_use]
    pub const fn new(id: StatusPageId) -> Self {
        Self { id }
    }
}

impl Query for GetStatusPage {
    type Caller = ByMember;
    type Reply = StatusPage;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<StatusPage, Error> {
        find_page(view.world, self.id)
    }
}

/// All status pages of the organization, oldest first (contract, section 13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListStatusPages;

impl Query for ListStatusPages {
    type Caller = ByMember;
    type Reply = Vec<StatusPage>;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<StatusPage>, Error> {
        view.world.status_pages()
    }
}

/// One maintenance of a page (contract, section 13). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetMaintenance {
    /// The page that announces it.
    pub status_page_id: StatusPageId,
    /// The maintenance to look at.
    pub id: MaintenanceId,
}

impl GetMaintenance {
    /// The question for this maintenance.
    #[must_use]
    pub const fn new(status_page_id: StatusPageId, id: MaintenanceId) -> Self {
        Self { status_page_id, id }
    }
}

impl Query for GetMaintenance {
    type Caller = ByMember;
    type Reply = MaintenanceView;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<MaintenanceView, Error> {
        find_page(view.world, self.status_page_id)?;
        find(view.world, self.status_page_id, self.id).map(|it| MaintenanceView::from(&it))
    }
}

/// The maintenances of a page: those that are not over, and the last 100 that are; by beginning, the latest first (contract, section
/// 13). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListMaintenances {
    /// The page that announces them.
    pub status_page_id: StatusPageId,
}

impl ListMaintenances {
    /// The question for the maintenances of this page.
    #[must_use]
    pub const fn new(status_page_id: StatusPageId) -> Self {
        Self { status_page_id }
    }
}

impl Query for ListMaintenances {
    type Caller = ByMember;
    type Reply = Vec<MaintenanceView>;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<MaintenanceView>, Error> {
        find_page(view.world, self.status_page_id)?;
        let mut all = view.world.maintenances(self.status_page_id)?;
        all.sort_by_key(|it| std::cmp::Reverse((it.starts_at, it.id)));
        Ok(all.iter().map(MaintenanceView::from).collect())
    }
}
