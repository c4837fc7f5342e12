//! Section 8 of the contract: who is on call over a range, and that this is what is said at every instant of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use dogwatch_core::id::RotationLayerId;
use dogwatch_core::oncall::{
    DeleteOverride, EditRotationLayer, GetSchedule, LayerSettings, ListOverrides, OnCall, OnCallTarget,
    OrderRotationLayers, RemoveRotationLayer, ResolveOnCall, RotationLength, Shifts, ShiftsOnCall,
};
use dogwatch_core::{Actor, Patch, Timestamp};
use proptest::prelude::*;
use support::night::{Night, daily};
use support::{user, valid};

/// `04-07T10:00`.
fn short(at: Timestamp) -> String {
    at.to_string().chars().skip(5).take(11).collect()
}

impl Night {
    fn shifts(&self, from: Timestamp, to: Timestamp) -> Shifts {
        self.harbour.ask(&ShiftsOnCall::new(self.id, from, to), &self.harbour.ada).unwrap()
    }

    fn resolve(&self, at: Timestamp) -> (OnCall, Option<Timestamp>) {
        let resolved = self.harbour.ask(&ResolveOnCall { schedule_id: self.id, at }, &self.harbour.ada).unwrap();
        (resolved.on_call, resolved.next_change_at)
    }

    /// Shifts in words: a line for each layer, the owners, the gaps.
    fn told(&self, from: &str, to: &str) -> Vec<String> {
        let people = [("Ada", self.harbour.ada), ("Ben", self.harbour.ben), ("Cleo", self.harbour.cleo)];
        let name = |id| people.iter().find(|(_, actor)| user(actor) == id).unwrap().0;
        let shifts = self.shifts(valid(from), valid(to));
        let layers = shifts.layers.iter().map(|layer| {
            let shown =
                layer.shifts.iter().map(|shift| format!("{} from {}", name(shift.user_id), short(shift.starts_at)));
            shown.collect::<Vec<_>>().join(", ")
        });
        let owners = shifts.final_shifts.iter().map(|shift| {
            let why = if shift.target.override_id.is_some() { " (override)" } else { "" };
            format!("{}{why} {} to {}", name(shift.target.user_id), short(shift.starts_at), short(shift.ends_at))
        });
        let gaps = shifts.gaps.iter().map(|gap| format!("{} to {}", short(gap.starts_at), short(gap.ends_at)));
        let mut told: Vec<_> = layers.collect();
        told.push(owners.collect::<Vec<_>>().join(", "));
        told.push(gaps.collect::<Vec<_>>().join(", "));
        told
    }
}

#[test]
fn layers_owners_and_gaps() {
    let mut night = Night::new();
    let (ada, ben, cleo) = (night.harbour.ada, night.harbour.ben, night.harbour.cleo);
    let day = LayerSettings {
        effective_until: Some(valid("2026-04-10T09:00:00Z")),
        ..daily("2026-04-08T09:00:00Z", &[&ada, &ben])
    };
    let first = night.add("first", day).unwrap().id;
    night.stand_in(&ben, "2026-04-10T12:00:00Z", "2026-04-10T18:00:00Z").unwrap();
    night.stand_in(&cleo, "2026-04-10T14:00:00Z", "2026-04-10T15:00:00Z").unwrap();
    // Whoever stands in where it is his turn anyway does so for another reason.
    night.stand_in(&ben, "2026-04-10T08:00:00Z", "2026-04-10T09:00:00Z").unwrap();
    assert_eq!(
        night.told("2026-04-08T00:00:00Z", "2026-04-11T00:00:00Z"),
        [
            "Ada from 04-08T09:00, Ben from 04-09T09:00",
            "Ada 04-08T09:00 to 04-09T09:00, Ben 04-09T09:00 to 04-10T08:00, Ben (override) 04-10T08:00 to 04-10T09:00, \
             Ben (override) 04-10T12:00 to 04-10T14:00, Cleo (override) 04-10T14:00 to 04-10T15:00, \
             Ben (override) 04-10T15:00 to 04-10T18:00",
            "04-08T00:00 to 04-08T09:00, 04-10T09:00 to 04-10T12:00, 04-10T18:00 to 04-11T00:00",
        ]
    );
    // A second layer fills the gaps; what is removed is shown behind what is there, where it had shifts.
    night.harbour.now = valid("2026-04-09T12:00:00Z");
    night.add("second", daily("2026-04-09T12:00:00Z", &[&cleo])).unwrap();
    night.harbour.now = valid("2026-04-10T00:00:00Z");
    let remove = RemoveRotationLayer { schedule_id: night.id, layer_id: first };
    night.harbour.run(remove, &ben).unwrap();
    assert_eq!(
        night.told("2026-04-09T00:00:00Z", "2026-04-10T08:30:00Z"),
        [
            "Cleo from 04-09T12:00",
            "Ada from 04-09T00:00, Ben from 04-09T09:00",
            "Ada 04-09T00:00 to 04-09T09:00, Ben 04-09T09:00 to 04-10T00:00, Cleo 04-10T00:00 to 04-10T08:00, \
             Ben (override) 04-10T08:00 to 04-10T08:30",
            "",
        ]
    );
    assert_eq!(
        night.told("2026-04-12T00:00:00Z", "2026-04-12T12:00:00Z"),
        ["Cleo from 04-12T00:00", "Cleo 04-12T00:00 to 04-12T12:00", ""],
        "where what was removed had no shifts, it is not shown"
    );
    assert_eq!(night.told("2026-04-09T00:00:00Z", "2026-04-09T00:00:00Z"), ["", "", ""], "an empty range");
}

/// Where one layer takes over at the instant of another's handoff, nobody owns an empty stretch.
#[test]
fn layers_that_meet() {
    let mut night = Night::new();
    let (ada, ben, cleo) = (night.harbour.ada, night.harbour.ben, night.harbour.cleo);
    night.add("first", daily("2026-04-08T09:00:00Z", &[&ada])).unwrap();
    night.add("second", daily("2026-04-01T00:00:00Z", &[&ben, &cleo])).unwrap();
    night.add("third", daily("2026-04-01T00:00:00Z", &[&ada])).unwrap();
    let told = night.told("2026-04-07T00:00:00Z", "2026-04-09T00:00:00Z");
    assert_eq!(
        told[3..],
        ["Cleo 04-07T00:00 to 04-07T09:00, Ben 04-07T09:00 to 04-08T09:00, Ada 04-08T09:00 to 04-09T00:00", ""]
    );
}

/// A layer that held, was moved into the future and then edited again holds for nobody in between.
#[test]
fn between_what_held_and_what_will_hold() {
    let mut night = Night::new();
    let (ada, ben) = (night.harbour.ada, night.harbour.ben);
    let layer = night.add("one", daily("2026-04-01T00:00:00Z", &[&ada])).unwrap().id;
    let edit = EditRotationLayer::new(night.id, layer);
    night.harbour.now = valid("2026-04-08T10:00:00Z");
    let later = EditRotationLayer { effective_from: Some(valid("2026-04-20T00:00:00Z")), ..edit.clone() };
    night.harbour.run(later, &ben).unwrap();
    night.harbour.now = valid("2026-04-09T10:00:00Z");
    night.harbour.run(EditRotationLayer { handoff_time: Some(valid("10:00")), ..edit }, &ben).unwrap();
    for (at, expected) in [
        ("2026-04-08T09:59:59.999Z", "Ada until 04-08T10:00"),
        ("2026-04-08T10:00:00Z", " until 04-20T00:00"),
        ("2026-04-08T12:00:00Z", " until 04-20T00:00"),
        ("2026-04-09T10:00:00Z", " until 04-20T00:00"),
        ("2026-04-20T00:00:00Z", "Ada until never"),
    ] {
        assert_eq!(night.at(at), expected, "{at}");
    }
    let told = night.told("2026-04-08T00:00:00Z", "2026-04-21T00:00:00Z");
    assert_eq!(
        told[1..],
        ["Ada 04-08T00:00 to 04-08T10:00, Ada 04-20T00:00 to 04-21T00:00", "04-08T10:00 to 04-20T00:00"]
    );
}

/// A change of a schedule; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    /// From now on, or from later on: what holds from earlier on changes the past, as the contract says.
    Add {
        from: i64,
        until: Option<i64>,
        people: Vec<u8>,
    },
    Edit {
        layer: usize,
        handoff: Option<u8>,
        people: Option<Vec<u8>>,
        from: Option<i64>,
        until: Option<Option<i64>>,
    },
    Remove {
        layer: usize,
    },
    Turn {
        by: usize,
    },
    StandIn {
        who: u8,
        from: i64,
        hours: i64,
    },
    Delete {
        nth: usize,
    },
    Wait {
        minutes: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let people = || prop::collection::vec(0..3_u8, 1..3);
    let step = prop_oneof![
        (0..60_i64, prop::option::of(1..60_i64), people()).prop_map(|(from, long, people)| Step::Add {
            from,
            until: long.map(|long| from + long),
            people
        }),
        (
            0..4_usize,
            prop::option::of(0..24_u8),
            prop::option::of(people()),
            prop::option::of(-30..60_i64),
            prop::option::of(prop::option::of(1..90_i64))
        )
            .prop_map(|(layer, handoff, people, from, until)| Step::Edit {
                layer,
                handoff,
                people,
                from,
                until
            }),
        (0..4_usize).prop_map(|layer| Step::Remove { layer }),
        (1..3_usize).prop_map(|by| Step::Turn { by }),
        (0..3_u8, -5..50_i64, 1..30_i64).prop_map(|(who, from, hours)| Step::StandIn { who, from, hours }),
        (0..4_usize).prop_map(|nth| Step::Delete { nth }),
        (1..2_000_u64).prop_map(|minutes| Step::Wait { minutes }),
    ];
    prop::collection::vec(step, 1..14)
}

impl Night {
    fn somebody(&self, who: u8) -> Actor {
        [self.harbour.ada, self.harbour.ben, self.harbour.cleo][usize::from(who)]
    }

    fn hours(&self, hours: i64) -> Timestamp {
        Timestamp::from_millis(self.harbour.now.as_millis() + hours * 3_600_000).unwrap()
    }

    fn layer(&self, layer: usize) -> Option<RotationLayerId> {
        let layers = self.harbour.ask(&GetSchedule { id: self.id }, &self.harbour.ada).unwrap().layers.unwrap();
        layers.get(layer % layers.len().max(1)).map(|layer| layer.id)
    }

    /// Does a step; what the rules refuse changes nothing.
    fn take(&mut self, step: &Step) {
        let (schedule_id, ada) = (self.id, self.harbour.ada);
        let ids = |night: &Self, people: &[u8]| {
            let mut ids: Vec<_> = people.iter().map(|who| user(&night.somebody(*who))).collect();
            ids.dedup();
            ids
        };
        match step {
            Step::Add { from, until, people } => {
                let (from, until) = (self.hours(*from), until.map(|until| self.hours(until)));
                let settings = LayerSettings::new(RotationLength::DAILY, valid("09:00"), from, ids(self, people));
                let name = self.harbour.now.as_millis().to_string();
                drop(self.add(&name, LayerSettings { effective_until: until, ..settings }));
            }
            Step::Edit { layer, handoff, people, from, until } => {
                let Some(layer) = self.layer(*layer) else { return };
                let edit = EditRotationLayer {
                    handoff_time: handoff.map(|hour| valid(&format!("{hour:02}:00"))),
                    participant_ids: people.as_deref().map(|people| ids(self, people)),
                    effective_from: from.map(|from| self.hours(from)),
                    effective_until: match until {
                        None => Patch::Keep,
                        Some(None) => Patch::Clear,
                        Some(Some(hours)) => Patch::Set(self.hours(*hours)),
                    },
                    ..EditRotationLayer::new(schedule_id, layer)
                };
                drop(self.harbour.run(edit, &ada));
            }
            Step::Remove { layer } => {
                let Some(layer_id) = self.layer(*layer) else { return };
                self.harbour.run(RemoveRotationLayer { schedule_id, layer_id }, &ada).unwrap();
            }
            Step::Turn { by } => {
                let layers = self.harbour.ask(&GetSchedule { id: schedule_id }, &ada).unwrap().layers.unwrap();
                let mut layer_ids: Vec<_> = layers.iter().map(|layer| layer.id).collect();
                let by = by % layer_ids.len().max(1);
                layer_ids.rotate_left(by);
                drop(self.harbour.run(OrderRotationLayers { schedule_id, layer_ids }, &ada));
            }
            Step::StandIn { who, from, hours } => {
                let (from, to) = (self.hours(*from), self.hours(*from + *hours));
                drop(self.stand_in(&self.somebody(*who), &from.to_string(), &to.to_string()));
            }
            Step::Delete { nth } => {
                let listed = self.harbour.ask(&ListOverrides { schedule_id }, &ada).unwrap();
                let Some(one) = listed.get(nth % listed.len().max(1)) else { return };
                drop(self.harbour.run(DeleteOverride { schedule_id, id: one.id }, &ada));
            }
            Step::Wait { minutes } => self.harbour.now = self.harbour.now.plus(Duration::from_secs(minutes * 60)),
        }
    }
}

/// The stretches of a range with their owners, from gaps and shifts together: without holes, and no two that are one.
fn stretches(shifts: &Shifts, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp, Option<OnCallTarget>)> {
    let owned = shifts.final_shifts.iter().map(|shift| (shift.starts_at, shift.ends_at, Some(shift.target)));
    let mut all: Vec<_> = owned.chain(shifts.gaps.iter().map(|gap| (gap.starts_at, gap.ends_at, None))).collect();
    all.sort_by_key(|stretch| stretch.0);
    assert_eq!((all[0].0, all[all.len() - 1].1), (from, to));
    for pair in all.windows(2) {
        assert_eq!(pair[0].1, pair[1].0, "a hole, or an overlap: {pair:?}");
        assert_ne!(pair[0].2, pair[1].2, "two that are one: {pair:?}");
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is edited: shifts agree with the answer at every instant, `nextChangeAt` is where that changes, and what was
    /// said of the past is said again.
    #[test]
    fn every_answer_agrees(steps in steps()) {
        let mut night = Night::new();
        let from = night.hours(-24);
        let mut past: Vec<(Timestamp, OnCall)> = Vec::new();
        for step in &steps {
            night.take(step);
            for (at, said) in &past {
                prop_assert_eq!(&night.resolve(*at).0, said, "{:?} changed the past at {}", step, at);
            }
            past.push((Timestamp::from_millis(night.harbour.now.as_millis() - 1).unwrap(), OnCall::default()));
            past.last_mut().unwrap().1 = night.resolve(past.last().unwrap().0).0;
        }
        let to = night.hours(72);
        let shifts = night.shifts(from, to);
        let stretches = stretches(&shifts, from, to);
        let mut at = from;
        let mut until = from;
        while at < to {
            let (on_call, next) = night.resolve(at);
            let stretch = stretches.iter().find(|(starts, ends, _)| *starts <= at && at < *ends).unwrap();
            prop_assert_eq!(on_call.owner, stretch.2, "at {}", at);
            // Each target but that of an override is on call in its layer.
            for target in &on_call.paging_targets {
                let layer = shifts.layers.iter().find(|layer| Some(layer.layer_id) == target.layer_id);
                let holds = layer.map(|layer| {
                    layer.shifts.iter().any(|shift| {
                        shift.user_id == target.user_id && shift.starts_at <= at && at < shift.ends_at
                    })
                });
                prop_assert_eq!(holds.unwrap_or(target.override_id.is_some()), true, "{:?} at {}", target, at);
            }
            if until <= at {
                if let Some(next) = next.filter(|next| *next < to) {
                    let before = Timestamp::from_millis(next.as_millis() - 1).unwrap();
                    prop_assert_eq!(&night.resolve(before).0, &on_call, "changed before {}", next);
                    prop_assert_ne!(&night.resolve(next).0, &on_call, "did not change at {}", next);
                }
                until = next.unwrap_or(to);
            } else {
                prop_assert_eq!(next, Some(until).filter(|until| *until < to).or(next), "at {}", at);
            }
            at = at.plus(Duration::from_secs(1_800));
        }
    }
}
