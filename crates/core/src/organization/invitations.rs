//! Invitations: sent by an admin, accepted once by whoever holds the token, or revoked.

use super::create::{Joined, Person};
use super::{Invitation, Role};
use crate::actor::{Access, Actor};
use crate::checks;
use crate::code::Code;
use crate::command::{Command, Context};
use crate::error::Error;
use crate::id::{IdSource, InvitationId, OrgId};
use crate::limits;
use crate::outbox;
use crate::secret::Secret;
use crate::text::{EmailAddress, PersonName};
use crate::time::Timestamp;
use crate::world::{Change, Root, Tally, World, Write};

/// A pending invitation as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationView {
    /// Names the invitation.
    pub id: InvitationId,
    /// Who is invited.
    pub email_address: EmailAddress,
    /// The role they will have.
    pub role: Role,
    /// When they were invited.
    pub created_at: Timestamp,
}

impl InvitationView {
    /// The word on the wire for the state of every invitation that can be seen.
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

/// The reply to [`InviteMember`]. The token is shown here and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationSent {
    /// The invitation.
    pub invitation: InvitationView,
    /// Accepts it; to be sent to the invited person only.
    pub token: Secret,
}

/// Invites somebody. A notification in the outbox carries the token until it is delivered. Admin only. Codes: `name_conflict` (e-mail of a member or of a pending invitation),
/// `limit_reached`.
#[derive(Debug, Clone)]
pub struct InviteMember {
    /// Who.
    pub email_address: EmailAddress,
    /// The role they will have.
    pub role: Role,
}

impl Command for InviteMember {
    type Reply = InvitationSent;
    const ACCESS: Access = Access::Admin;

    fn decide(self, cx: &mut Context<'_>) -> Result<InvitationSent, Error> {
        check_email(cx.world, &self.email_address)?;
        cx.count(|tally| {
            check_seat(tally)?;
            tally.invitations += 1;
            Ok(())
        })?;
        let token = Secret::invitation_token(cx.ids);
        let invitation = Invitation {
            id: cx.ids.fresh(cx.now),
            org: cx.world.org_id(),
            email: self.email_address,
            role: self.role,
            created_at: cx.now,
            token: token.hash(),
        };
        let sent = InvitationSent { invitation: InvitationView::from(&invitation), token: token.clone() };
        outbox::invite(cx, invitation.id, invitation.email.clone(), token)?;
        cx.write(Write::Invitation(Change::created(invitation)));
        Ok(sent)
    }
}

/// Revokes a pending invitation; its token stops working. Admin only. Codes: `not_found`.
#[derive(Debug, Clone, Copy)]
pub struct RevokeInvitation {
    /// Which one.
    pub id: InvitationId,
}

impl Command for RevokeInvitation {
    type Reply = InvitationId;
    const ACCESS: Access = Access::Admin;

    fn decide(self, cx: &mut Context<'_>) -> Result<InvitationId, Error> {
        let invitation = cx.world.invitation(self.id)?.ok_or_else(|| Error::not_found("invitation"))?;
        cx.count(|tally| {
            tally.invitations = tally.invitations.saturating_sub(1);
            Ok(())
        })?;
        outbox::withdraw(cx, invitation.id)?;
        cx.write(Write::Invitation(Change::gone(invitation)));
        Ok(self.id)
    }
}

/// Accepts an invitation. Anybody who holds the token, once. Codes: `not_found` (unknown, used or revoked).
#[derive(Debug, Clone)]
pub struct AcceptInvitation {
    /// From the invitation.
    pub token: Secret,
    /// First name of the new member.
    pub first_name: PersonName,
    /// Last name of the new member.
    pub last_name: PersonName,
}

impl Command for AcceptInvitation {
    type Reply = Joined;
    const ACCESS: Access = Access::Public;

    fn place(&self, _: &Actor, root: &dyn Root, _: Timestamp, _: &mut IdSource) -> Result<OrgId, Error> {
        root.organization_inviting(self.token.hash())?.ok_or_else(unknown_token)
    }

    fn decide(self, cx: &mut Context<'_>) -> Result<Joined, Error> {
        let invitation = cx.world.invitation_by_token(self.token.hash())?.ok_or_else(unknown_token)?;
        let person = Person {
            email: invitation.email.clone(),
            first: self.first_name,
            last: self.last_name,
            role: invitation.role,
        };
        cx.count(|tally| {
            tally.invitations = tally.invitations.saturating_sub(1);
            tally.members += 1;
            tally.api_keys = tally.api_keys.saturating_add(1);
            Ok(())
        })?;
        outbox::withdraw(cx, invitation.id)?;
        // The invitation goes first: it and the member hold the same e-mail.
        cx.write(Write::Invitation(Change::gone(invitation)));
        person.join(cx)
    }
}

fn unknown_token() -> Error {
    Error::refused(Code::NotFound, "no pending invitation has this token")
}

/// Refuses an e-mail that a member or a pending invitation has.
pub(super) fn check_email(world: &dyn World, email: &EmailAddress) -> Result<(), Error> {
    if world.email_taken(email)? {
        return Err(Error::refused(Code::NameConflict, "a member or a pending invitation has this e-mail address"));
    }
    Ok(())
}

/// Refuses one more when the members and the invited fill the organization.
pub(super) fn check_seat(tally: &Tally) -> Result<(), Error> {
    checks::one_more(&mut tally.members.saturating_add(tally.invitations), limits::MEMBERS, "members")
}
