//! A camera that runs: opened, told what to give, read buffer by buffer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use rustix::io::Errno;

use super::choose::{self, Mode};
use super::list;
use super::pixels::{Layout, Pixels, colour, fourcc_text};
use super::raw::Device;
use super::ring::{Filled, Ring};
use super::stamp::{Flaw, Flaws, Freshness, captured};
use crate::clock::{self, Time};
use crate::codec::color::{Colour, to_jpeg};
use crate::codec::jpeg;
use crate::devices::Wish;
use crate::devices::patient::readable;
use crate::fault::{Fault, plain};
use crate::frame::{About, Image, Shot, Source};
use crate::picture::check_size;
use crate::stop::Stop;

/// How long a wait may be deaf to `Stop`.
const LOOK: Duration = Duration::from_millis(100);
/// Cameras take 1 to 2 s for their first picture; one that gives none for longer hangs.
const STALL: Duration = Duration::from_secs(5);
/// A driver that says "ready" and has nothing this often in a row is broken, not late.
const IDLE_MAX: u32 = 100;

/// An open camera that streams.
pub struct Capture {
    path: String,
    about: About,
    ring: Ring,
    reader: Reader,
    stop: Stop,
    patience: Duration,
}

/// Makes shots of buffers.
struct Reader {
    layout: Layout,
    colour: Colour,
    fresh: Freshness,
    flaws: Flaws,
    /// When the last buffer was taken, or the stream started.
    last: Time,
}

impl Capture {
    /// Opens the camera, settles format, size and rate, and starts it. What it gives otherwise than asked is logged.
    pub fn open(path: &str, wish: &Wish, stop: &Stop) -> Result<Capture> {
        let device = Device::open(path).map_err(|e| refused(path, &e))?;
        let caps = device.caps().map_err(|e| no_camera(path, &e))?;
        if let Some(why) = list::objection(&caps) {
            return Err(Fault::device(format!("{path} is not a camera: {why}")).hint(LISTED).into());
        }
        let settled = settle(&device, path, wish)?;
        let ring = Ring::start(device).map_err(|e| refused(path, &e))?;
        let mode = settled.mode;
        let about = About {
            text: format!("camera {path} ({}): {mode}{}", caps.name, if mode.rate.is_some() { " fps" } else { "" }),
            rate: mode.rate.map(|rate| rate.fps()),
            length: None,
            live: true,
        };
        let interval = mode.rate.map(|rate| Duration::from_secs_f64((1.0 / rate.fps()).clamp(0.001, 10.0)));
        let reader = Reader {
            layout: settled.layout,
            colour: settled.colour,
            fresh: Freshness::new(interval),
            flaws: Flaws::default(),
            last: clock::now(),
        };
        let patience = STALL.max(3 * interval.unwrap_or_default());
        Ok(Capture { path: path.to_string(), about, ring, reader, stop: stop.clone(), patience })
    }

    fn failed(&self, e: &io::Error) -> anyhow::Error {
        match Errno::from_io_error(e) {
            Some(Errno::NODEV | Errno::NXIO) => unplugged(&self.path),
            _ => Fault::device(format!("the camera {} failed: {}", self.path, plain(&e.to_string()))).into(),
        }
    }

    fn stalled(&self) -> anyhow::Error {
        let (path, s) = (&self.path, self.patience.as_secs());
        Fault::device(format!("the camera {path} gave no picture for {s} s ({})", self.reader.flaws)).into()
    }
}

impl Source for Capture {
    fn next(&mut self) -> Result<Option<Shot>> {
        let began = clock::now();
        let (mut waited, mut idle) = (false, 0);
        while !self.stop.said() {
            if clock::now().since(began) > self.patience || idle > IDLE_MAX {
                return Err(self.stalled());
            }
            // A first look without waiting tells buffers that lay there from those that come now.
            let slice = if waited { LOOK } else { Duration::ZERO };
            if !readable(self.ring.device(), slice).map_err(|e| self.failed(&e))? {
                waited = true;
                continue;
            }
            let read = |filled, bytes: &[u8]| self.reader.read(filled, bytes, waited);
            let got = self.ring.take(read).map_err(|e| self.failed(&e))?;
            if let Some(Err(flaw)) = got {
                self.reader.flaws.count(flaw);
            }
            if let Some(news) = self.reader.flaws.news(clock::now()) {
                log::warn!("camera {}: {news}", self.path);
            }
            match got {
                Some(Ok(Some(shot))) => return Ok(Some(shot)),
                Some(_) => idle = 0,
                None => idle += 1,
            }
            waited = false;
        }
        Ok(None)
    }

    fn about(&self) -> About {
        self.about.clone()
    }
}

impl Reader {
    /// The shot in a buffer, or none if it is stale.
    fn read(&mut self, filled: Filled, bytes: &[u8], waited: bool) -> Result<Option<Shot>, Flaw> {
        let now = clock::now();
        let since = if waited { now } else { self.last };
        let captured = captured(Time::from_micros(filled.stamp), since, now);
        self.last = now;
        if !self.fresh.judge(now.since(captured), waited) {
            return Ok(None);
        }
        if filled.damaged {
            return Err(Flaw::Damaged);
        }
        Ok(Some(Shot { captured, image: image(&self.layout, self.colour, bytes)? }))
    }
}

/// The image in the bytes of a buffer, or what is wrong with them.
fn image(layout: &Layout, colour: Colour, bytes: &[u8]) -> Result<Image, Flaw> {
    if bytes.is_empty() {
        return Err(Flaw::Empty);
    }
    if !layout.pixels.is_jpeg() {
        let mut picture = layout.picture(bytes).ok_or(Flaw::Short)?;
        to_jpeg(&mut picture, colour);
        return Ok(Image::Picture(Arc::new(picture)));
    }
    if bytes.len() > crate::frame::BYTES_MAX {
        return Err(Flaw::Damaged);
    }
    jpeg::complete(bytes).map(|whole| Image::Jpeg(Bytes::from(whole.into_owned()))).map_err(|_| Flaw::Damaged)
}

struct Settled {
    mode: Mode,
    layout: Layout,
    colour: Colour,
}

/// Chooses among what the camera has, asks for it, and takes what the driver makes of it.
fn settle(device: &Device, path: &str, wish: &Wish) -> Result<Settled> {
    let offers = list::offers(device, wish);
    let asked = choose::choose(&offers, wish).ok_or_else(|| no_format(device, path))?;
    let (pix, encoding) = device.set_format(asked.pixels.fourcc(), asked.size).map_err(|e| refused(path, &e))?;
    let pixels = Pixels::of(pix.pixelformat).ok_or_else(|| no_format(device, path))?;
    let (width, height) = (pix.width as usize, pix.height as usize);
    check_size(width, height).map_err(|e| Fault::device(format!("the camera {path} gives {e}")))?;
    if let Some(rate) = asked.rate
        && let Err(e) = device.set_rate(rate)
    {
        log::debug!("camera {path}: its rate cannot be set: {}", plain(&e.to_string())); // many cannot
    }
    let mode = Mode { pixels, size: (pix.width, pix.height), rate: device.rate().unwrap_or(None) };
    if let Some(text) = choose::difference(wish, &asked, &mode) {
        log::warn!("camera {path}: {text}");
    }
    Ok(Settled {
        mode,
        layout: Layout::new(pixels, width, height, pix.bytesperline as usize),
        colour: colour(pix.colorspace, encoding, pix.quantization),
    })
}

const LISTED: &str = "`vstream devices` lists the cameras that are there";

fn unplugged(path: &str) -> anyhow::Error {
    Fault::device(format!("the camera {path} was unplugged")).into()
}

/// Why the camera could not be opened or started, with what to do about it.
fn refused(path: &str, e: &io::Error) -> anyhow::Error {
    let could_not = |why: &str| Fault::device(format!("could not open {path}: {why}"));
    let text = plain(&e.to_string());
    let fault = match Errno::from_io_error(e) {
        Some(Errno::NOENT) => Fault::device(format!("there is no camera {path}")).hint(LISTED),
        Some(Errno::NODEV | Errno::NXIO) => return unplugged(path),
        Some(Errno::ACCESS | Errno::PERM) => {
            could_not(&text).hint("join the group video (`sudo usermod -aG video $USER`) and log in again")
        }
        Some(Errno::BUSY) => {
            could_not(&text).hint(format!("another program uses the camera: `fuser -v {path}` names it"))
        }
        // UVC's word for "the bus is full" is ENOSPC, which reads as if a disk were.
        Some(Errno::NOSPC) => {
            could_not("its USB bus has no bandwidth left").hint("use another port, or a smaller --size or --fps")
        }
        _ => could_not(&text),
    };
    fault.into()
}

fn no_camera(path: &str, e: &io::Error) -> anyhow::Error {
    match Errno::from_io_error(e) {
        Some(Errno::NODEV | Errno::NXIO) => unplugged(path),
        _ => Fault::device(format!("{path} is not a camera: it is no V4L2 device")).hint(LISTED).into(),
    }
}

fn no_format(device: &Device, path: &str) -> anyhow::Error {
    let has: Vec<String> = list::formats(device).map(|(fourcc, _)| fourcc_text(fourcc)).collect();
    if has.is_empty() {
        let fault = Fault::device(format!("the camera {path} has no format"));
        return fault.hint("a virtual camera has one only while a program feeds it").into();
    }
    Fault::device(format!("the camera {path} has no format that vstream reads: it has {}", has.join(" ")))
        .hint("vstream reads MJPG, YUYV, NV12, YU12 and UYVY")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let told = |errno: Errno| {
            let error = refused("/dev/video7", &errno.into());
            let fault = error.downcast_ref::<Fault>().unwrap();
            (fault.kind as u8, fault.to_string(), fault.hint.clone().unwrap_or_default())
        };
        assert!(told(Errno::BUSY).2.contains("fuser -v /dev/video7"));
        assert!(told(Errno::ACCESS).2.contains("group video"));
        assert_eq!(told(Errno::NOENT).1, "there is no camera /dev/video7");
        assert_eq!(told(Errno::NODEV).1, "the camera /dev/video7 was unplugged");
        assert_eq!(told(Errno::IO), (3, "could not open /dev/video7: input/output error".into(), String::new()));
    }

    #[test]
    fn buffers_that_hold_no_picture_are_told_apart() {
        let raw = Layout::new(Pixels::Yuyv, 16, 16, 0);
        let mjpg = Layout::new(Pixels::Mjpg, 16, 16, 0);
        let flaw = |layout, bytes: &[u8]| image(layout, Colour::JPEG, bytes).err();
        assert_eq!(flaw(&raw, &[0; 512]), None);
        assert_eq!(flaw(&raw, &[0; 511]), Some(Flaw::Short));
        assert_eq!(flaw(&raw, &[]), Some(Flaw::Empty));
        assert_eq!(flaw(&mjpg, &[]), Some(Flaw::Empty));
        assert_eq!(flaw(&mjpg, &[0; 512]), Some(Flaw::Damaged));
        assert_eq!(flaw(&mjpg, &[0xFF, 0xD8, 0xFF, 0xD9]), Some(Flaw::Damaged));
    }
}
