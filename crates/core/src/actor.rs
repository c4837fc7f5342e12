//! Who asks, and whether they may (contract, sections 2 and 4).

use crate::checks;
use crate::code::Code;
use crate::error::Error;
use crate::id::{OrgId, UserId};
use crate::world::World;

/// Who makes a command or query.
///
/// A member acts in exactly one organization: nothing of another one can be seen, named or changed through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A member of an organization, usually from [`authenticate`](crate::authenticate).
    Member {
        /// The organization in which the member acts.
        org: OrgId,
        /// Who it is.
        user: UserId,
    },
    /// Whoever holds the data folder: creates organizations and their first members.
    Operator,
    /// Nobody in particular: may only accept an invitation.
    Public,
}

impl Actor {
    /// A member of an organization.
    #[must_use]
    pub const fn member(org: OrgId, user: UserId) -> Self {
        Self::Member { org, user }
    }

    /// The organization of a member.
    ///
    /// # Errors
    /// `not_authorized` when the actor is not a member.
    pub(crate) fn organization(&self) -> Result<OrgId, Error> {
        match self {
            Self::Member { org, .. } => Ok(*org),
            Self::Operator | Self::Public => Err(not_authorized("this needs a member of an organization")),
        }
    }
}

/// What an operation asks of its actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Anybody, also without an organization.
    Public,
    /// Any member.
    Member,
    /// A member with the role `org:admin`.
    Admin,
    /// The operator.
    Operator,
}

/// Checks that the actor may; gives the user who acts, if it is one.
///
/// # Errors
/// `invalid_api_key` when the user is no longer a member, `not_authorized` when the role is too low.
pub(crate) fn authorize(access: Access, actor: &Actor, world: &dyn World) -> Result<Option<UserId>, Error> {
    let me = match actor {
        Actor::Member { org, user } if *org == world.org_id() => {
            if !world.is_member(*user)? {
                return Err(Error::refused(Code::InvalidApiKey, "the user is not a member"));
            }
            Some(*user)
        }
        _ => None,
    };
    let permitted = match access {
        Access::Public => true,
        Access::Member => me.is_some(),
        Access::Admin => match me {
            Some(me) if !checks::is_admin(world, me)? => {
                return Err(not_authorized("this needs the role `org:admin`"));
            }
            me => me.is_some(),
        },
        Access::Operator => *actor == Actor::Operator,
    };
    if permitted { Ok(me) } else { Err(not_authorized("this actor may not do that")) }
}

fn not_authorized(message: &str) -> Error {
    Error::refused(Code::NotAuthorized, message)
}
