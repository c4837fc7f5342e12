//! How the rules read webhooks.

use super::Webhook;
use crate::error::Error;
use crate::id::WebhookId;
use crate::outbox::Notification;

/// The webhooks of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait WebhookPort {
    /// The webhook with this id.
    fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, Error> {
        let _ = id;
        Ok(None)
    }
    /// All webhooks, oldest first. Every change of an incident asks for them.
    fn webhooks(&self) -> Result<Vec<Webhook>, Error> {
        Ok(Vec::new())
    }
    /// The newest notifications of a webhook, also those that have ended, newest first; at most `limit`.
    fn webhook_deliveries(&self, id: WebhookId, limit: usize) -> Result<Vec<Notification>, Error> {
        let _ = (id, limit);
        Ok(Vec::new())
    }
}
