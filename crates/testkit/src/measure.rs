//! What benchmarks share: times of repeated rounds with their medians and percentiles, and tables that people can read.

use std::time::{Duration, Instant};

/// The median of the results of some rounds; with an even number of them, the upper one.
#[must_use]
pub fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// The percentile of sorted results: at least `hundredths` of a hundred of them (0–99) are not larger. 0 when there are none.
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

/// A span of time as text, with a fitting unit from ns to s.
#[must_use]
pub fn shown(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.0} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// Prints one line of a table: what was measured, the figure, and how it compares.
pub fn line(what: &str, figure: &str, comparison: &str) {
    println!("{what:<52} {figure:>14}   {comparison}");
}

/// How much of the process is in memory, in MiB; `unknown` on systems without `/proc`.
#[must_use]
pub fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.map_or("unknown".to_owned(), |kibibytes| format!("{} MiB", kibibytes >> 10))
}
