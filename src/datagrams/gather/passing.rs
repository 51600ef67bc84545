//! How long the network took to pass a frame on, told from how its delays vary. A bottleneck passes datagrams one after the
//! other, so that the time grows with their order; where it does not, the first and the last lie apart by chance.

use std::time::Duration;

use crate::clock::Time;

/// Of the variance of the times of arrival: what their order explains where a rate makes them, at the least.
const ORDERED: f64 = 0.5;

#[derive(Debug)]
pub struct Passing {
    first: (u64, Time),
    last: Time,
    count: f64,
    /// Numbers, from the first of them that came on, and microseconds: their sums, those of their squares and products.
    x: f64,
    t: f64,
    xx: f64,
    xt: f64,
    tt: f64,
    bounds: (f64, f64),
}

impl Passing {
    /// Of what begins with this datagram, which is told as all others; numbers go in the order in which they were sent.
    pub fn new(number: u64, at: Time) -> Passing {
        let [x, t, xx, xt, tt] = [0.0; 5];
        Passing { first: (number, at), last: at, count: 0.0, x, t, xx, xt, tt, bounds: (0.0, 0.0) }
    }

    pub fn came(&mut self, number: u64, at: Time) {
        let x = number.wrapping_sub(self.first.0) as i64 as f64;
        let t = at.since(self.first.1).as_micros() as f64;
        self.last = at;
        self.count += 1.0;
        self.x += x;
        self.t += t;
        self.xx += x * x;
        self.xt += x * t;
        self.tt += t * t;
        self.bounds = (self.bounds.0.min(x), self.bounds.1.max(x));
    }

    /// From the first to the last, or as a line through all of them has it (least squares).
    pub fn took(&self) -> Duration {
        let span = self.last.since(self.first.1);
        let of = |products: f64, a: f64, b: f64| products - a * b / self.count.max(1.0);
        let (xx, xt, tt) = (of(self.xx, self.x, self.x), of(self.xt, self.x, self.t), of(self.tt, self.t, self.t));
        if xt > 0.0 && xt * xt >= ORDERED * xx * tt {
            return span;
        }
        let line = xt.max(0.0) / xx.max(1.0) * (self.bounds.1 - self.bounds.0);
        span.min(Duration::from_micros(line as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(arrivals: impl IntoIterator<Item = (u64, i64)>) -> u128 {
        let mut arrivals: Vec<(u64, i64)> = arrivals.into_iter().collect();
        arrivals.sort_by_key(|&(_, at)| at);
        let mut passing = Passing::new(arrivals[0].0, Time::from_micros(arrivals[0].1));
        arrivals.iter().for_each(|&(number, at)| passing.came(number, Time::from_micros(at)));
        passing.took().as_micros()
    }

    #[test]
    fn a_rate_takes_what_the_last_came_after_the_first() {
        assert_eq!(took((0..80).map(|n| (n, 400 * n as i64))), 79 * 400);
        assert_eq!(took([(7, 5)]), 0);
        assert_eq!(took([(7, 5), (8, 2005)]), 2000);
        // In two clumps, as a radio brings them; and with some of them overtaken.
        assert_eq!(took((0..80).map(|n| (n, n as i64 / 40 * 10_000 + n as i64))), 10_079);
        assert_eq!(took((0..80).map(|n| (n ^ 7, 400 * n as i64))), 79 * 400);
    }

    #[test]
    fn delays_that_vary_are_no_rate() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut all: Vec<u128> =
            (0..99).map(|_| took((0..80).map(|n| (n, 100 * n as i64 + random.i64(0..40_000))))).collect();
        all.sort_unstable();
        assert!((5_000..12_000).contains(&all[50]) && all[95] < 20_000, "8 ms by the rate, 40 by chance: {all:?}");
    }

    #[test]
    fn numbers_of_no_sense_do_no_harm() {
        for numbers in [[0, u64::MAX, 1], [u64::MAX, 0, u64::MAX], [5, 5, 5]] {
            let times = numbers.iter().enumerate().map(|(at, &number)| (number, at as i64 * 1000));
            assert!(took(times) <= 2000);
        }
    }
}
