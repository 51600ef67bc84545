//! The word "stop", said once and heard everywhere: by tasks that wait for it and by threads that look now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_io::Timer;
use event_listener::Event;
use smol::future::or;

use crate::clock::{Time, now};
use crate::until::until;

/// A thread that sleeps looks for it this often.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Word>);

#[derive(Debug, Default)]
struct Word {
    said: AtomicBool,
    heard: Event,
}

impl Stop {
    pub fn say(&self) {
        self.0.said.store(true, Ordering::SeqCst);
        self.0.heard.notify(usize::MAX);
    }

    /// Whether both are the same word, not only said alike.
    pub fn is(&self, other: &Stop) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub fn said(&self) -> bool {
        self.0.said.load(Ordering::SeqCst)
    }

    /// Waits for so long, or until it is said.
    pub async fn pause(&self, time: Duration) {
        or(async { _ = Timer::after(time).await }, self.heard()).await;
    }

    /// Keeps a thread until `due`; false when it was said meanwhile.
    pub fn wait_until(&self, due: Time) -> bool {
        loop {
            let left = due.since(now());
            if self.said() || left.is_zero() {
                return !self.said();
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    pub async fn heard(&self) {
        until(&self.0.heard, || self.said().then_some(())).await
    }
}
