//! What the machine and sled can do at best.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use dogwatch_testkit::recorder::{recorded, size};

use super::Failure;
use super::raw::Raw;

/// More than can be written in the time.
const COMMANDS: usize = 150_000;

const SPAN: Duration = Duration::from_secs(1);

fn rate(mut call: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let (began, mut calls) = (Instant::now(), 0_u32);
    while began.elapsed() < SPAN {
        call()?;
        calls += 1;
    }
    Ok(f64::from(calls) / began.elapsed().as_secs_f64())
}

pub(crate) fn limits(scratch: &Path) -> Result<(), Failure> {
    println!("the machine: {} cores", std::thread::available_parallelism()?);
    let mut file = File::create(scratch.join("file"))?;
    let syncs = rate(|| {
        file.write_all(&[7; 4_096])?;
        Ok(file.sync_data()?)
    })?;
    println!("{:<56} {syncs:>9.0}/s", "4 KiB and fdatasync");
    let raw = Raw::open(&scratch.join("sled"))?;
    // What dogwatch writes for new incidents, byte for byte.
    let mut commands = recorded(COMMANDS).into_iter();
    let bytes = commands.as_slice().first().map_or(0, size);
    let mut write = |group: usize| -> Result<(), Failure> {
        raw.apply(commands.by_ref().take(group).flatten().collect())?;
        raw.make_durable()
    };
    let alone = rate(|| write(1))?;
    println!("{:<56} {alone:>9.0}/s", format!("raw sled: a new incident's {bytes} bytes, flush, fdatasync"));
    let groups = rate(|| write(64))?;
    println!("{:<56} {:>9.0}/s", "raw sled: those of 64 new incidents at once", groups * 64.0);
    assert!(commands.len() > 0, "there was nothing left to write");
    Ok(())
}
