//! Rates over sliding windows, as the stats show them. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Time;

/// Frame rate is over the last half second: short enough to see a stutter.
const FPS: Duration = Duration::from_millis(500);
/// Bit rate is over the last second.
const BITRATE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Meter {
    pub frames: u64,
    pub bytes: u64,
    /// Time and bytes of the frames of the last second.
    recent: VecDeque<(Time, usize)>,
}

impl Meter {
    pub fn add(&mut self, now: Time, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
        self.recent.push_back((now, bytes));
        self.forget(now);
    }

    fn forget(&mut self, now: Time) {
        while self.recent.front().is_some_and(|&(t, _)| now.since(t) > BITRATE) {
            self.recent.pop_front();
        }
    }

    pub fn fps(&self, now: Time) -> f64 {
        let within = self.recent.iter().filter(|&&(t, _)| now.since(t) <= FPS).count();
        let before = self.recent.len().checked_sub(within + 1).and_then(|i| self.recent.get(i));
        let (Some(&(before, _)), Some(&(last, _)), 1..) = (before, self.recent.back(), within) else {
            return within as f64 / FPS.as_secs_f64();
        };
        // From the frame before the half second to the last one: whole intervals, so that a steady 25 is 25. A gap since
        // then that is longer than these intervals counts too.
        let each = last.since(before).as_secs_f64() / within as f64;
        let since = now.since(last).as_secs_f64();
        let span = last.since(before).as_secs_f64() + if since > 1.5 * each { since } else { 0.0 };
        within as f64 / span.max(1e-6)
    }

    /// Bits a second.
    pub fn bitrate(&mut self, now: Time) -> u64 {
        self.forget(now);
        8 * self.recent.iter().map(|&(_, bytes)| bytes as u64).sum::<u64>()
    }

    pub fn newest_bytes(&self) -> Option<usize> {
        self.recent.back().map(|&(_, bytes)| bytes)
    }
}

/// A mean over the last second, and over the whole run: the encoder's milliseconds.
#[derive(Debug, Default)]
pub struct Mean {
    recent: VecDeque<(Time, f64)>,
    sum: f64,
    count: u64,
}

/// Values of the last second that are kept: more frames than that are not shown either.
const VALUES: usize = 1000;

impl Mean {
    pub fn add(&mut self, now: Time, value: f64) {
        self.sum += value;
        self.count += 1;
        self.recent.push_back((now, value));
        while self.recent.len() > VALUES || self.recent.front().is_some_and(|&(t, _)| now.since(t) > BITRATE) {
            self.recent.pop_front();
        }
    }

    pub fn recent(&self, now: Time) -> Option<f64> {
        let values = self.recent.iter().filter(|&&(t, _)| now.since(t) <= BITRATE);
        let (sum, count) = values.fold((0.0, 0), |(sum, count), &(_, value)| (sum + value, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// Sum and count of the whole run.
    pub fn whole(&self) -> (f64, u64) {
        (self.sum, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_frames_a_second_are_thirty() {
        let mut meter = Meter::default();
        let mut now = Time::default();
        for _ in 0..90 {
            now = now + Duration::from_micros(33_333);
            meter.add(now, 1000);
        }
        assert!((meter.fps(now) - 30.0).abs() < 0.01);
        assert!((meter.fps(now + Duration::from_millis(20)) - 30.0).abs() < 0.01);
        assert!(meter.fps(now + Duration::from_millis(400)) < 12.0);
        assert!((meter.bitrate(now) as i64 - 240_000).abs() <= 8_000);
        let later = now + Duration::from_secs(2);
        assert_eq!((meter.fps(later), meter.bitrate(later), meter.frames), (0.0, 0, 90));
    }

    #[test]
    fn means_forget_after_a_second_and_remember_in_all() {
        let mut mean = Mean::default();
        let at = |ms: i64| Time::from_micros(ms * 1000);
        mean.add(at(0), 10.0);
        mean.add(at(1500), 20.0);
        assert_eq!((mean.recent(at(1500)), mean.recent(at(9000)), mean.whole()), (Some(20.0), None, (30.0, 2)));
    }
}
