//! A file that never keeps half a frame: what could not be written whole is cut off again.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::devices::patient::widen;
use crate::frame::{Frame, Sink};
use crate::picture::Picture;
use crate::stop::Stop;

pub struct Whole {
    file: File,
    /// Where the last whole frame ends; none on a pipe, which cannot take anything back.
    end: Option<u64>,
}

impl Whole {
    /// Creates (or empties) the file; `-` is stdout.
    pub fn create(name: &str, stop: &Stop) -> io::Result<Whole> {
        if name == "-" {
            let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            widen(&file);
            return Ok(Whole { file, end: None });
        }
        let file = match std::fs::metadata(name) {
            Ok(found) if found.file_type().is_fifo() => open_pipe(name, stop)?,
            _ => File::create(name)?,
        };
        let end = file.metadata()?.is_file().then_some(0);
        Ok(Whole { file, end })
    }

    /// Opens a file to go on after what it has.
    pub fn append(path: &std::path::Path) -> io::Result<Whole> {
        let mut file = File::options().create(true).truncate(false).write(true).open(path)?;
        let end = Some(file.seek(SeekFrom::End(0))?);
        Ok(Whole { file, end })
    }

    /// Writes the parts of one frame, all of them or none.
    pub fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let written = parts.iter().try_for_each(|part| self.file.write_all(part));
        let Some(end) = &mut self.end else { return written };
        match written {
            Ok(()) => *end += parts.iter().map(|p| p.len() as u64).sum::<u64>(),
            Err(_) => {
                self.file.set_len(*end)?;
                self.file.seek(SeekFrom::Start(*end))?;
            }
        }
        written
    }

    /// Writes over what stands at `at`.
    pub fn overwrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)?;
        self.file.seek(SeekFrom::Start(self.len()))?;
        Ok(())
    }

    pub fn len(&self) -> u64 {
        self.end.unwrap_or(0)
    }
}

/// A named pipe opens when somebody reads it; a plain `open` would wait for that deaf to `stop`.
fn open_pipe(name: &str, stop: &Stop) -> io::Result<File> {
    const LOOK: Duration = Duration::from_millis(50);
    while !stop.said() {
        let nobody = Some(rustix::io::Errno::NXIO.raw_os_error());
        match File::options().write(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(name) {
            Err(error) if error.raw_os_error() == nobody => std::thread::sleep(LOOK),
            Err(error) => return Err(error),
            Ok(file) => {
                let flags = fcntl_getfl(&file)?;
                fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
                return Ok(file);
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::Interrupted, "nobody read it"))
}

/// Concatenated JPEG, as ffmpeg's `mjpeg` format.
pub struct Mjpeg(pub Whole);

impl Sink for Mjpeg {
    fn put(&mut self, frame: &Frame, _: Option<Arc<Picture>>) -> Result<()> {
        Ok(self.0.write(&[&frame.coded.bytes])?)
    }
}
