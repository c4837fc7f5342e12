//! Section 9 of the contract: escalation policies and their layers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::escalation::{
    AckTimeout, CreatePolicy, DeletePolicy, EditPolicy, EditPolicyLayer, GetPolicy, ListPolicies, OrderPolicyLayers,
    Position, RemovePolicyLayer, Target, TargetUsers,
};
use dogwatch_core::id::Id;
use dogwatch_core::id::{PolicyId, PolicyLayerId, ScheduleId};
use dogwatch_core::incident::{CreateIncident, Owner, Severity, Status};
use dogwatch_core::oncall::DeleteSchedule;
use dogwatch_core::team::RemoveMember;
use dogwatch_core::{Patch, UserId};
use support::{Harbour, policy_layer as layer, user, valid, word};

/// A policy with layers at these positions, each of Ben alone; the names of layers are their positions at first.
fn with_positions(harbour: &mut Harbour, positions: &[i64]) -> (PolicyId, Vec<PolicyLayerId>) {
    let policy = harbour.policy("Night");
    let ben = harbour.ben;
    let add = |position: &i64| {
        let target = Target::users(vec![user(&ben)]).unwrap();
        harbour.run(layer(policy, *position, 5, target), &ben).unwrap().id
    };
    let layers = positions.iter().map(add).collect();
    (policy, layers)
}

fn positions(harbour: &Harbour, policy: PolicyId, layers: &[PolicyLayerId]) -> Vec<u32> {
    let shown = harbour.ask(&GetPolicy { id: policy }, &harbour.ada).unwrap().layers.unwrap();
    assert!(shown.is_sorted_by_key(|layer| layer.position), "by position");
    let of = |id: &PolicyLayerId| shown.iter().find(|layer| layer.id == *id).unwrap().position.get();
    layers.iter().map(of).collect()
}

#[test]
fn positions_are_kept_and_a_taken_one_is_made_free() {
    const LAST: i64 = 2_147_483_647;
    for (before, new, expected) in [
        (&[][..], 7, &[7][..]),
        (&[10, 20], 15, &[10, 20, 15]),
        (&[10, 20], 10, &[11, 20, 10]),
        (&[10, 11, 12, 14], 10, &[11, 12, 13, 14, 10]),
        (&[10, 11, 12, 14], 11, &[10, 12, 13, 14, 11]),
        (&[10, 11, 12, 13], 13, &[10, 11, 12, 14, 13]),
        (&[3, 2, 1], 1, &[4, 3, 2, 1]),
        (&[1], LAST, &[1, 2_147_483_647]),
    ] {
        let mut harbour = Harbour::new();
        let (policy, mut layers) = with_positions(&mut harbour, before);
        let ben = harbour.ben;
        let target = Target::users(vec![user(&ben)]).unwrap();
        layers.push(harbour.run(layer(policy, new, 5, target), &ben).unwrap().id);
        assert_eq!(positions(&harbour, policy, &layers), expected, "{new} into {before:?}");
    }
    let mut harbour = Harbour::new();
    let (policy, _) = with_positions(&mut harbour, &[LAST - 1, LAST]);
    let ben = harbour.ben;
    let target = Target::users(vec![user(&ben)]).unwrap();
    let refused = harbour.run_unchanged(layer(policy, LAST - 1, 5, target), &ben).unwrap_err();
    assert_eq!(refused.fields()[0].field, "position");
}

#[test]
fn moving_a_layer_makes_room_as_adding_does() {
    for (moved, to, expected) in [
        (0, 1, [1, 2, 3]),
        (0, 2, [2, 3, 4]),
        (0, 3, [3, 2, 4]),
        (0, 9, [9, 2, 3]),
        (2, 1, [2, 3, 1]),
        (1, 3, [1, 3, 4]),
    ] {
        let mut harbour = Harbour::new();
        let (policy, layers) = with_positions(&mut harbour, &[1, 2, 3]);
        let ben = harbour.ben;
        let position = Some(Position::new(to).unwrap());
        let edit = EditPolicyLayer { position, ..EditPolicyLayer::new(policy, layers[moved]) };
        let edited = harbour.run(edit, &ben).unwrap();
        assert_eq!(i64::from(edited.position.get()), to);
        assert_eq!(positions(&harbour, policy, &layers), expected, "{moved} to {to}");
    }
}

#[test]
fn an_order_numbers_from_one_and_holds_every_layer_once() {
    let mut harbour = Harbour::new();
    let (policy, layers) = with_positions(&mut harbour, &[10, 20, 30]);
    let ben = harbour.ben;
    let order =
        |of: &[usize]| OrderPolicyLayers { policy_id: policy, layer_ids: of.iter().map(|n| layers[*n]).collect() };
    for wrong in [&[0, 1][..], &[0, 1, 1], &[0, 1, 2, 2], &[]] {
        let refused = harbour.run_unchanged(order(wrong), &ben).unwrap_err();
        assert_eq!((refused.http_status(), refused.fields()[0].field.as_str()), (422, "layerIds"), "{wrong:?}");
    }
    let ordered = harbour.run(order(&[2, 0, 1]), &ben).unwrap();
    assert_eq!(ordered.iter().map(|layer| layer.id).collect::<Vec<_>>(), [layers[2], layers[0], layers[1]]);
    assert_eq!(positions(&harbour, policy, &layers), [2, 3, 1]);
    let unknown = OrderPolicyLayers { policy_id: PolicyId::from_bytes([9; 16]), layer_ids: vec![] };
    assert_eq!(word(&harbour.run(unknown, &ben)), "not_found");
}

#[test]
fn codes_in_their_order() {
    let mut harbour = Harbour::new();
    let (policy, layers) = with_positions(&mut harbour, &[1]);
    let (ada, ben) = (harbour.ada, harbour.ben);
    let gone = harbour.cleo;
    harbour.run(RemoveMember { user_id: user(&gone) }, &ada).unwrap();
    let (no_policy, no_layer) = (PolicyId::from_bytes([9; 16]), PolicyLayerId::from_bytes([9; 16]));
    let members = || Target::users(vec![user(&ben), user(&ada)]).unwrap();
    let stranger = || Target::users(vec![user(&ben), UserId::from_bytes([9; 16])]).unwrap();
    let former = || Target::users(vec![user(&gone)]).unwrap();
    let nowhere = || Target::Schedule(ScheduleId::from_bytes([9; 16]));
    let night = harbour.schedule("Night");
    for (target, of, expected) in [
        (members(), policy, "ok"),
        (Target::Schedule(night), policy, "ok"),
        (stranger(), policy, "invalid_target"),
        (former(), policy, "invalid_target"),
        (nowhere(), policy, "invalid_target"),
        (nowhere(), no_policy, "not_found"),
    ] {
        let mut world = harbour.clone();
        assert_eq!(word(&world.run(layer(of, 2, 5, target.clone()), &ben)), expected, "add {target:?}");
        let mut world = harbour.clone();
        let edit = EditPolicyLayer { target: Some(target.clone()), ..EditPolicyLayer::new(of, layers[0]) };
        assert_eq!(word(&world.run(edit, &ben)), expected, "edit {target:?}");
    }
    let edit = EditPolicyLayer { target: Some(nowhere()), ..EditPolicyLayer::new(policy, no_layer) };
    assert_eq!(word(&harbour.run_unchanged(edit, &ben)), "not_found", "the layer comes first");
    assert_eq!(word(&harbour.run_unchanged(EditPolicyLayer::new(policy, layers[0]), &ben)), "ok", "nothing to change");
    assert_eq!(
        word(&harbour.run_unchanged(RemovePolicyLayer { policy_id: policy, layer_id: no_layer }, &ben)),
        "not_found"
    );
    assert_eq!(word(&harbour.run_unchanged(DeletePolicy { id: no_policy }, &ben)), "not_found");
    // Twenty layers, and not one more; what is wrong with its target is said first.
    for position in 2..=20 {
        harbour.run(layer(policy, position, 5, members()), &ben).unwrap();
    }
    assert_eq!(word(&harbour.run_unchanged(layer(policy, 21, 5, members()), &ben)), "limit_reached");
    assert_eq!(word(&harbour.run_unchanged(layer(policy, 21, 5, nowhere()), &ben)), "invalid_target");
}

#[test]
fn values_that_fail_their_schema() {
    for (minutes, fits) in [(0, false), (1, true), (10_080, true), (10_081, false), (-5, false), (i64::MAX, false)] {
        assert_eq!(AckTimeout::from_minutes(minutes).is_ok(), fits, "{minutes} minutes");
    }
    for (position, fits) in [(0, false), (1, true), (2_147_483_647, true), (2_147_483_648, false), (-1, false)] {
        assert_eq!(Position::new(position).is_ok(), fits, "position {position}");
    }
    let users = |count: u8| Target::users((0..count).map(|n| UserId::from_bytes([n; 16])).collect());
    for (count, fits) in [(0, false), (1, true), (50, true), (51, false)] {
        assert_eq!(users(count).is_ok(), fits, "{count} users");
    }
    let twice = UserId::from_bytes([1; 16]);
    assert_eq!(Target::users(vec![twice, twice]).unwrap_err().to_string(), "target users must not hold a user twice");
}

#[test]
fn names_are_unique() {
    let mut harbour = Harbour::new();
    let (night, day) = (harbour.policy("Night"), harbour.policy("Day"));
    let ben = harbour.ben;
    let create = |name| CreatePolicy { name: valid(name), description: None };
    let rename = |id, name| EditPolicy { id, name: Some(valid(name)), description: Patch::Keep };
    for (name, expected) in [("Night", "name_conflict"), ("night", "ok"), ("Night ", "ok"), ("Third", "ok")] {
        let mut world = harbour.clone();
        assert_eq!(word(&world.run(create(name), &ben)), expected, "create {name:?}");
        let mut world = harbour.clone();
        assert_eq!(word(&world.run(rename(day, name), &ben)), expected, "rename {name:?}");
    }
    assert_eq!(word(&harbour.run_unchanged(rename(night, "Night"), &ben)), "ok", "its own name");
    let names = |harbour: &Harbour| {
        let listed = harbour.ask(&ListPolicies, &harbour.ada).unwrap();
        listed.iter().map(|policy| policy.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&harbour), ["Day", "Night"]);
    harbour.run(DeletePolicy { id: night }, &ben).unwrap();
    assert_eq!(names(&harbour), ["Day"]);
    harbour.run(create("Night"), &ben).unwrap();
}

#[test]
fn a_thousand_policies() {
    let mut harbour = Harbour::new();
    for n in 0..1_000 {
        harbour.policy(&format!("policy {n}"));
    }
    let ben = harbour.ben;
    let one_more = CreatePolicy { name: valid("one more"), description: None };
    assert_eq!(word(&harbour.run_unchanged(one_more, &ben)), "limit_reached");
}

#[test]
fn what_is_in_use_stays() {
    let mut harbour = Harbour::new();
    let (ben, night) = (harbour.ben, harbour.schedule("Night"));
    let policy = harbour.policy("Night");
    let added = harbour.run(layer(policy, 1, 5, Target::Schedule(night)), &ben).unwrap();
    let open = CreateIncident {
        escalation_policy_id: Some(policy),
        ..CreateIncident::new(valid("Checkout is down"), Severity::High, user(&ben))
    };
    let incident = harbour.run(open, &ben).unwrap();
    assert_eq!(incident.escalation_policy_id, Some(policy));
    for to in [Status::Identified, Status::Monitoring, Status::Resolved] {
        assert_eq!(word(&harbour.run_unchanged(DeletePolicy { id: policy }, &ben)), "policy_in_use", "before {to}");
        harbour.run(dogwatch_core::incident::ChangeStatus::new(incident.id, to), &ben).unwrap();
    }
    assert_eq!(word(&harbour.run_unchanged(DeleteSchedule { id: night }, &ben)), "schedule_in_use");
    let elsewhere = Target::users(vec![user(&ben)]).unwrap();
    let edit = EditPolicyLayer { target: Some(elsewhere), ..EditPolicyLayer::new(policy, added.id) };
    let mut world = harbour.clone();
    world.run(edit, &ben).unwrap();
    assert_eq!(word(&world.run(DeleteSchedule { id: night }, &ben)), "ok");
    harbour.run(DeletePolicy { id: policy }, &ben).unwrap();
    assert_eq!(word(&harbour.run(DeleteSchedule { id: night }, &ben)), "ok");
    assert_eq!(harbour.detail(incident.id).incident.escalation_policy_id, Some(policy), "history keeps the id");
}

#[test]
fn who_leaves_leaves_every_policy_layer() {
    let mut harbour = Harbour::new();
    let policy = harbour.policy("Night");
    let (ada, ben, cleo) = (harbour.ada, harbour.ben, harbour.cleo);
    for (position, users) in [(1, vec![user(&ben), user(&cleo)]), (2, vec![user(&cleo)]), (3, vec![user(&ada)])] {
        harbour.run(layer(policy, position, 5, Target::users(users).unwrap()), &ben).unwrap();
    }
    harbour.run(RemoveMember { user_id: user(&cleo) }, &ada).unwrap();
    let layers = harbour.ask(&GetPolicy { id: policy }, &ada).unwrap().layers.unwrap();
    let targets: Vec<_> = layers.into_iter().map(|layer| layer.target).collect();
    assert_eq!(
        targets,
        [vec![user(&ben)], vec![], vec![user(&ada)]].map(|users| Target::Users(TargetUsers::restore(users).unwrap())),
        "a layer without people stays"
    );
}

/// The policy of an incident that only names a schedule: smallest position, then oldest policy.
#[test]
fn attachment_by_schedule() {
    let mut harbour = Harbour::new();
    let (ben, night, other) = (harbour.ben, harbour.schedule("Night"), harbour.schedule("Other"));
    let mut policies = Vec::new();
    for (name, position, schedule) in [("A", 2, night), ("B", 1, other), ("C", 2, night), ("D", 3, night)] {
        harbour.advance(60);
        let policy = harbour.policy(name);
        harbour.run(layer(policy, position, 5, Target::Schedule(schedule)), &ben).unwrap();
        policies.push(policy);
    }
    let attached = |harbour: &mut Harbour, named: Option<usize>, schedule: Option<ScheduleId>| {
        let open = CreateIncident {
            owner: Owner::of(Some(user(&ben)), schedule),
            escalation_policy_id: named.map(|n| policies[n]),
            ..CreateIncident::new(valid("Checkout is down"), Severity::High, user(&ben))
        };
        let policy = harbour.run(open, &ben).unwrap().escalation_policy_id;
        policy.map(|policy| policies.iter().position(|other| *other == policy).unwrap())
    };
    assert_eq!(attached(&mut harbour, None, None), None);
    assert_eq!(attached(&mut harbour, None, Some(night)), Some(0), "the oldest of those at position 2");
    assert_eq!(attached(&mut harbour, None, Some(other)), Some(1));
    assert_eq!(attached(&mut harbour, Some(3), Some(night)), Some(3), "a named one comes first");
    assert_eq!(attached(&mut harbour, Some(1), None), Some(1));
    harbour.run(layer(policies[3], 1, 5, Target::Schedule(night)), &ben).unwrap();
    assert_eq!(attached(&mut harbour, None, Some(night)), Some(3), "the smallest position");
    let free = harbour.schedule("Free");
    assert_eq!(attached(&mut harbour, None, Some(free)), None, "no policy targets it");
}
