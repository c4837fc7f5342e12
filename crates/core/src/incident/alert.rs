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
use crate::oncall;
use crate::text::UpdateBody;

/// The updates of an incident up to which a new alert is told in one: people need theirs. The list of signals has all.
const MOST_TOLD: u32 = 1_000;

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

/// Changes an incident that is not resolved; `false` when nothing was changed.
fn change(
    cx: &mut Context<'_>,
    id: IncidentId,
    how: impl FnOnce(&mut Draft, &mut Context<'_>) -> Result<bool, Error>,
) -> Result<bool, Error> {
    let incident = cx.world.incident(id)?.ok_or_else(|| Error::broken("a group without its incident"))?;
    if incident.is_resolved() {
        return Ok(false);
    }
    let mut draft = Draft::of(incident, cx.now);
    let changed = how(&mut draft, cx)?;
    if changed {
        draft.finish(cx)?;
    }
    Ok(changed)
}

/// A new signal in an open incident. One that was acknowledged gets an update; if the signal is worse, the acknowledgement is cleared and
/// the current layer is paged again.
pub(crate) fn join(
    cx: &mut Context<'_>,
    author: Author,
    id: IncidentId,
    summary: &str,
    severity: Severity,
) -> Result<bool, Error> {
    change(cx, id, |draft, cx| {
        let acknowledged = draft.incident.acknowledged.is_some();
        let body = UpdateBody::fitted(&format!("New alert: {summary}"));
        let body = body.filter(|_| acknowledged && draft.incident.updates < MOST_TOLD);
        let told = body.is_some();
        if told {
            draft.post(cx, author, body, None, UpdateVisibility::Internal)?;
        }
        let worse = draft.worsen(cx, author, severity);
        if worse && acknowledged {
            draft.incident.acknowledged = None;
            draft.incident.worsened_at = Some(draft.at);
            // As whenever a layer fires, nobody is the actor.
            draft.escalate(cx, None, Input::PageAgain)?;
        }
        Ok(worse || told)
    })
}

/// A signal of an incident has become worse. Nobody is paged again.
pub(crate) fn raise(cx: &mut Context<'_>, author: Author, id: IncidentId, severity: Severity) -> Result<bool, Error> {
    change(cx, id, |draft, cx| Ok(draft.worsen(cx, author, severity)))
}

/// Acknowledges an incident; `false` when somebody has, or it is resolved.
pub(crate) fn acknowledge(cx: &mut Context<'_>, author: Author, id: IncidentId) -> Result<bool, Error> {
    change(cx, id, |draft, cx| {
        let free = draft.incident.acknowledged.is_none();
        if free {
            draft.acknowledge(cx, author, None)?;
        }
        Ok(free)
    })
}

/// Resolves an incident, step by step; the last update is a note. `false` when it was resolved.
pub(crate) fn resolve(
    cx: &mut Context<'_>,
    author: Author,
    id: IncidentId,
    note: impl FnOnce(&Incident) -> String,
) -> Result<bool, Error> {
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
