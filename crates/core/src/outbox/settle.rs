//! What becomes of a claimed notification: it was delivered, is tried again, or has failed. What becomes of a page stands in the audit
//! trail of its incident, in the same commit.

use std::time::Duration;

use super::claim::{edit_page, first_of, held, is_gone, is_superseded};
use super::{DeliveryEnd, DeliveryState, Inbox, Message, Notification, Receipt, Recipient, next_event_try, next_try};
use crate::command::{Context, Decision};
use crate::error::Error;
use crate::id::{IdSource, IncidentId};
use crate::incident::{Event, note};
use crate::time::Timestamp;
use crate::webhook::disable;
use crate::world::{Change, State, Write};

/// Confirms that a claimed notification was delivered; `false` when it is not the first of its inbox any more: it was confirmed
/// before, or withdrawn. It does not matter whether the lease is over: delivered is delivered.
///
/// `sent_as` is what its sender finds it by, if it can be changed: at most 200 bytes, longer ones are not kept. Such a page shows what
/// becomes of its incident ([`Message::Edit`]).
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn confirm(
    receipt: &Receipt,
    sent_as: Option<&str>,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<bool>, Error> {
    let world = state.world(receipt.org);
    let mut cx = Context::new(&*world, now, ids);
    let Some(inbox) =
        world.inbox(receipt.recipient)?.filter(|inbox| !inbox.is_empty() && inbox.first == receipt.number)
    else {
        return cx.decided(false);
    };
    let before = first_of(&cx, &inbox)?;
    // Something may have become of the incident while the page was being sent.
    let late = is_superseded(&cx, &before);
    let after = end(&mut cx, inbox, before, DeliveryEnd::Delivered, |after| {
        let is_page = matches!(after.message, Message::Page { .. });
        after.sent_as = sent_as.filter(|sent_as| is_page && sent_as.len() <= SENT_AS).map(str::to_owned);
    })?;
    if late {
        edit_page(&mut cx, &after)?;
    }
    if let (Some((user_id, contact_method_id, kind)), Message::Page { page_id, incident_id, .. }) =
        (after.recipient.member(), &after.message)
    {
        tell(&mut cx, *incident_id, [Event::PageDelivered { page_id: *page_id, user_id, contact_method_id, kind }]);
    }
    cx.decided(true)
}

/// Tells of a page in its incident. One that cannot be read must not keep the inbox from going on: then nothing is told.
fn tell(cx: &mut Context<'_>, incident: IncidentId, events: impl IntoIterator<Item = Event>) {
    let _ = cx.whole(|cx| note(cx, incident, events));
}

/// The most bytes of what a notification was sent as.
const SENT_AS: usize = 200;

/// Takes the first notification out of its inbox, with its end, and what else changes of it.
fn end(
    cx: &mut Context<'_>,
    inbox: Inbox,
    before: Notification,
    how: DeliveryEnd,
    change: impl FnOnce(&mut Notification),
) -> Result<Notification, Error> {
    let message = before.message.clone().ended();
    let failures = before.failures.saturating_add(u32::from(how == DeliveryEnd::Failed));
    let mut after = Notification { ended: Some((cx.now, how)), message, failures, ..before.clone() };
    change(&mut after);
    let shorter = Inbox { first: inbox.first.saturating_add(1), ready_at: cx.now, ..inbox };
    // The inbox of an invited person never holds anything but the one invitation, so it is deleted; and so is that of a contact method
    // which is gone, with the last that it held.
    let gone = match inbox.recipient {
        Recipient::Member(_) => false,
        Recipient::Invited(_) => true,
        Recipient::Method { .. } => shorter.is_empty() && is_gone(cx, inbox.recipient)?,
        Recipient::Webhook(id) => shorter.is_empty() && cx.world.webhook(id)?.is_none(),
    };
    let rest = Some(shorter).filter(|_| !gone);
    cx.write(Write::Notification(Box::new(Change::edited(before, after.clone()))));
    cx.write(Write::Inbox(Change { before: Some(inbox), after: rest }));
    Ok(after)
}

/// The most characters that are kept of a reason.
const REASON: usize = 100;

/// A reason as it is kept: in one line, and not too long.
fn kept(reason: &str) -> String {
    reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON).collect()
}

/// Ends a claimed notification that cannot be delivered, for good: it leaves its inbox, and the next one may be claimed. `false` when
/// it is not held under this claim any more.
///
/// Nothing is forgotten silently: a page becomes an event of the audit trail of its incident, `page_failed`, and when no other delivery
/// of the page was made or may be, also `page_undeliverable`. An invitation stays pending; an admin sees it there. With an event, its
/// webhook is disabled, and the admins get a mail.
///
/// Of `reason` 100 characters are kept.
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn fail(
    receipt: &Receipt,
    reason: &str,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<bool>, Error> {
    let world = state.world(receipt.org);
    let mut cx = Context::new(&*world, now, ids);
    let Some((inbox, notification)) = held(&cx, receipt)? else { return cx.decided(false) };
    fail_for_good(&mut cx, inbox, notification, reason)?;
    cx.decided(true)
}

pub(super) fn fail_for_good(
    cx: &mut Context<'_>,
    inbox: Inbox,
    before: Notification,
    reason: &str,
) -> Result<(), Error> {
    let failed = end(cx, inbox, before, DeliveryEnd::Failed, |after| after.last_error = Some(kept(reason)))?;
    let reason = failed.last_error.clone().unwrap_or_default();
    if let (Recipient::Webhook(id), Message::Event { .. }) = (failed.recipient, &failed.message)
        && let Some(webhook) = cx.world.webhook(id)?.filter(|webhook| webhook.disabled.is_none())
    {
        return disable(cx, webhook, reason);
    }
    let (Some((user_id, contact_method_id, kind)), Message::Page { page_id, incident_id, reason: why }) =
        (failed.recipient.member(), &failed.message)
    else {
        return Ok(());
    };
    let mut events = vec![Event::PageFailed { page_id: *page_id, user_id, contact_method_id, kind, reason }];
    let may_arrive = |other: &Notification| matches!(other.state(), DeliveryState::Waiting | DeliveryState::Delivered);
    // When the others cannot be read, nothing is said of the page.
    let others = cx.world.deliveries_of(*incident_id, *page_id);
    if others.is_ok_and(|others| !others.iter().any(|other| other.id != failed.id && may_arrive(other))) {
        let (page_id, paged_at) = (*page_id, failed.created_at);
        events.push(Event::PageUndeliverable { page_id, user_id, reason: *why, paged_at });
    }
    tell(cx, *incident_id, events);
    Ok(())
}

/// What [`retry`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// The notification is not held under this claim any more.
    NotHeld,
    /// It can be claimed again from this instant on.
    At(Timestamp),
    /// It has failed for good: it was tried for long enough.
    Failed,
}

/// Ends the claim of a notification that could not be sent now: it can be claimed again after a while (see [`next_try`]), or has
/// failed as with [`fail`] when an hour has passed since it was due and it was tried three times. An event for a webhook has failed after
/// about three days (see [`next_event_try`]), and a test of one at once. A change of what was sent keeps nothing behind it waiting. `asked` is how long the other side asks to wait.
///
/// Of `reason` 100 characters are kept.
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn retry(
    receipt: &Receipt,
    reason: &str,
    asked: Option<Duration>,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<Retried>, Error> {
    let world = state.world(receipt.org);
    let mut cx = Context::new(&*world, now, ids);
    let Some((inbox, before)) = held(&cx, receipt)? else { return cx.decided(Retried::NotHeld) };
    let failures = before.failures.saturating_add(1);
    let next = match (before.recipient, &before.message) {
        (Recipient::Webhook(_), Message::Test) => None,
        (Recipient::Webhook(_), _) => next_event_try(failures, before.id, now, asked),
        (_, Message::Edit { .. }) => next_try(failures, before.created_at, now, asked),
        _ => next_try(failures, before.due_at, now, asked),
    };
    let Some(at) = next else {
        fail_for_good(&mut cx, inbox, before, reason)?;
        return cx.decided(Retried::Failed);
    };
    let mut after = Notification { failures, last_error: Some(kept(reason)), ..before.clone() };
    let rest = match before.message {
        // A page must not wait for a change of what was sent: that comes back when its time has come.
        Message::Edit { .. } => {
            (after.number, after.due_at) = (0, at);
            Inbox { first: inbox.first.saturating_add(1), ready_at: now, ..inbox }
        }
        _ => Inbox { ready_at: at, ..inbox },
    };
    cx.write(Write::Notification(Box::new(Change::edited(before, after))));
    cx.write(Write::Inbox(Change::edited(inbox, rest)));
    cx.decided(Retried::At(at))
}
