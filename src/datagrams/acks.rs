//! The receiving side of packet numbers: which have come, whether one is new, and the word to send back.

use std::collections::VecDeque;
use std::time::Duration;

use super::packet::{Ack, RANGES};
use crate::clock::Time;

/// How long a packet may wait for its acknowledgement, so that one word tells of several.
pub const DELAY: Duration = Duration::from_millis(4);
/// Words are so far apart at least.
const PAUSE: Duration = Duration::from_millis(1);
/// The last word is said again after this while nothing comes, so many times, where of so many packets one was lost: what is
/// lost in bursts is so many packets on end, which must not be all that a sender hears of its last frames. Elsewhere it asks.
const AGAIN: Duration = Duration::from_millis(10);
const TIMES: u32 = 10;
const LATELY: u64 = 2000;

#[derive(Debug, Default)]
pub struct Received {
    /// First and last numbers, the highest range first.
    ranges: VecDeque<(u64, u64)>,
    /// When the highest came.
    newest: Time,
    /// When the next word is due.
    due: Option<Time>,
    told: Time,
    /// How often the same was said.
    times: u32,
}

impl Received {
    /// Whether a packet of this number is neither a double nor too old to tell.
    pub fn is_new(&self, number: u64) -> bool {
        let old = self.ranges.len() == RANGES && self.ranges.back().is_some_and(|&(first, _)| number < first);
        !old && !self.ranges.iter().any(|&(first, last)| (first..=last).contains(&number))
    }

    /// Counts a packet that is new. `wants`: its sender waits for a word.
    pub fn take(&mut self, number: u64, now: Time, wants: bool) {
        if self.ranges.front().is_none_or(|&(_, last)| number > last) {
            self.newest = now;
        }
        let at = self.ranges.partition_point(|&(first, _)| first > number);
        let joins_lower = self.ranges.get(at).is_some_and(|&(_, last)| last.checked_add(1) == Some(number));
        let joins_upper = at > 0 && self.ranges[at - 1].0 == number.saturating_add(1);
        match (joins_upper, joins_lower) {
            (true, true) => {
                let (first, _) = self.ranges.remove(at).expect("the lower range is there");
                self.ranges[at - 1].0 = first;
            }
            (true, false) => self.ranges[at - 1].0 = number,
            (false, true) => self.ranges[at].1 = number,
            (false, false) => self.ranges.insert(at, (number, number)),
        }
        self.ranges.truncate(RANGES);
        if wants {
            let waits = self.due.filter(|_| self.times == 0);
            self.due = Some(waits.unwrap_or(now + DELAY));
            self.times = 0;
        }
    }

    /// A word is due at once, but not for every packet.
    pub fn hurry(&mut self, now: Time) {
        let soon = now.max(self.told + PAUSE);
        self.due = self.due.map(|due| if self.times == 0 { due.min(soon) } else { due });
    }

    /// Whether none of a higher number has come.
    pub fn is_newest(&self, number: u64) -> bool {
        self.ranges.front().is_none_or(|&(_, last)| number >= last)
    }

    /// Whether one of the last packets has not come.
    fn misses_some(&self) -> bool {
        let (newest, before) = (self.ranges.front(), self.ranges.get(1));
        newest.zip(before).is_some_and(|((_, newest), (_, before))| newest - before < LATELY)
    }

    pub fn due(&self) -> Option<Time> {
        self.due
    }

    /// The word, which is given with this.
    pub fn tell(&mut self, now: Time) -> Ack {
        (self.told, self.times) = (now, self.times + 1);
        self.due = (self.times <= TIMES && self.misses_some()).then_some(now + AGAIN);
        let delay = now.since(self.newest).as_micros() as u64;
        Ack { delay, settled: 0, unread: 0, ranges: self.ranges.iter().copied().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_are_the_set(numbers in proptest::collection::vec(0u64..100, 0..150)) {
            let (mut received, mut set) = (Received::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(received.is_new(number), !set.contains(&number));
                if set.insert(number) {
                    received.take(number, Time::default(), true);
                }
            }
            let told: BTreeSet<u64> = received.tell(Time::default()).ranges.iter().flat_map(|&(a, b)| a..=b).collect();
            prop_assert_eq!(told, set);
        }
    }

    #[test]
    fn the_last_word_is_said_again_for_a_while_where_packets_are_lost() {
        let (mut received, mut now) = (Received::default(), Time::from_micros(1_000_000));
        assert_eq!(received.due(), None);
        received.take(0, now, true);
        assert!(received.tell(now).ranges == [(0, 0)] && received.due().is_none());
        for packet in 2..5 {
            received.take(packet, now, true);
            assert_eq!(received.due(), Some(now + DELAY));
            let mut words = 0;
            while let Some(due) = received.due() {
                assert!(due > now && received.tell(due).ranges == [(2, packet), (0, 0)]);
                received.hurry(due); // an answer to a repeated word is nothing new
                (now, words) = (due, words + 1);
            }
            assert_eq!(words, 1 + TIMES);
        }
        (5..2 + LATELY).for_each(|packet| received.take(packet, now, true));
        received.tell(now);
        assert_eq!(received.due(), None, "that was long ago");
    }

    #[test]
    fn what_is_too_old_to_tell_is_not_new() {
        let mut received = Received::default();
        (0..200).for_each(|n| received.take(2 * n, Time::default(), true));
        assert!(!received.is_new(1) && received.is_new(399) && !received.is_new(398) && received.is_new(400));
        assert_eq!(received.tell(Time::default()).ranges.len(), RANGES);
    }
}
