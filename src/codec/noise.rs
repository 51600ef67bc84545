//! How much a source's picture changes where nothing moves: a camera's noise, measured while it runs. Pure.
//!
//! Noise is about the same everywhere and without a pattern. Motion is not: from one part of a film to another it
//! differs by orders of magnitude, and neighbouring samples change together.

/// Mean change of a block, and whether it looks like noise.
pub type Sample = (f64, bool);

/// Noise of this much, all over a tile, is still noise: brighter parts of a picture are noisier than the quieter quarter.
pub const SUM: f64 = 1.5;
/// The same for a single block: of 64 squares of a normal variable the mean is off by a fifth, rarely by a whole.
pub const PEAK: f64 = 4.0;
/// Correlation of neighbouring changes that is still noise: a camera's own interpolation and smoothing reach 0.5 to 0.6.
pub const WHITE: f64 = 0.7;
/// Between the quietest tenth of the picture and two fifths of it noise differs by less than this, clipped parts included; motion by more.
const EVEN: f64 = 4.0;
/// What is louder than this (a deviation of four steps of 255) is not taken for noise.
const LOUDEST: f64 = 32.0;
/// The level falls at once and rises by so much with each picture: in a second to a camera's usual noise.
const RISE: f64 = 0.1;

#[derive(Debug)]
pub struct Noise {
    on: bool,
    level: f64,
}

impl Noise {
    pub fn new(on: bool) -> Noise {
        Noise { on, level: 0.0 }
    }

    /// Mean squared change of resting blocks from one frame to another: twice the variance of the noise.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// Takes the samples of one picture.
    pub fn learn(&mut self, samples: impl Iterator<Item = Sample>) {
        // Parts that are black or white through and through have no noise in any picture.
        let changes = samples.filter(|(change, _)| *change > 0.0);
        let mut changes: Vec<f64> = changes.map(|(change, white)| if white { change } else { f64::INFINITY }).collect();
        if !self.on || changes.is_empty() {
            return;
        }
        changes.sort_unstable_by(f64::total_cmp);
        let (quiet, usual) = (changes[changes.len() / 10], changes[changes.len() * 2 / 5]);
        let heard = if usual.is_finite() && usual <= EVEN * quiet { usual } else { 0.0 };
        self.level = heard.min(self.level * (1.0 + RISE) + RISE).min(LOUDEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(noise: &mut Noise, frames: usize, change: impl Fn(usize) -> Sample) -> f64 {
        for _ in 0..frames {
            noise.learn((0..100).map(&change));
        }
        noise.level()
    }

    #[test]
    fn a_camera_at_rest_is_measured_within_two_seconds_and_a_quiet_moment_counts_at_once() {
        let mut noise = Noise::new(true);
        let level = learnt(&mut noise, 60, |i| (8.0 + i as f64 / 100.0, true));
        assert!((8.0..9.0).contains(&level), "{level}");
        assert!(learnt(&mut noise, 1, |_| (0.1, true)) < 0.2);
    }

    #[test]
    fn motion_is_not_noise() {
        let mut noise = Noise::new(true);
        assert_eq!(learnt(&mut noise, 100, |_| (100.0, false)), 0.0);
        assert!(learnt(&mut noise, 1000, |_| (100.0, true)) <= LOUDEST);
        let mut film = Noise::new(true);
        assert_eq!(learnt(&mut film, 100, |i| (1.1f64.powi(i as i32), true)), 0.0);
    }
}
