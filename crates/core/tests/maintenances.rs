//! Section 13 of the contract: maintenances, what they are refused with, and what time makes of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::Patch;
use dogwatch_core::id::{ComponentId, Id, StatusPageId};
use dogwatch_core::status_page::{
    CreateMaintenance, DeleteMaintenance, EditMaintenance, GetMaintenance, MaintenanceState,
};
use support::pier::{Pier, minutes};
use support::{valid, word};

const DAY: i64 = 24 * 60;

fn nobody(n: u8) -> ComponentId {
    ComponentId::from_bytes([n; 16])
}

/// So many components that nobody made.
fn unknown(many: u8) -> Vec<ComponentId> {
    (1..=many).map(nobody).collect()
}

/// Each case breaks the rule that it names, and all that come behind it.
#[test]
fn the_order_of_rules_on_announcing_a_maintenance() {
    let mut pier = Pier::new();
    let page = pier.usual();
    for _ in 0..100 {
        pier.announce(page, &[pier.api], 10, 20);
    }
    let (api, mail, nowhere) = (pier.api, pier.mail, StatusPageId::from_bytes([9; 16]));
    let check = |pier: &mut Pier, page, ids: &[ComponentId], span: (i64, i64), code: &str| {
        let command: CreateMaintenance = pier.maintenance(page, ids, span.0, span.1);
        assert_eq!(word(&pier.run_unchanged(command)), code, "{ids:?} {span:?}");
    };
    check(&mut pier, nowhere, &[api, api], (-10, -10), "validation_error");
    check(&mut pier, nowhere, &[api, api], (-10, -11), "validation_error");
    check(&mut pier, nowhere, &[api, api], (0, 30 * DAY + 1), "validation_error");
    check(&mut pier, nowhere, &[], (-20, -10), "validation_error");
    check(&mut pier, nowhere, &unknown(201), (-20, -10), "validation_error");
    check(&mut pier, nowhere, &[api, api], (-20, -10), "not_found");
    check(&mut pier, page, &[mail, api, api], (-20, -10), "duplicate_component_id");
    check(&mut pier, page, &[api, mail], (-20, -10), "invalid_component_id");
    check(&mut pier, page, &[api, nobody(9)], (-20, -10), "invalid_component_id");
    check(&mut pier, page, &[api], (-20, -10), "validation_error");
    check(&mut pier, page, &[api], (-20, 0), "validation_error");
    check(&mut pier, page, &[api], (-20, 10), "limit_reached");
    check(&mut pier, page, &[api], (10, 30 * DAY + 10), "limit_reached");
}

/// Of one to come, one under way, one that is over.
#[test]
fn the_order_of_rules_on_editing_a_maintenance() {
    for (state, starts, code) in [
        ("to come", 10, "ok"),
        ("to come", -10, "ok"),
        ("under way", 10, "validation_error"),
        ("under way", -10, "validation_error"),
        ("over", 10, "validation_error"),
    ] {
        let mut pier = Pier::new();
        let page = pier.usual();
        let (from, to) = if state == "to come" { (5, 60) } else { (-5, 60) };
        let it = pier.announce(page, &[pier.api], from, to);
        if state == "over" {
            pier.run(DeleteMaintenance::new(page, it)).unwrap();
        }
        let starts_at = Some(minutes(pier.now(), starts));
        let edit = EditMaintenance { starts_at, ..EditMaintenance::new(page, it) };
        assert_eq!(word(&pier.run(edit.clone())), code, "{state} to {starts}");

        let (api, mail) = (pier.api, pier.mail);
        let plain = EditMaintenance::new(page, it);
        let check = |pier: &mut Pier, edit: EditMaintenance, code: &str| {
            let code = if state == "over" { "validation_error" } else { code };
            assert_eq!(word(&pier.run_unchanged(edit.clone())), code, "{state}: {edit:?}");
        };
        let now = pier.now();
        let ends = |by| Some(minutes(now, by));
        let twice = Some(vec![mail, api, api]);
        let gone = EditMaintenance { ends_at: ends(0), component_ids: twice.clone(), ..plain.clone() };
        check(&mut pier, gone, "validation_error");
        let long = EditMaintenance { ends_at: ends(30 * DAY + 11), component_ids: twice.clone(), ..plain.clone() };
        check(&mut pier, long, "validation_error");
        check(&mut pier, EditMaintenance { component_ids: Some(Vec::new()), ..plain.clone() }, "validation_error");
        check(&mut pier, EditMaintenance { component_ids: Some(unknown(201)), ..plain.clone() }, "validation_error");
        check(&mut pier, EditMaintenance { component_ids: twice, ..plain.clone() }, "duplicate_component_id");
        let unshown = EditMaintenance { component_ids: Some(vec![api, mail]), ..plain.clone() };
        check(&mut pier, unshown, "invalid_component_id");
        let titled = EditMaintenance { title: Some(valid("Other")), ..plain };
        let expected = if state == "over" { "validation_error" } else { "ok" };
        assert_eq!(word(&pier.run(titled)), expected, "{state}");
    }
}

#[test]
fn editing_a_maintenance() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let it = pier.announce(page, &[pier.api], 10, 20);
    let before = pier.harbour.ask(&GetMaintenance::new(page, it), &pier.harbour.ben).unwrap();
    assert_eq!(pier.run_unchanged(EditMaintenance::new(page, it)), Ok(before.clone()));
    let same = EditMaintenance {
        title: Some(before.title.clone()),
        component_ids: Some(before.component_ids.clone()),
        starts_at: Some(before.starts_at),
        ends_at: Some(before.ends_at),
        description: Patch::Clear,
        ..EditMaintenance::new(page, it)
    };
    assert_eq!(pier.run_unchanged(same), Ok(before.clone()));
    let (starts, ends) = (minutes(pier.now(), 30), minutes(pier.now(), 30 + 30 * DAY));
    let all = EditMaintenance {
        title: Some(valid("Old pumps")),
        description: Patch::Set(valid("They leak")),
        component_ids: Some(vec![pier.web, pier.api]),
        starts_at: Some(starts),
        ends_at: Some(ends),
        ..EditMaintenance::new(page, it)
    };
    let edited = pier.run(all).unwrap();
    assert_eq!(
        (edited.title.as_str(), edited.description.as_ref().map(|text| text.as_str()), edited.created_at),
        ("Old pumps", Some("They leak"), before.created_at)
    );
    assert_eq!(
        (edited.component_ids.as_slice(), edited.starts_at, edited.ends_at),
        (&[pier.web, pier.api][..], starts, ends)
    );
    let late = EditMaintenance { ends_at: Some(minutes(ends, 1)), ..EditMaintenance::new(page, it) };
    assert_eq!(word(&pier.run_unchanged(late)), "validation_error", "a minute over 30 days");
    let begun = EditMaintenance { starts_at: Some(minutes(pier.now(), -5)), ..EditMaintenance::new(page, it) };
    let begun = EditMaintenance { ends_at: Some(minutes(pier.now(), 5)), ..begun };
    assert_eq!(pier.run(begun).unwrap().starts_at, pier.now(), "a beginning before now is now");
    assert_eq!(pier.statuses(), "maintenance maintenance | maintenance");
    assert_eq!(pier.announced(page).len(), 1);
}

#[test]
fn one_hundred_maintenances_that_are_not_over() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let second = pier.publish("second", &[pier.api]);
    let all: Vec<_> = (0..100).map(|n| pier.announce(page, &[pier.api], n - 50, n + 60)).collect();
    assert_eq!(word(&pier.run_unchanged(pier.maintenance(page, &[pier.api], 5, 6))), "limit_reached");
    assert_eq!(word(&pier.run(pier.maintenance(second, &[pier.api], 5, 6))), "ok", "each page has its own");
    pier.run(DeleteMaintenance::new(page, all[0])).unwrap();
    pier.announce(page, &[pier.api], 5, 6);
    assert_eq!(word(&pier.run_unchanged(pier.maintenance(page, &[pier.api], 5, 6))), "limit_reached");
    pier.run(DeleteMaintenance::new(page, all[99])).unwrap();
    pier.announce(page, &[pier.api], 5, 6);
    pier.pass(60);
    pier.tick();
    let fresh = pier.maintenance(page, &[pier.api], 5, 6);
    assert_eq!(word(&pier.run(fresh)), "ok", "the clock makes room, too");
}

#[test]
fn of_those_that_are_over_the_last_one_hundred_are_kept() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let later = pier.announce(page, &[pier.api], 20_000, 20_010);
    let mut made = Vec::new();
    for n in 0..103 {
        made.push(pier.announce(page, &[pier.api], 1, 2));
        pier.pass(2);
        assert_eq!(pier.tick(), 1, "{n}");
        pier.pass(1);
    }
    made.reverse();
    let listed: Vec<_> = pier.announced(page).iter().map(|one| one.id).collect();
    assert_eq!(listed.len(), 101);
    assert_eq!((listed[0], &listed[1..]), (later, &made[..100]), "the latest beginning first");
    assert_eq!(word(&pier.harbour.ask(&GetMaintenance::new(page, made[100]), &pier.harbour.ben)), "not_found");
    assert_eq!(word(&pier.run_unchanged(DeleteMaintenance::new(page, made[100]))), "not_found");

    // One that an admin ends pushes out the oldest, too; and all at once by one tick.
    let ended = pier.announce(page, &[pier.api], 0, 5);
    pier.pass(1);
    pier.run(DeleteMaintenance::new(page, ended)).unwrap();
    let listed: Vec<_> = pier.announced(page).iter().map(|one| one.id).collect();
    assert_eq!((listed.len(), listed[1], listed[100]), (101, ended, made[98]));
    for _ in 0..99 {
        pier.announce(page, &[pier.web], 1, 2);
    }
    pier.pass(2);
    assert_eq!(pier.tick(), 99);
    let listed: Vec<_> = pier.announced(page).iter().map(|one| one.id).collect();
    assert_eq!((listed.len(), listed[100]), (101, ended));
}

/// What a maintenance is on the page, and what its components are: at minutes from now on, with or without a tick.
#[test]
fn a_maintenance_begins_and_ends_by_ticks() {
    use MaintenanceState::{Over, Scheduled, UnderWay};
    let mut pier = Pier::new();
    let page = pier.usual();
    let start = pier.now();
    pier.announce(page, &[pier.api], 10, 20);
    let check = |pier: &Pier, state: MaintenanceState, status: &str| {
        let page = pier.show();
        let when = pier.now();
        assert_eq!((page.maintenances.len(), page.maintenances[0].state), (1, state), "{when}");
        assert_eq!(pier.statuses(), format!("{status} operational | {status}"), "{when}");
    };
    for (minute, ticked, state, status) in [
        (0, 0, Scheduled, "operational"),
        (9, 0, Scheduled, "operational"),
        (10, 1, UnderWay, "maintenance"),
        (11, 0, UnderWay, "maintenance"),
        (19, 0, UnderWay, "maintenance"),
        (20, 1, Over, "operational"),
        (21, 0, Over, "operational"),
    ] {
        pier.harbour.now = minutes(start, minute);
        assert_eq!(pier.tick(), ticked, "minute {minute}");
        check(&pier, state, status);
    }
    let announced = &pier.announced(page)[0];
    assert_eq!((announced.starts_at, announced.ends_at), (minutes(start, 10), minutes(start, 20)));
    pier.harbour.now = minutes(start, 10);
    assert_eq!(pier.tick(), 0, "what is over stays so");
    check(&pier, Over, "operational");
}

#[test]
fn a_late_tick_and_one_that_is_too_late() {
    for (tick_at, expected, told) in
        [(15, "maintenance", "maintenance 1000000"), (25, "operational", "operational 1000000")]
    {
        let mut pier = Pier::new();
        let page = pier.usual();
        pier.announce(page, &[pier.api], 10, 20);
        pier.pass(tick_at);
        assert_eq!(pier.statuses(), "operational operational | operational", "nothing has ticked");
        pier.tick();
        assert_eq!(pier.shown(pier.api).status.as_str(), expected, "at {tick_at}");
        assert_eq!(pier.told(pier.api, "2026-04-07"), told, "at {tick_at}");
        pier.pass(30);
        pier.tick();
        assert_eq!(pier.statuses(), "operational operational | operational");
        assert_eq!(pier.told(pier.api, "2026-04-07"), told, "the day keeps it");
        assert_eq!(pier.show().maintenances[0].state, MaintenanceState::Over);
    }
}

#[test]
fn an_outage_counts_until_the_maintenance_really_begins() {
    let mut pier = Pier::since("2026-04-07T00:00:00Z");
    let page = pier.usual();
    pier.open("critical", &[pier.api]);
    pier.announce(page, &[pier.api], 60, 240);
    pier.pass(120);
    pier.tick();
    assert_eq!(pier.statuses(), "maintenance operational | maintenance");
    pier.pass(180);
    pier.tick();
    assert_eq!(pier.statuses(), "major_outage operational | major_outage");
    pier.pass(60);
    // Two hours before the late tick, and the one since: 3 of 24 hours.
    assert_eq!(pier.told(pier.api, "2026-04-07"), "major_outage 875000");
}

#[test]
fn a_maintenance_that_begins_at_once() {
    for (starts, begins_at) in [(-30, 0), (0, 0)] {
        let mut pier = Pier::new();
        let page = pier.usual();
        let made = pier.run(pier.maintenance(page, &[pier.web], starts, 10)).unwrap();
        assert_eq!(made.starts_at, minutes(pier.now(), begins_at));
        pier.tick();
        assert_eq!(pier.statuses(), "operational maintenance | maintenance");
    }
    let mut pier = Pier::new();
    let page = pier.usual();
    pier.announce(page, &[pier.web], -1, 10);
    assert_eq!(pier.statuses(), "operational maintenance | maintenance", "before any tick");
}

#[test]
fn deleting_a_maintenance() {
    for (state, left) in [("scheduled", 0), ("due", 0), ("under way", 1), ("over", 0)] {
        let mut pier = Pier::new();
        let page = pier.usual();
        let start = pier.now();
        let it = pier.announce(page, &[pier.api], 10, 30);
        let ticks: &[i64] = match state {
            "under way" => &[15],
            "over" => &[15, 30],
            _ => &[],
        };
        for minute in ticks {
            pier.harbour.now = minutes(start, *minute);
            pier.tick();
        }
        if state != "scheduled" {
            pier.pass(12);
        }
        assert_eq!(pier.run(DeleteMaintenance::new(page, it)), Ok(it), "{state}");
        assert_eq!(pier.statuses(), "operational operational | operational", "{state}");
        let announced = pier.announced(page);
        assert_eq!((announced.len(), pier.show().maintenances.len()), (left, left), "{state}");
        assert_eq!(pier.tick(), 0, "{state}");
        if left == 1 {
            assert_eq!((announced[0].starts_at, announced[0].ends_at), (minutes(start, 10), pier.now()));
            assert_eq!(pier.show().maintenances[0].state, MaintenanceState::Over);
            pier.pass(1);
            assert_eq!(pier.run(DeleteMaintenance::new(page, it)), Ok(it), "what is over is removed");
            assert!(pier.announced(page).is_empty());
            assert_eq!(pier.told(pier.api, "2026-04-07"), "maintenance 1000000", "the history stays");
        }
        assert_eq!(word(&pier.run_unchanged(DeleteMaintenance::new(page, it))), "not_found");
    }
}

#[test]
fn editing_a_maintenance_under_way() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let (api, web, mail) = (pier.api, pier.web, pier.mail);
    pier.components(page, &[api, web, mail]);
    let it = pier.announce(page, &[api], 0, 60);
    let start = pier.now();
    pier.pass(10);
    let plain = EditMaintenance::new(page, it);
    pier.run(EditMaintenance { component_ids: Some(vec![web, mail]), ..plain.clone() }).unwrap();
    assert_eq!(pier.statuses(), "operational maintenance maintenance | maintenance");
    pier.run(EditMaintenance { ends_at: Some(minutes(start, 20)), ..plain.clone() }).unwrap();
    pier.pass(9);
    assert_eq!(pier.tick(), 0);
    assert_eq!(pier.statuses(), "operational maintenance maintenance | maintenance");
    let same = EditMaintenance { starts_at: Some(start), ends_at: Some(minutes(start, 30)), ..plain.clone() };
    assert_eq!(word(&pier.run(same)), "ok", "the same beginning is no other");
    pier.pass(10);
    assert_eq!(pier.tick(), 0, "it was put off");
    pier.pass(1);
    assert_eq!(pier.tick(), 1);
    assert_eq!(pier.statuses(), "operational operational operational | operational");
    assert_eq!(word(&pier.run_unchanged(EditMaintenance { title: Some(valid("x")), ..plain })), "validation_error");
}

#[test]
fn two_maintenances_at_once() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let (api, web) = (pier.api, pier.web);
    let start = pier.now();
    let first = pier.announce(page, &[api], 0, 10);
    pier.announce(page, &[api, web], 5, 15);
    for (minute, expected) in [
        (5, "maintenance maintenance | maintenance"),
        (10, "maintenance maintenance | maintenance"),
        (15, "operational operational | operational"),
    ] {
        pier.harbour.now = minutes(start, minute);
        pier.tick();
        assert_eq!(pier.statuses(), expected, "minute {minute}");
    }
    pier.run(DeleteMaintenance::new(page, first)).unwrap();
    let one = pier.announce(page, &[api], 0, 10);
    pier.announce(page, &[api], 0, 20);
    pier.run(DeleteMaintenance::new(page, one)).unwrap();
    assert_eq!(pier.statuses(), "maintenance operational | maintenance", "the other one goes on");
}

#[test]
fn a_component_that_is_not_shown_any_more_is_not_concerned() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let (api, web) = (pier.api, pier.web);
    pier.announce(page, &[api, web], 0, 60);
    pier.components(page, &[api]);
    assert_eq!(pier.statuses(), "maintenance | maintenance");
    let names = |pier: &Pier| pier.show().maintenances[0].components.iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(names(&pier), [api]);
    pier.pass(60);
    pier.tick();
    pier.components(page, &[web, api]);
    assert_eq!(pier.statuses(), "operational operational | operational");
    assert_eq!(names(&pier), [web, api], "in the order of the page");
}
