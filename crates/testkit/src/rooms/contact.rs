//! Contact methods and notification rules: the operations, the model, and both sides of each operation.

use dogwatch_core::Actor;
use dogwatch_core::contact::{
    AddContactMethod, ContactAddress, ContactMethodView, GetNotificationRules, ListContactMethods, NotificationRule,
    NotificationRules, RemoveContactMethod, RenameContactMethod, SetNotificationRules, TestContactMethod,
    VerifyContactMethod, built_in,
};
use dogwatch_core::id::{ContactMethodId, Id, UserId};
use dogwatch_core::outbox::Message;
use dogwatch_store::Engine;

use arbitrary::{Result, Unstructured};
use std::time::Duration;

use super::Org;
use super::escalation::{Content, RecipientModel};
use crate::fixture::{did, valid};
use crate::model::{Expected, Millis, ensure};
use crate::ops::{Pick, name, pick};
use crate::run::{Run, agree, millis};

const MINUTE: Millis = 60_000;

/// An operation on contact methods and notification rules.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum ContactOp {
    /// Adds one of the addresses.
    Add {
        name: String,
        address: usize,
    },
    Rename {
        method: Pick,
        name: String,
    },
    Remove {
        method: Pick,
    },
    /// With the code that was sent, if it was seen, or with another one.
    Verify {
        method: Pick,
        right: bool,
    },
    Test {
        method: Pick,
    },
    /// Sets rules: of a method (`None`: the built-in one) after some minutes.
    Rules {
        rules: Vec<(Option<Pick>, u16)>,
    },
    /// Looks at the methods of a member.
    List {
        user: Option<Pick>,
    },
}

pub(super) fn operation(source: &mut Unstructured<'_>, org: usize) -> Result<ContactOp> {
    let rule = |source: &mut Unstructured<'_>| -> Result<(Option<Pick>, u16)> {
        let method = if source.ratio(1_u8, 3)? { None } else { Some(pick(source, org)?) };
        Ok((method, *source.choose(&[0, 0, 1, 5, 60, 1_440])?))
    };
    Ok(match source.int_in_range(0..=15)? {
        0..=3 => ContactOp::Add { name: name(source)?, address: source.int_in_range(0..=3)? },
        4 => ContactOp::Rename { method: pick(source, org)?, name: name(source)? },
        5 => ContactOp::Remove { method: pick(source, org)? },
        6..=8 => ContactOp::Verify { method: pick(source, org)?, right: source.ratio(3_u8, 4)? },
        9 => ContactOp::Test { method: pick(source, org)? },
        10..=13 => {
            let count = source.int_in_range(0..=3)?;
            ContactOp::Rules { rules: (0..count).map(|_| rule(source)).collect::<Result<_>>()? }
        }
        _ => ContactOp::List { user: if source.arbitrary()? { Some(pick(source, org)?) } else { None } },
    })
}

fn address(number: usize) -> ContactAddress {
    match number {
        0 => ContactAddress::Email(valid("pager@example.com")),
        1 => ContactAddress::Webhook(valid("https://hooks.example.com/on-call?key=a")),
        2 => ContactAddress::Ntfy(valid("http://ntfy.example.com/on-call")),
        _ => ContactAddress::Slack,
    }
}

/// A contact method that was added, as the model keeps it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Contact {
    pub id: String,
    pub user: usize,
    pub name: String,
    pub address: usize,
    pub created: Millis,
    pub verified: bool,
    /// The code, once somebody has seen it in the outbox.
    pub code: Option<String>,
    pub tries: u32,
    pub tested: Option<Millis>,
    pub removed: bool,
}

/// What a member has set.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Settings {
    /// A method (`None`: the built-in one), and the minutes after a page.
    pub rules: Vec<(Option<usize>, u16)>,
    /// When a test was last sent to the built-in method.
    pub tested: Option<Millis>,
    /// When codes were sent.
    pub codes: Vec<Millis>,
}

impl Org {
    /// The method with this place, if it is there and the member's own.
    fn own(&self, actor: usize, index: Option<usize>) -> Expected<usize> {
        let here = |index: &usize| self.contacts[*index].user == actor && !self.contacts[*index].removed;
        index.filter(here).ok_or("not_found")
    }

    /// Whether another code may be sent for a member: ten an hour are.
    fn may_have_code(&self, user: usize, now: Millis) -> bool {
        let sent = self.settings.get(&user).map(|settings| settings.codes.as_slice()).unwrap_or_default();
        sent.iter().filter(|at| **at <= now && now < **at + 60 * MINUTE).count() < 10
    }

    fn settings(&mut self, user: usize) -> &mut Settings {
        self.settings.entry(user).or_default()
    }

    /// The ways in which a page reaches a member, each with the minutes after it.
    pub(super) fn ways(&self, user: usize) -> Vec<(RecipientModel, u16)> {
        let rules = self.settings.get(&user).map(|settings| settings.rules.clone()).unwrap_or_default();
        let way = |(method, minutes): (Option<usize>, u16)| match method {
            Some(method) => (RecipientModel::Method(user, method), minutes),
            None => (RecipientModel::Member(user), minutes),
        };
        if rules.is_empty() { vec![(RecipientModel::Member(user), 0)] } else { rules.into_iter().map(way).collect() }
    }

    /// Takes the methods and rules of a member who leaves.
    pub(super) fn leave_contacts(&mut self, user: usize) {
        self.contacts.iter_mut().filter(|one| one.user == user).for_each(|one| one.removed = true);
        self.settings.remove(&user);
    }

    /// Whether a recipient is a contact method that was removed.
    pub(super) fn is_gone(&self, recipient: RecipientModel) -> bool {
        matches!(recipient, RecipientModel::Method(_, method) if self.contacts[method].removed)
    }

    fn shown_contacts(&self, user: usize) -> Vec<String> {
        let member = &self.members[user];
        let mut shown = vec![format!("built-in {} {} verified {}", member.id, member.email, member.joined)];
        // An id begins with the instant at which it was made.
        let mut others: Vec<_> = self.contacts.iter().filter(|one| one.user == user && !one.removed).collect();
        others.sort_by(|a, b| a.id.cmp(&b.id));
        for one in others {
            let (address, verified) = (address(one.address), if one.verified { "verified" } else { "not verified" });
            shown.push(format!("{} {:?} {} {verified} {}", one.id, one.name, address.as_str(), one.created));
        }
        shown
    }
}

fn shown(view: &ContactMethodView) -> String {
    let (created, verified) = (millis(view.created_at), if view.verified { "verified" } else { "not verified" });
    if view.id == built_in(view.user_id) {
        return format!(
            "built-in {} {} {verified} {created}",
            view.user_id,
            view.address.as_deref().unwrap_or_default()
        );
    }
    let address = view.address.as_deref().unwrap_or_default();
    format!("{} {:?} {address} {verified} {created}", view.id, view.name.as_str())
}

/// Verifies a contact method, and has a page wait for it that is not due yet.
pub(super) fn fill(engine: &Engine, admin: &Actor) {
    let added = did(engine, AddContactMethod::new(valid("Pager"), address(2)), admin);
    let claimed = engine.claim(100, Duration::from_secs(60)).unwrap();
    let code = claimed.iter().find_map(|one| match &one.message {
        Message::Code { code } => Some(code.as_ref().unwrap().reveal().to_owned()),
        _ => None,
    });
    did(engine, VerifyContactMethod::new(added.id, code.unwrap()), admin);
    let receipts: Vec<_> = claimed.iter().map(dogwatch_core::outbox::Notification::receipt).collect();
    engine.confirm(&receipts).unwrap();
    did(engine, AddContactMethod::new(valid("Hook"), address(1)), admin);
    let rules = vec![NotificationRule::new(added.id, 0).unwrap(), NotificationRule::new(added.id, 1_440).unwrap()];
    did(engine, SetNotificationRules::new(NotificationRules::new(rules).unwrap()), admin);
}

impl Run<'_> {
    /// The id of a method, and its place if it is one of the organization's.
    fn method(&self, pick: Pick, org: usize) -> (ContactMethodId, Option<usize>) {
        let contacts = &self.orgs[pick.org].contacts;
        let place = pick.index.filter(|_| !contacts.is_empty()).map(|index| index % contacts.len());
        match place {
            Some(place) => (valid(&contacts[place].id), Some(place).filter(|_| pick.org == org)),
            None => (ContactMethodId::from_bytes([0xEE; 16]), None),
        }
    }

    /// The built-in method of the acting member, who may never have been one.
    fn built_in_of(&self, org: usize, me: usize) -> ContactMethodId {
        let member = self.orgs[org].members.get(me);
        built_in(member.map_or_else(|| UserId::from_bytes([0xEE; 16]), |member| valid(&member.id)))
    }

    pub(super) fn contact_op(&mut self, op: &ContactOp, org: usize, me: usize, actor: &Actor) {
        let now = self.now();
        match op {
            ContactOp::Add { name, address: number } => {
                let model = &self.orgs[org];
                let count = model.contacts.iter().filter(|one| one.user == me && !one.removed).count();
                let expected = model.actor(me).and_then(|_| {
                    ensure(count < 9, "limit_reached")?;
                    ensure(model.may_have_code(me, now), "too_many_requests")
                });
                let command = AddContactMethod::new(valid(name), address(*number));
                if let Some((made, ())) = agree(self.subject().execute(command, actor), expected, op) {
                    let model = &mut self.orgs[org];
                    model.contacts.push(Contact {
                        id: made.id.to_string(),
                        user: me,
                        name: name.clone(),
                        address: *number,
                        created: now,
                        verified: false,
                        code: None,
                        tries: 5,
                        tested: None,
                        removed: false,
                    });
                    // One from the future, for a clock that jumps, is forgotten.
                    model.settings(me).codes.retain(|at| *at <= now);
                    model.settings(me).codes.push(now);
                    let recipient = RecipientModel::Method(me, model.contacts.len() - 1);
                    model.notify(recipient, Content::Code, now, now);
                }
            }
            ContactOp::Rename { method, name } => {
                let (id, index) = self.method(*method, org);
                let model = &self.orgs[org];
                let expected = model.actor(me).and_then(|_| model.own(me, index));
                if let Some((view, index)) =
                    agree(self.subject().execute(RenameContactMethod::new(id, valid(name)), actor), expected, op)
                {
                    name.clone_into(&mut self.orgs[org].contacts[index].name);
                    assert_eq!(view.name.as_str(), name);
                }
            }
            ContactOp::Remove { method } => {
                let (id, index) = self.method(*method, org);
                let model = &self.orgs[org];
                let expected = model.actor(me).and_then(|_| model.own(me, index));
                let outcome = self.subject().execute(RemoveContactMethod::new(id), actor);
                if let Some((_, index)) = agree(outcome, expected, op) {
                    let model = &mut self.orgs[org];
                    model.contacts[index].removed = true;
                    model.settings(me).rules.retain(|(method, _)| *method != Some(index));
                }
            }
            ContactOp::Verify { method, right } => self.verify(op, (*method, *right), org, me, actor),
            ContactOp::Test { method } => self.test(op, *method, org, me, actor),
            ContactOp::Rules { rules } => self.set_rules(op, rules, org, me, actor),
            ContactOp::List { user } => {
                let picked = user.map(|user| self.user(user, org));
                let model = &self.orgs[org];
                let (id, who) = match &picked {
                    Some((id, who)) => (Some(valid(id)), *who),
                    None => (None, Some(me)),
                };
                let expected = model.actor(me).and_then(|_| {
                    ensure(who == Some(me) || model.members[me].admin, "not_authorized")?;
                    let who = who.filter(|who| !model.members[*who].removed).ok_or("not_found")?;
                    Ok(model.shown_contacts(who))
                });
                let outcome = self.subject().query(&ListContactMethods { user_id: id }, actor);
                if let Some((views, expected)) = agree(outcome, expected, op) {
                    assert_eq!(views.iter().map(shown).collect::<Vec<_>>(), expected);
                }
            }
        }
    }

    fn verify(&mut self, op: &ContactOp, (method, right): (Pick, bool), org: usize, me: usize, actor: &Actor) {
        let now = self.now();
        let (id, index) = self.method(method, org);
        let model = &self.orgs[org];
        let expected = model.actor(me).and_then(|_| model.own(me, index));
        let known = index.and_then(|index| model.contacts[index].code.clone()).filter(|_| right);
        let command = VerifyContactMethod::new(id, known.clone().unwrap_or_else(|| "no code".to_owned()));
        if let Some((view, index)) = agree(self.subject().execute(command, actor), expected, op) {
            let contact = &mut self.orgs[org].contacts[index];
            let open = !contact.verified && contact.tries > 0 && now < contact.created + 10 * MINUTE;
            if open {
                contact.tries -= 1;
                contact.verified = known.is_some();
            }
            assert_eq!(view.is_some(), contact.verified);
        }
    }

    fn test(&mut self, op: &ContactOp, method: Pick, org: usize, me: usize, actor: &Actor) {
        let now = self.now();
        let (id, index) = self.method(method, org);
        // A method that nobody made stands for the built-in one here.
        let id = if method.index.is_none() { self.built_in_of(org, me) } else { id };
        let model = &self.orgs[org];
        let often = |last: Option<Millis>| last.is_some_and(|last| last <= now && now < last + MINUTE);
        let expected = model.actor(me).and_then(|_| {
            if method.index.is_none() {
                let last = model.settings.get(&me).and_then(|settings| settings.tested);
                return ensure(!often(last), "too_many_requests").map(|()| None);
            }
            let index = model.own(me, index)?;
            ensure(model.contacts[index].verified, "invalid_contact_method")?;
            ensure(!often(model.contacts[index].tested), "too_many_requests").map(|()| Some(index))
        });
        if let Some((_, index)) = agree(self.subject().execute(TestContactMethod::new(id), actor), expected, op) {
            let model = &mut self.orgs[org];
            let recipient = match index {
                Some(index) => {
                    model.contacts[index].tested = Some(now);
                    RecipientModel::Method(me, index)
                }
                None => {
                    model.settings(me).tested = Some(now);
                    RecipientModel::Member(me)
                }
            };
            model.notify(recipient, Content::Test, now, now);
        }
    }

    fn set_rules(&mut self, op: &ContactOp, rules: &[(Option<Pick>, u16)], org: usize, me: usize, actor: &Actor) {
        let mine = self.built_in_of(org, me);
        let named: Vec<_> = rules
            .iter()
            .map(|(method, minutes)| match method.map(|method| self.method(method, org)) {
                Some((id, index)) => (id, Some(index), *minutes),
                None => (mine, None, *minutes),
            })
            .collect();
        let made = named.iter().map(|(id, _, minutes)| NotificationRule::new(*id, i64::from(*minutes)).unwrap());
        // A rule that is there twice is refused before it gets to a command.
        let Ok(made) = NotificationRules::new(made.collect()) else { return };
        let model = &self.orgs[org];
        let expected = model.actor(me).and_then(|_| {
            let mut here = Vec::new();
            for (_, index, minutes) in &named {
                let method = match index {
                    None => None,
                    Some(index) => {
                        let own = model.own(me, *index).ok().filter(|index| model.contacts[*index].verified);
                        Some(own.ok_or("invalid_contact_method")?)
                    }
                };
                here.push((method, *minutes));
            }
            Ok(here)
        });
        if let Some((set, here)) =
            agree(self.subject().execute(SetNotificationRules::new(made.clone()), actor), expected, op)
        {
            assert_eq!(set, made);
            self.orgs[org].settings(me).rules = here;
            assert_eq!(self.subject().query(&GetNotificationRules, actor).unwrap(), made);
        }
    }

    /// Learns the code of a contact method from the notification that carries it.
    pub(super) fn learn_code(&mut self, org: usize, recipient: RecipientModel, message: &Message) {
        if let (RecipientModel::Method(_, index), Message::Code { code: Some(code) }) = (recipient, message) {
            self.orgs[org].contacts[index].code = Some(code.reveal().to_owned());
        }
    }

    pub(super) fn compare_contacts(&self, org: usize, actor: &Actor) {
        let model = &self.orgs[org];
        for (index, member) in model.members.iter().enumerate().filter(|(_, member)| !member.removed) {
            let list = ListContactMethods { user_id: Some(valid(&member.id)) };
            let got = self.subject().query(&list, actor).unwrap();
            assert_eq!(got.iter().map(shown).collect::<Vec<_>>(), model.shown_contacts(index));
        }
    }
}
