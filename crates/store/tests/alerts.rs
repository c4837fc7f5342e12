//! Alerts through the engine do what the rules do in memory, whatever comes in, with restarts in between; and what is stored of them fits
//! together (contract, section 14).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use dogwatch_core::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_core::incident::{
    AcknowledgeIncident, ChangeStatus, GetIncident, ListIncidents, ListLimit, ListUpdates, Severity, Status,
};
use dogwatch_core::integration::{
    Alert, AlertState, CreateIntegration, DeleteIntegration, EditIntegration, Heartbeat, IntegrationKind,
    ListIntegrations, ListSignals, ReceiveAlert, ReceiveBeat, Received, Settings, SignalView,
};
use dogwatch_core::memory::MemoryState;
use dogwatch_core::outbox::ListPages;
use dogwatch_core::text::TopicArn;
use dogwatch_core::{Actor, Command, IdSource, Query, Secret, Timestamp};
use dogwatch_store::backend::MemoryBackend;
use dogwatch_store::journal::MemoryJournal;
use dogwatch_store::{Engine, ManualClock};
use dogwatch_testkit::fixture::create_organization;
use dogwatch_testkit::recorder::Recorder;
use dogwatch_testkit::rooms::integration::{firing, over};
use proptest::prelude::*;

const KEYS: [(&str, Option<&str>); 6] =
    [("disk", None), ("load", None), ("a", Some("web")), ("b", Some("web")), ("c", Some("web")), ("a", Some("mail"))];

#[derive(Debug, Clone)]
enum Step {
    /// Alerts of one request: which keys, whether each fires, and how badly.
    Report(usize, Vec<(usize, Option<Severity>)>),
    Acknowledge(usize, usize),
    Beat,
    Pass(u64),
    Back(u64),
    Tick,
    /// A member acknowledges or resolves an incident.
    Take(usize),
    Resolve(usize),
    Edit(usize, i64, i64),
    Restart,
}

fn severity() -> impl Strategy<Value = Option<Severity>> {
    prop_oneof![3 => (0..Severity::ALL.len()).prop_map(|place| Some(Severity::ALL[place])), 2 => Just(None)]
}

fn step() -> impl Strategy<Value = Step> {
    let alerts = prop::collection::vec((0..KEYS.len(), severity()), 1..6);
    prop_oneof![
        10 => (0..3_usize, alerts).prop_map(|(of, alerts)| Step::Report(of, alerts)),
        1 => (0..3_usize, 0..KEYS.len()).prop_map(|(of, key)| Step::Acknowledge(of, key)),
        1 => Just(Step::Beat),
        4 => (1..400_u64).prop_map(Step::Pass),
        1 => (1..100_u64).prop_map(Step::Back),
        4 => Just(Step::Tick),
        1 => any::<usize>().prop_map(Step::Take),
        1 => any::<usize>().prop_map(Step::Resolve),
        1 => (0..3_usize, 0..90_i64, 0..400_i64).prop_map(|(of, pause, quiet)| Step::Edit(of, pause, quiet)),
        1 => Just(Step::Restart),
    ]
}

/// The engine and the rules in memory, which do the same.
struct Both {
    engine: Option<Engine>,
    disk: MemoryBackend,
    clock: ManualClock,
    rules: MemoryState,
    ids: IdSource,
    /// The admin on each side.
    admins: (Actor, Actor),
    /// Of each integration the token and the id on each side.
    tokens: Vec<[Secret; 2]>,
}

const KIND: IntegrationKind = IntegrationKind::Alertmanager;

impl Both {
    fn new() -> Self {
        let clock = ManualClock::at("2026-04-07T09:00:00Z".parse().unwrap());
        let disk = MemoryBackend::new();
        let engine = Engine::builder().clock(clock.clone()).with_backend(disk.clone()).unwrap();
        let (mut rules, mut ids) = (MemoryState::new(), IdSource::from_seed([5; 32]));
        let here = engine.execute(create_organization(), &Actor::Operator).unwrap().actor();
        let now = engine.now();
        let there = rules.execute(create_organization(), &Actor::Operator, now, &mut ids).unwrap().actor();
        let mut both =
            Self { engine: Some(engine), disk, clock, rules, ids, admins: (here, there), tokens: Vec::new() };
        for (place, (pause, quiet)) in [(0, 0), (30, 60), (0, 300)].into_iter().enumerate() {
            let policy = both.both(|_| CreatePolicy::new(format!("Night {place}").parse().unwrap()));
            let layer = |policy_id, actor: &Actor| {
                let Actor::Member { user_id, .. } = *actor else { panic!("an admin is a member") };
                let (position, ack_timeout) = (Position::new(1).unwrap(), AckTimeout::from_minutes(5).unwrap());
                AddPolicyLayer { policy_id, position, ack_timeout, target: Target::user(user_id) }
            };
            let policies = [policy.0.id, policy.1.id];
            both.both(|side| layer(policies[side], &[here, there][side]));
            let made = both.both(|side| CreateIntegration {
                name: format!("Monitor {place}").parse().unwrap(),
                kind: KIND,
                settings: Settings {
                    escalation_policy_id: Some(policies[side]),
                    pause_seconds: pause,
                    resolve_after_seconds: quiet,
                    ..Settings::default()
                },
            });
            both.tokens.push([made.0.token, made.1.token]);
        }
        let beats = Settings { heartbeat: Some(Heartbeat::new(60, 10).unwrap()), ..Settings::default() };
        let made = both.both(|_| CreateIntegration {
            name: "Backup".parse().unwrap(),
            kind: IntegrationKind::Heartbeat,
            settings: beats.clone(),
        });
        both.tokens.push([made.0.token, made.1.token]);
        both
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn now(&self) -> Timestamp {
        self.engine().now()
    }

    /// Gives a command of an admin on both sides: 0 is the engine's.
    fn both<C: Command>(&mut self, command: impl Fn(usize) -> C) -> (C::Reply, C::Reply) {
        let now = self.now();
        let here = self.engine().execute(command(0), &self.admins.0).unwrap();
        let there = self.rules.execute(command(1), &self.admins.1, now, &mut self.ids).unwrap();
        (here, there)
    }

    fn report(&mut self, of: usize, alerts: Vec<Alert>) {
        let [here, there] = self.tokens[of].clone();
        let now = self.now();
        let received = self.engine().submit_alerts(&here, KIND, alerts.clone()).unwrap().wait().unwrap();
        let receive = |alert| {
            let receive = ReceiveAlert::new(there.clone(), KIND, alert);
            self.rules.execute(receive, &Actor::Anybody, now, &mut self.ids).unwrap()
        };
        assert_eq!(received, alerts.into_iter().map(receive).collect::<Vec<_>>());
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Report(of, alerts) => {
                let alert = |(key, fires): &(usize, Option<Severity>)| match (KEYS[*key], fires) {
                    ((key, group), Some(severity)) => firing(key, group, *severity, "words"),
                    ((key, _), None) => over(key),
                };
                self.report(*of, alerts.iter().map(alert).collect());
            }
            Step::Acknowledge(of, key) => {
                let alert = Alert { state: AlertState::Acknowledged, ..over(KEYS[*key].0) };
                self.report(*of, vec![alert]);
            }
            Step::Beat => {
                let [here, there] = self.tokens[3].clone();
                let now = self.now();
                let beat = self.engine().submit_beat(&here).unwrap().wait().unwrap();
                let other = self.rules.execute(ReceiveBeat::new(there), &Actor::Anybody, now, &mut self.ids).unwrap();
                assert_eq!(beat, [other]);
            }
            Step::Pass(seconds) => self.clock.advance(Duration::from_secs(*seconds)),
            Step::Back(seconds) => {
                let back = self.now().as_millis() - i64::try_from(*seconds).unwrap() * 1_000;
                self.clock.set(Timestamp::from_millis(back).unwrap());
            }
            Step::Tick => {
                let now = self.now();
                assert_eq!(self.engine().tick(now).unwrap().failed, 0);
                self.rules.tick(now, &mut self.ids).unwrap();
            }
            Step::Take(number) => self.on(*number, |both, here, there| {
                both.both(|side| AcknowledgeIncident::new([here, there][side]));
            }),
            Step::Resolve(number) => self.on(*number, |both, here, there| {
                let status = both.engine().query(&GetIncident { id: here }, &both.admins.0).unwrap().incident.status;
                let mut next = status.next();
                while let Some(status) = next {
                    both.both(|side| ChangeStatus::new([here, there][side], status));
                    next = status.next();
                }
            }),
            Step::Edit(of, pause, quiet) => {
                let list = |side: &dyn Fn() -> Vec<_>| side().into_iter().nth(*of);
                let here = list(&|| ids(self.engine().query(&ListIntegrations, &self.admins.0).unwrap())).unwrap();
                let there = list(&|| ids(self.rules.query(&ListIntegrations, &self.admins.1).unwrap())).unwrap();
                self.both(|side| EditIntegration {
                    pause_seconds: Some(*pause),
                    resolve_after_seconds: Some(*quiet),
                    ..EditIntegration::new([here, there][side])
                });
            }
            Step::Restart => {
                self.engine = None;
                let opened = Engine::builder().clock(self.clock.clone()).with_backend(self.disk.clone());
                self.engine = Some(opened.unwrap());
            }
        }
    }

    /// Does something to an incident that both sides have.
    fn on(
        &mut self,
        number: usize,
        what: impl FnOnce(&mut Self, dogwatch_core::id::IncidentId, dogwatch_core::id::IncidentId),
    ) {
        let (here, there) = (self.incidents(0), self.incidents(1));
        if !here.is_empty() {
            let place = number % here.len();
            what(self, here[place], there[place]);
        }
    }

    fn ask<Q: Query>(&self, side: usize, query: &Q) -> Q::Reply {
        match side {
            0 => self.engine().query(query, &self.admins.0).unwrap(),
            _ => self.rules.query(query, &self.admins.1).unwrap(),
        }
    }

    /// The incidents of a side by their number.
    fn incidents(&self, side: usize) -> Vec<dogwatch_core::id::IncidentId> {
        let all = ListIncidents { limit: ListLimit::MAX, ..ListIncidents::default() };
        let mut all = self.ask(side, &all).incidents;
        all.sort_by_key(|incident| incident.sequential_id);
        all.iter().map(|incident| incident.id).collect()
    }

    /// All that a side shows, but for ids.
    fn shown(&self, side: usize) -> Vec<String> {
        let told = |id: &dogwatch_core::id::IncidentId| {
            let detail = self.ask(side, &GetIncident { id: *id });
            let it = detail.incident;
            let events: Vec<_> = detail
                .audit_trail
                .iter()
                .map(|event| (event.event.as_str(), event.at(), event.actor_id.is_some()))
                .collect();
            let signals = self.ask(side, &ListSignals { limit: ListLimit::MAX, ..ListSignals::new(*id) }).signals;
            let mut signals: Vec<_> = signals.iter().map(told_signal).collect();
            signals.sort();
            let updates = self.ask(side, &ListUpdates::new(*id)).updates;
            let updates: Vec<_> = updates.iter().map(|it| (it.body.clone(), it.posted_by.name.clone())).collect();
            let pages = self.ask(side, &ListPages::new(*id)).pages.len();
            format!(
                "#{} {} {} {} {:?} {:?} {:?} {:?} pages {pages}\n{signals:#?}\n{events:?}\n{updates:?}",
                it.sequential_id,
                it.title,
                it.severity,
                it.status,
                it.created_at,
                it.resolved_at,
                it.acknowledged_at,
                it.next_escalation_at
            )
        };
        self.incidents(side).iter().map(told).collect()
    }

    fn compare(&self, step: &Step) {
        assert_eq!(self.shown(0), self.shown(1), "{step:?}");
        let due = |side: usize| match side {
            0 => self.engine().next_deadline().unwrap(),
            _ => dogwatch_core::ticks::TickPort::next_due(&self.rules).unwrap(),
        };
        assert_eq!(due(0), due(1), "{step:?}");
    }
}

fn ids(views: Vec<dogwatch_core::integration::IntegrationView>) -> Vec<dogwatch_core::id::IntegrationId> {
    views.into_iter().map(|view| view.setting.id).collect()
}

fn told_signal(it: &SignalView) -> String {
    format!(
        "{} {} {} {} {} {:?} {}",
        it.dedup_key, it.severity, it.count, it.first_at, it.last_at, it.resolved_at, it.summary
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(dogwatch_testkit::cases(24)))]

    #[test]
    fn the_engine_does_what_the_rules_do(steps in prop::collection::vec(step(), 1..60)) {
        let mut both = Both::new();
        for step in &steps {
            both.step(step);
            both.compare(step);
        }
        let report = both.engine().verify(&mut |_| {});
        prop_assert!(report.findings.is_empty(), "{:?}", report.findings);
    }
}

/// A hundred thousand alerts that fire cost a tick nothing, and neither do those that wait for something later.
#[test]
fn what_waits_costs_a_tick_nothing() {
    let both = Both::new();
    let at_once: Vec<_> = (0..2_000).map(|n| firing(&format!("k{n}"), Some("all"), Severity::High, "words")).collect();
    for alerts in at_once.chunks(Engine::MOST_ALERTS) {
        let token = both.tokens[2][0].clone();
        both.engine().submit_alerts(&token, KIND, alerts.to_vec()).unwrap().wait().unwrap();
    }
    let ticked = both.engine().tick(both.now()).unwrap();
    assert_eq!((ticked.fired, ticked.failed), (0, 0));
    both.clock.advance(Duration::from_secs(300));
    assert_eq!(both.engine().tick(both.now()).unwrap().fired, 1, "one run, however many alerts");
    // An integration that is deleted leaves nothing that a tick fails on.
    let of = ids(both.ask(0, &ListIntegrations));
    for id in of {
        both.engine().execute(DeleteIntegration::new(id), &both.admins.0).unwrap();
    }
    both.clock.advance(Duration::from_secs(86_400));
    assert_eq!(both.engine().tick(both.now()).unwrap().failed, 0);
    let open = ListIncidents::default();
    assert!(both.ask(0, &open).incidents.iter().all(|incident| incident.status != Status::Resolved));
}

/// What is forgotten before its incident is opened is remembered by its reports, in one row of a key, and the store is sound.
#[test]
fn reports_of_what_is_forgotten_act_once() {
    let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
    let open = |disk: &MemoryBackend, journal: &MemoryJournal| {
        Engine::builder().clock(clock.clone()).with_storage(disk.clone(), journal.clone()).unwrap()
    };
    let (disk, journal) = (MemoryBackend::default(), MemoryJournal::default());
    let engine = open(&disk, &journal);
    let ada = engine.execute(create_organization(), &Actor::Operator).unwrap().actor();
    let settings = Settings { pause_seconds: 60, ..Settings::default() };
    let create = CreateIntegration { name: "Alarms".parse().unwrap(), kind: IntegrationKind::CloudWatch, settings };
    let token = engine.execute(create, &ada).unwrap().token;
    let topic: TopicArn = "arn:aws:sns:eu-west-1:1:alarms".parse().unwrap();
    assert_eq!(engine.submit_topic(&token, topic.clone()).unwrap().wait().unwrap(), [true]);
    let sends = |engine: &Engine, id: u32, alert: Alert| {
        let alert = Alert { report: Some(id.to_string()), ..alert };
        engine.submit_from_topic(&token, topic.clone(), Some(alert)).unwrap().wait().unwrap()[0].unwrap()
    };
    let fires = || firing("disk", None, Severity::High, "words");
    for round in 0..3 {
        assert_eq!(sends(&engine, 2 * round, fires()), Received::Waits);
        assert_eq!(sends(&engine, 2 * round + 1, over("disk")), Received::Over);
    }
    let mut lines = Vec::new();
    engine.export(&mut lines, &mut |_| ()).unwrap();
    assert_eq!(String::from_utf8(lines).unwrap().matches("\"type\":\"signal\"").count(), 1);
    drop(engine);
    let engine = open(&disk, &journal);
    for id in 0..6 {
        assert_eq!(sends(&engine, id, fires()), Received::Repeated, "{id}");
    }
    let report = engine.verify(&mut |_| {});
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(engine.next_deadline().unwrap(), None, "nothing waits");
}

/// An alert that only counts writes one row; within a minute of another, also none for when something last came in.
#[test]
fn what_an_alert_writes() {
    let (recorder, recording) = Recorder::on(MemoryJournal::default());
    let clock = ManualClock::at("2026-04-07T09:00:00Z".parse().unwrap());
    let engine = Engine::builder().clock(clock.clone()).with_storage(MemoryBackend::new(), recorder).unwrap();
    let ada = engine.execute(create_organization(), &Actor::Operator).unwrap().actor();
    let token = engine.execute(CreateIntegration::new("Disks".parse().unwrap(), KIND), &ada).unwrap().token;
    let rows = |alerts: Vec<Alert>| {
        drop(recording.take());
        engine.submit_alerts(&token, KIND, alerts).unwrap().wait().unwrap();
        recording.take().iter().map(|rows| rows.owned().count()).sum::<usize>()
    };
    let fires = |key: &str| vec![firing(key, Some("web"), Severity::High, "words")];
    rows(fires("a"));
    assert_eq!(rows(fires("a")), 1);
    assert_eq!(rows([fires("a"), fires("a"), fires("a")].concat()), 1, "in one commit, however often");
    clock.advance(Duration::from_secs(60));
    assert_eq!(rows(fires("a")), 2, "and once a minute when it came in");
    assert_eq!(rows(fires("b")), 3, "a new one in a group: the signal, its place in the group, and the group");
}
