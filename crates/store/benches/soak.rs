//! Ten minutes of mixed load, minute by minute: does it slow down, does memory grow?
//!
//! Eight callers give a command every 20 ms each, 400 a second together, and ask ten queries after each; a ticker fires what
//! is due, and a deliverer claims and confirms pages. That is some thirty million commands a day. `DOGWATCH_SOAK_SECONDS`
//! says for how long. At the end the store is verified.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_core::escalation::{AckTimeout, AddPolicyLayer, CreatePolicy, Position, Target};
use dogwatch_core::id::{IncidentId, PolicyId};
use dogwatch_core::incident::{
    AcknowledgeIncident, ChangeStatus, CreateIncident, GetIncident, IncidentFilter, ListIncidents, PostUpdate,
    Severity, Status,
};
use dogwatch_core::outbox::Notification;
use dogwatch_core::{Actor, UserId};
use dogwatch_store::Engine;
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{percentile, resident, shown};
use dogwatch_testkit::simulation::Random;
use dogwatch_testkit::times;

const CALLERS: u64 = 8;
/// From one command of a caller to the next.
const PACE: Duration = Duration::from_millis(20);
const QUERIES: usize = 10;
/// How many incidents there are at the beginning.
const FILLED: usize = 20_000;
/// How many incidents a caller has open at once.
const OPEN: usize = 40;

/// How long calls took, in seconds, since somebody last looked.
#[derive(Default)]
struct Took(Mutex<Vec<f64>>);

impl Took {
    fn time<R>(&self, call: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let reply = call();
        self.0.lock().unwrap().push(began.elapsed().as_secs_f64());
        reply
    }

    /// How many, and the 50th and 99th percentile.
    fn look(&self) -> (usize, f64, f64) {
        let mut took = std::mem::take(&mut *self.0.lock().unwrap());
        took.sort_by(f64::total_cmp);
        (took.len(), percentile(&took, 50), percentile(&took, 99))
    }
}

struct Soak {
    engine: Engine,
    ada: Actor,
    owner: UserId,
    policy: PolicyId,
    commands: Took,
    queries: Took,
    over: AtomicBool,
}

impl Soak {
    fn new(engine: Engine) -> Self {
        let created = organization(&engine);
        let (ada, owner) = (created.actor(), created.admin.member.id);
        let policy = CreatePolicy { name: "Night".parse().unwrap(), description: None };
        let policy = engine.execute(policy, &ada).unwrap().id;
        for position in 1..=3 {
            let (target, ack_timeout) = (Target::users(vec![owner]).unwrap(), AckTimeout::from_minutes(1).unwrap());
            let position = Position::new(position).unwrap();
            engine.execute(AddPolicyLayer { policy_id: policy, position, ack_timeout, target }, &ada).unwrap();
        }
        let (commands, queries, over) = (Took::default(), Took::default(), AtomicBool::new(false));
        Self { engine, ada, owner, policy, commands, queries, over }
    }

    fn open(&self, policy: Option<PolicyId>) -> CreateIncident {
        CreateIncident {
            description: Some("All card payments fail. Support sees about forty tickets.".parse().unwrap()),
            escalation_policy_id: policy,
            ..CreateIncident::new("Checkout is down".parse().unwrap(), Severity::High, self.owner)
        }
    }

    fn fill(&self) {
        for _ in 0..FILLED / 1_000 {
            let pending: Vec<_> = (0..1_000).map(|_| self.engine.submit(self.open(None), &self.ada).unwrap()).collect();
            pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
        }
    }

    /// A caller: opens incidents, works on them, resolves them.
    fn call(&self, seed: u64) {
        let (mut open, mut random) = (Vec::new(), Random::from_seed(seed));
        let mut next = Instant::now();
        for turn in 0_usize.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
            next += PACE;
            self.commands.time(|| self.command(&mut open, &mut random));
            for query in 0..QUERIES {
                self.queries.time(|| self.query(&open, turn + query));
            }
        }
    }

    fn command(&self, open: &mut Vec<(IncidentId, Status)>, random: &mut Random) {
        let (engine, ada) = (&self.engine, &self.ada);
        if open.len() < OPEN {
            let incident = engine.execute(self.open(Some(self.policy)), ada).unwrap();
            return open.push((incident.id, Status::Investigating));
        }
        // Any of them, so that each comes to its end and no trail grows for ever.
        let at = usize::try_from(random.below(u64::try_from(open.len()).unwrap())).unwrap();
        let (id, status) = open[at];
        match random.below(10) {
            0 => drop(engine.execute(AcknowledgeIncident::new(id), ada).unwrap()),
            1..=3 => {
                let to = Status::ALL.into_iter().find(|to| *to > status).unwrap();
                engine.execute(ChangeStatus::new(id, to), ada).unwrap();
                if to == Status::Resolved {
                    open.swap_remove(at);
                } else {
                    open[at].1 = to;
                }
            }
            _ => {
                let news = "The provider confirms; we are switching to the other one.".parse().unwrap();
                let news = PostUpdate::internal(id, news);
                engine.execute(news, ada).unwrap();
            }
        }
    }

    fn query(&self, open: &[(IncidentId, Status)], turn: usize) {
        let filter = match turn % 4 {
            0 => IncidentFilter::default(),
            1 => IncidentFilter { status: Some(Status::Investigating), ..Default::default() },
            _ => {
                let (id, _) = open[turn % open.len()];
                return drop(self.engine.query(&GetIncident { id }, &self.ada).unwrap());
            }
        };
        self.engine.query(&ListIncidents { filter, ..Default::default() }, &self.ada).unwrap();
    }

    /// Delivers pages and lets time pass.
    fn deliver(&self) {
        while !self.over.load(Ordering::Relaxed) {
            self.engine.tick(self.engine.now()).unwrap();
            let pages = self.engine.claim(100, Duration::from_secs(30)).unwrap();
            self.engine.confirm(&pages.iter().map(Notification::receipt).collect::<Vec<_>>()).unwrap();
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Prints a line for each tenth of the time.
    fn watch(&self, folder: &Path, seconds: u64) {
        println!(
            "{:>8} {:>11} {:>10} {:>10} {:>10} {:>10} {:>10} {:>12} {:>10}",
            "after", "commands/s", "50th", "99th", "queries/s", "50th", "99th", "memory", "disk"
        );
        let span = (seconds / 10).max(1);
        for past in 1..=seconds / span {
            thread::sleep(Duration::from_secs(span));
            let (commands, half, most) = self.commands.look();
            let (queries, query_half, query_most) = self.queries.look();
            let per_second = |count: usize| u64::try_from(count).unwrap() / span;
            let disk = std::fs::metadata(folder.join("db")).unwrap().len() >> 20;
            println!(
                "{:>6} s {:>11} {:>10} {:>10} {:>10} {:>10} {:>10} {:>12} {:>6} MiB",
                past * span,
                per_second(commands),
                shown(half),
                shown(most),
                per_second(queries),
                shown(query_half),
                shown(query_most),
                resident(),
                disk,
            );
        }
        self.over.store(true, Ordering::Relaxed);
    }
}

fn main() {
    let seconds = times("DOGWATCH_SOAK_SECONDS", 600);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let soak = &Soak::new(Engine::open(folder.path()).unwrap());
    soak.fill();
    println!("\n{CALLERS} callers, {FILLED} incidents at the beginning, {seconds} seconds\n");
    let rows = || soak.engine.stats().unwrap().tables.iter().map(|table| table.rows).sum::<u64>();
    let before = rows();
    thread::scope(|scope| {
        (0..CALLERS).for_each(|caller| drop(scope.spawn(move || soak.call(caller))));
        scope.spawn(|| soak.deliver());
        soak.watch(folder.path(), seconds);
    });
    println!("\n{before} rows before, {} after", rows());
    let report = soak.engine.verify(&mut |_| ());
    assert!(report.is_clean(), "{report:#?}");
    println!("verified: {} rows, {} things, nothing wrong", report.rows, report.things);
}
