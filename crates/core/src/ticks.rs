//! Timers: what waits for an instant, and what happens when it comes (contract, sections 7, 9, 13 and 14).
//!
//! A run that waits for somebody to acknowledge, a maintenance that waits for its beginning or its end, a group of alerts that waits before its
//! incident is opened or resolved, a heartbeat that waits for the next beat, and a removal of which something is left are [`Timer`]s. There is no clock here: whoever embeds the
//! engine says what time it is, the timers due by then are read through the [`TickPort`], and [`fire_due`] lets each go on. Time
//! is the actor then: the events in the audit trail have no `actorId`, but for what an integration does.
//!
//! What a run does when it goes on is in [`crate::escalation`], what a maintenance does in [`crate::status_page`], what groups and
//! heartbeats do in [`crate::integration`], what a removal does in [`crate::removal`]; how a page reaches somebody is in [`crate::outbox`].

use crate::command::{Context, Decision};
use crate::error::Error;
use crate::escalation::Lookups;
use crate::id::{IdSource, IncidentId, IntegrationId, MaintenanceId, OrgId, StatusPageId};
use crate::incident;
use crate::integration::{self, AlertKey};
use crate::removal::{self, Removed};
use crate::status_page;
use crate::time::Timestamp;
use crate::world::State;

/// What waits for an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Waiting {
    /// The escalation run of an incident: the next layer of its policy fires.
    Run(IncidentId),
    /// A removal: another part of it is done. It is always due.
    Removal(Removed),
    /// A heartbeat: a beat is missed.
    Heartbeat(IntegrationId),
    /// The newest group of an integration with a key: its incident is opened, or resolved.
    AlertGroup(IntegrationId, AlertKey),
    /// A maintenance of a status page: it begins, or is over.
    Maintenance(StatusPageId, MaintenanceId),
}

/// Something that waits, and the instant at which it goes on. Timers sort by that instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    /// When it goes on.
    pub due: Timestamp,
    /// The organization that it belongs to.
    pub org_id: OrgId,
    /// What waits.
    pub waiting: Waiting,
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
    /// The instant at which the earliest timer is due; `None` when nothing waits.
    fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        Ok(None)
    }
}

/// What came of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fired {
    /// It went on: the next layer was paged, or there was none and the run is exhausted; the maintenance began, or is over; an incident was
    /// opened or resolved; a part of a removal was done.
    Yes,
    /// Nothing was due: since the timer was read, it has gone on, or was changed.
    No,
}

/// Lets one thing go on that waits, if it is due at the instant of the lookups. What it causes has no actor.
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
    let fired = match timer.waiting {
        Waiting::Run(incident) => incident::let_time_pass(&mut cx, incident, lookups)?,
        Waiting::Maintenance(page, maintenance) => status_page::let_time_pass(&mut cx, page, maintenance)?,
        Waiting::AlertGroup(integration, key) => integration::let_time_pass(&mut cx, integration, key)?,
        Waiting::Heartbeat(integration) => integration::fall_silent(&mut cx, integration)?,
        Waiting::Removal(what) => {
            let Some(removal) = cx.world.removal(what)? else { return cx.decided(Fired::No) };
            removal::go_on(&mut cx, removal)?;
            return cx.decided_by(removal.by, Fired::Yes);
        }
    };
    cx.decided(if fired { Fired::Yes } else { Fired::No })
}
