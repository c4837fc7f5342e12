//! The stored form of what is left of removals. Each has a timer that is due from its beginning on.

use bincode::{Decode, Encode};
use dogwatch_core::id::{Id, ScheduleId};
use dogwatch_core::removal::{Removal, RemovalPort, Removed};
use dogwatch_core::ticks::{Timer, Waiting};
use dogwatch_core::{Error, OrgId, UserId};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

use super::incident::timer_key;
#[cfg(feature = "export")]
use super::json;
use super::text::Reader;
use super::{Entity, Line, Raw, Row, Rows, timestamp};
use crate::record::{Corrupt, Stored};
use crate::table::Table;
use crate::tools::Verifier;
use crate::view::{OrgView, corrupt};

impl Table {
    /// What is left of removals, by kind and id of what is removed.
    pub(crate) const REMOVAL: Self = Self::new(b'-', "Removal");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[Table::REMOVAL];

/// The bytes that stand for the kinds of what is removed.
const SCHEDULE: u8 = 1;
const MEMBER: u8 = 2;

/// The bytes that stand for what is removed: its kind, and its id.
pub(super) fn removed_bytes(what: Removed) -> [u8; 17] {
    let (kind, id) = match what {
        Removed::Schedule(id) => (SCHEDULE, id.to_bytes()),
        Removed::Member(id) => (MEMBER, id.to_bytes()),
    };
    let mut bytes = [kind; 17];
    bytes[1..].copy_from_slice(&id);
    bytes
}

/// Reads what [`removed_bytes`] made.
pub(super) fn removed(bytes: &[u8]) -> Option<Removed> {
    let (kind, id) = bytes.split_first()?;
    let id = id.try_into().ok()?;
    match *kind {
        SCHEDULE => Some(Removed::Schedule(ScheduleId::from_bytes(id))),
        MEMBER => Some(Removed::Member(UserId::from_bytes(id))),
        _ => None,
    }
}

pub(super) fn key(org: OrgId, what: Removed) -> Vec<u8> {
    Table::REMOVAL.of(org, &[&removed_bytes(what)])
}

/// The record of what is left of a removal. Organization, kind and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct RemovalV1 {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    by: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    since: i64,
}

impl Stored for RemovalV1 {
    const VERSION: u8 = 1;
}

impl RemovalV1 {
    fn of(self, org: OrgId, what: Removed) -> Result<Removal, Corrupt> {
        Ok(Removal { org_id: org, what, by: UserId::from_bytes(self.by), since: timestamp(self.since)? })
    }
}

impl Entity for Removal {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = RemovalV1 { by: self.by.to_bytes(), since: self.since.as_millis() };
        rows.index(timer_key(&Timer { due: self.since, org_id: self.org_id, waiting: Waiting::Removal(self.what) }));
        rows.record(key(self.org_id, self.what), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_users(key, self.org_id, [self.by]);
        match self.what {
            Removed::Schedule(schedule) => {
                verifier.need_none(key, &Table::SCHEDULE.record(self.org_id, schedule), "a schedule");
            }
            Removed::Member(user) => {
                verifier.need_users(key, self.org_id, [user]);
                verifier.need_none(key, &Table::ACTIVE_MEMBER.record(self.org_id, user), "a member");
            }
        }
    }
}

/// The line of what is left of a removal in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct RemovalLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(
        feature = "export",
        serde(default, skip_serializing_if = "Option::is_none", with = "json::MaybeIdForm::<ScheduleId>")
    )]
    schedule: Option<Raw>,
    #[cfg_attr(
        feature = "export",
        serde(default, skip_serializing_if = "Option::is_none", with = "json::MaybeIdForm::<UserId>")
    )]
    member: Option<Raw>,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: RemovalV1,
}

impl Line for RemovalLine {
    type Entity = Removal;
    const TABLES: &'static [Table] = &[Table::REMOVAL];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        let org = row.id()?;
        let (schedule, member) = match removed(&row.take::<17>()?).ok_or(Corrupt::Key)? {
            Removed::Schedule(id) => (Some(id.to_bytes()), None),
            Removed::Member(id) => (None, Some(id.to_bytes())),
        };
        Ok(Some(Self { org, schedule, member, record: row.record()? }))
    }

    fn entity(self, _: Reader<'_>) -> Result<Removal, Corrupt> {
        let what = match (self.schedule, self.member) {
            (Some(id), None) => Removed::Schedule(ScheduleId::from_bytes(id)),
            (None, Some(id)) => Removed::Member(UserId::from_bytes(id)),
            _ => return Err(Corrupt::Value),
        };
        self.record.of(OrgId::from_bytes(self.org), what)
    }
}

#[deny(clippy::missing_trait_methods)]
impl RemovalPort for OrgView<'_> {
    fn removal(&self, what: Removed) -> Result<Option<Removal>, Error> {
        let key = key(self.org, what);
        let record = self.store.record::<RemovalV1>(&key)?;
        record.map(|record| record.of(self.org, what).map_err(|why| corrupt(&key, why))).transpose()
    }

    fn leaving(&self) -> Result<Vec<Removal>, Error> {
        let build = |row: RemovalV1, user| row.of(self.org, Removed::Member(user));
        self.store.records(&Table::REMOVAL.of(self.org, &[&[MEMBER]]), build)
    }
}
