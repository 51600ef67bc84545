//! Local ends, opened by name: cameras, files, pipes and the test card as sources; folders, files and the window as
//! outputs. Nothing here knows of networks between vstreams.

use anyhow::Result;

use crate::frame::Source;
use crate::stop::Stop;

#[cfg(feature = "camera")]
pub mod camera;
pub mod patient;

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
    if name == "camera" || name.starts_with("/dev/video") || name.starts_with("/dev/v4l/") {
        return open_camera((name != "camera").then_some(name), wish, stop);
    }
    Err(crate::fault::Fault::device(format!("could not open {name}")).into())
}

/// What `send` takes without `--from`: the camera where there is one, else the test card.
pub fn default_name() -> &'static str {
    #[cfg(feature = "camera")]
    if camera::any() {
        return "camera";
    }
    "test"
}

#[cfg(feature = "camera")]
use camera::open as open_camera;

#[cfg(not(feature = "camera"))]
fn open_camera(path: Option<&str>, _: &Wish, _: &Stop) -> Result<Box<dyn Source>> {
    let name = path.unwrap_or("a camera");
    let fault = crate::fault::Fault::device(format!("could not open {name}: this build has no camera support"));
    Err(fault.hint("build it with `--features camera`, or take `--from test` or a video file").into())
}
