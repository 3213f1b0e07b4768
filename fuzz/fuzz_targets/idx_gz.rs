//! See `fuzzing::idx_gz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::idx_gz(bytes));
