//! What the auditor knows of incidents that integrations open: who begins to be followed, what an alert does to one that is open, and
//! when something goes on by itself.

use dogwatch_core::incident::{AuditEvent, Author, EditedField, Event, GetIncident, IncidentDetail, Severity};

use super::super::monitors::{Deed, Opened};
use super::{Auditor, Complaint, IncidentId, Instants, Opening, RunPhase, Timestamp, Tracked, ensure};
use dogwatch_store::Engine;

impl Auditor {
    /// Finds out what monitors have done since the last step, and begins to follow the incidents that were opened. Gives the incidents
    /// that a step touched.
    pub(super) fn follow_monitors(
        &mut self,
        engine: &Engine,
        touched: &[IncidentId],
        instants: Instants,
        all: bool,
    ) -> Result<Vec<IncidentId>, Complaint> {
        let (opened, stirred) = self.monitors.settle(engine, &self.admin, touched, instants, all)?;
        let mut touched = touched.to_vec();
        for one in opened {
            let opening = self.opening_of(engine, &one)?;
            self.opened(one.id, opening);
            if let Some(tracked) = self.incidents.get_mut(&one.id) {
                tracked.integration = Some(one.integration);
            }
            touched.push(one.id);
        }
        touched.extend(stirred);
        touched.sort_unstable();
        touched.dedup();
        Ok(touched)
    }

    /// The policy and the owner that an incident must start with, by what its integration named when it was opened. Where nobody knows which
    /// settings those were, they are what is seen, if that can be.
    fn opening_of(&self, engine: &Engine, one: &Opened) -> Result<Opening, Complaint> {
        let of = |(policy, schedule)| self.opening_at(engine, policy, schedule, None, one.at);
        let mut may: Vec<_> = one.named.iter().copied().map(of).collect();
        let seen = engine.query(&GetIncident { id: one.id }, &self.admin).map_err(|error| error.to_string())?.incident;
        let is = |it: &Opening| (it.policy, it.owner) == (seen.escalation_policy_id, seen.owner_id);
        let place = may.iter().position(is).unwrap_or_default();
        ensure!(!may.is_empty(), "{} was opened by an integration that was set up in no way", one.id);
        Ok(may.swap_remove(place))
    }

    /// How many timers a tick fires: the least and the most. A run whose incident is resolved before its layer is due does not go on.
    #[must_use]
    pub fn fires(&self, tick: Timestamp) -> (usize, usize) {
        let (mut least, mut most) = self.monitors.due(tick);
        for (id, tracked) in &self.incidents {
            let RunPhase::Waiting(due) = tracked.state else { continue };
            if tick < due {
                continue;
            }
            let resolved = self.monitors.quiet_until(*id).filter(|(at, _)| *at <= tick);
            most += usize::from(resolved.is_none_or(|(at, certain)| due <= at || !certain));
            least += usize::from(resolved.is_none_or(|(at, _)| due < at));
        }
        let maintenances = self.pages_seen.due(tick).len();
        (least + maintenances, most + maintenances)
    }

    /// Checks that the next deadline is the earliest of all that waits: runs, maintenances, and what monitors have reported.
    pub fn audit_deadline(&mut self, engine: &Engine) -> Result<(), Complaint> {
        let waiting = self.incidents.values().filter_map(|tracked| match tracked.state {
            RunPhase::Waiting(due) => Some(due),
            _ => None,
        });
        let expected = waiting.chain(self.pages_seen.deadlines().map(|(due, _)| due)).min();
        let got = engine.next_deadline().map_err(|error| error.to_string())?;
        let may = self.monitors.next_deadline(got);
        let right = match got {
            Some(got) => expected == Some(got) || (may.contains(&got) && expected.is_none_or(|at| got < at)),
            None => expected.is_none(),
        };
        let early = may.iter().all(|at| got.is_some_and(|got| got <= *at));
        ensure!(right && early, "the next deadline is {got:?}, and should be {expected:?} or one of {may:?}");
        Ok(())
    }

    /// Whether nothing is overdue after a tick that worked.
    pub(super) fn monitors_punctual(&self, tick: Timestamp) -> Result<(), Complaint> {
        let overdue = self.monitors.overdue(tick);
        ensure!(overdue == 0, "{overdue} waits of alerts are still due after a tick at {tick}");
        Ok(())
    }
}

/// An alert has made an incident worse. If it is a new one and the incident was acknowledged, that is cleared, and the current layer fires
/// again.
pub(super) fn made_worse(tracked: &mut Tracked, fields: &[EditedField], at: Timestamp) -> Result<(), Complaint> {
    ensure!(fields == [EditedField::Severity], "an integration has changed {fields:?}");
    ensure!(!tracked.resolved, "made worse after it was resolved");
    if tracked.acknowledged.is_some() && tracked.joined {
        tracked.acknowledged = None;
        tracked.worsened = Some(at);
        if tracked.state != RunPhase::None {
            tracked.passed = tracked.current.unwrap_or_default();
            tracked.state = RunPhase::Firing;
        }
    }
    Ok(())
}

/// How an incident was before the events of a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) severity: Option<Severity>,
    pub(super) acknowledged: bool,
}

/// Checks what the alerts of a step did to an incident that nobody else touched meanwhile.
pub(super) fn audit_deeds(
    deeds: &[Deed],
    before: Before,
    news: &[&AuditEvent],
    after: &IncidentDetail,
) -> Result<(), Complaint> {
    let by_people = |event: &&&AuditEvent| event.actor_id.is_some_and(|actor| actor.user().is_some());
    if news.iter().any(|event| by_people(&event)) {
        return Ok(());
    }
    let created = news.iter().find_map(|event| match event.event {
        Event::IncidentCreated { severity, .. } => Some(severity),
        _ => None,
    });
    let Some(mut severity) = created.or(before.severity) else { return Ok(()) };
    let (mut acknowledged, mut updates) = (before.acknowledged, 0);
    for deed in deeds {
        match *deed {
            Deed::Joined(of) => {
                updates += usize::from(acknowledged);
                acknowledged &= severity <= of;
                severity = severity.min(of);
            }
            Deed::Fired(of) => severity = severity.min(of),
            Deed::Acknowledged(Some(did)) => {
                ensure!(did != acknowledged, "an alert has acknowledged it: {did}, and it was before: {acknowledged}");
                acknowledged = true;
            }
            Deed::Acknowledged(None) => return Ok(()),
        }
    }
    let shown = &after.incident;
    ensure!(shown.severity == severity, "its severity is {}, and should be {severity}", shown.severity);
    let is = shown.acknowledged_at.is_some();
    ensure!(is == acknowledged, "it is acknowledged: {is}, and should be: {acknowledged}");
    let posted = |event: &&&AuditEvent| {
        let by = matches!(event.actor_id, Some(Author::Integration(_)));
        by && matches!(event.event, Event::UpdatePosted { .. })
    };
    let steps = news.iter().filter(|event| matches!(event.event, Event::StatusChanged { .. })).count();
    let posted = news.iter().filter(posted).count() - steps;
    ensure!(posted == updates, "{posted} updates about new alerts, and there should be {updates}");
    Ok(())
}
