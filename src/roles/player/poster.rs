//! Pictures of videos in the list of what there is: asked for one after the other, read, and made small.

use std::collections::HashSet;

use anyhow::{Result, ensure};
use base64ct::{Base64, Encoding};
use bytes::Bytes;

use crate::codec::{decode, jpeg, scale};
use crate::picture::Picture;
use crate::web::sizes::fit;
use crate::word::{Hall, Word};

/// Videos whose pictures are asked for: each takes some 60 kB here.
const MOST: usize = 200;
/// Twice as large as a row shows it, for fine screens.
const SIZE: (usize, usize) = (160, 90);
/// Of what comes; a hub's are 320 wide.
const PIXELS_MAX: usize = 1 << 20;

/// Red, green and blue of each pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poster {
    pub size: [usize; 2],
    pub rgb: Vec<u8>,
}

impl Poster {
    /// Errors: no JPEG in base64, or too large a one.
    pub fn read(base64: &str) -> Result<Poster> {
        let data = Bytes::from(Base64::decode_vec(base64)?);
        let header = jpeg::parse(&data)?;
        ensure!(header.width * header.height <= PIXELS_MAX, "it has {}×{} pixels", header.width, header.height);
        let picture = decode::decode(&data)?;
        let picture = match fit((picture.width(), picture.height()), SIZE) {
            Some((width, height)) => scale::scale(&picture, width, height)?,
            None => picture,
        };
        Ok(Poster { size: [picture.width(), picture.height()], rgb: rgb(&picture) })
    }
}

/// Full-range BT.601, as JPEGs have it; of these few pixels it need not be fast.
fn rgb(picture: &Picture) -> Vec<u8> {
    let ([luma, cb, cr], (wide, _)) = (picture.planes(), picture.chroma());
    let pixel = |at: usize| {
        let (x, y) = (at % picture.width(), at / picture.width());
        let chroma = y / 2 * wide + x / 2;
        let (l, b, r) = (f32::from(luma[at]), f32::from(cb[chroma]) - 128.0, f32::from(cr[chroma]) - 128.0);
        [l + 1.402 * r, l - 0.344 * b - 0.714 * r, l + 1.772 * b].map(|v| v.round() as u8)
    };
    (0..luma.len()).flat_map(pixel).collect()
}

/// Which pictures were asked for; one is on its way at a time.
#[derive(Debug, Default)]
pub struct Asking {
    asked: HashSet<String>,
    waits: Option<String>,
}

impl Asking {
    /// Whether it is the one that was asked for: nobody may send others, and as many as he likes.
    pub fn answers(&mut self, name: &str) -> bool {
        self.waits.take_if(|asked| asked == name).is_some()
    }

    /// What to ask for next.
    pub fn next(&mut self, hall: Option<&Hall>) -> Option<Word> {
        if self.waits.is_some() || self.asked.len() >= MOST {
            return None;
        }
        let there = |rungs: &[String], preparing: Option<f64>| !rungs.is_empty() && preparing.is_none();
        let mut videos = hall?.videos.iter().filter(|video| there(&video.rungs, video.preparing));
        let video = videos.find(|video| !self.asked.contains(&video.name))?;
        self.waits = Some(video.name.clone());
        self.asked.insert(video.name.clone());
        Some(Word::Poster { name: video.name.clone(), jpeg: String::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode;
    use crate::word::Video;

    #[test]
    fn a_picture_is_read_and_what_is_none_is_an_error() {
        let mut red = Picture::new(320, 180);
        let [luma, cb, cr] = red.planes_mut();
        luma.fill(76);
        cb.fill(85);
        cr.fill(255);
        let jpeg = encode::encode(&red, 90).unwrap();
        let poster = Poster::read(&Base64::encode_string(&jpeg)).unwrap();
        assert_eq!((poster.size, poster.rgb.len()), ([160, 90], 160 * 90 * 3));
        let [r, g, b] = *poster.rgb.last_chunk().unwrap();
        assert!(r > 245 && g < 10 && b < 10, "{r} {g} {b}");
        for bad in ["", "é", "AAAA", &Base64::encode_string(&jpeg[..200])] {
            assert!(Poster::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_is_asked_for_at_a_time_and_each_once() {
        let video = |name: &str, rungs: &[&str], preparing| {
            let rungs = rungs.iter().map(|rung| rung.to_string()).collect();
            Video { name: name.to_string(), rungs, preparing, ..Video::default() }
        };
        let videos = vec![video("a", &["240p"], Some(0.5)), video("b", &[], None), video("c", &["240p"], None)];
        let mut hall = Hall { videos, ..Hall::default() };
        let mut asking = Asking::default();
        let asks = |word: Option<Word>| matches!(word, Some(Word::Poster { .. }));
        assert!(asks(asking.next(Some(&hall))));
        assert!(!asks(asking.next(Some(&hall))), "it waits");
        assert!(!asking.answers("b") && asking.answers("c") && !asking.answers("c"));
        assert!(!asks(asking.next(Some(&hall))), "there is no other");
        hall.videos[0].preparing = None;
        assert_eq!(asking.next(Some(&hall)), Some(Word::Poster { name: "a".into(), jpeg: String::new() }));
        assert!(asking.answers("a"));
        assert!(!asks(asking.next(None)));
    }
}
