//! The word "stop", said once and heard everywhere: by tasks that wait for it and by threads that look now and then.

use async_channel::{Receiver, Sender, bounded};

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

    pub fn said(&self) -> bool {
        self.sender.is_closed()
    }

    pub async fn heard(&self) {
        let _ = self.receiver.recv().await; // nothing is ever sent: it returns when the channel closes
    }
}
