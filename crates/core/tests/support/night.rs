//! A schedule to try the rules on.

use dogwatch_core::id::ScheduleId;
use dogwatch_core::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, LayerSettings, Override, ResolveOnCall, RotationLayerView,
    RotationLength,
};
use dogwatch_core::{Actor, Error, UserId};

use super::{Harbour, user, valid};

pub(crate) fn create(name: &str, zone: &str) -> CreateSchedule {
    CreateSchedule { name: valid(name), description: None, timezone: zone.to_owned() }
}

pub(crate) fn daily(from: &str, people: &[&Actor]) -> LayerSettings {
    let people = people.iter().map(|actor| user(actor)).collect();
    LayerSettings::new(RotationLength::DAILY, valid("09:00"), valid(from), people)
}

/// A schedule on top of the organization, and shorthands for it.
pub(crate) struct Night {
    pub(crate) harbour: Harbour,
    pub(crate) id: ScheduleId,
}

impl Night {
    /// In UTC; the clock shows 2026-04-07T10:00:00Z.
    pub(crate) fn new() -> Self {
        let mut harbour = Harbour::new();
        let ben = harbour.ben;
        let id = harbour.run(create("Night", "UTC"), &ben).unwrap().id;
        Self { harbour, id }
    }

    pub(crate) fn add(&mut self, name: &str, settings: LayerSettings) -> Result<RotationLayerView, Error> {
        let (schedule, ben) = (self.id, self.harbour.ben);
        self.harbour.run(AddRotationLayer { schedule_id: schedule, name: valid(name), settings }, &ben)
    }

    pub(crate) fn stand_in(&mut self, who: &Actor, starts: &str, ends: &str) -> Result<Override, Error> {
        let (id, ben) = (self.id, self.harbour.ben);
        let command = CreateOverride::new(id, user(who), valid(starts), valid(ends));
        self.harbour.run(command, &ben)
    }

    /// First names of the owner and of the targets, and when that changes.
    pub(crate) fn at(&self, at: &str) -> String {
        let resolved =
            self.harbour.ask(&ResolveOnCall { schedule_id: self.id, at: valid(at) }, &self.harbour.ada).unwrap();
        let name = |id: UserId| {
            let people = [("Ada", self.harbour.ada), ("Ben", self.harbour.ben), ("Cleo", self.harbour.cleo)];
            people.iter().find(|(_, actor)| user(actor) == id).map_or("?", |(name, _)| *name)
        };
        let targets: Vec<_> = resolved.on_call.paging_targets.iter().map(|target| name(target.user_id)).collect();
        assert_eq!(resolved.current_oncall().map(name), targets.first().copied(), "the owner is the first target");
        let next = resolved
            .next_change_at
            .map_or("never".to_owned(), |next| next.to_string().chars().skip(5).take(11).collect());
        format!("{} until {next}", targets.join("+"))
    }
}
