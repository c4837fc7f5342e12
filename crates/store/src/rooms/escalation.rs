//! The stored form of escalation policies, their layers, and escalation runs.
//!
//! A policy counts the revisions of its layers. The layers of a revision on which a run has started are copied to
//! `PastPolicyLayer` before they change, so a run's snapshot of the policy is only the number of the revision. The run itself
//! is a part of the incident's record.

use bincode::{Decode, Encode};
use dogwatch_core::escalation::{
    AckTimeout, Escalation, EscalationPort, PastPolicyLayer, Policy, PolicyLayer, Position, Run, RunLayer, RunState,
    Target, TargetUsers,
};
use dogwatch_core::id::{Id, PolicyId, PolicyLayerId, ScheduleId};
use dogwatch_core::text::{Description, PolicyName};
use dogwatch_core::{Error, OrgId, UserId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

#[cfg(feature = "export")]
use super::json;
use super::text::{Reader, TextV1, gather};
use super::{Entity, Line, NamedV1, Raw, Row, Rows, text, timestamp};
use crate::backend::Pair;
use crate::record::{Corrupt, Stored, decode};
use crate::table::Table;
use crate::tools::Verifier;
use crate::view::{OrgView, corrupt, id_at_end};

impl Table {
    /// Escalation policies by id.
    pub(crate) const POLICY: Self = Self::new(b'P', "Policy");
    /// Names of escalation policies.
    pub(crate) const POLICY_NAME: Self = Self::new(b'N', "PolicyName");
    /// Policy layers of the present revision.
    pub(crate) const POLICY_LAYER: Self = Self::new(b'L', "PolicyLayer");
    /// Policy layers of earlier revisions on which runs have started.
    pub(crate) const PAST_POLICY_LAYER: Self = Self::new(b'q', "PastPolicyLayer");
    /// Index of present policy layers by the schedule that they target, then by position.
    pub(crate) const POLICY_BY_SCHEDULE: Self = Self::new(b'g', "PolicyBySchedule");
    /// Index of present policy layers by each user that they target.
    pub(crate) const POLICY_BY_USER: Self = Self::new(b'G', "PolicyByUser");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[
    Table::POLICY,
    Table::POLICY_NAME,
    Table::POLICY_LAYER,
    Table::PAST_POLICY_LAYER,
    Table::POLICY_BY_SCHEDULE,
    Table::POLICY_BY_USER,
];

/// The record of a policy. Organization and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct PolicyV1 {
    name: String,
    pub(crate) description: Option<TextV1>,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    created_by: [u8; 16],
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    updated_at: i64,
    /// The number of the present revision of its layers.
    revision: u32,
    /// Whether a run has started on the present revision.
    in_use: bool,
}

impl Stored for PolicyV1 {
    const VERSION: u8 = 1;
}

impl Entity for Policy {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let description = self.description.as_ref();
        let description = description.map(|text| TextV1::store(text.as_str(), self.org_id, self.id.to_bytes(), rows));
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
        rows.record(Table::POLICY_NAME.of(self.org_id, &[self.name.as_str().as_bytes()]), &named)?;
        rows.record(Table::POLICY.record(self.org_id, self.id), &record)
    }

    fn check(&self, _: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.of(self.org_id).counts.policies += 1;
    }
}

impl PolicyV1 {
    pub(crate) fn of(self, org: OrgId, id: PolicyId, read: Reader<'_>) -> Result<Policy, Corrupt> {
        let description = self.description.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
        Ok(Policy {
            id,
            org_id: org,
            name: text(PolicyName::stored(self.name))?,
            description: description.map(|it| text(Description::new(it))).transpose()?,
            created_by: UserId::from_bytes(self.created_by),
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
            revision: self.revision,
            in_use: self.in_use,
        })
    }
}

/// The target of a policy layer: a schedule, or up to 50 users.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(
    feature = "export",
    derive(Serialize, Deserialize),
    serde(rename_all = "camelCase", rename_all_fields = "camelCase")
)]
enum TargetV1 {
    Schedule(#[cfg_attr(feature = "export", serde(with = "json::IdForm::<ScheduleId>"))] [u8; 16]),
    Users(#[cfg_attr(feature = "export", serde(with = "json::IdsForm::<UserId>"))] Vec<[u8; 16]>),
}

/// The record of a policy layer, of the present revision or of an earlier one.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct PolicyLayerV1 {
    position: u32,
    /// The time to acknowledge before the next layer fires, in minutes, 1–10,080.
    timeout: u16,
    target: TargetV1,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
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
            timeout: layer.ack_timeout.minutes(),
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
            policy_id: policy,
            org_id: org,
            position: text(Position::new(i64::from(self.position)))?,
            ack_timeout: text(AckTimeout::from_minutes(i64::from(self.timeout)))?,
            target,
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
        })
    }
}

impl Entity for PolicyLayer {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let (policy, id) = (self.policy_id.to_bytes(), self.id.to_bytes());
        match &self.target {
            Target::Schedule(schedule) => {
                let parts = [&schedule.to_bytes()[..], &self.position.get().to_be_bytes(), &policy, &id];
                rows.index(Table::POLICY_BY_SCHEDULE.of(self.org_id, &parts));
            }
            Target::Users(users) => {
                for user in users.as_slice() {
                    rows.index(Table::POLICY_BY_USER.of(self.org_id, &[&user.to_bytes()[..], &policy, &id]));
                }
            }
        }
        rows.record(Table::POLICY_LAYER.of(self.org_id, &[&policy, &id]), &PolicyLayerV1::from(self))
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need(key, &Table::POLICY.record(self.org_id, self.policy_id), "a policy");
        match &self.target {
            Target::Schedule(it) => verifier.need_schedule(key, self.org_id, *it),
            Target::Users(users) => verifier.need_users(key, self.org_id, users.as_slice().iter().copied()),
        }
    }
}

impl Entity for PastPolicyLayer {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let layer = &self.layer;
        let parts = [&layer.policy_id.to_bytes()[..], &self.revision.to_be_bytes(), &layer.id.to_bytes()];
        rows.record(Table::PAST_POLICY_LAYER.of(layer.org_id, &parts), &PolicyLayerV1::from(layer))
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need(key, &Table::POLICY.record(self.layer.org_id, self.layer.policy_id), "a policy");
    }
}

/// The current layer of a run.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct RunLayerV1 {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PolicyLayerId>"))]
    id: [u8; 16],
    position: u32,
    /// The time to acknowledge, in minutes, 1–10,080.
    timeout: u16,
}

/// The state of a run. A waiting one holds the instant at which its next layer is due.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(
    feature = "export",
    derive(Serialize, Deserialize),
    serde(rename_all = "camelCase", rename_all_fields = "camelCase")
)]
enum RunStateV1 {
    Waiting(#[cfg_attr(feature = "export", serde(with = "json::time"))] i64),
    Acknowledged,
    Exhausted,
    Resolved,
}

/// The escalation run of an incident, a part of the incident's record. The id of the policy is a field of the incident.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
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
            timeout: layer.ack_timeout.minutes(),
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
                ack_timeout: text(AckTimeout::from_minutes(i64::from(layer.timeout)))?,
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
        Ok(Escalation { policy_id: policy, revision: self.revision, run: Run { current, state } })
    }
}

/// The line of a policy in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct PolicyLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PolicyId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: PolicyV1,
}

impl Line for PolicyLine {
    type Entity = Policy;
    const TABLES: &'static [Table] = &[Table::POLICY];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, read: Reader<'_>) -> Result<Policy, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), PolicyId::from_bytes(self.id), read)
    }

    fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        gather(&mut self.record.description, self.org, self.id, read)
    }
}

/// The line of a policy layer of the present revision in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct PolicyLayerLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PolicyId>"))]
    policy: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PolicyLayerId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: PolicyLayerV1,
}

impl Line for PolicyLayerLine {
    type Entity = PolicyLayer;
    const TABLES: &'static [Table] = &[Table::POLICY_LAYER];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, policy: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<PolicyLayer, Corrupt> {
        let (policy, id) = (PolicyId::from_bytes(self.policy), PolicyLayerId::from_bytes(self.id));
        self.record.of(OrgId::from_bytes(self.org), policy, id)
    }
}

/// The line of a policy layer of an earlier revision in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct PastPolicyLayerLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PolicyId>"))]
    policy: Raw,
    /// The revision of the policy to which the layer belongs.
    of_revision: u32,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PolicyLayerId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: PolicyLayerV1,
}

impl Line for PastPolicyLayerLine {
    type Entity = PastPolicyLayer;
    const TABLES: &'static [Table] = &[Table::PAST_POLICY_LAYER];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        let (org, policy, revision, id) = (row.id()?, row.id()?, row.take::<4>()?, row.id()?);
        Ok(Some(Self { org, policy, of_revision: u32::from_be_bytes(revision), id, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<PastPolicyLayer, Corrupt> {
        let (policy, id) = (PolicyId::from_bytes(self.policy), PolicyLayerId::from_bytes(self.id));
        let layer = self.record.of(OrgId::from_bytes(self.org), policy, id)?;
        Ok(PastPolicyLayer { revision: self.of_revision, layer })
    }
}

#[deny(clippy::missing_trait_methods)]
impl EscalationPort for OrgView<'_> {
    fn policy(&self, id: PolicyId) -> Result<Option<Policy>, Error> {
        let key = Table::POLICY.record(self.org, id);
        self.entity(&key, |row: PolicyV1| row.of(self.org, id, &|key| self.read(key)))
    }

    fn policy_named(&self, name: &PolicyName) -> Result<Option<PolicyId>, Error> {
        let key = Table::POLICY_NAME.of(self.org, &[name.as_str().as_bytes()]);
        Ok(self.store.record::<NamedV1>(&key)?.map(|named| PolicyId::from_bytes(named.id)))
    }

    fn policies(&self) -> Result<Vec<Policy>, Error> {
        self.named(Table::POLICY_NAME, |id| self.policy(PolicyId::from_bytes(id)))
    }

    fn policy_layers(&self, policy: PolicyId) -> Result<Vec<PolicyLayer>, Error> {
        let prefix = Table::POLICY_LAYER.record(self.org, policy);
        self.store.records(&prefix, |row: PolicyLayerV1, id| row.of(self.org, policy, id))
    }

    fn past_policy_layers(&self, policy: PolicyId, revision: Option<u32>) -> Result<Vec<PastPolicyLayer>, Error> {
        let mut prefix = Table::PAST_POLICY_LAYER.record(self.org, policy);
        prefix.extend(revision.into_iter().flat_map(u32::to_be_bytes));
        let past = |key: &[u8], value: &[u8]| {
            let (rest, id) = key.split_last_chunk::<16>().ok_or(Corrupt::Key)?;
            let revision = u32::from_be_bytes(*rest.last_chunk::<4>().ok_or(Corrupt::Key)?);
            let row: PolicyLayerV1 = decode(key, value)?;
            Ok(PastPolicyLayer { revision, layer: row.of(self.org, policy, PolicyLayerId::from_bytes(*id))? })
        };
        let read = |(key, value): Pair| past(&key, &value).map_err(|why| corrupt(&key, why));
        self.store.under(&prefix).map(|pair| read(pair?)).collect()
    }

    fn policies_of(&self, user: UserId, most: usize) -> Result<Vec<PolicyId>, Error> {
        let policies = self.store.under(&Table::POLICY_BY_USER.record(self.org, user)).take(most);
        policies.map(|pair| policy_in_key(&pair?.0)).collect()
    }

    fn policy_for_schedule(&self, schedule: ScheduleId) -> Result<Option<PolicyId>, Error> {
        let first = self.store.under(&Table::POLICY_BY_SCHEDULE.record(self.org, schedule)).next();
        first.map(|pair| policy_in_key(&pair?.0)).transpose()
    }

    fn policy_in_use(&self, id: PolicyId) -> Result<bool, Error> {
        Ok(self.store.under(&Table::OPEN_BY_POLICY.record(self.org, id)).next().transpose()?.is_some())
    }
}

/// The policy in a key that ends with a policy's id and a layer's id.
fn policy_in_key(key: &[u8]) -> Result<PolicyId, Error> {
    let (rest, _) = key.split_last_chunk::<16>().ok_or_else(|| corrupt(key, Corrupt::Key))?;
    id_at_end(rest).map_err(|why| corrupt(key, why))
}
