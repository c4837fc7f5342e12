//! What senders of alerts may send.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dogwatch_testkit::targets::alerts(data));
