//! dogwatch beside what a Rust program would use instead, on the same work, in one run.
//!
//! The alternatives keep the same things in tables: SQLite (WAL, `synchronous=FULL`) inside the program, and PostgreSQL
//! (`fsync` on) behind a Unix socket. Each command is one transaction with the checks that the rules need, with prepared
//! statements and the indexes that the lists need. `README.md` says what is and is not measured.

mod groups;
mod machine;
mod ours;
mod postgresql;
mod raw;
mod rota;
mod sql;
mod sqlite;
mod work;

use std::time::Instant;

use clap::Parser;

use work::{DUE, Known, ROUND, Rate, Work, round, tick};

const ROUNDS: usize = 3;
/// How many incidents have a long trail, and how many updates each of them.
const LONG: usize = 20;
const UPDATES: usize = 50;
/// How many incidents there are before raw sled is given the same bytes.
const GROUPED: usize = 2_000;

/// As the `dogwatch` program has it. SQLite has memory from the system's allocator all the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub(crate) type Id = [u8; 16];
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures dogwatch, SQLite and PostgreSQL on the same work, in one run.
#[derive(Parser)]
struct Args {
    /// Only the work whose name holds this.
    #[arg(long, default_value = "")]
    work: String,
    /// Only the subjects whose name holds this.
    #[arg(long, default_value = "")]
    only: String,
    /// With how many callers at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    callers: Vec<usize>,
    /// How many incidents there are before anything is measured; each number is a run of its own.
    #[arg(long, value_delimiter = ',', default_values_t = [2_000, 1_000_000])]
    incidents: Vec<usize>,
}

impl Args {
    fn work(&self) -> impl Iterator<Item = (Work, &'static str)> {
        Work::ALL.into_iter().filter(|(_, what)| what.contains(&self.work))
    }
}

/// Something that keeps incidents.
pub(crate) trait Subject: Sync {
    fn name(&self) -> &'static str;
    /// A session for one caller.
    fn session(&self) -> Result<Box<dyn Session + Send + '_>, Failure>;
    /// Brings in so many new incidents, as fast as it goes; gives their ids.
    fn fill(&self, count: usize) -> Result<Vec<Id>, Failure>;
    /// Brings in so many new incidents that wait for their first of three layers, which gives them five minutes.
    fn escalate(&self, count: usize) -> Result<(), Failure>;
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
    /// Whether somebody is on call now: a daily rotation of five in America/New_York, with two overrides.
    fn on_call(&mut self) -> Result<bool, Failure>;
    /// Pages the next layer of what is due in six minutes; gives how many went on.
    fn tick(&mut self) -> Result<usize, Failure>;
}

/// Fills a subject.
fn known(subject: &dyn Subject, incidents: usize) -> Result<Known, Failure> {
    let began = Instant::now();
    let mut any = subject.fill(incidents)?;
    let took = began.elapsed();
    let long = any.split_off(any.len() - LONG);
    let mut session = subject.session()?;
    long.iter().try_for_each(|id| (0..UPDATES).try_for_each(|_| session.post_update(*id)))?;
    // From all over the store.
    let step = any.len().div_ceil(10_000);
    Ok(Known { any: any.into_iter().step_by(step).collect(), long, took })
}

/// The rounds of one kind of work: each subject in turn, so that what else the machine does hits all alike.
fn compare(
    subjects: &[&dyn Subject],
    what: &str,
    callers: usize,
    measure: impl Fn(usize) -> Result<Rate, Failure>,
) -> Result<(), Failure> {
    let mut rates: Vec<Vec<Rate>> = vec![Vec::new(); subjects.len()];
    for _ in 0..ROUNDS {
        for (subject, rates) in rates.iter_mut().enumerate() {
            rates.push(measure(subject)?);
        }
    }
    let rates: Vec<Rate> = rates.into_iter().map(Rate::median).collect();
    for (subject, rate) in subjects.iter().zip(&rates) {
        let beside = match subject.name() {
            ours::NAME => String::new(),
            _ => format!("{:.1} x", rates[0].per_second / rate.per_second),
        };
        let (name, Rate { per_second, half, most, .. }) = (subject.name(), rate);
        println!("{what:<24} {callers:>7}  {name:<12} {per_second:>9.0} {half:>9.0} {most:>9.0}  {beside}");
    }
    Ok(())
}

/// Everything, on stores of one size.
fn run(args: &Args, incidents: usize) -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let ours = ours::Ours::open(&scratch.path().join("dogwatch"))?;
    let sqlite = sqlite::Sqlite::open(&scratch.path().join("sqlite"))?;
    let postgres = postgresql::Postgres::start(&scratch.path().join("postgres"));
    let mut subjects: Vec<&dyn Subject> = vec![&ours, &sqlite];
    match &postgres {
        Ok(postgres) => subjects.push(postgres),
        Err(error) => println!("\nPostgreSQL is left out: {error}"),
    }
    subjects.retain(|subject| subject.name().contains(&args.only));
    println!();
    let known: Vec<_> = subjects.iter().map(|subject| known(*subject, incidents)).collect::<Result<_, _>>()?;
    for (subject, known) in subjects.iter().zip(&known) {
        println!("{:<12} {incidents} incidents brought in within {:.1} s", subject.name(), known.took.as_secs_f64());
    }
    println!("\ncalls per second, median of {ROUNDS} rounds of {ROUND:?}; 50th and 99th percentile in µs\n");
    println!("{:<24} {:>7}  {:<12} {:>9} {:>9} {:>9}  dogwatch is", "work", "callers", "", "per s", "50th", "99th");
    for (work, what) in args.work() {
        for &callers in &args.callers {
            let once = |at: usize| round(subjects[at], work, callers, &known[at], work.fresh(subjects[at], callers)?);
            compare(&subjects, what, callers, once)?;
        }
    }
    if "tick".contains(&args.work) {
        compare(&subjects, &format!("tick, {DUE} runs due"), 1, |at| tick(subjects[at]))?;
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    machine::limits(tempfile::tempdir()?.path())?;
    args.incidents.iter().try_for_each(|incidents| run(&args, *incidents))?;
    let groups: Vec<_> = args.work().filter(|(work, _)| work.is_durable()).collect();
    if groups.is_empty() || !ours::NAME.contains(&args.only) {
        return Ok(());
    }
    println!(
        "\nraw sled and a bare file with the same bytes in the same groups; calls per second, median of {ROUNDS} rounds\n"
    );
    println!(
        "{:<24} {:>7}  {:>9} {:>9} {:>9} {:>9}  of sled  of a file",
        "work", "callers", "dogwatch", "sled", "a file", "a group"
    );
    for (work, what) in groups {
        args.callers.iter().try_for_each(|callers| groups::compare(what, work, *callers, GROUPED))?;
    }
    Ok(())
}
