//! A frame while its parts arrive: what of it is there, what can be repaired, and until when it may wait for the rest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use bytes::{Bytes, BytesMut};

use super::{GRACE, Out, Passing};
use crate::clock::Time;
use crate::datagrams::items::{self, Item, Piece, Start};
use crate::datagrams::{Hold, parity};
use crate::link::Crossing;
use crate::message::{Begin, End, HEADER_MAX, Message, Runs};
use crate::runs;
use crate::segments::{Form, Head, Segment};

/// How long after the newest datagram of a frame the rest may come, where its end has come already.
const TAIL: Duration = Duration::from_millis(10);
/// The same where it has not, and nothing newer came: its sender may still be at it, also where the network has become slow and
/// what is sent again stands behind all that was sent before. Without its end nothing of a frame is shown.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Frame {
    pub first: Time,
    pub last: Time,
    /// How those came that were needed, but for what was sent again.
    pub passing: Passing,
    pub parts: BTreeMap<u64, Bytes>,
    pub total: Option<u64>,
    pub blocks: BTreeMap<u64, Block>,
    pub start: Option<Start>,
    pub end: Option<End>,
    pub changed: Vec<Range<usize>>,
    /// Runs that have not left yet.
    pub runs: Vec<Bytes>,
    pub pieces: BTreeMap<(usize, u64), Pieces>,
    pub long: Vec<Segment<Bytes>>,
    pub header: Option<Bytes>,
    pub begun: bool,
    /// When it left, whole or not.
    pub ended: Option<Time>,
    pub bytes: usize,
}

#[derive(Debug)]
pub struct Block {
    pub parts: usize,
    pub of: usize,
    pub parities: BTreeMap<usize, Bytes>,
}

/// The header that frames stand under, and the number of the newest that it came with.
#[derive(Debug)]
pub struct Known {
    number: u64,
    epoch: u64,
    head: Head,
    /// A frame has begun under it.
    begun: bool,
}

/// A long segment on its way together.
#[derive(Debug, Default)]
pub struct Pieces {
    whole: usize,
    came: BTreeMap<usize, Bytes>,
    bytes: usize,
}

impl Frame {
    /// Begins with the datagram of this number.
    pub fn new(number: u64, now: Time) -> Frame {
        Frame {
            first: now,
            last: now,
            passing: Passing::new(number, now),
            parts: BTreeMap::new(),
            total: None,
            blocks: BTreeMap::new(),
            start: None,
            end: None,
            changed: Vec::new(),
            runs: Vec::new(),
            pieces: BTreeMap::new(),
            long: Vec::new(),
            header: None,
            begun: false,
            ended: None,
            bytes: 0,
        }
    }

    /// A datagram of it came, before what it carries is taken; `again`: it was sent once more.
    pub fn came(&mut self, number: u64, now: Time, again: bool) {
        self.last = now;
        if !again && !self.is_whole() {
            self.passing.came(number, now);
        }
    }

    pub fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| self.parts.len() as u64 >= total)
    }

    /// Whether something came that could not be given on.
    pub fn is_unread(&self) -> bool {
        self.start.is_none() || !self.runs.is_empty() || !self.long.is_empty()
    }

    /// When it has waited enough, where it does not become whole before.
    pub fn deadline(&self, hold: Hold, newer: Option<Time>) -> Option<Time> {
        let own = self.last + if self.end.is_some() { TAIL } else { PAUSE };
        let newest = newer.map_or(own, |newer| own.min((newer + GRACE).max(self.first)));
        match hold {
            Hold::Every => None,
            // A latency that is shorter than a frame takes to leave must not cut it off.
            Hold::Until(latency) => Some(newest.max(self.first + latency)),
            Hold::Newest => Some(newest),
        }
    }

    /// Reads a part; false if it was there.
    pub fn insert(&mut self, index: u64, bytes: Bytes) -> Result<bool> {
        if self.parts.contains_key(&index) {
            return Ok(false);
        }
        self.bytes += bytes.len();
        self.parts.insert(index, bytes.clone());
        for item in items::items(bytes)? {
            match item {
                Item::Begin(start) => _ = self.start.get_or_insert(start),
                Item::Runs(body) => self.runs.push(body),
                Item::Piece(piece) => self.piece(piece),
                Item::End(end) => self.end = Some(end),
                Item::Changed(body) => self.changed.extend(items::places(body)?),
            }
        }
        Ok(true)
    }

    /// Repairs a block if enough of it is there; how many parts that gave.
    pub fn recover(&mut self, first: u64) -> Result<u64> {
        let Some(block) = self.blocks.get(&first) else { return Ok(0) };
        let range = first..first + block.parts as u64;
        let have = self.parts.range(range.clone()).count();
        if have == block.parts || have + block.parities.len() < block.parts {
            return Ok(0);
        }
        let parts = self.parts.range(range).map(|(&index, bytes)| ((index - first) as usize, bytes));
        let parities = block.parities.iter().map(|(&index, bytes)| (index, bytes));
        let mut count = 0;
        for (index, bytes) in parity::recover(block.parts, parts, block.of, parities).unwrap_or_default() {
            count += u64::from(self.insert(first + index as u64, bytes)?);
        }
        Ok(count)
    }

    fn piece(&mut self, piece: Piece) {
        let (place, version) = (piece.place, piece.version);
        let pieces = self.pieces.entry((place, version)).or_default();
        pieces.whole = piece.whole;
        if pieces.came.contains_key(&piece.offset) {
            return;
        }
        pieces.bytes += piece.bytes.len();
        pieces.came.insert(piece.offset, piece.bytes);
        if pieces.bytes < pieces.whole {
            return;
        }
        let pieces = self.pieces.remove(&(place, version)).unwrap_or_default();
        let mut whole = BytesMut::with_capacity(pieces.bytes);
        for (offset, bytes) in pieces.came {
            if offset != whole.len() {
                return; // overlapping pieces are no vstream's
            }
            whole.extend_from_slice(&bytes);
        }
        self.long.push((place, version, whole.freeze()));
    }

    /// Long segments that are together go with the runs; the one behind the last is the header.
    fn sort(&mut self, head: Option<(Form, usize)>) {
        for (place, version, bytes) in self.long.drain(..) {
            match head {
                Some((_, count)) if count == place => self.header = Some(bytes),
                _ => self.runs.push(runs::encode_segments(&[(place, version, bytes)]).into()),
            }
        }
    }

    /// Its beginning, once that and the header are known, and then what came of it.
    pub fn begin(&mut self, number: u64, known: &mut Option<Known>, out: &mut Out) {
        self.learn(number, known);
        let Some(start) = &self.start else { return };
        let Some(known) = known.as_mut().filter(|known| known.under() == start.under()) else { return };
        if !std::mem::replace(&mut self.begun, true) {
            known.begun = true;
            let begin = Begin { head: Some(known.head.clone()), ..start.begin.clone() };
            out.push(Message::Begin(begin), Crossing::default());
        }
        self.pass_on(out);
    }

    /// What came after it left is of use as long as the header is the same, and a frame has begun under it. The header too:
    /// its sender will not repeat what has arrived.
    pub fn begin_late(&mut self, number: u64, known: &mut Option<Known>, out: &mut Out) {
        self.learn(number, known);
        let under = self.start.as_ref().map(Start::under);
        if known.as_ref().is_some_and(|known| known.begun && Some(known.under()) == under) {
            self.pass_on(out);
        }
    }

    /// Takes the header that came with it, unless a later frame's is known.
    fn learn(&mut self, number: u64, known: &mut Option<Known>) {
        let Some(head) = self.start.as_ref().map(|start| start.head) else { return };
        self.sort(head);
        if let (Some(start), Some((form, count)), Some(header)) = (&self.start, head, &self.header)
            && header.len() <= HEADER_MAX
            && known.as_ref().is_none_or(|known| known.number < number)
        {
            let (epoch, since) = start.under();
            let begun = known.as_ref().is_some_and(|known| known.begun && known.under() == (epoch, since));
            let head = Head { form, since, header: header.clone(), count };
            *known = Some(Known { number, epoch, head, begun });
        }
    }

    fn pass_on(&mut self, out: &mut Out) {
        let Some((epoch, since)) = self.start.as_ref().map(Start::under) else { return };
        self.runs.drain(..).for_each(|body| out.push(Message::Runs(Runs { epoch, since, body }), Crossing::default()));
    }
}

impl Known {
    fn under(&self) -> (u64, u64) {
        (self.epoch, self.head.since)
    }
}

impl Start {
    /// The header that its segments stand under.
    fn under(&self) -> (u64, u64) {
        (self.begin.epoch, self.since)
    }
}
