//! Checks that several rooms share: a name that must be free, a limit that must not be passed.

use std::fmt::Display;

use crate::code::Code;
use crate::error::Error;

/// Refuses, with `name_conflict`, a name that another holds. `own` is the id of whatever shall have the name, if it exists;
/// `what` says what it is: "component".
pub(crate) fn name_is_free<I: Copy + PartialEq>(
    holder: Option<I>,
    own: Option<I>,
    what: &str,
    name: &impl Display,
) -> Result<(), Error> {
    match holder {
        Some(holder) if Some(holder) != own => {
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
