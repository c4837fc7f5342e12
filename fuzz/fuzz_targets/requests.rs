#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dogwatch_http::fuzzing::request(data).unwrap());
