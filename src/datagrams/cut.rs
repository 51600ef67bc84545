//! Frames cut into parts that each fit into a datagram. Beginning and end stand in the first part and in the last, so that a
//! lost datagram costs neither.

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use bytes::Bytes;

use super::items::{Start, kind};
use crate::message::{Begin, End, Runs};
use crate::runs::{self, put, put_padded};
use crate::segments::Segment;

/// An item's kind and length, and the numbers of a piece, at most.
const HEAD: usize = 4;
const PIECE: usize = HEAD + 3 + 10 + 4 + 4;
/// A beginning and an end. A beginning is as long at every hop, so that what came with it fits beside it again.
const START: usize = 40 + ERROR + 4;
const END: usize = 16;
/// Pieces shorter than this go into the next part: they cost more than they save.
const PIECE_MIN: usize = 64;

/// Bytes that a beginning's error takes, of which 35 bits are left: over an hour is 2³² µs.
const ERROR: usize = 5;
/// Segments that are looked at for what is left of a part, and the parts that they are kept back for. Of a film's segments
/// 85 % of the parts become full so, and half of them in their order alone.
const LOOK: usize = 32;
const KEPT: usize = 3;

/// Memory that a part gets at once, where it may be so long: there are many, and most of them are full.
const USUAL: usize = 1200;

/// A part that is ready to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    pub bytes: Bytes,
    /// Places and versions of the segments that cannot be had without it.
    pub segments: Vec<(usize, u64)>,
    /// The whole header is in it.
    pub header: bool,
    pub last: bool,
}

/// Cuts one frame.
#[derive(Debug)]
pub struct Cutter {
    room: usize,
    start: Start,
    /// The header, where it crosses with this frame.
    header: Bytes,
    part: Cut,
    bytes: Vec<u8>,
    /// The beginning stands in this part.
    begins: bool,
    /// Segments that wait for a part which they fill, and their bytes.
    pool: VecDeque<Segment<Bytes>>,
    pool_bytes: usize,
    /// Where a run is put together, and encoded.
    run: Vec<Segment<Bytes>>,
    encoded: Vec<u8>,
    changed: Vec<usize>,
    ready: Vec<Cut>,
}

impl Cutter {
    /// A frame begins, of parts of so many bytes; with `header` if the far side is not known to have it.
    pub fn new(room: usize, mut begin: Begin, since: u64, header: Option<crate::segments::Head>) -> Cutter {
        begin.head = None;
        let head = header.as_ref().map(|head| (head.form, head.count));
        let header = header.map(|head| head.header).unwrap_or_default();
        let part = Cut { bytes: Bytes::new(), segments: Vec::new(), header: false, last: false };
        let (bytes, begins, pool, pool_bytes, run, encoded, changed, ready) = Default::default();
        let start = Start { begin, since, head };
        let mut cutter =
            Cutter { room, start, header, part, bytes, begins, pool, pool_bytes, run, encoded, changed, ready };
        cutter.begin();
        cutter
    }

    fn begin(&mut self) {
        let Start { begin, since, head } = self.start.clone();
        let mut body = Vec::new();
        for number in [begin.number, begin.epoch, begin.seq, begin.captured.micros() as u64, since] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        put_padded(&mut body, u64::try_from(begin.error.as_micros()).unwrap_or(u64::MAX), ERROR);
        if let Some((form, count)) = head {
            body.push(form as u8);
            put(&mut body, count as u64);
        }
        self.item(kind::BEGIN, &body);
        self.begins = true;
        if let Some((_, count)) = head {
            let header = self.header.clone();
            self.part.header = header.len() <= self.header_piece();
            let mut offset = 0;
            let nothing = header.is_empty().then_some(&[][..]);
            for piece in header.chunks(self.header_piece()).chain(nothing) {
                if self.space() < PIECE + piece.len() {
                    self.close(false);
                }
                self.piece(count, since, header.len(), offset, piece);
                offset += piece.len();
            }
        }
    }

    /// Bytes of a header that cross together: beside a beginning. All copies of it are cut alike, so that pieces of one fit to
    /// those of another.
    fn header_piece(&self) -> usize {
        self.room - HEAD - START - PIECE
    }

    /// Segments of the frame. What does not belong under its header is left out.
    pub fn runs(&mut self, came: Runs) -> Result<()> {
        ensure!(came.since == self.start.since, "segments under another header than their frame's");
        let whole = came.body.len() + HEAD;
        let fills = |space: usize| whole <= space && space - whole <= waste(self.room);
        if fills(self.space()) || fills(self.room) {
            return self.part_as_it_came(&came.body);
        }
        for (place, version, bytes) in runs::decode(came.body)? {
            self.changed.push(place);
            if bytes.len() + 3 + HEAD + 26 > self.room {
                self.pieces(place, version, bytes);
            } else {
                self.pool_bytes += bytes.len();
                self.pool.push_back((place, version, bytes));
            }
        }
        while self.pool_bytes > self.space() + KEPT * self.room {
            self.fill();
            self.close(false);
        }
        Ok(())
    }

    /// What filled a part on its way to here fills one again.
    fn part_as_it_came(&mut self, body: &Bytes) -> Result<()> {
        if body.len() + HEAD > self.space() {
            self.close(false); // what begins the frame, or the rest of a long segment, leaves before
        }
        let (segments, changed) = (&mut self.part.segments, &mut self.changed);
        runs::numbers(body, |place, version| {
            segments.push((place, version));
            changed.push(place);
        })?;
        self.item(kind::RUNS, body);
        self.close(false);
        Ok(())
    }

    /// The frame will have no end: what came of it still counts.
    pub fn abandon(&mut self) {
        self.flush();
        if self.bytes.is_empty() {
            self.begin();
        }
        self.close(true);
    }

    /// The frame ends.
    pub fn end(&mut self, end: End) {
        self.flush();
        let header = if self.begins || self.header.len() > self.header_piece() { 0 } else { PIECE + self.header.len() };
        if 2 * HEAD + START + END + header > self.space() {
            self.close(false);
        }
        if !self.begins {
            self.begin();
        }
        self.item(kind::END, &[end.number.to_le_bytes(), end.state.to_le_bytes()].concat());
        self.changed.sort_unstable();
        self.changed.dedup();
        let changed = std::mem::take(&mut self.changed);
        let mut body = Vec::new();
        let mut next = 0;
        for run in changed.chunk_by(|a, b| a + 1 == *b) {
            if body.len() + 6 + HEAD > self.space() {
                self.item(kind::CHANGED, &body);
                self.close(false);
                (next, body) = (0, Vec::new());
            }
            put(&mut body, (run[0] - next) as u64);
            put(&mut body, run.len() as u64);
            next = run[0] + run.len();
        }
        self.item(kind::CHANGED, &body);
        self.close(true);
    }

    /// The parts that are ready.
    pub fn take(&mut self) -> Vec<Cut> {
        std::mem::take(&mut self.ready)
    }

    fn space(&self) -> usize {
        self.room - self.bytes.len()
    }

    fn item(&mut self, kind: u8, body: &[u8]) {
        if body.is_empty() {
            return;
        }
        if body.len() + HEAD > self.space() {
            self.close(false);
        }
        if self.bytes.is_empty() {
            self.bytes.reserve_exact(self.room.min(USUAL));
        }
        self.bytes.push(kind);
        put(&mut self.bytes, body.len() as u64);
        self.bytes.extend_from_slice(body);
    }

    /// Fills the part: one half with segments in the order in which they came, the other with those that fill it best.
    fn fill(&mut self) {
        let mut left = self.space().saturating_sub(HEAD);
        let mut run = std::mem::take(&mut self.run);
        while let Some((next, at, cost)) = self.fitting(&run, left) {
            let Some(segment) = self.pool.remove(next) else { break };
            self.pool_bytes -= segment.2.len();
            left -= cost;
            run.insert(at, segment);
        }
        self.part.segments.extend(run.iter().map(|(place, version, _)| (*place, *version)));
        let mut encoded = std::mem::take(&mut self.encoded);
        runs::encode_into(&mut encoded, &run);
        self.item(kind::RUNS, &encoded);
        encoded.clear();
        run.clear();
        (self.encoded, self.run) = (encoded, run);
    }

    /// What comes next into a run that may grow by `left` bytes: its place in the pool and in the run, and its cost.
    fn fitting(&self, run: &[Segment<Bytes>], left: usize) -> Option<(usize, usize, usize)> {
        let of = |(next, segment): (usize, &Segment<Bytes>)| {
            let at = run.partition_point(|other| other.0 < segment.0);
            // A run's places rise.
            let twice = run.get(at).is_some_and(|other| other.0 == segment.0);
            let cost = runs::cost(run, at, segment);
            (!twice && cost <= left).then_some((next, at, cost))
        };
        let mut pool = self.pool.iter().enumerate();
        let first = pool.next().and_then(of);
        first
            .filter(|_| left > self.room / 2)
            .or_else(|| pool.take(LOOK).filter_map(of).chain(first).max_by_key(|x| x.2))
    }

    fn flush(&mut self) {
        while !self.pool.is_empty() {
            self.fill();
            if !self.pool.is_empty() {
                self.close(false);
            }
        }
    }

    fn pieces(&mut self, place: usize, version: u64, bytes: Bytes) {
        let (whole, mut offset) = (bytes.len(), 0);
        while offset < whole || whole == 0 {
            if self.space() < PIECE + PIECE_MIN.min(whole - offset) {
                self.close(false);
            }
            let length = (self.space() - PIECE).min(whole - offset);
            self.piece(place, version, whole, offset, &bytes[offset..offset + length]);
            offset += length;
            if whole == 0 {
                break;
            }
        }
    }

    fn piece(&mut self, place: usize, version: u64, whole: usize, offset: usize, bytes: &[u8]) {
        let mut body = Vec::with_capacity(PIECE + bytes.len());
        for number in [place as u64, version, whole as u64, offset as u64] {
            put(&mut body, number);
        }
        body.extend_from_slice(bytes);
        self.item(kind::PIECE, &body);
        self.part.segments.push((place, version));
    }

    fn close(&mut self, last: bool) {
        self.begins = false;
        let bytes = std::mem::take(&mut self.bytes).into();
        let header = std::mem::take(&mut self.part.header);
        let alike = Vec::with_capacity(self.part.segments.len().next_power_of_two());
        let segments = std::mem::replace(&mut self.part.segments, alike);
        self.ready.push(Cut { bytes, segments, header, last });
    }
}

/// Bytes of a part that may stay empty, so that it is as long as the others: the kernel takes datagrams of one length in one
/// call, and gives them so at the other end.
pub fn waste(room: usize) -> usize {
    room / 16
}

#[cfg(test)]
mod tests;
