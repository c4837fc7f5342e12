//! Idempotency: commands that are executed once under a key (contract, section 12).
//!
//! The answer to a command is recorded under its idempotency key in the same commit as what the command changes, so a
//! repeated request gets the first answer, whatever happened in between. Each recording also drops up to two answers that
//! are older than 24 hours, so that they do not accumulate.

use crate::rooms::once::{IdempotentAnswer, OnceV1, by_time, prefix, row};
use dogwatch_core::caller::Caller;
use dogwatch_core::id::Id;
use dogwatch_core::text::IdempotencyKey;
use dogwatch_core::{Actor, Code, Command, Error as Refusal, IdSource, OrgId, Timestamp, decide};

use crate::commit::assembly::Assembly;
use crate::commit::pending::Pending;
use crate::commit::queue::Lane;
use crate::commit::writer::{By, Work};
use crate::engine::Engine;
use crate::error::Error;
use crate::record::{Corrupt, decode};
use crate::rooms::{Entity, RowChange, Rows};
use crate::table::{self, Table, end_of};
use crate::trace;
use crate::view::corrupt;

/// How long an answer is kept, in milliseconds: 24 hours.
const KEPT_MILLIS: i64 = 24 * 60 * 60 * 1_000;
/// The largest number of expired answers that are dropped with each new one.
const DROPPED: usize = 2;

/// The identity of a request that shall be executed once.
#[derive(Debug, Clone)]
pub struct Once {
    /// The caller that the key belongs to: the bytes of the API key's id, or of another value that tells callers apart.
    pub scope: [u8; 16],
    /// The idempotency key that the caller has chosen.
    pub key: IdempotencyKey,
    /// A hash of the whole request. Another one under the same key is an `idempotency_conflict`.
    pub fingerprint: [u8; 32],
}

/// The answer to a request, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status of the answer, or another number that says how the request ended. With 422, and from 500 on, it is not recorded.
    pub status: u16,
    /// The body of the answer.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether the answer is recorded: not that of a failure of ours, nor of a request that does not fit its schema, which may be sent
    /// again corrected.
    const fn is_kept(&self) -> bool {
        self.status < 500 && self.status != 422
    }
}

/// The reply to [`Engine::submit_once`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The answer to give to the caller.
    pub answer: Answer,
    /// Whether this is the recorded answer to an earlier request.
    pub again: bool,
}

impl Engine {
    /// Submits a command that shall be executed once. `render` makes two answers of its outcome: one for the caller, and one
    /// that is recorded in the same commit. Within 24 hours the same key gives the recorded answer again, and the command is
    /// not executed a second time.
    ///
    /// Refusals by the command's rules are recorded like successes. An answer to record with the status 422 or from 500 on is not
    /// recorded: give an `internal_error` such a status, or it is repeated for 24 hours. `render` runs in the writer's thread: it
    /// must be quick. The answer to record must leave out secrets, since it is stored.
    ///
    /// # Errors
    /// `overloaded` when the queue is full; `unavailable` when storage failed earlier. With the answer: `invalid_api_key` and
    /// `not_authorized` when the caller may not give the command, which is not recorded; `idempotency_conflict` when the key was
    /// used for something else; `outcome_unknown` when storage failed.
    pub fn submit_once<C: Command>(
        &self,
        command: C,
        by: impl Into<By>,
        once: Once,
        render: impl FnOnce(Result<C::Reply, Refusal>) -> (Answer, Answer) + Send + 'static,
    ) -> Result<Pending<Recorded>, Error> {
        self.hand_in(OnceOrder { by: by.into(), command, once, render })
    }
}

struct OnceOrder<C, F> {
    by: By,
    command: C,
    once: Once,
    /// Makes the answer for the caller, and the one to record.
    render: F,
}

impl<C, F> Work for OnceOrder<C, F>
where
    C: Command,
    F: FnOnce(Result<C::Reply, Refusal>) -> (Answer, Answer) + Send + 'static,
{
    type Reply = Recorded;

    fn lane(&self) -> Lane {
        self.by.lane()
    }

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Recorded, Error> {
        let actor = self.by.admitted(batch)?;
        batch.acts(Some(actor));
        let org = match actor {
            Actor::Member { org_id: org, .. } => org,
            Actor::Operator | Actor::Anybody => OrgId::from_bytes([0; 16]),
        };
        if matches!(actor, Actor::Member { .. }) {
            // An actor who may not give the command does not get a recorded answer to it.
            C::Caller::admit(&actor, &batch.state())?;
        }
        let prefix = prefix(org, self.once.scope, self.once.key.as_str());
        let oldest = Timestamp::clamped(batch.now.as_millis() - KEPT_MILLIS);
        if let Some(kept) = kept(batch, &prefix)?.filter(|kept| kept.recorded_at > oldest.as_millis()) {
            if kept.fingerprint != self.once.fingerprint {
                let message = "the idempotency key was used for another request";
                return Err(Refusal::refused(Code::IdempotencyConflict, message).into());
            }
            return Ok(Recorded { answer: Answer { status: kept.status, body: kept.body }, again: true });
        }
        let decided =
            trace::command::<C, _>(&actor, || Ok(decide(self.command, &actor, &batch.state(), batch.now, ids)?));
        let (outcome, writes) = match decided {
            Ok(decision) => (Ok(decision.reply), decision.writes),
            Err(Error::Refused(refusal)) => (Err(refusal), Vec::new()),
            Err(other) => return Err(other),
        };
        let (answer, record) = (self.render)(outcome);
        if !record.is_kept() {
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

/// The answer that is recorded under an idempotency key.
fn kept(batch: &Assembly<'_>, prefix: &[u8]) -> Result<Option<IdempotentAnswer>, Refusal> {
    let (state, key) = (batch.state(), row(prefix, 0));
    let Some(value) = state.get(&key)? else { return Ok(None) };
    IdempotentAnswer::read(&key, &value, &|key| state.get(key).map_err(|_| Corrupt::Unread))
        .map_err(|why| corrupt(&key, why))
}

/// The deletions of all rows of a recorded answer, its index row included; none when there is no such answer.
fn forget(batch: &Assembly<'_>, prefix: &[u8]) -> Result<Vec<RowChange>, Refusal> {
    let key = row(prefix, 0);
    let Some(value) = batch.state().get(&key)? else { return Ok(Vec::new()) };
    let first: OnceV1 = decode(&key, &value).map_err(|why| corrupt(&key, why))?;
    let at = Timestamp::clamped(first.recorded_at);
    let mut changes = vec![(by_time(at, prefix), None)];
    for pair in batch.state().under(prefix) {
        changes.push((pair?.0, None));
    }
    Ok(changes)
}

/// The deletions of all rows of up to [`DROPPED`] answers that were recorded at `oldest` or earlier.
fn drop_old(batch: &Assembly<'_>, oldest: Timestamp) -> Result<Vec<RowChange>, Refusal> {
    let (start, end) = (Table::ONCE_BY_TIME.key(&[]), end_of(&Table::ONCE_BY_TIME.key(&[&table::instant(oldest)])));
    let found: Vec<_> = batch.state().scan(&start, &end).take(DROPPED).collect::<Result<_, _>>()?;
    let mut changes = Vec::new();
    for (key, _) in found {
        let prefix = key.get(9..).ok_or_else(|| corrupt(&key, Corrupt::Key))?;
        changes.extend(forget(batch, prefix)?);
        // The index row is deleted even without its answer: else every later call would find it again.
        changes.push((key, None));
    }
    Ok(changes)
}
