//! The outbox: every page is a delivery or several, written in the same commit as the change that caused it, and kept until each has
//! ended (contract, section 9). Invitations travel the same way (section 4), and what the webhooks of the organization
//! are told ([`crate::webhook`]).
//!
//! Each recipient has an [`Inbox`]: a queue of notifications, numbered in the order in which they became due. A member is a recipient
//! over each of their contact methods ([`crate::contact`]), so that none waits for another. Whoever
//! delivers claims the first notification of an inbox under a lease ([`claim`]). Confirmed ([`confirm`]), it leaves the inbox,
//! and the next may be claimed; given back ([`give_back`]) or unconfirmed, it can be claimed again after a while. One that could not be
//! sent is tried again ([`retry`]), until an hour after it was due, or fails for good ([`fail`]). So each is sent at least once or
//! ends otherwise, and no notification of a recipient is sent before an earlier one. A page that nobody needs any more, since its
//! incident was acknowledged, is resolved or was handed to somebody else, is superseded when it is claimed. A notification of a page is what
//! the contract calls a delivery. [`ListNotifications`] shows what waits for a member over their built-in contact method, [`ListPages`]
//! the pages of an incident and what became of each delivery.
//!
//! What pages whom is in [`crate::escalation`]; what fires it is in [`crate::ticks`].

mod claim;
mod model;
mod port;
mod query;
mod retry;
mod settle;

pub use claim::{Claimed, LONGEST_LEASE, claim, fall_due, give_back};
pub use model::{
    DeliveryEnd, DeliveryState, Inbox, Message, Notification, NotificationKind, PageReason, ReadyInbox, Receipt,
    Recipient, Transport,
};
pub use port::{DeliveryPort, OutboxPort};
pub use query::{DeliveryView, ListNotifications, ListPages, PageList, PageView};
pub use retry::{TRIED_FOR, next_event_try, next_try};
pub use settle::{Retried, confirm, fail, retry};

pub(crate) use claim::{edit_pages, page, put, withdraw};
