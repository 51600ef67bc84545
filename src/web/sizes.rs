//! A stream at other sizes: decoded once for all of them, scaled and encoded once for all who watch a size, on threads of
//! their own, only while somebody does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use smol::future::or;

use super::views::Views;
use crate::clock;
use crate::codec;
use crate::codec::coder::{Coder, Wanted};
use crate::codec::decode::Decoder;
use crate::fanout::Fanout;
use crate::fault;
use crate::frame::{Frame, Image};
use crate::latest::Latest;
use crate::lock::lock;
use crate::log::Repeated;
use crate::picture::{Picture, SIDE_MIN};

/// Sizes that are encoded at once: as many as there are usual ones.
const SIZES: usize = 7;

type Size = (usize, usize);

#[derive(Clone)]
pub struct Sizes {
    views: Arc<Views>,
    making: Arc<Mutex<Making>>,
}

#[derive(Default)]
struct Making {
    sizes: HashMap<Size, Arc<Fanout<Frame>>>,
    /// What the sizes are scaled from, while there are any.
    decoded: Option<Arc<Fanout<Decoded>>>,
}

#[derive(Clone)]
struct Decoded(Frame, Arc<Picture>);

impl Sizes {
    pub fn new(views: &Arc<Views>) -> Sizes {
        Sizes { views: views.clone(), making: Arc::default() }
    }

    /// The frames at a size, scaled to fit into it and never up; none where too many sizes are wanted already.
    pub fn subscribe(&self, size: Size) -> Option<Latest<Frame>> {
        let mut making = lock(&self.making);
        if let Some(frames) = making.sizes.get(&size) {
            return Some(frames.subscribe());
        }
        if making.sizes.len() >= SIZES {
            return None;
        }
        let frames = Arc::new(self.views.fanout());
        let reader = frames.subscribe();
        making.sizes.insert(size, frames.clone());
        let me = self.clone();
        std::thread::spawn(move || me.make(size, &frames));
        Some(reader)
    }

    fn make(&self, size: Size, out: &Fanout<Frame>) {
        loop {
            scale(size, self.decoded(), out);
            let mut making = lock(&self.making);
            if out.readers() == 0 {
                making.sizes.remove(&size);
                return;
            }
        }
    }

    /// The pictures that all sizes are made of.
    fn decoded(&self) -> Latest<Decoded> {
        let mut making = lock(&self.making);
        if let Some(decoded) = &making.decoded {
            return decoded.subscribe();
        }
        let out = Arc::new(self.views.fanout());
        let reader = out.subscribe();
        making.decoded = Some(out.clone());
        let me = self.clone();
        std::thread::spawn(move || {
            loop {
                decode(me.views.subscribe(), &out);
                let mut making = lock(&me.making);
                if out.readers() == 0 {
                    making.decoded = None;
                    return;
                }
            }
        });
        reader
    }
}

fn decode(mut frames: Latest<Frame>, out: &Fanout<Decoded>) {
    let mut trouble = Repeated::default();
    let mut decoder = Decoder::default();
    while let Some(frame) = next_wanted(&mut frames, out) {
        match decoder.decode(&frame) {
            Ok(decoded) => out.put(Decoded(frame, decoded.picture)),
            Err(error) => {
                if let Some(n) = trouble.again(clock::now()) {
                    log::warn!("{n} frames could not be decoded to be scaled: {}", fault::line(&error));
                }
            }
        }
    }
}

fn scale(size: Size, mut frames: Latest<Decoded>, out: &Fanout<Frame>) {
    let mut trouble = Repeated::default();
    let mut scaler = Scaler::new(size);
    while let Some(Decoded(frame, picture)) = next_wanted(&mut frames, out) {
        match scaler.fitted(&frame, picture) {
            Ok(frame) => out.put(frame),
            Err(error) => {
                if let Some(n) = trouble.again(clock::now()) {
                    log::warn!("{n} frames could not be scaled to {}x{}: {}", size.0, size.1, fault::line(&error));
                }
            }
        }
    }
}

/// The newest value, once somebody wants what is made of it; none when nobody is left, or the stream is over, which ends
/// the readers too.
fn next_wanted<T, U: Clone>(values: &mut Latest<T>, out: &Fanout<U>) -> Option<T> {
    let next = async {
        out.until_wanted().await;
        let value = values.next().await;
        if value.is_none() {
            out.close();
        }
        value
    };
    let left = async {
        out.until_alone().await;
        None
    };
    smol::future::block_on(or(next, left))
}

/// Scales one stream: what rests is neither decoded nor encoded again.
pub struct Scaler {
    most: Size,
    decoder: Decoder,
    /// For an epoch and a size: it follows sequence numbers.
    coder: Option<((u64, Size), Coder)>,
}

impl Scaler {
    pub fn new(most: Size) -> Scaler {
        Scaler { most, decoder: Decoder::default(), coder: None }
    }

    /// A frame scaled to fit; as it is where it fits already.
    pub fn scale(&mut self, frame: &Frame) -> Result<Frame> {
        if fit(codec::size(&frame.coded.head, &frame.coded.bytes)?, self.most).is_none() {
            return Ok(frame.clone());
        }
        let picture = self.decoder.decode(frame)?.picture;
        self.fitted(frame, picture)
    }

    /// The same where its picture is there already.
    fn fitted(&mut self, frame: &Frame, picture: Arc<Picture>) -> Result<Frame> {
        let Some(size) = fit((picture.width(), picture.height()), self.most) else { return Ok(frame.clone()) };
        let of = (frame.epoch, size);
        let wanted = Wanted { size: Some(size), ..Wanted::default() };
        let standing = self.coder.take().filter(|(now, _)| *now == of);
        let (_, coder) = self.coder.insert(standing.unwrap_or_else(|| (of, Coder::new(wanted))));
        let (coded, _) = coder.encode(Image::Picture(picture), frame.seq, frame.captured, &|_, _| ())?;
        // Versions of one size do not compare with those of another.
        let epoch = frame.epoch ^ (size.0 << 16 | size.1) as u64;
        Ok(Frame { epoch, coded, ..frame.clone() })
    }
}

/// The largest even size of the same shape within `most`; none where the picture is no larger.
pub fn fit((width, height): Size, most: Size) -> Option<Size> {
    if width <= most.0 && height <= most.1 {
        return None;
    }
    let ratio = (most.0 as f64 / width as f64).min(most.1 as f64 / height as f64);
    let side = |length: usize| ((length as f64 * ratio / 2.0).round() as usize * 2).max(SIDE_MIN);
    Some((side(width), side(height)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_their_shape_and_never_grow() {
        assert_eq!(fit((1280, 720), (854, 480)), Some((854, 480)));
        assert_eq!(fit((1024, 768), (854, 480)), Some((640, 480)));
        assert_eq!(fit((640, 360), (854, 480)), None);
        assert_eq!(fit((7680, 16), (16, 16)), Some((16, 16)));
    }
}
