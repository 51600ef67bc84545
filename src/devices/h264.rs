//! H.264 in MP4, QuickTime or Matroska files, decoded by rust_h264: for machines without ffmpeg. 8 bits and 4:2:0 (or
//! 4:2:2, brought to it); about 45 ms a 1080p frame on one core.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rust_h264::decoder::{ChromaFormat, Frame, OrderedDecoder};
use rust_h264::error::DecodeError;
use rust_h264::nal::{NalUnit, NalUnitType, SpsInfo, parse_avcc, parse_avcc_config, parse_sps_info};
use rust_h264::threading::ThreadedDecoder;

use crate::codec::color::{self, Colour, Matrix};
use crate::codec::decode::{Plane, resample};
use crate::codec::scale::scale;
use crate::devices::h264::store::{Opened, Store, read_exact_at};
use crate::devices::recording::{RATE_DEFAULT, Recording};
use crate::devices::trouble::Trouble;
use crate::fault::Fault;
use crate::frame::{About, Image};
use crate::guard::guarded;
use crate::picture::{Picture, check_size};

mod boxes;
mod mkv;
mod mp4;
mod store;

/// What a container says of its video.
pub struct Track {
    /// The `avcC` record: parameter sets, and how long the lengths in samples are.
    pub config: Vec<u8>,
    pub colour: Option<Colour>,
    /// Size in square pixels, zero where it is not said.
    pub shown: (usize, usize),
    pub rate: Option<f64>,
    pub length: Option<u64>,
}

/// The samples of a track in decoding order.
pub trait Samples: Send {
    /// Puts the next one into `out` and gives the time at which it is shown, after the first; `None` at the end.
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Duration>>;
}

pub struct Film {
    samples: Box<dyn Samples>,
    track: Track,
    lengths: usize,
    info: SpsInfo,
    decoder: Option<Decoder>,
    sample: Vec<u8>,
    ready: VecDeque<Frame>,
    /// Times of the frames that the decoder still holds; it gives frames in the order in which they are shown.
    times: BinaryHeap<Reverse<Duration>>,
    over: bool,
    given: u64,
    trouble: Trouble,
    name: String,
}

/// Frames that the decoder may hold: 16 to put in order, and those at work.
const HELD_MAX: usize = 64;
/// Samples in a row that give no frame, after which the file is taken for one that cannot be decoded.
const BARREN_MAX: usize = 500;

/// Opens an MP4, QuickTime or Matroska file.
pub fn open(path: &Path, trouble: Trouble) -> Result<Film> {
    let store = Arc::new(Opened::new(File::open(path)?)?);
    film(store, &path.display().to_string(), trouble)
}

/// The same, from anything that holds bytes.
pub fn film(store: Arc<dyn Store>, name: &str, trouble: Trouble) -> Result<Film> {
    let mut start = [0; 4];
    let _ = read_exact_at(&*store, &mut start, 0); // a shorter one is no Matroska file either
    let (track, samples) = if start == [0x1A, 0x45, 0xDF, 0xA3] { mkv::open(store)? } else { mp4::open(store)? };
    let config = parse_avcc_config(&track.config).map_err(|e| Fault::device(format!("a damaged H.264 header: {e}")))?;
    let sps = config.sps_nals.first().context("its H.264 header has no parameters")?;
    let info = check(sps)?;
    let lengths = config.length_size;
    let decoder = Some(Decoder::new(&info, level(sps), &track.config)?);
    let (ready, times, name) = (VecDeque::new(), BinaryHeap::new(), name.to_string());
    let sample = Vec::new();
    let (over, given) = (false, 0);
    Ok(Film { samples, track, lengths, info, decoder, sample, ready, times, over, given, trouble, name })
}

/// The parameters of a sequence, if it is one that can be decoded in bounded memory.
fn check(sps: &NalUnit) -> Result<SpsInfo> {
    let info = parse_sps_info(sps).map_err(|e| Fault::device(format!("a damaged H.264 header: {e}")))?;
    check_size(info.width as usize, info.height as usize)?;
    // What is coded may be larger than what is shown by less than a macroblock pair.
    let spare = |coded: u32, shown: u32| coded.checked_sub(shown).is_some_and(|d| d < 64);
    ensure!(
        spare(info.coded_width, info.width) && spare(info.coded_height, info.height) && info.reference_frames <= 16,
        Fault::device("a damaged H.264 header: its sizes contradict each other")
    );
    let deep = info.bit_depth_luma != 8 || info.bit_depth_chroma != 8;
    if deep || info.chroma_format > 2 {
        let what = if deep { format!("{} bits", info.bit_depth_luma) } else { "4:4:4".to_string() };
        return Err(Fault::device(format!("its video is H.264 of {what}")).hint("install ffmpeg").into());
    }
    Ok(info)
}

fn level(sps: &NalUnit) -> u8 {
    sps.rbsp.get(2).copied().unwrap_or(0)
}

/// How many frames a decoder must hold to put them in order: what the stream says, or the most its level allows
/// (H.264, table A-1: MaxDpbMbs).
fn depth(info: &SpsInfo, level: u8) -> usize {
    let most = match level {
        0..=10 => 396,
        11 => 900,
        12..=20 => 2376,
        21 => 4752,
        22..=30 => 8100,
        31 => 18_000,
        32 => 20_480,
        33..=41 => 32_768,
        42 => 34_816,
        43..=50 => 110_400,
        51..=52 => 184_320,
        _ => 696_320,
    };
    let blocks = (info.coded_width / 16 * (info.coded_height / 16)).max(1);
    // Baseline (66) has no B-frames, so nothing to put in order.
    let most = if info.profile == 66 { 1 } else { (most / blocks).clamp(1, 16) };
    info.max_reorder_frames.map_or(most, |n| n.min(16)).max(1) as usize
}

enum Decoder {
    One(Box<OrderedDecoder>),
    /// Faster by the number of cores, at a frame's memory each.
    Many(Box<ThreadedDecoder>),
}

impl Decoder {
    fn new(info: &SpsInfo, level: u8, config: &[u8]) -> Result<Decoder> {
        let depth = depth(info, level);
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let mut decoder = match cores {
            1 => Decoder::One(Box::new(OrderedDecoder::with_max_depth(depth))),
            cores => Decoder::Many(Box::new(ThreadedDecoder::with_max_depth(cores, depth))),
        };
        let config = parse_avcc_config(config).map_err(|e| Fault::device(format!("a damaged H.264 header: {e}")))?;
        for nal in config.sps_nals.iter().chain(&config.pps_nals) {
            decoder.decode(nal).map_err(|e| Fault::device(format!("a damaged H.264 header: {e}")))?;
        }
        Ok(decoder)
    }

    fn decode(&mut self, nal: &NalUnit) -> Result<Vec<Frame>, DecodeError> {
        let decoded = guarded(|| match self {
            Decoder::One(decoder) => decoder.decode_nal(nal),
            Decoder::Many(decoder) => decoder.decode_nal(nal),
        });
        decoded.unwrap_or(Err(DecodeError::InvalidSyntax(GAVE_UP)))
    }

    fn flush(&mut self) -> Vec<Frame> {
        let flushed = guarded(|| match self {
            Decoder::One(decoder) => decoder.flush(),
            Decoder::Many(decoder) => decoder.flush(),
        });
        flushed.unwrap_or_default()
    }
}

const GAVE_UP: &str = "the decoder gave up";

impl Film {
    /// Decodes samples until there is a frame; `None` at the end.
    fn frame(&mut self) -> Result<Option<Frame>> {
        for _ in 0..BARREN_MAX {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            if self.over {
                return Ok(None);
            }
            match self.samples.next(&mut self.sample)? {
                Some(shown) => self.decode(shown)?,
                None => {
                    self.over = true;
                    self.ready.extend(self.decoder.as_mut().map(Decoder::flush).unwrap_or_default());
                }
            }
        }
        Err(Fault::device(format!("{}: nothing in it can be decoded", self.name)).hint("ffmpeg may do better").into())
    }

    fn decode(&mut self, shown: Duration) -> Result<()> {
        self.times.push(Reverse(shown));
        while self.times.len() > HELD_MAX {
            self.times.pop(); // of frames that were too damaged to come out
        }
        for nal in parse_avcc(&self.sample, self.lengths) {
            if nal.nal_unit_type == NalUnitType::Sps && check(&nal).is_err() {
                self.trouble.add(1, "damaged parts of the video skipped");
                continue;
            }
            let Some(decoder) = &mut self.decoder else { continue };
            match decoder.decode(&nal) {
                Ok(frames) => self.ready.extend(frames),
                Err(DecodeError::Unsupported(what)) if self.given == 0 => {
                    return Err(Fault::device(format!("{}: {what}", self.name)).hint("install ffmpeg").into());
                }
                Err(DecodeError::InvalidSyntax(GAVE_UP)) => {
                    self.trouble.add(1, "damaged parts of the video skipped");
                    let level = self.track.config.get(3).copied().unwrap_or(0);
                    self.decoder = Some(Decoder::new(&self.info, level, &self.track.config)?);
                }
                Err(_) => self.trouble.add(1, "damaged parts of the video skipped"),
            }
        }
        Ok(())
    }

    /// As the stream says, or the container, or as players assume.
    fn colour(&self) -> Colour {
        let matrix = match self.info.matrix {
            1 => Some(Matrix::Bt709),
            4..=6 => Some(Matrix::Bt601),
            9 | 10 => Some(Matrix::Bt2020),
            _ => None,
        };
        let height = self.info.height as usize;
        let full_range = self.info.full_range;
        match (matrix, self.track.colour) {
            (Some(matrix), _) => Colour { matrix, full_range },
            (None, Some(colour)) => colour,
            (None, None) => Colour { full_range, ..Colour::guess(height) },
        }
    }

    fn picture(&self, frame: Frame) -> Result<Picture> {
        let (width, height) = (frame.width as usize, frame.height as usize);
        let mut picture = match frame.chroma_format {
            ChromaFormat::Yuv420 => {
                let mut data = frame.y;
                data.extend_from_slice(&frame.u);
                data.extend_from_slice(&frame.v);
                Picture::from_planes(width, height, data)?
            }
            ChromaFormat::Yuv422 => {
                check_size(width, height)?;
                let mut picture = Picture::new(width, height);
                let (chroma_width, chroma_height) = picture.chroma();
                let [luma, cb, cr] = picture.planes_mut();
                ensure!(luma.len() == frame.y.len(), "a frame of a wrong size");
                luma.copy_from_slice(&frame.y);
                for (samples, to) in [frame.u, frame.v].into_iter().zip([cb, cr]) {
                    let from = Plane { width: width / 2, height, samples };
                    ensure!(from.samples.len() == from.width * height, "a frame of a wrong size");
                    resample(&from, to, chroma_width, chroma_height);
                }
                picture
            }
        };
        color::to_jpeg(&mut picture, self.colour());
        let shown = self.square(width, height);
        if shown == width { Ok(picture) } else { scale(&picture, shown, height) }
    }

    /// The width in square pixels of a picture as coded.
    fn square(&self, width: usize, height: usize) -> usize {
        let (shown_width, shown_height) = self.track.shown;
        if shown_width == 0 || shown_height == 0 {
            return width;
        }
        let wide = (height * shown_width / shown_height).next_multiple_of(2);
        // A few lines may be cut off by the container; only a stretch that can be seen counts.
        let stretched = wide.abs_diff(width) * 50 > width;
        if stretched && check_size(wide, height).is_ok() { wide } else { width }
    }
}

impl Recording for Film {
    fn next(&mut self) -> Result<Option<(Duration, Image)>> {
        while let Some(frame) = self.frame()? {
            let position = self.times.pop().map_or(Duration::ZERO, |Reverse(shown)| shown);
            match self.picture(frame) {
                Ok(picture) => {
                    self.given += 1;
                    return Ok(Some((position, Image::Picture(Arc::new(picture)))));
                }
                Err(_) => self.trouble.add(1, "damaged parts of the video skipped"),
            }
        }
        Ok(None)
    }

    fn about(&self) -> About {
        let (width, height) = (self.info.width as usize, self.info.height as usize);
        let rate = self.track.rate.unwrap_or(RATE_DEFAULT);
        let width = self.square(width, height);
        let text = format!("{}, H.264, {width}x{height} at {rate:.2} fps", self.name);
        About { text: text.replace(".00 fps", " fps"), rate: Some(rate), length: self.track.length, live: false }
    }
}
