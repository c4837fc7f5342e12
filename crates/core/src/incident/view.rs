//! What callers see of an incident: the shapes of the contract's section 6, with names looked up.

use std::collections::BTreeMap;

use super::{AuditEvent, Incident, IncidentUpdate, Severity, Status, UpdateVisibility};
use crate::component::ComponentRef;
use crate::error::Error;
use crate::id::{IncidentId, OrgId, PolicyId, StatusEntryId, UpdateId, UserId};
use crate::text::{IncidentDescription, Title, UpdateBody};
use crate::time::Timestamp;
use crate::world::World;

/// A person who did something, also one who has since been removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorRef {
    /// Names the user.
    pub id: UserId,
    /// First and last name.
    pub name: String,
}

impl ActorRef {
    fn of(id: UserId, world: &dyn World) -> Result<Self, Error> {
        let member = world.member(id)?.ok_or_else(|| Error::broken("history names a user without a record"))?;
        Ok(Self { id, name: member.full_name() })
    }
}

/// An incident as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentView {
    /// Names the incident.
    pub id: IncidentId,
    /// The organization.
    pub org_id: OrgId,
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
    pub owner_id: Option<UserId>,
    /// The attached escalation policy.
    pub escalation_policy_id: Option<PolicyId>,
    /// What is affected.
    pub affected_components: Vec<ComponentRef>,
    /// When it was acknowledged.
    pub acknowledged_at: Option<Timestamp>,
    /// By whom it was acknowledged.
    pub acknowledged_by: Option<UserId>,
    /// The policy layer that was paged last.
    pub current_layer_position: Option<u32>,
    /// When the next policy layer will be paged.
    pub next_escalation_at: Option<Timestamp>,
    /// Who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed in any way.
    pub updated_at: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
}

impl IncidentView {
    pub(super) fn of(incident: &Incident, world: &dyn World) -> Result<Self, Error> {
        let component = |id| {
            let found =
                world.component(id)?.ok_or_else(|| Error::broken("an incident names a component without a record"));
            found.map(|component| ComponentRef { id, name: component.name })
        };
        let current = incident.escalation.and_then(|escalation| escalation.run.current);
        Ok(Self {
            id: incident.id,
            org_id: incident.org_id,
            sequential_id: incident.sequential_id,
            title: incident.title.clone(),
            description: incident.description.clone(),
            severity: incident.severity,
            status: incident.status,
            owner_id: incident.owner_id,
            escalation_policy_id: incident.policy(),
            affected_components: incident.component_ids.iter().copied().map(component).collect::<Result<_, Error>>()?,
            acknowledged_at: incident.acknowledged.map(|(at, _)| at),
            acknowledged_by: incident.acknowledged.map(|(_, by)| by),
            current_layer_position: current.map(|layer| layer.position),
            next_escalation_at: incident.next_escalation_at(),
            created_by: incident.created_by,
            created_at: incident.created_at(),
            updated_at: incident.updated_at,
            resolved_at: incident.resolved_at(),
        })
    }
}

/// One step of the status history as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusHistoryEntry {
    /// Names the step.
    pub id: StatusEntryId,
    /// The status from here on.
    pub status: Status,
    /// When it began.
    pub changed_at: Timestamp,
    /// What was said when the incident was resolved; gone once that update is redacted.
    pub resolution_note: Option<UpdateBody>,
}

/// An incident with all that happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentDetail {
    /// The incident.
    pub incident: IncidentView,
    /// The steps of its status, oldest first; the first is `investigating` at its creation.
    pub status_history: Vec<StatusHistoryEntry>,
    /// Its audit trail, oldest first.
    pub audit_trail: Vec<AuditEvent>,
}

impl IncidentDetail {
    pub(super) fn of(incident: &Incident, world: &dyn World) -> Result<Self, Error> {
        let mut status_history = Vec::with_capacity(incident.history.len());
        for entry in &incident.history {
            // The note has one home, the body of the update that resolved the incident, so a redaction reaches it there.
            let resolution_note = match entry.update_id.filter(|_| entry.status == Status::Resolved) {
                Some(update) => world.update(incident.id, update)?.and_then(|update| update.body),
                None => None,
            };
            status_history.push(StatusHistoryEntry {
                id: entry.id,
                status: entry.status,
                changed_at: entry.changed_at,
                resolution_note,
            });
        }
        let mut audit_trail = if incident.has_earlier_events { world.earlier_events(incident.id)? } else { Vec::new() };
        audit_trail.extend_from_slice(&incident.recent_events);
        Ok(Self { incident: IncidentView::of(incident, world)?, status_history, audit_trail })
    }
}

/// An update as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateView {
    /// Names the update.
    pub id: UpdateId,
    /// The incident.
    pub incident_id: IncidentId,
    /// What it says; none when it only changes the status, or was redacted.
    pub body: Option<UpdateBody>,
    /// The status to which it moved the incident.
    pub status_change: Option<Status>,
    /// Who may read it.
    pub visibility: UpdateVisibility,
    /// Who posted it.
    pub posted_by: ActorRef,
    /// When it was posted.
    pub posted_at: Timestamp,
    /// When it was redacted.
    pub redacted_at: Option<Timestamp>,
    /// Who redacted it.
    pub redacted_by: Option<UserId>,
}

impl UpdateView {
    pub(super) fn of(update: &IncidentUpdate, world: &dyn World) -> Result<Self, Error> {
        Ok(Self::by(update, ActorRef::of(update.posted_by, world)?))
    }

    /// Each author is looked up once.
    pub(super) fn of_all(updates: &[IncidentUpdate], world: &dyn World) -> Result<Vec<Self>, Error> {
        let mut authors: BTreeMap<UserId, ActorRef> = BTreeMap::new();
        let mut views = Vec::with_capacity(updates.len());
        for update in updates {
            let author = match authors.get(&update.posted_by) {
                Some(author) => author.clone(),
                None => {
                    let author = ActorRef::of(update.posted_by, world)?;
                    authors.insert(update.posted_by, author.clone());
                    author
                }
            };
            views.push(Self::by(update, author));
        }
        Ok(views)
    }

    fn by(update: &IncidentUpdate, posted_by: ActorRef) -> Self {
        Self {
            id: update.id,
            incident_id: update.incident_id,
            body: update.body.clone(),
            status_change: update.status_change,
            visibility: update.visibility,
            posted_by,
            posted_at: update.posted_at(),
            redacted_at: update.redacted.map(|(at, _)| at),
            redacted_by: update.redacted.map(|(_, by)| by),
        }
    }
}
