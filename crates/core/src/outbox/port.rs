//! How the rules read inboxes and notifications.

use super::{Inbox, Notification, ReadyInbox, Recipient, Transport};
use crate::error::Error;
use crate::id::{IncidentId, PageId};
use crate::time::Timestamp;

/// The inboxes of one organization and the notifications in them, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait OutboxPort {
    /// A recipient's inbox; `None` when nothing was ever put into it.
    fn inbox(&self, recipient: Recipient) -> Result<Option<Inbox>, Error> {
        let _ = recipient;
        Ok(None)
    }
    /// The notification with this number in a recipient's inbox; `None` once it is delivered.
    fn notification(&self, recipient: Recipient, number: u64) -> Result<Option<Notification>, Error> {
        let _ = (recipient, number);
        Ok(None)
    }
    /// The notifications in a recipient's inbox whose number is greater than `after`, in order, at most `limit`.
    fn notifications(&self, recipient: Recipient, after: u64, limit: usize) -> Result<Vec<Notification>, Error> {
        let _ = (recipient, after, limit);
        Ok(Vec::new())
    }
    /// The notifications of the newest pages of an incident, at most so many pages; also those that have ended, in any order.
    fn pages_of(&self, incident: IncidentId, most: usize) -> Result<Vec<Notification>, Error> {
        let _ = (incident, most);
        Ok(Vec::new())
    }
    /// The notifications of the newest pages of an incident that were delivered in a way that can be changed
    /// ([`Notification::sent_as`]), at most so many, in any order.
    fn editable(&self, incident: IncidentId, most: usize) -> Result<Vec<Notification>, Error> {
        let _ = (incident, most);
        Ok(Vec::new())
    }
    /// The notifications of one page of an incident, also those that have ended, in any order.
    fn deliveries_of(&self, incident: IncidentId, page: PageId) -> Result<Vec<Notification>, Error> {
        let _ = (incident, page);
        Ok(Vec::new())
    }
}

/// The inboxes of all organizations that are not empty. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait DeliveryPort {
    /// The inboxes over a transport whose first notification can be claimed at `now`, in their order (longest ready first):
    /// those behind `after`, or from the first on with `None`; at most `limit`.
    fn ready_inboxes(
        &self,
        transport: Transport,
        now: Timestamp,
        after: Option<&ReadyInbox>,
        limit: usize,
    ) -> Result<Vec<ReadyInbox>, Error> {
        let _ = (transport, now, after, limit);
        Ok(Vec::new())
    }
    /// Notifications that were written for later and are due at `now`, the earliest first, at most `limit`.
    fn later_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Notification>, Error> {
        let _ = (now, limit);
        Ok(Vec::new())
    }
    /// The first instant later than `now` at which an inbox becomes ready to be claimed from, or a notification is due that was
    /// written for later; `None` when there is none.
    fn next_ready(&self, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let _ = now;
        Ok(None)
    }
}
