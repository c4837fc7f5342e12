//! The one error type of the rules (contract, section 3).
//!
//! An [`Error`] is either a refusal with a [`Code`], a list of fields that fail their schema, or a broken invariant. It never
//! holds a secret, and its text never leaks internals: what a broken invariant was is for `Debug`, not for callers.

use crate::code::{Code, ErrorKind};

/// One field that fails its schema (contract, section 3, `fields`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldProblem {
    /// The name of the field or parameter, as in the contract: `title`. Of a value that became an error with `?`, what it is
    /// called: `first or last name`.
    pub field: String,
    /// What is wrong with it, without repeating the value.
    pub problem: String,
}

/// Why a command or query was refused.
///
/// ```
/// use dogwatch_core::{Code, Error};
/// let error = Error::refused(Code::NotFound, "no incident with this id");
/// assert_eq!(error.code(), Code::NotFound);
/// assert_eq!(error.http_status(), 404);
/// assert!(error.fields().is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request is well-formed, but breaks a rule.
    #[error("{message}")]
    Refused {
        /// The reason, for programs.
        code: Code,
        /// One English sentence for people.
        message: String,
    },
    /// Input that fails its schema (code [`Code::Validation`]); every offending field is listed.
    #[error("{}", describe(.0))]
    Invalid(Vec<FieldProblem>),
    /// An invariant of the engine does not hold, or the store cannot be read (code [`Code::Internal`]). The text is for the log
    /// of whoever runs the engine.
    #[error("internal error")]
    Broken(String),
}

fn describe(fields: &[FieldProblem]) -> String {
    let mut text = String::from("invalid input");
    for (n, field) in fields.iter().enumerate() {
        text.push_str(if n == 0 { ": " } else { "; " });
        text.push_str(&field.field);
        text.push(' ');
        text.push_str(&field.problem);
    }
    text
}

impl Error {
    /// A refusal: its code, and one English sentence for people.
    #[must_use]
    pub fn refused(code: Code, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    /// One field that fails its schema; [`Validation`](crate::Validation) gathers several. The code is [`Code::Validation`].
    #[must_use]
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldProblem { field: field.into(), problem: problem.into() }])
    }

    /// The refusal of an id that does not exist, or not in this organization (code `not_found`). `what` is the word for it in
    /// the message: "incident".
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::refused(Code::NotFound, format!("no {what} with this id"))
    }

    /// A broken invariant (code `internal_error`), described for the log.
    #[must_use]
    pub fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }

    /// The reason, for programs.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Invalid(_) => Code::Validation,
            Self::Broken(_) => Code::Internal,
        }
    }

    /// The category: the field `type` of an error body.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.code().kind()
    }

    /// The HTTP status that goes with the code.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        self.code().http_status()
    }

    /// The offending fields; empty unless the code is [`Code::Validation`].
    #[must_use]
    pub fn fields(&self) -> &[FieldProblem] {
        match self {
            Self::Invalid(fields) => fields,
            Self::Refused { .. } | Self::Broken(_) => &[],
        }
    }
}
