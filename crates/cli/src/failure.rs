//! Failures of a command, and the message that each prints on standard error.

use std::fmt;
use std::io;

use std::path::{Path, PathBuf};

use dogwatch_store::backend::BackendError;
use dogwatch_store::{Error, OpenError, ToolError, rules};

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store could not be opened.
    Open(OpenError),
    /// The engine refused the command or query, or failed.
    Engine(Error),
    /// A tool could not do its work.
    Tool(ToolError),
    /// The store could not be read to its end, so that nothing is known of it.
    Unread,
    /// The store is damaged; the number of findings of `verify`.
    Findings(u64),
    /// A file that an argument names cannot be opened or written.
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// What the server says that did the task: lines that are ready to print.
    Served(String),
    /// The server that did the task cannot be heard any more.
    ServerLost(io::Error),
    /// Settings that do not fit.
    Settings(String),
    /// The output could not be written.
    Output(io::Error),
}

impl Failure {
    /// The failure of a file that an argument names.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { path, source }
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error @ OpenError::NoStore { .. }) => writeln!(f, "error: {error}; `dogwatch init` creates one"),
            Self::Open(error) => writeln!(f, "error: {error}"),
            Self::Tool(error) => writeln!(f, "error: {error}"),
            Self::Unread => writeln!(f, "error: the store could not be read to its end"),
            Self::Findings(1) => writeln!(f, "error: the store is damaged: 1 finding"),
            Self::Findings(count) => writeln!(f, "error: the store is damaged: {count} findings"),
            Self::File { path, source } => writeln!(f, "error: `{}`: {source}", path.display()),
            Self::Served(lines) => f.write_str(lines),
            Self::ServerLost(error) => {
                writeln!(f, "error: the server cannot be heard any more: {error}; it may have done what it was told")
            }
            Self::Settings(why) => writeln!(f, "error: {why}"),
            Self::Output(error) => writeln!(f, "error: cannot write the output: {error}"),
            Self::Engine(error) if !error.fields().is_empty() => {
                writeln!(f, "error: invalid input ({})", error.code())?;
                error.fields().iter().try_for_each(|field| writeln!(f, "  {} {}", field.field, field.problem))
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

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::Open(error) => Self::Open(error),
            ToolError::Io(error) => Self::Output(error),
            other => Self::Tool(other),
        }
    }
}

impl From<dogwatch_deliver::SettingsError> for Failure {
    fn from(error: dogwatch_deliver::SettingsError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<dogwatch_postgres::ConnectError> for Failure {
    fn from(error: dogwatch_postgres::ConnectError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::Tool(error.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl From<rules::Error> for Failure {
    fn from(error: rules::Error) -> Self {
        Self::Engine(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
