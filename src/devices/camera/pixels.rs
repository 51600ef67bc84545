//! From the pixel formats of cameras to planar 4:2:0, and what V4L2 says of their colours. Pure.

use std::fmt;

use rayon::prelude::*;
use v4l::v4l_sys as sys;

use crate::codec::color::{Colour, Matrix};
use crate::picture::Picture;

/// The formats that vstream reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    Mjpg,
    /// The same under another name; drivers have the one or the other.
    Jpeg,
    Yuyv,
    Uyvy,
    Nv12,
    I420,
}

/// The order is that of preference, but for the first two where pixels are wanted.
const KNOWN: [(Pixels, &[u8; 4]); 6] = [
    (Pixels::Mjpg, b"MJPG"),
    (Pixels::Jpeg, b"JPEG"),
    (Pixels::Yuyv, b"YUYV"),
    (Pixels::Nv12, b"NV12"),
    (Pixels::I420, b"YU12"),
    (Pixels::Uyvy, b"UYVY"),
];

impl Pixels {
    pub fn of(fourcc: u32) -> Option<Pixels> {
        KNOWN.into_iter().find(|(_, name)| u32::from_le_bytes(**name) == fourcc).map(|(pixels, _)| pixels)
    }

    fn name(self) -> &'static [u8; 4] {
        KNOWN[self.place()].1
    }

    fn place(self) -> usize {
        KNOWN.iter().position(|(pixels, _)| *pixels == self).unwrap_or(0)
    }

    pub fn fourcc(self) -> u32 {
        u32::from_le_bytes(*self.name())
    }

    pub fn is_jpeg(self) -> bool {
        matches!(self, Pixels::Mjpg | Pixels::Jpeg)
    }

    /// The less, the better; JPEG is best where it is passed on as it is and worst where it must be decoded.
    pub fn rank(self, recode: bool) -> usize {
        self.place() + if recode && self.is_jpeg() { KNOWN.len() } else { 0 }
    }
}

impl fmt::Display for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&fourcc_text(self.fourcc()))
    }
}

/// "YUYV"; what is not printable becomes a dot, and the big-endian bit is no letter.
pub fn fourcc_text(fourcc: u32) -> String {
    let letters = (fourcc & 0x7FFF_FFFF).to_le_bytes();
    let text: String =
        letters.iter().map(|&b| if b.is_ascii_graphic() || b == b' ' { char::from(b) } else { '.' }).collect();
    text.trim_end().to_string()
}

/// Where the rows of a raw picture lie in its buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    pub pixels: Pixels,
    pub width: usize,
    pub height: usize,
    /// Bytes from one row (of the first plane) to the next.
    pub stride: usize,
}

impl Layout {
    /// As the driver tells it; a stride that cannot be is taken for "no padding".
    pub fn new(pixels: Pixels, width: usize, height: usize, stride: usize) -> Layout {
        let row = width.next_multiple_of(2) * if matches!(pixels, Pixels::Yuyv | Pixels::Uyvy) { 2 } else { 1 };
        Layout { pixels, width, height, stride: if stride < row { row } else { stride } }
    }

    /// Bytes that a whole picture takes, padding after its last row aside.
    fn need(&self) -> usize {
        let (chroma_rows, row) = (self.height.div_ceil(2), self.width.next_multiple_of(2));
        match self.pixels {
            Pixels::Mjpg | Pixels::Jpeg => 0,
            Pixels::Yuyv | Pixels::Uyvy => self.stride * (self.height - 1) + row * 2,
            Pixels::Nv12 => self.stride * (self.height + chroma_rows - 1) + row,
            Pixels::I420 => self.stride * self.height + self.stride / 2 * (2 * chroma_rows - 1) + row / 2,
        }
    }

    /// The picture in `bytes`, its colours as the camera has them; `None` if they are too few.
    pub fn picture(&self, bytes: &[u8]) -> Option<Picture> {
        if bytes.len() < self.need() || self.pixels.is_jpeg() {
            return None;
        }
        let mut picture = Picture::new(self.width, self.height);
        match self.pixels {
            Pixels::Uyvy => self.packed(bytes, [1, 0, 2], &mut picture),
            Pixels::Nv12 => self.half_planar(bytes, &mut picture),
            Pixels::I420 => self.planar(bytes, &mut picture),
            _ => self.packed(bytes, [0, 1, 3], &mut picture),
        }
        Some(picture)
    }

    /// Two pixels in four bytes, with the places of the first luma sample, Cb and Cr among them. Chroma has every row:
    /// the mean of two goes into one.
    fn packed(&self, bytes: &[u8], [at_y, at_cb, at_cr]: [usize; 3], picture: &mut Picture) {
        let (width, (chroma_width, _)) = (self.width, picture.chroma());
        let row = chroma_width * 4;
        let [luma, cb, cr] = picture.planes_mut();
        let out =
            luma.par_chunks_mut(2 * width).zip(cb.par_chunks_mut(chroma_width)).zip(cr.par_chunks_mut(chroma_width));
        out.enumerate().for_each(|(pair, ((luma, cb), cr))| {
            let upper = &bytes[2 * pair * self.stride..][..row];
            let lower = if luma.len() > width { &bytes[(2 * pair + 1) * self.stride..][..row] } else { upper };
            for (out, from) in luma.chunks_mut(width).zip([upper, lower]) {
                out.iter_mut().zip(from[at_y..].iter().step_by(2)).for_each(|(to, &y)| *to = y);
            }
            for (((cb, cr), a), b) in cb.iter_mut().zip(cr).zip(upper.chunks_exact(4)).zip(lower.chunks_exact(4)) {
                *cb = mean(a[at_cb], b[at_cb]);
                *cr = mean(a[at_cr], b[at_cr]);
            }
        });
    }

    fn half_planar(&self, bytes: &[u8], picture: &mut Picture) {
        let (width, (chroma_width, _)) = (self.width, picture.chroma());
        let (from, pairs) = bytes.split_at(self.stride * self.height);
        let [luma, cb, cr] = picture.planes_mut();
        copy_rows(from, self.stride, luma, width);
        let rows =
            cb.chunks_exact_mut(chroma_width).zip(cr.chunks_exact_mut(chroma_width)).zip(pairs.chunks(self.stride));
        for ((cb, cr), from) in rows {
            for ((cb, cr), pair) in cb.iter_mut().zip(cr).zip(from.chunks_exact(2)) {
                (*cb, *cr) = (pair[0], pair[1]);
            }
        }
    }

    fn planar(&self, bytes: &[u8], picture: &mut Picture) {
        let (width, (chroma_width, chroma_height)) = (self.width, picture.chroma());
        let (y, chroma) = bytes.split_at(self.stride * self.height);
        let half = self.stride / 2;
        let (b, r) = chroma.split_at(half * chroma_height);
        let [luma, cb, cr] = picture.planes_mut();
        copy_rows(y, self.stride, luma, width);
        copy_rows(b, half, cb, chroma_width);
        copy_rows(r, half, cr, chroma_width);
    }
}

fn mean(a: u8, b: u8) -> u8 {
    (u16::from(a) + u16::from(b)).div_ceil(2) as u8
}

fn copy_rows(from: &[u8], stride: usize, to: &mut [u8], width: usize) {
    for (to, from) in to.chunks_exact_mut(width).zip(from.chunks(stride)) {
        to.copy_from_slice(&from[..width]);
    }
}

/// What the driver says of its colours, by the rules of V4L2_MAP_YCBCR_ENC_DEFAULT and V4L2_MAP_QUANTIZATION_DEFAULT
/// in linux/videodev2.h where it leaves them open.
pub fn colour(colorspace: u32, encoding: u32, quantization: u32) -> Colour {
    let matrix = match (encoding, colorspace) {
        (sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_709 | sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_XV709, _) => {
            Matrix::Bt709
        }
        // SMPTE 240M is no matrix of its own here; BT.709's is within a step of it.
        (sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_SMPTE240M, _) => Matrix::Bt709,
        (sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_BT2020, _) => Matrix::Bt2020,
        (sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_BT2020_CONST_LUM, _) => Matrix::Bt2020,
        (sys::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_DEFAULT, space) => match space {
            sys::v4l2_colorspace_V4L2_COLORSPACE_REC709 => Matrix::Bt709,
            sys::v4l2_colorspace_V4L2_COLORSPACE_DCI_P3 => Matrix::Bt709,
            sys::v4l2_colorspace_V4L2_COLORSPACE_SMPTE240M => Matrix::Bt709,
            sys::v4l2_colorspace_V4L2_COLORSPACE_BT2020 => Matrix::Bt2020,
            _ => Matrix::Bt601,
        },
        _ => Matrix::Bt601,
    };
    let full_range = match quantization {
        sys::v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE => true,
        sys::v4l2_quantization_V4L2_QUANTIZATION_LIM_RANGE => false,
        _ => colorspace == sys::v4l2_colorspace_V4L2_COLORSPACE_JPEG,
    };
    Colour { matrix, full_range }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture in which every sample tells its place, in the given format with rows of `stride` bytes.
    fn packed(width: usize, height: usize, stride: usize, order: [usize; 3]) -> Vec<u8> {
        let mut bytes = vec![0xEE; stride * height];
        for (y, row) in bytes.chunks_exact_mut(stride).enumerate() {
            for x in 0..width.div_ceil(2) {
                row[4 * x + order[0]] = (x * 2 + y) as u8;
                row[4 * x + order[0] + 2] = (x * 2 + 1 + y) as u8;
                row[4 * x + order[1]] = (100 + y) as u8;
                row[4 * x + order[2]] = (200 + x) as u8;
            }
        }
        bytes
    }

    #[test]
    fn packed_pixels_become_planes() {
        for (pixels, order) in [(Pixels::Yuyv, [0, 1, 3]), (Pixels::Uyvy, [1, 0, 2])] {
            for (width, height) in [(32, 16), (17, 19)] {
                let layout = Layout::new(pixels, width, height, 80);
                let picture = layout.picture(&packed(width, height, 80, order)).unwrap();
                let [luma, cb, cr] = picture.planes();
                assert_eq!((luma[0], luma[width + 2], luma[width * height - 1]), (0, 3, (width + height - 2) as u8));
                assert_eq!((cb[0], cr[1]), (101, 201)); // rows 0 and 1: the mean of 100 and 101, rounded up
                assert_eq!(usize::from(cb[cb.len() - 1]), 100 + height - 1);
            }
        }
    }

    #[test]
    fn planes_are_copied_without_their_padding() {
        let (width, height, stride) = (17, 19, 24);
        let luma: Vec<u8> = (0..stride * height).map(|i| (i % stride) as u8).collect();
        let pairs: Vec<u8> = (0..stride * 10).map(|i| (i % stride) as u8).collect();
        let nv12 = [luma.clone(), pairs].concat();
        let picture = Layout::new(Pixels::Nv12, width, height, stride).picture(&nv12).unwrap();
        assert_eq!(picture.planes()[0][width..2 * width], luma[..width]);
        assert_eq!((picture.planes()[1][8], picture.planes()[2][8]), (16, 17));
        assert_eq!((picture.planes()[1][9], picture.planes()[2][89]), (0, 17));

        let planar = [luma, vec![7; stride / 2 * 10], vec![9; stride / 2 * 10]].concat();
        let picture = Layout::new(Pixels::I420, width, height, stride).picture(&planar).unwrap();
        assert!(picture.planes()[1].iter().all(|&b| b == 7) && picture.planes()[2].iter().all(|&r| r == 9));
        assert_eq!(picture.planes()[0][width * 18], 0);
    }

    #[test]
    fn short_buffers_are_no_pictures() {
        for (pixels, whole) in [(Pixels::Yuyv, 512), (Pixels::Uyvy, 512), (Pixels::Nv12, 384), (Pixels::I420, 384)] {
            let layout = Layout::new(pixels, 16, 16, 0);
            assert!(layout.picture(&vec![0; whole]).is_some(), "{pixels}");
            for short in [0, 1, whole / 2, whole - 1] {
                assert!(layout.picture(&vec![0; short]).is_none(), "{pixels} {short}");
            }
        }
    }

    #[test]
    fn colours_that_are_not_said_follow_the_standard() {
        let limited = |matrix| Colour { matrix, full_range: false };
        assert_eq!(colour(0, 0, 0), limited(Matrix::Bt601));
        assert_eq!(colour(8, 0, 0), limited(Matrix::Bt601)); // sRGB, as webcams say
        assert_eq!(colour(3, 0, 0), limited(Matrix::Bt709));
        assert_eq!(colour(8, 2, 0), limited(Matrix::Bt709));
        assert_eq!(colour(10, 0, 0), limited(Matrix::Bt2020));
        assert_eq!(colour(7, 0, 0), Colour::JPEG);
        assert_eq!(colour(3, 1, 1), Colour::JPEG);
        assert_eq!(colour(7, 0, 2), limited(Matrix::Bt601));
        assert_eq!(colour(u32::MAX, u32::MAX, u32::MAX), limited(Matrix::Bt601));
    }

    #[test]
    fn names_are_printable_whatever_the_driver_says() {
        assert_eq!(fourcc_text(Pixels::Yuyv.fourcc()), "YUYV");
        assert_eq!(fourcc_text(u32::from_le_bytes(*b"Y16 ")), "Y16");
        assert_eq!(fourcc_text(0x0102_0304), "....");
        assert_eq!(Pixels::of(Pixels::Nv12.fourcc()), Some(Pixels::Nv12));
    }
}
