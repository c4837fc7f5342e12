//! A seeded simulation of nights that go wrong: incidents, policies, schedule edits, monitors that fire, integrations that change, late ticks,
//! kills, failing disks, and consumers that crash; with an [`Auditor`] that checks after each step that the contract was kept.
//!
//! One seed fixes everything. Time is virtual: a simulated week takes moments. The engine is the real one, with its writer
//! thread, on a disk that forgets what was not made durable ([`SimulatedDisk`]). Commands that race are held up together
//! and let go as one batch.

mod auditor;
mod disk;
mod monitors;
mod night;
mod pages;
mod random;
mod told;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use auditor::{Auditor, Complaint, Instants, Opening};
pub use disk::{Fault, SimulatedDisk};
pub use monitors::{Change, Deed, Monitors, Opened, Post, Reply, Sent, Token};
pub use night::{Night, Report};
pub use pages::Pages;
pub use random::Random;
pub use told::Told;

/// Simulates one night.
///
/// # Errors
/// What the auditor complains about.
pub fn simulate(seed: u64, disk: SimulatedDisk) -> Result<Report, Complaint> {
    let night = catch_unwind(AssertUnwindSafe(|| Night::begin(seed, disk).play()));
    night.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// The command line that simulates the night of a seed again.
#[must_use]
pub fn repeat(seed: u64) -> String {
    format!("cargo run --release -p dogwatch-testkit --example simulate -- --seed {seed}")
}
