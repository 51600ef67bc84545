//! Tiles: the pixels that one segment codes. Eight MCUs in raster order, so that at a row's end a tile goes on in the
//! next row and the restart interval is 8 at every width. Some tiles side by side make a strip, a picture that is encoded
//! or decoded apart from the rest, on another core.

use std::ops::Range;

use rayon::prelude::*;

use crate::picture::Picture;

/// MCUs of a tile: the restart interval. At 8 its markers cost 1.1 % of the bytes of 1080p film at quality 80.
pub const MCUS: usize = 8;
/// Pixels of an MCU's side in 4:2:0.
pub const MCU: usize = 16;
/// Tiles in a row of a strip. The decoder copies its tables for each row of MCUs, which took a third of the time with
/// one tile in a row; long rows need buffers that the system hands out and takes back with every frame.
pub const ABREAST: usize = 8;
/// Tiles of the largest strip, whose luma is just below the 128 KiB that malloc asks the system for.
const STRIP_MOST: usize = 48;
/// Tiles of the shortest: each has a coder of its own to make, which takes as long as a tile or two.
const STRIP_LEAST: usize = 16;
/// So few tiles, a sixteenth of a picture of 1080p as datagrams bring them, one core decodes (0.5 ms) while it would wait for
/// others to wake.
pub const ALONE: usize = 64;

/// A picture's size in MCUs and tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub columns: usize,
    pub rows: usize,
}

impl Grid {
    pub fn new(width: usize, height: usize) -> Grid {
        Grid { columns: width.div_ceil(MCU), rows: height.div_ceil(MCU) }
    }

    pub fn mcus(self) -> usize {
        self.columns * self.rows
    }

    /// All tiles, the last one perhaps shorter than the others.
    pub fn tiles(self) -> usize {
        self.mcus().div_ceil(MCUS)
    }

    /// Pixel position of an MCU.
    pub fn position(self, mcu: usize) -> (usize, usize) {
        (mcu % self.columns * MCU, mcu / self.columns * MCU)
    }

    /// A stretch of MCUs cut at the rows' ends: pixel position of each piece, and its MCUs.
    pub fn runs(self, mut mcus: Range<usize>) -> impl Iterator<Item = (usize, usize, usize)> {
        std::iter::from_fn(move || {
            let (x, y) = self.position(mcus.start);
            let count = mcus.len().min(self.columns - mcus.start % self.columns);
            mcus.start += count;
            (count > 0).then_some((x, y, count))
        })
    }

    /// The tiles in a row of MCUs: which, where in the row, and how many MCUs of it.
    pub fn pieces(self, row: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let mut x = 0;
        std::iter::from_fn(move || {
            let (from, mcu) = (x, row * self.columns + x);
            x = (from + MCUS - mcu % MCUS).min(self.columns);
            (from < self.columns).then_some((mcu / MCUS, from, x - from))
        })
    }

    /// The MCUs of a tile.
    pub fn mcus_of(self, tile: usize) -> Range<usize> {
        tile * MCUS..(tile * MCUS + MCUS).min(self.mcus())
    }

    /// Cuts what has tiles, which are in order, into strips for about as many threads: whole rows, and what is left over.
    pub fn strips<T>(self, tiles: &[T], tile: impl Fn(&T) -> usize, parts: usize) -> Vec<&[T]> {
        let (whole, short) = tiles.split_at(tiles.partition_point(|each| tile(each) < self.mcus() / MCUS));
        let each = whole.len().div_ceil(parts).next_multiple_of(ABREAST).clamp(STRIP_LEAST, STRIP_MOST);
        let (rows, rest) = whole.split_at(whole.len() - whole.len() % ABREAST);
        rows.chunks(each).chain([rest, short]).filter(|strip| !strip.is_empty()).collect()
    }

    /// Pixels of a strip's width and height.
    pub fn strip_size(self, tiles: &[usize]) -> (usize, usize) {
        let mcus: usize = tiles.iter().take(ABREAST).map(|&tile| self.mcus_of(tile).len()).sum();
        (mcus * MCU, tiles.len().div_ceil(ABREAST) * MCU)
    }

    /// Copies the tiles of strips to their places, a row of MCUs at a time on each core where they are many.
    pub fn unstack(self, strips: &[Strip], picture: &mut Picture) {
        let mut places = vec![None; self.tiles()];
        for strip in strips {
            strip.tiles.iter().enumerate().for_each(|(nth, &tile)| places[tile] = Some((strip, nth)));
        }
        let (width, chroma_width) = (picture.width(), picture.chroma().0);
        let [luma, cb, cr] = picture.planes_mut();
        let (whole, half) = (MCU * width, MCU / 2 * chroma_width);
        let fill = |row: usize, luma: &mut [u8], cb: &mut [u8], cr: &mut [u8]| {
            let mut mcu = row * self.columns;
            let end = mcu + self.columns;
            while mcu < end {
                let (tile, within) = (mcu / MCUS, mcu % MCUS);
                let count = (MCUS - within).min(end - mcu);
                if let Some((strip, nth)) = places[tile] {
                    let from = (nth % ABREAST * MCUS + within) * MCU;
                    let (line, x) = (nth / ABREAST * MCU, mcu % self.columns * MCU);
                    copy(&strip.planes[0], strip.width, (from, line), luma, width, x, count * MCU);
                    for (samples, to) in [(&strip.planes[1], &mut *cb), (&strip.planes[2], &mut *cr)] {
                        let (from, stride) = ((from / 2, line / 2), strip.width / 2);
                        copy(samples, stride, from, to, chroma_width, x / 2, count * MCU / 2);
                    }
                }
                mcu += count;
            }
        };
        if strips.iter().map(|strip| strip.tiles.len()).sum::<usize>() <= ALONE {
            let rows = luma.chunks_mut(whole).zip(cb.chunks_mut(half)).zip(cr.chunks_mut(half));
            return rows.enumerate().for_each(|(row, ((luma, cb), cr))| fill(row, luma, cb, cr));
        }
        let rows = luma.par_chunks_mut(whole).zip(cb.par_chunks_mut(half)).zip(cr.par_chunks_mut(half));
        rows.enumerate().for_each(|(row, ((luma, cb), cr))| fill(row, luma, cb, cr));
    }
}

/// Decoded tiles, in rows of `ABREAST`.
pub struct Strip {
    pub tiles: Vec<usize>,
    pub width: usize,
    /// Y, Cb and Cr.
    pub planes: [Vec<u8>; 3],
}

/// Copies `count` columns of a strip to the column `x` of a row of MCUs, cut at its edges.
fn copy(from: &[u8], stride: usize, at: (usize, usize), to: &mut [u8], width: usize, x: usize, count: usize) {
    let count = count.min(width - x);
    for (to, from) in to.chunks_exact_mut(width).zip(from[at.1 * stride..].chunks_exact(stride)) {
        to[x..x + count].copy_from_slice(&from[at.0..at.0 + count]);
    }
}

/// How many strips a picture is cut into: two for each core, so that one with harder tiles does not keep the others
/// waiting long.
pub fn parts() -> usize {
    2 * rayon::current_num_threads()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_mcu_once() {
        for (w, h) in [(16, 16), (17, 33), (640, 360), (1920, 1080), (7680, 4320)] {
            let grid = Grid::new(w, h);
            let mut seen = vec![0; grid.mcus()];
            for (x, y, count) in (0..grid.tiles()).flat_map(|tile| grid.runs(grid.mcus_of(tile))) {
                let first = y / MCU * grid.columns + x / MCU;
                seen[first..first + count].iter_mut().for_each(|n| *n += 1);
                assert!(x / MCU + count <= grid.columns);
            }
            assert!(seen.iter().all(|&n| n == 1), "{w}x{h}");
        }
    }
}
