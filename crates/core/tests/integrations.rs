//! Section 14 of the contract: who may set integrations, what is checked and in which order, their tokens, and the audit of the organization.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use dogwatch_core::component::DeleteComponent;
use dogwatch_core::escalation::DeletePolicy;
use dogwatch_core::id::{ComponentId, Id, IntegrationId, PolicyId, ScheduleId};
use dogwatch_core::incident::{ListLimit, Severity};
use dogwatch_core::integration::{
    CreateIntegration, DeleteIntegration, EditIntegration, GetIntegration, Heartbeat, IntegrationKind, IntegrationView,
    ListIntegrations, ListSignals, ReceiveAlert, RotateIntegrationToken, Settings, Severities, SeverityOutcome,
};
use dogwatch_core::oncall::DeleteSchedule;
use dogwatch_core::org_audit::{ListOrgAudit, OrgAuditView};
use dogwatch_core::organization::CreateOrganization;
use dogwatch_core::{Actor, Error, Patch, Secret};
use support::monitor::{Monitor, trigger, waits};
use support::{Harbour, valid, word};

const KINDS: [IntegrationKind; 4] =
    [IntegrationKind::PagerDuty, IntegrationKind::Alertmanager, IntegrationKind::Generic, IntegrationKind::Heartbeat];

fn generic(name: &str) -> CreateIntegration {
    CreateIntegration::new(valid(name), IntegrationKind::Generic)
}

fn with(name: &str, settings: Settings) -> CreateIntegration {
    CreateIntegration { settings, ..generic(name) }
}

fn unknown<T: Id>() -> T {
    T::from_bytes([9; 16])
}

/// The fields that are wrong, in their order.
fn fields<T: std::fmt::Debug>(outcome: &Result<T, Error>) -> Vec<String> {
    outcome.as_ref().unwrap_err().fields().iter().map(|problem| problem.field.clone()).collect()
}

fn seen(harbour: &Harbour, id: IntegrationId) -> IntegrationView {
    harbour.ask(&GetIntegration::new(id), &harbour.ben).unwrap()
}

#[test]
fn made_and_shown() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, harbour.ben);
    assert_eq!(harbour.ask(&ListIntegrations, &ben).unwrap(), []);
    let made = harbour.run(generic("Prometheus"), &ada).unwrap();
    let setting = made.integration.setting.clone();
    let text = setting.id.to_string();
    let digits = text.strip_prefix("int_").unwrap();
    assert!(digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{text}");
    assert_eq!(
        (setting.org_id, setting.name.as_str(), setting.kind),
        (harbour.org, "Prometheus", IntegrationKind::Generic)
    );
    assert_eq!((setting.component_id, setting.owner_schedule_id, setting.escalation_policy_id), (None, None, None));
    assert_eq!((setting.severities, setting.pause_seconds, setting.resolve_after_seconds), (Severities::ALL, 0, 300));
    assert_eq!((setting.period_seconds, setting.grace_seconds, setting.created_at), (None, None, harbour.now));
    assert_eq!(made.integration.last_signal_at, None);
    let token = made.token.reveal();
    assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_alphanumeric()), "a form of its own");
    assert_eq!(seen(&harbour, setting.id), made.integration);
    // Oldest first, whatever they are called.
    harbour.advance(1);
    let second = harbour.run(generic("Another"), &ada).unwrap();
    assert_ne!(second.token.reveal(), token);
    assert_eq!(harbour.ask(&ListIntegrations, &ben).unwrap(), [made.integration, second.integration]);
}

#[test]
fn numbers_and_kinds() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    for (pause, quiet, wrong) in [
        (0, 0, &[][..]),
        (3_600, 86_400, &[]),
        (-1, 0, &["pauseSeconds"]),
        (3_601, 86_400, &["pauseSeconds"]),
        (0, -1, &["resolveAfterSeconds"]),
        (0, 86_401, &["resolveAfterSeconds"]),
        (i64::MAX, i64::MIN, &["pauseSeconds", "resolveAfterSeconds"]),
        (1 << 32, 1 << 32, &["pauseSeconds", "resolveAfterSeconds"]),
    ] {
        let mut copy = harbour.clone();
        let outcome = copy.run(with("Monitor", waits(pause, quiet)), &ada);
        assert_eq!(if outcome.is_ok() { Vec::new() } else { fields(&outcome) }, wrong, "{pause} {quiet}");
    }
    for (period, grace, fits) in [
        (1, 0, true),
        (2_678_400, 86_400, true),
        (0, 0, false),
        (-1, 0, false),
        (2_678_401, 0, false),
        (60, -1, false),
        (60, 86_401, false),
    ] {
        assert_eq!(Heartbeat::new(period, grace).is_ok(), fits, "{period} {grace}");
    }
    // A heartbeat needs a period, and nothing else may have one.
    let beats = Some(Heartbeat::new(60, 10).unwrap());
    for kind in KINDS {
        for heartbeat in [None, beats] {
            let settings = Settings { heartbeat, ..waits(-1, 0) };
            let outcome =
                harbour.run_unchanged(CreateIntegration { settings, ..CreateIntegration::new(valid("M"), kind) }, &ada);
            let wrong = fields(&outcome).contains(&"periodSeconds".to_owned());
            assert_eq!(wrong, (kind == IntegrationKind::Heartbeat) != heartbeat.is_some(), "{kind} {heartbeat:?}");
            assert!(fields(&outcome).contains(&"pauseSeconds".to_owned()), "all that is wrong");
        }
    }
    let settings = Settings { heartbeat: beats, ..Settings::default() };
    let create = CreateIntegration { settings, ..CreateIntegration::new(valid("Backup"), IntegrationKind::Heartbeat) };
    let made = harbour.run(create, &ada).unwrap().integration.setting;
    assert_eq!((made.period_seconds, made.grace_seconds), (Some(60), Some(10)));
}

/// What is wrong comes one by one, in the order of the checks.
#[test]
fn the_order_of_the_checks() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, harbour.ben);
    let (component, schedule, policy) = (harbour.component("API"), harbour.schedule("Night"), harbour.policy("Night"));
    for n in 0..200 {
        harbour.run(generic(&format!("M{n}")), &ada).unwrap();
    }
    let mut create = with(
        "M7",
        Settings {
            component_id: Some(unknown::<ComponentId>()),
            owner_schedule_id: Some(unknown::<ScheduleId>()),
            escalation_policy_id: Some(unknown::<PolicyId>()),
            ..waits(-1, 0)
        },
    );
    assert_eq!(word(&harbour.run_unchanged(create.clone(), &ben)), "not_authorized");
    let mut told = Vec::new();
    for step in 0..6 {
        told.push(word(&harbour.run_unchanged(create.clone(), &ada)));
        match step {
            0 => create.settings.pause_seconds = 0,
            1 => create.name = valid("m7"),
            2 => create.settings.component_id = Some(component),
            3 => create.settings.owner_schedule_id = Some(schedule),
            4 => create.settings.escalation_policy_id = Some(policy),
            _ => {}
        }
    }
    assert_eq!(
        told,
        ["validation_error", "name_conflict", "invalid_component_id", "not_found", "not_found", "limit_reached"]
    );
    let all = harbour.ask(&ListIntegrations, &ben).unwrap();
    assert_eq!(all.len(), 200);
    // The same for an edit, which has one more.
    let id = all[8].setting.id;
    let mut edit = EditIntegration {
        name: Some(valid("M7")),
        component_id: Patch::Set(unknown::<ComponentId>()),
        owner_schedule_id: Patch::Set(unknown::<ScheduleId>()),
        escalation_policy_id: Patch::Set(unknown::<PolicyId>()),
        resolve_after_seconds: Some(86_401),
        ..EditIntegration::new(unknown())
    };
    assert_eq!(word(&harbour.run_unchanged(edit.clone(), &ben)), "not_authorized");
    let mut told = Vec::new();
    for step in 0..6 {
        told.push(word(&harbour.run_unchanged(edit.clone(), &ada)));
        match step {
            0 => edit.resolve_after_seconds = Some(86_400),
            1 => edit.id = id,
            2 => edit.name = Some(valid("M8")),
            3 => edit.component_id = Patch::Set(component),
            4 => edit.owner_schedule_id = Patch::Set(schedule),
            _ => edit.escalation_policy_id = Patch::Set(policy),
        }
    }
    assert_eq!(
        told,
        ["validation_error", "not_found", "name_conflict", "invalid_component_id", "not_found", "not_found"]
    );
    let edited = harbour.run(edit, &ada).unwrap().setting;
    assert_eq!((edited.component_id, edited.owner_schedule_id), (Some(component), Some(schedule)));
    // One goes, one comes; a name is free again.
    harbour.run(DeleteIntegration::new(all[7].setting.id), &ada).unwrap();
    assert_eq!(word(&harbour.run(generic("M7"), &ada)), "ok");
    assert_eq!(word(&harbour.run(generic("M200"), &ada)), "limit_reached");
}

#[test]
fn admins_only_and_only_what_is_there() {
    let mut harbour = Harbour::new();
    let (ada, ben) = (harbour.ada, harbour.ben);
    let id = harbour.run(generic("Monitor"), &ada).unwrap().integration.setting.id;
    for (outcome, expected) in [
        (word(&harbour.run_unchanged(generic("Other"), &ben)), "not_authorized"),
        (word(&harbour.run_unchanged(EditIntegration::new(id), &ben)), "not_authorized"),
        (word(&harbour.run_unchanged(RotateIntegrationToken::new(id), &ben)), "not_authorized"),
        (word(&harbour.run_unchanged(DeleteIntegration::new(id), &ben)), "not_authorized"),
        (word(&harbour.run_unchanged(EditIntegration::new(unknown()), &ada)), "not_found"),
        (word(&harbour.run_unchanged(RotateIntegrationToken::new(unknown()), &ada)), "not_found"),
        (word(&harbour.run_unchanged(DeleteIntegration::new(unknown()), &ada)), "not_found"),
        (word(&harbour.ask(&GetIntegration::new(unknown()), &ben)), "not_found"),
        (word(&harbour.ask(&GetIntegration::new(id), &ben)), "ok"),
        (
            word(&harbour.ask(&ListIntegrations, &Actor::Anybody)),
            word(&harbour.ask(&GetIntegration::new(id), &Actor::Anybody)),
        ),
    ] {
        assert_eq!(outcome, expected);
    }
    harbour.run(DeleteIntegration::new(id), &ada).unwrap();
    assert_eq!(harbour.ask(&ListIntegrations, &ben).unwrap(), []);
    for outcome in [
        word(&harbour.ask(&GetIntegration::new(id), &ben)),
        word(&harbour.run_unchanged(EditIntegration::new(id), &ada)),
        word(&harbour.run_unchanged(RotateIntegrationToken::new(id), &ada)),
        word(&harbour.run_unchanged(DeleteIntegration::new(id), &ada)),
    ] {
        assert_eq!(outcome, "not_found");
    }
}

#[test]
fn edits() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let component = harbour.component("API");
    let settings = Settings { component_id: Some(component), ..waits(30, 60) };
    let before = harbour.run(with("Monitor", settings), &ada).unwrap().integration;
    let id = before.setting.id;
    harbour.advance(10);
    assert_eq!(harbour.run_unchanged(EditIntegration::new(id), &ada).unwrap(), before);
    let same = EditIntegration {
        name: Some(valid("Monitor")),
        component_id: Patch::Set(component),
        pause_seconds: Some(30),
        severities: Severities::ALL.into(),
        ..EditIntegration::new(id)
    };
    assert_eq!(harbour.run_unchanged(same, &ada).unwrap(), before);
    let severities = Severities { low: SeverityOutcome::Drop, ..Severities::ALL };
    let edit = EditIntegration {
        name: Some(valid("Other")),
        component_id: Patch::Clear,
        severities: severities.into(),
        resolve_after_seconds: Some(0),
        ..EditIntegration::new(id)
    };
    let after = harbour.run(edit, &ada).unwrap();
    assert_eq!(after, seen(&harbour, id));
    let setting = &after.setting;
    assert_eq!((setting.name.as_str(), setting.component_id, setting.severities), ("Other", None, severities));
    assert_eq!((setting.pause_seconds, setting.resolve_after_seconds), (30, 0));
    assert_eq!((setting.kind, setting.created_at), (before.setting.kind, before.setting.created_at));
    // Beats are of heartbeats only; all numbers that are wrong are told.
    for edit in [
        EditIntegration { period_seconds: Some(60), ..EditIntegration::new(id) },
        EditIntegration { grace_seconds: Some(0), ..EditIntegration::new(id) },
    ] {
        assert_eq!(word(&harbour.run_unchanged(edit, &ada)), "validation_error");
    }
    let wrong = EditIntegration {
        pause_seconds: Some(-1),
        resolve_after_seconds: Some(-1),
        period_seconds: Some(0),
        grace_seconds: Some(86_401),
        ..EditIntegration::new(unknown())
    };
    let told = fields(&harbour.run_unchanged(wrong, &ada));
    assert_eq!(told, ["pauseSeconds", "resolveAfterSeconds", "periodSeconds", "graceSeconds"]);
}

/// What an integration names stays as long as it does.
#[test]
fn what_is_named_stays() {
    let mut harbour = Harbour::new();
    let ada = harbour.ada;
    let (component, schedule, policy) = (harbour.component("API"), harbour.schedule("Night"), harbour.policy("Night"));
    let settings = Settings {
        component_id: Some(component),
        owner_schedule_id: Some(schedule),
        escalation_policy_id: Some(policy),
        ..Settings::default()
    };
    let id = harbour.run(with("Monitor", settings), &ada).unwrap().integration.setting.id;
    let try_all = |harbour: &Harbour| {
        let mut copy = harbour.clone();
        let component = word(&copy.run(DeleteComponent { id: component }, &ada));
        let policy = word(&copy.run(DeletePolicy { id: policy }, &ada));
        [component, policy, word(&copy.run(DeleteSchedule { id: schedule }, &ada))]
    };
    assert_eq!(try_all(&harbour), ["component_in_use", "policy_in_use", "schedule_in_use"]);
    let mut edited = harbour.clone();
    edited
        .run(
            EditIntegration {
                component_id: Patch::Clear,
                escalation_policy_id: Patch::Clear,
                ..EditIntegration::new(id)
            },
            &ada,
        )
        .unwrap();
    assert_eq!(try_all(&edited), ["ok", "ok", "schedule_in_use"]);
    harbour.run(DeleteIntegration::new(id), &ada).unwrap();
    assert_eq!(try_all(&harbour), ["ok", "ok", "ok"]);
}

#[test]
fn tokens() {
    let mut monitor = Monitor::new(Settings::default());
    let (ada, good) = (monitor.harbour.ada, monitor.token.clone());
    let upper = good.reveal().to_ascii_uppercase();
    let cut: String = good.reveal().chars().take(31).collect();
    for wrong in ["", " ", "…", &"a".repeat(32), &"a".repeat(100_000), &cut, &format!("{} ", good.reveal()), &upper] {
        if wrong != good.reveal() {
            monitor.token = Secret::new(wrong);
            let before = monitor.harbour.world.clone();
            assert_eq!(monitor.fire("disk", Severity::High), "invalid_api_key", "{wrong:.40}");
            assert_eq!(monitor.over("disk"), "invalid_api_key");
            assert_eq!(monitor.act("disk seen"), "invalid_api_key");
            assert_eq!(monitor.beat(), "invalid_api_key");
            assert!(monitor.harbour.world == before);
        }
    }
    monitor.token = good.clone();
    for kind in KINDS {
        monitor.kind = kind;
        let expected = if kind == IntegrationKind::Generic { "opened" } else { "invalid_api_key" };
        assert_eq!(monitor.fire("disk", Severity::High), expected, "{kind}");
    }
    monitor.kind = IntegrationKind::Generic;
    let rotated = monitor.harbour.run(RotateIntegrationToken::new(monitor.id), &ada).unwrap();
    assert_eq!(rotated.integration.setting.id, monitor.id);
    assert_ne!(rotated.token.reveal(), good.reveal());
    assert!(rotated.token.reveal().len() == 32 && rotated.token.reveal().bytes().all(|b| b.is_ascii_alphanumeric()));
    assert_eq!(monitor.fire("disk", Severity::High), "invalid_api_key", "the old one");
    monitor.token = rotated.token;
    assert_eq!(monitor.fire("disk", Severity::High), "counted", "what was open goes on");
    monitor.harbour.run(DeleteIntegration::new(monitor.id), &ada).unwrap();
    for token in [monitor.token.clone(), good] {
        monitor.token = token;
        assert_eq!(monitor.fire("disk", Severity::High), "invalid_api_key");
    }
    assert_eq!(monitor.shown(), "1 high: disk 2", "its incidents stay");
}

/// All of the audit about integrations, oldest first.
fn audit(harbour: &Harbour) -> Vec<OrgAuditView> {
    let query = ListOrgAudit { limit: ListLimit::new(100).unwrap(), cursor: None };
    let mut entries = harbour.ask(&query, &harbour.ada).unwrap().entries;
    entries.retain(|entry| entry.target.kind == "integration");
    entries.reverse();
    entries
}

#[test]
fn the_audit_of_the_organization() {
    let mut monitor = Monitor::new(Settings::default());
    let (ada, id, mut tokens) = (monitor.harbour.ada, monitor.id, vec![monitor.token.clone()]);
    monitor.check(&[
        (0, "disk high", "opened", "1 high: disk 1"),
        (1, "disk over", "over", "1 high: disk 1 over"),
        (301, "tick", "ok", "1 high resolved: disk 1 over"),
    ]);
    assert_eq!(audit(&monitor.harbour).len(), 1, "what comes in is no setting");
    let edit = EditIntegration { name: Some(valid("Other")), ..EditIntegration::new(id) };
    monitor.harbour.run(edit.clone(), &ada).unwrap();
    monitor.harbour.run(edit, &ada).unwrap();
    tokens.push(monitor.harbour.run(RotateIntegrationToken::new(id), &ada).unwrap().token);
    monitor.harbour.run(DeleteIntegration::new(id), &ada).unwrap();
    let entries = audit(&monitor.harbour);
    let actions: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!((actions[..2].to_vec(), actions[actions.len() - 1]), (vec!["created", "changed"], "deleted"));
    assert!(entries.iter().all(|entry| entry.target.id == id.to_string()));
    assert!(entries.iter().all(|entry| entry.actor_id == Some(support::user(&ada))));
    let ends = |entry: &OrgAuditView| (entry.before.is_some(), entry.after.is_some());
    assert_eq!((ends(&entries[0]), ends(&entries[1])), ((false, true), (true, true)));
    assert_eq!(ends(&entries[entries.len() - 1]), (true, false));
    // Neither a token nor its hash, in any form.
    let told = format!("{entries:?} {}", json(&entries)).to_lowercase();
    for token in &tokens {
        assert!(!told.contains(&token.reveal().to_lowercase()));
    }
    for secret in ["token", "hash", "secret"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    let said =
        format!("{:?}", ReceiveAlert::new(tokens[0].clone(), IntegrationKind::Generic, trigger("disk", Severity::Low)));
    assert!(!said.contains(tokens[0].reveal()));
}

#[cfg(feature = "serde")]
fn json(entries: &[OrgAuditView]) -> String {
    serde_json::to_string(entries).unwrap()
}

#[cfg(not(feature = "serde"))]
fn json(_: &[OrgAuditView]) -> String {
    String::new()
}

/// What belongs to one organization is not there for another.
#[test]
fn another_organization() {
    let mut monitor = Monitor::new(Settings::default());
    monitor.fire("disk", Severity::High);
    let incident = monitor.incident(1).id;
    let harbour = &mut monitor.harbour;
    let create = CreateOrganization::new(valid("Quay"), valid("dan@example.com"), valid("Dan"), valid("Cole"));
    let dan = harbour.run(create, &Actor::Operator).unwrap().actor();
    let theirs = harbour.component("API");
    assert_eq!(harbour.ask(&ListIntegrations, &dan).unwrap(), []);
    for outcome in [
        word(&harbour.ask(&GetIntegration::new(monitor.id), &dan)),
        word(&harbour.ask(&ListSignals::new(incident), &dan)),
        word(&harbour.run_unchanged(EditIntegration::new(monitor.id), &dan)),
        word(&harbour.run_unchanged(RotateIntegrationToken::new(monitor.id), &dan)),
        word(&harbour.run_unchanged(DeleteIntegration::new(monitor.id), &dan)),
    ] {
        assert_eq!(outcome, "not_found");
    }
    let settings = Settings { component_id: Some(theirs), ..Settings::default() };
    assert_eq!(word(&harbour.run_unchanged(with("Monitor", settings), &dan)), "invalid_component_id");
    // A name is taken in one organization only, and what comes in goes where its token belongs.
    monitor.token = harbour.run(generic("Monitor"), &dan).unwrap().token;
    assert_eq!(monitor.fire("disk", Severity::Low), "opened");
    assert_eq!(monitor.shown(), "1 high: disk 1");
}
