//! How long to wait before another try: 0.1 s doubling to 5 s, jittered so that many callers do not knock together; after a
//! refusal 2 s to 10 s.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// Of one that was refused: only people change that.
const SLOW: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

#[derive(Debug)]
pub struct Retry {
    next: Duration,
    longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { next: FIRST, longest: LONGEST }
    }
}

impl Retry {
    pub fn slow() -> Retry {
        Retry { next: SLOW.0, longest: SLOW.1 }
    }

    /// The next delay: between half of it and all of it.
    pub fn delay(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        whole.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_five_seconds() {
        let mut retry = Retry::default();
        let delays: Vec<Duration> = (0..10).map(|_| retry.delay()).collect();
        assert!(delays[0] <= FIRST && delays[0] >= FIRST / 2);
        assert!(delays[9] <= LONGEST && delays[9] >= LONGEST / 2);
    }
}
