//! Commands and queries: what they are, and how one is decided.
//!
//! A command is a plain struct that says what somebody wants. Deciding it is a pure function of the world, the actor, the
//! instant and a source of ids; nothing is written by it. A [`Decision`] holds the reply and the [`Write`]s, and a refused
//! command leaves nothing behind. A query is the same without the writes.

use crate::actor::{Access, Actor, authorize};
use crate::code::Code;
use crate::error::Error;
use crate::id::UserId;
use crate::id::{IdSource, OrgId};
use crate::organization::Role;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::world::{Root, Tally, World, Write};

/// Something that somebody wants done.
pub trait Command: Send + 'static {
    /// What the actor gets when it is done.
    type Reply: Send + 'static;

    /// What is asked of the actor.
    const ACCESS: Access;

    /// In which organization it happens: by default the actor's own.
    ///
    /// # Errors
    /// Those of looking for it: see the command.
    fn place(&self, actor: &Actor, root: &dyn Root, now: Timestamp, ids: &mut IdSource) -> Result<OrgId, Error> {
        let _ = (root, now, ids);
        actor.organization()
    }

    /// Applies the rules.
    ///
    /// # Errors
    /// The codes that the command names, in its order of checks; `internal_error` when the world cannot be read.
    fn decide(self, cx: &mut Context<'_>) -> Result<Self::Reply, Error>;
}

/// Something that somebody wants to know.
pub trait Query {
    /// The answer.
    type Reply;

    /// What is asked of the actor.
    const ACCESS: Access;

    /// Answers from the world.
    ///
    /// # Errors
    /// The codes that the query names; `internal_error` when the world cannot be read.
    fn answer(&self, view: &View<'_>) -> Result<Self::Reply, Error>;
}

/// What a query is answered from.
pub struct View<'a> {
    /// The actor's organization.
    pub world: &'a dyn World,
    /// The member who asks.
    pub me: UserId,
}

/// What a command is decided from, and what it has decided so far.
pub struct Context<'a> {
    /// The organization in which the command happens.
    pub world: &'a dyn World,
    /// The instant at which it happens.
    pub now: Timestamp,
    /// Where new ids come from.
    pub ids: &'a mut IdSource,
    me: Option<UserId>,
    writes: Vec<Write>,
}

impl<'a> Context<'a> {
    /// For what happens without a member: time passes, a notification is delivered.
    pub(crate) fn of_nobody(world: &'a dyn World, now: Timestamp, ids: &'a mut IdSource) -> Self {
        Self { world, now, ids, me: None, writes: Vec::new() }
    }

    /// Ends the decision.
    pub(crate) fn decided<R>(self, reply: R) -> Decision<R> {
        Decision { reply, writes: self.writes }
    }
}

impl Context<'_> {
    /// The member who acts.
    ///
    /// # Errors
    /// `internal_error` in a command that needs no member.
    pub(crate) fn me(&self) -> Result<UserId, Error> {
        self.me.ok_or_else(|| Error::broken("a command without a member asked for one"))
    }

    /// Adds a change to the decision.
    pub(crate) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Adds a change of the counts to the decision, unless it would pass a limit. A command calls it once at most.
    pub(crate) fn count(&mut self, change: impl FnOnce(&mut Tally) -> Result<(), Error>) -> Result<Tally, Error> {
        let before = self.world.tally()?;
        let mut after = before;
        change(&mut after)?;
        self.write(Write::Tally(crate::world::Change::edited(before, after)));
        Ok(after)
    }
}

/// What a command comes to: a reply for the actor, and what to write before they get it.
#[derive(Debug)]
pub struct Decision<R> {
    /// For the actor.
    pub reply: R,
    /// All of it, or nothing. Empty when the command changes nothing.
    pub writes: Vec<Write>,
}

/// Decides a command: finds its organization, checks the actor, applies the rules.
///
/// # Errors
/// `invalid_api_key` or `not_authorized` for the actor, then those of the command.
pub fn decide<C: Command>(
    command: C,
    actor: &Actor,
    root: &dyn Root,
    now: Timestamp,
    ids: &mut IdSource,
) -> Result<Decision<C::Reply>, Error> {
    let org = command.place(actor, root, now, ids)?;
    let world = root.organization(org);
    let me = authorize(C::ACCESS, actor, &*world)?;
    let mut cx = Context { world: &*world, now, ids, me, writes: Vec::new() };
    let reply = command.decide(&mut cx)?;
    Ok(cx.decided(reply))
}

/// Answers a query: checks the actor, reads the world.
///
/// # Errors
/// `invalid_api_key` or `not_authorized` for the actor, then those of the query.
pub fn ask<Q: Query>(query: &Q, actor: &Actor, root: &dyn Root) -> Result<Q::Reply, Error> {
    let world = root.organization(actor.organization()?);
    let me = authorize(Q::ACCESS, actor, &*world)?.ok_or_else(|| Error::broken("a query without a member"))?;
    query.answer(&View { world: &*world, me })
}

/// Checks that an actor may do what asks for such access, without doing it.
///
/// # Errors
/// `invalid_api_key` when the user is no longer a member, `not_authorized` when the role is too low.
pub fn permit(access: Access, actor: &Actor, root: &dyn Root) -> Result<(), Error> {
    match actor.organization() {
        Ok(org) => authorize(access, actor, &*root.organization(org)).map(|_| ()),
        Err(_) if access == Access::Public => Ok(()),
        Err(refused) => Err(refused),
    }
}

/// An admin of an organization, for tools of the operator that look at it: the one who joined first.
///
/// # Errors
/// `not_found` when there is no such organization.
pub fn first_admin(org: OrgId, root: &dyn Root) -> Result<Actor, Error> {
    let members = root.organization(org).members()?;
    let admin = members.iter().find(|member| member.role == Role::Admin);
    admin.map(|admin| Actor::member(org, admin.id)).ok_or_else(|| Error::not_found("organization"))
}

/// Finds out who presents an API key.
///
/// # Errors
/// `invalid_api_key` when the key is unknown, revoked or expired, or its user is no longer a member; one cannot be told
/// from another.
pub fn authenticate(key: &Secret, root: &dyn Root, now: Timestamp) -> Result<Actor, Error> {
    let refused = || Error::refused(Code::InvalidApiKey, "the API key is not valid");
    let holder = root.key_holder(key.hash())?.ok_or_else(refused)?;
    if holder.expires_at.is_some_and(|end| end <= now) {
        return Err(refused());
    }
    if !root.organization(holder.org).is_member(holder.user)? {
        return Err(refused());
    }
    Ok(Actor::member(holder.org, holder.user))
}
