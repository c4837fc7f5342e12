//! Queries: what waits for a member, and the pages of an incident.

use std::collections::BTreeMap;

use super::{DeliveryState, Message, Notification, PageReason, Recipient};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::contact::ContactMethodKind;
use crate::error::Error;
use crate::id::{ContactMethodId, IncidentId, NotificationId, PageId, UserId};
use crate::time::Timestamp;

seal!(ListNotifications, ListPages);

/// The notifications that wait to be delivered to a member over their built-in contact method, in order, at most 100 (contract, section 9). Codes: `not_found`.
///
/// ```
/// use dogwatch_core::UserId;
/// use dogwatch_core::outbox::ListNotifications;
/// # let ben = UserId::parse("user_0190a8f3b4c07d2e8f1a2b3c4d5e6f70").unwrap();
/// let first = ListNotifications::new(ben);
/// let rest = ListNotifications { after: 100, ..first };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListNotifications {
    /// The member for whom they are, also a removed one.
    pub user_id: UserId,
    /// Only those whose [`Notification::number`] is greater; 0 for all.
    pub after: u64,
}

impl ListNotifications {
    /// The first 100.
    #[must_use]
    pub const fn new(user: UserId) -> Self {
        Self { user_id: user, after: 0 }
    }
}

/// The most notifications of one reply to [`ListNotifications`].
const LISTED: usize = 100;

impl Query for ListNotifications {
    type Caller = ByMember;
    type Reply = Vec<Notification>;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<Notification>, Error> {
        view.world.member(self.user_id)?.ok_or_else(|| Error::not_found("member"))?;
        view.world.notifications(Recipient::Member(self.user_id), self.after, LISTED)
    }
}

/// The most pages that are shown of an incident.
const PAGES: usize = 200;

/// The last 200 pages of an incident, oldest first, each with its deliveries (contract, section 9). What has ended is dropped after 30
/// days. Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPages {
    /// The incident.
    pub incident_id: IncidentId,
}

impl ListPages {
    /// The pages of this incident.
    #[must_use]
    pub const fn new(incident_id: IncidentId) -> Self {
        Self { incident_id }
    }
}

/// The reply to [`ListPages`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct PageList {
    /// The pages, oldest first.
    pub pages: Vec<PageView>,
}

/// A page as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct PageView {
    /// The page's id.
    pub id: PageId,
    /// The incident.
    pub incident_id: IncidentId,
    /// The user who was paged.
    pub user_id: UserId,
    /// The reason.
    pub reason: PageReason,
    /// When it was written.
    pub created_at: Timestamp,
    /// Its deliveries, in the order in which they are due.
    pub deliveries: Vec<DeliveryView>,
}

/// A delivery as callers see it: one way in which a page reaches its user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct DeliveryView {
    /// The delivery's id.
    pub id: NotificationId,
    /// The page that it is a part of.
    pub page_id: PageId,
    /// The contact method over which it goes.
    pub contact_method_id: ContactMethodId,
    /// The kind of that.
    pub kind: ContactMethodKind,
    /// What has become of it.
    pub state: DeliveryState,
    /// When it is due.
    pub due_at: Timestamp,
    /// How often it was tried, or is being tried.
    pub attempts: u32,
    /// Why it could not be sent the last time.
    pub last_error: Option<String>,
    /// When it was delivered.
    pub delivered_at: Option<Timestamp>,
}

impl Query for ListPages {
    type Caller = ByMember;
    type Reply = PageList;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<PageList, Error> {
        view.world.incident(self.incident_id)?.ok_or_else(|| Error::not_found("incident"))?;
        let mut all = view.world.pages_of(self.incident_id, PAGES)?;
        all.sort_by_key(|one| (one.due_at, one.id));
        let mut pages: BTreeMap<PageId, PageView> = BTreeMap::new();
        for one in all {
            let (Some((user_id, contact_method_id, kind)), Message::Page { page_id: id, incident_id, reason }) =
                (one.recipient.member(), &one.message)
            else {
                continue;
            };
            let page = pages.entry(*id).or_insert_with(|| PageView {
                id: *id,
                incident_id: *incident_id,
                user_id,
                reason: *reason,
                created_at: one.created_at,
                deliveries: Vec::new(),
            });
            page.deliveries.push(DeliveryView {
                id: one.id,
                page_id: *id,
                contact_method_id,
                kind,
                state: one.state(),
                due_at: one.due_at,
                attempts: one.attempts,
                delivered_at: one.delivered_at(),
                last_error: one.last_error,
            });
        }
        let mut pages: Vec<_> = pages.into_values().collect();
        pages.sort_by_key(|page| (page.created_at, page.id));
        Ok(PageList { pages })
    }
}
