//! The engine you embed: incident response in one folder, durable.
//!
//! Open an [`Engine`], hand it commands and queries of [`rules`], and it keeps what they decide. Commands queue to a single
//! writer that commits what has queued up as one batch, makes it durable once, and only then answers: they are
//! serializable without a lock in your code, and throughput grows with load. Queries read durable state directly.
//!
//! Everything is made as an [`Actor`](rules::Actor) of one organization, and nothing of another one can be seen, named or
//! changed. Every error has a code of the contract: see [`Error::code`].
//!
//! See [`Engine`] for an example, and `FORMAT.md` for what is on disk.

pub mod backend;
mod clock;
mod commit;
mod delivery;
mod engine;
mod error;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod once;
mod record;
mod rooms;
mod signal;
mod table;
mod ticker;
mod ticks;
mod tools;
mod view;

pub use clock::{Clock, ManualClock, SystemClock};
pub use commit::pending::Pending;
pub use delivery::Notifications;
pub use engine::{Engine, EngineBuilder, Load};
pub use error::{Error, OpenError};
pub use once::{Answer, Once, Recorded};
pub use ticker::Ticker;
pub use ticks::Ticked;
pub use tools::{Copied, Finding, Progress, ReadOnly, Report, Stats, TableStats, ToolError, import};

/// The rules: commands, queries, and everything they speak of.
pub use dogwatch_core as rules;

/// The README's example, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
