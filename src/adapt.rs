//! Quality that follows the network. Of each link an estimate of the rate that it takes, and a budget, so that what does
//! not fit is not sent; of a sender the ladder of what it may send. Pure: no clock is read and no socket opened here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Time;
use crate::message::Report;

pub mod choice;
mod estimate;
pub mod ladder;
pub mod least;
mod passed;
pub mod rung;
#[cfg(test)]
mod tests;
mod trickle;

use estimate::Estimate;

/// What may be sent at once after a pause: a budget is no reason to wait for the clock at every frame.
const BURST: Duration = Duration::from_millis(30);
/// Seconds: whoever set a rate that takes longer for a frame gets none for as long as it holds.
const DEBT: f64 = 1e6;
/// A queue that is worth a word.
const QUEUE: f64 = 0.030;
const LOST: f64 = 0.05;
/// Packets of which one lost is two per cent: less than a radio loses at times. Or some within a time: what was lost before
/// says little of a network that takes few.
const PACKETS: u64 = 50;
const SOME: (u64, f64) = (10, 0.5);
/// Frames' bytes are averaged over this.
const AVERAGE: Duration = Duration::from_secs(1);

/// What a sender allows each of its links.
#[derive(Debug, Default)]
pub struct Limits {
    /// Bits a second; 0 is no limit.
    rate_max: AtomicU64,
    /// Whether links keep to what the network takes.
    pub adapt: bool,
}

impl Limits {
    pub fn new(rate_max: Option<u64>, adapt: bool) -> Limits {
        Limits { rate_max: AtomicU64::new(rate_max.unwrap_or(0)), adapt }
    }

    pub fn rate_max(&self) -> Option<u64> {
        Some(self.rate_max.load(Ordering::Relaxed)).filter(|&rate| rate > 0)
    }

    pub fn set_rate_max(&self, rate: Option<u64>) {
        self.rate_max.store(rate.unwrap_or(0), Ordering::Relaxed);
    }
}

/// What a link takes, and what its frames take of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Bits a second.
    pub target: f64,
    /// Of a frame, on the wire: of those since all segments were sent, as after a change of size or quality, and when that was.
    pub frame_bytes: f64,
    pub since: Time,
    pub why: Why,
    /// Nothing comes through: the target is that of before.
    pub stalled: bool,
}

/// What bounds a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    RateMax,
    /// This part.
    Lost(f64),
    /// So many seconds.
    Queue(f64),
    /// How fast the network passes frames on.
    Passing,
}

/// A link's rate: estimated, and spent.
#[derive(Debug, Default)]
pub struct Rate {
    limits: Arc<Limits>,
    estimate: Estimate,
    /// When what was sent is paid for, and the limit that it was sent under.
    due: Option<Time>,
    rate_max: Option<u64>,
    frames: Frames,
    /// Lost and sent, when that was last looked at.
    packets: (u64, u64),
    looked: Option<Time>,
}

/// Bytes of frames that were made from the one before.
#[derive(Debug, Default)]
struct Frames {
    mean: f64,
    count: u32,
    last: Option<Time>,
    /// When all segments were sent.
    since: Time,
}

/// A frame as it was handed to the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Burst {
    /// On the wire: of the packets that carry it, and with what is redundant.
    pub bytes: usize,
    pub wire: usize,
    /// All of its segments, as after a change of size or quality.
    pub whole: bool,
    /// How long more of it was waited for, while it was still being made.
    pub waited: Duration,
}

impl Rate {
    pub fn new(limits: Arc<Limits>) -> Rate {
        Rate { rate_max: limits.rate_max(), limits, ..Rate::default() }
    }

    /// The first of a frame is handed to the network; its number is the link's.
    pub fn begun(&mut self, number: u64, now: Time) {
        self.estimate.begun(number, now);
    }

    /// The rest of it will not come.
    pub fn abandoned(&mut self) {
        self.estimate.abandoned();
    }

    /// The last of it is.
    pub fn sent(&mut self, now: Time, Burst { bytes, wire, whole, waited }: Burst) {
        self.estimate.sent(bytes, waited);
        self.frames.add(now, wire, whole);
        let cost = self.budget().map(|rate| Duration::from_secs_f64((wire as f64 * 8.0 / rate).min(DEBT)));
        let from = self.due.map_or(now, |due| due.max(now - BURST));
        self.due = cost.map(|cost| from + cost);
    }

    /// The far side's word on a frame, of which the network passed this part on.
    pub fn reported(&mut self, report: &Report, passed: f64, now: Time) {
        self.estimate.reported(report, passed, now);
    }

    pub fn round_trip(&mut self, now: Time, rtt: Duration) {
        self.estimate.round_trip(now, rtt);
    }

    /// The network's way is another one: what it took before says nothing of a queue.
    pub fn another_way(&mut self) {
        self.estimate.another_way();
    }

    /// The far side may hold a frame back for so long: that is no queue.
    pub fn held(&mut self, held: Duration) {
        self.estimate.held = held;
    }

    /// Packets that the network lost, and packets sent, since the link began.
    pub fn lost(&mut self, (lost, sent): (u64, u64)) {
        let before = self.packets;
        let packets = sent.saturating_sub(before.1);
        let took = self.looked.zip(self.frames.last);
        let took = took.map_or(0.0, |(before, now)| now.since(before).as_secs_f64());
        if packets >= PACKETS || (packets >= SOME.0 && took >= SOME.1) {
            (self.packets, self.looked) = ((lost, sent), self.frames.last);
            self.estimate.losing(lost.saturating_sub(before.0) as f64 / packets as f64, took);
        }
    }

    /// While frames stand in the way: so many bytes have arrived since the link began. Whether those frames are given up, for a
    /// newer one that goes when nothing of them is on its way any more.
    pub fn trickled(&mut self, arrived: u64, now: Time) -> bool {
        self.limits.adapt && self.estimate.trickled(arrived, now)
    }

    /// How long until the next frame may go.
    pub fn wait(&mut self, now: Time) -> Duration {
        self.estimate.look(now);
        let rate_max = self.limits.rate_max();
        if std::mem::replace(&mut self.rate_max, rate_max) != rate_max {
            self.due = None; // what was sent under another limit is not paid for under this one
        }
        if self.budget().is_none() {
            return Duration::ZERO;
        }
        self.due.map_or(Duration::ZERO, |due| due.since(now))
    }

    /// Of frames up to this number nothing is on its way, whether it arrived or not.
    pub fn settled(&mut self, number: u64) {
        self.estimate.settled(number);
    }

    /// From when on the next frame would only stand behind those before it; none while there are none.
    pub fn stalls(&self) -> Option<Time> {
        self.estimate.stalls().filter(|_| self.limits.adapt)
    }

    /// Bits a second that the network takes; none while that is not known.
    pub fn target(&self) -> Option<u64> {
        self.estimate.rate().map(|rate| rate as u64)
    }

    /// Bits a second that the link is kept to; none where it is not.
    pub fn budget(&self) -> Option<f64> {
        let follow = self.estimate.rate().filter(|_| self.limits.adapt);
        let cap = self.limits.rate_max().map(|rate| rate as f64);
        follow.into_iter().chain(cap).reduce(f64::min)
    }

    /// Bits a second at which the network passes frames on.
    pub fn passing(&self) -> Option<f64> {
        self.estimate.passing()
    }

    /// What a ladder needs to know; none before frames have shown it.
    pub fn load(&self, now: Time) -> Option<Load> {
        let target = self.budget().filter(|_| self.frames.count > 0)?;
        let (queue, lost) = (self.estimate.queue, self.estimate.lost());
        let why = match self.limits.rate_max() {
            Some(rate) if target >= rate as f64 => Why::RateMax,
            _ if lost > LOST => Why::Lost(lost),
            _ if queue > QUEUE => Why::Queue(queue),
            _ => Why::Passing,
        };
        let stalled = self.stalls().is_some_and(|at| at <= now);
        Some(Load { target, frame_bytes: self.frames.mean, since: self.frames.since, why, stalled })
    }
}

impl Frames {
    fn add(&mut self, now: Time, bytes: usize, whole: bool) {
        if whole {
            return *self = Frames { since: now, ..Frames::default() };
        }
        let since = self.last.map_or(0.0, |last| now.since(last).as_secs_f64());
        self.last = Some(now);
        self.count = self.count.saturating_add(1);
        let weight = (1.0 - (-since / AVERAGE.as_secs_f64()).exp()).max(1.0 / f64::from(self.count));
        self.mean += weight * (bytes as f64 - self.mean);
    }
}
