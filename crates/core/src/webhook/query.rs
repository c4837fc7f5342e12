//! Webhooks, and what was sent to them, as admins see them.

use super::commands::find;
use super::{Webhook, WebhookEvents};
use crate::caller::ByAdmin;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::error::Error;
use crate::id::{AuditEventId, IncidentId, NotificationId, WebhookId};
use crate::outbox::{DeliveryState, Message, Notification};
use crate::text::{HttpUrl, Name};
use crate::time::Timestamp;
use crate::words::words;

seal!(GetWebhook, ListWebhooks, ListWebhookDeliveries);

/// The most deliveries that are shown of a webhook.
const DELIVERIES: usize = 100;

/// A webhook as admins see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct WebhookView {
    /// The webhook's id.
    pub id: WebhookId,
    /// Its name.
    pub name: Name,
    /// Where it leads.
    pub url: HttpUrl,
    /// The events that it wants.
    pub events: WebhookEvents,
    /// Whether the text of internal updates is sent, too.
    pub include_internal: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// Since when nothing is sent to it; `None` while it is enabled.
    pub disabled_at: Option<Timestamp>,
    /// Why it was disabled.
    pub disabled_reason: Option<String>,
    /// The generation of its secret, for whoever derives it.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub generation: u32,
}

impl From<&Webhook> for WebhookView {
    fn from(webhook: &Webhook) -> Self {
        Self {
            id: webhook.id,
            name: webhook.name.clone(),
            url: webhook.url.clone(),
            events: webhook.events.clone(),
            include_internal: webhook.include_internal,
            created_at: webhook.created_at,
            disabled_at: webhook.disabled.as_ref().map(|disabled| disabled.at),
            disabled_reason: webhook.disabled.as_ref().map(|disabled| disabled.reason.clone()),
            generation: webhook.generation,
        }
    }
}

/// One webhook (contract, section 9). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetWebhook {
    /// The webhook.
    pub id: WebhookId,
}

impl GetWebhook {
    /// The question for this webhook.
    #[must_use]
    pub const fn new(id: WebhookId) -> Self {
        Self { id }
    }
}

impl Query for GetWebhook {
    type Caller = ByAdmin;
    type Reply = WebhookView;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByAdmin, view: &View<'_>) -> Result<WebhookView, Error> {
        Ok(WebhookView::from(&find(view.world, self.id)?))
    }
}

/// All webhooks, oldest first (contract, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListWebhooks;

impl Query for ListWebhooks {
    type Caller = ByAdmin;
    type Reply = Vec<WebhookView>;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByAdmin, view: &View<'_>) -> Result<Vec<WebhookView>, Error> {
        Ok(view.world.webhooks()?.iter().map(WebhookView::from).collect())
    }
}

words! {
    /// What is sent to a webhook.
    WebhookDeliveryKind, "kind of delivery", "must be `event` or `test`" {
        /// `event`: something happened to an incident.
        Event = "event",
        /// `test`: the webhook is tried out.
        Test = "test",
    }
}

/// What was sent to a webhook, or waits to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct WebhookDeliveryView {
    /// The delivery's id.
    pub id: NotificationId,
    /// What it is.
    #[cfg_attr(feature = "serde", serde(rename = "type"))]
    pub kind: WebhookDeliveryKind,
    /// The event; `None` for a test.
    pub event_id: Option<AuditEventId>,
    /// The incident of the event.
    pub incident_id: Option<IncidentId>,
    /// What has become of it.
    pub state: DeliveryState,
    /// When it was written.
    pub created_at: Timestamp,
    /// How often it was tried, or is being tried.
    pub attempts: u32,
    /// Why it could not be sent the last time.
    pub last_error: Option<String>,
    /// When it was delivered.
    pub delivered_at: Option<Timestamp>,
}

impl From<Notification> for WebhookDeliveryView {
    fn from(one: Notification) -> Self {
        let (kind, event_id, incident_id) = match one.message {
            Message::Event { incident_id, event_id } => (WebhookDeliveryKind::Event, Some(event_id), Some(incident_id)),
            _ => (WebhookDeliveryKind::Test, None, None),
        };
        Self {
            id: one.id,
            kind,
            event_id,
            incident_id,
            state: one.state(),
            created_at: one.created_at,
            attempts: one.attempts,
            delivered_at: one.delivered_at(),
            last_error: one.last_error,
        }
    }
}

/// The last 100 deliveries to a webhook, newest first (contract, section 9). What has ended is dropped after 30 days. Codes:
/// `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListWebhookDeliveries {
    /// The webhook.
    pub id: WebhookId,
}

impl ListWebhookDeliveries {
    /// The question for the deliveries to this webhook.
    #[must_use]
    pub const fn new(id: WebhookId) -> Self {
        Self { id }
    }
}

impl Query for ListWebhookDeliveries {
    type Caller = ByAdmin;
    type Reply = Vec<WebhookDeliveryView>;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByAdmin, view: &View<'_>) -> Result<Vec<WebhookDeliveryView>, Error> {
        find(view.world, self.id)?;
        let found = view.world.webhook_deliveries(self.id, DELIVERIES)?;
        Ok(found.into_iter().map(WebhookDeliveryView::from).collect())
    }
}
