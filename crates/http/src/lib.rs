//! The HTTP adapter: the Scaling API over an engine, as a router for your own app or as a server.
//!
//! It parses requests, calls the engine, and renders replies; no rule lives here. [`router`] gives an [`axum::Router`], one
//! route for each command or query, which limits the size of bodies; [`serve`] runs it with limits on connections and headers,
//! and finishes the requests under way when it is told to stop.

mod api;
mod aside;
#[cfg(feature = "cluster")]
mod cluster;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod input;
mod intake;
mod json;
mod metrics;
mod openapi;
mod proxy;
mod rate;
mod replies;
mod rooms;
mod route;
mod server;
mod shape;
mod topics;

pub use api::{RouterBuilder, router, router_as, unavailable};
#[cfg(feature = "cluster")]
pub use cluster::{Neighbours, Standing};
pub use gate::Limits;
pub use metrics::Metrics;
pub use proxy::{NotProxies, TrustedProxies};
pub use rate::Rate;
#[cfg(feature = "tls")]
pub use server::Certificates;
pub use server::{Settings, serve, serve_latest};
