//! How an organization begins: the operator creates it with its first admin.

use super::{Counts, Organization};
use crate::caller::{Actor, ByOperator};
use crate::checks::external_is_free;
use crate::code::Code;
use crate::command::{Command, GlobalContext, seal};
use crate::error::Error;
use crate::id::OrgId;
use crate::team::{Joined, Person, Role};
use crate::text::{EmailAddress, ExternalId, OrgName, PersonName};
use crate::world::{Change, Write};

seal!(CreateOrganization);

/// The reply to [`CreateOrganization`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationCreated {
    /// The organization.
    pub organization: Organization,
    /// Its first admin, with an API key whose secret is shown here and never again.
    pub admin: Joined,
}

impl OrganizationCreated {
    /// The first admin as the actor of further commands.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor::member(self.organization.id, self.admin.member.id)
    }
}

/// Creates an organization and its first admin, who gets an API key (contract, section 4). Operator only. Codes:
/// `name_conflict` (`external_id`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOrganization {
    /// The name of the organization: 1–255 characters; it need not be unique.
    pub name: OrgName,
    /// The e-mail address of the first admin: at most 320 characters.
    pub admin_email: EmailAddress,
    /// The first name of the first admin: 1–100 characters.
    pub first_name: PersonName,
    /// The last name of the first admin: 1–100 characters.
    pub last_name: PersonName,
    /// The name that an embedding program has for it: 1–255 visible ASCII characters, unique over the store.
    pub external_id: Option<ExternalId>,
    /// The name that an embedding program has for the first admin.
    pub admin_external_id: Option<ExternalId>,
}

impl CreateOrganization {
    /// An organization with this name, and its first admin: their e-mail address, first and last name.
    #[must_use]
    pub const fn new(name: OrgName, admin_email: EmailAddress, first_name: PersonName, last_name: PersonName) -> Self {
        Self { name, admin_email, first_name, last_name, external_id: None, admin_external_id: None }
    }
}

impl Command for CreateOrganization {
    type Caller = ByOperator;
    type Reply = OrganizationCreated;
    const CODES: &'static [Code] = &[Code::NameConflict];

    fn decide(self, _: ByOperator, cx: &mut GlobalContext<'_>) -> Result<OrganizationCreated, Error> {
        let org: OrgId = cx.ids.fresh(cx.now);
        let Self { name, admin_email: email, first_name, last_name, external_id, admin_external_id } = self;
        if let Some(external_id) = &external_id {
            external_is_free(cx.global.organization_with(external_id)?.is_some())?;
        }
        cx.within(org, |cx| {
            if cx.world.organization()?.is_some() {
                return Err(Error::broken("a fresh organization id is taken"));
            }
            let organization = Organization { id: org, name, created_at: cx.now, external_id };
            let admin =
                Person { email, first_name, last_name, role: Role::Admin, external_id: admin_external_id }.join(cx)?;
            let counts = Counts { members: 1, api_keys: 1, ..Counts::empty(org) };
            cx.write(Write::Organization(Change::created(organization.clone())));
            cx.write(Write::Counts(Change::created(counts)));
            Ok(OrganizationCreated { organization, admin })
        })
    }
}
