//! Stored forms of policies, policy layers, runs, notifications and inboxes.

use bincode::{Decode, Encode};
use dogwatch_core::escalation::{
    AckTimeout, Escalation, PastPolicyLayer, Policy, PolicyLayer, Position, Run, RunLayer, RunState, Target,
    TargetUsers,
};
use dogwatch_core::id::{Id, IncidentId, NotificationId, PolicyId, PolicyLayerId, ScheduleId};
use dogwatch_core::outbox::{Inbox, Message, Notification, PageReason, ReadyInbox, Recipient};
use dogwatch_core::text::{Description, EmailAddress, PolicyName};
use dogwatch_core::{OrgId, Secret, UserId};
use serde::{Deserialize, Serialize};

use super::text::{Reader, TextV1};
use super::{Entity, NamedV1, Rows, by_byte, json, text, timestamp};
use crate::keys::{self, Table};
use crate::record::{Corrupt, Stored, unpack};

/// A policy.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyV1 {
    name: String,
    pub(crate) description: Option<TextV1>,
    #[serde(with = "json::user")]
    created_by: [u8; 16],
    #[serde(with = "json::time")]
    created_at: i64,
    #[serde(with = "json::time")]
    updated_at: i64,
    revision: u32,
    in_use: bool,
}

impl Stored for PolicyV1 {
    const VERSION: u8 = 1;
}

impl Entity for Policy {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let description = self.description.as_ref();
        let description = description.map(|text| TextV1::store(text.as_str(), self.org, self.id.to_bytes(), rows));
        let record = PolicyV1 {
            name: self.name.as_str().to_owned(),
            description: description.transpose()?,
            created_by: self.created_by.to_bytes(),
            created_at: self.created_at.as_millis(),
            updated_at: self.updated_at.as_millis(),
            revision: self.revision,
            in_use: self.in_use,
        };
        let named = NamedV1 { id: self.id.to_bytes() };
        rows.record(Table::PolicyName.of(self.org, &[self.name.as_str().as_bytes()]), &named)?;
        rows.record(Table::Policy.record(self.org, self.id), &record)
    }
}

impl PolicyV1 {
    pub(crate) fn of(self, org: OrgId, id: PolicyId, read: Reader<'_>) -> Result<Policy, Corrupt> {
        let description = self.description.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
        Ok(Policy {
            id,
            org,
            name: text(PolicyName::new(self.name))?,
            description: description.map(|it| text(Description::new(it))).transpose()?,
            created_by: UserId::from_bytes(self.created_by),
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
            revision: self.revision,
            in_use: self.in_use,
        })
    }
}

#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum TargetV1 {
    Schedule(#[serde(with = "json::schedule")] [u8; 16]),
    Users(#[serde(with = "json::user::list")] Vec<[u8; 16]>),
}

/// A policy layer, as it is or as it was.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyLayerV1 {
    position: u32,
    timeout: u16,
    target: TargetV1,
    #[serde(with = "json::time")]
    created_at: i64,
    #[serde(with = "json::time")]
    updated_at: i64,
}

impl Stored for PolicyLayerV1 {
    const VERSION: u8 = 1;
}

impl PolicyLayerV1 {
    fn from(layer: &PolicyLayer) -> Self {
        let target = match &layer.target {
            Target::Schedule(id) => TargetV1::Schedule(id.to_bytes()),
            Target::Users(users) => TargetV1::Users(users.as_slice().iter().map(|user| user.to_bytes()).collect()),
        };
        Self {
            position: layer.position.get(),
            timeout: layer.timeout.minutes(),
            target,
            created_at: layer.created_at.as_millis(),
            updated_at: layer.updated_at.as_millis(),
        }
    }

    pub(crate) fn of(self, org: OrgId, policy: PolicyId, id: PolicyLayerId) -> Result<PolicyLayer, Corrupt> {
        let target = match self.target {
            TargetV1::Schedule(id) => Target::Schedule(ScheduleId::from_bytes(id)),
            TargetV1::Users(users) => {
                let users = users.into_iter().map(UserId::from_bytes).collect();
                Target::Users(text(TargetUsers::restore(users))?)
            }
        };
        Ok(PolicyLayer {
            id,
            policy,
            org,
            position: text(Position::new(i64::from(self.position)))?,
            timeout: text(AckTimeout::from_minutes(i64::from(self.timeout)))?,
            target,
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
        })
    }
}

impl Entity for PolicyLayer {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let (policy, id) = (self.policy.to_bytes(), self.id.to_bytes());
        match &self.target {
            Target::Schedule(schedule) => {
                let parts = [&schedule.to_bytes()[..], &self.position.get().to_be_bytes(), &policy, &id];
                rows.index(Table::PolicyBySchedule.of(self.org, &parts));
            }
            Target::Users(users) => {
                for user in users.as_slice() {
                    rows.index(Table::PolicyByUser.of(self.org, &[&user.to_bytes()[..], &policy, &id]));
                }
            }
        }
        rows.record(Table::PolicyLayer.of(self.org, &[&policy, &id]), &PolicyLayerV1::from(self))
    }
}

impl Entity for PastPolicyLayer {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let layer = &self.layer;
        let parts = [&layer.policy.to_bytes()[..], &self.revision.to_be_bytes(), &layer.id.to_bytes()];
        rows.record(Table::PastPolicyLayer.of(layer.org, &parts), &PolicyLayerV1::from(layer))
    }
}

#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunLayerV1 {
    #[serde(with = "json::policy_layer")]
    id: [u8; 16],
    position: u32,
    timeout: u16,
}

#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum RunStateV1 {
    Waiting(#[serde(with = "json::time")] i64),
    Acknowledged,
    Exhausted,
    Resolved,
}

/// The run of an incident; the policy stands in the incident.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunV1 {
    revision: u32,
    current: Option<RunLayerV1>,
    state: RunStateV1,
}

impl RunV1 {
    pub(crate) fn from(escalation: &Escalation) -> Self {
        let layer = |layer: RunLayer| RunLayerV1 {
            id: layer.id.to_bytes(),
            position: layer.position,
            timeout: layer.timeout.minutes(),
        };
        Self {
            revision: escalation.revision,
            current: escalation.run.current.map(layer),
            state: match escalation.run.state {
                RunState::Waiting { due } => RunStateV1::Waiting(due.as_millis()),
                RunState::Acknowledged => RunStateV1::Acknowledged,
                RunState::Exhausted => RunStateV1::Exhausted,
                RunState::Resolved => RunStateV1::Resolved,
            },
        }
    }

    pub(crate) fn of(self, policy: PolicyId) -> Result<Escalation, Corrupt> {
        let layer = |layer: RunLayerV1| {
            Ok(RunLayer {
                id: PolicyLayerId::from_bytes(layer.id),
                position: text(Position::new(i64::from(layer.position)))?.get(),
                timeout: text(AckTimeout::from_minutes(i64::from(layer.timeout)))?,
            })
        };
        let state = match self.state {
            RunStateV1::Waiting(due) => RunState::Waiting { due: timestamp(due)? },
            RunStateV1::Acknowledged => RunState::Acknowledged,
            RunStateV1::Exhausted => RunState::Exhausted,
            RunStateV1::Resolved => RunState::Resolved,
        };
        let current = self.current.map(layer).transpose()?;
        if current.is_none() && matches!(state, RunState::Waiting { .. }) {
            return Err(Corrupt::Value);
        }
        Ok(Escalation { policy, revision: self.revision, run: Run { current, state } })
    }
}

/// The byte of the only kind that there was once.
const PAGE: u8 = 1;

pub(super) const fn reason_byte(reason: PageReason) -> u8 {
    match reason {
        PageReason::Escalation => 1,
        PageReason::Handoff => 2,
    }
}

/// A notification while every one was a page. Organization, user and number are in the key.
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

/// A notification. Organization, recipient and number are in the key.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotificationV2 {
    #[serde(with = "json::notification")]
    id: [u8; 16],
    message: MessageV2,
    #[serde(with = "json::time")]
    created_at: i64,
    attempts: u32,
    #[serde(with = "json::time::maybe")]
    delivered_at: Option<i64>,
}

#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum MessageV2 {
    Page {
        #[serde(with = "json::incident_id")]
        incident: [u8; 16],
        #[serde(with = "json::page_reason")]
        reason: u8,
    },
    Invitation {
        email: String,
        // Never in an export.
        #[serde(skip)]
        token: Option<String>,
    },
}

impl Stored for NotificationV2 {
    const VERSION: u8 = 2;

    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        if version != 1 {
            return Err(Corrupt::Version);
        }
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
            Message::Page { incident, reason } => {
                MessageV2::Page { incident: incident.to_bytes(), reason: reason_byte(*reason) }
            }
            Message::Invitation { email, token } => MessageV2::Invitation {
                email: email.as_str().to_owned(),
                token: token.as_ref().map(|token| token.reveal().to_owned()),
            },
        };
        let record = NotificationV2 {
            id: self.id.to_bytes(),
            message,
            created_at: self.created_at.as_millis(),
            attempts: self.attempts,
            delivered_at: self.delivered_at.map(|at| at.as_millis()),
        };
        let key = match self.delivered_at {
            None => keys::notification(self.org, self.recipient, self.number),
            Some(at) => keys::delivered(at, self.org, self.recipient, self.number),
        };
        rows.record(key, &record)
    }
}

impl NotificationV2 {
    /// Whether it holds a token in plain text.
    pub(crate) const fn holds_secret(&self) -> bool {
        matches!(self.message, MessageV2::Invitation { token: Some(_), .. })
    }

    pub(crate) fn of(self, org: OrgId, recipient: Recipient, number: u64) -> Result<Notification, Corrupt> {
        let message = match (recipient, self.message) {
            (Recipient::Member(_), MessageV2::Page { incident, reason }) => Message::Page {
                incident: IncidentId::from_bytes(incident),
                reason: by_byte(&PageReason::ALL, reason_byte, reason)?,
            },
            (Recipient::Invited(_), MessageV2::Invitation { email, token }) => {
                Message::Invitation { email: text(EmailAddress::new(email))?, token: token.map(Secret::new) }
            }
            _ => return Err(Corrupt::Value),
        };
        Ok(Notification {
            id: NotificationId::from_bytes(self.id),
            org,
            recipient,
            message,
            created_at: timestamp(self.created_at)?,
            attempts: self.attempts,
            delivered_at: self.delivered_at.map(timestamp).transpose()?,
            number,
        })
    }
}

/// A line of notifications.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InboxV1 {
    first: u64,
    last: u64,
    #[serde(with = "json::time")]
    ready_at: i64,
}

impl Stored for InboxV1 {
    const VERSION: u8 = 1;
}

impl Entity for Inbox {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = InboxV1 { first: self.first, last: self.last, ready_at: self.ready_at.as_millis() };
        if !self.is_empty() {
            rows.index(keys::ready(&ReadyInbox { ready_at: self.ready_at, org: self.org, recipient: self.recipient }));
        }
        rows.record(keys::inbox(self.org, self.recipient), &record)
    }
}

impl InboxV1 {
    pub(crate) fn of(self, org: OrgId, recipient: Recipient) -> Result<Inbox, Corrupt> {
        // A line that begins behind its end by more than one was never written.
        if self.first == 0 || self.first > self.last.saturating_add(1) {
            return Err(Corrupt::Value);
        }
        Ok(Inbox { org, recipient, first: self.first, last: self.last, ready_at: timestamp(self.ready_at)? })
    }
}
