//! JPEG in and out: pure functions over bytes and pictures, on the threads of rayon's pool.

pub mod blocks;
pub mod change;
pub mod coder;
pub mod color;
pub mod decode;
pub mod encode;
pub mod gate;
pub mod jpeg;
pub mod lossless;
pub mod noise;
pub mod scale;
pub mod shown;
pub mod split;
pub mod tiles;
pub mod turn;

use anyhow::{Result, ensure};
use bytes::Bytes;

use crate::segments::{Coded, Form, Head};

/// Width and height of a picture under this head; `whole` are its bytes, which are asked only where the head says
/// nothing. Errors: what is none, or is not in as many segments as it has tiles.
pub fn size(head: &Head, whole: &[u8]) -> Result<(usize, usize)> {
    let (width, height) = match head.form {
        Form::Whole => return jpeg::parse(whole).map(|header| (header.width, header.height)),
        Form::Lz4 => lossless::size(&head.header)?,
        Form::Tiles => jpeg::parse(&head.header).map(|header| (header.width, header.height))?,
    };
    let tiles = tiles::Grid::new(width, height).tiles();
    ensure!(tiles == head.count, "{} segments for a picture of {width}x{height}", head.count);
    Ok((width, height))
}

/// What is kept as JPEG of pictures that lose nothing: nobody sees what it costs.
const QUALITY: u8 = 95;

/// A frame's picture as JPEG, which most frames are already.
pub fn as_jpeg(coded: &Coded) -> Result<Bytes> {
    match coded.head.form {
        Form::Whole | Form::Tiles => Ok(coded.bytes.clone()),
        Form::Lz4 => encode::encode(&lossless::picture(coded)?, QUALITY),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Pictures for the codec's tests.

    use crate::picture::Picture;

    /// Random blocks, so that no two tiles are alike.
    pub fn noise(width: usize, height: usize, seed: u64) -> Picture {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut picture = Picture::new(width, height);
        for plane in picture.planes_mut() {
            plane.chunks_mut(5).for_each(|run| run.fill(random.u8(..)));
        }
        picture
    }

    /// Gentle slopes, which JPEG keeps well.
    pub fn smooth(width: usize, height: usize) -> Picture {
        let mut picture = Picture::new(width, height);
        let (cw, _) = picture.chroma();
        for (plane, w) in picture.planes_mut().into_iter().zip([width, cw, cw]) {
            for (i, sample) in plane.iter_mut().enumerate() {
                *sample = (64 + i % w * 100 / w + i / w % 32) as u8;
            }
        }
        picture
    }
}
