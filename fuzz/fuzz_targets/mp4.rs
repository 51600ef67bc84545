//! See `replay::mp4`. The decoder's own panics are caught there, so the hook that ends the fuzzer at any panic goes.
#![no_main]

use std::sync::Once;

static QUIET: Once = Once::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    vstream::devices::replay::mp4(data);
});
