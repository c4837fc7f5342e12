//! Section 14 of the contract, for any order of events: what alerts do to incidents, compared with a second opinion that keeps nothing but
//! lists; and storms, of which only what never changes is checked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use dogwatch_core::Timestamp;
use dogwatch_core::escalation::Target;
use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{AcknowledgeIncident, Author, Event, Severity, Status};
use dogwatch_core::integration::{IntegrationKind, Settings, Severities, SeverityOutcome};
use dogwatch_core::outbox::ListPages;
use dogwatch_testkit::cases;
use proptest::prelude::*;
use support::monitor::{Monitor, waits};
use support::{Harbour, policy_layer, user};

/// Two alerts by themselves, and two groups.
const NAMES: [&str; 6] = ["a", "b", "web:c", "web:d", "web:e", "db:f"];

/// Alerts are numbered as above; numbers of incidents are taken modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    Fire(usize, Severity),
    Over(usize),
    Seen(usize),
    Take(usize),
    Resolve(usize),
    Pass(i64),
    Tick,
}

fn severity() -> impl Strategy<Value = Severity> {
    (0..Severity::ALL.len()).prop_map(|n| Severity::ALL[n])
}

/// Up to fifty steps; the clock jumps back by so many seconds at most.
fn steps(back: i64) -> impl Strategy<Value = Vec<Step>> {
    let pass = prop_oneof![5 => 0..40_i64, 2 => 0..200_i64, 1 => -back..1];
    let step = prop_oneof![
        8 => (0..NAMES.len(), severity()).prop_map(|(n, severity)| Step::Fire(n, severity)),
        8 => (0..NAMES.len()).prop_map(Step::Over),
        1 => (0..NAMES.len()).prop_map(Step::Seen),
        2 => any::<usize>().prop_map(Step::Take),
        1 => any::<usize>().prop_map(Step::Resolve),
        6 => pass.prop_map(Step::Pass),
        5 => Just(Step::Tick),
    ];
    proptest::collection::vec(step, 1..50)
}

fn quiet() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0_i64), Just(60)]
}

/// A signal as the model has it. `group` is a place in the list of groups.
#[derive(Debug, Clone)]
struct Told {
    name: usize,
    group: usize,
    severity: Severity,
    count: u64,
    firing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waits(i64),
    Open,
    Quiet(i64),
    Closed,
    Forgotten,
}

#[derive(Debug, Clone)]
struct Group {
    key: String,
    /// The worst severity of what has fired, also of what was over before the incident was opened.
    worst: Severity,
    state: State,
    trouble: Option<usize>,
}

/// An incident as the model has it.
#[derive(Debug, Clone)]
struct Trouble {
    id: Option<IncidentId>,
    severity: Severity,
    taken: bool,
    resolved: bool,
    by_hand: bool,
    pages: usize,
    notes: usize,
}

/// The rules and the model, side by side.
struct Both {
    monitor: Monitor,
    now: i64,
    pause: i64,
    quiet: i64,
    drops_low: bool,
    signals: Vec<Told>,
    groups: Vec<Group>,
    troubles: Vec<Trouble>,
}

fn worse(a: Severity, b: Severity) -> Severity {
    a.min(b)
}

impl Both {
    fn new(pause: i64, quiet: i64, drops_low: bool) -> Self {
        let mut harbour = Harbour::new();
        let (ada, policy) = (harbour.ada, harbour.policy("Night"));
        let ben = Target::users(vec![user(&harbour.ben)]).unwrap();
        // Nobody is paged by time alone within a week.
        harbour.run(policy_layer(policy, 1, 10_080, ben), &ada).unwrap();
        let low = if drops_low { SeverityOutcome::Drop } else { SeverityOutcome::Incident };
        let severities = Severities { low, ..Severities::ALL };
        let settings = Settings { escalation_policy_id: Some(policy), severities, ..waits(pause, quiet) };
        let monitor = Monitor::of(harbour, IntegrationKind::Generic, settings);
        let (signals, groups, troubles) = (Vec::new(), Vec::new(), Vec::new());
        Self { monitor, now: 0, pause, quiet, drops_low, signals, groups, troubles }
    }

    /// The newest signal of a name whose group is still under way.
    fn signal(&self, name: usize) -> Option<usize> {
        let live = |group: usize| !matches!(self.groups[group].state, State::Closed | State::Forgotten);
        self.signals.iter().rposition(|signal| signal.name == name && live(signal.group))
    }

    fn open(&mut self, group: usize) {
        let severity = self.groups[group].worst;
        self.groups[group].state = State::Open;
        self.groups[group].trouble = Some(self.troubles.len());
        let (id, taken, resolved, by_hand) = (None, false, false, false);
        self.troubles.push(Trouble { id, severity, taken, resolved, by_hand, pages: 1, notes: 0 });
    }

    fn fire(&mut self, name: usize, severity: Severity) -> &'static str {
        if let Some(place) = self.signal(name) {
            let signal = &mut self.signals[place];
            (signal.count, signal.firing, signal.severity) = (signal.count + 1, true, worse(signal.severity, severity));
            let group = &mut self.groups[signal.group];
            group.worst = worse(group.worst, severity);
            if let Some(trouble) = group.trouble {
                group.state = State::Open;
                self.troubles[trouble].severity = worse(self.troubles[trouble].severity, severity);
            }
            return "counted";
        }
        if self.drops_low && severity == Severity::Low {
            return "dropped";
        }
        let key = NAMES[name].split_once(':').map_or(NAMES[name], |(group, _)| group).to_owned();
        let live = |group: &Group| group.key == key && !matches!(group.state, State::Closed | State::Forgotten);
        let there = self.groups.iter().rposition(live);
        let group = there.unwrap_or(self.groups.len());
        self.signals.push(Told { name, group, severity, count: 1, firing: true });
        if there.is_none() {
            let state = State::Waits(self.now + self.pause);
            self.groups.push(Group { key, worst: severity, state, trouble: None });
            if self.pause == 0 {
                self.open(group);
                return "opened";
            }
            return "waits";
        }
        self.groups[group].worst = worse(self.groups[group].worst, severity);
        let Some(trouble) = self.groups[group].trouble else { return "waits" };
        self.groups[group].state = State::Open;
        let trouble = &mut self.troubles[trouble];
        trouble.notes += usize::from(trouble.taken);
        if severity < trouble.severity {
            trouble.severity = severity;
            trouble.pages += usize::from(trouble.taken);
            trouble.taken = false;
        }
        "joined"
    }

    fn over(&mut self, name: usize) -> &'static str {
        // Of one whose incident somebody has resolved, the last report decides, too.
        let newest = self
            .signals
            .iter()
            .rposition(|signal| signal.name == name && self.groups[signal.group].state != State::Forgotten);
        let Some(place) = newest.filter(|place| self.signals[*place].firing) else { return "nothing" };
        self.signals[place].firing = false;
        let group = self.signals[place].group;
        if self.signals.iter().any(|signal| signal.group == group && signal.firing) {
            if matches!(self.groups[group].state, State::Waits(_)) {
                // It is forgotten alone: it is of a group that there is not any more.
                self.signals[place].group = self.groups.len();
                let (key, state) = (String::new(), State::Forgotten);
                self.groups.push(Group { key, worst: Severity::Low, state, trouble: None });
            }
            return "over";
        }
        match self.groups[group].state {
            State::Waits(_) => self.groups[group].state = State::Forgotten,
            State::Open if self.quiet == 0 => self.resolve(group),
            State::Open => self.groups[group].state = State::Quiet(self.now + self.quiet),
            _ => {}
        }
        "over"
    }

    fn resolve(&mut self, group: usize) {
        self.groups[group].state = State::Closed;
        self.troubles[self.groups[group].trouble.unwrap()].resolved = true;
    }

    fn tick(&mut self) {
        for group in 0..self.groups.len() {
            match self.groups[group].state {
                State::Waits(at) if at <= self.now => self.open(group),
                State::Quiet(at) if at <= self.now => self.resolve(group),
                _ => {}
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Fire(name, severity) => {
                let outcome = self.monitor.fire(NAMES[name], severity);
                assert_eq!(outcome, self.fire(name, severity), "{step:?} at {}", self.now);
            }
            Step::Over(name) => {
                let outcome = self.monitor.over(NAMES[name]);
                assert_eq!(outcome, self.over(name), "{step:?} at {}", self.now);
            }
            Step::Seen(name) => {
                self.monitor.act(&format!("{} seen", NAMES[name]));
                let firing = self.signal(name).filter(|place| self.signals[*place].firing);
                if let Some(trouble) = firing.and_then(|place| self.groups[self.signals[place].group].trouble) {
                    self.troubles[trouble].taken = true;
                }
            }
            Step::Take(number) if !self.troubles.is_empty() => {
                let trouble = number % self.troubles.len();
                let (id, ada) = (self.troubles[trouble].id.unwrap(), self.monitor.harbour.ada);
                self.monitor.harbour.run(AcknowledgeIncident::new(id), &ada).unwrap();
                self.troubles[trouble].taken |= !self.troubles[trouble].resolved;
            }
            Step::Resolve(number) if !self.troubles.is_empty() => {
                let trouble = number % self.troubles.len();
                self.monitor.resolve_by_hand(self.troubles[trouble].id.unwrap());
                if !self.troubles[trouble].resolved {
                    let group = self.groups.iter().position(|group| group.trouble == Some(trouble)).unwrap();
                    self.resolve(group);
                    self.troubles[trouble].by_hand = true;
                }
            }
            Step::Take(_) | Step::Resolve(_) => {}
            Step::Pass(seconds) => {
                self.now += seconds;
                self.monitor.at(self.now);
            }
            Step::Tick => {
                self.monitor.tick();
                self.tick();
            }
        }
        self.compare(step);
    }

    fn compare(&mut self, step: &Step) {
        let seen = self.monitor.incidents();
        assert_eq!(seen.len(), self.troubles.len(), "{step:?} at {}", self.now);
        for incident in seen {
            let listed = self.monitor.signals(incident.id);
            assert!(listed.is_sorted_by_key(|signal| signal.first_at), "oldest first");
            let mut signals: Vec<_> = listed
                .iter()
                .map(|it| (it.dedup_key.to_string(), it.severity, it.count, it.resolved_at.is_none()))
                .collect();
            // An incident that has just been opened is that of the group of its first signal.
            let place = self.troubles.iter().position(|it| it.id == Some(incident.id)).unwrap_or_else(|| {
                let first = NAMES.iter().position(|name| name.ends_with(&signals[0].0)).unwrap();
                let group = &self.groups[self.signals[self.signal(first).unwrap()].group];
                group.trouble.filter(|trouble| self.troubles[*trouble].id.is_none()).unwrap()
            });
            self.troubles[place].id = Some(incident.id);
            let trouble = &self.troubles[place];
            let group = self.groups.iter().position(|group| group.trouble == Some(place)).unwrap();
            let mut expected: Vec<_> = self
                .signals
                .iter()
                .filter(|signal| signal.group == group)
                .map(|it| {
                    let key = NAMES[it.name].split_once(':').map_or(NAMES[it.name], |(_, key)| key);
                    (key.to_owned(), it.severity, it.count, it.firing)
                })
                .collect();
            signals.sort();
            expected.sort();
            assert_eq!(signals, expected, "{step:?} at {}", self.now);
            let pages =
                self.monitor.harbour.ask(&ListPages::new(incident.id), &self.monitor.harbour.ben).unwrap().pages;
            let notes = self.monitor.notes(incident.id);
            let shown = (incident.severity, incident.acknowledged_at.is_some(), incident.status == Status::Resolved);
            assert_eq!(shown, (trouble.severity, trouble.taken, trouble.resolved), "{step:?} at {}", self.now);
            assert_eq!((pages.len(), notes.len()), (trouble.pages, trouble.notes), "{step:?} at {}", self.now);
            if trouble.resolved {
                let trail = self.monitor.harbour.detail(incident.id).audit_trail;
                let mut steps = trail.iter().filter(|event| matches!(event.event, Event::StatusChanged { .. }));
                let me = Author::Integration(self.monitor.id);
                assert!(steps.all(|event| (event.actor_id == Some(me)) != trouble.by_hand), "{trail:?}");
            }
        }
    }
}

/// What happens in a storm: one of so many alerts fires or is over, and seconds pass.
fn gusts(keys: usize) -> impl Strategy<Value = Vec<(usize, Option<Severity>, i64)>> {
    let gust = (0..keys, proptest::option::weighted(0.7, severity()), prop_oneof![40 => 0..3_i64, 1 => 0..900_i64]);
    proptest::collection::vec(gust, 1..350)
}

/// Lets a storm pass; gives how often each alert fired, and whether it fires.
fn storm(gusts: &[(usize, Option<Severity>, i64)], settings: Settings) -> (Monitor, BTreeMap<String, (u64, bool)>) {
    let mut monitor = Monitor::new(settings);
    let (mut told, mut now) = (BTreeMap::<String, (u64, bool)>::new(), 0);
    for (key, severity, seconds) in gusts {
        now += seconds;
        monitor.at(now);
        monitor.tick();
        let one = told.entry(format!("k{key}")).or_default();
        match severity {
            Some(severity) => {
                let outcome = monitor.fire(&format!("k{key}"), *severity);
                assert!(["opened", "joined", "counted"].contains(&outcome), "{outcome}");
                *one = (one.0 + 1, true);
            }
            None => {
                monitor.over(&format!("k{key}"));
                one.1 = false;
            }
        }
    }
    (monitor, told)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(300)))]

    #[test]
    fn any_order_of_events_gives_what_the_lists_say(steps in steps(0), quiet in quiet(), drops_low: bool) {
        let mut both = Both::new(0, quiet, drops_low);
        steps.iter().for_each(|step| both.step(step));
    }

    #[test]
    fn so_it_does_with_a_pause(steps in steps(0), quiet in quiet(), drops_low: bool) {
        let mut both = Both::new(30, quiet, drops_low);
        steps.iter().for_each(|step| both.step(step));
    }

    #[test]
    fn so_it_does_when_the_clock_jumps_back(steps in steps(50), quiet in quiet(), drops_low: bool) {
        let mut both = Both::new(0, quiet, drops_low);
        steps.iter().for_each(|step| both.step(step));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(40)))]

    #[test]
    fn a_storm_loses_nothing(gusts in gusts(250), quiet in prop_oneof![Just(0_i64), Just(60), Just(300)]) {
        let (monitor, told) = storm(&gusts, waits(0, quiet));
        let mut found = BTreeMap::<String, (u64, u64)>::new();
        for incident in monitor.incidents() {
            let signals = monitor.signals(incident.id);
            let worst = signals.iter().map(|signal| signal.severity).reduce(worse);
            prop_assert_eq!(worst, Some(incident.severity));
            let resolved = incident.status == Status::Resolved;
            prop_assert!(!resolved || signals.iter().all(|signal| signal.resolved_at.is_some()));
            for signal in signals {
                let one = found.entry(signal.dedup_key.to_string()).or_default();
                *one = (one.0 + signal.count, one.1 + u64::from(signal.resolved_at.is_none()));
            }
        }
        for (key, (count, fires)) in told {
            let found = found.get(&key).copied().unwrap_or_default();
            prop_assert_eq!(found, (count, u64::from(fires)), "{}", key);
        }
    }

    #[test]
    fn a_storm_opens_few(gusts in gusts(70), quiet in prop_oneof![Just(0_i64), Just(60), Just(300), Just(900)]) {
        let (monitor, _) = storm(&gusts, waits(0, quiet));
        let opened: Vec<_> = monitor.incidents().iter().map(|it| it.created_at.as_millis()).collect();
        for (n, at) in opened.iter().enumerate() {
            let within = opened[n..].iter().take_while(|later| **later < at + 600_000).count();
            prop_assert!(within <= 61, "{} within ten minutes of {}", within, monitor.second(Timestamp::clamped(*at)));
        }
    }
}
