//! Members and invitations (contract, section 4): the routes, and the shapes of their replies.

use dogwatch_store::rules;
use dogwatch_store::rules::id::InvitationId;
use dogwatch_store::rules::team::{
    AcceptInvitation, ChangeRole, InviteMember, ListTeam, RemoveMember, RevokeInvitation, Role,
};
use dogwatch_store::rules::text::PersonName;
use dogwatch_store::rules::{Secret, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::api_key::NewApiKey;
use crate::input::{Input, Kind};
use crate::route::{Route, command, delete, get, patch, post, query};
use crate::shape::{Deleted, all, maybe, text};

pub(super) const ROLE: Kind = Kind::Word(Role::WORDS);

fn role(input: &mut Input) -> Option<Role> {
    input.need("role", ROLE, str::parse)
}

fn user(input: &mut Input) -> Option<UserId> {
    input.path("userId", Kind::Id("user_"), UserId::parse)
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        query(get("/team/members", "listTeam", "Members and pending invitations"), |_| Some(Ok(ListTeam)), Team::from),
        command(
            post("/team/members/invite", "inviteMember", "Invite somebody"),
            |input| {
                let email = input.need("emailAddress", Kind::Email, str::parse);
                let role = role(input);
                Some(Ok(InviteMember { email_address: email?, role: role? }))
            },
            |sent| Invitation::from(sent.invitation),
        ),
        command(
            patch("/team/members/{userId}/role", "changeRole", "Give a member another role"),
            |input| {
                let (user, role) = (user(input), role(input));
                Some(Ok(ChangeRole { user_id: user?, role: role? }))
            },
            Member::from,
        ),
        command(
            delete("/team/members/{userId}", "removeMember", "Remove a member"),
            |input| Some(Ok(RemoveMember { user_id: user(input)? })),
            Deleted::of,
        ),
        command(
            delete("/team/members/invitations/{invitationId}", "revokeInvitation", "Revoke an invitation"),
            |input| {
                let id = input.path("invitationId", Kind::Id("orginv_"), InvitationId::parse);
                Some(Ok(RevokeInvitation { id: id? }))
            },
            Deleted::of,
        ),
        command(
            post("/invitations/accept", "acceptInvitation", "Accept an invitation"),
            |input| {
                let token = input.need("token", Kind::Opaque, |text| Ok(Secret::new(text)));
                let first_name = input.need("firstName", Kind::text::<PersonName>(), str::parse);
                let last_name = input.need("lastName", Kind::text::<PersonName>(), str::parse);
                Some(Ok(AcceptInvitation { token: token?, first_name: first_name?, last_name: last_name? }))
            },
            Joined::from,
        ),
    ]
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Member {
    id: String,
    email: String,
    first_name: String,
    last_name: String,
    image_url: Option<String>,
    external_id: Option<String>,
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
            external_id: maybe(member.external_id.as_ref()),
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
            // Used and revoked invitations are deleted, so any other is pending.
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
