//! Types that all parts of the naive model share; each resource has its own part (see [`crate::rooms`]).

/// An instant, in milliseconds since 1970.
pub type Millis = i64;

/// What the model expects of an operation: a value, or the code of a refusal.
pub type Expected<T> = Result<T, &'static str>;

/// Expects a refusal with this code unless the rule is kept.
pub(crate) fn ensure(rule: bool, code: &'static str) -> Expected<()> {
    if rule { Ok(()) } else { Err(code) }
}
