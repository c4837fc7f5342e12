//! The outbox: every page is a notification, written with the change that caused it, and kept until it is delivered
//! (contract, section 9). Invitations travel the same way (section 4).
//!
//! Each recipient has an [`Inbox`]: a line of notifications, numbered in the order in which they were written. Whoever delivers
//! claims the first of a line under a lease. Confirmed, it leaves the line and the next may be claimed; unconfirmed, it
//! comes back when the lease is over. So each is delivered at least once, and never one of a recipient's before an earlier one.

use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Context, Decision, Query, View, seal};
use crate::error::Error;
use crate::id::{IdSource, IncidentId, InvitationId, NotificationId, OrgId, UserId};
use crate::secret::Secret;
use crate::text::EmailAddress;
use crate::time::Timestamp;
use crate::words::words;
use crate::world::{Change, State, Write};
use std::time::Duration;

seal!(ListNotifications);

words! {
    /// What a notification asks for.
    NotificationKind, "must be `page` or `invitation`" {
        /// `page`: look at the incident, now.
        Page = "page",
        /// `invitation`: join the organization.
        Invitation = "invitation",
    }
}

words! {
    /// Why somebody is paged.
    PageReason, "must be `escalation` or `handoff`" {
        /// `escalation`: a layer of the policy fired.
        Escalation = "escalation",
        /// `handoff`: the incident was handed to them.
        Handoff = "handoff",
    }
}

/// To whom a notification goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// A user.
    Member(UserId),
    /// Whoever is invited: somebody who is no user yet.
    Invited(InvitationId),
}

impl Recipient {
    /// The user, if it is one.
    #[must_use]
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::Member(user) => Some(user),
            Self::Invited(_) => None,
        }
    }
}

/// What a notification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Look at an incident, now.
    Page {
        /// The incident.
        incident_id: IncidentId,
        /// Why.
        reason: PageReason,
    },
    /// Join the organization.
    Invitation {
        /// Where to send it.
        email: EmailAddress,
        /// Accepts the invitation. It is kept until the delivery is confirmed, and then forgotten.
        token: Option<Secret>,
    },
}

impl Message {
    /// What the notification asks for.
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

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Names the notification.
    pub id: NotificationId,
    /// The organization.
    pub org_id: OrgId,
    /// For whom it is.
    pub recipient: Recipient,
    /// What it says.
    pub message: Message,
    /// When it was written.
    pub created_at: Timestamp,
    /// How often it was claimed.
    pub attempts: u32,
    /// When its delivery was confirmed.
    pub delivered_at: Option<Timestamp>,
    /// 1, 2, 3 … among the notifications of the recipient.
    pub number: u64,
}

impl Notification {
    /// What whoever claimed it shows to confirm it or to give it back.
    #[must_use]
    pub const fn receipt(&self) -> Receipt {
        Receipt { org: self.org_id, recipient: self.recipient, number: self.number, attempt: self.attempts }
    }

    /// The user for whom it is; none for an invitation.
    #[must_use]
    pub const fn user(&self) -> Option<UserId> {
        self.recipient.user()
    }

    /// The incident of a page.
    #[must_use]
    pub const fn incident(&self) -> Option<IncidentId> {
        match self.message {
            Message::Page { incident_id: incident, .. } => Some(incident),
            Message::Invitation { .. } => None,
        }
    }

    /// Why somebody is paged.
    #[must_use]
    pub const fn reason(&self) -> Option<PageReason> {
        match self.message {
            Message::Page { reason, .. } => Some(reason),
            Message::Invitation { .. } => None,
        }
    }
}

/// Names a notification and the claim under which it was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt {
    org: OrgId,
    recipient: Recipient,
    number: u64,
    attempt: u32,
}

/// A recipient's line of notifications that are not delivered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inbox {
    /// The organization.
    pub org_id: OrgId,
    /// Whose line it is.
    pub recipient: Recipient,
    /// The number of the first in the line.
    pub first: u64,
    /// The number that was given last. The line is empty when it is below `first`.
    pub last: u64,
    /// From when on the first in the line can be claimed.
    pub ready_at: Timestamp,
}

impl Inbox {
    /// A line that never held anything.
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

/// A line that holds something, and since when it can be claimed. Lines sort by that instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadyInbox {
    /// From when on.
    pub ready_at: Timestamp,
    /// The organization.
    pub org_id: OrgId,
    /// Whose line it is.
    pub recipient: Recipient,
}

/// Notifications of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The cost of each is that of its answer,
/// however much else there is.
pub trait OutboxPort {
    /// A recipient's inbox.
    fn inbox(&self, recipient: Recipient) -> Result<Option<Inbox>, Error>;
    /// A notification in a line, by its number.
    fn notification(&self, recipient: Recipient, number: u64) -> Result<Option<Notification>, Error>;
    /// The notifications in a line behind a number, in order, at most `limit`.
    fn notifications(&self, recipient: Recipient, after: u64, limit: usize) -> Result<Vec<Notification>, Error>;
}

/// Where notifications wait, over all organizations.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
pub trait DeliveryPort {
    /// Inboxes whose first notification can be claimed at an instant, longest ready first, beginning behind `after`, at most
    /// `limit`.
    fn ready_inboxes(&self, now: Timestamp, after: Option<&ReadyInbox>, limit: usize)
    -> Result<Vec<ReadyInbox>, Error>;
    /// The first instant after `now` at which another inbox can be claimed from.
    fn next_ready(&self, now: Timestamp) -> Result<Option<Timestamp>, Error>;
}

/// The longest lease: an hour. Longer ones are cut.
pub const LONGEST_LEASE: Duration = Duration::from_secs(60 * 60);

/// Pages a user. A command pages each user once at most.
pub(crate) fn page(
    cx: &mut Context<'_>,
    incident: IncidentId,
    user: UserId,
    reason: PageReason,
    at: Timestamp,
) -> Result<(), Error> {
    notify(cx, Recipient::Member(user), Message::Page { incident_id: incident, reason }, at)
}

/// Invites somebody.
pub(crate) fn invite(
    cx: &mut Context<'_>,
    invitation: InvitationId,
    email: EmailAddress,
    token: Secret,
) -> Result<(), Error> {
    notify(cx, Recipient::Invited(invitation), Message::Invitation { email, token: Some(token) }, cx.now)
}

/// Takes back an invitation that was not delivered, whether somebody holds it now or not.
pub(crate) fn withdraw(cx: &mut Context<'_>, invitation: InvitationId) -> Result<(), Error> {
    let Some(inbox) = cx.world.inbox(Recipient::Invited(invitation))? else { return Ok(()) };
    cx.write(Write::Notification(Change::gone(first_of(cx, &inbox)?)));
    cx.write(Write::Inbox(Change::gone(inbox)));
    Ok(())
}

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

/// Claims the first notification of a line for so long, if it can be claimed now.
///
/// # Errors
/// Only when the world cannot be read.
pub fn claim(
    line: &ReadyInbox,
    lease: Duration,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<Option<Notification>>, Error> {
    let world = state.world(line.org_id);
    let mut cx = Context::new(&*world, now, ids);
    let Some(inbox) = world.inbox(line.recipient)?.filter(|inbox| !inbox.is_empty() && inbox.ready_at <= now) else {
        return Ok(cx.decided(None));
    };
    let before = first_of(&cx, &inbox)?;
    let claimed = Notification { attempts: before.attempts.saturating_add(1), ..before.clone() };
    let leased = Inbox { ready_at: now.plus(lease.min(LONGEST_LEASE)), ..inbox };
    cx.write(Write::Notification(Change::edited(before, claimed.clone())));
    cx.write(Write::Inbox(Change::edited(inbox, leased)));
    Ok(cx.decided(Some(claimed)))
}

/// Confirms that a claimed notification was delivered; `false` when it was confirmed before. It does not matter whether the
/// lease is over: delivered is delivered.
///
/// # Errors
/// Only when the world cannot be read.
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
    // An invitation is all that its line ever holds.
    let after = inbox.recipient.user().map(|_| shorter);
    cx.write(Write::Notification(Change::edited(before, delivered)));
    cx.write(Write::Inbox(Change { before: Some(inbox), after }));
    Ok(cx.decided(true))
}

/// Gives a claimed notification back, to be claimed again after a while; `false` when it is not held under this claim any
/// more.
///
/// # Errors
/// Only when the world cannot be read.
pub fn give_back(
    receipt: &Receipt,
    after: Duration,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<bool>, Error> {
    let world = state.world(receipt.org);
    let mut cx = Context::new(&*world, now, ids);
    let held = |inbox: &Inbox| !inbox.is_empty() && inbox.first == receipt.number && now < inbox.ready_at;
    let Some(inbox) = world.inbox(receipt.recipient)?.filter(held) else { return Ok(cx.decided(false)) };
    if first_of(&cx, &inbox)?.attempts != receipt.attempt {
        return Ok(cx.decided(false));
    }
    let ready = Inbox { ready_at: now.plus(after.min(LONGEST_LEASE)), ..inbox };
    cx.write(Write::Inbox(Change::edited(inbox, ready)));
    Ok(cx.decided(true))
}

/// The notifications that wait to be delivered to a member, in order, at most 100. Codes: `not_found`.
///
/// ```
/// use dogwatch_core::UserId;
/// use dogwatch_core::outbox::ListNotifications;
/// # let ben = UserId::parse("user_0190a8f3b4c07d2e8f1a2b3c4d5e6f70").unwrap();
/// let first = ListNotifications::of(ben);
/// let rest = ListNotifications { after: 100, ..first };
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ListNotifications {
    /// To whom.
    pub user_id: UserId,
    /// Behind this [`Notification::number`]; from the first on with 0.
    pub after: u64,
}

impl ListNotifications {
    /// From the first on.
    #[must_use]
    pub const fn of(user: UserId) -> Self {
        Self { user_id: user, after: 0 }
    }
}

/// The most notifications of one answer.
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

fn first_of(cx: &Context<'_>, inbox: &Inbox) -> Result<Notification, Error> {
    let first = cx.world.notification(inbox.recipient, inbox.first)?;
    first.ok_or_else(|| Error::broken("a line of notifications without its first"))
}
