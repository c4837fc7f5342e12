//! What the commands on incidents share: finding an incident, and changing it as a whole.

use super::{AuditEntry, AuditEvent, Author, Event, Incident, Status};
use crate::code::Code;
use crate::command::Context;
use crate::error::Error;
use crate::id::{AuditEventId, Id, IdSource, IncidentId};
use crate::integration::incident_resolved;
use crate::outbox::edit_pages;
use crate::status_page;
use crate::time::Timestamp;
use crate::webhook::tell;
use crate::world::{Change, World, Write};

/// The incident with this id. Code: `not_found`.
pub(super) fn find(world: &dyn World, id: IncidentId) -> Result<Incident, Error> {
    world.incident(id)?.ok_or_else(|| Error::not_found("incident"))
}

/// Refuses a change to a resolved incident. Code: `incident_resolved`.
pub(super) fn refuse_resolved(incident: &Incident) -> Result<(), Error> {
    if incident.is_resolved() {
        return Err(Error::refused(Code::IncidentResolved, "the incident is resolved"));
    }
    Ok(())
}

/// Whether those who were paged before need not do anything any more.
const fn settles(event: &Event) -> bool {
    matches!(
        event,
        Event::IncidentAcknowledged { .. }
            | Event::IncidentHandedOff { .. }
            | Event::StatusChanged { to: Status::Resolved, .. }
    )
}

/// Adds events to the audit trail of an incident that nobody has caused but time.
pub(crate) fn note(
    cx: &mut Context<'_>,
    incident: IncidentId,
    events: impl IntoIterator<Item = Event>,
) -> Result<(), Error> {
    let incident = cx.world.incident(incident)?.ok_or_else(|| Error::broken("a page without its incident"))?;
    let mut draft = Draft::of(incident, cx.now);
    events.into_iter().for_each(|event| draft.event(cx.ids, None, event));
    draft.finish(cx)?;
    Ok(())
}

/// An incident while one command changes it: how it was, how it is so far, the instant of the change, and the events that go
/// into the audit trail.
pub(super) struct Draft {
    before: Option<Incident>,
    pub(super) incident: Incident,
    pub(super) at: Timestamp,
    events: Vec<AuditEvent>,
}

impl Draft {
    /// Begins a change. It happens now or, when the clock has jumped back, at the instant of the incident's last change.
    pub(super) fn of(incident: Incident, now: Timestamp) -> Self {
        // Invariant [own-time].
        let at = now.max(incident.updated_at);
        Self { before: Some(incident.clone()), incident, at, events: Vec::new() }
    }

    /// Begins a new incident, at its `updated_at`.
    pub(super) fn new(incident: Incident) -> Self {
        Self { before: None, at: incident.updated_at, incident, events: Vec::new() }
    }

    /// An id for a part of the incident (an update, a step of its history, an event), greater than those before it.
    pub(super) fn part<T: Id>(&mut self, ids: &mut IdSource) -> T {
        let id: T = ids.fresh_after(self.at, self.incident.last_part);
        self.incident.last_part = id.to_bytes();
        id
    }

    /// Adds an event to the audit trail; `actor` is `None` where time was the actor.
    pub(super) fn event(&mut self, ids: &mut IdSource, actor: Option<Author>, event: Event) {
        let id: AuditEventId = self.part(ids);
        self.events.push(AuditEvent { id, actor_id: actor, event });
    }

    /// Ends the change: adds it to the decision, and gives the incident as it is now. The webhooks that want an event are told of it.
    // Invariant [with-its-cause]: the run's deadline and the events are in the incident that is written here.
    pub(super) fn finish(mut self, cx: &mut Context<'_>) -> Result<Incident, Error> {
        tell(cx, self.incident.id, &self.events)?;
        if let Some(before) = &self.before
            && self.events.iter().any(|event| settles(&event.event))
        {
            edit_pages(cx, before.id, before.handed_off_at)?;
        }
        if self.incident.is_resolved() && self.before.as_ref().is_some_and(|before| !before.is_resolved()) {
            incident_resolved(cx, &self.incident)?;
        }
        self.incident.updated_at = self.at;
        status_page::incident_changed(cx, self.before.as_ref(), &self.incident)?;
        self.append_events(cx);
        let change = Change { before: self.before, after: Some(self.incident.clone()) };
        cx.write(Write::Incident(Box::new(change)));
        Ok(self.incident)
    }

    /// Adds the new events to the incident. If they are too many then, the earlier ones move out first, and the new ones after
    /// them if that does not do: an entry never mixes both.
    fn append_events(&mut self, cx: &mut Context<'_>) {
        let new = std::mem::take(&mut self.events);
        let earlier = self.incident.recent_events.len();
        self.incident.recent_events.extend(new);
        if !self.incident.holds_its_events() {
            let new = self.incident.recent_events.split_off(earlier);
            self.move_events_out(cx);
            self.incident.recent_events = new;
        }
        if !self.incident.holds_its_events() {
            self.move_events_out(cx);
        }
    }

    /// Moves all events out of the incident into an [`AuditEntry`].
    fn move_events_out(&mut self, cx: &mut Context<'_>) {
        let events = std::mem::take(&mut self.incident.recent_events);
        if !events.is_empty() {
            self.incident.has_earlier_events = true;
            cx.write(Write::Audit(AuditEntry { org_id: self.incident.org_id, incident_id: self.incident.id, events }));
        }
    }
}
