//! Round trips of packets, and whether our own stream stood in their way.

use std::time::Duration;

use crate::adapt::least::Least;
use crate::clock::Time;

/// The round trip before one is measured (RFC 9002 says 333 ms; probes are cheap here).
const INITIAL: Duration = Duration::from_millis(150);
/// A queue longer than this beyond the shortest of some seconds is one that our own stream fills, and packets that are lost then
/// are what overflows it: redundancy would only add to that. One that lasts for longer is not known to be ours.
const FULL: Duration = Duration::from_millis(50);
const FULL_MOST: Duration = Duration::from_secs(2);
const LATELY: Duration = Duration::from_secs(5);

/// Round trips (RFC 6298).
#[derive(Debug)]
pub struct Rtt {
    pub smooth: Duration,
    pub deviation: Duration,
    measured: bool,
    /// Of late, in µs.
    least: Least,
    /// When one was `FULL` longer for the first and for the last time.
    full: Option<(Time, Time)>,
}

impl Default for Rtt {
    fn default() -> Rtt {
        Rtt { smooth: INITIAL, deviation: INITIAL / 2, measured: false, least: Least::new(LATELY), full: None }
    }
}

impl Rtt {
    pub fn add(&mut self, now: Time, sample: Duration) {
        let micros = sample.as_micros() as i64;
        let queue = micros - self.least.add(now, micros);
        self.full = self.full.filter(|(_, last)| now.since(*last) < FULL_MOST);
        if queue > FULL.as_micros() as i64 {
            self.full = Some((self.full.map_or(now, |(first, _)| first), now));
        }
        if !std::mem::replace(&mut self.measured, true) {
            (self.smooth, self.deviation) = (sample, sample / 2);
            return;
        }
        self.deviation = (3 * self.deviation + self.smooth.abs_diff(sample)) / 4;
        self.smooth = (7 * self.smooth + sample) / 8;
    }

    /// Whether a packet that left then met a queue of our own stream.
    pub fn was_full(&self, left: Time) -> bool {
        self.full.is_some_and(|(first, last)| left <= last && last.since(first) < FULL_MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Time {
        Time::from_micros(ms * 1000)
    }

    /// Round trips in ms, 50 ms apart.
    fn rtt(samples: impl IntoIterator<Item = u64>) -> Rtt {
        let mut rtt = Rtt::default();
        for (n, ms) in samples.into_iter().enumerate() {
            rtt.add(at(50 * n as i64), Duration::from_millis(ms));
        }
        rtt
    }

    #[test]
    fn a_queue_is_ours_for_a_while() {
        assert!(!rtt([40, 80, 60, 88]).was_full(at(150)), "jitter is no queue");
        let fall = rtt([40, 40, 120, 200, 40]);
        assert!(fall.was_full(at(0)) && fall.was_full(at(150)) && !fall.was_full(at(151)));
        let stands = |count: usize| rtt([40].into_iter().chain(std::iter::repeat_n(200, count)));
        assert!(stands(30).was_full(at(1500)) && !stands(60).was_full(at(3000)), "it is others' then");
    }
}
