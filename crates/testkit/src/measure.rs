//! What benchmarks share: medians of repeated rounds, and tables that people can read.

use std::time::{Duration, Instant};

/// The median of the rounds' results.
#[must_use]
pub fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// What so many of a hundred results are at most; 0 when there are none. The results are sorted.
#[must_use]
pub fn percentile(sorted: &[f64], hundredths: usize) -> f64 {
    sorted.get(sorted.len() * hundredths / 100).copied().unwrap_or_default()
}

/// Seconds per call of `work`: the median of `rounds`, each long enough to be measured.
pub fn seconds_per_call(rounds: usize, mut work: impl FnMut()) -> f64 {
    let mut calls = 1_u32;
    loop {
        let began = Instant::now();
        (0..calls).for_each(|_| work());
        if began.elapsed() > Duration::from_millis(50) || calls > 1 << 28 {
            break;
        }
        calls *= 2;
    }
    let round = |_| {
        let began = Instant::now();
        (0..calls).for_each(|_| work());
        began.elapsed().as_secs_f64() / f64::from(calls)
    };
    median((0..rounds).map(round).collect())
}

/// A span of time with a fitting unit.
#[must_use]
pub fn shown(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.0} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// Prints one line of a table: what, how much, and how that compares.
pub fn line(what: &str, figure: &str, comparison: &str) {
    println!("{what:<52} {figure:>14}   {comparison}");
}

/// How much of the process is in memory; what the system says, where it does.
#[must_use]
pub fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.map_or("unknown".to_owned(), |kibibytes| format!("{} MiB", kibibytes >> 10))
}
