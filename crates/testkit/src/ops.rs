//! Operations, as data: what somebody tries, naming things by their place in the model's lists.
//!
//! Two generators in one: *mostly valid* picks things that exist in the actor's organization; *anything goes* picks from
//! either organization, from what is gone, and from what never was. Which one it is, is drawn for each pick.

use arbitrary::{Result, Unstructured};

/// A thing by its place in a list of the model. What does not exist stands for an id that nobody made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// In which of the two organizations.
    pub org: usize,
    /// Where in its list, modulo the length; `None` for an unknown id.
    pub index: Option<usize>,
}

/// A field of a PATCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field<T> {
    /// Absent.
    Keep,
    /// `null`.
    Clear,
    /// A value.
    Set(T),
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// On members, invitations and API keys.
    People(PeopleOp),
    /// On components.
    Component(ComponentOp),
    /// On incidents.
    Incident(IncidentOp),
    /// On schedules, policies, and what escalation does.
    Escalation(EscalationOp),
    /// Walk a list of incidents, page by page.
    List(ListOp),
    /// Set the clock forward, or back.
    AdvanceClock(i64),
    /// Close the engine and open it again.
    Restart,
}

/// An operation on members, invitations and API keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum PeopleOp {
    Invite { email: String, admin: bool },
    Accept { invitation: Pick, first: String },
    RevokeInvitation { invitation: Pick },
    AddMember { org: usize, email: String, admin: bool },
    ChangeRole { user: Pick, admin: bool },
    RemoveMember { user: Pick },
    CreateKey { name: String, expires_in: Option<i64> },
    RevokeKey { key: Pick },
    Authenticate { key: Pick },
}

/// An operation on components.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum ComponentOp {
    Create { name: String, description: Option<String>, label: Option<String> },
    Edit { component: Pick, name: Option<String>, description: Field<String>, label: Field<String> },
    Delete { component: Pick },
}

/// An operation on incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum IncidentOp {
    Create {
        title: String,
        severity: usize,
        description: Option<String>,
        owner: Option<Pick>,
        schedule: Option<Pick>,
        policy: Option<Pick>,
        components: Vec<Pick>,
    },
    Edit {
        incident: Pick,
        title: Option<String>,
        description: Field<String>,
        severity: Option<usize>,
    },
    /// To a status, or one step forward.
    ChangeStatus {
        incident: Pick,
        to: Option<usize>,
        note: Option<String>,
    },
    PostUpdate {
        incident: Pick,
        body: Option<String>,
        status: Option<usize>,
        public: bool,
    },
    Redact {
        incident: Pick,
        update: usize,
    },
    SetComponents {
        incident: Pick,
        components: Vec<Pick>,
    },
}

/// An operation on schedules, policies, runs and the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the commands of the contract")]
pub enum EscalationOp {
    CreateSchedule {
        name: String,
    },
    DeleteSchedule {
        schedule: Pick,
    },
    StandIn {
        schedule: Pick,
        user: Pick,
        minutes: i64,
    },
    CreatePolicy {
        name: String,
    },
    RenamePolicy {
        policy: Pick,
        name: String,
    },
    DeletePolicy {
        policy: Pick,
    },
    AddLayer {
        policy: Pick,
        position: u32,
        minutes: i64,
        target: LayerTarget,
    },
    EditLayer {
        policy: Pick,
        layer: usize,
        position: Option<u32>,
        minutes: Option<i64>,
        target: Option<LayerTarget>,
    },
    RemoveLayer {
        policy: Pick,
        layer: usize,
    },
    OrderLayers {
        policy: Pick,
        by: usize,
    },
    Preview {
        policy: Pick,
        in_minutes: i64,
    },
    Acknowledge {
        incident: Pick,
    },
    HandOff {
        incident: Pick,
        target: Pick,
    },
    /// At so many minutes from now.
    Tick {
        in_minutes: i64,
    },
    Claim {
        limit: usize,
        seconds: u64,
    },
    /// Of the claims so far, the one at this place from the end.
    Confirm {
        claim: usize,
    },
    GiveBack {
        claim: usize,
        seconds: u64,
    },
}

/// Whom a layer shall page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the two targets of the contract")]
pub enum LayerTarget {
    Schedule(Pick),
    Users(Vec<Pick>),
}

/// A list of incidents. The bounds are numbers of instants around the beginning of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the parameters of the contract")]
pub struct ListOp {
    pub status: Option<usize>,
    pub severity: Option<usize>,
    pub from: Option<usize>,
    pub to: Option<usize>,
    pub limit: usize,
}

/// An operation and who tries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The acting member; his organization is the actor's.
    pub actor: Pick,
    /// What is tried.
    pub op: Op,
}

/// The longest sequence of one run.
const LONGEST: usize = 120;

/// Makes a sequence of operations from bytes; the same bytes give the same sequence.
#[must_use]
pub fn steps(bytes: &[u8]) -> Vec<Step> {
    let mut source = Unstructured::new(bytes);
    let mut steps = Vec::new();
    while !source.is_empty() && steps.len() < LONGEST {
        // The source gives zeros once it is empty, so this only ends early on a broken invariant of the source.
        match step(&mut source) {
            Ok(step) => steps.push(step),
            Err(_) => break,
        }
    }
    steps
}

fn step(source: &mut Unstructured<'_>) -> Result<Step> {
    let org = usize::from(source.ratio(1_u8, 4)?);
    // The first members of an organization are most often the ones who act, so that they see their own work again.
    let index = if source.ratio(3_u8, 4)? { source.int_in_range(0..=1)? } else { source.int_in_range(0..=9)? };
    Ok(Step { actor: Pick { org, index: Some(index) }, op: op(source, org)? })
}

fn op(source: &mut Unstructured<'_>, org: usize) -> Result<Op> {
    Ok(match source.int_in_range(0..=51)? {
        0..=8 => Op::People(people(source, org)?),
        9..=12 => Op::Component(component(source, org)?),
        13..=29 => Op::Incident(incident(source, org)?),
        30 | 31 => Op::List(ListOp {
            status: maybe(source, 3)?,
            severity: maybe(source, 3)?,
            from: maybe(source, 20)?,
            to: maybe(source, 20)?,
            limit: source.int_in_range(1..=7)?,
        }),
        32..=48 => Op::Escalation(escalation(source, org)?),
        49 | 50 => {
            let spans = [0, 1, 999, 60_000, 299_999, 300_000, 300_001, 86_400_000, -1, -3_600_000];
            Op::AdvanceClock(*source.choose(&spans)?)
        }
        _ => Op::Restart,
    })
}

fn people(source: &mut Unstructured<'_>, org: usize) -> Result<PeopleOp> {
    Ok(match source.int_in_range(0..=8)? {
        0 => PeopleOp::Invite { email: email(source)?, admin: source.arbitrary()? },
        1 => PeopleOp::Accept { invitation: pick(source, org)?, first: name(source)? },
        2 => PeopleOp::RevokeInvitation { invitation: pick(source, org)? },
        3 => PeopleOp::AddMember { org, email: email(source)?, admin: source.arbitrary()? },
        4 => PeopleOp::ChangeRole { user: pick(source, org)?, admin: source.arbitrary()? },
        5 => PeopleOp::RemoveMember { user: pick(source, org)? },
        6 => PeopleOp::CreateKey {
            name: name(source)?,
            expires_in: if source.arbitrary()? { Some(source.int_in_range(-1_000..=400_000)?) } else { None },
        },
        7 => PeopleOp::RevokeKey { key: pick(source, org)? },
        _ => PeopleOp::Authenticate { key: pick(source, org)? },
    })
}

fn component(source: &mut Unstructured<'_>, org: usize) -> Result<ComponentOp> {
    Ok(match source.int_in_range(0..=3)? {
        0 | 1 => ComponentOp::Create { name: name(source)?, description: text(source)?, label: label(source)? },
        2 => ComponentOp::Edit {
            component: pick(source, org)?,
            name: if source.arbitrary()? { Some(name(source)?) } else { None },
            description: field(source, text)?,
            label: field(source, label)?,
        },
        _ => ComponentOp::Delete { component: pick(source, org)? },
    })
}

fn incident(source: &mut Unstructured<'_>, org: usize) -> Result<IncidentOp> {
    Ok(match source.int_in_range(0..=16)? {
        0..=4 => IncidentOp::Create {
            title: name(source)?,
            severity: source.int_in_range(0..=3)?,
            description: text(source)?,
            owner: if source.ratio(9_u8, 10)? { Some(pick(source, org)?) } else { None },
            schedule: if source.ratio(1_u8, 4)? { Some(pick(source, org)?) } else { None },
            policy: if source.ratio(1_u8, 3)? { Some(pick(source, org)?) } else { None },
            components: picks(source, org)?,
        },
        5 | 6 => IncidentOp::Edit {
            incident: pick(source, org)?,
            title: if source.arbitrary()? { Some(name(source)?) } else { None },
            description: field(source, text)?,
            severity: if source.arbitrary()? { Some(source.int_in_range(0..=3)?) } else { None },
        },
        7..=10 => {
            let to = if source.ratio(1_u8, 4)? { Some(source.int_in_range(0..=3)?) } else { None };
            IncidentOp::ChangeStatus { incident: pick(source, org)?, to, note: text(source)? }
        }
        11..=13 => {
            let status = if source.ratio(1_u8, 3)? { Some(source.int_in_range(0..=3)?) } else { None };
            let body = Some(text(source)?.filter(|body| !body.is_empty()).unwrap_or_else(|| "words".to_owned()));
            let public = source.ratio(1_u8, 10)?;
            let body = if status.is_some() && !public && source.arbitrary()? { None } else { body };
            IncidentOp::PostUpdate { incident: pick(source, org)?, body, status, public }
        }
        14 | 15 => IncidentOp::Redact { incident: pick(source, org)?, update: source.int_in_range(0..=5)? },
        _ => IncidentOp::SetComponents { incident: pick(source, org)?, components: picks(source, org)? },
    })
}

fn escalation(source: &mut Unstructured<'_>, org: usize) -> Result<EscalationOp> {
    let seconds = [0, 1, 30, 60, 3_600];
    Ok(match source.int_in_range(0..=29)? {
        0 => EscalationOp::CreateSchedule { name: name(source)? },
        1 => EscalationOp::DeleteSchedule { schedule: pick(source, org)? },
        2..=4 => EscalationOp::StandIn {
            schedule: pick(source, org)?,
            user: pick(source, org)?,
            minutes: *source.choose(&[1, 5, 7, 60, 1_440])?,
        },
        5 | 6 => EscalationOp::CreatePolicy { name: name(source)? },
        7 => EscalationOp::RenamePolicy { policy: pick(source, org)?, name: name(source)? },
        8 => EscalationOp::DeletePolicy { policy: pick(source, org)? },
        9..=12 => EscalationOp::AddLayer {
            policy: pick(source, org)?,
            position: source.int_in_range(1..=4)?,
            minutes: source.int_in_range(1..=10)?,
            target: target(source, org)?,
        },
        13 => EscalationOp::EditLayer {
            policy: pick(source, org)?,
            layer: source.int_in_range(0..=4)?,
            position: if source.arbitrary()? { Some(source.int_in_range(1..=4)?) } else { None },
            minutes: if source.arbitrary()? { Some(source.int_in_range(1..=10)?) } else { None },
            target: if source.arbitrary()? { Some(target(source, org)?) } else { None },
        },
        14 => EscalationOp::RemoveLayer { policy: pick(source, org)?, layer: source.int_in_range(0..=4)? },
        15 => EscalationOp::OrderLayers { policy: pick(source, org)?, by: source.int_in_range(0..=3)? },
        16 => EscalationOp::Preview { policy: pick(source, org)?, in_minutes: source.int_in_range(-5..=20)? },
        17 | 18 => EscalationOp::Acknowledge { incident: pick(source, org)? },
        19 | 20 => EscalationOp::HandOff { incident: pick(source, org)?, target: pick(source, org)? },
        21..=24 => EscalationOp::Tick { in_minutes: *source.choose(&[0, 0, 1, 5, 10, 60, -1])? },
        25 | 26 => EscalationOp::Claim { limit: source.int_in_range(0..=4)?, seconds: *source.choose(&seconds)? },
        27 | 28 => EscalationOp::Confirm { claim: source.int_in_range(0..=3)? },
        _ => EscalationOp::GiveBack { claim: source.int_in_range(0..=3)?, seconds: *source.choose(&seconds)? },
    })
}

fn target(source: &mut Unstructured<'_>, org: usize) -> Result<LayerTarget> {
    if source.ratio(1_u8, 3)? {
        return Ok(LayerTarget::Schedule(pick(source, org)?));
    }
    let count = source.int_in_range(1..=3)?;
    Ok(LayerTarget::Users((0..count).map(|_| pick(source, org)).collect::<Result<_>>()?))
}

fn maybe(source: &mut Unstructured<'_>, most: usize) -> Result<Option<usize>> {
    if source.ratio(1_u8, 2)? { Ok(Some(source.int_in_range(0..=most)?)) } else { Ok(None) }
}

fn pick(source: &mut Unstructured<'_>, org: usize) -> Result<Pick> {
    let index = Some(source.int_in_range(0..=7)?);
    Ok(match source.int_in_range(0..=19)? {
        0 => Pick { org, index: None },
        1 => Pick { org: 1 - org, index },
        _ => Pick { org, index },
    })
}

fn picks(source: &mut Unstructured<'_>, org: usize) -> Result<Vec<Pick>> {
    let count = source.int_in_range(0..=3)?;
    (0..count).map(|_| pick(source, org)).collect()
}

fn field(
    source: &mut Unstructured<'_>,
    value: impl Fn(&mut Unstructured<'_>) -> Result<Option<String>>,
) -> Result<Field<String>> {
    Ok(match source.int_in_range(0..=2)? {
        0 => Field::Keep,
        1 => Field::Clear,
        _ => value(source)?.map_or(Field::Keep, Field::Set),
    })
}

/// Few different ones, so that they meet.
fn email(source: &mut Unstructured<'_>) -> Result<String> {
    let pool = [
        "ben@example.com",
        "BEN@example.com",
        "cleo@example.com",
        "dora@example.com",
        "Eve@Example.com",
        "eve@example.com",
    ];
    Ok((*source.choose(&pool)?).to_owned())
}

fn name(source: &mut Unstructured<'_>) -> Result<String> {
    let pool = ["API", "api", "Web", " Web", "Datenbank Ä", "支払い", "x", "Checkout is down"];
    Ok((*source.choose(&pool)?).to_owned())
}

fn label(source: &mut Unstructured<'_>) -> Result<Option<String>> {
    Ok(source.choose(&[None, Some(""), Some("Core"), Some("Rand")])?.map(str::to_owned))
}

/// A text of up to 1,000 characters: short ones that stay in a record, long ones that are kept in pieces.
fn text(source: &mut Unstructured<'_>) -> Result<Option<String>> {
    let unit = *source.choose(&["", "a", "line\n", "é", "🦀", "\t", "日本"])?;
    let count = source.int_in_range(0..=500)?;
    Ok(if unit.is_empty() { None } else { Some(unit.repeat(if count > 100 { count / 5 * 5 } else { count / 10 })) })
        .map(|text| text.map(|text| text.chars().take(1_000).collect()))
}
