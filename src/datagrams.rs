//! Messages over any datagrams: what udp carries. Everything here is pure: packets and the time go in, packets and
//! messages come out (`connection.rs`); who opens sockets is `transports/udp.rs`.
//!
//! A frame is cut into parts that stand for themselves (`cut`, read by `items`), so that a lost datagram costs some tiles.
//! Parities repair what they can (`parity`), what still lacks is sent again where it would come in time (`outbox`), and the
//! rest is told to the publisher, which puts it into the next frame. The receiving end (`gather`) gives frames in order,
//! whole where it can. All other messages go in order and without loss (`control`).

use std::time::Duration;

pub mod acks;
pub mod calling;
pub mod connection;
pub mod control;
pub mod cookies;
pub mod cut;
pub mod door;
mod doubt;
pub mod flight;
pub mod gather;
pub mod guard;
pub mod items;
pub mod narrow;
pub mod outbox;
pub mod pacing;
pub mod packet;
pub mod parity;
pub mod path;
mod rtt;
mod window;

/// How long a frame waits for what was lost of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Not at all: the newest wins at once, and later frames heal it.
    Newest,
    /// So long from its first sight.
    Until(Duration),
    /// As long as it takes: no frame may be missing.
    Every,
}

/// What a side wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// Bytes of a datagram at most.
    pub mtu: usize,
    /// Zero: the newest wins.
    pub latency: Duration,
    pub share: parity::Share,
}

impl Default for Wish {
    /// 1200 bytes pass everywhere (RFC 9000, section 14).
    fn default() -> Wish {
        Wish { mtu: 1200, latency: Duration::ZERO, share: parity::Share::Auto }
    }
}
