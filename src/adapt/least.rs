//! The least value of a sliding window, in two halves: what a link does when nothing is in its way.

use std::time::Duration;

use crate::clock::Time;

#[derive(Debug)]
pub struct Least {
    half: Duration,
    since: Option<Time>,
    now: i64,
    before: i64,
}

impl Least {
    /// Values are remembered for half of the window at least, and for all of it at most.
    pub fn new(window: Duration) -> Least {
        Least { half: window / 2, since: None, now: i64::MAX, before: i64::MAX }
    }

    /// Adds a value; the least of the window.
    pub fn add(&mut self, now: Time, value: i64) -> i64 {
        let since = *self.since.get_or_insert(now);
        if now.since(since) > self.half {
            let stale = now.since(since) > 2 * self.half;
            self.before = if stale { i64::MAX } else { self.now };
            (self.since, self.now) = (Some(now), i64::MAX);
        }
        self.now = self.now.min(value);
        self.now.min(self.before)
    }

    /// The least that is known; none before the first value.
    pub fn get(&self) -> Option<i64> {
        self.since.map(|_| self.now.min(self.before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_remembered_and_forgotten() {
        let at = |s: i64| Time::from_micros(s * 1_000_000);
        let mut least = Least::new(Duration::from_secs(10));
        assert_eq!(least.get(), None);
        for (s, value, expected) in [(0, 5, 5), (4, 7, 5), (6, 9, 5), (12, 8, 8), (18, 9, 8), (60, 20, 20)] {
            assert_eq!(least.add(at(s), value), expected, "at {s} s");
        }
    }
}
