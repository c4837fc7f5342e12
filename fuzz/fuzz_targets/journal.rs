#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dogwatch_testkit::targets::journal(data));
