//! What a command prints when it cannot do what it was asked to.

use std::fmt;
use std::io;

use dogwatch_store::{Error, OpenError, core};

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store could not be opened.
    Open(OpenError),
    /// The engine refused.
    Engine(Error),
    /// The output could not be written.
    Output(io::Error),
}

impl Failure {
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error @ OpenError::NoStore { .. }) => writeln!(f, "error: {error}; `dogwatch init` creates one"),
            Self::Open(error) => writeln!(f, "error: {error}"),
            Self::Output(error) => writeln!(f, "error: cannot write the output: {error}"),
            Self::Engine(error) if !error.fields().is_empty() => {
                writeln!(f, "error: invalid input ({})", error.code())?;
                error.fields().iter().try_for_each(|field| writeln!(f, "  {} {}", field.path, field.problem))
            }
            Self::Engine(error) => writeln!(f, "error: {error} ({})", error.code()),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl From<core::Error> for Failure {
    fn from(error: core::Error) -> Self {
        Self::Engine(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
