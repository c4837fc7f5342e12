//! Monitors in a simulated night: they fire, repeat, flap, resolve and storm, die and come back. One that got no answer sends the same
//! again; one whose token does not work goes on until somebody gives it the new one.

use std::collections::BTreeMap;

use dogwatch_core::id::IntegrationId;
use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{
    Alert, AlertState, CreateIntegration, Firing, Heartbeat, IntegrationKind, Received, Settings, Severities,
    SeverityOutcome,
};
use dogwatch_core::text::TopicArn;
use dogwatch_core::{Code, Secret};
use dogwatch_store::{Error, Pending};

use super::super::{Complaint, Post, Random, Reply, Sent, Token};
use super::Night;

/// The topics of SNS from which messages come: that of the alarms, and another one.
const TOPICS: [&str; 2] = ["arn:aws:sns:eu-west-1:1:alarms", "arn:aws:sns:eu-west-1:2:others"];

/// A monitor, and the integration over which it reports.
pub(super) struct Monitor {
    pub(super) id: IntegrationId,
    pub(super) kind: IntegrationKind,
    /// What it was called at first, what it was to be called last, and how many names that were.
    pub(super) first_name: String,
    pub(super) name: String,
    pub(super) names: u32,
    /// What it presents, and the number of that.
    token: (Secret, Token),
    /// What its admins got last in place of that.
    pub(super) newest: Option<(Secret, Token)>,
    /// How many new tokens were asked for.
    pub(super) rotations: Token,
    /// Whether its integration was deleted.
    pub(super) deleted: bool,
    /// Whether a new one has taken its place.
    pub(super) replaced: bool,
    /// Whether several of its alerts are one incident.
    groups: bool,
    /// How many storms it has yet to send.
    storms: u64,
    down: bool,
    /// How bad each alert is that it has reported, and whether it fires.
    alerts: BTreeMap<String, (Severity, bool)>,
    /// What it could not deliver, oldest first.
    pub(super) unanswered: Vec<Sent>,
    /// The last messages of a topic, oldest first.
    last: Vec<Sent>,
    /// How many reports it has made.
    made: u64,
}

/// What was handed in, and waits for its answer.
pub(super) enum Handed {
    Reports(Pending<Vec<Received>>),
    Topic(Pending<Vec<bool>>),
    FromTopic(Pending<Vec<Option<Received>>>),
}

impl Handed {
    fn wait(self) -> Result<Reply, Error> {
        Ok(match self {
            Self::Reports(pending) => Reply::Received(pending.wait()?),
            Self::Topic(pending) => Reply::Confirmed(pending.wait()?.into_iter().all(|confirmed| confirmed)),
            Self::FromTopic(pending) => {
                let received: Option<Vec<_>> = pending.wait()?.into_iter().collect();
                received.map_or(Reply::Foreign, Reply::Received)
            }
        })
    }
}

impl Monitor {
    fn alert(&self, key: &str, state: AlertState) -> Alert {
        // The group of a key is always the same.
        let group = self.groups.then(|| format!("group {}", key.bytes().map(usize::from).sum::<usize>() % 2));
        Alert { key: key.to_owned(), group, state, report: None }
    }

    /// The alert with a key fires; with a severity of its own, or with the last one.
    fn fires(&mut self, key: &str, severity: Option<Severity>) -> Alert {
        self.made += 1;
        let usual = Severity::ALL[key.len() % Severity::ALL.len()];
        let (before, _) = self.alerts.get(key).copied().unwrap_or((usual, false));
        let severity = severity.unwrap_or(before);
        self.alerts.insert(key.to_owned(), (severity, true));
        let firing = Firing {
            severity,
            title: format!("{key} is wrong"),
            summary: format!("report {} of {key}", self.made),
            source: "night".to_owned(),
            description: String::new(),
        };
        self.alert(key, AlertState::Firing(Box::new(firing)))
    }

    fn is_over(&mut self, key: &str) -> Alert {
        if let Some((_, fires)) = self.alerts.get_mut(key) {
            *fires = false;
        }
        self.alert(key, AlertState::Resolved)
    }

    fn firing(&self) -> Vec<String> {
        self.alerts.iter().filter(|(_, (_, fires))| *fires).map(|(key, _)| key.clone()).collect()
    }
}

impl Night {
    /// The monitors of the organization.
    pub(super) fn set_up_monitors(&mut self) {
        let alertmanager = IntegrationKind::Alertmanager;
        self.set_up("Metrics", alertmanager, &Settings::default());
        let pauses = |pause_seconds, resolve_after_seconds| Settings {
            pause_seconds,
            resolve_after_seconds,
            ..Settings::default()
        };
        self.set_up("Probes", IntegrationKind::PagerDuty, &pauses(120, 0));
        self.set_up("Queues", alertmanager, &pauses(600, 60));
        let severities = Severities { low: SeverityOutcome::Drop, ..Severities::ALL };
        let quiet = *self.random.pick(&[0, 30, 1_800]).unwrap();
        self.set_up("Jobs", IntegrationKind::Generic, &Settings { severities, ..pauses(0, quiet) });
        let heartbeat = Heartbeat::new(*self.random.pick(&[60, 600]).unwrap(), 90).ok();
        let quiet = *self.random.pick(&[0, 240]).unwrap();
        self.set_up("Backup", IntegrationKind::Heartbeat, &Settings { heartbeat, ..pauses(0, quiet) });
        let pause = *self.random.pick(&[0, 300]).unwrap();
        self.set_up("Alarms", IntegrationKind::CloudWatch, &pauses(pause, 120));
    }

    /// Sets up one, which names a policy, a schedule, or neither.
    pub(super) fn set_up(&mut self, name: &str, kind: IntegrationKind, settings: &Settings) {
        let policy = if self.random.one_in(2) { self.random.pick(&self.policies).copied() } else { None };
        let schedule = if self.random.one_in(2) { self.random.pick(&self.schedules).copied() } else { None };
        let settings = Settings {
            component_id: if self.random.one_in(3) { self.random.pick(&self.components).copied() } else { None },
            owner_schedule_id: schedule,
            escalation_policy_id: policy,
            ..settings.clone()
        };
        let create = CreateIntegration { name: name.parse().unwrap(), kind, settings };
        let created = self.engine().execute(create, &self.admin).unwrap();
        self.auditor.monitors.watch(&created.integration.setting);
        let storms = if kind == IntegrationKind::Generic { self.random.below(3) } else { 0 };
        self.monitors.push(Monitor {
            id: created.integration.setting.id,
            kind,
            first_name: name.to_owned(),
            name: name.to_owned(),
            names: 0,
            token: (created.token, 0),
            newest: None,
            rotations: 0,
            deleted: false,
            replaced: false,
            groups: kind == IntegrationKind::Alertmanager,
            storms,
            down: false,
            alerts: BTreeMap::new(),
            unanswered: Vec::new(),
            last: Vec::new(),
            made: 0,
        });
    }

    /// One of the monitors; less often one whose integration was deleted.
    pub(super) fn some_monitor(&mut self) -> usize {
        let any = |random: &mut Random, of: usize| usize::try_from(random.below(u64::try_from(of).unwrap())).unwrap();
        let place = any(&mut self.random, self.monitors.len());
        if self.monitors[place].deleted { any(&mut self.random, self.monitors.len()) } else { place }
    }

    /// A monitor says something, and waits for the answer.
    pub(super) fn monitor(&mut self) -> Result<(), Complaint> {
        let place = self.some_monitor();
        if self.random.one_in(20) {
            self.monitors[place].down ^= true;
        }
        if self.monitors[place].down {
            return Ok(());
        }
        if self.random.one_in(2) {
            let monitor = &mut self.monitors[place];
            monitor.token = monitor.newest.take().unwrap_or_else(|| monitor.token.clone());
        }
        self.reported = place;
        let sent = self.next_of(place);
        let pending = self.hand_in(place, &sent);
        self.answered(place, sent, pending);
        self.audit(&[], None)
    }

    /// What a monitor sends next: what it could not deliver comes first.
    pub(super) fn next_of(&mut self, place: usize) -> Sent {
        if !self.monitors[place].unanswered.is_empty() {
            return self.monitors[place].unanswered.remove(0);
        }
        match self.monitors[place].kind {
            IntegrationKind::Heartbeat => Sent::Beat,
            IntegrationKind::CloudWatch => self.message_of(place),
            _ => Sent::Alerts(self.alerts_of(place)),
        }
    }

    /// A message of a topic: mostly of that of the alarms, and perhaps one that was sent before.
    fn message_of(&mut self, place: usize) -> Sent {
        let topic = |n: usize| TopicArn::new(TOPICS[n]).unwrap();
        let from = topic(usize::from(self.random.one_in(6)));
        let key = format!("alarm {}", self.random.below(2));
        let (random, monitor) = (&mut self.random, &mut self.monitors[place]);
        let sent = match random.below(10) {
            0 | 1 => return Sent::Confirm(from),
            2 => return Sent::FromTopic(from, None),
            3..=5 if !monitor.last.is_empty() => return random.pick(&monitor.last).unwrap().clone(),
            6 | 7 => monitor.is_over(&key),
            _ => monitor.fires(&key, Some(Severity::High)),
        };
        monitor.made += 1;
        let sent = Sent::FromTopic(from, Some(Alert { report: Some(format!("message {}", monitor.made)), ..sent }));
        monitor.last.push(sent.clone());
        let old = monitor.last.len().saturating_sub(3);
        monitor.last.drain(..old);
        sent
    }

    fn alerts_of(&mut self, place: usize) -> Vec<Alert> {
        let key = format!("disk{}", "k".repeat(usize::try_from(self.random.below(7)).unwrap()));
        let severity = self.severity();
        let several = self.random.between(2, 6);
        let random = &mut self.random;
        let monitor = &mut self.monitors[place];
        let firing = monitor.firing();
        let some = random.pick(&firing).cloned().unwrap_or_else(|| key.clone());
        if monitor.storms > 0 && random.one_in(12) {
            monitor.storms -= 1;
            let from = monitor.made;
            return (0..random.between(55, 75)).map(|n| monitor.fires(&format!("storm {from}/{n}"), None)).collect();
        }
        match random.below(12) {
            0..=2 => vec![monitor.fires(&key, None)],
            3 => vec![monitor.fires(&some, Some(severity))],
            4 | 5 => vec![monitor.is_over(&some)],
            6 => vec![monitor.fires(&key, None), monitor.is_over(&key), monitor.fires(&key, None)],
            7 => vec![monitor.alert(&some, AlertState::Acknowledged)],
            8..=10 => {
                // What comes back comes by itself: else nobody could tell which of several alerts has made an incident worse.
                let mut keys: Vec<_> = firing.into_iter().filter(|_| random.one_in(3)).take(20).collect();
                keys.extend((0..several).map(|n| format!("host {}/{n}", monitor.made)));
                let fires = |key: &String| match random.below(3) {
                    0 => monitor.is_over(key),
                    _ => monitor.fires(key, None),
                };
                keys.iter().map(fires).collect()
            }
            _ => firing.iter().take(200).map(|key| monitor.is_over(key)).collect(),
        }
    }

    /// Hands something in, with the number of the token that is presented; an error when that is not possible.
    pub(super) fn hand_in(&self, place: usize, sent: &Sent) -> (Token, Result<Handed, Error>) {
        let monitor = &self.monitors[place];
        let ((token, number), engine) = (&monitor.token, self.engine());
        let handed = match sent {
            Sent::Beat => engine.submit_beat(token).map(Handed::Reports),
            Sent::Alerts(alerts) => engine.submit_alerts(token, monitor.kind, alerts.clone()).map(Handed::Reports),
            Sent::Confirm(topic) => engine.submit_topic(token, topic.clone()).map(Handed::Topic),
            Sent::FromTopic(topic, alert) => {
                engine.submit_from_topic(token, topic.clone(), alert.clone()).map(Handed::FromTopic)
            }
        };
        (*number, handed)
    }

    /// Waits for the answer to something that was handed in. Without one, the monitor sends it again later; what is refused is given up.
    pub(super) fn answered(&mut self, place: usize, sent: Sent, handed: (Token, Result<Handed, Error>)) -> bool {
        let (at, (token, handed)) = (self.now(), handed);
        let was_handed_in = handed.is_ok();
        let reply = match handed.and_then(Handed::wait) {
            Ok(reply) => Some(reply),
            Err(Error::Refused(error)) if error.code() == Code::InvalidApiKey => Some(Reply::Refused),
            Err(error) if !was_handed_in || matches!(error, Error::Refused(_)) => {
                // It certainly did not happen.
                self.monitors[place].unanswered.push(sent);
                return true;
            }
            Err(_) => None,
        };
        let known = reply.is_some();
        let monitor = &mut self.monitors[place];
        if !known {
            monitor.unanswered.push(sent.clone());
        }
        if let Some(Reply::Received(received)) = &reply {
            self.report.alerts += u64::try_from(received.len()).unwrap();
        }
        self.auditor.monitors.sent(monitor.id, Post { sent, token, at, reply });
        known
    }
}
