//! The shapes of replies, as the contract gives them. They only rename: every value comes from the engine.

mod escalation;
mod incident;
mod oncall;
mod team;

pub(crate) use escalation::{Policy, PolicyLayer, PreviewedLayer};
pub(crate) use incident::{Component, Incident, IncidentDetail, IncidentList, Update, Updates};
pub(crate) use oncall::{OnCallRow, Override, Resolved, RotationLayer, Schedule, Shifts};
pub(crate) use team::{ApiKey, Invitation, Joined, Member, NewApiKey, Team};

use std::fmt::Display;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// What a DELETE replies.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deleted {
    pub(crate) id: String,
    pub(crate) deleted: bool,
}

impl Deleted {
    #[allow(clippy::needless_pass_by_value, reason = "ids are small, and a path to this function is passed around")]
    pub(crate) fn of(id: impl ToString) -> Self {
        Self { id: id.to_string(), deleted: true }
    }
}

/// A value that is written as it shows itself, straight into the reply.
#[derive(Debug)]
pub(crate) struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A list as its own shape.
pub(crate) fn all<T, D: From<T>>(things: Vec<T>) -> Vec<D> {
    things.into_iter().map(D::from).collect()
}

fn text(value: &impl ToString) -> String {
    value.to_string()
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn maybe<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}
