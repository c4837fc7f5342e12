//! What escalation does to an incident: acknowledging, handing off, and the passing of time (contract, section 9).

use super::draft::{Draft, find, refuse_resolved};
use super::{AcknowledgedVia, Author, Event, Incident, IncidentView};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::escalation::{self, Input, Lookups, Output, Policy};
use crate::id::{IncidentId, UserId};
use crate::outbox::{PageReason, page};

seal!(AcknowledgeIncident, HandOffIncident);

/// Acknowledges an incident: stops its escalation run, and records who acknowledged, and when (contract, section 9). Works
/// without a policy. Codes: `not_found`.
///
/// On an acknowledged or resolved incident it succeeds and changes nothing. The status stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcknowledgeIncident {
    /// The incident to acknowledge.
    pub id: IncidentId,
    /// What it is acknowledged with, where that is not the API; it is in the details of the event.
    pub via: Option<AcknowledgedVia>,
}

impl AcknowledgeIncident {
    /// The acknowledgement of this incident.
    #[must_use]
    pub const fn new(id: IncidentId) -> Self {
        Self { id, via: None }
    }
}

impl Command for AcknowledgeIncident {
    type Caller = ByMember;
    type Reply = IncidentView;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<IncidentView, Error> {
        let incident = find(cx.world, self.id)?;
        if incident.acknowledged.is_some() || incident.is_resolved() {
            return IncidentView::of(&incident, cx.world);
        }
        let mut draft = Draft::of(incident, cx.now);
        draft.acknowledge(cx, by.user_id.into(), self.via)?;
        let incident = draft.finish(cx)?;
        IncidentView::of(&incident, cx.world)
    }
}

/// Hands an incident off to another owner, who is paged at once (contract, section 9). The acknowledgement is cleared, and the
/// timeout of the current layer of its run begins anew. To hand it to the present owner is allowed, and pages them again.
///
/// Codes, in the order of the checks: `not_found`, `incident_resolved`, `invalid_target_user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOffIncident {
    /// The incident to hand off.
    pub id: IncidentId,
    /// The member who owns it from now on.
    pub target_user_id: UserId,
}

impl HandOffIncident {
    /// The handoff of this incident to that member.
    #[must_use]
    pub const fn new(id: IncidentId, target_user_id: UserId) -> Self {
        Self { id, target_user_id }
    }
}

impl Command for HandOffIncident {
    type Caller = ByMember;
    type Reply = IncidentView;
    const CODES: &'static [Code] = &[Code::NotFound, Code::IncidentResolved, Code::InvalidTargetUser];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<IncidentView, Error> {
        let incident = find(cx.world, self.id)?;
        refuse_resolved(&incident)?;
        if !cx.world.is_member(self.target_user_id)? {
            return Err(Error::refused(Code::InvalidTargetUser, "whom the incident is handed to is not a member"));
        }
        let me = Author::from(by.user_id);
        let mut draft = Draft::of(incident, cx.now);
        let previous = draft.incident.owner_id.replace(self.target_user_id);
        draft.incident.acknowledged = None;
        draft.incident.handed_off_at = Some(draft.at);
        draft.event(
            cx.ids,
            Some(me),
            Event::IncidentHandedOff { previous_owner_id: previous, new_owner_id: self.target_user_id },
        );
        page(cx, self.id, self.target_user_id, PageReason::Handoff, draft.at)?;
        draft.escalate(cx, Some(me), Input::HandOff)?;
        let incident = draft.finish(cx)?;
        IncidentView::of(&incident, cx.world)
    }
}

/// Lets the run of an incident go on, if it is due at the instant of the context; `false` when nothing is due.
pub(crate) fn let_time_pass(cx: &mut Context<'_>, id: IncidentId, lookups: &mut Lookups) -> Result<bool, Error> {
    let due = |incident: &Incident| incident.next_escalation_at().is_some_and(|due| due <= cx.now);
    let Some(incident) = cx.world.incident(id)?.filter(due) else { return Ok(false) };
    let mut draft = Draft::of(incident, cx.now);
    draft.escalate_with(cx, None, Input::Tick, lookups)?;
    draft.finish(cx)?;
    Ok(true)
}

impl Draft {
    /// Acknowledges the incident.
    pub(super) fn acknowledge(
        &mut self,
        cx: &mut Context<'_>,
        author: Author,
        via: Option<AcknowledgedVia>,
    ) -> Result<(), Error> {
        self.incident.acknowledged = Some((self.at, author));
        self.event(cx.ids, Some(author), Event::IncidentAcknowledged { via });
        self.escalate(cx, Some(author), Input::Acknowledge)
    }

    /// Attaches a policy to the incident and starts a run of it.
    pub(super) fn begin_escalation(&mut self, cx: &mut Context<'_>, policy: Policy) -> Result<(), Error> {
        let begun = escalation::begin(cx, policy)?;
        self.incident.escalation = Some(begun.escalation);
        self.carry_out(cx, None, begun.outputs)
    }

    /// Gives an input to the run, if there is one, and carries out what the run does.
    pub(super) fn escalate(&mut self, cx: &mut Context<'_>, actor: Option<Author>, input: Input) -> Result<(), Error> {
        let mut lookups = Lookups::at(cx.now);
        self.escalate_with(cx, actor, input, &mut lookups)
    }

    /// As [`Draft::escalate`], with lookups that several runs share.
    fn escalate_with(
        &mut self,
        cx: &mut Context<'_>,
        actor: Option<Author>,
        input: Input,
        lookups: &mut Lookups,
    ) -> Result<(), Error> {
        let Some(before) = self.incident.escalation else { return Ok(()) };
        let step = escalation::step(cx.world, before, input, lookups)?;
        self.incident.escalation = Some(step.escalation);
        self.carry_out(cx, actor, step.outputs)
    }

    /// Adds what a run did to the audit trail, and pages the users that it names.
    fn carry_out(&mut self, cx: &mut Context<'_>, actor: Option<Author>, outputs: Vec<Output>) -> Result<(), Error> {
        for output in outputs {
            let event = match output {
                Output::TimedOut(layer) => Event::LayerTimedOut { layer_id: layer.id, position: layer.position },
                Output::Skipped(layer) => Event::LayerSkipped { layer_id: layer.id, position: layer.position },
                Output::Paged(layer, users) => {
                    for user in &users {
                        page(cx, self.incident.id, *user, PageReason::Escalation, self.at)?;
                    }
                    Event::LayerPaged { layer_id: layer.id, position: layer.position, user_ids: users }
                }
                Output::Exhausted => Event::EscalationExhausted,
                Output::Stopped => Event::EscalationStopped,
            };
            self.event(cx.ids, actor, event);
        }
        Ok(())
    }
}
