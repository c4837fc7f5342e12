//! Updates, and status changes, which are updates too: both go through one function (contract, section 6).

use super::draft::{Draft, find, refuse_resolved};
use super::{Author, Event, Incident, IncidentUpdate, IncidentView, Status, StatusEntry, UpdateView};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::escalation::Input;
use crate::id::{IncidentId, UserId};
use crate::incident::UpdateVisibility;
use crate::status_page;
use crate::text::{ResolutionNote, UpdateBody};
use crate::validation::Problem;
use crate::world::{Change, Write};
use crate::{checks, limits};

seal!(ChangeStatus, PostUpdate);

/// Moves an incident one step forward (contract, section 6). Codes, in the order of the checks: `validation_error` (a note with
/// a status other than `resolved`), `not_found`, `invalid_status_transition`.
///
/// It posts an internal update whose body is the note.
///
/// ```
/// use dogwatch_core::id::IncidentId;
/// use dogwatch_core::incident::{ChangeStatus, Status};
/// # let id = IncidentId::parse("0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f70")?;
/// let step = ChangeStatus::new(id, Status::Identified);
/// let last = ChangeStatus::resolve(id, "Rolled back.".parse()?);
/// assert_eq!(last, ChangeStatus { note: Some("Rolled back.".parse()?), ..ChangeStatus::new(id, Status::Resolved) });
/// # Ok::<(), dogwatch_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeStatus {
    /// The incident to move.
    pub id: IncidentId,
    /// The status that follows its present one.
    pub status: Status,
    /// How it was resolved: at most 10,000 characters, and only with the status `resolved`. An empty note is no note.
    pub note: Option<ResolutionNote>,
}

impl ChangeStatus {
    /// A step without a note.
    #[must_use]
    pub const fn new(id: IncidentId, status: Status) -> Self {
        Self { id, status, note: None }
    }

    /// The last step, with a note on how it was resolved: at most 10,000 characters. An empty note is no note.
    #[must_use]
    pub const fn resolve(id: IncidentId, note: ResolutionNote) -> Self {
        Self { id, status: Status::Resolved, note: Some(note) }
    }

    /// Checks status and note together: only `resolved` takes a note.
    ///
    /// # Errors
    /// A [`Problem`] of `resolutionNote` for a note with a status other than `resolved`.
    pub fn check_note(status: Status, note: Option<&ResolutionNote>) -> Result<(), Problem> {
        if note.is_some() && status != Status::Resolved {
            return Err(Problem::new("resolutionNote", "is only allowed with the status `resolved`"));
        }
        Ok(())
    }
}

impl Command for ChangeStatus {
    type Caller = ByMember;
    type Reply = IncidentView;
    const CODES: &'static [Code] = &[Code::Validation, Code::NotFound, Code::InvalidStatusTransition];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<IncidentView, Error> {
        Self::check_note(self.status, self.note.as_ref())?;
        let incident = find(cx.world, self.id)?;
        let body = self.note.filter(|note| !note.as_str().is_empty());
        // A note that is not empty fits a body: both take at most 10,000 characters of the same kind.
        let body =
            body.map(|note| UpdateBody::new(note.as_str()).map_err(|problem| Error::broken(problem.to_string())));
        let (incident, _) =
            post(cx, by.user_id, incident, body.transpose()?, Some(self.status), UpdateVisibility::Internal)?;
        IncidentView::of(&incident, cx.world)
    }
}

/// Posts an update, and with it optionally moves the incident one step forward (contract, section 6).
///
/// Codes, in the order of the checks: `validation_error` (neither body nor status change, or a public update without a body),
/// `not_found`, `incident_resolved`, `invalid_status_transition`, `no_public_surface`, `limit_reached` (10,000 updates, unless
/// the status changes).
///
/// ```
/// use dogwatch_core::id::IncidentId;
/// use dogwatch_core::incident::{PostUpdate, Status};
/// # let id = IncidentId::parse("0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f70")?;
/// let news = PostUpdate::internal(id, "Found the cause.".parse()?).with_status(Status::Identified);
/// let step = PostUpdate { body: None, ..news };
/// assert_eq!(step, PostUpdate::status(id, Status::Identified));
/// # Ok::<(), dogwatch_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostUpdate {
    /// The incident that it is about.
    pub id: IncidentId,
    /// Its text: 1–10,000 characters. Without one, a status change is required.
    pub body: Option<UpdateBody>,
    /// The status to which it moves the incident: the one that follows its present one.
    pub status_change: Option<Status>,
    /// Who may read it. A public one needs a body.
    pub visibility: UpdateVisibility,
}

impl PostUpdate {
    /// An update that only members see.
    #[must_use]
    pub const fn internal(id: IncidentId, body: UpdateBody) -> Self {
        Self { id, body: Some(body), status_change: None, visibility: UpdateVisibility::Internal }
    }

    /// An update that is also shown on the status pages that show an affected component. When none that is published does, it is
    /// refused with `no_public_surface`.
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

    /// A step forward to this status, without a text.
    #[must_use]
    pub const fn status(id: IncidentId, to: Status) -> Self {
        Self { id, body: None, status_change: Some(to), visibility: UpdateVisibility::Internal }
    }

    /// Checks body and status change together: one of them is required.
    ///
    /// # Errors
    /// A [`Problem`] of `body` when there is neither.
    pub fn check_content(body: Option<&UpdateBody>, status_change: Option<Status>) -> Result<(), Problem> {
        if body.is_none() && status_change.is_none() {
            return Err(Problem::new("body", "is required without a `statusChange`"));
        }
        Ok(())
    }

    /// Checks body and visibility together: a public update needs a body.
    ///
    /// # Errors
    /// A [`Problem`] of `body` when a public update has none.
    pub fn check_public(body: Option<&UpdateBody>, visibility: UpdateVisibility) -> Result<(), Problem> {
        if body.is_none() && visibility == UpdateVisibility::Public {
            return Err(Problem::new("body", "is required for a public update"));
        }
        Ok(())
    }
}

impl Command for PostUpdate {
    type Caller = ByMember;
    type Reply = UpdateView;
    const CODES: &'static [Code] = &[
        Code::Validation,
        Code::NotFound,
        Code::IncidentResolved,
        Code::InvalidStatusTransition,
        Code::NoPublicSurface,
        Code::LimitReached,
    ];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<UpdateView, Error> {
        Self::check_content(self.body.as_ref(), self.status_change)?;
        Self::check_public(self.body.as_ref(), self.visibility)?;
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
    if visibility == UpdateVisibility::Public && !status_page::has_public_surface(cx.world, &incident.component_ids)? {
        return Err(Error::refused(Code::NoPublicSurface, "no published status page shows an affected component"));
    }
    if status_change.is_none() {
        checks::one_more(&mut incident.updates.clone(), limits::INCIDENT_UPDATES, "updates")?;
    }
    let mut draft = Draft::of(incident, cx.now);
    let update = draft.post(cx, me.into(), body, status_change, visibility)?;
    Ok((draft.finish(cx)?, update))
}

impl Draft {
    /// Adds an update that has been checked, and moves the incident to the status that it changes to.
    pub(super) fn post(
        &mut self,
        cx: &mut Context<'_>,
        author: Author,
        body: Option<UpdateBody>,
        status_change: Option<Status>,
        visibility: UpdateVisibility,
    ) -> Result<IncidentUpdate, Error> {
        let update = IncidentUpdate {
            id: self.part(cx.ids),
            org_id: self.incident.org_id,
            incident_id: self.incident.id,
            body,
            status_change,
            visibility,
            posted_by: author,
            redacted: None,
        };
        self.incident.updates += 1;
        if let Some(to) = status_change {
            let from = self.incident.status;
            let entry =
                StatusEntry { id: self.part(cx.ids), status: to, changed_at: self.at, update_id: Some(update.id) };
            self.incident.status = to;
            self.incident.history.push(entry);
            self.event(cx.ids, Some(author), Event::StatusChanged { from, to });
            if to == Status::Resolved {
                self.escalate(cx, Some(author), Input::Resolve)?;
            }
        }
        self.event(cx.ids, Some(author), Event::UpdatePosted { update_id: update.id, visibility });
        cx.write(Write::Update(Box::new(Change::created(update.clone()))));
        Ok(update)
    }
}
