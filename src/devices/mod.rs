//! Local ends, opened by name: cameras, files, pipes and the test card as sources; folders, files and the window as
//! outputs. Nothing here knows of networks between vstreams.

use anyhow::Result;

use crate::frame::Source;
use crate::stop::Stop;

pub mod patient;
mod testcard;
pub mod text;
#[cfg(feature = "window")]
pub mod window;

/// What the user asked of a source besides its name. A source that cannot do it leaves it to the encoder.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Width and height.
    pub size: Option<(usize, usize)>,
    /// Frames a second.
    pub fps: Option<f64>,
    /// Begin again when the recording is over.
    pub looped: bool,
    /// The form of raw frames on stdin.
    pub raw: Option<Raw>,
    /// Pixels are wanted even where JPEG could be had: the stream will be recoded anyhow.
    pub recode: bool,
}

/// Raw planar 4:2:0 frames, `i420:1280x720@30`: full-range BT.601 as in JPEG.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Raw {
    pub width: usize,
    pub height: usize,
    pub fps: f64,
}

/// Opens a source by what the user typed after `--from`.
pub fn open(name: &str, wish: &Wish, stop: &Stop) -> Result<Box<dyn Source>> {
    if name == "test" || name.starts_with("test?") {
        return testcard::open(name, wish, stop);
    }
    Err(crate::fault::Fault::device(format!("could not open {name}")).into())
}
