//! V4L2 cameras: found, listed, opened by path, read as a source of live shots.

mod capture;
mod choose;
mod list;
mod offer;
mod pixels;
mod raw;
mod ring;
mod stamp;

use anyhow::Result;

use self::capture::Capture;
use super::Wish;
use crate::fault::Fault;
use crate::frame::Source;
use crate::stop::Stop;

pub use list::{Camera, Format, Size, UpTo, any, list};
pub use offer::{Rate, Rates};

/// Opens the camera at `path`, or the first that can be used. Its driver may change what is wished: the log tells.
///
/// Fails with a `Fault` of kind `Device`: absent, busy, not permitted, no camera, no format that is read, unplugged.
pub fn open(path: Option<&str>, wish: &Wish, stop: &Stop) -> Result<Box<dyn Source>> {
    match path {
        Some(path) => Ok(Box::new(Capture::open(path, wish, stop)?)),
        None => first(wish, stop),
    }
}

/// The first camera that opens; if none does, what was wrong with the first.
fn first(wish: &Wish, stop: &Stop) -> Result<Box<dyn Source>> {
    let mut wrong = None;
    for path in list::cameras() {
        match Capture::open(&path, wish, stop) {
            Ok(capture) => return Ok(Box::new(capture)),
            Err(e) => wrong = wrong.or(Some(e)),
        }
    }
    let none =
        || Fault::device("no camera was found").hint("plug one in, or take `--from test` or a video file").into();
    Err(wrong.unwrap_or_else(none))
}
