//! What rules see of incidents.

use super::{AuditEvent, Incident, IncidentFilter, IncidentUpdate};
use crate::error::Error;
use crate::id::{IncidentId, UpdateId};

/// Incidents, their updates and audit trails of one organization, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The cost of each is that of its answer,
/// however much else there is.
pub trait IncidentPort {
    /// An incident.
    fn incident(&self, id: IncidentId) -> Result<Option<Incident>, Error>;
    /// Incidents that pass the filter, newest first, beginning behind `after`, at most `limit`.
    fn incidents(
        &self,
        filter: &IncidentFilter,
        after: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Incident>, Error>;
    /// An update of an incident.
    fn update(&self, incident: IncidentId, id: UpdateId) -> Result<Option<IncidentUpdate>, Error>;
    /// The updates of an incident, oldest first.
    fn updates(&self, incident: IncidentId) -> Result<Vec<IncidentUpdate>, Error>;
    /// The events of an incident's audit trail that have moved out of it, oldest first.
    fn earlier_events(&self, incident: IncidentId) -> Result<Vec<AuditEvent>, Error>;
}
