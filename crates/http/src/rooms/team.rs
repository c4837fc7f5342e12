//! Members and invitations (contract, section 4): the routes, and the shapes of their replies.

use dogwatch_store::rules::id::InvitationId;
use dogwatch_store::rules::team::{
    AcceptInvitation, ChangeRole, InviteMember, ListTeam, RemoveMember, RevokeInvitation, Role,
};
use dogwatch_store::rules::text::PersonName;
use dogwatch_store::rules::{Secret, UserId};
use utoipa::ToSchema;

use super::api_key::NewApiKey;
use crate::input::{Input, Kind};
use crate::route::{Route, command, delete, get, patch, post, query};
use crate::shape::{Deleted, shown};

pub(super) const ROLE: Kind = Kind::Word(Role::WORDS);

fn role(input: &mut Input) -> Option<Role> {
    input.need("role", ROLE, str::parse)
}

fn user(input: &mut Input) -> Option<UserId> {
    input.path("userId", Kind::Id("user_"), UserId::parse)
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        query(
            get("/team/members", "listTeam", "Members and pending invitations"),
            |_| Some(Ok(ListTeam)),
            shown::<Team, _>,
        ),
        command(
            post("/team/members/invite", "inviteMember", "Invite somebody"),
            |input| {
                let email = input.need("emailAddress", Kind::Email, str::parse);
                let role = role(input);
                Some(Ok(InviteMember { email_address: email?, role: role? }))
            },
            |sent| shown::<Invitation, _>(sent.invitation),
        ),
        command(
            patch("/team/members/{userId}/role", "changeRole", "Give a member another role"),
            |input| {
                let (user, role) = (user(input), role(input));
                Some(Ok(ChangeRole { user_id: user?, role: role? }))
            },
            shown::<Member, _>,
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
            shown::<Joined, _>,
        ),
    ]
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
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

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Invitation {
    id: String,
    email_address: String,
    role: String,
    status: String,
    #[schema(format = DateTime)]
    created_at: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
pub(crate) struct Team {
    members: Vec<Member>,
    invitations: Vec<Invitation>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Joined {
    member: Member,
    api_key: NewApiKey,
}
