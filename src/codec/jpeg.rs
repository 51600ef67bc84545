//! The headers of a JPEG (ITU-T T.81, annex B): what it says of itself, and what cameras leave out.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use crate::codec::tiles::{Grid, MCUS};
use crate::message::HEADER_MAX;
use crate::segments::{Coded, Form, Head, Segment};

pub const SOI: u8 = 0xD8;
pub const EOI: u8 = 0xD9;
pub const SOS: u8 = 0xDA;
pub const DHT: u8 = 0xC4;
pub const DRI: u8 = 0xDD;
pub const RST0: u8 = 0xD0;
/// APP14, by which Adobe's programs say whether colours are transformed to Y'CbCr.
const ADOBE: u8 = 0xEE;

/// Pixels of the largest JPEG that is looked into: about 8K with a margin. More would be a bomb, not a picture.
pub const PIXELS_MAX: usize = 64_000_000;

/// What the markers before the first scan say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub width: usize,
    pub height: usize,
    /// The marker of the frame header: 0xC0 is baseline, 0xC2 progressive.
    pub process: u8,
    pub precision: u8,
    /// Horizontal and vertical sampling factors of each component.
    pub sampling: Vec<(u8, u8)>,
    /// Red, green and blue instead of Y'CbCr.
    pub rgb: bool,
    /// MCUs between restart markers, 0 without.
    pub restart: usize,
    /// Where the frame header's height and width stand (four bytes).
    pub size_at: usize,
    /// Where the first SOS marker begins, and its entropy-coded data.
    pub sos: usize,
    pub scan: usize,
    pub has_huffman: bool,
}

impl Header {
    /// Baseline 4:2:0 in three components, as vstream writes it.
    pub fn is_planar_420(&self) -> bool {
        self.process == 0xC0 && self.precision == 8 && !self.rgb && self.sampling == [(2, 2), (1, 1), (1, 1)]
    }
}

/// A marker segment: its code and the range of its parameters.
struct MarkerSegment {
    marker: u8,
    body: Range<usize>,
}

/// The marker segment at `at`, fill bytes skipped.
fn segment(data: &[u8], mut at: usize) -> Result<MarkerSegment> {
    ensure!(data.get(at) == Some(&0xFF), "no marker at byte {at}");
    while data.get(at) == Some(&0xFF) {
        at += 1;
    }
    let marker = *data.get(at).context("cut off in the headers")?;
    let length = data.get(at + 1..at + 3).context("cut off in the headers")?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    ensure!(length >= 2, "marker {marker:02X} at byte {at} has no length");
    let body = at + 3..at + 1 + length;
    ensure!(body.end <= data.len(), "cut off in the headers");
    Ok(MarkerSegment { marker, body })
}

/// Reads the headers up to the first scan.
pub fn parse(data: &[u8]) -> Result<Header> {
    ensure!(data.starts_with(&[0xFF, SOI]), "not a JPEG: it does not begin with FFD8");
    let mut header = Header {
        width: 0,
        height: 0,
        process: 0,
        precision: 0,
        sampling: Vec::new(),
        rgb: false,
        restart: 0,
        size_at: 0,
        sos: 0,
        scan: 0,
        has_huffman: false,
    };
    let (mut at, mut untransformed) = (2, false);
    loop {
        let MarkerSegment { marker, body } = segment(data, at)?;
        let bytes = &data[body.clone()];
        match marker {
            DHT => header.has_huffman = true,
            ADOBE if bytes.starts_with(b"Adobe") => untransformed = bytes.get(11) == Some(&0),
            DRI => header.restart = usize::from(be16(bytes, 0)?),
            0xC0..=0xCF if marker != 0xC8 && marker != 0xCC => frame_header(&mut header, marker, bytes, body.start)?,
            SOS => {
                ensure!(!header.sampling.is_empty(), "a scan comes before the frame header");
                (header.sos, header.scan) = (body.start - 4, body.end);
                header.rgb |= untransformed && header.sampling.len() == 3;
                return Ok(header);
            }
            0x01 | 0xD0..=0xD9 => bail!("marker {marker:02X} among the headers"),
            _ => {}
        }
        at = body.end;
    }
}

fn frame_header(header: &mut Header, marker: u8, bytes: &[u8], at: usize) -> Result<()> {
    ensure!(header.sampling.is_empty(), "two frame headers");
    let [precision, _, _, _, _, count, components @ ..] = bytes else { bail!("the frame header is too short") };
    let (height, width) = (usize::from(be16(bytes, 1)?), usize::from(be16(bytes, 3)?));
    ensure!(width > 0 && height > 0, "a picture of {width}x{height}");
    ensure!(width * height <= PIXELS_MAX, "a picture of {width}x{height} is over the limit of 64 megapixels");
    ensure!((1..=4).contains(count) && components.len() == usize::from(*count) * 3, "{count} components");
    header.rgb = components.chunks_exact(3).map(|c| c[0]).eq(*b"RGB");
    header.sampling = components.chunks_exact(3).map(|c| (c[1] >> 4, c[1] & 15)).collect();
    ensure!(
        header.sampling.iter().all(|&(h, v)| (1..=4).contains(&h) && (1..=4).contains(&v)),
        "sampling factors out of range"
    );
    (header.width, header.height, header.process, header.precision) = (width, height, marker, *precision);
    header.size_at = at + 1;
    Ok(())
}

/// Writes another size into a header.
pub fn resize(data: &mut [u8], header: &Header, width: usize, height: usize) {
    let at = header.size_at;
    data[at..at + 2].copy_from_slice(&(height as u16).to_be_bytes());
    data[at + 2..at + 4].copy_from_slice(&(width as u16).to_be_bytes());
}

/// The markers within a scan: where each stands, and which it is.
pub fn markers(data: &[u8], scan: usize) -> impl Iterator<Item = (usize, u8)> + '_ {
    let at = memchr::memchr_iter(0xFF, &data[scan..]).map(move |at| scan + at);
    at.filter_map(|at| data.get(at + 1).filter(|&&marker| marker != 0).map(|&marker| (at, marker)))
}

/// A JPEG in the segments that it has: one for each tile where its restart markers are just those of the tiles, one in
/// all for any other JPEG. Errors: what is no JPEG.
pub fn segments(data: Bytes, version: u64) -> Result<Coded> {
    let header = parse(&data)?;
    Ok(match ends(&data, &header) {
        Some(ends) => Coded::new(Form::Tiles, data, header.scan, ends, version),
        None => Coded::whole(data, version),
    })
}

/// These segments of a picture as a JPEG of its own, of this width and height.
pub fn strip<B: AsRef<[u8]>>(head: &Head, header: &Header, size: (usize, usize), segments: &[Segment<B>]) -> Vec<u8> {
    let length: usize = segments.iter().map(|(_, _, bytes)| bytes.as_ref().len() + 2).sum();
    let mut out = Vec::with_capacity(head.header.len() + length);
    out.extend_from_slice(&head.header);
    resize(&mut out, header, size.0, size.1);
    for (nth, (_, _, bytes)) in segments.iter().enumerate() {
        out.extend_from_slice(bytes.as_ref());
        let last = nth + 1 == segments.len();
        out.extend_from_slice(&[0xFF, if last { EOI } else { RST0 + (nth % 8) as u8 }]);
    }
    out
}

fn ends(data: &[u8], header: &Header) -> Option<Vec<usize>> {
    let short = header.scan <= HEADER_MAX;
    if !short || !header.is_planar_420() || header.restart != MCUS || !header.has_huffman {
        return None;
    }
    let tiles = Grid::new(header.width, header.height).tiles();
    let mut ends = Vec::with_capacity(tiles);
    for (at, marker) in markers(data, header.scan) {
        ends.push(at);
        let last = ends.len() == tiles;
        let expected = if last { EOI } else { RST0 + ((ends.len() - 1) % 8) as u8 };
        if marker != expected {
            return None;
        }
        if last {
            return (at + 2 == data.len()).then_some(ends);
        }
    }
    None
}

fn be16(bytes: &[u8], at: usize) -> Result<u16> {
    let b = bytes.get(at..at + 2).context("a marker segment is too short")?;
    Ok(u16::from_be_bytes([b[0], b[1]]))
}

/// Makes a camera's MJPG a complete JPEG: padding after the end cut, the standard Huffman tables added where the
/// camera leaves them out (as AVI's MJPG and most UVC cameras do). Borrowed bytes come back when nothing was wrong.
///
/// Errors name what makes the buffer no picture: no start, no end, damaged headers.
pub fn complete(data: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>> {
    let header = parse(data)?;
    let data = &data[..end(data, header.scan).context("cut off: no end marker")?];
    if header.has_huffman || header.process != 0xC0 {
        return Ok(data.into());
    }
    let mut whole = Vec::with_capacity(data.len() + 420);
    whole.extend_from_slice(&data[..header.sos]);
    whole.extend_from_slice(&standard_huffman_tables());
    whole.extend_from_slice(&data[header.sos..]);
    Ok(whole.into())
}

/// Where the image whose first scan begins at `scan` ends. What follows may hold an end marker too: cameras fill buffers
/// anew without clearing them, and some report them as full.
fn end(data: &[u8], scan: usize) -> Option<usize> {
    let mut at = scan;
    while let Some(found) = memchr::memchr(0xFF, &data[at..]) {
        at += found;
        at = match *data.get(at + 1)? {
            EOI => return Some(at + 2),
            0xFF => at + 1,                      // fill
            0x00 | 0x01 | RST0..=0xD7 => at + 2, // a sample, or a marker without parameters
            _ => match segment(data, at) {
                Ok(segment) => segment.body.end, // between two scans
                Err(_) => at + 2,                // damage, which a decoder may survive
            },
        };
    }
    None
}

/// The typical tables of T.81 annex K.3 as four DHT segments, taken from an encoding that uses them.
fn standard_huffman_tables() -> Vec<u8> {
    let mut tiny = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut tiny, 50);
    encoder.encode(&[0; 3], 1, 1, jpeg_encoder::ColorType::Ycbcr).expect("a pixel of three bytes is encodable");
    let mut tables = Vec::new();
    let mut at = 2;
    while let Ok(MarkerSegment { marker, body }) = segment(&tiny, at) {
        if marker == DHT {
            tables.extend_from_slice(&tiny[body.start - 4..body.end]);
        }
        if marker == SOS {
            break;
        }
        at = body.end;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(width: u16, height: u16) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut out, 80);
        encoder.set_restart_interval(8);
        let pixels = vec![90; usize::from(width) * usize::from(height) * 3];
        encoder.encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
        out
    }

    #[test]
    fn headers_are_read() {
        let data = sample(200, 100);
        let h = parse(&data).unwrap();
        assert_eq!((h.width, h.height, h.restart, h.has_huffman), (200, 100, 8, true));
        assert!(h.is_planar_420());
        assert_eq!(data[h.sos..h.sos + 2], [0xFF, SOS]);
        assert_eq!(data[h.size_at..h.size_at + 4], [0, 100, 0, 200]);
    }

    #[test]
    fn every_cut_is_an_error_not_a_panic() {
        let data = sample(64, 64);
        let scan = parse(&data).unwrap().scan;
        for end in 0..scan {
            assert!(parse(&data[..end]).is_err(), "cut at {end}");
        }
        assert!(complete(&data[..data.len() - 2]).is_err());
    }

    #[test]
    fn left_out_tables_are_added_and_padding_is_cut() {
        let data = sample(64, 64);
        let mut bare = Vec::from(&data[..2]);
        let mut at = 2;
        loop {
            let s = segment(&data, at).unwrap();
            if s.marker != DHT {
                bare.extend_from_slice(&data[at..s.body.end]);
            }
            at = s.body.end;
            if s.marker == SOS {
                break;
            }
        }
        bare.extend_from_slice(&data[at..]);
        assert!(!parse(&bare).unwrap().has_huffman);
        bare.extend_from_slice(&[0; 1000]);
        let whole = complete(&bare).unwrap();
        let decoded = crate::codec::decode::decode(&whole.clone().into_owned().into()).unwrap();
        assert_eq!(decoded, crate::codec::decode::decode(&data.into()).unwrap());
        assert_eq!(&whole[whole.len() - 2..], [0xFF, EOI]);
    }

    #[test]
    fn an_older_picture_behind_the_end_is_cut() {
        let data = sample(64, 64);
        for rest in [&data[..], &data[data.len() / 2..], &[0xFF], &[0xFF, 0xFF, EOI]] {
            assert_eq!(complete(&[&data, rest].concat()).unwrap(), &data[..]);
        }
        let mut damaged = data.clone();
        let scan = parse(&data).unwrap().scan;
        damaged[scan..scan + 4].copy_from_slice(&[0xFF, 0x77, 0xFF, 0xFF]);
        assert_eq!(complete(&damaged).unwrap(), &damaged[..]);
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut data = sample(64, 64);
        let at = parse(&data).unwrap().size_at;
        data[at..at + 4].fill(0xFF);
        assert!(parse(&data).unwrap_err().to_string().contains("64 megapixels"));
    }
}
