//! Whether the way has become too narrow for our datagrams: parts of pictures are lost one and all, while words arrive.

use std::time::Duration;

use crate::clock::Time;

/// Parts lost in a row, over so long.
const LOST: u32 = 50;
const LONG: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Narrow {
    /// Parts lost since one arrived, and since when.
    lost: u32,
    since: Time,
    words_arrived: bool,
    pub found: bool,
}

impl Narrow {
    pub fn part_arrived(&mut self) {
        self.lost = 0;
    }

    pub fn word_arrived(&mut self) {
        self.words_arrived = true;
    }

    pub fn part_lost(&mut self, now: Time) {
        if self.lost == 0 {
            (self.since, self.words_arrived) = (now, false);
        }
        self.lost += 1;
        self.found |= self.lost >= LOST && self.words_arrived && now.since(self.since) > LONG;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_narrow_when_words_arrive_and_parts_do_not() {
        let at = |ms: i64| Time::from_micros(ms * 1000);
        let lose = |words: bool, parts: bool| {
            let mut narrow = Narrow::default();
            for n in 0..100 {
                narrow.part_lost(at(30 * n));
                if words {
                    narrow.word_arrived();
                }
                if parts && n % 40 == 0 {
                    narrow.part_arrived();
                }
            }
            narrow.found
        };
        assert!(lose(true, false));
        assert!(!lose(false, false), "an outage is none");
        assert!(!lose(true, true), "nor are many losses");
    }
}
