//! See `fuzzing::safetensors_load`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::safetensors_load(bytes));
