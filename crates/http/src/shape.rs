//! What the shapes of replies have in common: [`Deleted`], [`Shown`], and conversions to text. Shapes only rename: every value
//! comes from the engine.

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

/// A value whose `Display` is written straight into the reply, as a JSON string.
#[derive(Debug)]
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The items of a list, each as its shape.
pub(crate) fn all<T, D: From<T>>(things: Vec<T>) -> Vec<D> {
    things.into_iter().map(D::from).collect()
}

pub(crate) fn text(value: &impl ToString) -> String {
    value.to_string()
}

pub(crate) fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

pub(crate) fn maybe<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}
