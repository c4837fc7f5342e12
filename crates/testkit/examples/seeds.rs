//! Writes the seeds of the fuzz target `records`: one record of each kind and shape, as a real engine writes them.
//!
//! `cargo run -p dogwatch-testkit --example seeds` in the project's folder.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a tool for developers fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use dogwatch_core::team::{InviteMember, Role};
use dogwatch_store::backend::{Backend, MemoryBackend};
use dogwatch_store::fuzzing::kind_of;
use dogwatch_store::{Engine, ManualClock};
use dogwatch_testkit::{oncall, ops, run::Run};

/// Any bytes will do that make a varied sequence; these come from a simple congruence.
fn noise(n: u32, length: usize) -> Vec<u8> {
    let mut state = n.wrapping_mul(0x9E37_79B9).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes().first().copied().unwrap()
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/records");
    let backend = MemoryBackend::new();
    let mut open =
        |clock: ManualClock, seed| Engine::builder().clock(clock).id_seed(seed).with_backend(backend.clone()).unwrap();
    let mut run = Run::begin(&mut open);
    for n in 0_u32..8 {
        let bytes = noise(n, 3_000);
        ops::steps(&bytes).iter().for_each(|step| run.step(step));
    }
    let admin = run.engine().first_admin(run.orgs[0].id.parse().unwrap()).unwrap();
    let invite = InviteMember { email_address: "guest@example.com".parse().unwrap(), role: Role::Member };
    run.engine().execute(invite, &admin).unwrap();
    drop(run);
    // Schedules have a run of their own, on a store of their own.
    let backends: Vec<_> = (0_u32..6).map(|n| (n, MemoryBackend::new())).collect();
    backends.iter().for_each(|(n, backend)| oncall::run_on(&noise(*n, 1_500), backend.clone()));
    let mut shapes = BTreeSet::new();
    let all = std::iter::once(&backend).chain(backends.iter().map(|(_, backend)| backend));
    for pair in all.flat_map(|backend| backend.scan(&[], &[0xFF])) {
        let (key, value) = pair.unwrap();
        let Some(kind) = key.first().and_then(|tag| kind_of(*tag)) else { continue };
        let Some(payload) = value.get(1..value.len().saturating_sub(4)) else { continue };
        // Of each kind, one of each rough size.
        let size = payload.len().next_power_of_two();
        if shapes.insert((kind, size)) {
            let seed = [&[kind], payload].concat();
            std::fs::write(folder.join(format!("kind-{kind:02}-up-to-{size}")), seed).unwrap();
        }
    }
}
