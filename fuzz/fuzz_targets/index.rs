//! See `library::index::replay`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    vstream::roles::library::index::replay(data);
});
