//! Incident response as a library: add this one crate, open a folder, and your program has incidents, on-call schedules,
//! escalation, a team and an audit trail.
//!
//! Everything is an [`Engine`] and the commands and queries of [`rules`]. This crate is `dogwatch-store` under a shorter name,
//! with more behind features:
//!
//! | feature | what it adds |
//! |---|---|
//! | `http` | the module `http`: the JSON API as an `axum::Router` to nest |
//! | `deliver` | the module `deliver`: sends pages and invitations by mail, to webhooks and ntfy, or through a channel of yours |
//! | `intake` | the module `intake`: what monitoring systems send, read as alerts, for routes of your own; `http` has such routes |
//! | `postgres` | the module `postgres`: the journal that several servers share, for [`cluster`]; with `http`, passing requests on to the one that leads |
//! | `web` | the module `web`: the pages to which messages link, and status pages, as `axum::Router`s |
//! | `export` | `Engine::export` and `import`: all entities as lines of JSON |
//! | `serde` | JSON of the contract for the types of [`rules`] |
//! | `tracing` | a span for each command, query, commit and tick |
//! | `chrono-tz` | conversions of time zones |
//! | `testkit` | the module `testkit`, for your tests: generators of commands, a naive model, an engine in memory |
//!
//! None is on by default. Examples of the parts name the crates that this one is made of: `dogwatch_store` is this crate,
//! `dogwatch_core` is [`rules`], `dogwatch_http` is `http`. Sections of "the contract" are those of `docs/contract.md` in the
//! repository, where `docs/embedding.md` has a chapter for each of the usual programs.
//!
//! ```
//! use dogwatch::Engine;
//! use dogwatch::rules::incident::{CreateIncident, Severity};
//! use dogwatch::rules::{Actor, organization::CreateOrganization};
//!
//! let engine = Engine::in_memory()?; // or Engine::open("dogwatch-data")
//! let ada = CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?, "Ada".parse()?, "Byron".parse()?);
//! let created = engine.execute(ada, &Actor::Operator)?;
//! let open = CreateIncident::new("Checkout is down".parse()?, Severity::Critical, created.admin.member.id);
//! assert_eq!(engine.execute(open, &created.actor())?.sequential_id, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use dogwatch_store::*;

#[cfg(feature = "deliver")]
pub use dogwatch_deliver as deliver;
#[cfg(feature = "http")]
pub use dogwatch_http as http;
#[cfg(feature = "intake")]
pub use dogwatch_intake as intake;
#[cfg(feature = "postgres")]
pub use dogwatch_postgres as postgres;
#[cfg(feature = "testkit")]
pub use dogwatch_testkit as testkit;
#[cfg(feature = "web")]
pub use dogwatch_web as web;

/// The blocks of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

/// The blocks of `docs/embedding.md`, run as tests with all features.
#[cfg(all(
    doctest,
    feature = "export",
    feature = "http",
    feature = "intake",
    feature = "postgres",
    feature = "serde",
    feature = "tracing",
    feature = "testkit"
))]
#[doc = include_str!("../../../docs/embedding.md")]
pub struct Embedding;
