//! The auditor: reads what the engine shows after each step and compares it with the contract.
//!
//! It predicts nothing from commands. It follows every audit trail event by event, knows from the contract which event may come
//! next, and keeps account of what is owed: each page that a trail tells of must be one row of the outbox, and each row must be
//! delivered, in order. Whatever was once seen must never be gone, because only durable state can be seen.

mod alerts;
mod outbox;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dogwatch_core::escalation::{GetPolicy, ListPolicies, PolicyLayerView, Target};
use dogwatch_core::id::{
    AuditEventId, ContactMethodId, IncidentId, IntegrationId, NotificationId, PolicyId, ScheduleId,
};
use dogwatch_core::incident::{
    AuditEvent, AuditEventList, Author, Event, GetIncident, IncidentDetail, ListAuditEvents, Severity, Status,
};
use dogwatch_core::oncall::ResolveOnCall;
use dogwatch_core::outbox::{DeliveryState, ListPages, Notification, PageReason, Recipient};
use dogwatch_core::{Actor, Timestamp, UserId};
use dogwatch_store::Engine;

use super::{Monitors, Pages, Told};
use crate::render::whole_trail;
use alerts::{Before, audit_deeds, made_worse};

/// A breach of the contract, described for people.
pub type Complaint = String;

macro_rules! ensure {
    ($rule:expr, $($what:tt)+) => {
        if !$rule {
            return Err(format!($($what)+));
        }
    };
}
pub(super) use ensure;

/// The state of an escalation run, as the audit trail tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunPhase {
    /// The incident has no policy.
    None,
    /// The next layers are being looked at; no run is in this state between two steps.
    Firing,
    Waiting(Timestamp),
    Acknowledged,
    Exhausted,
    Resolved,
}

/// What the auditor knows of an incident.
#[derive(Debug)]
struct Tracked {
    policy: Option<PolicyId>,
    snapshot: Vec<PolicyLayerView>,
    trail: Vec<AuditEventId>,
    last_at: Timestamp,
    state: RunPhase,
    /// The number of layers of the snapshot that have fired or were skipped.
    passed: usize,
    current: Option<usize>,
    owner: Option<UserId>,
    acknowledged: Option<(Timestamp, Author)>,
    handed_off: Option<Timestamp>,
    /// When a worse alert took an acknowledgement back.
    worsened: Option<Timestamp>,
    resolved: bool,
    /// An acknowledgement or resolution of a waiting run was seen; `escalation_stopped` must come next.
    must_stop: bool,
    /// The last event was of a page whose contact method was removed.
    removed: bool,
    /// The integration that has opened it.
    integration: Option<IntegrationId>,
    /// The severity that it was last seen to have.
    severity: Option<Severity>,
    /// The last event, in the same step, was an update about a new alert.
    joined: bool,
}

/// A row of the outbox: one notification.
#[derive(Debug)]
struct Row {
    id: NotificationId,
    incident: Option<IncidentId>,
    at: Timestamp,
    /// The end of its lease, as far as the auditor knows; `None` when it is not held.
    held_until: Option<Timestamp>,
    delivered: bool,
    confirmed: bool,
}

impl Row {
    /// One that nobody holds.
    fn of(one: &Notification) -> Self {
        let (id, incident, at) = (one.id, one.incident(), one.created_at);
        Self { id, incident, at, held_until: None, delivered: false, confirmed: false }
    }
}

/// A page as its incident must show it.
type Shown = (UserId, PageReason, Timestamp, Vec<(ContactMethodId, Timestamp)>);

/// What is known of the inbox of a contact method.
#[derive(Debug, Default)]
struct Line {
    /// The first number that has not ended, as far as is known.
    next: u64,
    /// The number that is held or waits to be tried again, and until when.
    held: Option<(u64, Timestamp)>,
}

/// The instants at which the events of a step happen.
#[derive(Debug, Clone, Copy)]
pub struct Instants {
    /// The instant that the engine's clock shows.
    pub now: Timestamp,
    /// The instant for which a tick was called, if one was.
    pub tick: Option<Timestamp>,
    /// Whether there were several ticks, and faults may have kept them from some of what was due.
    pub faulty: bool,
}

/// The policy and the owner that an incident must start with, read before it is created.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// The policy that must be attached.
    pub policy: Option<PolicyId>,
    /// The layers of the policy, in position order.
    pub layers: Vec<PolicyLayerView>,
    /// The owner that the incident must have.
    pub owner: Option<UserId>,
}

/// Follows audit trails and the outbox, step by step.
#[derive(Debug)]
pub struct Auditor {
    admin: Actor,
    /// The users who are members now.
    pub members: BTreeSet<UserId>,
    everybody: BTreeSet<UserId>,
    incidents: BTreeMap<IncidentId, Tracked>,
    /// How many pages trails tell of that were not seen in the outbox yet.
    owed: BTreeMap<(UserId, IncidentId, PageReason), i64>,
    /// The inbox of each user, with the rows that have left it, oldest first.
    inboxes: BTreeMap<UserId, Vec<Row>>,
    /// The contact methods that users have added, and how long after a page each is told; the built-in one is told at once.
    pub rules: BTreeMap<UserId, Vec<(ContactMethodId, Duration)>>,
    /// The pages that each incident must show: user, reason, when, and the methods with the instants at which they are due.
    shown: BTreeMap<IncidentId, Vec<Shown>>,
    /// What has become of a delivery, once it has ended.
    ended: BTreeMap<NotificationId, DeliveryState>,
    /// What is known of the inboxes of contact methods.
    lines: BTreeMap<Recipient, Line>,
    /// Rows that were superseded before they could be seen.
    hidden: BTreeSet<NotificationId>,
    /// What the webhook of the organization was told.
    pub told: Told,
    /// What the status pages of the organization have shown.
    pub pages_seen: Pages,
    /// What monitors have reported.
    pub monitors: Monitors,
    /// The number of pages that trails tell of.
    pub pages: u64,
}

impl Auditor {
    /// An auditor that reads as this admin.
    #[must_use]
    pub fn new(admin: Actor) -> Self {
        Self {
            admin,
            members: BTreeSet::new(),
            everybody: BTreeSet::new(),
            incidents: BTreeMap::new(),
            owed: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            rules: BTreeMap::new(),
            shown: BTreeMap::new(),
            ended: BTreeMap::new(),
            lines: BTreeMap::new(),
            hidden: BTreeSet::new(),
            told: Told::default(),
            pages_seen: Pages::default(),
            monitors: Monitors::default(),
            pages: 0,
        }
    }

    /// Notes that a user has joined.
    pub fn joined(&mut self, user: UserId) {
        self.members.insert(user);
        self.everybody.insert(user);
    }

    /// Whether an incident was audited before.
    #[must_use]
    pub fn knows(&self, id: IncidentId) -> bool {
        self.incidents.contains_key(&id)
    }

    /// The incidents that are not resolved.
    #[must_use]
    pub fn open_incidents(&self) -> Vec<IncidentId> {
        self.incidents.iter().filter(|(_, tracked)| !tracked.resolved).map(|(id, _)| *id).collect()
    }

    /// The incidents whose current layer has timed out at an instant.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<IncidentId> {
        let due = |tracked: &Tracked| matches!(tracked.state, RunPhase::Waiting(due) if due <= now);
        self.incidents.iter().filter(|(_, tracked)| due(tracked)).map(|(id, _)| *id).collect()
    }

    /// The policy and the owner that an incident would start with if it were created now.
    pub fn opening(
        &self,
        engine: &Engine,
        named: Option<PolicyId>,
        schedule: Option<ScheduleId>,
        owner: Option<UserId>,
    ) -> Opening {
        self.opening_at(engine, named, schedule, owner, engine.now())
    }

    /// As [`Auditor::opening`], if it were created at an instant.
    fn opening_at(
        &self,
        engine: &Engine,
        named: Option<PolicyId>,
        schedule: Option<ScheduleId>,
        owner: Option<UserId>,
        at: Timestamp,
    ) -> Opening {
        let owner = owner.or_else(|| self.on_call(engine, schedule?, at).first().copied());
        let policies = engine.query(&ListPolicies, &self.admin).unwrap();
        let layers =
            |id| engine.query(&GetPolicy { id }, &self.admin).ok().and_then(|policy| policy.layers).unwrap_or_default();
        let policy = named.or_else(|| {
            let target = Target::Schedule(schedule?);
            let mut targeting = Vec::new();
            for policy in &policies {
                let found = layers(policy.id).into_iter().filter(|layer| layer.target == target);
                targeting.extend(found.map(|layer| (layer.position, policy.created_at, policy.id)));
            }
            targeting.into_iter().min().map(|(.., id)| id)
        });
        Opening { policy, layers: policy.map(layers).unwrap_or_default(), owner }
    }

    /// Begins to follow an incident.
    pub fn opened(&mut self, id: IncidentId, opening: Opening) {
        let state = if opening.policy.is_some() { RunPhase::Firing } else { RunPhase::None };
        let tracked = Tracked {
            policy: opening.policy,
            snapshot: opening.layers,
            trail: Vec::new(),
            last_at: Timestamp::MIN,
            state,
            passed: 0,
            current: None,
            owner: opening.owner,
            acknowledged: None,
            handed_off: None,
            worsened: None,
            resolved: false,
            must_stop: false,
            removed: false,
            integration: None,
            severity: None,
            joined: false,
        };
        self.incidents.insert(id, tracked);
    }

    fn on_call(&self, engine: &Engine, schedule: ScheduleId, at: Timestamp) -> Vec<UserId> {
        match engine.query(&ResolveOnCall { schedule_id: schedule, at }, &self.admin) {
            Ok(resolved) => resolved.on_call.paging_targets.iter().map(|target| target.user_id).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// The users whom a target reaches at an instant: those on call then, or those named, as far as they are members.
    fn reached(&self, engine: &Engine, target: &Target, at: Timestamp) -> Vec<UserId> {
        let users = match target {
            Target::Schedule(schedule) => self.on_call(engine, *schedule, at),
            Target::Users(users) => users.as_slice().to_vec(),
        };
        users.into_iter().filter(|user| self.members.contains(user)).collect()
    }

    /// Audits some incidents, the whole outbox, and the status pages.
    pub fn audit(&mut self, engine: &Engine, touched: &[IncidentId], instants: Instants) -> Result<(), Complaint> {
        let touched = self.follow_monitors(engine, touched, instants, false)?;
        self.audit_incidents(engine, &touched, instants)?;
        self.pages_seen.audit(engine, &self.admin, instants, false)
    }

    fn audit_incidents(
        &mut self,
        engine: &Engine,
        touched: &[IncidentId],
        instants: Instants,
    ) -> Result<(), Complaint> {
        for id in touched {
            let detail = engine.query(&GetIncident { id: *id }, &self.admin);
            let mut detail = detail.map_err(|error| format!("incident {id} is gone: {error}"))?;
            // An incident shows the end of its trail only.
            let nothing = || AuditEventList { events: Vec::new(), next_cursor: None };
            let page = |query: &ListAuditEvents| engine.query(query, &self.admin).unwrap_or_else(|_| nothing());
            detail.audit_trail = whole_trail(*id, page);
            self.follow(engine, *id, &detail, instants).map_err(|complaint| {
                let trail: Vec<_> = detail.audit_trail.iter().map(|event| (event.at(), &event.event)).collect();
                format!("incident {id}: {complaint}\n{instants:?}\n{trail:#?}\n{:#?}", self.incidents.get(id))
            })?;
        }
        self.audit_outbox(engine)
    }

    /// Audits all incidents, the outbox, the status pages, and the next deadline.
    pub fn audit_all(&mut self, engine: &Engine, instants: Instants) -> Result<(), Complaint> {
        let all: Vec<_> = self.incidents.keys().copied().collect();
        let all = self.follow_monitors(engine, &all, instants, true)?;
        self.audit_incidents(engine, &all, instants)?;
        self.pages_seen.audit(engine, &self.admin, instants, true)?;
        self.audit_deadline(engine)
    }

    /// Checks that nothing is overdue after a tick that worked.
    pub fn audit_punctuality(&self, tick: Timestamp) -> Result<(), Complaint> {
        let late = self.due(tick);
        ensure!(late.is_empty(), "still due after a tick at {tick}: {late:?}");
        let late = self.pages_seen.due(tick);
        ensure!(late.is_empty(), "still due after a tick at {tick}: {late:?}");
        self.monitors_punctual(tick)
    }

    /// Follows the audit trail of an incident from where it ended when it was last looked at.
    fn follow(
        &mut self,
        engine: &Engine,
        id: IncidentId,
        detail: &IncidentDetail,
        instants: Instants,
    ) -> Result<(), Complaint> {
        let Some(mut tracked) = self.incidents.remove(&id) else { return Err("it came from nowhere".to_owned()) };
        let seen = tracked.trail.len();
        let prefix: Vec<_> = detail.audit_trail.iter().take(seen).map(|event| event.id).collect();
        let news: Vec<&AuditEvent> = detail.audit_trail.iter().skip(seen).collect();
        let before = Before { severity: tracked.severity, acknowledged: tracked.acknowledged.is_some() };
        tracked.joined = false;
        let mut followed = Ok(());
        if prefix == tracked.trail {
            for event in news.iter().copied() {
                followed = self.next_event(engine, id, &mut tracked, event, instants);
                if followed.is_err() {
                    break;
                }
            }
        } else {
            followed = Err("a part of the audit trail is gone".to_owned());
        }
        let mut compared = followed.and_then(|()| compare(&tracked, detail));
        if let (Ok(()), Some(deeds)) = (&compared, self.monitors.deeds.get(&id)) {
            compared = audit_deeds(deeds, before, &news, detail);
        }
        tracked.severity = Some(detail.incident.severity);
        self.pages_seen.note(&detail.incident);
        self.incidents.insert(id, tracked);
        compared.and_then(|()| self.compare_pages(engine, id, instants.now))
    }

    /// Checks that each page of an incident has the deliveries that were to be, and that what has ended stays so.
    fn compare_pages(&mut self, engine: &Engine, id: IncidentId, now: Timestamp) -> Result<(), Complaint> {
        let pages = engine.query(&ListPages::new(id), &self.admin).map_err(|error| error.to_string())?.pages;
        let mut got: Vec<Shown> = Vec::new();
        for page in pages {
            let mut due: Vec<_> = page.deliveries.iter().map(|one| (one.contact_method_id, one.due_at)).collect();
            due.sort_by_key(|(method, due)| (*due, *method));
            got.push((page.user_id, page.reason, page.created_at, due));
            for one in page.deliveries {
                let before = self.ended.get(&one.id);
                ensure!(before.is_none_or(|end| *end == one.state), "{} was {before:?}, and is {}", one.id, one.state);
                if one.state != DeliveryState::Waiting {
                    self.ended.insert(one.id, one.state);
                }
            }
        }
        let mut expected = self.shown.get(&id).cloned().unwrap_or_default();
        // An incident shows its last 200 pages.
        expected.drain(..expected.len().saturating_sub(200));
        // What has ended is dropped 30 days later.
        let month = Timestamp::clamped(now.as_millis() - 29 * 24 * 3_600_000);
        got.retain(|(_, _, at, _)| *at > month);
        expected.retain(|(_, _, at, _)| *at > month);
        got.sort();
        expected.sort();
        ensure!(got == expected, "its pages are {got:?}, and should be {expected:?}");
        Ok(())
    }

    fn next_event(
        &mut self,
        engine: &Engine,
        id: IncidentId,
        tracked: &mut Tracked,
        event: &AuditEvent,
        instants: Instants,
    ) -> Result<(), Complaint> {
        let (what, actor) = (event.event.as_str(), event.actor_id);
        ensure!(tracked.trail.last().is_none_or(|last| *last < event.id), "{what}: ids do not ascend");
        let is_stop = event.event == Event::EscalationStopped;
        ensure!(tracked.must_stop == is_stop, "{what}: escalation must stop once, when it was waiting");
        let by_time = matches!(
            event.event,
            Event::LayerPaged { .. }
                | Event::LayerSkipped { .. }
                | Event::LayerTimedOut { .. }
                | Event::EscalationExhausted
                | Event::PageUndeliverable { .. }
                | Event::PageDelivered { .. }
                | Event::PageFailed { .. }
        );
        ensure!(actor.is_none() == by_time, "{what}: the actor is {actor:?}");
        let integration = actor.and_then(Author::integration);
        ensure!(integration.is_none() || integration == tracked.integration, "{what}: the actor is {actor:?}");
        // Events that time causes, or an integration that waits for it, happen at the instant of the tick; all others, and those of a run
        // that starts with somebody's incident, at the clock's.
        let starting = tracked.current.is_none() && tracked.integration.is_none();
        let instant = if (by_time && !starting) || integration.is_some() {
            instants.tick.unwrap_or(instants.now)
        } else {
            instants.now
        };
        let at = instant.max(tracked.last_at);
        // Whoever claims what is behind a contact method that was removed is not told.
        let joined = integration.is_some() && matches!(event.event, Event::UpdatePosted { .. });
        let removed = match &event.event {
            Event::PageFailed { reason, .. } => reason == "the contact method was removed",
            Event::PageUndeliverable { .. } => tracked.removed,
            _ => false,
        };
        tracked.removed = removed;
        let at = if removed && (tracked.last_at..=at).contains(&event.at()) { event.at() } else { at };
        ensure!(event.at() == at, "{what}: happened at {}, and should have at {at}", event.at());
        match &event.event {
            Event::IncidentCreated { policy_id: policy, owner_id: owner, .. } => {
                ensure!(tracked.trail.is_empty(), "created twice");
                ensure!(integration == tracked.integration, "created by {actor:?}");
                ensure!(*policy == tracked.policy, "policy {policy:?}, and should be {:?}", tracked.policy);
                ensure!(*owner == tracked.owner, "owner {owner:?}, and should be {:?}", tracked.owner);
            }
            Event::LayerPaged { layer_id: layer, position, user_ids: users } => {
                let (place, reached) = self.next_layer(engine, tracked, (*layer, *position), instant)?;
                ensure!(*users == reached && !users.is_empty(), "paged {users:?}, and should have paged {reached:?}");
                let minutes = tracked.snapshot[place].ack_timeout.minutes();
                let wait = std::time::Duration::from_secs(u64::from(minutes) * 60);
                tracked.current = Some(place);
                tracked.state = RunPhase::Waiting(instant.plus(wait));
                users.iter().for_each(|user| self.owe(*user, id, PageReason::Escalation, at));
            }
            Event::LayerSkipped { layer_id: layer, position } => {
                let (_, reached) = self.next_layer(engine, tracked, (*layer, *position), instant)?;
                ensure!(reached.is_empty(), "skipped a layer that reaches {reached:?}");
            }
            Event::LayerTimedOut { layer_id: layer, position } => {
                let tick = instants.tick.ok_or("a layer timed out without a tick")?;
                let RunPhase::Waiting(due) = tracked.state else {
                    return Err(format!("a layer timed out in a run that is {:?}", tracked.state));
                };
                ensure!(due <= tick, "timed out at {tick}, but was due at {due}");
                let current = tracked.current.map(|place| &tracked.snapshot[place]);
                let current = current.map(|layer| (layer.id, layer.position.get()));
                ensure!(current == Some((*layer, *position)), "{position} timed out, but {current:?} was waiting");
                tracked.state = RunPhase::Firing;
            }
            Event::EscalationExhausted => {
                ensure!(tracked.state == RunPhase::Firing, "exhausted while {:?}", tracked.state);
                let (passed, all) = (tracked.passed, tracked.snapshot.len());
                ensure!(passed == all, "exhausted after {passed} of {all} layers");
                tracked.state = RunPhase::Exhausted;
            }
            Event::EscalationStopped => tracked.must_stop = false,
            Event::IncidentAcknowledged { .. } => {
                ensure!(tracked.acknowledged.is_none() && !tracked.resolved, "acknowledged a second time");
                tracked.acknowledged = actor.map(|actor| (at, actor));
                tracked.must_stop = matches!(tracked.state, RunPhase::Waiting(_));
                if tracked.state != RunPhase::None {
                    tracked.state = RunPhase::Acknowledged;
                }
            }
            Event::IncidentHandedOff { previous_owner_id: previous, new_owner_id: new } => {
                ensure!(!tracked.resolved, "handed off after it was resolved");
                ensure!(*previous == tracked.owner, "previous owner {previous:?}, but it was {:?}", tracked.owner);
                tracked.owner = Some(*new);
                tracked.handed_off = Some(at);
                tracked.acknowledged = None;
                self.owe(*new, id, PageReason::Handoff, at);
                if tracked.state != RunPhase::None {
                    // A new pass begins on the current layer: those behind it that reached nobody are looked at again.
                    tracked.passed = tracked.current.map_or(tracked.passed, |place| place + 1);
                    tracked.state = tracked.current.map_or(RunPhase::Exhausted, |place| {
                        let minutes = tracked.snapshot[place].ack_timeout.minutes();
                        RunPhase::Waiting(instant.plus(std::time::Duration::from_secs(u64::from(minutes) * 60)))
                    });
                }
            }
            Event::StatusChanged { to: Status::Resolved, .. } => {
                tracked.resolved = true;
                tracked.must_stop = matches!(tracked.state, RunPhase::Waiting(_));
                if tracked.state != RunPhase::None {
                    tracked.state = RunPhase::Resolved;
                }
            }
            Event::IncidentEdited { fields } if integration.is_some() => made_worse(tracked, fields, at)?,
            _ => {}
        }
        tracked.joined = joined;
        tracked.trail.push(event.id);
        tracked.last_at = at;
        Ok(())
    }

    /// The place of the layer whose turn it is, if it is the one that the trail names; and the users whom it reaches.
    fn next_layer(
        &self,
        engine: &Engine,
        tracked: &mut Tracked,
        named: (dogwatch_core::id::PolicyLayerId, u32),
        instant: Timestamp,
    ) -> Result<(usize, Vec<UserId>), Complaint> {
        ensure!(tracked.state == RunPhase::Firing, "a layer fired in a run that is {:?}", tracked.state);
        let place = tracked.passed;
        let next = tracked.snapshot.get(place).ok_or("a layer fired behind the last")?;
        let turn = (next.id, next.position.get());
        ensure!(turn == named, "layer {named:?} fired, but it was the turn of {turn:?}");
        tracked.passed += 1;
        Ok((place, self.reached(engine, &next.target, instant)))
    }
}

/// Checks that the incident shows what its audit trail tells.
fn compare(tracked: &Tracked, detail: &IncidentDetail) -> Result<(), Complaint> {
    ensure!(!tracked.must_stop, "escalation did not stop");
    ensure!(tracked.state != RunPhase::Firing, "a run got stuck between two layers");
    let shown = &detail.incident;
    let position = tracked.current.map(|place| tracked.snapshot[place].position.get());
    let due = match tracked.state {
        RunPhase::Waiting(due) => Some(due),
        _ => None,
    };
    let expected = (tracked.policy, position, due, tracked.owner, tracked.acknowledged, tracked.resolved);
    let got = (
        shown.escalation_policy_id,
        shown.current_layer_position,
        shown.next_escalation_at,
        shown.owner_id,
        shown.acknowledged_at.zip(shown.acknowledged_by),
        shown.resolved_at.is_some(),
    );
    ensure!(got == expected, "it shows {got:?}, and its trail tells {expected:?}");
    Ok(())
}
