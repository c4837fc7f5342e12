//! Schedules, rotation layers, overrides, and who is on call (contract, sections 7 and 8): the routes, and the shapes of their
//! replies.

use dogwatch_store::rules;
use dogwatch_store::rules::id::{OverrideId, RotationLayerId, ScheduleId};
use dogwatch_store::rules::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, DeleteOverride, DeleteSchedule, EditRotationLayer, EditSchedule,
    GetSchedule, LayerSettings, ListOverrides, ListSchedules, OnCallNow, OrderRotationLayers, RemoveRotationLayer,
    ResolveOnCall, RotationLength, ShiftsOnCall,
};
use dogwatch_store::rules::text::{Description, Reason, ScheduleName};
use dogwatch_store::rules::{Patch, UserId};
use utoipa::ToSchema;

use crate::input::{Input, Kind, LONGEST_LIST, time};
use crate::route::{Read, Route, command, command_list, delete, get, list, patch, post, put, query};
use crate::shape::{Deleted, each, shown};

const TYPE: Kind = Kind::Word(rules::oncall::RotationType::WORDS);
const NAME: Kind = Kind::text::<ScheduleName>();
const DAYS: Kind = Kind::Number(1, 366);

fn schedule(input: &mut Input) -> Option<ScheduleId> {
    input.path("id", Kind::Id(""), ScheduleId::parse)
}

fn layer(input: &mut Input) -> Option<RotationLayerId> {
    input.path("layerId", Kind::Id(""), RotationLayerId::parse)
}

pub(super) fn routes() -> Vec<Route> {
    let mut routes = schedules();
    routes.extend(layers());
    routes.extend(overrides());
    routes.extend(questions());
    routes
}

fn schedules() -> Vec<Route> {
    const PATH: &str = "/oncall/schedules/{id}";
    vec![
        list(
            get("/oncall/schedules", "listSchedules", "Schedules, by name"),
            |_| Some(Ok(ListSchedules)),
            each::<Schedule, _>,
        ),
        command(
            post("/oncall/schedules", "createSchedule", "Create a schedule"),
            |input| {
                let name = input.need("name", NAME, str::parse);
                let description = input.may("description", Kind::text::<Description>(), str::parse);
                let timezone = input.need("timezone", Kind::Opaque, |text| Ok(text.to_owned()));
                Some(Ok(CreateSchedule { name: name?, description: description?, timezone: timezone? }))
            },
            shown::<Schedule, _>,
        ),
        query(
            get(PATH, "getSchedule", "One schedule with its layers"),
            |input| Some(Ok(GetSchedule { id: schedule(input)? })),
            shown::<Schedule, _>,
        ),
        command(
            patch(PATH, "editSchedule", "Change a schedule"),
            |input| {
                let id = schedule(input);
                let name = input.edit("name", NAME, str::parse);
                let description = input.patch("description", Kind::text::<Description>(), str::parse);
                let timezone = input.edit("timezone", Kind::Opaque, |text| Ok(text.to_owned()));
                Some(Ok(EditSchedule { id: id?, name: name?, description: description?, timezone: timezone? }))
            },
            shown::<Schedule, _>,
        ),
        command(
            put(PATH, "replaceSchedule", "Replace a schedule"),
            |input| {
                let id = schedule(input);
                let name = input.need("name", NAME, str::parse);
                let description = input.may("description", Kind::text::<Description>(), str::parse);
                let timezone = input.need("timezone", Kind::Opaque, |text| Ok(text.to_owned()));
                let description = description?.map_or(Patch::Clear, Patch::Set);
                Some(Ok(EditSchedule { id: id?, name: Some(name?), description, timezone: Some(timezone?) }))
            },
            shown::<Schedule, _>,
        ),
        command(
            delete(PATH, "deleteSchedule", "Delete a schedule"),
            |input| Some(Ok(DeleteSchedule { id: schedule(input)? })),
            Deleted::of,
        ),
    ]
}

/// The fields of a rotation layer, as a new one or a full replace gives them.
struct NewLayer {
    name: ScheduleName,
    settings: LayerSettings,
}

fn new_layer(input: &mut Input) -> Option<NewLayer> {
    let name = input.need("name", NAME, str::parse);
    let kind = input.need("rotationType", TYPE, str::parse);
    let days = input.number("rotationLengthDays", DAYS, RotationLength::check_days);
    let handoff = input.need("handoffTime", Kind::HandoffTime, str::parse);
    let from = input.need("effectiveFrom", Kind::Time, time);
    let until = input.may("effectiveUntil", Kind::Time, time);
    let participants = input.list("participantIds", LayerSettings::MOST_PARTICIPANTS, Kind::Id("user_"), UserId::parse);
    let length = input.rule("rotationLengthDays", kind.zip(days).map(|(kind, days)| RotationLength::new(kind, days)));
    input.rule("effectiveUntil", from.zip(until).map(|(from, until)| LayerSettings::check_span(from, until)));
    input.rule("participantIds", participants.as_deref().map(LayerSettings::check_participants));
    let settings = LayerSettings {
        length: length?,
        handoff_time: handoff?,
        effective_from: from?,
        effective_until: until?,
        participant_ids: participants?,
    };
    Some(NewLayer { name: name?, settings })
}

fn layers() -> Vec<Route> {
    const PATH: &str = "/oncall/schedules/{id}/layers/{layerId}";
    vec![
        command(
            post("/oncall/schedules/{id}/layers", "addRotationLayer", "Add a rotation layer"),
            |input| {
                let (schedule, new) = (schedule(input), new_layer(input));
                let (schedule_id, NewLayer { name, settings }) = (schedule?, new?);
                Some(Ok(AddRotationLayer { schedule_id, name, settings }))
            },
            shown::<RotationLayer, _>,
        ),
        command(patch(PATH, "editRotationLayer", "Change a rotation layer"), edit, shown::<RotationLayer, _>),
        command(
            put(PATH, "replaceRotationLayer", "Replace a rotation layer"),
            |input| {
                let (schedule, layer, new) = (schedule(input), layer(input), new_layer(input));
                let (schedule, layer, NewLayer { name, settings: new }) = (schedule?, layer?, new?);
                Some(Ok(EditRotationLayer {
                    schedule_id: schedule,
                    layer_id: layer,
                    name: Some(name),
                    rotation_type: Some(new.length.kind()),
                    rotation_length_days: Some(i64::from(new.length.days())),
                    handoff_time: Some(new.handoff_time),
                    effective_from: Some(new.effective_from),
                    effective_until: new.effective_until.map_or(Patch::Clear, Patch::Set),
                    participant_ids: Some(new.participant_ids),
                }))
            },
            shown::<RotationLayer, _>,
        ),
        command(
            delete(PATH, "removeRotationLayer", "Remove a rotation layer"),
            |input| {
                let (schedule, layer) = (schedule(input), layer(input));
                Some(Ok(RemoveRotationLayer { schedule_id: schedule?, layer_id: layer? }))
            },
            Deleted::of,
        ),
        command_list(
            put("/oncall/schedules/{id}/layers/order", "orderRotationLayers", "Order the rotation layers"),
            |input| {
                let schedule = schedule(input);
                let layer_ids = input.list("layerIds", LONGEST_LIST, Kind::Id(""), RotationLayerId::parse);
                Some(Ok(OrderRotationLayers { schedule_id: schedule?, layer_ids: layer_ids? }))
            },
            each::<RotationLayer, _>,
        ),
    ]
}

fn edit(input: &mut Input) -> Read<EditRotationLayer> {
    let (schedule, layer) = (schedule(input), layer(input));
    let name = input.edit("name", NAME, str::parse);
    let rotation_type = input.edit("rotationType", TYPE, str::parse);
    let days = input.edit_number("rotationLengthDays", DAYS, RotationLength::check_days);
    let handoff_time = input.edit("handoffTime", Kind::HandoffTime, str::parse);
    let effective_from = input.edit("effectiveFrom", Kind::Time, time);
    let effective_until = input.patch("effectiveUntil", Kind::Time, time);
    let participant_ids =
        input.edit_list("participantIds", LayerSettings::MOST_PARTICIPANTS, Kind::Id("user_"), UserId::parse);
    let length = rotation_type.flatten().zip(days.flatten()).map(|(kind, days)| RotationLength::new(kind, days));
    input.rule("rotationLengthDays", length);
    if let (Some(Some(from)), Some(Patch::Set(until))) = (effective_from, effective_until) {
        input.rule("effectiveUntil", Some(LayerSettings::check_span(from, Some(until))));
    }
    let participants = participant_ids.as_ref().and_then(Option::as_deref);
    input.rule("participantIds", participants.map(LayerSettings::check_participants));
    Some(Ok(EditRotationLayer {
        schedule_id: schedule?,
        layer_id: layer?,
        name: name?,
        rotation_type: rotation_type?,
        rotation_length_days: days?,
        handoff_time: handoff_time?,
        effective_from: effective_from?,
        effective_until: effective_until?,
        participant_ids: participant_ids?,
    }))
}

fn overrides() -> Vec<Route> {
    const PATH: &str = "/oncall/schedules/{id}/overrides";
    vec![
        list(
            get(PATH, "listOverrides", "Overrides, by beginning"),
            |input| Some(Ok(ListOverrides { schedule_id: schedule(input)? })),
            each::<Override, _>,
        ),
        command(
            post(PATH, "createOverride", "Have somebody stand in"),
            |input| {
                let schedule = schedule(input);
                let user = input.need("userId", Kind::Id("user_"), UserId::parse);
                let starts_at = input.need("startsAt", Kind::Time, time);
                let ends_at = input.need("endsAt", Kind::Time, time);
                let reason = input.may("reason", Kind::text::<Reason>(), str::parse);
                let span = starts_at.zip(ends_at).map(|(starts, ends)| CreateOverride::check_span(starts, ends));
                input.rule("endsAt", span);
                Some(Ok(CreateOverride {
                    reason: reason?,
                    ..CreateOverride::new(schedule?, user?, starts_at?, ends_at?)
                }))
            },
            shown::<Override, _>,
        ),
        command(
            delete("/oncall/schedules/{id}/overrides/{overrideId}", "deleteOverride", "Delete or end an override"),
            |input| {
                let schedule = schedule(input);
                let id = input.path("overrideId", Kind::Id(""), OverrideId::parse);
                Some(Ok(DeleteOverride { schedule_id: schedule?, id: id? }))
            },
            Deleted::of,
        ),
    ]
}

fn questions() -> Vec<Route> {
    vec![
        query(
            get("/oncall/schedules/{id}/resolve", "resolveOnCall", "Who is on call at an instant").long(),
            |input| {
                let schedule = schedule(input);
                let at = input.query("at", Kind::Time, time);
                Some(Ok(ResolveOnCall { schedule_id: schedule?, at: at?.unwrap_or_else(|| input.now()) }))
            },
            shown::<Resolved, _>,
        ),
        query(
            get("/oncall/schedules/{id}/shifts", "listShifts", "Who is on call over a range").long(),
            |input| {
                let schedule = schedule(input);
                let from = input.query("from", Kind::Time, time);
                let to = input.query("to", Kind::Time, time);
                let from = from.map(|from| from.unwrap_or_else(|| input.now()));
                let week = std::time::Duration::from_secs(7 * 86_400);
                let to = from.zip(to).map(|(from, to)| to.unwrap_or_else(|| from.plus(week)));
                input.query_rule("to", from.zip(to).map(|(from, to)| ShiftsOnCall::check_range(from, to)));
                Some(Ok(ShiftsOnCall::new(schedule?, from?, to?)))
            },
            shown::<Shifts, _>,
        ),
        list(
            get("/oncall/now", "onCallNow", "Who is on call in every schedule").long(),
            |input| Some(Ok(OnCallNow { at: input.now() })),
            each::<OnCallRow, _>,
        ),
    ]
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct RotationLayer {
    id: String,
    schedule_id: String,
    name: String,
    position: usize,
    rotation_type: String,
    rotation_length_days: u16,
    handoff_time: String,
    #[schema(format = DateTime)]
    effective_from: String,
    #[schema(format = DateTime)]
    effective_until: Option<String>,
    participant_ids: Vec<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Schedule {
    id: String,
    org_id: String,
    name: String,
    description: Option<String>,
    timezone: String,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// By position. Only in the reply of one schedule, not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<RotationLayer>>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Override {
    id: String,
    schedule_id: String,
    user_id: String,
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
    reason: Option<String>,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct OnCallTarget {
    user_id: String,
    layer_id: Option<String>,
    override_id: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resolved {
    schedule_id: String,
    #[schema(format = DateTime)]
    at: String,
    owner: Option<OnCallTarget>,
    paging_targets: Vec<OnCallTarget>,
    current_oncall: Option<String>,
    #[schema(format = DateTime)]
    next_change_at: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct OnCallRow {
    schedule_id: String,
    name: String,
    owner: Option<OnCallTarget>,
    paging_targets: Vec<OnCallTarget>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct Shift {
    user_id: String,
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct LayerShifts {
    layer_id: String,
    shifts: Vec<Shift>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct FinalShift {
    user_id: String,
    layer_id: Option<String>,
    override_id: Option<String>,
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct Gap {
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
pub(crate) struct Shifts {
    layers: Vec<LayerShifts>,
    #[serde(rename = "final")]
    line: Vec<FinalShift>,
    gaps: Vec<Gap>,
}
