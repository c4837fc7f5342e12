//! Members, invitations and API keys.

use dogwatch_store::rules;
use serde::Serialize;
use utoipa::ToSchema;

use super::{all, maybe, text};

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Member {
    id: String,
    email: String,
    first_name: String,
    last_name: String,
    image_url: Option<String>,
    role: String,
    #[schema(format = DateTime)]
    joined_at: String,
}

impl From<rules::team::Member> for Member {
    fn from(member: rules::team::Member) -> Self {
        Self {
            id: text(&member.id),
            email: text(&member.email),
            first_name: text(&member.first_name),
            last_name: text(&member.last_name),
            image_url: member.image_url,
            role: text(&member.role),
            joined_at: text(&member.joined_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Invitation {
    id: String,
    email_address: String,
    role: String,
    status: String,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<rules::team::InvitationView> for Invitation {
    fn from(invitation: rules::team::InvitationView) -> Self {
        Self {
            id: text(&invitation.id),
            email_address: text(&invitation.email_address),
            role: text(&invitation.role),
            // Used and revoked ones are gone.
            status: "pending".to_owned(),
            created_at: text(&invitation.created_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Team {
    members: Vec<Member>,
    invitations: Vec<Invitation>,
}

impl From<rules::team::Team> for Team {
    fn from(team: rules::team::Team) -> Self {
        Self { members: all(team.members), invitations: all(team.invitations) }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKey {
    id: String,
    name: String,
    user_id: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    last_four: String,
}

impl From<rules::api_key::ApiKeyView> for ApiKey {
    fn from(key: rules::api_key::ApiKeyView) -> Self {
        Self {
            id: text(&key.id),
            name: text(&key.name),
            user_id: text(&key.user_id),
            created_at: text(&key.created_at),
            expires_at: maybe(key.expires_at.as_ref()),
            last_four: key.last_four,
        }
    }
}

/// A key with its secret, which is shown once: a recorded answer holds none.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewApiKey {
    #[serde(flatten)]
    key: ApiKey,
    secret: Option<String>,
}

impl From<rules::api_key::NewApiKey> for NewApiKey {
    fn from(made: rules::api_key::NewApiKey) -> Self {
        Self { secret: Some(made.secret.reveal().to_owned()), key: made.key.into() }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Joined {
    member: Member,
    api_key: NewApiKey,
}

impl From<rules::team::Joined> for Joined {
    fn from(joined: rules::team::Joined) -> Self {
        Self { member: joined.member.into(), api_key: joined.api_key.into() }
    }
}
