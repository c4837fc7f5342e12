//! Members of a program that has its own names for them.

use super::join::{Person, check_email, check_seat};
use super::{Member, Role};
use crate::caller::ByOperator;
use crate::code::Code;
use crate::command::{Command, Context, GlobalContext, seal};
use crate::error::Error;
use crate::text::{EmailAddress, ExternalId, PersonName};
use crate::world::{Change, Write};

seal!(EnsureMember);

/// Makes sure that an organization has a member with this external id, this e-mail address, these names and this role (contract,
/// section 4). Operator only. Codes, in the order of the checks: `not_found` (organization), `name_conflict` (e-mail),
/// `limit_reached`, `validation_error` (the last admin stays one).
///
/// A member who has the external id gets the rest. Nobody having it, a member with the e-mail address and no external id gets it
/// and the rest; else somebody becomes a member. No API key is made. The same again changes nothing. Who has been removed
/// becomes a member again, as another user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnsureMember {
    /// The external id of the organization.
    pub organization: ExternalId,
    /// The name that the embedding program has for the member: 1–255 visible ASCII characters.
    pub external_id: ExternalId,
    /// Their e-mail address: at most 320 characters.
    pub email: EmailAddress,
    /// Their first name: 1–100 characters.
    pub first_name: PersonName,
    /// Their last name: 1–100 characters.
    pub last_name: PersonName,
    /// Their role.
    pub role: Role,
}

impl EnsureMember {
    /// A member of an organization: their external id, e-mail address, first and last name. Their role is `org:member`.
    #[must_use]
    pub const fn new(
        organization: ExternalId,
        external_id: ExternalId,
        email: EmailAddress,
        first_name: PersonName,
        last_name: PersonName,
    ) -> Self {
        Self { organization, external_id, email, first_name, last_name, role: Role::Member }
    }

    /// The same as an admin, with the role `org:admin`.
    #[must_use]
    pub fn admin(self) -> Self {
        Self { role: Role::Admin, ..self }
    }

    /// The present member who it is about, if there is one.
    fn present(&self, cx: &Context<'_>) -> Result<Option<Member>, Error> {
        if let Some(user) = cx.world.member_with(&self.external_id)? {
            return cx.world.member(user);
        }
        if !cx.world.email_taken(&self.email)? {
            return Ok(None);
        }
        let folded = self.email.folded();
        let same = |member: &Member| member.email.folded() == folded && member.external_id.is_none();
        Ok(cx.world.members()?.into_iter().find(same))
    }
}

impl Command for EnsureMember {
    type Caller = ByOperator;
    type Reply = Member;
    const CODES: &'static [Code] = &[Code::NotFound, Code::NameConflict, Code::LimitReached, Code::Validation];

    fn decide(self, _: ByOperator, cx: &mut GlobalContext<'_>) -> Result<Member, Error> {
        let org = cx.global.organization_with(&self.organization)?;
        let org = org.ok_or_else(|| Error::refused(Code::NotFound, "no organization with this external id"))?;
        cx.within(org, |cx| {
            let before = self.present(cx)?;
            if before.as_ref().is_none_or(|before| before.email.folded() != self.email.folded()) {
                check_email(cx.world, &self.email)?;
            }
            let Self { external_id, email, first_name, last_name, role, .. } = self;
            let Some(before) = before else {
                cx.count(|counts| {
                    check_seat(counts)?;
                    counts.members += 1;
                    Ok(())
                })?;
                return Ok(
                    Person { email, first_name, last_name, role, external_id: Some(external_id) }.become_member(cx)
                );
            };
            if before.role == Role::Admin && role != Role::Admin {
                let another = |member: &Member| member.role == Role::Admin && member.id != before.id;
                if !cx.world.members()?.iter().any(another) {
                    return Err(Error::invalid("role", "must stay `org:admin`: nobody else is an admin"));
                }
            }
            let after = Member { email, first_name, last_name, role, external_id: Some(external_id), ..before.clone() };
            if after != before {
                cx.write(Write::Member(Change::edited(before, after.clone())));
            }
            Ok(after)
        })
    }
}
