//! The stored forms of core's things, and which rows a thing consists of.
//!
//! Storage has structs of its own, so that core can change without changing the data. [`Entity::rows`] is the one place that
//! says which rows a thing has: its record, its index rows, the pieces of its long text. What a change writes is the
//! difference between the rows before and the rows after ([`Patch`]), so an index cannot be forgotten.

mod escalation;
mod incident;
mod oncall;
mod organization;
mod text;

pub(crate) use escalation::{InboxV1, NotificationV1, PolicyLayerV1, PolicyV1};
pub(crate) use incident::{AuditV1, IncidentV2, UpdateV1, audit_of, audit_rows, incident_of, update_of};
pub(crate) use oncall::{LayerV1, OverrideV1, PastOrderV1, PastTermsV1, ScheduleV1};
pub(crate) use organization::{
    ApiKeyV1, ComponentV1, HolderV1, InvitationV1, MemberV1, NamedV1, OrganizationV1, PlaceV1, TallyV2, email_key,
};

#[cfg(feature = "fuzzing")]
pub(crate) use text::PieceV1;

use std::collections::BTreeMap;

use dogwatch_core::{Change, Write};

use crate::backend::Batch;
use crate::record::{Corrupt, Stored, encode};

/// The rows of one thing.
#[derive(Debug, Default)]
pub(crate) struct Rows(BTreeMap<Vec<u8>, Vec<u8>>);

impl Rows {
    /// The largest value, in bytes. Larger ones could end in files that sled never syncs.
    pub(crate) const LARGEST: usize = 4_096;

    #[cfg(feature = "fuzzing")]
    pub(crate) fn into_map(self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.0
    }

    /// A row that is only a key.
    pub(crate) fn index(&mut self, key: Vec<u8>) {
        self.0.insert(key, Vec::new());
    }

    /// A row with a record.
    pub(crate) fn record<T: Stored>(&mut self, key: Vec<u8>, record: &T) -> Result<(), Corrupt> {
        let value = encode(&key, record)?;
        if value.len() > Self::LARGEST {
            return Err(Corrupt::Large);
        }
        self.0.insert(key, value);
        Ok(())
    }
}

/// Something of core that is stored.
pub(crate) trait Entity {
    /// Adds all rows that the thing consists of.
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt>;
}

/// What rows shall hold, and what they held before: the change, and the way back.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    pub(crate) after: Batch,
    pub(crate) before: Batch,
}

impl Patch {
    fn put(&mut self, key: Vec<u8>, before: Option<Vec<u8>>, after: Option<Vec<u8>>) {
        // Of several changes to one row, the first knows what was there.
        self.before.entry(key.clone()).or_insert(before);
        self.after.insert(key, after);
    }

    /// Adds a change that was made on top of this one.
    pub(crate) fn extend(&mut self, later: Self) {
        for (key, before) in later.before {
            self.before.entry(key).or_insert(before);
        }
        self.after.extend(later.after);
    }

    /// Adds what a decision changes.
    pub(crate) fn add(&mut self, write: &Write) -> Result<(), Corrupt> {
        match write {
            Write::Organization(it) => self.change(it),
            Write::Tally(it) => self.change(it),
            Write::Member(it) => self.change(it),
            Write::Invitation(it) => self.change(it),
            Write::ApiKey(it) => self.change(it),
            Write::Component(it) => self.change(it),
            Write::Incident(it) => self.change(it),
            Write::Update(it) => self.change(it),
            Write::Schedule(it) => self.change(it),
            Write::Layer(it) => self.change(it),
            Write::PastTerms(it) => self.change(it),
            Write::PastOrder(it) => self.change(it),
            Write::Override(it) => self.change(it),
            Write::Policy(it) => self.change(it),
            Write::PolicyLayer(it) => self.change(it),
            Write::PastPolicyLayer(it) => self.change(it),
            Write::Notification(it) => self.change(it),
            Write::Inbox(it) => self.change(it),
            Write::Audit(entry) => {
                let mut rows = Rows::default();
                audit_rows(entry, &mut rows)?;
                rows.0.into_iter().for_each(|(key, value)| self.put(key, None, Some(value)));
                Ok(())
            }
            // The enum is open for core's sake; a change that cannot be stored must not be dropped silently.
            _ => Err(Corrupt::Value),
        }
    }

    fn change<T: Entity>(&mut self, change: &Change<T>) -> Result<(), Corrupt> {
        let (mut before, mut after) = (Rows::default(), Rows::default());
        if let Some(thing) = &change.before {
            thing.rows(&mut before)?;
        }
        if let Some(thing) = &change.after {
            thing.rows(&mut after)?;
        }
        for (key, value) in after.0 {
            let held = before.0.remove(&key);
            if held.as_ref() != Some(&value) {
                self.put(key, held, Some(value));
            }
        }
        before.0.into_iter().for_each(|(key, held)| self.put(key, Some(held), None));
        Ok(())
    }
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
