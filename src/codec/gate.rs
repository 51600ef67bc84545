//! Which tiles of a picture are worth coding again. Every tile is compared, in Y, Cb and Cr, with the picture as last
//! coded (not with the last picture, or slow changes would add up unseen), block by block of 8x8 samples.
//!
//! A tile is coded when one of its blocks changed by more than the gate, or when what it would be off by is worth the
//! bits that it takes: an eighth of the gate in squared error for each bit. That is what a rate-distortion search would
//! choose at one slope for all tiles. What the source's own noise explains is worth nothing. On film (Big Buck Bunny,
//! 1080p, quality 80) it takes 0.78 of the bytes at a loss of 0.24 dB (benches/segments.rs). Tried besides, and not
//! kept: a limit on the change of a block alone takes 0.82 at 0.19; taking the quantiser's own error into account, by
//! decoding what was coded, gained less than 1 % more; a price on each tile besides its bits, for the processor time
//! that it takes, spared 1 % of the tiles at the same loss.
//!
//! Noise with a variance of s, when a tile rests that was coded from one frame, is off by 2s from the next frame; coded
//! from the mean of n frames by s + s/n (`shown`). No tile that rests can be off by less than s and the error Q of its
//! scene's quantising, where plain MJPEG follows some of the noise. Measured at quality 80 on luma, in dB: with a
//! deviation of 1, plain MJPEG 44.96, the bound (s + Q) 44.67, this gate 44.68; with 2, 41.62, 40.96 and 40.99. So at 2
//! the loss is 0.6 at least, and even a scene without quantising would be at 42.04; to halve it, over half of the resting
//! tiles would have to be coded in every frame. What is lost is noise: of the scene itself the gate shows more than
//! plain MJPEG, by 0.5 and 2.0 dB.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use crate::clock::Time;
use crate::codec::blocks;
use crate::codec::change::{self, Change};
use crate::codec::noise::{self, Noise};
use crate::codec::shown::{Shown, Verdict};
use crate::codec::tiles::{Grid, MCU};
use crate::codec::turn::Turn;
use crate::picture::Picture;
use crate::segments::Coded;

/// How much change passes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Mode {
    /// Every tile is coded in every frame.
    Off,
    /// By the quality, and above the source's own noise.
    #[default]
    Auto,
    /// Mean squared change of a block of 8x8 samples that is always coded.
    Fixed(f64),
}

impl FromStr for Mode {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Mode> {
        Ok(match text {
            "off" => Mode::Off,
            "auto" => Mode::Auto,
            _ => {
                let n: f64 = text.parse().ok().context("a gate is off, auto or a number")?;
                ensure!((0.0..=65025.0).contains(&n), "a gate is at most 65025: black to white");
                Mode::Fixed(n)
            }
        })
    }
}

/// The gate at quality 80 (measured, above), where quantiser steps are 0.4 of the standard tables'.
const GATE: f64 = 36.0;
const STEP: f64 = 0.4;
/// Coarser steps would let a change through that the eye sees moving.
const COARSEST: f64 = 2.0;
/// Squared error that a bit is worth, of the gate.
const BIT: f64 = 1.0 / 8.0;
/// A tile that is off by anything is coded again within this time.
const REFRESH: Duration = Duration::from_secs(10);

/// A resting tile of a noisy source is coded again this often at most.
const REFINE: Duration = Duration::from_millis(500);
/// Noise that is worth keeping means for: a deviation of half a step of 255, twice, squared.
const AUDIBLE: f64 = 0.5;
/// Tiles that noise is sampled from.
const SAMPLES: usize = 256;

/// Under noise a change of light hides from squares, but not from means: half a step is seen as little as the steps of
/// a fade without noise.
const DRIFT: f64 = 0.5;

/// The picture as last coded, and what was learnt about its source.
pub struct Gate {
    mode: Mode,
    gate: f64,
    shown: Shown,
    noise: Noise,
    refresh: Turn,
    refine: Turn,
}

impl Gate {
    /// `quality`: of the JPEG, none where nothing may be lost.
    pub fn new(mode: Mode, quality: Option<u8>, first: &Picture, now: Time) -> Gate {
        let step = quality.map_or(0.0, |quality| f64::from(blocks::scale(quality)) / 100.0);
        let gate = match mode {
            Mode::Fixed(n) => n,
            _ => GATE * (step / STEP).min(COARSEST).powi(2),
        };
        let noise = Noise::new(mode == Mode::Auto && quality.is_some());
        let [refresh, refine] = [REFRESH, REFINE].map(|cycle| Turn::new(cycle, now));
        Gate { mode, gate, shown: Shown::new(first), noise, refresh, refine }
    }

    /// The tiles to code, given the ones that stand, and the picture to code them from; from now on they count as coded.
    pub fn pass<'a>(&'a mut self, picture: &'a Picture, standing: &Coded, now: Time) -> (Vec<usize>, &'a Picture) {
        let grid = Grid::new(picture.width(), picture.height());
        if self.mode == Mode::Off {
            return ((0..grid.tiles()).collect(), picture);
        }
        let (refresh, refine) = (self.refresh.pass(grid.tiles(), now), self.refine.pass(grid.tiles(), now));
        match self.noise.level() {
            0.0 => self.shown.keep_means(false),
            level if level > AUDIBLE => self.shown.keep_means(true),
            _ => {}
        }
        let every = grid.tiles().div_ceil(SAMPLES);
        let judged = (0..grid.tiles()).into_par_iter().with_min_len(32).map(|tile| {
            let pictures = [self.shown.picture(), picture];
            let noisiness = self.shown.noisiness(tile);
            let passes = self.limit(grid, tile, standing.segment(tile).len(), noisiness);
            let change = change::of_tile(pictures, grid, tile, &passes);
            let sample = (tile % every == 0).then(|| {
                let (change, white) = change::sample(pictures, grid, tile);
                (change / noisiness, white)
            });
            let noise = self.noise.level() * noisiness;
            let drifted = || noise > 0.0 && change::shift(pictures, grid, tile, noise) > DRIFT;
            let verdict = match passes(change) || drifted() {
                true => Verdict::Moved,
                false if change.sum > 0 && (refresh(tile) || refine(tile) && self.shown.can_refine(tile)) => {
                    Verdict::Refined
                }
                false => Verdict::Rests,
            };
            (verdict, sample)
        });
        let (verdicts, samples): (Vec<Verdict>, Vec<Option<noise::Sample>>) = judged.unzip();
        self.noise.learn(samples.into_iter().flatten());
        self.shown.take(picture, &verdicts);
        let tiles = (0..grid.tiles()).filter(|&tile| verdicts[tile] != Verdict::Rests).collect();
        (tiles, self.shown.picture())
    }

    /// Whether a tile's change is worth coding.
    fn limit(&self, grid: Grid, tile: usize, bytes: usize, noisiness: f64) -> impl Fn(Change) -> bool {
        let noise = self.noise.level() * noisiness;
        let samples = (grid.mcus_of(tile).len() * MCU * MCU) as f64 * 1.5;
        let sum = (self.gate * BIT * 8.0 * bytes as f64).max(noise::SUM * noise * samples);
        let peak = 64.0 * self.gate.max(noise::PEAK * noise);
        move |change| f64::from(change.sum) > sum || f64::from(change.peak) > peak
    }
}

#[cfg(test)]
mod tests;
