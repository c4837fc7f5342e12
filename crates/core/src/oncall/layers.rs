//! Rotation layers: adding, changing, ordering, removing. What held before an edit is kept as it was.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::query::RotationLayerView;
use super::{
    HandoffTime, PastOrder, PastTerms, Phase, RotationLayer, RotationLength, RotationType, Schedule, Terms, TermsInput,
    find,
};
use crate::actor::Access;
use crate::code::Code;
use crate::command::{Command, Context};
use crate::error::Error;
use crate::id::{RotationLayerId, ScheduleId, UserId};
use crate::limits;
use crate::organization::check_members;
use crate::patch::Patch;
use crate::text::ScheduleName;
use crate::time::Timestamp;
use crate::validation::Validation;
use crate::world::{Change, World, Write};

/// The most participants of a layer.
const PARTICIPANTS: usize = 50;

/// The settings of a layer, checked together (contract, section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSettings {
    length: RotationLength,
    handoff: HandoffTime,
    effective_from: Timestamp,
    effective_until: Option<Timestamp>,
    participants: Arc<[UserId]>,
}

impl LayerSettings {
    /// Settings as they come from outside.
    ///
    /// # Errors
    /// `validation_error` unless there are 1–50 participants and the end, if any, comes after the beginning.
    pub fn new(
        length: RotationLength,
        handoff: HandoffTime,
        effective_from: Timestamp,
        effective_until: Option<Timestamp>,
        participants: Vec<UserId>,
    ) -> Result<Self, Error> {
        let settings = Self { length, handoff, effective_from, effective_until, participants: participants.into() };
        settings.checked(1, Validation::new())
    }

    /// The settings, if they fit together, name at least so many participants, and nothing was wrong so far.
    fn checked(self, fewest: usize, mut check: Validation) -> Result<Self, Error> {
        if !(fewest..=PARTICIPANTS).contains(&self.participants.len()) {
            check.problem("/participantIds", format!("must hold 1 to {PARTICIPANTS} users"));
        }
        if self.effective_until.is_some_and(|until| until <= self.effective_from) {
            check.problem("/effectiveUntil", "must be later than `effectiveFrom`");
        }
        check.finish(|| Some(self))
    }

    fn input(&self, schedule: &Schedule) -> TermsInput {
        TermsInput {
            zone: schedule.zone.clone(),
            length: self.length,
            handoff: self.handoff,
            effective_from: self.effective_from,
            effective_until: self.effective_until,
            participants: Arc::clone(&self.participants),
        }
    }
}

/// Adds a layer behind the others. It holds from its `effectiveFrom`, even where that is past.
///
/// Codes, in the order of the checks: `not_found`, `name_conflict`, `invalid_participant`, `limit_reached` (20 layers).
#[derive(Debug, Clone)]
pub struct AddRotationLayer {
    /// To which schedule.
    pub schedule: ScheduleId,
    /// What it is called.
    pub name: ScheduleName,
    /// Whose turn it is when.
    pub settings: LayerSettings,
}

impl Command for AddRotationLayer {
    type Reply = RotationLayerView;
    const ACCESS: Access = Access::Member;

    fn decide(self, cx: &mut Context<'_>) -> Result<RotationLayerView, Error> {
        let schedule = find(cx.world, self.schedule)?;
        let layers = cx.world.layers(self.schedule)?;
        check_name(&layers, &self.name, None)?;
        check_participants(cx.world, &self.settings.participants)?;
        limits::room_for_one(u32::try_from(layers.len()).unwrap_or(u32::MAX), limits::LAYERS, "rotation layers")?;

        let layer = RotationLayer {
            id: cx.ids.fresh(cx.now),
            schedule: self.schedule,
            org: schedule.org,
            name: self.name,
            terms: Terms::new(self.settings.input(&schedule), Phase::default()),
            since: Timestamp::MIN,
            created_at: cx.now,
            updated_at: cx.now,
        };
        let mut order = schedule.order.clone();
        order.push(layer.id);
        let schedule = reorder(cx, schedule, order);
        cx.write(Write::Layer(Box::new(Change::created(layer.clone()))));
        Ok(RotationLayerView::of(&schedule, &layer))
    }
}

/// Changes a layer; what was before now stays as it was. Codes, in the order of the checks: `not_found`, `validation_error`
/// (fields that do not go together), `name_conflict`, `invalid_participant`.
///
/// A full replace (`PUT`) is an edit that sets every field.
#[derive(Debug, Clone)]
pub struct EditRotationLayer {
    /// Of which schedule.
    pub schedule: ScheduleId,
    /// Which one.
    pub layer: RotationLayerId,
    /// Its new name.
    pub name: Option<ScheduleName>,
    /// Its new type.
    pub rotation_type: Option<RotationType>,
    /// Its new length, in days.
    pub rotation_length_days: Option<i64>,
    /// When turns begin.
    pub handoff_time: Option<HandoffTime>,
    /// From when it holds.
    pub effective_from: Option<Timestamp>,
    /// Until when it holds.
    pub effective_until: Patch<Timestamp>,
    /// Whose turns, in order.
    pub participant_ids: Option<Vec<UserId>>,
}

impl EditRotationLayer {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(schedule: ScheduleId, layer: RotationLayerId) -> Self {
        Self {
            schedule,
            layer,
            name: None,
            rotation_type: None,
            rotation_length_days: None,
            handoff_time: None,
            effective_from: None,
            effective_until: Patch::Keep,
            participant_ids: None,
        }
    }

    /// The settings after the edit.
    fn settings(&self, before: &TermsInput) -> Result<LayerSettings, Error> {
        let kind = self.rotation_type.unwrap_or(before.length.kind());
        let days = self.rotation_length_days.unwrap_or(i64::from(before.length.days()));
        let mut check = Validation::new();
        let length = check.field("/rotationLengthDays", RotationLength::new(kind, days));
        let settings = LayerSettings {
            // What stands in for a bad length goes no further.
            length: length.unwrap_or(before.length),
            handoff: self.handoff_time.unwrap_or(before.handoff),
            effective_from: self.effective_from.unwrap_or(before.effective_from),
            effective_until: self.effective_until.apply(before.effective_until),
            participants: self.participant_ids.as_deref().map_or_else(|| Arc::clone(&before.participants), Arc::from),
        };
        // Everybody may have left the organization: nobody on call is not a setting that must be given again.
        settings.checked(usize::from(self.participant_ids.is_some()), check)
    }
}

impl Command for EditRotationLayer {
    type Reply = RotationLayerView;
    const ACCESS: Access = Access::Member;

    fn decide(self, cx: &mut Context<'_>) -> Result<RotationLayerView, Error> {
        let mut schedule = find(cx.world, self.schedule)?;
        let layers = cx.world.layers(self.schedule)?;
        let layer = find_layer(&layers, self.layer)?;
        let before = layer.terms.input();
        let settings = self.settings(&before)?;
        if let Some(name) = &self.name {
            check_name(&layers, name, Some(self.layer))?;
        }
        if self.participant_ids.is_some() {
            check_participants(cx.world, &settings.participants)?;
        }

        let name = self.name.unwrap_or_else(|| layer.name.clone());
        let input = settings.input(&schedule);
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

/// Removes a layer, from now on. Codes: `not_found`.
#[derive(Debug, Clone, Copy)]
pub struct RemoveRotationLayer {
    /// Of which schedule.
    pub schedule: ScheduleId,
    /// Which one.
    pub layer: RotationLayerId,
}

impl Command for RemoveRotationLayer {
    type Reply = RotationLayerId;
    const ACCESS: Access = Access::Member;

    fn decide(self, cx: &mut Context<'_>) -> Result<RotationLayerId, Error> {
        let schedule = find(cx.world, self.schedule)?;
        let layers = cx.world.layers(self.schedule)?;
        let layer = find_layer(&layers, self.layer)?;
        let order = schedule.order.iter().copied().filter(|id| *id != self.layer).collect();
        let schedule = reorder(cx, schedule, order);
        keep_past(cx, layer, schedule.changed_at);
        cx.write(Write::Layer(Box::new(Change::gone(layer.clone()))));
        Ok(self.layer)
    }
}

/// Puts the layers in another order, from now on. Every layer stands in it once, else it is a `validation_error`. Codes:
/// `not_found`.
#[derive(Debug, Clone)]
pub struct OrderRotationLayers {
    /// Of which schedule.
    pub schedule: ScheduleId,
    /// All its layers.
    pub layer_ids: Vec<RotationLayerId>,
}

impl Command for OrderRotationLayers {
    type Reply = Vec<RotationLayerView>;
    const ACCESS: Access = Access::Member;

    fn decide(self, cx: &mut Context<'_>) -> Result<Vec<RotationLayerView>, Error> {
        let mut schedule = find(cx.world, self.schedule)?;
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (schedule.order.iter().collect(), self.layer_ids.iter().collect());
        if old != new || self.layer_ids.len() != schedule.order.len() {
            return Err(Error::invalid("/layerIds", "must hold every layer of the schedule once"));
        }
        let layers = cx.world.layers(self.schedule)?;
        if self.layer_ids != schedule.order {
            schedule = reorder(cx, schedule, self.layer_ids);
        }
        Ok(RotationLayerView::all(&schedule, &layers))
    }
}

/// Takes a member out of every rotation, from now on (contract, section 4).
pub(crate) fn leave_rotations(cx: &mut Context<'_>, user: UserId) -> Result<(), Error> {
    let schedules: BTreeSet<ScheduleId> = cx.world.rotations_of(user)?.into_iter().collect();
    for id in schedules {
        let mut schedule = find(cx.world, id)?;
        let old = schedule.clone();
        let now = schedule.begin_change(cx.now);
        for layer in cx.world.layers(id)? {
            let mut input = layer.terms.input();
            if input.participants.contains(&user) {
                input.participants = input.participants.iter().copied().filter(|other| *other != user).collect();
                revise(cx, &layer, layer.name.clone(), input, now);
            }
        }
        if schedule != old {
            cx.write(Write::Schedule(Box::new(Change::edited(old, schedule))));
        }
    }
    Ok(())
}

/// Puts a layer under new settings from `now` on and keeps what held before.
pub(super) fn revise(
    cx: &mut Context<'_>,
    layer: &RotationLayer,
    name: ScheduleName,
    input: TermsInput,
    now: Timestamp,
) -> RotationLayer {
    let mut after = layer.clone();
    after.name = name;
    after.updated_at = cx.now.max(layer.updated_at);
    if input != layer.terms.input() {
        keep_past(cx, layer, now);
        after.terms = layer.terms.revised(input, now);
        after.since = now;
    }
    cx.write(Write::Layer(Box::new(Change::edited(layer.clone(), after.clone()))));
    after
}

/// Keeps what holds for a layer until `now`, if it has held at all.
fn keep_past(cx: &mut Context<'_>, layer: &RotationLayer, now: Timestamp) {
    let began = layer.since.max(layer.terms.effective_from());
    if began < now {
        cx.write(Write::PastTerms(Box::new(Change::created(PastTerms {
            org: layer.org,
            schedule: layer.schedule,
            layer: layer.id,
            since: layer.since,
            until: now,
            terms: layer.terms.clone(),
        }))));
    }
}

/// Puts the layers of a schedule in an order from now on and keeps the one before.
fn reorder(cx: &mut Context<'_>, before: Schedule, order: Vec<RotationLayerId>) -> Schedule {
    let mut after = before.clone();
    let now = after.begin_change(cx.now);
    if before.order_since < now {
        cx.write(Write::PastOrder(Change::created(PastOrder {
            org: before.org,
            schedule: before.id,
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

fn find_layer(layers: &[RotationLayer], id: RotationLayerId) -> Result<&RotationLayer, Error> {
    layers.iter().find(|layer| layer.id == id).ok_or_else(|| Error::not_found("rotation layer"))
}

fn check_name(layers: &[RotationLayer], name: &ScheduleName, own: Option<RotationLayerId>) -> Result<(), Error> {
    if layers.iter().any(|layer| layer.name == *name && Some(layer.id) != own) {
        return Err(Error::refused(Code::NameConflict, format!("another layer of the schedule is named `{name}`")));
    }
    Ok(())
}

fn check_participants(world: &dyn World, participants: &[UserId]) -> Result<(), Error> {
    let distinct: BTreeSet<_> = participants.iter().collect();
    check_members(world, distinct, Code::InvalidParticipant)
}
