//! Round trips of packets, and whether our own stream stood in their way.

use std::time::Duration;

use crate::adapt::least::Least;
use crate::clock::Time;

/// The round trip before one is measured (RFC 9002 says 333 ms; probes are cheap here).
const INITIAL: Duration = Duration::from_millis(150);
/// A queue that is longer by so many µs than so many usual ones is one that our own stream fills, and packets that are lost then are
/// what overflows it: redundancy would only add to that. Each frame makes a queue of its own on a network that it fills, and
/// one that lasts is not known to be ours: these become usual.
const FULL: f64 = 50e3;
const USUAL: f64 = 2.0;
const LATELY: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(60);

/// Round trips (RFC 6298).
#[derive(Debug)]
pub struct Rtt {
    pub smooth: Duration,
    pub deviation: Duration,
    measured: bool,
    /// Of late, in µs, and for longer.
    least: Least,
    base: Least,
    /// µs that the queue took on average, up to when.
    usual: f64,
    added: Option<Time>,
    /// When it was full for the last time.
    full: Option<Time>,
}

impl Default for Rtt {
    fn default() -> Rtt {
        let (smooth, deviation, least, base) = (INITIAL, INITIAL / 2, Least::new(LATELY), Least::new(LONG));
        Rtt { smooth, deviation, measured: false, least, base, usual: 0.0, added: None, full: None }
    }
}

impl Rtt {
    pub fn add(&mut self, now: Time, sample: Duration) {
        let micros = sample.as_micros() as i64;
        let queue = (micros - self.least.add(now, micros)) as f64;
        self.base.add(now, micros);
        if queue > USUAL * self.usual + FULL {
            self.full = Some(now);
        }
        let since = self.added.replace(now).map_or(0.0, |last| now.since(last).as_secs_f64());
        self.usual += (queue - self.usual) * (1.0 - (-since / LATELY.as_secs_f64()).exp());
        if !std::mem::replace(&mut self.measured, true) {
            (self.smooth, self.deviation) = (sample, sample / 2);
            return;
        }
        self.deviation = (3 * self.deviation + self.smooth.abs_diff(sample)) / 4;
        self.smooth = (7 * self.smooth + sample) / 8;
    }

    /// A round trip with nothing in between.
    pub fn base(&self) -> Duration {
        self.base.get().map_or(INITIAL, |micros| Duration::from_micros(micros.max(0) as u64))
    }

    /// Whether a packet that left then met a queue of our own stream.
    pub fn was_full(&self, left: Time) -> bool {
        self.full.is_some_and(|last| left <= last)
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
        let frames = |last: u64| rtt((0..100).flat_map(|_| [40, 80, 125]).chain([125, last]));
        assert!(!frames(125).was_full(at(14_000)), "each frame's own");
        assert!(frames(260).was_full(at(15_000)));
    }
}
