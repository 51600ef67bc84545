//! Which tiles of a picture are worth coding again. Every tile is compared, in Y, Cb and Cr, with the picture as last
//! coded (not with the last picture, or slow changes would add up unseen), block by block of 8x8 samples.
//!
//! A tile is coded when one of its blocks changed by more than the gate, or when what it would be off by is worth the
//! bits that it takes: an eighth of the gate in squared error for each bit. That is what a rate-distortion search
//! would choose at one slope for all tiles. On film (Big Buck Bunny, 1080p, quality 80) it takes 0.78 of the bytes at a
//! loss of 0.23 dB, where a limit on the change of a block alone takes 0.82 at 0.19 (benches/gain.rs). Taking the
//! quantiser's own error into account, by decoding what was coded, gained less than 1 % more.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use crate::clock::Time;
use crate::codec::noise::{self, Noise};
use crate::codec::tiles::{Grid, MCU};
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

/// The picture as last coded, and what was learnt about its source.
pub struct Gate {
    mode: Mode,
    gate: f64,
    reference: Picture,
    noise: Noise,
    /// Where the refresh stands.
    next: f64,
    last: Time,
}

/// How much a tile changed.
struct Change {
    /// Squared error above the noise, in all planes.
    sum: f64,
    /// The most changed block's mean.
    peak: f64,
    any: bool,
    /// Of a block of luma and one of chroma: the mean, and whether it looks like noise.
    samples: [Option<noise::Sample>; 2],
}

impl Gate {
    /// `quality`: of the JPEG, none where nothing may be lost.
    pub fn new(mode: Mode, quality: Option<u8>, first: &Picture, now: Time) -> Gate {
        let step = quality.map_or(0.0, |q| match f64::from(q) {
            q if q < 50.0 => 50.0 / q,
            q => 2.0 - q / 50.0,
        });
        let gate = match mode {
            Mode::Fixed(n) => n,
            _ => GATE * (step / STEP).min(COARSEST).powi(2),
        };
        let noise = Noise::new(mode == Mode::Auto && quality.is_some());
        Gate { mode, gate, reference: first.clone(), noise, next: 0.0, last: now }
    }

    /// The tiles to code, given the ones that stand; from now on they count as coded.
    pub fn pass(&mut self, picture: &Picture, standing: &Coded, now: Time) -> Vec<usize> {
        let grid = Grid::new(picture.width(), picture.height());
        if self.mode == Mode::Off {
            return (0..grid.tiles()).collect();
        }
        let turn = self.turn(grid.tiles(), now);
        let noise = self.noise.level();
        let changes: Vec<Change> = (0..grid.tiles())
            .into_par_iter()
            .with_min_len(32)
            .map(|tile| compare(&self.reference, picture, grid, tile, noise))
            .collect();
        self.noise.learn(changes.iter().map(|change| change.samples));
        let passes = |&tile: &usize| {
            let change = &changes[tile];
            let worth = self.gate * BIT * 8.0 * standing.segment(tile).len() as f64;
            change.peak > self.gate || change.sum > worth || (change.any && turn(tile))
        };
        let tiles: Vec<usize> = (0..grid.tiles()).filter(passes).collect();
        tiles.iter().for_each(|&tile| keep(&mut self.reference, picture, grid, tile));
        tiles
    }

    /// Whether it is a tile's turn to be refreshed.
    fn turn(&mut self, tiles: usize, now: Time) -> impl Fn(usize) -> bool + use<> {
        let passed = now.since(self.last).min(REFRESH);
        self.last = now;
        let from = self.next;
        let until = from + tiles as f64 * passed.as_secs_f64() / REFRESH.as_secs_f64();
        self.next = until % tiles as f64;
        move |tile| [tile, tile + tiles].iter().any(|&t| (from..until).contains(&(t as f64)))
    }
}

/// `noise`: mean squared change of a resting block, of luma and of chroma.
fn compare(old: &Picture, new: &Picture, grid: Grid, tile: usize, noise: [f64; 2]) -> Change {
    let mut change = Change { sum: 0.0, peak: 0.0, any: false, samples: [None; 2] };
    for (plane, (a, b)) in old.planes().into_iter().zip(new.planes()).enumerate() {
        let (width, height, shrunk) = shape(new, plane);
        let noise = noise[plane.min(1)];
        for (x, y, count) in grid.runs(grid.mcus_of(tile)) {
            let (x, y, side) = (x / shrunk, y / shrunk, MCU / shrunk);
            let (right, bottom) = ((x + count * side).min(width), (y + side).min(height));
            for (x, y) in (y..bottom).step_by(8).flat_map(|y| (x..right).step_by(8).map(move |x| (x, y))) {
                let block = Block { a, b, stride: width, x, y, w: 8.min(right - x), h: 8.min(bottom - y) };
                let error = f64::from(block.squared_error());
                change.any |= error > 0.0;
                change.sum += (error - 64.0 * noise * noise::SUM).max(0.0);
                change.peak = change.peak.max(error / 64.0 - noise * noise::PEAK);
                change.samples[plane.min(1)].get_or_insert_with(|| (error / 64.0, block.is_white(error)));
            }
        }
    }
    change
}

/// A plane's width and height, and how many luma samples stand beside one of its.
fn shape(picture: &Picture, plane: usize) -> (usize, usize, usize) {
    let (width, height) = picture.chroma();
    if plane == 0 { (picture.width(), picture.height(), 1) } else { (width, height, 2) }
}

/// Copies a tile from one picture to another of its size.
fn keep(to: &mut Picture, from: &Picture, grid: Grid, tile: usize) {
    for (plane, (to, samples)) in to.planes_mut().into_iter().zip(from.planes()).enumerate() {
        let (width, height, shrunk) = shape(from, plane);
        for (x, y, count) in grid.runs(grid.mcus_of(tile)) {
            let (x, y, side) = (x / shrunk, y / shrunk, MCU / shrunk);
            let count = (count * side).min(width - x);
            for y in y..(y + side).min(height) {
                let row = y * width + x..y * width + x + count;
                to[row.clone()].copy_from_slice(&samples[row]);
            }
        }
    }
}

/// The same 8x8 samples (fewer at the edges) of two planes.
struct Block<'a> {
    a: &'a [u8],
    b: &'a [u8],
    stride: usize,
    x: usize,
    y: usize,
    w: usize,
    h: usize,
}

impl Block<'_> {
    fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (self.y..self.y + self.h).map(|y| {
            let at = y * self.stride + self.x;
            (&self.a[at..at + self.w], &self.b[at..at + self.w])
        })
    }

    fn squared_error(&self) -> u32 {
        let mut sum = 0;
        for (a, b) in self.rows() {
            // Eight at once, as the compiler makes them one step; single ones at the edges.
            match (<&[u8; 8]>::try_from(a), <&[u8; 8]>::try_from(b)) {
                (Ok(a), Ok(b)) => sum += (0..8).map(|i| square(a[i], b[i])).sum::<u32>(),
                _ => sum += a.iter().zip(b).map(|(&a, &b)| square(a, b)).sum::<u32>(),
            }
        }
        sum
    }

    /// Whether neighbouring changes have little to do with each other, as those of noise have.
    fn is_white(&self, error: f64) -> bool {
        let together = |(a, b): (&[u8], &[u8])| {
            let change: Vec<i32> = a.iter().zip(b).map(|(&a, &b)| i32::from(a) - i32::from(b)).collect();
            change.windows(2).map(|pair| f64::from(pair[0] * pair[1])).sum::<f64>()
        };
        self.rows().map(together).sum::<f64>().abs() < noise::WHITE * error
    }
}

fn square(a: u8, b: u8) -> u32 {
    let d = i32::from(a) - i32::from(b);
    (d * d) as u32
}

#[cfg(test)]
mod tests;
