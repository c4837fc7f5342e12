//! Checks that several rooms share: a name that must be free, a limit that must not be passed, users who must be members.

use std::fmt::Display;

use crate::code::Code;
use crate::error::Error;
use crate::id::UserId;
use crate::organization::Role;
use crate::world::World;

/// Refuses, with `name_conflict`, a name that another holds. `own` is the id of whatever shall have the name, if it exists;
/// `what` says what it is: "component".
pub(crate) fn name_is_free<I: PartialEq>(
    holder: Option<I>,
    own: Option<I>,
    what: &str,
    name: &impl Display,
) -> Result<(), Error> {
    match holder {
        Some(holder) if Some(&holder) != own.as_ref() => {
            Err(Error::refused(Code::NameConflict, format!("another {what} is named `{name}`")))
        }
        _ => Ok(()),
    }
}

/// Refuses, with `limit_reached`, one more than the limit allows. `what` says of what: "components".
pub(crate) fn room_for_one(count: usize, limit: u32, what: &str) -> Result<(), Error> {
    let fits = u32::try_from(count).is_ok_and(|count| count < limit);
    if fits { Ok(()) } else { Err(limit_reached(limit, what)) }
}

/// Counts one more, or refuses it with `limit_reached` when the limit is reached. `what` says of what: "components".
pub(crate) fn one_more(count: &mut u32, limit: u32, what: &str) -> Result<(), Error> {
    room_for_one(usize::try_from(*count).unwrap_or(usize::MAX), limit, what)?;
    *count += 1;
    Ok(())
}

/// The refusal past a limit.
pub(crate) fn limit_reached(limit: u32, what: &str) -> Error {
    Error::refused(Code::LimitReached, format!("the limit of {limit} {what} is reached"))
}

/// Whether the user is an admin of the organization now.
pub(crate) fn is_admin(world: &dyn World, user: UserId) -> Result<bool, Error> {
    Ok(world.member(user)?.is_some_and(|member| member.is_active() && member.role == Role::Admin))
}

/// Refuses, with the code, the first user who is not a member of the organization now.
pub(crate) fn are_members<'a>(
    world: &dyn World,
    users: impl IntoIterator<Item = &'a UserId>,
    code: Code,
) -> Result<(), Error> {
    for user in users {
        if !world.is_member(*user)? {
            return Err(Error::refused(code, format!("`{user}` is not a member")));
        }
    }
    Ok(())
}
