//! Removals that take more than one decision: a schedule with a long past, and a member who is in hundreds of layers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use dogwatch_core::escalation::{
    AckTimeout, CreatePolicy, DeletePolicy, EditPolicyLayer, GetPolicy, Target, TargetUsers,
};
use dogwatch_core::id::{PolicyId, RotationLayerId, ScheduleId};
use dogwatch_core::incident::{CreateIncident, Owner, Severity};
use dogwatch_core::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, DeleteOverride, DeleteSchedule, EditRotationLayer, EditSchedule,
    GetSchedule, LayerSettings, ListOverrides, ListSchedules, OnCallNow, OrderRotationLayers, RemoveRotationLayer,
    ResolveOnCall, RotationLength, RotationType, ShiftsOnCall,
};
use dogwatch_core::removal::Removed;
use dogwatch_core::team::{RemoveMember, Role};
use dogwatch_core::ticks::{TickPort, Waiting};
use dogwatch_core::{Actor, Code, Timestamp, UserId};
use support::{Harbour, policy_layer, valid, word};

fn user(actor: Actor) -> UserId {
    let Actor::Member { user_id, .. } = actor else { panic!("{actor:?}") };
    user_id
}

fn schedule(harbour: &mut Harbour, name: &str) -> ScheduleId {
    let ada = harbour.ada;
    harbour.run(CreateSchedule::new(valid(name), "Europe/Lisbon"), &ada).unwrap().id
}

fn layer(harbour: &mut Harbour, schedule: ScheduleId, name: &str, users: Vec<UserId>) -> RotationLayerId {
    let length = RotationLength::new(RotationType::Daily, 1).unwrap();
    let settings = LayerSettings::new(length, valid("09:00"), harbour.now, users);
    let ada = harbour.ada;
    harbour.run(AddRotationLayer { schedule_id: schedule, name: valid(name), settings }, &ada).unwrap().id
}

/// What waits for a removal, and when the first timer is due.
fn removals(harbour: &Harbour) -> Vec<Removed> {
    let due = harbour.world.timers_due(Timestamp::MAX, None, usize::MAX).unwrap();
    let removed = due.into_iter().filter_map(|timer| match timer.waiting {
        Waiting::Removal(what) => Some(what),
        _ => None,
    });
    removed.collect()
}

/// Lets the ticks do the rest, and gives how many parts there were.
fn finish(harbour: &mut Harbour) -> usize {
    let mut parts = 0;
    while !removals(harbour).is_empty() {
        assert_eq!(harbour.world.tick(harbour.now, &mut harbour.ids).unwrap(), 1);
        parts += 1;
        assert!(parts < 50, "it comes to an end");
    }
    parts
}

#[test]
fn a_schedule_with_a_long_past() {
    let mut harbour = Harbour::new();
    let (ada, ben, cleo) = (harbour.ada, user(harbour.ben), user(harbour.cleo));
    let id = schedule(&mut harbour, "Night");
    let edited = layer(&mut harbour, id, "Layer", vec![ben, cleo]);
    for number in 0..230_i64 {
        harbour.advance(60);
        let days = 1 + number % 2;
        let kind = if days == 1 { RotationType::Daily } else { RotationType::Custom };
        let edit = EditRotationLayer {
            rotation_type: Some(kind),
            rotation_length_days: Some(days),
            ..EditRotationLayer::new(id, edited)
        };
        harbour.run(edit, &ada).unwrap();
        let (from, to) = (harbour.now, harbour.now.plus(Duration::from_secs(30)));
        harbour.run(CreateOverride::new(id, ben, from, to), &ada).unwrap();
    }
    harbour.run(DeleteSchedule { id }, &ada).unwrap();
    assert_eq!(removals(&harbour), [Removed::Schedule(id)]);
    assert_eq!(word(&harbour.ask(&GetSchedule { id }, &ada)), "not_found");
    assert!(
        harbour.ask(&ListSchedules, &ada).unwrap().is_empty()
            && harbour.ask(&OnCallNow { at: harbour.now }, &ada).unwrap().is_empty()
    );
    // Its name is free, and whoever was in it may go, though overrides of it are left.
    schedule(&mut harbour, "Night");
    harbour.run(RemoveMember::new(ben), &ada).unwrap();
    assert_eq!(removals(&harbour), [Removed::Schedule(id)]);
    // 460 entities in all, of which 100 are gone with it.
    assert_eq!(finish(&mut harbour), 4);
    let removed = harbour.run_unchanged(DeleteSchedule { id }, &ada).unwrap_err();
    assert_eq!(removed.code(), Code::NotFound);
}

const DAY: u64 = 86_400;

/// Somebody in hundreds of layers and overrides, and what of all that can be asked for.
#[derive(Clone)]
struct Rotations {
    harbour: Harbour,
    schedules: Vec<ScheduleId>,
    policies: Vec<PolicyId>,
    ben: UserId,
    cleo: UserId,
    began: Timestamp,
}

impl Rotations {
    /// 220 layers and 120 overrides in 12 schedules, and 75 layers of 5 policies; a day ago.
    fn new() -> Self {
        let mut harbour = Harbour::new();
        let (ada, ben, cleo, began) = (harbour.ada, user(harbour.ben), user(harbour.cleo), harbour.now);
        let mut schedules = Vec::new();
        for number in 0..12 {
            let id = schedule(&mut harbour, &format!("S{number}"));
            // In one, nobody else is on call; in another, Ben is not.
            let users = if number == 3 { vec![ben] } else { vec![ben, cleo] };
            (0..20).filter(|_| number != 5).for_each(|n| {
                layer(&mut harbour, id, &format!("L{n}"), users.clone());
            });
            for n in 0..10 {
                let (from, to) = (harbour.now.plus(hours(n * 12)), harbour.now.plus(hours(n * 12 + 7)));
                harbour.run(CreateOverride::new(id, ben, from, to), &ada).unwrap();
            }
            schedules.push(id);
        }
        let policies = (0..5).map(|number| {
            let policy = harbour.run(CreatePolicy::new(valid(&format!("P{number}"))), &ada).unwrap().id;
            let on_call = schedules[number];
            for n in 1..=15_i64 {
                let users = TargetUsers::new(vec![ben, cleo]).unwrap();
                let target = if n == 1 { Target::Schedule(on_call) } else { Target::Users(users) };
                harbour.run(policy_layer(policy, n, 5, target), &ada).unwrap();
            }
            policy
        });
        let policies = policies.collect();
        harbour.advance(DAY);
        Self { harbour, schedules, policies, ben, cleo, began }
    }

    /// Who was on call until an instant.
    fn past(&self, until: Timestamp) -> Vec<String> {
        let shifts = |id: &ScheduleId| ShiftsOnCall::new(*id, self.began, until);
        let shifts = self.schedules.iter().map(|id| self.harbour.ask(&shifts(id), &self.harbour.ada).unwrap());
        shifts.map(|shifts| format!("{:?}", (shifts.final_shifts, shifts.gaps))).collect()
    }

    /// All answers that say who is on call or is paged.
    fn answers(&self) -> Vec<String> {
        let (ada, harbour) = (self.harbour.ada, &self.harbour);
        let mut all = Vec::new();
        let instants: Vec<_> = (0..40).map(|n| self.began.plus(hours(n * 5))).collect();
        for &id in &self.schedules {
            all.push(format!("{:?}", harbour.ask(&GetSchedule { id }, &ada).unwrap().layers));
            all.push(format!("{:?}", harbour.ask(&ListOverrides::new(id), &ada).unwrap()));
            let shifts = ShiftsOnCall::new(id, self.began, self.began.plus(hours(24 * 9)));
            all.push(format!("{:?}", harbour.ask(&shifts, &ada).unwrap()));
            for at in &instants {
                all.push(format!("{:?}", harbour.ask(&ResolveOnCall::new(id, *at), &ada).unwrap()));
            }
        }
        all.extend(instants.iter().map(|at| format!("{:?}", harbour.ask(&OnCallNow::new(*at), &ada).unwrap())));
        for &id in &self.policies {
            let layers = harbour.ask(&GetPolicy { id }, &ada).unwrap().layers.unwrap();
            all.push(format!("{:?}", layers.iter().map(|layer| &layer.target).collect::<Vec<_>>()));
        }
        all
    }
}

fn hours(number: u64) -> Duration {
    Duration::from_secs(number * 3_600)
}

#[test]
fn a_member_of_hundreds_of_layers() {
    let mut all = Rotations::new();
    let (ada, ben, cleo) = (all.harbour.ada, all.ben, all.cleo);
    let (before, mut others) = (all.answers(), all.clone());
    all.harbour.run(RemoveMember::new(ben), &ada).unwrap();
    assert_eq!(removals(&all.harbour), [Removed::Member(ben)]);
    assert_eq!(word(&all.harbour.run(RemoveMember::new(ben), &ada)), "not_found");
    // It is as if somebody had taken them out of each layer, and ended each of their overrides.
    for &id in others.schedules.iter().filter(|id| **id != all.schedules[3]) {
        for layer in others.harbour.ask(&GetSchedule { id }, &ada).unwrap().layers.unwrap() {
            let edit = EditRotationLayer::new(id, layer.id);
            others.harbour.run(EditRotationLayer { participant_ids: Some(vec![cleo]), ..edit }, &ada).unwrap();
        }
        for one in others.harbour.ask(&ListOverrides::new(id), &ada).unwrap() {
            if one.ends_at > others.harbour.now {
                others.harbour.run(DeleteOverride::new(id, one.id), &ada).unwrap();
            }
        }
        let shifts = ShiftsOnCall::new(id, all.began, all.began.plus(hours(24 * 9)));
        assert_eq!(all.harbour.ask(&shifts, &ada).unwrap(), others.harbour.ask(&shifts, &ada).unwrap());
    }
    // From now on everything is as it will be in the end, though the clock goes on.
    let after = all.answers();
    assert_ne!(before, after);
    let mut parts = 0;
    while !removals(&all.harbour).is_empty() {
        all.harbour.advance(7);
        // Nobody who has left owns or is paged of what comes in meanwhile.
        let (schedule, policy) = (all.schedules[parts % 12], all.policies[parts % 5]);
        let open = CreateIncident {
            owner: Some(Owner::OnCall(schedule)),
            escalation_policy_id: Some(policy),
            ..CreateIncident::new(valid("Down"), Severity::High, ben)
        };
        let owner = all.harbour.run(open, &ada).map(|it| it.owner_id);
        let expected = [3, 5].contains(&(parts % 12)) || owner.as_ref().is_ok_and(|owner| *owner == Some(cleo));
        assert!(expected, "part {parts}: {owner:?}");
        all.harbour.world.tick(all.harbour.now, &mut all.harbour.ids).unwrap();
        assert_eq!(all.answers(), after, "after part {parts}");
        parts += 1;
        assert!(parts < 50, "it comes to an end");
    }
    assert!((3..=5).contains(&parts), "{parts}");
    let pages = all.harbour.world.claim(usize::MAX, Duration::from_secs(60), all.harbour.now, &mut all.harbour.ids);
    assert!(pages.iter().flatten().all(|page| page.user() != Some(ben)), "{pages:?}");
}

/// Whatever is changed while somebody leaves: what was until then stays as it was answered, and nobody is there again.
#[test]
fn edits_while_a_member_leaves() {
    let mut all = Rotations::new();
    let (ada, ben, cleo) = (all.harbour.ada, all.ben, all.cleo);
    let dora = all.harbour.join("dora@example.com", "Dora", Role::Member);
    let dora = user(dora);
    // Somebody else is in those that come last, and leaves while Ben does.
    let (kept, last) = (all.schedules[9], *all.schedules.last().unwrap());
    let free = all.schedules[5];
    layer(&mut all.harbour, free, "Dora's", vec![dora, cleo]);
    let (from, to) = (all.harbour.now, all.harbour.now.plus(hours(50)));
    all.harbour.run(CreateOverride::new(last, dora, from, to), &ada).unwrap();
    let own = (all.harbour.now, all.harbour.now.plus(hours(50)));
    let ends = all.harbour.run(CreateOverride::new(kept, ben, own.0, own.1), &ada).unwrap().id;
    all.harbour.advance(60);
    all.harbour.run(RemoveMember::new(ben), &ada).unwrap();
    all.harbour.advance(1);
    let until = all.harbour.now;
    let before = all.past(until);
    all.harbour.advance(1);
    let hold = |id, all: &Rotations| all.harbour.ask(&GetSchedule { id }, &ada).unwrap().layers.unwrap();
    let shows = |it: &dyn std::fmt::Debug| format!("{it:?}").contains(&format!("{ben:?}"));

    all.harbour.run(RemoveMember::new(dora), &ada).unwrap();
    assert_eq!(all.past(until), before, "another leaves");
    let over = all.harbour.run(DeleteOverride::new(kept, ends), &ada);
    assert_eq!(word(&over), "not_found", "it has ended");
    let id = all.schedules[8];
    let edited = EditRotationLayer { name: Some(valid("Other")), ..EditRotationLayer::new(id, hold(id, &all)[0].id) };
    assert!(!shows(&all.harbour.run(edited, &ada).unwrap()));
    let id = all.schedules[10];
    let edited =
        EditRotationLayer { handoff_time: Some(valid("17:00")), ..EditRotationLayer::new(id, hold(id, &all)[3].id) };
    assert!(!shows(&all.harbour.run(edited, &ada).unwrap()));
    let id = all.schedules[7];
    let mut order: Vec<_> = hold(id, &all).iter().map(|layer| layer.id).collect();
    order.reverse();
    assert!(!shows(&all.harbour.run(OrderRotationLayers::new(id, order), &ada).unwrap()));
    let id = all.schedules[6];
    let first = hold(id, &all)[0].id;
    all.harbour.run(RemoveRotationLayer::new(id, first), &ada).unwrap();
    layer(&mut all.harbour, id, "New", vec![cleo]);
    let (from, to) = (all.harbour.now, all.harbour.now.plus(hours(1)));
    all.harbour.run(CreateOverride::new(all.schedules[11], cleo, from, to), &ada).unwrap();
    all.harbour.run(CreateOverride::new(kept, cleo, from, to), &ada).unwrap();
    let zone = EditSchedule { timezone: Some("Asia/Tokyo".to_owned()), ..EditSchedule::new(all.schedules[2]) };
    all.harbour.run(zone, &ada).unwrap();
    for &policy in &all.policies {
        let layers = all.harbour.ask(&GetPolicy { id: policy }, &ada).unwrap().layers.unwrap();
        let timeout = Some(AckTimeout::from_minutes(9).unwrap());
        let edit = EditPolicyLayer { ack_timeout: timeout, ..EditPolicyLayer::new(policy, layers[1].id) };
        assert!(!shows(&all.harbour.run(edit, &ada).unwrap()));
    }
    assert_eq!(all.past(until), before, "edits");
    let gone = all.schedules.remove(0);
    let policy = all.policies.remove(0);
    all.harbour.run(DeletePolicy { id: policy }, &ada).unwrap();
    all.harbour.run(DeleteSchedule { id: gone }, &ada).unwrap();

    let (before, after) = (all.past(until), all.answers());
    finish(&mut all.harbour);
    assert_eq!((all.past(until), all.answers()), (before, after));
}

/// When the clock was set back, overrides may look as if they were not over, and can be ended no more.
#[test]
fn a_member_leaves_when_the_clock_was_set_back() {
    let mut all = Rotations::new();
    let (ada, ben) = (all.harbour.ada, all.ben);
    for &id in &all.schedules {
        for n in 0..40 {
            let from = all.harbour.now.plus(Duration::from_secs(n));
            all.harbour.run(CreateOverride::new(id, ben, from, from.plus(Duration::from_secs(1))), &ada).unwrap();
        }
    }
    all.harbour.advance(600);
    for &id in &all.schedules {
        let layers = all.harbour.ask(&GetSchedule { id }, &ada).unwrap().layers.unwrap();
        for layer in layers.iter().take(1) {
            let edit = EditRotationLayer { handoff_time: Some(valid("17:00")), ..EditRotationLayer::new(id, layer.id) };
            all.harbour.run(edit, &ada).unwrap();
        }
    }
    all.harbour.now = Timestamp::clamped(all.harbour.now.as_millis() - 1_000_000);
    all.harbour.run(RemoveMember::new(ben), &ada).unwrap();
    let after = all.answers();
    finish(&mut all.harbour);
    assert_eq!(all.answers(), after);
}
