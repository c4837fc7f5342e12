//! dogwatch beside what a Rust program would use instead, on the same work, in one run.
//!
//! The alternatives keep the same things in tables: SQLite (WAL, `synchronous=FULL`) inside the program, and PostgreSQL
//! (`fsync` on) behind a Unix socket. Each command is one transaction with the checks that the rules need, with prepared
//! statements and the indexes that the lists need. `README.md` says what is and is not measured.

mod machine;
mod ours;
mod postgresql;
mod sql;
mod sqlite;

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// How long a caller goes on in one round.
const ROUND: Duration = Duration::from_millis(1_500);
const ROUNDS: usize = 3;
/// How many incidents there are before anything is measured.
const FILLED: usize = 2_000;

pub(crate) type Id = [u8; 16];
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Something that keeps incidents.
pub(crate) trait Subject: Sync {
    fn name(&self) -> &'static str;
    /// A session for one caller.
    fn session(&self) -> Result<Box<dyn Session + Send + '_>, Failure>;
}

/// What a caller does. Every change is durable when the call returns.
pub(crate) trait Session {
    fn create(&mut self) -> Result<Id, Failure>;
    fn change_status(&mut self, incident: Id) -> Result<(), Failure>;
    fn post_update(&mut self, incident: Id) -> Result<(), Failure>;
    fn acknowledge(&mut self, incident: Id) -> Result<(), Failure>;
    /// With status history and audit trail; gives how many entries they have.
    fn get(&mut self, incident: Id) -> Result<usize, Failure>;
    /// The newest 20, of one status if so asked; gives how many there are.
    fn page(&mut self, investigating: bool) -> Result<usize, Failure>;
}

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Create,
    ChangeStatus,
    PostUpdate,
    Acknowledge,
    Get,
    Page,
    PageOfStatus,
}

impl Work {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Create, "create incident"),
        (Self::ChangeStatus, "change status"),
        (Self::PostUpdate, "post update"),
        (Self::Acknowledge, "acknowledge"),
        (Self::Get, "get by id"),
        (Self::Page, "page of 20"),
        (Self::PageOfStatus, "page of 20, by status"),
    ];

    fn once(self, session: &mut dyn Session, ids: &[Id], fresh: &mut Vec<Id>, turn: usize) -> Result<(), Failure> {
        let any = ids[turn % ids.len()];
        match self {
            Self::Create => drop(session.create()?),
            Self::ChangeStatus => session.change_status(fresh.pop().ok_or("no incident is left to change")?)?,
            Self::Acknowledge => session.acknowledge(fresh.pop().ok_or("no incident is left to acknowledge")?)?,
            Self::PostUpdate => session.post_update(any)?,
            Self::Get => assert!(session.get(any)? >= 2),
            Self::Page => assert_eq!(session.page(false)?, 20),
            Self::PageOfStatus => assert_eq!(session.page(true)?, 20),
        }
        Ok(())
    }

    /// Whether each incident is good for one of these only.
    fn uses_up(self) -> bool {
        matches!(self, Self::ChangeStatus | Self::Acknowledge)
    }
}

/// Calls per second, and the latencies at the 50th and 99th percentile in microseconds.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    half: f64,
    most: f64,
}

fn round(subject: &dyn Subject, work: Work, callers: usize, ids: &[Id]) -> Result<Rate, Failure> {
    let barrier = Barrier::new(callers);
    let one = |caller: usize| -> Result<(Vec<f64>, f64), Failure> {
        let mut session = subject.session()?;
        // Enough for a caller that is as quick as any was.
        let spare = if work.uses_up() { 12_000 / callers.max(4) } else { 0 };
        let mut fresh = (0..spare).map(|_| session.create()).collect::<Result<Vec<_>, _>>()?;
        barrier.wait();
        let (began, mut took) = (Instant::now(), Vec::new());
        while began.elapsed() < ROUND && (spare == 0 || !fresh.is_empty()) {
            let call = Instant::now();
            work.once(&mut *session, ids, &mut fresh, caller * 7_919 + took.len())?;
            took.push(call.elapsed().as_secs_f64());
        }
        Ok((took, began.elapsed().as_secs_f64()))
    };
    let done: Result<Vec<_>, Failure> = thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|caller| scope.spawn(move || one(caller))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a caller panicked")?).collect()
    });
    let done = done?;
    // Until the last is done: where one caller keeps the others waiting, they count.
    let span = done.iter().map(|(_, span)| *span).fold(0.0, f64::max);
    let per_second = done.iter().map(|(took, _)| took.len()).sum::<usize>() as f64 / span;
    let mut took: Vec<f64> = done.into_iter().flat_map(|(took, _)| took).collect();
    took.sort_by(f64::total_cmp);
    let at = |part: f64| took.get((took.len() as f64 * part) as usize).copied().unwrap_or_default() * 1e6;
    Ok(Rate { per_second, half: at(0.5), most: at(0.99) })
}

fn median(mut rates: Vec<Rate>) -> Rate {
    rates.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rates[rates.len() / 2]
}

fn main() -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    machine::limits(scratch.path())?;
    let ours = ours::Ours::open(&scratch.path().join("dogwatch"))?;
    let sqlite = sqlite::Sqlite::open(&scratch.path().join("sqlite"))?;
    let postgres = postgresql::Postgres::start(&scratch.path().join("postgres"));
    let mut subjects: Vec<&dyn Subject> = vec![&ours, &sqlite];
    match &postgres {
        Ok(postgres) => subjects.push(postgres),
        Err(error) => println!("\nPostgreSQL is left out: {error}"),
    }
    let mut ids = Vec::new();
    for subject in &subjects {
        let mut session = subject.session()?;
        ids.push((0..FILLED).map(|_| session.create()).collect::<Result<Vec<_>, _>>()?);
    }
    println!("\ncalls per second, median of {ROUNDS} rounds of {ROUND:?}; 50th and 99th percentile in µs\n");
    println!("{:<24} {:>7}  {:<12} {:>9} {:>9} {:>9}  dogwatch is", "work", "callers", "", "per s", "50th", "99th");
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for (work, what) in Work::ALL.into_iter().filter(|(_, what)| what.contains(&wanted)) {
        for callers in [1, 8, 64] {
            let mut rates: Vec<Vec<Rate>> = vec![Vec::new(); subjects.len()];
            for _ in 0..ROUNDS {
                for ((subject, ids), rates) in subjects.iter().zip(&ids).zip(&mut rates) {
                    rates.push(round(*subject, work, callers, ids)?);
                }
            }
            let rates: Vec<Rate> = rates.into_iter().map(median).collect();
            for (subject, rate) in subjects.iter().zip(&rates) {
                let beside = if subject.name() == "dogwatch" {
                    String::new()
                } else {
                    format!("{:.1} x", rates[0].per_second / rate.per_second)
                };
                let (name, Rate { per_second, half, most }) = (subject.name(), rate);
                println!("{what:<24} {callers:>7}  {name:<12} {per_second:>9.0} {half:>9.0} {most:>9.0}  {beside}");
            }
        }
    }
    Ok(())
}
