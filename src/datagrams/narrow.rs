//! Whether the way has become too narrow for our datagrams: long ones are lost one and all, while shorter ones arrive.

use std::time::Duration;

use crate::clock::Time;

/// Long ones lost in a row, over so long.
const LOST: u32 = 50;
const LONG: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Narrow {
    /// So many of at least this length were lost since one arrived, and since when.
    lost: u32,
    length: usize,
    since: Time,
    /// Of those that are shorter: the longest that arrived, how many arrived, and how many were lost that are no longer. A full
    /// queue loses these too.
    longest: usize,
    arrived: u32,
    also_lost: u32,
    pub found: bool,
}

impl Narrow {
    pub fn arrived(&mut self, length: usize) {
        if length >= self.length {
            self.lost = 0;
        } else {
            (self.longest, self.arrived) = (self.longest.max(length), self.arrived + 1);
        }
    }

    pub fn lost(&mut self, now: Time, length: usize) {
        if self.lost == 0 {
            *self = Narrow { since: now, length, found: self.found, ..Narrow::default() };
        }
        self.lost += u32::from(length >= self.length);
        self.also_lost += u32::from(length <= self.longest);
        self.found |= self.lost >= LOST && self.also_lost < self.arrived && now.since(self.since) > LONG;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_narrow_when_short_ones_arrive_and_long_ones_do_not() {
        let at = |ms: i64| Time::from_micros(ms * 1000);
        let lose = |short: bool, long: bool, queue: bool| {
            let mut narrow = Narrow::default();
            for n in 0..100 {
                narrow.lost(at(30 * n), 1200);
                if n % 10 == 5 {
                    narrow.lost(at(30 * n), 300);
                }
                if short {
                    narrow.arrived(600);
                }
                if queue {
                    narrow.lost(at(30 * n), 1190);
                    if n % 10 == 0 {
                        narrow.arrived(1190);
                    }
                }
                if long && n % 40 == 0 {
                    narrow.arrived(1200);
                }
            }
            narrow.found
        };
        assert!(lose(true, false, false));
        assert!(!lose(false, false, false), "an outage is none");
        assert!(!lose(true, true, false), "nor are many losses");
        assert!(!lose(false, false, true), "nor is a full queue");
    }
}
