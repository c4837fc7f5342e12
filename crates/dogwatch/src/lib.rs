//! Incident response as a library: add this one crate, open a folder, and your program has incidents, on-call schedules,
//! escalation, a team and an audit trail.
//!
//! Everything is an [`Engine`] and the commands and queries of [`rules`]. This crate is `dogwatch-store` under a shorter name,
//! with more behind features:
//!
//! | feature | what it adds |
//! |---|---|
//! | `http` | the module `http`: the JSON API as an `axum::Router` to nest |
//! | `serde` | JSON of the contract for the types of [`rules`] |
//! | `tracing` | a span for each command, query, commit and tick |
//! | `chrono-tz` | conversions of time zones |
//! | `testkit` | the module `testkit`, for your tests: generators of commands, a naive model, an engine in memory |
//!
//! None is on by default. The first program is in the README; `docs/embedding.md` has a chapter for each of the usual ones.

pub use dogwatch_store::*;

#[cfg(feature = "http")]
pub use dogwatch_http as http;
#[cfg(feature = "testkit")]
pub use dogwatch_testkit as testkit;

/// The blocks of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

/// The blocks of `docs/embedding.md`, run as tests with all features.
#[cfg(all(doctest, feature = "http", feature = "serde", feature = "tracing", feature = "testkit"))]
#[doc = include_str!("../../../docs/embedding.md")]
pub struct Embedding;
