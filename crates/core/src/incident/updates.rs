//! Updates, and status changes, which are updates too: both go through one function (contract, section 6).

use super::draft::{Draft, find, refuse_resolved};
use super::{Event, Incident, IncidentUpdate, IncidentView, Status, StatusEntry, UpdateView};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::escalation::Input;
use crate::id::{IncidentId, UserId};
use crate::incident::UpdateVisibility;
use crate::text::{ResolutionNote, UpdateBody};
use crate::validation::{Problem, Validation};
use crate::world::{Change, Write};
use crate::{checks, limits};

seal!(ChangeStatus, PostUpdate);

/// Moves an incident one step forward (contract, section 6). Codes: `not_found`, `invalid_status_transition`.
///
/// It posts an internal update whose body is the note.
///
/// ```
/// use dogwatch_core::id::IncidentId;
/// use dogwatch_core::incident::{ChangeStatus, Status};
/// # let id = IncidentId::parse("0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f70")?;
/// let step = ChangeStatus::to(id, Status::Identified);
/// let last = ChangeStatus::resolve(id, "Rolled back.".parse()?);
/// let refused = ChangeStatus::new(id, Status::Identified, Some("too early".parse()?)).unwrap_err();
/// assert_eq!(refused.fields()[0].field, "resolutionNote");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChangeStatus {
    id: IncidentId,
    to: Status,
    note: Option<ResolutionNote>,
}

impl ChangeStatus {
    /// A step without a note.
    #[must_use]
    pub const fn to(id: IncidentId, to: Status) -> Self {
        Self { id, to, note: None }
    }

    /// The last step, with a note on how it was resolved: at most 10,000 characters. An empty note is no note.
    #[must_use]
    pub const fn resolve(id: IncidentId, note: ResolutionNote) -> Self {
        Self { id, to: Status::Resolved, note: Some(note) }
    }

    /// A step with an optional note: checks both together.
    ///
    /// # Errors
    /// `validation_error` for a note with a status other than `resolved`.
    pub fn new(id: IncidentId, to: Status, note: Option<ResolutionNote>) -> Result<Self, Error> {
        let mut check = Validation::new();
        check.field("resolutionNote", Self::check_note(to, note.as_ref()));
        check.finish(|| Some(Self { id, to, note }))
    }

    /// Checks status and note together: only `resolved` takes a note.
    ///
    /// # Errors
    /// A [`Problem`] of `resolutionNote` for a note with a status other than `resolved`.
    pub fn check_note(to: Status, note: Option<&ResolutionNote>) -> Result<(), Problem> {
        if note.is_some() && to != Status::Resolved {
            return Err(Problem::new("is only allowed with the status `resolved`"));
        }
        Ok(())
    }
}

impl Command for ChangeStatus {
    type Caller = ByMember;
    type Reply = IncidentView;
    const CODES: &'static [Code] = &[Code::NotFound, Code::InvalidStatusTransition];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<IncidentView, Error> {
        let incident = find(cx.world, self.id)?;
        let body = self.note.filter(|note| !note.as_str().is_empty());
        // A note that is not empty fits a body: both take at most 10,000 characters of the same kind.
        let body =
            body.map(|note| UpdateBody::new(note.as_str()).map_err(|problem| Error::broken(problem.to_string())));
        let (incident, _) =
            post(cx, by.user_id, incident, body.transpose()?, Some(self.to), UpdateVisibility::Internal)?;
        IncidentView::of(&incident, cx.world)
    }
}

/// Posts an update, and with it optionally moves the incident one step forward (contract, section 6).
///
/// Codes, in the order of the checks: `not_found`, `incident_resolved`, `invalid_status_transition`, `no_public_surface`,
/// `limit_reached` (10,000 updates, unless the status changes).
///
/// ```
/// use dogwatch_core::id::IncidentId;
/// use dogwatch_core::incident::{PostUpdate, Status, UpdateVisibility};
/// # let id = IncidentId::parse("0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f70")?;
/// let news = PostUpdate::internal(id, "Found the cause.".parse()?).with_status(Status::Identified);
/// let refused = PostUpdate::new(id, None, None, UpdateVisibility::Internal).unwrap_err();
/// assert_eq!(refused.http_status(), 422);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct PostUpdate {
    id: IncidentId,
    body: Option<UpdateBody>,
    status_change: Option<Status>,
    visibility: UpdateVisibility,
}

impl PostUpdate {
    /// An update that only members see.
    #[must_use]
    pub const fn internal(id: IncidentId, body: UpdateBody) -> Self {
        Self { id, body: Some(body), status_change: None, visibility: UpdateVisibility::Internal }
    }

    /// An update that is also shown on the status pages that show an affected component.
    #[must_use]
    pub const fn public(id: IncidentId, body: UpdateBody) -> Self {
        Self { id, body: Some(body), status_change: None, visibility: UpdateVisibility::Public }
    }

    /// The same update with a step forward to this status.
    #[must_use]
    pub const fn with_status(mut self, to: Status) -> Self {
        self.status_change = Some(to);
        self
    }

    /// An update: checks its fields together. At least one of body and status change is required, and a public one needs a
    /// body.
    ///
    /// # Errors
    /// `validation_error` with neither body nor status change, and for a public update without a body.
    pub fn new(
        id: IncidentId,
        body: Option<UpdateBody>,
        status_change: Option<Status>,
        visibility: UpdateVisibility,
    ) -> Result<Self, Error> {
        let mut check = Validation::new();
        let content = Self::check_content(body.as_ref(), status_change);
        check.field("body", content.and_then(|()| Self::check_public(body.as_ref(), visibility)));
        check.finish(|| Some(Self { id, body, status_change, visibility }))
    }

    /// Checks body and status change together: one of them is required.
    ///
    /// # Errors
    /// A [`Problem`] of `body` when there is neither.
    pub fn check_content(body: Option<&UpdateBody>, status_change: Option<Status>) -> Result<(), Problem> {
        if body.is_none() && status_change.is_none() {
            return Err(Problem::new("is required without a `statusChange`"));
        }
        Ok(())
    }

    /// Checks body and visibility together: a public update needs a body.
    ///
    /// # Errors
    /// A [`Problem`] of `body` when a public update has none.
    pub fn check_public(body: Option<&UpdateBody>, visibility: UpdateVisibility) -> Result<(), Problem> {
        if body.is_none() && visibility == UpdateVisibility::Public {
            return Err(Problem::new("is required for a public update"));
        }
        Ok(())
    }
}

impl Command for PostUpdate {
    type Caller = ByMember;
    type Reply = UpdateView;
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::IncidentResolved,
        Code::InvalidStatusTransition,
        Code::NoPublicSurface,
        Code::LimitReached,
    ];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<UpdateView, Error> {
        let incident = find(cx.world, self.id)?;
        refuse_resolved(&incident)?;
        let (_, update) = post(cx, by.user_id, incident, self.body, self.status_change, self.visibility)?;
        UpdateView::of(&update, cx.world)
    }
}

/// Posts an update, by whatever command: checks, then the incident, the update and the audit trail change in one decision.
fn post(
    cx: &mut Context<'_>,
    me: UserId,
    incident: Incident,
    body: Option<UpdateBody>,
    status_change: Option<Status>,
    visibility: UpdateVisibility,
) -> Result<(Incident, IncidentUpdate), Error> {
    if let Some(to) = status_change
        && !incident.status.can_become(to)
    {
        let message = format!("an incident that is `{}` cannot become `{to}`", incident.status);
        return Err(Error::refused(Code::InvalidStatusTransition, message));
    }
    if visibility == UpdateVisibility::Public && !cx.world.has_public_surface(&incident.component_ids)? {
        return Err(Error::refused(Code::NoPublicSurface, "no published status page shows an affected component"));
    }
    if status_change.is_none() {
        checks::one_more(&mut incident.updates.clone(), limits::INCIDENT_UPDATES, "updates")?;
    }

    let mut draft = Draft::of(incident, cx.now);
    let update = IncidentUpdate {
        id: draft.part(cx.ids),
        org_id: draft.incident.org_id,
        incident_id: draft.incident.id,
        body,
        status_change,
        visibility,
        posted_by: me,
        redacted: None,
    };
    draft.incident.updates += 1;
    if let Some(to) = status_change {
        let from = draft.incident.status;
        let entry =
            StatusEntry { id: draft.part(cx.ids), status: to, changed_at: draft.at, update_id: Some(update.id) };
        draft.incident.status = to;
        draft.incident.history.push(entry);
        draft.event(cx.ids, Some(me), Event::StatusChanged { from, to });
        if to == Status::Resolved {
            draft.escalate(cx, Some(me), Input::Resolve)?;
        }
    }
    draft.event(cx.ids, Some(me), Event::UpdatePosted { update_id: update.id, visibility });
    let incident = draft.finish(cx);
    cx.write(Write::Update(Box::new(Change::created(update.clone()))));
    Ok((incident, update))
}
