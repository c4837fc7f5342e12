//! The rules of incident response, pure: the same world, actor, instant and ids give the same decision, always.
//!
//! A [`Command`] says what somebody wants, a [`Query`] what somebody wants to know. [`decide`] and [`ask`] apply the rules
//! to a state that they only read; a [`Decision`] says what to reply and what to write. There is no I/O here, no clock, no
//! thread and no source of randomness that the caller did not seed. To store what is decided, use `dogwatch-store`; to try
//! the rules without storing anything, [`memory::MemoryState`] is a state that lives in maps.
//!
//! What the rules are is written in `docs/contract.md`; items here name its sections. Each resource has a room of its own with
//! everything about it, and this page has only what every program needs.
//!
//! ```
//! use dogwatch_core::incident::{ChangeStatus, CreateIncident, Severity, Status};
//! use dogwatch_core::organization::CreateOrganization;
//! use dogwatch_core::{Actor, Code, IdSource, Timestamp, memory::MemoryState};
//!
//! let mut state = MemoryState::new();
//! let mut ids = IdSource::from_seed([7; 32]);
//! let now = Timestamp::parse("2026-04-07T10:00:00Z")?;
//!
//! let created = state.execute(
//!     CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?, "Ada".parse()?, "Byron".parse()?),
//!     &Actor::Operator, now, &mut ids,
//! )?;
//! let ada = created.actor();
//! let owner = created.admin.member.id;
//! let open = CreateIncident::new("Checkout is down".parse()?, Severity::Critical, owner);
//! let incident = state.execute(open, &ada, now, &mut ids)?;
//! assert_eq!(incident.sequential_id, 1);
//!
//! let refused = state.execute(ChangeStatus::new(incident.id, Status::Resolved), &ada, now, &mut ids);
//! assert_eq!(refused.unwrap_err().code(), Code::InvalidStatusTransition);
//! # Ok::<(), dogwatch_core::Error>(())
//! ```

mod checks;
mod code;
mod cursor;
mod error;
#[cfg(feature = "serde")]
mod json;
mod membership;
mod patch;
mod time;
mod validation;
mod words;

// Values.
pub mod id;
pub mod limits;
pub mod secret;
pub mod text;
pub mod zone;

// How a command is decided.
pub mod caller;
pub mod command;
pub mod world;

// The rooms.
pub mod api_key;
pub mod component;
pub mod contact;
pub mod escalation;
pub mod incident;
pub mod integration;
pub mod link;
pub mod oncall;
pub mod org_audit;
pub mod organization;
pub mod outbox;
pub mod removal;
pub mod status_page;
pub mod team;
pub mod ticks;
pub mod webhook;

pub mod memory;

pub use caller::Actor;
pub use code::{Code, ErrorKind};
pub use command::{Command, Decision, Query, ask, ask_in, decide, decide_in};
pub use error::{Error, FieldProblem};
pub use id::{IdSource, OrgId, UserId};
pub use patch::Patch;
pub use secret::Secret;
pub use time::Timestamp;
pub use validation::{Problem, Validation};
pub use zone::Zone;
