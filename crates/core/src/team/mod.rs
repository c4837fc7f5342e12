//! The team: members, their roles, and invitations (contract, section 4).

mod invitations;
mod join;
mod members;

pub use invitations::{AcceptInvitation, InvitationSent, InvitationView, InviteMember, RevokeInvitation};
pub use join::{AddMember, Joined};
pub use members::{ChangeRole, GetMember, ListTeam, RemoveMember, Team};

pub(crate) use join::Person;

use crate::error::Error;
use crate::id::{InvitationId, OrgId, UserId};
use crate::secret::SecretHash;
use crate::text::{EmailAddress, PersonName};
use crate::time::Timestamp;
use crate::words::words;

words! {
    /// What a member may do.
    ///
    /// ```
    /// use dogwatch_core::team::Role;
    /// assert_eq!("org:admin".parse::<Role>().unwrap(), Role::Admin);
    /// assert_eq!(Role::Member.as_str(), "org:member");
    /// ```
    Role, "must be `org:admin` or `org:member`" {
        /// `org:admin`: everything.
        Admin = "org:admin",
        /// `org:member`: everything but the team and other people's API keys.
        Member = "org:member",
    }
}

/// A person in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Names the user.
    pub id: UserId,
    /// The organization.
    pub org_id: OrgId,
    /// As given; compared without regard to case.
    pub email: EmailAddress,
    /// First name.
    pub first_name: PersonName,
    /// Last name.
    pub last_name: PersonName,
    /// Where a picture of them is.
    pub image_url: Option<String>,
    /// What they may do.
    pub role: Role,
    /// When they joined.
    pub joined_at: Timestamp,
    /// When they were removed. A removed member is kept, since history names them.
    pub removed_at: Option<Timestamp>,
}

impl Member {
    /// Whether they have not been removed.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.removed_at.is_none()
    }

    /// First and last name.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }
}

/// A pending invitation as it is stored. Used and revoked ones are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Names the invitation.
    pub id: InvitationId,
    /// The organization.
    pub org_id: OrgId,
    /// Who is invited.
    pub email: EmailAddress,
    /// The role they will have.
    pub role: Role,
    /// When they were invited.
    pub created_at: Timestamp,
    /// The hash of the token that accepts it.
    pub token: SecretHash,
}

/// Members and invitations of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The cost of each is that of its answer,
/// however much else there is.
pub trait TeamPort {
    /// A member, also a removed one.
    fn member(&self, id: UserId) -> Result<Option<Member>, Error>;
    /// Whether the user is a member who has not been removed.
    fn is_member(&self, id: UserId) -> Result<bool, Error>;
    /// The members who have not been removed, by the time they joined.
    fn members(&self) -> Result<Vec<Member>, Error>;
    /// Whether a member or a pending invitation has this e-mail.
    fn email_taken(&self, email: &EmailAddress) -> Result<bool, Error>;

    /// A pending invitation.
    fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>, Error>;
    /// The pending invitation with this token.
    fn invitation_by_token(&self, token: SecretHash) -> Result<Option<Invitation>, Error>;
    /// The pending invitations, oldest first.
    fn invitations(&self) -> Result<Vec<Invitation>, Error>;
}
