//! One packet on the wire: whom it is for, its number, the records in it, and the proof that it is the peer's
//! (docs/protocol.md has it byte by byte).

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use crate::runs::{put, take};

/// The first byte of every packet of a connection; other first bytes are of the handshake (`door.rs`).
pub const PACKET: u8 = 16;
/// That byte, the receiver's id, the packet's number.
pub const HEADER: usize = 17;
/// What proves a packet at most: an AEAD tag.
pub const PROOF: usize = 16;
/// The longest head of a record whose bytes fill a packet: a parity's five numbers.
const RECORD: usize = 24;
/// Datagrams that any host must take, less IPv4's and UDP's headers (RFC 1122), and the longest that there are.
pub const MTU: std::ops::RangeInclusive<usize> = 548..=65_507;

/// Ranges that an acknowledgement tells at most: at 5 % loss and 4000 packets a second, the last 300 ms.
pub const RANGES: usize = 64;

/// Bytes of a picture's part in packets of this size.
pub const fn part_bytes(mtu: usize) -> usize {
    mtu - HEADER - PROOF - RECORD
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Ack(Ack),
    /// A stretch of the control stream; `last` if nothing follows it.
    Control {
        offset: u64,
        bytes: Bytes,
        last: bool,
    },
    Part(Part),
    Parity(Parity),
    /// A token to be sent back from the address that it was sent to.
    Challenge(u64),
    Response(u64),
    /// Wants an acknowledgement, no more.
    Probe,
    /// The sender has gone and answers no more.
    Close,
}

/// Which packets have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// How long the newest waited for this word, in microseconds.
    pub delay: u64,
    /// Frames before this number are done with; of the last 64 of them those were of no use whose bits are set, the
    /// newest in the lowest.
    pub settled: u64,
    pub unread: u64,
    /// First and last numbers, the highest range first.
    pub ranges: Vec<(u64, u64)>,
}

/// A part of a frame: whole segments, and what begins and ends it (`cut.rs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub frame: u64,
    pub index: u64,
    /// No part of the frame follows.
    pub last: bool,
    /// Sent once more.
    pub again: bool,
    pub bytes: Bytes,
}

/// Redundancy of some neighbouring parts: as many of both as there are parts give the parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parity {
    pub frame: u64,
    /// The first part that it is of, and how many.
    pub first: u64,
    pub parts: usize,
    /// Which parity it is, of how many.
    pub index: usize,
    pub of: usize,
    /// These are the last parts of the frame.
    pub last: bool,
    pub bytes: Bytes,
}

mod kind {
    pub const PADDING: u8 = 0;
    pub const ACK: u8 = 1;
    pub const CONTROL: u8 = 2;
    pub const CONTROL_LAST: u8 = 3;
    /// Part; +1 last, +2 again.
    pub const PART: u8 = 4;
    /// Parity; +1 last.
    pub const PARITY: u8 = 8;
    pub const CHALLENGE: u8 = 10;
    pub const RESPONSE: u8 = 11;
    pub const PROBE: u8 = 12;
    pub const CLOSE: u8 = 13;
}

/// Parts of one block, parities of one block: what `parity.rs` makes at most, and what its memory is bounded by.
pub const BLOCK_MAX: usize = 256;
/// Parts of a frame at most: 64 MiB of the smallest.
const PARTS_MAX: u64 = 1 << 18;

impl Record {
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Record::Ack(ack) => {
                out.push(kind::ACK);
                put(out, ack.delay);
                put(out, ack.settled);
                put(out, ack.unread);
                put(out, ack.ranges.len() as u64);
                let mut below = None;
                for &(first, last) in &ack.ranges {
                    put(out, below.map_or(last, |below: u64| below - last));
                    put(out, last - first);
                    below = Some(first);
                }
            }
            Record::Control { offset, bytes, last } => {
                out.push(if *last { kind::CONTROL_LAST } else { kind::CONTROL });
                put(out, *offset);
                put_bytes(out, bytes);
            }
            Record::Part(part) => {
                out.push(kind::PART + u8::from(part.last) + 2 * u8::from(part.again));
                put(out, part.frame);
                put(out, part.index);
                put_bytes(out, &part.bytes);
            }
            Record::Parity(parity) => {
                out.push(kind::PARITY + u8::from(parity.last));
                put(out, parity.frame);
                put(out, parity.first);
                put(out, parity.parts as u64);
                put(out, parity.index as u64);
                put(out, parity.of as u64);
                put_bytes(out, &parity.bytes);
            }
            Record::Challenge(token) | Record::Response(token) => {
                let challenge = matches!(self, Record::Challenge(_));
                out.push(if challenge { kind::CHALLENGE } else { kind::RESPONSE });
                out.extend_from_slice(&token.to_le_bytes());
            }
            Record::Probe => out.push(kind::PROBE),
            Record::Close => out.push(kind::CLOSE),
        }
    }
}

/// The id that a packet carries.
pub fn addressee(packet: &[u8]) -> Option<u64> {
    let id = packet.get(1..9).filter(|_| packet.first() == Some(&PACKET))?;
    id.try_into().ok().map(u64::from_le_bytes)
}

/// Whether a datagram is of the handshake.
pub fn is_word(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|&first| first < PACKET)
}

/// What is in a packet; mostly one record, or two.
pub type Records = SmallVec<[Record; 2]>;

/// The records of an opened packet. Errors: anything that `put` does not write.
pub fn records(mut data: Bytes) -> Result<Records> {
    let mut records = Records::new();
    while !data.is_empty() {
        let what = data.get_u8();
        records.push(match what {
            kind::PADDING => break,
            kind::ACK => Record::Ack(ack(&mut data)?),
            kind::CONTROL | kind::CONTROL_LAST => {
                let last = what == kind::CONTROL_LAST;
                Record::Control { offset: take(&mut data)?, bytes: take_bytes(&mut data)?, last }
            }
            kind::PART..kind::PARITY => {
                let (frame, index) = (take(&mut data)?, take(&mut data)?);
                ensure!(index < PARTS_MAX, "part {index} of a frame");
                let flags = what - kind::PART;
                let (last, again) = (flags & 1 != 0, flags & 2 != 0);
                Record::Part(Part { frame, index, last, again, bytes: take_bytes(&mut data)? })
            }
            kind::PARITY | 9 => Record::Parity(parity(&mut data, what != kind::PARITY)?),
            kind::CHALLENGE => Record::Challenge(token(&mut data)?),
            kind::RESPONSE => Record::Response(token(&mut data)?),
            kind::PROBE => Record::Probe,
            kind::CLOSE => Record::Close,
            _ => bail!("a record of unknown type {what}"),
        });
    }
    Ok(records)
}

fn ack(data: &mut Bytes) -> Result<Ack> {
    let (delay, settled, unread, count) = (take(data)?, take(data)?, take(data)?, take(data)?);
    ensure!((1..=RANGES as u64).contains(&count), "an acknowledgement of {count} ranges");
    let mut ranges = Vec::with_capacity(count as usize);
    let mut below: Option<u64> = None;
    for _ in 0..count {
        let (gap, length) = (take(data)?, take(data)?);
        let last = below.map_or(Some(gap), |below| below.checked_sub(gap).filter(|_| gap >= 2));
        let last = last.context("ranges out of order")?;
        let first = last.checked_sub(length).context("a range below zero")?;
        ranges.push((first, last));
        below = Some(first);
    }
    Ok(Ack { delay, settled, unread, ranges })
}

fn parity(data: &mut Bytes, last: bool) -> Result<Parity> {
    let (frame, first) = (take(data)?, take(data)?);
    let (parts, index, of) = (take(data)?, take(data)?, take(data)?);
    let block = 1..=BLOCK_MAX as u64;
    ensure!(block.contains(&parts) && block.contains(&of) && index < of, "parity {index} of {of} for {parts} parts");
    ensure!(first < PARTS_MAX, "parity from part {first} on");
    let (parts, index, of) = (parts as usize, index as usize, of as usize);
    Ok(Parity { frame, first, parts, index, of, last, bytes: take_bytes(data)? })
}

fn token(data: &mut Bytes) -> Result<u64> {
    ensure!(data.len() >= 8, "a token is cut off");
    Ok(data.get_u64_le())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_bytes(data: &mut Bytes) -> Result<Bytes> {
    let length = take(data)?;
    ensure!(length <= data.len() as u64, "a record is cut off");
    Ok(data.split_to(length as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_survive_the_wire() {
        let bytes = Bytes::from_static(b"abc");
        let all = [
            Record::Ack(Ack { delay: 5, settled: 300, unread: 1 << 63, ranges: vec![(90, 100), (7, 7), (0, 3)] }),
            Record::Control { offset: 1 << 40, bytes: bytes.clone(), last: true },
            Record::Part(Part { frame: 300, index: 0, last: false, again: true, bytes: bytes.clone() }),
            Record::Part(Part { frame: 300, index: 9, last: true, again: false, bytes: bytes.clone() }),
            Record::Parity(Parity { frame: 1, first: 200, parts: 7, index: 1, of: 2, last: true, bytes }),
            Record::Challenge(u64::MAX),
            Record::Response(1),
            Record::Probe,
            Record::Close,
        ];
        let mut wire = Vec::new();
        all.iter().for_each(|record| record.put(&mut wire));
        wire.extend([0; 9]);
        assert_eq!(records(wire.into()).unwrap()[..], all);
    }

    #[test]
    fn acknowledgements_that_cannot_be_are_errors() {
        for ranges in [&[0][..], &[1, 3, 4], &[2, 9, 0, 1, 0], &[2, 9, 0, 10, 0], &[99]] {
            assert!(records([&[1, 0, 0, 0], ranges].concat().into()).is_err(), "{ranges:?}");
        }
    }

    #[test]
    fn a_part_and_its_parity_fit_into_a_packet() {
        let bytes = Bytes::from(vec![0; part_bytes(1200)]);
        let (frame, first) = (u64::from(u32::MAX), PARTS_MAX - 1);
        let mut out = vec![0; HEADER + PROOF];
        Record::Parity(Parity { frame, first, parts: 256, index: 255, of: 256, last: true, bytes }).put(&mut out);
        assert!(out.len() + 3 <= 1200, "{}: parity is up to 3 bytes longer than its parts", out.len());
    }

    proptest! {
        #[test]
        fn rubbish_is_an_error_and_no_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = records(data.into());
        }
    }
}
