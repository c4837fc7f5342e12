//! What the fuzz target of the record decoders calls, and what tests of the engine need. Not part of the public API.
//!
//! A decoder must never panic, whatever the bytes; and what it accepts must be written and read back as the same thing.

use std::collections::BTreeMap;
use std::fmt::Debug;

use dogwatch_core::id::{
    ApiKeyId, ComponentId, Id, IncidentId, InvitationId, OverrideId, PolicyId, PolicyLayerId, RotationLayerId,
    ScheduleId, UpdateId,
};
use dogwatch_core::incident::AuditEntry;
use dogwatch_core::outbox::Recipient;
use dogwatch_core::secret::SecretHash;
use dogwatch_core::{Error as Refusal, IdSource, OrgId, UserId};

use crate::assembly::Assembly;
use crate::engine::Engine;
use crate::error::Error;
use crate::keys::{self, Table};
use crate::pending::Pending;
use crate::queue::WhenFull;
use crate::record::{Corrupt, Stored, decode, frame, framed};
use crate::records::{
    ApiKeyV1, AuditV1, ComponentV1, CountsV2, Entity, HolderV1, InboxV1, IncidentV3, InvitationV1, LayerV1, MemberV1,
    NamedV1, NotificationV2, OrganizationV1, OverrideV1, PastOrderV1, PastTermsV1, PieceV1, PlaceV1, PolicyLayerV1,
    PolicyV1, Rows, ScheduleV1, UpdateV1, audit_of, audit_rows, incident_of, update_of,
};
use crate::thing::Thing;
use crate::writer::Work;

/// Something that tests have the writer do.
struct Interlude<F>(F);

impl<F: FnOnce() + Send + 'static> Work for Interlude<F> {
    type Reply = ();

    fn run(self, _: &mut Assembly<'_>, _: &mut IdSource) -> Result<(), Refusal> {
        (self.0)();
        Ok(())
    }
}

/// Has the writer do something between two commands: hold it up, or panic.
///
/// # Errors
/// As [`Engine::submit`].
pub fn in_the_writer(engine: &Engine, it: impl FnOnce() + Send + 'static) -> Result<Pending<()>, Error> {
    engine.hand_in(Interlude(it), WhenFull::Refuse)
}

const ORG: [u8; 16] = [1; 16];
const ID: [u8; 16] = [2; 16];
const OTHER: [u8; 16] = [3; 16];

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// How many kinds of record there are.
pub const KINDS: u8 = 26;

/// Decodes bytes as a record of every kind, then a payload as one of the given kind, framed so that its checksum holds.
///
/// # Errors
/// What went wrong, when an accepted record does not read back as itself.
pub fn check(kind: u8, payload: &[u8]) -> Result<(), String> {
    as_thing(payload);
    let org = OrgId::from_bytes(ORG);
    let incident = IncidentId::from_bytes(ID);
    let schedule = ScheduleId::from_bytes(ID);
    let member = Recipient::Member(UserId::from_bytes(ID));
    let of_incident = |row: IncidentV3, rows: &Map| incident_of(row, org, incident, &|key| rows.get(key).cloned());
    match kind % KINDS {
        0 => entity(&Table::Organization.key(&[&ORG]), payload, |row: OrganizationV1, _| row.of(org)),
        1 => entity(&Table::Counts.of(org, &[]), payload, |row: CountsV2, _| Ok(row.of(org))),
        2 => entity(&Table::Member.of(org, &[&ID]), payload, |row: MemberV1, _| row.of(org, UserId::from_bytes(ID))),
        3 => entity(&Table::Invitation.of(org, &[&ID]), payload, |row: InvitationV1, _| {
            row.of(org, InvitationId::from_bytes(ID))
        }),
        4 => entity(&Table::ApiKey.of(org, &[&ID]), payload, |row: ApiKeyV1, _| row.of(org, ApiKeyId::from_bytes(ID))),
        5 => entity(&Table::Component.of(org, &[&ID]), payload, |row: ComponentV1, rows| {
            row.of(org, ComponentId::from_bytes(ID), &|key| rows.get(key).cloned())
        }),
        6 => entity(&keys::incident(org, incident), payload, of_incident),
        7 => entity(&Table::Update.of(org, &[&ID, &OTHER]), payload, |row: UpdateV1, rows| {
            update_of(row, org, incident, UpdateId::from_bytes(OTHER), &|key| rows.get(key).cloned())
        }),
        8 => audit(org, incident, payload),
        9 => plain::<HolderV1>(&Table::KeyHolder.hashed(SecretHash::from_bytes([9; 32])), payload),
        10 => plain::<PlaceV1>(&Table::Token.hashed(SecretHash::from_bytes([9; 32])), payload),
        11 => plain::<NamedV1>(&Table::ComponentName.of(org, &[b"name"]), payload),
        12 => plain::<PieceV1>(&keys::text(org, ID, 0), payload),
        13 => entity(&Table::Schedule.of(org, &[&ID]), payload, |row: ScheduleV1, rows| {
            row.of(org, schedule, &|key| rows.get(key).cloned())
        }),
        14 => entity(&Table::Layer.of(org, &[&ID, &OTHER]), payload, |row: LayerV1, _| {
            row.of(org, schedule, RotationLayerId::from_bytes(OTHER))
        }),
        15 => past::<PastTermsV1, _>(payload, |row| row.of(org, schedule, RotationLayerId::from_bytes(OTHER))),
        16 => past::<PastOrderV1, _>(payload, |row| row.of(org, schedule)),
        17 => past::<OverrideV1, _>(payload, |row| row.of(org, OverrideId::from_bytes(OTHER))),
        18 => entity(&Table::Policy.of(org, &[&ID]), payload, |row: PolicyV1, rows| {
            row.of(org, PolicyId::from_bytes(ID), &|key| rows.get(key).cloned())
        }),
        19 => entity(&Table::PolicyLayer.of(org, &[&ID, &OTHER]), payload, |row: PolicyLayerV1, _| {
            row.of(org, PolicyId::from_bytes(ID), PolicyLayerId::from_bytes(OTHER))
        }),
        20 => past::<NotificationV2, _>(payload, |row| row.of(org, member, 7)),
        21 => entity(&keys::inbox(org, member), payload, |row: InboxV1, _| row.of(org, member)),
        22 => {
            past::<NotificationV2, _>(payload, |row| row.of(org, Recipient::Invited(InvitationId::from_bytes(ID)), 1))
        }
        // Records as earlier formats wrote them.
        23 => written_by(1, &Table::Counts.of(org, &[]), payload, |row: CountsV2, _| Ok(row.of(org))),
        24 => written_by(1, &keys::incident(org, incident), payload, of_incident),
        _ => written_by(2, &keys::incident(org, incident), payload, of_incident),
    }
}

/// Bytes as a row, with keys of several lengths, and as a line of an export: whatever they are, it is an error
/// or a thing.
fn as_thing(bytes: &[u8]) {
    let read = |_: &[u8]| None;
    for end in [17, 33, 41, 49, bytes.len()] {
        let (key, value) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        if let Ok(Some(thing)) = Thing::read(key, value, &read) {
            let _ = thing.rows(&read);
        }
    }
    if let Ok(thing) = serde_json::from_slice::<Thing>(bytes) {
        let _ = thing.rows(&read);
    }
}

/// A record without more to it than its bytes.
fn plain<T: Stored>(key: &[u8], payload: &[u8]) -> Result<(), String> {
    let _ = decode::<T>(key, payload);
    let _ = decode::<T>(key, &frame::<T>(key, payload));
    Ok(())
}

/// A record whose key holds an instant that is in the record, too: the key is not known before it is decoded.
fn past<T: Stored, E: Entity + PartialEq + Debug>(
    payload: &[u8],
    build: impl Fn(T) -> Result<E, Corrupt>,
) -> Result<(), String> {
    let _ = decode::<T>(b"key", payload);
    let Ok(thing) = decode::<T>(b"key", &frame::<T>(b"key", payload)).and_then(&build) else { return Ok(()) };
    let mut rows = Rows::default();
    if thing.rows(&mut rows) == Err(Corrupt::Large) {
        return Ok(());
    }
    for (key, value) in rows.into_map() {
        match decode::<T>(&key, &value).and_then(&build) {
            Ok(again) if again == thing => {}
            other => return Err(format!("{thing:?} was read back as {other:?}")),
        }
    }
    Ok(())
}

fn entity<T: Stored, E: Entity + PartialEq + Debug>(
    key: &[u8],
    payload: &[u8],
    build: impl Fn(T, &Map) -> Result<E, Corrupt>,
) -> Result<(), String> {
    written_by(T::VERSION, key, payload, build)
}

/// A record of some version: what it holds is written as the newest.
fn written_by<T: Stored, E: Entity + PartialEq + Debug>(
    version: u8,
    key: &[u8],
    payload: &[u8],
    build: impl Fn(T, &Map) -> Result<E, Corrupt>,
) -> Result<(), String> {
    plain::<T>(key, payload)?;
    let read = |value: &[u8], rows: &Map| decode::<T>(key, value).and_then(|row| build(row, rows));
    let Ok(thing) = read(&framed(key, version, payload), &Map::new()) else { return Ok(()) };
    let mut rows = Rows::default();
    match thing.rows(&mut rows) {
        // Damage can make a thing larger than anything that was ever written.
        Err(Corrupt::Large) => return Ok(()),
        other => other.map_err(|why| format!("{thing:?} cannot be written: {why}"))?,
    }
    let rows = rows.into_map();
    let value = rows.get(key).ok_or_else(|| format!("{thing:?} has no record"))?;
    match read(value, &rows) {
        Ok(again) if again == thing => Ok(()),
        other => Err(format!("{thing:?} was read back as {other:?}")),
    }
}

fn audit(org: OrgId, incident: IncidentId, payload: &[u8]) -> Result<(), String> {
    let key = Table::Audit.of(org, &[&ID, &OTHER]);
    plain::<AuditV1>(&key, payload)?;
    let Ok(events) = decode(&key, &frame::<AuditV1>(&key, payload)).and_then(audit_of) else { return Ok(()) };
    let mut rows = Rows::default();
    if audit_rows(&AuditEntry { org, incident, events: events.clone() }, &mut rows).is_err() {
        return Ok(());
    }
    // Damage can give several rows the same first event; then they overwrite one another.
    let written: Vec<_> = rows.into_map().into_iter().collect();
    if written.len() == 1 {
        let again = written.iter().map(|(key, value)| decode(key, value).and_then(audit_of));
        match again.collect::<Result<Vec<_>, _>>() {
            Ok(again) if again.concat() == events || events.len() > 16 => {}
            other => return Err(format!("{events:?} was read back as {other:?}")),
        }
    }
    Ok(())
}
