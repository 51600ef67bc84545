//! Tiles: the pixels that one segment codes. Eight MCUs in raster order, so that at a row's end a tile goes on in the
//! next row and the restart interval is 8 at every width. Stacked tiles make a strip, a picture 8 MCUs wide whose
//! every MCU row is one segment: what is encoded or decoded apart from the rest, on another core.

/// MCUs of a tile: the restart interval. At 8 its markers cost 1.1 % of the bytes of 1080p film at quality 80.
pub const MCUS: usize = 8;
/// Pixels of an MCU's side in 4:2:0.
pub const MCU: usize = 16;
/// Pixels of a strip's width.
pub const STRIP_WIDTH: usize = MCUS * MCU;
/// Tiles of the tallest strip: decoders commonly limit a picture's height (8192 pixels here).
pub const STRIP_TILES: usize = 512;

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

    /// Tiles of eight MCUs.
    pub fn whole_tiles(self) -> usize {
        self.mcus() / MCUS
    }

    /// Pixel position of an MCU.
    pub fn position(self, mcu: usize) -> (usize, usize) {
        (mcu % self.columns * MCU, mcu / self.columns * MCU)
    }

    /// Cuts the whole tiles into about `parts` ranges for as many threads. Each begins at a multiple of 8, so that a
    /// strip's restart markers have the numbers that they have in the whole.
    pub fn strips(self, parts: usize) -> Vec<std::ops::Range<usize>> {
        let tiles = self.whole_tiles();
        let each = tiles.div_ceil(parts.max(1)).next_multiple_of(8).clamp(8, STRIP_TILES);
        (0..tiles).step_by(each).map(|start| start..tiles.min(start + each)).collect()
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
    fn strips_cover_every_whole_tile_once() {
        for (w, h) in [(16, 16), (17, 33), (640, 360), (1920, 1080), (7680, 4320)] {
            let grid = Grid::new(w, h);
            let strips = grid.strips(4);
            let tiles: Vec<usize> = strips.iter().cloned().flatten().collect();
            assert_eq!(tiles, (0..grid.whole_tiles()).collect::<Vec<_>>());
            assert!(strips.iter().all(|s| s.start % 8 == 0 && s.len() <= STRIP_TILES));
        }
    }
}
