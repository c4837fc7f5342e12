//! The way from a server to the shared journal, over which answers and commits are lost, late or doubled, with the known bugs of a journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_core::Timestamp;
use dogwatch_store::backend::{BackendError, Pair};
use dogwatch_store::cluster::{Campaign, FillError, Leadership, MemorySharedJournal, Server, SharedJournal};
use dogwatch_store::journal::{AppendError, Head, Journal, Position, Reading, Rows};

/// How long a link asks what became of a commit before it gives up.
const PATIENCE: Duration = Duration::from_millis(400);

/// Numbers that are drawn, the same for the same seed.
#[derive(Clone)]
pub(crate) struct Dice(Arc<AtomicU64>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    pub(crate) fn draw(&self, below: u64) -> u64 {
        let mut x = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % below
    }
}

/// A known bug of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A commit is appended after whatever is last, although it was decided against something else.
    PositionLeftOut,
    /// A commit whose answer was lost counts as made.
    TakenForMade,
    /// Whoever renews a lease that is another server's now, has it again.
    RenewsByTaking,
}

/// The way from one server to the journal.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) server: Server,
    pub(crate) journal: MemorySharedJournal,
    pub(crate) dice: Dice,
    pub(crate) cut: Arc<AtomicBool>,
    pub(crate) faults: Arc<AtomicBool>,
    /// How often the journal has lost commits.
    pub(crate) losses: Arc<AtomicU64>,
    pub(crate) bug: Option<Bug>,
}

impl Link {
    fn passes(&self) -> Result<(), BackendError> {
        if self.faults.load(Ordering::SeqCst) && self.dice.draw(40) == 0 {
            thread::sleep(Duration::from_millis(self.dice.draw(30)));
        }
        if self.cut.load(Ordering::SeqCst) {
            return Err(BackendError::new("reaching the journal", "the link is cut"));
        }
        Ok(())
    }

    /// What became of a commit whose answer was lost: it is sent again, and if that is refused, looked for.
    fn resolve(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        let began = Instant::now();
        if self.bug == Some(Bug::TakenForMade) {
            return Ok(after.after(term, at, rows));
        }
        while began.elapsed() < PATIENCE {
            if self.passes().is_err() {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            let expected = after.after(term, at, rows);
            return match self.journal.append(term, after, at, rows) {
                Ok(head) => Ok(head),
                Err(_) => match self.journal.read(after, 1) {
                    Ok(Reading::Commits(next)) if next.first().is_some_and(|one| one.head == expected) => Ok(expected),
                    _ => Err(AppendError::Deposed),
                },
            };
        }
        Err(AppendError::Unknown(BackendError::new("appending", "the link is cut")))
    }
}

impl Journal for Link {
    fn last(&self) -> Result<Head, BackendError> {
        self.passes()?;
        self.journal.last()
    }

    fn append(&self, term: u64, after: &Head, at: Timestamp, rows: &Rows) -> Result<Head, AppendError> {
        if !self.faults.load(Ordering::SeqCst) {
            return self.journal.append(term, after, at, rows);
        }
        if self.bug == Some(Bug::PositionLeftOut) {
            let present = self.journal.leadership().map(|it| (it.term, it.head));
            let (present, head) = present.map_err(AppendError::NotAppended)?;
            return self.journal.append(present, &head, at, rows).map(|_| after.after(term, at, rows));
        }
        match self.dice.draw(30) {
            // It is lost on its way there.
            0 => self.resolve(term, after, at, rows),
            // Its answer is lost on the way back.
            1 => {
                let _ = self.journal.append(term, after, at, rows);
                self.resolve(term, after, at, rows)
            }
            // It arrives once more, much later.
            2 => {
                let (journal, after, rows, late) = (self.journal.clone(), *after, rows.clone(), self.dice.draw(500));
                let (again, losses) = (rows.clone(), Arc::clone(&self.losses));
                let before = losses.load(Ordering::SeqCst);
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(late));
                    // It was on its way to the replica that is gone.
                    if losses.load(Ordering::SeqCst) == before {
                        let _ = journal.append(term, &after, at, &again);
                    }
                });
                self.journal.append(term, &after, at, &rows)
            }
            // The server stops in the middle of it, for longer than its lease.
            3 => {
                thread::sleep(Duration::from_millis(200 + self.dice.draw(400)));
                self.journal.append(term, after, at, rows)
            }
            _ if self.passes().is_err() => self.resolve(term, after, at, rows),
            _ => self.journal.append(term, after, at, rows),
        }
    }

    fn read(&self, from: &Head, most: usize) -> Result<Reading, BackendError> {
        self.passes()?;
        self.journal.read(from, most)
    }

    fn head_at(&self, position: Position) -> Result<Option<Head>, BackendError> {
        self.passes()?;
        self.journal.head_at(position)
    }

    fn forget(&self, up_to: Position) -> Result<(), BackendError> {
        self.journal.forget(up_to)
    }

    fn kept_for(&self, from: Position, up_to: Position) -> Result<Option<u64>, BackendError> {
        self.journal.kept_for(from, up_to)
    }

    fn size(&self) -> Result<u64, BackendError> {
        self.journal.size()
    }
}

impl SharedJournal for Link {
    fn identity(&self) -> Result<[u8; 16], BackendError> {
        self.passes()?;
        self.journal.identity()
    }

    fn leadership(&self) -> Result<Leadership, BackendError> {
        self.passes()?;
        self.journal.leadership()
    }

    fn campaign(&self, server: &Server, seen: u64, lease: Duration) -> Result<Campaign, BackendError> {
        self.passes()?;
        // The answer may be lost although the term has begun.
        let won = self.journal.campaign(server, seen, lease)?;
        if self.faults.load(Ordering::SeqCst) && self.dice.draw(8) == 0 {
            return Err(BackendError::new("campaigning", "the answer is lost"));
        }
        Ok(won)
    }

    fn renew(&self, term: u64, lease: Duration) -> Result<Option<Head>, BackendError> {
        self.passes()?;
        match self.journal.renew(term, lease)? {
            None if self.bug == Some(Bug::RenewsByTaking) => {
                self.journal.depose()?;
                let seen = self.journal.leadership()?.term;
                self.journal.campaign(&self.server, seen, lease)?;
                self.journal.last().map(Some)
            }
            renewed => Ok(renewed),
        }
    }

    fn resign(&self, term: u64) -> Result<(), BackendError> {
        self.passes()?;
        self.journal.resign(term)
    }

    fn depose(&self) -> Result<(), BackendError> {
        self.journal.depose()
    }

    fn copy(&self, take: &mut dyn FnMut(Pair) -> Result<(), BackendError>) -> Result<Head, BackendError> {
        self.passes()?;
        self.journal.copy(take)
    }

    fn fill(&self, head: &Head, rows: &mut dyn Iterator<Item = Result<Pair, BackendError>>) -> Result<(), FillError> {
        self.journal.fill(head, rows)
    }

    fn agree_on_key(&self, fingerprint: &[u8; 16]) -> Result<bool, BackendError> {
        self.journal.agree_on_key(fingerprint)
    }
}
