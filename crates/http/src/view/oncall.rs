//! Schedules, rotation layers, overrides, and who is on call.

use dogwatch_store::rules;
use serde::Serialize;
use utoipa::ToSchema;

use super::{all, maybe, text, texts};

#[derive(Debug, Serialize, ToSchema)]
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

impl From<rules::oncall::RotationLayerView> for RotationLayer {
    fn from(layer: rules::oncall::RotationLayerView) -> Self {
        Self {
            id: text(&layer.id),
            schedule_id: text(&layer.schedule_id),
            name: text(&layer.name),
            position: layer.position,
            rotation_type: text(&layer.length.kind()),
            rotation_length_days: layer.length.days(),
            handoff_time: text(&layer.handoff_time),
            effective_from: text(&layer.effective_from),
            effective_until: maybe(layer.effective_until.as_ref()),
            participant_ids: texts(&layer.participant_ids),
            created_at: text(&layer.created_at),
            updated_at: text(&layer.updated_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
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
    /// By position; only of one schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<RotationLayer>>,
}

impl Schedule {
    pub(crate) fn with_layers(schedule: rules::oncall::ScheduleView) -> Self {
        Self { layers: Some(all(schedule.layers.clone())), ..Self::from(schedule) }
    }
}

impl From<rules::oncall::ScheduleView> for Schedule {
    fn from(schedule: rules::oncall::ScheduleView) -> Self {
        Self {
            id: text(&schedule.id),
            org_id: text(&schedule.org_id),
            name: text(&schedule.name),
            description: maybe(schedule.description.as_ref()),
            timezone: text(&schedule.timezone),
            created_by: text(&schedule.created_by),
            created_at: text(&schedule.created_at),
            updated_at: text(&schedule.updated_at),
            layers: None,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
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

impl From<rules::oncall::Override> for Override {
    fn from(one: rules::oncall::Override) -> Self {
        Self {
            id: text(&one.id),
            schedule_id: text(&one.schedule_id),
            user_id: text(&one.user_id),
            starts_at: text(&one.starts_at),
            ends_at: text(&one.ends_at),
            reason: maybe(one.reason.as_ref()),
            created_by: text(&one.created_by),
            created_at: text(&one.created_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OnCallTarget {
    user_id: String,
    layer_id: Option<String>,
    override_id: Option<String>,
}

impl From<rules::oncall::OnCallTarget> for OnCallTarget {
    fn from(target: rules::oncall::OnCallTarget) -> Self {
        Self {
            user_id: text(&target.user_id),
            layer_id: maybe(target.layer_id.as_ref()),
            override_id: maybe(target.override_id.as_ref()),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
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

impl From<rules::oncall::OnCallAt> for Resolved {
    fn from(resolved: rules::oncall::OnCallAt) -> Self {
        Self {
            schedule_id: text(&resolved.schedule_id),
            at: text(&resolved.at),
            current_oncall: maybe(resolved.current_oncall().as_ref()),
            owner: resolved.on_call.owner.map(OnCallTarget::from),
            paging_targets: all(resolved.on_call.paging_targets),
            next_change_at: maybe(resolved.next_change_at.as_ref()),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OnCallRow {
    schedule_id: String,
    name: String,
    owner: Option<OnCallTarget>,
    paging_targets: Vec<OnCallTarget>,
}

impl From<rules::oncall::ScheduleOnCall> for OnCallRow {
    fn from(row: rules::oncall::ScheduleOnCall) -> Self {
        Self {
            schedule_id: text(&row.schedule_id),
            name: text(&row.name),
            owner: row.on_call.owner.map(OnCallTarget::from),
            paging_targets: all(row.on_call.paging_targets),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Shift {
    user_id: String,
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LayerShifts {
    layer_id: String,
    shifts: Vec<Shift>,
}

#[derive(Debug, Serialize, ToSchema)]
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

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Gap {
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Shifts {
    layers: Vec<LayerShifts>,
    #[serde(rename = "final")]
    line: Vec<FinalShift>,
    gaps: Vec<Gap>,
}

impl From<rules::oncall::Shifts> for Shifts {
    fn from(shifts: rules::oncall::Shifts) -> Self {
        let shift = |shift: &rules::oncall::Shift| Shift {
            user_id: text(&shift.user_id),
            starts_at: text(&shift.starts_at),
            ends_at: text(&shift.ends_at),
        };
        let layer = |layer: &rules::oncall::LayerShifts| LayerShifts {
            layer_id: text(&layer.layer_id),
            shifts: layer.shifts.iter().map(shift).collect(),
        };
        let part = |shift: &rules::oncall::FinalShift| FinalShift {
            user_id: text(&shift.target.user_id),
            layer_id: maybe(shift.target.layer_id.as_ref()),
            override_id: maybe(shift.target.override_id.as_ref()),
            starts_at: text(&shift.starts_at),
            ends_at: text(&shift.ends_at),
        };
        let gap = |gap: &rules::oncall::Gap| Gap { starts_at: text(&gap.starts_at), ends_at: text(&gap.ends_at) };
        Self {
            layers: shifts.layers.iter().map(layer).collect(),
            line: shifts.final_shifts.iter().map(part).collect(),
            gaps: shifts.gaps.iter().map(gap).collect(),
        }
    }
}
