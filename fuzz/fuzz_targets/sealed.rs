//! See `replay::sealed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    vstream::devices::replay::sealed(data);
});
