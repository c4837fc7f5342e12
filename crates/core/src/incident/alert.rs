//! What alerts do to incidents, on behalf of their integration (contract, section 14): open one, join one, make it worse, acknowledge and
//! resolve it.

use super::create::Opening;
use super::draft::Draft;
use super::{Author, EditedField, Event, Incident, Severity, UpdateVisibility};
use crate::command::Context;
use crate::error::Error;
use crate::escalation::{self, Input};
use crate::id::IncidentId;
use crate::integration::{FirstAlert, Integration};
use crate::text::UpdateBody;
use crate::{limits, oncall};

/// Opens the incident of a group. It needs no owner; what its integration names and is not there is left out, since an alert is never
/// refused.
pub(crate) fn open(cx: &mut Context<'_>, integration: &Integration, first: FirstAlert) -> Result<IncidentId, Error> {
    let schedule = match integration.owner_schedule_id {
        Some(id) => cx.world.schedule(id)?,
        None => None,
    };
    let named = match integration.policy_id {
        Some(id) => cx.world.policy(id)?.map(|policy| policy.id),
        None => None,
    };
    let component = match integration.component_id {
        Some(id) => cx.world.component(id)?.filter(|component| component.is_live()).map(|component| component.id),
        None => None,
    };
    let owner_id = match &schedule {
        Some(schedule) => oncall::roster(cx.world, schedule, cx.now)?.owner(cx.now).map(|on| on.user_id),
        None => None,
    };
    let opening = Opening {
        title: first.title,
        description: first.description,
        severity: first.severity,
        owner_id,
        policy: escalation::attached(cx.world, named, schedule.map(|schedule| schedule.id))?,
        component_ids: component.into_iter().collect(),
        created_by: Author::Integration(integration.id),
    };
    Ok(opening.open(cx)?.id)
}

/// Changes an incident that is not resolved.
fn change(
    cx: &mut Context<'_>,
    id: IncidentId,
    how: impl FnOnce(&mut Draft, &mut Context<'_>) -> Result<bool, Error>,
) -> Result<(), Error> {
    let incident = cx.world.incident(id)?.ok_or_else(|| Error::broken("a group without its incident"))?;
    if incident.is_resolved() {
        return Ok(());
    }
    let mut draft = Draft::of(incident, cx.now);
    if how(&mut draft, cx)? {
        draft.finish(cx)?;
    }
    Ok(())
}

/// A new signal in an open incident. One that was acknowledged gets an update; if the signal is worse, the acknowledgement is cleared and
/// the current layer is paged again.
pub(crate) fn join(
    cx: &mut Context<'_>,
    author: Author,
    id: IncidentId,
    summary: &str,
    severity: Severity,
) -> Result<(), Error> {
    change(cx, id, |draft, cx| {
        let acknowledged = draft.incident.acknowledged.is_some();
        if acknowledged
            && draft.incident.updates < limits::INCIDENT_UPDATES
            && let Some(body) = UpdateBody::fitted(&format!("New alert: {summary}"))
        {
            draft.post(cx, author, Some(body), None, UpdateVisibility::Internal)?;
        }
        let worse = draft.worsen(cx, author, severity);
        if worse && acknowledged {
            draft.incident.acknowledged = None;
            // As whenever a layer fires, nobody is the actor.
            draft.escalate(cx, None, Input::PageAgain)?;
        }
        Ok(worse || acknowledged)
    })
}

/// A signal of an incident has become worse. Nobody is paged again.
pub(crate) fn raise(cx: &mut Context<'_>, author: Author, id: IncidentId, severity: Severity) -> Result<(), Error> {
    change(cx, id, |draft, cx| Ok(draft.worsen(cx, author, severity)))
}

/// Acknowledges an incident; `false` when somebody has, or it is resolved.
pub(crate) fn acknowledge(cx: &mut Context<'_>, author: Author, id: IncidentId) -> Result<bool, Error> {
    let mut done = false;
    change(cx, id, |draft, cx| {
        done = draft.incident.acknowledged.is_none();
        if done {
            draft.acknowledge(cx, author, None)?;
        }
        Ok(done)
    })?;
    Ok(done)
}

/// Resolves an incident, step by step; the last update is a note.
pub(crate) fn resolve(
    cx: &mut Context<'_>,
    author: Author,
    id: IncidentId,
    note: impl FnOnce(&Incident) -> String,
) -> Result<(), Error> {
    change(cx, id, |draft, cx| {
        let note = UpdateBody::fitted(&note(&draft.incident));
        while let Some(next) = draft.incident.status.next() {
            let body = note.clone().filter(|_| next.next().is_none());
            draft.post(cx, author, body, Some(next), UpdateVisibility::Internal)?;
        }
        Ok(true)
    })
}

impl Draft {
    /// Raises the severity to this one, if that is worse.
    fn worsen(&mut self, cx: &mut Context<'_>, author: Author, severity: Severity) -> bool {
        // Severities sort worst first.
        let worse = severity < self.incident.severity;
        if worse {
            self.incident.severity = severity;
            self.event(cx.ids, Some(author), Event::IncidentEdited { fields: vec![EditedField::Severity] });
        }
        worse
    }
}
