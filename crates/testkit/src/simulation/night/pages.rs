//! Status pages in a simulated night: what they show, statuses that are set by hand, and maintenances.

use std::time::Duration;

use dogwatch_core::component::CreateComponent;
use dogwatch_core::id::{ComponentId, MaintenanceId, StatusPageId};
use dogwatch_core::incident::Severity;
use dogwatch_core::status_page::{
    ComponentStatus, CreateMaintenance, CreateStatusPage, DeleteMaintenance, EditMaintenance, EditStatusPage,
    ListMaintenances, StatusOverride,
};

use super::Night;

impl Night {
    /// The components of the organization, and two pages that show some of them.
    pub(super) fn publish(&mut self) {
        let admin = self.admin;
        for name in ["API", "Web", "Search", "Mail"] {
            let create = CreateComponent { name: name.parse().unwrap(), description: None, group_label: None };
            let id = self.engine().execute(create, &admin).unwrap().id;
            self.components.push(id);
        }
        for (slug, timezone, count) in [("status", "UTC", 4), ("berlin", "Europe/Berlin", 2)] {
            let mut create = CreateStatusPage::new("Harbour".parse().unwrap(), slug.parse().unwrap());
            (create.published, create.timezone) = (true, timezone.to_owned());
            create.component_ids = self.components[..count].to_vec();
            let id = self.engine().execute(create, &admin).unwrap().id;
            self.pages.push(id);
        }
    }

    pub(super) fn severity(&mut self) -> Severity {
        *self.random.pick(&Severity::ALL).unwrap()
    }

    /// Some components, each once.
    pub(super) fn some_components(&mut self, most: i64) -> Vec<ComponentId> {
        let count = self.random.between(0, most);
        let mut some: Vec<_> = (0..count).map(|_| *self.random.pick(&self.components).unwrap()).collect();
        some.sort_unstable();
        some.dedup();
        some
    }

    fn a_page(&mut self) -> StatusPageId {
        *self.random.pick(&self.pages).unwrap()
    }

    /// Sets the status of a component by hand, or lifts what was set.
    pub(super) fn by_hand(&mut self) -> EditStatusPage {
        let mut overrides = Vec::new();
        if self.random.one_in(3) {
            let component_id = *self.random.pick(&self.components).unwrap();
            let status = *self.random.pick(&ComponentStatus::ALL).unwrap();
            overrides.push(StatusOverride { component_id, status });
        }
        EditStatusPage { overrides: Some(overrides), ..EditStatusPage::new(self.a_page()) }
    }

    /// A maintenance that begins now or soon.
    pub(super) fn maintenance(&mut self) -> CreateMaintenance {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let starts_at = self.now().plus(minutes(*self.random.pick(&[0, 0, 1, 5, 30]).unwrap()));
        let ends_at = starts_at.plus(minutes(*self.random.pick(&[1, 5, 30, 600]).unwrap()));
        let (title, component_ids) = ("New disks".parse().unwrap(), self.some_components(3));
        CreateMaintenance { status_page_id: self.a_page(), title, description: None, component_ids, starts_at, ends_at }
    }

    /// A maintenance of a page, whether over or not; `None` if there is none.
    fn a_maintenance(&mut self) -> Option<(StatusPageId, MaintenanceId)> {
        let page = self.a_page();
        let all = self.engine().query(&ListMaintenances::new(page), &self.admin).unwrap();
        // The latest ones are most often not over.
        let all: Vec<_> = all.into_iter().map(|one| one.id).take(4).collect();
        Some((page, *self.random.pick(&all)?))
    }

    /// An admin changes a page or a maintenance. The rules may refuse the change.
    pub(super) fn edit_page(&mut self) {
        let admin = self.admin;
        match self.random.below(8) {
            0 | 1 => {
                let edit = self.by_hand();
                let _ = self.engine().execute(edit, &admin);
            }
            2 => {
                let mut shown = self.some_components(5);
                shown.reverse();
                let edit = EditStatusPage { component_ids: Some(shown), ..EditStatusPage::new(self.a_page()) };
                let _ = self.engine().execute(edit, &admin);
            }
            3..=5 => {
                let announce = self.maintenance();
                let _ = self.engine().execute(announce, &admin);
            }
            6 => {
                let Some((page, id)) = self.a_maintenance() else { return };
                let new = self.maintenance();
                let edit = EditMaintenance {
                    component_ids: Some(new.component_ids),
                    starts_at: Some(new.starts_at).filter(|_| self.random.one_in(2)),
                    ends_at: Some(new.ends_at).filter(|_| self.random.one_in(2)),
                    ..EditMaintenance::new(page, id)
                };
                let _ = self.engine().execute(edit, &admin);
            }
            _ => {
                let Some((page, id)) = self.a_maintenance() else { return };
                let _ = self.engine().execute(DeleteMaintenance::new(page, id), &admin);
            }
        }
    }
}
