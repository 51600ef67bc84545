//! Local ends, opened by name: cameras, files, pipes and the test card as sources; folders, files and the window as
//! outputs. Nothing here knows of networks between vstreams.

use anyhow::Result;

use crate::fault::Fault;
use crate::frame::Source;
use crate::stop::Stop;
use crate::units;

pub mod avi;
#[cfg(feature = "camera")]
pub mod camera;
pub mod ffmpeg;
pub mod file;
pub mod folder;
pub mod h264;
pub mod http;
pub mod mjpeg;
pub mod outputs;
pub mod patient;
pub mod raw;
pub mod recording;
pub mod replay;
mod testcard;
pub mod text;
pub mod trouble;
#[cfg(feature = "window")]
pub mod window;
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
    /// A recording is read as fast as it can be; its images' times are those of one that is played.
    pub ahead: bool,
}

/// Raw planar 4:2:0 frames, `i420:1280x720@30`: full-range BT.601 as in JPEG.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Raw {
    pub width: usize,
    pub height: usize,
    pub fps: f64,
}

/// Reads `i420:1280x720@30`; the rate is 30 where none is said.
pub fn raw_form(text: &str) -> Result<Raw, String> {
    let explain = || "raw frames are described as i420:1280x720@30".to_string();
    let rest = text.strip_prefix("i420:").ok_or_else(explain)?;
    let (size, fps) = rest.split_once('@').unwrap_or((rest, "30"));
    let (width, height) = units::size(size)?;
    Ok(Raw { width, height, fps: units::fps(fps)? })
}

/// Opens a source by what the user typed after `--from`.
pub fn open(name: &str, wish: &Wish, stop: &Stop) -> Result<Box<dyn Source>> {
    if name == "test" || name.starts_with("test?") {
        return testcard::open(name, wish, stop);
    }
    if name == "camera" || name.starts_with("/dev/video") || name.starts_with("/dev/v4l/") {
        return open_camera((name != "camera").then_some(name), wish, stop);
    }
    match name {
        "-" => file::stdin(wish, stop),
        _ if name.starts_with("http://") || name.starts_with("https://") => http::open(name, stop),
        url if url.contains("://") => {
            let fault = Fault::usage(format!(
                "{url} is no source: there are test, camera, /dev/videoN, http://…, files, folders and -"
            ));
            Err(fault.into())
        }
        path => file::open(path.as_ref(), wish, stop),
    }
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
    let fault = Fault::device(format!("could not open {name}: this build has no camera support"));
    Err(fault.hint("build it with `--features camera`, or take `--from test` or a video file").into())
}
