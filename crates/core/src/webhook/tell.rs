//! Telling webhooks what happened, in the commit in which it happens; and disabling one.

use super::{Disabled, Webhook};
use crate::command::Context;
use crate::error::Error;
use crate::id::IncidentId;
use crate::incident::AuditEvent;
use crate::outbox::{Message, Recipient, put};
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
        if cx.inbox(webhook.recipient())?.is_some_and(|inbox| inbox.waiting() >= MOST_WAITING) {
            disable(cx, webhook, format!("{MOST_WAITING} events wait for it"))?;
            continue;
        }
        for event in wanted {
            put(cx, webhook.recipient(), Message::Event { incident_id, event_id: event.id })?;
        }
    }
    Ok(())
}

/// Disables a webhook, and tells the admins by mail.
pub(crate) fn disable(cx: &mut Context<'_>, before: Webhook, reason: String) -> Result<(), Error> {
    let members = cx.world.members()?;
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
