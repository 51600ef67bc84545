//! JPEG to pictures. Of a frame in segments only those are decoded that are new, in strips on all cores, into the
//! picture that stands; any other JPEG is decoded whole. Both give the same pixels.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use rayon::prelude::*;
use zune_core::bytestream::ZCursor;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::codec::tiles::{ALONE, Grid, Strip, parts};
use crate::codec::{jpeg, lossless, size};
use crate::draft::Draft;
use crate::frame::Frame;
use crate::guard::guarded;
use crate::had::Had;
use crate::picture::Picture;
use crate::segments::{Form, Head, Segment};

/// Decodes any JPEG that zune-jpeg reads: baseline or progressive, grey, 4:4:4, 4:2:2, 4:2:0, brought to 4:2:0.
pub fn decode(data: &Bytes) -> Result<Picture> {
    let coded = jpeg::segments(data.clone(), 0)?;
    if coded.head.form == Form::Tiles {
        let all: Vec<_> = (0..coded.head.count).map(|i| (i, 0, coded.segment(i))).collect();
        let mut picture = Arc::new(empty(&coded.head)?);
        if tiles(&coded.head, &all, &mut picture).is_ok_and(|bad| bad == 0) {
            return Ok(Arc::unwrap_or_clone(picture));
        }
    }
    whole(data)
}

/// Follows one stream: keeps the picture that stands, and knows what was decoded into it.
#[derive(Default)]
pub struct Decoder {
    standing: Option<(Had, Arc<Picture>)>,
    /// Damaged segments of the frame in the making.
    bad: usize,
}

pub struct Decoded {
    pub picture: Arc<Picture>,
    /// Segments that could not be decoded: their tiles are older than the frame.
    pub bad: usize,
}

impl Decoder {
    /// The picture of a frame. Errors: what is no picture; the next frame then begins anew.
    pub fn decode(&mut self, frame: &Frame) -> Result<Decoded> {
        let coded = &frame.coded;
        if coded.head.form == Form::Whole {
            self.standing = None;
            return Ok(Decoded { picture: whole(&coded.bytes)?.into(), bad: 0 });
        }
        let (mut had, mut picture) = self.standing(frame.epoch, &coded.head)?;
        let lacking = coded.at(&had.take_all(coded));
        let bad = std::mem::take(&mut self.bad) + tiles(&coded.head, &lacking, &mut picture)?;
        self.standing = Some((had, picture.clone()));
        Ok(Decoded { picture, bad })
    }

    /// Decodes segments of a frame that is still in the making, so that less is left to do at its end. Errors as above.
    pub fn begin(&mut self, draft: &Draft, segments: Vec<Segment<Bytes>>) -> Result<()> {
        let (mut had, mut picture) = self.standing(draft.epoch, &draft.head)?;
        let news = had.take(segments);
        self.bad += tiles(&draft.head, &news, &mut picture)?;
        self.standing = Some((had, picture));
        Ok(())
    }

    /// Takes what stands out, or an empty picture.
    fn standing(&mut self, epoch: u64, head: &Arc<Head>) -> Result<(Had, Arc<Picture>)> {
        match self.standing.take().filter(|(had, _)| had.fits(epoch, head)) {
            Some(standing) => Ok(standing),
            None => Ok((Had::nothing(epoch, head.clone()), empty(head)?.into())),
        }
    }
}

fn empty(head: &Head) -> Result<Picture> {
    let (width, height) = size(head, &[])?;
    Ok(Picture::new(width, height))
}

/// Decodes tiles into the picture, a copy of it where somebody else looks at it. How many of them are damaged: they are
/// left as they were.
fn tiles<B: AsRef<[u8]> + Sync>(head: &Head, segments: &[Segment<B>], picture: &mut Arc<Picture>) -> Result<usize> {
    if segments.is_empty() {
        return Ok(0);
    }
    let grid = Grid::new(picture.width(), picture.height());
    let unpack = |(tile, _, bytes): &Segment<B>| lossless::unpack(&head.header, *tile, bytes.as_ref()).ok();
    let strips: Vec<Strip> = match head.form {
        Form::Lz4 => segments.par_iter().filter_map(unpack).collect(),
        Form::Tiles => strips(head, grid, segments)?,
        Form::Whole => bail!("a picture without tiles"),
    };
    let done: usize = strips.iter().map(|strip| strip.tiles.len()).sum();
    grid.unstack(&strips, Arc::make_mut(picture));
    Ok(segments.len() - done)
}

/// Decodes segments in strips; where one is damaged, each of its strip by itself.
fn strips<B: AsRef<[u8]> + Sync>(head: &Head, grid: Grid, segments: &[Segment<B>]) -> Result<Vec<Strip>> {
    let header = jpeg::parse(&head.header)?;
    ensure!(header.is_planar_420(), "tiles that are not baseline 4:2:0");
    let decode = |segments: &[Segment<B>]| {
        let tiles: Vec<usize> = segments.iter().map(|segment| segment.0).collect();
        let (width, height) = grid.strip_size(&tiles);
        let jpeg = jpeg::strip(head, &header, (width, height), segments);
        let planes = decode_planes(&jpeg, true)?.try_into().map_err(|_| anyhow!("tiles without three components"))?;
        let [y, cb, cr]: [Plane; 3] = planes;
        Ok(Strip { tiles, width, planes: [y.samples, cb.samples, cr.samples] })
    };
    let each = |strip: &[Segment<B>]| match decode(strip) {
        Ok(strip) => vec![strip],
        Err::<_, anyhow::Error>(_) => strip.chunks(1).filter_map(|tile| decode(tile).ok()).collect(),
    };
    if segments.len() <= ALONE {
        let cut = grid.strips(segments, |segment| segment.0, 1);
        return Ok(cut.into_iter().flat_map(each).collect());
    }
    let cut = grid.strips(segments, |segment| segment.0, parts());
    Ok(cut.into_par_iter().flat_map_iter(each).collect())
}

/// One component at its own resolution: rows of `width` samples.
pub struct Plane<S = Vec<u8>> {
    pub width: usize,
    pub height: usize,
    pub samples: S,
}

/// Decodes to the components' own resolution. Damage is an error when `strict`, else it costs as little of the picture as
/// can be. zune-jpeg has panicked on damaged files before (its issues 176, 184, 188, 202, 257), so a panic is an error here.
fn decode_planes(data: &[u8], strict: bool) -> Result<Vec<Plane>> {
    let decoded = guarded(|| {
        let options = DecoderOptions::default().set_max_width(65_535).set_max_height(65_535).set_strict_mode(strict);
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

fn whole(data: &[u8]) -> Result<Picture> {
    let header = jpeg::parse(data)?;
    ensure!(header.precision == 8, "a JPEG of {} bits a sample: only 8 are supported", header.precision);
    ensure!(!header.rgb, "an RGB JPEG: only grey and YCbCr are supported");
    ensure!(header.sampling.len() != 4, "a CMYK JPEG: only grey and YCbCr are supported");
    let completed = if header.has_huffman { data.into() } else { jpeg::complete(data)? };
    let mut planes = decode_planes(&completed, false)?.into_iter();
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
mod tests;
