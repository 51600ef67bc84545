//! YUV4MPEG2 (mjpegtools' yuv4mpeg(5), with ffmpeg's additions): uncompressed 8-bit pictures in a line of headers each.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::codec::color::{self, Colour};
use crate::codec::decode::{Plane, resample};
use crate::devices::raw::fill;
use crate::devices::recording::{RATE_DEFAULT, Recording, seconds};
use crate::devices::trouble::Trouble;
use crate::fault::Fault;
use crate::frame::{About, Image};
use crate::picture::{Picture, check_size};

pub struct Y4m<R> {
    reader: BufReader<R>,
    form: Form,
    given: u64,
    length: Option<u64>,
    trouble: Trouble,
    name: String,
}

/// What the stream header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    pub width: usize,
    pub height: usize,
    pub rate: Option<f64>,
    pub colour: Colour,
    /// By how much chroma is narrower and lower than luma; `None` for grey.
    chroma: Option<(usize, usize)>,
}

/// mjpegtools reads lines of at most 256 bytes; ffmpeg's comments make them longer.
const LINE_MAX: u64 = 4096;
const MAGIC: &[u8] = b"YUV4MPEG2";

impl<R: Read> Y4m<R> {
    /// Reads the stream header. `size`: bytes of the whole file, where that is known.
    pub fn open(reader: R, size: Option<u64>, name: &str, trouble: Trouble) -> Result<Y4m<R>> {
        let mut reader = BufReader::with_capacity(256 << 10, reader);
        let line = line(&mut reader)?;
        let form = Form::parse(&line)?;
        let frames = |size: u64| size.saturating_sub(line.len() as u64 + 1) / (form.byte_len() as u64 + 6);
        let length = size.map(frames).filter(|&n| n > 0);
        Ok(Y4m { reader, form, given: 0, length, trouble, name: name.into() })
    }

    pub fn form(&self) -> &Form {
        &self.form
    }

    /// For writers whose colour is known better than their headers tell.
    pub fn set_colour(&mut self, colour: Colour) {
        self.form.colour = colour;
    }

    /// The next picture, in JPEG's colours; `None` at the end, also inside a frame.
    pub fn picture(&mut self) -> Result<Option<Picture>> {
        let mut head = line(&mut self.reader)?;
        if head.starts_with(MAGIC) {
            // Files put one after the other.
            let form = Form { colour: self.form.colour, rate: self.form.rate, ..Form::parse(&head)? };
            if form != self.form {
                let (w, h) = (self.form.width, self.form.height);
                return Err(Fault::device(format!(
                    "the pictures change from {w}x{h} to {}x{} after frame {}, which y4m cannot",
                    form.width, form.height, self.given
                ))
                .into());
            }
            head = line(&mut self.reader)?;
        }
        if head.is_empty() {
            return Ok(None);
        }
        ensure!(head == b"FRAME" || head.starts_with(b"FRAME "), "no FRAME where frame {} begins: damaged", self.given);
        let mut data = vec![0; self.form.byte_len()];
        let got = fill(&mut self.reader, &mut data)?;
        if got < data.len() {
            self.trouble.add(1, "frame at the end is cut off");
            return Ok(None);
        }
        self.given += 1;
        self.form.picture(data).map(Some)
    }
}

/// A line without its end; empty at the end of the stream.
fn line(reader: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line).context("could not read")?;
    match line.pop() {
        Some(b'\n') | None => Ok(line),
        Some(_) if line.len() as u64 + 1 == LINE_MAX => bail!("a y4m header of over {LINE_MAX} bytes: damaged"),
        Some(_) => Ok(Vec::new()), // cut off
    }
}

impl Form {
    pub fn parse(line: &[u8]) -> Result<Form> {
        let line = String::from_utf8_lossy(line);
        let mut fields = line.split(' ').filter(|f| !f.is_empty());
        ensure!(fields.next() == Some("YUV4MPEG2"), "not a y4m stream: it does not begin with YUV4MPEG2");
        let (mut width, mut height, mut rate, mut layout, mut full) = (0, 0, None, "420", None);
        for field in fields {
            let Some(value) = field.get(1..) else { continue };
            match field.as_bytes()[0] {
                b'W' => width = value.parse().with_context(|| format!("y4m width {value:?}"))?,
                b'H' => height = value.parse().with_context(|| format!("y4m height {value:?}"))?,
                b'F' => rate = ratio(value),
                b'C' => layout = value,
                b'X' if value.eq_ignore_ascii_case("COLORRANGE=FULL") => full = Some(true),
                b'X' if value.eq_ignore_ascii_case("COLORRANGE=LIMITED") => full = Some(false),
                _ => {} // interlacing, aspect, comments
            }
        }
        check_size(width, height)?;
        let chroma = chroma(layout)?;
        // Full range is what JPEG's pictures become in y4m, with JPEG's matrix. The format has no word for another.
        let colour = if full == Some(true) { Colour::JPEG } else { Colour::guess(height) };
        Ok(Form { width, height, rate, colour, chroma })
    }

    fn chroma_size(&self) -> (usize, usize) {
        self.chroma.map_or((0, 0), |(x, y)| (self.width.div_ceil(x), self.height.div_ceil(y)))
    }

    /// Bytes of a frame.
    fn byte_len(&self) -> usize {
        let (w, h) = self.chroma_size();
        self.width * self.height + 2 * w * h
    }

    fn picture(&self, data: Vec<u8>) -> Result<Picture> {
        let (width, height) = (self.width, self.height);
        let mut picture =
            if self.chroma == Some((2, 2)) { Picture::from_planes(width, height, data)? } else { self.to_420(&data) };
        color::to_jpeg(&mut picture, self.colour);
        Ok(picture)
    }

    fn to_420(&self, data: &[u8]) -> Picture {
        let mut picture = Picture::new(self.width, self.height);
        let (chroma_width, chroma_height) = picture.chroma();
        let [luma, cb, cr] = picture.planes_mut();
        let (from_luma, rest) = data.split_at(luma.len());
        luma.copy_from_slice(from_luma);
        let (w, h) = self.chroma_size();
        if w * h > 0 {
            for (from, to) in rest.chunks_exact(w * h).zip([cb, cr]) {
                resample(&Plane { width: w, height: h, samples: from }, to, chroma_width, chroma_height);
            }
        }
        picture
    }
}

fn ratio(value: &str) -> Option<f64> {
    let (over, under) = value.split_once(':')?;
    let rate = over.parse::<f64>().ok()? / under.parse::<f64>().ok()?;
    (0.001..=100_000.0).contains(&rate).then_some(rate)
}

/// The chroma layouts of yuv4mpeg(5) with 8 bits; the sitings of 4:2:0 differ by less than a pixel.
fn chroma(layout: &str) -> Result<Option<(usize, usize)>> {
    Ok(match layout {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Some((2, 2)),
        "422" => Some((2, 1)),
        "444" => Some((1, 1)),
        "411" => Some((4, 1)),
        "440" => Some((1, 2)),
        "mono" => None,
        other => {
            return Err(Fault::device(format!("y4m with the layout {other} is not supported"))
                .hint("8 bits as 420, 422, 444, 411 or mono work: with ffmpeg, -pix_fmt yuv420p")
                .into());
        }
    })
}

impl<R: Read + Send> Recording for Y4m<R> {
    fn next(&mut self) -> Result<Option<(Duration, Image)>> {
        let position = seconds(self.given as f64 / self.form.rate.unwrap_or(RATE_DEFAULT));
        Ok(self.picture()?.map(|picture| (position, Image::Picture(Arc::new(picture)))))
    }

    fn about(&self) -> About {
        let Form { width, height, rate, .. } = self.form;
        let rate = rate.unwrap_or(RATE_DEFAULT);
        let text = format!("{}, y4m, {width}x{height} at {:.2} fps", self.name, rate);
        About { text: text.replace(".00 fps", " fps"), rate: Some(rate), length: self.length, live: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::smooth;
    use crate::stop::Stop;

    fn open(data: &[u8]) -> Result<Y4m<&[u8]>> {
        Y4m::open(data, Some(data.len() as u64), "x", Trouble::new("x", &Stop::default()))
    }

    fn sample(header: &str, frame: &[u8], count: usize) -> Vec<u8> {
        let frames = [b"FRAME Ip Xa=b\n", frame].concat().repeat(count);
        [header.as_bytes(), b"\n", &frames].concat()
    }

    #[test]
    fn full_range_passes_untouched() {
        let picture = smooth(33, 17);
        let data = sample("YUV4MPEG2 W33 H17 F30000:1001 Ip A1:1 C420jpeg XCOLORRANGE=FULL", picture.bytes(), 3);
        let mut y4m = open(&data).unwrap();
        assert_eq!(y4m.about().rate, Some(30_000.0 / 1001.0));
        for _ in 0..3 {
            assert_eq!(y4m.picture().unwrap().as_ref(), Some(&picture));
        }
        assert!(y4m.picture().unwrap().is_none());
    }

    #[test]
    fn all_layouts_come_to_420_in_full_range() {
        for (layout, chroma) in [("mono", 0), ("444", 32 * 16), ("422", 16 * 16), ("411", 8 * 16), ("420paldv", 16 * 8)]
        {
            let frame = [vec![235; 32 * 16], vec![128; 2 * chroma]].concat();
            let data = sample(&format!("YUV4MPEG2 W32 H16 F25:1 C{layout}"), &frame, 1);
            let picture = open(&data).unwrap().picture().unwrap().unwrap();
            assert!(picture.planes()[0].iter().all(|&y| y == 255), "{layout}");
            assert!(picture.planes()[1].iter().all(|&c| c == 128), "{layout}");
        }
    }

    #[test]
    fn damage_is_named() {
        let picture = smooth(32, 16);
        let data = sample("YUV4MPEG2 W32 H16 F25:1", picture.bytes(), 2);
        for end in 0..data.len() {
            if let Ok(mut y4m) = open(&data[..end]) {
                while y4m.picture().unwrap().is_some() {}
            }
        }
        let text = |header: &str| {
            let data = sample(header, picture.bytes(), 1);
            open(&data).err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert!(text("YUV4MPEG2 W32 H16 C420p10").contains("420p10"));
        assert!(text("YUV4MPEG2 W99999 H16").contains("out of range"));
        assert!(text("YUV4MPEG2").contains("out of range"));
        assert!(text("RIFF").contains("not a y4m"));
        let mut bad = data.clone();
        let second = memchr::memmem::rfind(&data, b"FRAME").unwrap();
        bad[second] ^= 1;
        let mut y4m = open(&bad).unwrap();
        assert!(y4m.picture().unwrap().is_some());
        assert!(y4m.picture().unwrap_err().to_string().contains("frame 1"));
    }

    #[test]
    fn joined_files_play_on_unless_their_size_changes() {
        let one = sample("YUV4MPEG2 W32 H16 F25:1", smooth(32, 16).bytes(), 2);
        let other = sample("YUV4MPEG2 W48 H16 F25:1", smooth(48, 16).bytes(), 2);
        let joined = [&one[..], &one].concat();
        let mut y4m = open(&joined).unwrap();
        assert_eq!(std::iter::from_fn(|| y4m.picture().unwrap()).count(), 4);
        let joined = [&one[..], &other].concat();
        let mut y4m = open(&joined).unwrap();
        assert!(y4m.picture().unwrap().is_some() && y4m.picture().unwrap().is_some());
        assert!(y4m.picture().unwrap_err().to_string().contains("from 32x16 to 48x16"));
    }
}
