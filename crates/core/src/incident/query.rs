//! Queries about incidents and their updates (contract, section 6).

use super::draft::find;
use super::{
    AuditCursor, AuditEvent, Cursor, IncidentDetail, IncidentFilter, IncidentUpdate, IncidentView, ListLimit,
    UpdateCursor, UpdateView,
};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Query, View, seal};
use crate::error::Error;
use crate::id::{IncidentId, UpdateId};

seal!(GetIncident, GetUpdate, ListAuditEvents, ListIncidents, ListUpdates);

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

/// One update of an incident (contract, section 6). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetUpdate {
    /// The incident that it is about.
    pub incident_id: IncidentId,
    /// The update to look at.
    pub update_id: UpdateId,
}

impl GetUpdate {
    /// The question for this update.
    #[must_use]
    pub const fn new(incident_id: IncidentId, update_id: UpdateId) -> Self {
        Self { incident_id, update_id }
    }
}

impl Query for GetUpdate {
    type Caller = ByMember;
    type Reply = UpdateView;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<UpdateView, Error> {
        find(view.world, self.incident_id)?;
        let update = view.world.update(self.incident_id, self.update_id)?;
        UpdateView::of(&update.ok_or_else(|| Error::not_found("update"))?, view.world)
    }
}

/// The most updates of a reply to [`ListUpdates`] without a limit.
const MOST_UPDATES: usize = 1_000;
/// The most bytes of their texts; there may be a little more.
const MOST_BYTES: usize = 4 << 20;

/// The updates of an incident, oldest first, redacted ones included (contract, section 6). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListUpdates {
    /// The incident whose updates to list.
    pub incident_id: IncidentId,
    /// The most updates of the reply: 1–100. With `None` there are up to 1,000, and fewer when their texts take more than 4 MiB.
    pub limit: Option<ListLimit>,
    /// The `next_cursor` of the reply before, for the updates behind it; `None` begins with the oldest.
    pub cursor: Option<UpdateCursor>,
}

/// The reply to [`ListUpdates`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct UpdateList {
    /// The updates, oldest first.
    pub updates: Vec<UpdateView>,
    /// The cursor with which to ask for the rest; `None` when there is no more.
    pub next_cursor: Option<UpdateCursor>,
}

impl ListUpdates {
    /// The question for the first updates of this incident.
    #[must_use]
    pub const fn new(incident_id: IncidentId) -> Self {
        Self { incident_id, limit: None, cursor: None }
    }
}

impl Query for ListUpdates {
    type Caller = ByMember;
    type Reply = UpdateList;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<UpdateList, Error> {
        find(view.world, self.incident_id)?;
        let most = self.limit.map_or(MOST_UPDATES, ListLimit::get);
        let (mut updates, mut bytes, mut more) = (Vec::new(), 0_usize, true);
        let mut after = self.cursor.map(UpdateCursor::last_seen);
        while more && updates.len() < most && bytes < MOST_BYTES {
            // One more than wanted tells whether the list goes on.
            let wanted = ListLimit::MAX.get().min(most.saturating_sub(updates.len()));
            let mut found = view.world.updates(self.incident_id, after, wanted.saturating_add(1))?;
            more = found.len() > wanted;
            found.truncate(wanted);
            let text = |update: &IncidentUpdate| update.body.as_ref().map_or(0, |body| body.as_str().len());
            bytes = bytes.saturating_add(found.iter().map(text).sum());
            after = found.last().map(|last| last.id).or(after);
            updates.append(&mut found);
        }
        let next_cursor = after.filter(|_| more).map(UpdateCursor::behind);
        Ok(UpdateList { updates: UpdateView::of_all(&updates, view.world)?, next_cursor })
    }
}

/// The events of an incident's audit trail, oldest first (contract, section 10). Codes: `not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListAuditEvents {
    /// The incident whose events to list.
    pub incident_id: IncidentId,
    /// The most events of the reply: 1–100, by default 20.
    pub limit: ListLimit,
    /// The `next_cursor` of the reply before, for the events behind it; `None` begins with the oldest.
    pub cursor: Option<AuditCursor>,
}

/// The reply to [`ListAuditEvents`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "camelCase"))]
pub struct AuditEventList {
    /// The events, oldest first.
    pub events: Vec<AuditEvent>,
    /// The cursor with which to ask for the rest; `None` when there is no more.
    pub next_cursor: Option<AuditCursor>,
}

impl ListAuditEvents {
    /// The question for the first events of this incident.
    #[must_use]
    pub fn new(incident_id: IncidentId) -> Self {
        Self { incident_id, limit: ListLimit::default(), cursor: None }
    }
}

impl Query for ListAuditEvents {
    type Caller = ByMember;
    type Reply = AuditEventList;
    const CODES: &'static [Code] = &[Code::NotFound];

    fn answer(&self, _: ByMember, view: &View<'_>) -> Result<AuditEventList, Error> {
        let incident = find(view.world, self.incident_id)?;
        let (limit, after) = (self.limit.get(), self.cursor.map(AuditCursor::last_seen));
        // One more than asked for tells whether the list goes on.
        let wanted = limit.saturating_add(1);
        let mut events = match incident.has_earlier_events {
            true => view.world.earlier_events(self.incident_id, after, wanted)?,
            false => Vec::new(),
        };
        let recent = incident.recent_events.iter().filter(|event| after.is_none_or(|after| after < event.id));
        events.extend(recent.take(wanted.saturating_sub(events.len())).cloned());
        let more = events.len() > limit;
        events.truncate(limit);
        let next_cursor = events.last().filter(|_| more).map(|last| AuditCursor::behind(last.id));
        Ok(AuditEventList { events, next_cursor })
    }
}
