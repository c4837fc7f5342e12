//! The work, and how it is measured.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_testkit::measure::percentile;

use super::{Failure, Id, Session, Subject};

/// How long a caller goes on in one round.
pub(crate) const ROUND: Duration = Duration::from_secs(1);
/// How many incidents a round gets that needs new ones: enough for a caller that is as quick as any was.
const FRESH: usize = 60_000;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Work {
    Get,
    GetLong,
    Page,
    PageOfStatus,
    OnCall,
    Create,
    ChangeStatus,
    PostUpdate,
    Acknowledge,
}

/// Incidents that a subject holds: some of all, and a few with long trails.
pub(crate) struct Known {
    pub(crate) any: Vec<Id>,
    pub(crate) long: Vec<Id>,
    /// How long it took to bring them all in.
    pub(crate) took: Duration,
}

impl Work {
    pub(crate) const ALL: [(Self, &'static str); 9] = [
        (Self::Get, "get by id"),
        (Self::GetLong, "get by id, 50 updates"),
        (Self::Page, "page of 20"),
        (Self::PageOfStatus, "page of 20, by status"),
        (Self::OnCall, "resolve on call"),
        (Self::Create, "create incident"),
        (Self::ChangeStatus, "change status"),
        (Self::PostUpdate, "post update"),
        (Self::Acknowledge, "acknowledge"),
    ];

    fn once(self, session: &mut dyn Session, known: &Known, fresh: &mut Vec<Id>, turn: usize) -> Result<(), Failure> {
        let any = known.any[turn % known.any.len()];
        match self {
            Self::Get => assert!(session.get(any)? >= 2),
            Self::GetLong => assert!(session.get(known.long[turn % known.long.len()])? >= 50),
            Self::Page => assert_eq!(session.page(false)?, 20),
            Self::PageOfStatus => assert_eq!(session.page(true)?, 20),
            Self::OnCall => assert!(session.on_call()?),
            Self::Create => drop(session.create()?),
            Self::ChangeStatus => session.change_status(fresh.pop().ok_or("no incident is left to change")?)?,
            Self::Acknowledge => session.acknowledge(fresh.pop().ok_or("no incident is left to acknowledge")?)?,
            Self::PostUpdate => session.post_update(any)?,
        }
        Ok(())
    }

    /// Whether it changes something.
    pub(crate) fn is_durable(self) -> bool {
        matches!(self, Self::Create | Self::ChangeStatus | Self::PostUpdate | Self::Acknowledge)
    }

    /// New incidents for one round, if each is good for one of these only.
    pub(crate) fn fresh(self, subject: &dyn Subject, callers: usize) -> Result<Vec<Id>, Failure> {
        match self {
            Self::ChangeStatus | Self::Acknowledge => subject.fill(FRESH.min(callers * FRESH / 6)),
            _ => Ok(Vec::new()),
        }
    }
}

/// How many calls there were, how many per second, and the latencies at the 50th and 99th percentile in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) calls: usize,
    pub(crate) per_second: f64,
    pub(crate) half: f64,
    pub(crate) most: f64,
}

impl Rate {
    /// Of calls that took so many seconds each, in so many seconds.
    pub(crate) fn of(calls: usize, mut took: Vec<f64>, span: f64) -> Self {
        took.sort_by(f64::total_cmp);
        let at = |hundredths| percentile(&took, hundredths) * 1e6;
        Self { calls, per_second: calls as f64 / span, half: at(50), most: at(99) }
    }

    pub(crate) fn median(mut rates: Vec<Self>) -> Self {
        rates.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rates[rates.len() / 2]
    }
}

/// One round of one kind of work, by so many callers at once.
pub(crate) fn round(
    subject: &dyn Subject,
    work: Work,
    callers: usize,
    known: &Known,
    mut fresh: Vec<Id>,
) -> Result<Rate, Failure> {
    let share = fresh.len() / callers;
    let shares: Vec<_> = (0..callers).map(|_| fresh.split_off(fresh.len() - share)).collect();
    let barrier = Barrier::new(callers);
    let one = |caller: usize, mut fresh: Vec<Id>| -> Result<(Vec<f64>, f64), Failure> {
        let session = subject.session();
        barrier.wait();
        let mut session = session?;
        let (began, mut took) = (Instant::now(), Vec::new());
        while began.elapsed() < ROUND && (share == 0 || !fresh.is_empty()) {
            let call = Instant::now();
            work.once(&mut *session, known, &mut fresh, caller * 7_919 + took.len())?;
            took.push(call.elapsed().as_secs_f64());
        }
        Ok((took, began.elapsed().as_secs_f64()))
    };
    let one = &one;
    let done: Result<Vec<_>, Failure> = thread::scope(|scope| {
        let threads = shares.into_iter().enumerate().map(|(caller, fresh)| scope.spawn(move || one(caller, fresh)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a caller panicked")?).collect()
    });
    let done = done?;
    // Until the last is done: where one caller keeps the others waiting, they count.
    let span = done.iter().map(|(_, span)| *span).fold(0.0, f64::max);
    let took: Vec<f64> = done.into_iter().flat_map(|(took, _)| took).collect();
    Ok(Rate::of(took.len(), took, span))
}

/// How many runs are due at each tick.
pub(crate) const DUE: usize = 1_000;

/// One tick at which so many runs go on to their second layer.
pub(crate) fn tick(subject: &dyn Subject) -> Result<Rate, Failure> {
    subject.escalate(DUE)?;
    let mut session = subject.session()?;
    let began = Instant::now();
    assert_eq!(session.tick()?, DUE);
    let took = began.elapsed().as_secs_f64();
    Ok(Rate::of(DUE, vec![took], took))
}
