//! How the rules read integrations.

use super::{AlertGroup, AlertKey, Integration, Signal, Traffic};
use crate::error::Error;
use crate::id::{AlertGroupId, IncidentId, IntegrationId, SignalId};

/// The integrations of one organization, and what came in over them, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read. The time that one takes depends on the length
/// of its answer, not on how much else the store holds.
///
/// A program that takes no alerts implements nothing: the rest says that there is none.
pub trait IntegrationPort {
    /// The integration with this id, also one that was deleted.
    fn integration(&self, id: IntegrationId) -> Result<Option<Integration>, Error> {
        let _ = id;
        Ok(None)
    }
    /// All integrations that have not been deleted, oldest first.
    fn integrations(&self) -> Result<Vec<Integration>, Error> {
        Ok(Vec::new())
    }
    /// What came in lately over an integration.
    fn traffic(&self, id: IntegrationId) -> Result<Option<Traffic>, Error> {
        let _ = id;
        Ok(None)
    }
    /// The newest signal of an integration with this key.
    fn newest_signal(&self, integration: IntegrationId, key: AlertKey) -> Result<Option<Signal>, Error> {
        let _ = (integration, key);
        Ok(None)
    }
    /// The newest group of an integration with this key.
    fn newest_group(&self, integration: IntegrationId, key: AlertKey) -> Result<Option<AlertGroup>, Error> {
        let _ = (integration, key);
        Ok(None)
    }
    /// The group whose incident this is.
    fn group_of(&self, incident: IncidentId) -> Result<Option<AlertGroup>, Error> {
        let _ = incident;
        Ok(None)
    }
    /// The signals of a group, oldest first: those behind `after`, or from the oldest on with `None`; at most `limit`.
    fn signals(&self, group: AlertGroupId, after: Option<SignalId>, limit: usize) -> Result<Vec<Signal>, Error> {
        let _ = (group, after, limit);
        Ok(Vec::new())
    }
}
