//! A rung in the making: under other names until it is complete, and gone on with where it was broken off.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::index::{self, Head, RECORD, Record, check};
use super::rung::{bounded, ends, path};
use crate::devices::outputs::whole::Whole;

pub struct Part {
    dir: PathBuf,
    height: u32,
    jpegs: Whole,
    index: Whole,
    /// Frames that it has.
    pub frames: u64,
}

const JPEGS: &str = "mjpeg.part";
const INDEX: &str = "index.part";

impl Part {
    /// Begins a rung, or goes on with what is there of the same source at the same size.
    pub fn open(dir: &Path, height: u32, head: &Head) -> Result<Part> {
        let (jpegs, index) = (path(dir, height, JPEGS), path(dir, height, INDEX));
        let begun = begun(&jpegs, &index, head).unwrap_or_default();
        let length = ends(&begun).last().copied().unwrap_or(0) as u64;
        let mut part = Part {
            dir: dir.to_path_buf(),
            height,
            jpegs: cut(&jpegs, length)?,
            index: cut(&index, if begun.is_empty() { 0 } else { (head.encode().len() + begun.len() * RECORD) as u64 })?,
            frames: begun.len() as u64,
        };
        if begun.is_empty() {
            part.index.write(&[&head.encode()]).with_context(|| format!("could not write {}", index.display()))?;
        }
        Ok(part)
    }

    /// Takes the next frame, shown at `time`. After an error it is as it was before.
    pub fn put(&mut self, jpeg: &[u8], time: u64) -> Result<()> {
        let record = Record { time, bytes: jpeg.len() as u32, check: check(jpeg) };
        let before = self.jpegs.len();
        let written = self.jpegs.write(&[jpeg]).and_then(|()| self.index.write(&[&record.encode()]));
        if written.is_err() && self.jpegs.len() > before {
            self.jpegs = cut(&path(&self.dir, self.height, JPEGS), before)?;
        }
        written.with_context(|| format!("could not write to {}", self.dir.display()))?;
        self.frames += 1;
        Ok(())
    }

    /// Makes it a rung: all of it is on the disk before it has its name, the index last.
    pub fn finish(mut self) -> Result<()> {
        ensure!(self.frames > 0, "there was no picture in it");
        let mut finish = || {
            let index = std::fs::read(path(&self.dir, self.height, INDEX))?;
            self.index.write(&[&index::seal(&index)])?;
            for part in [JPEGS, INDEX] {
                let part = path(&self.dir, self.height, part);
                File::open(&part)?.sync_all()?;
                std::fs::rename(&part, part.with_extension(""))?;
            }
            File::open(&self.dir)?.sync_all()
        };
        let done: std::io::Result<()> = finish();
        done.with_context(|| format!("could not complete {}", path(&self.dir, self.height, "mjpeg").display()))
    }
}

/// Leaves nothing of a rung in the making.
pub fn remove(dir: &Path, height: u32) {
    for part in [JPEGS, INDEX] {
        let _ = std::fs::remove_file(path(dir, height, part)); // it may not have come to be
    }
}

/// The frames of a rung that was broken off, as far as they are whole.
fn begun(jpegs: &Path, index: &Path, head: &Head) -> Result<Vec<Record>> {
    let (found, mut records) = index::begun(&bounded(index, index::BYTES)?)?;
    ensure!(found == *head, "of another source");
    let mut jpegs = BufReader::with_capacity(1 << 20, File::open(jpegs)?);
    let mut jpeg = Vec::new();
    let whole = |record: &&Record| {
        jpeg.clear();
        let read = jpegs.by_ref().take(record.bytes.into()).read_to_end(&mut jpeg);
        read.is_ok_and(|read| read == record.bytes as usize) && check(&jpeg) == record.check
    };
    let good = records.iter().take_while(whole).count();
    records.truncate(good);
    Ok(records)
}

/// Opens a file to go on at `length`.
fn cut(path: &Path, length: u64) -> Result<Whole> {
    let cut = || {
        File::options().create(true).truncate(false).write(true).open(path)?.set_len(length)?;
        Whole::append(path)
    };
    cut().with_context(|| format!("could not write {}", path.display()))
}
