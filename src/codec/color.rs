//! From the Y'CbCr of video files to that of JPEG: full range, BT.601 (JFIF 1.02).
//!
//! Files are mostly limited range (luma 16 to 235, chroma 16 to 240) in BT.709 or BT.601. The conversion stays in
//! planar 4:2:0: each chroma sample is moved once, and pulls its four luma samples with it.

use rayon::prelude::*;

use crate::picture::Picture;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    pub matrix: Matrix,
    pub full_range: bool,
}

impl Colour {
    pub const JPEG: Colour = Colour { matrix: Matrix::Bt601, full_range: true };

    /// What players assume of a file that does not say: BT.709 from 720 lines on, limited range.
    pub fn guess(height: usize) -> Colour {
        Colour { matrix: if height >= 720 { Matrix::Bt709 } else { Matrix::Bt601 }, full_range: false }
    }
}

impl Matrix {
    /// Luma weights of red and blue (BT.601-7 2.5.1, BT.709-6 3.2, BT.2020-2 table 4).
    fn weights(self) -> (f64, f64) {
        match self {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
        }
    }

    /// Y', Cb, Cr (chroma within ±0.5) to R'G'B'.
    fn to_rgb(self) -> [[f64; 3]; 3] {
        let (r, b) = self.weights();
        let g = 1.0 - r - b;
        let (cr, cb) = (2.0 * (1.0 - r), 2.0 * (1.0 - b));
        [[1.0, 0.0, cr], [1.0, -b * cb / g, -r * cr / g], [1.0, cb, 0.0]]
    }

    fn of_rgb(self) -> [[f64; 3]; 3] {
        let (r, b) = self.weights();
        let g = 1.0 - r - b;
        let (cr, cb) = (2.0 * (1.0 - r), 2.0 * (1.0 - b));
        [[r, g, b], [-r / cb, -g / cb, (1.0 - b) / cb], [(1.0 - r) / cr, -g / cr, -b / cr]]
    }
}

/// Fixed point: 14 bits after the point keep the error under half a step.
const BITS: i32 = 14;
const HALF: i32 = 1 << (BITS - 1);

/// Converts in place; nothing to do for `Colour::JPEG`.
pub fn to_jpeg(picture: &mut Picture, from: Colour) {
    if from == Colour::JPEG {
        return;
    }
    let m = coefficients(from);
    let (width, (chroma_width, _)) = (picture.width(), picture.chroma());
    let black = if from.full_range { 0 } else { 16 };
    let [luma, cb, cr] = picture.planes_mut();
    let rows = luma.par_chunks_mut(2 * width).zip(cb.par_chunks_mut(chroma_width)).zip(cr.par_chunks_mut(chroma_width));
    rows.for_each_init(
        || vec![0i32; chroma_width],
        |pull, ((luma, cb), cr)| {
            for ((pull, cb), cr) in pull.iter_mut().zip(cb).zip(cr) {
                let (b, r) = (i32::from(*cb) - 128, i32::from(*cr) - 128);
                *pull = m[0][1] * b + m[0][2] * r + HALF - m[0][0] * black;
                *cb = clamp((m[1][1] * b + m[1][2] * r + HALF + (128 << BITS)) >> BITS);
                *cr = clamp((m[2][1] * b + m[2][2] * r + HALF + (128 << BITS)) >> BITS);
            }
            for row in luma.chunks_exact_mut(width) {
                for (pair, &pull) in row.chunks_mut(2).zip(pull.iter()) {
                    for y in pair {
                        *y = clamp((m[0][0] * i32::from(*y) + pull) >> BITS);
                    }
                }
            }
        },
    );
}

fn clamp(v: i32) -> u8 {
    v.clamp(0, 255) as u8
}

/// The 3x3 matrix from `from`'s Y'CbCr steps to JPEG's, in fixed point. Its first column is zero below the first row:
/// grey stays grey.
fn coefficients(from: Colour) -> [[i32; 3]; 3] {
    let (rgb, ycc) = (from.matrix.to_rgb(), Matrix::Bt601.of_rgb());
    let (luma, chroma) = if from.full_range { (1.0, 1.0) } else { (255.0 / 219.0, 255.0 / 224.0) };
    std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            let sum: f64 = (0..3).map(|k| ycc[i][k] * rgb[k][j]).sum();
            (sum * if j == 0 { luma } else { chroma } * f64::from(1 << BITS)).round() as i32
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(from: Colour, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let mut p = Picture::new(16, 16);
        for (plane, value) in p.planes_mut().into_iter().zip([y, cb, cr]) {
            plane.fill(value);
        }
        to_jpeg(&mut p, from);
        p.planes().map(|plane| plane[0])
    }

    #[test]
    fn known_colours_arrive() {
        let sd = Colour { matrix: Matrix::Bt601, full_range: false };
        let hd = Colour { matrix: Matrix::Bt709, full_range: false };
        assert_eq!(one(sd, 16, 128, 128), [0, 128, 128]);
        assert_eq!(one(hd, 235, 128, 128), [255, 128, 128]);
        // Pure red: BT.601 limited (81, 90, 240), BT.709 limited (63, 102, 240), in JFIF (76, 85, 255).
        for got in [one(sd, 81, 90, 240), one(hd, 63, 102, 240)] {
            assert!(got.iter().zip([76, 85, 255]).all(|(&a, b)| a.abs_diff(b) <= 1), "{got:?}");
        }
        // Pure green: BT.709 limited (173, 42, 26), in JFIF (150, 44, 21).
        assert!(one(hd, 173, 42, 26).iter().zip([150, 44, 21]).all(|(&a, b)| a.abs_diff(b) <= 1));
    }

    #[test]
    fn jpeg_stays_as_it_is() {
        assert_eq!(one(Colour::JPEG, 1, 2, 3), [1, 2, 3]);
    }
}
