//! The [`Change`]s of a commit, made of its rows: who created, changed or deleted what.
//!
//! A commit has one change of each entity that it touched, in the order of their kinds and keys: how the entity is after it. Counts,
//! notifications on their way, and other rows that only the store itself needs are not shown; neither are secrets and their
//! hashes.
//!
//! Long texts have rows of their own, which a commit holds only if it changes the text. Others are read from
//! the present moment. If the entity has changed since, it is given as it is at present, and its later changes follow; if it has
//! been deleted since, only its deletion is shown. An update that has been redacted since is given without its text.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
#[cfg(feature = "export")]
use std::io;

use dogwatch_core::api_key::ApiKeyView;
use dogwatch_core::component::Component;
use dogwatch_core::escalation::{Policy, PolicyLayer};
use dogwatch_core::id::{
    ApiKeyId, Id, InvitationId, MaintenanceId, OverrideId, PolicyId, PolicyLayerId, RotationLayerId, ScheduleId,
    StatusPageId, WebhookId,
};
use dogwatch_core::incident::{Incident, IncidentUpdate};
use dogwatch_core::integration::Integration;
use dogwatch_core::oncall::{Override, RotationLayer, Schedule};
use dogwatch_core::organization::Organization;
use dogwatch_core::secret::SecretHash;
use dogwatch_core::status_page::{Maintenance, StatusPage};
use dogwatch_core::team::{InvitationView, Member};
use dogwatch_core::webhook::Webhook;
use dogwatch_core::{Actor, OrgId, Timestamp};

use crate::backend::BackendError;
use crate::journal::{Commit, Position, Row};
use crate::record::Corrupt;
use crate::rooms::{AnyEntity, AnyLine, Reader, followed};
use crate::table::Table;

/// A change of one entity by one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The position of the commit. Several changes have the same.
    pub position: Position,
    /// The instant of the commit, on the engine's clock.
    pub at: Timestamp,
    /// Who changed it last in this commit; `None` when the engine did by itself, as in an escalation, and for commits of versions
    /// that did not note it down.
    pub actor: Option<Actor>,
    /// The organization that the entity belongs to.
    pub organization: OrgId,
    /// What happened to it.
    pub what: What,
}

/// What happened to an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Created(Subject),
    /// It was there before.
    Changed(Subject),
    /// It is not there any more.
    Deleted(Gone),
}

/// What a change is of: the entity as it is after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// An organization.
    Organization(Box<Organization>),
    /// A member. A removed one is marked as removed.
    Member(Box<Member>),
    /// A pending invitation, without its token.
    Invitation(Box<InvitationView>),
    /// An API key, without its secret.
    ApiKey(Box<ApiKeyView>),
    /// A component. A deleted one is marked as deleted.
    Component(Box<Component>),
    /// An incident, with the latest events of its audit trail.
    Incident(Box<Incident>),
    /// An update of an incident.
    Update(Box<IncidentUpdate>),
    /// A schedule.
    Schedule(Box<Schedule>),
    /// A layer of a schedule.
    RotationLayer(Box<RotationLayer>),
    /// An override of a schedule.
    Override(Box<Override>),
    /// An escalation policy.
    Policy(Box<Policy>),
    /// A layer of an escalation policy.
    PolicyLayer(Box<PolicyLayer>),
    /// A webhook of the organization. Its secret is not stored.
    Webhook(Box<Webhook>),
    /// A status page.
    StatusPage(Box<StatusPage>),
    /// A maintenance of a status page.
    Maintenance(Box<Maintenance>),
    /// An integration, without the hash of its token: in its place are zeros. A deleted one stays, marked as deleted.
    Integration(Box<Integration>),
}

/// What is deleted. Other entities never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Gone {
    /// An invitation that was accepted or revoked.
    Invitation(InvitationId),
    /// An API key that was revoked.
    ApiKey(ApiKeyId),
    /// A schedule.
    Schedule(ScheduleId),
    /// A layer of a schedule.
    RotationLayer(RotationLayerId),
    /// An override of a schedule, deleted before it began.
    Override(OverrideId),
    /// An escalation policy.
    Policy(PolicyId),
    /// A layer of an escalation policy.
    PolicyLayer(PolicyLayerId),
    /// A webhook of the organization.
    Webhook(WebhookId),
    /// A status page.
    StatusPage(StatusPageId),
    /// A maintenance of a status page.
    Maintenance(MaintenanceId),
}

impl Gone {
    /// What a row was the record of, by its key: the id is the last part of it.
    fn of(key: &[u8]) -> Option<Self> {
        let id = *key.last_chunk::<16>()?;
        Some(match Table::of_key(key)? {
            Table::INVITATION => Self::Invitation(InvitationId::from_bytes(id)),
            Table::API_KEY => Self::ApiKey(ApiKeyId::from_bytes(id)),
            Table::SCHEDULE => Self::Schedule(ScheduleId::from_bytes(id)),
            Table::LAYER => Self::RotationLayer(RotationLayerId::from_bytes(id)),
            Table::OVERRIDE => Self::Override(OverrideId::from_bytes(id)),
            Table::POLICY => Self::Policy(PolicyId::from_bytes(id)),
            Table::POLICY_LAYER => Self::PolicyLayer(PolicyLayerId::from_bytes(id)),
            Table::WEBHOOK => Self::Webhook(WebhookId::from_bytes(id)),
            Table::STATUS_PAGE => Self::StatusPage(StatusPageId::from_bytes(id)),
            Table::MAINTENANCE => Self::Maintenance(MaintenanceId::from_bytes(id)),
            _ => return None,
        })
    }

    /// The kind of entity as exports call it, and its id.
    #[cfg(feature = "export")]
    fn named(&self) -> (&'static str, String) {
        match self {
            Self::Invitation(id) => ("invitation", id.to_string()),
            Self::ApiKey(id) => ("apiKey", id.to_string()),
            Self::Schedule(id) => ("schedule", id.to_string()),
            Self::RotationLayer(id) => ("rotationLayer", id.to_string()),
            Self::Override(id) => ("override", id.to_string()),
            Self::Policy(id) => ("policy", id.to_string()),
            Self::PolicyLayer(id) => ("policyLayer", id.to_string()),
            Self::Webhook(id) => ("webhook", id.to_string()),
            Self::StatusPage(id) => ("statusPage", id.to_string()),
            Self::Maintenance(id) => ("maintenance", id.to_string()),
        }
    }
}

impl Subject {
    /// What is shown of an entity; `None` for what only the store needs.
    fn of(entity: AnyEntity) -> Option<Self> {
        Some(match entity {
            AnyEntity::Organization(it) => Self::Organization(it),
            AnyEntity::Member(it) => Self::Member(it),
            AnyEntity::Invitation(it) => Self::Invitation(Box::new(InvitationView::from(&*it))),
            AnyEntity::ApiKey(it) => Self::ApiKey(Box::new(ApiKeyView::from(&*it))),
            AnyEntity::Component(it) => Self::Component(it),
            AnyEntity::Incident(it) => Self::Incident(it),
            AnyEntity::Update(it) => Self::Update(it),
            AnyEntity::Schedule(it) => Self::Schedule(it),
            AnyEntity::RotationLayer(it) => Self::RotationLayer(it),
            AnyEntity::Override(it) => Self::Override(it),
            AnyEntity::Policy(it) => Self::Policy(it),
            AnyEntity::PolicyLayer(it) => Self::PolicyLayer(it),
            AnyEntity::Webhook(it) => Self::Webhook(it),
            AnyEntity::StatusPage(it) => Self::StatusPage(it),
            AnyEntity::Maintenance(it) => Self::Maintenance(it),
            AnyEntity::Integration(it) => {
                Self::Integration(Box::new(Integration { token: SecretHash::from_bytes([0; 32]), ..*it }))
            }
            AnyEntity::Counts(_)
            | AnyEntity::Audit(_)
            | AnyEntity::OrgAudit(_)
            | AnyEntity::PastRotation(_)
            | AnyEntity::PastOrder(_)
            | AnyEntity::PastPolicyLayer(_)
            | AnyEntity::ContactMethod(_)
            | AnyEntity::ContactSettings(_)
            | AnyEntity::Traffic(_)
            | AnyEntity::AlertGroup(_)
            | AnyEntity::Signal(_)
            | AnyEntity::Notification(_)
            | AnyEntity::Inbox(_)
            | AnyEntity::Removal(_)
            | AnyEntity::StatusChange(_)
            | AnyEntity::IdempotentAnswer(_) => return None,
        })
    }
}

/// A change as it is read from the rows of a commit.
struct Read {
    key: Vec<u8>,
    actor: Option<Actor>,
    organization: OrgId,
    happened: Happened,
}

enum Happened {
    Created(AnyLine),
    Changed(AnyLine),
    Deleted(Gone),
}

/// Why the changes of a commit cannot be told.
#[derive(Debug)]
pub(crate) enum Unread {
    /// A row as it is now cannot be read.
    Storage(BackendError),
    /// The row with this key cannot be made sense of.
    Damaged(Vec<u8>, Corrupt),
}

/// Reads rows as they are now.
type Present<'a> = &'a dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, BackendError>;

/// Reads the changes of a commit.
fn read(commit: &Commit, present: Present<'_>) -> Result<Vec<Read>, Unread> {
    let failed = RefCell::new(None);
    let read = read_with(commit, &|key| {
        present(key).map_err(|why| {
            failed.replace(Some(why));
            Corrupt::Unread
        })
    });
    match failed.into_inner() {
        Some(why) => Err(Unread::Storage(why)),
        None => read.map_err(|(key, why)| Unread::Damaged(key, why)),
    }
}

/// As [`read`], with the key of the row of which something is damaged or cannot be read.
fn read_with(commit: &Commit, present: Reader<'_>) -> Result<Vec<Read>, (Vec<u8>, Corrupt)> {
    let texts: BTreeMap<&[u8], &[u8]> = commit
        .rows
        .iter()
        .filter(|(key, _)| Table::of_key(key) == Some(Table::TEXT))
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    let rows: Vec<Row<'_>> = commit.rows.marked().filter(|row| followed(row.key)).collect();
    // Of an override whose key changes, one row goes and another comes.
    let which = |of: fn(&Row<'_>) -> bool| -> BTreeSet<Gone> {
        rows.iter().filter(|row| of(row)).filter_map(|row| Gone::of(row.key)).collect()
    };
    let there = which(|row| row.value.is_some());
    let created_elsewhere = which(|row| row.value.is_none() && row.created);
    let mut changes = Vec::new();
    for row in rows {
        let organization = row.key.get(1..).and_then(|rest| rest.first_chunk::<16>()).copied();
        let organization = OrgId::from_bytes(organization.ok_or_else(|| (row.key.to_vec(), Corrupt::Key))?);
        let happened = match row.value {
            None => match Gone::of(row.key).filter(|gone| !there.contains(gone)) {
                // What a commit both creates and deletes was never there.
                Some(gone) if !row.created => Happened::Deleted(gone),
                _ => continue,
            },
            Some(value) => {
                let line = line(row.key, value, &texts, present).map_err(|why| (row.key.to_vec(), why))?;
                match line {
                    Some(line)
                        if row.created || Gone::of(row.key).is_some_and(|it| created_elsewhere.contains(&it)) =>
                    {
                        Happened::Created(line)
                    }
                    Some(line) => Happened::Changed(line),
                    None => continue,
                }
            }
        };
        changes.push(Read { key: row.key.to_vec(), actor: row.author, organization, happened });
    }
    Ok(changes)
}

/// The line of a row, with its long text; `None` when the entity is gone at present, and its long text with it.
fn line(
    key: &[u8],
    value: &[u8],
    texts: &BTreeMap<&[u8], &[u8]>,
    present: Reader<'_>,
) -> Result<Option<AnyLine>, Corrupt> {
    let whole = |value: &[u8], read: Reader<'_>| {
        let Some(mut line) = AnyLine::read(key, value, read)? else { return Ok(None) };
        line.gather(read)?;
        Ok(Some(line))
    };
    let elsewhere = Cell::new(false);
    let made = whole(value, &|key| {
        texts.get(key).map_or_else(
            || {
                elsewhere.set(true);
                present(key)
            },
            |text| Ok(Some(text.to_vec())),
        )
    });
    // An update changes only when its text is redacted: then the text is not shown any more.
    if !elsewhere.get() && Table::of_key(key) != Some(Table::UPDATE) {
        return made;
    }
    match present(key)? {
        // Its texts may be of a later moment, even when its record is not.
        Some(now) => whole(&now, present),
        None => Ok(None),
    }
}

/// The changes of a commit.
pub(crate) fn of(commit: &Commit, present: Present<'_>) -> Result<Vec<Change>, Unread> {
    let mut changes = Vec::new();
    for Read { key, actor, organization, happened } in read(commit, present)? {
        let subject = |line: AnyLine| {
            let entity = line.entity(&|_| Ok(None)).map_err(|why| Unread::Damaged(key.clone(), why))?;
            Ok(Subject::of(entity))
        };
        let what = match happened {
            Happened::Created(line) => subject(line)?.map(What::Created),
            Happened::Changed(line) => subject(line)?.map(What::Changed),
            Happened::Deleted(gone) => Some(What::Deleted(gone)),
        };
        let (position, at) = (commit.head.position, commit.at);
        changes.extend(what.map(|what| Change { position, at, actor, organization, what }));
    }
    Ok(changes)
}

/// Writes the changes of a commit as lines of JSON, and gives their number.
#[cfg(feature = "export")]
pub(crate) fn write(
    commit: &Commit,
    present: Present<'_>,
    out: &mut dyn io::Write,
) -> Result<u64, crate::tools::ToolError> {
    use serde_json::{Value, json};

    let mut lines = 0_u64;
    let unread = |unread| match unread {
        Unread::Storage(why) => why.into(),
        Unread::Damaged(key, why) => crate::tools::damaged(&key, why),
    };
    for change in read(commit, present).map_err(unread)? {
        let (what, entity) = match &change.happened {
            Happened::Created(line) => ("created", shown(line)?),
            Happened::Changed(line) => ("changed", shown(line)?),
            Happened::Deleted(gone) => {
                let (kind, id) = gone.named();
                ("deleted", json!({ "type": kind, "org": change.organization.to_string(), "id": id }))
            }
        };
        let actor = match change.actor {
            None => Value::Null,
            Some(Actor::Operator) => json!({ "type": "operator" }),
            Some(Actor::Anybody) => json!({ "type": "anybody" }),
            Some(Actor::Member { org_id, user_id }) => {
                json!({ "type": "member", "org": org_id.to_string(), "user": user_id.to_string() })
            }
        };
        let line = json!({
            "position": commit.head.position.to_string(),
            "at": commit.at.to_string(),
            "actor": actor,
            "organization": change.organization.to_string(),
            "what": what,
            "entity": entity,
        });
        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        lines = lines.saturating_add(1);
    }
    Ok(lines)
}

/// The line of an entity without hashes of secrets; which are left out is said in `leftOut`.
#[cfg(feature = "export")]
fn shown(line: &AnyLine) -> Result<serde_json::Value, io::Error> {
    let mut shown = serde_json::to_value(line)?;
    let hashes = line.hashes();
    if let Some(fields) = shown.as_object_mut().filter(|_| !hashes.is_empty()) {
        hashes.iter().for_each(|field| drop(fields.remove(*field)));
        fields.insert("leftOut".to_owned(), hashes.into());
    }
    Ok(shown)
}
