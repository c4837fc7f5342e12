//! One stored thing with the key it stands under: what `verify` looks at, an export writes, and an import reads.
//!
//! A thing is read from its record row. From a thing come all the rows that it consists of (see
//! [`Entity`]), so whoever has all things has all rows; what else is in the store belongs to nobody. The form of a thing in
//! JSON is that of its record, with ids, instants and words as the API writes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use dogwatch_core::api_key::ApiKey;
use dogwatch_core::component::Component;
use dogwatch_core::escalation::{PastPolicyLayer, Policy, PolicyLayer};
use dogwatch_core::id::{
    ApiKeyId, ComponentId, Id, IncidentId, InvitationId, OverrideId, PolicyId, PolicyLayerId, RotationLayerId,
    ScheduleId, UpdateId,
};
use dogwatch_core::incident::{AuditEntry, Incident, IncidentUpdate};
use dogwatch_core::oncall::{Override, PastOrder, PastTerms, RotationLayer, Schedule};
use dogwatch_core::organization::{Counts, Organization};
use dogwatch_core::outbox::{Inbox, Notification, Recipient};
use dogwatch_core::team::{Invitation, Member};
use dogwatch_core::{OrgId, UserId};

use crate::keys::{self, Table};
use crate::once::Kept;
use crate::record::{Corrupt, Stored, decode};
use crate::records::{
    ApiKeyV1, AuditV1, ComponentV1, CountsV2, Entity, InboxV1, IncidentV3, InvitationV1, LayerV1, MemberV1,
    NotificationV2, OrganizationV1, OverrideV1, PastOrderV1, PastTermsV1, PolicyLayerV1, PolicyV1, Reader, Rows,
    ScheduleV1, TextV1, UpdateV1, audit_of, incident_of, json, update_of,
};

type Raw = [u8; 16];

/// A thing: what its key says, and its record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Thing {
    Organization {
        #[serde(with = "json::org")]
        id: Raw,
        #[serde(flatten)]
        record: OrganizationV1,
    },
    #[serde(rename = "tally")]
    Counts {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(flatten)]
        record: CountsV2,
    },
    Member {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::user")]
        id: Raw,
        #[serde(flatten)]
        record: MemberV1,
    },
    Invitation {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::invitation")]
        id: Raw,
        #[serde(flatten)]
        record: InvitationV1,
    },
    ApiKey {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::api_key")]
        id: Raw,
        #[serde(flatten)]
        record: ApiKeyV1,
    },
    Component {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::component")]
        id: Raw,
        #[serde(flatten)]
        record: ComponentV1,
    },
    Incident {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::incident_id")]
        id: Raw,
        #[serde(flatten)]
        record: IncidentV3,
    },
    Update {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::incident_id")]
        incident: Raw,
        #[serde(with = "json::update")]
        id: Raw,
        #[serde(flatten)]
        record: UpdateV1,
    },
    Audit {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::incident_id")]
        incident: Raw,
        #[serde(flatten)]
        record: AuditV1,
    },
    Schedule {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::schedule")]
        id: Raw,
        #[serde(flatten)]
        record: ScheduleV1,
    },
    RotationLayer {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::schedule")]
        schedule: Raw,
        #[serde(with = "json::rotation_layer")]
        id: Raw,
        #[serde(flatten)]
        record: LayerV1,
    },
    PastTerms {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::schedule")]
        schedule: Raw,
        #[serde(with = "json::rotation_layer")]
        layer: Raw,
        #[serde(flatten)]
        record: PastTermsV1,
    },
    PastOrder {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::schedule")]
        schedule: Raw,
        #[serde(flatten)]
        record: PastOrderV1,
    },
    Override {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::override_id")]
        id: Raw,
        #[serde(flatten)]
        record: OverrideV1,
    },
    Policy {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::policy")]
        id: Raw,
        #[serde(flatten)]
        record: PolicyV1,
    },
    PolicyLayer {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::policy")]
        policy: Raw,
        #[serde(with = "json::policy_layer")]
        id: Raw,
        #[serde(flatten)]
        record: PolicyLayerV1,
    },
    PastPolicyLayer {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::policy")]
        policy: Raw,
        /// Of which revision of the policy.
        of_revision: u32,
        #[serde(with = "json::policy_layer")]
        id: Raw,
        #[serde(flatten)]
        record: PolicyLayerV1,
    },
    Notification {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "recipient")]
        recipient: Recipient,
        number: u64,
        #[serde(flatten)]
        record: NotificationV2,
    },
    Inbox {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "recipient")]
        recipient: Recipient,
        #[serde(flatten)]
        record: InboxV1,
    },
    IdempotentAnswer {
        #[serde(with = "json::org")]
        org: Raw,
        #[serde(with = "json::scope")]
        scope: Raw,
        key: String,
        #[serde(with = "json::hash")]
        fingerprint: [u8; 32],
        #[serde(with = "json::time")]
        recorded_at: i64,
        status: u16,
        #[serde(with = "json::bytes")]
        body: Vec<u8>,
    },
}

impl Thing {
    /// The thing whose record a row is; `None` when the row only helps to find a thing, or holds a part of one. `read` reads
    /// the other rows of the thing.
    pub(crate) fn read(key: &[u8], value: &[u8], read: Reader<'_>) -> Result<Option<Self>, Corrupt> {
        let table = Table::of_key(key).ok_or(Corrupt::Key)?;
        let mut parts = Parts(key.get(1..).unwrap_or_default());
        let thing = parts.thing(table, (key, value), read)?;
        // What a key says behind its parts would be lost; the parts of an idempotent answer are read by itself.
        if thing.is_some() && table != Table::Once && !parts.0.is_empty() { Err(Corrupt::Key) } else { Ok(thing) }
    }

    /// The rows that it consists of.
    pub(crate) fn rows(self, read: Reader<'_>) -> Result<Rows, Corrupt> {
        let mut rows = Rows::default();
        self.whole(read)?.rows(&mut rows)?;
        Ok(rows)
    }

    /// What the rules see of it, which knows all its rows.
    pub(crate) fn whole(self, read: Reader<'_>) -> Result<Whole, Corrupt> {
        let org = OrgId::from_bytes;
        Ok(match self {
            Self::Organization { id, record } => Whole::Organization(record.of(org(id))?),
            Self::Counts { org: it, record } => Whole::Counts(record.of(org(it))),
            Self::Member { org: it, id, record } => Whole::Member(record.of(org(it), UserId::from_bytes(id))?),
            Self::Invitation { org: it, id, record } => {
                Whole::Invitation(record.of(org(it), InvitationId::from_bytes(id))?)
            }
            Self::ApiKey { org: it, id, record } => Whole::ApiKey(record.of(org(it), ApiKeyId::from_bytes(id))?),
            Self::Component { org: it, id, record } => {
                Whole::Component(record.of(org(it), ComponentId::from_bytes(id), read)?)
            }
            Self::Incident { org: it, id, record } => {
                Whole::Incident(incident_of(record, org(it), IncidentId::from_bytes(id), read)?)
            }
            Self::Update { org: it, incident, id, record } => {
                let (incident, id) = (IncidentId::from_bytes(incident), UpdateId::from_bytes(id));
                Whole::Update(update_of(record, org(it), incident, id, read)?)
            }
            Self::Audit { org: it, incident, record } => Whole::Audit(AuditEntry {
                org: org(it),
                incident: IncidentId::from_bytes(incident),
                events: audit_of(record)?,
            }),
            Self::Schedule { org: it, id, record } => {
                Whole::Schedule(record.of(org(it), ScheduleId::from_bytes(id), read)?)
            }
            Self::RotationLayer { org: it, schedule, id, record } => Whole::RotationLayer(record.of(
                org(it),
                ScheduleId::from_bytes(schedule),
                RotationLayerId::from_bytes(id),
            )?),
            Self::PastTerms { org: it, schedule, layer, record } => Whole::PastTerms(record.of(
                org(it),
                ScheduleId::from_bytes(schedule),
                RotationLayerId::from_bytes(layer),
            )?),
            Self::PastOrder { org: it, schedule, record } => {
                Whole::PastOrder(record.of(org(it), ScheduleId::from_bytes(schedule))?)
            }
            Self::Override { org: it, id, record } => Whole::Override(record.of(org(it), OverrideId::from_bytes(id))?),
            Self::Policy { org: it, id, record } => {
                Whole::Policy(record.of(org(it), PolicyId::from_bytes(id), read)?)
            }
            Self::PolicyLayer { org: it, policy, id, record } => {
                Whole::PolicyLayer(record.of(org(it), PolicyId::from_bytes(policy), PolicyLayerId::from_bytes(id))?)
            }
            Self::PastPolicyLayer { org: it, policy, of_revision, id, record } => {
                let layer = record.of(org(it), PolicyId::from_bytes(policy), PolicyLayerId::from_bytes(id))?;
                Whole::PastPolicyLayer(PastPolicyLayer { revision: of_revision, layer })
            }
            Self::Notification { org: it, recipient, number, record } => {
                Whole::Notification(record.of(org(it), recipient, number)?)
            }
            Self::Inbox { org: it, recipient, record } => Whole::Inbox(record.of(org(it), recipient)?),
            Self::IdempotentAnswer { org: it, scope, key, fingerprint, recorded_at, status, body } => {
                Whole::IdempotentAnswer(Kept { org: org(it), scope, key, fingerprint, recorded_at, status, body })
            }
        })
    }

    /// Gathers a long text that is kept beside the record.
    pub(crate) fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        let (org, id, text) = match self {
            Self::Component { org, id, record } => (org, id, &mut record.description),
            Self::Incident { org, id, record } => (org, id, record.description_mut()),
            Self::Update { org, id, record, .. } => (org, id, &mut record.body),
            Self::Schedule { org, id, record } => (org, id, &mut record.description),
            Self::Policy { org, id, record } => (org, id, &mut record.description),
            _ => return Ok(()),
        };
        if let Some(stored) = text.take() {
            *text = Some(TextV1::Inline(stored.load(OrgId::from_bytes(*org), *id, read)?));
        }
        Ok(())
    }

    /// Whether it holds a secret in plain text, or is the line of one: the notification of an invitation that waits.
    pub(crate) fn is_secret(&self) -> bool {
        match self {
            Self::Inbox { recipient, .. } => recipient.user().is_none(),
            Self::Notification { record, .. } => record.holds_secret(),
            _ => false,
        }
    }
}

macro_rules! wholes {
    ($($variant:ident($thing:ty),)*) => {
        /// A thing as the rules see it.
        #[derive(Debug)]
        pub(crate) enum Whole {
            $($variant($thing),)*
        }

        impl Whole {
            /// As [`Thing::read`].
            pub(crate) fn read(key: &[u8], value: &[u8], read: Reader<'_>) -> Result<Option<Self>, Corrupt> {
                Thing::read(key, value, read)?.map(|thing| thing.whole(read)).transpose()
            }
        }

        impl Entity for Whole {
            fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
                match self {
                    $(Self::$variant(thing) => thing.rows(rows),)*
                }
            }
        }
    };
}

wholes! {
    Organization(Organization),
    Counts(Counts),
    Member(Member),
    Invitation(Invitation),
    ApiKey(ApiKey),
    Component(Component),
    Incident(Incident),
    Update(IncidentUpdate),
    Audit(AuditEntry),
    Schedule(Schedule),
    RotationLayer(RotationLayer),
    PastTerms(PastTerms),
    PastOrder(PastOrder),
    Override(Override),
    Policy(Policy),
    PolicyLayer(PolicyLayer),
    PastPolicyLayer(PastPolicyLayer),
    Notification(Notification),
    Inbox(Inbox),
    IdempotentAnswer(Kept),
}

/// What is left of a key.
struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (part, rest) = self.0.split_first_chunk::<N>().ok_or(Corrupt::Key)?;
        self.0 = rest;
        Ok(*part)
    }

    fn id(&mut self) -> Result<Raw, Corrupt> {
        self.take()
    }

    /// Everything but a number at the end.
    fn recipient(&mut self, behind: usize) -> Result<Recipient, Corrupt> {
        let length = self.0.len().checked_sub(behind).ok_or(Corrupt::Key)?;
        let (part, rest) = self.0.split_at_checked(length).ok_or(Corrupt::Key)?;
        self.0 = rest;
        keys::recipient_of(part).ok_or(Corrupt::Key)
    }

    fn thing(
        &mut self,
        table: Table,
        (key, value): (&[u8], &[u8]),
        read: Reader<'_>,
    ) -> Result<Option<Thing>, Corrupt> {
        fn record<T: Stored>(key: &[u8], value: &[u8]) -> Result<T, Corrupt> {
            decode(key, value)
        }
        Ok(Some(match table {
            Table::Organization => Thing::Organization { id: self.id()?, record: record(key, value)? },
            Table::Counts => Thing::Counts { org: self.id()?, record: record(key, value)? },
            Table::Member => Thing::Member { org: self.id()?, id: self.id()?, record: record(key, value)? },
            Table::Invitation => Thing::Invitation { org: self.id()?, id: self.id()?, record: record(key, value)? },
            Table::ApiKey => Thing::ApiKey { org: self.id()?, id: self.id()?, record: record(key, value)? },
            Table::Component => Thing::Component { org: self.id()?, id: self.id()?, record: record(key, value)? },
            Table::Incident => {
                let (org, id) = (self.id()?, self.id()?.map(|byte| !byte));
                Thing::Incident { org, id, record: record(key, value)? }
            }
            Table::Update => {
                let (org, incident, id) = (self.id()?, self.id()?, self.id()?);
                Thing::Update { org, incident, id, record: record(key, value)? }
            }
            Table::Audit => {
                // The last part is the id of the first event, which is in the record, too.
                let (org, incident, _) = (self.id()?, self.id()?, self.id()?);
                Thing::Audit { org, incident, record: record(key, value)? }
            }
            Table::Schedule => Thing::Schedule { org: self.id()?, id: self.id()?, record: record(key, value)? },
            Table::Layer => {
                let (org, schedule, id) = (self.id()?, self.id()?, self.id()?);
                Thing::RotationLayer { org, schedule, id, record: record(key, value)? }
            }
            Table::PastTerms => {
                let (org, schedule, _, layer) = (self.id()?, self.id()?, self.take::<8>()?, self.id()?);
                Thing::PastTerms { org, schedule, layer, record: record(key, value)? }
            }
            Table::PastOrder => {
                let (org, schedule, _) = (self.id()?, self.id()?, self.take::<8>()?);
                Thing::PastOrder { org, schedule, record: record(key, value)? }
            }
            Table::Override => {
                let (org, _, _, id) = (self.id()?, self.id()?, self.take::<8>()?, self.id()?);
                Thing::Override { org, id, record: record(key, value)? }
            }
            Table::Policy => Thing::Policy { org: self.id()?, id: self.id()?, record: record(key, value)? },
            Table::PolicyLayer => {
                let (org, policy, id) = (self.id()?, self.id()?, self.id()?);
                Thing::PolicyLayer { org, policy, id, record: record(key, value)? }
            }
            Table::PastPolicyLayer => {
                let (org, policy, revision, id) = (self.id()?, self.id()?, self.take::<4>()?, self.id()?);
                let of_revision = u32::from_be_bytes(revision);
                Thing::PastPolicyLayer { org, policy, of_revision, id, record: record(key, value)? }
            }
            Table::Notification | Table::Delivered => {
                if table == Table::Delivered {
                    // The instant is in the record, too.
                    self.take::<8>()?;
                }
                let (org, recipient, number) = (self.id()?, self.recipient(8)?, u64::from_be_bytes(self.take()?));
                Thing::Notification { org, recipient, number, record: record(key, value)? }
            }
            Table::Inbox => {
                let (org, recipient) = (self.id()?, self.recipient(0)?);
                Thing::Inbox { org, recipient, record: record(key, value)? }
            }
            Table::Once => {
                let Some(kept) = Kept::read(key, value, read)? else { return Ok(None) };
                let Kept { org, scope, key, fingerprint, recorded_at, status, body } = kept;
                Thing::IdempotentAnswer { org: org.to_bytes(), scope, key, fingerprint, recorded_at, status, body }
            }
            Table::Meta
            | Table::KeyHolder
            | Table::Token
            | Table::ActiveMember
            | Table::ApiKeyByUser
            | Table::Email
            | Table::ComponentName
            | Table::ByStatusAndSeverity
            | Table::OpenByComponent
            | Table::Text
            | Table::ScheduleName
            | Table::RotationByUser
            | Table::OverrideByUser
            | Table::PolicyName
            | Table::PolicyBySchedule
            | Table::PolicyByUser
            | Table::OpenByPolicy
            | Table::Timer
            | Table::Ready
            | Table::OnceByTime => return Ok(None),
        }))
    }
}

mod recipient {
    use super::{Deserialize, Deserializer, InvitationId, Recipient, Serializer, UserId};
    use serde::de::Error;

    pub(super) fn serialize<S: Serializer>(it: &Recipient, s: S) -> Result<S::Ok, S::Error> {
        match it {
            Recipient::Member(user) => s.collect_str(user),
            Recipient::Invited(invitation) => s.collect_str(invitation),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Recipient, D::Error> {
        let text = String::deserialize(d)?;
        let invited = InvitationId::parse(&text).map(Recipient::Invited);
        invited.or_else(|_| UserId::parse(&text).map(Recipient::Member)).map_err(D::Error::custom)
    }
}
