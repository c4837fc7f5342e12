//! Writing notifications, claiming them, and giving them back.

use std::time::Duration;

use super::settle::fail_for_good;
use super::{DeliveryEnd, Inbox, Message, Notification, PageReason, ReadyInbox, Receipt, Recipient};
use crate::command::{Context, Decision};
use crate::contact::{Way, deliveries};
use crate::error::Error;
use crate::id::{IdSource, IncidentId, InvitationId, UserId};
use crate::time::Timestamp;
use crate::webhook::Webhook;
use crate::world::{Change, State, Write};

/// The longest lease: an hour. Longer ones are cut to it.
pub const LONGEST_LEASE: Duration = Duration::from_secs(60 * 60);
/// The longest time for which a notification is given back: a day. Longer ones are cut to it.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Pages a user about an incident.
pub(crate) fn page(
    cx: &mut Context<'_>,
    incident: IncidentId,
    user: UserId,
    reason: PageReason,
    at: Timestamp,
) -> Result<(), Error> {
    let page_id = cx.ids.fresh(at);
    for (place, way) in deliveries(cx.world, user)?.into_iter().enumerate() {
        let Way { recipient, delay } = way;
        let message = Message::Page { page_id, incident_id: incident, reason };
        let mut one = new(cx, recipient, message, at);
        one.place = u8::try_from(place).unwrap_or(u8::MAX);
        if delay.is_zero() {
            put_in(cx, one)?;
        } else {
            one.due_at = at.plus(delay);
            cx.write(Write::Notification(Box::new(Change::created(one))));
        }
    }
    Ok(())
}

/// Puts a new notification with a message into the inbox of its recipient.
pub(crate) fn put(cx: &mut Context<'_>, recipient: Recipient, message: Message) -> Result<(), Error> {
    let one = new(cx, recipient, message, cx.now);
    put_in(cx, one)
}

/// The most pages of an incident that are changed where they were sent.
const EDITED: usize = 200;

/// Has the pages of an incident that were sent in a way that can be changed show what has become of it: those since the last handoff, as
/// the others show that already.
pub(crate) fn edit_pages(cx: &mut Context<'_>, incident: IncidentId, since: Option<Timestamp>) -> Result<(), Error> {
    for page in cx.world.editable(incident, EDITED)? {
        if since.is_none_or(|since| since <= page.created_at) {
            edit_page(cx, &page)?;
        }
    }
    Ok(())
}

/// As [`edit_pages`], for one that was delivered.
pub(super) fn edit_page(cx: &mut Context<'_>, page: &Notification) -> Result<(), Error> {
    let (Message::Page { incident_id, reason, .. }, Some(sent_as)) = (&page.message, &page.sent_as) else {
        return Ok(());
    };
    if is_gone(cx, page.recipient)? {
        return Ok(());
    }
    let edit = Message::Edit { incident_id: *incident_id, reason: *reason, sent_as: sent_as.clone() };
    put(cx, page.recipient, edit)
}

/// Deletes the notification of an invitation, if it is not delivered, whether it is claimed now or not.
pub(crate) fn withdraw(cx: &mut Context<'_>, invitation: InvitationId) -> Result<(), Error> {
    let Some(inbox) = cx.world.inbox(Recipient::Invited(invitation))? else { return Ok(()) };
    cx.write(Write::Notification(Box::new(Change::gone(first_of(cx, &inbox)?))));
    cx.write(Write::Inbox(Change::gone(inbox)));
    Ok(())
}

/// A notification that is in no inbox yet.
fn new(cx: &mut Context<'_>, recipient: Recipient, message: Message, at: Timestamp) -> Notification {
    Notification {
        id: cx.ids.fresh(at),
        org_id: cx.world.org_id(),
        recipient,
        message,
        created_at: at,
        place: 0,
        due_at: at,
        attempts: 0,
        failures: 0,
        last_error: None,
        sent_as: None,
        ended: None,
        number: 0,
    }
}

/// Puts a new notification into the inbox of its recipient.
fn put_in(cx: &mut Context<'_>, mut one: Notification) -> Result<(), Error> {
    one.number = take_place(cx, one.recipient)?;
    cx.write(Write::Notification(Box::new(Change::created(one))));
    Ok(())
}

/// Makes a place at the end of an inbox, and gives its number.
fn take_place(cx: &mut Context<'_>, recipient: Recipient) -> Result<u64, Error> {
    let before = cx.inbox(recipient)?;
    let mut inbox = before.unwrap_or(Inbox::empty(cx.world.org_id(), recipient));
    if inbox.is_empty() {
        inbox.ready_at = cx.now;
    }
    inbox.last = inbox.last.saturating_add(1);
    cx.write_inbox(before, inbox);
    Ok(inbox.last)
}

/// Puts a notification whose time has come into the inbox of its recipient.
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn fall_due(
    later: Notification,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<()>, Error> {
    let world = state.world(later.org_id);
    let mut cx = Context::new(&*world, now, ids);
    let number = take_place(&mut cx, later.recipient)?;
    let due = Notification { number, ..later.clone() };
    cx.write(Write::Notification(Box::new(Change::edited(later, due))));
    cx.decided(())
}

/// What [`claim`] found in an inbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claimed {
    /// The notification that was claimed; `None` if there is none to claim now.
    pub notification: Option<Notification>,
    /// How many have ended before it without being sent.
    pub superseded: usize,
}

/// The most notifications that one claim supersedes, so that it ends.
const SUPERSEDED: usize = 100;

/// Claims the first notification of an inbox for the length of the lease, an hour at most, unless none can be claimed now. Pages at
/// the head of the inbox that nobody needs any more are superseded: they leave it, and are not sent; so are events for a webhook that is
/// disabled or gone. At most a hundred are at once. One whose contact method is gone has failed.
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn claim(
    ready: &ReadyInbox,
    lease: Duration,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<Claimed>, Error> {
    let world = state.world(ready.org_id);
    let mut cx = Context::new(&*world, now, ids);
    let mut claimed = Claimed::default();
    let can_be_claimed = |inbox: &Inbox| !inbox.is_empty() && inbox.ready_at <= now;
    let Some(before) = world.inbox(ready.recipient)?.filter(can_be_claimed) else { return cx.decided(claimed) };
    let webhook = match ready.recipient {
        Recipient::Webhook(id) => Some(world.webhook(id)?),
        _ => None,
    };
    let not_needed = |cx: &Context<'_>, one: &Notification| match &webhook {
        Some(webhook) => is_skipped(webhook.as_ref(), one),
        None => is_superseded(cx, one),
    };
    let mut inbox = before;
    while !inbox.is_empty() {
        let first = first_of(&cx, &inbox)?;
        if is_gone(&cx, first.recipient)? {
            // Its end is told of in the incident, which a decision changes once: what comes behind it waits for the next claim.
            if claimed.superseded == 0 {
                claimed.superseded = 1;
                fail_for_good(&mut cx, before, first, "the contact method was removed")?;
                return cx.decided(claimed);
            }
            break;
        }
        if !not_needed(&cx, &first) {
            let attempts = first.attempts.saturating_add(1);
            let leased = Notification { attempts, ..first.clone() };
            cx.write(Write::Notification(Box::new(Change::edited(first, leased.clone()))));
            inbox.ready_at = now.plus(lease.min(LONGEST_LEASE));
            claimed.notification = Some(leased);
            break;
        }
        if claimed.superseded == SUPERSEDED {
            break;
        }
        let ended = Notification { ended: Some((now, DeliveryEnd::Superseded)), ..first.clone() };
        cx.write(Write::Notification(Box::new(Change::edited(first, ended))));
        inbox.first = inbox.first.saturating_add(1);
        inbox.ready_at = now;
        claimed.superseded = claimed.superseded.saturating_add(1);
    }
    // The inbox of a webhook that is gone goes with the last that it held.
    let rest = Some(inbox).filter(|inbox| !inbox.is_empty() || webhook != Some(None));
    cx.write(Write::Inbox(Change { before: Some(before), after: rest }));
    cx.decided(claimed)
}

/// Whether a recipient is a contact method that is there no more.
pub(super) fn is_gone(cx: &Context<'_>, recipient: Recipient) -> Result<bool, Error> {
    let Recipient::Method { user, method, .. } = recipient else { return Ok(false) };
    Ok(cx.world.contact_method(user, method)?.is_none())
}

/// Whether a webhook is not told something any more: it is gone or disabled, or was when this began to wait.
fn is_skipped(webhook: Option<&Webhook>, one: &Notification) -> bool {
    let skips = |webhook: &Webhook| webhook.disabled.is_some() || one.number <= webhook.skip_through;
    webhook.is_none_or(|webhook| one.message != Message::Test && skips(webhook))
}

/// Whether nobody needs a page any more: its incident is resolved, has been acknowledged since, or was handed to somebody else.
pub(super) fn is_superseded(cx: &Context<'_>, notification: &Notification) -> bool {
    let Message::Page { incident_id, .. } = notification.message else { return false };
    // A page of an incident that cannot be read is sent: it must not keep those behind it from being sent.
    let Ok(Some(incident)) = cx.world.incident(incident_id) else { return false };
    // In doubt about two instants of one millisecond, a page is sent.
    let handed_off = incident.handed_off_at.is_some_and(|at| notification.created_at < at);
    // A handoff takes an acknowledgement back, and so does a worse alert: one that is there has come since.
    let worsened = incident.worsened_at.is_some_and(|at| notification.created_at < at);
    let acknowledged = worsened || incident.acknowledged.is_some();
    incident.is_resolved() || acknowledged || handed_off && incident.owner_id != notification.user()
}

/// Gives a claimed notification back, to be claimed again when `after` has passed, a day at most; `false` when it is not held
/// under this claim any more. Until then it is still held under this claim, so that this also makes a claim longer.
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn give_back(
    receipt: &Receipt,
    after: Duration,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<bool>, Error> {
    let world = state.world(receipt.org);
    let mut cx = Context::new(&*world, now, ids);
    let Some((inbox, _)) = held(&cx, receipt)? else { return cx.decided(false) };
    let ready = Inbox { ready_at: now.plus(after.min(LONGEST_WAIT)), ..inbox };
    cx.write(Write::Inbox(Change::edited(inbox, ready)));
    cx.decided(true)
}

/// The inbox of a claimed notification, and the notification; `None` when it is not held under this claim any more.
pub(super) fn held(cx: &Context<'_>, receipt: &Receipt) -> Result<Option<(Inbox, Notification)>, Error> {
    let leased = |inbox: &Inbox| !inbox.is_empty() && inbox.first == receipt.number && cx.now < inbox.ready_at;
    let Some(inbox) = cx.world.inbox(receipt.recipient)?.filter(leased) else { return Ok(None) };
    let notification = first_of(cx, &inbox)?;
    Ok((notification.attempts == receipt.attempt).then_some((inbox, notification)))
}

/// The first notification of an inbox that is not empty.
pub(super) fn first_of(cx: &Context<'_>, inbox: &Inbox) -> Result<Notification, Error> {
    let first = cx.world.notification(inbox.recipient, inbox.first)?;
    first.ok_or_else(|| Error::broken("an inbox without its first notification"))
}
