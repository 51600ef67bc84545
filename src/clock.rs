//! Time: the one place that reads a clock, and the estimate of another machine's clock.
//!
//! All times inside the program are microseconds of `CLOCK_MONOTONIC`, the clock that V4L2 stamps buffers with and
//! that no administrator sets back. A peer's times are moved to this clock where they arrive.

use std::collections::VecDeque;
use std::ops::{Add, Sub};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment on this machine's monotonic clock, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(i64);

/// The present moment.
pub fn now() -> Time {
    Time(micros(ClockId::Monotonic))
}

fn micros(id: ClockId) -> i64 {
    let t = clock_gettime(id);
    t.tv_sec.saturating_mul(1_000_000).saturating_add(t.tv_nsec / 1000)
}

impl Time {
    pub const fn from_micros(us: i64) -> Time {
        Time(us)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero if it lies in the future (a camera's stamps may).
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// Moved by a signed number of microseconds, as a clock offset is.
    pub fn shifted(self, us: i64) -> Time {
        Time(self.0.saturating_add(us))
    }

    /// The next multiple of a duration: those who need not be exact wake together.
    pub fn rounded_up(self, grid: Duration) -> Time {
        let grid = i64::try_from(grid.as_micros()).unwrap_or(i64::MAX).max(1);
        self.shifted((-self.0).rem_euclid(grid))
    }

    /// Microseconds since 1970, by what the wall clock says now: for files and web pages, never for arithmetic.
    pub fn unix_micros(self) -> i64 {
        let wall = micros(ClockId::Realtime);
        wall.saturating_sub(now().0.saturating_sub(self.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        self.shifted(i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        self.shifted(-i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
    }
}

/// One four-timestamp exchange (RFC 5905, section 8): how far the peer's clock is ahead, and the round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub at: Time,
    /// Peer's clock minus ours, µs.
    pub offset: i64,
    pub rtt: Duration,
}

impl Exchange {
    /// From our sending, the peer's receiving and answering (its clock), and our receiving. `None` if the peer's
    /// figures cannot be true: an answer before the question, or longer thought than the whole exchange took.
    pub fn new(sent: Time, received: Time, answered: Time, back: Time) -> Option<Exchange> {
        let whole = back.0.checked_sub(sent.0)?;
        let thought = answered.0.checked_sub(received.0)?;
        if whole < 0 || thought < 0 || thought > whole {
            return None;
        }
        let there = received.0.checked_sub(sent.0)?;
        let here = answered.0.checked_sub(back.0)?;
        let offset = there.checked_add(here)? / 2;
        Some(Exchange { at: back, offset, rtt: Duration::from_micros((whole - thought) as u64) })
    }
}

/// The peer's clock: the exchange with the least round trip of a sliding window, which bounds the error by half of it.
#[derive(Debug, Default)]
pub struct Offset {
    window: VecDeque<Exchange>,
}

/// A quartz drifts by up to 100 ppm: 3 ms in 30 s, about the error of a 6 ms round trip.
const WINDOW: Duration = Duration::from_secs(30);
/// One exchange a second and a burst at the start; more would be a peer that floods.
const SAMPLES: usize = 64;

impl Offset {
    pub fn add(&mut self, sample: Exchange) {
        while self.window.len() >= SAMPLES || self.window.front().is_some_and(|s| sample.at.since(s.at) > WINDOW) {
            self.window.pop_front();
        }
        self.window.push_back(sample);
    }

    pub fn best(&self) -> Option<Exchange> {
        self.window.iter().min_by_key(|s| s.rtt).copied()
    }

    /// The newest round trip, queues and all: what a user calls the ping.
    pub fn newest(&self) -> Option<Exchange> {
        self.window.back().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(us: i64) -> Time {
        Time(us)
    }

    #[test]
    fn times_are_rounded_up() {
        let grid = Duration::from_micros(250);
        assert_eq!([1, 250, 251].map(|us| t(us).rounded_up(grid)), [t(250), t(250), t(500)]);
        assert_eq!(t(i64::MAX).rounded_up(grid), t(i64::MAX));
    }

    #[test]
    fn symmetric_exchange_finds_the_offset() {
        // The peer is 1000 µs ahead, 50 µs each way, 7 µs of thought.
        let e = Exchange::new(t(0), t(1050), t(1057), t(107)).unwrap();
        assert_eq!((e.offset, e.rtt.as_micros()), (1000, 100));
    }

    #[test]
    fn error_is_bounded_by_half_the_round_trip() {
        let e = Exchange::new(t(0), t(1000), t(1000), t(300)).unwrap(); // all 300 µs on the way back, clocks 1000 apart
        assert!((e.offset - 1000).unsigned_abs() <= e.rtt.as_micros() as u64 / 2);
    }

    #[test]
    fn impossible_exchanges_are_refused() {
        assert!(Exchange::new(t(10), t(0), t(0), t(0)).is_none());
        assert!(Exchange::new(t(0), t(5), t(4), t(10)).is_none());
        assert!(Exchange::new(t(0), t(0), t(50), t(10)).is_none());
        assert!(Exchange::new(t(0), t(i64::MIN), t(i64::MAX), t(10)).is_none());
    }

    #[test]
    fn least_round_trip_wins_and_old_samples_leave() {
        let mut o = Offset::default();
        for (at, rtt, offset) in [(0, 10, 1), (1_000_000, 900, 2), (2_000_000, 500, 3)] {
            o.add(Exchange { at: t(at), offset, rtt: Duration::from_micros(rtt) });
        }
        assert_eq!(o.best().unwrap().offset, 1);
        o.add(Exchange { at: t(31_500_000), offset: 4, rtt: Duration::from_micros(700) });
        assert_eq!(o.best().unwrap().offset, 3);
        assert_eq!(o.newest().unwrap().offset, 4);
    }

    #[test]
    fn the_future_is_not_an_underflow() {
        assert_eq!(t(5).since(t(9)), Duration::ZERO);
    }
}
