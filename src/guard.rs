//! Panics: those of parsers that other people wrote, which are damage in a file, and our own, which end the program.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs code that may panic on hostile input; `None` when it did. Nothing is printed then.
pub fn guarded<T>(act: impl FnOnce() -> T) -> Option<T> {
    let outer = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(act));
    GUARDED.set(outer);
    done.ok()
}

/// One line instead of a backtrace. A panic in vstream's own code ends the program: a thread that is missing would leave
/// the others waiting for ever. A library's thread that panics has lost its input only.
pub fn install() {
    set_hook(Box::new(|info| {
        if GUARDED.get() {
            return;
        }
        let place = info.location().map_or(String::new(), |l| format!(" at {}:{}", l.file(), l.line()));
        let own = info.location().is_none_or(|l| l.file().starts_with("src/"));
        let message = info.payload_as_str().unwrap_or("no words");
        crate::log::plain(&format!("vstream: internal error{place}: {message}"));
        if own {
            crate::log::plain("hint: this is a bug in vstream; please report it with the line above");
            std::process::exit(1);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_none() {
        assert_eq!(guarded(|| 5), Some(5));
        assert_eq!(guarded(|| -> i32 { panic!("on purpose") }), None);
        assert!(!GUARDED.get());
    }
}
