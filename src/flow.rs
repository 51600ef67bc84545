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

#[derive(Debug, Default)]
pub struct Flow {
    /// The link's number, the time of sending and the bytes of what is not acknowledged.
    unacknowledged: VecDeque<(u64, Time, usize)>,
    bytes: usize,
    /// The far side may hold a frame back for so long.
    held: Duration,
    clean: VecDeque<Duration>,
    /// When the last frame was sent, and how long after the one before.
    last: Time,
    interval: Duration,
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

    pub fn is_empty(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// Whether the far side's word of the oldest frame should have come.
    pub fn expects(&self, now: Time) -> bool {
        let oldest = self.unacknowledged.front();
        oldest.is_some_and(|&(_, sent, _)| now.since(sent) > self.rtt() + ANSWER + self.held)
    }

    fn rtt(&self) -> Duration {
        self.clean.iter().min().copied().unwrap_or_default()
    }

    /// A round trip that found the link empty. Only such ones count: measured through our own queue, the round trip
    /// would allow a longer queue, and that a longer round trip.
    pub fn round_trip(&mut self, rtt: Duration) {
        if self.clean.len() == CLEAN {
            self.clean.pop_front();
        }
        self.clean.push_back(rtt);
    }

    /// Whether one more frame may go: never a wait for the clock, only for an acknowledgement.
    pub fn room(&self, now: Time) -> bool {
        let Some(&(_, oldest, _)) = self.unacknowledged.front() else { return true };
        self.unacknowledged.len() < FRAMES || now.since(oldest) <= self.rtt() + SLACK + self.held
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
        flow.round_trip(Duration::from_millis(200));
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
        flow.round_trip(Duration::from_millis(20));
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
        flow.round_trip(Duration::from_millis(2));
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
    fn memory_bounds_every_frame() {
        let mut flow = Flow::default();
        flow.sent(0, ms(0), HELD_MAX);
        assert!(!flow.room_for_every());
        flow.acknowledged(7);
        assert!(flow.room_for_every() && flow.is_empty());
    }
}
