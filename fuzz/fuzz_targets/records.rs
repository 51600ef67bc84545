//! See `replay::records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    vstream::devices::replay::records(data);
});
