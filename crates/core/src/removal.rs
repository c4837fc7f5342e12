//! Removals that take more than one decision (contract, sections 4 and 7): a schedule may have had thousands of rotations, and a member be in
//! thousands of layers.
//!
//! The command does at once what callers see of it, and a part of the rest. What is left is a [`Removal`]: a timer that is always due, and
//! each time that it goes on ([`crate::ticks`]) does another part. So no decision changes more than about a hundred of them, and what belongs to the schedule or the policy that it comes to last,
//! and others are decided in between.
//!
//! Nobody finds what is left. Everything asks for a schedule first; who has left the organization is paged no more, and whoever asks for the
//! layers of a schedule or a policy finds them as if everybody who leaves were out of them already.

use crate::command::Context;
use crate::error::Error;
use crate::escalation::leave_policies;
use crate::id::{OrgId, ScheduleId, UserId};
use crate::oncall::{clear, leave_schedules};
use crate::time::Timestamp;
use crate::world::{Change, Write};

/// The most rotations, orders and overrides that are deleted in one decision, and about the most layers that somebody leaves.
pub(crate) const AT_ONCE: usize = 100;

/// What is removed in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Removed {
    /// A deleted schedule: what its layers were, and its overrides.
    Schedule(ScheduleId),
    /// A former member: they leave rotations and policy layers, and their overrides end.
    Member(UserId),
}

impl Removed {
    /// The former member; `None` for anything else.
    pub(crate) const fn member(self) -> Option<UserId> {
        match self {
            Self::Member(user) => Some(user),
            Self::Schedule(_) => None,
        }
    }
}

/// What is left of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// What is removed.
    pub what: Removed,
    /// Who has removed it.
    pub by: UserId,
    /// When they have.
    pub since: Timestamp,
}

/// The removals of one organization that are not finished, as the rules see them. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait RemovalPort {
    /// What is left of a removal.
    fn removal(&self, what: Removed) -> Result<Option<Removal>, Error> {
        let _ = what;
        Ok(None)
    }
    /// The removals of members.
    fn leaving(&self) -> Result<Vec<Removal>, Error> {
        Ok(Vec::new())
    }
}

/// Notes that something of a removal is left.
pub(crate) fn begin(cx: &mut Context<'_>, what: Removed, by: UserId) {
    let removal = Removal { org_id: cx.world.org_id(), what, by, since: cx.now };
    cx.write(Write::Removal(Change::created(removal)));
}

/// Takes somebody who left at `since` out of some rotations and policy layers. Whether they are in no others.
pub(crate) fn leave(cx: &mut Context<'_>, user: UserId, since: Timestamp) -> Result<bool, Error> {
    match leave_schedules(cx, user, since, AT_ONCE)? {
        Some(most) => leave_policies(cx, user, most),
        None => Ok(false),
    }
}

/// Does another part of a removal.
pub(crate) fn go_on(cx: &mut Context<'_>, removal: Removal) -> Result<(), Error> {
    let is_done = match removal.what {
        Removed::Schedule(id) => clear(cx, id)?,
        Removed::Member(user) => leave(cx, user, removal.since)?,
    };
    if is_done {
        cx.write(Write::Removal(Change::gone(removal)));
    }
    Ok(())
}
