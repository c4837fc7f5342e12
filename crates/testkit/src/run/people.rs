//! Operations on members, invitations and API keys.

use dogwatch_core::api_key::{CreateApiKey, RevokeApiKey};
use dogwatch_core::id::Id;
use dogwatch_core::id::{ApiKeyId, InvitationId};
use dogwatch_core::team::{AcceptInvitation, AddMember, ChangeRole, InviteMember, RemoveMember, RevokeInvitation};
use dogwatch_core::{Actor, Secret, Timestamp};

use super::{Run, agree, millis, role, valid};
use crate::model;
use crate::ops::{PeopleOp, Pick};

impl Run<'_> {
    pub(super) fn people(&mut self, op: &PeopleOp, org: usize, me: usize, actor: &Actor) {
        match op {
            PeopleOp::Invite { email, admin } => self.invite(op, email, *admin, (org, me, actor)),
            PeopleOp::Accept { invitation, first } => self.accept(op, *invitation, first),
            PeopleOp::RevokeInvitation { invitation } => {
                let unknown = InvitationId::from_bytes([0xEE; 16]);
                let (id, index) =
                    self.resolve(*invitation, org, |org| &org.invitations, |invitation| &invitation.id, unknown);
                let expected = self.orgs[org].revoke_invitation(me, index);
                agree(self.engine().execute(RevokeInvitation { id: valid(&id) }, actor), expected, op);
            }
            PeopleOp::AddMember { org, email, admin } => {
                let expected = if self.orgs[*org].email_taken(email) { Err("name_conflict") } else { Ok(()) };
                let command = AddMember {
                    org_id: valid(&self.orgs[*org].id),
                    email: valid(email),
                    first_name: valid("Added"),
                    last_name: valid("Member"),
                    role: role(*admin),
                };
                if let Some((joined, ())) = agree(self.engine().execute(command, &Actor::Operator), expected, op) {
                    self.joined(*org, joined);
                }
            }
            PeopleOp::ChangeRole { user, admin } => {
                let (id, index) = self.user(*user, org);
                let expected = self.orgs[org].change_role(me, index, *admin);
                let command = ChangeRole { user_id: valid(&id), role: role(*admin) };
                if let Some((member, ())) = agree(self.engine().execute(command, actor), expected, op) {
                    assert_eq!((member.id.to_string(), member.role), (id, role(*admin)));
                }
            }
            PeopleOp::RemoveMember { user } => {
                let (id, index) = self.user(*user, org);
                let now = self.now();
                let expected = self.orgs[org].remove_member(me, now, index);
                agree(self.engine().execute(RemoveMember { user_id: valid(&id) }, actor), expected, op);
            }
            PeopleOp::CreateKey { name, expires_in } => {
                let expected = self.orgs[org].actor(me).map(|_| ());
                let expires_at = expires_in.map(|millis| Timestamp::from_millis(self.now() + millis).unwrap());
                let command = CreateApiKey { name: valid(name), expires_at };
                if let Some((made, ())) = agree(self.engine().execute(command, actor), expected, op) {
                    assert_eq!((made.key.name.as_str(), made.key.expires_at), (name.as_str(), expires_at));
                    self.key_made(org, me, &made);
                }
            }
            PeopleOp::RevokeKey { key } => {
                let unknown = ApiKeyId::from_bytes([0xEE; 16]);
                let (id, index) = self.resolve(*key, org, |org| &org.keys, |key| &key.id, unknown);
                let expected = self.orgs[org].revoke_key(me, index);
                agree(self.engine().execute(RevokeApiKey { id: valid(&id) }, actor), expected, op);
            }
            PeopleOp::Authenticate { key } => self.authenticate(op, *key),
        }
    }

    fn invite(&mut self, op: &PeopleOp, email: &str, admin: bool, (org, me, actor): (usize, usize, &Actor)) {
        let expected = self.orgs[org].invite(me, email);
        let command = InviteMember { email_address: valid(email), role: role(admin) };
        if let Some((sent, ())) = agree(self.engine().execute(command, actor), expected, op) {
            assert_eq!(millis(sent.invitation.created_at), self.now());
            self.orgs[org].invitations.push(model::Invitation {
                id: sent.invitation.id.to_string(),
                token: sent.token.reveal().to_owned(),
                email: email.to_owned(),
                admin,
                created: millis(sent.invitation.created_at),
                pending: true,
            });
            let (model, now) = (&mut self.orgs[org], millis(sent.invitation.created_at));
            model.notify(model::Line::Invited(model.invitations.len() - 1), None, now, now);
        }
    }

    fn accept(&mut self, op: &PeopleOp, invitation: Pick, first: &str) {
        // Whoever holds a token may use it: which organization it is for, the token says.
        let org = invitation.org;
        let (token, index) =
            self.resolve(invitation, org, |org| &org.invitations, |invitation| &invitation.token, "scl_inv_none");
        let index = index.filter(|index| self.orgs[org].invitations[*index].pending);
        let command =
            AcceptInvitation { token: Secret::new(token), first_name: valid(first), last_name: valid("Quay") };
        let got = self.engine().execute(command, &Actor::Anybody);
        if let Some((joined, index)) = agree(got, index.ok_or("not_found"), op) {
            let invitation = &mut self.orgs[org].invitations[index];
            invitation.pending = false;
            assert_eq!(
                (joined.member.email.as_str(), joined.member.role),
                (invitation.email.as_str(), role(invitation.admin))
            );
            self.orgs[org].withdraw(index);
            self.joined(org, joined);
        }
    }

    fn authenticate(&self, op: &PeopleOp, key: Pick) {
        // A secret says for itself which organization it is for.
        let org = key.org;
        let (secret, index) = self.resolve(key, org, |org| &org.keys, |key| &key.secret, "scl_live_none");
        let now = self.now();
        let model = &self.orgs[org];
        let found = index.map(|index| &model.keys[index]);
        let holder = found.filter(|key| key.live && key.expires.is_none_or(|end| now < end));
        let holder = holder.map(|key| key.user).filter(|user| !model.members[*user].removed);
        let got = self.engine().authenticate(&Secret::new(secret));
        if let Some((got, user)) = agree(got, holder.ok_or("invalid_api_key"), op) {
            assert_eq!(got, self.actor(org, user));
        }
    }
}
