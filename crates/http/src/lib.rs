//! The HTTP adapter: the Scaling API over an engine, as a router for your own app or as a server.
//!
//! It parses, calls the engine, and renders; not one rule lives here. [`router`] gives an [`axum::Router`]; [`serve`] runs it
//! with limits on connections, headers and bodies, and stops when it is told to.

mod api;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod metrics;
mod openapi;
mod replies;
mod rooms;
mod route;
mod server;
mod shape;

pub use api::router;
pub use server::{Settings, serve};
