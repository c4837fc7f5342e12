//! Stored forms of schedules, rotation layers, what held before, and overrides.

use bincode::{Decode, Encode};
use dogwatch_core::id::{Id, OverrideId, RotationLayerId, ScheduleId};
use dogwatch_core::oncall::{
    HandoffTime, Override, PastOrder, PastTerms, Phase, RotationLayer, RotationLength, RotationType, Schedule, Terms,
    TermsInput,
};
use dogwatch_core::text::{Description, Reason, ScheduleName};
use dogwatch_core::{OrgId, UserId, Zone};
use serde::{Deserialize, Serialize};

use super::text::{Reader, TextV1};
use super::{Entity, NamedV1, Rows, by_byte, json, text, timestamp};
use crate::keys::{self, Table};
use crate::record::{Corrupt, Stored};

pub(super) fn type_byte(kind: RotationType) -> u8 {
    match kind {
        RotationType::Daily => 1,
        RotationType::Weekly => 2,
        RotationType::Custom => 3,
    }
}

/// The zone that a record names. A zone that this version's database does not know cannot be read.
fn zone(name: &str) -> Result<Zone, Corrupt> {
    Zone::new(name).map_err(|_| Corrupt::Value)
}

fn ids<T: Id>(ids: &[T]) -> Vec<[u8; 16]> {
    ids.iter().map(|id| id.to_bytes()).collect()
}

/// A schedule.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScheduleV1 {
    name: String,
    pub(crate) description: Option<TextV1>,
    zone: String,
    #[serde(with = "json::user")]
    created_by: [u8; 16],
    #[serde(with = "json::time")]
    created_at: i64,
    #[serde(with = "json::time")]
    updated_at: i64,
    #[serde(with = "json::rotation_layer::list")]
    order: Vec<[u8; 16]>,
    #[serde(with = "json::time")]
    order_since: i64,
    #[serde(with = "json::time")]
    changed_at: i64,
    overrides: u64,
}

impl Stored for ScheduleV1 {
    const VERSION: u8 = 1;
}

impl Entity for Schedule {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let description = self.description.as_ref();
        let description = description.map(|text| TextV1::store(text.as_str(), self.org, self.id.to_bytes(), rows));
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
        rows.record(Table::ScheduleName.of(self.org, &[self.name.as_str().as_bytes()]), &named)?;
        rows.record(Table::Schedule.record(self.org, self.id), &record)
    }
}

impl ScheduleV1 {
    pub(crate) fn of(self, org: OrgId, id: ScheduleId, read: Reader<'_>) -> Result<Schedule, Corrupt> {
        let description = self.description.map(|stored| stored.load(org, id.to_bytes(), read)).transpose()?;
        Ok(Schedule {
            id,
            org,
            name: text(ScheduleName::new(self.name))?,
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

/// What a layer was told, and from which turn it goes on.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TermsV1 {
    zone: String,
    #[serde(with = "json::rotation")]
    kind: u8,
    days: u16,
    handoff: u16,
    #[serde(with = "json::time")]
    effective_from: i64,
    #[serde(with = "json::time::maybe")]
    effective_until: Option<i64>,
    #[serde(with = "json::user::list")]
    participants: Vec<[u8; 16]>,
    count: i64,
    place: u32,
}

impl From<&Terms> for TermsV1 {
    fn from(terms: &Terms) -> Self {
        let input = terms.input();
        Self {
            zone: input.zone.name().to_owned(),
            kind: type_byte(input.length.kind()),
            days: input.length.days(),
            handoff: input.handoff.minutes(),
            effective_from: input.effective_from.as_millis(),
            effective_until: input.effective_until.map(|at| at.as_millis()),
            participants: ids(&input.participants),
            count: terms.phase().count,
            place: terms.phase().place,
        }
    }
}

impl TryFrom<TermsV1> for Terms {
    type Error = Corrupt;
    fn try_from(row: TermsV1) -> Result<Self, Corrupt> {
        let kind = by_byte(&RotationType::ALL, type_byte, row.kind)?;
        let input = TermsInput {
            zone: zone(&row.zone)?,
            length: text(RotationLength::new(kind, i64::from(row.days)))?,
            handoff: text(HandoffTime::from_minutes(row.handoff))?,
            effective_from: timestamp(row.effective_from)?,
            effective_until: row.effective_until.map(timestamp).transpose()?,
            participants: row.participants.into_iter().map(UserId::from_bytes).collect(),
        };
        // A count is a number of days at most; anything larger would not fit the arithmetic of rotations.
        let plausible = (0..=4_000_000).contains(&row.count);
        if plausible { Ok(Self::new(input, Phase { count: row.count, place: row.place })) } else { Err(Corrupt::Value) }
    }
}

/// A rotation layer as it is now.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayerV1 {
    name: String,
    terms: TermsV1,
    #[serde(with = "json::time")]
    since: i64,
    #[serde(with = "json::time")]
    created_at: i64,
    #[serde(with = "json::time")]
    updated_at: i64,
}

impl Stored for LayerV1 {
    const VERSION: u8 = 1;
}

impl Entity for RotationLayer {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = LayerV1 {
            name: self.name.as_str().to_owned(),
            terms: TermsV1::from(&self.terms),
            since: self.since.as_millis(),
            created_at: self.created_at.as_millis(),
            updated_at: self.updated_at.as_millis(),
        };
        for user in self.terms.participants() {
            let parts = [&user.to_bytes()[..], &self.schedule.to_bytes(), &self.id.to_bytes()];
            rows.index(Table::RotationByUser.of(self.org, &parts));
        }
        rows.record(Table::Layer.of(self.org, &[&self.schedule.to_bytes(), &self.id.to_bytes()]), &record)
    }
}

impl LayerV1 {
    pub(crate) fn of(self, org: OrgId, schedule: ScheduleId, id: RotationLayerId) -> Result<RotationLayer, Corrupt> {
        Ok(RotationLayer {
            id,
            schedule,
            org,
            name: text(ScheduleName::new(self.name))?,
            terms: self.terms.try_into()?,
            since: timestamp(self.since)?,
            created_at: timestamp(self.created_at)?,
            updated_at: timestamp(self.updated_at)?,
        })
    }
}

/// What held for a layer once.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PastTermsV1 {
    #[serde(with = "json::time")]
    since: i64,
    #[serde(with = "json::time")]
    until: i64,
    terms: TermsV1,
}

impl Stored for PastTermsV1 {
    const VERSION: u8 = 1;
}

impl Entity for PastTerms {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = PastTermsV1 {
            since: self.since.as_millis(),
            until: self.until.as_millis(),
            terms: TermsV1::from(&self.terms),
        };
        let parts = [&self.schedule.to_bytes()[..], &keys::instant(self.until), &self.layer.to_bytes()];
        rows.record(Table::PastTerms.of(self.org, &parts), &record)
    }
}

impl PastTermsV1 {
    pub(crate) fn of(self, org: OrgId, schedule: ScheduleId, layer: RotationLayerId) -> Result<PastTerms, Corrupt> {
        let (since, until) = (timestamp(self.since)?, timestamp(self.until)?);
        Ok(PastTerms { org, schedule, layer, since, until, terms: self.terms.try_into()? })
    }
}

/// An order of layers that was.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PastOrderV1 {
    #[serde(with = "json::time")]
    since: i64,
    #[serde(with = "json::time")]
    until: i64,
    #[serde(with = "json::rotation_layer::list")]
    order: Vec<[u8; 16]>,
}

impl Stored for PastOrderV1 {
    const VERSION: u8 = 1;
}

impl Entity for PastOrder {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record =
            PastOrderV1 { since: self.since.as_millis(), until: self.until.as_millis(), order: ids(&self.order) };
        let parts = [&self.schedule.to_bytes()[..], &keys::instant(self.until)];
        rows.record(Table::PastOrder.of(self.org, &parts), &record)
    }
}

impl PastOrderV1 {
    pub(crate) fn of(self, org: OrgId, schedule: ScheduleId) -> Result<PastOrder, Corrupt> {
        let order = self.order.into_iter().map(RotationLayerId::from_bytes).collect();
        Ok(PastOrder { org, schedule, since: timestamp(self.since)?, until: timestamp(self.until)?, order })
    }
}

/// An override.
#[derive(Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverrideV1 {
    #[serde(with = "json::schedule")]
    schedule: [u8; 16],
    number: u64,
    #[serde(with = "json::user")]
    user: [u8; 16],
    #[serde(with = "json::time")]
    starts_at: i64,
    #[serde(with = "json::time")]
    ends_at: i64,
    reason: Option<String>,
    #[serde(with = "json::user")]
    created_by: [u8; 16],
    #[serde(with = "json::time")]
    created_at: i64,
}

impl Stored for OverrideV1 {
    const VERSION: u8 = 1;
}

impl Entity for Override {
    fn rows(&self, rows: &mut Rows) -> Result<(), Corrupt> {
        let record = OverrideV1 {
            schedule: self.schedule.to_bytes(),
            number: self.number,
            user: self.user.to_bytes(),
            starts_at: self.starts_at.as_millis(),
            ends_at: self.ends_at.as_millis(),
            reason: self.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            created_by: self.created_by.to_bytes(),
            created_at: self.created_at.as_millis(),
        };
        let end = keys::instant(self.ends_at);
        let by_user = [&self.user.to_bytes()[..], &end, &self.id.to_bytes()];
        rows.record(Table::OverrideByUser.of(self.org, &by_user), &record)?;
        let parts = [&self.schedule.to_bytes()[..], &end, &self.id.to_bytes()];
        rows.record(Table::Override.of(self.org, &parts), &record)
    }
}

impl OverrideV1 {
    pub(crate) fn of(self, org: OrgId, id: OverrideId) -> Result<Override, Corrupt> {
        Ok(Override {
            id,
            schedule: ScheduleId::from_bytes(self.schedule),
            org,
            number: self.number,
            user: UserId::from_bytes(self.user),
            starts_at: timestamp(self.starts_at)?,
            ends_at: timestamp(self.ends_at)?,
            reason: self.reason.map(|it| text(Reason::new(it))).transpose()?,
            created_by: UserId::from_bytes(self.created_by),
            created_at: timestamp(self.created_at)?,
        })
    }
}
