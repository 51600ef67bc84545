//! How much a source's picture changes where nothing moves: a camera's noise, measured while it runs. Pure.
//!
//! Noise is what the quieter quarter of the picture changes by, for seconds on end, without a pattern. Motion is less
//! even: it has moments of rest, and neighbouring samples change together.

/// Mean change of a block, and whether it looks like noise.
pub type Sample = (f64, bool);

/// A block of noise is its own mean squared change, give or take a fifth (64 squares of a normal variable); a little
/// more lets brighter parts of the picture, which are noisier, rest too.
pub const SUM: f64 = 1.5;
pub const PEAK: f64 = 2.5;
/// Correlation of neighbouring changes that is still noise: a camera's own interpolation and smoothing reach 0.5 to 0.6.
pub const WHITE: f64 = 0.7;
/// What is louder than this (a deviation of four steps of 255) is not taken for noise.
const LOUDEST: f64 = 32.0;
/// The level falls at once and rises by so much with each picture: a second and a half to a camera's usual noise.
const RISE: f64 = 0.05;

#[derive(Debug)]
pub struct Noise {
    on: bool,
    level: [f64; 2],
}

impl Noise {
    pub fn new(on: bool) -> Noise {
        Noise { on, level: [0.0; 2] }
    }

    /// Mean squared change of resting blocks, luma and chroma.
    pub fn level(&self) -> [f64; 2] {
        self.level
    }

    /// Takes the samples of one picture, luma and chroma of each tile.
    pub fn learn(&mut self, samples: impl Iterator<Item = [Option<Sample>; 2]>) {
        if !self.on {
            return;
        }
        let mut changes = [Vec::new(), Vec::new()];
        for pair in samples {
            for (changes, sample) in changes.iter_mut().zip(pair) {
                changes.extend(sample.filter(|(_, white)| *white).map(|(change, _)| change));
            }
        }
        for (level, changes) in self.level.iter_mut().zip(&mut changes) {
            if !changes.is_empty() {
                let quarter = changes.len() / 4;
                let (_, quiet, _) = changes.select_nth_unstable_by(quarter, f64::total_cmp);
                *level = quiet.min(*level * (1.0 + RISE) + RISE).min(LOUDEST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(noise: &mut Noise, frames: usize, change: impl Fn(usize) -> Sample) -> f64 {
        for _ in 0..frames {
            noise.learn((0..100).map(|i| [Some(change(i)), None]));
        }
        noise.level()[0]
    }

    #[test]
    fn a_camera_at_rest_is_measured_within_two_seconds_and_a_quiet_moment_counts_at_once() {
        let mut noise = Noise::new(true);
        let level = learnt(&mut noise, 60, |i| (8.0 + i as f64 / 100.0, true));
        assert!((8.0..9.0).contains(&level), "{level}");
        assert_eq!(learnt(&mut noise, 1, |_| (0.0, true)), 0.0);
    }

    #[test]
    fn motion_is_not_noise() {
        let mut noise = Noise::new(true);
        assert_eq!(learnt(&mut noise, 100, |_| (100.0, false)), 0.0);
        assert!(learnt(&mut noise, 1000, |_| (100.0, true)) <= LOUDEST);
        let mut still = Noise::new(true);
        assert_eq!(learnt(&mut still, 100, |i| (if i < 30 { 0.0 } else { 90.0 }, true)), 0.0);
    }
}
