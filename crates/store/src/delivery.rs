//! Delivery: the notifications of the outbox are claimed, confirmed and given back (contract, section 9).
//!
//! The rules (`dogwatch_core`) decide what a claim does. Here the inboxes that can be claimed from (an inbox is a recipient's
//! queue of notifications) are found by a scan in the order of time, so the cost of a claim depends on what it hands out, not
//! on what else waits. As with ticks, all of this is taken even when the command queue is full.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use dogwatch_core::outbox::{
    DeliveryPort, DeliveryState, Notification, ReadyInbox, Receipt, Retried, Transport, claim, confirm, fail, fall_due,
    give_back, retry,
};
use dogwatch_core::{Error as Refusal, IdSource, OrgId, Timestamp, UserId};

use crate::backend::Pair;
use crate::commit::assembly::Assembly;
use crate::commit::pending::Pending;
use crate::commit::writer::Work;
use crate::engine::Engine;
use crate::error::Error;
use crate::format;
use crate::record::Corrupt;
use crate::rooms::RowChange;
use crate::rooms::outbox::{index_of_row, notification_of};
use crate::table::{self, Table};
use crate::view::corrupt;

/// The largest number of notifications that one call claims.
const MOST_CLAIMED: usize = 1_000;

impl Engine {
    /// Hands out notifications for delivery: at most `limit` (1,000 at once), at most one for each recipient, each until its
    /// lease is over (an hour at most).
    ///
    /// A recipient's next notification is handed out once the one before is confirmed. One that is not confirmed comes
    /// back: each is delivered at least once, in order per recipient. What goes over e-mail is handed out first, then what goes over
    /// the other transports, in their order ([`Transport::ALL`]): where more may wait than `limit`, [`Engine::claim_over`] gives each its
    /// share. Claims are durable.
    /// Besides pages there are invitations, codes and tests:
    /// [`Notification::message`](dogwatch_core::outbox::Notification::message) says what to send.
    ///
    /// # Errors
    /// `internal_error` when the outbox cannot be read; `outcome_unknown` when storage failed.
    pub fn claim(&self, limit: usize, lease: Duration) -> Result<Vec<Notification>, Error> {
        Ok(self.carry_out(Claim::of_all(limit, lease))?.notifications)
    }

    /// As [`Engine::claim`], but over each transport at most as many as are wanted, for the lease that is wanted: those
    /// over another are left alone. At most 1,000 in all.
    ///
    /// # Errors
    /// As [`Engine::claim`].
    pub fn claim_over(&self, wanted: &[Wanted]) -> Result<Claims, Error> {
        self.carry_out(Claim { limit: MOST_CLAIMED, wanted: wanted.to_vec() })
    }

    /// Confirms deliveries; gives how many had not been confirmed before. A lease that has ended does not matter.
    ///
    /// # Errors
    /// As [`Engine::claim`].
    pub fn confirm(&self, receipts: &[Receipt]) -> Result<usize, Error> {
        self.carry_out(Settle { receipts: receipts.to_vec(), end: ClaimEnd::Confirm { sent_as: None } })
    }

    /// As [`Engine::confirm`], for a page that was sent in a way that can be changed: `sent_as` is what its sender finds it by, at most 200
    /// bytes. When somebody acknowledges, resolves or hands off its incident, there is an [`Edit`](dogwatch_core::outbox::Message::Edit)
    /// for the same recipient.
    ///
    /// # Errors
    /// As [`Engine::claim`].
    pub fn confirm_as(&self, receipt: &Receipt, sent_as: impl Into<String>) -> Result<usize, Error> {
        let end = ClaimEnd::Confirm { sent_as: Some(sent_as.into()) };
        self.carry_out(Settle { receipts: vec![*receipt], end })
    }

    /// Gives claimed notifications back, to be claimed again after a while (a day at most); gives how many were still
    /// held under these claims. Until then nobody else gets them, and whoever held them may still settle them: so this also makes a
    /// claim longer, while something takes long to send.
    ///
    /// # Errors
    /// As [`Engine::claim`].
    pub fn give_back(&self, receipts: &[Receipt], after: Duration) -> Result<usize, Error> {
        self.carry_out(Settle { receipts: receipts.to_vec(), end: ClaimEnd::GiveBack { after } })
    }

    /// Ends claimed notifications that cannot be delivered, for good: each leaves its inbox, and a page becomes an event of the audit
    /// trail of its incident, `page_failed`; see [`fail`](dogwatch_core::outbox::fail). Gives how many were still held under these
    /// claims. Of the reason 100 characters are kept.
    ///
    /// # Errors
    /// As [`Engine::claim`].
    pub fn fail(&self, receipts: &[Receipt], reason: &str) -> Result<usize, Error> {
        self.carry_out(Settle { receipts: receipts.to_vec(), end: ClaimEnd::Fail { reason: reason.to_owned() } })
    }

    /// Ends the claim of a notification that could not be sent now: it can be claimed again after a while, or has failed when it was
    /// due an hour ago and was tried three times; see [`retry`](dogwatch_core::outbox::retry). `asked` is how long the other side asks to wait.
    ///
    /// # Errors
    /// As [`Engine::claim`].
    pub fn retry(&self, receipt: &Receipt, reason: &str, asked: Option<Duration>) -> Result<Retried, Error> {
        self.carry_out(Retry { receipt: *receipt, reason: reason.to_owned(), asked })
    }

    /// Notifications of all organizations that wait, and then those that have failed and are still kept, each part in the order of its
    /// table; at most `most`. It reads all that has ended in the last 30 days: it is for operators.
    ///
    /// # Errors
    /// `internal_error` when the outbox cannot be read.
    pub fn undelivered(&self, most: usize) -> Result<Vec<Notification>, Error> {
        let wanted = |one: &Notification| matches!(one.state(), DeliveryState::Waiting | DeliveryState::Failed);
        Ok(self.read(|state| {
            let tables = [Table::NOTIFICATION, Table::LATER, Table::DELIVERED];
            let rows = tables.into_iter().flat_map(|table| state.under(&table.key(&[])));
            let read = |(key, value): Pair| notification_of(&key, &value).map_err(|why| corrupt(&key, why));
            let all = rows.map(|pair| read(pair?));
            all.filter(|one| one.as_ref().map_or(true, wanted)).take(most).collect::<Result<Vec<_>, Refusal>>()
        })?)
    }

    /// Blocks until there is a notification to claim, or until `most` has passed. It does not say which: claim, and see.
    ///
    /// # Errors
    /// `internal_error` when the outbox cannot be read; `unavailable` when storage failed earlier.
    pub fn wait_for_notifications(&self, most: Duration) -> Result<(), Error> {
        self.wait_for_notifications_or(most, || false)
    }

    /// As [`Engine::wait_for_notifications`], or until `stop` says so, which is asked whenever deadlines are raised.
    pub(crate) fn wait_for_notifications_or(&self, most: Duration, stop: impl Fn() -> bool) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let seen = self.deadlines().count();
            if stop() || self.has_notifications()? {
                return Ok(());
            }
            let Some(left) = most.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else { return Ok(()) };
            let now = self.now();
            let next = self.read(|state| state.next_ready(now))?;
            let until = next.map_or(left, |at| self.real_time_until(at).min(left));
            self.deadlines().wait(seen, until);
        }
    }

    /// As [`Engine::claim`], but returns at once: the answer can be waited for or awaited. A claim that is made and never looked
    /// at ends with its lease.
    ///
    /// # Errors
    /// `unavailable` when storage failed earlier. Everything else comes with the answer.
    pub fn submit_claim(&self, limit: usize, lease: Duration) -> Result<Pending<Vec<Notification>>, Error> {
        self.hand_in(Notified(Claim::of_all(limit, lease)))
    }

    /// As [`Engine::confirm`], but returns at once.
    ///
    /// # Errors
    /// As [`Engine::submit_claim`].
    pub fn submit_confirm(&self, receipts: &[Receipt]) -> Result<Pending<usize>, Error> {
        self.hand_in(Settle { receipts: receipts.to_vec(), end: ClaimEnd::Confirm { sent_as: None } })
    }

    /// As [`Engine::give_back`], but returns at once.
    ///
    /// # Errors
    /// As [`Engine::submit_claim`].
    pub fn submit_give_back(&self, receipts: &[Receipt], after: Duration) -> Result<Pending<usize>, Error> {
        self.hand_in(Settle { receipts: receipts.to_vec(), end: ClaimEnd::GiveBack { after } })
    }

    /// A future that completes when there is a notification to claim. It needs no particular executor.
    ///
    /// It is woken by commits and, while a ticker runs ([`Engine::start_ticker`]), also when a lease ends. It fails as
    /// [`Engine::wait_for_notifications`] does.
    pub fn notifications(&self) -> Notifications {
        Notifications { engine: self.clone() }
    }

    fn has_notifications(&self) -> Result<bool, Error> {
        self.takes_commands()?;
        let now = self.now();
        Ok(self.read(|state| {
            let ready = state.first_ready(now).next().transpose()?.is_some();
            Ok::<_, Refusal>(ready || !state.later_due(now, 1)?.is_empty())
        })?)
    }
}

/// A future that completes when there is a notification to claim: see [`Engine::notifications`].
#[must_use = "a future does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Notifications {
    engine: Engine,
}

impl Future for Notifications {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The waker is registered before the outbox is read: a commit in between then wakes this task.
        self.engine.deadlines().register(cx.waker());
        match self.engine.has_notifications() {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// How many notifications over a transport are wanted, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// What they go over.
    pub transport: Transport,
    /// The most notifications over it.
    pub limit: usize,
    /// How long a claim of one holds, an hour at most.
    pub lease: Duration,
}

/// What was claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims {
    /// The notifications, each until its lease is over.
    pub notifications: Vec<Notification>,
    /// How many others ended unsent meanwhile, since nobody needed them any more.
    pub ended: usize,
}

/// Claims notifications: at most `limit` in all.
struct Claim {
    limit: usize,
    wanted: Vec<Wanted>,
}

impl Claim {
    /// A claim of what goes over any transport.
    fn of_all(limit: usize, lease: Duration) -> Self {
        let limit = limit.min(MOST_CLAIMED);
        Self { limit, wanted: Transport::ALL.map(|transport| Wanted { transport, limit, lease }).to_vec() }
    }
}

impl Work for Claim {
    type Reply = Claims;

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Claims, Error> {
        // What has become due is put into the inboxes first.
        for later in batch.state().later_due(batch.now, MOST_CLAIMED)? {
            // One that cannot be must not keep the others from being delivered.
            let decision = fall_due(later, &batch.state(), batch.now, ids);
            if let Ok(decision) = decision {
                let _ = batch.add(&decision.writes);
            }
        }
        let mut all = Claims::default();
        for Wanted { transport, limit, lease } in self.wanted {
            let most = all.notifications.len().saturating_add(limit).min(self.limit);
            claim_over(transport, most, lease, &mut all, batch, ids)?;
        }
        drop_ended(batch, all.ended)?;
        Ok(all)
    }
}

/// Claims what goes over a transport, until there are `most` in all.
fn claim_over(
    transport: Transport,
    most: usize,
    lease: Duration,
    all: &mut Claims,
    batch: &mut Assembly<'_>,
    ids: &mut IdSource,
) -> Result<(), Error> {
    let mut after: Option<ReadyInbox> = None;
    // With the shortest of leases, one could be claimed a second time.
    let mut seen = BTreeSet::new();
    // What ends unsent takes as long as what is claimed.
    let looked = |all: &Claims| all.notifications.len().saturating_add(all.ended);
    while all.notifications.len() < most && looked(all) < MOST_CLAIMED {
        let wanted = most - all.notifications.len();
        let inboxes = batch.state().ready_inboxes(transport, batch.now, after.as_ref(), wanted)?;
        for ready in &inboxes {
            if looked(all) >= MOST_CLAIMED {
                break;
            }
            if !seen.insert((ready.org_id, ready.recipient)) {
                continue;
            }
            let decision = claim(ready, lease, &batch.state(), batch.now, ids);
            // An inbox that cannot be read must not keep those of others from being delivered.
            let Ok(decision) = decision else { continue };
            if batch.add(&decision.writes).is_ok() {
                all.ended = all.ended.saturating_add(decision.reply.superseded);
                all.notifications.extend(decision.reply.notification);
            }
        }
        match inboxes.last() {
            Some(last) if inboxes.len() == wanted => after = Some(*last),
            _ => break,
        }
    }
    Ok(())
}

/// A claim of which only what was claimed is told.
struct Notified(Claim);

impl Work for Notified {
    type Reply = Vec<Notification>;

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Vec<Notification>, Error> {
        Ok(self.0.run(batch, ids)?.notifications)
    }
}

/// Ends the claims of some receipts. The reply is the number of claims that had not ended before.
struct Settle {
    receipts: Vec<Receipt>,
    end: ClaimEnd,
}

/// How a claim ends.
enum ClaimEnd {
    Confirm { sent_as: Option<String> },
    GiveBack { after: Duration },
    Fail { reason: String },
}

/// Ends the claim of a notification that could not be sent now.
struct Retry {
    receipt: Receipt,
    reason: String,
    asked: Option<Duration>,
}

impl Work for Retry {
    type Reply = Retried;

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Retried, Error> {
        let decision = retry(&self.receipt, &self.reason, self.asked, &batch.state(), batch.now, ids)?;
        batch.add(&decision.writes)?;
        if decision.reply == Retried::Failed {
            drop_ended(batch, 1)?;
        }
        Ok(decision.reply)
    }
}

impl Work for Settle {
    type Reply = usize;

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<usize, Error> {
        let mut settled = 0;
        for receipt in &self.receipts {
            let decision = match self.end {
                ClaimEnd::Confirm { ref sent_as } => {
                    confirm(receipt, sent_as.as_deref(), &batch.state(), batch.now, ids)?
                }
                ClaimEnd::GiveBack { after } => give_back(receipt, after, &batch.state(), batch.now, ids)?,
                ClaimEnd::Fail { ref reason } => fail(receipt, reason, &batch.state(), batch.now, ids)?,
            };
            batch.add(&decision.writes)?;
            settled += usize::from(decision.reply);
        }
        if !matches!(self.end, ClaimEnd::GiveBack { .. }) {
            drop_ended(batch, settled)?;
        }
        Ok(settled)
    }
}

/// The largest number of expired notifications (ended longer ago than they are kept) that are dropped with each that ends: more than
/// one, so that a backlog shrinks.
const DROPPED: usize = 2;

/// Drops up to [`DROPPED`] expired notifications for each that has ended, and records the instant of the end of the last.
fn drop_ended(batch: &mut Assembly<'_>, ended: usize) -> Result<(), Refusal> {
    let kept = i64::try_from(batch.keep_delivered().as_millis()).unwrap_or(i64::MAX);
    let oldest = Timestamp::clamped(batch.now.as_millis().saturating_sub(kept));
    let (start, end) = (Table::DELIVERED.key(&[]), Table::DELIVERED.key(&[&table::instant(oldest)]));
    let found = batch.state().scan(&start, &end).take(ended.saturating_mul(DROPPED));
    let found = found.collect::<Result<Vec<Pair>, _>>()?;
    let last = found.last().and_then(|last| table::by_time::<OrgId, UserId>(&last.0));
    let mut changes: Vec<RowChange> = Vec::new();
    for (key, value) in found {
        // A damaged one has no index row that anybody knows.
        changes.extend(index_of_row(&key, &value).map(|index| (index, None)));
        changes.push((key, None));
    }
    if let Some((until, _, _)) = last {
        let known = batch.state().get(&format::dropped_key())?;
        // The recorded instant never moves back, also when the clock was set back: what was dropped stays dropped.
        let known = known.as_deref().map(format::dropped_until).transpose().map_err(|why| broken(&why))?;
        let until = known.map_or(until, |known| known.max(until));
        changes.push(format::dropped(until).map_err(|why| broken(&why))?);
    }
    batch.add_with(&[], changes)
}

fn broken(why: &Corrupt) -> Refusal {
    Refusal::broken(format!("the note of dropped notifications: {why}"))
}
