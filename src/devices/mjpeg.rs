//! Concatenated JPEGs, from a file or a pipe, passed through as they are.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;

use crate::codec::jpeg;
use crate::codec::split::Splitter;
use crate::devices::recording::{Recording, seconds};
use crate::devices::trouble::Trouble;
use crate::frame::{About, Image};

/// A JPEG stream on any reader. It has no rate: one is given to it.
pub struct Mjpeg<R> {
    reader: R,
    splitter: Splitter,
    chunk: Vec<u8>,
    /// What the splitter's counters were when last looked at.
    counted: (u64, u64),
    trouble: Trouble,
    rate: Option<f64>,
    name: String,
    given: u64,
}

/// A pipe's default capacity in Linux.
const CHUNK: usize = 64 << 10;

impl<R: Read> Mjpeg<R> {
    /// `rate`: frames a second that positions are counted by.
    pub fn new(reader: R, rate: Option<f64>, name: &str, trouble: Trouble) -> Mjpeg<R> {
        let chunk = vec![0; CHUNK];
        let (splitter, name) = (Splitter::default(), name.to_string());
        Mjpeg { reader, splitter, chunk, counted: (0, 0), trouble, rate, name, given: 0 }
    }

    /// The next JPEG that has complete headers, with what cameras leave out added.
    pub fn picture(&mut self) -> Result<Option<Bytes>> {
        loop {
            while let Some(picture) = self.splitter.next() {
                match completed(picture) {
                    Ok(picture) => return Ok(Some(picture)),
                    Err(_) => self.trouble.add(1, "damaged pictures skipped"),
                }
            }
            self.count();
            let read = self.reader.read(&mut self.chunk).context("could not read")?;
            if read == 0 {
                self.splitter.finish();
                let last = self.splitter.next().and_then(|p| completed(p).ok());
                self.count();
                return Ok(last);
            }
            self.splitter.push(&self.chunk[..read]);
        }
    }

    fn count(&mut self) {
        let now = (self.splitter.skipped(), self.splitter.broken());
        self.trouble.add(now.1 - self.counted.1, "damaged pictures skipped");
        if now.1 == self.counted.1 {
            self.trouble.add(now.0 - self.counted.0, "bytes between pictures skipped");
        }
        self.counted = now;
    }
}

/// `jpeg::complete` without a copy where nothing was missing.
pub fn completed(picture: Bytes) -> Result<Bytes> {
    match jpeg::complete(&picture)? {
        std::borrow::Cow::Borrowed(whole) => Ok(picture.slice(..whole.len())),
        std::borrow::Cow::Owned(whole) => Ok(whole.into()),
    }
}

impl<R: Read + Send> Recording for Mjpeg<R> {
    fn next(&mut self) -> Result<Option<(Duration, Image)>> {
        let Some(picture) = self.picture()? else { return Ok(None) };
        let position = seconds(self.given as f64 / self.rate.unwrap_or(f64::INFINITY));
        self.given += 1;
        Ok(Some((position, Image::Jpeg(picture))))
    }

    fn about(&self) -> About {
        let text = match self.rate {
            Some(rate) => format!("{}, MJPEG at {rate} fps", self.name),
            None => format!("{}, MJPEG", self.name),
        };
        About { text, rate: self.rate, ..About::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::decode::decode;
    use crate::codec::encode::encode;
    use crate::codec::testing::noise;
    use crate::stop::Stop;

    fn read(stream: &[u8]) -> Vec<Bytes> {
        let mut file = Mjpeg::new(stream, Some(25.0), "x", Trouble::new("x", &Stop::default()));
        std::iter::from_fn(|| file.picture().unwrap()).collect()
    }

    #[test]
    fn sizes_may_change_and_bytes_may_not() {
        let pictures: Vec<Bytes> = (1..5).map(|i| encode(&noise(32 * i, 48, i as u64), 80).unwrap()).collect();
        assert_eq!(read(&pictures.concat()), pictures);
    }

    #[test]
    fn a_cut_file_ends_with_its_last_whole_picture() {
        let picture = encode(&noise(64, 48, 1), 80).unwrap();
        let stream = picture.repeat(3);
        for end in (0..stream.len()).step_by(97) {
            assert_eq!(read(&stream[..end]).len(), end / picture.len());
        }
    }

    #[test]
    fn damage_is_no_panic_and_what_comes_out_has_headers() {
        let stream = encode(&noise(64, 48, 1), 80).unwrap().repeat(8);
        let mut random = fastrand::Rng::with_seed(9);
        for _ in 0..100 {
            let mut bad = stream.clone();
            for _ in 0..20 {
                let at = random.usize(..bad.len());
                bad[at] ^= 1 << random.u8(..8);
            }
            read(&bad).iter().for_each(|p| drop(decode(p)));
        }
    }
}
