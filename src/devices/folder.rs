//! A folder of JPEG files, in the order of the numbers in their names; paced as they were captured where `recv --save`
//! left its `frames.jsonl`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::Deserialize;

use crate::devices::mjpeg::completed;
use crate::devices::recording::{RATE_DEFAULT, Recording, seconds};
use crate::devices::trouble::Trouble;
use crate::fault::Fault;
use crate::frame::BYTES_MAX;
use crate::frame::{About, Image};

pub struct Folder {
    pictures: std::vec::IntoIter<(Duration, PathBuf)>,
    length: u64,
    rate: f64,
    trouble: Trouble,
    name: String,
}

/// A line of `frames.jsonl`, of which only this is needed here.
#[derive(Deserialize)]
struct Line {
    file: String,
    /// Microseconds since 1970.
    captured: i64,
}

/// About a million lines; what is more is not read.
const INDEX_MAX: u64 = 256 << 20;

impl Folder {
    /// Lists the folder. `rate`: frames a second, where the user wants another than the files' own. An error when
    /// there is no picture in it.
    pub fn open(path: &Path, rate: Option<f64>, trouble: Trouble) -> Result<Folder> {
        let mut names: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let lower = name.to_ascii_lowercase();
            if lower.ends_with(".jpg") || lower.ends_with(".jpeg") {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err(Fault::device("there is no .jpg in this folder").into());
        }
        names.sort_by_cached_key(|name| natural(name));
        let captured = index(&path.join("frames.jsonl"));
        let positions = positions(&names, &captured, rate.unwrap_or(RATE_DEFAULT));
        let span = positions.last().map_or(0.0, Duration::as_secs_f64);
        let rate = match (names.len() - 1) as f64 / span {
            rate if rate.is_normal() => rate,
            _ => rate.unwrap_or(RATE_DEFAULT),
        };
        let length = names.len() as u64;
        let pictures: Vec<_> = positions.into_iter().zip(names.iter().map(|n| path.join(n))).collect();
        let name = path.display().to_string();
        Ok(Folder { pictures: pictures.into_iter(), length, rate, trouble, name })
    }
}

/// Numbers in names count as numbers: `frame_9.jpg` before `frame_10.jpg`.
fn natural(name: &str) -> Vec<(u128, String)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[text..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |n| text + n);
        let (text, number) = (rest[..text].to_string(), &rest[text..digits]);
        // The text counts before the number that follows it, so it stands with the number before it.
        match parts.last_mut() {
            Some((_, last)) => *last = text,
            None => parts.push((0, text)),
        }
        parts.push((number.parse().unwrap_or(u128::MAX), String::new()));
        rest = &rest[digits..];
    }
    parts
}

/// When each file was captured, as far as the index is there and can be read.
fn index(path: &Path) -> HashMap<String, i64> {
    let Ok(file) = File::open(path) else { return HashMap::new() };
    let lines = BufReader::new(file.take(INDEX_MAX)).split(b'\n').map_while(Result::ok);
    let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(&line).ok());
    lines.map(|line| (line.file, line.captured)).collect()
}

/// When each picture is due after the first: by its capture time, or one step after its predecessor.
fn positions(names: &[String], captured: &HashMap<String, i64>, rate: f64) -> Vec<Duration> {
    let first = names.iter().find_map(|name| captured.get(name)).copied().unwrap_or(0);
    let (step, mut last) = (seconds(1.0 / rate), None::<Duration>);
    names
        .iter()
        .map(|name| {
            let next = last.map_or(Duration::ZERO, |last| last + step);
            let own = captured.get(name).map(|us| Duration::from_micros(us.saturating_sub(first).max(0) as u64));
            let position = own.unwrap_or(next).max(last.unwrap_or_default());
            last = Some(position);
            position
        })
        .collect()
}

fn read(path: &Path) -> Result<Bytes> {
    let mut data = Vec::new();
    let read = File::open(path)?.take(BYTES_MAX as u64 + 1).read_to_end(&mut data)?;
    anyhow::ensure!(read <= BYTES_MAX, "over 64 MiB");
    completed(data.into())
}

impl Recording for Folder {
    fn next(&mut self) -> Result<Option<(Duration, Image)>> {
        for (position, path) in self.pictures.by_ref() {
            match read(&path).with_context(|| format!("could not read {}", path.display())) {
                Ok(jpeg) => return Ok(Some((position, Image::Jpeg(jpeg)))),
                Err(error) => {
                    log::debug!("{error:#}");
                    self.trouble.add(1, "files skipped: unreadable or no whole JPEG");
                }
            }
        }
        Ok(None)
    }

    fn about(&self) -> About {
        let text = format!("{}, {} pictures at {:.1} fps", self.name, self.length, self.rate);
        About { text, rate: Some(self.rate), length: Some(self.length), live: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode::encode;
    use crate::codec::testing::noise;
    use crate::stop::Stop;

    fn open(path: &Path) -> Result<Folder> {
        Folder::open(path, None, Trouble::new("x", &Stop::default()))
    }

    #[test]
    fn names_sort_as_people_count() {
        let mut names =
            ["b", "frame_10.jpg", "frame_9.jpg", "frame_010a.jpg", "a2", "a10", "10", "9"].map(String::from);
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["9", "10", "a2", "a10", "b", "frame_9.jpg", "frame_10.jpg", "frame_010a.jpg"]);
    }

    #[test]
    fn pictures_come_at_their_capture_times() {
        let dir = tempfile::tempdir().unwrap();
        let pictures: Vec<_> = (0..4).map(|i| encode(&noise(32, 32, i), 80).unwrap()).collect();
        for (i, picture) in pictures.iter().enumerate() {
            std::fs::write(dir.path().join(format!("frame_{}.JPG", i + 8)), picture).unwrap();
        }
        std::fs::write(dir.path().join("frame_7.jpg"), b"no picture").unwrap();
        let plain: Vec<_> = std::iter::from_fn({
            let mut folder = open(dir.path()).unwrap();
            move || folder.next().unwrap().map(|f| f.0.as_millis())
        })
        .collect();
        assert_eq!(plain, [40, 80, 120, 160]);
        let line = |file: &str, us: i64| format!("{{\"file\":\"{file}\",\"seq\":1,\"captured\":{us},\"bytes\":9}}\n");
        let index = line("frame_8.JPG", 5_000_000) + "nonsense\n" + &line("frame_9.JPG", 5_100_000);
        let index = index + &line("frame_10.JPG", 4_000_000) + &line("frame_11.JPG", 5_900_000);
        std::fs::write(dir.path().join("frames.jsonl"), index).unwrap();
        std::fs::remove_file(dir.path().join("frame_7.jpg")).unwrap();
        let mut folder = open(dir.path()).unwrap();
        assert_eq!(folder.about().length, Some(4));
        let got: Vec<_> = std::iter::from_fn(|| folder.next().unwrap()).collect();
        assert_eq!(got.iter().map(|g| g.0.as_millis()).collect::<Vec<_>>(), [0, 100, 100, 900]);
        assert!(matches!(&got[2].1, Image::Jpeg(jpeg) if *jpeg == pictures[2]));
    }

    #[test]
    fn a_folder_without_pictures_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.txt"), "x").unwrap();
        assert!(open(dir.path()).err().unwrap().to_string().contains("no .jpg"));
    }
}
