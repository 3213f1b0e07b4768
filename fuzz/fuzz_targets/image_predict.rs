//! See `fuzzing::image_predict`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::image_predict(bytes));
