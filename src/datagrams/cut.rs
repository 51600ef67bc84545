//! Frames cut into parts that each fit into a datagram, and read out of them. A part is made of items: the frame's
//! beginning, runs of whole segments, pieces of a long one, and its end. Beginning and end stand in the first part and in
//! the last, so that a lost datagram costs neither.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use crate::clock::Time;
use crate::frame::BYTES_MAX;
use crate::message::{Begin, End, Runs};
use crate::runs::{self, put, take};
use crate::segments::{Form, SEGMENTS_MAX, Segment};

/// What stands in a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Begin(Start),
    /// Whole segments, in the form of `runs.rs`.
    Runs(Bytes),
    Piece(Piece),
    End(End),
    /// Places that the frame changes, as gaps and lengths.
    Changed(Bytes),
}

/// A frame's beginning without the bytes of its header, which cross as pieces of place `count`.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    pub begin: Begin,
    pub since: u64,
    /// Form and segments, where the header crosses with this frame.
    pub head: Option<(Form, usize)>,
}

/// A piece of a segment that is longer than a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub place: usize,
    pub version: u64,
    /// Bytes of the whole segment, and where these belong.
    pub whole: usize,
    pub offset: usize,
    pub bytes: Bytes,
}

mod kind {
    pub const BEGIN: u8 = 0;
    pub const RUNS: u8 = 1;
    pub const PIECE: u8 = 2;
    pub const END: u8 = 3;
    pub const CHANGED: u8 = 4;
}

/// An item's kind and length, and the numbers of a piece, at most.
const HEAD: usize = 4;
const PIECE: usize = HEAD + 3 + 10 + 4 + 4;
/// A beginning, which has two long numbers, and an end.
const START: usize = 40 + 10 + 4;
const END: usize = 16;
/// Pieces shorter than this go into the next part: they cost more than they save.
const PIECE_MIN: usize = 64;

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
    run: Vec<Segment<Bytes>>,
    run_bytes: usize,
    /// Where a run is encoded.
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
        let (bytes, run, encoded, changed, ready) = Default::default();
        let start = Start { begin, since, head };
        let (begins, run_bytes) = (false, 0);
        let mut cutter = Cutter { room, start, header, part, bytes, begins, run, run_bytes, encoded, changed, ready };
        cutter.begin();
        cutter
    }

    fn begin(&mut self) {
        let Start { begin, since, head } = self.start.clone();
        let mut body = Vec::new();
        for number in [begin.number, begin.epoch, begin.seq, begin.captured.micros() as u64, since] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        put(&mut body, u64::try_from(begin.error.as_micros()).unwrap_or(u64::MAX));
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
        for (place, version, bytes) in runs::decode(came.body)? {
            self.changed.push(place);
            if bytes.len() + 3 + HEAD + 26 > self.room {
                self.flush();
                self.pieces(place, version, bytes);
                continue;
            }
            // A run's places rise; strips come in no order.
            if self.run.last().is_some_and(|last| last.0 >= place) {
                self.flush();
            }
            let mut cost = self.cost(place, version, &bytes);
            if self.run_bytes + cost + HEAD > self.space() {
                self.flush();
                cost = self.cost(place, version, &bytes); // it begins a run now
                if cost + HEAD > self.space() {
                    self.close(false);
                }
            }
            self.run_bytes += cost;
            self.part.segments.push((place, version));
            self.run.push((place, version, bytes));
        }
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

    /// Bytes that a segment adds to the run at most: gap, count, version and length, each as long as it may be.
    fn cost(&self, place: usize, version: u64, bytes: &Bytes) -> usize {
        let continues = self.run.last().is_some_and(|last| (last.0 + 1, last.1) == (place, version));
        bytes.len() + 3 + if continues { 1 } else { 3 + 1 + length(version) }
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

    fn flush(&mut self) {
        let mut encoded = std::mem::take(&mut self.encoded);
        runs::encode_into(&mut encoded, &self.run);
        self.item(kind::RUNS, &encoded);
        encoded.clear();
        self.run.clear();
        (self.encoded, self.run_bytes) = (encoded, 0);
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
        let alike = Vec::with_capacity(self.part.segments.len());
        let segments = std::mem::replace(&mut self.part.segments, alike);
        self.ready.push(Cut { bytes, segments, header, last });
    }
}

fn length(number: u64) -> usize {
    (64 - number.leading_zeros() as usize).div_ceil(7).max(1)
}

/// The items of a part. Errors: anything that a `Cutter` does not write.
pub fn items(mut data: Bytes) -> Result<SmallVec<[Item; 4]>> {
    let mut items = SmallVec::new();
    while !data.is_empty() {
        let kind = data.get_u8();
        let length = take(&mut data)?;
        ensure!(length <= data.len() as u64, "an item is cut off");
        let mut body = data.split_to(length as usize);
        items.push(match kind {
            kind::BEGIN => Item::Begin(start(&mut body)?),
            kind::RUNS => Item::Runs(body),
            kind::PIECE => Item::Piece(piece(&mut body)?),
            kind::END => {
                ensure!(body.len() >= 16, "an end is cut off");
                Item::End(End { number: body.get_u64_le(), state: body.get_u64_le() })
            }
            kind::CHANGED => Item::Changed(body),
            _ => bail!("an item of unknown type {kind}"),
        });
    }
    Ok(items)
}

fn start(body: &mut Bytes) -> Result<Start> {
    ensure!(body.len() > 40, "a beginning is cut off");
    let (number, epoch, seq) = (body.get_u64_le(), body.get_u64_le(), body.get_u64_le());
    let (captured, since) = (Time::from_micros(body.get_i64_le()), body.get_u64_le());
    let error = std::time::Duration::from_micros(take(body)?);
    let head = if body.is_empty() {
        None
    } else {
        let form = Form::of(body.get_u8().into())?;
        let count = usize::try_from(take(body)?).ok().filter(|count| (1..=SEGMENTS_MAX).contains(count));
        Some((form, count.context("a frame of too many segments")?))
    };
    Ok(Start { begin: Begin { number, epoch, seq, captured, error, head: None }, since, head })
}

fn piece(body: &mut Bytes) -> Result<Piece> {
    let mut number = || take(body);
    let (place, version, whole, offset) = (number()?, number()?, number()?, number()?);
    ensure!(place <= SEGMENTS_MAX as u64, "a piece of segment {place}");
    ensure!(whole <= BYTES_MAX as u64, "a segment of {whole} bytes");
    ensure!(offset.saturating_add(body.len() as u64) <= whole, "a piece beyond its segment's end");
    let (place, whole, offset) = (place as usize, whole as usize, offset as usize);
    Ok(Piece { place, version, whole, offset, bytes: body.clone() })
}

/// The places that `Item::Changed` tells.
pub fn places(mut body: Bytes) -> Result<Vec<std::ops::Range<usize>>> {
    let (mut places, mut next) = (Vec::new(), 0usize);
    while !body.is_empty() {
        let (gap, length) = (take(&mut body)?, take(&mut body)?);
        let from = usize::try_from(gap).ok().and_then(|gap| next.checked_add(gap));
        let to = from.zip(usize::try_from(length).ok()).and_then(|(from, length)| from.checked_add(length));
        next = to.filter(|&to| to <= SEGMENTS_MAX).context("places beyond the largest frame's")?;
        places.push(from.unwrap_or_default()..next);
    }
    Ok(places)
}

#[cfg(test)]
mod tests;
