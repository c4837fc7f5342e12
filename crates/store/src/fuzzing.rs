//! Entry points for the fuzz target of the record decoders, and for tests of the engine. Not part of the public API.
//!
//! A decoder must never panic, whatever the bytes; and an entity that it accepts must be written as rows from which the
//! same entity is read back.

use dogwatch_core::id::Id;
use dogwatch_core::secret::SecretHash;
use dogwatch_core::{IdSource, OrgId};

use crate::commit::assembly::Assembly;
use crate::commit::pending::Pending;
use crate::commit::queue::Lane;
use crate::commit::writer::Work;
use crate::engine::Engine;
use crate::error::Error;
use crate::record::{Corrupt, Stored, decode, frame, framed};
use crate::rooms::api_key::HolderV1;
use crate::rooms::team::TokenV1;
use crate::rooms::{AnyEntity, AnyLine, Entity, NamedV1, PieceV1, RECORD_TABLES, Rows};
use crate::table::Table;

/// A closure of a test that the writer runs as a piece of work.
struct Interlude<F>(F);

impl<F: FnOnce() + Send + 'static> Work for Interlude<F> {
    type Reply = ();

    fn lane(&self) -> Lane {
        Lane::Of(None)
    }

    fn run(self, _: &mut Assembly<'_>, _: &mut IdSource) -> Result<(), Error> {
        (self.0)();
        Ok(())
    }
}

/// Has the writer run a closure between two commands, which may delay the writer or panic.
///
/// # Errors
/// As [`Engine::submit`].
pub fn in_the_writer(engine: &Engine, it: impl FnOnce() + Send + 'static) -> Result<Pending<()>, Error> {
    engine.hand_in(Interlude(it))
}

/// The kind of the records of a table, for [`check`]: its index in the registry of entities. `None` for a table without
/// records of entities.
#[must_use]
pub fn kind_of(tag: u8) -> Option<u8> {
    let kind = RECORD_TABLES.iter().position(|tables| tables.iter().any(|table| table.tag() == tag))?;
    u8::try_from(kind).ok()
}

/// The newest record version of any entity.
const VERSIONS: u8 = 3;

/// Decodes bytes as rows and as a line of an export, then as the payload of a record of the given kind, in every record
/// version, framed so that its checksum holds.
///
/// # Errors
/// What went wrong, when an accepted record does not read back as itself.
pub fn check(kind: u8, payload: &[u8]) -> Result<(), String> {
    as_rows(payload);
    plain::<HolderV1>(&Table::KEY_HOLDER.hashed(SecretHash::from_bytes([9; 32])), payload);
    plain::<TokenV1>(&Table::TOKEN.hashed(SecretHash::from_bytes([9; 32])), payload);
    plain::<NamedV1>(&Table::COMPONENT_NAME.of(OrgId::from_bytes([1; 16]), &[b"name"]), payload);
    plain::<PieceV1>(&Table::TEXT.of(OrgId::from_bytes([1; 16]), &[&[2; 16], &[0]]), payload);
    let kinds = u8::try_from(RECORD_TABLES.len()).unwrap_or(u8::MAX);
    let tables = RECORD_TABLES.get(usize::from(kind % kinds)).copied().unwrap_or_default();
    for table in tables {
        for length in KEY_LENGTHS {
            // The parts of a key may be any bytes; a zero in them ends the idempotency key of a recorded answer.
            let parts: Vec<u8> =
                (0..length).map(|place| if place + 2 == length { 0 } else { 0x10 + (place / 16) }).collect();
            let key = [&[table.tag()][..], &parts].concat();
            for version in 1..=VERSIONS {
                read_back(&key, &framed(&key, version, payload))?;
            }
        }
    }
    Ok(())
}

/// The numbers of bytes that follow the tag in the keys of records, the largest first: ids have 16, instants and numbers 8,
/// revisions 4, marks 1.
const KEY_LENGTHS: [u8; 10] = [64, 56, 52, 49, 48, 41, 40, 36, 32, 16];

/// Decodes bytes as a row, with keys of several lengths, and as a line of an export. Any outcome but a panic is right.
fn as_rows(bytes: &[u8]) {
    let read = |_: &[u8]| Ok(None);
    for end in [17, 33, 41, 49, bytes.len()] {
        let (key, value) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        if let Ok(Some(line)) = AnyLine::read(key, value, &read) {
            let _ = line.rows(&read);
        }
    }
    if let Ok(line) = serde_json::from_slice::<AnyLine>(bytes) {
        let _ = line.rows(&read);
    }
}

/// Decodes a record that is no entity, once as given and once framed. Any outcome but a panic is right.
fn plain<T: Stored>(key: &[u8], payload: &[u8]) {
    let _ = decode::<T>(key, payload);
    let _ = decode::<T>(key, &frame::<T>(key, payload));
}

/// Checks that the entity of a row, if it has one, is written as rows from which the same entity is read.
fn read_back(key: &[u8], value: &[u8]) -> Result<(), String> {
    let Ok(Some(entity)) = AnyEntity::read(key, value, &|_| Ok(None)) else { return Ok(()) };
    let mut rows = Rows::default();
    match entity.rows(&mut rows) {
        // A damaged record can decode as an entity that is too large for a row.
        Err(Corrupt::Large) => return Ok(()),
        other => other.map_err(|why| format!("{entity:?} cannot be written: {why}"))?,
    }
    let rows = rows.into_map();
    let mut again = Vec::new();
    for (key, value) in &rows {
        match AnyEntity::read(key, value, &|key| Ok(rows.get(key).cloned())) {
            Ok(read) => again.extend(read),
            Err(why) => return Err(format!("{entity:?} was written, but cannot be read: {why}")),
        }
    }
    // Audit events may be too many for one row, and damage can give several rows the same first event.
    let several = matches!(entity, AnyEntity::Audit(_));
    if several || again == [entity] { Ok(()) } else { Err(format!("it was read back as {again:?}")) }
}
