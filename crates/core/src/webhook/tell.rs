//! Telling webhooks what happened, in the commit in which it happens; and disabling one.

use super::{Disabled, Webhook};
use crate::command::Context;
use crate::error::Error;
use crate::id::IncidentId;
use crate::incident::AuditEvent;
use crate::outbox::{Inbox, Message, Recipient, put};
use crate::team::Role;
use crate::world::{Change, Write};

/// The most notifications that wait for a webhook. One more disables it: whoever reads them has long stopped.
const MOST_WAITING: u64 = 10_000;
/// The most admins who get a mail about a webhook that was disabled: the first who joined.
const ADMINS: usize = 50;

/// Writes notifications of new events of an incident for the webhooks that want them.
pub(crate) fn tell(cx: &mut Context<'_>, incident_id: IncidentId, events: &[AuditEvent]) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    for webhook in cx.world.webhooks()?.into_iter().filter(|webhook| webhook.disabled.is_none()) {
        let mut wanted = events.iter().filter(|event| webhook.events.want(event.event.name())).peekable();
        if wanted.peek().is_none() {
            continue;
        }
        let waiting = |inbox: Inbox| inbox.waiting().min(inbox.last.saturating_sub(webhook.skip_through));
        if cx.inbox(webhook.recipient())?.is_some_and(|inbox| waiting(inbox) >= MOST_WAITING) {
            disable(cx, webhook, format!("{MOST_WAITING} events wait for it"))?;
            continue;
        }
        for event in wanted {
            put(cx, webhook.recipient(), Message::Event { incident_id, event_id: event.id })?;
        }
    }
    Ok(())
}

/// Lets what waits for a webhook be claimed at once, unless somebody holds it; gives the inbox in which it waits.
pub(super) fn hurry(cx: &mut Context<'_>, recipient: Recipient) -> Result<Option<Inbox>, Error> {
    let Some(inbox) = cx.inbox(recipient)?.filter(|inbox| !inbox.is_empty()) else { return Ok(None) };
    // A claim counts as an attempt before it can fail.
    let held = cx.world.notification(recipient, inbox.first)?.is_some_and(|first| first.attempts != first.failures);
    if !held && cx.now < inbox.ready_at {
        cx.write_inbox(Some(inbox), Inbox { ready_at: cx.now, ..inbox });
    }
    Ok(Some(inbox))
}

/// Disables a webhook, and tells the admins by mail.
pub(crate) fn disable(cx: &mut Context<'_>, before: Webhook, reason: String) -> Result<(), Error> {
    hurry(cx, before.recipient())?;
    // When members cannot be read, nobody gets a mail: the webhook must end all the same.
    let members = cx.world.members().unwrap_or_default();
    let admins = members.into_iter().filter(|member| member.role == Role::Admin).take(ADMINS);
    for admin in admins {
        let (webhook_id, name) = (before.id, before.name.clone());
        let message = Message::WebhookDisabled { webhook_id, name, reason: reason.clone() };
        put(cx, Recipient::Member(admin.id), message)?;
    }
    let after = Webhook { disabled: Some(Disabled { at: cx.now, reason }), ..before.clone() };
    cx.write(Write::Webhook(Box::new(Change::edited(before, after))));
    Ok(())
}
