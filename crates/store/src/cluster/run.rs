//! The thread of a [`Cluster`](super::Cluster): follows, campaigns, leads, and follows again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dogwatch_core::Timestamp;

use super::copy::{self, Copy, READ_AT_ONCE};
use super::role::{Moment, Place, Role};
use super::{Campaign, ClusterOptions, Leadership, SharedJournal};
use crate::backend::{BackendError, SledOptions};
use crate::builder::EngineBuilder;
use crate::engine::Engine;
use crate::error::OpenError;
use crate::journal::{Head, Reading};
use crate::sync::Arc;
use crate::trace;

/// How often in the time of a lease a follower reads on and looks who leads, and how often a leader renews its lease.
const LOOKS: u32 = 20;
const RENEWALS: u32 = 4;
/// How often a leader looks whether its engine has failed.
const LOOK: Duration = Duration::from_millis(100);

/// What the thread works with.
pub(super) struct Runner {
    pub(super) folder: PathBuf,
    pub(super) journal: Arc<dyn SharedJournal>,
    pub(super) options: ClusterOptions,
    pub(super) sled: SledOptions,
    pub(super) builder: Box<dyn Fn() -> EngineBuilder + Send>,
    pub(super) place: Arc<Place>,
}

/// The copy of a follower.
enum Following {
    /// It is to be opened.
    Not,
    /// There is nothing in it yet, or it waits for an upgrade by a leader.
    Silent(Box<Copy>),
    /// It answers queries.
    Answers(Engine),
}

/// What a server leads with.
struct Term {
    engine: Engine,
    number: u64,
    /// From when on the lease counts.
    since: Moment,
}

/// A server's clock, as it goes since a term began.
struct OwnClock {
    began: Instant,
    showed: Timestamp,
}

impl OwnClock {
    /// By how much it has been set since.
    fn was_set_by(&self, now: Timestamp) -> Duration {
        let expected = self.showed.plus(self.began.elapsed());
        now.since(expected).max(expected.since(now))
    }
}

impl Runner {
    pub(super) fn run(self) {
        while !self.place.is_stopping() {
            if catch_unwind(AssertUnwindSafe(|| self.take_part())).is_err() {
                // What has panicked is in the log of the program. What is known of the role is not true any more.
                self.place.set(Role::default());
                self.told(Some("a part of this server has panicked, and was started again".to_owned()));
                self.pause(self.options.lease());
            }
        }
        self.place.set(Role::default());
    }

    /// Follows and leads until it is to stop.
    fn take_part(&self) {
        // Whoever was deposed lets others try first.
        let mut hold_off = None;
        while let Some(term) = self.follow(hold_off) {
            hold_off = self.lead(term);
        }
    }

    fn pause(&self, most: Duration) {
        let seen = self.place.stop.count();
        if !self.place.is_stopping() {
            self.place.stop.wait(seen, most);
        }
    }

    /// Follows until this server leads; `None` when it is to stop.
    fn follow(&self, hold_off: Option<Moment>) -> Option<Term> {
        let (mut following, mut in_use) = (Following::Not, None);
        while !self.place.is_stopping() {
            let at = Moment::now();
            let seen = self.look();
            let step = match &seen {
                Ok((seen, trouble)) => self.step(following, seen, *trouble, at, hold_off),
                Err(why) => Err((following, Some(why.to_string()))),
            };
            match step {
                Ok(Next::Leads(term)) => {
                    self.place.set_trouble(None);
                    return Some(term);
                }
                Ok(Next::Follows(next, trouble)) => {
                    (following, in_use) = (next, None);
                    self.told(trouble);
                }
                Err((next, why)) => {
                    following = next;
                    // A server without a copy can still say who leads.
                    self.place.set(self.role(seen.as_ref().ok().map(|(seen, _)| seen), &following));
                    self.told(why.or_else(|| self.still_in_use(in_use.get_or_insert_with(Moment::now))));
                }
            }
            self.pause(self.options.lease() / LOOKS);
        }
        None
    }

    /// What this server does while it does not lead. The lease may be its own, of before it was started again: then nobody leads.
    fn role(&self, seen: Option<&Leadership>, following: &Following) -> Role {
        let leader = seen.filter(|seen| !seen.left.is_zero()).and_then(|seen| seen.leader.clone());
        let engine = following.engine();
        match leader.filter(|leader| leader.name != self.options.server.name) {
            Some(leader) => Role::Follows { leader, engine },
            None => Role::Nobody { engine },
        }
    }

    /// What is to be said of a copy that somebody holds for longer than queries take.
    fn still_in_use(&self, since: &Moment) -> Option<String> {
        let long = since.elapsed() > self.options.lease();
        long.then(|| "the copy is still in use by what began before the role changed".to_owned())
    }

    /// Notes what keeps this server from its work, and says it once.
    fn told(&self, why: Option<String>) {
        // What a stop interrupts is no trouble.
        if self.place.is_stopping() {
            return;
        }
        let said = why.clone();
        if self.place.set_trouble(why)
            && let Some(why) = said
        {
            trace::cluster_trouble(&why);
        }
    }

    /// Reads on after it was seen who leads, and campaigns when nobody does.
    fn step(
        &self,
        following: Following,
        seen: &Leadership,
        trouble: Option<&str>,
        at: Moment,
        hold_off: Option<Moment>,
    ) -> Result<Next, Failed> {
        let following = self.read_on(following)?;
        // It has read all that there was at that moment.
        self.place.believe(at, self.options.lease());
        self.place.set(self.role(Some(seen), &following));
        let holds_off = hold_off.is_some_and(|since| since.elapsed() < self.options.lease());
        if !seen.left.is_zero() || trouble.is_some() || holds_off || self.place.is_retired() {
            // Whoever cannot take over is mended before it must.
            return Ok(Next::Follows(following, trouble.map(str::to_owned)));
        }
        let since = Moment::now();
        match self.journal.campaign(&self.options.server, seen.term, self.options.lease()) {
            Ok(Campaign::Won { term, .. }) if self.place.is_retired() => {
                // If this fails, the lease ends by itself.
                let _ = self.journal.resign(term);
                Ok(Next::Follows(following, None))
            }
            Ok(Campaign::Won { term, head }) => self.begin(following, term, &head, since),
            Ok(Campaign::Lost) => Ok(Next::Follows(following, None)),
            Err(why) => Err((following, Some(why.to_string()))),
        }
    }

    /// Who leads, and why this server is not to: its clock is too far off that of the journal.
    fn look(&self) -> Result<(Leadership, Option<&'static str>), BackendError> {
        let now = || (self.builder)().now();
        let before = now();
        let seen = self.journal.leadership()?;
        // The journal has looked at its clock between the two.
        let off = before.since(seen.now).max(seen.now.since(now()));
        // How much it is changes all the time; it is said once.
        let is_off = off > self.options.clock_tolerance;
        Ok((seen, is_off.then_some("the clock is too far off that of the shared journal to lead")))
    }

    /// Brings the copy up to date, and opens it if need be.
    fn read_on(&self, following: Following) -> Result<Following, Failed> {
        let failed = |why: OpenError| (Following::Not, unless_in_use(&why));
        let copy = match following {
            Following::Answers(engine) => return self.replay(engine),
            Following::Silent(copy) => copy.read_on(&self.journal).map_err(failed)?,
            Following::Not => copy::open(&self.folder, &self.sled, &self.journal, &self.place).map_err(failed)?,
        };
        if !copy.answers {
            return Ok(Following::Silent(Box::new(copy)));
        }
        let engine = (self.builder)().follow_copy(copy.backend, Arc::clone(&self.journal)).map_err(failed)?;
        Ok(Following::Answers(engine))
    }

    /// Takes over the commits that an engine lacks.
    fn replay(&self, engine: Engine) -> Result<Following, Failed> {
        loop {
            let commits = match self.journal.read(&engine.head(), READ_AT_ONCE) {
                Ok(Reading::Commits(commits)) => commits,
                // The copy is made anew.
                Ok(Reading::Forgotten | Reading::Elsewhere) => {
                    self.place.set(Role::default());
                    drop(engine);
                    return self.read_on(Following::Not);
                }
                Err(why) => return Err((Following::Answers(engine), Some(why.to_string()))),
            };
            if commits.is_empty() {
                if !engine.has_present_format() {
                    let why = "another version has changed the format of the store".to_owned();
                    return Err((Following::Not, Some(why)));
                }
                return Ok(Following::Answers(engine));
            }
            if !commits.iter().all(|commit| engine.shared().replay(commit)) {
                let why = engine.failure().map_or_else(|| "the copy cannot be written".to_owned(), |it| it.cause);
                return Err((Following::Not, Some(why)));
            }
        }
    }

    /// Begins a term that was won: the engine has all commits before it, and takes commands from then on.
    fn begin(&self, following: Following, term: u64, head: &Head, since: Moment) -> Result<Next, Failed> {
        let begun = self.read_on(following).and_then(|following| match following {
            Following::Answers(engine) if engine.head() == *head => {
                engine.shared().lead(term);
                Ok(engine)
            }
            Following::Silent(copy) if copy.head == *head => {
                let opened = (self.builder)().lead_copy(copy.backend, Arc::clone(&self.journal), term);
                opened.map_err(|why| (Following::Not, unless_in_use(&why)))
            }
            other => Err((other, Some("the copy does not come to the head of the shared journal".to_owned()))),
        });
        match begun {
            Ok(engine) => Ok(Next::Leads(Term { engine, number: term, since })),
            Err(failed) => {
                // Somebody else may be able to. If this fails, the lease ends by itself.
                let _ = self.journal.resign(term);
                Err(failed)
            }
        }
    }

    /// Says when the clock of this server, which leads, is off. Gives whether it was set wrong in this term, and another server is to lead: when
    /// the journal's is the wrong one, nobody would be better.
    fn clock_was_set(&self, own: &OwnClock) -> bool {
        let Ok((_, trouble)) = self.look() else { return false };
        self.told(trouble.map(str::to_owned));
        trouble.is_some() && own.was_set_by((self.builder)().now()) > self.options.clock_tolerance
    }

    /// Leads until the term ends. Gives the moment of it if another server has ended it.
    fn lead(&self, term: Term) -> Option<Moment> {
        let Term { engine, number, since } = term;
        let lease = self.options.lease();
        let believed = lease.saturating_sub(lease / 10);
        trace::leads(number);
        self.place.believe(since, believed);
        self.place.set(Role::Leads { engine: engine.clone(), term: number });
        let own = OwnClock { began: Instant::now(), showed: (self.builder)().now() };
        let mut renewed = since;
        loop {
            self.pause(LOOK.min(lease / RENEWALS));
            if self.place.is_retired() || engine.failure().is_some() {
                break;
            }
            if renewed.elapsed() < lease / RENEWALS {
                continue;
            }
            renewed = Moment::now();
            let published = engine.head();
            match self.journal.renew(number, lease) {
                Ok(Some(head)) if holds(&head, &published) => {
                    self.place.believe(renewed, believed);
                    if self.clock_was_set(&own) {
                        break;
                    }
                }
                // Another term has begun, or the journal has lost commits that were answered.
                Ok(_) => engine.shared().depose(),
                Err(why) => self.told(Some(why.to_string())),
            }
        }
        let deposed = engine.shared().is_deposed();
        self.place.set(Role::default());
        // What was answered is in the journal; what is under way is refused, or answered, before the engine closes.
        drop(engine);
        if !deposed {
            // If this fails, the lease ends by itself.
            let _ = self.journal.resign(number);
        }
        trace::led(number);
        deposed.then(Moment::now)
    }
}

/// Whether a history that ends with `last` may hold a commit that was its end a moment ago.
fn holds(last: &Head, before: &Head) -> bool {
    let newer = last.position.number > before.position.number;
    newer || last == before
}

/// What is followed after a step that failed, and why it did, if that is to be said.
type Failed = (Following, Option<String>);

/// What is to be said of a copy that cannot be opened. Queries that are under way hold it for a moment after the role has changed.
fn unless_in_use(why: &OpenError) -> Option<String> {
    (!matches!(why, OpenError::InUse { .. })).then(|| why.to_string())
}

/// What comes after a step.
enum Next {
    Leads(Term),
    /// And what keeps this server from leading.
    Follows(Following, Option<String>),
}

impl Following {
    fn engine(&self) -> Option<Engine> {
        match self {
            Self::Answers(engine) => Some(engine.clone()),
            Self::Not | Self::Silent(_) => None,
        }
    }
}
