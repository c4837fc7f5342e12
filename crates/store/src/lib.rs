//! The engine that a program embeds: incident response, stored durably in one folder.
//!
//! Open an [`Engine`] and give it the commands and queries of [`rules`]. Commands queue to a single writer, which commits
//! all that have queued up as one batch, makes the batch durable once, and only then answers: commands are serializable
//! without a lock in your code, and throughput grows with load. Queries read durable state directly.
//!
//! Every command and query is made as an [`Actor`](rules::Actor) of one organization, and nothing of another organization
//! can be seen, named or changed. Every [`Error`] of a call has a code of the contract: see [`Error::code`]. An [`OpenError`] (of opening, or of
//! starting a thread) and a [`ToolError`] have none.
//!
//! See [`Engine`] for an example, and `FORMAT.md` for the format on disk.

pub mod backend;
mod builder;
mod changes;
mod clock;
pub mod cluster;
mod commit;
mod deliverer;
mod delivery;
mod engine;
mod error;
mod follow;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod intake;
pub mod journal;
mod once;
mod priority;
mod readers;
mod record;
mod rooms;
mod secrets;
mod signal;
mod sync;
mod table;
mod ticker;
mod ticks;
mod tools;
mod trace;
mod transaction;
mod view;

pub use builder::EngineBuilder;
pub use changes::{Change, Gone, Subject, What};
pub use clock::{Clock, ManualClock, SystemClock};
pub use commit::pending::Pending;
pub use commit::writer::By;
pub use deliverer::{Delivery, Envelope, Sending};
pub use delivery::{Claims, Notifications, Wanted};
pub use engine::{Engine, Load, Opening, View, WeakEngine};
pub use error::{Error, OpenError, StorageFailure};
pub use follow::{FollowError, Follower};
pub use once::{Answer, Once, Recorded};
#[doc(hidden)]
pub use priority::give_way;
pub use secrets::master_key;
pub use ticker::Ticker;
pub use ticks::Ticked;
#[cfg(feature = "export")]
pub use tools::import;
pub use tools::{
    Copied, Finding, Increment, Progress, ReadOnly, Report, Restored, Stats, TableStats, ToolError, Until,
    backup_shared, restore,
};
pub use transaction::Transaction;

/// The rules: commands, queries, and the types that they use.
pub use dogwatch_core as rules;
