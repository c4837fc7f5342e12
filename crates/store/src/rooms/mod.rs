//! How each resource is stored: one module for each (a room), named as in `dogwatch_core`. It has the resource's tables,
//! records and rows, its part of the ports through which the rules read, its line in an export, and its checks in `verify`.
//!
//! Records are structs of the store, so that the types of the rules can change without changing the data. In records, instants
//! are milliseconds since 1970. [`Entity::rows`] is the one place that says which rows an entity has: its record, its index
//! rows, the pieces of its long text. A change writes the difference between the rows before and the rows after
//! ([`row_changes`]), so an index cannot be forgotten.
//!
//! Code for all resources (verify, export, import, fuzzing) is generic over the registry at the end of this file, which has
//! one entry for each kind of entity.

#![cfg_attr(not(feature = "export"), allow(dead_code, reason = "without exports, lines are only made into entities"))]

pub(crate) mod api_key;
mod author;
mod component;
pub(crate) mod contact;
mod escalation;
pub(crate) mod incident;
pub(crate) mod integration;
#[cfg(feature = "export")]
pub(crate) mod json;
pub(crate) mod oncall;
pub(crate) mod once;
mod org_audit;
pub(crate) mod organization;
pub(crate) mod outbox;
mod removal;
pub(crate) mod status_page;
pub(crate) mod team;
mod text;
mod webhook;

pub(crate) use text::{PIECE, PieceV1, Reader};

use std::borrow::Cow;

use bincode::{Decode, Encode};
use dogwatch_core::world::{Change, Write};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

use crate::backend::Pair;
use crate::record::{Corrupt, Stored, decode, encode};
use crate::table::Table;
use crate::tools::{Page, Side, Verifier};

/// The bytes of an id.
pub(crate) type Raw = [u8; 16];

/// An entity of the rules that is stored: an incident, a member, an inbox and so on.
pub(crate) trait Entity {
    /// Adds all rows of the entity: its record, its index rows, and the pieces of its long text.
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt>;

    /// Checks for `verify` that the entity, whose record is under `key`, is consistent with other rows, and counts it.
    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>);

    /// Reports the pages that the entity tells of, and where.
    fn pages(&self, tell: &mut dyn FnMut(Page, Side)) {
        let _ = tell;
    }
}

/// An entity as a line of an export: the parts of its key, and its record. A row with a record is read as a line, and a line is
/// made into an entity.
pub(crate) trait Line: Sized + std::fmt::Debug {
    /// The kind of entity.
    type Entity: Entity + PartialEq + std::fmt::Debug;
    /// The tables in which records of the entity are kept.
    const TABLES: &'static [Table];

    /// Reads the parts of the key and the record of a row; `None` for a row that holds a part of another.
    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt>;

    /// Makes the entity; `read` reads its other rows.
    fn entity(self, read: Reader<'_>) -> Result<Self::Entity, Corrupt>;

    /// Loads a long text that is kept in rows beside the record into the line.
    fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        let _ = read;
        Ok(())
    }

    /// Whether changes of the entity are shown to followers. What only the store itself needs is not.
    const FOLLOWED: bool = false;

    /// The fields of the line with the hash of a secret: an export has them, what is shown to followers has not.
    const HASHES: &'static [&'static str] = &[];

    /// Whether the entity holds a secret in plain text, or exists only for one that does: then it is not exported.
    fn is_secret(&self) -> bool {
        false
    }
}

/// A row that is being read: its key is taken apart from front to back, then its record is decoded.
pub(crate) struct Row<'a> {
    pub(crate) table: Table,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) read: Reader<'a>,
    /// The part of the key that has not been read yet.
    parts: &'a [u8],
}

impl<'a> Row<'a> {
    pub(crate) fn new(key: &'a [u8], value: &'a [u8], read: Reader<'a>) -> Result<Self, Corrupt> {
        let table = Table::of_key(key).ok_or(Corrupt::Key)?;
        Ok(Self { table, key, value, read, parts: key.get(1..).unwrap_or_default() })
    }

    /// Takes the next `N` bytes of the key.
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (part, rest) = self.parts.split_first_chunk::<N>().ok_or(Corrupt::Key)?;
        self.parts = rest;
        Ok(*part)
    }

    /// Takes the next id of the key, 16 bytes.
    pub(crate) fn id(&mut self) -> Result<Raw, Corrupt> {
        self.take()
    }

    /// Takes the rest of the key except the last `behind` bytes.
    pub(crate) fn all_but(&mut self, behind: usize) -> Result<&'a [u8], Corrupt> {
        let length = self.parts.len().checked_sub(behind).ok_or(Corrupt::Key)?;
        let (part, rest) = self.parts.split_at_checked(length).ok_or(Corrupt::Key)?;
        self.parts = rest;
        Ok(part)
    }

    /// Takes the rest of the key, for code that reads the key by itself.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.parts)
    }

    /// Decodes the record. The key must have been read to its end; bytes that are left over are an error.
    pub(crate) fn record<T: Stored>(&self) -> Result<T, Corrupt> {
        if self.parts.is_empty() { decode(self.key, self.value) } else { Err(Corrupt::Key) }
    }
}

/// The record of an index of names: the id of the entity that has the name.
#[derive(Debug, Encode, Decode)]
pub(crate) struct NamedV1 {
    pub(crate) id: Raw,
}

impl Stored for NamedV1 {
    const VERSION: u8 = 1;
}

impl Rows {
    /// All rows, as changes that put them.
    pub(crate) fn into_puts(self) -> impl Iterator<Item = RowChange> {
        self.into_pairs().map(|(key, value)| (key, Some(value)))
    }

    /// All rows as keys and values, in no order.
    pub(crate) fn into_pairs(self) -> impl Iterator<Item = Pair> {
        self.0.into_iter()
    }
}

/// The rows of one entity, each key once. They are few, so they are searched one by one.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<Pair>);

impl Rows {
    /// The largest value, in bytes. Larger ones could be put into files that sled never syncs.
    // Invariant [small-values].
    pub(crate) const LARGEST: usize = 4_096;

    #[cfg(feature = "fuzzing")]
    pub(crate) fn into_map(self) -> std::collections::BTreeMap<Vec<u8>, Vec<u8>> {
        self.0.into_iter().collect()
    }

    /// Adds an index row, which has an empty value, if it is not there already.
    pub(crate) fn index(&mut self, key: Vec<u8>) {
        if self.0.iter().all(|(other, _)| *other != key) {
            self.0.push((key, Vec::new()));
        }
    }

    /// Adds a row with a record; [`Corrupt::Large`] when its value has more than 4,096 bytes.
    pub(crate) fn record<T: Stored>(&mut self, key: Vec<u8>, record: &T) -> Result<(), Corrupt> {
        let value = encode(&key, record)?;
        if value.len() > Self::LARGEST {
            return Err(Corrupt::Large);
        }
        self.0.push((key, value));
        Ok(())
    }

    /// Removes a row and gives its value.
    fn take(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let place = self.0.iter().position(|(other, _)| other == key)?;
        Some(self.0.swap_remove(place).1)
    }
}

/// The change of one row: its key, and its value after the change, `None` when it does not exist then.
pub(crate) type RowChange = (Vec<u8>, Option<Vec<u8>>);

/// Adds the rows that a write changes: the difference between the rows of the entity before and after. `true` when the entity is
/// new.
pub(crate) fn row_changes(write: &Write, changes: &mut Vec<RowChange>) -> Result<bool, Corrupt> {
    match write {
        Write::Organization(it) => difference(it, changes),
        Write::Counts(it) => difference(it, changes),
        Write::Member(it) => difference(it, changes),
        Write::Invitation(it) => difference(it, changes),
        Write::ApiKey(it) => difference(it, changes),
        Write::Component(it) => difference(it, changes),
        Write::Incident(it) => difference(it, changes),
        Write::Update(it) => difference(it, changes),
        Write::OrgAudit(entry) => added(&**entry, changes),
        Write::Schedule(it) => difference(it, changes),
        Write::RotationLayer(it) => difference(it, changes),
        Write::PastRotation(it) => difference(it, changes),
        Write::PastOrder(it) => difference(it, changes),
        Write::Override(it) => difference(it, changes),
        Write::Removal(it) => difference(it, changes),
        Write::Policy(it) => difference(it, changes),
        Write::PolicyLayer(it) => difference(it, changes),
        Write::PastPolicyLayer(it) => difference(it, changes),
        Write::Notification(it) => difference(it, changes),
        Write::ContactMethod(it) => difference(it, changes),
        Write::ContactSettings(it) => difference(it, changes),
        Write::Webhook(it) => difference(it, changes),
        Write::StatusPage(it) => difference(it, changes),
        Write::Maintenance(it) => difference(it, changes),
        Write::StatusChange(it) => added(it, changes),
        Write::Integration(it) => difference(it, changes),
        Write::Traffic(it) => difference(it, changes),
        Write::Signal(it) => difference(it, changes),
        Write::AlertGroup(it) => difference(it, changes),
        Write::Inbox(it) => difference(it, changes),
        Write::Audit(entry) => added(entry, changes),
    }
}

/// Adds the rows of an entity that never changes.
fn added<T: Entity>(entity: &T, changes: &mut Vec<RowChange>) -> Result<bool, Corrupt> {
    let mut rows = Rows::default();
    entity.rows(&mut rows)?;
    changes.extend(rows.into_puts());
    Ok(true)
}

// Invariant [rows-of]: what is written is the difference between the rows before and the rows after.
fn difference<T: Entity>(change: &Change<T>, changes: &mut Vec<RowChange>) -> Result<bool, Corrupt> {
    let (mut before, mut after) = (Rows::default(), Rows::default());
    if let Some(thing) = &change.before {
        thing.rows(&mut before)?;
    }
    if let Some(thing) = &change.after {
        thing.rows(&mut after)?;
    }
    let (mut record, mut text) = (None, false);
    for (key, value) in after.0 {
        let held = before.take(&key);
        if held.as_ref() != Some(&value) {
            text = text || Table::of_key(&key) == Some(Table::TEXT);
            changes.push((key, Some(value)));
        } else if followed(&key) {
            record = Some((key, Some(value)));
        }
    }
    changes.extend(before.0.into_iter().map(|(key, _)| (key, None)));
    // Who looks for changes of the entity, and the cache, look at its record: it is written when only a long text has changed, too.
    changes.extend(record.filter(|_| text));
    Ok(change.before.is_none())
}

/// The value that a byte stands for; [`Corrupt::Value`] when there is none.
pub(crate) fn by_byte<T: Copy>(all: &[T], byte_of: impl Fn(T) -> u8, byte: u8) -> Result<T, Corrupt> {
    all.iter().copied().find(|value| byte_of(*value) == byte).ok_or(Corrupt::Value)
}

pub(crate) fn timestamp(millis: i64) -> Result<dogwatch_core::Timestamp, Corrupt> {
    dogwatch_core::Timestamp::from_millis(millis).ok_or(Corrupt::Value)
}

/// A value that the rules accepted when it was written; [`Corrupt::Value`] when they refuse it.
pub(crate) fn text<T>(made: Result<T, dogwatch_core::Problem>) -> Result<T, Corrupt> {
    made.map_err(|_| Corrupt::Value)
}

macro_rules! registry {
    ($($variant:ident = $name:literal, $line:ty;)*) => {
        /// A line of an export, of any kind of entity.
        #[derive(Debug)]
        #[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(tag = "type"))]
        pub(crate) enum AnyLine {
            $(#[cfg_attr(feature = "export", serde(rename = $name))] $variant($line),)*
        }

        impl AnyLine {
            /// The line for a row; `None` when the row is an index row, or holds a part of an entity.
            pub(crate) fn read(key: &[u8], value: &[u8], read: Reader<'_>) -> Result<Option<Self>, Corrupt> {
                let mut row = Row::new(key, value, read)?;
                $(if <$line>::TABLES.contains(&row.table) {
                    return Ok(<$line>::read(&mut row)?.map(Self::$variant));
                })*
                Ok(None)
            }

            /// Makes the entity: see [`Line::entity`].
            pub(crate) fn entity(self, read: Reader<'_>) -> Result<AnyEntity, Corrupt> {
                Ok(match self {
                    $(Self::$variant(line) => AnyEntity::$variant(Box::new(line.entity(read)?)),)*
                })
            }

            /// Loads a long text into the line: see [`Line::gather`].
            pub(crate) fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
                match self {
                    $(Self::$variant(line) => line.gather(read),)*
                }
            }

            /// Whether the entity is left out of exports: see [`Line::is_secret`].
            pub(crate) fn is_secret(&self) -> bool {
                match self {
                    $(Self::$variant(line) => line.is_secret(),)*
                }
            }

            /// The fields with hashes of secrets: see [`Line::HASHES`].
            #[cfg(feature = "export")]
            pub(crate) const fn hashes(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant(_) => <$line>::HASHES,)*
                }
            }

            /// The rows of the entity that the line holds.
            pub(crate) fn rows(self, read: Reader<'_>) -> Result<Rows, Corrupt> {
                let mut rows = Rows::default();
                self.entity(read)?.rows(&mut rows)?;
                Ok(rows)
            }
        }

        /// An entity of any kind.
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

            fn pages(&self, tell: &mut dyn FnMut(Page, Side)) {
                match self {
                    $(Self::$variant(entity) => entity.pages(tell),)*
                }
            }
        }

        /// For each tag of a table, whether it holds records whose changes are shown to followers.
        #[allow(clippy::indexing_slicing, reason = "a tag is a byte, and a place is one of the table's")]
        const FOLLOWED: [bool; 256] = {
            let mut followed = [false; 256];
            $(
                let mut place = 0;
                while <$line>::FOLLOWED && place < <$line>::TABLES.len() {
                    followed[<$line>::TABLES[place].tag() as usize] = true;
                    place += 1;
                }
            )*
            followed
        };

        /// For each kind of entity, in the order of the registry, the tables in which its records are kept.
        #[cfg(feature = "fuzzing")]
        pub(crate) const RECORD_TABLES: &[&[Table]] = &[$(<$line>::TABLES),*];
    };
}

/// Whether a row holds a record whose changes are shown to followers.
pub(crate) fn followed(key: &[u8]) -> bool {
    key.first().is_some_and(|tag| FOLLOWED.get(usize::from(*tag)) == Some(&true))
}

/// Whether the entities of a row are kept decoded: those that lists and permissions read again and again.
pub(crate) fn is_cached(key: &[u8]) -> bool {
    const CACHED: [Table; 5] = [Table::INCIDENT, Table::MEMBER, Table::COMPONENT, Table::AUDIT, Table::STATUS_PAGE];
    key.first().is_some_and(|tag| CACHED.iter().any(|table| table.tag() == *tag))
}

/// The key under which the cache keeps what was made of a row, which a change of the row removes: its own, or that of the schedule
/// whose answers follow from it.
pub(crate) fn cached_under(key: &[u8]) -> Option<Cow<'_, [u8]>> {
    if is_cached(key) { Some(Cow::Borrowed(key)) } else { oncall::standing_of(key).map(Cow::Owned) }
}

/// The beginnings of the keys of all rows from which that follows which the cache keeps under a key.
pub(crate) fn made_of(cached: &[u8]) -> Vec<Vec<u8>> {
    if is_cached(cached) { vec![cached.to_vec()] } else { oncall::made_of(cached) }
}

impl AnyEntity {
    /// The entity whose record a row holds; `None` for an index row or a part of an entity.
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
    ContactMethod = "contactMethod", contact::ContactMethodLine;
    ContactSettings = "contactSettings", contact::ContactSettingsLine;
    Webhook = "webhook", webhook::WebhookLine;
    StatusPage = "statusPage", status_page::StatusPageLine;
    Maintenance = "maintenance", status_page::MaintenanceLine;
    StatusChange = "componentStatus", status_page::StatusChangeLine;
    Integration = "integration", integration::IntegrationLine;
    Traffic = "traffic", integration::TrafficLine;
    AlertGroup = "alertGroup", integration::AlertGroupLine;
    Signal = "signal", integration::SignalLine;
    Removal = "removal", removal::RemovalLine;
    Notification = "notification", outbox::NotificationLine;
    Inbox = "inbox", outbox::InboxLine;
    OrgAudit = "orgAudit", org_audit::OrgAuditLine;
    IdempotentAnswer = "idempotentAnswer", once::IdempotentAnswerLine;
}

/// The format of a store with these records and tables. It changes when a store that this version writes could be misread by an
/// older version.
pub(crate) const FORMAT: u32 = 17;

/// All tables, one entry for each module that declares some.
pub(crate) const TABLES: &[&[Table]] = &[
    crate::format::TABLES,
    organization::TABLES,
    team::TABLES,
    api_key::TABLES,
    component::TABLES,
    contact::TABLES,
    incident::TABLES,
    text::TABLES,
    oncall::TABLES,
    escalation::TABLES,
    webhook::TABLES,
    status_page::TABLES,
    integration::TABLES,
    removal::TABLES,
    outbox::TABLES,
    org_audit::TABLES,
    once::TABLES,
];
