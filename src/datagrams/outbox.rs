//! The sending end of frames: cut into parts, protected, queued, and followed until it is known of each segment whether
//! it arrived. What parities cannot repair goes once more where that comes in time; else it is given as lost.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;

use super::Hold;
use super::cut::{Cut, Cutter};
use super::flight::Losses;
use super::packet::{Record, part_bytes};
use super::parity::{self, BLOCK, Repair, Share};
use crate::clock::Time;
use crate::link::Overhead;
use crate::message::{Begin, End, Runs};
use crate::segments::Head;

use frame::{Block, Frame, Shard, State};

pub use frame::Place;

mod frame;
#[cfg(test)]
mod tests;

/// Frames whose fate is not known; of older ones everything is taken for lost.
const FRAMES: usize = 256;
/// Frames that are reported after they were forgotten: a word of both is one packet, mostly.
const FORGOTTEN: usize = 8;
/// What a packet is on its way for besides the way itself, when the last moment to send again is reckoned.
const MARGIN: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub struct Outbox {
    pub hold: Hold,
    share: Share,
    room: usize,
    frames: VecDeque<Frame>,
    open: Option<Cutter>,
    /// The header that frames stand under, and the one that the far side has, by epoch and version.
    head: Option<(u64, Head)>,
    had: Option<(u64, u64)>,
    queue: VecDeque<Place>,
    waiting: usize,
    /// Bytes of the open frame as they came.
    came: usize,
    /// Of the last frames as they came, of the packets that carried them, and of all packets.
    spent: Spent,
    /// Frames so far, and of these the ones that are not sent again.
    count: u64,
    given_up: u64,
    /// The link's numbers of the last frames that were forgotten, and what part of each arrived.
    forgotten: VecDeque<(u64, f64)>,
    lost: Vec<(usize, u64)>,
}

#[derive(Debug, Default)]
struct Spent {
    came: f64,
    packets: f64,
    all: f64,
    overhead: Overhead,
}

impl Spent {
    /// Looks at whole frames, of which the last eight count most.
    fn fade(&mut self) {
        if self.came > 0.0 {
            self.overhead = Overhead { packets: self.packets / self.came, all: self.all / self.came };
        }
        [&mut self.came, &mut self.packets, &mut self.all].into_iter().for_each(|sum| *sum *= 7.0 / 8.0);
    }
}

impl Outbox {
    pub fn new(mtu: usize, hold: Hold, share: Share) -> Outbox {
        let (frames, open, head, had, queue, lost, spent) = Default::default();
        Outbox {
            hold,
            share,
            room: part_bytes(mtu),
            frames,
            open,
            head,
            had,
            queue,
            waiting: 0,
            came: 0,
            spent,
            count: 0,
            given_up: 0,
            forgotten: VecDeque::new(),
            lost,
        }
    }

    /// Parts of packets of this length, from the next frame on.
    pub fn shorten(&mut self, mtu: usize) {
        self.room = part_bytes(mtu);
    }

    pub fn begin(&mut self, mut begin: Begin, losses: Losses) -> Result<()> {
        self.abandon(losses);
        if let Some(head) = begin.head.take() {
            self.head = Some((begin.epoch, head));
        }
        let head = self.head.as_ref().filter(|(epoch, _)| *epoch == begin.epoch);
        let (epoch, head) = head.context("a frame without a header")?;
        let under = (*epoch, head.since);
        let header = (self.had != Some(under)).then(|| head.clone());
        if self.frames.len() >= FRAMES
            && self.hold != Hold::Every
            && let Some(frame) = self.frames.pop_front()
        {
            frame.parts.iter().for_each(|(cut, _)| self.lost.extend(&cut.segments));
        }
        self.spent.fade(); // all of the one before has left
        let (link_number, carries_header) = (begin.number, header.is_some());
        let number = self.count;
        self.count += 1;
        self.open = Some(Cutter::new(self.room, begin, head.since, header));
        let (parts, blocks) = Default::default();
        self.frames.push_back(Frame {
            number,
            link_number,
            left: None,
            under,
            carries_header,
            ended: false,
            parts,
            blocks,
            bytes: 0,
            taken_back: false,
        });
        Ok(())
    }

    /// The frame that has begun, if there is one, will have no end.
    pub fn abandon(&mut self, losses: Losses) {
        if let Some(mut abandoned) = self.open.take() {
            self.came = 0;
            abandoned.abandon();
            self.enqueue(abandoned.take(), losses);
            self.frames.back_mut().into_iter().for_each(|frame| frame.ended = true);
        }
    }

    pub fn runs(&mut self, runs: Runs, losses: Losses) -> Result<()> {
        self.came += runs.body.len();
        let cutter = self.open.as_mut().context("segments without a frame")?;
        cutter.runs(runs)?;
        let cuts = cutter.take();
        self.enqueue(cuts, losses);
        Ok(())
    }

    /// The frame is whole; its bytes on the wire.
    pub fn end(&mut self, end: End, losses: Losses) -> Result<usize> {
        let mut cutter = self.open.take().context("the end of no frame")?;
        cutter.end(end);
        self.enqueue(cutter.take(), losses);
        let frame = self.frames.back_mut().context("the end of no frame")?;
        frame.ended = true;
        self.spent.came += std::mem::take(&mut self.came) as f64;
        Ok(frame.bytes)
    }

    fn enqueue(&mut self, cuts: Vec<Cut>, losses: Losses) {
        let repair = if self.hold == Hold::Newest { Repair::None } else { Repair::Resend };
        let Some(frame) = self.frames.back_mut() else { return };
        for cut in cuts {
            let last = cut.last;
            (frame.bytes, self.waiting) = (frame.bytes + cut.bytes.len(), self.waiting + cut.bytes.len());
            self.queue.push_back(Place { frame: frame.number, shard: Shard::Part(frame.parts.len()) });
            frame.parts.push((cut, State::Queued { again: false }));
            let first = frame.blocks.last().map_or(0, |block| block.first + block.parts);
            let parts = frame.parts.len() - first;
            if !last && parts < BLOCK {
                continue;
            }
            let count = self.share.parities(parts, losses, repair);
            let protected: Vec<Bytes> = frame.parts[first..].iter().map(|(cut, _)| cut.bytes.clone()).collect();
            let parities = parity::protect(&protected, count);
            let bytes: usize = parities.iter().map(Bytes::len).sum();
            (frame.bytes, self.waiting) = (frame.bytes + bytes, self.waiting + bytes);
            for index in 0..count {
                self.queue.push_back(Place { frame: frame.number, shard: Shard::Parity(frame.blocks.len(), index) });
            }
            // The end stands in the last part alone.
            if last && count > 0 {
                let shard = Shard::Part(frame.parts.len() - 1);
                self.queue.push_back(Place { frame: frame.number, shard });
            }
            let parities = parities.into_iter().map(|bytes| (bytes, State::Queued { again: false })).collect();
            frame.blocks.push(Block { first, parts, size: count, parities, settled: false });
        }
    }

    /// The next part or parity to leave; and whether it is a part that leaves for the first time.
    pub fn next(&mut self, now: Time) -> Option<(Record, Place, bool)> {
        loop {
            let Some(place) = self.queue.pop_front() else {
                self.waiting = 0;
                return None;
            };
            let Some(frame) = find(&mut self.frames, place.frame) else { continue };
            let record = frame.record(place)?;
            let bytes = match &record {
                Record::Part(part) => part.bytes.len(),
                Record::Parity(parity) => parity.bytes.len(),
                _ => 0,
            };
            self.waiting = self.waiting.saturating_sub(bytes);
            frame.left.get_or_insert(now);
            let state = frame.state(place.shard)?;
            let again = *state == State::Queued { again: true };
            let first = matches!(place.shard, Shard::Part(_)) && *state == State::Queued { again: false };
            *state = State::Flying { again };
            return Some((record, place, first));
        }
    }

    /// What `next` gave leaves in a packet of so many bytes.
    pub fn sent(&mut self, first: bool, bytes: usize) {
        self.spent.packets += if first { bytes as f64 } else { 0.0 };
        self.spent.all += bytes as f64;
    }

    /// What a frame's bytes become in packets.
    pub fn overhead(&self) -> Overhead {
        self.spent.overhead
    }

    /// Bytes that have not left yet.
    pub fn waiting(&self) -> usize {
        if self.queue.is_empty() { 0 } else { self.waiting.max(1) }
    }

    pub fn arrived(&mut self, place: Place) {
        let Some(frame) = find(&mut self.frames, place.frame) else { return };
        let under = frame.under;
        if let Shard::Part(index) = place.shard
            && frame.parts.get(index).is_some_and(|(cut, _)| cut.header)
        {
            self.had = Some(under);
        }
        if let Some(state) = frame.state(place.shard) {
            let again = matches!(state, State::Queued { again: true } | State::Flying { again: true });
            *state = State::Arrived { again };
        }
    }

    /// Where the newest frame alone counts: what of it has not left, or not arrived, is left to the next one.
    pub fn give_up(&mut self) {
        if self.hold != Hold::Newest {
            return;
        }
        (self.given_up, self.waiting) = (self.count, 0);
        for place in std::mem::take(&mut self.queue) {
            let frame = find(&mut self.frames, place.frame);
            if let Some(state) = frame.and_then(|frame| frame.state(place.shard))
                && matches!(state, State::Queued { .. })
            {
                *state = State::Lost;
            }
        }
    }

    pub fn lost(&mut self, place: Place) {
        let frame = find(&mut self.frames, place.frame);
        if let Some(state) = frame.and_then(|frame| frame.state(place.shard))
            && matches!(state, State::Flying { .. })
        {
            *state = State::Lost;
        }
    }

    /// Decides what becomes of blocks of which every packet's fate is known.
    pub fn settle(&mut self, now: Time, losses: Losses) {
        let newest = self.frames.back().map_or(0, |frame| frame.number);
        for frame in self.frames.iter_mut().filter(|frame| !frame.is_settled() || frame.carries_header) {
            let wanted = match self.hold {
                Hold::Every => true,
                Hold::Newest => frame.number == newest && frame.number >= self.given_up,
                Hold::Until(latency) => frame.left.is_none_or(|left| now + MARGIN < left + latency),
            };
            for index in 0..frame.blocks.len() {
                let Some(missing) = frame.deficit(index) else { continue };
                if missing == 0 {
                    frame.blocks[index].settled = true;
                    continue;
                }
                let block = &frame.blocks[index];
                let range = block.first..block.first + block.parts;
                let lost: Vec<usize> = range.filter(|&part| frame.parts[part].1 == State::Lost).collect();
                if !wanted {
                    frame.blocks[index].settled = true;
                    lost.iter().for_each(|&part| self.lost.extend(&frame.parts[part].0.segments));
                    continue;
                }
                // Some of these will be lost too.
                let count = missing + 1 + (3.0 * losses.share * missing as f64) as usize;
                for &part in lost.iter().take(count).rev() {
                    frame.parts[part].1 = State::Queued { again: true };
                    self.waiting += frame.parts[part].0.bytes.len();
                    self.queue.push_front(Place { frame: frame.number, shard: Shard::Part(part) });
                }
            }
            // A header of several parts is had when all of its frame is.
            if frame.carries_header && frame.is_settled() {
                frame.carries_header = false;
                if frame.blocks.iter().all(|block| !frame.lacks(block)) {
                    self.had = Some(frame.under);
                }
            }
        }
    }

    /// The far side has done with all frames before this one; those of the last 64 whose bits are set were of no use.
    pub fn far_settled(&mut self, before: u64, unread: u64) {
        for frame in self.frames.iter_mut().filter(|frame| frame.number < before) {
            let age = before - 1 - frame.number;
            if age < 64 && unread >> age & 1 == 1 && !std::mem::replace(&mut frame.taken_back, true) {
                frame.parts.iter().for_each(|(cut, _)| self.lost.extend(&cut.segments));
                if self.had == Some(frame.under) {
                    self.had = None;
                }
            }
        }
        while self.frames.front().is_some_and(|frame| frame.number < before && frame.is_settled()) {
            self.forgotten.extend(self.frames.pop_front().map(|frame| (frame.link_number, frame.passed())));
            self.forgotten.drain(..self.forgotten.len().saturating_sub(FORGOTTEN));
        }
    }

    /// Places and versions that did not arrive and will not be sent again.
    pub fn take_lost(&mut self) -> Vec<(usize, u64)> {
        std::mem::take(&mut self.lost)
    }

    /// The link's number up to which nothing is on its way.
    pub fn settled_number(&self) -> Option<u64> {
        let settled = self.frames.iter().take_while(|frame| frame.is_settled()).last();
        settled.map(|frame| frame.link_number).or(self.forgotten.back().map(|(number, _)| *number))
    }

    /// The part of the frame of this link's number that arrived when it was sent first, of one that was abandoned and the next
    /// the next; all where that is not known any more.
    pub fn passed(&self, link_number: u64) -> f64 {
        if let Some(frame) = self.frames.iter().rev().find(|frame| frame.link_number == link_number) {
            return frame.passed();
        }
        let forgotten = self.forgotten.iter().rev().find(|(number, _)| *number == link_number);
        forgotten.map_or(1.0, |(_, passed)| *passed)
    }

    /// Whether nothing is on its way.
    pub fn is_settled(&self) -> bool {
        self.frames.iter().all(Frame::is_settled)
    }
}

/// Numbers rise, so this is a search.
fn find(frames: &mut VecDeque<Frame>, number: u64) -> Option<&mut Frame> {
    let at = frames.binary_search_by_key(&number, |frame| frame.number).ok()?;
    frames.get_mut(at)
}
