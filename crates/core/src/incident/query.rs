//! Queries about incidents and their updates (contract, section 6).

use super::draft::find;
use super::{Cursor, IncidentDetail, IncidentFilter, IncidentView, ListLimit, UpdateView};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::error::Error;
use crate::id::IncidentId;

seal!(GetIncident, ListIncidents, ListUpdates);

/// One incident with its status history and audit trail (contract, sections 6 and 10). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetIncident {
    /// The incident to look at.
    pub id: IncidentId,
}

impl GetIncident {
    /// The question for this incident.
    #[must_use]
    pub const fn new(id: IncidentId) -> Self {
        Self { id }
    }
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

/// The incidents that pass a filter, newest first, up to a limit, with a cursor for the rest (contract, section 6). None pass
/// when `from` is after `to`.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListIncidents {
    /// The incidents to list; by default all.
    pub filter: IncidentFilter,
    /// The most incidents of the reply: 1–100, by default 20.
    pub limit: ListLimit,
    /// The `next_cursor` of the reply before, for the incidents behind it; `None` begins with the newest.
    pub cursor: Option<Cursor>,
}

/// The reply to [`ListIncidents`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct IncidentList {
    /// The incidents, newest first (`createdAt`, then id, descending).
    pub incidents: Vec<IncidentView>,
    /// The cursor with which to ask for the rest; `None` when there is no more.
    pub next_cursor: Option<Cursor>,
}

impl Query for ListIncidents {
    type Caller = ByMember;
    type Reply = IncidentList;
    const CODES: &'static [Code] = &[];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<IncidentList, Error> {
        let limit = self.limit.get();
        // One more than asked for tells whether the list goes on.
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

/// All updates of an incident, oldest first, redacted ones included (contract, section 6). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListUpdates {
    /// The incident whose updates to list.
    pub incident_id: IncidentId,
}

impl ListUpdates {
    /// The question for the updates of this incident.
    #[must_use]
    pub const fn new(incident_id: IncidentId) -> Self {
        Self { incident_id }
    }
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
