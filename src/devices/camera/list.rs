//! Which cameras there are, and what each of them can do.

use std::fmt;
use std::fs;
use std::io::ErrorKind;

use serde::Serialize;
use v4l::v4l_sys as sys;

use super::choose::Offer;
use super::offer::{RateEntry, Rates, SizeEntry, candidates};
use super::pixels::{Pixels, fourcc_text};
use super::raw::{Caps, Device};
use crate::devices::Wish;
use crate::fault::plain;
use crate::picture::check_size;

/// More than any driver has (the kernel's virtual camera: 83 formats); the bound is against one that never ends.
const FORMATS_MAX: u32 = 256;
const SIZES_MAX: u32 = 256;
const RATES_MAX: u32 = 64;

/// A capture device, for `vstream devices`.
#[derive(Clone, Debug, Serialize)]
pub struct Camera {
    pub path: String,
    pub name: String,
    pub bus: String,
    pub formats: Vec<Format>,
    /// Why vstream cannot use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Format {
    /// Its four letters, as V4L2 tools write them.
    pub fourcc: String,
    pub description: String,
    /// Whether vstream reads it.
    pub usable: bool,
    pub sizes: Vec<Size>,
}

/// A size in pixels, or with `up_to` the least of a range.
#[derive(Clone, Debug, Serialize)]
pub struct Size {
    pub width: u32,
    pub height: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_to: Option<UpTo>,
    /// Frames a second: a list, or from and to; of a range of sizes, those of the largest.
    pub fps: Rates,
}

#[derive(Clone, Debug, Serialize)]
pub struct UpTo {
    pub width: u32,
    pub height: u32,
    pub step_width: u32,
    pub step_height: u32,
}

/// Every camera of this machine, by number. One that cannot be opened is listed with its problem.
pub fn list() -> Vec<Camera> {
    nodes().into_iter().filter_map(look).collect()
}

/// The paths /dev/video0, /dev/video1 … that exist, by number.
fn nodes() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/dev") else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut numbers: Vec<u32> = names.filter_map(|name| name.strip_prefix("video")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| format!("/dev/video{number}")).collect()
}

/// Why a device of these capabilities cannot be a camera of ours, if so.
pub fn objection(caps: &Caps) -> Option<&'static str> {
    if caps.flags & sys::V4L2_CAP_VIDEO_CAPTURE != 0 {
        return (caps.flags & sys::V4L2_CAP_STREAMING == 0).then_some("it cannot stream");
    }
    if caps.flags & sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE != 0 {
        return Some("it gives pictures in several buffers (multi-planar), which vstream does not read");
    }
    Some("it captures no video (it is for metadata, output or coding)")
}

fn look(path: String) -> Option<Camera> {
    let blank = |name, problem| Camera { path: path.clone(), name, bus: String::new(), formats: vec![], problem };
    let device = match Device::open(&path) {
        Ok(device) => device,
        Err(e) if e.kind() == ErrorKind::NotFound => return None, // unplugged just now
        Err(e) => return Some(blank(name_in_sysfs(&path), Some(plain(&e.to_string())))),
    };
    let caps = device.caps().ok()?;
    let captures = sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE;
    if caps.flags & captures == 0 {
        return None;
    }
    let formats: Vec<Format> = formats(&device).map(|(fourcc, text)| format_of(&device, fourcc, text)).collect();
    let problem =
        objection(&caps).or((!formats.iter().any(|f| f.usable)).then_some("it has no format that vstream reads"));
    let problem = problem.map(str::to_string);
    Some(Camera { bus: caps.bus, formats, ..blank(caps.name, problem) })
}

/// The name of a device that could not be asked.
fn name_in_sysfs(path: &str) -> String {
    let node = path.trim_start_matches("/dev/");
    let name = fs::read_to_string(format!("/sys/class/video4linux/{node}/name")).unwrap_or_default();
    name.trim().to_string()
}

/// Fourcc and description of each format.
pub fn formats(device: &Device) -> impl Iterator<Item = (u32, String)> {
    (0..FORMATS_MAX).map_while(|index| device.format_at(index).ok())
}

fn sizes(device: &Device, fourcc: u32) -> impl Iterator<Item = SizeEntry> {
    (0..SIZES_MAX).map_while(move |index| device.size_at(fourcc, index).ok())
}

fn rates(device: &Device, fourcc: u32, size: (u32, u32)) -> Rates {
    let mut list = Vec::new();
    for entry in (0..RATES_MAX).map_while(|index| device.rate_at(fourcc, size, index).ok()) {
        match entry {
            RateEntry::Range { slowest, fastest } => return Rates::Range { from: slowest, to: fastest },
            RateEntry::One(rate) if rate.frames > 0 && rate.seconds > 0 => list.push(rate),
            RateEntry::One(_) => {}
        }
    }
    Rates::List(list)
}

fn format_of(device: &Device, fourcc: u32, description: String) -> Format {
    let size = |entry| match entry {
        SizeEntry::One(width, height) => {
            Size { width, height, up_to: None, fps: rates(device, fourcc, (width, height)) }
        }
        SizeEntry::Range { least, most, step } => Size {
            width: least.0,
            height: least.1,
            up_to: Some(UpTo { width: most.0, height: most.1, step_width: step.0, step_height: step.1 }),
            fps: rates(device, fourcc, most),
        },
    };
    let sizes = sizes(device, fourcc).map(size).collect();
    Format { fourcc: fourcc_text(fourcc), description, usable: Pixels::of(fourcc).is_some(), sizes }
}

/// Every way in which the camera can be run that vstream reads, of ranges those near the wish.
pub fn offers(device: &Device, wish: &Wish) -> Vec<Offer> {
    let wished = wish.size.map(|(w, h)| (w as u32, h as u32));
    let mut offers = Vec::new();
    for (fourcc, pixels) in formats(device).filter_map(|(fourcc, _)| Some((fourcc, Pixels::of(fourcc)?))) {
        let mut found: Vec<_> = sizes(device, fourcc).flat_map(|entry| candidates(entry, wished)).collect();
        if found.is_empty() {
            // The driver cannot list its sizes: it will change what is asked for into what it has.
            let current = || device.format().ok().map(|pix| (pix.width, pix.height));
            found.extend(wished.or_else(current));
        }
        found.retain(|&(w, h)| check_size(w as usize, h as usize).is_ok());
        offers.extend(found.into_iter().map(|size| Offer { pixels, size, rates: rates(device, fourcc, size) }));
    }
    offers
}

/// Whether a camera is there that could be opened.
pub fn any() -> bool {
    list().iter().any(|camera| camera.problem.is_none())
}

/// The paths worth trying to open: all but those that are certainly no camera.
pub fn cameras() -> impl Iterator<Item = String> {
    let possible = |path: &String| match Device::open(path).and_then(|device| device.caps()) {
        Ok(caps) => objection(&caps).is_none(),
        Err(_) => true, // opening it again tells why not
    };
    nodes().into_iter().filter(possible)
}

impl fmt::Display for Camera {
    /// As `vstream devices` prints it: a line for the camera, then its formats with sizes and rates, each line ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.path, self.name)?;
        if !self.bus.is_empty() {
            write!(f, " ({})", self.bus)?;
        }
        writeln!(f, "{}", self.problem.as_ref().map_or(String::new(), |problem| format!(": {problem}")))?;
        for format in self.formats.iter().filter(|format| format.usable) {
            writeln!(f, "  {}  {}", format.fourcc, format.description)?;
            for size in &format.sizes {
                let up_to =
                    size.up_to.as_ref().map_or(String::new(), |most| format!(" to {}x{}", most.width, most.height));
                writeln!(f, "    {}x{}{up_to}  {}", size.width, size.height, size.fps)?;
            }
        }
        let others: Vec<&str> = self.formats.iter().filter(|f| !f.usable).map(|f| f.fourcc.as_str()).collect();
        if !others.is_empty() {
            writeln!(f, "  not read by vstream: {}", others.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::camera::offer::Rate;

    #[test]
    fn a_camera_prints_as_a_list_and_as_json() {
        let size =
            Size { width: 640, height: 480, up_to: None, fps: Rates::List(vec![Rate::of(30.0), Rate::of(12.5)]) };
        let up_to = UpTo { width: 1920, height: 1080, step_width: 2, step_height: 2 };
        let fps = Rates::Range { from: Rate::of(1.0), to: Rate::of(60.0) };
        let range = Size { width: 16, height: 16, up_to: Some(up_to), fps };
        let format = |fourcc: &str, usable| Format {
            fourcc: fourcc.into(),
            description: "4:2:2".into(),
            usable,
            sizes: vec![size.clone(), range.clone()],
        };
        let camera = Camera {
            path: "/dev/video0".into(),
            name: "Webcam".into(),
            bus: "usb-1".into(),
            formats: vec![format("YUYV", true), format("BA81", false), format("Y16", false)],
            problem: None,
        };
        let text = "/dev/video0  Webcam (usb-1)\n  YUYV  4:2:2\n    640x480  30, 12.5 fps\n    \
                    16x16 to 1920x1080  1 to 60 fps\n  not read by vstream: BA81 Y16\n";
        assert_eq!(camera.to_string(), text);
        let json = serde_json::to_value(&camera).unwrap();
        assert_eq!(json["formats"][0]["sizes"][0]["fps"][1], 12.5);
        assert_eq!(json["formats"][0]["sizes"][1]["fps"]["to"], 60.0);
        assert!(json.get("problem").is_none());
    }

    #[test]
    fn what_is_no_camera_is_said() {
        let caps = |flags| Caps { name: String::new(), bus: String::new(), flags };
        assert_eq!(objection(&caps(sys::V4L2_CAP_VIDEO_CAPTURE | sys::V4L2_CAP_STREAMING)), None);
        for flags in [0, sys::V4L2_CAP_VIDEO_CAPTURE, sys::V4L2_CAP_VIDEO_CAPTURE_MPLANE] {
            assert!(objection(&caps(flags)).is_some());
        }
    }
}
