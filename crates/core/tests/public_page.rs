//! Section 13 of the contract: what anybody sees of a status page, and what nobody does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::component::{CreateComponent, DeleteComponent, EditComponent};
use dogwatch_core::escalation::CreatePolicy;
use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, EditIncident, HandOffIncident, PostUpdate, RedactUpdate,
    SetComponents, Severity, Status,
};
use dogwatch_core::status_page::{
    CreateMaintenance, CreateStatusPage, DeleteMaintenance, EditStatusPage, MaintenanceState, PublicPage, ShownIncident,
};
use dogwatch_core::team::{AddMember, Role};
use dogwatch_core::{Actor, Patch, Timestamp};
use support::pier::Pier;
use support::{user, valid, word};

/// What is told of an incident, the newest first: the status, if that changed, and what was said.
fn told(incident: &ShownIncident) -> Vec<String> {
    let said = |update: &dogwatch_core::status_page::ShownUpdate| {
        let status = update.status_change.map_or("-", |status| status.as_str());
        let body = update.body.as_ref().map_or("-", |body| body.as_str());
        format!("{status} {body}{}", if update.redacted { " removed" } else { "" })
    };
    incident.updates.iter().map(said).collect()
}

fn only(page: &PublicPage) -> &ShownIncident {
    assert_eq!(page.incidents.len() + page.history.iter().map(|day| day.incidents.len()).sum::<usize>(), 1);
    page.incidents.first().unwrap_or_else(|| &page.history[0].incidents[0])
}

fn ids(incidents: &[ShownIncident]) -> Vec<IncidentId> {
    incidents.iter().map(|incident| incident.id).collect()
}

#[test]
fn public_updates_and_bare_changes_of_the_status() {
    let mut pier = Pier::new();
    pier.usual();
    let incident = pier.open("high", &[pier.api]);
    let body = |text: &str| valid(text);
    let mut said = vec!["investigating -".to_owned()];
    let mut instants = vec![pier.now()];
    let mut check = |pier: &Pier, what: Option<&str>, when: &str| {
        if let Some(what) = what {
            said.insert(0, what.to_owned());
            instants.insert(0, pier.now());
        }
        let page = pier.show();
        assert_eq!(told(only(&page)), said, "{when}");
        let at: Vec<_> = only(&page).updates.iter().map(|update| update.posted_at).collect();
        assert_eq!(at, instants, "{when}");
    };
    check(&pier, None, "opened");
    pier.pass(1);
    pier.run(PostUpdate::internal(incident, body("INTERNAL"))).unwrap();
    check(&pier, None, "an internal update");
    pier.run(PostUpdate::public(incident, body("We are on it"))).unwrap();
    check(&pier, Some("- We are on it"), "a public update");
    pier.pass(1);
    pier.run(PostUpdate::internal(incident, body("INTERNAL")).with_status(Status::Identified)).unwrap();
    check(&pier, Some("identified -"), "a status change with an internal body");
    pier.pass(1);
    pier.run(PostUpdate::public(incident, body("Found it")).with_status(Status::Monitoring)).unwrap();
    check(&pier, Some("monitoring Found it"), "a status change with a public body, once");
    pier.pass(1);
    pier.run(EditIncident { severity: Some(Severity::Low), ..EditIncident::new(incident) }).unwrap();
    pier.run(AcknowledgeIncident::new(incident)).unwrap();
    check(&pier, None, "an edit and an acknowledgement");
    pier.run(ChangeStatus::resolve(incident, valid("INTERNAL note"))).unwrap();
    check(&pier, Some("resolved -"), "resolved with a note");
}

#[test]
fn resolved_in_public() {
    let mut pier = Pier::new();
    pier.usual();
    let incident = pier.open("high", &[pier.api]);
    pier.reach(incident, Status::Monitoring);
    pier.pass(1);
    pier.run(PostUpdate::public(incident, valid("All is well")).with_status(Status::Resolved)).unwrap();
    let page = pier.show();
    let shown = only(&page);
    assert_eq!(told(shown), ["resolved All is well", "monitoring -", "identified -", "investigating -"]);
    assert_eq!((shown.status, shown.resolved_at, shown.severity), (Status::Resolved, Some(pier.now()), Severity::High));
    assert!(page.incidents.is_empty());
}

/// However fast they follow one another, and whatever the clock does between them.
#[test]
fn the_last_of_what_is_told_is_that_it_was_opened() {
    for step in [60, -60, 0] {
        let mut pier = Pier::new();
        pier.usual();
        let incident = pier.open("high", &[pier.api]);
        pier.pass(step);
        pier.run(PostUpdate::public(incident, valid("one"))).unwrap();
        pier.pass(step);
        pier.run(PostUpdate::public(incident, valid("two"))).unwrap();
        let page = pier.show();
        let told = told(only(&page));
        assert_eq!(told.len(), 3);
        assert_eq!(told[2], "investigating -", "{step} minutes between them: {told:?}");
    }
}

/// Also within one millisecond.
#[test]
fn what_is_told_is_the_newest_first() {
    let mut pier = Pier::new();
    pier.usual();
    let incident = pier.open("high", &[pier.api]);
    pier.pass(1);
    pier.run(PostUpdate::public(incident, valid("one"))).unwrap();
    pier.run(PostUpdate::public(incident, valid("two")).with_status(Status::Identified)).unwrap();
    pier.run(PostUpdate::public(incident, valid("three"))).unwrap();
    let page = pier.show();
    assert_eq!(told(only(&page)), ["- three", "identified two", "- one", "investigating -"]);
}

#[test]
fn what_is_redacted_shows_as_removed_with_its_time() {
    let mut pier = Pier::new();
    pier.usual();
    let incident = pier.open("high", &[pier.api]);
    let opened = pier.now();
    pier.pass(1);
    let plain = pier.run(PostUpdate::public(incident, valid("HUNTER2 one"))).unwrap();
    pier.pass(1);
    let step = PostUpdate::public(incident, valid("HUNTER2 two")).with_status(Status::Identified);
    let step = pier.run(step).unwrap();
    pier.pass(1);
    let internal = PostUpdate::internal(incident, valid("HUNTER2 three")).with_status(Status::Monitoring);
    let internal = pier.run(internal).unwrap();
    let other = pier.run(PostUpdate::internal(incident, valid("HUNTER2 four"))).unwrap();
    pier.pass(60);
    for update in [&plain, &step, &internal, &other] {
        pier.run(RedactUpdate { incident_id: incident, update_id: update.id }).unwrap();
    }
    let page = pier.show();
    let shown = only(&page);
    assert_eq!(told(shown), ["monitoring -", "identified - removed", "- - removed", "investigating -"]);
    let at: Vec<_> = shown.updates.iter().map(|update| update.posted_at).collect();
    assert_eq!(at, [internal.posted_at, step.posted_at, plain.posted_at, opened]);
    assert!(!format!("{page:?}").contains("HUNTER2"));
}

#[test]
fn incidents_show_where_their_components_do() {
    let mut pier = Pier::new();
    pier.usual();
    let (api, web, mail) = (pier.api, pier.web, pier.mail);
    let mut check = |tags: &[_], shown: &[&str]| {
        let incident = pier.open("high", tags);
        let page = pier.show();
        let found = page.incidents.iter().find(|one| one.id == incident);
        let names: Vec<_> =
            found.map_or(&[][..], |one| &one.components).iter().map(|one| one.name.to_string()).collect();
        assert_eq!(names, shown, "{tags:?}");
        assert_eq!(found.is_some(), !shown.is_empty());
    };
    check(&[api], &["API"]);
    check(&[web, api], &["API", "Web"]);
    check(&[mail, web], &["Web"]);
    check(&[mail], &[]);
    check(&[], &[]);

    let mut pier = Pier::new();
    let page = pier.usual();
    let incident = pier.open("high", &[api, mail]);
    pier.components(page, &[mail]);
    assert_eq!(only(&pier.show()).components.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["Mail"]);
    pier.run(SetComponents::new(incident, vec![api])).unwrap();
    assert!(pier.show().incidents.is_empty(), "the tag is lost");
    pier.run(SetComponents::new(incident, vec![mail])).unwrap();
    pier.resolve(incident);
    assert_eq!(pier.show().history.len(), 1);
    pier.components(page, &[web]);
    assert!(pier.show().history.is_empty(), "a resolved one that affects nothing shown is gone, too");
}

#[test]
fn unresolved_incidents_the_newest_first_and_resolved_ones_day_by_day() {
    let mut pier = Pier::since("2026-03-01T00:00:00Z");
    let page = pier.usual();
    let api = pier.api;
    let mut made = Vec::new();
    for n in 0..4 {
        made.push(pier.open(["low", "critical", "medium", "high"][n], &[api]));
        pier.pass(1);
    }
    let newest: Vec<_> = made.iter().rev().copied().collect();
    assert_eq!(ids(&pier.show().incidents), newest);
    pier.run(PostUpdate::public(made[0], valid("news"))).unwrap();
    assert_eq!(ids(&pier.show().incidents), newest, "news moves nothing");

    // At 22:30 UTC it is already the next day in Berlin, from 29 March on.
    for (n, at) in ["2026-04-01T21:59:00Z", "2026-04-01T22:30:00Z", "2026-04-02T12:00:00Z", "2026-04-04T12:00:00Z"]
        .into_iter()
        .enumerate()
    {
        pier.clock(at);
        pier.resolve(made[[2, 0, 3, 1][n]]);
    }
    let days = |pier: &Pier| {
        let day = |day: &dogwatch_core::status_page::ShownHistoryDay| (day.date.to_string(), ids(&day.incidents));
        pier.show().history.iter().map(day).collect::<Vec<_>>()
    };
    let date = |day: u8, incidents: &[IncidentId]| (format!("2026-04-{day:02}"), incidents.to_vec());
    assert_eq!(days(&pier), [date(4, &[made[1]]), date(2, &[made[3]]), date(1, &[made[0], made[2]])]);
    pier.run(EditStatusPage { timezone: Some("Europe/Berlin".to_owned()), ..EditStatusPage::new(page) }).unwrap();
    assert_eq!(days(&pier), [date(4, &[made[1]]), date(2, &[made[3], made[0]]), date(1, &[made[2]])]);

    // The last 90 days, today included: 1 April is the ninetieth on 29 June.
    for (now, left) in [("2026-06-29T21:59:59Z", 3), ("2026-06-29T22:00:00Z", 2), ("2026-09-01T00:00:00Z", 0)] {
        pier.clock(now);
        assert_eq!(days(&pier).len(), left, "{now}");
    }
}

#[test]
fn maintenances_under_way_and_to_come_then_the_last_that_are_over() {
    let mut pier = Pier::since("2026-01-01T00:00:00Z");
    let page = pier.usual();
    let (api, web) = (pier.api, pier.web);
    let mut over = |starts: i64, ends: i64| {
        let id = pier.announce(page, &[api], starts, ends);
        pier.pass(starts);
        pier.tick();
        pier.pass(ends - starts);
        pier.tick();
        id
    };
    let long_ago = over(1, 2);
    let (first, second) = (over(60 * 24 * 60, 60 * 24 * 60 + 5), over(10, 20));
    pier.clock("2026-04-07T10:00:00Z");
    let to_come = pier.announce(page, &[web, api], 100, 110);
    let next = pier.announce(page, &[api], 50, 5_000);
    let now = pier.announce(page, &[api], 0, 10);
    pier.pass(5);
    let ended = pier.announce(page, &[api], 0, 10);
    pier.pass(1);
    pier.run(DeleteMaintenance::new(page, ended)).unwrap();
    let shown = pier.show().maintenances;
    let order: Vec<_> = shown.iter().map(|one| one.id).collect();
    assert_eq!(order, [now, next, to_come, ended, second, first], "{long_ago} is over for more than 90 days");
    let states: Vec<_> = shown.iter().map(|one| one.state).collect();
    use MaintenanceState::{Over, Scheduled, UnderWay};
    assert_eq!(states, [UnderWay, Scheduled, Scheduled, Over, Over, Over]);
    let names: Vec<_> = shown[2].components.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["API", "Web"], "in the order of the page");
    assert_eq!(pier.announced(page).len(), 7);
}

#[test]
fn components_as_they_are_named_now() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let (api, web) = (pier.api, pier.web);
    let incident = pier.open("high", &[api, web]);
    pier.announce(page, &[api], 0, 10);
    let named = EditComponent {
        id: api,
        name: Some(valid("Engine")),
        description: Patch::Set(valid("What turns")),
        group_label: Patch::Set(valid("Below deck")),
    };
    pier.run(named).unwrap();
    let shown = pier.show();
    let first = &shown.components[0];
    let text = |text: &Option<_>| text.as_ref().map(ToString::to_string);
    assert_eq!(
        (first.name.as_str(), text(&first.description), first.group_label.as_ref().map(ToString::to_string)),
        ("Engine", Some("What turns".to_owned()), Some("Below deck".to_owned()))
    );
    assert_eq!(shown.incidents[0].components[0].name.as_str(), "Engine");
    assert_eq!(shown.maintenances[0].components[0].name.as_str(), "Engine");
    pier.resolve(incident);
    pier.components(page, &[web]);
    pier.run(DeleteComponent { id: api }).unwrap();
    let names: Vec<_> = pier.show().history[0].incidents[0].components.iter().map(|one| one.name.to_string()).collect();
    assert_eq!(names, ["Web"]);
}

#[test]
fn unpublished_and_unknown_pages_are_not_found() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let publish = |published| EditStatusPage { published: Some(published), ..EditStatusPage::new(page) };
    for (published, expected) in [(false, "not_found"), (true, "ok"), (false, "not_found")] {
        pier.run(publish(published)).unwrap();
        assert_eq!(word(&pier.look("harbour")), expected);
    }
    let (hidden, nowhere) = (pier.look("harbour").unwrap_err(), pier.look("nowhere").unwrap_err());
    assert_eq!(hidden, nowhere, "nobody can tell one from the other");
}

#[cfg(feature = "serde")]
fn written(page: &PublicPage) -> String {
    serde_json::to_string(page).unwrap()
}

#[cfg(not(feature = "serde"))]
fn written(page: &PublicPage) -> String {
    format!("{page:?}")
}

/// Everything internal carries a mark, and every person's name is one.
#[test]
fn nothing_internal_shows() {
    let mark = |text: &str| format!("SECRET {text}");
    let mut pier = Pier::new();
    let (ada, org) = (pier.harbour.ada, pier.harbour.org);
    let add = AddMember::new(org, valid("secret@example.com"), valid("SECRETFIRST"), valid("SECRETLAST"), Role::Admin);
    let sam = Actor::member(org, pier.harbour.run(add, &Actor::Operator).unwrap().member.id);
    let (api, web) = (pier.api, pier.web);
    let hidden = CreateComponent {
        name: valid("SECRET component"),
        description: Some(valid(&mark("of it"))),
        group_label: Some(valid("SECRET group")),
    };
    let hidden = pier.run(hidden).unwrap().id;
    let policy = CreatePolicy { name: valid("SECRET policy"), description: Some(valid(&mark("policy"))) };
    let policy = pier.run(policy).unwrap().id;
    let page = pier.publish("harbour", &[api, web, hidden]);
    let unpublished = CreateStatusPage {
        component_ids: vec![api, hidden],
        ..CreateStatusPage::new(valid("SECRET page"), valid("secret-page"))
    };
    let unpublished = pier.run(unpublished).unwrap().id;
    let announce = |page, title: &str| CreateMaintenance {
        title: valid(title),
        description: Some(valid(title)),
        ..pier.maintenance(page, &[hidden, api], 0, 60)
    };
    let (theirs, ours) = (announce(unpublished, "SECRET works"), announce(page, "Public works"));
    let (_, of_ours) = (pier.run(theirs).unwrap(), pier.run(ours).unwrap());

    let by = |tags: Vec<_>, title: &str| CreateIncident {
        description: Some(valid(&mark("description"))),
        component_ids: tags,
        escalation_policy_id: Some(policy),
        ..CreateIncident::new(valid(title), Severity::High, user(&sam))
    };
    let mut shown = Vec::new();
    for (tags, title) in [
        (vec![api, hidden], "Checkout is down"),
        (vec![web], "Website is down"),
        (vec![hidden], "SECRET one"),
        (vec![], "SECRET two"),
    ] {
        let id = pier.harbour.run(by(tags, title), &sam).unwrap().id;
        shown.push(id);
        pier.harbour.run(PostUpdate::internal(id, valid(&mark("internal"))), &sam).unwrap();
        let step = PostUpdate::internal(id, valid(&mark("step"))).with_status(Status::Identified);
        pier.harbour.run(step, &sam).unwrap();
        let public = PostUpdate::public(id, valid("SECRET taken back"));
        if let Ok(public) = pier.harbour.run(public, &sam) {
            pier.harbour.run(RedactUpdate { incident_id: id, update_id: public.id }, &sam).unwrap();
        }
        pier.harbour.run(AcknowledgeIncident::new(id), &sam).unwrap();
        pier.harbour.run(HandOffIncident::new(id, user(&ada)), &sam).unwrap();
        pier.harbour.run(HandOffIncident::new(id, user(&sam)), &sam).unwrap();
        if title == "Website is down" {
            pier.harbour.run(PostUpdate::public(id, valid("Hello from the harbour")), &sam).unwrap();
        }
    }
    for id in &shown[1..] {
        pier.reach(*id, Status::Monitoring);
        pier.harbour.run(ChangeStatus::resolve(*id, valid(&mark("note"))), &sam).unwrap();
    }
    let incident = pier.harbour.detail(shown[0]);
    pier.components(page, &[api, web]);
    pier.pass(1);

    let page = pier.show();
    assert_eq!((page.incidents.len(), page.history[0].incidents.len(), page.maintenances.len()), (1, 1, 1));
    for text in [format!("{page:?}"), format!("{page:#?}"), written(&page)] {
        assert!(text.contains("Hello from the harbour") && text.contains(&of_ours.id.to_string()), "the search works");
        let lower = text.to_lowercase();
        for never in ["secret", "example.com", "ada", "byron", "marlow", "user_", "org_", "@", "escalation", "owner"] {
            let around = lower.split(never).next().unwrap_or_default();
            assert!(!lower.contains(never), "{never} behind {around}");
        }
        for id in [user(&ada).to_string(), user(&sam).to_string(), org.to_string(), policy.to_string()] {
            assert!(!text.contains(&id), "{id}");
        }
        for id in [hidden.to_string(), unpublished.to_string(), shown[2].to_string(), shown[3].to_string()] {
            assert!(!text.contains(&id), "{id}");
        }
        assert!(!text.contains(&incident.audit_trail[0].id.to_string()), "ids of events");
    }
}

#[cfg(feature = "serde")]
#[test]
fn the_json_has_these_fields_and_no_others() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let incident = pier.open("high", &[pier.api]);
    pier.pass(1);
    pier.run(PostUpdate::public(incident, valid("We are on it"))).unwrap();
    let resolved = pier.open("low", &[pier.web]);
    pier.resolve(resolved);
    pier.announce(page, &[pier.web], 5, 10);
    let json = serde_json::to_value(pier.show()).unwrap();
    let check = |path: &str, expected: &str| {
        let mut keys: Vec<_> = json.pointer(path).unwrap().as_object().unwrap().keys().cloned().collect();
        let mut expected: Vec<_> = expected.split_whitespace().collect();
        keys.sort();
        expected.sort_unstable();
        assert_eq!(keys, expected, "{path}");
    };
    check("", "page banner components incidents maintenances history truncated");
    check("/page", "id name slug timezone updatedAt");
    check("/components/0", "id name description groupLabel status days");
    check("/components/0/days/0", "date worst uptime");
    check("/incidents/0", "id title severity status createdAt resolvedAt components updates");
    check("/incidents/0/components/0", "id name");
    check("/incidents/0/updates/0", "id statusChange body redacted postedAt");
    check("/maintenances/0", "id title description state components startsAt endsAt createdAt");
    check("/maintenances/0/components/0", "id name");
    check("/history/0", "date incidents");
    check("/history/0/incidents/0", "id title severity status createdAt resolvedAt components updates");
    for (path, expected) in [
        ("/page/timezone", "\"UTC\""),
        ("/banner", "\"partial_outage\""),
        ("/components/0/days/89/date", "\"2026-04-07\""),
        ("/components/0/days/89/worst", "\"partial_outage\""),
        ("/components/0/days/88/worst", "null"),
        ("/components/0/days/88/uptime", "null"),
        ("/incidents/0/resolvedAt", "null"),
        ("/incidents/0/updates/0/statusChange", "null"),
        ("/incidents/0/updates/1/statusChange", "\"investigating\""),
        ("/incidents/0/updates/1/body", "null"),
        ("/maintenances/0/state", "\"scheduled\""),
        ("/history/0/date", "\"2026-04-07\""),
        ("/truncated", "false"),
    ] {
        assert_eq!(json.pointer(path).unwrap().to_string(), expected, "{path}");
    }
    pier.clock("2026-04-07T16:00:00Z");
    let json = serde_json::to_value(pier.show()).unwrap();
    // Six hours less a moment of a partial outage.
    let uptime = json.pointer("/components/0/days/89/uptime").unwrap().as_f64().unwrap();
    assert!((uptime - 0.925).abs() < 1e-6, "{uptime}");
}

#[test]
fn fifty_unresolved_incidents_and_two_hundred_resolved_ones() {
    let check = |open: usize, resolved: usize, shown: (usize, usize), truncated: bool| {
        let mut pier = Pier::new();
        pier.usual();
        let mut made: Vec<_> = (0..open + resolved)
            .map(|_| {
                pier.harbour.advance(1);
                pier.open("low", &[pier.api])
            })
            .collect();
        let open_ones = made.split_off(resolved);
        for id in &made {
            pier.harbour.advance(1);
            pier.resolve(*id);
        }
        let page = pier.show();
        let past: Vec<_> = page.history.iter().flat_map(|day| ids(&day.incidents)).collect();
        assert_eq!((page.incidents.len(), past.len(), page.truncated), (shown.0, shown.1, truncated));
        open_ones.iter().rev().zip(ids(&page.incidents)).for_each(|(one, other)| assert_eq!(*one, other));
        made.iter().rev().zip(past).for_each(|(one, other)| assert_eq!(*one, other));
    };
    check(50, 200, (50, 200), false);
    check(51, 3, (50, 3), true);
    check(2, 201, (2, 200), true);
}

#[test]
fn fifty_public_updates_of_one_incident() {
    let mut pier = Pier::new();
    pier.usual();
    let incident = pier.open("low", &[pier.api]);
    for number in 1..=52 {
        pier.harbour.advance(1);
        pier.run(PostUpdate::public(incident, valid(&format!("number {number}")))).unwrap();
        let told = told(&pier.show().incidents[0]);
        let said: Vec<_> = told.iter().filter(|one| one.contains("number")).collect();
        assert_eq!((said.len(), pier.show().truncated), (number.min(50), number > 50), "{number}");
        assert_eq!(*said[0], format!("- number {number}"), "the newest ones stay");
        assert_eq!(told.last().unwrap(), "investigating -", "{number}");
    }
}

#[test]
fn half_a_mebibyte_of_texts() {
    let body = "\u{1F30A}".repeat(10_000);
    for (incidents, updates, truncated) in [(1, 13, false), (2, 13, true), (1, 14, true), (1, 50, true)] {
        let mut pier = Pier::new();
        pier.usual();
        for _ in 0..incidents {
            pier.pass(1);
            let id = pier.open("low", &[pier.api]);
            for _ in 0..updates {
                pier.pass(1);
                pier.run(PostUpdate::public(id, valid(&body))).unwrap();
            }
        }
        let page = pier.show();
        assert_eq!(page.truncated, truncated, "{incidents} incidents with {updates} updates");
        let texts = page.incidents.iter().flat_map(|one| &one.updates).filter_map(|one| one.body.as_ref());
        let bytes: usize = texts.map(|body| body.as_str().len()).sum();
        assert!((13 * 40_000..=(512 << 10) + 40_000).contains(&bytes), "{bytes}");
        assert_eq!(page.incidents.len(), incidents, "the incidents themselves are all there");
    }
}

#[test]
fn more_than_five_thousand_changes_hide_the_days_before() {
    let mut pier = Pier::since("2026-04-01T00:00:00Z");
    let page = pier.usual();
    let api = pier.api;
    let toggle = |pier: &mut Pier, times: usize| {
        for n in 0..times {
            pier.harbour.now = Timestamp::clamped(pier.now().as_millis() + 1_000);
            pier.overrides(page, &[(api, if n % 2 == 0 { "degraded" } else { "partial_outage" })]);
        }
    };
    toggle(&mut pier, 10);
    pier.clock("2026-04-05T00:00:00Z");
    toggle(&mut pier, 4_900);
    assert_eq!(pier.day(api, "2026-04-01").worst.map(|one| one.as_str()), Some("partial_outage"));
    toggle(&mut pier, 200);
    assert_eq!(pier.told(api, "2026-04-01"), "not shown");
    assert_eq!(pier.told(api, "2026-04-04"), "not shown");
    assert_eq!(pier.day(api, "2026-04-05").worst.map(|one| one.as_str()), Some("partial_outage"));
    assert_eq!(pier.told(pier.web, "2026-04-01"), "operational 1000000", "the others are whole");
}
