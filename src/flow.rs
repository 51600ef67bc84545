//! How much may be on its way: what keeps lag from growing, whatever the kernel, a proxy or a shaper would still take.
//!
//! At most two frames, or what was sent within the last round trip and 140 ms, may be unacknowledged. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Time;

/// Frames that may always be on their way: one being written, one being read.
const FRAMES: usize = 2;
/// What a busy network may hold besides the round trip itself: a queue, and large frames that take half of this by themselves.
const SLACK: Duration = Duration::from_millis(140);
/// What the far side takes to say that a frame has come, besides the round trip.
const ANSWER: Duration = Duration::from_millis(25);
/// Bytes that wait for their acknowledgement where every frame matters.
pub const HELD_MAX: usize = 64 << 20;
/// Round trips over an empty link to remember: the least of these is the link's own.
const CLEAN: usize = 10;
/// After so many in a row that took so much longer, with frames on their way, the link is emptied once to see whether its way
/// has become longer; where it has not, they show our own queue, and it is not looked again for long.
const LONGER: Duration = Duration::from_millis(50);
const IN_A_ROW: u32 = 3;
const NEXT: u32 = 50;

#[derive(Debug)]
pub struct Flow {
    /// The link's number, the time of sending and the bytes of what is not acknowledged.
    unacknowledged: VecDeque<(u64, Time, usize)>,
    bytes: usize,
    /// The far side may hold a frame back for so long.
    held: Duration,
    clean: VecDeque<Duration>,
    /// The least of them.
    rtt: Duration,
    /// Long round trips in a row, how many are enough to empty the link, and whether it was emptied for the one that is awaited.
    longer: u32,
    enough: u32,
    emptied: bool,
    /// When the last frame was sent, and how long after the one before.
    last: Time,
    interval: Duration,
}

impl Default for Flow {
    fn default() -> Flow {
        let (unacknowledged, bytes, held, clean, rtt, longer, emptied, last, interval) = Default::default();
        Flow { unacknowledged, bytes, held, clean, rtt, longer, enough: IN_A_ROW, emptied, last, interval }
    }
}

impl Flow {
    /// A frame was sent; `begun` without what its sender waited for more of it, which is no queue.
    pub fn sent(&mut self, number: u64, begun: Time, bytes: usize) {
        (self.interval, self.last) = (begun.since(self.last), begun);
        self.unacknowledged.push_back((number, begun, bytes));
        self.bytes += bytes;
    }

    /// The far side may hold a frame back for so long: that is no queue.
    pub fn held(&mut self, held: Duration) {
        self.held = held;
    }

    /// All frames up to this number have arrived. How many that settled.
    pub fn acknowledged(&mut self, number: u64) -> usize {
        let mut count = 0;
        while let Some(&(first, _, bytes)) = self.unacknowledged.front() {
            if first > number {
                break;
            }
            self.unacknowledged.pop_front();
            self.bytes -= bytes;
            count += 1;
        }
        count
    }

    /// Whether no frame has been sent for so long.
    pub fn idles(&self, now: Time, time: Duration) -> bool {
        now.since(self.last) > time
    }

    pub fn is_empty(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// Whether the far side's word of the oldest frame should have come.
    pub fn expects(&self, now: Time) -> bool {
        let oldest = self.unacknowledged.front();
        oldest.is_some_and(|&(_, sent, _)| now.since(sent) > self.rtt + ANSWER + self.held)
    }

    /// A round trip is being measured; whether it finds the link empty.
    pub fn asked(&mut self) -> bool {
        self.emptied = self.asks();
        self.longer = if self.emptied { 0 } else { self.longer };
        self.is_empty()
    }

    /// Whether one is to be measured now, as the link has been emptied for it.
    pub fn asks(&self) -> bool {
        self.empties() && self.is_empty()
    }

    /// Whether the way may have become longer: what was sent takes longer to be acknowledged, or a ping did.
    pub fn doubts(&self, now: Time) -> bool {
        self.longer > 0 || !self.room(now)
    }

    fn empties(&self) -> bool {
        self.longer >= self.enough
    }

    /// A round trip; `clean`: it found the link empty. Only such ones count: measured through our own queue, the round trip
    /// would allow a longer queue, and that a longer round trip. Whether the way is another one than before.
    pub fn round_trip(&mut self, rtt: Duration, clean: bool) -> bool {
        let longer = rtt > self.rtt + LONGER;
        if !clean {
            self.longer = if longer { self.longer + 1 } else { 0 };
            return false;
        }
        let emptied = std::mem::take(&mut self.emptied);
        let another = emptied && longer;
        (self.longer, self.enough) = (0, if emptied && !longer { NEXT } else { IN_A_ROW });
        let forgotten = if another { self.clean.len() } else { usize::from(self.clean.len() == CLEAN) };
        self.clean.drain(..forgotten);
        self.clean.push_back(rtt);
        self.rtt = self.clean.iter().min().copied().unwrap_or_default();
        another
    }

    /// Whether one more frame may go: never a wait for the clock, only for an acknowledgement.
    pub fn room(&self, now: Time) -> bool {
        if self.empties() {
            return false;
        }
        let Some(&(_, oldest, _)) = self.unacknowledged.front() else { return true };
        self.unacknowledged.len() < FRAMES || now.since(oldest) <= self.rtt + SLACK + self.held
    }

    /// The same of the one after it, if nothing is heard meanwhile.
    pub fn room_for_next(&self, now: Time) -> bool {
        self.room(now + self.interval)
    }

    /// The same where every frame matters: time does not count, memory does.
    pub fn room_for_every(&self) -> bool {
        self.bytes < HELD_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(t: i64) -> Time {
        Time::from_micros(t * 1000)
    }

    #[test]
    fn a_long_fat_link_is_filled_and_a_slow_one_is_not() {
        let mut flow = Flow::default();
        flow.round_trip(Duration::from_millis(200), true);
        for n in 0..11 {
            assert!(flow.room(ms(33 * n)), "340 ms may be on their way");
            flow.sent(n as u64, ms(33 * n), 1000);
        }
        assert!(!flow.room(ms(363)));
        assert_eq!(flow.acknowledged(0), 1);
        assert!(flow.room(ms(363)));
    }

    #[test]
    fn words_are_expected_after_a_round_trip_and_needed_before_there_is_no_room() {
        let mut flow = Flow::default();
        flow.round_trip(Duration::from_millis(20), true);
        assert!(!flow.expects(ms(1000)) && flow.room_for_next(ms(1000)), "nothing was sent");
        for n in 0..4 {
            assert!(flow.room_for_next(ms(33 * n)), "{n}");
            flow.sent(n as u64, ms(33 * n), 1);
        }
        flow.sent(4, ms(132), 1);
        assert!(flow.room(ms(132)) && !flow.room_for_next(ms(132)), "165 ms are more than 160");
        assert!(flow.expects(ms(132)) && !flow.expects(ms(44)));
        flow.acknowledged(2);
        assert!(!flow.expects(ms(132)) && flow.room_for_next(ms(132)));
    }

    #[test]
    fn two_frames_always_may() {
        let mut flow = Flow::default();
        flow.sent(0, ms(0), 1);
        assert!(flow.room(ms(60_000)));
        flow.sent(1, ms(60_000), 1);
        assert!(!flow.room(ms(60_000)));
    }

    #[test]
    fn the_queue_stays_bounded_on_a_slow_link() {
        // 10 frames a second pass, 30 are offered, the round trip grows with the queue: the lag must not.
        let mut flow = Flow::default();
        flow.round_trip(Duration::from_millis(2), true);
        let (mut arrivals, mut busy_until, mut worst) = (VecDeque::new(), 0i64, 0);
        for tick in 0..3000i64 {
            while arrivals.front().is_some_and(|&(_, at)| at <= tick) {
                flow.acknowledged(arrivals.pop_front().unwrap().0);
            }
            if tick % 33 == 0 && flow.room(ms(tick)) {
                flow.sent(tick as u64, ms(tick), 1);
                busy_until = busy_until.max(tick) + 100;
                arrivals.push_back((tick as u64, busy_until));
                worst = worst.max(busy_until - tick);
            }
        }
        assert!(worst <= 440, "{worst} ms of lag");
    }

    #[test]
    fn a_way_that_became_longer_is_measured_once_without_frames() {
        for (empty, room) in [(240, true), (40, false)] {
            let mut flow = Flow::default();
            flow.round_trip(Duration::from_millis(40), true);
            let mut emptied = 0;
            for second in 0..14 {
                for n in 30 * second..30 * second + 8 {
                    flow.sent(n, ms(n as i64 * 33), 1);
                }
                flow.round_trip(Duration::from_millis(240), flow.is_empty());
                assert!(!flow.asks(), "frames are on their way");
                flow.acknowledged(30 * second + 7);
                if flow.asks() {
                    assert!(!flow.room(ms(0)), "nothing may come before the ping");
                    assert!(flow.asked() && flow.room(ms(0)));
                    assert_eq!(flow.round_trip(Duration::from_millis(empty), true), room);
                    emptied += 1;
                }
            }
            assert_eq!(emptied, 1, "once, whether that helped or not");
            flow.sent(1000, ms(0), 1);
            flow.sent(1001, ms(0), 1);
            assert_eq!(flow.room(ms(300)), room, "with {empty} ms measured");
        }
    }

    #[test]
    fn memory_bounds_every_frame() {
        let mut flow = Flow::default();
        flow.sent(0, ms(0), HELD_MAX);
        assert!(!flow.room_for_every());
        flow.acknowledged(7);
        assert!(flow.room_for_every() && flow.is_empty());
    }
}
