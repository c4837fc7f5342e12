//! Who is on call, the naive way: every version of every layer is kept, and turns are counted one boundary after another.
//!
//! A [`Roster`] is a schedule: its [`LayerState`]s, each with all of its [`Settings`], and its [`OverrideState`]s. People are
//! named by their place in a list of everybody, layers by their place in the order of creation.

use std::collections::BTreeSet;

use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::model::Millis;

/// The settings of a layer: `days` is the length of a turn, `handoff` is in minutes after midnight, and people are places in a
/// list of everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Settings {
    pub zone: String,
    pub days: i64,
    pub handoff: u16,
    pub from: Millis,
    pub until: Option<Millis>,
    pub people: Vec<usize>,
}

impl Settings {
    fn zone(&self) -> TimeZone {
        TimeZoneDatabase::bundled().get(&self.zone).unwrap()
    }

    fn anchor(&self) -> Date {
        self.zone().to_datetime(jiff::Timestamp::from_millisecond(self.from).unwrap()).date()
    }

    /// The boundaries up to an instant, and the next one: found by walking from one local date to the next, from the anchor.
    fn boundaries(&self, to: Millis) -> Vec<Millis> {
        let zone = self.zone();
        let time = Time::midnight() + jiff::SignedDuration::from_mins(i64::from(self.handoff));
        let mut date = self.anchor();
        let mut boundaries = Vec::new();
        while boundaries.last().is_none_or(|last| *last <= to) {
            for _ in 0..self.days {
                date = date.tomorrow().unwrap();
            }
            // "Compatible" is what RFC 5545 says of gaps and folds.
            let instant = zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().unwrap();
            boundaries.push(instant.as_millisecond());
        }
        boundaries
    }

    fn holds(&self, at: Millis) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

#[derive(Debug, Clone)]
struct Version {
    since: Millis,
    settings: Settings,
    /// The place in the list of people whose turn it was at `since`; `None` when turns are counted from the anchor.
    place: Option<usize>,
    /// All boundaries from the anchor to the horizon.
    boundaries: Vec<Millis>,
}

impl Version {
    fn new(since: Millis, settings: Settings, place: Option<usize>, horizon: Millis) -> Self {
        let boundaries = settings.boundaries(horizon);
        Self { since, settings, place, boundaries }
    }

    fn place_at(&self, at: Millis) -> Option<usize> {
        if !self.settings.holds(at) || self.settings.people.is_empty() {
            return None;
        }
        assert!(self.boundaries.last().is_some_and(|last| *last > at), "beyond the horizon");
        let passed = match self.place {
            None => self.boundaries.iter().filter(|boundary| **boundary <= at).count(),
            Some(place) => {
                place + self.boundaries.iter().filter(|boundary| self.since < **boundary && **boundary <= at).count()
            }
        };
        Some(passed % self.settings.people.len())
    }
}

/// A layer with all its versions.
#[derive(Debug, Clone)]
pub struct LayerState {
    versions: Vec<Version>,
    removed: Option<Millis>,
    /// The latest instant: nothing is asked about instants behind it.
    horizon: Millis,
}

impl LayerState {
    /// A layer that holds from its beginning, even where that is past. Nothing may be asked about instants behind the horizon.
    #[must_use]
    pub fn new(settings: Settings, horizon: Millis) -> Self {
        Self { versions: vec![Version::new(Millis::MIN, settings, None, horizon)], removed: None, horizon }
    }

    /// The settings that hold now.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.versions.last().unwrap().settings
    }

    fn on_call(&self, at: Millis) -> Option<usize> {
        if self.removed.is_some_and(|removed| removed <= at) {
            return None;
        }
        let version = self.versions.iter().rfind(|version| version.since <= at)?;
        Some(version.settings.people[version.place_at(at)?])
    }

    /// Gives the layer new settings, from now on.
    fn revise(&mut self, settings: Settings, now: Millis) {
        let last = self.versions.last().unwrap();
        let place = if last.settings.from > now || settings.from > now {
            None
        } else {
            let on_call = last.place_at(now).map(|place| (place, last.settings.people[place]));
            Some(on_call.map_or(0, |(place, person)| {
                let stays = settings.people.get(place) == Some(&person);
                let first = settings.people.iter().position(|other| *other == person);
                if stays { place } else { first.unwrap_or(0) }
            }))
        };
        self.versions.push(Version::new(now, settings, place, self.horizon));
    }
}

/// An override: the person is on call in the owner's place.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct OverrideState {
    pub person: usize,
    pub starts: Millis,
    pub ends: Millis,
}

impl OverrideState {
    /// Ends the override now, unless it is over.
    pub fn end(&mut self, now: Millis) {
        // An override that has not begun never does: it ends where it begins.
        self.ends = self.ends.min(now.max(self.starts));
    }
}

/// A schedule with every version of its layers, of their order, and of its overrides.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Roster {
    pub zone: String,
    pub layers: Vec<LayerState>,
    pub overrides: Vec<OverrideState>,
    orders: Vec<(Millis, Vec<usize>)>,
    /// When the schedule was changed last: no later change takes effect earlier, whatever the clock says.
    changed: Millis,
}

impl Roster {
    /// A schedule without layers.
    #[must_use]
    pub fn new(zone: &str, now: Millis) -> Self {
        let orders = vec![(Millis::MIN, Vec::new())];
        Self { zone: zone.to_owned(), layers: Vec::new(), overrides: Vec::new(), orders, changed: now }
    }

    /// The schedule's own time: that of the clock, or of the last change if the clock has jumped back before it.
    #[must_use]
    pub fn own_time(&self, now: Millis) -> Millis {
        self.changed.max(now)
    }

    /// Begins a change, and gives the instant at which it takes effect: the schedule's own time.
    pub fn change(&mut self, now: Millis) -> Millis {
        self.changed = self.own_time(now);
        self.changed
    }

    /// The layers that exist now, by position.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.orders.last().unwrap().1
    }

    /// Adds a layer behind the others.
    pub fn add(&mut self, layer: LayerState, now: Millis) {
        let mut order = self.order().to_vec();
        order.push(self.layers.len());
        self.layers.push(layer);
        self.reorder(order, now);
    }

    /// Puts the layers in another order, from now on.
    pub fn reorder(&mut self, order: Vec<usize>, now: Millis) {
        if self.order() != order {
            let now = self.change(now);
            self.orders.push((now, order));
        }
    }

    /// Gives a layer new settings, from now on.
    pub fn edit(&mut self, place: usize, settings: Settings, now: Millis) {
        if *self.layers[place].settings() != settings {
            let now = self.change(now);
            self.layers[place].revise(settings, now);
        }
    }

    /// Removes a layer, from now on.
    pub fn remove(&mut self, place: usize, now: Millis) {
        let order = self.order().iter().copied().filter(|other| *other != place).collect();
        self.layers[place].removed = Some(self.change(now));
        self.reorder(order, now);
    }

    /// Moves the schedule to another zone, from now on.
    pub fn change_zone(&mut self, zone: &str, now: Millis) {
        if self.zone == zone {
            return;
        }
        zone.clone_into(&mut self.zone);
        self.change(now);
        for place in self.present() {
            let settings = Settings { zone: zone.to_owned(), ..self.layers[place].settings().clone() };
            self.edit(place, settings, now);
        }
    }

    fn present(&self) -> Vec<usize> {
        (0..self.layers.len()).filter(|place| self.layers[*place].removed.is_none()).collect()
    }

    /// Takes a person out of every rotation, and ends their overrides.
    pub fn leave(&mut self, person: usize, now: Millis) {
        for place in self.present() {
            let mut settings = self.layers[place].settings().clone();
            settings.people.retain(|other| *other != person);
            self.edit(place, settings, now);
        }
        if self.overrides.iter().any(|one| one.person == person && one.ends > now) {
            self.change(now);
        }
        let now = self.own_time(now);
        self.overrides.iter_mut().filter(|one| one.person == person).for_each(|one| one.end(now));
    }

    /// The paging targets at an instant, the owner first.
    #[must_use]
    pub fn targets(&self, at: Millis) -> Vec<usize> {
        let (_, order) = self.orders.iter().rfind(|(since, _)| *since <= at).unwrap();
        let late = (0..self.layers.len()).filter(|place| !order.contains(place));
        let order = order.iter().copied().chain(late);
        let mut targets: Vec<usize> = order.filter_map(|place| self.layers[place].on_call(at)).collect();
        if let Some(last) = self.overrides.iter().rfind(|one| one.starts <= at && at < one.ends) {
            if targets.is_empty() {
                targets.push(last.person);
            } else {
                targets[0] = last.person;
            }
        }
        let mut seen = BTreeSet::new();
        targets.retain(|person| seen.insert(*person));
        targets
    }
}
