//! Decoded pictures to a file or pipe: y4m, or the planes alone.

use std::sync::Arc;

use anyhow::Result;

use super::whole::Whole;
use super::{RATE, Rate, fraction};
use crate::codec::scale;
use crate::frame::{Frame, Sink};
use crate::picture::Picture;

pub struct Pixels {
    out: Whole,
    /// The rate for the y4m header; none for raw planes.
    y4m: Option<Rate>,
    /// The first frame's size, which these formats cannot change.
    size: Option<(usize, usize)>,
}

impl Pixels {
    pub fn raw(out: Whole) -> Pixels {
        Pixels { out, y4m: None, size: None }
    }

    pub fn y4m(out: Whole, rate: Rate) -> Pixels {
        Pixels { out, y4m: Some(rate), size: None }
    }
}

impl Sink for Pixels {
    fn decodes(&self) -> bool {
        true
    }

    fn put(&mut self, frame: &Frame, picture: Option<Arc<Picture>>) -> Result<()> {
        let Some(mut picture) = picture else { return Ok(()) };
        let now = (picture.width(), picture.height());
        let header = match (&self.y4m, self.size) {
            (Some(rate), None) => y4m_header(now.0, now.1, rate()),
            _ => String::new(),
        };
        let (width, height) = *self.size.get_or_insert(now);
        if now != (width, height) {
            log::debug!("frame {} is {}x{}: scaled to the recording's {width}x{height}", frame.seq, now.0, now.1);
            picture = Arc::new(scale::scale(&picture, width, height)?);
        }
        let mark: &[u8] = if self.y4m.is_some() { b"FRAME\n" } else { b"" };
        Ok(self.out.write(&[header.as_bytes(), mark, picture.bytes()])?)
    }
}

/// JPEG's samples are full range and sited between pixels: that is C420jpeg.
fn y4m_header(width: usize, height: usize, rate: Option<f64>) -> String {
    let (rate, scale) = fraction(rate.unwrap_or(RATE));
    format!("YUV4MPEG2 W{width} H{height} F{rate}:{scale} Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL\n")
}
