//! Doing something once: idempotency (contract, section 12).
//!
//! The answer to a command is recorded under a key in the same commit as what the command changes, so a repetition gets
//! the first answer whatever happened in between. Each recording also drops a few records whose time is up, so that they do
//! not pile up.

use crate::rooms::once::{IdempotentAnswer, OnceV1, by_time, prefix, row};
use dogwatch_core::caller::Caller;
use dogwatch_core::id::Id;
use dogwatch_core::text::IdempotencyKey;
use dogwatch_core::{Actor, Code, Command, Error as Refusal, IdSource, OrgId, Timestamp, decide};

use crate::commit::assembly::Assembly;
use crate::commit::pending::Pending;
use crate::commit::queue::WhenFull;
use crate::commit::writer::Work;
use crate::engine::Engine;
use crate::error::Error;
use crate::record::{Corrupt, decode};
use crate::rooms::{Entity, RowChange, Rows};
use crate::table::{self, Table, end_of};
use crate::view::corrupt;

/// For how long an answer is kept: 24 hours.
const KEPT_MILLIS: i64 = 24 * 60 * 60 * 1_000;
/// How many records whose time is up are dropped with each new one.
const DROPPED: usize = 2;

/// Names something that shall be done once.
#[derive(Debug, Clone)]
pub struct Once {
    /// Whose key it is: the bytes of the API key's id, or of whatever else tells callers apart.
    pub scope: [u8; 16],
    /// What the caller calls it.
    pub key: IdempotencyKey,
    /// A hash of all that was asked for. Under the same key, something else is a conflict.
    pub fingerprint: [u8; 32],
}

/// An answer as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its HTTP status, or whatever else says how it ended. From 500 on it is not recorded.
    pub status: u16,
    /// What it says.
    pub body: Vec<u8>,
}

/// The reply to [`Engine::submit_once`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The answer.
    pub answer: Answer,
    /// Whether it is the answer to an earlier request.
    pub again: bool,
}

impl Engine {
    /// Hands in a command that shall happen once. The answer that `render` makes of its outcome is recorded in the same
    /// commit; within 24 hours the same key gives that answer again, and the command does not happen a second time.
    ///
    /// Refusals are recorded like successes. What `render` marks with a status from 500 on is not recorded. `render` runs in
    /// the writer's thread: it must be quick. It must leave out secrets, since what it makes is stored.
    ///
    /// # Errors
    /// `overloaded` when the queue is full. With the answer: `idempotency_conflict` when the key was used for something
    /// else; `outcome_unknown` when storage failed.
    pub fn submit_once<C: Command>(
        &self,
        command: C,
        actor: &Actor,
        once: Once,
        render: impl FnOnce(Result<C::Reply, Refusal>) -> (Answer, Answer) + Send + 'static,
    ) -> Result<Pending<Recorded>, Error> {
        self.hand_in(OnceOrder { actor: *actor, command, once, render }, WhenFull::Refuse)
    }
}

struct OnceOrder<C, F> {
    actor: Actor,
    command: C,
    once: Once,
    /// Gives the answer for the caller, and the one to record.
    render: F,
}

impl<C, F> Work for OnceOrder<C, F>
where
    C: Command,
    F: FnOnce(Result<C::Reply, Refusal>) -> (Answer, Answer) + Send + 'static,
{
    type Reply = Recorded;

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Recorded, Refusal> {
        let org = match self.actor {
            Actor::Member { org_id: org, .. } => org,
            Actor::Operator | Actor::Anybody => OrgId::from_bytes([0; 16]),
        };
        if matches!(self.actor, Actor::Member { .. }) {
            // Who may not do it does not get the answer of somebody who might.
            C::Caller::admit(&self.actor, &batch.root())?;
        }
        let prefix = prefix(org, self.once.scope, self.once.key.as_str());
        let oldest = Timestamp::clamped(batch.now.as_millis() - KEPT_MILLIS);
        if let Some(kept) = kept(batch, &prefix)?.filter(|kept| kept.recorded_at > oldest.as_millis()) {
            if kept.fingerprint != self.once.fingerprint {
                let message = "the idempotency key was used for another request";
                return Err(Refusal::refused(Code::IdempotencyConflict, message));
            }
            return Ok(Recorded { answer: Answer { status: kept.status, body: kept.body }, again: true });
        }
        let decided = decide(self.command, &self.actor, &batch.root(), batch.now, ids);
        let (outcome, writes) = match decided {
            Ok(decision) => (Ok(decision.reply), decision.writes),
            Err(refusal) => (Err(refusal), Vec::new()),
        };
        let (answer, record) = (self.render)(outcome);
        if record.status >= 500 {
            batch.add(&writes)?;
            return Ok(Recorded { answer, again: false });
        }
        let mut changes = drop_old(batch, oldest)?;
        changes.extend(forget(batch, &prefix)?);
        let kept = IdempotentAnswer {
            org,
            scope: self.once.scope,
            key: self.once.key.as_str().to_owned(),
            fingerprint: self.once.fingerprint,
            recorded_at: batch.now.as_millis(),
            status: record.status,
            body: record.body,
        };
        let mut rows = Rows::default();
        kept.rows(&mut rows).map_err(|why| corrupt(&prefix, why))?;
        changes.extend(rows.into_puts());
        batch.add_with(&writes, changes)?;
        Ok(Recorded { answer, again: false })
    }
}

/// What is recorded under a key.
fn kept(batch: &Assembly<'_>, prefix: &[u8]) -> Result<Option<IdempotentAnswer>, Refusal> {
    let (root, key) = (batch.root(), row(prefix, 0));
    let Some(value) = root.get(&key)? else { return Ok(None) };
    IdempotentAnswer::read(&key, &value, &|key| root.get(key).ok().flatten()).map_err(|why| corrupt(&key, why))
}

/// The rows of a record that goes.
fn forget(batch: &Assembly<'_>, prefix: &[u8]) -> Result<Vec<RowChange>, Refusal> {
    let key = row(prefix, 0);
    let Some(value) = batch.root().get(&key)? else { return Ok(Vec::new()) };
    let first: OnceV1 = decode(&key, &value).map_err(|why| corrupt(&key, why))?;
    let at = Timestamp::clamped(first.recorded_at);
    let mut changes = vec![RowChange::delete(by_time(at, prefix), Vec::new())];
    for pair in batch.root().under(prefix) {
        let (key, value) = pair?;
        changes.push(RowChange::delete(key, value));
    }
    Ok(changes)
}

/// The rows of a few records whose time is up.
fn drop_old(batch: &Assembly<'_>, oldest: Timestamp) -> Result<Vec<RowChange>, Refusal> {
    let (start, end) = (Table::ONCE_BY_TIME.key(&[]), end_of(&Table::ONCE_BY_TIME.key(&[&table::instant(oldest)])));
    let found: Vec<_> = batch.root().scan(&start, &end).take(DROPPED).collect::<Result<_, _>>()?;
    let mut changes = Vec::new();
    for (key, _) in found {
        let prefix = key.get(9..).ok_or_else(|| corrupt(&key, Corrupt::Key))?;
        changes.extend(forget(batch, prefix)?);
        // A row of this table without its record would come up for ever.
        changes.push(RowChange::delete(key.clone(), Vec::new()));
    }
    Ok(changes)
}
