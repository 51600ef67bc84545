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
    shorter_arrived: bool,
    /// Of those that are shorter, but not by half: how many more arrived than were lost. A full queue takes what is short.
    others: i64,
    pub found: bool,
}

impl Narrow {
    pub fn arrived(&mut self, length: usize) {
        match length >= self.length {
            true => self.lost = 0,
            false => self.shorter_arrived = true,
        }
        self.others += i64::from(2 * length >= self.length);
    }

    pub fn lost(&mut self, now: Time, length: usize) {
        if self.lost == 0 {
            (self.since, self.length, self.shorter_arrived, self.others) = (now, length, false, 0);
        }
        match length >= self.length {
            true => self.lost += 1,
            false => self.others -= i64::from(2 * length >= self.length),
        }
        let lasts = self.lost >= LOST && now.since(self.since) > LONG;
        self.found |= lasts && self.shorter_arrived && self.others >= 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_narrow_when_short_ones_arrive_and_long_ones_do_not() {
        let at = |ms: i64| Time::from_micros(ms * 1000);
        let lose = |short: bool, long: bool, almost: bool| {
            let mut narrow = Narrow::default();
            for n in 0..100 {
                narrow.lost(at(30 * n), 1200);
                if n % 10 == 5 {
                    narrow.lost(at(30 * n), 300);
                }
                if short {
                    narrow.arrived(if almost { 100 } else { 600 });
                }
                if almost {
                    narrow.lost(at(30 * n), 1190);
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
        assert!(!lose(true, false, true), "nor is a full queue");
    }
}
