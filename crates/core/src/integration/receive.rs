//! Receiving alerts: a command for whoever holds a token, and what it does to signals, groups and incidents (contract, section 14).
//!
//! The last report of a key by time of arrival decides. A report that only counts writes one entity, the signal.

use std::time::Duration;

use super::flow::{self, Input, Step, Waits};
use super::{
    AlertGroup, AlertKey, FirstAlert, GroupState, Integration, IntegrationKind, SeverityOutcome, Signal, Storm, Traffic,
};
use crate::caller::ByAnybody;
use crate::code::Code;
use crate::command::{Command, Context, GlobalContext, seal};
use crate::error::Error;
use crate::id::{AlertGroupId, Id, IntegrationId, OrgId, SignalId};
use crate::incident::{self, Author, Incident, Severity};
use crate::secret::Secret;
use crate::text::{AlertSource, DedupKey, IncidentDescription, Summary, Title};
use crate::time::Timestamp;
use crate::words::words;
use crate::world::{Change, State, Write};

seal!(ReceiveAlert);

/// How long a group counts towards a storm, and how long a storm must be quiet to end.
const STORM_TIME: Duration = Duration::from_secs(600);
/// The most groups that begin in that time by themselves.
const BEFORE_STORM: usize = 60;
/// How exactly it is remembered when something last came in.
const LAST_SIGNAL: Duration = Duration::from_secs(60);

/// What a monitoring system says of one alert. Text of any length and form will do: it is made to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The key by which the sender tells its alerts apart.
    pub key: String,
    /// The key of those that are one incident; `None`: the alert is one by itself.
    pub group: Option<String>,
    /// How the alert is.
    pub state: AlertState,
    /// The id of this report, if the sender gives it one: it acts once.
    pub report: Option<String>,
}

/// How an alert is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertState {
    /// It fires.
    Firing(Box<Firing>),
    /// Somebody has acknowledged it, in the sender's system.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// What is said of an alert that fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// How bad it is.
    pub severity: Severity,
    /// The title of its incident, if it opens one: the first 100 characters.
    pub title: String,
    /// What it says: the first 1,024 characters.
    pub summary: String,
    /// Where it comes from: the first 255 characters.
    pub source: String,
    /// The description of its incident, if it opens one: the first 10,000 characters.
    pub description: String,
}

words! {
    /// What became of an alert.
    Received, "outcome", "must be an outcome of an alert" {
        /// `opened`: it opened an incident.
        Opened = "opened",
        /// `waits`: its incident is opened if it lasts.
        Waits = "waits",
        /// `joined`: it is a new signal of an incident.
        Joined = "joined",
        /// `counted`: it is a signal that there was.
        Counted = "counted",
        /// `over`: its signal is over.
        Over = "over",
        /// `acknowledged`: it acknowledged an incident.
        Acknowledged = "acknowledged",
        /// `dropped`: the integration drops alerts of its severity.
        Dropped = "dropped",
        /// `nothing`: there was nothing to acknowledge or to resolve.
        Nothing = "nothing",
        /// `repeated`: this very report came before.
        Repeated = "repeated",
    }
}

/// What a new signal is called, and the one before it with the same key.
#[derive(Clone)]
struct Named<'a> {
    key: AlertKey,
    earlier: Option<Signal>,
    dedup_key: &'a str,
    reports: Vec<u64>,
}

/// How many reports with an id are remembered for a key.
const REPORTS: usize = 16;

/// What is remembered of the id of a report.
fn report_hash(id: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = AlertKey::of(id).to_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The reports that are remembered after one more.
fn reported(signal: Option<&Signal>, report: Option<u64>) -> Vec<u64> {
    let mut reports = signal.map(|signal| signal.reports.clone()).unwrap_or_default();
    reports.extend(report);
    let many = reports.len().saturating_sub(REPORTS);
    reports.drain(..many);
    reports
}

/// Receives an alert from whoever holds the token of an integration (contract, section 14). Codes: `invalid_api_key` (no integration of
/// this kind has the token).
///
/// ```
/// use dogwatch_core::Secret;
/// use dogwatch_core::incident::Severity;
/// use dogwatch_core::integration::{Alert, AlertState, Firing, IntegrationKind, ReceiveAlert};
/// let firing = Firing {
///     severity: Severity::High,
///     title: "Disk full".to_owned(),
///     summary: "/var is full on db1".to_owned(),
///     source: "db1".to_owned(),
///     description: String::new(),
/// };
/// let state = AlertState::Firing(Box::new(firing));
/// let alert = Alert { key: "disk/db1".to_owned(), group: None, state, report: None };
/// let received = ReceiveAlert::new(Secret::new("…"), IntegrationKind::Generic, alert);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveAlert {
    /// The token of the integration.
    pub token: Secret,
    /// The kind that the integration must have.
    pub kind: IntegrationKind,
    /// The alert.
    pub alert: Alert,
}

impl ReceiveAlert {
    /// An alert for the integration of this kind that has the token.
    #[must_use]
    pub const fn new(token: Secret, kind: IntegrationKind, alert: Alert) -> Self {
        Self { token, kind, alert }
    }
}

impl Command for ReceiveAlert {
    type Caller = ByAnybody;
    type Reply = Received;
    const CODES: &'static [Code] = &[Code::InvalidApiKey];

    fn decide(self, _: ByAnybody, cx: &mut GlobalContext<'_>) -> Result<Received, Error> {
        // A heartbeat tells of beats, and alarms of CloudWatch come from a topic.
        if matches!(self.kind, IntegrationKind::Heartbeat | IntegrationKind::CloudWatch) {
            return Err(unknown());
        }
        within(cx, &self.token, self.kind, |cx, intake| intake.receive(cx, self.alert))
    }
}

fn unknown() -> Error {
    Error::refused(Code::InvalidApiKey, "no integration of this kind has the token")
}

/// Whether an integration takes what is sent to one of this kind.
fn takes(integration: &Integration, kind: IntegrationKind) -> bool {
    integration.is_live() && integration.kind == kind
}

/// The integration of a kind whose token this is, and its organization.
///
/// # Errors
/// `invalid_api_key` when there is none; `internal_error` when the state cannot be read.
pub fn holder(token: &Secret, kind: IntegrationKind, state: &dyn State) -> Result<(OrgId, IntegrationId), Error> {
    let (org, id) = state.integration_with(token.hash())?.ok_or_else(unknown)?;
    state.world(org).integration(id)?.filter(|it| takes(it, kind)).ok_or_else(unknown)?;
    Ok((org, id))
}

/// Lets something come in over the integration of this kind that has the token. Code: `invalid_api_key`.
pub(super) fn within<R>(
    cx: &mut GlobalContext<'_>,
    token: &Secret,
    kind: IntegrationKind,
    what: impl FnOnce(&mut Context<'_>, &mut Intake) -> Result<R, Error>,
) -> Result<R, Error> {
    let (org, id) = cx.global.integration_with(token.hash())?.ok_or_else(unknown)?;
    cx.within(org, |cx| {
        let integration = cx.world.integration(id)?.filter(|it| takes(it, kind)).ok_or_else(unknown)?;
        let mut intake = Intake::of(cx, integration)?;
        let reply = what(cx, &mut intake)?;
        intake.finish(cx);
        Ok(reply)
    })
}

/// An integration while something comes in over it, and what came in lately.
pub(super) struct Intake {
    pub(super) integration: Integration,
    before: Option<Traffic>,
    pub(super) traffic: Traffic,
}

impl Intake {
    pub(super) fn of(cx: &Context<'_>, integration: Integration) -> Result<Self, Error> {
        let before = cx.world.traffic(integration.id)?;
        let traffic = before.clone().unwrap_or_else(|| Traffic::none(integration.org_id, integration.id));
        Ok(Self { integration, before, traffic })
    }

    /// Writes what has changed of the traffic.
    pub(super) fn finish(self, cx: &mut Context<'_>) {
        if self.before.as_ref() != Some(&self.traffic) {
            cx.write(Write::Traffic(Box::new(Change { before: self.before, after: Some(self.traffic) })));
        }
    }

    fn author(&self) -> Author {
        Author::Integration(self.integration.id)
    }

    const fn waits(&self) -> Waits {
        Waits { pause: self.integration.pause, resolve_after: self.integration.resolve_after }
    }

    /// Whether a group is that of the last storm.
    fn is_storm(&self, group: &AlertGroup) -> bool {
        self.traffic.storm.is_some_and(|storm| group.key == storm.key())
    }

    /// Whether acknowledging an alert with this key acknowledges the incident of its group: whoever has acknowledged one alert of a storm knows
    /// nothing of the others. Clients of PagerDuty, which are those that acknowledge, have no groups but storms.
    fn acknowledges(&self, key: AlertKey, group: &AlertGroup) -> bool {
        let alone = group.key == key || self.integration.kind != IntegrationKind::PagerDuty;
        alone && !self.is_storm(group)
    }

    /// The waits of a group. That of a storm is not resolved before the storm has ended.
    fn waits_of(&self, group: &AlertGroup, now: Timestamp) -> Waits {
        let mut waits = self.waits();
        if let Some(storm) = self.traffic.storm.filter(|_| self.is_storm(group)) {
            let rest = storm.last.plus(STORM_TIME).since(now).as_millis().div_ceil(1_000);
            waits.resolve_after = waits.resolve_after.max(u32::try_from(rest).unwrap_or(u32::MAX));
        }
        waits
    }

    /// Receives an alert.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>, alert: Alert) -> Result<Received, Error> {
        if self.traffic.last_signal_at.is_none_or(|last| last.plus(LAST_SIGNAL) <= cx.now || cx.now < last) {
            self.traffic.last_signal_at = Some(cx.now);
        }
        let key = AlertKey::of(&alert.key);
        let found = match cx.world.newest_signal(self.integration.id, key)? {
            Some(signal) => Some((open_group(cx, self.integration.id, signal.group_key)?, signal)),
            None => None,
        };
        let report = alert.report.as_deref().map(report_hash);
        if let (Some(report), Some((_, signal))) = (report, &found)
            && signal.reports.contains(&report)
        {
            return Ok(Received::Repeated);
        }
        // A signal lasts as long as its group does.
        let (signal, group) = match found {
            Some((Some(group), signal)) if group.id == signal.group_id => (signal, group),
            earlier => {
                let earlier = earlier.map(|(_, signal)| signal);
                return match (alert.state, earlier) {
                    (AlertState::Firing(firing), earlier) => {
                        let reports = reported(earlier.as_ref(), report);
                        let named = Named { key, earlier, dedup_key: &alert.key, reports };
                        self.fire_anew(cx, &named, alert.group.as_deref(), *firing)
                    }
                    (AlertState::Resolved, Some(before)) if before.resolved_at.is_none() => {
                        let (at, reports) = (cx.now.max(before.last_at), reported(Some(&before), report));
                        let after = Signal { resolved_at: Some(at), reports, ..before.clone() };
                        write_signal(cx, Some(before), Some(after));
                        Ok(Received::Over)
                    }
                    (AlertState::Acknowledged | AlertState::Resolved, _) => Ok(Received::Nothing),
                };
            }
        };
        match (alert.state, signal.resolved_at) {
            (AlertState::Firing(firing), _) => self.fire_again(cx, signal, group, &firing, report),
            (AlertState::Resolved, None) => self.quiet(cx, signal, group, report),
            (AlertState::Acknowledged, None) => match group.state.incident().filter(|_| self.acknowledges(key, &group))
            {
                Some(id) if incident::acknowledge(cx, self.author(), id)? => Ok(Received::Acknowledged),
                _ => Ok(Received::Nothing),
            },
            (AlertState::Resolved | AlertState::Acknowledged, Some(_)) => Ok(Received::Nothing),
        }
    }

    /// A signal that there was, fires again.
    fn fire_again(
        &self,
        cx: &mut Context<'_>,
        before: Signal,
        group: AlertGroup,
        firing: &Firing,
        report: Option<u64>,
    ) -> Result<Received, Error> {
        let after = Signal {
            severity: before.severity.min(firing.severity),
            summary: fits(Summary::fitted(&firing.summary))?,
            source: fits(AlertSource::fitted(&firing.source))?,
            last_at: cx.now.max(before.last_at),
            count: before.count.saturating_add(1),
            resolved_at: None,
            reports: reported(Some(&before), report),
            ..before.clone()
        };
        let comes_back = before.resolved_at.is_some();
        if comes_back || after.severity < before.severity {
            let input = if comes_back { Input::Fire(after.severity) } else { Input::Worse(after.severity) };
            if let Some(id) = group.state.incident() {
                incident::raise(cx, self.author(), id, firing.severity)?;
            }
            let firing = group.firing.saturating_add(u32::from(comes_back));
            self.step(cx, group, firing, input)?;
        }
        write_signal(cx, Some(before), Some(after));
        Ok(Received::Counted)
    }

    /// A signal is over. Before its incident was opened, it is forgotten, but for the reports that have acted.
    fn quiet(
        &self,
        cx: &mut Context<'_>,
        before: Signal,
        group: AlertGroup,
        report: Option<u64>,
    ) -> Result<Received, Error> {
        let after = match group.state.incident() {
            Some(_) => {
                let (at, reports) = (cx.now.max(before.last_at), reported(Some(&before), report));
                Some(Signal { resolved_at: Some(at), reports, ..before.clone() })
            }
            None => forgotten(&before, report, cx.now),
        };
        write_signal(cx, Some(before), after);
        match group.firing.saturating_sub(1) {
            0 => self.step(cx, group, 0, Input::Quiet)?,
            firing => write_group(cx, Some(group.clone()), Some(AlertGroup { firing, ..group })),
        }
        Ok(Received::Over)
    }

    /// An alert that there was not fires: it joins an open group with its key, or begins one.
    fn fire_anew(
        &mut self,
        cx: &mut Context<'_>,
        named: &Named<'_>,
        group: Option<&str>,
        firing: Firing,
    ) -> Result<Received, Error> {
        // A heartbeat that is missed is never dropped: there is no other alert of its kind.
        let drops = self.integration.severities.outcome(firing.severity) == SeverityOutcome::Drop;
        if drops && self.integration.kind != IntegrationKind::Heartbeat {
            return Ok(Received::Dropped);
        }
        let mut group_key = group.map_or(named.key, AlertKey::of_group);
        let mut open = open_group(cx, self.integration.id, group_key)?;
        let mut storm = false;
        if open.is_none()
            && let Some(key) = self.storms(cx.now)
        {
            (storm, group_key) = (true, key);
            open = open_group(cx, self.integration.id, group_key)?;
        }
        let signal = |group_id, cx: &mut Context<'_>| -> Result<Signal, Error> {
            let id: SignalId = newer(cx, named.earlier.as_ref().map(|it| it.id));
            // Invariant [own-time].
            let at = id.made_at();
            Ok(Signal {
                id,
                org_id: cx.world.org_id(),
                integration_id: self.integration.id,
                key: named.key,
                dedup_key: fits(DedupKey::fitted(named.dedup_key))?,
                group_key,
                group_id,
                severity: firing.severity,
                summary: fits(Summary::fitted(&firing.summary))?,
                source: fits(AlertSource::fitted(&firing.source))?,
                first_at: at,
                last_at: at,
                count: 1,
                resolved_at: None,
                reports: named.reports.clone(),
            })
        };
        match open {
            Some(group) => {
                let signal = signal(group.id, cx)?;
                let incident = group.state.incident();
                if let Some(id) = incident {
                    let said = [signal.summary.as_str(), signal.dedup_key.as_str()];
                    let summary = said.into_iter().find(|text| !text.is_empty()).unwrap_or("unnamed");
                    incident::join(cx, self.author(), id, summary, firing.severity)?;
                }
                let firing = group.firing.saturating_add(1);
                self.step(cx, group, firing, Input::Fire(signal.severity))?;
                begin_signal(cx, named, signal);
                Ok(if incident.is_some() { Received::Joined } else { Received::Waits })
            }
            None => {
                let earlier = cx.world.newest_group(self.integration.id, group_key)?.map(|group| group.id);
                let id: AlertGroupId = newer(cx, earlier);
                let signal = signal(id, cx)?;
                let first = if storm { self.first_of_storm(firing.severity)? } else { self.first(firing)? };
                let (state, received) = match flow::begin(first, cx.now, self.waits()) {
                    Step::Become(state) => (state, Received::Waits),
                    Step::Open(first) => {
                        let incident_id = incident::open(cx, &self.integration, *first)?;
                        (GroupState::Open { incident_id }, Received::Opened)
                    }
                    Step::Stay | Step::Resolve(_) | Step::Forget => {
                        return Err(Error::broken("a group that does not begin"));
                    }
                };
                let (org_id, integration_id) = (cx.world.org_id(), self.integration.id);
                write_group(
                    cx,
                    None,
                    Some(AlertGroup { id, org_id, integration_id, key: group_key, firing: 1, state }),
                );
                begin_signal(cx, named, signal);
                Ok(received)
            }
        }
    }

    /// The group of the storm, if one that would begin now is one too many; else it is counted.
    fn storms(&mut self, now: Timestamp) -> Option<AlertKey> {
        let lately = |at: Timestamp| now < at.plus(STORM_TIME);
        self.traffic.begun.retain(|at| lately(*at));
        let under_way = self.traffic.storm.filter(|storm| lately(storm.last));
        if under_way.is_none() && self.traffic.begun.len() < BEFORE_STORM {
            self.traffic.begun.push(now);
            return None;
        }
        let storm = under_way.map_or(Storm { began: now, last: now }, |storm| Storm { last: now, ..storm });
        self.traffic.storm = Some(storm);
        Some(storm.key())
    }

    /// What the incident of a storm begins with.
    fn first_of_storm(&self, severity: Severity) -> Result<FirstAlert, Error> {
        let description = format!(
            "More than {BEFORE_STORM} incidents within ten minutes: every new alert is a signal of this one, until none has come \
             for ten minutes."
        );
        Ok(FirstAlert {
            title: fits(Title::fitted(&format!("Alert storm: {}", self.integration.name)))?,
            description: IncidentDescription::fitted(&description),
            severity,
        })
    }

    /// What an incident begins with that an alert opens.
    fn first(&self, firing: Firing) -> Result<FirstAlert, Error> {
        let Firing { severity, title, summary, description, .. } = firing;
        let unnamed = format!("Alert from {}", self.integration.name);
        let named = [title, summary, unnamed].into_iter().find_map(|text| Some((Title::fitted(&text)?, text)));
        let (title, text) = fits(named)?;
        // What does not fit into the title is not lost.
        let description = match text.chars().count() > Title::MAX && !description.contains(text.trim()) {
            true => format!("{}\n\n{description}", text.trim()),
            false => description,
        };
        let description = IncidentDescription::fitted(&description).filter(|text| !text.as_str().is_empty());
        Ok(FirstAlert { title, description, severity })
    }

    /// Gives an input to a group, and carries out what it does.
    fn step(&self, cx: &mut Context<'_>, before: AlertGroup, firing: u32, input: Input) -> Result<(), Error> {
        let state = match flow::step(&before.state, input, cx.now, self.waits_of(&before, cx.now)) {
            Step::Stay if firing == before.firing => return Ok(()),
            Step::Stay => before.state.clone(),
            Step::Become(state) => state,
            Step::Open(first) => GroupState::Open { incident_id: incident::open(cx, &self.integration, *first)? },
            Step::Forget => {
                write_group(cx, Some(before), None);
                return Ok(());
            }
            Step::Resolve(id) => {
                // What closes a group when its incident is resolved, by whomever, closes it here, too.
                let name = self.integration.name.clone();
                let now = cx.now;
                if incident::resolve(cx, self.author(), id, |incident| over(name.as_str(), incident, now))? {
                    return Ok(());
                }
                GroupState::Closed { incident_id: id }
            }
        };
        write_group(cx, Some(before.clone()), Some(AlertGroup { firing, state, ..before }));
        Ok(())
    }
}

/// Text that always fits, since nothing is too short for it.
fn fits<T>(text: Option<T>) -> Result<T, Error> {
    text.ok_or_else(|| Error::broken("a text that cannot be made to fit"))
}

/// An id that is newer than an earlier one, whatever the clock says.
fn newer<I: Id>(cx: &mut Context<'_>, earlier: Option<I>) -> I {
    match earlier {
        Some(earlier) => cx.ids.fresh_after(cx.now.max(earlier.made_at()), earlier.to_bytes()),
        None => cx.ids.fresh(cx.now),
    }
}

/// The newest group with this key, unless its incident is resolved.
fn open_group(cx: &Context<'_>, integration: IntegrationId, key: AlertKey) -> Result<Option<AlertGroup>, Error> {
    let newest = cx.world.newest_group(integration, key)?;
    Ok(newest.filter(|group| !matches!(group.state, GroupState::Closed { .. })))
}

/// What is kept of a signal that is forgotten: which reports have acted, if any carry an id.
fn forgotten(signal: &Signal, report: Option<u64>, now: Timestamp) -> Option<Signal> {
    let reports = reported(Some(signal), report);
    let (group_id, resolved_at) = (Signal::group_of_forgotten(signal.id), Some(now.max(signal.last_at)));
    (!reports.is_empty()).then(|| Signal { group_id, resolved_at, reports, ..signal.clone() })
}

/// Writes a signal that begins. It knows the reports of one with its key that was forgotten.
fn begin_signal(cx: &mut Context<'_>, named: &Named<'_>, signal: Signal) {
    if let Some(forgotten) = named.earlier.clone().filter(Signal::is_forgotten) {
        write_signal(cx, Some(forgotten), None);
    }
    write_signal(cx, None, Some(signal));
}

fn write_signal(cx: &mut Context<'_>, before: Option<Signal>, after: Option<Signal>) {
    cx.write(Write::Signal(Box::new(Change { before, after })));
}

fn write_group(cx: &mut Context<'_>, before: Option<AlertGroup>, after: Option<AlertGroup>) {
    cx.write(Write::AlertGroup(Box::new(Change { before, after })));
}

/// The note with which an integration resolves an incident.
fn over(name: &str, incident: &Incident, now: Timestamp) -> String {
    let minutes = now.since(incident.created_at()).as_secs() / 60;
    let lasted = match (minutes / 60 / 24, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    };
    format!("Resolved by {name} after {lasted}: all of its alerts are over.")
}

/// Lets a group go on that waits, if it is due at the instant of the context; `false` when nothing is due.
pub(crate) fn let_time_pass(cx: &mut Context<'_>, integration: IntegrationId, key: AlertKey) -> Result<bool, Error> {
    let due = |group: &AlertGroup| group.state.due().is_some_and(|due| due <= cx.now);
    let Some(group) = cx.world.newest_group(integration, key)?.filter(due) else { return Ok(false) };
    let integration = cx.world.integration(integration)?;
    let intake = Intake::of(cx, integration.ok_or_else(|| Error::broken("a group without its integration"))?)?;
    let firing = group.firing;
    intake.step(cx, group, firing, Input::Tick)?;
    Ok(true)
}

/// Closes the group of an incident that is resolved, by whomever.
pub(crate) fn incident_resolved(cx: &mut Context<'_>, incident: &Incident) -> Result<(), Error> {
    if incident.created_by.integration().is_none() {
        return Ok(());
    }
    let Some(before) = cx.world.group_of(incident.id)? else { return Ok(()) };
    let waits = Waits { pause: 0, resolve_after: 0 };
    if let Step::Become(state) = flow::step(&before.state, Input::Resolved, cx.now, waits) {
        write_group(cx, Some(before.clone()), Some(AlertGroup { firing: 0, state, ..before }));
    }
    Ok(())
}
