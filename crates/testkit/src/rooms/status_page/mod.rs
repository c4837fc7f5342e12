//! Status pages and maintenances: the operations, and both sides of each; the model is in [`model`].

pub(crate) mod model;

use std::time::Duration;

use dogwatch_core::component::CreateComponent;
use dogwatch_core::id::{Id, MaintenanceId, StatusPageId};
use dogwatch_core::incident::{CreateIncident, PostUpdate, RedactUpdate, Severity};
use dogwatch_core::status_page::{
    ComponentStatus, CreateMaintenance, CreateStatusPage, DeleteMaintenance, DeleteStatusPage, EditMaintenance,
    EditStatusPage, GetMaintenance, GetStatusPage, ListMaintenances, ListStatusPages, MaintenanceView, PublicPage,
    ShowStatusPage, ShownIncident, ShownMaintenance, StatusOverride, StatusPage,
};
use dogwatch_core::{Actor, Patch, Timestamp};
use dogwatch_store::Engine;

use arbitrary::{Result, Unstructured};

use super::component::ComponentOp;
use super::escalation::EscalationOp;
use super::incident::IncidentOp;
use super::{Op, Org};
use crate::fixture::{did, valid};
use crate::model::{Expected, Millis};
use crate::ops::{Field, Pick, field, name, pick, text};
use crate::render;
use crate::run::{Run, agree, millis, patch};

#[cfg(feature = "internals")]
pub(crate) use model::days_in;
use model::{COMPONENT_STATUSES, Ids, MaintenanceInput, PageInput, Phase, SLUGS, ZONES};
pub(crate) use model::{MaintenanceModel, PageModel};

const MINUTE: Millis = 60_000;

/// An operation on status pages and maintenances. One that is `tidy` names components that it may name, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum StatusPageOp {
    Create {
        name: String,
        slug: usize,
        published: bool,
        zone: usize,
        components: Vec<Pick>,
        overrides: Vec<(Pick, usize)>,
        tidy: bool,
    },
    Edit {
        page: Pick,
        name: Option<String>,
        slug: Option<usize>,
        published: Option<bool>,
        zone: Option<usize>,
        components: Option<Vec<Pick>>,
        overrides: Option<Vec<(Pick, usize)>>,
        tidy: bool,
    },
    Delete {
        page: Pick,
    },
    /// Announces a maintenance that begins so many minutes from now, and takes so many.
    Announce {
        page: Pick,
        title: String,
        description: Option<String>,
        components: Vec<Pick>,
        starts: i64,
        length: i64,
        tidy: bool,
    },
    /// Changes a maintenance, by the name of its own page or of another; times are minutes from now.
    Change {
        maintenance: Pick,
        page: Option<Pick>,
        title: Option<String>,
        description: Field<String>,
        components: Option<Vec<Pick>>,
        starts: Option<i64>,
        ends: Option<i64>,
        tidy: bool,
    },
    Withdraw {
        maintenance: Pick,
        page: Option<Pick>,
    },
    /// Looks at what the public sees under a slug.
    Look {
        slug: usize,
    },
}

pub(super) fn operation(source: &mut Unstructured<'_>, org: usize) -> Result<StatusPageOp> {
    let tidy = source.ratio(7_u8, 8)?;
    Ok(match source.int_in_range(0..=15)? {
        0..=2 => StatusPageOp::Create {
            name: name(source)?,
            slug: source.int_in_range(0..=SLUGS.len() - 1)?,
            published: source.ratio(3_u8, 4)?,
            zone: zone(source)?,
            components: several(source, org)?,
            overrides: overrides(source, org)?,
            tidy,
        },
        3..=5 => StatusPageOp::Edit {
            page: pick(source, org)?,
            name: sometimes(source, name)?,
            slug: if source.ratio(1_u8, 4)? { Some(source.int_in_range(0..=SLUGS.len() - 1)?) } else { None },
            published: if source.ratio(1_u8, 4)? { Some(source.ratio(3_u8, 4)?) } else { None },
            zone: if source.ratio(1_u8, 4)? { Some(zone(source)?) } else { None },
            components: sometimes(source, |source| several(source, org))?,
            overrides: sometimes(source, |source| overrides(source, org))?,
            tidy,
        },
        6 => StatusPageOp::Delete { page: pick(source, org)? },
        7..=9 => StatusPageOp::Announce {
            page: pick(source, org)?,
            title: name(source)?,
            description: text(source)?,
            components: several(source, org)?,
            starts: *source.choose(&[0, 0, -5, 1, 5, 60, 1_440])?,
            length: *source.choose(&[1, 5, 10, 60, 1_440, 43_200, 43_201, 0])?,
            tidy,
        },
        10 | 11 => StatusPageOp::Change {
            maintenance: pick(source, org)?,
            page: if source.ratio(1_u8, 8)? { Some(pick(source, org)?) } else { None },
            title: sometimes(source, name)?,
            description: field(source, text)?,
            components: sometimes(source, |source| several(source, org))?,
            starts: if source.ratio(1_u8, 3)? { Some(*source.choose(&[-5, 0, 1, 5, 60, 1_440])?) } else { None },
            ends: if source.ratio(1_u8, 3)? { Some(*source.choose(&[0, 1, 10, 60, 1_440, 44_000])?) } else { None },
            tidy,
        },
        12 => StatusPageOp::Withdraw {
            maintenance: pick(source, org)?,
            page: if source.ratio(1_u8, 8)? { Some(pick(source, org)?) } else { None },
        },
        _ => StatusPageOp::Look { slug: source.int_in_range(0..=SLUGS.len() - 1)? },
    })
}

/// What a run that is about a status page begins with: two components, a page that shows both, and an incident that tags one.
pub(crate) fn beginning() -> Vec<Op> {
    let here = |index| Pick { org: 0, index: Some(index) };
    let component = |name: &str| ComponentOp::Create { name: name.to_owned(), description: None, label: None };
    let page = StatusPageOp::Create {
        name: "Harbour".to_owned(),
        slug: 0,
        published: true,
        zone: 1,
        components: vec![here(1), here(0)],
        overrides: Vec::new(),
        tidy: true,
    };
    let incident = incident(vec![here(0)], 1);
    vec![Op::Component(component("API")), Op::Component(component("Web")), Op::StatusPage(page), Op::Incident(incident)]
}

fn incident(components: Vec<Pick>, severity: usize) -> IncidentOp {
    IncidentOp::Create {
        title: "It is down".to_owned(),
        severity,
        description: None,
        owner: Some(Pick { org: 0, index: Some(0) }),
        schedule: None,
        policy: None,
        components,
    }
}

/// Draws an operation of which a status page may show something. It is mostly about the first few of everything.
pub(crate) fn shown_operation(source: &mut Unstructured<'_>, org: usize) -> Result<Op> {
    let few = |source: &mut Unstructured<'_>| Ok(Pick { org, index: Some(source.int_in_range(0..=2)?) });
    Ok(match source.int_in_range(0..=31)? {
        0..=11 => Op::StatusPage(operation(source, org)?),
        12 | 13 => {
            let components = if source.arbitrary()? { vec![few(source)?] } else { Vec::new() };
            Op::Incident(incident(components, source.int_in_range(0..=3)?))
        }
        14..=16 => Op::Incident(IncidentOp::ChangeStatus { incident: few(source)?, to: None, note: text(source)? }),
        17 => Op::Incident(IncidentOp::SetComponents {
            incident: few(source)?,
            components: if source.arbitrary()? { vec![few(source)?] } else { Vec::new() },
        }),
        18 => Op::Incident(IncidentOp::Edit {
            incident: few(source)?,
            title: None,
            description: Field::Keep,
            severity: Some(source.int_in_range(0..=3)?),
        }),
        19..=21 => Op::Incident(IncidentOp::PostUpdate {
            incident: few(source)?,
            body: Some(format!("words {}", text(source)?.unwrap_or_default())),
            status: if source.ratio(1_u8, 3)? { Some(source.int_in_range(1..=3)?) } else { None },
            public: source.ratio(3_u8, 4)?,
        }),
        22 => Op::Incident(IncidentOp::Redact { incident: few(source)?, update: source.int_in_range(0..=3)? }),
        23..=26 => Op::Escalation(EscalationOp::Tick { in_minutes: *source.choose(&[0, 0, 0, 1, 5, 60, 1_440, -1])? }),
        27..=29 => Op::AdvanceClock(*source.choose(&[1, 60_000, 3_600_000, 30_000_000, 86_400_000, -7_200_000])?),
        _ => super::operation(source, org)?,
    })
}

fn sometimes<T>(
    source: &mut Unstructured<'_>,
    value: impl Fn(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Option<T>> {
    if source.arbitrary()? { value(source).map(Some) } else { Ok(None) }
}

fn several(source: &mut Unstructured<'_>, org: usize) -> Result<Vec<Pick>> {
    let count = source.int_in_range(0..=4)?;
    (0..count).map(|_| pick(source, org)).collect()
}

fn overrides(source: &mut Unstructured<'_>, org: usize) -> Result<Vec<(Pick, usize)>> {
    let count = [0, 0, 0, 1, 2][source.int_in_range(0..=4)?];
    (0..count).map(|_| Ok((pick(source, org)?, source.int_in_range(0..=4)?))).collect()
}

/// A zone, rarely one that is none.
fn zone(source: &mut Unstructured<'_>) -> Result<usize> {
    let drawn: usize = source.int_in_range(0..=16)?;
    Ok(drawn / 4)
}

/// Puts a page into an organization with all that a page can have: a status that is set by hand, a maintenance under way, one that is
/// announced and one that is over, and of an incident a public update, one that was removed, and its resolution.
pub(super) fn fill(engine: &Engine, admin: &Actor) {
    let component = |name: &str| {
        let create = CreateComponent { name: valid(name), description: None, group_label: Some(valid("Shop")) };
        did(engine, create, admin).id
    };
    let (search, payments) = (component("Search"), component("Payments"));
    let mut page = CreateStatusPage::new(valid("Harbour"), valid("harbour"));
    page.published = true;
    page.timezone = "Europe/Lisbon".to_owned();
    page.component_ids = vec![payments, search];
    page.overrides = vec![StatusOverride { component_id: payments, status: ComponentStatus::Degraded }];
    let page = did(engine, page, admin).id;
    did(engine, CreateStatusPage::new(valid("Empty"), valid("empty")), admin);
    let day = |days: u64| engine.now().plus(Duration::from_secs(days * 86_400));
    let maintenance = |title: &str, starts_at, ends_at| {
        let description = Some(valid(&"New disks, one after another. ".repeat(20)));
        let component_ids = vec![search];
        let (status_page_id, title) = (page, valid(title));
        did(engine, CreateMaintenance { status_page_id, title, description, component_ids, starts_at, ends_at }, admin)
    };
    maintenance("Under way", day(0), day(20));
    maintenance("To come", day(10), day(11));
    let over = maintenance("Over", day(0), day(1)).id;
    did(engine, DeleteMaintenance { status_page_id: page, id: over }, admin);
    let Actor::Member { user_id: owner, .. } = *admin else { panic!("an admin is a member") };
    let open = CreateIncident {
        component_ids: vec![search, payments],
        ..CreateIncident::new(valid("Search is slow"), Severity::Medium, owner)
    };
    let incident = did(engine, open, admin).id;
    let post = |body: &str| PostUpdate::public(incident, valid(body));
    did(engine, post("We are looking into it."), admin);
    let removed = did(engine, post("Ask Ben, he has broken it."), admin).id;
    did(engine, RedactUpdate { incident_id: incident, update_id: removed }, admin);
}

impl Run<'_> {
    fn status_page(&self, pick: Pick, org: usize) -> (StatusPageId, Option<usize>) {
        let unknown = StatusPageId::from_bytes([0xEE; 16]);
        let (id, index) = self.resolve(pick, org, |org| &org.pages, |page| &page.id, unknown);
        (valid(&id), index)
    }

    /// A maintenance and the page by whose name it is looked for: its own, unless another is picked.
    fn maintenance(
        &self,
        pick: Pick,
        page: Option<Pick>,
        org: usize,
    ) -> ((StatusPageId, MaintenanceId), (Option<usize>, Option<usize>)) {
        let unknown = MaintenanceId::from_bytes([0xEE; 16]);
        let (id, index) = self.resolve(pick, org, |org| &org.maintenances, |one| &one.id, unknown);
        let all = &self.orgs[pick.org];
        let own = all.maintenances.iter().find(|one| one.id == id).map(|one| one.page);
        let (page, place) = match (page, own) {
            (None, Some(page)) => (valid(&all.pages[page].id), Some(page).filter(|_| pick.org == org)),
            (page, _) => self.status_page(page.unwrap_or(pick), org),
        };
        ((page, valid(&id)), (place, index))
    }

    /// The components that are picked; when `tidy`, from those that are `allowed`, each once.
    fn listed(&self, picks: &[Pick], org: usize, tidy: bool, allowed: impl Fn(usize) -> bool) -> Ids {
        if !tidy {
            return self.components(picks, org);
        }
        let components = &self.orgs[org].components;
        let allowed: Vec<_> = (0..components.len()).filter(|index| allowed(*index)).collect();
        let mut ids: Ids = Vec::new();
        for pick in picks.iter().filter(|_| !allowed.is_empty()) {
            let index = allowed[pick.index.unwrap_or(0) % allowed.len()];
            let id = &components[index].id;
            if !ids.iter().any(|(earlier, _)| earlier == id) {
                ids.push((id.clone(), Some(index)));
            }
        }
        ids
    }

    fn by_hand(&self, overrides: &[(Pick, usize)], org: usize, tidy: bool, shown: &[String]) -> Vec<(String, usize)> {
        if !tidy {
            return overrides.iter().map(|(pick, status)| (self.component(*pick, org).0, *status)).collect();
        }
        let mut given: Vec<(String, usize)> = Vec::new();
        for (pick, status) in overrides.iter().filter(|_| !shown.is_empty()) {
            let id = &shown[pick.index.unwrap_or(0) % shown.len()];
            if !given.iter().any(|(earlier, _)| earlier == id) {
                given.push((id.clone(), *status));
            }
        }
        given
    }

    /// Whether no page of any organization has a slug, but for one.
    fn slug_is_free(&self, slug: Option<usize>, own: Option<(usize, usize)>) -> bool {
        let Some(slug) = slug else { return true };
        let mut pages = self
            .orgs
            .iter()
            .enumerate()
            .flat_map(|(org, model)| model.pages.iter().enumerate().map(move |(place, page)| ((org, place), page)));
        !pages.any(|(place, page)| Some(place) != own && !page.deleted && page.slug == slug)
    }

    pub(super) fn status_page_op(&mut self, op: &StatusPageOp, org: usize, me: usize, actor: &Actor) {
        let now = self.now();
        match op {
            StatusPageOp::Create { .. } => self.create_page(op, org, me, actor),
            StatusPageOp::Edit { .. } => self.edit_status_page(op, org, me, actor),
            StatusPageOp::Delete { page } => {
                let (id, index) = self.status_page(*page, org);
                let expected = self.orgs[org].delete_page(me, index);
                agree(self.subject().execute(DeleteStatusPage::new(id), actor), expected, op);
            }
            StatusPageOp::Announce { .. } => self.announce(op, org, me, actor),
            StatusPageOp::Change { .. } => self.change_maintenance(op, org, me, actor),
            StatusPageOp::Withdraw { maintenance, page } => {
                let ((status_page_id, id), places) = self.maintenance(*maintenance, *page, org);
                let expected = self.orgs[org].withdraw_maintenance(me, now, places);
                agree(self.subject().execute(DeleteMaintenance { status_page_id, id }, actor), expected, op);
            }
            StatusPageOp::Look { .. } => {}
        }
        self.orgs[org].follow_statuses(now);
        if let StatusPageOp::Look { slug } | StatusPageOp::Create { slug, .. } = op {
            self.compare_public(*slug);
        }
    }

    fn create_page(&mut self, op: &StatusPageOp, org: usize, me: usize, actor: &Actor) {
        let StatusPageOp::Create { name, slug, published, zone, components, overrides, tidy } = op else {
            panic!("not a creation: {op:?}")
        };
        let live = |index: usize| !self.orgs[org].components[index].deleted;
        let components = self.listed(components, org, *tidy, live);
        let ids: Vec<_> = components.iter().map(|(id, _)| id.clone()).collect();
        let overrides = self.by_hand(overrides, org, *tidy, &ids);
        let mut command = CreateStatusPage::new(valid(name), valid(SLUGS[*slug]));
        command.published = *published;
        command.timezone = ZONES[*zone].to_owned();
        command.component_ids = ids.iter().map(|id| valid(id)).collect();
        command.overrides = statuses(&overrides);
        let new = PageInput {
            name: Some(name.clone()),
            slug: Some(*slug),
            published: Some(*published),
            zone: Some(*zone),
            components: Some(components),
            overrides: Some(overrides),
        };
        let (now, free) = (self.now(), self.slug_is_free(Some(*slug), None));
        let expected = self.orgs[org].create_page(me, now, &new, free);
        if let Some((made, index)) = agree(self.subject().execute(command, actor), expected, op) {
            let model = &mut self.orgs[org];
            model.pages[index].id = made.id.to_string();
            assert_eq!(shown(&made), model.shown_page(&model.pages[index]));
        }
    }

    fn edit_status_page(&mut self, op: &StatusPageOp, org: usize, me: usize, actor: &Actor) {
        let StatusPageOp::Edit { page, name, slug, published, zone, components, overrides, tidy } = op else {
            panic!("not an edit: {op:?}")
        };
        let (id, index) = self.status_page(*page, org);
        let live = |index: usize| !self.orgs[org].components[index].deleted;
        let components = components.as_ref().map(|components| self.listed(components, org, *tidy, live));
        let model = &self.orgs[org];
        let before = index.map(|index| model.pages[index].components.as_slice()).unwrap_or_default();
        let before = before.iter().map(|component| model.components[*component].id.clone());
        let ids = match &components {
            Some(components) => components.iter().map(|(id, _)| id.clone()).collect(),
            None => before.collect::<Vec<_>>(),
        };
        let overrides = overrides.as_ref().map(|overrides| self.by_hand(overrides, org, *tidy, &ids));
        let command = EditStatusPage {
            id,
            name: name.as_deref().map(valid),
            slug: slug.map(|slug| valid(SLUGS[slug])),
            published: *published,
            timezone: zone.map(|zone| ZONES[zone].to_owned()),
            component_ids: components.as_ref().map(|list| list.iter().map(|(id, _)| valid(id)).collect()),
            overrides: overrides.as_deref().map(statuses),
        };
        let (slug, published, zone) = (*slug, *published, *zone);
        let new = PageInput { name: name.clone(), slug, published, zone, components, overrides };
        let (now, free) = (self.now(), self.slug_is_free(slug, index.map(|index| (org, index))));
        let expected = self.orgs[org].edit_page_settings(me, now, index, &new, free);
        if let Some((edited, index)) = agree(self.subject().execute(command, actor), expected, op) {
            let model = &self.orgs[org];
            assert_eq!(shown(&edited), model.shown_page(&model.pages[index]));
        }
    }

    fn announce(&mut self, op: &StatusPageOp, org: usize, me: usize, actor: &Actor) {
        let StatusPageOp::Announce { page, title, description, components, starts, length, tidy } = op else {
            panic!("not announced: {op:?}")
        };
        let (status_page_id, index) = self.status_page(*page, org);
        let components = self.listed(components, org, *tidy, |it| self.is_shown(org, index, it));
        let now = self.now();
        let starts = now + starts * MINUTE;
        let ends = starts + length * MINUTE;
        let command = CreateMaintenance {
            status_page_id,
            title: valid(title),
            description: description.as_deref().map(valid),
            component_ids: components.iter().map(|(id, _)| valid(id)).collect(),
            starts_at: Timestamp::clamped(starts),
            ends_at: Timestamp::clamped(ends),
        };
        let new = MaintenanceInput {
            title: Some(title.clone()),
            description: Some(description.clone()),
            components: Some(components),
            starts: Some(starts),
            ends: Some(ends),
        };
        let expected = self.orgs[org].announce(me, now, index, &new);
        if let Some((made, index)) = agree(self.subject().execute(command, actor), expected, op) {
            let model = &mut self.orgs[org];
            model.maintenances[index].id = made.id.to_string();
            self.compare_maintenance(org, index, &made);
        }
    }

    fn change_maintenance(&mut self, op: &StatusPageOp, org: usize, me: usize, actor: &Actor) {
        let StatusPageOp::Change { maintenance, page, title, description, components, starts, ends, tidy } = op else {
            panic!("not a change: {op:?}")
        };
        let ((status_page_id, id), places) = self.maintenance(*maintenance, *page, org);
        let shown = |it: usize| self.is_shown(org, places.0, it);
        let components = components.as_ref().map(|components| self.listed(components, org, *tidy, shown));
        let now = self.now();
        let at = |minutes: &i64| now + minutes * MINUTE;
        let (starts, ends) = (starts.as_ref().map(at), ends.as_ref().map(at));
        let command = EditMaintenance {
            title: title.as_deref().map(valid),
            description: patch(description),
            component_ids: components.as_ref().map(|list| list.iter().map(|(id, _)| valid(id)).collect()),
            starts_at: starts.map(Timestamp::clamped),
            ends_at: ends.map(Timestamp::clamped),
            ..EditMaintenance::new(status_page_id, id)
        };
        let description = match &command.description {
            Patch::Keep => None,
            Patch::Clear => Some(None),
            Patch::Set(text) => Some(Some(text.to_string())),
        };
        let new = MaintenanceInput { title: title.clone(), description, components, starts, ends };
        let expected = self.orgs[org].change_maintenance(me, now, places, &new);
        if let Some((changed, index)) = agree(self.subject().execute(command, actor), expected, op) {
            self.compare_maintenance(org, index, &changed);
        }
    }

    fn is_shown(&self, org: usize, page: Option<usize>, component: usize) -> bool {
        page.is_some_and(|page| self.orgs[org].pages[page].components.contains(&component))
    }

    fn compare_maintenance(&self, org: usize, index: usize, got: &MaintenanceView) {
        let model = &self.orgs[org];
        let expected = &model.maintenances[index];
        assert_eq!(got.status_page_id.to_string(), model.pages[expected.page].id);
        assert_eq!(shown_maintenance(got), model.shown_maintenance(expected, true));
    }

    /// Compares with the model what anybody sees under a slug.
    fn compare_public(&self, slug: usize) {
        let now = self.now();
        let shown = |page: &PageModel| page.slug == slug && page.published && !page.deleted;
        let place = |model: &Org| model.pages.iter().position(shown);
        let found = self.orgs.iter().enumerate().find_map(|(org, model)| Some((org, place(model)?)));
        let got = self.subject().query(&ShowStatusPage::new(valid(SLUGS[slug]), self.subject().now()), &Actor::Anybody);
        let expected: Expected<_> = found.ok_or("not_found");
        let Some((got, (org, index))) = agree(got, expected, &SLUGS[slug]) else { return };
        let model = &self.orgs[org];
        assert_eq!(public(&got), model.shown_public(index, now));
        assert!(millis(got.page.updated_at) >= model.pages[index].updated);
        for (component, got) in model.pages[index].components.iter().zip(&got.components) {
            let expected = model.shown_days(index, *component, now);
            assert_eq!((got.days.len(), expected.len()), (90, 90));
            for (got, (date, expected)) in got.days.iter().zip(expected) {
                assert_eq!(got.date.to_string(), date);
                assert_eq!(
                    got.worst.map(ComponentStatus::as_str),
                    expected.map(|(worst, _)| COMPONENT_STATUSES[worst])
                );
                assert_eq!(got.uptime.is_some(), expected.is_some());
                if let (Some(got), Some((_, expected))) = (got.uptime, expected) {
                    let apart = (f64::from(got.millionths()) / 1_000_000.0 - expected).abs();
                    assert!(apart < 0.000_001, "{date}: {got:?}, and should be {expected}");
                }
            }
        }
    }

    pub(super) fn compare_status_pages(&self, org: usize, actor: &Actor) {
        let model = &self.orgs[org];
        let mut expected: Vec<_> = model.pages.iter().enumerate().filter(|(_, page)| !page.deleted).collect();
        // An id begins with the instant at which it was made.
        expected.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        let got = self.subject().query(&ListStatusPages, actor).unwrap();
        let texts: Vec<_> = expected.iter().map(|(_, page)| model.shown_page(page)).collect();
        assert_eq!(got.iter().map(shown).collect::<Vec<_>>(), texts);
        for ((place, _), page) in expected.into_iter().zip(&got) {
            assert_eq!(self.subject().query(&GetStatusPage::new(page.id), actor).unwrap(), *page);
            let here = |one: &&MaintenanceModel| one.page == place && one.phase != Phase::Gone;
            let mut maintenances: Vec<_> = model.maintenances.iter().filter(here).collect();
            maintenances.sort_by_key(|one| std::cmp::Reverse((one.starts, one.id.clone())));
            let listed = self.subject().query(&ListMaintenances::new(page.id), actor).unwrap();
            let texts: Vec<_> = maintenances.iter().map(|one| model.shown_maintenance(one, true)).collect();
            assert_eq!(listed.iter().map(shown_maintenance).collect::<Vec<_>>(), texts);
            for one in listed {
                let found = self.subject().query(&GetMaintenance::new(page.id, one.id), actor).unwrap();
                assert_eq!(found, one);
            }
        }
        (0..SLUGS.len()).for_each(|slug| self.compare_public(slug));
    }
}

fn statuses(overrides: &[(String, usize)]) -> Vec<StatusOverride> {
    let one = |(id, status): &(String, usize)| StatusOverride {
        component_id: valid(id),
        status: valid(COMPONENT_STATUSES[*status]),
    };
    overrides.iter().map(one).collect()
}

fn shown(page: &StatusPage) -> String {
    let components: Vec<_> = page.component_ids.iter().map(ToString::to_string).collect();
    let overrides = page.overrides.iter().map(|one| (one.component_id.to_string(), one.status.as_str()));
    format!(
        "{} of {} {:?} {} {} {} {components:?} {:?} {} {}",
        page.id,
        page.org_id,
        page.name.as_str(),
        page.slug,
        page.published,
        page.zone.name(),
        overrides.collect::<Vec<_>>(),
        millis(page.created_at),
        millis(page.updated_at),
    )
}

fn shown_maintenance(one: &MaintenanceView) -> String {
    let ids: Vec<_> = one.component_ids.iter().map(ToString::to_string).collect();
    let description = render::maybe(one.description.as_ref().map(|text| text.as_str()));
    let (starts, ends, created) = (millis(one.starts_at), millis(one.ends_at), millis(one.created_at));
    format!("{} {:?} {description} {starts} {ends} {created} {}", one.id, one.title.as_str(), ids.join(" "))
}

/// A public page as the text that the model expects, but for the days of its components.
fn public(page: &PublicPage) -> String {
    let head = &page.page;
    let mut text = format!("{} {:?} {} {}\n", head.id, head.name.as_str(), head.slug, head.zone.name());
    text += &format!("banner {}\n", page.banner);
    for one in &page.components {
        let description = render::maybe(one.description.as_ref().map(|text| text.as_str()));
        let label = render::maybe(one.group_label.as_ref().map(|text| text.as_str()));
        text += &format!("{} {:?} {description} {label} {}\n", one.id, one.name.as_str(), one.status);
    }
    text += "open\n";
    page.incidents.iter().for_each(|one| text += &public_incident(one));
    for day in &page.history {
        text += &format!("on {}\n", day.date);
        day.incidents.iter().for_each(|one| text += &public_incident(one));
    }
    page.maintenances.iter().for_each(|one| text += &public_maintenance(one));
    text + &format!("truncated {}\n", page.truncated)
}

fn public_incident(one: &ShownIncident) -> String {
    let components = one.components.iter().map(|it| format!("{}:{:?},", it.id, it.name.as_str()));
    let mut text = format!(
        "  {} {:?} {} {} {} {:?} {}",
        one.id,
        one.title.as_str(),
        one.severity,
        one.status,
        millis(one.created_at),
        one.resolved_at.map(millis),
        components.collect::<String>(),
    );
    for update in &one.updates {
        // The ids of status entries are not known.
        let id = if update.id.starts_with("sh_") { "sh" } else { &update.id };
        let status = update.status_change.map(|status| status.as_str());
        let body = render::maybe(update.body.as_ref().map(|body| body.as_str()));
        text += &format!("\n    {} {id} {status:?} {body} {}", millis(update.posted_at), update.redacted);
    }
    text + "\n"
}

fn public_maintenance(one: &ShownMaintenance) -> String {
    let components: String = one.components.iter().map(|it| format!("{}:{:?},", it.id, it.name.as_str())).collect();
    let description = render::maybe(one.description.as_ref().map(|text| text.as_str()));
    let (starts, ends, created) = (millis(one.starts_at), millis(one.ends_at), millis(one.created_at));
    let what = format!("{} {:?} {description} {starts} {ends} {created} ", one.id, one.title.as_str());
    format!("{} {what}{components}\n", one.state)
}
