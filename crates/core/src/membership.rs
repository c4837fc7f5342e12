//! Questions about members that several modules ask.

use crate::code::Code;
use crate::error::Error;
use crate::id::UserId;
use crate::team::{Role, TeamPort};

/// Whether the user is a member of the organization now, with the role `org:admin`.
pub(crate) fn is_admin<T: TeamPort + ?Sized>(team: &T, user: UserId) -> Result<bool, Error> {
    Ok(team.member(user)?.is_some_and(|member| member.is_active() && member.role == Role::Admin))
}

/// Refuses, with `code`, the first of the users who is not a member of the organization now.
pub(crate) fn are_members<'a, T: TeamPort + ?Sized>(
    team: &T,
    users: impl IntoIterator<Item = &'a UserId>,
    code: Code,
) -> Result<(), Error> {
    for user in users {
        if !team.is_member(*user)? {
            return Err(Error::refused(code, format!("`{user}` is not a member")));
        }
    }
    Ok(())
}
