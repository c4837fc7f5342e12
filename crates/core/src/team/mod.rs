//! The team: the members of an organization, their roles, and invitations to join it (contract, section 4).
//!
//! An admin invites people ([`InviteMember`], [`RevokeInvitation`]); whoever holds the token of an invitation becomes a member
//! with it ([`AcceptInvitation`]). The operator makes members without one ([`AddMember`],
//! and [`EnsureMember`] for programs that have members of their own). Admins see the team ([`ListTeam`],
//! [`GetMember`]), change roles ([`ChangeRole`]) and remove members ([`RemoveMember`]). Nobody changes their own role or
//! removes themselves, so that every organization that has an admin keeps one.
//!
//! What a removed member leaves is in [`crate::oncall`] and [`crate::escalation`]; how an invitation travels is in
//! [`crate::outbox`]; how an API key tells who calls is in [`crate::caller`].

mod ensure;
mod invitations;
mod join;
mod members;

pub use ensure::EnsureMember;
pub use invitations::{
    AcceptInvitation, InvitationSent, InvitationView, InviteMember, Invited, LookAtInvitation, RevokeInvitation,
};
pub use join::{AddMember, Joined};
pub use members::{ChangeRole, GetMember, ListTeam, RemoveMember, Team};

pub(crate) use join::Person;

use crate::error::Error;
use crate::id::{InvitationId, OrgId, UserId};
use crate::secret::SecretHash;
use crate::text::{EmailAddress, ExternalId, PersonName};
use crate::time::Timestamp;
use crate::words::words;

words! {
    /// The role of a member: which commands they may give and which queries they may ask.
    ///
    /// ```
    /// use dogwatch_core::team::Role;
    /// assert_eq!("org:admin".parse::<Role>().unwrap(), Role::Admin);
    /// assert_eq!(Role::Member.as_str(), "org:member");
    /// ```
    Role, "role", "must be `org:admin` or `org:member`" {
        /// `org:admin`: all of the organization.
        Admin = "org:admin",
        /// `org:member`: all but the team and other people's API keys.
        Member = "org:member",
    }
}

/// A member as it is stored: a person in an organization, also one who has been removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct Member {
    /// The user's id: `user_` and 32 hexadecimal digits.
    pub id: UserId,
    /// The organization that they belong to.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub org_id: OrgId,
    /// Their e-mail address, as given. Unique among the members and pending invitations of the organization, compared without
    /// regard to case.
    pub email: EmailAddress,
    /// Their first name: 1–100 characters.
    pub first_name: PersonName,
    /// Their last name: 1–100 characters.
    pub last_name: PersonName,
    /// The address of a picture of them. No command sets it.
    pub image_url: Option<String>,
    /// The name that an embedding program has for them: 1–255 visible ASCII characters, unique among the present members of the
    /// organization.
    pub external_id: Option<ExternalId>,
    /// Their role.
    pub role: Role,
    /// When they joined.
    pub joined_at: Timestamp,
    /// When they were removed; `None` for a present member. A removed member is kept, since history names them.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub removed_at: Option<Timestamp>,
}

impl Member {
    /// A present member with the role `org:member`, for a program that stores members itself.
    #[must_use]
    pub fn new(
        org_id: OrgId,
        id: UserId,
        email: EmailAddress,
        (first_name, last_name): (PersonName, PersonName),
        joined_at: Timestamp,
    ) -> Self {
        let (image_url, external_id, removed_at, role) = (None, None, None, Role::Member);
        Self { id, org_id, email, first_name, last_name, image_url, external_id, role, joined_at, removed_at }
    }

    /// Whether they are a member now: they have not been removed.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.removed_at.is_none()
    }

    /// First and last name, as an actor is shown.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }
}

/// A pending invitation as it is stored. A used or revoked one is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The invitation's id: `orginv_` and 32 hexadecimal digits.
    pub id: InvitationId,
    /// The organization to which it invites.
    pub org_id: OrgId,
    /// The e-mail address to which it goes.
    pub email: EmailAddress,
    /// The role that the invited person will have.
    pub role: Role,
    /// When it was created.
    pub created_at: Timestamp,
    /// The SHA-256 of the token that accepts it.
    pub token: SecretHash,
}

/// The members and invitations of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait TeamPort {
    /// The member with this id, also a removed one.
    fn member(&self, id: UserId) -> Result<Option<Member>, Error>;
    /// Whether the user is a member who has not been removed.
    fn is_member(&self, id: UserId) -> Result<bool, Error> {
        Ok(self.member(id)?.is_some_and(|member| member.is_active()))
    }
    /// The members who have not been removed, by the time at which they joined.
    fn members(&self) -> Result<Vec<Member>, Error> {
        Ok(Vec::new())
    }
    /// The present member with this external id.
    fn member_with(&self, external_id: &ExternalId) -> Result<Option<UserId>, Error> {
        let _ = external_id;
        Ok(None)
    }
    /// Whether a present member or a pending invitation has this e-mail address, compared without regard to case.
    fn email_taken(&self, email: &EmailAddress) -> Result<bool, Error> {
        let _ = email;
        Ok(false)
    }

    /// The pending invitation with this id.
    fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, Error> {
        let _ = id;
        Ok(None)
    }
    /// The pending invitation whose token has this hash.
    fn invitation_by_token(&self, token: SecretHash) -> Result<Option<Invitation>, Error> {
        let _ = token;
        Ok(None)
    }
    /// The pending invitations, oldest first.
    fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        Ok(Vec::new())
    }
}
