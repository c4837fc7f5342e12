//! Creating, changing and deleting status pages.

use std::collections::BTreeSet;

use super::status::Causes;
use super::{StatusOverride, StatusPage};
use crate::caller::ByAdmin;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::component;
use crate::error::Error;
use crate::id::{ComponentId, StatusPageId};
use crate::text::{Name, Slug};
use crate::validation::{Problem, Validation};
use crate::world::{Change, World, Write};
use crate::zone::Zone;
use crate::{checks, limits};

seal!(CreateStatusPage, EditStatusPage, DeleteStatusPage);

/// The status page with this id. Code: `not_found`.
pub(super) fn find(world: &dyn World, id: StatusPageId) -> Result<StatusPage, Error> {
    world.status_page(id)?.ok_or_else(|| Error::not_found("status page"))
}

/// Refuses more components than a page shows. Code: `validation_error`.
pub(super) fn check_number(components: &[ComponentId]) -> Result<(), Problem> {
    if components.len() > StatusPage::MOST_COMPONENTS {
        return Err(Problem::new("componentIds", "must have at most 200 items"));
    }
    Ok(())
}

/// Refuses components and overrides of a page that do not fit, all at once: too many components, overrides of one component twice, or of
/// one that is not shown. Of an edit without components, that is known once the page is. Code: `validation_error`.
fn check_fields(overrides: Option<&[StatusOverride]>, components: Option<&[ComponentId]>) -> Result<(), Error> {
    let mut check = Validation::new();
    if let Some(components) = components {
        check.field("componentIds", check_number(components));
    }
    let (shown, mut seen) = (components.map(|all| all.iter().collect::<BTreeSet<_>>()), BTreeSet::new());
    for (place, one) in overrides.unwrap_or_default().iter().enumerate() {
        let field = format!("overrides/{place}/componentId");
        if shown.as_ref().is_some_and(|shown| !shown.contains(&one.component_id)) {
            check.problem(field, "must be a component that the page shows");
        } else if !seen.insert(one.component_id) {
            check.problem(field, "must not be given twice");
        }
    }
    check.finish(|| Some(()))
}

/// Overrides in the order of the components of a page.
fn in_order(overrides: &[StatusOverride], components: &[ComponentId]) -> Vec<StatusOverride> {
    let of = |id: &ComponentId| overrides.iter().find(|one| one.component_id == *id).copied();
    components.iter().filter_map(of).collect()
}

/// Creates a status page (contract, section 13). It is not published unless that is said.
///
/// Codes, in the order of the checks: `validation_error` (more than 200 components; an override of a component that is not shown, or
/// twice), `duplicate_component_id`, `invalid_component_id`, `invalid_timezone`, `name_conflict` (the slug is taken, in whichever
/// organization), `limit_reached` (20 of an organization).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateStatusPage {
    /// Its name: 1–100 characters.
    pub name: Name,
    /// What stands for it in addresses.
    pub slug: Slug,
    /// Whether anybody can see it.
    pub published: bool,
    /// The time zone of its days: an IANA identifier.
    pub timezone: String,
    /// The components that it shows, in this order: at most 200.
    pub component_ids: Vec<ComponentId>,
    /// The statuses that are set by hand.
    pub overrides: Vec<StatusOverride>,
}

impl CreateStatusPage {
    /// A page that shows nothing to nobody, with its days in UTC.
    #[must_use]
    pub fn new(name: Name, slug: Slug) -> Self {
        let timezone = "UTC".to_owned();
        Self { name, slug, published: false, timezone, component_ids: Vec::new(), overrides: Vec::new() }
    }
}

impl Command for CreateStatusPage {
    type Caller = ByAdmin;
    type Reply = StatusPage;
    const CODES: &'static [Code] = &[
        Code::Validation,
        Code::DuplicateComponentId,
        Code::InvalidComponentId,
        Code::InvalidTimezone,
        Code::NameConflict,
        Code::LimitReached,
    ];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<StatusPage, Error> {
        check_fields(Some(&self.overrides), Some(&self.component_ids))?;
        check_components(cx.world, &self.component_ids, &[])?;
        let zone = Zone::of_place(&self.timezone)?;
        checks::name_is_free(cx.world.page_with_slug(&self.slug)?, None, "status page", &self.slug)?;
        checks::room_for_one(cx.world.status_pages()?.len(), limits::STATUS_PAGES, "status pages")?;
        let page = StatusPage {
            id: cx.ids.fresh(cx.now),
            org_id: cx.world.org_id(),
            name: self.name,
            slug: self.slug,
            published: self.published,
            zone,
            overrides: in_order(&self.overrides, &self.component_ids),
            component_ids: self.component_ids,
            created_at: cx.now,
            updated_at: cx.now,
        };
        cx.write(Write::StatusPage(Box::new(Change::created(page.clone()))));
        Causes::with(cx.world, page.clone())?.write(cx, page.component_ids.iter().copied(), None)?;
        Ok(page)
    }
}

/// Checks the components of a page. Those in `known` are not looked up again.
fn check_components(world: &dyn World, components: &[ComponentId], known: &[ComponentId]) -> Result<(), Error> {
    component::check_none_twice(components)?;
    let known: BTreeSet<_> = known.iter().collect();
    let mut new = components.iter().filter(|id| !known.contains(id));
    new.try_for_each(|id| component::check_exists(world, *id))
}

/// Changes a status page (contract, section 13). Changing nothing succeeds and writes nothing.
///
/// Codes, in the order of the checks: `validation_error` (as for [`CreateStatusPage`]), `not_found`, `duplicate_component_id`,
/// `invalid_component_id`, `invalid_timezone`, `name_conflict` (the slug is taken, in whichever organization).
///
/// With new components and no new overrides, the overrides of components that are not shown any more are lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditStatusPage {
    /// The page.
    pub id: StatusPageId,
    /// Its new name; `None` keeps the old one.
    pub name: Option<Name>,
    /// Its new slug; `None` keeps the old one. The old one is free from now on.
    pub slug: Option<Slug>,
    /// Whether anybody can see it; `None` keeps it.
    pub published: Option<bool>,
    /// The time zone of its days, also of past ones; `None` keeps it.
    pub timezone: Option<String>,
    /// The components that it shows from now on; `None` keeps them.
    pub component_ids: Option<Vec<ComponentId>>,
    /// All statuses that are set by hand from now on; `None` keeps them.
    pub overrides: Option<Vec<StatusOverride>>,
}

impl EditStatusPage {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(id: StatusPageId) -> Self {
        Self { id, name: None, slug: None, published: None, timezone: None, component_ids: None, overrides: None }
    }
}

impl Command for EditStatusPage {
    type Caller = ByAdmin;
    type Reply = StatusPage;
    const CODES: &'static [Code] = &[
        Code::Validation,
        Code::NotFound,
        Code::DuplicateComponentId,
        Code::InvalidComponentId,
        Code::InvalidTimezone,
        Code::NameConflict,
    ];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<StatusPage, Error> {
        check_fields(self.overrides.as_deref(), self.component_ids.as_deref())?;
        let before = find(cx.world, self.id)?;
        let mut after = before.clone();
        after.component_ids = self.component_ids.unwrap_or(after.component_ids);
        if let Some(overrides) = self.overrides {
            check_fields(Some(&overrides), Some(&after.component_ids))?;
            after.overrides = overrides;
        }
        after.overrides = in_order(&after.overrides, &after.component_ids);
        check_components(cx.world, &after.component_ids, &before.component_ids)?;
        if let Some(timezone) = self.timezone {
            after.zone = Zone::of_place(&timezone)?;
        }
        if let Some(slug) = self.slug {
            checks::name_is_free(cx.world.page_with_slug(&slug)?, Some(self.id), "status page", &slug)?;
            after.slug = slug;
        }
        after.name = self.name.unwrap_or(after.name);
        after.published = self.published.unwrap_or(after.published);
        if after == before {
            return Ok(after);
        }
        after.updated_at = cx.now.max(before.updated_at);
        let concerned: BTreeSet<_> = before.component_ids.iter().chain(&after.component_ids).copied().collect();
        Causes::with(cx.world, after.clone())?.write(cx, concerned, None)?;
        cx.write(Write::StatusPage(Box::new(Change::edited(before, after.clone()))));
        Ok(after)
    }
}

/// Deletes a status page and its maintenances; its slug is free again (contract, section 13). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteStatusPage {
    /// The page to delete.
    pub id: StatusPageId,
}

impl DeleteStatusPage {
    /// The deletion of this page.
    #[must_use]
    pub const fn new(id: StatusPageId) -> Self {
        Self { id }
    }
}

impl Command for DeleteStatusPage {
    type Caller = ByAdmin;
    type Reply = StatusPageId;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<StatusPageId, Error> {
        let page = find(cx.world, self.id)?;
        for maintenance in cx.world.maintenances(self.id)? {
            cx.write(Write::Maintenance(Box::new(Change::gone(maintenance))));
        }
        cx.write(Write::StatusPage(Box::new(Change::gone(page))));
        Ok(self.id)
    }
}
