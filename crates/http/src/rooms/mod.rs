//! The resources over HTTP, one file (a *room*) each: its routes and the shapes of its replies. A route reads its request,
//! makes a command or query, and renders the reply; no rule lives here.

mod api_key;
mod component;
mod contact;
mod escalation;
mod incident;
mod integration;
mod oncall;
mod org_audit;
mod status_page;
mod team;
mod webhook;

use crate::route::Route;

/// The whole table of routes, resource by resource.
pub(crate) fn table() -> Vec<Route> {
    let rooms = [
        team::routes(),
        api_key::routes(),
        component::routes(),
        contact::routes(),
        incident::routes(),
        oncall::routes(),
        escalation::routes(),
        org_audit::routes(),
        webhook::routes(),
        status_page::routes(),
        integration::routes(),
    ];
    rooms.into_iter().flatten().collect()
}
