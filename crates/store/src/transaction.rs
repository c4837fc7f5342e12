//! Transactions: several commands in one commit ([`Engine::transact`]).
//!
//! A transaction is a piece of work of the writer, as a command is. Each of its commands is decided on top of those before it,
//! and all their changes are added to the batch, or none.

use dogwatch_core::{Actor, Code, Command, Error as Refusal, IdSource, Query, Timestamp, ask, decide};

use crate::commit::assembly::Assembly;
use crate::commit::pending::{self, Pending};
use crate::commit::queue::Lane;
use crate::commit::writer::{Work, lane_of};
use crate::engine::Engine;
use crate::error::Error;
use crate::trace;

/// Several commands that become one commit: see [`Engine::transact`].
pub struct Transaction<'a, 'b> {
    batch: &'a mut Assembly<'b>,
    ids: &'a mut IdSource,
    actor: Actor,
    commands: usize,
}

impl Transaction<'_, '_> {
    /// The most commands of one transaction, refused ones included. What others have submitted waits for all of them.
    pub const MOST_COMMANDS: usize = 1_000;

    /// Decides a command on top of those before it. A refused one leaves nothing, and the transaction may go on without it.
    ///
    /// # Errors
    /// Those of the command; `limit_reached` after [`Transaction::MOST_COMMANDS`].
    pub fn execute<C: Command>(&mut self, command: C) -> Result<C::Reply, Error> {
        let actor = self.actor;
        self.execute_as(command, &actor)
    }

    /// As [`Transaction::execute`], as another actor than the one whose transaction it is.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub fn execute_as<C: Command>(&mut self, command: C, actor: &Actor) -> Result<C::Reply, Error> {
        if self.commands == Self::MOST_COMMANDS {
            let message = format!("a transaction takes at most {} commands", Self::MOST_COMMANDS);
            return Err(Refusal::refused(Code::LimitReached, message).into());
        }
        self.commands += 1;
        trace::command::<C, _>(actor, || {
            let decision = decide(command, actor, &self.batch.state(), self.batch.now, self.ids)?;
            self.batch.acts(Some(*actor));
            self.batch.add(&decision.writes)?;
            Ok(decision.reply)
        })
    }

    /// Answers a query from the state with the changes of the commands before it.
    ///
    /// # Errors
    /// Those of the query.
    pub fn query<Q: Query>(&self, query: &Q) -> Result<Q::Reply, Error> {
        self.query_as(query, &self.actor)
    }

    /// As [`Transaction::query`], as another actor than the one whose transaction it is.
    ///
    /// # Errors
    /// Those of the query.
    pub fn query_as<Q: Query>(&self, query: &Q, actor: &Actor) -> Result<Q::Reply, Error> {
        trace::query::<Q, _>(actor, || Ok(ask(query, actor, &self.batch.state())?))
    }

    /// The instant at which its commands happen, all of them.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.batch.now
    }
}

impl std::fmt::Debug for Transaction<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("commands", &self.commands).finish_non_exhaustive()
    }
}

impl Engine {
    /// Executes several commands of an actor as one commit: all of them happen, or none. Blocks until that is durable.
    ///
    /// The closure is called once. Each command sees what those before it have changed. When it returns an error, or panics,
    /// nothing of it happens. It runs on the engine's writer thread, where commands of others wait for it: it should do nothing
    /// but give commands to `tx`, and never block. `execute` and other calls that wait for an engine are refused there with
    /// `internal_error`, and do nothing; what is submitted there happens by itself, behind the transaction, and a future that is
    /// driven there waits for ever.
    ///
    /// ```
    /// use dogwatch_store::Engine;
    /// use dogwatch_store::rules::Code;
    /// use dogwatch_store::rules::component::{CreateComponent, ListComponents};
    /// use dogwatch_store::rules::incident::{CreateIncident, SetComponents, Severity};
    /// # use dogwatch_store::rules::{Actor, organization::CreateOrganization};
    /// # let engine = Engine::in_memory()?;
    /// # let created = engine.execute(CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?,
    /// #     "Ada".parse()?, "Byron".parse()?), &Actor::Operator)?;
    /// # let (ada, owner) = (created.actor(), created.admin.member.id);
    /// let incident = engine.transact(&ada, move |tx| {
    ///     let checkout = tx.execute(CreateComponent::new("Checkout".parse()?))?;
    ///     let open = CreateIncident::new("Checkout is down".parse()?, Severity::Critical, owner);
    ///     tx.execute(CreateIncident { component_ids: vec![checkout.id], ..open })
    /// })?;
    /// assert_eq!(incident.affected_components[0].name.as_str(), "Checkout");
    ///
    /// // The name is taken: nothing of this happens.
    /// let refused = engine.transact(&ada, move |tx| {
    ///     tx.execute(SetComponents::new(incident.id, Vec::new()))?;
    ///     tx.execute(CreateComponent::new("Checkout".parse()?))
    /// });
    /// assert_eq!(refused.unwrap_err().code(), Code::NameConflict);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those with which the closure returns; `internal_error` when it panics; `overloaded` when the queue is full;
    /// `outcome_unknown` when storage failed. To undo it for a reason of your own, return a
    /// [`rules::Error::refused`](dogwatch_core::Error::refused).
    pub fn transact<R: Send + 'static>(
        &self,
        actor: &Actor,
        commands: impl FnOnce(&mut Transaction<'_, '_>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        pending::may_wait()?;
        self.submit_transaction(actor, commands)?.wait()
    }

    /// As [`Engine::transact`], but returns at once. The answer can be waited for or awaited.
    ///
    /// # Errors
    /// `overloaded` when the queue is full; `unavailable` when storage failed earlier. Everything else comes with the answer.
    pub fn submit_transaction<R: Send + 'static>(
        &self,
        actor: &Actor,
        commands: impl FnOnce(&mut Transaction<'_, '_>) -> Result<R, Error> + Send + 'static,
    ) -> Result<Pending<R>, Error> {
        self.hand_in(Transacted { actor: *actor, commands })
    }
}

struct Transacted<F> {
    actor: Actor,
    commands: F,
}

impl<R, F> Work for Transacted<F>
where
    R: Send + 'static,
    F: FnOnce(&mut Transaction<'_, '_>) -> Result<R, Error> + Send + 'static,
{
    type Reply = R;

    fn lane(&self) -> Lane {
        lane_of(&self.actor)
    }

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<R, Error> {
        let Self { actor, commands } = self;
        batch.all_or_nothing(|batch| commands(&mut Transaction { batch, ids, actor, commands: 0 }))
    }
}
