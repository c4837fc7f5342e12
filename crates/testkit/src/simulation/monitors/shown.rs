//! Integrations and their incidents as they are shown, and whether that may be so.

use dogwatch_core::id::{ComponentId, IncidentId, IntegrationId};
use dogwatch_core::incident::{
    Author, Event, GetIncident, IncidentDetail, IncidentView, ListIncidents, ListLimit, Status,
};
use dogwatch_core::integration::{GetIntegration, IntegrationSetting, IntegrationView, ListSignals, SignalView};
use dogwatch_core::{Actor, Code, Timestamp};
use dogwatch_store::{Engine, Error};

use super::super::Complaint;
use super::super::auditor::ensure;
use super::world::{Group, Phase, World};

/// An incident as it is shown, with its signals.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) view: IncidentView,
    pub(super) signals: Vec<SignalView>,
    pub(super) resolved_by: Option<Author>,
}

impl Shown {
    pub(super) fn is_storm(&self) -> bool {
        self.view.title.as_str().starts_with("Alert storm: ")
    }
}

/// The incidents of the last hours, in pages; older ones are known.
pub(in super::super) fn newest(engine: &Engine, admin: &Actor, now: Timestamp) -> Result<Vec<IncidentView>, Complaint> {
    let mut query = ListIncidents { limit: ListLimit::new(100).unwrap(), ..Default::default() };
    let mut all = Vec::new();
    loop {
        let page = engine.query(&query, admin).map_err(|error| error.to_string())?;
        let old = page.incidents.last().is_some_and(|it| it.created_at.as_millis() + 3_600_000 < now.as_millis());
        all.extend(page.incidents);
        match page.next_cursor.filter(|_| !old) {
            Some(cursor) => query.cursor = Some(cursor),
            None => return Ok(all),
        }
    }
}

/// An incident as it is shown.
pub(super) fn shown(engine: &Engine, admin: &Actor, id: IncidentId) -> Result<Shown, Complaint> {
    let detail = engine.query(&GetIncident { id }, admin).map_err(|error| format!("{id} is gone: {error}"))?;
    let mut list = ListSignals { limit: ListLimit::new(100).unwrap(), ..ListSignals::new(id) };
    let mut signals = Vec::new();
    loop {
        let page = engine.query(&list, admin).map_err(|error| error.to_string())?;
        signals.extend(page.signals);
        match page.next_cursor {
            Some(cursor) => list.cursor = Some(cursor),
            None => break,
        }
    }
    let resolved_by = resolved_by(&detail);
    Ok(Shown { view: detail.incident, signals, resolved_by })
}

/// Who has resolved an incident.
fn resolved_by(detail: &IncidentDetail) -> Option<Author> {
    let resolves = |event: &Event| matches!(event, Event::StatusChanged { to: Status::Resolved, .. });
    detail.audit_trail.iter().find(|event| resolves(&event.event)).and_then(|event| event.actor_id)
}

/// An integration as it is shown; `None` when it was deleted.
pub(super) fn integration(
    engine: &Engine,
    admin: &Actor,
    id: IntegrationId,
) -> Result<Option<IntegrationView>, Complaint> {
    match engine.query(&GetIntegration::new(id), admin) {
        Ok(view) => Ok(Some(view)),
        Err(Error::Refused(error)) if error.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Compares an integration that may be so with the one that is seen.
pub(super) fn compare_view(world: &World, view: &IntegrationView) -> Result<(), Complaint> {
    let last = view.last_signal_at;
    let apart = last.zip(world.last_at).map_or(0, |(shown, last)| last.as_millis() - shown.as_millis());
    let exactly = if world.is_heartbeat() { 1 } else { 60_000 };
    let both = last.is_some() == world.last_at.is_some();
    ensure!(both && (0..exactly).contains(&apart), "the last signal came at {:?}: {last:?}", world.last_at);
    // When it last got a new token is not part of what callers see.
    let shown = IntegrationSetting { rotated_at: world.setting.rotated_at, ..view.setting.clone() };
    ensure!(shown == world.setting, "it is set up as {shown:?}, and should be as {:?}", world.setting);
    Ok(())
}

/// Compares an incident that may be so with one that is seen.
pub(super) fn compare_one(group: &Group, shown: &Shown, heartbeat: bool) -> Result<(), Complaint> {
    let Shown { view, signals, resolved_by } = shown;
    let opened = view.created_at;
    ensure!(opened == group.opened_at, "it was opened at {opened}, and should have been at {}", group.opened_at);
    let by_integration = resolved_by.map(|by| by.integration().is_some());
    let expected = match group.phase {
        Phase::Closed(at) => Some(at.is_some()),
        Phase::Waits(_) | Phase::Open | Phase::Quiet(_) => None,
    };
    ensure!(by_integration == expected, "it is {:?}, and was resolved by {resolved_by:?}", group.phase);
    if let (Phase::Closed(Some(at)), Some(resolved)) = (group.phase, view.resolved_at) {
        ensure!(at <= resolved, "it was resolved at {resolved}, and should not have been before {at}");
    }
    let count = (signals.len(), group.signals.len());
    ensure!(count.0 == count.1, "it has {} signals, and should have {}: {shown:#?}\n{group:#?}", count.0, count.1);
    let ordered = signals.is_sorted_by_key(|signal| signal.first_at);
    ensure!(ordered, "its signals are not in the order in which they began: {signals:?}");
    for must in &group.signals {
        // Of those that began at one instant, any is first.
        let got = signals.iter().find(|got| got.dedup_key.as_str() == must.key);
        let same = got.is_some_and(|got| {
            (got.severity, got.count, got.first_at) == (must.severity, must.count, must.first_at)
                && (got.last_at, got.resolved_at) == (must.last_at, must.resolved_at)
                && (heartbeat || got.summary.as_str() == must.summary)
        });
        ensure!(same, "a signal is {got:?}, and should be {must:?}");
    }
    Ok(())
}

/// Checks that an incident that was just opened has what its integration named when it was opened.
pub(super) fn compare_opening(group: &Group, shown: &Shown) -> Result<(), Complaint> {
    let Some(by) = &group.opened_by else { return Ok(()) };
    let components: Vec<ComponentId> = shown.view.affected_components.iter().map(|it| it.id).collect();
    let expected: Vec<_> = by.component_id.into_iter().collect();
    ensure!(components == expected, "it affects {components:?}, and should affect {expected:?}");
    let policy = shown.view.escalation_policy_id;
    let named = by.escalation_policy_id;
    ensure!(named.is_none() || policy == named, "its policy is {policy:?}, and should be {named:?}");
    Ok(())
}
