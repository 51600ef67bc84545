//! Pictures to JPEG: tiles are encoded in strips on all cores, and cut at their markers. Joined again, all tiles
//! are the very bytes of one plain encoding of the whole picture with the same restart interval.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};
use rayon::prelude::*;

use crate::codec::jpeg;
use crate::codec::tiles::{ABREAST, Grid, MCU, MCUS, parts};
use crate::picture::{Picture, check_size};
use crate::segments::{Form, Head, Segment, splice};

/// A plain encoding of a picture of any size that `check_size` allows. `quality` is libjpeg's, 1 to 100.
pub fn encode(picture: &Picture, quality: u8) -> Result<Bytes> {
    let all: Vec<usize> = (0..Grid::new(picture.width(), picture.height()).tiles()).collect();
    let head = head(picture, quality, 0)?;
    Ok(splice(None, &head, &encode_tiles(picture, quality, &all, 0)?)?.bytes)
}

/// What stands before the segments of every picture of this size and quality.
pub fn head(picture: &Picture, quality: u8, version: u64) -> Result<Arc<Head>> {
    let (width, height) = (picture.width(), picture.height());
    check_size(width, height)?;
    let grid = Grid::new(width, height);
    // The tables do not depend on the content: the smallest strip there is has them too.
    let strip = Tiles { picture, grid, tiles: &[0] }.encode(quality)?;
    let (mut header, read) = (strip.data, strip.header);
    header.truncate(read.scan);
    jpeg::resize(&mut header, &read, width, height);
    Ok(Head { form: Form::Tiles, since: version, header: header.into(), count: grid.tiles() }.into())
}

/// The segments of these tiles, which are in order.
pub fn encode_tiles(picture: &Picture, quality: u8, tiles: &[usize], version: u64) -> Result<Vec<Segment<Bytes>>> {
    let grid = Grid::new(picture.width(), picture.height());
    let strips = grid.strips(tiles, parts()).into_par_iter();
    let strips = strips.map(|tiles| Ok(Tiles { picture, grid, tiles }.encode(quality)?.cut(tiles, version)));
    let encoded: Vec<Vec<Segment<Bytes>>> = strips.collect::<Result<_>>()?;
    Ok(encoded.into_iter().flatten().collect())
}

/// Tiles of a picture as a strip, an image of which the encoder asks for the lines.
struct Tiles<'a> {
    picture: &'a Picture,
    grid: Grid,
    tiles: &'a [usize],
}

struct Encoded {
    data: Vec<u8>,
    header: jpeg::Header,
}

impl Encoded {
    /// The bytes between the markers.
    fn cut(self, tiles: &[usize], version: u64) -> Vec<Segment<Bytes>> {
        let data = Bytes::from(self.data);
        let mut start = self.header.scan;
        let mut segment = |(&tile, end): (&usize, usize)| {
            let bytes = data.slice(start..end);
            start = end + 2;
            (tile, version, bytes)
        };
        tiles.iter().zip(jpeg::markers(&data, self.header.scan)).map(|(tile, (end, _))| segment((tile, end))).collect()
    }
}

impl Tiles<'_> {
    fn encode(&self, quality: u8) -> Result<Encoded> {
        // About a byte in eight pixels is film at quality 80.
        let mut data = Vec::with_capacity(1024 + self.tiles.len() * MCUS * MCU * MCU / 6);
        let mut encoder = Encoder::new(&mut data, quality);
        encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
        encoder.set_restart_interval(MCUS as u16);
        encoder.encode_image(self).context("could not encode")?;
        let header = jpeg::parse(&data).context("the encoder wrote a JPEG that cannot be read")?;
        Ok(Encoded { data, header })
    }
}

impl ImageBuffer for &Tiles<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.grid.strip_size(self.tiles).0 as u16
    }

    fn height(&self) -> u16 {
        self.grid.strip_size(self.tiles).1 as u16
    }

    /// Appends line `y` of the strip in full resolution. The encoder then takes every second chroma sample of every
    /// second line, so chroma samples are doubled and odd lines of them only fill space.
    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let (row, line) = (usize::from(y) / MCU, usize::from(y) % MCU);
        let tiles = self.tiles.iter().skip(row * ABREAST).take(ABREAST);
        let [luma, cb, cr] = self.picture.planes();
        let (width, height) = (self.picture.width(), self.picture.height());
        let (chroma_width, chroma_height) = self.picture.chroma();
        for (x, top, count) in tiles.flat_map(|&tile| self.grid.runs(self.grid.mcus_of(tile))) {
            let at = (top + line).min(height - 1);
            extend_clamped(&mut buffers[0], &luma[at * width..][..width], x, count * MCU);
            let at = ((top + line) / 2).min(chroma_height - 1);
            for (buffer, plane) in buffers[1..3].iter_mut().zip([cb, cr]) {
                if line % 2 == 0 {
                    let samples = &plane[at * chroma_width..][..chroma_width];
                    extend_doubled(buffer, samples, x / 2, count * MCU / 2);
                } else {
                    buffer.resize(buffer.len() + count * MCU, 0);
                }
            }
        }
    }
}

/// Appends `count` samples from `x` on, the last one repeated beyond the edge as JPEG encoders pad.
pub(super) fn extend_clamped(out: &mut Vec<u8>, row: &[u8], x: usize, count: usize) {
    let inside = count.min(row.len() - x);
    out.extend_from_slice(&row[x..x + inside]);
    out.resize(out.len() + count - inside, row[row.len() - 1]);
}

fn extend_doubled(out: &mut Vec<u8>, row: &[u8], x: usize, count: usize) {
    let inside = count.min(row.len() - x);
    let start = out.len();
    out.resize(start + 2 * count, row[row.len() - 1]);
    for (pair, &sample) in out[start..].chunks_exact_mut(2).zip(&row[x..x + inside]) {
        pair.fill(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::noise;

    /// The whole picture as the crate sees it, without tiles.
    struct Plain<'a>(&'a Picture);

    impl ImageBuffer for Plain<'_> {
        fn get_jpeg_color_type(&self) -> JpegColorType {
            JpegColorType::Ycbcr
        }
        fn width(&self) -> u16 {
            self.0.width() as u16
        }
        fn height(&self) -> u16 {
            self.0.height() as u16
        }
        fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
            let (w, cw) = (self.0.width(), self.0.chroma().0);
            let [luma, cb, cr] = self.0.planes();
            let y = usize::from(y);
            buffers[0].extend_from_slice(&luma[y * w..][..w]);
            for x in 0..w {
                buffers[1].push(cb[y / 2 * cw + x / 2]);
                buffers[2].push(cr[y / 2 * cw + x / 2]);
            }
        }
    }

    #[test]
    fn strips_join_to_the_bytes_of_a_plain_encoding() {
        for (w, h) in [(16, 16), (17, 31), (130, 70), (128, 128), (333, 211), (640, 360), (1921, 1081)] {
            let picture = noise(w, h, 7);
            let mut plain = Vec::new();
            let mut encoder = Encoder::new(&mut plain, 80);
            encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
            encoder.set_restart_interval(8);
            encoder.encode_image(Plain(&picture)).unwrap();
            assert!(encode(&picture, 80).unwrap() == plain, "{w}x{h}");
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        assert!(encode(&Picture::new(15, 16), 80).is_err());
        assert!(encode(&Picture::new(16, 4321), 80).is_err());
    }
}
