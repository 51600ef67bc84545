//! The bottleneck itself: when bytes that are ready have left, at a fixed rate or by a trace. Shared by all that pass it.

use super::settings::Rate;
use super::trace::OPPORTUNITY;

/// Nanoseconds on the program's clock: a packet at 10 Gbit/s takes about one microsecond, too coarse to add up.
pub type Nanos = i64;

/// Without a rate nothing waits.
#[derive(Debug, Default)]
pub struct Pacer {
    rate: Option<Rate>,
    /// Everything that came before has left by then.
    free: Nanos,
    /// Where a trace stands: the start of its round, the line, and what of its bytes is left.
    round: Nanos,
    line: usize,
    left: usize,
}

impl Pacer {
    /// Takes effect at once: what has not left by `now` asks again.
    pub fn set(&mut self, now: Nanos, rate: Option<Rate>) {
        if self.rate != rate {
            *self = Pacer { rate, free: now, round: now, line: 0, left: OPPORTUNITY };
        }
    }

    pub fn rate(&self) -> Option<&Rate> {
        self.rate.as_ref()
    }

    /// When these bytes, ready from then on, have left.
    pub fn reserve(&mut self, ready: Nanos, bytes: usize) -> Nanos {
        let Some(rate) = &self.rate else { return ready };
        let start = ready.max(self.free);
        self.free = match rate {
            Rate::Fixed(rate) => {
                let nanos = bytes as u128 * 8 * 1_000_000_000 / u128::from(*rate);
                start.saturating_add(i64::try_from(nanos).unwrap_or(i64::MAX))
            }
            Rate::Trace(_) => self.follow(start, bytes),
        };
        self.free
    }

    /// Uses up the lines of a trace; those that pass while nothing is ready are lost.
    fn follow(&mut self, start: Nanos, bytes: usize) -> Nanos {
        let Some(Rate::Trace(trace)) = &self.rate else { return start };
        let rounds = (start - self.round - 1).max(0) / trace.length();
        if rounds > 0 {
            (self.round, self.line, self.left) = (self.round + rounds * trace.length(), 0, OPPORTUNITY);
        }
        let mut wanted = bytes;
        loop {
            let first = trace.line_at(start - self.round);
            if first > self.line {
                (self.line, self.left) = (first, OPPORTUNITY);
            }
            let Some(moment) = trace.moment(self.line) else {
                (self.round, self.line, self.left) = (self.round + trace.length(), 0, OPPORTUNITY);
                continue;
            };
            let taken = wanted.min(self.left);
            (wanted, self.left) = (wanted - taken, self.left - taken);
            let at = self.round + moment;
            if self.left == 0 {
                (self.line, self.left) = (self.line + 1, OPPORTUNITY);
            }
            if wanted == 0 {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::shaper::trace::Trace;

    fn trace(text: &str) -> Option<Rate> {
        Some(Rate::Trace(Arc::new(Trace::parse("t", text).unwrap())))
    }

    const MS: i64 = 1_000_000;

    #[test]
    fn a_rate_is_a_rate() {
        let mut pacer = Pacer::default();
        assert_eq!(pacer.reserve(5, 1000), 5);
        pacer.set(0, Some(Rate::Fixed(8_000_000)));
        assert_eq!(pacer.reserve(0, 1000), MS);
        assert_eq!(pacer.reserve(0, 1000), 2 * MS);
        assert_eq!(pacer.reserve(10 * MS, 1000), 11 * MS);
    }

    #[test]
    fn a_trace_repeats_and_what_passes_unused_is_lost() {
        let mut pacer = Pacer::default();
        pacer.set(0, trace("2\n4\n4\n10"));
        assert_eq!(pacer.reserve(0, 1500), 2 * MS);
        assert_eq!(pacer.reserve(0, 2000), 4 * MS, "two lines at once");
        assert_eq!(pacer.reserve(0, 1000), 4 * MS, "the rest of the second");
        assert_eq!(pacer.reserve(5 * MS, 1), 10 * MS);
        assert_eq!(pacer.reserve(11 * MS, 1), 12 * MS);
        assert_eq!(pacer.reserve(1_000_003 * MS, 1500), 1_000_004 * MS, "far later");
        assert_eq!(pacer.reserve(1_000_003 * MS, 3000), 1_000_010 * MS);
    }
}
