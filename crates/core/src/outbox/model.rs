//! The entities: notifications and the inboxes in which they wait.

use crate::contact::{ContactMethodKind, built_in};
use crate::id::{
    AuditEventId, ContactMethodId, Id, IncidentId, InvitationId, NotificationId, OrgId, PageId, UserId, WebhookId,
};
use crate::secret::Secret;
use crate::text::{EmailAddress, Name};
use crate::time::Timestamp;
use crate::words::words;

words! {
    /// What has become of a notification.
    DeliveryState, "state of a delivery", "must be `waiting`, `delivered`, `failed` or `superseded`" {
        /// `waiting`: it waits to be sent, for the first time or again.
        Waiting = "waiting",
        /// `delivered`: it was sent.
        Delivered = "delivered",
        /// `failed`: it could not be sent, and is not tried any more.
        Failed = "failed",
        /// `superseded`: it was not sent, because nobody needs it any more.
        Superseded = "superseded",
    }
}

words! {
    /// The end of a notification.
    DeliveryEnd, "end of a delivery", "must be `delivered`, `failed` or `superseded`" {
        /// `delivered`: it was sent.
        Delivered = "delivered",
        /// `failed`: it could not be sent.
        Failed = "failed",
        /// `superseded`: it was not sent, because nobody needs it any more.
        Superseded = "superseded",
    }
}

words! {
    /// The kind of a notification: what it asks its recipient to do.
    NotificationKind, "notification kind", "must be `page`, `invitation`, `code`, `test`, `event`, `webhook_disabled` or `edit`" {
        /// `page`: look at the incident, now.
        Page = "page",
        /// `invitation`: join the organization.
        Invitation = "invitation",
        /// `code`: verify the contact method.
        Code = "code",
        /// `test`: nothing; the contact method, or the webhook, works.
        Test = "test",
        /// `event`: nothing; a webhook of the organization is told what happened to an incident.
        Event = "event",
        /// `webhook_disabled`: mend the webhook, and enable it.
        WebhookDisabled = "webhook_disabled",
        /// `edit`: nothing; a page that was sent shows what has become of its incident.
        Edit = "edit",
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

words! {
    /// What notifications go over: each has senders of its own, so that a slow one keeps no other waiting.
    Transport, "transport", "must be `email`, `webhook`, `ntfy`, `slack` or `organization_webhook`" {
        /// `email`: mail.
        Email = "email",
        /// `webhook`: requests to URLs of members.
        Webhook = "webhook",
        /// `ntfy`: messages to topics of ntfy servers.
        Ntfy = "ntfy",
        /// `slack`: direct messages in Slack.
        Slack = "slack",
        /// `organization_webhook`: signed requests to the webhooks of organizations.
        OrganizationWebhook = "organization_webhook",
    }
}

impl From<ContactMethodKind> for Transport {
    fn from(kind: ContactMethodKind) -> Self {
        match kind {
            ContactMethodKind::Email => Self::Email,
            ContactMethodKind::Webhook => Self::Webhook,
            ContactMethodKind::Ntfy => Self::Ntfy,
            ContactMethodKind::Slack => Self::Slack,
        }
    }
}

/// The recipient of a notification, who has an inbox. They sort by id, members and invited persons among each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// A user of the organization, over their built-in contact method.
    Member(UserId),
    /// A user of the organization, over another contact method.
    Method {
        /// The user.
        user: UserId,
        /// Their contact method.
        method: ContactMethodId,
        /// The kind of that.
        kind: ContactMethodKind,
    },
    /// The person to whom an invitation goes, who is no user yet.
    Invited(InvitationId),
    /// A webhook of the organization.
    Webhook(WebhookId),
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
    /// What it sorts by: its own id, and, should two have the same, the member first.
    fn order(self) -> ([u8; 16], u8) {
        match self {
            Self::Member(user) => (user.to_bytes(), 0),
            Self::Invited(invitation) => (invitation.to_bytes(), 1),
            Self::Method { method, .. } => (method.to_bytes(), 2),
            Self::Webhook(webhook) => (webhook.to_bytes(), 3),
        }
    }

    /// What their notifications go over.
    #[must_use]
    pub fn transport(self) -> Transport {
        match self {
            Self::Member(_) | Self::Invited(_) => Transport::Email,
            Self::Method { kind, .. } => kind.into(),
            Self::Webhook(_) => Transport::OrganizationWebhook,
        }
    }

    /// The user, the contact method, and the kind of that; `None` for whoever is no member.
    pub(super) fn member(self) -> Option<(UserId, ContactMethodId, ContactMethodKind)> {
        match self {
            Self::Member(user) => Some((user, built_in(user), ContactMethodKind::Email)),
            Self::Method { user, method, kind } => Some((user, method, kind)),
            Self::Invited(_) | Self::Webhook(_) => None,
        }
    }

    /// The contact method; `None` for an invited person, and for a webhook.
    #[must_use]
    pub fn contact_method(self) -> Option<ContactMethodId> {
        self.member().map(|(_, method, _)| method)
    }

    /// The user; `None` for an invited person, and for a webhook.
    #[must_use]
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::Member(user) | Self::Method { user, .. } => Some(user),
            Self::Invited(_) | Self::Webhook(_) => None,
        }
    }
}

/// The content of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Look at an incident, now.
    Page {
        /// The page, which may be several notifications: one for each way in which the user is told.
        page_id: PageId,
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
    /// Verify a contact method.
    Code {
        /// The code, in plain text; `None` once the delivery is confirmed.
        code: Option<Secret>,
    },
    /// The contact method, or the webhook, works.
    Test,
    /// Something happened to an incident: for a webhook of the organization.
    Event {
        /// The incident.
        incident_id: IncidentId,
        /// The event of its audit trail.
        event_id: AuditEventId,
    },
    /// A webhook of the organization was disabled: for its admins.
    WebhookDisabled {
        /// The webhook.
        webhook_id: WebhookId,
        /// Its name then.
        name: Name,
        /// Why: at most 100 characters.
        reason: String,
    },
    /// What has become of the incident of a page, which was sent in a way that can be changed.
    Edit {
        /// The incident.
        incident_id: IncidentId,
        /// The reason for the page.
        reason: PageReason,
        /// What the page was sent as: see [`Notification::sent_as`].
        sent_as: String,
    },
}

impl Message {
    /// The kind of a notification with this content.
    #[must_use]
    pub const fn kind(&self) -> NotificationKind {
        match self {
            Self::Page { .. } => NotificationKind::Page,
            Self::Invitation { .. } => NotificationKind::Invitation,
            Self::Code { .. } => NotificationKind::Code,
            Self::Test => NotificationKind::Test,
            Self::Event { .. } => NotificationKind::Event,
            Self::WebhookDisabled { .. } => NotificationKind::WebhookDisabled,
            Self::Edit { .. } => NotificationKind::Edit,
        }
    }

    /// The same, without what must not be kept once it has ended.
    pub(super) fn ended(self) -> Self {
        match self {
            Self::Invitation { email, .. } => Self::Invitation { email, token: None },
            Self::Code { .. } => Self::Code { code: None },
            other => other,
        }
    }
}

/// A row of the outbox: a page, an invitation, a code or a test for one recipient.
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
    /// Its place among the deliveries of its page, from 0.
    pub place: u8,
    /// When it is due: when it was written, or later by the delay of a notification rule.
    pub due_at: Timestamp,
    /// How often it has been claimed.
    pub attempts: u32,
    /// How often it could not be sent.
    pub failures: u32,
    /// Why it could not be sent the last time: at most 100 characters, in one line.
    pub last_error: Option<String>,
    /// What it was sent as, by which its sender finds it again to change it: at most 200 bytes; `None` when it cannot be changed.
    pub sent_as: Option<String>,
    /// When it has ended, and how; `None` while it waits. One that has ended is dropped 30 days later, unless the engine is set
    /// otherwise (contract, sections 9 and 14).
    pub ended: Option<(Timestamp, DeliveryEnd)>,
    /// 1, 2, 3 … in the order in which the notifications of the recipient became due; 0 until it is due.
    pub number: u64,
}

impl Notification {
    /// The receipt of its present claim, with which it is confirmed or given back.
    #[must_use]
    pub const fn receipt(&self) -> Receipt {
        Receipt { org: self.org_id, recipient: self.recipient, number: self.number, attempt: self.attempts }
    }

    /// What it goes over.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.recipient.transport()
    }

    /// What has become of it.
    #[must_use]
    pub const fn state(&self) -> DeliveryState {
        match self.ended {
            None => DeliveryState::Waiting,
            Some((_, DeliveryEnd::Delivered)) => DeliveryState::Delivered,
            Some((_, DeliveryEnd::Failed)) => DeliveryState::Failed,
            Some((_, DeliveryEnd::Superseded)) => DeliveryState::Superseded,
        }
    }

    /// When its delivery was confirmed, if it was.
    #[must_use]
    pub const fn delivered_at(&self) -> Option<Timestamp> {
        match self.ended {
            Some((at, DeliveryEnd::Delivered)) => Some(at),
            _ => None,
        }
    }

    /// The page that it is a part of; `None` for anything else.
    #[must_use]
    pub const fn page(&self) -> Option<PageId> {
        match self.message {
            Message::Page { page_id, .. } => Some(page_id),
            _ => None,
        }
    }

    /// The user for whom it is; `None` for an invitation, and for what a webhook is told.
    #[must_use]
    pub const fn user(&self) -> Option<UserId> {
        self.recipient.user()
    }

    /// The incident of a page, an event or an edit; `None` for anything else.
    #[must_use]
    pub const fn incident(&self) -> Option<IncidentId> {
        match self.message {
            Message::Page { incident_id: incident, .. }
            | Message::Event { incident_id: incident, .. }
            | Message::Edit { incident_id: incident, .. } => Some(incident),
            _ => None,
        }
    }

    /// The reason for a page; `None` for anything else.
    #[must_use]
    pub const fn reason(&self) -> Option<PageReason> {
        match self.message {
            Message::Page { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

/// A notification, and the claim under which it was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt {
    pub(super) org: OrgId,
    pub(super) recipient: Recipient,
    pub(super) number: u64,
    pub(super) attempt: u32,
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

    /// How many notifications wait in it.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.last.saturating_add(1).saturating_sub(self.first)
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
