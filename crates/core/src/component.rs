//! Components: the parts of a product that incidents affect (contract, section 5).

use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, Query, View, seal};
use crate::error::Error;
use crate::id::{ComponentId, OrgId};
use crate::patch::Patch;
use crate::text::{Description, GroupLabel, Name};
use crate::time::Timestamp;
use crate::world::{Change, World, Write};
use crate::{checks, limits};

seal!(CreateComponent, EditComponent, DeleteComponent, GetComponent, ListComponents);

/// A part of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Names the component.
    pub id: ComponentId,
    /// The organization it belongs to.
    pub org_id: OrgId,
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

/// Components of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The cost of each is that of its answer,
/// however much else there is.
pub trait ComponentPort {
    /// A component, also a deleted one.
    fn component(&self, id: ComponentId) -> Result<Option<Component>, Error>;
    /// The component that has this name now.
    fn component_named(&self, name: &Name) -> Result<Option<ComponentId>, Error>;
    /// The components that have not been deleted, by name.
    fn components(&self) -> Result<Vec<Component>, Error>;
    /// Whether an unresolved incident is tagged with the component, or a status page selects it.
    fn component_in_use(&self, id: ComponentId) -> Result<bool, Error>;
    /// Whether a published status page shows at least one of the components.
    fn has_public_surface(&self, components: &[ComponentId]) -> Result<bool, Error>;
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
    type Caller = ByMember;
    type Reply = Component;
    const CODES: &'static [Code] = &[Code::NameConflict, Code::LimitReached];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<Component, Error> {
        checks::name_is_free(cx.world.component_named(&self.name)?, None, "component", &self.name)?;
        cx.count(|counts| checks::one_more(&mut counts.components, limits::COMPONENTS, "components"))?;
        let component = Component {
            id: cx.ids.fresh(cx.now),
            org_id: cx.world.org_id(),
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
    type Caller = ByMember;
    type Reply = Component;
    const CODES: &'static [Code] = &[Code::NotFound, Code::NameConflict];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<Component, Error> {
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
    type Caller = ByMember;
    type Reply = ComponentId;
    const CODES: &'static [Code] = &[Code::NotFound, Code::ComponentInUse];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<ComponentId, Error> {
        let before = live(cx.world, self.id)?;
        if cx.world.component_in_use(self.id)? {
            return Err(Error::refused(
                Code::ComponentInUse,
                "the component is tagged on an unresolved incident or selected by a status page",
            ));
        }
        let mut after = before.clone();
        after.deleted_at = Some(cx.now);
        cx.count(|counts| {
            counts.components = counts.components.saturating_sub(1);
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
    type Caller = ByMember;
    type Reply = Component;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Component, Error> {
        live(view.world, self.id)
    }
}

/// All components, by name (in the order of Unicode scalar values).
#[derive(Debug, Clone, Copy)]
pub struct ListComponents;

impl Query for ListComponents {
    type Caller = ByMember;
    type Reply = Vec<Component>;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<Component>, Error> {
        view.world.components()
    }
}

fn live(world: &dyn World, id: ComponentId) -> Result<Component, Error> {
    world.component(id)?.filter(Component::is_live).ok_or_else(|| Error::not_found("component"))
}
