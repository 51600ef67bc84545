//! While a link is open, the thread that runs the tasks waits for the network itself.
//!
//! async-io has a thread of its own, which takes over the waiting where nobody else has looked for some 10 ms, and then hands
//! each event to the tasks' thread: 50 to 250 µs from the kernel to the task, and some ten switches between threads (measured
//! with a frame every 33 ms). Looking somewhat oftener than that keeps it away, for a thousandth of a core.

use std::sync::Mutex;
use std::time::Duration;

use smol::Task;

use crate::alarm::Alarm;
use crate::clock;
use crate::lock::lock;

/// Less than the longest that async-io's thread sleeps.
const BEAT: Duration = Duration::from_millis(8);

static STATE: Mutex<State> = Mutex::new(State { holders: 0, beat: None });

struct State {
    holders: usize,
    beat: Option<Task<()>>,
}

/// The pulse beats while somebody has one of these.
#[derive(Debug)]
pub struct Pulse(());

async fn beat() {
    let mut alarm = Alarm::default();
    loop {
        alarm.until(Some(clock::now() + BEAT)).await;
    }
}

impl Pulse {
    pub fn hold() -> Pulse {
        let mut state = lock(&STATE);
        state.holders += 1;
        state.beat.get_or_insert_with(|| smol::spawn(beat()));
        Pulse(())
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let mut state = lock(&STATE);
        state.holders -= 1;
        if state.holders == 0 {
            state.beat = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_beats_as_long_as_anybody_holds_it() {
        let beats = || lock(&STATE).beat.is_some();
        let (first, second) = (Pulse::hold(), Pulse::hold());
        drop(first);
        assert!(beats());
        drop(second);
        assert!(!beats());
    }
}
