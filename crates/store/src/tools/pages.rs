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

/// Where a page is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// In an audit trail: it was written.
    Trail,
    /// In the outbox, where it waits or has ended.
    Outbox,
    /// In an audit trail: it has reached nobody. In formats before 12 it was taken out of the outbox then.
    Maybe,
}

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

    /// Adds a page that an entity reports: see [`Entity::pages`].
    pub(super) fn tell(&mut self, page: &Page, side: Side) {
        if self.counts(page) {
            match side {
                Side::Trail => self.told.add(page),
                Side::Outbox => self.written.add(page),
                Side::Maybe => {}
            }
        }
    }

    pub(super) fn compare(&self, snapshot: &Snapshot<'_>, report: &mut Report) {
        if self.told == self.written {
            return;
        }
        // How many are in no outbox, and how many of those may be missing.
        let mut owed: BTreeMap<Page, (i64, i64)> = BTreeMap::new();
        for entity in entities(snapshot) {
            entity.pages(&mut |page, side| {
                if self.counts(&page) {
                    let (owed, maybe) = owed.entry(page).or_default();
                    match side {
                        Side::Trail => *owed += 1,
                        Side::Outbox => *owed -= 1,
                        Side::Maybe => *maybe += 1,
                    }
                }
            });
        }
        for (page, (owed, _)) in owed.into_iter().filter(|(_, (owed, maybe))| !(0..=*maybe).contains(owed)) {
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
