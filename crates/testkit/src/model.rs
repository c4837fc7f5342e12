//! What the parts of the naive model have in common; each room has its own (see [`crate::rooms`]).

/// An instant, in milliseconds since 1970.
pub type Millis = i64;

/// What the model expects of an operation: a value, or a code.
pub type Expected<T> = Result<T, &'static str>;

/// Expects a code unless a rule is kept.
pub(crate) fn ensure(rule: bool, code: &'static str) -> Expected<()> {
    if rule { Ok(()) } else { Err(code) }
}
