//! Looking at incidents.

use super::draft::find;
use super::{Cursor, IncidentDetail, IncidentFilter, IncidentView, ListLimit, UpdateView};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::error::Error;
use crate::id::IncidentId;

seal!(GetIncident, ListIncidents, ListUpdates);

/// One incident with its status history and audit trail. Codes: `not_found`.
#[derive(Debug, Clone, Copy)]
pub struct GetIncident {
    /// Which one.
    pub id: IncidentId,
}

impl Query for GetIncident {
    type Caller = ByMember;
    type Reply = IncidentDetail;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<IncidentDetail, Error> {
        let incident = find(view.world, self.id)?;
        IncidentDetail::of(&incident, view.world)
    }
}

/// A page of incidents, newest first. `from` after `to` is an empty page.
///
/// ```
/// use dogwatch_core::Timestamp;
/// use dogwatch_core::incident::{IncidentFilter, ListIncidents, ListLimit, Status};
/// let query = ListIncidents {
///     filter: IncidentFilter {
///         status: Some(Status::Investigating),
///         from: Some(Timestamp::parse_range_start("2026-04-01")?),
///         to: Some(Timestamp::parse_range_end("2026-04-30")?),
///         ..IncidentFilter::default()
///     },
///     limit: ListLimit::new(50)?,
///     cursor: None,
/// };
/// # Ok::<(), dogwatch_core::Problem>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ListIncidents {
    /// Which ones.
    pub filter: IncidentFilter,
    /// How many at most.
    pub limit: ListLimit,
    /// Where to go on; at the newest, if absent.
    pub cursor: Option<Cursor>,
}

/// The reply to [`ListIncidents`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentList {
    /// The incidents, newest first (`createdAt`, then id, descending).
    pub incidents: Vec<IncidentView>,
    /// Where to go on; none when there are no more.
    pub next_cursor: Option<Cursor>,
}

impl Query for ListIncidents {
    type Caller = ByMember;
    type Reply = IncidentList;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<IncidentList, Error> {
        let limit = self.limit.get();
        // One more than asked for tells whether there is a next page.
        let found = view.world.incidents(&self.filter, self.cursor.map(Cursor::last_seen), limit + 1)?;
        let shown = found.get(..limit).unwrap_or(&found);
        let next_cursor = if found.len() > limit { shown.last().map(|last| Cursor::behind(last.id)) } else { None };
        let mut incidents = Vec::with_capacity(shown.len());
        for incident in shown {
            incidents.push(IncidentView::of(incident, view.world)?);
        }
        Ok(IncidentList { incidents, next_cursor })
    }
}

/// All updates of an incident, oldest first, redacted ones included. Codes: `not_found`.
#[derive(Debug, Clone, Copy)]
pub struct ListUpdates {
    /// Of which incident.
    pub incident_id: IncidentId,
}

impl Query for ListUpdates {
    type Caller = ByMember;
    type Reply = Vec<UpdateView>;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<Vec<UpdateView>, Error> {
        find(view.world, self.incident_id)?;
        UpdateView::of_all(&view.world.updates(self.incident_id)?, view.world)
    }
}
