//! The components that an incident affects (contract, section 6).

use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::component;
use crate::error::Error;
use crate::id::{ComponentId, IncidentId};
use crate::world::World;
use crate::{checks, limits};
use std::collections::BTreeSet;

use super::draft::{Draft, find, refuse_resolved};
use super::{Author, Event, IncidentView};

seal!(SetComponents);

/// Replaces the whole set of components that an incident affects; an empty one clears it (contract, section 6).
///
/// Codes: `not_found`, `incident_resolved`, `duplicate_component_id`, `invalid_component_id`, `limit_reached`. The same set
/// again, in any order, is not a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetComponents {
    /// The incident whose components are replaced.
    pub id: IncidentId,
    /// The components that it affects from now on: at most 100, none twice.
    pub component_ids: Vec<ComponentId>,
}

impl SetComponents {
    /// The replacement of the components of this incident by those.
    #[must_use]
    pub const fn new(id: IncidentId, component_ids: Vec<ComponentId>) -> Self {
        Self { id, component_ids }
    }
}

impl Command for SetComponents {
    type Caller = ByMember;
    type Reply = IncidentView;
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::IncidentResolved,
        Code::DuplicateComponentId,
        Code::InvalidComponentId,
        Code::LimitReached,
    ];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<IncidentView, Error> {
        let incident = find(cx.world, self.id)?;
        refuse_resolved(&incident)?;
        check(cx.world, &self.component_ids)?;

        let old: BTreeSet<_> = incident.component_ids.iter().copied().collect();
        let new: BTreeSet<_> = self.component_ids.iter().copied().collect();
        if old == new {
            return IncidentView::of(&incident, cx.world);
        }
        let added = self.component_ids.iter().copied().filter(|id| !old.contains(id)).collect();
        let removed = incident.component_ids.iter().copied().filter(|id| !new.contains(id)).collect();
        let me = Author::from(by.user_id);
        let mut draft = Draft::of(incident, cx.now);
        draft.incident.component_ids = self.component_ids;
        draft.event(cx.ids, Some(me), Event::ComponentsChanged { added, removed });
        let incident = draft.finish(cx)?;
        IncidentView::of(&incident, cx.world)
    }
}

/// Checks a set of affected components: none twice (`duplicate_component_id`), all existing (`invalid_component_id`), at most
/// 100 (`limit_reached`).
pub(super) fn check(world: &dyn World, ids: &[ComponentId]) -> Result<(), Error> {
    component::check_none_twice(ids)?;
    ids.iter().try_for_each(|id| component::check_exists(world, *id))?;
    let limit = limits::INCIDENT_COMPONENTS;
    if u32::try_from(ids.len()).is_ok_and(|count| count <= limit) {
        Ok(())
    } else {
        Err(checks::limit_reached(limit, "components"))
    }
}
