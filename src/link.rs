//! One open connection: two halves that carry whole messages. Transports make links; nobody else knows what is inside.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;

use crate::clock::Time;
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
    /// The same with several, one after the other.
    async fn send_all(&mut self, messages: Vec<Message>) -> Result<()> {
        for message in messages {
            self.send(message).await?;
        }
        Ok(())
    }
    /// Whether the next `flush` resumes a send that was given up half way.
    fn resumes(&self) -> bool {
        false
    }
    /// Sends what may still wait for more, as the beginning of a frame does; whole frames and words go by themselves.
    async fn flush(&mut self) -> Result<()>;
    /// Bits a second that the link is kept to, where it is, and at which the network was seen to pass frames on: for
    /// transports that spread what they send.
    fn pace(&mut self, _kept_to: Option<f64>, _passing: Option<f64>) {}
    /// What a frame's bytes become on the wire, of late.
    fn overhead(&self) -> Overhead {
        Overhead::default()
    }
    /// What became of its packets; zeros where that is not seen.
    fn packets(&self) -> Packets {
        Packets::default()
    }
    /// What has been sent and has not come is not sent again: something newer takes its place.
    fn give_up(&mut self) {}
    /// Says that nothing more will come. What was sent still arrives.
    async fn close(&mut self) -> Result<()>;
    /// Places and versions of segments that were lost on the way and will not be sent again.
    fn lost(&mut self) -> Vec<(usize, u64)> {
        Vec::new()
    }
    /// Of a lossy link: of the frames up to this number nothing is on its way any more, whatever became of them.
    fn settled(&mut self) -> Option<u64> {
        None
    }
    /// How long the far side may hold a frame until it is whole.
    fn holds(&self) -> Duration {
        Duration::ZERO
    }
}

/// Packets since a link began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packets {
    pub sent: u64,
    pub lost: u64,
    /// Bytes of those that have arrived.
    pub arrived: u64,
}

/// Bytes on the wire for each of a frame's.
#[derive(Clone, Copy, Debug)]
pub struct Overhead {
    /// Of the packets that carry it.
    pub packets: f64,
    /// With what is redundant or sent again.
    pub all: f64,
}

impl Default for Overhead {
    fn default() -> Overhead {
        Overhead { packets: 1.0, all: 1.0 }
    }
}

/// What a link repaired on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Parts of frames that redundancy brought back, and those that came when sent again.
    pub fec: u64,
    pub resend: u64,
    /// Packets that were forged, damaged, doubled or too late.
    pub refused: u64,
}

/// How a frame crossed a lossy link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crossing {
    /// The places that it changed; some of them may not have come.
    pub changed: Vec<Range<usize>>,
    /// When the network brought the first of it, and the last that was needed: without what it was held for after that, what
    /// was sent again, and how far the delays of single packets vary.
    pub began: Time,
    pub arrived: Time,
}

/// The receiving half.
#[async_trait]
pub trait Rx: Send {
    /// The next whole message; `None` when the far side closed between two messages. It must be awaited to its end:
    /// dropped half way, it loses what it had read.
    async fn recv(&mut self) -> Result<Option<Message>>;
    /// Messages that have come, where that can be told without waiting; an end or a failure is left to `recv`.
    fn there(&mut self) -> Vec<Message> {
        Vec::new()
    }
    /// Whether more has been read than the messages that were given.
    fn has_more(&self) -> bool {
        false
    }
    /// The first message of a caller, bounded as strangers are.
    async fn hello(&mut self) -> Result<Message>;
    /// Throws away whatever still comes, until the far side closes. Closing a socket with unread bytes in it would
    /// reset it, and the last words sent might be lost with it.
    async fn drain(&mut self);
    /// Of a lossy link: how the frame crossed whose end came last.
    fn crossing(&mut self) -> Option<Crossing> {
        None
    }
    /// What part of the frame of this number, that we sent, the network passed on.
    fn passed(&mut self, _number: u64) -> f64 {
        1.0
    }
    fn repaired(&mut self) -> Repaired {
        Repaired::default()
    }
}
