//! Which of several rungs a viewer gets that leaves the choice to us: down as soon as its network does not take the one
//! that it has, up when it has taken a higher one's rate for a while, and the longer the oftener that was a mistake.

use std::time::Duration;

use crate::clock::Time;

/// A queue that passes by itself is no reason to change.
const DOWN: Duration = Duration::from_millis(700);
/// But where a rung costs more times what the network takes, one more of its frames would stand in the way for long.
const HEAVY: f64 = 4.0;
const DOWN_AT_ONCE: Duration = Duration::from_millis(200);
/// A rate that holds for so long is no burst.
const UP: Duration = Duration::from_millis(3500);
/// At most once a minute back and forth.
const UP_MOST: Duration = Duration::from_secs(60);
/// A rung that lasts for less was a mistake; one that lasts longer than the first of these only where the one before would have
/// been right: else the network has become another.
const MISTAKE: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(20)];
/// A higher rung must fit with so much to spare: rates of what is not sent yet are estimates.
const SPARE: f64 = 1.3;
/// Nor is one taken that costs more times as much as this one, as small frames show little of a network; its own frames, after
/// `CLIMB`, show whether there is more.
const AT_ONCE: f64 = 6.0;
const CLIMB: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Choice {
    /// When it was chosen, and up from which one.
    since: Option<(Time, Option<usize>)>,
    /// Since when the network takes less than this rung, or a higher one.
    low: Option<Time>,
    high: Option<Time>,
    up: Duration,
    /// The last step up was less than the network seemed to take.
    climbs: bool,
}

impl Default for Choice {
    fn default() -> Choice {
        Choice { since: None, low: None, high: None, up: UP, climbs: false }
    }
}

impl Choice {
    /// What the network `takes`, if that is known, and what each rung costs, the cheapest first, all in bits a second; and how
    /// many times as much it may cost soon. `at` is the place of the one that is watched. A place to go to, if it is time.
    pub fn look(&mut self, now: Time, takes: Option<f64>, at: usize, (costs, busiest): (&[f64], f64)) -> Option<usize> {
        let takes = takes?;
        if self.since.is_some_and(|(since, _)| now.since(since) > UP_MOST) {
            self.up = UP;
        }
        let fits = |share: f64| costs.iter().rposition(|cost| cost * share <= takes).unwrap_or(0);
        let highest = fits(SPARE.max(busiest));
        let (below, above) = (fits(1.0) < at, highest > at);
        self.low = below.then(|| self.low.unwrap_or(now));
        self.high = above.then(|| self.high.unwrap_or(now));
        self.climbs &= above;
        let lasts = |since: Option<Time>, long: Duration| since.is_some_and(|since| now.since(since) >= long);
        let heavy = costs.get(at).is_some_and(|cost| *cost > HEAVY * takes);
        if lasts(self.low, if heavy { DOWN_AT_ONCE } else { DOWN }) {
            let mistake = self.since.is_some_and(|(since, from)| {
                let fitted = from.and_then(|from| costs.get(from)).map(|cost| *cost <= takes);
                let [short, long] = MISTAKE.map(|mistake| now.since(since) < mistake);
                fitted.is_some_and(|fitted| short || long && fitted)
            });
            self.up = if mistake { (self.up * 4).min(UP_MOST) } else { self.up };
            return Some(self.go(now, fits(1.0), None));
        }
        let up = if self.climbs { CLIMB } else { self.up };
        if !lasts(self.high, up) {
            return None;
        }
        let bound = costs.get(at)? * AT_ONCE;
        let to = costs.iter().rposition(|cost| *cost <= bound).unwrap_or(at).max(at + 1).min(highest);
        self.climbs = to < highest;
        Some(self.go(now, to, Some(at)))
    }

    /// Nothing is sent that would show anything.
    pub fn rests(&mut self) {
        (self.low, self.high) = (None, None);
    }

    fn go(&mut self, now: Time, at: usize, up_from: Option<usize>) -> usize {
        (self.since, self.low, self.high) = (Some((now, up_from)), None, None);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: [f64; 4] = [0.5e6, 1.5e6, 4e6, 12e6];

    /// The places over a time in seconds, looked at four times a second, of a network that takes what `takes` says.
    fn places(start: usize, seconds: u64, takes: impl Fn(f64, usize) -> f64) -> Vec<(f64, usize)> {
        let (mut choice, mut at) = (Choice::default(), start);
        let mut changes = Vec::new();
        for quarter in 0..4 * seconds {
            let t = quarter as f64 / 4.0;
            let now = Time::from_micros(quarter as i64 * 250_000);
            if let Some(to) = choice.look(now, Some(takes(t, at)), at, (&COSTS, 1.0)) {
                changes.push((t, to));
                at = to;
            }
        }
        changes
    }

    #[test]
    fn down_within_a_second_and_up_within_five() {
        let steps = |t: f64, _| if (10.0..30.0).contains(&t) { 2e6 } else { 20e6 };
        assert_eq!(places(3, 60, steps), [(10.25, 1), (33.5, 2), (34.75, 3)]);
        let less = |t: f64, _| if t >= 10.0 { 5e6 } else { 20e6 };
        assert_eq!(places(3, 60, less), [(10.75, 2)]);
    }

    #[test]
    fn what_is_only_thought_is_tried_step_by_step() {
        // Small frames let it seem ever wider, until larger ones show how it is.
        let seems = |t: f64, at: usize| if at > 1 { 6e6 } else { 1e6 * 2f64.powf(t) };
        assert_eq!(places(0, 60, seems), [(4.5, 1), (5.75, 2)]);
    }

    #[test]
    fn a_still_scene_is_no_reason_for_what_the_next_one_takes_back() {
        let still = COSTS.map(|cost| cost / 10.0);
        for (busiest, last) in [(1.0, 3), (10.0, 2)] {
            let (mut choice, mut at) = (Choice::default(), 0);
            for quarter in 0..60 {
                let now = Time::from_micros(quarter * 250_000);
                at = choice.look(now, Some(5e6), at, (&still, busiest)).unwrap_or(at);
            }
            assert_eq!(at, last);
        }
    }

    #[test]
    fn what_passes_by_changes_nothing() {
        for (long, takes) in [(0.5, 4e6), (0.25, 0.1e6)] {
            let dips = |t: f64, _| if t % 5.0 < long { takes } else { 20e6 };
            assert!(places(3, 60, dips).is_empty());
        }
        let bursts = |t: f64, _| if t % 5.0 < 3.0 { 20e6 } else { 1e6 };
        assert!(places(0, 60, bursts).is_empty());
    }

    #[test]
    fn who_is_mistaken_tries_again_ever_less_often() {
        // It seems to take everything until a higher rung is tried.
        let wrong = |_, at: usize| if at > 1 { 2e6 } else { 20e6 };
        let ups = places(1, 120, wrong).iter().filter(|(_, at)| *at > 1).count();
        assert!((2..=4).contains(&ups), "{ups}");
    }

    #[test]
    fn a_network_that_falls_soon_after_a_step_up_is_no_mistake() {
        let falls = |t: f64, _| if (10.0..20.0).contains(&t) { 0.3e6 } else { 20e6 };
        let all = [(3.5, 2), (4.75, 3), (10.25, 0), (23.5, 1), (24.75, 2), (26.0, 3)];
        assert_eq!(places(1, 60, falls), all);
    }

    #[test]
    fn what_was_before_a_rest_does_not_count() {
        let (mut choice, at) = (Choice::default(), |ms: i64| Time::from_micros(ms * 1000));
        let look = |choice: &mut Choice, ms| choice.look(at(ms), Some(20e6), 2, (&COSTS, 1.0));
        assert_eq!((look(&mut choice, 0), look(&mut choice, 3000)), (None, None));
        choice.rests();
        assert_eq!((look(&mut choice, 9000), look(&mut choice, 12_000)), (None, None));
        assert_eq!(look(&mut choice, 12_500), Some(3));
    }

    #[test]
    fn what_is_not_known_changes_nothing() {
        let mut choice = Choice::default();
        for _ in 0..2 {
            assert_eq!(choice.look(Time::default(), None, 0, (&COSTS, 1.0)), None);
            assert_eq!(choice.look(Time::default(), Some(1.0), 0, (&[], 1.0)), None);
            assert_eq!(choice.look(Time::default(), Some(1e9), 3, (&COSTS, 1.0)), None);
        }
    }
}
