//! When a buffer was filled, whether it is too old to be sent, and what was wrong with those thrown away. Pure.

use std::time::Duration;

use crate::clock::Time;
use crate::log::OnceASecond;

/// No camera takes longer from light to buffer, and none stamps so far ahead (a frame's length): beyond, the stamp is
/// of another clock. Some drivers stamp with the wall clock, some copy what a program gave them.
const LATE_MAX: Duration = Duration::from_secs(5);
const AHEAD_MAX: Duration = Duration::from_secs(1);

/// The moment a buffer was captured: its `stamp`, but never in the future; where that cannot be of our clock, `since`,
/// the earliest moment at which it can have been filled.
pub fn captured(stamp: Time, since: Time, now: Time) -> Time {
    if stamp < since - LATE_MAX || stamp > now + AHEAD_MAX { since } else { stamp.min(now) }
}

/// Knows how old this camera's newest pictures are, and so which are old because nobody took them.
#[derive(Debug)]
pub struct Freshness {
    /// Two frame intervals: one is a reader that comes a little late.
    patience: Duration,
    /// The age of the last picture that came while it was waited for.
    usual: Duration,
}

/// Where the camera's rate is unknown: 30.
const INTERVAL: Duration = Duration::from_micros(33_333);

impl Freshness {
    pub fn new(interval: Option<Duration>) -> Freshness {
        Freshness { patience: 2 * interval.unwrap_or(INTERVAL), usual: Duration::ZERO }
    }

    /// Whether a picture of this age is worth sending. One that was `waited` for always is: there is no newer.
    pub fn judge(&mut self, age: Duration, waited: bool) -> bool {
        if waited {
            self.usual = age;
        }
        waited || age <= self.usual + self.patience
    }
}

/// Why a buffer holds no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    Empty,
    Short,
    Damaged,
}

/// Counts such buffers, and speaks of them once a second at most.
#[derive(Debug, Default)]
pub struct Flaws {
    empty: u64,
    short: u64,
    damaged: u64,
    untold: bool,
    leave: OnceASecond,
}

impl Flaws {
    pub fn count(&mut self, flaw: Flaw) {
        match flaw {
            Flaw::Empty => self.empty += 1,
            Flaw::Short => self.short += 1,
            Flaw::Damaged => self.damaged += 1,
        }
        self.untold = true;
    }

    /// What to say now, if there is something new and it is time to.
    pub fn news(&mut self, now: Time) -> Option<String> {
        if !self.untold || !self.leave.due(now) {
            return None;
        }
        self.untold = false;
        Some(format!("{self} so far"))
    }
}

impl std::fmt::Display for Flaws {
    /// "skipped 3 damaged and 1 short buffers".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = [(self.damaged, "damaged"), (self.short, "short"), (self.empty, "empty")];
        let said: Vec<String> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, kind)| format!("{n} {kind}")).collect();
        write!(f, "skipped {} buffers", if said.is_empty() { "no".to_string() } else { said.join(" and ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn stamps_of_other_clocks_are_not_believed() {
        let (since, now) = (at(100_000), at(100_040));
        assert_eq!(captured(at(100_010), since, now), at(100_010));
        assert_eq!(captured(at(99_500), since, now), at(99_500)); // a slow camera
        assert_eq!(captured(at(100_075), since, now), now); // the end of the frame, still ahead
        assert_eq!(captured(at(1_700_000_000_000), since, now), since); // the wall clock
        assert_eq!(captured(at(0), since, now), since); // none
    }

    #[test]
    fn pictures_that_nobody_took_are_stale() {
        let ms = Duration::from_millis;
        let mut fresh = Freshness::new(Some(ms(40)));
        assert!(fresh.judge(ms(5), true));
        assert!(fresh.judge(ms(80), false)); // the reader came late
        assert!(!fresh.judge(ms(90), false));
        assert!(!fresh.judge(ms(3_600_000), false));
        // A camera that is always slow is not punished for it.
        assert!(fresh.judge(ms(300), true));
        assert!(fresh.judge(ms(350), false));
        assert!(!fresh.judge(ms(400), false));
    }

    #[test]
    fn flaws_are_told_once_a_second_with_their_total() {
        let mut flaws = Flaws::default();
        flaws.count(Flaw::Damaged);
        assert_eq!(flaws.news(at(0)).unwrap(), "skipped 1 damaged buffers so far");
        flaws.count(Flaw::Damaged);
        flaws.count(Flaw::Short);
        assert_eq!(flaws.news(at(900)), None);
        assert_eq!(flaws.news(at(1000)).unwrap(), "skipped 2 damaged and 1 short buffers so far");
        assert_eq!(flaws.news(at(9000)), None);
    }
}
