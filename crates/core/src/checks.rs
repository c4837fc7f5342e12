//! Checks that several modules share: that a name is free, and that a limit of the contract's section 11 is kept.

use std::fmt::Display;
use std::time::Duration;

use crate::code::Code;
use crate::error::Error;
use crate::time::Timestamp;

/// Refuses a name that something else has, with `name_conflict`.
///
/// `holder` is the id of what has the name now; `own` is the id of what shall get it, if that exists already. `what` is the
/// word for it in the message: "component".
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

/// Refuses one more, with `limit_reached`, when there are `limit` already. `what` is the word for them in the message:
/// "components".
pub(crate) fn room_for_one(count: usize, limit: u32, what: &str) -> Result<(), Error> {
    let fits = u32::try_from(count).is_ok_and(|count| count < limit);
    if fits { Ok(()) } else { Err(limit_reached(limit, what)) }
}

/// Counts one more, or refuses it as [`room_for_one`] does.
pub(crate) fn one_more(count: &mut u32, limit: u32, what: &str) -> Result<(), Error> {
    room_for_one(usize::try_from(*count).unwrap_or(usize::MAX), limit, what)?;
    *count += 1;
    Ok(())
}

/// The refusal of one more than a limit allows: `limit_reached`.
pub(crate) fn limit_reached(limit: u32, what: &str) -> Error {
    Error::refused(Code::LimitReached, format!("the limit of {limit} {what} is reached"))
}

/// The time between two tests of one thing.
const BETWEEN_TESTS: Duration = Duration::from_secs(60);

/// Refuses a test so soon after the last with `too_many_requests`. A clock that jumped back refuses none. `what` is the word for what is
/// tested: "webhook".
pub(crate) fn not_tested_lately(now: Timestamp, last: Option<Timestamp>, what: &str) -> Result<(), Error> {
    match last {
        Some(last) if last <= now && now < last.plus(BETWEEN_TESTS) => {
            Err(Error::refused(Code::TooManyRequests, format!("a {what} is tested once a minute at most")))
        }
        _ => Ok(()),
    }
}

/// Refuses an external id that is taken: `name_conflict`.
pub(crate) fn external_is_free(taken: bool) -> Result<(), Error> {
    if taken { Err(Error::refused(Code::NameConflict, "the external id is taken")) } else { Ok(()) }
}
