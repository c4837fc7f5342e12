//! Escalation in the engine: ticks, and the outbox with its claims.
//!
//! What fires, and what a claim means, core decides. Here it is found by scans in the order of time, so that a tick costs
//! what is due and a claim what can be claimed, whatever else is pending. Work of this kind does not stand back when the
//! command queue is full: pages go out under overload.

use crate::rooms::incident;
use dogwatch_core::escalation::Lookups;
use dogwatch_core::outbox::{DeliveryPort, Notification, ReadyInbox, Receipt, claim, confirm, give_back};
use dogwatch_core::ticks::{Fired, TickPort, Timer, fire_due};
use dogwatch_core::{Error as Refusal, IdSource, OrgId, Timestamp, UserId};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::commit::assembly::Assembly;
use crate::commit::pending::Pending;
use crate::commit::queue::WhenFull;
use crate::commit::writer::Work;
use crate::engine::Engine;
use crate::error::Error;
use crate::format;
use crate::record::Corrupt;
use crate::rooms::RowChange;
use crate::table::{self, Table};

/// How many timers are fired in one batch, and how many notifications are claimed.
const CHUNK: usize = 1_000;

/// What a tick came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticked {
    /// How many runs went on.
    pub fired: usize,
    /// How many could not, because something of them cannot be read. They stay due, and do not stop the others.
    pub failed: usize,
    /// Whether there may be more that is due. Never after [`Engine::tick`].
    pub more: bool,
}

impl Engine {
    /// Fires what is due at an instant, each run once, however late; blocks until that is durable.
    ///
    /// Early, late and repeated calls are harmless. What fires counts its next timeout from `now`. A tick costs what is
    /// due. [`Engine::start_ticker`] calls it whenever it is time.
    ///
    /// ```
    /// use dogwatch_store::rules::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
    /// use dogwatch_store::rules::incident::{CreateIncident, Severity};
    /// use dogwatch_store::rules::organization::CreateOrganization;
    /// use dogwatch_store::rules::{Actor, Timestamp};
    /// use dogwatch_store::{Engine, ManualClock};
    /// # let clock = ManualClock::at(Timestamp::parse("2026-04-07T10:00:00Z")?);
    /// # let engine = Engine::builder().clock(clock.clone()).in_memory()?;
    /// # let created = engine.execute(CreateOrganization { name: "Harbour".parse()?, admin_email: "ada@example.com".parse()?,
    /// #     first_name: "Ada".parse()?, last_name: "Byron".parse()? }, &Actor::Operator)?;
    /// # let (ada, owner) = (created.actor(), created.admin.member.id);
    /// let policy = engine.execute(CreatePolicy { name: "Night".parse()?, description: None }, &ada)?.id;
    /// let add = AddPolicyLayer {
    ///     policy_id: policy,
    ///     position: Position::new(1)?,
    ///     ack_timeout: AckTimeout::from_minutes(5)?,
    ///     target: Target::users(vec![owner])?,
    /// };
    /// engine.execute(add, &ada)?;
    /// let open = CreateIncident {
    ///     escalation_policy_id: Some(policy),
    ///     ..CreateIncident::new("Checkout is down".parse()?, Severity::Critical, owner)
    /// };
    /// let incident = engine.execute(open, &ada)?;
    ///
    /// // The page is written with the incident. Whoever delivers claims it, and confirms.
    /// let pages = engine.claim(10, std::time::Duration::from_secs(30))?;
    /// assert_eq!((pages[0].user(), pages[0].incident()), (Some(owner), Some(incident.id)));
    /// engine.confirm(&[pages[0].receipt()])?;
    ///
    /// // Nobody acknowledges.
    /// let due = engine.next_deadline()?.unwrap();
    /// assert_eq!(Some(due), incident.next_escalation_at);
    /// assert_eq!(engine.tick(due)?.fired, 1);
    /// assert_eq!(engine.next_deadline()?, None, "that was the last layer");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `internal_error` when the timers cannot be read; `outcome_unknown` when storage failed.
    pub fn tick(&self, now: Timestamp) -> Result<Ticked, Error> {
        let mut ticked = Ticked::default();
        let mut after = None;
        loop {
            let (chunk, last) = self.carry_out(Tick { now, after })?;
            ticked.fired += chunk.fired;
            ticked.failed += chunk.failed;
            match last {
                Some(last) => after = Some(last),
                None => return Ok(ticked),
            }
        }
    }

    /// As [`Engine::tick`], but returns at once: the answer can be waited for or awaited. It fires a thousand at most;
    /// [`Ticked::more`] says whether to call again.
    ///
    /// # Errors
    /// `outcome_unknown` when storage failed earlier. Everything else comes with the answer.
    pub fn submit_tick(&self, now: Timestamp) -> Result<Pending<Ticked>, Error> {
        self.hand_in(TickOnce { now }, WhenFull::Take)
    }

    /// When the next run goes on, if nobody does anything: the instant for which to call [`Engine::tick`].
    ///
    /// # Errors
    /// `internal_error` when the timers cannot be read.
    pub fn next_deadline(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.read(|root| root.next_due())?)
    }

    /// Hands out notifications for delivery: at most `limit` (1,000 at once), at most one for each recipient, each until its
    /// lease is over (an hour at most).
    ///
    /// A recipient's next notification is handed out once the one before is confirmed. One that is not confirmed comes
    /// back: each is delivered at least once, in order per user. Claims are durable. Besides pages there are invitations:
    /// [`Notification::message`](dogwatch_core::outbox::Notification::message) says what to send.
    ///
    /// # Errors
    /// `internal_error` when the outbox cannot be read; `outcome_unknown` when storage failed.
    pub fn claim(&self, limit: usize, lease: Duration) -> Result<Vec<Notification>, Error> {
        self.carry_out(Claim { limit: limit.min(CHUNK), lease })
    }

    /// Confirms deliveries; gives how many had not been confirmed before. It does not matter whether a lease is over.
    ///
    /// # Errors
    /// As [`Engine::claim`].
    pub fn confirm(&self, receipts: &[Receipt]) -> Result<usize, Error> {
        self.carry_out(Settle { receipts: receipts.to_vec(), end: ClaimEnd::Confirm })
    }

    /// Gives claimed notifications back, to be claimed again after a while (an hour at most); gives how many were still
    /// held under these claims.
    ///
    /// # Errors
    /// As [`Engine::claim`].
    pub fn give_back(&self, receipts: &[Receipt], after: Duration) -> Result<usize, Error> {
        self.carry_out(Settle { receipts: receipts.to_vec(), end: ClaimEnd::GiveBack { after } })
    }

    /// Blocks until there is a notification to claim, or so much time has passed; says whether there is one.
    ///
    /// # Errors
    /// `internal_error` when the outbox cannot be read; `outcome_unknown` when storage failed earlier.
    pub fn wait_for_notifications(&self, most: Duration) -> Result<bool, Error> {
        let began = Instant::now();
        loop {
            let seen = self.deadlines().count();
            if self.has_notifications()? {
                return Ok(true);
            }
            let Some(left) = most.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else {
                return Ok(false);
            };
            let now = self.now();
            let next = self.read(|root| root.next_ready(now))?;
            let until = next.map_or(left, |at| self.real_time_until(at).min(left));
            self.deadlines().wait(seen, until);
        }
    }

    /// A future that completes when there is a notification to claim. It needs no particular executor.
    ///
    /// It is woken by commits, and while a ticker runs ([`Engine::start_ticker`]), also when a lease is over. It fails as
    /// [`Engine::wait_for_notifications`] does.
    pub fn notifications(&self) -> Notifications {
        Notifications { engine: self.clone() }
    }

    fn has_notifications(&self) -> Result<bool, Error> {
        if self.is_poisoned() {
            return Err(Error::Poisoned);
        }
        let now = self.now();
        Ok(!self.read(|root| root.ready_inboxes(now, None, 1))?.is_empty())
    }
}

/// See [`Engine::notifications`].
#[must_use = "a future does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Notifications {
    engine: Engine,
}

impl Future for Notifications {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // First ask to be woken, then look: what comes in between wakes.
        self.engine.deadlines().register(cx.waker());
        match self.engine.has_notifications() {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// Fires the timers that are due, a chunk of them; gives the last one if there may be more.
struct Tick {
    now: Timestamp,
    after: Option<Timer>,
}

impl Work for Tick {
    type Reply = (Ticked, Option<Timer>);

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Self::Reply, Refusal> {
        let due = batch.root().timers_due(self.now, self.after.as_ref(), CHUNK)?;
        batch.read_ahead(due.iter().map(|timer| incident::incident_key(timer.org_id, timer.incident_id)));
        let (mut ticked, mut lookups) = (Ticked::default(), Lookups::at(self.now));
        for timer in &due {
            let fired = fire_due(timer, &batch.root(), &mut lookups, ids);
            match fired.and_then(|decision| batch.add(&decision.writes).map(|()| decision.reply)) {
                Ok(Fired::Yes) => ticked.fired += 1,
                Ok(Fired::No) => {}
                // One that cannot be read must not keep the others from being paged.
                Err(_) => ticked.failed += 1,
            }
        }
        let last = if due.len() == CHUNK { due.last().copied() } else { None };
        Ok((ticked, last))
    }
}

struct TickOnce {
    now: Timestamp,
}

impl Work for TickOnce {
    type Reply = Ticked;

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Ticked, Refusal> {
        let (ticked, last) = Tick { now: self.now, after: None }.run(batch, ids)?;
        Ok(Ticked { more: last.is_some(), ..ticked })
    }
}

struct Claim {
    limit: usize,
    lease: Duration,
}

impl Work for Claim {
    type Reply = Vec<Notification>;

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Vec<Notification>, Refusal> {
        let mut claimed = Vec::new();
        let mut after: Option<ReadyInbox> = None;
        while claimed.len() < self.limit {
            let wanted = self.limit - claimed.len();
            let lines = batch.root().ready_inboxes(batch.now, after.as_ref(), wanted)?;
            for line in &lines {
                let decision = claim(line, self.lease, &batch.root(), batch.now, ids);
                // A line that cannot be read must not keep the others from being delivered.
                let Ok(decision) = decision else { continue };
                if batch.add(&decision.writes).is_ok() {
                    claimed.extend(decision.reply);
                }
            }
            match lines.last() {
                Some(last) if lines.len() == wanted => after = Some(*last),
                _ => break,
            }
        }
        Ok(claimed)
    }
}

/// Ends claims; counts those that were still there to end.
struct Settle {
    receipts: Vec<Receipt>,
    end: ClaimEnd,
}

/// How a claim ends.
enum ClaimEnd {
    Confirm,
    GiveBack { after: Duration },
}

impl Work for Settle {
    type Reply = usize;

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<usize, Refusal> {
        let mut settled = 0;
        for receipt in &self.receipts {
            let decision = match self.end {
                ClaimEnd::Confirm => confirm(receipt, &batch.root(), batch.now, ids)?,
                ClaimEnd::GiveBack { after } => give_back(receipt, after, &batch.root(), batch.now, ids)?,
            };
            batch.add(&decision.writes)?;
            settled += usize::from(decision.reply);
        }
        if matches!(self.end, ClaimEnd::Confirm) {
            drop_delivered(batch, settled)?;
        }
        Ok(settled)
    }
}

/// How many delivered notifications whose time is up are dropped with each confirmation: more than one, so that they get
/// fewer.
const DROPPED: usize = 2;

/// Drops a few delivered notifications whose time is up, and notes up to when.
fn drop_delivered(batch: &mut Assembly<'_>, confirmed: usize) -> Result<(), Refusal> {
    let kept = i64::try_from(batch.keep_delivered().as_millis()).unwrap_or(i64::MAX);
    let oldest = Timestamp::clamped(batch.now.as_millis().saturating_sub(kept));
    let (start, end) = (Table::DELIVERED.key(&[]), Table::DELIVERED.key(&[&table::instant(oldest)]));
    let found = batch.root().scan(&start, &end).take(confirmed.saturating_mul(DROPPED));
    let dropped = found.map(|pair| pair.map(|(key, value)| RowChange::delete(key, value)));
    let mut changes = dropped.collect::<Result<Vec<_>, _>>()?;
    let last = changes.last().and_then(|last| table::by_time::<OrgId, UserId>(&last.key));
    if let Some((until, _, _)) = last {
        let before = batch.root().get(&format::dropped_key())?;
        // The clock may have been set back: what was dropped once stays so.
        let known = before.as_deref().map(format::dropped_until).transpose().map_err(|why| broken(&why))?;
        let until = known.map_or(until, |known| known.max(until));
        changes.push(format::dropped(until, before).map_err(|why| broken(&why))?);
    }
    batch.add_with(&[], changes)
}

fn broken(why: &Corrupt) -> Refusal {
    Refusal::broken(format!("the note of dropped notifications: {why}"))
}
