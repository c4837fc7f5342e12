//! Simulates nights until a number of incidents, of nights or of seconds is reached, or one night by its seed.
//!
//! ```text
//! simulate --incidents 100000     # a long run
//! simulate --seconds 20           # a short one
//! simulate --nights 30 --from 1   # so many nights, from a seed on
//! simulate --seed 7               # one night, again
//! ```
//!
//! A night that fails is printed with the command that repeats it, and the exit code is 1.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers fails by panicking, and prints")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use dogwatch_testkit::simulation::{Report, SimulatedDisk, repeat, simulate};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = args.iter().position(|arg| arg == name)?;
        Some(args.get(place + 1).and_then(|value| value.parse::<u64>().ok()).unwrap())
    };
    let only = option("--seed");
    let seconds = Duration::from_secs(option("--seconds").unwrap_or(u64::MAX));
    let nights = option("--nights").unwrap_or(u64::MAX);
    let bounded = option("--seconds").or_else(|| option("--nights")).is_some();
    let incidents = option("--incidents").unwrap_or(if bounded { u64::MAX } else { 1_000 });
    let began = Instant::now();
    let mut total = Report::default();
    let first = only.or_else(|| option("--from")).unwrap_or(0);
    let mut seed = first;
    loop {
        match simulate(seed, SimulatedDisk::default()) {
            Ok(report) => total.add(&report),
            Err(complaint) => {
                println!("seed {seed}: {complaint}\n\nrepeat it with\n  {}", repeat(seed));
                return ExitCode::FAILURE;
            }
        }
        seed += 1;
        if only.is_some() || seed - first >= nights || total.incidents >= incidents || began.elapsed() >= seconds {
            break;
        }
    }
    println!("{total:#?}\nno complaint, {:.0} s", began.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
