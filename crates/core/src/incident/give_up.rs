//! Giving up on a page that can never be delivered.

use super::Event;
use super::draft::Draft;
use crate::command::{Context, Decision};
use crate::error::Error;
use crate::id::IdSource;
use crate::outbox::{Message, Receipt, take_out};
use crate::time::Timestamp;
use crate::world::State;

/// Gives up on a claimed notification, for good: it leaves its inbox undelivered, and the next one may be claimed. `false` when it
/// is not held under this claim any more.
///
/// Nothing is forgotten silently: a page becomes an event of the audit trail of its incident, `page_undeliverable`. An invitation
/// stays pending; an admin sees it there.
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn give_up(
    receipt: &Receipt,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<bool>, Error> {
    let world = state.world(receipt.org());
    let mut cx = Context::new(&*world, now, ids);
    let Some(notification) = take_out(&mut cx, receipt)? else { return Ok(cx.decided(false)) };
    if let (Some(user_id), Message::Page { incident_id, reason }) = (notification.user(), &notification.message) {
        let incident = cx.world.incident(*incident_id)?;
        let incident = incident.ok_or_else(|| Error::broken("a page without its incident"))?;
        let mut draft = Draft::of(incident, cx.now);
        let (page_id, paged_at) = (notification.id, notification.created_at);
        draft.event(cx.ids, None, Event::PageUndeliverable { page_id, user_id, reason: *reason, paged_at });
        draft.finish(&mut cx);
    }
    Ok(cx.decided(true))
}
