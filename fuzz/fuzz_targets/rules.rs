#![no_main]

// A run on the rules alone allocates much and does little else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| dogwatch_testkit::targets::rules(data));
