//! The errors of an engine: [`Error`] of a call, which includes the refusals by the rules, and [`OpenError`] of opening.

use std::io;
use std::path::PathBuf;

use dogwatch_core::{Code, ErrorKind, FieldProblem, Timestamp};

use crate::backend::BackendError;
use crate::journal::Position;

/// Why a call of an engine was refused or failed.
///
/// Every error has a code of the contract: [`Error::code`], [`Error::kind`], [`Error::http_status`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A rule refused the command, or the input fails its schema.
    #[error(transparent)]
    Refused(#[from] dogwatch_core::Error),
    /// The command queue is full. The command did not happen; try again.
    #[error("the command queue is full")]
    Overloaded,
    /// Storage failed while the command was committed: it may or may not have happened. Reopen the engine and look.
    #[error("storage failed during the commit, so the outcome is unknown until the engine is reopened")]
    OutcomeUnknown,
    /// Storage has failed, and the command certainly did not happen. The engine takes no commands until it is reopened; what it was is
    /// told by [`Engine::failure`](crate::Engine::failure).
    #[error("storage has failed, so the command did not happen; the engine takes none until it is reopened")]
    Poisoned,
    /// The engine works on a store that several servers share, and another one leads, or nobody does. The command certainly did not
    /// happen; give it to the leader (contract, section 15).
    #[error("this server does not lead, so the command did not happen")]
    NotLeading,
}

impl From<dogwatch_core::Problem> for Error {
    fn from(problem: dogwatch_core::Problem) -> Self {
        Self::Refused(problem.into())
    }
}

impl Error {
    /// The code of the error, for programs (contract, section 3).
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Refused(error) => error.code(),
            Self::Overloaded => Code::Overloaded,
            Self::OutcomeUnknown => Code::OutcomeUnknown,
            Self::Poisoned | Self::NotLeading => Code::Unavailable,
        }
    }

    /// Whether the engine takes no commands any more, so that asking again does not help: open it again, or ask the leader.
    #[must_use]
    pub const fn ends_engine(&self) -> bool {
        matches!(self, Self::OutcomeUnknown | Self::Poisoned | Self::NotLeading)
    }

    /// The category of the error (`type` in an HTTP response).
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
            Self::Refused(error) => error.fields(),
            Self::Overloaded | Self::OutcomeUnknown | Self::Poisoned | Self::NotLeading => &[],
        }
    }
}

/// Why an engine takes no commands any more: see [`Engine::failure`](crate::Engine::failure).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageFailure {
    /// When it was noticed, on the engine's clock.
    pub at: Timestamp,
    /// What failed first, for whoever operates the engine.
    pub cause: String,
}

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another engine, in this process or another, has the folder open.
    #[error("`{}` is in use by {holder}; stop it, or open another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The holder of the lock, if known: `process 4711`.
        holder: String,
    },
    /// There is no store in the folder, and the caller asked not to create one.
    #[error("there is no store in `{}`", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// An operation of the operating system failed.
    #[error("cannot open `{}`: {doing} failed: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The operation that failed.
        doing: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The storage under the engine failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The folder holds data other than a dogwatch store.
    #[error("there is data here that is not a dogwatch store")]
    NotAStore,
    /// The store has a format that this version does not know.
    #[error("the store has format {found}, but this version knows formats up to {known}; use a newer version")]
    NewerFormat {
        /// The store's format.
        found: u32,
        /// The newest format this version knows.
        known: u32,
    },
    /// The store has an older format, or its upgrade is unfinished, and the caller asked not to change it
    /// ([`EngineBuilder::upgrade`](crate::EngineBuilder::upgrade)).
    #[error("the store has format {found}, and would be upgraded to format {known}; an upgrade was not asked for")]
    OlderFormat {
        /// The store's format.
        found: u32,
        /// The format that this version writes.
        known: u32,
    },
    /// The rows of the store and its journal do not fit together: one of them has lost commits, or is of another store. Or a store
    /// of a format before 8 holds fewer commits than when it was closed.
    #[error(
        "the rows of the store are at commit {found}, and it is known to have been at {known}: commits are lost, or a part of \
         the folder is of another store; restore a backup"
    )]
    Lost {
        /// The last commit that the rows hold.
        found: Position,
        /// The last commit of the journal, or the one at which the store was closed.
        known: Position,
    },
    /// The record of the last commit cannot be decoded.
    #[error("the store is damaged: {0}; restore a backup")]
    Corrupt(String),
    /// An import, a backup or a compaction was interrupted before the store was complete.
    #[error("the store was never finished being written; remove the folder and write it again")]
    Unfinished,
    /// The folder holds an incremental backup ([`Engine::backup_increment`](crate::Engine::backup_increment)), with which nobody works.
    #[error("the folder holds an incremental backup; restore it to another folder, and open that")]
    IncrementalBackup,
    /// The folder holds a server's copy of a shared store, whose truth is elsewhere ([`Cluster`](crate::cluster::Cluster)).
    #[error("the folder holds a copy of a store that several servers share; name that store, too")]
    SharedCopy,
    /// The folder holds a store of its own, and the caller wanted to keep a copy of a shared store there.
    #[error("the folder holds a store of its own; push it to the shared store, or name another folder for the copy")]
    NotACopy,
    /// The operating system gave no random bytes to make ids and secrets from.
    #[error("no random bytes from the operating system: {0}")]
    Randomness(String),
    /// A thread of the engine could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}
