//! The model of what comes in over integrations (contract, section 14): signals, groups, storms and heartbeats.

use dogwatch_core::Timestamp;
use dogwatch_core::integration::{AlertKey, Storm};

use crate::model::{By, Millis, Overdue, Waits};
use crate::rooms::Org;
use crate::rooms::incident::{RESOLVED, SEVERITIES};

use super::model::IntegrationModel;

const TEN_MINUTES: Millis = 10 * 60_000;
/// The severity of a heartbeat that is silent: `high`.
const HIGH: usize = 1;

/// What a group is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupKey {
    /// The key of an alert that is one by itself.
    Alone(String),
    /// What the sender says belongs together.
    Together(String),
    /// The storm that began then, and was last joined then.
    Storm(Millis),
}

impl GroupKey {
    /// What decides the order of groups that are due at one instant.
    fn order(&self) -> String {
        let key = match self {
            Self::Alone(key) => AlertKey::of(key),
            Self::Together(key) => AlertKey::of_group(key),
            Self::Storm(began) => Storm { began: Timestamp::clamped(*began), last: Timestamp::MIN }.key(),
        };
        format!("{key:?}")
    }
}

/// What a group waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its incident is opened at that instant.
    Pausing(Millis),
    /// A signal fires.
    Open,
    /// All signals are over; the incident is resolved at that instant.
    Quiet(Millis),
    /// Its incident is resolved, or it never had one.
    Closed,
}

/// Signals that belong together.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the words of the contract")]
pub struct Group {
    pub key: GroupKey,
    pub state: State,
    pub incident: Option<usize>,
    pub signals: Vec<SignalModel>,
    /// Title and description of its first alert, and the worst severity of all.
    pub title: String,
    pub description: Option<String>,
    pub severity: usize,
}

impl Group {
    /// When it goes on by itself.
    pub(super) fn due(&self) -> Option<Millis> {
        match self.state {
            State::Pausing(at) | State::Quiet(at) => Some(at),
            State::Open | State::Closed => None,
        }
    }
}

/// A signal.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct SignalModel {
    /// How many signals the integration had before it.
    pub number: usize,
    pub key: String,
    pub severity: usize,
    pub summary: String,
    pub source: String,
    pub first: Millis,
    pub last: Millis,
    pub count: u64,
    pub resolved: Option<Millis>,
    /// The ids of the reports that carry one, and have acted.
    pub reports: Vec<String>,
}

impl SignalModel {
    /// The text that a reply about it must render to.
    pub(super) fn shown(&self) -> String {
        let Self { key, summary, source, first, last, count, resolved, .. } = self;
        let severity = SEVERITIES[self.severity];
        format!("{key:?} {severity} {summary:?} {source:?} from {first} to {last} {count} times, over {resolved:?}")
    }
}

/// What is said of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the contract")]
pub enum Says {
    Firing(Fire),
    Acknowledged,
    Resolved,
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the contract")]
pub struct Fire {
    pub severity: usize,
    pub title: String,
    pub summary: String,
    pub source: String,
    pub description: String,
}

/// A text with as many characters as fit, the last of them `…` when something is cut.
fn fitting(text: &str, most: usize) -> String {
    // Alerts of the model have no line breaks in their words, which only some texts may hold.
    let fits = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    let text: String = text.chars().map(fits).collect();
    if text.chars().count() <= most { text } else { text.chars().take(most - 1).chain(['…']).collect() }
}

impl Org {
    /// What becomes of an alert over an integration.
    pub(super) fn receive(
        &mut self,
        of: usize,
        (key, group, report): (&str, Option<&String>, Option<&String>),
        says: &Says,
        now: Millis,
    ) -> &'static str {
        self.integrations[of].last = Some(now);
        let group = match group {
            Some(group) => GroupKey::Together(group.clone()),
            None => GroupKey::Alone(key.to_owned()),
        };
        let mut known = self.signals_called(of, key).flat_map(|signal| &signal.reports);
        if report.is_some_and(|report| known.any(|known| known == report)) {
            return "repeated";
        }
        drop(known);
        let outcome = self.heed(of, (key, group), says, now);
        // What has done nothing may still act, once.
        if let Some(report) = report.filter(|_| !["nothing", "dropped"].contains(&outcome)) {
            let newest = self.signals_called(of, key).max_by_key(|signal| signal.number);
            newest.unwrap().reports.push(report.clone());
        }
        // Of what is forgotten, only that reports have acted is known.
        self.integrations[of].forgotten.retain(|signal| !signal.reports.is_empty());
        outcome
    }

    /// All signals that have had a key.
    fn signals_called(&mut self, of: usize, key: &str) -> impl Iterator<Item = &mut SignalModel> {
        let one = &mut self.integrations[of];
        let signals = one.groups.iter_mut().flat_map(|group| &mut group.signals).chain(&mut one.forgotten);
        signals.filter(move |signal| signal.key == key)
    }

    /// What becomes of an alert that has not come before.
    fn heed(&mut self, of: usize, (key, group): (&str, GroupKey), says: &Says, now: Millis) -> &'static str {
        let Some((place, signal)) = self.signal(of, key) else {
            return match says {
                Says::Firing(fire) if self.integrations[of].drops[fire.severity] => "dropped",
                Says::Firing(fire) => self.begin(of, (key, group), fire, now),
                Says::Acknowledged => "nothing",
                Says::Resolved => self.end_late(of, key, now),
            };
        };
        let one = &mut self.integrations[of].groups[place].signals[signal];
        match says {
            Says::Firing(fire) => {
                self.count(of, (place, signal), fire, now);
                "counted"
            }
            Says::Resolved if one.resolved.is_some() => "nothing",
            Says::Resolved => {
                self.end(of, (place, signal), now);
                "over"
            }
            Says::Acknowledged => {
                let (open, group) = (one.resolved.is_none(), &self.integrations[of].groups[place]);
                let storm = matches!(group.key, GroupKey::Storm(_));
                match group.incident.filter(|_| open && !storm) {
                    Some(incident) if self.incidents[incident].acknowledged.is_none() => {
                        self.be_acknowledged(incident, By::Integration(of), now);
                        "acknowledged"
                    }
                    _ => "nothing",
                }
            }
        }
    }

    /// A signal whose incident somebody has resolved stays as it is until its sender says that it is over.
    fn end_late(&mut self, of: usize, key: &str, now: Millis) -> &'static str {
        let newest = self.signals_called(of, key).max_by_key(|signal| signal.number);
        match newest.filter(|signal| signal.resolved.is_none()) {
            Some(signal) => {
                signal.resolved = Some(now.max(signal.last));
                "over"
            }
            None => "nothing",
        }
    }

    /// The signal with a key, in a group that is not closed.
    fn signal(&self, of: usize, key: &str) -> Option<(usize, usize)> {
        let groups = self.integrations[of].groups.iter().enumerate();
        let mut open = groups.filter(|(_, group)| group.state != State::Closed);
        open.find_map(|(place, group)| {
            group.signals.iter().position(|signal| signal.key == key).map(|signal| (place, signal))
        })
    }

    /// A signal that there is fires once more: it counts, and may raise the severity.
    fn count(&mut self, of: usize, (place, signal): (usize, usize), fire: &Fire, now: Millis) {
        let group = &mut self.integrations[of].groups[place];
        let one = &mut group.signals[signal];
        one.count += 1;
        // One that goes on as it was leaves alone what somebody has made of the incident.
        let news = one.resolved.is_some() || fire.severity < one.severity;
        one.severity = one.severity.min(fire.severity);
        (one.summary, one.source) = (fitting(&fire.summary, 1_024), fitting(&fire.source, 255));
        // Its time does not run backwards.
        (one.last, one.resolved) = (one.last.max(now), None);
        group.severity = group.severity.min(fire.severity);
        if let Some(incident) = group.incident.filter(|_| news) {
            group.state = State::Open;
            self.raise(of, incident, fire.severity, now);
        }
    }

    /// Raises the severity of an incident, if this one is higher; gives whether it was.
    fn raise(&mut self, of: usize, incident: usize, severity: usize, now: Millis) -> bool {
        let incident = &mut self.incidents[incident];
        let higher = severity < incident.severity;
        if higher {
            incident.severity = severity;
            incident.event("incident_edited", now, By::Integration(of));
        }
        higher
    }

    /// A new signal: it joins the group that there is, or the storm, or begins a group.
    fn begin(&mut self, of: usize, (key, group): (&str, GroupKey), fire: &Fire, now: Millis) -> &'static str {
        // The time of a key does not run backwards.
        let earlier = self.signals_called(of, key).map(|signal| signal.first).max();
        let first = earlier.map_or(now, |earlier| earlier.max(now));
        let number = self.integrations[of].signals;
        self.integrations[of].signals += 1;
        let signal = SignalModel {
            number,
            key: key.to_owned(),
            severity: fire.severity,
            summary: fitting(&fire.summary, 1_024),
            source: fitting(&fire.source, 255),
            first,
            last: first,
            count: 1,
            resolved: None,
            reports: Vec::new(),
        };
        let one = &mut self.integrations[of];
        let live = |one: &IntegrationModel, key: &GroupKey| {
            one.groups.iter().position(|group| group.key == *key && group.state != State::Closed)
        };
        let mut key = group;
        let mut found = live(one, &key);
        if found.is_none() {
            // What is over stays over when the clock goes back.
            one.begun.retain(|begun| now < *begun + TEN_MINUTES);
            let under_way = one.storm.filter(|(_, last)| now < *last + TEN_MINUTES);
            if under_way.is_none() && one.begun.len() < 60 {
                one.begun.push(now);
            } else {
                let began = under_way.map_or(now, |(began, _)| began);
                one.storm = Some((began, now));
                key = GroupKey::Storm(began);
                found = live(one, &key);
            }
        }
        if let Some(place) = found {
            let group = &mut one.groups[place];
            group.signals.push(signal);
            group.severity = group.severity.min(fire.severity);
            let Some(incident) = group.incident else { return "waits" };
            group.state = State::Open;
            self.joined(of, incident, fire.severity, now);
            return "joined";
        }
        let title = if fire.title.is_empty() { &fire.summary } else { &fire.title };
        let title = match key {
            GroupKey::Storm(_) => format!("Alert storm: {}", one.name),
            _ => title.clone(),
        };
        // The whole text is in the description.
        let cut = title.chars().count() > 100;
        let description = if cut { format!("{title}\n\n{}", fire.description) } else { fire.description.clone() };
        one.groups.push(Group {
            key,
            state: State::Pausing(now + one.pause * 1_000),
            incident: None,
            signals: vec![signal],
            // The names of some integrations begin with a space.
            title: fitting(title.trim(), 100),
            description: Some(fitting(&description, 10_000)).filter(|text| !text.is_empty()),
            severity: fire.severity,
        });
        if one.pause > 0 {
            return "waits";
        }
        let place = one.groups.len() - 1;
        self.open(of, place, now);
        "opened"
    }

    /// A new signal has joined an incident.
    fn joined(&mut self, of: usize, incident: usize, severity: usize, now: Millis) {
        let acknowledged = self.incidents[incident].acknowledged.is_some();
        if acknowledged && self.incidents[incident].updates.len() < 1_000 {
            // What the update says is learnt.
            self.add_update(incident, By::Integration(of), now, (Some(&String::new()), None, false));
        }
        if self.raise(of, incident, severity, now) && acknowledged {
            self.be_paged_again(incident, now);
        }
    }

    /// Opens the incident of a group.
    fn open(&mut self, of: usize, place: usize, now: Millis) {
        let one = &self.integrations[of];
        let component = one.component.filter(|component| !self.components[*component].deleted);
        let schedule = one.schedule.filter(|schedule| self.schedule_here(Some(*schedule)).is_some());
        let policy = one.policy.filter(|policy| self.policy_here(Some(*policy)).is_some());
        let owner = schedule.and_then(|schedule| self.on_call(schedule, now));
        let policy = self.attached(policy.map(Some), schedule).unwrap();
        let group = &one.groups[place];
        let (title, severity, description) = (group.title.clone(), group.severity, group.description.clone());
        let about = (owner, policy, component.into_iter().collect());
        let incident = self.open_incident(By::Integration(of), now, &title, severity, description, about);
        let group = &mut self.integrations[of].groups[place];
        (group.incident, group.state) = (Some(incident), State::Open);
    }

    /// A signal is over.
    fn end(&mut self, of: usize, (place, signal): (usize, usize), now: Millis) {
        let one = &mut self.integrations[of];
        let group = &mut one.groups[place];
        if let State::Pausing(_) = group.state {
            let mut forgotten = group.signals.remove(signal);
            forgotten.resolved = Some(now.max(forgotten.last));
            if group.signals.is_empty() {
                group.state = State::Closed;
            }
            one.forgotten.push(forgotten);
            return;
        }
        let signal = &mut group.signals[signal];
        signal.resolved = Some(now.max(signal.last));
        if group.signals.iter().any(|signal| signal.resolved.is_none()) {
            return;
        }
        let mut at = now + one.quiet * 1_000;
        if let (GroupKey::Storm(began), Some((last_began, last))) = (&group.key, one.storm)
            && *began == last_began
        {
            // In whole seconds from now.
            let rest = (last + TEN_MINUTES - now + 999) / 1_000;
            at = at.max(now + rest * 1_000);
        }
        group.state = State::Quiet(at);
        if at <= now {
            self.resolve_group(of, place, now);
        }
    }

    /// Resolves the incident of a group, step by step.
    fn resolve_group(&mut self, of: usize, place: usize, now: Millis) {
        let incident = self.integrations[of].groups[place].incident.unwrap();
        for status in self.incidents[incident].status + 1..=RESOLVED {
            // The last update says why; what it says is learnt.
            let why = String::new();
            let body = Some(&why).filter(|_| status == RESOLVED);
            self.add_update(incident, By::Integration(of), now, (body, Some(status), false));
        }
    }

    /// What of alerts goes on by a tick.
    pub(crate) fn overdue_alerts(&self, now: Millis) -> Vec<Overdue> {
        let mut overdue = Vec::new();
        for (of, one) in self.integrations.iter().enumerate() {
            let silent = one.silent_at().map(|at| (at, (1, one.id.clone()), Waits::Heartbeat(of)));
            let groups = one.groups.iter().enumerate().filter_map(|(place, group)| {
                let order = (2, format!("{} {}", one.id, group.key.order()));
                Some((group.due()?, order, Waits::Group(of, place)))
            });
            overdue.extend(groups.chain(silent).filter(|(due, ..)| *due <= now));
        }
        overdue
    }

    /// The incident of a group is opened, or resolved.
    pub(crate) fn let_group_go_on(&mut self, of: usize, place: usize, now: Millis) -> Option<usize> {
        match self.integrations[of].groups[place].state {
            State::Pausing(_) => self.open(of, place, now),
            State::Quiet(_) => self.resolve_group(of, place, now),
            State::Open | State::Closed => {}
        }
        self.integrations[of].groups[place].incident
    }

    /// A beat was missed: that is an alert. Gives its incident.
    pub(crate) fn fall_silent(&mut self, of: usize, now: Millis) -> Option<usize> {
        let one = &mut self.integrations[of];
        one.beat = None;
        let fire = Fire {
            severity: HIGH,
            title: format!("{} is silent", one.name),
            summary: String::new(),
            source: String::new(),
            description: String::new(),
        };
        match self.signal(of, "") {
            Some(found) => self.count(of, found, &fire, now),
            None => drop(self.begin(of, ("", GroupKey::Alone(String::new())), &fire, now)),
        }
        let (place, _) = self.signal(of, "")?;
        self.integrations[of].groups[place].incident
    }

    /// A beat: what was silent is over, and the next one is waited for.
    pub(super) fn receive_beat(&mut self, of: usize, now: Millis) -> &'static str {
        let one = &mut self.integrations[of];
        (one.last, one.beat) = (Some(now), Some(now));
        let found = self.signal(of, "");
        let open =
            |(place, signal): &(usize, usize)| self.integrations[of].groups[*place].signals[*signal].resolved.is_none();
        match found.filter(open) {
            Some(found) => {
                self.end(of, found, now);
                "over"
            }
            None => "nothing",
        }
    }
}
