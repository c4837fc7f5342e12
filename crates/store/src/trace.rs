//! Spans for `tracing` (feature `tracing`): one for each command, query, commit and tick; and a line when storage fails or a bookmark is
//! given up. Without the feature, nothing.
//!
//! A span has the name of the operation, the organization and the user who asked, and the code of a refusal; never a text that
//! somebody wrote, nor a secret. All spans are of the level `DEBUG` and the target `dogwatch`.

use dogwatch_core::ticks::Timer;
use dogwatch_core::{Actor, Error as Refusal};

use crate::error::Error;
use crate::journal::Position;

#[cfg(feature = "tracing")]
mod spans {
    use super::{Actor, Error, Position, Refusal, Timer};
    use tracing::field::Empty;
    use tracing::{Span, debug_span};

    /// The name of a command or query without its path.
    fn short(name: &'static str) -> &'static str {
        name.rsplit("::").next().unwrap_or(name)
    }

    fn told<R>(span: &Span, actor: &Actor, run: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        if let Actor::Member { org_id, user_id } = actor {
            span.record("organization", tracing::field::display(org_id));
            span.record("user", tracing::field::display(user_id));
        }
        let done = span.in_scope(run);
        if let Err(error) = &done {
            span.record("code", tracing::field::display(error.code()));
        }
        done
    }

    pub(crate) fn command<C, R>(actor: &Actor, run: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        let span = debug_span!(
            target: "dogwatch", "command",
            name = short(std::any::type_name::<C>()), organization = Empty, user = Empty, code = Empty,
        );
        told(&span, actor, run)
    }

    pub(crate) fn query<Q, R>(actor: &Actor, run: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        let span = debug_span!(
            target: "dogwatch", "query",
            name = short(std::any::type_name::<Q>()), organization = Empty, user = Empty, code = Empty,
        );
        told(&span, actor, run)
    }

    pub(crate) fn tick<R>(due: usize, run: impl FnOnce() -> R) -> R {
        debug_span!(target: "dogwatch", "tick", due).in_scope(run)
    }

    pub(crate) fn commit<R>(commands: usize, run: impl FnOnce() -> R) -> R {
        debug_span!(target: "dogwatch", "commit", commands).in_scope(run)
    }

    pub(crate) fn timer_failed(timer: &Timer, why: &Refusal) {
        let waiting = timer.waiting;
        tracing::error!(target: "dogwatch", organization = %timer.org_id, ?waiting, ?why, "what is due cannot go on");
    }

    pub(crate) fn storage_failed(cause: &dyn std::fmt::Display) {
        tracing::error!(target: "dogwatch", %cause, "storage has failed: nothing is written until the store is opened again");
    }

    pub(crate) fn deposed(term: u64) {
        tracing::warn!(target: "dogwatch", term, "another server leads: the term of this one has ended");
    }

    pub(crate) fn leads(term: u64) {
        tracing::warn!(target: "dogwatch", term, "this server leads");
    }

    pub(crate) fn led(term: u64) {
        tracing::warn!(target: "dogwatch", term, "this server does not lead any more");
    }

    pub(crate) fn cluster_trouble(why: &str) {
        tracing::error!(target: "dogwatch", why, "this server cannot follow the shared store, or not lead");
    }

    pub(crate) fn commits_lost(found: Position, known: Position, aside: &std::path::Path) {
        let aside = aside.display();
        tracing::error!(
            target: "dogwatch", copy = %found, store = %known, %aside,
            "the shared store has lost commits that this server's copy holds: the copy is put aside",
        );
    }

    pub(crate) fn bookmark_given_up(at: Position) {
        tracing::warn!(target: "dogwatch", position = %at, "a bookmark is given up: it would keep more of the journal than its quota");
    }
}

#[cfg(not(feature = "tracing"))]
mod spans {
    #![allow(clippy::extra_unused_type_parameters, reason = "with the feature, they name the operation")]
    use super::{Actor, Error, Position, Refusal, Timer};

    pub(crate) fn command<C, R>(_: &Actor, run: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        run()
    }

    pub(crate) fn query<Q, R>(_: &Actor, run: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        run()
    }

    pub(crate) fn tick<R>(_: usize, run: impl FnOnce() -> R) -> R {
        run()
    }

    pub(crate) fn commit<R>(_: usize, run: impl FnOnce() -> R) -> R {
        run()
    }

    pub(crate) fn timer_failed(_: &Timer, _: &Refusal) {}

    pub(crate) fn storage_failed(_: &dyn std::fmt::Display) {}

    pub(crate) fn deposed(_: u64) {}

    pub(crate) fn leads(_: u64) {}

    pub(crate) fn led(_: u64) {}

    pub(crate) fn cluster_trouble(_: &str) {}

    pub(crate) fn commits_lost(_: Position, _: Position, _: &std::path::Path) {}

    pub(crate) fn bookmark_given_up(_: Position) {}
}

pub(crate) use spans::{
    bookmark_given_up, cluster_trouble, command, commit, commits_lost, deposed, leads, led, query, storage_failed,
    tick, timer_failed,
};
