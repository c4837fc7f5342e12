//! All routes, one file per resource. A route parses, names a command or query, and renders; no rule lives here.

mod escalation;
mod incidents;
mod oncall;
mod team;

use crate::route::Route;

/// The whole table.
pub(crate) fn table() -> Vec<Route> {
    let mut routes = team::routes();
    routes.extend(incidents::routes());
    routes.extend(oncall::routes());
    routes.extend(escalation::routes());
    routes
}
