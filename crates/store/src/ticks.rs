//! Ticks: fire all timers that are due at an instant: those of escalation runs, groups of alerts, heartbeats, removals and maintenances (contract,
//! sections 7, 9, 13 and 14).
//!
//! The rules (`dogwatch_core`) decide what each does when it fires. Removals and maintenances fire last. Here the timers that are due are found by a scan in the
//! order of time, so the cost of a tick depends on what is due, not on what else is pending. A tick is taken even when the
//! command queue is full, so that pages go out under overload.

use dogwatch_core::escalation::Lookups;
use dogwatch_core::ticks::{Fired, TickPort, Timer, Waiting, fire_due};
use dogwatch_core::{Error as Refusal, IdSource, Timestamp};

use crate::commit::assembly::Assembly;
use crate::commit::pending::Pending;
use crate::commit::writer::Work;
use crate::engine::Engine;
use crate::error::Error;
use crate::rooms::incident;
use crate::trace;

/// The largest number of timers that one piece of work fires.
const CHUNK: usize = 1_000;
/// The largest number of maintenances among them. Each may change the status of 200 components, and pages wait behind it.
const MAINTENANCES: usize = 20;

/// The result of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticked {
    /// The number of escalation runs that went on, to their next layer or to their end, of groups of alerts whose incident was opened or
    /// resolved, of heartbeats that were missed, of parts of removals, and of maintenances that began or ended.
    pub fired: usize,
    /// The number of them that could not go on, because a record cannot be read or written. They stay due, and do not stop
    /// the others.
    pub failed: usize,
    /// Whether more may be due. Always `false` after [`Engine::tick`].
    pub more: bool,
}

impl Engine {
    /// Fires every escalation run that is due at `now`, each once, however late; blocks until that is durable.
    ///
    /// Early, late and repeated calls are harmless. The next timeout of a run counts from `now`. The cost depends on the
    /// number of runs that are due. [`Engine::start_ticker`] calls it whenever a run is due.
    ///
    /// ```
    /// use dogwatch_store::rules::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
    /// use dogwatch_store::rules::incident::{CreateIncident, Severity};
    /// use dogwatch_store::rules::organization::CreateOrganization;
    /// use dogwatch_store::rules::{Actor, Timestamp};
    /// use dogwatch_store::{Engine, ManualClock};
    /// # let clock = ManualClock::at(Timestamp::parse("2026-04-07T10:00:00Z")?);
    /// # let engine = Engine::builder().clock(clock.clone()).in_memory()?;
    /// # let created = engine.execute(CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?, "Ada".parse()?, "Byron".parse()?), &Actor::Operator)?;
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
    /// // The page is written with the incident. A consumer claims it, delivers it, and confirms.
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

    /// Lets time pass until an instant, deadline by deadline: sets the clock to each instant at which a run is due and fires it
    /// there, and in the end sets the clock to `until`. For tests and rehearsals, on an engine whose clock can be set
    /// ([`ManualClock`](crate::ManualClock)).
    ///
    /// ```
    /// use dogwatch_store::rules::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
    /// use dogwatch_store::rules::incident::{CreateIncident, Severity};
    /// use dogwatch_store::rules::Timestamp;
    /// use dogwatch_store::{Engine, ManualClock};
    /// # use dogwatch_store::rules::{Actor, organization::CreateOrganization};
    /// let clock = ManualClock::at("2026-04-07T10:00:00Z".parse()?);
    /// let engine = Engine::builder().clock(clock).in_memory()?;
    /// # let created = engine.execute(CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?,
    /// #     "Ada".parse()?, "Byron".parse()?), &Actor::Operator)?;
    /// # let (ada, owner) = (created.actor(), created.admin.member.id);
    /// let night = engine.execute(CreatePolicy::new("Night".parse()?), &ada)?.id;
    /// for position in [1, 2, 3] {
    ///     let (position, wait) = (Position::new(position)?, AckTimeout::from_minutes(30)?);
    ///     engine.execute(AddPolicyLayer::new(night, position, wait, Target::user(owner)), &ada)?;
    /// }
    /// let open = CreateIncident::new("Checkout is down".parse()?, Severity::High, owner);
    /// engine.execute(CreateIncident { escalation_policy_id: Some(night), ..open }, &ada)?;
    ///
    /// let tomorrow = "2026-04-08T10:00:00Z".parse()?;
    /// assert_eq!(engine.run_until(tomorrow)?.fired, 3, "two more layers, and the end");
    /// assert_eq!(engine.now(), tomorrow);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Engine::tick`]; `internal_error` when the clock cannot be set, and when a run that is due cannot be read.
    pub fn run_until(&self, until: Timestamp) -> Result<Ticked, Error> {
        let mut ticked = Ticked::default();
        while let Some(due) = self.next_deadline()?.filter(|due| *due <= until) {
            let now = due.max(self.now());
            self.set_clock(now)?;
            let one = self.tick(now)?;
            ticked.fired += one.fired;
            if one.failed > 0 || (one.fired == 0 && self.next_deadline()? == Some(due)) {
                return Err(Refusal::broken("a run that is due cannot go on").into());
            }
        }
        self.set_clock(until.max(self.now()))?;
        Ok(ticked)
    }

    fn set_clock(&self, now: Timestamp) -> Result<(), Error> {
        if self.clock().set_to(now) { Ok(()) } else { Err(Refusal::broken("the clock cannot be set").into()) }
    }

    /// As [`Engine::tick`], but returns at once: the answer can be waited for or awaited. It fires 1,000 runs at most;
    /// [`Ticked::more`] says whether to call again.
    ///
    /// # Errors
    /// `unavailable` when storage failed earlier. Everything else comes with the answer.
    pub fn submit_tick(&self, now: Timestamp) -> Result<Pending<Ticked>, Error> {
        self.hand_in(TickOnce { now })
    }

    /// The instant at which the next escalation run is due, for which to call [`Engine::tick`]; `None` when no run waits.
    ///
    /// # Errors
    /// `internal_error` when the timers cannot be read.
    pub fn next_deadline(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.read(|state| state.next_due())?)
    }
}

/// Fires up to [`CHUNK`] timers that are due at `now`, those behind `after`. The reply holds the last of them if there may be
/// more.
struct Tick {
    now: Timestamp,
    after: Option<Timer>,
}

impl Work for Tick {
    type Reply = (Ticked, Option<Timer>);

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Self::Reply, Error> {
        // Invariant [due-only].
        let due = batch.state().timers_due(self.now, self.after.as_ref(), CHUNK)?;
        let runs = due.iter().filter_map(|timer| match timer.waiting {
            Waiting::Run(incident) => Some(incident::incident_key(timer.org_id, incident)),
            Waiting::Heartbeat(_) | Waiting::AlertGroup(..) | Waiting::Removal(_) | Waiting::Maintenance(..) => None,
        });
        batch.read_ahead(runs);
        let (mut ticked, mut lookups, mut part) = (Ticked::default(), Lookups::at(self.now), false);
        let is_maintenance = |timer: &&Timer| matches!(timer.waiting, Waiting::Maintenance(..));
        let (maintenances, others): (Vec<_>, Vec<_>) = due.iter().partition(is_maintenance);
        let now = maintenances.get(..MAINTENANCES).unwrap_or(&maintenances);
        let is_removal = |timer: &&Timer| matches!(timer.waiting, Waiting::Removal(_));
        let (removals, others): (Vec<_>, Vec<_>) = others.into_iter().partition(is_removal);
        trace::tick(due.len(), || {
            let mut fire = |timer: &Timer| {
                let fired = fire_due(timer, &batch.state(), &mut lookups, ids);
                match fired.and_then(|decision| batch.add(&decision.writes).map(|()| decision.reply)) {
                    Ok(Fired::Yes) => {
                        ticked.fired += 1;
                        return true;
                    }
                    Ok(Fired::No) => {}
                    // A run that cannot be read must not keep the pages of others from being written.
                    Err(why) => {
                        ticked.failed += 1;
                        batch.timer_failed();
                        trace::timer_failed(timer, &why);
                    }
                }
                false
            };
            for timer in others.iter().chain(now) {
                fire(timer);
            }
            // One part of one of them, and only once in a tick: what else falls due does not wait for them.
            if self.after.is_none() {
                part = removals.iter().any(|timer| fire(timer));
            }
        });
        ticked.more = part;
        // Where the next piece begins: others that lie between have been fired.
        let last = match now.last().filter(|_| now.len() < maintenances.len()) {
            Some(last) => Some(**last),
            None if due.len() == CHUNK => due.last().copied(),
            None => None,
        };
        Ok((ticked, last))
    }
}

struct TickOnce {
    now: Timestamp,
}

impl Work for TickOnce {
    type Reply = Ticked;

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Ticked, Error> {
        let (ticked, last) = Tick { now: self.now, after: None }.run(batch, ids)?;
        Ok(Ticked { more: ticked.more || last.is_some(), ..ticked })
    }
}
