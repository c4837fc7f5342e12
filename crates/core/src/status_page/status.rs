//! The status of a component on a page, and writing it down when it changes.
//!
//! Whoever changes a cause hands it in as it will be, since the world does not know it yet: the page, the maintenances under way, or an
//! incident. What is written is only what differs from the last status.

use std::collections::{BTreeMap, BTreeSet};

use super::{ComponentStatus, Maintenance, StatusChange, StatusPage};
use crate::command::Context;
use crate::error::Error;
use crate::id::{ComponentId, StatusPageId};
use crate::incident::Incident;
use crate::world::{World, Write};

/// A page and the components in maintenance, as a decision leaves them.
pub(super) struct Causes {
    page: StatusPage,
    in_maintenance: BTreeSet<ComponentId>,
}

impl Causes {
    /// A page as it is stored, if it exists.
    pub(super) fn of(world: &dyn World, page: StatusPageId) -> Result<Option<Self>, Error> {
        match world.status_page(page)? {
            Some(page) => Self::with(world, page).map(Some),
            None => Ok(None),
        }
    }

    /// A page as it will be.
    pub(super) fn with(world: &dyn World, page: StatusPage) -> Result<Self, Error> {
        let under_way = world.maintenances_under_way(page.id)?;
        Ok(Self::of_these(page, &under_way))
    }

    /// A page with the maintenances that will be under way.
    pub(super) fn of_these(page: StatusPage, under_way: &[Maintenance]) -> Self {
        let in_maintenance = under_way.iter().flat_map(|one| one.component_ids.iter().copied()).collect();
        Self { page, in_maintenance }
    }

    /// The status of a component that the page shows; the first of these that applies. `changed` is an incident as it will be.
    fn status(
        &self,
        world: &dyn World,
        component: ComponentId,
        changed: Option<&Incident>,
    ) -> Result<ComponentStatus, Error> {
        if let Some(status) = self.page.status_override(component) {
            return Ok(status);
        }
        if self.in_maintenance.contains(&component) {
            return Ok(ComponentStatus::Maintenance);
        }
        let others = world.worst_open(component, changed.map(|incident| incident.id))?;
        let affecting = changed.filter(|it| !it.is_resolved() && it.component_ids.contains(&component));
        // Severities sort worst first.
        let worst = others.into_iter().chain(affecting.map(|incident| incident.severity)).min();
        Ok(worst.map_or(ComponentStatus::Operational, ComponentStatus::of_severity))
    }

    /// Writes the status of components on the page, where it changes. One that the page does not show has none.
    // Invariant [with-its-cause].
    pub(super) fn write(
        &self,
        cx: &mut Context<'_>,
        components: impl IntoIterator<Item = ComponentId>,
        changed: Option<&Incident>,
    ) -> Result<(), Error> {
        let shown: BTreeSet<_> = self.page.component_ids.iter().copied().collect();
        for component in components {
            let status = match shown.contains(&component) {
                true => Some(self.status(cx.world, component, changed)?),
                false => None,
            };
            note(cx, self.page.id, component, status)?;
        }
        Ok(())
    }
}

/// Writes the status of a component on a page, unless it is the last one.
fn note(
    cx: &mut Context<'_>,
    page: StatusPageId,
    component: ComponentId,
    status: Option<ComponentStatus>,
) -> Result<(), Error> {
    let last = cx.world.status_changes(page, component, None, 1)?.first().copied();
    if last.and_then(|last| last.status) == status {
        return Ok(());
    }
    // Invariant [own-time]: what was shown does not change when the clock jumps back.
    let at = last.map_or(cx.now, |last| cx.now.max(last.at));
    let org_id = cx.world.org_id();
    cx.write(Write::StatusChange(StatusChange { org_id, status_page_id: page, component_id: component, at, status }));
    Ok(())
}

/// Follows an incident that is new or changes: the components that it affected, or affects now, may have another status.
pub(crate) fn incident_changed(cx: &mut Context<'_>, before: Option<&Incident>, after: &Incident) -> Result<(), Error> {
    let affected = |incident: &Incident| -> BTreeSet<ComponentId> {
        let open = Some(incident).filter(|incident| !incident.is_resolved());
        open.into_iter().flat_map(|incident| incident.component_ids.iter().copied()).collect()
    };
    let (was, is) = (before.map(affected).unwrap_or_default(), affected(after));
    let concerned: BTreeSet<_> = match before {
        Some(before) if before.severity == after.severity => was.symmetric_difference(&is).copied().collect(),
        _ => was.union(&is).copied().collect(),
    };
    let mut pages = BTreeMap::new();
    for component in concerned {
        for id in cx.world.pages_showing(component)? {
            pages.entry(id).or_insert_with(Vec::new).push(component);
        }
    }
    for (id, components) in pages {
        if let Some(causes) = Causes::of(cx.world, id)? {
            causes.write(cx, components, Some(after))?;
        }
    }
    Ok(())
}

/// Whether a published page shows at least one of the components.
pub(crate) fn has_public_surface(world: &dyn World, components: &[ComponentId]) -> Result<bool, Error> {
    let mut seen = BTreeSet::new();
    for component in components {
        for id in world.pages_showing(*component)? {
            if seen.insert(id) && world.status_page(id)?.is_some_and(|page| page.published) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
