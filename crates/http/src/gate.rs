//! The [`Gate`] before the engine: how much callers may ask for ([`Limits`]).
//!
//! Before anything is looked up, the address of a request is asked whether it has asked too often. Authentication that fails is counted
//! for the address, and slow when it fails too often. After authentication, the API key is asked. What bodies take in memory is bounded over all requests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dogwatch_store::By;
use dogwatch_store::rules::id::{ApiKeyId, Id};
use dogwatch_store::rules::{Actor, Code};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::aside::Aside;
use crate::error::Failure;
use crate::rate::{Rate, Rates};
use crate::server::place;

/// How much callers may ask for. What has no limit is `None`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// How often one API key may be used; 429 `too_many_requests` beyond it. Without API keys, how often one member may ask.
    pub per_key: Option<Rate>,
    /// How often one address may ask, or one /64 of IPv6. Needs [`serve`](crate::serve()).
    pub per_address: Option<Rate>,
    /// How often one address may present an API key that is not valid; beyond it, each answer takes a second. Needs
    /// [`serve`](crate::serve()).
    pub wrong_keys: Option<Rate>,
    /// The most bytes that the bodies of all requests together may take; 32 MiB by default. Beyond it, 503 `overloaded`.
    pub bodies: usize,
    /// How long a question may wait and be answered that takes longer than microseconds, such as who is on call in all schedules; 10 s
    /// by default. Beyond it, 503 `overloaded`.
    pub query_time: Duration,
}

impl Limits {
    pub(crate) const fn new() -> Self {
        Self {
            per_key: None,
            per_address: None,
            wrong_keys: None,
            bodies: 32 << 20,
            query_time: Duration::from_secs(10),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// How long whoever guesses keys too often waits for each answer: with the seats of one address, it bounds the guesses.
const GUESS: Duration = Duration::from_secs(1);

/// The bytes that stand for one permit.
const UNIT: usize = 1 << 10;

pub(crate) struct Gate {
    keys: Option<Rates<u128>>,
    addresses: Option<Rates<IpAddr>>,
    wrong_keys: Option<Rates<IpAddr>>,
    bodies: Arc<Semaphore>,
    /// A quarter of that, for those who have not shown yet who they are.
    strangers: Arc<Semaphore>,
    /// Where bodies are read.
    pub(crate) aside: Aside,
    /// Where those are read that carry alerts: they wait for others of their kind only, and give way to nobody.
    pub(crate) alerts: Aside,
}

/// What a request's body takes of the memory for all bodies, until it is dropped.
#[derive(Default)]
pub(crate) struct Held {
    permits: Vec<OwnedSemaphorePermit>,
    /// The bytes that the permits have room for.
    room: usize,
    /// Whether it is of somebody who has not shown yet who they are.
    stranger: bool,
}

impl Held {
    /// Whether nothing was read yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.permits.is_empty()
    }

    /// What the body of a stranger takes.
    pub(crate) fn of_stranger() -> Self {
        Self { stranger: true, ..Self::default() }
    }
}

fn too_many(wait: Duration, message: &str) -> Failure {
    // Whole seconds, so that whoever waits for so long is not told to wait again.
    let after = wait.as_secs().saturating_add(1);
    Failure { after: Some(after), ..Failure::new(Code::TooManyRequests, message) }
}

/// As [`too_many`], for whoever guesses: the answer takes a while.
fn slowed(wait: Duration, message: &str) -> Failure {
    Failure { delay: Some(GUESS), ..too_many(wait, message) }
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            keys: limits.per_key.map(Rates::new),
            addresses: limits.per_address.map(Rates::new),
            wrong_keys: limits.wrong_keys.map(Rates::new),
            bodies: Arc::new(Semaphore::new((limits.bodies / UNIT).min(Semaphore::MAX_PERMITS))),
            strangers: Arc::new(Semaphore::new((limits.bodies / UNIT / 4).min(Semaphore::MAX_PERMITS))),
            aside: Aside::new(true),
            // Somebody may have to be paged.
            alerts: Aside::new(false),
        }
    }

    /// Finds out who sends a request, unless too much has come from there.
    pub(crate) fn pass(
        &self,
        address: Option<IpAddr>,
        authenticate: impl FnOnce() -> Result<Caller, Failure>,
    ) -> Result<Caller, Failure> {
        self.pass_stranger(address)?;
        let caller = self.presented(address, authenticate)?;
        caller.counted().map_or(Ok(()), |counted| self.count(counted))?;
        Ok(caller)
    }

    /// What a key or a token that somebody presents leads to. Whoever guesses is slowed.
    pub(crate) fn presented<T>(
        &self,
        address: Option<IpAddr>,
        authenticate: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (now, place) = (Instant::now(), address.map(place));
        authenticate().map_err(|failure| {
            let guesses = self.wrong_keys.as_ref().zip(place).filter(|_| failure.code == Code::InvalidApiKey);
            // Whoever has a key is not kept out by somebody else at the same address.
            let taken = guesses.map_or(Ok(()), |(rates, place)| rates.take(place, now));
            taken.map_or_else(|wait| slowed(wait, "too many keys from this address were not valid"), |()| failure)
        })
    }

    /// Counts a request of whoever this number stands for.
    pub(crate) fn count(&self, counted: u128) -> Result<(), Failure> {
        let Some(rates) = &self.keys else { return Ok(()) };
        rates.take(counted, Instant::now()).map_err(|wait| too_many(wait, "too many requests with this key"))
    }

    /// Lets a request in that needs nobody in particular, unless too much has come from there.
    pub(crate) fn pass_stranger(&self, address: Option<IpAddr>) -> Result<(), Failure> {
        match (&self.addresses, address.map(place)) {
            (Some(rates), Some(place)) => {
                let taken = rates.take(place, Instant::now());
                taken.map_err(|wait| too_many(wait, "too many requests from this address"))
            }
            _ => Ok(()),
        }
    }

    /// Counts bytes of a body.
    pub(crate) fn hold(&self, held: &mut Held, bytes: usize) -> Result<(), Failure> {
        if held.room < bytes {
            let units = bytes.div_ceil(UNIT);
            let units_of_both = u32::try_from(units).unwrap_or(u32::MAX);
            let both = [Some(&self.bodies), Some(&self.strangers).filter(|_| held.stranger)];
            for of in both.into_iter().flatten() {
                let permits = Arc::clone(of).try_acquire_many_owned(units_of_both);
                let full = |_| Failure::new(Code::Overloaded, "the bodies of all requests take too much memory");
                held.permits.push(permits.map_err(full)?);
            }
            held.room = held.room.saturating_add(units.saturating_mul(UNIT));
        }
        held.room = held.room.saturating_sub(bytes);
        Ok(())
    }
}

/// Who sends a request.
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    pub(crate) by: By,
    /// The API key, if it is one that says who it is.
    pub(crate) key: Option<ApiKeyId>,
}

impl Caller {
    /// Somebody whom the program knows.
    pub(crate) const fn of(actor: Actor) -> Self {
        Self { actor, by: By::Actor(actor), key: None }
    }

    /// Whose requests are counted together with these: those with the same key, or else of the same member.
    fn counted(&self) -> Option<u128> {
        let number = match (self.key, self.actor) {
            (Some(key), _) => key.to_bytes(),
            (None, Actor::Member { user_id, .. }) => user_id.to_bytes(),
            (None, _) => return None,
        };
        Some(u128::from_be_bytes(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_bodies_is_bounded() {
        let gate = Gate::new(&Limits { bodies: 10 * UNIT, ..Limits::new() });
        let (mut first, mut second) = (Held::default(), Held::default());
        for _ in 0..8 * UNIT {
            gate.hold(&mut first, 1).unwrap();
        }
        assert!(gate.hold(&mut second, 3 * UNIT).is_err());
        gate.hold(&mut second, 2 * UNIT).unwrap();
        assert_eq!(gate.hold(&mut first, 1).unwrap_err().code, Code::Overloaded);
        drop(second);
        gate.hold(&mut first, 1).unwrap();
    }
}
