//! How a command becomes durable: the one path of every write, and what readers see while a batch is being stored.
//!
//! ```text
//! submit ─▶ queue ─▶ writer decides ─▶ assembly of a batch ─▶ storer applies it, makes it durable, shows it ─▶ answers
//!                       │ sees what is in flight (overlay)        │ readers: what is overwritten is laid over (snapshot)
//! ```
//!
//! The [`queue`] is bounded; the [`writer`] takes what has queued up and decides it; an [`assembly`] gathers the changes of a
//! batch; the [`storer`] stores a batch while the next is decided, and answers through [`pending`]. An [`overlay`] shows a
//! backend with changes that are not in it, a [`snapshot`] the rows of one moment while commits go on.

pub(crate) mod assembly;
pub(crate) mod overlay;
pub(crate) mod pending;
pub(crate) mod queue;
pub(crate) mod snapshot;
pub(crate) mod storer;
pub(crate) mod writer;
