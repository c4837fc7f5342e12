//! Integrations and their signals (contract, section 14): the routes of members, and the shapes of their replies. What monitoring systems
//! send is in [`crate::intake`].

use dogwatch_store::rules::Problem;
use dogwatch_store::rules::id::{ComponentId, IncidentId, IntegrationId, PolicyId, ScheduleId};
use dogwatch_store::rules::incident::Severity;
use dogwatch_store::rules::integration::{
    CreateIntegration, DeleteIntegration, EditIntegration, GetIntegration, Heartbeat, IntegrationKind,
    ListIntegrations, ListSignals, RotateIntegrationToken, Settings, Severities, SeverityOutcome, SignalCursor,
    SomeSeverities,
};
use dogwatch_store::rules::text::Name;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::incident::limit;
use crate::error::Field;
use crate::input::{Input, Kind};
use crate::route::{Route, action, command, delete, get, list, patch, post, query};
use crate::shape::{Deleted, each, shown};

const PAUSE: Kind = Kind::Number(0, Settings::LONGEST_PAUSE);
const QUIET: Kind = Kind::Number(0, Settings::LONGEST_QUIET);
const PERIOD: Kind = Kind::Number(1, Heartbeat::LONGEST_PERIOD);
const GRACE: Kind = Kind::Number(0, Heartbeat::LONGEST_GRACE);

fn integration(input: &mut Input) -> Option<IntegrationId> {
    input.path("id", Kind::Id("int_"), IntegrationId::parse)
}

/// The field `severities`: what it does not name is left alone.
fn severities(input: &mut Input) -> Option<SomeSeverities> {
    input.edit_object("severities", Kind::Severities, outcomes).map(Option::unwrap_or_default)
}

fn outcomes(fields: &Map<String, Value>) -> Result<SomeSeverities, Vec<Field>> {
    let mut problems = Vec::new();
    let mut outcome = |severity: Severity| {
        let value = fields.get(severity.as_str())?;
        let read = value.as_str().unwrap_or_default().parse::<SeverityOutcome>();
        let path = || format!("/severities/{severity}");
        read.map_err(|problem| problems.push(Field { path: path(), problem: problem.what().to_owned() })).ok()
    };
    let read = SomeSeverities {
        critical: outcome(Severity::Critical),
        high: outcome(Severity::High),
        medium: outcome(Severity::Medium),
        low: outcome(Severity::Low),
    };
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

/// A number of seconds of a POST: null counts as absent.
fn seconds(
    input: &mut Input,
    name: &'static str,
    kind: Kind,
    check: impl FnOnce(i64) -> Result<(), Problem>,
) -> Option<Option<i64>> {
    input.may_number(name, kind, |seconds| check(seconds).map(|()| seconds))
}

fn period(of: i64) -> Result<(), Problem> {
    Heartbeat::new(of, 0).map(drop)
}

fn grace(of: i64) -> Result<(), Problem> {
    Heartbeat::new(1, of).map(drop)
}

fn read_create(input: &mut Input) -> Option<CreateIntegration> {
    let name = input.need("name", Kind::text::<Name>(), str::parse);
    let kind = input.need("kind", Kind::Word(IntegrationKind::WORDS), str::parse::<IntegrationKind>);
    let component_id = input.may("componentId", Kind::Id(""), ComponentId::parse);
    let owner_schedule_id = input.may("ownerScheduleId", Kind::Id(""), ScheduleId::parse);
    let escalation_policy_id = input.may("escalationPolicyId", Kind::Id(""), PolicyId::parse);
    let severities = severities(input);
    let pause = seconds(input, "pauseSeconds", PAUSE, |it| Settings::pause(it).map(drop));
    let quiet = seconds(input, "resolveAfterSeconds", QUIET, |it| Settings::quiet(it).map(drop));
    let period = seconds(input, "periodSeconds", PERIOD, period);
    let grace = seconds(input, "graceSeconds", GRACE, grace);
    let says = period.zip(grace).map(|(period, grace)| period.is_some() || grace.is_some());
    let beats = kind.zip(says).map(|(kind, says)| Settings::check_heartbeat(kind, says));
    let beats = input.rule("periodSeconds", beats);
    // A grace alone does not say how often the heartbeat comes.
    let whole = kind.zip(period).map(|(kind, period)| match (kind, period) {
        (IntegrationKind::Heartbeat, None) => Settings::check_heartbeat(kind, false),
        _ => Ok(()),
    });
    let whole = if beats.is_some() { input.rule("periodSeconds", whole) } else { None };
    beats?;
    whole?;
    let defaults = Settings::default();
    let heartbeat = period?.map(|period| Heartbeat::new(period, grace.flatten().unwrap_or_default()));
    Some(CreateIntegration {
        name: name?,
        kind: kind?,
        settings: Settings {
            component_id: component_id?,
            owner_schedule_id: owner_schedule_id?,
            escalation_policy_id: escalation_policy_id?,
            severities: severities?.over(Severities::ALL),
            pause_seconds: pause?.unwrap_or(defaults.pause_seconds),
            resolve_after_seconds: quiet?.unwrap_or(defaults.resolve_after_seconds),
            heartbeat: heartbeat.transpose().ok()?,
        },
    })
}

fn read_edit(input: &mut Input) -> Option<EditIntegration> {
    let id = integration(input);
    let name = input.edit("name", Kind::text::<Name>(), str::parse);
    let component_id = input.patch("componentId", Kind::Id(""), ComponentId::parse);
    let owner_schedule_id = input.patch("ownerScheduleId", Kind::Id(""), ScheduleId::parse);
    let escalation_policy_id = input.patch("escalationPolicyId", Kind::Id(""), PolicyId::parse);
    let severities = severities(input);
    let pause = input.edit_number("pauseSeconds", PAUSE, |it| Settings::pause(it).map(|_| it));
    let quiet = input.edit_number("resolveAfterSeconds", QUIET, |it| Settings::quiet(it).map(|_| it));
    let period = input.edit_number("periodSeconds", PERIOD, |it| period(it).map(|()| it));
    let grace = input.edit_number("graceSeconds", GRACE, |it| grace(it).map(|()| it));
    Some(EditIntegration {
        id: id?,
        name: name?,
        component_id: component_id?,
        owner_schedule_id: owner_schedule_id?,
        escalation_policy_id: escalation_policy_id?,
        severities: severities?,
        pause_seconds: pause?,
        resolve_after_seconds: quiet?,
        period_seconds: period?,
        grace_seconds: grace?,
    })
}

pub(super) fn routes() -> Vec<Route> {
    const PATH: &str = "/integrations/{id}";
    vec![
        list(
            get("/integrations", "listIntegrations", "Integrations, oldest first"),
            |_| Some(Ok(ListIntegrations)),
            each::<Integration, _>,
        ),
        command(
            post("/integrations", "createIntegration", "Create an integration; its token is shown once"),
            |input| read_create(input).map(Ok),
            shown::<NewIntegration, _>,
        ),
        query(
            get(PATH, "getIntegration", "One integration"),
            |input| Some(Ok(GetIntegration { id: integration(input)? })),
            shown::<Integration, _>,
        ),
        command(
            patch(PATH, "editIntegration", "Change an integration, for what comes in from now on"),
            |input| read_edit(input).map(Ok),
            shown::<Integration, _>,
        ),
        command(
            delete(PATH, "deleteIntegration", "Delete an integration; its incidents stay"),
            |input| Some(Ok(DeleteIntegration { id: integration(input)? })),
            Deleted::of,
        ),
        action(
            post(
                "/integrations/{id}/rotate-token",
                "rotateIntegrationToken",
                "Give an integration a new token; the old one does not work any more",
            ),
            |input| Some(Ok(RotateIntegrationToken { id: integration(input)? })),
            shown::<NewIntegration, _>,
        ),
        query(
            get("/incidents/{id}/signals", "listSignals", "The signals of an incident, oldest first").long(),
            |input| {
                let id = input.path("id", Kind::Id(""), IncidentId::parse);
                let limit = input.query("limit", Kind::Number(1, 100), limit);
                let cursor = input.query("cursor", Kind::Opaque, str::parse::<SignalCursor>);
                Some(Ok(ListSignals { incident_id: id?, limit: limit?.unwrap_or_default(), cursor: cursor? }))
            },
            shown::<SignalList, _>,
        ),
    ]
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
pub(crate) struct SeverityOutcomes {
    critical: String,
    high: String,
    medium: String,
    low: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Integration {
    id: String,
    org_id: String,
    name: String,
    kind: String,
    component_id: Option<String>,
    owner_schedule_id: Option<String>,
    escalation_policy_id: Option<String>,
    severities: SeverityOutcomes,
    pause_seconds: u32,
    resolve_after_seconds: u32,
    period_seconds: Option<u32>,
    grace_seconds: Option<u32>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_signal_at: Option<String>,
}

/// An integration with its token, which is shown once: a recorded answer holds none.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
pub(crate) struct NewIntegration {
    #[serde(flatten)]
    integration: Integration,
    token: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct Signal {
    dedup_key: String,
    incident_id: String,
    severity: String,
    summary: String,
    source: String,
    #[schema(format = DateTime)]
    first_at: String,
    #[schema(format = DateTime)]
    last_at: String,
    count: u64,
    #[schema(format = DateTime)]
    resolved_at: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignalList {
    signals: Vec<Signal>,
    next_cursor: Option<String>,
}
