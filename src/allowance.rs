//! How much somebody may do: some at once, and then so many a second.

use std::time::Duration;

use async_io::Timer;

use crate::clock::{self, Time};

/// What a peer may say besides its word on each frame that came: pings, lines, wishes. Who says more is read more slowly, so
/// that what nobody asked for takes the others nothing.
const WORDS: f64 = 100.0;

#[derive(Debug)]
pub struct Allowance {
    most: f64,
    /// A second.
    refill: f64,
    left: f64,
    since: Time,
}

impl Allowance {
    pub fn new(most: f64, refill: f64) -> Allowance {
        Allowance { most, refill, left: most, since: Time::default() }
    }

    pub fn of_words() -> Allowance {
        Allowance::new(WORDS, WORDS)
    }

    fn refills(&mut self, now: Time) {
        self.left = (self.left + now.since(self.since).as_secs_f64() * self.refill).min(self.most);
        self.since = now;
    }

    /// Takes so many, be they there or not: how long until they are made up for.
    pub fn owed(&mut self, now: Time, count: f64) -> Duration {
        self.refills(now);
        self.left -= count;
        Duration::from_secs_f64((-self.left / self.refill).max(0.0))
    }

    /// Takes one, if there is one.
    pub fn takes(&mut self, now: Time) -> bool {
        self.refills(now);
        let takes = self.left >= 1.0;
        self.left -= if takes { 1.0 } else { 0.0 };
        takes
    }

    /// Takes one, as soon as there is one.
    pub async fn taken(&mut self) {
        while !self.takes(clock::now()) {
            Timer::after(Duration::from_secs_f64(1.0 / self.refill)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_at_once_and_then_one_after_the_other() {
        let (mut allowance, at) = (Allowance::new(3.0, 2.0), |ms: i64| Time::from_micros(ms * 1000));
        let mut count = |ms| (0..9).filter(|_| allowance.takes(at(ms))).count();
        assert_eq!([count(1000), count(1400), count(1500), count(2500), count(60_000)], [3, 0, 1, 2, 3]);
    }

    #[test]
    fn what_is_taken_in_advance_is_made_up_for() {
        let (mut allowance, at) = (Allowance::new(3.0, 2.0), |ms: i64| Time::from_micros(ms * 1000));
        let ms = |wait: Duration| wait.as_millis();
        assert_eq!(ms(allowance.owed(at(1000), 2.0)), 0);
        assert_eq!(ms(allowance.owed(at(1000), 5.0)), 2000);
        assert_eq!(ms(allowance.owed(at(2000), 0.0)), 1000);
        assert_eq!((allowance.takes(at(3400)), allowance.takes(at(3600))), (false, true));
    }
}
