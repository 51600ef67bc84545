//! How fast the network passed the last frames on. Pure.

use std::collections::VecDeque;

/// Frames that are remembered.
const LAST: usize = 5;

/// Bits a second; and the median, which is asked for several times a frame.
#[derive(Debug, Default)]
pub struct Passed {
    rates: VecDeque<f64>,
    median: Option<f64>,
}

impl Passed {
    /// What was seen before was another network.
    pub fn only(rate: f64) -> Passed {
        let mut passed = Passed::default();
        passed.push(rate);
        passed
    }

    pub fn push(&mut self, rate: f64) {
        push(&mut self.rates, LAST, rate);
        let mut sorted = [f64::INFINITY; LAST];
        sorted.iter_mut().zip(&self.rates).for_each(|(sorted, rate)| *sorted = *rate);
        sorted.sort_unstable_by(f64::total_cmp);
        self.median = Some(sorted[self.rates.len() / 2]);
    }

    pub fn median(&self) -> Option<f64> {
        self.median
    }

    /// The newest so many, or as many as there are.
    pub fn last(&self, count: usize) -> impl Iterator<Item = f64> {
        self.rates.range(self.rates.len().saturating_sub(count)..).copied()
    }
}

/// Adds to the last so many.
pub fn push(last: &mut VecDeque<f64>, most: usize, value: f64) {
    if last.len() == most {
        last.pop_front();
    }
    last.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_the_last_few() {
        let mut passed = Passed::default();
        assert_eq!((passed.median(), passed.last(2).count()), (None, 0));
        [9.0, 1.0, 8.0, 2.0, 7.0].into_iter().for_each(|rate| passed.push(rate));
        assert_eq!(passed.median(), Some(7.0));
        [3.0, 3.0].into_iter().for_each(|rate| passed.push(rate));
        assert_eq!((passed.median(), passed.last(2).collect::<Vec<_>>()), (Some(3.0), vec![3.0, 3.0]));
        assert_eq!(Passed::only(4.0).median(), Some(4.0));
    }
}
