//! Pictures to another size, by fast_image_resize on each plane.

use anyhow::{Context, Result};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::picture::{Picture, check_size};

/// Scales to `width` x `height`, averaging as it shrinks (a bilinear filter widened to the source's pixels).
pub fn scale(picture: &Picture, width: usize, height: usize) -> Result<Picture> {
    check_size(width, height)?;
    let mut out = Picture::new(width, height);
    let (from_size, to_size) = (picture.chroma(), out.chroma());
    let sizes = [((picture.width(), picture.height()), (width, height)), (from_size, to_size), (from_size, to_size)];
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let mut resizer = Resizer::new();
    for ((from, to), (source, target)) in picture.planes().into_iter().zip(out.planes_mut()).zip(sizes) {
        let from =
            TypedImageRef::<U8>::from_buffer(source.0 as u32, source.1 as u32, from).context("could not scale")?;
        let mut to = TypedImage::<U8>::from_buffer(target.0 as u32, target.1 as u32, to).context("could not scale")?;
        resizer.resize_typed(&from, &mut to, &options).context("could not scale")?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::smooth;

    #[test]
    fn there_and_back_keeps_slopes() {
        let picture = smooth(640, 362);
        let back = scale(&scale(&picture, 333, 201).unwrap(), 640, 362).unwrap();
        let psnr = picture.psnr(&back);
        assert!(psnr[0] > 30.0 && psnr[1] > 30.0, "{psnr:?}");
    }
}
