//! What is stored of each resource: its tables, its records, which rows it has, its part of core's world, its line in an export,
//! and what `verify` checks of it. One file a room, under the name that the room has in core.
//!
//! Storage has structs of its own, so that core can change without changing the data. [`Entity::rows`] is the one place that
//! says which rows an entity has: its record, its index rows, the pieces of its long text. What a change writes is the
//! difference between the rows before and the rows after ([`row_changes`]), so an index cannot be forgotten.
//!
//! What goes through all rooms (verify, export, import, fuzzing) is generic over the registry at the end of this file, which
//! has a line for each kind of entity.

pub(crate) mod api_key;
mod component;
mod escalation;
pub(crate) mod incident;
pub(crate) mod json;
mod oncall;
pub(crate) mod once;
pub(crate) mod organization;
pub(crate) mod outbox;
pub(crate) mod team;
mod text;

pub(crate) use text::{PIECE, PieceV1, Reader};

use bincode::{Decode, Encode};
use dogwatch_core::world::{Change, Write};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backend::Pair;
use crate::record::{Corrupt, Stored, decode, encode};
use crate::table::Table;
use crate::tools::{Page, Verifier};

/// The bytes of an id.
pub(crate) type Raw = [u8; 16];

/// Something of core that is stored.
pub(crate) trait Entity {
    /// Adds all rows that it consists of.
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt>;

    /// Checks what must fit together beyond its own rows, and counts it. It stands under the key.
    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>);

    /// Tells of pages: +1 for one that an audit trail names, −1 for one that a notification is.
    fn pages(&self, tell: &mut dyn FnMut(Page, i64)) {
        let _ = tell;
    }
}

/// An entity as a line of an export: what its key says, and its record. From a row with a record comes a line, from a line an
/// entity.
pub(crate) trait Line: Serialize + DeserializeOwned + std::fmt::Debug {
    /// What it is a line of.
    type Entity: Entity + PartialEq + std::fmt::Debug;
    /// The tables in which its record stands.
    const TABLES: &'static [Table];

    /// Reads what the key says, and the record; `None` for a row that is a part of another.
    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt>;

    /// The entity; `read` reads its other rows.
    fn entity(self, read: Reader<'_>) -> Result<Self::Entity, Corrupt>;

    /// Gathers a long text that is kept beside the record.
    fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        let _ = read;
        Ok(())
    }

    /// Whether it holds a secret in plain text, or belongs to what does: then it is not exported.
    fn is_secret(&self) -> bool {
        false
    }
}

/// A row while it is read.
pub(crate) struct Row<'a> {
    pub(crate) table: Table,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) read: Reader<'a>,
    /// What is left of the key.
    parts: &'a [u8],
}

impl<'a> Row<'a> {
    fn new(key: &'a [u8], value: &'a [u8], read: Reader<'a>) -> Result<Self, Corrupt> {
        let table = Table::of_key(key).ok_or(Corrupt::Key)?;
        Ok(Self { table, key, value, read, parts: key.get(1..).unwrap_or_default() })
    }

    /// The next bytes of the key.
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (part, rest) = self.parts.split_first_chunk::<N>().ok_or(Corrupt::Key)?;
        self.parts = rest;
        Ok(*part)
    }

    /// The next id of the key.
    pub(crate) fn id(&mut self) -> Result<Raw, Corrupt> {
        self.take()
    }

    /// What is left of the key but so many bytes at its end.
    pub(crate) fn all_but(&mut self, behind: usize) -> Result<&'a [u8], Corrupt> {
        let length = self.parts.len().checked_sub(behind).ok_or(Corrupt::Key)?;
        let (part, rest) = self.parts.split_at_checked(length).ok_or(Corrupt::Key)?;
        self.parts = rest;
        Ok(part)
    }

    /// The rest of the key, for whoever reads it by itself.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.parts)
    }

    /// The record, once the key has been read to its end: what it says behind its parts would be lost.
    pub(crate) fn record<T: Stored>(&self) -> Result<T, Corrupt> {
        if self.parts.is_empty() { decode(self.key, self.value) } else { Err(Corrupt::Key) }
    }
}

/// What has a name.
#[derive(Debug, Encode, Decode)]
pub(crate) struct NamedV1 {
    pub(crate) id: Raw,
}

impl Stored for NamedV1 {
    const VERSION: u8 = 1;
}

impl Rows {
    /// All of them, as rows that were not there before.
    pub(crate) fn into_puts(self) -> impl Iterator<Item = RowChange> {
        self.into_pairs().map(|(key, value)| RowChange::put(key, value))
    }

    /// All of them.
    pub(crate) fn into_pairs(self) -> impl Iterator<Item = Pair> {
        self.0.into_iter()
    }
}

/// The rows of one thing, each key once. They are few, so a search is a look at each.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<Pair>);

impl Rows {
    /// The largest value, in bytes. Larger ones could end in files that sled never syncs.
    pub(crate) const LARGEST: usize = 4_096;

    #[cfg(feature = "fuzzing")]
    pub(crate) fn into_map(self) -> std::collections::BTreeMap<Vec<u8>, Vec<u8>> {
        self.0.into_iter().collect()
    }

    /// A row that is only a key.
    pub(crate) fn index(&mut self, key: Vec<u8>) {
        if self.0.iter().all(|(other, _)| *other != key) {
            self.0.push((key, Vec::new()));
        }
    }

    /// A row with a record.
    pub(crate) fn record<T: Stored>(&mut self, key: Vec<u8>, record: &T) -> Result<(), Corrupt> {
        let value = encode(&key, record)?;
        if value.len() > Self::LARGEST {
            return Err(Corrupt::Large);
        }
        self.0.push((key, value));
        Ok(())
    }

    /// Takes a row out and gives its value.
    fn take(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let place = self.0.iter().position(|(other, _)| other == key)?;
        Some(self.0.swap_remove(place).1)
    }
}

/// One row that changes.
#[derive(Debug)]
pub(crate) struct RowChange {
    pub(crate) key: Vec<u8>,
    pub(crate) before: Option<Vec<u8>>,
    pub(crate) after: Option<Vec<u8>>,
}

impl RowChange {
    /// A row that was not there.
    pub(crate) fn put(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { key, before: None, after: Some(value) }
    }

    /// A row that goes.
    pub(crate) fn delete(key: Vec<u8>, held: Vec<u8>) -> Self {
        Self { key, before: Some(held), after: None }
    }
}

/// Adds the rows that a write changes: the difference between the thing before and after.
pub(crate) fn row_changes(write: &Write, changes: &mut Vec<RowChange>) -> Result<(), Corrupt> {
    match write {
        Write::Organization(it) => difference(it, changes),
        Write::Counts(it) => difference(it, changes),
        Write::Member(it) => difference(it, changes),
        Write::Invitation(it) => difference(it, changes),
        Write::ApiKey(it) => difference(it, changes),
        Write::Component(it) => difference(it, changes),
        Write::Incident(it) => difference(it, changes),
        Write::Update(it) => difference(it, changes),
        Write::Schedule(it) => difference(it, changes),
        Write::Layer(it) => difference(it, changes),
        Write::PastRotation(it) => difference(it, changes),
        Write::PastOrder(it) => difference(it, changes),
        Write::Override(it) => difference(it, changes),
        Write::Policy(it) => difference(it, changes),
        Write::PolicyLayer(it) => difference(it, changes),
        Write::PastPolicyLayer(it) => difference(it, changes),
        Write::Notification(it) => difference(it, changes),
        Write::Inbox(it) => difference(it, changes),
        Write::Audit(entry) => {
            let mut rows = Rows::default();
            entry.rows(&mut rows)?;
            changes.extend(rows.into_puts());
            Ok(())
        }
    }
}

fn difference<T: Entity>(change: &Change<T>, changes: &mut Vec<RowChange>) -> Result<(), Corrupt> {
    let (mut before, mut after) = (Rows::default(), Rows::default());
    if let Some(thing) = &change.before {
        thing.rows(&mut before)?;
    }
    if let Some(thing) = &change.after {
        thing.rows(&mut after)?;
    }
    for (key, value) in after.0 {
        let held = before.take(&key);
        if held.as_ref() != Some(&value) {
            changes.push(RowChange { key, before: held, after: Some(value) });
        }
    }
    changes.extend(before.0.into_iter().map(|(key, held)| RowChange { key, before: Some(held), after: None }));
    Ok(())
}

/// The value a byte stands for, if it stands for one.
pub(crate) fn by_byte<T: Copy>(all: &[T], byte_of: impl Fn(T) -> u8, byte: u8) -> Result<T, Corrupt> {
    all.iter().copied().find(|value| byte_of(*value) == byte).ok_or(Corrupt::Value)
}

pub(crate) fn timestamp(millis: i64) -> Result<dogwatch_core::Timestamp, Corrupt> {
    dogwatch_core::Timestamp::from_millis(millis).ok_or(Corrupt::Value)
}

/// Text that satisfied its rule when it was written.
pub(crate) fn text<T>(made: Result<T, dogwatch_core::Problem>) -> Result<T, Corrupt> {
    made.map_err(|_| Corrupt::Value)
}

macro_rules! registry {
    ($($variant:ident = $name:literal, $line:ty;)*) => {
        /// A line of an export, whatever it is of.
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(tag = "type")]
        pub(crate) enum AnyLine {
            $(#[serde(rename = $name)] $variant($line),)*
        }

        impl AnyLine {
            /// The line that a row comes to; `None` when the row only helps to find an entity, or holds a part of one.
            pub(crate) fn read(key: &[u8], value: &[u8], read: Reader<'_>) -> Result<Option<Self>, Corrupt> {
                let mut row = Row::new(key, value, read)?;
                $(if <$line>::TABLES.contains(&row.table) {
                    return Ok(<$line>::read(&mut row)?.map(Self::$variant));
                })*
                Ok(None)
            }

            /// See [`Line::entity`].
            pub(crate) fn entity(self, read: Reader<'_>) -> Result<AnyEntity, Corrupt> {
                Ok(match self {
                    $(Self::$variant(line) => AnyEntity::$variant(Box::new(line.entity(read)?)),)*
                })
            }

            /// See [`Line::gather`].
            pub(crate) fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
                match self {
                    $(Self::$variant(line) => line.gather(read),)*
                }
            }

            /// See [`Line::is_secret`].
            pub(crate) fn is_secret(&self) -> bool {
                match self {
                    $(Self::$variant(line) => line.is_secret(),)*
                }
            }

            /// The rows that it consists of.
            pub(crate) fn rows(self, read: Reader<'_>) -> Result<Rows, Corrupt> {
                let mut rows = Rows::default();
                self.entity(read)?.rows(&mut rows)?;
                Ok(rows)
            }
        }

        /// An entity, whatever it is.
        #[derive(Debug, PartialEq)]
        pub(crate) enum AnyEntity {
            $($variant(Box<<$line as Line>::Entity>),)*
        }

        impl Entity for AnyEntity {
            fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
                match self {
                    $(Self::$variant(entity) => entity.rows(rows),)*
                }
            }

            fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
                match self {
                    $(Self::$variant(entity) => entity.check(key, verifier),)*
                }
            }

            fn pages(&self, tell: &mut dyn FnMut(Page, i64)) {
                match self {
                    $(Self::$variant(entity) => entity.pages(tell),)*
                }
            }
        }

        /// The tables with records, in the order of the registry.
        #[cfg(feature = "fuzzing")]
        pub(crate) const RECORD_TABLES: &[&[Table]] = &[$(<$line>::TABLES),*];
    };
}

impl AnyEntity {
    /// As [`AnyLine::read`].
    pub(crate) fn read(key: &[u8], value: &[u8], read: Reader<'_>) -> Result<Option<Self>, Corrupt> {
        AnyLine::read(key, value, read)?.map(|line| line.entity(read)).transpose()
    }
}

registry! {
    Organization = "organization", organization::OrganizationLine;
    Counts = "tally", organization::CountsLine;
    Member = "member", team::MemberLine;
    Invitation = "invitation", team::InvitationLine;
    ApiKey = "apiKey", api_key::ApiKeyLine;
    Component = "component", component::ComponentLine;
    Incident = "incident", incident::IncidentLine;
    Update = "update", incident::UpdateLine;
    Audit = "audit", incident::audit::AuditLine;
    Schedule = "schedule", oncall::ScheduleLine;
    RotationLayer = "rotationLayer", oncall::RotationLayerLine;
    PastRotation = "pastTerms", oncall::PastRotationLine;
    PastOrder = "pastOrder", oncall::PastOrderLine;
    Override = "override", oncall::OverrideLine;
    Policy = "policy", escalation::PolicyLine;
    PolicyLayer = "policyLayer", escalation::PolicyLayerLine;
    PastPolicyLayer = "pastPolicyLayer", escalation::PastPolicyLayerLine;
    Notification = "notification", outbox::NotificationLine;
    Inbox = "inbox", outbox::InboxLine;
    IdempotentAnswer = "idempotentAnswer", once::IdempotentAnswerLine;
}

/// The format of a store with these records and tables. It changes when a store that this version writes could be misread by an
/// older version.
pub(crate) const FORMAT: u32 = 6;

/// All tables, a line a room.
pub(crate) const TABLES: &[&[Table]] = &[
    crate::format::TABLES,
    organization::TABLES,
    team::TABLES,
    api_key::TABLES,
    component::TABLES,
    incident::TABLES,
    text::TABLES,
    oncall::TABLES,
    escalation::TABLES,
    outbox::TABLES,
    once::TABLES,
];
