//! On-call schedules (contract, sections 7 and 8).

use dogwatch_store::rules::id::{OverrideId, RotationLayerId, ScheduleId};
use dogwatch_store::rules::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, DeleteOverride, DeleteSchedule, EditRotationLayer, EditSchedule,
    GetSchedule, HandoffTime, LayerSettings, ListOverrides, ListSchedules, OnCallNow, OrderRotationLayers,
    RemoveRotationLayer, ResolveOnCall, RotationLength, ShiftsOnCall,
};
use dogwatch_store::rules::text::ScheduleName;
use dogwatch_store::rules::{Patch, Timestamp, UserId};

use crate::input::{Input, Kind, time};
use crate::route::{Read, Route, command, command_list, delete, get, list, patch, post, put, query};
use crate::view::{Deleted, OnCallRow, Override, Resolved, RotationLayer, Schedule, Shifts, all};

const TYPE: Kind = Kind::Word(&["daily", "weekly", "custom"]);
const NAME: Kind = Kind::Name(1, 255);
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
            all::<_, Schedule>,
        ),
        command(
            post("/oncall/schedules", "createSchedule", "Create a schedule"),
            |input| {
                let name = input.need("name", NAME, str::parse);
                let description = input.may("description", Kind::Text(0, 1_000), str::parse);
                let timezone = input.need("timezone", Kind::Opaque, |text| Ok(text.to_owned()));
                Some(Ok(CreateSchedule { name: name?, description: description?, timezone: timezone? }))
            },
            Schedule::from,
        ),
        query(
            get(PATH, "getSchedule", "One schedule with its layers"),
            |input| Some(Ok(GetSchedule { id: schedule(input)? })),
            Schedule::with_layers,
        ),
        command(
            patch(PATH, "editSchedule", "Change a schedule"),
            |input| {
                let id = schedule(input);
                let name = input.edit("name", NAME, str::parse);
                let description = input.patch("description", Kind::Text(0, 1_000), str::parse);
                let timezone = input.edit("timezone", Kind::Opaque, |text| Ok(text.to_owned()));
                Some(Ok(EditSchedule { id: id?, name: name?, description: description?, timezone: timezone? }))
            },
            Schedule::from,
        ),
        command(
            put(PATH, "replaceSchedule", "Replace a schedule"),
            |input| {
                let id = schedule(input);
                let name = input.need("name", NAME, str::parse);
                let description = input.may("description", Kind::Text(0, 1_000), str::parse);
                let timezone = input.need("timezone", Kind::Opaque, |text| Ok(text.to_owned()));
                let description = description?.map_or(Patch::Clear, Patch::Set);
                Some(Ok(EditSchedule { id: id?, name: Some(name?), description, timezone: Some(timezone?) }))
            },
            Schedule::from,
        ),
        command(
            delete(PATH, "deleteSchedule", "Delete a schedule"),
            |input| Some(Ok(DeleteSchedule { id: schedule(input)? })),
            Deleted::of,
        ),
    ]
}

/// The fields of a layer that a new one needs.
struct NewLayer {
    name: ScheduleName,
    length: RotationLength,
    handoff: HandoffTime,
    from: Timestamp,
    until: Option<Timestamp>,
    participants: Vec<UserId>,
}

fn new_layer(input: &mut Input) -> Option<NewLayer> {
    let name = input.need("name", NAME, str::parse);
    let kind = input.need("rotationType", TYPE, str::parse);
    let days = input.number("rotationLengthDays", DAYS, RotationLength::check_days);
    let handoff = input.need("handoffTime", Kind::HandoffTime, str::parse);
    let from = input.need("effectiveFrom", Kind::Time, time);
    let until = input.may("effectiveUntil", Kind::Time, time);
    let participants = input.list("participantIds", Kind::Id("user_"), UserId::parse);
    let length = input.rule("rotationLengthDays", kind.zip(days).map(|(kind, days)| RotationLength::new(kind, days)));
    input.rule("effectiveUntil", from.zip(until).map(|(from, until)| LayerSettings::check_span(from, until)));
    input.rule("participantIds", participants.as_deref().map(LayerSettings::check_participants));
    Some(NewLayer {
        name: name?,
        length: length?,
        handoff: handoff?,
        from: from?,
        until: until?,
        participants: participants?,
    })
}

fn layers() -> Vec<Route> {
    const PATH: &str = "/oncall/schedules/{id}/layers/{layerId}";
    vec![
        command(
            post("/oncall/schedules/{id}/layers", "addRotationLayer", "Add a rotation layer"),
            |input| {
                let (schedule, new) = (schedule(input), new_layer(input));
                let (schedule, NewLayer { name, length, handoff, from, until, participants }) = (schedule?, new?);
                let settings = LayerSettings::new(length, handoff, from, until, participants);
                Some(settings.map(|settings| AddRotationLayer { schedule_id: schedule, name, settings }))
            },
            RotationLayer::from,
        ),
        command(patch(PATH, "editRotationLayer", "Change a rotation layer"), edit, RotationLayer::from),
        command(
            put(PATH, "replaceRotationLayer", "Replace a rotation layer"),
            |input| {
                let (schedule, layer, new) = (schedule(input), layer(input), new_layer(input));
                let (schedule, layer, new) = (schedule?, layer?, new?);
                Some(Ok(EditRotationLayer {
                    schedule_id: schedule,
                    layer_id: layer,
                    name: Some(new.name),
                    rotation_type: Some(new.length.kind()),
                    rotation_length_days: Some(i64::from(new.length.days())),
                    handoff_time: Some(new.handoff),
                    effective_from: Some(new.from),
                    effective_until: new.until.map_or(Patch::Clear, Patch::Set),
                    participant_ids: Some(new.participants),
                }))
            },
            RotationLayer::from,
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
                let layer_ids = input.list("layerIds", Kind::Id(""), RotationLayerId::parse);
                Some(Ok(OrderRotationLayers { schedule_id: schedule?, layer_ids: layer_ids? }))
            },
            all::<_, RotationLayer>,
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
    let participant_ids = input.edit_list("participantIds", Kind::Id("user_"), UserId::parse);
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
            all::<_, Override>,
        ),
        command(
            post(PATH, "createOverride", "Have somebody stand in"),
            |input| {
                let schedule = schedule(input);
                let user = input.need("userId", Kind::Id("user_"), UserId::parse);
                let starts_at = input.need("startsAt", Kind::Time, time);
                let ends_at = input.need("endsAt", Kind::Time, time);
                let reason = input.may("reason", Kind::Text(0, 255), str::parse);
                let span = starts_at.zip(ends_at).map(|(starts, ends)| CreateOverride::check_span(starts, ends));
                input.rule("endsAt", span);
                Some(CreateOverride::new(schedule?, user?, starts_at?, ends_at?, reason?))
            },
            Override::from,
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
            get("/oncall/schedules/{id}/resolve", "resolveOnCall", "Who is on call at an instant"),
            |input| {
                let schedule = schedule(input);
                let at = input.query("at", Kind::Time, time);
                Some(Ok(ResolveOnCall { schedule_id: schedule?, at: at?.unwrap_or_else(|| input.now()) }))
            },
            Resolved::from,
        ),
        query(
            get("/oncall/schedules/{id}/shifts", "listShifts", "Who is on call over a range"),
            |input| {
                let schedule = schedule(input);
                let from = input.query("from", Kind::Time, time);
                let to = input.query("to", Kind::Time, time);
                let from = from.map(|from| from.unwrap_or_else(|| input.now()));
                let week = std::time::Duration::from_secs(7 * 86_400);
                let to = from.zip(to).map(|(from, to)| to.unwrap_or_else(|| from.plus(week)));
                input.query_rule("to", from.zip(to).map(|(from, to)| ShiftsOnCall::check_range(from, to)));
                Some(ShiftsOnCall::new(schedule?, from?, to?))
            },
            Shifts::from,
        ),
        list(
            get("/oncall/now", "onCallNow", "Who is on call in every schedule"),
            |input| Some(Ok(OnCallNow { at: input.now() })),
            all::<_, OnCallRow>,
        ),
    ]
}
