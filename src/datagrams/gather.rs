//! The receiving end of frames: parts come in any order, some not at all; frames leave in order, each begun, with its
//! segments as they come, and ended: when it is whole, or when it may not wait any longer.
//!
//! What arrived counts as had by the publisher, so it is used, however late. A frame whose beginning never came cannot be;
//! that is told back (`settled`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::Result;

use super::Hold;
use super::packet::{Parity, Part};
use crate::clock::Time;
use crate::frame::BYTES_MAX;
use crate::link::{Crossing, Repaired};
use crate::message::Message;

mod frame;
mod passing;

use frame::{Block, Frame, Known};
use passing::Passing;

/// A newer frame's first datagram may overtake the last ones of its predecessor by this.
const GRACE: Duration = Duration::from_millis(3);
/// What arrives of a frame later than that after its end has not arrived.
const LATE: Duration = Duration::from_secs(1);
/// Frames in memory at most; with `Hold::Every`, memory alone is the bound.
const FRAMES: usize = 128;
/// A link's numbers go on; a leap is no vstream's.
const LEAP: u64 = 1 << 20;

#[derive(Debug)]
pub struct Gather {
    pub hold: Hold,
    frames: BTreeMap<u64, Frame>,
    /// The frame that leaves now or next.
    next: u64,
    /// All before it are out of memory; which of the last of them were of no use, the newest in the lowest bit.
    settled: u64,
    unread: u64,
    /// The same for those of which something lacked.
    holed: u64,
    head: Option<Known>,
    out: Out,
    held: usize,
    /// Blocks that may be repaired: the frame, and the first of the parts.
    repairs: BTreeSet<(u64, u64)>,
    pub repaired: Repaired,
}

/// What has left and was not taken yet; with an end how its frame crossed.
#[derive(Debug, Default)]
struct Out {
    queue: VecDeque<(Message, Crossing)>,
    bytes: usize,
}

impl Out {
    fn push(&mut self, message: Message, crossing: Crossing) {
        self.bytes += weight(&message);
        self.queue.push_back((message, crossing));
    }

    fn pop(&mut self) -> Option<(Message, Crossing)> {
        let (message, crossing) = self.queue.pop_front()?;
        self.bytes -= weight(&message);
        Some((message, crossing))
    }
}

fn weight(message: &Message) -> usize {
    if let Message::Runs(runs) = message { runs.body.len() } else { 0 }
}

impl Gather {
    pub fn new(hold: Hold) -> Gather {
        Gather {
            hold,
            frames: BTreeMap::new(),
            next: 0,
            settled: 0,
            unread: 0,
            holed: 0,
            head: None,
            out: Out::default(),
            held: 0,
            repairs: BTreeSet::new(),
            repaired: Repaired::default(),
        }
    }

    /// Takes a part that the datagram of this number brought; false if it is of no use any more, or there is no room for it:
    /// then it has not come.
    pub fn part(&mut self, now: Time, number: u64, part: Part) -> Result<bool> {
        if part.frame < self.settled {
            return Ok(self.was_whole(part.frame));
        }
        let Some(frame) = self.frame(part.frame, (number, now), part.bytes.len()) else { return Ok(false) };
        if frame.total.is_some_and(|total| part.index >= total) {
            return Ok(false);
        }
        let before = frame.bytes;
        frame.came(number, now, part.again);
        if part.last {
            frame.total = Some(part.index + 1);
        }
        let repaired = frame.insert(part.index, part.bytes)? && part.again;
        let block = frame.blocks.range(..=part.index).next_back();
        let block = block.filter(|(first, block)| part.index < **first + block.parts as u64);
        let block = block.map(|(&first, _)| (part.frame, first));
        self.held += frame.bytes - before;
        self.repairs.extend(block);
        self.repaired.resend += u64::from(repaired);
        self.advance(now);
        Ok(true)
    }

    /// Takes a parity.
    pub fn parity(&mut self, now: Time, number: u64, parity: Parity) -> Result<bool> {
        if parity.frame < self.settled {
            return Ok(self.was_whole(parity.frame));
        }
        let Some(frame) = self.frame(parity.frame, (number, now), parity.bytes.len()) else { return Ok(false) };
        let before = frame.bytes;
        frame.came(number, now, false);
        if parity.last {
            frame.total = Some(parity.first + parity.parts as u64);
        }
        let fresh = Block { parts: parity.parts, of: parity.of, parities: BTreeMap::new() };
        let block = frame.blocks.entry(parity.first).or_insert(fresh);
        if (block.parts, block.of) == (parity.parts, parity.of) && !block.parities.contains_key(&parity.index) {
            frame.bytes += parity.bytes.len();
            block.parities.insert(parity.index, parity.bytes);
        }
        self.held += frame.bytes - before;
        self.repairs.insert((parity.frame, parity.first));
        self.advance(now);
        Ok(true)
    }

    /// Repairs what can be, once all datagrams were taken that came together: what seems lost may be among the last of them.
    pub fn repair(&mut self, now: Time) -> Result<()> {
        while let Some((number, first)) = self.repairs.pop_first() {
            let Some(frame) = self.frames.get_mut(&number) else { continue };
            let before = frame.bytes;
            let recovered = frame.recover(first);
            self.held += frame.bytes - before;
            self.repaired.fec += recovered?;
        }
        self.advance(now);
        Ok(())
    }

    /// The frame of this number, if it still takes so many bytes.
    fn frame(&mut self, number: u64, (first, now): (u64, Time), bytes: usize) -> Option<&mut Frame> {
        let known = self.frames.contains_key(&number);
        let crowded = !known && self.hold != Hold::Every && self.frames.len() >= FRAMES;
        let full = self.held + self.out.bytes + bytes > 2 * BYTES_MAX;
        if number > self.next + LEAP || crowded || full {
            return None;
        }
        // One that nothing had come of in time has left without a word.
        let ended = (number < self.next).then_some(now);
        Some(self.frames.entry(number).or_insert_with(|| Frame { ended, ..Frame::new(first, now) }))
    }

    /// Lets go what may go by now.
    pub fn advance(&mut self, now: Time) {
        while let Some((&number, _)) = self.frames.range(self.next..).next() {
            let newer = self.frames.range(number + 1..).next().map(|(_, newer)| newer.first);
            if number > self.next {
                // Of the frames before it nothing came yet.
                let seen = self.frames[&number].first;
                let over = match self.hold {
                    Hold::Newest => now >= seen + GRACE,
                    Hold::Until(latency) => now >= seen + latency,
                    Hold::Every => false,
                };
                if !over {
                    break;
                }
                self.next = number;
            }
            let Some(frame) = self.frames.get_mut(&number) else { break };
            frame.begin(number, &mut self.head, &mut self.out);
            let whole = frame.is_whole() && frame.begun;
            if !whole && now < frame.deadline(self.hold, newer).unwrap_or(Time::from_micros(i64::MAX)) {
                break;
            }
            if let Some(end) = frame.end.filter(|_| frame.begun) {
                let (changed, began) = (std::mem::take(&mut frame.changed), frame.first);
                let crossing = Crossing { changed, began, arrived: began + frame.passing.took() };
                self.out.push(Message::End(end), crossing);
            }
            frame.ended = Some(now);
            self.next = number + 1;
        }
        // What came late of frames that have left.
        for (&number, frame) in self.frames.range_mut(..self.next) {
            frame.begin_late(number, &mut self.head, &mut self.out);
        }
        self.settle(now);
    }

    /// Forgets frames that are whole or old.
    fn settle(&mut self, now: Time) {
        while let Some(first) = self.frames.first_entry() {
            let (number, frame) = (*first.key(), first.get());
            let Some(ended) = frame.ended else { break };
            let crowded = self.next - number > FRAMES as u64 / 2;
            if !frame.is_whole() && now.since(ended) < LATE && !crowded {
                break;
            }
            let frame = first.remove();
            self.held = self.held.saturating_sub(frame.bytes);
            self.settle_to(number, false, true);
            self.settle_to(number + 1, frame.is_unread(), !frame.is_whole());
        }
        if self.frames.is_empty() {
            self.settle_to(self.next, false, true);
        }
    }

    /// Frames before this number are settled, all of them with these marks.
    fn settle_to(&mut self, number: u64, unread: bool, holed: bool) {
        while self.settled < number {
            // Of a leap only the last 64 are remembered.
            self.settled = (self.settled + 1).max(number.saturating_sub(64));
            self.unread = self.unread << 1 | u64::from(unread);
            self.holed = self.holed << 1 | u64::from(holed);
        }
    }

    /// Whether all of a settled frame had come: what comes once more has come too.
    fn was_whole(&self, number: u64) -> bool {
        let age = self.settled - 1 - number;
        age < 64 && self.holed >> age & 1 == 0
    }

    /// Frames before this number are settled; of the last 64 of them those were of no use whose bit is set.
    pub fn settled(&self) -> (u64, u64) {
        (self.settled, self.unread)
    }

    /// When `advance` may find something.
    pub fn wake(&self) -> Option<Time> {
        if !self.repairs.is_empty() {
            return Some(Time::default()); // at once
        }
        let mut later = self.frames.range(self.next..);
        let (&number, frame) = later.next()?;
        if number > self.next {
            return match self.hold {
                Hold::Newest => Some(frame.first + GRACE),
                Hold::Until(latency) => Some(frame.first + latency),
                Hold::Every => None,
            };
        }
        frame.deadline(self.hold, later.next().map(|(_, newer)| newer.first))
    }

    /// Whether frames are on their way that have not left.
    pub fn is_idle(&self) -> bool {
        self.out.queue.is_empty() && self.frames.range(self.next..).next().is_none()
    }

    pub fn has_message(&self) -> bool {
        !self.out.queue.is_empty()
    }

    /// The next message; with an end how its frame crossed.
    pub fn message(&mut self) -> Option<(Message, Crossing)> {
        self.out.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagrams::cut::{Cut, Cutter};
    use crate::message::{Begin, End, Runs};
    use crate::runs;
    use crate::segments::{Form, Head};

    fn ms(t: i64) -> Time {
        Time::from_micros(t * 1000)
    }

    /// The parts of a frame of some datagrams, under a header of its own.
    fn parts(number: u64) -> Vec<Part> {
        let (epoch, captured) = (number + 1, Time::default());
        let head = Head { form: Form::Tiles, since: 1, header: vec![1; 9].into(), count: 20 };
        let begin = Begin { number, epoch, seq: number, captured, error: Duration::ZERO, head: None };
        let mut cutter = Cutter::new(1200, begin, 1, Some(head));
        let segments: Vec<_> = (0..20).map(|place| (place, 1, vec![7; 500])).collect();
        cutter.runs(Runs { epoch, since: 1, body: runs::encode_segments(&segments).into() }).unwrap();
        cutter.end(End { number, state: 1 });
        let part = |(index, cut): (usize, Cut)| Part {
            frame: number,
            index: index as u64,
            last: cut.last,
            again: false,
            bytes: cut.bytes,
        };
        cutter.take().into_iter().enumerate().map(part).collect()
    }

    fn ends(gather: &mut Gather) -> Vec<u64> {
        let messages = std::iter::from_fn(|| gather.message());
        messages
            .filter_map(|(message, _)| if let Message::End(end) = message { Some(end.number) } else { None })
            .collect()
    }

    #[test]
    fn a_frame_whose_end_was_lost_waits_for_it_until_a_newer_one_comes() {
        for newer in [false, true] {
            let mut gather = Gather::new(Hold::Newest);
            let (first, mut second) = (parts(0), parts(1));
            let late = first[2..].iter().cloned().map(|part| Part { again: true, ..part });
            for (number, part) in first[..2].iter().cloned().enumerate() {
                assert!(gather.part(ms(0), number as u64, part).unwrap());
            }
            if newer {
                assert!(gather.part(ms(300), 90, second.remove(0)).unwrap());
            }
            gather.advance(ms(600));
            assert!(ends(&mut gather).is_empty());
            for (number, part) in late.enumerate() {
                assert!(gather.part(ms(600), 91 + number as u64, part).unwrap());
            }
            assert_eq!(ends(&mut gather), if newer { vec![] } else { vec![0] });
            assert!(newer || gather.is_idle());
        }
    }

    #[test]
    fn an_end_with_holes_waits_for_a_moment_and_no_end_for_a_second() {
        for (from, after) in [(1, 10), (0, 1000)] {
            let (mut gather, mut parts) = (Gather::new(Hold::Newest), parts(0));
            parts.remove(if from == 1 { 1 } else { parts.len() - 1 });
            for (number, part) in parts.into_iter().enumerate() {
                assert!(gather.part(ms(0), number as u64, part).unwrap());
            }
            assert_eq!(gather.wake(), Some(ms(after)));
            gather.advance(ms(after - 1));
            assert!(!gather.is_idle());
            gather.advance(ms(after));
            assert_eq!(ends(&mut gather), vec![0; from]);
            assert!(gather.is_idle());
        }
    }
}
