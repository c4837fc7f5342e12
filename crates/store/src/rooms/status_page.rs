//! The stored form of status pages, their maintenances, and how components were on them.
//!
//! A page has a row in `Slug`, which is global, and one in `PageByComponent` for each component that it shows. A maintenance that is
//! not over has a timer beside those of escalation runs; one under way is indexed. How a component was is kept newest first, so its
//! present status is the first row. What pages show of incidents is indexed with the incidents.

use std::sync::Arc;

use bincode::{Decode, Encode};
use dogwatch_core::id::{ComponentId, Id, IncidentId, MaintenanceId, StatusPageId};
use dogwatch_core::incident::{Incident, IncidentUpdate, Severity};
use dogwatch_core::status_page::{
    ComponentStatus, Maintenance, MaintenanceState, StatusChange, StatusOverride, StatusPage, StatusPagePort,
};
use dogwatch_core::text::{Description, Name, Slug, Title};
use dogwatch_core::ticks::{Timer, Waiting};
use dogwatch_core::{Error, OrgId, Timestamp};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

use super::incident::timer_key;
#[cfg(feature = "export")]
use super::json;
use super::oncall::zone;
use super::text::{Reader, TextV1, gather};
use super::{Entity, Line, Raw, Row, Rows, by_byte, text, timestamp};
use crate::record::{Corrupt, Stored, decode};
use crate::table::{Table, instant};
use crate::tools::Verifier;
use crate::view::{OrgView, corrupt, id_at_end};

impl Table {
    /// Status pages.
    pub(crate) const STATUS_PAGE: Self = Self::new(b'5', "StatusPage");
    /// Slugs of all organizations.
    pub(crate) const SLUG: Self = Self::new(b'6', "Slug");
    /// Index of status pages by the components that they show.
    pub(crate) const PAGE_BY_COMPONENT: Self = Self::new(b'7', "PageByComponent");
    /// Maintenances, by page.
    pub(crate) const MAINTENANCE: Self = Self::new(b'8', "Maintenance");
    /// Index of the maintenances that are under way, by page.
    pub(crate) const UNDER_WAY: Self = Self::new(b'9', "UnderWay");
    /// How components were, by page and component, newest first.
    pub(crate) const STATUS_CHANGE: Self = Self::new(b'0', "StatusChange");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[
    Table::STATUS_PAGE,
    Table::SLUG,
    Table::PAGE_BY_COMPONENT,
    Table::MAINTENANCE,
    Table::UNDER_WAY,
    Table::STATUS_CHANGE,
];

/// The most bytes of a description that stay in the record of a maintenance, which may name 200 components.
const INLINE: usize = 256;

const fn status_byte(status: ComponentStatus) -> u8 {
    match status {
        ComponentStatus::Operational => 1,
        ComponentStatus::Maintenance => 2,
        ComponentStatus::Degraded => 3,
        ComponentStatus::PartialOutage => 4,
        ComponentStatus::MajorOutage => 5,
    }
}

/// The byte of a status, or 0 for none.
fn maybe_status_byte(status: Option<ComponentStatus>) -> u8 {
    status.map_or(0, status_byte)
}

fn maybe_status(byte: u8) -> Result<Option<ComponentStatus>, Corrupt> {
    if byte == 0 { Ok(None) } else { by_byte(&ComponentStatus::ALL, status_byte, byte).map(Some) }
}

#[cfg_attr(not(feature = "export"), allow(dead_code, reason = "for the words of an export"))]
pub(crate) const fn state_byte(state: MaintenanceState) -> u8 {
    match state {
        MaintenanceState::Scheduled => 1,
        MaintenanceState::UnderWay => 2,
        MaintenanceState::Over => 3,
    }
}

/// The word for the byte of a status: of 0, a hyphen.
#[cfg(feature = "export")]
pub(crate) fn status_word(byte: u8) -> Option<String> {
    let status = maybe_status(byte).ok()?;
    Some(status.map_or("-", ComponentStatus::as_str).to_owned())
}

/// The byte for a word that [`status_word`] gave.
#[cfg(feature = "export")]
pub(crate) fn word_status(word: &str) -> Option<u8> {
    if word == "-" { Some(0) } else { word.parse().ok().map(status_byte) }
}

pub(crate) fn slug_key(slug: &Slug) -> Vec<u8> {
    Table::SLUG.key(&[slug.as_str().as_bytes()])
}

fn maintenance_key(org: OrgId, page: StatusPageId, id: MaintenanceId) -> Vec<u8> {
    Table::MAINTENANCE.of(org, &[&page.to_bytes(), &id.to_bytes()])
}

fn changes_key(org: OrgId, page: StatusPageId, component: ComponentId) -> Vec<u8> {
    Table::STATUS_CHANGE.of(org, &[&page.to_bytes(), &component.to_bytes()])
}

fn change_key(it: &StatusChange) -> Vec<u8> {
    let mut key = changes_key(it.org_id, it.status_page_id, it.component_id);
    key.extend(instant(it.at).map(|byte| !byte));
    key
}

/// Where the page with a slug is.
#[derive(Debug, Encode, Decode)]
pub(crate) struct SlugV1 {
    org: Raw,
    page: Raw,
}

impl Stored for SlugV1 {
    const VERSION: u8 = 1;
}

impl SlugV1 {
    pub(crate) fn of(self) -> (OrgId, StatusPageId) {
        (OrgId::from_bytes(self.org), StatusPageId::from_bytes(self.page))
    }
}

/// The record of a status page. Organization and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct StatusPageV1 {
    name: String,
    slug: String,
    published: bool,
    zone: String,
    #[cfg_attr(feature = "export", serde(with = "json::IdsForm::<ComponentId>"))]
    components: Vec<[u8; 16]>,
    /// For each component the status that is set by hand, or 0. Short, so that a page with 200 components fits into one row.
    #[cfg_attr(feature = "export", serde(with = "json::component_status::list"))]
    overrides: Vec<u8>,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    updated_at: i64,
}

impl Stored for StatusPageV1 {
    const VERSION: u8 = 1;
}

impl Entity for StatusPage {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let by_hand = |id: &ComponentId| maybe_status_byte(self.status_override(*id));
        let record = StatusPageV1 {
            name: self.name.as_str().to_owned(),
            slug: self.slug.as_str().to_owned(),
            published: self.published,
            zone: self.zone.name().to_owned(),
            components: self.component_ids.iter().map(|id| id.to_bytes()).collect(),
            overrides: self.component_ids.iter().map(by_hand).collect(),
            created_at: self.created_at.as_millis(),
            updated_at: self.updated_at.as_millis(),
        };
        for component in &self.component_ids {
            rows.index(Table::PAGE_BY_COMPONENT.of(self.org_id, &[&component.to_bytes(), &self.id.to_bytes()]));
        }
        rows.record(slug_key(&self.slug), &SlugV1 { org: self.org_id.to_bytes(), page: self.id.to_bytes() })?;
        rows.record(Table::STATUS_PAGE.record(self.org_id, self.id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        for component in &self.component_ids {
            verifier.need(key, &Table::COMPONENT.record(self.org_id, *component), "a component");
        }
    }
}

impl StatusPageV1 {
    fn of(self, org: OrgId, id: StatusPageId) -> Result<StatusPage, Corrupt> {
        let component_ids: Vec<_> = self.components.into_iter().map(ComponentId::from_bytes).collect();
        if self.overrides.len() != component_ids.len() {
            return Err(Corrupt::Value);
        }
        let mut overrides = Vec::new();
        for (component, byte) in component_ids.iter().zip(self.overrides) {
            let by_hand = |status| StatusOverride { component_id: *component, status };
            overrides.extend(maybe_status(byte)?.map(by_hand));
        }
        Ok(StatusPage {
            id,
            org_id: org,
            name: text(Name::new(self.name))?,
            slug: text(Slug::new(self.slug))?,
            published: self.published,
            zone: zone(&self.zone)?,
            component_ids,
            overrides,
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
        })
    }
}

/// The record of a maintenance. Organization, page and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct MaintenanceV1 {
    title: String,
    description: Option<TextV1>,
    #[cfg_attr(feature = "export", serde(with = "json::IdsForm::<ComponentId>"))]
    components: Vec<[u8; 16]>,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    starts_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    ends_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    updated_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::maintenance_state"))]
    state: u8,
}

impl Stored for MaintenanceV1 {
    const VERSION: u8 = 1;
}

impl Entity for Maintenance {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let (org, page) = (self.org_id, self.status_page_id);
        let description = self.description.as_ref();
        let description =
            description.map(|text| TextV1::store_within(INLINE, text.as_str(), org, self.id.to_bytes(), rows));
        let record = MaintenanceV1 {
            title: self.title.as_str().to_owned(),
            description: description.transpose()?,
            components: self.component_ids.iter().map(|id| id.to_bytes()).collect(),
            starts_at: self.starts_at.as_millis(),
            ends_at: self.ends_at.as_millis(),
            created_at: self.created_at.as_millis(),
            updated_at: self.updated_at.as_millis(),
            state: state_byte(self.state),
        };
        if self.is_under_way() {
            rows.index(Table::UNDER_WAY.of(org, &[&page.to_bytes(), &self.id.to_bytes()]));
        }
        if let Some(due) = self.due() {
            rows.index(timer_key(&Timer { due, org_id: org, waiting: Waiting::Maintenance(page, self.id) }));
        }
        rows.record(maintenance_key(org, page, self.id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need(key, &Table::STATUS_PAGE.record(self.org_id, self.status_page_id), "a status page");
    }
}

impl MaintenanceV1 {
    fn of(self, org: OrgId, page: StatusPageId, id: MaintenanceId, read: Reader<'_>) -> Result<Maintenance, Corrupt> {
        let description = self.description.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
        Ok(Maintenance {
            id,
            org_id: org,
            status_page_id: page,
            title: text(Title::new(self.title))?,
            description: description.map(|it| text(Description::new(it))).transpose()?,
            component_ids: self.components.into_iter().map(ComponentId::from_bytes).collect(),
            starts_at: timestamp(self.starts_at)?,
            ends_at: timestamp(self.ends_at)?,
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
            state: by_byte(&MaintenanceState::ALL, state_byte, self.state)?,
        })
    }
}

/// The record of a component's status from an instant on. Organization, page, component and instant are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct StatusChangeV1 {
    /// The status, or 0 when the page does not show the component any more.
    #[cfg_attr(feature = "export", serde(with = "json::component_status"))]
    status: u8,
}

impl Stored for StatusChangeV1 {
    const VERSION: u8 = 1;
}

impl Entity for StatusChange {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        rows.record(change_key(self), &StatusChangeV1 { status: maybe_status_byte(self.status) })
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        // The page may have been deleted.
        verifier.need(key, &Table::COMPONENT.record(self.org_id, self.component_id), "a component");
    }
}

/// The line of a status page in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct StatusPageLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<StatusPageId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: StatusPageV1,
}

impl Line for StatusPageLine {
    type Entity = StatusPage;
    const TABLES: &'static [Table] = &[Table::STATUS_PAGE];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, _: Reader<'_>) -> Result<StatusPage, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), StatusPageId::from_bytes(self.id))
    }
}

/// The line of a maintenance in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct MaintenanceLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<StatusPageId>"))]
    page: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<MaintenanceId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: MaintenanceV1,
}

impl Line for MaintenanceLine {
    type Entity = Maintenance;
    const TABLES: &'static [Table] = &[Table::MAINTENANCE];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, page: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, read: Reader<'_>) -> Result<Maintenance, Corrupt> {
        let (page, id) = (StatusPageId::from_bytes(self.page), MaintenanceId::from_bytes(self.id));
        self.record.of(OrgId::from_bytes(self.org), page, id, read)
    }

    fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        gather(&mut self.record.description, self.org, self.id, read)
    }
}

/// The line of a component's status in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct StatusChangeLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<StatusPageId>"))]
    page: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ComponentId>"))]
    component: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    at: i64,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: StatusChangeV1,
}

impl Line for StatusChangeLine {
    type Entity = StatusChange;
    const TABLES: &'static [Table] = &[Table::STATUS_CHANGE];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        let (org, page, component) = (row.id()?, row.id()?, row.id()?);
        let at = i64::from_be_bytes(row.take::<8>()?.map(|byte| !byte));
        Ok(Some(Self { org, page, component, at, record: row.record()? }))
    }

    fn entity(self, _: Reader<'_>) -> Result<StatusChange, Corrupt> {
        Ok(StatusChange {
            org_id: OrgId::from_bytes(self.org),
            status_page_id: StatusPageId::from_bytes(self.page),
            component_id: ComponentId::from_bytes(self.component),
            at: timestamp(self.at)?,
            status: maybe_status(self.record.status)?,
        })
    }
}

impl OrgView<'_> {
    fn maintenance_at(&self, page: StatusPageId, key: &[u8], value: &[u8]) -> Result<Maintenance, Error> {
        let read = |key: &[u8]| self.read(key);
        let made = decode::<MaintenanceV1>(key, value);
        let made = made.and_then(|record| record.of(self.org, page, id_at_end(key)?, &read));
        made.map_err(|why| corrupt(key, why))
    }
}

#[deny(clippy::missing_trait_methods)]
impl StatusPagePort for OrgView<'_> {
    fn status_page(&self, id: StatusPageId) -> Result<Option<StatusPage>, Error> {
        let key = Table::STATUS_PAGE.record(self.org, id);
        let page = self.cached(&key, |row: StatusPageV1, _| row.of(self.org, id))?;
        Ok(page.map(Arc::unwrap_or_clone))
    }

    fn status_pages(&self) -> Result<Vec<StatusPage>, Error> {
        let prefix = Table::STATUS_PAGE.of(self.org, &[]);
        self.store.records(&prefix, |row: StatusPageV1, id| row.of(self.org, id))
    }

    fn page_with_slug(&self, slug: &Slug) -> Result<Option<StatusPageId>, Error> {
        Ok(self.store.record::<SlugV1>(&slug_key(slug))?.map(|place| place.of().1))
    }

    fn pages_showing(&self, component: ComponentId) -> Result<Vec<StatusPageId>, Error> {
        let rows = self.store.under(&Table::PAGE_BY_COMPONENT.record(self.org, component));
        let page = |key: &[u8]| id_at_end(key).map_err(|why| corrupt(key, why));
        rows.map(|pair| page(&pair?.0)).collect()
    }

    fn maintenance(&self, page: StatusPageId, id: MaintenanceId) -> Result<Option<Maintenance>, Error> {
        let key = maintenance_key(self.org, page, id);
        self.entity(&key, |row: MaintenanceV1| row.of(self.org, page, id, &|key| self.read(key)))
    }

    fn maintenances(&self, page: StatusPageId) -> Result<Vec<Maintenance>, Error> {
        let rows = self.store.under(&Table::MAINTENANCE.record(self.org, page));
        rows.map(|pair| pair.and_then(|(key, value)| self.maintenance_at(page, &key, &value))).collect()
    }

    fn maintenances_under_way(&self, page: StatusPageId) -> Result<Vec<Maintenance>, Error> {
        let rows = self.store.under(&Table::UNDER_WAY.record(self.org, page));
        let maintenance = |key: &[u8]| {
            let id = id_at_end(key).map_err(|why| corrupt(key, why))?;
            self.maintenance(page, id)?.ok_or_else(|| corrupt(key, Corrupt::Missing))
        };
        rows.map(|pair| maintenance(&pair?.0)).collect()
    }

    fn worst_open(&self, component: ComponentId, but: Option<IncidentId>) -> Result<Option<Severity>, Error> {
        self.worst_open_incident(component, but)
    }

    fn status_changes(
        &self,
        page: StatusPageId,
        component: ComponentId,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<StatusChange>, Error> {
        let mut changes = Vec::new();
        for pair in self.store.under(&changes_key(self.org, page, component)).take(limit) {
            let (key, value) = pair?;
            let mut row = Row::new(&key, &value, &|_| Ok(None)).map_err(|why| corrupt(&key, why))?;
            let line = StatusChangeLine::read(&mut row).and_then(|line| line.ok_or(Corrupt::Value));
            let change = line.and_then(|line| line.entity(&|_| Ok(None))).map_err(|why| corrupt(&key, why))?;
            changes.push(change);
            if since.is_some_and(|since| change.at <= since) {
                break;
            }
        }
        Ok(changes)
    }

    fn open_affecting(&self, components: &[ComponentId], limit: usize) -> Result<Vec<Arc<Incident>>, Error> {
        self.open_incidents_affecting(components, limit)
    }

    fn resolved_affecting(
        &self,
        components: &[ComponentId],
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Arc<Incident>>, Error> {
        self.resolved_incidents_affecting(components, since, limit)
    }

    fn public_updates(&self, incident: IncidentId, limit: usize) -> Result<Vec<IncidentUpdate>, Error> {
        self.public_updates_of(incident, limit)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests panic when they fail")]
    use super::*;
    use dogwatch_core::Zone;

    /// The largest page and the largest maintenance fit into their rows.
    #[test]
    fn the_largest_fit() {
        let components: Vec<_> = (0..200).map(|n| ComponentId::from_bytes([n; 16])).collect();
        let by_hand = |id: &ComponentId| StatusOverride { component_id: *id, status: ComponentStatus::MajorOutage };
        let page = StatusPage {
            id: StatusPageId::from_bytes([255; 16]),
            org_id: OrgId::from_bytes([255; 16]),
            name: Name::new("𝄞".repeat(Name::MAX)).unwrap(),
            slug: Slug::new("a".repeat(63)).unwrap(),
            published: true,
            zone: Zone::new("America/Argentina/ComodRivadavia").unwrap(),
            overrides: components.iter().map(by_hand).collect(),
            component_ids: components.clone(),
            created_at: Timestamp::MAX,
            updated_at: Timestamp::MAX,
        };
        let mut rows = Rows::default();
        page.rows(&mut rows).unwrap();
        let (key, value) = rows.into_pairs().find(|(key, _)| key[0] == Table::STATUS_PAGE.tag()).unwrap();
        let read = decode::<StatusPageV1>(&key, &value).unwrap().of(page.org_id, page.id);
        assert_eq!(read, Ok(page));

        for description in ["", "𝄞"] {
            let maintenance = Maintenance {
                id: MaintenanceId::from_bytes([254; 16]),
                org_id: OrgId::from_bytes([255; 16]),
                status_page_id: StatusPageId::from_bytes([255; 16]),
                title: Title::new("𝄞".repeat(Title::MAX)).unwrap(),
                description: Some(Description::new(description.repeat(1_000)).unwrap()),
                component_ids: components.clone(),
                starts_at: Timestamp::MIN,
                ends_at: Timestamp::MAX,
                created_at: Timestamp::MAX,
                updated_at: Timestamp::MAX,
                state: MaintenanceState::UnderWay,
            };
            let mut rows = Rows::default();
            maintenance.rows(&mut rows).unwrap();
            let rows: std::collections::BTreeMap<_, _> = rows.into_pairs().collect();
            let key = maintenance_key(maintenance.org_id, maintenance.status_page_id, maintenance.id);
            let read = decode::<MaintenanceV1>(&key, &rows[&key]).unwrap();
            let reader = |key: &[u8]| Ok(rows.get(key).cloned());
            let read = read.of(maintenance.org_id, maintenance.status_page_id, maintenance.id, &reader);
            assert_eq!(read, Ok(maintenance));
        }
    }

    /// Later changes sort first, and an instant survives its key.
    #[test]
    fn the_newest_change_is_first() {
        let at = |millis| StatusChange {
            org_id: OrgId::from_bytes([1; 16]),
            status_page_id: StatusPageId::from_bytes([2; 16]),
            component_id: ComponentId::from_bytes([3; 16]),
            at: Timestamp::from_millis(millis).unwrap(),
            status: None,
        };
        for (earlier, later) in [(0, 1), (255, 256), (1_775_556_000_000, 253_402_300_799_999)] {
            assert!(change_key(&at(later)) < change_key(&at(earlier)));
            let mut rows = Rows::default();
            at(later).rows(&mut rows).unwrap();
            let (key, value) = rows.into_pairs().next().unwrap();
            let mut row = Row::new(&key, &value, &|_| Ok(None)).unwrap();
            let read = StatusChangeLine::read(&mut row).unwrap().unwrap().entity(&|_| Ok(None));
            assert_eq!(read, Ok(at(later)));
        }
    }
}
