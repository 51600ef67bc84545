//! Raw planar 4:2:0 frames, one after another and nothing else: `--raw i420:1280x720@30`.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::devices::Raw;
use crate::devices::recording::{Recording, seconds};
use crate::devices::trouble::Trouble;
use crate::frame::{About, Image};
use crate::picture::{Picture, byte_len, check_size};

pub struct Frames<R> {
    reader: R,
    form: Raw,
    given: u64,
    trouble: Trouble,
}

impl<R: Read> Frames<R> {
    /// An error when the form is none that can be coded.
    pub fn new(reader: R, form: Raw, trouble: Trouble) -> Result<Frames<R>> {
        check_size(form.width, form.height)?;
        Ok(Frames { reader, form, given: 0, trouble })
    }
}

/// Fills `out` from the reader: how much of it there was before the end.
pub fn fill(reader: &mut impl Read, out: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while done < out.len() {
        match reader.read(&mut out[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e).context("could not read"),
        }
    }
    Ok(done)
}

impl<R: Read + Send> Recording for Frames<R> {
    fn next(&mut self) -> Result<Option<(Duration, Image)>> {
        let Raw { width, height, fps } = self.form;
        let mut data = vec![0; byte_len(width, height)];
        let got = fill(&mut self.reader, &mut data)?;
        if got < data.len() {
            self.trouble.add(got as u64, "bytes at the end are no whole frame: is the size of --raw right?");
            return Ok(None);
        }
        let position = seconds(self.given as f64 / fps);
        self.given += 1;
        let picture = Picture::from_planes(width, height, data)?;
        Ok(Some((position, Image::Picture(Arc::new(picture)))))
    }

    fn about(&self) -> About {
        let Raw { width, height, fps } = self.form;
        About { text: format!("stdin, raw {width}x{height} at {fps} fps"), rate: Some(fps), ..About::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::Stop;

    #[test]
    fn an_end_inside_a_frame_is_an_end() {
        let form = Raw { width: 16, height: 16, fps: 30.0 };
        let bytes = vec![7; 384 * 2 + 100];
        let mut frames = Frames::new(bytes.as_slice(), form, Trouble::new("-", &Stop::default())).unwrap();
        assert!(frames.next().unwrap().is_some());
        let (at, _) = frames.next().unwrap().unwrap();
        assert_eq!(at.as_millis(), 33);
        assert!(frames.next().unwrap().is_none());
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let form = Raw { width: 1 << 40, height: 16, fps: 30.0 };
        assert!(Frames::new(&[][..], form, Trouble::new("-", &Stop::default())).is_err());
    }
}
