//! The stored form of the outbox: notifications, and inboxes. An inbox is a recipient's queue of notifications.
//!
//! A notification is in `Notification` while it waits, and in `Delivered` when it has ended. That of a page is in an index by incident, and what a
//! webhook is told in one by webhook. The notifications of an inbox are
//! numbered 1, 2, 3 …; those that wait are exactly the numbers from `first` to `last` of its record. An inbox that is not
//! empty has one row in `Ready`, or in `ReadyOver` where it is not over e-mail, so that the inboxes over one kind of contact method that
//! can be claimed from are one scan: those over a kind whose server is slow keep nobody waiting who is told over another.

use super::AnyEntity;
use super::contact::{kind_byte, method_key};
use super::incident::{incident_key, newest_first};
use crate::table::{instant, take_instant};
use bincode::{Decode, Encode};
use dogwatch_core::contact::ContactMethodKind;
use dogwatch_core::id::{
    AuditEventId, ContactMethodId, Id, IncidentId, InvitationId, NotificationId, PageId, WebhookId,
};
use dogwatch_core::outbox::{
    DeliveryEnd, Inbox, Message, Notification, OutboxPort, PageReason, ReadyInbox, Recipient, Transport,
};
use dogwatch_core::text::{EmailAddress, Name};
use dogwatch_core::{Error, OrgId, Secret, Timestamp, UserId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

#[cfg(feature = "export")]
use super::json;
use super::text::Reader;
use super::{Entity, Line, Raw, Row, Rows, by_byte, text, timestamp};
use crate::backend::Pair;
use crate::record::{Corrupt, Stored, decode, unpack};
use crate::table::{Table, end_of};
use crate::tools::{Page, Side, Verifier};
use crate::view::{OrgView, corrupt};

impl Table {
    /// Notifications that wait for delivery, by recipient and number.
    pub(crate) const NOTIFICATION: Self = Self::new(b'y', "Notification");
    /// Inboxes by recipient.
    pub(crate) const INBOX: Self = Self::new(b'b', "Inbox");
    /// Index of the inboxes over e-mail of all organizations that are not empty, by the instant at which they become ready to be
    /// claimed from.
    pub(crate) const READY: Self = Self::new(b'R', "Ready");
    /// As [`Table::READY`], of the inboxes over other transports: by transport, and then by the instant.
    pub(crate) const READY_OVER: Self = Self::new(b's', "ReadyOver");
    /// Notifications of all organizations that have ended, by the instant of their end.
    pub(crate) const DELIVERED: Self = Self::new(b'z', "Delivered");
    /// Notifications of all organizations that are not due yet, by the instant at which they are.
    pub(crate) const LATER: Self = Self::new(b'j', "Later");
    /// Index of the notifications that are pages, by incident: the key of each.
    pub(crate) const PAGE_BY_INCIDENT: Self = Self::new(b'B', "PageByIncident");
    /// Index of the notifications of webhooks, newest first: the key of each.
    pub(crate) const SENT_TO_WEBHOOK: Self = Self::new(b'1', "SentToWebhook");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[
    Table::NOTIFICATION,
    Table::INBOX,
    Table::READY,
    Table::READY_OVER,
    Table::DELIVERED,
    Table::LATER,
    Table::PAGE_BY_INCIDENT,
    Table::SENT_TO_WEBHOOK,
];

/// What the keys of the inboxes over a transport that are not empty begin with; the instant follows.
pub(crate) fn ready_prefix(transport: Transport) -> Vec<u8> {
    let over = |byte: u8| Table::READY_OVER.key(&[&[byte]]);
    match transport {
        Transport::Email => Table::READY.key(&[]),
        Transport::Webhook => over(kind_byte(ContactMethodKind::Webhook)),
        Transport::Ntfy => over(kind_byte(ContactMethodKind::Ntfy)),
        Transport::Slack => over(kind_byte(ContactMethodKind::Slack)),
        Transport::OrganizationWebhook => over(WEBHOOK),
    }
}

pub(crate) fn ready_key(ready: &ReadyInbox) -> Vec<u8> {
    let mut key = ready_prefix(ready.recipient.transport());
    key.extend_from_slice(&instant(ready.ready_at));
    key.extend_from_slice(&ready.org_id.to_bytes());
    key.extend_from_slice(&recipient_part(ready.recipient));
    key
}

/// The inbox for which [`ready_key`] made a key with a [`ready_prefix`] of this length.
pub(crate) fn ready_inbox(key: &[u8], prefix: usize) -> Option<ReadyInbox> {
    let (ready_at, rest) = take_instant(key.get(prefix..)?)?;
    let (org, recipient) = rest.split_first_chunk::<16>()?;
    Some(ReadyInbox { ready_at, org_id: OrgId::from_bytes(*org), recipient: recipient_of(recipient)? })
}

/// The byte that follows the id of an invitation in a key, so that its inbox is not taken for a user's.
const INVITED: u8 = b'i';

/// The byte that follows the id of a webhook in a key.
const WEBHOOK: u8 = b'h';

/// The byte that follows the id of a contact method of a kind in a key.
const fn method_byte(kind: ContactMethodKind) -> u8 {
    match kind {
        ContactMethodKind::Email => b'e',
        ContactMethodKind::Webhook => b'w',
        ContactMethodKind::Ntfy => b'n',
        ContactMethodKind::Slack => b's',
    }
}

/// A recipient as a part of a key: the id of a user, or the id of an invitation and the byte [`INVITED`], or the id of a contact method,
/// its [`method_byte`] and the id of its user, or the id of a webhook and the byte [`WEBHOOK`].
pub(crate) fn recipient_part(recipient: Recipient) -> Vec<u8> {
    match recipient {
        Recipient::Member(user) => user.to_bytes().to_vec(),
        Recipient::Invited(invitation) => [&invitation.to_bytes()[..], &[INVITED]].concat(),
        Recipient::Webhook(webhook) => [&webhook.to_bytes()[..], &[WEBHOOK]].concat(),
        Recipient::Method { user, method, kind } => {
            [&method.to_bytes()[..], &[method_byte(kind)], &user.to_bytes()].concat()
        }
    }
}

/// Reads the recipient that [`recipient_part`] wrote.
pub(crate) fn recipient_of(part: &[u8]) -> Option<Recipient> {
    let (id, mark) = part.split_first_chunk::<16>()?;
    match mark {
        [] => Some(Recipient::Member(UserId::from_bytes(*id))),
        [INVITED] => Some(Recipient::Invited(InvitationId::from_bytes(*id))),
        [WEBHOOK] => Some(Recipient::Webhook(WebhookId::from_bytes(*id))),
        [mark, user @ ..] => {
            let kind = by_byte(&ContactMethodKind::ALL, method_byte, *mark).ok()?;
            let user = UserId::from_bytes(user.try_into().ok()?);
            Some(Recipient::Method { user, method: ContactMethodId::from_bytes(*id), kind })
        }
    }
}

pub(crate) fn inbox_key(org: OrgId, recipient: Recipient) -> Vec<u8> {
    Table::INBOX.of(org, &[&recipient_part(recipient)])
}

pub(crate) fn notification_key(org: OrgId, recipient: Recipient, number: u64) -> Vec<u8> {
    Table::NOTIFICATION.of(org, &[&recipient_part(recipient), &number.to_be_bytes()])
}

pub(crate) fn delivered_key(at: Timestamp, org: OrgId, recipient: Recipient, number: u64) -> Vec<u8> {
    Table::DELIVERED.key(&[&instant(at), &org.to_bytes(), &recipient_part(recipient), &number.to_be_bytes()])
}

fn later_key(one: &Notification) -> Vec<u8> {
    Table::LATER.key(&[
        &instant(one.due_at),
        &one.org_id.to_bytes(),
        &one.id.to_bytes(),
        &recipient_part(one.recipient),
    ])
}

/// The notification in a row. All of it stands there.
pub(crate) fn notification_of(key: &[u8], value: &[u8]) -> Result<Notification, Corrupt> {
    match AnyEntity::read(key, value, &|_| Ok(None))? {
        Some(AnyEntity::Notification(one)) => Ok(*one),
        _ => Err(Corrupt::Key),
    }
}

/// The key in an index of the notification in a row; `None` for a row whose notification is in none, also a damaged one.
pub(crate) fn index_of_row(key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    index_of(key, &notification_of(key, value).ok()?)
}

/// What the keys of the notifications of a webhook in their index begin with.
pub(crate) fn sent_to_webhook(org: OrgId, webhook: WebhookId) -> Vec<u8> {
    Table::SENT_TO_WEBHOOK.record(org, webhook)
}

/// How many bytes stand before the key of a notification in an index: those of the table, the organization, and two ids.
const LISTED: usize = 1 + 16 + 16 + 16;

/// Whether a key is that of a notification that has ended, over the one transport where what was sent can be changed.
fn was_sent_over_slack(key: &[u8]) -> bool {
    // Behind the table, the instant and the organization stands the recipient, and behind that the number.
    let recipient = key.get(1 + 8 + 16..key.len().saturating_sub(8)).and_then(recipient_of);
    let over_slack = |recipient: Recipient| recipient.transport() == Transport::Slack;
    Table::of_key(key) == Some(Table::DELIVERED) && recipient.is_some_and(over_slack)
}

/// The key of a notification with a key in the index by incident, for a page, or in that by webhook; `None` for one that is in neither.
pub(crate) fn index_of(key: &[u8], notification: &Notification) -> Option<Vec<u8>> {
    if let Recipient::Webhook(webhook) = notification.recipient {
        let parts = [&webhook.to_bytes()[..], &newest_first(notification.id), key];
        return Some(Table::SENT_TO_WEBHOOK.of(notification.org_id, &parts));
    }
    let (incident, page) = notification.incident().zip(notification.page())?;
    let parts = [&incident.to_bytes()[..], &newest_first(page), key];
    Some(Table::PAGE_BY_INCIDENT.of(notification.org_id, &parts))
}

pub(crate) const fn end_byte(end: DeliveryEnd) -> u8 {
    match end {
        DeliveryEnd::Delivered => 1,
        DeliveryEnd::Failed => 2,
        DeliveryEnd::Superseded => 3,
    }
}

/// The byte of the only kind of notification in record version 1: a page.
const PAGE: u8 = 1;

pub(crate) const fn reason_byte(reason: PageReason) -> u8 {
    match reason {
        PageReason::Escalation => 1,
        PageReason::Handoff => 2,
    }
}

/// A notification in record version 1, which is always a page. Organization, user and number are in the key.
#[derive(Debug, Encode, Decode)]
struct NotificationV1 {
    id: [u8; 16],
    incident: [u8; 16],
    kind: u8,
    reason: u8,
    created_at: i64,
    attempts: u32,
    delivered_at: Option<i64>,
}

/// A notification in record version 4: version 3 with what it was sent as.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct NotificationV4 {
    #[cfg_attr(feature = "export", serde(flatten))]
    notification: NotificationV3,
    #[cfg_attr(feature = "export", serde(default, skip_serializing_if = "Option::is_none"))]
    sent_as: Option<String>,
}

impl Stored for NotificationV4 {
    const VERSION: u8 = 4;

    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        let notification = if version == 3 { unpack(payload)? } else { NotificationV3::older(version, payload)? };
        Ok(Self { notification, sent_as: None })
    }
}

/// A notification in record version 3: version 2 with what became of it. What is usual is not in an export.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct NotificationV3 {
    /// Its `delivered_at` is that of a delivery; another end is in `ended`.
    #[cfg_attr(feature = "export", serde(flatten))]
    notification: NotificationV2,
    /// The page, where its id is not that of the notification.
    #[cfg_attr(
        feature = "export",
        serde(default, skip_serializing_if = "Option::is_none", with = "json::MaybeIdForm::<PageId>")
    )]
    page: Option<[u8; 16]>,
    #[cfg_attr(feature = "export", serde(default, skip_serializing_if = "is_none"))]
    place: u8,
    /// When it is due, where that is not when it was written.
    #[cfg_attr(
        feature = "export",
        serde(default, skip_serializing_if = "Option::is_none", with = "json::time::maybe")
    )]
    due_at: Option<i64>,
    #[cfg_attr(feature = "export", serde(default, skip_serializing_if = "is_none"))]
    failures: u32,
    #[cfg_attr(feature = "export", serde(default, skip_serializing_if = "Option::is_none"))]
    last_error: Option<String>,
    #[cfg_attr(feature = "export", serde(default, skip_serializing_if = "Option::is_none"))]
    ended: Option<EndedV3>,
}

/// The end of a notification that was not delivered.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct EndedV3 {
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::delivery_end"))]
    how: u8,
}

#[cfg(feature = "export")]
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none<N: Copy + Into<u32>>(number: &N) -> bool {
    (*number).into() == 0
}

impl NotificationV3 {
    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        let notification = match version {
            1 => NotificationV2::of_first(payload)?,
            2 => unpack(payload)?,
            _ => return Err(Corrupt::Version),
        };
        let (page, place, due_at, failures, last_error, ended) = (None, 0, None, 0, None, None);
        Ok(Self { notification, page, place, due_at, failures, last_error, ended })
    }
}

/// A notification in record version 2. Organization, recipient and number are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct NotificationV2 {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<NotificationId>"))]
    id: [u8; 16],
    message: MessageV2,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    attempts: u32,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    delivered_at: Option<i64>,
}

#[derive(Debug, Encode, Decode)]
#[cfg_attr(
    feature = "export",
    derive(Serialize, Deserialize),
    serde(rename_all = "camelCase", rename_all_fields = "camelCase")
)]
enum MessageV2 {
    Page {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IncidentId>"))]
        incident: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::page_reason"))]
        reason: u8,
    },
    Invitation {
        email: String,
        // The token in plain text, until the delivery. It is never in an export.
        #[cfg_attr(feature = "export", serde(skip))]
        token: Option<String>,
    },
    Code {
        // As the token of an invitation: in plain text until the delivery, and never in an export.
        #[cfg_attr(feature = "export", serde(skip))]
        code: Option<String>,
    },
    Test,
    Event {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IncidentId>"))]
        incident: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<AuditEventId>"))]
        event: [u8; 16],
    },
    WebhookDisabled {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<WebhookId>"))]
        webhook: [u8; 16],
        name: String,
        reason: String,
    },
    Edit {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IncidentId>"))]
        incident: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::page_reason"))]
        reason: u8,
        sent_as: String,
    },
}

impl NotificationV2 {
    fn of_first(payload: &[u8]) -> Result<Self, Corrupt> {
        let NotificationV1 { id, incident, kind, reason, created_at, attempts, delivered_at } = unpack(payload)?;
        if kind != PAGE {
            return Err(Corrupt::Value);
        }
        Ok(Self { id, message: MessageV2::Page { incident, reason }, created_at, attempts, delivered_at })
    }
}

impl Entity for Notification {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let message = match &self.message {
            Message::Page { incident_id: incident, reason, .. } => {
                MessageV2::Page { incident: incident.to_bytes(), reason: reason_byte(*reason) }
            }
            Message::Invitation { email, token } => MessageV2::Invitation {
                email: email.as_str().to_owned(),
                token: token.as_ref().map(|token| token.reveal().to_owned()),
            },
            Message::Code { code } => MessageV2::Code { code: code.as_ref().map(|code| code.reveal().to_owned()) },
            Message::Test => MessageV2::Test,
            Message::Event { incident_id, event_id } => {
                MessageV2::Event { incident: incident_id.to_bytes(), event: event_id.to_bytes() }
            }
            Message::WebhookDisabled { webhook_id, name, reason } => MessageV2::WebhookDisabled {
                webhook: webhook_id.to_bytes(),
                name: name.as_str().to_owned(),
                reason: reason.clone(),
            },
            Message::Edit { incident_id, reason, sent_as } => MessageV2::Edit {
                incident: incident_id.to_bytes(),
                reason: reason_byte(*reason),
                sent_as: sent_as.clone(),
            },
        };
        let notification = NotificationV2 {
            id: self.id.to_bytes(),
            message,
            created_at: self.created_at.as_millis(),
            attempts: self.attempts,
            delivered_at: self.delivered_at().map(|at| at.as_millis()),
        };
        let otherwise = self.ended.filter(|(_, how)| *how != DeliveryEnd::Delivered);
        let record = NotificationV3 {
            notification,
            page: self.page().map(|page| page.to_bytes()).filter(|page| *page != self.id.to_bytes()),
            place: self.place,
            due_at: Some(self.due_at.as_millis()).filter(|at| *at != self.created_at.as_millis()),
            failures: self.failures,
            last_error: self.last_error.clone(),
            ended: otherwise.map(|(at, how)| EndedV3 { at: at.as_millis(), how: end_byte(how) }),
        };
        let record = NotificationV4 { notification: record, sent_as: self.sent_as.clone() };
        let key = match self.ended {
            None if self.number == 0 => later_key(self),
            None => notification_key(self.org_id, self.recipient, self.number),
            Some((at, _)) => delivered_key(at, self.org_id, self.recipient, self.number),
        };
        index_of(&key, self).into_iter().for_each(|index| rows.index(index));
        rows.record(key, &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        if let Some(incident) = self.incident() {
            verifier.need(key, &incident_key(self.org_id, incident), "an incident");
        }
        if self.number == 0 {
            // It is in no inbox yet.
            return;
        }
        let delivered = self.ended.is_some();
        if let Recipient::Invited(invitation) = self.recipient {
            if delivered {
                // The inbox of an invitation is deleted when its only notification is delivered.
                return;
            }
            verifier.need(key, &Table::INVITATION.record(self.org_id, invitation), "an invitation");
        }
        let told = match self.recipient {
            Recipient::Method { user, method, .. } => Some(method_key(self.org_id, user, method)),
            Recipient::Webhook(webhook) => Some(Table::WEBHOOK.record(self.org_id, webhook)),
            Recipient::Member(_) | Recipient::Invited(_) => None,
        };
        if delivered && told.is_some_and(|told| verifier.snapshot.get(&told).is_ok_and(|found| found.is_none())) {
            // So is the inbox of a contact method or a webhook that was removed, when nothing waits in it any more.
            return;
        }
        let inbox = inbox_key(self.org_id, self.recipient);
        let inbox =
            verifier.snapshot.get(&inbox).ok().flatten().and_then(|value| match verifier.entity(&inbox, &value) {
                Ok(Some(AnyEntity::Inbox(inbox))) => Some(inbox),
                _ => None,
            });
        let fits = |inbox: &Inbox| {
            if delivered { self.number < inbox.first } else { (inbox.first..=inbox.last).contains(&self.number) }
        };
        if !inbox.as_deref().is_some_and(fits) {
            let what = if delivered { "its inbox never came to it" } else { "it waits, but is in no inbox" };
            verifier.report.add(key, what);
        }
    }

    fn pages(&self, tell: &mut dyn FnMut(Page, Side)) {
        // A page is counted once, with its first delivery.
        if let (Message::Page { incident_id: incident, reason, .. }, Some(user), 0) =
            (&self.message, self.user(), self.place)
        {
            tell((self.org_id, *incident, user, *reason, self.created_at), Side::Outbox);
        }
    }
}

impl NotificationV4 {
    /// Whether the notification holds a token in plain text.
    pub(crate) const fn holds_secret(&self) -> bool {
        matches!(self.notification.notification.message, MessageV2::Invitation { token: Some(_), .. })
    }

    pub(crate) fn of(self, org: OrgId, recipient: Recipient, number: u64) -> Result<Notification, Corrupt> {
        let NotificationV3 { notification, page, place, due_at, failures, last_error, ended } = self.notification;
        let NotificationV2 { id, message, created_at, attempts, delivered_at } = notification;
        let message = match (recipient, message) {
            (Recipient::Member(_) | Recipient::Method { .. }, MessageV2::Page { incident, reason }) => Message::Page {
                page_id: PageId::from_bytes(page.unwrap_or(id)),
                incident_id: IncidentId::from_bytes(incident),
                reason: by_byte(&PageReason::ALL, reason_byte, reason)?,
            },
            (Recipient::Invited(_), MessageV2::Invitation { email, token }) => {
                Message::Invitation { email: text(EmailAddress::new(email))?, token: token.map(Secret::new) }
            }
            (Recipient::Method { .. }, MessageV2::Code { code }) => Message::Code { code: code.map(Secret::new) },
            (Recipient::Member(_) | Recipient::Method { .. } | Recipient::Webhook(_), MessageV2::Test) => Message::Test,
            (Recipient::Webhook(_), MessageV2::Event { incident, event }) => Message::Event {
                incident_id: IncidentId::from_bytes(incident),
                event_id: AuditEventId::from_bytes(event),
            },
            (Recipient::Method { .. }, MessageV2::Edit { incident, reason, sent_as }) => Message::Edit {
                incident_id: IncidentId::from_bytes(incident),
                reason: by_byte(&PageReason::ALL, reason_byte, reason)?,
                sent_as,
            },
            (Recipient::Member(_), MessageV2::WebhookDisabled { webhook, name, reason }) => Message::WebhookDisabled {
                webhook_id: WebhookId::from_bytes(webhook),
                name: text(Name::stored(name))?,
                reason,
            },
            _ => return Err(Corrupt::Value),
        };
        let ended = match (delivered_at, ended) {
            (None, None) => None,
            (Some(at), None) => Some((timestamp(at)?, DeliveryEnd::Delivered)),
            (None, Some(ended)) => Some((timestamp(ended.at)?, by_byte(&DeliveryEnd::ALL, end_byte, ended.how)?)),
            (Some(_), Some(_)) => return Err(Corrupt::Value),
        };
        Ok(Notification {
            id: NotificationId::from_bytes(id),
            org_id: org,
            recipient,
            message,
            created_at: timestamp(created_at)?,
            place,
            due_at: timestamp(due_at.unwrap_or(created_at))?,
            attempts,
            failures,
            last_error,
            sent_as: self.sent_as,
            ended,
            number,
        })
    }
}

/// The record of an inbox. Organization and recipient are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct InboxV1 {
    /// The number of the first notification that waits.
    first: u64,
    /// The number that was given last. The inbox is empty when it is below `first`.
    last: u64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    ready_at: i64,
}

impl Stored for InboxV1 {
    const VERSION: u8 = 1;
}

impl Entity for Inbox {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = InboxV1 { first: self.first, last: self.last, ready_at: self.ready_at.as_millis() };
        if !self.is_empty() {
            rows.index(ready_key(&ReadyInbox {
                ready_at: self.ready_at,
                org_id: self.org_id,
                recipient: self.recipient,
            }));
        }
        rows.record(inbox_key(self.org_id, self.recipient), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        for number in self.first..=self.last {
            let named = notification_key(self.org_id, self.recipient, number);
            let before = verifier.report.found;
            verifier.need(key, &named, "a notification");
            if verifier.report.found != before {
                // One finding is enough: a damaged `last` would name very many notifications.
                return;
            }
        }
        if let Some(user) = self.recipient.user() {
            verifier.need_users(key, self.org_id, [user]);
        }
    }
}

impl InboxV1 {
    pub(crate) fn of(self, org: OrgId, recipient: Recipient) -> Result<Inbox, Corrupt> {
        // No inbox was ever written whose first number is 0, or is greater than its last by more than one.
        if self.first == 0 || self.first > self.last.saturating_add(1) {
            return Err(Corrupt::Value);
        }
        Ok(Inbox { org_id: org, recipient, first: self.first, last: self.last, ready_at: timestamp(self.ready_at)? })
    }
}

/// The line of a notification in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct NotificationLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "recipient"))]
    recipient: Recipient,
    number: u64,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: NotificationV4,
}

impl Line for NotificationLine {
    type Entity = Notification;
    const TABLES: &'static [Table] = &[Table::NOTIFICATION, Table::DELIVERED, Table::LATER];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        if row.table == Table::LATER {
            // When it is due, and its id, are in the record, too.
            row.take::<8>()?;
            let org = row.id()?;
            row.take::<16>()?;
            let recipient = row.recipient(0)?;
            return Ok(Some(Self { org, recipient, number: 0, record: row.record()? }));
        }
        if row.table == Table::DELIVERED {
            // The instant of delivery is in the record, too.
            row.take::<8>()?;
        }
        let (org, recipient, number) = (row.id()?, row.recipient(8)?, u64::from_be_bytes(row.take()?));
        Ok(Some(Self { org, recipient, number, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<Notification, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), self.recipient, self.number)
    }

    fn is_secret(&self) -> bool {
        self.record.holds_secret()
    }
}

/// The line of an inbox in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct InboxLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "recipient"))]
    recipient: Recipient,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: InboxV1,
}

impl Line for InboxLine {
    type Entity = Inbox;
    const TABLES: &'static [Table] = &[Table::INBOX];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, recipient: row.recipient(0)?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<Inbox, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), self.recipient)
    }

    /// The inbox of an invitation exists only while its notification, which holds a secret, waits.
    fn is_secret(&self) -> bool {
        matches!(self.recipient, Recipient::Invited(_))
    }
}

#[deny(clippy::missing_trait_methods)]
impl OutboxPort for OrgView<'_> {
    fn inbox(&self, recipient: Recipient) -> Result<Option<Inbox>, Error> {
        self.entity(&inbox_key(self.org, recipient), |row: InboxV1| row.of(self.org, recipient))
    }

    fn notification(&self, recipient: Recipient, number: u64) -> Result<Option<Notification>, Error> {
        let key = notification_key(self.org, recipient, number);
        self.entity(&key, |row: NotificationV4| row.of(self.org, recipient, number))
    }

    fn notifications(&self, recipient: Recipient, after: u64, limit: usize) -> Result<Vec<Notification>, Error> {
        let one = |key: &[u8], value: &[u8]| {
            let number = u64::from_be_bytes(*key.last_chunk::<8>().ok_or(Corrupt::Key)?);
            decode::<NotificationV4>(key, value)?.of(self.org, recipient, number)
        };
        let read = |(key, value): Pair| one(&key, &value).map_err(|why| corrupt(&key, why));
        let start = notification_key(self.org, recipient, after.saturating_add(1));
        let end = end_of(&Table::NOTIFICATION.of(self.org, &[&recipient_part(recipient)]));
        self.store.scan(&start, &end).take(limit).map(|pair| read(pair?)).collect()
    }

    fn pages_of(&self, incident: IncidentId, most: usize) -> Result<Vec<Notification>, Error> {
        let prefix = Table::PAGE_BY_INCIDENT.record(self.org, incident);
        let (mut found, mut pages, mut last) = (Vec::new(), 0_usize, None);
        for pair in self.store.under(&prefix) {
            let (index, _) = pair?;
            let one = self.listed_at(&index)?;
            if one.page() != last {
                (pages, last) = (pages.saturating_add(1), one.page());
            }
            if pages > most {
                break;
            }
            found.push(one);
        }
        Ok(found)
    }

    fn editable(&self, incident: IncidentId, most: usize) -> Result<Vec<Notification>, Error> {
        let prefix = Table::PAGE_BY_INCIDENT.record(self.org, incident);
        let mut found = Vec::new();
        // Pages over other transports are looked at, too, and are not to make it long.
        for pair in self.store.under(&prefix).take(most.saturating_mul(20)) {
            let (index, _) = pair?;
            if found.len() == most {
                break;
            }
            if was_sent_over_slack(index.get(LISTED..).unwrap_or_default()) {
                found.extend(Some(self.listed_at(&index)?).filter(|one| one.sent_as.is_some()));
            }
        }
        Ok(found)
    }

    fn deliveries_of(&self, incident: IncidentId, page: PageId) -> Result<Vec<Notification>, Error> {
        let prefix = Table::PAGE_BY_INCIDENT.of(self.org, &[&incident.to_bytes(), &newest_first(page)]);
        self.store.under(&prefix).map(|pair| self.listed_at(&pair?.0)).collect()
    }
}

impl OrgView<'_> {
    /// The notification for which there is an index row.
    pub(super) fn listed_at(&self, index: &[u8]) -> Result<Notification, Error> {
        let key = index.get(LISTED..).unwrap_or_default();
        let value = self.store.get(key)?.ok_or_else(|| corrupt(index, Corrupt::Missing))?;
        notification_of(key, &value).map_err(|why| corrupt(key, why))
    }
}

impl Row<'_> {
    /// Takes the recipient: the rest of the key except the last `behind` bytes.
    fn recipient(&mut self, behind: usize) -> Result<Recipient, Corrupt> {
        recipient_of(self.all_but(behind)?).ok_or(Corrupt::Key)
    }
}

#[cfg(feature = "export")]
mod recipient {
    use super::{ContactMethodId, ContactMethodKind, Deserialize, InvitationId, Recipient, UserId, WebhookId};
    use serde::de::Error;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(it: &Recipient, s: S) -> Result<S::Ok, S::Error> {
        match it {
            Recipient::Member(user) => s.collect_str(user),
            Recipient::Method { user, method, kind } => s.collect_str(&format_args!("{method} {user} {kind}")),
            Recipient::Invited(invitation) => s.collect_str(invitation),
            // An id without a prefix is that of a webhook here.
            Recipient::Webhook(webhook) => s.collect_str(webhook),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Recipient, D::Error> {
        let text = String::deserialize(d)?;
        if let [method, user, kind] = text.split(' ').collect::<Vec<_>>()[..] {
            let (method, user) = (ContactMethodId::parse(method), UserId::parse(user));
            let kind = ContactMethodKind::ALL.into_iter().find(|one| one.to_string() == kind);
            let kind = kind.ok_or_else(|| D::Error::custom("an unknown kind of contact method"))?;
            let method = method.and_then(|method| Ok(Recipient::Method { user: user?, method, kind }));
            return method.map_err(D::Error::custom);
        }
        let other = InvitationId::parse(&text).map(Recipient::Invited);
        let other = other.or_else(|_| WebhookId::parse(&text).map(Recipient::Webhook));
        other.or_else(|_| UserId::parse(&text).map(Recipient::Member)).map_err(D::Error::custom)
    }
}
