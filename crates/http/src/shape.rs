//! What the shapes of replies have in common. A reply is what the engine gives, in the JSON of the rules (their feature `serde`);
//! the shapes here only describe that JSON for the OpenAPI document.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::{Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

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

/// What the engine gave, described by the shape `S`.
pub(crate) struct Shown<S, T>(T, PhantomData<fn() -> S>);

impl<S, T: Serialize> Serialize for Shown<S, T> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.0.serialize(serializer)
    }
}

impl<S: ToSchema, T> PartialSchema for Shown<S, T> {
    fn schema() -> RefOr<Schema> {
        S::schema()
    }
}

impl<S: ToSchema, T> ToSchema for Shown<S, T> {
    fn name() -> Cow<'static, str> {
        S::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        S::schemas(schemas);
    }
}

/// Shows what the engine gave, described by a shape.
pub(crate) fn shown<S, T>(value: T) -> Shown<S, T> {
    Shown(value, PhantomData)
}

/// As [`shown`], for a list.
pub(crate) fn each<S, T>(values: Vec<T>) -> Vec<Shown<S, T>> {
    values.into_iter().map(shown).collect()
}
