//! Where received frames go: files of one stream, a folder of pictures.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::fault::Fault;
use crate::frame::Sink;
use crate::stop::Stop;

mod avi;
mod folder;
mod pixels;
pub(crate) mod whole;

pub use folder::Folder;

/// The stream's nominal frame rate as far as it is known when the first frame comes.
pub type Rate = Arc<dyn Fn() -> Option<f64> + Send + Sync>;

/// Frames a second of a recording whose stream does not say.
const RATE: f64 = 30.0;

/// What a recording is to be, by its name.
enum Form {
    Planes,
    Mjpeg,
    Y4m,
    Avi,
}

fn form(name: &str, raw: bool) -> Result<Form> {
    let ending = Path::new(name).extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    Ok(match ending.as_str() {
        _ if raw => Form::Planes,
        _ if name == "-" => Form::Mjpeg,
        "mjpeg" | "mjpg" => Form::Mjpeg,
        "y4m" => Form::Y4m,
        "avi" => Form::Avi,
        _ => {
            return Err(Fault::usage(format!("what is {name}? recordings end in .mjpeg, .avi or .y4m"))
                .hint("--raw i420 writes the planes alone under any name; - is stdout")
                .into());
        }
    })
}

/// Whether there is such a recording, before anything is opened.
pub fn check(name: &str, raw: bool) -> Result<()> {
    form(name, raw).map(drop)
}

/// Opens a recording by its ending: `.mjpeg`, `.avi`, `.y4m`; `-` is stdout, as concatenated JPEG. `raw`: the planes
/// alone, whatever the ending. A named pipe is waited for until somebody reads it or `stop` is said.
pub fn open(name: &str, raw: bool, rate: Rate, stop: &Stop) -> Result<Box<dyn Sink>> {
    let form = form(name, raw)?;
    if std::fs::metadata(name).is_ok_and(|there| there.is_file() && there.len() > 0) {
        log::warn!("{name} was there already: it is written anew (a folder of --save goes on)");
    }
    let file = whole::Whole::create(name, stop).with_context(|| format!("could not write {name}"))?;
    Ok(match form {
        Form::Planes => Box::new(pixels::Pixels::raw(file)),
        Form::Mjpeg => Box::new(whole::Mjpeg(file)),
        Form::Y4m => Box::new(pixels::Pixels::y4m(file, rate)),
        Form::Avi => Box::new(avi::Avi::new(file, rate)),
    })
}

/// A rate as a fraction, as y4m and AVI have it: 29.97 is 30000/1001.
fn fraction(rate: f64) -> (u32, u32) {
    let ntsc = (rate * 1.001).round();
    if (rate - rate.round()).abs() < 1e-6 {
        (rate.round() as u32, 1)
    } else if (ntsc / 1.001 - rate).abs() < 0.005 {
        (ntsc as u32 * 1000, 1001)
    } else {
        ((rate * 1000.0).round().max(1.0) as u32, 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_become_fractions() {
        assert_eq!(fraction(30.0), (30, 1));
        assert_eq!(fraction(29.97), (30000, 1001));
        assert_eq!(fraction(23.976), (24000, 1001));
        assert_eq!(fraction(12.5), (12500, 1000));
    }
}
