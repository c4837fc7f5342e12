//! Commands and queries: what they are, and how one is decided.
//!
//! A command is a plain struct that says what somebody wants. Deciding it ([`decide`]) is a pure function of the state, the
//! actor, the instant and a source of ids; nothing is written by it. A [`Decision`] holds the reply and the [`Write`]s, and a
//! refused command leaves nothing behind. A query ([`ask`]) is the same without the writes.
//!
//! Both name in their types who may give them ([`Command::Caller`]), and in [`Command::CODES`] the codes with which their rules
//! refuse, in the order of the checks. Routes and documents read them there. In debug builds a refusal with any other code
//! panics.
//!
//! Who may give them is in [`crate::caller`]; what the rules read and write is in [`crate::world`].

use crate::caller::{Actor, Caller};
use crate::code::Code;
use crate::error::Error;
use crate::id::{IdSource, OrgId, UserId};
use crate::org_audit;
use crate::organization::Counts;
use crate::outbox::{Inbox, Recipient};
use crate::time::Timestamp;
use crate::world::{Change, GlobalPort, State, World, Write};

pub(crate) mod sealed {
    /// Only this crate implements [`Command`](super::Command) and [`Query`](super::Query): what a decision writes, only its
    /// rules may say.
    pub trait Sealed {}
}

/// Lets types of this crate implement [`Command`] or [`Query`].
macro_rules! seal {
    ($($operation:ident),+ $(,)?) => {
        $(impl $crate::command::sealed::Sealed for $operation {})+
    };
}
pub(crate) use seal;

/// A change that somebody asks for, such as [`CreateIncident`](crate::incident::CreateIncident). Sealed: the commands are those
/// of this crate.
pub trait Command: sealed::Sealed + Send + 'static {
    /// Who may give it: any member, an admin, the operator or anybody.
    type Caller: Caller;
    /// What the caller gets when it is done.
    type Reply: Send + 'static;
    /// The codes of its rules, in the order of their checks. Those of the caller come before ([`Caller::CODES`]);
    /// `internal_error` may always come.
    const CODES: &'static [Code];

    /// Applies the rules.
    ///
    /// # Errors
    /// [`Command::CODES`]; `internal_error` when the world cannot be read.
    fn decide(self, by: Self::Caller, cx: &mut <Self::Caller as Caller>::Context<'_>) -> Result<Self::Reply, Error>;
}

/// A question about what is stored, such as [`GetIncident`](crate::incident::GetIncident). Sealed: the queries are those of
/// this crate.
pub trait Query: sealed::Sealed + Send + Sync + 'static {
    /// Who may ask it: any member, an admin, the operator or anybody.
    type Caller: Caller;
    /// The answer.
    type Reply: Send + 'static;
    /// The codes of its rules, in the order of their checks. Those of the caller come before ([`Caller::CODES`]);
    /// `internal_error` may always come.
    const CODES: &'static [Code];

    /// Answers from the world.
    ///
    /// # Errors
    /// [`Query::CODES`]; `internal_error` when the world cannot be read.
    fn answer(&self, by: Self::Caller, view: &<Self::Caller as Caller>::View<'_>) -> Result<Self::Reply, Error>;
}

/// What a query of a member is answered from.
pub struct View<'a> {
    /// The member's organization.
    pub world: &'a dyn World,
}

/// What a query of the operator, or of anybody, is answered from: somebody without an organization.
pub struct GlobalView<'a> {
    /// What is unique over all organizations: the hashes of API keys and of invitation tokens.
    pub global: &'a dyn GlobalPort,
    state: &'a dyn State,
}

impl<'a> GlobalView<'a> {
    pub(crate) fn new(state: &'a dyn State) -> Self {
        Self { global: state, state }
    }

    /// One organization, which the query has found through what is global.
    #[must_use]
    pub fn world(&self, org: OrgId) -> Box<dyn World + 'a> {
        self.state.world(org)
    }
}

/// What a command of a member is decided from, and the writes that it has decided on so far. Ticks and deliveries are decided
/// from it as well.
pub struct Context<'a> {
    /// The organization in which the command happens.
    pub world: &'a dyn World,
    /// The instant at which it happens.
    pub now: Timestamp,
    /// The source of new ids and secrets.
    pub ids: &'a mut IdSource,
    writes: Vec<Write>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(world: &'a dyn World, now: Timestamp, ids: &'a mut IdSource) -> Self {
        Self { world, now, ids, writes: Vec::new() }
    }

    /// Ends a decision that time made, with its reply.
    pub(crate) fn decided<R>(self, reply: R) -> Result<Decision<R>, Error> {
        self.ended(None, reply)
    }

    /// Ends the command of a member with its reply.
    pub(crate) fn decided_by<R>(self, user: UserId, reply: R) -> Result<Decision<R>, Error> {
        self.ended(Some(user), reply)
    }

    /// What changes of the organization's settings goes into its audit.
    fn ended<R>(mut self, by: Option<UserId>, reply: R) -> Result<Decision<R>, Error> {
        let newest = |_| org_audit::newest(self.world);
        org_audit::note(&mut self.writes, by, self.now, self.ids, newest)?;
        Ok(Decision { reply, writes: self.writes })
    }
}

impl Context<'_> {
    /// Adds a write to the decision.
    pub(crate) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Does something as a whole or not at all: with an error, nothing of it is in the decision.
    pub(crate) fn whole<R>(&mut self, something: impl FnOnce(&mut Self) -> Result<R, Error>) -> Result<R, Error> {
        let before = self.writes.len();
        something(self).inspect_err(|_| self.writes.truncate(before))
    }

    /// A recipient's inbox, as the decision leaves it so far.
    pub(crate) fn inbox(&self, recipient: Recipient) -> Result<Option<Inbox>, Error> {
        let of_recipient = |write: &Write| match write {
            Write::Inbox(Change { before, after }) => {
                let named = before.as_ref().or(after.as_ref());
                named.is_some_and(|inbox| inbox.recipient == recipient).then_some(*after)
            }
            _ => None,
        };
        self.writes.iter().rev().find_map(of_recipient).map_or_else(|| self.world.inbox(recipient), Ok)
    }

    /// Adds a change of an inbox, which [`Context::inbox`] gave, to the decision.
    pub(crate) fn write_inbox(&mut self, before: Option<Inbox>, after: Inbox) {
        self.write(Write::Inbox(Change { before, after: Some(after) }));
    }

    /// Adds a change of the organization's counts to the decision, unless it would pass a limit. A command calls it at most
    /// once, since the change starts from the counts as they are stored.
    pub(crate) fn count(&mut self, change: impl FnOnce(&mut Counts) -> Result<(), Error>) -> Result<Counts, Error> {
        let before = self.world.counts()?;
        let mut after = before;
        change(&mut after)?;
        self.write(Write::Counts(Change::edited(before, after)));
        Ok(after)
    }
}

/// What a command of the operator, or of anybody, is decided from, and the writes that it has decided on so far.
pub struct GlobalContext<'a> {
    /// What is unique over all organizations: the hashes of API keys and of invitation tokens.
    pub global: &'a dyn GlobalPort,
    /// The instant at which it happens.
    pub now: Timestamp,
    /// The source of new ids and secrets.
    pub ids: &'a mut IdSource,
    state: &'a dyn State,
    writes: Vec<Write>,
}

impl<'a> GlobalContext<'a> {
    pub(crate) fn new(state: &'a dyn State, now: Timestamp, ids: &'a mut IdSource) -> Self {
        Self { global: state, now, ids, state, writes: Vec::new() }
    }

    /// Applies a rule within one organization, which the command has found or makes. Its writes join those of the decision.
    pub(crate) fn within<R>(
        &mut self,
        org: OrgId,
        rule: impl FnOnce(&mut Context<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let world = self.state.world(org);
        let writes = std::mem::take(&mut self.writes);
        let mut cx = Context { world: &*world, now: self.now, ids: &mut *self.ids, writes };
        let reply = rule(&mut cx)?;
        self.writes = cx.writes;
        Ok(reply)
    }

    /// Ends the decision with its reply. What it changes of an organization's settings goes into its audit.
    pub(crate) fn decided<R>(mut self, reply: R) -> Result<Decision<R>, Error> {
        let newest = |org| org_audit::newest(&*self.state.world(org));
        org_audit::note(&mut self.writes, None, self.now, self.ids, newest)?;
        Ok(Decision { reply, writes: self.writes })
    }
}

/// The outcome of a command: a reply for the caller, and what to write before the caller gets it.
#[derive(Debug)]
pub struct Decision<R> {
    /// What the caller gets.
    pub reply: R,
    /// What to write: all of it, or nothing. Empty when the command changes nothing.
    pub writes: Vec<Write>,
}

/// Decides a command: checks that the actor may give it, then applies its rules. Nothing is written.
///
/// # Errors
/// [`Caller::CODES`] for the actor, then [`Command::CODES`]; `internal_error` when the state cannot be read.
pub fn decide<C: Command>(
    command: C,
    actor: &Actor,
    state: &dyn State,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<C::Reply>, Error> {
    let decided = C::Caller::decide(command, actor, state, now, ids);
    decided.inspect_err(|error| check_code::<C::Caller>(error, C::CODES, std::any::type_name::<C>()))
}

/// Answers a query: checks that the actor may ask it, then reads the world.
///
/// # Errors
/// [`Caller::CODES`] for the actor, then [`Query::CODES`]; `internal_error` when the state cannot be read.
pub fn ask<Q: Query>(query: &Q, actor: &Actor, state: &dyn State) -> Result<Q::Reply, Error> {
    let answered = Q::Caller::answer(query, actor, state);
    answered.inspect_err(|error| check_code::<Q::Caller>(error, Q::CODES, std::any::type_name::<Q>()))
}

/// As [`decide`], for a member's command on one organization: all that a program needs that stores organizations itself. What its
/// [`World`] does not implement says that there is none, so it may begin with members and incidents.
///
/// # Errors
/// As [`decide`]; `not_authorized` for a command that is not for members.
pub fn decide_in<C: Command>(
    command: C,
    user: UserId,
    world: &dyn World,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<C::Reply>, Error> {
    let decided = C::Caller::decide_in(command, user, world, now, ids);
    decided.inspect_err(|error| check_code::<C::Caller>(error, C::CODES, std::any::type_name::<C>()))
}

/// As [`ask`], for a member's query of one organization: see [`decide_in`].
///
/// # Errors
/// As [`ask`]; `not_authorized` for a query that is not for members.
pub fn ask_in<Q: Query>(query: &Q, user: UserId, world: &dyn World) -> Result<Q::Reply, Error> {
    let answered = Q::Caller::answer_in(query, user, world);
    answered.inspect_err(|error| check_code::<Q::Caller>(error, Q::CODES, std::any::type_name::<Q>()))
}

/// In debug builds, panics at a refusal with a code that the operation does not name: what routes and documents say would be
/// false.
// Invariant [codes-named].
fn check_code<C: Caller>(error: &Error, named: &[Code], operation: &str) {
    let code = error.code();
    let known = code == Code::Internal || named.contains(&code) || C::CODES.contains(&code);
    debug_assert!(known, "`{operation}` does not name the code `{code}`");
}
