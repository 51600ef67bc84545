//! See `replay::multipart`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    vstream::devices::replay::multipart(data);
});
