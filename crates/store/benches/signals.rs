//! What 100,000 open signals cost: a tick, nothing, since nothing of them is due; and an alert that counts at one of them, the same as at one alone.
//!
//! Reach: both within 1.5 times of a store with one signal.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

use std::time::{Duration, Instant};

use dogwatch_core::Secret;
use dogwatch_core::incident::Severity;
use dogwatch_core::integration::{CreateIntegration, IntegrationKind, Settings};
use dogwatch_store::{Engine, ManualClock};
use dogwatch_testkit::fixture::organization;
use dogwatch_testkit::measure::{line, median, shown};
use dogwatch_testkit::rooms::integration::firing;

const SIGNALS: usize = 100_000;
/// How many incidents they are in.
const GROUPS: usize = 50;
const ROUNDS: usize = 301;
const KIND: IntegrationKind = IntegrationKind::Alertmanager;

struct Bench {
    engine: Engine,
    clock: ManualClock,
    token: Secret,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn with(signals: usize) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let clock = ManualClock::at("2026-04-07T10:00:00Z".parse().unwrap());
        let engine = Engine::builder().clock(clock.clone()).open(folder.path()).unwrap();
        let ada = organization(&engine).actor();
        let create =
            CreateIntegration { name: "Prometheus".parse().unwrap(), kind: KIND, settings: Settings::default() };
        let token = engine.execute(create, &ada).unwrap().token;
        let bench = Self { engine, clock, token, _folder: folder };
        let all: Vec<_> = (0..signals).collect();
        for some in all.chunks(Engine::MOST_ALERTS) {
            bench.fire(some);
        }
        bench
    }

    /// These keys are reported as firing, in one commit.
    fn fire(&self, keys: &[usize]) {
        let alert = |number: &usize| {
            let group = format!("group {}", number % GROUPS);
            firing(&format!("host {number}"), Some(&group), Severity::High, "the disk is full")
        };
        let alerts = keys.iter().map(alert).collect();
        self.engine.submit_alerts(&self.token, KIND, alerts).unwrap().wait().unwrap();
    }

    /// The median of ticks, and of alerts that count.
    fn measure(&self) -> [f64; 2] {
        let tick = (0..ROUNDS).map(|_| {
            self.clock.advance(Duration::from_secs(1));
            let began = Instant::now();
            let ticked = self.engine.tick(self.engine.now()).unwrap();
            assert_eq!((ticked.fired, ticked.failed), (0, 0), "nothing is due");
            began.elapsed().as_secs_f64()
        });
        let tick = median(tick.collect());
        let alert = (0..ROUNDS).map(|_| {
            let began = Instant::now();
            self.fire(&[0]);
            began.elapsed().as_secs_f64()
        });
        [tick, median(alert.collect())]
    }
}

fn main() {
    println!("\n{SIGNALS} open signals in {GROUPS} incidents (medians of {ROUNDS})\n");
    let (one, many) = (Bench::with(1), Bench::with(SIGNALS));
    let ([tick, alert], [tick_among, alert_among]) = (one.measure(), many.measure());
    line("a tick, one signal", &shown(tick), "");
    line("a tick, 100,000 signals", &shown(tick_among), &format!("{:.2} x, of 1.5 allowed", tick_among / tick));
    line("an alert that counts, durable, one signal", &shown(alert), "");
    let ratio = format!("{:.2} x, of 1.5 allowed", alert_among / alert);
    line("an alert that counts, durable, among 100,000", &shown(alert_among), &ratio);
}
