//! The stored form of audit trails (contract, section 10): events in the record of their incident, and events that have moved
//! out of it to the table `Audit`.
//!
//! An incident's record holds its last events, 8 at most. Earlier ones are in `Audit`, up to 16 in a row. An event's `at` is
//! not stored: its id begins with it.

use bincode::{Decode, Encode};
use dogwatch_core::contact::ContactMethodKind;
use dogwatch_core::id::{
    AuditEventId, ComponentId, ContactMethodId, Id, IncidentId, PageId, PolicyId, PolicyLayerId, UpdateId,
};
use dogwatch_core::incident::{AcknowledgedVia, AuditEntry, AuditEvent, EditedField, Event};
use dogwatch_core::outbox::PageReason;
use dogwatch_core::{OrgId, UserId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

use crate::record::{Corrupt, Stored};
use crate::rooms::author::ActorV1;
use crate::rooms::contact::kind_byte;
#[cfg(feature = "export")]
use crate::rooms::json;
use crate::rooms::outbox::reason_byte;
use crate::rooms::text::Reader;
use crate::rooms::{Entity, Line, Raw, Row, Rows, by_byte, timestamp};
use crate::table::Table;
use crate::tools::{Page, Side, Verifier};

use super::{severity, severity_byte, status, status_byte, visibility, visibility_byte};

pub(crate) fn field_byte(field: EditedField) -> u8 {
    match field {
        EditedField::Title => 1,
        EditedField::Description => 2,
        EditedField::Severity => 3,
    }
}

/// The record of events that have moved out of an incident. In formats before 5, it holds the events of one command.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct AuditV1 {
    events: Vec<AuditEventV1>,
}

impl Stored for AuditV1 {
    const VERSION: u8 = 1;
}

#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(super) struct AuditEventV1 {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<AuditEventId>"))]
    id: [u8; 16],
    actor: ActorV1,
    event: EventV1,
}

#[derive(Debug, Encode, Decode)]
#[cfg_attr(
    feature = "export",
    derive(Serialize, Deserialize),
    serde(rename_all = "camelCase", rename_all_fields = "camelCase")
)]
enum EventV1 {
    IncidentCreated {
        #[cfg_attr(feature = "export", serde(with = "json::severity"))]
        severity: u8,
        #[cfg_attr(feature = "export", serde(with = "json::MaybeIdForm::<UserId>"))]
        owner: Option<[u8; 16]>,
        #[cfg_attr(feature = "export", serde(with = "json::MaybeIdForm::<PolicyId>"))]
        policy: Option<[u8; 16]>,
    },
    IncidentEdited {
        #[cfg_attr(feature = "export", serde(with = "json::edited_field::list"))]
        fields: Vec<u8>,
    },
    StatusChanged {
        #[cfg_attr(feature = "export", serde(with = "json::status"))]
        from: u8,
        #[cfg_attr(feature = "export", serde(with = "json::status"))]
        to: u8,
    },
    UpdatePosted {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UpdateId>"))]
        update: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::visibility"))]
        visibility: u8,
    },
    UpdateRedacted {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UpdateId>"))]
        update: [u8; 16],
    },
    ComponentsChanged {
        #[cfg_attr(feature = "export", serde(with = "json::IdsForm::<ComponentId>"))]
        added: Vec<[u8; 16]>,
        #[cfg_attr(feature = "export", serde(with = "json::IdsForm::<ComponentId>"))]
        removed: Vec<[u8; 16]>,
    },
    LayerPaged {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PolicyLayerId>"))]
        layer: [u8; 16],
        position: u32,
        #[cfg_attr(feature = "export", serde(with = "json::IdsForm::<UserId>"))]
        users: Vec<[u8; 16]>,
    },
    LayerSkipped {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PolicyLayerId>"))]
        layer: [u8; 16],
        position: u32,
    },
    LayerTimedOut {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PolicyLayerId>"))]
        layer: [u8; 16],
        position: u32,
    },
    EscalationExhausted,
    EscalationStopped,
    IncidentAcknowledged,
    IncidentHandedOff {
        #[cfg_attr(feature = "export", serde(with = "json::MaybeIdForm::<UserId>"))]
        previous: Option<[u8; 16]>,
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
        new: [u8; 16],
    },
    PageUndeliverable {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PageId>"))]
        page: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
        user: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::page_reason"))]
        reason: u8,
        #[cfg_attr(feature = "export", serde(with = "json::time"))]
        paged_at: i64,
    },
    AcknowledgedByLink,
    PageDelivered {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PageId>"))]
        page: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
        user: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ContactMethodId>"))]
        method: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::contact_method_kind"))]
        kind: u8,
    },
    PageFailed {
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<PageId>"))]
        page: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
        user: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ContactMethodId>"))]
        method: [u8; 16],
        #[cfg_attr(feature = "export", serde(with = "json::contact_method_kind"))]
        kind: u8,
        reason: String,
    },
    AcknowledgedOverSlack,
}

fn stored_event(event: &Event) -> Result<EventV1, Corrupt> {
    let ids = |ids: &[ComponentId]| ids.iter().map(|id| id.to_bytes()).collect();
    Ok(match event {
        Event::IncidentCreated { severity, owner_id: owner, policy_id: policy } => EventV1::IncidentCreated {
            severity: severity_byte(*severity),
            owner: owner.map(Id::to_bytes),
            policy: policy.map(Id::to_bytes),
        },
        Event::IncidentEdited { fields } => {
            EventV1::IncidentEdited { fields: fields.iter().copied().map(field_byte).collect() }
        }
        Event::StatusChanged { from, to } => EventV1::StatusChanged { from: status_byte(*from), to: status_byte(*to) },
        Event::UpdatePosted { update_id: update, visibility } => {
            EventV1::UpdatePosted { update: update.to_bytes(), visibility: visibility_byte(*visibility) }
        }
        Event::UpdateRedacted { update_id: update } => EventV1::UpdateRedacted { update: update.to_bytes() },
        Event::ComponentsChanged { added, removed } => {
            EventV1::ComponentsChanged { added: ids(added), removed: ids(removed) }
        }
        Event::LayerPaged { layer_id: layer, position, user_ids: users } => EventV1::LayerPaged {
            layer: layer.to_bytes(),
            position: *position,
            users: users.iter().map(|user| user.to_bytes()).collect(),
        },
        Event::LayerSkipped { layer_id: layer, position } => {
            EventV1::LayerSkipped { layer: layer.to_bytes(), position: *position }
        }
        Event::LayerTimedOut { layer_id: layer, position } => {
            EventV1::LayerTimedOut { layer: layer.to_bytes(), position: *position }
        }
        Event::EscalationExhausted => EventV1::EscalationExhausted,
        Event::EscalationStopped => EventV1::EscalationStopped,
        Event::IncidentAcknowledged { via: None } => EventV1::IncidentAcknowledged,
        Event::IncidentAcknowledged { via: Some(AcknowledgedVia::Link) } => EventV1::AcknowledgedByLink,
        Event::IncidentAcknowledged { via: Some(AcknowledgedVia::Slack) } => EventV1::AcknowledgedOverSlack,
        Event::IncidentHandedOff { previous_owner_id: previous, new_owner_id: new } => {
            EventV1::IncidentHandedOff { previous: previous.map(Id::to_bytes), new: new.to_bytes() }
        }
        Event::PageUndeliverable { page_id, user_id, reason, paged_at } => EventV1::PageUndeliverable {
            page: page_id.to_bytes(),
            user: user_id.to_bytes(),
            reason: reason_byte(*reason),
            paged_at: paged_at.as_millis(),
        },
        Event::PageDelivered { page_id, user_id, contact_method_id, kind } => EventV1::PageDelivered {
            page: page_id.to_bytes(),
            user: user_id.to_bytes(),
            method: contact_method_id.to_bytes(),
            kind: kind_byte(*kind),
        },
        Event::PageFailed { page_id, user_id, contact_method_id, kind, reason } => EventV1::PageFailed {
            page: page_id.to_bytes(),
            user: user_id.to_bytes(),
            method: contact_method_id.to_bytes(),
            kind: kind_byte(*kind),
            reason: reason.clone(),
        },
    })
}

fn event_of(event: EventV1) -> Result<Event, Corrupt> {
    let ids = |ids: Vec<[u8; 16]>| ids.into_iter().map(ComponentId::from_bytes).collect();
    Ok(match event {
        EventV1::IncidentCreated { severity: byte, owner, policy } => Event::IncidentCreated {
            severity: severity(byte)?,
            owner_id: owner.map(UserId::from_bytes),
            policy_id: policy.map(PolicyId::from_bytes),
        },
        EventV1::IncidentEdited { fields } => {
            let fields = fields.into_iter().map(|byte| by_byte(&EditedField::ALL, field_byte, byte));
            Event::IncidentEdited { fields: fields.collect::<Result<_, _>>()? }
        }
        EventV1::StatusChanged { from, to } => Event::StatusChanged { from: status(from)?, to: status(to)? },
        EventV1::UpdatePosted { update, visibility: byte } => {
            Event::UpdatePosted { update_id: UpdateId::from_bytes(update), visibility: visibility(byte)? }
        }
        EventV1::UpdateRedacted { update } => Event::UpdateRedacted { update_id: UpdateId::from_bytes(update) },
        EventV1::ComponentsChanged { added, removed } => {
            Event::ComponentsChanged { added: ids(added), removed: ids(removed) }
        }
        EventV1::LayerPaged { layer, position, users } => Event::LayerPaged {
            layer_id: PolicyLayerId::from_bytes(layer),
            position,
            user_ids: users.into_iter().map(UserId::from_bytes).collect(),
        },
        EventV1::LayerSkipped { layer, position } => {
            Event::LayerSkipped { layer_id: PolicyLayerId::from_bytes(layer), position }
        }
        EventV1::LayerTimedOut { layer, position } => {
            Event::LayerTimedOut { layer_id: PolicyLayerId::from_bytes(layer), position }
        }
        EventV1::EscalationExhausted => Event::EscalationExhausted,
        EventV1::EscalationStopped => Event::EscalationStopped,
        EventV1::IncidentAcknowledged => Event::IncidentAcknowledged { via: None },
        EventV1::PageDelivered { page, user, method, kind } => Event::PageDelivered {
            page_id: PageId::from_bytes(page),
            user_id: UserId::from_bytes(user),
            contact_method_id: ContactMethodId::from_bytes(method),
            kind: by_byte(&ContactMethodKind::ALL, kind_byte, kind)?,
        },
        EventV1::PageFailed { page, user, method, kind, reason } => Event::PageFailed {
            page_id: PageId::from_bytes(page),
            user_id: UserId::from_bytes(user),
            contact_method_id: ContactMethodId::from_bytes(method),
            kind: by_byte(&ContactMethodKind::ALL, kind_byte, kind)?,
            reason,
        },
        EventV1::AcknowledgedByLink => Event::IncidentAcknowledged { via: Some(AcknowledgedVia::Link) },
        EventV1::AcknowledgedOverSlack => Event::IncidentAcknowledged { via: Some(AcknowledgedVia::Slack) },
        EventV1::IncidentHandedOff { previous, new } => Event::IncidentHandedOff {
            previous_owner_id: previous.map(UserId::from_bytes),
            new_owner_id: UserId::from_bytes(new),
        },
        EventV1::PageUndeliverable { page, user, reason, paged_at } => Event::PageUndeliverable {
            page_id: PageId::from_bytes(page),
            user_id: UserId::from_bytes(user),
            reason: by_byte(&PageReason::ALL, reason_byte, reason)?,
            paged_at: timestamp(paged_at)?,
        },
    })
}

/// The largest number of events in one row of `Audit`, so that its value stays small.
const EVENTS_PER_ROW: usize = 16;

impl Entity for AuditEntry {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        audit_rows(self, rows)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_incident(key, self.org_id, self.incident_id);
        verifier.actors(key, self.org_id, &self.events);
    }

    fn pages(&self, tell: &mut dyn FnMut(Page, Side)) {
        told(self.org_id, self.incident_id, &self.events, tell);
    }
}

/// Adds the rows of events that move out of an incident.
pub(crate) fn audit_rows(entry: &AuditEntry, rows: &mut Rows) -> Result<(), Corrupt> {
    for events in entry.events.chunks(EVENTS_PER_ROW) {
        let first = events.first().ok_or(Corrupt::Value)?.id;
        let record = AuditV1 { events: stored_events(events)? };
        rows.record(audit_key(entry.org_id, entry.incident_id, first), &record)?;
    }
    Ok(())
}

/// Makes the events of a row of `Audit`.
pub(crate) fn audit_of(row: AuditV1) -> Result<Vec<AuditEvent>, Corrupt> {
    events_of(row.events)
}

/// Makes the stored form of events.
pub(super) fn stored_events(events: &[AuditEvent]) -> Result<Vec<AuditEventV1>, Corrupt> {
    let stored = |event: &AuditEvent| {
        Ok(AuditEventV1 { id: event.id.to_bytes(), actor: event.actor_id.into(), event: stored_event(&event.event)? })
    };
    events.iter().map(stored).collect()
}

/// Makes events of the form that [`stored_events`] made.
pub(super) fn events_of(stored: Vec<AuditEventV1>) -> Result<Vec<AuditEvent>, Corrupt> {
    let event = |stored: AuditEventV1| {
        Ok(AuditEvent {
            id: AuditEventId::from_bytes(stored.id),
            actor_id: stored.actor.into(),
            event: event_of(stored.event)?,
        })
    };
    stored.into_iter().map(event).collect()
}

/// The line of events that have moved out of an incident in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct AuditLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<IncidentId>"))]
    incident: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: AuditV1,
}

impl Line for AuditLine {
    type Entity = AuditEntry;
    const TABLES: &'static [Table] = &[Table::AUDIT];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        // The last part of the key is the id of the first event, which is in the record, too.
        let (org, incident, _) = (row.id()?, row.id()?, row.id()?);
        Ok(Some(Self { org, incident, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<AuditEntry, Corrupt> {
        let (org, incident) = (OrgId::from_bytes(self.org), IncidentId::from_bytes(self.incident));
        Ok(AuditEntry { org_id: org, incident_id: incident, events: audit_of(self.record)? })
    }
}

fn audit_key(org: OrgId, incident: IncidentId, first: AuditEventId) -> Vec<u8> {
    Table::AUDIT.of(org, &[&incident.to_bytes(), &first.to_bytes()])
}

/// Reports the pages that events name: one for each user whom a layer paged, and one for each handoff; one less for each that
/// was given up.
pub(super) fn told(org: OrgId, incident: IncidentId, events: &[AuditEvent], tell: &mut dyn FnMut(Page, Side)) {
    for event in events {
        let at = event.at();
        match &event.event {
            Event::LayerPaged { user_ids: users, .. } => {
                users.iter().for_each(|user| tell((org, incident, *user, PageReason::Escalation, at), Side::Trail));
            }
            Event::IncidentHandedOff { new_owner_id: new, .. } => {
                tell((org, incident, *new, PageReason::Handoff, at), Side::Trail);
            }
            Event::PageUndeliverable { user_id, reason, paged_at, .. } => {
                tell((org, incident, *user_id, *reason, *paged_at), Side::Maybe);
            }
            Event::IncidentCreated { .. }
            | Event::IncidentEdited { .. }
            | Event::StatusChanged { .. }
            | Event::UpdatePosted { .. }
            | Event::UpdateRedacted { .. }
            | Event::ComponentsChanged { .. }
            | Event::LayerSkipped { .. }
            | Event::LayerTimedOut { .. }
            | Event::EscalationExhausted
            | Event::EscalationStopped
            | Event::PageDelivered { .. }
            | Event::PageFailed { .. }
            | Event::IncidentAcknowledged { .. } => {}
        }
    }
}
