//! The feature `serde`: what is shown is the JSON of the contract, and values come back from it.
#![cfg(feature = "serde")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking"
)]

mod support;

use dogwatch_core::component::{Component, CreateComponent};
use dogwatch_core::escalation::{AckTimeout, GetPolicy, ListPolicies, Position, Target};
use dogwatch_core::id::Id;
use dogwatch_core::incident::{CreateIncident, GetIncident, IncidentView, ListIncidents, PostUpdate, Severity, Status};
use dogwatch_core::oncall::HandoffTime;
use dogwatch_core::team::{InviteMember, ListTeam, Role};
use dogwatch_core::text::Title;
use dogwatch_core::{Timestamp, UserId, Zone};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::{Harbour, user, valid};

fn shown(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

/// Shown as this JSON, and read back from it; of any other it says what is wrong.
fn both<T: serde::Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, as_json: Value, wrong: Value) {
    assert_eq!(shown(value), as_json);
    assert_eq!(serde_json::from_value::<T>(as_json).unwrap(), *value);
    assert!(serde_json::from_value::<T>(wrong.clone()).is_err(), "{wrong}");
}

#[test]
fn values() {
    both(&valid::<Title>("Down"), json!("Down"), json!(""));
    both(&UserId::from_bytes([1; 16]), json!("user_01010101010101010101010101010101"), json!("01010101"));
    both(&valid::<Timestamp>("2026-04-07T10:00:00Z"), json!("2026-04-07T10:00:00.000Z"), json!("noon"));
    both(&Status::Monitoring, json!("monitoring"), json!("Monitoring"));
    both(&Role::Admin, json!("org:admin"), json!("admin"));
    both(&valid::<HandoffTime>("09:30"), json!("09:30"), json!("24:00"));
    both(&Zone::new("Europe/Berlin").unwrap(), json!("Europe/Berlin"), json!("Berlin"));
    both(&Position::new(3).unwrap(), json!(3), json!(0));
    both(&AckTimeout::from_minutes(5).unwrap(), json!(5), json!(20_000));
    let ben = UserId::from_bytes([1; 16]);
    assert_eq!(shown(&Target::user(ben)), json!({ "type": "users", "userIds": [ben.to_string()] }));
}

#[test]
fn what_is_shown() {
    let mut harbour = Harbour::new();
    let (ada, owner) = (harbour.ada, user(&harbour.ben));
    let component: Component = harbour.run(CreateComponent::new(valid("API")), &ada).unwrap();
    let open = CreateIncident::new(valid("Down"), Severity::High, owner);
    let open = CreateIncident { component_ids: vec![component.id], ..open };
    let incident = harbour.run(open, &ada).unwrap();
    let as_json = json!({
        "id": incident.id.to_string(), "orgId": incident.org_id.to_string(), "sequentialId": 1, "title": "Down",
        "description": null, "severity": "high", "status": "investigating", "ownerId": owner.to_string(),
        "escalationPolicyId": null, "affectedComponents": [{ "id": component.id.to_string(), "name": "API" }],
        "acknowledgedAt": null, "acknowledgedBy": null, "currentLayerPosition": null, "nextEscalationAt": null,
        "createdBy": user(&ada).to_string(), "createdAt": incident.created_at.to_string(),
        "updatedAt": incident.updated_at.to_string(), "resolvedAt": null,
    });
    both::<IncidentView>(&incident, as_json, json!({ "id": incident.id.to_string() }));
    let update = harbour.run(PostUpdate::internal(incident.id, valid("news")), &ada).unwrap();
    both(&update, shown(&update), json!([]));
    let list = harbour.ask(&ListIncidents::default(), &ada).unwrap();
    both(&list, shown(&list), json!({}));

    let detail = shown(&harbour.ask(&GetIncident::new(incident.id), &ada).unwrap());
    assert_eq!((&detail["title"], detail["statusHistory"].as_array().unwrap().len()), (&json!("Down"), 1));
    let created = &detail["auditTrail"][0];
    let details = json!({ "severity": "high", "ownerId": owner.to_string(), "escalationPolicyId": null });
    assert_eq!((&created["event"], &created["details"]), (&json!("incident_created"), &details));

    let policy = harbour.policy("Night");
    assert_eq!(shown(&harbour.ask(&GetPolicy::new(policy), &ada).unwrap())["layers"], json!([]));
    assert_eq!(shown(&harbour.ask(&ListPolicies, &ada).unwrap())[0].get("layers"), None);
    harbour.run(InviteMember::new(valid("dora@example.com"), Role::Member), &ada).unwrap();
    let team = shown(&harbour.ask(&ListTeam, &ada).unwrap());
    assert_eq!(team["invitations"][0]["status"], "pending");
    assert_eq!((team["members"][0].get("orgId"), team["members"][0].get("removedAt")), (None, None));
}
