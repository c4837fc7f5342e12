//! The outbox: every page is a notification, written in the same commit as the change that caused it, and kept until it is
//! delivered (contract, section 9). Invitations travel the same way (section 4).
//!
//! Each recipient has an [`Inbox`]: a queue of notifications, numbered in the order in which they were written. Whoever
//! delivers claims the first notification of an inbox under a lease ([`claim`]). Confirmed ([`confirm`]), it leaves the inbox,
//! and the next may be claimed; given back ([`give_back`]) or unconfirmed, it can be claimed again after a while. So each is
//! delivered at least once, and no notification of a recipient before an earlier one. One that can never be delivered is given
//! up ([`incident::give_up`](crate::incident::give_up)). [`ListNotifications`] shows what waits for a member.
//!
//! What pages whom is in [`crate::escalation`]; what fires it is in [`crate::ticks`].

mod retry;

pub use retry::{TRIED_FOR, next_try};

use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Context, Decision, Query, View, seal};
use crate::error::Error;
use crate::id::{Id, IdSource, IncidentId, InvitationId, NotificationId, OrgId, UserId};
use crate::secret::Secret;
use crate::text::EmailAddress;
use crate::time::Timestamp;
use crate::words::words;
use crate::world::{Change, State, Write};
use std::time::Duration;

seal!(ListNotifications);

words! {
    /// The kind of a notification: what it asks its recipient to do.
    NotificationKind, "notification kind", "must be `page` or `invitation`" {
        /// `page`: look at the incident, now.
        Page = "page",
        /// `invitation`: join the organization.
        Invitation = "invitation",
    }
}

words! {
    /// The reason why somebody is paged.
    PageReason, "reason of a page", "must be `escalation` or `handoff`" {
        /// `escalation`: a layer of the policy fired.
        Escalation = "escalation",
        /// `handoff`: the incident was handed to them.
        Handoff = "handoff",
    }
}

/// The recipient of a notification, who has an inbox. They sort by id, members and invited persons among each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// A user of the organization.
    Member(UserId),
    /// The person to whom an invitation goes, who is no user yet.
    Invited(InvitationId),
}

impl Ord for Recipient {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Recipient {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Recipient {
    /// What it sorts by: its id, and, should two have the same, the member first.
    fn order(self) -> ([u8; 16], bool) {
        match self {
            Self::Member(user) => (user.to_bytes(), false),
            Self::Invited(invitation) => (invitation.to_bytes(), true),
        }
    }

    /// The user; `None` for an invited person.
    #[must_use]
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::Member(user) => Some(user),
            Self::Invited(_) => None,
        }
    }
}

/// The content of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Look at an incident, now.
    Page {
        /// The incident to look at.
        incident_id: IncidentId,
        /// The reason for the page.
        reason: PageReason,
    },
    /// Join the organization.
    Invitation {
        /// The e-mail address to which it goes.
        email: EmailAddress,
        /// The token that accepts the invitation, in plain text; `None` once the delivery is confirmed.
        token: Option<Secret>,
    },
}

impl Message {
    /// The kind of a notification with this content.
    #[must_use]
    pub const fn kind(&self) -> NotificationKind {
        match self {
            Self::Page { .. } => NotificationKind::Page,
            Self::Invitation { .. } => NotificationKind::Invitation,
        }
    }

    /// The same, without what must not be kept once it is delivered.
    fn delivered(self) -> Self {
        match self {
            Self::Invitation { email, .. } => Self::Invitation { email, token: None },
            page @ Self::Page { .. } => page,
        }
    }
}

/// A row of the outbox: one page or invitation for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The notification's id.
    pub id: NotificationId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The recipient, in whose inbox it is.
    pub recipient: Recipient,
    /// Its content.
    pub message: Message,
    /// When it was written.
    pub created_at: Timestamp,
    /// How often it has been claimed.
    pub attempts: u32,
    /// When its delivery was confirmed; `None` while it waits. A delivered one is dropped 30 days later, unless the engine is
    /// set otherwise (contract, sections 9 and 14).
    pub delivered_at: Option<Timestamp>,
    /// 1, 2, 3 … in the order of writing among the notifications of the recipient.
    pub number: u64,
}

impl Receipt {
    /// The organization of the notification.
    pub(crate) const fn org(&self) -> OrgId {
        self.org
    }
}

impl Notification {
    /// The receipt of its present claim, with which it is confirmed or given back.
    #[must_use]
    pub const fn receipt(&self) -> Receipt {
        Receipt { org: self.org_id, recipient: self.recipient, number: self.number, attempt: self.attempts }
    }

    /// The user for whom it is; `None` for an invitation.
    #[must_use]
    pub const fn user(&self) -> Option<UserId> {
        self.recipient.user()
    }

    /// The incident of a page; `None` for an invitation.
    #[must_use]
    pub const fn incident(&self) -> Option<IncidentId> {
        match self.message {
            Message::Page { incident_id: incident, .. } => Some(incident),
            Message::Invitation { .. } => None,
        }
    }

    /// The reason for a page; `None` for an invitation.
    #[must_use]
    pub const fn reason(&self) -> Option<PageReason> {
        match self.message {
            Message::Page { reason, .. } => Some(reason),
            Message::Invitation { .. } => None,
        }
    }
}

/// A notification, and the claim under which it was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt {
    org: OrgId,
    recipient: Recipient,
    number: u64,
    attempt: u32,
}

/// The queue of a recipient's notifications that are not delivered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inbox {
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The recipient whose inbox it is.
    pub recipient: Recipient,
    /// The [`Notification::number`] of the first one that waits.
    pub first: u64,
    /// The [`Notification::number`] that was given last. The inbox is empty when it is below `first`.
    pub last: u64,
    /// The instant from which on the first one can be claimed: a lease or a give-back moves it into the future.
    pub ready_at: Timestamp,
}

impl Inbox {
    /// An inbox that never held anything.
    #[must_use]
    pub const fn empty(org: OrgId, recipient: Recipient) -> Self {
        Self { org_id: org, recipient, first: 1, last: 0, ready_at: Timestamp::MIN }
    }

    /// Whether nothing waits for delivery.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.last < self.first
    }
}

/// An inbox that is not empty, and since when its first notification can be claimed. They sort by that instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadyInbox {
    /// The instant from which on its first notification can be claimed.
    pub ready_at: Timestamp,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// The recipient whose inbox it is.
    pub recipient: Recipient,
}

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
}

/// The inboxes of all organizations that are not empty. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait DeliveryPort {
    /// The inboxes whose first notification can be claimed at `now`, in their order (longest ready first): those behind
    /// `after`, or from the first on with `None`; at most `limit`.
    fn ready_inboxes(
        &self,
        now: Timestamp,
        after: Option<&ReadyInbox>,
        limit: usize,
    ) -> Result<Vec<ReadyInbox>, Error> {
        let _ = (now, after, limit);
        Ok(Vec::new())
    }
    /// The first instant later than `now` at which an inbox becomes ready to be claimed from; `None` when there is none.
    fn next_ready(&self, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let _ = now;
        Ok(None)
    }
}

/// The longest lease, and the longest time for which a notification is given back: an hour. Longer ones are cut to it.
pub const LONGEST_LEASE: Duration = Duration::from_secs(60 * 60);

/// Pages a user about an incident. A command pages each user at most once, since the inbox is read as it is stored.
pub(crate) fn page(
    cx: &mut Context<'_>,
    incident: IncidentId,
    user: UserId,
    reason: PageReason,
    at: Timestamp,
) -> Result<(), Error> {
    notify(cx, Recipient::Member(user), Message::Page { incident_id: incident, reason }, at)
}

/// Sends an invitation with its token.
pub(crate) fn invite(
    cx: &mut Context<'_>,
    invitation: InvitationId,
    email: EmailAddress,
    token: Secret,
) -> Result<(), Error> {
    notify(cx, Recipient::Invited(invitation), Message::Invitation { email, token: Some(token) }, cx.now)
}

/// Deletes the notification of an invitation, if it is not delivered, whether it is claimed now or not.
pub(crate) fn withdraw(cx: &mut Context<'_>, invitation: InvitationId) -> Result<(), Error> {
    let Some(inbox) = cx.world.inbox(Recipient::Invited(invitation))? else { return Ok(()) };
    cx.write(Write::Notification(Change::gone(first_of(cx, &inbox)?)));
    cx.write(Write::Inbox(Change::gone(inbox)));
    Ok(())
}

/// Adds a notification to a recipient's inbox.
fn notify(cx: &mut Context<'_>, recipient: Recipient, message: Message, at: Timestamp) -> Result<(), Error> {
    let org = cx.world.org_id();
    let before = cx.world.inbox(recipient)?;
    let mut inbox = before.unwrap_or(Inbox::empty(org, recipient));
    if inbox.is_empty() {
        inbox.ready_at = cx.now;
    }
    inbox.last = inbox.last.saturating_add(1);
    let notification = Notification {
        id: cx.ids.fresh(at),
        org_id: org,
        recipient,
        message,
        created_at: at,
        attempts: 0,
        delivered_at: None,
        number: inbox.last,
    };
    cx.write(Write::Notification(Change::created(notification)));
    cx.write(Write::Inbox(Change { before, after: Some(inbox) }));
    Ok(())
}

/// Claims the first notification of an inbox for the length of the lease, an hour at most; `None` if it cannot be claimed now.
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn claim(
    ready: &ReadyInbox,
    lease: Duration,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<Option<Notification>>, Error> {
    let world = state.world(ready.org_id);
    let mut cx = Context::new(&*world, now, ids);
    let Some(inbox) = world.inbox(ready.recipient)?.filter(|inbox| !inbox.is_empty() && inbox.ready_at <= now) else {
        return Ok(cx.decided(None));
    };
    let before = first_of(&cx, &inbox)?;
    let claimed = Notification { attempts: before.attempts.saturating_add(1), ..before.clone() };
    let leased = Inbox { ready_at: now.plus(lease.min(LONGEST_LEASE)), ..inbox };
    cx.write(Write::Notification(Change::edited(before, claimed.clone())));
    cx.write(Write::Inbox(Change::edited(inbox, leased)));
    Ok(cx.decided(Some(claimed)))
}

/// Confirms that a claimed notification was delivered; `false` when it is not the first of its inbox any more: it was confirmed
/// before, or withdrawn. It does not matter whether the lease is over: delivered is delivered.
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn confirm(
    receipt: &Receipt,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<bool>, Error> {
    let world = state.world(receipt.org);
    let mut cx = Context::new(&*world, now, ids);
    let Some(inbox) =
        world.inbox(receipt.recipient)?.filter(|inbox| !inbox.is_empty() && inbox.first == receipt.number)
    else {
        return Ok(cx.decided(false));
    };
    let before = first_of(&cx, &inbox)?;
    let message = before.message.clone().delivered();
    let delivered = Notification { delivered_at: Some(now), message, ..before };
    let shorter = Inbox { first: inbox.first.saturating_add(1), ready_at: now, ..inbox };
    // The inbox of an invited person never holds anything but the one invitation, so it is deleted.
    let after = inbox.recipient.user().map(|_| shorter);
    cx.write(Write::Notification(Change::edited(before, delivered)));
    cx.write(Write::Inbox(Change { before: Some(inbox), after }));
    Ok(cx.decided(true))
}

/// Gives a claimed notification back, to be claimed again when `after` has passed, an hour at most; `false` when it is not held
/// under this claim any more.
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn give_back(
    receipt: &Receipt,
    after: Duration,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<bool>, Error> {
    let world = state.world(receipt.org);
    let mut cx = Context::new(&*world, now, ids);
    let Some((inbox, _)) = held(&cx, receipt)? else { return Ok(cx.decided(false)) };
    let ready = Inbox { ready_at: now.plus(after.min(LONGEST_LEASE)), ..inbox };
    cx.write(Write::Inbox(Change::edited(inbox, ready)));
    Ok(cx.decided(true))
}

/// The inbox of a claimed notification, and the notification; `None` when it is not held under this claim any more.
fn held(cx: &Context<'_>, receipt: &Receipt) -> Result<Option<(Inbox, Notification)>, Error> {
    let leased = |inbox: &Inbox| !inbox.is_empty() && inbox.first == receipt.number && cx.now < inbox.ready_at;
    let Some(inbox) = cx.world.inbox(receipt.recipient)?.filter(leased) else { return Ok(None) };
    let notification = first_of(cx, &inbox)?;
    Ok((notification.attempts == receipt.attempt).then_some((inbox, notification)))
}

/// Takes a notification that can never be delivered out of its inbox, so that the next may be claimed; gives it, or `None` when
/// it is not held under this claim any more.
pub(crate) fn take_out(cx: &mut Context<'_>, receipt: &Receipt) -> Result<Option<Notification>, Error> {
    let Some((inbox, notification)) = held(cx, receipt)? else { return Ok(None) };
    let shorter = Inbox { first: inbox.first.saturating_add(1), ready_at: cx.now, ..inbox };
    let after = inbox.recipient.user().map(|_| shorter);
    cx.write(Write::Notification(Change::gone(notification.clone())));
    cx.write(Write::Inbox(Change { before: Some(inbox), after }));
    Ok(Some(notification))
}

/// The notifications that wait to be delivered to a member, in order, at most 100 (contract, section 9). Codes: `not_found`.
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

/// The first notification of an inbox that is not empty.
fn first_of(cx: &Context<'_>, inbox: &Inbox) -> Result<Notification, Error> {
    let first = cx.world.notification(inbox.recipient, inbox.first)?;
    first.ok_or_else(|| Error::broken("an inbox without its first notification"))
}
