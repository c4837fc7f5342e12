//! The resources over HTTP, one file a room: its routes and the shapes of its replies. A route parses, names a command or query,
//! and renders; no rule lives here.

mod api_key;
mod component;
mod escalation;
mod incident;
mod oncall;
mod team;

use crate::route::Route;

/// The whole table of routes, a line a room.
pub(crate) fn table() -> Vec<Route> {
    let rooms = [
        team::routes(),
        api_key::routes(),
        component::routes(),
        incident::routes(),
        oncall::routes(),
        escalation::routes(),
    ];
    rooms.into_iter().flatten().collect()
}
