//! Components: the parts of a product that incidents affect (contract, section 5).
//!
//! A component has a name that is unique in its organization. Members create, change and delete components
//! ([`CreateComponent`], [`EditComponent`], [`DeleteComponent`]) and look at them ([`GetComponent`], [`ListComponents`]). A
//! component cannot be deleted while an unresolved incident affects it or a status page shows it; resolved incidents keep showing its last name.
//!
//! How an incident says which components it affects is in [`crate::incident::SetComponents`].

use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, Query, View, seal};
use crate::error::Error;
use crate::id::{ComponentId, OrgId};
use crate::integration::{Named, refers};
use crate::patch::Patch;
use crate::text::{Description, GroupLabel, Name};
use crate::time::Timestamp;
use crate::world::{Change, World, Write};
use crate::{checks, limits};
use std::collections::BTreeSet;

seal!(CreateComponent, EditComponent, DeleteComponent, GetComponent, ListComponents);

/// A component as it is stored, also one that has been deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct Component {
    /// The component's id.
    pub id: ComponentId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its name: 1–100 characters, unique among the components of the organization that have not been deleted.
    pub name: Name,
    /// What it is: at most 1,000 characters.
    pub description: Option<Description>,
    /// The heading under which it is shown with others: at most 100 characters; it may be empty.
    pub group_label: Option<GroupLabel>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed; at first, when it was created.
    pub updated_at: Timestamp,
    /// When it was deleted; `None` for a present component. A deleted one is kept for the incidents that show its last name.
    #[cfg_attr(feature = "serde", serde(skip))]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct ComponentRef {
    /// The component's id.
    pub id: ComponentId,
    /// Its name; of a deleted component, its last.
    pub name: Name,
}

/// The components of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait ComponentPort {
    /// The component with this id, also a deleted one.
    fn component(&self, id: ComponentId) -> Result<Option<Component>, Error> {
        let _ = id;
        Ok(None)
    }
    /// The component that has this name now; deleted ones have none.
    fn component_named(&self, name: &Name) -> Result<Option<ComponentId>, Error> {
        let _ = name;
        Ok(None)
    }
    /// The components that have not been deleted, by name, in the order of Unicode scalar values.
    fn components(&self) -> Result<Vec<Component>, Error> {
        Ok(Vec::new())
    }
    /// Whether an unresolved incident affects the component.
    fn component_in_use(&self, id: ComponentId) -> Result<bool, Error> {
        let _ = id;
        Ok(false)
    }
}

/// Creates a component (contract, section 5). Codes: `name_conflict`, `limit_reached`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateComponent {
    /// Its name: 1–100 characters, unique among the components of the organization.
    pub name: Name,
    /// What it is: at most 1,000 characters.
    pub description: Option<Description>,
    /// The heading under which it is shown with others: at most 100 characters.
    pub group_label: Option<GroupLabel>,
}

impl CreateComponent {
    /// A component with a name, and nothing else that is optional.
    #[must_use]
    pub const fn new(name: Name) -> Self {
        Self { name, description: None, group_label: None }
    }
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

/// Changes a component (contract, section 5). Codes: `not_found`, `name_conflict`. Changing nothing succeeds and writes
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditComponent {
    /// The component to change.
    pub id: ComponentId,
    /// Its new name: 1–100 characters, unique among the components of the organization; `None` keeps the old one.
    pub name: Option<Name>,
    /// Its new description: at most 1,000 characters.
    pub description: Patch<Description>,
    /// The new heading under which it is shown with others: at most 100 characters.
    pub group_label: Patch<GroupLabel>,
}

impl EditComponent {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(id: ComponentId) -> Self {
        Self { id, name: None, description: Patch::Keep, group_label: Patch::Keep }
    }
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

/// Deletes a component, whose name is free again (contract, section 5). Codes: `not_found`, `component_in_use`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteComponent {
    /// The component to delete.
    pub id: ComponentId,
}

impl DeleteComponent {
    /// The deletion of this component.
    #[must_use]
    pub const fn new(id: ComponentId) -> Self {
        Self { id }
    }
}

impl Command for DeleteComponent {
    type Caller = ByMember;
    type Reply = ComponentId;
    const CODES: &'static [Code] = &[Code::NotFound, Code::ComponentInUse];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<ComponentId, Error> {
        let before = live(cx.world, self.id)?;
        if cx.world.component_in_use(self.id)? || !cx.world.pages_showing(self.id)?.is_empty() {
            return Err(Error::refused(
                Code::ComponentInUse,
                "the component is tagged on an unresolved incident or selected by a status page",
            ));
        }
        if refers(cx.world, &Named::Component(self.id))? {
            return Err(Error::refused(Code::ComponentInUse, "an integration names the component"));
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

/// One component (contract, section 5). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetComponent {
    /// The component to look at.
    pub id: ComponentId,
}

impl GetComponent {
    /// The question for this component.
    #[must_use]
    pub const fn new(id: ComponentId) -> Self {
        Self { id }
    }
}

impl Query for GetComponent {
    type Caller = ByMember;
    type Reply = Component;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Component, Error> {
        live(view.world, self.id)
    }
}

/// All components, by name, in the order of Unicode scalar values (contract, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListComponents;

impl Query for ListComponents {
    type Caller = ByMember;
    type Reply = Vec<Component>;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<Component>, Error> {
        view.world.components()
    }
}

/// Refuses a component that is given twice. Code: `duplicate_component_id`.
pub(crate) fn check_none_twice(ids: &[ComponentId]) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    match ids.iter().find(|id| !seen.insert(**id)) {
        Some(twice) => Err(Error::refused(Code::DuplicateComponentId, format!("component `{twice}` is given twice"))),
        None => Ok(()),
    }
}

/// Refuses a component that does not exist, or not any more. Code: `invalid_component_id`.
pub(crate) fn check_exists(world: &dyn World, id: ComponentId) -> Result<(), Error> {
    if world.component(id)?.as_ref().is_some_and(Component::is_live) { Ok(()) } else { Err(unknown(id)) }
}

/// The refusal of a component that is not there. Code: `invalid_component_id`.
pub(crate) fn unknown(id: ComponentId) -> Error {
    Error::refused(Code::InvalidComponentId, format!("no component has the id `{id}`"))
}

/// The component with this id, unless it has been deleted. Code: `not_found`.
fn live(world: &dyn World, id: ComponentId) -> Result<Component, Error> {
    world.component(id)?.filter(Component::is_live).ok_or_else(|| Error::not_found("component"))
}
