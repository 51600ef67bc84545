//! JPEG in and out: pure functions over bytes and pictures, on the threads of rayon's pool.

pub mod coder;
pub mod color;
pub mod decode;
pub mod encode;
pub mod jpeg;
pub mod scale;
pub mod split;
pub mod tiles;

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
