//! How much a tile differs in two pictures of one size. Pure; a row of samples at a time, which is how memory has them.

use std::ops::Range;

use crate::codec::noise::{self, Sample};
use crate::codec::tiles::{Grid, MCU, MCUS};
use crate::picture::Picture;

/// Side of a block.
const SIDE: usize = 8;

/// Squared error of a tile in all planes, and of its most changed block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    pub sum: u32,
    pub peak: u32,
}

/// Compares luma, then chroma, eight rows at a time, and ends early once `enough` says that more makes no difference.
pub fn of_tile(pictures: [&Picture; 2], grid: Grid, tile: usize, enough: impl Fn(Change) -> bool) -> Change {
    let mut change = Change::default();
    let [old, new] = pictures.map(Picture::planes);
    for plane in 0..3 {
        for band in bands(pictures[0], grid, tile, plane) {
            let mut errors = [0; MCUS * MCU / SIDE];
            for row in band {
                add(&old[plane][row.clone()], &new[plane][row], &mut errors);
            }
            change.sum += errors.iter().sum::<u32>();
            change.peak = errors.iter().fold(change.peak, |peak, &error| peak.max(error));
            if enough(change) {
                return change;
            }
        }
    }
    change
}

/// How far a tile's mean moved, in the plane that moved most, beyond what noise of this mean squared change explains:
/// six deviations of a mean, once in a billion.
pub fn shift(pictures: [&Picture; 2], grid: Grid, tile: usize, noise: f64) -> f64 {
    let [old, new] = pictures.map(Picture::planes);
    let moved = (0..3).map(|plane| {
        let (mut sum, mut count) = (0i64, 0);
        for row in bands(pictures[0], grid, tile, plane).flatten() {
            count += row.len();
            sum += total(&new[plane][row.clone()]) - total(&old[plane][row]);
        }
        let mean = sum.abs() as f64 / count as f64;
        mean - 6.0 * (noise / count as f64).sqrt()
    });
    moved.fold(0.0, f64::max)
}

/// Where a tile's samples stand in a plane: its rows, as many together as a block has.
fn bands(
    picture: &Picture,
    grid: Grid,
    tile: usize,
    plane: usize,
) -> impl Iterator<Item = impl Iterator<Item = Range<usize>>> {
    let (width, height, shrunk) = shape(picture, plane);
    grid.runs(grid.mcus_of(tile)).flat_map(move |(x, y, count)| {
        let (x, y, side) = (x / shrunk, y / shrunk, MCU / shrunk);
        let (right, bottom) = ((x + count * side).min(width), (y + side).min(height));
        let row = move |y| y * width + x..y * width + right;
        (y..bottom).step_by(SIDE).map(move |band| (band..(band + SIDE).min(bottom)).map(row))
    })
}

fn total(samples: &[u8]) -> i64 {
    samples.iter().map(|&sample| i64::from(sample)).sum()
}

/// A plane's width and height, and how many luma samples stand beside one of its.
pub fn shape(picture: &Picture, plane: usize) -> (usize, usize, usize) {
    let (width, height) = picture.chroma();
    if plane == 0 { (picture.width(), picture.height(), 1) } else { (width, height, 2) }
}

/// Adds a row's squared errors to those of its blocks. The compiler makes vectors of it, but only while it stands by
/// itself.
#[inline(never)]
fn add(a: &[u8], b: &[u8], errors: &mut [u32; MCUS * MCU / SIDE]) {
    // What rests on a screen or in a film that was coded before is often just the same, and that is seen sooner.
    if a == b {
        return;
    }
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<SIDE>(), b.as_chunks::<SIDE>());
    for ((a, b), error) in a.iter().zip(b).zip(&mut *errors) {
        *error += (0..SIDE).map(|i| square(a[i], b[i])).sum::<i32>() as u32;
    }
    let rest: i32 = a_rest.iter().zip(b_rest).map(|(&a, &b)| square(a, b)).sum();
    if rest > 0 {
        errors[a.len()] += rest as u32;
    }
}

fn square(a: u8, b: u8) -> i32 {
    let change = i32::from(i16::from(a) - i16::from(b));
    change * change
}

/// Of a tile's first luma block: its mean squared change, and whether that looks like noise.
pub fn sample(pictures: [&Picture; 2], grid: Grid, tile: usize) -> Sample {
    let (width, height) = (pictures[0].width(), pictures[0].height());
    let (x, y) = grid.position(grid.mcus_of(tile).start);
    let columns = SIDE.min(width - x);
    let (mut errors, mut together) = ([0; MCUS * MCU / SIDE], 0);
    for y in y..(y + SIDE).min(height) {
        let [a, b] = pictures.map(|picture| &picture.planes()[0][y * width + x..][..columns]);
        add(a, b, &mut errors);
        // Neighbouring changes of noise have little to do with each other.
        let change = |i: usize| i32::from(a[i]) - i32::from(b[i]);
        together += (1..columns).map(|i| change(i - 1) * change(i)).sum::<i32>();
    }
    let error = f64::from(errors[0]);
    (error / (SIDE * SIDE) as f64, f64::from(together.abs()) < noise::WHITE * error)
}
