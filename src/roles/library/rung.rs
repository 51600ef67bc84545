//! A rung that is complete: its file of JPEGs, and its index in memory. A frame is read, not mapped: who cuts the file short
//! while it plays would end the program at the next look at a page that is gone, and its bytes are looked at again when the
//! next frame is compared. The copy is out of the page cache, which all viewers share.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::index::{self, Head, Record};
use crate::codec::{self, jpeg};
use crate::devices::recording::RATE_DEFAULT;
use crate::segments::Coded;

/// What a list tells of a rung.
#[derive(Clone, Debug)]
pub struct Outline {
    pub head: Head,
    /// Of all JPEGs.
    bytes: u64,
    frames: u64,
    /// When the last frame is shown, in microseconds.
    last: u64,
}

pub struct Rung {
    /// The lines that its name says.
    pub height: u32,
    pub outline: Outline,
    path: PathBuf,
    file: File,
    /// Of each frame: when it is shown, in microseconds, and where it ends.
    times: Vec<u64>,
    ends: Vec<usize>,
}

/// A rung's file: `480p.mjpeg`, `480p.index`.
pub fn path(dir: &Path, height: u32, ending: &str) -> PathBuf {
    dir.join(format!("{height}p.{ending}"))
}

impl Outline {
    /// Looks at a rung without reading its index: whether it is whole, only `Rung::open` knows.
    pub fn read(dir: &Path, height: u32) -> Result<Outline> {
        let index = File::open(path(dir, height, "index"))?;
        let length = index.metadata()?.len();
        let (mut start, mut end) = (Vec::new(), Vec::new());
        (&index).take(index::HEAD as u64).read_to_end(&mut start)?;
        (&index).seek(SeekFrom::Start(length.saturating_sub(index::END as u64)))?;
        (&index).take(index::END as u64).read_to_end(&mut end)?;
        let (head, frames, last) = index::glance(&start, &end, length)?;
        Ok(Outline { head, bytes: path(dir, height, "mjpeg").metadata()?.len(), frames, last })
    }

    /// Whether a file of JPEGs is as long as that of this rung.
    pub fn is(&self, jpegs: &Metadata) -> bool {
        jpegs.len() == self.bytes
    }

    /// To the end of the last frame, which is shown as long as the others on the mean.
    pub fn duration(&self) -> Duration {
        let step = if self.frames > 1 { self.last / (self.frames - 1) } else { (1e6 / RATE_DEFAULT) as u64 };
        Duration::from_micros(self.last + step)
    }

    /// Bytes of a frame on the mean.
    pub fn frame_bytes(&self) -> f64 {
        self.bytes as f64 / self.frames.max(1) as f64
    }

    /// Bits a second on the mean.
    pub fn bitrate(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.duration().as_secs_f64().max(1e-3)
    }
}

impl Rung {
    /// Opens a rung and looks at its first frame. Errors: what is not complete or not whole.
    pub fn open(dir: &Path, height: u32) -> Result<Rung> {
        let (head, records) = index::read(&bounded(&path(dir, height, "index"), index::BYTES)?)?;
        let path = path(dir, height, "mjpeg");
        let file = File::open(&path)?;
        let ends = ends(&records);
        let (bytes, wanted) = (file.metadata()?.len(), ends.last().copied().unwrap_or(0));
        ensure!(bytes == wanted as u64, "{bytes} bytes of JPEG where the index has {wanted}");
        let times: Vec<u64> = records.iter().map(|record| record.time).collect();
        let last = times.last().copied().unwrap_or(0);
        let outline = Outline { head, bytes, frames: times.len() as u64, last };
        let rung = Rung { height, outline, path, file, times, ends };
        let first = rung.frame(0, 0)?;
        let (width, height) = codec::size(&first.head, &first.bytes)?;
        let said = rung.outline.head.size;
        ensure!((width as u32, height as u32) == said, "pictures of {width}x{height} under another index");
        Ok(rung)
    }

    /// A frame in its segments, all of one version.
    pub fn frame(&self, nth: usize, version: u64) -> Result<Coded> {
        let (start, end) = (nth.checked_sub(1).map_or(0, |before| self.ends[before]), self.ends[nth]);
        let mut bytes = vec![0; end - start];
        match self.file.read_exact_at(&mut bytes, start as u64) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => bail!("{} was cut short", self.path.display()),
            read => read.with_context(|| format!("could not read {}", self.path.display()))?,
        }
        jpeg::segments(bytes.into(), version)
    }

    /// Whether its file is as long as it was.
    pub fn stands(&self) -> bool {
        self.file.metadata().is_ok_and(|meta| meta.len() >= self.outline.bytes)
    }

    /// When each frame is shown, in microseconds from the first.
    pub fn times(&self) -> &[u64] {
        &self.times
    }
}

/// The bytes of a file that is no longer than `most`.
pub fn bounded(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("could not open {}", path.display()))?;
    file.take(most + 1).read_to_end(&mut bytes).with_context(|| format!("could not read {}", path.display()))?;
    ensure!(bytes.len() as u64 <= most, "{} has more than {most} bytes", path.display());
    Ok(bytes)
}

/// Where each frame ends in the file: they stand one after the other.
pub fn ends(records: &[Record]) -> Vec<usize> {
    let mut end = 0;
    records
        .iter()
        .map(|record| {
            end += record.bytes as usize;
            end
        })
        .collect()
}
