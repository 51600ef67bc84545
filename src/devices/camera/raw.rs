//! The V4L2 calls that a camera needs, typed, over the plain ioctl of crate `v4l` and its structures.
//!
//! The crate's own `Device`, `Format` and `Stream` are not used. They panic on names that are not UTF-8, on colour
//! spaces they do not know and when dropped on a broken device; they hide half of the colour description, cannot go on
//! after a time-out, and leave the file descriptor open in child processes.

#![allow(unsafe_code)] // V4L2 is ioctl

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use v4l::v4l_sys as sys;
use v4l::v4l2::{self, vidioc};

use super::offer::{Rate, RateEntry, SizeEntry};

const CAPTURE: u32 = sys::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
const MMAP: u32 = sys::v4l2_memory_V4L2_MEMORY_MMAP;

/// A C structure that the kernel reads and fills.
///
/// # Safety
/// Only for types for which any bytes, all zeroes among them, are a value.
unsafe trait Plain: Copy {}

macro_rules! plain { ($($name:ident)*) => { $(unsafe impl Plain for sys::$name {})* } }
plain! { v4l2_capability v4l2_fmtdesc v4l2_frmsizeenum v4l2_frmivalenum v4l2_format v4l2_streamparm }
plain! { v4l2_requestbuffers v4l2_buffer }
unsafe impl Plain for u32 {}

fn blank<T: Plain>() -> T {
    // SAFETY: zeroes are a value of every `Plain` type.
    unsafe { std::mem::zeroed() }
}

/// An open /dev/videoN. A call that a signal interrupts is made again.
pub struct Device {
    file: File,
}

/// What a device says it is.
pub struct Caps {
    pub name: String,
    pub bus: String,
    pub flags: u32,
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Device {
    /// Opens without blocking and without passing the descriptor on to child processes.
    pub fn open(path: &str) -> io::Result<Device> {
        let flags = OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        Ok(Device { file })
    }

    fn call<T: Plain>(&self, request: vidioc::_IOC_TYPE, arg: &mut T) -> io::Result<()> {
        loop {
            // SAFETY: the methods below pair each request with the structure it is defined with, which lives on here.
            let done = unsafe { v4l2::ioctl(self.file.as_raw_fd(), request, std::ptr::from_mut(arg).cast()) };
            match done {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    pub fn caps(&self) -> io::Result<Caps> {
        let mut caps: sys::v4l2_capability = blank();
        self.call(vidioc::VIDIOC_QUERYCAP, &mut caps)?;
        // Without DEVICE_CAPS the driver is too old to tell its nodes apart.
        let own = caps.capabilities & sys::V4L2_CAP_DEVICE_CAPS != 0;
        Ok(Caps {
            name: text(&caps.card),
            bus: text(&caps.bus_info),
            flags: if own { caps.device_caps } else { caps.capabilities },
        })
    }

    /// The fourcc and description of the format number `index`.
    pub fn format_at(&self, index: u32) -> io::Result<(u32, String)> {
        let mut format = sys::v4l2_fmtdesc { index, type_: CAPTURE, ..blank() };
        self.call(vidioc::VIDIOC_ENUM_FMT, &mut format)?;
        Ok((format.pixelformat, text(&format.description)))
    }

    pub fn size_at(&self, fourcc: u32, index: u32) -> io::Result<SizeEntry> {
        let mut size = sys::v4l2_frmsizeenum { index, pixel_format: fourcc, ..blank() };
        self.call(vidioc::VIDIOC_ENUM_FRAMESIZES, &mut size)?;
        // SAFETY: both members of the union are plain numbers.
        let (one, range) = unsafe { (size.__bindgen_anon_1.discrete, size.__bindgen_anon_1.stepwise) };
        if size.type_ == sys::v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE {
            return Ok(SizeEntry::One(one.width, one.height));
        }
        Ok(SizeEntry::Range {
            least: (range.min_width, range.min_height),
            most: (range.max_width, range.max_height),
            step: (range.step_width, range.step_height),
        })
    }

    pub fn rate_at(&self, fourcc: u32, (width, height): (u32, u32), index: u32) -> io::Result<RateEntry> {
        let mut rate = sys::v4l2_frmivalenum { index, pixel_format: fourcc, width, height, ..blank() };
        self.call(vidioc::VIDIOC_ENUM_FRAMEINTERVALS, &mut rate)?;
        // SAFETY: both members of the union are plain numbers.
        let (one, range) = unsafe { (rate.__bindgen_anon_1.discrete, rate.__bindgen_anon_1.stepwise) };
        if rate.type_ == sys::v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE {
            return Ok(RateEntry::One(from_interval(one)));
        }
        Ok(RateEntry::Range { slowest: from_interval(range.max), fastest: from_interval(range.min) })
    }

    pub fn format(&self) -> io::Result<sys::v4l2_pix_format> {
        let mut format = sys::v4l2_format { type_: CAPTURE, ..blank() };
        self.call(vidioc::VIDIOC_G_FMT, &mut format)?;
        // SAFETY: of the type CAPTURE this is the member that the kernel fills.
        Ok(unsafe { format.fmt.pix })
    }

    /// Asks for a format and gives the one that the driver made of it, and its Y'CbCr encoding.
    pub fn set_format(&self, fourcc: u32, (width, height): (u32, u32)) -> io::Result<(sys::v4l2_pix_format, u32)> {
        let mut format = sys::v4l2_format { type_: CAPTURE, ..blank() };
        // SAFETY: zeroes are a value of this member.
        let pix = unsafe { &mut format.fmt.pix };
        (pix.pixelformat, pix.width, pix.height) = (fourcc, width, height);
        pix.priv_ = sys::V4L2_PIX_FMT_PRIV_MAGIC; // without it the kernel ignores and clears the colour fields
        self.call(vidioc::VIDIOC_S_FMT, &mut format)?;
        // SAFETY: of the type CAPTURE this is the member that the kernel fills; the encoding is a number for all formats.
        Ok(unsafe { (format.fmt.pix, format.fmt.pix.__bindgen_anon_1.ycbcr_enc) })
    }

    /// Asks for a rate; what it became is told by `rate`.
    pub fn set_rate(&self, rate: Rate) -> io::Result<()> {
        let mut parm = sys::v4l2_streamparm { type_: CAPTURE, ..blank() };
        parm.parm.capture = sys::v4l2_captureparm {
            timeperframe: sys::v4l2_fract { numerator: rate.seconds, denominator: rate.frames },
            // SAFETY: zeroes are a value of this member.
            ..unsafe { parm.parm.capture }
        };
        self.call(vidioc::VIDIOC_S_PARM, &mut parm)
    }

    /// The rate in force, where the driver knows it.
    pub fn rate(&self) -> io::Result<Option<Rate>> {
        let mut parm = sys::v4l2_streamparm { type_: CAPTURE, ..blank() };
        self.call(vidioc::VIDIOC_G_PARM, &mut parm)?;
        // SAFETY: of the type CAPTURE this is the member that the kernel fills.
        let rate = from_interval(unsafe { parm.parm.capture.timeperframe });
        Ok((rate.seconds != 0 && rate.frames != 0).then_some(rate))
    }

    /// Asks for `count` buffers (none: gives them back) and returns how many there are.
    pub fn request_buffers(&self, count: u32) -> io::Result<u32> {
        let mut request = sys::v4l2_requestbuffers { count, type_: CAPTURE, memory: MMAP, ..blank() };
        self.call(vidioc::VIDIOC_REQBUFS, &mut request)?;
        Ok(request.count)
    }

    /// Offset (for mmap) and length of a buffer.
    pub fn buffer(&self, index: u32) -> io::Result<(u32, u32)> {
        let mut buffer = slot(index);
        self.call(vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
        // SAFETY: with MMAP memory the kernel fills this member.
        Ok((unsafe { buffer.m.offset }, buffer.length))
    }

    pub fn queue(&self, index: u32) -> io::Result<()> {
        self.call(vidioc::VIDIOC_QBUF, &mut slot(index))
    }

    /// The next filled buffer; `None` while there is none.
    pub fn dequeue(&self) -> io::Result<Option<sys::v4l2_buffer>> {
        let mut buffer = slot(0);
        match self.call(vidioc::VIDIOC_DQBUF, &mut buffer) {
            Ok(()) => Ok(Some(buffer)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub fn stream_on(&self) -> io::Result<()> {
        self.call(vidioc::VIDIOC_STREAMON, &mut { CAPTURE })
    }

    pub fn stream_off(&self) -> io::Result<()> {
        self.call(vidioc::VIDIOC_STREAMOFF, &mut { CAPTURE })
    }
}

fn slot(index: u32) -> sys::v4l2_buffer {
    sys::v4l2_buffer { index, type_: CAPTURE, memory: MMAP, ..blank() }
}

fn from_interval(interval: sys::v4l2_fract) -> Rate {
    Rate { frames: interval.denominator, seconds: interval.numerator }
}

/// A C string that a driver filled, and may have cut in the middle of a character.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
