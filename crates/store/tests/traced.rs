//! The spans of the feature `tracing`: what they say, and what they never say.
#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dogwatch_core::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{ChangeStatus, CreateIncident, ListIncidents, Severity, Status};
use dogwatch_core::team::InviteMember;
use dogwatch_core::{Actor, OrgId, team::Role};
use dogwatch_store::Engine;
use dogwatch_store::backend::{Backend, Batch, MemoryBackend};
use dogwatch_testkit::fixture::organization;
use tracing_subscriber::fmt::format::FmtSpan;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn spans_name_the_operation_and_who_and_the_code() {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // The spans come from the threads of the engine.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let engine = Engine::in_memory().unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let open = CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner);
    let id = engine.execute(open, &ada).unwrap().id;
    engine.execute(ChangeStatus::new(id, Status::Resolved), &ada).unwrap_err();
    engine.query(&ListIncidents::default(), &ada).unwrap();
    engine.query(&ListIncidents::default(), &Actor::Anybody).unwrap_err();
    let invite = InviteMember::new("ben@example.com".parse().unwrap(), Role::Member);
    let token = engine.execute(invite, &ada).unwrap().token;
    engine.authenticate(&created.admin.api_key.secret).unwrap();
    engine.tick(engine.now().plus(Duration::from_secs(1))).unwrap();
    drop(engine);
    let damaged = a_run_that_cannot_go_on();

    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let (org, user) = (created.organization.id, owner);
    for expected in [
        "command{name=\"CreateOrganization\"}".to_owned(),
        format!("command{{name=\"CreateIncident\" organization={org} user={user}}}"),
        format!("command{{name=\"ChangeStatus\" organization={org} user={user} code=invalid_status_transition}}"),
        format!("query{{name=\"ListIncidents\" organization={org} user={user}}}"),
        "query{name=\"ListIncidents\" code=not_authorized}".to_owned(),
        "commit{commands=1}".to_owned(),
        "tick{due=0}".to_owned(),
        format!("what is due cannot go on organization={} waiting=Run({})", damaged.0, damaged.1),
    ] {
        assert!(text.contains(&expected), "{expected} is not in {text}");
    }
    for secret in [token.reveal(), created.admin.api_key.secret.reveal(), "Checkout", "ben@example.com"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

/// Lets a run be due whose incident cannot be read.
fn a_run_that_cannot_go_on() -> (OrgId, IncidentId) {
    let backend = MemoryBackend::new();
    let engine = Engine::builder().with_backend(backend.clone()).unwrap();
    let created = organization(&engine);
    let (ada, owner) = (created.actor(), created.admin.member.id);
    let policy = engine.execute(CreatePolicy { name: "Night".parse().unwrap(), description: None }, &ada).unwrap().id;
    for position in [1, 2] {
        let layer = AddPolicyLayer {
            policy_id: policy,
            position: Position::new(position).unwrap(),
            ack_timeout: AckTimeout::from_minutes(5).unwrap(),
            target: Target::users(vec![owner]).unwrap(),
        };
        engine.execute(layer, &ada).unwrap();
    }
    let open = CreateIncident {
        escalation_policy_id: Some(policy),
        ..CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, owner)
    };
    let id = engine.execute(open, &ada).unwrap().id;
    engine.checkpoint().unwrap();
    let (key, _) = backend.scan(b"I", b"J").last().unwrap().unwrap();
    backend.apply(&Batch::from([(key, Some(vec![1, 2, 3, 4, 5, 6]))])).unwrap();
    assert_eq!(engine.tick(engine.now().plus(Duration::from_secs(600))).unwrap().failed, 1);
    (created.organization.id, id)
}
