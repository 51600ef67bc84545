//! Local ends, opened by name: cameras, files, pipes and the test card as sources; folders, files and the window as
//! outputs. Nothing here knows of networks between vstreams.

use anyhow::Result;

use crate::frame::Source;
use crate::stop::Stop;

mod answer;
pub mod avi;
pub mod banner;
mod boxes;
pub mod ffmpeg;
pub mod file;
pub mod folder;
pub mod h264;
pub mod http;
pub mod mjpeg;
mod mkv;
mod mp4;
pub mod patient;
pub mod raw;
pub mod recording;
pub mod replay;
mod store;
pub mod trouble;
pub mod y4m;

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
    match name {
        "-" => file::stdin(wish, stop),
        _ if name.starts_with("http://") || name.starts_with("https://") => http::open(name, stop),
        path => file::open(path.as_ref(), wish, stop),
    }
}
