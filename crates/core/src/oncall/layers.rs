//! Rotation layers: adding, changing, ordering, removing (contract, sections 7 and 8). What held before an edit is kept.

use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::id::{Id, RotationLayerId, ScheduleId, UserId};
use crate::membership::are_members;
use crate::patch::Patch;
use crate::text::ScheduleName;
use crate::time::Timestamp;
use crate::validation::{Problem, Validation};
use crate::world::{Change, World, Write};
use crate::{checks, limits};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::query::RotationLayerView;
use super::{
    HandoffTime, Past, PastOrder, PastRotation, Phase, Rotation, RotationLayer, RotationLength, RotationSettings,
    RotationType, Schedule, find_to_change,
};

seal!(AddRotationLayer, EditRotationLayer, RemoveRotationLayer, OrderRotationLayers);

/// The settings of a layer, checked together (contract, section 7): length of turns, handoff time, the time for which it is
/// effective, and participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSettings {
    /// The length of a turn.
    pub length: RotationLength,
    /// The local time at which turns begin.
    pub handoff_time: HandoffTime,
    /// The first instant at which it holds, also the anchor from which turns are counted.
    pub effective_from: Timestamp,
    /// The first instant at which it does not hold any more, later than `effective_from`; `None`: it holds for good.
    pub effective_until: Option<Timestamp>,
    /// The participants, in the order of their turns: 1–50, repeats allowed.
    pub participant_ids: Vec<UserId>,
}

impl LayerSettings {
    /// Settings of a layer that holds for good.
    #[must_use]
    pub const fn new(
        length: RotationLength,
        handoff_time: HandoffTime,
        effective_from: Timestamp,
        participant_ids: Vec<UserId>,
    ) -> Self {
        Self { length, handoff_time, effective_from, effective_until: None, participant_ids }
    }

    /// Turns of one day.
    #[must_use]
    pub const fn daily(handoff_time: HandoffTime, effective_from: Timestamp, participant_ids: Vec<UserId>) -> Self {
        Self::new(RotationLength::DAILY, handoff_time, effective_from, participant_ids)
    }

    /// Turns of seven days. The first participant has the first turn, from `effective_from`; the second turn begins seven days after
    /// its local date, at `handoff_time`.
    #[must_use]
    pub const fn weekly(handoff_time: HandoffTime, effective_from: Timestamp, participant_ids: Vec<UserId>) -> Self {
        Self::new(RotationLength::WEEKLY, handoff_time, effective_from, participant_ids)
    }

    /// Checks the fields together: the number of participants, and that the end, if any, is later than the beginning.
    fn check(&self) -> Result<(), Error> {
        let mut check = Validation::new();
        check.field("participantIds", Self::check_participants(&self.participant_ids));
        check.field("effectiveUntil", Self::check_span(self.effective_from, self.effective_until));
        check.finish(|| Some(()))
    }

    /// The most participants of a layer.
    pub const MOST_PARTICIPANTS: usize = 50;

    /// Checks the number of participants: 1–50.
    ///
    /// # Errors
    /// A [`Problem`] of `participantIds` for any other number.
    pub fn check_participants(participants: &[UserId]) -> Result<(), Problem> {
        let most = Self::MOST_PARTICIPANTS;
        let fits = (1..=most).contains(&participants.len());
        if fits { Ok(()) } else { Err(Problem::new("participantIds", format!("must hold 1 to {most} users"))) }
    }

    /// Checks beginning and end together.
    ///
    /// # Errors
    /// A [`Problem`] of `effectiveUntil` unless it is later than `effectiveFrom`.
    pub fn check_span(effective_from: Timestamp, effective_until: Option<Timestamp>) -> Result<(), Problem> {
        let fits = effective_until.is_none_or(|until| until > effective_from);
        if fits { Ok(()) } else { Err(Problem::new("effectiveUntil", "must be later than `effectiveFrom`")) }
    }

    /// The settings of the rotation, in the zone of the schedule.
    fn rotation_settings(&self, schedule: &Schedule) -> RotationSettings {
        RotationSettings {
            zone: schedule.zone.clone(),
            length: self.length,
            handoff: self.handoff_time,
            effective_from: self.effective_from,
            effective_until: self.effective_until,
            participants: Arc::from(&*self.participant_ids),
        }
    }
}

/// Adds a layer behind the others (contract, section 7). It holds from its `effectiveFrom`, even where that is past.
///
/// Codes, in the order of the checks: `validation_error` (settings that do not go together), `not_found`, `name_conflict`,
/// `invalid_participant`, `limit_reached` (20 layers).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddRotationLayer {
    /// The schedule to which it is added.
    pub schedule_id: ScheduleId,
    /// Its name: 1–255 characters, unique among the layers of the schedule.
    pub name: ScheduleName,
    /// Its settings: who takes turns, and when.
    pub settings: LayerSettings,
}

impl AddRotationLayer {
    /// A new layer of this schedule.
    #[must_use]
    pub const fn new(schedule_id: ScheduleId, name: ScheduleName, settings: LayerSettings) -> Self {
        Self { schedule_id, name, settings }
    }
}

impl Command for AddRotationLayer {
    type Caller = ByMember;
    type Reply = RotationLayerView;
    const CODES: &'static [Code] =
        &[Code::Validation, Code::NotFound, Code::NameConflict, Code::InvalidParticipant, Code::LimitReached];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<RotationLayerView, Error> {
        self.settings.check()?;
        let (schedule, layers) = find_to_change(cx, self.schedule_id)?;
        name_is_free(&layers, &self.name, None)?;
        check_participants(cx.world, &self.settings.participant_ids)?;
        checks::room_for_one(layers.len(), limits::LAYERS, "rotation layers")?;

        let layer = RotationLayer {
            id: next_layer_id(cx, &schedule, &layers)?,
            schedule_id: self.schedule_id,
            org_id: schedule.org_id,
            name: self.name,
            rotation: Rotation::new(self.settings.rotation_settings(&schedule), Phase::default()),
            since: Timestamp::MIN,
            created_at: cx.now,
            updated_at: cx.now,
        };
        let mut order = schedule.order.clone();
        order.push(layer.id);
        let schedule = reorder(cx, schedule, order);
        cx.write(Write::RotationLayer(Box::new(Change::created(layer.clone()))));
        Ok(RotationLayerView::of(&schedule, &layer))
    }
}

/// An id that is greater than those of all layers that the schedule ever had, also when the clock has jumped back. Layers that
/// hold at an instant at which they did not exist yet stand there in the order of their ids (contract, section 8).
fn next_layer_id(
    cx: &mut Context<'_>,
    schedule: &Schedule,
    layers: &[RotationLayer],
) -> Result<RotationLayerId, Error> {
    let at = schedule.changed_at.max(cx.now);
    // A layer that was removed before this millisecond has an id that was made before it.
    let just_before = Timestamp::clamped(at.as_millis() - 1);
    let removed = cx.world.past_rotations(schedule.id, Past::after(just_before))?;
    let known = layers.iter().map(|layer| layer.id).chain(removed.iter().map(|past| past.layer_id));
    let floor = known.max().map_or([0; 16], Id::to_bytes);
    Ok(cx.ids.fresh_after(at, floor))
}

/// Changes a layer from now on; what was before now stays as it was (contract, section 8). Codes, in the order of the checks:
/// `validation_error` (fields that do not go together), `not_found`, `validation_error` (together with those that are not
/// given), `name_conflict`, `invalid_participant`.
///
/// Whoever is on call stays on call, if they are still a participant. A full replace (`PUT`) is an edit that sets every field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditRotationLayer {
    /// The schedule of the layer.
    pub schedule_id: ScheduleId,
    /// The layer to change.
    pub layer_id: RotationLayerId,
    /// Its new name: 1–255 characters, unique among the layers of the schedule. As with all of these, `None` keeps the old one.
    pub name: Option<ScheduleName>,
    /// Its new type, which says how many days a turn may have.
    pub rotation_type: Option<RotationType>,
    /// The new length of turns, in days: 1 for `daily`, 7 for `weekly`, 1–366 for `custom`.
    pub rotation_length_days: Option<i64>,
    /// The new local time at which turns begin.
    pub handoff_time: Option<HandoffTime>,
    /// The new first instant at which it holds, also the anchor from which turns are counted.
    pub effective_from: Option<Timestamp>,
    /// The new first instant at which it does not hold any more; cleared, it holds for good.
    pub effective_until: Patch<Timestamp>,
    /// The new participants, in the order of their turns: 1–50, repeats allowed.
    pub participant_ids: Option<Vec<UserId>>,
}

impl EditRotationLayer {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(schedule: ScheduleId, layer: RotationLayerId) -> Self {
        Self {
            schedule_id: schedule,
            layer_id: layer,
            name: None,
            rotation_type: None,
            rotation_length_days: None,
            handoff_time: None,
            effective_from: None,
            effective_until: Patch::Keep,
            participant_ids: None,
        }
    }

    /// Checks the fields that are given, before anything is looked up.
    fn check(&self) -> Result<(), Error> {
        let mut check = Validation::new();
        if let Some(days) = self.rotation_length_days {
            let length = match self.rotation_type {
                Some(kind) => RotationLength::new(kind, days).map(|_| days),
                None => RotationLength::check_days(days),
            };
            check.field("rotationLengthDays", length);
        }
        if let (Some(from), Patch::Set(until)) = (self.effective_from, self.effective_until) {
            check.field("effectiveUntil", LayerSettings::check_span(from, Some(until)));
        }
        if let Some(participants) = &self.participant_ids {
            check.field("participantIds", LayerSettings::check_participants(participants));
        }
        check.finish(|| Some(()))
    }

    /// The settings after the edit. Where only one is given of two fields that go together, the other keeps its value.
    fn settings(&self, before: &RotationSettings) -> Result<LayerSettings, Error> {
        let kind = self.rotation_type.unwrap_or(before.length.kind());
        let days = self.rotation_length_days.unwrap_or(i64::from(before.length.days()));
        let effective_from = self.effective_from.unwrap_or(before.effective_from);
        let effective_until = self.effective_until.apply(before.effective_until);
        let mut check = Validation::new();
        let length = check.field("rotationLengthDays", RotationLength::new(kind, days));
        check.field("effectiveUntil", LayerSettings::check_span(effective_from, effective_until));
        check.finish(|| {
            Some(LayerSettings {
                length: length?,
                handoff_time: self.handoff_time.unwrap_or(before.handoff),
                effective_from,
                effective_until,
                // Empty when everybody in it has left the organization; an edit without participants keeps that.
                participant_ids: self.participant_ids.clone().unwrap_or_else(|| before.participants.to_vec()),
            })
        })
    }
}

impl Command for EditRotationLayer {
    type Caller = ByMember;
    type Reply = RotationLayerView;
    const CODES: &'static [Code] = &[Code::Validation, Code::NotFound, Code::NameConflict, Code::InvalidParticipant];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<RotationLayerView, Error> {
        self.check()?;
        let (mut schedule, layers) = find_to_change(cx, self.schedule_id)?;
        let layer = find_layer(&layers, self.layer_id)?;
        let before = layer.rotation.settings();
        let settings = self.settings(&before)?;
        if let Some(name) = &self.name {
            name_is_free(&layers, name, Some(self.layer_id))?;
        }
        if self.participant_ids.is_some() {
            check_participants(cx.world, &settings.participant_ids)?;
        }

        let name = self.name.unwrap_or_else(|| layer.name.clone());
        let input = settings.rotation_settings(&schedule);
        if name == layer.name && input == before {
            return Ok(RotationLayerView::of(&schedule, layer));
        }
        let old = schedule.clone();
        let now = schedule.begin_change(cx.now);
        let layer = revise(cx, layer, name, input, now);
        if schedule != old {
            cx.write(Write::Schedule(Box::new(Change::edited(old, schedule.clone()))));
        }
        Ok(RotationLayerView::of(&schedule, &layer))
    }
}

/// Removes a layer from now on; its past shifts stay (contract, sections 7 and 8). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveRotationLayer {
    /// The schedule of the layer.
    pub schedule_id: ScheduleId,
    /// The layer to remove.
    pub layer_id: RotationLayerId,
}

impl RemoveRotationLayer {
    /// The removal of this layer.
    #[must_use]
    pub const fn new(schedule_id: ScheduleId, layer_id: RotationLayerId) -> Self {
        Self { schedule_id, layer_id }
    }
}

impl Command for RemoveRotationLayer {
    type Caller = ByMember;
    type Reply = RotationLayerId;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<RotationLayerId, Error> {
        let (schedule, layers) = find_to_change(cx, self.schedule_id)?;
        let layer = find_layer(&layers, self.layer_id)?;
        let order = schedule.order.iter().copied().filter(|id| *id != self.layer_id).collect();
        let schedule = reorder(cx, schedule, order);
        keep(cx, past(layer, schedule.changed_at));
        cx.write(Write::RotationLayer(Box::new(Change::gone(layer.clone()))));
        Ok(self.layer_id)
    }
}

/// Puts the layers of a schedule in another order, from now on (contract, section 7). Codes, in the order of the checks:
/// `not_found`, `validation_error` (every layer is listed once).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRotationLayers {
    /// The schedule of the layers.
    pub schedule_id: ScheduleId,
    /// All its layers, each once, by position.
    pub layer_ids: Vec<RotationLayerId>,
}

impl OrderRotationLayers {
    /// This order of all layers of the schedule.
    #[must_use]
    pub const fn new(schedule_id: ScheduleId, layer_ids: Vec<RotationLayerId>) -> Self {
        Self { schedule_id, layer_ids }
    }
}

impl Command for OrderRotationLayers {
    type Caller = ByMember;
    type Reply = Vec<RotationLayerView>;
    const CODES: &'static [Code] = &[Code::NotFound, Code::Validation];

    fn decide(self, _: ByMember, cx: &mut Context<'_>) -> Result<Vec<RotationLayerView>, Error> {
        let (mut schedule, layers) = find_to_change(cx, self.schedule_id)?;
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (schedule.order.iter().collect(), self.layer_ids.iter().collect());
        if old != new || self.layer_ids.len() != schedule.order.len() {
            return Err(Error::invalid("layerIds", "must hold every layer of the schedule once"));
        }
        if self.layer_ids != schedule.order {
            schedule = reorder(cx, schedule, self.layer_ids);
        }
        Ok(RotationLayerView::all(&schedule, &layers))
    }
}

/// Gives a layer a name, and new settings from `now` on; the rotation that it had until then is kept.
pub(super) fn revise(
    cx: &mut Context<'_>,
    layer: &RotationLayer,
    name: ScheduleName,
    input: RotationSettings,
    now: Timestamp,
) -> RotationLayer {
    let mut after = layer.clone();
    after.name = name;
    after.updated_at = cx.now.max(layer.updated_at);
    if input != layer.rotation.settings() {
        let (with, past) = revised(layer, input, now);
        keep(cx, past);
        (after.rotation, after.since) = (with.rotation, with.since);
    }
    cx.write(Write::RotationLayer(Box::new(Change::edited(layer.clone(), after.clone()))));
    after
}

/// A layer with other settings from `now` on, and what it was.
pub(super) fn revised(
    layer: &RotationLayer,
    input: RotationSettings,
    now: Timestamp,
) -> (RotationLayer, Option<PastRotation>) {
    let after = RotationLayer { rotation: layer.rotation.revised(input, now), since: now, ..layer.clone() };
    (after, past(layer, now))
}

/// The rotation that a layer had until `now`; `None` when it never held.
fn past(layer: &RotationLayer, now: Timestamp) -> Option<PastRotation> {
    let began = layer.since.max(layer.rotation.effective_from());
    (began < now).then(|| PastRotation {
        org_id: layer.org_id,
        schedule_id: layer.schedule_id,
        layer_id: layer.id,
        since: layer.since,
        until: now,
        rotation: layer.rotation.clone(),
    })
}

/// Invariant [past-is-past]: what held is kept as it was.
pub(super) fn keep(cx: &mut Context<'_>, past: Option<PastRotation>) {
    if let Some(past) = past {
        cx.write(Write::PastRotation(Box::new(Change::created(past))));
    }
}

/// Puts the layers of a schedule in an order from now on, and keeps the order before.
fn reorder(cx: &mut Context<'_>, before: Schedule, order: Vec<RotationLayerId>) -> Schedule {
    let mut after = before.clone();
    let now = after.begin_change(cx.now);
    if before.order_since < now {
        cx.write(Write::PastOrder(Change::created(PastOrder {
            org_id: before.org_id,
            schedule_id: before.id,
            since: before.order_since,
            until: now,
            order: before.order.clone(),
        })));
    }
    after.order = order;
    after.order_since = now;
    cx.write(Write::Schedule(Box::new(Change::edited(before, after.clone()))));
    after
}

/// The layer of a schedule with this id. Code: `not_found`.
fn find_layer(layers: &[RotationLayer], id: RotationLayerId) -> Result<&RotationLayer, Error> {
    layers.iter().find(|layer| layer.id == id).ok_or_else(|| Error::not_found("rotation layer"))
}

/// Refuses, with `name_conflict`, a name that another layer of the schedule has.
fn name_is_free(layers: &[RotationLayer], name: &ScheduleName, own: Option<RotationLayerId>) -> Result<(), Error> {
    let holder = layers.iter().find(|layer| layer.name == *name).map(|layer| layer.id);
    checks::name_is_free(holder, own, "layer of the schedule", name)
}

/// Refuses, with `invalid_participant`, participants who are not all members.
fn check_participants(world: &dyn World, participants: &[UserId]) -> Result<(), Error> {
    let distinct: BTreeSet<_> = participants.iter().collect();
    are_members(world, distinct, Code::InvalidParticipant)
}
