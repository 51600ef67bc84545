//! A rung that is complete: its JPEGs mapped and its index in memory. A frame is a slice of the map, without a copy.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use memmap2::Mmap;

use super::index::{self, Head, Record};
use crate::codec::{self, jpeg};
use crate::devices::recording::RATE_DEFAULT;
use crate::segments::Coded;

pub struct Rung {
    /// The lines that its name says.
    pub height: u32,
    pub head: Head,
    path: PathBuf,
    /// Stays open, to be asked for its length.
    file: File,
    map: Bytes,
    /// Of each frame: when it is shown, in microseconds, and where it ends.
    times: Vec<u64>,
    ends: Vec<usize>,
}

/// A rung's file: `480p.mjpeg`, `480p.index`.
pub fn path(dir: &Path, height: u32, ending: &str) -> PathBuf {
    dir.join(format!("{height}p.{ending}"))
}

impl Rung {
    /// Opens a rung and looks at its first frame. Errors: what is not complete or not whole.
    pub fn open(dir: &Path, height: u32) -> Result<Rung> {
        let (head, records) = index::read(&bounded(&path(dir, height, "index"), index::BYTES)?)?;
        let path = path(dir, height, "mjpeg");
        let file = File::open(&path)?;
        let ends = ends(&records);
        let (length, wanted) = (file.metadata()?.len(), ends.last().copied().unwrap_or(0));
        ensure!(length == wanted as u64, "{length} bytes of JPEG where the index has {wanted}");
        let map = Bytes::from_owner(map(&file)?);
        let times = records.iter().map(|record| record.time).collect();
        let rung = Rung { height, head, path, file, map, times, ends };
        let first = rung.frame(0, 0)?;
        let (width, height) = codec::size(&first.head, &first.bytes)?;
        ensure!((width as u32, height as u32) == rung.head.size, "pictures of {width}x{height} under another index");
        Ok(rung)
    }

    /// A frame in its segments, all of one version.
    pub fn frame(&self, nth: usize, version: u64) -> Result<Coded> {
        let (start, end) = (nth.checked_sub(1).map_or(0, |before| self.ends[before]), self.ends[nth]);
        ensure!(self.holds(end), "{} was cut short", self.path.display());
        jpeg::segments(self.map.slice(start..end), version)
    }

    /// Whether its file is as long as it was.
    pub fn stands(&self) -> bool {
        self.holds(self.map.len())
    }

    /// Whether the file still has its first `end` bytes: to read a page of the map that it has no longer would be the end
    /// of the program.
    fn holds(&self, end: usize) -> bool {
        self.file.metadata().is_ok_and(|meta| meta.len() >= end as u64)
    }

    /// When each frame is shown, in microseconds from the first.
    pub fn times(&self) -> &[u64] {
        &self.times
    }

    /// To the end of the last frame, which is shown as long as the others on the mean.
    pub fn duration(&self) -> Duration {
        let (last, count) = (self.times[self.times.len() - 1], self.times.len() as u64);
        let step = if count > 1 { last / (count - 1) } else { (1e6 / RATE_DEFAULT) as u64 };
        Duration::from_micros(last + step)
    }

    /// Bits a second on the mean.
    pub fn bitrate(&self) -> f64 {
        self.map.len() as f64 * 8.0 / self.duration().as_secs_f64()
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

#[allow(unsafe_code)]
fn map(file: &File) -> Result<Mmap> {
    // SAFETY: bytes of the map that another program writes would change under their readers, which are parsers of hostile
    // bytes and hold no reference into what they have checked; vstream itself writes to other names and renames. A file
    // that is cut short is found by its length before its pages are touched.
    Ok(unsafe { Mmap::map(file) }?)
}
