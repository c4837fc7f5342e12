//! Organizations: everything else belongs to one of them, and nothing of one is seen in another (contract, sections 2 and 4).
//!
//! The operator creates an organization with its first admin ([`CreateOrganization`]); from then on, its admins run it. A program
//! that has organizations of its own makes sure that each is there ([`EnsureOrganization`]). An organization has [`Counts`] of everything that the contract's section 11 limits.
//!
//! Its people are in [`crate::team`], the keys with which they call the API in [`crate::api_key`].

mod create;
mod ensure;

pub use create::{CreateOrganization, OrganizationCreated};
pub use ensure::EnsureOrganization;

use crate::error::Error;
use crate::id::OrgId;
use crate::text::{ExternalId, OrgName};
use crate::time::Timestamp;

/// An organization as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct Organization {
    /// The organization's id: `org_` and 32 hexadecimal digits.
    pub id: OrgId,
    /// Its name: 1–255 characters; several organizations may have the same.
    pub name: OrgName,
    /// When it was created.
    pub created_at: Timestamp,
    /// The name that an embedding program has for it: 1–255 visible ASCII characters, unique over the store.
    pub external_id: Option<ExternalId>,
}

/// How many of each limited thing an organization has (contract, section 11), and the number of its last incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// The organization that these are the counts of.
    pub org_id: OrgId,
    /// The incidents ever created, which is also the `sequentialId` of the last one.
    pub incidents: u64,
    /// The members who have not been removed.
    pub members: u32,
    /// The pending invitations. With the members they fill the seats of the organization ([`crate::limits::MEMBERS`]).
    pub invitations: u32,
    /// The components that have not been deleted.
    pub components: u32,
    /// The API keys of all members that have not been revoked. The limit is not on these, but on the keys of each member.
    pub api_keys: u32,
    /// The on-call schedules.
    pub schedules: u32,
    /// The escalation policies.
    pub policies: u32,
}

impl Counts {
    /// The counts of an organization with nothing in it.
    #[must_use]
    pub const fn empty(org: OrgId) -> Self {
        Self {
            org_id: org,
            incidents: 0,
            members: 0,
            invitations: 0,
            components: 0,
            api_keys: 0,
            schedules: 0,
            policies: 0,
        }
    }
}

/// An organization and its counts, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait OrganizationPort {
    /// The id of this organization.
    fn org_id(&self) -> OrgId;
    /// The organization itself, if it exists.
    fn organization(&self) -> Result<Option<Organization>, Error> {
        Ok(None)
    }
    /// The counts of the organization; all zero if it does not exist.
    fn counts(&self) -> Result<Counts, Error>;
}
