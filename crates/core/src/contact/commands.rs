//! Adding, verifying, testing, renaming and removing contact methods.

use std::time::Duration;

use super::query::built_in_of;
use super::rules::{set_rules, settings, unknown_or_unverified};
use super::{ContactAddress, ContactMethod, ContactMethodView, PendingCode, built_in};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::id::{ContactMethodId, UserId};
use crate::outbox::{Inbox, Message, Recipient, put};
use crate::secret::{Secret, SecretHash};
use crate::text::Name;
use crate::world::{Change, World, Write};
use crate::{checks, limits};

seal!(AddContactMethod, RenameContactMethod, RemoveContactMethod, VerifyContactMethod, TestContactMethod);

/// How long a code is valid, and how often one may be tried.
const CODE_TIME: Duration = Duration::from_secs(10 * 60);
const TRIES: u8 = 5;
/// The most codes that are sent for a member in an hour.
const CODES: usize = 10;
const CODES_IN: Duration = Duration::from_secs(60 * 60);

/// The contact method of the acting user with this id. Code: `not_found`.
fn own(world: &dyn World, user: UserId, id: ContactMethodId) -> Result<ContactMethod, Error> {
    world.contact_method(user, id)?.ok_or_else(|| Error::not_found("contact method"))
}

/// Refuses the built-in contact method, which is as it is. Code: `invalid_contact_method`.
fn not_built_in(user: UserId, id: ContactMethodId) -> Result<(), Error> {
    if id == built_in(user) {
        return Err(Error::refused(Code::InvalidContactMethod, "the built-in contact method stays as it is"));
    }
    Ok(())
}

/// The form in which a code is stored.
fn hash(id: ContactMethodId, code: &str) -> SecretHash {
    Secret::new(format!("{id}:{code}")).hash()
}

/// Adds a contact method for the acting user, and sends a code of six digits to it, valid for 10 minutes and 5 tries (contract,
/// section 9). Codes, in the order of the checks: `validation_error` (an address that [`ContactAddress::new`] refuses),
/// `limit_reached` (10 of a member, with the built-in one), `too_many_requests` (10 codes an hour).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddContactMethod {
    /// A name for it: 1–100 characters; it need not be unique.
    pub name: Name,
    /// Where it leads.
    pub address: ContactAddress,
}

impl AddContactMethod {
    /// A contact method with a name, and where it leads.
    #[must_use]
    pub const fn new(name: Name, address: ContactAddress) -> Self {
        Self { name, address }
    }
}

impl Command for AddContactMethod {
    type Caller = ByMember;
    type Reply = ContactMethodView;
    const CODES: &'static [Code] = &[Code::Validation, Code::LimitReached, Code::TooManyRequests];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<ContactMethodView, Error> {
        let me = by.user_id;
        self.address.check()?;
        let count = cx.world.contact_methods(me)?.len().saturating_add(1);
        checks::room_for_one(count, limits::CONTACT_METHODS, "contact methods")?;
        note_code(cx, me)?;
        let id: ContactMethodId = cx.ids.fresh(cx.now);
        let code = Secret::contact_code(cx.ids);
        let pending = PendingCode { hash: hash(id, code.reveal()), expires_at: cx.now.plus(CODE_TIME), tries: TRIES };
        let method = ContactMethod {
            id,
            org_id: cx.world.org_id(),
            user_id: me,
            name: self.name,
            address: self.address,
            created_at: cx.now,
            code: Some(pending),
            tested_at: None,
        };
        let (view, recipient) = (ContactMethodView::from(&method), method.recipient());
        cx.write(Write::ContactMethod(Box::new(Change::created(method))));
        put(cx, recipient, Message::Code { code: Some(code) })?;
        Ok(view)
    }
}

/// Notes that a code is sent. Whoever could have one as often as they like could guess one, and send mail to strangers without end.
/// Code: `too_many_requests`.
fn note_code(cx: &mut Context<'_>, user: UserId) -> Result<(), Error> {
    let (before, mut after) = settings(cx.world, user)?;
    // A clock that has jumped back keeps nobody waiting for long.
    after.codes_at.retain(|at| *at <= cx.now && cx.now < at.plus(CODES_IN));
    if after.codes_at.len() >= CODES {
        return Err(Error::refused(Code::TooManyRequests, "ten codes an hour are sent for one member"));
    }
    after.codes_at.push(cx.now);
    cx.write(Write::ContactSettings(Box::new(Change { before, after: Some(after) })));
    Ok(())
}

/// Renames a contact method of the acting user (contract, section 9). Codes, in the order of the checks: `invalid_contact_method`
/// (the built-in one), `not_found`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenameContactMethod {
    /// The contact method.
    pub id: ContactMethodId,
    /// Its new name: 1–100 characters; `None` keeps the old one.
    pub name: Option<Name>,
}

impl RenameContactMethod {
    /// The new name of this contact method.
    #[must_use]
    pub const fn new(id: ContactMethodId, name: Name) -> Self {
        Self { id, name: Some(name) }
    }
}

impl Command for RenameContactMethod {
    type Caller = ByMember;
    type Reply = ContactMethodView;
    const CODES: &'static [Code] = &[Code::InvalidContactMethod, Code::NotFound];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<ContactMethodView, Error> {
        not_built_in(by.user_id, self.id)?;
        let before = own(cx.world, by.user_id, self.id)?;
        let name = self.name.unwrap_or_else(|| before.name.clone());
        let after = ContactMethod { name, ..before.clone() };
        let view = ContactMethodView::from(&after);
        if after != before {
            cx.write(Write::ContactMethod(Box::new(Change::edited(before, after))));
        }
        Ok(view)
    }
}

/// Removes a contact method of the acting user, with its notification rules (contract, section 9). What waits for it fails when it
/// would be sent. Codes, in the order of the checks: `invalid_contact_method` (the built-in one), `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveContactMethod {
    /// The contact method.
    pub id: ContactMethodId,
}

impl RemoveContactMethod {
    /// The removal of this contact method.
    #[must_use]
    pub const fn new(id: ContactMethodId) -> Self {
        Self { id }
    }
}

impl Command for RemoveContactMethod {
    type Caller = ByMember;
    type Reply = ContactMethodId;
    const CODES: &'static [Code] = &[Code::InvalidContactMethod, Code::NotFound];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<ContactMethodId, Error> {
        not_built_in(by.user_id, self.id)?;
        let method = own(cx.world, by.user_id, self.id)?;
        remove(cx, method)?;
        set_rules(cx, by.user_id, |rules| rules.retain(|rule| rule.contact_method_id != self.id))?;
        Ok(self.id)
    }
}

/// Verifies a contact method of the acting user with the code that was sent to it (contract, section 9). One that is verified stays so.
/// A wrong code costs a try. Codes, in the order of the checks: `not_found`, `invalid_code`.
///
/// The reply is `None` for a code that is wrong, too late, or one too many, which callers are told as `invalid_code`. It is no refusal
/// here, because it changes something: a try is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyContactMethod {
    /// The contact method.
    pub id: ContactMethodId,
    /// The code, as it was typed.
    pub code: Secret,
}

impl VerifyContactMethod {
    /// The verification of this contact method with a code.
    #[must_use]
    pub fn new(id: ContactMethodId, code: impl Into<String>) -> Self {
        Self { id, code: Secret::new(code) }
    }
}

impl Command for VerifyContactMethod {
    type Caller = ByMember;
    type Reply = Option<ContactMethodView>;
    const CODES: &'static [Code] = &[Code::NotFound, Code::InvalidCode];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<Option<ContactMethodView>, Error> {
        if self.id == built_in(by.user_id) {
            return built_in_of(cx.world, by.user_id).map(Some);
        }
        let before = own(cx.world, by.user_id, self.id)?;
        let Some(code) = before.code else { return Ok(Some(ContactMethodView::from(&before))) };
        if code.tries == 0 || code.expires_at <= cx.now {
            return Ok(None);
        }
        let fits = hash(self.id, self.code.reveal().trim()) == code.hash;
        let left = PendingCode { tries: code.tries.saturating_sub(1), ..code };
        let after = ContactMethod { code: Some(left).filter(|_| !fits), ..before.clone() };
        let view = fits.then(|| ContactMethodView::from(&after));
        cx.write(Write::ContactMethod(Box::new(Change::edited(before, after))));
        Ok(view)
    }
}

/// Sends a test message to a contact method of the acting user, at most one a minute (contract, section 9). Codes, in the order of the
/// checks: `not_found`, `invalid_contact_method` (not verified), `too_many_requests`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestContactMethod {
    /// The contact method.
    pub id: ContactMethodId,
}

impl TestContactMethod {
    /// The test of this contact method.
    #[must_use]
    pub const fn new(id: ContactMethodId) -> Self {
        Self { id }
    }
}

impl Command for TestContactMethod {
    type Caller = ByMember;
    type Reply = ContactMethodId;
    const CODES: &'static [Code] = &[Code::NotFound, Code::InvalidContactMethod, Code::TooManyRequests];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<ContactMethodId, Error> {
        let me = by.user_id;
        let recipient = if self.id == built_in(me) {
            let (before, mut after) = settings(cx.world, me)?;
            checks::not_tested_lately(cx.now, after.tested_at, "contact method")?;
            after.tested_at = Some(cx.now);
            cx.write(Write::ContactSettings(Box::new(Change { before, after: Some(after) })));
            Recipient::Member(me)
        } else {
            let before = own(cx.world, me, self.id)?;
            if !before.is_verified() {
                return Err(unknown_or_unverified());
            }
            checks::not_tested_lately(cx.now, before.tested_at, "contact method")?;
            let after = ContactMethod { tested_at: Some(cx.now), ..before.clone() };
            let recipient = after.recipient();
            cx.write(Write::ContactMethod(Box::new(Change::edited(before, after))));
            recipient
        };
        put(cx, recipient, Message::Test)?;
        Ok(self.id)
    }
}

/// Removes a contact method, and its inbox if nothing waits there.
fn remove(cx: &mut Context<'_>, method: ContactMethod) -> Result<(), Error> {
    if let Some(inbox) = cx.world.inbox(method.recipient())?.filter(Inbox::is_empty) {
        cx.write(Write::Inbox(Change::gone(inbox)));
    }
    cx.write(Write::ContactMethod(Box::new(Change::gone(method))));
    Ok(())
}

/// Removes the contact methods and rules of a member who leaves.
pub(crate) fn leave_contacts(cx: &mut Context<'_>, user: UserId) -> Result<(), Error> {
    for method in cx.world.contact_methods(user)? {
        remove(cx, method)?;
    }
    if let Some(settings) = cx.world.contact_settings(user)? {
        cx.write(Write::ContactSettings(Box::new(Change::gone(settings))));
    }
    Ok(())
}
