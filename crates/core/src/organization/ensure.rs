//! Organizations of a program that has its own names for them.

use super::{Counts, Organization};
use crate::caller::ByOperator;
use crate::code::Code;
use crate::command::{Command, GlobalContext, seal};
use crate::error::Error;
use crate::id::OrgId;
use crate::text::{ExternalId, OrgName};
use crate::world::{Change, Write};

seal!(EnsureOrganization);

/// Makes sure that there is an organization with this external id and this name (contract, section 4). Operator only.
///
/// One that is there gets the name, if it has another. A new one has no member yet, and no API key is made:
/// [`EnsureMember`](crate::team::EnsureMember) adds members. The same again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnsureOrganization {
    /// The name that the embedding program has for it: 1–255 visible ASCII characters.
    pub external_id: ExternalId,
    /// Its name: 1–255 characters; several organizations may have the same.
    pub name: OrgName,
}

impl EnsureOrganization {
    /// An organization with this external id and this name.
    #[must_use]
    pub const fn new(external_id: ExternalId, name: OrgName) -> Self {
        Self { external_id, name }
    }
}

impl Command for EnsureOrganization {
    type Caller = ByOperator;
    type Reply = Organization;
    const CODES: &'static [Code] = &[];

    fn decide(self, _: ByOperator, cx: &mut GlobalContext<'_>) -> Result<Organization, Error> {
        let found = cx.global.organization_with(&self.external_id)?;
        let id: OrgId = found.unwrap_or_else(|| cx.ids.fresh(cx.now));
        cx.within(id, |cx| {
            let before = cx.world.organization()?;
            if before.is_some() != found.is_some() {
                return Err(Error::broken("an external id names an organization that is not there"));
            }
            let created_at = before.as_ref().map_or(cx.now, |before| before.created_at);
            let after = Organization { id, name: self.name, created_at, external_id: Some(self.external_id) };
            if before.is_none() {
                cx.write(Write::Counts(Change::created(Counts::empty(id))));
            }
            if before.as_ref() != Some(&after) {
                cx.write(Write::Organization(Change { before, after: Some(after.clone()) }));
            }
            Ok(after)
        })
    }
}
