//! Creating, changing, deleting, testing and enabling webhooks, and rotating their secrets.

use super::tell::hurry;
use super::{Rotated, Webhook, WebhookEvents, WebhookView};
use crate::caller::ByAdmin;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::id::WebhookId;
use crate::outbox::{Inbox, Message, put};
use crate::text::{HttpUrl, Name};
use crate::world::{Change, World, Write};
use crate::{checks, limits};

seal!(CreateWebhook, EditWebhook, DeleteWebhook, RotateWebhookSecret, TestWebhook, EnableWebhook);

/// The webhook with this id. Code: `not_found`.
pub(super) fn find(world: &dyn World, id: WebhookId) -> Result<Webhook, Error> {
    world.webhook(id)?.ok_or_else(|| Error::not_found("webhook"))
}

/// Refuses events that [`WebhookEvents::new`] does. Code: `validation_error`.
fn check_events(events: &WebhookEvents) -> Result<(), Error> {
    WebhookEvents::new(&events.names())?;
    Ok(())
}

/// Writes a webhook if it has changed, and gives it as it is shown.
fn changed(cx: &mut Context<'_>, before: Webhook, after: Webhook) -> WebhookView {
    let view = WebhookView::from(&after);
    if after != before {
        cx.write(Write::Webhook(Box::new(Change::edited(before, after))));
    }
    view
}

/// Creates a webhook (contract, section 9). Its secret is [`WebhookSecret::of`](super::WebhookSecret::of) its id and the generation 0.
/// Codes, in the order of the checks: `validation_error` (a URL that is not `https`, events that
/// [`WebhookEvents::new`] refuses), `limit_reached` (50 of an organization).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateWebhook {
    /// Its name: 1–100 characters; it need not be unique.
    pub name: Name,
    /// Where it leads; it begins with `https://`.
    pub url: HttpUrl,
    /// The events that it wants.
    pub events: WebhookEvents,
    /// Whether the text of internal updates is sent, too.
    pub include_internal: bool,
}

impl CreateWebhook {
    /// A webhook that wants every event, without the text of internal updates.
    #[must_use]
    pub const fn new(name: Name, url: HttpUrl) -> Self {
        Self { name, url, events: WebhookEvents::All, include_internal: false }
    }
}

impl Command for CreateWebhook {
    type Caller = ByAdmin;
    type Reply = WebhookView;
    const CODES: &'static [Code] = &[Code::Validation, Code::LimitReached];

    fn decide(self, by: ByAdmin, cx: &mut Context<'_>) -> Result<WebhookView, Error> {
        self.url.need_https("url")?;
        check_events(&self.events)?;
        checks::room_for_one(cx.world.webhooks()?.len(), limits::WEBHOOKS, "webhooks")?;
        let webhook = Webhook {
            id: cx.ids.fresh(cx.now),
            org_id: cx.world.org_id(),
            name: self.name,
            url: self.url,
            events: self.events,
            include_internal: self.include_internal,
            created_by: by.user_id,
            created_at: cx.now,
            generation: 0,
            rotated: None,
            tested_at: None,
            disabled: None,
            skip_through: 0,
        };
        let view = WebhookView::from(&webhook);
        cx.write(Write::Webhook(Box::new(Change::created(webhook))));
        Ok(view)
    }
}

/// Changes a webhook (contract, section 9). Codes, in the order of the checks: `validation_error` (a URL that is not `https`, events that
/// [`WebhookEvents::new`] refuses),
/// `not_found`. Changing nothing succeeds and writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditWebhook {
    /// The webhook.
    pub id: WebhookId,
    /// Its new name; `None` keeps the old one.
    pub name: Option<Name>,
    /// Where it leads from now on, also what waits already; `None` keeps the old URL.
    pub url: Option<HttpUrl>,
    /// The events that it wants from now on; `None` keeps what it wants.
    pub events: Option<WebhookEvents>,
    /// Whether the text of internal updates is sent, too; `None` keeps it.
    pub include_internal: Option<bool>,
}

impl EditWebhook {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(id: WebhookId) -> Self {
        Self { id, name: None, url: None, events: None, include_internal: None }
    }
}

impl Command for EditWebhook {
    type Caller = ByAdmin;
    type Reply = WebhookView;
    const CODES: &'static [Code] = &[Code::Validation, Code::NotFound];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<WebhookView, Error> {
        self.url.as_ref().map_or(Ok(()), |url| url.need_https("url"))?;
        self.events.as_ref().map_or(Ok(()), check_events)?;
        let before = find(cx.world, self.id)?;
        let mut after = before.clone();
        after.name = self.name.unwrap_or(after.name);
        after.url = self.url.unwrap_or(after.url);
        after.events = self.events.unwrap_or(after.events);
        after.include_internal = self.include_internal.unwrap_or(after.include_internal);
        if after.url != before.url {
            // What could not be sent to the old one need not wait any more.
            hurry(cx, before.recipient())?;
        }
        Ok(changed(cx, before, after))
    }
}

/// Deletes a webhook (contract, section 9). What waits for it is superseded. Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteWebhook {
    /// The webhook.
    pub id: WebhookId,
}

impl DeleteWebhook {
    /// The deletion of this webhook.
    #[must_use]
    pub const fn new(id: WebhookId) -> Self {
        Self { id }
    }
}

impl Command for DeleteWebhook {
    type Caller = ByAdmin;
    type Reply = WebhookId;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<WebhookId, Error> {
        let webhook = find(cx.world, self.id)?;
        if let Some(inbox) = cx.world.inbox(webhook.recipient())?.filter(Inbox::is_empty) {
            cx.write(Write::Inbox(Change::gone(inbox)));
        }
        cx.write(Write::Webhook(Box::new(Change::gone(webhook))));
        Ok(self.id)
    }
}

/// Gives a webhook a new secret (contract, section 9): that of the next generation. The one before it signs, too, for a day. Codes:
/// `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotateWebhookSecret {
    /// The webhook.
    pub id: WebhookId,
}

impl RotateWebhookSecret {
    /// A new secret for this webhook.
    #[must_use]
    pub const fn new(id: WebhookId) -> Self {
        Self { id }
    }
}

impl Command for RotateWebhookSecret {
    type Caller = ByAdmin;
    type Reply = WebhookView;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<WebhookView, Error> {
        let before = find(cx.world, self.id)?;
        let mut after = before.clone();
        after.rotated = Some(Rotated { at: cx.now, generation: before.generation });
        after.generation = before.generation.saturating_add(1);
        Ok(changed(cx, before, after))
    }
}

/// Sends a test to a webhook, also to one that is disabled, at most one a minute (contract, section 9). It is tried once. Codes, in the
/// order of the checks: `not_found`, `too_many_requests`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestWebhook {
    /// The webhook.
    pub id: WebhookId,
}

impl TestWebhook {
    /// The test of this webhook.
    #[must_use]
    pub const fn new(id: WebhookId) -> Self {
        Self { id }
    }
}

impl Command for TestWebhook {
    type Caller = ByAdmin;
    type Reply = WebhookId;
    const CODES: &'static [Code] = &[Code::NotFound, Code::TooManyRequests];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<WebhookId, Error> {
        let before = find(cx.world, self.id)?;
        checks::not_tested_lately(cx.now, before.tested_at, "webhook")?;
        put(cx, before.recipient(), Message::Test)?;
        let after = Webhook { tested_at: Some(cx.now), ..before.clone() };
        changed(cx, before, after);
        Ok(self.id)
    }
}

/// Enables a webhook that was disabled (contract, section 9): from now on, what happens is sent to it again. Codes: `not_found`. One that
/// is enabled stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnableWebhook {
    /// The webhook.
    pub id: WebhookId,
}

impl EnableWebhook {
    /// This webhook, enabled.
    #[must_use]
    pub const fn new(id: WebhookId) -> Self {
        Self { id }
    }
}

impl Command for EnableWebhook {
    type Caller = ByAdmin;
    type Reply = WebhookView;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByAdmin, cx: &mut Context<'_>) -> Result<WebhookView, Error> {
        let before = find(cx.world, self.id)?;
        let mut after = Webhook { disabled: None, ..before.clone() };
        // It starts with what happens from now on.
        if before.disabled.is_some()
            && let Some(inbox) = hurry(cx, before.recipient())?
        {
            after.skip_through = inbox.last;
        }
        Ok(changed(cx, before, after))
    }
}
