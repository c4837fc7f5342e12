//! Organizations: the walls within which everything else lives, and their counts (contract, section 4).

mod create;

pub use create::{CreateOrganization, OrganizationCreated};

use crate::error::Error;
use crate::id::OrgId;
use crate::text::OrgName;
use crate::time::Timestamp;

/// An organization: the wall within which everything else lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Names the organization.
    pub id: OrgId,
    /// What it is called.
    pub name: OrgName,
    /// When it was created.
    pub created_at: Timestamp,
}

/// How many of each limited thing an organization has, and its last incident number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Whose counts these are.
    pub org_id: OrgId,
    /// Incidents ever created; also the last `sequentialId`.
    pub incidents: u64,
    /// Members who have not been removed.
    pub members: u32,
    /// Invitations that are pending.
    pub invitations: u32,
    /// Components that have not been deleted.
    pub components: u32,
    /// API keys that have not been revoked.
    pub api_keys: u32,
    /// On-call schedules.
    pub schedules: u32,
    /// Escalation policies.
    pub policies: u32,
}

impl Counts {
    /// The counts of an organization without anything.
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
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The cost of each is that of its answer,
/// however much else there is.
pub trait OrganizationPort {
    /// Which organization this is.
    fn org_id(&self) -> OrgId;
    /// The organization itself, if it exists.
    fn organization(&self) -> Result<Option<Organization>, Error>;
    /// Its counts.
    fn counts(&self) -> Result<Counts, Error>;
}
