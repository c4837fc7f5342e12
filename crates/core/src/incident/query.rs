//! Looking at incidents.

use super::{Cursor, IncidentDetail, IncidentFilter, IncidentView, PageLimit, UpdateView, find};
use crate::actor::Access;
use crate::command::{Query, View};
use crate::error::Error;
use crate::id::IncidentId;

/// One incident with its status history and audit trail. Codes: `not_found`.
#[derive(Debug, Clone, Copy)]
pub struct GetIncident {
    /// Which one.
    pub id: IncidentId,
}

impl Query for GetIncident {
    type Reply = IncidentDetail;
    const ACCESS: Access = Access::Member;

    fn answer(&self, view: &View<'_>) -> Result<IncidentDetail, Error> {
        let incident = find(view.world, self.id)?;
        IncidentDetail::of(&incident, view.world)
    }
}

/// A page of incidents, newest first. `from` after `to` is an empty page.
///
/// ```
/// use dogwatch_core::{IncidentFilter, ListIncidents, PageLimit, Status, Timestamp};
/// let query = ListIncidents {
///     filter: IncidentFilter {
///         status: Some(Status::Investigating),
///         from: Some(Timestamp::parse_range_start("2026-04-01")?),
///         to: Some(Timestamp::parse_range_end("2026-04-30")?),
///         ..IncidentFilter::default()
///     },
///     limit: PageLimit::new(50)?,
///     cursor: None,
/// };
/// # Ok::<(), dogwatch_core::Problem>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ListIncidents {
    /// Which ones.
    pub filter: IncidentFilter,
    /// How many at most.
    pub limit: PageLimit,
    /// Where to go on; at the newest, if absent.
    pub cursor: Option<Cursor>,
}

/// The reply to [`ListIncidents`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentPage {
    /// The incidents, newest first (`createdAt`, then id, descending).
    pub incidents: Vec<IncidentView>,
    /// Where to go on; none when there are no more.
    pub next_cursor: Option<Cursor>,
}

impl Query for ListIncidents {
    type Reply = IncidentPage;
    const ACCESS: Access = Access::Member;

    fn answer(&self, view: &View<'_>) -> Result<IncidentPage, Error> {
        let limit = self.limit.get();
        // One more than asked for tells whether there is a next page.
        let found = view.world.incidents(&self.filter, self.cursor.map(Cursor::last_seen), limit + 1)?;
        let shown = found.get(..limit).unwrap_or(&found);
        let next_cursor = if found.len() > limit { shown.last().map(|last| Cursor::behind(last.id)) } else { None };
        let mut incidents = Vec::with_capacity(shown.len());
        for incident in shown {
            incidents.push(IncidentView::of(incident, view.world)?);
        }
        Ok(IncidentPage { incidents, next_cursor })
    }
}

/// All updates of an incident, oldest first, redacted ones included. Codes: `not_found`.
#[derive(Debug, Clone, Copy)]
pub struct ListUpdates {
    /// Of which incident.
    pub incident: IncidentId,
}

impl Query for ListUpdates {
    type Reply = Vec<UpdateView>;
    const ACCESS: Access = Access::Member;

    fn answer(&self, view: &View<'_>) -> Result<Vec<UpdateView>, Error> {
        find(view.world, self.incident)?;
        UpdateView::of_all(&view.world.updates(self.incident)?, view.world)
    }
}
