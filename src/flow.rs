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
}

impl Flow {
    /// A frame was sent; `begun` without what its sender waited for more of it, which is no queue.
    pub fn sent(&mut self, number: u64, begun: Time, bytes: usize) {
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

    /// Since when the oldest frame is on its way.
    pub fn oldest(&self) -> Option<Time> {
        self.unacknowledged.front().map(|(_, sent, _)| *sent)
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
        let rtt = self.clean.iter().min().copied().unwrap_or_default();
        self.unacknowledged.len() < FRAMES || now.since(oldest) <= rtt + SLACK + self.held
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
