//! The stored form of on-call schedules, rotation layers, overrides, and the history of rotations and of the order of layers.
//!
//! Past rotations, past orders and overrides are sorted by their end within a schedule, so that those which matter from an
//! instant on are one scan: what has ended before costs nothing. Past rotations and orders never change.

use bincode::{Decode, Encode};
use dogwatch_core::id::{Id, OverrideId, RotationLayerId, ScheduleId};
use dogwatch_core::oncall::{
    HandoffTime, OnCallPort, Override, Past, PastOrder, PastRotation, Phase, Remains, Rotation, RotationLayer,
    RotationLength, RotationSettings, RotationType, Schedule, Standing,
};
use dogwatch_core::removal::Removed;
use dogwatch_core::text::{Description, Reason, ScheduleName};
use dogwatch_core::{Error, OrgId, Timestamp, UserId, Zone};
#[cfg(feature = "export")]
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[cfg(feature = "export")]
use super::json;
use super::text::{Reader, TextV1, gather};
use super::{Entity, Line, NamedV1, Raw, Row, Rows, by_byte, removal, text, timestamp};
use crate::record::{Corrupt, Stored};
use crate::sync::Arc;
use crate::table::{self, Table, end_of};
use crate::tools::Verifier;
use crate::view::{OrgView, corrupt, id_at_end};

impl Table {
    /// On-call schedules by id.
    pub(crate) const SCHEDULE: Self = Self::new(b'd', "Schedule");
    /// Index of the names of schedules.
    pub(crate) const SCHEDULE_NAME: Self = Self::new(b'D', "ScheduleName");
    /// Rotation layers by schedule, with their present rotations.
    pub(crate) const LAYER: Self = Self::new(b'l', "Layer");
    /// Past rotations of layers, by schedule and end.
    pub(crate) const PAST_ROTATION: Self = Self::new(b'p', "PastRotation");
    /// Index of past rotations by layer and end.
    pub(crate) const PAST_ROTATION_BY_LAYER: Self = Self::new(b'Y', "PastRotationByLayer");
    /// Past orders of the layers of a schedule, by schedule and end.
    pub(crate) const PAST_ORDER: Self = Self::new(b'o', "PastOrder");
    /// Overrides by schedule and end.
    pub(crate) const OVERRIDE: Self = Self::new(b'v', "Override");
    /// Index of the present rotations by each of their participants.
    pub(crate) const ROTATION_BY_USER: Self = Self::new(b'r', "RotationByUser");
    /// Overrides by user and end, with the same record as in `Override`.
    pub(crate) const OVERRIDE_BY_USER: Self = Self::new(b'w', "OverrideByUser");
}

/// The tables that this module declares.
pub(super) const TABLES: &[Table] = &[
    Table::SCHEDULE,
    Table::SCHEDULE_NAME,
    Table::LAYER,
    Table::PAST_ROTATION,
    Table::PAST_ROTATION_BY_LAYER,
    Table::PAST_ORDER,
    Table::OVERRIDE,
    Table::ROTATION_BY_USER,
    Table::OVERRIDE_BY_USER,
];

pub(super) fn type_byte(kind: RotationType) -> u8 {
    match kind {
        RotationType::Daily => 1,
        RotationType::Weekly => 2,
        RotationType::Custom => 3,
    }
}

/// The time zone with a name. A name that this version's database does not know is [`Corrupt::Value`].
pub(super) fn zone(name: &str) -> Result<Zone, Corrupt> {
    Zone::new(name).map_err(|_| Corrupt::Value)
}

fn ids<T: Id>(ids: &[T]) -> Vec<[u8; 16]> {
    ids.iter().map(|id| id.to_bytes()).collect()
}

/// The record of a schedule. Organization and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct ScheduleV1 {
    name: String,
    pub(crate) description: Option<TextV1>,
    zone: String,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    created_by: [u8; 16],
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    updated_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::IdsForm::<RotationLayerId>"))]
    order: Vec<[u8; 16]>,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    order_since: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    changed_at: i64,
    /// The number of overrides that were ever created.
    overrides: u64,
}

impl Stored for ScheduleV1 {
    const VERSION: u8 = 1;
}

impl Entity for Schedule {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let description = self.description.as_ref();
        let description = description.map(|text| TextV1::store(text.as_str(), self.org_id, self.id.to_bytes(), rows));
        let record = ScheduleV1 {
            name: self.name.as_str().to_owned(),
            description: description.transpose()?,
            zone: self.zone.name().to_owned(),
            created_by: self.created_by.to_bytes(),
            created_at: self.created_at.as_millis(),
            updated_at: self.updated_at.as_millis(),
            order: ids(&self.order),
            order_since: self.order_since.as_millis(),
            changed_at: self.changed_at.as_millis(),
            overrides: self.overrides,
        };
        let named = NamedV1 { id: self.id.to_bytes() };
        rows.record(Table::SCHEDULE_NAME.of(self.org_id, &[self.name.as_str().as_bytes()]), &named)?;
        rows.record(Table::SCHEDULE.record(self.org_id, self.id), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.of(self.org_id).counts.schedules += 1;
        verifier.layers(key, self);
    }
}

impl ScheduleV1 {
    pub(crate) fn of(self, org: OrgId, id: ScheduleId, read: Reader<'_>) -> Result<Schedule, Corrupt> {
        let description = self.description.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
        Ok(Schedule {
            id,
            org_id: org,
            name: text(ScheduleName::stored(self.name))?,
            description: description.map(|it| text(Description::new(it))).transpose()?,
            zone: zone(&self.zone)?,
            created_by: UserId::from_bytes(self.created_by),
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
            order: self.order.into_iter().map(RotationLayerId::from_bytes).collect(),
            order_since: timestamp(self.order_since)?,
            changed_at: timestamp(self.changed_at)?,
            overrides: self.overrides,
        })
    }
}

/// The rotation of a layer: its settings, and a turn whose participant is known, from which the others are counted.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
struct RotationV1 {
    zone: String,
    #[cfg_attr(feature = "export", serde(with = "json::rotation"))]
    kind: u8,
    /// The length of a turn in days, 1–366.
    days: u16,
    /// The handoff time in minutes after midnight, 0–1,439.
    handoff: u16,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    effective_from: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time::maybe"))]
    effective_until: Option<i64>,
    #[cfg_attr(feature = "export", serde(with = "json::IdsForm::<UserId>"))]
    participants: Vec<[u8; 16]>,
    /// How many boundaries lie between the anchor and the known turn.
    count: i64,
    /// The participant of the known turn: an index in the list of participants.
    place: u32,
}

impl From<&Rotation> for RotationV1 {
    fn from(rotation: &Rotation) -> Self {
        let input = rotation.settings();
        Self {
            zone: input.zone.name().to_owned(),
            kind: type_byte(input.length.kind()),
            days: input.length.days(),
            handoff: input.handoff.minutes(),
            effective_from: input.effective_from.as_millis(),
            effective_until: input.effective_until.map(|at| at.as_millis()),
            participants: ids(&input.participants),
            count: rotation.phase().boundaries,
            place: rotation.phase().participant,
        }
    }
}

impl TryFrom<RotationV1> for Rotation {
    type Error = Corrupt;
    fn try_from(row: RotationV1) -> Result<Self, Corrupt> {
        let kind = by_byte(&RotationType::ALL, type_byte, row.kind)?;
        let input = RotationSettings {
            zone: zone(&row.zone)?,
            length: text(RotationLength::new(kind, i64::from(row.days)))?,
            handoff: text(HandoffTime::from_minutes(row.handoff))?,
            effective_from: timestamp(row.effective_from)?,
            effective_until: row.effective_until.map(timestamp).transpose()?,
            participants: row.participants.into_iter().map(UserId::from_bytes).collect(),
        };
        // A count is at most the number of days from 1970 to 9999; a larger one would not fit the arithmetic of rotations.
        let plausible = (0..=4_000_000).contains(&row.count);
        if plausible {
            Ok(Self::new(input, Phase { boundaries: row.count, participant: row.place }))
        } else {
            Err(Corrupt::Value)
        }
    }
}

/// The record of a rotation layer with its present rotation, which holds since `since`.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct LayerV1 {
    name: String,
    terms: RotationV1,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    since: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    updated_at: i64,
}

impl Stored for LayerV1 {
    const VERSION: u8 = 1;
}

impl Entity for RotationLayer {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = LayerV1 {
            name: self.name.as_str().to_owned(),
            terms: RotationV1::from(&self.rotation),
            since: self.since.as_millis(),
            created_at: self.created_at.as_millis(),
            updated_at: self.updated_at.as_millis(),
        };
        for user in self.rotation.participants() {
            let parts = [&user.to_bytes()[..], &self.schedule_id.to_bytes(), &self.id.to_bytes()];
            rows.index(Table::ROTATION_BY_USER.of(self.org_id, &parts));
        }
        rows.record(Table::LAYER.of(self.org_id, &[&self.schedule_id.to_bytes(), &self.id.to_bytes()]), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_schedule(key, self.org_id, self.schedule_id);
        verifier.need_users(key, self.org_id, self.rotation.participants().iter().copied());
    }
}

impl LayerV1 {
    pub(crate) fn of(self, org: OrgId, schedule: ScheduleId, id: RotationLayerId) -> Result<RotationLayer, Corrupt> {
        Ok(RotationLayer {
            id,
            schedule_id: schedule,
            org_id: org,
            name: text(ScheduleName::stored(self.name))?,
            rotation: self.terms.try_into()?,
            since: timestamp(self.since)?,
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
        })
    }
}

/// The record of a past rotation of a layer, which held from `since` until just before `until`.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct PastRotationV1 {
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    since: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    until: i64,
    terms: RotationV1,
}

impl Stored for PastRotationV1 {
    const VERSION: u8 = 1;
}

impl Entity for PastRotation {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = PastRotationV1 {
            since: self.since.as_millis(),
            until: self.until.as_millis(),
            terms: RotationV1::from(&self.rotation),
        };
        let key = past_rotation_key(self.org_id, self.schedule_id, self.until, self.layer_id);
        rows.index(past_rotation_by_layer(&key).ok_or(Corrupt::Key)?);
        rows.record(key, &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_schedule_that_was(key, self.org_id, self.schedule_id);
        verifier.need_users(key, self.org_id, self.rotation.participants().iter().copied());
    }
}

fn past_rotation_key(org: OrgId, schedule: ScheduleId, until: Timestamp, layer: RotationLayerId) -> Vec<u8> {
    Table::PAST_ROTATION.of(org, &[&schedule.to_bytes(), &table::instant(until), &layer.to_bytes()])
}

/// The key in the index by layer of the past rotation with a key; `None` for other keys.
pub(crate) fn past_rotation_by_layer(key: &[u8]) -> Option<Vec<u8>> {
    let rest = key.strip_prefix(Table::PAST_ROTATION.key(&[]).as_slice())?;
    let (org_and_schedule, rest) = rest.split_first_chunk::<32>()?;
    let (until, layer) = rest.split_first_chunk::<8>()?;
    Some(Table::PAST_ROTATION_BY_LAYER.key(&[org_and_schedule, layer, until]))
}

/// The number of past rotations that are read by their ends before those of each layer are looked up.
const BY_END: usize = 64;

/// The tables from whose rows it follows who is on call in a schedule. Their keys begin with organization and schedule.
const STANDING: [Table; 5] = [Table::SCHEDULE, Table::LAYER, Table::PAST_ROTATION, Table::PAST_ORDER, Table::OVERRIDE];

/// The key of the schedule in whose answers a row has a part.
pub(super) fn standing_of(key: &[u8]) -> Option<Vec<u8>> {
    let (tag, rest) = key.split_first()?;
    let schedule = rest.first_chunk::<32>()?;
    STANDING.iter().any(|table| table.tag() == *tag).then(|| Table::SCHEDULE.key(&[schedule]))
}

/// The beginnings of the keys of the rows from which it follows who is on call in the schedule with a key.
pub(super) fn made_of(schedule: &[u8]) -> Vec<Vec<u8>> {
    let rest = schedule.get(1..).unwrap_or_default();
    STANDING.iter().map(|table| table.key(&[rest])).collect()
}

impl OrgView<'_> {
    /// The past rotations of a schedule that are asked for, looked up layer by layer: what is not of the part that is asked for costs
    /// nothing, but for one look at each layer that ever was.
    fn past_by_layer(&self, schedule: ScheduleId, past: Past) -> Result<Vec<PastRotation>, Error> {
        let all = Table::PAST_ROTATION_BY_LAYER.record(self.org, schedule);
        let (mut start, mut found) = (all.clone(), Vec::new());
        while let Some(pair) = self.store.scan(&start, &end_of(&all)).next() {
            let (key, _) = pair?;
            let layer = key.get(all.len()..).and_then(|rest| rest.first_chunk::<16>());
            let layer = RotationLayerId::from_bytes(*layer.ok_or_else(|| corrupt(&key, Corrupt::Key))?);
            let of_layer = [all.as_slice(), &layer.to_bytes()].concat();
            let later = end_of(&[of_layer.as_slice(), &table::instant(past.after)].concat());
            for pair in self.store.scan(&later, &end_of(&of_layer)).take(past.most) {
                let (key, _) = pair?;
                let until = key.last_chunk::<8>().map(|bytes| timestamp(i64::from_be_bytes(*bytes)));
                let until = until.ok_or(Corrupt::Key).and_then(|until| until).map_err(|why| corrupt(&key, why))?;
                let key = past_rotation_key(self.org, schedule, until, layer);
                let record: PastRotationV1 = self.store.record(&key)?.ok_or_else(|| corrupt(&key, Corrupt::Missing))?;
                let one = record.of(self.org, schedule, layer).map_err(|why| corrupt(&key, why))?;
                if one.since >= past.before {
                    break;
                }
                found.push(one);
            }
            start = end_of(&of_layer);
        }
        Ok(found)
    }
}

impl PastRotationV1 {
    pub(crate) fn of(self, org: OrgId, schedule: ScheduleId, layer: RotationLayerId) -> Result<PastRotation, Corrupt> {
        let (since, until) = (timestamp(self.since)?, timestamp(self.until)?);
        Ok(PastRotation {
            org_id: org,
            schedule_id: schedule,
            layer_id: layer,
            since,
            until,
            rotation: self.terms.try_into()?,
        })
    }
}

/// The record of a past order of the layers of a schedule, which held from `since` until just before `until`.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct PastOrderV1 {
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    since: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    until: i64,
    #[cfg_attr(feature = "export", serde(with = "json::IdsForm::<RotationLayerId>"))]
    order: Vec<[u8; 16]>,
}

impl Stored for PastOrderV1 {
    const VERSION: u8 = 1;
}

impl Entity for PastOrder {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record =
            PastOrderV1 { since: self.since.as_millis(), until: self.until.as_millis(), order: ids(&self.order) };
        let parts = [&self.schedule_id.to_bytes()[..], &table::instant(self.until)];
        rows.record(Table::PAST_ORDER.of(self.org_id, &parts), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_schedule_that_was(key, self.org_id, self.schedule_id);
    }
}

impl PastOrderV1 {
    pub(crate) fn of(self, org: OrgId, schedule: ScheduleId) -> Result<PastOrder, Corrupt> {
        let order = self.order.into_iter().map(RotationLayerId::from_bytes).collect();
        Ok(PastOrder {
            org_id: org,
            schedule_id: schedule,
            since: timestamp(self.since)?,
            until: timestamp(self.until)?,
            order,
        })
    }
}

/// The record of an override. Organization and id are in the key.
#[derive(Debug, Encode, Decode)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct OverrideV1 {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ScheduleId>"))]
    schedule: [u8; 16],
    /// 1, 2, 3 … in the order of creation in the schedule; of several at once, the greatest number wins.
    number: u64,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    user: [u8; 16],
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    starts_at: i64,
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    ends_at: i64,
    reason: Option<String>,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<UserId>"))]
    created_by: [u8; 16],
    #[cfg_attr(feature = "export", serde(with = "json::time"))]
    created_at: i64,
}

impl Stored for OverrideV1 {
    const VERSION: u8 = 1;
}

impl Entity for Override {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = OverrideV1 {
            schedule: self.schedule_id.to_bytes(),
            number: self.number,
            user: self.user_id.to_bytes(),
            starts_at: self.starts_at.as_millis(),
            ends_at: self.ends_at.as_millis(),
            reason: self.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            created_by: self.created_by.to_bytes(),
            created_at: self.created_at.as_millis(),
        };
        let end = table::instant(self.ends_at);
        let by_user = [&self.user_id.to_bytes()[..], &end, &self.id.to_bytes()];
        rows.record(Table::OVERRIDE_BY_USER.of(self.org_id, &by_user), &record)?;
        let parts = [&self.schedule_id.to_bytes()[..], &end, &self.id.to_bytes()];
        rows.record(Table::OVERRIDE.of(self.org_id, &parts), &record)
    }

    fn check(&self, key: &[u8], verifier: &mut Verifier<'_, '_>) {
        verifier.need_schedule_that_was(key, self.org_id, self.schedule_id);
        verifier.need_users(key, self.org_id, [self.user_id]);
    }
}

impl OverrideV1 {
    pub(crate) fn of(self, org: OrgId, id: OverrideId) -> Result<Override, Corrupt> {
        Ok(Override {
            id,
            schedule_id: ScheduleId::from_bytes(self.schedule),
            org_id: org,
            number: self.number,
            user_id: UserId::from_bytes(self.user),
            starts_at: timestamp(self.starts_at)?,
            ends_at: timestamp(self.ends_at)?,
            reason: self.reason.map(|it| text(Reason::new(it))).transpose()?,
            created_by: UserId::from_bytes(self.created_by),
            created_at: timestamp(self.created_at)?,
        })
    }
}

/// The line of a schedule in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct ScheduleLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ScheduleId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: ScheduleV1,
}

impl Line for ScheduleLine {
    type Entity = Schedule;
    const TABLES: &'static [Table] = &[Table::SCHEDULE];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, read: Reader<'_>) -> Result<Schedule, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), ScheduleId::from_bytes(self.id), read)
    }

    fn gather(&mut self, read: Reader<'_>) -> Result<(), Corrupt> {
        gather(&mut self.record.description, self.org, self.id, read)
    }
}

/// The line of a rotation layer in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct RotationLayerLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ScheduleId>"))]
    schedule: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<RotationLayerId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: LayerV1,
}

impl Line for RotationLayerLine {
    type Entity = RotationLayer;
    const TABLES: &'static [Table] = &[Table::LAYER];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        Ok(Some(Self { org: row.id()?, schedule: row.id()?, id: row.id()?, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<RotationLayer, Corrupt> {
        let (schedule, id) = (ScheduleId::from_bytes(self.schedule), RotationLayerId::from_bytes(self.id));
        self.record.of(OrgId::from_bytes(self.org), schedule, id)
    }
}

/// The line of a past rotation of a layer in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct PastRotationLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ScheduleId>"))]
    schedule: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<RotationLayerId>"))]
    layer: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: PastRotationV1,
}

impl Line for PastRotationLine {
    type Entity = PastRotation;
    const TABLES: &'static [Table] = &[Table::PAST_ROTATION];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        let (org, schedule, _, layer) = (row.id()?, row.id()?, row.take::<8>()?, row.id()?);
        Ok(Some(Self { org, schedule, layer, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<PastRotation, Corrupt> {
        let (schedule, layer) = (ScheduleId::from_bytes(self.schedule), RotationLayerId::from_bytes(self.layer));
        self.record.of(OrgId::from_bytes(self.org), schedule, layer)
    }
}

/// The line of a past order of the layers of a schedule in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct PastOrderLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<ScheduleId>"))]
    schedule: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: PastOrderV1,
}

impl Line for PastOrderLine {
    type Entity = PastOrder;
    const TABLES: &'static [Table] = &[Table::PAST_ORDER];

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        let (org, schedule, _) = (row.id()?, row.id()?, row.take::<8>()?);
        Ok(Some(Self { org, schedule, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<PastOrder, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), ScheduleId::from_bytes(self.schedule))
    }
}

/// The line of an override in an export.
#[derive(Debug)]
#[cfg_attr(feature = "export", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub(crate) struct OverrideLine {
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OrgId>"))]
    org: Raw,
    #[cfg_attr(feature = "export", serde(with = "json::IdForm::<OverrideId>"))]
    id: Raw,
    #[cfg_attr(feature = "export", serde(flatten))]
    record: OverrideV1,
}

impl Line for OverrideLine {
    type Entity = Override;
    const TABLES: &'static [Table] = &[Table::OVERRIDE];
    const FOLLOWED: bool = true;

    fn read(row: &mut Row<'_>) -> Result<Option<Self>, Corrupt> {
        let (org, _, _, id) = (row.id()?, row.id()?, row.take::<8>()?, row.id()?);
        Ok(Some(Self { org, id, record: row.record()? }))
    }

    fn entity(self, _read: Reader<'_>) -> Result<Override, Corrupt> {
        self.record.of(OrgId::from_bytes(self.org), OverrideId::from_bytes(self.id))
    }
}

#[deny(clippy::missing_trait_methods)]
impl OnCallPort for OrgView<'_> {
    fn schedule(&self, id: ScheduleId) -> Result<Option<Schedule>, Error> {
        let key = Table::SCHEDULE.record(self.org, id);
        self.entity(&key, |row: ScheduleV1| row.of(self.org, id, &|key| self.read(key)))
    }

    fn schedule_named(&self, name: &ScheduleName) -> Result<Option<ScheduleId>, Error> {
        let key = Table::SCHEDULE_NAME.of(self.org, &[name.as_str().as_bytes()]);
        Ok(self.store.record::<NamedV1>(&key)?.map(|named| ScheduleId::from_bytes(named.id)))
    }

    fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        self.named(Table::SCHEDULE_NAME, |id| self.schedule(ScheduleId::from_bytes(id)))
    }

    fn layers(&self, schedule: ScheduleId) -> Result<Vec<RotationLayer>, Error> {
        self.store.records(&Table::LAYER.record(self.org, schedule), |row: LayerV1, id| row.of(self.org, schedule, id))
    }

    fn past_rotations(&self, schedule: ScheduleId, past: Past) -> Result<Vec<PastRotation>, Error> {
        let prefix = Table::PAST_ROTATION.record(self.org, schedule);
        let build = |row: PastRotationV1, layer| row.of(self.org, schedule, layer);
        let mut by_end = self.store.records_after(&prefix, past.after, build);
        if past == Past::after(past.after) {
            return by_end.collect();
        }
        // Mostly little or nothing has ended since.
        let first = by_end.by_ref().take(BY_END).collect::<Result<Vec<_>, _>>()?;
        if by_end.next().is_none() {
            return Ok(past.pick_rotations(first.into_iter()));
        }
        self.past_by_layer(schedule, past)
    }

    fn past_orders(&self, schedule: ScheduleId, past: Past) -> Result<Vec<PastOrder>, Error> {
        let prefix = Table::PAST_ORDER.record(self.org, schedule);
        // The key of an order ends with an instant, not with an id: the id that is read from its last 16 bytes is ignored.
        let build = |row: PastOrderV1, _: ScheduleId| row.of(self.org, schedule);
        // They follow one another: what begins later comes later.
        let asked = |one: &Result<PastOrder, Error>| one.as_ref().map_or(true, |one| one.since < past.before);
        self.store.records_after(&prefix, past.after, build).take_while(asked).take(past.most).collect()
    }

    fn overrides(&self, schedule: ScheduleId, after: Timestamp) -> Result<Vec<Override>, Error> {
        let prefix = Table::OVERRIDE.record(self.org, schedule);
        self.store.records_after(&prefix, after, |row: OverrideV1, id| row.of(self.org, id)).collect()
    }

    fn remains(&self, schedule: ScheduleId, most: usize) -> Result<Remains, Error> {
        let (prefix, build) = (Table::PAST_ROTATION.record(self.org, schedule), |row: PastRotationV1, layer| {
            row.of(self.org, schedule, layer)
        });
        let rotations = self.store.records_after(&prefix, Timestamp::MIN, build).take(most);
        let rotations = rotations.collect::<Result<Vec<_>, _>>()?;
        let most = most.saturating_sub(rotations.len());
        let orders = self.past_orders(schedule, Past { most, ..Past::after(Timestamp::MIN) })?;
        let (prefix, most) = (Table::OVERRIDE.record(self.org, schedule), most.saturating_sub(orders.len()));
        let build = |row: OverrideV1, id| row.of(self.org, id);
        let overrides = self.store.records_after(&prefix, Timestamp::MIN, build).take(most);
        Ok(Remains { rotations, orders, overrides: overrides.collect::<Result<_, _>>()? })
    }

    fn standing(&self, schedule: ScheduleId) -> Result<Option<Standing>, Error> {
        let known = self.store.remembered_alone(&Table::SCHEDULE.record(self.org, schedule));
        Ok(known.and_then(|known| known.downcast::<Standing>().ok()).map(|known| Standing::clone(&known)))
    }

    fn keep_standing(&self, schedule: ScheduleId, standing: &Standing) {
        let bytes = size_of_val(standing.on_call.paging_targets.as_slice());
        self.store.remember(&Table::SCHEDULE.record(self.org, schedule), Arc::new(standing.clone()), bytes);
    }

    fn rotations_of(&self, user: UserId, most: usize) -> Result<Vec<ScheduleId>, Error> {
        let schedule = |key: &[u8]| {
            // The key ends with the ids of user, schedule and layer.
            let (rest, _) = key.split_last_chunk::<16>().ok_or_else(|| corrupt(key, Corrupt::Key))?;
            id_at_end(rest).map_err(|why| corrupt(key, why))
        };
        let rotations = self.store.under(&Table::ROTATION_BY_USER.record(self.org, user)).take(most);
        rotations.map(|pair| schedule(&pair?.0)).collect()
    }

    fn overrides_of(&self, user: UserId, after: Timestamp, most: usize) -> Result<Vec<Override>, Error> {
        let prefix = Table::OVERRIDE_BY_USER.record(self.org, user);
        self.store.records_after(&prefix, after, |row: OverrideV1, id| row.of(self.org, id)).take(most).collect()
    }
}

impl Verifier<'_, '_> {
    pub(super) fn need_schedule(&mut self, key: &[u8], org: OrgId, schedule: ScheduleId) {
        self.need(key, &Table::SCHEDULE.record(org, schedule), "a schedule");
    }

    /// As [`Verifier::need_schedule`], for what is deleted with its schedule, or after it.
    fn need_schedule_that_was(&mut self, key: &[u8], org: OrgId, schedule: ScheduleId) {
        let removal = removal::key(org, Removed::Schedule(schedule));
        if !matches!(self.snapshot.get(&removal), Ok(Some(_))) {
            self.need_schedule(key, org, schedule);
        }
    }

    /// Checks that the order of a schedule lists exactly its layers.
    fn layers(&mut self, key: &[u8], schedule: &Schedule) {
        let prefix = Table::LAYER.record(schedule.org_id, schedule.id);
        let there: BTreeSet<_> = self.snapshot.under(&prefix).map_while(Result::ok).map(|(key, _)| key).collect();
        let layer = |id: &RotationLayerId| Table::LAYER.of(schedule.org_id, &[&schedule.id.to_bytes(), &id.to_bytes()]);
        let ordered: BTreeSet<_> = schedule.order.iter().map(layer).collect();
        if there != ordered {
            self.report.add(key, "the layers in its order are not the layers that there are");
        }
    }
}
