//! Sections 7 and 8 of the contract: schedules, layers and overrides, their rules, and what an edit does to now and then.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::id::Id;
use dogwatch_core::id::{OverrideId, RotationLayerId, ScheduleId};
use dogwatch_core::incident::{CreateIncident, Owner, Severity};
use dogwatch_core::oncall::{
    DeleteOverride, DeleteSchedule, EditRotationLayer, EditSchedule, GetSchedule, ListOverrides, ListSchedules,
    OnCallNow, OrderRotationLayers, RemoveRotationLayer, RotationLength, RotationType, ShiftsOnCall,
};
use dogwatch_core::team::RemoveMember;
use dogwatch_core::{Actor, Error, Patch, Timestamp, UserId};
use support::night::{Night, create, daily};
use support::{Harbour, user, valid, word};

#[test]
fn the_order_of_rules_on_schedules() {
    let mut night = Night::new();
    let ben = night.harbour.ben;
    let other = night.harbour.run(create("Day", "Europe/Berlin"), &ben).unwrap().id;
    for (name, zone, expected) in [
        ("Night", "Mars/Olympus", "invalid_timezone"),
        ("Night", "Factory", "invalid_timezone"),
        ("Night", "UTC", "name_conflict"),
        ("night", "utc", "invalid_timezone"),
        ("night", "US/Eastern", "ok"),
    ] {
        assert_eq!(word(&night.harbour.run(create(name, zone), &ben)), expected, "{name} {zone}");
        let edit = EditSchedule {
            id: other,
            name: Some(valid(name)),
            description: Patch::Keep,
            timezone: Some(zone.to_owned()),
        };
        let expected = if expected == "ok" { "name_conflict" } else { expected };
        assert_eq!(word(&night.harbour.run_unchanged(edit, &ben)), expected, "{name} {zone}");
    }
    let names: Vec<_> =
        night.harbour.ask(&ListSchedules, &ben).unwrap().into_iter().map(|s| s.name.to_string()).collect();
    assert_eq!(names, ["Day", "Night", "night"]);

    let nowhere = ScheduleId::from_bytes([9; 16]);
    let edit = EditSchedule { id: nowhere, name: None, description: Patch::Keep, timezone: Some("nowhere".to_owned()) };
    assert_eq!(word(&night.harbour.run_unchanged(edit, &ben)), "not_found", "the resource before its rules");
    assert_eq!(word(&night.harbour.ask(&GetSchedule { id: nowhere }, &ben)), "not_found");
    let nothing = EditSchedule { id: other, name: None, description: Patch::Keep, timezone: None };
    assert_eq!(word(&night.harbour.run_unchanged(nothing, &ben)), "ok");
}

#[test]
fn deleting_a_schedule_leaves_nothing_behind() {
    let mut night = Night::new();
    let (ada, ben, cleo) = (night.harbour.ada, night.harbour.ben, night.harbour.cleo);
    let mut before = night.harbour.world.clone();
    let id = night.harbour.run(create("Gone", "UTC"), &ben).unwrap().id;
    let night_id = std::mem::replace(&mut night.id, id);
    let layer = night.add("one", daily("2026-04-01T00:00:00Z", &[&ben, &cleo])).unwrap().id;
    night.stand_in(&ada, "2026-04-07T12:00:00Z", "2026-04-08T12:00:00Z").unwrap();
    night.harbour.advance(86_400);
    let edit = EditRotationLayer { participant_ids: Some(vec![user(&cleo)]), ..EditRotationLayer::new(id, layer) };
    night.harbour.run(edit, &ben).unwrap();
    assert_eq!(night.harbour.run(DeleteSchedule { id }, &ben).unwrap(), id);
    let mut after = night.harbour.world.clone();
    assert!(after != before, "the audit tells it");
    before.forget_audits();
    after.forget_audits();
    assert!(after == before, "as if it had never been");
    assert_eq!(word(&night.harbour.run_unchanged(DeleteSchedule { id }, &ben)), "not_found");
    assert_eq!(word(&night.harbour.run(DeleteSchedule { id: night_id }, &ben)), "ok");
}

#[test]
fn the_order_of_rules_on_layers() {
    let mut night = Night::new();
    let ben = night.harbour.ben;
    let stranger = Actor::member(night.harbour.org, UserId::from_bytes([9; 16]));
    let first = night.add("first", daily("2026-04-01T00:00:00Z", &[&ben])).unwrap();
    assert_eq!((first.position, first.length), (0, RotationLength::DAILY));
    for (name, who, expected) in [
        ("first", stranger, "name_conflict"),
        ("second", stranger, "invalid_participant"),
        ("second", ben, "ok"),
        ("First", ben, "ok"),
    ] {
        assert_eq!(word(&night.add(name, daily("2026-04-01T00:00:00Z", &[&who]))), expected, "{name}");
    }
    let schedule = night.id;
    let edit = |layer| EditRotationLayer::new(schedule, layer);
    let nobody = RotationLayerId::from_bytes([9; 16]);
    for (command, expected) in [
        (EditRotationLayer { name: Some(valid("second")), ..edit(nobody) }, "not_found"),
        (EditRotationLayer { rotation_type: Some(RotationType::Weekly), ..edit(first.id) }, "validation_error"),
        (EditRotationLayer { rotation_length_days: Some(2), ..edit(first.id) }, "validation_error"),
        (
            EditRotationLayer { effective_until: Patch::Set(valid("2026-04-01T00:00:00Z")), ..edit(first.id) },
            "validation_error",
        ),
        (EditRotationLayer { participant_ids: Some(vec![]), ..edit(first.id) }, "validation_error"),
        (EditRotationLayer { participant_ids: Some(vec![user(&ben); 51]), ..edit(first.id) }, "validation_error"),
        (
            EditRotationLayer {
                name: Some(valid("second")),
                participant_ids: Some(vec![user(&stranger)]),
                ..edit(first.id)
            },
            "name_conflict",
        ),
        (EditRotationLayer { participant_ids: Some(vec![user(&stranger)]), ..edit(first.id) }, "invalid_participant"),
        (EditRotationLayer { name: Some(valid("first")), ..edit(first.id) }, "ok"),
        (edit(first.id), "ok"),
    ] {
        let shown = format!("{command:?}");
        assert_eq!(word(&night.harbour.run_unchanged(command, &ben)), expected, "{shown}");
    }
    let all_wrong = EditRotationLayer {
        rotation_length_days: Some(2),
        effective_until: Patch::Set(valid("2026-04-01T00:00:00Z")),
        participant_ids: Some(vec![]),
        ..edit(first.id)
    };
    let refused = night.harbour.run_unchanged(all_wrong, &ben).unwrap_err();
    assert_eq!(offending(&refused), ["participantIds"], "what can be told without a look at the layer comes first");
    let all_wrong = EditRotationLayer {
        rotation_length_days: Some(2),
        effective_until: Patch::Set(valid("2026-04-01T00:00:00Z")),
        ..edit(first.id)
    };
    let refused = night.harbour.run_unchanged(all_wrong, &ben).unwrap_err();
    assert_eq!(offending(&refused), ["rotationLengthDays", "effectiveUntil"], "every offending field");
    let never_right = EditRotationLayer {
        rotation_type: Some(RotationType::Weekly),
        rotation_length_days: Some(8),
        effective_from: Some(valid("2026-04-02T00:00:00Z")),
        effective_until: Patch::Set(valid("2026-04-01T00:00:00Z")),
        participant_ids: Some(vec![]),
        ..edit(nobody)
    };
    let refused = night.harbour.run_unchanged(never_right, &ben).unwrap_err();
    assert_eq!(
        offending(&refused),
        ["rotationLengthDays", "effectiveUntil", "participantIds"],
        "before the layer is looked up"
    );
    let weekly = EditRotationLayer {
        rotation_type: Some(RotationType::Weekly),
        rotation_length_days: Some(7),
        ..edit(first.id)
    };
    assert_eq!(night.harbour.run(weekly, &ben).unwrap().length, RotationLength::WEEKLY);
}

/// The names of the fields that a refusal complains about.
fn offending(refused: &Error) -> Vec<&str> {
    refused.fields().iter().map(|it| it.field.as_str()).collect()
}

/// What is wrong with an edit by itself is said before anything is looked up, and all of it.
#[test]
fn an_impossible_edit_is_refused_before_the_schedule_is_looked_up() {
    let mut night = Night::new();
    let ben = night.harbour.ben;
    let (nowhere, nothing) = (ScheduleId::from_bytes([9; 16]), RotationLayerId::from_bytes([9; 16]));
    let edit = EditRotationLayer {
        rotation_length_days: Some(0),
        participant_ids: Some(vec![]),
        ..EditRotationLayer::new(nowhere, nothing)
    };
    let refused = night.harbour.run_unchanged(edit, &ben).unwrap_err();
    assert_eq!(offending(&refused), ["rotationLengthDays", "participantIds"]);
}

#[test]
fn twenty_layers() {
    let mut night = Night::new();
    let ben = night.harbour.ben;
    for n in 0..20 {
        assert_eq!(night.add(&format!("layer {n}"), daily("2026-04-01T00:00:00Z", &[&ben])).unwrap().position, n);
    }
    assert_eq!(word(&night.add("one too many", daily("2026-04-01T00:00:00Z", &[&ben]))), "limit_reached");
}

#[test]
fn five_hundred_overrides_that_are_not_over() {
    let mut night = Night::new();
    let ben = night.harbour.ben;
    for _ in 0..500 {
        night.stand_in(&ben, "2026-04-07T11:00:00Z", "2026-04-07T12:00:00Z").unwrap();
    }
    assert_eq!(word(&night.stand_in(&ben, "2026-04-08T11:00:00Z", "2026-04-08T12:00:00Z")), "limit_reached");
    night.harbour.now = valid("2026-04-07T12:00:00Z");
    assert_eq!(word(&night.stand_in(&ben, "2026-04-08T11:00:00Z", "2026-04-08T12:00:00Z")), "ok", "those are over");
}

#[test]
fn ordering_and_removing_take_effect_now() {
    let mut night = Night::new();
    let (ada, ben, cleo) = (night.harbour.ada, night.harbour.ben, night.harbour.cleo);
    let one = night.add("one", daily("2026-04-01T00:00:00Z", &[&ada])).unwrap().id;
    let two = night.add("two", daily("2026-04-01T00:00:00Z", &[&ben])).unwrap().id;
    let three = night.add("three", daily("2026-04-01T00:00:00Z", &[&cleo])).unwrap().id;
    let schedule = night.id;
    for layer_ids in [
        vec![],
        vec![one, two],
        vec![one, two, two],
        vec![one, two, three, three],
        vec![one, two, RotationLayerId::from_bytes([9; 16])],
    ] {
        let order = OrderRotationLayers { schedule_id: schedule, layer_ids };
        let refused = night.harbour.run_unchanged(order, &ben).unwrap_err();
        assert_eq!(refused.fields()[0].field, "layerIds");
    }
    assert_eq!(night.at("2026-04-07T10:00:00Z"), "Ada+Ben+Cleo until never");
    night.harbour.now = valid("2026-04-07T11:00:00Z");
    let order = OrderRotationLayers { schedule_id: schedule, layer_ids: vec![three, one, two] };
    let layers = night.harbour.run(order, &ben).unwrap();
    assert_eq!(
        layers.iter().map(|layer| (layer.id, layer.position)).collect::<Vec<_>>(),
        [(three, 0), (one, 1), (two, 2)]
    );
    night.harbour.now = valid("2026-04-07T12:00:00Z");
    assert_eq!(night.harbour.run(RemoveRotationLayer { schedule_id: schedule, layer_id: one }, &ben).unwrap(), one);
    for (at, expected) in [
        ("2026-04-07T10:59:59.999Z", "Ada+Ben+Cleo until 04-07T11:00"),
        ("2026-04-07T11:00:00Z", "Cleo+Ada+Ben until 04-07T12:00"),
        ("2026-04-07T12:00:00Z", "Cleo+Ben until never"),
    ] {
        assert_eq!(night.at(at), expected, "{at}");
    }
    let positions: Vec<_> = night
        .harbour
        .ask(&GetSchedule { id: schedule }, &ben)
        .unwrap()
        .layers
        .unwrap()
        .iter()
        .map(|l| l.position)
        .collect();
    assert_eq!(positions, [0, 1], "contiguous");
    assert_eq!(
        word(&night.harbour.run_unchanged(RemoveRotationLayer { schedule_id: schedule, layer_id: one }, &ben)),
        "not_found"
    );
}

/// The person on call stays on call if still listed; the rotation goes on from them; what was, was.
#[test]
fn edits_keep_the_past_and_the_person_on_call() {
    // Ada began on 1 April; at 10:00 on the 7th it is the turn of number 6 of [Ada, Ben, Cleo]: Ada.
    type Change = fn(&Harbour, &mut EditRotationLayer);
    let cases: &[(&str, Change, &str, &str)] = &[
        ("nothing", |_, _| {}, "Ada until 04-08T09:00", "Ben until 04-09T09:00"),
        (
            "order of people",
            |h, e| e.participant_ids = Some(vec![user(&h.cleo), user(&h.ada), user(&h.ben)]),
            "Ada until 04-08T09:00",
            "Ben until 04-09T09:00",
        ),
        (
            "another order",
            |h, e| e.participant_ids = Some(vec![user(&h.cleo), user(&h.ben), user(&h.ada)]),
            "Ada until 04-08T09:00",
            "Cleo until 04-09T09:00",
        ),
        (
            "without her",
            |h, e| e.participant_ids = Some(vec![user(&h.cleo), user(&h.ben)]),
            "Cleo until 04-08T09:00",
            "Ben until 04-09T09:00",
        ),
        (
            "another handoff time",
            |_, e| e.handoff_time = Some(valid("20:00")),
            "Ada until 04-07T20:00",
            "Ben until 04-08T20:00",
        ),
        (
            "turns of three days, counted from the anchor",
            |_, e| {
                e.rotation_type = Some(RotationType::Custom);
                e.rotation_length_days = Some(3);
            },
            "Ada until 04-10T09:00",
            "Ada until 04-10T09:00",
        ),
        (
            "an end",
            |_, e| e.effective_until = Patch::Set(valid("2026-04-07T11:00:00Z")),
            "Ada until 04-07T11:00",
            " until never",
        ),
        (
            "a beginning in the future",
            |_, e| e.effective_from = Some(valid("2026-04-08T00:00:00Z")),
            " until 04-08T00:00",
            "Ada until 04-09T09:00",
        ),
        (
            "an earlier beginning",
            |_, e| e.effective_from = Some(valid("2026-03-01T00:00:00Z")),
            "Ada until 04-08T09:00",
            "Ben until 04-09T09:00",
        ),
    ];
    for (what, change, now, tomorrow) in cases {
        let mut night = Night::new();
        let (ada, ben, cleo) = (night.harbour.ada, night.harbour.ben, night.harbour.cleo);
        let layer = night.add("one", daily("2026-04-01T00:00:00Z", &[&ada, &ben, &cleo])).unwrap().id;
        assert_eq!(night.at("2026-04-07T10:00:00Z"), "Ada until 04-08T09:00");
        let past = ["2026-03-31T23:00:00Z", "2026-04-01T00:00:00Z", "2026-04-06T12:00:00Z", "2026-04-07T09:59:59.999Z"];
        let people_of = |night: &Night| past.map(|at| night.at(at).split(' ').next().unwrap().to_owned());
        let before = people_of(&night);
        let mut edit = EditRotationLayer::new(night.id, layer);
        change(&night.harbour, &mut edit);
        night.harbour.run(edit, &ben).unwrap();
        assert_eq!(night.at("2026-04-07T10:00:00Z"), *now, "{what}");
        assert_eq!(night.at("2026-04-08T10:00:00Z"), *tomorrow, "{what}");
        assert_eq!(people_of(&night), before, "{what}: the past");
    }
}

/// A clock that jumps back does not let an edit reach behind the one before it.
#[test]
fn edits_follow_one_another_whatever_the_clock_says() {
    let mut night = Night::new();
    let (ada, ben, cleo) = (night.harbour.ada, night.harbour.ben, night.harbour.cleo);
    let layer = night.add("one", daily("2026-04-01T00:00:00Z", &[&ada])).unwrap().id;
    for (clock, who) in [("2026-04-07T12:00:00Z", ben), ("2026-04-07T11:00:00Z", cleo)] {
        night.harbour.now = valid(clock);
        let edit =
            EditRotationLayer { participant_ids: Some(vec![user(&who)]), ..EditRotationLayer::new(night.id, layer) };
        night.harbour.run(edit, &ben).unwrap();
    }
    assert_eq!(night.at("2026-04-07T11:30:00Z"), "Ada until 04-07T12:00");
    assert_eq!(night.at("2026-04-07T12:00:00Z"), "Cleo until never");
}

#[test]
fn a_new_zone_takes_effect_now() {
    let mut night = Night::new();
    let (ada, ben) = (night.harbour.ada, night.harbour.ben);
    night.add("one", daily("2026-04-01T00:00:00Z", &[&ada, &ben])).unwrap();
    let edit = |zone: &str| EditSchedule {
        id: night.id,
        name: None,
        description: Patch::Keep,
        timezone: Some(zone.to_owned()),
    };
    let (tokyo, same) = (edit("Asia/Tokyo"), edit("Asia/Tokyo"));
    assert_eq!(night.at("2026-04-07T10:00:00Z"), "Ada until 04-08T09:00");
    let past = night.at("2026-04-06T08:59:00Z");
    night.harbour.run(tokyo, &ben).unwrap();
    assert_eq!(night.at("2026-04-07T10:00:00Z"), "Ada until 04-08T00:00", "nine in Tokyo");
    assert_eq!(night.at("2026-04-06T08:59:00Z"), past);
    assert_eq!(word(&night.harbour.run_unchanged(same, &ben)), "ok");
}

#[test]
fn a_member_who_leaves_leaves_every_rotation_from_now_on() {
    let mut night = Night::new();
    let (ada, ben, cleo) = (night.harbour.ada, night.harbour.ben, night.harbour.cleo);
    night.add("both", daily("2026-04-01T00:00:00Z", &[&ben, &cleo])).unwrap();
    night.add("alone", daily("2026-04-01T00:00:00Z", &[&ben])).unwrap();
    night.stand_in(&ben, "2026-04-07T11:00:00Z", "2026-04-07T15:00:00Z").unwrap();
    night.stand_in(&ben, "2026-04-09T11:00:00Z", "2026-04-09T15:00:00Z").unwrap();
    night.harbour.now = valid("2026-04-07T12:00:00Z");
    night.harbour.run(RemoveMember { user_id: user(&ben) }, &ada).unwrap();
    for (at, expected) in [
        ("2026-04-07T10:00:00Z", "Ben until 04-07T11:00"),
        ("2026-04-07T11:59:59.999Z", "Ben until 04-07T12:00"),
        ("2026-04-07T12:00:00Z", "Cleo until never"),
        ("2026-04-09T12:00:00Z", "Cleo until never"),
    ] {
        assert_eq!(night.at(at), expected, "{at}");
    }
    // The layer without anybody can still be changed, by the same rules, and does not have to name anybody.
    let layer = night.harbour.ask(&GetSchedule { id: night.id }, &ada).unwrap().layers.unwrap()[1].id;
    for (until, expected) in [("2026-03-01T00:00:00Z", "validation_error"), ("2026-05-01T00:00:00Z", "ok")] {
        let edit =
            EditRotationLayer { effective_until: Patch::Set(valid(until)), ..EditRotationLayer::new(night.id, layer) };
        assert_eq!(word(&night.harbour.run(edit, &ada)), expected, "{until}");
    }
    let layers = night.harbour.ask(&GetSchedule { id: night.id }, &ada).unwrap().layers.unwrap();
    assert_eq!(layers.iter().map(|layer| layer.participant_ids.len()).collect::<Vec<_>>(), [1, 0]);
    let overrides = night.harbour.ask(&ListOverrides { schedule_id: night.id }, &ada).unwrap();
    assert_eq!(overrides.iter().map(|one| one.ends_at).collect::<Vec<_>>(), [night.harbour.now]);
}

/// Also where they stand in for nobody.
#[test]
fn a_member_who_leaves_leaves_schedules_without_overrides() {
    let mut night = Night::new();
    let (ada, ben) = (night.harbour.ada, night.harbour.ben);
    night.add("alone", daily("2026-04-01T00:00:00Z", &[&ben])).unwrap();
    night.harbour.run(RemoveMember { user_id: user(&ben) }, &ada).unwrap();
    assert_eq!(night.at("2026-04-07T10:00:00Z"), " until never");
}

#[test]
fn overrides() {
    let mut night = Night::new();
    let (ada, ben, cleo) = (night.harbour.ada, night.harbour.ben, night.harbour.cleo);
    night.add("one", daily("2026-04-01T00:00:00Z", &[&ada])).unwrap();
    night.add("two", daily("2026-04-01T00:00:00Z", &[&ben])).unwrap();
    for (starts, ends, expected) in [
        ("2026-04-07T12:00:00Z", "2026-04-07T12:00:00Z", "validation_error"),
        ("2026-04-07T12:00:00Z", "2026-04-07T11:00:00Z", "validation_error"),
        ("2026-04-07T12:00:00Z", "2027-04-08T12:00:00.001Z", "validation_error"),
        ("2026-04-01T12:00:00Z", "2026-04-07T10:00:00Z", "validation_error"),
    ] {
        assert_eq!(word(&night.stand_in(&cleo, starts, ends)), expected, "{starts} {ends}");
    }
    let stranger = Actor::member(night.harbour.org, UserId::from_bytes([9; 16]));
    assert_eq!(word(&night.stand_in(&stranger, "2026-04-07T12:00:00Z", "2026-04-07T13:00:00Z")), "invalid_participant");

    let long = night.stand_in(&cleo, "2026-04-01T12:00:00Z", "2026-04-07T20:00:00Z").unwrap();
    assert_eq!(long.starts_at, night.harbour.now, "not before now");
    let short = night.stand_in(&ben, "2026-04-07T12:00:00Z", "2026-04-07T13:00:00Z").unwrap();
    for (at, expected) in [
        ("2026-04-07T09:59:59.999Z", "Ada+Ben until 04-07T10:00"),
        ("2026-04-07T10:00:00Z", "Cleo+Ben until 04-07T12:00"),
        ("2026-04-07T12:00:00Z", "Ben until 04-07T13:00"),
        ("2026-04-07T13:00:00Z", "Cleo+Ben until 04-07T20:00"),
        ("2026-04-07T20:00:00Z", "Ada+Ben until never"),
    ] {
        assert_eq!(night.at(at), expected, "{at}");
    }
    let delete = |night: &mut Night, id| {
        let ben = night.harbour.ben;
        night.harbour.run(DeleteOverride { schedule_id: night.id, id }, &ben)
    };
    assert_eq!(delete(&mut night, short.id).unwrap(), short.id);
    assert_eq!(word(&delete(&mut night, short.id)), "not_found", "it never was");
    night.harbour.now = valid("2026-04-07T11:00:00Z");
    assert_eq!(word(&delete(&mut night, long.id)), "ok");
    assert_eq!(word(&delete(&mut night, long.id)), "not_found", "it is over");
    assert_eq!(word(&delete(&mut night, OverrideId::from_bytes([9; 16]))), "not_found");
    assert_eq!(night.at("2026-04-07T10:30:00Z"), "Cleo+Ben until 04-07T11:00");
    assert_eq!(night.at("2026-04-07T11:00:00Z"), "Ada+Ben until never");
    let listed = night.harbour.ask(&ListOverrides { schedule_id: night.id }, &ada).unwrap();
    assert_eq!(listed.iter().map(|one| (one.id, one.ends_at)).collect::<Vec<_>>(), [(long.id, night.harbour.now)]);
}

#[test]
fn an_override_without_a_layer_is_owner_and_only_target() {
    let mut night = Night::new();
    let cleo = night.harbour.cleo;
    assert_eq!(night.at("2026-04-07T10:00:00Z"), " until never");
    night.stand_in(&cleo, "2026-04-07T12:00:00Z", "2026-04-07T13:00:00Z").unwrap();
    assert_eq!(night.at("2026-04-07T12:30:00Z"), "Cleo until 04-07T13:00");
    let shifts = ShiftsOnCall::new(night.id, valid("2026-04-07T00:00:00Z"), valid("2026-04-08T00:00:00Z"));
    let shifts = night.harbour.ask(&shifts, &cleo).unwrap();
    assert_eq!((shifts.final_shifts.len(), shifts.gaps.len()), (1, 2));
}

#[test]
fn ranges() {
    let night = Night::new();
    let (from, day) = ("2026-04-07T00:00:00Z".parse::<Timestamp>().unwrap(), 86_400_000);
    for (millis, valid) in [(0, true), (-1, false), (366 * day, true), (366 * day + 1, false)] {
        let to = Timestamp::clamped(from.as_millis() + millis);
        let range = night.harbour.ask(&ShiftsOnCall::new(night.id, from, to), &night.harbour.ada);
        assert_eq!(word(&range), if valid { "ok" } else { "validation_error" }, "{millis}");
    }
}

#[test]
fn an_incident_is_owned_by_whoever_is_on_call() {
    let mut night = Night::new();
    let (ada, ben, cleo) = (night.harbour.ada, night.harbour.ben, night.harbour.cleo);
    let open = |owner, schedule| CreateIncident {
        owner: Owner::of(owner, Some(schedule)),
        ..CreateIncident::new(valid("Checkout is down"), Severity::High, user(&ada))
    };
    let schedule = night.id;
    assert_eq!(night.harbour.run(open(None, schedule), &ada).unwrap().owner_id, None, "nobody is on call");
    night.add("one", daily("2026-04-07T00:00:00Z", &[&ben, &cleo])).unwrap();
    assert_eq!(night.harbour.run(open(None, schedule), &ada).unwrap().owner_id, Some(user(&ben)));
    assert_eq!(night.harbour.run(open(Some(user(&ada)), schedule), &ada).unwrap().owner_id, Some(user(&ada)));
    night.harbour.now = valid("2026-04-08T09:00:00Z");
    assert_eq!(night.harbour.run(open(None, schedule), &ada).unwrap().owner_id, Some(user(&cleo)));
    let nowhere = ScheduleId::from_bytes([9; 16]);
    assert_eq!(word(&night.harbour.run_unchanged(open(Some(user(&ada)), nowhere), &ada)), "not_found");
    let rows = night.harbour.ask(&OnCallNow { at: night.harbour.now }, &ada).unwrap();
    assert_eq!(
        rows.iter().map(|row| (row.name.as_str(), row.on_call.owner.map(|o| o.user_id))).collect::<Vec<_>>(),
        [("Night", Some(user(&cleo)))]
    );
}

/// Once zones were compared by their rules: the reply said `US/Eastern`, and what was stored stayed `America/New_York`.
#[test]
fn a_zone_is_stored_by_the_name_that_was_given() {
    let mut night = Night::new();
    let (id, ben) = (night.id, night.harbour.ben);
    night.add("only", daily("2026-04-01T00:00:00Z", &[&ben])).unwrap();
    for zone in [
        "America/New_York",
        "US/Eastern",
        "Asia/Calcutta",
        "Asia/Kolkata",
        "Europe/Kiev",
        "Europe/Kyiv",
        "Etc/UTC",
        "UTC",
    ] {
        let edit = EditSchedule { id, name: None, description: Patch::Keep, timezone: Some(zone.to_owned()) };
        assert_eq!(night.harbour.run(edit.clone(), &ben).unwrap().timezone.name(), zone);
        let shown = night.harbour.ask(&GetSchedule { id }, &ben).unwrap();
        assert_eq!(shown.timezone.name(), zone, "answered, but not stored");
        assert_eq!(word(&night.harbour.run_unchanged(edit, &ben)), "ok", "the same name again is no change");
    }
}

/// Once the overrides of a member who leaves ended by the clock: with one that had jumped back, the past changed.
#[test]
fn overrides_of_who_leaves_end_by_the_schedules_own_time() {
    let mut night = Night::new();
    let (id, ada, ben, cleo) = (night.id, night.harbour.ada, night.harbour.ben, night.harbour.cleo);
    night.add("only", daily("2026-04-01T00:00:00Z", &[&ben])).unwrap();
    night.stand_in(&cleo, "2026-04-07T10:00:00Z", "2026-04-07T18:00:00Z").unwrap();
    night.harbour.now = valid("2026-04-07T12:00:00Z");
    let edit = EditSchedule { id, name: None, description: Patch::Keep, timezone: Some("Etc/UTC".to_owned()) };
    night.harbour.run(edit, &ben).unwrap();
    night.harbour.now = valid("2026-04-07T11:00:00Z");
    night.harbour.run(RemoveMember { user_id: user(&cleo) }, &ada).unwrap();
    for (at, expected) in [
        ("2026-04-07T11:30:00Z", "Cleo until 04-07T12:00"),
        ("2026-04-07T11:59:59Z", "Cleo until 04-07T12:00"),
        ("2026-04-07T12:00:00Z", "Ben until never"),
    ] {
        assert_eq!(night.at(at), expected, "{at}");
    }
    // One that ended before the schedule's own time is past, whatever the clock says.
    let overrides = night.harbour.ask(&ListOverrides { schedule_id: id }, &ada).unwrap();
    assert_eq!(overrides[0].ends_at, valid("2026-04-07T12:00:00Z"));
}

/// A layer that is not yet effective takes new settings as if it had been created with them: turns count from the anchor
/// they give, and nothing changes before now.
#[test]
fn a_layer_that_is_not_yet_effective_takes_new_settings() {
    let mut night = Night::new();
    let (id, ada, ben, cleo) = (night.id, night.harbour.ada, night.harbour.ben, night.harbour.cleo);
    let layer = night.add("only", daily("2026-05-01T00:00:00Z", &[&ada, &ben, &cleo])).unwrap().id;
    // It is 10:00 on the 7th: from the 5th at midnight, three handoffs at 09:00 have passed.
    let edit =
        EditRotationLayer { effective_from: Some(valid("2026-04-05T00:00:00Z")), ..EditRotationLayer::new(id, layer) };
    night.harbour.run(edit, &ben).unwrap();
    for (at, expected) in [
        ("2026-04-07T09:59:59Z", " until 04-07T10:00"),
        ("2026-04-07T10:00:00Z", "Cleo until 04-08T09:00"),
        ("2026-04-08T09:00:00Z", "Ada until 04-09T09:00"),
    ] {
        assert_eq!(night.at(at), expected, "{at}");
    }
}
