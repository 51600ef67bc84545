//! What comes through of a frame that stands in the way: with packets whose fate is known, the rate of a network that has
//! become narrow shows long before the frame is whole. Pure.

use std::time::Duration;

use crate::clock::Time;

/// So long, and so many bytes, show a rate: some packets.
const SHOWS: Duration = Duration::from_millis(150);
const SHOWN_BYTES: u64 = 4 << 10;
/// A longer pause is of the network, or a round trip in which what was lost is sent again: no rate.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub struct Trickle {
    /// Bytes that have arrived since the link began.
    arrived: u64,
    run: Option<Run>,
}

/// Bytes that come without a pause.
#[derive(Clone, Copy, Debug)]
struct Run {
    since: Time,
    /// What had arrived by then.
    from: u64,
    last: Time,
}

impl Trickle {
    /// So many bytes have arrived since the link began. Bits a second at which more do, where that is to be seen: what is more than
    /// the frame has come as fast as the ones after it were sent.
    pub fn came(&mut self, now: Time, arrived: u64, frame: usize) -> Option<f64> {
        if std::mem::replace(&mut self.arrived, arrived) == arrived {
            return None;
        }
        let before = self.run.filter(|run| now.since(run.last) < PAUSE);
        let run = Run { last: now, ..before.unwrap_or(Run { since: now, from: arrived, last: now }) };
        self.run = Some(run);
        let (took, bytes) = (now.since(run.since), arrived.saturating_sub(run.from));
        (took >= SHOWS && (SHOWN_BYTES..=frame as u64).contains(&bytes))
            .then(|| bytes as f64 * 8.0 / took.as_secs_f64())
    }

    /// Nothing stands in the way.
    pub fn ends(&mut self) {
        self.run = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen at the end of packets of 1200 bytes that come at these times, in ms, of a frame of 24 kB.
    fn seen(times: impl IntoIterator<Item = i64>) -> Option<f64> {
        let (mut trickle, mut arrived) = (Trickle::default(), 1_000_000);
        let mut seen = None;
        for ms in times {
            arrived += 1200;
            let now = Time::from_micros(ms * 1000);
            seen = trickle.came(now, arrived, 24_000);
            assert_eq!(trickle.came(now, arrived, 24_000), None, "nothing new");
        }
        seen
    }

    #[test]
    fn what_comes_without_a_pause_shows_a_rate() {
        assert_eq!(seen((0..6).map(|n| 32 * n)), Some(300e3));
        assert_eq!(seen((0..5).map(|n| 32 * n)), None, "it is too short");
        assert_eq!(seen((0..4).map(|n| 96 * n)), None, "it is too little");
        assert_eq!(seen((0..22).map(|n| 32 * n)), None, "these are other frames");
        assert_eq!(seen((0..18).map(|n| n + n / 6 * 150)), None, "what is sent again comes a round trip later");
    }

    #[test]
    fn what_came_before_anything_stood_in_the_way_does_not_count() {
        let (at, mut trickle) = (|ms: i64| Time::from_micros(ms * 1000), Trickle::default());
        assert_eq!(trickle.came(at(0), 9_000_000, 24_000), None);
        trickle.ends();
        assert_eq!(trickle.came(at(50), 9_500_000, 24_000), None);
        assert_eq!(trickle.came(at(130), 9_503_000, 24_000), None);
        assert_eq!(trickle.came(at(210), 9_506_000, 24_000), Some(300e3));
    }
}
