//! From a source's image to the segments of a frame: passed through where nothing else was asked for, else coded, and
//! of that only the tiles that changed.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use clap::ValueEnum;

use crate::clock::Time;
use crate::codec::blocks::Tables;
use crate::codec::gate::{Gate, Mode};
use crate::codec::{decode, encode, jpeg, lossless, scale};
use crate::frame::{BYTES_MAX, Image};
use crate::picture::Picture;
use crate::segments::{Coded, Head, Segment, splice};

/// Good film at an eighth of a byte a pixel; what ustreamer and GStreamer take too.
const QUALITY: u8 = 80;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// For cameras and films
    #[default]
    Jpeg,
    /// For screens and figures: every pixel as it was, several times the bytes of JPEG where the picture moves
    Lz4,
}

/// What a user asks of the frames; what is left open follows the source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    pub size: Option<(usize, usize)>,
    pub quality: Option<u8>,
    pub codec: Codec,
    pub gate: Option<Mode>,
}

impl Wanted {
    /// Whether pictures that are JPEG already must be coded anew.
    pub fn recodes(&self) -> bool {
        let gated = self.gate.is_some_and(|gate| gate != Mode::Off);
        self.quality.is_some() || gated || self.codec != Codec::Jpeg
    }
}

/// Who hears of segments while the rest of their frame is still being coded, under which head.
pub type Early<'a> = &'a (dyn Fn(&Arc<Head>, &[Segment<Bytes>]) + Sync);

pub struct Coder {
    wanted: Wanted,
    standing: Option<Standing>,
}

/// The newest frame, and the gate before the next one.
struct Standing {
    coded: Coded,
    size: (usize, usize),
    /// None where the frame was passed through.
    gate: Option<Gate>,
}

impl Coder {
    pub fn new(wanted: Wanted) -> Coder {
        Coder { wanted, standing: None }
    }

    /// The coded picture, and its width and height. `seq` counts up and becomes the version of what changed. What is coded
    /// here is told to `early` segment by segment as it is ready, in no order, from any thread.
    pub fn encode(&mut self, image: Image, seq: u64, captured: Time, early: Early) -> Result<(Coded, (usize, usize))> {
        let picture = match image {
            Image::Jpeg(data) => {
                ensure!(data.len() <= BYTES_MAX, "a JPEG of {} bytes is over the limit", data.len());
                let header = jpeg::parse(&data)?;
                let size = (header.width, header.height);
                if !self.wanted.recodes() && self.wanted.size.is_none_or(|wanted| wanted == size) {
                    let new = jpeg::segments(data, seq)?;
                    let coded = self.standing.as_ref().map_or_else(|| new.clone(), |old| new.clone().after(&old.coded));
                    self.standing = Some(Standing { coded: coded.clone(), size, gate: None });
                    return Ok((coded, size));
                }
                Arc::new(decode::decode(&data)?)
            }
            Image::Picture(picture) => picture,
        };
        let own = (picture.width(), picture.height());
        match self.wanted.size.filter(|&size| size != own) {
            Some((width, height)) => self.code(&scale::scale(&picture, width, height)?, seq, captured, early),
            None => self.code(&picture, seq, captured, early),
        }
    }

    fn code(&mut self, picture: &Picture, seq: u64, captured: Time, early: Early) -> Result<(Coded, (usize, usize))> {
        let size = (picture.width(), picture.height());
        let standing = self.standing.take().filter(|standing| standing.size == size);
        let (coded, gate) = match standing {
            Some(Standing { coded, gate: Some(mut gate), .. }) => {
                let (tiles, shown) = gate.pass(picture, &coded, captured);
                let news = self.segments(shown, &tiles, seq, |news| {
                    // What came out as it was keeps its version.
                    news.retain(|(tile, _, bytes)| coded.segment(*tile) != bytes);
                    early(&coded.head, news);
                });
                (splice(Some(&coded), &coded.head, &news)?, gate)
            }
            _ => self.first(picture, seq, captured, early)?,
        };
        self.standing = Some(Standing { coded: coded.clone(), size, gate: Some(gate) });
        Ok((coded, size))
    }

    fn first(&self, picture: &Picture, seq: u64, captured: Time, early: Early) -> Result<(Coded, Gate)> {
        let head = match self.wanted.codec {
            Codec::Jpeg => encode::head(picture, self.quality(), seq)?,
            Codec::Lz4 => lossless::head(picture, seq)?,
        };
        let all: Vec<usize> = (0..head.count).collect();
        let coded = splice(None, &head, &self.segments(picture, &all, seq, |news| early(&head, news)))?;
        let gate = Gate::new(self.wanted.gate.unwrap_or_default(), self.quality_used(), picture, captured);
        Ok((coded, gate))
    }

    /// Codes tiles on all cores; each lot goes through `done` as soon as it is there.
    fn segments(
        &self,
        picture: &Picture,
        tiles: &[usize],
        seq: u64,
        done: impl Fn(&mut Vec<Segment<Bytes>>) + Sync,
    ) -> Vec<Segment<Bytes>> {
        let tables = Tables::new(self.quality());
        encode::on_all_cores(tiles, |tiles| {
            let mut news = match self.wanted.codec {
                Codec::Jpeg => encode::encode_tiles(picture, &tables, tiles, seq),
                Codec::Lz4 => lossless::pack(picture, tiles, seq),
            };
            done(&mut news);
            news
        })
    }

    fn quality(&self) -> u8 {
        self.wanted.quality.unwrap_or(QUALITY)
    }

    /// The quality of JPEG that is coded here; none where frames are passed through or lose nothing.
    pub fn quality_used(&self) -> Option<u8> {
        let passed = self.standing.as_ref().is_some_and(|standing| standing.gate.is_none());
        (self.wanted.codec == Codec::Jpeg && !passed).then(|| self.quality())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{noise, smooth};
    use crate::segments::Form;

    const NOW: Time = Time::from_micros(0);

    #[test]
    fn jpeg_passes_untouched_unless_something_is_asked() {
        let data = encode::encode(&smooth(64, 48), 70).unwrap();
        let through = |wanted| Coder::new(wanted).encode(Image::Jpeg(data.clone()), 0, NOW, &|_, _| ()).unwrap();
        assert_eq!(through(Wanted::default()).0.bytes, data);
        assert_eq!(through(Wanted { size: Some((64, 48)), ..Wanted::default() }).0.bytes, data);
        assert_ne!(through(Wanted { quality: Some(50), ..Wanted::default() }).0.bytes, data);
        assert_ne!(through(Wanted { gate: Some(Mode::Auto), ..Wanted::default() }).0.bytes, data);
        assert_eq!(through(Wanted { size: Some((32, 24)), ..Wanted::default() }).1, (32, 24));
        assert_eq!(through(Wanted { codec: Codec::Lz4, ..Wanted::default() }).0.head.form, Form::Lz4);
    }

    #[test]
    fn pictures_are_coded_at_80() {
        let mut coder = Coder::new(Wanted::default());
        coder.encode(Image::Picture(Arc::new(smooth(64, 48))), 0, NOW, &|_, _| ()).unwrap();
        assert_eq!(coder.quality_used(), Some(80));
    }

    #[test]
    fn without_a_gate_the_bytes_are_those_of_a_plain_encoding_and_equal_ones_keep_their_version() {
        let mut coder = Coder::new(Wanted { gate: Some(Mode::Off), ..Wanted::default() });
        let mut picture = noise(320, 240, 1);
        coder.encode(Image::Picture(picture.clone().into()), 0, NOW, &|_, _| ()).unwrap();
        picture.planes_mut()[0][100 * 320 + 50] ^= 0xFF;
        let (coded, _) = coder.encode(Image::Picture(picture.clone().into()), 1, NOW, &|_, _| ()).unwrap();
        assert_eq!(coded.bytes, encode::encode(&picture, 80).unwrap());
        assert_eq!(coded.versions.iter().filter(|&&version| version == 1).count(), 1);
    }

    #[test]
    fn a_gated_frame_is_the_old_one_but_for_what_changed() {
        let mut coder = Coder::new(Wanted::default());
        let (old, mut new) = (noise(320, 240, 1), noise(320, 240, 1));
        let (first, _) = coder.encode(Image::Picture(old.into()), 0, NOW, &|_, _| ()).unwrap();
        new.planes_mut()[0][..320 * 16].fill(9);
        let (second, _) = coder.encode(Image::Picture(new.clone().into()), 1, NOW, &|_, _| ()).unwrap();
        let whole = jpeg::segments(encode::encode(&new, 80).unwrap(), 1).unwrap();
        assert_eq!(second.bytes, whole.bytes, "nothing else differs, so the splice is the plain encoding");
        assert_eq!(second.lacking(Some(&first)), [0, 1, 2]);
    }

    #[test]
    fn another_size_begins_anew() {
        let mut coder = Coder::new(Wanted::default());
        for (seq, size) in [(0, (64, 48)), (1, (80, 48)), (2, (64, 48))] {
            let (coded, got) =
                coder.encode(Image::Picture(smooth(size.0, size.1).into()), seq, NOW, &|_, _| ()).unwrap();
            assert_eq!((got, coded.head.since), (size, seq));
            assert!(coded.versions.iter().all(|&version| version == seq));
        }
    }

    #[test]
    fn what_is_no_jpeg_is_refused() {
        assert!(
            Coder::new(Wanted::default()).encode(Image::Jpeg(b"GIF89a".as_slice().into()), 0, NOW, &|_, _| ()).is_err()
        );
    }
}
