//! `dogwatch deliveries`: what waits to be delivered, and what has failed and why.

use dogwatch_store::rules::outbox::Recipient;
use serde_json::json;

use crate::cli::DeliveriesArgs;
use crate::desk::Desk;
use crate::failure::Failure;

/// `dogwatch deliveries`
pub(crate) fn run(args: &DeliveriesArgs, desk: &mut Desk) -> Result<(), Failure> {
    let engine = desk.engine(&args.data)?;
    for one in engine.undelivered(args.limit)? {
        let invitation = match one.recipient {
            Recipient::Invited(id) => Some(id.to_string()),
            _ => None,
        };
        let webhook = match one.recipient {
            Recipient::Webhook(id) => Some(id.to_string()),
            _ => None,
        };
        desk.print(&json!({
            "id": one.id.to_string(),
            "orgId": one.org_id.to_string(),
            "message": one.message.kind().as_str(),
            "state": one.state().as_str(),
            "incidentId": one.incident().map(|id| id.to_string()),
            "userId": one.user().map(|id| id.to_string()),
            "invitationId": invitation,
            "webhookId": webhook,
            "contactMethodId": one.recipient.contact_method().map(|id| id.to_string()),
            "kind": one.transport().as_str(),
            "dueAt": one.due_at.to_string(),
            "attempts": one.attempts,
            "lastError": one.last_error,
            "endedAt": one.ended.map(|(at, _)| at.to_string()),
        }))?;
    }
    Ok(())
}
