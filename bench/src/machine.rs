//! What the machine and sled can do at best.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Failure;

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
    let folder = scratch.join("sled");
    let db = sled::open(&folder)?;
    let log = File::open(folder.join("db"))?;
    let mut number = 0_u64;
    let mut batch = |rows: u64| {
        let mut batch = sled::Batch::default();
        for row in 0..rows {
            number += 1;
            // As the rows of a new incident: keys of 49 bytes, spread over seven tables; 480 bytes in all.
            let key = [&[b'a' + (row % 7) as u8][..], &[1; 32], &[0; 8], &number.to_be_bytes()].concat();
            batch.insert(key, vec![7; if row % 7 == 0 { 137 } else { 0 }]);
        }
        batch
    };
    let alone = rate(|| {
        db.apply_batch(batch(7))?;
        db.flush()?;
        Ok(log.sync_data()?)
    })?;
    println!("{:<56} {alone:>9.0}/s", "raw sled: a command's rows, flush and fdatasync");
    let groups = rate(|| {
        db.apply_batch(batch(7 * 64))?;
        db.flush()?;
        Ok(log.sync_data()?)
    })?;
    println!("{:<56} {:>9.0}/s", "raw sled: the same rows of 64 commands at once", groups * 64.0);
    Ok(())
}
