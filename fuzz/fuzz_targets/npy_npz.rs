//! See `fuzzing::npy_npz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::npy_npz(bytes));
