//! What status pages show of incidents: those that affect components, and their public updates. Each question reads the index rows of
//! these components, and the records of what it gives.

use std::sync::Arc;

use dogwatch_core::id::{ComponentId, Id, IncidentId, UpdateId};
use dogwatch_core::incident::{Incident, IncidentUpdate, Severity};
use dogwatch_core::{Error, Timestamp};

use super::lists::merged;
use super::{IncidentPort, IncidentV5, incident_at_end, incident_key, incident_of, severity, severity_byte};
use crate::backend::Pair;
use crate::record::Corrupt;
use crate::table::{Table, end_of};
use crate::view::{OrgView, corrupt};

impl OrgView<'_> {
    /// The worst severity of the unresolved incidents that affect a component, but for one of them.
    pub(crate) fn worst_open_incident(
        &self,
        component: ComponentId,
        but: Option<IncidentId>,
    ) -> Result<Option<Severity>, Error> {
        for pair in self.store.under(&Table::OPEN_BY_SEVERITY.record(self.org, component)) {
            let (key, _) = pair?;
            if incident_at_end(&key) != but || but.is_none() {
                let byte = key.get(33).copied().ok_or(Corrupt::Key);
                return byte.and_then(severity).map(Some).map_err(|why| corrupt(&key, why));
            }
        }
        Ok(None)
    }

    /// The unresolved incidents that affect at least one of the components, newest first; at most `limit`.
    pub(crate) fn open_incidents_affecting(
        &self,
        components: &[ComponentId],
        limit: usize,
    ) -> Result<Vec<Arc<Incident>>, Error> {
        let mut lists = Vec::new();
        for component in components {
            let all = Table::OPEN_BY_SEVERITY.record(self.org, *component);
            if self.store.under(&all).next().transpose()?.is_none() {
                continue;
            }
            for severity in Severity::ALL {
                lists.push(self.store.under(&[&all[..], &[severity_byte(severity)]].concat()).peekable());
            }
        }
        self.each_once(merged::<16, _>(lists), limit)
    }

    /// The incidents that affect at least one of the components and were resolved at `since` or later, the latest resolved first; at
    /// most `limit`.
    pub(crate) fn resolved_incidents_affecting(
        &self,
        components: &[ComponentId],
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Arc<Incident>>, Error> {
        let earliest = since.as_millis().to_be_bytes().map(|byte| !byte);
        let list = |component: &ComponentId| {
            let start = Table::RESOLVED_BY_COMPONENT.record(self.org, *component);
            self.store.scan(&start, &end_of(&[&start[..], &earliest].concat())).peekable()
        };
        self.each_once(merged::<24, _>(components.iter().map(list).collect()), limit)
    }

    /// The incidents that index rows name, each once: the rows of one are next to one another.
    fn each_once(
        &self,
        rows: impl Iterator<Item = Result<Pair, Error>>,
        limit: usize,
    ) -> Result<Vec<Arc<Incident>>, Error> {
        let (mut last, mut incidents) = (None, Vec::new());
        for pair in rows {
            let (key, _) = pair?;
            let id = incident_at_end(&key).ok_or_else(|| corrupt(&key, Corrupt::Key))?;
            if last.replace(id) == Some(id) {
                continue;
            }
            if incidents.len() == limit {
                break;
            }
            let record = incident_key(self.org, id);
            let incident = self.cached(&record, |row: IncidentV5, read| incident_of(row, self.org, id, read))?;
            incidents.push(incident.ok_or_else(|| corrupt(&key, Corrupt::Missing))?);
        }
        Ok(incidents)
    }

    /// The public updates of an incident, newest first; at most `limit`.
    pub(crate) fn public_updates_of(&self, incident: IncidentId, limit: usize) -> Result<Vec<IncidentUpdate>, Error> {
        let rows = self.store.under(&Table::PUBLIC_UPDATE.record(self.org, incident)).take(limit);
        let update = |key: &[u8]| {
            let inverted = key.last_chunk::<16>().ok_or_else(|| corrupt(key, Corrupt::Key))?;
            let id = UpdateId::from_bytes(inverted.map(|byte| !byte));
            self.update(incident, id)?.ok_or_else(|| corrupt(key, Corrupt::Missing))
        };
        rows.map(|pair| update(&pair?.0)).collect()
    }
}
