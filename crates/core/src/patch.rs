//! An optional field of a PATCH request (contract, section 1): absent, `null`, or a value.

/// What a PATCH does to an optional field.
///
/// ```
/// use dogwatch_core::Patch;
/// assert_eq!(Patch::Keep.apply(Some(1)), Some(1));
/// assert_eq!(Patch::Clear.apply(Some(1)), None);
/// assert_eq!(Patch::Set(2).apply(Some(1)), Some(2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The field is absent: leave it alone.
    #[default]
    Keep,
    /// The field is `null`: clear it.
    Clear,
    /// The field has a value: set it.
    Set(T),
}

impl<T> Patch<T> {
    /// The value of the field after the PATCH, where `current` is its value before.
    pub fn apply(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Keep => current,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// Whether the field is absent.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}
