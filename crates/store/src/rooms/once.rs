//! The stored form of recorded answers: the answers to requests with an idempotency key (contract, section 12).
//!
//! An answer is one row with the first part of its body, one row for each further piece of the body, and an index row by the
//! instant of its recording.

use super::{PIECE, PieceV1};
use bincode::{Decode, Encode};
use dogwatch_core::id::Id;
use dogwatch_core::{OrgId, Timestamp};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};

#[cfg(feature = "export")]
use super::json;
use super::text::Reader;
use super::{Entity, Line, Raw, Row, Rows, timestamp};
use crate::record::{Corrupt, Stored, decode};
use crate::table::{self, Table};
use crate::tools::Verifier;

impl Table {
    /// Recorded answers by organization, scope and idempotency key.
    pub(crate) const ONCE: Self = Self::new(b'k', "Once");
    /// Index of the recorded answers of all organizations by the instant of their recording.
    pub(crate) const ONCE_BY_TIME: Self = Self::new(b'Q', "OnceByTime");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[Table::ONCE, Table::ONCE_BY_TIME];

/// The record in the first row (number 0) of a recorded answer.
#[derive(Debug, Encode, Decode)]
pub(crate) struct OnceV1 {
    fingerprint: [u8; 32],
    pub(crate) recorded_at: i64,
    status: u16,
    /// The number of rows that follow, with further pieces of the body ([`PieceV1`]).
    more: u8,
    body: Vec<u8>,
}

impl Stored for OnceV1 {
    const VERSION: u8 = 1;
}

/// A recorded answer, as an entity: the content of all its rows. `scope` tells callers apart, `fingerprint` is a hash of the
/// request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IdempotentAnswer {
    pub(crate) org: OrgId,
    pub(crate) scope: [u8; 16],
    pub(crate) key: String,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) recorded_at: i64,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl IdempotentAnswer {
    /// Reads the answer whose first row this is; `None` for its other rows.
    pub(crate) fn read(key: &[u8], value: &[u8], read: Reader<'_>) -> Result<Option<Self>, Corrupt> {
        let (prefix, number) = key.split_last().map(|(number, prefix)| (prefix, *number)).ok_or(Corrupt::Key)?;
        let (org, rest) = key.get(1..).and_then(|rest| rest.split_first_chunk::<16>()).ok_or(Corrupt::Key)?;
        let (scope, rest) = rest.split_first_chunk::<16>().ok_or(Corrupt::Key)?;
        let [name @ .., 0, _] = rest else { return Err(Corrupt::Key) };
        if number != 0 {
            decode::<PieceV1>(key, value)?;
            return Ok(None);
        }
        let OnceV1 { fingerprint, recorded_at, status, more, mut body } = decode(key, value)?;
        for number in 1..=more {
            let key = row(prefix, number);
            body.extend(decode::<PieceV1>(&key, &read(&key)?.ok_or(Corrupt::Missing)?)?.bytes);
        }
        let key = String::from_utf8(name.to_vec()).map_err(|_| Corrupt::Key)?;
        let org = OrgId::from_bytes(*org);
        Ok(Some(Self { org, scope: *scope, key, fingerprint, recorded_at, status, body }))
    }
}

impl Entity for IdempotentAnswer {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let prefix = prefix(self.org, self.scope, &self.key);
        let mut pieces = self.body.chunks(PIECE);
        let body = pieces.next().unwrap_or_default().to_vec();
        let more = u8::try_from(pieces.len()).map_err(|_| Corrupt::Large)?;
        let (fingerprint, recorded_at, status) = (self.fingerprint, self.recorded_at, self.status);
        rows.record(row(&prefix, 0), &OnceV1 { fingerprint, recorded_at, status, more, body })?;
        rows.index(by_time(timestamp(recorded_at)?, &prefix));
        for (number, piece) in (1..=more).zip(pieces) {
            rows.record(row(&prefix, number), &PieceV1 { bytes: piece.to_vec() })?;
        }
        Ok(())
    }

    fn check(&self, _: &[u8], _: &mut Verifier<'_, '_>) {}
}

/// The prefix of the keys of a recorded answer; the number of the row (1 byte) follows.
pub(crate) fn prefix(org: OrgId, scope: [u8; 16], key: &str) -> Vec<u8> {
    Table::ONCE.of(org, &[&scope, key.as_bytes(), &[0]])
}

/// The key of a row of a recorded answer.
pub(crate) fn row(prefix: &[u8], number: u8) -> Vec<u8> {
    [prefix, &[number]].concat()
}

/// The key of the index row of an answer that was recorded at an instant.
pub(crate) fn by_time(at: Timestamp, prefix: &[u8]) -> Vec<u8> {
    Table::ONCE_BY_TIME.key(&[&table::instant(at), prefix])
}

/// The line of a recorded answer in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct IdempotentAnswerLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::scope"))]
    scope: Raw,
    key: String,
    #[cfg_attr(feature = "export", serde(with = "json::hash"))]
    fingerprint: [u8; 32],
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    recorded_at: i64,
    status: u16,
    #[cfg_attr(feature = "export", serde(with = "json::bytes"))]
    body: Vec<u8>,
}

impl Line for IdempotentAnswerLine {
    type Entity = IdempotentAnswer;
    const TABLES: &'static [Table] = &[Table::ONCE];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        row.rest();
        let Some(answer) = IdempotentAnswer::read(row.key, row.value, row.read)? else { return Ok(None) };
        let IdempotentAnswer { org, scope, key, fingerprint, recorded_at, status, body } = answer;
        Ok(Some(Self { org: org.to_bytes(), scope, key, fingerprint, recorded_at, status, body }))
    }

    fn entity(self, _: Reader<'_>) -> Result<IdempotentAnswer, Corrupt> {
        let Self { org, scope, key, fingerprint, recorded_at, status, body } = self;
        Ok(IdempotentAnswer { org: OrgId::from_bytes(org), scope, key, fingerprint, recorded_at, status, body })
    }
}
