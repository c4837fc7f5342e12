//! Removals that take more than one decision (contract, section 7): a schedule may have had thousands of rotations.
//!
//! The command that deletes one does at once what callers see of it, and a part of the rest. What is left is a [`Removal`]: a timer that is always due, and
//! each time that it goes on ([`crate::ticks`]) does another part. So no decision deletes more than a hundred of them, and others are decided in between.
//! Nobody finds what is left, for everything asks for the schedule first.

use crate::command::Context;
use crate::error::Error;
use crate::id::{OrgId, ScheduleId, UserId};
use crate::oncall::clear;
use crate::time::Timestamp;
use crate::world::{Change, Write};

/// The most rotations, orders and overrides that are deleted in one decision.
pub(crate) const AT_ONCE: usize = 100;

/// What is removed in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Removed {
    /// A deleted schedule: what its layers were, and its overrides.
    Schedule(ScheduleId),
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
}

/// Notes that something of a removal is left.
pub(crate) fn begin(cx: &mut Context<'_>, what: Removed, by: UserId) {
    let removal = Removal { org_id: cx.world.org_id(), what, by, since: cx.now };
    cx.write(Write::Removal(Change::created(removal)));
}

/// Does another part of a removal.
pub(crate) fn go_on(cx: &mut Context<'_>, removal: Removal) -> Result<(), Error> {
    let Removed::Schedule(id) = removal.what;
    if clear(cx, id)? {
        cx.write(Write::Removal(Change::gone(removal)));
    }
    Ok(())
}
