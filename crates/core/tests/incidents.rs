//! Section 6 of the contract: opening, editing, tagging, listing incidents; section 10, the audit trail.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::component::DeleteComponent;
use dogwatch_core::id::{ComponentId, Id, IncidentId, PolicyId, ScheduleId};
use dogwatch_core::incident::{
    CreateIncident, EditIncident, EditedField, Event, GetIncident, IncidentFilter, ListIncidents, ListLimit,
    ListUpdates, Owner, PostUpdate, SetComponents, Severity, Status, UpdateVisibility,
};
use dogwatch_core::team::RemoveMember;
use dogwatch_core::world::State;
use dogwatch_core::{Patch, Timestamp, UserId};
use dogwatch_testkit::simulation::Random;
use support::{Harbour, user, valid, word};

/// The order of the rules on create: each case breaks its own rule and every later one.
#[test]
fn the_order_of_rules_on_create() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let api = harbour.component("API");
    let gone = harbour.component("Gone");
    harbour.run(DeleteComponent { id: gone }, &ben).unwrap();
    let unknown = ComponentId::from_bytes([9; 16]);
    let many: Vec<_> = (0..101).map(|n| harbour.component(&format!("component {n}"))).collect();

    let stranger = Some(UserId::from_bytes([9; 16]));
    let schedule = Some(ScheduleId::from_bytes([9; 16]));
    let policy = Some(PolicyId::from_bytes([9; 16]));
    let me = Some(user(&ben));
    type Case = (Option<UserId>, Option<ScheduleId>, Option<PolicyId>, Vec<ComponentId>, &'static str);
    let cases: [Case; 12] = [
        (None, None, policy, vec![unknown, unknown], "owner_required"),
        (None, schedule, policy, vec![unknown, unknown], "not_found"),
        (stranger, schedule, None, vec![], "not_found"),
        (stranger, None, policy, vec![unknown, unknown], "not_found"),
        (stranger, None, None, vec![unknown, unknown], "invalid_target_user"),
        (me, None, None, vec![unknown, unknown], "duplicate_component_id"),
        (me, None, None, vec![api, api], "duplicate_component_id"),
        (me, None, None, vec![api, unknown], "invalid_component_id"),
        (me, None, None, vec![gone], "invalid_component_id"),
        (me, None, None, many.clone(), "limit_reached"),
        (me, None, None, many[..100].to_vec(), "ok"),
        (me, None, None, vec![], "ok"),
    ];
    for (n, (owner_id, owner_schedule_id, escalation_policy_id, component_ids, expected)) in
        cases.into_iter().enumerate()
    {
        let command = CreateIncident {
            title: valid("Checkout is down"),
            severity: Severity::High,
            description: None,
            owner: Owner::of(owner_id, owner_schedule_id),
            escalation_policy_id,
            component_ids,
        };
        if expected == "ok" {
            assert_eq!(word(&harbour.run(command, &ben)), expected, "case {n}");
        } else {
            assert_eq!(word(&harbour.run_unchanged(command, &ben)), expected, "case {n}");
        }
    }
}

#[test]
fn what_a_new_incident_looks_like() {
    let mut harbour = Harbour::new();
    let (ben, cleo) = (harbour.ben, harbour.cleo);
    let (api, web) = (harbour.component("API"), harbour.component("Web"));
    let command = CreateIncident {
        description: Some(valid("since 10:00\n\tin Europe")),
        component_ids: vec![web, api],
        ..CreateIncident::new(valid(" Checkout is down "), Severity::Critical, user(&cleo))
    };
    let incident = harbour.run(command, &ben).unwrap();
    assert_eq!(incident.title.as_str(), " Checkout is down ", "kept as sent");
    assert_eq!(
        (incident.sequential_id, incident.status, incident.severity),
        (1, Status::Investigating, Severity::Critical)
    );
    assert_eq!((incident.owner_id, incident.created_by), (Some(user(&cleo)), user(&ben).into()));
    assert_eq!((incident.created_at, incident.updated_at, incident.resolved_at), (harbour.now, harbour.now, None));
    let names: Vec<_> = incident.affected_components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["Web", "API"]);

    let detail = harbour.detail(incident.id);
    assert_eq!(detail.incident, incident);
    assert_eq!(detail.status_history.len(), 1);
    let first = &detail.status_history[0];
    assert_eq!((first.status, first.changed_at), (Status::Investigating, incident.created_at));
    assert!(first.resolution_note.is_none() && first.id.to_string().starts_with("sh_"));
    let created = &detail.audit_trail[0];
    assert_eq!(
        (created.event.as_str(), created.actor_id, created.at()),
        ("incident_created", Some(user(&ben).into()), harbour.now)
    );
    assert!(harbour.ask(&ListUpdates::new(incident.id), &ben).unwrap().updates.is_empty());
}

#[test]
fn numbers_have_no_holes() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    for n in 1..=10 {
        let bad = CreateIncident::new(valid("bad"), Severity::Low, UserId::from_bytes([9; 16]));
        assert_eq!(word(&harbour.run_unchanged(bad, &ben)), "invalid_target_user");
        let id = harbour.incident();
        assert_eq!(harbour.detail(id).incident.sequential_id, n);
    }
}

#[test]
fn editing() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let id = harbour.incident();
    harbour.advance(60);
    let edit = EditIncident {
        title: Some(valid("Checkout is slow")),
        description: Patch::Set(valid("all regions")),
        severity: Some(Severity::Low),
        ..EditIncident::new(id)
    };
    let edited = harbour.run(edit.clone(), &ben).unwrap();
    assert_eq!(
        (edited.title.as_str(), edited.severity, edited.updated_at),
        ("Checkout is slow", Severity::Low, harbour.now)
    );
    let last = harbour.detail(id).audit_trail.pop().unwrap();
    let fields = vec![EditedField::Title, EditedField::Description, EditedField::Severity];
    assert_eq!(last.event, Event::IncidentEdited { fields });

    harbour.advance(60);
    assert_eq!(harbour.run_unchanged(EditIncident::new(id), &ben).unwrap(), edited, "no field is no change");
    assert_eq!(harbour.run_unchanged(edit, &ben).unwrap(), edited, "the same values are no change");
    let clear = EditIncident { description: Patch::Clear, ..EditIncident::new(id) };
    assert!(harbour.run(clear, &ben).unwrap().description.is_none());
    assert_eq!(word(&harbour.run_unchanged(EditIncident::new(IncidentId::from_bytes([9; 16])), &ben)), "not_found");
}

#[test]
fn a_resolved_incident_takes_no_edit() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let id = harbour.incident_at(Status::Resolved);
    let title = harbour.detail(id).incident.title;
    for edit in [
        EditIncident { title: Some(valid("new")), ..EditIncident::new(id) },
        EditIncident { title: Some(title), ..EditIncident::new(id) },
        EditIncident { description: Patch::Clear, ..EditIncident::new(id) },
        EditIncident { severity: Some(Severity::High), ..EditIncident::new(id) },
    ] {
        assert_eq!(word(&harbour.run_unchanged(edit, &ben)), "incident_resolved");
    }
    assert_eq!(word(&harbour.run_unchanged(EditIncident::new(id), &ben)), "ok", "a PATCH without a field is no change");
}

#[test]
fn tagging() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let (api, web, app) = (harbour.component("API"), harbour.component("Web"), harbour.component("App"));
    let unknown = ComponentId::from_bytes([9; 16]);
    let id = harbour.incident();
    let set = |ids: &[ComponentId]| SetComponents { id, component_ids: ids.to_vec() };
    harbour.run(set(&[api, web]), &ben).unwrap();
    harbour.advance(60);
    for (ids, expected) in [
        (&[api, api][..], "duplicate_component_id"),
        (&[unknown, unknown], "duplicate_component_id"),
        (&[api, unknown], "invalid_component_id"),
        (&[web, api], "ok"),
    ] {
        assert_eq!(word(&harbour.run_unchanged(set(ids), &ben)), expected, "{ids:?}");
    }
    let tagged = harbour.run(set(&[app, web]), &ben).unwrap();
    assert_eq!(tagged.affected_components.iter().map(|c| c.id).collect::<Vec<_>>(), [app, web]);
    assert_eq!(tagged.updated_at, harbour.now);
    let last = harbour.detail(id).audit_trail.pop().unwrap();
    assert_eq!(last.event, Event::ComponentsChanged { added: vec![app], removed: vec![api] });
    assert!(harbour.run(set(&[]), &ben).unwrap().affected_components.is_empty());

    let resolved = harbour.incident_at(Status::Resolved);
    let late = SetComponents { id: resolved, component_ids: vec![unknown, unknown] };
    assert_eq!(word(&harbour.run_unchanged(late, &ben)), "incident_resolved", "first of all");
    let nowhere = SetComponents { id: IncidentId::from_bytes([9; 16]), component_ids: vec![unknown, unknown] };
    assert_eq!(word(&harbour.run_unchanged(nowhere, &ben)), "not_found");
}

/// Opens incidents at these instants and gives the numbers that a filter lists, newest first.
fn listed(instants: &[&str], from: Option<&str>, to: Option<&str>) -> Vec<u64> {
    let mut harbour = Harbour::new();
    for instant in instants {
        harbour.now = valid(instant);
        harbour.incident();
    }
    let from = from.map(|text| Timestamp::parse_range_start(text).unwrap());
    let to = to.map(|text| Timestamp::parse_range_end(text).unwrap());
    let query = ListIncidents { filter: IncidentFilter { from, to, ..Default::default() }, ..Default::default() };
    harbour.ask(&query, &harbour.ben).unwrap().incidents.iter().map(|incident| incident.sequential_id).collect()
}

#[test]
fn dates_and_instants_are_inclusive() {
    let instants =
        ["2026-04-06T23:59:59.999Z", "2026-04-07T00:00:00Z", "2026-04-07T23:59:59.999Z", "2026-04-08T00:00:00Z"];
    for (from, to, expected) in [
        (None, None, &[4, 3, 2, 1][..]),
        (Some("2026-04-07"), None, &[4, 3, 2]),
        (None, Some("2026-04-07"), &[3, 2, 1]),
        (Some("2026-04-07"), Some("2026-04-07"), &[3, 2]),
        (Some("2026-04-07T00:00:00.001Z"), Some("2026-04-07T23:59:59.998Z"), &[]),
        (Some("2026-04-07T23:59:59.999Z"), Some("2026-04-07T23:59:59.999Z"), &[3]),
        (Some("2026-04-08"), Some("2026-04-07"), &[]),
        (Some("2026-04-07T02:00:00+02:00"), Some("2026-04-07"), &[3, 2]),
        (Some("1970-01-01"), Some("9999-12-31"), &[4, 3, 2, 1]),
    ] {
        assert_eq!(listed(&instants, from, to), expected, "{from:?} {to:?}");
    }
}

#[test]
fn pages_follow_one_another_while_incidents_are_added() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    for n in 0..25 {
        if n % 4 == 0 {
            harbour.advance(1);
        }
        harbour.incident();
    }
    let mut seen = Vec::new();
    let mut query = ListIncidents { limit: ListLimit::new(7).unwrap(), ..Default::default() };
    loop {
        let page = harbour.ask(&query, &ben).unwrap();
        seen.extend(page.incidents.iter().map(|incident| incident.sequential_id));
        harbour.advance(1);
        harbour.incident();
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(valid(&cursor.to_string())),
            None => break,
        }
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<u64>>());
}

#[test]
fn the_last_page_has_no_cursor() {
    let mut harbour = Harbour::new();
    for (count, expected) in [(0, false), (20, false), (21, true)] {
        while harbour
            .ask(&ListIncidents { limit: ListLimit::MAX, ..Default::default() }, &harbour.ben)
            .unwrap()
            .incidents
            .len()
            < count
        {
            harbour.incident();
        }
        let page = harbour.ask(&ListIncidents::default(), &harbour.ben).unwrap();
        assert_eq!(page.next_cursor.is_some(), expected, "{count}");
    }
}

#[test]
fn the_incident_s_time_never_runs_backwards() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let id = harbour.incident();
    let created = harbour.now;
    harbour.now = valid("2020-01-01T00:00:00Z");
    let status = dogwatch_core::incident::ChangeStatus::new(id, Status::Identified);
    assert_eq!(harbour.run(status, &ben).unwrap().updated_at, created);
    let detail = harbour.detail(id);
    assert!(detail.status_history.iter().all(|entry| entry.changed_at == created));
    assert!(detail.audit_trail.windows(2).all(|pair| pair[0].id < pair[1].id && pair[0].at() <= pair[1].at()));
    let early = harbour.incident();
    assert_eq!(harbour.detail(early).incident.created_at, harbour.now, "a new incident is as old as the clock says");
}

#[test]
fn an_owner_who_leaves_stays_the_owner() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, harbour.ben);
    let id = harbour.incident();
    harbour.run(RemoveMember { user_id: user(&ben) }, &ada).unwrap();
    assert_eq!(harbour.ask(&GetIncident { id }, &ada).unwrap().incident.owner_id, Some(user(&ben)));
}

/// An audit trail is whole and in order, however many events it has and whatever they name, and an incident stays small.
#[test]
fn a_long_audit_trail() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let components: Vec<_> = (0..100).map(|n| harbour.component(&format!("Component {n}"))).collect();
    let id = harbour.incident();
    let mut expected = vec![harbour.detail(id).audit_trail[0].event.clone()];
    let mut tagged = Vec::new();
    let mut random = Random::from_seed(5);
    let (mut kept, mut moved) = (0, 0);
    for step in 0..200 {
        harbour.advance(1);
        if random.one_in(3) {
            let most = *random.pick(&[5, 20, 60, 101]).unwrap();
            let wanted: Vec<_> = components.iter().copied().take_while(|_| !random.one_in(most)).collect();
            harbour.run(SetComponents { id, component_ids: wanted.clone() }, &ben).unwrap();
            let added: Vec<_> = wanted.iter().filter(|it| !tagged.contains(*it)).copied().collect();
            let removed: Vec<_> = tagged.iter().filter(|it| !wanted.contains(it)).copied().collect();
            if !(added.is_empty() && removed.is_empty()) {
                expected.push(Event::ComponentsChanged { added, removed });
            }
            tagged = wanted;
        } else {
            let update = harbour.run(PostUpdate::internal(id, valid("Still looking.")), &ben).unwrap().id;
            expected.push(Event::UpdatePosted { update_id: update, visibility: UpdateVisibility::Internal });
        }
        let trail: Vec<_> = harbour.detail(id).audit_trail.into_iter().map(|event| event.event).collect();
        assert_eq!(trail, expected, "step {step}");
        let incident = harbour.world.world(harbour.org).incident(id).unwrap().unwrap();
        let recent = incident.recent_events.len();
        assert!(recent <= 8 && (recent == 0 || incident.component_ids.len() <= 64), "step {step}: {recent}");
        kept += recent;
        moved += usize::from(recent == 0);
    }
    assert!(kept > 200 && moved > 10, "{kept} {moved}");
}
