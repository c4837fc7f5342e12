//! What tests, benchmarks and fuzz targets share: random commands, operations made from bytes, a naive model of the contract, and
//! the comparison.
//!
//! For programs that embed the engine: [`house`] is an engine in memory with a clock by hand, [`commands`] draws commands for
//! property tests and fuzzing. Everything else tests the engine itself, and may be of use.
//!
//! The model is written from the contract, not from the code: plain lists, searched from end to end ([`rooms`]). A run makes a
//! sequence of operations from bytes ([`ops`]), carries each out on an engine and on the model ([`run`]), and panics at the
//! first difference. Proptest and the fuzzer feed the same bytes, so a case that one finds is a case for the other. On-call
//! schedules have a model of their own ([`oncall`], [`oracle`]), and so have the journal ([`journal`]), one that servers share ([`shared_journal`]), and nights in which
//! disks and processes fail (`simulation`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a test fails by panicking, a benchmark prints"
)]

pub mod alerts;
pub mod commands;
pub mod fixture;
pub mod house;
pub mod journal;
pub mod measure;
pub mod model;
pub mod oncall;
pub mod ops;
pub mod oracle;
pub mod parsers;
pub mod recorder;
mod render;
pub mod rooms;
pub mod run;
pub mod shared_journal;
#[cfg(feature = "internals")]
pub mod simulation;
pub mod subject;
pub mod targets;

/// The number of cases that a property runs: `PROPTEST_CASES` if set, else `usual`.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    times("PROPTEST_CASES", usual)
}

/// The number in an environment variable, or `usual` when it is not set or not a number.
#[must_use]
pub fn times<N: std::str::FromStr>(variable: &str, usual: N) -> N {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
