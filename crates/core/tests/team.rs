//! Section 4 of the contract: members, roles, invitations, API keys.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use dogwatch_core::api_key::{CreateApiKey, ListApiKeys, RevokeApiKey};
use dogwatch_core::caller::{authenticate, external_actor};
use dogwatch_core::id::Id;
use dogwatch_core::incident::{CreateIncident, Severity};
use dogwatch_core::organization::{CreateOrganization, EnsureOrganization};
use dogwatch_core::outbox::{Message, Notification, Receipt};
use dogwatch_core::team::{
    AcceptInvitation, AddMember, ChangeRole, EnsureMember, GetMember, InviteMember, ListTeam, RemoveMember,
    RevokeInvitation, Role,
};
use dogwatch_core::{Actor, Code, IdSource, OrgId, Secret, Timestamp, UserId};
use support::{Harbour, user, valid, word};

fn invite(email: &str) -> InviteMember {
    InviteMember { email_address: valid(email), role: Role::Member }
}

fn accept(token: &Secret) -> AcceptInvitation {
    AcceptInvitation { token: token.clone(), first_name: valid("Dora"), last_name: valid("Quay") }
}

fn key(name: &str) -> CreateApiKey {
    CreateApiKey { name: valid(name), expires_at: None }
}

#[test]
fn inviting() {
    for (email, expected) in [
        ("dora@example.com", "ok"),
        ("ada@example.com", "name_conflict"),
        ("ADA@Example.COM", "name_conflict"),
        ("invited@example.com", "name_conflict"),
        ("Invited@Example.com", "name_conflict"),
    ] {
        let mut harbour = Harbour::new();
        let ada = harbour.ada;
        harbour.run(invite("invited@example.com"), &ada).unwrap();
        assert_eq!(word(&harbour.run(invite(email), &ada)), expected, "{email}");
    }
}

#[test]
fn an_invitation_is_accepted_once() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let sent = harbour.run(invite("dora@example.com"), &ada).unwrap();
    assert_eq!(harbour.ask(&ListTeam, &ada).unwrap().invitations, std::slice::from_ref(&sent.invitation));

    let joined = harbour.run(accept(&sent.token), &Actor::Anybody).unwrap();
    assert_eq!(joined.member.email.as_str(), "dora@example.com");
    assert_eq!(joined.member.role, Role::Member);
    let dora = authenticate(&joined.api_key.secret, &harbour.world, harbour.now).unwrap();
    assert_eq!(dora, Actor::member(harbour.org, joined.member.id));

    let team = harbour.ask(&ListTeam, &ada).unwrap();
    assert!(team.invitations.is_empty());
    assert_eq!(team.members.last().unwrap(), &joined.member);
    assert_eq!(word(&harbour.run_unchanged(accept(&sent.token), &Actor::Anybody)), "not_found");
    assert_eq!(word(&harbour.run_unchanged(RevokeInvitation { id: sent.invitation.id }, &ada)), "not_found");
    assert_eq!(word(&harbour.run_unchanged(invite("dora@example.com"), &ada)), "name_conflict");
}

#[test]
fn a_revoked_invitation_is_worth_nothing() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let sent = harbour.run(invite("dora@example.com"), &ada).unwrap();
    let id = sent.invitation.id;
    assert_eq!(word(&harbour.run_unchanged(RevokeInvitation { id }, &harbour.ben.clone())), "not_authorized");
    assert_eq!(harbour.run(RevokeInvitation { id }, &ada).unwrap(), id);
    assert_eq!(word(&harbour.run_unchanged(RevokeInvitation { id }, &ada)), "not_found");
    assert_eq!(word(&harbour.run_unchanged(accept(&sent.token), &Actor::Anybody)), "not_found");
    assert_eq!(word(&harbour.run(invite("dora@example.com"), &ada)), "ok");
}

#[test]
fn roles() {
    #[derive(Debug, Clone, Copy)]
    enum Who {
        Self_,
        Other,
        Nobody,
    }
    for (who, role, expected) in [
        (Who::Self_, Role::Member, "cannot_change_own_role"),
        (Who::Self_, Role::Admin, "cannot_change_own_role"),
        (Who::Other, Role::Admin, "ok"),
        (Who::Other, Role::Member, "ok"),
        (Who::Nobody, Role::Admin, "not_found"),
    ] {
        let mut harbour = Harbour::new();
        let ada = harbour.ada;
        let target = match who {
            Who::Self_ => user(&ada),
            Who::Other => user(&harbour.ben),
            Who::Nobody => UserId::from_bytes([9; 16]),
        };
        let outcome = harbour.run(ChangeRole { user_id: target, role }, &ada);
        assert_eq!(word(&outcome), expected, "{who:?} {role}");
        if let Ok(member) = outcome {
            assert_eq!(member.role, role);
            assert_eq!(harbour.ask(&GetMember { user_id: target }, &ada).unwrap(), member);
        }
    }
}

#[test]
fn a_key_acts_with_the_role_its_user_has_now() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, harbour.ben);
    let change = |to| ChangeRole { user_id: user(&ben), role: to };
    assert_eq!(word(&harbour.ask(&ListTeam, &ben)), "not_authorized");
    harbour.run(change(Role::Admin), &ada).unwrap();
    assert_eq!(word(&harbour.ask(&ListTeam, &ben)), "ok");
    harbour.run(change(Role::Member), &ada).unwrap();
    assert_eq!(word(&harbour.ask(&ListTeam, &ben)), "not_authorized");
}

#[test]
fn removal_ends_access_at_once_and_keeps_history() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, harbour.ben);
    let made = harbour.run(key("laptop"), &ben).unwrap();
    let incident = harbour.incident();
    let others = harbour.ask(&ListApiKeys, &ada).unwrap().len() - 2;

    assert_eq!(word(&harbour.run_unchanged(RemoveMember { user_id: user(&ada) }, &ada)), "cannot_remove_self");
    assert_eq!(word(&harbour.run_unchanged(RemoveMember { user_id: user(&ada) }, &ben)), "not_authorized");
    assert_eq!(harbour.run(RemoveMember { user_id: user(&ben) }, &ada).unwrap(), user(&ben));
    assert_eq!(word(&harbour.run_unchanged(RemoveMember { user_id: user(&ben) }, &ada)), "not_found");

    assert_eq!(word(&authenticate(&made.secret, &harbour.world, harbour.now)), "invalid_api_key");
    assert_eq!(word(&harbour.run_unchanged(key("again"), &ben)), "invalid_api_key");
    assert_eq!(word(&harbour.ask(&ListApiKeys, &ben)), "invalid_api_key");
    assert_eq!(harbour.ask(&ListApiKeys, &ada).unwrap().len(), others);

    let detail = harbour.detail(incident);
    assert_eq!(detail.incident.created_by, user(&ben));
    assert_eq!(detail.incident.owner_id, Some(user(&ben)), "incidents they own stay theirs");
    let open = CreateIncident::new(valid("Another"), Severity::Low, user(&ben));
    assert_eq!(word(&harbour.run_unchanged(open, &ada)), "invalid_target_user");
    assert_eq!(word(&harbour.run(invite("ben@example.com"), &ada)), "ok", "the e-mail is free again");
}

#[test]
fn keys_of_others_need_an_admin() {
    let mut harbour = Harbour::new();
    let (ada, ben, cleo) = (harbour.ada, harbour.ben, harbour.cleo);
    let bens = harbour.run(key("ben's"), &ben).unwrap();
    assert_eq!(bens.key.user_id, user(&ben));
    assert!(bens.secret.reveal().ends_with(&bens.key.last_four));
    let id = bens.key.id;
    let sees = |harbour: &Harbour, who| harbour.ask(&ListApiKeys, who).unwrap().iter().any(|key| key.id == id);
    assert_eq!((sees(&harbour, &ada), sees(&harbour, &ben), sees(&harbour, &cleo)), (true, true, false));

    assert_eq!(word(&harbour.run_unchanged(RevokeApiKey { id }, &cleo)), "not_authorized");
    assert_eq!(harbour.run(RevokeApiKey { id }, &ben).unwrap(), id);
    assert_eq!(word(&harbour.run_unchanged(RevokeApiKey { id }, &ben)), "not_found");
    assert_eq!(word(&authenticate(&bens.secret, &harbour.world, harbour.now)), "invalid_api_key");
    let again = harbour.run(key("again"), &ben).unwrap();
    assert_eq!(word(&harbour.run(RevokeApiKey { id: again.key.id }, &ada)), "ok");
}

#[test]
fn keys_expire_at_their_instant() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let expires_at = Some(valid("2026-04-07T11:00:00Z"));
    let made = harbour.run(CreateApiKey { name: valid("short"), expires_at }, &ben).unwrap();
    for (now, expected) in [
        ("2026-04-07T10:59:59.999Z", "ok"),
        ("2026-04-07T11:00:00Z", "invalid_api_key"),
        ("2027-01-01T00:00:00Z", "invalid_api_key"),
    ] {
        assert_eq!(word(&authenticate(&made.secret, &harbour.world, valid(now))), expected, "{now}");
    }
    let unknown = Secret::new("scl_live_00000000000000000000000000000000");
    assert_eq!(word(&authenticate(&unknown, &harbour.world, harbour.now)), "invalid_api_key");
}

#[test]
fn who_may() {
    let mut harbour = Harbour::new();
    let (ada, ben, stranger) = (harbour.ada, harbour.ben, Actor::member(harbour.org, UserId::from_bytes([1; 16])));
    let nowhere = Actor::member(OrgId::from_bytes([1; 16]), user(&ada));
    for (actor, admin_only, any_member) in [
        (ada, "ok", "ok"),
        (ben, "not_authorized", "ok"),
        (stranger, "invalid_api_key", "invalid_api_key"),
        (nowhere, "invalid_api_key", "invalid_api_key"),
        (Actor::Operator, "not_authorized", "not_authorized"),
        (Actor::Anybody, "not_authorized", "not_authorized"),
    ] {
        assert_eq!(word(&harbour.ask(&ListTeam, &actor)), admin_only, "{actor:?}");
        assert_eq!(word(&harbour.ask(&ListApiKeys, &actor)), any_member, "{actor:?}");
        assert_eq!(word(&harbour.run(invite("new@example.com"), &actor)), admin_only, "{actor:?}");
        assert_eq!(word(&harbour.run(key("new"), &actor)), any_member, "{actor:?}");
    }
    let create = CreateOrganization::new(valid("Other"), valid("eve@example.com"), valid("Eve"), valid("Other"));
    for (actor, expected) in [(ada, "not_authorized"), (Actor::Anybody, "not_authorized"), (Actor::Operator, "ok")] {
        assert_eq!(word(&harbour.run(create.clone(), &actor)), expected, "{actor:?}");
    }
}

#[test]
fn adding_a_member_directly() {
    let mut harbour = Harbour::new();
    let org = harbour.org;
    let add = |org, email: &str| AddMember::new(org, valid(email), valid("Dora"), valid("Quay"), Role::Admin);
    assert_eq!(word(&harbour.run_unchanged(add(OrgId::from_bytes([1; 16]), "d@e.co"), &Actor::Operator)), "not_found");
    assert_eq!(word(&harbour.run_unchanged(add(org, "BEN@example.com"), &Actor::Operator)), "name_conflict");
    assert_eq!(word(&harbour.run_unchanged(add(org, "d@e.co"), &harbour.ada.clone())), "not_authorized");
    let joined = harbour.run(add(org, "d@e.co"), &Actor::Operator).unwrap();
    assert_eq!(word(&harbour.ask(&ListTeam, &Actor::member(org, joined.member.id))), "ok");
}

#[test]
fn twenty_keys_of_a_member() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, harbour.ben);
    let have = harbour.ask(&ListApiKeys, &ben).unwrap().len();
    assert_eq!(have, 1, "the key that came with joining counts");
    let expired = CreateApiKey { name: valid("expired"), expires_at: Some(Timestamp::MIN) };
    harbour.run(expired, &ben).unwrap();
    for _ in have + 1..20 {
        harbour.run(key("one more"), &ben).unwrap();
    }
    assert_eq!(word(&harbour.run_unchanged(key("too many"), &ben)), "limit_reached");
    assert_eq!(word(&harbour.run(key("of another"), &ada)), "ok", "each member has their own twenty");
    let some = harbour.ask(&ListApiKeys, &ben).unwrap()[3].id;
    harbour.run(RevokeApiKey { id: some }, &ben).unwrap();
    assert_eq!(word(&harbour.run(key("one more"), &ben)), "ok");
}

/// Once an organization had 1,000 keys at most, and the first key of a new member was one of them.
#[test]
fn keys_keep_nobody_from_joining() {
    let mut harbour = Harbour::new();
    let (org, ada) = (harbour.org, harbour.ada);
    for n in 0..1_001 {
        let add =
            AddMember::new(org, valid(&format!("user{n}@example.com")), valid("User"), valid("Number"), Role::Member);
        harbour.run(add, &Actor::Operator).unwrap();
    }
    let sent = harbour.run(invite("dora@example.com"), &ada).unwrap();
    assert_eq!(word(&harbour.run(accept(&sent.token), &Actor::Anybody)), "ok");
    assert_eq!(harbour.ask(&ListApiKeys, &ada).unwrap().len(), 3 + 1_001 + 1);
}

#[test]
fn ten_thousand_members_and_invitations() {
    use dogwatch_core::world::{Change, State, Write};
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let before = harbour.world.world(harbour.org).counts().unwrap();
    let mut full = before;
    full.members = 9_999;
    harbour.world.apply(vec![Write::Counts(Change::edited(before, full))]);
    let sent = harbour.run(invite("last@example.com"), &ada).unwrap();
    let outcome = harbour.run_unchanged(invite("over@example.com"), &ada);
    assert_eq!(outcome.unwrap_err().code(), Code::LimitReached);
    assert_eq!(word(&harbour.run(accept(&sent.token), &Actor::Anybody)), "ok", "an invitation holds a seat");
}

#[test]
fn nothing_secret_shows_in_debug_output() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, harbour.ben);
    let sent = harbour.run(invite("dora@example.com"), &ada).unwrap();
    let made = harbour.run(key("laptop"), &ben).unwrap();
    let mut ids = IdSource::from_seed([1; 32]);
    let decision = dogwatch_core::decide(key("another"), &ben, &harbour.world, harbour.now, &mut ids).unwrap();
    let shown = format!("{sent:?} {made:?} {:?} {decision:?} {:?}", accept(&sent.token), harbour.world);
    for secret in [&sent.token, &made.secret, &decision.reply.secret] {
        assert!(!shown.contains(secret.reveal()));
        // The last four characters may show; the rest, in no slice worth having.
        assert!(!shown.contains(secret.reveal().get(8..30).unwrap()));
        let hash: String = secret.hash().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!shown.contains(&hash));
        assert!(!shown.contains(&format!("{:?}", secret.hash().to_bytes())));
    }
}

/// What the outbox holds for somebody who is invited: to whom, and whether the token is the one that was sent.
fn letters(harbour: &mut Harbour, minute: u64, token: &Secret) -> Vec<(String, bool, Receipt)> {
    let now = harbour.now.plus(Duration::from_secs(60 * minute));
    let claimed = harbour.world.claim(10, Duration::from_secs(30), now, &mut harbour.ids).unwrap();
    let shown = |one: &Notification| match &one.message {
        Message::Invitation { email, token: carried } => (email.to_string(), carried.as_ref() == Some(token)),
        other => panic!("{other:?}"),
    };
    claimed.iter().map(|one| (shown(one).0, shown(one).1, one.receipt())).collect()
}

#[test]
fn an_invitation_is_notified_until_it_is_delivered() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let sent = harbour.run(invite("dora@example.com"), &ada).unwrap();
    let first = letters(&mut harbour, 1, &sent.token);
    assert_eq!((first.len(), first[0].0.as_str(), first[0].1), (1, "dora@example.com", true));
    assert!(letters(&mut harbour, 1, &sent.token).is_empty(), "held");
    let again = letters(&mut harbour, 2, &sent.token);
    assert!(again[0].1, "what is not confirmed comes back with its token");

    let later = harbour.now.plus(Duration::from_secs(180));
    assert!(harbour.world.confirm(&again[0].2, None, later, &mut harbour.ids).unwrap());
    assert!(!harbour.world.confirm(&again[0].2, None, later, &mut harbour.ids).unwrap());
    assert!(letters(&mut harbour, 4, &sent.token).is_empty(), "delivered once");
    assert_eq!(word(&harbour.run(accept(&sent.token), &Actor::Anybody)), "ok");
}

#[test]
fn what_is_revoked_or_accepted_is_not_notified() {
    for (revoked, held) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut harbour = Harbour::new();
        let ada = harbour.ada;
        let sent = harbour.run(invite("dora@example.com"), &ada).unwrap();
        let claimed = if held { letters(&mut harbour, 1, &sent.token) } else { Vec::new() };
        assert_eq!(claimed.len(), usize::from(held));
        if revoked {
            harbour.run(RevokeInvitation { id: sent.invitation.id }, &ada).unwrap();
        } else {
            harbour.run(accept(&sent.token), &Actor::Anybody).unwrap();
        }
        assert!(letters(&mut harbour, 9, &sent.token).is_empty());
        for (_, _, receipt) in claimed {
            let (now, soon) = (harbour.now, Duration::from_secs(1));
            assert!(!harbour.world.confirm(&receipt, None, now, &mut harbour.ids).unwrap());
            assert!(!harbour.world.give_back(&receipt, soon, now, &mut harbour.ids).unwrap());
        }
    }
}

/// Organizations and members of a program that has names of its own for them.
#[test]
fn external_ids() {
    let mut harbour = Harbour::new();
    let operator = Actor::Operator;
    let tenant = |name: &str| EnsureOrganization::new(valid("tenant-1"), valid(name));
    let made = harbour.run(tenant("Quay"), &operator).unwrap();
    assert_eq!(harbour.run_unchanged(tenant("Quay"), &operator).unwrap(), made);
    let renamed = harbour.run(tenant("Quay & Sons"), &operator).unwrap();
    assert_eq!((renamed.id, renamed.created_at, renamed.name.as_str()), (made.id, made.created_at, "Quay & Sons"));
    let create = |external: &str| CreateOrganization {
        external_id: Some(valid(external)),
        ..CreateOrganization::new(valid("x"), valid("x@example.com"), valid("X"), valid("Y"))
    };
    assert_eq!(word(&harbour.run_unchanged(create("tenant-1"), &operator)), "name_conflict");

    let member = |external: &str, email: &str, first: &str| {
        EnsureMember::new(valid("tenant-1"), valid(external), valid(email), valid(first), valid("Quay"))
    };
    let eve = harbour.run(member("u1", "eve@example.com", "Eve").admin(), &operator).unwrap();
    assert_eq!((eve.org_id, eve.role), (made.id, Role::Admin));
    assert_eq!(harbour.run_unchanged(member("u1", "eve@example.com", "Eve").admin(), &operator).unwrap(), eve);
    // What has changed elsewhere is taken over.
    let changed = harbour.run(member("u1", "eva@example.com", "Eva").admin(), &operator).unwrap();
    assert_eq!((changed.id, changed.first_name.as_str()), (eve.id, "Eva"));
    // Somebody stays admin; as soon as there is another, the role follows.
    assert_eq!(word(&harbour.run_unchanged(member("u1", "eva@example.com", "Eva"), &operator)), "validation_error");
    harbour.run(member("u9", "fay@example.com", "Fay").admin(), &operator).unwrap();
    assert_eq!(harbour.run(member("u1", "eva@example.com", "Eva"), &operator).unwrap().role, Role::Member);
    // Somebody who joined in another way is found by their e-mail address, unless they have another external id.
    let add = AddMember::new(made.id, valid("dora@example.com"), valid("Dora"), valid("Quay"), Role::Member);
    let dora = harbour.run(add.clone(), &operator).unwrap().member;
    assert_eq!(harbour.run(member("u2", "DORA@example.com", "Dora"), &operator).unwrap().id, dora.id);
    assert_eq!(word(&harbour.run_unchanged(member("u3", "dora@example.com", "Dora"), &operator)), "name_conflict");
    assert_eq!(word(&harbour.run_unchanged(member("u2", "eva@example.com", "Dora"), &operator)), "name_conflict");
    let taken = AddMember { email: valid("new@example.com"), external_id: Some(valid("u2")), ..add };
    assert_eq!(word(&harbour.run_unchanged(taken, &operator)), "name_conflict");
    let elsewhere = EnsureMember { organization: valid("tenant-2"), ..member("u1", "eva@example.com", "Eva") };
    assert_eq!(word(&harbour.run_unchanged(elsewhere, &operator)), "not_found");

    // A removed member keeps the id in history only.
    let actor = |harbour: &Harbour, external| external_actor(&valid("tenant-1"), &valid(external), &harbour.world);
    assert_eq!(actor(&harbour, "u2").unwrap(), Actor::member(made.id, dora.id));
    harbour.run(member("u1", "eva@example.com", "Eva").admin(), &operator).unwrap();
    let eva = actor(&harbour, "u1").unwrap();
    harbour.run(RemoveMember::new(dora.id), &eva).unwrap();
    assert_eq!(actor(&harbour, "u2").unwrap_err().code(), Code::NotFound);
    let again = harbour.run(member("u2", "dora@example.com", "Dora"), &operator).unwrap();
    assert_ne!(again.id, dora.id);
    // No API key was made for anybody, but with `AddMember`.
    assert_eq!(harbour.ask(&ListApiKeys, &eva).unwrap().len(), 0);
    assert_eq!(word(&harbour.run_unchanged(tenant("x"), &eva)), "not_authorized");
}
