//! The vocabulary: a shot comes out of a source, a frame crosses the network, a picture is looked at.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;

use crate::clock::Time;
use crate::picture::Picture;
use crate::segments::Coded;

/// Bytes of the largest coded picture: 8K at quality 100 takes about 40 MB.
pub const BYTES_MAX: usize = 64 << 20;

/// One picture of a stream: a complete JPEG, or tiles packed without loss. Cloning is free and nothing in it changes.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The random number of the sender's start: sequence numbers of different epochs do not compare.
    pub epoch: u64,
    /// Counts from 0; a gap is a frame that did not come.
    pub seq: u64,
    /// When the camera (or file, or pipe) gave it, on this machine's clock.
    pub captured: Time,
    /// How wrong `captured` may be: zero at the source, half a round trip more with each hop.
    pub error: Duration,
    pub coded: Coded,
}

impl Frame {
    /// The segments that somebody lacks whose newest frame is `had`.
    pub fn lacking(&self, had: Option<&Frame>) -> Vec<usize> {
        self.coded.lacking(had.filter(|had| had.epoch == self.epoch).map(|had| &had.coded))
    }
}

/// What a source gives: an image and its capture time, not yet a frame of a stream.
#[derive(Clone, Debug)]
pub struct Shot {
    pub captured: Time,
    pub image: Image,
}

#[derive(Clone, Debug)]
pub enum Image {
    /// Complete JPEG bytes, as a camera or file holds them.
    Jpeg(Bytes),
    /// Pixels, full-range BT.601 as JPEG has them.
    Picture(Arc<Picture>),
}

/// What a source says of itself once it is open.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// One line for the user: what was opened, its size and rate.
    pub text: String,
    /// Frames a second, where the source has a rate of its own.
    pub rate: Option<f64>,
    /// How many frames there will be, where that is known.
    pub length: Option<u64>,
    /// A live source cannot wait and may come back after it failed; a recorded one can and does not.
    pub live: bool,
}

/// A local end that gives images. It blocks (V4L2, pipes and decoders do), so a thread of its own calls it.
pub trait Source: Send {
    /// The next image, at the source's own pace; `None` when it is over, an error when it broke.
    fn next(&mut self) -> Result<Option<Shot>>;
    fn about(&self) -> About;
}

/// A local end that takes frames. It blocks while its far side is busy, so a thread of its own calls it.
pub trait Sink: Send {
    /// Takes one frame, with its picture where `decodes` asks for it.
    fn put(&mut self, frame: &Frame, picture: Option<Arc<Picture>>) -> Result<()>;
    /// Whether frames must be decoded for this sink.
    fn decodes(&self) -> bool {
        false
    }
    /// Completes what was begun (indexes, lengths); called once, also after an error of `put`.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
