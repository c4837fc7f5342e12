//! What is tried on integrations, and what is reported over them, drawn from bytes.

use arbitrary::{Result, Unstructured};

use crate::ops::{Field, Pick, maybe, name, pick};
use crate::rooms::Op;
use crate::rooms::escalation::{EscalationOp, LayerTarget};
use crate::rooms::incident::IncidentOp;

use super::model::HEARTBEAT;
use super::receive::{Fire, Says};

/// Keys and groups that alerts have, few enough that they come again. A group is called as an alert is, and is not the same.
const KEYS: [(&str, Option<&str>); 8] = [
    ("disk", None),
    ("load", None),
    ("a", Some("web")),
    ("b", Some("web")),
    ("c", Some("web")),
    ("a", Some("mail")),
    ("d", Some("disk")),
    ("web", None),
];
/// Seconds that an integration may wait, and some that it may not.
const SECONDS: [i64; 8] = [0, 0, 0, 60, 300, 3_600, -1, 86_401];

/// An operation on integrations, or what somebody reports over one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum IntegrationOp {
    Create {
        name: String,
        kind: usize,
        input: Input,
    },
    Edit {
        integration: Pick,
        name: Option<String>,
        input: Input,
    },
    Delete {
        integration: Pick,
    },
    Rotate {
        integration: Pick,
    },
    Look {
        integration: Pick,
    },
    /// Alerts of one request.
    Report {
        with: With,
        alerts: Vec<Report>,
    },
    /// So many alerts of one request that each is of its own.
    Burst {
        with: With,
        count: usize,
    },
    Beat {
        with: With,
    },
    Confirm {
        with: With,
        topic: usize,
    },
    FromTopic {
        with: With,
        topic: usize,
        alert: Option<Report>,
    },
}

/// What an integration shall have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the fields of the contract")]
pub struct Input {
    pub component: Field<Pick>,
    pub schedule: Field<Pick>,
    pub policy: Field<Pick>,
    pub drops: [Option<bool>; 4],
    pub pause: Option<i64>,
    pub quiet: Option<i64>,
    pub period: Option<i64>,
    pub grace: Option<i64>,
}

/// Whose token somebody presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct With {
    /// The integration.
    pub integration: Pick,
    /// How many tokens before its present one.
    pub old: usize,
    /// How many kinds behind its own is the one over which the token is presented.
    pub other_kind: usize,
}

/// A report of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of the contract")]
pub struct Report {
    pub key: String,
    pub group: Option<String>,
    pub id: Option<String>,
    pub says: Says,
}

/// Draws an operation on integrations.
pub(crate) fn operation(source: &mut Unstructured<'_>, org: usize) -> Result<IntegrationOp> {
    Ok(match source.int_in_range(0..=31)? {
        0..=5 => {
            let kind = source.int_in_range(0..=4)?;
            let mut input = input(source, org)?;
            // Most of those that are created are as their kind wants it.
            if source.ratio(7_u8, 8)? {
                let period = *source.choose(&[1, 60, 600])?;
                input.period = (kind == HEARTBEAT).then_some(period);
            }
            IntegrationOp::Create { name: name(source)?, kind, input }
        }
        6..=8 => IntegrationOp::Edit {
            integration: pick(source, org)?,
            name: if source.arbitrary()? { Some(name(source)?) } else { None },
            input: input(source, org)?,
        },
        9 => IntegrationOp::Delete { integration: pick(source, org)? },
        10 => IntegrationOp::Rotate { integration: pick(source, org)? },
        11 => IntegrationOp::Look { integration: pick(source, org)? },
        _ => reported(source, org)?,
    })
}

/// Draws what somebody reports.
fn reported(source: &mut Unstructured<'_>, org: usize) -> Result<IntegrationOp> {
    let with = with(source, org)?;
    Ok(match source.int_in_range(0..=15)? {
        0 | 1 => IntegrationOp::Beat { with },
        2 => IntegrationOp::Confirm { with, topic: source.int_in_range(0..=1)? },
        3 | 4 => {
            let alert = if source.ratio(7_u8, 8)? { Some(report(source)?) } else { None };
            IntegrationOp::FromTopic { with, topic: source.int_in_range(0..=1)?, alert }
        }
        _ => {
            let count = source.int_in_range(1..=4)?;
            IntegrationOp::Report { with, alerts: (0..count).map(|_| report(source)).collect::<Result<_>>()? }
        }
    })
}

fn with(source: &mut Unstructured<'_>, org: usize) -> Result<With> {
    let (old, other_kind) = (usize::from(source.ratio(1_u8, 32)?), usize::from(source.ratio(1_u8, 32)?));
    Ok(With { integration: pick(source, org)?, old, other_kind })
}

fn input(source: &mut Unstructured<'_>, org: usize) -> Result<Input> {
    let seconds = |source: &mut Unstructured<'_>| maybe(source, SECONDS.len() - 1);
    let names = |source: &mut Unstructured<'_>| {
        Ok(match source.int_in_range(0..=4)? {
            0 | 1 => Field::Set(pick(source, org)?),
            2 => Field::Clear,
            _ => Field::Keep,
        })
    };
    let mut drops = [None; 4];
    if source.ratio(1_u8, 4)? {
        drops[source.int_in_range(0..=3_usize)?] = Some(source.arbitrary()?);
    }
    let beats = source.ratio(1_u8, 6)?;
    Ok(Input {
        component: names(source)?,
        schedule: names(source)?,
        policy: names(source)?,
        drops,
        pause: seconds(source)?.map(|place| SECONDS[place]),
        quiet: seconds(source)?.map(|place| SECONDS[place]),
        period: if beats { Some(*source.choose(&[1, 60, 600, 0, 2_678_401])?) } else { None },
        grace: if beats { seconds(source)?.map(|place| SECONDS[place]) } else { None },
    })
}

fn report(source: &mut Unstructured<'_>) -> Result<Report> {
    let (key, group) = *source.choose(&KEYS)?;
    let says = match source.int_in_range(0..=15)? {
        0..=8 => Says::Firing(fire(source, key)?),
        9 | 10 => Says::Acknowledged,
        _ => Says::Resolved,
    };
    // No sender gives acknowledgements an id.
    let id = maybe(source, 15)?.filter(|id| *id < 4 && says != Says::Acknowledged);
    let id = id.map(|id| format!("report-{id}"));
    Ok(Report { key: key.to_owned(), group: group.map(str::to_owned), id, says })
}

/// An alert with words of different lengths; nothing about them refuses it.
fn fire(source: &mut Unstructured<'_>, key: &str) -> Result<Fire> {
    let severity = source.int_in_range(0..=3)?;
    let words = ["", "full", "two\u{7}bells", "日本"];
    let summary = *source.choose(&words)?;
    let times = if source.ratio(1_u8, 16)? { 150 } else { 1 };
    let title = if summary.is_empty() || source.arbitrary()? { format!("{key} is in trouble") } else { String::new() };
    Ok(Fire {
        severity,
        title,
        summary: summary.repeat(times),
        source: "monitor".to_owned(),
        description: "words".to_owned(),
    })
}

/// What is there before operations that are mostly about alerts: a policy with two layers, and an integration of each sort.
pub(crate) fn beginning() -> Vec<Op> {
    let here = Pick { org: 0, index: Some(0) };
    let user = |place| LayerTarget::Users(vec![Pick { org: 0, index: Some(place) }]);
    let layer = |position, place| EscalationOp::AddLayer { policy: here, position, minutes: 5, target: user(place) };
    let with_policy =
        |pause, quiet| Input { policy: Field::Set(here), pause: Some(pause), quiet: Some(quiet), ..Input::default() };
    let create =
        |name: &str, kind, input| Op::Integration(IntegrationOp::Create { name: name.to_owned(), kind, input });
    let beats = Input { period: Some(60), grace: Some(60), quiet: Some(60), ..Input::default() };
    vec![
        Op::Escalation(EscalationOp::CreatePolicy { name: "API".to_owned() }),
        Op::Escalation(layer(1, 0)),
        Op::Escalation(layer(2, 0)),
        create("API", 0, with_policy(0, 300)),
        create("Web", 1, with_policy(60, 60)),
        create("x", 2, Input { quiet: Some(0), ..Input::default() }),
        create("api", 3, beats),
        create("支払い", 4, Input { quiet: Some(60), ..Input::default() }),
    ]
}

/// Draws an operation that is mostly about alerts.
pub(crate) fn alert_operation(source: &mut Unstructured<'_>, org: usize) -> Result<Op> {
    let few = |source: &mut Unstructured<'_>| Ok(Pick { org, index: Some(source.int_in_range(0..=5)?) });
    Ok(match source.int_in_range(0..=39)? {
        0..=18 => Op::Integration(reported(source, org)?),
        19 => {
            let count = *source.choose(&[5, 58, 61, 70])?;
            Op::Integration(IntegrationOp::Burst { with: with(source, org)?, count })
        }
        20..=22 => Op::Integration(operation(source, org)?),
        23..=27 => Op::Escalation(EscalationOp::Tick { in_minutes: *source.choose(&[0, 0, 0, 0, 1, 5, -1])? }),
        28..=32 => Op::AdvanceClock(*source.choose(&[1, 30_000, 59_999, 60_000, 300_000, 600_000, -30_000])?),
        33 | 34 => Op::Escalation(EscalationOp::Acknowledge { incident: few(source)? }),
        35 => Op::Escalation(EscalationOp::Claim { limit: 4, seconds: 60 }),
        36 => Op::Incident(IncidentOp::ChangeStatus { incident: few(source)?, to: None, note: None }),
        37 => Op::Incident(IncidentOp::Edit {
            incident: few(source)?,
            title: None,
            description: Field::Keep,
            severity: Some(source.int_in_range(0..=3)?),
        }),
        _ => crate::rooms::operation(source, org)?,
    })
}
