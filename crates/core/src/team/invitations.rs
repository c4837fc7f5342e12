//! Invitations: sent by an admin, accepted once by whoever holds the token, or revoked (contract, section 4).

use super::join::{Joined, Person, check_email, check_seat};
use super::{Invitation, Role};
use crate::caller::{ByAdmin, ByAnybody};
use crate::code::Code;
use crate::command::{Command, Context, GlobalContext, GlobalView, Query, seal};
use crate::error::Error;
use crate::id::InvitationId;
use crate::outbox::{self, Message, Recipient};
use crate::secret::Secret;
use crate::text::{EmailAddress, OrgName, PersonName};
use crate::time::Timestamp;
use crate::world::{Change, Write};

seal!(InviteMember, RevokeInvitation, AcceptInvitation, LookAtInvitation);

/// A pending invitation as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationView {
    /// The invitation's id: `orginv_` and 32 hexadecimal digits.
    pub id: InvitationId,
    /// The e-mail address to which it goes.
    pub email_address: EmailAddress,
    /// The role that the invited person will have.
    pub role: Role,
    /// When it was created.
    pub created_at: Timestamp,
}

impl InvitationView {
    /// The field `status` of every invitation: those that can be seen are pending.
    pub const STATUS: &'static str = "pending";
}

impl From<&Invitation> for InvitationView {
    fn from(invitation: &Invitation) -> Self {
        Self {
            id: invitation.id,
            email_address: invitation.email.clone(),
            role: invitation.role,
            created_at: invitation.created_at,
        }
    }
}

/// The reply to [`InviteMember`]. The library shows the token here; over HTTP it travels in the notification only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationSent {
    /// The invitation.
    pub invitation: InvitationView,
    /// The token that accepts the invitation, for the invited person only.
    pub token: Secret,
}

/// Invites somebody to join the organization (contract, section 4). Admin only. Codes: `name_conflict` (e-mail of a member or
/// of a pending invitation), `limit_reached`.
///
/// A notification in the outbox carries the token to the invited person, until it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteMember {
    /// The e-mail address of the invited person: at most 320 characters.
    pub email_address: EmailAddress,
    /// The role that they will have.
    pub role: Role,
}

impl InviteMember {
    /// An invitation to this address.
    #[must_use]
    pub const fn new(email_address: EmailAddress, role: Role) -> Self {
        Self { email_address, role }
    }
}

impl Command for InviteMember {
    type Caller = ByAdmin;
    type Reply = InvitationSent;
    const CODES: &'static [Code] = &[Code::NameConflict, Code::LimitReached];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<InvitationSent, Error> {
        check_email(cx.world, &self.email_address)?;
        cx.count(|counts| {
            check_seat(counts)?;
            counts.invitations += 1;
            Ok(())
        })?;
        let token = Secret::invitation_token(cx.ids);
        let invitation = Invitation {
            id: cx.ids.fresh(cx.now),
            org_id: cx.world.org_id(),
            email: self.email_address,
            role: self.role,
            created_at: cx.now,
            token: token.hash(),
        };
        let sent = InvitationSent { invitation: InvitationView::from(&invitation), token: token.clone() };
        let message = Message::Invitation { email: invitation.email.clone(), token: Some(token) };
        outbox::put(cx, Recipient::Invited(invitation.id), message)?;
        cx.write(Write::Invitation(Change::created(invitation)));
        Ok(sent)
    }
}

/// Revokes a pending invitation; its token stops working, and its notification leaves the outbox (contract, section 4). Admin
/// only. Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokeInvitation {
    /// The invitation to revoke.
    pub id: InvitationId,
}

impl RevokeInvitation {
    /// The revocation of this invitation.
    #[must_use]
    pub const fn new(id: InvitationId) -> Self {
        Self { id }
    }
}

impl Command for RevokeInvitation {
    type Caller = ByAdmin;
    type Reply = InvitationId;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<InvitationId, Error> {
        let invitation = cx.world.invitation(self.id)?.ok_or_else(|| Error::not_found("invitation"))?;
        cx.count(|counts| {
            counts.invitations = counts.invitations.saturating_sub(1);
            Ok(())
        })?;
        outbox::withdraw(cx, invitation.id)?;
        cx.write(Write::Invitation(Change::gone(invitation)));
        Ok(self.id)
    }
}

/// Accepts an invitation: its holder becomes a member and gets a first API key (contract, section 4). Anybody who holds the
/// token may, once. Codes: `not_found` (unknown, used or revoked).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptInvitation {
    /// The token of the invitation.
    pub token: Secret,
    /// First name of the new member: 1–100 characters.
    pub first_name: PersonName,
    /// Last name of the new member: 1–100 characters.
    pub last_name: PersonName,
}

impl AcceptInvitation {
    /// The acceptance of the invitation with this token, with first and last name.
    #[must_use]
    pub const fn new(token: Secret, first_name: PersonName, last_name: PersonName) -> Self {
        Self { token, first_name, last_name }
    }
}

impl Command for AcceptInvitation {
    type Caller = ByAnybody;
    type Reply = Joined;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByAnybody, cx: &mut GlobalContext<'_>) -> Result<Joined, Error> {
        let Self { token, first_name, last_name } = self;
        let org = cx.global.organization_inviting(token.hash())?.ok_or_else(unknown_token)?;
        cx.within(org, |cx| {
            let invitation = cx.world.invitation_by_token(token.hash())?.ok_or_else(unknown_token)?;
            let person = Person {
                email: invitation.email.clone(),
                first_name,
                last_name,
                role: invitation.role,
                external_id: None,
            };
            cx.count(|counts| {
                counts.invitations = counts.invitations.saturating_sub(1);
                counts.members += 1;
                counts.api_keys = counts.api_keys.saturating_add(1);
                Ok(())
            })?;
            outbox::withdraw(cx, invitation.id)?;
            // The invitation is deleted first: the member gets the same e-mail address, which is unique among both.
            cx.write(Write::Invitation(Change::gone(invitation)));
            person.join(cx)
        })
    }
}

/// What an invitation is for, before it is accepted (contract, section 4). Anybody who holds the token may ask. Codes: `not_found`
/// (unknown, used or revoked).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookAtInvitation {
    /// The token of the invitation.
    pub token: Secret,
}

impl LookAtInvitation {
    /// The question what the invitation with this token is for.
    #[must_use]
    pub const fn new(token: Secret) -> Self {
        Self { token }
    }
}

/// The reply to [`LookAtInvitation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// The name of the organization.
    pub organization: OrgName,
    /// The e-mail address to which the invitation went, and which the member will have.
    pub email: EmailAddress,
}

impl Query for LookAtInvitation {
    type Caller = ByAnybody;
    type Reply = Invited;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByAnybody, view: &GlobalView<'_>) -> Result<Invited, Error> {
        let hash = self.token.hash();
        let org = view.global.organization_inviting(hash)?.ok_or_else(unknown_token)?;
        let world = view.world(org);
        let invitation = world.invitation_by_token(hash)?.ok_or_else(unknown_token)?;
        let organization =
            world.organization()?.ok_or_else(|| Error::broken("an invitation without its organization"))?;
        Ok(Invited { organization: organization.name, email: invitation.email })
    }
}

fn unknown_token() -> Error {
    Error::refused(Code::NotFound, "no pending invitation has this token")
}
