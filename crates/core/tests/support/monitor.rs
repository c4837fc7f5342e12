//! A monitoring system that reports alerts, to try the rules on.

use dogwatch_core::id::{IncidentId, IntegrationId};
use dogwatch_core::incident::{
    AcknowledgeIncident, ChangeStatus, IncidentFilter, IncidentView, ListIncidents, ListLimit, ListUpdates, Severity,
    Status, UpdateView,
};
use dogwatch_core::integration::{
    Alert, AlertState, CreateIntegration, Firing, IntegrationKind, ListSignals, ReceiveAlert, ReceiveBeat, Settings,
    SignalView,
};
use dogwatch_core::outbox::ListPages;
use dogwatch_core::{Actor, Secret, Timestamp};

use super::{Harbour, user, valid, word};

/// What is said of an alert without anything special to say.
pub(crate) fn firing(severity: Severity, title: &str) -> Firing {
    let title = title.to_owned();
    Firing { severity, title, summary: String::new(), source: String::new(), description: String::new() }
}

/// An alert by a name like `disk`, or `web:disk` for one of the group `web`.
pub(crate) fn alert(name: &str, state: AlertState) -> Alert {
    let (group, key) = name.split_once(':').map_or((None, name), |(group, key)| (Some(group.to_owned()), key));
    Alert { key: key.to_owned(), group, state, report: None }
}

pub(crate) fn trigger(name: &str, severity: Severity) -> Alert {
    let key = name.split_once(':').map_or(name, |(_, key)| key);
    alert(name, AlertState::Firing(Box::new(firing(severity, key))))
}

/// Settings by default, with these waits in seconds.
pub(crate) fn waits(pause: i64, quiet: i64) -> Settings {
    Settings { pause_seconds: pause, resolve_after_seconds: quiet, ..Settings::default() }
}

/// Harbour with one integration, and shorthands for what happens to it. Times are seconds from the beginning.
#[derive(Clone)]
pub(crate) struct Monitor {
    pub(crate) harbour: Harbour,
    pub(crate) began: Timestamp,
    pub(crate) kind: IntegrationKind,
    pub(crate) id: IntegrationId,
    pub(crate) token: Secret,
}

impl Monitor {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::of(Harbour::new(), IntegrationKind::Generic, settings)
    }

    pub(crate) fn of(mut harbour: Harbour, kind: IntegrationKind, settings: Settings) -> Self {
        let ada = harbour.ada;
        let create = CreateIntegration { settings, ..CreateIntegration::new(valid("Monitor"), kind) };
        let made = harbour.run(create, &ada).unwrap();
        Self { began: harbour.now, harbour, kind, id: made.integration.setting.id, token: made.token }
    }

    pub(crate) fn at(&mut self, second: i64) {
        self.harbour.now = Timestamp::clamped(self.began.as_millis() + second * 1_000);
    }

    pub(crate) fn second(&self, at: Timestamp) -> i64 {
        (at.as_millis() - self.began.as_millis()) / 1_000
    }

    /// Receives an alert; gives the word of what became of it.
    pub(crate) fn receive(&mut self, alert: Alert) -> &'static str {
        let command = ReceiveAlert::new(self.token.clone(), self.kind, alert);
        let outcome = self.harbour.run(command, &Actor::Anybody);
        outcome.as_ref().map_or_else(|_| word(&outcome), |received| received.as_str())
    }

    pub(crate) fn fire(&mut self, name: &str, severity: Severity) -> &'static str {
        self.receive(trigger(name, severity))
    }

    pub(crate) fn over(&mut self, name: &str) -> &'static str {
        self.receive(alert(name, AlertState::Resolved))
    }

    pub(crate) fn beat(&mut self) -> &'static str {
        let outcome = self.harbour.run(ReceiveBeat::new(self.token.clone()), &Actor::Anybody);
        if outcome.is_ok() { "ok" } else { word(&outcome) }
    }

    pub(crate) fn tick(&mut self) {
        self.harbour.world.tick(self.harbour.now, &mut self.harbour.ids).unwrap();
    }

    /// All incidents, the oldest first.
    pub(crate) fn incidents(&self) -> Vec<IncidentView> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let limit = ListLimit::new(100).unwrap();
            let query = ListIncidents { filter: IncidentFilter::default(), limit, cursor };
            let list = self.harbour.ask(&query, &self.harbour.ben).unwrap();
            all.extend(list.incidents);
            cursor = list.next_cursor;
            if cursor.is_none() {
                all.sort_by_key(|incident| incident.sequential_id);
                return all;
            }
        }
    }

    /// The incident with this number.
    pub(crate) fn incident(&self, number: usize) -> IncidentView {
        self.incidents().swap_remove(number - 1)
    }

    /// All signals of an incident, the oldest first.
    pub(crate) fn signals(&self, incident_id: IncidentId) -> Vec<SignalView> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let query = ListSignals { incident_id, limit: ListLimit::new(100).unwrap(), cursor };
            let list = self.harbour.ask(&query, &self.harbour.ben).unwrap();
            all.extend(list.signals);
            cursor = list.next_cursor;
            if cursor.is_none() {
                return all;
            }
        }
    }

    pub(crate) fn updates(&self, incident: IncidentId) -> Vec<UpdateView> {
        self.harbour.ask(&ListUpdates::new(incident), &self.harbour.ben).unwrap().updates
    }

    /// The texts of an incident's updates that change no status.
    pub(crate) fn notes(&self, incident: IncidentId) -> Vec<String> {
        let updates = self.updates(incident).into_iter().filter(|update| update.status_change.is_none());
        updates.map(|update| update.body.unwrap().to_string()).collect()
    }

    pub(crate) fn actor(&self, name: &str) -> Actor {
        match name {
            "ada" => self.harbour.ada,
            "ben" => self.harbour.ben,
            "cleo" => self.harbour.cleo,
            other => panic!("{other}"),
        }
    }

    pub(crate) fn resolve_by_hand(&mut self, incident: IncidentId) {
        let status = self.harbour.detail(incident).incident.status;
        let ada = self.harbour.ada;
        for to in [Status::Identified, Status::Monitoring, Status::Resolved] {
            if to > status {
                self.harbour.run(ChangeStatus::new(incident, to), &ada).unwrap();
            }
        }
    }

    /// Something happens: `disk high` fires, `web:disk over`, `disk seen` by its sender, `tick`, `ben takes 1`, `ada resolves 1`.
    pub(crate) fn act(&mut self, act: &str) -> &'static str {
        let words: Vec<_> = act.split(' ').collect();
        match words[..] {
            ["tick"] => self.tick(),
            ["beat"] => return self.beat(),
            [who, "takes", number] => {
                let (id, who) = (self.incident(number.parse().unwrap()).id, self.actor(who));
                return word(&self.harbour.run(AcknowledgeIncident::new(id), &who));
            }
            ["ada", "resolves", number] => self.resolve_by_hand(self.incident(number.parse().unwrap()).id),
            [name, "over"] => return self.over(name),
            [name, "seen"] => return self.receive(alert(name, AlertState::Acknowledged)),
            [name, severity] => return self.fire(name, valid(severity)),
            _ => panic!("{act}"),
        }
        "ok"
    }

    /// All incidents with their signals: `1 high taken: disk 2, cpu 1 over; 2 low resolved: mail 1`.
    pub(crate) fn shown(&self) -> String {
        let incident = |it: IncidentView| {
            let state = match (it.status, it.acknowledged_at) {
                (Status::Resolved, _) => " resolved",
                (_, Some(_)) => " taken",
                _ => "",
            };
            let signals = self.signals(it.id).into_iter().map(|signal| {
                assert_eq!(signal.incident_id, it.id);
                let over = if signal.resolved_at.is_some() { " over" } else { "" };
                format!("{} {}{over}", signal.dedup_key, signal.count)
            });
            format!("{} {}{state}: {}", it.sequential_id, it.severity, signals.collect::<Vec<_>>().join(", "))
        };
        self.incidents().into_iter().map(incident).collect::<Vec<_>>().join("; ")
    }

    /// Who was paged about which incident, and at which second: `1 ben 0; 1 ben 30`.
    pub(crate) fn pages(&self) -> String {
        let name = |id| ["ada", "ben", "cleo"].into_iter().find(|name| user(&self.actor(name)) == id).unwrap();
        let pages = self.incidents().into_iter().flat_map(|incident| {
            let pages = self.harbour.ask(&ListPages::new(incident.id), &self.harbour.ben).unwrap().pages;
            let number = incident.sequential_id;
            pages.into_iter().map(move |page| {
                let second = (page.created_at.as_millis() - self.began.as_millis()) / 1_000;
                format!("{number} {} {second}", name(page.user_id))
            })
        });
        pages.collect::<Vec<_>>().join("; ")
    }

    /// Tells a story: at a second something happens, comes to a word, and then these are the incidents.
    pub(crate) fn check(&mut self, acts: &[(i64, &str, &str, &str)]) {
        for (second, act, outcome, shown) in acts {
            self.at(*second);
            assert_eq!(self.act(act), *outcome, "{second}: {act}");
            assert_eq!(self.shown(), *shown, "{second}: {act}");
        }
    }
}
