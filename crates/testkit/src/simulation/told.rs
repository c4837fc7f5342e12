//! What the auditor knows of a webhook that wants every event: each must be told of at least once, in order, none twice at a time.

use std::collections::BTreeSet;

use dogwatch_core::Timestamp;
use dogwatch_core::id::AuditEventId;
use dogwatch_core::outbox::{Message, Notification};

use super::Complaint;
use super::auditor::ensure;

/// What a webhook was told.
#[derive(Debug, Default)]
pub struct Told {
    /// The events, in the order in which they came.
    events: Vec<AuditEventId>,
    /// The number of the notification that was handed out last, and until when it is held; `None` when it is not held.
    last: u64,
    held: Option<Timestamp>,
    /// Whether the last one has arrived, and whether that was confirmed.
    arrived: bool,
    confirmed: bool,
}

impl Told {
    /// A notification was handed out.
    pub fn claimed(&mut self, one: &Notification, now: Timestamp, until: Timestamp) -> Result<(), Complaint> {
        if one.number == self.last {
            ensure!(!self.confirmed, "{} is handed out after it was confirmed", one.id);
            ensure!(self.held.is_none_or(|held| held <= now), "{} is held until {:?}", one.id, self.held);
        } else {
            ensure!(one.number == self.last + 1, "number {} came after {}", one.number, self.last);
            ensure!(self.last == 0 || self.arrived, "number {} came, but {} never arrived", one.number, self.last);
            (self.last, self.arrived, self.confirmed) = (one.number, false, false);
        }
        self.held = Some(until);
        Ok(())
    }

    /// The last one has arrived.
    pub fn arrived(&mut self, one: &Notification) {
        if let (Message::Event { event_id, .. }, false) = (&one.message, self.arrived) {
            self.events.push(*event_id);
        }
        self.arrived = true;
    }

    /// The arrival of the last one was confirmed.
    pub fn confirmed(&mut self) {
        (self.confirmed, self.held) = (true, None);
    }

    /// The last one is not held any more, or nobody knows whether it is.
    pub fn released(&mut self) {
        self.held = None;
    }

    /// The last one waits to be tried again.
    pub fn waits(&mut self, until: Timestamp) {
        self.held = Some(until);
    }

    /// At the end of a night it was told of exactly these events.
    pub fn settled(&self, trails: &BTreeSet<AuditEventId>) -> Result<(), Complaint> {
        let told: BTreeSet<_> = self.events.iter().copied().collect();
        ensure!(told.len() == self.events.len(), "a webhook was told of an event twice");
        let missing: Vec<_> = trails.difference(&told).collect();
        ensure!(missing.is_empty(), "a webhook was never told of {missing:?}");
        let invented: Vec<_> = told.difference(trails).collect();
        ensure!(invented.is_empty(), "a webhook was told of {invented:?}, which did not happen");
        Ok(())
    }
}
