//! Time as the actor: what is due fires.

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

/// Lets the run of one incident go on, if it is due. Nobody is the actor.
///
/// # Errors
/// Only when the world cannot be read.
pub fn fire_due(timer: &Timer, root: &dyn Root, now: Timestamp, ids: &mut IdSource) -> Result<Decision<Fired>, Error> {
    let world = root.organization(timer.org);
    let mut cx = Context::of_nobody(&*world, now, ids);
    let fired = if incident::let_time_pass(&mut cx, timer.incident)? { Fired::Yes } else { Fired::No };
    Ok(cx.decided(fired))
}
