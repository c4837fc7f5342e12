//! The stored form of integrations, and of what comes in over them: signals, groups of them, and what came in lately.
//!
//! A token leads to its integration through a global row under its hash, which goes when the integration is deleted. Signals and groups
//! sort by integration and key, newest first, so the present one of a key is the first row; an alert that only counts writes that row
//! and no other. A group that waits has a timer beside those of escalation runs, and so has a heartbeat.

use bincode::{Decode, Encode};
use dogwatch_core::id::{AlertGroupId, ComponentId, Id, IncidentId, IntegrationId, PolicyId, ScheduleId, SignalId};
use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{
    AlertGroup, AlertKey, FirstAlert, GroupState, Heartbeat, Integration, IntegrationKind, IntegrationPort, Severities,
    SeverityOutcome, Signal, Storm, Traffic,
};
use dogwatch_core::secret::SecretHash;
use dogwatch_core::text::{AlertSource, DedupKey, IncidentDescription, Name, Summary, Title, TopicArn};
use dogwatch_core::ticks::{Timer, Waiting};
use dogwatch_core::{Error, OrgId, UserId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

use super::incident::{incident_key, newest_first, severity, severity_byte, timer_key};
#[cfg(feature = "export")]
use super::json;
use super::text::{Reader, TextV1, gather};
use super::{Entity, Line, Raw, Row, Rows, by_byte, text, timestamp};
use crate::record::{Corrupt, Stored};
use crate::table::{Table, end_of};
use crate::tools::Verifier;
use crate::view::{OrgView, corrupt, id_at_end};

impl Table {
    /// Integrations, deleted ones included.
    pub(crate) const INTEGRATION: Self = Self::new(b'@', "Integration");
    /// Index of the integrations that have not been deleted.
    pub(crate) const LIVE_INTEGRATION: Self = Self::new(b'!', "LiveIntegration");
    /// Integrations by the hash of their token.
    pub(crate) const INTEGRATION_TOKEN: Self = Self::new(b'#', "IntegrationToken");
    /// What came in lately, by integration.
    pub(crate) const TRAFFIC: Self = Self::new(b'%', "Traffic");
    /// Signals by integration and key, newest first.
    pub(crate) const SIGNAL: Self = Self::new(b'&', "Signal");
    /// Index of signals by group.
    pub(crate) const SIGNAL_BY_GROUP: Self = Self::new(b'+', "SignalByGroup");
    /// Groups of signals by integration and key, newest first.
    pub(crate) const ALERT_GROUP: Self = Self::new(b'*', "AlertGroup");
    /// Index of groups by incident.
    pub(crate) const GROUP_BY_INCIDENT: Self = Self::new(b'=', "GroupByIncident");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[
    Table::INTEGRATION,
    Table::LIVE_INTEGRATION,
    Table::INTEGRATION_TOKEN,
    Table::TRAFFIC,
    Table::SIGNAL,
    Table::SIGNAL_BY_GROUP,
    Table::ALERT_GROUP,
    Table::GROUP_BY_INCIDENT,
];

pub(crate) const fn kind_byte(kind: IntegrationKind) -> u8 {
    match kind {
        IntegrationKind::PagerDuty => 1,
        IntegrationKind::Alertmanager => 2,
        IntegrationKind::Generic => 3,
        IntegrationKind::Heartbeat => 4,
        IntegrationKind::CloudWatch => 5,
    }
}

/// The severities whose alerts are dropped, a bit for each.
fn dropped(severities: Severities) -> u8 {
    let bit = |severity: &Severity| match severities.outcome(*severity) {
        SeverityOutcome::Incident => 0,
        SeverityOutcome::Drop => 1 << severity_byte(*severity),
    };
    Severity::ALL.iter().map(bit).sum()
}

/// Reads what [`dropped`] made.
fn severities(dropped: u8) -> Severities {
    let outcome = |severity: Severity| match dropped & (1 << severity_byte(severity)) {
        0 => SeverityOutcome::Incident,
        _ => SeverityOutcome::Drop,
    };
    Severities {
        critical: outcome(Severity::Critical),
        high: outcome(Severity::High),
        medium: outcome(Severity::Medium),
        low: outcome(Severity::Low),
    }
}

/// The beginning of the keys of what an integration has under a key.
fn keyed(table: Table, org: OrgId, integration: IntegrationId, key: AlertKey) -> Vec<u8> {
    table.of(org, &[&integration.to_bytes(), &key.to_bytes()])
}

fn newest_key(table: Table, org: OrgId, integration: IntegrationId, key: AlertKey, id: impl Id) -> Vec<u8> {
    table.of(org, &[&integration.to_bytes(), &key.to_bytes(), &newest_first(id)])
}

/// Where the integration with a token is.
#[derive(Debug, Encode, Decode)]
pub(crate) struct TokenHolderV1 {
    org: Raw,
    integration: Raw,
}

impl Stored for TokenHolderV1 {
    const VERSION: u8 = 1;
}

impl TokenHolderV1 {
    pub(crate) fn of(self) -> (OrgId, IntegrationId) {
        (OrgId::from_bytes(self.org), IntegrationId::from_bytes(self.integration))
    }
}

/// The record of an integration. Organization and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct IntegrationV1 {
    name: String,
    #[cfg_attr(feature = "export", serde(with = "json::integration_kind"))]
    kind: u8,
    #[cfg_attr(feature = "export", serde(with = "json::MaybeIdForm::<ComponentId>"))]
    component: Option<Raw>,
    #[cfg_attr(feature = "export", serde(with = "json::MaybeIdForm::<ScheduleId>"))]
    owner_schedule: Option<Raw>,
    #[cfg_attr(feature = "export", serde(with = "json::MaybeIdForm::<PolicyId>"))]
    policy: Option<Raw>,
    /// The severities whose alerts are dropped, a bit for each.
    dropped: u8,
    pause: u32,
    resolve_after: u32,
    /// Period and grace.
    heartbeat: Option<(u32, u32)>,
    #[cfg_attr(feature = "export", serde(with = "json::hash"))]
    token: [u8; 32],
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    rotated_at: Option<i64>,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    created_by: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    deleted_at: Option<i64>,
}

impl Stored for IntegrationV1 {
    const VERSION: u8 = 1;
}

impl Entity for Integration {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = IntegrationV1 {
            name: self.name.as_str().to_owned(),
            kind: kind_byte(self.kind),
            component: self.component_id.map(Id::to_bytes),
            owner_schedule: self.owner_schedule_id.map(Id::to_bytes),
            policy: self.policy_id.map(Id::to_bytes),
            dropped: dropped(self.severities),
            pause: self.pause,
            resolve_after: self.resolve_after,
            heartbeat: self.heartbeat.map(|beats| (beats.period(), beats.grace())),
            token: self.token.to_bytes(),
            rotated_at: self.rotated_at.map(|at| at.as_millis()),
            created_by: self.created_by.to_bytes(),
            created_at: self.created_at.as_millis(),
            deleted_at: self.deleted_at.map(|at| at.as_millis()),
        };
        if self.is_live() {
            let holder = TokenHolderV1 { org: self.org_id.to_bytes(), integration: self.id.to_bytes() };
            rows.index(Table::LIVE_INTEGRATION.record(self.org_id, self.id));
            rows.record(Table::INTEGRATION_TOKEN.hashed(self.token), &holder)?;
        }
        rows.record(Table::INTEGRATION.record(self.org_id, self.id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_users(key, self.org_id, [self.created_by]);
        if !self.is_live() {
            return;
        }
        if let Some(id) = self.component_id {
            verifier.need(key, &Table::COMPONENT.record(self.org_id, id), "a component");
        }
        if let Some(id) = self.owner_schedule_id {
            verifier.need(key, &Table::SCHEDULE.record(self.org_id, id), "a schedule");
        }
        if let Some(id) = self.policy_id {
            verifier.need(key, &Table::POLICY.record(self.org_id, id), "a policy");
        }
    }
}

impl IntegrationV1 {
    fn of(self, org: OrgId, id: IntegrationId) -> Result<Integration, Corrupt> {
        let heartbeat = self.heartbeat.map(|(period, grace)| text(Heartbeat::new(period.into(), grace.into())));
        Ok(Integration {
            id,
            org_id: org,
            name: text(Name::stored(self.name))?,
            kind: by_byte(&IntegrationKind::ALL, kind_byte, self.kind)?,
            component_id: self.component.map(ComponentId::from_bytes),
            owner_schedule_id: self.owner_schedule.map(ScheduleId::from_bytes),
            policy_id: self.policy.map(PolicyId::from_bytes),
            severities: Some(severities(self.dropped))
                .filter(|read| dropped(*read) == self.dropped)
                .ok_or(Corrupt::Value)?,
            pause: self.pause,
            resolve_after: self.resolve_after,
            heartbeat: heartbeat.transpose()?,
            token: SecretHash::from_bytes(self.token),
            rotated_at: self.rotated_at.map(timestamp).transpose()?,
            created_by: UserId::from_bytes(self.created_by),
            created_at: timestamp(self.created_at)?,
            deleted_at: self.deleted_at.map(timestamp).transpose()?,
        })
    }
}

/// The line of an integration in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct IntegrationLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IntegrationId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: IntegrationV1,
}

impl Line for IntegrationLine {
    type Entity = Integration;
    const TABLES: &'static [Table] = &[Table::INTEGRATION];
    const FOLLOWED: bool = true;
    const HASHES: &'static [&'static str] = &["token"];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, _: Reader<'_>) -> Result<Integration, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), IntegrationId::from_bytes(self.id))
    }
}

/// The record of what came in lately over an integration. Organization and integration are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct TrafficV1 {
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    last_signal_at: Option<i64>,
    #[cfg_attr(feature = "export", serde(with = "json::time::list"))]
    begun: Vec<i64>,
    storm: Option<StormV1>,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    silent_at: Option<i64>,
    topic: Option<String>,
}

/// When a storm began, and when the last new signal joined it.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct StormV1 {
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    began: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    last: i64,
}

impl Stored for TrafficV1 {
    const VERSION: u8 = 1;
}

impl Entity for Traffic {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = TrafficV1 {
            last_signal_at: self.last_signal_at.map(|at| at.as_millis()),
            begun: self.begun.iter().map(|at| at.as_millis()).collect(),
            storm: self.storm.map(|it| StormV1 { began: it.began.as_millis(), last: it.last.as_millis() }),
            silent_at: self.silent_at.map(|at| at.as_millis()),
            topic: self.topic.as_ref().map(|topic| topic.as_str().to_owned()),
        };
        if let Some(due) = self.silent_at {
            let waiting = Waiting::Heartbeat(self.integration_id);
            rows.index(timer_key(&Timer { due, org_id: self.org_id, waiting }));
        }
        rows.record(Table::TRAFFIC.record(self.org_id, self.integration_id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need(key, &Table::INTEGRATION.record(self.org_id, self.integration_id), "an integration");
    }
}

impl TrafficV1 {
    fn of(self, org: OrgId, id: IntegrationId) -> Result<Traffic, Corrupt> {
        let storm = |it: StormV1| Ok(Storm { began: timestamp(it.began)?, last: timestamp(it.last)? });
        let storm = self.storm.map(storm);
        Ok(Traffic {
            org_id: org,
            integration_id: id,
            last_signal_at: self.last_signal_at.map(timestamp).transpose()?,
            begun: self.begun.into_iter().map(timestamp).collect::<Result<_, _>>()?,
            storm: storm.transpose()?,
            silent_at: self.silent_at.map(timestamp).transpose()?,
            topic: self.topic.map(|topic| text(TopicArn::stored(topic))).transpose()?,
        })
    }
}

/// The line of what came in lately over an integration in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct TrafficLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IntegrationId>"))]
    integration: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: TrafficV1,
}

impl Line for TrafficLine {
    type Entity = Traffic;
    const TABLES: &'static [Table] = &[Table::TRAFFIC];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, integration: row.id()?, record: row.record()? }))
    }

    fn entity(self, _: Reader<'_>) -> Result<Traffic, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), IntegrationId::from_bytes(self.integration))
    }
}

/// The record of a signal. Organization, integration, key and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct SignalV1 {
    dedup_key: String,
    #[cfg_attr(feature = "export", serde(with = "json::scope"))]
    group_key: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<AlertGroupId>"))]
    group: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::severity"))]
    severity: u8,
    /// It is always there; `gather` takes such.
    summary: Option<TextV1>,
    source: String,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    first_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    last_at: i64,
    count: u64,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    resolved_at: Option<i64>,
    reports: Vec<u64>,
}

impl Stored for SignalV1 {
    const VERSION: u8 = 1;
}

impl Entity for Signal {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = SignalV1 {
            dedup_key: self.dedup_key.as_str().to_owned(),
            group_key: self.group_key.to_bytes(),
            group: self.group_id.to_bytes(),
            severity: severity_byte(self.severity),
            summary: Some(TextV1::store(self.summary.as_str(), self.org_id, self.id.to_bytes(), rows)?),
            source: self.source.as_str().to_owned(),
            first_at: self.first_at.as_millis(),
            last_at: self.last_at.as_millis(),
            count: self.count,
            resolved_at: self.resolved_at.map(|at| at.as_millis()),
            reports: self.reports.clone(),
        };
        let (group, id) = (self.group_id.to_bytes(), self.id.to_bytes());
        let (integration, key) = (self.integration_id.to_bytes(), self.key.to_bytes());
        rows.index(Table::SIGNAL_BY_GROUP.of(self.org_id, &[&group, &id, &integration, &key]));
        rows.record(newest_key(Table::SIGNAL, self.org_id, self.integration_id, self.key, self.id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        if self.is_forgotten() {
            return;
        }
        let group = newest_key(Table::ALERT_GROUP, self.org_id, self.integration_id, self.group_key, self.group_id);
        verifier.need(key, &group, "a group of alerts");
    }
}

/// The line of a signal in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct SignalLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IntegrationId>"))]
    integration: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::scope"))]
    key: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<SignalId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: SignalV1,
}

impl Line for SignalLine {
    type Entity = Signal;
    const TABLES: &'static [Table] = &[Table::SIGNAL];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        let (org, integration, key) = (row.id()?, row.id()?, row.id()?);
        let id = row.id()?.map(|byte| !byte);
        Ok(Some(Self { org, integration, key, id, record: row.record()? }))
    }

    fn entity(self, read: Reader<'_>) -> Result<Signal, Corrupt> {
        let (org_id, record) = (OrgId::from_bytes(self.org), self.record);
        let summary = record.summary.ok_or(Corrupt::Value)?.load(org_id, self.id, read)?;
        Ok(Signal {
            id: SignalId::from_bytes(self.id),
            org_id,
            integration_id: IntegrationId::from_bytes(self.integration),
            key: AlertKey::from_bytes(self.key),
            dedup_key: text(DedupKey::new(record.dedup_key))?,
            group_key: AlertKey::from_bytes(record.group_key),
            group_id: AlertGroupId::from_bytes(record.group),
            severity: severity(record.severity)?,
            summary: text(Summary::new(summary))?,
            source: text(AlertSource::new(record.source))?,
            first_at: timestamp(record.first_at)?,
            last_at: timestamp(record.last_at)?,
            count: record.count,
            resolved_at: record.resolved_at.map(timestamp).transpose()?,
            reports: record.reports,
        })
    }

    fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        gather(&mut self.record.summary, self.org, self.id, read)
    }
}

/// The record of a group of signals. Organization, integration, key and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct AlertGroupV1 {
    firing: u32,
    state: GroupStateV1,
    /// The description of the incident, while the group waits to open it.
    description: Option<TextV1>,
}

#[derive(Debug, Encode, Decode)]
#[cfg_attr(
    feature = "export",
    derive(Serialize, Deserialize),
    serde(rename_all = "camelCase", rename_all_fields = "camelCase")
)]
enum GroupStateV1 {
    Pausing {
        #[cfg_attr(feature = "export", serde(with = "json::time"))]
        opens_at: i64,
        title: String,
        #[cfg_attr(feature = "export", serde(with = "json::severity"))]
        severity: u8,
    },
    Open {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IncidentId>"))]
        incident: Raw,
    },
    Quiet {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IncidentId>"))]
        incident: Raw,
        #[cfg_attr(feature = "export", serde(with = "json::time"))]
        resolves_at: i64,
    },
    Closed {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IncidentId>"))]
        incident: Raw,
    },
}

impl Stored for AlertGroupV1 {
    const VERSION: u8 = 1;
}

impl Entity for AlertGroup {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let mut description = None;
        let state = match &self.state {
            GroupState::Pausing { opens_at, first } => {
                let text = first.description.as_ref();
                let text = text.map(|it| TextV1::store(it.as_str(), self.org_id, self.id.to_bytes(), rows));
                description = text.transpose()?;
                GroupStateV1::Pausing {
                    opens_at: opens_at.as_millis(),
                    title: first.title.as_str().to_owned(),
                    severity: severity_byte(first.severity),
                }
            }
            GroupState::Open { incident_id } => GroupStateV1::Open { incident: incident_id.to_bytes() },
            GroupState::Quiet { incident_id, resolves_at } => {
                GroupStateV1::Quiet { incident: incident_id.to_bytes(), resolves_at: resolves_at.as_millis() }
            }
            GroupState::Closed { incident_id } => GroupStateV1::Closed { incident: incident_id.to_bytes() },
        };
        let (integration, key, id) = (self.integration_id.to_bytes(), self.key.to_bytes(), self.id.to_bytes());
        if let Some(incident) = self.state.incident() {
            let parts: [&[u8]; 4] = [&incident.to_bytes(), &integration, &key, &id];
            rows.index(Table::GROUP_BY_INCIDENT.of(self.org_id, &parts));
        }
        if let Some(due) = self.state.due() {
            let waiting = Waiting::AlertGroup(self.integration_id, self.key);
            rows.index(timer_key(&Timer { due, org_id: self.org_id, waiting }));
        }
        let record = AlertGroupV1 { firing: self.firing, state, description };
        rows.record(newest_key(Table::ALERT_GROUP, self.org_id, self.integration_id, self.key, self.id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need(key, &Table::INTEGRATION.record(self.org_id, self.integration_id), "an integration");
        // Whatever began a group was traffic.
        verifier.need(key, &Table::TRAFFIC.record(self.org_id, self.integration_id), "what came in lately");
        if let Some(incident) = self.state.incident() {
            verifier.need(key, &incident_key(self.org_id, incident), "an incident");
        }
    }
}

/// The line of a group of signals in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct AlertGroupLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IntegrationId>"))]
    integration: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::scope"))]
    key: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<AlertGroupId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: AlertGroupV1,
}

impl Line for AlertGroupLine {
    type Entity = AlertGroup;
    const TABLES: &'static [Table] = &[Table::ALERT_GROUP];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        let (org, integration, key) = (row.id()?, row.id()?, row.id()?);
        let id = row.id()?.map(|byte| !byte);
        Ok(Some(Self { org, integration, key, id, record: row.record()? }))
    }

    fn entity(self, read: Reader<'_>) -> Result<AlertGroup, Corrupt> {
        let (org_id, record) = (OrgId::from_bytes(self.org), self.record);
        let pauses = matches!(record.state, GroupStateV1::Pausing { .. });
        if record.description.is_some() && !pauses {
            return Err(Corrupt::Value);
        }
        let description = record.description.map(|stored| stored.load(org_id, self.id, read)).transpose()?;
        let state = match record.state {
            GroupStateV1::Pausing { opens_at, title, severity: byte } => GroupState::Pausing {
                opens_at: timestamp(opens_at)?,
                first: Box::new(FirstAlert {
                    title: text(Title::new(title))?,
                    description: description.map(|it| text(IncidentDescription::new(it))).transpose()?,
                    severity: severity(byte)?,
                }),
            },
            GroupStateV1::Open { incident } => GroupState::Open { incident_id: IncidentId::from_bytes(incident) },
            GroupStateV1::Quiet { incident, resolves_at } => GroupState::Quiet {
                incident_id: IncidentId::from_bytes(incident),
                resolves_at: timestamp(resolves_at)?,
            },
            GroupStateV1::Closed { incident } => GroupState::Closed { incident_id: IncidentId::from_bytes(incident) },
        };
        Ok(AlertGroup {
            id: AlertGroupId::from_bytes(self.id),
            org_id,
            integration_id: IntegrationId::from_bytes(self.integration),
            key: AlertKey::from_bytes(self.key),
            firing: record.firing,
            state,
        })
    }

    fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        gather(&mut self.record.description, self.org, self.id, read)
    }
}

impl OrgView<'_> {
    /// The entity whose record is in a row.
    fn line<L: Line>(&self, key: &[u8], value: &[u8]) -> Result<L::Entity, Error> {
        let read = |key: &[u8]| self.read(key);
        let line = Row::new(key, value, &read).and_then(|mut row| L::read(&mut row));
        let made = line.and_then(|line| line.ok_or(Corrupt::Value)?.entity(&read));
        made.map_err(|why| corrupt(key, why))
    }

    /// The first entity under a prefix.
    fn first_under<L: Line>(&self, prefix: &[u8]) -> Result<Option<L::Entity>, Error> {
        match self.store.under(prefix).next() {
            Some(pair) => {
                let (key, value) = pair?;
                self.line::<L>(&key, &value).map(Some)
            }
            None => Ok(None),
        }
    }

    /// The entity under a key that an index row names.
    fn indexed<L: Line>(&self, index: &[u8], key: &[u8]) -> Result<L::Entity, Error> {
        let value = self.store.get(key)?.ok_or_else(|| corrupt(index, Corrupt::Missing))?;
        self.line::<L>(key, &value)
    }
}

/// The last parts of an index key: three times sixteen bytes.
fn last_three(key: &[u8]) -> Result<[Raw; 3], Error> {
    let parts = || {
        let (first, rest) = key.last_chunk::<48>()?.split_first_chunk::<16>()?;
        let (second, third) = rest.split_first_chunk::<16>()?;
        Some([*first, *second, third.try_into().ok()?])
    };
    parts().ok_or_else(|| corrupt(key, Corrupt::Key))
}

#[deny(clippy::missing_trait_methods)]
impl IntegrationPort for OrgView<'_> {
    fn integration(&self, id: IntegrationId) -> Result<Option<Integration>, Error> {
        self.entity(&Table::INTEGRATION.record(self.org, id), |row: IntegrationV1| row.of(self.org, id))
    }

    fn integrations(&self) -> Result<Vec<Integration>, Error> {
        let live = |index: &[u8]| {
            let id = id_at_end(index).map_err(|why| corrupt(index, why))?;
            self.integration(id)?.ok_or_else(|| corrupt(index, Corrupt::Missing))
        };
        self.store.under(&Table::LIVE_INTEGRATION.of(self.org, &[])).map(|pair| live(&pair?.0)).collect()
    }

    fn traffic(&self, id: IntegrationId) -> Result<Option<Traffic>, Error> {
        self.entity(&Table::TRAFFIC.record(self.org, id), |row: TrafficV1| row.of(self.org, id))
    }

    fn newest_signal(&self, integration: IntegrationId, key: AlertKey) -> Result<Option<Signal>, Error> {
        self.first_under::<SignalLine>(&keyed(Table::SIGNAL, self.org, integration, key))
    }

    fn newest_group(&self, integration: IntegrationId, key: AlertKey) -> Result<Option<AlertGroup>, Error> {
        self.first_under::<AlertGroupLine>(&keyed(Table::ALERT_GROUP, self.org, integration, key))
    }

    fn group_of(&self, incident: IncidentId) -> Result<Option<AlertGroup>, Error> {
        let prefix = Table::GROUP_BY_INCIDENT.record(self.org, incident);
        let Some(pair) = self.store.under(&prefix).next() else { return Ok(None) };
        let (index, _) = pair?;
        let [integration, key, id] = last_three(&index)?;
        let key = Table::ALERT_GROUP.of(self.org, &[&integration, &key, &id.map(|byte| !byte)]);
        self.indexed::<AlertGroupLine>(&index, &key).map(Some)
    }

    fn signals(&self, group: AlertGroupId, after: Option<SignalId>, limit: usize) -> Result<Vec<Signal>, Error> {
        let prefix = Table::SIGNAL_BY_GROUP.record(self.org, group);
        let start = after.map_or_else(|| prefix.clone(), |after| end_of(&[&prefix[..], &after.to_bytes()].concat()));
        let signal = |index: &[u8]| {
            let [id, integration, key] = last_three(index)?;
            let key = Table::SIGNAL.of(self.org, &[&integration, &key, &id.map(|byte| !byte)]);
            self.indexed::<SignalLine>(index, &key)
        };
        self.store.scan(&start, &end_of(&prefix)).take(limit).map(|pair| signal(&pair?.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests panic when they fail")]
    use super::*;
    use dogwatch_core::Timestamp;

    fn read_back<T: Entity, L: Line<Entity = T>>(entity: &T) -> T {
        let mut rows = Rows::default();
        entity.rows(&mut rows).unwrap();
        let rows: std::collections::BTreeMap<_, _> = rows.into_pairs().collect();
        let reader = |key: &[u8]| Ok(rows.get(key).cloned());
        let record = |(key, _): &(&Vec<u8>, &Vec<u8>)| Table::of_key(key).is_some_and(|it| L::TABLES.contains(&it));
        let (key, value) = rows.iter().find(record).unwrap();
        let mut row = Row::new(key, value, &reader).unwrap();
        L::read(&mut row).unwrap().unwrap().entity(&reader).unwrap()
    }

    /// The largest of each kind fit into their rows, and come back as they were.
    #[test]
    fn the_largest_fit() {
        let (org_id, integration_id) = (OrgId::from_bytes([255; 16]), IntegrationId::from_bytes([254; 16]));
        let (at, key) = (Timestamp::MAX, AlertKey::from_bytes([253; 16]));
        let signal = Signal {
            id: SignalId::from_bytes([252; 16]),
            org_id,
            integration_id,
            key,
            dedup_key: DedupKey::new("𝄞".repeat(DedupKey::MAX)).unwrap(),
            group_key: key,
            group_id: AlertGroupId::from_bytes([251; 16]),
            severity: Severity::Low,
            summary: Summary::new("𝄞".repeat(Summary::MAX)).unwrap(),
            source: AlertSource::new("𝄞".repeat(AlertSource::MAX)).unwrap(),
            first_at: at,
            last_at: at,
            count: u64::MAX,
            resolved_at: Some(at),
            reports: vec![u64::MAX; 16],
        };
        assert_eq!(read_back::<_, SignalLine>(&signal), signal);
        let short = Signal { summary: Summary::new("s".repeat(1_024)).unwrap(), ..signal };
        assert_eq!(read_back::<_, SignalLine>(&short), short);

        let incident_id = IncidentId::from_bytes([250; 16]);
        let first = FirstAlert {
            title: Title::new("𝄞".repeat(Title::MAX)).unwrap(),
            description: Some(IncidentDescription::new("𝄞".repeat(10_000)).unwrap()),
            severity: Severity::Low,
        };
        for state in [
            GroupState::Pausing { opens_at: at, first: Box::new(first) },
            GroupState::Open { incident_id },
            GroupState::Quiet { incident_id, resolves_at: at },
            GroupState::Closed { incident_id },
        ] {
            let id = AlertGroupId::from_bytes([251; 16]);
            let group = AlertGroup { id, org_id, integration_id, key, firing: u32::MAX, state };
            assert_eq!(read_back::<_, AlertGroupLine>(&group), group);
        }

        let traffic = Traffic {
            org_id,
            integration_id,
            last_signal_at: Some(at),
            begun: vec![at; 60],
            storm: Some(Storm { began: at, last: at }),
            silent_at: Some(at),
            topic: Some(TopicArn::new("𝄞".repeat(TopicArn::MAX)).unwrap()),
        };
        assert_eq!(read_back::<_, TrafficLine>(&traffic), traffic);
    }

    #[test]
    fn dropped_severities() {
        for bits in 0..16_u8 {
            let outcome =
                |bit: u8| if bits & (1 << bit) == 0 { SeverityOutcome::Incident } else { SeverityOutcome::Drop };
            let all = Severities { critical: outcome(0), high: outcome(1), medium: outcome(2), low: outcome(3) };
            assert_eq!(severities(dropped(all)), all);
        }
    }
}
