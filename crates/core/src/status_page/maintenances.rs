//! Announcing, changing and ending maintenances, and what the passing of time does to them.

use std::collections::BTreeSet;

use super::commands::{check_number, find as find_page};
use super::status::Causes;
use super::{Maintenance, MaintenanceState, MaintenanceView, StatusPage};
use crate::caller::ByAdmin;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::component;
use crate::error::Error;
use crate::id::{ComponentId, MaintenanceId, StatusPageId};
use crate::patch::Patch;
use crate::text::{Description, Title};
use crate::time::Timestamp;
use crate::validation::{Problem, Validation};
use crate::world::{Change, World, Write};
use crate::{checks, limits};

seal!(CreateMaintenance, EditMaintenance, DeleteMaintenance);

/// The longest maintenance, in milliseconds: 30 days.
const LONGEST: i64 = 30 * 86_400_000;
/// Of the maintenances of a page that are over, the last so many are kept.
pub(super) const KEPT: usize = 100;

/// The maintenance of a page with this id. Code: `not_found`.
pub(super) fn find(world: &dyn World, page: StatusPageId, id: MaintenanceId) -> Result<Maintenance, Error> {
    world.maintenance(page, id)?.ok_or_else(|| Error::not_found("maintenance"))
}

/// Checks components: at least one, at most 200, each once, all shown by the page.
fn check_components(page: &StatusPage, components: &[ComponentId]) -> Result<(), Error> {
    component::check_none_twice(components)?;
    match components.iter().find(|id| !page.shows(**id)) {
        Some(unknown) => Err(component::unknown(*unknown)),
        None => Ok(()),
    }
}

/// Refuses an end that has passed. Code: `validation_error`.
fn check_not_over(ends_at: Timestamp, now: Timestamp) -> Result<(), Error> {
    if ends_at <= now { Err(Error::invalid("endsAt", "must be later than now")) } else { Ok(()) }
}

/// Writes a maintenance as it was and will be, and the statuses of the components that it works on, before or after.
fn change(
    cx: &mut Context<'_>,
    page: StatusPage,
    before: Option<Maintenance>,
    after: Option<Maintenance>,
) -> Result<(), Error> {
    let both = || before.iter().chain(&after);
    let concerned: BTreeSet<_> = both()
        .filter(|it| it.is_under_way())
        .flat_map(|it| it.component_ids.iter().copied())
        .filter(|component| page.shows(*component))
        .collect();
    if !concerned.is_empty() {
        let ids: Vec<_> = both().map(|it| it.id).collect();
        let mut under_way = cx.world.maintenances_under_way(page.id)?;
        under_way.retain(|it| !ids.contains(&it.id));
        under_way.extend(after.clone().filter(Maintenance::is_under_way));
        Causes::of_these(page, &under_way).write(cx, concerned, None)?;
    }
    cx.write(Write::Maintenance(Box::new(Change { before, after })));
    Ok(())
}

/// Has a maintenance be over, and forgets the oldest of those that are, when they become too many.
fn end(cx: &mut Context<'_>, page: StatusPage, before: Maintenance, ends_at: Timestamp) -> Result<(), Error> {
    let over = cx.world.maintenances(page.id)?.into_iter().filter(|it| it.state == MaintenanceState::Over);
    let mut over: Vec<_> = over.collect();
    over.sort_by_key(|it| (it.ends_at, it.id));
    let many = over.len().saturating_sub(KEPT - 1);
    for forgotten in over.into_iter().take(many) {
        cx.write(Write::Maintenance(Box::new(Change::gone(forgotten))));
    }
    let updated_at = cx.now.max(before.updated_at);
    let after = Maintenance { state: MaintenanceState::Over, ends_at, updated_at, ..before.clone() };
    change(cx, page, Some(before), Some(after))
}

/// Announces a maintenance (contract, section 13). A beginning before now is set to now: the past stays true.
///
/// Codes, in the order of the checks: `validation_error` (it ends before it begins, or later than 30 days after; no component, or more
/// than 200), `not_found`, `duplicate_component_id`, `invalid_component_id` (the page does not show it), `validation_error` (it would be
/// over already), `limit_reached` (100 of a page that are not over).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateMaintenance {
    /// The page that announces it.
    pub status_page_id: StatusPageId,
    /// What is done, in 1–100 characters.
    pub title: Title,
    /// What is done, at length: at most 1,000 characters.
    pub description: Option<Description>,
    /// The components that are worked on: 1–200 of those that the page shows.
    pub component_ids: Vec<ComponentId>,
    /// When it begins. In the past, it begins now.
    pub starts_at: Timestamp,
    /// When it ends: after its beginning, at most 30 days later.
    pub ends_at: Timestamp,
}

impl CreateMaintenance {
    /// Checks beginning and end together.
    ///
    /// # Errors
    /// A [`Problem`] of `endsAt` unless it is later than `startsAt`, by 30 days at most.
    pub fn check_span(starts_at: Timestamp, ends_at: Timestamp) -> Result<(), Problem> {
        let length = ends_at.as_millis() - starts_at.as_millis();
        if length <= 0 {
            return Err(Problem::new("endsAt", "must be later than `startsAt`"));
        }
        if length > LONGEST {
            return Err(Problem::new("endsAt", "must be at most 30 days after `startsAt`"));
        }
        Ok(())
    }

    /// Checks the number of components.
    ///
    /// # Errors
    /// A [`Problem`] of `componentIds` unless there are 1–200.
    pub fn check_components(components: &[ComponentId]) -> Result<(), Problem> {
        if components.is_empty() {
            return Err(Problem::new("componentIds", "must have at least 1 item"));
        }
        check_number(components)
    }
}

impl Command for CreateMaintenance {
    type Caller = ByAdmin;
    type Reply = MaintenanceView;
    const CODES: &'static [Code] =
        &[Code::Validation, Code::NotFound, Code::DuplicateComponentId, Code::InvalidComponentId, Code::LimitReached];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<MaintenanceView, Error> {
        let mut check = Validation::new();
        check.field("componentIds", Self::check_components(&self.component_ids));
        check.field("endsAt", Self::check_span(self.starts_at, self.ends_at));
        check.finish(|| Some(()))?;
        let page = find_page(cx.world, self.status_page_id)?;
        check_components(&page, &self.component_ids)?;
        check_not_over(self.ends_at, cx.now)?;
        let all = cx.world.maintenances(page.id)?;
        let not_over = all.iter().filter(|it| it.state != MaintenanceState::Over).count();
        checks::room_for_one(not_over, limits::MAINTENANCES, "maintenances")?;
        let begins = self.starts_at <= cx.now;
        let maintenance = Maintenance {
            id: cx.ids.fresh(cx.now),
            org_id: page.org_id,
            status_page_id: page.id,
            title: self.title,
            description: self.description,
            component_ids: self.component_ids,
            starts_at: self.starts_at.max(cx.now),
            ends_at: self.ends_at,
            created_at: cx.now,
            updated_at: cx.now,
            state: if begins { MaintenanceState::UnderWay } else { MaintenanceState::Scheduled },
        };
        let view = MaintenanceView::from(&maintenance);
        change(cx, page, None, Some(maintenance))?;
        Ok(view)
    }
}

/// Changes a maintenance that is not over (contract, section 13). Changing nothing succeeds and writes nothing.
///
/// Codes, in the order of the checks: `validation_error` (no component, or more than 200; a span that does not fit), `not_found`,
/// `validation_error` (it is over; it has begun, and its beginning is to change; it would be over already), `duplicate_component_id`,
/// `invalid_component_id` (the page does not show it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditMaintenance {
    /// The page that announces it.
    pub status_page_id: StatusPageId,
    /// The maintenance.
    pub id: MaintenanceId,
    /// Its new title; `None` keeps the old one.
    pub title: Option<Title>,
    /// Its new description.
    pub description: Patch<Description>,
    /// The components that are worked on from now on; `None` keeps them.
    pub component_ids: Option<Vec<ComponentId>>,
    /// When it begins; `None` keeps it. In the past, it begins now.
    pub starts_at: Option<Timestamp>,
    /// When it ends; `None` keeps it. To end one now, delete it.
    pub ends_at: Option<Timestamp>,
}

impl EditMaintenance {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(status_page_id: StatusPageId, id: MaintenanceId) -> Self {
        Self {
            status_page_id,
            id,
            title: None,
            description: Patch::Keep,
            component_ids: None,
            starts_at: None,
            ends_at: None,
        }
    }
}

impl Command for EditMaintenance {
    type Caller = ByAdmin;
    type Reply = MaintenanceView;
    const CODES: &'static [Code] =
        &[Code::Validation, Code::NotFound, Code::DuplicateComponentId, Code::InvalidComponentId];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<MaintenanceView, Error> {
        let mut check = Validation::new();
        let components = self.component_ids.as_deref().map(CreateMaintenance::check_components);
        check.optional("componentIds", components);
        let span = self.starts_at.zip(self.ends_at).map(|(from, to)| CreateMaintenance::check_span(from, to));
        check.optional("endsAt", span);
        check.finish(|| Some(()))?;
        let page = find_page(cx.world, self.status_page_id)?;
        let before = find(cx.world, self.status_page_id, self.id)?;
        if before.state == MaintenanceState::Over {
            return Err(Error::invalid("endsAt", "has passed: a maintenance that is over does not change"));
        }
        let mut after = before.clone();
        if let Some(starts_at) = self.starts_at.filter(|at| *at != before.starts_at) {
            if before.is_under_way() {
                return Err(Error::invalid("startsAt", "has passed: the maintenance has begun"));
            }
            after.starts_at = starts_at.max(cx.now);
        }
        after.ends_at = self.ends_at.unwrap_or(before.ends_at);
        CreateMaintenance::check_span(after.starts_at, after.ends_at)?;
        if after.ends_at != before.ends_at {
            check_not_over(after.ends_at, cx.now)?;
        }
        if let Some(components) = self.component_ids {
            check_components(&page, &components)?;
            after.component_ids = components;
        }
        after.title = self.title.unwrap_or(after.title);
        after.description = self.description.apply(after.description);
        if after == before {
            return Ok(MaintenanceView::from(&after));
        }
        if after.state == MaintenanceState::Scheduled && after.starts_at <= cx.now && cx.now < after.ends_at {
            after.state = MaintenanceState::UnderWay;
        }
        after.updated_at = cx.now.max(before.updated_at);
        let view = MaintenanceView::from(&after);
        change(cx, page, Some(before), Some(after))?;
        Ok(view)
    }
}

/// Deletes a maintenance: one under way ends now, and is kept as over; any other is gone (contract, section 13). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteMaintenance {
    /// The page that announces it.
    pub status_page_id: StatusPageId,
    /// The maintenance to delete.
    pub id: MaintenanceId,
}

impl DeleteMaintenance {
    /// The deletion of this maintenance.
    #[must_use]
    pub const fn new(status_page_id: StatusPageId, id: MaintenanceId) -> Self {
        Self { status_page_id, id }
    }
}

impl Command for DeleteMaintenance {
    type Caller = ByAdmin;
    type Reply = MaintenanceId;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<MaintenanceId, Error> {
        let page = find_page(cx.world, self.status_page_id)?;
        let before = find(cx.world, self.status_page_id, self.id)?;
        if before.is_under_way() {
            // A clock that has jumped back does not have it end before it began.
            let ends_at = cx.now.clamp(before.starts_at, before.ends_at);
            end(cx, page, before, ends_at)?;
        } else {
            change(cx, page, Some(before), None)?;
        }
        Ok(self.id)
    }
}

/// Lets a maintenance go on, if it is due at the instant of the context: it begins, or is over; `false` when nothing is due.
pub(crate) fn let_time_pass(cx: &mut Context<'_>, page: StatusPageId, id: MaintenanceId) -> Result<bool, Error> {
    let due = |it: &Maintenance| it.due().is_some_and(|due| due <= cx.now);
    let Some(before) = cx.world.maintenance(page, id)?.filter(due) else { return Ok(false) };
    let page = cx.world.status_page(page)?.ok_or_else(|| Error::broken("a maintenance without its page"))?;
    if before.ends_at <= cx.now {
        // Also one that nobody has seen begin, because the engine was not running.
        let ends_at = before.ends_at;
        end(cx, page, before, ends_at)?;
    } else {
        let updated_at = cx.now.max(before.updated_at);
        let after = Maintenance { state: MaintenanceState::UnderWay, updated_at, ..before.clone() };
        change(cx, page, Some(before), Some(after))?;
    }
    Ok(true)
}
