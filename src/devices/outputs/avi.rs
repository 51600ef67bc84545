//! AVI holding MJPEG, with the OpenDML indexes that let it pass 1 GiB. The header is brought up to date every second,
//! so that a recording whose program was killed can be read too.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::whole::Whole;
use super::{RATE, Rate, fraction};
use crate::clock::Time;
use crate::codec::jpeg;
use crate::frame::{Frame, Sink};
use crate::picture::Picture;

/// A RIFF part ends before it reaches this: readers of AVI 1.0 stop at 1 GiB.
const PART_MAX: u64 = 1 << 30;
/// Parts in the super index: 256 GiB, a day of 1080p.
const PARTS: usize = 256;
/// How often the header is written again.
const REFRESH: Duration = Duration::from_secs(1);
/// AVIF_HASINDEX, and that each frame is a key frame.
const FLAGS: u32 = 0x10;

pub struct Avi {
    out: Whole,
    rate: Rate,
    part_max: u64,
    size: (usize, usize),
    /// Frames of all parts, and the largest.
    frames: u32,
    largest: usize,
    /// Capture times of the first and the newest frame.
    times: Option<(Time, Time)>,
    refreshed: Option<Time>,
    /// Start of the open part's RIFF chunk, and its frames: position of the data, length.
    part: u64,
    index: Vec<(u64, u32)>,
    /// The finished parts: position and length of the index chunk, frames.
    finished: Vec<(u64, u32, u32)>,
    /// Frames of the first part, which the old header counts alone.
    first_frames: u32,
}

impl Avi {
    pub fn new(out: Whole, rate: Rate) -> Avi {
        Avi {
            out,
            rate,
            part_max: PART_MAX,
            size: (0, 0),
            frames: 0,
            largest: 0,
            times: None,
            refreshed: None,
            part: 0,
            index: Vec::new(),
            finished: Vec::new(),
            first_frames: 0,
        }
    }

    /// The measured rate where frames were dropped or the stream does not say, else the nominal one.
    fn rate(&self) -> f64 {
        let nominal = (self.rate)().unwrap_or(RATE);
        let Some((first, last)) = self.times.filter(|_| self.frames > 1) else { return nominal };
        let seconds = last.since(first).as_secs_f64();
        let measured = f64::from(self.frames - 1) / seconds.max(0.001);
        let off = seconds > 1.0 && (measured / nominal - 1.0).abs() > 0.02;
        if off { (measured * 1000.0).round() / 1000.0 } else { nominal }
    }

    /// Everything before the first frame, by what is known now. Its length never changes.
    fn header(&self) -> Vec<u8> {
        let (rate, scale) = fraction(self.rate());
        let (width, height) = (self.size.0 as u32, self.size.1 as u32);
        let first = if self.finished.is_empty() { self.index.len() as u32 } else { self.first_frames };
        let micros = (1e6 / self.rate()) as u32;
        let avih = words(&[micros, 0, 0, FLAGS, first, 0, 1, self.largest as u32, width, height, 0, 0, 0, 0]);
        let mut strh = Vec::from(*b"vidsMJPG");
        strh.extend(words(&[0, 0, 0, scale, rate, 0, self.frames, self.largest as u32, u32::MAX, 0, 0]));
        strh.extend([(width as u16).to_le_bytes(), (height as u16).to_le_bytes()].concat());
        let mut strf = words(&[40, width, height, 24 << 16 | 1]);
        strf.extend(b"MJPG");
        strf.extend(words(&[width * height * 3, 0, 0, 0, 0]));
        let parts = &self.finished[..self.finished.len().min(PARTS)];
        let mut super_index = words(&[4, parts.len() as u32]);
        super_index.extend(b"00dc");
        super_index.extend(words(&[0, 0, 0]));
        for &(at, length, frames) in parts {
            super_index.extend(at.to_le_bytes());
            super_index.extend(words(&[length, frames]));
        }
        super_index.resize(24 + 16 * PARTS, 0);
        let strl = [chunk(b"strh", &strh), chunk(b"strf", &strf), chunk(b"indx", &super_index)].concat();
        let odml = list(b"odml", &chunk(b"dmlh", &words(&[self.frames])));
        let hdrl = list(b"hdrl", &[chunk(b"avih", &avih), list(b"strl", &strl), odml].concat());
        let riff = if self.finished.is_empty() { self.out.len().saturating_sub(8) } else { self.first_end() - 8 };
        let movi = riff.saturating_sub((4 + hdrl.len() + 8) as u64).saturating_sub(self.first_tail());
        [&b"RIFF"[..], &le(riff), b"AVI ", &hdrl, b"LIST", &le(movi), b"movi"].concat()
    }

    /// Where the first part ends: where the second begins.
    fn first_end(&self) -> u64 {
        self.finished.first().map_or(0, |&(at, length, frames)| at + u64::from(length) + idx1_length(frames))
    }

    /// Bytes of the first part after its `movi` list: the old index, once it is there.
    fn first_tail(&self) -> u64 {
        self.finished.first().map_or(0, |&(_, _, frames)| idx1_length(frames))
    }

    fn movi_start(&self) -> u64 {
        if self.part == 0 { self.header().len() as u64 - 4 } else { self.part + 20 }
    }

    /// Writes the open part's index (and the old one after the first part).
    fn end_part(&mut self) -> io::Result<()> {
        let Some(&(base, _)) = self.index.first() else { return Ok(()) };
        let at = self.out.len();
        let mut body = words(&[0x0100_0002, self.index.len() as u32]);
        body.extend(b"00dc");
        body.extend(base.to_le_bytes());
        body.extend(words(&[0]));
        for &(position, length) in &self.index {
            body.extend(words(&[(position - base) as u32, length]));
        }
        let index = chunk(b"ix00", &body);
        let mut old = Vec::new();
        if self.part == 0 {
            let movi = self.movi_start();
            let entries = self.index.iter().flat_map(|&(position, length)| {
                [&b"00dc"[..], &words(&[FLAGS, (position - 8 - movi) as u32, length])].concat()
            });
            old = chunk(b"idx1", &entries.collect::<Vec<u8>>());
            self.first_frames = self.index.len() as u32;
        }
        self.out.write(&[&index, &old])?;
        self.finished.push((at, index.len() as u32, self.index.len() as u32));
        self.index.clear();
        if self.part > 0 {
            self.close_lengths()?;
        }
        Ok(())
    }

    /// The lengths of a later part's RIFF and movi chunks, which end where the file ends.
    fn close_lengths(&mut self) -> io::Result<()> {
        let length = self.out.len() - self.part;
        self.out.overwrite(self.part + 4, &le(length - 8))?;
        self.out.overwrite(self.part + 16, &le(length - 20))
    }

    fn refresh(&mut self) -> io::Result<()> {
        let header = self.header();
        self.out.overwrite(0, &header)?;
        if self.part > 0 && !self.index.is_empty() {
            self.close_lengths()?;
        }
        Ok(())
    }

    fn write(&mut self, frame: &Frame) -> io::Result<()> {
        if self.frames == 0 {
            self.out.write(&[&self.header()])?;
        }
        if self.out.len() - self.part + frame.coded.bytes.len() as u64 > self.part_max && !self.index.is_empty() {
            self.end_part()?;
            self.part = self.out.len();
            self.out.write(&[b"RIFF", &[0; 4], b"AVIXLIST", &[0; 4], b"movi"])?;
        }
        let position = self.out.len() + 8;
        let pad: &[u8] = if frame.coded.bytes.len() % 2 == 1 { &[0] } else { &[] };
        self.out.write(&[b"00dc", &le(frame.coded.bytes.len() as u64), &frame.coded.bytes, pad])?;
        self.index.push((position, frame.coded.bytes.len() as u32));
        self.frames += 1;
        self.largest = self.largest.max(frame.coded.bytes.len());
        self.times = Some((self.times.map_or(frame.captured, |t| t.0), frame.captured));
        let due = self.refreshed.is_none_or(|t| frame.captured.since(t) > REFRESH);
        if due {
            self.refreshed = Some(frame.captured);
            self.refresh()?;
        }
        Ok(())
    }
}

impl Sink for Avi {
    fn put(&mut self, frame: &Frame, _: Option<Arc<Picture>>) -> Result<()> {
        if self.frames == 0 {
            let header = jpeg::parse(&frame.coded.bytes)?;
            self.size = (header.width, header.height);
        }
        Ok(self.write(frame)?)
    }

    fn finish(&mut self) -> Result<()> {
        if self.frames == 0 {
            return Ok(());
        }
        let indexed = self.end_part(); // on a full disk the frames still stand, without an index
        self.refresh()?;
        Ok(indexed?)
    }
}

fn idx1_length(frames: u32) -> u64 {
    8 + 16 * u64::from(frames)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn le(length: u64) -> [u8; 4] {
    (length as u32).to_le_bytes()
}

fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&id[..], &le(body.len() as u64), body].concat()
}

fn list(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    chunk(b"LIST", &[&id[..], body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode::encode;
    use crate::codec::testing::noise;
    use crate::segments::Coded;

    fn record(name: &str, part_max: u64, finish: bool) {
        let out = Whole::create(name, &Default::default()).unwrap();
        let mut avi = Avi::new(out, Arc::new(|| Some(25.0)));
        avi.part_max = part_max;
        for seq in 0..50u64 {
            let jpeg = encode(&noise(64, 48, seq), 80).unwrap();
            let captured = Time::from_micros(seq as i64 * 40_000);
            avi.put(&Frame { epoch: 0, seq, captured, error: Duration::ZERO, coded: Coded::whole(jpeg, seq) }, None)
                .unwrap();
        }
        if finish {
            avi.finish().unwrap();
        }
    }

    /// Frames that ffprobe decodes.
    fn probed(name: &str) -> Option<usize> {
        let out = std::process::Command::new("ffprobe")
            .args(["-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames,r_frame_rate"])
            .args(["-of", "csv=p=0", name])
            .output();
        let Ok(out) = out else {
            assert!(std::env::var_os("CI").is_none(), "ffprobe must be there in CI");
            eprintln!("skipped: no ffprobe on this machine");
            return None;
        };
        assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.starts_with("25/1,"), "{text}");
        text.trim().rsplit(',').next()?.parse().ok()
    }

    #[test]
    fn others_read_it_in_one_part_or_many_finished_or_not() {
        let dir = tempfile::tempdir().unwrap();
        for (part_max, finish, least) in [(PART_MAX, true, 50), (40_000, true, 50), (PART_MAX, false, 50)] {
            let name = dir.path().join("out.avi").display().to_string();
            record(&name, part_max, finish);
            if let Some(frames) = probed(&name) {
                assert!(frames >= least, "{frames} frames, parts of {part_max}, finished: {finish}");
            }
        }
    }
}
