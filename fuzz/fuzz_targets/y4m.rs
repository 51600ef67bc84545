//! See `replay::y4m`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    vstream::devices::replay::y4m(data);
});
