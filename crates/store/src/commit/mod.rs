//! How a command becomes durable: the one path of every write, and what readers see meanwhile.
//!
//! ```text
//! submit ─▶ queue ─▶ writer decides ─▶ assembly of a batch ─▶ storer appends it to the journal, publishes it ─▶ answers
//!                       │ sees what is entered                                   │
//!                       └──────────────── versions of rows ◀── views of readers  └─▶ applier brings it into the backend
//! ```
//!
//! The [`queue`] is bounded; the [`writer`] takes what has queued up and decides it; an [`assembly`] gathers the changes of a
//! batch; the [`storer`] appends a batch while the next is decided, and answers through [`pending`]. The [`applier`] brings what
//! is durable into the backend, behind the answers; [`bookmarks`] say what the journal keeps after that. [`versions`] holds the
//! rows that are not there yet, so that everybody sees whole commits, and a [`cache`] of entities that were decoded. An [`overlay`]
//! shows rows with changes laid over them, a [`snapshot`] is a view for the tools.

pub(crate) mod applier;
pub(crate) mod assembly;
pub(crate) mod bookmarks;
pub(crate) mod cache;
pub(crate) mod overlay;
pub(crate) mod pending;
pub(crate) mod queue;
#[cfg(all(test, shuttle))]
mod schedules;
pub(crate) mod snapshot;
pub(crate) mod storer;
pub(crate) mod versions;
pub(crate) mod writer;
