//! Ticks: time passes, and the escalation runs that are due go on.
//!
//! What fires, core decides. Here the timers that are due are found by a scan in the order of time, so that a tick costs what
//! is due, however much else is pending. A tick does not stand back when the command queue is full: pages go out under
//! overload.

use dogwatch_core::escalation::Lookups;
use dogwatch_core::ticks::{Fired, TickPort, Timer, fire_due};
use dogwatch_core::{Error as Refusal, IdSource, Timestamp};

use crate::commit::assembly::Assembly;
use crate::commit::pending::Pending;
use crate::commit::queue::WhenFull;
use crate::commit::writer::Work;
use crate::engine::Engine;
use crate::error::Error;
use crate::rooms::incident;

/// The most timers that are fired in one batch.
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
