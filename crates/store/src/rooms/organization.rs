//! The stored form of organizations, and of the counts of their entities, by which limits are checked.

use bincode::{Decode, Encode};
use dogwatch_core::id::Id;
use dogwatch_core::organization::{Counts, Organization, OrganizationPort};
use dogwatch_core::text::{ExternalId, OrgName};
use dogwatch_core::{Error, OrgId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

#[cfg(feature = "export")]
use super::json;
use super::text::Reader;
use super::{Entity, Line, NamedV1, Raw, Row, Rows, text, timestamp};
use crate::record::{Corrupt, Stored, unpack};
use crate::table::Table;
use crate::tools::Verifier;
use crate::view::OrgView;

impl Table {
    /// Organizations by id.
    pub(crate) const ORGANIZATION: Self = Self::new(b'O', "Organization");
    /// Organizations by external id.
    pub(crate) const ORGANIZATION_BY_EXTERNAL_ID: Self = Self::new(b'W', "OrganizationByExternalId");
    /// The counts of entities, one row for each organization.
    pub(crate) const COUNTS: Self = Self::new(b't', "Counts");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[Table::ORGANIZATION, Table::ORGANIZATION_BY_EXTERNAL_ID, Table::COUNTS];

/// The record of an organization. Its id is in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct OrganizationV1 {
    name: String,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
}

/// The record of an organization in version 2: that of version 1, and the external id.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct OrganizationV2 {
    #[cfg_attr(feature = "export", serde(flatten))]
    base: OrganizationV1,
    #[cfg_attr(feature = "export", serde(default, skip_serializing_if = "Option::is_none"))]
    external_id: Option<String>,
}

impl Stored for OrganizationV2 {
    const VERSION: u8 = 2;

    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        if version == 1 { Ok(Self { base: unpack(payload)?, external_id: None }) } else { Err(Corrupt::Version) }
    }
}

/// The key of the index row of an organization's external id.
pub(crate) fn organization_by_external_id(external_id: &ExternalId) -> Vec<u8> {
    Table::ORGANIZATION_BY_EXTERNAL_ID.key(&[external_id.as_str().as_bytes()])
}

impl Entity for Organization {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let base = OrganizationV1 { name: self.name.as_str().to_owned(), created_at: self.created_at.as_millis() };
        let external_id = self.external_id.as_ref().map(|id| id.as_str().to_owned());
        let record = OrganizationV2 { base, external_id };
        if let Some(external_id) = &self.external_id {
            rows.record(organization_by_external_id(external_id), &NamedV1 { id: self.id.to_bytes() })?;
        }
        rows.record(Table::ORGANIZATION.key(&[&self.id.to_bytes()]), &record)
    }

    fn check(&self, _: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.of(self.id).exists = true;
    }
}

impl OrganizationV2 {
    pub(crate) fn of(self, id: OrgId) -> Result<Organization, Corrupt> {
        Ok(Organization {
            id,
            name: text(OrgName::stored(self.base.name))?,
            created_at: timestamp(self.base.created_at)?,
            external_id: self.external_id.map(ExternalId::new).map(text).transpose()?,
        })
    }
}

/// The line of an organization in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct OrganizationLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: OrganizationV2,
}

impl Line for OrganizationLine {
    type Entity = Organization;
    const TABLES: &'static [Table] = &[Table::ORGANIZATION];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { id: row.id()?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<Organization, Corrupt> {
        self.record.of(OrgId::from_bytes(self.id))
    }
}

/// The counts of an organization in record version 1, without policies. `incidents` is the last `sequentialId`.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct CountsV1 {
    incidents: u64,
    members: u32,
    invitations: u32,
    components: u32,
    api_keys: u32,
    schedules: u32,
}

/// The counts of an organization in record version 2: those of version 1, and the policies.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct CountsV2 {
    #[cfg_attr(feature = "export", serde(flatten))]
    tally: CountsV1,
    policies: u32,
}

impl Stored for CountsV2 {
    const VERSION: u8 = 2;

    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        if version == 1 { Ok(Self { tally: unpack(payload)?, policies: 0 }) } else { Err(Corrupt::Version) }
    }
}

impl Entity for Counts {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let tally = CountsV1 {
            incidents: self.incidents,
            members: self.members,
            invitations: self.invitations,
            components: self.components,
            api_keys: self.api_keys,
            schedules: self.schedules,
        };
        let record = CountsV2 { tally, policies: self.policies };
        rows.record(Table::COUNTS.of(self.org_id, &[]), &record)
    }

    fn check(&self, _: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.of(self.org_id).stored = Some(*self);
    }
}

impl CountsV2 {
    pub(crate) const fn of(self, org: OrgId) -> Counts {
        let Self { tally, policies } = self;
        Counts {
            org_id: org,
            incidents: tally.incidents,
            members: tally.members,
            invitations: tally.invitations,
            components: tally.components,
            api_keys: tally.api_keys,
            schedules: tally.schedules,
            policies,
        }
    }
}

/// The line of the counts of an organization in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct CountsLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: CountsV2,
}

impl Line for CountsLine {
    type Entity = Counts;
    const TABLES: &'static [Table] = &[Table::COUNTS];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<Counts, Corrupt> {
        Ok(self.record.of(OrgId::from_bytes(self.org)))
    }
}

#[deny(clippy::missing_trait_methods)]
impl OrganizationPort for OrgView<'_> {
    fn org_id(&self) -> OrgId {
        self.org
    }

    fn organization(&self) -> Result<Option<Organization>, Error> {
        self.entity(&Table::ORGANIZATION.of(self.org, &[]), |row: OrganizationV2| row.of(self.org))
    }

    fn counts(&self) -> Result<Counts, Error> {
        let counts = self.entity(&Table::COUNTS.of(self.org, &[]), |row: CountsV2| Ok(row.of(self.org)))?;
        Ok(counts.unwrap_or(Counts::empty(self.org)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{decode, encode};

    impl Stored for CountsV1 {
        const VERSION: u8 = 1;
    }

    /// Counts of format 1 are read as those of an organization without policies.
    #[test]
    fn counts_of_format_1() {
        let org = OrgId::from_bytes([1; 16]);
        let key = Table::COUNTS.of(org, &[]);
        let old = CountsV1 { incidents: 1, members: 2, invitations: 3, components: 4, api_keys: 5, schedules: 6 };
        let read: CountsV2 = decode(&key, &encode(&key, &old).unwrap()).unwrap();
        let expected = Counts {
            incidents: 1,
            members: 2,
            invitations: 3,
            components: 4,
            api_keys: 5,
            schedules: 6,
            policies: 0,
            org_id: org,
        };
        assert_eq!(read.of(org), expected);
    }
}
