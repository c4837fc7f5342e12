//! What the model is compared with: an engine, or the rules alone on a state in memory.
//!
//! Either can have a transaction open. Then the commands of all members are given inside of it, until it ends as a whole: kept,
//! or undone. What cannot happen inside of one (ticks, claims, a look at keys) keeps it and ends it first.

use std::cell::RefCell;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use dogwatch_core::caller::authenticate;
use dogwatch_core::integration::{Alert, IntegrationKind, ReceiveAlert, Received};
use dogwatch_core::memory::MemoryState;
use dogwatch_core::outbox::{Notification, Receipt, Retried};
use dogwatch_core::ticks::TickPort;
use dogwatch_core::{Actor, Code, Command, IdSource, Query, Secret, Timestamp};
use dogwatch_store::{Clock, Engine, Error, ManualClock, Pending, Ticked, Transaction};

/// An engine, or the rules in memory. The methods are those of [`Engine`].
pub struct Subject(Kind);

enum Kind {
    Engine { engine: Engine, session: RefCell<Option<Session>> },
    Rules(Box<Rules>),
}

/// A command or query for an open transaction.
type Job = Box<dyn FnOnce(&mut Transaction<'_, '_>) + Send>;

/// An open transaction of an engine: the jobs go to the closure that runs on the engine's writer thread.
struct Session {
    jobs: Sender<Option<Job>>,
    end: Pending<()>,
}

impl Session {
    fn begin(engine: &Engine) -> Self {
        let (jobs, given) = channel::<Option<Job>>();
        let commands = move |tx: &mut Transaction<'_, '_>| {
            for job in given {
                match job {
                    Some(job) => job(tx),
                    None => return Ok(()),
                }
            }
            Err(dogwatch_core::Error::refused(Code::NotFound, "undone").into())
        };
        let end = engine.submit_transaction(&Actor::Operator, commands).unwrap();
        Self { jobs, end }
    }

    fn run<R: Send + 'static>(&self, job: impl FnOnce(&mut Transaction<'_, '_>) -> R + Send + 'static) -> R {
        let (reply, replied) = channel();
        let job = move |tx: &mut Transaction<'_, '_>| drop(reply.send(job(tx)));
        self.jobs.send(Some(Box::new(job))).unwrap();
        replied.recv().expect("the transaction goes on")
    }

    fn end(self, keep: bool) {
        if keep {
            self.jobs.send(None).unwrap();
        }
        drop(self.jobs);
        assert_eq!(self.end.wait().is_ok(), keep);
    }
}

/// The rules on a state in memory: no engine, no thread, no disk.
struct Rules {
    state: RefCell<MemoryState>,
    ids: RefCell<IdSource>,
    clock: ManualClock,
    /// The state before the transaction that is open.
    before: RefCell<Option<MemoryState>>,
}

impl Subject {
    /// An engine.
    #[must_use]
    pub const fn engine(engine: Engine) -> Self {
        Self(Kind::Engine { engine, session: RefCell::new(None) })
    }

    /// The rules on a state in memory, with this clock, and ids from this seed.
    #[must_use]
    pub fn rules(clock: ManualClock, seed: [u8; 32]) -> Self {
        Self(Kind::Rules(Box::new(Rules {
            state: RefCell::default(),
            ids: RefCell::new(IdSource::from_seed(seed)),
            clock,
            before: RefCell::default(),
        })))
    }

    /// The engine; `None` when it is the rules in memory.
    #[must_use]
    pub const fn as_engine(&self) -> Option<&Engine> {
        match &self.0 {
            Kind::Engine { engine, .. } => Some(engine),
            Kind::Rules(_) => None,
        }
    }

    /// Opens a transaction, for the commands of all members.
    pub fn begin(&self) {
        match &self.0 {
            Kind::Engine { engine, session } => {
                *session.borrow_mut() = Some(Session::begin(engine));
            }
            Kind::Rules(rules) => *rules.before.borrow_mut() = Some(rules.state.borrow().clone()),
        }
    }

    /// Ends the transaction that is open, if any: all of it happens, or nothing.
    pub fn end(&self, keep: bool) {
        match &self.0 {
            Kind::Engine { session, .. } => {
                if let Some(session) = session.borrow_mut().take() {
                    session.end(keep);
                }
            }
            Kind::Rules(rules) => {
                if let Some(before) = rules.before.borrow_mut().take().filter(|_| !keep) {
                    *rules.state.borrow_mut() = before;
                }
            }
        }
    }

    /// Whether a transaction is open.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        match &self.0 {
            Kind::Engine { session, .. } => session.borrow().is_some(),
            Kind::Rules(rules) => rules.before.borrow().is_some(),
        }
    }

    /// See [`Engine::now`].
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::Engine { engine, .. } => engine.now(),
            Kind::Rules(rules) => rules.clock.now(),
        }
    }

    /// See [`Engine::execute`].
    pub fn execute<C: Command>(&self, command: C, actor: &Actor) -> Result<C::Reply, Error> {
        match &self.0 {
            Kind::Engine { engine, session } => match &*session.borrow() {
                Some(session) => {
                    let actor = *actor;
                    session.run(move |tx| tx.execute_as(command, &actor))
                }
                None => engine.execute(command, actor),
            },
            Kind::Rules(rules) => {
                let mut ids = rules.ids.borrow_mut();
                Ok(rules.state.borrow_mut().execute(command, actor, rules.clock.now(), &mut ids)?)
            }
        }
    }

    /// See [`Engine::submit_alerts`]; in a transaction, and on the rules, one after the other.
    pub fn receive(&self, token: &Secret, kind: IntegrationKind, alerts: Vec<Alert>) -> Result<Vec<Received>, Error> {
        match self.as_engine().filter(|_| !self.in_transaction()) {
            Some(engine) => engine.submit_alerts(token, kind, alerts)?.wait(),
            None => {
                let receive = |alert| self.execute(ReceiveAlert::new(token.clone(), kind, alert), &Actor::Anybody);
                alerts.into_iter().map(receive).collect()
            }
        }
    }

    /// See [`Engine::query`].
    pub fn query<Q: Query + Clone>(&self, query: &Q, actor: &Actor) -> Result<Q::Reply, Error> {
        match &self.0 {
            Kind::Engine { engine, session } => match &*session.borrow() {
                Some(session) => {
                    let (query, actor) = (query.clone(), *actor);
                    session.run(move |tx| tx.query_as(&query, &actor))
                }
                None => engine.query(query, actor),
            },
            Kind::Rules(rules) => Ok(rules.state.borrow().query(query, actor)?),
        }
    }

    /// See [`Engine::authenticate`].
    pub fn authenticate(&self, key: &Secret) -> Result<Actor, Error> {
        self.end(true);
        match &self.0 {
            Kind::Engine { engine, .. } => engine.authenticate(key),
            Kind::Rules(rules) => Ok(authenticate(key, &*rules.state.borrow(), rules.clock.now())?),
        }
    }

    /// See [`Engine::tick`].
    pub fn tick(&self, now: Timestamp) -> Result<Ticked, Error> {
        self.end(true);
        match &self.0 {
            Kind::Engine { engine, .. } => engine.tick(now),
            Kind::Rules(rules) => {
                let fired = rules.state.borrow_mut().tick(now, &mut rules.ids.borrow_mut())?;
                Ok(Ticked { fired, ..Ticked::default() })
            }
        }
    }

    /// See [`Engine::next_deadline`].
    pub fn next_deadline(&self) -> Result<Option<Timestamp>, Error> {
        self.end(true);
        match &self.0 {
            Kind::Engine { engine, .. } => engine.next_deadline(),
            Kind::Rules(rules) => Ok(rules.state.borrow().next_due()?),
        }
    }

    /// See [`Engine::claim`].
    pub fn claim(&self, limit: usize, lease: Duration) -> Result<Vec<Notification>, Error> {
        self.end(true);
        match &self.0 {
            Kind::Engine { engine, .. } => engine.claim(limit, lease),
            Kind::Rules(rules) => {
                let (now, mut ids) = (rules.clock.now(), rules.ids.borrow_mut());
                Ok(rules.state.borrow_mut().claim(limit, lease, now, &mut ids)?)
            }
        }
    }

    /// See [`Engine::confirm`].
    pub fn confirm(&self, receipt: Receipt, sent_as: Option<&str>) -> Result<usize, Error> {
        self.end(true);
        match &self.0 {
            Kind::Engine { engine, .. } => match sent_as {
                Some(sent_as) => engine.confirm_as(&receipt, sent_as),
                None => engine.confirm(&[receipt]),
            },
            Kind::Rules(rules) => {
                let (now, mut ids) = (rules.clock.now(), rules.ids.borrow_mut());
                Ok(usize::from(rules.state.borrow_mut().confirm(&receipt, sent_as, now, &mut ids)?))
            }
        }
    }

    /// See [`Engine::retry`].
    pub fn retry(&self, receipt: Receipt, reason: &str, asked: Option<Duration>) -> Result<Retried, Error> {
        self.end(true);
        match &self.0 {
            Kind::Engine { engine, .. } => engine.retry(&receipt, reason, asked),
            Kind::Rules(rules) => {
                let (now, mut ids) = (rules.clock.now(), rules.ids.borrow_mut());
                Ok(rules.state.borrow_mut().retry(&receipt, reason, asked, now, &mut ids)?)
            }
        }
    }

    /// See [`Engine::fail`].
    pub fn fail(&self, receipt: Receipt, reason: &str) -> Result<usize, Error> {
        self.end(true);
        match &self.0 {
            Kind::Engine { engine, .. } => engine.fail(&[receipt], reason),
            Kind::Rules(rules) => {
                let (now, mut ids) = (rules.clock.now(), rules.ids.borrow_mut());
                Ok(usize::from(rules.state.borrow_mut().fail(&receipt, reason, now, &mut ids)?))
            }
        }
    }

    /// See [`Engine::give_back`].
    pub fn give_back(&self, receipt: Receipt, after: Duration) -> Result<usize, Error> {
        self.end(true);
        match &self.0 {
            Kind::Engine { engine, .. } => engine.give_back(&[receipt], after),
            Kind::Rules(rules) => {
                let (now, mut ids) = (rules.clock.now(), rules.ids.borrow_mut());
                Ok(usize::from(rules.state.borrow_mut().give_back(&receipt, after, now, &mut ids)?))
            }
        }
    }
}
