//! Monitors in a simulated night: they fire, repeat, flap, resolve and storm, die and come back. One that got no answer sends the same
//! again.

use std::collections::BTreeMap;
use std::time::Duration;

use dogwatch_core::Secret;
use dogwatch_core::id::IntegrationId;
use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{
    Alert, AlertState, CreateIntegration, Firing, Heartbeat, IntegrationKind, Received, Settings, Severities,
    SeverityOutcome,
};
use dogwatch_store::{Error, Pending};

use super::super::{Complaint, Rules, Sent};
use super::Night;

/// A monitor, and the integration over which it reports.
pub(super) struct Monitor {
    id: IntegrationId,
    token: Secret,
    kind: IntegrationKind,
    /// Whether several of its alerts are one incident.
    groups: bool,
    /// How many storms it has yet to send.
    storms: u64,
    down: bool,
    /// How bad each alert is that it has reported, and whether it fires.
    alerts: BTreeMap<String, (Severity, bool)>,
    /// What it could not deliver, oldest first.
    unanswered: Vec<Sent>,
    /// How many reports it has made.
    made: u64,
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
    }

    /// Sets up one, which names a policy, a schedule, or neither.
    fn set_up(&mut self, name: &str, kind: IntegrationKind, settings: &Settings) {
        let policy = if self.random.one_in(2) { self.random.pick(&self.policies).copied() } else { None };
        let schedule = if self.random.one_in(2) { self.random.pick(&self.schedules).copied() } else { None };
        let settings = Settings {
            component_id: if self.random.one_in(3) { self.random.pick(&self.components).copied() } else { None },
            owner_schedule_id: schedule,
            escalation_policy_id: policy,
            ..settings.clone()
        };
        let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap());
        let rules = Rules {
            name: name.to_owned(),
            pause: seconds(settings.pause_seconds),
            quiet: seconds(settings.resolve_after_seconds),
            drops_low: settings.severities.low == SeverityOutcome::Drop,
            silence: settings.heartbeat.map(|it| seconds((it.period() + it.grace()).into())),
        };
        let create = CreateIntegration { name: name.parse().unwrap(), kind, settings };
        let created = self.engine().execute(create, &self.admin).unwrap();
        let id = created.integration.setting.id;
        self.auditor.monitors.watch(id, rules, policy, schedule);
        let storms = if kind == IntegrationKind::Generic { self.random.below(3) } else { 0 };
        self.monitors.push(Monitor {
            id,
            token: created.token,
            kind,
            groups: kind == IntegrationKind::Alertmanager,
            storms,
            down: false,
            alerts: BTreeMap::new(),
            unanswered: Vec::new(),
            made: 0,
        });
    }

    pub(super) fn some_monitor(&mut self) -> usize {
        usize::try_from(self.random.below(u64::try_from(self.monitors.len()).unwrap())).unwrap()
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
        if self.monitors[place].kind == IntegrationKind::Heartbeat {
            return Sent::Beat;
        }
        Sent::Alerts(self.alerts_of(place))
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

    /// Hands something in; `None` when that is not possible.
    pub(super) fn hand_in(&self, place: usize, sent: &Sent) -> Option<Pending<Vec<Received>>> {
        let monitor = &self.monitors[place];
        let pending = match sent {
            Sent::Beat => self.engine().submit_beat(&monitor.token),
            Sent::Alerts(alerts) => self.engine().submit_alerts(&monitor.token, monitor.kind, alerts.clone()),
        };
        pending.ok()
    }

    /// Waits for the answer to something that was handed in. Without one, the monitor sends it again later.
    pub(super) fn answered(&mut self, place: usize, sent: Sent, pending: Option<Pending<Vec<Received>>>) -> bool {
        let now = self.now();
        let outcome = pending.map(Pending::wait);
        let monitor = &mut self.monitors[place];
        let known = match outcome {
            Some(Ok(answer)) => {
                self.report.alerts += u64::try_from(answer.len()).unwrap();
                self.auditor.monitors.sent(monitor.id, sent, now, Some(answer));
                return true;
            }
            None | Some(Err(Error::Refused(_))) => true,
            Some(Err(_)) => {
                self.auditor.monitors.sent(monitor.id, sent.clone(), now, None);
                false
            }
        };
        monitor.unanswered.push(sent);
        known
    }
}
