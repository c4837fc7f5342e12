//! What is claimed and not settled yet. Its claims are short, so that what a killed program had in hand is soon sent by another, and are
//! made longer again and again while it is being sent.
//!
//! A receipt is taken out before its notification is settled, and claims are made longer with the list locked: so a claim that was given
//! back is never taken again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dogwatch_store::rules::outbox::Receipt;
use dogwatch_store::{Engine, Error};

/// The receipts of what is held.
#[derive(Default)]
pub(crate) struct Held(Mutex<BTreeMap<Receipt, Holding>>);

struct Holding {
    /// When its claim was made longer; at first, when it was claimed.
    since: Instant,
    /// When its claim is not made longer any more: a sending that hangs must not keep the others of its recipient for ever.
    until: Instant,
}

impl Held {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Receipt, Holding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what was claimed, and how long it may take.
    pub(crate) fn add(&self, receipt: Receipt, most: Duration) {
        let since = Instant::now();
        let until = since.checked_add(most).unwrap_or(since);
        self.all().insert(receipt, Holding { since, until });
    }

    /// Before it is settled.
    pub(crate) fn remove(&self, receipt: &Receipt) {
        self.all().remove(receipt);
    }

    /// Whether there is nothing whose claim is to be made longer.
    pub(crate) fn is_empty(&self) -> bool {
        let now = Instant::now();
        self.all().values().all(|held| held.until <= now)
    }

    /// Makes the claims longer that are as old as this, so that they hold for `lease` from now on.
    ///
    /// # Errors
    /// As [`Engine::give_back`].
    pub(crate) fn lengthen(&self, engine: &Engine, age: Duration, lease: Duration) -> Result<(), Error> {
        let answers: Vec<_> = {
            let (mut all, now) = (self.all(), Instant::now());
            let old: Vec<Receipt> = all
                .iter_mut()
                .filter(|(_, held)| age <= now.duration_since(held.since) && now < held.until)
                .map(|(receipt, held)| {
                    held.since = now;
                    *receipt
                })
                .collect();
            // Nobody else can claim it until then, and whoever holds it may still settle it.
            old.iter().map(|receipt| engine.submit_give_back(&[*receipt], lease)).collect::<Result<_, _>>()?
        };
        // One that cannot be read must not keep the others from it.
        answers.into_iter().map(|answer| answer.wait().map(drop)).fold(Ok(()), Result::and)
    }
}
