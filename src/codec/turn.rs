//! Turns: each of so many tiles comes up once in a cycle, evenly over its frames however far apart they are.

use std::time::Duration;

use crate::clock::Time;

pub struct Turn {
    cycle: Duration,
    /// Where the cycle stands, in tiles.
    next: f64,
    last: Time,
}

impl Turn {
    pub fn new(cycle: Duration, now: Time) -> Turn {
        Turn { cycle, next: 0.0, last: now }
    }

    /// Whose turn it is now: the tiles from the one where the last call ended.
    pub fn pass(&mut self, tiles: usize, now: Time) -> impl Fn(usize) -> bool + use<> {
        let passed = now.since(self.last).min(self.cycle);
        self.last = now;
        let from = self.next;
        let until = from + tiles as f64 * passed.as_secs_f64() / self.cycle.as_secs_f64();
        self.next = until % tiles as f64;
        move |tile| [tile, tile + tiles].iter().any(|&t| (from..until).contains(&(t as f64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_up_once_in_a_cycle_at_every_frame_rate() {
        for frame in [1_000, 33_333, 70_000, 999_999, 1_000_000, 5_000_000] {
            let mut now = Time::from_micros(0);
            let mut turn = Turn::new(Duration::from_secs(1), now);
            let mut came = [0; 10];
            let frames = 1_000_000_u64.div_ceil(frame) as usize;
            for _ in 0..frames {
                now = now + Duration::from_micros(frame);
                let turn = turn.pass(10, now);
                came.iter_mut().enumerate().for_each(|(tile, count)| *count += usize::from(turn(tile)));
            }
            assert!(came.iter().all(|count| (1..=2).contains(count)), "{frame} µs: {came:?}");
        }
    }
}
