//! Incidents: their lifecycle, updates, tags, history and audit trail (contract, sections 6 and 10).
//!
//! An incident's own time never runs backwards: when the clock jumps back, what happens next to the incident happens at
//! the instant of what happened last. The ids of its parts ascend in the same order.

mod audit;
mod create;
mod edit;
mod escalate;
mod page;
mod query;
mod redact;
mod status;
mod tags;
mod updates;
mod view;

pub use audit::{AuditEvent, EditedField, Event};
pub use create::CreateIncident;
pub use edit::EditIncident;
pub use escalate::{AcknowledgeIncident, HandOffIncident};
pub use page::{Cursor, IncidentFilter, PageLimit};
pub use query::{GetIncident, IncidentPage, ListIncidents, ListUpdates};
pub use redact::{REDACTION_WINDOW, RedactUpdate};
pub use status::Status;
pub use tags::SetComponents;
pub use updates::{ChangeStatus, PostUpdate, UpdateVisibility};
pub use view::{ActorRef, IncidentDetail, IncidentView, StatusHistoryEntry, UpdateView};

pub(crate) use escalate::let_time_pass;

use crate::code::Code;
use crate::command::Context;
use crate::error::Error;
use crate::escalation::Escalation;
use crate::id::{
    AuditEventId, ComponentId, Id, IdSource, IncidentId, OrgId, PolicyId, StatusEntryId, UpdateId, UserId,
};
use crate::text::{IncidentDescription, Title, UpdateBody};
use crate::time::Timestamp;
use crate::words::words;
use crate::world::{AuditEntry, Change, World, Write};

words! {
    /// How bad an incident is, worst first.
    ///
    /// ```
    /// use dogwatch_core::Severity;
    /// assert_eq!("critical".parse::<Severity>().unwrap(), Severity::Critical);
    /// assert!(Severity::Critical < Severity::Low);
    /// ```
    Severity, "must be `critical`, `high`, `medium` or `low`" {
        /// `critical`.
        Critical = "critical",
        /// `high`.
        High = "high",
        /// `medium`.
        Medium = "medium",
        /// `low`.
        Low = "low",
    }
}

/// One step of an incident's status history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusEntry {
    /// Names the step.
    pub id: StatusEntryId,
    /// The status from here on.
    pub status: Status,
    /// When it began.
    pub changed_at: Timestamp,
    /// The update that changed it; none for the first step.
    pub update: Option<UpdateId>,
}

/// An incident as it is stored. What callers get is an [`IncidentView`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Names the incident and carries its `createdAt`.
    pub id: IncidentId,
    /// The organization.
    pub org: OrgId,
    /// 1, 2, 3 … within the organization, without holes.
    pub sequential_id: u64,
    /// What is wrong, in one line.
    pub title: Title,
    /// What is wrong, at length.
    pub description: Option<IncidentDescription>,
    /// How bad it is.
    pub severity: Severity,
    /// Where in its lifecycle it is.
    pub status: Status,
    /// Who is responsible.
    pub owner: Option<UserId>,
    /// The escalation policy attached to it, and its run.
    pub escalation: Option<Escalation>,
    /// The affected components, in the order given, none twice.
    pub components: Vec<ComponentId>,
    /// When and by whom it was acknowledged.
    pub acknowledged: Option<(Timestamp, UserId)>,
    /// Who created it.
    pub created_by: UserId,
    /// When it last changed in any way.
    pub updated_at: Timestamp,
    /// The steps of its status so far: at least one, at most four.
    pub history: Vec<StatusEntry>,
    /// How many updates it has.
    pub updates: u32,
    /// The bytes of the id that was last given to a part of it.
    pub last_part: [u8; 16],
    /// The end of its audit trail, oldest first. When it grows long, it moves out into an [`AuditEntry`].
    pub recent_events: Vec<AuditEvent>,
    /// Whether earlier events may have moved out.
    pub has_earlier_events: bool,
}

impl Incident {
    /// When it was created: the instant that its id carries.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.id.made_at()
    }

    /// When it was resolved.
    #[must_use]
    pub fn resolved_at(&self) -> Option<Timestamp> {
        self.history.iter().find(|entry| entry.status == Status::Resolved).map(|entry| entry.changed_at)
    }

    /// The escalation policy attached to it.
    #[must_use]
    pub fn policy(&self) -> Option<PolicyId> {
        self.escalation.map(|escalation| escalation.policy)
    }

    /// When the next layer of its run fires.
    #[must_use]
    pub fn next_escalation_at(&self) -> Option<Timestamp> {
        self.escalation.and_then(|escalation| escalation.run.due())
    }

    /// Its audit trail, oldest first.
    fn trail(&self, world: &dyn World) -> Result<Vec<AuditEvent>, Error> {
        let mut trail = if self.has_earlier_events { world.earlier_events(self.id)? } else { Vec::new() };
        trail.extend_from_slice(&self.recent_events);
        Ok(trail)
    }

    /// Whether its events are few enough to stay in it. So that its size is bounded, ids that it names count, too.
    fn holds_its_events(&self) -> bool {
        let named = self.recent_events.iter().map(|event| event.event.named()).sum::<usize>();
        let named = named.saturating_add(self.components.len());
        self.recent_events.is_empty() || self.recent_events.len() <= RECENT_EVENTS && named <= NAMED
    }

    /// Whether its lifecycle has ended.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.status == Status::Resolved
    }
}

/// How many events stay in an incident at most.
const RECENT_EVENTS: usize = 8;
/// How many ids of components and users an incident with events in it names at most.
const NAMED: usize = 64;

/// An update of an incident as it is stored. What callers get is an [`UpdateView`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentUpdate {
    /// Names the update and carries its `postedAt`.
    pub id: UpdateId,
    /// The organization.
    pub org: OrgId,
    /// The incident.
    pub incident: IncidentId,
    /// What it says; gone for good once redacted.
    pub body: Option<UpdateBody>,
    /// The status to which it moved the incident.
    pub status_change: Option<Status>,
    /// Who may read it.
    pub visibility: UpdateVisibility,
    /// Who posted it.
    pub posted_by: UserId,
    /// When and by whom it was redacted.
    pub redacted: Option<(Timestamp, UserId)>,
}

impl IncidentUpdate {
    /// When it was posted: the instant that its id carries.
    #[must_use]
    pub fn posted_at(&self) -> Timestamp {
        self.id.made_at()
    }
}

/// The incident with this id. Code: `not_found`.
fn find(world: &dyn World, id: IncidentId) -> Result<Incident, Error> {
    world.incident(id)?.ok_or_else(|| Error::not_found("incident"))
}

/// Refuses a change to a resolved incident. Code: `incident_resolved`.
fn refuse_resolved(incident: &Incident) -> Result<(), Error> {
    if incident.is_resolved() {
        return Err(Error::refused(Code::IncidentResolved, "the incident is resolved"));
    }
    Ok(())
}

/// An incident while one command changes it: keeps what it was, its own time, and what goes into the audit trail.
struct Draft {
    before: Option<Incident>,
    incident: Incident,
    at: Timestamp,
    events: Vec<AuditEvent>,
}

impl Draft {
    /// Begins a change. It happens now, or when the clock has jumped back, at the incident's last instant.
    fn of(incident: Incident, now: Timestamp) -> Self {
        let at = now.max(incident.updated_at);
        Self { before: Some(incident.clone()), incident, at, events: Vec::new() }
    }

    /// Begins a new incident.
    fn new(incident: Incident) -> Self {
        Self { before: None, at: incident.updated_at, incident, events: Vec::new() }
    }

    /// An id for a part of the incident, greater than those before it.
    fn part<T: Id>(&mut self, ids: &mut IdSource) -> T {
        let id: T = ids.fresh_after(self.at, self.incident.last_part);
        self.incident.last_part = id.to_bytes();
        id
    }

    /// Notes an event; `actor` is `None` where time was the actor.
    fn event(&mut self, ids: &mut IdSource, actor: Option<UserId>, event: Event) {
        let id: AuditEventId = self.part(ids);
        self.events.push(AuditEvent { id, actor, event });
    }

    /// Ends the change: writes it, and gives the incident as it is now.
    fn finish(mut self, cx: &mut Context<'_>) -> Incident {
        self.incident.updated_at = self.at;
        self.append_events(cx);
        let change = Change { before: self.before, after: Some(self.incident.clone()) };
        cx.write(Write::Incident(Box::new(change)));
        self.incident
    }

    /// Adds the events to the incident. If they are too many then, first the earlier ones move out, and if that does not do,
    /// these, too: an entry holds no more than either.
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

    fn move_events_out(&mut self, cx: &mut Context<'_>) {
        let events = std::mem::take(&mut self.incident.recent_events);
        if !events.is_empty() {
            self.incident.has_earlier_events = true;
            cx.write(Write::Audit(AuditEntry { org: self.incident.org, incident: self.incident.id, events }));
        }
    }
}
