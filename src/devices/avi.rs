//! AVI files holding MJPEG (RIFF: Microsoft's "AVI RIFF File Reference", OpenDML 1.02 for files over 1 GB), read front
//! to back: the index is not needed, so files that broke off are read up to their last whole picture.
//!
//! Lists are entered without keeping account of their ends: chunks follow each other all the same.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::{Buf, Bytes, BytesMut};

use crate::codec::split::Splitter;
use crate::devices::mjpeg::completed;
use crate::devices::recording::{RATE_DEFAULT, Recording, seconds};
use crate::devices::trouble::Trouble;
use crate::fault::Fault;
use crate::frame::BYTES_MAX;
use crate::frame::{About, Image};

pub struct Avi<R> {
    tape: Tape<R>,
    head: Head,
    /// Chunks of the video stream so far, empty and damaged ones too: they take their time.
    given: u64,
    trouble: Trouble,
    name: String,
}

/// What the headers say.
#[derive(Clone, Debug, Default, PartialEq)]
struct Head {
    /// Streams so far, and which of them is the video.
    streams: u8,
    video: Option<u8>,
    rate: Option<f64>,
    frames: u64,
    width: u32,
    height: u32,
}

/// The codes under which MJPEG stands in AVI files (ffmpeg's list of those that its decoder takes as they are).
const CODES: [&[u8; 4]; 8] = [b"MJPG", b"mjpg", b"JPEG", b"jpeg", b"AVRn", b"dmb1", b"ijpg", b"MJPA"];
/// Header chunks are at most this long where they are read: the largest defined one has 260 bytes and extra data.
const HEADER_MAX: usize = 4096;
/// Before the pictures: enough for metadata and padding, too short to search a disk image.
const HEADERS_MAX: usize = 64 << 20;

impl<R: Read> Avi<R> {
    /// Reads the headers. An error when this is no AVI, or one that holds no MJPEG.
    pub fn open(reader: R, name: &str, trouble: Trouble) -> Result<Avi<R>> {
        let mut tape = Tape { reader, buffer: BytesMut::new(), read: 0 };
        let start = tape.peek(12)?;
        if start.len() < 12 || &start[..4] != b"RIFF" || &start[8..12] != b"AVI " {
            return Err(Fault::device("not an AVI file").into());
        }
        tape.skip(12)?;
        let mut head = Head::default();
        while let Some(chunk) = tape.chunk()? {
            if tape.read > HEADERS_MAX {
                break;
            }
            match &chunk.code {
                b"LIST" => match tape.list()? {
                    Some(list) if &list == b"movi" => return Avi::opened(tape, head, name, trouble),
                    Some(list) if matches!(&list, b"hdrl" | b"strl" | b"odml") => {}
                    _ => tape.skip_chunk(chunk.size.saturating_sub(4))?,
                },
                b"avih" | b"strh" | b"strf" | b"dmlh" if chunk.size <= HEADER_MAX => {
                    head.read(&chunk.code, tape.peek(8 + chunk.size)?.get(8..).unwrap_or_default());
                    tape.skip_chunk(8 + chunk.size)?;
                }
                _ => tape.skip_chunk(8 + chunk.size)?,
            }
        }
        Err(Fault::device("an AVI file without pictures").into())
    }

    fn opened(tape: Tape<R>, head: Head, name: &str, trouble: Trouble) -> Result<Avi<R>> {
        if head.video.is_none() {
            return Err(Fault::device("an AVI file that holds no MJPEG").into());
        }
        Ok(Avi { tape, head, given: 0, trouble, name: name.into() })
    }

    /// The next picture and its number; `None` at the end of the file, whole or not.
    fn picture(&mut self) -> Result<Option<(u64, Bytes)>> {
        while let Some(chunk) = self.tape.chunk()? {
            if matches!(&chunk.code, b"LIST" | b"RIFF") {
                match self.tape.list()? {
                    Some(list) if matches!(&list, b"movi" | b"rec " | b"AVIX" | b"AVI ") => {}
                    _ => self.tape.skip_chunk(chunk.size.saturating_sub(4))?,
                }
            } else if chunk.is_picture(self.head.video) {
                let number = self.given;
                self.given += 1;
                if let Some(picture) = self.payload(chunk.size)? {
                    return Ok(Some((number, picture)));
                }
            } else if chunk.plausible() {
                self.tape.skip_chunk(8 + chunk.size)?;
            } else {
                self.search()?;
            }
        }
        Ok(None)
    }

    /// Takes a video chunk off the tape. Its size is believed if a chunk follows where it says, or the file ends.
    fn payload(&mut self, size: usize) -> Result<Option<Bytes>> {
        if size == 0 {
            self.tape.skip(8)?;
            return Ok(None); // the picture before stays: so a rate is kept where frames were dropped
        }
        let (codes, padded) = (codes(self.head.video), 8 + size.next_multiple_of(2));
        let data = self.tape.peek(padded + 8)?;
        let sound = data.len() <= padded || Chunk::new(&data[padded..]).is_none_or(|next| next.plausible());
        // A size that is wrong is not looked at further than the next picture: so no byte is searched twice.
        let end = match sound {
            true => 8 + size,
            false => memchr::memmem::find(&data[8..], &codes).map_or(data.len(), |at| 8 + at),
        };
        let body = &data[8.min(data.len())..end.min(data.len())];
        let picture = first(body).and_then(|picture| completed(picture).ok());
        self.tape.skip(if sound { padded } else { end })?;
        if picture.is_none() || !sound {
            self.trouble.add(1, "damaged pictures or chunks");
        }
        Ok(picture)
    }

    /// Goes on to the next chunk of the video stream, after damage.
    fn search(&mut self) -> Result<()> {
        let codes = codes(self.head.video);
        self.trouble.add(1, "damaged places skipped");
        self.tape.skip(1)?;
        loop {
            let data = self.tape.peek(CHUNK)?;
            if data.len() < 8 {
                return self.tape.skip(8);
            }
            let found = memchr::memmem::find_iter(data, &codes)
                .find(|&at| Chunk::new(&data[at..]).is_some_and(|c| c.is_picture(self.head.video)));
            let (skip, over) = found.map_or((data.len() - 7, false), |at| (at, true));
            self.tape.skip(skip)?;
            if over {
                return Ok(());
            }
        }
    }
}

/// The first JPEG in a chunk. (Interlaced files hold two fields: the first stands for both.)
fn first(body: &[u8]) -> Option<Bytes> {
    let mut splitter = Splitter::default();
    splitter.push(body);
    splitter.next()
}

/// What the codes of a stream's pictures begin with.
fn codes(video: Option<u8>) -> [u8; 3] {
    let number = video.unwrap_or(0);
    [b'0' + number / 10, b'0' + number % 10, b'd']
}

impl Head {
    fn read(&mut self, code: &[u8; 4], body: &[u8]) {
        let u32_at = |at: usize| body.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        match code {
            b"avih" => {
                self.rate = self.rate.or(rate(1e6, f64::from(u32_at(0))));
                self.frames = self.frames.max(u32_at(16).into());
            }
            b"dmlh" => self.frames = self.frames.max(u32_at(0).into()),
            b"strh" => {
                self.streams = self.streams.saturating_add(1).min(100);
                if self.video.is_none() && body.starts_with(b"vids") {
                    self.rate = rate(u32_at(24).into(), u32_at(20).into()).or(self.rate);
                }
            }
            _ => {
                let known = body.get(16..20).is_some_and(|code| CODES.iter().any(|c| *c == code));
                if self.video.is_none() && known && self.streams > 0 {
                    self.video = Some(self.streams - 1);
                    (self.width, self.height) = (u32_at(4), u32_at(8));
                }
            }
        }
    }
}

/// Frames a second, if the figures of the file make sense.
fn rate(over: f64, under: f64) -> Option<f64> {
    Some(over / under).filter(|rate| (0.01..=1000.0).contains(rate))
}

struct Chunk {
    code: [u8; 4],
    size: usize,
}

impl Chunk {
    fn new(data: &[u8]) -> Option<Chunk> {
        let &[a, b, c, d, e, f, g, h, ..] = data else { return None };
        Some(Chunk { code: [a, b, c, d], size: u32::from_le_bytes([e, f, g, h]) as usize })
    }

    /// Letters, digits and blanks, as all codes are; lost in data, this is seldom.
    fn plausible(&self) -> bool {
        self.code.iter().all(|c| c.is_ascii_alphanumeric() || *c == b' ')
    }

    /// Whether it is a picture of stream `video`: `00dc`, or `00db` as some writers have it.
    fn is_picture(&self, video: Option<u8>) -> bool {
        let [tens, ones, b'd', b'c' | b'b'] = self.code else { return false };
        let number = tens.wrapping_sub(b'0').wrapping_mul(10).wrapping_add(ones.wrapping_sub(b'0'));
        tens.is_ascii_digit() && ones.is_ascii_digit() && Some(number) == video && self.size <= BYTES_MAX
    }
}

/// A reader that can look ahead.
struct Tape<R> {
    reader: R,
    buffer: BytesMut,
    read: usize,
}

const CHUNK: usize = 64 << 10;

impl<R: Read> Tape<R> {
    /// The next `count` bytes without taking them; fewer at the end of the file. The buffer grows as they come.
    fn peek(&mut self, count: usize) -> Result<&[u8]> {
        while self.buffer.len() < count {
            let before = self.buffer.len();
            self.buffer.resize(before + CHUNK, 0);
            let read = self.reader.read(&mut self.buffer[before..]);
            self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
            match read.context("could not read")? {
                0 => break,
                n => self.read = self.read.saturating_add(n),
            }
        }
        Ok(&self.buffer[..count.min(self.buffer.len())])
    }

    fn skip(&mut self, mut count: usize) -> Result<()> {
        while count > 0 {
            let here = self.peek(count.min(CHUNK))?.len();
            if here == 0 {
                break;
            }
            self.buffer.advance(here);
            count -= here;
        }
        Ok(())
    }

    /// Chunks begin at even places.
    fn skip_chunk(&mut self, count: usize) -> Result<()> {
        self.skip(count.next_multiple_of(2))
    }

    fn chunk(&mut self) -> Result<Option<Chunk>> {
        Ok(Chunk::new(self.peek(8)?))
    }

    /// Takes the head of a list and gives its type.
    fn list(&mut self) -> Result<Option<[u8; 4]>> {
        let list = self.peek(12)?.get(8..12).map(|b| [b[0], b[1], b[2], b[3]]);
        self.skip(12)?;
        Ok(list)
    }
}

impl<R: Read + Send> Recording for Avi<R> {
    fn next(&mut self) -> Result<Option<(Duration, Image)>> {
        let rate = self.head.rate.unwrap_or(RATE_DEFAULT);
        Ok(self.picture()?.map(|(number, picture)| (seconds(number as f64 / rate), Image::Jpeg(picture))))
    }

    fn about(&self) -> About {
        let rate = self.head.rate.unwrap_or(RATE_DEFAULT);
        let Head { width, height, frames, .. } = self.head;
        let text = format!("{}, MJPEG in AVI, {width}x{height} at {rate:.6} fps", self.name);
        let text = text.replace(".000000 fps", " fps");
        About { text, rate: Some(rate), length: (frames > 0).then_some(frames), ..About::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode::encode;
    use crate::codec::testing::noise;
    use crate::stop::Stop;

    fn chunk(code: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = [code, &(body.len() as u32).to_le_bytes()[..], body].concat();
        out.resize(out.len().next_multiple_of(2), 0);
        out
    }

    fn list(code: &[u8; 4], kind: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
        chunk(code, &[&kind[..], &parts.concat()].concat())
    }

    fn numbers<const N: usize>(fields: [(usize, u32); N], length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        fields.iter().for_each(|(at, value)| out[*at..at + 4].copy_from_slice(&value.to_le_bytes()));
        out
    }

    fn pictures() -> Vec<Bytes> {
        (0..6).map(|i| encode(&noise(64, 48, i), 80).unwrap()).collect()
    }

    /// An AVI with sound as stream 0, MJPEG as stream 1, junk, `rec ` lists, an empty chunk and an AVIX part.
    fn sample() -> Vec<u8> {
        let mjpg = u32::from_le_bytes(*b"MJPG");
        let mut video = numbers([(20, 1001), (24, 30_000)], 56);
        video[..4].copy_from_slice(b"vids");
        let sound = [chunk(b"strh", &[b"auds", &[0; 52][..]].concat()), chunk(b"strf", &[0; 18])];
        let video = [chunk(b"strh", &video), chunk(b"strf", &numbers([(4, 64), (8, 48), (16, mjpg)], 40))];
        let head = [
            chunk(b"avih", &numbers([(0, 33_333), (16, 7)], 56)),
            list(b"LIST", b"strl", &sound),
            list(b"LIST", b"strl", &video),
            chunk(b"JUNK", &[1; 99]),
        ];
        let p: Vec<_> = pictures().iter().map(|p| chunk(b"01dc", p)).collect();
        let records = list(b"LIST", b"rec ", &[p[1].clone(), chunk(b"00wb", &[5; 77]), p[2].clone()]);
        let movie = [p[0].clone(), records, chunk(b"ix01", &[0; 30]), chunk(b"01dc", &[]), p[3].clone()];
        let parts = [list(b"LIST", b"hdrl", &head), list(b"LIST", b"movi", &movie), chunk(b"idx1", &[0; 64])];
        let more = list(b"RIFF", b"AVIX", &[list(b"LIST", b"movi", &p[4..])]);
        [list(b"RIFF", b"AVI ", &parts), more].concat()
    }

    fn read(data: &[u8]) -> Result<Vec<(u64, Bytes)>> {
        let mut avi = Avi::open(data, "x.avi", Trouble::new("x.avi", &Stop::default()))?;
        Ok(std::iter::from_fn(|| avi.picture().unwrap()).collect())
    }

    #[test]
    fn every_picture_of_every_part_comes_with_its_number() {
        let got = read(&sample()).unwrap();
        assert_eq!(got.iter().map(|g| g.0).collect::<Vec<_>>(), [0, 1, 2, 4, 5, 6]);
        assert!(got.iter().map(|g| &g.1).eq(pictures().iter()));
        let data = sample();
        let avi = Avi::open(&data[..], "x.avi", Trouble::new("x", &Stop::default())).unwrap();
        let about = avi.about();
        assert_eq!((about.rate, about.length), (Some(30_000.0 / 1001.0), Some(7)));
    }

    #[test]
    fn a_file_that_broke_off_gives_what_it_has() {
        let data = sample();
        let ends: Vec<usize> = pictures().iter().map(|p| memchr::memmem::find(&data, p).unwrap() + p.len()).collect();
        for cut in (ends[0] - 700..data.len()).step_by(13) {
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(read(&data[..cut]).unwrap().len(), whole, "cut at {cut}");
        }
        for cut in 0..500 {
            let _ = read(&data[..cut]);
        }
    }

    #[test]
    fn a_flipped_bit_costs_little() {
        let (data, pictures) = (sample(), pictures());
        let start = memchr::memmem::find(&data, b"movi").unwrap() + 4;
        let mut random = fastrand::Rng::with_seed(2);
        for _ in 0..1000 {
            let mut bad = data.clone();
            let at = random.usize(start..data.len());
            bad[at] ^= 1 << random.u8(..8);
            let got = read(&bad).unwrap();
            let whole = pictures.iter().filter(|p| got.iter().any(|g| g.1 == *p)).count();
            assert!(whole >= 4, "byte {at}: {whole} of 6 pictures");
        }
        for _ in 0..1000 {
            let mut bad = data.clone();
            (0..30).for_each(|_| bad[random.usize(..data.len())] = random.u8(..));
            let _ = read(&bad);
        }
    }

    #[test]
    fn other_files_are_named() {
        let text = |data: &[u8]| read(data).unwrap_err().to_string();
        assert_eq!(text(b"hello, I am a text"), "not an AVI file");
        let mut other = sample();
        let at = memchr::memmem::find(&other, b"MJPG").unwrap();
        other[at..at + 4].copy_from_slice(b"H264");
        assert_eq!(text(&other), "an AVI file that holds no MJPEG");
    }
}
