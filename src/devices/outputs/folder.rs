//! A folder of pictures: one `frame_000001.jpg` a frame, and `frames.jsonl` with the times of each.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::whole::Whole;
use crate::clock;
use crate::fault::Fault;
use crate::frame::{Frame, Sink};
use crate::picture::Picture;

/// Its list of frames, one JSON object a line.
pub const LIST: &str = "frames.jsonl";

/// A line of the list. Times are microseconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    pub file: String,
    pub seq: u64,
    pub captured: i64,
    pub received: i64,
    pub bytes: usize,
    /// The sender's start: with `seq` it tells a frame that came twice.
    #[serde(default)]
    pub epoch: u64,
}

pub struct Folder {
    path: PathBuf,
    /// The folder itself, locked: the frames of two would be mixed in it.
    _held: File,
    list: Whole,
    /// The number of the last picture.
    last: u64,
    /// The last frame's epoch and sequence number: one that comes again after a restart is not saved again.
    newest: Option<(u64, u64)>,
}

impl Folder {
    /// Makes the folder, or goes on after the last picture of one that has some.
    pub fn create(path: &Path) -> Result<Folder> {
        let explain = || format!("could not save to {}", path.display());
        fs::create_dir_all(path).with_context(explain)?;
        let held = hold(path).with_context(explain)?;
        let mut last = 0;
        for entry in fs::read_dir(path).with_context(explain)? {
            let name = entry.with_context(explain)?.file_name();
            last = last.max(number(&name.to_string_lossy()).unwrap_or(0));
        }
        let old = fs::read_to_string(path.join(LIST)).unwrap_or_default();
        let newest = old.lines().rev().find_map(|line| serde_json::from_str::<Entry>(line).ok());
        let newest = newest.map(|e| (e.epoch, e.seq));
        let list = Whole::append(&path.join(LIST)).with_context(explain)?;
        Ok(Folder { path: path.to_path_buf(), _held: held, list, last, newest })
    }
}

/// Locks the folder until its process ends, however that is. One that was killed a moment ago may still be ending.
fn hold(path: &Path) -> Result<File> {
    const AGAIN: Duration = Duration::from_millis(50);
    let folder = File::open(path)?;
    for _ in 0..10 {
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(AGAIN),
            // Some file systems know no locks.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(folder),
        }
    }
    let refusal = Fault::refused("another vstream saves there");
    Err(refusal.hint("choose another folder, or end that one: it goes on where that stops").into())
}

fn number(file: &str) -> Option<u64> {
    file.strip_prefix("frame_")?.strip_suffix(".jpg")?.parse().ok()
}

impl Sink for Folder {
    fn put(&mut self, frame: &Frame, _: Option<Arc<Picture>>) -> Result<()> {
        let again = self.newest.is_some_and(|(epoch, seq)| epoch == frame.epoch && frame.seq <= seq);
        if again {
            return Ok(());
        }
        let file = format!("frame_{:06}.jpg", self.last + 1);
        let part = self.path.join(format!(".{file}.part"));
        let written = File::create(&part).and_then(|mut f| f.write_all(&frame.coded.bytes));
        let placed = written.and_then(|()| fs::rename(&part, self.path.join(&file)));
        if placed.is_err() {
            let _ = fs::remove_file(&part); // the error that matters is the first
        }
        placed.with_context(|| format!("could not save {}", self.path.join(&file).display()))?;
        self.last += 1;
        self.newest = Some((frame.epoch, frame.seq));
        let entry = Entry {
            file,
            seq: frame.seq,
            captured: frame.captured.unix_micros(),
            received: clock::now().unix_micros(),
            bytes: frame.coded.bytes.len(),
            epoch: frame.epoch,
        };
        let line = serde_json::to_string(&entry)? + "\n";
        self.list.write(&[line.as_bytes()]).with_context(|| format!("could not write {LIST}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::segments::Coded;

    fn frame(epoch: u64, seq: u64) -> Frame {
        Frame {
            epoch,
            seq,
            captured: Time::default(),
            error: Default::default(),
            coded: Coded::whole(vec![seq as u8; 9].into(), seq),
        }
    }

    #[test]
    fn a_second_run_goes_on_and_saves_no_frame_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Folder::create(dir.path()).unwrap();
        (0..3).for_each(|seq| first.put(&frame(1, seq), None).unwrap());
        let refused = Folder::create(dir.path()).map(drop).unwrap_err();
        assert!(crate::fault::line(&refused).ends_with("another vstream saves there"), "{refused:#}");
        drop(first);
        let mut second = Folder::create(dir.path()).unwrap();
        (2..5).for_each(|seq| second.put(&frame(1, seq), None).unwrap());
        second.put(&frame(2, 0), None).unwrap();
        let list = fs::read_to_string(dir.path().join(LIST)).unwrap();
        let entries: Vec<Entry> = list.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 0]);
        assert_eq!(entries[5].file, "frame_000006.jpg");
        assert_eq!(fs::read(dir.path().join("frame_000005.jpg")).unwrap(), [4; 9]);
    }
}
