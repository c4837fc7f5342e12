//! Integrations and signals, as members see them.

use super::commands::find;
use super::{Integration, IntegrationKind, Severities, Signal, Traffic};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::cursor::cursors;
use crate::error::Error;
use crate::id::{ComponentId, IncidentId, IntegrationId, OrgId, PolicyId, ScheduleId, SignalId};
use crate::incident::{ListLimit, Severity};
use crate::text::{AlertSource, DedupKey, Name, Summary};
use crate::time::Timestamp;

seal!(GetIntegration, ListIntegrations, ListSignals);

/// An integration without what comes in over it: what its admins have set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct IntegrationSetting {
    /// The integration's id: `int_` and 32 hexadecimal digits.
    pub id: IntegrationId,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// Its name.
    pub name: Name,
    /// What it understands.
    pub kind: IntegrationKind,
    /// The component that its incidents affect.
    pub component_id: Option<ComponentId>,
    /// The schedule whose owner owns its incidents.
    pub owner_schedule_id: Option<ScheduleId>,
    /// The policy that pages in place of the one that targets the schedule.
    pub escalation_policy_id: Option<PolicyId>,
    /// What becomes of alerts, by severity.
    pub severities: Severities,
    /// Seconds that an alert lasts before its incident is opened.
    pub pause_seconds: u32,
    /// Seconds that it is quiet before its incident is resolved.
    pub resolve_after_seconds: u32,
    /// Seconds between two beats; `None` for all but heartbeats.
    pub period_seconds: Option<u32>,
    /// Seconds more before a beat is missed; `None` for all but heartbeats.
    pub grace_seconds: Option<u32>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last got a new token; `None` while it has its first.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub rotated_at: Option<Timestamp>,
}

impl From<&Integration> for IntegrationSetting {
    fn from(it: &Integration) -> Self {
        Self {
            id: it.id,
            org_id: it.org_id,
            name: it.name.clone(),
            kind: it.kind,
            component_id: it.component_id,
            owner_schedule_id: it.owner_schedule_id,
            escalation_policy_id: it.policy_id,
            severities: it.severities,
            pause_seconds: it.pause,
            resolve_after_seconds: it.resolve_after,
            period_seconds: it.heartbeat.map(super::Heartbeat::period),
            grace_seconds: it.heartbeat.map(super::Heartbeat::grace),
            created_at: it.created_at,
            rotated_at: it.rotated_at,
        }
    }
}

/// An integration as members see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct IntegrationView {
    /// What its admins have set.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub setting: IntegrationSetting,
    /// When something last came in, to the minute; of a heartbeat, when the last beat came.
    pub last_signal_at: Option<Timestamp>,
}

impl IntegrationView {
    pub(super) fn of(integration: &Integration, traffic: Option<&Traffic>) -> Self {
        Self { setting: integration.into(), last_signal_at: traffic.and_then(|traffic| traffic.last_signal_at) }
    }
}

/// One integration (contract, section 14). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetIntegration {
    /// The integration.
    pub id: IntegrationId,
}

impl GetIntegration {
    /// The question for this integration.
    #[must_use]
    pub const fn new(id: IntegrationId) -> Self {
        Self { id }
    }
}

impl Query for GetIntegration {
    type Caller = ByMember;
    type Reply = IntegrationView;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<IntegrationView, Error> {
        let integration = find(view.world, self.id)?;
        Ok(IntegrationView::of(&integration, view.world.traffic(self.id)?.as_ref()))
    }
}

/// All integrations, oldest first (contract, section 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListIntegrations;

impl Query for ListIntegrations {
    type Caller = ByMember;
    type Reply = Vec<IntegrationView>;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<IntegrationView>, Error> {
        let of = |it: &Integration| Ok(IntegrationView::of(it, view.world.traffic(it.id)?.as_ref()));
        view.world.integrations()?.iter().map(of).collect()
    }
}

cursors! {
    /// Where the list of an incident's signals goes on: the `nextCursor` of one reply is the `cursor` of the next query. Opaque.
    SignalCursor(SignalId) = "sig1_";
}

/// A signal as members see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct SignalView {
    /// The key that the sender gave it.
    pub dedup_key: DedupKey,
    /// Its incident.
    pub incident_id: IncidentId,
    /// The worst severity that it had.
    pub severity: Severity,
    /// What the last report said.
    pub summary: Summary,
    /// Where it comes from.
    pub source: AlertSource,
    /// When it was first reported.
    pub first_at: Timestamp,
    /// When it was last reported.
    pub last_at: Timestamp,
    /// How often it was reported as firing.
    pub count: u64,
    /// Since when it is over; `None` while it fires.
    pub resolved_at: Option<Timestamp>,
}

impl SignalView {
    fn of(signal: Signal, incident_id: IncidentId) -> Self {
        let Signal { dedup_key, severity, summary, source, first_at, last_at, count, resolved_at, .. } = signal;
        Self { dedup_key, incident_id, severity, summary, source, first_at, last_at, count, resolved_at }
    }
}

/// The signals of an incident, oldest first (contract, section 14); none of one that no integration opened. Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListSignals {
    /// The incident whose signals to list.
    pub incident_id: IncidentId,
    /// The most signals of the reply: 1–100, by default 20.
    pub limit: ListLimit,
    /// The `next_cursor` of the reply before, for the signals behind it; `None` begins with the oldest.
    pub cursor: Option<SignalCursor>,
}

impl ListSignals {
    /// The question for the first signals of this incident.
    #[must_use]
    pub fn new(incident_id: IncidentId) -> Self {
        Self { incident_id, limit: ListLimit::default(), cursor: None }
    }
}

/// The reply to [`ListSignals`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct SignalList {
    /// The signals, oldest first.
    pub signals: Vec<SignalView>,
    /// The cursor with which to ask for the rest; `None` when there is no more.
    pub next_cursor: Option<SignalCursor>,
}

impl Query for ListSignals {
    type Caller = ByMember;
    type Reply = SignalList;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<SignalList, Error> {
        view.world.incident(self.incident_id)?.ok_or_else(|| Error::not_found("incident"))?;
        let limit = self.limit.get();
        let after = self.cursor.map(SignalCursor::last_seen);
        let mut found = match view.world.group_of(self.incident_id)? {
            // One more than asked for tells whether the list goes on.
            Some(group) => view.world.signals(group.id, after, limit.saturating_add(1))?,
            None => Vec::new(),
        };
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| more).map(|last| SignalCursor::behind(last.id));
        let signals = found.into_iter().map(|signal| SignalView::of(signal, self.incident_id)).collect();
        Ok(SignalList { signals, next_cursor })
    }
}
