//! Members, invitations and API keys: the operations, the model, and both sides of each operation.

use dogwatch_core::api_key::{CreateApiKey, ListApiKeys, NewApiKey, RevokeApiKey};
use dogwatch_core::id::{ApiKeyId, Id, InvitationId};
use dogwatch_core::organization::EnsureOrganization;
use dogwatch_core::team::{
    AcceptInvitation, AddMember, ChangeRole, EnsureMember, InviteMember, Joined, ListTeam, Member as Shown,
    RemoveMember, RevokeInvitation, Role,
};
use dogwatch_core::{Actor, Secret, Timestamp};
use dogwatch_store::Engine;

use arbitrary::{Result, Unstructured};

use super::Org;
use crate::fixture::{did, valid};
use crate::model::{Expected, Millis, ensure};
use crate::ops::{Pick, email, name, pick};
use crate::run::{Run, agree, millis, org_index, role};

use super::escalation::{Content, RecipientModel};

/// An operation on members, invitations and API keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum TeamOp {
    Invite { email: String, admin: bool },
    Accept { invitation: Pick, first: String },
    RevokeInvitation { invitation: Pick },
    AddMember { org: usize, email: String, admin: bool },
    EnsureMember { external: String, email: String, first: String, admin: bool },
    ChangeRole { user: Pick, admin: bool },
    RemoveMember { user: Pick },
    CreateKey { name: String, expires_in: Option<i64> },
    RevokeKey { key: Pick },
    Authenticate { key: Pick },
}

pub(super) fn operation(source: &mut Unstructured<'_>, org: usize) -> Result<TeamOp> {
    Ok(match source.int_in_range(0..=9)? {
        0 => TeamOp::Invite { email: email(source)?, admin: source.arbitrary()? },
        1 => TeamOp::Accept { invitation: pick(source, org)?, first: name(source)? },
        2 => TeamOp::RevokeInvitation { invitation: pick(source, org)? },
        3 => TeamOp::AddMember { org, email: email(source)?, admin: source.arbitrary()? },
        4 => TeamOp::ChangeRole { user: pick(source, org)?, admin: source.arbitrary()? },
        5 => TeamOp::RemoveMember { user: pick(source, org)? },
        6 => TeamOp::CreateKey {
            name: name(source)?,
            expires_in: if source.arbitrary()? { Some(source.int_in_range(-1_000..=400_000)?) } else { None },
        },
        7 => TeamOp::RevokeKey { key: pick(source, org)? },
        8 => TeamOp::EnsureMember {
            external: (*source.choose(&["u-1", "u-2", "u-3"])?).to_owned(),
            email: email(source)?,
            first: name(source)?,
            admin: source.arbitrary()?,
        },
        _ => TeamOp::Authenticate { key: pick(source, org)? },
    })
}

/// A member, present or former, as the model keeps it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Member {
    pub id: String,
    pub email: String,
    pub first: String,
    pub last: String,
    pub external: Option<String>,
    pub admin: bool,
    pub joined: Millis,
    pub removed: bool,
}

/// An invitation, pending or not, as the model keeps it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Invitation {
    pub id: String,
    pub token: String,
    pub email: String,
    pub admin: bool,
    pub created: Millis,
    pub pending: bool,
}

/// An API key, working or not, as the model keeps it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub user: usize,
    pub name: String,
    pub created: Millis,
    pub expires: Option<Millis>,
    pub live: bool,
}

impl Org {
    /// The acting member; `invalid_api_key` if they have left.
    pub fn actor(&self, index: usize) -> Expected<&Member> {
        self.members.get(index).filter(|member| !member.removed).ok_or("invalid_api_key")
    }

    /// The acting member; `not_authorized` unless they are an admin.
    pub fn admin(&self, index: usize) -> Expected<&Member> {
        let member = self.actor(index)?;
        ensure(member.admin, "not_authorized")?;
        Ok(member)
    }

    /// Whether a member or a pending invitation has the e-mail address, compared case-insensitively.
    pub fn email_taken(&self, email: &str) -> bool {
        let same = |other: &str| other.to_lowercase() == email.to_lowercase();
        self.members.iter().any(|member| !member.removed && same(&member.email))
            || self.invitations.iter().any(|invitation| invitation.pending && same(&invitation.email))
    }

    /// The present member who shall have this external id and e-mail address, if there is one.
    pub fn ensured(&self, external: &str, email: &str, admin: bool) -> Expected<Option<usize>> {
        let present = |of: &dyn Fn(&Member) -> bool| self.members.iter().position(|it| !it.removed && of(it));
        let same = |member: &Member| member.email.to_lowercase() == email.to_lowercase();
        let named = present(&|member| member.external.as_deref() == Some(external));
        let found = named.or_else(|| present(&|member| same(member) && member.external.is_none()));
        let keeps = found.is_some_and(|index| same(&self.members[index]));
        ensure(keeps || !self.email_taken(email), "name_conflict")?;
        let others = |index: usize| (0..self.members.len()).filter(move |other| *other != index);
        let another = |index| others(index).any(|it| self.members[it].admin && !self.members[it].removed);
        ensure(admin || found.is_none_or(|it| !self.members[it].admin || another(it)), "validation_error")?;
        Ok(found)
    }

    pub(super) fn is_member(&self, index: Option<usize>) -> bool {
        index.is_some_and(|index| !self.members[index].removed)
    }

    /// Whether the actor may create an API key, else the code of the refusal. Expired keys count.
    pub fn create_key(&self, actor: usize) -> Expected<()> {
        self.actor(actor)?;
        ensure(self.keys.iter().filter(|key| key.live && key.user == actor).count() < 20, "limit_reached")
    }

    /// Whether the actor may invite this e-mail address, else the code of the refusal.
    pub fn invite(&self, actor: usize, email: &str) -> Expected<()> {
        self.admin(actor)?;
        ensure(!self.email_taken(email), "name_conflict")
    }

    /// Revokes an invitation.
    pub fn revoke_invitation(&mut self, actor: usize, index: Option<usize>) -> Expected<()> {
        self.admin(actor)?;
        let index = index.filter(|index| self.invitations[*index].pending).ok_or("not_found")?;
        self.invitations[index].pending = false;
        self.withdraw(index);
        Ok(())
    }

    /// Changes a role.
    pub fn change_role(&mut self, actor: usize, user: Option<usize>, admin: bool) -> Expected<()> {
        self.admin(actor)?;
        let user = user.filter(|user| self.is_member(Some(*user))).ok_or("not_found")?;
        ensure(user != actor, "cannot_change_own_role")?;
        self.members[user].admin = admin;
        Ok(())
    }

    /// Removes a member and revokes their keys.
    pub fn remove_member(&mut self, actor: usize, now: Millis, user: Option<usize>) -> Expected<()> {
        self.admin(actor)?;
        let user = user.filter(|user| self.is_member(Some(*user))).ok_or("not_found")?;
        ensure(user != actor, "cannot_remove_self")?;
        self.members[user].removed = true;
        self.keys.iter_mut().filter(|key| key.user == user).for_each(|key| key.live = false);
        self.leave(user, now);
        self.leave_contacts(user);
        Ok(())
    }

    /// Revokes an API key.
    pub fn revoke_key(&mut self, actor: usize, index: Option<usize>) -> Expected<()> {
        let admin = self.actor(actor)?.admin;
        let index = index.filter(|index| self.keys[*index].live).ok_or("not_found")?;
        ensure(admin || self.keys[index].user == actor, "not_authorized")?;
        self.keys[index].live = false;
        Ok(())
    }
}

/// Makes sure of a second organization, with a member, by names of a program that embeds the engine.
pub(super) fn fill(engine: &Engine) {
    did(engine, EnsureOrganization::new(valid("tenant-2"), valid("Quay")), &Actor::Operator);
    let eve =
        EnsureMember::new(valid("tenant-2"), valid("user-7"), valid("eve@example.com"), valid("Eve"), valid("Quay"));
    did(engine, eve.admin(), &Actor::Operator);
}

impl Run<'_> {
    pub(super) fn team(&mut self, op: &TeamOp, org: usize, me: usize, actor: &Actor) {
        match op {
            TeamOp::Invite { email, admin } => self.invite(op, email, *admin, (org, me, actor)),
            TeamOp::Accept { invitation, first } => self.accept(op, *invitation, first),
            TeamOp::RevokeInvitation { invitation } => {
                let unknown = InvitationId::from_bytes([0xEE; 16]);
                let (id, index) =
                    self.resolve(*invitation, org, |org| &org.invitations, |invitation| &invitation.id, unknown);
                let expected = self.orgs[org].revoke_invitation(me, index);
                agree(self.subject().execute(RevokeInvitation { id: valid(&id) }, actor), expected, op);
            }
            TeamOp::AddMember { org, email, admin } => {
                let expected = if self.orgs[*org].email_taken(email) { Err("name_conflict") } else { Ok(()) };
                let command = AddMember::new(
                    valid(&self.orgs[*org].id),
                    valid(email),
                    valid("Added"),
                    valid("Member"),
                    role(*admin),
                );
                if let Some((joined, ())) = agree(self.subject().execute(command, &Actor::Operator), expected, op) {
                    self.joined(*org, joined);
                }
            }
            TeamOp::EnsureMember { external, email, first, admin } => {
                self.ensure_member(org, external, email, first, *admin, op);
            }
            TeamOp::ChangeRole { user, admin } => {
                let (id, index) = self.user(*user, org);
                let expected = self.orgs[org].change_role(me, index, *admin);
                let command = ChangeRole { user_id: valid(&id), role: role(*admin) };
                if let Some((member, ())) = agree(self.subject().execute(command, actor), expected, op) {
                    assert_eq!((member.id.to_string(), member.role), (id, role(*admin)));
                }
            }
            TeamOp::RemoveMember { user } => {
                let (id, index) = self.user(*user, org);
                let now = self.now();
                let expected = self.orgs[org].remove_member(me, now, index);
                agree(self.subject().execute(RemoveMember { user_id: valid(&id) }, actor), expected, op);
            }
            TeamOp::CreateKey { name, expires_in } => {
                let expected = self.orgs[org].create_key(me);
                let expires_at = expires_in.map(|millis| Timestamp::from_millis(self.now() + millis).unwrap());
                let command = CreateApiKey { name: valid(name), expires_at };
                if let Some((made, ())) = agree(self.subject().execute(command, actor), expected, op) {
                    assert_eq!((made.key.name.as_str(), made.key.expires_at), (name.as_str(), expires_at));
                    self.key_made(org, me, &made);
                }
            }
            TeamOp::RevokeKey { key } => {
                let unknown = ApiKeyId::from_bytes([0xEE; 16]);
                let (id, index) = self.resolve(*key, org, |org| &org.keys, |key| &key.id, unknown);
                let expected = self.orgs[org].revoke_key(me, index);
                agree(self.subject().execute(RevokeApiKey { id: valid(&id) }, actor), expected, op);
            }
            TeamOp::Authenticate { key } => self.authenticate(op, *key),
        }
    }

    fn ensure_member(&mut self, org: usize, external: &str, email: &str, first: &str, admin: bool, op: &TeamOp) {
        let expected = self.orgs[org].ensured(external, email, admin);
        let command = EnsureMember {
            role: role(admin),
            ..EnsureMember::new(
                valid(&format!("org-{org}")),
                valid(external),
                valid(email),
                valid(first),
                valid("Ensured"),
            )
        };
        let again = command.clone();
        let Some((got, index)) = agree(self.subject().execute(command, &Actor::Operator), expected, op) else { return };
        assert_eq!(self.subject().execute(again, &Actor::Operator).unwrap(), got, "once more changes nothing");
        let members = &mut self.orgs[org].members;
        match index {
            Some(index) => {
                let member = &mut members[index];
                member.email = email.to_owned();
                member.first = first.to_owned();
                "Ensured".clone_into(&mut member.last);
                member.external = Some(external.to_owned());
                member.admin = admin;
                assert_eq!(got.id.to_string(), member.id);
            }
            None => members.push(learnt(&got)),
        }
    }

    fn invite(&mut self, op: &TeamOp, email: &str, admin: bool, (org, me, actor): (usize, usize, &Actor)) {
        let expected = self.orgs[org].invite(me, email);
        let command = InviteMember { email_address: valid(email), role: role(admin) };
        if let Some((sent, ())) = agree(self.subject().execute(command, actor), expected, op) {
            assert_eq!(millis(sent.invitation.created_at), self.now());
            self.orgs[org].invitations.push(Invitation {
                id: sent.invitation.id.to_string(),
                token: sent.token.reveal().to_owned(),
                email: email.to_owned(),
                admin,
                created: millis(sent.invitation.created_at),
                pending: true,
            });
            let (model, now) = (&mut self.orgs[org], millis(sent.invitation.created_at));
            model.notify(RecipientModel::Invited(model.invitations.len() - 1), Content::Invitation, now, now);
        }
    }

    fn accept(&mut self, op: &TeamOp, invitation: Pick, first: &str) {
        // Anybody who holds a token may use it; the token says which organization it is for.
        let org = invitation.org;
        let (token, index) =
            self.resolve(invitation, org, |org| &org.invitations, |invitation| &invitation.token, "scl_inv_none");
        let index = index.filter(|index| self.orgs[org].invitations[*index].pending);
        let command =
            AcceptInvitation { token: Secret::new(token), first_name: valid(first), last_name: valid("Quay") };
        let got = self.subject().execute(command, &Actor::Anybody);
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

    fn authenticate(&self, op: &TeamOp, key: Pick) {
        // The secret alone says which organization it is for.
        let org = key.org;
        let (secret, index) = self.resolve(key, org, |org| &org.keys, |key| &key.secret, "scl_live_none");
        let now = self.now();
        let model = &self.orgs[org];
        let found = index.map(|index| &model.keys[index]);
        let holder = found.filter(|key| key.live && key.expires.is_none_or(|end| now < end));
        let holder = holder.map(|key| key.user).filter(|user| !model.members[*user].removed);
        let got = self.subject().authenticate(&Secret::new(secret));
        if let Some((got, user)) = agree(got, holder.ok_or("invalid_api_key"), op) {
            assert_eq!(got, self.actor(org, user));
        }
    }
}

/// A new member, as a reply shows them.
fn learnt(member: &Shown) -> Member {
    Member {
        id: member.id.to_string(),
        email: member.email.to_string(),
        first: member.first_name.to_string(),
        last: member.last_name.to_string(),
        external: member.external_id.as_ref().map(ToString::to_string),
        admin: member.role == Role::Admin,
        joined: millis(member.joined_at),
        removed: false,
    }
}

impl Run<'_> {
    pub(crate) fn joined(&mut self, org: usize, joined: Joined) {
        let member = joined.member;
        let org = &mut self.orgs[org];
        org.members.push(learnt(&member));
        let user = org.members.len() - 1;
        self.key_made(org_index(&self.orgs, &member.org_id.to_string()), user, &joined.api_key);
    }

    fn key_made(&mut self, org: usize, user: usize, made: &NewApiKey) {
        self.orgs[org].keys.push(Key {
            id: made.key.id.to_string(),
            secret: made.secret.reveal().to_owned(),
            user,
            name: made.key.name.to_string(),
            created: millis(made.key.created_at),
            expires: made.key.expires_at.map(millis),
            live: true,
        });
    }

    pub(super) fn compare_team(&self, model: &Org, actor: &Actor) {
        let team = self.subject().query(&ListTeam, actor).unwrap();
        let mut expected: Vec<_> = model.members.iter().filter(|member| !member.removed).collect();
        expected.sort_by_key(|member| (member.joined, member.id.clone()));
        let member =
            |m: &Member| (m.id.clone(), m.email.clone(), m.first.clone(), role(m.admin), m.joined, m.external.clone());
        let members = team.members.iter().map(|m| {
            let external = m.external_id.as_ref().map(ToString::to_string);
            (m.id.to_string(), m.email.to_string(), m.first_name.to_string(), m.role, millis(m.joined_at), external)
        });
        assert_eq!(members.collect::<Vec<_>>(), expected.into_iter().map(member).collect::<Vec<_>>());

        let mut expected: Vec<_> = model.invitations.iter().filter(|invitation| invitation.pending).collect();
        expected.sort_by_key(|invitation| (invitation.created, invitation.id.clone()));
        let pending = team.invitations.iter().map(|i| (i.id.to_string(), i.email_address.to_string(), i.role));
        let expected = expected.iter().map(|i| (i.id.clone(), i.email.clone(), role(i.admin)));
        assert_eq!(pending.collect::<Vec<_>>(), expected.collect::<Vec<_>>());

        let keys = self.subject().query(&ListApiKeys, actor).unwrap();
        let mut expected: Vec<_> = model.keys.iter().filter(|key| key.live).collect();
        expected.sort_by_key(|key| (key.created, key.id.clone()));
        let keys = keys.iter().map(|k| (k.id.to_string(), k.name.to_string(), k.user_id.to_string()));
        let expected = expected.iter().map(|k| (k.id.clone(), k.name.clone(), model.members[k.user].id.clone()));
        assert_eq!(keys.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}
