//! Validation that names every offending field, not only the first (contract, section 3).
//!
//! The types of [`crate::text`], [`crate::id`] and [`crate::time`] check one value each. A [`Validation`] runs several such
//! checks over the fields of one input, keeps what went wrong, and at the end gives either the whole value or an
//! [`Error::Invalid`] with every problem.

use crate::error::{Error, FieldProblem};

/// Why one value is not acceptable. It never repeats the value. Shown, it names what it is about.
///
/// It becomes an [`Error`] with `?`, so a program that builds commands needs one error type.
///
/// ```
/// use dogwatch_core::text::Title;
/// use dogwatch_core::{Code, Error};
/// let problem = Title::new("").unwrap_err();
/// assert_eq!(problem.to_string(), "title must not be empty");
/// let error = Error::from(problem);
/// assert_eq!(error.code(), Code::Validation);
/// assert_eq!((error.fields()[0].field.as_str(), error.fields()[0].problem.as_str()), ("title", "must not be empty"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    about: &'static str,
    what: String,
}

impl Problem {
    /// A problem: what it is about ("title"), and what is wrong, in words that follow it ("must not be empty").
    #[must_use]
    pub fn new(about: &'static str, what: impl Into<String>) -> Self {
        Self { about, what: what.into() }
    }

    /// What it is about: the name of a field of the contract, or the kind of value.
    #[must_use]
    pub const fn about(&self) -> &'static str {
        self.about
    }

    /// What is wrong, in words that follow a name: "must not be empty".
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.about, self.what)
    }
}

impl std::error::Error for Problem {}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::invalid(problem.about, problem.what)
    }
}

/// Gathers the problems of several fields.
///
/// ```
/// use dogwatch_core::Validation;
/// use dogwatch_core::text::{EmailAddress, Name};
///
/// # #[derive(Debug)]
/// struct Person { name: Name, email: EmailAddress }
/// let parse = |name: &str, email: &str| {
///     let mut check = Validation::new();
///     let name = check.field("name", Name::new(name));
///     let email = check.field("email", EmailAddress::new(email));
///     check.finish(|| Some(Person { name: name?, email: email? }))
/// };
/// assert!(parse("Ada", "ada@example.com").is_ok());
/// let error = parse("   ", "nobody").unwrap_err();
/// let fields: Vec<_> = error.fields().iter().map(|f| f.field.as_str()).collect();
/// assert_eq!(fields, ["name", "email"]);
/// ```
#[derive(Debug, Default, Clone)]
pub struct Validation {
    problems: Vec<FieldProblem>,
}

impl Validation {
    /// A validation without any problem yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { problems: Vec::new() }
    }

    /// Adds a problem of a field, which is named as in the contract: `title`.
    pub fn problem(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.problems.push(FieldProblem { field: field.into(), problem: problem.into() });
    }

    /// The checked value of a field; `None` if it has a problem, which is added under the name of the field.
    pub fn field<T>(&mut self, field: &str, checked: Result<T, Problem>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(Problem { what, .. }) => {
                self.problem(field, what);
                None
            }
        }
    }

    /// As [`Validation::field`] for an optional field: `Some(None)` when it is absent.
    pub fn optional<T>(&mut self, field: &str, checked: Option<Result<T, Problem>>) -> Option<Option<T>> {
        match checked {
            None => Some(None),
            Some(checked) => self.field(field, checked).map(Some),
        }
    }

    /// Builds the value, if no field had a problem.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every problem, in the order in which they were added.
    pub fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, Error> {
        if !self.problems.is_empty() {
            return Err(Error::Invalid(self.problems));
        }
        build().ok_or_else(|| Error::broken("a field failed its check without a problem"))
    }
}
