//! Section 6 of the contract: updates, status changes and redaction.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::Error;
use dogwatch_core::id::{Id, IncidentId, UpdateId};
use dogwatch_core::incident::{ChangeStatus, Event, ListUpdates, PostUpdate, RedactUpdate, Status, UpdateVisibility};
use dogwatch_core::team::Role;
use dogwatch_core::text::{ResolutionNote, UpdateBody};
use support::{Harbour, user, valid, word};

fn body(text: &str) -> UpdateBody {
    valid(text)
}

/// Every pair of statuses, through both commands that change one.
#[test]
fn every_transition() {
    for from in Status::ALL {
        for to in Status::ALL {
            let mut harbour = Harbour::new();
            let ben = harbour.ben;
            let id = harbour.incident_at(from);
            let expected = if from.can_become(to) { "ok" } else { "invalid_status_transition" };
            let mut twin = Harbour { world: harbour.world.clone(), ..Harbour::new() };
            let change = ChangeStatus::new(id, to);
            let post = PostUpdate::internal(id, body("moving on")).with_status(to);
            let (changed, posted) = if expected == "ok" {
                (harbour.run(change, &ben).map(|_| ()), twin.run(post, &ben).map(|_| ()))
            } else {
                (harbour.run_unchanged(change, &ben).map(|_| ()), twin.run_unchanged(post, &ben).map(|_| ()))
            };
            assert_eq!(word(&changed), expected, "{from} -> {to}");
            let expected = if from == Status::Resolved { "incident_resolved" } else { expected };
            assert_eq!(word(&posted), expected, "{from} -> {to} with an update");
            if changed.is_ok() {
                assert_eq!(harbour.detail(id).incident.status, to);
                assert_eq!(twin.detail(id).incident.status, to);
            }
        }
    }
}

#[test]
fn a_status_change_is_an_internal_update() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let id = harbour.incident_at(Status::Monitoring);
    harbour.advance(60);
    let note: ResolutionNote = valid("rolled back\nall is well");
    let resolved = harbour.run(ChangeStatus::resolve(id, note), &ben).unwrap();
    assert_eq!((resolved.resolved_at, resolved.updated_at), (Some(harbour.now), harbour.now));

    let updates = harbour.ask(&ListUpdates::new(id), &ben).unwrap().updates;
    let steps: Vec<_> = updates.iter().map(|update| update.status_change.unwrap()).collect();
    assert_eq!(steps, [Status::Identified, Status::Monitoring, Status::Resolved]);
    assert!(updates.iter().all(|update| update.visibility == UpdateVisibility::Internal));
    assert!(updates[..2].iter().all(|update| update.body.is_none()));
    let last = &updates[2];
    assert_eq!(last.body.as_ref().unwrap().as_str(), "rolled back\nall is well");
    assert_eq!((last.posted_by.id, last.posted_by.name.as_str()), (user(&ben).into(), "Ben Marlow"));

    let detail = harbour.detail(id);
    let history: Vec<_> = detail.status_history.iter().map(|entry| entry.status).collect();
    assert_eq!(history, Status::ALL);
    assert_eq!(detail.status_history[3].resolution_note, last.body);
    assert!(detail.status_history[..3].iter().all(|entry| entry.resolution_note.is_none()));
    let step = "status_changed update_posted";
    assert_eq!(harbour.trail(id), format!("incident_created {step} {step} {step}"));
    assert_eq!(detail.audit_trail[5].event, Event::StatusChanged { from: Status::Monitoring, to: Status::Resolved });
}

#[test]
fn an_empty_note_is_no_note() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let id = harbour.incident_at(Status::Monitoring);
    harbour.run(ChangeStatus::resolve(id, valid("")), &ben).unwrap();
    assert!(harbour.detail(id).status_history[3].resolution_note.is_none());
    assert!(harbour.ask(&ListUpdates::new(id), &ben).unwrap().updates[2].body.is_none());
}

/// The fields that a refused input names.
fn problems<T>(made: Result<T, Error>) -> Vec<String> {
    made.err().map(|error| error.fields().iter().map(|field| field.field.clone()).collect()).unwrap_or_default()
}

#[test]
fn schemas_that_span_fields() {
    // The fields are checked before the incident is looked up.
    let (mut harbour, id) = (Harbour::new(), IncidentId::from_bytes([1; 16]));
    let ben = harbour.ben;
    let (internal, public) = (UpdateVisibility::Internal, UpdateVisibility::Public);
    for (text, status, visibility, expected) in [
        (Some("x"), None, internal, &[][..]),
        (None, Some(Status::Identified), internal, &[]),
        (Some("x"), Some(Status::Identified), public, &[]),
        (None, None, internal, &["body"]),
        (None, None, public, &["body"]),
        (None, Some(Status::Identified), public, &["body"]),
    ] {
        assert_eq!(
            problems(
                harbour.run_unchanged(PostUpdate { id, body: text.map(body), status_change: status, visibility }, &ben)
            ),
            expected,
            "{text:?} {status:?} {visibility}"
        );
    }
    for status in Status::ALL {
        let expected: &[&str] = if status == Status::Resolved { &[] } else { &["resolutionNote"] };
        let with_note = ChangeStatus { note: Some(valid("x")), ..ChangeStatus::new(id, status) };
        assert_eq!(problems(harbour.run_unchanged(with_note, &ben)), expected, "{status}");
        assert!(problems(harbour.run_unchanged(ChangeStatus::new(id, status), &ben)).is_empty());
    }
}

#[test]
fn the_order_of_rules_on_posting() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let nowhere = IncidentId::from_bytes([9; 16]);
    let open = harbour.incident();
    let resolved = harbour.incident_at(Status::Resolved);
    for (id, public, to, expected) in [
        (nowhere, true, Some(Status::Resolved), "not_found"),
        (resolved, true, Some(Status::Identified), "incident_resolved"),
        (resolved, false, None, "incident_resolved"),
        (open, true, Some(Status::Resolved), "invalid_status_transition"),
        (open, true, Some(Status::Identified), "no_public_surface"),
        (open, true, None, "no_public_surface"),
    ] {
        let post = if public { PostUpdate::public(id, body("x")) } else { PostUpdate::internal(id, body("x")) };
        let post = match to {
            Some(to) => post.with_status(to),
            None => post,
        };
        assert_eq!(word(&harbour.run_unchanged(post, &ben)), expected, "public {public}, to {to:?}");
    }
    assert_eq!(word(&harbour.ask(&ListUpdates::new(nowhere), &ben)), "not_found");
    assert_eq!(word(&harbour.run_unchanged(ChangeStatus::new(nowhere, Status::Identified), &ben)), "not_found");
}

#[test]
fn who_may_redact_and_for_how_long() {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Who {
        Author,
        Admin,
        Other,
    }
    for (who, millis, expected) in [
        (Who::Author, 0, "ok"),
        (Who::Author, 300_000, "ok"),
        (Who::Author, 300_001, "redaction_not_permitted"),
        (Who::Author, -60_000, "ok"),
        (Who::Other, 0, "redaction_not_permitted"),
        (Who::Other, 300_001, "redaction_not_permitted"),
        (Who::Admin, 0, "ok"),
        (Who::Admin, 31_536_000_000, "ok"),
    ] {
        let mut harbour = Harbour::new();
        let (ada, ben, cleo) = (harbour.ada, harbour.ben, harbour.cleo);
        let incident = harbour.incident();
        let posted = harbour.run(PostUpdate::internal(incident, body("secret")), &ben).unwrap();
        harbour.now = dogwatch_core::Timestamp::clamped(harbour.now.as_millis() + millis);
        let redact = RedactUpdate { incident_id: incident, update_id: posted.id };
        let actor = match who {
            Who::Author => ben,
            Who::Admin => ada,
            Who::Other => cleo,
        };
        assert_eq!(word(&harbour.run(redact, &actor)), expected, "{who:?} after {millis} ms");
    }
}

#[test]
fn an_author_who_became_an_admin_or_lost_it() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let dora = harbour.join("dora@example.com", "Dora", Role::Admin);
    let incident = harbour.incident();
    let posted = harbour.run(PostUpdate::internal(incident, body("x")), &dora).unwrap();
    harbour.advance(301);
    harbour.run(dogwatch_core::team::ChangeRole { user_id: user(&dora), role: Role::Member }, &ada).unwrap();
    let redact = RedactUpdate { incident_id: incident, update_id: posted.id };
    assert_eq!(word(&harbour.run_unchanged(redact, &dora)), "redaction_not_permitted");
}

#[test]
fn redaction_is_for_good_and_once() {
    let mut harbour = Harbour::new();
    let (ada, ben, cleo) = (harbour.ada, harbour.ben, harbour.cleo);
    let incident = harbour.incident_at(Status::Monitoring);
    harbour.run(ChangeStatus::resolve(incident, valid("the password was hunter2")), &ben).unwrap();
    let posted = harbour.ask(&ListUpdates::new(incident), &ben).unwrap().updates.pop().unwrap();
    let redact = RedactUpdate { incident_id: incident, update_id: posted.id };
    harbour.advance(300);

    let redacted = harbour.run(redact, &ben).unwrap();
    assert!(redacted.body.is_none());
    assert_eq!((redacted.redacted_at, redacted.redacted_by), (Some(harbour.now), Some(user(&ben))));
    assert_eq!((redacted.posted_at, redacted.status_change), (posted.posted_at, posted.status_change), "these stay");
    assert!(harbour.detail(incident).status_history[3].resolution_note.is_none(), "gone from the history, too");
    assert_eq!(harbour.detail(incident).incident.updated_at, harbour.now);
    assert!(harbour.trail(incident).ends_with("update_redacted"));
    assert_eq!(harbour.ask(&ListUpdates::new(incident), &cleo).unwrap().updates.pop().unwrap(), redacted);
    assert!(!format!("{:?}", harbour.world).contains("hunter2"));

    harbour.advance(3_600);
    for (actor, expected) in [(ben, "ok"), (ada, "ok"), (cleo, "redaction_not_permitted")] {
        let again = harbour.run_unchanged(redact, &actor);
        assert_eq!(word(&again), expected);
        assert!(again.is_err() || again == Ok(redacted.clone()));
    }
}

#[test]
fn redacting_what_is_not_there() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let (one, other) = (harbour.incident(), harbour.incident());
    let posted = harbour.run(PostUpdate::internal(one, body("x")), &ada).unwrap().id;
    for (incident, update, expected) in [
        (IncidentId::from_bytes([9; 16]), posted, "not_found"),
        (one, UpdateId::from_bytes([9; 16]), "not_found"),
        (other, posted, "not_found"),
        (one, posted, "ok"),
    ] {
        assert_eq!(
            word(&harbour.run(RedactUpdate { incident_id: incident, update_id: update }, &ada)),
            expected,
            "{incident} {update}"
        );
    }
}

#[test]
fn ten_thousand_updates_and_still_resolvable() {
    use dogwatch_core::world::{Change, State, Write};
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let id = harbour.incident();
    let before = harbour.world.world(harbour.org).incident(id).unwrap().unwrap();
    let mut full = before.clone();
    full.updates = 9_999;
    harbour.world.apply(vec![Write::Incident(Box::new(Change::edited(before, full)))]);
    assert_eq!(word(&harbour.run(PostUpdate::internal(id, body("the last")), &ben)), "ok");
    assert_eq!(word(&harbour.run_unchanged(PostUpdate::internal(id, body("over")), &ben)), "limit_reached");
    let note = PostUpdate::internal(id, body("found it")).with_status(Status::Identified);
    assert_eq!(word(&harbour.run(note, &ben)), "ok", "a status change is exempt");
    for to in [Status::Monitoring, Status::Resolved] {
        assert_eq!(word(&harbour.run(ChangeStatus::new(id, to), &ben)), "ok");
    }
}

#[test]
fn parts_ascend_even_within_one_millisecond() {
    let mut harbour = Harbour::new();
    let ben = harbour.ben;
    let id = harbour.incident();
    for n in 0..100 {
        // A source that starts anew, as after a restart.
        harbour.ids = dogwatch_core::IdSource::from_seed([n; 32]);
        harbour.run(PostUpdate::internal(id, body(&n.to_string())), &ben).unwrap();
    }
    let updates = harbour.ask(&ListUpdates::new(id), &ben).unwrap().updates;
    let bodies: Vec<_> = updates.iter().map(|update| update.body.as_ref().unwrap().to_string()).collect();
    assert_eq!(bodies, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
}
