//! The stored form of incidents and their updates, and of the indexes for lists, timers and uses of components and policies.
//!
//! The record of an incident holds its status history, its escalation run, and the end of its audit trail. Its `createdAt` is
//! not stored: its id begins with it. Where the newest comes first, keys hold ids with their bits inverted. Incidents are indexed
//! by component, unresolved ones by policy, too; an incident whose run waits has one row in `Timer`.

pub(crate) mod audit;
mod check;
mod lists;
mod public;

use crate::rooms::escalation::RunV1;
use crate::table::{end_of, instant, take_instant};
use audit::{AuditEventV1, events_of, stored_events, told};
use audit::{AuditV1, audit_of};
use std::collections::VecDeque;
use std::sync::Arc;

use bincode::{Decode, Encode};
use dogwatch_core::id::{
    AuditEventId, ComponentId, Id, IncidentId, IntegrationId, MaintenanceId, PolicyId, StatusEntryId, StatusPageId,
    UpdateId,
};
use dogwatch_core::incident::{
    AuditEvent, Author, Incident, IncidentFilter, IncidentPort, IncidentUpdate, Severity, Status, StatusEntry,
    UpdateVisibility,
};
use dogwatch_core::integration::AlertKey;
use dogwatch_core::text::{IncidentDescription, Title, UpdateBody};
use dogwatch_core::ticks::{Timer, Waiting};
use dogwatch_core::{Error, OrgId, Timestamp, UserId};
use lists::{incident_lists, merged};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

use crate::backend::Pair;
use crate::record::{Corrupt, Stored, decode, unpack};
use crate::rooms::author::AcknowledgedV1;
#[cfg(feature = "export")]
use crate::rooms::json;
use crate::rooms::removal::{removed, removed_bytes};
use crate::rooms::text::{Reader, TextV1, gather};
use crate::rooms::{Entity, Line, Raw, Row, Rows, by_byte, text, timestamp};
use crate::table::Table;
use crate::tools::{Page, Side, Verifier};
use crate::view::{OrgView, corrupt, record_of};

impl Table {
    /// Incidents, newest first.
    pub(crate) const INCIDENT: Self = Self::new(b'I', "Incident");
    /// Index of incidents by status and severity, newest first.
    pub(crate) const BY_STATUS_AND_SEVERITY: Self = Self::new(b'X', "ByStatusAndSeverity");
    /// Index of unresolved incidents by component and severity, the worst first, then newest first.
    pub(crate) const OPEN_BY_SEVERITY: Self = Self::new(b'2', "OpenBySeverity");
    /// Index of resolved incidents by component, the latest resolved first, then newest first.
    pub(crate) const RESOLVED_BY_COMPONENT: Self = Self::new(b'3', "ResolvedByComponent");
    /// Index of public updates by incident, newest first.
    pub(crate) const PUBLIC_UPDATE: Self = Self::new(b'4', "PublicUpdate");
    /// Index of unresolved incidents by policy, newest first.
    pub(crate) const OPEN_BY_POLICY: Self = Self::new(b'E', "OpenByPolicy");
    /// Index of the escalation runs and maintenances of all organizations that wait, by the instant at which they are due.
    pub(crate) const TIMER: Self = Self::new(b'Z', "Timer");
    /// Updates by incident, oldest first.
    pub(crate) const UPDATE: Self = Self::new(b'u', "Update");
    /// Audit events that have moved out of their incidents, by incident, oldest first.
    pub(crate) const AUDIT: Self = Self::new(b'h', "Audit");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[
    Table::INCIDENT,
    Table::BY_STATUS_AND_SEVERITY,
    Table::OPEN_BY_SEVERITY,
    Table::RESOLVED_BY_COMPONENT,
    Table::PUBLIC_UPDATE,
    Table::OPEN_BY_POLICY,
    Table::TIMER,
    Table::UPDATE,
    Table::AUDIT,
];

/// An id with all bits inverted, as a part of a key: newer ones sort first.
pub(crate) fn newest_first(id: impl Id) -> [u8; 16] {
    id.to_bytes().map(|byte| !byte)
}

/// Reads the id that [`newest_first`] wrote at the end of a key.
pub(crate) fn incident_at_end(key: &[u8]) -> Option<IncidentId> {
    key.last_chunk::<16>().map(|bytes| IncidentId::from_bytes(bytes.map(|byte| !byte)))
}

pub(crate) const fn status_byte(status: Status) -> u8 {
    match status {
        Status::Investigating => 1,
        Status::Identified => 2,
        Status::Monitoring => 3,
        Status::Resolved => 4,
    }
}

pub(crate) const fn severity_byte(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 1,
        Severity::High => 2,
        Severity::Medium => 3,
        Severity::Low => 4,
    }
}

pub(crate) fn incident_key(org: OrgId, id: IncidentId) -> Vec<u8> {
    Table::INCIDENT.of(org, &[&newest_first(id)])
}

pub(crate) fn by_status_and_severity(org: OrgId, status: Status, severity: Severity, id: IncidentId) -> Vec<u8> {
    Table::BY_STATUS_AND_SEVERITY.of(org, &[&[status_byte(status), severity_byte(severity)], &newest_first(id)])
}

/// The index row of an incident for a component that it affects: among the unresolved ones, or among those resolved at an instant.
fn by_component(
    org: OrgId,
    component: [u8; 16],
    (severity, resolved_at): (u8, Option<i64>),
    id: IncidentId,
) -> Vec<u8> {
    match resolved_at {
        None => Table::OPEN_BY_SEVERITY.of(org, &[&component, &[severity], &newest_first(id)]),
        Some(at) => {
            let latest_first = at.to_be_bytes().map(|byte| !byte);
            Table::RESOLVED_BY_COMPONENT.of(org, &[&component, &latest_first, &newest_first(id)])
        }
    }
}

/// The rows of the index by component of the incident in a row; none when it holds no incident that can be read.
pub(crate) fn by_component_of_row(key: &[u8], value: &[u8]) -> Vec<Vec<u8>> {
    if Table::of_key(key) != Some(Table::INCIDENT) {
        return Vec::new();
    }
    let org = key.get(1..).and_then(|rest| rest.first_chunk::<16>()).map(|org| OrgId::from_bytes(*org));
    let (Some(org), Some(id), Ok(row)) = (org, incident_at_end(key), decode::<IncidentV5>(key, value)) else {
        return Vec::new();
    };
    let incident = row.incident.incident.incident.incident;
    let resolved = incident.history.iter().find(|step| step.status == status_byte(Status::Resolved));
    let state = (incident.severity, resolved.map(|step| step.changed_at));
    incident.components.into_iter().map(|component| by_component(org, component, state, id)).collect()
}

pub(crate) fn open_by_policy(org: OrgId, policy: PolicyId, id: IncidentId) -> Vec<u8> {
    Table::OPEN_BY_POLICY.of(org, &[&policy.to_bytes(), &newest_first(id)])
}

/// The key of a timer. All but those of runs have a byte before their ids, which sorts them behind: no id of a run begins like that
/// within the next eight thousand years.
pub(crate) fn timer_key(timer: &Timer) -> Vec<u8> {
    let (due, org) = (instant(timer.due), timer.org_id.to_bytes());
    match timer.waiting {
        Waiting::Run(incident) => Table::TIMER.key(&[&due, &org, &incident.to_bytes()]),
        Waiting::Maintenance(page, id) => {
            Table::TIMER.key(&[&due, &org, &[MAINTENANCE], &page.to_bytes(), &id.to_bytes()])
        }
        Waiting::AlertGroup(integration, key) => {
            Table::TIMER.key(&[&due, &org, &[ALERT_GROUP], &integration.to_bytes(), &key.to_bytes()])
        }
        Waiting::Heartbeat(integration) => Table::TIMER.key(&[&due, &org, &[HEARTBEAT], &integration.to_bytes()]),
        Waiting::Removal(what) => Table::TIMER.key(&[&due, &org, &[REMOVAL], &removed_bytes(what)]),
    }
}

/// What stands before the ids in the timer of a removal, of a heartbeat, of a group of alerts, and of a maintenance.
const REMOVAL: u8 = 0xFC;
const HEARTBEAT: u8 = 0xFD;
const ALERT_GROUP: u8 = 0xFE;
const MAINTENANCE: u8 = 0xFF;

/// Reads a key that [`timer_key`] made.
pub(crate) fn timer(key: &[u8]) -> Option<Timer> {
    let (due, rest) = take_instant(key.get(1..)?)?;
    let (org, rest) = rest.split_first_chunk::<16>()?;
    let two = |rest: &[u8]| -> Option<(Raw, Raw)> {
        let (first, second) = rest.split_first_chunk::<16>()?;
        Some((*first, second.try_into().ok()?))
    };
    let waiting = match rest {
        [MAINTENANCE, ids @ ..] if ids.len() == 32 => {
            let (page, id) = two(ids)?;
            Waiting::Maintenance(StatusPageId::from_bytes(page), MaintenanceId::from_bytes(id))
        }
        [ALERT_GROUP, ids @ ..] if ids.len() == 32 => {
            let (integration, key) = two(ids)?;
            Waiting::AlertGroup(IntegrationId::from_bytes(integration), AlertKey::from_bytes(key))
        }
        [REMOVAL, what @ ..] if what.len() == 17 => Waiting::Removal(removed(what)?),
        [HEARTBEAT, id @ ..] if id.len() == 16 => Waiting::Heartbeat(IntegrationId::from_bytes(id.try_into().ok()?)),
        incident => Waiting::Run(IncidentId::from_bytes(incident.try_into().ok()?)),
    };
    Some(Timer { due, org_id: OrgId::from_bytes(*org), waiting })
}

pub(super) fn status(byte: u8) -> Result<Status, Corrupt> {
    by_byte(&Status::ALL, status_byte, byte)
}

pub(super) fn severity(byte: u8) -> Result<Severity, Corrupt> {
    by_byte(&Severity::ALL, severity_byte, byte)
}

pub(super) fn visibility_byte(visibility: UpdateVisibility) -> u8 {
    match visibility {
        UpdateVisibility::Internal => 1,
        UpdateVisibility::Public => 2,
    }
}

pub(super) fn visibility(byte: u8) -> Result<UpdateVisibility, Corrupt> {
    by_byte(&UpdateVisibility::ALL, visibility_byte, byte)
}

/// An entry of a status history.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct StepV1 {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<StatusEntryId>"))]
    id: [u8; 16],
    #[cfg_attr(feature = "export", serde(with = "json::status"))]
    status: u8,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    changed_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::MaybeIdForm::<UpdateId>"))]
    update: Option<[u8; 16]>,
}

/// An incident in record version 1, without a run. Organization and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct IncidentV1 {
    sequential_id: u64,
    title: String,
    pub(crate) description: Option<TextV1>,
    #[cfg_attr(feature = "export", serde(with = "json::severity"))]
    severity: u8,
    #[cfg_attr(feature = "export", serde(with = "json::status"))]
    status: u8,
    #[cfg_attr(feature = "export", serde(with = "json::MaybeIdForm::<UserId>"))]
    owner: Option<[u8; 16]>,
    #[cfg_attr(feature = "export", serde(with = "json::MaybeIdForm::<PolicyId>"))]
    policy: Option<[u8; 16]>,
    #[cfg_attr(feature = "export", serde(with = "json::IdsForm::<ComponentId>"))]
    components: Vec<[u8; 16]>,
    acknowledged: AcknowledgedV1,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    created_by: [u8; 16],
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    updated_at: i64,
    history: Vec<StepV1>,
    updates: u32,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UpdateId>"))]
    last_part: [u8; 16],
}

/// An incident in record version 2: version 1 with an escalation run, without audit events.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct IncidentV2 {
    #[cfg_attr(feature = "export", serde(flatten))]
    incident: IncidentV1,
    run: Option<RunV1>,
}

/// An incident in record version 3: version 2 with the last events of its audit trail.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct IncidentV3 {
    #[cfg_attr(feature = "export", serde(flatten))]
    incident: IncidentV2,
    /// Whether there may be earlier events in `Audit`. Exports hold this field only when it is `false`.
    #[cfg_attr(feature = "export", serde(default = "yes", skip_serializing_if = "is_yes"))]
    has_earlier_events: bool,
    #[cfg_attr(feature = "export", serde(default, skip_serializing_if = "Vec::is_empty"))]
    recent_events: Vec<AuditEventV1>,
}

/// An incident in record version 4: version 3 with its last handoff.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct IncidentV4 {
    #[cfg_attr(feature = "export", serde(flatten))]
    incident: IncidentV3,
    #[cfg_attr(
        feature = "export",
        serde(default, skip_serializing_if = "Option::is_none", with = "json::time::maybe")
    )]
    handed_off_at: Option<i64>,
}

/// An incident in record version 5: version 4, whether it was created by an integration, whose id then stands for that of a user, and when
/// a worse alert cleared its acknowledgement.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct IncidentV5 {
    #[cfg_attr(feature = "export", serde(flatten))]
    incident: IncidentV4,
    #[cfg_attr(feature = "export", serde(default, skip_serializing_if = "is_no"))]
    by_integration: bool,
    #[cfg_attr(
        feature = "export",
        serde(default, skip_serializing_if = "Option::is_none", with = "json::time::maybe")
    )]
    worsened_at: Option<i64>,
}

/// The bytes of whoever did something, and whether that is an integration.
fn author_bytes(author: Author) -> (Raw, bool) {
    match author {
        Author::User(id) => (id.to_bytes(), false),
        Author::Integration(id) => (id.to_bytes(), true),
    }
}

/// Reads what [`author_bytes`] made.
fn author(bytes: Raw, by_integration: bool) -> Author {
    match by_integration {
        false => Author::User(UserId::from_bytes(bytes)),
        true => Author::Integration(IntegrationId::from_bytes(bytes)),
    }
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_yes(it: &bool) -> bool {
    *it
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
#[cfg_attr(not(feature = "export"), allow(dead_code, reason = "for exports"))]
const fn is_no(it: &bool) -> bool {
    !*it
}

impl IncidentV5 {
    pub(crate) const fn description_mut(&mut self) -> &mut Option<TextV1> {
        &mut self.incident.incident.incident.incident.description
    }
}

impl Stored for IncidentV5 {
    const VERSION: u8 = 5;

    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        let of_2 = |incident| IncidentV3 { incident, has_earlier_events: true, recent_events: Vec::new() };
        let of_3 = |incident| IncidentV4 { incident, handed_off_at: None };
        let incident = match version {
            1 => of_3(of_2(IncidentV2 { incident: unpack(payload)?, run: None })),
            2 => of_3(of_2(unpack(payload)?)),
            3 => of_3(unpack(payload)?),
            4 => unpack(payload)?,
            _ => return Err(Corrupt::Version),
        };
        Ok(Self { incident, by_integration: false, worsened_at: None })
    }
}

impl Entity for Incident {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let description = self.description.as_ref();
        let description = description.map(|text| TextV1::store(text.as_str(), self.org_id, self.id.to_bytes(), rows));
        let step = |entry: &StatusEntry| StepV1 {
            id: entry.id.to_bytes(),
            status: status_byte(entry.status),
            changed_at: entry.changed_at.as_millis(),
            update: entry.update_id.map(Id::to_bytes),
        };
        let (created_by, by_integration) = author_bytes(self.created_by);
        let incident = IncidentV1 {
            sequential_id: self.sequential_id,
            title: self.title.as_str().to_owned(),
            description: description.transpose()?,
            severity: severity_byte(self.severity),
            status: status_byte(self.status),
            owner: self.owner_id.map(Id::to_bytes),
            policy: self.policy().map(Id::to_bytes),
            components: self.component_ids.iter().map(|id| id.to_bytes()).collect(),
            acknowledged: self.acknowledged.into(),
            created_by,
            updated_at: self.updated_at.as_millis(),
            history: self.history.iter().map(step).collect(),
            updates: self.updates,
            last_part: self.last_part,
        };
        rows.index(by_status_and_severity(self.org_id, self.status, self.severity, self.id));
        let state = (severity_byte(self.severity), self.resolved_at().map(Timestamp::as_millis));
        for component in &self.component_ids {
            rows.index(by_component(self.org_id, component.to_bytes(), state, self.id));
        }
        if !self.is_resolved()
            && let Some(policy) = self.policy()
        {
            rows.index(open_by_policy(self.org_id, policy, self.id));
        }
        if let Some(due) = self.next_escalation_at() {
            rows.index(timer_key(&Timer { due, org_id: self.org_id, waiting: Waiting::Run(self.id) }));
        }
        let incident = IncidentV3 {
            incident: IncidentV2 { incident, run: self.escalation.as_ref().map(RunV1::from) },
            has_earlier_events: self.has_earlier_events,
            recent_events: stored_events(&self.recent_events)?,
        };
        let incident = IncidentV4 { incident, handed_off_at: self.handed_off_at.map(|at| at.as_millis()) };
        let worsened_at = self.worsened_at.map(|at| at.as_millis());
        let record = IncidentV5 { incident, by_integration, worsened_at };
        rows.record(incident_key(self.org_id, self.id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        let org = self.org_id;
        if !verifier.of(org).number(self.sequential_id) {
            verifier.report.add(key, format!("another incident has the number {}, too", self.sequential_id));
        }
        let acknowledged = self.acknowledged.map(|(_, by)| by);
        verifier.need_users(key, org, self.owner_id);
        verifier.need_authors(key, org, acknowledged.into_iter().chain([self.created_by]));
        for component in &self.component_ids {
            verifier.need(key, &Table::COMPONENT.record(org, *component), "a component");
        }
        verifier.actors(key, org, &self.recent_events);
        verifier.trail(key, self);
        // A policy may be deleted when the last of its incidents is resolved.
        if let Some(policy) = self.policy().filter(|_| !self.is_resolved()) {
            verifier.need(key, &Table::POLICY.record(org, policy), "a policy");
        }
    }

    fn pages(&self, tell: &mut dyn FnMut(Page, Side)) {
        told(self.org_id, self.id, &self.recent_events, tell);
    }
}

/// Makes the incident of a record. `read` reads the pieces of a long description.
pub(crate) fn incident_of(row: IncidentV5, org: OrgId, id: IncidentId, read: Reader<'_>) -> Result<Incident, Corrupt> {
    let IncidentV5 { incident: IncidentV4 { incident, handed_off_at }, by_integration, worsened_at } = row;
    let IncidentV3 { incident: IncidentV2 { incident: row, run }, has_earlier_events, recent_events } = incident;
    let step = |step: StepV1| {
        Ok(StatusEntry {
            id: StatusEntryId::from_bytes(step.id),
            status: status(step.status)?,
            changed_at: timestamp(step.changed_at)?,
            update_id: step.update.map(UpdateId::from_bytes),
        })
    };
    let description = row.description.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
    let escalation = match (row.policy, run) {
        (Some(policy), Some(run)) => Some(run.of(PolicyId::from_bytes(policy))),
        (None, None) => None,
        _ => return Err(Corrupt::Value),
    };
    Ok(Incident {
        id,
        org_id: org,
        sequential_id: row.sequential_id,
        title: text(Title::stored(row.title))?,
        description: description.map(|it| text(IncidentDescription::new(it))).transpose()?,
        severity: severity(row.severity)?,
        status: status(row.status)?,
        owner_id: row.owner.map(UserId::from_bytes),
        escalation: escalation.transpose()?,
        component_ids: row.components.into_iter().map(ComponentId::from_bytes).collect(),
        acknowledged: row.acknowledged.of()?,
        handed_off_at: handed_off_at.map(timestamp).transpose()?,
        worsened_at: worsened_at.map(timestamp).transpose()?,
        created_by: author(row.created_by, by_integration),
        updated_at: timestamp(row.updated_at)?,
        history: row.history.into_iter().map(step).collect::<Result<_, Corrupt>>()?,
        updates: row.updates,
        last_part: row.last_part,
        recent_events: events_of(recent_events)?,
        has_earlier_events,
    })
}

/// An update in record version 1. Organization, incident and id are in the key; the `postedAt` of an update is in its id.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct UpdateV1 {
    body: Option<TextV1>,
    #[cfg_attr(feature = "export", serde(with = "json::status::maybe"))]
    status_change: Option<u8>,
    #[cfg_attr(feature = "export", serde(with = "json::visibility"))]
    visibility: u8,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    posted_by: [u8; 16],
    #[cfg_attr(feature = "export", serde(with = "json::deed"))]
    redacted: Option<(i64, [u8; 16])>,
}

/// An update in record version 2: version 1, and whether it was posted by an integration, whose id then stands for that of a user.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct UpdateV2 {
    #[cfg_attr(feature = "export", serde(flatten))]
    update: UpdateV1,
    #[cfg_attr(feature = "export", serde(default, skip_serializing_if = "is_no"))]
    by_integration: bool,
}

impl Stored for UpdateV2 {
    const VERSION: u8 = 2;

    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        match version {
            1 => Ok(Self { update: unpack(payload)?, by_integration: false }),
            _ => Err(Corrupt::Version),
        }
    }
}

impl Entity for IncidentUpdate {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let body = self.body.as_ref().map(|text| TextV1::store(text.as_str(), self.org_id, self.id.to_bytes(), rows));
        let (posted_by, by_integration) = author_bytes(self.posted_by);
        let update = UpdateV1 {
            body: body.transpose()?,
            status_change: self.status_change.map(status_byte),
            visibility: visibility_byte(self.visibility),
            posted_by,
            redacted: self.redacted.map(|(at, by)| (at.as_millis(), by.to_bytes())),
        };
        let record = UpdateV2 { update, by_integration };
        let incident = self.incident_id.to_bytes();
        if self.visibility == UpdateVisibility::Public {
            rows.index(Table::PUBLIC_UPDATE.of(self.org_id, &[&incident, &newest_first(self.id)]));
        }
        rows.record(Table::UPDATE.of(self.org_id, &[&incident, &self.id.to_bytes()]), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_incident(key, self.org_id, self.incident_id);
        let redacted = self.redacted.map(|(_, by)| by);
        verifier.need_users(key, self.org_id, redacted);
        verifier.need_authors(key, self.org_id, [self.posted_by]);
    }
}

/// Makes the update of a record. `read` reads the pieces of a long body.
pub(crate) fn update_of(
    row: UpdateV2,
    org: OrgId,
    incident: IncidentId,
    id: UpdateId,
    read: Reader<'_>,
) -> Result<IncidentUpdate, Corrupt> {
    let UpdateV2 { update: row, by_integration } = row;
    let body = row.body.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
    let redacted = match row.redacted {
        Some((at, by)) => Some((timestamp(at)?, UserId::from_bytes(by))),
        None => None,
    };
    Ok(IncidentUpdate {
        id,
        org_id: org,
        incident_id: incident,
        body: body.map(|it| text(UpdateBody::new(it))).transpose()?,
        status_change: row.status_change.map(status).transpose()?,
        visibility: visibility(row.visibility)?,
        posted_by: author(row.posted_by, by_integration),
        redacted,
    })
}

/// The line of an incident in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct IncidentLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IncidentId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: IncidentV5,
}

impl Line for IncidentLine {
    type Entity = Incident;
    const TABLES: &'static [Table] = &[Table::INCIDENT];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        let (org, id) = (row.id()?, row.id()?.map(|byte| !byte));
        Ok(Some(Self { org, id, record: row.record()? }))
    }

    fn entity(self, read: Reader<'_>) -> Result<Incident, Corrupt> {
        incident_of(self.record, OrgId::from_bytes(self.org), IncidentId::from_bytes(self.id), read)
    }

    fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        gather(self.record.description_mut(), self.org, self.id, read)
    }
}

/// The line of an update in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct UpdateLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IncidentId>"))]
    incident: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UpdateId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: UpdateV2,
}

impl Line for UpdateLine {
    type Entity = IncidentUpdate;
    const TABLES: &'static [Table] = &[Table::UPDATE];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, incident: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, read: Reader<'_>) -> Result<IncidentUpdate, Corrupt> {
        let (incident, id) = (IncidentId::from_bytes(self.incident), UpdateId::from_bytes(self.id));
        update_of(self.record, OrgId::from_bytes(self.org), incident, id, read)
    }

    fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        gather(&mut self.record.update.body, self.org, self.id, read)
    }
}

#[deny(clippy::missing_trait_methods)]
impl IncidentPort for OrgView<'_> {
    fn incident(&self, id: IncidentId) -> Result<Option<Incident>, Error> {
        let key = incident_key(self.org, id);
        let incident = self.cached(&key, |row: IncidentV5, read| incident_of(row, self.org, id, read))?;
        Ok(incident.map(Arc::unwrap_or_clone))
    }

    fn incidents(
        &self,
        filter: &IncidentFilter,
        after: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Arc<Incident>>, Error> {
        let lists = incident_lists(self.org, filter, after);
        let lists = lists.iter().map(|(start, end)| self.store.scan(start, end).peekable()).collect();
        let incident = |key: &[u8], value: &[u8]| {
            let id = incident_at_end(key).ok_or_else(|| corrupt(key, Corrupt::Key))?;
            let build = |row: IncidentV5, read: Reader<'_>| incident_of(row, self.org, id, read);
            if value.is_empty() {
                let found = self.cached(&incident_key(self.org, id), build)?;
                return found.ok_or_else(|| corrupt(key, Corrupt::Missing));
            }
            // A list without a filter by status or severity scans the records themselves.
            self.remembered(key).map_or_else(|| self.decoded(key, value, build), Ok)
        };
        let mut incidents = Vec::with_capacity(limit);
        for pair in merged::<16, _>(lists).take(limit) {
            let (key, value) = pair?;
            incidents.push(incident(&key, &value)?);
        }
        Ok(incidents)
    }

    fn update(&self, incident: IncidentId, id: UpdateId) -> Result<Option<IncidentUpdate>, Error> {
        let key = Table::UPDATE.of(self.org, &[&incident.to_bytes(), &id.to_bytes()]);
        self.entity(&key, |row: UpdateV2| update_of(row, self.org, incident, id, &|key| self.read(key)))
    }

    fn updates(
        &self,
        incident: IncidentId,
        after: Option<UpdateId>,
        limit: usize,
    ) -> Result<Vec<IncidentUpdate>, Error> {
        let prefix = Table::UPDATE.record(self.org, incident);
        let start = after.map_or_else(|| prefix.clone(), |after| [&prefix[..], &after.to_bytes(), &[0]].concat());
        let build = |row: UpdateV2, id| update_of(row, self.org, incident, id, &|key| self.read(key));
        let rows = self.store.scan(&start, &end_of(&prefix)).take(limit);
        rows.map(|pair| pair.and_then(|(key, value)| record_of(&key, &value, build))).collect()
    }

    fn earlier_events(
        &self,
        incident: IncidentId,
        after: Option<AuditEventId>,
        limit: usize,
    ) -> Result<Vec<AuditEvent>, Error> {
        let prefix = Table::AUDIT.record(self.org, incident);
        let mut events = Vec::new();
        // A row is named after its first event: the one before may hold the events behind `after`, and which it is, is seen only in the
        // row behind it. Keys are cheap to go over.
        let mut before: Option<Pair> = None;
        let wanted = |event: &AuditEvent| after.is_none_or(|after| after < event.id);
        for pair in self.store.under(&prefix) {
            let pair = pair?;
            let begins_behind = pair.0.last_chunk::<16>().is_some_and(|id| after.is_none_or(|it| it.to_bytes() < *id));
            if !begins_behind {
                before = Some(pair);
                continue;
            }
            if let Some((key, value)) = before.take() {
                events.extend(self.events_in(&key, &value)?.iter().filter(|event| wanted(event)).cloned());
            }
            events.extend(self.events_in(&pair.0, &pair.1)?.iter().cloned());
            if events.len() >= limit {
                break;
            }
        }
        if let Some((key, value)) = before {
            events.extend(self.events_in(&key, &value)?.iter().filter(|event| wanted(event)).cloned());
        }
        events.truncate(limit);
        Ok(events)
    }

    fn last_earlier_events(&self, incident: IncidentId, limit: usize) -> Result<Vec<AuditEvent>, Error> {
        let prefix = Table::AUDIT.record(self.org, incident);
        // A row holds one event at least, and there is no way but forward.
        let mut rows = VecDeque::with_capacity(limit.saturating_add(1));
        for pair in self.store.under(&prefix) {
            rows.push_back(pair?);
            if rows.len() > limit {
                rows.pop_front();
            }
        }
        let mut events = VecDeque::new();
        while events.len() < limit
            && let Some((key, value)) = rows.pop_back()
        {
            self.events_in(&key, &value)?.iter().rev().for_each(|event| events.push_front(event.clone()));
        }
        Ok(events.split_off(events.len().saturating_sub(limit)).into())
    }
}

impl OrgView<'_> {
    /// The events in a row of the table `Audit`.
    fn events_in(&self, key: &[u8], value: &[u8]) -> Result<Arc<Vec<AuditEvent>>, Error> {
        match self.remembered(key) {
            Some(known) => Ok(known),
            None => self.decoded(key, value, |row: AuditV1, _| audit_of(row)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{decode, encode};
    use dogwatch_core::Timestamp;
    use dogwatch_core::escalation::{AckTimeout, Escalation, Run, RunLayer, RunState};
    use dogwatch_core::incident::{AuditEvent, Event};

    impl Stored for IncidentV1 {
        const VERSION: u8 = 1;
    }

    /// The largest possible incidents are not too large for a row: with the most components, with the most events of the
    /// largest kinds, and with mixtures of both.
    #[test]
    fn the_largest_incidents() {
        let (at, user) = (Timestamp::clamped(i64::MAX), UserId::from_bytes([255; 16]));
        let timeout = AckTimeout::from_minutes(10_080).unwrap();
        let run = Run {
            current: Some(RunLayer { id: Id::from_bytes([255; 16]), position: 2_147_483_647, ack_timeout: timeout }),
            state: RunState::Waiting { due: at },
        };
        let policy = PolicyId::from_bytes([255; 16]);
        let created = Event::IncidentCreated { severity: Severity::Low, owner_id: Some(user), policy_id: Some(policy) };
        let paged =
            Event::LayerPaged { layer_id: Id::from_bytes([255; 16]), position: 2_147_483_647, user_ids: Vec::new() };
        let named = Event::LayerPaged {
            layer_id: Id::from_bytes([255; 16]),
            position: 2_147_483_647,
            user_ids: vec![user; 50],
        };
        for (components, events) in [
            (100, Vec::new()),
            (64, vec![created.clone(); 8]),
            (64, vec![paged; 8]),
            (14, [vec![created; 7], vec![named]].concat()),
        ] {
            let by = Author::Integration(IntegrationId::from_bytes([254; 16]));
            let event = |event| AuditEvent { id: Id::from_bytes([255; 16]), actor_id: Some(by), event };
            let update = Some(UpdateId::from_bytes([255; 16]));
            let step = StatusEntry {
                id: Id::from_bytes([255; 16]),
                status: Status::Resolved,
                changed_at: at,
                update_id: update,
            };
            let incident = Incident {
                id: IncidentId::from_bytes([255; 16]),
                org_id: OrgId::from_bytes([255; 16]),
                sequential_id: u64::MAX,
                title: Title::stored("𝄞".repeat(Title::MAX)).unwrap(),
                description: Some(IncidentDescription::new("d".repeat(1_024)).unwrap()),
                severity: Severity::Low,
                status: Status::Monitoring,
                owner_id: Some(user),
                escalation: Some(Escalation { policy_id: policy, revision: u32::MAX, run }),
                component_ids: vec![ComponentId::from_bytes([255; 16]); components],
                acknowledged: Some((at, by)),
                handed_off_at: Some(at),
                worsened_at: Some(at),
                created_by: by,
                updated_at: at,
                history: vec![step; 4],
                updates: u32::MAX,
                last_part: [255; 16],
                recent_events: events.into_iter().map(event).collect(),
                has_earlier_events: true,
            };
            let mut rows = Rows::default();
            incident.rows(&mut rows).unwrap();
            let (_, value) = rows.into_pairs().find(|(key, _)| key[0] == Table::INCIDENT.tag()).unwrap();
            let read = decode(&incident_key(incident.org_id, incident.id), &value).unwrap();
            let read = incident_of(read, incident.org_id, incident.id, &|_| Ok(None));
            assert!(read == Ok(incident), "{components} components");
        }
    }

    /// An incident of format 1 is read as one without a policy.
    #[test]
    fn incidents_of_format_1() {
        let (org, id) = (OrgId::from_bytes([1; 16]), IncidentId::from_bytes([2; 16]));
        let old = |policy| IncidentV1 {
            sequential_id: 7,
            title: "Checkout is down".to_owned(),
            description: None,
            severity: 1,
            status: 1,
            owner: Some([4; 16]),
            policy,
            components: vec![[5; 16]],
            acknowledged: AcknowledgedV1::Nobody,
            created_by: [4; 16],
            updated_at: 5,
            history: vec![StepV1 { id: [3; 16], status: 1, changed_at: 5, update: None }],
            updates: 0,
            last_part: [6; 16],
        };
        let key = incident_key(org, id);
        let read = |old: IncidentV1| {
            decode(&key, &encode(&key, &old).unwrap()).and_then(|row| incident_of(row, org, id, &|_| Ok(None)))
        };
        let incident = read(old(None)).unwrap();
        assert_eq!((incident.sequential_id, incident.title.as_str()), (7, "Checkout is down"));
        assert_eq!((incident.updated_at, incident.escalation), (Timestamp::clamped(5), None));
        assert_eq!(read(old(Some([9; 16]))), Err(Corrupt::Value), "there were no policies");
    }
}
