//! Who gives a command or asks a query, and whether they may (contract, sections 2 and 4).
//!
//! An [`Actor`] is whoever calls, known only when the program runs. A command or query names in its type what kind of
//! [`Caller`] it takes: [`ByMember`], [`ByAdmin`], [`ByOperator`] or [`ByAnybody`]. Admitting an actor ([`Caller::admit`])
//! makes the caller, and the caller has what its kind has, so no rule asks for what may be missing. [`authenticate`] finds the
//! actor who holds an API key.
//!
//! ```
//! use dogwatch_core::caller::{ByAdmin, Caller, CallerKind};
//! use dogwatch_core::Command;
//! use dogwatch_core::incident::CreateIncident;
//! use dogwatch_core::team::InviteMember;
//!
//! fn kind<C: Command>() -> CallerKind {
//!     C::Caller::KIND
//! }
//! assert_eq!(kind::<CreateIncident>(), CallerKind::Member);
//! assert_eq!(kind::<InviteMember>(), CallerKind::Admin);
//! ```

use crate::api_key::KeyHolder;
use crate::code::Code;
use crate::command::{Command, Context, Decision, GlobalContext, GlobalView, Query, View};
use crate::error::Error;
use crate::id::{IdSource, OrgId, UserId};
use crate::membership::is_admin;
use crate::secret::Secret;
use crate::team::Role;
use crate::text::ExternalId;
use crate::time::Timestamp;
use crate::world::{State, World};

/// Whoever gives a command or asks a query.
///
/// A member acts in exactly one organization: nothing of another one can be seen, named or changed through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A member of an organization, usually from [`authenticate`].
    Member {
        /// The organization in which the member acts.
        org_id: OrgId,
        /// The member's user id.
        user_id: UserId,
    },
    /// Whoever holds the data folder: creates organizations and their first members.
    Operator,
    /// Nobody in particular: may do what needs no membership, such as accepting an invitation.
    Anybody,
}

impl Actor {
    /// A member of an organization. Whether they are one is checked with each command and query.
    #[must_use]
    pub const fn member(org: OrgId, user: UserId) -> Self {
        Self::Member { org_id: org, user_id: user }
    }
}

/// The kinds of callers, for documents and for adapters that list what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// Anybody, with or without an organization.
    Anybody,
    /// Any member of an organization.
    Member,
    /// A member with the role `org:admin`.
    Admin,
    /// The operator, who holds the data folder.
    Operator,
}

mod sealed {
    pub trait SealedCaller {}
    impl SealedCaller for super::ByMember {}
    impl SealedCaller for super::ByAdmin {}
    impl SealedCaller for super::ByOperator {}
    impl SealedCaller for super::ByAnybody {}
}

/// Somebody who may give a command or ask a query, by kind. Sealed: these four are all there are.
pub trait Caller: sealed::SealedCaller + Copy + Send + Sync + 'static {
    /// The kind of caller.
    const KIND: CallerKind;
    /// The codes with which an actor is refused.
    const CODES: &'static [Code];
    /// What a command of such a caller is decided from.
    type Context<'a>;
    /// What a query of such a caller is answered from.
    type View<'a>;

    /// The caller that an actor is, or a refusal.
    ///
    /// # Errors
    /// [`Caller::CODES`]; `internal_error` when the state cannot be read.
    fn admit(actor: &Actor, state: &dyn State) -> Result<Self, Error>;

    /// Admits the actor, and applies the command's rules.
    ///
    /// # Errors
    /// [`Caller::CODES`], then [`Command::CODES`].
    #[doc(hidden)]
    fn decide<C: Command<Caller = Self>>(
        command: C,
        actor: &Actor,
        state: &dyn State,
        now: Timestamp,
        ids: &mut IdSource,
    ) -> Result<Decision<C::Reply>, Error>;

    /// Admits the actor, and answers the query.
    ///
    /// # Errors
    /// [`Caller::CODES`], then [`Query::CODES`].
    #[doc(hidden)]
    fn answer<Q: Query<Caller = Self>>(query: &Q, actor: &Actor, state: &dyn State) -> Result<Q::Reply, Error>;

    /// As [`Caller::decide`], within one organization, by one of its users.
    #[doc(hidden)]
    fn decide_in<C: Command<Caller = Self>>(
        command: C,
        user: UserId,
        world: &dyn World,
        now: Timestamp,
        ids: &mut IdSource,
    ) -> Result<Decision<C::Reply>, Error>;

    /// As [`Caller::answer`], within one organization, by one of its users.
    #[doc(hidden)]
    fn answer_in<Q: Query<Caller = Self>>(query: &Q, user: UserId, world: &dyn World) -> Result<Q::Reply, Error>;
}

/// A member of an organization, with any role. A former member is refused with `invalid_api_key`, any other actor with
/// `not_authorized`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByMember {
    /// The member's user id.
    pub user_id: UserId,
}

/// A member with the role `org:admin`. A former member is refused with `invalid_api_key`, any other actor with
/// `not_authorized`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByAdmin {
    /// The admin's user id.
    pub user_id: UserId,
}

/// The operator, who holds the data folder. Anybody else is refused with `not_authorized`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByOperator;

/// Anybody, known or not. Nobody is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByAnybody;

/// The world of a member's organization, and the user. Codes: `not_authorized` for an actor of another kind.
fn within<'a>(actor: &Actor, state: &'a dyn State) -> Result<(Box<dyn World + 'a>, UserId), Error> {
    match *actor {
        Actor::Member { org_id, user_id } => Ok((state.world(org_id), user_id)),
        Actor::Operator | Actor::Anybody => Err(not_authorized("this needs a member of an organization")),
    }
}

/// Admits a user who is a member of the organization now. Code: `invalid_api_key`.
fn member(user: UserId, world: &dyn World) -> Result<(), Error> {
    if world.is_member(user)? { Ok(()) } else { Err(Error::refused(Code::InvalidApiKey, "the user is not a member")) }
}

/// As [`member`], for a member who is an admin; any other is `not_authorized`.
fn admin(user: UserId, world: &dyn World) -> Result<(), Error> {
    member(user, world)?;
    if is_admin(world, user)? { Ok(()) } else { Err(not_authorized("this needs the role `org:admin`")) }
}

fn not_authorized(message: &str) -> Error {
    Error::refused(Code::NotAuthorized, message)
}

/// Implements [`Caller`] for those who act within their organization.
macro_rules! within_an_organization {
    ($($caller:ident, $kind:ident, $let_in:ident;)*) => {$(
        impl Caller for $caller {
            const KIND: CallerKind = CallerKind::$kind;
            const CODES: &'static [Code] = &[Code::InvalidApiKey, Code::NotAuthorized];
            type Context<'a> = Context<'a>;
            type View<'a> = View<'a>;

            fn admit(actor: &Actor, state: &dyn State) -> Result<Self, Error> {
                let (world, user_id) = within(actor, state)?;
                $let_in(user_id, &*world).map(|()| Self { user_id })
            }

            fn decide<C: Command<Caller = Self>>(
                command: C,
                actor: &Actor,
                state: &dyn State,
                now: Timestamp,
                ids: &mut IdSource,
            ) -> Result<Decision<C::Reply>, Error> {
                let (world, user_id) = within(actor, state)?;
                Self::decide_in(command, user_id, &*world, now, ids)
            }

            fn answer<Q: Query<Caller = Self>>(query: &Q, actor: &Actor, state: &dyn State) -> Result<Q::Reply, Error> {
                let (world, user_id) = within(actor, state)?;
                Self::answer_in(query, user_id, &*world)
            }

            fn decide_in<C: Command<Caller = Self>>(
                command: C,
                user_id: UserId,
                world: &dyn World,
                now: Timestamp,
                ids: &mut IdSource,
            ) -> Result<Decision<C::Reply>, Error> {
                $let_in(user_id, world)?;
                let mut cx = Context::new(world, now, ids);
                let reply = command.decide(Self { user_id }, &mut cx)?;
                cx.decided_by(user_id, reply)
            }

            fn answer_in<Q: Query<Caller = Self>>(query: &Q, user_id: UserId, world: &dyn World) -> Result<Q::Reply, Error> {
                $let_in(user_id, world)?;
                query.answer(Self { user_id }, &View { world })
            }
        }
    )*};
}

within_an_organization! {
    ByMember, Member, member;
    ByAdmin, Admin, admin;
}

/// Implements [`Caller`] for those who belong to no organization.
macro_rules! without_an_organization {
    ($($caller:ident, $kind:ident, $codes:expr, $may:expr;)*) => {$(
        impl Caller for $caller {
            const KIND: CallerKind = CallerKind::$kind;
            const CODES: &'static [Code] = $codes;
            type Context<'a> = GlobalContext<'a>;
            type View<'a> = GlobalView<'a>;

            fn admit(actor: &Actor, _: &dyn State) -> Result<Self, Error> {
                let may: fn(&Actor) -> bool = $may;
                if may(actor) { Ok(Self) } else { Err(not_authorized("this actor may not do that")) }
            }

            fn decide<C: Command<Caller = Self>>(
                command: C,
                actor: &Actor,
                state: &dyn State,
                now: Timestamp,
                ids: &mut IdSource,
            ) -> Result<Decision<C::Reply>, Error> {
                let by = Self::admit(actor, state)?;
                let mut cx = GlobalContext::new(state, now, ids);
                let reply = command.decide(by, &mut cx)?;
                cx.decided(reply)
            }

            fn answer<Q: Query<Caller = Self>>(query: &Q, actor: &Actor, state: &dyn State) -> Result<Q::Reply, Error> {
                query.answer(Self::admit(actor, state)?, &GlobalView::new(state))
            }

            fn decide_in<C: Command<Caller = Self>>(
                _: C,
                _: UserId,
                _: &dyn World,
                _: Timestamp,
                _: &mut IdSource,
            ) -> Result<Decision<C::Reply>, Error> {
                Err(not_authorized("this is not for a member of an organization"))
            }

            fn answer_in<Q: Query<Caller = Self>>(_: &Q, _: UserId, _: &dyn World) -> Result<Q::Reply, Error> {
                Err(not_authorized("this is not for a member of an organization"))
            }
        }
    )*};
}

without_an_organization! {
    ByOperator, Operator, &[Code::NotAuthorized], |actor| *actor == Actor::Operator;
    ByAnybody, Anybody, &[], |_| true;
}

/// The member whom an embedding program knows by its own names for organization and member.
///
/// # Errors
/// `not_found` when there is no such organization or no such member in it; `internal_error` when the state cannot be read.
pub fn external_actor(organization: &ExternalId, member: &ExternalId, state: &dyn State) -> Result<Actor, Error> {
    let unknown = |what| Error::refused(Code::NotFound, format!("no {what} with this external id"));
    let org = state.organization_with(organization)?.ok_or_else(|| unknown("organization"))?;
    let user = state.world(org).member_with(member)?.ok_or_else(|| unknown("member"))?;
    Ok(Actor::member(org, user))
}

/// The admin of an organization who joined first, as an actor. Tools of the operator look at an organization as that admin
/// (contract, section 16).
///
/// # Errors
/// `not_found` when there is no such organization, or it has no admin; `internal_error` when the state cannot be read.
pub fn first_admin(org: OrgId, state: &dyn State) -> Result<Actor, Error> {
    let members = state.world(org).members()?;
    let admin = members.iter().find(|member| member.role == Role::Admin);
    admin.map(|admin| Actor::member(org, admin.id)).ok_or_else(|| Error::not_found("organization"))
}

/// The actor who holds an API key (contract, section 2).
///
/// # Errors
/// `invalid_api_key` when the key is unknown, revoked or expired, or its user is no longer a member; one cannot be told from
/// another.
pub fn authenticate(key: &Secret, state: &dyn State, now: Timestamp) -> Result<Actor, Error> {
    key_holder(key, state, now).map(|holder| holder.actor())
}

/// As [`authenticate`], and which key it is.
///
/// # Errors
/// As [`authenticate`].
pub fn key_holder(key: &Secret, state: &dyn State, now: Timestamp) -> Result<KeyHolder, Error> {
    let refused = || Error::refused(Code::InvalidApiKey, "the API key is not valid");
    let holder = state.key_holder(key.hash())?.ok_or_else(refused)?;
    if holder.expires_at.is_some_and(|end| end <= now) {
        return Err(refused());
    }
    if !state.world(holder.org_id).is_member(holder.user_id)? {
        return Err(refused());
    }
    Ok(holder)
}
