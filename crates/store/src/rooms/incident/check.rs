//! The checks of `verify` on an incident beyond its own rows: that its audit trail has one event for its creation, one for each
//! change of its status, and one for each update, and that all updates exist.

use dogwatch_core::OrgId;
use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{AuditEvent, Author, Event, Incident};

use super::incident_key;
use crate::rooms::AnyEntity;
use crate::table::Table;
use crate::tools::Verifier;

impl Verifier<'_, '_> {
    pub(super) fn need_incident(&mut self, key: &[u8], org: OrgId, id: IncidentId) {
        // The rows of one incident are next to one another, so one check for all of them is enough.
        if self.last_incident.replace((org, id)) != Some((org, id)) {
            self.need(key, &incident_key(org, id), "an incident");
        }
    }

    /// Checks that the actors of an audit trail exist, removed ones included.
    pub(super) fn actors(&mut self, key: &[u8], org: OrgId, events: &[AuditEvent]) {
        self.need_authors(key, org, events.iter().filter_map(|event| event.actor_id));
    }

    /// Checks that whoever did something exists: members and integrations, removed ones included.
    pub(super) fn need_authors(&mut self, key: &[u8], org: OrgId, authors: impl IntoIterator<Item = Author>) {
        for author in authors {
            match author {
                Author::User(user) => self.need_users(key, org, [user]),
                Author::Integration(id) => self.need(key, &Table::INTEGRATION.record(org, id), "an integration"),
            }
        }
    }

    /// Checks the events of the trail against the status history and the number of updates, and that the updates exist.
    pub(super) fn trail(&mut self, key: &[u8], incident: &Incident) {
        let (mut created, mut steps, mut posted) = (0_usize, 0_usize, 0_u32);
        let moved_out = self.snapshot.under(&Table::AUDIT.record(incident.org_id, incident.id)).map_while(Result::ok);
        let moved_out: Vec<_> = moved_out.collect();
        let moved_out = moved_out.into_iter().filter_map(|(key, value)| match self.entity(&key, &value) {
            Ok(Some(AnyEntity::Audit(entry))) => Some(entry.events),
            _ => None,
        });
        let mut earlier = moved_out.flatten().peekable();
        let unknown = earlier.peek().is_some() && !incident.has_earlier_events;
        for event in earlier.chain(incident.recent_events.iter().cloned()) {
            match event.event {
                Event::IncidentCreated { .. } => created = created.saturating_add(1),
                Event::StatusChanged { .. } => steps = steps.saturating_add(1),
                Event::UpdatePosted { .. } => posted = posted.saturating_add(1),
                Event::IncidentEdited { .. }
                | Event::UpdateRedacted { .. }
                | Event::ComponentsChanged { .. }
                | Event::LayerPaged { .. }
                | Event::LayerSkipped { .. }
                | Event::LayerTimedOut { .. }
                | Event::EscalationExhausted
                | Event::EscalationStopped
                | Event::IncidentAcknowledged { .. }
                | Event::IncidentHandedOff { .. }
                | Event::PageDelivered { .. }
                | Event::PageFailed { .. }
                | Event::PageUndeliverable { .. } => {}
            }
        }
        if unknown {
            self.report.add(key, "it does not know of earlier events that are there");
        }
        let updates =
            self.snapshot.under(&Table::UPDATE.record(incident.org_id, incident.id)).map_while(Result::ok).count();
        if (created, steps) != (1, incident.history.len().saturating_sub(1)) {
            let history = incident.history.len();
            self.report.add(
                key,
                format!("its status history has {history} entries, but its trail tells of {created} beginnings and {steps} steps"),
            );
        }
        if posted != incident.updates || u32::try_from(updates) != Ok(incident.updates) {
            let counted = incident.updates;
            self.report.add(
                key,
                format!("it counts {counted} updates, but its trail tells of {posted}, and there are {updates}"),
            );
        }
    }
}
