//! Where the peer is. When its packets come from another address (a NAT forgot it, a network changed), that address must
//! answer a challenge before anything more goes there: else a forged one would get a stream that it did not ask for.

use std::net::SocketAddr;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::packet::Record;
use crate::clock::Time;

/// A challenge is repeated after this, so many times.
const AGAIN: Duration = Duration::from_millis(100);
const TRIES: u32 = 10;

#[derive(Debug)]
pub struct Path {
    peer: SocketAddr,
    moved: Option<Moved>,
    /// A challenge of the peer's to answer.
    answer: Option<(SocketAddr, u64)>,
    tokens: SipHasher24,
    count: u64,
}

/// An address that has not proved itself.
#[derive(Debug)]
struct Moved {
    to: SocketAddr,
    token: u64,
    due: Time,
    tries: u32,
}

impl Path {
    pub fn new(peer: SocketAddr, secret: u64) -> Path {
        let tokens = SipHasher24::new_with_keys(secret, 0x7061_7468);
        Path { peer, moved: None, answer: None, tokens, count: 0 }
    }

    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// A packet of the peer's came from elsewhere.
    pub fn moved(&mut self, to: SocketAddr, now: Time) {
        if self.moved.as_ref().is_none_or(|moved| moved.to != to && moved.tries > 0) {
            self.count += 1;
            let token = self.tokens.hash(&self.count.to_le_bytes());
            self.moved = Some(Moved { to, token, due: now, tries: 0 });
        }
    }

    pub fn asked(&mut self, from: SocketAddr, token: u64) {
        self.answer = Some((from, token));
    }

    pub fn answered(&mut self, from: SocketAddr, token: u64) {
        if let Some(moved) = self.moved.take_if(|moved| (moved.to, moved.token) == (from, token)) {
            self.peer = moved.to;
        }
    }

    pub fn transmit(&mut self, now: Time) -> Option<(SocketAddr, Record)> {
        if let Some((to, token)) = self.answer.take() {
            return Some((to, Record::Response(token)));
        }
        let moved = self.moved.as_mut().filter(|moved| moved.due <= now)?;
        (moved.due, moved.tries) = (now + AGAIN, moved.tries + 1);
        let (to, token) = (moved.to, moved.token);
        if moved.tries >= TRIES {
            self.moved = None;
        }
        Some((to, Record::Challenge(token)))
    }

    pub fn wake(&self) -> Option<Time> {
        let answer = self.answer.map(|_| Time::default());
        answer.or(self.moved.as_ref().map(|moved| moved.due))
    }
}
