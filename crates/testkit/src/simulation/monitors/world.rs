//! What must be so of one integration, by section 14 of the contract and by what it was told: its signals, and what waits.
//!
//! It is as naive as it can be: lists that are searched. When nobody knows whether something has arrived, there are several worlds,
//! and each thing that is seen later rules some of them out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dogwatch_core::Timestamp;
use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{
    Alert, AlertState, Firing, IntegrationKind, IntegrationSetting, Received, SeverityOutcome,
};
use dogwatch_core::text::TopicArn;

use super::posts::{Post, Reply, Sent, Token};

/// The key of the one alert of a heartbeat.
const SILENCE: &str = "heartbeat";
pub(super) const TEN_MINUTES: Duration = Duration::from_secs(600);
/// The most incidents of ten minutes, before a storm.
const BEFORE_STORM: usize = 60;

/// What an incident is told apart by: its title, and how many were opened with that before.
pub(super) type Name = (String, usize);

/// Which alerts are one incident.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Together {
    Alone(String),
    Of(String),
    /// A storm that began at an instant: a later one is another incident.
    Storm(Timestamp),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sig {
    pub(super) key: String,
    pub(super) severity: Severity,
    /// What the last report said.
    pub(super) summary: String,
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
    pub(super) count: u64,
    pub(super) resolved_at: Option<Timestamp>,
    /// Signals in the order in which they began.
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The incident is opened at an instant, if the alert lasts.
    Waits(Timestamp),
    Open,
    /// The incident is resolved at an instant, if it stays quiet.
    Quiet(Timestamp),
    /// The integration has resolved it, at an instant, or somebody else has.
    Closed(Option<Timestamp>),
}

/// What an alert did to an incident that was open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A new signal.
    Joined(Severity),
    /// A signal that there was fires again after it was over, or is worse.
    Fired(Severity),
    /// It was acknowledged, or had been; `None` when nobody knows.
    Acknowledged(Option<bool>),
}

/// Signals that are one incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    together: Together,
    pub(super) title: String,
    /// The worst severity of all signals, of those that are forgotten, too.
    pub(super) worst: Severity,
    pub(super) signals: Vec<Sig>,
    pub(super) phase: Phase,
    /// When its incident was opened.
    pub(super) opened_at: Timestamp,
    /// How its integration was set up when its incident was opened.
    pub(super) opened_by: Option<Box<IntegrationSetting>>,
    /// What was done to its incident in this step.
    pub(super) deeds: Vec<Deed>,
    /// Whether anything has happened to it in this step.
    pub(super) stirred: bool,
}

impl Group {
    fn firing(&self) -> bool {
        self.signals.iter().any(|signal| signal.resolved_at.is_none())
    }
}

/// How the incidents of an integration are seen to be: those that there are, and those that it has resolved.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) opened: BTreeSet<Name>,
    pub(super) resolved: BTreeSet<Name>,
}

/// What a tick fires.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tick<'a> {
    /// All that is due.
    All,
    /// As a fault may have kept it from some: what is seen to have happened, but one perhaps by a later tick; and what nobody sees, or not.
    Some { seen: &'a Seen, but: Option<&'a Name>, silent: bool },
}

impl Tick<'_> {
    /// Whether it opens an incident, or resolves it.
    fn fires(self, name: &Name, of: impl Fn(&Seen) -> &BTreeSet<Name>) -> bool {
        match self {
            Self::All => true,
            Self::Some { seen, but, .. } => of(seen).contains(name) && but != Some(name),
        }
    }
}

/// What may be so of an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct World {
    /// How it is set up.
    pub(super) setting: IntegrationSetting,
    pub(super) deleted: bool,
    /// The token that works.
    pub(super) token: Token,
    /// The topic that may report.
    pub(super) topic: Option<TopicArn>,
    /// The ids of the reports that have acted, each with the key of its alert.
    acted: BTreeSet<(String, String)>,
    waiting: Vec<Group>,
    pub(super) opened: BTreeMap<Name, Group>,
    /// How many incidents were opened with a title.
    titles: BTreeMap<String, usize>,
    /// When incidents, or waits for them, began.
    begun: Vec<Timestamp>,
    /// When the last storm began, and when the last new signal joined it.
    storm: Option<(Timestamp, Timestamp)>,
    /// When a beat is missed.
    pub(super) silent_at: Option<Timestamp>,
    /// Whether no tick has come since it was set up anew: that may have made what waits overdue.
    pub(super) set_anew: bool,
    /// When something last came in.
    pub(super) last_at: Option<Timestamp>,
    signals: u64,
}

impl World {
    /// An integration that was just made.
    pub(super) fn of(setting: IntegrationSetting) -> Self {
        Self {
            setting,
            deleted: false,
            token: 0,
            topic: None,
            acted: BTreeSet::new(),
            waiting: Vec::new(),
            opened: BTreeMap::new(),
            titles: BTreeMap::new(),
            begun: Vec::new(),
            storm: None,
            silent_at: None,
            set_anew: false,
            last_at: None,
            signals: 0,
        }
    }

    /// Takes what is sent; whether what was answered can be true. Without an answer, anything can.
    pub(super) fn receives(&mut self, post: &Post) -> bool {
        let reply = post.reply.as_ref();
        if self.deleted || self.token != post.token {
            return reply.is_none_or(|reply| *reply == Reply::Refused);
        }
        let received = match reply {
            Some(Reply::Received(received)) => Some(received),
            _ => None,
        };
        let answer = |n: usize| received.and_then(|received| received.get(n).copied());
        let lost_or_received = reply.is_none() || received.is_some();
        match &post.sent {
            Sent::Beat => lost_or_received && self.beats(post.at, answer(0)),
            Sent::Alerts(alerts) => {
                let mut each = alerts.iter().enumerate();
                lost_or_received && each.all(|(n, alert)| self.arrives(alert, post.at, answer(n)))
            }
            Sent::Confirm(topic) => {
                let confirmed = *self.topic.get_or_insert_with(|| topic.clone()) == *topic;
                reply.is_none_or(|reply| *reply == Reply::Confirmed(confirmed))
            }
            Sent::FromTopic(topic, _) if self.topic.as_ref() != Some(topic) => {
                reply.is_none_or(|reply| *reply == Reply::Foreign)
            }
            Sent::FromTopic(_, None) => lost_or_received && answer(0).is_none_or(|answer| answer == Received::Nothing),
            Sent::FromTopic(_, Some(alert)) => lost_or_received && self.arrives(alert, post.at, answer(0)),
        }
    }

    pub(super) fn is_heartbeat(&self) -> bool {
        self.setting.kind == IntegrationKind::Heartbeat
    }

    /// When a beat is missed, after one at this instant.
    pub(super) fn missed_after(&self, beat: Timestamp) -> Option<Timestamp> {
        let both = self.setting.period_seconds.zip(self.setting.grace_seconds);
        both.map(|(period, grace)| beat.plus(seconds(period)).plus(seconds(grace)))
    }

    /// Takes an alert that arrives; whether what was answered can be true.
    fn arrives(&mut self, alert: &Alert, now: Timestamp, answer: Option<Received>) -> bool {
        self.last_at = Some(now);
        let report = alert.report.clone().map(|report| (alert.key.clone(), report));
        if report.as_ref().is_some_and(|report| self.acted.contains(report)) {
            return answer.is_none_or(|answer| answer == Received::Repeated);
        }
        let expected = match &alert.state {
            AlertState::Firing(firing) => self.fires(alert, firing, now),
            AlertState::Resolved => self.is_over(&alert.key, now),
            AlertState::Acknowledged => return self.acknowledges(&alert.key, answer),
        };
        if !matches!(expected, Received::Nothing | Received::Dropped) {
            self.acted.extend(report);
        }
        answer.is_none_or(|answer| answer == expected)
    }

    /// Takes a beat.
    fn beats(&mut self, now: Timestamp, answer: Option<Received>) -> bool {
        let expected = self.is_over(SILENCE, now);
        (self.last_at, self.silent_at) = (Some(now), self.missed_after(now));
        answer.is_none_or(|answer| answer == expected)
    }

    /// The group of the newest signal with a key, and the place of the signal in it.
    fn newest(&mut self, key: &str) -> Option<(&mut Group, usize)> {
        let groups = self.waiting.iter_mut().chain(self.opened.values_mut());
        let place = |group: &Group| group.signals.iter().rposition(|signal| signal.key == key);
        let found = groups.filter_map(|group| place(group).map(|place| (group, place)));
        found.max_by_key(|(group, place)| group.signals.get(*place).map(|signal| signal.number))
    }

    fn fires(&mut self, alert: &Alert, firing: &Firing, now: Timestamp) -> Received {
        if let Some((group, place)) = self.newest(&alert.key)
            && !matches!(group.phase, Phase::Closed(_))
        {
            let Some(signal) = group.signals.get_mut(place) else { return Received::Nothing };
            signal.count += 1;
            // A report that tells nothing new does not undo that somebody has found the incident to be less bad.
            if signal.resolved_at.is_some() || firing.severity < signal.severity {
                group.deeds.push(Deed::Fired(firing.severity));
            }
            signal.severity = signal.severity.min(firing.severity);
            signal.summary.clone_from(&firing.summary);
            (signal.last_at, signal.resolved_at) = (now.max(signal.last_at), None);
            group.worst = group.worst.min(firing.severity);
            group.stirred = true;
            if let Phase::Quiet(_) = group.phase {
                group.phase = Phase::Open;
            }
            return Received::Counted;
        }
        let drops = self.setting.severities.outcome(firing.severity) == SeverityOutcome::Drop;
        if drops && !self.is_heartbeat() {
            return Received::Dropped;
        }
        self.begins(alert, firing, now)
    }

    /// A signal that there was not: it joins a group, or begins one.
    fn begins(&mut self, alert: &Alert, firing: &Firing, now: Timestamp) -> Received {
        let mut together = alert.group.clone().map_or_else(|| Together::Alone(alert.key.clone()), Together::Of);
        if self.open(&together).is_none()
            && let Some(began) = self.storms(now)
        {
            (together, self.storm) = (Together::Storm(began), Some((began, now)));
        }
        self.signals += 1;
        let signal = Sig {
            key: alert.key.clone(),
            severity: firing.severity,
            summary: firing.summary.clone(),
            first_at: now,
            last_at: now,
            count: 1,
            resolved_at: None,
            number: self.signals,
        };
        if let Some(group) = self.open(&together) {
            group.worst = group.worst.min(signal.severity);
            group.deeds.push(Deed::Joined(signal.severity));
            group.signals.push(signal);
            group.stirred = true;
            return match group.phase {
                Phase::Waits(_) => Received::Waits,
                _ => {
                    group.phase = Phase::Open;
                    Received::Joined
                }
            };
        }
        let title = match together {
            Together::Storm(_) => format!("Alert storm: {}", self.setting.name),
            _ => firing.title.clone(),
        };
        if !matches!(together, Together::Storm(_)) {
            self.begun.push(now);
        }
        let (worst, phase) = (signal.severity, Phase::Waits(now.plus(seconds(self.setting.pause_seconds))));
        let (signals, deeds, opened_by) = (vec![signal], Vec::new(), None);
        let group = Group { together, title, worst, signals, phase, opened_at: now, opened_by, deeds, stirred: true };
        if self.setting.pause_seconds == 0 {
            self.opens(group, now);
            return Received::Opened;
        }
        self.waiting.push(group);
        Received::Waits
    }

    fn open(&mut self, together: &Together) -> Option<&mut Group> {
        let mut groups = self.waiting.iter_mut().chain(self.opened.values_mut());
        groups.find(|group| group.together == *together && !matches!(group.phase, Phase::Closed(_)))
    }

    /// When the storm began, if one more incident would be too many.
    fn storms(&self, now: Timestamp) -> Option<Timestamp> {
        let lately = |at: &Timestamp| now < at.plus(TEN_MINUTES);
        let too_many = self.begun.iter().filter(|at| lately(at)).count() >= BEFORE_STORM;
        let under_way = self.storm.filter(|(_, last)| lately(last)).map(|(began, _)| began);
        under_way.or(Some(now).filter(|_| too_many))
    }

    /// The incident of a group is opened.
    fn opens(&mut self, group: Group, now: Timestamp) {
        let before = self.titles.entry(group.title.clone()).or_default();
        let name = (group.title.clone(), *before);
        *before += 1;
        let (phase, opened_by) = (Phase::Open, Some(Box::new(self.setting.clone())));
        let group = Group { phase, opened_at: now, opened_by, deeds: Vec::new(), stirred: true, ..group };
        self.opened.insert(name, group);
    }

    fn is_over(&mut self, key: &str, now: Timestamp) -> Received {
        let (last_storm, quiet) = (self.storm, seconds(self.setting.resolve_after_seconds));
        let Some((group, place)) = self.newest(key) else { return Received::Nothing };
        let Some(signal) = group.signals.get_mut(place).filter(|signal| signal.resolved_at.is_none()) else {
            return Received::Nothing;
        };
        signal.resolved_at = Some(now.max(signal.last_at));
        group.stirred = true;
        match group.phase {
            // What is over before the incident is opened is forgotten.
            Phase::Waits(_) => {
                group.signals.remove(place);
                self.waiting.retain(|group| !group.signals.is_empty());
            }
            Phase::Open if !group.firing() => {
                let storm = last_storm.filter(|(began, _)| group.together == Together::Storm(*began));
                let at = storm.map_or(now, |(_, last)| last.plus(TEN_MINUTES)).max(now.plus(quiet));
                group.phase = if at == now { Phase::Closed(Some(now)) } else { Phase::Quiet(at) };
            }
            Phase::Open | Phase::Quiet(_) | Phase::Closed(_) => {}
        }
        Received::Over
    }

    /// Somebody acknowledges an alert in the monitor: its incident is acknowledged, unless it was.
    fn acknowledges(&mut self, key: &str, answer: Option<Received>) -> bool {
        let fires = |(group, place): &(&mut Group, usize)| {
            // Whoever acknowledges a signal of a storm acknowledges nothing.
            let storm = matches!(group.together, Together::Storm(_));
            !storm && group.phase == Phase::Open && group.signals.get(*place).is_some_and(|it| it.resolved_at.is_none())
        };
        let Some((group, _)) = self.newest(key).filter(fires) else {
            return answer.is_none_or(|answer| answer == Received::Nothing);
        };
        group.deeds.push(Deed::Acknowledged(answer.map(|answer| answer == Received::Acknowledged)));
        group.stirred = true;
        answer.is_none_or(|answer| matches!(answer, Received::Acknowledged | Received::Nothing))
    }

    /// Somebody else resolves an incident: its signals stay as they are. Whether that can be.
    pub(super) fn is_closed(&mut self, name: &Name) -> bool {
        let Some(group) = self.opened.get_mut(name) else { return false };
        let open = !matches!(group.phase, Phase::Closed(_));
        (group.phase, group.stirred) = (Phase::Closed(None), true);
        open
    }

    /// Lets time pass.
    pub(super) fn ticks(&mut self, at: Timestamp, what: Tick<'_>, silence_first: bool) {
        self.set_anew = false;
        let silent = self.silent_at.filter(|silent| *silent <= at && !matches!(what, Tick::Some { silent: false, .. }));
        // What is due earlier comes first: a beat that is missed while its incident is quiet, or after that was resolved.
        let quiet_until = self.opened.values().filter_map(|group| group.phase.due()).min();
        let first = match silent.zip(quiet_until) {
            Some((silent, quiet)) => silent < quiet || (silent == quiet && silence_first),
            None => true,
        };
        if silent.is_some() && first {
            self.falls_silent(at);
        }
        let mut due: Vec<_> = self.waiting.extract_if(.., |group| is_due(group, at)).collect();
        due.sort_by_key(|group| group.phase.due());
        for group in due {
            match what.fires(&self.next_name(&group), |seen| &seen.opened) {
                true => self.opens(group, at),
                false => self.waiting.push(group),
            }
        }
        for (name, group) in self.opened.iter_mut().filter(|(_, group)| is_due(group, at)) {
            if what.fires(name, |seen| &seen.resolved) {
                (group.phase, group.stirred) = (Phase::Closed(Some(at)), true);
            }
        }
        if silent.is_some() && !first {
            self.falls_silent(at);
        }
    }

    /// What an incident is called, if it is opened next.
    fn next_name(&self, group: &Group) -> Name {
        (group.title.clone(), self.titles.get(&group.title).copied().unwrap_or_default())
    }

    /// The incidents that a tick for an instant opens or resolves.
    pub(super) fn due_names(&self, at: Timestamp) -> Vec<Name> {
        let opens = self.waiting.iter().filter(|group| is_due(group, at)).map(|group| self.next_name(group));
        let resolves = self.opened.iter().filter(|(_, group)| is_due(group, at)).map(|(name, _)| name.clone());
        opens.chain(resolves).collect()
    }

    /// A beat is missed.
    fn falls_silent(&mut self, at: Timestamp) {
        self.silent_at = None;
        let firing = Firing {
            severity: Severity::High,
            title: format!("{} is silent", self.setting.name),
            summary: String::new(),
            source: String::new(),
            description: String::new(),
        };
        let alert = Alert { key: SILENCE.to_owned(), group: None, state: AlertState::Resolved, report: None };
        let _ = self.fires(&alert, &firing, at);
    }

    /// When an incident is resolved, if nothing happens before; and whether a beat that is missed at that instant may come before it.
    pub(super) fn quiet_until(&self, name: &Name) -> Option<(Timestamp, bool)> {
        let quiet = self.opened.get(name)?.phase.due()?;
        Some((quiet, self.silent_at != Some(quiet))).filter(|_| self.silent_at.is_none_or(|silent| quiet <= silent))
    }

    /// Whether a beat is missed at the instant at which the incident about the last one is resolved.
    pub(super) fn is_tied(&self, at: Timestamp) -> bool {
        let silent = self.silent_at.filter(|silent| *silent <= at);
        silent.is_some() && self.opened.values().any(|group| group.phase.due() == silent)
    }

    /// How much goes on by a tick for an instant, at least and at most.
    pub(super) fn due(&self, at: Timestamp) -> (usize, usize) {
        // When a beat is missed, its incident is not quiet any more.
        let silent = self.silent_at.filter(|silent| *silent <= at);
        let most = self.deadlines().filter(|due| *due <= at && silent.is_none_or(|silent| *due <= silent)).count();
        (most - usize::from(self.is_tied(at)), most)
    }

    /// How much must have gone on by a tick for an instant that has come, and did not.
    pub(super) fn overdue(&self, at: Timestamp) -> usize {
        let silent = self.silent_at.filter(|_| self.set_anew);
        self.deadlines().filter(|due| *due <= at && Some(*due) != silent).count()
    }

    /// When something goes on by itself.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let groups = self.waiting.iter().chain(self.opened.values());
        groups.filter_map(|group| group.phase.due()).chain(self.silent_at)
    }

    /// Forgets what was done in a step.
    pub(super) fn settle(&mut self) {
        for group in self.waiting.iter_mut().chain(self.opened.values_mut()) {
            group.deeds.clear();
            group.stirred = false;
        }
    }
}

impl Phase {
    pub(super) fn due(self) -> Option<Timestamp> {
        match self {
            Self::Waits(at) | Self::Quiet(at) => Some(at),
            Self::Open | Self::Closed(_) => None,
        }
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn is_due(group: &Group, at: Timestamp) -> bool {
    group.phase.due().is_some_and(|due| due <= at)
}
