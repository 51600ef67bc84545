//! Decoded pixels: planar Y'CbCr 4:2:0, full-range BT.601 as JPEG has them unless said otherwise.

use anyhow::{Result, ensure};

/// Three planes in one buffer, Y then Cb then Cr, without padding (the layout others call I420).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

/// 8K UHD: the largest that vstream encodes or takes as raw pixels.
pub const WIDTH_MAX: usize = 7680;
pub const HEIGHT_MAX: usize = 4320;
/// One MCU: the smallest.
pub const SIDE_MIN: usize = 16;

/// A size that can be coded, or why it cannot.
pub fn check_size(width: usize, height: usize) -> Result<()> {
    ensure!(
        (SIDE_MIN..=WIDTH_MAX).contains(&width) && (SIDE_MIN..=HEIGHT_MAX).contains(&height),
        "a picture of {width}x{height} is out of range: {SIDE_MIN}x{SIDE_MIN} to {WIDTH_MAX}x{HEIGHT_MAX}"
    );
    Ok(())
}

/// Bytes of a 4:2:0 picture.
pub fn byte_len(width: usize, height: usize) -> usize {
    width * height + 2 * width.div_ceil(2) * height.div_ceil(2)
}

impl Picture {
    /// A black picture.
    pub fn new(width: usize, height: usize) -> Picture {
        let mut data = vec![0; byte_len(width, height)];
        data[width * height..].fill(128);
        Picture { width, height, data }
    }

    /// Takes the three planes in one buffer of exactly `byte_len(width, height)` bytes.
    pub fn from_planes(width: usize, height: usize, data: Vec<u8>) -> Result<Picture> {
        check_size(width, height)?;
        ensure!(
            data.len() == byte_len(width, height),
            "{} bytes are not a 4:2:0 picture of {width}x{height}",
            data.len()
        );
        Ok(Picture { width, height, data })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// Width and height of the Cb and Cr planes: half, rounded up.
    pub fn chroma(&self) -> (usize, usize) {
        (self.width.div_ceil(2), self.height.div_ceil(2))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    pub fn planes(&self) -> [&[u8]; 3] {
        let (cw, ch) = self.chroma();
        let (y, rest) = self.data.split_at(self.width * self.height);
        let (u, v) = rest.split_at(cw * ch);
        [y, u, v]
    }

    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let (cw, ch) = self.chroma();
        let (y, rest) = self.data.split_at_mut(self.width * self.height);
        let (u, v) = rest.split_at_mut(cw * ch);
        [y, u, v]
    }

    /// Mean squared error of the luma planes turned into decibels; `f64::INFINITY` for equal planes.
    pub fn psnr(&self, other: &Picture) -> [f64; 3] {
        assert_eq!((self.width, self.height), (other.width, other.height), "pictures of one size");
        let (a, b) = (self.planes(), other.planes());
        std::array::from_fn(|i| {
            let sum: u64 = a[i].iter().zip(b[i]).map(|(&x, &y)| u64::from(x.abs_diff(y)).pow(2)).sum();
            10.0 * (255.0 * 255.0 * a[i].len() as f64 / sum as f64).log10()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_sizes_round_chroma_up() {
        let p = Picture::new(17, 19);
        assert_eq!(p.chroma(), (9, 10));
        assert_eq!(p.planes().map(<[u8]>::len), [17 * 19, 90, 90]);
    }

    #[test]
    fn wrong_lengths_and_sizes_are_refused() {
        assert!(Picture::from_planes(16, 16, vec![0; 383]).is_err());
        assert!(Picture::from_planes(8, 16, vec![0; 192]).is_err());
        assert!(Picture::from_planes(16, 16, vec![0; 384]).is_ok());
    }

    #[test]
    fn psnr_of_one_step_is_known() {
        let (a, mut b) = (Picture::new(16, 16), Picture::new(16, 16));
        assert_eq!(a.psnr(&b), [f64::INFINITY; 3]);
        b.planes_mut()[0].fill(1);
        assert!((a.psnr(&b)[0] - 48.13).abs() < 0.01);
    }
}
