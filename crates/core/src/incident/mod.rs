//! Incidents: their lifecycle, updates, tags, history and audit trail (contract, sections 6 and 10).
//!
//! An incident's own time never runs backwards: when the clock jumps back, what happens next to the incident happens at
//! the instant of what happened last. The ids of its parts ascend in the same order.

mod audit;
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
mod tags;
mod updates;
mod view;

pub use audit::{AuditEntry, AuditEvent, EditedField, Event};
pub use create::CreateIncident;
pub use edit::EditIncident;
pub use escalate::{AcknowledgeIncident, HandOffIncident};
pub use list::{Cursor, IncidentFilter, ListLimit};
pub use model::{Incident, IncidentUpdate, Severity, StatusEntry, UpdateVisibility};
pub use port::IncidentPort;
pub use query::{GetIncident, IncidentList, ListIncidents, ListUpdates};
pub use redact::{REDACTION_WINDOW, RedactUpdate};
pub use status::Status;
pub use tags::SetComponents;
pub use updates::{ChangeStatus, PostUpdate};
pub use view::{ActorRef, IncidentDetail, IncidentView, StatusHistoryEntry, UpdateView};

pub(crate) use escalate::let_time_pass;
