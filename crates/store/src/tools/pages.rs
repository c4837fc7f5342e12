//! Pages in audit trails and pages in the outbox: one for each.
//!
//! An event that says that a layer was paged, or that an incident was handed off, was written with a notification for each
//! user it names. Both are summed up as hashes; only if the sums differ is every one of them counted by itself.

use std::collections::BTreeMap;

use dogwatch_core::id::IncidentId;
use dogwatch_core::incident::{AuditEvent, Event};
use dogwatch_core::outbox::{Message, Notification, PageReason};
use dogwatch_core::{OrgId, Timestamp, UserId};

use super::verify::{Report, Sum, wholes};
use crate::keys;
use crate::snapshot::Snapshot;
use crate::thing::Whole;

/// A page: where, to whom, why, when.
type Page = (OrgId, IncidentId, UserId, PageReason, Timestamp);

#[derive(Default)]
pub(super) struct Pages {
    /// Notifications that were delivered up to then may be gone.
    pub(super) dropped_until: Option<Timestamp>,
    told: Sum,
    written: Sum,
}

fn told(org: OrgId, incident: IncidentId, events: &[AuditEvent]) -> impl Iterator<Item = Page> {
    events.iter().flat_map(move |event| {
        let (users, reason) = match &event.event {
            Event::LayerPaged { users, .. } => (users.clone(), PageReason::Escalation),
            Event::IncidentHandedOff { new, .. } => (vec![*new], PageReason::Handoff),
            _ => (Vec::new(), PageReason::Handoff),
        };
        let at = event.at();
        users.into_iter().map(move |user| (org, incident, user, reason, at))
    })
}

fn written(one: &Notification) -> Option<Page> {
    match one.message {
        Message::Page { incident, reason } => Some((one.org, incident, one.user()?, reason, one.created_at)),
        Message::Invitation { .. } => None,
    }
}

impl Pages {
    /// Whether the notification of a page of that time must still be there.
    fn counts(&self, page: &Page) -> bool {
        self.dropped_until.is_none_or(|until| until < page.4)
    }

    pub(super) fn told(&mut self, org: OrgId, incident: IncidentId, events: &[AuditEvent]) {
        for page in told(org, incident, events).filter(|page| self.counts(page)).collect::<Vec<_>>() {
            self.told.add(&page);
        }
    }

    pub(super) fn written(&mut self, one: &Notification) {
        if let Some(page) = written(one).filter(|page| self.counts(page)) {
            self.written.add(&page);
        }
    }

    pub(super) fn compare(&self, snapshot: &Snapshot<'_>, report: &mut Report) {
        if self.told == self.written {
            return;
        }
        let mut owed: BTreeMap<Page, i64> = BTreeMap::new();
        let owe = |org, incident, events: &[AuditEvent], owed: &mut BTreeMap<Page, i64>| {
            let pages = told(org, incident, events).filter(|page| self.counts(page));
            pages.for_each(|page| *owed.entry(page).or_default() += 1);
        };
        for whole in wholes(snapshot) {
            match whole {
                Whole::Audit(entry) => owe(entry.org, entry.incident, &entry.events, &mut owed),
                Whole::Incident(it) => owe(it.org, it.id, &it.recent_events, &mut owed),
                Whole::Notification(one) => {
                    let page = written(&one).filter(|page| self.counts(page));
                    page.into_iter().for_each(|page| *owed.entry(page).or_default() -= 1);
                }
                _ => {}
            }
        }
        for (page, owed) in owed.into_iter().filter(|(_, owed)| *owed != 0) {
            let (org, incident, user, reason, at) = page;
            let what = if owed > 0 {
                format!("its trail says that {user} was paged ({reason}) at {at}, but there is no notification")
            } else {
                format!("there is a notification ({reason}) for {user} of {at}, but its trail does not say so")
            };
            report.add(&keys::incident(org, incident), what);
        }
    }
}
