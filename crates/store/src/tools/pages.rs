//! The check of `verify` that audit trails and notifications agree about pages: [`Pages`].
//!
//! An event which says that a layer was paged, or that an incident was handed off, was written with one notification for
//! each user that it names. Both sides are summed up as hashes; only if the sums differ is each page counted by itself.

use std::collections::BTreeMap;

use dogwatch_core::id::IncidentId;
use dogwatch_core::outbox::PageReason;
use dogwatch_core::{OrgId, Timestamp, UserId};

use super::verify::{Report, Sum, entities};
use crate::commit::snapshot::Snapshot;
use crate::rooms::{Entity, incident};

/// A page: organization, incident, user who was paged, reason, and the instant at which it was written.
pub(crate) type Page = (OrgId, IncidentId, UserId, PageReason, Timestamp);

#[derive(Default)]
pub(super) struct Pages {
    /// The instant of delivery up to which notifications may have been dropped.
    pub(super) dropped_until: Option<Timestamp>,
    told: Sum,
    written: Sum,
}

impl Pages {
    /// Whether the notification of a page must still exist, because the page was written after that instant.
    fn counts(&self, page: &Page) -> bool {
        self.dropped_until.is_none_or(|until| until < page.4)
    }

    /// Adds a page that an entity reports (see [`Entity::pages`]): with sign +1 one in a trail, with −1 one in the outbox.
    pub(super) fn tell(&mut self, page: &Page, sign: i64) {
        if self.counts(page) {
            if sign > 0 { self.told.add(page) } else { self.written.add(page) }
        }
    }

    pub(super) fn compare(&self, snapshot: &Snapshot<'_>, report: &mut Report) {
        if self.told == self.written {
            return;
        }
        let mut owed: BTreeMap<Page, i64> = BTreeMap::new();
        for entity in entities(snapshot) {
            entity.pages(&mut |page, sign| {
                if self.counts(&page) {
                    *owed.entry(page).or_default() += sign;
                }
            });
        }
        for (page, owed) in owed.into_iter().filter(|(_, owed)| *owed != 0) {
            let (org, incident, user, reason, at) = page;
            let what = if owed > 0 {
                format!("its trail says that {user} was paged ({reason}) at {at}, but there is no notification")
            } else {
                format!("there is a notification ({reason}) for {user} of {at}, but its trail does not say so")
            };
            report.add(&incident::incident_key(org, incident), what);
        }
    }
}
