//! Alerts in: the operations, and both sides of each; the model is in [`model`] and [`receive`]. What comes in is compared with the
//! rules in memory in `store/tests/alerts.rs`, too.

pub mod model;
pub mod ops;
pub mod receive;

use std::time::Duration;

use dogwatch_core::id::{Id, IntegrationId};
use dogwatch_core::incident::{ListIncidents, ListLimit, ListUpdates, Severity};
use dogwatch_core::integration::{
    Alert, AlertState, ConfirmTopic, CreateIntegration, DeleteIntegration, EditIntegration, Firing, GetIntegration,
    Heartbeat, IntegrationKind, IntegrationView, ListIntegrations, ListSignals, NewToken, ReceiveBeat,
    ReceiveFromTopic, RotateIntegrationToken, Settings, Severities, SeverityOutcome, SignalCursor, SignalView,
    SomeSeverities,
};
use dogwatch_core::{Actor, Patch, Secret};
use dogwatch_store::Engine;

use super::Org;
use crate::fixture::{did, valid};
use crate::model::{By, Expected, Millis};
use crate::ops::{Field, Pick};
use crate::run::{Run, agree, millis};

pub use model::IntegrationModel;
use model::{CLOUDWATCH, HEARTBEAT, IntegrationInput, PAGERDUTY};
pub use ops::IntegrationOp;
use ops::{Input, Report, With};
pub(crate) use ops::{alert_operation, beginning, operation};
use receive::{Fire, Says};

/// Topics over which alarms come.
const TOPICS: [&str; 2] = ["arn:aws:sns:eu-west-1:1:alarms", "arn:aws:sns:eu-west-1:1:others"];

/// An alert that fires.
#[must_use]
pub fn firing(key: &str, group: Option<&str>, severity: Severity, summary: &str) -> Alert {
    let (title, source) = (format!("{key} is in trouble"), "monitor".to_owned());
    let firing = Firing { severity, title, summary: summary.to_owned(), source, description: summary.to_owned() };
    Alert {
        key: key.to_owned(),
        group: group.map(str::to_owned),
        state: AlertState::Firing(Box::new(firing)),
        report: None,
    }
}

/// An alert that is over.
#[must_use]
pub fn over(key: &str) -> Alert {
    Alert { key: key.to_owned(), group: None, state: AlertState::Resolved, report: None }
}

pub(super) fn fill(engine: &Engine, admin: &Actor) {
    let kind = IntegrationKind::Alertmanager;
    let add = |name: &str, kind, settings| did(engine, CreateIntegration { name: valid(name), kind, settings }, admin);
    let at_once = Settings { resolve_after_seconds: 0, ..Settings::default() };
    let receive = |token: &Secret, alerts| engine.submit_alerts(token, kind, alerts).unwrap().wait().unwrap();
    let token = add("Prometheus", kind, Settings::default()).token;
    let long = "The disk is full, and so is the one beside it. ".repeat(20);
    let alerts = vec![
        firing("db1", Some("disk"), Severity::High, &long),
        firing("db2", Some("disk"), Severity::Critical, "db2"),
        over("db2"),
        firing("db1", Some("disk"), Severity::Low, &long),
        firing("load", None, Severity::Low, "load"),
        over("load"),
    ];
    receive(&token, alerts);
    // One whose incident waits to be opened, and one whose incident is resolved.
    let pausing = Settings { pause_seconds: 600, ..Settings::default() };
    receive(&add("Slow", kind, pausing).token, vec![firing("queue", None, Severity::Medium, &long)]);
    let gone = add("Gone", kind, at_once);
    receive(&gone.token, vec![firing("old", None, Severity::High, "old"), over("old")]);
    did(engine, DeleteIntegration::new(gone.integration.setting.id), admin);
    let beats = Heartbeat::new(i64::from(u16::MAX), 60).unwrap();
    let heartbeat = Settings { heartbeat: Some(beats), ..Settings::default() };
    let token = add("Backup", IntegrationKind::Heartbeat, heartbeat).token;
    engine.submit_beat(&token).unwrap().wait().unwrap();
    debug_assert!(engine.next_deadline().unwrap().is_some_and(|due| due < engine.now().plus(Duration::from_secs(700))));
}

fn shown(view: &IntegrationView) -> String {
    let it = &view.setting;
    let drops = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low]
        .map(|severity| it.severities.outcome(severity) == SeverityOutcome::Drop);
    let (component, schedule) =
        (it.component_id.map(|id| id.to_string()), it.owner_schedule_id.map(|id| id.to_string()));
    let policy = it.escalation_policy_id.map(|id| id.to_string());
    let beats = it.period_seconds.zip(it.grace_seconds);
    let (pause, quiet, created) = (it.pause_seconds, it.resolve_after_seconds, millis(it.created_at));
    format!(
        "{} {:?} {} {component:?} {schedule:?} {policy:?} {drops:?} {pause} {quiet} {beats:?} {created}",
        it.id,
        it.name.as_str(),
        it.kind,
    )
}

fn shown_signal(it: &SignalView, model: &Org) -> (Millis, String) {
    let (first, last, over) = (millis(it.first_at), millis(it.last_at), it.resolved_at.map(millis));
    // The contract does not say by which key a heartbeat is known, nor what its signal says.
    let beats =
        model.incidents.iter().find(|one| one.id == it.incident_id.to_string()).is_some_and(
            |incident| matches!(incident.by, By::Integration(of) if model.integrations[of].kind == HEARTBEAT),
        );
    let (key, summary, source) = (it.dedup_key.as_str(), it.summary.as_str(), it.source.as_str());
    let (key, summary, source) = if beats { ("", "", "") } else { (key, summary, source) };
    let (severity, count) = (it.severity, it.count);
    let text = format!("{key:?} {severity} {summary:?} {source:?} from {first} to {last} {count} times, over {over:?}");
    (first, text)
}

fn outcome(drops: Option<bool>) -> Option<SeverityOutcome> {
    drops.map(|drops| if drops { SeverityOutcome::Drop } else { SeverityOutcome::Incident })
}

fn patch_of<T>(field: &Field<T>) -> Patch<T>
where
    T: Clone,
{
    match field {
        Field::Keep => Patch::Keep,
        Field::Clear => Patch::Clear,
        Field::Set(value) => Patch::Set(value.clone()),
    }
}

fn found<T>(field: &Field<(T, Option<usize>)>) -> (Field<T>, Field<Option<usize>>)
where
    T: Clone,
{
    match field {
        Field::Keep => (Field::Keep, Field::Keep),
        Field::Clear => (Field::Clear, Field::Clear),
        Field::Set((id, place)) => (Field::Set(id.clone()), Field::Set(*place)),
    }
}

impl Report {
    fn alert(&self) -> Alert {
        let state = match &self.says {
            Says::Firing(fire) => AlertState::Firing(Box::new(Firing {
                severity: Severity::ALL[fire.severity],
                title: fire.title.clone(),
                summary: fire.summary.clone(),
                source: fire.source.clone(),
                description: fire.description.clone(),
            })),
            Says::Acknowledged => AlertState::Acknowledged,
            Says::Resolved => AlertState::Resolved,
        };
        Alert { key: self.key.clone(), group: self.group.clone(), state, report: self.id.clone() }
    }
}

impl Run<'_> {
    fn integration(&self, pick: Pick, org: usize) -> (IntegrationId, Option<usize>) {
        let unknown = IntegrationId::from_bytes([0xEE; 16]);
        let (id, index) = self.resolve(pick, org, |org| &org.integrations, |one| &one.id, unknown);
        (valid(&id), index)
    }

    /// An edit with what an integration shall have, and the model's side of it.
    fn integration_input(&self, id: IntegrationId, input: &Input, org: usize) -> (EditIntegration, IntegrationInput) {
        fn field<T>(field: &Field<Pick>, find: impl Fn(Pick) -> (T, Option<usize>)) -> Field<(T, Option<usize>)> {
            match field {
                Field::Keep => Field::Keep,
                Field::Clear => Field::Clear,
                Field::Set(pick) => Field::Set(find(*pick)),
            }
        }
        let (component_id, component) = found(&field(&input.component, |pick| {
            let (id, place) = self.component(pick, org);
            (valid(&id), place)
        }));
        let (schedule_id, schedule) = found(&field(&input.schedule, |pick| self.schedule(pick, org)));
        let (policy_id, policy) = found(&field(&input.policy, |pick| self.policy(pick, org)));
        let [critical, high, medium, low] = input.drops.map(outcome);
        let edit = EditIntegration {
            component_id: patch_of(&component_id),
            owner_schedule_id: patch_of(&schedule_id),
            escalation_policy_id: patch_of(&policy_id),
            severities: SomeSeverities { critical, high, medium, low },
            pause_seconds: input.pause,
            resolve_after_seconds: input.quiet,
            period_seconds: input.period,
            grace_seconds: input.grace,
            ..EditIntegration::new(id)
        };
        let Input { drops, pause, quiet, period, grace, .. } = *input;
        (edit, IntegrationInput { component, schedule, policy, drops, pause, quiet, period, grace })
    }

    pub(super) fn integration_op(&mut self, op: &IntegrationOp, org: usize, me: usize, actor: &Actor) {
        match op {
            IntegrationOp::Create { name, kind, input } => {
                self.create_integration(op, (name, *kind, input), (org, me, actor));
            }
            IntegrationOp::Edit { integration, name, input } => {
                let (id, index) = self.integration(*integration, org);
                let (edit, new) = self.integration_input(id, input, org);
                let expected = self.orgs[org].edit_integration(me, index, name.as_ref(), &new);
                let edit = EditIntegration { name: name.as_deref().map(valid), ..edit };
                if let Some((view, index)) = agree(self.subject().execute(edit, actor), expected, op) {
                    self.compare_integration(org, index, &view);
                }
            }
            IntegrationOp::Delete { integration } => {
                let (id, index) = self.integration(*integration, org);
                let expected = self.orgs[org].delete_integration(me, index);
                agree(self.subject().execute(DeleteIntegration::new(id), actor), expected, op);
            }
            IntegrationOp::Rotate { integration } => {
                let (id, index) = self.integration(*integration, org);
                let expected = self.orgs[org].rotate_integration(me, index);
                let rotated = self.subject().execute(RotateIntegrationToken::new(id), actor);
                if let Some((made, index)) = agree(rotated, expected, op) {
                    self.learn_token(org, index, &made);
                }
            }
            IntegrationOp::Look { integration } => {
                let (id, index) = self.integration(*integration, org);
                let model = &self.orgs[org];
                let expected = model.actor(me).and_then(|_| model.integration_here(index));
                if let Some((view, index)) = agree(self.subject().query(&GetIntegration::new(id), actor), expected, op)
                {
                    self.compare_integration(org, index, &view);
                }
            }
            _ => self.reported(op),
        }
        self.compare_deadline();
    }

    fn create_integration(
        &mut self,
        op: &IntegrationOp,
        (name, kind, input): (&str, usize, &Input),
        (org, me, actor): (usize, usize, &Actor),
    ) {
        let beats = input.period.map(|period| Heartbeat::new(period, input.grace.unwrap_or(0)));
        // Beats that cannot be are refused before they get to a command.
        let Ok(heartbeat) = beats.transpose() else { return };
        let input = Input { grace: input.grace.filter(|_| heartbeat.is_some()), ..input.clone() };
        let (edit, new) = self.integration_input(Id::from_bytes([0; 16]), &input, org);
        let now = self.now();
        let expected = self.orgs[org].create_integration(me, now, (name, kind), &new);
        let usual = Settings::default();
        let settings = Settings {
            component_id: edit.component_id.apply(None),
            owner_schedule_id: edit.owner_schedule_id.apply(None),
            escalation_policy_id: edit.escalation_policy_id.apply(None),
            severities: edit.severities.over(Severities::ALL),
            pause_seconds: input.pause.unwrap_or(usual.pause_seconds),
            resolve_after_seconds: input.quiet.unwrap_or(usual.resolve_after_seconds),
            heartbeat,
        };
        let create = CreateIntegration { name: valid(name), kind: IntegrationKind::ALL[kind], settings };
        if let Some((made, index)) = agree(self.subject().execute(create, actor), expected, op) {
            self.orgs[org].integrations[index].id = made.integration.setting.id.to_string();
            self.learn_token(org, index, &made);
        }
    }

    fn learn_token(&mut self, org: usize, index: usize, made: &NewToken) {
        let token = made.token.reveal();
        assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let mut all = self.orgs.iter().flat_map(|org| &org.integrations).flat_map(|one| &one.tokens);
        assert!(all.all(|other| other != token), "a token is made once");
        self.orgs[org].integrations[index].tokens.push(token.to_owned());
        self.compare_integration(org, index, &made.integration);
    }

    /// The token that somebody presents, the kind over which they do, and the organization and the place of the integration that it is for.
    fn presented(&self, with: With, kind: Option<usize>) -> (Secret, usize, Expected<(usize, usize)>) {
        let all = &self.orgs[with.integration.org].integrations;
        let picked = with.integration.index.filter(|_| !all.is_empty()).map(|index| &all[index % all.len()]);
        let token = picked.and_then(|one| one.tokens.iter().rev().nth(with.old).cloned());
        let token = token.unwrap_or_else(|| "x".repeat(32));
        let kind = kind.unwrap_or_else(|| (picked.map_or(0, |one| one.kind) + with.other_kind) % model::KINDS.len());
        let holder = (0..2).find_map(|org| self.orgs[org].holder(&token, kind).ok().map(|place| (org, place)));
        (Secret::new(token), kind, holder.ok_or("invalid_api_key"))
    }

    /// Carries out what somebody reports, for whichever organization the token is.
    fn reported(&mut self, op: &IntegrationOp) {
        match op {
            IntegrationOp::Report { with, alerts } => self.report(op, *with, alerts),
            IntegrationOp::Burst { with, count } => {
                let now = self.now();
                let alert = |n| Report {
                    key: format!("{now} {n}"),
                    group: None,
                    id: None,
                    says: Says::Firing(Fire {
                        severity: 2,
                        title: format!("{n} is in trouble"),
                        summary: "so many".to_owned(),
                        source: String::new(),
                        description: String::new(),
                    }),
                };
                self.report(op, *with, &(0..*count).map(alert).collect::<Vec<_>>());
            }
            IntegrationOp::Beat { with } => {
                let (token, _, expected) = self.presented(*with, Some(HEARTBEAT));
                let got = self.subject().execute(ReceiveBeat::new(token), &Actor::Anybody);
                if let Some((got, (org, place))) = agree(got, expected, op) {
                    let now = self.now();
                    let expected = self.orgs[org].receive_beat(place, now);
                    assert_eq!(got.as_str(), expected, "{op:?}");
                    self.learn_alerted(org);
                }
            }
            IntegrationOp::Confirm { with, topic } => {
                let (token, _, expected) = self.presented(*with, Some(CLOUDWATCH));
                let got = self.subject().execute(ConfirmTopic::new(token, valid(TOPICS[*topic])), &Actor::Anybody);
                if let Some((got, (org, place))) = agree(got, expected, op) {
                    let pinned = *self.orgs[org].integrations[place].topic.get_or_insert(*topic);
                    assert_eq!(got, pinned == *topic, "{op:?}");
                }
            }
            IntegrationOp::FromTopic { with, topic, alert } => {
                let (token, _, expected) = self.presented(*with, Some(CLOUDWATCH));
                let alert = alert.as_ref().filter(|alert| alert.says != Says::Acknowledged);
                let told = alert.map(Report::alert);
                let receive = ReceiveFromTopic::new(token, valid(TOPICS[*topic]), told);
                let got = self.subject().execute(receive, &Actor::Anybody);
                if let Some((got, (org, place))) = agree(got, expected, op) {
                    let now = self.now();
                    let model = &mut self.orgs[org];
                    let confirmed = model.integrations[place].topic == Some(*topic);
                    let expected = confirmed.then(|| match alert {
                        Some(alert) => model.receive_report(place, alert, now),
                        None => "nothing",
                    });
                    assert_eq!(got.map(|outcome| outcome.as_str()), expected, "{op:?}");
                    self.learn_alerted(org);
                }
            }
            other => panic!("not a report: {other:?}"),
        }
    }

    fn report(&mut self, op: &IntegrationOp, with: With, alerts: &[Report]) {
        let (token, kind, expected) = self.presented(with, None);
        // Those kinds report in ways of their own.
        if [HEARTBEAT, CLOUDWATCH].contains(&kind) {
            return;
        }
        // That kind has no groups, and it alone acknowledges.
        let kept = alerts.iter().filter(|alert| kind == PAGERDUTY || alert.says != Says::Acknowledged);
        let group = |alert: &Report| alert.group.clone().filter(|_| kind != PAGERDUTY);
        let alerts: Vec<_> = kept.map(|alert| Report { group: group(alert), ..alert.clone() }).collect();
        if alerts.is_empty() {
            return;
        }
        let told = alerts.iter().map(Report::alert).collect();
        let got = self.subject().receive(&token, IntegrationKind::ALL[kind], told);
        if let Some((got, (org, place))) = agree(got, expected, op) {
            let now = self.now();
            let model = &mut self.orgs[org];
            let expected: Vec<_> = alerts.iter().map(|alert| model.receive_report(place, alert, now)).collect();
            assert_eq!(got.iter().map(|outcome| outcome.as_str()).collect::<Vec<_>>(), expected, "{op:?}");
            self.learn_alerted(org);
        }
    }

    /// Learns the ids of the incidents that integrations have opened, and what their updates say; compares them.
    pub(super) fn learn_alerted(&mut self, org: usize) {
        let admin = self.admin(org);
        if self.orgs[org].incidents.iter().any(|incident| incident.id.is_empty()) {
            let mut query = ListIncidents { limit: ListLimit::MAX, ..ListIncidents::default() };
            loop {
                let found = self.subject().query(&query, &admin).unwrap();
                for incident in &found.incidents {
                    let place = usize::try_from(incident.sequential_id).unwrap() - 1;
                    let model = &mut self.orgs[org].incidents[place];
                    // What is said of a storm, and of silence, is ours.
                    let ours = model.title.starts_with("Alert storm: ") || model.title.ends_with(" is silent");
                    if model.id.is_empty() && ours {
                        model.description = incident.description.as_ref().map(|text| text.as_str().to_owned());
                    }
                    model.id = incident.id.to_string();
                }
                match found.next_cursor {
                    Some(cursor) => query.cursor = Some(cursor),
                    None => break,
                }
            }
        }
        for index in 0..self.orgs[org].incidents.len() {
            let incident = &mut self.orgs[org].incidents[index];
            let Some(known) = incident.updates.iter().position(|update| update.id.is_empty()) else { continue };
            let query = ListUpdates::new(valid(&incident.id));
            let got = self.subject().query(&query, &admin).unwrap().updates;
            let updates = &mut self.orgs[org].incidents[index].updates;
            assert_eq!(got.len(), updates.len());
            for (got, update) in got.iter().zip(updates).skip(known) {
                update.id = got.id.to_string();
                let body = got.body.as_ref().map(|body| body.as_str().to_owned());
                assert_eq!(body.is_some(), update.body.is_some());
                update.body = body;
            }
            self.compare_incident(org, &admin, index);
        }
    }

    fn compare_integration(&self, org: usize, index: usize, view: &IntegrationView) {
        let one = &self.orgs[org].integrations[index];
        assert_eq!(shown(view), one.shown(&self.orgs[org]));
        let last = view.last_signal_at.map(millis);
        match one.kind {
            HEARTBEAT => assert_eq!(last, one.last),
            _ => {
                assert_eq!(last.is_some(), one.last.is_some());
                assert!(
                    last.zip(one.last).is_none_or(|(shown, last)| shown.abs_diff(last) <= 60_000),
                    "right to the minute"
                );
            }
        }
    }

    pub(super) fn compare_integrations(&self, org: usize, actor: &Actor) {
        let all = self.orgs[org].integrations.iter().enumerate();
        let mut expected: Vec<_> = all.filter(|(_, one)| !one.deleted).collect();
        // An id begins with the instant at which it was made.
        expected.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        let got = self.subject().query(&ListIntegrations, actor).unwrap();
        assert_eq!(got.len(), expected.len());
        for (view, (index, _)) in got.iter().zip(expected) {
            self.compare_integration(org, index, view);
        }
    }

    /// Compares the signals of an incident, three at a time.
    pub(super) fn compare_signals(&self, org: usize, actor: &Actor, index: usize) {
        let model = &self.orgs[org];
        let incident = valid(&model.incidents[index].id);
        let limit = if model.shown_signals(index).len() > 20 { 50 } else { 3 };
        let mut query = ListSignals { limit: ListLimit::new(limit).unwrap(), ..ListSignals::new(incident) };
        let mut got = Vec::new();
        loop {
            let found = self.subject().query(&query, actor).unwrap();
            assert!(found.signals.len() <= usize::try_from(limit).unwrap());
            got.extend(found.signals.iter().map(|signal| shown_signal(signal, model)));
            match found.next_cursor {
                Some(cursor) => query.cursor = Some(cursor.to_string().parse::<SignalCursor>().unwrap()),
                None => break,
            }
        }
        assert!(got.windows(2).all(|pair| pair[0].0 <= pair[1].0), "oldest first");
        // Which of one instant is older is not seen.
        got.sort();
        assert_eq!(got, model.shown_signals(index));
    }
}

impl Org {
    /// What becomes of a report, and what webhooks are told of it.
    fn receive_report(&mut self, of: usize, report: &Report, now: Millis) -> &'static str {
        let names = (report.key.as_str(), report.group.as_ref(), report.id.as_ref());
        let outcome = self.receive(of, names, &report.says, now);
        self.tell_webhooks(now);
        outcome
    }
}
