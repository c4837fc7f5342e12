//! What callers see of an incident: the shapes of the contract's section 6, with names looked up.

use std::collections::BTreeMap;

use super::{AuditEvent, Author, Event, Incident, IncidentUpdate, Severity, Status, UpdateVisibility};
use crate::component::ComponentRef;
use crate::error::Error;
use crate::id::{AuditEventId, Id, IncidentId, OrgId, PolicyId, StatusEntryId, UpdateId, UserId};
use crate::text::{IncidentDescription, Title, UpdateBody};
use crate::time::Timestamp;
use crate::world::World;

/// A person or an integration that did something, with its name; also one that has since been removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct ActorRef {
    /// The id of the user or of the integration.
    pub id: Author,
    /// First and last name, or the name of the integration.
    pub name: String,
}

impl ActorRef {
    fn of(id: Author, world: &dyn World) -> Result<Self, Error> {
        let name = match id {
            Author::User(user) => world.member(user)?.map(|member| member.full_name()),
            Author::Integration(id) => world.integration(id)?.map(|integration| integration.name.to_string()),
        };
        let name = name.ok_or_else(|| Error::broken("history names somebody without a record"))?;
        Ok(Self { id, name })
    }
}

/// An incident as callers see it (contract, section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct IncidentView {
    /// The incident's id.
    pub id: IncidentId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// 1, 2, 3 … in the order of creation within the organization, without holes.
    pub sequential_id: u64,
    /// What is wrong, in 1–100 characters.
    pub title: Title,
    /// What is wrong, at length: at most 10,000 characters.
    pub description: Option<IncidentDescription>,
    /// How bad it is.
    pub severity: Severity,
    /// The stage of its lifecycle.
    pub status: Status,
    /// The user who is responsible; `None` when nobody was on call at its creation.
    pub owner_id: Option<UserId>,
    /// The escalation policy attached to it, if any; of a resolved incident, it may have been deleted.
    pub escalation_policy_id: Option<PolicyId>,
    /// The affected components, in the order given.
    pub affected_components: Vec<ComponentRef>,
    /// When it was acknowledged; a handoff clears it.
    pub acknowledged_at: Option<Timestamp>,
    /// Who acknowledged it; a handoff clears it.
    pub acknowledged_by: Option<Author>,
    /// The position of the policy layer that was paged last, as it was when the run started. It stays after acknowledgement and
    /// resolution.
    pub current_layer_position: Option<u32>,
    /// When the next policy layer fires; `None` when the run does not wait.
    pub next_escalation_at: Option<Timestamp>,
    /// Who created it.
    pub created_by: Author,
    /// When it was created.
    pub created_at: Timestamp,
    /// When anything last happened to it; updates and redactions count.
    pub updated_at: Timestamp,
    /// When it was resolved; `None` while it is open.
    pub resolved_at: Option<Timestamp>,
}

impl IncidentView {
    /// An incident as it is shown to any member of its organization.
    ///
    /// # Errors
    /// `not_found`; `internal_error` when the world cannot be read.
    pub fn read(id: IncidentId, world: &dyn World) -> Result<Self, Error> {
        Self::of(&super::draft::find(world, id)?, world)
    }

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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct StatusHistoryEntry {
    /// The step's id: `sh_` and 32 hexadecimal digits.
    pub id: StatusEntryId,
    /// The status that the incident had from this step on.
    pub status: Status,
    /// When the incident got this status.
    pub changed_at: Timestamp,
    /// The body of the update that resolved the incident; `None` for other steps, and once that update is redacted.
    pub resolution_note: Option<UpdateBody>,
}

/// The most events of an audit trail that are shown with its incident.
const SHOWN_EVENTS: usize = 200;

/// The reply to [`GetIncident`](super::GetIncident): an incident with all that happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct IncidentDetail {
    /// The incident.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub incident: IncidentView,
    /// The steps of its status, oldest first; the first is `investigating` at its creation.
    pub status_history: Vec<StatusHistoryEntry>,
    /// The last 200 events of its audit trail, oldest first; [`ListAuditEvents`](super::ListAuditEvents) gives all.
    pub audit_trail: Vec<AuditEvent>,
}

impl IncidentDetail {
    pub(super) fn of(incident: &Incident, world: &dyn World) -> Result<Self, Error> {
        let mut status_history = Vec::with_capacity(incident.history.len());
        for entry in &incident.history {
            // The note is stored only as the body of the update that resolved the incident, so a redaction removes it here,
            // too.
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
        let earlier =
            if incident.has_earlier_events { SHOWN_EVENTS.saturating_sub(incident.recent_events.len()) } else { 0 };
        let mut audit_trail = if earlier > 0 { world.last_earlier_events(incident.id, earlier)? } else { Vec::new() };
        audit_trail.extend_from_slice(&incident.recent_events);
        Ok(Self { incident: IncidentView::of(incident, world)?, status_history, audit_trail })
    }
}

/// An update of an incident as callers see it (contract, section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct UpdateView {
    /// The update's id.
    pub id: UpdateId,
    /// The incident that it is about.
    pub incident_id: IncidentId,
    /// Its text: 1–10,000 characters; `None` when it only changes the status, or was redacted.
    pub body: Option<UpdateBody>,
    /// The status to which it moved the incident, if it did.
    pub status_change: Option<Status>,
    /// Who may read it.
    pub visibility: UpdateVisibility,
    /// Who posted it, with their name.
    pub posted_by: ActorRef,
    /// When it was posted.
    pub posted_at: Timestamp,
    /// When it was redacted; `None` if it was not.
    pub redacted_at: Option<Timestamp>,
    /// The user who redacted it.
    pub redacted_by: Option<UserId>,
}

impl UpdateView {
    pub(super) fn of(update: &IncidentUpdate, world: &dyn World) -> Result<Self, Error> {
        Ok(Self::by(update, ActorRef::of(update.posted_by, world)?))
    }

    /// The views of many updates. Each author is looked up once.
    pub(super) fn of_all(updates: &[IncidentUpdate], world: &dyn World) -> Result<Vec<Self>, Error> {
        let mut authors: BTreeMap<Author, ActorRef> = BTreeMap::new();
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

impl AuditEvent {
    /// The event of an incident with this id, and the update that it tells of, as that is now; `None` when there is none.
    ///
    /// # Errors
    /// `not_found` without the incident; [`Error::Broken`] when the world cannot be read.
    pub fn find(
        incident: IncidentId,
        id: AuditEventId,
        world: &dyn World,
    ) -> Result<(Option<Self>, Option<UpdateView>), Error> {
        let recent = super::draft::find(world, incident)?.recent_events.into_iter().find(|event| event.id == id);
        let event = match recent {
            Some(event) => Some(event),
            None => {
                // The id before it, behind which it is the first.
                let before =
                    AuditEventId::from_bytes(u128::from_be_bytes(id.to_bytes()).saturating_sub(1).to_be_bytes());
                let found = world.earlier_events(incident, Some(before), 1)?;
                found.into_iter().find(|event| event.id == id)
            }
        };
        let update = match event.as_ref().map(|event| &event.event) {
            Some(Event::UpdatePosted { update_id, .. }) => world.update(incident, *update_id)?,
            _ => None,
        };
        let update = update.map(|update| UpdateView::of(&update, world)).transpose()?;
        Ok((event, update))
    }
}
