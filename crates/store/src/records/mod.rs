//! The stored forms of core's things, and which rows a thing consists of.
//!
//! Storage has structs of its own, so that core can change without changing the data. [`Entity::rows`] is the one place that
//! says which rows a thing has: its record, its index rows, the pieces of its long text. What a change writes is the
//! difference between the rows before and the rows after ([`row_changes`]), so an index cannot be forgotten.

mod audit;
mod escalation;
mod incident;
pub(crate) mod json;
mod oncall;
mod organization;
mod text;

pub(crate) use audit::{AuditV1, audit_of, audit_rows};
pub(crate) use escalation::{InboxV1, NotificationV2, PolicyLayerV1, PolicyV1};
pub(crate) use incident::{IncidentV3, UpdateV1, incident_of, update_of};
pub(crate) use oncall::{LayerV1, OverrideV1, PastOrderV1, PastTermsV1, ScheduleV1};
pub(crate) use organization::{
    ApiKeyV1, ComponentV1, CountsV2, HolderV1, InvitationV1, MemberV1, NamedV1, OrganizationV1, PlaceV1, email_key,
};

pub(crate) use text::{PIECE, PieceV1, Reader, TextV1};

use dogwatch_core::world::{Change, Write};

use crate::backend::Pair;
use crate::record::{Corrupt, Stored, encode};

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

/// Something of core that is stored.
pub(crate) trait Entity {
    /// Adds all rows that the thing consists of.
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt>;
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
        Write::PastTerms(it) => difference(it, changes),
        Write::PastOrder(it) => difference(it, changes),
        Write::Override(it) => difference(it, changes),
        Write::Policy(it) => difference(it, changes),
        Write::PolicyLayer(it) => difference(it, changes),
        Write::PastPolicyLayer(it) => difference(it, changes),
        Write::Notification(it) => difference(it, changes),
        Write::Inbox(it) => difference(it, changes),
        Write::Audit(entry) => {
            let mut rows = Rows::default();
            audit_rows(entry, &mut rows)?;
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
