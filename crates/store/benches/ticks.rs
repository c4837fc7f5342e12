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

use dogwatch_core::{
    AckTimeout, Actor, AddMember, AddPolicyLayer, AddRotationLayer, CreateIncident, CreatePolicy, CreateSchedule,
    LayerSettings, OrganizationCreated, PolicyId, Position, Role, RotationLength, Severity, Target, Timestamp, UserId,
};
use dogwatch_store::{Engine, ManualClock};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{line, median, shown};

const ROUNDS: usize = 7;
const DUE: u32 = 1_000;
const BEGINNING: i64 = 1_775_556_000_000;
/// How many commands wait at once while a store is filled.
const AHEAD: usize = 2_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::clamped(BEGINNING + seconds * 1_000)
}

/// A store, its clock, and policies of three layers: a user, a schedule, three users. One waits five minutes, one a week.
struct Bench {
    engine: Engine,
    clock: ManualClock,
    ada: Actor,
    owner: UserId,
    short: PolicyId,
    long: PolicyId,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let clock = ManualClock::at(at(0));
        let engine = Engine::builder().clock(clock.clone()).open(folder.path()).unwrap();
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
    fn fill(&self, policy: PolicyId, count: u32) {
        let numbers: Vec<_> = (0..count).collect();
        for chunk in numbers.chunks(AHEAD) {
            self.clock.advance(Duration::from_millis(1));
            let open = |_| self.engine.submit(self.incident(Some(policy)), &self.ada).unwrap();
            let pending: Vec<_> = chunk.iter().map(open).collect();
            pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
        }
    }

    /// Seconds for a tick at which a thousand runs are due: each pages its second layer.
    fn tick(&self) -> f64 {
        self.fill(self.short, DUE);
        self.clock.advance(Duration::from_secs(6 * 60));
        let began = Instant::now();
        let ticked = self.engine.tick(self.engine.now()).unwrap();
        let took = began.elapsed().as_secs_f64();
        assert!(ticked.fired >= usize::try_from(DUE).unwrap() && ticked.failed == 0);
        // Let the rest of these runs end, so that the next round has as many due.
        for _ in 0..3 {
            self.clock.advance(Duration::from_secs(6 * 60));
            self.engine.tick(self.engine.now()).unwrap();
        }
        took
    }

    /// Seconds for one durable command.
    fn commit(&self, policy: Option<PolicyId>) -> f64 {
        let began = Instant::now();
        for _ in 0..200 {
            self.engine.execute(self.incident(policy), &self.ada).unwrap();
        }
        began.elapsed().as_secs_f64() / 200.0
    }
}

fn join(engine: &Engine, created: &OrganizationCreated, n: usize) -> UserId {
    let add = AddMember {
        org: created.organization.id,
        email: format!("user{n}@example.com").parse().unwrap(),
        first_name: "User".parse().unwrap(),
        last_name: n.to_string().parse().unwrap(),
        role: Role::Member,
    };
    engine.execute(add, &Actor::Operator).unwrap().member.id
}

fn schedule(engine: &Engine, ada: &Actor, people: &[UserId]) -> dogwatch_core::ScheduleId {
    let create =
        CreateSchedule { name: "Night".parse().unwrap(), description: None, timezone: "Europe/Berlin".to_owned() };
    let schedule = engine.execute(create, ada).unwrap().id;
    for (name, people) in [("first", &people[..5]), ("second", &people[5..])] {
        let handoff = "09:00".parse().unwrap();
        let settings = LayerSettings::new(RotationLength::DAILY, handoff, at(-1_000_000), None, people.to_vec());
        let add = AddRotationLayer { schedule, name: name.parse().unwrap(), settings: settings.unwrap() };
        engine.execute(add, ada).unwrap();
    }
    schedule
}

fn policy(
    engine: &Engine,
    ada: &Actor,
    name: &str,
    minutes: i64,
    schedule: dogwatch_core::ScheduleId,
    people: &[UserId],
) -> PolicyId {
    let policy = engine.execute(CreatePolicy { name: name.parse().unwrap(), description: None }, ada).unwrap().id;
    let targets = [
        Target::users(vec![people[0]]).unwrap(),
        Target::Schedule(schedule),
        Target::users(people[..3].to_vec()).unwrap(),
    ];
    for (position, target) in (1..).zip(targets) {
        let (position, ack_timeout) = (Position::new(position).unwrap(), AckTimeout::from_minutes(minutes).unwrap());
        engine.execute(AddPolicyLayer { policy, position, ack_timeout, target }, ada).unwrap();
    }
    policy
}

fn main() {
    println!(
        "\na tick with {DUE} due, each resolves a schedule of two layers and pages two (median of {ROUNDS} rounds)\n"
    );
    let among_few = Bench::new();
    let among_many = Bench::new();
    let began = Instant::now();
    among_many.fill(among_many.long, std::env::var("PENDING").map_or(1_000_000, |n| n.parse().unwrap()));
    println!("1000000 runs that wait, written in {}", shown(began.elapsed().as_secs_f64()));
    let (mut few, mut many, mut commit, mut with) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        few.push(among_few.tick());
        many.push(among_many.tick());
        commit.push(among_few.commit(None));
        with.push(among_few.commit(Some(among_few.short)));
    }
    let (few, many, commit, with) = (median(few), median(many), median(commit), median(with));
    line("one durable commit (an incident without a policy)", &shown(commit), "");
    line("tick among 1,000 that wait", &shown(few), &format!("{:.0} durable commits, of 100 allowed", few / commit));
    line("tick among 1,000,000 that wait", &shown(many), &format!("{:.2} x the other, of 1.5 allowed", many / few));
    line("an incident with a policy of three layers", &shown(with), &format!("{:.2} x without", with / commit));

    // In memory, the work itself shows.
    let engine = Engine::builder().clock(ManualClock::at(at(0))).in_memory().unwrap();
    let created = organization(&engine);
    let people: Vec<_> = (0..20).map(|n| join(&engine, &created, n)).collect();
    let ada = created.actor();
    let schedule = schedule(&engine, &ada, &people);
    let policy = policy(&engine, &ada, "Short", 5, schedule, &people);
    let rate = |policy: Option<PolicyId>| {
        let create = || CreateIncident {
            escalation_policy_id: policy,
            ..CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, created.admin.member.id)
        };
        let round = |_| {
            let began = Instant::now();
            let pending: Vec<_> = (0..4_000).map(|_| engine.submit(create(), &ada).unwrap()).collect();
            pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
            began.elapsed().as_secs_f64() / 4_000.0
        };
        median((0..ROUNDS).map(round).collect())
    };
    let (without, with) = (rate(None), rate(Some(policy)));
    line("in memory: an incident without a policy", &shown(without), "");
    line("in memory: an incident with one", &shown(with), &format!("{:.2} x without", with / without));
}
