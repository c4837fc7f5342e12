//! Team and API keys (contract, section 4).

use dogwatch_store::rules::api_key::{CreateApiKey, ListApiKeys, RevokeApiKey};
use dogwatch_store::rules::id::{ApiKeyId, InvitationId};
use dogwatch_store::rules::team::{
    AcceptInvitation, ChangeRole, InviteMember, ListTeam, RemoveMember, RevokeInvitation, Role,
};
use dogwatch_store::rules::{Secret, UserId};

use crate::input::{Input, Kind, time};
use crate::route::{Route, command, delete, get, list, patch, post, query};
use crate::view::{ApiKey, Deleted, Invitation, Joined, Member, NewApiKey, Team, all};

pub(super) const ROLE: Kind = Kind::Word(&["org:admin", "org:member"]);

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
                let first_name = input.need("firstName", Kind::Name(1, 100), str::parse);
                let last_name = input.need("lastName", Kind::Name(1, 100), str::parse);
                Some(Ok(AcceptInvitation { token: token?, first_name: first_name?, last_name: last_name? }))
            },
            Joined::from,
        ),
        list(
            get("/api-keys", "listApiKeys", "API keys: all of them for an admin, else one's own"),
            |_| Some(Ok(ListApiKeys)),
            all::<_, ApiKey>,
        ),
        command(
            post("/api-keys", "createApiKey", "Create an API key; its secret is shown once"),
            |input| {
                let name = input.need("name", Kind::Name(1, 100), str::parse);
                let expires_at = input.may("expiresAt", Kind::Time, time);
                Some(Ok(CreateApiKey { name: name?, expires_at: expires_at? }))
            },
            NewApiKey::from,
        ),
        command(
            delete("/api-keys/{keyId}", "revokeApiKey", "Revoke an API key"),
            |input| {
                let id = input.path("keyId", Kind::Id("key_"), ApiKeyId::parse);
                Some(Ok(RevokeApiKey { id: id? }))
            },
            Deleted::of,
        ),
    ]
}
