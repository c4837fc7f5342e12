//! Stored forms of incidents, updates and audit trails.

use bincode::{Decode, Encode};
use dogwatch_core::id::Id;
use dogwatch_core::text::{IncidentDescription, Title, UpdateBody};
use dogwatch_core::{
    AuditEntry, AuditEvent, AuditEventId, ComponentId, EditedField, Event, Incident, IncidentId, IncidentUpdate, OrgId,
    PolicyId, PolicyLayerId, Severity, Status, StatusEntry, StatusEntryId, Timer, UpdateId, UpdateVisibility, UserId,
};
use serde::{Deserialize, Serialize};

use super::escalation::RunV1;
use super::text::{Reader, TextV1};
use super::{Entity, Rows, by_byte, json, text, timestamp};
use crate::keys::{self, Table, severity_byte, status_byte};
use crate::record::{Corrupt, Stored, unpack};

fn status(byte: u8) -> Result<Status, Corrupt> {
    by_byte(&Status::ALL, status_byte, byte)
}

fn severity(byte: u8) -> Result<Severity, Corrupt> {
    by_byte(&Severity::ALL, severity_byte, byte)
}

pub(super) fn visibility_byte(visibility: UpdateVisibility) -> u8 {
    match visibility {
        UpdateVisibility::Internal => 1,
        UpdateVisibility::Public => 2,
    }
}

fn visibility(byte: u8) -> Result<UpdateVisibility, Corrupt> {
    by_byte(&UpdateVisibility::ALL, visibility_byte, byte)
}

pub(super) fn field_byte(field: EditedField) -> u8 {
    match field {
        EditedField::Title => 1,
        EditedField::Description => 2,
        EditedField::Severity => 3,
    }
}

/// A step of a status history.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StepV1 {
    #[serde(with = "json::status_entry")]
    id: [u8; 16],
    #[serde(with = "json::status")]
    status: u8,
    #[serde(with = "json::time")]
    changed_at: i64,
    #[serde(with = "json::update::maybe")]
    update: Option<[u8; 16]>,
}

/// An incident, before there were runs. Organization and id are in the key.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IncidentV1 {
    sequential_id: u64,
    title: String,
    pub(crate) description: Option<TextV1>,
    #[serde(with = "json::severity")]
    severity: u8,
    #[serde(with = "json::status")]
    status: u8,
    #[serde(with = "json::user::maybe")]
    owner: Option<[u8; 16]>,
    #[serde(with = "json::policy::maybe")]
    policy: Option<[u8; 16]>,
    #[serde(with = "json::component::list")]
    components: Vec<[u8; 16]>,
    #[serde(with = "json::deed")]
    acknowledged: Option<(i64, [u8; 16])>,
    #[serde(with = "json::user")]
    created_by: [u8; 16],
    #[serde(with = "json::time")]
    updated_at: i64,
    history: Vec<StepV1>,
    updates: u32,
    #[serde(with = "json::update")]
    last_part: [u8; 16],
}

/// An incident since there are runs.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentV2 {
    #[serde(flatten)]
    incident: IncidentV1,
    run: Option<RunV1>,
}

impl IncidentV2 {
    pub(crate) const fn description_mut(&mut self) -> &mut Option<TextV1> {
        &mut self.incident.description
    }
}

impl Stored for IncidentV2 {
    const VERSION: u8 = 2;

    fn older(version: u8, payload: &[u8]) -> Result<Self, Corrupt> {
        if version == 1 { Ok(Self { incident: unpack(payload)?, run: None }) } else { Err(Corrupt::Version) }
    }
}

impl Entity for Incident {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let description = self.description.as_ref();
        let description = description.map(|text| TextV1::store(text.as_str(), self.org, self.id.to_bytes(), rows));
        let step = |entry: &StatusEntry| StepV1 {
            id: entry.id.to_bytes(),
            status: status_byte(entry.status),
            changed_at: entry.changed_at.as_millis(),
            update: entry.update.map(Id::to_bytes),
        };
        let incident = IncidentV1 {
            sequential_id: self.sequential_id,
            title: self.title.as_str().to_owned(),
            description: description.transpose()?,
            severity: severity_byte(self.severity),
            status: status_byte(self.status),
            owner: self.owner.map(Id::to_bytes),
            policy: self.policy().map(Id::to_bytes),
            components: self.components.iter().map(|id| id.to_bytes()).collect(),
            acknowledged: self.acknowledged.map(|(at, by)| (at.as_millis(), by.to_bytes())),
            created_by: self.created_by.to_bytes(),
            updated_at: self.updated_at.as_millis(),
            history: self.history.iter().map(step).collect(),
            updates: self.updates,
            last_part: self.last_part,
        };
        rows.index(keys::by_status_and_severity(self.org, self.status, self.severity, self.id));
        if !self.is_resolved() {
            for component in &self.components {
                rows.index(keys::open_by_component(self.org, *component, self.id));
            }
            if let Some(policy) = self.policy() {
                rows.index(keys::open_by_policy(self.org, policy, self.id));
            }
        }
        if let Some(due) = self.next_escalation_at() {
            rows.index(keys::timer(&Timer { due, org: self.org, incident: self.id }));
        }
        let record = IncidentV2 { incident, run: self.escalation.as_ref().map(RunV1::from) };
        rows.record(keys::incident(self.org, self.id), &record)
    }
}

/// The incident that a row holds.
pub(crate) fn incident_of(row: IncidentV2, org: OrgId, id: IncidentId, read: Reader<'_>) -> Result<Incident, Corrupt> {
    let IncidentV2 { incident: row, run } = row;
    let step = |step: StepV1| {
        Ok(StatusEntry {
            id: StatusEntryId::from_bytes(step.id),
            status: status(step.status)?,
            changed_at: timestamp(step.changed_at)?,
            update: step.update.map(UpdateId::from_bytes),
        })
    };
    let description = row.description.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
    let acknowledged = match row.acknowledged {
        Some((at, by)) => Some((timestamp(at)?, UserId::from_bytes(by))),
        None => None,
    };
    let escalation = match (row.policy, run) {
        (Some(policy), Some(run)) => Some(run.of(PolicyId::from_bytes(policy))),
        (None, None) => None,
        _ => return Err(Corrupt::Value),
    };
    Ok(Incident {
        id,
        org,
        sequential_id: row.sequential_id,
        title: text(Title::new(row.title))?,
        description: description.map(|it| text(IncidentDescription::new(it))).transpose()?,
        severity: severity(row.severity)?,
        status: status(row.status)?,
        owner: row.owner.map(UserId::from_bytes),
        escalation: escalation.transpose()?,
        components: row.components.into_iter().map(ComponentId::from_bytes).collect(),
        acknowledged,
        created_by: UserId::from_bytes(row.created_by),
        updated_at: timestamp(row.updated_at)?,
        history: row.history.into_iter().map(step).collect::<Result<_, Corrupt>>()?,
        updates: row.updates,
        last_part: row.last_part,
    })
}

/// An update. Organization, incident and id are in the key.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateV1 {
    pub(crate) body: Option<TextV1>,
    #[serde(with = "json::status::maybe")]
    status_change: Option<u8>,
    #[serde(with = "json::visibility")]
    visibility: u8,
    #[serde(with = "json::user")]
    posted_by: [u8; 16],
    #[serde(with = "json::deed")]
    redacted: Option<(i64, [u8; 16])>,
}

impl Stored for UpdateV1 {
    const VERSION: u8 = 1;
}

impl Entity for IncidentUpdate {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let body = self.body.as_ref().map(|text| TextV1::store(text.as_str(), self.org, self.id.to_bytes(), rows));
        let record = UpdateV1 {
            body: body.transpose()?,
            status_change: self.status_change.map(status_byte),
            visibility: visibility_byte(self.visibility),
            posted_by: self.posted_by.to_bytes(),
            redacted: self.redacted.map(|(at, by)| (at.as_millis(), by.to_bytes())),
        };
        rows.record(Table::Update.of(self.org, &[&self.incident.to_bytes(), &self.id.to_bytes()]), &record)
    }
}

/// The update that a row holds.
pub(crate) fn update_of(
    row: UpdateV1,
    org: OrgId,
    incident: IncidentId,
    id: UpdateId,
    read: Reader<'_>,
) -> Result<IncidentUpdate, Corrupt> {
    let body = row.body.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
    let redacted = match row.redacted {
        Some((at, by)) => Some((timestamp(at)?, UserId::from_bytes(by))),
        None => None,
    };
    Ok(IncidentUpdate {
        id,
        org,
        incident,
        body: body.map(|it| text(UpdateBody::new(it))).transpose()?,
        status_change: row.status_change.map(status).transpose()?,
        visibility: visibility(row.visibility)?,
        posted_by: UserId::from_bytes(row.posted_by),
        redacted,
    })
}

/// The events of one command.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditV1 {
    events: Vec<AuditEventV1>,
}

impl Stored for AuditV1 {
    const VERSION: u8 = 1;
}

#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuditEventV1 {
    #[serde(with = "json::audit_event")]
    id: [u8; 16],
    #[serde(with = "json::user::maybe")]
    actor: Option<[u8; 16]>,
    event: EventV1,
}

#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum EventV1 {
    IncidentCreated {
        #[serde(with = "json::severity")]
        severity: u8,
        #[serde(with = "json::user::maybe")]
        owner: Option<[u8; 16]>,
        #[serde(with = "json::policy::maybe")]
        policy: Option<[u8; 16]>,
    },
    IncidentEdited {
        #[serde(with = "json::edited_field::list")]
        fields: Vec<u8>,
    },
    StatusChanged {
        #[serde(with = "json::status")]
        from: u8,
        #[serde(with = "json::status")]
        to: u8,
    },
    UpdatePosted {
        #[serde(with = "json::update")]
        update: [u8; 16],
        #[serde(with = "json::visibility")]
        visibility: u8,
    },
    UpdateRedacted {
        #[serde(with = "json::update")]
        update: [u8; 16],
    },
    ComponentsChanged {
        #[serde(with = "json::component::list")]
        added: Vec<[u8; 16]>,
        #[serde(with = "json::component::list")]
        removed: Vec<[u8; 16]>,
    },
    LayerPaged {
        #[serde(with = "json::policy_layer")]
        layer: [u8; 16],
        position: u32,
        #[serde(with = "json::user::list")]
        users: Vec<[u8; 16]>,
    },
    LayerSkipped {
        #[serde(with = "json::policy_layer")]
        layer: [u8; 16],
        position: u32,
    },
    LayerTimedOut {
        #[serde(with = "json::policy_layer")]
        layer: [u8; 16],
        position: u32,
    },
    EscalationExhausted,
    EscalationStopped,
    IncidentAcknowledged,
    IncidentHandedOff {
        #[serde(with = "json::user::maybe")]
        previous: Option<[u8; 16]>,
        #[serde(with = "json::user")]
        new: [u8; 16],
    },
}

fn stored_event(event: &Event) -> Result<EventV1, Corrupt> {
    let ids = |ids: &[ComponentId]| ids.iter().map(|id| id.to_bytes()).collect();
    Ok(match event {
        Event::IncidentCreated { severity, owner, policy } => EventV1::IncidentCreated {
            severity: severity_byte(*severity),
            owner: owner.map(Id::to_bytes),
            policy: policy.map(Id::to_bytes),
        },
        Event::IncidentEdited { fields } => {
            EventV1::IncidentEdited { fields: fields.iter().copied().map(field_byte).collect() }
        }
        Event::StatusChanged { from, to } => EventV1::StatusChanged { from: status_byte(*from), to: status_byte(*to) },
        Event::UpdatePosted { update, visibility } => {
            EventV1::UpdatePosted { update: update.to_bytes(), visibility: visibility_byte(*visibility) }
        }
        Event::UpdateRedacted { update } => EventV1::UpdateRedacted { update: update.to_bytes() },
        Event::ComponentsChanged { added, removed } => {
            EventV1::ComponentsChanged { added: ids(added), removed: ids(removed) }
        }
        Event::LayerPaged { layer, position, users } => EventV1::LayerPaged {
            layer: layer.to_bytes(),
            position: *position,
            users: users.iter().map(|user| user.to_bytes()).collect(),
        },
        Event::LayerSkipped { layer, position } => {
            EventV1::LayerSkipped { layer: layer.to_bytes(), position: *position }
        }
        Event::LayerTimedOut { layer, position } => {
            EventV1::LayerTimedOut { layer: layer.to_bytes(), position: *position }
        }
        Event::EscalationExhausted => EventV1::EscalationExhausted,
        Event::EscalationStopped => EventV1::EscalationStopped,
        Event::IncidentAcknowledged => EventV1::IncidentAcknowledged,
        Event::IncidentHandedOff { previous, new } => {
            EventV1::IncidentHandedOff { previous: previous.map(Id::to_bytes), new: new.to_bytes() }
        }
        _ => return Err(Corrupt::Value),
    })
}

fn event_of(event: EventV1) -> Result<Event, Corrupt> {
    let ids = |ids: Vec<[u8; 16]>| ids.into_iter().map(ComponentId::from_bytes).collect();
    Ok(match event {
        EventV1::IncidentCreated { severity: byte, owner, policy } => Event::IncidentCreated {
            severity: severity(byte)?,
            owner: owner.map(UserId::from_bytes),
            policy: policy.map(PolicyId::from_bytes),
        },
        EventV1::IncidentEdited { fields } => {
            let fields = fields.into_iter().map(|byte| by_byte(&EditedField::ALL, field_byte, byte));
            Event::IncidentEdited { fields: fields.collect::<Result<_, _>>()? }
        }
        EventV1::StatusChanged { from, to } => Event::StatusChanged { from: status(from)?, to: status(to)? },
        EventV1::UpdatePosted { update, visibility: byte } => {
            Event::UpdatePosted { update: UpdateId::from_bytes(update), visibility: visibility(byte)? }
        }
        EventV1::UpdateRedacted { update } => Event::UpdateRedacted { update: UpdateId::from_bytes(update) },
        EventV1::ComponentsChanged { added, removed } => {
            Event::ComponentsChanged { added: ids(added), removed: ids(removed) }
        }
        EventV1::LayerPaged { layer, position, users } => Event::LayerPaged {
            layer: PolicyLayerId::from_bytes(layer),
            position,
            users: users.into_iter().map(UserId::from_bytes).collect(),
        },
        EventV1::LayerSkipped { layer, position } => {
            Event::LayerSkipped { layer: PolicyLayerId::from_bytes(layer), position }
        }
        EventV1::LayerTimedOut { layer, position } => {
            Event::LayerTimedOut { layer: PolicyLayerId::from_bytes(layer), position }
        }
        EventV1::EscalationExhausted => Event::EscalationExhausted,
        EventV1::EscalationStopped => Event::EscalationStopped,
        EventV1::IncidentAcknowledged => Event::IncidentAcknowledged,
        EventV1::IncidentHandedOff { previous, new } => {
            Event::IncidentHandedOff { previous: previous.map(UserId::from_bytes), new: UserId::from_bytes(new) }
        }
    })
}

/// How many events one audit row holds at most, so that its value stays small.
const EVENTS_PER_ROW: usize = 16;

impl Entity for AuditEntry {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        audit_rows(self, rows)
    }
}

/// The rows of an addition to an audit trail.
pub(crate) fn audit_rows(entry: &AuditEntry, rows: &mut Rows) -> Result<(), Corrupt> {
    for events in entry.events.chunks(EVENTS_PER_ROW) {
        let first = events.first().ok_or(Corrupt::Value)?.id;
        let stored = |event: &AuditEvent| {
            Ok(AuditEventV1 {
                id: event.id.to_bytes(),
                actor: event.actor.map(Id::to_bytes),
                event: stored_event(&event.event)?,
            })
        };
        let record = AuditV1 { events: events.iter().map(stored).collect::<Result<_, Corrupt>>()? };
        rows.record(keys::audit(entry.org, entry.incident, first), &record)?;
    }
    Ok(())
}

/// The events that a row holds.
pub(crate) fn audit_of(row: AuditV1) -> Result<Vec<AuditEvent>, Corrupt> {
    let event = |stored: AuditEventV1| {
        Ok(AuditEvent {
            id: AuditEventId::from_bytes(stored.id),
            actor: stored.actor.map(UserId::from_bytes),
            event: event_of(stored.event)?,
        })
    };
    row.events.into_iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{decode, encode};
    use dogwatch_core::Timestamp;

    impl Stored for IncidentV1 {
        const VERSION: u8 = 1;
    }

    /// An incident that the first format wrote is read as one without a policy.
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
            acknowledged: None,
            created_by: [4; 16],
            updated_at: 5,
            history: vec![StepV1 { id: [3; 16], status: 1, changed_at: 5, update: None }],
            updates: 0,
            last_part: [6; 16],
        };
        let key = keys::incident(org, id);
        let read = |old: IncidentV1| {
            decode(&key, &encode(&key, &old).unwrap()).and_then(|row| incident_of(row, org, id, &|_| None))
        };
        let incident = read(old(None)).unwrap();
        assert_eq!((incident.sequential_id, incident.title.as_str()), (7, "Checkout is down"));
        assert_eq!((incident.updated_at, incident.escalation), (Timestamp::clamped(5), None));
        assert_eq!(read(old(Some([9; 16]))), Err(Corrupt::Value), "there were no policies");
    }
}
