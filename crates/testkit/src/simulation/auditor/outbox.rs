//! What the auditor knows of the outbox: each page is one row, and each row is delivered, in order, or superseded.

use std::collections::BTreeSet;

use dogwatch_core::contact::built_in;
use dogwatch_core::id::{IncidentId, NotificationId};
use dogwatch_core::outbox::{DeliveryState, ListNotifications, ListPages, Notification, PageReason, Recipient};
use dogwatch_core::{Timestamp, UserId};
use dogwatch_store::Engine;

use super::{Auditor, Complaint, Line, Row, ensure};

impl Auditor {
    /// Checks, at the end of a night, that every delivery has ended.
    pub fn nothing_waits(&mut self, engine: &Engine) -> Result<(), Complaint> {
        for id in self.incidents.keys().copied().collect::<Vec<_>>() {
            let pages = engine.query(&ListPages::new(id), &self.admin).map_err(|error| error.to_string())?.pages;
            let waiting =
                pages.iter().flat_map(|page| &page.deliveries).find(|one| one.state == DeliveryState::Waiting);
            ensure!(waiting.is_none(), "it waits for ever: {waiting:?}");
        }
        Ok(())
    }

    fn line(&mut self, of: &Notification) -> Option<&mut Line> {
        matches!(of.recipient, Recipient::Method { .. }).then(|| self.lines.entry(of.recipient).or_default())
    }

    pub(super) fn owe(&mut self, user: UserId, incident: IncidentId, reason: PageReason, at: Timestamp) {
        self.pages += 1;
        let rules = self.rules.get(&user).into_iter().flatten().map(|(method, delay)| (*method, at.plus(*delay)));
        let mut due: Vec<_> = rules.chain([(built_in(user), at)]).collect();
        due.sort_by_key(|(method, due)| (*due, *method));
        self.shown.entry(incident).or_default().push((user, reason, at, due));
        *self.owed.entry((user, incident, reason)).or_default() += 1;
    }

    /// Checks that every page is one row, and that rows that wait are still there.
    pub(super) fn audit_outbox(&mut self, engine: &Engine) -> Result<(), Complaint> {
        for user in self.everybody.clone() {
            let list = |after: usize| {
                let query = ListNotifications { user_id: user, after: u64::try_from(after).unwrap() };
                let rows = engine.query(&query, &self.admin);
                rows.map_err(|error| format!("the inbox of {user} cannot be read: {error}"))
            };
            let known = self.inboxes.get(&user).map_or(0, Vec::len);
            let (waiting, mut new) = (list(0)?, list(known)?);
            while !new.is_empty() && new.len().is_multiple_of(100) {
                let more = list(known + new.len())?;
                if more.is_empty() {
                    break;
                }
                new.extend(more);
            }
            waiting.iter().chain(&new).try_for_each(|row| self.observe(row))?;
            self.supersede(user, waiting.first().map(|row| row.id))?;
            let rows = self.inboxes.entry(user).or_default();
            let first = rows.iter().position(|row| !row.confirmed).unwrap_or(rows.len());
            let expected: Vec<_> = rows.iter().skip(first).take(100).map(|row| row.id).collect();
            let got: Vec<_> = waiting.iter().map(|row| row.id).collect();
            ensure!(got == expected, "the inbox of {user} is {got:?}, and should be {expected:?}");
        }
        self.find_superseded(engine)?;
        let wrong: Vec<_> = self.owed.iter().filter(|(_, count)| **count != 0).collect();
        ensure!(wrong.is_empty(), "pages without exactly one row (positive: missing): {wrong:?}");
        self.owed.clear();
        Ok(())
    }

    fn observe(&mut self, row: &Notification) -> Result<(), Complaint> {
        let rows = self.inboxes.entry(user_of(row)).or_default();
        let place = usize::try_from(row.number).unwrap() - 1;
        match rows.get(place) {
            Some(known) => {
                ensure!(
                    known.id == row.id,
                    "number {} of {} was {}, and is {}",
                    row.number,
                    user_of(row),
                    known.id,
                    row.id
                );
                ensure!(!known.confirmed, "{} is back after it was confirmed", row.id);
            }
            None => {
                // What was superseded before anybody saw it left a hole.
                let hole = || Row { incident: None, delivered: true, confirmed: true, ..Row::of(row) };
                rows.resize_with(place, hole);
                rows.push(Row::of(row));
                let page = row.incident().zip(row.reason());
                let (incident, reason) = page.ok_or_else(|| format!("{row:?} is no page"))?;
                *self.owed.entry((user_of(row), incident, reason)).or_default() -= 1;
            }
        }
        Ok(())
    }

    /// Whether nobody needs a page any more: its incident is resolved, acknowledged, or was handed to somebody else.
    fn is_superseded(&self, user: UserId, row: &Row) -> bool {
        let Some(tracked) = row.incident.and_then(|incident| self.incidents.get(&incident)) else { return false };
        let handed_off = tracked.handed_off.is_some_and(|at| row.at < at) && tracked.owner != Some(user);
        let worsened = tracked.worsened.is_some_and(|at| row.at < at);
        tracked.resolved || tracked.acknowledged.is_some() || worsened || handed_off
    }

    /// Takes it that rows at the head of an inbox have left it without being delivered, up to the one that is first now: they must be
    /// such as nobody needs.
    fn supersede(&mut self, user: UserId, first: Option<NotificationId>) -> Result<(), Complaint> {
        let mut rows = std::mem::take(self.inboxes.entry(user).or_default());
        let mut complaint = Ok(());
        for row in rows.iter_mut().filter(|row| !row.confirmed) {
            if Some(row.id) == first {
                break;
            }
            if !self.is_superseded(user, row) {
                complaint = Err(format!("{} of {user} is gone: it was not delivered, and not superseded", row.id));
                break;
            }
            (row.delivered, row.confirmed) = (true, true);
        }
        self.inboxes.insert(user, rows);
        complaint
    }

    /// Pages that were superseded before anybody saw them waiting are shown with their incidents.
    fn find_superseded(&mut self, engine: &Engine) -> Result<(), Complaint> {
        let owed: Vec<_> = self.owed.iter().filter(|(_, count)| **count > 0).map(|(page, _)| *page).collect();
        for (user, incident, reason) in owed {
            let rows: BTreeSet<_> = self.inboxes.values().flatten().map(|row| row.id).collect();
            let pages = engine.query(&ListPages::new(incident), &self.admin).map_err(|error| error.to_string())?;
            let pages = pages.pages.into_iter().filter(|page| page.user_id == user && page.reason == reason);
            let superseded =
                pages.flat_map(|page| page.deliveries).filter(|one| one.state == DeliveryState::Superseded);
            // Those of other contact methods are in inboxes of their own.
            let superseded = superseded.filter(|one| one.contact_method_id == built_in(user));
            let new: Vec<_> = superseded.map(|one| one.id).filter(|id| !rows.contains(id)).collect();
            let count = new.into_iter().filter(|id| self.hidden.insert(*id)).count();
            *self.owed.entry((user, incident, reason)).or_default() -= i64::try_from(count).unwrap();
        }
        Ok(())
    }

    fn row(&mut self, of: &Notification) -> Result<&mut Row, Complaint> {
        let place = usize::try_from(of.number).unwrap() - 1;
        let rows = self.inboxes.entry(user_of(of)).or_default();
        rows.get_mut(place).ok_or_else(|| format!("{} was handed out before it could be seen", of.id))
    }

    /// A row was claimed: it must be the first of its inbox but for what is superseded, not held, and needed.
    pub fn claimed(&mut self, of: &Notification, now: Timestamp, until: Timestamp) -> Result<(), Complaint> {
        if of.incident().is_some() {
            ensure!(of.due_at <= now, "{} was handed out at {now}, and is due at {}", of.id, of.due_at);
        }
        if matches!(of.recipient, Recipient::Method { .. }) {
            return self.claimed_of_method(of, now, until);
        }
        self.supersede(user_of(of), Some(of.id))?;
        ensure!(!self.is_superseded(user_of(of), &Row::of(of)), "{} was handed out, and nobody needs it", of.id);
        let rows = self.inboxes.entry(user_of(of)).or_default();
        let first = rows.iter().position(|row| !row.confirmed);
        let place = usize::try_from(of.number).unwrap() - 1;
        ensure!(first == Some(place), "{} is number {place} of its inbox, but {first:?} is first", of.id);
        let row = self.row(of)?;
        ensure!(row.held_until.is_none_or(|held| held <= now), "{} is held until {:?}", of.id, row.held_until);
        row.held_until = Some(until);
        Ok(())
    }

    /// As [`Auditor::claimed`], of another contact method than the built-in one.
    fn claimed_of_method(&mut self, of: &Notification, now: Timestamp, until: Timestamp) -> Result<(), Complaint> {
        ensure!(!self.is_superseded(user_of(of), &Row::of(of)), "{} was handed out, and nobody needs it", of.id);
        let line = self.lines.entry(of.recipient).or_default();
        ensure!(line.next <= of.number, "{} is number {}, and all before {} have ended", of.id, of.number, line.next);
        if let Some((number, held)) = line.held {
            ensure!(number < of.number || held <= now, "{} is held until {held}", of.id);
        }
        (line.next, line.held) = (of.number, Some((of.number, until)));
        Ok(())
    }

    /// A row could not be sent, and is tried again: nobody is handed it before an instant.
    pub fn waits(&mut self, of: &Notification, until: Timestamp) -> Result<(), Complaint> {
        if let Some(line) = self.line(of) {
            line.held = Some((of.number, until));
            return Ok(());
        }
        self.row(of)?.held_until = Some(until);
        Ok(())
    }

    /// A row was given back, or nobody knows any more whether it is held.
    pub fn released(&mut self, of: &Notification) -> Result<(), Complaint> {
        if let Some(line) = self.line(of) {
            line.held = None;
            return Ok(());
        }
        self.row(of)?.held_until = None;
        Ok(())
    }

    /// Forgets which rows are held, when nobody knows it any more.
    pub fn forget_claims(&mut self) {
        self.inboxes.values_mut().flatten().for_each(|row| row.held_until = None);
        self.lines.values_mut().for_each(|line| line.held = None);
        self.told.released();
    }

    /// A notification was delivered to its user: all those before it must have been delivered.
    pub fn delivered(&mut self, of: &Notification) -> Result<(), Complaint> {
        if self.line(of).is_some() {
            return Ok(());
        }
        let place = usize::try_from(of.number).unwrap() - 1;
        let earlier = self.inboxes.entry(user_of(of)).or_default().iter().take(place).all(|row| row.delivered);
        ensure!(earlier, "{} was delivered before an earlier one", of.id);
        self.row(of)?.delivered = true;
        Ok(())
    }

    /// A confirmation was accepted: it must be the first of its row.
    pub fn confirmed(&mut self, of: &Notification) -> Result<(), Complaint> {
        if let Some(line) = self.line(of) {
            ensure!(line.next <= of.number, "{} was confirmed twice", of.id);
            (line.next, line.held) = (of.number + 1, None);
            return Ok(());
        }
        let row = self.row(of)?;
        ensure!(!row.confirmed, "{} was confirmed twice", of.id);
        row.confirmed = true;
        Ok(())
    }

    /// A notification has failed for good: nobody waits for it any more, and the next one's turn has come.
    pub fn failed(&mut self, of: &Notification) -> Result<(), Complaint> {
        if self.line(of).is_some() {
            return self.confirmed(of);
        }
        let row = self.row(of)?;
        ensure!(!row.confirmed, "{} has failed after it was confirmed", of.id);
        (row.delivered, row.confirmed) = (true, true);
        Ok(())
    }

    /// Finds out whether a row was confirmed when nobody knows it: a confirmed row has left the inbox.
    pub fn find_out(&mut self, engine: &Engine, of: &Notification) -> Result<(), Complaint> {
        if self.line(of).is_some() {
            return Ok(());
        }
        let waiting = engine.query(&ListNotifications::new(user_of(of)), &self.admin).map_err(|e| e.to_string())?;
        let gone = waiting.iter().all(|row| row.id != of.id);
        let row = self.row(of)?;
        row.confirmed = row.confirmed || gone;
        Ok(())
    }

    /// Checks, at the end of a night, that every row was delivered and confirmed.
    pub fn settled(&self) -> Result<(), Complaint> {
        for (user, rows) in &self.inboxes {
            let lost: Vec<_> = rows.iter().filter(|row| !row.delivered || !row.confirmed).collect();
            ensure!(lost.is_empty(), "never delivered to {user}: {lost:?}");
        }
        let trails = self.incidents.values().flat_map(|tracked| tracked.trail.iter().copied());
        self.told.settled(&trails.collect())
    }
}

/// The user in whose inbox a row is: always a member or a former one, as nights invite nobody.
fn user_of(row: &Notification) -> UserId {
    row.user().expect("a page is for a user")
}
