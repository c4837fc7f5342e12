//! The limits of the contract's section 11. Past one of them: `limit_reached`.

use crate::code::Code;
use crate::error::Error;

/// Members of an organization; a pending invitation holds a seat.
pub const MEMBERS: u32 = 10_000;
/// Components of an organization.
pub const COMPONENTS: u32 = 5_000;
/// API keys of an organization.
pub const API_KEYS: u32 = 1_000;
/// On-call schedules of an organization.
pub const SCHEDULES: u32 = 1_000;
/// Rotation layers of a schedule.
pub const LAYERS: u32 = 20;
/// Overrides of a schedule that are not yet over.
pub const OVERRIDES: u32 = 500;
/// Escalation policies of an organization.
pub const POLICIES: u32 = 1_000;
/// Layers of an escalation policy.
pub const POLICY_LAYERS: u32 = 20;
/// Components tagged on one incident.
pub const INCIDENT_COMPONENTS: usize = 100;
/// Updates of one incident. An update that changes the status is exempt: an incident can always be resolved.
pub const INCIDENT_UPDATES: u32 = 10_000;

/// Refuses the one that would be past the limit.
pub(crate) fn room_for_one(count: u32, limit: u32, what: &str) -> Result<(), Error> {
    if count < limit { Ok(()) } else { Err(reached(u64::from(limit), what)) }
}

pub(crate) fn reached(limit: u64, what: &str) -> Error {
    Error::refused(Code::LimitReached, format!("the limit of {limit} {what} is reached"))
}
