//! Organization webhooks: admins have what happens to incidents sent to URLs, signed as Standard Webhooks 1.0.0 says (contract,
//! section 9).
//!
//! A [`Webhook`] says where, and which events. Each event of an incident that it wants becomes a notification in its inbox
//! ([`crate::outbox`]) in the same commit, so that none is lost and they go out in their order, one at a time. One that cannot be sent is
//! tried again for about three days ([`next_event_try`](crate::outbox::next_event_try)); then the webhook is disabled, and the admins get
//! a mail. While it is disabled nothing is written for it, and what waits is superseded.
//!
//! Secrets are not stored: a [`WebhookSecret`] is derived from the [`MasterKey`](crate::link::MasterKey) of the installation, the
//! webhook's id and a generation, which rotating counts up.

mod commands;
mod model;
mod port;
mod query;
mod secret;
mod tell;

pub use commands::{CreateWebhook, DeleteWebhook, EditWebhook, EnableWebhook, RotateWebhookSecret, TestWebhook};
pub use model::{Disabled, Rotated, Webhook, WebhookEvents, endpoint_url};
pub use port::WebhookPort;
pub use query::{
    GetWebhook, ListWebhookDeliveries, ListWebhooks, WebhookDeliveryKind, WebhookDeliveryView, WebhookView,
};
pub use secret::{OLD_SECRET, WebhookSecret};

pub(crate) use tell::{disable, tell};
