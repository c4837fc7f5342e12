//! How the rules read incidents.

use std::sync::Arc;

use super::{AuditEvent, Incident, IncidentFilter, IncidentUpdate};
use crate::error::Error;
use crate::id::{AuditEventId, IncidentId, UpdateId};

/// The incidents of one organization, their updates and audit trails, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait IncidentPort {
    /// The incident with this id.
    fn incident(&self, id: IncidentId) -> Result<Option<Incident>, Error>;
    /// The incidents that pass the filter, newest first (`createdAt`, then id, descending): those behind `after`, or from the
    /// newest on with `None`; at most `limit`. They are shared, since a store may keep them.
    fn incidents(
        &self,
        filter: &IncidentFilter,
        after: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Arc<Incident>>, Error> {
        let _ = (filter, after, limit);
        Ok(Vec::new())
    }
    /// The update of an incident with this id.
    fn update(&self, incident: IncidentId, id: UpdateId) -> Result<Option<IncidentUpdate>, Error> {
        let _ = (incident, id);
        Ok(None)
    }
    /// The updates of an incident, oldest first: those behind `after`, or from the oldest on with `None`; at most `limit`.
    fn updates(
        &self,
        incident: IncidentId,
        after: Option<UpdateId>,
        limit: usize,
    ) -> Result<Vec<IncidentUpdate>, Error> {
        let _ = (incident, after, limit);
        Ok(Vec::new())
    }
    /// The events of an incident's audit trail that have moved out of it, oldest first: those behind `after`, or from the oldest on
    /// with `None`; at most `limit`.
    fn earlier_events(
        &self,
        incident: IncidentId,
        after: Option<AuditEventId>,
        limit: usize,
    ) -> Result<Vec<AuditEvent>, Error> {
        let _ = (incident, after, limit);
        Ok(Vec::new())
    }
    /// The last of the events of an incident's audit trail that have moved out of it, oldest first; at most `limit`.
    fn last_earlier_events(&self, incident: IncidentId, limit: usize) -> Result<Vec<AuditEvent>, Error> {
        let _ = (incident, limit);
        Ok(Vec::new())
    }
}
