//! Section 13 of the contract: what admins do with status pages and maintenances, and what they are refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::component::DeleteComponent;
use dogwatch_core::id::{ComponentId, Id, MaintenanceId, StatusPageId};
use dogwatch_core::incident::{ListLimit, PostUpdate, Status};
use dogwatch_core::org_audit::ListOrgAudit;
use dogwatch_core::organization::CreateOrganization;
use dogwatch_core::status_page::{
    CreateStatusPage, DeleteMaintenance, DeleteStatusPage, EditMaintenance, EditStatusPage, GetMaintenance,
    GetStatusPage, ListMaintenances, ListStatusPages, StatusOverride,
};
use dogwatch_core::text::{Name, Slug, Title};
use dogwatch_core::{Actor, Command, Error};
use support::pier::{Pier, minutes, set};
use support::{valid, word};

fn nobody(n: u8) -> ComponentId {
    ComponentId::from_bytes([n; 16])
}

/// So many components that nobody made.
fn unknown(many: u8) -> Vec<ComponentId> {
    (1..=many).map(nobody).collect()
}

fn create(slug: &str) -> CreateStatusPage {
    CreateStatusPage::new(valid("Harbour status"), valid(slug))
}

/// The fields that a refused command names.
fn fields<T>(outcome: Result<T, Error>) -> Vec<String> {
    outcome.err().map(|error| error.fields().iter().map(|field| field.field.clone()).collect()).unwrap_or_default()
}

/// Another organization, with an admin.
fn elsewhere(pier: &mut Pier) -> Actor {
    let create = CreateOrganization::new(valid("Lagoon"), valid("lou@example.com"), valid("Lou"), valid("Reed"));
    pier.harbour.run(create, &Actor::Operator).unwrap().actor()
}

#[test]
fn slugs_and_names() {
    let long = "a".repeat(63);
    for (slug, fits) in [
        ("abc", true),
        ("a-b", true),
        ("a--b", true),
        ("0-9", true),
        ("123", true),
        (long.as_str(), true),
        ("ab", false),
        ("", false),
        ("-ab", false),
        ("ab-", false),
        ("---", false),
        ("Abc", false),
        ("a_b", false),
        ("a.b", false),
        ("a b", false),
        ("abç", false),
        ("abc\n", false),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
    ] {
        assert_eq!(Slug::new(slug).is_ok(), fits, "{slug:?}");
    }
    for (length, fits) in [(0, false), (1, true), (100, true), (101, false)] {
        assert_eq!(Name::new("ä".repeat(length)).is_ok(), fits, "name of {length}");
        assert_eq!(Title::new("ä".repeat(length)).is_ok(), fits, "title of {length}");
    }
}

#[test]
fn a_new_page_is_not_published_and_its_days_are_in_utc() {
    let mut pier = Pier::new();
    let page = pier.run(create("harbour")).unwrap();
    assert_eq!(
        (page.published, page.zone.name(), page.component_ids.len(), page.overrides.len()),
        (false, "UTC", 0, 0)
    );
    assert_eq!((page.created_at, page.updated_at, page.org_id), (pier.now(), pier.now(), pier.harbour.org));
    assert_eq!(word(&pier.look("harbour")), "not_found");
    let got = pier.harbour.ask(&GetStatusPage::new(page.id), &pier.harbour.ben);
    assert_eq!(got, Ok(page));
}

#[test]
fn only_admins_write_and_every_member_reads() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let it = pier.announce(page, &[pier.api], 10, 20);
    let (ben, wrong) = (pier.harbour.ben, StatusPageId::from_bytes([9; 16]));
    fn check<C: Command + Clone>(pier: &mut Pier, command: &C, who: &[Actor]) {
        for actor in who {
            assert_eq!(word(&pier.harbour.run_unchanged(command.clone(), actor)), "not_authorized", "{actor:?}");
        }
    }
    let who = [ben, Actor::Operator, Actor::Anybody];
    let too_many = CreateStatusPage { component_ids: unknown(201), ..create("harbour") };
    check(&mut pier, &too_many, &who);
    check(&mut pier, &EditStatusPage::new(wrong), &who);
    check(&mut pier, &EditStatusPage::new(page), &who);
    check(&mut pier, &DeleteStatusPage::new(page), &who);
    check(&mut pier, &DeleteStatusPage::new(wrong), &who);
    let upside_down = pier.maintenance(wrong, &[], 20, 10);
    check(&mut pier, &upside_down, &who);
    check(&mut pier, &EditMaintenance::new(page, it), &who);
    check(&mut pier, &DeleteMaintenance::new(page, it), &who);
    for actor in [pier.harbour.ada, ben] {
        assert!(pier.harbour.ask(&GetStatusPage::new(page), &actor).is_ok());
        assert_eq!(pier.harbour.ask(&ListStatusPages, &actor).unwrap().len(), 1);
        assert!(pier.harbour.ask(&GetMaintenance::new(page, it), &actor).is_ok());
        assert_eq!(pier.harbour.ask(&ListMaintenances::new(page), &actor).unwrap().len(), 1);
    }
    assert_eq!(word(&pier.harbour.ask(&ListStatusPages, &Actor::Anybody)), "not_authorized");
    assert_eq!(word(&pier.harbour.ask(&GetStatusPage::new(page), &Actor::Anybody)), "not_authorized");
}

/// Each case breaks the rule that it names, and all that come behind it.
#[test]
fn the_order_of_rules_on_creating_a_page() {
    let mut pier = Pier::new();
    pier.run(create("taken")).unwrap();
    for n in 1..20 {
        pier.run(create(&format!("page-{n}"))).unwrap();
    }
    let (api, web) = (pier.api, pier.web);
    let none: &[StatusOverride] = &[];
    let check = |pier: &mut Pier, slug: &str, ids: &[ComponentId], over: &[StatusOverride], zone: &str, code: &str| {
        let (component_ids, overrides) = (ids.to_vec(), over.to_vec());
        let command = CreateStatusPage { component_ids, overrides, timezone: zone.to_owned(), ..create(slug) };
        assert_eq!(word(&pier.run_unchanged(command)), code, "{slug} {ids:?} {over:?} {zone}");
    };
    check(&mut pier, "taken", &unknown(201), none, "Mars", "validation_error");
    check(&mut pier, "taken", &[api, api, nobody(9)], &[set(web, "degraded")], "Mars", "validation_error");
    check(
        &mut pier,
        "taken",
        &[api, api, nobody(9)],
        &[set(api, "degraded"), set(api, "operational")],
        "Mars",
        "validation_error",
    );
    check(&mut pier, "taken", &[api, nobody(9), api], none, "Mars", "duplicate_component_id");
    check(&mut pier, "taken", &[api, nobody(9)], none, "Mars", "invalid_component_id");
    check(&mut pier, "taken", &unknown(200), none, "Mars", "invalid_component_id");
    check(&mut pier, "taken", &[api], none, "Mars", "invalid_timezone");
    check(&mut pier, "taken", &[api], none, "Europe/Berlin", "name_conflict");
    check(&mut pier, "free", &[api], none, "Europe/Berlin", "limit_reached");
}

#[test]
fn the_order_of_rules_on_editing_a_page() {
    let mut pier = Pier::new();
    pier.run(create("taken")).unwrap();
    let page = pier.usual();
    let (api, web, mail) = (pier.api, pier.web, pier.mail);
    let check = |pier: &mut Pier, edit: EditStatusPage, code: &str| {
        assert_eq!(word(&pier.run_unchanged(edit.clone())), code, "{edit:?}");
    };
    let edit =
        EditStatusPage { timezone: Some("Mars".to_owned()), slug: Some(valid("taken")), ..EditStatusPage::new(page) };
    let with = |ids: &[ComponentId]| EditStatusPage { component_ids: Some(ids.to_vec()), ..edit.clone() };
    let over =
        |ids: &[ComponentId], over: &[StatusOverride]| EditStatusPage { overrides: Some(over.to_vec()), ..with(ids) };
    check(&mut pier, EditStatusPage { id: StatusPageId::from_bytes([9; 16]), ..with(&[api, api]) }, "not_found");
    check(&mut pier, with(&unknown(201)), "validation_error");
    check(&mut pier, over(&[api, api], &[set(web, "degraded")]), "validation_error");
    check(&mut pier, over(&[api, api], &[set(api, "degraded"), set(api, "degraded")]), "validation_error");
    let alone = EditStatusPage { overrides: Some(vec![set(mail, "degraded")]), ..EditStatusPage::new(page) };
    check(&mut pier, alone, "validation_error");
    check(&mut pier, with(&[api, nobody(9), api]), "duplicate_component_id");
    check(&mut pier, with(&[api, nobody(9)]), "invalid_component_id");
    check(&mut pier, edit.clone(), "invalid_timezone");
    check(&mut pier, EditStatusPage { timezone: None, ..edit }, "name_conflict");
    check(&mut pier, EditStatusPage { slug: Some(valid("harbour")), ..EditStatusPage::new(page) }, "ok");
}

/// As for schedules, `Factory` is no zone.
#[test]
fn zones_are_spelled_exactly_and_are_places() {
    for (zone, code) in [
        ("UTC", "ok"),
        ("US/Eastern", "ok"),
        ("Europe/Berlin", "ok"),
        ("europe/berlin", "invalid_timezone"),
        ("utc", "invalid_timezone"),
        ("+02:00", "invalid_timezone"),
        ("", "invalid_timezone"),
        ("Mars", "invalid_timezone"),
        ("Factory", "invalid_timezone"),
    ] {
        let mut pier = Pier::new();
        let page = pier.usual();
        let timezone = zone.to_owned();
        assert_eq!(word(&pier.run(CreateStatusPage { timezone: timezone.clone(), ..create("quay") })), code, "{zone}");
        let edit = EditStatusPage { timezone: Some(timezone), ..EditStatusPage::new(page) };
        assert_eq!(word(&pier.run(edit)), code, "{zone}");
    }
}

/// Section 3: a command gathers every offending field of its request.
#[test]
fn every_offending_field_is_told() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let bad = [set(pier.mail, "degraded"), set(nobody(9), "degraded")];
    let both = CreateStatusPage { overrides: bad.to_vec(), ..create("other") };
    assert_eq!(fields(pier.run_unchanged(both)), ["overrides/0/componentId", "overrides/1/componentId"]);
    let mut told = fields(pier.run_unchanged(pier.maintenance(page, &[], 20, 10)));
    told.sort();
    assert_eq!(told, ["componentIds", "endsAt"]);
}

/// Sections 2 and 3: what is wrong in the request itself is told before anything is looked up.
#[test]
fn the_request_itself_is_checked_before_anything_is_looked_up() {
    let mut pier = Pier::new();
    let (page, nowhere, nothing) =
        (pier.usual(), StatusPageId::from_bytes([9; 16]), MaintenanceId::from_bytes([9; 16]));
    let many = EditStatusPage { component_ids: Some(unknown(201)), ..EditStatusPage::new(nowhere) };
    assert_eq!(word(&pier.run_unchanged(many)), "validation_error", "more than 200 components");
    let plain = EditMaintenance::new(page, nothing);
    let none = EditMaintenance { component_ids: Some(Vec::new()), ..plain.clone() };
    assert_eq!(word(&pier.run_unchanged(none)), "validation_error", "no component");
    let (starts, ends) = (minutes(pier.now(), 20), minutes(pier.now(), 10));
    let span = EditMaintenance { starts_at: Some(starts), ends_at: Some(ends), ..plain };
    assert_eq!(word(&pier.run_unchanged(span)), "validation_error", "the end before the beginning");
}

#[test]
fn what_is_not_there_is_not_found_also_by_another_organization() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let it = pier.announce(page, &[pier.api], 10, 20);
    let second = pier.publish("second", &[pier.api]);
    let lou = elsewhere(&mut pier);
    let (ada, api) = (pier.harbour.ada, pier.api);
    let (nowhere, nothing) = (StatusPageId::from_bytes([9; 16]), MaintenanceId::from_bytes([9; 16]));
    let mut check = |page, id, actor: &Actor, code: &str| {
        let create = pier.maintenance(page, &[api], 10, 20);
        let harbour = &mut pier.harbour;
        let mut words = vec![
            word(&harbour.run_unchanged(EditMaintenance::new(page, id), actor)),
            word(&harbour.run_unchanged(DeleteMaintenance::new(page, id), actor)),
            word(&harbour.ask(&GetMaintenance::new(page, id), actor)),
        ];
        if code != "page there" {
            words.push(word(&harbour.run_unchanged(create, actor)));
            words.push(word(&harbour.run_unchanged(EditStatusPage::new(page), actor)));
            words.push(word(&harbour.run_unchanged(DeleteStatusPage::new(page), actor)));
            words.push(word(&harbour.ask(&GetStatusPage::new(page), actor)));
            words.push(word(&harbour.ask(&ListMaintenances::new(page), actor)));
        }
        assert!(words.iter().all(|word| *word == "not_found"), "{words:?}");
    };
    check(nowhere, it, &ada, "not_found");
    check(nowhere, nothing, &ada, "not_found");
    check(page, it, &lou, "not_found");
    check(page, nothing, &ada, "page there");
    check(second, it, &ada, "page there");
    assert!(pier.harbour.ask(&ListStatusPages, &lou).unwrap().is_empty());
    let theirs = CreateStatusPage { component_ids: vec![api], ..create("lagoon") };
    assert_eq!(word(&pier.harbour.run_unchanged(theirs, &lou)), "invalid_component_id");
    assert_eq!(word(&pier.look("nowhere")), "not_found");
}

#[test]
fn a_slug_is_taken_by_whichever_organization_has_it_and_free_only_afterwards() {
    let mut pier = Pier::new();
    let (ada, lou) = (pier.harbour.ada, elsewhere(&mut pier));
    let ours = pier.run(create("harbour")).unwrap().id;
    let check = |pier: &mut Pier, actor: Actor, slug: &str, code: &str| {
        assert_eq!(word(&pier.harbour.clone().run(create(slug), &actor)), code, "{actor:?} {slug}");
    };
    for actor in [ada, lou] {
        check(&mut pier, actor, "harbour", "name_conflict");
        check(&mut pier, actor, "harbor", "ok");
    }
    let theirs = pier.harbour.run(create("lagoon"), &lou).unwrap().id;
    let take = |id, slug: &str| EditStatusPage { slug: Some(valid(slug)), ..EditStatusPage::new(id) };
    assert_eq!(word(&pier.harbour.run_unchanged(take(theirs, "harbour"), &lou)), "name_conflict");

    pier.harbour.advance(60);
    let moved = pier.run(take(ours, "quay")).unwrap();
    assert_eq!((moved.slug.as_str(), moved.updated_at), ("quay", pier.now()));
    check(&mut pier, lou, "harbour", "ok");
    check(&mut pier, lou, "quay", "name_conflict");
    assert_eq!(word(&pier.harbour.run(take(theirs, "harbour"), &lou)), "ok");
    assert_eq!(word(&pier.run_unchanged(take(ours, "harbour"))), "name_conflict", "somebody else has it now");
    check(&mut pier, ada, "lagoon", "ok");

    // A page that is not published keeps its slug, too.
    let publish = EditStatusPage { published: Some(true), ..EditStatusPage::new(ours) };
    pier.run(publish.clone()).unwrap();
    assert!(pier.look("quay").is_ok());
    pier.run(EditStatusPage { published: Some(false), ..publish }).unwrap();
    check(&mut pier, lou, "quay", "name_conflict");
    assert_eq!(word(&pier.look("quay")), "not_found");
    assert_eq!(pier.run(DeleteStatusPage::new(ours)), Ok(ours));
    check(&mut pier, lou, "quay", "ok");
    assert_eq!(word(&pier.run_unchanged(DeleteStatusPage::new(ours))), "not_found");
}

#[test]
fn a_slug_leads_to_the_page_that_has_it_now() {
    let mut pier = Pier::new();
    let first = pier.publish("first", &[pier.api]);
    let second = pier.publish("second", &[pier.web]);
    pier.run(EditStatusPage { slug: Some(valid("third")), ..EditStatusPage::new(first) }).unwrap();
    assert_eq!(word(&pier.look("first")), "not_found");
    pier.run(EditStatusPage { slug: Some(valid("first")), ..EditStatusPage::new(second) }).unwrap();
    assert_eq!(pier.look("first").unwrap().page.id, second);
    assert_eq!(pier.look("third").unwrap().page.id, first);
    pier.run(DeleteStatusPage::new(second)).unwrap();
    assert_eq!(word(&pier.look("first")), "not_found");
}

#[test]
fn twenty_pages_of_an_organization() {
    let mut pier = Pier::new();
    let lou = elsewhere(&mut pier);
    let mut made = Vec::new();
    for n in 0..20 {
        pier.harbour.advance(1);
        made.push(pier.run(create(&format!("page-{}", 50 - n))).unwrap().id);
    }
    let listed: Vec<_> =
        pier.harbour.ask(&ListStatusPages, &pier.harbour.ben).unwrap().iter().map(|page| page.id).collect();
    assert_eq!(listed, made, "oldest first");
    assert_eq!(word(&pier.run_unchanged(create("one-more"))), "limit_reached");
    assert_eq!(word(&pier.harbour.run(create("lagoon"), &lou)), "ok", "another organization has its own");
    pier.run(DeleteStatusPage::new(made[7])).unwrap();
    assert_eq!(word(&pier.run(create("one-more"))), "ok");
    assert_eq!(word(&pier.run_unchanged(create("two-more"))), "limit_reached");
}

#[test]
fn two_hundred_components_of_a_page_in_their_order() {
    let mut pier = Pier::new();
    let mut ids: Vec<_> = (0..201).map(|n| pier.harbour.component(&format!("part {n}"))).collect();
    ids.reverse();
    let most = &ids[..200];
    let page = pier.publish("harbour", most);
    let shown: Vec<_> = pier.show().components.iter().map(|component| component.id).collect();
    assert_eq!(shown, most);
    assert_eq!(
        word(&pier.run_unchanged(CreateStatusPage { component_ids: ids.clone(), ..create("x-x") })),
        "validation_error"
    );
    let edit = EditStatusPage { component_ids: Some(ids.clone()), ..EditStatusPage::new(page) };
    assert_eq!(word(&pier.run_unchanged(edit)), "validation_error");
    let it = pier.announce(page, most, 1, 2);
    assert_eq!(word(&pier.run_unchanged(pier.maintenance(page, &ids, 1, 2))), "validation_error");
    let edit = EditMaintenance { component_ids: Some(ids), ..EditMaintenance::new(page, it) };
    assert_eq!(word(&pier.run_unchanged(edit)), "validation_error");
}

#[test]
fn editing_a_page() {
    let mut pier = Pier::new();
    let page = pier.usual();
    let (api, web, mail) = (pier.api, pier.web, pier.mail);
    pier.harbour.advance(60);
    let before = pier.components(page, &[web, api, mail]);
    assert_eq!((before.component_ids.as_slice(), before.updated_at), (&[web, api, mail][..], pier.now()));
    pier.overrides(page, &[(mail, "degraded"), (web, "major_outage")]);
    let told = |pier: &Pier| {
        let page = pier.harbour.ask(&GetStatusPage::new(page), &pier.harbour.ben).unwrap();
        page.overrides.iter().map(|one| (one.component_id, one.status.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(told(&pier), [(web, "major_outage"), (mail, "degraded")], "in the order of the components");
    pier.components(page, &[mail, api, web]);
    assert_eq!(told(&pier), [(mail, "degraded"), (web, "major_outage")], "in the new order");
    pier.components(page, &[web, api]);
    assert_eq!(told(&pier), [(web, "major_outage")], "of what is not shown it is lifted");
    pier.components(page, &[web, api, mail]);
    assert_eq!(told(&pier), [(web, "major_outage")], "and does not come back");
    pier.overrides(page, &[(api, "operational")]);
    assert_eq!(told(&pier), [(api, "operational")], "what is given replaces all");
    pier.overrides(page, &[]);
    assert_eq!(told(&pier), []);

    pier.harbour.advance(60);
    let now = pier.harbour.ask(&GetStatusPage::new(page), &pier.harbour.ben).unwrap();
    let same = EditStatusPage {
        id: page,
        name: Some(now.name.clone()),
        slug: Some(now.slug.clone()),
        published: Some(true),
        timezone: Some("UTC".to_owned()),
        component_ids: Some(vec![web, api, mail]),
        overrides: Some(Vec::new()),
    };
    assert_eq!(pier.run_unchanged(same), Ok(now.clone()));
    assert_eq!(pier.run_unchanged(EditStatusPage::new(page)), Ok(now));
    let edited = pier.run(EditStatusPage {
        name: Some(valid("Quay")),
        timezone: Some("Europe/Berlin".to_owned()),
        ..EditStatusPage::new(page)
    });
    let edited = edited.unwrap();
    assert_eq!((edited.name.as_str(), edited.zone.name(), edited.updated_at), ("Quay", "Europe/Berlin", pier.now()));
}

#[test]
fn the_overrides_of_a_page_are_of_what_it_shows() {
    let mut pier = Pier::new();
    let (api, web) = (pier.api, pier.web);
    let check = |pier: &mut Pier, ids: &[ComponentId], overrides: &[StatusOverride], code: &str| {
        let (component_ids, overrides) = (ids.to_vec(), overrides.to_vec());
        let command = CreateStatusPage { component_ids, overrides, ..create("harbour") };
        assert_eq!(word(&pier.harbour.clone().run(command.clone(), &pier.harbour.ada)), code, "{command:?}");
    };
    check(&mut pier, &[api, web], &[set(web, "degraded"), set(api, "maintenance")], "ok");
    check(&mut pier, &[api], &[set(web, "degraded")], "validation_error");
    check(&mut pier, &[], &[set(api, "degraded")], "validation_error");
    check(&mut pier, &[api], &[set(api, "degraded"), set(api, "degraded")], "validation_error");
    check(&mut pier, &[api], &[set(nobody(9), "degraded")], "validation_error");
}

#[test]
fn a_component_that_a_page_selects_is_in_use() {
    let mut pier = Pier::new();
    let hidden = CreateStatusPage { component_ids: vec![pier.api, pier.web], ..create("hidden") };
    let hidden = pier.run(hidden).unwrap().id;
    let page = pier.publish("harbour", &[pier.api, pier.mail]);
    let (api, web, mail) = (pier.api, pier.web, pier.mail);
    let delete = |id| DeleteComponent { id };
    for id in [api, web, mail] {
        assert_eq!(word(&pier.run_unchanged(delete(id))), "component_in_use");
    }
    pier.announce(page, &[mail], -1, 60);
    pier.components(page, &[api]);
    assert_eq!(word(&pier.run(delete(mail))), "ok", "a maintenance alone does not select it");
    assert_eq!(pier.statuses(), "operational | operational");
    pier.components(page, &[]);
    assert_eq!(word(&pier.run_unchanged(delete(api))), "component_in_use", "the hidden page has it still");
    pier.run(DeleteStatusPage::new(hidden)).unwrap();
    for id in [api, web] {
        assert_eq!(word(&pier.run(delete(id))), "ok");
    }
    let again = EditStatusPage { component_ids: Some(vec![api]), ..EditStatusPage::new(page) };
    assert_eq!(word(&pier.run_unchanged(again)), "invalid_component_id", "it is deleted");
}

#[test]
fn a_public_update_needs_a_published_page_that_shows_a_component() {
    let check = |published: bool, shown: &[&str], tags: &[&str], expected: &str| {
        let mut pier = Pier::new();
        let of = |pier: &Pier, names: &[&str]| -> Vec<ComponentId> {
            let id = |name: &&str| match *name {
                "api" => pier.api,
                "web" => pier.web,
                _ => pier.mail,
            };
            names.iter().map(id).collect()
        };
        let (component_ids, tags) = (of(&pier, shown), of(&pier, tags));
        pier.run(CreateStatusPage { published, component_ids, ..create("harbour") }).unwrap();
        let incident = pier.open("high", &tags);
        let post = PostUpdate::public(incident, valid("We are on it"));
        let outcome = if expected == "ok" { pier.run(post) } else { pier.run_unchanged(post) };
        assert_eq!(word(&outcome), expected, "published {published}, shows {shown:?}, affects {tags:?}");
        let step = PostUpdate::internal(incident, valid("x")).with_status(Status::Identified);
        assert_eq!(word(&pier.run(step)), "ok", "internal ones need none");
    };
    check(true, &["api"], &["api"], "ok");
    check(true, &["api", "web"], &["mail", "web"], "ok");
    check(true, &["api", "web"], &["mail"], "no_public_surface");
    check(true, &["api"], &[], "no_public_surface");
    check(true, &[], &["api"], "no_public_surface");
    check(false, &["api"], &["api"], "no_public_surface");
}

#[test]
fn the_public_surface_comes_and_goes() {
    let mut pier = Pier::new();
    let lou = elsewhere(&mut pier);
    pier.harbour.run(CreateStatusPage { published: true, ..create("lagoon") }, &lou).unwrap();
    let page = pier.usual();
    let incident = pier.open("high", &[pier.api]);
    let check = |pier: &Pier, expected: &str, when: &str| {
        let post = PostUpdate::public(incident, valid("We are on it"));
        assert_eq!(word(&pier.harbour.clone().run(post, &pier.harbour.ben)), expected, "{when}");
    };
    check(&pier, "ok", "published");
    pier.run(EditStatusPage { published: Some(false), ..EditStatusPage::new(page) }).unwrap();
    check(&pier, "no_public_surface", "not published any more");
    let second = pier.publish("second", &[pier.api]);
    check(&pier, "ok", "another page is");
    pier.components(second, &[pier.web]);
    check(&pier, "no_public_surface", "the other one does not show it any more");
    pier.run(EditStatusPage { published: Some(true), ..EditStatusPage::new(page) }).unwrap();
    check(&pier, "ok", "published again");
    pier.run(DeleteStatusPage::new(page)).unwrap();
    check(&pier, "no_public_surface", "deleted");
}

/// Of the actions on status pages and maintenances, the newest first; with who did it.
fn audit(pier: &Pier) -> Vec<String> {
    let all = ListOrgAudit { limit: ListLimit::MAX, ..ListOrgAudit::new() };
    let entries = pier.harbour.ask(&all, &pier.harbour.ada).unwrap().entries;
    let ours = entries.iter().filter(|entry| ["statusPage", "maintenance"].contains(&entry.target.kind));
    ours.map(|entry| {
        assert!(entry.actor_id == Some(support::user(&pier.harbour.ada)), "{entry:?}");
        let sides = (entry.before.is_some(), entry.after.is_some());
        let expected = match entry.action.as_str() {
            "created" => (false, true),
            "changed" => (true, true),
            _ => (true, false),
        };
        assert_eq!(sides, expected, "{entry:?}");
        format!("{} {}", entry.target.kind, entry.action)
    })
    .collect()
}

#[test]
fn the_audit_tells_of_pages_and_maintenances_but_not_of_ticks() {
    let mut pier = Pier::new();
    let mut seen = 0;
    let mut check = |pier: &Pier, what: &str, expected: &[&str]| {
        let told = audit(pier);
        let mut new: Vec<_> = told[..told.len() - seen].to_vec();
        new.sort();
        assert_eq!(new, expected, "{what}");
        seen = told.len();
    };
    let page = pier.usual();
    check(&pier, "created", &["statusPage created"]);
    pier.overrides(page, &[(pier.api, "degraded")]);
    check(&pier, "edited", &["statusPage changed"]);
    pier.run(EditStatusPage::new(page)).unwrap();
    pier.run(CreateStatusPage { component_ids: unknown(1), ..create("other") }).unwrap_err();
    check(&pier, "nothing or refused", &[]);
    let it = pier.announce(page, &[pier.api], 10, 20);
    check(&pier, "announced", &["maintenance created"]);
    let retitled = EditMaintenance { title: Some(valid("Old pumps")), ..EditMaintenance::new(page, it) };
    pier.run(retitled.clone()).unwrap();
    check(&pier, "edited", &["maintenance changed"]);
    pier.run(retitled).unwrap();
    check(&pier, "nothing", &[]);
    for _ in 0..2 {
        pier.pass(10);
        assert_eq!(pier.tick(), 1);
        check(&pier, "a tick", &[]);
    }
    pier.run(DeleteMaintenance::new(page, it)).unwrap();
    check(&pier, "one that is over is removed", &["maintenance deleted"]);
    let it = pier.announce(page, &[pier.api], 0, 20);
    check(&pier, "begins at once", &["maintenance created"]);
    pier.pass(5);
    pier.run(DeleteMaintenance::new(page, it)).unwrap();
    check(&pier, "one under way ends", &["maintenance changed"]);
    let incident = pier.open("critical", &[pier.api]);
    pier.resolve(incident);
    check(&pier, "incidents are not settings", &[]);
    pier.run(DeleteStatusPage::new(page)).unwrap();
    check(&pier, "with its page", &["maintenance deleted", "statusPage deleted"]);
}
