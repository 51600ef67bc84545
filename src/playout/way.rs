//! How long frames are on their way, over a sliding window: the least, and the time by which nearly all have come.
//!
//! The clocks of both ends differ by an unknown error here, so a time on the way may be negative: only differences
//! mean something.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::clock::Time;

/// Wi-Fi scans and other bursts return within seconds; a longer memory would keep the delay up after they are over.
const WINDOW: Duration = Duration::from_secs(5);
/// 5 s of 100 frames a second; faster streams remember less.
const SAMPLES_MAX: usize = 512;
/// One frame in fifty may come too late to be even: at 30 frames a second, one in 1.7 s. One of the first ten may too:
/// the very first waits for a handshake.
const LATE_EVERY: usize = 50;
/// The delay shrinks by a factor of e in this time: at 50 ms too much life runs 5 % faster, which nobody sees.
const SHRINK: Duration = Duration::from_secs(1);
/// More than this is not jitter but a network that cannot carry the stream.
const HOLD_MAX: i64 = 500_000;
/// Frames apart from all earlier ones for so long are a new way (a route, a queue), not jitter.
const STEP: Duration = Duration::from_millis(700);
const STEP_SAMPLES: usize = 8;
/// Below this a step is not worth a jump of the picture: the delay gets there by itself.
const STEP_MIN: i64 = 5_000;
/// Keeps differences of hostile times within an i64.
const TOOK_MAX: i64 = i64::MAX / 4;

#[derive(Debug, Default)]
pub struct Way {
    /// When a frame came, and how long it had been on its way, µs.
    window: VecDeque<(Time, i64)>,
    least: i64,
    target: f64,
}

impl Way {
    pub fn add(&mut self, now: Time, took: i64) {
        let took = took.clamp(-TOOK_MAX, TOOK_MAX);
        let first = self.window.is_empty();
        let passed = self.window.back().map_or(Duration::ZERO, |&(last, _)| now.since(last));
        while self.window.len() >= SAMPLES_MAX || self.window.front().is_some_and(|s| now.since(s.0) > WINDOW) {
            self.window.pop_front();
        }
        self.window.push_back((now, took));
        let stepped = self.forget_old_way(now);
        self.least = self.window.iter().map(|s| s.1).min().unwrap_or(took);
        let enough = self.enough().min(self.least + HOLD_MAX) as f64;
        if first || stepped || enough >= self.target {
            self.target = enough;
        } else {
            let kept = (-passed.as_secs_f64() / SHRINK.as_secs_f64()).exp();
            self.target = enough + (self.target - enough) * kept;
        }
        self.target = self.target.min((self.least + HOLD_MAX) as f64);
    }

    /// Shortest time on the way, µs.
    pub fn least(&self) -> i64 {
        self.least
    }

    /// From capture to showing, µs.
    pub fn target(&self) -> i64 {
        self.target as i64
    }

    /// The time by which all frames but one in `LATE_EVERY` had come.
    fn enough(&self) -> i64 {
        let mut sorted: Vec<i64> = self.window.iter().map(|s| s.1).collect();
        let aside = (sorted.len() / LATE_EVERY).max(usize::from(sorted.len() >= 10));
        let rank = sorted.len() - 1 - aside;
        *sorted.select_nth_unstable(rank).1
    }

    /// Drops the samples before a step of the path's delay; whether there was one.
    fn forget_old_way(&mut self, now: Time) -> bool {
        let recent = self.window.iter().rev().take_while(|s| now.since(s.0) <= STEP).count();
        let old = self.window.len() - recent;
        if recent < STEP_SAMPLES || old == 0 {
            return false;
        }
        let sorted = |range: Range<usize>| {
            let mut times: Vec<i64> = self.window.range(range).map(|s| s.1).collect();
            times.sort_unstable();
            times
        };
        let (before, after) = (sorted(0..old), sorted(old..old + recent));
        // Stragglers of the old way do not hide a step: a tenth of its frames may be out of line.
        let aside = before.len() / 10;
        let (old_low, old_high) = (before[aside], before[before.len() - 1 - aside]);
        let (new_low, new_high) = (after[0], after[after.len() - 1]);
        let spread = (old_high - old_low).max(new_high - new_low);
        let stepped = (old_low - new_high).max(new_low - old_high) > spread.max(STEP_MIN);
        if stepped {
            self.window.drain(..old);
        }
        stepped
    }
}
