//! A stream at other sizes: decoded, scaled and encoded once for all who watch a size, on a thread of its own, only while
//! somebody does.

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
use crate::picture::SIDE_MIN;

/// Sizes that are encoded at once: as many as there are usual ones.
const SIZES: usize = 7;

type Size = (usize, usize);

#[derive(Clone, Default)]
pub struct Sizes {
    made: Arc<Mutex<HashMap<Size, Arc<Fanout<Frame>>>>>,
}

impl Sizes {
    /// The frames at a size, scaled to fit into it and never up; none where too many sizes are wanted already.
    pub fn subscribe(&self, size: Size, views: &Arc<Views>) -> Option<Latest<Frame>> {
        let mut made = lock(&self.made);
        if let Some(frames) = made.get(&size) {
            return Some(frames.subscribe());
        }
        if made.len() >= SIZES {
            return None;
        }
        let frames = Arc::new(Fanout::new(false));
        let reader = frames.subscribe();
        made.insert(size, frames.clone());
        let (me, views) = (self.clone(), views.clone());
        std::thread::spawn(move || me.make(size, &views, &frames));
        Some(reader)
    }

    fn make(&self, size: Size, views: &Views, out: &Fanout<Frame>) {
        loop {
            scale(size, views.subscribe(), out);
            let mut made = lock(&self.made);
            if out.readers() == 0 {
                made.remove(&size);
                return;
            }
        }
    }
}

/// Encodes the newest frame whenever somebody wants it, until nobody watches or the stream is over.
fn scale(size: Size, mut frames: Latest<Frame>, out: &Fanout<Frame>) {
    let mut trouble = Repeated::default();
    let mut scaler = Scaler::new(size);
    loop {
        let wanted = or(
            async {
                out.until_wanted().await;
                true
            },
            async {
                out.until_alone().await;
                false
            },
        );
        let next = async { if wanted.await { frames.next().await } else { None } };
        let left = async {
            out.until_alone().await;
            None
        };
        let Some(frame) = smol::block_on(or(next, left)) else {
            out.close();
            return;
        };
        match scaler.scale(&frame) {
            Ok(frame) => _ = out.put(frame),
            Err(error) => {
                if let Some(n) = trouble.again(clock::now()) {
                    log::warn!("{n} frames could not be scaled to {}x{}: {}", size.0, size.1, fault::line(&error));
                }
            }
        }
    }
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
        let Some(size) = fit(codec::size(&frame.coded.head, &frame.coded.bytes)?, self.most) else {
            return Ok(frame.clone());
        };
        let picture = self.decoder.decode(frame)?.picture;
        let of = (frame.epoch, size);
        let wanted = Wanted { size: Some(size), ..Wanted::default() };
        let standing = self.coder.take().filter(|(now, _)| *now == of);
        let (_, coder) = self.coder.insert(standing.unwrap_or_else(|| (of, Coder::new(wanted))));
        let (coded, _) = coder.encode(Image::Picture(picture), frame.seq, frame.captured, &|_, _| ())?;
        Ok(Frame { coded, ..frame.clone() })
    }
}

/// The largest even size of the same shape within `most`; none where the picture is no larger.
fn fit((width, height): Size, most: Size) -> Option<Size> {
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
