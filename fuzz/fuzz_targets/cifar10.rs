//! See `fuzzing::cifar10`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::cifar10(bytes));
