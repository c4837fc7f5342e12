//! The stored form of components: a record by id, and an index of names. Deleted components keep their record, which says when
//! they were deleted, but not their name.

use std::sync::Arc;

use bincode::{Decode, Encode};
use dogwatch_core::component::{Component, ComponentPort};
use dogwatch_core::id::{ComponentId, Id};
use dogwatch_core::text::{Description, GroupLabel, Name};
use dogwatch_core::{Error, OrgId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

#[cfg(feature = "export")]
use super::json;
use super::text::{Reader, TextV1, gather};
use super::{Entity, Line, NamedV1, Raw, Row, Rows, text, timestamp};
use crate::record::{Corrupt, Stored};
use crate::table::Table;
use crate::tools::Verifier;
use crate::view::OrgView;

impl Table {
    /// Components by id, deleted ones included.
    pub(crate) const COMPONENT: Self = Self::new(b'c', "Component");
    /// Names of components that have not been deleted.
    pub(crate) const COMPONENT_NAME: Self = Self::new(b'n', "ComponentName");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[Table::COMPONENT, Table::COMPONENT_NAME];

/// The record of a component. Organization and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct ComponentV1 {
    name: String,
    pub(crate) description: Option<TextV1>,
    group_label: Option<String>,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    updated_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    deleted_at: Option<i64>,
}

impl Stored for ComponentV1 {
    const VERSION: u8 = 1;
}

impl Entity for Component {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let description = self.description.as_ref();
        let description = description.map(|text| TextV1::store(text.as_str(), self.org_id, self.id.to_bytes(), rows));
        let record = ComponentV1 {
            name: self.name.as_str().to_owned(),
            description: description.transpose()?,
            group_label: self.group_label.as_ref().map(|text| text.as_str().to_owned()),
            created_at: self.created_at.as_millis(),
            updated_at: self.updated_at.as_millis(),
            deleted_at: self.deleted_at.map(|at| at.as_millis()),
        };
        if self.is_live() {
            let named = NamedV1 { id: self.id.to_bytes() };
            rows.record(Table::COMPONENT_NAME.of(self.org_id, &[self.name.as_str().as_bytes()]), &named)?;
        }
        rows.record(Table::COMPONENT.record(self.org_id, self.id), &record)
    }

    fn check(&self, _: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.of(self.org_id).counts.components += u32::from(self.is_live());
    }
}

impl ComponentV1 {
    pub(crate) fn of(self, org: OrgId, id: ComponentId, read: Reader<'_>) -> Result<Component, Corrupt> {
        let description = self.description.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
        Ok(Component {
            id,
            org_id: org,
            name: text(Name::stored(self.name))?,
            description: description.map(|it| text(Description::new(it))).transpose()?,
            group_label: self.group_label.map(|it| text(GroupLabel::new(it))).transpose()?,
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
            deleted_at: self.deleted_at.map(timestamp).transpose()?,
        })
    }
}

/// The line of a component in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct ComponentLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ComponentId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: ComponentV1,
}

impl Line for ComponentLine {
    type Entity = Component;
    const TABLES: &'static [Table] = &[Table::COMPONENT];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, read: Reader<'_>) -> Result<Component, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), ComponentId::from_bytes(self.id), read)
    }

    fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        gather(&mut self.record.description, self.org, self.id, read)
    }
}

#[deny(clippy::missing_trait_methods)]
impl ComponentPort for OrgView<'_> {
    fn component(&self, id: ComponentId) -> Result<Option<Component>, Error> {
        let key = Table::COMPONENT.record(self.org, id);
        let component = self.cached(&key, |row: ComponentV1, read| row.of(self.org, id, read))?;
        Ok(component.map(Arc::unwrap_or_clone))
    }

    fn component_named(&self, name: &Name) -> Result<Option<ComponentId>, Error> {
        let named = self.store.record::<NamedV1>(&Table::COMPONENT_NAME.of(self.org, &[name.as_str().as_bytes()]))?;
        Ok(named.map(|named| ComponentId::from_bytes(named.id)))
    }

    fn components(&self) -> Result<Vec<Component>, Error> {
        self.named(Table::COMPONENT_NAME, |id| self.component(ComponentId::from_bytes(id)))
    }

    fn component_in_use(&self, id: ComponentId) -> Result<bool, Error> {
        let first = self.store.under(&Table::OPEN_BY_SEVERITY.record(self.org, id)).next();
        Ok(first.transpose()?.is_some())
    }
}
