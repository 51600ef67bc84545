//! See `replay::datagrams`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    vstream::devices::replay::datagrams(data);
});
