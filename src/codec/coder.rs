//! From a source's image to the JPEG of a frame: passed through where nothing else was asked for, else coded anew.

use anyhow::{Result, ensure};
use bytes::Bytes;

use crate::codec::{decode, encode, jpeg, scale};
use crate::frame::{BYTES_MAX, Image};
use crate::picture::Picture;

/// Good film at an eighth of a byte a pixel; what ustreamer and GStreamer take too.
const QUALITY: u8 = 80;

#[derive(Clone, Debug)]
pub struct Coder {
    size: Option<(usize, usize)>,
    quality: Option<u8>,
    /// The quality of the newest frame, unknown where it was passed through.
    used: std::cell::Cell<Option<u8>>,
}

impl Coder {
    pub fn new(size: Option<(usize, usize)>, quality: Option<u8>) -> Coder {
        Coder { size, quality, used: Default::default() }
    }

    /// The JPEG and its width and height.
    pub fn encode(&self, image: Image) -> Result<(Bytes, (usize, usize))> {
        let picture = match image {
            Image::Jpeg(data) => {
                ensure!(data.len() <= BYTES_MAX, "a JPEG of {} bytes is over the limit", data.len());
                let header = jpeg::parse(&data)?;
                let size = (header.width, header.height);
                if self.quality.is_none() && self.size.is_none_or(|wanted| wanted == size) {
                    self.used.set(None);
                    return Ok((data, size));
                }
                &decode::decode(&data)?
            }
            Image::Picture(ref picture) => &**picture,
        };
        self.code(picture)
    }

    fn code(&self, picture: &Picture) -> Result<(Bytes, (usize, usize))> {
        let own = (picture.width(), picture.height());
        let size = self.size.unwrap_or(own);
        let quality = self.quality.unwrap_or(QUALITY);
        self.used.set(Some(quality));
        let jpeg = match size == own {
            true => encode::encode(picture, quality)?,
            false => encode::encode(&scale::scale(picture, size.0, size.1)?, quality)?,
        };
        Ok((jpeg, size))
    }

    pub fn quality_used(&self) -> Option<u8> {
        self.used.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::smooth;
    use std::sync::Arc;

    #[test]
    fn jpeg_passes_untouched_unless_something_is_asked() {
        let data = encode::encode(&smooth(64, 48), 70).unwrap();
        let through = |size, quality| Coder::new(size, quality).encode(Image::Jpeg(data.clone())).unwrap();
        assert_eq!(through(None, None).0, data);
        assert_eq!(through(Some((64, 48)), None).0, data);
        assert_ne!(through(None, Some(50)).0, data);
        assert_eq!(through(Some((32, 24)), None).1, (32, 24));
    }

    #[test]
    fn pictures_are_coded_at_80() {
        let coder = Coder::new(None, None);
        coder.encode(Image::Picture(Arc::new(smooth(64, 48)))).unwrap();
        assert_eq!(coder.quality_used(), Some(80));
    }
}
