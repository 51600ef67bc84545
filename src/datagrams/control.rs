//! The control stream: messages but those of pictures, in order and without loss, on packets that may be lost.
//!
//! It is thin, so what is not acknowledged goes once more with what is new: a lost report costs nothing.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};

use super::packet::Record;
use crate::message::{Message, PREFIX};

/// Bytes that may be unacknowledged or unread: many times the longest message.
const WINDOW: usize = 64 << 10;
/// Unacknowledged bytes that go once more with new ones.
const TWICE: usize = 400;
/// What stands before the bytes of a record.
const HEAD: usize = 14;

/// What a packet carried of it: from, to, and whether it was the end.
pub type Stretch = (u64, u64, bool);

#[derive(Debug, Default)]
pub struct Outgoing {
    /// From `base` on: what is not acknowledged, and what was never sent.
    bytes: VecDeque<u8>,
    base: u64,
    next: u64,
    sent: u64,
    /// Acknowledged stretches beyond `base`.
    beyond: BTreeMap<u64, u64>,
    ended: bool,
    /// The end has been sent; it has arrived.
    end_sent: bool,
    end_arrived: bool,
}

impl Outgoing {
    pub fn write(&mut self, message: &Message) {
        let (head, tail) = message.encode();
        self.bytes.extend(head.iter().chain(tail.iter()));
    }

    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether one more message may be written.
    pub fn room(&self) -> bool {
        self.bytes.len() < WINDOW / 2
    }

    pub fn pending(&self) -> bool {
        self.next < self.total() || (self.ended && !self.end_sent)
    }

    /// Whether all of it has arrived.
    pub fn settled(&self) -> bool {
        self.bytes.is_empty() && (!self.ended || self.end_arrived)
    }

    fn total(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// What to send next, in so many bytes.
    pub fn take(&mut self, space: usize) -> Option<(Record, Stretch)> {
        let room = space.saturating_sub(HEAD);
        if !self.pending() || room == 0 {
            return None;
        }
        let again = self.next - self.base <= (TWICE as u64).min(room as u64 / 2);
        let from = if again { self.base } else { self.next };
        let to = self.total().min(from + room as u64);
        let range = (from - self.base) as usize..(to - self.base) as usize;
        let bytes: Vec<u8> = self.bytes.range(range).copied().collect();
        let last = self.ended && to == self.total();
        self.next = to;
        self.sent = self.sent.max(to);
        self.end_sent |= last;
        Some((Record::Control { offset: from, bytes: bytes.into(), last }, (from, to, last)))
    }

    pub fn arrived(&mut self, (from, to, last): Stretch) {
        self.end_arrived |= last;
        let end = self.beyond.entry(from).or_default();
        *end = to.max(*end);
        while let Some(stretch) = self.beyond.first_entry().filter(|stretch| *stretch.key() <= self.base) {
            let end = stretch.remove();
            let settled = end.saturating_sub(self.base);
            self.bytes.drain(..settled as usize);
            self.base += settled;
        }
        self.next = self.next.max(self.base);
    }

    pub fn lost(&mut self, (from, to, last): Stretch) {
        if last && !self.end_arrived {
            self.end_sent = false;
        }
        if to > self.base {
            self.next = self.next.min(from.max(self.base));
        }
    }
}

#[derive(Debug, Default)]
pub struct Incoming {
    /// In order and not read yet.
    ready: BytesMut,
    /// The offset behind it.
    offset: u64,
    ahead: BTreeMap<u64, Bytes>,
    end: Option<u64>,
}

impl Incoming {
    /// Takes a stretch; false if it lies beyond the window: then its packet has not come.
    pub fn take(&mut self, offset: u64, bytes: Bytes, last: bool) -> bool {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.offset + (WINDOW - self.ready.len().min(WINDOW)) as u64 || self.ahead.len() > WINDOW / 64 {
            return false;
        }
        if last {
            self.end = Some(end);
        }
        if end > self.offset && self.ahead.get(&offset).is_none_or(|other| other.len() < bytes.len()) {
            self.ahead.insert(offset, bytes);
        }
        while let Some(stretch) = self.ahead.first_entry().filter(|stretch| *stretch.key() <= self.offset) {
            let (from, bytes) = stretch.remove_entry();
            let known = ((self.offset - from) as usize).min(bytes.len());
            self.ready.extend_from_slice(&bytes[known..]);
            self.offset += (bytes.len() - known) as u64;
        }
        true
    }

    /// The first bytes of the next message.
    pub fn prefix(&self) -> Option<[u8; PREFIX]> {
        self.ready.first_chunk().copied()
    }

    /// The next whole message.
    pub fn message(&mut self) -> Result<Option<Message>> {
        let Some(prefix) = self.prefix() else { return Ok(None) };
        let length = Message::length(prefix)?;
        ensure!(length + PREFIX <= WINDOW / 2, "a message of type {} out of place", prefix[0]);
        if self.ready.len() < PREFIX + length {
            return Ok(None);
        }
        let payload = self.ready.split_to(PREFIX + length).freeze().split_off(PREFIX);
        let message = Message::decode(prefix[0], payload)?;
        let picture = matches!(message, Message::Begin(_) | Message::Runs(_) | Message::End(_));
        ensure!(!picture, "a picture among the control messages");
        Ok(Some(message))
    }

    /// Whether all of it was read and nothing follows.
    pub fn over(&self) -> bool {
        self.ready.is_empty() && self.end.is_some_and(|end| end <= self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_arrive_once_and_in_order(seed in any::<u64>(), bad in 0u8..70) {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut out, mut into) = (Outgoing::default(), Incoming::default());
            let (mut flying, mut written, mut read) = (Vec::new(), 0, 0);
            while !out.settled() || written < 200 {
                if written < 200 && out.room() && random.bool() {
                    out.write(&Message::Ping(Time::from_micros(written)));
                    written += 1;
                    if written == 200 {
                        out.end();
                    }
                }
                if flying.len() < 20 {
                    flying.extend(out.take(random.usize(20..80)));
                }
                if flying.is_empty() || random.bool() {
                    continue;
                }
                let (record, stretch) = flying.swap_remove(random.usize(..flying.len()));
                if random.u8(..100) < bad {
                    out.lost(stretch);
                    continue;
                }
                let Record::Control { offset, bytes, last } = record else { unreachable!() };
                if into.take(offset, bytes, last) {
                    out.arrived(stretch);
                } else {
                    out.lost(stretch);
                }
                while let Some(message) = into.message().unwrap() {
                    prop_assert!(matches!(message, Message::Ping(t) if t.micros() == read));
                    read += 1;
                }
            }
            prop_assert_eq!(read, 200);
            prop_assert!(into.over());
        }
    }

    #[test]
    fn memory_is_bounded_by_the_window() {
        let mut into = Incoming::default();
        assert!(!into.take(WINDOW as u64 + 1, Bytes::from_static(b"x"), false));
        assert!(!into.take(u64::MAX, Bytes::from_static(b"x"), false));
        assert!(into.take(0, vec![0; WINDOW].into(), false) && !into.take(WINDOW as u64, vec![0].into(), false));
    }
}
