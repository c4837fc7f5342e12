//! Incidents: their lifecycle, updates, affected components, history and audit trail (contract, sections 6 and 10).
//!
//! An incident has a severity, an owner, and a status that goes forward only: `investigating`, `identified`, `monitoring`,
//! `resolved`. Commands on it:
//!
//! - [`CreateIncident`] opens one and starts the escalation run of its policy; [`EditIncident`] changes title, description or
//!   severity; [`SetComponents`] says which components it affects.
//! - [`ChangeStatus`] moves it a step forward, [`PostUpdate`] says how it goes, and [`RedactUpdate`] takes back what was said.
//! - [`AcknowledgeIncident`] stops the paging, and [`HandOffIncident`] gives it to another owner.
//!
//! Queries: [`GetIncident`] with status history and audit trail, [`ListIncidents`] with a filter,
//! [`ListUpdates`], [`GetUpdate`], [`ListAuditEvents`].
//!
//! An incident's own time never runs backwards: when the clock jumps back, what happens next to the incident happens at the
//! instant of what happened last. The ids of its parts ascend in the same order.
//!
//! Who is paged about an incident, and when, is in [`crate::escalation`]; how pages travel is in [`crate::outbox`].

mod alert;
mod audit;
mod components;
mod create;
mod draft;
mod edit;
mod escalate;
mod list;
mod model;
mod port;
mod query;
mod redact;
mod status;
mod updates;
mod view;

pub use audit::{AcknowledgedVia, AuditEntry, AuditEvent, EditedField, Event, EventName};
pub use components::SetComponents;
pub use create::{CreateIncident, Owner};
pub use edit::EditIncident;
pub use escalate::{AcknowledgeIncident, HandOffIncident};
pub use list::{AuditCursor, Cursor, IncidentFilter, ListLimit, UpdateCursor};
pub use model::{Author, Incident, IncidentUpdate, Severity, StatusEntry, UpdateVisibility};
pub use port::IncidentPort;
pub use query::{
    AuditEventList, GetIncident, GetUpdate, IncidentList, ListAuditEvents, ListIncidents, ListUpdates, UpdateList,
};
pub use redact::{REDACTION_WINDOW, RedactUpdate};
pub use status::Status;
pub use updates::{ChangeStatus, PostUpdate};
pub use view::{ActorRef, IncidentDetail, IncidentView, StatusHistoryEntry, UpdateView};

pub(crate) use alert::{acknowledge, join, open, raise, resolve};
pub(crate) use draft::note;
pub(crate) use escalate::let_time_pass;
