//! The buffers that a camera fills: mapped once, queued, taken one at a time and given back at once.

#![allow(unsafe_code)] // mmap

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use v4l::v4l_sys as sys;
use v4l::v4l2;

use super::raw::Device;

/// One being filled, one being read, and two for a reader that comes late; more would only hold older pictures.
const BUFFERS: u32 = 4;
/// A driver may give more buffers than asked for; VIDEO_MAX_FRAME of the kernel bounds them.
const BUFFERS_MAX: u32 = 32;
/// From linux/mman: PROT_READ, MAP_SHARED.
const PROT_READ: i32 = 1;
const MAP_SHARED: i32 = 1;

/// A device that streams. Dropping it stops the stream and gives the buffers back, whatever state the device is in.
pub struct Ring {
    device: Device,
    buffers: Vec<Mapped>,
}

/// What the driver says of a filled buffer.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// Its own stamp in microseconds, on a clock that it does not always name truthfully.
    pub stamp: i64,
    /// The driver knows that the picture is damaged.
    pub damaged: bool,
}

impl Ring {
    /// Maps the buffers, queues them all and starts the stream.
    pub fn start(device: Device) -> io::Result<Ring> {
        let mut ring = Ring { device, buffers: Vec::new() };
        let count = ring.device.request_buffers(BUFFERS)?;
        if count == 0 {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        for index in 0..count.min(BUFFERS_MAX) {
            ring.buffers.push(Mapped::new(&ring.device, index)?);
            ring.device.queue(index)?;
        }
        ring.device.stream_on()?;
        Ok(ring)
    }

    /// To wait on: readable when a buffer is filled or the device is in trouble.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Hands the oldest filled buffer to `read` and queues it again; `None` when none is filled.
    pub fn take<R>(&self, read: impl FnOnce(Filled, &[u8]) -> R) -> io::Result<Option<R>> {
        let Some(buffer) = self.device.dequeue()? else { return Ok(None) };
        let mapped = self.buffers.get(buffer.index as usize).ok_or(io::ErrorKind::InvalidData)?;
        let bytes = mapped.bytes();
        let used = bytes.len().min(buffer.bytesused as usize);
        let (sec, usec) = (buffer.timestamp.tv_sec, buffer.timestamp.tv_usec);
        let filled = Filled {
            stamp: sec.saturating_mul(1_000_000).saturating_add(usec),
            damaged: buffer.flags & sys::V4L2_BUF_FLAG_ERROR != 0,
        };
        let got = read(filled, &bytes[..used]);
        self.device.queue(buffer.index)?;
        Ok(Some(got))
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Of an unplugged device nothing is left to be stopped: errors say no more than that.
        let _ = self.device.stream_off();
        self.buffers.clear(); // buffers that are still mapped cannot be given back
        let _ = self.device.request_buffers(0);
    }
}

/// One buffer of the driver in our memory.
struct Mapped {
    start: *mut u8,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, whatever thread it is on.
unsafe impl Send for Mapped {}

impl Mapped {
    fn new(device: &Device, index: u32) -> io::Result<Mapped> {
        let (offset, len) = device.buffer(index)?;
        let (fd, len) = (device.as_fd().as_raw_fd(), len as usize);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start =
            unsafe { v4l2::mmap(std::ptr::null_mut(), len, PROT_READ, MAP_SHARED, fd, i64::from(offset) as _)? };
        Ok(Mapped { start: start.cast(), len })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for reading until drop; the driver writes to queued buffers only, and this one is taken.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the very range that was mapped, and no slice of it outlives `self`.
        let _ = unsafe { v4l2::munmap(self.start.cast(), self.len) };
    }
}
