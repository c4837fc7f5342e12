//! The stored form of an organization's audit, newest first: for each entry who changed a setting, and the rows that hold the setting
//! before and after, as they were. So an old entry is read like an old row of the setting, in whichever version it was
//! written. What does not fit into one row goes on in the next.

use bincode::{Decode, Encode};
use dogwatch_core::id::{Id, OrgAuditId};
use dogwatch_core::org_audit::{OrgAuditEntry, OrgAuditPort, Setting};
use dogwatch_core::{Error, OrgId, UserId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

#[cfg(feature = "export")]
use super::json;
use super::text::{PIECE, PieceV1, Reader};
use super::{AnyEntity, AnyLine, Entity, Line, Raw, Row, Rows, followed};
use crate::backend::Pair;
use crate::record::{Corrupt, Stored, decode, encode};
use crate::table::{Table, end_of};
use crate::tools::Verifier;
use crate::view::{OrgView, corrupt};

impl Table {
    /// The audits of organizations, newest first: the rows of each entry, by number.
    pub(crate) const ORG_AUDIT: Self = Self::new(b'H', "OrgAudit");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[Table::ORG_AUDIT];

/// The first row of an entry: who did it, how many rows follow, and the beginning of what they hold.
#[derive(Debug, Encode, Decode)]
struct OrgAuditV1 {
    actor: Option<Raw>,
    more: u8,
    bytes: Vec<u8>,
}

impl Stored for OrgAuditV1 {
    const VERSION: u8 = 1;
}

/// The rows of a setting before and after: its record and the pieces of its long text, each with its key.
#[derive(Debug, Default, Encode, Decode)]
struct BeforeAndAfter {
    before: Vec<Pair>,
    after: Vec<Pair>,
}

impl Stored for BeforeAndAfter {
    const VERSION: u8 = 1;
}

/// The key of a row of an entry: newer entries sort first.
fn key(org: OrgId, id: Raw, number: u8) -> Vec<u8> {
    Table::ORG_AUDIT.of(org, &[&id.map(|byte| !byte), &[number]])
}

fn entity(setting: &Setting) -> &dyn Entity {
    match setting {
        Setting::Member(it) => &**it,
        Setting::Invitation(it) => &**it,
        Setting::ApiKey(it) => &**it,
        Setting::Component(it) => &**it,
        Setting::Schedule(it) => &**it,
        Setting::RotationLayer(it) => &**it,
        Setting::Override(it) => &**it,
        Setting::Policy(it) => &**it,
        Setting::PolicyLayer(it) => &**it,
        Setting::Webhook(it) => &**it,
        Setting::StatusPage(it) => &**it,
        Setting::Maintenance(it) => &**it,
        Setting::Integration(it) => &**it,
    }
}

fn setting(entity: AnyEntity) -> Result<Setting, Corrupt> {
    Ok(match entity {
        AnyEntity::Member(it) => Setting::Member(it),
        AnyEntity::Invitation(it) => Setting::Invitation(it),
        AnyEntity::ApiKey(it) => Setting::ApiKey(it),
        AnyEntity::Component(it) => Setting::Component(it),
        AnyEntity::Schedule(it) => Setting::Schedule(it),
        AnyEntity::RotationLayer(it) => Setting::RotationLayer(it),
        AnyEntity::Override(it) => Setting::Override(it),
        AnyEntity::Policy(it) => Setting::Policy(it),
        AnyEntity::PolicyLayer(it) => Setting::PolicyLayer(it),
        AnyEntity::Webhook(it) => Setting::Webhook(it),
        AnyEntity::StatusPage(it) => Setting::StatusPage(it),
        AnyEntity::Maintenance(it) => Setting::Maintenance(it),
        AnyEntity::Integration(it) => Setting::Integration(it),
        _ => return Err(Corrupt::Value),
    })
}

/// The rows that hold a setting; index rows are not among them.
fn rows_of(held: Option<&Setting>) -> Result<Vec<Pair>, Corrupt> {
    let mut rows = Rows::default();
    if let Some(setting) = held {
        entity(setting).rows(&mut rows)?;
    }
    let mut rows: Vec<Pair> =
        rows.into_pairs().filter(|(key, _)| followed(key) || Table::of_key(key) == Some(Table::TEXT)).collect();
    rows.sort();
    Ok(rows)
}

/// The line of the setting that some rows hold; `None` when there are none.
fn line_of(rows: &[Pair]) -> Result<Option<Box<AnyLine>>, Corrupt> {
    let read = |key: &[u8]| Ok(rows.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone()));
    let Some((key, value)) = rows.iter().find(|(key, _)| followed(key)) else {
        return if rows.is_empty() { Ok(None) } else { Err(Corrupt::Missing) };
    };
    let mut line = AnyLine::read(key, value, &read)?.ok_or(Corrupt::Value)?;
    line.gather(&read)?;
    Ok(Some(Box::new(line)))
}

impl Entity for OrgAuditEntry {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let (before, after) = (rows_of(self.before.as_ref())?, rows_of(self.after.as_ref())?);
        let bytes = encode(&[], &BeforeAndAfter { before, after })?;
        let mut pieces = bytes.chunks(PIECE);
        let first = pieces.next().unwrap_or_default().to_vec();
        let more = u8::try_from(pieces.len()).map_err(|_| Corrupt::Large)?;
        let (id, actor) = (self.id.to_bytes(), self.actor_id.map(|user| user.to_bytes()));
        rows.record(key(self.org_id, id, 0), &OrgAuditV1 { actor, more, bytes: first })?;
        for (number, piece) in (1..=more).zip(pieces) {
            rows.record(key(self.org_id, id, number), &PieceV1 { bytes: piece.to_vec() })?;
        }
        Ok(())
    }

    fn check(&self, _: &[u8], _: &mut Verifier<'_, '_>) {}
}

/// The line of an entry in an export: the settings in it are lines themselves, in which zeros stand for hashes.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct OrgAuditLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgAuditId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::MaybeIdForm::<UserId>"))]
    actor: Option<Raw>,
    before: Option<Box<AnyLine>>,
    after: Option<Box<AnyLine>>,
}

impl Line for OrgAuditLine {
    type Entity = OrgAuditEntry;
    const TABLES: &'static [Table] = &[Table::ORG_AUDIT];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        let (org, inverted) = (row.id()?, row.id()?);
        let [number] = row.take::<1>()?;
        if number != 0 {
            row.record::<PieceV1>()?;
            return Ok(None);
        }
        let id = inverted.map(|byte| !byte);
        let OrgAuditV1 { actor, more, mut bytes } = row.record()?;
        for number in 1..=more {
            let key = key(OrgId::from_bytes(org), id, number);
            bytes.extend(decode::<PieceV1>(&key, &(row.read)(&key)?.ok_or(Corrupt::Missing)?)?.bytes);
        }
        let BeforeAndAfter { before, after } = decode(&[], &bytes)?;
        Ok(Some(Self { org, id, actor, before: line_of(&before)?, after: line_of(&after)? }))
    }

    fn entity(self, _: Reader<'_>) -> Result<OrgAuditEntry, Corrupt> {
        let held = |line: Option<Box<AnyLine>>| line.map(|line| setting(line.entity(&|_| Ok(None))?)).transpose();
        Ok(OrgAuditEntry {
            id: OrgAuditId::from_bytes(self.id),
            org_id: OrgId::from_bytes(self.org),
            actor_id: self.actor.map(UserId::from_bytes),
            before: held(self.before)?,
            after: held(self.after)?,
        })
    }
}

#[deny(clippy::missing_trait_methods)]
impl OrgAuditPort for OrgView<'_> {
    fn org_audit(&self, after: Option<OrgAuditId>, limit: usize) -> Result<Vec<OrgAuditEntry>, Error> {
        let prefix = Table::ORG_AUDIT.of(self.org, &[]);
        let start = after.map_or_else(|| prefix.clone(), |after| key(self.org, after.to_bytes(), u8::MAX));
        let mut entries = Vec::new();
        for pair in self.store.scan(&start, &end_of(&prefix)) {
            let (key, value) = pair?;
            let entry = AnyEntity::read(&key, &value, &|key| self.read(key)).map_err(|why| corrupt(&key, why))?;
            if let Some(AnyEntity::OrgAudit(entry)) = entry {
                entries.push(*entry);
            }
            if entries.len() == limit {
                break;
            }
        }
        Ok(entries)
    }
}
