//! Components: the parts of a product that incidents affect (contract, section 5).

use crate::actor::Access;
use crate::checks;
use crate::code::Code;
use crate::command::{Command, Context, Query, View};
use crate::error::Error;
use crate::id::{ComponentId, OrgId};
use crate::limits;
use crate::patch::Patch;
use crate::text::{Description, GroupLabel, Name};
use crate::time::Timestamp;
use crate::world::{Change, World, Write};

/// A part of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Names the component.
    pub id: ComponentId,
    /// The organization it belongs to.
    pub org: OrgId,
    /// Unique among the components of the organization that have not been deleted.
    pub name: Name,
    /// What it is.
    pub description: Option<Description>,
    /// Under which heading it is shown.
    pub group_label: Option<GroupLabel>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted. A deleted component is kept for the incidents that show its last name.
    pub deleted_at: Option<Timestamp>,
}

impl Component {
    /// Whether it has not been deleted.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.deleted_at.is_none()
    }
}

/// A component as an incident shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentRef {
    /// Names the component.
    pub id: ComponentId,
    /// Its name; of a deleted one, the last.
    pub name: Name,
}

/// Creates a component. Codes: `name_conflict`, `limit_reached`.
#[derive(Debug, Clone)]
pub struct CreateComponent {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub description: Option<Description>,
    /// Under which heading it is shown.
    pub group_label: Option<GroupLabel>,
}

impl Command for CreateComponent {
    type Reply = Component;
    const ACCESS: Access = Access::Member;

    fn decide(self, cx: &mut Context<'_>) -> Result<Component, Error> {
        checks::name_is_free(cx.world.component_named(&self.name)?, None, "component", &self.name)?;
        cx.count(|tally| checks::one_more(&mut tally.components, limits::COMPONENTS, "components"))?;
        let component = Component {
            id: cx.ids.fresh(cx.now),
            org: cx.world.org_id(),
            name: self.name,
            description: self.description,
            group_label: self.group_label,
            created_at: cx.now,
            updated_at: cx.now,
            deleted_at: None,
        };
        cx.write(Write::Component(Change::created(component.clone())));
        Ok(component)
    }
}

/// Changes a component. Codes: `not_found`, `name_conflict`. Changing nothing succeeds and writes nothing.
#[derive(Debug, Clone)]
pub struct EditComponent {
    /// Which one.
    pub id: ComponentId,
    /// Its new name.
    pub name: Option<Name>,
    /// What it is.
    pub description: Patch<Description>,
    /// Under which heading it is shown.
    pub group_label: Patch<GroupLabel>,
}

impl Command for EditComponent {
    type Reply = Component;
    const ACCESS: Access = Access::Member;

    fn decide(self, cx: &mut Context<'_>) -> Result<Component, Error> {
        let before = live(cx.world, self.id)?;
        let mut after = before.clone();
        if let Some(name) = self.name {
            checks::name_is_free(cx.world.component_named(&name)?, Some(self.id), "component", &name)?;
            after.name = name;
        }
        after.description = self.description.apply(after.description);
        after.group_label = self.group_label.apply(after.group_label);
        if after != before {
            after.updated_at = cx.now.max(before.updated_at);
            cx.write(Write::Component(Change::edited(before, after.clone())));
        }
        Ok(after)
    }
}

/// Deletes a component. Codes: `not_found`, `component_in_use`.
#[derive(Debug, Clone, Copy)]
pub struct DeleteComponent {
    /// Which one.
    pub id: ComponentId,
}

impl Command for DeleteComponent {
    type Reply = ComponentId;
    const ACCESS: Access = Access::Member;

    fn decide(self, cx: &mut Context<'_>) -> Result<ComponentId, Error> {
        let before = live(cx.world, self.id)?;
        if cx.world.component_in_use(self.id)? {
            return Err(Error::refused(
                Code::ComponentInUse,
                "the component is tagged on an unresolved incident or selected by a status page",
            ));
        }
        let mut after = before.clone();
        after.deleted_at = Some(cx.now);
        cx.count(|tally| {
            tally.components = tally.components.saturating_sub(1);
            Ok(())
        })?;
        cx.write(Write::Component(Change::edited(before, after)));
        Ok(self.id)
    }
}

/// One component. Codes: `not_found`.
#[derive(Debug, Clone, Copy)]
pub struct GetComponent {
    /// Which one.
    pub id: ComponentId,
}

impl Query for GetComponent {
    type Reply = Component;
    const ACCESS: Access = Access::Member;

    fn answer(&self, view: &View<'_>) -> Result<Component, Error> {
        live(view.world, self.id)
    }
}

/// All components, by name (in the order of Unicode scalar values).
#[derive(Debug, Clone, Copy)]
pub struct ListComponents;

impl Query for ListComponents {
    type Reply = Vec<Component>;
    const ACCESS: Access = Access::Member;

    fn answer(&self, view: &View<'_>) -> Result<Vec<Component>, Error> {
        view.world.components()
    }
}

fn live(world: &dyn World, id: ComponentId) -> Result<Component, Error> {
    world.component(id)?.filter(Component::is_live).ok_or_else(|| Error::not_found("component"))
}
