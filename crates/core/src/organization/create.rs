//! What the operator does: create an organization with its first admin, and add members directly.

use super::keys::NewApiKey;
use super::{Member, Organization, Role, invitations, keys};
use crate::actor::{Access, Actor};
use crate::command::{Command, Context};
use crate::error::Error;
use crate::id::{IdSource, OrgId};
use crate::text::{EmailAddress, OrgName, PersonName};
use crate::time::Timestamp;
use crate::world::{Change, Root, Tally, Write};

/// A person who has just become a member, with an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The member.
    pub member: Member,
    /// Their first key, with its secret.
    pub api_key: NewApiKey,
}

/// The reply to [`CreateOrganization`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationCreated {
    /// The organization.
    pub organization: Organization,
    /// Its first admin, with an API key.
    pub admin: Joined,
}

impl OrganizationCreated {
    /// The first admin as an actor.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor::member(self.organization.id, self.admin.member.id)
    }
}

/// Creates an organization and its first admin. Operator only.
#[derive(Debug, Clone)]
pub struct CreateOrganization {
    /// What it is called.
    pub name: OrgName,
    /// The e-mail of the first admin.
    pub admin_email: EmailAddress,
    /// The first name of the first admin.
    pub first_name: PersonName,
    /// The last name of the first admin.
    pub last_name: PersonName,
}

impl Command for CreateOrganization {
    type Reply = OrganizationCreated;
    const ACCESS: Access = Access::Operator;

    fn place(&self, _: &Actor, _: &dyn Root, now: Timestamp, ids: &mut IdSource) -> Result<OrgId, Error> {
        Ok(ids.fresh(now))
    }

    fn decide(self, cx: &mut Context<'_>) -> Result<OrganizationCreated, Error> {
        let org = cx.world.org_id();
        if cx.world.organization()?.is_some() {
            return Err(Error::broken("a fresh organization id is taken"));
        }
        let organization = Organization { id: org, name: self.name, created_at: cx.now };
        let person =
            Person { email: self.admin_email, first: self.first_name, last: self.last_name, role: Role::Admin };
        let admin = person.join(cx)?;
        let tally = Tally { members: 1, api_keys: 1, ..Tally::empty(org) };
        cx.write(Write::Organization(Change::created(organization.clone())));
        cx.write(Write::Tally(Change::created(tally)));
        Ok(OrganizationCreated { organization, admin })
    }
}

/// Makes somebody a member without an invitation. Operator only. Codes: `not_found` (organization), `name_conflict`,
/// `limit_reached`.
#[derive(Debug, Clone)]
pub struct AddMember {
    /// Where.
    pub org: OrgId,
    /// Their e-mail.
    pub email: EmailAddress,
    /// Their first name.
    pub first_name: PersonName,
    /// Their last name.
    pub last_name: PersonName,
    /// What they may do.
    pub role: Role,
}

impl Command for AddMember {
    type Reply = Joined;
    const ACCESS: Access = Access::Operator;

    fn place(&self, _: &Actor, _: &dyn Root, _: Timestamp, _: &mut IdSource) -> Result<OrgId, Error> {
        Ok(self.org)
    }

    fn decide(self, cx: &mut Context<'_>) -> Result<Joined, Error> {
        cx.world.organization()?.ok_or_else(|| Error::not_found("organization"))?;
        invitations::check_email(cx.world, &self.email)?;
        let person = Person { email: self.email, first: self.first_name, last: self.last_name, role: self.role };
        cx.count(|tally| {
            invitations::check_seat(tally)?;
            tally.members += 1;
            tally.api_keys = tally.api_keys.saturating_add(1);
            Ok(())
        })?;
        person.join(cx)
    }
}

/// Somebody about to become a member.
pub(super) struct Person {
    pub(super) email: EmailAddress,
    pub(super) first: PersonName,
    pub(super) last: PersonName,
    pub(super) role: Role,
}

impl Person {
    /// Makes them a member with a first API key. The counts are up to the caller.
    pub(super) fn join(self, cx: &mut Context<'_>) -> Result<Joined, Error> {
        let member = Member {
            id: cx.ids.fresh(cx.now),
            org: cx.world.org_id(),
            email: self.email,
            first_name: self.first,
            last_name: self.last,
            image_url: None,
            role: self.role,
            joined_at: cx.now,
            removed_at: None,
        };
        cx.write(Write::Member(Change::created(member.clone())));
        let name = keys::first_key_name()?;
        let api_key = keys::issue(cx, member.id, name, None);
        Ok(Joined { member, api_key })
    }
}
