//! Section 13 of the contract: how components are on a status page, how they were, and what maintenances make of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::Patch;
use dogwatch_core::component::EditComponent;
use dogwatch_core::incident::{ChangeStatus, EditIncident, PostUpdate, SetComponents, Severity, Status};
use dogwatch_core::status_page::{
    ComponentStatus, CreateStatusPage, DeleteMaintenance, DeleteStatusPage, EditStatusPage,
};
use support::pier::{Pier, STATUSES, set};
use support::{valid, word};

/// One of these for the API: an override, a maintenance under way, open incidents.
fn cause(pier: &mut Pier, page: dogwatch_core::id::StatusPageId, causes: &str) {
    for cause in causes.split_whitespace() {
        match cause.split_once('=') {
            Some((_, status)) => pier.overrides(page, &[(pier.api, status)]),
            None if cause == "maintained" => drop(pier.announce(page, &[pier.api], 0, 60)),
            None => drop(pier.open(cause, &[pier.api])),
        }
    }
}

#[test]
fn the_status_of_a_component_is_the_first_that_applies() {
    for (causes, expected) in [
        ("", "operational"),
        ("critical", "major_outage"),
        ("high", "partial_outage"),
        ("medium", "degraded"),
        ("low", "degraded"),
        ("low critical", "major_outage"),
        ("critical low", "major_outage"),
        ("high medium low", "partial_outage"),
        ("maintained", "maintenance"),
        ("maintained critical", "maintenance"),
        ("critical maintained", "maintenance"),
        ("by=operational", "operational"),
        ("critical by=operational", "operational"),
        ("by=operational critical", "operational"),
        ("maintained by=degraded critical", "degraded"),
        ("by=major_outage", "major_outage"),
        ("by=partial_outage low", "partial_outage"),
        ("by=maintenance critical", "maintenance"),
    ] {
        let mut pier = Pier::new();
        let page = pier.usual();
        cause(&mut pier, page, causes);
        assert_eq!(pier.shown(pier.api).status.as_str(), expected, "{causes}");
        assert_eq!(pier.shown(pier.web).status, ComponentStatus::Operational, "{causes}");
        // The same when the page is made afterwards, but for what is the other page's own.
        let second = pier.publish("second", &[pier.api]);
        let own: Vec<_> =
            causes.split(' ').filter(|it| ["critical", "high", "medium", "low", ""].contains(it)).collect();
        let mut plain = Pier::new();
        let first = plain.usual();
        cause(&mut plain, first, &own.join(" "));
        assert_eq!(pier.look("second").unwrap().components[0].status, plain.shown(plain.api).status, "{causes}");
        cause(&mut pier, second, causes);
        assert_eq!(pier.look("second").unwrap().components[0].status.as_str(), expected, "{causes}");
    }
}

#[test]
fn the_banner_is_the_worst_but_for_maintenance() {
    for (at, one) in STATUSES.into_iter().enumerate() {
        for (other_at, other) in STATUSES.into_iter().enumerate() {
            let worse = if at > other_at { one } else { other };
            let expected = match (worse, one, other) {
                (ComponentStatus::Operational, ComponentStatus::Maintenance, _) => ComponentStatus::Maintenance,
                (ComponentStatus::Operational, _, ComponentStatus::Maintenance) => ComponentStatus::Maintenance,
                (worse, ..) => worse,
            };
            let mut pier = Pier::new();
            let page = pier.usual();
            let (api, web) = (pier.api, pier.web);
            pier.overrides(page, &[(api, one.as_str()), (web, other.as_str())]);
            assert_eq!(pier.statuses(), format!("{one} {other} | {expected}"));
        }
    }
    let mut pier = Pier::new();
    pier.publish("harbour", &[]);
    pier.open("critical", &[pier.api]);
    assert_eq!(pier.show().banner, ComponentStatus::Operational, "nothing is wrong with nothing");
}

#[test]
fn what_happens_to_an_incident_changes_its_components_at_once() {
    let mut pier = Pier::new();
    pier.usual();
    let (api, web, mail) = (pier.api, pier.web, pier.mail);
    let check = |pier: &Pier, expected: &str, when: &str| {
        assert_eq!(pier.statuses(), expected, "{when}");
        let banner = pier.show().banner;
        for component in pier.show().components {
            assert!(component.days[89].worst.unwrap() >= component.status, "{when}: {banner}");
        }
    };
    let incident = pier.open("high", &[api, mail]);
    check(&pier, "partial_outage operational | partial_outage", "opened");
    let set_tags = |pier: &mut Pier, id, tags: &[_]| pier.run(SetComponents::new(id, tags.to_vec())).unwrap();
    set_tags(&mut pier, incident, &[api, web]);
    check(&pier, "partial_outage partial_outage | partial_outage", "a tag gained");
    set_tags(&mut pier, incident, &[web]);
    check(&pier, "operational partial_outage | partial_outage", "a tag lost");
    let severe = |severity: Severity| EditIncident { severity: Some(severity), ..EditIncident::new(incident) };
    pier.run(severe(Severity::Critical)).unwrap();
    check(&pier, "operational major_outage | major_outage", "more severe");
    let second = pier.open("medium", &[web, api]);
    check(&pier, "degraded major_outage | major_outage", "another one");
    pier.run(severe(Severity::Low)).unwrap();
    check(&pier, "degraded degraded | degraded", "less severe");
    pier.reach(incident, Status::Monitoring);
    check(&pier, "degraded degraded | degraded", "not yet resolved");
    pier.run(severe(Severity::High)).unwrap();
    pier.run(PostUpdate::internal(incident, valid("done")).with_status(Status::Resolved)).unwrap();
    check(&pier, "degraded degraded | degraded", "the worst is resolved by an update");
    set_tags(&mut pier, second, &[]);
    check(&pier, "operational operational | operational", "all tags lost");
    set_tags(&mut pier, second, &[api]);
    pier.reach(second, Status::Monitoring);
    pier.run(PostUpdate::public(second, valid("done")).with_status(Status::Resolved)).unwrap();
    check(&pier, "operational operational | operational", "resolved in public");
    let third = pier.open("critical", &[api]);
    pier.resolve(third);
    assert_eq!(word(&pier.run_unchanged(ChangeStatus::new(third, Status::Investigating))), "invalid_status_transition");
    check(&pier, "operational operational | operational", "resolved for good");
}

#[test]
fn overrides_and_incidents_are_told_apart() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let (api, web) = (pier.api, pier.web);
    pier.overrides(page, &[(api, "operational")]);
    let incident = pier.open("critical", &[api, web]);
    assert_eq!(pier.statuses(), "operational major_outage | major_outage");
    pier.overrides(page, &[]);
    assert_eq!(pier.statuses(), "major_outage major_outage | major_outage", "lifted");
    pier.overrides(page, &[(web, "degraded")]);
    pier.resolve(incident);
    assert_eq!(pier.statuses(), "operational degraded | degraded", "an override stays when all is well");
    pier.components(page, &[api]);
    pier.components(page, &[api, web]);
    assert_eq!(pier.statuses(), "operational operational | operational", "lifted with the component");
    let own = CreateStatusPage {
        published: true,
        component_ids: vec![web],
        overrides: vec![set(web, "major_outage")],
        ..CreateStatusPage::new(valid("Second"), valid("second"))
    };
    pier.run(own).unwrap();
    assert_eq!(pier.statuses(), "operational operational | operational", "an override is of one page");
    assert_eq!(pier.look("second").unwrap().banner, ComponentStatus::MajorOutage);
}

#[test]
fn history_begins_when_a_component_is_shown() {
    let mut pier = Pier::since("2026-04-01T00:00:00Z");
    let (api, web) = (pier.api, pier.web);
    pier.open("critical", &[web]);
    pier.clock("2026-04-03T12:00:00Z");
    let page = pier.publish("harbour", &[api]);
    pier.clock("2026-04-05T12:00:00Z");
    pier.components(page, &[api, web]);
    pier.clock("2026-04-07T12:00:00Z");
    pier.components(page, &[web]);
    pier.clock("2026-04-09T12:00:00Z");
    pier.components(page, &[web, api]);
    pier.clock("2026-04-10T06:00:00Z");
    for (id, date, expected) in [
        (api, "2026-04-02", "not shown"),
        (api, "2026-04-03", "operational 1000000"),
        (api, "2026-04-07", "operational 1000000"),
        (api, "2026-04-08", "not shown"),
        (api, "2026-04-09", "operational 1000000"),
        (web, "2026-04-04", "not shown"),
        (web, "2026-04-05", "major_outage 500000"),
        (web, "2026-04-06", "major_outage 0"),
        (web, "2026-04-09", "major_outage 0"),
        (web, "2026-04-10", "major_outage 750000"),
    ] {
        assert_eq!(pier.told(id, date), expected, "{date}");
    }
    let days = pier.shown(web).days;
    let dates: Vec<_> = days.iter().map(|day| day.date.to_string()).collect();
    assert_eq!((dates.len(), dates[0].as_str(), dates[89].as_str()), (90, "2026-01-11", "2026-04-10"));
    assert!(dates.windows(2).all(|two| two[0] < two[1]));
}

#[test]
fn a_page_that_is_not_published_has_a_history_too() {
    let mut pier = Pier::since("2026-04-05T00:00:00Z");
    let page = pier.usual();
    pier.run(EditStatusPage { published: Some(false), ..EditStatusPage::new(page) }).unwrap();
    let incident = pier.open("critical", &[pier.api]);
    pier.pass(6 * 60);
    pier.resolve(incident);
    pier.clock("2026-04-06T00:00:00Z");
    pier.run(EditStatusPage { published: Some(true), ..EditStatusPage::new(page) }).unwrap();
    assert_eq!(pier.told(pier.api, "2026-04-05"), "major_outage 750000");
    assert_eq!(pier.told(pier.web, "2026-04-05"), "operational 1000000");
}

#[test]
fn a_component_removed_at_midnight_has_no_new_day() {
    let mut pier = Pier::since("2026-04-06T00:00:00Z");
    let page = pier.usual();
    let (api, web) = (pier.api, pier.web);
    pier.open("high", &[api]);
    pier.clock("2026-04-07T00:00:00Z");
    pier.components(page, &[web]);
    pier.clock("2026-04-08T00:00:00Z");
    pier.components(page, &[web, api]);
    assert_eq!(pier.told(api, "2026-04-06"), "partial_outage 700000");
    assert_eq!(pier.told(api, "2026-04-07"), "not shown");
    assert_eq!(pier.told(api, "2026-04-08"), "partial_outage 1000000");
}

#[test]
fn history_stays_true_whatever_changes_later() {
    let mut pier = Pier::since("2026-04-01T00:00:00Z");
    let page = pier.usual();
    let (api, web) = (pier.api, pier.web);
    pier.clock("2026-04-02T00:00:00Z");
    let incident = pier.open("critical", &[api]);
    pier.clock("2026-04-02T06:00:00Z");
    let past = |pier: &Pier| {
        let told = |id| pier.told(id, "2026-04-02");
        (told(api), told(web))
    };
    let still = |pier: &Pier, what: &str| {
        assert_eq!(past(pier), ("major_outage 750000".to_owned(), "operational 1000000".to_owned()), "{what}");
    };
    pier.run(EditIncident { severity: Some(Severity::Low), ..EditIncident::new(incident) }).unwrap();
    still(&pier, "less severe");
    pier.clock("2026-04-03T00:00:00Z");
    pier.run(EditIncident { severity: Some(Severity::Critical), ..EditIncident::new(incident) }).unwrap();
    still(&pier, "severe again");
    pier.run(SetComponents::new(incident, vec![web])).unwrap();
    still(&pier, "other tags");
    pier.run(SetComponents::new(incident, vec![])).unwrap();
    still(&pier, "no tags");
    pier.resolve(incident);
    still(&pier, "resolved");
    let rename =
        EditComponent { id: api, name: Some(valid("Engine")), description: Patch::Keep, group_label: Patch::Keep };
    pier.run(rename).unwrap();
    still(&pier, "renamed");
    assert_eq!(pier.shown(api).name.as_str(), "Engine");
    pier.overrides(page, &[(api, "major_outage"), (web, "major_outage")]);
    still(&pier, "overridden");
    pier.announce(page, &[api, web], -5_000, 10);
    still(&pier, "a maintenance as of before");
    pier.run(EditStatusPage { published: Some(false), ..EditStatusPage::new(page) }).unwrap();
    pier.run(EditStatusPage { published: Some(true), ..EditStatusPage::new(page) }).unwrap();
    still(&pier, "published again");
    pier.run(EditStatusPage { slug: Some(valid("quay")), ..EditStatusPage::new(page) }).unwrap();
    pier.run(EditStatusPage { slug: Some(valid("harbour")), ..EditStatusPage::new(page) }).unwrap();
    still(&pier, "moved and back");
    pier.clock("2026-04-04T00:00:00Z");
    pier.components(page, &[web]);
    pier.clock("2026-04-06T00:00:00Z");
    pier.components(page, &[web, api]);
    still(&pier, "removed and shown again");
    assert_eq!(pier.told(api, "2026-04-05"), "not shown");
    let berlin = EditStatusPage { timezone: Some("Europe/Berlin".to_owned()), ..EditStatusPage::new(page) };
    pier.run(berlin).unwrap();
    still(&pier, "the outage lies within the same day of another zone");
    let kiritimati = EditStatusPage { timezone: Some("Pacific/Kiritimati".to_owned()), ..EditStatusPage::new(page) };
    pier.run(kiritimati).unwrap();
    // There the six hours are those from 14:00 to 20:00.
    still(&pier, "and of a third");
    let samoa = EditStatusPage { timezone: Some("Pacific/Pago_Pago".to_owned()), ..EditStatusPage::new(page) };
    pier.run(samoa).unwrap();
    assert_eq!(pier.told(api, "2026-04-01"), "major_outage 750000", "there it was on the day before");
    // Until 11:00 on the third: eleven hours of the override.
    assert_eq!(pier.told(api, "2026-04-02"), "major_outage 541667");

    pier.run(DeleteStatusPage::new(page)).unwrap();
    pier.usual();
    assert_eq!(pier.told(api, "2026-04-05"), "not shown", "a deleted page takes its history with it");
}

#[test]
fn one_page_has_its_history_and_another_its_own() {
    let mut pier = Pier::since("2026-04-01T00:00:00Z");
    let page = pier.usual();
    let (api, web) = (pier.api, pier.web);
    pier.publish("second", &[api]);
    pier.overrides(page, &[(api, "major_outage"), (web, "partial_outage")]);
    pier.clock("2026-04-02T00:00:00Z");
    assert_eq!(pier.told(api, "2026-04-01"), "major_outage 0");
    assert_eq!(pier.told(web, "2026-04-01"), "partial_outage 700000");
    let second = pier.look("second").unwrap().components[0].days[88];
    assert_eq!((second.worst, second.uptime.unwrap().millionths()), (Some(ComponentStatus::Operational), 1_000_000));
}

/// The statuses from these local times on, in Berlin, and what the day comes to.
#[test]
fn days_of_twenty_three_twenty_four_and_twenty_five_hours() {
    let check = |zone: &str, date: &str, steps: &[(&str, &str)], until: &str, expected: &str| {
        let mut pier = Pier::since("2026-03-01T00:00:00Z");
        let page = pier.usual();
        let api = pier.api;
        pier.run(EditStatusPage { timezone: Some(zone.to_owned()), ..EditStatusPage::new(page) }).unwrap();
        for (at, status) in steps {
            pier.clock(at);
            pier.overrides(page, &[(api, status)]);
        }
        pier.clock(until);
        assert_eq!(pier.told(api, date), expected, "{zone} {steps:?}");
    };
    let (berlin, utc) = ("Europe/Berlin", "UTC");
    let down = [("2026-03-28T23:00:00Z", "major_outage"), ("2026-03-29T22:00:00Z", "operational")];
    check(berlin, "2026-03-29", &down, "2026-04-02T00:00:00Z", "major_outage 0");
    check(berlin, "2026-03-28", &down, "2026-04-02T00:00:00Z", "operational 1000000");
    check(berlin, "2026-03-30", &down, "2026-04-02T00:00:00Z", "operational 1000000");
    check(utc, "2026-03-29", &down, "2026-04-02T00:00:00Z", "major_outage 83333");
    check(utc, "2026-03-28", &down, "2026-04-02T00:00:00Z", "major_outage 958333");
    // 2.3 of 23 hours.
    let tenth = [("2026-03-29T00:30:00Z", "major_outage"), ("2026-03-29T02:48:00Z", "operational")];
    check(berlin, "2026-03-29", &tenth, "2026-04-02T00:00:00Z", "major_outage 900000");
    // 0.3 of 11.5 of 23 hours.
    let half = [("2026-03-29T01:00:00Z", "partial_outage"), ("2026-03-29T12:30:00Z", "degraded")];
    check(berlin, "2026-03-29", &half, "2026-04-02T00:00:00Z", "partial_outage 850000");
    // Five of 25 hours.
    let fifth = [("2026-10-24T22:00:00Z", "major_outage"), ("2026-10-25T03:00:00Z", "operational")];
    check(berlin, "2026-10-25", &fifth, "2026-10-27T00:00:00Z", "major_outage 800000");
    // The hour that occurs twice, both times; 0.6 of 25 hours.
    let twice = [("2026-10-25T00:00:00Z", "partial_outage"), ("2026-10-25T02:00:00Z", "maintenance")];
    check(berlin, "2026-10-25", &twice, "2026-10-27T00:00:00Z", "partial_outage 976000");
    let all = [("2026-10-24T22:00:00Z", "major_outage"), ("2026-10-25T23:00:00Z", "operational")];
    check(berlin, "2026-10-25", &all, "2026-10-27T00:00:00Z", "major_outage 0");
    check(berlin, "2026-10-26", &all, "2026-10-27T00:00:00Z", "operational 1000000");
    // What is still to come of today counts as up.
    check(berlin, "2026-10-25", &all[..1], "2026-10-25T03:00:00Z", "major_outage 800000");
    check(berlin, "2026-10-25", &all[..1], "2026-10-24T22:00:00Z", "major_outage 1000000");
    // One of the days after it is all down, as nothing has happened since.
    check(berlin, "2026-10-26", &all[..1], "2026-10-28T00:00:00Z", "major_outage 0");
    // Up: degraded and maintenance.
    let up = [("2026-10-24T22:00:00Z", "degraded"), ("2026-10-25T10:00:00Z", "maintenance")];
    check(berlin, "2026-10-25", &up, "2026-10-28T00:00:00Z", "degraded 1000000");
    // Six hours of one and six of the other: (6 + 1.8) of 24 hours.
    let both = [
        ("2026-04-01T00:00:00Z", "major_outage"),
        ("2026-04-01T06:00:00Z", "partial_outage"),
        ("2026-04-01T12:00:00Z", "operational"),
    ];
    check(utc, "2026-04-01", &both, "2026-04-03T00:00:00Z", "major_outage 675000");
    // A quarter of an hour off: 2026-03-31T18:15:00Z is midnight in Kathmandu.
    let kathmandu = [("2026-03-31T17:15:00Z", "major_outage"), ("2026-03-31T18:15:00Z", "operational")];
    check("Asia/Kathmandu", "2026-03-31", &kathmandu, "2026-04-03T00:00:00Z", "major_outage 958333");
    check("Asia/Kathmandu", "2026-04-01", &kathmandu, "2026-04-03T00:00:00Z", "operational 1000000");
    // A day that begins at one o'clock: 23 hours, of which the last is down.
    let santiago = [("2026-09-07T02:00:00Z", "major_outage"), ("2026-09-07T03:00:00Z", "operational")];
    check("America/Santiago", "2026-09-06", &santiago, "2026-09-09T00:00:00Z", "major_outage 956522");
    check("America/Santiago", "2026-09-07", &santiago, "2026-09-09T00:00:00Z", "operational 1000000");
}

#[test]
fn a_moment_of_outage_is_not_called_always_up() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let api = pier.api;
    pier.overrides(page, &[(api, "partial_outage")]);
    pier.harbour.now = dogwatch_core::Timestamp::clamped(pier.now().as_millis() + 1);
    pier.overrides(page, &[]);
    pier.pass(10);
    let day = pier.day(api, "2026-04-07");
    assert_eq!((day.worst, day.uptime.unwrap().to_string().as_str()), (Some(ComponentStatus::PartialOutage), "99.99"));
}

#[test]
fn of_several_changes_at_one_instant_the_last_counts() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let (api, web) = (pier.api, pier.web);
    pier.pass(10);
    pier.overrides(page, &[(api, "major_outage")]);
    pier.overrides(page, &[(api, "degraded")]);
    pier.overrides(page, &[]);
    pier.components(page, &[web]);
    pier.components(page, &[web, api]);
    let incident = pier.open("critical", &[api, web]);
    pier.resolve(incident);
    pier.pass(10);
    for id in [api, web] {
        assert_eq!(pier.told(id, "2026-04-07"), "operational 1000000");
    }
}

#[test]
fn history_does_not_run_backwards() {
    let mut pier = Pier::since("2026-04-05T00:00:00Z");
    let page = pier.usual();
    let api = pier.api;
    pier.clock("2026-04-05T12:00:00Z");
    let incident = pier.open("critical", &[api]);
    pier.clock("2026-04-05T06:00:00Z");
    assert_eq!(pier.statuses(), "major_outage operational | major_outage", "it is so now, whatever the clock says");
    pier.resolve(incident);
    assert_eq!(pier.statuses(), "operational operational | operational");
    let it = pier.announce(page, &[api], -10, 60);
    assert_eq!(pier.statuses(), "maintenance operational | maintenance");
    pier.run(DeleteMaintenance::new(page, it)).unwrap();
    pier.clock("2026-04-03T00:00:00Z");
    pier.overrides(page, &[(api, "partial_outage")]);
    pier.clock("2026-04-05T18:00:00Z");
    // All that happened while the clock was behind is at noon, when it was last known: only the last of it counts.
    assert_eq!(pier.told(api, "2026-04-05"), "partial_outage 925000");
    assert_eq!(pier.told(api, "2026-04-04"), "not shown");
    assert_eq!(pier.told(api, "2026-04-03"), "not shown");
}
