//! Time as the actor: what is due fires.

use crate::command::{Context, Decision};
use crate::error::Error;
use crate::escalation::Lookups;
use crate::id::{IdSource, IncidentId, OrgId};
use crate::incident;
use crate::time::Timestamp;
use crate::world::State;

/// A run that waits, and until when. Timers sort by the instant at which they are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    /// When the next layer fires.
    pub due: Timestamp,
    /// The organization of the incident.
    pub org_id: OrgId,
    /// The incident.
    pub incident_id: IncidentId,
}

/// What waits for an instant, over all organizations.
///
/// Every method fails only with [`Error::Broken`], when the store cannot be read.
pub trait TickPort {
    /// Timers that are due at an instant, earliest first, beginning behind `after`, at most `limit`.
    fn timers_due(&self, now: Timestamp, after: Option<&Timer>, limit: usize) -> Result<Vec<Timer>, Error>;
    /// When the first timer of all is due.
    fn next_due(&self) -> Result<Option<Timestamp>, Error>;
}

/// What a timer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fired {
    /// The run went on: a layer was paged, or it is exhausted now.
    Yes,
    /// Nothing was due any more.
    No,
}

/// Lets the run of one incident go on, if it is due at the instant of the lookups. Nobody is the actor.
///
/// The same [`Lookups`] serve for all timers that are fired for one instant, as long as nothing else is written meanwhile.
///
/// # Errors
/// Only when the world cannot be read.
pub fn fire_due(
    timer: &Timer,
    state: &dyn State,
    lookups: &mut Lookups,
    ids: &mut IdSource,
) -> Result<Decision<Fired>, Error> {
    let world = state.world(timer.org_id);
    let mut cx = Context::new(&*world, lookups.now(), ids);
    let fired = if incident::let_time_pass(&mut cx, timer.incident_id, lookups)? { Fired::Yes } else { Fired::No };
    Ok(cx.decided(fired))
}
