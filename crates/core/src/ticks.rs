//! Timers: escalation runs that wait for an instant, and what happens when it comes (contract, section 9).
//!
//! A run that waits for somebody to acknowledge is a [`Timer`]. There is no clock here: whoever embeds the engine says what
//! time it is, the timers due by then are read through the [`TickPort`], and [`fire_due`] lets each of their runs go on. Time
//! is the actor then: the events in the audit trail have no `actorId`.
//!
//! What a run does when it goes on is in [`crate::escalation`]; how a page reaches somebody is in [`crate::outbox`].

use crate::command::{Context, Decision};
use crate::error::Error;
use crate::escalation::Lookups;
use crate::id::{IdSource, IncidentId, OrgId};
use crate::incident;
use crate::time::Timestamp;
use crate::world::State;

/// An escalation run that waits, and the instant at which it goes on. Timers sort by that instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    /// When the next layer of the policy fires.
    pub due: Timestamp,
    /// The organization of the incident.
    pub org_id: OrgId,
    /// The incident that the run belongs to.
    pub incident_id: IncidentId,
}

/// The timers of all organizations. Read only.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
///
/// A program that stores only a part of all this implements what it stores: the rest says that there is none.
pub trait TickPort {
    /// The timers due at `now` or earlier, in their order (earliest first): those behind `after`, or from the first on with
    /// `None`; at most `limit`.
    fn timers_due(&self, now: Timestamp, after: Option<&Timer>, limit: usize) -> Result<Vec<Timer>, Error> {
        let _ = (now, after, limit);
        Ok(Vec::new())
    }
    /// The instant at which the earliest timer is due; `None` when no run waits.
    fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        Ok(None)
    }
}

/// What came of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fired {
    /// The run went on: the next layer was paged, or there was none and the run is exhausted.
    Yes,
    /// Nothing was due: since the timer was read, the run has gone on, or the incident was acknowledged, handed off or
    /// resolved.
    No,
}

/// Lets the run of one incident go on, if it is due at the instant of the lookups. The audit events that it causes have no
/// actor.
///
/// The same [`Lookups`] serve for all timers that are fired for one instant, as long as nothing else is written meanwhile.
///
/// # Errors
/// [`Error::Broken`] when the store cannot be read; no other.
pub fn fire_due(
    timer: &Timer,
    state: &dyn State,
    lookups: &mut Lookups,
    ids: &mut IdSource,
) -> Result<Decision<Fired>, Error> {
    let world = state.world(timer.org_id);
    let mut cx = Context::new(&*world, lookups.now(), ids);
    let fired = if incident::let_time_pass(&mut cx, timer.incident_id, lookups)? { Fired::Yes } else { Fired::No };
    cx.decided(fired)
}
