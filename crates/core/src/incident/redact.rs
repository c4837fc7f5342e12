//! Redaction: removing the text of an update, for good (contract, section 6).

use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, seal};
use crate::error::Error;
use crate::id::{IncidentId, UpdateId};
use crate::membership::is_admin;
use crate::world::{Change, Write};
use std::time::Duration;

use super::draft::{Draft, find};
use super::{Event, UpdateView};

seal!(RedactUpdate);

/// For how long after posting, inclusive, the author may redact an update: 5 minutes. An admin may at any time.
pub const REDACTION_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Removes the body of an update, also from the status history (contract, section 6). Codes: `not_found` (incident, then
/// update), `redaction_not_permitted`.
///
/// An admin may at any time, the author until exactly 5 minutes after posting. Redacting again changes nothing; for an admin
/// and for the author it succeeds at any time. A resolved incident takes it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedactUpdate {
    /// The incident of the update.
    pub incident_id: IncidentId,
    /// The update to redact.
    pub update_id: UpdateId,
}

impl RedactUpdate {
    /// The redaction of this update of that incident.
    #[must_use]
    pub const fn new(incident_id: IncidentId, update_id: UpdateId) -> Self {
        Self { incident_id, update_id }
    }
}

impl Command for RedactUpdate {
    type Caller = ByMember;
    type Reply = UpdateView;
    const CODES: &'static [Code] = &[Code::NotFound, Code::RedactionNotPermitted];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<UpdateView, Error> {
        let incident = find(cx.world, self.incident_id)?;
        let before = cx.world.update(self.incident_id, self.update_id)?.ok_or_else(|| Error::not_found("update"))?;
        let me = by.user_id;
        let in_time = cx.now.since(before.posted_at()) <= REDACTION_WINDOW;
        let author = before.posted_by == me && (in_time || before.redacted.is_some());
        if !author && !is_admin(cx.world, me)? {
            return Err(Error::refused(
                Code::RedactionNotPermitted,
                "only an admin, or the author within 5 minutes, may redact an update",
            ));
        }
        if before.redacted.is_some() {
            return UpdateView::of(&before, cx.world);
        }

        let mut draft = Draft::of(incident, cx.now);
        let mut after = before.clone();
        after.body = None;
        after.redacted = Some((draft.at, me));
        draft.event(cx.ids, Some(me.into()), Event::UpdateRedacted { update_id: self.update_id });
        draft.finish(cx)?;
        cx.write(Write::Update(Box::new(Change::edited(before, after.clone()))));
        UpdateView::of(&after, cx.world)
    }
}
