//! Time as the actor: what is due fires.

use super::Lookups;
use crate::command::{Context, Decision};
use crate::error::Error;
use crate::id::{IdSource, IncidentId, OrgId};
use crate::incident;
use crate::time::Timestamp;
use crate::world::Root;

/// A run that waits, and until when. Timers sort by the instant at which they are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    /// When the next layer fires.
    pub due: Timestamp,
    /// The organization of the incident.
    pub org: OrgId,
    /// The incident.
    pub incident: IncidentId,
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
    root: &dyn Root,
    lookups: &mut Lookups,
    ids: &mut IdSource,
) -> Result<Decision<Fired>, Error> {
    let world = root.organization(timer.org);
    let mut cx = Context::of_nobody(&*world, lookups.now(), ids);
    let fired = if incident::let_time_pass(&mut cx, timer.incident, lookups)? { Fired::Yes } else { Fired::No };
    Ok(cx.decided(fired))
}
