//! One open connection: two halves that carry whole messages. Transports make links; nobody else knows what is inside.

use anyhow::Result;
use async_trait::async_trait;

use crate::message::Message;

pub struct Link {
    pub tx: Box<dyn Tx>,
    pub rx: Box<dyn Rx>,
    /// The far end as its transport names it: `127.0.0.1:41873`.
    pub peer: String,
}

/// The sending half.
#[async_trait]
pub trait Tx: Send {
    /// Hands a message to the network; waits while the network takes no more.
    async fn send(&mut self, message: Message) -> Result<()>;
    /// Says that nothing more will come. What was sent still arrives.
    async fn close(&mut self) -> Result<()>;
}

/// The receiving half.
#[async_trait]
pub trait Rx: Send {
    /// The next whole message; `None` when the far side closed between two messages. It must be awaited to its end:
    /// dropped half way, it loses what it had read.
    async fn recv(&mut self) -> Result<Option<Message>>;
    /// The first message of a caller, bounded as strangers are.
    async fn hello(&mut self) -> Result<Message>;
    /// Throws away whatever still comes, until the far side closes. Closing a socket with unread bytes in it would
    /// reset it, and the last words sent might be lost with it.
    async fn drain(&mut self);
}
