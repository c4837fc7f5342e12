//! Changing an incident's title, description or severity (contract, section 6).

use super::draft::{Draft, find, refuse_resolved};
use super::{Author, EditedField, Event, IncidentView, Severity};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::id::IncidentId;
use crate::patch::Patch;
use crate::text::{IncidentDescription, Title};

seal!(EditIncident);

/// Changes an incident's title, description or severity (contract, section 6). Codes: `not_found`, `incident_resolved`.
///
/// Without any field it succeeds and does nothing, on a resolved incident, too. Values that are already there are not a change
/// either.
///
/// ```
/// use dogwatch_core::Patch;
/// use dogwatch_core::id::IncidentId;
/// use dogwatch_core::incident::{EditIncident, Severity};
/// # let id = IncidentId::parse("0190a8f3-b4c0-7d2e-8f1a-2b3c4d5e6f70").unwrap();
/// let edit = EditIncident { severity: Some(Severity::High), description: Patch::Clear, ..EditIncident::new(id) };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditIncident {
    /// The incident to change.
    pub id: IncidentId,
    /// Its new title: 1–100 characters; `None` keeps the old one.
    pub title: Option<Title>,
    /// Its new description: at most 10,000 characters.
    pub description: Patch<IncidentDescription>,
    /// Its new severity; `None` keeps the old one.
    pub severity: Option<Severity>,
}

impl EditIncident {
    /// An edit that changes nothing yet.
    #[must_use]
    pub const fn new(id: IncidentId) -> Self {
        Self { id, title: None, description: Patch::Keep, severity: None }
    }
}

impl Command for EditIncident {
    type Caller = ByMember;
    type Reply = IncidentView;
    const CODES: &'static [Code] = &[Code::NotFound, Code::IncidentResolved];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<IncidentView, Error> {
        let incident = find(cx.world, self.id)?;
        if self.title.is_none() && self.description.is_keep() && self.severity.is_none() {
            return IncidentView::of(&incident, cx.world);
        }
        refuse_resolved(&incident)?;

        let me = Author::from(by.user_id);
        let mut draft = Draft::of(incident, cx.now);
        let mut fields = Vec::new();
        let edited = &mut draft.incident;
        if let Some(title) = self.title.filter(|title| *title != edited.title) {
            edited.title = title;
            fields.push(EditedField::Title);
        }
        let description = self.description.apply(edited.description.clone());
        if description != edited.description {
            edited.description = description;
            fields.push(EditedField::Description);
        }
        if let Some(severity) = self.severity.filter(|severity| *severity != edited.severity) {
            edited.severity = severity;
            fields.push(EditedField::Severity);
        }
        if fields.is_empty() {
            return IncidentView::of(&draft.incident, cx.world);
        }
        draft.event(cx.ids, Some(me), Event::IncidentEdited { fields });
        let incident = draft.finish(cx)?;
        IncidentView::of(&incident, cx.world)
    }
}
