//! How the rules read status pages.

use std::sync::Arc;

use super::{Maintenance, StatusChange, StatusPage};
use crate::error::Error;
use crate::id::{ComponentId, IncidentId, MaintenanceId, StatusPageId};
use crate::incident::{Incident, IncidentUpdate, Severity};
use crate::text::Slug;
use crate::time::Timestamp;

/// The status pages of one organization, and what they show, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that has no status pages implements nothing: the rest says that there is none.
pub trait StatusPagePort {
    /// The status page with this id.
    fn status_page(&self, id: StatusPageId) -> Result<Option<StatusPage>, Error> {
        let _ = id;
        Ok(None)
    }
    /// All status pages, oldest first.
    fn status_pages(&self) -> Result<Vec<StatusPage>, Error> {
        Ok(Vec::new())
    }
    /// The page that has this slug now, in whichever organization.
    fn page_with_slug(&self, slug: &Slug) -> Result<Option<StatusPageId>, Error> {
        let _ = slug;
        Ok(None)
    }
    /// The pages that show a component, published or not.
    fn pages_showing(&self, component: ComponentId) -> Result<Vec<StatusPageId>, Error> {
        let _ = component;
        Ok(Vec::new())
    }
    /// A maintenance of a page.
    fn maintenance(&self, page: StatusPageId, id: MaintenanceId) -> Result<Option<Maintenance>, Error> {
        let _ = (page, id);
        Ok(None)
    }
    /// All maintenances of a page that are stored, oldest first.
    fn maintenances(&self, page: StatusPageId) -> Result<Vec<Maintenance>, Error> {
        let _ = page;
        Ok(Vec::new())
    }
    /// The maintenances of a page that are under way, oldest first.
    fn maintenances_under_way(&self, page: StatusPageId) -> Result<Vec<Maintenance>, Error> {
        let _ = page;
        Ok(Vec::new())
    }
    /// The worst severity of the unresolved incidents that affect a component, but for one of them.
    fn worst_open(&self, component: ComponentId, but: Option<IncidentId>) -> Result<Option<Severity>, Error> {
        let _ = (component, but);
        Ok(None)
    }
    /// How a component was on a page, newest first: the changes after `since`, and the one before those; all of them with `None`; at
    /// most `limit`.
    fn status_changes(
        &self,
        page: StatusPageId,
        component: ComponentId,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<StatusChange>, Error> {
        let _ = (page, component, since, limit);
        Ok(Vec::new())
    }
    /// The unresolved incidents that affect at least one of the components, newest first (by id, descending); at most `limit`.
    fn open_affecting(&self, components: &[ComponentId], limit: usize) -> Result<Vec<Arc<Incident>>, Error> {
        let _ = (components, limit);
        Ok(Vec::new())
    }
    /// The incidents that affect at least one of the components and were resolved at `since` or later, the latest resolved first (then
    /// by id, descending); at most `limit`.
    fn resolved_affecting(
        &self,
        components: &[ComponentId],
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Arc<Incident>>, Error> {
        let _ = (components, since, limit);
        Ok(Vec::new())
    }
    /// The public updates of an incident, newest first, redacted ones included; at most `limit`.
    fn public_updates(&self, incident: IncidentId, limit: usize) -> Result<Vec<IncidentUpdate>, Error> {
        let _ = (incident, limit);
        Ok(Vec::new())
    }
}
