//! Organizations and who belongs to them: members, invitations, API keys (contract, section 4).

mod create;
mod invitations;
mod keys;
mod team;

pub use create::{AddMember, CreateOrganization, Joined, OrganizationCreated};
pub use invitations::{AcceptInvitation, InvitationSent, InvitationView, InviteMember, RevokeInvitation};
pub use keys::{ApiKeyView, CreateApiKey, ListApiKeys, NewApiKey, RevokeApiKey};
pub use team::{ChangeRole, GetMember, ListTeam, RemoveMember, Team};

use crate::id::{ApiKeyId, InvitationId, OrgId, UserId};
use crate::secret::SecretHash;
use crate::text::{EmailAddress, Name, OrgName, PersonName};
use crate::time::Timestamp;
use crate::words::words;

words! {
    /// What a member may do.
    ///
    /// ```
    /// use dogwatch_core::Role;
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

/// A person in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Names the user.
    pub id: UserId,
    /// The organization.
    pub org: OrgId,
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
    pub org: OrgId,
    /// Who is invited.
    pub email: EmailAddress,
    /// The role they will have.
    pub role: Role,
    /// When they were invited.
    pub created_at: Timestamp,
    /// The hash of the token that accepts it.
    pub token: SecretHash,
}

/// An API key as it is stored. Revoked ones are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Names the key.
    pub id: ApiKeyId,
    /// The organization.
    pub org: OrgId,
    /// As whom the key acts.
    pub user: UserId,
    /// What its owner calls it.
    pub name: Name,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// The last four characters of the secret.
    pub last_four: String,
    /// The hash of the secret.
    pub hash: SecretHash,
}
