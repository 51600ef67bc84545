//! How much may be on its way where every frame matters: what is lost is sent again until it arrives, so a network that takes
//! less than the stream would get ever more of it, and pass on ever less that is new. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Time;

/// What may be on its way before anything has arrived, and at least, in bytes: some packets.
const LEAST: f64 = 30_000.0;
/// And of what arrives, as much as comes in two round trips and this: with less than two nothing would show that the network takes
/// more (the windows of BBR, draft-ietf-ccwg-bbr).
const TRIPS: f64 = 2.0;
const MORE: Duration = Duration::from_millis(50);
/// So many rates are remembered, each of this time or a round trip: the highest counts, as a stream may have rested.
const RATES: usize = 10;
const SPAN: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub struct Window {
    /// What had arrived when the last rate was taken.
    arrived: u64,
    since: Option<Time>,
    /// Bytes a second.
    rates: VecDeque<f64>,
}

impl Window {
    /// So many bytes have arrived since the connection began.
    pub fn arrived(&mut self, now: Time, arrived: u64, round_trip: Duration) {
        let since = *self.since.get_or_insert(now);
        let took = now.since(since);
        if took < SPAN.max(round_trip) {
            return;
        }
        self.rates.truncate(RATES - 1);
        self.rates.push_front(arrived.saturating_sub(self.arrived) as f64 / took.as_secs_f64());
        (self.arrived, self.since) = (arrived, Some(now));
    }

    /// Bytes that may be on their way, where a round trip takes so long with nothing in between.
    pub fn bytes(&self, round_trip: Duration) -> f64 {
        let rate = self.rates.iter().copied().fold(0.0, f64::max);
        (rate * (TRIPS * round_trip.as_secs_f64() + MORE.as_secs_f64())).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_network_holds_and_some() {
        let (mut window, trip) = (Window::default(), Duration::from_millis(100));
        assert_eq!(window.bytes(trip), LEAST);
        let at = |n: u64| Time::from_micros(100_000 * n as i64);
        (0..=20).for_each(|n| window.arrived(at(n), 125_000 * n, trip));
        assert_eq!(window.bytes(trip), 1.25e6 * 0.25);
        (21..=29).for_each(|n| window.arrived(at(n), 125_000 * 20, trip));
        assert_eq!(window.bytes(trip), 1.25e6 * 0.25, "it may only rest");
        window.arrived(at(30), 125_000 * 20 + 1000, trip);
        assert_eq!(window.bytes(trip), LEAST);
    }
}
