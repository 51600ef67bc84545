//! The word "stop", said once and heard everywhere: by tasks that wait for it and by threads that look now and then.

use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use async_io::Timer;
use smol::future::or;

use crate::clock::{Time, now};

/// A thread that sleeps looks for it this often.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct Stop {
    /// Closed to say it; never carries anything.
    sender: Sender<()>,
    receiver: Receiver<()>,
}

impl Default for Stop {
    fn default() -> Self {
        let (sender, receiver) = bounded(1);
        Stop { sender, receiver }
    }
}

impl Stop {
    pub fn say(&self) {
        self.sender.close();
    }

    /// Whether both are the same word, not only said alike.
    pub fn is(&self, other: &Stop) -> bool {
        self.sender.same_channel(&other.sender)
    }

    pub fn said(&self) -> bool {
        self.sender.is_closed()
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
        let _ = self.receiver.recv().await; // nothing is ever sent: it returns when the channel closes
    }
}
