//! Joining an organization: what every way in has in common, and [`AddMember`], the operator's way.

use super::{Member, Role, TeamPort};
use crate::api_key::{self, NewApiKey};
use crate::caller::ByOperator;
use crate::checks::external_is_free;
use crate::code::Code;
use crate::command::{Command, Context, GlobalContext, seal};
use crate::error::Error;
use crate::id::OrgId;
use crate::organization::Counts;
use crate::text::{EmailAddress, ExternalId, PersonName};
use crate::world::{Change, Write};
use crate::{checks, limits};

seal!(AddMember);

/// A person who has just become a member, with an API key. The reply to [`AddMember`] and to
/// [`AcceptInvitation`](super::AcceptInvitation).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct Joined {
    /// The new member.
    pub member: Member,
    /// Their first key, with its secret, which is shown here and never again.
    pub api_key: NewApiKey,
}

/// Makes somebody a member without an invitation (contract, section 4). Operator only. Codes: `not_found` (organization),
/// `name_conflict` (e-mail, `external_id`), `limit_reached`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddMember {
    /// The organization that they join.
    pub org_id: OrgId,
    /// Their e-mail address: at most 320 characters.
    pub email: EmailAddress,
    /// Their first name: 1–100 characters.
    pub first_name: PersonName,
    /// Their last name: 1–100 characters.
    pub last_name: PersonName,
    /// The role that they will have.
    pub role: Role,
    /// The name that an embedding program has for them: 1–255 visible ASCII characters, unique in the organization.
    pub external_id: Option<ExternalId>,
}

impl AddMember {
    /// A new member of an organization: their e-mail address, first and last name, and role.
    #[must_use]
    pub const fn new(
        org_id: OrgId,
        email: EmailAddress,
        first_name: PersonName,
        last_name: PersonName,
        role: Role,
    ) -> Self {
        Self { org_id, email, first_name, last_name, role, external_id: None }
    }
}

impl Command for AddMember {
    type Caller = ByOperator;
    type Reply = Joined;
    const CODES: &'static [Code] = &[Code::NotFound, Code::NameConflict, Code::LimitReached];

    fn decide(self, _: ByOperator, cx: &mut GlobalContext<'_>) -> Result<Joined, Error> {
        let Self { org_id: org, email, first_name, last_name, role, external_id } = self;
        cx.within(org, |cx| {
            cx.world.organization()?.ok_or_else(|| Error::not_found("organization"))?;
            check_email(cx.world, &email)?;
            if let Some(external_id) = &external_id {
                external_is_free(cx.world.member_with(external_id)?.is_some())?;
            }
            cx.count(|counts| {
                check_seat(counts)?;
                counts.members += 1;
                counts.api_keys = counts.api_keys.saturating_add(1);
                Ok(())
            })?;
            Person { email, first_name, last_name, role, external_id }.join(cx)
        })
    }
}

/// A person about to become a member: what is known before they have an id.
pub(crate) struct Person {
    pub(crate) email: EmailAddress,
    pub(crate) first_name: PersonName,
    pub(crate) last_name: PersonName,
    pub(crate) role: Role,
    pub(crate) external_id: Option<ExternalId>,
}

impl Person {
    /// Makes them a member with a first API key. The caller counts both in the counts of the organization.
    pub(crate) fn join(self, cx: &mut Context<'_>) -> Result<Joined, Error> {
        let member = self.become_member(cx);
        let name = api_key::first_key_name()?;
        let api_key = api_key::issue(cx, member.id, name, None);
        Ok(Joined { member, api_key })
    }

    /// Makes them a member without an API key. The caller counts them in the counts of the organization.
    pub(crate) fn become_member(self, cx: &mut Context<'_>) -> Member {
        let member = Member {
            id: cx.ids.fresh(cx.now),
            org_id: cx.world.org_id(),
            email: self.email,
            first_name: self.first_name,
            last_name: self.last_name,
            image_url: None,
            external_id: self.external_id,
            role: self.role,
            joined_at: cx.now,
            removed_at: None,
        };
        cx.write(Write::Member(Change::created(member.clone())));
        member
    }
}

/// Refuses, with `name_conflict`, an e-mail address that a member or a pending invitation has.
pub(super) fn check_email(team: &(impl TeamPort + ?Sized), email: &EmailAddress) -> Result<(), Error> {
    if team.email_taken(email)? {
        return Err(Error::refused(Code::NameConflict, "a member or a pending invitation has this e-mail address"));
    }
    Ok(())
}

/// Refuses one more person, with `limit_reached`, when members and pending invitations fill the organization
/// ([`limits::MEMBERS`]). Nothing is counted.
pub(super) fn check_seat(counts: &Counts) -> Result<(), Error> {
    checks::one_more(&mut counts.members.saturating_add(counts.invitations), limits::MEMBERS, "members")
}
