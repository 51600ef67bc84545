//! Pictures to JPEG: tiles are coded on all cores (`blocks`) and set between the markers of a header that `jpeg-encoder`
//! writes. All tiles together are the very bytes of that crate's encoding of the whole picture.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use rayon::prelude::*;

use crate::codec::blocks::{self, Tables};
use crate::codec::jpeg;
use crate::codec::tiles::{Grid, MCU, MCUS, parts};
use crate::picture::{Picture, check_size};
use crate::segments::{Form, Head, Segment, splice};

/// A plain encoding of a picture of any size that `check_size` allows. `quality` is libjpeg's, 1 to 100.
pub fn encode(picture: &Picture, quality: u8) -> Result<Bytes> {
    let head = head(picture, quality, 0)?;
    Ok(splice(None, &head, &encode_all(picture, quality, 0))?.bytes)
}

/// All segments of a picture.
pub fn encode_all(picture: &Picture, quality: u8, version: u64) -> Vec<Segment<Bytes>> {
    let all: Vec<usize> = (0..Grid::new(picture.width(), picture.height()).tiles()).collect();
    let tables = Tables::new(quality);
    on_all_cores(&all, |tiles| encode_tiles(picture, &tables, tiles, version))
}

/// What stands before the segments of every picture of this size and quality.
pub fn head(picture: &Picture, quality: u8, version: u64) -> Result<Arc<Head>> {
    let (width, height) = (picture.width(), picture.height());
    check_size(width, height)?;
    let mut header = Vec::new();
    let mut encoder = Encoder::new(&mut header, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.set_restart_interval(MCUS as u16);
    // The tables do not depend on the content: the smallest picture has them too.
    encoder.encode(&[0; MCU * MCU * 3], MCU as u16, MCU as u16, ColorType::Ycbcr).context("could not encode")?;
    let read = jpeg::parse(&header).context("the encoder wrote a JPEG that cannot be read")?;
    header.truncate(read.scan);
    jpeg::resize(&mut header, &read, width, height);
    let count = Grid::new(width, height).tiles();
    Ok(Head { form: Form::Tiles, since: version, header: header.into(), count }.into())
}

/// The segments of these tiles, coded by one core into one piece of memory, which they share.
pub fn encode_tiles(picture: &Picture, tables: &Tables, tiles: &[usize], version: u64) -> Vec<Segment<Bytes>> {
    let grid = Grid::new(picture.width(), picture.height());
    // About a byte in eight pixels is film at quality 80.
    let mut data = Vec::with_capacity(tiles.len() * MCUS * MCU * MCU / 6);
    let ends = tiles.iter().map(|&tile| {
        blocks::tile(picture, tables, grid.mcus_of(tile).map(|mcu| grid.position(mcu)), &mut data);
        data.len()
    });
    let ends: Vec<usize> = ends.collect();
    let mut data = Bytes::from(data);
    let mut start = 0;
    let mut cut = |end: usize| data.split_to(end - std::mem::replace(&mut start, end));
    tiles.iter().zip(ends).map(|(&tile, end)| (tile, version, cut(end))).collect()
}

/// Shares tiles, which are in order, out to all cores; what these make of them is in the same order.
pub fn on_all_cores<T: Send>(tiles: &[usize], make: impl Fn(&[usize]) -> Vec<T> + Sync) -> Vec<T> {
    let each = tiles.len().div_ceil(parts()).clamp(LEAST, MOST);
    tiles.par_chunks(each).map(&make).collect::<Vec<_>>().into_iter().flatten().collect()
}

/// Tiles that one core codes at a time: enough to be worth waking it, few enough that none ends much later than the others.
const LEAST: usize = 8;
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::noise;
    use jpeg_encoder::{ImageBuffer, JpegColorType};

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

    fn plain(picture: &Picture, quality: u8) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut encoder = Encoder::new(&mut plain, quality);
        encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
        encoder.set_restart_interval(8);
        encoder.encode_image(Plain(picture)).unwrap();
        plain
    }

    #[test]
    fn tiles_join_to_the_bytes_of_a_plain_encoding() {
        for (w, h) in [(16, 16), (17, 31), (130, 70), (128, 128), (333, 211), (640, 360), (1921, 1081)] {
            let picture = noise(w, h, 7);
            assert!(encode(&picture, 80).unwrap() == plain(&picture, 80), "{w}x{h}");
        }
    }

    #[test]
    fn every_quality_and_every_extreme_is_coded_as_the_crate_does() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut made = |sample: &mut dyn FnMut(&mut fastrand::Rng, usize, usize) -> u8| {
            let mut picture = Picture::new(136, 56);
            let width = [136, 68, 68];
            for (plane, width) in picture.planes_mut().into_iter().zip(width) {
                plane.iter_mut().enumerate().for_each(|(i, s)| *s = sample(&mut random, i % width, i / width));
            }
            picture
        };
        let mut pictures = vec![made(&mut |random, _, _| random.u8(..)), made(&mut |_, x, y| (x * 2 + y) as u8)];
        for period in 1..9 {
            let checks = |_: &mut fastrand::Rng, x: usize, y: usize| ((x / period + y / period) % 2 * 255) as u8;
            pictures.push(made(&mut { checks }));
            pictures.push(made(&mut |_, x, _| (x / period % 2 * 255) as u8));
            pictures.push(made(&mut |random, _, _| 255 * u8::from(random.usize(..period * 8) == 0)));
        }
        for quality in [1, 2, 10, 25, 49, 50, 51, 75, 80, 90, 95, 99, 100] {
            for (nth, picture) in pictures.iter().enumerate() {
                assert!(encode(picture, quality).unwrap() == plain(picture, quality), "{nth} at {quality}");
            }
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        assert!(encode(&Picture::new(15, 16), 80).is_err());
        assert!(encode(&Picture::new(16, 4321), 80).is_err());
    }
}
