//! A page's pictures on their way, one at a time, and what that says of its network. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Time;

/// Pictures and round trips that are remembered.
const SEEN: usize = 5;
const ROUND_TRIPS: usize = 10;
/// Clocks of pages are no finer; a picture that took less came at once.
const LEAST: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
pub struct Flight {
    /// Sequence number, when it went, bytes.
    sent: Option<(u64, Time, usize)>,
    bytes: Option<f64>,
    /// Bits a second of the last pictures.
    passed: VecDeque<f64>,
    round_trips: VecDeque<Duration>,
}

impl Flight {
    pub fn is_free(&self) -> bool {
        self.sent.is_none()
    }

    pub fn sent(&mut self, seq: u64, now: Time, bytes: usize) {
        self.sent = Some((seq, now, bytes));
        let mean = self.bytes.unwrap_or(bytes as f64);
        self.bytes = Some(mean + 0.2 * (bytes as f64 - mean));
    }

    /// The page has shown a picture, which took it so long once it had come. False if that is not the one on its way.
    pub fn shown(&mut self, seq: u64, now: Time, own: Duration) -> bool {
        let Some((_, sent, bytes)) = self.sent.take_if(|(number, ..)| *number == seq) else { return false };
        let trip = self.round_trips.iter().min().copied().unwrap_or_default();
        let way = now.since(sent).saturating_sub(own).saturating_sub(trip).max(LEAST);
        keep(&mut self.passed, bytes as f64 * 8.0 / way.as_secs_f64(), SEEN);
        true
    }

    /// A ping was answered.
    pub fn round_trip(&mut self, took: Duration) {
        keep(&mut self.round_trips, took, ROUND_TRIPS);
    }

    /// Bits a second that the network takes: the middle of the last pictures; one that is still on its way counts as soon
    /// as it is slower than that.
    pub fn takes(&self, now: Time) -> Option<f64> {
        let mut passed: Vec<f64> = self.passed.iter().copied().collect();
        passed.sort_by(f64::total_cmp);
        let middle = passed.get(passed.len() / 2).copied();
        let waiting = self.sent.map(|(_, sent, bytes)| bytes as f64 * 8.0 / now.since(sent).max(LEAST).as_secs_f64());
        match (middle, waiting) {
            (Some(middle), Some(waiting)) => Some(middle.min(waiting)),
            (middle, _) => middle,
        }
    }

    /// The mean of the last pictures.
    pub fn bytes(&self) -> Option<f64> {
        self.bytes
    }
}

fn keep<T>(values: &mut VecDeque<T>, value: T, most: usize) {
    values.push_back(value);
    if values.len() > most {
        values.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms as i64 * 1000)
    }

    #[test]
    fn one_is_on_its_way_and_shown_once() {
        let mut flight = Flight::default();
        flight.sent(7, at(0), 1000);
        assert!(!flight.is_free() && !flight.shown(6, at(1), Duration::ZERO));
        assert!(flight.shown(7, at(9), Duration::ZERO) && flight.is_free());
        assert!(!flight.shown(7, at(10), Duration::ZERO), "twice");
    }

    #[test]
    fn the_rate_is_the_networks_not_the_pages() {
        let mut flight = Flight::default();
        assert_eq!(flight.takes(at(0)), None);
        flight.round_trip(Duration::from_millis(40));
        for seq in 0..9 {
            flight.sent(seq, at(1000 * seq), 25_000);
            // 40 ms there and back, 10 ms to decode, 100 ms of sending.
            flight.shown(seq, at(1000 * seq + 150), Duration::from_millis(10));
        }
        assert_eq!(flight.takes(at(9000)), Some(2e6));
        flight.sent(9, at(9000), 25_000);
        assert_eq!(flight.takes(at(10_000)), Some(0.2e6), "it is stuck");
    }
}
