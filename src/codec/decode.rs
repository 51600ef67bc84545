//! JPEG to pictures: what vstream wrote is cut at its restart markers and decoded in strips on all cores; any other
//! JPEG is decoded whole. Both give the same pixels.

use anyhow::{Context, Result, anyhow, ensure};
use rayon::prelude::*;
use zune_core::bytestream::ZCursor;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::codec::jpeg::{self, EOI, Header, RST0};
use crate::codec::tiles::{Grid, MCU, MCUS, STRIP_TILES, STRIP_WIDTH, parts};
use crate::guard::guarded;
use crate::picture::Picture;

/// Decodes any JPEG that zune-jpeg reads: baseline or progressive, grey, 4:4:4, 4:2:2, 4:2:0, brought to 4:2:0.
pub fn decode(data: &[u8]) -> Result<Picture> {
    let header = jpeg::parse(data)?;
    if let Some(picture) = segments(data, &header).and_then(|s| decode_strips(data, &header, &s).ok()) {
        return Ok(picture);
    }
    decode_whole(data, &header)
}

/// The end of each segment of the scan (where its restart marker or EOI begins), if there are just as many as there
/// are tiles and their markers count up.
fn segments(data: &[u8], header: &Header) -> Option<Vec<usize>> {
    if !header.is_planar_420() || header.restart != MCUS || !header.has_huffman {
        return None;
    }
    let tiles = Grid::new(header.width, header.height).tiles();
    let mut ends = Vec::with_capacity(tiles);
    for at in memchr::memchr_iter(0xFF, &data[header.scan..]) {
        let at = header.scan + at;
        match *data.get(at + 1)? {
            0 => {}
            EOI => {
                ends.push(at);
                return (ends.len() == tiles).then_some(ends);
            }
            marker if marker == RST0 + (ends.len() % 8) as u8 && ends.len() + 1 < tiles => ends.push(at),
            _ => return None,
        }
    }
    None
}

fn decode_strips(data: &[u8], header: &Header, ends: &[usize]) -> Result<Picture> {
    let grid = Grid::new(header.width, header.height);
    let start = |tile: usize| if tile == 0 { header.scan } else { ends[tile - 1] + 2 };
    let mut jobs: Vec<(usize, usize, usize)> =
        grid.strips(parts()).into_iter().map(|s| (s.start, s.len(), MCUS)).collect();
    if !grid.mcus().is_multiple_of(MCUS) {
        jobs.push((grid.whole_tiles(), 1, grid.mcus() % MCUS));
    }
    let strips: Vec<[Vec<u8>; 3]> = jobs
        .par_iter()
        .map(|&(first, rows, columns)| {
            let scan = &data[start(first)..ends[first + rows - 1]];
            let jpeg = under_header(data, header, columns * MCU, rows * MCU, scan);
            let mut planes = decode_planes(&jpeg)?.into_iter().map(|p| p.samples);
            Ok(std::array::from_fn(|_| planes.next().unwrap_or_default()))
        })
        .collect::<Result<_>>()?;
    let per_strip = jobs[0].1;
    Ok(unstack(header, grid, &strips, per_strip))
}

/// A JPEG of `scan` with the frame's tables and another size.
fn under_header(data: &[u8], header: &Header, width: usize, height: usize, scan: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.scan + scan.len() + 2);
    out.extend_from_slice(&data[..header.scan]);
    out[header.size_at..header.size_at + 2].copy_from_slice(&(height as u16).to_be_bytes());
    out[header.size_at + 2..header.size_at + 4].copy_from_slice(&(width as u16).to_be_bytes());
    out.extend_from_slice(scan);
    out.extend_from_slice(&[0xFF, EOI]);
    out
}

/// Copies the strips' MCUs to their places, a row of MCUs at a time on each core.
fn unstack(header: &Header, grid: Grid, strips: &[[Vec<u8>; 3]], tiles_per_strip: usize) -> Picture {
    let mut picture = Picture::new(header.width, header.height);
    let (width, chroma_width) = (header.width, picture.chroma().0);
    let [luma, cb, cr] = picture.planes_mut();
    let rows = (luma.par_chunks_mut(MCU * width))
        .zip(cb.par_chunks_mut(MCU / 2 * chroma_width))
        .zip(cr.par_chunks_mut(MCU / 2 * chroma_width));
    rows.enumerate().for_each(|(row, ((luma, cb), cr))| {
        let mut mcu = row * grid.columns;
        let end = mcu + grid.columns;
        while mcu < end {
            let (tile, within) = (mcu / MCUS, mcu % MCUS);
            let count = (MCUS - within).min(end - mcu);
            let x = mcu % grid.columns * MCU;
            let whole = tile < grid.whole_tiles();
            let (strip, line) = if whole {
                (&strips[tile / tiles_per_strip], tile % tiles_per_strip)
            } else {
                (&strips[strips.len() - 1], 0)
            };
            let stride = if whole { STRIP_WIDTH } else { grid.mcus() % MCUS * MCU };
            copy(&strip[0], stride, line * MCU, within * MCU, luma, width, x, count * MCU);
            for (from, to) in [(&strip[1], &mut *cb), (&strip[2], &mut *cr)] {
                let side = MCU / 2;
                copy(from, stride / 2, line * side, within * side, to, chroma_width, x / 2, count * side);
            }
            mcu += count;
        }
    });
    picture
}

/// Copies a block of `count` columns from `(from_x, from_y)` to the column `x` of a row of MCUs, cut at its edges.
#[expect(clippy::too_many_arguments, reason = "two rectangles in two buffers")]
fn copy(from: &[u8], stride: usize, from_y: usize, from_x: usize, to: &mut [u8], width: usize, x: usize, count: usize) {
    let count = count.min(width - x);
    for (to, from) in to.chunks_exact_mut(width).zip(from[from_y * stride..].chunks_exact(stride)) {
        to[x..x + count].copy_from_slice(&from[from_x..from_x + count]);
    }
}

/// One component at its own resolution: rows of `width` samples.
pub struct Plane<S = Vec<u8>> {
    pub width: usize,
    pub height: usize,
    pub samples: S,
}

/// Decodes to the components' own resolution. zune-jpeg has panicked on damaged files before (its issues 176, 184, 188,
/// 202, 257), so a panic is an error here.
fn decode_planes(data: &[u8]) -> Result<Vec<Plane>> {
    let limit = STRIP_TILES * MCU;
    let decoded = guarded(|| {
        let options = DecoderOptions::default().set_max_width(limit.max(65_535)).set_max_height(65_535);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(data), options);
        decoder.decode_headers().map_err(|e| anyhow!("{e:?}"))?;
        let mut raw = decoder.raw_output();
        let layout = raw.layout().context("no layout")?;
        let count = raw.num_components().context("no components")?;
        let strides: Vec<usize> = layout[..count].iter().map(|p| p.width).collect();
        let mut samples: Vec<Vec<u8>> = layout[..count].iter().map(|p| vec![0; p.width * p.height]).collect();
        let mut planes: Vec<&mut [u8]> = samples.iter_mut().map(Vec::as_mut_slice).collect();
        raw.decode_into_planes_strided(&mut planes, &strides).map_err(|e| anyhow!("{e:?}"))?;
        let sizes = layout[..count].iter().map(|p| (p.width, p.height));
        Ok(sizes.zip(samples).map(|((width, height), samples)| Plane { width, height, samples }).collect())
    });
    decoded.unwrap_or_else(|| Err(anyhow!("the decoder gave up on a damaged JPEG")))
}

fn decode_whole(data: &[u8], header: &Header) -> Result<Picture> {
    ensure!(header.precision == 8, "a JPEG of {} bits a sample: only 8 are supported", header.precision);
    ensure!(header.sampling.len() != 4, "a CMYK JPEG: only grey and YCbCr are supported");
    let completed = if header.has_huffman { data.into() } else { jpeg::complete(data)? };
    let mut planes = decode_planes(&completed)?.into_iter();
    let mut picture = Picture::new(header.width, header.height);
    let (width, height) = (header.width, header.height);
    let (chroma_width, chroma_height) = picture.chroma();
    for (i, to) in picture.planes_mut().into_iter().enumerate() {
        let Some(plane) = planes.next() else { break }; // grey: chroma stays neutral
        let (w, h) = if i == 0 { (width, height) } else { (chroma_width, chroma_height) };
        resample(&plane, to, w, h);
    }
    Ok(picture)
}

/// Averages a component down to the wanted resolution, or repeats its samples up to it.
pub fn resample<S: AsRef<[u8]>>(from: &Plane<S>, to: &mut [u8], width: usize, height: usize) {
    let samples = from.samples.as_ref();
    if (from.width, from.height) == (width, height) {
        to.copy_from_slice(samples);
        return;
    }
    for (y, row) in to.chunks_exact_mut(width).enumerate() {
        let ys = span(y, height, from.height);
        for (x, out) in row.iter_mut().enumerate() {
            let xs = span(x, width, from.width);
            let count = (xs.len() * ys.len()) as u32;
            let rows = ys.clone().map(|y| &samples[y * from.width..][xs.clone()]);
            let sum: u32 = rows.flatten().map(|&s| u32::from(s)).sum();
            *out = ((sum + count / 2) / count) as u8;
        }
    }
}

/// The source samples under sample `i` of `n`, at least one of the `of` there are.
fn span(i: usize, n: usize, of: usize) -> std::ops::Range<usize> {
    let start = (i * of / n).min(of - 1);
    start..((i + 1) * of).div_ceil(n).clamp(start + 1, of).min(start + of.div_ceil(n).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode::encode;
    use crate::codec::testing::{noise, smooth};

    #[test]
    fn strips_decode_to_the_bits_of_the_whole() {
        for (w, h) in [(16, 16), (17, 31), (130, 70), (128, 128), (333, 211), (640, 360), (1921, 1081)] {
            let jpeg = encode(&noise(w, h, 3), 80).unwrap();
            let header = jpeg::parse(&jpeg).unwrap();
            let ends = segments(&jpeg, &header).expect("vstream's own frames have segments");
            let strips = decode_strips(&jpeg, &header, &ends).unwrap();
            assert!(strips == decode_whole(&jpeg, &header).unwrap(), "{w}x{h}");
        }
    }

    #[test]
    fn a_smooth_picture_survives() {
        for (w, h) in [(16, 16), (101, 67), (7680, 4320)] {
            let picture = smooth(w, h);
            let psnr = picture.psnr(&decode(&encode(&picture, 90).unwrap()).unwrap());
            assert!(psnr.iter().all(|&db| db > 38.0), "{w}x{h}: {psnr:?}");
        }
    }

    #[test]
    fn damage_costs_tiles_or_is_an_error_but_never_a_panic() {
        let jpeg = encode(&noise(320, 240, 5), 80).unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..300 {
            let mut bad = jpeg.to_vec();
            for _ in 0..random.usize(1..20) {
                let at = random.usize(..bad.len());
                bad[at] ^= 1 << random.u8(..8);
            }
            bad.truncate(random.usize(bad.len() / 2..=bad.len()));
            let _ = decode(&bad);
        }
    }

    #[test]
    fn foreign_samplings_come_to_420() {
        use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
        let (w, h) = (50u16, 38u16);
        let pixels: Vec<u8> =
            (0..usize::from(w) * usize::from(h)).flat_map(|i| [(i % 50 * 4) as u8, 120, 150]).collect();
        for factor in
            [SamplingFactor::R_4_4_4, SamplingFactor::R_4_2_2, SamplingFactor::R_4_2_0, SamplingFactor::R_4_4_0]
        {
            for progressive in [false, true] {
                let mut data = Vec::new();
                let mut encoder = Encoder::new(&mut data, 90);
                encoder.set_sampling_factor(factor);
                encoder.set_progressive(progressive);
                encoder.encode(&pixels, w, h, ColorType::Ycbcr).unwrap();
                let picture = decode(&data).unwrap_or_else(|e| panic!("{factor:?} {progressive}: {e}"));
                assert!(picture.planes()[1].iter().all(|&s| s.abs_diff(120) < 6), "{factor:?}");
                assert!(picture.planes()[0][5 * 50 + 25].abs_diff(100) < 8);
            }
        }
        let mut grey = Vec::new();
        Encoder::new(&mut grey, 90).encode(&vec![77; 50 * 38], w, h, ColorType::Luma).unwrap();
        assert_eq!(decode(&grey).unwrap().planes()[1][0], 128);
    }
}
