//! Which tiles of a picture are worth coding again. Every tile is compared, in Y, Cb and Cr, with the picture as last
//! coded (not with the last picture, or slow changes would add up unseen), block by block of 8x8 samples.
//!
//! A tile is coded when one of its blocks changed by more than the gate, or when what it would be off by is worth the
//! bits that it takes: an eighth of the gate in squared error for each bit. That is what a rate-distortion search would
//! choose at one slope for all tiles. What the source's own noise explains is worth nothing. On film (Big Buck Bunny,
//! 1080p, quality 80) it takes 0.78 of the bytes at a loss of 0.24 dB (benches/segments.rs). Tried besides, and not
//! kept: a limit on the change of a block alone takes 0.82 at 0.19; taking the quantiser's own error into account, by
//! decoding what was coded, gained less than 1 % more.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use crate::clock::Time;
use crate::codec::blocks;
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
    /// Squared error in all planes.
    sum: f64,
    /// The most changed block's mean.
    peak: f64,
    /// Of its first block: the mean, and whether it looks like noise.
    sample: Option<noise::Sample>,
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
        let (quiet_sum, quiet_peak) = (noise::SUM * noise, noise::PEAK * noise);
        let changes: Vec<Change> = (0..grid.tiles())
            .into_par_iter()
            .with_min_len(32)
            .map(|tile| compare(&self.reference, picture, grid, tile))
            .collect();
        self.noise.learn(changes.iter().filter_map(|change| change.sample));
        let passes = |&tile: &usize| {
            let change = &changes[tile];
            let bits = 8.0 * standing.segment(tile).len() as f64;
            let samples = (grid.mcus_of(tile).len() * MCU * MCU) as f64 * 1.5;
            let worth = (self.gate * BIT * bits).max(quiet_sum * samples);
            change.sum > worth || change.peak > self.gate.max(quiet_peak) || (change.sum > 0.0 && turn(tile))
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

fn compare(old: &Picture, new: &Picture, grid: Grid, tile: usize) -> Change {
    let mut change = Change { sum: 0.0, peak: 0.0, sample: None };
    for (plane, (a, b)) in old.planes().into_iter().zip(new.planes()).enumerate() {
        let (width, height, shrunk) = shape(new, plane);
        for (x, y, count) in grid.runs(grid.mcus_of(tile)) {
            let (x, y, side) = (x / shrunk, y / shrunk, MCU / shrunk);
            let (right, bottom) = ((x + count * side).min(width), (y + side).min(height));
            for y in (y..bottom).step_by(8) {
                let band = Band { a, b, stride: width, y, rows: 8.min(bottom - y) };
                for x in (x..right).step_by(16) {
                    let errors = band.squared_errors(x, right);
                    for error in &errors[..(right - x).div_ceil(8).min(2)] {
                        change.sum += f64::from(*error);
                        change.peak = change.peak.max(f64::from(*error) / 64.0);
                    }
                    let first = || (f64::from(errors[0]) / 64.0, band.is_white(x, right.min(x + 8), errors[0]));
                    change.sample.get_or_insert_with(first);
                }
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

/// The same eight rows (fewer at the lower edge) of two planes.
struct Band<'a> {
    a: &'a [u8],
    b: &'a [u8],
    stride: usize,
    y: usize,
    rows: usize,
}

impl Band<'_> {
    fn rows(&self, x: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
        (self.y..self.y + self.rows).map(move |y| (&self.a[y * self.stride + x..], &self.b[y * self.stride + x..]))
    }

    /// Squared errors of two blocks side by side; what lies beyond `right` counts nothing.
    fn squared_errors(&self, x: usize, right: usize) -> [u32; 2] {
        let at = self.y * self.stride + x;
        if self.rows == 8 && x + 16 <= right {
            return squared_errors(&self.a[at..], &self.b[at..], self.stride);
        }
        let mut errors = [0; 2];
        for (a, b) in self.rows(x) {
            (0..right.min(x + 16) - x).for_each(|i| errors[i / 8] += square(a[i], b[i]) as u32);
        }
        errors
    }

    /// Whether neighbouring changes have little to do with each other, as those of noise have.
    fn is_white(&self, x: usize, right: usize, error: u32) -> bool {
        let change = |a: u8, b: u8| i32::from(a) - i32::from(b);
        let together = |(a, b): (&[u8], &[u8])| {
            let pairs = a[..right - x].windows(2).zip(b[..right - x].windows(2));
            pairs.map(|(a, b)| change(a[0], b[0]) * change(a[1], b[1])).sum::<i32>()
        };
        f64::from(self.rows(x).map(together).sum::<i32>().abs()) < noise::WHITE * f64::from(error)
    }
}

/// Of two whole blocks. The compiler makes vectors of it, but only while it stands by itself.
#[inline(never)]
fn squared_errors(a: &[u8], b: &[u8], stride: usize) -> [u32; 2] {
    let mut errors = [0; 2];
    for (a, b) in a.chunks(stride).zip(b.chunks(stride)).take(8) {
        let (Some(a), Some(b)) = (a.first_chunk::<16>(), b.first_chunk::<16>()) else { break };
        for (half, error) in errors.iter_mut().enumerate() {
            *error += (half * 8..half * 8 + 8).map(|i| square(a[i], b[i])).sum::<i32>();
        }
    }
    errors.map(|error| error as u32)
}

fn square(a: u8, b: u8) -> i32 {
    let change = i32::from(i16::from(a) - i16::from(b));
    change * change
}

#[cfg(test)]
mod tests;
