//! Pictures to JPEG: strips of stacked tiles are encoded on all cores and joined. The bytes equal those of one plain
//! encoding of the whole picture with the same restart interval.

use anyhow::{Context, Result};
use bytes::Bytes;
use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};
use rayon::prelude::*;

use crate::codec::jpeg::{self, EOI, RST0};
use crate::codec::tiles::{Grid, MCU, MCUS, STRIP_WIDTH, parts};
use crate::picture::{Picture, check_size};

/// Encodes a picture of any size that `check_size` allows. `quality` is libjpeg's, 1 to 100.
pub fn encode(picture: &Picture, quality: u8) -> Result<Bytes> {
    check_size(picture.width(), picture.height())?;
    let grid = Grid::new(picture.width(), picture.height());
    let mut strips: Vec<Strip> = grid
        .strips(parts())
        .into_iter()
        .map(|tiles| Strip { picture, grid, first: tiles.start * MCUS, columns: MCUS, rows: tiles.len() })
        .collect();
    let rest = grid.mcus() % MCUS;
    if rest > 0 {
        strips.push(Strip { picture, grid, first: grid.mcus() - rest, columns: rest, rows: 1 });
    }
    let encoded: Vec<Vec<u8>> = strips.par_iter().map(|s| s.encode(quality)).collect::<Result<_>>()?;
    join(picture, &encoded, &strips)
}

/// One JPEG of the strips' scans, under the first one's header with the picture's size in it.
fn join(picture: &Picture, encoded: &[Vec<u8>], strips: &[Strip]) -> Result<Bytes> {
    let mut out = Vec::with_capacity(encoded.iter().map(Vec::len).sum());
    for (data, strip) in encoded.iter().zip(strips) {
        let header = jpeg::parse(data).context("the encoder wrote a JPEG that cannot be read")?;
        if out.is_empty() {
            out.extend_from_slice(&data[..header.scan]);
            out[header.size_at..header.size_at + 2].copy_from_slice(&(picture.height() as u16).to_be_bytes());
            out[header.size_at + 2..header.size_at + 4].copy_from_slice(&(picture.width() as u16).to_be_bytes());
        } else {
            let before = strip.first / MCUS - 1;
            out.extend_from_slice(&[0xFF, RST0 + (before % 8) as u8]);
        }
        out.extend_from_slice(&data[header.scan..data.len() - 2]);
    }
    out.extend_from_slice(&[0xFF, EOI]);
    Ok(out.into())
}

/// Consecutive MCUs of a picture as an image `columns` MCUs wide; the encoder asks for its rows.
struct Strip<'a> {
    picture: &'a Picture,
    grid: Grid,
    first: usize,
    columns: usize,
    rows: usize,
}

impl Strip<'_> {
    fn encode(&self, quality: u8) -> Result<Vec<u8>> {
        // About a byte in eight pixels is film at quality 80.
        let mut out = Vec::with_capacity(1024 + self.rows * STRIP_WIDTH * MCU / 6);
        let mut encoder = Encoder::new(&mut out, quality);
        encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
        encoder.set_restart_interval(MCUS as u16);
        encoder.encode_image(self).context("could not encode")?;
        Ok(out)
    }

    /// Runs of pixels of one strip row: position in the picture and the number of MCUs that are neighbours there too.
    fn runs(&self, row: usize) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let mut mcu = self.first + row * MCUS;
        let end = mcu + self.columns;
        std::iter::from_fn(move || {
            (mcu < end).then(|| {
                let (x, y) = self.grid.position(mcu);
                let count = (end - mcu).min(self.grid.columns - mcu % self.grid.columns);
                mcu += count;
                (x, y, count)
            })
        })
    }
}

impl ImageBuffer for &Strip<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        (self.columns * MCU) as u16
    }

    fn height(&self) -> u16 {
        (self.rows * MCU) as u16
    }

    /// Appends row `y` of the strip in full resolution. The encoder then takes every second chroma sample of every
    /// second row, so chroma samples are doubled and odd rows of them only fill space.
    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let (row, line) = (usize::from(y) / MCU, usize::from(y) % MCU);
        let [luma, cb, cr] = self.picture.planes();
        let (width, height) = (self.picture.width(), self.picture.height());
        let (chroma_width, chroma_height) = self.picture.chroma();
        for (x, top, count) in self.runs(row) {
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
fn extend_clamped(out: &mut Vec<u8>, row: &[u8], x: usize, count: usize) {
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
