//! Pictures without loss: each tile's samples packed by lz4. For screens and figures, where JPEG smears letters and a
//! picture mostly rests.
//!
//! The header is `VSL4`, width and height (two bytes each, little endian); a segment is one block of lz4 that unpacks to
//! the luma samples of a tile, row by row, then Cb, then Cr. Samples beyond the picture's edge repeat the last one.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::codec::tiles::{Grid, MCU, MCUS, Strip};
use crate::picture::{Picture, check_size};
use crate::segments::{Coded, Form, Head, Segment};

const MAGIC: &[u8; 4] = b"VSL4";
/// Samples of an MCU: luma, and a quarter of that twice.
const SAMPLES: usize = MCU * MCU * 3 / 2;

pub fn head(picture: &Picture, version: u64) -> Result<Arc<Head>> {
    let (width, height) = (picture.width(), picture.height());
    check_size(width, height)?;
    let sides = [(width as u16).to_le_bytes(), (height as u16).to_le_bytes()].concat();
    let header = [&MAGIC[..], &sides].concat().into();
    Ok(Head { form: Form::Lz4, since: version, header, count: Grid::new(width, height).tiles() }.into())
}

/// Width and height that a header says.
pub fn size(header: &[u8]) -> Result<(usize, usize)> {
    let sides = header.strip_prefix(MAGIC).and_then(|rest| <[u8; 4]>::try_from(rest).ok());
    let [a, b, c, d] = sides.context("not the header of a picture without loss")?;
    let (width, height) = (u16::from_le_bytes([a, b]).into(), u16::from_le_bytes([c, d]).into());
    check_size(width, height)?;
    Ok((width, height))
}

/// The segments of these tiles.
pub fn pack(picture: &Picture, tiles: &[usize], version: u64) -> Vec<Segment<Bytes>> {
    let grid = Grid::new(picture.width(), picture.height());
    let pack = |&tile: &usize| (tile, version, lz4_flex::block::compress(&samples(picture, grid, tile)).into());
    tiles.iter().map(pack).collect()
}

fn samples(picture: &Picture, grid: Grid, tile: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(MCUS * SAMPLES);
    let (width, height) = (picture.width(), picture.height());
    let (chroma_width, chroma_height) = picture.chroma();
    let [luma, cb, cr] = picture.planes();
    let planes = [(luma, width, height, 1), (cb, chroma_width, chroma_height, 2), (cr, chroma_width, chroma_height, 2)];
    for (plane, width, height, shrunk) in planes {
        for line in 0..MCU / shrunk {
            for (x, y, count) in grid.runs(grid.mcus_of(tile)) {
                let row = &plane[(y / shrunk + line).min(height - 1) * width..][..width];
                extend_clamped(&mut out, row, x / shrunk, count * MCU / shrunk);
            }
        }
    }
    out
}

/// Appends `count` samples from `x` on, the last one repeated beyond the edge.
fn extend_clamped(out: &mut Vec<u8>, row: &[u8], x: usize, count: usize) {
    let inside = count.min(row.len() - x);
    out.extend_from_slice(&row[x..x + inside]);
    out.resize(out.len() + count - inside, row[row.len() - 1]);
}

/// The whole picture. Errors: damage.
pub fn picture(coded: &Coded) -> Result<Picture> {
    let (width, height) = size(&coded.head.header)?;
    let mut picture = Picture::new(width, height);
    let tiles: Vec<Strip> = (0..coded.head.count)
        .map(|tile| unpack(&coded.head.header, tile, coded.segment(tile)))
        .collect::<Result<_>>()?;
    Grid::new(width, height).unstack(&tiles, &mut picture);
    Ok(picture)
}

/// The tile of a segment. Errors: what does not unpack to just as many samples as it has.
pub fn unpack(header: &[u8], tile: usize, segment: &[u8]) -> Result<Strip> {
    let (width, height) = size(header)?;
    let mcus = Grid::new(width, height).mcus_of(tile).len();
    let mut samples = vec![0; mcus * SAMPLES];
    let length = lz4_flex::block::decompress_into(segment, &mut samples).context("a damaged tile")?;
    ensure!(length == samples.len(), "a tile of {length} samples");
    let cr = samples.split_off(mcus * (SAMPLES - MCU * MCU / 4));
    let cb = samples.split_off(mcus * MCU * MCU);
    Ok(Strip { tiles: vec![tile], width: mcus * MCU, planes: [samples, cb, cr] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::codec::decode::Decoder;
    use crate::codec::testing::noise;
    use crate::frame::Frame;
    use crate::segments::splice;

    fn coded(picture: &Picture) -> Coded {
        let head = head(picture, 0).unwrap();
        let all: Vec<usize> = (0..head.count).collect();
        splice(None, &head, &pack(picture, &all, 0)).unwrap()
    }

    fn decode(coded: Coded) -> (Arc<Picture>, usize) {
        let frame = Frame { epoch: 0, seq: 0, captured: Time::default(), error: Default::default(), coded };
        let decoded = Decoder::default().decode(&frame).unwrap();
        (decoded.picture, decoded.bad)
    }

    #[test]
    fn every_sample_comes_back() {
        for (w, h) in [(16, 16), (17, 31), (130, 70), (333, 211), (1921, 1081)] {
            let picture = noise(w, h, 3);
            assert!(decode(coded(&picture)) == (Arc::new(picture), 0), "{w}x{h}");
        }
    }

    #[test]
    fn damage_costs_its_tile_and_is_counted() {
        let whole = coded(&noise(320, 240, 1));
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..200 {
            let mut bytes = whole.segment(3).to_vec();
            let at = random.usize(..bytes.len());
            bytes[at] ^= 1 << random.u8(..8);
            bytes.truncate(random.usize(1..=bytes.len()));
            let damaged = splice(Some(&whole), &whole.head, &[(3, 1, bytes)]).unwrap();
            assert!(decode(damaged).1 <= 1);
        }
    }

    #[test]
    fn foreign_headers_are_refused() {
        for header in [&b""[..], b"VSL4", b"VSL4\xFF\xFF\xFF\xFF", b"VSL4\0\0\0\0", b"JPEGabcd", b"VSL4abcdefgh"] {
            assert!(size(header).is_err());
        }
    }
}
