//! What a tick costs: a thousand due timers, among a thousand and among a million; and what a policy adds to an incident.
//!
//! Reach: the two ticks within 1.5 times of each other; a thousand timers fired, durable, for less than a hundred durable
//! commits.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::time::{Duration, Instant};

use dogwatch_core::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_core::id::PolicyId;
use dogwatch_core::incident::{CreateIncident, Severity};
use dogwatch_core::oncall::{AddRotationLayer, CreateSchedule, LayerSettings, RotationLength};
use dogwatch_core::organization::OrganizationCreated;
use dogwatch_core::team::{AddMember, Role};
use dogwatch_core::{Actor, Timestamp, UserId};
use dogwatch_store::{Engine, ManualClock};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{line, median, shown};

const ROUNDS: usize = 7;
const DUE: u32 = 1_000;
const PENDING: u32 = 1_000_000;
const BEGINNING: i64 = 1_775_556_000_000;
/// How many commands wait at once while a store is filled.
const AHEAD: usize = 2_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::clamped(BEGINNING + seconds * 1_000)
}

/// A store, its clock, and policies of three layers. One waits five minutes, one a week.
struct Bench {
    engine: Engine,
    clock: ManualClock,
    ada: Actor,
    owner: UserId,
    short: PolicyId,
    long: PolicyId,
    _folder: Option<tempfile::TempDir>,
}

impl Bench {
    fn on_disk() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let clock = ManualClock::at(at(0));
        let engine = Engine::builder().clock(clock.clone()).open(folder.path()).unwrap();
        Self::with(engine, clock, Some(folder))
    }

    fn in_memory() -> Self {
        let clock = ManualClock::at(at(0));
        Self::with(Engine::builder().clock(clock.clone()).in_memory().unwrap(), clock, None)
    }

    fn with(engine: Engine, clock: ManualClock, folder: Option<tempfile::TempDir>) -> Self {
        let created = organization(&engine);
        let people: Vec<_> = (0..20).map(|n| join(&engine, &created, n)).collect();
        let ada = created.actor();
        let schedule = schedule(&engine, &ada, &people);
        let short = policy(&engine, &ada, "Short", 5, schedule, &people);
        let long = policy(&engine, &ada, "Long", 10_080, schedule, &people);
        Self { engine, clock, ada, owner: created.admin.member.id, short, long, _folder: folder }
    }

    fn incident(&self, policy: Option<PolicyId>) -> CreateIncident {
        CreateIncident {
            escalation_policy_id: policy,
            ..CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, self.owner)
        }
    }

    /// Opens so many incidents on a policy, a millisecond apart.
    fn fill(&self, policy: Option<PolicyId>, count: u32) {
        let numbers: Vec<_> = (0..count).collect();
        for chunk in numbers.chunks(AHEAD) {
            self.clock.advance(Duration::from_millis(1));
            let open = |_| self.engine.submit(self.incident(policy), &self.ada).unwrap();
            let pending: Vec<_> = chunk.iter().map(open).collect();
            pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
        }
    }

    /// Seconds for ticks at which a thousand runs are due: first each pages its second layer, then its third.
    fn ticks(&self) -> [f64; 2] {
        self.fill(Some(self.short), DUE);
        let took = [(); 2].map(|()| {
            self.clock.advance(Duration::from_secs(6 * 60));
            let began = Instant::now();
            let ticked = self.engine.tick(self.engine.now()).unwrap();
            assert!(ticked.fired == usize::try_from(DUE).unwrap() && ticked.failed == 0, "{ticked:?}");
            began.elapsed().as_secs_f64()
        });
        self.run_out();
        took
    }

    /// Seconds for one durable command.
    fn commit(&self, policy: Option<PolicyId>) -> f64 {
        let began = Instant::now();
        for _ in 0..200 {
            self.engine.execute(self.incident(policy), &self.ada).unwrap();
        }
        let took = began.elapsed().as_secs_f64() / 200.0;
        self.run_out();
        took
    }

    /// Lets every short run come to its end, so that the next round finds none of them.
    fn run_out(&self) {
        for _ in 0..3 {
            self.clock.advance(Duration::from_secs(6 * 60));
            self.engine.tick(self.engine.now()).unwrap();
        }
    }

    /// Seconds for one of many commands at once.
    fn create(&self, policy: Option<PolicyId>) -> f64 {
        let began = Instant::now();
        self.fill(policy, 4_000);
        let took = began.elapsed().as_secs_f64() / 4_000.0;
        self.run_out();
        took
    }
}

fn join(engine: &Engine, created: &OrganizationCreated, n: usize) -> UserId {
    let add = AddMember::new(
        created.organization.id,
        format!("user{n}@example.com").parse().unwrap(),
        "User".parse().unwrap(),
        n.to_string().parse().unwrap(),
        Role::Member,
    );
    engine.execute(add, &Actor::Operator).unwrap().member.id
}

fn schedule(engine: &Engine, ada: &Actor, people: &[UserId]) -> dogwatch_core::id::ScheduleId {
    let create =
        CreateSchedule { name: "Night".parse().unwrap(), description: None, timezone: "Europe/Berlin".to_owned() };
    let schedule = engine.execute(create, ada).unwrap().id;
    let handoff = "09:00".parse().unwrap();
    let settings = LayerSettings::new(RotationLength::DAILY, handoff, at(-1_000_000), people.to_vec());
    let add = AddRotationLayer { schedule_id: schedule, name: "Daily".parse().unwrap(), settings };
    engine.execute(add, ada).unwrap();
    schedule
}

fn policy(
    engine: &Engine,
    ada: &Actor,
    name: &str,
    minutes: i64,
    schedule: dogwatch_core::id::ScheduleId,
    people: &[UserId],
) -> PolicyId {
    let policy = engine.execute(CreatePolicy { name: name.parse().unwrap(), description: None }, ada).unwrap().id;
    let targets = [
        Target::users(vec![people[0]]).unwrap(),
        Target::Schedule(schedule),
        Target::users(people[..2].to_vec()).unwrap(),
    ];
    for (position, target) in (1..).zip(targets) {
        let (position, ack_timeout) = (Position::new(position).unwrap(), AckTimeout::from_minutes(minutes).unwrap());
        engine.execute(AddPolicyLayer { policy_id: policy, position, ack_timeout, target }, ada).unwrap();
    }
    policy
}

/// The medians of rounds, column by column.
fn medians<const N: usize>(rounds: &[[f64; N]]) -> [f64; N] {
    let mut column = 0..N;
    [(); N].map(|()| {
        let column = column.next().unwrap();
        median(rounds.iter().map(|round| round[column]).collect())
    })
}

fn main() {
    println!("\nticks at which {DUE} runs are due (median of {ROUNDS} rounds)\n");
    let (among_few, among_many, memory) = (Bench::on_disk(), Bench::on_disk(), Bench::in_memory());
    let began = Instant::now();
    among_many.fill(Some(among_many.long), PENDING);
    println!("{PENDING} runs that wait, written in {}\n", shown(began.elapsed().as_secs_f64()));
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let ([few_one, few_two], [many_one, many_two]) = (among_few.ticks(), among_many.ticks());
            let commits = [among_few.commit(None), among_few.commit(Some(among_few.short))];
            [few_one, few_two, many_one, many_two, commits[0], commits[1]]
        })
        .collect();
    let [few_one, few_two, many_one, many_two, commit, with] = medians(&rounds);
    line("one durable commit (an incident without a policy)", &shown(commit), "");
    line("the same with a policy of three layers", &shown(with), &format!("{:.2} x", with / commit));
    let beside = |few: f64| format!("{:.0} durable commits, of 100 allowed", few / commit);
    let ratio = |many: f64, few: f64| format!("{:.2} x among 1,000, of 1.5 allowed", many / few);
    line("each pages who is on call, among 1,000", &shown(few_one), &beside(few_one));
    line("each pages who is on call, among 1,000,000", &shown(many_one), &ratio(many_one, few_one));
    line("each pages two users, among 1,000", &shown(few_two), &beside(few_two));
    line("each pages two users, among 1,000,000", &shown(many_two), &ratio(many_two, few_two));

    // Without a disk the work itself shows.
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let [one, two] = memory.ticks();
            [one, two, memory.create(None), memory.create(Some(memory.short))]
        })
        .collect();
    let [one, two, without, with] = medians(&rounds);
    println!();
    line("in memory: each pages who is on call", &shown(one), "");
    line("in memory: each pages two users", &shown(two), "");
    line("in memory: an incident without a policy", &shown(without), "");
    line("in memory: an incident with one", &shown(with), &format!("{:.2} x", with / without));
}
